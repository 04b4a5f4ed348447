/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bio - the hot path: from the user to the driver and back.
 *
 *   bio_submit --plain--> driver->submit ... bio_complete --> done
 *        \--else--> layer_submit (layer.c)      \--inside a bio_submit--> completed --> done
 *
 * Plain is what the driver takes as it is: a READ or WRITE within its limits, of a disk
 * that is not removed, reset or locked. It costs the checks and some counters.
 *
 * BI1. A bio that the driver has is marked LAYER_IN_DRIVER: completed twice is noticed.
 * BI2. bio_complete() inside any bio_submit() of the reactor puts done off to a task (V4).
 * BI3. Nothing touches a bio after its done was called.
 * BI4. A bio that has passed a lane is in flight for the channels of both disks, and is given back
 *      to the upper one as it came. What it has done is counted once for both (lane.c).
 */
#include <errno.h>

#include "base/must.h"
#include "bdev/bdev_priv.h"

/* ---- the way down ----------------------------------------------------- */

/* Several iovecs, or one that is odd: whole, aligned, and not too many? */
bool bio_iov_fits(const struct bdev_chan_core *cc, const struct bio *bio, uint64_t bytes)
{
	uint64_t total = 0;

	if (bio->iov_count > cc->iov_max)
		return false;
	for (uint32_t i = 0; i < bio->iov_count; i++) {
		const struct iovec *iov = &bio->iov[i];

		if (((uintptr_t)iov->iov_base & cc->base_mask) || (iov->iov_len & cc->len_mask) ||
		    iov->iov_len == 0 || iov->iov_len > bytes)
			return false;
		total += iov->iov_len;
	}
	return total == bytes;
}

static inline bool bio_is_plain(const struct bdev_chan *chan, const struct bdev_chan_core *cc,
				const struct bio *bio)
{
	uint64_t blocks = bio->blocks, bytes = blocks << cc->block_shift;

	if (bio->op > BIO_WRITE || !(cc->plain_ops >> bio->op & 1) ||
	    (bio->flags & cc->slow_flags) || cc->busy >= cc->depth ||
	    blocks - 1 >= cc->max_blocks || bio->lba > chan->blocks ||
	    blocks > chan->blocks - bio->lba || !list_empty(&cc->waiting))
		return false;
	if (unlikely((bio->lba | blocks) & cc->unit_mask) && bio->op == BIO_WRITE)
		return false;
	if (cc->boundary && bio->lba / cc->boundary != (bio->lba + blocks - 1) / cc->boundary)
		return false;
	if (likely(bio->iov_count == 1))
		return bio->iov->iov_len == bytes &&
		       !((uintptr_t)bio->iov->iov_base & cc->base_mask);
	return bio_iov_fits(cc, bio, bytes);
}

static inline void bio_writer(struct bdev_chan_core *cc, struct bio *bio)
{
	bio->layer |= LAYER_WRITER | cc->side->epoch;
	cc->side->writes[cc->side->epoch]++;
}

void bio_submit(struct bio *bio)
{
	struct bdev_chan_core *cc = bio->chan->core;
	struct bdev_local *local = cc->local;

	bio->start_ns = cc->io->turn_ns;
	cc->inflight++;
	local->submitting++; /* V4 */
	if (likely(bio_is_plain(bio->chan, cc, bio))) {
		bio->layer = LAYER_IN_DRIVER;
		if (bio->op == BIO_WRITE)
			bio_writer(cc, bio);
		cc->busy++;
		cc->submit(bio);
	} else {
		bio->layer = 0;
		layer_submit(cc, bio);
	}
	local->submitting--;
}

void bio_pass(struct bio *bio, struct bdev_lane *lane, struct bio_tally *tally, uint64_t lba)
{
	struct bdev_chan_core *cc = lane->core->to;

	must(lane->from == bio->chan); /* LN3 */
	tally->inflight++;
	bio->lane = lane;
	bio->tally = tally;
	bio->lba_above = bio->lba;
	bio->layer_above = bio->layer;
	bio->chan = lane->to;
	bio->lba = lba;
	bio->layer = LAYER_PASSED;
	if (bio->op == BIO_WRITE)
		bio_writer(cc, bio);
	cc->inflight++;
	if (likely(cc->busy < cc->depth && list_empty(&cc->waiting))) {
		bio->layer |= LAYER_IN_DRIVER;
		cc->busy++;
		cc->submit(bio);
	} else {
		chan_dispatch(cc, bio);
	}
}

void chan_send(struct bdev_chan_core *cc, struct bio *bio)
{
	bio->layer |= LAYER_IN_DRIVER;
	cc->busy++;
	cc->local->submitting++;
	cc->submit(bio);
	cc->local->submitting--;
}

void chan_dispatch(struct bdev_chan_core *cc, struct bio *bio)
{
	if (cc->busy < cc->depth && list_empty(&cc->waiting)) {
		chan_send(cc, bio);
		return;
	}
	cc->stats.queued++;
	list_add_tail(&cc->waiting, &bio->link);
}

static void chan_pump(struct bdev_chan_core *cc)
{
	struct bio *bio;

	cc->pumping = true;
	while (cc->busy < cc->depth && (bio = list_pop_front(&cc->waiting, struct bio, link)))
		chan_send(cc, bio);
	cc->pumping = false;
}

/* ---- the way up ------------------------------------------------------- */

static void bio_end(struct bdev_chan_core *cc, struct bio *bio)
{
	if (!(bio->layer & LAYER_CHILD))
		cc->inflight--;
	bio->done(bio); /* BI3 */
	if (unlikely(cc->reset))
		reset_check(cc);
}

static void local_run(struct task *task)
{
	struct bdev_local *local = container_of(task, struct bdev_local, task);
	struct bdev_chan_core *cc;
	struct list batch;
	struct bio *bio;

	list_init(&batch);
	list_splice_tail(&batch, &local->completed);
	while ((bio = list_pop_front(&batch, struct bio, link)))
		bio_end(bio->chan->core, bio);
	list_splice_tail(&batch, &local->kicked);
	while ((cc = list_pop_front(&batch, struct bdev_chan_core, kick)))
		chan_pump(cc);
}

static void bio_put_off(struct bdev_local *local, struct bio *bio)
{
	list_add_tail(&local->completed, &bio->link);
	reactor_post(local->reactor, &local->task);
}

/* The driver has room: let those in who wait. */
static void chan_kick(struct bdev_chan_core *cc)
{
	struct bdev_local *local = cc->local;

	if (cc->pumping)
		return;
	if (local->submitting == 0) {
		chan_pump(cc);
	} else if (!list_is_linked(&cc->kick)) {
		list_add_tail(&local->kicked, &cc->kick);
		reactor_post(local->reactor, &local->task);
	}
}

static inline void op_count(struct io *io, struct bdev_op_stats *stats, struct hist **hist,
			    const struct bio *bio)
{
	uint64_t ns = io->turn_ns - bio->start_ns;

	stats->ops++;
	stats->blocks += bio->blocks;
	stats->errors += bio->status < 0;
	stats->busy_ns += ns;
	if (likely(*hist))
		hist_add(*hist, ns);
	else
		stats_hist_first(io, hist, ns);
}

static inline void bio_count(struct bdev_chan_core *cc, const struct bio *bio)
{
	op_count(cc->io, &cc->stats.op[bio->op], &cc->hist[bio->op], bio);
}

/* One of the writers of a side has ended. */
static inline void writer_leave(struct bdev_chan_core *cc, const struct bio *bio)
{
	struct bdev_side *side = cc->side;

	if (!(bio->layer & LAYER_WRITER))
		return;
	if (--side->writes[bio->layer & LAYER_EPOCH] == 0 && unlikely(side->draining))
		side_drain(side);
}

static inline void bio_over(struct bdev_chan_core *cc, struct bio *bio)
{
	writer_leave(cc, bio);
	if (cc->local->submitting == 0)
		bio_end(cc, bio);
	else
		bio_put_off(cc->local, bio); /* BI2 */
}

void bio_finish(struct bdev_chan_core *cc, struct bio *bio, int status)
{
	if (bio->layer & LAYER_PASSED) { /* it has waited here */
		bio->layer |= LAYER_IN_DRIVER;
		cc->busy++;
		bio_complete(bio, status);
		return;
	}
	bio->status = status;
	if (!(bio->layer & LAYER_CHILD))
		bio_count(cc, bio);
	bio_over(cc, bio);
}

void bio_refuse(struct bdev_chan_core *cc, struct bio *bio)
{
	bio->status = -EINVAL;
	bio_put_off(cc->local, bio);
}

/* The lower channel has done with it: back to the one it came from (BI4). */
static inline struct bdev_chan_core *lane_back(struct bdev_chan_core *cc, struct bio *bio)
{
	struct bdev_lane *lane = bio->lane;
	struct bdev_lane_core *core = lane->core;
	struct bio_tally *tally = bio->tally;

	writer_leave(cc, bio);
	cc->busy--;
	cc->inflight--;
	if (likely(!(bio->layer_above & LAYER_CHILD)))
		op_count(cc->io, &core->op[bio->op], &core->hist[bio->op], bio);
	else
		bio_count(cc, bio); /* the layer's own above: of no account there */
	bio->chan = lane->from;
	bio->lba = bio->lba_above;
	bio->layer = bio->layer_above;
	if (bio->op == BIO_WRITE)
		*lane->wrote = true;
	if (--tally->inflight == 0 && unlikely(tally->empty))
		tally->empty(tally);
	if (unlikely(!list_empty(&cc->waiting)))
		chan_kick(cc);
	if (unlikely(cc->reset))
		reset_check(cc);
	return lane->from->core;
}

void bio_complete(struct bio *bio, int status)
{
	struct bdev_chan_core *cc = bio->chan->core;

	must(bio->layer & LAYER_IN_DRIVER); /* BI1 */
	bio->status = status;
	if (bio->layer & LAYER_PASSED)
		cc = lane_back(cc, bio);
	else if (!(bio->layer & LAYER_CHILD))
		bio_count(cc, bio);
	bio->layer &= (uint8_t)~LAYER_IN_DRIVER;
	cc->busy--;
	bio_over(cc, bio);
	if (unlikely(!list_empty(&cc->waiting)))
		chan_kick(cc);
}

/* ---- the reactor's part ----------------------------------------------- */

int local_get(struct bdev_table *table, struct reactor *reactor, struct bdev_local **ret)
{
	struct bdev_local **local = &table->local[reactor_index(reactor)];

	if (!*local) {
		struct bdev_local *made = mem_new(reactor_io(reactor), sizeof(*made));

		if (!made)
			return -ENOMEM;
		made->reactor = reactor;
		task_init(&made->task, local_run);
		list_init(&made->completed);
		list_init(&made->kicked);
		*local = made;
	}
	*ret = *local;
	return 0;
}

void local_free(struct bdev_local *local)
{
	if (!local)
		return;
	must(list_empty(&local->completed));
	mem_free(local);
}
