// SPDX-License-Identifier: Apache-2.0
/*
 * reap - taking down trees that lost their owner, a bounded part in each transaction.
 *
 * An entry of TREE_DEAD is a pointer like any other (T2). To work it off: if others
 * point to the page too, take one from its count; else pass its pointers on: an inner
 * page's children become entries, a leaf's clusters lose one count; then the page is free.
 * Numbers are given in descending order and the lowest is worked off first, so that the
 * tree goes down depth first and TREE_DEAD stays small. A crash at any point leaves either
 * the state before or after a transaction.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/catalog_priv.h"
#include "reactor/fiber.h"

#define REAP_ENTRIES_MAX  4096u	 /* entries worked off in one transaction */
#define REAP_CLUSTERS_MAX 65536u /* clusters freed in one transaction */

static struct tree dead_tree(struct pool *pool)
{
	return (struct tree){ TREE_DEAD, 0, &pool->super.dead };
}

static int dead_put(struct fiber *f, struct pool *pool, const struct dead_value *dead)
{
	const struct tree tree = dead_tree(pool);
	uint8_t value[DEAD_VALUE_SIZE];

	dead_value_put(value, dead);
	return tree_put(f, pool, &tree, --pool->super.next_dead, value);
}

int reap_add(struct fiber *f, struct pool *pool, enum tree_kind kind, const struct tree_root *root)
{
	struct tree_root copy = *root;
	const struct tree tree = { kind, 0, &copy };
	struct dead_value dead = { .tree = (uint8_t)kind, .level = (uint8_t)(root->levels - 1) };
	int r;

	if (root->levels == 0)
		return 0;
	r = tree_seal(pool, &tree); /* it may have been changed in this very transaction */
	if (r < 0)
		return r;
	dead.page = copy.root;
	return dead_put(f, pool, &dead);
}

static int reap_children(struct fiber *f, struct pool *pool, const uint8_t *bytes,
			 uint32_t *clusters)
{
	uint32_t size = tree_entry_size(bytes);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < page_count(bytes); i++) {
		const uint8_t *at = bytes + PAGE_HEAD + (size_t)i * size + TREE_KEY_SIZE;

		if (page_level(bytes) > 0) {
			struct dead_value child = { .page = page_ptr_get(at),
						    .tree = bytes[9],
						    .level = (uint8_t)(page_level(bytes) - 1) };

			r = dead_put(f, pool, &child);
		} else if (bytes[9] == TREE_MAP) {
			r = txn_count(pool, map_value_get(at).cluster, -1);
			++*clusters;
		}
	}
	return r;
}

/* The last pointer to a page: hand on what it points to, and free it. */
static int reap_page(struct fiber *f, struct pool *pool, const struct dead_value *dead,
		     uint32_t *clusters)
{
	const struct page_want want = { .type = dead->level ? PAGE_NODE : PAGE_LEAF,
					.tree = dead->tree,
					.level = dead->level };
	struct page *page;
	uint32_t left;
	int r = cache_get(f, pool, &dead->page, &want, &page);

	if (r < 0)
		return r;
	r = reap_children(f, pool, page->bytes, clusters);
	cache_put(&pool->cache, page);
	if (r == 0)
		r = refs_dec(pool, dead->page.name, &left);
	if (r == 0 && page->dirty)
		txn_page_drop(pool, page);
	return r;
}

static int reap_entry(struct fiber *f, struct pool *pool, uint64_t key,
		      const struct dead_value *dead, uint32_t *clusters)
{
	const struct tree tree = dead_tree(pool);
	uint32_t left;
	int r = tree_del(f, pool, &tree, key, NULL);

	if (r < 0)
		return r;
	if (refs_count(pool, dead->page.name) > 1)
		return refs_dec(pool, dead->page.name, &left);
	return reap_page(f, pool, dead, clusters);
}

int reap_step(struct fiber *f, struct pool *pool)
{
	const struct tree tree = dead_tree(pool);
	uint32_t clusters = 0;

	for (unsigned i = 0; i < REAP_ENTRIES_MAX && clusters < REAP_CLUSTERS_MAX; i++) {
		uint8_t value[DEAD_VALUE_SIZE];
		struct dead_value dead;
		uint64_t key;
		int r = tree_next(f, pool, &tree, 0, &key, value);

		if (r == -ENOENT && pool->super.dead.entries) /* or we would look for ever */
			return fiber_fail(f, -EILSEQ,
					  "pool '%s': %" PRIu64 " entries of the dead are missing",
					  pool->super.name, pool->super.dead.entries);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return r;
		dead = dead_value_get(value);
		if (dead.level >= TREE_LEVELS_MAX ||
		    (dead.tree != TREE_MAP && dead.tree != TREE_ATTR))
			return fiber_fail(f, -EILSEQ,
					  "pool '%s': entry %#" PRIx64 " of the dead is damaged",
					  pool->super.name, key);
		r = reap_entry(f, pool, key, &dead, &clusters);
		if (r < 0)
			return r;
	}
	return 0;
}
