// SPDX-License-Identifier: Apache-2.0
/*
 * replica_make - the replicas of a node come, change and go: made, resized, given to somebody,
 * destroyed.
 *
 * RN2. What makes a replica in more than one step is noted as half made until it is whole (EN1).
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

/* ---- create ----------------------------------------------------------------------------------------- */

static uint64_t whole_clusters(const struct replica_at *at, uint64_t bytes)
{
	return align_up_u64(bytes, at->pool.cluster_bytes);
}

/* 0: the same as is asked for; -EEXIST says what is not. */
static int replica_is(struct fiber *f, struct engine *e, const struct replica_at *at,
		      const struct engine_replica_args *args, const struct uuid *uuid)
{
	const struct replica_stat *stat = &at->stat;
	const char *differs = NULL;

	if (stat->kind == REPLICA_SNAPSHOT)
		differs = "as a snapshot";
	else if (strcmp(stat->name, args->name) != 0)
		differs = "under another name";
	else if (!uuid_equal(&stat->uuid, uuid))
		differs = "with another uuid";
	else if (stat->size_bytes != whole_clusters(at, args->size_bytes))
		differs = "with another size";
	else if (stat->thick == args->thin)
		differs = args->thin ? "as a thick one" : "as a thin one";
	else if (strcmp(stat->entity_id, args->entity_id ? args->entity_id : "") != 0)
		differs = "with another entity id";
	else if (stat->shared != args->share ||
		 (args->share && !replica_share_is(f, e, at, args->hosts, args->host_count)))
		differs = "with another share";
	return differs ? fiber_fail(f, -EEXIST, "replica '%s' exists %s", stat->name, differs) : 0;
}

static int replica_finish(struct fiber *f, struct engine *e, struct replica_at *at,
			  const struct engine_replica_args *args)
{
	return args->share ? replica_share_set(f, e, at, args->hosts, args->host_count) : 0;
}

static int replica_make(struct fiber *f, struct engine *e, struct replica_at *at,
			const struct engine_replica_args *args, const struct uuid *uuid)
{
	const struct replica_create_args create = { .name = args->name,
						    .uuid = uuid,
						    .size_bytes = args->size_bytes,
						    .thick = !args->thin,
						    .entity_id = args->entity_id };
	struct making what = { .what = MAKING_REPLICA, .uuid = *uuid, .pool = at->ep->uuid };
	struct making *making = NULL;
	int r = 0;

	if (args->share) /* else it is made in one step (RN2) */
		r = making_start(f, e, &what, &making);
	if (r == 0)
		r = replica_create(f, at->ep->pool, &create);
	if (r == 0)
		r = replica_stat(f, at->ep->pool, args->name, &at->stat);
	if (r == 0)
		r = replica_finish(f, e, at, args);
	if (r < 0 && making) {
		share_close(f, share_find(e, args->name));
		making_fail(f, e, making);
	} else if (making) {
		making_end(making);
		r = state_save(f, e);
	}
	if (r == 0)
		replica_event(e, at, "created");
	return r;
}

static int replica_check(struct fiber *f, const struct engine_replica_args *args,
			 struct uuid *ret_uuid)
{
	int r;

	if (!args->name[0])
		return fiber_fail(f, -EINVAL, "the replica's name is missing");
	if (args->size_bytes == 0)
		return fiber_fail(f, -EINVAL, "replica '%s': its size is missing", args->name);
	r = engine_uuid_of(f, "uuid", args->uuid, ret_uuid);
	return r < 0 ? r : share_check_hosts(f, args->hosts, args->host_count);
}

/* By uuid or by name, anywhere: 1 with *at, 0 nothing. */
static int replica_exists(struct fiber *f, struct engine *e, const char *name, const char *uuid,
			  struct replica_at *at)
{
	int r = replicas_find(f, e, uuid, NULL, at);

	if (r == -ENOENT) {
		fiber_clear(f);
		r = replicas_find(f, e, name, NULL, at);
	}
	if (r == -ENOENT) {
		fiber_clear(f);
		return 0;
	}
	return r < 0 ? r : 1;
}

static int replica_have(struct fiber *f, struct engine *e, const struct engine_replica_args *args,
			const struct uuid *uuid, struct replica_at *at)
{
	int r = replica_exists(f, e, args->name, args->uuid, at);

	if (r > 0) {
		bool is_there = strcmp(args->pool, at->ep->name) == 0;
		char text[UUID_TEXT_SIZE];

		is_there |= strcasecmp(args->pool, uuid_print(&at->ep->uuid, text)) == 0;
		r = is_there ? replica_is(f, e, at, args, uuid) :
			       fiber_fail(f, -EEXIST, "replica '%s' exists in pool '%s'",
					  at->stat.name, at->ep->name);
		if (r < 0)
			pools_put(at->ep);
		return r;
	}
	if (r == 0 && making_is_left(e, uuid))
		return fiber_fail(f, -EAGAIN, "replica '%s' is still being taken down", args->name);
	if (r == 0)
		r = pools_get(f, e, args->pool, &at->ep);
	if (r < 0)
		return r;
	pool_info(at->ep->pool, &at->pool);
	r = replica_make(f, e, at, args, uuid);
	if (r < 0)
		pools_put(at->ep);
	return r;
}

int engine_replica_create(struct fiber *f, struct engine *e, const struct engine_replica_args *args,
			  engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	struct uuid uuid;
	int r = at ? replica_check(f, args, &uuid) : -ENOMEM;

	if (r == 0)
		r = latch_lock(f, &e->change);
	if (r < 0)
		return r;
	r = replica_have(f, e, args, &uuid, at);
	if (r == 0)
		return replica_change_end(f, e, at, r, fn, ctx);
	latch_unlock(f, &e->change);
	return r;
}

/* ---- destroy, resize, whose ------------------------------------------------------------------------------ */

int engine_replica_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid,
			   const char *pool)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	struct uses_thing thing;
	int r = at ? replica_change_begin(f, e, name_or_uuid, pool, at) : -ENOMEM;

	if (r < 0)
		return r;
	uses_of_replica(at, &thing);
	r = uses_check(f, e, &thing, true);
	if (r < 0)
		return replica_change_end(f, e, at, r, NULL, NULL);
	share_close(f, share_find(e, at->stat.name));
	r = replica_destroy(f, at->ep->pool, at->stat.name);
	if (r == 0)
		replica_event(e, at, "destroyed");
	if (r < 0 && at->stat.shared) { /* it stays, and so does its door */
		struct err why = *fiber_err(f);

		fiber_clear(f);
		if (replica_share(f, e, at) < 0)
			engine_note(f, e, "replica not shared", at->stat.name);
		*fiber_err(f) = why;
	}
	return replica_change_end(f, e, at, r, NULL, NULL);
}

int engine_replica_resize(struct fiber *f, struct engine *e, const char *name_or_uuid,
			  uint64_t size_bytes, engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? replica_change_begin(f, e, name_or_uuid, NULL, at) : -ENOMEM;

	if (r < 0)
		return r;
	if (size_bytes == 0) {
		r = fiber_fail(f, -EINVAL, "replica '%s': the new size is missing", at->stat.name);
	} else if (whole_clusters(at, size_bytes) != at->stat.size_bytes) {
		r = replica_resize(f, at->ep->pool, at->stat.name, size_bytes);
		if (r == 0)
			replica_event(e, at, "resized");
	}
	if (r == 0)
		r = share_rescan(f, share_find(e, at->stat.name));
	return replica_change_end(f, e, at, r, fn, ctx);
}

int engine_replica_set_entity(struct fiber *f, struct engine *e, const char *name_or_uuid,
			      const char *entity_id, engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? replica_change_begin(f, e, name_or_uuid, NULL, at) : -ENOMEM;

	if (r < 0)
		return r;
	r = replica_set_entity(f, at->ep->pool, at->stat.name, entity_id);
	return replica_change_end(f, e, at, r, fn, ctx);
}
