// SPDX-License-Identifier: Apache-2.0
/* Half-made volumes, volumes that go, members given back; what a store's silence leaves of it. */
#include "nexus_rig.h"

#include "drivers/fault.h"
#include "nexus/nexus_priv.h"

#define PLAIN "malloc:///m0?size_mb=16"
#define FAULT "fault:///f0?on=malloc:///m0?size_mb=16"

static bool is_free(struct fiber *f, unsigned i)
{
	struct replica_info info = nr_replica(f, i);

	return uuid_is_nil(&info.volume) && info.state == REPLICA_NEW && info.gen.epoch == 0 &&
	       info.gen.n == 0;
}

static bool is_blank(struct fiber *f, const char *uri)
{
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	int r = foreign_check_blank(f, chan, uri);

	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return r == 0;
}

static unsigned records(struct nexus_rig *nr)
{
	unsigned count = 0;

	for (unsigned i = 0; i < RAM_RECORDS; i++)
		count += nr->ram->record[i].revision &&
			 strncmp(nr->ram->record[i].key, "volume/", 7) == 0;
	return count;
}

/* ---- create ------------------------------------------------------------------------------- */

/* The nth change of a disk fails, for every n: in the end the volume is there, and before it nothing. */
RIG_TEST(what_is_created_by_half_is_undone)
{
	const char *uris[] = { nr_uris[2], FAULT };
	struct nexus_create_args args = {
		.name = "w", .uris = uris, .count = 2, .size_bytes = 8 << 20
	};
	struct fault_rule rule = { .ops = 1u << BIO_WRITE | 1u << BIO_FLUSH | 1u << BIO_ZEROES,
				   .last = UINT64_MAX,
				   .status = -EIO };
	struct bdev *keep = rig_open(f, PLAIN), *fault;
	struct nexus_rig nr;
	struct uuid volume;
	unsigned n = 0;
	int r;

	nr_start(f, rig, &nr, 0);
	fault = rig_open(f, FAULT);
	do {
		rule.nth = ++n;
		nr_ok(f, fault_set_rules(f, fault, &rule, 1));
		r = nexus_create(f, nr.table, &args, &volume);
		if (r == 0)
			break;
		assert_int_equal(r, -EIO);
		assert_non_null(strstr(fiber_words(f), "child '" FAULT "'"));
		fiber_clear(f);
		assert_int_equal(records(&nr), 0);
		assert_true(is_free(f, 2));
		assert_true(is_blank(f, PLAIN));
	} while (n < 100);
	assert_in_range(n, 10, 40);
	nr_ok(f, fault_set_rules(f, fault, NULL, 0));
	nr_ok(f, nexus_open(f, nr.table, &volume, false, &nr.nexus));
	nr_ok(f, nexus_settle(f, nr.nexus));
	bdev_close(f, fault);
	nr_stop(f, &nr);
	bdev_close(f, keep);
}

/* ST4: told that it failed, and it was done. */
RIG_TEST(a_record_that_is_there_after_all_was_created)
{
	const struct nexus_create_args args = { .name = "w", .uris = nr_uris, .count = 2 };
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 0);
	nr.ram->fail_after = -EIO;
	nr_ok(f, nexus_create(f, nr.table, &args, &nr.volume));
	nr.ram->fail_after = 0;
	nr_open(f, &nr);
	nexus_close(f, nr.nexus);
	nr.nexus = NULL;
	/* and what is gone after all was destroyed */
	assert_int_equal(records(&nr), 1);
	nr.ram->fail_after = -EIO;
	assert_int_equal(nexus_destroy(f, nr.table, &nr.volume),
			 -EIO); /* not even sealed, perhaps */
	fiber_clear(f);
	nr.ram->fail_after = 0;
	nr_ok(f, nexus_destroy(f, nr.table, &nr.volume));
	assert_int_equal(records(&nr), 0);
	nr_stop(f, &nr);
}

/* CR3: what a silent store leaves can be destroyed, or is not there. */
RIG_TEST(a_store_that_falls_silent_leaves_no_member_told)
{
	const struct nexus_create_args args = { .name = "w", .uris = nr_uris, .count = 2 };
	struct nexus_rig nr;
	struct uuid volume;

	nr_start(f, rig, &nr, 0);
	nr.ram->fall_silent = -ETIMEDOUT;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -ETIMEDOUT, "told to fail");
	nr.ram->fail_before = 0;
	assert_true(is_free(f, 0) && is_free(f, 1));
	assert_int_equal(records(&nr), 1);
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EEXIST, "volume 'w' exists");
	nr_stop(f, &nr);
}

/* ---- destroy ------------------------------------------------------------------------------- */

/* BG3: also when the replicas' fences are beyond a new volume's first epoch. */
RIG_TEST(what_is_destroyed_can_be_used_anew)
{
	const struct nexus_create_args args = { .name = "again", .uris = nr_uris, .count = 3 };
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	for (unsigned i = 0; i < 5; i++) {
		nexus_close(f, nr.nexus);
		nr_open(f, &nr);
	}
	nr_put(f, "nexus:///v", 7, 1, 0x44);
	nexus_close(f, nr.nexus);
	nr_ok(f, nexus_destroy(f, nr.table, &nr.volume));
	assert_int_equal(records(&nr), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(is_free(f, i));
	nr_ok(f, nexus_create(f, nr.table, &args, &nr.volume));
	nr_open(f, &nr);
	nexus_info(nr.nexus, &info);
	assert_true(info.epoch > 6);
	nr_ok(f, nexus_settle(f, nr.nexus));
	nexus_info(nr.nexus, &info);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(info.children[i].state, NEXUS_CHILD_IN_SYNC);
		assert_true(i == 0 || info.children[i].copied_bytes > 0); /* they held something */
	}
	nr_put(f, "nexus:///again", 9, 1, 0x45);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(a_volume_that_may_be_in_use_stays)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nexus_abandon(f, nr.nexus);
	nr_refused(f, nexus_destroy(f, nr.table, &nr.volume), -EBUSY,
		   "volume 'v' is in use, or was not closed");
	assert_false(is_free(f, 0) || is_free(f, 1));
	nr_open(f, &nr);
	nexus_close(f, nr.nexus);
	nr.nexus = NULL;
	nr_ok(f, nexus_destroy(f, nr.table, &nr.volume));
	nr_stop(f, &nr);
}

RIG_TEST(who_cannot_be_reached_when_it_goes_is_taken_by_force)
{
	struct nexus_create_args args = { .name = "w", .uris = nr_uris, .count = 2 };
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nexus_close(f, nr.nexus);
	nr.nexus = NULL;
	nr_break(&nr, 1);
	nr_ok(f, nexus_destroy(f, nr.table, &nr.volume));
	assert_non_null(strstr(rig->log_text, "a child was let go, and does not know of it"));
	nr_repair(f, &nr, 1);
	assert_true(is_free(f, 0) && !is_free(f, 1));
	nr_refused(f, nexus_create(f, nr.table, &args, &nr.volume), -EBUSY,
		   "child 'pool:///p1/r' is a replica of volume");
	assert_true(is_free(f, 0));
	args.force = true;
	nr_ok(f, nexus_create(f, nr.table, &args, &nr.volume));
	nr_open(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(a_child_that_is_removed_is_given_back)
{
	const struct nexus_create_args args = { .name = "w", .uris = &nr_uris[2], .count = 1 };
	struct nexus_rig nr;
	struct uuid volume;

	nr_start(f, rig, &nr, 3);
	nr_put(f, "nexus:///v", 7, 1, 0x44);
	nr_ok(f, nexus_remove_child(f, nr.nexus, nr_uris[2]));
	assert_true(is_free(f, 2));
	nr_ok(f, nexus_create(f, nr.table, &args, &volume));
	nr_ok(f, nexus_destroy(f, nr.table, &volume));
	nr_stop(f, &nr);
}

static int remove_last(struct fiber *f, void *arg)
{
	struct nexus_rig *nr = arg;

	return nexus_remove_child(f, nr->nexus, nr_uris[2]);
}

/* A crash before the record forgets it leaves a member, not a replica of a volume that does not know it (ME4). */
RIG_TEST(a_child_is_given_back_before_the_record_forgets_it)
{
	struct fiber *remover;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[2]));
	nr.ram->fail_before = -EIO;
	nr_ok(f, fiber_start(fiber_reactor(f), "remover", remove_last, &nr, &remover));
	nr_ok(f, fiber_sleep(f, 500000000));
	assert_true(is_free(f, 2));
	nr.ram->fail_before = 0;
	nr_ok(f, fiber_join(f, remover));
	nr_stop(f, &nr);
}

/* ---- without memory ------------------------------------------------------------------------------ */

/* A volume's whole life; the first error, and what is left is put right. */
static int live(struct fiber *f, struct nexus_rig *nr, const char *const *uris)
{
	const struct nexus_create_args args = {
		.name = "w", .uris = uris, .count = 1, .size_bytes = 8 << 20
	};
	int r = nexus_create(f, nr->table, &args, &nr->volume);

	if (r == 0)
		r = nexus_open(f, nr->table, &nr->volume, false, &nr->nexus);
	if (r == 0)
		r = nexus_resize(f, nr->nexus, 12 << 20);
	if (nr->nexus)
		nexus_close(f, nr->nexus);
	nr->nexus = NULL;
	return r < 0 ? r : nexus_destroy(f, nr->table, &nr->volume);
}

static void put_right(struct fiber *f, struct nexus_rig *nr)
{
	fiber_clear(f);
	if (records(nr) == 0 || nexus_destroy(f, nr->table, &nr->volume) == 0)
		return;
	/* a volume that was not closed: opened once more, it can be */
	fiber_clear(f);
	nr_open(f, nr);
	nexus_close(f, nr->nexus);
	nr->nexus = NULL;
	nr_ok(f, nexus_destroy(f, nr->table, &nr->volume));
}

RIG_TEST(each_allocation_may_fail)
{
	const char *uris[] = { PLAIN };
	struct bdev *keep = rig_open(f, PLAIN);
	uint64_t failures, n = 0;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 0);
	do {
		failures = rig->heap.failures;
		rig->heap.fail_at = rig->heap.allocs + ++n;
		int r = live(f, &nr, uris);
		rig->heap.fail_at = 0;
		if (rig->heap.failures == failures) {
			nr_ok(f, r);
			break;
		}
		put_right(f, &nr);
		assert_int_equal(records(&nr), 0);
		assert_true(is_blank(f, PLAIN));
	} while (n < 2000);
	assert_in_range(n, 100, 1999);
	nr_stop(f, &nr);
	bdev_close(f, keep);
}

/* ---- the lease, and states -------------------------------------------------------------------- */

struct reader {
	struct bdev_chan *chan;
	bool is_done;
};

static int reader_main(struct fiber *f, void *arg)
{
	struct reader *r = arg;
	uint8_t buf[512];

	nr_ok(f, bdev_read(f, r->chan, 0, 1, buf));
	r->is_done = true;
	return 0;
}

/*
 * LEASE: a process that was stopped in the middle of a turn of its loop (SIGSTOP) has a clock as old
 * as the turn. Whatever comes in the same turn is not served by it.
 */
RIG_TEST(a_lease_that_ended_within_a_turn_of_the_loop_is_seen)
{
	struct reader reader = { 0 };
	struct lease *lease;
	struct fiber *fiber;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	struct bdev *bdev = rig_open(f, "nexus:///v");
	reader.chan = rig_chan(f, bdev);
	lease = nexus_table_lease(nr.table);
	uint64_t good_until_ns = lease->good_until_ns;
	fiber_yield(f); /* a turn begins */
	lease->good_until_ns = io_now(fiber_io(f)) + 1;
	while (io_now(fiber_io(f)) <= lease->good_until_ns)
		;
	assert_true(reactor_now(fiber_reactor(f)) < lease->good_until_ns);
	assert_int_equal(fiber_start(fiber_reactor(f), "reader", reader_main, &reader, &fiber), 0);
	nr_ok(f, fiber_sleep(f, 20000000));
	assert_false(reader.is_done);
	lease->good_until_ns = good_until_ns;
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_true(reader.is_done);
	bdev_chan_close(f, reader.chan);
	bdev_close(f, bdev);
	nr_stop(f, &nr);
}

static void lives_go_by_the_tables(void **state)
{
	(void)state;
	for (unsigned to = NEXUS_OPENING; to <= NEXUS_CLOSING; to++) {
		assert_false(nexus_may_become((enum nexus_state)to, NEXUS_OPENING));
		assert_int_equal(nexus_may_become(NEXUS_DEPOSED, (enum nexus_state)to),
				 to == NEXUS_CLOSING);
		if (to != NEXUS_CLOSING)
			assert_true(nexus_may_become((enum nexus_state)to, NEXUS_CLOSING));
	}
	assert_false(nexus_may_become(NEXUS_OPENING, NEXUS_FROZEN));
	for (unsigned from = NEXUS_CHILD_OUT; from <= NEXUS_CHILD_DROPPING; from++) {
		assert_int_equal(nexus_child_may_become((enum nexus_child_state)from,
							NEXUS_CHILD_OPENING),
				 from == NEXUS_CHILD_OUT);
		assert_int_equal(nexus_child_may_become((enum nexus_child_state)from,
							NEXUS_CHILD_DROPPING),
				 from == NEXUS_CHILD_IN_SYNC);
	}
	assert_false(nexus_child_may_become(NEXUS_CHILD_DROPPING, NEXUS_CHILD_IN_SYNC));
	assert_false(nexus_child_may_become(NEXUS_CHILD_OUT, NEXUS_CHILD_IN_SYNC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_created_by_half_is_undone),
		cmocka_unit_test(a_record_that_is_there_after_all_was_created),
		cmocka_unit_test(a_store_that_falls_silent_leaves_no_member_told),
		cmocka_unit_test(what_is_destroyed_can_be_used_anew),
		cmocka_unit_test(a_volume_that_may_be_in_use_stays),
		cmocka_unit_test(who_cannot_be_reached_when_it_goes_is_taken_by_force),
		cmocka_unit_test(a_child_that_is_removed_is_given_back),
		cmocka_unit_test(a_child_is_given_back_before_the_record_forgets_it),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(a_lease_that_ended_within_a_turn_of_the_loop_is_seen),
		cmocka_unit_test(lives_go_by_the_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
