// SPDX-License-Identifier: Apache-2.0
/*
 * pools - the pools of a node: made, imported, given away, and back after a restart.
 *
 *	AWAY (noted in the state, not imported) <--> HERE --> leaving (drained of pins) --> gone
 *
 * PO1. A pool is in the list from the save that acknowledged it to the one that let it go.
 * PO2. `pool` is NULL while it is away or leaving; whoever pinned it before sees it to the end (EN3).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/doors.h"
#include "engine/events_source.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

/* ---- the list ------------------------------------------------------------------------------- */

void engine_pool_free(struct engine_pool *ep)
{
	list_del(&ep->link);
	texts_free(&ep->disks);
	mem_free(ep);
}

void pools_put(struct engine_pool *ep)
{
	if (ep && --ep->pins == 0)
		event_set(&ep->unpinned);
}

struct engine_pool *pools_next(struct engine *e, struct engine_pool *prev)
{
	struct engine_pool *ep = prev ? list_next(prev, &e->pools, link) :
					list_first(&e->pools, struct engine_pool, link);

	while (ep && !ep->pool)
		ep = list_next(ep, &e->pools, link);
	if (ep)
		ep->pins++;
	pools_put(prev);
	return ep;
}

static struct engine_pool *pools_find(struct engine *e, const char *name_or_uuid)
{
	struct engine_pool *ep;
	struct uuid uuid;
	bool is_uuid = uuid_parse(name_or_uuid, &uuid) == 0;

	list_for_each(ep, &e->pools, link)
		if (strcmp(ep->name, name_or_uuid) == 0 ||
		    (is_uuid && uuid_equal(&ep->uuid, &uuid)))
			return ep;
	return NULL;
}

int pools_get(struct fiber *f, struct engine *e, const char *name_or_uuid, struct engine_pool **ret)
{
	struct engine_pool *ep = pools_find(e, name_or_uuid);

	if (!ep)
		return fiber_fail(f, -ENOENT, "there is no pool '%s'", name_or_uuid);
	if (!ep->pool)
		return fiber_fail(f, -EAGAIN, "pool '%s' is not imported: %s", ep->name, ep->why);
	ep->pins++;
	*ret = ep;
	return 0;
}

int pools_pick(struct fiber *f, struct engine *e, const char *name_or_uuid, const char *uuid,
	       struct engine_pool **ret)
{
	const char *key = name_or_uuid[0] || !uuid ? name_or_uuid : uuid;
	struct engine_pool *ep = pools_find(e, key);
	struct uuid want;

	if (!ep)
		return fiber_fail(f, -ENOENT, "there is no pool '%s'", key);
	if (uuid && uuid[0]) {
		int r = engine_uuid_of(f, "uuid", uuid, &want);

		if (r < 0)
			return r;
		if (!uuid_equal(&want, &ep->uuid))
			return fiber_fail(f, -ENOENT, "pool '%s' has another uuid than %s",
					  ep->name, uuid);
	}
	*ret = ep;
	return 0;
}

/* ---- telling of them ------------------------------------------------------------------------- */

int pool_tell(struct engine_pool *ep, engine_pool_fn fn, void *ctx)
{
	struct engine_pool_info info = { .disks = texts_list(&ep->disks),
					 .disk_count = ep->disks.count };

	if (ep->pool) {
		pool_info(ep->pool, &info.pool);
		info.disk_bytes = info.pool.capacity_bytes;
	} else {
		memcpy(info.pool.name, ep->name, sizeof(info.pool.name));
		memcpy(info.pool.why, ep->why, sizeof(info.pool.why));
		info.pool.uuid = ep->uuid;
		info.pool.state = POOL_FAULTED;
	}
	return fn(ctx, &info);
}

int engine_pool_each(struct engine *e, engine_pool_fn fn, void *ctx)
{
	struct engine_pool *ep;
	int r = 0;

	list_for_each(ep, &e->pools, link) {
		r = pool_tell(ep, fn, ctx);
		if (r != 0)
			break;
	}
	return r;
}

int engine_pool_show(struct fiber *f, struct engine *e, const char *name_or_uuid, engine_pool_fn fn,
		     void *ctx)
{
	struct engine_pool *ep;
	int r = pools_pick(f, e, name_or_uuid, NULL, &ep);

	return r < 0 ? r : pool_tell(ep, fn, ctx);
}

/* ---- import ------------------------------------------------------------------------------------- */

static int pool_take(struct fiber *f, struct engine *e, struct engine_pool *ep, struct pool **ret)
{
	struct pool_import_args args = { .name = ep->name };
	struct texts uris;
	int r = pool_uris(f, e, &ep->disks, &uris);

	if (r < 0)
		return r;
	args.disks = texts_list(&uris);
	args.disk_count = uris.count;
	r = pool_import(f, &args, ret);
	texts_free(&uris);
	return r;
}

static int pool_bring(struct fiber *f, struct engine *e, struct engine_pool *ep)
{
	struct pool *pool;
	struct pool_info info;
	int r = pool_take(f, e, ep, &pool);

	if (r == -ENODEV && pool_disk_joined(f, e, ep)) {
		fiber_clear(f);
		r = pool_take(f, e, ep, &pool);
		if (r < 0)
			texts_remove(&ep->disks, ep->disks.count - 1);
	}
	if (r < 0)
		return r;
	pool_info(pool, &info);
	if (!uuid_is_nil(&ep->uuid) && !uuid_equal(&info.uuid, &ep->uuid)) {
		char text[UUID_TEXT_SIZE];

		r = fiber_fail(f, -EINVAL, "pool '%s' on these disks has another uuid: %s",
			       ep->name, uuid_print(&info.uuid, text));
		if (pool_export(f, pool) < 0)
			engine_note(f, e, "pool not exported", ep->name);
		return r;
	}
	ep->uuid = info.uuid;
	ep->pool = pool;
	events_pool_here(e, ep, "imported");
	return 0;
}

int pools_restore(struct fiber *f, struct engine *e, struct engine_pool *ep)
{
	int r = pool_bring(f, e, ep);

	if (r < 0) {
		if (strncmp(ep->why, err_words(fiber_err(f)), sizeof(ep->why) - 1) != 0)
			events_add(e->events, EVENTS_POOL, "faulted", ep->name, &ep->uuid,
				   "not imported: %s", err_words(fiber_err(f)));
		snprintf(ep->why, sizeof(ep->why), "%s", err_words(fiber_err(f)));
		return r;
	}
	ep->why[0] = '\0';
	return replicas_share_all(f, e, ep);
}

/* ---- create -------------------------------------------------------------------------------------- */

/* What there is under that name or uuid: 1 the same, 0 nothing. */
static int pool_exists(struct fiber *f, struct engine *e, const struct engine_pool_args *args,
		       struct engine_pool **ret)
{
	struct engine_pool *ep;

	list_for_each(ep, &e->pools, link) {
		bool is_name = strcmp(ep->name, args->name) == 0;
		bool is_uuid = args->uuid && uuid_equal(args->uuid, &ep->uuid);

		if (!is_name && !is_uuid)
			continue;
		if (!is_name || (args->uuid && !is_uuid))
			return fiber_fail(f, -EEXIST, "pool '%s' exists with another %s", ep->name,
					  is_name ? "uuid" : "name");
		if (!texts_are(&ep->disks, args->disks, args->disk_count))
			return fiber_fail(f, -EEXIST, "pool '%s' exists on other disks", ep->name);
		if (args->cluster_bytes && ep->cluster_bytes &&
		    args->cluster_bytes != ep->cluster_bytes)
			return fiber_fail(f, -EEXIST, "pool '%s' exists with clusters of %u bytes",
					  ep->name, ep->cluster_bytes);
		*ret = ep;
		return 1;
	}
	return 0;
}

static int pool_new_entry(struct fiber *f, struct engine *e, const struct engine_pool_args *args,
			  struct engine_pool **ret)
{
	struct engine_pool *ep;
	int r;

	if (args->disk_count == 0 || args->disk_count > ENGINE_DISKS_MAX)
		return fiber_fail(f, -EINVAL, "pool '%s': %u disks are given, expected 1 to %u",
				  args->name, args->disk_count, ENGINE_DISKS_MAX);
	if (!args->name[0] || strlen(args->name) > POOL_NAME_LEN_MAX)
		return fiber_fail(f, -EINVAL, "a pool's name has 1 to %u bytes", POOL_NAME_LEN_MAX);
	ep = mem_new(e->io, sizeof(*ep));
	if (!ep)
		return fiber_fail(f, -ENOMEM, "no memory");
	event_init(&ep->unpinned);
	memcpy(ep->name, args->name, strlen(args->name) + 1);
	ep->cluster_bytes = args->cluster_bytes;
	if (args->uuid)
		ep->uuid = *args->uuid;
	r = texts_copy(e->io->mem, args->disks, args->disk_count, &ep->disks);
	if (r < 0) {
		mem_free(ep);
		return fiber_fail(f, r, "no memory");
	}
	*ret = ep;
	return 0;
}

/* Do the disks bear a pool: 1 this very one, 0 none. A disk of another: -EBUSY. */
static int pool_is_borne(struct fiber *f, struct engine *e, const struct engine_pool *ep,
			 const struct texts *uris)
{
	unsigned ours = 0;

	for (unsigned i = 0; i < uris->count; i++) {
		struct pool_label label;
		int r = pool_look(f, uris->at[i], &label);

		if (r == -ENOMSG || r == -EILSEQ || r == -EPROTO) {
			fiber_clear(f); /* blank or foreign: pool_create() says what */
			continue;
		}
		if (r < 0)
			return r;
		if (strcmp(label.name, ep->name) != 0 ||
		    (!uuid_is_nil(&ep->uuid) && !uuid_equal(&ep->uuid, &label.pool)))
			return fiber_fail(f, -EBUSY, "disk '%s' bears pool '%s'", ep->disks.at[i],
					  label.name);
		if (making_is_left(e, &label.pool))
			return fiber_fail(f, -EAGAIN, "pool '%s' is still being taken down",
					  ep->name);
		ours++;
	}
	return ours > 0;
}

static int pool_make(struct fiber *f, struct engine *e, struct engine_pool *ep,
		     const struct texts *uris)
{
	struct pool_create_args args = {
		.name = ep->name,
		.disks = texts_list(uris),
		.disk_count = uris->count,
		.cluster_bytes = ep->cluster_bytes,
	};
	struct making what = { .what = MAKING_POOL }, *making;
	int r;

	if (uuid_is_nil(&ep->uuid))
		engine_uuid_new(f, &ep->uuid);
	what.uuid = ep->uuid;
	what.disks = ep->disks; /* copied there */
	memcpy(what.name, ep->name, sizeof(what.name));
	r = making_start(f, e, &what, &making);
	if (r < 0)
		return r;
	args.uuid = &ep->uuid;
	r = pool_create(f, &args, &ep->pool);
	if (r == -EMEDIUMTYPE)
		r = -EBUSY; /* a disk that bears something: the words say what */
	if (r < 0) {
		making_fail(f, e, making);
	} else {
		making_end(making);
		events_pool_here(e, ep, "created");
	}
	return r;
}

static int pool_begin(struct fiber *f, struct engine *e, struct engine_pool *ep, bool may_create)
{
	struct texts uris;
	int r = pool_uris(f, e, &ep->disks, &uris);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < uris.count && r == 0; i++)
		r = uses_for_pool(f, e, uris.at[i]);
	if (r == 0)
		r = pool_is_borne(f, e, ep, &uris);
	if (r > 0)
		r = pool_bring(f, e, ep);
	else if (r == 0 && !may_create)
		r = fiber_fail(f, -ENOENT, "there is no pool '%s' on these disks", ep->name);
	else if (r == 0)
		r = pool_make(f, e, ep, &uris);
	texts_free(&uris);
	return r;
}

static int pool_add(struct fiber *f, struct engine *e, const struct engine_pool_args *args,
		    bool may_create, struct engine_pool **ret)
{
	struct engine_pool *ep;
	int r = pool_new_entry(f, e, args, &ep);

	if (r < 0)
		return r;
	r = pool_begin(f, e, ep, may_create);
	if (r == 0) {
		list_add_tail(&e->pools, &ep->link);
		r = state_save(f, e); /* PO1 */
	}
	if (r == 0)
		r = replicas_share_all(f, e, ep);
	if (r < 0) {
		struct err why = *fiber_err(f);

		fiber_clear(f);
		replicas_unshare_all(f, e, ep);
		if (ep->pool && pool_export(f, ep->pool) < 0)
			engine_note(f, e, "pool not exported", ep->name);
		engine_pool_free(ep);
		*fiber_err(f) = why;
		return r;
	}
	*ret = ep;
	return 0;
}

static int pool_have(struct fiber *f, struct engine *e, const struct engine_pool_args *args,
		     bool may_create, struct engine_pool **ret)
{
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	r = pool_exists(f, e, args, ret);
	if (r == 0)
		r = pool_add(f, e, args, may_create, ret);
	else if (r > 0)
		r = (*ret)->pool ? 0 : pools_restore(f, e, *ret);
	latch_unlock(f, &e->change);
	return r;
}

int engine_pool_create(struct fiber *f, struct engine *e, const struct engine_pool_args *args,
		       engine_pool_fn fn, void *ctx)
{
	struct engine_pool *ep;
	int r = pool_have(f, e, args, true, &ep);

	return r < 0 ? r : pool_tell(ep, fn, ctx);
}

int engine_pool_import(struct fiber *f, struct engine *e, const struct engine_pool_args *args,
		       engine_pool_fn fn, void *ctx)
{
	struct engine_pool *ep;
	int r = pool_have(f, e, args, false, &ep);

	return r < 0 ? r : pool_tell(ep, fn, ctx);
}

/* ---- letting go ------------------------------------------------------------------------------------ */

/* Nobody new comes in (PO2), those who are in leave, doors are closed. */
static struct pool *pool_quiesce(struct fiber *f, struct engine *e, struct engine_pool *ep)
{
	struct pool *pool = ep->pool;
	struct uses_thing thing;

	uses_of_pool(ep, &thing);
	doors_close(f, e, &thing);
	replicas_unshare_all(f, e, ep);
	ep->pool = NULL;
	snprintf(ep->why, sizeof(ep->why), "it is being let go");
	while (ep->pins > 0) {
		event_clear(&ep->unpinned);
		event_wait_always(f, &ep->unpinned);
	}
	return pool;
}

/* It stays: doors are opened again. */
static void pool_resume(struct fiber *f, struct engine *e, struct engine_pool *ep,
			struct pool *pool)
{
	struct err why = *fiber_err(f);

	fiber_clear(f);
	ep->pool = pool;
	ep->why[0] = '\0';
	if (replicas_share_all(f, e, ep) < 0)
		engine_note(f, e, "pool shared in part", ep->name);
	*fiber_err(f) = why;
}

static int pool_leave(struct fiber *f, struct engine *e, struct engine_pool *ep, bool destroy)
{
	struct making what = { .what = MAKING_POOL, .uuid = ep->uuid, .disks = ep->disks };
	struct making *making = NULL;
	struct pool *pool;
	int r = 0;

	memcpy(what.name, ep->name, sizeof(what.name));
	pool = pool_quiesce(f, e, ep);
	if (destroy)
		r = making_start(f, e, &what,
				 &making); /* from here on it goes, also after a crash */
	if (r == 0)
		r = destroy ? pool_destroy(f, pool, false) : pool_export(f, pool);
	making_end(making);
	if (r < 0) {
		pool_resume(f, e, ep, pool);
		if (making && state_save(f, e) < 0)
			engine_note(f, e, "state not saved", ep->name);
		return r;
	}
	events_add(e->events, EVENTS_POOL, destroy ? "destroyed" : "exported", ep->name, &ep->uuid,
		   "%s", "");
	engine_pool_free(ep);
	return state_save(f, e);
}

int pool_is_here(struct fiber *f, const struct engine_pool *ep)
{
	return ep->pool ?
		       0 :
		       fiber_fail(f, -EAGAIN, "pool '%s' is not imported: %s", ep->name, ep->why);
}

static int pool_may_go(struct fiber *f, struct engine *e, struct engine_pool *ep, bool destroy)
{
	struct uses_thing thing;
	struct pool_info info;
	int r = pool_is_here(f, ep);

	if (r < 0)
		return r;
	pool_info(ep->pool, &info);
	if (destroy && info.replicas + info.snapshots > 0) /* EN4 */
		return fiber_fail(f, -ENOTEMPTY, "pool '%s' has %llu replicas and %llu snapshots",
				  ep->name, (unsigned long long)info.replicas,
				  (unsigned long long)info.snapshots);
	uses_of_pool(ep, &thing);
	return uses_check(f, e, &thing, destroy);
}

static int pool_go(struct fiber *f, struct engine *e, const char *name_or_uuid, const char *uuid,
		   bool destroy)
{
	struct engine_pool *ep;
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	r = pools_pick(f, e, name_or_uuid, uuid, &ep);
	if (r == 0 && !ep->pool && !destroy) { /* away: it is only forgotten */
		events_add(e->events, EVENTS_POOL, "forgotten", ep->name, &ep->uuid, "%s", "");
		engine_pool_free(ep);
		r = state_save(f, e);
	} else {
		if (r == 0)
			r = pool_may_go(f, e, ep, destroy);
		if (r == 0)
			r = pool_leave(f, e, ep, destroy);
	}
	latch_unlock(f, &e->change);
	return r;
}

int engine_pool_export(struct fiber *f, struct engine *e, const char *name_or_uuid,
		       const char *uuid)
{
	return pool_go(f, e, name_or_uuid, uuid, false);
}

int engine_pool_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid,
			const char *uuid)
{
	return pool_go(f, e, name_or_uuid, uuid, true);
}

void pools_close(struct fiber *f, struct engine *e)
{
	struct engine_pool *ep, *after;

	list_for_each_safe(ep, after, &e->pools, link) {
		struct pool *pool = ep->pool ? pool_quiesce(f, e, ep) : NULL;

		if (pool && pool_export(f, pool) < 0)
			engine_note(f, e, "pool not exported", ep->name);
		engine_pool_free(ep);
	}
}
