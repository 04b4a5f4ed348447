/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild_priv - a member comes back, or comes new: its rebuild, what all of them may write, and what
 * became of those that ended. See rebuild.c, rebuild_copy.c, rebuild_wish.c, history.c.
 */
#ifndef NEXUS_REBUILD_PRIV_H
#define NEXUS_REBUILD_PRIV_H

#include "base/lang.h"
#include "nexus/nexus.h"
#include "reactor/wait.h"

struct nexus_child;

#define NEXUS_REBUILD_DEPTH 8u /* segments of a rebuild in flight */

/* The rebuild of a child, or what became of the last one. */
struct nexus_rebuild {
	bool has_fiber;			       /* it runs, or waits for the next try */
	struct fiber *fiber;		       /* to be cancelled */
	bool is_paused, is_stopped, is_let_go; /* by somebody's wish */
	bool is_partial;
	uint64_t *todo; /* owned: regions to copy; NULL: all */
	uint64_t todo_regions;
	struct event poked;   /* the pause before a try is over */
	struct event changed; /* a pulse: workers look again */
	uint64_t delay_ns;    /* before the next try; 0: none */
	uint64_t due_ns;      /* when that is over */
	uint32_t tries;
	uint64_t start_ns, start_wall_ns, elapsed_ns;
	uint64_t total, recovered, verified; /* bytes */
};

/* What rebuilds may write: a debt in time, paid by waiting. */
struct nexus_rate {
	uint64_t bytes_per_s; /* 0: no limit */
	uint64_t paid_ns;     /* the time up to which the bytes are paid for */
};

struct nexus_history {
	struct nexus_rebuild_record *records; /* owned: NEXUS_HISTORY_MAX, a ring */
	uint64_t count;			      /* ever */
};

void rebuild_init(struct nexus_child *child);
/* Now. -EAGAIN: no fiber to be had, or it is being stopped. */
MUST_USE int rebuild_start(struct nexus_child *child);
/* After a pause; first it is closed, when all it was asked has come back. */
void rebuild_later(struct nexus_child *child);
/* None runs or waits when it returns, and the child is closed unless it is in sync. */
void rebuild_stop(struct fiber *f, struct nexus_child *child);
/* 0, or why the one under way has to end. */
int rebuild_goes_on(const struct nexus_child *child);

MUST_USE int rebuild_copy(struct fiber *f, struct nexus_child *child);
MUST_USE int rebuild_verify(struct fiber *f, struct nexus_child *child);

void rebuild_info(const struct nexus_child *child, struct nexus_rebuild_info *ret);

MUST_USE int history_init(struct nexus *n);
void history_fini(struct nexus *n);
void history_add(struct nexus_child *child, int result);

#endif
