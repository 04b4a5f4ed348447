// SPDX-License-Identifier: Apache-2.0
/*
 * making - what is half made, noted before the first byte of it, so that a crash leaves nothing.
 *
 * MK1. A note is durable before anything of it is, and goes only with a save that follows its end.
 * MK2. Only what bears the very uuid that was noted is touched when it is undone, and a
 *      pool is noted only when none of its disks bore a pool before.
 * MK3. What cannot be looked at now (a disk is away) stays noted, is not listed, and is
 *      tried again; until then nothing is made under its uuid.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "engine/engine_priv.h"
#include "reactor/fiber.h"

static void making_free(struct making *making)
{
	list_del(&making->link);
	texts_free(&making->disks);
	mem_free(making);
}

int making_start(struct fiber *f, struct engine *e, const struct making *what, struct making **ret)
{
	struct making *making = mem_new(e->io, sizeof(*making));
	int r;

	if (!making)
		return fiber_fail(f, -ENOMEM, "no memory");
	*making = *what;
	making->link = (struct list_link){ 0 };
	making->disks = (struct texts){ 0 };
	r = texts_copy(e->io->mem, texts_list(&what->disks), what->disks.count, &making->disks);
	list_add_tail(&e->makings, &making->link);
	if (r == 0)
		r = state_save(f, e); /* MK1 */
	if (r < 0) {
		making_free(making);
		return r;
	}
	*ret = making;
	return 0;
}

void making_end(struct making *making)
{
	if (making)
		making_free(making);
}

/* ---- undoing: at the start, or when it failed ------------------------------------------------------------------------ */

/* Does any of its disks bear the pool that was noted? -errno: that cannot be seen now (MK3). */
static int bears_it(struct fiber *f, struct engine *e, const struct making *making)
{
	bool is_there = false;

	for (unsigned i = 0; i < making->disks.count; i++) {
		CLEANUP(cleanup_mem) char *uri = engine_disk_uri(e->io->mem, making->disks.at[i]);
		struct pool_label label;
		int r = uri ? pool_look(f, uri, &label) : -ENOMEM;

		if (r == 0)
			is_there |= uuid_equal(&label.pool, &making->uuid); /* MK2 */
		else if (r != -ENOMSG && r != -EILSEQ)
			return r;
		fiber_clear(f);
	}
	return is_there;
}

/* Labels without a superblock: it is finished by force, to be taken down as a whole. */
static int undo_pool(struct fiber *f, struct engine *e, const struct making *making)
{
	struct texts uris = { 0 };
	struct pool *pool = NULL;
	int r = bears_it(f, e, making);

	if (r <= 0)
		return r;
	r = 0;
	for (unsigned i = 0; i < making->disks.count && r == 0; i++) {
		CLEANUP(cleanup_mem) char *uri = engine_disk_uri(e->io->mem, making->disks.at[i]);

		r = uri ? texts_add(e->io->mem, &uris, uri) : -ENOMEM;
	}
	const struct pool_import_args import = { .disks = texts_list(&uris),
						 .disk_count = uris.count };
	const struct pool_create_args create = { .name = making->name,
						 .uuid = &making->uuid,
						 .disks = texts_list(&uris),
						 .disk_count = uris.count,
						 .force = true };
	if (r == 0 && pool_import(f, &import, &pool) < 0) {
		fiber_clear(f);
		r = pool_create(f, &create, &pool);
	}
	if (r == 0)
		r = pool_destroy(f, pool, true);
	texts_free(&uris);
	return r;
}

static int undo_replica(struct fiber *f, struct engine *e, const struct making *making)
{
	char pool[UUID_TEXT_SIZE], uuid[UUID_TEXT_SIZE];
	struct engine_pool *ep;
	struct replica_stat stat;
	int r = pools_get(f, e, uuid_print(&making->pool, pool), &ep);

	if (r == -ENOENT)
		return 0; /* the pool went, and with it the replica */
	if (r < 0)
		return r;
	r = replica_stat(f, ep->pool, uuid_print(&making->uuid, uuid), &stat);
	if (r == 0)
		share_close(f, share_find(e, stat.name)); /* it came back with its pool */
	if (r == 0)
		r = stat.kind == REPLICA_SNAPSHOT ? snapshot_destroy(f, ep->pool, stat.name) :
						    replica_destroy(f, ep->pool, stat.name);
	else if (r == -ENOENT)
		r = 0;
	pools_put(ep);
	return r;
}

static int undo(struct fiber *f, struct engine *e, const struct making *making)
{
	struct engine_pool *ep, *after;
	int r;

	if (making->what == MAKING_REPLICA)
		return undo_replica(f, e, making);
	if (making->what == MAKING_NEXUS) {
		nexuses_forget(e, &making->uuid); /* it was being destroyed */
		r = nexus_remove(f, e, &making->uuid);
		return r == -EBUSY ? -EAGAIN : r; /* a wait at the start would not help */
	}
	if (making->what == MAKING_DISK) {
		r = pool_disk_undo(f, e, making);
		return r == -EBUSY ? -EAGAIN : r;
	}
	r = undo_pool(f, e, making);
	list_for_each_safe(ep, after, &e->pools, link)
		if (r == 0 && uuid_equal(&ep->uuid, &making->uuid)) /* it was being destroyed */
			engine_pool_free(ep);
	return r;
}

bool making_is_left(struct engine *e, const struct uuid *uuid)
{
	const struct making *making;

	list_for_each(making, &e->makings, link)
		if (making->is_left && uuid_equal(&making->uuid, uuid))
			return true;
	return false;
}

static struct making *making_next(struct engine *e, enum making_what what)
{
	struct making *making;

	list_for_each(making, &e->makings, link)
		if (making->what == what && making->is_left && making->pass != e->undo_pass)
			return making;
	return NULL;
}

/* The list changes meanwhile, but for what is left: nobody else takes that out. */
bool making_undo(struct fiber *f, struct engine *e, enum making_what what)
{
	struct making *making;
	bool is_less = false;

	e->undo_pass++;
	while ((making = making_next(e, what))) {
		int r;

		making->pass = e->undo_pass;
		do
			r = undo(f, e, making);
		while (engine_wait_busy(f, e, r));
		if (r < 0 && !making->is_told)
			engine_note(f, e, "half made, and not undone", making->name); /* MK3 */
		making->is_told = r < 0;
		is_less |= r == 0;
		if (r == 0)
			making_free(making);
		fiber_clear(f);
	}
	return is_less;
}

void making_fail(struct fiber *f, struct engine *e, struct making *making)
{
	struct err why = *fiber_err(f);

	fiber_clear(f);
	making->is_left = undo(f, e, making) < 0;
	if (making->is_left) {
		engine_note(f, e, "half made, and not undone", making->name); /* MK3 */
	} else {
		making_free(making);
		if (state_save(f, e) < 0)
			engine_note(f, e, "state not saved", "");
	}
	*fiber_err(f) = why;
}
