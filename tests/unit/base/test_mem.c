// SPDX-License-Identifier: Apache-2.0
/*
 * Blocks that know their owner, and the heap with its knobs (M1..M4).
 */
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "unit/fault.h"

static struct mem_heap heap;

static int setup(void **state)
{
	mem_heap_init(&heap);
	*state = &heap.mem;
	return 0;
}

static int teardown(void **state)
{
	mem_heap_fini(&heap);
	return 0;
}

static void a_block_is_zero_and_knows_its_owner(void **state)
{
	static const char zeroes[1000];
	char *p = mem_alloc(*state, sizeof(zeroes));

	assert_memory_equal(p, zeroes, sizeof(zeroes)); /* M2 */
	memset(p, 1, sizeof(zeroes));
	assert_int_equal(heap.blocks, 1);
	assert_true(heap.bytes >= sizeof(zeroes));
	mem_free(p); /* M1 */
	assert_int_equal(heap.blocks, 0);
	assert_int_equal(heap.bytes, 0);
	assert_true(heap.bytes_max >= sizeof(zeroes));
}

static void freeing_null_is_nothing(void **state)
{
	mem_free(NULL);
}

static void an_empty_block_is_a_block(void **state)
{
	void *p = mem_alloc(*state, 0);

	assert_non_null(p);
	mem_free(p);
}

static void alignment_is_as_asked(void **state)
{
	for (size_t align = 1; align <= MEM_ALIGN_MAX; align *= 2) {
		char *p = mem_alloc_aligned(*state, align, 3);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		p[2] = 1;
		mem_free(p);
	}
	assert_dies((void)!mem_alloc_aligned(*state, 3, 1));
	assert_dies((void)!mem_alloc_aligned(*state, 2 * (size_t)MEM_ALIGN_MAX, 1));
}

static void sizes_that_overflow_are_refused(void **state)
{
	int *p = mem_alloc_array(*state, 3, sizeof(*p));

	assert_non_null(p);
	mem_free(p);
	assert_null(mem_alloc_array(*state, SIZE_MAX / 2, 3));
	assert_null(mem_alloc(*state, SIZE_MAX - 8));
}

static void freeing_what_is_no_block_is_caught(void **state)
{
	char *p = mem_alloc(*state, 128);

	assert_dies(mem_free(p + 64));
	mem_free(p);
}

static void texts_are_copied(void **state)
{
	char *a = mem_strdup(*state, "hello");
	char *b = mem_strndup(*state, "hello", 4);
	char *c = mem_strndup(*state, "hi", 4);
	char *d = mem_printf(*state, "%s-%d", "pool", 7);
	char *e = mem_dup(*state, "ab", 2);

	assert_string_equal(a, "hello");
	assert_string_equal(b, "hell");
	assert_string_equal(c, "hi");
	assert_string_equal(d, "pool-7");
	assert_memory_equal(e, "ab", 2);
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(d);
	mem_free(e);
}

static void the_nth_allocation_fails(void **state)
{
	void *a, *c;

	heap.fail_at = 2;
	a = mem_alloc(*state, 1);
	assert_non_null(a);
	assert_null(mem_alloc(*state, 1));
	c = mem_alloc(*state, 1);
	assert_non_null(c);
	assert_int_equal(heap.allocs, 3);
	assert_int_equal(heap.failures, 1);
	assert_int_equal(heap.blocks, 2);
	mem_free(a);
	mem_free(c);
}

static void the_byte_limit_holds(void **state)
{
	void *p;

	heap.bytes_limit = 4096;
	assert_null(mem_alloc(*state, 4096));
	p = mem_alloc(*state, 2048);
	assert_non_null(p);
	assert_null(mem_alloc(*state, 2048));
	mem_free(p);
	p = mem_alloc(*state, 2048);
	assert_non_null(p);
	mem_free(p);
}

static void a_leak_is_noticed(void **state)
{
	void *p = mem_alloc(*state, 1);

	assert_dies(mem_heap_fini(&heap));
	mem_free(p);
}

static int copy_texts(struct mem *mem, void *arg)
{
	CLEANUP(cleanup_mem) char *a = mem_strdup(mem, "a");
	CLEANUP(cleanup_mem) char *b = mem_strndup(mem, "b", 1);
	CLEANUP(cleanup_mem) char *c = mem_printf(mem, "c");
	CLEANUP(cleanup_mem) char *d = mem_dup(mem, "d", 1);

	return a && b && c && d ? 0 : -ENOMEM;
}

static void copies_survive_lack_of_memory(void **state)
{
	assert_int_equal(fault_loop(copy_texts, NULL), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_block_is_zero_and_knows_its_owner, setup,
						teardown),
		cmocka_unit_test(freeing_null_is_nothing),
		cmocka_unit_test_setup_teardown(an_empty_block_is_a_block, setup, teardown),
		cmocka_unit_test_setup_teardown(alignment_is_as_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes_that_overflow_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(freeing_what_is_no_block_is_caught, setup,
						teardown),
		cmocka_unit_test_setup_teardown(texts_are_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(the_nth_allocation_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(the_byte_limit_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(a_leak_is_noticed, setup, teardown),
		cmocka_unit_test(copies_survive_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
