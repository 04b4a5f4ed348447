// SPDX-License-Identifier: Apache-2.0
/* player - see player.h. */
#include "player.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "pool/check_priv.h"
#include "pool/pool.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"
#include "sim/check.h"

#define CACHE_BYTES   (256u << 10)
#define BLOCK_SECTORS 8u
#define BURST_BIOS    3u
#define BURST_SECTORS (HISTORY_SECTORS / BURST_BIOS / 8 * 8)
#define OBJECT_CLUSTERS 4u

const char *step_name(enum step step)
{
	static const char *const names[] = { "create", "write", "fua", "flush", "snapshot", "clone",
					     "delete", "unmap", "resize", "grow", "sync", "burst",
					     "remount", "read" };

	return names[step];
}

static uint64_t events(const struct player *p)
{
	return p->log ? disk_log_events(p->log) : 0;
}

static struct when begin(struct player *p)
{
	return when_begin(p->h, p->life, events(p));
}

static bool ok(struct fiber *f, struct player *p, const char *what, const char *name, int r)
{
	if (r == 0)
		return true;
	sim_fail(p->sim, "%s %s: %d %s", what, name, r, fiber_words(f));
	fiber_clear(f);
	return false;
}

/* -ENOSPC of a full pool is an answer, too: *ret_full. */
static bool ok_or_full(struct fiber *f, struct player *p, const char *what, const char *name, int r,
		       bool *ret_full)
{
	*ret_full = r == -ENOSPC && p->ballast;
	if (!*ret_full)
		return ok(f, p, what, name, r);
	fiber_clear(f);
	sim_trace(p->sim, "play: %s %s: full", what, name);
	return false;
}

/* ---- the pool -------------------------------------------------------------------------- */

static const char *const uris[] = { PLAYER_URI };

int player_create(struct fiber *f, struct player *p)
{
	const struct pool_create_args args = { .name = "p", .disks = uris, .disk_count = 1,
					       .cluster_bytes = p->cluster_bytes,
					       .cache_bytes = CACHE_BYTES,
					       .overcommit_percent = 10000 };
	int r = pool_create(f, &args, &p->pool);

	ok(f, p, "pool", "create", r);
	return r;
}

int player_import(struct fiber *f, struct player *p)
{
	const struct pool_import_args args = { .disks = uris, .disk_count = 1,
					       .cache_bytes = CACHE_BYTES };
	struct pool_info info;
	int r = pool_import(f, &args, &p->pool);

	if (!ok(f, p, "pool", "import", r))
		return r;
	pool_info(p->pool, &info);
	if (info.state != POOL_ONLINE)
		sim_fail(p->sim, "the pool is not online: %s", info.why);
	return 0;
}

int player_export(struct fiber *f, struct player *p)
{
	int r = pool_export(f, p->pool);

	p->pool = NULL;
	ok(f, p, "pool", "export", r);
	return r;
}

/* ---- choosing ---------------------------------------------------------------------------- */

static struct object *pick(struct player *p, bool (*fits)(const struct player *, const struct object *))
{
	struct object *found = NULL;
	uint64_t seen = 0;

	for (unsigned i = 0; i < p->h->object_count; i++) {
		struct object *o = &p->h->objects[i];

		if (object_is_alive(o) && fits(p, o) && prng_below(&p->prng, ++seen) == 0)
			found = o;
	}
	return found;
}

static unsigned alive(const struct player *p)
{
	unsigned count = 0;

	for (unsigned i = 0; i < p->h->object_count; i++)
		count += object_is_alive(&p->h->objects[i]);
	return count;
}

static bool is_writable(const struct player *p, const struct object *o)
{
	(void)p;
	return o->kind != OBJECT_SNAPSHOT;
}

static bool is_snapshot(const struct player *p, const struct object *o)
{
	return !is_writable(p, o);
}

static bool is_any(const struct player *p, const struct object *o)
{
	(void)p;
	(void)o;
	return true;
}

static bool can_grow(const struct player *p, const struct object *o)
{
	return is_writable(p, o) && o->size_count < HISTORY_SIZES &&
	       object_sectors(o) + p->cluster_bytes / HISTORY_SECTOR <= HISTORY_SECTORS;
}

/* Whole clusters, whole blocks of 4 KiB, or any sectors; up to two clusters. */
static void pick_range(struct player *p, const struct object *o, uint32_t *first, uint32_t *count)
{
	static const uint32_t units_small[] = { 1, 8 };
	uint64_t kind = prng_below(&p->prng, 4);
	uint32_t per_cluster = p->cluster_bytes / HISTORY_SECTOR, sectors = object_sectors(o);
	uint32_t unit = kind < 2 ? units_small[kind] : kind == 2 ? 8 : per_cluster;
	uint32_t most = 2 * per_cluster / unit;

	*first = (uint32_t)prng_below(&p->prng, sectors / unit) * unit;
	*count = (uint32_t)prng_range(&p->prng, 1, most < 12 ? most : 12) * unit;
	if (*count > sectors - *first)
		*count = sectors - *first;
}

/* ---- I/O ------------------------------------------------------------------------------------ */

struct open {
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint32_t per; /* sectors of a block */
};

static bool open_object(struct fiber *f, struct player *p, const struct object *o, struct open *open)
{
	char uri[64];

	snprintf(uri, sizeof(uri), "pool:///p/%s", o->name);
	if (!ok(f, p, "open", o->name, bdev_open(f, uri, &open->bdev)))
		return false;
	open->per = open->bdev->block_size / HISTORY_SECTOR;
	if (ok(f, p, "channel", o->name, bdev_chan_open(f, open->bdev, &open->chan)))
		return true;
	bdev_close(f, open->bdev);
	return false;
}

static void close_object(struct fiber *f, struct open *open)
{
	bdev_chan_close(f, open->chan);
	bdev_close(f, open->bdev);
}

static void fill(uint8_t *buf, uint32_t first, uint32_t count, uint32_t serial)
{
	for (uint32_t i = 0; i < count; i++)
		pattern_fill(buf + (size_t)i * HISTORY_SECTOR, HISTORY_SECTOR, PLAYER_SEED, first + i, serial);
}

static void step_write(struct fiber *f, struct player *p, bool fua)
{
	struct object *o = pick(p, is_writable);
	struct change *c;
	struct open open;
	uint32_t first, count;
	bool full;

	if (!o || !open_object(f, p, o, &open))
		return;
	pick_range(p, o, &first, &count);
	c = history_change(p->h, history_index(p->h, o), first, count, false, begin(p));
	fill(p->buf, first, count, c->serial);
	sim_trace(p->sim, "play: write%s %s %u+%u = %u", fua ? " fua" : "", o->name, first, count, c->serial);
	if (ok_or_full(f, p, "write", o->name,
		       bdev_write(f, open.chan, first / open.per, count / open.per, p->buf, fua ? BIO_FUA : 0),
		       &full))
		history_acked(p->h, c, events(p), fua);
	else if (full)
		history_refused(p->h, c, events(p));
	close_object(f, &open);
}

static void step_unmap(struct fiber *f, struct player *p)
{
	struct object *o = pick(p, is_writable);
	bool unmap = prng_below(&p->prng, 3) != 0, fua = !unmap && prng_below(&p->prng, 2);
	struct change *c;
	struct open open;
	uint32_t first, count;
	bool full;
	int r;

	if (!o || !open_object(f, p, o, &open))
		return;
	pick_range(p, o, &first, &count);
	c = history_change(p->h, history_index(p->h, o), first, count, true, begin(p));
	sim_trace(p->sim, "play: %s%s %s %u+%u", unmap ? "unmap" : "zeroes", fua ? " fua" : "", o->name, first,
		  count);
	r = unmap ? bdev_unmap(f, open.chan, first / open.per, count / open.per)
		  : bdev_zeroes(f, open.chan, first / open.per, count / open.per, fua ? BIO_FUA : 0);
	/* Freeing needs no space (P7), but a part of a block that is shared must be zeroed in a copy. */
	full = false;
	if ((first | count) % BLOCK_SECTORS ? ok_or_full(f, p, "unmap", o->name, r, &full)
					    : ok(f, p, "unmap", o->name, r))
		history_acked(p->h, c, events(p), fua);
	else if (full)
		history_refused(p->h, c, events(p));
	close_object(f, &open);
}

static void step_flush(struct fiber *f, struct player *p)
{
	struct object *o = pick(p, is_writable);
	struct when when;
	struct open open;

	if (!o || !open_object(f, p, o, &open))
		return;
	when = begin(p);
	sim_trace(p->sim, "play: flush %s", o->name);
	if (ok(f, p, "flush", o->name, bdev_flush(f, open.chan))) {
		when_end(p->h, &when, events(p));
		history_flushed(p->h, (int)history_index(p->h, o), &when);
	}
	close_object(f, &open);
}

static bool read_is_legal(struct history *h, const struct object *o, uint32_t sector, const uint8_t *bytes,
			  const struct crash_at *at, const char **ret_what, uint64_t *ret_serial)
{
	enum pattern_kind kind = pattern_look(bytes, PLAYER_SEED, sector, 0, ret_serial);

	*ret_what = kind == PATTERN_BAD ? "is bad" : kind == PATTERN_ELSEWHERE ? "is of elsewhere" : "is stale";
	return kind != PATTERN_BAD && kind != PATTERN_ELSEWHERE &&
	       history_may_hold(h, o, sector, (uint32_t)*ret_serial, at);
}

static void read_object(struct fiber *f, struct player *p, const struct object *o, uint32_t sectors,
			const struct crash_at *at)
{
	struct open open;
	const char *what;
	uint64_t serial = 0;

	if (!open_object(f, p, o, &open))
		return;
	memset(p->buf, 0x5a, (size_t)sectors * HISTORY_SECTOR);
	if (ok(f, p, "read", o->name, bdev_read(f, open.chan, 0, sectors / open.per, p->buf)))
		for (uint32_t s = 0; s < sectors; s++)
			if (!read_is_legal(p->h, o, s, p->buf + (size_t)s * HISTORY_SECTOR, at, &what, &serial)) {
				sim_fail(p->sim, "%s: sector %u %s (%u)", o->name, s, what, (unsigned)serial);
				break;
			}
	close_object(f, &open);
}

/* Now, of one that is alive: every change that has ended has happened. */
static void step_read(struct fiber *f, struct player *p)
{
	struct object *o = pick(p, is_any);
	const struct crash_at at = { .events = { HISTORY_NEVER - 1, HISTORY_NEVER - 1 } };

	if (o)
		read_object(f, p, o, object_sectors(o), &at);
}

/* ---- several at a time ------------------------------------------------------------------------ */

static void step_sync(struct fiber *f, struct player *p)
{
	struct when when = begin(p);

	sim_trace(p->sim, "play: sync");
	if (!ok(f, p, "sync", "pool", pool_sync(f, p->pool)))
		return;
	when_end(p->h, &when, events(p));
	history_flushed(p->h, -1, &when);
}

static int sync_main(struct fiber *f, void *arg)
{
	struct player *p = arg;

	if (fiber_sleep(f, prng_below(&p->prng, SIM_MS)) == 0)
		step_sync(f, p);
	return 0;
}

struct burst_bio {
	struct burst *burst;
	struct change *change;
	uint8_t *buf;
	struct iovec iov;
	struct bio *bio;
	bool fua, flush;
	struct when when;
};

struct burst {
	struct player *p;
	struct event ended;
	unsigned busy, object;
	struct burst_bio bios[BURST_BIOS];
};

static void burst_done(struct bio *bio)
{
	struct burst_bio *b = bio->layer_priv;
	struct player *p = b->burst->p;

	if (bio->status == -ENOSPC && p->ballast && !b->flush) {
		history_refused(p->h, b->change, events(p));
	} else if (bio->status < 0) {
		sim_fail(p->sim, "%s: %d", bio_op_name(bio->op), bio->status);
	} else if (b->flush) {
		when_end(p->h, &b->when, events(p));
		history_flushed(p->h, (int)b->burst->object, &b->when);
	} else {
		history_acked(p->h, b->change, events(p), b->fua);
	}
	if (--b->burst->busy == 0)
		event_set(&b->burst->ended);
}

static void burst_add(struct burst *burst, unsigned i, const struct object *o, struct open *open, uint8_t *buf)
{
	struct player *p = burst->p;
	struct burst_bio *b = &burst->bios[i];
	uint64_t dice = prng_below(&p->prng, 6);
	uint32_t first, count;

	pick_range(p, o, &first, &count);
	count = min_u32(count, BURST_SECTORS);
	b->burst = burst;
	b->bio = bio_new(open->chan);
	must(b->bio);
	b->fua = dice == 0;
	b->flush = dice == 1;
	b->iov = (struct iovec){ buf, (size_t)count * HISTORY_SECTOR };
	if (b->flush) {
		b->when = begin(p);
		bio_prep(b->bio, open->chan, BIO_FLUSH, 0, 0, NULL, 0, burst_done);
	} else {
		b->change = history_change(p->h, burst->object, first, count, dice == 2, begin(p));
		if (dice != 2)
			fill(buf, first, count, b->change->serial);
		bio_prep(b->bio, open->chan, dice == 2 ? BIO_UNMAP : BIO_WRITE, first / open->per,
			 count / open->per, dice == 2 ? NULL : &b->iov, dice != 2, burst_done);
		sim_trace(p->sim, "play: burst %s%s %s %u+%u = %u", bio_op_name(b->bio->op),
			  b->fua ? " fua" : "", o->name, first, count, b->change->serial);
	}
	b->bio->flags |= b->fua ? BIO_FUA : 0;
	b->bio->layer_priv = b;
	burst->busy++;
}

static void step_burst(struct fiber *f, struct player *p)
{
	struct object *o = pick(p, is_writable);
	struct burst burst = { .p = p };
	struct fiber *sync = NULL;
	struct open open;

	if (!o || !open_object(f, p, o, &open))
		return;
	event_init(&burst.ended);
	burst.busy = 1; /* while they are made */
	burst.object = history_index(p->h, o);
	if (prng_below(&p->prng, 2)) /* a commit at the same time */
		must(fiber_start(fiber_reactor(f), "sync", sync_main, p, &sync) == 0);
	for (unsigned i = 0; i < BURST_BIOS; i++) {
		if (sync && fiber_sleep(f, prng_below(&p->prng, SIM_MS)) < 0)
			break;
		burst_add(&burst, i, o, &open, p->buf + (size_t)i * BURST_SECTORS * HISTORY_SECTOR);
		bio_submit(burst.bios[i].bio);
	}
	if (--burst.busy)
		event_wait_always(f, &burst.ended);
	if (sync)
		(void)fiber_join(f, sync);
	for (unsigned i = 0; i < BURST_BIOS; i++)
		mem_free(burst.bios[i].bio);
	close_object(f, &open);
}

/* ---- ballast --------------------------------------------------------------------------------------- */

#define BALLAST "ballast"
#define BALLAST_BLOCK 4096u
#define BALLAST_SERIAL 7u
#define BALLAST_LOOKS 4u

void player_fill(struct fiber *f, struct player *p)
{
	struct replica_create_args args = { .name = BALLAST };
	struct object o = { .name = BALLAST };
	struct pool_info info;
	struct open open;
	uint64_t used;

	pool_info(p->pool, &info);
	used = info.used_bytes + info.metadata_bytes + info.reserved_bytes + (uint64_t)p->spare * p->cluster_bytes;
	p->ballast = (uint32_t)((info.capacity_bytes - used) / p->cluster_bytes);
	args.size_bytes = (uint64_t)p->ballast * p->cluster_bytes;
	if (!ok(f, p, "create", BALLAST, replica_create(f, p->pool, &args)) || !open_object(f, p, &o, &open))
		return;
	for (uint32_t i = 0; i < p->ballast; i++) {
		uint64_t first = (uint64_t)i * p->cluster_bytes / HISTORY_SECTOR;

		fill(p->buf, (uint32_t)first, BALLAST_BLOCK / HISTORY_SECTOR, BALLAST_SERIAL);
		if (!ok(f, p, "write", BALLAST, bdev_write(f, open.chan, first / open.per,
							   BALLAST_BLOCK / HISTORY_SECTOR / open.per, p->buf, 0)))
			break;
	}
	ok(f, p, "flush", BALLAST, bdev_flush(f, open.chan));
	close_object(f, &open);
}

/* A few places of it: nobody has written there. */
static void ballast_look(struct fiber *f, struct player *p)
{
	struct object o = { .name = BALLAST };
	struct open open;

	if (!p->ballast || !open_object(f, p, &o, &open))
		return;
	for (unsigned i = 0; i < BALLAST_LOOKS; i++) {
		uint64_t first = prng_below(&p->prng, p->ballast) * p->cluster_bytes / HISTORY_SECTOR, serial = 0;

		if (ok(f, p, "read", BALLAST, bdev_read(f, open.chan, first / open.per,
							BALLAST_BLOCK / HISTORY_SECTOR / open.per, p->buf)) &&
		    (pattern_look(p->buf, PLAYER_SEED, first, 0, &serial) != PATTERN_GOOD ||
		     serial != BALLAST_SERIAL))
			sim_fail(p->sim, BALLAST " is overwritten at sector %u", (unsigned)first);
	}
	close_object(f, &open);
}

/* ---- administration ------------------------------------------------------------------------------ */

static void step_create(struct fiber *f, struct player *p)
{
	struct replica_create_args args = { .size_bytes = (uint64_t)OBJECT_CLUSTERS * p->cluster_bytes,
					    .thick = prng_below(&p->prng, 4) == 0 };
	struct object *o;
	bool full;

	if (args.size_bytes > PLAYER_BUF)
		args.size_bytes = PLAYER_BUF;
	o = alive(p) < p->replicas_max
		    ? history_object(p->h, "r", OBJECT_REPLICA, -1,
				     (uint32_t)(args.size_bytes / HISTORY_SECTOR), begin(p))
		    : NULL;
	if (!o)
		return;
	args.name = o->name;
	sim_trace(p->sim, "play: create %s", o->name);
	if (ok_or_full(f, p, "create", o->name, replica_create(f, p->pool, &args), &full))
		when_end(p->h, &o->created, events(p));
	else if (full)
		o->created.begin = HISTORY_NEVER;
}

static void step_derive(struct fiber *f, struct player *p, bool clone)
{
	struct object *from = pick(p, clone ? is_snapshot : is_writable), *o;
	int r;

	if (!from || alive(p) >= p->replicas_max)
		return;
	o = history_object(p->h, clone ? "c" : "s", clone ? OBJECT_CLONE : OBJECT_SNAPSHOT,
			   (int)history_index(p->h, from), object_sectors(from), begin(p));
	if (!o)
		return;
	sim_trace(p->sim, "play: %s of %s: %s", clone ? "clone" : "snapshot", from->name, o->name);
	r = clone ? clone_create(f, p->pool, from->name, o->name, NULL)
		  : snapshot_create(f, p->pool, from->name, o->name, NULL);
	if (!ok(f, p, "derive", o->name, r))
		return;
	when_end(p->h, &o->created, events(p));
	from->clones += clone;
}

/* A clone has gone: its snapshot may have waited for that. */
static void clone_gone(struct player *p, const struct object *o, struct object **ret_also)
{
	struct object *snapshot = &p->h->objects[o->parent];

	if (--snapshot->clones == 0 && snapshot->discarded.begin != HISTORY_NEVER)
		*ret_also = snapshot;
}

static void step_delete(struct fiber *f, struct player *p)
{
	struct object *o = pick(p, is_any), *also = NULL;
	struct when when = begin(p), *what;
	int r;

	if (!o)
		return;
	what = o->kind == OBJECT_SNAPSHOT && o->clones ? &o->discarded : &o->destroyed;
	*what = when;
	if (o->kind == OBJECT_CLONE)
		clone_gone(p, o, &also);
	if (also)
		also->destroyed = when;
	sim_trace(p->sim, "play: delete %s", o->name);
	r = o->kind == OBJECT_SNAPSHOT ? snapshot_destroy(f, p->pool, o->name)
				       : replica_destroy(f, p->pool, o->name);
	if (!ok(f, p, "destroy", o->name, r))
		return;
	when_end(p->h, what, events(p));
	if (also)
		also->destroyed = *what;
}

static void step_resize(struct fiber *f, struct player *p)
{
	struct object *o = pick(p, can_grow);
	uint32_t sectors;
	bool full;

	if (!o)
		return;
	sectors = object_sectors(o) + p->cluster_bytes / HISTORY_SECTOR;
	object_resize(o, sectors, begin(p));
	sim_trace(p->sim, "play: resize %s", o->name);
	if (ok_or_full(f, p, "resize", o->name,
		       replica_resize(f, p->pool, o->name, (uint64_t)sectors * HISTORY_SECTOR), &full))
		when_end(p->h, &o->sizes[o->size_count - 1].when, events(p));
	else if (full)
		o->size_count--;
}

static void step_grow(struct fiber *f, struct player *p)
{
	if (p->grown_at == HISTORY_NEVER) {
		p->grown_at = events(p);
		p->disk_bytes += PLAYER_GROW;
		sim_disk_grow(p->disk, p->disk_bytes);
	}
	sim_trace(p->sim, "play: grow");
	ok(f, p, "grow", "pool", pool_grow(f, p->pool));
}

static void step_remount(struct fiber *f, struct player *p)
{
	struct when when = begin(p);

	sim_trace(p->sim, "play: remount");
	if (player_export(f, p) < 0)
		return;
	when_end(p->h, &when, events(p));
	history_flushed(p->h, -1, &when);
	(void)player_import(f, p);
}

void player_step(struct fiber *f, struct player *p, enum step step)
{
	if (sim_failed(p->sim) || !p->pool)
		return;
	switch (step) {
	case STEP_CREATE:
		step_create(f, p);
		break;
	case STEP_WRITE:
	case STEP_FUA:
		step_write(f, p, step == STEP_FUA);
		break;
	case STEP_FLUSH:
		step_flush(f, p);
		break;
	case STEP_SNAPSHOT:
	case STEP_CLONE:
		step_derive(f, p, step == STEP_CLONE);
		break;
	case STEP_DELETE:
		step_delete(f, p);
		break;
	case STEP_UNMAP:
		step_unmap(f, p);
		break;
	case STEP_RESIZE:
		step_resize(f, p);
		break;
	case STEP_GROW:
		step_grow(f, p);
		break;
	case STEP_SYNC:
		step_sync(f, p);
		break;
	case STEP_BURST:
		step_burst(f, p);
		break;
	case STEP_REMOUNT:
		step_remount(f, p);
		break;
	default:
		step_read(f, p);
	}
}

/* ---- the judge --------------------------------------------------------------------------------------- */

struct judge {
	struct player *p;
	const struct crash_at *at;
	struct found *found;
};

static int judge_object(void *ctx, const struct replica_stat *stat)
{
	static const enum replica_kind kinds[] = { REPLICA_PLAIN, REPLICA_SNAPSHOT, REPLICA_CLONE };
	struct judge *j = ctx;
	struct sim *sim = j->p->sim;
	struct object *o = history_find(j->p->h, stat->name);
	uint32_t sectors = (uint32_t)(stat->size_bytes / HISTORY_SECTOR);

	if (j->p->ballast && strcmp(stat->name, BALLAST) == 0)
		return 0;
	if (!o || !history_may_be(o, j->at)) {
		sim_fail(sim, "%s is there, and should not", stat->name);
		return -1;
	}
	j->found[history_index(j->p->h, o)] = (struct found){ sectors, stat->discarded };
	if (stat->kind != kinds[o->kind])
		sim_fail(sim, "%s is of kind %d", o->name, stat->kind);
	if (!history_may_have_size(o, sectors, j->at))
		sim_fail(sim, "%s has %u sectors", o->name, sectors);
	if (stat->discarded ? !when_had_begun(&o->discarded, j->at) : when_had_ended(&o->discarded, j->at))
		sim_fail(sim, "%s is %sdiscarded", o->name, stat->discarded ? "" : "not ");
	return 0;
}

static void judge_objects(struct fiber *f, struct judge *j)
{
	struct history *h = j->p->h;

	ok(f, j->p, "list", "", replica_each(f, j->p->pool, judge_object, j));
	for (unsigned i = 0; i < h->object_count; i++)
		if (!j->found[i].sectors && history_must_be(&h->objects[i], j->at))
			sim_fail(j->p->sim, "%s is lost", h->objects[i].name);
}

static void judge_bytes(struct fiber *f, struct judge *j)
{
	for (unsigned i = 0; i < j->p->h->object_count && !sim_failed(j->p->sim); i++)
		if (j->found[i].sectors)
			read_object(f, j->p, &j->p->h->objects[i], j->found[i].sectors, j->at);
	ballast_look(f, j->p);
}

static void judge_say(void *ctx, const char *line)
{
	struct judge *j = ctx;

	sim_trace(j->p->sim, "check: %s", line);
	sim_fail(j->p->sim, "check: %s", line);
}

static void judge_counts(struct fiber *f, struct judge *j)
{
	struct pool_check_result result;
	struct player *p = j->p;

	if (!ok(f, p, "sync", "pool", pool_sync(f, p->pool)) ||
	    !ok(f, p, "check", "pool", check_walk(f, p->pool, NULL, 0, judge_say, j, &result)))
		return;
	if (result.errors)
		sim_fail(p->sim, "check finds %" PRIu64 " errors", result.errors);
}

void player_judge(struct fiber *f, struct player *p, const struct crash_at *at, bool after_commit)
{
	struct judge j = { .p = p, .at = at, .found = p->found };

	memset(p->found, 0, sizeof(p->found));
	judge_objects(f, &j);
	if (!after_commit)
		judge_bytes(f, &j);
	if (!sim_failed(p->sim))
		judge_counts(f, &j);
	if (after_commit && !sim_failed(p->sim))
		judge_bytes(f, &j);
}
