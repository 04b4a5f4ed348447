// SPDX-License-Identifier: Apache-2.0
/*
 * figures - what was read and written: of pools (their disks together), replicas, nexuses and their children.
 *
 * A replica or nexus that nobody has open has no figures: they are told as zeros. A child that is
 * not open is not told.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine_priv.h"
#include "reactor/fiber.h"

struct figures_call {
	struct fiber *f;
	struct engine *e;
	const char *name; /* of the one that is wanted; NULL: all */
	engine_figures_fn fn;
	void *ctx;
	unsigned found;
	bool reset, now; /* now: waits for nobody's turn */
};

struct room {
	struct engine_figures figures;
	struct hist hist[BIO_OPS], one[BIO_OPS]; /* one: of a disk of several */
	char uri[ENGINE_URI_MAX];
	struct replica_at at;
};

static bool is_wanted(const struct figures_call *call, const char *name, const struct uuid *uuid)
{
	char text[UUID_TEXT_SIZE];

	return !call->name || strcmp(call->name, name) == 0 ||
	       strcasecmp(call->name, uuid_print(uuid, text)) == 0;
}

/* Of a disk that is open under this name; else nothing is added. */
static int add_open(struct figures_call *call, struct room *room, const char *name)
{
	struct bdev *bdev;
	int r = bdev_find(call->f, name, &bdev);

	if (r < 0) {
		fiber_clear(call->f);
		return 0;
	}
	if (call->reset) {
		r = bdev_stats_reset(call->f, bdev);
	} else {
		r = bdev_stats_get(call->f, bdev, &room->figures.stats, room->hist);
		room->figures.hist = room->hist;
		room->figures.block_size = bdev->block_size;
	}
	bdev_close(call->f, bdev);
	return r;
}

static int tell(struct figures_call *call, struct room *room)
{
	call->found++;
	return call->reset ? 0 : call->fn(call->ctx, &room->figures);
}

/* ---- pools ------------------------------------------------------------------------------------------- */

static void add_stats(struct bdev_stats *to, const struct bdev_stats *from, uint32_t block_size)
{
	for (unsigned i = 0; i < BIO_OPS; i++) {
		to->op[i].ops += from->op[i].ops;
		to->op[i].blocks += from->op[i].blocks * (block_size / BDEV_BLOCK_MIN);
		to->op[i].errors += from->op[i].errors;
		to->op[i].busy_ns += from->op[i].busy_ns;
	}
}

static int pool_disk(struct figures_call *call, struct room *room, const char *disk)
{
	CLEANUP(cleanup_mem) char *uri = engine_disk_uri(call->e->io->mem, disk);
	CLEANUP(cleanup_mem) struct bdev_stats *stats = mem_new(call->e->io, sizeof(*stats));
	struct bdev *bdev;
	int r = uri && stats ? bdev_open(call->f, uri, &bdev) : -ENOMEM;

	if (r < 0)
		return r;
	if (call->reset)
		r = bdev_stats_reset(call->f, bdev);
	else
		r = bdev_stats_get(call->f, bdev, stats, room->one);
	if (r == 0 && !call->reset)
		add_stats(&room->figures.stats, stats, bdev->block_size);
	for (unsigned i = 0; r == 0 && !call->reset && i < BIO_OPS; i++)
		hist_merge(&room->hist[i], &room->one[i]);
	bdev_close(call->f, bdev);
	return r;
}

static int figures_pools(struct figures_call *call, struct room *room)
{
	struct engine_pool *ep = NULL;

	while ((ep = pools_next(call->e, ep))) {
		int r = 0;

		if (!is_wanted(call, ep->name, &ep->uuid))
			continue;
		memset(&room->figures, 0, sizeof(room->figures));
		room->figures.name = ep->name;
		room->figures.uuid = ep->uuid;
		room->figures.block_size = BDEV_BLOCK_MIN;
		room->figures.hist = room->hist;
		for (unsigned i = 0; i < BIO_OPS; i++)
			hist_reset(&room->hist[i]);
		for (unsigned i = 0; i < ep->disks.count && r == 0; i++)
			r = pool_disk(call, room, ep->disks.at[i]);
		if (r == 0)
			r = tell(call, room);
		if (r != 0) {
			pools_put(ep);
			return r;
		}
	}
	return 0;
}

/* ---- replicas ------------------------------------------------------------------------------------------ */

struct replica_walk {
	struct figures_call *call;
	struct room *room;
};

static int figures_replica(void *ctx, const struct engine_replica_info *info)
{
	struct replica_walk *walk = ctx;
	struct room *room = walk->room;
	int r;

	if (info->stat.kind == REPLICA_SNAPSHOT ||
	    !is_wanted(walk->call, info->stat.name, &info->stat.uuid))
		return 0;
	memset(&room->figures, 0, sizeof(room->figures));
	room->figures.name = info->stat.name;
	room->figures.uuid = info->stat.uuid;
	room->figures.entity_id = info->entity;
	room->figures.of = info->pool->name;
	room->figures.replica = info;
	room->figures.block_size = BDEV_BLOCK_MIN;
	snprintf(room->uri, sizeof(room->uri), "pool:///%s/%s", info->pool->name, info->stat.name);
	r = add_open(walk->call, room, room->uri);
	return r < 0 ? r : tell(walk->call, room);
}

/* ---- nexuses --------------------------------------------------------------------------------------------- */

static int tell_nexus(struct figures_call *call, struct room *room, const struct engine_nexus *en)
{
	char text[UUID_TEXT_SIZE];
	int r;

	if (!is_wanted(call, en->name, &en->uuid))
		return 0;
	memset(&room->figures, 0, sizeof(room->figures));
	room->figures.name = en->name;
	room->figures.uuid = en->uuid;
	room->figures.block_size = BDEV_BLOCK_MIN;
	snprintf(room->uri, sizeof(room->uri), "nexus:///%s", uuid_print(&en->uuid, text));
	r = add_open(call, room, room->uri);
	return r < 0 ? r : tell(call, room);
}

static int tell_children(struct figures_call *call, struct room *room,
			 const struct engine_nexus *en)
{
	int r = 0;

	for (unsigned i = 0; en->nexus && i < en->opened.count && r == 0; i++) {
		const char *disk = nexus_child_disk(en->nexus, en->opened.at[i]);

		if (!disk)
			continue;
		if (!is_wanted(call, en->children.at[i], &en->uuid) &&
		    !is_wanted(call, en->name, &en->uuid))
			continue;
		memset(&room->figures, 0, sizeof(room->figures));
		room->figures.name = en->children.at[i];
		room->figures.of = en->name;
		room->figures.uuid = en->uuid;
		room->figures.block_size = BDEV_BLOCK_MIN;
		snprintf(room->uri, sizeof(room->uri), "%s", disk);
		r = add_open(call, room, room->uri);
		if (r == 0 && room->figures.hist)
			r = tell(call, room);
	}
	return r;
}

static int figures_nexus(struct figures_call *call, enum engine_kind kind, struct room *room,
			 const char *uuid)
{
	struct engine_nexus *en = nexus_entry(call->e, uuid);
	int r;

	if (call->now && en && en->turn.holder)
		return 0;
	r = nexus_begin(call->f, call->e, uuid, &en);
	if (r < 0) { /* gone meanwhile */
		fiber_clear(call->f);
		return 0;
	}
	r = kind == ENGINE_CHILDREN ? tell_children(call, room, en) : tell_nexus(call, room, en);
	return nexus_end(call->f, call->e, en, r, NULL, NULL);
}

static int figures_nexuses(struct figures_call *call, enum engine_kind kind, struct room *room)
{
	CLEANUP(cleanup_mem) struct uuid *uuids = NULL;
	unsigned count = 0;
	int r = nexuses_uuids(call->f, call->e, &uuids, &count);

	for (unsigned i = 0; i < count && r == 0; i++) {
		char text[UUID_TEXT_SIZE];

		r = figures_nexus(call, kind, room, uuid_print(&uuids[i], text));
	}
	return r;
}

/* ---- all of them --------------------------------------------------------------------------------------------- */

static int figures_kind(struct figures_call *call, enum engine_kind kind, struct room *room)
{
	struct replica_walk walk = { call, room };

	if (kind == ENGINE_POOLS)
		return figures_pools(call, room);
	if (kind == ENGINE_REPLICAS)
		return engine_replica_each(call->f, call->e, NULL, figures_replica, &walk);
	return figures_nexuses(call, kind, room);
}

static int figures_each(struct figures_call *call, enum engine_kind kind)
{
	static const char *const kinds[] = { "pool", "replica", "nexus", "child" };
	CLEANUP(cleanup_mem) struct room *room = mem_new(call->e->io, sizeof(*room));
	int r = room ? figures_kind(call, kind, room) : fiber_fail(call->f, -ENOMEM, "no memory");

	if (r == 0 && call->name && !call->found)
		return fiber_fail(call->f, -ENOENT, "there is no %s '%s'", kinds[kind], call->name);
	return r;
}

int engine_figures_each(struct fiber *f, struct engine *e, enum engine_kind kind, const char *name,
			engine_figures_fn fn, void *ctx)
{
	struct figures_call call = { .f = f, .e = e, .name = name, .fn = fn, .ctx = ctx };

	return figures_each(&call, kind);
}

int engine_figures_now(struct fiber *f, struct engine *e, enum engine_kind kind,
		       engine_figures_fn fn, void *ctx)
{
	struct figures_call call = { .f = f, .e = e, .fn = fn, .ctx = ctx, .now = true };

	return figures_each(&call, kind);
}

int engine_figures_reset(struct fiber *f, struct engine *e)
{
	CLEANUP(cleanup_mem) struct room *room = mem_new(e->io, sizeof(*room));
	struct figures_call call = { .f = f, .e = e, .reset = true };
	int r = room ? 0 : fiber_fail(f, -ENOMEM, "no memory");

	for (int kind = ENGINE_POOLS; kind <= ENGINE_CHILDREN && r == 0; kind++)
		r = figures_kind(&call, (enum engine_kind)kind, room);
	return r;
}
