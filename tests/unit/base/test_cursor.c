// SPDX-License-Identifier: Apache-2.0
/*
 * Bounds-checked parsing and building (C1..C4).
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/cursor.h"

static void numbers_are_read_in_either_byte_order(void **state)
{
	uint8_t bytes[29];
	struct cursor c;
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;
	uint8_t v8;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(0xf0 + i);
	cursor_init(&c, bytes, sizeof(bytes));
	assert_int_equal(cursor_get_u8(&c, &v8), 0);
	assert_int_equal(v8, 0xf0);
	assert_int_equal(cursor_get_le16(&c, &v16), 0);
	assert_int_equal(v16, 0xf2f1);
	assert_int_equal(cursor_get_be16(&c, &v16), 0);
	assert_int_equal(v16, 0xf3f4);
	assert_int_equal(cursor_get_le32(&c, &v32), 0);
	assert_int_equal(v32, 0xf8f7f6f5);
	assert_int_equal(cursor_get_be32(&c, &v32), 0);
	assert_int_equal(v32, 0xf9fafbfc);
	assert_int_equal(cursor_get_le64(&c, &v64), 0);
	assert_true(v64 == UINT64_C(0x0403020100fffefd));
	assert_int_equal(cursor_get_be64(&c, &v64), 0);
	assert_true(v64 == UINT64_C(0x05060708090a0b0c));
	assert_int_equal(cursor_done(&c), 0);
}

static void built_numbers_are_read_back(void **state)
{
	uint8_t bytes[29], v8;
	struct builder b;
	struct cursor c;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(builder_put_u8(&b, 0x12), 0);
	assert_int_equal(builder_put_le16(&b, 0x1234), 0);
	assert_int_equal(builder_put_be16(&b, 0x1234), 0);
	assert_int_equal(builder_put_le32(&b, 0x12345678), 0);
	assert_int_equal(builder_put_be32(&b, 0x12345678), 0);
	assert_int_equal(builder_put_le64(&b, UINT64_C(0x123456789abcdef0)), 0);
	assert_int_equal(builder_put_be64(&b, UINT64_C(0x123456789abcdef0)), 0);
	assert_int_equal(builder_room(&b), 0);
	cursor_init(&c, bytes, b.pos);
	assert_int_equal(cursor_get_u8(&c, &v8), 0);
	assert_int_equal(v8, 0x12);
	assert_int_equal(cursor_get_le16(&c, &v16), 0);
	assert_int_equal(v16, 0x1234);
	assert_int_equal(cursor_get_be16(&c, &v16), 0);
	assert_int_equal(v16, 0x1234);
	assert_int_equal(cursor_get_le32(&c, &v32), 0);
	assert_int_equal(v32, 0x12345678);
	assert_int_equal(cursor_get_be32(&c, &v32), 0);
	assert_int_equal(v32, 0x12345678);
	assert_int_equal(cursor_get_le64(&c, &v64), 0);
	assert_true(v64 == UINT64_C(0x123456789abcdef0));
	assert_int_equal(cursor_get_be64(&c, &v64), 0);
	assert_true(v64 == UINT64_C(0x123456789abcdef0));
}

/* Every step, with nothing left. */
static int step(struct cursor *c, int i)
{
	const uint8_t *bytes;
	const char *text;
	struct cursor sub;
	char copy[2];
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;
	uint8_t v8;

	switch (i) {
	case 0:
		return cursor_get_u8(c, &v8);
	case 1:
		return cursor_get_le16(c, &v16);
	case 2:
		return cursor_get_le32(c, &v32);
	case 3:
		return cursor_get_le64(c, &v64);
	case 4:
		return cursor_get_be16(c, &v16);
	case 5:
		return cursor_get_be32(c, &v32);
	case 6:
		return cursor_get_be64(c, &v64);
	case 7:
		return cursor_skip(c, 1);
	case 8:
		return cursor_seek(c, c->size + 1);
	case 9:
		return cursor_get_bytes(c, &bytes, SIZE_MAX);
	case 10:
		return cursor_copy_bytes(c, copy, 1);
	case 11:
		return cursor_get_sub(c, &sub, 1);
	case 12:
		return cursor_get_text(c, copy, 1);
	default:
		return cursor_get_cstr(c, &text);
	}
}

static void reading_past_the_end_fails_and_sticks(void **state)
{
	for (int i = 0; i <= 13; i++) {
		struct cursor c;

		cursor_init(&c, "x", 1);
		assert_int_equal(cursor_skip(&c, 1), 0);
		assert_int_equal(step(&c, i), -EBADMSG); /* C3 */
		assert_int_equal(c.pos, 1);		 /* C2 */
		for (int k = 0; k <= 13; k++)
			assert_int_equal(step(&c, k), -EBADMSG);
		assert_int_equal(cursor_skip(&c, 0), -EBADMSG);
		assert_int_equal(cursor_seek(&c, 0), -EBADMSG);
		assert_int_equal(cursor_done(&c), -EBADMSG);
	}
}

static int put(struct builder *b, int i)
{
	uint8_t *to;

	switch (i) {
	case 0:
		return builder_put_u8(b, 0);
	case 1:
		return builder_put_be16(b, 0);
	case 2:
		return builder_put_bytes(b, "x", 1);
	case 3:
		return builder_put_zeroes(b, 1);
	case 4:
		return builder_reserve(b, &to, SIZE_MAX);
	case 5:
		return builder_put_text(b, "", 1, ' ');
	default:
		return builder_put_cstr(b, "");
	}
}

static void building_past_the_end_fails_and_sticks(void **state)
{
	for (int i = 0; i <= 6; i++) {
		struct builder b;
		uint8_t byte;

		builder_init(&b, &byte, 1);
		assert_int_equal(builder_put_u8(&b, 7), 0);
		assert_int_equal(put(&b, i), -ENOBUFS); /* C3 */
		for (int k = 0; k <= 6; k++)
			assert_int_equal(put(&b, k), -ENOBUFS); /* C2 */
		assert_int_equal(b.pos, 1);
		assert_int_equal(byte, 7);
	}
}

static void what_is_left_over_is_an_error(void **state)
{
	struct cursor c;

	cursor_init(&c, "ab", 2);
	assert_int_equal(cursor_done(&c), -EBADMSG);
	assert_int_equal(cursor_seek(&c, 2), 0);
	assert_int_equal(cursor_done(&c), 0);
	assert_int_equal(cursor_seek(&c, 1), 0);
	assert_int_equal(cursor_remaining(&c), 1);
}

static void bytes_are_given_in_place_or_copied(void **state)
{
	static const char data[] = "abcdef";
	const uint8_t *bytes;
	struct cursor c, sub;
	char copy[2];

	cursor_init(&c, data, 6);
	assert_int_equal(cursor_get_bytes(&c, &bytes, 2), 0);
	assert_ptr_equal(bytes, data); /* C4 */
	assert_int_equal(cursor_copy_bytes(&c, copy, 2), 0);
	assert_memory_equal(copy, "cd", 2);
	assert_int_equal(cursor_get_sub(&c, &sub, 2), 0);
	assert_int_equal(cursor_remaining(&sub), 2);
	assert_int_equal(cursor_skip(&sub, 3), -EBADMSG);
	assert_int_equal(cursor_done(&c), 0);
	assert_int_equal(cursor_copy_bytes(&c, NULL, 0), 0);
}

static void text_fields_lose_their_padding(void **state)
{
	struct cursor c;
	char text[5];

	cursor_init(&c, "ab  ab\0cabcd    ", 16);
	assert_int_equal(cursor_get_text(&c, text, 4), 0);
	assert_string_equal(text, "ab");
	assert_int_equal(cursor_get_text(&c, text, 4), 0);
	assert_string_equal(text, "ab");
	assert_int_equal(cursor_get_text(&c, text, 4), 0);
	assert_string_equal(text, "abcd");
	assert_int_equal(cursor_get_text(&c, text, 4), 0);
	assert_string_equal(text, "");
}

static void text_fields_are_padded(void **state)
{
	struct builder b;
	char data[10];

	builder_init(&b, data, sizeof(data));
	assert_int_equal(builder_put_text(&b, "ab", 4, ' '), 0);
	assert_int_equal(builder_put_text(&b, "cdef", 4, ' '), 0);
	assert_int_equal(builder_put_text(&b, "", 2, 0), 0);
	assert_memory_equal(data, "ab  cdef\0\0", 10);
}

static void text_that_is_too_long_for_its_field_is_refused(void **state)
{
	struct builder b;
	char data[10];

	builder_init(&b, data, sizeof(data));
	assert_int_equal(builder_put_text(&b, "abc", 2, ' '), -EMSGSIZE);
	assert_int_equal(builder_put_text(&b, "a", 2, ' '), -EMSGSIZE); /* C2 */
	assert_int_equal(b.pos, 0);
}

static void a_text_ends_at_its_nul(void **state)
{
	char data[] = "abc\0\0de";
	struct builder b;
	struct cursor c;
	const char *text;

	cursor_init(&c, data, 7);
	assert_int_equal(cursor_get_cstr(&c, &text), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(cursor_get_cstr(&c, &text), 0);
	assert_string_equal(text, "");
	assert_int_equal(cursor_get_cstr(&c, &text), -EBADMSG); /* no NUL */
	builder_init(&b, data, sizeof(data));
	assert_int_equal(builder_put_cstr(&b, "xy"), 0);
	assert_memory_equal(data, "xy", 3);
}

static void room_is_reserved_and_filled_later(void **state)
{
	uint8_t data[4] = { 9, 9, 9, 9 }, *later;
	struct builder b;

	builder_init(&b, data, sizeof(data));
	assert_int_equal(builder_reserve(&b, &later, 1), 0);
	assert_int_equal(builder_put_zeroes(&b, 2), 0);
	assert_int_equal(builder_put_bytes(&b, NULL, 0), 0);
	assert_int_equal(builder_put_zeroes(&b, 0), 0);
	*later = (uint8_t)b.pos;
	assert_memory_equal(data, "\3\0\0\11", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_in_either_byte_order),
		cmocka_unit_test(built_numbers_are_read_back),
		cmocka_unit_test(reading_past_the_end_fails_and_sticks),
		cmocka_unit_test(building_past_the_end_fails_and_sticks),
		cmocka_unit_test(what_is_left_over_is_an_error),
		cmocka_unit_test(bytes_are_given_in_place_or_copied),
		cmocka_unit_test(text_fields_lose_their_padding),
		cmocka_unit_test(text_fields_are_padded),
		cmocka_unit_test(text_that_is_too_long_for_its_field_is_refused),
		cmocka_unit_test(a_text_ends_at_its_nul),
		cmocka_unit_test(room_is_reserved_and_filled_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
