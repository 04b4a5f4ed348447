// SPDX-License-Identifier: Apache-2.0
/*
 * cache - pages in memory.
 *
 * Clean pages stand in a list by last use and go when the budget is short; pinned ones
 * and those of the open or committing transaction (dirty) stay.
 *
 * CA1. At most one page of a name is cached; it is the newest that has that name.
 * CA2. A clean page equals its disk block, and was checked against the pointer that led to it.
 * CA3. cache.bytes <= limit, but for dirty and pinned pages.
 */
#ifndef POOL_CACHE_PRIV_H
#define POOL_CACHE_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "base/slab.h"
#include "pool/format.h"

struct err;
struct fiber;
struct pool;

struct page {
	struct list_link lru;	     /* clean and not pinned */
	struct list_link dirty_link; /* in txn.dirty */
	uint64_t name, txg;
	uint32_t pins;
	bool dirty;
	uint8_t *bytes; /* POOL_PAGE, aligned */
};

struct cache {
	struct map_u64 pages;
	struct list lru;  /* oldest first */
	struct slab slab; /* the bytes of pages */
	struct mem *mem;
	uint64_t bytes, limit;
	uint64_t hits, misses, evicted;
};

#define CACHE_PAGES_MAX (1u << 24)

void cache_init(struct cache *cache, struct mem *mem, uint64_t limit_bytes);
void cache_fini(struct cache *cache); /* dirty ones too; none pinned */

/* In memory already? Pinned for the caller. NULL: no, or not the one meant. Never suspends. */
struct page *cache_peek(struct cache *cache, const struct page_ptr *ptr);

/* What the page must be, besides what its pointer says. */
struct page_want {
	uint8_t type, tree;
	int level; /* -1: any */
	uint64_t owner; /* trees of an object: shared pages keep the owner they were written for: 0 = any */
};

/*
 * From memory or disk, checked and pinned. -EILSEQ: damaged, with words that say where.
 * Suspends only when it has to read.
 */
MUST_USE int cache_get(struct fiber *f, struct pool *pool, const struct page_ptr *ptr,
		       const struct page_want *want, struct page **ret);
void cache_put(struct cache *cache, struct page *page);

/* A new page of zeros under this name (dirty, pinned by the transaction). NULL: no memory. */
struct page *cache_new(struct cache *cache, uint64_t name, uint64_t txg);

/* The transaction has written it: clean from now on. */
void cache_clean(struct cache *cache, struct page *page);

/* Gone: its name is free. */
void cache_drop(struct cache *cache, struct page *page);
/* The same by name, if it is cached (dirty or not); must not be pinned. */
void cache_forget(struct cache *cache, uint64_t name);

/* Check bytes read from disk against pointer and expectation; says what is wrong in words. */
MUST_USE int page_check(const struct pool *pool, const uint8_t *bytes, const struct page_ptr *ptr,
			const struct page_want *want, struct err *err);

/* Entry counts and key order of a tree page. */
MUST_USE int page_check_tree(const uint8_t *bytes, struct err *err);

#endif
