// SPDX-License-Identifier: Apache-2.0
/*
 * order - two writes to the same block reach every member in the same order: one after the other.
 *
 * Writes in flight have no order (B7 of bdev.h): each member could end with another one of two that
 * overlap, and both would be acknowledged. So the second waits until the first has ended.
 * With one member there is nothing to keep equal, and nothing waits.
 *
 * OR1. No two counted writes overlap. A request is counted from its fan-out until all members
 *      have answered.
 * OR2. Counters of pieces of the volume tell most requests that nobody is near; only where they say
 *      otherwise the writes in flight are looked at one by one.
 * OR3. Who waits, waits before who comes later: writes to one block cannot pass it for ever.
 */
#include "nexus/nexus_priv.h"

#include "base/must.h"

#define ORDER_PIECE_SHIFT 16 /* 64 KiB */

static uint64_t order_first(const struct nexus_req *req)
{
	return req->bio->lba << req->nexus->block_shift >> ORDER_PIECE_SHIFT;
}

static uint64_t order_last(const struct nexus_req *req)
{
	uint64_t end = req->bio->lba + req->bio->blocks;

	return ((end << req->nexus->block_shift) - 1) >> ORDER_PIECE_SHIFT;
}

static uint16_t *order_count(struct nexus *n, uint64_t piece)
{
	return &n->order.count[piece % NEXUS_ORDER_PIECES];
}

static bool order_overlap(const struct bio *a, const struct bio *b)
{
	return a->lba < b->lba + b->blocks && b->lba < a->lba + a->blocks;
}

/* Somebody in flight, or (OR3) before us in the queue. */
static bool order_is_taken(const struct nexus_req *req)
{
	const struct nexus *n = req->nexus;
	const struct nexus_req *other;

	list_for_each(other, &n->writes, link)
		if (other->is_ordered && order_overlap(other->bio, req->bio))
			return true;
	list_for_each(other, &n->order.waiting, link)
		if (order_overlap(other->bio, req->bio))
			return true;
	return false;
}

bool order_parks(struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	bool is_alone = list_empty(&n->order.waiting);

	if (!n->active.is_on)
		return false;
	for (uint64_t piece = order_first(req); is_alone && piece <= order_last(req); piece++)
		is_alone = *order_count(n, piece) == 0; /* OR2 */
	if (is_alone || nexus_is_off(n, NEXUS_RULE_ORDER) || !order_is_taken(req))
		return false;
	io_park(req, &n->order.waiting);
	return true;
}

void order_begin(struct nexus_req *req)
{
	if (!req->nexus->active.is_on || req->bio->blocks == 0)
		return;
	req->is_ordered = true;
	for (uint64_t piece = order_first(req); piece <= order_last(req); piece++)
		++*order_count(req->nexus, piece);
}

void order_end(struct nexus_req *req)
{
	struct nexus *n = req->nexus;

	if (!req->is_ordered)
		return;
	req->is_ordered = false;
	for (uint64_t piece = order_first(req); piece <= order_last(req); piece++) {
		must(*order_count(n, piece) > 0);
		--*order_count(n, piece);
	}
	if (unlikely(!list_empty(&n->order.waiting)))
		io_run_all(&n->order.waiting);
}
