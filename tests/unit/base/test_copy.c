// SPDX-License-Identifier: Apache-2.0
/* Copies past the caches: the same bytes as memcpy(), and no others. */
#include <string.h>

#include "unit/unit.h"

#include "base/copy.h"
#include "base/prng.h"

static void any_size_and_alignment_is_copied_and_nothing_else(void **state)
{
	static _Alignas(64) uint8_t from[1024], to[1024], want[1024];
	struct prng prng;

	(void)state;
	prng_init(&prng, 11, 0);
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = prng_below(&prng, 200), src = prng_below(&prng, 200);
		size_t size = prng_below(&prng, 800);

		prng_fill(&prng, from, sizeof(from));
		memcpy(want, to, sizeof(want));
		memcpy(want + at, from + src, size);
		copy_cold(to + at, from + src, size);
		assert_memory_equal(to, want, sizeof(want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_size_and_alignment_is_copied_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
