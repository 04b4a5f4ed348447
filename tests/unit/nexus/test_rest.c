// SPDX-License-Identifier: Apache-2.0
/*
 * The activity log in simulated time: regions that are not written to leave it, others stay, and a takeover
 * copies no more than it has.
 */
#include "nexus_sim.h"

#include "base/bitmap.h"
#include "nexus/nexus_priv.h"

#define REST_NS	      (NEXUS_LOG_REST_MS_DEFAULT * SIM_MS)
#define REGION_BLOCKS (NEXUS_REGION_BYTES / 512u)
#define REGIONS	      (NR_SIZE / NEXUS_REGION_BYTES)
#define MEMBERS	      2u

static const char *const disks[] = { "malloc:///d0?size_mb=96", "malloc:///d1?size_mb=96" };
static const char *const names[] = { "p0", "p1" };

/* A volume of two replicas. */
struct rest {
	struct nexus_sim *ns;
	void (*body)(struct fiber *f, struct rest *r);
	struct pool *pool[MEMBERS];
	struct bdev *disk[MEMBERS];
	struct uuid volume;
	struct nexus *nexus;
};

static void rest_pool(struct fiber *f, struct rest *r, unsigned i)
{
	const struct pool_create_args args = {
		.name = names[i], .disks = &disks[i], .disk_count = 1, .cache_bytes = 1 << 20
	};
	const struct replica_create_args replica = { .name = "r", .size_bytes = NR_SIZE };

	r->disk[i] = rig_open(f, disks[i]);
	nr_ok(f, pool_create(f, &args, &r->pool[i]));
	nr_ok(f, replica_create(f, r->pool[i], &replica));
}

static void rest_main(struct fiber *f, struct nexus_sim *ns)
{
	const struct nexus_create_args args = { .name = "v", .uris = nr_uris, .count = MEMBERS };
	struct rest *r = ns->arg;

	r->ns = ns;
	for (unsigned i = 0; i < MEMBERS; i++)
		rest_pool(f, r, i);
	nr_ok(f, nexus_create(f, ns->table, &args, &r->volume));
	nr_ok(f, nexus_open(f, ns->table, &r->volume, false, &r->nexus));
	r->body(f, r);
	nexus_close(f, r->nexus);
	for (unsigned i = 0; i < MEMBERS; i++) {
		nr_ok(f, pool_export(f, r->pool[i]));
		bdev_close(f, r->disk[i]);
	}
}

static void rest_run(void (*body)(struct fiber *f, struct rest *r))
{
	const struct nexus_table_opts opts = { 0 };
	struct rest r = { .body = body };

	ns_run(&opts, rest_main, &r);
}

static void put(struct fiber *f, uint64_t region)
{
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512] = { 1 };

	nr_ok(f, bdev_write(f, chan, region * REGION_BLOCKS + 3, 1, buf, 0));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static struct nexus_info info_of(struct rest *r)
{
	struct nexus_info info;

	nexus_info(r->nexus, &info);
	return info;
}

/* Regions in the log that the member keeps. */
static unsigned logged(struct fiber *f, unsigned member)
{
	struct bdev *bdev = rig_open(f, nr_uris[member]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint64_t words[BITMAP_WORDS(REGIONS)];

	nr_ok(f, bdev_replica_ops(chan)->al_get(f, chan, words, ARRAY_LEN(words)));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return (unsigned)__builtin_popcountll(words[0]);
}

/* What a takeover after a crash copies. */
static uint64_t take_over(struct fiber *f, struct rest *r)
{
	nexus_abandon(f, r->nexus);
	nr_ok(f, nexus_open(f, r->ns->table, &r->volume, false, &r->nexus));
	return info_of(r).resync_bytes;
}

static void all_rest(struct fiber *f, struct rest *r)
{
	for (uint64_t region = 0; region < REGIONS; region++)
		put(f, region);
	nr_ok(f, fiber_sleep(f, REST_NS / 2));
	assert_int_equal(info_of(r).al_active, REGIONS);
	assert_int_equal(logged(f, 0), REGIONS);
	nr_ok(f, fiber_sleep(f, 2 * REST_NS));
	assert_int_equal(info_of(r).al_active, 0);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(logged(f, i), 0);
	put(f, 2);
	assert_int_equal(logged(f, 1), 1);
	assert_int_equal(take_over(f, r), NEXUS_REGION_BYTES);
}

static void a_region_that_is_not_written_to_leaves_the_log(void **state)
{
	(void)state;
	rest_run(all_rest);
}

/* A hot region costs nothing. */
static void one_is_hot(struct fiber *f, struct rest *r)
{
	uint64_t updates;

	put(f, 0);
	put(f, 5);
	updates = info_of(r).al_updates;
	for (unsigned i = 0; i < 20; i++) {
		nr_ok(f, fiber_sleep(f, REST_NS / 2));
		put(f, 5);
	}
	assert_int_equal(info_of(r).al_active, 1);
	assert_int_equal(info_of(r).al_updates, updates + MEMBERS); /* 0 left it */
	assert_int_equal(take_over(f, r), NEXUS_REGION_BYTES);
}

static void one_that_is_written_to_stays(void **state)
{
	(void)state;
	rest_run(one_is_hot);
}

/* A member that failed may lack what it did not flush: nothing is cleared before it is out. */
static void one_is_away(struct fiber *f, struct rest *r)
{
	put(f, 1);
	nr_ok(f, nexus_offline_child(f, r->nexus, nr_uris[1]));
	put(f, 3);
	nr_ok(f, fiber_sleep(f, 3 * REST_NS));
	nr_ok(f, nexus_online_child(f, r->nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, r->nexus));
	nr_ok(f, fiber_sleep(f, 3 * REST_NS));
	put(f, 1);
	assert_int_equal(info_of(r).children[1].state, NEXUS_CHILD_IN_SYNC);
	assert_int_equal(logged(f, 0), 1);
	assert_int_equal(logged(f, 1), 1);
}

static void a_member_that_comes_back_has_the_same_log(void **state)
{
	(void)state;
	rest_run(one_is_away);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_region_that_is_not_written_to_leaves_the_log),
		cmocka_unit_test(one_that_is_written_to_stays),
		cmocka_unit_test(a_member_that_comes_back_has_the_same_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
