// SPDX-License-Identifier: Apache-2.0
/*
 * map - where a cluster of a replica is. See map_priv.h.
 */
#include "pool/map_priv.h"

#include <errno.h>

#include "base/must.h"
#include "pool/replica_priv.h"
#include "reactor/fiber.h"

_Static_assert(POOL_REPLICA_BYTES_MAX / POOL_CLUSTER_MIN / TLB_ENTRIES_MIN < UINT32_MAX,
	       "a tag tells any cluster from those with the same slot");
_Static_assert(TLB_ENTRIES_MIN >= TLB_RUN, "the entries of a run have different slots");

/* ---- the TLB ------------------------------------------------------------------------------- */

static uint64_t tlb_bytes(uint32_t entries)
{
	return entries * sizeof(struct tlb_entry) + entries / TLB_RUN * sizeof(struct tlb_run);
}

/* As many as the replica has clusters, within its share and what others have left of all. Runs are little. */
static uint32_t tlb_entries(const struct pool *pool, uint64_t size_bytes)
{
	uint64_t all = pool->cache.limit / TLB_SHARE_ALL;
	uint64_t left = all > pool->rio.tlb_bytes ? all - pool->rio.tlb_bytes : 0;
	uint64_t most = min_u64(left, pool->cache.limit / TLB_SHARE) / sizeof(struct tlb_entry);
	uint64_t clusters = size_bytes >> pool->cluster_shift;
	uint32_t entries = TLB_ENTRIES_MIN;

	while (entries < clusters && 2 * entries <= most && entries < TLB_ENTRIES_MAX)
		entries *= 2;
	return entries;
}

static void tlb_shape(struct tlb *tlb, struct tlb_entry *at, uint32_t entries, struct tlb_run *runs,
		      uint32_t run_count)
{
	tlb->at = at;
	tlb->mask = entries - 1;
	tlb->bits = (uint32_t)__builtin_ctz(entries);
	tlb->runs = runs;
	tlb->run_mask = run_count - 1;
	tlb->run_bits = (uint32_t)__builtin_ctz(run_count);
}

void tlb_init(struct tlb *tlb, struct tlb_entry few[TLB_ENTRIES_MIN])
{
	memset(few, 0, TLB_ENTRIES_MIN * sizeof(*few));
	*tlb = (struct tlb){ .few = few };
	tlb_shape(tlb, few, TLB_ENTRIES_MIN, &tlb->none_run, 1);
}

void tlb_grow(struct tlb *tlb, struct pool *pool, uint64_t size_bytes)
{
	uint32_t entries = tlb_entries(pool, size_bytes);
	struct tlb_entry *at = NULL;

	tlb_shrink(tlb, pool);
	while (!at && entries > TLB_ENTRIES_MIN) {
		at = mem_alloc(pool->mem, tlb_bytes(entries));
		if (!at)
			entries /= 2;
	}
	if (!at)
		return;
	tlb_shape(tlb, at, entries, (struct tlb_run *)(at + entries), entries / TLB_RUN);
	pool->rio.tlb_bytes += tlb_bytes(entries);
}

void tlb_shrink(struct tlb *tlb, struct pool *pool)
{
	if (tlb->at != tlb->few) {
		pool->rio.tlb_bytes -= tlb_bytes(tlb->mask + 1);
		mem_free(tlb->at);
	}
	tlb_init(tlb, tlb->few);
}

void tlb_flush(struct tlb *tlb)
{
	memset(tlb->at, 0, ((size_t)tlb->mask + 1) * sizeof(*tlb->at));
	memset(tlb->runs, 0, ((size_t)tlb->run_mask + 1) * sizeof(*tlb->runs));
}

void tlb_run_try(struct tlb *tlb, uint64_t lcluster, uint32_t valid)
{
	struct tlb_run *run = tlb_run_slot(tlb, lcluster);
	uint64_t first = lcluster & ~(uint64_t)(TLB_RUN - 1), where = tlb_slot(tlb, first)->where;

	for (unsigned i = 0; i < TLB_RUN; i++) {
		const struct tlb_entry *entry = tlb_slot(tlb, first + i);

		if (!tlb_hits(tlb, entry, first + i) || entry->where != where + i ||
		    entry->valid != valid)
			return;
	}
	run->where = where;
	run->tag = (uint32_t)(first >> TLB_RUN_SHIFT >> tlb->run_bits) + 1;
}

/* ---- looking up --------------------------------------------------------------------------------- */

static void place_of_delta(struct replica *rep, const struct delta_entry *entry,
			   struct map_place *ret)
{
	*ret = (struct map_place){ .cluster = entry->cluster,
				   .valid = entry->valid,
				   .exclusive = !(entry->flags & DELTA_SHARED),
				   .durable = !(entry->flags & DELTA_UNLOGGED) &&
					      !rep->pool->rio.is_volatile };
}

/* Is it ours alone (MP2)? 0, -EAGAIN, -EINPROGRESS. */
static int exclusive_peek(struct pool *pool, uint64_t cluster, bool shared, bool *ret)
{
	uint32_t count;
	int r;

	*ret = false;
	if (shared)
		return 0;
	r = space_count_peek(pool, cluster, &count);
	if (r < 0 || count > 1)
		return r;
	if (pool->txn.unshares)
		return -EINPROGRESS;
	*ret = true;
	return 0;
}

bool map_value_ok(const struct pool *pool, const struct map_value *value)
{
	uint32_t blocks = min_u32(pool->blocks_per_cluster, POOL_VALID_BITS);

	return value->cluster && disk_has_cluster(pool, value->cluster) &&
	       (uint64_t)value->valid >> blocks == 0;
}

static int place_of_tree(struct replica *rep, uint64_t lcluster, bool to_write,
			 struct map_place *ret)
{
	const struct tree map = { TREE_MAP, rep->object, &rep->seen };
	struct pool *pool = rep->pool;
	uint8_t bytes[MAP_VALUE_SIZE];
	struct map_value value;
	bool shared;
	int r = tree_peek(pool, &map, lcluster, bytes, &shared);

	*ret = (struct map_place){ .durable = !pool->rio.publishing };
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	value = map_value_get(bytes);
	if (unlikely(!map_value_ok(pool, &value)))
		return -EIO;
	ret->cluster = value.cluster;
	ret->valid = value.valid;
	r = exclusive_peek(pool, value.cluster, shared, &ret->exclusive);
	return to_write ? r : 0;
}

int map_peek(struct replica *rep, uint64_t lcluster, bool to_write, struct map_place *ret)
{
	const struct tlb_entry *at = tlb_slot(&rep->rio.tlb, lcluster);
	const struct delta_entry *entry;

	if (tlb_hits(&rep->rio.tlb, at, lcluster) &&
	    (!to_write || (at->where & TLB_EXCLUSIVE) || (at->where & TLB_CLUSTER) == 0)) {
		rep->pool->stats.lookups_hit++;
		*ret = (struct map_place){ .cluster = at->where & TLB_CLUSTER,
					   .valid = at->valid,
					   .exclusive = at->where & TLB_EXCLUSIVE,
					   .durable = at->where & TLB_DURABLE };
		return 0;
	}
	rep->pool->stats.lookups_miss++;
	entry = delta_find(rep->pool, rep->object, lcluster);
	if (entry) {
		place_of_delta(rep, entry, ret);
	} else {
		int r = place_of_tree(rep, lcluster, to_write, ret);

		if (r < 0)
			return r;
	}
	tlb_set(&rep->rio.tlb, lcluster, ret); /* MP1 */
	return 0;
}

int map_load(struct fiber *f, struct replica *rep, uint64_t lcluster, bool to_write)
{
	struct tree_root seen = rep->seen; /* MP4 */
	const struct tree map = { TREE_MAP, rep->object, &seen };
	uint8_t bytes[MAP_VALUE_SIZE];
	uint32_t count;
	int r = tree_find(f, rep->pool, &map, lcluster, bytes, NULL);

	if (r == -EILSEQ && !tree_root_same(&seen, &rep->seen)) {
		fiber_clear(f); /* overtaken: ask again */
		return 0;
	}
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (to_write)
		r = space_count(f, rep->pool, map_value_get(bytes).cluster, &count);
	return r;
}

/* ---- what is mapped ---------------------------------------------------------------------------------- */

int map_seek_root(struct fiber *f, struct pool *pool, uint64_t object, struct tree_root *root,
		  uint64_t from, uint64_t end, uint64_t *ret)
{
	const struct tree map = { TREE_MAP, object, root };
	uint8_t bytes[MAP_VALUE_SIZE];
	uint64_t key = end;
	int r = tree_next(f, pool, &map, from, &key, bytes);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret = delta_seek(pool, object, from, r == 0 ? min_u64(key, end) : end);
	return 0;
}

int map_seek(struct fiber *f, struct replica *rep, uint64_t from, uint64_t end, uint64_t *ret)
{
	for (;;) {
		struct tree_root seen = rep->seen;
		int r = map_seek_root(f, rep->pool, rep->object, &seen, from, end, ret);

		if (tree_root_same(&seen, &rep->seen))
			return r;
		fiber_clear(
			f); /* the tree went on: the delta, which was asked later, may have missed it */
	}
}
