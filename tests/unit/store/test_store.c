// SPDX-License-Identifier: Apache-2.0
/* The way of a call to its driver. */
#include "unit/store/ram_store.h"

static int contract_body(struct fiber *f, void *arg)
{
	struct store *store;

	(void)arg;
	assert_int_equal(store_open(f, ram_drivers, "ram:///", &store), 0);
	store_contract(f, store);
	store_close(f, store);
	return 0;
}

static void run(fiber_fn body, void *arg)
{
	struct one one;

	one_init(&one);
	assert_int_equal(one_fiber(&one, body, arg, NULL), 0);
	one_fini(&one);
}

static void the_contract_holds(void **state)
{
	(void)state;
	run(contract_body, NULL);
}

static int refused_body(struct fiber *f, void *arg)
{
	struct store *store = NULL;

	(void)arg;
	assert_int_equal(store_open(f, ram_drivers, "etcd://host:2379", &store), -EINVAL);
	assert_string_equal(fiber_words(f), "store 'etcd://host:2379': no driver for 'etcd'");
	fiber_clear(f);
	assert_int_equal(store_open(f, ram_drivers, "not a uri", &store), -EINVAL);
	assert_null(store);
	fiber_clear(f);
	return 0;
}

static void an_unknown_store_is_named(void **state)
{
	(void)state;
	run(refused_body, NULL);
}

/* ---- many at once ---------------------------------------------------------------- */

struct crowd {
	struct store *store;
	unsigned done, refused;
};

static int crowd_member(struct fiber *f, void *arg)
{
	struct crowd *crowd = arg;
	struct store_record *got = mem_new(fiber_io(f), sizeof(*got));
	int r = store_get(f, crowd->store, "no", got);

	mem_free(got);
	crowd->done += r == -ENOENT;
	crowd->refused += r == -EAGAIN;
	fiber_clear(f);
	return 0;
}

/* SC1. */
static int crowd_body(struct fiber *f, void *arg)
{
	enum { CROWD = STORE_CALLS_MAX + 7 };
	struct fiber *member[CROWD];
	struct crowd crowd = { 0 };

	(void)arg;
	assert_int_equal(store_open(f, ram_drivers, "ram:///", &crowd.store), 0);
	ram_of(crowd.store)->delay_ns = 1000;
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(fiber_start(fiber_reactor(f), "member", crowd_member, &crowd,
					     &member[i]),
				 0);
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(fiber_join(f, member[i]), 0);
	assert_int_equal(crowd.done, STORE_CALLS_MAX);
	assert_int_equal(crowd.refused, 7);
	assert_int_equal(ram_of(crowd.store)->at_once_max, 1);
	store_close(f, crowd.store);
	return 0;
}

static void calls_queue_up_to_a_limit(void **state)
{
	(void)state;
	run(crowd_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_contract_holds),
		cmocka_unit_test(an_unknown_store_is_named),
		cmocka_unit_test(calls_queue_up_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
