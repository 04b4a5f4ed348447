// SPDX-License-Identifier: Apache-2.0
/*
 * range - blocks that somebody copies: writes in them wait, those begun before have ended (rule LOCK).
 *
 * RG1. A range waits for the writes that began before it, by serial; those that come after are parked.
 * RG2. Ranges of one nexus do not overlap: who wants a part of one waits until it is released, and
 *	holds none meanwhile.
 */
#include "nexus/copy_priv.h"
#include "nexus/nexus_priv.h"

#include "base/must.h"

static bool overlaps(const struct nexus_range *range, const struct bio *bio)
{
	return bio->lba < range->end && range->lba < bio->lba + bio->blocks;
}

/* RG2. */
static bool is_taken(const struct nexus *n, uint64_t lba, uint64_t end)
{
	const struct nexus_range *range;

	list_for_each(range, &n->ranges, link)
		if (range->lba < end && lba < range->end)
			return true;
	return false;
}

void range_hold(struct fiber *f, struct nexus *n, struct nexus_range *range, uint64_t lba,
		uint64_t blocks)
{
	const struct nexus_req *req;

	while (is_taken(n, lba, lba + blocks))
		event_wait_always(f, &n->range_released);
	*range = (struct nexus_range){ .lba = lba, .end = lba + blocks, .serial = n->serial };
	list_link_init(&range->link);
	list_init(&range->parked);
	event_init(&range->free_of_writes);
	if (nexus_is_off(n, NEXUS_RULE_LOCK))
		return;
	list_add_tail(&n->ranges, &range->link);
	list_for_each(req, &n->writes, link)
		range->waits_for += overlaps(range, req->bio);
	while (range->waits_for > 0)
		event_wait_always(f, &range->free_of_writes);
}

void range_release(struct nexus *n, struct nexus_range *range)
{
	must(range->waits_for == 0);
	list_del(&range->link);
	io_run_all(&range->parked);
	event_set(&n->range_released);
	event_clear(&n->range_released);
}

bool range_parks(struct nexus_req *req)
{
	struct nexus_range *range;

	list_for_each(range, &req->nexus->ranges, link) {
		if (overlaps(range, req->bio)) {
			io_park(req, &range->parked);
			return true;
		}
	}
	return false;
}

void range_write_ended(struct nexus_req *req)
{
	struct nexus_range *range;

	list_for_each(range, &req->nexus->ranges, link)
		if (req->serial <= range->serial && overlaps(range, req->bio) &&
		    --range->waits_for == 0)
			event_set(&range->free_of_writes);
}
