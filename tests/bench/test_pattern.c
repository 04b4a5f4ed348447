// SPDX-License-Identifier: Apache-2.0
/* test_pattern - a block that is not what was written is told from one that is, and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/pattern.h"

#define SEED 7
#define SIZE 4096

static void written_block_is_right(void **state)
{
	static const uint32_t sizes[] = { 512, 4096, 65536 };
	static uint8_t block[65536];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		pattern_fill(block, sizes[i], SEED, 10, 3);
		assert_true(pattern_is(block, sizes[i], SEED, 10, 3));
		assert_false(pattern_is_zero(block, sizes[i]));
	}
}

static void other_seed_lba_or_serial_is_wrong(void **state)
{
	static uint8_t block[SIZE];

	pattern_fill(block, SIZE, SEED, 10, 3);
	assert_false(pattern_is(block, SIZE, SEED + 1, 10, 3));
	assert_false(pattern_is(block, SIZE, SEED, 11, 3));
	assert_false(pattern_is(block, SIZE, SEED, 10, 4));
}

static void every_flipped_bit_is_seen(void **state)
{
	static uint8_t block[512];

	pattern_fill(block, sizeof(block), SEED, 10, 3);
	for (size_t bit = 0; bit < 8 * sizeof(block); bit++) {
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(pattern_is(block, sizeof(block), SEED, 10, 3));
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(pattern_is(block, sizeof(block), SEED, 10, 3));
}

static void torn_block_is_named(void **state)
{
	static uint8_t old[SIZE], block[SIZE];
	char words[PATTERN_WORDS_SIZE];

	pattern_fill(old, SIZE, SEED, 10, 3);
	pattern_fill(block, SIZE, SEED, 10, 4);
	memcpy(block + 512, old + 512, SIZE - 512);
	assert_false(pattern_is(block, SIZE, SEED, 10, 4));
	assert_string_equal(pattern_words(block, SIZE, SEED, words),
			    "lba 10 serial 4, torn or corrupt");
}

static void misplaced_stale_foreign_and_zero_blocks_are_named(void **state)
{
	static uint8_t block[SIZE];
	char words[PATTERN_WORDS_SIZE];

	assert_true(pattern_is_zero(block, SIZE));
	assert_string_equal(pattern_words(block, SIZE, SEED, words), "zeros");
	pattern_fill(block, SIZE, SEED, 11, 2);
	assert_string_equal(pattern_words(block, SIZE, SEED, words), "lba 11 serial 2, intact");
	assert_string_equal(pattern_words(block, SIZE, SEED + 1, words),
			    "lba 11 serial 2 of another run, intact");
	memset(block, 0x5a, SIZE);
	assert_string_equal(pattern_words(block, SIZE, SEED, words),
			    "foreign data (5a5a5a5a5a5a5a5a 5a5a5a5a5a5a5a5a ...)");
	assert_false(pattern_is_zero(block, SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_block_is_right),
		cmocka_unit_test(other_seed_lba_or_serial_is_wrong),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(torn_block_is_named),
		cmocka_unit_test(misplaced_stale_foreign_and_zero_blocks_are_named),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
