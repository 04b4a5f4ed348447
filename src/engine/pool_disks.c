// SPDX-License-Identifier: Apache-2.0
/*
 * pool_disks - the disks of a node's pools: what they are opened by, one more, a bigger one.
 *
 * PD1. A disk that joins is noted (making) before the first byte, and in the pool's list from the
 *      save that acknowledged it on. After a crash between, the pool is missed a disk (it joined:
 *      pool_disk_joined() lists it) or is not (its label is wiped, if it has come to one).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/events_source.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

/* ---- disks of a pool, by URI or path --------------------------------------------------------- */

char *engine_disk_uri(struct mem *mem, const char *text)
{
	static const char plain[] = "/-._~";
	char *uri, *to;

	if (text[0] != '/')
		return mem_strdup(mem, text);
	uri = mem_alloc(mem, sizeof("file://") + 3 * strlen(text));
	if (!uri)
		return NULL;
	memcpy(uri, "file://", 7);
	to = uri + 7;
	for (; *text; text++) {
		char c = *text;
		bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			       (c >= 'A' && c <= 'Z');

		if (is_word || strchr(plain, c))
			*to++ = c;
		else
			to += snprintf(to, 4, "%%%02X", (unsigned char)c);
	}
	return uri;
}

int pool_uris(struct fiber *f, struct engine *e, const struct texts *disks, struct texts *ret)
{
	struct texts uris = { 0 };
	int r = 0;

	for (unsigned i = 0; i < disks->count && r == 0; i++) {
		CLEANUP(cleanup_mem) char *uri = engine_disk_uri(e->io->mem, disks->at[i]);

		r = uri ? texts_add(e->io->mem, &uris, uri) : -ENOMEM;
	}
	if (r < 0) {
		texts_free(&uris);
		return fiber_fail(f, r, "no memory");
	}
	*ret = uris;
	return 0;
}

/* ---- one more ------------------------------------------------------------------------------- */

static bool has_disk(const struct engine_pool *ep, const char *disk)
{
	for (unsigned i = 0; i < ep->disks.count; i++)
		if (strcmp(ep->disks.at[i], disk) == 0)
			return true;
	return false;
}

/* 1: it bears that pool; 0: nothing, or another. */
static int bears_pool(struct fiber *f, struct engine *e, const char *disk, const struct uuid *pool,
		      struct pool_label *ret)
{
	CLEANUP(cleanup_mem) char *uri = engine_disk_uri(e->io->mem, disk);
	int r = uri ? pool_look(f, uri, ret) : fiber_fail(f, -ENOMEM, "no memory");

	if (r == -ENOMSG || r == -EILSEQ || r == -EPROTO) {
		fiber_clear(f);
		return 0;
	}
	return r < 0 ? r : uuid_equal(&ret->pool, pool);
}

bool pool_disk_joined(struct fiber *f, struct engine *e, struct engine_pool *ep)
{
	const struct making *making;
	struct pool_label label;

	list_for_each(making, &e->makings, link) {
		if (making->what != MAKING_DISK || !uuid_equal(&making->pool, &ep->uuid) ||
		    making->disks.count == 0 || has_disk(ep, making->disks.at[0]))
			continue;
		if (bears_pool(f, e, making->disks.at[0], &ep->uuid, &label) > 0 &&
		    texts_add(e->io->mem, &ep->disks, making->disks.at[0]) == 0)
			return true;
	}
	return false;
}

/* Is it one of the pool's, by whatever name? 1, 0. */
static int is_member(struct fiber *f, struct engine *e, const struct engine_pool *ep,
		     const struct uuid *disk)
{
	struct pool_label label;
	int r = 0;

	for (unsigned i = 0; i < ep->disks.count && r == 0; i++) {
		r = bears_pool(f, e, ep->disks.at[i], &ep->uuid, &label);
		if (r > 0)
			r = uuid_equal(&label.disk, disk);
	}
	return r;
}

static int label_wipe(struct fiber *f, struct engine *e, const char *disk)
{
	CLEANUP(cleanup_mem) char *uri = engine_disk_uri(e->io->mem, disk);
	const char *const uris[] = { uri };
	char name[UUID_TEXT_SIZE];
	struct uuid uuid;
	const struct pool_create_args args = {
		.name = name, .uuid = &uuid, .disks = uris, .disk_count = 1, .force = true
	};
	struct pool *pool;
	int r;

	engine_uuid_new(f, &uuid); /* a pool of its own, to be taken down as a whole */
	uuid_print(&uuid, name);
	r = uri ? pool_create(f, &args, &pool) : fiber_fail(f, -ENOMEM, "no memory");
	return r < 0 ? r : pool_destroy(f, pool, true);
}

int pool_disk_undo(struct fiber *f, struct engine *e, const struct making *making)
{
	const char *disk = making->disks.at[0];
	char text[UUID_TEXT_SIZE];
	struct pool_label label;
	struct engine_pool *ep;
	int r = pools_get(f, e, uuid_print(&making->pool, text), &ep);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* the pool went */
	if (!has_disk(ep, disk)) {
		r = bears_pool(f, e, disk, &ep->uuid, &label);
		if (r > 0) {
			int member = is_member(f, e, ep, &label.disk);

			r = member < 0 ? member : member == 0 ? label_wipe(f, e, disk) : 0;
		}
	}
	pools_put(ep);
	return r;
}

/* It must not bear this very pool: under another name it may be one of its disks (PD1). */
static int disk_is_new(struct fiber *f, struct engine *e, const struct engine_pool *ep,
		       const char *disk)
{
	struct pool_label label;
	int r = bears_pool(f, e, disk, &ep->uuid, &label);

	return r > 0 ? fiber_fail(f, -EBUSY, "disk '%s' is one of pool '%s', or was one", disk,
				  ep->name) :
		       r;
}

static int disk_join(struct fiber *f, struct engine *e, struct engine_pool *ep, const char *disk,
		     bool force)
{
	CLEANUP(cleanup_mem) char *uri = engine_disk_uri(e->io->mem, disk);
	struct making what = { .what = MAKING_DISK, .pool = ep->uuid }, *making;
	int r = uri ? uses_for_pool(f, e, uri) : fiber_fail(f, -ENOMEM, "no memory");

	if (r == 0)
		r = disk_is_new(f, e, ep, disk);
	if (r == 0)
		r = texts_copy(e->io->mem, &disk, 1, &what.disks);
	if (r < 0)
		return r;
	engine_uuid_new(f, &what.uuid);
	memcpy(what.name, ep->name, sizeof(what.name));
	r = making_start(f, e, &what, &making);
	texts_free(&what.disks);
	if (r < 0)
		return r;
	r = pool_add_disk(f, ep->pool, uri, force);
	if (r == -EMEDIUMTYPE)
		r = -EBUSY; /* it bears something: the words say what */
	if (r == 0 && texts_add(e->io->mem, &ep->disks, disk) < 0)
		r = fiber_fail(f, -ENOMEM, "no memory"); /* it has joined: the note stays (PD1) */
	if (r < 0) {
		making_fail(f, e, making);
		return r;
	}
	making_end(making);
	events_add(e->events, EVENTS_POOL, "grown", ep->name, &ep->uuid, "disk %s", disk);
	return state_save(f, e);
}

static int disk_add(struct fiber *f, struct engine *e, struct engine_pool *ep, const char *disk,
		    bool force)
{
	if (!disk[0])
		return fiber_fail(f, -EINVAL, "pool '%s': the disk is missing", ep->name);
	if (strlen(disk) >= ENGINE_URI_MAX)
		return fiber_fail(f, -EINVAL, "disk '%.40s...' is longer than %u", disk,
				  ENGINE_URI_MAX - 1);
	if (has_disk(ep, disk))
		return 0; /* the same answer */
	if (ep->disks.count >= ENGINE_DISKS_MAX)
		return fiber_fail(f, -ENOSPC, "pool '%s' has %u disks, the most there can be",
				  ep->name, ep->disks.count);
	return disk_join(f, e, ep, disk, force);
}

int engine_pool_add_disk(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 const char *disk, bool force, engine_pool_fn fn, void *ctx)
{
	struct engine_pool *ep;
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	r = pools_pick(f, e, name_or_uuid, NULL, &ep);
	if (r == 0)
		r = pool_is_here(f, ep);
	if (r == 0)
		r = disk_add(f, e, ep, disk, force);
	if (r == 0)
		r = pool_tell(ep, fn, ctx);
	latch_unlock(f, &e->change);
	return r;
}

/* ---- growing ----------------------------------------------------------------------------------------- */

int engine_pool_grow(struct fiber *f, struct engine *e, const char *name_or_uuid, const char *uuid,
		     engine_pool_fn fn, void *ctx)
{
	struct engine_pool *ep;
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	r = pools_pick(f, e, name_or_uuid, uuid, &ep);
	if (r == 0)
		r = pool_is_here(f, ep);
	if (r == 0)
		r = pool_tell(ep, fn, ctx);
	if (r == 0)
		r = pool_grow(f, ep->pool);
	if (r == 0) {
		events_add(e->events, EVENTS_POOL, "grown", ep->name, &ep->uuid, "%s", "");
		r = pool_tell(ep, fn, ctx);
	}
	latch_unlock(f, &e->change);
	return r;
}
