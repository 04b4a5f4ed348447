// SPDX-License-Identifier: Apache-2.0
/*
 * import - finding a pool on its disks again.
 *
 * All disks are opened and their labels and rings read: the superblock of the highest
 * transaction on any disk says which disks there must be and where everything is. Counts of
 * pages are loaded, the log is replayed, and a first commit marks the pool as in use. What
 * is read does not depend on the size of the pool nor on how it stopped: 2 labels and 16
 * slots a disk, the counts of metadata pages in use, at most two halves of a log.
 *
 * If the newest superblock leads to damaged pages, the one before it is tried, read-only; if that
 * does, too, the newest is taken without what is damaged.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "pool/catalog_priv.h"
#include "pool/import_priv.h"
#include "pool/label_priv.h"
#include "reactor/fiber.h"

#define IMPORT_SKIP_MAX (1u << 20) /* a head that is further ahead is rot */

struct import {
	const struct pool_import_args *args;
	struct pool *pool;
	struct pool_disk *given; /* as the caller named them; owned array */
	struct label *labels;	 /* of each */
	struct super *first;	 /* the one looked at first */
	struct super *newest;	 /* the highest transaction found below `below` */
	uint64_t below;
	uint64_t begun; /* the highest transaction in the head of any superblock, torn ones too */
	uint8_t *ring;
};

static int import_open(struct fiber *f, struct import *im)
{
	const struct pool_import_args *args = im->args;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < args->disk_count; i++) {
		r = disk_open(f, args->disks[i], args->read_only, &im->given[i]);
		if (r == 0)
			r = label_read(f, im->pool->mem, &im->given[i], &im->labels[i]);
		if (r == 0 && im->given[i].size_bytes < im->labels[i].size_bytes)
			r = fiber_fail(f, -EILSEQ,
				       "disk '%s' has %" PRIu64 " bytes, it had %" PRIu64
				       " when it was in use",
				       args->disks[i], im->given[i].size_bytes,
				       im->labels[i].size_bytes);
		if (r == 0 && memcmp(im->labels[i].pool.bytes, im->labels[0].pool.bytes, 16) != 0)
			r = fiber_fail(f, -EINVAL,
				       "disk '%s' belongs to pool '%s', disk '%s' to pool '%s'",
				       args->disks[i], im->labels[i].name, args->disks[0],
				       im->labels[0].name);
		for (unsigned j = 0; r == 0 && j < i; j++)
			if (im->labels[j].disk_number == im->labels[i].disk_number)
				r = fiber_fail(
					f, -EINVAL,
					"disks '%s' and '%s' are the same disk of the pool, or copies of it",
					args->disks[j], args->disks[i]);
	}
	return r;
}

/*
 * A superblock that was begun, be it whole or not. Should a later one of the same number be written
 * over it and be torn, sectors of both could be that of the one which never was: see
 * import_skip().
 */
static void import_begun(struct import *im, const uint8_t *page, const struct page_head *head)
{
	if (le32_get(page) == PAGE_MAGIC && head->type == PAGE_SUPER &&
	    memcmp(head->pool.bytes, im->labels[0].pool.bytes, 16) == 0)
		im->begun = max_u64(im->begun, head->txg);
}

/* One slot of a ring: keep it if it is better than what we have. */
static int import_slot(struct fiber *f, struct import *im, struct pool_disk *disk,
		       const uint8_t *page)
{
	struct page_head head;
	int r;

	page_head_get(page, &head);
	import_begun(im, page, &head);
	if (head.type != PAGE_SUPER || head.txg <= im->newest->txg || head.txg >= im->below ||
	    memcmp(head.pool.bytes, im->labels[0].pool.bytes, 16) != 0 || !page_is_sealed(page))
		return 0;
	r = super_decode(page, &im->pool->super);
	if (r == -EPROTO)
		return fiber_fail(f, r, "disk '%s' was written by a later version", disk->uri);
	if (r == 0)
		*im->newest = im->pool->super;
	return 0;
}

static int import_ring(struct fiber *f, struct import *im, struct pool_disk *disk, uint64_t offset)
{
	int r = disk_read(f, disk, offset, im->ring, POOL_RING_SLOTS * POOL_PAGE);

	for (unsigned slot = 0; r == 0 && slot < POOL_RING_SLOTS; slot++)
		r = import_slot(f, im, disk, im->ring + (size_t)slot * POOL_PAGE);
	return r;
}

static int import_rings(struct fiber *f, struct import *im)
{
	int r = 0;

	im->newest->txg = 0;
	for (unsigned i = 0; i < im->args->disk_count; i++) {
		/*
		 * The tail is where the label says: a disk may have grown since, and what lies
		 * at its present end, or lay at a former one, was written by who knows whom.
		 */
		uint64_t size = im->labels[i].size_bytes;

		r = import_ring(f, im, &im->given[i], disk_ring(size, false, 0));
		if (r == 0)
			r = import_ring(f, im, &im->given[i], disk_ring(size, true, 0));
		if (r < 0)
			return r;
	}
	if (im->newest->txg == 0)
		return fiber_fail(f, -EILSEQ,
				  "pool '%s': no valid superblock on any of its disks%s",
				  im->labels[0].name,
				  im->below == UINT64_MAX ? " (never finished, or damaged)" : "");
	im->pool->super = *im->newest;
	return 0;
}

/* Give each disk of the superblock its place; a claim is linked, so it is taken again there. */
static int import_place(struct fiber *f, struct import *im)
{
	struct pool *pool = im->pool;

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		const struct super_disk *want = &pool->super.disks[i];
		unsigned n = 0;
		int r;

		if (want->state != DISK_IN_USE || pool->disks[i].bdev)
			continue;
		while (n < im->args->disk_count &&
		       memcmp(im->labels[n].disk.bytes, want->uuid.bytes, 16) != 0)
			n++;
		if (n == im->args->disk_count) {
			char text[UUID_TEXT_SIZE];

			return fiber_fail(f, -ENODEV, "pool '%s': disk %u (%s) is missing",
					  pool->super.name, i, uuid_print(&want->uuid, text));
		}
		disk_close(f, &im->given[n]);
		r = disk_open(f, im->args->disks[n], im->args->read_only, &pool->disks[i]);
		if (r < 0)
			return r;
		pool->disks[i].uuid = want->uuid;
		pool->disks[i].size_bytes = im->labels[n].size_bytes;
		if (disk_clusters(im->labels[n].size_bytes, pool->super.cluster_bytes) <
		    want->clusters)
			return fiber_fail(f, -EILSEQ,
					  "disk '%s': its label says %" PRIu64
					  " bytes, fewer than are in use",
					  pool->disks[i].uri, im->labels[n].size_bytes);
		pool->disks[i].clusters = want->clusters;
	}
	for (unsigned n = 0; n < im->args->disk_count; n++)
		if (im->given[n].bdev)
			return fiber_fail(f, -EINVAL,
					  "disk '%s' was a disk of pool '%s' once, but is not now",
					  im->args->disks[n], pool->super.name);
	return 0;
}

static int root_look(struct fiber *f, struct pool *pool, enum tree_kind kind,
		     struct tree_root *root)
{
	const struct tree tree = { kind, 0, root };
	uint8_t value[TREE_VALUE_MAX];
	uint64_t key;
	int r = tree_next(f, pool, &tree, 0, &key, value);

	return r == -ENOENT ? 0 : r;
}

/* What is damaged is left out, if it shall be borne: it costs what it holds (P6). */
static int import_bear(struct fiber *f, bool bear, int r)
{
	if (!bear || r != -EILSEQ)
		return r;
	fiber_clear(f);
	return 0;
}

/* Load the counts of pages, look at each root. */
static int import_trees(struct fiber *f, struct pool *pool, bool bear)
{
	struct super *super = &pool->super;
	struct tree_root *const roots[] = { &super->catalog, &super->names, &super->space,
					    &super->many, &super->dead };
	static const enum tree_kind kinds[] = { TREE_CATALOG, TREE_NAMES, TREE_SPACE, TREE_MANY,
						TREE_DEAD };
	int r = 0;

	if (super->refs_root.name)
		r = import_bear(f, bear, refs_load(f, pool, &super->refs_root, super->refs_pages));
	for (unsigned i = 0; r == 0 && i < ARRAY_LEN(roots); i++)
		r = import_bear(f, bear, root_look(f, pool, kinds[i], roots[i]));
	return r;
}

/* The superblock before the newest one. */
static int import_older(struct fiber *f, struct import *im)
{
	struct pool *pool = im->pool;
	int r = 0;

	im->below = pool->super.txg;
	for (unsigned i = 0; r == 0 && i < im->args->disk_count;
	     i++) /* the rings are read once more */
		if (!im->given[i].bdev)
			r = disk_open(f, im->args->disks[i], true, &im->given[i]);
	if (r == 0)
		r = import_rings(f, im);
	for (unsigned i = 0; i < im->args->disk_count; i++)
		disk_close(f, &im->given[i]);
	if (r < 0)
		return r;
	pool_engine_init(pool, im->args->cache_bytes);
	return import_trees(f, pool, false);
}

static void import_engine_fini(struct pool *pool)
{
	if (pool->pages_per_cluster)
		pool_engine_fini(pool);
	pool->pages_per_cluster = 0;
}

/* The newest superblock; if that leads nowhere the one before it; else what can be had of the newest. */
static int import_super(struct fiber *f, struct import *im)
{
	struct pool *pool = im->pool;
	int r = import_rings(f, im);

	if (r == 0)
		r = import_place(f, im);
	if (r < 0)
		return r;
	*im->first = pool->super;
	pool_engine_init(pool, im->args->cache_bytes);
	r = import_trees(f, pool, false);
	if (r != -EILSEQ)
		return r;
	pool_damaged(f, pool);
	import_engine_fini(pool);
	r = import_older(f, im);
	if (r != -EILSEQ)
		return r;
	fiber_clear(f);
	import_engine_fini(pool);
	pool->super = *im->first;
	pool_engine_init(pool, im->args->cache_bytes);
	return import_trees(f, pool, true);
}

/*
 * How many transactions to leave out, so that the first one after the import has a number, and a
 * slot of the ring, that no torn superblock bears. Even, so that the log goes on in the same half,
 * and the slot of the newest superblock stays what it is.
 */
static uint64_t import_skip(const struct import *im)
{
	uint64_t newest = im->pool->super.txg;

	if (im->begun <= newest || im->begun - newest > IMPORT_SKIP_MAX)
		return 0;
	return align_up_u64(im->begun - newest, 2);
}

static int import_do(struct fiber *f, struct import *im)
{
	struct pool *pool = im->pool;
	int r = import_open(f, im);

	if (r == 0 && im->args->name && strcmp(im->args->name, im->labels[0].name) != 0)
		r = fiber_fail(f, -ENOENT, "disk '%s' bears pool '%s', not '%s'",
			       im->args->disks[0], im->labels[0].name, im->args->name);
	if (r == 0)
		r = import_super(f, im);
	if (r < 0)
		return r;
	if (im->args->read_only || pool->super.version_write > POOL_VERSION ||
	    pool->super.features) {
		pool->state = POOL_READ_ONLY;
		if (!pool->why[0])
			snprintf(pool->why, sizeof(pool->why), "%s",
				 im->args->read_only ? "as asked" : "written by a later version");
	}
	pool->txg_skip = import_skip(im);
	if (!(pool->super.flags & SUPER_CLEAN) && !(im->args->rules_off & POOL_RULE_INCARN))
		pool->super.incarnation++; /* R4 of bdev/replica.h */
	space_size(pool);
	return pool_start(f, pool);
}

static void import_fini(struct fiber *f, struct import *im)
{
	for (unsigned i = 0; im->given && i < im->args->disk_count; i++)
		disk_close(f, &im->given[i]);
	mem_free(im->given);
	mem_free(im->labels);
	mem_free(im->first);
	mem_free(im->newest);
	mem_free(im->ring);
}

static int import_check_listed(struct fiber *f, struct pool *pool)
{
	struct pool *other;

	list_for_each(other, &pool->table->pools, link)
		if (other != pool && strcmp(other->super.name, pool->super.name) == 0)
			return fiber_fail(f, -EEXIST, "pool '%s' is imported", pool->super.name);
	return 0;
}

int pool_import(struct fiber *f, const struct pool_import_args *args, struct pool **ret)
{
	struct mem *mem = fiber_io(f)->mem;
	struct import im = { .args = args, .below = UINT64_MAX };
	int r;

	r = disk_check_uris(f, args->disks, args->disk_count);
	if (r < 0)
		return r;
	r = pool_new(f, "", &im.pool);
	if (r < 0)
		return r;
	im.pool->is_shut = true;
	im.given = mem_alloc_array(mem, args->disk_count, sizeof(*im.given));
	im.labels = mem_alloc_array(mem, args->disk_count, sizeof(*im.labels));
	im.first = mem_alloc(mem, sizeof(*im.first));
	im.newest = mem_alloc(mem, sizeof(*im.newest));
	im.ring = mem_alloc_aligned(mem, POOL_PAGE, POOL_RING_SLOTS * POOL_PAGE);
	if (!im.given || !im.labels || !im.first || !im.newest || !im.ring)
		r = fiber_fail(f, -ENOMEM, "no memory to import a pool");
	if (r == 0)
		r = import_do(f, &im);
	import_fini(f, &im);
	if (r == 0)
		r = import_check_listed(f, im.pool);
	if (r < 0) {
		pool_close(f, im.pool);
		return r;
	}
	im.pool->is_shut = false;
	*ret = im.pool;
	return 0;
}
