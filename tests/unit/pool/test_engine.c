// SPDX-License-Identifier: Apache-2.0
/*
 * Pages, counts, trees and transactions without replicas: maps with snapshots against arrays,
 * every count recounted after every commit, everything loaded again from the disk.
 */
#include "unit/unit.h"

#include "pool/catalog_priv.h"
#include "pool/check_priv.h"
#include "rig.h"

#define MAPS 6
#define KEYS 3000

struct model {
	struct tree_root root;
	bool used;
	uint64_t cluster[KEYS]; /* 0: unmapped */
};

struct engine {
	struct pool *pool;
	struct model *maps;
	struct prng prng;
};

static void pool_shape(struct pool *pool, uint32_t cluster_bytes)
{
	pool->super.cluster_bytes = cluster_bytes;
	pool->super.next_object = 1;
	pool->super.next_dead = UINT64_C(1) << 62;
	pool->super.log_mirror = SUPER_NO_MIRROR;
	pool->super.log_half_clusters = 1;
	memset(pool->super.pool.bytes, 0x5a, 16);
	memcpy(pool->super.name, "test", 5);
	pool->state = POOL_ONLINE;
	pool_engine_init(pool, 2 << 20);
}

static struct pool *pool_made(struct fiber *f, uint32_t cluster_bytes)
{
	struct pool *pool = mem_new(fiber_io(f), sizeof(*pool));

	assert_non_null(pool);
	pool->home = fiber_reactor(f);
	pool->mem = fiber_io(f)->mem;
	assert_int_equal(disk_open(f, "malloc:///d?size_mb=32768", false, &pool->disks[0]), 0);
	pool_shape(pool, cluster_bytes);
	pool->disks[0].clusters = disk_clusters(pool->disks[0].size_bytes, cluster_bytes);
	pool->super.disks[0] =
		(struct super_disk){ .clusters = pool->disks[0].clusters, .state = DISK_IN_USE };
	space_size(pool);
	return pool;
}

static void pool_gone(struct fiber *f, struct pool *pool)
{
	pool_engine_fini(pool);
	disk_close(f, &pool->disks[0]);
	mem_free(pool);
}

static void say(void *ctx, const char *line)
{
	(void)ctx;
	print_message("check: %s\n", line);
}

static void check(struct fiber *f, struct engine *e)
{
	struct tree_root roots[MAPS];
	struct pool_check_result result;
	unsigned count = 0;

	for (unsigned i = 0; i < MAPS; i++)
		if (e->maps[i].used)
			roots[count++] = e->maps[i].root;
	assert_int_equal(check_walk(f, e->pool, roots, count, say, NULL, &result), 0);
	assert_int_equal(result.errors, 0);
}

static void compare(struct fiber *f, struct engine *e)
{
	for (unsigned i = 0; i < MAPS; i++) {
		struct model *m = &e->maps[i];
		const struct tree tree = { TREE_MAP, 1, &m->root };

		for (uint64_t key = 0; m->used && key < KEYS; key++) {
			uint8_t value[MAP_VALUE_SIZE];
			int r = tree_find(f, e->pool, &tree, key, value, NULL);

			assert_int_equal(r, m->cluster[key] ? 0 : -ENOENT);
			if (r == 0)
				assert_int_equal(map_value_get(value).cluster, m->cluster[key]);
		}
	}
}

static uint64_t claim(struct fiber *f, struct pool *pool)
{
	uint64_t cluster;
	int r = space_claim(pool, SPACE_DATA, &cluster);

	if (r == -EAGAIN) {
		assert_int_equal(space_find(f, pool), 0);
		r = space_claim(pool, SPACE_DATA, &cluster);
	}
	assert_int_equal(r, 0);
	return cluster;
}

static void map_put_one(struct fiber *f, struct engine *e, struct model *m, uint64_t key)
{
	const struct tree tree = { TREE_MAP, 1, &m->root };
	struct map_value value = { .cluster = claim(f, e->pool), .valid = 0xf };
	uint8_t bytes[MAP_VALUE_SIZE];

	map_value_put(bytes, &value);
	assert_int_equal(tree_put(f, e->pool, &tree, key, bytes), 0);
	assert_int_equal(txn_count(e->pool, value.cluster, 1), 0);
	if (m->cluster[key])
		assert_int_equal(txn_count(e->pool, m->cluster[key], -1), 0);
	m->cluster[key] = value.cluster;
}

static void map_del_one(struct fiber *f, struct engine *e, struct model *m, uint64_t key)
{
	const struct tree tree = { TREE_MAP, 1, &m->root };
	uint8_t bytes[MAP_VALUE_SIZE];
	int r = tree_del(f, e->pool, &tree, key, bytes);

	assert_int_equal(r, m->cluster[key] ? 0 : -ENOENT);
	if (r == 0)
		assert_int_equal(txn_count(e->pool, m->cluster[key], -1), 0);
	m->cluster[key] = 0;
}

static void map_snap(struct engine *e, unsigned from, unsigned to)
{
	e->maps[to] = e->maps[from];
	if (e->maps[to].root.levels)
		assert_int_equal(refs_inc(e->pool, e->maps[to].root.root.name), 0);
}

static void map_drop(struct fiber *f, struct engine *e, struct model *m)
{
	assert_int_equal(reap_add(f, e->pool, TREE_MAP, &m->root), 0);
	*m = (struct model){ 0 };
}

static void change(struct fiber *f, struct engine *e)
{
	unsigned i = (unsigned)prng_below(&e->prng, MAPS), j = (unsigned)prng_below(&e->prng, MAPS);
	uint64_t dice = prng_below(&e->prng, 200), key = prng_below(&e->prng, KEYS);
	struct model *m = &e->maps[i];

	if (!m->used) {
		if (dice < 100)
			m->used = true;
		else if (e->maps[j].used)
			map_snap(e, j, i);
	} else if (dice == 0) {
		map_drop(f, e, m);
	} else if (dice < 120) {
		map_put_one(f, e, m, key);
	} else if (dice < 190) {
		map_del_one(f, e, m, key);
	} else { /* a run */
		for (uint64_t k = key; k < KEYS && k < key + 400; k++)
			if (dice < 195)
				map_put_one(f, e, m, k);
			else
				map_del_one(f, e, m, k);
	}
}

static void commit(struct fiber *f, struct engine *e)
{
	assert_int_equal(reap_step(f, e->pool), 0);
	for (unsigned i = 0; i < MAPS; i++) {
		const struct tree tree = { TREE_MAP, 1, &e->maps[i].root };

		assert_int_equal(tree_seal(e->pool, &tree), 0);
	}
	assert_int_equal(txn_settle(f, e->pool), 0);
	assert_int_equal(txn_write(f, e->pool), 0);
}

/* Forget everything in memory, and load it again through the superblock. */
static void reload(struct fiber *f, struct engine *e)
{
	struct pool *pool = e->pool;
	struct super super = pool->super;
	struct names freed = { 0 };

	pool_engine_fini(pool);
	pool_engine_init(pool, 2 << 20);
	pool->super = super;
	(void)freed;
	assert_int_equal(refs_load(f, pool, &super.refs_root, super.refs_pages), 0);
	space_size(pool);
}

static void run(struct fiber *f, uint32_t cluster_bytes, uint64_t seed)
{
	struct engine e = { .pool = pool_made(f, cluster_bytes) };

	prng_init(&e.prng, seed, 1);
	e.maps = mem_alloc_array(e.pool->mem, MAPS, sizeof(*e.maps));
	for (unsigned round = 0; round < 60; round++) {
		uint64_t changes = prng_below(&e.prng, 120);

		txn_begin(e.pool);
		for (uint64_t i = 0; i < changes; i++)
			change(f, &e);
		commit(f, &e);
		check(f, &e);
		if (round % 8 == 7)
			reload(f, &e);
		if (round % 4 == 3)
			compare(f, &e);
	}
	mem_free(e.maps);
	pool_gone(f, e.pool);
}

RIG_TEST(maps_with_snapshots_agree_with_arrays_and_counts)
{
	(void)rig;
	for (uint64_t seed = 0; seed < 4; seed++)
		run(f, 16384u << (seed % 4 * 2), seed);
}

RIG_TEST(everything_freed_comes_back)
{
	struct engine e = { .pool = pool_made(f, 65536) };
	uint64_t free;

	(void)rig;
	e.maps = mem_alloc_array(e.pool->mem, MAPS, sizeof(*e.maps));
	e.maps[0].used = true;
	txn_begin(e.pool);
	commit(f, &e);
	free = space_free(e.pool, SPACE_META) + e.pool->super.meta_clusters;
	txn_begin(e.pool);
	for (uint64_t key = 0; key < KEYS; key++)
		map_put_one(f, &e, &e.maps[0], key);
	map_snap(&e, 0, 1);
	commit(f, &e);
	assert_int_equal(e.pool->super.data_clusters, KEYS);
	for (unsigned i = 0; i < 2; i++) {
		txn_begin(e.pool);
		map_drop(f, &e, &e.maps[i]);
		commit(f, &e);
	}
	for (unsigned i = 0; i < 6; i++) {
		txn_begin(e.pool);
		commit(f, &e);
	}
	check(f, &e);
	assert_int_equal(e.pool->super.data_clusters, 0);
	assert_int_equal(space_free(e.pool, SPACE_META) + e.pool->super.meta_clusters, free);
	mem_free(e.maps);
	pool_gone(f, e.pool);
}

/* What stands in the holes of the struct does not count, every member does. */
static void a_root_is_the_same_by_its_members(void **state)
{
	struct tree_root a, b;

	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0xff, sizeof(b));
	a.root.name = b.root.name = 1;
	a.root.txg = b.root.txg = 2;
	a.root.crc = b.root.crc = 3;
	a.levels = b.levels = 4;
	a.entries = b.entries = 5;
	assert_true(tree_root_same(&a, &b));
	b.root.name++;
	assert_false(tree_root_same(&a, &b));
	b.root.name--;
	b.root.txg++;
	assert_false(tree_root_same(&a, &b));
	b.root.txg--;
	b.root.crc++;
	assert_false(tree_root_same(&a, &b));
	b.root.crc--;
	b.levels++;
	assert_false(tree_root_same(&a, &b));
	b.levels--;
	b.entries++;
	assert_false(tree_root_same(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_with_snapshots_agree_with_arrays_and_counts),
		cmocka_unit_test(everything_freed_comes_back),
		cmocka_unit_test(a_root_is_the_same_by_its_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
