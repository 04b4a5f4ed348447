// SPDX-License-Identifier: Apache-2.0
/*
 * replica - creating, changing and destroying replicas: operations of the commit.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/catalog_priv.h"
#include "reactor/fiber.h"

/* ---- room -------------------------------------------------------------------------------- */

static uint64_t clusters_of(const struct pool *pool, uint64_t bytes)
{
	return div_up_u64(bytes, pool->super.cluster_bytes);
}

/* May the sum of all sizes grow by this? And is there room for a promise? */
static int room_check(struct fiber *f, struct pool *pool, uint64_t more_bytes, bool thick)
{
	uint64_t capacity = pool->space.total << pool->cluster_shift;
	uint64_t limit = capacity / 100 * pool->super.overcommit_percent;

	if (more_bytes > limit || pool->super.committed_bytes > limit - more_bytes)
		return fiber_fail(f, -ENOSPC,
				  "pool '%s': %" PRIu64
				  " bytes more than the over-commit limit of %u %% allows",
				  pool->super.name,
				  pool->super.committed_bytes + more_bytes - limit,
				  pool->super.overcommit_percent);
	if (thick && clusters_of(pool, more_bytes) > space_free(pool, SPACE_DATA))
		return fiber_fail(f, -ENOSPC,
				  "pool '%s': %" PRIu64
				  " bytes are free, a thick replica needs %" PRIu64,
				  pool->super.name,
				  space_free(pool, SPACE_DATA) << pool->cluster_shift, more_bytes);
	return 0;
}

static int size_check(struct fiber *f, uint64_t bytes)
{
	if (bytes == 0 || bytes > POOL_REPLICA_BYTES_MAX)
		return fiber_fail(f, -EINVAL,
				  "replica size %" PRIu64 ": 1 to %llu bytes are wanted", bytes,
				  (unsigned long long)POOL_REPLICA_BYTES_MAX);
	return 0;
}

/* ---- create -------------------------------------------------------------------------------- */

static int create_check(struct fiber *f, struct pool *pool, void *arg)
{
	const struct record *record = arg;
	int r = catalog_check_free(f, pool, record->name, &record->uuid);

	if (r == 0 && pool->super.replicas + pool->super.snapshots >= POOL_REPLICAS_MAX)
		return fiber_fail(f, -ENOSPC,
				  "pool '%s' has %u replicas and snapshots, the most there can be",
				  pool->super.name, POOL_REPLICAS_MAX);
	return r < 0 ? r : room_check(f, pool, record->size_bytes, record->flags & RECORD_THICK);
}

static int create_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct record *record = arg;
	struct replica *rep;
	int r;

	record->txg = pool->txn.txg;
	r = catalog_add(f, pool, record, &rep);
	if (r < 0)
		return r;
	replica_put(rep);
	pool->super.replicas++;
	pool->super.committed_bytes += record->size_bytes;
	if (record->flags & RECORD_THICK)
		pool->super.thick_clusters += clusters_of(pool, record->size_bytes);
	return 0;
}

static void uuid_take(struct fiber *f, const struct uuid *given, struct uuid *ret)
{
	uint8_t bytes[16];

	if (given) {
		*ret = *given;
		return;
	}
	io_random(fiber_io(f), bytes, sizeof(bytes));
	*ret = uuid_v4(bytes);
}

int replica_create(struct fiber *f, struct pool *pool, const struct replica_create_args *args)
{
	struct record record = { .kind = REPLICA_PLAIN, .flags = args->thick ? RECORD_THICK : 0 };
	struct commit_op op = { .check = create_check, .run = create_run, .arg = &record };
	int r = catalog_check_name(f, "replica", args->name);

	if (r == 0)
		r = size_check(f, args->size_bytes);
	if (r < 0)
		return r;
	if (args->entity_id && strlen(args->entity_id) > ENTITY_ID_MAX)
		return fiber_fail(f, -EINVAL, "replica '%s': an entity id has at most %u bytes",
				  args->name, ENTITY_ID_MAX);
	memcpy(record.name, args->name, strlen(args->name) + 1);
	if (args->entity_id)
		memcpy(record.entity_id, args->entity_id, strlen(args->entity_id) + 1);
	uuid_take(f, args->uuid, &record.uuid);
	record.size_bytes = clusters_of(pool, args->size_bytes) << pool->cluster_shift;
	record.wall_ns = io_wall(fiber_io(f));
	return commit_op(f, pool, &op);
}

/* ---- operations on one that exists ------------------------------------------------------------ */

struct change {
	struct replica *rep;
	const char *name;     /* rename, snapshot, clone: the new one */
	struct record record; /* snapshot, clone */
	uint64_t size_bytes;
	uint32_t flags_set, flags_clear;
	const char *entity_id;
	bool any; /* also what is not to be seen */
};

/* Find it, let the commit do it, let go of it. gate: with its I/O at a stand. */
static int change_do(struct fiber *f, struct pool *pool, const char *name, struct change *change,
		     bool gate, int (*check)(struct fiber *, struct pool *, void *),
		     int (*run)(struct fiber *, struct pool *, void *))
{
	struct commit_op op = { .check = check, .run = run, .arg = change };
	int r = change->any ? replica_find_any(f, pool, name, &change->rep) :
			      replica_find(f, pool, name, &change->rep);

	if (r < 0)
		return r;
	if (gate)
		op.gate = change->rep;
	r = commit_op(f, pool, &op);
	replica_put(change->rep);
	return r;
}

static int change_check_there(struct fiber *f, struct replica *rep)
{
	if (rep->gone)
		return fiber_fail(f, -ENOENT, "pool '%s': '%s' was destroyed",
				  rep->pool->super.name, rep->rec.name);
	return 0;
}

/* ---- destroy -------------------------------------------------------------------------------------- */

static int destroy_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;
	struct replica *rep = change->rep;
	int r = change_check_there(f, rep);

	if (r < 0)
		return r;
	if (rep->rec.kind == REPLICA_SNAPSHOT)
		return fiber_fail(f, -EINVAL, "pool '%s': '%s' is a snapshot", pool->super.name,
				  rep->rec.name);
	if (rio_is_open(rep))
		return fiber_fail(f, -EBUSY, "pool '%s': replica '%s' is in use", pool->super.name,
				  rep->rec.name);
	if (rep->rec.prepared)
		return fiber_fail(f, -EBUSY,
				  "pool '%s': a snapshot of '%s' is prepared, but not committed",
				  pool->super.name, rep->rec.name);
	return 0;
}

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

/* A clone has gone: its snapshot may have waited for that. */
static int clone_gone(struct fiber *f, struct pool *pool, uint64_t snapshot)
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

static int destroy_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct replica *rep = ((struct change *)arg)->rep;
	int r = 0;

	pool->super.replicas--;
	pool->super.committed_bytes -= rep->rec.size_bytes;
	if (rep->rec.flags & RECORD_THICK)
		pool->super.thick_clusters -=
			min_u64(pool->super.thick_clusters,
				clusters_of(pool, rep->rec.size_bytes) - rep->rec.mapped);
	if (rep->rec.kind == REPLICA_CLONE)
		r = clone_gone(f, pool, rep->rec.parent);
	return r < 0 ? r : catalog_remove(f, rep);
}

int replica_destroy(struct fiber *f, struct pool *pool, const char *name)
{
	struct change change = { 0 };

	return change_do(f, pool, name, &change, true, destroy_check, destroy_run);
}

/* ---- resize, rename, attributes ------------------------------------------------------------------------ */

int replica_may_grow(struct fiber *f, struct replica *rep, uint64_t size_bytes)
{
	const struct record *rec = &rep->rec;

	if (rec->kind == REPLICA_SNAPSHOT)
		return fiber_fail(f, -EINVAL, "pool '%s': '%s' is a snapshot",
				  rep->pool->super.name, rec->name);
	if (size_bytes < rec->size_bytes)
		return fiber_fail(f, -EINVAL,
				  "replica '%s' has %" PRIu64
				  " bytes and cannot shrink to %" PRIu64,
				  rec->name, rec->size_bytes, size_bytes);
	return room_check(f, rep->pool, size_bytes - rec->size_bytes, rec->flags & RECORD_THICK);
}

void replica_grow(struct replica *rep, uint64_t size_bytes)
{
	struct pool *pool = rep->pool;
	uint64_t more = size_bytes - rep->rec.size_bytes;

	if (rep->rec.flags & RECORD_THICK)
		pool->super.thick_clusters += more >> pool->cluster_shift;
	pool->super.committed_bytes += more;
	rep->rec.size_bytes = size_bytes;
	replica_dirty(rep);
}

static int resize_check(struct fiber *f, struct pool *pool, void *arg)
{
	const struct change *change = arg;
	int r = change_check_there(f, change->rep);

	(void)pool;
	return r < 0 ? r : replica_may_grow(f, change->rep, change->size_bytes);
}

static int resize_run(struct fiber *f, struct pool *pool, void *arg)
{
	const struct change *change = arg;

	(void)f;
	(void)pool;
	replica_grow(change->rep, change->size_bytes);
	return 0;
}

int replica_resize(struct fiber *f, struct pool *pool, const char *name, uint64_t size_bytes)
{
	struct change change = { .size_bytes = clusters_of(pool, size_bytes)
					       << pool->cluster_shift };
	int r = size_check(f, size_bytes);

	if (r == 0)
		r = change_do(f, pool, name, &change, false, resize_check, resize_run);
	return r;
}

static int rename_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;
	int r = change_check_there(f, change->rep);

	if (r == 0 && rio_is_open(change->rep))
		return fiber_fail(f, -EBUSY, "pool '%s': replica '%s' is in use", pool->super.name,
				  change->rep->rec.name);
	return r < 0 ? r : catalog_check_free(f, pool, change->name, NULL);
}

static int rename_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;

	return catalog_rename(f, change->rep, change->name);
}

int replica_rename(struct fiber *f, struct pool *pool, const char *name, const char *to)
{
	struct change change = { .name = to };
	int r = catalog_check_name(f, "replica", to);

	return r < 0 ? r : change_do(f, pool, name, &change, false, rename_check, rename_run);
}

static int attr_check(struct fiber *f, struct pool *pool, void *arg)
{
	return change_check_there(f, ((struct change *)arg)->rep);
}

static int flags_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;
	struct record *rec = &change->rep->rec;

	rec->flags = (rec->flags & ~change->flags_clear) | change->flags_set;
	replica_dirty(change->rep);
	return 0;
}

int replica_set_shared(struct fiber *f, struct pool *pool, const char *name, bool shared)
{
	struct change change = { .flags_set = shared ? RECORD_SHARED : 0,
				 .flags_clear = RECORD_SHARED };

	return change_do(f, pool, name, &change, false, attr_check, flags_run);
}

static int entity_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct change *change = arg;

	memcpy(change->rep->rec.entity_id, change->entity_id, strlen(change->entity_id) + 1);
	replica_dirty(change->rep);
	return 0;
}

int replica_set_entity(struct fiber *f, struct pool *pool, const char *name, const char *entity_id)
{
	struct change change = { .entity_id = entity_id };

	if (strlen(entity_id) > ENTITY_ID_MAX)
		return fiber_fail(f, -EINVAL, "replica '%s': an entity id has at most %u bytes",
				  name, ENTITY_ID_MAX);
	return change_do(f, pool, name, &change, false, attr_check, entity_run);
}

/* ---- snapshots and clones --------------------------------------------------------------------------------- */

/* The new object's map is the old one's: one more pointer to the root (T2). */
static int map_share(struct fiber *f, struct replica *from, const char *name, struct record *record,
		     struct replica **ret)
{
	struct pool *pool = from->pool;

	if (from->rec.map.levels)
		refs_inc(pool, from->rec.map.root.name);
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

	if (source->rec.kind == REPLICA_SNAPSHOT)
		return fiber_fail(f, -EINVAL, "pool '%s': '%s' is a snapshot itself",
				  pool->super.name, source->rec.name);
	if (pool->super.replicas + pool->super.snapshots >= POOL_REPLICAS_MAX)
		return fiber_fail(f, -ENOSPC,
				  "pool '%s' has %u replicas and snapshots, the most there can be",
				  pool->super.name, POOL_REPLICAS_MAX);
	return catalog_check_free(f, pool, name, uuid);
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
	uuid_take(f, uuid, &change->record.uuid);
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
	return r < 0 ? r : room_check(f, pool, rec->size_bytes, false);
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

/* ---- looking ---------------------------------------------------------------------------------------------- */

static int parent_stat(struct fiber *f, struct pool *pool, uint64_t object,
		       struct replica_stat *ret)
{
	struct replica *parent;
	int r;

	if (object == 0)
		return 0;
	r = replica_get(f, pool, object, &parent);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	memcpy(ret->parent, parent->rec.name, sizeof(ret->parent));
	ret->parent_uuid = parent->rec.uuid;
	replica_put(parent);
	return 0;
}

static int replica_stat_of(struct fiber *f, struct replica *rep, struct replica_stat *ret)
{
	const struct record *rec = &rep->rec;

	*ret = (struct replica_stat){ .uuid = rec->uuid,
				      .kind = rec->kind,
				      .size_bytes = rec->size_bytes,
				      .thick = rec->flags & RECORD_THICK,
				      .shared = rec->flags & RECORD_SHARED,
				      .discarded = rec->flags & RECORD_DISCARDED,
				      .clones = rec->clones,
				      .snapshots = rec->snapshots,
				      .txg = rec->txg,
				      .wall_ns = rec->wall_ns };
	memcpy(ret->name, rec->name, sizeof(ret->name));
	memcpy(ret->entity_id, rec->entity_id, sizeof(ret->entity_id));
	ret->allocated_bytes = (rec->mapped + (uint64_t)rio_unapplied(rep))
			       << rep->pool->cluster_shift;
	return parent_stat(f, rep->pool, rec->parent, ret);
}

int replica_stat(struct fiber *f, struct pool *pool, const char *name_or_uuid,
		 struct replica_stat *ret)
{
	struct replica *rep;
	int r = replica_find(f, pool, name_or_uuid, &rep);

	if (r < 0)
		return r;
	r = replica_stat_of(f, rep, ret);
	replica_put(rep);
	return r;
}

int replica_each(struct fiber *f, struct pool *pool,
		 int (*fn)(void *ctx, const struct replica_stat *stat), void *ctx)
{
	uint64_t object = 0;

	for (;; object++) {
		struct tree_root root = pool->seen.catalog;
		const struct tree tree = { TREE_CATALOG, 0, &root };
		uint8_t value[CATALOG_VALUE_SIZE];
		struct replica_stat stat;
		struct replica *rep;
		int r = tree_next(f, pool, &tree, object, &object, value);

		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = replica_get(f, pool, object, &rep);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		if (rep->rec.flags & RECORD_PREPARED) {
			replica_put(rep);
			continue;
		}
		r = replica_stat_of(f, rep, &stat);
		replica_put(rep);
		if (r == 0)
			r = fn(ctx, &stat);
		if (r != 0)
			return r;
	}
}
