/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_crash - crash points and their states; see disk_crash.h for DC1..DC4.
 *
 * The iterator walks the log. `stable` are the pages that are on the medium for sure at the
 * present point; `open` are the writes that may be lost, oldest first, each page with the mask of
 * sectors that no newer stable write has overwritten. A state is an image over `stable`.
 *
 * DC5. A point after a write asks only for the subsets that have this write: the others were
 *      states of the point before, and nothing was promised since. A point after a promise
 *      (a flush, a stable write) asks for all subsets again.
 */
#include "sim/disk_crash.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "base/prng.h"
#include "sim/media.h"
#include "sim/sim_priv.h"

struct crash_item {
	uint64_t no;
	struct page *page; /* owned by the log: what the page is with this write */
	uint32_t touched;  /* mask of sectors */
};

struct crash_write {
	struct crash_item *items;
	uint32_t count;
	uint64_t done_seq; /* 0: never told done */
};

enum crash_event_kind { CRASH_WRITE, CRASH_STABLE, CRASH_FLUSH };

struct crash_event {
	enum crash_event_kind kind;
	uint64_t arg; /* number of the write; FLUSH: seq */
};

struct disk_log {
	struct arena arena;
	struct mem *mem;
	const struct sim_image *base;
	struct crash_event *events;
	struct crash_write *writes;
	uint64_t event_count, event_room, write_count, write_room;
};

struct sim_image {
	struct arena own; /* of images that stand alone */
	struct mem *mem;
	struct pages pages;
};

/* ---- images ------------------------------------------------------------------------------ */

struct pages *sim_image_pages(const struct sim_image *image)
{
	return (struct pages *)(uintptr_t)&image->pages;
}

struct sim_image *sim_image_new(struct mem *mem)
{
	struct sim_image *image = mem_alloc(mem, sizeof(*image));

	must(image);
	arena_init(&image->own, mem);
	image->mem = mem;
	pages_init(&image->pages, &image->own, NULL);
	return image;
}

void sim_image_free(struct sim_image *image)
{
	arena_drop(&image->own);
	mem_free(image);
}

struct sim_image *sim_image_copy(struct mem *mem, const struct sim_image *from)
{
	struct sim_image *image = sim_image_new(mem);
	struct pages *pages = sim_image_pages(from);

	for (uint64_t no = 0; pages_next(pages, no, UINT64_C(1) << 50, &no); no++)
		pages_swap(&image->pages, no, page_copy(&image->own, pages_get(pages, no)));
	return image;
}

void sim_image_read(const struct sim_image *image, uint64_t off, void *buf, size_t len)
{
	pages_read(sim_image_pages(image), off, buf, len);
}

void sim_image_write(struct sim_image *image, uint64_t off, const void *buf, size_t len)
{
	pages_write(&image->pages, off, buf, len);
}

/* ---- the log ------------------------------------------------------------------------------ */

struct disk_log *disk_log_new(struct mem *mem)
{
	struct disk_log *log = mem_alloc(mem, sizeof(*log));

	must(log);
	log->mem = mem;
	arena_init(&log->arena, mem);
	return log;
}

void disk_log_free(struct disk_log *log)
{
	arena_drop(&log->arena);
	mem_free(log);
}

void disk_log_base(struct disk_log *log, const struct sim_image *image)
{
	log->base = image;
}

uint64_t disk_log_events(const struct disk_log *log)
{
	return log->event_count;
}

uint64_t disk_log_writes(const struct disk_log *log)
{
	return log->write_count;
}

/* Room for one more; returns the new array. */
static void *crash_grow(struct arena *arena, void *items, uint64_t count, uint64_t *room,
			size_t size)
{
	if (count < *room)
		return items;
	uint64_t wanted = *room ? 2 * *room : 64;
	void *grown = arena_get(arena, wanted * size);
	if (count)
		memcpy(grown, items, count * size);
	arena_put(arena, items, *room * size);
	*room = wanted;
	return grown;
}

static void disk_log_event(struct disk_log *log, enum crash_event_kind kind, uint64_t arg)
{
	log->events = crash_grow(&log->arena, log->events, log->event_count, &log->event_room,
				 sizeof(*log->events));
	log->events[log->event_count++] = (struct crash_event){ .kind = kind, .arg = arg };
}

void disk_log_write(struct disk_log *log, struct media *media, struct media_write *w)
{
	log->writes = crash_grow(&log->arena, log->writes, log->write_count, &log->write_room,
				 sizeof(*log->writes));
	struct crash_write *write = &log->writes[log->write_count];
	*write = (struct crash_write){ .count = w->count };
	write->items = arena_get(&log->arena, max_size(1, w->count) * sizeof(*write->items));
	for (uint32_t i = 0; i < w->count; i++)
		write->items[i] = (struct crash_item){
			.no = w->items[i].no,
			.page = page_copy(&log->arena, pages_get(&media->pages, w->items[i].no)),
			.touched = media_sectors(w, w->items[i].no),
		};
	w->log_index = log->write_count++;
	disk_log_event(log, CRASH_WRITE, w->log_index);
}

void disk_log_done(struct disk_log *log, const struct media_write *w, bool stable)
{
	log->writes[w->log_index].done_seq = w->done_seq;
	if (stable)
		disk_log_event(log, CRASH_STABLE, w->log_index);
}

void disk_log_flush(struct disk_log *log, uint64_t seq)
{
	disk_log_event(log, CRASH_FLUSH, seq);
}

/* ---- walking the points --------------------------------------------------------------------- */

struct crash_open {
	struct crash_write *write;
	uint64_t index;
	uint32_t *live; /* per item: sectors that count */
};

struct crash_iter {
	struct disk_log *log;
	struct crash_opts opts;
	struct prng prng;
	struct pages stable;
	struct sim_image image;
	struct crash_open open[CRASH_VOLATILE_MAX];
	uint32_t open_count;
	uint64_t point;
	bool fresh;	 /* the newest open write is of this point (DC5) */
	uint64_t subset; /* number of the present one at this point */
	uint64_t mask;	 /* and which writes are in it */
	uint32_t torn;	 /* variant of it; 0: whole */
	uint64_t states;
	char name[128];
};

static void crash_put_sectors(struct pages *pages, const struct crash_item *item, uint32_t sectors)
{
	if (!sectors)
		return;
	if (sectors == 0xff) {
		page_put(pages->arena, pages_swap(pages, item->no, page_ref(item->page)));
		return;
	}
	struct page *page = page_copy(pages->arena, pages_get(pages, item->no));
	for (uint32_t s = 0; s < PAGE_SECTORS; s++)
		if (sectors >> s & 1)
			memcpy(page->data + s * SECTOR_BYTES, item->page->data + s * SECTOR_BYTES,
			       SECTOR_BYTES);
	page_put(pages->arena, pages_swap(pages, item->no, page));
}

static void crash_forget(struct crash_iter *it, uint32_t at)
{
	arena_put(&it->log->arena, it->open[at].live,
		  max_size(1, it->open[at].write->count) * sizeof(uint32_t));
	memmove(&it->open[at], &it->open[at + 1], (it->open_count - at - 1) * sizeof(it->open[0]));
	it->open_count--;
}

/* Sectors of an older write that a newer stable one covers do not count any more. */
static void crash_cover(struct crash_open *older, const struct crash_open *newer)
{
	for (uint32_t i = 0; i < older->write->count; i++)
		for (uint32_t j = 0; j < newer->write->count; j++)
			if (older->write->items[i].no == newer->write->items[j].no)
				older->live[i] &= ~newer->live[j];
}

static void crash_settle(struct crash_iter *it, uint32_t at)
{
	struct crash_open *open = &it->open[at];

	for (uint32_t i = 0; i < open->write->count; i++)
		crash_put_sectors(&it->stable, &open->write->items[i], open->live[i]);
	for (uint32_t i = 0; i < at; i++)
		crash_cover(&it->open[i], open);
	crash_forget(it, at);
}

static void crash_add_open(struct crash_iter *it, uint64_t index)
{
	struct crash_write *write = &it->log->writes[index];

	if (it->open_count == CRASH_VOLATILE_MAX)
		crash_settle(it, 0);
	struct crash_open *open = &it->open[it->open_count++];
	open->write = write;
	open->index = index;
	open->live = arena_get(&it->log->arena, max_size(1, write->count) * sizeof(uint32_t));
	for (uint32_t i = 0; i < write->count; i++)
		open->live[i] = write->items[i].touched;
}

static void crash_step(struct crash_iter *it)
{
	const struct crash_event *event = &it->log->events[it->point++];

	it->fresh = event->kind == CRASH_WRITE;
	if (event->kind == CRASH_WRITE) {
		crash_add_open(it, event->arg);
		return;
	}
	for (uint32_t i = 0; i < it->open_count;) {
		const struct crash_open *open = &it->open[i];
		bool settles = event->kind == CRASH_STABLE ?
				       open->index == event->arg :
				       open->write->done_seq && open->write->done_seq <= event->arg;
		if (settles)
			crash_settle(it, i);
		else
			i++;
	}
}

/* ---- states of a point ------------------------------------------------------------------------ */

static uint64_t crash_subsets(const struct crash_iter *it)
{
	uint32_t n = it->open_count - it->fresh;

	return n <= it->opts.all_max ? UINT64_C(1) << n : it->opts.samples;
}

/* DC2. */
static uint64_t crash_mask(struct crash_iter *it)
{
	uint32_t n = it->open_count - it->fresh;
	uint64_t all = n ? UINT64_MAX >> (64 - n) : 0, mask = it->subset;

	must(it->open_count >= it->fresh); /* a fresh one is open */
	if (n > it->opts.all_max) {
		uint64_t draw = prng_u64(&it->prng);
		switch (it->subset) {
		case 0:
			mask = 0;
			break;
		case 1:
			mask = all;
			break;
		default: /* sparse, even, dense */
			if (it->subset % 3 == 0)
				draw &= prng_u64(&it->prng);
			else if (it->subset % 3 == 1)
				draw |= prng_u64(&it->prng);
			mask = draw & all;
		}
	}
	return it->fresh ? mask | UINT64_C(1) << n : mask;
}

/* Some of the sectors, in units that are never torn. */
static uint32_t crash_tear(struct crash_iter *it, uint32_t sectors)
{
	uint32_t unit = it->opts.atomic_bytes / SECTOR_BYTES, kept = 0;
	uint64_t draw = prng_u64(&it->prng);

	for (uint32_t s = 0; s < PAGE_SECTORS; s++)
		if (draw >> (s / unit) & 1)
			kept |= 1u << s;
	return kept & sectors;
}

static void crash_build(struct crash_iter *it)
{
	uint32_t torn_write = UINT32_MAX;

	if (it->torn && it->mask)
		do
			torn_write = (uint32_t)prng_below(&it->prng, it->open_count);
		while (!(it->mask >> torn_write & 1));
	pages_fini(&it->image.pages);
	pages_init(&it->image.pages, &it->log->arena, &it->stable);
	for (uint32_t i = 0; i < it->open_count; i++) {
		const struct crash_open *open = &it->open[i];
		if (!(it->mask >> i & 1))
			continue;
		for (uint32_t j = 0; j < open->write->count; j++)
			crash_put_sectors(&it->image.pages, &open->write->items[j],
					  i == torn_write ? crash_tear(it, open->live[j]) :
							    open->live[j]);
	}
	it->states++;
}

/* The next (subset, torn variant) of this point; false: the point is done. */
static bool crash_next_state(struct crash_iter *it)
{
	if (it->subset != UINT64_MAX && it->torn < it->opts.torn && it->mask) {
		it->torn++;
		return true;
	}
	it->torn = 0;
	it->subset++;
	if (it->subset >= crash_subsets(it))
		return false;
	it->mask = crash_mask(it);
	return true;
}

bool crash_iter_next(struct crash_iter *it)
{
	uint64_t last = it->opts.last_point ? it->opts.last_point : it->log->event_count;

	for (;;) {
		if (it->point >= it->opts.first_point && it->point <= last &&
		    crash_next_state(it)) {
			crash_build(it);
			return true;
		}
		if (it->point >= min_u64(last, it->log->event_count))
			return false;
		crash_step(it);
		it->subset = UINT64_MAX;
		it->mask = 0;
	}
}

struct crash_iter *crash_iter_new(struct disk_log *log, const struct crash_opts *opts)
{
	struct crash_iter *it = mem_alloc(log->mem, sizeof(*it));

	must(it);
	it->log = log;
	it->opts = *opts;
	it->opts.all_max = opts->all_max ? min_u32(opts->all_max, 20) : CRASH_ALL_MAX;
	it->opts.samples = opts->samples ? opts->samples : CRASH_SAMPLES;
	it->opts.atomic_bytes = opts->atomic_bytes ? opts->atomic_bytes : SECTOR_BYTES;
	must(it->opts.atomic_bytes % SECTOR_BYTES == 0);
	prng_init(&it->prng, opts->seed, 0);
	pages_init(&it->stable, &log->arena, log->base ? sim_image_pages(log->base) : NULL);
	pages_init(&it->image.pages, &log->arena, &it->stable);
	it->subset = UINT64_MAX;
	return it;
}

void crash_iter_free(struct crash_iter *it)
{
	while (it->open_count)
		crash_forget(it, it->open_count - 1);
	pages_fini(&it->image.pages);
	pages_fini(&it->stable);
	mem_free(it);
}

const struct sim_image *crash_iter_image(const struct crash_iter *it)
{
	return &it->image;
}

uint64_t crash_iter_point(const struct crash_iter *it)
{
	return it->point;
}

uint64_t crash_iter_states(const struct crash_iter *it)
{
	return it->states;
}

const char *crash_iter_name(struct crash_iter *it)
{
	snprintf(it->name, sizeof(it->name),
		 "point %llu of %llu, %d of %u writes (mask %llx), torn %u",
		 (unsigned long long)it->point, (unsigned long long)it->log->event_count,
		 __builtin_popcountll(it->mask), it->open_count, (unsigned long long)it->mask,
		 it->torn);
	return it->name;
}
