// SPDX-License-Identifier: Apache-2.0
/* uses - what on this node stands on a nexus, a pool or a replica. See uses.h. */
#include "engine/uses.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/uri.h"
#include "engine/doors.h"
#include "reactor/fiber.h"

#define WITHIN_MAX \
	48u /* URIs within one that are looked at; with more it counts as leading there */

/* ---- what is asked about --------------------------------------------------------------------- */

void uses_of_nexus(const struct engine_nexus *en, struct uses_thing *ret)
{
	*ret = (struct uses_thing){ .kind = "nexus",
				    .name = en->name,
				    .scheme = "nexus",
				    .first = en->name,
				    .nqn_anywhere = true };
	uuid_print(&en->uuid, ret->first_uuid);
	snprintf(ret->nqn, sizeof(ret->nqn), ENGINE_NQN_PREFIX "%s", ret->first_uuid);
}

void uses_of_pool(const struct engine_pool *ep, struct uses_thing *ret)
{
	*ret = (struct uses_thing){
		.kind = "pool", .name = ep->name, .scheme = "pool", .first = ep->name
	};
	uuid_print(&ep->uuid, ret->first_uuid);
}

void uses_of_replica(const struct replica_at *at, struct uses_thing *ret)
{
	uses_of_pool(at->ep, ret);
	ret->kind = "replica";
	ret->name = ret->second = at->stat.name;
	uuid_print(&at->stat.uuid, ret->second_uuid);
	snprintf(ret->nqn, sizeof(ret->nqn), ENGINE_NQN_PREFIX "%s", at->stat.name);
}

/* ---- does a URI lead there? ------------------------------------------------------------------ */

static bool is_one_of(const char *text, const char *name, const char *uuid)
{
	return text && (strcmp(text, name) == 0 || strcasecmp(text, uuid) == 0);
}

static bool is_here(const struct engine *e, const struct uri *uri)
{
	return strcmp(uri_host(uri), e->opts.host) == 0 &&
	       (uri_port(uri) == e->replica_addr.port || uri_port(uri) == e->nexus_addr.port);
}

static bool is_thing(const struct engine *e, const struct uri *uri, const struct uses_thing *thing)
{
	const char *first = uri_segment(uri, 0), *second = uri_segment(uri, 1);

	if (strncmp(uri_scheme(uri), "nvmf", 4) == 0)
		return thing->nqn[0] && first && strcmp(first, thing->nqn) == 0 &&
		       (thing->nqn_anywhere || is_here(e, uri));
	if (strcmp(uri_scheme(uri), thing->scheme) != 0 ||
	    !is_one_of(first, thing->first, thing->first_uuid))
		return false;
	return !thing->second || is_one_of(second, thing->second, thing->second_uuid);
}

unsigned uses_within(const struct uri *outer, const struct uri **ret, unsigned max)
{
	unsigned count = 1;

	ret[0] = outer;
	for (unsigned at = 0; at < count; at++) {
		const struct uri *uri = ret[at];

		for (uint32_t i = 0; i < uri_param_count(uri); i++) {
			const char *name = uri_param_name(uri, i);
			uint32_t same = 0;

			for (uint32_t j = 0; j < i; j++)
				same += strcmp(uri_param_name(uri, j), name) == 0;
			if (uri_child_at(uri, name, same) && count < max)
				ret[count++] = uri_child_at(uri, name, same);
		}
	}
	return count;
}

bool uses_leads(struct engine *e, const char *text, const struct uses_thing *thing)
{
	CLEANUP(cleanup_uri) struct uri *outer = NULL;
	const struct uri *within[WITHIN_MAX];
	unsigned count;

	if (uri_parse(e->io->mem, text, &outer, NULL) < 0)
		return false;
	count = uses_within(outer, within, WITHIN_MAX);
	for (unsigned i = 0; i < count; i++)
		if (is_thing(e, within[i], thing))
			return true;
	return count == WITHIN_MAX;
}

/* ---- who is on it? --------------------------------------------------------------------------- */

static bool any_leads(struct engine *e, const struct texts *uris, const struct uses_thing *thing)
{
	for (unsigned i = 0; i < uris->count; i++)
		if (uses_leads(e, uris->at[i], thing))
			return true;
	return false;
}

static int used(struct fiber *f, const struct uses_thing *thing, const char *kind, const char *who)
{
	return fiber_fail(f, -EBUSY, "%s '%s' is in use by %s '%s'", thing->kind, thing->name, kind,
			  who);
}

static int used_by_door(struct fiber *f, struct engine *e, const struct uses_thing *thing)
{
	const struct engine_door *door;

	list_for_each(door, &e->doors, link)
		if (uses_leads(e, door->uri, thing))
			return used(f, thing, "share", door->name);
	return 0;
}

int uses_check(struct fiber *f, struct engine *e, const struct uses_thing *thing, bool doors)
{
	const struct engine_disk *disk;
	const struct engine_pool *ep;
	const struct engine_nexus *en;

	list_for_each(disk, &e->disks, link)
		if (disk->bdev && uses_leads(e, disk->uri, thing))
			return used(f, thing, "bdev", disk->uri);
	list_for_each(ep, &e->pools, link)
		if (ep->pool && any_leads(e, &ep->disks, thing))
			return used(f, thing, "pool", ep->name);
	list_for_each(en, &e->nexuses, link)
		if (en->nexus && any_leads(e, &en->opened, thing))
			return used(f, thing, "nexus", en->name);
	return doors ? used_by_door(f, e, thing) : 0;
}

int uses_may_open(struct fiber *f, struct engine *e, const char *uri)
{
	struct uses_thing thing;
	const struct engine_nexus *en;

	list_for_each(en, &e->nexuses, link) {
		if (!en->is_making && !en->is_leaving)
			continue;
		uses_of_nexus(en, &thing);
		if (uses_leads(e, uri, &thing))
			return fiber_fail(f, -EAGAIN, "nexus '%s' is being %s", en->name,
					  en->is_making ? "made" : "taken down");
	}
	return 0;
}

static int stands(struct fiber *f, const char *what, const char *uri,
		  const struct uses_thing *thing)
{
	return fiber_fail(f, -EINVAL, "%s '%.200s' stands on %s '%s' of this node", what, uri,
			  thing->kind, thing->name);
}

static int on_no_nexus(struct fiber *f, struct engine *e, const char *what, const char *uri)
{
	struct uses_thing thing;
	const struct engine_nexus *en;

	list_for_each(en, &e->nexuses, link) {
		uses_of_nexus(en, &thing);
		if (uses_leads(e, uri, &thing))
			return stands(f, what, uri, &thing);
	}
	return 0;
}

int uses_for_child(struct fiber *f, struct engine *e, const char *uri)
{
	return on_no_nexus(f, e, "child", uri);
}

int uses_for_pool(struct fiber *f, struct engine *e, const char *uri)
{
	struct uses_thing thing;
	const struct engine_pool *ep;

	list_for_each(ep, &e->pools, link) {
		uses_of_pool(ep, &thing);
		if (uses_leads(e, uri, &thing))
			return stands(f, "disk", uri, &thing);
	}
	return on_no_nexus(f, e, "disk", uri);
}
