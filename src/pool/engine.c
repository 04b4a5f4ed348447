// SPDX-License-Identifier: Apache-2.0
/*
 * engine - the part of a pool that knows pages, counts and trees, but no replicas.
 */
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "pool/pool_priv.h"

void pool_engine_init(struct pool *pool, uint64_t cache_bytes)
{
	pool->cluster_shift = (uint32_t)__builtin_ctz(pool->super.cluster_bytes);
	pool->blocks_per_cluster = pool->super.cluster_bytes / POOL_BLOCK;
	pool->pages_per_cluster = pool->super.cluster_bytes / POOL_PAGE;
	cache_init(&pool->cache, pool->mem, cache_bytes ? cache_bytes : POOL_CACHE_DEFAULT);
	refs_init(&pool->refs, pool);
	space_init(&pool->space, pool);
	txn_init(&pool->txn);
	map_u64_init(&pool->open, pool->mem, POOL_REPLICAS_MAX);
	list_init(&pool->dirty_replicas);
	list_init(&pool->controls);
}

void pool_engine_fini(struct pool *pool)
{
	cache_fini(&pool->cache);
	refs_fini(&pool->refs);
	space_fini(&pool->space);
	map_u64_fini(&pool->open);
}

void pool_fault(struct pool *pool, const char *why)
{
	if (pool->state == POOL_FAULTED)
		return;
	pool->state = POOL_FAULTED;
	snprintf(pool->why, sizeof(pool->why), "%s", why);
	watermark_state_changed(pool);
}
