// SPDX-License-Identifier: Apache-2.0
/* Text forms of addresses. */
#include "world.h"

#include <sys/socket.h>

static void addresses_are_printed_as_they_are_parsed(void **state)
{
	static const char *const good[] = { "127.0.0.1:8420",	     "0.0.0.0:0",
					    "255.255.255.255:65535", "[::1]:8420",
					    "[fe80::1:2]:1",	     "unix:/run/x.sock",
					    "unix:@abstract" };
	struct io_addr addr, other;
	char text[IO_ADDR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(io_addr_parse(good[i], &addr, NULL), 0);
		assert_string_equal(io_addr_print(&addr, text), good[i]);
		for (size_t j = 0; j < ARRAY_LEN(good); j++) {
			assert_int_equal(io_addr_parse(good[j], &other, NULL), 0);
			assert_int_equal(io_addr_equal(&addr, &other), i == j);
		}
	}
	addr = other = (struct io_addr){ 0 };
	assert_string_equal(io_addr_print(&addr, text), "none");
	assert_true(io_addr_equal(&addr, &other));
	(void)state;
}

static void wrong_ones_are_refused_with_the_part_that_is_wrong(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "", "no port" },
		{ "127.0.0.1", "no port" },
		{ "[::1]", "no port" },
		{ "[::1", "no port" },
		{ "127.0.0.1:", "the port" },
		{ "127.0.0.1:65536", "the port" },
		{ "127.0.0.1:1x", "the port" },
		{ "127.0.0.1:-1", "the port" },
		{ "127.0.0.1:99999999999999999999", "the port" },
		{ "localhost:80", "'localhost' is not a numeric IPv4" },
		{ "256.0.0.1:80", "'256.0.0.1' is not" },
		{ "[1.2.3.4]:80", "'1.2.3.4' is not a numeric IPv6" },
		{ "[00000000000000000000000000000000000000000000000000000000000000000::1]:1",
		  "is not a numeric IPv6" },
		{ ":80", "'' is not" },
		{ "unix:", "no path" },
		{ "unix:/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		  "0123456",
		  "longer than 107" },
	};
	struct io_addr addr = { .port = 77 };
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err_clear(&err);
		assert_int_equal(io_addr_parse(bad[i].text, &addr, &err), -EINVAL);
		if (!strstr(err_words(&err), bad[i].words))
			fail_msg("'%s': %s", bad[i].text, err_words(&err));
		assert_int_equal(addr.port, 77);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_printed_as_they_are_parsed),
		cmocka_unit_test(wrong_ones_are_refused_with_the_part_that_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
