// SPDX-License-Identifier: Apache-2.0
/* import_priv - the life of struct pool: made, started, closed. */
#ifndef POOL_IMPORT_PRIV_H
#define POOL_IMPORT_PRIV_H

#include "pool/pool_priv.h"

/* Listed in the reactor's table under this name, with nothing in it. -EEXIST, -ENOSPC. */
MUST_USE int pool_new(struct fiber *f, const char *name, struct pool **ret);

/* Disks, super and counts are there: start the log, the commit fiber, and commit once (marks it unclean). */
MUST_USE int pool_start(struct fiber *f, struct pool *pool);

/* Read-only for good, and check says why: the words of the fiber, which are taken. */
void pool_damaged(struct fiber *f, struct pool *pool);

/* Whatever was done so far is undone; nothing is written. */
void pool_close(struct fiber *f, struct pool *pool);

/* Of a node: its pools. */
struct pool_table {
	struct mem *mem;
	struct list pools;
	uint32_t count;
};

struct pool_table *pool_table_of(struct fiber *f);

#endif
