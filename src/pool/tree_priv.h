// SPDX-License-Identifier: Apache-2.0
/*
 * tree - copy-on-write B+trees with shared subtrees.
 *
 * A tree is a struct tree_root: where its root page is and how high it is. Keys are
 * 64-bit numbers, values of one size per kind. Inner pages hold (lowest key below, pointer);
 * the key of an inner page's first entry is not looked at.
 *
 *	tree_find.c  looking up, any fiber        tree_sync.c  the same without suspending
 *	tree_edit.c  changing, the commit fiber   tree_seal.c  CRCs from the leaves up
 *
 * T1. A page reachable from a durable or published root never changes. To change one, it is
 *     copied to a page of the open transaction; a page of the open transaction with one
 *     pointer to it is changed in place.
 * T2. refs_count(page) is the number of pointers to it (from pages, roots and TREE_DEAD).
 *     Copying a page that others point to too adds one to the count of all it points to:
 *     pages, and in a leaf of TREE_MAP clusters.
 * T3. No page is empty; an empty tree has no pages (levels 0).
 * T4. All leaves are at level 0, all pages of level n point to level n - 1.
 * T5. Between edits the CRCs in pointers to pages of the open transaction are not yet right;
 *     tree_seal() makes them so.
 */
#ifndef POOL_TREE_PRIV_H
#define POOL_TREE_PRIV_H

#include "pool/format.h"

struct fiber;
struct page;
struct pool;

/* A tree at work: what it is, whose, and its root. */
struct tree {
	enum tree_kind kind;
	uint64_t owner;		/* object; 0: the pool's own */
	struct tree_root *root; /* borrowed */
};

/* ---- looking up: tree_find.c ------------------------------------------------------ */

/*
 * The value of a key: 0 or -ENOENT (no words). ret_shared (may be NULL): some page on the
 * way down has more than one pointer to it. Suspends only to read pages.
 */
MUST_USE int tree_find(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
		       void *ret_value, bool *ret_shared);

/* The first entry with a key >= from: 0 or -ENOENT. */
MUST_USE int tree_next(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t from,
		       uint64_t *ret_key, void *ret_value);

/*
 * As tree_find() from cached pages only, never suspends: -EAGAIN if a page is missing.
 */
MUST_USE int tree_peek(struct pool *pool, const struct tree *tree, uint64_t key, void *ret_value,
		       bool *ret_shared);

/* ---- changing: tree_edit.c, by the commit fiber ------------------------------------- */

/* Insert or replace. */
MUST_USE int tree_put(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
		      const void *value);
/* The same; *ret_leaf is where the key stands now. */
MUST_USE int tree_put_at(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
			 const void *value, struct page **ret_leaf);
/*
 * The value of a key in a leaf that tree_put_at() gave, to be changed in place; NULL: it is not in
 * there. In the same transaction, and before any tree_del() of the tree (T1).
 */
uint8_t *tree_leaf_value(const struct pool *pool, struct page *leaf, uint64_t key);
/* 0 or -ENOENT; ret_value (may be NULL): what it was. */
MUST_USE int tree_del(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
		      void *ret_value);

/* ---- CRCs: tree_seal.c --------------------------------------------------------------- */

/* Set all CRCs from the leaves up; the tree may be changed again afterwards. Never suspends. */
MUST_USE int tree_seal(struct pool *pool, const struct tree *tree);

/* ---- for all of them: places in a tree page ------------------------------------------- */

static inline uint32_t tree_entry_size(const uint8_t *bytes)
{
	return bytes[8] == PAGE_NODE ? TREE_NODE_ENTRY :
				       TREE_KEY_SIZE + tree_value_size((enum tree_kind)bytes[9]);
}

static inline uint32_t tree_entry_max(const uint8_t *bytes)
{
	return PAGE_BODY / tree_entry_size(bytes);
}

static inline uint8_t *tree_entry(uint8_t *bytes, uint32_t size, uint32_t i)
{
	return bytes + PAGE_HEAD + (size_t)i * size;
}

/* Of an inner page: the entry under which the key lies. */
uint32_t tree_node_slot(const uint8_t *bytes, uint64_t key);
/* Of a leaf: the first entry with a key >= this; count if none. */
uint32_t tree_leaf_slot(const uint8_t *bytes, uint32_t size, uint64_t key);

static inline struct page_ptr tree_node_ptr(const uint8_t *bytes, uint32_t slot)
{
	return page_ptr_get(bytes + PAGE_HEAD + (size_t)slot * TREE_NODE_ENTRY + TREE_KEY_SIZE);
}

#endif
