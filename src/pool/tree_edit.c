// SPDX-License-Identifier: Apache-2.0
/*
 * tree_edit - changing a tree: own the pages from the root down, then change the leaf.
 *
 * "Owning" a page is T1: the page of the open transaction that the path leads to, copied
 * if need be. On the way down to an insertion a full page is split before it is entered, so
 * a split never goes up. On the way back from a deletion empty pages are taken out, small
 * ones merged with a neighbour under the same parent, and a root with one child is dropped.
 *
 * A failure in the middle leaves the trees of the open transaction useless: the commit
 * fiber then gives the transaction up as a whole (txn.h).
 */
#include <errno.h>

#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

struct edit {
	struct fiber *f;
	struct pool *pool;
	const struct tree *tree;
	struct page *path[TREE_LEVELS_MAX]; /* by level, all owned */
	uint32_t slot[TREE_LEVELS_MAX];	    /* in path[level], level > 0: the way down */
};

static void head_fill(const struct edit *e, struct page *page, int level, uint32_t count)
{
	const struct page_head head = { .type = level ? PAGE_NODE : PAGE_LEAF,
					.tree = (uint8_t)e->tree->kind,
					.level = (uint8_t)level,
					.count = count,
					.pool = e->pool->super.pool,
					.owner = e->tree->owner,
					.name = page->name,
					.txg = page->txg };

	page_head_put(page->bytes, &head);
}

/* One more pointer to all that this page points to (T2). */
static int children_share(struct pool *pool, const uint8_t *bytes)
{
	uint32_t size = tree_entry_size(bytes);

	for (uint32_t i = 0; i < page_count(bytes); i++) {
		const uint8_t *value = bytes + PAGE_HEAD + (size_t)i * size + TREE_KEY_SIZE;
		int r = 0;

		if (bytes[8] == PAGE_NODE)
			r = refs_inc(pool, page_ptr_get(value).name);
		else if (bytes[9] == TREE_MAP)
			r = txn_count(pool, map_value_get(value).cluster, 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int page_copy(struct edit *e, const struct page_ptr *ptr, struct page *from, int level,
		     struct page **ret)
{
	bool shared = refs_count(e->pool, ptr->name) > 1;
	struct page *page;
	uint32_t left;
	int r = txn_page_alloc(e->f, e->pool, &page);

	if (r < 0)
		return r;
	memcpy(page->bytes, from->bytes, POOL_PAGE);
	head_fill(e, page, level, page_count(from->bytes));
	if (shared) {
		r = children_share(e->pool, page->bytes);
		if (r < 0)
			return r;
	}
	r = refs_dec(e->pool, ptr->name, &left);
	if (r < 0)
		return fiber_fail(e->f, r, "pool '%s': page %#llx is in use, but counted free",
				  e->pool->super.name, (unsigned long long)ptr->name);
	*ret = page;
	return 0;
}

/* The page of the open transaction in place of the one at ptr; ptr is put right. */
static int page_own(struct edit *e, struct page_ptr *ptr, int level, struct page **ret)
{
	const struct page_want want = { .type = level ? PAGE_NODE : PAGE_LEAF,
					.tree = (uint8_t)e->tree->kind,
					.level = level };
	struct page *page;
	int r = cache_get(e->f, e->pool, ptr, &want, &page);

	if (r < 0)
		return r;
	if (page->dirty && page->txg == e->pool->txn.txg && refs_count(e->pool, ptr->name) == 1) {
		cache_put(&e->pool->cache, page); /* dirty: stays (T1) */
		*ret = page;
		return 0;
	}
	r = page_copy(e, ptr, page, level, ret);
	cache_put(&e->pool->cache, page);
	if (r == 0)
		*ptr = (struct page_ptr){ .name = (*ret)->name, .txg = (*ret)->txg };
	return r;
}

/* A page that nobody points to any more, of the open transaction. */
static int page_discard(struct edit *e, struct page *page)
{
	uint32_t left;
	int r = refs_dec(e->pool, page->name, &left);

	if (r < 0)
		return r;
	if (left)
		return -EILSEQ; /* others point to what we just made */
	txn_page_drop(e->pool, page);
	return 0;
}

static int root_own(struct edit *e)
{
	struct tree_root *root = e->tree->root;

	return page_own(e, &root->root, root->levels - 1, &e->path[root->levels - 1]);
}

static int child_own(struct edit *e, int level, uint32_t slot, struct page **ret)
{
	uint8_t *at = tree_entry(e->path[level]->bytes, TREE_NODE_ENTRY, slot) + TREE_KEY_SIZE;
	struct page_ptr ptr = page_ptr_get(at);
	int r = page_own(e, &ptr, level - 1, ret);

	if (r == 0)
		page_ptr_put(at, &ptr);
	return r;
}

static void entry_open(uint8_t *bytes, uint32_t size, uint32_t slot)
{
	uint32_t count = page_count(bytes);
	uint8_t *at = tree_entry(bytes, size, slot);

	must(slot <= count && count < tree_entry_max(bytes));
	memmove(at + size, at, (size_t)(count - slot) * size);
	page_count_set(bytes, count + 1);
}

static void entry_remove(uint8_t *bytes, uint32_t size, uint32_t slot)
{
	uint32_t count = page_count(bytes);
	uint8_t *at = tree_entry(bytes, size, slot);

	must(slot < count);
	memmove(at, at + size, (size_t)(count - slot - 1) * size);
	memset(tree_entry(bytes, size, count - 1), 0, size);
	page_count_set(bytes, count - 1);
}

/* ---- insertion ------------------------------------------------------------------------- */

static int root_new(struct edit *e, int level, struct page **ret)
{
	struct page *page;
	int r = txn_page_alloc(e->f, e->pool, &page);

	if (r < 0)
		return r;
	head_fill(e, page, level, 0);
	e->tree->root->root = (struct page_ptr){ .name = page->name, .txg = page->txg };
	e->tree->root->levels = (uint8_t)(level + 1);
	*ret = page;
	return 0;
}

/* A root above the root. */
static int root_raise(struct edit *e)
{
	struct page_ptr old = e->tree->root->root;
	int level = e->tree->root->levels;
	struct page *page;
	int r;

	if (level == (int)TREE_LEVELS_MAX)
		return fiber_fail(e->f, -ENOSPC, "pool '%s': a tree is too high",
				  e->pool->super.name);
	r = root_new(e, level, &page);
	if (r < 0)
		return r;
	page_count_set(page->bytes, 1);
	le64_put(tree_entry(page->bytes, TREE_NODE_ENTRY, 0), 0);
	page_ptr_put(tree_entry(page->bytes, TREE_NODE_ENTRY, 0) + TREE_KEY_SIZE, &old);
	e->path[level] = page;
	return 0;
}

/* Where to split: in the middle, but at the end when the key goes there (ascending keys fill pages). */
static uint32_t split_at(const uint8_t *bytes, uint32_t size, uint64_t key)
{
	uint32_t count = page_count(bytes);

	return key > le64_get(bytes + PAGE_HEAD + (size_t)(count - 1) * size) ? count - 1 :
										count / 2;
}

/* Split the full child at path[level]'s slot; the parent has room. */
static int child_split(struct edit *e, int level, uint32_t slot, uint64_t key)
{
	struct page *parent = e->path[level], *left, *right;
	uint32_t size, at, moved;
	struct page_ptr ptr;
	uint8_t *entry;
	int r = child_own(e, level, slot, &left);

	if (r == 0)
		r = txn_page_alloc(e->f, e->pool, &right);
	if (r < 0)
		return r;
	size = tree_entry_size(left->bytes);
	at = split_at(left->bytes, size, key);
	moved = page_count(left->bytes) - at;
	head_fill(e, right, level - 1, moved);
	memcpy(right->bytes + PAGE_HEAD, tree_entry(left->bytes, size, at), (size_t)moved * size);
	memset(tree_entry(left->bytes, size, at), 0, (size_t)moved * size);
	page_count_set(left->bytes, at);

	entry_open(parent->bytes, TREE_NODE_ENTRY, slot + 1);
	entry = tree_entry(parent->bytes, TREE_NODE_ENTRY, slot + 1);
	ptr = (struct page_ptr){ .name = right->name, .txg = right->txg };
	memcpy(entry, right->bytes + PAGE_HEAD, TREE_KEY_SIZE);
	page_ptr_put(entry + TREE_KEY_SIZE, &ptr);
	return 0;
}

static bool page_is_full(const uint8_t *bytes)
{
	return page_count(bytes) == tree_entry_max(bytes);
}

/* From an owned, not full page at `level` to the owned, not full child under the key. */
static int put_descend(struct edit *e, int level, uint64_t key)
{
	uint32_t slot = tree_node_slot(e->path[level]->bytes, key);
	int r = child_own(e, level, slot, &e->path[level - 1]);

	if (r < 0 || !page_is_full(e->path[level - 1]->bytes))
		return r;
	r = child_split(e, level, slot, key);
	if (r < 0)
		return r;
	slot = tree_node_slot(e->path[level]->bytes, key);
	return child_own(e, level, slot, &e->path[level - 1]);
}

static int put_root(struct edit *e)
{
	struct tree_root *root = e->tree->root;
	int r;

	if (root->levels == 0)
		return root_new(e, 0, &e->path[0]);
	r = root_own(e);
	if (r < 0 || !page_is_full(e->path[root->levels - 1]->bytes))
		return r;
	return root_raise(e); /* and the way down splits the old one */
}

int tree_put_at(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
		const void *value, struct page **ret_leaf)
{
	struct edit e = { .f = f, .pool = pool, .tree = tree };
	uint32_t size, slot;
	uint8_t *bytes;
	int r = put_root(&e);

	for (int level = tree->root->levels - 1; r == 0 && level > 0; level--)
		r = put_descend(&e, level, key);
	if (r < 0)
		return r;
	bytes = e.path[0]->bytes;
	size = tree_entry_size(bytes);
	slot = tree_leaf_slot(bytes, size, key);
	if (slot == page_count(bytes) || le64_get(tree_entry(bytes, size, slot)) != key) {
		entry_open(bytes, size, slot);
		le64_put(tree_entry(bytes, size, slot), key);
		tree->root->entries++;
	}
	memcpy(tree_entry(bytes, size, slot) + TREE_KEY_SIZE, value, size - TREE_KEY_SIZE);
	*ret_leaf = e.path[0];
	return 0;
}

int tree_put(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
	     const void *value)
{
	struct page *leaf;

	return tree_put_at(f, pool, tree, key, value, &leaf);
}

uint8_t *tree_leaf_value(const struct pool *pool, struct page *leaf, uint64_t key)
{
	uint32_t size = tree_entry_size(leaf->bytes);
	uint32_t slot = tree_leaf_slot(leaf->bytes, size, key);
	uint8_t *at = tree_entry(leaf->bytes, size, slot);

	must(leaf->dirty && leaf->txg == pool->txn.txg); /* T1 */
	if (slot == page_count(leaf->bytes) || le64_get(at) != key)
		return NULL;
	return at + TREE_KEY_SIZE;
}

/* ---- deletion ---------------------------------------------------------------------------- */

/* Move all of the right neighbour into the left one and take it out of the parent. */
static int children_merge(struct edit *e, int level, uint32_t left_slot)
{
	struct page *parent = e->path[level], *left, *right;
	uint32_t size, l, n;
	int r = child_own(e, level, left_slot, &left);

	if (r == 0)
		r = child_own(e, level, left_slot + 1, &right);
	if (r < 0)
		return r;
	size = tree_entry_size(left->bytes);
	l = page_count(left->bytes);
	n = page_count(right->bytes);
	must(l + n <= tree_entry_max(left->bytes));
	memcpy(tree_entry(left->bytes, size, l), right->bytes + PAGE_HEAD, (size_t)n * size);
	if (level > 1) /* the first key of an inner page may be anything: the parent's is right */
		memcpy(tree_entry(left->bytes, size, l),
		       tree_entry(parent->bytes, TREE_NODE_ENTRY, left_slot + 1), TREE_KEY_SIZE);
	page_count_set(left->bytes, l + n);
	entry_remove(parent->bytes, TREE_NODE_ENTRY, left_slot + 1);
	return page_discard(e, right);
}

/* How many entries has the child at this slot? Reads, changes nothing. */
static int child_count(struct edit *e, int level, uint32_t slot, uint32_t *ret)
{
	struct page_ptr ptr = tree_node_ptr(e->path[level]->bytes, slot);
	const struct page_want want = { .type = level > 1 ? PAGE_NODE : PAGE_LEAF,
					.tree = (uint8_t)e->tree->kind,
					.level = level - 1 };
	struct page *page;
	int r = cache_get(e->f, e->pool, &ptr, &want, &page);

	if (r < 0)
		return r;
	*ret = page_count(page->bytes);
	cache_put(&e->pool->cache, page);
	return 0;
}

/* The child on the path has become small: merge it with a neighbour if both fit well in one. */
static int child_mend(struct edit *e, int level)
{
	uint32_t slot = e->slot[level], have = page_count(e->path[level - 1]->bytes), other;
	uint32_t max = tree_entry_max(e->path[level - 1]->bytes);
	int r;

	if (have == 0) {
		r = page_discard(e, e->path[level - 1]);
		entry_remove(e->path[level]->bytes, TREE_NODE_ENTRY, slot);
		return r;
	}
	if (have > max / 4 || page_count(e->path[level]->bytes) < 2)
		return 0;
	if (slot + 1 == page_count(e->path[level]->bytes))
		slot--; /* with the one on the left */
	r = child_count(e, level, slot == e->slot[level] ? slot + 1 : slot, &other);
	if (r < 0 || have + other > max / 4 * 3)
		return r;
	return children_merge(e, level, slot);
}

/* A root with one child goes, and so does an empty one (T3). */
static int root_lower(struct edit *e)
{
	struct tree_root *root = e->tree->root;

	while (root->levels) {
		struct page *page = e->path[root->levels - 1];
		uint32_t count = page_count(page->bytes);
		struct page_ptr only = { 0 };
		int r;

		if (count > 1 || (count == 1 && root->levels == 1))
			return 0;
		if (count == 1)
			only = tree_node_ptr(page->bytes, 0);
		r = page_discard(e, page);
		if (r < 0)
			return r;
		root->root = only;
		root->levels = count ? (uint8_t)(root->levels - 1) : 0;
		if (root->levels) {
			r = root_own(e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int tree_del(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
	     void *ret_value)
{
	struct edit e = { .f = f, .pool = pool, .tree = tree };
	uint8_t value[TREE_VALUE_MAX];
	uint32_t size;
	int levels = tree->root->levels;
	int r = tree_find(f, pool, tree, key, value, NULL);

	if (r == 0)
		r = root_own(&e);
	for (int level = levels - 1; r == 0 && level > 0; level--) {
		e.slot[level] = tree_node_slot(e.path[level]->bytes, key);
		r = child_own(&e, level, e.slot[level], &e.path[level - 1]);
	}
	if (r < 0)
		return r;
	size = tree_entry_size(e.path[0]->bytes);
	entry_remove(e.path[0]->bytes, size, tree_leaf_slot(e.path[0]->bytes, size, key));
	tree->root->entries--;
	if (ret_value)
		memcpy(ret_value, value, size - TREE_KEY_SIZE);
	for (int level = 1; r == 0 && level < levels; level++)
		r = child_mend(&e, level);
	return r < 0 ? r : root_lower(&e);
}
