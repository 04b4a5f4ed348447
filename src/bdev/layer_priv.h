/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_priv - a bio of a user that takes more than one bio of the driver.
 *
 *   WAITING (no request free) -> LOCKING or HELD -> COMPARE -> MAIN -> FLUSH -> end
 *
 * LR1. A request sends up to LAYER_CHILDREN children at a time, none after the first failure
 *      (first error wins), and ends when none is in flight.
 * LR2. The bounce buffer belongs to one child at a time, or holds zeros for all.
 * LR3. The parent ends exactly once; the request is free when its lock is released, too.
 */
#ifndef BDEV_LAYER_PRIV_H
#define BDEV_LAYER_PRIV_H

#include "bdev/bdev_priv.h"
#include "bdev/iovs.h"

enum layer_phase { PHASE_START, PHASE_COMPARE, PHASE_MAIN, PHASE_FLUSH };

enum layer_kind { KIND_DIRECT, KIND_BOUNCE_READ, KIND_COMPARE, KIND_RMW_READ };

/* What a bio has cost, for the statistics. */
enum layer_cost { COST_SPLIT = 1, COST_BOUNCED = 2, COST_RMW = 4, COST_EMULATED = 8 };

struct layer_child {
	struct layer_req *req;
	enum layer_kind kind;
	unsigned index;
	struct iov_pos data;	/* of the parent, to be copied or compared */
	uint32_t data_bytes;
	uint32_t data_skip;	/* RMW: where they belong in the buffer */
	struct iovec iov[LAYER_CHILD_IOV];
	struct bio bio;		/* last: the driver's scratch follows */
};

struct layer_req {
	struct list_link link;	/* reqs_free, held_reqs */
	struct bdev_chan_core *cc;
	struct bio *parent;
	enum layer_phase phase;
	int status;
	uint64_t pos, end;	/* blocks of the bdev, in this phase */
	struct iov_pos data;	/* of pos */
	bool exclusive;		/* under a range lock */
	bool flush_after;	/* a child went without the FUA it should have had */
	unsigned cost;
	unsigned pieces;	/* of the main phase, so far */
	unsigned inflight;
	unsigned free_mask;	/* of children */
	uint8_t *bounce;	/* owned; made when first used */
	uint32_t bounce_zeroed;	/* bytes at its start that are zero */
	struct range_lock lock;
	_Alignas(16) uint8_t child[]; /* LAYER_CHILDREN of layer_child_stride() */
};

static inline size_t layer_child_stride(const struct bdev_chan_core *cc)
{
	return align_up_u64(sizeof(struct layer_child) + cc->chan->bdev->scratch_bytes,
			    BIO_SCRATCH_ALIGN);
}

static inline struct layer_child *req_child(struct layer_req *req, unsigned index)
{
	return (struct layer_child *)(req->child + index * layer_child_stride(req->cc));
}

static inline bool unit_aligned(const struct bdev_chan_core *cc, const struct bio *bio)
{
	return ((bio->lba | bio->blocks) & (cc->unit - 1)) == 0;
}

/* layer_step.c: send one more child; false: not before one ends, or req->status tells why. */
bool req_step(struct layer_req *req);

/* What zeroes a range: ZEROES, UNMAP or WRITE. */
enum bio_op layer_zero_op(const struct bdev_chan_core *cc, const struct bio *bio);

/* layer.c: a child has ended. */
void req_run(struct layer_req *req);

#endif
