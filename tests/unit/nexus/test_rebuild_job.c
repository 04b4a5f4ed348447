// SPDX-License-Identifier: Apache-2.0
/* A rebuild as a job: limited, paused, stopped, tried again, told of; and reads while members change. */
#include "nexus_rig.h"

#include "drivers/fault.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"

#define MS UINT64_C(1000000)

static struct nexus_rebuild_info job(struct nexus_rig *nr, unsigned i)
{
	struct nexus_info info;

	nexus_info(nr->nexus, &info);
	return info.children[i].rebuild;
}

static enum nexus_child_state state_of(struct nexus_rig *nr, unsigned i)
{
	struct nexus_info info;

	nexus_info(nr->nexus, &info);
	return info.children[i].state;
}

/* Two members with data, and a third that is rebuilt: whole. */
static void job_start(struct fiber *f, struct rig *rig, struct nexus_rig *nr, uint64_t limit)
{
	nr_start(f, rig, nr, 2);
	nr_put(f, "nexus:///v", 0, NR_BLOCKS / 2, 5);
	nexus_rebuild_limit(nr->nexus, limit);
	nr_ok(f, nexus_add_child(f, nr->nexus, nr_uris[2]));
}

RIG_TEST(it_keeps_to_its_limit_and_the_limit_may_change)
{
	const uint64_t rate = 32u << 20; /* 16 MiB: half a second */
	struct nexus_rebuild_record rec;
	struct nexus_rig nr;
	uint64_t start = io_now(fiber_io(f)), bytes, ns;

	job_start(f, rig, &nr, rate);
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(nexus_history(nr.nexus, &rec, 1), 1);
	bytes = rec.transferred_bytes;
	ns = io_now(fiber_io(f)) - start;
	assert_int_equal(bytes, NR_SIZE / 2);
	/* no faster than a tenth more; a slow machine may be slower */
	assert_true(ns >= bytes * 1000 / rate * 1000000 * 10 / 11);
	/* without the limit it would take for ever */
	nr_ok(f, nexus_remove_child(f, nr.nexus, nr_uris[2]));
	nexus_rebuild_limit(nr.nexus, 1);
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[2]));
	nr_ok(f, fiber_sleep(f, 20 * MS));
	assert_int_equal(job(&nr, 2).state, NEXUS_REBUILD_RUNNING);
	nexus_rebuild_limit(nr.nexus, 0);
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, 2), NEXUS_CHILD_IN_SYNC);
	nr_stop(f, &nr);
}

RIG_TEST(it_is_paused_and_goes_on)
{
	struct nexus_rig nr;
	uint64_t done;

	job_start(f, rig, &nr, 64u << 20);
	while (job(&nr, 2).recovered_bytes == 0)
		nr_ok(f, fiber_sleep(f, MS));
	nr_ok(f, nexus_rebuild_pause(f, nr.nexus, nr_uris[2]));
	nr_refused(f, nexus_rebuild_pause(f, nr.nexus, nr_uris[2]), -EALREADY, "runs");
	nexus_rebuild_limit(nr.nexus, 0);
	while (!list_empty(&nr.nexus->ranges)) /* segments in flight */
		nr_ok(f, fiber_sleep(f, MS));
	done = job(&nr, 2).recovered_bytes;
	assert_int_equal(job(&nr, 2).state, NEXUS_REBUILD_PAUSED);
	assert_true(job(&nr, 2).remaining_bytes > 0);
	nr_put(f, "nexus:///v", 0, 8, 6); /* it is written to meanwhile */
	nr_ok(f, fiber_sleep(f, 60 * MS));
	assert_int_equal(job(&nr, 2).recovered_bytes, done);
	nr_ok(f, nexus_rebuild_resume(f, nr.nexus, nr_uris[2]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, 2), NEXUS_CHILD_IN_SYNC);
	nr_refused(f, nexus_rebuild_resume(f, nr.nexus, nr_uris[2]), -EALREADY, "is paused");
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(stopped_it_stays_out_until_it_is_started)
{
	struct nexus_rig nr;

	job_start(f, rig, &nr, 1);
	nr.table->retry_ms = 5;
	while (state_of(&nr, 2) != NEXUS_CHILD_REBUILDING)
		nr_ok(f, fiber_sleep(f, MS));
	nr_ok(f, nexus_rebuild_stop(f, nr.nexus, nr_uris[2]));
	nr_refused(f, nexus_rebuild_stop(f, nr.nexus, nr_uris[2]), -EALREADY, "no rebuild to stop");
	assert_int_equal(state_of(&nr, 2), NEXUS_CHILD_OUT);
	nr_ok(f, fiber_sleep(f, 30 * MS));
	assert_int_equal(job(&nr, 2).state, NEXUS_REBUILD_STOPPED);
	nexus_rebuild_limit(nr.nexus, 0);
	nr_ok(f, nexus_rebuild_start(f, nr.nexus, nr_uris[2]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, 2), NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_rebuild_start(f, nr.nexus, nr_uris[2])); /* nothing to do */
	nr_refused(f, nexus_rebuild_start(f, nr.nexus, "pool:///p9/r"), -ENOENT, "no child");
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[2]));
	nr_refused(f, nexus_rebuild_start(f, nr.nexus, nr_uris[2]), -EPERM, "offline by wish");
	nr_stop(f, &nr);
}

RIG_TEST(offline_by_wish_it_is_not_tried_again)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr.table->retry_ms = 5;
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[1]));
	nr_ok(f, fiber_sleep(f, 50 * MS));
	assert_int_equal(state_of(&nr, 1), NEXUS_CHILD_OUT);
	assert_int_equal(job(&nr, 1).state, NEXUS_REBUILD_NONE);
	nr_stop(f, &nr);
}

RIG_TEST(tries_are_further_and_further_apart)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr.table->retry_ms = 10;
	nr_break(&nr, 1);
	nr_put(f, "nexus:///v", 0, 8, 1);
	while (job(&nr, 1).tries < 3 || job(&nr, 1).state != NEXUS_REBUILD_WAITING)
		nr_ok(f, fiber_sleep(f, MS));
	assert_in_range(nr.nexus->child[1].rebuild.delay_ns, 80 * MS, 10 * MS << job(&nr, 1).tries);
	assert_int_equal(nexus_history(nr.nexus, &(struct nexus_rebuild_record){ 0 }, 1), 0);
	nr_ok(f, nexus_rebuild_stop(f, nr.nexus, nr_uris[1]));
	nr_repair(f, &nr, 1);
	nr_ok(f, nexus_rebuild_start(f, nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(job(&nr, 1).tries, 0);
	assert_int_equal(state_of(&nr, 1), NEXUS_CHILD_IN_SYNC);
	nr_stop(f, &nr);
}

RIG_TEST(the_last_ones_are_remembered_in_order)
{
	struct nexus_rebuild_record *all =
		mem_new(fiber_io(f), (NEXUS_HISTORY_MAX + 3) * sizeof(*all));
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	for (unsigned i = 0; i < NEXUS_HISTORY_MAX + 3; i++) {
		nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[i % 2]));
		nr_put(f, "nexus:///v", i * 8, 8, (uint8_t)i);
		nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[i % 2]));
		nr_ok(f, nexus_settle(f, nr.nexus));
	}
	assert_int_equal(nexus_history(nr.nexus, all, NEXUS_HISTORY_MAX + 3), NEXUS_HISTORY_MAX);
	for (unsigned i = 0; i < NEXUS_HISTORY_MAX; i++) {
		assert_string_equal(all[i].uri, nr_uris[(i + 3) % 2]);
		assert_int_equal(all[i].result, 0);
		assert_true(all[i].is_partial);
		assert_true(all[i].start_ns <= all[i].end_ns);
		if (i > 0)
			assert_true(all[i - 1].end_ns <= all[i].end_ns);
	}
	mem_free(all);
	nr_stop(f, &nr);
}

/* ---- with disks that fail ----------------------------------------------------------------- */

#define FAULTY(i) "fault:///f" #i "?on=malloc:///m" #i "?size_mb=20"

static const char *const faulty[] = { FAULTY(0), FAULTY(1), FAULTY(2) };

struct faulty {
	struct nexus_rig nr;
	struct bdev *disk[3];
};

static void faulty_start(struct fiber *f, struct rig *rig, struct faulty *x)
{
	const struct nexus_create_args args = { .name = "v", .uris = faulty, .count = 3 };

	nr_start(f, rig, &x->nr, 0);
	for (unsigned i = 0; i < 3; i++)
		x->disk[i] = rig_open(f, faulty[i]);
	nr_ok(f, nexus_create(f, x->nr.table, &args, &x->nr.volume));
	nr_open(f, &x->nr);
	nr_ok(f, nexus_settle(f, x->nr.nexus));
}

static void faulty_stop(struct fiber *f, struct faulty *x)
{
	nexus_close(f, x->nr.nexus);
	x->nr.nexus = NULL;
	for (unsigned i = 0; i < 3; i++)
		bdev_close(f, x->disk[i]);
	nr_stop(f, &x->nr);
}

/* RB3, from many places on: the copy goes on from another member, at the same place. */
RIG_TEST(a_source_that_fails_is_changed_for_another)
{
	struct fault_rule rule = { .ops = 1u << BIO_READ, .status = -EIO, .nth = 1 };
	struct faulty x;

	faulty_start(f, rig, &x);
	nr_put(f, "nexus:///v", 0, 20000, 9);
	for (unsigned round = 0; round < 6; round++) {
		nr_ok(f, nexus_offline_child(f, x.nr.nexus, faulty[2]));
		rule.first = round * 3500 + 2048; /* behind the label */
		rule.last = rule.first + 3499;	  /* some of it is read from this one */
		nr_ok(f, fault_set_rules(f, x.disk[0], &rule, 1));
		nr_ok(f, fault_set_rules(f, x.disk[1], NULL, 0));
		nr_ok(f, nexus_online_child(f, x.nr.nexus, faulty[2]));
		nr_ok(f, nexus_settle(f, x.nr.nexus));
		assert_int_equal(state_of(&x.nr, 2), NEXUS_CHILD_IN_SYNC);
		assert_int_equal(state_of(&x.nr, 0), NEXUS_CHILD_OUT);
		nr_ok(f, fault_set_rules(f, x.disk[0], NULL, 0));
		nr_ok(f, nexus_rebuild_start(f, x.nr.nexus, faulty[0]));
		nr_ok(f, nexus_settle(f, x.nr.nexus));
		assert_int_equal(state_of(&x.nr, 0), NEXUS_CHILD_IN_SYNC);
	}
	faulty_stop(f, &x);
}

/* RB1: its write of the n-th block fails: it is out, and is tried again. */
RIG_TEST(a_target_that_fails_is_tried_again)
{
	struct fault_rule rule = { .ops = 1u << BIO_WRITE, .last = UINT64_MAX, .count = 1 };
	struct nexus_rebuild_record rec[2] = { { .result = 0 } };
	struct faulty x;

	rule.status = -EIO;
	faulty_start(f, rig, &x);
	x.nr.table->retry_ms = 5;
	nr_put(f, "nexus:///v", 0, 20000, 9);
	for (unsigned nth = 3; nth < 40; nth += 12) {
		nr_ok(f, nexus_offline_child(f, x.nr.nexus, faulty[2]));
		rule.nth = nth;
		nr_ok(f, fault_set_rules(f, x.disk[2], &rule, 1));
		nr_ok(f, nexus_online_child(f, x.nr.nexus, faulty[2]));
		do { /* each channel counts for itself: it fails at each try */
			nr_ok(f, fiber_sleep(f, MS));
		} while (nexus_history(x.nr.nexus, rec, 1) == 0 || rec[0].result == 0);
		nr_ok(f, fault_set_rules(f, x.disk[2], NULL, 0));
		while (state_of(&x.nr, 2) != NEXUS_CHILD_IN_SYNC)
			nr_ok(f, fiber_sleep(f, MS));
		nr_ok(f, nexus_settle(f, x.nr.nexus));
		assert_int_equal(nexus_history(x.nr.nexus, rec, 2), 2);
		assert_int_equal(rec[0].result, -EIO);
		assert_int_equal(rec[1].result, 0);
	}
	faulty_stop(f, &x);
}

/* The pass that compares: a copy that is not what the source has is not used. */
RIG_TEST(a_copy_that_differs_is_not_admitted)
{
	struct fault_rule rule = { .ops = 1u << BIO_READ,
				   .first = 4096,
				   .last = 8191,
				   .action = FAULT_CORRUPT,
				   .bits = 1,
				   .count = 1 };
	struct nexus_rebuild_record rec;
	struct faulty x;

	faulty_start(f, rig, &x);
	nr_put(f, "nexus:///v", 0, 20000, 9);
	nr_ok(f, nexus_offline_child(f, x.nr.nexus, faulty[2]));
	nr_ok(f, fault_set_rules(f, x.disk[2], &rule, 1));
	nr_ok(f, nexus_online_child(f, x.nr.nexus, faulty[2]));
	nr_ok(f, nexus_settle(f, x.nr.nexus));
	assert_int_equal(state_of(&x.nr, 2), NEXUS_CHILD_OUT);
	assert_int_equal(nexus_history(x.nr.nexus, &rec, 1), 1);
	assert_int_equal(rec.result, -EILSEQ);
	faulty_stop(f, &x);
}

/* ---- IO3: no read sees an older state than one before it ------------------------------------- */

struct writer {
	struct bdev_chan *chan;
	bool is_done;
};

static int writer_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;
	uint8_t buf[512];

	memset(buf, 2, sizeof(buf));
	nr_ok(f, bdev_write(f, w->chan, 500, 1, buf, 0));
	w->is_done = true;
	return 0;
}

struct reader {
	struct bdev_chan *chan;
	uint8_t byte;
	bool is_done;
};

static int reader_main(struct fiber *f, void *arg)
{
	struct reader *r = arg;
	uint8_t buf[512];

	nr_ok(f, bdev_read(f, r->chan, 500, 1, buf));
	r->byte = buf[3];
	r->is_done = true;
	return 0;
}

RIG_TEST(a_read_after_a_member_failed_is_not_older_than_one_before)
{
	struct fault_rule hang = { .ops = 1u << BIO_WRITE,
				   .last = UINT64_MAX,
				   .action = FAULT_HANG };
	struct fiber *writing, *reading;
	struct faulty x;

	faulty_start(f, rig, &x);
	nr_put(f, "nexus:///v", 500, 1, 1);
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct writer w = { .chan = chan };
	struct reader r = { .chan = chan };
	nr_ok(f, fault_set_rules(f, x.disk[1], &hang, 1));
	nr_ok(f, fault_set_rules(f, x.disk[2], &hang, 1));
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &writing), 0);
	nr_ok(f, fiber_sleep(f, 5 * MS));
	uint8_t buf[512];
	nr_ok(f, bdev_read(f, chan, 500, 1, buf)); /* of child 0, which has it */
	assert_int_equal(buf[3], 2);
	retire(&x.nr.nexus->child[0], -EIO);
	assert_int_equal(fiber_start(fiber_reactor(f), "reader", reader_main, &r, &reading), 0);
	nr_ok(f, fiber_sleep(f, 20 * MS));
	assert_false(r.is_done);		   /* of child 1 it would be the old data */
	nr_ok(f, bdev_read(f, chan, 501, 1, buf)); /* others need not wait */
	nr_ok(f, fault_set_rules(f, x.disk[1], NULL, 0));
	nr_ok(f, fault_set_rules(f, x.disk[2], NULL, 0));
	assert_int_equal(fiber_join(f, reading), 0);
	assert_int_equal(r.byte, 2);
	assert_int_equal(fiber_join(f, writing), 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	faulty_stop(f, &x);
}

/* ---- the last one fails, and comes back ------------------------------------------------------- */

/* All fail, and are well again: who wrote and who reads finds out nothing but that it took a while. */
static void all_fail(struct fiber *f, struct faulty *x, struct bdev_chan *chan)
{
	const struct fault_rule bad[] = { { .last = UINT64_MAX, .status = -ENODEV } };
	struct writer w = { .chan = chan };
	struct reader r = { .chan = chan };
	struct fiber *writing, *reading;

	for (unsigned i = 0; i < 3; i++)
		nr_ok(f, fault_set_rules(f, x->disk[i], bad, 1));
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &writing), 0);
	while (x->nr.nexus->state != NEXUS_STOPPED)
		nr_ok(f, fiber_sleep(f, MS));
	assert_int_equal(fiber_start(fiber_reactor(f), "reader", reader_main, &r, &reading), 0);
	nr_ok(f, fiber_sleep(f, 50 * MS)); /* it is tried, and nobody can be had */
	assert_false(w.is_done);
	assert_false(r.is_done);
	for (unsigned i = 0; i < 3; i++)
		nr_ok(f, fault_set_rules(f, x->disk[i], NULL, 0));
	assert_int_equal(fiber_join(f, writing), 0);
	assert_int_equal(fiber_join(f, reading), 0);
	nr_ok(f, nexus_settle(f, x->nr.nexus));
}

RIG_TEST(a_volume_that_stopped_goes_on_by_itself)
{
	struct nexus_info info;
	struct faulty x;
	uint8_t buf[512];

	faulty_start(f, rig, &x);
	x.nr.table->retry_ms = 10;
	nr_put(f, "nexus:///v", 500, 1, 1);
	nr_put(f, "nexus:///v", 9000, 1, 4);
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	for (unsigned round = 0; round < 2; round++) {
		all_fail(f, &x, chan);
		nexus_info(x.nr.nexus, &info);
		assert_int_equal(info.state, NEXUS_SERVING);
		assert_int_equal(info.epoch, 2 + round);
		nr_ok(f, bdev_read(f, chan, 500, 1, buf));
		assert_int_equal(buf[0], 2);
		nr_ok(f, bdev_read(f, chan, 9000, 1, buf));
		assert_int_equal(buf[0], 4);
	}
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	faulty_stop(f, &x);
}

/* The same in the middle of a read, of the last member that is left. */
RIG_TEST(a_read_waits_for_the_last_member)
{
	const struct fault_rule bad[] = {
		{ .ops = 1u << BIO_READ, .first = 500, .last = 5000, .status = -ENOTCONN }
	};
	struct fiber *reading;
	struct faulty x;

	faulty_start(f, rig, &x);
	x.nr.table->retry_ms = 10;
	nr_put(f, "nexus:///v", 500, 1, 6);
	nr_ok(f, nexus_offline_child(f, x.nr.nexus, faulty[1]));
	nr_ok(f, nexus_offline_child(f, x.nr.nexus, faulty[2]));
	nr_ok(f, fault_set_rules(f, x.disk[0], bad, 1));
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct reader r = { .chan = chan };
	assert_int_equal(fiber_start(fiber_reactor(f), "reader", reader_main, &r, &reading), 0);
	nr_ok(f, fiber_sleep(f, 30 * MS));
	assert_false(r.is_done);
	nr_ok(f, fault_set_rules(f, x.disk[0], NULL, 0));
	assert_int_equal(fiber_join(f, reading), 0);
	assert_int_equal(r.byte, 6);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	faulty_stop(f, &x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_keeps_to_its_limit_and_the_limit_may_change),
		cmocka_unit_test(it_is_paused_and_goes_on),
		cmocka_unit_test(stopped_it_stays_out_until_it_is_started),
		cmocka_unit_test(offline_by_wish_it_is_not_tried_again),
		cmocka_unit_test(tries_are_further_and_further_apart),
		cmocka_unit_test(the_last_ones_are_remembered_in_order),
		cmocka_unit_test(a_source_that_fails_is_changed_for_another),
		cmocka_unit_test(a_target_that_fails_is_tried_again),
		cmocka_unit_test(a_copy_that_differs_is_not_admitted),
		cmocka_unit_test(a_read_after_a_member_failed_is_not_older_than_one_before),
		cmocka_unit_test(a_volume_that_stopped_goes_on_by_itself),
		cmocka_unit_test(a_read_waits_for_the_last_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
