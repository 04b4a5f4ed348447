// SPDX-License-Identifier: Apache-2.0
/* control_priv - replica control: fence, generation, activity log, missed maps (bdev/replica.h). */
#ifndef POOL_CONTROL_PRIV_H
#define POOL_CONTROL_PRIV_H

#include "pool/replica_priv.h"

/* Import: an entry of the intent log that is no mapping. */
MUST_USE int control_replay(struct fiber *f, struct pool *pool, const struct intent_entry *entry);

#endif
