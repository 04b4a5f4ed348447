// SPDX-License-Identifier: Apache-2.0
/*
 * Random operations on many replicas, snapshots and clones against arrays, byte for byte,
 * with remounts, crashes of the process, and everything recounted.
 *
 * A block (512 bytes) of the model is a tag; its bytes follow from it, 0 is zeros.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "pool_rig.h"

#define OBJECTS 10
#define BLOCKS	8192u /* 4 MiB */
#define BLOCK	512u
#define RUN_MAX 600u

struct object {
	bool used, snapshot, clone;
	char name[32], parent[32];
	uint32_t blocks;
	uint32_t *tags; /* 2 x BLOCKS */
	struct bdev *bdev;
	struct bdev_chan *chan;
};

struct model {
	struct fiber *f;
	struct pool_rig pr;
	struct prng prng;
	struct object objects[OBJECTS];
	uint32_t next_tag, next_name;
	uint8_t *buf, *want;
};

static void fill(uint8_t *at, uint32_t tag)
{
	for (unsigned i = 0; i < BLOCK; i += 4) {
		uint32_t word = tag ? tag * 2654435761u + i : 0;

		memcpy(at + i, &word, 4);
	}
}

static void object_open(struct model *m, struct object *o)
{
	char uri[128];

	if (o->bdev)
		return;
	snprintf(uri, sizeof(uri), "pool:///p/%s", o->name);
	o->bdev = rig_open(m->f, uri);
	o->chan = rig_chan(m->f, o->bdev);
	assert_int_equal(o->bdev->blocks * o->bdev->block_size, (uint64_t)o->blocks * BLOCK);
}

static void object_close(struct model *m, struct object *o)
{
	if (!o->bdev)
		return;
	bdev_chan_close(m->f, o->chan);
	bdev_close(m->f, o->bdev);
	o->bdev = NULL;
}

static void verify(struct model *m, struct object *o, uint32_t lba, uint32_t blocks)
{
	object_open(m, o);
	pool_ok(m->f, bdev_read(m->f, o->chan, lba, blocks, m->buf));
	for (uint32_t i = 0; i < blocks; i++) {
		fill(m->want, o->tags[lba + i]);
		if (memcmp(m->buf + (size_t)i * BLOCK, m->want, BLOCK) != 0)
			print_message("'%s' block %u: tag %u is not there\n", o->name, lba + i,
				      o->tags[lba + i]);
		assert_memory_equal(m->buf + (size_t)i * BLOCK, m->want, BLOCK);
	}
}

static void verify_all(struct model *m)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		for (uint32_t lba = 0; m->objects[i].used && lba < m->objects[i].blocks;
		     lba += 1024)
			verify(m, &m->objects[i], lba, 1024);
}

static void pick_range(struct model *m, const struct object *o, uint32_t *lba, uint32_t *blocks)
{
	*lba = (uint32_t)prng_below(&m->prng, o->blocks);
	*blocks = 1 + (uint32_t)prng_below(&m->prng, prng_below(&m->prng, 4) ? 24 : RUN_MAX);
	if (prng_below(&m->prng, 3) == 0) { /* whole blocks of 4 KiB */
		*lba &= ~7u;
		*blocks = (*blocks + 7) & ~7u;
	}
	*blocks = *blocks < o->blocks - *lba ? *blocks : o->blocks - *lba;
}

static void do_write(struct model *m, struct object *o)
{
	uint32_t lba, blocks;

	pick_range(m, o, &lba, &blocks);
	for (uint32_t i = 0; i < blocks; i++) {
		o->tags[lba + i] = ++m->next_tag;
		fill(m->buf + (size_t)i * BLOCK, o->tags[lba + i]);
	}
	object_open(m, o);
	pool_ok(m->f, bdev_write(m->f, o->chan, lba, blocks, m->buf,
				 prng_below(&m->prng, 4) ? 0 : BIO_FUA));
}

static void do_zero(struct model *m, struct object *o, bool unmap)
{
	uint32_t lba, blocks;

	pick_range(m, o, &lba, &blocks);
	if (prng_below(&m->prng, 4) == 0) {
		lba &= ~127u;
		blocks = o->blocks - lba < 512 ? o->blocks - lba : 512;
	}
	memset(o->tags + lba, 0, blocks * sizeof(o->tags[0]));
	object_open(m, o);
	if (unmap)
		pool_ok(m->f, bdev_unmap(m->f, o->chan, lba, blocks));
	else
		pool_ok(m->f, bdev_zeroes(m->f, o->chan, lba, blocks, 0));
}

static struct object *slot_free(struct model *m)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		if (!m->objects[i].used)
			return &m->objects[i];
	return NULL;
}

static struct object *object_new(struct model *m, uint32_t blocks)
{
	struct object *o = slot_free(m);

	if (!o)
		return NULL;
	*o = (struct object){ .used = true, .blocks = blocks };
	o->tags = calloc(2 * BLOCKS, sizeof(*o->tags));
	snprintf(o->name, sizeof(o->name), "o%u", m->next_name++);
	return o;
}

static void do_create(struct model *m)
{
	struct object *o = object_new(m, BLOCKS);
	struct replica_create_args args = { .size_bytes = (uint64_t)BLOCKS * BLOCK,
					    .thick = prng_below(&m->prng, 4) == 0 };

	if (!o)
		return;
	args.name = o->name;
	pool_ok(m->f, replica_create(m->f, m->pr.pool, &args));
}

static void do_derive(struct model *m, struct object *from)
{
	struct object *o = object_new(m, from->blocks);

	if (!o)
		return;
	memcpy(o->tags, from->tags, 2 * BLOCKS * sizeof(*o->tags));
	memcpy(o->parent, from->name, sizeof(o->parent));
	o->snapshot = !from->snapshot;
	o->clone = from->snapshot;
	if (o->snapshot)
		pool_ok(m->f, snapshot_create(m->f, m->pr.pool, from->name, o->name, NULL));
	else
		pool_ok(m->f, clone_create(m->f, m->pr.pool, from->name, o->name, NULL));
}

static void do_destroy(struct model *m, struct object *o)
{
	object_close(m, o);
	if (o->snapshot)
		pool_ok(m->f, snapshot_destroy(m->f, m->pr.pool, o->name));
	else
		pool_ok(m->f, replica_destroy(m->f, m->pr.pool, o->name));
	for (unsigned i = 0; o->snapshot && i < OBJECTS; i++)
		if (m->objects[i].clone && m->objects[i].used &&
		    strcmp(m->objects[i].parent, o->name) == 0) {
			struct replica_stat stat;

			pool_ok(m->f, replica_stat(m->f, m->pr.pool, o->name, &stat));
			assert_true(stat.discarded); /* goes with its last clone */
		}
	free(o->tags);
	o->used = false;
}

static void do_resize(struct model *m, struct object *o)
{
	if (o->snapshot || o->blocks > BLOCKS)
		return;
	object_close(m, o);
	o->blocks += 1024 * (1 + (uint32_t)prng_below(&m->prng, 4));
	o->blocks = (o->blocks + 2047) & ~2047u; /* whole clusters of any size */
	pool_ok(m->f, replica_resize(m->f, m->pr.pool, o->name, (uint64_t)o->blocks * BLOCK));
}

static void close_all(struct model *m)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		if (m->objects[i].used)
			object_close(m, &m->objects[i]);
}

static void step(struct model *m)
{
	struct object *o = &m->objects[prng_below(&m->prng, OBJECTS)];
	uint64_t dice = prng_below(&m->prng, 1000);

	if (dice < 4)
		do_create(m);
	else if (!o->used)
		return;
	else if (dice < 10)
		do_derive(m, o);
	else if (dice < 18)
		do_destroy(m, o);
	else if (dice < 20)
		do_resize(m, o);
	else if (dice < 22)
		pool_ok(m->f, pool_sync(m->f, m->pr.pool));
	else if (dice < 26 && o->bdev)
		pool_ok(m->f, bdev_flush(m->f, o->chan));
	else if (dice < 500 && !o->snapshot)
		do_write(m, o);
	else if (dice < 700 && !o->snapshot)
		do_zero(m, o, dice & 1);
	else {
		uint32_t lba, blocks;

		pick_range(m, o, &lba, &blocks);
		verify(m, o, lba, blocks);
	}
}

static void model_run(struct fiber *f, struct rig *rig, uint64_t seed, unsigned steps)
{
	static const char *const uris[] = { "malloc:///d0?size_mb=1024",
					    "malloc:///d1?size_mb=512" };
	struct model m = { .f = f };

	prng_init(&m.prng, seed, 7);
	m.buf = malloc((size_t)1024 * BLOCK);
	m.want = malloc(BLOCK);
	pool_rig_start(f, rig, &m.pr, uris, 1 + seed % 2, 16384u << (seed % 7));
	for (unsigned i = 0; i < steps; i++) {
		step(&m);
		if (i % 1500 == 1499) {
			close_all(&m);
			if (i % 3000 == 1499)
				pool_rig_crash(f, &m.pr);
			else
				pool_rig_remount(f, &m.pr);
			verify_all(&m);
			pool_rig_check(f, &m.pr);
		}
	}
	verify_all(&m);
	close_all(&m);
	pool_rig_check(f, &m.pr);
	for (unsigned i = 0; i < OBJECTS; i++)
		if (m.objects[i].used)
			free(m.objects[i].tags);
	pool_rig_stop(f, &m.pr);
	free(m.buf);
	free(m.want);
}

RIG_TEST(random_operations_agree_with_arrays)
{
	const char *steps = getenv("POOL_MODEL_STEPS"), *seeds = getenv("POOL_MODEL_SEEDS");
	uint64_t count = seeds ? strtoull(seeds, NULL, 10) : 7;

	for (uint64_t seed = 0; seed < count; seed++)
		model_run(f, rig, seed, steps ? (unsigned)strtoul(steps, NULL, 10) : 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_operations_agree_with_arrays) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
