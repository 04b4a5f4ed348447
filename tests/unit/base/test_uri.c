// SPDX-License-Identifier: Apache-2.0
/*
 * URIs: forms, nesting, limits, typed parameters, words of errors (U1..U3).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/uri.h"
#include "base/uuid.h"
#include "unit/fault.h"

static struct mem_heap heap;
static struct err err;

static int setup(void **state)
{
	mem_heap_init(&heap);
	return 0;
}

static int teardown(void **state)
{
	mem_heap_fini(&heap);
	return 0;
}

static struct uri *parse(const char *text)
{
	struct uri *uri = NULL;

	if (uri_parse(&heap.mem, text, &uri, &err) < 0)
		fail_msg("'%s': %s", text, err_words(&err));
	return uri;
}

static void check_refused(const char *text, int code, const char *words)
{
	struct uri *uri = (struct uri *)&heap;
	struct err refused = { 0 };

	assert_int_equal(uri_parse(&heap.mem, text, &uri, &refused), code);
	assert_ptr_equal(uri, &heap); /* untouched */
	if (!strstr(refused.words, words))
		fail_msg("'%s': '%s' does not say '%s'", text, refused.words, words);
}

static void check_canonical(const char *text, const char *canonical)
{
	CLEANUP(cleanup_uri) struct uri *uri = parse(text);
	CLEANUP(cleanup_uri) struct uri *again = NULL;

	assert_string_equal(uri_print(uri), canonical);
	again = parse(canonical);
	assert_string_equal(uri_print(again), canonical); /* U2 */
}

static void all_parts_are_found(void **state)
{
	CLEANUP(cleanup_uri)
	struct uri *uri = parse("NVMF://Node-1.x:8420/a%20b//c/?p=1&q=%26&flag");

	assert_string_equal(uri_scheme(uri), "nvmf");
	assert_string_equal(uri_host(uri), "node-1.x");
	assert_int_equal(uri_port(uri), 8420);
	assert_string_equal(uri_path(uri), "/a b/c");
	assert_int_equal(uri_segment_count(uri), 2);
	assert_string_equal(uri_segment(uri, 0), "a b");
	assert_string_equal(uri_segment(uri, 1), "c");
	assert_null(uri_segment(uri, 2));
	assert_int_equal(uri_param_count(uri), 3);
	assert_string_equal(uri_param_name(uri, 1), "q");
	assert_string_equal(uri_param_value(uri, 1), "&");
	assert_string_equal(uri_param_value(uri, 2), "");
	assert_dies((void)uri_param_name(uri, 3));
	assert_dies((void)uri_param_value(uri, 3));
}

static void parts_may_be_missing(void **state)
{
	static const char *const texts[] = { "null:", "null:?", "null:///", "null://",
					     "null:/?&&" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(cleanup_uri) struct uri *uri = parse(texts[i]);

		assert_string_equal(uri_host(uri), "");
		assert_int_equal(uri_port(uri), 0);
		assert_string_equal(uri_path(uri), "/");
		assert_int_equal(uri_segment_count(uri), 0);
		assert_null(uri_segment(uri, 0));
		assert_int_equal(uri_param_count(uri), 0);
	}
	uri_free(NULL);
}

static void hosts_may_be_ipv6(void **state)
{
	CLEANUP(cleanup_uri) struct uri *uri = parse("nvmf://[FE80::1]:4420/x");
	CLEANUP(cleanup_uri) struct uri *portless = parse("nvmf://[::ffff:10.0.0.1]/x");

	assert_string_equal(uri_host(uri), "fe80::1");
	assert_int_equal(uri_port(uri), 4420);
	assert_string_equal(uri_print(uri), "nvmf://[fe80::1]:4420/x");
	assert_string_equal(uri_host(portless), "::ffff:10.0.0.1");
	assert_int_equal(uri_port(portless), 0);
}

static void printing_is_canonical(void **state)
{
	check_canonical("null:", "null:///");
	check_canonical("file:/a", "file:///a");
	check_canonical("FILE:///a/?", "file:///a");
	check_canonical("a://H:1", "a://h:1/");
	check_canonical("a://h:65535/", "a://h:65535/");
	check_canonical("a:///%61%2f%3F%25?x=%61%26%23+ \xc3\xa4",
			"a:///a%2F%3F%25?x=a%26%23+%20%C3%A4");
	check_canonical("a:?x=&y&&z=1", "a:///?x&y&z=1");
	check_canonical("a:?on=b:", "a:///?on=b:///");
	check_canonical("a:?on=b:&x=1", "a:///?on=b%3A///&x=1");
	check_canonical("a:?on=b%3A?c=1%2526&x=1", "a:///?on=b%3A///?c=1%2526&x=1");
	check_canonical("a:?x=1&on=b:?c=1%26&d=2", "a:///?x=1&on=b:///?c=1%26&d=2");
}

static void a_plain_child_takes_the_rest(void **state)
{
	CLEANUP(cleanup_uri)
	struct uri *uri = parse("delay:///?ns=1000&on=malloc:///a?size_mb=64&blk_size=512");
	const struct uri *on = uri_child(uri, "on");
	uint64_t value;

	assert_int_equal(uri_param_count(uri), 2);
	assert_int_equal(uri_u64(uri, "ns", &value), 0);
	assert_int_equal(value, 1000);
	assert_non_null(on);
	assert_string_equal(uri_scheme(on), "malloc");
	assert_string_equal(uri_path(on), "/a");
	assert_int_equal(uri_u64(on, "blk_size", &value), 0);
	assert_int_equal(value, 512);
	assert_string_equal(uri_print(uri),
			    "delay:///?ns=1000&on=malloc:///a?size_mb=64&blk_size=512");
	assert_null(uri_child(uri, "ns"));
	assert_null(uri_child(uri, "off"));
}

static void an_escaped_child_may_stand_anywhere(void **state)
{
	CLEANUP(cleanup_uri)
	struct uri *uri =
		parse("delay:?on=malloc%3A%2F%2F%2Fa%3Fsize_mb%3D64%26blk_size%3D512&ns=5");
	const struct uri *on = uri_child(uri, "on");
	uint64_t value;

	assert_int_equal(uri_u64(uri, "ns", &value), 0);
	assert_int_equal(uri_u64(on, "blk_size", &value), 0);
	assert_int_equal(value, 512);
}

static void repeated_children_are_told_apart(void **state)
{
	CLEANUP(cleanup_uri) struct uri *uri = parse("concat:?on=null:&x=1&on=a%3A/b&on=c:/d?e=1");

	assert_int_equal(uri_name_count(uri, "on"), 3);
	assert_int_equal(uri_name_count(uri, "off"), 0);
	assert_string_equal(uri_scheme(uri_child_at(uri, "on", 0)), "null");
	assert_string_equal(uri_scheme(uri_child_at(uri, "on", 1)), "a");
	assert_string_equal(uri_print(uri_child_at(uri, "on", 2)), "c:///d?e=1");
	assert_null(uri_child_at(uri, "on", 3));
	assert_dies(uri_free((struct uri *)(uintptr_t)uri_child(uri, "on"))); /* U3 */
}

static void what_only_resembles_a_uri_is_text(void **state)
{
	CLEANUP(cleanup_uri) struct uri *uri = parse("a:?x=localhost:4420&y=10.0.0.1:/&z=:/&w=b");
	const struct uri *child = uri;

	for (uint32_t i = 0; i < uri_param_count(uri); i++)
		assert_null(uri_child(uri, uri_param_name(uri, i)));
	assert_string_equal(uri_param_value(uri, 0), "localhost:4420");
	assert_int_equal(uri_get_child(uri, "w", &child, &err), -EINVAL);
	assert_string_equal(err.words,
			    "a: parameter 'w' is 'b', expected a URI such as file:///path");
	assert_int_equal(uri_get_child(uri, "on", &child, &err), -ENOENT);
	assert_string_equal(err.words, "a: parameter 'on' is missing, expected a URI");
	assert_ptr_equal(child, uri);
}

static void malformed_ones_are_refused_with_words(void **state)
{
	check_refused("", -EINVAL, "no scheme");
	check_refused("/dev/sda", -EINVAL,
		      "URI '/dev/sda': no scheme; a file is written "
		      "file:///dev/sda");
	check_refused("disk.img", -EINVAL, "URI 'disk.img': no scheme");
	check_refused("./disk:x", -EINVAL, "no scheme");
	check_refused("1a:/", -EINVAL, "no scheme");
	check_refused("a_b:/", -EINVAL, "no scheme");
	check_refused(":///a", -EINVAL, "no scheme");
	check_refused("file:disk.img", -EINVAL, "path 'disk.img' must begin with '/'");
	check_refused("a://[::1/x", -EINVAL, "'[' without ']'");
	check_refused("a://[::1]x/", -EINVAL, "'x' after ']'");
	check_refused("a://[node]/", -EINVAL, "'node' is not an IPv6 address");
	check_refused("a://[ab]/", -EINVAL, "'ab' is not an IPv6 address");
	check_refused("a://[::%31]/", -EINVAL, "is not an IPv6 address");
	check_refused("a://user@host/", -EINVAL, "credentials");
	check_refused("a://user:pass@host/", -EINVAL, "credentials");
	check_refused("a://h,i/", -EINVAL, "host 'h,i' has a character");
	check_refused("a://:80/", -EINVAL, "port '80' without a host");
	check_refused("a://h:/", -EINVAL, "port '' is not a number 1..65535");
	check_refused("a://h:0/", -EINVAL, "port '0'");
	check_refused("a://h:65536/", -EINVAL, "port '65536'");
	check_refused("a://h:99999999999999999999/", -EINVAL, "port '9999999999");
	check_refused("a://h:8x/", -EINVAL, "port '8x'");
	check_refused("a://[::1]:x/", -EINVAL, "port 'x'");
	check_refused("a:/%zz", -EINVAL, "path: '%' must be followed by two hexadecimal digits");
	check_refused("a:/%4", -EINVAL, "path: '%'");
	check_refused("a:/%", -EINVAL, "path: '%'");
	check_refused("a:/%00", -EINVAL, "path: %00 is a control character");
	check_refused("a:/?x=%1F", -EINVAL, "parameter x: %1F is a control character");
	check_refused("a:/?x=%7f", -EINVAL, "parameter x: %7F is a control character");
	check_refused("a:/\n", -EINVAL, "control character 0x0a");
	check_refused("a:/\x7f", -EINVAL, "control character 0x7f");
	check_refused("a:/#x", -EINVAL, "'#' must be written %23");
	check_refused("a:?=1", -EINVAL, "a parameter has no name");
	check_refused("a:?x y=1", -EINVAL, "bad parameter name 'x y'");
	check_refused("a:?on=b:/%zz", -EINVAL, "URI 'b:/%zz': path");
	check_refused("a:?on=b:?on=c:/#", -EINVAL, "'#' must be written");
}

static void words_are_not_required(void **state)
{
	struct uri *uri;

	assert_int_equal(uri_parse(&heap.mem, "x", &uri, NULL), -EINVAL);
}

static char *repeat(char *text, const char *head, const char *part, int count, const char *tail)
{
	char *p = stpcpy(text, head);

	for (int i = 0; i < count; i++)
		p = stpcpy(p, part);
	stpcpy(p, tail);
	return text;
}

static void the_text_has_a_longest_length(void **state)
{
	static char text[URI_TEXT_LEN_MAX + 10];

	uri_free(parse(repeat(text, "a:/", "x", URI_TEXT_LEN_MAX - 3, "")));
	check_refused(repeat(text, "a:/", "x", URI_TEXT_LEN_MAX - 2, ""), -ENAMETOOLONG,
		      "is longer than 4096");
}

static void nesting_has_a_greatest_depth(void **state)
{
	char text[200];

	uri_free(parse(repeat(text, "", "a:?on=", URI_DEPTH_MAX - 1, "b:")));
	check_refused(repeat(text, "", "a:?on=", URI_DEPTH_MAX, "b:"), -E2BIG,
		      "parameter on: URIs nested deeper than 8");
}

static void parameters_have_a_greatest_number(void **state)
{
	char text[500];

	uri_free(parse(repeat(text, "a:?", "x=1&", URI_PARAMS_MAX, "")));
	check_refused(repeat(text, "a:?", "x=1&", URI_PARAMS_MAX + 1, ""), -E2BIG,
		      "more than 80 parameters");
}

static void segments_have_a_greatest_number(void **state)
{
	char text[500];

	uri_free(parse(repeat(text, "a:", "/x", URI_SEGMENTS_MAX, "/")));
	check_refused(repeat(text, "a:", "/x", URI_SEGMENTS_MAX + 1, ""), -E2BIG,
		      "more than 64 segments");
}

static void names_have_a_longest_length(void **state)
{
	char text[500];

	uri_free(parse(repeat(text, "", "x", URI_SCHEME_LEN_MAX, ":")));
	check_refused(repeat(text, "", "x", URI_SCHEME_LEN_MAX + 1, ":"), -EINVAL, "no scheme");
	uri_free(parse(repeat(text, "a://", "x", URI_HOST_LEN_MAX, "/")));
	check_refused(repeat(text, "a://", "x", URI_HOST_LEN_MAX + 1, "/"), -E2BIG,
		      "host is longer than 253");
	uri_free(parse(repeat(text, "a:?", "x", URI_NAME_LEN_MAX, "=1")));
	check_refused(repeat(text, "a:?", "x", URI_NAME_LEN_MAX + 1, "=1"), -E2BIG,
		      "is longer than 63");
}

/* Escapes of escapes grow by two bytes a level, not threefold. */
static void deep_escapes_stay_small(void **state)
{
	const char *text = "b:///?o=c%3A///?o=d%253A///?x=%252520%2526z%26z&z";

	check_canonical(text, text);
}

static int question(const char *value, const char *what)
{
	CLEANUP(cleanup_mem) char *text = mem_printf(&heap.mem, "a:?x=%s", value);
	CLEANUP(cleanup_uri) struct uri *uri = parse(text);
	struct uuid uuid;
	uint64_t u64;
	double f64;
	bool yes;

	if (strcmp(what, "u64") == 0)
		return uri_u64(uri, "x", &u64);
	if (strcmp(what, "size") == 0)
		return uri_size(uri, "x", &u64);
	if (strcmp(what, "bool") == 0)
		return uri_bool(uri, "x", &yes);
	if (strcmp(what, "f64") == 0)
		return uri_f64(uri, "x", &f64);
	return uri_uuid(uri, "x", &uuid);
}

static void malformed_values_are_told_from_those_out_of_range(void **state)
{
	static const char *const bad_numbers[] = { "", "-1", "+1", " 1", "1 ", "1.5", "0x", "abc" };

	for (size_t i = 0; i < ARRAY_LEN(bad_numbers); i++) {
		assert_int_equal(question(bad_numbers[i], "u64"), -EINVAL);
		assert_int_equal(question(bad_numbers[i], "size"), -EINVAL);
	}
	assert_int_equal(question("18446744073709551616", "u64"), -ERANGE);
	assert_int_equal(question("99999999999999999999999", "u64"), -ERANGE);
	assert_int_equal(question("0x10000000000000000", "u64"), -ERANGE);
	assert_int_equal(question("1k", "u64"), -EINVAL);
	assert_int_equal(question("16777216t", "size"), -ERANGE);
	assert_int_equal(question("1x", "size"), -EINVAL);
	assert_int_equal(question("1kx", "size"), -EINVAL);
	assert_int_equal(question("1ib", "size"), -EINVAL);
	assert_int_equal(question("1kk", "size"), -EINVAL);
	assert_int_equal(question("maybe", "bool"), -EINVAL);
	assert_int_equal(question("2", "bool"), -EINVAL);
	assert_int_equal(question("", "f64"), -EINVAL);
	assert_int_equal(question("nan", "f64"), -EINVAL);
	assert_int_equal(question("inf", "f64"), -EINVAL);
	assert_int_equal(question("1e", "f64"), -EINVAL);
	assert_int_equal(question("1e999", "f64"), -ERANGE);
	assert_int_equal(question("1", "uuid"), -EINVAL);
}

static void typed_values_are_read(void **state)
{
	CLEANUP(cleanup_uri)
	struct uri *uri =
		parse("a:?max=18446744073709551615&hex=0xDEADbeef&f=-1.5e3&yes=On&no=0&flag&text=hi"
		      "&id=c0ffee00-0000-4000-8000-000000000001");
	const char *text;
	struct uuid uuid;
	uint64_t u64;
	double f64;
	bool yes;

	assert_int_equal(uri_u64(uri, "max", &u64), 0);
	assert_true(u64 == UINT64_MAX);
	assert_int_equal(uri_u64(uri, "hex", &u64), 0);
	assert_int_equal(u64, 0xdeadbeef);
	assert_int_equal(uri_f64(uri, "f", &f64), 0);
	assert_true(f64 == -1500);
	assert_int_equal(uri_bool(uri, "yes", &yes), 0);
	assert_true(yes);
	assert_int_equal(uri_bool(uri, "no", &yes), 0);
	assert_false(yes);
	assert_int_equal(uri_bool(uri, "flag", &yes), 0);
	assert_true(yes);
	assert_int_equal(uri_str(uri, "text", &text), 0);
	assert_string_equal(text, "hi");
	assert_int_equal(uri_uuid(uri, "id", &uuid), 0);
	assert_int_equal(uuid.bytes[15], 1);
}

static void sizes_have_suffixes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "a:?x=512", 512 },
		{ "a:?x=512b", 512 },
		{ "a:?x=4k", 4096 },
		{ "a:?x=4KiB", 4096 },
		{ "a:?x=3Mb", 3 << 20 },
		{ "a:?x=1gi", 1 << 30 },
		{ "a:?x=16777215T", UINT64_C(16777215) << 40 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(cleanup_uri) struct uri *uri = parse(cases[i].text);
		uint64_t bytes;

		assert_int_equal(uri_size(uri, "x", &bytes), 0);
		assert_true(bytes == cases[i].bytes);
	}
}

static void absent_ones_are_told_or_take_the_default(void **state)
{
	CLEANUP(cleanup_uri) struct uri *uri = parse("a:");
	const char *text = "was";
	struct uuid uuid;
	uint64_t u64 = 7;
	double f64 = 7;
	bool yes = true;

	assert_int_equal(uri_str(uri, "x", &text), -ENOENT);
	assert_int_equal(uri_u64(uri, "x", &u64), -ENOENT);
	assert_int_equal(uri_size(uri, "x", &u64), -ENOENT);
	assert_int_equal(uri_bool(uri, "x", &yes), -ENOENT);
	assert_int_equal(uri_f64(uri, "x", &f64), -ENOENT);
	assert_int_equal(uri_uuid(uri, "x", &uuid), -ENOENT);
	assert_string_equal(text, "was");
	assert_int_equal(u64, 7);
	assert_int_equal(uri_get_str(uri, "x", "dflt", &text, &err), 0);
	assert_string_equal(text, "dflt");
	assert_int_equal(uri_get_u64(uri, "x", 1, 9, 3, &u64, &err), 0);
	assert_int_equal(u64, 3);
	assert_int_equal(uri_get_size(uri, "x", 1, 9, 4, &u64, &err), 0);
	assert_int_equal(u64, 4);
	assert_int_equal(uri_get_bool(uri, "x", false, &yes, &err), 0);
	assert_false(yes);
	assert_int_equal(uri_get_f64(uri, "x", 0, 1, 0.5, &f64, &err), 0);
	assert_true(f64 == 0.5);
}

static void wrong_values_are_worded(void **state)
{
	CLEANUP(cleanup_uri)
	struct uri *uri = parse("delay:?n=abc&m=10&s=5x&t=1g&b=2&f=x&g=7&ok=5");
	uint64_t u64 = 7;
	const char *text;
	double f64 = 7;
	bool yes;

	assert_int_equal(uri_get_u64(uri, "n", 0, 9, 0, &u64, &err), -EINVAL);
	assert_string_equal(err.words, "delay: parameter 'n' is 'abc', expected a number 0..9");
	assert_int_equal(uri_get_u64(uri, "m", 0, 9, 0, &u64, &err), -ERANGE);
	assert_string_equal(err.words, "delay: parameter 'm' is '10', expected a number 0..9");
	assert_int_equal(uri_get_u64(uri, "m", 11, 12, 0, &u64, &err), -ERANGE);
	assert_int_equal(uri_get_size(uri, "s", 0, 9, 0, &u64, &err), -EINVAL);
	assert_int_equal(uri_get_size(uri, "t", 512, 4096, 0, &u64, &err), -ERANGE);
	assert_string_equal(err.words, "delay: parameter 't' is '1g', expected a size 512..4096 "
				       "bytes (as 4096, 64k, 10m, 1g)");
	assert_int_equal(uri_get_size(uri, "m", 512, 4096, 0, &u64, &err), -ERANGE);
	assert_int_equal(uri_get_bool(uri, "b", true, &yes, &err), -EINVAL);
	assert_string_equal(err.words, "delay: parameter 'b' is '2', expected true or false");
	assert_int_equal(uri_get_f64(uri, "f", 0, 1, 0, &f64, &err), -EINVAL);
	assert_int_equal(uri_get_f64(uri, "g", 0, 1, 0, &f64, &err), -ERANGE);
	assert_int_equal(uri_get_f64(uri, "g", 8, 9, 0, &f64, &err), -ERANGE);
	assert_string_equal(err.words, "delay: parameter 'g' is '7', expected a number 8..9");
	assert_int_equal(u64, 7);
	assert_int_equal(uri_get_u64(uri, "ok", 5, 5, 0, &u64, &err), 0);
	assert_int_equal(u64, 5);
	assert_int_equal(uri_get_str(uri, "n", NULL, &text, &err), 0);
	assert_string_equal(text, "abc");
}

static void unknown_and_double_parameters_are_named(void **state)
{
	static const char *const allowed[] = { "ns", "on*", "size", NULL };
	static const char *const none[] = { NULL };
	CLEANUP(cleanup_uri) struct uri *good = parse("a:?ns=1&on=b%3A&on=c:");
	CLEANUP(cleanup_uri) struct uri *unknown = parse("a:?ns=1&nss=2");
	CLEANUP(cleanup_uri) struct uri *prefix = parse("a:?o=1");
	CLEANUP(cleanup_uri) struct uri *twice = parse("a:?ns=1&on=x&ns=2");

	assert_int_equal(uri_check_params(good, allowed, &err), 0);
	assert_int_equal(uri_check_params(unknown, allowed, &err), -EINVAL);
	assert_string_equal(err.words, "a: unknown parameter 'nss', known are: ns, on, size");
	assert_int_equal(uri_check_params(prefix, allowed, &err), -EINVAL);
	assert_int_equal(uri_check_params(prefix, none, &err), -EINVAL);
	assert_string_equal(err.words, "a: unknown parameter 'o', known are: none");
	assert_int_equal(uri_check_params(twice, allowed, &err), -EINVAL);
	assert_string_equal(err.words, "a: parameter 'ns' is given twice");
}

static void a_long_list_of_known_parameters_is_cut(void **state)
{
	static const char *const names[] = { "parameter_0123456789", "parameter_1123456789",
					     "parameter_2123456789", "parameter_3123456789",
					     "parameter_4123456789", "parameter_5123456789",
					     "parameter_6123456789", "parameter_7123456789",
					     "parameter_8123456789", NULL };
	CLEANUP(cleanup_uri) struct uri *uri = parse("a:?o=1");

	assert_int_equal(uri_check_params(uri, names, &err), -EINVAL);
	assert_non_null(strstr(err.words, "parameter_6123456789"));
	assert_null(strstr(err.words, "parameter_7"));
}

static int parse_and_free(struct mem *mem, void *text)
{
	struct uri *uri;

	TRY(uri_parse(mem, text, &uri, NULL));
	uri_free(uri);
	return 0;
}

static void parsing_survives_lack_of_memory(void **state)
{
	char text[] = "a://h/p?on=b%3A/q&on=c:?on=d:";

	assert_true(fault_loop(parse_and_free, text) >= 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_parts_are_found),
		cmocka_unit_test(parts_may_be_missing),
		cmocka_unit_test(hosts_may_be_ipv6),
		cmocka_unit_test(printing_is_canonical),
		cmocka_unit_test(a_plain_child_takes_the_rest),
		cmocka_unit_test(an_escaped_child_may_stand_anywhere),
		cmocka_unit_test(repeated_children_are_told_apart),
		cmocka_unit_test(what_only_resembles_a_uri_is_text),
		cmocka_unit_test(malformed_ones_are_refused_with_words),
		cmocka_unit_test(words_are_not_required),
		cmocka_unit_test(the_text_has_a_longest_length),
		cmocka_unit_test(nesting_has_a_greatest_depth),
		cmocka_unit_test(parameters_have_a_greatest_number),
		cmocka_unit_test(segments_have_a_greatest_number),
		cmocka_unit_test(names_have_a_longest_length),
		cmocka_unit_test(deep_escapes_stay_small),
		cmocka_unit_test(malformed_values_are_told_from_those_out_of_range),
		cmocka_unit_test(typed_values_are_read),
		cmocka_unit_test(sizes_have_suffixes),
		cmocka_unit_test(absent_ones_are_told_or_take_the_default),
		cmocka_unit_test(wrong_values_are_worded),
		cmocka_unit_test(unknown_and_double_parameters_are_named),
		cmocka_unit_test(a_long_list_of_known_parameters_is_cut),
		cmocka_unit_test(parsing_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
