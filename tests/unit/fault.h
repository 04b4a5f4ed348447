// SPDX-License-Identifier: Apache-2.0
/*
 * fault - run a body again and again, failing the first allocation, then the
 * second, and so on, until it gets through without one.
 *
 *	static int body(struct mem *mem, void *arg) { ... return r; }
 *	fault_loop(body, arg);
 *
 * Each time the body must give back every block, and return -ENOMEM or succeed in
 * spite of the failure. Include cmocka's headers first.
 */
#ifndef TESTS_UNIT_FAULT_H
#define TESTS_UNIT_FAULT_H

#include <errno.h>

#include "base/mem.h"

#define FAULT_LOOP_MAX 100000

typedef int (*fault_body_fn)(struct mem *mem, void *arg);

/* Returns how many allocations the body makes. */
static inline uint64_t fault_loop(fault_body_fn body, void *arg)
{
	for (uint64_t n = 1; n < FAULT_LOOP_MAX; n++) {
		struct mem_heap heap;
		int r;

		mem_heap_init(&heap);
		heap.fail_at = n;
		r = body(&heap.mem, arg);
		assert_int_equal(heap.blocks, 0);
		assert_int_equal(heap.bytes, 0);
		if (heap.failures == 0) {
			assert_int_equal(r, 0);
			return n - 1;
		}
		if (r != 0)
			assert_int_equal(r, -ENOMEM);
	}
	fail_msg("the body never gets through");
	return 0;
}

#endif
