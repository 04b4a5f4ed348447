// SPDX-License-Identifier: Apache-2.0
/*
 * nexuses - the nexuses of a node: made or taken over, published, shut down, back after a restart.
 *
 *	making -> OPEN <-> published        OPEN -> SHUT (kept, not served) -> destroyed
 *	restart: AWAY -> OPEN, by the tender
 *
 * NX1. Whoever changes a nexus has its turn; who waits for it and finds it gone says so.
 * NX2. The volume's record is the truth about members; the state has what they are called here.
 * NX3. A record that is there already with the same name and size is taken over, not written anew:
 *      the volume has moved here, or the node has forgotten it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "bdev/bdev_driver.h"
#include "engine/doors.h"
#include "engine/engine_priv.h"
#include "reactor/fiber.h"

/* ---- the list ------------------------------------------------------------------------------------ */

static struct engine_nexus *nexus_entry(struct engine *e, const char *name_or_uuid)
{
	struct engine_nexus *en;
	struct uuid uuid;
	bool is_uuid = uuid_parse(name_or_uuid, &uuid) == 0;

	list_for_each(en, &e->nexuses, link)
		if (strcmp(en->name, name_or_uuid) == 0 ||
		    (is_uuid && uuid_equal(&en->uuid, &uuid)))
			return en;
	return NULL;
}

static void nexus_free(struct engine_nexus *en)
{
	list_del(&en->link);
	texts_free(&en->children);
	texts_free(&en->opened);
	texts_free(&en->hosts);
	mem_free(en->name);
	mem_free(en->info_key);
	mem_free(en);
}

void nexuses_forget(struct engine *e, const struct uuid *uuid)
{
	struct engine_nexus *en, *after;

	list_for_each_safe(en, after, &e->nexuses, link)
		if (uuid_equal(&en->uuid, uuid) && !en->nexus && en->users == 0)
			nexus_free(en);
}

static void nexus_leave(struct engine_nexus *en)
{
	if (--en->users > 0)
		return;
	if (en->is_gone)
		nexus_free(en);
}

static int nexus_enter(struct fiber *f, struct engine_nexus *en)
{
	int r;

	en->users++;
	r = latch_lock(f, &en->turn);
	if (r == 0 && en->is_gone) {
		latch_unlock(f, &en->turn);
		r = fiber_fail(f, -ENOENT, "nexus '%s' was destroyed", en->name);
	}
	if (r < 0)
		nexus_leave(en);
	return r;
}

int nexus_begin(struct fiber *f, struct engine *e, const char *name_or_uuid,
		struct engine_nexus **ret)
{
	struct engine_nexus *en;

	if (!name_or_uuid[0])
		return fiber_fail(f, -EINVAL, "the nexus's uuid is missing");
	en = nexus_entry(e, name_or_uuid);
	if (!en)
		return fiber_fail(f, -ENOENT, "there is no nexus '%s'", name_or_uuid);
	*ret = en;
	return nexus_enter(f, en);
}

int nexus_is_open(struct fiber *f, const struct engine_nexus *en)
{
	if (en->nexus)
		return 0;
	if (en->is_shut)
		return fiber_fail(f, -EPERM, "nexus '%s' is shut down", en->name);
	return fiber_fail(f, -EAGAIN, "nexus '%s' is not open: %s", en->name, en->why);
}

/* ---- telling ---------------------------------------------------------------------------------------- */

static void tell_state(struct engine_nexus *en, struct engine_nexus_info *info)
{
	unsigned in_sync = 0;

	for (unsigned i = 0; i < info->nexus.count; i++) {
		in_sync += info->nexus.children[i].state == NEXUS_CHILD_IN_SYNC;
		info->rebuilds += info->nexus.children[i].state == NEXUS_CHILD_REBUILDING;
	}
	if (en->is_shutting)
		info->state = ENGINE_NEXUS_SHUTTING_DOWN;
	else if (en->is_shut)
		info->state = ENGINE_NEXUS_SHUTDOWN;
	else if (!en->nexus)
		info->state = en->why[0] ? ENGINE_NEXUS_FAULTED : ENGINE_NEXUS_UNKNOWN;
	else if (info->nexus.state == NEXUS_STOPPED || info->nexus.state == NEXUS_DEPOSED)
		info->state = ENGINE_NEXUS_FAULTED;
	else
		info->state = in_sync == info->nexus.count ? ENGINE_NEXUS_ONLINE :
							     ENGINE_NEXUS_DEGRADED;
}

/* NX2: members by the record, under the names they were told to us by. */
static void tell_children(const struct engine_nexus *en, struct engine_nexus_info *info)
{
	info->child_count = en->nexus ? info->nexus.count : en->children.count;
	if (info->child_count > VOLUME_MEMBERS_MAX)
		info->child_count = VOLUME_MEMBERS_MAX;
	for (unsigned i = 0; i < info->child_count; i++) {
		info->child_uris[i] = en->nexus ? info->nexus.children[i].uri : en->children.at[i];
		for (unsigned j = 0; en->nexus && j < en->opened.count; j++)
			if (strcmp(en->opened.at[j], info->nexus.children[i].uri) == 0)
				info->child_uris[i] = en->children.at[j];
	}
}

static void tell_uri(struct engine *e, const struct engine_nexus *en, char uri[ENGINE_URI_MAX])
{
	bool is_ipv6 = strchr(e->opts.host, ':');
	char text[UUID_TEXT_SIZE];

	uri[0] = '\0';
	if (en->is_shared)
		snprintf(uri, ENGINE_URI_MAX, "nvmf://%s%s%s:%u/" ENGINE_NQN_PREFIX "%s",
			 is_ipv6 ? "[" : "", e->opts.host, is_ipv6 ? "]" : "", e->nexus_addr.port,
			 uuid_print(&en->uuid, text));
}

/* Does not suspend. */
static int nexus_tell(struct engine *e, struct engine_nexus *en, engine_nexus_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct engine_nexus_info *info = mem_new(e->io, sizeof(*info));
	CLEANUP(cleanup_mem) char *uri = mem_new(e->io, ENGINE_URI_MAX);

	if (!info || !uri)
		return -ENOMEM;
	if (en->nexus)
		nexus_info(en->nexus, &info->nexus);
	tell_uri(e, en, uri);
	info->name = en->name;
	info->uuid = en->uuid;
	info->size_bytes = en->nexus ? info->nexus.size_bytes : en->size_bytes;
	info->device_uri = uri;
	info->keys = en->keys;
	info->why = en->why;
	info->hosts = texts_list(&en->hosts);
	info->host_count = en->hosts.count;
	info->ana = en->publish ? publish_ana_now(en->publish) : 0;
	tell_state(en, info);
	tell_children(en, info);
	return fn(ctx, info);
}

int nexus_end(struct fiber *f, struct engine *e, struct engine_nexus *en, int r, engine_nexus_fn fn,
	      void *ctx)
{
	if (r == 0 && fn)
		r = nexus_tell(e, en, fn, ctx);
	latch_unlock(f, &en->turn);
	nexus_leave(en);
	return r;
}

int engine_nexus_each(struct fiber *f, struct engine *e, const char *name_or_uuid,
		      engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en, *only = name_or_uuid ? nexus_entry(e, name_or_uuid) : NULL;

	if (name_or_uuid && (!only || only->is_making))
		return fiber_fail(f, -ENOENT, "there is no nexus '%s'", name_or_uuid);
	list_for_each(en, &e->nexuses, link) {
		int r = en->is_making || (only && en != only) ? 0 : nexus_tell(e, en, fn, ctx);

		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- open, publish, close ------------------------------------------------------------------------------ */

static int nexus_door(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	const struct publish_args args = { .nexus = en->nexus,
					   .tgt = e->tgt,
					   .hosts = texts_list(&en->hosts),
					   .host_count = en->hosts.count };

	return publish_start(f, &args, &en->publish);
}

bool nexus_local_uri(struct engine *e, const char *name_or_uuid, char ret[ENGINE_URI_MAX])
{
	const struct engine_nexus *en = nexus_entry(e, name_or_uuid);
	char text[UUID_TEXT_SIZE];

	if (en)
		snprintf(ret, ENGINE_URI_MAX, "nexus:///%s", uuid_print(&en->uuid, text));
	return en != NULL;
}

static void nexus_shut(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	char uuid[UUID_TEXT_SIZE], uri[sizeof("nexus:///") + UUID_TEXT_SIZE];
	struct publish *publish = en->publish;
	struct nexus *nexus = en->nexus;

	snprintf(uri, sizeof(uri), "nexus:///%s", uuid_print(&en->uuid, uuid));
	doors_close(f, e, uri);

	en->publish = NULL;
	if (publish)
		publish_stop(f, publish);
	en->nexus = NULL;
	if (nexus)
		nexus_close(f, nexus);
}

int nexus_bring(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	int r = 0;

	if (!en->nexus)
		r = nexus_open(f, e->nexus_table, &en->uuid, false, &en->nexus);
	if (r == 0 && en->is_shared && !en->publish)
		r = nexus_door(f, e, en);
	snprintf(en->why, sizeof(en->why), "%s", r < 0 ? err_words(fiber_err(f)) : "");
	return r;
}

/* The list may be another one after each of them: they are found again by uuid. */
int nexuses_uuids(struct fiber *f, struct engine *e, struct uuid **ret, unsigned *ret_count)
{
	struct engine_nexus *en;
	struct uuid *uuids;
	unsigned count = 0;

	list_for_each(en, &e->nexuses, link)
		count++;
	uuids = mem_alloc_array(e->io->mem, count + 1, sizeof(*uuids));
	if (!uuids)
		return fiber_fail(f, -ENOMEM, "no memory");
	count = 0;
	list_for_each(en, &e->nexuses, link)
		if (!en->is_making)
			uuids[count++] = en->uuid;
	*ret = uuids;
	*ret_count = count;
	return 0;
}

static void nexus_tend(struct fiber *f, struct engine *e, const struct uuid *uuid)
{
	struct engine_nexus *en;
	char text[UUID_TEXT_SIZE];

	en = nexus_entry(e, uuid_print(uuid, text));
	if (!en || en->is_making || en->is_shut || (en->nexus && (en->publish || !en->is_shared)))
		return;
	if (nexus_enter(f, en) < 0)
		return;
	if (!en->is_shut && nexus_bring(f, e, en) == 0 && e->log)
		log_info(e->log, "nexus is open", LOG_STR("name", en->name));
	(void)nexus_end(f, e, en, 0, NULL, NULL);
}

void nexuses_tend(struct fiber *f, struct engine *e)
{
	CLEANUP(cleanup_mem) struct uuid *uuids = NULL;
	unsigned count = 0;

	if (nexuses_uuids(f, e, &uuids, &count) < 0)
		return;
	for (unsigned i = 0; i < count && !e->is_closing; i++) {
		nexus_tend(f, e, &uuids[i]);
		fiber_clear(f);
	}
}

void nexuses_close(struct fiber *f, struct engine *e)
{
	struct engine_nexus *en, *after;

	list_for_each_safe(en, after, &e->nexuses, link) {
		nexus_shut(f, e, en);
		nexus_free(en);
	}
}

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
		nexus_free(en);
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
		nexus_free(en);
		return r;
	}
	r = nexus_make(f, e, en);
	en->is_making = false;
	en->is_gone = r < 0;
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

/* Noted first, so that it goes also if we do not get to the end. */
static int nexus_go(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	struct making what = { .what = MAKING_NEXUS, .uuid = en->uuid }, *making;
	int r;

	snprintf(what.name, sizeof(what.name), "%s", en->name);
	r = making_start(f, e, &what, &making);
	if (r < 0)
		return r;
	nexus_shut(f, e, en);
	r = nexus_remove(f, e, &en->uuid);
	making_end(making);
	if (r == 0) {
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
		en->is_shut = true;
		r = state_save(f, e);
		en->is_shut = r == 0;
	}
	if (r == 0) {
		en->is_shutting = true;
		nexus_shut(f, e, en);
		en->is_shutting = false;
	}
	return nexus_end(f, e, en, r, fn, ctx);
}

/* ---- publish ---------------------------------------------------------------------------------------------- */

static int nexus_publish(struct fiber *f, struct engine *e, struct engine_nexus *en,
			 const char *const *hosts, unsigned count)
{
	struct texts copy = { 0 };
	struct publish *publish = en->publish;
	int r = nexus_is_open(f, en);

	if (r < 0)
		return r;
	if (publish && texts_are(&en->hosts, hosts, count))
		return 0;
	r = texts_copy(e->io->mem, hosts, count, &copy);
	if (r < 0)
		return fiber_fail(f, r, "no memory");
	en->publish = NULL;
	if (publish) /* other hosts: those who are connected come again */
		publish_stop(f, publish);
	texts_free(&en->hosts);
	en->hosts = copy;
	r = nexus_door(f, e, en);
	en->is_shared = r == 0;
	return r < 0 ? r : state_save(f, e);
}

int engine_nexus_publish(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 const char *const *hosts, unsigned host_count, engine_nexus_fn fn,
			 void *ctx)
{
	struct engine_nexus *en;
	int r = share_check_hosts(f, hosts, host_count);

	if (r == 0)
		r = nexus_begin(f, e, name_or_uuid, &en);
	if (r < 0)
		return r;
	r = nexus_publish(f, e, en, hosts, host_count);
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_unpublish(struct fiber *f, struct engine *e, const char *name_or_uuid,
			   engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	if (en->is_shared) {
		struct publish *publish = en->publish;

		en->is_shared = false;
		en->publish = NULL;
		texts_free(&en->hosts);
		r = state_save(f, e);
		if (publish)
			publish_stop(f, publish);
	}
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_set_ana(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 enum tgt_ana_state state, engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	r = nexus_is_open(f, en);
	if (r == 0 && !en->publish)
		r = fiber_fail(f, -EPERM, "nexus '%s' is not published", en->name);
	if (r == 0)
		r = publish_ana(f, en->publish, state);
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_resize(struct fiber *f, struct engine *e, const char *name_or_uuid,
			uint64_t size_bytes, engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	if (size_bytes == 0)
		r = fiber_fail(f, -EINVAL, "nexus '%s': the new size is missing", en->name);
	if (r == 0)
		r = nexus_is_open(f, en);
	if (r == 0)
		r = nexus_resize(f, en->nexus, size_bytes);
	if (r == 0 && en->publish)
		r = publish_rescan(f, en->publish);
	if (r == 0) {
		en->size_bytes = size_bytes;
		r = state_save(f, e);
	}
	return nexus_end(f, e, en, r, fn, ctx);
}
