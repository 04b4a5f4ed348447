// SPDX-License-Identifier: Apache-2.0
/*
 * pool - the pools of a node: listing, starting, exporting, growing, destroying.
 */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "pool/catalog_priv.h"
#include "pool/import_priv.h"
#include "pool/control_priv.h"
#include "pool/intent_priv.h"
#include "pool/label_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

int pool_table_new(struct io *io, struct pool_table **ret)
{
	struct pool_table *table = mem_new(io, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->mem = io->mem;
	list_init(&table->pools);
	*ret = table;
	return 0;
}

void pool_table_free(struct pool_table *table)
{
	if (!table)
		return;
	must(list_empty(&table->pools));
	mem_free(table);
}

struct pool_table *pool_table_of(struct fiber *f)
{
	struct pool_table *table = reactor_bdev_env(fiber_reactor(f))->pools;

	must(table);
	return table;
}

static struct pool *table_find(struct pool_table *table, const char *name)
{
	struct pool *pool;

	list_for_each(pool, &table->pools, link)
		if (strcmp(pool->super.name, name) == 0)
			return pool;
	return NULL;
}

int pool_new(struct fiber *f, const char *name, struct pool **ret)
{
	struct pool_table *table = pool_table_of(f);
	struct pool *pool;

	if (table_find(table, name))
		return fiber_fail(f, -EEXIST, "pool '%s' exists", name);
	if (table->count == POOL_POOLS_MAX)
		return fiber_fail(f, -ENOSPC, "there are %u pools, the most there can be",
				  POOL_POOLS_MAX);
	pool = mem_new(fiber_io(f), sizeof(*pool));
	if (!pool)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory", name);
	pool->home = fiber_reactor(f);
	pool->mem = fiber_io(f)->mem;
	pool->table = table;
	memcpy(pool->super.name, name, strlen(name) + 1);
	list_add_tail(&table->pools, &pool->link);
	table->count++;
	*ret = pool;
	return 0;
}

void pool_damaged(struct fiber *f, struct pool *pool)
{
	if (!pool->damaged)
		snprintf(pool->why, sizeof(pool->why), "%s", fiber_words(f));
	pool->damaged = true;
	pool->state = POOL_READ_ONLY;
	fiber_clear(f);
}

int pool_start(struct fiber *f, struct pool *pool)
{
	int r = rio_start(f, pool);

	pool->seen = (struct pool_roots){ pool->super.catalog, pool->super.names, pool->super.space,
					  pool->super.many };
	if (r == 0)
		r = intent_replay(
			f, pool,
			control_replay); /* in memory: a read-only pool is read as it was, too */
	if (r == -EILSEQ) { /* what it tells up to there is told */
		pool_damaged(f, pool);
		r = 0;
	}
	if (r < 0 || pool->state != POOL_ONLINE)
		return r;
	pool->super.flags &= ~(uint64_t)SUPER_CLEAN;
	pool->super.txg += pool->txg_skip;
	r = commit_start(f, pool);
	return r < 0 ? r : commit_wait(f, pool);
}

static void replicas_forget(struct pool *pool)
{
	struct map_iter iter = { 0 };

	while (map_u64_next(&pool->open, &iter)) {
		struct replica *rep = iter.value;

		must(rep->uses == 0);
		control_fini(rep);
		rio_fini(rep);
		mem_free(rep);
	}
}

void pool_close(struct fiber *f, struct pool *pool)
{
	commit_end(f, pool);
	if (pool->pages_per_cluster) {
		replicas_forget(pool);
		rio_stop(f, pool);
		pool_engine_fini(pool);
	}
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		disk_close(f, &pool->disks[i]);
	list_del(&pool->link);
	pool->table->count--;
	mem_free(pool);
}

static int pool_check_unused(struct fiber *f, struct pool *pool)
{
	struct map_iter iter = { 0 };

	if (pool->is_shut || pool->opening)
		return fiber_fail(f, -EBUSY, "pool '%s': %s", pool->super.name,
				  pool->is_shut ? "it is being opened or closed" :
						     "a replica is being opened");
	while (map_u64_next(&pool->open, &iter)) {
		struct replica *rep = iter.value;

		if (rep->uses)
			return fiber_fail(f, -EBUSY, "pool '%s': replica '%s' is in use",
					  pool->super.name, rep->rec.name);
	}
	return 0;
}

int pool_export(struct fiber *f, struct pool *pool)
{
	int r = pool_check_unused(f, pool);

	if (r < 0)
		return r;
	pool->is_shut = true;
	if (pool->state == POOL_ONLINE) {
		r = commit_stop(f, pool);
		if (r == 0 && pool->state != POOL_ONLINE) { /* what was not flushed is not there */
			r = fiber_fail(f, -EIO, "pool '%s' stopped while it was exported: %s", pool->super.name,
				       pool->why);
		} else if (r == 0) {
			pool->super.flags |= SUPER_CLEAN;
			txn_begin(pool);
			r = txn_settle(f, pool);
			if (r == 0)
				r = txn_write(f, pool);
		}
	}
	pool_close(f, pool);
	return r;
}

int pool_destroy(struct fiber *f, struct pool *pool, bool force)
{
	int r = pool_check_unused(f, pool);

	if (r < 0)
		return r;
	if (!force && pool->super.replicas + pool->super.snapshots)
		return fiber_fail(f, -ENOTEMPTY, "pool '%s' has %llu replicas and %llu snapshots",
				  pool->super.name, (unsigned long long)pool->super.replicas,
				  (unsigned long long)pool->super.snapshots);
	pool->is_shut = true;
	r = commit_stop(f, pool);
	for (unsigned i = 0; r == 0 && i < POOL_DISKS_MAX; i++)
		if (pool->disks[i].bdev)
			r = label_wipe(f, pool->mem, &pool->disks[i]);
	pool_close(f, pool);
	return r;
}

struct pool *pool_find(struct fiber *f, const char *name_or_uuid)
{
	struct pool_table *table = pool_table_of(f);
	struct pool *pool = table_find(table, name_or_uuid);
	struct uuid uuid;

	if (pool)
		return pool;
	if (uuid_parse(name_or_uuid, &uuid) == 0)
		list_for_each(pool, &table->pools, link)
			if (memcmp(pool->super.pool.bytes, uuid.bytes, sizeof(uuid.bytes)) == 0)
				return pool;
	(void)fiber_fail(f, -ENOENT, "there is no pool '%s'", name_or_uuid);
	return NULL;
}

int pool_each(struct fiber *f, int (*fn)(void *ctx, struct pool *pool), void *ctx)
{
	struct pool *pool;

	list_for_each(pool, &pool_table_of(f)->pools, link) {
		int r = fn(ctx, pool);

		if (r != 0)
			return r;
	}
	return 0;
}

void pool_info(struct pool *pool, struct pool_info *ret)
{
	const struct super *super = &pool->super;

	*ret = (struct pool_info){ .uuid = super->pool,
				   .state = pool->state,
				   .cluster_bytes = super->cluster_bytes,
				   .overcommit_percent = super->overcommit_percent,
				   .replicas = super->replicas,
				   .snapshots = super->snapshots,
				   .committed_bytes = super->committed_bytes,
				   .reaping = super->dead.entries > 0,
				   .txg = super->txg,
				   .incarnation = super->incarnation };
	memcpy(ret->name, super->name, sizeof(ret->name));
	memcpy(ret->why, pool->why, sizeof(ret->why));
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		ret->disks += pool->disks[i].bdev != NULL;
	ret->capacity_bytes = pool->space.total << pool->cluster_shift;
	ret->used_bytes = (super->data_clusters + pool->space.claimed) << pool->cluster_shift;
	ret->metadata_bytes = super->meta_clusters << pool->cluster_shift;
	ret->reserved_bytes = (super->thick_clusters + space_meta_keep(pool)) << pool->cluster_shift;
}

void pool_io_stats(struct pool *pool, struct pool_io_stats *ret)
{
	*ret = pool->stats;
	ret->lookups_hit += pool->rio.hits;
	ret->cache_bytes = pool->cache.bytes;
	ret->cache_evicted = pool->cache.evicted;
}

int pool_sync(struct fiber *f, struct pool *pool)
{
	return commit_wait(f, pool);
}

int pool_reap_wait(struct fiber *f, struct pool *pool)
{
	int r = commit_wait(f, pool);

	/* Three more, so that quarantine is over too. */
	for (unsigned quiet = 0; r == 0 && quiet < 3; quiet++) {
		if (pool->super.dead.entries)
			quiet = 0;
		r = commit_wait(f, pool);
	}
	return r;
}
