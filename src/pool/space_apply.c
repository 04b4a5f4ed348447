// SPDX-License-Identifier: Apache-2.0
/*
 * space_apply - the counts of clusters on their way into the trees.
 *
 * Changes are collected as numbers (cluster << 1 | is minus), sorted, and applied group by
 * group: the page of a group is copied once a transaction (its names are like those of
 * tree pages), counts of 3 and more live in TREE_MANY. Applying may take metadata clusters,
 * which adds changes: the caller goes on until there are none.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

static int number_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned count2_get(const uint8_t *bytes, uint64_t bit)
{
	return bytes[PAGE_HEAD + bit / 4] >> (bit % 4 * 2) & 3;
}

static void count2_set(uint8_t *bytes, uint64_t bit, unsigned count)
{
	uint8_t *at = &bytes[PAGE_HEAD + bit / 4];
	unsigned shift = (unsigned)(bit % 4) * 2;

	*at = (uint8_t)((*at & ~(3u << shift)) | count << shift);
}

/*
 * Numbers are applied in order, so the next count of TREE_MANY often stands in the leaf of the last: it is
 * changed there, without another way down.
 */
struct many {
	struct page *leaf; /* NULL: none of this transaction is known */
	uint8_t *value;	   /* in it, of the cluster at hand; or NULL */
};

static int many_get(struct fiber *f, struct pool *pool, struct many *many, uint64_t cluster,
		    uint64_t *ret)
{
	const struct tree tree = { TREE_MANY, 0, &pool->super.many };
	uint8_t value[MANY_VALUE_SIZE];
	int r;

	many->value = many->leaf ? tree_leaf_value(pool, many->leaf, cluster) : NULL;
	if (many->value) {
		*ret = le64_get(many->value);
		return 0;
	}
	r = tree_find(f, pool, &tree, cluster, value, NULL);
	if (r == -ENOENT)
		return fiber_fail(f, -EILSEQ, "pool '%s': cluster %#" PRIx64 " has no count",
				  pool->super.name, cluster);
	if (r == 0)
		*ret = le64_get(value);
	return r;
}

static int many_set(struct fiber *f, struct pool *pool, struct many *many, uint64_t cluster,
		    uint64_t old, uint64_t count)
{
	const struct tree tree = { TREE_MANY, 0, &pool->super.many };
	uint8_t value[MANY_VALUE_SIZE];

	if (count < SPACE_COUNT_MANY) {
		many->leaf = NULL;
		return old >= SPACE_COUNT_MANY ? tree_del(f, pool, &tree, cluster, NULL) : 0;
	}
	if (old >= SPACE_COUNT_MANY && many->value) {
		le64_put(many->value, count);
		return 0;
	}
	le64_put(value, count);
	return tree_put_at(f, pool, &tree, cluster, value, &many->leaf);
}

/* ---- the page of a group in the open transaction ------------------------------------------- */

struct group_edit {
	struct many *many;
	uint64_t key;
	struct space_value value;
	struct page *page;
};

static void space_head(const struct pool *pool, struct page *page, uint64_t key)
{
	const struct page_head head = { .type = PAGE_SPACE,
					.pool = pool->super.pool,
					.name = page->name,
					.txg = page->txg,
					.key = key };

	page_head_put(page->bytes, &head);
}

static int group_copy(struct fiber *f, struct pool *pool, struct group_edit *g)
{
	const struct page_want want = { .type = PAGE_SPACE, .level = 0 };
	struct page *old = NULL, *page;
	uint32_t left;
	int r = cache_get(f, pool, &g->value.page, &want, &old);

	if (r < 0)
		return r;
	if (old->dirty && old->txg == pool->txn.txg) {
		cache_put(&pool->cache, old);
		g->page = old;
		return 0;
	}
	r = txn_page_alloc(f, pool, &page);
	if (r == 0) {
		memcpy(page->bytes, old->bytes, POOL_PAGE);
		r = refs_dec(pool, g->value.page.name, &left);
	}
	cache_put(&pool->cache, old);
	if (r < 0)
		return r;
	space_head(pool, page, g->key);
	g->page = page;
	return 0;
}

static int group_open(struct fiber *f, struct pool *pool, uint64_t key, struct many *many,
		      struct group_edit *g)
{
	const struct tree tree = { TREE_SPACE, 0, &pool->super.space };
	uint8_t value[SPACE_VALUE_SIZE];
	int r = tree_find(f, pool, &tree, key, value, NULL);

	*g = (struct group_edit){ .many = many, .key = key };
	if (r == 0) {
		g->value = space_value_get(value);
		r = group_copy(f, pool, g);
	} else if (r == -ENOENT) {
		g->value.free = SPACE_GROUP;
		r = txn_page_alloc(f, pool, &g->page);
		if (r == 0)
			space_head(pool, g->page, key);
	}
	return r;
}

static int group_close(struct fiber *f, struct pool *pool, struct group_edit *g)
{
	const struct tree tree = { TREE_SPACE, 0, &pool->super.space };
	uint8_t value[SPACE_VALUE_SIZE];

	g->value.page = (struct page_ptr){ .name = g->page->name, .txg = g->page->txg };
	space_value_put(value, &g->value);
	return tree_put(f, pool, &tree, g->key, value);
}

/* ---- one cluster ------------------------------------------------------------------------------ */

/* SP2: it was claimed; else some tree leads to a cluster that is counted free (P6). */
static int claim_use(struct fiber *f, struct pool *pool, uint64_t key, uint64_t cluster)
{
	struct space_group *group = map_u64_get(&pool->space.groups, key);

	if (!group || group->claims == 0)
		return fiber_fail(f, -EILSEQ,
				  "pool '%s': cluster %#" PRIx64 " is in use, but counted free",
				  pool->super.name, cluster);
	group->claims--;
	pool->space.claimed--;
	return 0;
}

static int cluster_first(struct fiber *f, struct pool *pool, struct group_edit *g, uint64_t cluster)
{
	int r = claim_use(f, pool, g->key, cluster);

	if (r < 0)
		return r;
	g->value.free--;
	if (map_u64_get(&pool->refs.clusters, cluster))
		pool->super.meta_clusters++;
	else
		pool->super.data_clusters++;
	return 0;
}

/* A metadata cluster that is given back counts as data by now (txn.c). */
static int cluster_last(struct pool *pool, struct group_edit *g, uint64_t cluster)
{
	g->value.free++;
	pool->space.quarantined++;
	pool->super.data_clusters--;
	return names_add(&pool->space.freed, pool->mem, cluster);
}

/* Used and freed within one transaction: reads may still be going on there, so it waits like any other (P3). */
static int cluster_never(struct fiber *f, struct pool *pool, const struct group_edit *g,
			 uint64_t cluster)
{
	int r = claim_use(f, pool, g->key, cluster);

	if (r < 0)
		return r;
	pool->space.quarantined++;
	return names_add(&pool->space.freed, pool->mem, cluster);
}

static int cluster_apply(struct fiber *f, struct pool *pool, struct group_edit *g, uint64_t cluster,
			 int64_t change)
{
	uint64_t bit = cluster_index(cluster) % SPACE_GROUP, old, count;
	int r = 0;

	old = count2_get(g->page->bytes, bit);
	if (old == SPACE_COUNT_MANY)
		r = many_get(f, pool, g->many, cluster, &old);
	if (r < 0)
		return r;
	if (change < 0 && old < (uint64_t)-change)
		return fiber_fail(f, -EILSEQ,
				  "pool '%s': cluster %#" PRIx64 " freed more often than used",
				  pool->super.name, cluster);
	if (change == 0)
		return old ? 0 : cluster_never(f, pool, g, cluster);
	count = old + (uint64_t)change;
	if (old >= SPACE_COUNT_MANY || count >= SPACE_COUNT_MANY)
		r = many_set(f, pool, g->many, cluster, old, count);
	if (r < 0)
		return r;
	count2_set(g->page->bytes, bit, (unsigned)min_u64(count, SPACE_COUNT_MANY));
	pool->txn.unshares |= change < 0 && count > 0;
	if (old == 0)
		r = cluster_first(f, pool, g, cluster);
	else if (count == 0)
		r = cluster_last(pool, g, cluster);
	return r;
}

/* All numbers of one group from *i on. */
static int group_apply(struct fiber *f, struct pool *pool, const struct names *todo, uint32_t *i,
		       struct many *many)
{
	uint64_t key = cluster_name(cluster_disk(todo->at[*i] >> 1),
				    cluster_index(todo->at[*i] >> 1) / SPACE_GROUP);
	struct group_edit g;
	int r = group_open(f, pool, key, many, &g);

	while (r == 0 && *i < todo->count) {
		uint64_t cluster = todo->at[*i] >> 1;
		int64_t change = 0;

		if (cluster_disk(cluster) != cluster_disk(key) ||
		    cluster_index(cluster) / SPACE_GROUP != cluster_index(key))
			break;
		for (; *i < todo->count && todo->at[*i] >> 1 == cluster; ++*i)
			change += todo->at[*i] & 1 ? -1 : 1;
		r = cluster_apply(f, pool, &g, cluster, change);
	}
	return r < 0 ? r : group_close(f, pool, &g);
}

int space_apply(struct fiber *f, struct pool *pool)
{
	struct many many = { 0 };
	int r = 0;

	while (r == 0 && pool->space.counts.count) {
		struct names todo = { 0 };

		names_take(&todo, &pool->space.counts);
		qsort(todo.at, todo.count, sizeof(todo.at[0]), number_compare);
		for (uint32_t i = 0; r == 0 && i < todo.count;)
			r = group_apply(f, pool, &todo, &i, &many);
		names_free(&todo);
	}
	return r;
}

/* ---- reading a count ----------------------------------------------------------------------------- */

int space_count(struct fiber *f, struct pool *pool, uint64_t cluster, uint32_t *ret)
{
	const struct tree tree = { TREE_SPACE, 0, &pool->seen.space };
	const struct tree many = { TREE_MANY, 0, &pool->seen.many };
	const struct page_want want = { .type = PAGE_SPACE, .level = 0 };
	uint64_t key = cluster_name(cluster_disk(cluster), cluster_index(cluster) / SPACE_GROUP);
	uint8_t value[SPACE_VALUE_SIZE];
	struct space_value space;
	struct page *page;
	int r = tree_find(f, pool, &tree, key, value, NULL);

	*ret = 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	space = space_value_get(value);
	r = cache_get(f, pool, &space.page, &want, &page);
	if (r < 0)
		return r;
	*ret = count2_get(page->bytes, cluster_index(cluster) % SPACE_GROUP);
	cache_put(&pool->cache, page);
	if (*ret < SPACE_COUNT_MANY)
		return 0;
	r = tree_find(f, pool, &many, cluster, value, NULL);
	if (r == 0)
		*ret = (uint32_t)min_u64(le64_get(value), UINT32_MAX);
	return r == -ENOENT ? 0 : r;
}

int space_count_peek(struct pool *pool, uint64_t cluster, uint32_t *ret)
{
	const struct tree tree = { TREE_SPACE, 0, &pool->seen.space };
	uint64_t key = cluster_name(cluster_disk(cluster), cluster_index(cluster) / SPACE_GROUP);
	uint8_t value[SPACE_VALUE_SIZE];
	struct space_value space;
	struct page *page;
	int r = tree_peek(pool, &tree, key, value, NULL);

	*ret = 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	space = space_value_get(value);
	page = cache_peek(&pool->cache, &space.page);
	if (!page)
		return -EAGAIN;
	/* 3 stands for 3 or more: enough to know that it is shared */
	*ret = count2_get(page->bytes, cluster_index(cluster) % SPACE_GROUP);
	cache_put(&pool->cache, page);
	return 0;
}
