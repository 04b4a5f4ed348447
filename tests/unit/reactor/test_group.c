// SPDX-License-Identifier: Apache-2.0
/* Groups: G1-G3 of group.c, the watcher, calls between real threads. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "reactor/group.h"
#include "reactor/wait.h"
#include "unit/fault.h"
#include "unit/reactor/thread_io.h"

#define MS 1000000ull

struct crew {
	struct mem_heap heap;
	struct log log;
	pthread_mutex_t lock;
	char lines[8192];
	unsigned fail_index; /* whose io does not open; 0 is the first */
	int fail_code;
	bool fail_wordless;
	unsigned reactors;
	unsigned calls;
	pthread_t threads[8];
};

static void crew_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct crew *crew = ctx;

	pthread_mutex_lock(&crew->lock);
	size_t used = strlen(crew->lines);
	if (used + len < sizeof(crew->lines))
		memcpy(crew->lines + used, line, len);
	pthread_mutex_unlock(&crew->lock);
}

static uint64_t crew_clock(void *ctx)
{
	return 0;
}

static int crew_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct crew *crew = ctx;

	if (crew->fail_code && index >= crew->fail_index)
		return crew->fail_wordless ?
			       crew->fail_code :
			       err_fail(err, crew->fail_code, "io %u is denied", index);
	*ret = thread_io_new(&crew->heap.mem);
	return 0;
}

static void crew_init(struct crew *crew)
{
	memset(crew, 0, sizeof(*crew));
	mem_heap_init(&crew->heap);
	pthread_mutex_init(&crew->lock, NULL);
	log_init(&crew->log, crew_sink, crew, crew_clock, crew);
}

static int crew_run(struct crew *crew, struct group_opts opts, fiber_fn fn, struct err *err)
{
	opts.io_open = crew_io_open;
	opts.io_ctx = crew;
	opts.mem = &crew->heap.mem;
	opts.reactor.log = &crew->log;
	return group_run(&opts, fn, crew, err);
}

static void crew_fini(struct crew *crew)
{
	mem_heap_fini(&crew->heap);
	pthread_mutex_destroy(&crew->lock);
}

static int notes_its_thread(struct fiber *f, void *arg)
{
	struct crew *crew = arg;

	crew->threads[reactor_index(fiber_reactor(f))] = pthread_self();
	return 0;
}

static int visits_all(struct fiber *f, void *arg)
{
	struct crew *crew = arg;

	for (unsigned i = 0; reactor_peer(fiber_reactor(f), i); i++) {
		int r = fiber_call_on(f, reactor_peer(fiber_reactor(f), i), "visit",
				      notes_its_thread, arg);
		assert_int_equal(r, 0);
		crew->reactors++;
	}
	return 42;
}

static void each_reactor_runs_on_a_thread_of_its_own(void **state)
{
	for (unsigned pin = 0; pin < 2; pin++) {
		struct crew crew;
		struct err err = { 0 };
		crew_init(&crew);
		assert_int_equal(crew_run(&crew, (struct group_opts){ .count = 4, .pin = pin },
					  visits_all, &err),
				 42);
		assert_int_equal(crew.reactors, 4);
		assert_true(pthread_equal(crew.threads[0], pthread_self()));
		for (unsigned i = 1; i < 4; i++)
			assert_false(pthread_equal(crew.threads[i], crew.threads[i - 1]));
		assert_string_equal(crew.lines, "");
		crew_fini(&crew);
	}
}

static int ping(struct fiber *f, void *arg)
{
	(*(unsigned *)arg)++;
	return 0;
}

static int calls_often(struct fiber *f, void *arg)
{
	struct reactor *peer = reactor_peer(fiber_reactor(f), reactor_index(fiber_reactor(f)) ^ 1);
	unsigned count = 0;

	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(fiber_call_on(f, peer, "ping", ping, &count), 0);
	return (int)count;
}

static int calls_both_ways(struct fiber *f, void *arg)
{
	struct reactor *r = fiber_reactor(f);
	struct fiber *here[4];
	int sum = 0;

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fiber_start(r, "caller", calls_often, arg, &here[i]), 0);
	sum += fiber_call_on(f, reactor_peer(r, 1), "far caller", calls_often, arg);
	for (unsigned i = 0; i < 4; i++)
		sum += fiber_join(f, here[i]);
	return sum;
}

static void calls_cross_in_both_directions(void **state)
{
	struct crew crew;

	crew_init(&crew);
	assert_int_equal(crew_run(&crew, (struct group_opts){ .count = 2 }, calls_both_ways, NULL),
			 2500);
	crew_fini(&crew);
}

static int fails(struct fiber *f, void *arg)
{
	return fiber_fail(f, -EBUSY, "the pool is in use");
}

static void the_first_fibers_error_is_returned_with_its_words(void **state)
{
	struct crew crew;
	struct err err = { 0 };

	crew_init(&crew);
	assert_int_equal(crew_run(&crew, (struct group_opts){ .count = 0 }, fails, &err), -EBUSY);
	assert_string_equal(err.words, "the pool is in use");
	assert_int_equal(crew_run(&crew, (struct group_opts){ .count = 2 }, fails, NULL), -EBUSY);
	crew_fini(&crew);
}

static void a_member_that_cannot_start_stops_all_and_says_why(void **state)
{
	for (unsigned index = 0; index < 4; index++) {
		struct crew crew;
		struct err err = { 0 };
		char words[64];
		crew_init(&crew);
		crew.fail_code = -EPERM;
		crew.fail_index = index;
		assert_int_equal(crew_run(&crew, (struct group_opts){ .count = 4 }, visits_all,
					  &err),
				 -EPERM);
		snprintf(words, sizeof(words), "io %u is denied", index);
		assert_string_equal(err.words, words); /* G3: the first of them */
		crew.fail_wordless = true;
		assert_int_equal(crew_run(&crew, (struct group_opts){ .count = 4 }, visits_all,
					  &err),
				 -EPERM);
		assert_non_null(strstr(err.words, "no io: EPERM"));
		assert_int_equal(crew.reactors, 0);
		crew_fini(&crew);
	}
}

static void more_than_the_limit_is_refused(void **state)
{
	struct crew crew;
	struct err err = { 0 };

	crew_init(&crew);
	assert_int_equal(crew_run(&crew, (struct group_opts){ .count = REACTORS_MAX + 1 },
				  visits_all, &err),
			 -EINVAL);
	assert_non_null(strstr(err.words, "at most 64"));
	crew_fini(&crew);
}

static int returns_zero(struct fiber *f, void *arg)
{
	return 0;
}

static int group_body(struct mem *mem, void *arg)
{
	struct crew *crew = arg;
	struct err err = { 0 };
	struct group_opts opts = { .count = 2, .io_open = crew_io_open, .io_ctx = crew, .mem = mem };
	int res = group_run(&opts, returns_zero, crew, &err);

	assert_int_equal(err.code, res);
	return res;
}

static void a_group_survives_a_failed_allocation_of_its_own(void **state)
{
	struct crew crew;

	crew_init(&crew);
	for (unsigned limit = 0; limit < 2; limit++) {
		/* By bytes: the order of allocations between threads is not fixed. */
		for (uint64_t bytes = 1; bytes < 200000; bytes += bytes / 8 + 1) {
			struct mem_heap group;
			struct mem_heap *tight = limit ? &group : &crew.heap;
			mem_heap_init(&group);
			tight->bytes_limit = bytes;
			int res = group_body(&group.mem, &crew);
			assert_true(res == 0 || res == -ENOMEM);
			crew.heap.bytes_limit = 0;
			mem_heap_fini(&group);
			assert_int_equal(crew.heap.blocks, 0);
		}
	}
	crew_fini(&crew);
}

static int blocks_long(struct fiber *f, void *arg)
{
	usleep(500000);
	return 0;
}

static int blocks_on_peer(struct fiber *f, void *arg)
{
	return fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "blocker", blocks_long, arg);
}

static void the_watcher_names_a_stalled_reactor_while_it_stalls(void **state)
{
	struct crew crew;

	crew_init(&crew);
	struct group_opts opts = { .count = 2, .reactor.stall_ns = 20 * MS };
	assert_int_equal(crew_run(&crew, opts, blocks_on_peer, NULL), 0);
	char *live = strstr(crew.lines, "reactor is stalled");
	char *after = strstr(crew.lines, "reactor was stalled");
	assert_non_null(live);
	assert_non_null(after);
	assert_true(live < after);
	assert_non_null(strstr(live, "reactor=reactor1"));
	assert_non_null(strstr(live, "fiber=blocker"));
	assert_null(strstr(strstr(live, "fiber=blocker"), "is stalled")); /* once a stall */
	crew_fini(&crew);
}

static void blocks_in_callback(struct io_op *op)
{
	usleep(1600000);
}

static int calls_back(struct fiber *f, void *arg)
{
	struct io_op op = { 0 };

	io_prep(&op, IO_NOP, blocks_in_callback);
	io_submit(fiber_io(f), &op);
	return fiber_sleep(f, 100 * MS);
}

static int waits_and_calls_back(struct fiber *f, void *arg)
{
	/* Long asleep without being stalled: not reported. */
	assert_int_equal(fiber_sleep(f, 1300 * MS), 0);
	assert_null(strstr(((struct crew *)arg)->lines, "callback"));
	return fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "caller", calls_back, NULL);
}

static void the_watcher_tells_a_callback_that_stalls_from_sleep(void **state)
{
	struct crew crew;

	crew_init(&crew);
	struct group_opts opts = { .count = 2, .reactor.stall_ns = 20 * MS };
	assert_int_equal(crew_run(&crew, opts, waits_and_calls_back, NULL), 0);
	char *live = strstr(crew.lines, "is stalled by a callback of its io");
	char *after = strstr(crew.lines, "was stalled by callbacks of its io");
	assert_non_null(live);
	assert_non_null(after);
	assert_true(live < after);
	assert_non_null(strstr(live, "reactor=reactor1"));
	crew_fini(&crew);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reactor_runs_on_a_thread_of_its_own),
		cmocka_unit_test(calls_cross_in_both_directions),
		cmocka_unit_test(the_first_fibers_error_is_returned_with_its_words),
		cmocka_unit_test(a_member_that_cannot_start_stops_all_and_says_why),
		cmocka_unit_test(more_than_the_limit_is_refused),
		cmocka_unit_test(a_group_survives_a_failed_allocation_of_its_own),
		cmocka_unit_test(the_watcher_names_a_stalled_reactor_while_it_stalls),
		cmocka_unit_test(the_watcher_tells_a_callback_that_stalls_from_sleep),
	};

	return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
