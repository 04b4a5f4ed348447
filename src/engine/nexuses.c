// SPDX-License-Identifier: Apache-2.0
/*
 * nexuses - the nexuses of a node: who they are, whose turn it is, back after a restart. How they
 * come and go is in nexus_make.c, what is done with an open one in nexus_serve.c and children.c.
 *
 *	making -> OPEN <-> published        OPEN -> SHUT (kept, not served) -> destroyed
 *	restart: AWAY -> OPEN, by the tender
 *
 * NX1. Whoever changes a nexus has its turn; who waits for it and finds it gone says so.
 * NX2. The volume's record is the truth about members; the state has what they are called here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "bdev/bdev_driver.h"
#include "engine/doors.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

/* ---- the list ------------------------------------------------------------------------------------ */

struct engine_nexus *nexus_entry(struct engine *e, const char *name_or_uuid)
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

void engine_nexus_free(struct engine_nexus *en)
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
			engine_nexus_free(en);
}

static void nexus_leave(struct engine_nexus *en)
{
	if (--en->users > 0)
		return;
	if (en->is_gone)
		engine_nexus_free(en);
}

int nexus_enter(struct fiber *f, struct engine_nexus *en)
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

int nexus_door(struct fiber *f, struct engine *e, struct engine_nexus *en)
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

void nexus_shut(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	struct publish *publish = en->publish;
	struct nexus *nexus = en->nexus;
	struct uses_thing thing;

	uses_of_nexus(en, &thing);
	doors_close(f, e, &thing);
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
	bool was_open;

	en = nexus_entry(e, uuid_print(uuid, text));
	if (!en || en->is_making || en->is_shut || (en->nexus && (en->publish || !en->is_shared)))
		return;
	if (nexus_enter(f, en) < 0)
		return;
	was_open = en->nexus;
	if (!en->is_shut && nexus_bring(f, e, en) == 0 && e->log)
		log_info(e->log, "nexus is open", LOG_STR("name", en->name));
	if (en->nexus && !was_open)
		children_settle(e, en);
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
		engine_nexus_free(en);
	}
}
