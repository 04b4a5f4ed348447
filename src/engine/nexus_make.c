// SPDX-License-Identifier: Apache-2.0
/*
 * nexus_make - the nexuses of a node come and go: made or taken over, shut down, destroyed.
 *
 * NX3. A record that is there already with the same name and size is taken over, not written anew:
 *      the volume has moved here, or the node has forgotten it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/doors.h"
#include "engine/events_source.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

/* ---- create -------------------------------------------------------------------------------------------- */

/* 0: as asked for; else -EEXIST. */
static int nexus_is(struct fiber *f, const struct engine_nexus *en,
		    const struct engine_nexus_args *args)
{
	const char *differs = NULL;
	struct uuid uuid;

	if (strcmp(en->name, args->name) != 0)
		differs = "under another name";
	else if (uuid_parse(args->uuid, &uuid) < 0 || !uuid_equal(&uuid, &en->uuid))
		differs = "with another uuid";
	else if (en->size_bytes != args->size_bytes)
		differs = "with another size";
	else if (!texts_are(&en->children, args->children, args->child_count))
		differs = "with other children";
	return differs ? fiber_fail(f, -EEXIST, "nexus '%s' exists %s", en->name, differs) : 0;
}

static int nexus_entry_new(struct fiber *f, struct engine *e, const struct engine_nexus_args *args,
			   const struct uuid *uuid, struct engine_nexus **ret)
{
	struct engine_nexus *en = mem_new(e->io, sizeof(*en));
	int r = -ENOMEM;

	if (!en)
		return fiber_fail(f, -ENOMEM, "no memory");
	latch_init(&en->turn);
	event_init(&en->unused);
	list_add_tail(&e->nexuses, &en->link);
	en->is_making = true;
	en->uuid = *uuid;
	en->size_bytes = args->size_bytes;
	en->keys = args->keys;
	en->name = mem_strdup(e->io->mem, args->name);
	en->info_key = mem_strdup(e->io->mem, args->info_key ? args->info_key : "");
	if (en->name && en->info_key)
		r = texts_copy(e->io->mem, args->children, args->child_count, &en->children);
	if (r < 0) {
		engine_nexus_free(en);
		return fiber_fail(f, r, "no memory");
	}
	*ret = en;
	return 0;
}

static int nexus_open_uris(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	for (unsigned i = 0; i < en->children.count; i++) {
		CLEANUP(cleanup_mem) char *uri = NULL;
		int r = child_open_uri(f, e, en->children.at[i], &uri);

		if (r == 0 && texts_add(e->io->mem, &en->opened, uri) < 0)
			r = fiber_fail(f, -ENOMEM, "no memory");
		if (r < 0)
			return r;
	}
	return 0;
}

/* NX3. 1: a record to be taken over; 0: none. */
static int nexus_has_record(struct fiber *f, struct engine *e, const struct engine_nexus *en)
{
	CLEANUP(cleanup_mem) struct volume_record *record = mem_new(e->io, sizeof(*record));
	uint64_t revision;
	int r = record ? volume_get(f, e->store, &en->uuid, record, &revision) : -ENOMEM;

	if (r == -ENOENT) {
		fiber_clear(f);
		return 0;
	}
	if (r < 0)
		return r;
	if (strcmp(record->name, en->name) != 0 || record->size_bytes != en->size_bytes)
		return fiber_fail(f, -EEXIST, "volume '%s' of %llu bytes has this uuid",
				  record->name, (unsigned long long)record->size_bytes);
	return 1;
}

static int nexus_record(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	const struct nexus_create_args args = { .name = en->name,
						.volume = en->uuid,
						.size_bytes = en->size_bytes,
						.uris = texts_list(&en->opened),
						.count = en->opened.count };
	struct uuid volume;

	return nexus_create(f, e->nexus_table, &args, &volume);
}

static int nexus_make(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	struct making what = { .what = MAKING_NEXUS, .uuid = en->uuid }, *making = NULL;
	int r = nexus_open_uris(f, e, en), has;

	if (r < 0)
		return r;
	has = nexus_has_record(f, e, en);
	if (has < 0)
		return has;
	snprintf(what.name, sizeof(what.name), "%s", en->name);
	if (!has)
		r = making_start(f, e, &what, &making);
	if (r == 0 && !has)
		r = nexus_record(f, e, en);
	if (r == 0)
		r = nexus_bring(f, e, en);
	if (r < 0 && making)
		making_fail(f, e, making);
	else
		making_end(making);
	return r < 0 ? r : state_save(f, e);
}

static int nexus_check(struct fiber *f, const struct engine_nexus_args *args, struct uuid *ret_uuid)
{
	int r;

	if (!args->name[0] || strlen(args->name) > VOLUME_NAME_MAX)
		return fiber_fail(f, -EINVAL, "a nexus's name has 1 to %u bytes", VOLUME_NAME_MAX);
	r = engine_uuid_of(f, "uuid", args->uuid, ret_uuid);
	if (r < 0)
		return r;
	if (args->size_bytes == 0)
		return fiber_fail(f, -EINVAL, "nexus '%s': its size is missing", args->name);
	if (args->child_count == 0 || args->child_count > NEXUS_CHILDREN_MAX)
		return fiber_fail(f, -EINVAL, "nexus '%s': %u children are given, expected 1 to %u",
				  args->name, args->child_count, NEXUS_CHILDREN_MAX);
	return 0;
}

static int nexus_add(struct fiber *f, struct engine *e, const struct engine_nexus_args *args,
		     const struct uuid *uuid, engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_entry_new(f, e, args, uuid, &en);

	if (r < 0)
		return r;
	r = nexus_enter(f, en);
	if (r < 0) {
		engine_nexus_free(en);
		return r;
	}
	r = nexus_make(f, e, en);
	en->is_making = false;
	en->is_gone = en->is_leaving = r < 0;
	if (r == 0)
		events_nexus(e, en, "created");
	if (r < 0) {
		struct err why = *fiber_err(f);

		fiber_clear(f);
		nexus_shut(f, e, en);
		list_del(&en->link);
		if (state_save(f, e) < 0)
			engine_note(f, e, "state not saved", en->name);
		*fiber_err(f) = why;
	}
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_create(struct fiber *f, struct engine *e, const struct engine_nexus_args *args,
			engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	unsigned count = 0;
	struct uuid uuid;
	int r = nexus_check(f, args, &uuid);

	if (r < 0)
		return r;
	list_for_each(en, &e->nexuses, link)
		count++;
	en = nexus_entry(e, args->uuid);
	if (!en)
		en = nexus_entry(e, args->name);
	if (!en && making_is_left(e, &uuid))
		return fiber_fail(f, -EAGAIN, "nexus '%s' is still being taken down", args->name);
	if (!en && count >= ENGINE_NEXUSES_MAX)
		return fiber_fail(f, -ENOSPC, "there are %u nexuses, the most there can be", count);
	if (!en)
		return nexus_add(f, e, args, &uuid, fn, ctx);
	r = nexus_enter(f, en);
	if (r < 0)
		return r;
	r = nexus_is(f, en, args);
	if (r == 0 && !en->nexus && !en->is_shut)
		r = nexus_bring(f, e, en);
	return nexus_end(f, e, en, r, fn, ctx);
}

/* ---- destroy, shut down ----------------------------------------------------------------------------------- */

/* One that was not closed is owned first: then its members can be let go. */
int nexus_remove(struct fiber *f, struct engine *e, const struct uuid *uuid)
{
	struct nexus *nexus;
	int r = nexus_destroy(f, e->nexus_table, uuid);

	if (r == -EBUSY) {
		fiber_clear(f);
		r = nexus_open(f, e->nexus_table, uuid, false, &nexus);
		if (r == 0) {
			nexus_close(f, nexus);
			r = nexus_destroy(f, e->nexus_table, uuid);
		}
	}
	if (r == -ENOENT) {
		fiber_clear(f);
		r = 0;
	}
	return r;
}

/* Nobody is on it, and nobody comes (US1); a share by NBD is in the way of who destroys. */
static int nexus_clear(struct fiber *f, struct engine *e, struct engine_nexus *en, bool destroy)
{
	struct uses_thing thing;
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	r = latch_lock(f, &e->door_turn);
	if (r == 0) {
		uses_of_nexus(en, &thing);
		r = uses_check(f, e, &thing, destroy);
		en->is_leaving = r == 0;
		latch_unlock(f, &e->door_turn);
	}
	latch_unlock(f, &e->change);
	return r;
}

/* Noted first, so that it goes also if we do not get to the end. */
static int nexus_go(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	struct making what = { .what = MAKING_NEXUS, .uuid = en->uuid }, *making;
	int r;

	snprintf(what.name, sizeof(what.name), "%s", en->name);
	r = nexus_clear(f, e, en, true);
	if (r == 0)
		r = making_start(f, e, &what, &making);
	if (r < 0) {
		en->is_leaving = false;
		return r;
	}
	nexus_shut(f, e, en);
	r = nexus_remove(f, e, &en->uuid);
	making_end(making);
	en->is_leaving = false;
	if (r == 0) {
		events_nexus(e, en, "destroyed");
		en->is_gone = true;
		list_del(&en->link);
	}
	return r < 0 ? r : state_save(f, e);
}

int engine_nexus_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	return r < 0 ? r : nexus_end(f, e, en, nexus_go(f, e, en), NULL, NULL);
}

int engine_nexus_shutdown(struct fiber *f, struct engine *e, const char *name_or_uuid,
			  engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	if (!en->is_shut) {
		r = nexus_clear(f, e, en, false);
		en->is_shut = r == 0;
		if (r == 0)
			r = state_save(f, e);
		en->is_shut = r == 0;
	}
	if (r == 0) {
		en->is_shutting = true;
		nexus_shut(f, e, en);
		en->is_shutting = false;
		events_nexus(e, en, "shut-down");
	}
	en->is_leaving = false;
	return nexus_end(f, e, en, r, fn, ctx);
}
