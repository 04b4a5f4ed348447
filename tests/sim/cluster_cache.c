/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_cache - what of the volume may be gone when disks lose what they had not flushed.
 *
 * A member whose disk lost power, or whose pool ended unclean, may lack writes that were
 * acknowledged. Its nexus drops it, for its pool comes back in another incarnation (INCARN), and
 * the others have them. They are gone only where that cannot be:
 *
 * CA1. All members in sync have lost something since they were made equal.
 * CA2. One has, and its nexus did not live to drop it: the next owner may copy from it.
 *
 * What was flushed, or written with FUA, is never gone (FANOUT). What is found after a loss need not be
 * on the medium yet; where the last member failed a flush, no later flush helps what that one covered.
 */
#include "cluster_world.h"

#define LATE_NS (10 * SIM_S) /* a change of the record may be so long under way */

/* Kept only what had been flushed: from now on the volume may have no more; who asks lives on. */
static void cache_gone(struct cluster *c)
{
	sim_trace(c->sim, "what was not flushed may be gone");
	if (sim_fault_fired(c->sim, SIM_DISK_EIO_FLUSH)) /* the last member's, too */
		check_flush_end(c->check, check_flush_begin(c->check), false);
	check_cache_lost(c->check);
	c->cut_mark = check_flush_begin(c->check);
	c->lost &= ~c->last_in_sync;
}

/* CA1. */
static void cache_look(struct cluster *c)
{
	if (c->last_in_sync && (c->last_in_sync & ~c->lost) == 0)
		cache_gone(c);
}

void cw_cache_lost(struct cluster *c, unsigned node)
{
	if (!c->nodes[node].is_volatile)
		return;
	for (unsigned i = node * CW_REPLICAS; i < (node + 1) * CW_REPLICAS; i++) {
		c->lost |= 1u << i;
		c->lost_ns[i] = sim_now(c->sim);
	}
	cache_look(c);
}

/* Who is not in sync has nothing to lose, and is rebuilt before it is. */
void cw_cache_record(struct cluster *c, uint64_t epoch, unsigned in_sync)
{
	uint64_t now = sim_now(c->sim);

	for (unsigned i = 0; i < CW_MEMBERS; i++) {
		bool joins = (in_sync & ~c->last_in_sync) >> i & 1;

		if (!(in_sync >> i & 1) || (joins && c->lost_ns[i] + LATE_NS < now))
			c->lost &= ~(1u << i);
	}
	if (epoch > c->last_epoch) { /* CA2 */
		c->gone_epoch = c->lost & in_sync ? epoch : 0;
		c->lost &= c->gone_epoch ? ~in_sync : ~0u;
	}
	c->last_in_sync = in_sync;
	if (c->gone_epoch == epoch && epoch > c->last_epoch)
		cache_gone(c);
	cache_look(c);
}

/* Until now the owner before may have answered from members that had lost nothing. */
void cw_cache_serves(struct cluster *c, uint64_t epoch)
{
	if (c->gone_epoch && epoch >= c->gone_epoch)
		cache_gone(c);
	c->gone_epoch = 0;
}
