// SPDX-License-Identifier: Apache-2.0
/* The file of a process's place: who takes it ends the lease of the one before (ID1, ID3). */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/identity.h"
#include "engine/stores.h"
#include "io/uring.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/group.h"
#include "store/lease.h"

#define TTL 60000u

static const struct uuid first = { { 1 } }, second = { { 2 } }, third = { { 3 } };

struct place {
	struct mem_heap heap;
	char dir[64], path[96], copy[96];
	struct store *store;
};

static int place_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct place *place = ctx;

	return uring_open(&place->heap.mem, NULL, ret, err);
}

static int place_init(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	mem_heap_init(&place->heap);
	strcpy(place->dir, "/tmp/test_identity.XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/instance", place->dir);
	snprintf(place->copy, sizeof(place->copy), "%s/copy", place->dir);
	*state = place;
	return 0;
}

static int place_fini(void **state)
{
	struct place *place = *state;
	char command[128];

	mem_heap_fini(&place->heap);
	snprintf(command, sizeof(command), "rm -rf %s", place->dir);
	int res = system(command);
	free(place);
	return res;
}

static int with_store(struct fiber *f, struct place *place, fiber_fn body)
{
	char uri[128];
	int r;

	snprintf(uri, sizeof(uri), "sqlite://%s/store", place->dir);
	assert_int_equal(store_open(f, engine_stores, uri, &place->store), 0);
	r = body(f, place);
	store_close(f, place->store);
	return r;
}

static void place_run(struct place *place, fiber_fn body)
{
	struct err err = { 0 };
	struct group_opts opts = {
		.count = 1, .io_open = place_io_open, .io_ctx = place, .mem = &place->heap.mem
	};

	assert_int_equal(group_run(&opts, body, place, &err), 0);
}

/* As if it was killed: nobody renews the lease, nobody deletes it. */
static void live_and_die(struct fiber *f, struct place *place, const char *path,
			 const struct uuid *who)
{
	struct io_file *file;
	struct lease lease;

	assert_int_equal(identity_take(f, path, place->store, who, &file), 0);
	assert_int_equal(lease_start(f, place->store, who, TTL, &lease), 0);
	fiber_cancel(lease.keeper);
	assert_int_equal(fiber_join(f, lease.keeper), 0);
	fiber_close(f, file);
}

static bool has_lease(struct fiber *f, struct place *place, const struct uuid *who)
{
	struct lease_sight sight;

	lease_see(f, place->store, who, &sight);
	return sight.revision != STORE_ABSENT;
}

static int one_after_the_other(struct fiber *f, void *arg)
{
	struct place *place = arg;

	live_and_die(f, place, place->path, &first);
	assert_true(has_lease(f, place, &first));
	live_and_die(f, place, place->path, &second);
	assert_false(has_lease(f, place, &first));
	assert_true(has_lease(f, place, &second));
	live_and_die(f, place, place->path, &third);
	assert_false(has_lease(f, place, &second));
	return 0;
}

static int in_one_place(struct fiber *f, void *arg)
{
	return with_store(f, arg, one_after_the_other);
}

static void who_comes_after_ends_the_lease_of_the_one_before(void **state)
{
	place_run(*state, in_one_place);
}

static int from_a_copy(struct fiber *f, void *arg)
{
	struct place *place = arg;
	char *text;
	size_t len;

	live_and_die(f, place, place->path, &first);
	assert_int_equal(fiber_read_file(f, place->path, 4096, &text, &len), 0);
	assert_int_equal(fiber_write_file(f, place->copy, text, len, 0600), 0);
	mem_free(text);
	live_and_die(f, place, place->copy, &second);
	assert_true(has_lease(f, place, &first));
	assert_int_equal(fiber_write_file(f, place->copy, "\n", 1, 0600), 0);
	live_and_die(f, place, place->copy, &third);
	assert_true(has_lease(f, place, &second));
	return 0;
}

static int in_another_place(struct fiber *f, void *arg)
{
	return with_store(f, arg, from_a_copy);
}

static void what_was_copied_or_damaged_names_nobody(void **state)
{
	place_run(*state, in_another_place);
}

static int taker(struct fiber *f, void *arg)
{
	struct place *place = arg;
	struct io_file *file;

	return identity_take(f, place->path, place->store, &second, &file);
}

static int while_it_is_held(struct fiber *f, void *arg)
{
	struct place *place = arg;
	struct io_file *file;
	struct fiber *other;

	assert_int_equal(identity_take(f, place->path, place->store, &first, &file), 0);
	assert_int_equal(fiber_start(fiber_reactor(f), "taker", taker, place, &other), 0);
	assert_int_equal(fiber_sleep(f, 30000000), 0);
	fiber_cancel(other);
	assert_int_equal(fiber_join(f, other), -ECANCELED); /* it has waited */
	fiber_clear(f);
	fiber_close(f, file);
	return 0;
}

static int in_a_place_that_is_taken(struct fiber *f, void *arg)
{
	return with_store(f, arg, while_it_is_held);
}

static void one_process_at_a_time_has_it(void **state)
{
	place_run(*state, in_a_place_that_is_taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_comes_after_ends_the_lease_of_the_one_before,
						place_init, place_fini),
		cmocka_unit_test_setup_teardown(what_was_copied_or_damaged_names_nobody, place_init,
						place_fini),
		cmocka_unit_test_setup_teardown(one_process_at_a_time_has_it, place_init,
						place_fini),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
