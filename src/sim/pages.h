/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - sparse bytes of any size: a radix tree of shared 4 KiB pages, over another one or none.
 *
 * PG1. A page with more than one reference does not change.
 * PG2. A page that is not there is what the base has, else zeros.
 */
#ifndef SIM_PAGES_H
#define SIM_PAGES_H

#include "sim/arena.h"

#define PAGE_BYTES	 4096u
#define PAGE_SHIFT	 12
#define SECTOR_BYTES	 512u
#define PAGE_SECTORS	 (PAGE_BYTES / SECTOR_BYTES)
#define PAGES_FAN	 64u
#define PAGES_LEVELS_MAX 9

struct page {
	uint32_t refs;
	uint32_t spare[3];
	uint8_t data[PAGE_BYTES];
};

struct pages {
	struct arena *arena;
	struct pages *base; /* borrowed; NULL: zeros */
	void *root;
	unsigned levels;  /* of nodes above the pages; 0: no root yet */
	uint64_t leaf_no; /* the leaf looked at last */
	struct page **leaf;
};

void pages_init(struct pages *pages, struct arena *arena, struct pages *base);
void pages_fini(struct pages *pages);

struct page *page_new(struct arena *arena); /* one reference, bytes undefined */
struct page *page_copy(struct arena *arena, const struct page *from); /* NULL: zeros */
void page_put(struct arena *arena, struct page *page);		      /* NULL is fine */

static inline struct page *page_ref(struct page *page)
{
	if (page)
		page->refs++;
	return page;
}

/* Borrowed; NULL: zeros. */
struct page *pages_get(struct pages *pages, uint64_t no);

/* Puts `page` there (NULL: zeros), taking its reference; returns the one that was seen there before, with a reference. */
struct page *pages_swap(struct pages *pages, uint64_t no, struct page *page);

/* The first page that is there (not NULL) at or after `no` and before `end`. */
bool pages_next(struct pages *pages, uint64_t no, uint64_t end, uint64_t *ret_no);

void pages_read(struct pages *pages, uint64_t off, void *buf, size_t len);
void pages_write(struct pages *pages, uint64_t off, const void *buf, size_t len);

#endif
