// SPDX-License-Identifier: Apache-2.0
/*
 * Maps that remember the order of insertion (H1..H4).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unit/dies.h"
#include "unit/unit.h"

#include "base/map.h"
#include "base/prng.h"
#include "unit/fault.h"

#define MANY 1000

static struct mem_heap heap;
static char marks[MANY]; /* values: &marks[i] */

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

static char *key_text(char *text, int i)
{
	sprintf(text, "key-%d", i);
	return text;
}

static void an_empty_map_has_nothing(void **state)
{
	struct map_iter iter = { 0 };
	struct map map;

	map_init(&map, &heap.mem, 1);
	assert_null(map_get(&map, "a"));
	assert_null(map_del(&map, "a"));
	assert_false(map_next(&map, &iter));
	assert_int_equal(map_count(&map), 0);
	map_fini(&map);
	assert_int_equal(heap.allocs, 0);
	assert_dies(map_init(&map, &heap.mem, 0));
	assert_dies(map_init(&map, &heap.mem, MAP_ENTRIES_MAX + 1));
}

static void what_was_put_is_found_until_removed(void **state)
{
	struct map map;
	char text[32];

	map_init(&map, &heap.mem, MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(map_put(&map, key_text(text, i), &marks[i]), 0);
	assert_int_equal(map_count(&map), MANY);
	for (int i = 0; i < MANY; i++)
		assert_ptr_equal(map_get(&map, key_text(text, i)), &marks[i]);
	for (int i = 0; i < MANY; i += 2)
		assert_ptr_equal(map_del(&map, key_text(text, i)), &marks[i]);
	for (int i = 0; i < MANY; i++)
		assert_ptr_equal(map_get(&map, key_text(text, i)), i % 2 ? &marks[i] : NULL);
	assert_int_equal(map_count(&map), MANY / 2);
	map_fini(&map);
}

static void a_key_is_put_once(void **state)
{
	struct map map;

	map_init(&map, &heap.mem, 10);
	assert_int_equal(map_put(&map, "", &marks[0]), 0);
	assert_int_equal(map_put(&map, "", &marks[1]), -EEXIST);
	assert_ptr_equal(map_get(&map, ""), &marks[0]);
	assert_dies((void)!map_put(&map, "null", NULL));
	map_fini(&map);
}

static void the_maximum_is_refused_politely(void **state)
{
	struct map map;

	map_init(&map, &heap.mem, 2);
	assert_int_equal(map_put(&map, "a", &marks[0]), 0);
	assert_int_equal(map_put(&map, "b", &marks[1]), 0);
	assert_int_equal(map_put(&map, "c", &marks[2]), -ENOSPC); /* H3 */
	map_del(&map, "a");
	assert_int_equal(map_put(&map, "c", &marks[2]), 0);
	map_fini(&map);
}

static void a_key_may_have_its_longest_length(void **state)
{
	static char key[MAP_KEY_LEN_MAX + 2];
	struct map map;

	map_init(&map, &heap.mem, 2);
	memset(key, 'k', MAP_KEY_LEN_MAX + 1);
	assert_int_equal(map_put(&map, key, &marks[0]), -ENAMETOOLONG);
	key[MAP_KEY_LEN_MAX] = '\0';
	assert_int_equal(map_put(&map, key, &marks[0]), 0);
	assert_ptr_equal(map_get(&map, key), &marks[0]);
	map_fini(&map);
}

static void iteration_goes_in_order_of_insertion(void **state)
{
	struct map_u64 map;
	struct map_iter iter;
	uint64_t expected = 0;

	map_u64_init(&map, &heap.mem, MANY);
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(map_u64_put(&map, i * 77, &marks[i]), 0);
	map_u64_for_each(&map, &iter)
	{
		assert_int_equal(iter.key_u64, expected * 77); /* H1 */
		assert_ptr_equal(iter.value, &marks[expected]);
		expected++;
	}
	assert_int_equal(expected, MANY);
	map_u64_fini(&map);
}

static void a_key_put_again_goes_last(void **state)
{
	struct map_iter iter;
	char order[4] = "";
	struct map map;

	map_init(&map, &heap.mem, 4);
	assert_int_equal(map_put(&map, "a", &marks[0]), 0);
	assert_int_equal(map_put(&map, "b", &marks[1]), 0);
	map_del(&map, "a");
	assert_int_equal(map_put(&map, "a", &marks[2]), 0);
	map_for_each(&map, &iter)
		strcat(order, iter.key);
	assert_string_equal(order, "ba");
	assert_null(iter.key);
	map_fini(&map);
}

static void any_entry_may_be_removed_while_walking(void **state)
{
	struct map_u64 map;
	struct map_iter iter;
	int visited = 0;

	map_u64_init(&map, &heap.mem, MANY);
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(map_u64_put(&map, i, &marks[i]), 0);
	map_u64_for_each(&map, &iter)
	{
		visited++;
		assert_int_equal(iter.key_u64 % 2, 0);
		map_u64_del(&map, iter.key_u64);     /* H2: itself */
		map_u64_del(&map, iter.key_u64 + 1); /* and one to come */
	}
	assert_int_equal(visited, MANY / 2);
	assert_int_equal(map_u64_count(&map), 0);
	map_u64_fini(&map);
}

static void adding_while_walking_is_caught(void **state)
{
	struct map_iter iter = { 0 };
	struct map_u64 map;

	map_u64_init(&map, &heap.mem, MANY);
	assert_int_equal(map_u64_put(&map, 1, &marks[1]), 0);
	assert_true(map_u64_next(&map, &iter));
	assert_int_equal(map_u64_put(&map, 2, &marks[2]), 0);
	assert_dies(map_u64_next(&map, &iter)); /* H2 */
	map_u64_fini(&map);
}

static void a_map_in_steady_state_does_not_grow(void **state)
{
	struct map_u64 map;
	uint64_t bytes;

	map_u64_init(&map, &heap.mem, MANY);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(map_u64_put(&map, i, &marks[0]), 0);
	for (uint64_t i = 100; i < 300; i++) {
		map_u64_del(&map, i - 100);
		assert_int_equal(map_u64_put(&map, i, &marks[0]), 0);
	}
	bytes = heap.bytes;
	for (uint64_t i = 300; i < 100000; i++) {
		map_u64_del(&map, i - 100);
		assert_int_equal(map_u64_put(&map, i, &marks[0]), 0);
	}
	assert_true(heap.bytes <= 2 * bytes);
	map_u64_fini(&map);
}

/* Against a plain array, which cannot be wrong. */
static void a_random_history_agrees_with_a_model(void **state)
{
	void *model[64] = { 0 };
	struct map_u64 map;
	struct prng prng;

	prng_init(&prng, 1, 1);
	map_u64_init(&map, &heap.mem, 48);
	for (int i = 0; i < 100000; i++) {
		uint64_t key = prng_below(&prng, ARRAY_LEN(model));
		uint32_t count = map_u64_count(&map);
		int r;

		if (prng_chance_permille(&prng, 500)) {
			r = map_u64_put(&map, key, &marks[i % MANY]);
			assert_int_equal(r, model[key] ? -EEXIST : count == 48 ? -ENOSPC : 0);
			if (r == 0)
				model[key] = &marks[i % MANY];
		} else {
			assert_ptr_equal(map_u64_del(&map, key), model[key]);
			model[key] = NULL;
		}
		assert_ptr_equal(map_u64_get(&map, key), model[key]);
	}
	map_u64_fini(&map);
}

static int fill(struct mem *mem, void *arg)
{
	struct map map;
	char text[32];
	int r = 0;

	map_init(&map, mem, 100);
	for (int i = 0; i < 40 && r == 0; i++) {
		r = map_put(&map, key_text(text, i), &marks[i]);
		assert_ptr_equal(map_get(&map, text), r == 0 ? &marks[i] : NULL);
		assert_int_equal(map_count(&map), r == 0 ? i + 1 : i);
	}
	map_fini(&map);
	return r;
}

static void a_map_survives_lack_of_memory(void **state)
{
	assert_true(fault_loop(fill, NULL) > 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_has_nothing),
		cmocka_unit_test(what_was_put_is_found_until_removed),
		cmocka_unit_test(a_key_is_put_once),
		cmocka_unit_test(the_maximum_is_refused_politely),
		cmocka_unit_test(a_key_may_have_its_longest_length),
		cmocka_unit_test(iteration_goes_in_order_of_insertion),
		cmocka_unit_test(a_key_put_again_goes_last),
		cmocka_unit_test(any_entry_may_be_removed_while_walking),
		cmocka_unit_test(adding_while_walking_is_caught),
		cmocka_unit_test(a_map_in_steady_state_does_not_grow),
		cmocka_unit_test(a_random_history_agrees_with_a_model),
		cmocka_unit_test(a_map_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
