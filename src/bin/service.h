/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service - a command that runs on a node of its own: pools imported, then what it does, for a moment
 * or until it is interrupted, and all of it undone.
 *
 *	reactors -> pools -> open -> SIGINT, SIGTERM -> close -> pools exported
 *	                         \-> SIGHUP: hangup
 *
 * SE1. A signal that comes while open() waits cancels its fiber; if it opened nevertheless, close()
 *	is called.
 */
#ifndef BIN_SERVICE_H
#define BIN_SERVICE_H

#include <stdbool.h>

#include "base/mem.h"
#include "engine/node.h"
#include "reactor/wait.h"

#define SERVICE_POOLS_MAX 16u
#define SERVICE_DISKS_MAX 32u /* of a pool */

struct service_pool {
	unsigned disk_count;
	char *disks[SERVICE_DISKS_MAX]; /* URIs; owned */
};

struct service {
	const char *who; /* "mayastor export nbd", for words */
	unsigned reactors;
	bool pin, pools_read_only;
	unsigned pool_count;
	struct service_pool pools[SERVICE_POOLS_MAX];
	int (*open)(struct fiber *f, void *ctx);
	void (*hangup)(struct fiber *f,
		       void *ctx); /* NULL: it does not last; it ends after open() */
	void (*close)(struct fiber *f, void *ctx); /* NULL: nothing to undo */
	void *ctx;

	/* while it runs */
	struct node node;
	struct pool *imported[SERVICE_POOLS_MAX];
	unsigned imported_count;
	struct fiber *main;
	struct event event;
	bool is_over, is_open;
};

/* DISK[,DISK...], paths from the root or URIs. False: a line on standard error says why. */
bool service_take_pool(struct service *service, struct mem *mem, const char *disks);
/* A number of 1 to max. */
bool service_take_number(const struct service *service, const char *value, unsigned max,
			 unsigned *ret);
/* The exit code; a line on standard error says what could not be done. */
int service_run(struct service *service);
/* On its home: as if it was interrupted. */
void service_quit(struct service *service);
void service_free_pools(struct service *service);

#endif
