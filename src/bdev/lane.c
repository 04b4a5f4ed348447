/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane - bios that go on to a disk beneath as they are: what is settled once for all of them.
 *
 * The disk above has checked them; whatever it lets through fits the disk beneath, or there is no
 * lane. So bio_pass() (bio.c) checks nothing. Both channels have done the same with such a bio:
 * it is counted once, in the lane, and added to both when somebody asks.
 *
 * LN1. `ready` allows what plain_ops of the channel beneath allow, kept by chan_replan().
 * LN2. A lane is closed before its channels.
 * LN3. No channel has lanes both to others and from others: a bio passes one lane at most.
 */
#include <errno.h>

#include "base/must.h"
#include "bdev/bdev_priv.h"

/* All that is within the limits of one is within those of the other, and LN3. */
static bool lane_fits(const struct bdev_chan_core *from, const struct bdev_chan_core *to)
{
	return list_empty(&from->lanes_up) && list_empty(&to->lanes_down) &&
	       from->block_shift == to->block_shift && from->iov_max <= to->iov_max &&
	       from->max_blocks <= to->max_blocks && to->boundary == 0 &&
	       (from->unit_mask & to->unit_mask) == to->unit_mask &&
	       (from->base_mask & to->base_mask) == to->base_mask &&
	       (from->len_mask & to->len_mask) == to->len_mask;
}

static void lane_replan(struct bdev_lane_core *lane)
{
	const struct bdev_chan_core *to = lane->to;
	uint32_t plain = to->plain_ops & (1u << BIO_READ | 1u << BIO_WRITE);

	lane->lane.ready = plain | (to->slow_flags & BIO_FUA ? 0 : plain << 2); /* LN1 */
}

void lanes_replan(struct bdev_chan_core *cc)
{
	struct bdev_lane_core *lane;

	list_for_each(lane, &cc->lanes_up, up)
		lane_replan(lane);
}

static void hist_settle(struct bdev_chan_core *cc, unsigned op, const struct hist *from)
{
	if (!cc->hist[op]) {
		cc->hist[op] = mem_new(cc->io, sizeof(*cc->hist[op]));
		if (!cc->hist[op])
			return; /* ST1 */
		hist_reset(cc->hist[op]);
	}
	hist_merge(cc->hist[op], from);
}

static void chan_take(struct bdev_chan_core *cc, const struct bdev_lane_core *lane)
{
	for (unsigned op = BIO_READ; op <= BIO_WRITE; op++) {
		struct bdev_op_stats *to = &cc->stats.op[op];
		const struct bdev_op_stats *from = &lane->op[op];

		to->ops += from->ops;
		to->blocks += from->blocks;
		to->errors += from->errors;
		to->busy_ns += from->busy_ns;
		if (lane->hist[op])
			hist_settle(cc, op, lane->hist[op]);
	}
}

static void lane_settle(struct bdev_lane_core *lane)
{
	chan_take(lane->lane.from->core, lane);
	chan_take(lane->to, lane);
	for (unsigned op = BIO_READ; op <= BIO_WRITE; op++) {
		lane->op[op] = (struct bdev_op_stats){ 0 };
		if (lane->hist[op])
			hist_reset(lane->hist[op]);
	}
}

void lanes_settle(struct bdev_chan_core *cc)
{
	struct bdev_lane_core *lane;

	list_for_each(lane, &cc->lanes_down, down)
		lane_settle(lane);
	list_for_each(lane, &cc->lanes_up, up)
		lane_settle(lane);
}

int bdev_lane_open(struct bdev_chan *from, struct bdev_chan *to, bool *wrote,
		   struct bdev_lane **ret)
{
	struct bdev_lane_core *lane;

	must(from->reactor == to->reactor);
	*ret = NULL;
	if (!lane_fits(from->core, to->core))
		return 0;
	lane = mem_new(from->core->io, sizeof(*lane));
	if (!lane)
		return -ENOMEM;
	lane->lane = (struct bdev_lane){ .from = from, .to = to, .wrote = wrote, .core = lane };
	lane->to = to->core;
	list_add_tail(&from->core->lanes_down, &lane->down);
	list_add_tail(&to->core->lanes_up, &lane->up);
	lane_replan(lane);
	*ret = &lane->lane;
	return 0;
}

void bdev_lane_close(struct bdev_lane *closed)
{
	struct bdev_lane_core *lane;

	if (!closed)
		return;
	lane = closed->core;
	lane_settle(lane);
	list_del(&lane->down);
	list_del(&lane->up);
	for (unsigned op = BIO_READ; op <= BIO_WRITE; op++)
		mem_free(lane->hist[op]);
	mem_free(lane);
}
