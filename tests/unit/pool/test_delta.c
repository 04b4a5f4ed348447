// SPDX-License-Identifier: Apache-2.0
/* The delta on a pool that has nothing else: look-ups, generations, order, promises. */
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/prng.h"
#include "pool/replica_priv.h"

struct bare {
	struct mem_heap heap;
	struct pool pool;
};

static int bare_setup(void **state)
{
	struct bare *bare = calloc(1, sizeof(*bare));

	mem_heap_init(&bare->heap);
	bare->pool.mem = &bare->heap.mem;
	map_u64_init(&bare->pool.open, bare->pool.mem, 16);
	event_init(&bare->pool.commit.wanted);
	assert_int_equal(delta_init(&bare->pool), 0);
	*state = bare;
	return 0;
}

static int bare_teardown(void **state)
{
	struct bare *bare = *state;

	delta_fini(&bare->pool);
	map_u64_fini(&bare->pool.open);
	mem_heap_fini(&bare->heap);
	free(bare);
	return 0;
}

static void put(struct pool *pool, uint64_t object, uint64_t lcluster, uint64_t cluster,
		uint32_t valid, uint32_t flags)
{
	const struct delta_put what = { .object = object, .lcluster = lcluster, .cluster = cluster,
					.valid = valid, .flags = flags };

	delta_put(pool, &what);
}

struct told {
	uint64_t object[64], lcluster[64], cluster[64];
	unsigned count;
};

static int tell(struct fiber *f, void *ctx, uint64_t object, uint64_t lcluster,
		const struct map_value *value)
{
	struct told *told = ctx;

	(void)f;
	told->object[told->count] = object;
	told->lcluster[told->count] = lcluster;
	told->cluster[told->count++] = value->cluster;
	return 0;
}

static void newest_entry_is_found(void **state)
{
	struct pool *pool = &((struct bare *)*state)->pool;

	assert_null(delta_find(pool, 1, 7));
	put(pool, 1, 7, 100, 1, 0);
	put(pool, 2, 7, 200, 3, 0);
	assert_int_equal(delta_find(pool, 1, 7)->cluster, 100);
	put(pool, 1, 7, 100, 5, 0);
	assert_int_equal(delta_find(pool, 1, 7)->valid, 5);
	assert_int_equal(delta_find(pool, 2, 7)->cluster, 200);
	assert_null(delta_find(pool, 1, 8));
	assert_null(delta_find(pool, 3, 7));
	put(pool, 1, 7, 0, 0, 0);
	assert_int_equal(delta_find(pool, 1, 7)->cluster, 0);
}

static void applying_entries_are_seen_until_published(void **state)
{
	struct pool *pool = &((struct bare *)*state)->pool;
	struct told told = { 0 };

	assert_true(delta_is_empty(pool));
	put(pool, 1, 7, 100, 1, 0);
	put(pool, 1, 8, 101, 1, 0);
	assert_false(delta_is_empty(pool));
	delta_cut(pool);
	assert_true(delta_is_empty(pool));
	put(pool, 1, 8, 102, 1, 0);
	assert_int_equal(delta_find(pool, 1, 7)->cluster, 100);
	assert_int_equal(delta_find(pool, 1, 8)->cluster, 102); /* DE1 */
	assert_int_equal(delta_apply(NULL, pool, tell, &told), 0);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.cluster[1], 101);
	delta_publish(pool);
	assert_null(delta_find(pool, 1, 7));
	assert_int_equal(delta_find(pool, 1, 8)->cluster, 102);
}

static void entries_are_applied_in_order(void **state)
{
	static const uint64_t order[][2] = { { 9, 0 }, { 1, 1ull << 40 }, { 1, 3 }, { 1ull << 50, 2 },
					     { 9, 255 }, { 9, 256 }, { 1, 2 }, { 300, 1 } };
	struct pool *pool = &((struct bare *)*state)->pool;
	struct told told = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		put(pool, order[i][0], order[i][1], i + 1, 1, 0);
	delta_cut(pool);
	assert_int_equal(delta_apply(NULL, pool, tell, &told), 0);
	assert_int_equal(told.count, ARRAY_LEN(order));
	for (unsigned i = 1; i < told.count; i++)
		assert_true(told.object[i - 1] < told.object[i] ||
			    (told.object[i - 1] == told.object[i] &&
			     told.lcluster[i - 1] < told.lcluster[i]));
	delta_publish(pool);
}

static void unlogged_entries_are_taken_once_in_order(void **state)
{
	struct pool *pool = &((struct bare *)*state)->pool;
	struct delta_entry taken[8];

	put(pool, 1, 1, 10, 1, DELTA_UNLOGGED);
	put(pool, 1, 2, 20, 1, DELTA_UNLOGGED);
	put(pool, 1, 1, 10, 3, DELTA_UNLOGGED);
	put(pool, 1, 3, 30, 1, 0);
	assert_int_equal(delta_unlogged(pool), 2); /* DE5 */
	assert_int_equal(delta_take_unlogged(pool, taken, 8), 2);
	assert_int_equal(taken[0].lcluster, 1);
	assert_int_equal(taken[0].valid, 3);
	assert_int_equal(taken[1].lcluster, 2);
	assert_int_equal(delta_unlogged(pool), 0);
	put(pool, 1, 2, 20, 3, DELTA_UNLOGGED);
	assert_int_equal(delta_take_unlogged(pool, taken, 8), 1);
	assert_int_equal(taken[0].valid, 3);
	put(pool, 1, 5, 50, 1, DELTA_UNLOGGED);
	delta_cut(pool);
	assert_int_equal(delta_unlogged(pool), 0); /* the commit's business now */
	assert_int_equal(delta_take_unlogged(pool, taken, 8), 0);
	delta_publish(pool);
}

static void promises_end_when_the_table_is_full(void **state)
{
	struct pool *pool = &((struct bare *)*state)->pool;
	uint32_t count = 0;

	while (delta_promise(pool)) {
		put(pool, 1, count, count + 1, 1, 0);
		delta_unpromise(pool);
		count++;
	}
	assert_int_equal(count, DELTA_ROOM_MAX);
	assert_true(pool->commit.wanted.is_set);
	for (uint32_t i = 0; i < count; i += 997)
		assert_int_equal(delta_find(pool, 1, i)->cluster, i + 1);
	delta_cut(pool);
	assert_true(delta_promise(pool));
	delta_unpromise(pool);
	delta_publish(pool);
}

static void promises_are_kept_over_a_cut(void **state)
{
	struct pool *pool = &((struct bare *)*state)->pool;
	uint32_t count = 0;

	while (count < DELTA_ROOM_MIN && delta_promise(pool))
		count++;
	assert_int_equal(count, DELTA_ROOM_MIN);
	delta_cut(pool);
	for (uint32_t i = 0; i < count; i++)
		put(pool, 1, i, i + 1, 1, 0); /* DE2 */
	for (uint32_t i = 0; i < count; i++)
		delta_unpromise(pool);
	delta_publish(pool);
}

static void seek_finds_the_lowest(void **state)
{
	struct pool *pool = &((struct bare *)*state)->pool;

	assert_int_equal(delta_seek(pool, 1, 0, 1000000), 1000000);
	put(pool, 1, 500000, 1, 1, 0);
	put(pool, 1, 77, 1, 1, 0);
	put(pool, 2, 5, 1, 1, 0);
	delta_cut(pool);
	put(pool, 1, 200000, 1, 1, 0);
	assert_int_equal(delta_seek(pool, 1, 0, 1000000), 77);
	assert_int_equal(delta_seek(pool, 1, 78, 1000000), 200000);
	assert_int_equal(delta_seek(pool, 1, 200001, 1000000), 500000);
	assert_int_equal(delta_seek(pool, 1, 200001, 500000), 500000);
	assert_int_equal(delta_seek(pool, 1, 500001, 1000000), 1000000);
	assert_int_equal(delta_seek(pool, 1, 60, 70), 70);
	delta_publish(pool);
}

static void memory_that_fails_is_a_promise_refused(void **state)
{
	struct bare *bare = *state;
	struct pool *pool = &bare->pool;

	for (uint32_t i = 0; i < DELTA_ROOM_MIN; i++)
		put(pool, 1, i, i + 1, 1, 0);
	bare->heap.fail_at = bare->heap.allocs + 2;
	assert_false(delta_promise(pool));
	assert_int_equal(delta_find(pool, 1, 100)->cluster, 101);
	assert_true(delta_promise(pool));
	assert_int_equal(delta_find(pool, 1, 100)->cluster, 101);
	delta_unpromise(pool);
}

static void agrees_with_an_array(void **state)
{
	struct pool *pool = &((struct bare *)*state)->pool;
	static uint64_t model[2][4096];
	struct prng prng;

	memset(model, 0xff, sizeof(model));
	prng_init(&prng, 5, 5);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t object = prng_below(&prng, 2), lcluster = prng_below(&prng, 4096);
		const struct delta_entry *entry = delta_find(pool, object, lcluster);

		assert_int_equal(entry ? entry->cluster : UINT64_MAX, model[object][lcluster]);
		if (prng_below(&prng, 2)) {
			model[object][lcluster] = prng_below(&prng, 3) * i;
			put(pool, object, lcluster, model[object][lcluster], 1, 0);
		}
		if (i % 50000 == 49999) { /* what was applied is the tree's now: only the current remain */
			delta_cut(pool);
			delta_publish(pool);
			memset(model, 0xff, sizeof(model));
		}
	}
}

#define DELTA_TEST(name) cmocka_unit_test_setup_teardown(name, bare_setup, bare_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DELTA_TEST(newest_entry_is_found),
		DELTA_TEST(applying_entries_are_seen_until_published),
		DELTA_TEST(entries_are_applied_in_order),
		DELTA_TEST(unlogged_entries_are_taken_once_in_order),
		DELTA_TEST(promises_end_when_the_table_is_full),
		DELTA_TEST(promises_are_kept_over_a_cut),
		DELTA_TEST(seek_finds_the_lowest),
		DELTA_TEST(memory_that_fails_is_a_promise_refused),
		DELTA_TEST(agrees_with_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
