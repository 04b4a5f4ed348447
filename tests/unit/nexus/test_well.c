// SPDX-License-Identifier: Apache-2.0
/*
 * Members that are only read from, or not even that, in simulated time: one whose pool takes no writes any more
 * leaves, and comes back by itself; the last one reads on; nobody is asked whose writes say it.
 */
#include "nexus_sim.h"

#include "nexus/nexus_priv.h"
#include "pool/import_priv.h"

#define ASKED_NS (LEASE_TTL_MS_DEFAULT * SIM_MS) /* WE1 */
#define MEMBERS	 3u

static const char *const disks[] = { "malloc:///d0?size_mb=96", "malloc:///d1?size_mb=96",
				     "malloc:///d2?size_mb=96" };
static const char *const names[] = { "p0", "p1", "p2" };

struct well {
	void (*body)(struct fiber *f, struct well *w);
	struct pool *pool[MEMBERS];
	struct bdev *disk[MEMBERS], *bdev;
	struct bdev_chan *chan;
	struct nexus *nexus;
};

static void well_pool(struct fiber *f, struct well *w, unsigned i)
{
	const struct pool_create_args args = {
		.name = names[i], .disks = &disks[i], .disk_count = 1, .cache_bytes = 1 << 20
	};
	const struct replica_create_args replica = { .name = "r", .size_bytes = NR_SIZE };

	w->disk[i] = rig_open(f, disks[i]);
	nr_ok(f, pool_create(f, &args, &w->pool[i]));
	nr_ok(f, replica_create(f, w->pool[i], &replica));
}

static void well_main(struct fiber *f, struct nexus_sim *ns)
{
	const struct nexus_create_args args = { .name = "v", .uris = nr_uris, .count = MEMBERS };
	struct uuid volume;
	struct well *w = ns->arg;

	for (unsigned i = 0; i < MEMBERS; i++)
		well_pool(f, w, i);
	nr_ok(f, nexus_create(f, ns->table, &args, &volume));
	nr_ok(f, nexus_open(f, ns->table, &volume, false, &w->nexus));
	w->bdev = rig_open(f, "nexus:///v");
	w->chan = rig_chan(f, w->bdev);
	w->body(f, w);
	bdev_chan_close(f, w->chan);
	bdev_close(f, w->bdev);
	nexus_close(f, w->nexus);
	for (unsigned i = 0; i < MEMBERS; i++) {
		nr_ok(f, pool_export(f, w->pool[i]));
		bdev_close(f, w->disk[i]);
	}
}

static void well_run(void (*body)(struct fiber *f, struct well *w))
{
	const struct nexus_table_opts opts = { 0 };
	struct well w = { .body = body };

	ns_run(&opts, well_main, &w);
}

static void get(struct fiber *f, struct well *w)
{
	uint8_t buf[512];

	for (uint64_t lba = 0; lba < NR_BLOCKS; lba += NEXUS_REGION_BYTES / 512)
		nr_ok(f, bdev_read(f, w->chan, lba, 1, buf));
}

static void put(struct fiber *f, struct well *w)
{
	uint8_t buf[512] = { 1 };

	nr_ok(f, bdev_write(f, w->chan, 3, 1, buf, 0));
}

static enum nexus_child_state state_of(struct well *w, unsigned i)
{
	struct nexus_info info;

	nexus_info(w->nexus, &info);
	assert_int_equal(info.state, NEXUS_SERVING);
	return info.children[i].state;
}

/* Its pool has failed a write that was not this volume's. */
static void fault(struct well *w, unsigned i)
{
	pool_fault(w->pool[i], "failed by a test");
}

/* As soon as nobody uses it. */
static void import(struct fiber *f, struct well *w, unsigned i)
{
	const struct pool_import_args args = { .disks = &disks[i],
					       .disk_count = 1,
					       .cache_bytes = 1 << 20 };

	while (pool_export(f, w->pool[i]) < 0) {
		fiber_clear(f);
		nr_ok(f, fiber_sleep(f, SIM_S / 10));
	}
	nr_ok(f, pool_import(f, &args, &w->pool[i]));
}

static void reads_only(struct fiber *f, struct well *w)
{
	fault(w, 1);
	for (unsigned i = 0; i < 30; i++) {
		nr_ok(f, fiber_sleep(f, ASKED_NS / 10));
		get(f, w);
	}
	assert_int_equal(state_of(w, 1), NEXUS_CHILD_OUT);
	import(f, w, 1);
	nr_ok(f, fiber_sleep(f, 60 * SIM_S)); /* it is tried with pauses that double */
	assert_int_equal(state_of(w, 1), NEXUS_CHILD_IN_SYNC);
	assert_int_equal(state_of(w, 0), NEXUS_CHILD_IN_SYNC);
}

static void a_member_that_could_not_be_written_to_leaves_though_users_only_read(void **state)
{
	(void)state;
	well_run(reads_only);
}

static void nothing_at_all(struct fiber *f, struct well *w)
{
	put(f, w);
	nr_ok(f, fiber_sleep(f, 4 * ASKED_NS));
	fault(w, 2);
	nr_ok(f, fiber_sleep(f, 3 * ASKED_NS));
	assert_int_equal(state_of(w, 2), NEXUS_CHILD_OUT);
	import(f, w, 2);
	nr_ok(f, fiber_sleep(f, 60 * SIM_S));
	assert_int_equal(state_of(w, 2), NEXUS_CHILD_IN_SYNC);
}

static void it_leaves_though_nobody_uses_the_volume(void **state)
{
	(void)state;
	well_run(nothing_at_all);
}

/* WE3. */
static void all_of_them(struct fiber *f, struct well *w)
{
	unsigned in_sync = 0;

	for (unsigned i = 0; i < MEMBERS; i++)
		fault(w, i);
	for (unsigned i = 0; i < 50; i++) {
		nr_ok(f, fiber_sleep(f, ASKED_NS / 10));
		get(f, w);
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		in_sync += state_of(w, i) == NEXUS_CHILD_IN_SYNC;
	assert_int_equal(in_sync, 1);
	for (unsigned i = 0; i < MEMBERS; i++)
		if (state_of(w, i) == NEXUS_CHILD_OUT)
			import(f, w, i);
	nr_ok(f, fiber_sleep(f, 120 * SIM_S));
	/* others are in sync: now the last one leaves, too */
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct pool_info info;

		pool_info(w->pool[i], &info);
		if (info.state == POOL_ONLINE)
			assert_int_equal(state_of(w, i), NEXUS_CHILD_IN_SYNC);
		else
			import(f, w, i);
	}
	nr_ok(f, fiber_sleep(f, 60 * SIM_S));
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(state_of(w, i), NEXUS_CHILD_IN_SYNC);
	put(f, w);
}

static void the_last_one_reads_on(void **state)
{
	(void)state;
	well_run(all_of_them);
}

/* WE1: it is seen by when they were asked last. */
static void one_who_writes(struct fiber *f, struct well *w)
{
	uint64_t asked, serial;

	nr_ok(f, fiber_sleep(f, 3 * ASKED_NS));
	asked = w->nexus->well.asked_ns;
	serial = w->nexus->serial;
	nr_ok(f, fiber_sleep(f, 3 * ASKED_NS));
	assert_in_range(w->nexus->well.asked_ns - asked, 2 * ASKED_NS, 3 * ASKED_NS);
	assert_int_equal(w->nexus->serial, serial); /* no flush: nothing for the disks to do */
}

static void idle_members_have_nothing_to_flush(void **state)
{
	(void)state;
	well_run(one_who_writes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_member_that_could_not_be_written_to_leaves_though_users_only_read),
		cmocka_unit_test(it_leaves_though_nobody_uses_the_volume),
		cmocka_unit_test(the_last_one_reads_on),
		cmocka_unit_test(idle_members_have_nothing_to_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
