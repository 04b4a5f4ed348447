// SPDX-License-Identifier: Apache-2.0
/*
 * control_snap - snapshots in two phases, and growing, as the owner of a volume asks for them.
 *
 *	(none) --prepare--> PREPARED --commit--> a snapshot like any other
 *	                        \-----abort----> (none)
 *
 * CS1. What is prepared is durable, holds its data, and is not seen: no listing shows it, nobody
 *      opens or clones it. It stays so after a crash, until it is committed or aborted.
 * CS2. A step that was made already is made by doing nothing: a snapshot is known by its uuid.
 */
#include <errno.h>

#include "base/err.h"
#include "pool/control_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

struct snap_call {
	struct control_call call;
	const struct uuid *uuid;
	const char *name;
	struct record record;
	struct replica *snap; /* the one there is; owned use */
};

/* The snapshot of this uuid, to snap->snap: 0 also if there is none. */
static int snap_look(struct fiber *f, struct pool *pool, struct snap_call *snap)
{
	int r = control_check(f, &snap->call);
	char text[UUID_TEXT_SIZE];

	if (r == 0)
		r = catalog_find_uuid(f, pool, snap->uuid, &snap->snap);
	if (r < 0)
		return r == -ENOENT && !snap->call.rep->gone ? 0 : r;
	if (snap->snap->rec.kind != REPLICA_SNAPSHOT ||
	    snap->snap->rec.parent != snap->call.rep->object)
		return fiber_fail(f, -EEXIST, "pool '%s': %s is no snapshot of '%s'",
				  pool->super.name, uuid_print(snap->uuid, text),
				  snap->call.rep->rec.name);
	return 0;
}

static int snap_change(struct fiber *f, struct control_call *call, bool gate,
		       int (*check)(struct fiber *, struct pool *, void *),
		       int (*run)(struct fiber *, struct pool *, void *))
{
	struct snap_call *snap = container_of(call, struct snap_call, call);
	int r = control_change(f, call, gate, check, run);

	if (snap->snap)
		replica_put(snap->snap);
	return r;
}

static bool snap_is_prepared(const struct snap_call *snap)
{
	return snap->snap && (snap->snap->rec.flags & RECORD_PREPARED);
}

/* ---- prepare --------------------------------------------------------------------------------- */

static int prepare_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct snap_call *snap = container_of(arg, struct snap_call, call);
	int r = snap_look(f, pool, snap);

	if (r < 0)
		return r;
	if (!snap->snap)
		return snapshot_may_be(f, snap->call.rep, snap->name, snap->uuid);
	if (strcmp(snap->snap->rec.name, snap->name) != 0)
		return fiber_fail(f, -EEXIST, "pool '%s': snapshot '%s' has this uuid",
				  pool->super.name, snap->snap->rec.name);
	return 0; /* CS2 */
}

static int prepare_commit(struct fiber *f, struct pool *pool, void *arg)
{
	struct snap_call *snap = container_of(arg, struct snap_call, call);
	struct replica *source = snap->call.rep;

	(void)pool;
	if (snap->snap)
		return 0;
	snap->record = (struct record){ .kind = REPLICA_SNAPSHOT,
					.flags = RECORD_PREPARED,
					.uuid = *snap->uuid,
					.volume = source->rec.volume,
					.gen = source->rec.gen,
					.wall_ns = io_wall(fiber_io(f)) };
	source->rec.prepared++;
	return snapshot_make(f, source, snap->name, &snap->record);
}

static int prepare_run(struct fiber *f, struct control_call *call)
{
	return snap_change(f, call, true, prepare_check, prepare_commit);
}

int control_snap_prepare(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			 const struct uuid *uuid, const char *name)
{
	struct snap_call snap = { .call = { .run = prepare_run, .token = token },
				  .uuid = uuid,
				  .name = name };
	int r = catalog_check_name(f, "snapshot", name);

	if (r == 0 && uuid_is_nil(uuid))
		r = fiber_fail(f, -EINVAL, "snapshot '%s': a uuid is wanted", name);
	return r < 0 ? r : control_call(f, chan, &snap.call);
}

/* ---- commit ---------------------------------------------------------------------------------- */

static int commit_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct snap_call *snap = container_of(arg, struct snap_call, call);
	int r = snap_look(f, pool, snap);
	char text[UUID_TEXT_SIZE];

	if (r == 0 && !snap->snap)
		r = fiber_fail(f, -ENOENT, "pool '%s': no snapshot %s was prepared",
			       pool->super.name, uuid_print(snap->uuid, text));
	return r;
}

static int commit_commit(struct fiber *f, struct pool *pool, void *arg)
{
	struct snap_call *snap = container_of(arg, struct snap_call, call);

	(void)f;
	(void)pool;
	if (!snap_is_prepared(snap))
		return 0; /* CS2 */
	snap->snap->rec.flags &= ~(uint32_t)RECORD_PREPARED;
	replica_dirty(snap->snap);
	snap->call.rep->rec.prepared--;
	replica_dirty(snap->call.rep);
	return 0;
}

static int commit_run(struct fiber *f, struct control_call *call)
{
	return snap_change(f, call, false, commit_check, commit_commit);
}

int control_snap_commit(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			const struct uuid *uuid)
{
	struct snap_call snap = { .call = { .run = commit_run, .token = token }, .uuid = uuid };

	return control_call(f, chan, &snap.call);
}

/* ---- abort ----------------------------------------------------------------------------------- */

static int abort_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct snap_call *snap = container_of(arg, struct snap_call, call);
	int r = snap_look(f, pool, snap);

	if (r == 0 && snap->snap && !snap_is_prepared(snap))
		r = fiber_fail(f, -EINVAL, "pool '%s': snapshot '%s' is committed",
			       pool->super.name, snap->snap->rec.name);
	return r;
}

static int abort_commit(struct fiber *f, struct pool *pool, void *arg)
{
	const struct snap_call *snap = container_of(arg, struct snap_call, call);

	(void)pool;
	return snap->snap ? snapshot_remove(f, snap->snap) : 0; /* CS2 */
}

static int abort_run(struct fiber *f, struct control_call *call)
{
	return snap_change(f, call, false, abort_check, abort_commit);
}

int control_snap_abort(struct fiber *f, struct bdev_chan *chan, uint64_t token,
		       const struct uuid *uuid)
{
	struct snap_call snap = { .call = { .run = abort_run, .token = token }, .uuid = uuid };

	return control_call(f, chan, &snap.call);
}

/* ---- resize ---------------------------------------------------------------------------------- */

struct resize_call {
	struct control_call call;
	uint64_t size_bytes;
};

static int resize_check(struct fiber *f, struct pool *pool, void *arg)
{
	const struct resize_call *resize = container_of(arg, struct resize_call, call);
	int r = control_check(f, &resize->call);

	(void)pool;
	return r < 0 ? r : replica_may_grow(f, resize->call.rep, resize->size_bytes);
}

static int resize_commit(struct fiber *f, struct pool *pool, void *arg)
{
	const struct resize_call *resize = container_of(arg, struct resize_call, call);

	(void)f;
	(void)pool;
	replica_grow(resize->call.rep, resize->size_bytes);
	return 0;
}

static int resize_run(struct fiber *f, struct control_call *call)
{
	struct resize_call *resize = container_of(call, struct resize_call, call);

	resize->size_bytes = align_up_u64(resize->size_bytes, call->rep->pool->super.cluster_bytes);
	return control_change(f, call, false, resize_check, resize_commit);
}

int control_resize(struct fiber *f, struct bdev_chan *chan, uint64_t token, uint64_t blocks)
{
	uint32_t block_size = chan->bdev->block_size;
	struct resize_call resize = { .call = { .run = resize_run, .token = token },
				      .size_bytes = blocks * block_size };
	int r;

	if (blocks == 0 || blocks > POOL_REPLICA_BYTES_MAX / block_size)
		return fiber_fail(f, -EINVAL, "replica size: 1 to %llu blocks are wanted",
				  POOL_REPLICA_BYTES_MAX / block_size);
	r = control_call(f, chan, &resize.call);
	return r < 0 ? r : bdev_rescan(f, chan->bdev);
}
