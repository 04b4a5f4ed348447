// SPDX-License-Identifier: Apache-2.0
/*
 * Structures as tables (F1, F2).
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "wire/field.h"

struct thing {
	uint8_t u8;
	uint16_t u16;
	uint32_t u24;
	uint64_t u128;
	uint16_t few[3];
	uint8_t bytes[4];
	char text[9];
	char name[6];
};

static const struct wire_field thing_fields[] = {
	F_LE(0, 1, struct thing, u8),	    F_LE(2, 2, struct thing, u16),
	F_LE(4, 3, struct thing, u24),	    F_LE(8, 16, struct thing, u128),
	F_LES(24, 2, struct thing, few, 3), F_BYTES(30, 4, struct thing, bytes),
	F_TEXT(34, 8, struct thing, text),  F_NAME(42, 8, struct thing, name),
};

#define THING_BYTES 50

static const uint8_t thing_bytes[THING_BYTES] =
	"\x01\0\x34\x12\x56\x34\x12\0\xef\xcd\xab\x89\x67\x45\x23\x01\0\0\0\0\0\0\0\0"
	"\x01\0\x02\0\x03\0"
	"abcd"
	"text    "
	"name\0\0\0";

static void fields_are_written_where_the_table_says(void **state)
{
	struct thing thing = {
		.u8 = 1,
		.u16 = 0x1234,
		.u24 = 0xff123456, /* the top byte has no place */
		.u128 = UINT64_C(0x0123456789abcdef),
		.few = { 1, 2, 3 },
		.bytes = "abcd",
		.text = "text",
		.name = "name",
	};
	uint8_t bytes[THING_BYTES] = { 0 };

	wire_encode(thing_fields, ARRAY_LEN(thing_fields), &thing, bytes);
	assert_memory_equal(bytes, thing_bytes, THING_BYTES);
}

static void fields_are_read_where_the_table_says(void **state)
{
	uint8_t bytes[THING_BYTES];
	struct thing thing;

	memcpy(bytes, thing_bytes, THING_BYTES);
	bytes[1] = bytes[7] = 0xff; /* F1 */
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing), 0);
	assert_int_equal(thing.u8, 1);
	assert_int_equal(thing.u16, 0x1234);
	assert_int_equal(thing.u24, 0x123456);
	assert_true(thing.u128 == UINT64_C(0x0123456789abcdef));
	assert_int_equal(thing.few[2], 3);
	assert_memory_equal(thing.bytes, "abcd", 4);
	assert_string_equal(thing.text, "text");
	assert_string_equal(thing.name, "name");
}

/* F2 */
static void a_number_too_big_is_the_greatest(void **state)
{
	uint8_t bytes[THING_BYTES] = { 0 };
	struct thing thing;

	bytes[23] = 1;
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing), 0);
	assert_true(thing.u128 == UINT64_MAX);
}

static void text_fills_its_field_or_ends_early(void **state)
{
	uint8_t bytes[THING_BYTES] = { 0 };
	struct thing thing = { .text = "12345678", .name = "12345" };

	wire_encode(thing_fields, ARRAY_LEN(thing_fields), &thing, bytes);
	memset(&thing, 0xee, sizeof(thing));
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing), 0);
	assert_string_equal(thing.text, "12345678");
	assert_string_equal(thing.name, "12345");
	memcpy(bytes + 34, "a b  \0zz", 8);
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing), 0);
	assert_string_equal(thing.text, "a b");
	memset(bytes + 34, ' ', 8);
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing), 0);
	assert_string_equal(thing.text, "");
}

static void a_name_without_end_or_too_long_is_refused(void **state)
{
	uint8_t bytes[THING_BYTES] = { 0 };
	struct thing thing;

	memset(bytes + 42, 'n', 8);
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing),
			 -EBADMSG);
	bytes[48] = 0; /* 6 letters, room for 5 */
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing),
			 -EBADMSG);
	bytes[47] = 0;
	assert_int_equal(wire_decode(thing_fields, ARRAY_LEN(thing_fields), bytes, &thing), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_written_where_the_table_says),
		cmocka_unit_test(fields_are_read_where_the_table_says),
		cmocka_unit_test(a_number_too_big_is_the_greatest),
		cmocka_unit_test(text_fills_its_field_or_ends_early),
		cmocka_unit_test(a_name_without_end_or_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
