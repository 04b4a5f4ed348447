// SPDX-License-Identifier: Apache-2.0
/*
 * Random numbers: repeatable, independent, unbiased.
 */
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/prng.h"

#define DRAWS 100000

static void a_seed_and_stream_say_it_all(void **state)
{
	struct prng a, b;

	prng_init(&a, 42, 7);
	prng_init(&b, 42, 7);
	for (int i = 0; i < 100; i++)
		assert_true(prng_u64(&a) == prng_u64(&b));
}

/* Half of the bits of two unrelated streams agree. */
static void check_unrelated(uint64_t seed_a, uint64_t stream_a, uint64_t seed_b, uint64_t stream_b)
{
	struct prng a, b;
	int same = 0;

	prng_init(&a, seed_a, stream_a);
	prng_init(&b, seed_b, stream_b);
	for (int i = 0; i < 1000; i++)
		same += __builtin_popcountll(prng_u64(&a) ^ prng_u64(&b));
	assert_in_range(same, 31000, 33000);
}

static void streams_and_seeds_are_independent(void **state)
{
	check_unrelated(0, 0, 0, 1);
	check_unrelated(0, 0, 1, 0);
	check_unrelated(1, 2, 2, 1);
	check_unrelated(5, 5, 6, 6);
	check_unrelated(UINT64_MAX, 0, 0, UINT64_MAX);
}

static void below_favours_nobody(void **state)
{
	uint32_t hits[10] = { 0 };
	struct prng prng;

	prng_init(&prng, 1, 0);
	for (int i = 0; i < DRAWS; i++)
		hits[prng_below(&prng, 10)]++;
	for (int i = 0; i < 10; i++)
		assert_in_range(hits[i], DRAWS / 10 - 500, DRAWS / 10 + 500);
	assert_int_equal(prng_below(&prng, 1), 0);
	assert_dies((void)prng_below(&prng, 0));
}

/* Of 3 * 2^62 values a quarter of the draws must be repeated, or the low third gains. */
static void below_is_fair_for_huge_numbers(void **state)
{
	const uint64_t n = UINT64_C(3) << 62;
	struct prng prng;
	int low = 0;

	prng_init(&prng, 1, 0);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t value = prng_below(&prng, n);

		assert_true(value < n);
		low += value % 3 == 0;
	}
	assert_in_range(low, DRAWS / 3 - 700, DRAWS / 3 + 700);
}

static void ranges_include_both_ends(void **state)
{
	bool first = false, last = false;
	struct prng prng;

	prng_init(&prng, 1, 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t value = prng_range(&prng, 5, 8);

		assert_in_range(value, 5, 8);
		first |= value == 5;
		last |= value == 8;
	}
	assert_true(first && last);
	assert_int_equal(prng_range(&prng, 9, 9), 9);
	(void)prng_range(&prng, 0, UINT64_MAX);
	assert_dies((void)prng_range(&prng, 2, 1));
}

static void chances_come_as_often_as_said(void **state)
{
	struct prng prng;
	int hits = 0;

	prng_init(&prng, 1, 0);
	for (int i = 0; i < DRAWS; i++) {
		hits += prng_chance_permille(&prng, 250);
		assert_false(prng_chance_ppm(&prng, 0));
		assert_true(prng_chance_ppm(&prng, PRNG_PPM));
		assert_true(prng_chance_permille(&prng, 5000000));
	}
	assert_in_range(hits, DRAWS / 4 - 700, DRAWS / 4 + 700);
}

static void doubles_lie_below_one(void **state)
{
	struct prng prng;
	double sum = 0;

	prng_init(&prng, 1, 0);
	for (int i = 0; i < DRAWS; i++) {
		double x = prng_double(&prng);

		assert_true(x >= 0 && x < 1);
		sum += x;
	}
	assert_in_range((int)(sum / DRAWS * 1000), 490, 510);
}

static void shuffling_keeps_all_items(void **state)
{
	uint32_t items[100], seen = 0, moved = 0;
	struct prng prng;

	for (uint32_t i = 0; i < 100; i++)
		items[i] = i;
	prng_init(&prng, 1, 0);
	prng_shuffle(&prng, items, 100, sizeof(items[0]));
	for (uint32_t i = 0; i < 100; i++) {
		seen += items[i];
		moved += items[i] != i;
	}
	assert_int_equal(seen, 4950);
	assert_true(moved > 80);
	prng_shuffle(&prng, items, 0, sizeof(items[0]));
}

static void filling_ends_where_it_should(void **state)
{
	uint8_t a[16], b[16];
	struct prng prng;

	for (size_t size = 0; size < 16; size++) {
		memset(a, 0, sizeof(a));
		prng_init(&prng, 1, size);
		prng_fill(&prng, a, size);
		prng_init(&prng, 1, size);
		prng_fill(&prng, b, sizeof(b));
		assert_memory_equal(a, b, size);
		for (size_t i = size; i < sizeof(a); i++)
			assert_int_equal(a[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_and_stream_say_it_all),
		cmocka_unit_test(streams_and_seeds_are_independent),
		cmocka_unit_test(below_favours_nobody),
		cmocka_unit_test(below_is_fair_for_huge_numbers),
		cmocka_unit_test(ranges_include_both_ends),
		cmocka_unit_test(chances_come_as_often_as_said),
		cmocka_unit_test(doubles_lie_below_one),
		cmocka_unit_test(shuffling_keeps_all_items),
		cmocka_unit_test(filling_ends_where_it_should),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
