// SPDX-License-Identifier: Apache-2.0
/* After a crash: what may differ is copied, several segments at a time, and nothing is served before. */
#include "nexus_rig.h"

#include <errno.h>

#include "drivers/fault.h"
#include "nexus/copy_priv.h"
#include "nexus/nexus_priv.h"
#include "pool/format.h"

#define REGION_BLOCKS  (NEXUS_REGION_BYTES / 512u)
#define SEGMENT_BLOCKS (NEXUS_COPY_BYTES / 512u)
#define REGIONS	       2u
#define CLUSTER_BLOCKS 128u
#define OTHER_SIZE     (96u << 20)
#define DISK	       "fault:///ill?on=malloc:///below?size_mb=64"
#define ILL	       "pool:///p9/r"

static const struct fault_rule hang_reads = { .ops = 1u << BIO_READ,
					      .first = POOL_DATA_START / 512,
					      .last = UINT64_MAX - 1,
					      .action = FAULT_HANG };
static const struct fault_rule fail_reads = { .ops = 1u << BIO_READ,
					      .first = POOL_DATA_START / 512,
					      .last = UINT64_MAX - 1,
					      .action = FAULT_STATUS,
					      .status = -EIO };

/* A volume of p0, p1 and one whose disk may fail, in this order or with that one first. */
struct crash {
	bool has_cache; /* that disk, a volatile one */
	struct nexus_rig nr;
	struct pool *pool;
	struct bdev *disk;
};

static void crash_start(struct fiber *f, struct rig *rig, struct crash *c, unsigned ill_at)
{
	const char *disks[] = { DISK }, *uris[NR_CHILDREN];
	const struct pool_create_args args = {
		.name = "p9",
		.disks = disks,
		.disk_count = 1,
		.cache_bytes = 1 << 20,
		.overcommit_percent = 1000,
	};
	const struct replica_create_args replica = { .name = "r", .size_bytes = NR_SIZE };
	const struct nexus_create_args volume = { .name = "v", .uris = uris, .count = NR_CHILDREN };

	nr_start(f, rig, &c->nr, 0);
	c->disk = rig_open(f, DISK);
	c->disk->volatile_cache = c->has_cache;
	nr_ok(f, pool_create(f, &args, &c->pool));
	nr_ok(f, replica_create(f, c->pool, &replica));
	for (unsigned i = 0, well = 0; i < NR_CHILDREN; i++)
		uris[i] = i == ill_at ? ILL : nr_uris[well++];
	nr_ok(f, nexus_create(f, c->nr.table, &volume, &c->nr.volume));
	nr_open(f, &c->nr);
	nr_ok(f, nexus_settle(f, c->nr.nexus));
}

static void crash_stop(struct fiber *f, struct crash *c)
{
	nexus_close(f, c->nr.nexus);
	c->nr.nexus = NULL;
	nr_ok(f, pool_export(f, c->pool));
	bdev_close(f, c->disk);
	nr_stop(f, &c->nr);
}

static void crash_now(struct fiber *f, struct crash *c)
{
	nexus_abandon(f, c->nr.nexus);
	c->nr.nexus = NULL;
}

/* That one is, and the others are in sync. */
static void is_left_out(struct crash *c, unsigned ill)
{
	struct nexus_info info;

	nexus_info(c->nr.nexus, &info);
	for (unsigned i = 0; i < NR_CHILDREN; i++)
		assert_int_equal(info.children[i].state != NEXUS_CHILD_IN_SYNC, i == ill);
}

/* One block in each segment of some regions. */
static void fill(struct fiber *f, uint8_t byte)
{
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512];

	memset(buf, byte, sizeof(buf));
	for (uint64_t lba = 0; lba < REGIONS * REGION_BLOCKS; lba += SEGMENT_BLOCKS)
		nr_ok(f, bdev_write(f, chan, lba, 1, buf, 0));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* One block of a member, past its fence. */
static uint8_t member(struct fiber *f, const char *uri, uint64_t lba, enum bio_op op, uint8_t byte)
{
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bio *bio = bio_new(chan);
	uint8_t buf[512];
	const struct iovec iov = { buf, sizeof(buf) };

	memset(buf, byte, sizeof(buf));
	bio_prep(bio, chan, op, lba, 1, &iov, 1, NULL);
	bio->token = UINT64_MAX;
	nr_ok(f, bio_wait(f, bio));
	mem_free(bio);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return buf[3];
}

static void stray(struct fiber *f, const char *uri, uint64_t lba)
{
	(void)member(f, uri, lba, BIO_WRITE, 0x99);
}

/* Where something was written, and between. */
static void check_equal(struct fiber *f, const char *one, const char *other)
{
	for (uint64_t lba = 0; lba < REGIONS * REGION_BLOCKS; lba += SEGMENT_BLOCKS / 2)
		assert_int_equal(member(f, one, lba, BIO_READ, 0),
				 member(f, other, lba, BIO_READ, 0));
}

static uint64_t fired(struct fiber *f, struct crash *c)
{
	uint64_t counts[FAULT_RULES_MAX];

	nr_ok(f, fault_get_fired(f, c->disk, counts));
	return counts[0];
}

struct opener {
	struct crash *c;
	bool is_done;
};

static int opener_main(struct fiber *f, void *arg)
{
	struct opener *o = arg;

	nr_open(f, &o->c->nr);
	o->is_done = true;
	return 0;
}

/* RY1, RY2. */
RIG_TEST(several_segments_are_under_way_and_nothing_is_served)
{
	struct fiber *fiber;
	struct crash c = { 0 };
	struct opener o = { .c = &c };

	crash_start(f, rig, &c, 0);
	fill(f, 1);
	crash_now(f, &c);
	stray(f, nr_uris[0], 0);
	stray(f, nr_uris[1], SEGMENT_BLOCKS * 9);
	nr_ok(f, fault_set_rules(f, c.disk, &hang_reads, 1));
	nr_ok(f, fiber_start(fiber_reactor(f), "opener", opener_main, &o, &fiber));
	for (unsigned i = 0; i < 100000 && fired(f, &c) < NEXUS_REBUILD_DEPTH; i++)
		fiber_yield(f);
	for (unsigned i = 0; i < 100; i++)
		fiber_yield(f);
	assert_int_equal(fired(f, &c), NEXUS_REBUILD_DEPTH);
	assert_false(o.is_done);
	assert_int_equal(member(f, nr_uris[1], SEGMENT_BLOCKS * 9, BIO_READ, 0), 0x99); /* later */
	nr_ok(f, fault_set_rules(f, c.disk, NULL, 0));
	assert_int_equal(fiber_join(f, fiber), 0);
	struct nexus_info info;
	nexus_info(c.nr.nexus, &info);
	assert_int_equal(info.resync_bytes, REGIONS * NEXUS_REGION_BYTES);
	assert_int_equal(info.al_active, 0);
	for (unsigned i = 0; i < NR_CHILDREN; i++)
		assert_int_equal(info.children[i].state, NEXUS_CHILD_IN_SYNC);
	assert_int_equal(member(f, nr_uris[0], 0, BIO_READ, 0), 1);
	check_equal(f, nr_uris[0], nr_uris[1]);
	check_equal(f, nr_uris[0], ILL);
	crash_stop(f, &c);
}

/* Nothing more can be written to the pool where nothing was. */
static void use_up(struct fiber *f, struct crash *c)
{
	const struct replica_create_args args = { .name = "other", .size_bytes = OTHER_SIZE };
	uint8_t buf[512] = { 1 };
	int r = 0;

	nr_ok(f, replica_create(f, c->pool, &args));
	struct bdev *bdev = rig_open(f, "pool:///p9/other");
	struct bdev_chan *chan = rig_chan(f, bdev);
	for (uint64_t lba = 0; r == 0 && lba < OTHER_SIZE / 512; lba += CLUSTER_BLOCKS)
		r = bdev_write(f, chan, lba, 1, buf, 0);
	assert_int_equal(r, -ENOSPC);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* RY3, CP3: the hole behind what it could not write is made in the other one. */
RIG_TEST(a_target_that_fails_is_left_out_and_the_others_are_equal)
{
	struct crash c = { 0 };

	crash_start(f, rig, &c, 1);
	fill(f, 1);
	crash_now(f, &c);
	use_up(f, &c);
	stray(f, nr_uris[0], SEGMENT_BLOCKS * 5 + CLUSTER_BLOCKS);
	stray(f, nr_uris[1], SEGMENT_BLOCKS * 5 + SEGMENT_BLOCKS / 2);
	nr_open(f, &c.nr);
	is_left_out(&c, 1);
	check_equal(f, nr_uris[0], nr_uris[1]);
	crash_stop(f, &c);
}

/* RY3: the next one is the source. */
RIG_TEST(a_source_that_fails_is_left_out)
{
	struct crash c = { 0 };

	crash_start(f, rig, &c, 0);
	fill(f, 1);
	crash_now(f, &c);
	stray(f, nr_uris[1], SEGMENT_BLOCKS / 2);
	nr_ok(f, fault_set_rules(f, c.disk, &fail_reads, 1));
	nr_open(f, &c.nr);
	is_left_out(&c, 0);
	check_equal(f, nr_uris[0], nr_uris[1]);
	nr_ok(f, fault_set_rules(f, c.disk, NULL, 0));
	crash_stop(f, &c);
}

/* Bytes, by a resync. */
static uint64_t written_to_source(struct fiber *f, struct rig *rig, bool has_cache)
{
	struct crash c = { .has_cache = has_cache };
	struct bdev_stats stats;

	crash_start(f, rig, &c, 0);
	fill(f, 1);
	crash_now(f, &c);
	nr_ok(f, bdev_stats_reset(f, c.disk));
	nr_open(f, &c.nr);
	nr_ok(f, bdev_stats_get(f, c.disk, &stats, NULL));
	crash_stop(f, &c);
	return stats.op[BIO_WRITE].blocks * 512;
}

/* RY5. */
RIG_TEST(a_source_with_a_cache_is_written_again)
{
	const uint64_t data =
		REGIONS * REGION_BLOCKS / SEGMENT_BLOCKS * 4096; /* what is not holes */

	assert_true(written_to_source(f, rig, true) >= data);
	assert_true(written_to_source(f, rig, false) < data);
}

/* CP4: what it shares with the snapshot need not be written, and what is its own can be. */
RIG_TEST(a_source_that_is_full_stays)
{
	struct crash c = { .has_cache = true };
	const struct uuid snap = { { 1 } };
	struct nexus_info info;

	crash_start(f, rig, &c, 0);
	fill(f, 1);
	nr_ok(f, snapshot_create(f, c.pool, "r", "snap", &snap));
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512] = { 5, 5, 5, 5 };
	nr_ok(f, bdev_write(f, chan, SEGMENT_BLOCKS * 2, 1, buf, 0));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	crash_now(f, &c);
	use_up(f, &c);
	stray(f, nr_uris[0], SEGMENT_BLOCKS * 3);
	nr_open(f, &c.nr);
	nexus_info(c.nr.nexus, &info);
	assert_int_equal(info.children[0].state, NEXUS_CHILD_IN_SYNC);
	assert_int_equal(info.resync_bytes, REGIONS * NEXUS_REGION_BYTES);
	check_equal(f, nr_uris[0], nr_uris[1]);
	check_equal(f, ILL, nr_uris[1]);
	crash_stop(f, &c);
}

/* The others cannot be had: somebody else has them. */
static void open_alone(struct fiber *f, struct crash *c, const struct fault_rule *rule)
{
	struct bdev *bdev[NR_CHILDREN - 1];
	struct bdev_claim claim[NR_CHILDREN - 1];

	for (unsigned i = 0; i < NR_CHILDREN - 1; i++) {
		bdev[i] = rig_open(f, nr_uris[i]);
		nr_ok(f, bdev_claim(f, bdev[i], BDEV_CLAIM_WRITE, "somebody", &claim[i]));
	}
	if (rule)
		nr_ok(f, fault_set_rules(f, c->disk, rule, 1));
	nr_open(f, &c->nr);
	for (unsigned i = 0; i < NR_CHILDREN - 1; i++) {
		bdev_unclaim(f, &claim[i]);
		bdev_close(f, bdev[i]);
	}
}

/* RY5. */
RIG_TEST(who_is_alone_and_has_a_cache_is_written_again)
{
	struct crash c = { .has_cache = true };
	struct nexus_info info;

	crash_start(f, rig, &c, 0);
	fill(f, 1);
	crash_now(f, &c);
	open_alone(f, &c, NULL);
	nexus_info(c.nr.nexus, &info);
	assert_int_equal(info.resync_bytes, REGIONS * NEXUS_REGION_BYTES);
	nr_ok(f, nexus_settle(f, c.nr.nexus));
	crash_stop(f, &c);
}

/* RY6. */
RIG_TEST(who_is_alone_and_cannot_be_read_is_opened_all_the_same)
{
	struct crash c = { .has_cache = true };

	crash_start(f, rig, &c, 0);
	fill(f, 1);
	crash_now(f, &c);
	open_alone(f, &c, &fail_reads);
	assert_int_not_equal(fired(f, &c), 0);
	nr_ok(f, fault_set_rules(f, c.disk, NULL, 0));
	crash_stop(f, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_segments_are_under_way_and_nothing_is_served),
		cmocka_unit_test(a_target_that_fails_is_left_out_and_the_others_are_equal),
		cmocka_unit_test(a_source_that_fails_is_left_out),
		cmocka_unit_test(a_source_with_a_cache_is_written_again),
		cmocka_unit_test(a_source_that_is_full_stays),
		cmocka_unit_test(who_is_alone_and_has_a_cache_is_written_again),
		cmocka_unit_test(who_is_alone_and_cannot_be_read_is_opened_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
