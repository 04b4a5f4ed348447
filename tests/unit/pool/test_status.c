// SPDX-License-Identifier: Apache-2.0
/*
 * Block status of replicas, snapshots and clones after random writes, trims and zeroes, with
 * commits between: every block against the map (ST1) and against an array of bytes.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "pool/catalog_priv.h"
#include "pool/map_priv.h"
#include "pool/replica_priv.h"
#include "pool_rig.h"

#define MIB	    (UINT64_C(1) << 20)
#define VOLUME	    (8 * MIB)
#define BLOCKS	    (VOLUME / 512)
#define EXTENTS_MAX 7 /* small, so that answers are cut everywhere */
#define ROUNDS	    60

struct bed {
	struct pool_rig pr;
	struct prng prng;
	uint8_t *model, *seen;
};

static void bed_start(struct fiber *f, struct rig *rig, struct bed *bed, uint32_t cluster)
{
	static const char *const disks[] = { "malloc:///d0?size_mb=256" };
	const struct replica_create_args args = { .name = "v", .size_bytes = VOLUME };

	pool_rig_start(f, rig, &bed->pr, disks, 1, cluster);
	pool_ok(f, replica_create(f, bed->pr.pool, &args));
	prng_init(&bed->prng, cluster, 1);
	bed->model = calloc(1, VOLUME);
	bed->seen = calloc(1, VOLUME);
}

static void bed_stop(struct fiber *f, struct bed *bed)
{
	free(bed->model);
	free(bed->seen);
	pool_rig_stop(f, &bed->pr);
}

static void change(struct fiber *f, struct bed *bed, struct bdev_chan *chan)
{
	uint64_t lba = prng_below(&bed->prng, BLOCKS);
	uint64_t kind = prng_below(&bed->prng, 4);
	uint64_t most = min_u64(BLOCKS - lba, kind == 3 ? 2048 : 64);
	uint64_t count = 1 + prng_below(&bed->prng, most);
	uint8_t *at = bed->model + lba * 512;

	if (kind < 2) {
		rig_fill(at, count * 512, prng_u64(&bed->prng));
		pool_ok(f, bdev_write(f, chan, lba, count, at, 0));
		return;
	}
	memset(at, 0, count * 512);
	if (kind == 2)
		pool_ok(f,
			bdev_zeroes(f, chan, lba, count, prng_below(&bed->prng, 2) ? BIO_KEEP : 0));
	else
		pool_ok(f, bdev_unmap(f, chan, lba, count));
}

/* The map says so, block by block. */
static void check_map(struct fiber *f, struct replica *rep, const struct bdev_extent *e)
{
	const struct pool *pool = rep->pool;

	for (uint64_t lba = e->lba; lba < e->lba + e->blocks; lba++) {
		uint64_t at = lba * 512;
		struct map_place place;
		int r;

		while ((r = map_peek(rep, at >> pool->cluster_shift, false, &place)) == -EAGAIN)
			pool_ok(f, map_load(f, rep, at >> pool->cluster_shift, false));
		assert_int_equal(r, 0);
		unsigned bit = (unsigned)(at & (pool->super.cluster_bytes - 1)) / POOL_BLOCK;
		bool valid = place.cluster &&
			     (pool->blocks_per_cluster > POOL_VALID_BITS || place.valid >> bit & 1);
		assert_int_equal(!!(e->flags & BDEV_HOLE), place.cluster == 0);
		assert_int_equal(!(e->flags & BDEV_ZERO), valid);
	}
}

static bool is_zero(const uint8_t *at, uint64_t bytes)
{
	return at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0;
}

/* Of a disk whose content is `model`. */
static void check(struct fiber *f, struct bed *bed, const char *name, const uint8_t *model)
{
	char uri[64];
	struct replica *rep;
	uint64_t lba = 0;

	snprintf(uri, sizeof(uri), "pool:///p/%s", name);
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	pool_ok(f, replica_find(f, bed->pr.pool, name, &rep));
	pool_ok(f, bdev_read(f, chan, 0, BLOCKS, bed->seen));
	assert_memory_equal(bed->seen, model, VOLUME);
	while (lba < BLOCKS) {
		struct bdev_extent e[EXTENTS_MAX];
		uint64_t most = 1 + prng_below(&bed->prng, BLOCKS - lba);
		uint64_t end = lba + most;
		unsigned count = 0;

		pool_ok(f, bdev_status_get(f, chan, lba, most, e, EXTENTS_MAX, &count));
		assert_in_range(count, 1, EXTENTS_MAX);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(e[i].lba, lba);
			assert_in_range(e[i].blocks, 1, end - lba);
			assert_true(i == 0 || e[i].flags != e[i - 1].flags);
			check_map(f, rep, &e[i]);
			if (e[i].flags & BDEV_ZERO)
				assert_true(is_zero(model + lba * 512, e[i].blocks * 512));
			lba += e[i].blocks;
		}
	}
	replica_put(rep);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void play(struct fiber *f, struct rig *rig, uint32_t cluster)
{
	struct bed bed;

	bed_start(f, rig, &bed, cluster);
	uint8_t *frozen = malloc(VOLUME);
	struct bdev *bdev = rig_open(f, "pool:///p/v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	for (unsigned round = 0; round < ROUNDS; round++) {
		change(f, &bed, chan);
		if (round % 20 == 7)
			pool_ok(f, pool_sync(f, bed.pr.pool));
		if (round % 10 == 0)
			check(f, &bed, "v", bed.model);
	}
	memcpy(frozen, bed.model, VOLUME);
	pool_ok(f, snapshot_create(f, bed.pr.pool, "v", "s", NULL));
	pool_ok(f, clone_create(f, bed.pr.pool, "s", "c", NULL));
	for (unsigned round = 0; round < ROUNDS; round++)
		change(f, &bed, chan);
	check(f, &bed, "v", bed.model);
	check(f, &bed, "s", frozen);
	check(f, &bed, "c", frozen);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	pool_rig_remount(f, &bed.pr);
	check(f, &bed, "v", bed.model);
	check(f, &bed, "s", frozen);
	free(frozen);
	bed_stop(f, &bed);
}

RIG_TEST(status_agrees_with_map_and_data)
{
	for (uint32_t cluster = POOL_CLUSTER_MIN; cluster <= POOL_CLUSTER_MAX; cluster *= 4)
		play(f, rig, cluster);
}

RIG_TEST(status_of_nothing_is_one_hole)
{
	struct bdev_extent e[2];
	struct bed bed;
	unsigned count = 0;

	bed_start(f, rig, &bed, 65536);
	struct bdev *bdev = rig_open(f, "pool:///p/v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	pool_ok(f, bdev_status_get(f, chan, 3, BLOCKS - 5, e, 2, &count));
	assert_int_equal(count, 1);
	assert_int_equal(e[0].lba, 3);
	assert_int_equal(e[0].blocks, BLOCKS - 5);
	assert_int_equal(e[0].flags, BDEV_HOLE | BDEV_ZERO);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	bed_stop(f, &bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_agrees_with_map_and_data),
		cmocka_unit_test(status_of_nothing_is_one_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
