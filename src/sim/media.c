/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media - bytes with a history; see media.h for the states and ME1..ME3.
 *
 * The pages are the newest content. The log has, for each write that may still be lost, the
 * pages it replaced: a write costs one copy of its data, a flush none. A power cut walks the
 * log from the newest to the oldest and puts old sectors back; a sector that a newer write has
 * settled (it was kept, or is stable) is left alone by older ones.
 */
#include "sim/media.h"

#include <string.h>

#include "base/must.h"
#include "sim/disk_crash.h"

void media_init(struct media *media, struct arena *arena, struct pages *base)
{
	*media = (struct media){ .arena = arena, .cache_bytes = UINT64_MAX };
	media->atomic_bytes = SECTOR_BYTES;
	pages_init(&media->pages, arena, base);
	list_init(&media->log);
	map_u64_init(&media->taints, &arena->mem, MAP_ENTRIES_MAX);
}

static void media_free(struct media *media, struct media_write *w)
{
	list_del(&w->link);
	for (uint32_t i = 0; i < w->count; i++)
		page_put(media->arena, w->items[i].page);
	arena_put(media->arena, w->items, w->room * sizeof(*w->items));
	arena_put(media->arena, w, sizeof(*w));
}

void media_fini(struct media *media)
{
	struct media_write *w, *after;

	list_for_each_safe(w, after, &media->log, link)
		media_free(media, w);
	pages_fini(&media->pages);
	map_u64_fini(&media->taints);
}

/* ---- reading ---------------------------------------------------------------- */

void media_read(struct media *media, uint64_t off, const struct iovec *iov, uint32_t iov_count,
		uint64_t len)
{
	for (uint32_t i = 0; i < iov_count && len > 0; i++) {
		size_t n = min_size(iov[i].iov_len, len);
		pages_read(&media->pages, off, iov[i].iov_base, n);
		off += n;
		len -= n;
	}
}

/* ---- staging ---------------------------------------------------------------- */

static struct media_write *media_new(struct media *media, uint64_t off, uint64_t len)
{
	struct media_write *w = arena_zalloc(media->arena, sizeof(*w));

	w->off = off;
	w->len = len;
	w->size_after = UINT64_MAX;
	return w;
}

static void media_add_item(struct media *media, struct media_write *w, uint64_t no,
			   struct page *page)
{
	if (w->count == w->room) {
		uint32_t room = w->room ? 2 * w->room : 4;
		struct media_item *items = arena_get(media->arena, room * sizeof(*items));
		if (w->count)
			memcpy(items, w->items, w->count * sizeof(*items));
		arena_put(media->arena, w->items, w->room * sizeof(*items));
		w->items = items;
		w->room = room;
	}
	w->items[w->count++] = (struct media_item){ .no = no, .page = page };
}

struct media_write *media_write(struct media *media, uint64_t off, const struct iovec *iov,
				uint32_t iov_count, uint64_t len)
{
	struct media_write *w = media_new(media, off, len);
	struct page *page = NULL;
	uint64_t at = off, end = off + len;

	w->room = (uint32_t)((end + PAGE_BYTES - 1) / PAGE_BYTES - off / PAGE_BYTES);
	w->items = arena_get(media->arena, w->room * sizeof(*w->items));
	for (uint32_t i = 0; i < iov_count; i++) {
		const uint8_t *from = iov[i].iov_base;
		for (size_t left = iov[i].iov_len; left > 0 && at < end;) {
			size_t in = at % PAGE_BYTES;
			size_t n = min_size(min_size(left, PAGE_BYTES - in), end - at);
			if (!page || in == 0) {
				page = page_new(media->arena);
				media_add_item(media, w, at / PAGE_BYTES, page);
			}
			memcpy(page->data + in, from, n);
			from += n;
			left -= n;
			at += n;
		}
	}
	must(at == end);
	return w;
}

struct media_write *media_zeros(struct media *media, uint64_t off, uint64_t len)
{
	struct media_write *w = media_new(media, off, len);

	w->zeros = true;
	return w;
}

struct media_write *media_truncate(struct media *media, uint64_t size)
{
	uint64_t end = align_up_u64(max_u64(media->size, size), PAGE_BYTES);
	struct media_write *w = media_zeros(media, size, end - size);

	w->size_after = size;
	return w;
}

void media_trim(struct media *media, struct media_write *w, uint64_t len)
{
	must(!w->applied && len <= w->len);
	w->len = len;
	while (w->count && w->items[w->count - 1].no * PAGE_BYTES >= w->off + len)
		page_put(media->arena, w->items[--w->count].page);
}

void media_move(struct media_write *w, uint64_t off)
{
	must(!w->applied && off % PAGE_BYTES == w->off % PAGE_BYTES);
	for (uint32_t i = 0; i < w->count; i++)
		w->items[i].no = w->items[i].no - w->off / PAGE_BYTES + off / PAGE_BYTES;
	w->off = off;
}

void media_drop(struct media *media, struct media_write *w)
{
	must(!w->applied);
	media_free(media, w);
}

/* ---- applying --------------------------------------------------------------- */

/* The bytes of the item's page that the write is about. */
static void media_item_range(const struct media_write *w, uint64_t no, size_t *ret_from,
			     size_t *ret_to)
{
	uint64_t start = no * PAGE_BYTES;

	*ret_from = w->off > start ? w->off - start : 0;
	*ret_to = min_u64(w->off + w->len - start, PAGE_BYTES);
}

uint32_t media_sectors(const struct media_write *w, uint64_t no)
{
	size_t from, to;

	media_item_range(w, no, &from, &to);
	uint32_t first = (uint32_t)(from / SECTOR_BYTES);
	uint32_t last = (uint32_t)((to + SECTOR_BYTES - 1) / SECTOR_BYTES);
	return ((1u << last) - 1) & ~((1u << first) - 1);
}

/* What the write does not touch of its page stays as it is. */
static void media_fill_rest(struct page *page, const struct page *old, size_t from, size_t to)
{
	if (old) {
		memcpy(page->data, old->data, from);
		memcpy(page->data + to, old->data + to, PAGE_BYTES - to);
	} else {
		memset(page->data, 0, from);
		memset(page->data + to, 0, PAGE_BYTES - to);
	}
}

static void media_apply_item(struct media *media, struct media_write *w, struct media_item *item)
{
	size_t from, to;

	media_item_range(w, item->no, &from, &to);
	if (from > 0 || to < PAGE_BYTES)
		media_fill_rest(item->page, pages_get(&media->pages, item->no), from, to);
	item->page = pages_swap(&media->pages, item->no, item->page);
}

static bool media_has_item(const struct media_write *w, uint64_t no)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (w->items[i].no == no)
			return true;
	return false;
}

/* Zeros already, but by writes that may be lost: these zeros must hold all the same. */
static void media_rezero(struct media *media, struct media_write *w, uint64_t first, uint64_t end)
{
	struct media_write *old;

	list_for_each(old, &media->log, link)
		for (uint32_t i = 0; i < old->count; i++) {
			uint64_t no = old->items[i].no;
			if (no >= first && no < end && !pages_get(&media->pages, no) &&
			    !media_has_item(w, no))
				media_add_item(media, w, no, NULL);
		}
}

static void media_apply_zeros(struct media *media, struct media_write *w)
{
	uint64_t no = w->off / PAGE_BYTES, end = div_up_u64(w->off + w->len, PAGE_BYTES);
	size_t from, to;

	media_rezero(media, w, no, end);
	for (; pages_next(&media->pages, no, end, &no); no++) {
		struct page *page = NULL;
		media_item_range(w, no, &from, &to);
		if (from > 0 || to < PAGE_BYTES) {
			page = page_copy(media->arena, pages_get(&media->pages, no));
			memset(page->data + from, 0, to - from);
		}
		media_add_item(media, w, no, pages_swap(&media->pages, no, page));
	}
}

void media_apply(struct media *media, struct media_write *w)
{
	must(!w->applied);
	w->applied = true;
	if (w->zeros)
		media_apply_zeros(media, w);
	else
		for (uint32_t i = 0; i < w->count; i++)
			media_apply_item(media, w, &w->items[i]);
	if (!w->zeros && media->grows && w->off + w->len > media->size)
		w->size_after = w->off + w->len;
	if (w->size_after != UINT64_MAX)
		media->size = w->size_after;
	media->unflushed += w->len;
	list_add_tail(&media->log, &w->link);
	if (media->recorder)
		disk_log_write(media->recorder, media, w);
}

/* ---- becoming stable ------------------------------------------------------------ */

static void media_forget_head(struct media *media)
{
	struct media_write *w;

	while ((w = list_first(&media->log, struct media_write, link)) && w->stable &&
	       w->done_seq) {
		if (w->size_after != UINT64_MAX)
			media->stable_size = w->size_after;
		media->unflushed -= w->len;
		media_free(media, w);
	}
}

/* A cache is only so big: the oldest goes to the medium. */
static void media_evict(struct media *media)
{
	struct media_write *w = list_first(&media->log, struct media_write, link);

	while (w && w->done_seq && media->unflushed > media->cache_bytes) {
		w->stable = true;
		media_forget_head(media);
		w = list_first(&media->log, struct media_write, link);
	}
}

void media_done(struct media *media, struct media_write *w, bool durable)
{
	must(w->applied);
	w->done_seq = ++media->done_seq;
	if (media->recorder)
		disk_log_done(media->recorder, w, durable || !media->loses);
	if (durable || !media->loses)
		w->stable = true;
	media_forget_head(media);
	media_evict(media);
}

void media_flush_end(struct media *media, uint64_t seq, enum media_flush how)
{
	struct media_write *w;

	if (media->recorder && how == MEDIA_FLUSH_OK)
		disk_log_flush(media->recorder, seq);
	list_for_each(w, &media->log, link) {
		if (!w->done_seq || w->done_seq > seq || w->orphan)
			continue;
		if (how == MEDIA_FLUSH_OK)
			w->stable = true;
		else if (how == MEDIA_FLUSH_LIES)
			w->lied = true;
		else
			w->orphan = true;
	}
	media_forget_head(media);
}

/* ---- the power goes ------------------------------------------------------------- */

struct media_fates {
	struct media *media;
	struct prng *prng;
	struct media_cut *cut;
	struct map_u64 settled; /* page -> mask of sectors + 1 << 8 */
	uint32_t lied_taint;
	uint64_t unit; /* the atomic unit whose fate was drawn last */
	bool kept;     /* its fate */
};

static uint32_t media_settled(struct media_fates *fates, uint64_t no)
{
	return (uint32_t)(uintptr_t)map_u64_get(&fates->settled, no) & 0xff;
}

static void media_settle(struct media_fates *fates, uint64_t no, uint32_t mask)
{
	map_u64_del(&fates->settled, no);
	must(map_u64_put(&fates->settled, no, (void *)(uintptr_t)(mask | 0x100)) == 0);
}

static bool media_draw(struct media_fates *fates)
{
	return !fates->cut->loses || prng_chance_ppm(fates->prng, fates->cut->keep_ppm);
}

/* Which sectors of this item are kept, as a mask. */
static uint32_t media_item_fate(struct media_fates *fates, const struct media_write *w, uint64_t no,
				uint32_t touched)
{
	uint32_t unit_sectors = fates->media->atomic_bytes / SECTOR_BYTES, kept = 0;

	if (w->stable)
		return touched;
	for (uint32_t s = 0; s < PAGE_SECTORS; s++) {
		uint64_t unit = (no * PAGE_SECTORS + s) / unit_sectors;
		if (!(touched >> s & 1))
			continue;
		if (fates->cut->tears && unit != fates->unit) {
			fates->unit = unit;
			fates->kept = media_draw(fates);
		}
		kept |= (uint32_t)fates->kept << s;
	}
	return kept;
}

static void media_put_back(struct media *media, uint64_t no, const struct page *old,
			   uint32_t sectors)
{
	struct page *page = page_copy(media->arena, pages_get(&media->pages, no));

	for (uint32_t s = 0; s < PAGE_SECTORS; s++) {
		uint8_t *to = page->data + s * SECTOR_BYTES;
		if (!(sectors >> s & 1))
			continue;
		if (old)
			memcpy(to, old->data + s * SECTOR_BYTES, SECTOR_BYTES);
		else
			memset(to, 0, SECTOR_BYTES);
	}
	page_put(media->arena, pages_swap(&media->pages, no, page));
}

/* Returns the number of sectors that were touched and kept; adds up the lost ones. */
static uint32_t media_undo_item(struct media_fates *fates, struct media_write *w,
				struct media_item *item, uint32_t *ret_lost)
{
	uint32_t touched = media_sectors(w, item->no);
	uint32_t settled = media_settled(fates, item->no);
	uint32_t kept = media_item_fate(fates, w, item->no, touched);
	uint32_t lost = touched & ~kept & ~settled;

	if (lost)
		media_put_back(fates->media, item->no, item->page, lost);
	if (lost && w->lied) {
		media_taint(fates->media, item->no * PAGE_BYTES, PAGE_BYTES, fates->lied_taint);
		fates->cut->lied_sectors += (uint64_t)__builtin_popcount(lost);
	}
	if (kept & ~settled)
		media_settle(fates, item->no, settled | kept);
	*ret_lost += (uint32_t)__builtin_popcount(lost);
	return (uint32_t)__builtin_popcount(kept & ~settled);
}

static void media_undo(struct media_fates *fates, struct media_write *w)
{
	uint32_t kept = 0, lost = 0;

	fates->unit = UINT64_MAX;
	fates->kept = w->stable || media_draw(fates);
	for (uint32_t i = 0; i < w->count; i++)
		kept += media_undo_item(fates, w, &w->items[i], &lost);
	fates->cut->lost_sectors += lost;
	fates->cut->torn_writes += kept && lost;
}

/* The size of a file is metadata with a fate of its own. */
static void media_undo_size(struct media_fates *fates)
{
	struct media *media = fates->media;
	uint64_t size = media->stable_size;
	struct media_write *w;

	list_for_each(w, &media->log, link)
		if (w->size_after != UINT64_MAX && (w->stable || media_draw(fates)))
			size = w->size_after;
	media->size = size;
	media->stable_size = size;
}

/* What lies behind the end of a file is not there. */
static void media_cut_tail(struct media *media)
{
	uint64_t no = media->size / PAGE_BYTES, end = UINT64_C(1) << 50;
	size_t tail = media->size % PAGE_BYTES;

	if (tail && pages_get(&media->pages, no)) {
		struct page *page = page_copy(media->arena, pages_get(&media->pages, no));
		memset(page->data + tail, 0, PAGE_BYTES - tail);
		page_put(media->arena, pages_swap(&media->pages, no, page));
	}
	for (no += tail != 0; pages_next(&media->pages, no, end, &no); no++)
		page_put(media->arena, pages_swap(&media->pages, no, NULL));
}

void media_power_cut(struct media *media, struct prng *prng, struct media_cut *cut,
		     uint32_t lied_taint)
{
	struct media_fates fates = {
		.media = media,
		.prng = prng,
		.cut = cut,
		.lied_taint = lied_taint,
	};
	struct media_write *w;

	if (list_empty(&media->log))
		return;
	map_u64_init(&fates.settled, &media->arena->mem, MAP_ENTRIES_MAX);
	for (struct list_link *at = media->log.head.prev; at != &media->log.head; at = at->prev)
		media_undo(&fates, list_entry(at, struct media_write, link));
	if (media->grows) {
		media_undo_size(&fates);
		media_cut_tail(media);
	}
	while ((w = list_first(&media->log, struct media_write, link)))
		media_free(media, w);
	media->unflushed = 0;
	map_u64_fini(&fates.settled);
}

/* ---- taints ---------------------------------------------------------------------- */

void media_taint(struct media *media, uint64_t off, uint64_t len, uint32_t mask)
{
	for (uint64_t no = off / PAGE_BYTES; no * PAGE_BYTES < off + len; no++) {
		uintptr_t old = (uintptr_t)map_u64_get(&media->taints, no);
		if ((old & mask) == mask)
			continue;
		map_u64_del(&media->taints, no);
		must(map_u64_put(&media->taints, no, (void *)(old | mask)) == 0);
	}
}

uint32_t media_taints(struct media *media, uint64_t off, uint64_t len)
{
	uint32_t mask = 0;

	if (!map_u64_count(&media->taints))
		return 0;
	for (uint64_t no = off / PAGE_BYTES; no * PAGE_BYTES < off + len; no++)
		mask |= (uint32_t)(uintptr_t)map_u64_get(&media->taints, no);
	return mask;
}
