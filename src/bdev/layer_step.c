/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_step - the pieces a bio is cut into, so that the driver can do each.
 *
 *   data      as it lies in the user's memory, where limits and alignment allow; else
 *             through the bounce buffer
 *   zeroes    by the driver's ZEROES or UNMAP, else by writing zeros
 *   compare   read into the bounce buffer, compare there
 *   partial   a write of less than the driver's write unit: read it, change it, write it
 *
 * LS1. Every child is whole, in range and within the limits (DR2).
 * LS2. Pieces go up in address, without gap or overlap; so the data are walked once.
 */
#include <errno.h>
#include <string.h>

#include "bdev/layer_priv.h"

static void child_done(struct bio *bio);

/* ---- children --------------------------------------------------------- */

/* Those of the parent's flags that concern the child; a FUA it would ignore becomes a flush. */
static uint16_t child_flags(struct layer_req *req, enum bio_op op)
{
	const struct bdev_chan_core *cc = req->cc;
	uint16_t flags = req->parent->flags;

	if (!bio_op_writes(op))
		return 0;
	if (op == BIO_WRITE)
		flags &= BIO_FUA | BIO_ACTIVATE;
	if ((flags & BIO_FUA) && (op == BIO_UNMAP || (cc->no_fua >> op & 1))) {
		flags &= (uint16_t)~BIO_FUA;
		req->flush_after = cc->chan->bdev->volatile_cache;
	}
	return flags;
}

static struct layer_child *child_take(struct layer_req *req)
{
	unsigned index = (unsigned)__builtin_ctz(req->free_mask);
	struct layer_child *child = req_child(req, index);

	req->free_mask &= ~(1u << index);
	child->req = req;
	child->index = index;
	child->kind = KIND_DIRECT;
	return child;
}

static void child_send(struct layer_child *child, enum bio_op op, uint64_t lba, uint64_t blocks,
		       uint32_t iov_count)
{
	struct layer_req *req = child->req;
	struct bio *bio = &child->bio;

	bio_prep(bio, req->cc->chan, op, lba, blocks, iov_count ? child->iov : NULL, iov_count,
		 child_done);
	bio->flags = child_flags(req, op);
	bio->token = req->parent->token;
	bio->layer = LAYER_CHILD;
	bio->start_ns = req->cc->io->turn_ns;
	req->inflight++;
	chan_dispatch(req->cc, bio);
}

/* The whole buffer for one child (LR2). */
static bool bounce_take(struct layer_req *req)
{
	if (req->inflight)
		return false;
	if (!req->bounce)
		req->bounce = io_buf_new(req->cc->io, LAYER_BOUNCE_BYTES);
	if (!req->bounce)
		req->status = -ENOMEM;
	req->bounce_zeroed = 0;
	return req->bounce;
}

static void child_send_bounced(struct layer_child *child, enum layer_kind kind, enum bio_op op,
			       uint64_t lba, uint64_t blocks)
{
	child->kind = kind;
	child->iov[0] = (struct iovec){ .iov_base = child->req->bounce,
					.iov_len = blocks << child->req->cc->block_shift };
	child_send(child, op, lba, blocks, 1);
}

/* ---- steps ------------------------------------------------------------ */

/* Blocks from lba that one bio with data may have. */
static uint64_t data_max(const struct bdev_chan_core *cc, uint64_t lba, uint64_t blocks)
{
	blocks = min_u64(blocks, cc->max_blocks);
	return cc->boundary ? min_u64(blocks, cc->boundary - lba % cc->boundary) : blocks;
}

/* The part of [pos, end) that is whole units, or 0: pos is inside of one. */
static uint64_t whole_units(const struct layer_req *req)
{
	uint64_t unit = req->cc->unit;

	return req->pos & (unit - 1) ? 0 : align_down_u64(req->end - req->pos, unit);
}

static bool step_partial(struct layer_req *req)
{
	const struct bdev_chan_core *cc = req->cc;
	uint64_t first = align_down_u64(req->pos, cc->unit);
	uint64_t blocks = min_u64(req->end, first + cc->unit) - req->pos;
	struct layer_child *child;

	if (!bounce_take(req))
		return false;
	child = child_take(req);
	child->data = req->data;
	child->data_bytes = (uint32_t)(blocks << cc->block_shift);
	child->data_skip = (uint32_t)((req->pos - first) << cc->block_shift);
	if (bio_op_has_data((enum bio_op)req->parent->op))
		iov_skip(&req->data, child->data_bytes);
	req->cost |= COST_RMW;
	req->pos += blocks;
	child_send_bounced(child, KIND_RMW_READ, BIO_READ, first, cc->unit);
	return true;
}

static bool step_bounce(struct layer_req *req, enum bio_op op, uint64_t max)
{
	const struct bdev_chan_core *cc = req->cc;
	uint64_t blocks = min_u64(max, LAYER_BOUNCE_BYTES >> cc->block_shift);
	uint32_t bytes = (uint32_t)(blocks << cc->block_shift);
	uint64_t lba = req->pos;
	struct layer_child *child;

	if (!bounce_take(req))
		return false;
	child = child_take(req);
	child->data = req->data;
	child->data_bytes = bytes;
	if (op == BIO_WRITE)
		iov_copy_from(&req->data, req->bounce, bytes);
	else
		iov_skip(&req->data, bytes);
	req->cost |= COST_BOUNCED;
	req->pos += blocks;
	child_send_bounced(child, op == BIO_WRITE ? KIND_DIRECT : KIND_BOUNCE_READ, op, lba,
			   blocks);
	return true;
}

static bool step_data(struct layer_req *req)
{
	const struct bdev_chan_core *cc = req->cc;
	enum bio_op op = req->parent->op == BIO_READ ? BIO_READ : BIO_WRITE;
	uint64_t blocks = op == BIO_READ ? req->end - req->pos : whole_units(req);
	struct iov_rule rule = {
		.iov_max = min_u32(cc->iov_max, LAYER_CHILD_IOV),
		.base_mask = cc->base_mask,
		.len_mask = cc->len_mask,
		.granule = (op == BIO_READ ? 1 : cc->unit) << cc->block_shift,
	};
	uint64_t lba = req->pos;
	struct layer_child *child;
	uint32_t iov_count;

	if (blocks == 0)
		return step_partial(req);
	blocks = data_max(cc, req->pos, blocks);
	child = child_take(req);
	blocks = iov_take(&req->data, blocks << cc->block_shift, &rule, child->iov, &iov_count) >>
		 cc->block_shift;
	if (blocks) {
		req->pos += blocks;
		child_send(child, op, lba, blocks, iov_count);
		return true;
	}
	req->free_mask |= 1u << child->index;
	blocks = op == BIO_READ ? req->end - req->pos : whole_units(req);
	return step_bounce(req, op, data_max(cc, req->pos, blocks));
}

enum bio_op layer_zero_op(const struct bdev_chan_core *cc, const struct bio *bio)
{
	bool unmap = cc->ops >> BIO_UNMAP & 1;

	if (bio->op == BIO_UNMAP && unmap)
		return BIO_UNMAP;
	if (cc->ops >> BIO_ZEROES & 1)
		return BIO_ZEROES;
	if (unmap && cc->chan->bdev->unmap_zeroes && !(bio->flags & BIO_KEEP))
		return BIO_UNMAP;
	return BIO_WRITE;
}

/* Zeros at the start of the buffer, for as many children as like. */
static bool bounce_zero(struct layer_req *req, uint32_t bytes)
{
	if (req->bounce_zeroed >= bytes)
		return true;
	if (!bounce_take(req))
		return false;
	memset(req->bounce, 0, bytes);
	req->bounce_zeroed = bytes;
	return true;
}

static bool step_zero_write(struct layer_req *req, uint64_t blocks)
{
	const struct bdev_chan_core *cc = req->cc;
	uint32_t iov_max = min_u32(cc->iov_max, LAYER_CHILD_IOV), iov_count = 0;
	uint32_t room = LAYER_BOUNCE_BYTES;
	uint64_t bytes, lba = req->pos;
	struct layer_child *child;

	blocks = data_max(cc, lba, min_u64(blocks, ((uint64_t)iov_max * room) >> cc->block_shift));
	bytes = blocks << cc->block_shift;
	if (!bounce_zero(req, (uint32_t)min_u64(bytes, room)))
		return false;
	child = child_take(req);
	for (; bytes; iov_count++) {
		child->iov[iov_count] =
			(struct iovec){ .iov_base = req->bounce, .iov_len = min_u64(bytes, room) };
		bytes -= child->iov[iov_count].iov_len;
	}
	req->cost |= COST_EMULATED;
	req->pos += blocks;
	child_send(child, BIO_WRITE, lba, blocks, iov_count);
	return true;
}

static bool step_zero(struct layer_req *req)
{
	const struct bdev_chan_core *cc = req->cc;
	enum bio_op op = layer_zero_op(cc, req->parent);
	uint64_t blocks = whole_units(req), lba = req->pos;

	if (blocks == 0)
		return step_partial(req);
	if (op == BIO_WRITE)
		return step_zero_write(req, blocks);
	blocks = min_u64(blocks, cc->max_zeroes_blocks);
	req->pos += blocks;
	child_send(child_take(req), op, lba, blocks, 0);
	return true;
}

static bool step_compare(struct layer_req *req)
{
	const struct bdev_chan_core *cc = req->cc;
	uint64_t blocks = min_u64(data_max(cc, req->pos, req->end - req->pos),
				  LAYER_BOUNCE_BYTES >> cc->block_shift);
	uint64_t lba = req->pos;
	struct layer_child *child;

	if (!bounce_take(req))
		return false;
	child = child_take(req);
	child->data = req->data;
	child->data_bytes = (uint32_t)(blocks << cc->block_shift);
	iov_skip(&req->data, child->data_bytes);
	req->cost |= COST_EMULATED;
	req->pos += blocks;
	child_send_bounced(child, KIND_COMPARE, BIO_READ, lba, blocks);
	return true;
}

static bool step_flush(struct layer_req *req)
{
	req->pos = req->end;
	req->cost |= COST_EMULATED;
	child_send(child_take(req), BIO_FLUSH, 0, 0, 0);
	return true;
}

bool req_step(struct layer_req *req)
{
	switch (req->phase) {
	case PHASE_COMPARE:
		return step_compare(req);
	case PHASE_FLUSH:
		return step_flush(req);
	default:
		if (!(bio_op_has_data((enum bio_op)req->parent->op) ? step_data(req) :
								      step_zero(req)))
			return false;
		if (++req->pieces == 2)
			req->cost |= COST_SPLIT;
		return true;
	}
}

/* ---- a child has ended ------------------------------------------------ */

static int child_compare(struct layer_child *child)
{
	struct layer_req *req = child->req;
	uint64_t same = iov_compare(&child->data, req->bounce, child->data_bytes);

	if (same == child->data_bytes)
		return 0;
	req->parent->miscompare_bytes =
		(uint32_t)(((child->bio.lba - req->parent->lba) << req->cc->block_shift) + same);
	return -EILSEQ;
}

/* The unit was read: change it, and write it with the same child. */
static void child_rewrite(struct layer_child *child)
{
	struct layer_req *req = child->req;
	uint8_t *to = req->bounce + child->data_skip;

	if (bio_op_has_data((enum bio_op)req->parent->op))
		iov_copy_from(&child->data, to, child->data_bytes);
	else
		memset(to, 0, child->data_bytes);
	child_send_bounced(child, KIND_DIRECT, BIO_WRITE, child->bio.lba, child->bio.blocks);
}

static void child_done(struct bio *bio)
{
	struct layer_child *child = container_of(bio, struct layer_child, bio);
	struct layer_req *req = child->req;
	int status = bio->status;

	req->inflight--;
	if (status == 0 && child->kind == KIND_RMW_READ && req->status == 0) {
		child_rewrite(child);
		return;
	}
	if (status == 0 && child->kind == KIND_BOUNCE_READ)
		iov_copy_to(&child->data, req->bounce, child->data_bytes);
	if (status == 0 && child->kind == KIND_COMPARE)
		status = child_compare(child);
	if (status < 0 && req->status == 0)
		req->status = status; /* LR1 */
	req->free_mask |= 1u << child->index;
	req_run(req);
}
