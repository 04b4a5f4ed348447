// SPDX-License-Identifier: Apache-2.0
/*
 * space - handing out clusters: groups in memory. See space_priv.h.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

#define META_RESERVE_MAX (64ull << 20) /* bytes, or 1 % of the pool if that is more */

void space_init(struct space *space, struct pool *pool)
{
	*space = (struct space){ 0 };
	map_u64_init(&space->groups, pool->mem, SPACE_GROUPS_MAX);
}

void space_fini(struct space *space)
{
	struct map_iter iter = { 0 };

	while (map_u64_next(&space->groups, &iter))
		mem_free(iter.value);
	map_u64_fini(&space->groups);
	names_free(&space->freed);
	names_free(&space->quarantine[0]);
	names_free(&space->quarantine[1]);
	names_free(&space->counts);
}

static uint64_t group_key(uint64_t cluster)
{
	return cluster_name(cluster_disk(cluster), cluster_index(cluster) / SPACE_GROUP);
}

static uint64_t group_first(uint64_t key)
{
	return cluster_name(cluster_disk(key), cluster_index(key) * SPACE_GROUP);
}

/* Clusters of a group that exist. */
static uint64_t group_size(const struct pool *pool, uint64_t key)
{
	uint64_t clusters = pool->disks[cluster_disk(key)].clusters;
	uint64_t first = cluster_index(key) * SPACE_GROUP;

	return first >= clusters ? 0 : min_u64(SPACE_GROUP, clusters - first);
}

static uint64_t log_clusters(const struct pool *pool)
{
	uint64_t both = 2ull * pool->super.log_half_clusters;

	return pool->super.log_mirror == SUPER_NO_MIRROR ? both : 2 * both;
}

void space_size(struct pool *pool)
{
	struct map_iter iter = { 0 };
	uint64_t total = 0;

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		total += pool->disks[i].clusters;
	pool->space.total = total - log_clusters(pool);
	while (map_u64_next(&pool->space.groups, &iter)) {
		struct space_group *group = iter.value;

		bitmap_adopt(&group->busy, group->words, group_size(pool, group->key));
	}
}

uint64_t space_meta_reserve(const struct pool *pool)
{
	uint64_t total = pool->space.total;
	uint64_t fixed = META_RESERVE_MAX >> pool->cluster_shift;

	return max_u64(total / 100, min_u64(fixed, total / 8));
}

static uint64_t space_free_all(const struct pool *pool)
{
	const struct space *space = &pool->space;
	uint64_t taken = pool->super.data_clusters + pool->super.meta_clusters + space->claimed +
			 space->quarantined;

	return space->total > taken ? space->total - taken : 0;
}

uint64_t space_meta_keep(const struct pool *pool)
{
	uint64_t reserve = space_meta_reserve(pool), used = pool->super.meta_clusters;

	return max_u64(reserve > used ? reserve - used : 0, reserve / 4);
}

bool space_meta_is_low(const struct pool *pool)
{
	uint64_t room = space_free_all(pool) + pool->refs.free_pages / pool->pages_per_cluster;

	return room < space_meta_reserve(pool) / 2 + pool->super.thick_clusters;
}

uint64_t space_free(const struct pool *pool, enum space_use use)
{
	uint64_t free = space_free_all(pool), keep;

	if (use == SPACE_META)
		return free;
	keep = space_meta_keep(pool);
	if (use == SPACE_DATA)
		keep += pool->super.thick_clusters;
	return free > keep ? free - keep : 0; /* SP4 */
}

/* ---- groups ----------------------------------------------------------------------------- */

static void group_mark(struct space_group *group, uint64_t bit)
{
	if (bitmap_test(&group->busy, bit))
		return;
	bitmap_set(&group->busy, bit);
	group->busy_count++;
}

static void group_mark_names(struct space_group *group, const struct names *names)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (group_key(names->at[i]) == group->key)
			group_mark(group, cluster_index(names->at[i]) % SPACE_GROUP);
}

static void group_mark_range(struct space_group *group, uint64_t first, uint64_t count)
{
	uint64_t start = cluster_index(group->key) * SPACE_GROUP;

	for (uint64_t i = max_u64(first, start); i < first + count && i < start + group->busy.bits;
	     i++)
		group_mark(group, i - start);
}

/* The log's clusters are never handed out. */
static void group_mark_log(const struct pool *pool, struct space_group *group)
{
	uint64_t both = 2ull * pool->super.log_half_clusters;

	if (cluster_disk(group->key) == pool->super.log_disk)
		group_mark_range(group, pool->super.log_first, both);
	if (cluster_disk(group->key) == pool->super.log_mirror)
		group_mark_range(group, pool->super.log_mirror_first, both);
}

static void group_mark_counts(struct space_group *group, const uint8_t *bytes)
{
	for (uint64_t i = 0; i < group->busy.bits; i++)
		if (bytes[PAGE_HEAD + i / 4] >> (i % 4 * 2) & 3)
			group_mark(group, i);
}

static int group_read(struct fiber *f, struct pool *pool, struct space_group *group)
{
	const struct tree tree = { TREE_SPACE, 0, &pool->seen.space };
	const struct page_want want = { .type = PAGE_SPACE, .level = 0 };
	uint8_t value[SPACE_VALUE_SIZE];
	struct space_value space;
	struct page *page;
	int r = tree_find(f, pool, &tree, group->key, value, NULL);

	if (r == -ENOENT)
		return 0; /* all free */
	if (r < 0)
		return r;
	space = space_value_get(value);
	r = cache_get(f, pool, &space.page, &want, &page);
	if (r < 0)
		return r;
	group_mark_counts(group, page->bytes);
	cache_put(&pool->cache, page);
	return 0;
}

/*
 * Groups that nothing keeps are forgotten when there are too many (in order of loading).
 * Not within a transaction: what it has applied is not yet in what group_read() sees.
 */
static void groups_shrink(struct pool *pool)
{
	struct space *space = &pool->space;
	struct map_iter iter = { 0 };

	if (pool->txn.open || map_u64_count(&space->groups) <= SPACE_GROUPS_IDLE)
		return;
	while (map_u64_next(&space->groups, &iter)) {
		struct space_group *group = iter.value;

		if (group->claims || group == space->here)
			continue;
		map_u64_del(&space->groups, group->key);
		mem_free(group);
		return;
	}
}

static int group_get(struct fiber *f, struct pool *pool, uint64_t key, struct space_group **ret)
{
	struct space *space = &pool->space;
	CLEANUP(cleanup_mem) struct space_group *group = NULL;
	int r;

again:
	*ret = map_u64_get(&space->groups, key);
	if (*ret)
		return 0;
	mem_free(steal(group));
	group = mem_alloc(pool->mem, sizeof(*group));
	if (!group)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory", pool->super.name);
	group->key = key;
	bitmap_init(&group->busy, group->words, group_size(pool, key));
	r = group_read(f, pool, group);
	if (r < 0)
		return r;
	if (map_u64_get(&space->groups, key))
		goto again; /* somebody else has loaded it while we read */
	group_mark_log(pool, group);
	group_mark_names(group, &space->freed);
	group_mark_names(group, &space->quarantine[0]);
	group_mark_names(group, &space->quarantine[1]);
	r = map_u64_put(&space->groups, key, group);
	if (r < 0)
		return fiber_fail(f, r, "pool '%s': too many groups in use", pool->super.name);
	*ret = steal(group);
	groups_shrink(pool);
	return 0;
}

/* ---- claims ------------------------------------------------------------------------------- */

static void cluster_claimed(struct pool *pool, struct space_group *group, uint64_t bit)
{
	group_mark(group, bit);
	group->claims++;
	pool->space.claimed++;
}

int space_claim(struct pool *pool, enum space_use use, uint64_t *ret_cluster)
{
	struct space *space = &pool->space;
	struct space_group *group = space->here;
	uint64_t bit;

	if (space_free(pool, use) == 0 || (use == SPACE_THICK && pool->super.thick_clusters == 0))
		return -ENOSPC;
	if (!group || group->busy_count == group->busy.bits)
		return -EAGAIN;
	bit = bitmap_find_clear(&group->busy, space->cursor);
	if (bit == group->busy.bits)
		return -EAGAIN;
	cluster_claimed(pool, group, bit);
	space->cursor = bit + 1;
	if (use == SPACE_THICK)
		pool->super.thick_clusters--;
	*ret_cluster = group_first(group->key) + bit;
	return 0;
}

int space_claim_this(struct fiber *f, struct pool *pool, uint64_t cluster)
{
	struct space_group *group;
	uint64_t bit = cluster_index(cluster) % SPACE_GROUP;
	int r = group_get(f, pool, group_key(cluster), &group);

	if (r < 0)
		return r;
	if (bit >= group->busy.bits || bitmap_test(&group->busy, bit))
		return fiber_fail(f, -EILSEQ, "pool '%s': cluster %#" PRIx64 " allocated twice",
				  pool->super.name, cluster);
	cluster_claimed(pool, group, bit);
	return 0;
}

void space_unclaim(struct pool *pool, uint64_t cluster)
{
	struct space_group *group = map_u64_get(&pool->space.groups, group_key(cluster));

	must(group && group->claims > 0); /* SP2 */
	bitmap_clear(&group->busy, cluster_index(cluster) % SPACE_GROUP);
	group->busy_count--;
	group->claims--;
	pool->space.claimed--;
}

int space_drop(struct pool *pool, uint64_t cluster)
{
	struct space_group *group = map_u64_get(&pool->space.groups, group_key(cluster));

	must(pool->txn.open && group && group->claims > 0); /* SP2 */
	group->claims--;
	pool->space.claimed--;
	pool->space.quarantined++;
	return names_add(&pool->space.freed, pool->mem, cluster);
}

/* The group after this one, round all disks in use. */
static uint64_t group_after(const struct pool *pool, uint64_t key)
{
	unsigned disk = cluster_disk(key);

	if (group_size(pool, key + 1))
		return key + 1;
	do
		disk = (disk + 1) % POOL_DISKS_MAX;
	while (pool->disks[disk].clusters == 0);
	return cluster_name(disk, 0);
}

/* Can this group have anything free? Without loading it. */
static int group_looks_free(struct fiber *f, struct pool *pool, uint64_t key, bool *ret)
{
	const struct tree tree = { TREE_SPACE, 0, &pool->seen.space };
	const struct space_group *group = map_u64_get(&pool->space.groups, key);
	uint8_t value[SPACE_VALUE_SIZE];
	int r;

	*ret = true;
	if (group) {
		*ret = group->busy_count < group->busy.bits;
		return 0;
	}
	r = tree_find(f, pool, &tree, key, value, NULL);
	if (r == 0)
		*ret = space_value_get(value).free > 0;
	return r == -ENOENT ? 0 : r;
}

static uint64_t group_total(const struct pool *pool)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		total += div_up_u64(pool->disks[i].clusters, SPACE_GROUP);
	return total;
}

static int group_try(struct fiber *f, struct pool *pool, uint64_t key, bool *ret_chosen)
{
	struct space_group *group;
	bool looks_free;
	int r = group_looks_free(f, pool, key, &looks_free);

	*ret_chosen = false;
	if (r < 0 || !looks_free)
		return r;
	r = group_get(f, pool, key, &group);
	if (r < 0 || group->busy_count == group->busy.bits)
		return r;
	pool->space.here = group;
	pool->space.cursor = 0;
	*ret_chosen = true;
	return 0;
}

int space_find(struct fiber *f, struct pool *pool)
{
	const struct space_group *here = pool->space.here;
	uint64_t key = here ? here->key : 0, total = group_total(pool);
	bool chosen = false;

	if (here && bitmap_find_clear(&here->busy, pool->space.cursor) < here->busy.bits)
		return 0; /* another fiber has been here */
	if (here || group_size(pool, key) == 0)
		key = group_after(pool, key);
	for (uint64_t i = 0; i < total; i++) {
		int r = group_try(f, pool, key, &chosen);

		if (r < 0 || chosen)
			return r;
		key = group_after(pool, key);
	}
	return -ENOSPC;
}

void space_release(struct pool *pool)
{
	struct space *space = &pool->space;
	struct names *over = &space->quarantine[1];

	for (uint32_t i = 0; i < over->count; i++) {
		struct space_group *group = map_u64_get(&space->groups, group_key(over->at[i]));

		if (!group)
			continue;
		bitmap_clear(&group->busy, cluster_index(over->at[i]) % SPACE_GROUP);
		group->busy_count--;
	}
	space->quarantined -= over->count;
	over->count = 0;
	names_take(over, &space->quarantine[0]);
	names_take(&space->quarantine[0], &space->freed);
}
