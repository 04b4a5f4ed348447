// SPDX-License-Identifier: Apache-2.0
/* Members fail, the store fails, the lease ends: what is acknowledged, and what is not. */
#include "nexus_rig.h"

#include "drivers/fault.h"
#include "nexus/nexus_priv.h"

static void user_reads(struct fiber *f, struct nexus_user *u, uint64_t lba, uint8_t byte)
{
	uint8_t buf[512];

	nr_ok(f, bdev_read(f, u->chan, lba, 1, buf));
	assert_int_equal(buf[99], byte);
}

static void member_is(struct fiber *f, struct nexus_user *u, unsigned i,
		      enum volume_member_state state)
{
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	uint64_t revision;

	nr_ok(f, volume_get(f, u->nr.store, &u->nr.volume, rec, &revision));
	assert_int_equal(rec->members[i].state, state);
	mem_free(rec);
}

RIG_TEST(a_write_that_one_member_fails_is_acknowledged_without_it)
{
	struct nexus_user u;

	nr_user_start(f, rig, &u, 3);
	assert_int_equal(nr_user_write(f, &u, 5, 1), 0);
	nr_break(&u.nr, 1);
	assert_int_equal(nr_user_write(f, &u, 5, 2), 0);
	member_is(f, &u, 1, VOLUME_OUT);
	member_is(f, &u, 0, VOLUME_IN_SYNC);
	assert_int_equal(u.nr.nexus->state, NEXUS_SERVING);
	for (unsigned i = 0; i < 20; i++)
		user_reads(f, &u, 5, 2);
	nr_check_equal(f, &u.nr);
	nr_user_stop(f, &u);
}

/* ME6: its fiber is to close it and to try it again, and begins only now. */
RIG_TEST(a_member_that_failed_just_now_can_be_removed)
{
	struct nexus_user u;

	nr_user_start(f, rig, &u, 3);
	assert_int_equal(nr_user_write(f, &u, 5, 1), 0);
	nr_break(&u.nr, 1);
	assert_int_equal(nr_user_write(f, &u, 5, 2), 0);
	struct nexus_child *child = &u.nr.nexus->child[1];
	nr_ok(f, nexus_remove_child(f, u.nr.nexus, nr_uris[1]));
	assert_false(child->is_used || child->rebuild.has_fiber);
	assert_null(child->bdev);
	nr_ok(f, fiber_sleep(f, UINT64_C(1500000000)));
	user_reads(f, &u, 5, 2);
	nr_user_stop(f, &u);
}

struct remover {
	struct nexus_user *u;
	int result;
};

static int remover_main(struct fiber *f, void *arg)
{
	struct remover *r = arg;

	r->result = nexus_remove_child(f, r->u->nr.nexus, nr_uris[0]);
	fiber_clear(f);
	return 0;
}

/* ME7: the second one waits for the first, and must not take another child for the one that is gone. */
RIG_TEST(a_child_that_two_remove_at_once_is_removed_once)
{
	struct remover removers[2];
	struct fiber *fibers[2];
	struct nexus_info info;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 3);
	for (unsigned i = 0; i < 2; i++) {
		removers[i] = (struct remover){ .u = &u };
		nr_ok(f, fiber_start(fiber_reactor(f), "remover", remover_main, &removers[i],
				     &fibers[i]));
		while (u.nr.nexus->child[0].state != NEXUS_CHILD_OUT ||
		       u.nr.nexus->state != NEXUS_SERVING)
			fiber_yield(f);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fiber_join(f, fibers[i]), 0);
	assert_int_equal(removers[0].result + removers[1].result, -ENOENT); /* one of them */
	nexus_info(u.nr.nexus, &info);
	assert_int_equal(info.count, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(info.children[i].uri, nr_uris[i + 1]);
		assert_int_equal(info.children[i].state, NEXUS_CHILD_IN_SYNC);
		member_is(f, &u, i, VOLUME_IN_SYNC);
	}
	nr_user_stop(f, &u);
}

/* ---- PERSIST ------------------------------------------------------------------------- */

struct writer {
	struct nexus_user *u;
	int result;
	bool is_done;
};

static int writer_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	w->result = nr_user_write(f, w->u, 5, 2);
	w->is_done = true;
	return 0;
}

RIG_TEST(nothing_is_acknowledged_before_the_record_says_so)
{
	struct fiber *fiber;
	struct nexus_user u;
	struct writer w = { .u = &u };

	nr_user_start(f, rig, &u, 3);
	assert_int_equal(nr_user_write(f, &u, 5, 1), 0);
	nr_break(&u.nr, 1);
	u.nr.ram->fail_before = -ETIMEDOUT;
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	nr_ok(f, fiber_sleep(f, 300000000));
	assert_false(w.is_done);
	assert_int_equal(u.nr.nexus->state, NEXUS_FROZEN);
	/* READDROP: reads go on, without the failed one */
	assert_false(nexus_has(u.nr.nexus->readable, 1));
	for (unsigned i = 0; i < 10; i++)
		user_reads(f, &u, 9, 0);
	u.nr.ram->fail_before = 0;
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(w.result, 0);
	member_is(f, &u, 1, VOLUME_OUT);
	nr_user_stop(f, &u);
}

/* ST4: it was written, though the store said it failed. */
RIG_TEST(a_record_that_was_written_after_all_is_ours)
{
	struct nexus_user u;

	nr_user_start(f, rig, &u, 3);
	nr_break(&u.nr, 1);
	u.nr.ram->fail_after = -EIO;
	struct fiber *fiber;
	struct writer w = { .u = &u };
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	nr_ok(f, fiber_sleep(f, 250000000));
	u.nr.ram->fail_after = 0;
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(w.result, 0);
	assert_int_equal(u.nr.nexus->state, NEXUS_SERVING);
	nr_user_stop(f, &u);
}

RIG_TEST(a_frozen_volume_that_was_taken_acknowledges_nothing)
{
	struct nexus_table_opts opts = { .instance = { { 2 } } };
	struct nexus_table *other;
	struct nexus *taken;
	struct fiber *fiber;
	struct nexus_user u;
	struct writer w = { .u = &u };

	nr_user_start(f, rig, &u, 3);
	opts.store = u.nr.store;
	nr_ok(f, nexus_table_new(f, &opts, &other));
	nr_break(&u.nr, 1);
	u.nr.ram->delay_ns = 20000000;
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	/* in the store the new owner is first: it takes the volume with the members it can have */
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	uint64_t revision;
	u.nr.ram->delay_ns = 0;
	nr_ok(f, volume_get(f, u.nr.store, &u.nr.volume, rec, &revision));
	rec->epoch++;
	rec->owner = opts.instance;
	nr_ok(f, volume_put(f, u.nr.store, rec, &revision));
	mem_free(rec);
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(w.result, -ESTALE);
	assert_int_equal(u.nr.nexus->state, NEXUS_DEPOSED);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	nr_repair(f, &u.nr, 1);
	nr_ok(f, nexus_open(f, other, &u.nr.volume, false, &taken));
	nexus_close(f, taken);
	nexus_table_free(f, other);
	nr_stop(f, &u.nr);
}

/* ---- LASTONE -------------------------------------------------------------------------- */

RIG_TEST(the_last_member_stays_and_requests_wait)
{
	struct fiber *fiber;
	struct nexus_user u;
	struct writer w = { .u = &u };

	nr_user_start(f, rig, &u, 2);
	nr_break(&u.nr, 0);
	nr_break(&u.nr, 1);
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	nr_ok(f, fiber_sleep(f, 50000000));
	assert_false(w.is_done);
	assert_int_equal(u.nr.nexus->state, NEXUS_STOPPED);
	unsigned in_sync = 0;
	for (unsigned i = 0; i < 2; i++)
		in_sync += u.nr.nexus->rec.members[i].state == VOLUME_IN_SYNC;
	assert_true(in_sync >= 1);
	/* given up, it is told so: not done */
	struct nexus *n = u.nr.nexus;
	n->opens--; /* this channel stays open while the nexus ends its requests */
	nexus_refuse_all(n);
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(w.result, -ENODEV);
	n->opens++;
	nr_user_let_go(f, &u);
	nexus_close(f, n);
	u.nr.nexus = NULL;
	nr_repair(f, &u.nr, 0);
	nr_repair(f, &u.nr, 1);
	nr_open(f, &u.nr);
	assert_int_equal(u.nr.nexus->state, NEXUS_SERVING);
	nr_ok(f, nexus_settle(f, u.nr.nexus));
	nr_check_equal(f, &u.nr);
	nr_stop(f, &u.nr);
}

/* ---- no space (B.8) ---------------------------------------------------------------------- */

/* Nobody has space: the write fails; members may differ then, so they are made equal, and stay. */
RIG_TEST(without_space_a_write_fails_and_members_are_made_equal)
{
	const char *below[] = { "malloc:///m0?size_mb=16", "malloc:///m1?size_mb=16" };
	const char *plain[] = { "fault:///f0?on=malloc:///m0?size_mb=16",
				"fault:///f1?on=malloc:///m1?size_mb=16" };
	struct nexus_create_args args = { .name = "w", .uris = plain, .count = 2 };
	struct fault_rule rule = {
		.ops = 1u << BIO_WRITE, .last = UINT64_MAX, .count = 1, .status = -ENOSPC
	};
	struct bdev *keep[2] = { rig_open(f, below[0]), rig_open(f, below[1]) };
	struct bdev *faults[2];
	struct nexus_info info;
	struct nexus *nexus;
	struct nexus_user u;

	nr_start(f, rig, &u.nr, 0);
	nr_ok(f, nexus_create(f, u.nr.table, &args, &u.nr.volume));
	nr_ok(f, nexus_open(f, u.nr.table, &u.nr.volume, false, &nexus));
	nr_ok(f, nexus_settle(f, nexus));
	u.bdev = rig_open(f, "nexus:///w");
	u.chan = rig_chan(f, u.bdev);
	assert_int_equal(nr_user_write(f, &u, 1000, 1), 0);
	nr_put(f, below[1], LABEL_DATA / 512 + 1000, 1,
	       9); /* a part of what failed was done there */
	for (unsigned i = 0; i < 2; i++) {
		faults[i] = rig_open(f, plain[i]);
		nr_ok(f, fault_set_rules(f, faults[i], &rule, 1));
	}
	assert_int_equal(nr_user_write(f, &u, 1000, 2), -ENOSPC);
	nexus_info(nexus, &info);
	assert_int_equal(info.state, NEXUS_SERVING);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(info.children[i].state, NEXUS_CHILD_IN_SYNC);
		assert_int_equal(nr_get(f, below[i], LABEL_DATA / 512 + 1000), 1);
	}
	assert_int_equal(nr_user_write(f, &u, 1000, 3), 0);
	nr_user_let_go(f, &u);
	for (unsigned i = 0; i < 2; i++)
		bdev_close(f, faults[i]);
	nexus_close(f, nexus);
	for (unsigned i = 0; i < 2; i++)
		bdev_close(f, keep[i]);
	nr_stop(f, &u.nr);
}

/* ---- takeover without a member --------------------------------------------------------- */

RIG_TEST(who_cannot_be_had_is_left_out_of_the_record)
{
	struct nexus_info info;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 3);
	assert_int_equal(nr_user_write(f, &u, 5, 1), 0);
	nr_user_let_go(f, &u);
	nexus_abandon(f, u.nr.nexus);
	u.nr.nexus = NULL;
	nr_break(&u.nr, 2);
	nr_open(f, &u.nr);
	nexus_info(u.nr.nexus, &info);
	assert_int_equal(info.state, NEXUS_SERVING);
	assert_int_equal(info.resync_bytes, NEXUS_REGION_BYTES);
	nr_ok(f, nexus_settle(f, u.nr.nexus));
	member_is(f, &u, 2, VOLUME_OUT);
	nexus_info(u.nr.nexus, &info);
	assert_int_equal(info.children[2].state, NEXUS_CHILD_OUT);
	nr_stop(f, &u.nr);
}

RIG_TEST(a_replica_made_anew_is_not_the_member_it_was)
{
	const struct replica_create_args args = { .name = "r", .size_bytes = NR_SIZE };
	struct nexus_info info;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	assert_int_equal(nr_user_write(f, &u, 5, 1), 0);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	nr_ok(f, replica_destroy(f, u.nr.pool[0], "r"));
	nr_ok(f, pool_reap_wait(f, u.nr.pool[0]));
	nr_ok(f, replica_create(f, u.nr.pool[0], &args));
	nr_open(f, &u.nr);
	nr_ok(f, nexus_settle(f, u.nr.nexus));
	nexus_info(u.nr.nexus, &info);
	assert_int_equal(info.children[0].state, NEXUS_CHILD_IN_SYNC); /* rebuilt */
	assert_true(info.children[0].copied_bytes > 0);
	u.bdev = rig_open(f, "nexus:///v");
	u.chan = rig_chan(f, u.bdev);
	for (unsigned i = 0; i < 8; i++)
		user_reads(f, &u, 5, 1);
	nr_user_stop(f, &u);
}

/* ---- LEASE --------------------------------------------------------------------------------- */

static int reader_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;
	uint8_t buf[512];

	w->result = bdev_read(f, w->u->chan, 5, 1, buf);
	w->is_done = true;
	return 0;
}

RIG_TEST(without_a_lease_nothing_is_read)
{
	struct nexus_table_opts opts = { .instance = { { 3 } }, .lease_ttl_ms = 200 };
	struct nexus_table *table;
	struct fiber *fiber;
	struct nexus_user u;
	struct writer w = { .u = &u };

	nr_user_start(f, rig, &u, 2);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	nexus_table_free(f, u.nr.table);
	opts.store = u.nr.store;
	nr_ok(f, nexus_table_new(f, &opts, &table));
	u.nr.table = rig->env.nexuses = table;
	nr_open(f, &u.nr);
	u.bdev = rig_open(f, "nexus:///v");
	u.chan = rig_chan(f, u.bdev);
	assert_int_equal(nr_user_write(f, &u, 5, 1), 0);
	u.nr.ram->fail_before = -ETIMEDOUT;
	while (lease_holds(nexus_table_lease(table), io_now(fiber_io(f))))
		nr_ok(f, fiber_sleep(f, 10000000));
	assert_int_equal(fiber_start(fiber_reactor(f), "reader", reader_main, &w, &fiber), 0);
	nr_ok(f, fiber_sleep(f, 200000000));
	assert_false(w.is_done);
	u.nr.ram->fail_before = 0;
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(w.result, 0);
	nr_user_stop(f, &u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_that_one_member_fails_is_acknowledged_without_it),
		cmocka_unit_test(a_member_that_failed_just_now_can_be_removed),
		cmocka_unit_test(a_child_that_two_remove_at_once_is_removed_once),
		cmocka_unit_test(nothing_is_acknowledged_before_the_record_says_so),
		cmocka_unit_test(a_record_that_was_written_after_all_is_ours),
		cmocka_unit_test(a_frozen_volume_that_was_taken_acknowledges_nothing),
		cmocka_unit_test(the_last_member_stays_and_requests_wait),
		cmocka_unit_test(without_space_a_write_fails_and_members_are_made_equal),
		cmocka_unit_test(who_cannot_be_had_is_left_out_of_the_record),
		cmocka_unit_test(a_replica_made_anew_is_not_the_member_it_was),
		cmocka_unit_test(without_a_lease_nothing_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
