// SPDX-License-Identifier: Apache-2.0
/*
 * refs - how many pointers lead to each metadata page, and which pages are free.
 *
 * All counts are in memory (4 bytes a page of a metadata cluster). On disk they stand in
 * PAGE_REFS pages; entry i of page n is slot n * refs_per_page + i. A page of refs is
 * rewritten elsewhere when one of its counts has changed; since finding the new place
 * changes counts too, refs_settle() goes on until nothing changes any more.
 *
 *	superblock -> root index (level 1) -> index (level 0) -> PAGE_REFS
 *
 * RF1. count > 0 exactly for pages the open transaction's state reaches, once per pointer.
 * RF2. A page is handed out only if its count is 0 and it is not in quarantine.
 * RF3. refs_settle() must have room: the caller makes sure of refs_spare() free pages first.
 */
#ifndef POOL_REFS_PRIV_H
#define POOL_REFS_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "pool/format.h"
#include "pool/names_priv.h"

struct fiber;
struct pool;

struct refs_cluster {
	struct list_link free_link; /* has free pages */
	uint64_t cluster;
	uint32_t slot;
	uint32_t free;	   /* pages neither counted nor in quarantine */
	uint32_t used;	   /* pages with a count */
	bool fresh;	   /* added by the open transaction */
	uint64_t busy[4];  /* bit: counted or in quarantine */
	uint32_t counts[]; /* pages_per_cluster */
};

/* Of one PAGE_REFS page, and of one index page: where it was last written, and whether that still holds. */
struct refs_place {
	struct page_ptr ptr;
	bool dirty;
};

struct refs {
	struct map_u64 clusters;     /* cluster -> struct refs_cluster, owned */
	struct refs_cluster **slots; /* by slot; NULL: unused; owned array */
	uint32_t slot_count, slot_room;
	uint32_t slot_first_free; /* no unused slot before it */
	struct refs_place *pages; /* PAGE_REFS pages, owned array */
	uint32_t page_count;	  /* PAGE_REFS pages needed for slot_count */
	struct refs_place *index; /* level 0 */
	uint32_t index_count;
	struct refs_place root;
	struct list free_clusters; /* with free pages, lowest first as they came */
	uint64_t free_pages, used_pages;
	uint32_t per_page;	    /* entries of a PAGE_REFS page */
	struct names freed;	    /* pages freed in the open transaction */
	struct names quarantine[2]; /* freed one and two transactions ago */
	bool any_fresh;
	bool settled; /* counts are frozen until the commit is over: must not change */
};

#define REFS_CLUSTERS_MAX (1u << 22)

void refs_init(struct refs *refs, struct pool *pool);
void refs_fini(struct refs *refs);

/* Read all counts from the root of a superblock. */
MUST_USE int refs_load(struct fiber *f, struct pool *pool, const struct page_ptr *root,
		       uint64_t pages);

uint32_t refs_count(const struct pool *pool, uint64_t page);

/* A page with count 1; -ENOSPC if none is free. */
MUST_USE int refs_alloc(struct pool *pool, uint64_t *ret_page);
/* -EILSEQ: it is counted free. */
MUST_USE int refs_inc(struct pool *pool, uint64_t page);
/* Returns what is left; a page that falls to 0 goes to quarantine. -ENOMEM; -EILSEQ if it was 0. */
MUST_USE int refs_dec(struct pool *pool, uint64_t page, uint32_t *ret_left);

/* A cluster becomes a home of pages, all free. Its count is the caller's business. */
MUST_USE int refs_add_cluster(struct pool *pool, uint64_t cluster);
/* One whose pages are all free and out of quarantine is taken out, not a fresh one; false: there is none to spare. */
bool refs_take_cluster(struct pool *pool, uint64_t keep_free_pages, uint64_t *ret_cluster);

/* Free pages that refs_settle() may need at most, as things stand. */
uint64_t refs_spare(const struct pool *pool);

/* Write dirty refs and index pages into new pages of the transaction; the new root. */
MUST_USE int refs_settle(struct pool *pool, struct page_ptr *ret_root);

/* A transaction is durable: the oldest quarantine is over. */
void refs_release(struct pool *pool);

#endif
