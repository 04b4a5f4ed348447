// SPDX-License-Identifier: Apache-2.0
/*
 * copy - a range from one child to others, as little as can be: holes are unmapped there, not written.
 *
 * CP1. The caller holds the range (N6), or nobody writes.
 * CP2. Where the source has nothing, the target is unmapped if that makes it read as zeros;
 *      else zeros are written.
 * CP3. A target that fails gets nothing more; the others get all of it.
 * CP4. The source may be a target, too: its data are written again, which makes them as durable as
 *      the others' with the next flush, whatever became of an earlier one. Its holes are left, and where it
 *      has no space to write (what it shares with a snapshot was flushed with that) it needs none.
 */
#include <errno.h>
#include <string.h>

#include "nexus/copy_priv.h"
#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "bdev/status.h"

#define COPY_PIECE (16u << 10) /* bytes: no replica shares less with a snapshot */

/* One request to one child, as the nexus's own: it bears the token, and is counted. */
static int copy_step(struct fiber *f, struct nexus_child *child, enum bio_op op, uint64_t lba,
		     uint64_t blocks, void *buf)
{
	uint32_t shift = child->block_shift;
	CLEANUP(cleanup_mem) struct bio *bio = bio_new(child->chan);
	const struct iovec iov = { buf, blocks << child->nexus->block_shift };

	if (!bio)
		return fiber_fail(f, -ENOMEM, "no memory to copy");
	bio_prep(bio, child->chan, op, child->data_lba + (lba << shift), blocks << shift,
		 buf ? &iov : NULL, buf ? 1 : 0, NULL);
	bio->token = child->token;
	child_hold(child);
	int r = bio_wait(f, bio);
	child_let_go(child);
	return r;
}

/* CP4. */
static int copy_back(struct fiber *f, struct nexus_child *source, uint64_t lba, uint64_t blocks,
		     void *buf)
{
	uint32_t shift = source->nexus->block_shift;
	uint64_t piece = max_u64(COPY_PIECE >> shift, 1);
	int r = copy_step(f, source, BIO_WRITE, lba, blocks, buf);

	if (r != -ENOSPC)
		return r;
	for (uint64_t at = 0; at < blocks && (r == 0 || r == -ENOSPC); at += piece) {
		fiber_clear(f);
		r = copy_step(f, source, BIO_WRITE, lba + at, min_u64(piece, blocks - at),
			      (uint8_t *)buf + (at << shift));
	}
	if (r != -ENOSPC)
		return r;
	fiber_clear(f);
	return 0;
}

static int copy_one(struct fiber *f, struct nexus_child *child, enum bio_op op, uint64_t lba,
		    uint64_t blocks, void *buf)
{
	if (!child->chan)
		return -ENODEV;
	if (op == BIO_UNMAP && !child->bdev->unmap_zeroes) /* CP2 */
		op = BIO_ZEROES;
	int r = copy_step(f, child, op, lba, blocks, buf);
	if (r == 0 && op == BIO_WRITE)
		child->copied += blocks << child->nexus->block_shift;
	return r;
}

/* To all of `to`; the first failure, or -ESTALE; of whom is in *failed. */
static int copy_out(struct fiber *f, struct nexus_child *from, nexus_mask to, enum bio_op op,
		    uint64_t lba, uint64_t blocks, void *buf, nexus_mask *failed)
{
	int first = 0;

	nexus_each_in(from->nexus, to, child) {
		int r = 0;

		if (child != from)
			r = copy_one(f, child, op, lba, blocks, buf);
		else if (op == BIO_WRITE)
			r = copy_back(f, child, lba, blocks, buf);
		if (r == -ESTALE || (r < 0 && first == 0))
			first = r;
		if (r < 0)
			*failed |= nexus_bit(child);
	}
	return first;
}

/* Blocks of the volume from lba on that are alike, and whether they read as zeros. */
static int copy_look(struct fiber *f, struct nexus_child *from, uint64_t lba, uint64_t end,
		     uint64_t *ret_length, bool *ret_zero)
{
	uint32_t shift = from->block_shift;
	struct bdev_extent extent;
	unsigned count;
	int r;

	child_hold(from);
	r = bdev_status_get(f, from->chan, from->data_lba + (lba << shift), (end - lba) << shift,
			    &extent, 1, &count);
	child_let_go(from);
	if (r < 0)
		return r;
	uint64_t next = min_u64((extent.lba + extent.blocks - from->data_lba) >> shift, end);
	*ret_zero = next > lba && (extent.flags & BDEV_ZERO);
	*ret_length = next > lba ? next - lba : 1; /* a block that is a hole only in part is data */
	return 0;
}

/* What is to be done to others: written from the buffer, or unmapped. */
static int copy_in(struct fiber *f, struct nexus_child *from, uint64_t lba, uint64_t end, void *buf,
		   uint64_t *ret_length, enum bio_op *ret_op)
{
	uint64_t max = NEXUS_COPY_BYTES >> from->nexus->block_shift;
	bool is_zero;
	int r = from->chan ? copy_look(f, from, lba, end, ret_length, &is_zero) : -ENODEV;

	if (r < 0)
		return r;
	*ret_op = is_zero ? BIO_UNMAP : BIO_WRITE;
	if (is_zero)
		return 0;
	*ret_length = min_u64(*ret_length, max);
	return copy_step(f, from, BIO_READ, lba, *ret_length, buf);
}

int copy_range(struct fiber *f, struct nexus_child *from, nexus_mask to, uint64_t lba,
	       uint64_t blocks, void *buf, nexus_mask *ret_failed)
{
	uint64_t end = lba + blocks, length;
	nexus_mask failed = 0;
	int first = 0;

	*ret_failed = 0;
	for (; lba < end && (to & (nexus_mask)~failed); lba += length) {
		enum bio_op op = BIO_WRITE;
		void *bytes;
		int r = copy_in(f, from, lba, end, buf, &length, &op);

		if (r < 0)
			return r;
		bytes = op == BIO_WRITE ? buf : NULL;
		r = copy_out(f, from, to & (nexus_mask)~failed, op, lba, length, bytes, &failed);
		if (r == -ESTALE || first == 0)
			first = r;
		if (r == -ESTALE)
			break;
	}
	*ret_failed = failed;
	return first;
}

int copy_compare(struct fiber *f, struct nexus *n, struct nexus_child *from,
		 struct nexus_child *with, uint64_t lba, uint64_t blocks, void *buf,
		 nexus_mask *ret_failed)
{
	uint64_t bytes = blocks << n->block_shift;
	int r = copy_step(f, from, BIO_READ, lba, blocks, buf);

	must(bytes <= NEXUS_COPY_BYTES);
	*ret_failed = 0;
	if (r < 0)
		return r;
	r = with->chan ? copy_step(f, with, BIO_READ, lba, blocks, (uint8_t *)buf + bytes) :
			 -ENODEV;
	if (r == 0 && memcmp(buf, (uint8_t *)buf + bytes, bytes) != 0)
		r = fiber_fail(f, -EILSEQ, "child '%s' differs from '%s' at block %llu",
			       child_member(with)->uri, child_member(from)->uri,
			       (unsigned long long)lba);
	if (r < 0)
		*ret_failed = nexus_bit(with);
	return r;
}
