// SPDX-License-Identifier: Apache-2.0
/*
 * delta - two hash tables of changed mappings. See delta_priv.h.
 *
 * Entries stand in an array in the order they came; beside it an open-addressed index with
 * twice as many slots, so that a put and a miss are a probe or two. An entry is changed in
 * place, never removed; the whole table is emptied when it has been published.
 */
#include "pool/delta_priv.h"

#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "pool/replica_priv.h"

#define SEEK_PROBES 64u /* logical clusters looked up one by one before all entries are looked at */

static struct delta_table *current_of(struct pool *pool)
{
	return &pool->delta.table[pool->delta.now];
}

static struct delta_table *applying_of(struct pool *pool)
{
	return &pool->delta.table[!pool->delta.now];
}

/* ---- a table ----------------------------------------------------------------------------- */

static uint32_t table_hash(const struct delta_table *table, uint64_t object, uint64_t lcluster)
{
	uint64_t x = (lcluster ^ object * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;

	return (uint32_t)(x >> 32) & (2 * table->room - 1);
}

/* The slot that holds its number + 1, or the free one where it would go. */
static uint32_t *table_slot(const struct delta_table *table, uint64_t object, uint64_t lcluster)
{
	uint32_t at = table_hash(table, object, lcluster), mask = 2 * table->room - 1;

	while (table->index[at]) {
		const struct delta_entry *entry = &table->entries[table->index[at] - 1];

		if (entry->lcluster == lcluster && entry->object == object)
			break;
		at = (at + 1) & mask;
	}
	return &table->index[at];
}

static void table_free(struct delta_table *table)
{
	mem_free(table->entries);
	mem_free(table->index);
	mem_free(table->order);
	names_free(&table->dropped);
	*table = (struct delta_table){ 0 };
}

static int table_room(struct delta_table *table, struct mem *mem, uint32_t room)
{
	struct delta_table bigger = *table;

	bigger.room = room;
	bigger.entries = mem_alloc_array(mem, room, sizeof(*bigger.entries));
	bigger.index = mem_alloc_array(mem, 2 * (size_t)room, sizeof(*bigger.index));
	bigger.order = mem_alloc_array(mem, 2 * (size_t)room, sizeof(*bigger.order));
	if (!bigger.entries || !bigger.index || !bigger.order) {
		mem_free(bigger.entries);
		mem_free(bigger.index);
		mem_free(bigger.order);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < table->count; i++) {
		const struct delta_entry *entry = &table->entries[i];

		bigger.entries[i] = *entry;
		*table_slot(&bigger, entry->object, entry->lcluster) = i + 1;
	}
	mem_free(table->entries);
	mem_free(table->index);
	mem_free(table->order);
	*table = bigger;
	return 0;
}

static const struct delta_entry *table_find(const struct delta_table *table, uint64_t object,
					    uint64_t lcluster)
{
	uint32_t number = *table_slot(table, object, lcluster);

	return number ? &table->entries[number - 1] : NULL;
}

static void table_empty(struct delta_table *table)
{
	memset(table->index, 0, 2 * (size_t)table->room * sizeof(*table->index));
	table->count = 0;
	table->unlogged_first = table->unlogged_last = table->unlogged = 0;
	table->frees = 0;
	table->dropped.count = 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

int delta_init(struct pool *pool)
{
	struct delta *delta = &pool->delta;

	*delta = (struct delta){ 0 };
	for (unsigned i = 0; i < 2; i++) {
		int r = table_room(&delta->table[i], pool->mem, DELTA_ROOM_MIN);

		if (r < 0) {
			delta_fini(pool);
			return r;
		}
	}
	return 0;
}

void delta_fini(struct pool *pool)
{
	table_free(&pool->delta.table[0]);
	table_free(&pool->delta.table[1]);
}

/* ---- looking up ------------------------------------------------------------------------------ */

const struct delta_entry *delta_find(const struct pool *pool, uint64_t object, uint64_t lcluster)
{
	const struct delta *delta = &pool->delta;
	const struct delta_table *current = &delta->table[delta->now];
	const struct delta_table *applying = &delta->table[!delta->now];
	const struct delta_entry *entry = NULL;

	if (current->count)
		entry = table_find(current, object, lcluster);
	if (!entry && applying->count)
		entry = table_find(applying, object, lcluster);
	return entry;
}

static uint64_t table_seek(const struct delta_table *table, uint64_t object, uint64_t from,
			   uint64_t end)
{
	for (uint32_t i = 0; i < table->count; i++) {
		const struct delta_entry *entry = &table->entries[i];

		if (entry->object == object && entry->lcluster >= from && entry->lcluster < end)
			end = entry->lcluster;
	}
	return end;
}

uint64_t delta_seek(const struct pool *pool, uint64_t object, uint64_t from, uint64_t end)
{
	if (delta_none(&pool->delta))
		return end;
	for (unsigned i = 0; i < SEEK_PROBES; i++, from++)
		if (from >= end || delta_find(pool, object, from))
			return from;
	end = table_seek(&pool->delta.table[0], object, from, end);
	return table_seek(&pool->delta.table[1], object, from, end);
}

bool delta_is_empty(const struct pool *pool)
{
	const struct delta_table *current = &pool->delta.table[pool->delta.now];

	return current->count == 0 && current->dropped.count == 0;
}

bool delta_frees(const struct pool *pool)
{
	const struct delta_table *table = pool->delta.table;

	return table[0].frees || table[1].frees || table[0].dropped.count || table[1].dropped.count;
}

uint32_t delta_unlogged(const struct pool *pool)
{
	return pool->delta.table[pool->delta.now].unlogged;
}

/* ---- putting ------------------------------------------------------------------------------------ */

bool delta_promise(struct pool *pool)
{
	struct delta_table *current = current_of(pool);
	struct delta *delta = &pool->delta;

	if (current->count > DELTA_ROOM_MAX / 2)
		commit_request(pool);
	if (current->count + delta->promised >= current->room &&
	    (current->room >= DELTA_ROOM_MAX ||
	     table_room(current, pool->mem, 2 * current->room) < 0)) {
		commit_request(pool);
		return false;
	}
	if (delta->promised + 1 > applying_of(pool)->room)
		return false;
	delta->promised++;
	return true; /* DE2 */
}

void delta_unpromise(struct pool *pool)
{
	must(pool->delta.promised > 0);
	pool->delta.promised--;
}

int delta_reserve(struct pool *pool, uint32_t more)
{
	struct delta_table *current = current_of(pool);
	uint32_t room = current->room;

	while (room < current->count + more)
		room *= 2;
	if (room > DELTA_REPLAY_MAX)
		return -ENOSPC;
	return room > current->room ? table_room(current, pool->mem, room) : 0;
}

static void entry_unlogged(struct delta_table *table, struct delta_entry *entry)
{
	uint32_t number = (uint32_t)(entry - table->entries) + 1;

	if (entry->flags & DELTA_UNLOGGED)
		return;
	entry->flags |= DELTA_UNLOGGED;
	entry->next = 0;
	if (table->unlogged_last)
		table->entries[table->unlogged_last - 1].next = number;
	else
		table->unlogged_first = number;
	table->unlogged_last = number;
	table->unlogged++;
}

/* It names another cluster now: what becomes of the one it named (DE4)? */
static void entry_leave(struct pool *pool, struct delta_table *table, struct delta_entry *entry)
{
	int r = 0;

	if (entry->flags & DELTA_FRESH)
		r = names_add(&table->dropped, pool->mem, entry->cluster);
	if (entry->flags & DELTA_THICK)
		pool->super.thick_clusters++;
	(void)r; /* without memory it stays claimed until the next import: lost until then, not harmed */
}

static struct delta_entry *entry_get(struct delta_table *table, const struct delta_put *put,
				     bool *ret_new)
{
	uint32_t *slot = table_slot(table, put->object, put->lcluster);
	struct delta_entry *entry;

	*ret_new = *slot == 0;
	if (!*ret_new)
		return &table->entries[*slot - 1];
	must(table->count < table->room); /* DE2 */
	entry = &table->entries[table->count++];
	*slot = table->count;
	*entry = (struct delta_entry){ .object = put->object, .lcluster = put->lcluster };
	return entry;
}

void delta_put(struct pool *pool, const struct delta_put *put)
{
	struct delta_table *table = current_of(pool);
	uint32_t keep = DELTA_UNLOGGED;
	bool is_new;
	struct delta_entry *entry = entry_get(table, put, &is_new);

	if (table->count == 1)
		commit_later(pool);
	if (entry->cluster == put->cluster)
		keep |= DELTA_FRESH | DELTA_THICK; /* more of it is valid now */
	else if (!is_new)
		entry_leave(pool, table, entry);
	table->frees += put->frees;
	entry->cluster = put->cluster;
	entry->valid = put->valid;
	entry->flags = (entry->flags & keep) | (put->flags & ~(uint32_t)DELTA_UNLOGGED);
	if (put->flags & DELTA_UNLOGGED)
		entry_unlogged(table, entry);
	if (put->rep) {
		put->rep->rio.delta[pool->delta.now].entries += is_new;
		put->rep->rio.delta[pool->delta.now].mapped += (put->cluster != 0) - put->was_mapped;
	}
}

uint32_t delta_take_unlogged(struct pool *pool, struct delta_entry *ret, uint32_t max)
{
	struct delta_table *table = current_of(pool);
	uint32_t count = 0;

	while (count < max && table->unlogged_first) {
		struct delta_entry *entry = &table->entries[table->unlogged_first - 1];

		must(entry->flags & DELTA_UNLOGGED);
		ret[count++] = *entry;
		table->unlogged_first = entry->next;
		if (!entry->next)
			table->unlogged_last = 0;
		entry->flags &= ~(uint32_t)DELTA_UNLOGGED;
		table->unlogged--;
	}
	return count;
}

/* ---- the commit ------------------------------------------------------------------------------------- */

void delta_cut(struct pool *pool)
{
	struct delta *delta = &pool->delta;

	must(!delta->applying && applying_of(pool)->count == 0);
	delta->applying = true;
	delta->now = !delta->now;
	delta->cuts++;
	must(delta->promised <= current_of(pool)->room); /* DE2 */
}

static uint64_t sort_key(const struct delta_entry *entry, bool by_object)
{
	return by_object ? entry->object : entry->lcluster;
}

#define SORT_BITS 7u
#define SORT_MASK ((1u << SORT_BITS) - 1)

/* One pass of a radix sort, stable: from -> to by the digit at `shift`. */
static void sort_pass(const struct delta_table *table, const uint32_t *from, uint32_t *to,
		      bool by_object, unsigned shift)
{
	uint32_t start[SORT_MASK + 2] = { 0 };

	for (uint32_t i = 0; i < table->count; i++)
		start[(sort_key(&table->entries[from[i]], by_object) >> shift & SORT_MASK) + 1]++;
	for (unsigned i = 1; i <= SORT_MASK; i++)
		start[i] += start[i - 1];
	for (uint32_t i = 0; i < table->count; i++)
		to[start[sort_key(&table->entries[from[i]], by_object) >> shift & SORT_MASK]++] = from[i];
}

/* Bits in which the keys differ. */
static uint64_t sort_bits(const struct delta_table *table, bool by_object)
{
	uint64_t any = 0, all = UINT64_MAX;

	for (uint32_t i = 0; i < table->count; i++) {
		any |= sort_key(&table->entries[i], by_object);
		all &= sort_key(&table->entries[i], by_object);
	}
	return any & ~all;
}

/* Linear: least significant bytes first, those that are the same in all left out. */
static const uint32_t *table_sort(struct delta_table *table)
{
	uint32_t *from = table->order, *to = table->order + table->room;

	for (uint32_t i = 0; i < table->count; i++)
		from[i] = i;
	for (unsigned by_object = 0; by_object < 2; by_object++) {
		uint64_t bits = sort_bits(table, by_object);

		for (unsigned shift = 0; shift < 64; shift += SORT_BITS) {
			uint32_t *was = from;

			if (!(bits >> shift & SORT_MASK))
				continue;
			sort_pass(table, from, to, by_object, shift);
			from = to;
			to = was;
		}
	}
	return from;
}

int delta_apply(struct fiber *f, struct pool *pool, delta_fn fn, void *ctx)
{
	struct delta_table *table = applying_of(pool);
	const uint32_t *order;

	must(pool->delta.applying);
	order = table_sort(table);
	for (uint32_t i = 0; i < table->count; i++) {
		const struct delta_entry *entry = &table->entries[order[i]];
		const struct map_value value = { entry->cluster, entry->valid };
		int r = fn(f, ctx, entry->object, entry->lcluster, &value);

		if (r < 0)
			return r;
	}
	for (uint32_t i = 0; i < table->dropped.count; i++) {
		int r = space_drop(pool, table->dropped.at[i]); /* DE4 */

		if (r < 0)
			return r;
	}
	return 0;
}

void delta_publish(struct pool *pool)
{
	unsigned applied = !pool->delta.now;
	struct map_iter iter = { 0 };

	must(pool->delta.applying);
	pool->delta.applying = false;
	table_empty(&pool->delta.table[applied]);
	while (map_u64_next(&pool->open, &iter)) {
		struct replica *rep = iter.value;

		rep->rio.delta[applied].entries = 0;
		rep->rio.delta[applied].mapped = 0;
	}
}
