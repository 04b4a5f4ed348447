// SPDX-License-Identifier: Apache-2.0
#include "unit/unit.h"

#include "base/bucket.h"

#define S_NS UINT64_C(1000000000)

static uint64_t taken(struct bucket *bucket, uint64_t now_ns, uint64_t tries)
{
	uint64_t count = 0;

	while (tries-- > 0)
		count += bucket_take(bucket, now_ns);
	return count;
}

static void a_burst_then_the_rate(void **state)
{
	struct bucket bucket;
	uint64_t count = 0;

	bucket_init(&bucket, 100, 7, 5 * S_NS);
	assert_int_equal(taken(&bucket, 5 * S_NS, 50), 7);
	for (unsigned ms = 1; ms <= 1000; ms++) /* BU1: parts of a step are not lost */
		count += taken(&bucket, 5 * S_NS + ms * S_NS / 1000, 3);
	assert_int_equal(count, 100);
}

static void a_pause_brings_no_more_than_a_burst(void **state)
{
	struct bucket bucket;

	bucket_init(&bucket, 1000, 3, 0);
	assert_int_equal(taken(&bucket, 0, 2), 2);
	assert_int_equal(taken(&bucket, UINT64_MAX / 2, 50), 3);
	assert_int_equal(taken(&bucket, UINT64_MAX / 2 + S_NS / 1000, 50), 1);
}

static void the_fastest_has_a_token_each_nanosecond(void **state)
{
	struct bucket bucket;

	bucket_init(&bucket, S_NS, 1, 10);
	assert_int_equal(taken(&bucket, 10, 2), 1);
	assert_int_equal(taken(&bucket, 11, 2), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_then_the_rate),
		cmocka_unit_test(a_pause_brings_no_more_than_a_burst),
		cmocka_unit_test(the_fastest_has_a_token_each_nanosecond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
