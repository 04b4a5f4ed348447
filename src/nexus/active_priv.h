/* SPDX-License-Identifier: Apache-2.0 */
/*
 * active_priv - the activity log: regions with writes, or marked on the members. See active.c.
 *
 * N5. A write reaches a member only when its regions are marked in the activity logs of all
 *     members (B.2), unless there is but one.
 */
#ifndef NEXUS_ACTIVE_PRIV_H
#define NEXUS_ACTIVE_PRIV_H

#include "base/lang.h"
#include "base/list.h"
#include "bdev/replica.h"
#include "reactor/timer.h"
#include "reactor/wait.h"

struct fiber;
struct nexus;
struct nexus_child;
struct nexus_req;

#define NEXUS_AL_MAX   REPLICA_AL_REGIONS_DEFAULT
#define NEXUS_AL_BATCH 64u /* regions cleared at once */

/* A region with writes, or marked in the members' logs. */
struct nexus_region {
	struct list_link link; /* active.idle: least recently used first; active.wanted; or none */
	uint64_t number;
	uint64_t stamp;	 /* serial when the last write in it ended */
	uint32_t writes; /* in flight in it, or waiting for its mark */
	bool is_marked, is_clearing;
	struct nexus_region *next; /* of its bucket */
};

struct nexus_active {
	bool is_on;		      /* more than one member */
	struct nexus_region *region;  /* owned: NEXUS_AL_MAX of them */
	struct nexus_region **bucket; /* owned: NEXUS_AL_MAX */
	struct list free, idle, wanted;
	struct list waiting; /* requests: for marks or for a free region */
	struct event needed; /* of its fiber */
	struct event rests;  /* it waits for that */
	struct fiber *fiber;
	struct timer clock; /* while something is marked */
	bool is_due;	    /* it has fired */
	uint64_t looked_at; /* the serial when it did so last */
	uint64_t writes;    /* that are counted in regions */
	unsigned marked;
	uint64_t updates;
};

MUST_USE int active_init(struct nexus *n);
void active_fini(struct nexus *n);
int active_main(struct fiber *f, void *arg);
/* Before the nexus serves, or with its gate closed: is the log needed now? */
void active_switch(struct nexus *n);
/* True: the request may go on; else it waits and is run again. */
bool active_enter(struct nexus_req *req);
void active_leave(struct nexus_req *req);
/* What this member may lack, who failed: regions with writes it may not have, or may lose. */
void active_of_lost(const struct nexus_child *child, uint64_t *words, uint64_t regions);
bool active_is_busy(struct nexus *n, uint64_t lba, uint64_t blocks);
MUST_USE int active_copy_to(struct fiber *f, struct nexus_child *child);
/* With no write begun: nothing is known of any region. -ECANCELED. */
MUST_USE int active_reset(struct fiber *f, struct nexus *n);
/* With no write in flight: nothing is marked any more. */
void active_clear_all(struct fiber *f, struct nexus *n);

#endif
