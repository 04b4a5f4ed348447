// SPDX-License-Identifier: Apache-2.0
/*
 * cache - pages in memory: a map by name and a list by last use. See cache_priv.h.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

void cache_init(struct cache *cache, struct mem *mem, uint64_t limit_bytes)
{
	*cache = (struct cache){ .mem = mem, .limit = limit_bytes };
	list_init(&cache->lru);
	map_u64_init(&cache->pages, mem, CACHE_PAGES_MAX);
	slab_init(&cache->slab, mem, POOL_PAGE, POOL_PAGE, CACHE_PAGES_MAX);
}

static void page_free(struct cache *cache, struct page *page)
{
	list_del(&page->lru);
	list_del(&page->dirty_link);
	cache->bytes -= POOL_PAGE;
	slab_put(&cache->slab, page->bytes);
	mem_free(page);
}

void cache_drop(struct cache *cache, struct page *page)
{
	must(map_u64_del(&cache->pages, page->name) == page); /* CA1 */
	page_free(cache, page);
}

void cache_fini(struct cache *cache)
{
	struct map_iter iter = { 0 };

	while (map_u64_next(&cache->pages, &iter))
		page_free(cache, iter.value);
	map_u64_fini(&cache->pages);
	slab_fini(&cache->slab);
	must(cache->bytes == 0);
}

static void page_pin(struct page *page)
{
	if (page->pins++ == 0)
		list_del(&page->lru);
}

void cache_put(struct cache *cache, struct page *page)
{
	must(page->pins > 0);
	if (--page->pins == 0 && !page->dirty)
		list_add_tail(&cache->lru, &page->lru);
}

/* Make room for one page (CA3); what is pinned or dirty does not count against the caller. */
static void cache_shrink(struct cache *cache)
{
	while (cache->bytes + POOL_PAGE > cache->limit) {
		struct page *page = list_first(&cache->lru, struct page, lru);

		if (!page)
			return;
		cache_drop(cache, page);
		cache->evicted++;
	}
}

static struct page *page_new(struct cache *cache, uint64_t name, uint64_t txg)
{
	struct page *page;

	cache_shrink(cache);
	page = mem_alloc(cache->mem, sizeof(*page));
	if (!page)
		return NULL;
	page->bytes = slab_get(&cache->slab);
	if (!page->bytes || map_u64_put(&cache->pages, name, page) < 0) {
		slab_put(&cache->slab, page->bytes);
		mem_free(page);
		return NULL;
	}
	cache->bytes += POOL_PAGE;
	list_link_init(&page->lru);
	list_link_init(&page->dirty_link);
	page->name = name;
	page->txg = txg;
	return page;
}

struct page *cache_new(struct cache *cache, uint64_t name, uint64_t txg)
{
	struct page *page;

	cache_forget(cache, name);
	page = page_new(cache, name, txg);
	if (!page)
		return NULL;
	memset(page->bytes, 0, POOL_PAGE);
	page->dirty = true;
	return page;
}

void cache_forget(struct cache *cache, uint64_t name)
{
	struct page *page = map_u64_get(&cache->pages, name);

	if (!page)
		return;
	must(page->pins == 0);
	cache_drop(cache, page);
}

void cache_clean(struct cache *cache, struct page *page)
{
	must(page->dirty);
	list_del(&page->dirty_link);
	page->dirty = false;
	if (page->pins == 0)
		list_add_tail(&cache->lru, &page->lru);
}

struct page *cache_peek(struct cache *cache, const struct page_ptr *ptr)
{
	struct page *page = map_u64_get(&cache->pages, ptr->name);

	if (!page || page->txg != ptr->txg)
		return NULL;
	cache->hits++;
	page_pin(page);
	return page;
}

static int tree_page_fail(const uint8_t *bytes, struct err *err, const char *what, uint32_t n)
{
	return err_fail(err, -EILSEQ, "page %#" PRIx64 ": %s %u of a tree page",
			le64_get(bytes + 40), what, n);
}

int page_check_tree(const uint8_t *bytes, struct err *err)
{
	bool leaf = bytes[8] == PAGE_LEAF;
	uint32_t count = page_count(bytes);
	uint32_t size;

	if (bytes[9] == TREE_NONE || bytes[9] >= TREE_KINDS)
		return tree_page_fail(bytes, err, "wrong kind", bytes[9]);
	if (leaf != (bytes[10] == 0) || bytes[10] >= TREE_LEVELS_MAX)
		return tree_page_fail(bytes, err, "wrong level", bytes[10]);
	size = leaf ? TREE_KEY_SIZE + tree_value_size(bytes[9]) : TREE_NODE_ENTRY;
	if (count == 0 || count > PAGE_BODY / size)
		return tree_page_fail(bytes, err, "wrong count", count);
	for (uint32_t i = 1; i < count; i++) {
		const uint8_t *at = bytes + PAGE_HEAD + (size_t)i * size;

		if (le64_get(at - size) >= le64_get(at))
			return tree_page_fail(bytes, err, "wrong order at entry", i);
	}
	return 0;
}

int page_check(const struct pool *pool, const uint8_t *bytes, const struct page_ptr *ptr,
	       const struct page_want *want, struct err *err)
{
	const char *wrong = NULL;
	struct page_head head;

	page_head_get(bytes, &head);
	if (!page_is_sealed(bytes))
		wrong = "checksum or magic wrong";
	else if (memcmp(head.pool.bytes, pool->super.pool.bytes, 16) != 0)
		wrong = "belongs to another pool";
	else if (head.name != ptr->name)
		wrong = "was written for another place (misdirected)";
	else if (head.txg != ptr->txg || page_crc(bytes) != ptr->crc)
		wrong = "is not the version its parent points to (lost or stale write)";
	else if (head.type != want->type || head.tree != want->tree ||
		 (want->level >= 0 && head.level != want->level) ||
		 (want->owner && head.owner != want->owner))
		wrong = "is of another kind than its parent says";
	if (wrong)
		return err_fail(err, -EILSEQ, "pool '%s': page %#" PRIx64 " %s", pool->super.name,
				ptr->name, wrong);
	if (head.type == PAGE_NODE || head.type == PAGE_LEAF)
		return page_check_tree(bytes, err);
	return 0;
}

/* Another fiber may have brought the page while we read it: then its copy is used. */
static int cache_load(struct fiber *f, struct pool *pool, const struct page_ptr *ptr,
		      const struct page_want *want, struct page **ret)
{
	struct cache *cache = &pool->cache;
	CLEANUP(cleanup_mem) uint8_t *bytes = mem_alloc_aligned(cache->mem, POOL_PAGE, POOL_PAGE);
	struct page *page;
	int r;

	if (!bytes)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory for a page", pool->super.name);
	if (!disk_has_cluster(pool, page_cluster(ptr->name)))
		return fiber_fail(f, -EILSEQ,
				  "pool '%s': pointer to page %#" PRIx64 ", which is outside",
				  pool->super.name, ptr->name);
	r = disk_read_page(f, pool, ptr->name, bytes);
	if (r < 0)
		return r;
	page = cache_peek(cache, ptr);
	if (page) {
		*ret = page;
		return 0;
	}
	r = page_check(pool, bytes, ptr, want, fiber_err(f));
	if (r < 0)
		return r;
	cache_forget(cache, ptr->name);
	page = page_new(cache, ptr->name, ptr->txg);
	if (!page)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory for a page", pool->super.name);
	memcpy(page->bytes, bytes, POOL_PAGE);
	page_pin(page);
	*ret = page;
	return 0;
}

int cache_get(struct fiber *f, struct pool *pool, const struct page_ptr *ptr,
	      const struct page_want *want, struct page **ret)
{
	struct page *page = cache_peek(&pool->cache, ptr);

	if (!page) {
		pool->cache.misses++;
		return cache_load(f, pool, ptr, want, ret);
	}
	if (page->bytes[8] != want->type || page->bytes[9] != want->tree ||
	    (want->level >= 0 && page->bytes[10] != want->level)) {
		cache_put(&pool->cache, page);
		return fiber_fail(f, -EILSEQ,
				  "pool '%s': page %#" PRIx64
				  " is of another kind than its parent says",
				  pool->super.name, ptr->name);
	}
	*ret = page;
	return 0;
}
