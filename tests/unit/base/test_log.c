// SPDX-License-Identifier: Apache-2.0
/*
 * Log lines: formats, escapes, limits, rates (G1..G3).
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unit/unit.h"

#include "base/log.h"
#include "base/prng.h"

#define TIME_NS UINT64_C(1582934400123456789) /* 2020-02-29T00:00:00 */
#define TIME	"2020-02-29T00:00:00.123456Z"

static struct log the_log;
static char last[LOG_LINE_SIZE + 1];
static uint64_t now_ns;

static void keep(void *ctx, enum log_level level, const char *line, size_t len)
{
	assert_true(len <= LOG_LINE_SIZE); /* G1 */
	memcpy(last, line, len);
	last[len] = '\0';
}

static uint64_t now(void *ctx)
{
	return now_ns;
}

static int setup(void **state)
{
	log_init(&the_log, keep, NULL, now, NULL);
	now_ns = TIME_NS;
	last[0] = '\0';
	return 0;
}

static int setup_json(void **state)
{
	setup(state);
	the_log.format = LOG_FORMAT_JSON;
	return 0;
}

static void a_line_has_time_level_message_and_fields(void **state)
{
	log_info(&the_log, "pool imported", LOG_STR("pool", "p1"), LOG_U64("n", UINT64_MAX),
		 LOG_I64("d", -5), LOG_HEX("token", 255), LOG_F64("ratio", 0.5),
		 LOG_BOOL("clean", true), LOG_BOOL("new", false), LOG_ERR("error", -ENOSPC));
	assert_string_equal(last, TIME " info \"pool imported\" pool=p1 n=18446744073709551615 "
				       "d=-5 token=0xff ratio=0.5 clean=true new=false "
				       "error=ENOSPC\n");
	assert_int_equal(the_log.line_count, 1);
}

static void a_json_line_has_the_same(void **state)
{
	log_error(&the_log, "no \"space\"", LOG_STR("pool", "p1"), LOG_U64("n", 3),
		  LOG_HEX("token", 255), LOG_F64("nan", NAN), LOG_STR("none", NULL),
		  LOG_BOOL("clean", true), LOG_ERR("error", -ENOSPC));
	assert_string_equal(last, "{\"time\":\"" TIME "\",\"level\":\"error\","
				  "\"msg\":\"no \\\"space\\\"\",\"pool\":\"p1\",\"n\":3,"
				  "\"token\":\"0xff\",\"nan\":\"nan\",\"none\":null,"
				  "\"clean\":true,\"error\":\"ENOSPC\"}\n");
}

static void a_message_needs_no_fields(void **state)
{
	log_warn(&the_log, "x");
	assert_string_equal(last, TIME " warn \"x\"\n");
}

static void values_are_quoted_where_they_must_be(void **state)
{
	log_info(&the_log, "x", LOG_STR("a", ""), LOG_STR("b", "a b"), LOG_STR("c", "a=b"),
		 LOG_STR("d", "\"\\"), LOG_STR("e", "-"), LOG_STR("f", NULL),
		 LOG_STR("g", "l\nm\t"), LOG_F64("h", INFINITY));
	assert_string_equal(last, TIME " info \"x\" a=\"\" b=\"a b\" c=\"a=b\" d=\"\\\"\\\\\" "
				       "e=\"-\" f=- g=\"l\\nm\\u0009\" h=inf\n");
}

static void only_good_utf8_comes_out(void **state)
{
	/* two, three and four bytes; then bad ones of each kind, each byte replaced (G2) */
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "\xc3\xa4", "\xc3\xa4" },
		{ "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xed\x9f\xbf", "\xed\x9f\xbf" },
		{ "\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
		{ "\x80", "?" },
		{ "\xc0\xaf", "??" },
		{ "\xe0\x9f\x80", "???" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xf5\x80", "??" },
		{ "\xe2\x82", "??" },
		{ "\xe2\x82x", "??x" },
		{ "\xc3", "?" },
		{ "\x7f", "\\u007f" },
		{ "\xc2\x9b", "\\u009b" },
		{ "\xc2\xa0", "\xc2\xa0" },
		{ "\x1b", "\\u001b" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char expected[200] = TIME " info \"";

		for (const char *p = cases[i].out; *p; p++) {
			char one[] = { *p, '\0' };

			strcat(expected, *p == '?' ? "\xef\xbf\xbd" : one);
		}
		strcat(expected, "\"\n");
		log_info(&the_log, cases[i].in);
		assert_string_equal(last, expected);
	}
}

static void odd_keys_are_made_harmless(void **state)
{
	log_info(&the_log, "x", LOG_U64("a b=\"\n", 1), LOG_U64("Az_.-09", 2));
	assert_string_equal(last, TIME " info \"x\" a_b___=1 Az_.-09=2\n");
}

static void lines_below_the_level_are_not_written(void **state)
{
	log_debug(&the_log, "x");
	assert_string_equal(last, "");
	log_write(&the_log, LOG_LEVEL_DEBUG, "x", NULL, 0);
	assert_string_equal(last, "");
	the_log.level = LOG_LEVEL_DEBUG;
	log_debug(&the_log, "x");
	assert_string_equal(last, TIME " debug \"x\"\n");
}

static void no_log_is_silence(void **state)
{
	log_error(NULL, "x", LOG_U64("a", 1));
	log_write(NULL, LOG_LEVEL_ERROR, "x", NULL, 0);
	log_error(&(struct log){ 0 }, "x"); /* zeroed, never given a sink */
}

static void a_text_that_is_too_long_is_cut(void **state)
{
	char text[2 * LOG_LINE_SIZE];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info(&the_log, "x", LOG_STR("long", text), LOG_U64("late", 123456789));
	assert_non_null(strstr(last, "aaa\" truncated=true\n")); /* G1 */
	assert_null(strstr(last, "late"));
	log_info(&the_log, text);
	assert_non_null(strstr(last, "aaa\" truncated=true\n"));
	the_log.format = LOG_FORMAT_JSON;
	log_info(&the_log, "x", LOG_STR("long", text), LOG_STR("late", text));
	assert_non_null(strstr(last, "aaa\",\"truncated\":true}\n"));
	assert_true(strlen(last) <= LOG_LINE_SIZE && strlen(last) > LOG_LINE_SIZE - 40);
}

static void a_plain_text_that_almost_fits_stays_well_formed(void **state)
{
	static char text[LOG_LINE_SIZE];
	static char key[LOG_LINE_SIZE];

	for (size_t len = LOG_LINE_SIZE - 200; len < LOG_LINE_SIZE; len++) {
		memset(text, 'a', len);
		text[len] = '\0';
		memcpy(key, text, len + 1);
		log_info(&the_log, "x", LOG_STR("k", text), LOG_STR("s", "tt"), LOG_U64("n", 1234));
		assert_int_equal(last[strlen(last) - 1], '\n');
		log_info(&the_log, "x", LOG_U64(key, 1234), LOG_U64("n", 1));
		assert_int_equal(last[strlen(last) - 1], '\n');
		assert_true(strstr(last, " n=1\n") || strstr(last, " truncated=true\n"));
	}
}

static void any_bytes_give_balanced_json(void **state)
{
	static const char evil[] = "\"\\\n\xff\xc3\xe2\x01,}{";
	struct prng prng;

	prng_init(&prng, 1, 0);
	for (int i = 0; i < 2000; i++) {
		char text[LOG_LINE_SIZE];
		size_t len = prng_below(&prng, sizeof(text));
		int quotes = 0;

		for (size_t k = 0; k < len; k++)
			text[k] = evil[prng_below(&prng, sizeof(evil) - 1)];
		text[len] = '\0';
		log_info(&the_log, text, LOG_STR("a", text), LOG_U64("b", 1));
		for (const char *p = last; *p; p++) {
			assert_true((uint8_t)*p >= 0x20 || !p[1]);
			if (*p == '\\')
				p++;
			else
				quotes += *p == '"';
		}
		assert_int_equal(quotes % 2, 0);
		assert_non_null(strstr(last, "}\n"));
	}
}

static void dates_are_right(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00" },	       { 951782399, "2000-02-28T23:59:59" },
		{ 951782400, "2000-02-29T00:00:00" },  { 4107542399, "2100-02-28T23:59:59" },
		{ 4107542400, "2100-03-01T00:00:00" }, { 1735689599, "2024-12-31T23:59:59" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		now_ns = cases[i].seconds * 1000000000;
		log_info(&the_log, "x");
		assert_memory_equal(last, cases[i].text, strlen(cases[i].text));
	}
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_LEVEL_ERROR;

	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		assert_int_equal(log_level_parse(log_level_name((enum log_level)i), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void a_rate_drops_and_tells(void **state)
{
	struct log_rate rate;

	log_rate_init(&rate, 2, 1000);
	for (int i = 0; i < 5; i++)
		log_at_rate(&the_log, &rate, LOG_LEVEL_INFO, "x", LOG_U64("i", (uint64_t)i));
	assert_string_equal(last, TIME " info \"x\" i=1\n");
	assert_int_equal(rate.dropped, 3);
	now_ns += 1000;
	log_at_rate(&the_log, &rate, LOG_LEVEL_INFO, "y");
	assert_string_equal(last + strlen(TIME), " info \"y\" dropped=3\n");
	log_at_rate(&the_log, &rate, LOG_LEVEL_INFO, "z");
	assert_string_equal(last + strlen(TIME), " info \"z\"\n");
	log_at_rate(&the_log, &rate, LOG_LEVEL_DEBUG, "unwanted");
	assert_int_equal(rate.dropped, 0);
	assert_int_equal(rate.dropped_total, 3);
	log_at_rate(&the_log, &rate, LOG_LEVEL_INFO, "dropped");
	now_ns = 5; /* the clock was set back */
	log_at_rate(&the_log, &rate, LOG_LEVEL_INFO, "back");
	assert_non_null(strstr(last, "\"back\" dropped=1"));
	log_at_rate((struct log *)NULL, &rate, LOG_LEVEL_INFO, "silence");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_has_time_level_message_and_fields, setup),
		cmocka_unit_test_setup(a_json_line_has_the_same, setup_json),
		cmocka_unit_test_setup(a_message_needs_no_fields, setup),
		cmocka_unit_test_setup(values_are_quoted_where_they_must_be, setup),
		cmocka_unit_test_setup(only_good_utf8_comes_out, setup),
		cmocka_unit_test_setup(odd_keys_are_made_harmless, setup),
		cmocka_unit_test_setup(lines_below_the_level_are_not_written, setup),
		cmocka_unit_test_setup(no_log_is_silence, setup),
		cmocka_unit_test_setup(a_text_that_is_too_long_is_cut, setup),
		cmocka_unit_test_setup(a_plain_text_that_almost_fits_stays_well_formed, setup),
		cmocka_unit_test_setup(any_bytes_give_balanced_json, setup_json),
		cmocka_unit_test_setup(dates_are_right, setup),
		cmocka_unit_test_setup(levels_have_names, setup),
		cmocka_unit_test_setup(a_rate_drops_and_tells, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
