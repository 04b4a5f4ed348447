// SPDX-License-Identifier: Apache-2.0
/*
 * Golden values of base/: what disks, peers and recorded seeds depend on. A change
 * here breaks pools, names or seeds that exist; it is never a mere update.
 */
#include "unit/unit.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/lang.h"
#include "base/prng.h"
#include "base/uuid.h"

/* RFC 3720, B.4. */
static void crc32c_is_that_of_iscsi(void **state)
{
	uint8_t zeroes[32] = { 0 }, ones[32], rising[32], falling[32];

	for (uint8_t i = 0; i < 32; i++) {
		ones[i] = 0xff;
		rising[i] = i;
		falling[i] = (uint8_t)(31 - i);
	}
	assert_int_equal(crc32c(0, zeroes, 32), UINT32_C(0x8a9136aa));
	assert_int_equal(crc32c(0, ones, 32), UINT32_C(0x62a8ab43));
	assert_int_equal(crc32c(0, rising, 32), UINT32_C(0x46dd794e));
	assert_int_equal(crc32c(0, falling, 32), UINT32_C(0x113fdb5c));
}

/* A seed of the simulator is a recorded failure: it must mean the same for ever. */
static void a_seed_draws_the_same_numbers_for_ever(void **state)
{
	static const uint64_t expected[] = {
		UINT64_C(0x24bfb39aeb008c15),
		UINT64_C(0xd858489e7fc02496),
		UINT64_C(0x3deebe24036964f3),
		UINT64_C(0x532b7127a28f00a1),
	};
	struct prng prng;

	prng_init(&prng, 42, 7);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_true(prng_u64(&prng) == expected[i]);
	assert_int_equal(prng_below(&prng, 1000000), 584948);
}

static void a_name_gives_the_same_uuid_for_ever(void **state)
{
	static const struct uuid space = { { 1, 2, 3 } };
	struct uuid uuid = uuid_from_name(&space, "pool-1", 6);
	char text[UUID_TEXT_SIZE];

	assert_string_equal(uuid_print(&uuid, text), "59afd819-4762-8438-a00d-93f70d88a20a");
}

static void numbers_are_built_in_their_byte_order(void **state)
{
	static const uint8_t expected[] = { 1,	  0x34, 0x12, 0x12, 0x34, 0x78, 0x56, 0x34, 0x12,
					    0x12, 0x34, 0x56, 0x78, 8,	  7,	6,    5,    4,
					    3,	  2,	1,    1,    2,	  3,	4,    5,    6,
					    7,	  8,	'a',  'b',  ' ',  ' ',	'c',  0 };
	uint8_t bytes[sizeof(expected)];
	struct builder b;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(builder_put_u8(&b, 1), 0);
	assert_int_equal(builder_put_le16(&b, 0x1234), 0);
	assert_int_equal(builder_put_be16(&b, 0x1234), 0);
	assert_int_equal(builder_put_le32(&b, 0x12345678), 0);
	assert_int_equal(builder_put_be32(&b, 0x12345678), 0);
	assert_int_equal(builder_put_le64(&b, UINT64_C(0x0102030405060708)), 0);
	assert_int_equal(builder_put_be64(&b, UINT64_C(0x0102030405060708)), 0);
	assert_int_equal(builder_put_text(&b, "ab", 4, ' '), 0);
	assert_int_equal(builder_put_cstr(&b, "c"), 0);
	assert_int_equal(b.pos, sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_is_that_of_iscsi),
		cmocka_unit_test(a_seed_draws_the_same_numbers_for_ever),
		cmocka_unit_test(a_name_gives_the_same_uuid_for_ever),
		cmocka_unit_test(numbers_are_built_in_their_byte_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
