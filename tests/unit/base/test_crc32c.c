// SPDX-License-Identifier: Apache-2.0
/*
 * CRC32C against a reference that is too simple to be wrong.
 */
#include <string.h>

#include "unit/unit.h"

#include "base/crc32c.h"
#include "base/prng.h"

static uint32_t reference(uint32_t crc, const uint8_t *p, size_t size)
{
	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

static void the_check_value_is_right(void **state)
{
	assert_int_equal(crc32c(0, "123456789", 9), UINT32_C(0xe3069283));
	assert_int_equal(reference(0, (const uint8_t *)"123456789", 9), UINT32_C(0xe3069283));
}

static void nothing_changes_nothing(void **state)
{
	assert_int_equal(crc32c(0, NULL, 0), 0);
	assert_int_equal(crc32c(0x12345678, "", 0), 0x12345678);
}

static void any_size_and_alignment_agrees_with_the_reference(void **state)
{
	uint8_t bytes[600];
	struct prng prng;

	prng_init(&prng, 3, 0);
	prng_fill(&prng, bytes, sizeof(bytes));
	for (size_t from = 0; from < 9; from++)
		for (size_t size = 0; size < 590; size++)
			assert_int_equal(crc32c(0, bytes + from, size),
					 reference(0, bytes + from, size));
}

static void a_sum_is_continued(void **state)
{
	uint8_t bytes[300];
	struct prng prng;

	prng_init(&prng, 4, 0);
	prng_fill(&prng, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++)
		assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut),
				 crc32c(0, bytes, sizeof(bytes)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_check_value_is_right),
		cmocka_unit_test(nothing_changes_nothing),
		cmocka_unit_test(any_size_and_alignment_agrees_with_the_reference),
		cmocka_unit_test(a_sum_is_continued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
