// SPDX-License-Identifier: Apache-2.0
/* control - replica control. */
#include "pool/control_priv.h"

#include <errno.h>

#include "pool/catalog_priv.h"

int control_replay(struct fiber *f, struct pool *pool, const struct intent_entry *entry)
{
	struct replica *rep;
	int r = replica_get(f, pool, entry->object, &rep);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (entry->kind == INTENT_FENCE && entry->first > rep->rec.fence) {
		rep->rec.fence = entry->first;
		replica_dirty(rep);
	}
	replica_put(rep);
	return 0;
}
