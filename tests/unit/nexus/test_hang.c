// SPDX-License-Identifier: Apache-2.0
/* Children that do not answer: which requests wait, which go on, and what becomes of the child. */
#include "nexus_rig.h"

#include "drivers/fault.h"
#include "nexus/nexus_priv.h"

#define TIMEOUT_MS    40u
#define REGION_BLOCKS (NEXUS_REGION_BYTES / 512u)

#define GOOD "malloc:///m0?size_mb=96"
#define DISK "fault:///slow?on=malloc:///below?size_mb=96"
#define LOW  "fault:///low?on=malloc:///below?size_mb=96"

static const struct fault_rule hang_all = { .last = UINT64_MAX, .action = FAULT_HANG };
static const struct fault_rule hang_writes = { .ops = 1u << BIO_WRITE,
					       .last = UINT64_MAX,
					       .action = FAULT_HANG };
static const struct fault_rule hang_reads = { .ops = 1u << BIO_READ,
					      .last = UINT64_MAX,
					      .action = FAULT_HANG };

/* A volume of replicas p0 and "px", whose pool lies on a disk that may hang; or of plain disks. */
struct hang {
	struct nexus_rig nr;
	struct pool *pool;
	struct bdev *disk; /* the one that hangs */
	struct bdev *good; /* kept: it is of memory */
	struct bdev *bdev;
	struct bdev_chan *chan;
};

static void hang_open(struct fiber *f, struct hang *h, const char *const *uris, unsigned count)
{
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = count };

	nr_ok(f, nexus_create(f, h->nr.table, &args, &h->nr.volume));
	nr_open(f, &h->nr);
	nr_ok(f, nexus_settle(f, h->nr.nexus));
	nr_ok(f, nexus_set_child_timeout(f, h->nr.nexus, TIMEOUT_MS));
	h->bdev = rig_open(f, "nexus:///v");
	h->chan = rig_chan(f, h->bdev);
}

/* Of them, and p1 as the third if there are three. */
static void hang_start_of(struct fiber *f, struct rig *rig, struct hang *h, unsigned count)
{
	const char *disks[] = { DISK }, *uris[] = { nr_uris[0], "pool:///px/r", nr_uris[1] };
	const struct pool_create_args args = {
		.name = "px", .disks = disks, .disk_count = 1, .cache_bytes = 1 << 20
	};
	const struct replica_create_args replica = { .name = "r", .size_bytes = NR_SIZE };

	nr_start(f, rig, &h->nr, 0);
	h->good = rig_open(f, GOOD);
	h->disk = rig_open(f, DISK);
	nr_ok(f, pool_create(f, &args, &h->pool));
	nr_ok(f, replica_create(f, h->pool, &replica));
	h->nr.table->retry_ms = 20;
	hang_open(f, h, uris, count);
}

static void hang_start(struct fiber *f, struct rig *rig, struct hang *h)
{
	hang_start_of(f, rig, h, 2);
}

/* No replicas: a reset brings back what hangs. */
static void hang_start_plain(struct fiber *f, struct rig *rig, struct hang *h, const char *first,
			     const char *second)
{
	const char *uris[] = { first, second };

	nr_start(f, rig, &h->nr, 0);
	h->pool = NULL;
	h->good = rig_open(f, GOOD);
	h->disk = rig_open(f, strcmp(first, GOOD) == 0 ? second : first);
	hang_open(f, h, uris, 2);
}

static void hang_stop(struct fiber *f, struct hang *h)
{
	bdev_chan_close(f, h->chan);
	bdev_close(f, h->bdev);
	nexus_close(f, h->nr.nexus);
	h->nr.nexus = NULL;
	if (h->pool)
		nr_ok(f, pool_export(f, h->pool));
	bdev_close(f, h->disk);
	bdev_close(f, h->good);
	nr_stop(f, &h->nr);
}

static enum nexus_child_state state_of(struct hang *h, unsigned i)
{
	struct nexus_info info;

	nexus_info(h->nr.nexus, &info);
	return info.children[i].state;
}

static void until(struct fiber *f, struct hang *h, unsigned i, enum nexus_child_state state)
{
	while (state_of(h, i) != state)
		nr_ok(f, fiber_sleep(f, 1000000));
}

static void put(struct fiber *f, struct hang *h, uint64_t lba, uint8_t byte)
{
	uint8_t buf[512];

	memset(buf, byte, sizeof(buf));
	nr_ok(f, bdev_write(f, h->chan, lba, 1, buf, 0));
}

static uint8_t get(struct fiber *f, struct hang *h, uint64_t lba)
{
	uint8_t buf[512];

	nr_ok(f, bdev_read(f, h->chan, lba, 1, buf));
	return buf[5];
}

struct writer {
	struct hang *h;
	uint64_t lba;
	bool is_done;
};

static int writer_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	put(f, w->h, w->lba, 7);
	w->is_done = true;
	return 0;
}

RIG_TEST(a_child_that_hangs_has_failed)
{
	struct nexus_info info;
	struct hang h;

	hang_start_plain(f, rig, &h, GOOD, DISK);
	put(f, &h, 1, 1);
	nr_ok(f, fault_set_rules(f, h.disk, &hang_writes, 1));
	put(f, &h, 1, 2); /* the reset brings it back */
	assert_int_equal(state_of(&h, 1), NEXUS_CHILD_OUT);
	nexus_info(h.nr.nexus, &info);
	assert_string_equal(info.children[1].reason, "failed: ETIMEDOUT");
	assert_int_equal(get(f, &h, 1), 2);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	hang_stop(f, &h);
}

RIG_TEST(a_read_that_hangs_is_done_by_another_child)
{
	struct hang h;

	hang_start_plain(f, rig, &h, DISK, GOOD);
	put(f, &h, 1, 3);
	nr_ok(f, fault_set_rules(f, h.disk, &hang_reads, 1));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(get(f, &h, 1), 3);
	assert_int_equal(state_of(&h, 0), NEXUS_CHILD_OUT);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	hang_stop(f, &h);
}

/* HG2: nothing brings it back: its request waits, all others go on; regions are marked without it. */
RIG_TEST(requests_go_on_but_for_those_that_the_child_keeps)
{
	struct fiber *fiber;
	struct hang h;
	struct writer w = { .h = &h, .lba = 9 };

	hang_start(f, rig, &h);
	put(f, &h, 9, 1);
	nr_ok(f, fault_set_rules(f, h.disk, &hang_all, 1));
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	until(f, &h, 1, NEXUS_CHILD_OUT);
	for (uint64_t region = 1; region < 6; region++)
		put(f, &h, region * REGION_BLOCKS, 8);
	assert_int_equal(get(f, &h, REGION_BLOCKS), 8);
	assert_false(w.is_done);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_true(w.is_done);
	/* and it is rebuilt by itself, only what it missed */
	until(f, &h, 1, NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_settle(f, h.nr.nexus));
	struct nexus_rebuild_record rec;
	assert_int_equal(nexus_history(h.nr.nexus, &rec, 1), 1);
	assert_true(rec.is_partial);
	assert_in_range(rec.total_bytes, 6 * NEXUS_REGION_BYTES, 6 * NEXUS_REGION_BYTES);
	hang_stop(f, &h);
}

static struct fiber *start_writer(struct fiber *f, struct writer *w, struct hang *h, uint64_t lba)
{
	struct fiber *fiber;

	*w = (struct writer){ .h = h, .lba = lba };
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, w, &fiber), 0);
	return fiber;
}

static uint8_t get_from(struct fiber *f, struct hang *h, unsigned member, uint64_t lba)
{
	uint8_t buf[512];

	nr_read_member(f, &h->nr, member, lba, 1, buf);
	return buf[5];
}

static int leaver_main(struct fiber *f, void *arg)
{
	nr_ok(f, nexus_offline_child(f, ((struct hang *)arg)->nr.nexus, nr_uris[1]));
	return 0;
}

/*
 * MS1: a member has left, its map is on one of the others, and the other one takes its time for it. Nothing
 * reaches a member meanwhile, neither in a region that the map begins with nor in another.
 */
RIG_TEST(no_write_passes_a_map_that_is_half_open)
{
	struct writer in_flight, marked, other;
	struct fiber *fibers[4];
	struct nexus_info info;
	struct hang h;

	hang_start_of(f, rig, &h, 3);
	nr_ok(f, nexus_set_child_timeout(f, h.nr.nexus, NEXUS_CHILD_TIMEOUT_MS_MAX));
	put(f, &h, 9, 1);
	put(f, &h, 3 * REGION_BLOCKS, 1); /* in the logs, so that only the map is waited for */
	nr_ok(f, fault_set_rules(f, h.disk, &hang_writes, 1));
	fibers[0] = start_writer(f, &in_flight, &h, 9);
	while (get_from(f, &h, 0, 9) != 7)
		nr_ok(f, fiber_sleep(f, 1000000));
	assert_int_equal(fiber_start(fiber_reactor(f), "leaver", leaver_main, &h, &fibers[3]), 0);
	until(f, &h, 2, NEXUS_CHILD_OUT); /* recorded; the map goes to p0 and px */
	fibers[1] = start_writer(f, &marked, &h, 10);
	fibers[2] = start_writer(f, &other, &h, 3 * REGION_BLOCKS);
	nr_ok(f, fiber_sleep(f, 20000000));
	assert_int_equal(get_from(f, &h, 0, 10), 0);
	assert_int_equal(get_from(f, &h, 0, 3 * REGION_BLOCKS), 1);
	assert_false(in_flight.is_done || marked.is_done || other.is_done);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	for (unsigned i = 0; i < ARRAY_LEN(fibers); i++)
		assert_int_equal(fiber_join(f, fibers[i]), 0);
	assert_int_equal(get_from(f, &h, 0, 10), 7);
	nexus_info(h.nr.nexus, &info);
	assert_int_equal(info.children[2].missed_bytes, 2 * NEXUS_REGION_BYTES);
	assert_int_equal(info.children[1].state, NEXUS_CHILD_IN_SYNC);
	hang_stop(f, &h);
}

/* A mark in a log that hangs: nobody waits for it longer than for a write. */
RIG_TEST(a_log_that_hangs_is_a_child_that_hangs)
{
	struct hang h;

	hang_start(f, rig, &h);
	put(f, &h, 9, 1);
	nr_ok(f, fault_set_rules(f, h.disk, &hang_all, 1));
	put(f, &h, REGION_BLOCKS * 3, 8); /* a new region: marked first */
	assert_int_not_equal(state_of(&h, 1), NEXUS_CHILD_IN_SYNC);
	put(f, &h, REGION_BLOCKS * 4, 8);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	until(f, &h, 1, NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_settle(f, h.nr.nexus));
	hang_stop(f, &h);
}

/* HG3. */
RIG_TEST(the_last_one_is_waited_for)
{
	struct fiber *fiber;
	struct hang h;
	struct writer w = { .h = &h, .lba = 9 };

	hang_start_plain(f, rig, &h, GOOD, DISK);
	nr_ok(f, nexus_remove_child(f, h.nr.nexus, GOOD));
	nr_ok(f, fault_set_rules(f, h.disk, &hang_writes, 1));
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	nr_ok(f, fiber_sleep(f, 3 * TIMEOUT_MS * 1000000));
	assert_false(w.is_done);
	assert_int_equal(h.nr.nexus->state, NEXUS_SERVING);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(get(f, &h, 9), 7);
	hang_stop(f, &h);
}

struct reader {
	struct hang *h;
	int result;
};

static int reader_main(struct fiber *f, void *arg)
{
	struct reader *reader = arg;
	uint8_t buf[512];

	reader->result = bdev_read(f, reader->h->chan, 1, 1, buf);
	fiber_clear(f);
	return 0;
}

/* Nobody has said that a disk is bad: users take another way. */
RIG_TEST(a_read_that_nobody_answers_is_refused_when_the_volume_closes)
{
	const struct fault_rule lose = { .ops = 1u << BIO_READ,
					 .last = UINT64_MAX,
					 .action = FAULT_STATUS,
					 .status = -ETIMEDOUT };
	struct hang h;
	struct reader reader = { .h = &h, .result = 1 };
	struct fiber *fiber;

	hang_start_plain(f, rig, &h, GOOD, "fault:///slow?on=" LOW);
	struct bdev *low = rig_open(f, LOW);
	nr_ok(f, nexus_remove_child(f, h.nr.nexus, GOOD));
	nr_ok(f, fault_set_rules(f, h.disk, &hang_reads, 1));
	nr_ok(f, fault_set_rules(f, low, &lose, 1));
	assert_int_equal(fiber_start(fiber_reactor(f), "reader", reader_main, &reader, &fiber), 0);
	nr_ok(f, fiber_sleep(f, TIMEOUT_MS * 1000000));
	assert_int_equal(reader.result, 1);
	nexus_refuse(h.nr.nexus);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0)); /* on to the one below */
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(reader.result, -ENODEV);
	nr_ok(f, fault_set_rules(f, low, NULL, 0));
	bdev_close(f, low);
	hang_stop(f, &h);
}

/* A source, then a target of a rebuild. */
RIG_TEST(a_rebuild_ends_when_its_child_hangs)
{
	struct hang h;

	hang_start(f, rig, &h);
	for (uint64_t lba = 0; lba < 4 * REGION_BLOCKS; lba += REGION_BLOCKS)
		put(f, &h, lba, 1);
	nr_ok(f, nexus_offline_child(f, h.nr.nexus, "pool:///px/r"));
	put(f, &h, 1, 2);
	nexus_rebuild_limit(h.nr.nexus, 1); /* it does not end */
	nr_ok(f, nexus_online_child(f, h.nr.nexus, "pool:///px/r"));
	until(f, &h, 1, NEXUS_CHILD_REBUILDING);
	nr_ok(f, fault_set_rules(f, h.disk, &hang_all, 1));
	struct writer w = { .h = &h, .lba = 9 };
	struct fiber *fiber;
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	while (nexus_has(h.nr.nexus->writable, 1))
		nr_ok(f, fiber_sleep(f, 1000000));
	put(f, &h, 20, 3);
	nexus_rebuild_limit(h.nr.nexus, 0);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	assert_int_equal(fiber_join(f, fiber), 0);
	until(f, &h, 1, NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_settle(f, h.nr.nexus));
	hang_stop(f, &h);
}

RIG_TEST(a_time_out_out_of_range_is_refused)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_refused(f, nexus_set_child_timeout(f, nr.nexus, NEXUS_CHILD_TIMEOUT_MS_MIN - 1), -EINVAL,
		   "10 to 600000 ms");
	nr_refused(f, nexus_set_child_timeout(f, nr.nexus, NEXUS_CHILD_TIMEOUT_MS_MAX + 1), -EINVAL,
		   "10 to 600000 ms");
	nr_ok(f, nexus_set_child_timeout(f, nr.nexus, NEXUS_CHILD_TIMEOUT_MS_MAX));
	nr_stop(f, &nr);
}

/* Members that are plain disks; the last but one is being looked at when one before it goes. */
RIG_TEST(a_member_is_removed_while_one_behind_it_is_looked_at)
{
	const char *uris[] = { GOOD, "malloc:///gone?size_mb=96", DISK,
			       "malloc:///last?size_mb=96" };
	struct volume_record *was, *is;
	struct bdev *keep[2];
	struct hang h;
	uint64_t revision;

	nr_start(f, rig, &h.nr, 0);
	h.pool = NULL;
	h.good = rig_open(f, GOOD);
	h.disk = rig_open(f, DISK);
	keep[0] = rig_open(f, uris[1]);
	keep[1] = rig_open(f, uris[3]);
	hang_open(f, &h, uris, 4);
	nr_ok(f, nexus_set_child_timeout(f, h.nr.nexus, NEXUS_CHILD_TIMEOUT_MS_MAX));
	was = mem_new(fiber_io(f), 2 * sizeof(*was));
	is = was + 1;
	nr_ok(f, volume_get(f, h.nr.store, &h.nr.volume, was, &revision));
	nr_ok(f, nexus_offline_child(f, h.nr.nexus, DISK));
	nr_ok(f, fault_set_rules(f, h.disk, &hang_reads, 1));
	nr_ok(f, nexus_online_child(f, h.nr.nexus, DISK));
	until(f, &h, 2, NEXUS_CHILD_OPENING);
	nr_ok(f, fiber_sleep(f, 20000000)); /* its label is being read */
	nr_ok(f, nexus_remove_child(f, h.nr.nexus, uris[1]));
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	until(f, &h, 1, NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_settle(f, h.nr.nexus));
	nr_ok(f, volume_get(f, h.nr.store, &h.nr.volume, is, &revision));
	assert_int_equal(is->member_count, 3);
	assert_true(uuid_equal(&is->members[0].replica, &was->members[0].replica));
	assert_true(uuid_equal(&is->members[1].replica, &was->members[2].replica));
	assert_true(uuid_equal(&is->members[2].replica, &was->members[3].replica));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(is->members[i].state, VOLUME_IN_SYNC);
	mem_free(was);
	bdev_close(f, keep[0]);
	bdev_close(f, keep[1]);
	hang_stop(f, &h);
}

/* RS4: a volume that grows waits for no member that has failed, and holds nobody up. */
RIG_TEST(a_member_that_hangs_while_the_volume_grows_has_failed)
{
	struct nexus_info info;
	struct hang h;

	hang_start(f, rig, &h);
	put(f, &h, 1, 1);
	nr_ok(f, fault_set_rules(f, h.disk, &hang_all, 1));
	nr_refused(f, nexus_resize(f, h.nr.nexus, NR_SIZE + (8u << 20)), -ETIMEDOUT,
		   "child 'pool:///px/r' did not grow");
	until(f, &h, 1, NEXUS_CHILD_OUT);
	put(f, &h, 1, 2);
	nexus_info(h.nr.nexus, &info);
	assert_int_equal(info.size_bytes, NR_SIZE);
	nr_ok(f, nexus_resize(f, h.nr.nexus, NR_SIZE + (8u << 20)));
	assert_int_equal(get(f, &h, 1), 2);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	nr_ok(f, nexus_settle(f, h.nr.nexus));
	hang_stop(f, &h);
}

struct remover {
	struct hang *h;
	int result;
	bool is_done;
};

static int remover_main(struct fiber *f, void *arg)
{
	struct remover *r = arg;

	r->result = nexus_remove_child(f, r->h->nr.nexus, "pool:///px/r");
	fiber_clear(f);
	r->is_done = true;
	return 0;
}

/* Its pool has stopped, and comes back when nobody uses it. */
static void repair(struct fiber *f, struct hang *h, unsigned i)
{
	while (pool_export(f, h->nr.pool[i]) < 0) {
		fiber_clear(f);
		nr_ok(f, fiber_sleep(f, 1000000));
	}
	nr_import(f, &h->nr, i);
}

/* ME7: while it is let go the volume stops, and its record is none to be written. */
RIG_TEST(who_leaves_while_the_volume_stops_stays_in_its_record)
{
	struct fiber *writer, *fiber;
	struct nexus_info info;
	struct writer w;
	struct hang h;
	struct remover rm = { .h = &h };

	hang_start_of(f, rig, &h, 3);
	put(f, &h, 9, 1);
	nr_ok(f, fault_set_rules(f, h.disk, &hang_all, 1));
	nr_ok(f, fiber_start(fiber_reactor(f), "remover", remover_main, &rm, &fiber));
	until(f, &h, 1, NEXUS_CHILD_OUT);
	while (h.nr.nexus->child[1].bdev || h.nr.nexus->state != NEXUS_SERVING)
		nr_ok(f, fiber_sleep(f, 1000000));
	nr_break(&h.nr, 0);
	nr_break(&h.nr, 1);
	writer = start_writer(f, &w, &h, 9);
	while (h.nr.nexus->state != NEXUS_STOPPED)
		nr_ok(f, fiber_sleep(f, 1000000));
	nr_ok(f, fiber_sleep(f, 100000000)); /* it is tried, in vain */
	assert_false(rm.is_done);
	nr_ok(f, fault_set_rules(f, h.disk, NULL, 0));
	for (unsigned i = 0; i < 1000 && !rm.is_done; i++)
		nr_ok(f, fiber_sleep(f, 1000000));
	assert_true(rm.is_done);
	assert_int_equal(rm.result, -EBUSY);
	repair(f, &h, 0);
	repair(f, &h, 1);
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(fiber_join(f, writer), 0);
	until(f, &h, 2, NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_settle(f, h.nr.nexus));
	nexus_info(h.nr.nexus, &info);
	assert_int_equal(info.count, 3);
	hang_stop(f, &h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_that_hangs_has_failed),
		cmocka_unit_test(a_member_that_hangs_while_the_volume_grows_has_failed),
		cmocka_unit_test(a_read_that_hangs_is_done_by_another_child),
		cmocka_unit_test(no_write_passes_a_map_that_is_half_open),
		cmocka_unit_test(requests_go_on_but_for_those_that_the_child_keeps),
		cmocka_unit_test(a_log_that_hangs_is_a_child_that_hangs),
		cmocka_unit_test(the_last_one_is_waited_for),
		cmocka_unit_test(a_read_that_nobody_answers_is_refused_when_the_volume_closes),
		cmocka_unit_test(a_rebuild_ends_when_its_child_hangs),
		cmocka_unit_test(a_member_is_removed_while_one_behind_it_is_looked_at),
		cmocka_unit_test(who_leaves_while_the_volume_stops_stays_in_its_record),
		cmocka_unit_test(a_time_out_out_of_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
