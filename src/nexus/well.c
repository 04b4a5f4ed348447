// SPDX-License-Identifier: Apache-2.0
/*
 * well - members that are only read from are asked whether they could be written to.
 *
 * A pool whose last flush or commit failed takes no more writes, and reads on. A member on it that users
 * only read from would stay in sync for ever: one whose next write fails, which holds less than it
 * reads, perhaps, and on whose pool, which cannot be imported anew as long, nobody else can join.
 *
 *	lease renewed --> no write, no flush since the last time? --> "are you faulted?" --> retired
 *
 * WE1. Once in a lease's time at most, and only members that are idle: a write or a flush says it by itself.
 *	It costs no request to a disk.
 * WE2. Right after the store has answered: who has failed can be recorded, and nobody freezes for it long.
 * WE3. The last one is not asked: it would stay (LASTONE), and reads are better than nothing.
 * WE4. Only who says that it is faulted has failed, or who says nothing (hang.c). Nobody waits for the answers.
 */
#include <errno.h>

#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "nexus/failure_priv.h"

static int answer_well(struct fiber *f, struct nexus_child *child, const void *what)
{
	CLEANUP(cleanup_mem)
	struct replica_info *info = mem_alloc(child->nexus->mem, sizeof(*info));

	(void)what;
	if (!info || child->ops->info(f, child->chan, info) < 0 || !info->faulted)
		return 0; /* WE4 */
	return -EIO;
}

/* WE3. Those that can say so. */
static nexus_mask well_whom(struct nexus *n)
{
	nexus_mask mask = 0;

	if (n->state != NEXUS_SERVING || (n->needed & (n->needed - 1)) == 0)
		return 0;
	nexus_each_in(n, n->needed, child)
		if (child->state == NEXUS_CHILD_IN_SYNC && child->ops)
			mask |= nexus_bit(child);
	return mask;
}

/* WE1. */
static bool well_is_due(struct nexus *n, uint64_t now)
{
	bool is_idle = n->well.serial == n->serial;

	if (now - n->well.asked_ns < n->table->lease.ttl_ms * UINT64_C(1000000))
		return false;
	n->well.asked_ns = now;
	n->well.serial = n->serial;
	return is_idle;
}

void well_ask(struct nexus_table *table)
{
	uint64_t now = io_now(table->io);
	struct nexus *n;

	list_for_each(n, &table->nexuses, link)
		if (well_is_due(n, now))
			ask_around(n, well_whom(n), answer_well);
}
