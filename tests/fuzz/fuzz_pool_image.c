// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_pool_image - a small pool whose metadata say anything, under checksums that are right up to
 * the superblock: it is checked, dumped, imported to be read and read, imported to be written and
 * written. Whatever is there, nothing hangs, and no bytes of a disk are trusted (P6, CK1).
 *
 *	input:	kind of pool (1 byte), changes of 12 bytes each
 *	change:	page (2), offset in it (2), what (1), unused (1), value (6)
 *
 * The pools are made once and kept; each input has a world of its own on their images.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "fuzz.h"
#include "pool/format.h"
#include "pool/pool.h"
#include "unit/pool/image.h"

#define PAGES_MAX    192u
#define EDGES_MAX    1024u
#define CHANGES_MAX  16u
#define CHANGE_BYTES 12u

/* Whose checksum stands where: page `child`'s at byte `at` of page `parent`. */
struct edge {
	uint16_t parent, child, at;
};

struct place {
	unsigned disk;
	uint64_t offset;
};

struct graph {
	struct image image;
	struct place places[PAGES_MAX];
	uint8_t (*pages)[POOL_PAGE];
	unsigned page_count;
	struct edge edges[EDGES_MAX];
	unsigned edge_count;
	uint16_t live[PAGES_MAX]; /* what the newest superblock reaches, the log, labels */
	unsigned live_count;
};

static struct {
	struct mem_heap heap;
	struct sim_stacks *stacks;
	struct graph *graphs[IMAGE_KINDS];
	struct look *look;
} kept;

/* ---- which page points to which ---------------------------------------------------------------- */

static void edge_add(struct graph *g, unsigned parent, unsigned child, unsigned at)
{
	must(g->edge_count < EDGES_MAX);
	g->edges[g->edge_count++] =
		(struct edge){ (uint16_t)parent, (uint16_t)child, (uint16_t)at };
}

/* A pointer says name, transaction and CRC: three numbers that agree with a page are one to it. */
static void edges_of_pointers(struct graph *g, unsigned parent, unsigned child)
{
	const uint8_t *to = g->pages[child];

	if (to[8] <= PAGE_LOG)
		return;
	for (unsigned at = PAGE_HEAD; at + PAGE_PTR_SIZE <= POOL_PAGE; at += 8) {
		struct page_ptr ptr = page_ptr_get(g->pages[parent] + at);

		if (ptr.name == le64_get(to + 40) && ptr.txg == page_txg(to) &&
		    ptr.crc == page_crc(to))
			edge_add(g, parent, child, at + 16);
	}
}

/* The chain of the log, which the superblock begins. */
static void edges_of_log(struct graph *g, unsigned parent, unsigned child)
{
	const uint8_t *from = g->pages[parent], *to = g->pages[child];

	if (to[8] != PAGE_LOG || parent == child)
		return;
	if (from[8] == PAGE_LOG && le64_get(from + 56) == page_crc(to))
		edge_add(g, parent, child, 56);
	if (from[8] == PAGE_SUPER && le32_get(from + 184) == page_crc(to))
		edge_add(g, parent, child, 184);
}

static void live_add(struct graph *g, unsigned page)
{
	for (unsigned i = 0; i < g->live_count; i++)
		if (g->live[i] == page)
			return;
	g->live[g->live_count++] = (uint16_t)page;
}

/* From the newest superblock down; records of the log hang on each other, and on it, from below. */
static void live_find(struct graph *g)
{
	uint64_t newest = 0;

	for (unsigned i = 0; i < g->page_count; i++)
		if (g->pages[i][8] == PAGE_SUPER && page_txg(g->pages[i]) > newest)
			newest = page_txg(g->pages[i]);
	for (unsigned i = 0; i < g->page_count; i++)
		if (g->pages[i][8] == PAGE_LABEL ||
		    (g->pages[i][8] <= PAGE_LOG && page_txg(g->pages[i]) >= newest))
			live_add(g, i);
	for (unsigned i = 0; i < g->live_count; i++)
		for (unsigned k = 0; k < g->edge_count; k++)
			if (g->edges[k].parent == g->live[i])
				live_add(g, g->edges[k].child);
}

static struct graph *graph_make(enum image_kind kind)
{
	struct mem *mem = &kept.heap.mem;
	struct graph *g = mem_alloc(mem, sizeof(*g));

	must(g);
	g->pages = mem_alloc_array(mem, PAGES_MAX, POOL_PAGE);
	must(g->pages);
	image_make(&g->image, mem, kind);
	for (unsigned d = 0; d < g->image.disk_count; d++)
		for (uint64_t off = 0; off < IMAGE_BYTES; off += POOL_PAGE) {
			uint8_t page[POOL_PAGE];

			sim_image_read(g->image.disks[d], off, page, sizeof(page));
			if (!page_is_sealed(page))
				continue;
			must(g->page_count < PAGES_MAX);
			memcpy(g->pages[g->page_count], page, sizeof(page));
			g->places[g->page_count++] = (struct place){ d, off };
		}
	for (unsigned parent = 0; parent < g->page_count; parent++)
		for (unsigned child = 0; child < g->page_count; child++) {
			edges_of_pointers(g, parent, child);
			edges_of_log(g, parent, child);
		}
	live_find(g);
	return g;
}

static struct graph *graph_of(enum image_kind kind)
{
	if (!kept.stacks) {
		mem_heap_init(&kept.heap);
		kept.stacks = sim_stacks_new(&kept.heap.mem);
		kept.look = mem_alloc(&kept.heap.mem, sizeof(*kept.look));
		must(kept.stacks && kept.look);
	}
	if (!kept.graphs[kind])
		kept.graphs[kind] = graph_make(kind);
	return kept.graphs[kind];
}

/* ---- changes ------------------------------------------------------------------------------------- */

struct work {
	const struct graph *g;
	uint8_t (*pages)[POOL_PAGE];
	bool changed[PAGES_MAX];
};

/* Seal it, then those that point to it, up to the superblocks; pointers make no circle. */
static void reseal(struct work *w, unsigned page, unsigned depth)
{
	uint32_t crc = page_seal(w->pages[page]);

	w->changed[page] = true;
	must(depth < PAGES_MAX);
	for (unsigned i = 0; i < w->g->edge_count; i++) {
		const struct edge *edge = &w->g->edges[i];

		if (edge->child != page || le32_get(w->pages[edge->parent] + edge->at) == crc)
			continue;
		le32_put(w->pages[edge->parent] + edge->at, crc);
		reseal(w, edge->parent, depth + 1);
	}
}

static void change(struct work *w, const uint8_t *at)
{
	unsigned page = w->g->live[le16_get(at) % w->g->live_count];
	uint8_t *bytes = w->pages[page];
	uint32_t off = 8 + le16_get(at + 2) % (POOL_PAGE - 16);
	uint64_t value = le64_get(at + 4) >> 16;

	switch (at[4] % 6) {
	case 0: /* a byte */
		bytes[off] = at[6];
		break;
	case 1: /* a number */
		le64_put(bytes + align_down_u64(off, 8), value);
		break;
	case 2: /* a number from elsewhere in the page */
		memmove(bytes + align_down_u64(off, 8),
			bytes + align_down_u64(8 + value % (POOL_PAGE - 16), 8), 8);
		break;
	case 3: /* nothing there */
		memset(bytes + off, 0, min_u64(64, POOL_PAGE - off));
		break;
	case 4: /* a bit */
		bytes[off] ^= (uint8_t)(1u << at[6] % 8);
		break;
	default: /* the body of another page */
		memcpy(bytes + PAGE_HEAD,
		       w->pages[w->g->live[value % w->g->live_count]] + PAGE_HEAD, PAGE_BODY);
	}
	le32_put(bytes, PAGE_MAGIC);
	reseal(w, page, 0);
}

/* ---- what is done to it ----------------------------------------------------------------------------- */

static void say_nothing(void *ctx, const char *line)
{
	(void)ctx;
	must(line);
}

/* Whoever fails says why. */
static int worded_(struct fiber *f, int r, const char *call)
{
	bool good = r >= 0 || r == -ENOMEM || *fiber_words(f);

	if (!good)
		fprintf(stderr, "%s: %s without a word\n", call, err_name(r));
	must(good);
	fiber_clear(f);
	return r;
}

#define worded(f, call) worded_(f, call, #call)

static void write_all(struct fiber *f, struct pool *pool)
{
	static const char *const names[] = { "thin", "thick", "clone1", "clone2" };
	const struct replica_create_args args = { .name = "new", .size_bytes = 1 << 20 };
	uint8_t *buf = mem_alloc_aligned(fiber_io(f)->mem, 4096, 65536);

	must(buf);
	memset(buf, 1, 65536);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		struct bdev_chan *chan;
		struct bdev *bdev;
		char uri[64];

		snprintf(uri, sizeof(uri), "pool:///" IMAGE_POOL "/%s", names[i]);
		if (worded(f, bdev_open(f, uri, &bdev)) < 0)
			continue;
		if (bdev->blocks >= 256 && worded(f, bdev_chan_open(f, bdev, &chan)) == 0) {
			(void)image_io(f, chan, BIO_WRITE, 8, 100, buf, BIO_FUA);
			(void)image_io(f, chan, BIO_UNMAP, 64, 64, NULL, 0);
			(void)image_io(f, chan, BIO_READ, 0, 128, buf, 0);
			fiber_clear(f);
			bdev_chan_close(f, chan);
		}
		bdev_close(f, bdev);
	}
	mem_free(buf);
	(void)worded(f, replica_create(f, pool, &args));
	(void)worded(f, snapshot_create(f, pool, "thin", "new1", NULL));
	(void)worded(f, snapshot_destroy(f, pool, "snap1"));
	(void)worded(f, replica_destroy(f, pool, "clone1"));
	(void)worded(f, replica_rename(f, pool, "clone2", "renamed"));
	for (unsigned i = 0; i < 3; i++)
		(void)worded(f, pool_sync(f, pool));
}

static int fuzz_main(struct fiber *f, void *arg)
{
	const struct graph *g = arg;
	const struct pool_import_args args = { .disks = image_uris,
					       .disk_count = g->image.disk_count,
					       .cache_bytes = 256 << 10 };
	struct pool_check_result result;
	struct pool *pool;

	(void)worded(f, pool_check(f, image_uris, args.disk_count, say_nothing, NULL, &result));
	(void)worded(f, pool_dump(f, image_uris, args.disk_count, say_nothing, NULL));
	(void)look_disks(f, args.disk_count, kept.look);
	if (worded(f, pool_import(f, &args, &pool)) < 0)
		return 0;
	look_pool(f, pool, kept.look);
	write_all(f, pool);
	(void)worded(f, pool_export(f, pool));
	(void)worded(f, pool_check(f, image_uris, args.disk_count, say_nothing, NULL, &result));
	return 0;
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct image_world w;
	struct graph *g;
	struct work work;

	if (size < 1 + CHANGE_BYTES)
		return 0;
	g = graph_of((enum image_kind)(data[0] % IMAGE_KINDS));
	work = (struct work){ .g = g };
	work.pages = mem_dup(&kept.heap.mem, g->pages, (size_t)g->page_count * POOL_PAGE);
	must(work.pages);
	for (size_t at = 1; at + CHANGE_BYTES <= size && at < CHANGES_MAX * CHANGE_BYTES;
	     at += CHANGE_BYTES)
		change(&work, data + at);
	image_world_open(&w, &g->image, kept.stacks);
	for (unsigned i = 0; i < g->page_count; i++)
		if (work.changed[i])
			sim_disk_poke(w.disks[g->places[i].disk], g->places[i].offset,
				      work.pages[i], POOL_PAGE);
	mem_free(work.pages);
	must(image_world_run(&w, fuzz_main, g) == 0);
	must(!sim_failed(w.sim));
	image_world_close(&w);
	return 0;
}
