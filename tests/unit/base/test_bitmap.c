// SPDX-License-Identifier: Apache-2.0
/*
 * Bitmaps against arrays of bool (B1, B2).
 */
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/bitmap.h"
#include "base/prng.h"

#define BITS 200

static uint64_t words[BITMAP_WORDS(BITS)];

static void a_new_bitmap_is_clear(void **state)
{
	struct bitmap map;

	memset(words, 0xff, sizeof(words));
	bitmap_init(&map, words, BITS);
	assert_false(bitmap_any(&map));
	assert_int_equal(bitmap_count(&map), 0);
	assert_int_equal(bitmap_find_set(&map, 0), BITS);
	assert_int_equal(bitmap_find_clear(&map, 0), 0);
}

static void an_empty_bitmap_finds_nothing(void **state)
{
	uint64_t first = 0, count;
	struct bitmap map;

	bitmap_init(&map, NULL, 0);
	assert_int_equal(bitmap_find_set(&map, 0), 0);
	assert_int_equal(bitmap_find_clear(&map, 0), 0);
	assert_false(bitmap_next_run(&map, &first, &count));
	bitmap_set_all(&map);
	assert_int_equal(bitmap_count(&map), 0);
}

static void adopted_words_lose_the_bits_past_the_end(void **state)
{
	uint64_t two[2] = { UINT64_MAX, UINT64_MAX };
	struct bitmap map;

	bitmap_adopt(&map, two, 70);
	assert_int_equal(bitmap_count(&map), 70);
	assert_int_equal(two[1], 63); /* B1 */
	bitmap_adopt(&map, two, 64);
	assert_int_equal(bitmap_count(&map), 64);
}

static void set_all_keeps_the_end_clear(void **state)
{
	struct bitmap map;

	bitmap_init(&map, words, BITS);
	bitmap_set_all(&map);
	assert_int_equal(bitmap_count(&map), BITS);
	assert_int_equal(words[BITS / 64], (UINT64_C(1) << BITS % 64) - 1); /* B1 */
	assert_int_equal(bitmap_find_clear(&map, 0), BITS);
	bitmap_clear_all(&map);
	assert_false(bitmap_any(&map));
}

static void runs_are_found_across_words(void **state)
{
	uint64_t first, count, seen[6], n = 0;
	struct bitmap map;

	bitmap_init(&map, words, BITS);
	bitmap_set(&map, 0);
	bitmap_set_range(&map, 60, 70);
	bitmap_set_range(&map, 190, 10);
	bitmap_for_each_run(&map, first, count)
	{
		seen[n++] = first;
		seen[n++] = count;
	}
	assert_int_equal(n, 6);
	assert_memory_equal(seen, ((uint64_t[]){ 0, 1, 60, 70, 190, 10 }), sizeof(seen));
}

static void bitmaps_are_united(void **state)
{
	uint64_t other_words[BITMAP_WORDS(BITS)];
	struct bitmap map, other, small;

	bitmap_init(&map, words, BITS);
	bitmap_init(&other, other_words, BITS);
	bitmap_init(&small, other_words, 64);
	bitmap_set(&map, 1);
	bitmap_set(&other, 199);
	bitmap_or(&map, &other);
	assert_int_equal(bitmap_count(&map), 2);
	assert_true(bitmap_test(&map, 199));
	assert_dies(bitmap_or(&map, &small));
}

static void bits_outside_are_caught(void **state)
{
	struct bitmap map;

	bitmap_init(&map, words, BITS);
	assert_dies(bitmap_set(&map, BITS)); /* B2 */
	assert_dies(bitmap_clear(&map, BITS));
	assert_dies((void)bitmap_test(&map, BITS));
	assert_dies(bitmap_set_range(&map, BITS - 1, 2));
	assert_dies(bitmap_clear_range(&map, BITS + 1, 0));
	assert_dies(bitmap_set_range(&map, 1, UINT64_MAX));
	assert_dies((void)bitmap_find_set(&map, BITS + 1));
	bitmap_set_range(&map, BITS, 0);
}

static void a_random_history_agrees_with_a_model(void **state)
{
	bool model[BITS] = { false };
	struct bitmap map;
	struct prng prng;

	prng_init(&prng, 2, 0);
	bitmap_init(&map, words, BITS);
	for (int i = 0; i < 20000; i++) {
		uint64_t first = prng_below(&prng, BITS);
		uint64_t count = prng_below(&prng, BITS - first + 1);
		uint64_t set = 0, next;
		bool value = prng_chance_permille(&prng, 500);

		if (count % 3 == 0) {
			count = 1;
			value ? bitmap_set(&map, first) : bitmap_clear(&map, first);
		} else {
			value ? bitmap_set_range(&map, first, count) :
				bitmap_clear_range(&map, first, count);
		}
		memset(model + first, value, count);
		first = prng_below(&prng, BITS);
		next = first;
		for (uint64_t k = first; k < BITS; k++)
			set += model[k];
		assert_int_equal(bitmap_count_range(&map, first, BITS - first), set);
		while (next < BITS && !model[next])
			next++;
		assert_int_equal(bitmap_find_set(&map, first), next);
		assert_int_equal(bitmap_test(&map, first), model[first]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_bitmap_is_clear),
		cmocka_unit_test(an_empty_bitmap_finds_nothing),
		cmocka_unit_test(adopted_words_lose_the_bits_past_the_end),
		cmocka_unit_test(set_all_keeps_the_end_clear),
		cmocka_unit_test(runs_are_found_across_words),
		cmocka_unit_test(bitmaps_are_united),
		cmocka_unit_test(bits_outside_are_caught),
		cmocka_unit_test(a_random_history_agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
