/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doors - disks of a node for NBD clients: a replica, a nexus, or any disk by URI.
 *
 * One server, on a Unix socket in the state directory, is there with the first door. A door is kept
 * in the state; it is closed while its disk is away (a pool let go, a nexus shut down)
 * and opened again by the tender.
 *
 * DO1. Who lets a disk go closes its doors first: nothing is left open above what ends.
 */
#ifndef ENGINE_DOORS_H
#define ENGINE_DOORS_H

#include "base/list.h"
#include "engine/engine.h"

struct uses_thing;

#define ENGINE_DOORS_MAX 256u
#define DOORS_SOCKET	 "nbd.sock"

struct engine_door {
	struct list_link link;		       /* engine.doors */
	char *name, *bdev, *uri, *description; /* owned; uri: what is opened */
	bool read_only, is_open;
};

struct engine_door_args {
	const char *name;
	const char *bdev; /* name or uuid of a replica, nexus or disk of the node, or a URI */
	const char *description;
	bool read_only;
};

typedef int (*engine_door_fn)(void *ctx, const struct engine_door *door, const char *uri);

MUST_USE int engine_door_create(struct fiber *f, struct engine *e,
				const struct engine_door_args *args, engine_door_fn fn, void *ctx);
MUST_USE int engine_door_destroy(struct fiber *f, struct engine *e, const char *name);
int engine_door_each(struct engine *e, engine_door_fn fn, void *ctx);

/* ---- for the engine ---- */

/* Those that are closed and can be opened. */
void doors_tend(struct fiber *f, struct engine *e);
/* Those that lead there (DO1). */
void doors_close(struct fiber *f, struct engine *e, const struct uses_thing *thing);
/* The end: all, and the server. */
void doors_fini(struct fiber *f, struct engine *e);
void engine_door_free(struct engine_door *door);

#endif
