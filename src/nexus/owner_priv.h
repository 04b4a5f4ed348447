/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner_priv - whose a volume is: its record, written and looked at under our epoch; and how it becomes
 * ours. See owner.c, look.c, takeover.c, resync.c.
 */
#ifndef NEXUS_OWNER_PRIV_H
#define NEXUS_OWNER_PRIV_H

#include "base/lang.h"
#include "nexus/mask_priv.h"

struct fiber;
struct nexus;

#define NEXUS_RETRY_NS UINT64_C(100000000) /* between tries of the record */

/* owner.c */

/* Write n->rec under our epoch. -ESTALE: deposed. Any other error: not known, try again. */
MUST_USE int owner_put(struct fiber *f, struct nexus *n);
/* The same until it is known (N1). -ESTALE, or -ECANCELED: closing. */
MUST_USE int owner_put_surely(struct fiber *f, struct nexus *n);
/* Is the record ours still? -ESTALE: deposed; else the store's. */
MUST_USE int owner_look(struct fiber *f, struct nexus *n);
void owner_deposed(struct nexus *n);
/* Hot: does the lease hold (rule LEASE)? If not, a fiber waits for it and runs what is gated. */
bool owner_may_serve(struct nexus *n);

/* look.c */

int look_main(struct fiber *f, void *table);
/* Before it is freed. */
void look_leave(struct fiber *f, struct nexus *n);
/* At the end of a takeover. -ESTALE: deposed. */
MUST_USE int look_before_serving(struct fiber *f, struct nexus *n);

/* takeover.c */

MUST_USE int takeover(struct fiber *f, struct nexus *n, bool force);

/* resync.c */

/*
 * These members, who all have activity logs, are made equal where the logs say that they may not be. Who failed
 * is in *ret_lost, and why in its `error`; one is left if this succeeds.
 */
MUST_USE int resync(struct fiber *f, struct nexus *n, nexus_mask members, nexus_mask *ret_lost);

#endif
