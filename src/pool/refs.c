// SPDX-License-Identifier: Apache-2.0
/*
 * refs - the counts of metadata pages. See refs_priv.h for the theory.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

void refs_init(struct refs *refs, struct pool *pool)
{
	*refs = (struct refs){ .per_page = refs_per_page(pool->pages_per_cluster) };
	map_u64_init(&refs->clusters, pool->mem, REFS_CLUSTERS_MAX);
	list_init(&refs->free_clusters);
}

void refs_fini(struct refs *refs)
{
	for (uint32_t i = 0; i < refs->slot_count; i++)
		mem_free(refs->slots[i]);
	map_u64_fini(&refs->clusters);
	mem_free(refs->slots);
	mem_free(refs->pages);
	mem_free(refs->index);
	names_free(&refs->freed);
	names_free(&refs->quarantine[0]);
	names_free(&refs->quarantine[1]);
}

static bool busy_test(const struct refs_cluster *rc, unsigned place)
{
	return rc->busy[place / 64] >> (place % 64) & 1;
}

static void busy_set(struct refs_cluster *rc, unsigned place)
{
	rc->busy[place / 64] |= UINT64_C(1) << (place % 64);
}

static void busy_clear(struct refs_cluster *rc, unsigned place)
{
	rc->busy[place / 64] &= ~(UINT64_C(1) << (place % 64));
}

static struct refs_cluster *refs_find(const struct pool *pool, uint64_t page)
{
	struct refs_cluster *rc = map_u64_get(&pool->refs.clusters, page_cluster(page));

	return rc && page_place(page) < pool->pages_per_cluster ? rc : NULL;
}

uint32_t refs_count(const struct pool *pool, uint64_t page)
{
	const struct refs_cluster *rc = refs_find(pool, page);

	return rc ? rc->counts[page_place(page)] : 0;
}

static void refs_dirty(struct refs *refs, const struct refs_cluster *rc)
{
	uint32_t page = rc->slot / refs->per_page;

	refs->pages[page].dirty = true;
	refs->index[page / REFS_INDEX_MAX].dirty = true;
	refs->root.dirty = true;
}

/* Room in an array of refs_place; new ones are dirty. */
static int places_grow(struct mem *mem, struct refs_place **places, uint32_t *count, uint32_t want)
{
	struct refs_place *at;

	if (want <= *count)
		return 0;
	at = mem_alloc_array(mem, want, sizeof(*at));
	if (!at)
		return -ENOMEM;
	if (*count)
		memcpy(at, *places, *count * sizeof(*at));
	for (uint32_t i = *count; i < want; i++)
		at[i].dirty = true;
	mem_free(*places);
	*places = at;
	*count = want;
	return 0;
}

static int slots_grow(struct pool *pool, uint32_t want)
{
	struct refs *refs = &pool->refs;
	uint32_t pages = (uint32_t)div_up_u64(want, refs->per_page);
	int r;

	if (want > refs->slot_room) {
		uint32_t room = max_u32(64, max_u32(want, refs->slot_room * 2));
		struct refs_cluster **slots = mem_alloc_array(pool->mem, room, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		if (refs->slot_count)
			memcpy(slots, refs->slots, refs->slot_count * sizeof(*slots));
		mem_free(refs->slots);
		refs->slots = slots;
		refs->slot_room = room;
	}
	if (pages > REFS_INDEX_MAX * REFS_INDEX_MAX)
		return -ENOSPC;
	r = places_grow(pool->mem, &refs->pages, &refs->page_count, pages);
	if (r < 0)
		return r;
	r = places_grow(pool->mem, &refs->index, &refs->index_count,
			(uint32_t)div_up_u64(pages, REFS_INDEX_MAX));
	if (r < 0)
		return r;
	refs->slot_count = max_u32(refs->slot_count, want);
	return 0;
}

static struct refs_cluster *rc_new(struct pool *pool, uint64_t cluster, uint32_t slot)
{
	struct refs_cluster *rc =
		mem_alloc(pool->mem, sizeof(*rc) + pool->pages_per_cluster * sizeof(rc->counts[0]));

	if (!rc)
		return NULL;
	list_link_init(&rc->free_link);
	rc->cluster = cluster;
	rc->slot = slot;
	return rc;
}

static void rc_link(struct pool *pool, struct refs_cluster *rc)
{
	struct refs *refs = &pool->refs;

	refs->slots[rc->slot] = rc;
	refs->free_pages += rc->free;
	refs->used_pages += rc->used;
	if (rc->free)
		list_add_tail(&refs->free_clusters, &rc->free_link);
}

int refs_add_cluster(struct pool *pool, uint64_t cluster)
{
	struct refs *refs = &pool->refs;
	uint32_t slot = refs->slot_first_free;
	struct refs_cluster *rc;
	int r;

	must(!refs->settled);
	while (slot < refs->slot_count && refs->slots[slot])
		slot++;
	if (slot == refs->slot_count) {
		r = slots_grow(pool, slot + 1);
		if (r < 0)
			return r;
	}
	rc = rc_new(pool, cluster, slot);
	if (!rc)
		return -ENOMEM;
	r = map_u64_put(&refs->clusters, cluster, rc);
	if (r < 0) {
		mem_free(rc);
		return r;
	}
	refs->slot_first_free = slot + 1;
	rc->free = pool->pages_per_cluster;
	rc->fresh = true;
	refs->any_fresh = true;
	rc_link(pool, rc);
	refs_dirty(refs, rc);
	return 0;
}

bool refs_take_cluster(struct pool *pool, uint64_t keep_free_pages, uint64_t *ret_cluster)
{
	struct refs *refs = &pool->refs;
	struct refs_cluster *rc;

	if (refs->free_pages < keep_free_pages + pool->pages_per_cluster)
		return false;
	list_for_each(rc, &refs->free_clusters, free_link)
		if (rc->free == pool->pages_per_cluster && !rc->fresh)
			break;
	if (!rc)
		return false;
	must(!refs->settled && rc->used == 0);
	refs_dirty(refs, rc);
	list_del(&rc->free_link);
	refs->free_pages -= rc->free;
	refs->slots[rc->slot] = NULL;
	refs->slot_first_free = min_u32(refs->slot_first_free, rc->slot);
	map_u64_del(&refs->clusters, rc->cluster);
	*ret_cluster = rc->cluster;
	mem_free(rc);
	return true;
}

static unsigned rc_first_free(const struct pool *pool, const struct refs_cluster *rc)
{
	for (unsigned word = 0; word < ARRAY_LEN(rc->busy); word++)
		if (~rc->busy[word])
			return word * 64 + (unsigned)__builtin_ctzll(~rc->busy[word]);
	must(!"a cluster with a free page");
	return pool->pages_per_cluster;
}

int refs_alloc(struct pool *pool, uint64_t *ret_page)
{
	struct refs *refs = &pool->refs;
	struct refs_cluster *rc = list_first(&refs->free_clusters, struct refs_cluster, free_link);
	unsigned place;

	if (!rc)
		return -ENOSPC;
	place = rc_first_free(pool, rc);
	must(place < pool->pages_per_cluster && rc->counts[place] == 0); /* RF2 */
	rc->counts[place] = 1;
	busy_set(rc, place);
	rc->used++;
	refs->used_pages++;
	refs->free_pages--;
	if (--rc->free == 0)
		list_del(&rc->free_link);
	refs_dirty(refs, rc);
	*ret_page = page_name(rc->cluster, place);
	return 0;
}

int refs_inc(struct pool *pool, uint64_t page)
{
	struct refs_cluster *rc = refs_find(pool, page);

	must(!pool->refs.settled);
	if (!rc || rc->counts[page_place(page)] == 0 || rc->counts[page_place(page)] == UINT32_MAX)
		return -EILSEQ;
	rc->counts[page_place(page)]++;
	refs_dirty(&pool->refs, rc);
	return 0;
}

int refs_dec(struct pool *pool, uint64_t page, uint32_t *ret_left)
{
	struct refs *refs = &pool->refs;
	struct refs_cluster *rc = refs_find(pool, page);
	unsigned place = page_place(page);

	must(!refs->settled);
	if (!rc || rc->counts[place] == 0)
		return -EILSEQ;
	pool->txn.unshares |= rc->counts[place] > 1;
	if (rc->counts[place] == 1) {
		int r = names_add(&refs->freed, pool->mem, page);

		if (r < 0)
			return r;
		rc->used--;
		refs->used_pages--;
	}
	*ret_left = --rc->counts[place];
	refs_dirty(refs, rc);
	return 0;
}

uint64_t refs_spare(const struct pool *pool)
{
	/* Worst case: every page is dirty in the end, as are all indexes and the root. */
	return (uint64_t)pool->refs.page_count + pool->refs.index_count + 1;
}

void refs_release(struct pool *pool)
{
	struct refs *refs = &pool->refs;
	struct names *over = &refs->quarantine[1];

	for (uint32_t i = 0; i < over->count; i++) {
		struct refs_cluster *rc = refs_find(pool, over->at[i]);
		unsigned place = page_place(over->at[i]);

		must(rc && busy_test(rc, place) && rc->counts[place] == 0);
		busy_clear(rc, place);
		refs->free_pages++;
		if (rc->free++ == 0)
			list_add_tail(&refs->free_clusters, &rc->free_link);
	}
	over->count = 0;
	names_take(over, &refs->quarantine[0]);
	names_take(&refs->quarantine[0], &refs->freed);
	for (uint32_t i = 0; refs->any_fresh && i < refs->slot_count; i++)
		if (refs->slots[i])
			refs->slots[i]->fresh = false;
	refs->any_fresh = false;
	refs->settled = false;
}

/* ---- to disk: refs_settle --------------------------------------------------------- */

/* A new place in this transaction for a page of refs; the old one is freed. Once per transaction and page. */
static int place_move(struct pool *pool, struct refs_place *place, uint64_t txg, bool *ret_moved)
{
	uint64_t name;
	uint32_t left;
	int r;

	*ret_moved = false;
	if (!place->dirty || place->ptr.txg == txg)
		return 0;
	r = refs_alloc(pool, &name);
	if (r < 0)
		return r;
	if (place->ptr.name) {
		r = refs_dec(pool, place->ptr.name, &left);
		if (r < 0)
			return r;
	}
	place->ptr = (struct page_ptr){ .name = name, .txg = txg };
	*ret_moved = true;
	return 0;
}

static int places_move(struct pool *pool, struct refs_place *places, uint32_t count, uint64_t txg,
		       bool *ret_moved)
{
	for (uint32_t i = 0; i < count; i++) {
		bool moved;
		int r = place_move(pool, &places[i], txg, &moved);

		if (r < 0)
			return r;
		*ret_moved |= moved;
	}
	return 0;
}

static void page_fill_refs(const struct pool *pool, uint8_t *bytes, uint32_t number)
{
	const struct refs *refs = &pool->refs;
	uint32_t size = refs_entry_size(pool->pages_per_cluster);
	uint32_t first = number * refs->per_page;
	uint32_t count = min_u32(refs->per_page, refs->slot_count - first);

	for (uint32_t i = 0; i < count; i++) {
		const struct refs_cluster *rc = refs->slots[first + i];
		uint8_t *at = bytes + PAGE_HEAD + (size_t)i * size;

		if (!rc)
			continue;
		le64_put(at, rc->cluster);
		for (uint32_t p = 0; p < pool->pages_per_cluster; p++)
			le32_put(at + 8 + 4 * p, rc->counts[p]);
	}
	page_count_set(bytes, count);
}

/* A page of this transaction in the cache, with its head. */
static struct page *place_page(struct pool *pool, const struct refs_place *place,
			       enum page_type type, uint8_t level, uint64_t number)
{
	const struct page_head head = { .type = type,
					.level = level,
					.pool = pool->super.pool,
					.name = place->ptr.name,
					.txg = place->ptr.txg,
					.key = number };
	struct page *page = txn_page_new(pool, place->ptr.name);

	if (page)
		page_head_put(page->bytes, &head);
	return page;
}

static int places_write(struct pool *pool, uint64_t txg)
{
	struct refs *refs = &pool->refs;

	for (uint32_t i = 0; i < refs->page_count; i++) {
		struct page *page;

		if (refs->pages[i].ptr.txg != txg)
			continue;
		page = place_page(pool, &refs->pages[i], PAGE_REFS, 0, i);
		if (!page)
			return -ENOMEM;
		page_fill_refs(pool, page->bytes, i);
		refs->pages[i].ptr.crc = page_seal(page->bytes);
		refs->pages[i].dirty = false;
	}
	return 0;
}

/* An index page over `count` places from `first` on. */
static int index_write(struct pool *pool, struct refs_place *place, uint8_t level, uint32_t number,
		       const struct refs_place *places, uint32_t count)
{
	struct page *page = place_page(pool, place, PAGE_REFS_INDEX, level, number);

	if (!page)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		page_ptr_put(page->bytes + PAGE_HEAD + i * PAGE_PTR_SIZE, &places[i].ptr);
	page_count_set(page->bytes, count);
	place->ptr.crc = page_seal(page->bytes);
	place->dirty = false;
	return 0;
}

static int indexes_write(struct pool *pool, uint64_t txg)
{
	struct refs *refs = &pool->refs;
	int r;

	for (uint32_t i = 0; i < refs->index_count; i++) {
		uint32_t first = i * REFS_INDEX_MAX;

		if (refs->index[i].ptr.txg != txg)
			continue;
		r = index_write(pool, &refs->index[i], 0, i, refs->pages + first,
				min_u32(REFS_INDEX_MAX, refs->page_count - first));
		if (r < 0)
			return r;
	}
	if (refs->root.ptr.txg != txg)
		return 0; /* nothing has changed */
	return index_write(pool, &refs->root, 1, 0, refs->index, refs->index_count);
}

int refs_settle(struct pool *pool, struct page_ptr *ret_root)
{
	struct refs *refs = &pool->refs;
	uint64_t txg = pool->txn.txg;
	bool moved = true;
	int r;

	while (moved) { /* RF3: every turn moves at least one page for good */
		moved = false;
		r = places_move(pool, refs->pages, refs->page_count, txg, &moved);
		if (r == 0)
			r = places_move(pool, refs->index, refs->index_count, txg, &moved);
		if (r == 0)
			r = places_move(pool, &refs->root, 1, txg, &moved);
		if (r < 0)
			return r;
	}
	refs->settled = true; /* the bytes are taken now */
	r = places_write(pool, txg);
	if (r < 0)
		return r;
	r = indexes_write(pool, txg);
	if (r < 0)
		return r;
	*ret_root = refs->root.ptr;
	return 0;
}

/* ---- from disk: refs_load ----------------------------------------------------------- */

static int rc_load(struct fiber *f, struct pool *pool, const uint8_t *at, uint32_t slot)
{
	uint64_t cluster = le64_get(at);
	struct refs_cluster *rc;
	int r;

	if (cluster == 0)
		return 0;
	if (!disk_has_cluster(pool, cluster))
		return fiber_fail(f, -EILSEQ, "pool '%s': metadata cluster %#" PRIx64 " is outside",
				  pool->super.name, cluster);
	rc = rc_new(pool, cluster, slot);
	if (!rc)
		return -ENOMEM;
	for (unsigned p = 0; p < pool->pages_per_cluster; p++) {
		rc->counts[p] = le32_get(at + 8 + 4 * p);
		if (!rc->counts[p])
			continue;
		busy_set(rc, p);
		rc->used++;
	}
	rc->free = pool->pages_per_cluster - rc->used;
	r = map_u64_put(&pool->refs.clusters, cluster, rc);
	if (r < 0) {
		mem_free(rc);
		return r == -EEXIST ?
			       fiber_fail(f, -EILSEQ,
					  "pool '%s': metadata cluster %#" PRIx64 " listed twice",
					  pool->super.name, cluster) :
			       r;
	}
	rc_link(pool, rc);
	return 0;
}

static int refs_load_page(struct fiber *f, struct pool *pool, uint32_t number)
{
	const struct page_want want = { .type = PAGE_REFS, .level = 0 };
	struct refs *refs = &pool->refs;
	uint32_t size = refs_entry_size(pool->pages_per_cluster);
	struct page *page;
	uint32_t count;
	int r = cache_get(f, pool, &refs->pages[number].ptr, &want, &page);

	if (r < 0)
		return r;
	count = page_count(page->bytes);
	if (count > refs->per_page)
		r = fiber_fail(f, -EILSEQ, "pool '%s': page of counts %u: %u entries",
			       pool->super.name, number, count);
	if (r == 0)
		r = slots_grow(pool, number * refs->per_page + count);
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = rc_load(f, pool, page->bytes + PAGE_HEAD + (size_t)i * size,
			    number * refs->per_page + i);
	cache_put(&pool->cache, page);
	return r;
}

static int refs_load_index(struct fiber *f, struct pool *pool, const struct page_ptr *ptr,
			   int level, struct refs_place *places, uint32_t count)
{
	const struct page_want want = { .type = PAGE_REFS_INDEX, .level = level };
	struct page *page;
	int r = cache_get(f, pool, ptr, &want, &page);

	if (r < 0)
		return r;
	if (page_count(page->bytes) != count) {
		r = fiber_fail(f, -EILSEQ, "pool '%s': index of counts has %u entries, not %u",
			       pool->super.name, page_count(page->bytes), count);
	} else {
		for (uint32_t i = 0; i < count; i++)
			places[i] = (struct refs_place){
				.ptr = page_ptr_get(page->bytes + PAGE_HEAD + i * PAGE_PTR_SIZE)
			};
	}
	cache_put(&pool->cache, page);
	return r;
}

int refs_load(struct fiber *f, struct pool *pool, const struct page_ptr *root, uint64_t pages)
{
	struct refs *refs = &pool->refs;
	int r;

	if (pages == 0 || pages > REFS_INDEX_MAX * REFS_INDEX_MAX)
		return fiber_fail(f, -EILSEQ, "pool '%s': %" PRIu64 " pages of counts",
				  pool->super.name, pages);
	r = slots_grow(pool, (uint32_t)(pages * refs->per_page));
	if (r < 0)
		return r;
	refs->root = (struct refs_place){ .ptr = *root };
	r = refs_load_index(f, pool, root, 1, refs->index, refs->index_count);
	for (uint32_t i = 0; r == 0 && i < refs->index_count; i++) {
		uint32_t first = i * REFS_INDEX_MAX;

		r = refs_load_index(f, pool, &refs->index[i].ptr, 0, refs->pages + first,
				    min_u32(REFS_INDEX_MAX, refs->page_count - first));
	}
	for (uint32_t i = 0; r == 0 && i < refs->page_count; i++)
		r = refs_load_page(f, pool, i);
	return r;
}
