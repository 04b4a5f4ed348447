// SPDX-License-Identifier: Apache-2.0
/*
 * replicas - the replicas of a node: found, told of, shared. How they come and go is in
 * replica_make.c.
 *
 * That a replica is shared, and with whom, is kept in its pool, so that it comes back wherever the
 * pool is imported. Names are unique on a node, since NQNs are made of them.
 *
 * RN1. A replica that is acknowledged as shared is shared again when its pool comes back.
 * RN3. Hosts are those of a share: what lies in the pool of one that has ended, or that was not
 *      begun, is not told, so that each of the two steps of sharing is whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/engine_priv.h"
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

void replica_event(struct engine *e, const struct replica_at *at, const char *what)
{
	events_add(e->events, EVENTS_REPLICA, what, at->stat.name, &at->stat.uuid, "in pool '%s'",
		   at->ep->name);
}

/* ---- sharing --------------------------------------------------------------------------------------- */

int replica_share(struct fiber *f, struct engine *e, const struct replica_at *at)
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
int replica_share_set(struct fiber *f, struct engine *e, struct replica_at *at,
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

int replica_change_begin(struct fiber *f, struct engine *e, const char *name_or_uuid,
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

int replica_change_end(struct fiber *f, struct engine *e, struct replica_at *at, int r,
		       engine_replica_fn fn, void *ctx)
{
	if (r == 0 && fn)
		r = replicas_show(f, e, at, fn, ctx);
	pools_put(at->ep);
	latch_unlock(f, &e->change);
	return r;
}

bool replica_share_is(struct fiber *f, struct engine *e, const struct replica_at *at,
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
		r = replica_change_begin(f, e, name_or_uuid, NULL, at);
	if (r < 0)
		return r;
	if (!replica_share_is(f, e, at, hosts, host_count)) {
		r = replica_share_set(f, e, at, hosts, host_count);
		if (r == 0)
			replica_event(e, at, "shared");
	}
	return replica_change_end(f, e, at, r, fn, ctx);
}

int engine_replica_unshare(struct fiber *f, struct engine *e, const char *name_or_uuid,
			   engine_replica_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? replica_change_begin(f, e, name_or_uuid, NULL, at) : -ENOMEM;

	if (r < 0)
		return r;
	if (at->stat.shared) {
		r = unshare(f, e, at);
		if (r == 0)
			replica_event(e, at, "unshared");
	}
	return replica_change_end(f, e, at, r, fn, ctx);
}
