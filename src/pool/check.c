// SPDX-License-Identifier: Apache-2.0
/*
 * check - does everything that a superblock reaches agree with everything else?
 *
 *   walk      every page once, from the roots down; each pointer met adds one to what the
 *             page or cluster should count (tree_priv.h T2)
 *   compare   these with the counts of pages (refs) and of clusters (space), both ways
 *   totals    with the superblock and the records
 *
 * CK1. Nothing is changed, and nothing from the disk is trusted: a page that cannot be read or
 *      is damaged is reported with what hangs below it, and the walk goes on beside it.
 * CK2. Memory is bounded by the number of pages and clusters in use (a map entry each).
 */
#include "pool/check_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/import_priv.h"
#include "pool/map_priv.h"
#include "pool/replica_priv.h"
#include "reactor/fiber.h"

struct check_step {
	struct page_ptr ptr;
	uint8_t type, tree, level;
	uint64_t owner;
};

struct check {
	struct fiber *f;
	struct pool *pool;
	pool_check_say_fn say;
	void *ctx;
	struct pool_check_result result;
	struct map_u64 pages, clusters; /* name -> how many pointers, as a pointer */
	struct check_step *stack;	/* owned array */
	uint32_t depth, room;
	uint64_t replicas, snapshots, data_clusters, meta_clusters, entries[TREE_KINDS];
	uint64_t mapped; /* of the map just walked, only if it shares nothing */
};

static void PRINTF_LIKE(2, 3) check_error(struct check *c, const char *fmt, ...)
{
	char line[256];
	va_list args;

	c->result.errors++;
	if (c->result.errors > CHECK_LINES_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (c->say)
		c->say(c->ctx, line);
}

/* One more pointer; returns how many there are now, 0 without memory. */
static uint64_t tally(struct map_u64 *map, uint64_t name)
{
	uint64_t count = (uint64_t)(uintptr_t)map_u64_get(map, name) + 1;

	if (count > 1)
		map_u64_del(map, name);
	return map_u64_put(map, name, (void *)(uintptr_t)count) < 0 ? 0 : count;
}

static int push(struct check *c, const struct check_step *step)
{
	if (c->depth == c->room) {
		uint32_t room = max_u32(256, c->room * 2);
		struct check_step *stack = mem_alloc_array(c->pool->mem, room, sizeof(*stack));

		if (!stack)
			return -ENOMEM;
		if (c->depth)
			memcpy(stack, c->stack, c->depth * sizeof(*stack));
		mem_free(c->stack);
		c->stack = stack;
		c->room = room;
	}
	c->stack[c->depth++] = *step;
	return 0;
}

static int push_root(struct check *c, enum tree_kind kind, uint64_t owner,
		     const struct tree_root *root)
{
	const struct check_step step = { .ptr = root->root,
					 .type = root->levels > 1 ? PAGE_NODE : PAGE_LEAF,
					 .tree = (uint8_t)kind,
					 .level = (uint8_t)(root->levels - 1),
					 .owner = owner };

	return root->levels ? push(c, &step) : 0;
}

/* ---- what stands in leaves ---------------------------------------------------------------- */

static int leaf_map(struct check *c, const uint8_t *at)
{
	struct map_value value = map_value_get(at + TREE_KEY_SIZE);

	if (!map_value_ok(c->pool, &value)) {
		check_error(c,
			    "mapping of logical cluster %" PRIu64 " leads to cluster %#" PRIx64
			    ", which is outside, or to blocks %#x that it has not",
			    le64_get(at), value.cluster, value.valid);
		c->result.lost_bytes += c->pool->super.cluster_bytes;
		return 0;
	}
	return tally(&c->clusters, value.cluster) ? 0 : -ENOMEM;
}

static int leaf_catalog(struct check *c, const uint8_t *at)
{
	uint64_t object = le64_get(at);
	struct record record;
	int r = record_decode(at + TREE_KEY_SIZE, &record);

	c->result.objects++;
	if (r < 0) {
		check_error(c, "record of object %" PRIu64 " is damaged: its data are lost",
			    object);
		return 0;
	}
	if (object >= c->pool->super.next_object)
		check_error(c, "object %" PRIu64 " ('%s') has a number that was never given",
			    object, record.name);
	if (record.kind == REPLICA_SNAPSHOT)
		c->snapshots++;
	else
		c->replicas++;
	if (record.mapped != record.map.entries)
		check_error(c,
			    "'%s': %" PRIu64 " clusters mapped, but its map has %" PRIu64
			    " entries",
			    record.name, record.mapped, record.map.entries);
	r = push_root(c, TREE_MAP, object, &record.map);
	return r < 0 ? r : push_root(c, TREE_ATTR, object, &record.attr);
}

static int leaf_space(struct check *c, const uint8_t *at)
{
	struct space_value value = space_value_get(at + TREE_KEY_SIZE);
	const struct check_step step = { .ptr = value.page, .type = PAGE_SPACE };

	return push(c, &step);
}

static int leaf_dead(struct check *c, const uint8_t *at)
{
	struct dead_value dead = dead_value_get(at + TREE_KEY_SIZE);
	const struct check_step step = { .ptr = dead.page,
					 .type = dead.level ? PAGE_NODE : PAGE_LEAF,
					 .tree = dead.tree,
					 .level = dead.level };

	if (dead.level >= TREE_LEVELS_MAX || (dead.tree != TREE_MAP && dead.tree != TREE_ATTR)) {
		check_error(c, "entry %#" PRIx64 " of the dead is damaged", le64_get(at));
		return 0;
	}
	return push(c, &step);
}

static int leaf_entry(struct check *c, uint8_t tree, const uint8_t *at)
{
	switch (tree) {
	case TREE_MAP:
		return leaf_map(c, at);
	case TREE_CATALOG:
		return leaf_catalog(c, at);
	case TREE_SPACE:
		return leaf_space(c, at);
	case TREE_DEAD:
		return leaf_dead(c, at);
	default:
		return 0;
	}
}

/* ---- the walk --------------------------------------------------------------------------------- */

static int page_entries(struct check *c, const struct check_step *step, uint8_t *bytes)
{
	uint32_t size = tree_entry_size(bytes);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < page_count(bytes); i++) {
		const uint8_t *at = tree_entry(bytes, size, i);

		if (step->type == PAGE_NODE) {
			const struct check_step child = { .ptr = page_ptr_get(at + TREE_KEY_SIZE),
							  .type = step->level > 1 ? PAGE_NODE :
										    PAGE_LEAF,
							  .tree = step->tree,
							  .level = (uint8_t)(step->level - 1),
							  .owner = step->owner };

			r = push(c, &child);
		} else {
			c->entries[step->tree]++;
			r = leaf_entry(c, step->tree, at);
		}
	}
	return r;
}

static int walk_page(struct check *c, const struct check_step *step)
{
	const struct page_want want = { .type = step->type,
					.tree = step->tree,
					.level = step->level };
	struct page *page;
	uint64_t count = tally(&c->pages, step->ptr.name);
	int r;

	if (count != 1)
		return count ? 0 : -ENOMEM; /* its children are counted once (T2) */
	c->result.pages++;
	r = cache_get(c->f, c->pool, &step->ptr, &want, &page);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		check_error(c, "%s: what hangs below is lost", fiber_words(c->f));
		fiber_clear(c->f);
		return 0;
	}
	if (step->type != PAGE_SPACE)
		r = page_entries(c, step, page->bytes);
	cache_put(&c->pool->cache, page);
	return r;
}

static int walk_all(struct check *c)
{
	int r = 0;

	while (r == 0 && c->depth) {
		struct check_step step = c->stack[--c->depth];

		r = fiber_is_cancelled(c->f) ? fiber_fail(c->f, -ECANCELED, "cancelled") :
					       walk_page(c, &step);
	}
	return r;
}

/* Those below a damaged page are not known. */
static int tally_known(struct check *c, const struct refs_place *place)
{
	return !place->ptr.name || tally(&c->pages, place->ptr.name) ? 0 : -ENOMEM;
}

static int walk_refs(struct check *c)
{
	const struct refs *refs = &c->pool->refs;
	int r = tally_known(c, &refs->root);

	for (uint32_t i = 0; r == 0 && i < refs->index_count; i++)
		r = tally_known(c, &refs->index[i]);
	for (uint32_t i = 0; r == 0 && i < refs->page_count; i++)
		r = tally_known(c, &refs->pages[i]);
	return r;
}

static int walk_roots(struct check *c, const struct tree_root *extra, unsigned extra_count)
{
	const struct super *super = &c->pool->super;
	int r = push_root(c, TREE_CATALOG, 0, &super->catalog);

	if (r == 0)
		r = push_root(c, TREE_NAMES, 0, &super->names);
	if (r == 0)
		r = push_root(c, TREE_SPACE, 0, &super->space);
	if (r == 0)
		r = push_root(c, TREE_MANY, 0, &super->many);
	if (r == 0)
		r = push_root(c, TREE_DEAD, 0, &super->dead);
	for (unsigned i = 0; r == 0 && i < extra_count; i++)
		r = push_root(c, TREE_MAP, 0, &extra[i]);
	if (r == 0)
		r = walk_all(c);
	return r < 0 ? r : walk_refs(c);
}

/* ---- comparing ----------------------------------------------------------------------------------- */

static void compare_pages(struct check *c)
{
	const struct refs *refs = &c->pool->refs;

	for (uint32_t slot = 0; slot < refs->slot_count; slot++) {
		const struct refs_cluster *rc = refs->slots[slot];

		for (unsigned p = 0; rc && p < c->pool->pages_per_cluster; p++) {
			uint64_t name = page_name(rc->cluster, p);
			uint64_t want = (uint64_t)(uintptr_t)map_u64_del(&c->pages, name);

			if (rc->counts[p] == want)
				continue;
			if (want == 0)
				c->result.leaked_pages++;
			check_error(c,
				    "page %#" PRIx64 ": counted %u times, pointed to %" PRIu64
				    " times",
				    name, rc->counts[p], want);
		}
	}
}

/* What is left was met, but is in no metadata cluster. */
static void compare_pages_rest(struct check *c)
{
	struct map_iter iter = { 0 };

	while (map_u64_next(&c->pages, &iter))
		check_error(c, "page %#" PRIx64 " is pointed to, but in no metadata cluster",
			    iter.key_u64);
}

static int compare_cluster(struct check *c, uint64_t cluster)
{
	uint64_t want;
	uint32_t count;
	int r = space_count(c->f, c->pool, cluster, &count);

	if (r < 0)
		return r;
	want = (uint64_t)(uintptr_t)map_u64_del(&c->clusters, cluster);
	if (map_u64_get(&c->pool->refs.clusters, cluster)) {
		want++;
		c->meta_clusters++;
	} else {
		c->data_clusters++;
	}
	if (count == want)
		return 0;
	if (want == 0)
		c->result.leaked_clusters++;
	check_error(c, "cluster %#" PRIx64 ": counted %u times, used %" PRIu64 " times", cluster,
		    count, want);
	return 0;
}

/* Those that are counted; what is used and is not counted remains in c->clusters. */
static int compare_group(struct check *c, uint64_t key, const struct space_value *value)
{
	const struct page_want want = { .type = PAGE_SPACE, .level = 0 };
	uint64_t first = cluster_name(cluster_disk(key), cluster_index(key) * SPACE_GROUP);
	uint32_t free = SPACE_GROUP;
	struct page *page = NULL;
	int r = cache_get(c->f, c->pool, &value->page, &want, &page);

	for (uint64_t i = 0; r == 0 && i < SPACE_GROUP; i++) {
		uint8_t four = page->bytes[PAGE_HEAD + i / 4];

		if (four == 0)
			i |= 3;
		if (!(four >> (i % 4 * 2) & 3))
			continue;
		free--;
		r = compare_cluster(c, first + i);
	}
	if (page)
		cache_put(&c->pool->cache, page);
	if (r == 0 && free != value->free)
		check_error(c, "group %#" PRIx64 ": %u clusters free, noted %u", key, free,
			    value->free);
	return r;
}

static int compare_clusters(struct check *c)
{
	struct tree_root root = c->pool->super.space;
	const struct tree tree = { TREE_SPACE, 0, &root };
	struct map_iter iter = { 0 };
	uint64_t key = 0;

	for (;; key++) {
		uint8_t bytes[SPACE_VALUE_SIZE];
		struct space_value value;
		int found = tree_next(c->f, c->pool, &tree, key, &key, bytes), r = found;

		if (r == -ENOENT)
			break;
		if (r == 0) {
			value = space_value_get(bytes);
			r = compare_group(c, key, &value);
		}
		if (r == -EILSEQ) {
			check_error(c, "%s", fiber_words(c->f));
			fiber_clear(c->f);
		} else if (r < 0) {
			return r;
		}
		if (found < 0) /* what lies behind cannot be reached */
			break;
	}
	c->result.clusters = c->data_clusters + c->pool->super.meta_clusters;
	while (map_u64_next(&c->clusters, &iter))
		check_error(c, "cluster %#" PRIx64 " is used, but counted free", iter.key_u64);
	return 0;
}

static void compare_number(struct check *c, const char *what, uint64_t found, uint64_t noted)
{
	if (found != noted)
		check_error(c, "%s: %" PRIu64 " found, %" PRIu64 " in the superblock", what, found,
			    noted);
}

static void compare_totals(struct check *c)
{
	const struct super *super = &c->pool->super;

	compare_number(c, "replicas", c->replicas, super->replicas);
	compare_number(c, "snapshots", c->snapshots, super->snapshots);
	compare_number(c, "data clusters", c->data_clusters, super->data_clusters);
	compare_number(c, "counted metadata clusters", c->meta_clusters, super->meta_clusters);
	compare_number(c, "metadata clusters", map_u64_count(&c->pool->refs.clusters),
		       super->meta_clusters);
	compare_number(c, "catalog entries", c->entries[TREE_CATALOG], super->catalog.entries);
	compare_number(c, "names", c->entries[TREE_NAMES], super->names.entries);
	compare_number(c, "dead entries", c->entries[TREE_DEAD], super->dead.entries);
	compare_number(c, "large counts", c->entries[TREE_MANY], super->many.entries);
}

int check_walk(struct fiber *f, struct pool *pool, const struct tree_root *extra,
	       unsigned extra_count, pool_check_say_fn say, void *ctx,
	       struct pool_check_result *ret)
{
	struct check c = { .f = f, .pool = pool, .say = say, .ctx = ctx };
	int r;

	map_u64_init(&c.pages, pool->mem, MAP_ENTRIES_MAX);
	map_u64_init(&c.clusters, pool->mem, MAP_ENTRIES_MAX);
	r = walk_roots(&c, extra, extra_count);
	if (r == 0) {
		compare_pages(&c);
		compare_pages_rest(&c);
		r = compare_clusters(&c);
	}
	if (r == 0)
		compare_totals(&c);
	map_u64_fini(&c.pages);
	map_u64_fini(&c.clusters);
	mem_free(c.stack);
	if (r == -ENOMEM)
		return fiber_fail(f, r, "pool '%s': no memory to check it", pool->super.name);
	*ret = c.result;
	return r;
}
