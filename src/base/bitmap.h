// SPDX-License-Identifier: Apache-2.0
/*
 * bitmap - a fixed number of bits in words of the caller.
 *
 * B1. Bits past the last one are zero, always; so counts and searches need no
 *     special last word.
 * B2. A bit or range outside the bitmap is a programmer error.
 */
#ifndef BASE_BITMAP_H
#define BASE_BITMAP_H

#include "base/must.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

struct bitmap {
	uint64_t *words; /* borrowed */
	uint64_t bits;
};

/* Takes BITMAP_WORDS(bits) words and clears them. */
void bitmap_init(struct bitmap *map, uint64_t *words, uint64_t bits);

/* Takes them as they are (from disk, say), but for the bits past the last one (B1). */
void bitmap_adopt(struct bitmap *map, uint64_t *words, uint64_t bits);

static inline bool bitmap_test(const struct bitmap *map, uint64_t bit)
{
	must(bit < map->bits); /* B2 */
	return map->words[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(struct bitmap *map, uint64_t bit)
{
	must(bit < map->bits); /* B2 */
	map->words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline void bitmap_clear(struct bitmap *map, uint64_t bit)
{
	must(bit < map->bits); /* B2 */
	map->words[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

void bitmap_set_range(struct bitmap *map, uint64_t first, uint64_t count);
void bitmap_clear_range(struct bitmap *map, uint64_t first, uint64_t count);
void bitmap_set_all(struct bitmap *map);
void bitmap_clear_all(struct bitmap *map);

/* The first set (clear) bit >= from; map->bits if there is none. from <= map->bits. */
uint64_t bitmap_find_set(const struct bitmap *map, uint64_t from);
uint64_t bitmap_find_clear(const struct bitmap *map, uint64_t from);

uint64_t bitmap_count(const struct bitmap *map);
uint64_t bitmap_count_range(const struct bitmap *map, uint64_t first, uint64_t count);
bool bitmap_any(const struct bitmap *map);

/* The next run of set bits at or after *first; false: none. */
bool bitmap_next_run(const struct bitmap *map, uint64_t *first, uint64_t *count);

/* to |= from; same number of bits. */
void bitmap_or(struct bitmap *to, const struct bitmap *from);

/* uint64_t first, count; bits of the current run may change within the body. */
#define bitmap_for_each_run(map, first, count) \
	for ((first) = 0, (count) = 0; bitmap_next_run(map, &(first), &(count)); (first) += (count))

#endif
