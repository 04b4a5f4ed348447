// SPDX-License-Identifier: Apache-2.0
/*
 * control_regions - sparse sets of regions. See control_regions_priv.h.
 */
#include "pool/control_regions_priv.h"

#include <errno.h>

_Static_assert(REGION_CHUNK_WORDS * 8 <= ATTR_VALUE_SIZE, "a chunk fits an attribute");

void region_set_init(struct region_set *set, struct mem *mem)
{
	*set = (struct region_set){ .mem = mem };
	map_u64_init(&set->chunks, mem, MAP_ENTRIES_MAX);
	list_init(&set->dirty);
}

void region_set_fini(struct region_set *set)
{
	struct map_iter iter = { 0 };

	while (map_u64_next(&set->chunks, &iter))
		mem_free(iter.value);
	map_u64_fini(&set->chunks);
}

static struct region_chunk *chunk_of(const struct region_set *set, uint64_t number)
{
	return map_u64_get(&set->chunks, number);
}

static struct region_chunk *chunk_get(struct region_set *set, uint64_t number)
{
	struct region_chunk *chunk = chunk_of(set, number);

	if (chunk)
		return chunk;
	chunk = mem_alloc(set->mem, sizeof(*chunk));
	if (!chunk)
		return NULL;
	chunk->number = number;
	list_link_init(&chunk->link);
	bitmap_init(&chunk->bits, chunk->words, REGION_CHUNK_BITS);
	if (map_u64_put(&set->chunks, number, chunk) == 0)
		return chunk;
	mem_free(chunk);
	return NULL;
}

static void chunk_dirty(struct region_set *set, struct region_chunk *chunk)
{
	if (!list_is_linked(&chunk->link))
		list_add_tail(&set->dirty, &chunk->link); /* CR1 */
}

/* The part of first .. first + count that lies in the chunk of first. */
static uint64_t chunk_part(uint64_t first, uint64_t count)
{
	return min_u64(count, REGION_CHUNK_BITS - first % REGION_CHUNK_BITS);
}

int region_set_add(struct region_set *set, uint64_t first, uint64_t count)
{
	while (count) {
		struct region_chunk *chunk = chunk_get(set, first / REGION_CHUNK_BITS);
		uint64_t at = first % REGION_CHUNK_BITS, part = chunk_part(first, count), had;

		if (!chunk)
			return -ENOMEM; /* CR2 */
		had = bitmap_count_range(&chunk->bits, at, part);
		if (had < part) {
			bitmap_set_range(&chunk->bits, at, part);
			chunk_dirty(set, chunk);
		}
		set->count += part - had;
		first += part;
		count -= part;
	}
	return 0;
}

void region_set_remove(struct region_set *set, uint64_t first, uint64_t count)
{
	while (count) {
		struct region_chunk *chunk = chunk_of(set, first / REGION_CHUNK_BITS);
		uint64_t at = first % REGION_CHUNK_BITS, part = chunk_part(first, count);
		uint64_t had = chunk ? bitmap_count_range(&chunk->bits, at, part) : 0;

		if (had) {
			bitmap_clear_range(&chunk->bits, at, part);
			chunk_dirty(set, chunk);
		}
		set->count -= had;
		first += part;
		count -= part;
	}
}

void region_set_clear(struct region_set *set)
{
	struct map_iter iter = { 0 };

	while (map_u64_next(&set->chunks, &iter)) {
		struct region_chunk *chunk = iter.value;

		bitmap_clear_all(&chunk->bits);
		chunk_dirty(set, chunk);
	}
	set->count = 0;
}

bool region_set_has(const struct region_set *set, uint64_t region)
{
	const struct region_chunk *chunk = chunk_of(set, region / REGION_CHUNK_BITS);

	return chunk && bitmap_test(&chunk->bits, region % REGION_CHUNK_BITS);
}

void region_set_words(const struct region_set *set, uint64_t *ret_words, uint64_t count)
{
	struct map_iter iter = { 0 };

	memset(ret_words, 0, count * sizeof(*ret_words));
	while (map_u64_next(&set->chunks, &iter)) {
		const struct region_chunk *chunk = iter.value;
		uint64_t first = chunk->number * REGION_CHUNK_WORDS;

		for (unsigned i = 0; i < REGION_CHUNK_WORDS && first + i < count; i++)
			ret_words[first + i] = chunk->words[i];
	}
}

/* ---- the attribute tree ---------------------------------------------------------------------- */

int region_set_load(struct region_set *set, uint64_t number, uint64_t regions,
		    const uint8_t value[ATTR_VALUE_SIZE])
{
	struct region_chunk *chunk;
	uint64_t left;

	if (number > regions / REGION_CHUNK_BITS)
		return -EILSEQ;
	left = min_u64(regions - number * REGION_CHUNK_BITS, REGION_CHUNK_BITS);
	chunk = chunk_get(set, number);
	if (!chunk)
		return -ENOMEM;
	for (unsigned i = 0; i < REGION_CHUNK_WORDS; i++)
		chunk->words[i] = le64_get(value + (size_t)i * 8);
	set->count += bitmap_count(&chunk->bits);
	return bitmap_find_set(&chunk->bits, left) == REGION_CHUNK_BITS ? 0 : -EILSEQ;
}

static int chunk_put(struct fiber *f, struct replica *rep, enum attr_kind kind, uint64_t index,
		     const struct region_chunk *chunk)
{
	uint8_t value[ATTR_VALUE_SIZE] = { 0 };

	for (unsigned i = 0; i < REGION_CHUNK_WORDS; i++)
		le64_put(value + (size_t)i * 8, chunk->words[i]);
	return attr_put(f, rep, kind, index, value);
}

int region_set_settle(struct fiber *f, struct replica *rep, enum attr_kind kind, uint64_t base,
		      struct region_set *set)
{
	struct region_chunk *chunk;
	struct list todo;
	int r = 0;

	list_init(&todo);
	list_splice_tail(&todo, &set->dirty); /* what gets dirty meanwhile is for the next time */
	while (r == 0 && (chunk = list_pop_front(&todo, struct region_chunk, link))) {
		if (bitmap_any(&chunk->bits)) {
			r = chunk_put(f, rep, kind, base + chunk->number, chunk);
			continue;
		}
		r = attr_del(f, rep, kind, base + chunk->number);
		if (list_is_linked(&chunk->link))
			continue; /* set again while it was taken out */
		map_u64_del(&set->chunks, chunk->number);
		mem_free(chunk);
	}
	list_splice_tail(&set->dirty, &todo);
	return r;
}
