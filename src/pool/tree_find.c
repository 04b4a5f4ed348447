// SPDX-License-Identifier: Apache-2.0
/*
 * tree_find - looking up in a tree: one page pinned at a time, from the root down.
 *
 * The root is copied when a look-up starts, so what it sees is one state of the tree (T1),
 * also when it suspends and the tree goes on. A page that was freed meanwhile keeps its
 * bytes for two transactions; a look-up that takes longer finds a page that disagrees
 * with its pointer, and starts once more from the present root.
 */
#include <errno.h>

#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

uint32_t tree_node_slot(const uint8_t *bytes, uint64_t key)
{
	uint32_t low = 0, high = page_count(bytes);

	while (high - low > 1) { /* entry[low] <= key < entry[high], entry 0 as if -infinite */
		uint32_t mid = (low + high) / 2;

		if (le64_get(bytes + PAGE_HEAD + (size_t)mid * TREE_NODE_ENTRY) <= key)
			low = mid;
		else
			high = mid;
	}
	return low;
}

uint32_t tree_leaf_slot(const uint8_t *bytes, uint32_t size, uint64_t key)
{
	uint32_t low = 0, high = page_count(bytes);

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (le64_get(bytes + PAGE_HEAD + (size_t)mid * size) < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct page_want tree_want(const struct tree *tree, int level)
{
	return (struct page_want){ .type = level ? PAGE_NODE : PAGE_LEAF,
				   .tree = (uint8_t)tree->kind,
				   .level = level };
}

/* In the leaf: the entry of the key. */
static int leaf_take(const uint8_t *bytes, uint64_t key, void *ret_value)
{
	uint32_t size = tree_entry_size(bytes);
	uint32_t slot = tree_leaf_slot(bytes, size, key);
	const uint8_t *at = bytes + PAGE_HEAD + (size_t)slot * size;

	if (slot == page_count(bytes) || le64_get(at) != key)
		return -ENOENT;
	memcpy(ret_value, at + TREE_KEY_SIZE, size - TREE_KEY_SIZE);
	return 0;
}

static int find_once(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
		     void *ret_value, bool *ret_shared)
{
	struct page_ptr ptr = tree->root->root;
	bool shared = false;

	for (int level = tree->root->levels - 1; level >= 0; level--) {
		struct page_want want = tree_want(tree, level);
		struct page *page;
		int r;

		shared |= refs_count(pool, ptr.name) > 1;
		r = cache_get(f, pool, &ptr, &want, &page);
		if (r < 0)
			return r;
		if (level == 0) {
			r = leaf_take(page->bytes, key, ret_value);
			cache_put(&pool->cache, page);
			if (r == 0 && ret_shared)
				*ret_shared = shared;
			return r;
		}
		ptr = tree_node_ptr(page->bytes, tree_node_slot(page->bytes, key));
		cache_put(&pool->cache, page);
	}
	return -ENOENT;
}

int tree_find(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t key,
	      void *ret_value, bool *ret_shared)
{
	uint64_t txg = tree->root->root.txg;
	int r = find_once(f, pool, tree, key, ret_value, ret_shared);

	if (r != -EILSEQ || tree->root->root.txg == txg)
		return r;
	fiber_clear(f); /* overtaken: the tree has gone on while we read */
	return find_once(f, pool, tree, key, ret_value, ret_shared);
}

int tree_peek(struct pool *pool, const struct tree *tree, uint64_t key, void *ret_value,
	      bool *ret_shared)
{
	struct page_ptr ptr = tree->root->root;
	bool shared = false;

	for (int level = tree->root->levels - 1; level >= 0; level--) {
		struct page *page = cache_peek(&pool->cache, &ptr);
		int r = 0;

		if (!page)
			return -EAGAIN;
		shared |= refs_count(pool, ptr.name) > 1;
		if (level == 0) {
			r = leaf_take(page->bytes, key, ret_value);
			cache_put(&pool->cache, page);
			if (r == 0 && ret_shared)
				*ret_shared = shared;
			return r;
		}
		ptr = tree_node_ptr(page->bytes, tree_node_slot(page->bytes, key));
		cache_put(&pool->cache, page);
	}
	return -ENOENT;
}

/*
 * One way down to the leaf where `from` would be. If nothing in it is >= from, *ret_bound
 * is the lowest key that lies to the right of that leaf (if *ret_more).
 */
static int next_once(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t from,
		     uint64_t *ret_key, void *ret_value, bool *ret_more, uint64_t *ret_bound)
{
	struct page_ptr ptr = tree->root->root;

	*ret_more = false;
	for (int level = tree->root->levels - 1; level >= 0; level--) {
		struct page_want want = tree_want(tree, level);
		struct page *page;
		uint32_t slot, size;
		int r = cache_get(f, pool, &ptr, &want, &page);

		if (r < 0)
			return r;
		size = tree_entry_size(page->bytes);
		if (level > 0) {
			slot = tree_node_slot(page->bytes, from);
			ptr = tree_node_ptr(page->bytes, slot);
			if (slot + 1 < page_count(page->bytes)) {
				*ret_more = true;
				*ret_bound = le64_get(tree_entry(page->bytes, size, slot + 1));
			}
		} else {
			slot = tree_leaf_slot(page->bytes, size, from);
			r = -ENOENT;
			if (slot < page_count(page->bytes)) {
				const uint8_t *at = tree_entry(page->bytes, size, slot);

				*ret_key = le64_get(at);
				memcpy(ret_value, at + TREE_KEY_SIZE, size - TREE_KEY_SIZE);
				r = 0;
			}
		}
		cache_put(&pool->cache, page);
		if (level == 0)
			return r;
	}
	return -ENOENT;
}

int tree_next(struct fiber *f, struct pool *pool, const struct tree *tree, uint64_t from,
	      uint64_t *ret_key, void *ret_value)
{
	bool more = true, again = true;
	int r = -ENOENT;

	while (more) {
		uint64_t txg = tree->root->root.txg, bound = from;

		r = next_once(f, pool, tree, from, ret_key, ret_value, &more, &bound);
		if (r == -EILSEQ && again && tree->root->root.txg != txg) {
			fiber_clear(f);
			again = false;
			more = true;
			continue;
		}
		if (r != -ENOENT)
			return r;
		from = bound;
	}
	return r;
}
