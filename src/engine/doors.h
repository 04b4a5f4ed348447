/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doors - disks of a node for clients: a replica, a nexus, or any disk by URI over NBD; any disk by
 * NVMe/TCP (a replica is shared, a nexus published there: they have more to say to their hosts).
 *
 * One NBD server, on a Unix socket in the state directory, is there with the first door of that
 * kind; over NVMe/TCP a door is a subsystem of the replicas' port. A door is kept in the state; it
 * is closed while its disk is away (a pool let go, a nexus shut down) and opened again by the
 * tender. Names are unique among the doors of a kind.
 *
 * DO1. Who lets a disk go closes its doors first: nothing is left open above what ends.
 */
#ifndef ENGINE_DOORS_H
#define ENGINE_DOORS_H

#include "base/list.h"
#include "engine/engine_priv.h"

struct uses_thing;

#define ENGINE_DOORS_MAX 256u
#define DOORS_SOCKET	 "nbd.sock"
#define DOORS_NQN_PREFIX "share:" /* and the name, after that of all NQNs of the node */
#define DOORS_NAME_MAX	 128u	  /* over NVMe/TCP */

struct engine_door {
	struct list_link link;		       /* engine.doors */
	char *name, *bdev, *uri, *description; /* owned; uri: what is opened */
	bool is_nvmf;			       /* else NBD */
	struct texts hosts;
	bool read_only, is_open;
};

struct engine_door_args {
	const char *name;
	const char *bdev; /* name or uuid of a replica, nexus or disk of the node, or a URI */
	const char *description;
	bool read_only;
	bool is_nvmf;
	const char *const *hosts; /* NQNs that may connect; none: all may */
	unsigned host_count;
};

typedef int (*engine_door_fn)(void *ctx, const struct engine_door *door, const char *uri);

MUST_USE int engine_door_create(struct fiber *f, struct engine *e,
				const struct engine_door_args *args, engine_door_fn fn, void *ctx);
MUST_USE int engine_door_destroy(struct fiber *f, struct engine *e, const char *name, bool is_nvmf);
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
