// SPDX-License-Identifier: Apache-2.0
/*
 * status - block status of a replica, snapshot or clone, from its map.
 *
 *	nothing is mapped               a hole, reads as zeros
 *	mapped, but the block not valid no hole, reads as zeros
 *	mapped and valid                data
 *
 * ST1. It says what a read that came at the same time would find: both ask map_peek().
 * ST2. One call looks at no more than STATUS_CLUSTERS_MAX mapped clusters; holes are leapt over.
 */
#include "pool/status_priv.h"

#include <errno.h>

#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "bdev/status.h"
#include "pool/replica_priv.h"
#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

#define STATUS_CLUSTERS_MAX 8192u

struct status_call {
	struct replica *rep;
	uint64_t at, end; /* bytes */
	unsigned shift;	  /* of the bdev's blocks */
	struct bdev_extent *ret;
	unsigned max, count;
};

/* False: there is no room for one more. */
static bool status_put(struct status_call *call, uint64_t bytes, uint32_t flags)
{
	struct bdev_extent *last = call->count ? &call->ret[call->count - 1] : NULL;

	bytes = min_u64(bytes, call->end - call->at);
	if (!last || last->flags != flags) {
		if (call->count == call->max)
			return false;
		last = &call->ret[call->count++];
		*last = (struct bdev_extent){ .lba = call->at >> call->shift, .flags = flags };
	}
	last->blocks += bytes >> call->shift;
	call->at += bytes;
	return true;
}

static int status_hole(struct fiber *f, struct status_call *call)
{
	const unsigned shift = call->rep->pool->cluster_shift;
	uint64_t next = (call->at >> shift) + 1, end = ((call->end - 1) >> shift) + 1;
	int r = next < end ? map_seek(f, call->rep, next, end, &next) : 0;

	if (r < 0)
		return r;
	return status_put(call, (next << shift) - call->at, BDEV_HOLE | BDEV_ZERO);
}

/* From call->at to the end of its cluster. 1: go on. */
static int status_mapped(struct status_call *call, const struct map_place *place)
{
	const struct pool *pool = call->rep->pool;
	const bool whole = pool->blocks_per_cluster > POOL_VALID_BITS; /* valid as a whole */
	uint32_t in = (uint32_t)call->at & cluster_mask(pool), end = pool->super.cluster_bytes;

	while (in < end && call->at < call->end) {
		uint32_t to = whole ? end : (in / POOL_BLOCK + 1) * POOL_BLOCK;
		bool valid = whole || place->valid & valid_bits(pool, in, 1);

		if (!status_put(call, to - in, valid ? BDEV_DATA : BDEV_ZERO))
			return 0;
		in = to;
	}
	return 1;
}

static int status_home(struct fiber *f, void *arg)
{
	struct status_call *call = arg;
	struct replica *rep = call->rep;
	unsigned looked = 0;
	int r = 1;

	while (r > 0 && call->at < call->end && looked < STATUS_CLUSTERS_MAX) {
		uint64_t lcluster = call->at >> rep->pool->cluster_shift;
		struct map_place place;

		r = map_peek(rep, lcluster, false, &place); /* ST1 */
		if (r == -EAGAIN) {
			r = map_load(f, rep, lcluster, false) < 0 ? -EIO : 1;
			continue;
		}
		if (r < 0)
			break;
		looked++;
		r = place.cluster ? status_mapped(call, &place) : status_hole(f, call);
	}
	if (r < 0)
		return fiber_fail(f, r, "%s: the map cannot be read", rep->rec.name);
	must(call->count > 0);
	return 0;
}

static int status_get(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		      struct bdev_extent *ret, unsigned max, unsigned *ret_count)
{
	const unsigned shift = (unsigned)__builtin_ctz(chan->bdev->block_size);
	struct status_call call = {
		.rep = bdev_chan_rio(chan)->rep,
		.at = lba << shift,
		.end = (lba + blocks) << shift,
		.shift = shift,
		.ret = ret,
		.max = max,
	};
	struct reactor *home = call.rep->pool->home;
	int r = fiber_reactor(f) == home ?
			status_home(f, &call) :
			fiber_call_on(f, home, "pool-status", status_home, &call);

	if (r == 0)
		*ret_count = call.count;
	return r;
}

const struct bdev_status_ops status_ops = { .get = status_get };
