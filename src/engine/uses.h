/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uses - what on this node stands on a nexus, a pool or a replica.
 *
 * All that a node opens is opened by a URI that it keeps: disks, doors, disks of pools, children of
 * nexuses. So whoever takes something away can ask who uses it before anything is closed.
 *
 * US1. A nexus is marked as leaving under the latches under which disks and doors are opened, after
 *	nobody was found on it; who opens asks uses_may_open() under the same latch. So nothing
 *	stands on a nexus that ends.
 * US2. No nexus stands on a nexus of its own node, no pool on a nexus or a pool of it: the order of
 *	an end is doors, disks, nexuses, pools.
 */
#ifndef ENGINE_USES_H
#define ENGINE_USES_H

#include "engine/engine_priv.h"

struct uri;

/* What is asked about: made by the functions below, borrows from what they are given. */
struct uses_thing {
	const char *kind, *name; /* for words */
	const char *scheme;
	const char *first, *second; /* segments of its URI; second NULL: any */
	char first_uuid[UUID_TEXT_SIZE], second_uuid[UUID_TEXT_SIZE];
	char nqn[PUBLISH_NQN_MAX + 1]; /* of its share; "": none. At our own ports only ... */
	bool nqn_anywhere;	       /* ... or at any */
};

void uses_of_nexus(const struct engine_nexus *en, struct uses_thing *ret);
void uses_of_pool(const struct engine_pool *ep, struct uses_thing *ret);
void uses_of_replica(const struct replica_at *at, struct uses_thing *ret);

/* A URI and those within it, the outermost first; beyond `max` they are left out. Their number. */
unsigned uses_within(const struct uri *outer, const struct uri **ret, unsigned max);
/* What a URI is opened by (spelling.c): *ret is owned. -EINVAL. */
MUST_USE int uses_spell(struct fiber *f, struct engine *e, const char *uri, char **ret);

/* Does this URI, or one within it, lead there? One that cannot be parsed does not. */
bool uses_leads(struct engine *e, const char *uri, const struct uses_thing *thing);
/* -EBUSY names who: an open disk, a pool, an open nexus, and (doors) an NBD share. */
MUST_USE int uses_check(struct fiber *f, struct engine *e, const struct uses_thing *thing,
			bool doors);
/* -EAGAIN: it stands on a nexus that comes or goes just now (US1). */
MUST_USE int uses_may_open(struct fiber *f, struct engine *e, const char *uri);
/* US2: -EINVAL says on what it stands. */
MUST_USE int uses_for_child(struct fiber *f, struct engine *e, const char *uri);
MUST_USE int uses_for_pool(struct fiber *f, struct engine *e, const char *uri);

#endif
