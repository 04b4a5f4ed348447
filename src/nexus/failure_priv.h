/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failure_priv - members that fail or do not answer: out of the way at once, then out of the record; the
 * last one in doubt, or back. See retire.c, hang.c, well.c, doubt.c, revive.c.
 *
 * N1. No write is acknowledged while a member that failed it is in the record (PERSIST).
 * N2. A member that failed is not read from, from that moment on (READDROP).
 * N3. The last member is never taken out of the record (LASTONE).
 */
#ifndef NEXUS_FAILURE_PRIV_H
#define NEXUS_FAILURE_PRIV_H

#include "base/list.h"
#include "nexus/child_priv.h"
#include "nexus/mask_priv.h"
#include "nexus/nexus_priv.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"

struct fiber;
struct nexus_table;

/* retire.c */

/* Hot: this child failed. N2 holds when it returns; the rest is done by a fiber. */
void retire(struct nexus_child *child, int error);
int retire_main(struct fiber *f, void *arg);
/* Under the latch: in the record that takes this one in, with a new generation, the failed ones are out. */
void retire_with(struct nexus_child *joins);

/* hang.c */

void hang_arm(struct nexus *n);
/* The only one that is needed and has not failed. */
bool hang_is_last(const struct nexus_child *child);

/* Hot: the child was asked something, and has answered. */
static inline void hang_begin(struct nexus_child *child, struct nexus_pending *pending)
{
	struct nexus *n = child->nexus;

	pending->start_ns = reactor_now(n->home);
	list_link_init(&pending->link);
	list_add_tail(&child->pending, &pending->link);
	if (!timer_is_armed(&n->hang_clock))
		hang_arm(n);
}

static inline void hang_end(struct nexus_pending *pending)
{
	list_del(&pending->link);
}

/* well.c */

/* Now and then: of members that nobody writes to, those who could not be written to have failed. */
void well_ask(struct nexus_table *table);

/* doubt.c */

/* Under the latch: these failed, and are all that is left. As owner_put_surely(). */
MUST_USE int doubt_record(struct fiber *f, struct nexus *n, nexus_mask last);
/* Before the record says that it is out. True: it was in doubt, and is to have no map. */
bool doubt_leaves(struct nexus_child *child);
/* In a takeover: the others have what the source has, flushed. */
void doubt_resynced(struct nexus *n, const struct nexus_child *source);
/* If a member is in sync and in no doubt: those in doubt leave. */
void doubt_settle(struct nexus *n);

/* revive.c */

int revive_main(struct fiber *f, void *arg);

#endif
