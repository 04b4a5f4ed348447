/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chan - channels: where a user's bios go, on one reactor.
 *
 * CH1. A side joins home's count before its user can submit, and what home knows (size,
 *      removal, locked ranges) is taken over in the order home said it: nothing is missed.
 * CH2. plain_ops allows the hot path only what no check of the layer could stop.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "bdev/bdev_priv.h"

/* One allocation: the layer's part, then the channel with the driver's part at its end. */
struct chan_memory {
	struct bdev_chan_core core;
	_Alignas(64) struct bdev_chan chan;
};

void chan_replan(struct bdev_chan_core *cc)
{
	uint32_t plain = cc->ops & (1u << BIO_READ | 1u << BIO_WRITE);

	if (cc->side->removed || cc->reset)
		plain = 0;
	if (cc->chan->bdev->read_only || cc->side->locked.mask)
		plain &= ~(1u << BIO_WRITE);
	cc->plain_ops = plain; /* CH2 */
	lanes_replan(cc);
}

void side_replan(struct bdev_side *side)
{
	struct bdev_chan_core *cc;

	list_for_each(cc, &side->chans, link)
		chan_replan(cc);
}

/* ---- sides ------------------------------------------------------------ */

int side_get(struct bdev_core *core, struct reactor *reactor, struct bdev_side **ret)
{
	unsigned index = reactor_index(reactor);
	struct bdev_side *side;

	must(index < core->side_count);
	side = core->at[index].side;
	if (!side) {
		side = mem_new(reactor_io(reactor), sizeof(*side));
		if (!side)
			return -ENOMEM;
		side->core = core;
		side->reactor = reactor;
		list_init(&side->chans);
		list_init(&side->watches);
		list_init(&side->drain_now);
		list_init(&side->drain_next);
		list_init(&side->held);
		list_init(&side->held_reqs);
		core->at[index].side = side;
	}
	*ret = side;
	return 0;
}

struct side_call {
	struct bdev_side *side;
	struct bdev_chan_core *cc; /* leaves, with what it counted */
	uint64_t blocks;
	bool removed;
	struct lock_set locked;
};

static void side_join_home(void *arg)
{
	struct side_call *join = arg;
	struct bdev_core *core = join->side->core;

	core->at[reactor_index(join->side->reactor)].present++;
	join->blocks = core->bdev->blocks;
	join->removed = core->removed;
	join->locked = core->locked;
}

/* In order with all else that home says (CH1): locks are only added, their end comes later. */
static void side_join_back(void *arg)
{
	struct side_call *join = arg;
	struct bdev_side *side = join->side;
	struct bdev_chan_core *cc;

	side->blocks = join->blocks;
	side->removed |= join->removed;
	side->locked.mask |= join->locked.mask;
	for (uint32_t mask = join->locked.mask; mask; mask &= mask - 1) {
		unsigned slot = (unsigned)__builtin_ctz(mask);

		side->locked.range[slot] = join->locked.range[slot];
	}
	list_for_each(cc, &side->chans, link) {
		cc->chan->blocks = side->blocks;
		chan_replan(cc);
	}
}

int side_join(struct fiber *f, struct bdev_side *side)
{
	struct side_call join = { .side = side };

	home_call(f, side->core->home, side_join_home, side_join_back, &join);
	return join.removed ? -ENODEV : 0;
}

static void side_leave_home(void *arg)
{
	struct side_call *leave = arg;
	struct bdev_core *core = leave->side->core;
	struct bdev_chan_core *cc = leave->cc;

	core->at[reactor_index(leave->side->reactor)].present--;
	if (!cc)
		return;
	core->chans--;
	stats_merge(&core->past, &cc->stats);
	for (unsigned op = 0; op < BIO_OPS; op++) {
		if (cc->hist[op] && !core->past_hist[op])
			core->past_hist[op] = steal(cc->hist[op]);
		else if (cc->hist[op])
			hist_merge(core->past_hist[op], cc->hist[op]);
	}
}

void side_leave(struct fiber *f, struct bdev_side *side, struct bdev_chan_core *cc)
{
	struct side_call leave = { .side = side, .cc = cc };

	home_call(f, side->core->home, side_leave_home, NULL, &leave);
}

/* ---- channels --------------------------------------------------------- */

static uint64_t limit_u64(uint64_t limit, uint64_t none)
{
	return limit ? limit : none;
}

static void chan_limits(struct bdev_chan_core *cc, const struct bdev *bdev)
{
	const struct bdev_limits *limits = &bdev->limits;

	cc->block_shift = (uint8_t)__builtin_ctz(bdev->block_size);
	cc->unit = limits->write_unit_blocks ? limits->write_unit_blocks : 1;
	cc->unit_mask = cc->unit - 1;
	cc->ops = limits->ops;
	cc->no_fua = limits->no_fua;
	cc->slow_flags = limits->no_fua >> BIO_WRITE & 1 ? BIO_FUA : 0;
	cc->depth = limits->queue_depth ? limits->queue_depth : UINT32_MAX;
	cc->iov_max = limits->iov_max ? min_u32(limits->iov_max, BIO_IOV_MAX) : BIO_IOV_MAX;
	cc->base_mask = limits->buf_align ? limits->buf_align - 1 : 0;
	cc->len_mask = cc->base_mask & (bdev->block_size - 1);
	cc->max_blocks = min_u64(limit_u64(limits->max_blocks, UINT64_MAX),
				 BIO_BYTES_MAX >> cc->block_shift);
	cc->max_zeroes_blocks =
		align_down_u64(limit_u64(limits->max_zeroes_blocks, UINT64_MAX), cc->unit);
	cc->boundary = limits->boundary_blocks;
}

static void chan_core_init(struct bdev_chan_core *cc, struct bdev_chan *chan)
{
	cc->chan = chan;
	cc->reactor = chan->reactor;
	cc->io = reactor_io(chan->reactor);
	cc->submit = chan->bdev->driver->submit;
	list_init(&cc->waiting);
	list_link_init(&cc->link);
	list_link_init(&cc->kick);
	list_init(&cc->reqs_free);
	list_init(&cc->req_waiting);
	event_init(&cc->reqs_idle);
	event_set(&cc->reqs_idle);
	list_init(&cc->frozen);
	list_init(&cc->lanes_down);
	list_init(&cc->lanes_up);
	chan_limits(cc, chan->bdev);
}

static void chan_free(struct bdev_chan_core *cc)
{
	if (!cc)
		return;
	for (unsigned op = 0; op < BIO_OPS; op++)
		mem_free(cc->hist[op]);
	mem_free(cc->reset_bio);
	mem_free(container_of(cc, struct chan_memory, core));
}

static void cleanup_chan(struct bdev_chan_core **cc)
{
	chan_free(*cc);
}

static struct bdev_chan_core *chan_new(struct bdev *bdev, struct reactor *reactor)
{
	struct chan_memory *memory = mem_alloc_aligned(reactor_io(reactor)->mem,
						       _Alignof(struct chan_memory),
						       sizeof(*memory) + bdev->driver->chan_bytes);

	if (!memory)
		return NULL;
	memory->chan.bdev = bdev;
	memory->chan.reactor = reactor;
	memory->chan.core = &memory->core;
	chan_core_init(&memory->core, &memory->chan);
	return &memory->core;
}

static int chan_parts(struct bdev_chan_core *cc)
{
	struct bdev_core *core = cc->chan->bdev->core;
	int r;

	if (cc->ops >> BIO_RESET & 1) {
		cc->reset_bio = bio_new(cc->chan);
		if (!cc->reset_bio)
			return -ENOMEM;
	}
	r = local_get(core->table, cc->reactor, &cc->local);
	return r < 0 ? r : side_get(core, cc->reactor, &cc->side);
}

static void chan_count_home(void *arg)
{
	struct bdev_core *core = arg;

	core->chans++;
}

int bdev_chan_open(struct fiber *f, struct bdev *bdev, struct bdev_chan **ret)
{
	CLEANUP(cleanup_chan) struct bdev_chan_core *cc = chan_new(bdev, fiber_reactor(f));
	int r = cc ? chan_parts(cc) : -ENOMEM;

	if (r < 0)
		return fiber_fail(f, r, "%s: no memory for a channel", bdev->name);
	if (bdev->driver->chan_open) {
		r = bdev->driver->chan_open(f, cc->chan);
		if (r < 0)
			return r;
	}
	list_add_tail(&cc->side->chans, &cc->link);
	home_call(f, bdev->core->home, chan_count_home, NULL, bdev->core);
	r = side_join(f, cc->side);
	if (r < 0) {
		bdev_chan_close(f, steal(cc)->chan);
		return fiber_fail(f, r, "%s: the disk is gone", bdev->name);
	}
	*ret = steal(cc)->chan;
	return 0;
}

void bdev_chan_close(struct fiber *f, struct bdev_chan *chan)
{
	struct bdev_chan_core *cc = chan->core;

	must(fiber_reactor(f) == chan->reactor);
	must(cc->inflight == 0 && cc->busy == 0); /* B6 */
	event_wait_always(f, &cc->reqs_idle);	  /* locks on their way back */
	if (chan->bdev->driver->chan_close)
		chan->bdev->driver->chan_close(f, chan);
	must(list_empty(&cc->lanes_down) && list_empty(&cc->lanes_up)); /* LN2 */
	list_del(&cc->link);
	list_del(&cc->kick);
	layer_reqs_free(cc);
	side_leave(f, cc->side, cc);
	chan_free(cc);
}
