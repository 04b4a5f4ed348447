// SPDX-License-Identifier: Apache-2.0
/*
 * UUIDs: strict parsing, printing, comparing, making.
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/lang.h"
#include "base/uuid.h"

#define TEXT "c0ffee00-1234-4678-9abc-def012345678"

static void text_is_parsed_and_printed(void **state)
{
	char text[UUID_TEXT_SIZE];
	struct uuid uuid;

	assert_int_equal(uuid_parse(TEXT, &uuid), 0);
	assert_int_equal(uuid.bytes[0], 0xc0);
	assert_int_equal(uuid.bytes[15], 0x78);
	assert_string_equal(uuid_print(&uuid, text), TEXT);
	assert_int_equal(uuid_parse("C0FFEE00-1234-4678-9ABC-DEF012345678", &uuid), 0);
	assert_string_equal(uuid_print(&uuid, text), TEXT);
}

static void other_forms_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"c0ffee00",
		"c0ffee00-1234-4678-9abc-def01234567",
		TEXT "0",
		" " TEXT,
		"{" TEXT "}",
		"c0ffee0012344678-9abc-def012345678-1",
		"c0ffee00-1234-4678-9abc+def012345678",
		"c0ffee00-1234-4678-9abc-def01234567g",
		"c0ffee00-1234-4678-9abc-def01234567:",
		"c0ffee00-1234-4678-9abc-def01234567G",
	};
	struct uuid uuid = { { 7 } };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(uuid_parse(bad[i], &uuid), -EINVAL);
	assert_int_equal(uuid.bytes[0], 7); /* untouched */
}

static void order_is_that_of_the_bytes(void **state)
{
	struct uuid a = { { 1 } }, b = { { 2 } }, nil = { { 0 } };

	assert_true(uuid_compare(&a, &b) < 0);
	assert_true(uuid_compare(&b, &a) > 0);
	assert_int_equal(uuid_compare(&a, &a), 0);
	assert_true(uuid_equal(&a, &a));
	assert_false(uuid_equal(&a, &b));
	assert_true(uuid_is_nil(&nil));
	assert_false(uuid_is_nil(&a));
}

static void random_ones_say_version_4(void **state)
{
	char text[UUID_TEXT_SIZE];
	uint8_t random[16];
	struct uuid uuid;

	memset(random, 0xff, sizeof(random));
	uuid = uuid_v4(random);
	assert_string_equal(uuid_print(&uuid, text), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

static void named_ones_depend_on_name_and_namespace(void **state)
{
	struct uuid space = { { 1 } }, other = { { 2 } };
	struct uuid a = uuid_from_name(&space, "pool", 4);
	struct uuid b = uuid_from_name(&space, "pool", 4);
	struct uuid c = uuid_from_name(&space, "poom", 4);
	struct uuid d = uuid_from_name(&other, "pool", 4);
	int same_bits = 0;

	assert_true(uuid_equal(&a, &b));
	assert_false(uuid_equal(&a, &c));
	assert_false(uuid_equal(&a, &d));
	assert_int_equal(a.bytes[6] >> 4, 8);
	assert_int_equal(a.bytes[8] >> 6, 2);
	for (size_t i = 0; i < 16; i++)
		same_bits += 8 - __builtin_popcount(a.bytes[i] ^ c.bytes[i]);
	assert_in_range(same_bits, 44, 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_parsed_and_printed),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(order_is_that_of_the_bytes),
		cmocka_unit_test(random_ones_say_version_4),
		cmocka_unit_test(named_ones_depend_on_name_and_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
