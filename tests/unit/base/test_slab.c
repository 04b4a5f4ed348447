// SPDX-License-Identifier: Apache-2.0
/*
 * Slabs: limits, marks, alignment, poison (S1..S3).
 */
#include <errno.h>
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/slab.h"
#include "unit/fault.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#endif

static struct mem_heap heap;

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

static void objects_are_apart_and_come_back_warm(void **state)
{
	void *objects[100];
	struct slab slab;

	slab_init(&slab, &heap.mem, 24, 0, 100);
	for (int i = 0; i < 100; i++) {
		objects[i] = slab_get(&slab);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 16, 0);
		memset(objects[i], i, 24);
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(((uint8_t *)objects[i])[23], i);
	slab_put(&slab, objects[7]);
	assert_ptr_equal(slab_get(&slab), objects[7]);
	for (int i = 0; i < 100; i++)
		slab_put(&slab, objects[i]);
	slab_fini(&slab);
}

static void the_maximum_holds_and_marks_are_kept(void **state)
{
	struct slab slab;
	void *a, *b, *c;

	slab_init(&slab, &heap.mem, 1, 1, 2);
	a = slab_get(&slab);
	b = slab_get(&slab);
	c = slab_get(&slab);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(c);
	assert_int_equal(slab.objects, 2); /* S1 */
	assert_int_equal(slab.in_use, 2);
	slab_put(&slab, a);
	slab_put(&slab, NULL);
	assert_int_equal(slab.in_use, 1);
	assert_int_equal(slab.high, 2);
	assert_dies(slab_fini(&slab));
	slab_put(&slab, b);
	assert_dies(slab_put(&slab, &slab));
	slab_fini(&slab);
}

static void large_objects_have_chunks_of_their_own(void **state)
{
	struct slab slab;
	char *a, *b;

	slab_init(&slab, &heap.mem, 2 * SLAB_CHUNK_BYTES, 4096, 2);
	a = slab_get(&slab);
	assert_int_equal(slab.objects, 1);
	b = slab_get(&slab);
	assert_int_equal((uintptr_t)a % 4096, 0);
	assert_int_equal((uintptr_t)b % 4096, 0);
	a[2 * SLAB_CHUNK_BYTES - 1] = b[2 * SLAB_CHUNK_BYTES - 1] = 1;
	slab_put(&slab, a);
	slab_put(&slab, b);
	slab_fini(&slab);
}

static void odd_shapes_are_caught(void **state)
{
	struct slab slab;

	assert_dies(slab_init(&slab, &heap.mem, 0, 0, 1));
	assert_dies(slab_init(&slab, &heap.mem, 8, 0, 0));
	assert_dies(slab_init(&slab, &heap.mem, 8, 24, 1));
	assert_dies(slab_init(&slab, &heap.mem, SLAB_OBJECT_BYTES_MAX + 1, 0, 1));
}

static void objects_are_cut_ahead(void **state)
{
	struct slab slab;
	uint64_t allocs;
	void *object;

	slab_init(&slab, &heap.mem, 1000, 0, 1000);
	assert_int_equal(slab_reserve(&slab, 1001), -ENOSPC);
	assert_int_equal(slab_reserve(&slab, 500), 0);
	assert_true(slab.objects >= 500);
	allocs = heap.allocs;
	object = slab_get(&slab);
	assert_int_equal(heap.allocs, allocs);
	slab_put(&slab, object);
	assert_int_equal(slab_reserve(&slab, 1000), 0);
	assert_int_equal(slab.objects, 1000);
	slab_fini(&slab);
}

static void a_free_object_is_poisoned(void **state)
{
#ifdef WITH_ASAN
	struct slab slab;
	char *object;

	slab_init(&slab, &heap.mem, 40, 0, 10);
	object = slab_get(&slab);
	assert_false(__asan_address_is_poisoned(object));
	assert_true(__asan_address_is_poisoned(object + 40)); /* S2: the gap */
	slab_put(&slab, object);
	assert_true(__asan_address_is_poisoned(object));
	assert_true(__asan_address_is_poisoned(object + 39));
	slab_fini(&slab);
#else
	print_message("skip: this build has no address sanitizer\n");
	skip();
#endif
}

static int use_slab(struct mem *mem, void *arg)
{
	void *objects[200];
	struct slab slab;
	int count = 0;
	int r;

	slab_init(&slab, mem, 1024, 0, 200);
	r = slab_reserve(&slab, 10);
	while (count < 200 && (objects[count] = slab_get(&slab)))
		count++;
	if (count < 200)
		r = -ENOMEM;
	while (count > 0)
		slab_put(&slab, objects[--count]);
	slab_fini(&slab);
	return r;
}

static void a_slab_survives_lack_of_memory(void **state)
{
	assert_true(fault_loop(use_slab, NULL) >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_apart_and_come_back_warm),
		cmocka_unit_test(the_maximum_holds_and_marks_are_kept),
		cmocka_unit_test(large_objects_have_chunks_of_their_own),
		cmocka_unit_test(odd_shapes_are_caught),
		cmocka_unit_test(objects_are_cut_ahead),
		cmocka_unit_test(a_free_object_is_poisoned),
		cmocka_unit_test(a_slab_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
