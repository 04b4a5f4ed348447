// SPDX-License-Identifier: Apache-2.0
/*
 * txn - the open transaction and its commit. See txn_priv.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

#define META_GIVE_BACK_KEEP 256u /* free pages kept when metadata clusters are given back */
#define META_GIVE_BACK_MAX  64u	 /* clusters given back in one transaction */

void txn_init(struct txn *txn)
{
	*txn = (struct txn){ 0 };
	list_init(&txn->dirty);
}

void txn_begin(struct pool *pool)
{
	must(!pool->txn.open && pool->state == POOL_ONLINE); /* TX1 */
	pool->txn.open = true;
	pool->txn.txg = pool->super.txg + 1;
}

int txn_count(struct pool *pool, uint64_t cluster, int change)
{
	must(pool->txn.open && (change == 1 || change == -1));
	return names_add(&pool->space.counts, pool->mem, cluster << 1 | (change < 0));
}

/* ---- pages ------------------------------------------------------------------------------ */

static int meta_claim(struct fiber *f, struct pool *pool, uint64_t *ret_cluster)
{
	int r = space_claim(pool, SPACE_META, ret_cluster);

	while (r == -EAGAIN) {
		r = space_find(f, pool);
		if (r == 0)
			r = space_claim(pool, SPACE_META, ret_cluster);
	}
	return r;
}

static int meta_add(struct fiber *f, struct pool *pool)
{
	uint64_t cluster;
	int r = meta_claim(f, pool, &cluster);

	if (r == -ENOSPC)
		return fiber_fail(f, r, "pool '%s': no space left for metadata", pool->super.name);
	if (r < 0)
		return r;
	r = refs_add_cluster(pool, cluster);
	if (r < 0) {
		space_unclaim(pool, cluster);
		return fiber_fail(f, r, "pool '%s': no memory for metadata", pool->super.name);
	}
	return txn_count(pool, cluster, 1);
}

/* A run of clusters at a time, so that what a commit writes lies together. */
static int meta_grow(struct fiber *f, struct pool *pool)
{
	uint64_t want = min_u64(SPACE_META_RUN, 1 + space_free(pool, SPACE_META) / 64);
	int r = meta_add(f, pool);

	for (uint64_t i = 1; r == 0 && i < want; i++)
		r = meta_add(f, pool);
	return r;
}

int txn_page_alloc(struct fiber *f, struct pool *pool, struct page **ret)
{
	uint64_t name;
	int r;

	must(pool->txn.open);
	while (pool->refs.free_pages == 0) {
		r = meta_grow(f, pool);
		if (r < 0)
			return r;
	}
	r = refs_alloc(pool, &name);
	if (r < 0)
		return r;
	*ret = txn_page_new(pool, name);
	return *ret ? 0 :
		      fiber_fail(f, -ENOMEM, "pool '%s': no memory for a page", pool->super.name);
}

struct page *txn_page_new(struct pool *pool, uint64_t name)
{
	struct page *page = cache_new(&pool->cache, name, pool->txn.txg);

	if (!page)
		return NULL;
	list_add_tail(&pool->txn.dirty, &page->dirty_link);
	pool->txn.dirty_count++;
	return page;
}

void txn_page_drop(struct pool *pool, struct page *page)
{
	must(page->dirty && page->txg == pool->txn.txg);
	pool->txn.dirty_count--;
	cache_drop(&pool->cache, page);
}

/* ---- settle -------------------------------------------------------------------------------- */

/* Metadata clusters that are empty go back; from here on they count as data that is freed. */
static int meta_give_back(struct pool *pool)
{
	uint64_t cluster;

	for (unsigned i = 0; i < META_GIVE_BACK_MAX; i++) {
		int r;

		if (!refs_take_cluster(pool, refs_spare(pool) + META_GIVE_BACK_KEEP, &cluster))
			return 0;
		pool->super.meta_clusters--;
		pool->super.data_clusters++;
		r = txn_count(pool, cluster, -1);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Counts change pages, pages need clusters, clusters have counts: until all is quiet. */
static int counts_settle(struct fiber *f, struct pool *pool)
{
	for (;;) {
		int r = space_apply(f, pool);

		if (r < 0)
			return r;
		if (pool->refs.free_pages >= refs_spare(pool) && !pool->space.counts.count)
			return 0;
		if (pool->refs.free_pages < refs_spare(pool))
			r = meta_grow(f, pool);
		if (r < 0)
			return r;
	}
}

static int roots_seal(struct pool *pool)
{
	struct super *super = &pool->super;
	const struct tree trees[] = {
		{ TREE_CATALOG, 0, &super->catalog }, { TREE_NAMES, 0, &super->names },
		{ TREE_SPACE, 0, &super->space },     { TREE_MANY, 0, &super->many },
		{ TREE_DEAD, 0, &super->dead },
	};

	for (unsigned i = 0; i < ARRAY_LEN(trees); i++) {
		int r = tree_seal(pool, &trees[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

int txn_settle(struct fiber *f, struct pool *pool)
{
	int r = meta_give_back(pool);

	must(pool->txn.open);
	if (r == 0)
		r = counts_settle(f, pool);
	if (r == 0)
		r = refs_settle(pool, &pool->super.refs_root);
	if (r == 0)
		r = roots_seal(pool);
	if (r < 0)
		return r;
	pool->super.refs_pages = pool->refs.page_count;
	pool->super.txg = pool->txn.txg;
	pool->seen = (struct pool_roots){ pool->super.catalog, pool->super.names, pool->super.space,
					  pool->super.many };
	return 0;
}

/* ---- write ------------------------------------------------------------------------------------ */

static int page_compare(const void *a, const void *b)
{
	const struct page *x = *(struct page *const *)a, *y = *(struct page *const *)b;

	return x->name < y->name ? -1 : x->name > y->name;
}

static int pages_write(struct fiber *f, struct pool *pool)
{
	CLEANUP(cleanup_mem)
	struct page **pages = mem_alloc_array(pool->mem, pool->txn.dirty_count + 1, sizeof(*pages));
	struct page *page, *after;
	size_t count = 0;
	int r;

	if (!pages)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory to commit", pool->super.name);
	list_for_each(page, &pool->txn.dirty, dirty_link)
		pages[count++] = page;
	must(count == pool->txn.dirty_count);
	qsort(pages, count, sizeof(*pages), page_compare);
	r = disk_write_pages(f, pool, pages, count);
	if (r < 0)
		return r;
	list_for_each_safe(page, after, &pool->txn.dirty, dirty_link)
		cache_clean(&pool->cache, page);
	pool->txn.dirty_count = 0;
	pool->stats.commit_pages += count;
	return 0;
}

int super_write(struct fiber *f, struct pool *pool)
{
	CLEANUP(cleanup_mem) uint8_t *pages = NULL;
	unsigned count = 0, n = 0;
	int r;

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		count += !!pool->disks[i].bdev;
	pages = mem_alloc_aligned(pool->mem, POOL_PAGE, (size_t)count * POOL_PAGE);
	if (!pages)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory to commit", pool->super.name);
	pool->super.wall_ns = io_wall(fiber_io(f));
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		if (pool->disks[i].bdev)
			super_encode(&pool->super, i, pages + (size_t)n++ * POOL_PAGE);
	r = disk_write_rings(f, pool, false, pool->super.txg, pages);
	return r < 0 ? r : disk_write_rings(f, pool, true, pool->super.txg, pages);
}

int txn_write(struct fiber *f, struct pool *pool)
{
	uint64_t start = io_now(fiber_io(f));
	int r = pages_write(f, pool);

	if (r == 0)
		r = disk_flush_all(f, pool); /* FM1 */
	if (r == 0 && pool->state != POOL_ONLINE) /* TX4: meanwhile, by somebody else */
		r = fiber_fail(f, -EIO, "pool '%s': %s", pool->super.name, pool->why);
	if (r == 0)
		r = super_write(f, pool);
	if (r < 0)
		return r;
	pool->txn.unshares = false;
	refs_release(pool);
	space_release(pool);
	pool->txn.open = false;
	pool->stats.commits++;
	pool->stats.commit_ns += io_now(fiber_io(f)) - start;
	return 0;
}

void txn_abandon(struct pool *pool)
{
	pool->txn.open = false;
}
