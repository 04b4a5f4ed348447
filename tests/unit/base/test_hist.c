// SPDX-License-Identifier: Apache-2.0
/*
 * Histograms: error bound, merging, limits (X1, X2).
 */
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/hist.h"
#include "base/prng.h"

static struct hist hist;

static int setup(void **state)
{
	hist_reset(&hist);
	return 0;
}

static uint64_t sum_of_buckets(const struct hist *h)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		sum += (uint64_t)h->high[i] << 32 | h->low[i];
	return sum;
}

static void an_empty_one_says_zero(void **state)
{
	char text[HIST_TEXT_SIZE];

	assert_int_equal(hist_quantile(&hist, 0.5), 0);
	assert_int_equal(hist_min(&hist), 0);
	assert_int_equal(hist_max(&hist), 0);
	assert_true(hist_mean(&hist) == 0);
	assert_string_equal(hist_print(&hist, text),
			    "count 0 mean 0.0 min 0 p50 0 p99 0 p99.9 0 max 0");
}

static void small_values_are_exact(void **state)
{
	for (uint64_t v = 0; v < 2 * HIST_SUB; v++)
		hist_add(&hist, v);
	for (uint64_t v = 0; v < 2 * HIST_SUB; v++)
		assert_int_equal(hist_quantile(&hist, (double)v / (2 * HIST_SUB)), v);
	assert_int_equal(hist_quantile(&hist, 1), 2 * HIST_SUB - 1);
	assert_true(hist_mean(&hist) == (2 * HIST_SUB - 1) / 2.0);
}

static void any_value_is_within_the_error_bound(void **state)
{
	struct prng prng;

	prng_init(&prng, 1, 0);
	for (int i = 0; i < 20000; i++) {
		unsigned shift = 64 - HIST_BITS + (unsigned)prng_below(&prng, HIST_BITS);
		uint64_t v = prng_u64(&prng) >> shift;
		uint64_t q;

		hist_reset(&hist);
		hist_add(&hist, 0);
		hist_add(&hist, v);
		hist_add(&hist, UINT64_C(1) << HIST_BITS);
		q = hist_quantile(&hist, 0.5);
		if (hist_bucket(v) == HIST_BUCKETS - 1)
			continue; /* shared with all above */
		assert_true(q <= v + v / 32 + 1 && q + v / 32 + 1 >= v);
	}
}

static void quantiles_never_leave_min_and_max(void **state)
{
	hist_add(&hist, 1000003);
	assert_int_equal(hist_quantile(&hist, 0), 1000003); /* X2 */
	assert_int_equal(hist_quantile(&hist, 0.5), 1000003);
	assert_int_equal(hist_quantile(&hist, 1), 1000003);
	assert_dies((void)hist_quantile(&hist, 1.5));
	assert_dies((void)hist_quantile(&hist, -0.5));
}

static void huge_values_share_the_last_bucket(void **state)
{
	hist_add(&hist, 1);
	hist_add(&hist, UINT64_MAX);
	hist_add(&hist, UINT64_C(1) << HIST_BITS);
	assert_true(hist_max(&hist) == UINT64_MAX);
	assert_true(hist_quantile(&hist, 0.9) == UINT64_MAX);
	assert_int_equal(sum_of_buckets(&hist), 3); /* X1 */
}

static void buckets_are_in_order(void **state)
{
	uint32_t last = 0;

	for (int shift = 0; shift < 64; shift++) {
		for (uint64_t step = 0; step < HIST_SUB; step++) {
			uint64_t v = (UINT64_C(1) << shift) + (step << shift) / HIST_SUB;

			assert_true(hist_bucket(v) >= last);
			last = hist_bucket(v);
			assert_true(last < HIST_BUCKETS);
		}
	}
	assert_int_equal(last, HIST_BUCKETS - 1);
	assert_int_equal(hist_bucket((UINT64_C(1) << HIST_BITS) - 1), HIST_BUCKETS - 1);
}

static void merging_adds_everything(void **state)
{
	struct hist other;

	hist_reset(&other);
	for (uint64_t v = 1; v <= 50; v++)
		hist_add(&hist, v * 1000);
	for (uint64_t v = 51; v <= 100; v++)
		hist_add(&other, v * 1000);
	hist_merge(&hist, &other);
	assert_int_equal(hist.count, 100);
	assert_int_equal(sum_of_buckets(&hist), 100);
	assert_int_equal(hist_min(&hist), 1000);
	assert_int_equal(hist_max(&hist), 100000);
	assert_true(hist_mean(&hist) == 50500);
	assert_in_range(hist_quantile(&hist, 0.99), 96000, 100000);
	hist_reset(&other);
	hist_merge(&hist, &other); /* an empty one changes nothing */
	assert_int_equal(hist_min(&hist), 1000);
	assert_int_equal(hist.count, 100);
}

static void counts_pass_32_bits(void **state)
{
	struct hist other;

	hist_add(&hist, 5);
	hist.low[5] = UINT32_MAX;
	hist.count = UINT32_MAX;
	hist_add(&hist, 5);
	assert_int_equal(hist.low[5], 0);
	assert_int_equal(hist.high[5], 1);
	hist_reset(&other);
	hist_merge(&other, &hist);
	hist_merge(&other, &hist);
	assert_true(sum_of_buckets(&other) == UINT64_C(2) << 32);
	assert_true(other.count == UINT64_C(2) << 32);
}

static void the_summary_is_one_line(void **state)
{
	char text[HIST_TEXT_SIZE];

	for (uint64_t v = 1; v <= 10; v++)
		hist_add(&hist, v);
	assert_string_equal(hist_print(&hist, text),
			    "count 10 mean 5.5 min 1 p50 6 p99 10 p99.9 10 max 10");
	hist.count = hist.sum = hist.min = UINT64_MAX;
	hist_print(&hist, text);
	assert_true(strlen(text) < HIST_TEXT_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_one_says_zero, setup),
		cmocka_unit_test_setup(small_values_are_exact, setup),
		cmocka_unit_test_setup(any_value_is_within_the_error_bound, setup),
		cmocka_unit_test_setup(quantiles_never_leave_min_and_max, setup),
		cmocka_unit_test_setup(huge_values_share_the_last_bucket, setup),
		cmocka_unit_test_setup(buckets_are_in_order, setup),
		cmocka_unit_test_setup(merging_adds_everything, setup),
		cmocka_unit_test_setup(counts_pass_32_bits, setup),
		cmocka_unit_test_setup(the_summary_is_one_line, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
