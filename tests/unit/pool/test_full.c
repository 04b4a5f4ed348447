// SPDX-License-Identifier: Apache-2.0
/*
 * Pools that are full at any moment of a script: it is played again and again with one cluster
 * more to spare, until nothing is refused any more. Every step but those that only need metadata
 * may be refused with -ENOSPC; nothing else happens: all bytes are what they were, every count is
 * right, also after a crash, and what is unmapped and deleted can be written again at once.
 */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "pool_rig.h"

#define CLUSTER	 16384u
#define BLOCK	 4096u
#define PER	 (CLUSTER / BLOCK)
#define CLUSTERS 20u /* of an object, at most */
#define BLOCKS	 (CLUSTERS * PER)
#define OBJECTS	 6u

#if defined(__SANITIZE_ADDRESS__)
#define SPARE_STEP 7u
#else
#define SPARE_STEP 1u
#endif

struct thing {
	char name[8];
	unsigned clusters; /* 0: is not */
	uint8_t value[BLOCKS];
};

struct full {
	struct pool_rig pr;
	struct thing things[OBJECTS];
	uint8_t *buf; /* CLUSTER */
	uint8_t next;
	unsigned refused;
};

static struct thing *thing_add(struct full *full, const char *name, unsigned clusters,
			       const struct thing *from)
{
	struct thing *t = full->things;

	while (t->clusters)
		t++;
	*t = (struct thing){ .clusters = clusters };
	snprintf(t->name, sizeof(t->name), "%s", name);
	if (from)
		memcpy(t->value, from->value, sizeof(t->value));
	return t;
}

/* 0 or -ENOSPC, which has words. */
static bool done(struct fiber *f, struct full *full, int r)
{
	if (r == 0)
		return true;
	if (r != -ENOSPC)
		print_message("refused %d: %s\n", r, fiber_words(f));
	assert_int_equal(r, -ENOSPC);
	assert_true(fiber_words(f)[0] != 0);
	fiber_clear(f);
	full->refused++;
	return false;
}

/* ---- I/O --------------------------------------------------------------------------------------- */

struct open {
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint32_t per; /* device blocks of a BLOCK */
};

static struct open thing_open(struct fiber *f, const struct thing *t)
{
	char uri[32];
	struct open o;

	snprintf(uri, sizeof(uri), "pool:///p/%s", t->name);
	o.bdev = rig_open(f, uri);
	o.chan = rig_chan(f, o.bdev);
	o.per = BLOCK / o.bdev->block_size;
	return o;
}

static void thing_close(struct fiber *f, struct open *o)
{
	bdev_chan_close(f, o->chan);
	bdev_close(f, o->bdev);
}

/* Within one cluster: all of it, or nothing. */
static bool put(struct fiber *f, struct full *full, struct thing *t, unsigned block, unsigned count)
{
	uint8_t value = (uint8_t)(full->next++ % 250 + 1);
	struct open o = thing_open(f, t);
	bool ok;

	memset(full->buf, value, (size_t)count * BLOCK);
	ok = done(f, full, bdev_write(f, o.chan, block * o.per, count * o.per, full->buf, 0));
	if (ok)
		memset(t->value + block, value, count);
	thing_close(f, &o);
	return ok;
}

/* Never refused. */
static void drop(struct fiber *f, struct thing *t, unsigned block, unsigned count)
{
	struct open o = thing_open(f, t);

	pool_ok(f, bdev_unmap(f, o.chan, block * o.per, count * o.per));
	memset(t->value + block, 0, count);
	thing_close(f, &o);
}

static void expect(struct fiber *f, struct full *full, const struct thing *t)
{
	uint8_t want[BLOCK];
	struct open o = thing_open(f, t);

	for (unsigned i = 0; i < t->clusters * PER; i++) {
		memset(want, t->value[i], sizeof(want));
		pool_ok(f, bdev_read(f, o.chan, i * o.per, o.per, full->buf));
		assert_memory_equal(full->buf, want, sizeof(want));
	}
	thing_close(f, &o);
}

static void expect_all(struct fiber *f, struct full *full)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		if (full->things[i].clusters)
			expect(f, full, &full->things[i]);
	pool_rig_check(f, &full->pr);
}

/* ---- a pool with so many clusters to spare -------------------------------------------------------- */

static uint64_t clusters_free(struct pool *pool)
{
	struct pool_info info;

	pool_info(pool, &info);
	return (info.capacity_bytes - info.used_bytes - info.metadata_bytes - info.reserved_bytes) /
	       CLUSTER;
}

/* Promised to a thick replica, or (written) really used. */
static void ballast(struct fiber *f, struct full *full, unsigned spare, bool written)
{
	struct replica_create_args args = { .name = "ballast", .thick = !written };
	struct thing t = { .name = "ballast" };
	uint64_t count = clusters_free(full->pr.pool) - spare;

	args.size_bytes = count * CLUSTER;
	pool_ok(f, replica_create(f, full->pr.pool, &args));
	if (written) {
		struct open o = thing_open(f, &t);

		memset(full->buf, 0xba, BLOCK);
		for (uint64_t i = 0; i < count; i++)
			pool_ok(f, bdev_write(f, o.chan, i * PER * o.per, o.per, full->buf, 0));
		thing_close(f, &o);
	}
	pool_ok(f, pool_sync(f, full->pr.pool));
}

#define MEMORY "malloc:///d0?size_mb=64"

static void full_start(struct fiber *f, struct rig *rig, struct full *full, const char *uri)
{
	memset(full, 0, sizeof(*full));
	full->buf = io_buf_new(fiber_io(f), CLUSTER);
	assert_non_null(full->buf);
	pool_rig_start(f, rig, &full->pr, &uri, 1, CLUSTER);
}

static void full_stop(struct fiber *f, struct full *full)
{
	io_buf_free(fiber_io(f), full->buf, CLUSTER);
	pool_rig_stop(f, &full->pr);
}

/* ---- the script --------------------------------------------------------------------------------------- */

static struct thing *create(struct fiber *f, struct full *full, const char *name, unsigned clusters,
			    bool thick)
{
	const struct replica_create_args args = { .name = name,
						  .size_bytes = clusters * CLUSTER,
						  .thick = thick };

	if (!done(f, full, replica_create(f, full->pr.pool, &args)))
		return NULL;
	return thing_add(full, name, clusters, NULL);
}

/* A thick replica has what it needs, whatever else happens. */
static void script_thick(struct fiber *f, struct full *full)
{
	struct thing *t = create(f, full, "t", 4, true);
	unsigned refused = full->refused;

	for (unsigned i = 0; t && i < t->clusters; i++)
		put(f, full, t, i * PER + 1, 2);
	assert_int_equal(full->refused, refused);
	if (t && done(f, full, snapshot_create(f, full->pr.pool, "t", "ts", NULL))) {
		thing_add(full, "ts", 4, t);
		put(f, full, t, 0, PER);
		put(f, full, t, PER, 1);
	}
}

static void script(struct fiber *f, struct full *full)
{
	struct thing *v = create(f, full, "v", 16, false), *s, *c;

	for (unsigned i = 0; i < 8; i++)
		put(f, full, v, i * PER, i % 2 ? PER : 1);
	script_thick(f, full);
	pool_ok(f, snapshot_create(f, full->pr.pool, "v", "s", NULL));
	s = thing_add(full, "s", 16, v);
	for (unsigned i = 0; i < 6; i++) /* copies of whole clusters, and of blocks */
		put(f, full, v, i * PER, i % 3 ? 1 : PER);
	pool_ok(f, clone_create(f, full->pr.pool, "s", "c", NULL));
	c = thing_add(full, "c", 16, s);
	put(f, full, c, 0, 2);
	put(f, full, c, 12 * PER, PER);
	drop(f, c, 3 * PER + 1, 2);
	drop(f, v, 7 * PER, PER);
	if (done(f, full, replica_resize(f, full->pr.pool, "v", 18 * CLUSTER)))
		v->clusters = 18;
	put(f, full, v, 15 * PER, 3);
	if (v->clusters == 18)
		put(f, full, v, 17 * PER, PER);
}

/* Unmap and delete work, and what they give back can be written. */
static void relief(struct fiber *f, struct full *full)
{
	struct thing *v = &full->things[0];
	struct pool_info before, after;

	pool_info(full->pr.pool, &before);
	drop(f, v, 0, v->clusters * PER);
	for (unsigned i = OBJECTS; i-- > 1;) {
		struct thing *t = &full->things[i];

		if (!t->clusters)
			continue;
		if (strchr(t->name, 's'))
			pool_ok(f, snapshot_destroy(f, full->pr.pool, t->name));
		else
			pool_ok(f, replica_destroy(f, full->pr.pool, t->name));
		t->clusters = 0;
	}
	pool_ok(f, pool_reap_wait(f, full->pr.pool));
	pool_ok(f, pool_sync(f, full->pr.pool));
	pool_info(full->pr.pool, &after);
	for (unsigned i = 0;
	     i < (before.used_bytes - after.used_bytes) / CLUSTER && i < v->clusters; i++)
		assert_true(put(f, full, v, i * PER, PER));
}

/* True: nothing was refused. */
static bool play(struct fiber *f, struct rig *rig, const char *uri, unsigned spare, bool written)
{
	struct full full;

	full_start(f, rig, &full, uri);
	ballast(f, &full, spare, written);
	script(f, &full);
	expect_all(f, &full);
	if (uri[0] != 'm') /* a volatile disk: what was not flushed may go */
		pool_ok(f, pool_sync(f, full.pr.pool));
	pool_rig_crash(f, &full.pr);
	expect_all(f, &full);
	relief(f, &full);
	expect_all(f, &full);
	pool_rig_remount(f, &full.pr);
	expect_all(f, &full);
	full_stop(f, &full);
	return full.refused == 0;
}

/* A new file each time. */
static bool play_volatile(struct fiber *f, struct rig *rig, unsigned spare)
{
	char name[16], uri[256];

	snprintf(name, sizeof(name), "a%u", spare);
	rig_file(rig, name, 64 << 20);
	snprintf(uri, sizeof(uri), "file://%s/%s", rig->dir, name);
	return play(f, rig, uri, spare, false);
}

static void sweep(struct fiber *f, struct rig *rig, bool written)
{
	unsigned spare = 0;

	while (!play(f, rig, MEMORY, spare, written))
		spare += SPARE_STEP;
	print_message("# nothing is refused from %u clusters on\n", spare);
	assert_true(spare > 12 && spare < 40);
}

RIG_TEST(pool_is_full_at_every_allocation)
{
	sweep(f, rig, true);
}

RIG_TEST(pool_is_promised_at_every_allocation)
{
	sweep(f, rig, false);
}

RIG_TEST(volatile_pool_is_full_at_allocations)
{
	unsigned spare = 0;

	while (!play_volatile(f, rig, spare))
		spare += 5;
	assert_true(spare > 12 && spare < 40);
}

/* ---- metadata ------------------------------------------------------------------------------------------- */

#define SNAPSHOTS_MAX 500u

/* Each keeps pages of the map that unmaps had to copy. The number of the first that is refused. */
static unsigned snapshots_until_refused(struct fiber *f, struct full *full, struct open *o)
{
	uint64_t clusters = o->bdev->blocks / o->per / PER;
	unsigned count = 0;
	char name[16];

	for (; count < SNAPSHOTS_MAX; count++) {
		snprintf(name, sizeof(name), "s%u", count);
		if (!done(f, full, snapshot_create(f, full->pr.pool, "ballast", name, NULL)))
			break;
		for (uint64_t i = count % 150; i < clusters; i += 150)
			pool_ok(f, bdev_unmap(f, o->chan, i * PER * o->per, o->per));
	}
	return count;
}

RIG_TEST(metadata_that_runs_out_leaves_room_to_unmap_and_delete) /* SP5 */
{
	struct thing t = { .name = "ballast" };
	struct full full;
	struct open o;
	unsigned count;
	char name[16];

	full_start(f, rig, &full, MEMORY);
	ballast(f, &full, 0, true);
	o = thing_open(f, &t);
	count = snapshots_until_refused(f, &full, &o);
	assert_true(count > 10 && count < SNAPSHOTS_MAX);
	assert_int_equal(clone_create(f, full.pr.pool, "s0", "c", NULL), -ENOSPC);
	fiber_clear(f);
	for (uint64_t i = 0; i < o.bdev->blocks / o.per; i += 2 * PER)
		pool_ok(f, bdev_unmap(f, o.chan, i * o.per, o.per));
	thing_close(f, &o);
	pool_rig_check(f, &full.pr);
	pool_rig_crash(f, &full.pr);
	while (count-- > 0) {
		snprintf(name, sizeof(name), "s%u", count);
		pool_ok(f, snapshot_destroy(f, full.pr.pool, name));
	}
	pool_ok(f, pool_reap_wait(f, full.pr.pool));
	pool_rig_check(f, &full.pr);
	o = thing_open(f, &t);
	memset(full.buf, 0x77, BLOCK);
	for (uint64_t i = 0; i < o.bdev->blocks / o.per; i += 2 * PER)
		pool_ok(f, bdev_write(f, o.chan, i * o.per, o.per, full.buf, 0));
	pool_ok(f, snapshot_create(f, full.pr.pool, "ballast", "again", NULL));
	thing_close(f, &o);
	pool_rig_check(f, &full.pr);
	full_stop(f, &full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_is_full_at_every_allocation),
		cmocka_unit_test(pool_is_promised_at_every_allocation),
		cmocka_unit_test(volatile_pool_is_full_at_allocations),
		cmocka_unit_test(metadata_that_runs_out_leaves_room_to_unmap_and_delete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
