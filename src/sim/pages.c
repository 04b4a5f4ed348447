/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - the radix tree of pages; see pages.h.
 *
 *	root node: 64 pointers --> ... --> leaf: 64 pointers --> pages
 *
 * PG3. A leaf's pointer is NULL (ask the base), the mark of zeros over a base, or a page with a
 *      reference of the tree's.
 */
#include "sim/pages.h"

#include <string.h>

#include "base/must.h"

#define PAGES_NODE_BYTES (PAGES_FAN * sizeof(void *))

/* Zeros, though the base has something there. Never dereferenced. */
static const struct page pages_zeros;
#define PAGES_ZEROS ((struct page *)(uintptr_t)&pages_zeros)

void pages_init(struct pages *pages, struct arena *arena, struct pages *base)
{
	*pages = (struct pages){ .arena = arena, .base = base };
}

struct page *page_new(struct arena *arena)
{
	struct page *page = arena_get(arena, sizeof(*page));

	page->refs = 1;
	return page;
}

struct page *page_copy(struct arena *arena, const struct page *from)
{
	struct page *page = page_new(arena);

	if (from)
		memcpy(page->data, from->data, PAGE_BYTES);
	else
		memset(page->data, 0, PAGE_BYTES);
	return page;
}

void page_put(struct arena *arena, struct page *page)
{
	if (!page || page == PAGES_ZEROS)
		return;
	must(page->refs > 0);
	if (--page->refs == 0)
		arena_put(arena, page, sizeof(*page));
}

/* Recursion is bounded by PAGES_LEVELS_MAX. */
static void pages_free_node(struct pages *pages, void **node, unsigned level)
{
	for (unsigned i = 0; i < PAGES_FAN; i++) {
		if (!node[i])
			continue;
		if (level == 1)
			page_put(pages->arena, node[i]);
		else
			pages_free_node(pages, node[i], level - 1);
	}
	arena_put(pages->arena, node, PAGES_NODE_BYTES);
}

void pages_fini(struct pages *pages)
{
	if (pages->root)
		pages_free_node(pages, pages->root, pages->levels);
	pages_init(pages, pages->arena, NULL);
}

static bool pages_covers(const struct pages *pages, uint64_t no)
{
	return pages->levels && (no >> (6 * pages->levels)) == 0;
}

/* The leaf that has this page; NULL if there is none and `make` is false. */
static struct page **pages_leaf(struct pages *pages, uint64_t no, bool make)
{
	if (pages->leaf && pages->leaf_no == no / PAGES_FAN)
		return pages->leaf;
	while (!pages_covers(pages, no)) {
		if (!make)
			return NULL;
		must(pages->levels < PAGES_LEVELS_MAX);
		void **root = arena_zalloc(pages->arena, PAGES_NODE_BYTES);
		root[0] = pages->root;
		pages->root = root;
		pages->levels++;
	}
	void **node = pages->root;
	for (unsigned level = pages->levels; level > 1; level--) {
		void **slot = &node[(no >> (6 * (level - 1))) % PAGES_FAN];
		if (!*slot && !make)
			return NULL;
		if (!*slot)
			*slot = arena_zalloc(pages->arena, PAGES_NODE_BYTES);
		node = *slot;
	}
	pages->leaf_no = no / PAGES_FAN;
	pages->leaf = (struct page **)node;
	return pages->leaf;
}

struct page *pages_get(struct pages *pages, uint64_t no)
{
	for (; pages; pages = pages->base) {
		struct page **leaf = pages_leaf(pages, no, false);
		struct page *page = leaf ? leaf[no % PAGES_FAN] : NULL;
		if (page)
			return page == PAGES_ZEROS ? NULL : page;
	}
	return NULL;
}

struct page *pages_swap(struct pages *pages, uint64_t no, struct page *page)
{
	struct page **leaf = pages_leaf(pages, no, true);
	struct page *old = leaf[no % PAGES_FAN];

	leaf[no % PAGES_FAN] = page ? page : pages->base ? PAGES_ZEROS : NULL;
	if (old == PAGES_ZEROS)
		return NULL;
	if (!old && pages->base)
		return page_ref(pages_get(pages->base, no));
	return old;
}

/* Own pages only; marks of zeros count as there. */
static bool pages_next_own(struct pages *pages, uint64_t no, uint64_t end, uint64_t *ret_no)
{
	while (no < end && pages_covers(pages, no)) {
		void **node = pages->root;
		unsigned level = pages->levels;
		while (level > 1 && node[(no >> (6 * (level - 1))) % PAGES_FAN])
			node = node[(no >> (6 * (--level))) % PAGES_FAN];
		if (level > 1) { /* nothing below this slot: go behind it */
			uint64_t span = UINT64_C(1) << (6 * (level - 1));
			no = align_down_u64(no, span) + span;
			continue;
		}
		if (node[no % PAGES_FAN]) {
			*ret_no = no;
			return true;
		}
		no++;
	}
	return false;
}

bool pages_next(struct pages *pages, uint64_t no, uint64_t end, uint64_t *ret_no)
{
	for (; no < end; no++) {
		uint64_t first = UINT64_MAX, found;
		for (struct pages *p = pages; p; p = p->base)
			if (pages_next_own(p, no, end, &found))
				first = min_u64(first, found);
		if (first == UINT64_MAX)
			return false;
		no = first;
		if (pages_get(pages, no)) {
			*ret_no = no;
			return true;
		}
	}
	return false;
}

void pages_read(struct pages *pages, uint64_t off, void *buf, size_t len)
{
	for (uint8_t *to = buf; len > 0;) {
		size_t at = off % PAGE_BYTES, n = min_size(len, PAGE_BYTES - at);
		struct page *page = pages_get(pages, off / PAGE_BYTES);
		if (page)
			memcpy(to, page->data + at, n);
		else
			memset(to, 0, n);
		to += n;
		off += n;
		len -= n;
	}
}

void pages_write(struct pages *pages, uint64_t off, const void *buf, size_t len)
{
	for (const uint8_t *from = buf; len > 0;) {
		size_t at = off % PAGE_BYTES, n = min_size(len, PAGE_BYTES - at);
		struct page *page = page_copy(pages->arena, pages_get(pages, off / PAGE_BYTES));
		memcpy(page->data + at, from, n);
		page_put(pages->arena, pages_swap(pages, off / PAGE_BYTES, page));
		from += n;
		off += n;
		len -= n;
	}
}
