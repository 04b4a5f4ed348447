// SPDX-License-Identifier: Apache-2.0
/*
 * What a replica, snapshot or clone refers to, and what of it is its own: told by a walk, and then
 * by destroying it. And the end of a pool.
 */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "pool_rig.h"
#include "reactor/fiber.h"

#define CLUSTER	 65536u
#define CLUSTERS 4096u

struct usage {
	struct pool_rig pr;
	struct fiber *f;
};

static const char *const disks[] = { "malloc:///u0?size_mb=512" };

static void usage_start(struct fiber *f, struct rig *rig, struct usage *u)
{
	const struct replica_create_args args = { .name = "r",
						  .size_bytes = (uint64_t)CLUSTERS * CLUSTER };

	*u = (struct usage){ .f = f };
	pool_rig_start(f, rig, &u->pr, disks, 1, CLUSTER);
	pool_ok(f, replica_create(f, u->pr.pool, &args));
}

/* Every step'th cluster from first on, one block of each. */
static void write_some(struct usage *u, const char *name, unsigned first, unsigned count,
		       unsigned step)
{
	static uint8_t buf[4096] = { 1 };
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[64];

	snprintf(uri, sizeof(uri), "pool:///p/%s", name);
	bdev = rig_open(u->f, uri);
	chan = rig_chan(u->f, bdev);
	for (unsigned i = 0; i < count; i++)
		pool_ok(u->f, bdev_write(u->f, chan,
					 (uint64_t)(first + i * step) * CLUSTER / bdev->block_size,
					 4096 / bdev->block_size, buf, 0));
	bdev_chan_close(u->f, chan);
	bdev_close(u->f, bdev);
}

static struct replica_usage usage_of(struct usage *u, const char *name)
{
	struct replica_usage usage;

	pool_ok(u->f, replica_usage(u->f, u->pr.pool, name, &usage));
	return usage;
}

static uint64_t used(struct usage *u)
{
	struct pool_info info;

	pool_ok(u->f, pool_reap_wait(u->f, u->pr.pool));
	pool_info(u->pr.pool, &info);
	return info.used_bytes;
}

/* What it said was exclusive comes back, and nothing else. */
static void goes(struct usage *u, const char *name, bool snapshot)
{
	struct replica_usage usage = usage_of(u, name);
	struct replica_stat stat;
	uint64_t before = used(u);

	pool_ok(u->f, replica_stat(u->f, u->pr.pool, name, &stat));
	assert_int_equal(usage.referenced_bytes, stat.allocated_bytes);
	if (snapshot)
		pool_ok(u->f, snapshot_destroy(u->f, u->pr.pool, name));
	else
		pool_ok(u->f, replica_destroy(u->f, u->pr.pool, name));
	assert_int_equal(before - used(u), usage.exclusive_bytes);
}

RIG_TEST(what_is_exclusive_is_what_comes_back)
{
	struct usage u;

	usage_start(f, rig, &u);
	write_some(&u, "r", 0, 300, 1);
	assert_int_equal(usage_of(&u, "r").exclusive_bytes, 300 * CLUSTER);
	pool_ok(f, snapshot_create(f, u.pr.pool, "r", "s", NULL));
	assert_int_equal(usage_of(&u, "r").exclusive_bytes, 0);
	assert_int_equal(usage_of(&u, "s").exclusive_bytes, 0);
	write_some(&u, "r", 0, 40, 3);
	assert_int_equal(usage_of(&u, "r").exclusive_bytes, 40 * CLUSTER);
	assert_int_equal(usage_of(&u, "s").exclusive_bytes, 40 * CLUSTER);
	pool_ok(f, clone_create(f, u.pr.pool, "s", "c", NULL));
	write_some(&u, "c", 10, 20, 7);
	pool_ok(f, snapshot_create(f, u.pr.pool, "r", "t", NULL));
	write_some(&u, "r", 400, 30, 2);
	goes(&u, "c", false);
	goes(&u, "r", false);
	goes(&u, "s", true);
	goes(&u, "t", true);
	assert_int_equal(used(&u), 0);
	pool_rig_check(f, &u.pr);
	pool_rig_stop(f, &u.pr);
}

static int count_main(struct fiber *f, void *arg)
{
	struct usage *u = arg;
	struct replica_usage usage;

	return replica_usage(f, u->pr.pool, "r", &usage);
}

/* A thin map at every other cluster: the walk lets others run, whatever its keys. */
RIG_TEST(a_walk_is_cancelled)
{
	struct fiber *walk;
	struct usage u;

	usage_start(f, rig, &u);
	write_some(&u, "r", 0, CLUSTERS / 2, 2);
	pool_ok(f, pool_sync(f, u.pr.pool));
	assert_int_equal(fiber_start(fiber_reactor(f), "walk", count_main, &u, &walk), 0);
	pool_ok(f, pool_sync(f, u.pr.pool)); /* so has the walk: it is in the map now */
	fiber_yield(f);
	fiber_cancel(walk);
	assert_int_equal(fiber_join(f, walk), -ECANCELED);
	assert_non_null(strstr(fiber_words(f), "cancelled"));
	fiber_clear(f);
	assert_int_equal(usage_of(&u, "r").referenced_bytes, CLUSTERS / 2 * CLUSTER);
	pool_rig_stop(f, &u.pr);
}

static int walks_main(struct fiber *f, void *arg)
{
	struct usage *u = arg;
	struct replica_usage usage = { 0 };
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 20; i++) {
		r = replica_usage(f, u->pr.pool, "r", &usage);
		if (r == 0 && usage.referenced_bytes > (uint64_t)CLUSTERS * CLUSTER)
			r = fiber_fail(f, -ERANGE, "more is referenced than there is");
	}
	return r;
}

RIG_TEST(a_walk_goes_on_while_the_map_changes)
{
	struct fiber *walk;
	struct usage u;

	usage_start(f, rig, &u);
	write_some(&u, "r", 0, 1000, 1);
	assert_int_equal(fiber_start(fiber_reactor(f), "walk", walks_main, &u, &walk), 0);
	for (unsigned i = 0; i < 30; i++) {
		pool_ok(f, snapshot_create(f, u.pr.pool, "r", "s", NULL));
		write_some(&u, "r", i, 20, 17);
		pool_ok(f, snapshot_destroy(f, u.pr.pool, "s"));
		pool_ok(f, pool_sync(f, u.pr.pool));
	}
	pool_ok(f, fiber_join(f, walk));
	pool_rig_check(f, &u.pr);
	pool_rig_stop(f, &u.pr);
}

RIG_TEST(a_pool_with_replicas_is_destroyed_by_force_only)
{
	const struct pool_import_args args = { .disks = disks, .disk_count = 1 };
	struct pool_label label;
	struct pool *pool;
	struct usage u;

	usage_start(f, rig, &u);
	pool_ok(f, snapshot_create(f, u.pr.pool, "r", "s", NULL));
	assert_int_equal(pool_destroy(f, u.pr.pool, false), -ENOTEMPTY);
	assert_string_equal(fiber_words(f), "pool 'p' has 1 replicas and 1 snapshots");
	fiber_clear(f);
	pool_ok(f, pool_look(f, disks[0], &label));
	assert_string_equal(label.name, "p");
	pool_ok(f, pool_destroy(f, u.pr.pool, true));
	assert_int_equal(pool_look(f, disks[0], &label), -ENOMSG);
	fiber_clear(f);
	assert_int_equal(pool_import(f, &args, &pool), -ENOMSG);
	fiber_clear(f);
	pool_ok(f, pool_create(f,
			       &(struct pool_create_args){
				       .name = "p", .disks = disks, .disk_count = 1 },
			       &u.pr.pool));
	pool_rig_stop(f, &u.pr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_exclusive_is_what_comes_back),
		cmocka_unit_test(a_walk_is_cancelled),
		cmocka_unit_test(a_walk_goes_on_while_the_map_changes),
		cmocka_unit_test(a_pool_with_replicas_is_destroyed_by_force_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
