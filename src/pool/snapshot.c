// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot - snapshots and clones: another object with the same map, which costs one more
 * pointer to its root, whatever the size.
 */
#include <errno.h>

#include "base/err.h"
#include "pool/change_priv.h"
#include "reactor/fiber.h"

/* The new object's map is the old one's: one more pointer to the root (T2). */
static int map_share(struct fiber *f, struct replica *from, const char *name, struct record *record,
		     struct replica **ret)
{
	struct pool *pool = from->pool;
	int r = from->rec.map.levels ? refs_inc(pool, from->rec.map.root.name) : 0;

	if (r < 0)
		return r;
	record->map = from->rec.map;
	record->mapped = from->rec.mapped;
	record->size_bytes = from->rec.size_bytes;
	record->parent = from->object;
	record->txg = pool->txn.txg;
	memcpy(record->name, name, strlen(name) + 1);
	return catalog_add(f, pool, record, ret);
}

int snapshot_may_be(struct fiber *f, struct replica *source, const char *name,
		    const struct uuid *uuid)
{
	struct pool *pool = source->pool;
	int r;

	if (source->rec.kind == REPLICA_SNAPSHOT)
		return fiber_fail(f, -EINVAL, "pool '%s': '%s' is a snapshot itself",
				  pool->super.name, source->rec.name);
	if (pool->super.replicas + pool->super.snapshots >= POOL_REPLICAS_MAX)
		return fiber_fail(f, -ENOSPC,
				  "pool '%s' has %u replicas and snapshots, the most there can be",
				  pool->super.name, POOL_REPLICAS_MAX);
	r = change_check_metadata(f, pool);
	return r < 0 ? r : catalog_check_free(f, pool, name, uuid);
}

int snapshot_make(struct fiber *f, struct replica *source, const char *name, struct record *record)
{
	struct replica *snap;
	int r = map_share(f, source, name, record, &snap);

	if (r < 0)
		return r;
	replica_put(snap);
	source->pool->super.snapshots++;
	source->rec.snapshots++;
	replica_dirty(source);
	rio_flush_tlb(source); /* nothing in it may be overwritten in place any more */
	return 0;
}

static int snapshot_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;
	int r = change_check_there(f, change->rep);

	(void)pool;
	return r < 0 ? r : snapshot_may_be(f, change->rep, change->name, &change->record.uuid);
}

static int snapshot_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;

	(void)pool;
	return snapshot_make(f, change->rep, change->name, &change->record);
}

static int derive(struct fiber *f, struct pool *pool, const char *from, const char *name,
		  const struct uuid *uuid, struct change *change)
{
	int r = catalog_check_name(f, change->record.kind == REPLICA_CLONE ? "clone" : "snapshot",
				   name);

	change->name = name;
	change_take_uuid(f, uuid, &change->record.uuid);
	change->record.wall_ns = io_wall(fiber_io(f));
	return r;
}

int snapshot_create(struct fiber *f, struct pool *pool, const char *replica, const char *name,
		    const struct uuid *uuid)
{
	struct change change = { .record.kind = REPLICA_SNAPSHOT };
	int r = derive(f, pool, replica, name, uuid, &change);

	return r < 0 ? r : change_do(f, pool, replica, &change, true, snapshot_check, snapshot_run);
}

static int clone_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;
	const struct record *rec = &change->rep->rec;
	int r = change_check_there(f, change->rep);

	if (r == 0 && rec->kind != REPLICA_SNAPSHOT)
		return fiber_fail(f, -EINVAL,
				  "pool '%s': '%s' is no snapshot: only snapshots are cloned",
				  pool->super.name, rec->name);
	if (r == 0 && (rec->flags & RECORD_DISCARDED))
		return fiber_fail(f, -EINVAL, "pool '%s': snapshot '%s' is discarded",
				  pool->super.name, rec->name);
	if (r == 0)
		r = catalog_check_free(f, pool, change->name, &change->record.uuid);
	return r < 0 ? r : change_check_room(f, pool, rec->size_bytes, false);
}

static int clone_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;
	struct replica *clone;
	int r = map_share(f, change->rep, change->name, &change->record, &clone);

	if (r < 0)
		return r;
	replica_put(clone);
	pool->super.replicas++;
	pool->super.committed_bytes += change->record.size_bytes;
	change->rep->rec.clones++;
	replica_dirty(change->rep);
	return 0;
}

int clone_create(struct fiber *f, struct pool *pool, const char *snapshot, const char *name,
		 const struct uuid *uuid)
{
	struct change change = { .record.kind = REPLICA_CLONE };
	int r = derive(f, pool, snapshot, name, uuid, &change);

	return r < 0 ? r : change_do(f, pool, snapshot, &change, false, clone_check, clone_run);
}

/* ---- destroying ------------------------------------------------------------------------------- */

int snapshot_remove(struct fiber *f, struct replica *snap)
{
	struct pool *pool = snap->pool;
	struct replica *source;
	int r = replica_get(f, pool, snap->rec.parent, &source);

	if (r == 0) {
		source->rec.snapshots--;
		source->rec.prepared -= (snap->rec.flags & RECORD_PREPARED) != 0;
		replica_dirty(source);
		replica_put(source);
	} else if (r != -ENOENT) {
		return r;
	}
	pool->super.snapshots--;
	return catalog_remove(f, snap);
}

int snapshot_clone_gone(struct fiber *f, struct pool *pool, uint64_t snapshot)
{
	struct replica *snap;
	int r = replica_get(f, pool, snapshot, &snap);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	snap->rec.clones--;
	replica_dirty(snap);
	if (snap->rec.clones == 0 && (snap->rec.flags & RECORD_DISCARDED) && !rio_is_open(snap))
		r = snapshot_remove(f, snap);
	replica_put(snap);
	return r;
}

static int snapshot_destroy_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;
	int r = change_check_there(f, change->rep);

	if (r == 0 && change->rep->rec.kind != REPLICA_SNAPSHOT)
		return fiber_fail(f, -EINVAL, "pool '%s': '%s' is no snapshot", pool->super.name,
				  change->rep->rec.name);
	if (r == 0 && rio_is_open(change->rep))
		return fiber_fail(f, -EBUSY, "pool '%s': snapshot '%s' is in use", pool->super.name,
				  change->rep->rec.name);
	return r;
}

static int snapshot_destroy_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct replica *snap = ((struct change *)arg)->rep;

	if (snap->rec.clones == 0)
		return snapshot_remove(f, snap);
	snap->rec.flags |= RECORD_DISCARDED;
	replica_dirty(snap);
	return 0;
}

int snapshot_destroy(struct fiber *f, struct pool *pool, const char *name)
{
	struct change change = { .any = true };

	return change_do(f, pool, name, &change, false, snapshot_destroy_check,
			 snapshot_destroy_run);
}
