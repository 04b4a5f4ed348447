// SPDX-License-Identifier: Apache-2.0
/*
 * bitmap - ranges, searches and counts, a word at a time.
 *
 * B1 and B2 stand in bitmap.h.
 */
#include <string.h>

#include "base/bitmap.h"

/* The bits first .. end - 1 that lie in the word of first. */
static uint64_t bitmap_mask(uint64_t first, uint64_t end)
{
	uint64_t from = first % 64;
	uint64_t count = min_u64(64 - from, end - first);

	return (count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1) << from;
}

static uint64_t bitmap_next_word(uint64_t bit)
{
	return (bit / 64 + 1) * 64;
}

static uint64_t bitmap_end(const struct bitmap *map, uint64_t first, uint64_t count)
{
	must(first <= map->bits && count <= map->bits - first); /* B2 */
	return first + count;
}

void bitmap_init(struct bitmap *map, uint64_t *words, uint64_t bits)
{
	*map = (struct bitmap){ .words = words, .bits = bits };
	bitmap_clear_all(map);
}

void bitmap_adopt(struct bitmap *map, uint64_t *words, uint64_t bits)
{
	*map = (struct bitmap){ .words = words, .bits = bits };
	if (bits % 64)
		words[bits / 64] &= bitmap_mask(0, bits % 64); /* B1 */
}

void bitmap_set_range(struct bitmap *map, uint64_t first, uint64_t count)
{
	uint64_t end = bitmap_end(map, first, count);

	for (uint64_t bit = first; bit < end; bit = bitmap_next_word(bit))
		map->words[bit / 64] |= bitmap_mask(bit, end);
}

void bitmap_clear_range(struct bitmap *map, uint64_t first, uint64_t count)
{
	uint64_t end = bitmap_end(map, first, count);

	for (uint64_t bit = first; bit < end; bit = bitmap_next_word(bit))
		map->words[bit / 64] &= ~bitmap_mask(bit, end);
}

void bitmap_set_all(struct bitmap *map)
{
	bitmap_set_range(map, 0, map->bits);
}

void bitmap_clear_all(struct bitmap *map)
{
	if (map->bits)
		memset(map->words, 0, BITMAP_WORDS(map->bits) * sizeof(*map->words));
}

/* The first bit >= from that differs from the bits of flip (all ones or none). */
static uint64_t bitmap_find(const struct bitmap *map, uint64_t from, uint64_t flip)
{
	must(from <= map->bits); /* B2 */
	for (uint64_t bit = from; bit < map->bits; bit = bitmap_next_word(bit)) {
		uint64_t word = (map->words[bit / 64] ^ flip) & bitmap_mask(bit, map->bits);

		if (word)
			return bit / 64 * 64 + (uint64_t)__builtin_ctzll(word);
	}
	return map->bits;
}

uint64_t bitmap_find_set(const struct bitmap *map, uint64_t from)
{
	return bitmap_find(map, from, 0);
}

uint64_t bitmap_find_clear(const struct bitmap *map, uint64_t from)
{
	return bitmap_find(map, from, UINT64_MAX);
}

uint64_t bitmap_count_range(const struct bitmap *map, uint64_t first, uint64_t count)
{
	uint64_t end = bitmap_end(map, first, count);
	uint64_t sum = 0;

	for (uint64_t bit = first; bit < end; bit = bitmap_next_word(bit))
		sum += (uint64_t)__builtin_popcountll(map->words[bit / 64] & bitmap_mask(bit, end));
	return sum;
}

uint64_t bitmap_count(const struct bitmap *map)
{
	return bitmap_count_range(map, 0, map->bits);
}

bool bitmap_any(const struct bitmap *map)
{
	return bitmap_find_set(map, 0) < map->bits;
}

bool bitmap_next_run(const struct bitmap *map, uint64_t *first, uint64_t *count)
{
	*first = bitmap_find_set(map, *first);
	*count = bitmap_find_clear(map, *first) - *first;
	return *count > 0;
}

void bitmap_or(struct bitmap *to, const struct bitmap *from)
{
	must(to->bits == from->bits);
	for (uint64_t i = 0; i < BITMAP_WORDS(to->bits); i++)
		to->words[i] |= from->words[i];
}
