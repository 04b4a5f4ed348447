// SPDX-License-Identifier: Apache-2.0
/*
 * replica - creating, changing and destroying replicas: operations of the commit.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "pool/change_priv.h"
#include "reactor/fiber.h"

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
	return r < 0 ? r :
		       change_check_room(f, pool, record->size_bytes, record->flags & RECORD_THICK);
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
		pool->super.thick_clusters += change_clusters(pool, record->size_bytes);
	return 0;
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
	change_take_uuid(f, args->uuid, &record.uuid);
	record.size_bytes = change_clusters(pool, args->size_bytes) << pool->cluster_shift;
	record.wall_ns = io_wall(fiber_io(f));
	return commit_op(f, pool, &op);
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

static int destroy_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct replica *rep = ((struct change *)arg)->rep;
	int r = 0;

	pool->super.replicas--;
	pool->super.committed_bytes -= rep->rec.size_bytes;
	if (rep->rec.flags & RECORD_THICK)
		pool->super.thick_clusters -=
			min_u64(pool->super.thick_clusters,
				change_clusters(pool, rep->rec.size_bytes) - rep->rec.mapped);
	if (rep->rec.kind == REPLICA_CLONE)
		r = snapshot_clone_gone(f, pool, rep->rec.parent);
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
	return change_check_room(f, rep->pool, size_bytes - rec->size_bytes,
				 rec->flags & RECORD_THICK);
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
	struct change change = { .size_bytes = change_clusters(pool, size_bytes)
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
