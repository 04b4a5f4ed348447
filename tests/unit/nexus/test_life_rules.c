// SPDX-License-Identifier: Apache-2.0
/* One rule each, seen by itself: what planted faults showed the other tests do not notice. */
#include "nexus_rig.h"

#include "drivers/fault.h"
#include "nexus/copy_priv.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"

struct writer {
	struct nexus_user *u;
	uint64_t lba;
	bool is_done;
};

static int writer_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	nr_ok(f, nr_user_write(f, w->u, w->lba, 1));
	w->is_done = true;
	return 0;
}

static int writer_main_refused(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	assert_int_equal(nr_user_write(f, w->u, w->lba, 1), -ENODEV);
	fiber_clear(f);
	return 0;
}

/* LOCK. */
RIG_TEST(who_writes_in_a_held_range_waits_and_nobody_else)
{
	struct nexus_user u;
	struct writer in = { .u = &u, .lba = 107 }, out = { .u = &u, .lba = 108 };
	struct fiber *fibers[2];
	struct nexus_range range;

	nr_user_start(f, rig, &u, 2);
	range_hold(f, u.nr.nexus, &range, 100, 8);
	assert_int_equal(fiber_start(fiber_reactor(f), "in", writer_main, &in, &fibers[0]), 0);
	assert_int_equal(fiber_start(fiber_reactor(f), "out", writer_main, &out, &fibers[1]), 0);
	assert_int_equal(fiber_join(f, fibers[1]), 0);
	nr_ok(f, fiber_sleep(f, 20000000));
	assert_true(out.is_done && !in.is_done);
	range_release(u.nr.nexus, &range);
	assert_int_equal(fiber_join(f, fibers[0]), 0);
	nr_user_let_go(f, &u);
	nr_stop(f, &u.nr);
}

static uint64_t flushes(struct fiber *f, struct bdev *bdev)
{
	struct bdev_stats stats;

	nr_ok(f, bdev_stats_get(f, bdev, &stats, NULL));
	return stats.op[BIO_FLUSH].ops;
}

/* TO2: what was copied is durable before the marks go; AC3, NX2: what was written, too. */
RIG_TEST(marks_go_only_after_a_flush)
{
	struct bdev *replicas[2];
	uint64_t before[2];
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	nr_ok(f, nr_user_write(f, &u, 7, 1));
	nr_user_let_go(f, &u);
	for (unsigned i = 0; i < 2; i++)
		replicas[i] = rig_open(f, nr_uris[i]);
	nexus_abandon(f, u.nr.nexus);
	for (unsigned i = 0; i < 2; i++)
		before[i] = flushes(f, replicas[i]);
	nr_open(f, &u.nr);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(flushes(f, replicas[i]) > before[i]);
	}
	/* closed with a region marked: before its mark goes, and for what is on it */
	u.bdev = rig_open(f, "nexus:///v");
	u.chan = rig_chan(f, u.bdev);
	nr_ok(f, nr_user_write(f, &u, 7, 2));
	nr_user_let_go(f, &u);
	for (unsigned i = 0; i < 2; i++)
		before[i] = flushes(f, replicas[i]);
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(flushes(f, replicas[i]) >= before[i] + 2);
		bdev_close(f, replicas[i]);
	}
	nr_stop(f, &u.nr);
}

/* FINAL: once for what was copied, and once more behind the gate for what was written since. */
RIG_TEST(who_is_admitted_was_flushed_behind_the_gate)
{
	struct bdev *replica;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	replica = rig_open(f, nr_uris[1]);
	nr_ok(f, nexus_offline_child(f, u.nr.nexus, nr_uris[1]));
	nr_ok(f, nr_user_write(f, &u, 7, 1));
	uint64_t before = flushes(f, replica);
	nr_ok(f, nexus_online_child(f, u.nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, u.nr.nexus));
	assert_true(flushes(f, replica) >= before + 2);
	bdev_close(f, replica);
	nr_user_let_go(f, &u);
	nr_stop(f, &u.nr);
}

/* CH4: the record may be wrong of a member, but not the member of itself. */
RIG_TEST(who_says_it_is_not_in_sync_is_not_read_from)
{
	const struct replica_info info = { .state = REPLICA_INCONSISTENT, .gen = { 0, 1 } };
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	struct bdev *bdev = rig_open(f, nr_uris[1]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	nr_ok(f, bdev_replica_ops(chan)->set(f, chan, UINT64_MAX,
					     REPLICA_SET_STATE | REPLICA_SET_GEN, &info));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nr_open(f, &u.nr);
	assert_int_equal(u.nr.nexus->readable, 1);
	nr_ok(f, nexus_settle(f, u.nr.nexus));
	assert_int_equal(u.nr.nexus->readable, 3); /* rebuilt */
	nr_stop(f, &u.nr);
}

/* LE3: in a new term of the lease the record is read before anything is served. */
RIG_TEST(after_a_lapse_of_the_lease_the_record_is_asked)
{
	struct volume_record *rec;
	uint64_t revision;
	struct nexus_user u;
	uint8_t buf[512];

	nr_user_start(f, rig, &u, 2);
	nexus_table_lease(u.nr.table)->term++; /* it lapsed, and was renewed */
	nr_ok(f, bdev_read(f, u.chan, 7, 1, buf));
	rec = mem_new(fiber_io(f), sizeof(*rec));
	nr_ok(f, volume_get(f, u.nr.store, &u.nr.volume, rec, &revision));
	rec->epoch++;
	rec->owner = (struct uuid){ { 9 } };
	nr_ok(f, volume_put(f, u.nr.store, rec, &revision));
	mem_free(rec);
	nr_ok(f, bdev_read(f, u.chan, 7, 1, buf)); /* it is not asked all the time */
	nexus_table_lease(u.nr.table)->term++;
	assert_int_equal(bdev_read(f, u.chan, 7, 1, buf), -ESTALE);
	fiber_clear(f);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	nr_stop(f, &u.nr);
}

/* SESSION: who comes back has a larger token, so that what was sent under the old one is late. */
RIG_TEST(who_comes_back_has_a_larger_token)
{
	struct nexus_info info;
	struct nexus_user u;
	uint64_t before;

	nr_user_start(f, rig, &u, 2);
	nexus_info(u.nr.nexus, &info);
	before = info.children[1].token;
	assert_int_not_equal(before, info.children[0].token);
	nr_ok(f, nexus_offline_child(f, u.nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_online_child(f, u.nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, u.nr.nexus));
	nexus_info(u.nr.nexus, &info);
	assert_true(info.children[1].token > before);
	nr_user_let_go(f, &u);
	nr_stop(f, &u.nr);
}

/* NX2: a member that failed a write nobody was told of is in the record: it is not clean. */
RIG_TEST(a_volume_that_stopped_is_not_left_clean)
{
	struct volume_record *rec;
	struct writer w = { .lba = 7 };
	struct fiber *fiber;
	uint64_t revision;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	w.u = &u;
	u.nr.ram->fail_before = -ETIMEDOUT; /* frozen */
	nr_break(&u.nr, 1);
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main_refused, &w, &fiber),
			 0);
	while (u.nr.nexus->state != NEXUS_FROZEN)
		nr_ok(f, fiber_sleep(f, 1000000));
	u.nr.nexus->opens--; /* this channel stays open while the nexus ends its requests */
	nexus_refuse_all(u.nr.nexus);
	assert_int_equal(fiber_join(f, fiber), 0);
	u.nr.nexus->opens++;
	nr_user_let_go(f, &u);
	u.nr.ram->fail_before = 0;
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	rec = mem_new(fiber_io(f), sizeof(*rec));
	nr_ok(f, volume_get(f, u.nr.store, &u.nr.volume, rec, &revision));
	assert_false(rec->clean);
	mem_free(rec);
	nr_repair(f, &u.nr, 1);
	nr_stop(f, &u.nr);
}

/* CP2: where unmapping does not read as zeros, zeros are written. */
RIG_TEST(holes_are_zeros_on_disks_that_do_not_unmap_to_zeros)
{
	const char *uris[] = { "malloc:///s0?size_mb=16", "malloc:///s1?size_mb=16" };
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = 2 };
	struct bdev *keep[] = { rig_open(f, uris[0]), rig_open(f, uris[1]) };
	struct bdev_stats stats;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 0);
	keep[1]->unmap_zeroes = false;
	nr_ok(f, nexus_create(f, nr.table, &args, &nr.volume));
	nr_ok(f, bdev_stats_reset(f, keep[1]));
	nr_open(f, &nr);
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(nr.nexus->readable, 3);
	nr_ok(f, bdev_stats_get(f, keep[1], &stats, NULL));
	assert_int_equal(stats.op[BIO_UNMAP].ops, 0);
	assert_true(stats.op[BIO_ZEROES].ops > 0);
	nr_stop(f, &nr);
	bdev_close(f, keep[0]);
	bdev_close(f, keep[1]);
}

/* ME2: a write that found no space leaves members equal, or out, whatever memory there is. */
RIG_TEST(without_space_and_memory_members_do_not_differ)
{
	const char *below[] = { "malloc:///s0?size_mb=16", "malloc:///s1?size_mb=16" };
	const char *uris[] = { "fault:///f0?on=malloc:///s0?size_mb=16",
			       "fault:///f1?on=malloc:///s1?size_mb=16" };
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = 2 };
	const struct fault_rule rule = {
		.ops = 1u << BIO_WRITE, .last = UINT64_MAX, .count = 1, .status = -ENOSPC
	};
	struct bdev *keep[2], *faults[2];
	struct bdev_chan *chans[2];
	uint8_t block[2][512];
	struct nexus_user u;

	nr_start(f, rig, &u.nr, 0);
	u.nr.table->retry_ms = 10;
	for (unsigned i = 0; i < 2; i++) {
		keep[i] = rig_open(f, below[i]);
		chans[i] = rig_chan(f, keep[i]);
	}
	nr_ok(f, nexus_create(f, u.nr.table, &args, &u.nr.volume));
	nr_open(f, &u.nr);
	nr_ok(f, nexus_settle(f, u.nr.nexus));
	u.bdev = rig_open(f, "nexus:///v");
	u.chan = rig_chan(f, u.bdev);
	for (unsigned n = 1; n < 8; n++) {
		while (u.nr.nexus->readable != 3)
			nr_ok(f, fiber_sleep(f, 1000000));
		memset(block[1], (int)n,
		       sizeof(block[1])); /* a part of what fails was done there */
		nr_ok(f, bdev_write(f, chans[1], LABEL_DATA / 512 + 7, 1, block[1], 0));
		for (unsigned i = 0; i < 2; i++) {
			faults[i] = rig_open(f, uris[i]);
			nr_ok(f, fault_set_rules(f, faults[i], &rule, 1));
			bdev_close(f, faults[i]);
		}
		rig->heap.fail_at = rig->heap.allocs + n;
		(void)nr_user_write(f, &u, 7,
				    99); /* it may stop the volume, and be done after all */
		fiber_clear(f);
		rig->heap.fail_at = 0;
		for (unsigned i = 0; i < 2; i++)
			nr_ok(f, bdev_read(f, chans[i], LABEL_DATA / 512 + 7, 1, block[i]));
		if (n > 1 &&
		    u.nr.nexus->readable == 3) /* the first is that of the request itself */
			assert_memory_equal(block[0], block[1], 512);
		for (unsigned i = 0; i < 2; i++) {
			faults[i] = rig_open(f, uris[i]);
			nr_ok(f, fault_set_rules(f, faults[i], NULL, 0));
			bdev_close(f, faults[i]);
		}
		nr_ok(f, bdev_write(f, chans[1], LABEL_DATA / 512 + 7, 1, block[0], 0));
	}
	nr_user_let_go(f, &u);
	nr_stop(f, &u.nr);
	for (unsigned i = 0; i < 2; i++) {
		bdev_chan_close(f, chans[i]);
		bdev_close(f, keep[i]);
	}
}

/* BG4: of another epoch, too. */
RIG_TEST(who_was_told_a_later_epoch_proves_the_record_old)
{
	const struct replica_info info = { .state = REPLICA_IN_SYNC, .gen = { 9, 1 } };
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	struct bdev *bdev = rig_open(f, nr_uris[1]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	nr_ok(f, bdev_replica_ops(chan)->set(f, chan, UINT64_MAX, REPLICA_SET_GEN, &info));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nr_refused(f, nexus_open(f, u.nr.table, &u.nr.volume, false, &u.nr.nexus), -EUCLEAN,
		   "generation 9.1 is newer");
	u.nr.nexus = NULL;
	nr_stop(f, &u.nr);
}

/* TO3. */
RIG_TEST(of_members_without_a_log_one_survives)
{
	const char *uris[] = { "malloc:///s0?size_mb=16", "malloc:///s1?size_mb=16" };
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = 2 };
	struct bdev *keep[] = { rig_open(f, uris[0]), rig_open(f, uris[1]) };
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 0);
	nr_ok(f, nexus_create(f, nr.table, &args, &nr.volume));
	nr_open(f, &nr);
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(nr.nexus->readable, 3);
	nexus_close(f, nr.nexus);
	nr_open(f, &nr); /* it was closed: they are equal */
	assert_int_equal(nr.nexus->readable, 3);
	nexus_abandon(f, nr.nexus);
	nr_open(f, &nr);
	assert_int_equal(nr.nexus->readable, 1);
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(nr.nexus->readable, 3);
	nr_stop(f, &nr);
	bdev_close(f, keep[0]);
	bdev_close(f, keep[1]);
}

/* LEASE: a member could not be fenced, so the owner that was may be reading from it. */
RIG_TEST(without_all_members_the_old_owners_lease_is_waited_out)
{
	static const struct uuid dead = { { 0xdd } };
	char key[STORE_KEY_MAX + 1], text[UUID_TEXT_SIZE];
	struct volume_record *rec;
	uint64_t revision, began;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 3);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	rec = mem_new(fiber_io(f), sizeof(*rec));
	nr_ok(f, volume_get(f, u.nr.store, &u.nr.volume, rec, &revision));
	rec->owner = dead;
	rec->clean = false;
	nr_ok(f, volume_put(f, u.nr.store, rec, &revision));
	mem_free(rec);
	snprintf(key, sizeof(key), "lease/%s", uuid_print(&dead, text));
	nr_ok(f, store_put(f, u.nr.store, key, STORE_ABSENT, "300 1", 5, &revision));
	began = io_now(fiber_io(f));
	nr_break(&u.nr, 2);
	nr_open(f, &u.nr);
	assert_true(io_now(fiber_io(f)) - began >= 300000000);
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	nr_stop(f, &u.nr);
}

/* OW1: another epoch is another owner, whoever it says it is. */
RIG_TEST(another_epoch_in_the_record_deposes)
{
	struct volume_record *rec;
	uint64_t revision;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 3);
	rec = mem_new(fiber_io(f), sizeof(*rec));
	nr_ok(f, volume_get(f, u.nr.store, &u.nr.volume, rec, &revision));
	rec->epoch++;
	nr_ok(f, volume_put(f, u.nr.store, rec, &revision));
	mem_free(rec);
	nr_break(&u.nr, 1);
	assert_int_equal(nr_user_write(f, &u, 7, 1), -ESTALE);
	fiber_clear(f);
	assert_int_equal(u.nr.nexus->state, NEXUS_DEPOSED);
	nr_user_let_go(f, &u);
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	nr_repair(f, &u.nr, 1);
	nr_stop(f, &u.nr);
}

/* RB1: a write that it failed while it was copied to is not on it. */
RIG_TEST(who_failed_a_write_while_rebuilt_is_not_admitted)
{
	struct nexus_child *child;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	u.nr.table->retry_ms = 20;
	child = &u.nr.nexus->child[1];
	nr_ok(f, nexus_offline_child(f, u.nr.nexus, nr_uris[1]));
	nr_ok(f, nr_user_write(f, &u, 7, 1));
	nr_ok(f, nexus_online_child(f, u.nr.nexus, nr_uris[1]));
	while (child->state != NEXUS_CHILD_REBUILDING || !nexus_has(u.nr.nexus->writable, 1))
		fiber_yield(f);
	retire(child, -EIO);			    /* as io.c does */
	while (child->state != NEXUS_CHILD_IN_SYNC) /* by another rebuild */
		nr_ok(f, fiber_sleep(f, 1000000));
	assert_true(nexus_has(u.nr.nexus->writable, 1));
	nr_user_let_go(f, &u);
	nr_stop(f, &u.nr);
}

/* AC2: who failed is a member until that is recorded, whoever else joins or gives up meanwhile. */
RIG_TEST(who_failed_is_logged_for_until_the_record_is_without_it)
{
	struct nexus *n;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	n = u.nr.nexus;
	u.nr.ram->fail_before = -ETIMEDOUT;
	retire(&n->child[1], -EIO);
	assert_int_equal(n->writable, 1);
	active_switch(n); /* as a rebuild does that gives up */
	assert_true(n->active.is_on);
	nr_ok(f, fiber_sleep(f, 20000000));
	assert_int_equal(n->rec.members[0].state, VOLUME_IN_SYNC);
	assert_true(n->active.is_on && n->state == NEXUS_FROZEN);
	u.nr.ram->fail_before = 0;
	while (n->needed != 1)
		nr_ok(f, fiber_sleep(f, 1000000));
	active_switch(n);
	assert_false(n->active.is_on);
	nr_user_let_go(f, &u);
	nr_stop(f, &u.nr);
}

/* ---- CH5 ----------------------------------------------------------------------------------- */

static struct closing {
	const struct bdev_driver *real;
	struct bdev_driver driver;
	struct nexus_child *child;
	unsigned closed, asked;
} closing;

static int closing_answer(struct fiber *f, struct nexus_child *child, const void *what)
{
	(void)f;
	(void)child;
	(void)what;
	closing.asked++;
	return 0;
}

/* It takes a while, and others go on. */
static void closing_chan_close(struct fiber *f, struct bdev_chan *chan)
{
	struct nexus *n = closing.child->nexus;

	closing.closed++;
	assert_null(closing.child->chan);
	assert_int_equal(closing.child->inflight, 0);
	(void)ask_members(f, n, nexus_bit(closing.child), closing_answer, NULL, 0);
	assert_int_equal(fiber_sleep(f, 5000000), 0);
	if (closing.real->chan_close)
		closing.real->chan_close(f, chan);
}

RIG_TEST(a_child_that_is_being_closed_is_asked_nothing)
{
	struct nexus_child *child;
	struct nexus_user u;

	nr_user_start(f, rig, &u, 2);
	child = &u.nr.nexus->child[1];
	closing = (struct closing){ .real = child->bdev->driver, .child = child };
	closing.driver = *closing.real;
	closing.driver.chan_close = closing_chan_close;
	child->bdev->driver = &closing.driver;
	(void)ask_members(f, u.nr.nexus, nexus_bit(child), closing_answer, NULL, 0);
	assert_int_equal(closing.asked, 1);
	nr_ok(f, nexus_offline_child(f, u.nr.nexus, nr_uris[1]));
	assert_int_equal(closing.closed, 1);
	assert_int_equal(closing.asked, 1);
	nr_user_let_go(f, &u);
	nr_stop(f, &u.nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_writes_in_a_held_range_waits_and_nobody_else),
		cmocka_unit_test(who_failed_is_logged_for_until_the_record_is_without_it),
		cmocka_unit_test(a_child_that_is_being_closed_is_asked_nothing),
		cmocka_unit_test(marks_go_only_after_a_flush),
		cmocka_unit_test(another_epoch_in_the_record_deposes),
		cmocka_unit_test(who_failed_a_write_while_rebuilt_is_not_admitted),
		cmocka_unit_test(who_is_admitted_was_flushed_behind_the_gate),
		cmocka_unit_test(who_says_it_is_not_in_sync_is_not_read_from),
		cmocka_unit_test(after_a_lapse_of_the_lease_the_record_is_asked),
		cmocka_unit_test(who_comes_back_has_a_larger_token),
		cmocka_unit_test(a_volume_that_stopped_is_not_left_clean),
		cmocka_unit_test(holes_are_zeros_on_disks_that_do_not_unmap_to_zeros),
		cmocka_unit_test(without_space_and_memory_members_do_not_differ),
		cmocka_unit_test(who_was_told_a_later_epoch_proves_the_record_old),
		cmocka_unit_test(of_members_without_a_log_one_survives),
		cmocka_unit_test(without_all_members_the_old_owners_lease_is_waited_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
