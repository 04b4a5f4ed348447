// SPDX-License-Identifier: Apache-2.0
/*
 * spelling - a replica or a nexus of this node is opened by one URI only: pool:///POOL/REPLICA by
 * their names, nexus:///UUID.
 *
 * US3. Claims are made on disks by name: one thing under two names would have two claims that do
 *	not meet, and two writers. So what is told by another spelling is opened by this one; within
 *	another URI, where nothing can be put in its place, it is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/uri.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

#define WITHIN_MAX 48u /* URIs within one */

/* 1: ret has it; 0: it leads to none of ours. */
static int spelled(struct fiber *f, struct engine *e, const struct uri *uri, struct replica_at *at,
		   char ret[ENGINE_URI_MAX])
{
	const char *first = uri_segment(uri, 0), *second = uri_segment(uri, 1);
	int r;

	if (!first || uri_host(uri)[0])
		return 0;
	if (strcmp(uri_scheme(uri), "nexus") == 0)
		return nexus_local_uri(e, first, ret);
	if (strcmp(uri_scheme(uri), "pool") != 0 || !second)
		return 0;
	r = replicas_find(f, e, second, first, at);
	if (r < 0) { /* who opens it says what is wrong */
		fiber_clear(f);
		return 0;
	}
	replica_local_uri(at, ret);
	pools_put(at->ep);
	return 1;
}

static int spelled_within(struct fiber *f, struct engine *e, const struct uri *outer,
			  struct replica_at *at, char room[ENGINE_URI_MAX])
{
	const struct uri *todo[WITHIN_MAX];
	unsigned count = 0;

	count = uses_within(outer, todo, WITHIN_MAX);
	for (unsigned i = 0; i < count; i++) {
		if (spelled(f, e, todo[i], at, room) > 0 &&
		    strncmp(uri_print(todo[i]), room, strlen(room)) != 0)
			return fiber_fail(f, -EINVAL, "'%.200s': within another URI it is '%.200s'",
					  uri_print(todo[i]), room);
	}
	return 0;
}

int uses_spell(struct fiber *f, struct engine *e, const char *text, char **ret)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	CLEANUP(cleanup_mem) char *room = mem_new(e->io, ENGINE_URI_MAX);
	CLEANUP(cleanup_uri) struct uri *uri = NULL;
	char *copy;
	int r = at && room ? 0 : fiber_fail(f, -ENOMEM, "no memory");

	if (r < 0)
		return r;
	if (uri_parse(e->io->mem, text, &uri, NULL) == 0) {
		r = spelled(f, e, uri, at, room);
		if (r == 0)
			r = spelled_within(f, e, uri, at, room);
		if (r < 0)
			return r;
	}
	copy = mem_strdup(e->io->mem, r > 0 ? room : text);
	if (!copy)
		return fiber_fail(f, -ENOMEM, "no memory");
	*ret = copy;
	return 0;
}
