// SPDX-License-Identifier: Apache-2.0
/*
 * nexuses - the nexuses of a node: who they are, whose turn it is, back after a restart. How they
 * come and go is in nexus_make.c, what is done with an open one in nexus_serve.c and children.c.
 *
 *	making -> OPEN <-> published        OPEN -> SHUT (kept, not served) -> destroyed
 *	restart: AWAY -> OPEN, by the tender's crew
 *
 * NX1. Whoever changes a nexus has its turn; who waits for it and finds it gone says so.
 * NX2. The volume's record is the truth about members; the state has what they are called here.
 * NX3. Those that are away come back at the same time, at most ENGINE_CREW_MAX at once: who waits for a peer that
 *	does not answer holds up nobody else, and the tender not for long.
 * NX4. Whose last try is the longest ago goes first: the same few that are tried in vain are not in the way of
 *	others.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "engine/doors.h"
#include "engine/uses.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define TEND_PATIENCE_NS UINT64_C(2000000000) /* of the tender, for those that come back */

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

/* ---- back after a restart ------------------------------------------------------------------------------ */

static bool tend_is_due(const struct engine *e, const struct engine_nexus *en)
{
	bool is_whole = en->nexus && (en->publish || !en->is_shared);

	return !en->is_making && !en->is_shut && !en->is_tended && !is_whole &&
	       en->tend_round < e->crew.round;
}

/* NX4. */
static struct engine_nexus *tend_next(struct engine *e)
{
	struct engine_nexus *en, *next = NULL;

	list_for_each(en, &e->nexuses, link)
		if (tend_is_due(e, en) && (!next || en->tend_round < next->tend_round))
			next = en;
	return next;
}

static void tend_bring(struct fiber *f, struct engine *e, struct engine_nexus *en)
{
	bool was_open;

	if (nexus_enter(f, en) < 0)
		return;
	was_open = en->nexus;
	if (!en->is_shut && nexus_bring(f, e, en) == 0) {
		event_set(&e->tender_wake); /* disks and doors may stand on it */
		if (e->log)
			log_info(e->log, "nexus is open", LOG_STR("name", en->name));
	}
	if (en->nexus && !was_open)
		children_settle(e, en);
	(void)nexus_end(f, e, en, 0, NULL, NULL);
}

static int tend_main(struct fiber *f, void *arg)
{
	struct engine *e = arg;
	struct engine_nexus *en;
	unsigned at = 0;

	while (e->crew.fibers[at])
		at++;
	e->crew.fibers[at] = f;
	while (!e->is_closing && (en = tend_next(e))) {
		en->tend_round = e->crew.round;
		en->is_tended = true;
		en->users++;
		tend_bring(f, e, en);
		en->is_tended = false;
		nexus_leave(en);
		fiber_clear(f);
	}
	e->crew.fibers[at] = NULL;
	e->crew.count--;
	event_set(&e->crew.ended);
	return 0;
}

static void tend_hire(struct fiber *f, struct engine *e)
{
	const struct engine_nexus *en;
	unsigned due = 0;

	list_for_each(en, &e->nexuses, link)
		due += tend_is_due(e, en);
	for (; due > 0 && e->crew.count < ENGINE_CREW_MAX; due--) {
		if (fiber_start(fiber_reactor(f), "tend", tend_main, e, NULL) < 0)
			break;
		e->crew.count++;
	}
}

void nexuses_tend(struct fiber *f, struct engine *e)
{
	uint64_t until = reactor_now(fiber_reactor(f)) + TEND_PATIENCE_NS;
	int r = 0;

	e->crew.round++;
	tend_hire(f, e);
	while (e->crew.count > 0 && !e->is_closing && r == 0) { /* NX3 */
		event_clear(&e->crew.ended);
		r = event_wait_until(f, &e->crew.ended, until);
	}
	fiber_clear(f);
}

void nexuses_tend_no_more(struct fiber *f, struct engine *e)
{
	must(e->is_closing);
	for (unsigned i = 0; i < ENGINE_CREW_MAX; i++)
		if (e->crew.fibers[i])
			fiber_cancel(e->crew.fibers[i]);
	while (e->crew.count > 0) {
		event_clear(&e->crew.ended);
		event_wait_always(f, &e->crew.ended);
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
