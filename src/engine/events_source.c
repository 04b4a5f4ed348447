// SPDX-License-Identifier: Apache-2.0
/*
 * events_source - what pools and nexuses tell of themselves, as events of the node. See events_source.h.
 *
 *	nexus_watch: a child becomes "rebuilding"  -> begin, a row in `rebuilds`, the fiber wakes
 *	   fiber, every LOOK_NS while there is a row -> progress, at each tenth
 *	nexus_watch: it becomes anything else       -> end or failed, the row goes
 */
#include "engine/events_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/engine_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define LOOK_NS UINT64_C(1000000000)
#define TENTHS	10u

struct rebuild {
	bool is_there;
	struct uuid nexus;
	char uri[VOLUME_URI_MAX + 1];
	unsigned told; /* tenths */
};

struct events_source {
	struct engine *e;
	struct nexus_watch watch;
	struct fiber *fiber;
	struct event wake;
	bool is_ending;
	struct rebuild rebuilds[EVENTS_REBUILDS_MAX];
};

/* ---- pools ------------------------------------------------------------------------------------ */

static const char *pool_what(enum pool_event event, enum pool_state state)
{
	switch (event) {
	case POOL_EVENT_WATERMARK_80:
		return "watermark-80";
	case POOL_EVENT_WATERMARK_90:
		return "watermark-90";
	case POOL_EVENT_FULL:
		return "full";
	case POOL_EVENT_RELIEVED:
		return "relieved";
	case POOL_EVENT_STATE:
		break;
	}
	return state == POOL_FAULTED ? "faulted" : state == POOL_READ_ONLY ? "read-only" : "online";
}

static void pool_changed(void *ctx, struct pool *pool, enum pool_event event)
{
	struct engine *e = ctx;
	struct pool_info info;

	pool_info(pool, &info);
	events_add(e->events, EVENTS_POOL, pool_what(event, info.state), info.name, &info.uuid,
		   "%" PRIu64 " of %" PRIu64 " bytes are used%s%s", info.used_bytes,
		   info.capacity_bytes, info.why[0] ? ": " : "", info.why);
}

void events_pool_here(struct engine *e, const struct engine_pool *ep, const char *what)
{
	struct pool_info info;

	pool_info(ep->pool, &info);
	events_add(e->events, EVENTS_POOL, what, ep->name, &ep->uuid,
		   "%u disks, %" PRIu64 " bytes, %" PRIu64 " of them used", ep->disks.count,
		   info.capacity_bytes, info.used_bytes);
	pool_on_event(ep->pool, pool_changed, e);
}

/* ---- nexuses ------------------------------------------------------------------------------------ */

void events_nexus(struct engine *e, const struct engine_nexus *en, const char *what)
{
	events_add(e->events, EVENTS_NEXUS, what, en->name, &en->uuid, "%s", "");
}

static const struct engine_nexus *nexus_named(struct engine *e, const char *name)
{
	const struct engine_nexus *en;

	list_for_each(en, &e->nexuses, link)
		if (strcmp(en->name, name) == 0)
			return en;
	return NULL;
}

static struct rebuild *rebuild_find(struct events_source *source, const struct uuid *nexus,
				    const char *uri)
{
	for (unsigned i = 0; i < EVENTS_REBUILDS_MAX; i++) {
		struct rebuild *at = &source->rebuilds[i];

		if (at->is_there && uuid_equal(&at->nexus, nexus) && strcmp(at->uri, uri) == 0)
			return at;
	}
	return NULL;
}

/* Where no row is left, its progress is not told. */
static void rebuild_note(struct events_source *source, const struct uuid *nexus, const char *uri)
{
	struct rebuild *at = rebuild_find(source, nexus, uri);

	for (unsigned i = 0; !at && i < EVENTS_REBUILDS_MAX; i++)
		if (!source->rebuilds[i].is_there)
			at = &source->rebuilds[i];
	if (!at)
		return;
	*at = (struct rebuild){ .is_there = true, .nexus = *nexus };
	snprintf(at->uri, sizeof(at->uri), "%s", uri);
	event_set(&source->wake);
}

/* ES1: of a state of the child that was or is "rebuilding". */
static void rebuild_changed(struct events_source *source, const struct nexus_event *event,
			    const struct uuid *nexus)
{
	const char *rebuilding = nexus_child_state_name(NEXUS_CHILD_REBUILDING);
	const bool is_good = strcmp(event->is, nexus_child_state_name(NEXUS_CHILD_IN_SYNC)) == 0;
	struct rebuild *at;

	if (strcmp(event->is, rebuilding) == 0) {
		events_add(source->e->events, EVENTS_REBUILD, "begin", event->uri, nexus,
			   "of nexus '%s'", event->name);
		rebuild_note(source, nexus, event->uri);
	} else if (strcmp(event->was, rebuilding) == 0) {
		events_add(source->e->events, EVENTS_REBUILD, is_good ? "end" : "failed",
			   event->uri, nexus, "of nexus '%s'%s%s", event->name,
			   event->reason[0] && !is_good ? ": " : "", is_good ? "" : event->reason);
		at = rebuild_find(source, nexus, event->uri);
		if (at)
			at->is_there = false;
	}
}

static void nexus_changed(struct nexus_watch *watch, const struct nexus_event *event)
{
	struct events_source *source = container_of(watch, struct events_source, watch);
	const struct engine_nexus *en = nexus_named(source->e, event->name);
	static const struct uuid nobody;
	const struct uuid *uuid = en ? &en->uuid : &nobody;

	if (!event->uri) {
		events_add(source->e->events, EVENTS_NEXUS, event->is, event->name, uuid,
			   "was %s%s%s", event->was, event->reason[0] ? ": " : "", event->reason);
		return;
	}
	events_add(source->e->events, EVENTS_CHILD, event->is, event->uri, uuid,
		   "of nexus '%s', was %s%s%s", event->name, event->was,
		   event->reason[0] ? ": " : "", event->reason);
	rebuild_changed(source, event, uuid);
}

/* ---- progress -------------------------------------------------------------------------------------- */

static void child_look(struct events_source *source, const struct engine_nexus_info *info,
		       const struct nexus_child_info *child)
{
	const struct nexus_rebuild_info *rebuild = &child->rebuild;
	struct rebuild *at = rebuild_find(source, &info->uuid, child->uri);
	unsigned tenths;

	if (!at || child->state != NEXUS_CHILD_REBUILDING || !rebuild->total_bytes)
		return;
	tenths = (unsigned)(rebuild->recovered_bytes /
			    ((rebuild->total_bytes + TENTHS - 1) / TENTHS));
	if (tenths <= at->told || tenths >= TENTHS)
		return;
	at->told = tenths;
	events_add(source->e->events, EVENTS_REBUILD, "progress", child->uri, &info->uuid,
		   "of nexus '%s': %u %%, %" PRIu64 " of %" PRIu64 " bytes", info->name,
		   tenths * 10, rebuild->recovered_bytes, rebuild->total_bytes);
}

static int nexus_look(void *ctx, const struct engine_nexus_info *info)
{
	for (unsigned i = 0; i < info->nexus.count; i++)
		child_look(ctx, info, &info->nexus.children[i]);
	return 0;
}

static bool rebuilds_are(const struct events_source *source)
{
	for (unsigned i = 0; i < EVENTS_REBUILDS_MAX; i++)
		if (source->rebuilds[i].is_there)
			return true;
	return false;
}

static int source_main(struct fiber *f, void *arg)
{
	struct events_source *source = arg;
	int r = 0;

	while (!source->is_ending && r == 0) {
		if (rebuilds_are(source)) {
			(void)engine_nexus_each(f, source->e, NULL, nexus_look, source);
			r = fiber_sleep(f, LOOK_NS);
		} else {
			event_clear(&source->wake);
			r = event_wait(f, &source->wake);
		}
	}
	fiber_clear(f);
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------------- */

int events_open(struct fiber *f, struct engine *e)
{
	struct events_source *source = mem_new(e->io, sizeof(*source));
	int r = source ? events_new(e->io, &e->events) : -ENOMEM;

	if (r < 0) {
		mem_free(source);
		return fiber_fail(f, r, "no memory");
	}
	e->sources = source;
	source->e = e;
	event_init(&source->wake);
	r = fiber_start(fiber_reactor(f), "events", source_main, source, &source->fiber);
	if (r < 0)
		return fiber_fail(f, r, "no fiber");
	source->watch.fn = nexus_changed;
	nexus_watch_add(e->nexus_table, &source->watch);
	events_add(e->events, EVENTS_NODE, "started", e->opts.node_name, &e->instance,
		   "its uuid is that of this process");
	return 0;
}

void events_detach(struct fiber *f, struct engine *e)
{
	struct events_source *source = e->sources;

	if (!source || !source->fiber)
		return;
	if (source->watch.fn)
		nexus_watch_del(&source->watch);
	source->is_ending = true;
	event_set(&source->wake);
	fiber_cancel(source->fiber);
	(void)fiber_join(f, steal(source->fiber));
	fiber_clear(f);
}

void events_close(struct engine *e)
{
	events_free(steal(e->events));
	mem_free(steal(e->sources));
}
