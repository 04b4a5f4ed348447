/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer - what happens to a bio that the hot path does not pass on.
 *
 *   check -> (frozen by a reset) -> nothing to do: done
 *                                -> fits the driver: kept out by a lock, or dispatched
 *                                -> needs pieces: a request (layer_priv.h)
 *
 * LA1. A bio is checked as a whole before any part of it is done (B3).
 * LA2. A write that is not under a range lock of its own is counted in its side's
 *      epoch from admission to its end, and not admitted to a locked range (RL2).
 * LA3. Bios wait for a request, and requests for a lock, in order. Who holds a lock has
 *      all it needs: so waiting ends.
 */
#include <errno.h>

#include "base/must.h"
#include "bdev/layer_priv.h"

static void req_pump(struct bdev_chan_core *cc);

/* ---- checks ----------------------------------------------------------- */

static int data_check(const struct bdev_chan_core *cc, const struct bio *bio)
{
	uint64_t halves = bio->op == BIO_COMPARE_WRITE ? 2 : 1;

	if (bio->blocks > BIO_BYTES_MAX >> cc->block_shift || bio->iov_count == 0 ||
	    bio->iov_count > BIO_IOV_MAX)
		return -EINVAL;
	if (iov_bytes(bio->iov, bio->iov_count) != (bio->blocks * halves) << cc->block_shift)
		return -EINVAL;
	return 0;
}

static int bio_check(const struct bdev_chan_core *cc, const struct bio *bio)
{
	const struct bdev_chan *chan = cc->chan;
	enum bio_op op = (enum bio_op)bio->op;

	if (cc->side->removed)
		return -ENODEV;
	if (op == BIO_FLUSH || op == BIO_RESET)
		return 0;
	if (bio->blocks == 0 || bio->lba > chan->blocks || bio->blocks > chan->blocks - bio->lba)
		return -EINVAL;
	if (chan->bdev->read_only && bio_op_writes(op))
		return -EROFS;
	if (bio_op_has_data(op))
		return data_check(cc, bio);
	if (op == BIO_ZEROES && (bio->flags & BIO_FAST) && layer_zero_op(cc, bio) == BIO_WRITE)
		return -ENOTSUP;
	return 0;
}

static bool bio_is_nothing(const struct bdev_chan_core *cc, const struct bio *bio)
{
	if (cc->ops >> bio->op & 1)
		return false;
	return bio->op == BIO_FLUSH || (bio->op == BIO_UNMAP && !cc->chan->bdev->unmap_zeroes);
}

/* May the driver have it as it is? */
static bool bio_fits(const struct bdev_chan_core *cc, const struct bio *bio)
{
	enum bio_op op = (enum bio_op)bio->op;
	uint64_t last = bio->lba + bio->blocks - 1;
	uint64_t halves = op == BIO_COMPARE_WRITE ? 2 : 1;

	if (!(cc->ops >> op & 1) || ((bio->flags & BIO_FUA) && (cc->no_fua >> op & 1)))
		return false;
	if (op == BIO_FLUSH)
		return true;
	if (bio_op_writes(op) && !unit_aligned(cc, bio))
		return false;
	if (!bio_op_has_data(op))
		return bio->blocks <= cc->max_zeroes_blocks;
	if (bio->blocks > cc->max_blocks ||
	    (cc->boundary && bio->lba / cc->boundary != last / cc->boundary))
		return false;
	return bio_iov_fits(cc, bio, (bio->blocks * halves) << cc->block_shift);
}

/* ---- admission of writers (LA2) --------------------------------------- */

static bool writer_admit(struct bdev_chan_core *cc, struct bio *bio)
{
	struct bdev_side *side = cc->side;

	if (!bio_op_writes((enum bio_op)bio->op))
		return true;
	if (lock_set_overlaps(&side->locked, bio->lba, bio->blocks))
		return false;
	bio->layer |= LAYER_WRITER | side->epoch;
	side->writes[side->epoch]++;
	return true;
}

static void layer_admit(struct bdev_chan_core *cc, struct bio *bio)
{
	if (writer_admit(cc, bio))
		chan_dispatch(cc, bio);
	else
		list_add_tail(&cc->side->held, &bio->link);
}

/* ---- requests --------------------------------------------------------- */

static struct layer_req *req_get(struct bdev_chan_core *cc)
{
	struct layer_req *req = list_pop_front(&cc->reqs_free, struct layer_req, link);

	if (!req && cc->req_count < LAYER_REQS_MAX) {
		req = mem_new(cc->io, sizeof(*req) + LAYER_CHILDREN * layer_child_stride(cc));
		if (!req)
			return NULL;
		req->cc = cc;
		cc->req_count++;
	}
	if (req && cc->req_used++ == 0)
		event_clear(&cc->reqs_idle);
	return req;
}

static void req_put(struct layer_req *req)
{
	struct bdev_chan_core *cc = req->cc;

	list_add(&cc->reqs_free, &req->link);
	if (--cc->req_used == 0)
		event_set(&cc->reqs_idle);
	req_pump(cc);
}

void layer_reqs_free(struct bdev_chan_core *cc)
{
	struct layer_req *req;

	must(cc->req_used == 0);
	while ((req = list_pop_front(&cc->reqs_free, struct layer_req, link))) {
		if (req->bounce)
			io_buf_free(cc->io, req->bounce, LAYER_BOUNCE_BYTES);
		mem_free(req);
	}
}

static void req_count_cost(struct layer_req *req)
{
	struct bdev_stats *stats = &req->cc->stats;

	stats->split += !!(req->cost & COST_SPLIT);
	stats->bounced += !!(req->cost & COST_BOUNCED);
	stats->rmw += !!(req->cost & COST_RMW);
	stats->emulated += !!(req->cost & COST_EMULATED);
}

static void req_released(struct range_lock *lock)
{
	req_put(container_of(lock, struct layer_req, lock));
}

static void req_end(struct layer_req *req)
{
	struct bio *parent = req->parent;

	req_count_cost(req);
	req->parent = NULL;
	if (req->exclusive)
		range_unlock(&req->lock);
	bio_finish(req->cc, parent, req->status);
	if (!req->exclusive)
		req_put(req); /* LR3 */
}

/* The next phase that this op has; false: it was the last. */
static bool req_next_phase(struct layer_req *req)
{
	const struct bio *parent = req->parent;
	bool compares = parent->op == BIO_COMPARE || parent->op == BIO_COMPARE_WRITE;

	if (req->phase == PHASE_START && compares) {
		req->phase = PHASE_COMPARE;
	} else if (req->phase < PHASE_MAIN && parent->op != BIO_COMPARE) {
		req->phase = PHASE_MAIN;
	} else if (req->phase == PHASE_MAIN && req->flush_after) {
		req->phase = PHASE_FLUSH;
	} else {
		return false;
	}
	req->pos = parent->lba;
	req->end = parent->lba + parent->blocks;
	if (parent->op == BIO_UNMAP && !req->cc->chan->bdev->unmap_zeroes) {
		/* A hint for whole units only. */
		req->pos = align_up_u64(req->pos, req->cc->unit);
		req->end = align_down_u64(req->end, req->cc->unit);
	}
	return true;
}

static bool req_may_go_on(struct layer_req *req)
{
	if (req->status == 0 && req->cc->side->removed)
		req->status = -ENODEV;
	if (req->status == 0 && req->cc->reset)
		req->status = -ECANCELED;
	return req->status == 0;
}

void req_run(struct layer_req *req)
{
	do {
		while (req_may_go_on(req) && req->pos < req->end && req->free_mask)
			if (!req_step(req))
				break;
		if (req->inflight)
			return;
	} while (req->status == 0 && req_next_phase(req));
	req_end(req);
}

static void req_locked(struct range_lock *lock)
{
	req_run(container_of(lock, struct layer_req, lock));
}

static void req_admit(struct layer_req *req)
{
	if (writer_admit(req->cc, req->parent))
		req_run(req);
	else
		list_add_tail(&req->cc->side->held_reqs, &req->link);
}

/* Under a range lock: compare-and-write, and what changes parts of write units. */
static bool bio_is_exclusive(const struct bdev_chan_core *cc, const struct bio *bio)
{
	if (bio->op == BIO_COMPARE_WRITE)
		return true;
	if (bio->op == BIO_UNMAP && !cc->chan->bdev->unmap_zeroes)
		return false;
	return bio_op_writes((enum bio_op)bio->op) && !unit_aligned(cc, bio);
}

static void req_start(struct layer_req *req, struct bio *bio)
{
	struct bdev_chan_core *cc = req->cc;

	req->parent = bio;
	req->phase = PHASE_START;
	req->status = 0;
	req->pos = req->end = 0;
	req->data = iov_pos(bio->iov, bio->iov_count);
	req->exclusive = bio_is_exclusive(cc, bio);
	req->flush_after = false;
	req->cost = 0;
	req->pieces = 0;
	req->free_mask = (1u << LAYER_CHILDREN) - 1;
	if (!req->exclusive) {
		req_admit(req);
		return;
	}
	req->lock.lba = align_down_u64(bio->lba, cc->unit);
	req->lock.blocks = align_up_u64(bio->lba + bio->blocks, cc->unit) - req->lock.lba;
	req->lock.granted = req_locked;
	req->lock.released = req_released;
	range_lock(&req->lock, cc->side->core, cc->reactor);
}

/* There is no request, and none is in use that will be free: no memory. */
static void req_starved(struct bdev_chan_core *cc)
{
	struct bio *bio;

	cc->local->submitting++; /* callbacks later, or they come back here */
	while ((bio = list_pop_front(&cc->req_waiting, struct bio, link)))
		bio_finish(cc, bio, -ENOMEM);
	cc->local->submitting--;
}

/* No recursion, however many end at once. */
static void req_pump(struct bdev_chan_core *cc)
{
	if (cc->req_pumping)
		return;
	cc->req_pumping = true;
	while (!list_empty(&cc->req_waiting)) {
		struct layer_req *req = req_get(cc);

		if (!req)
			break;
		req_start(req, list_pop_front(&cc->req_waiting, struct bio, link));
	}
	if (cc->req_used == 0)
		req_starved(cc);
	cc->req_pumping = false;
}

/* ---- the doors -------------------------------------------------------- */

void layer_submit(struct bdev_chan_core *cc, struct bio *bio)
{
	int r;

	if (bio->op >= BIO_OPS) {
		bio_refuse(cc, bio);
		return;
	}
	r = bio_check(cc, bio); /* LA1 */
	if (r < 0) {
		bio_finish(cc, bio, r);
	} else if (cc->reset) {
		cc->frozen_count++;
		list_add_tail(&cc->frozen, &bio->link);
	} else if (bio->op == BIO_RESET) {
		reset_start(cc, bio);
	} else if (bio_is_nothing(cc, bio)) {
		bio_finish(cc, bio, 0);
	} else if (bio_fits(cc, bio)) {
		layer_admit(cc, bio);
	} else {
		list_add_tail(&cc->req_waiting, &bio->link);
		req_pump(cc);
	}
}

void layer_unheld(struct bdev_side *side)
{
	struct list bios, reqs;
	struct layer_req *req;
	struct bio *bio;

	list_init(&bios);
	list_init(&reqs);
	list_splice_tail(&bios, &side->held);
	list_splice_tail(&reqs, &side->held_reqs);
	while ((bio = list_pop_front(&bios, struct bio, link)))
		layer_admit(bio->chan->core, bio);
	while ((req = list_pop_front(&reqs, struct layer_req, link)))
		req_admit(req);
}

static void cancel_list(struct bdev_chan_core *cc, struct list *list, int status)
{
	struct bio *bio, *after;

	list_for_each_safe(bio, after, list, link) {
		if (bio->chan != cc->chan)
			continue;
		list_del(&bio->link);
		bio_finish(cc, bio, status);
	}
}

void layer_cancel(struct bdev_chan_core *cc, int status)
{
	struct layer_req *req, *after;

	cc->local->submitting++; /* callbacks later: the lists stay as they are */
	cancel_list(cc, &cc->waiting, status);
	cancel_list(cc, &cc->req_waiting, status);
	cancel_list(cc, &cc->side->held, status);
	list_for_each_safe(req, after, &cc->side->held_reqs, link) {
		if (req->cc != cc)
			continue;
		list_del(&req->link);
		req->status = status;
		req_run(req);
	}
	cc->local->submitting--;
}
