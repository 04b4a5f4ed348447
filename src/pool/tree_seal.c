// SPDX-License-Identifier: Apache-2.0
/*
 * tree_seal - CRCs from the leaves up: a walk over the dirty pages of a tree.
 *
 * Only pages of the open transaction are entered; everything else kept the CRC that its
 * pointer has. Leaves of TREE_SPACE point to pages as well.
 */
#include <errno.h>

#include "base/must.h"
#include "pool/pool_priv.h"

struct seal_step {
	uint8_t *bytes;
	uint32_t next; /* entry to look at */
};

static struct page *dirty_page(struct pool *pool, const struct page_ptr *ptr)
{
	struct page *page;

	if (ptr->txg != pool->txn.txg)
		return NULL;
	page = cache_peek(&pool->cache, ptr);
	must(page && page->dirty); /* T5 */
	cache_put(&pool->cache, page);
	return page;
}

static void space_leaf_seal(struct pool *pool, uint8_t *bytes)
{
	uint32_t size = tree_entry_size(bytes);

	for (uint32_t i = 0; i < page_count(bytes); i++) {
		uint8_t *at = tree_entry(bytes, size, i) + TREE_KEY_SIZE;
		struct page_ptr ptr = page_ptr_get(at);
		struct page *page = dirty_page(pool, &ptr);

		if (!page)
			continue;
		ptr.crc = page_seal(page->bytes);
		page_ptr_put(at, &ptr);
	}
}

/* The next dirty child of an inner page, or NULL; *ret_at: its pointer. */
static struct page *dirty_child(struct pool *pool, struct seal_step *step)
{
	while (step->next < page_count(step->bytes)) {
		struct page_ptr ptr = tree_node_ptr(step->bytes, step->next);
		struct page *page = dirty_page(pool, &ptr);

		if (page)
			return page;
		step->next++;
	}
	return NULL;
}

int tree_seal(struct pool *pool, const struct tree *tree)
{
	struct seal_step steps[TREE_LEVELS_MAX];
	struct page *page;
	uint32_t crc;
	int depth = 0;

	if (tree->root->levels == 0)
		return 0;
	page = dirty_page(pool, &tree->root->root);
	if (!page)
		return 0;
	steps[0] = (struct seal_step){ .bytes = page->bytes };
	for (;;) {
		struct seal_step *step = &steps[depth];

		page = page_level(step->bytes) > 0 ? dirty_child(pool, step) : NULL;
		if (page) {
			must(depth + 1 < (int)TREE_LEVELS_MAX);
			steps[++depth] = (struct seal_step){ .bytes = page->bytes };
			continue;
		}
		if (step->bytes[9] == TREE_SPACE && page_level(step->bytes) == 0)
			space_leaf_seal(pool, step->bytes);
		crc = page_seal(step->bytes);
		if (depth == 0)
			break;
		step = &steps[--depth];
		le32_put(tree_entry(step->bytes, TREE_NODE_ENTRY, step->next++) + TREE_KEY_SIZE +
				 16,
			 crc);
	}
	tree->root->root.crc = crc;
	return 0;
}
