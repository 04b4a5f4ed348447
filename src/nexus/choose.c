// SPDX-License-Identifier: Apache-2.0
/*
 * choose - which member a read goes to: a near one, the same one for the same place, unless that has much more to do.
 *
 * A place has a member of its own as long as the readable members are the same: so what users read
 * is in the caches of one member, not of all (three members that share a machine would need three times the
 * cache), and who reads on is answered by the disk that read ahead.
 *
 * CO1. Members of this node before those behind a network; among these any will do.
 * CO2. Who is slow does not collect all that is under way: no member gets a read while it has more of
 *	that than about the half, and CHOOSE_SLACK more than another.
 * CO3. Where a write is under way the choice is the lowest one, always (IO3).
 */
#include "nexus/nexus_priv.h"

#define CHOOSE_SLACK 4u

static void choose_anew(struct nexus_choice *choice, nexus_mask mask)
{
	*choice = (struct nexus_choice){ .mask = mask };
	for (unsigned i = 0; i < NEXUS_CHILDREN_MAX; i++)
		if (nexus_has(mask, i))
			choice->index[choice->count++] = (uint8_t)i;
}

/* The member of that place, out of these. */
static struct nexus_child *choose_usual(struct nexus *n, nexus_mask mask, uint64_t lba)
{
	struct nexus_choice *choice = &n->choice;
	uint32_t place = (uint32_t)((lba << n->block_shift) / NEXUS_REGION_BYTES);

	if (unlikely(choice->mask != mask))
		choose_anew(choice, mask);
	return &n->child[choice->index[place % choice->count]];
}

static struct nexus_child *choose_least(struct nexus *n, nexus_mask mask)
{
	struct nexus_child *least = NULL;

	nexus_each_in(n, mask, child)
		if (!least || child->inflight < least->inflight)
			least = child;
	return least;
}

struct nexus_child *choose(const struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	nexus_mask mask = n->readable & (nexus_mask)~req->tried;
	struct nexus_child *usual, *least;

	if (!(mask & (mask - 1)) || active_is_busy(n, req->bio->lba, req->bio->blocks))
		return nexus_child_from(n, mask, 0); /* CO3 */
	if (mask & n->near)
		mask &= n->near; /* CO1 */
	usual = choose_usual(n, mask, req->bio->lba);
	if (likely(2 * usual->inflight <= n->busy + CHOOSE_SLACK))
		return usual;
	least = choose_least(n, mask);
	return usual->inflight <= least->inflight + CHOOSE_SLACK ? usual : least; /* CO2 */
}
