/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "sim/check.h"

struct fix {
	struct mem_heap heap;
	struct check *c;
};

static int setup(void **state)
{
	struct fix *fix = test_malloc(sizeof(*fix));

	mem_heap_init(&fix->heap);
	fix->c = check_new(&fix->heap.mem, 4);
	*state = fix;
	return 0;
}

static int teardown(void **state)
{
	struct fix *fix = *state;

	check_free(fix->c);
	mem_heap_fini(&fix->heap);
	test_free(fix);
	return 0;
}

static void put(struct check *c, uint64_t value, enum check_end how)
{
	check_write_end(c, 0, check_write_begin(c, 0, value), how);
}

static bool may(struct check *c, uint64_t value)
{
	bool yes = check_may_read(c, 0, check_read_begin(c), value);

	check_read_end(c);
	return yes;
}

static void flush(struct check *c, bool ok)
{
	check_flush_end(c, check_flush_begin(c), ok);
}

static void an_acked_write_is_read(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	assert_true(may(c, 0));
	assert_false(may(c, 1));
	put(c, 1, CHECK_ACKED);
	assert_true(may(c, 1));
	assert_false(may(c, 0));
}

static void writes_under_way_may_be_seen_in_any_order(void **state)
{
	struct check *c = ((struct fix *)*state)->c;
	uint64_t one = check_write_begin(c, 0, 1), two = check_write_begin(c, 0, 2);

	assert_true(may(c, 0) && may(c, 1) && may(c, 2));
	check_saw(c, 0, 1);
	assert_false(may(c, 0));
	assert_true(may(c, 2));
	check_write_end(c, 0, one, CHECK_ACKED);
	check_write_end(c, 0, two, CHECK_ACKED);
	assert_true(may(c, 1) && may(c, 2));
	put(c, 3, CHECK_ACKED);
	assert_false(may(c, 1) || may(c, 2));
}

static void a_read_that_began_earlier_may_return_the_old(void **state)
{
	struct check *c = ((struct fix *)*state)->c;
	uint64_t read = check_read_begin(c);

	put(c, 1, CHECK_DURABLE);
	assert_true(check_may_read(c, 0, read, 0));
	assert_true(check_may_read(c, 0, read, 1));
	check_read_end(c);
	assert_false(may(c, 0));
}

static void power_takes_back_what_was_not_flushed(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_ACKED);
	flush(c, true);
	put(c, 2, CHECK_ACKED);
	put(c, 3, CHECK_ACKED);
	check_power_cut(c);
	assert_false(may(c, 0));
	assert_true(may(c, 1) && may(c, 2) && may(c, 3));
	check_saw(c, 0, 2); /* C4 */
	assert_true(may(c, 2));
	assert_false(may(c, 1));
	check_power_cut(c);
	assert_false(may(c, 1));
}

static void fua_is_durable_at_once(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_ACKED);
	put(c, 2, CHECK_DURABLE);
	check_power_cut(c);
	assert_true(may(c, 2));
	assert_false(may(c, 0) || may(c, 1));
}

static void a_flush_covers_what_was_acked_before_it_began(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_ACKED);
	uint64_t f = check_flush_begin(c);
	put(c, 2, CHECK_ACKED);
	check_flush_end(c, f, true);
	check_power_cut(c);
	assert_false(may(c, 0));
	assert_true(may(c, 1) && may(c, 2));
}

static void a_failed_flush_is_not_mended_by_the_next(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_ACKED);
	flush(c, false);
	flush(c, true);
	check_power_cut(c);
	assert_true(may(c, 0) && may(c, 1));
}

static void a_failed_write_may_be_there_or_not(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_FAILED);
	assert_true(may(c, 0) && may(c, 1));
	check_saw(c, 0, 1); /* C3 */
	assert_false(may(c, 0));
	put(c, 2, CHECK_ACKED);
	assert_false(may(c, 1));
}

static void a_write_of_a_crashed_process_may_land_until_settled(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	check_write_begin(c, 0, 1);
	check_crashed(c);
	put(c, 2, CHECK_ACKED);
	assert_true(may(c, 1) && may(c, 2));
	check_settled(c);
	put(c, 3, CHECK_ACKED);
	assert_true(may(c, 3));
	assert_false(may(c, 1) || may(c, 2));
}

static void a_crash_of_a_process_loses_nothing_acked(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_ACKED);
	check_crashed(c);
	check_settled(c);
	assert_true(may(c, 1));
	assert_false(may(c, 0));
}

static void zeros_may_be_written_twice(void **state)
{
	struct check *c = ((struct fix *)*state)->c;
	char text[200];

	put(c, 1, CHECK_DURABLE);
	put(c, 0, CHECK_ACKED);
	put(c, 2, CHECK_ACKED);
	put(c, 0, CHECK_ACKED);
	assert_true(may(c, 0));
	assert_false(may(c, 1) || may(c, 2));
	check_power_cut(c);
	assert_true(may(c, 0) && may(c, 1) && may(c, 2));
	assert_non_null(strstr(check_explain(c, 0, text, sizeof(text)), "durable"));
}

static void what_could_be_forgotten_and_is_found_waits_for_a_flush(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_DURABLE);
	put(c, 2, CHECK_ACKED);
	check_forgotten(c);
	assert_true(may(c, 1) && may(c, 2));
	check_saw(c, 0, 2);
	assert_false(may(c, 1));
	check_power_cut(c);
	assert_true(may(c, 1) && may(c, 2)); /* it was seen, but not flushed */
	check_saw(c, 0, 2);
	check_power_cut(c);
	assert_false(may(c, 1)); /* C4 */
}

static void what_is_found_is_flushed_by_a_later_flush(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_DURABLE);
	put(c, 2, CHECK_ACKED);
	check_forgotten(c);
	uint64_t early = check_flush_begin(c);
	check_saw(c, 0, 2);
	check_flush_end(c, early, true);
	assert_true(check_may_read(c, 0, check_flush_begin(c), 2));
	flush(c, true);
	check_power_cut(c);
	assert_false(may(c, 1));
}

static void a_lost_cache_leaves_those_alive_who_ask(void **state)
{
	struct check *c = ((struct fix *)*state)->c;

	put(c, 1, CHECK_DURABLE);
	put(c, 2, CHECK_ACKED);
	uint64_t read = check_read_begin(c);
	uint64_t write = check_write_begin(c, 0, 3);
	check_cache_lost(c);
	assert_true(may(c, 1) && may(c, 2) && may(c, 3));
	assert_true(check_is_under_way(c, 0, 3));
	assert_true(check_may_read(c, 0, read, 2));
	check_read_end(c);
	check_write_end(c, 0, write, CHECK_ACKED);
	assert_false(may(c, 1) || may(c, 2));
	check_cache_lost(c);
	check_saw(c, 0, 2);
	check_cache_lost(c);
	assert_true(may(c, 1)); /* it was seen, but not flushed */
	check_saw(c, 0, 2);
	flush(c, true);
	check_cache_lost(c);
	assert_false(may(c, 1));
}

static void a_write_is_under_way_until_its_end(void **state)
{
	struct check *c = ((struct fix *)*state)->c;
	uint64_t write = check_write_begin(c, 0, 5);

	assert_true(check_is_under_way(c, 0, 5));
	assert_false(check_is_under_way(c, 0, 0));
	check_write_end(c, 0, write, CHECK_FAILED);
	assert_false(check_is_under_way(c, 0, 5));
}

static void all_values_that_are_known_are_told_once(void **state)
{
	struct check *c = ((struct fix *)*state)->c;
	uint64_t values[4];

	put(c, 1, CHECK_ACKED);
	put(c, CHECK_ZEROS, CHECK_ACKED);
	assert_int_equal(check_values(c, 0, values, ARRAY_LEN(values)), 2);
	assert_true(values[0] == CHECK_ZEROS && values[1] == 1);
}

static void patterns_know_where_they_belong(void **state)
{
	uint8_t block[4096];
	uint64_t serial = 99;

	pattern_fill(block, sizeof(block), 7, 3, 5);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(pattern_look(block + i * 512, 7, 3, i, &serial), PATTERN_GOOD);
		assert_int_equal(serial, 5);
	}
	assert_int_equal(pattern_look(block, 7, 4, 0, &serial), PATTERN_ELSEWHERE);
	assert_int_equal(pattern_look(block, 8, 3, 0, &serial), PATTERN_ELSEWHERE);
	assert_int_equal(pattern_look(block + 512, 7, 3, 0, &serial), PATTERN_ELSEWHERE);
	for (unsigned bit = 0; bit < 4096; bit++) {
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(pattern_look(block, 7, 3, 0, &serial), PATTERN_BAD);
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	memset(block, 0, 512);
	assert_int_equal(pattern_look(block, 7, 3, 0, &serial), PATTERN_ALL_ZEROS);
	assert_int_equal(serial, CHECK_ZEROS);
}

#define WITH_CHECK(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CHECK(an_acked_write_is_read),
		WITH_CHECK(writes_under_way_may_be_seen_in_any_order),
		WITH_CHECK(a_read_that_began_earlier_may_return_the_old),
		WITH_CHECK(power_takes_back_what_was_not_flushed),
		WITH_CHECK(fua_is_durable_at_once),
		WITH_CHECK(a_flush_covers_what_was_acked_before_it_began),
		WITH_CHECK(a_failed_flush_is_not_mended_by_the_next),
		WITH_CHECK(a_failed_write_may_be_there_or_not),
		WITH_CHECK(a_write_of_a_crashed_process_may_land_until_settled),
		WITH_CHECK(a_crash_of_a_process_loses_nothing_acked),
		WITH_CHECK(zeros_may_be_written_twice),
		WITH_CHECK(what_could_be_forgotten_and_is_found_waits_for_a_flush),
		WITH_CHECK(what_is_found_is_flushed_by_a_later_flush),
		WITH_CHECK(a_lost_cache_leaves_those_alive_who_ask),
		WITH_CHECK(a_write_is_under_way_until_its_end),
		WITH_CHECK(all_values_that_are_known_are_told_once),
		cmocka_unit_test(patterns_know_where_they_belong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
