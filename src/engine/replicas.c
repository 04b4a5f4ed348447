// SPDX-License-Identifier: Apache-2.0
/*
 * replicas - the replicas of a node: made, shared, resized, destroyed; how they are told of.
 *
 * That a replica is shared, and with whom, is kept in its pool, so that it comes back wherever the
 * pool is imported. Names are unique on a node, since NQNs are made of them.
 *
 * RN1. A replica that is acknowledged as shared is shared again when its pool comes back.
 * RN2. What makes a replica in more than one step is noted as half made until it is whole (EN1).
 * RN3. Hosts are those of a share: what lies in the pool of one that has ended, or that was not
 *      begun, is not told, so that each of the two steps of sharing is whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

/* Between the entity id and the transaction id of a snapshot, in the pool's one attribute. */
#define ENTITY_MARK '\x1f'

/* ---- finding ---------------------------------------------------------------------------------- */

int replicas_find(struct fiber *f, struct engine *e, const char *name_or_uuid, const char *pool,
		  struct replica_at *ret)
{
	struct engine_pool *ep = NULL;
	struct uuid uuid;
	bool is_uuid = pool && uuid_parse(pool, &uuid) == 0;

	while ((ep = pools_next(e, ep))) {
		int r;

		if (pool && strcmp(pool, ep->name) != 0 &&
		    !(is_uuid && uuid_equal(&uuid, &ep->uuid)))
			continue;
		r = replica_stat(f, ep->pool, name_or_uuid, &ret->stat);
		if (r == 0 && making_is_left(e, &ret->stat.uuid))
			r = -ENOENT; /* as good as gone */
		if (r == 0) {
			pool_info(ep->pool, &ret->pool);
			ret->ep = ep;
			return 0;
		}
		if (r != -ENOENT) {
			pools_put(ep);
			return r;
		}
		fiber_clear(f);
	}
	return fiber_fail(f, -ENOENT, "there is no '%s' in %s%s", name_or_uuid,
			  pool ? "pool " : "any pool", pool ? pool : "");
}

/* A replica or a clone, to be changed. */
static int replicas_pick(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 const char *pool, struct replica_at *ret)
{
	int r;

	if (!name_or_uuid[0])
		return fiber_fail(f, -EINVAL, "the replica's uuid is missing");
	r = replicas_find(f, e, name_or_uuid, pool, ret);
	if (r == 0 && ret->stat.kind == REPLICA_SNAPSHOT) {
		r = fiber_fail(f, -EINVAL, "'%s' is a snapshot", ret->stat.name);
		pools_put(ret->ep);
	}
	return r;
}

void replica_local_uri(const struct replica_at *at, char ret[ENGINE_URI_MAX])
{
	snprintf(ret, ENGINE_URI_MAX, "pool:///%s/%s", at->ep->name, at->stat.name);
}

/* ---- telling --------------------------------------------------------------------------------------- */

struct gather {
	struct engine *e;
	struct texts hosts;
	int r;
};

static int gather_host(void *ctx, const char *host)
{
	struct gather *gather = ctx;

	gather->r = texts_add(gather->e->io->mem, &gather->hosts, host);
	return gather->r;
}

static int replica_hosts(struct fiber *f, struct engine *e, const struct replica_at *at,
			 struct texts *ret)
{
	struct gather gather = { .e = e };
	int r = replica_get_hosts(f, at->ep->pool, at->stat.name, gather_host, &gather);

	if (r < 0 || gather.r < 0) {
		texts_free(&gather.hosts);
		return r < 0 ? r : fiber_fail(f, gather.r, "no memory");
	}
	*ret = gather.hosts;
	return 0;
}

static void info_uri(struct engine *e, const struct replica_at *at,
		     struct engine_replica_info *info)
{
	char uuid[UUID_TEXT_SIZE];

	if (at->stat.shared)
		share_uri(e, at->stat.name, &at->stat.uuid, info->uri);
	else
		snprintf(info->uri, sizeof(info->uri), "bdev:///%s?uuid=%s", at->stat.name,
			 uuid_print(&at->stat.uuid, uuid));
}

static void info_entity(const struct replica_stat *stat, struct engine_replica_info *info)
{
	const char *mark = strchr(stat->entity_id, ENTITY_MARK);
	size_t len = mark ? (size_t)(mark - stat->entity_id) : strlen(stat->entity_id);

	memcpy(info->entity, stat->entity_id, len);
	info->entity[len] = '\0';
	snprintf(info->txn, sizeof(info->txn), "%s", mark ? mark + 1 : "");
}

/* It is big: not on a fiber's stack. */
static int replica_tell(struct fiber *f, struct engine *e, const struct replica_at *at,
			engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct engine_replica_info *info = mem_new(e->io, sizeof(*info));
	struct texts hosts = { 0 };
	int r;

	if (!info)
		return fiber_fail(f, -ENOMEM, "no memory");
	r = at->stat.shared ? replica_hosts(f, e, at, &hosts) : 0; /* RN3 */
	if (r < 0)
		return r;
	info->stat = at->stat;
	info->pool = &at->pool;
	info->hosts = texts_list(&hosts);
	info->host_count = hosts.count;
	info_uri(e, at, info);
	info_entity(&at->stat, info);
	r = fn(ctx, info);
	texts_free(&hosts);
	return r;
}

int replicas_show(struct fiber *f, struct engine *e, struct replica_at *at, engine_replica_fn fn,
		  void *ctx)
{
	char uuid[UUID_TEXT_SIZE];
	int r = replica_stat(f, at->ep->pool, uuid_print(&at->stat.uuid, uuid), &at->stat);

	return r < 0 ? r : replica_tell(f, e, at, fn, ctx);
}

/* The names of a pool's replicas first, then each: telling suspends, and the walk must not. */
struct walk {
	struct mem *mem;
	struct replica_stat *stats; /* owned */
	uint32_t count, room;
};

static int walk_add(void *ctx, const struct replica_stat *stat)
{
	struct walk *walk = ctx;

	if (walk->count == walk->room) {
		uint32_t room = walk->room ? walk->room * 2 : 16;
		struct replica_stat *stats = mem_alloc_array(walk->mem, room, sizeof(*stats));

		if (!stats)
			return -ENOMEM;
		if (walk->count)
			memcpy(stats, walk->stats, walk->count * sizeof(*stats));
		mem_free(walk->stats);
		walk->stats = stats;
		walk->room = room;
	}
	walk->stats[walk->count++] = *stat;
	return 0;
}

typedef int (*replica_at_fn)(struct fiber *f, struct engine *e, const struct replica_at *at,
			     void *ctx);

static int pool_walk(struct fiber *f, struct engine *e, struct engine_pool *ep, replica_at_fn fn,
		     void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	struct walk walk = { .mem = e->io->mem };
	int r = at ? replica_each(f, ep->pool, walk_add, &walk) : -ENOMEM;

	if (r == -ENOMEM)
		r = fiber_fail(f, r, "no memory");
	if (r == 0) {
		at->ep = ep;
		pool_info(ep->pool, &at->pool);
	}
	for (uint32_t i = 0; i < walk.count && r == 0; i++) {
		at->stat = walk.stats[i];
		r = fn(f, e, at, ctx);
		if (r == -ENOENT) { /* gone meanwhile */
			fiber_clear(f);
			r = 0;
		}
	}
	mem_free(walk.stats);
	return r;
}

struct each {
	engine_replica_fn fn;
	void *ctx;
};

static int each_one(struct fiber *f, struct engine *e, const struct replica_at *at, void *ctx)
{
	const struct each *each = ctx;

	if (making_is_left(e, &at->stat.uuid))
		return 0;
	return replica_tell(f, e, at, each->fn, each->ctx);
}

int engine_replica_each(struct fiber *f, struct engine *e, const char *pool, engine_replica_fn fn,
			void *ctx)
{
	struct each each = { fn, ctx };
	struct engine_pool *ep = NULL;
	struct uuid uuid;
	bool is_uuid = pool && uuid_parse(pool, &uuid) == 0;

	while ((ep = pools_next(e, ep))) {
		int r;

		if (pool && strcmp(pool, ep->name) != 0 &&
		    !(is_uuid && uuid_equal(&uuid, &ep->uuid)))
			continue;
		r = pool_walk(f, e, ep, each_one, &each);
		if (r != 0) {
			pools_put(ep);
			return r;
		}
	}
	return 0;
}

static void replica_event(struct engine *e, const struct replica_at *at, const char *what)
{
	events_add(e->events, EVENTS_REPLICA, what, at->stat.name, &at->stat.uuid, "in pool '%s'",
		   at->ep->name);
}

/* ---- sharing --------------------------------------------------------------------------------------- */

static int replica_share(struct fiber *f, struct engine *e, const struct replica_at *at)
{
	CLEANUP(cleanup_mem) char *uri = mem_new(e->io, ENGINE_URI_MAX);
	struct texts hosts = { 0 };
	struct share_args args = {
		.name = at->stat.name, .uri = uri, .uuid = &at->stat.uuid, .is_replica = true
	};
	int r = uri ? replica_hosts(f, e, at, &hosts) : fiber_fail(f, -ENOMEM, "no memory");

	if (r < 0)
		return r;
	replica_local_uri(at, uri);
	args.hosts = texts_list(&hosts);
	args.host_count = hosts.count;
	r = share_hosts(f, e, &args);
	texts_free(&hosts);
	return r;
}

static int share_one(struct fiber *f, struct engine *e, const struct replica_at *at, void *ctx)
{
	(void)ctx;
	if (!at->stat.shared)
		return 0;
	if (replica_share(f, e, at) < 0) /* one that cannot be shared does not hide the others */
		engine_note(f, e, "replica not shared", at->stat.name);
	return 0;
}

int replicas_share_all(struct fiber *f, struct engine *e, struct engine_pool *ep)
{
	return pool_walk(f, e, ep, share_one, NULL);
}

static int unshare_one(struct fiber *f, struct engine *e, const struct replica_at *at, void *ctx)
{
	(void)ctx;
	if (at->stat.shared)
		share_close(f, share_find(e, at->stat.name));
	return 0;
}

void replicas_unshare_all(struct fiber *f, struct engine *e, struct engine_pool *ep)
{
	if (ep->pool && pool_walk(f, e, ep, unshare_one, NULL) < 0)
		engine_note(f, e, "pool not unshared", ep->name);
}

/* In the pool first, then the door (RN1). */
static int share_set(struct fiber *f, struct engine *e, struct replica_at *at,
		     const char *const *hosts, unsigned count)
{
	struct pool *pool = at->ep->pool;
	int r = replica_set_hosts(f, pool, at->stat.name, hosts, count);

	if (r == 0)
		r = replica_set_shared(f, pool, at->stat.name, true);
	if (r == 0)
		r = replica_share(f, e, at);
	return r;
}

static int unshare(struct fiber *f, struct engine *e, struct replica_at *at)
{
	struct pool *pool = at->ep->pool;
	int r = replica_set_shared(f, pool, at->stat.name, false);

	if (r == 0)
		r = replica_set_hosts(f, pool, at->stat.name, NULL, 0);
	if (r == 0)
		share_close(f, share_find(e, at->stat.name));
	return r;
}

static int change_begin(struct fiber *f, struct engine *e, const char *name_or_uuid,
			const char *pool, struct replica_at *at)
{
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	r = replicas_pick(f, e, name_or_uuid, pool, at);
	if (r < 0)
		latch_unlock(f, &e->change);
	return r;
}

static int change_end(struct fiber *f, struct engine *e, struct replica_at *at, int r,
		      engine_replica_fn fn, void *ctx)
{
	if (r == 0 && fn)
		r = replicas_show(f, e, at, fn, ctx);
	pools_put(at->ep);
	latch_unlock(f, &e->change);
	return r;
}

static bool share_is(struct fiber *f, struct engine *e, const struct replica_at *at,
		     const char *const *hosts, unsigned count)
{
	struct texts now = { 0 };
	bool is_same;

	if (!at->stat.shared || !share_find(e, at->stat.name) || replica_hosts(f, e, at, &now) < 0)
		return false;
	is_same = texts_are(&now, hosts, count);
	texts_free(&now);
	return is_same;
}

int engine_replica_share(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 const char *const *hosts, unsigned host_count, engine_replica_fn fn,
			 void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? share_check_hosts(f, hosts, host_count) : -ENOMEM;

	if (r == 0)
		r = change_begin(f, e, name_or_uuid, NULL, at);
	if (r < 0)
		return r;
	if (!share_is(f, e, at, hosts, host_count)) {
		r = share_set(f, e, at, hosts, host_count);
		if (r == 0)
			replica_event(e, at, "shared");
	}
	return change_end(f, e, at, r, fn, ctx);
}

int engine_replica_unshare(struct fiber *f, struct engine *e, const char *name_or_uuid,
			   engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? change_begin(f, e, name_or_uuid, NULL, at) : -ENOMEM;

	if (r < 0)
		return r;
	if (at->stat.shared) {
		r = unshare(f, e, at);
		if (r == 0)
			replica_event(e, at, "unshared");
	}
	return change_end(f, e, at, r, fn, ctx);
}

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
		 (args->share && !share_is(f, e, at, args->hosts, args->host_count)))
		differs = "with another share";
	return differs ? fiber_fail(f, -EEXIST, "replica '%s' exists %s", stat->name, differs) : 0;
}

static int replica_finish(struct fiber *f, struct engine *e, struct replica_at *at,
			  const struct engine_replica_args *args)
{
	return args->share ? share_set(f, e, at, args->hosts, args->host_count) : 0;
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
		return change_end(f, e, at, r, fn, ctx);
	latch_unlock(f, &e->change);
	return r;
}

/* ---- destroy, resize, whose ------------------------------------------------------------------------------ */

int engine_replica_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid,
			   const char *pool)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	struct uses_thing thing;
	int r = at ? change_begin(f, e, name_or_uuid, pool, at) : -ENOMEM;

	if (r < 0)
		return r;
	uses_of_replica(at, &thing);
	r = uses_check(f, e, &thing, true);
	if (r < 0)
		return change_end(f, e, at, r, NULL, NULL);
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
	return change_end(f, e, at, r, NULL, NULL);
}

int engine_replica_resize(struct fiber *f, struct engine *e, const char *name_or_uuid,
			  uint64_t size_bytes, engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? change_begin(f, e, name_or_uuid, NULL, at) : -ENOMEM;

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
	return change_end(f, e, at, r, fn, ctx);
}

int engine_replica_set_entity(struct fiber *f, struct engine *e, const char *name_or_uuid,
			      const char *entity_id, engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? change_begin(f, e, name_or_uuid, NULL, at) : -ENOMEM;

	if (r < 0)
		return r;
	r = replica_set_entity(f, at->ep->pool, at->stat.name, entity_id);
	return change_end(f, e, at, r, fn, ctx);
}
