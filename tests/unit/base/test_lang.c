// SPDX-License-Identifier: Apache-2.0
/*
 * The words we add to C, must(), CLEANUP and steal(), and errors with words.
 */
#include <errno.h>
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/lang.h"
#include "base/must.h"

struct outer {
	int before;
	struct inner {
		int x;
	} inner;
};

static void container_of_finds_the_outer_struct(void **state)
{
	struct outer outer;
	struct inner *p = &outer.inner;

	assert_ptr_equal(container_of(p, struct outer, inner), &outer);
	assert_ptr_equal(container_of(&p->x, struct inner, x), p);
}

static void min_and_max_keep_their_type(void **state)
{
	assert_int_equal(min_u64(1, UINT64_MAX), 1);
	assert_int_equal(min_u64(2, 1), 1);
	assert_true(max_u64(1, UINT64_MAX) == UINT64_MAX);
	assert_int_equal(max_u64(2, 1), 2);
	assert_int_equal(min_u32(3, 4), 3);
	assert_int_equal(min_u32(4, 3), 3);
	assert_int_equal(max_u32(3, 4), 4);
	assert_int_equal(max_u32(4, 3), 4);
	assert_int_equal(min_size(3, 4), 3);
	assert_int_equal(min_size(4, 3), 3);
	assert_int_equal(max_size(3, 4), 4);
	assert_int_equal(max_size(4, 3), 4);
	assert_int_equal(min_int(-1, 1), -1);
	assert_int_equal(min_int(1, -1), -1);
	assert_int_equal(max_int(-1, 1), 1);
	assert_int_equal(max_int(1, -1), 1);
}

static void alignment_is_by_powers_of_two(void **state)
{
	assert_true(is_pow2_u64(1));
	assert_true(is_pow2_u64(UINT64_C(1) << 63));
	assert_false(is_pow2_u64(0));
	assert_false(is_pow2_u64(6));
	assert_int_equal(align_up_u64(0, 512), 0);
	assert_int_equal(align_up_u64(1, 512), 512);
	assert_int_equal(align_up_u64(512, 512), 512);
	assert_int_equal(align_down_u64(1023, 512), 512);
	assert_int_equal(div_up_u64(0, 3), 0);
	assert_int_equal(div_up_u64(4, 3), 2);
	assert_int_equal(div_up_u64(6, 3), 2);
	assert_true(div_up_u64(UINT64_MAX, 2) == UINT64_C(1) << 63);
}

static void must_aborts_when_broken(void **state)
{
	must(1 + 1 == 2);
	assert_dies(must(1 + 1 == 3));
}

static void count_cleanup(int **variable)
{
	if (*variable)
		++**variable;
}

static int *take_or_drop(int *count, bool take)
{
	CLEANUP(count_cleanup) int *held = count;

	return take ? steal(held) : NULL;
}

static void cleanup_runs_unless_stolen(void **state)
{
	int count = 0;

	assert_null(take_or_drop(&count, false));
	assert_int_equal(count, 1);
	assert_ptr_equal(take_or_drop(&count, true), &count);
	assert_int_equal(count, 1);
}

static void err_fail_stores_words_and_returns_the_code(void **state)
{
	struct err err = { 0 };

	assert_string_equal(err_words(NULL), "no error");
	assert_string_equal(err_words(&err), "no error");
	assert_int_equal(err_fail(&err, -EEXIST, "pool '%s' exists", "p"), -EEXIST);
	assert_int_equal(err.code, -EEXIST);
	assert_string_equal(err_words(&err), "pool 'p' exists");
	err_clear(&err);
	assert_int_equal(err.code, 0);
	assert_string_equal(err_words(&err), "no error");
}

static void err_fail_without_a_place_for_words_gives_the_code(void **state)
{
	assert_int_equal(err_fail(NULL, -EIO, "lost"), -EIO);
	assert_int_equal(err_prefix(NULL, "x"), 0);
}

static void err_fail_refuses_a_code_that_is_none(void **state)
{
	struct err err;

	assert_dies(err_fail(&err, 0, "x"));
}

static void err_words_that_are_too_long_are_cut(void **state)
{
	struct err err;
	char word[ERR_WORDS_SIZE + 10];

	memset(word, 'a', sizeof(word));
	word[sizeof(word) - 1] = '\0';
	err_fail(&err, -EIO, "%s", word);
	assert_int_equal(strlen(err_words(&err)), ERR_WORDS_SIZE - 1);
	err_prefix(&err, "child %d: ", 2);
	assert_int_equal(strlen(err_words(&err)), ERR_WORDS_SIZE - 1);
	assert_memory_equal(err_words(&err), "child 2: aaa", 12);
}

static void err_without_words_speaks_like_the_system(void **state)
{
	struct err err = { .code = -ENOSPC };
	struct err odd = { .code = -99999 };

	assert_string_equal(err_words(&err), "No space left on device");
	assert_string_equal(err_words(&odd), "unknown error");
	assert_int_equal(err_prefix(&err, "pool: "), -ENOSPC);
	assert_string_equal(err_words(&err), "pool: No space left on device");
}

static void err_name_is_the_symbol(void **state)
{
	assert_string_equal(err_name(-ENOSPC), "ENOSPC");
	assert_string_equal(err_name(ENOSPC), "ENOSPC");
	assert_string_equal(err_name(0), "OK");
	assert_string_equal(err_name(-99999), "E?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_of_finds_the_outer_struct),
		cmocka_unit_test(min_and_max_keep_their_type),
		cmocka_unit_test(alignment_is_by_powers_of_two),
		cmocka_unit_test(must_aborts_when_broken),
		cmocka_unit_test(cleanup_runs_unless_stolen),
		cmocka_unit_test(err_fail_stores_words_and_returns_the_code),
		cmocka_unit_test(err_fail_without_a_place_for_words_gives_the_code),
		cmocka_unit_test(err_fail_refuses_a_code_that_is_none),
		cmocka_unit_test(err_words_that_are_too_long_are_cut),
		cmocka_unit_test(err_without_words_speaks_like_the_system),
		cmocka_unit_test(err_name_is_the_symbol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
