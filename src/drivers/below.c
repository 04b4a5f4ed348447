// SPDX-License-Identifier: Apache-2.0
/*
 * below - the disk beneath a stacking driver: opened, claimed, watched.
 *
 *   RESIZED below --> follower (a fiber, one at a time) --> bdev_resized(above)
 *   REMOVED below --> bdev_removed(above); by the follower while `above` is being opened
 *
 * BE1. While a stacking driver is open nobody else writes to the disk below, or to its part of it.
 * BE2. A growth that is told while the follower runs is seen by its next round.
 * BE3. below_close() returns when the follower has ended and no event can come.
 */
#include <errno.h>
#include <stdio.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/uri.h"
#include "bdev/status.h"
#include "drivers/below.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

static int below_follow(struct fiber *f, void *arg)
{
	struct below *below = arg;

	while (!below->above->core && !below->closing)
		fiber_yield(f); /* it is being opened */
	if (below->gone && !below->closing)
		bdev_removed(below->above);
	while (below->grown && !below->closing) {
		uint64_t blocks;

		below->grown = false;
		blocks = below->blocks(below->above);
		if (blocks > below->above->blocks)
			bdev_resized(f, below->above, blocks);
	}
	event_set(&below->idle);
	return 0;
}

static void below_told(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct below *below = container_of(watch, struct below, watch);
	int r;

	if (event == BDEV_REMOVED && below->above->core) {
		bdev_removed(below->above);
		return;
	}
	below->gone |= event == BDEV_REMOVED;
	below->grown |= event == BDEV_RESIZED;
	if (!below->idle.is_set || below->closing)
		return; /* BE2 */
	event_clear(&below->idle);
	r = fiber_start(below->home, "below-follow", below_follow, below, NULL);
	if (r < 0) {
		event_set(&below->idle);
		log_error(reactor_log(below->home), "a disk changed, and what stands on it did not",
			  LOG_STR("disk", bdev->name), LOG_ERR("error", r));
	}
}

int below_open_unclaimed(struct fiber *f, const struct uri *on, struct bdev *above,
			 below_blocks_fn blocks, struct below *below)
{
	int r;

	*below = (struct below){.above = above, .blocks = blocks, .home = fiber_reactor(f)};
	event_init(&below->idle);
	event_set(&below->idle);
	TRY(bdev_open_uri(f, on, &below->bdev));
	below->watch.fn = below_told;
	r = bdev_watch_add(f, below->bdev, &below->watch);
	if (r < 0) {
		bdev_close(f, below->bdev);
		below->bdev = NULL;
	}
	return r;
}

/* BE1. */
int below_claim(struct fiber *f, const struct uri *uri, uint64_t first, uint64_t blocks,
		struct below *below)
{
	bool read_only = below->bdev->read_only;
	char who[sizeof(below->claim.who)];

	snprintf(who, sizeof(who), "%s", uri_print(uri));
	return bdev_claim_range(f, below->bdev, read_only ? BDEV_CLAIM_READ : BDEV_CLAIM_WRITE,
				who, first, blocks, &below->claim);
}

int below_open(struct fiber *f, const struct uri *uri, const struct uri *on, struct bdev *above,
	       below_blocks_fn blocks, struct below *below)
{
	int r;

	TRY(below_open_unclaimed(f, on, above, blocks, below));
	r = below_claim(f, uri, 0, BDEV_CLAIM_TO_END, below);
	if (r < 0)
		below_close(f, below);
	return r;
}

void below_close(struct fiber *f, struct below *below)
{
	bdev_watch_del(f, &below->watch);
	below->closing = true;
	event_wait_always(f, &below->idle); /* BE3 */
	if (below->claim.bdev)
		bdev_unclaim(f, &below->claim);
	bdev_close(f, below->bdev);
	below->bdev = NULL;
}

int below_rescan(struct fiber *f, struct below *below)
{
	uint64_t blocks;

	TRY(bdev_rescan(f, below->bdev));
	blocks = below->blocks(below->above);
	if (blocks > below->above->blocks)
		bdev_resized(f, below->above, blocks);
	return 0;
}

uint32_t below_ops(const struct bdev *bdev)
{
	uint32_t ops = 1u << BIO_READ | 1u << BIO_WRITE | 1u << BIO_FLUSH | 1u << BIO_COMPARE |
		       1u << BIO_COMPARE_WRITE | 1u << BIO_RESET;

	if (bdev->can_zeroes)
		ops |= 1u << BIO_ZEROES;
	if (bdev->can_unmap)
		ops |= 1u << BIO_UNMAP;
	return ops;
}

void below_inherit(const struct below *below, size_t req_bytes)
{
	const struct bdev *from = below->bdev;
	struct bdev *to = below->above;

	to->block_size = from->block_size;
	to->physical_block_size = from->physical_block_size;
	to->optimal_io_blocks = from->optimal_io_blocks;
	to->read_only = from->read_only;
	to->volatile_cache = from->volatile_cache;
	to->unmap_zeroes = from->unmap_zeroes;
	to->rotational = from->rotational;
	to->can_unmap = from->can_unmap;
	to->can_zeroes = from->can_zeroes;
	to->scratch_bytes = (uint32_t)req_bytes + from->scratch_bytes;
}

int below_chan_open(struct fiber *f, struct bdev_chan *above, const struct below *below)
{
	struct below_chan *chan = bdev_chan_priv(above);

	return bdev_chan_open(f, below->bdev, &chan->chan);
}

void below_chan_close(struct fiber *f, struct bdev_chan *above)
{
	struct below_chan *chan = bdev_chan_priv(above);

	bdev_chan_close(f, chan->chan);
}

void below_complete(struct bio *parent, const struct bio *child)
{
	parent->miscompare_bytes = child->miscompare_bytes;
	bio_complete(parent, child->status);
}

static int below_status_get(struct fiber *f, struct bdev_chan *above, uint64_t lba,
			    uint64_t blocks, struct bdev_extent *ret, unsigned max,
			    unsigned *ret_count)
{
	struct below_chan *chan = bdev_chan_priv(above);

	return bdev_status_get(f, chan->chan, lba, blocks, ret, max, ret_count);
}

const struct bdev_status_ops below_status_ops = {
	.get = below_status_get,
};
