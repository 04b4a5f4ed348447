// SPDX-License-Identifier: Apache-2.0
/* Where clusters are: the TLB, what is exclusive before and after snapshots, what is mapped. */
#include "unit/unit.h"

#include <stdlib.h>

#include "pool/catalog_priv.h"
#include "pool_rig.h"

#define MIB (UINT64_C(1) << 20)

struct map_rig {
	struct pool_rig pr;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct replica *rep;
	uint8_t *buf;
};

static const char *const one_disk[] = { "malloc:///d0?size_mb=128" };

static void start(struct fiber *f, struct rig *rig, struct map_rig *mr, uint32_t cluster)
{
	const struct replica_create_args args = { .name = "v", .size_bytes = 32 * MIB };

	*mr = (struct map_rig){ 0 };
	pool_rig_start(f, rig, &mr->pr, one_disk, 1, cluster);
	pool_ok(f, replica_create(f, mr->pr.pool, &args));
	mr->bdev = rig_open(f, "pool:///p/v");
	mr->chan = rig_chan(f, mr->bdev);
	pool_ok(f, replica_find(f, mr->pr.pool, "v", &mr->rep));
	mr->buf = malloc(cluster);
	memset(mr->buf, 0x5a, cluster);
}

static void stop(struct fiber *f, struct map_rig *mr)
{
	replica_put(mr->rep);
	bdev_chan_close(f, mr->chan);
	bdev_close(f, mr->bdev);
	pool_rig_check(f, &mr->pr);
	pool_rig_stop(f, &mr->pr);
	free(mr->buf);
}

static void write_block(struct fiber *f, struct map_rig *mr, uint64_t block)
{
	uint32_t bs = mr->bdev->block_size;

	pool_ok(f, bdev_write(f, mr->chan, block * POOL_BLOCK / bs, POOL_BLOCK / bs, mr->buf, 0));
}

static struct map_place peek(struct fiber *f, struct map_rig *mr, uint64_t lcluster)
{
	struct map_place place;
	int r = map_peek(mr->rep, lcluster, true, &place);

	while (r == -EAGAIN) {
		pool_ok(f, map_load(f, mr->rep, lcluster, true));
		r = map_peek(mr->rep, lcluster, true, &place);
	}
	assert_int_equal(r, 0);
	return place;
}

RIG_TEST(delta_tree_and_tlb_say_the_same)
{
	struct map_place in_delta, in_tree, in_tlb;
	struct map_rig mr;

	start(f, rig, &mr, 65536);
	assert_int_equal(peek(f, &mr, 3).cluster, 0);
	write_block(f, &mr, 3 * 16 + 2);
	tlb_flush(&mr.rep->rio.tlb);
	in_delta = peek(f, &mr, 3);
	assert_true(in_delta.cluster && in_delta.exclusive && in_delta.durable);
	assert_int_equal(in_delta.valid, 1 << 2);
	pool_ok(f, pool_sync(f, mr.pr.pool));
	assert_true(delta_none(&mr.pr.pool->delta));
	tlb_flush(&mr.rep->rio.tlb);
	in_tree = peek(f, &mr, 3);
	in_tlb = peek(f, &mr, 3);
	assert_int_equal(in_tree.cluster, in_delta.cluster);
	assert_int_equal(in_tlb.cluster, in_delta.cluster);
	assert_int_equal(in_tree.valid, in_delta.valid);
	assert_int_equal(in_tlb.valid, in_delta.valid);
	assert_true(in_tree.exclusive && in_tlb.exclusive);
	write_block(f, &mr, 3 * 16 + 5);
	assert_int_equal(peek(f, &mr, 3).valid, 1 << 2 | 1 << 5); /* MP1 */
	stop(f, &mr);
}

RIG_TEST(overwrites_stay_where_they_are_until_a_snapshot)
{
	struct map_place before, after, snap;
	struct replica *rep;
	struct map_rig mr;

	start(f, rig, &mr, 65536);
	for (unsigned i = 0; i < 4; i++)
		write_block(f, &mr, i * 16);
	pool_ok(f, pool_sync(f, mr.pr.pool));
	before = peek(f, &mr, 1);
	write_block(f, &mr, 16);
	assert_int_equal(peek(f, &mr, 1).cluster, before.cluster);
	pool_ok(f, snapshot_create(f, mr.pr.pool, "v", "s", NULL));
	after = peek(f, &mr, 1);
	assert_int_equal(after.cluster, before.cluster);
	assert_false(after.exclusive); /* MP2 */
	write_block(f, &mr, 16);
	after = peek(f, &mr, 1);
	assert_true(after.cluster != before.cluster && after.exclusive);
	assert_false(peek(f, &mr, 2).exclusive);

	pool_ok(f, replica_find(f, mr.pr.pool, "s", &rep));
	pool_ok(f, map_load(f, rep, 1, true));
	assert_int_equal(map_peek(rep, 1, false, &snap), 0);
	assert_int_equal(snap.cluster, before.cluster);
	replica_put(rep);

	pool_ok(f, snapshot_destroy(f, mr.pr.pool, "s"));
	pool_ok(f, pool_reap_wait(f, mr.pr.pool));
	tlb_flush(&mr.rep->rio.tlb);
	assert_true(peek(f, &mr, 2).exclusive); /* nobody shares it any more */
	assert_int_equal(peek(f, &mr, 1).cluster, after.cluster);
	stop(f, &mr);
}

RIG_TEST(what_stops_being_shared_is_not_ours_before_it_is_durable)
{
	struct map_place place;
	struct map_rig mr;

	start(f, rig, &mr, 65536);
	write_block(f, &mr, 0);
	pool_ok(f, pool_sync(f, mr.pr.pool));
	tlb_flush(&mr.rep->rio.tlb);
	mr.pr.pool->txn.unshares = true;
	assert_int_equal(map_peek(mr.rep, 0, false, &place), 0); /* reads do not care */
	assert_false(place.exclusive);
	assert_int_equal(map_peek(mr.rep, 0, true, &place), -EINPROGRESS);
	mr.pr.pool->txn.unshares = false;
	assert_true(peek(f, &mr, 0).exclusive);
	stop(f, &mr);
}

RIG_TEST(hits_need_no_tree)
{
	struct pool_io_stats before, after;
	struct map_rig mr;

	start(f, rig, &mr, 65536);
	write_block(f, &mr, 0);
	pool_ok(f, pool_sync(f, mr.pr.pool));
	pool_io_stats(mr.pr.pool, &before);
	for (unsigned i = 0; i < 100; i++)
		write_block(f, &mr, 0);
	pool_io_stats(mr.pr.pool, &after);
	assert_int_equal(after.lookups_miss, before.lookups_miss);
	assert_int_equal(after.log_pages, before.log_pages);
	assert_int_equal(after.commits, before.commits);
	stop(f, &mr);
}

RIG_TEST(seek_finds_what_is_mapped_in_tree_or_delta)
{
	struct map_rig mr;
	uint64_t at;

	start(f, rig, &mr, 16384);
	pool_ok(f, map_seek(f, mr.rep, 0, 2048, &at));
	assert_int_equal(at, 2048);
	write_block(f, &mr, 1500 * 4);
	pool_ok(f, pool_sync(f, mr.pr.pool));
	write_block(f, &mr, 700 * 4);
	pool_ok(f, map_seek(f, mr.rep, 0, 2048, &at));
	assert_int_equal(at, 700);
	pool_ok(f, map_seek(f, mr.rep, 701, 2048, &at));
	assert_int_equal(at, 1500);
	pool_ok(f, map_seek(f, mr.rep, 701, 1500, &at));
	assert_int_equal(at, 1500);
	pool_ok(f, map_seek(f, mr.rep, 1501, 2048, &at));
	assert_int_equal(at, 2048);
	stop(f, &mr);
}

RIG_TEST(small_table_is_right_too)
{
	struct map_rig mr;
	uint64_t cluster[64];

	start(f, rig, &mr, 16384);
	for (unsigned i = 0; i < 64; i++) {
		write_block(f, &mr, i * 31 * 4);
		cluster[i] = peek(f, &mr, i * 31).cluster;
		assert_true(cluster[i] != 0);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(peek(f, &mr, i * 31).cluster, cluster[i]);
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(peek(f, &mr, i * 31 + 1).cluster, 0);
		pool_ok(f, pool_sync(f, mr.pr.pool));
		tlb_flush(&mr.rep->rio.tlb);
	}
	stop(f, &mr);
}

/* ---- runs ----------------------------------------------------------------------------------- */

#define RUNS	2u
#define CLUSTER 65536u

static bool run_is(const struct map_rig *mr, uint64_t lcluster)
{
	const struct tlb *tlb = &mr->rep->rio.tlb;

	return tlb_run_hits(tlb, tlb_run_slot(tlb, lcluster), lcluster);
}

static void cluster_write(struct fiber *f, struct map_rig *mr, uint64_t lcluster, int byte)
{
	uint32_t blocks = CLUSTER / mr->bdev->block_size;

	memset(mr->buf, byte, CLUSTER);
	pool_ok(f, bdev_write(f, mr->chan, lcluster * blocks, blocks, mr->buf, 0));
}

/* Blocks of two clusters at a time, as often as it takes to look for a run; right every time. */
static void run_read(struct fiber *f, struct bdev_chan *chan, unsigned run, int changed, int byte)
{
	uint32_t bs = chan->bdev->block_size, half = CLUSTER / bs;
	uint8_t *buf = malloc(CLUSTER);

	for (unsigned i = 0; i < TLB_RUN_TRIES; i++) {
		uint64_t at = run * TLB_RUN + (i < TLB_RUN - 1 ? i : 0);

		pool_ok(f, bdev_read(f, chan, at * half + half / 2, half, buf));
		assert_int_equal(buf[0], (int)at == changed ? byte : (int)at + 1);
		assert_int_equal(buf[CLUSTER / 2 - 1], buf[0]);
		assert_int_equal(buf[CLUSTER / 2], (int)at + 1 == changed ? byte : (int)at + 2);
		assert_int_equal(buf[CLUSTER - 1], buf[CLUSTER / 2]);
	}
	free(buf);
}

static void runs_begin(struct fiber *f, struct rig *rig, struct map_rig *mr)
{
	start(f, rig, mr, CLUSTER);
	for (unsigned i = 0; i < RUNS * TLB_RUN; i++)
		cluster_write(f, mr, i, (int)i + 1);
	for (unsigned i = 0; i < RUNS; i++) {
		assert_false(run_is(mr, i * TLB_RUN));
		run_read(f, mr->chan, i, -1, 0);
		assert_true(run_is(mr, i * TLB_RUN));
	}
}

RIG_TEST(a_run_ends_with_any_change_of_its_clusters)
{
	struct map_rig mr;

	runs_begin(f, rig, &mr);
	cluster_write(f, &mr, TLB_RUN + 3, 0xee); /* in place: nothing changes */
	assert_true(run_is(&mr, TLB_RUN));
	run_read(f, mr.chan, 1, TLB_RUN + 3, 0xee);
	pool_ok(f, bdev_unmap(f, mr.chan, 5 * (CLUSTER / 512), CLUSTER / 512));
	assert_false(run_is(&mr, 0));
	run_read(f, mr.chan, 0, 5, 0);
	assert_false(run_is(&mr, 0));
	cluster_write(f, &mr, 5, 0xdd);
	run_read(f, mr.chan, 0, 5, 0xdd);
	assert_true(run_is(&mr, TLB_RUN));
	stop(f, &mr);
}

RIG_TEST(a_run_is_not_written_in_place_after_a_snapshot)
{
	struct bdev_chan *chan;
	struct bdev *bdev;
	struct map_rig mr;

	runs_begin(f, rig, &mr);
	pool_ok(f, snapshot_create(f, mr.pr.pool, "v", "s", NULL));
	assert_false(run_is(&mr, 0) || run_is(&mr, TLB_RUN));
	run_read(f, mr.chan, 0, -1, 0); /* a run again, shared */
	run_read(f, mr.chan, 0, -1, 0);
	cluster_write(f, &mr, 7, 0xcc);
	assert_false(run_is(&mr, 0));
	run_read(f, mr.chan, 0, 7, 0xcc);
	bdev = rig_open(f, "pool:///p/s");
	chan = rig_chan(f, bdev);
	run_read(f, chan, 0, -1, 0);
	run_read(f, chan, 0, -1, 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	stop(f, &mr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delta_tree_and_tlb_say_the_same),
		cmocka_unit_test(overwrites_stay_where_they_are_until_a_snapshot),
		cmocka_unit_test(what_stops_being_shared_is_not_ours_before_it_is_durable),
		cmocka_unit_test(hits_need_no_tree),
		cmocka_unit_test(seek_finds_what_is_mapped_in_tree_or_delta),
		cmocka_unit_test(small_table_is_right_too),
		cmocka_unit_test(a_run_ends_with_any_change_of_its_clusters),
		cmocka_unit_test(a_run_is_not_written_in_place_after_a_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
