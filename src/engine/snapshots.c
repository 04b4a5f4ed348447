// SPDX-License-Identifier: Apache-2.0
/*
 * snapshots - replicas frozen at a moment, and clones of them.
 *
 * A snapshot's entity id and transaction id lie together in the pool's one attribute, with a
 * mark between: set in a second step, so a snapshot is noted as half made until then (EN1).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/engine_priv.h"
#include "reactor/fiber.h"

#define ENTITY_SIZE sizeof(((struct replica_stat *)0)->entity_id)

/* ---- snapshots ----------------------------------------------------------------------------------- */

static int snapshot_check(struct fiber *f, const struct engine_snapshot_args *args,
			  char entity[ENTITY_SIZE], struct uuid *ret_uuid)
{
	int len;

	if (!args->name[0])
		return fiber_fail(f, -EINVAL, "the snapshot's name is missing");
	if (!args->replica[0])
		return fiber_fail(f, -EINVAL, "snapshot '%s': its replica's uuid is missing",
				  args->name);
	if (strlen(args->txn_id) > ENGINE_TXN_MAX)
		return fiber_fail(f, -EINVAL,
				  "snapshot '%s': a transaction id has at most %u bytes",
				  args->name, ENGINE_TXN_MAX);
	len = snprintf(entity, ENTITY_SIZE, "%s%s%s", args->entity_id,
		       args->txn_id[0] ? "\x1f" : "", args->txn_id);
	if (len >= (int)ENTITY_SIZE)
		return fiber_fail(
			f, -EINVAL,
			"snapshot '%s': entity id and transaction id have more than %zu bytes",
			args->name, ENTITY_SIZE - 2);
	return engine_uuid_of(f, "snapshot_uuid", args->uuid, ret_uuid);
}

/* What is there under the uuid: 1 the same, 0 nothing. */
static int snapshot_exists(struct fiber *f, struct engine *e,
			   const struct engine_snapshot_args *args, const char *entity,
			   struct replica_at *at)
{
	char source[UUID_TEXT_SIZE];
	int r = replicas_find(f, e, args->uuid, NULL, at);

	if (r == -ENOENT) {
		fiber_clear(f);
		return 0;
	}
	if (r < 0)
		return r;
	uuid_print(&at->stat.parent_uuid, source);
	if (at->stat.kind == REPLICA_SNAPSHOT && strcmp(at->stat.name, args->name) == 0 &&
	    strcmp(at->stat.entity_id, entity) == 0 &&
	    (strcmp(at->stat.parent, args->replica) == 0 || strcasecmp(source, args->replica) == 0))
		return 1;
	pools_put(at->ep);
	return fiber_fail(f, -EEXIST, "'%s' has this uuid, and is not such a snapshot",
			  at->stat.name);
}

static int snapshot_make(struct fiber *f, struct engine *e, const struct engine_snapshot_args *args,
			 const char *entity, struct replica_at *at)
{
	struct making what = { .what = MAKING_REPLICA, .pool = at->ep->uuid }, *making = NULL;
	struct uuid uuid;
	int r = engine_uuid_of(f, "snapshot_uuid", args->uuid, &uuid);

	what.uuid = uuid;
	if (r == 0 && entity[0])
		r = making_start(f, e, &what, &making);
	if (r == 0)
		r = snapshot_create(f, at->ep->pool, at->stat.name, args->name, &uuid);
	if (r == 0 && entity[0])
		r = replica_set_entity(f, at->ep->pool, args->name, entity);
	if (r < 0 && making) {
		making_fail(f, e, making);
	} else if (making) {
		making_end(making);
		r = state_save(f, e);
	}
	if (r == 0)
		events_add(e->events, EVENTS_SNAPSHOT, "created", args->name, &uuid,
			   "of replica '%s'", at->stat.name);
	return r < 0 ? r : replica_stat(f, at->ep->pool, args->name, &at->stat);
}

static int snapshot_have(struct fiber *f, struct engine *e, const struct engine_snapshot_args *args,
			 const char *entity, struct replica_at *at)
{
	int r = snapshot_exists(f, e, args, entity, at);

	if (r != 0)
		return r < 0 ? r : 0;
	r = replicas_find(f, e, args->replica, NULL, at);
	if (r < 0)
		return r;
	r = snapshot_make(f, e, args, entity, at);
	if (r < 0)
		pools_put(at->ep);
	return r;
}

int engine_snapshot_create(struct fiber *f, struct engine *e,
			   const struct engine_snapshot_args *args, engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	char entity[ENTITY_SIZE];
	struct uuid uuid;
	int r = at ? snapshot_check(f, args, entity, &uuid) : -ENOMEM;

	if (r == 0)
		r = latch_lock(f, &e->change);
	if (r < 0)
		return r;
	r = snapshot_have(f, e, args, entity, at);
	if (r == 0) {
		r = replicas_show(f, e, at, fn, ctx);
		pools_put(at->ep);
	}
	latch_unlock(f, &e->change);
	return r;
}

static int snapshot_pick(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 const char *pool, struct replica_at *at)
{
	int r;

	if (!name_or_uuid[0])
		return fiber_fail(f, -EINVAL, "the snapshot's uuid is missing");
	r = replicas_find(f, e, name_or_uuid, pool, at);
	if (r == 0 && at->stat.kind != REPLICA_SNAPSHOT) {
		r = fiber_fail(f, -EINVAL, "'%s' is no snapshot", at->stat.name);
		pools_put(at->ep);
	}
	return r;
}

int engine_snapshot_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid,
			    const char *pool)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? latch_lock(f, &e->change) : -ENOMEM;

	if (r < 0)
		return r;
	r = snapshot_pick(f, e, name_or_uuid, pool, at);
	if (r == 0) {
		if (!at->stat.discarded)
			r = snapshot_destroy(f, at->ep->pool, at->stat.name);
		if (r == 0 && !at->stat.discarded)
			events_add(e->events, EVENTS_SNAPSHOT, "destroyed", at->stat.name,
				   &at->stat.uuid, "of replica '%s'%s", at->stat.parent,
				   at->stat.clones ? ", goes with its last clone" : "");
		pools_put(at->ep);
	}
	latch_unlock(f, &e->change);
	return r;
}

/* ---- clones --------------------------------------------------------------------------------------------- */

static int clone_exists(struct fiber *f, struct engine *e, const struct replica_at *snapshot,
			const char *name, const char *uuid, struct replica_at *at)
{
	int r = replicas_find(f, e, uuid, NULL, at);

	if (r == -ENOENT) {
		fiber_clear(f);
		return 0;
	}
	if (r < 0)
		return r;
	if (at->stat.kind == REPLICA_CLONE && strcmp(at->stat.name, name) == 0 &&
	    uuid_equal(&at->stat.parent_uuid, &snapshot->stat.uuid))
		return 1;
	pools_put(at->ep);
	return fiber_fail(f, -EEXIST, "'%s' has this uuid, and is not such a clone", at->stat.name);
}

static int clone_have(struct fiber *f, struct engine *e, struct replica_at *snapshot,
		      const char *name, const char *uuid_text, struct replica_at *at)
{
	struct uuid uuid;
	int r = clone_exists(f, e, snapshot, name, uuid_text, at);

	if (r != 0)
		return r < 0 ? r : 0;
	r = engine_uuid_of(f, "clone_uuid", uuid_text, &uuid);
	if (r == 0)
		r = clone_create(f, snapshot->ep->pool, snapshot->stat.name, name, &uuid);
	if (r == 0)
		events_add(e->events, EVENTS_REPLICA, "created", name, &uuid,
			   "a clone of snapshot '%s'", snapshot->stat.name);
	return r < 0 ? r : replicas_find(f, e, uuid_text, NULL, at);
}

static int clone_locked(struct fiber *f, struct engine *e, const char *snapshot, const char *name,
			const char *uuid, struct replica_at at[2])
{
	int r = snapshot_pick(f, e, snapshot, NULL, &at[0]);

	if (r < 0)
		return r;
	r = clone_have(f, e, &at[0], name, uuid, &at[1]);
	pools_put(at[0].ep);
	return r;
}

int engine_clone_create(struct fiber *f, struct engine *e, const char *snapshot, const char *name,
			const char *uuid, engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, 2 * sizeof(*at));
	struct uuid checked;
	int r = at ? engine_uuid_of(f, "clone_uuid", uuid, &checked) : -ENOMEM;

	if (r == 0 && !name[0])
		r = fiber_fail(f, -EINVAL, "the clone's name is missing");
	if (r == 0)
		r = latch_lock(f, &e->change);
	if (r < 0)
		return r;
	r = clone_locked(f, e, snapshot, name, uuid, at);
	if (r == 0) {
		r = replicas_show(f, e, &at[1], fn, ctx);
		pools_put(at[1].ep);
	}
	latch_unlock(f, &e->change);
	return r;
}
