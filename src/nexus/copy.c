// SPDX-License-Identifier: Apache-2.0
/*
 * copy - a range from one child to others, as little as can be: holes are unmapped there, not written.
 *
 * CP1. The caller holds the range (N6), or nobody writes.
 * CP2. Where the source has nothing, the target is unmapped if that makes it read as zeros;
 *      else zeros are written.
 * CP3. A target that fails gets nothing more; the others get all of it.
 */
#include <errno.h>
#include <string.h>

#include "nexus/copy_priv.h"
#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "bdev/status.h"

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

/* To all of `to`; the first failure, or -ESTALE; of whom is in *failed. */
static int copy_out(struct fiber *f, struct nexus *n, nexus_mask to, enum bio_op op, uint64_t lba,
		    uint64_t blocks, void *buf, nexus_mask *failed)
{
	int first = 0;

	nexus_each_child(n, child) {
		enum bio_op how = op;

		if (!nexus_has(to, child->index))
			continue;
		if (op == BIO_UNMAP && !child->bdev->unmap_zeroes) /* CP2 */
			how = BIO_ZEROES;
		int r = child->chan ? copy_step(f, child, how, lba, blocks, buf) : -ENODEV;
		if (r == -ESTALE || (r < 0 && first == 0))
			first = r;
		if (r < 0)
			*failed |= nexus_bit(child);
		child->copied += r == 0 && op == BIO_WRITE ? blocks << n->block_shift : 0;
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

int copy_range(struct fiber *f, struct nexus *n, struct nexus_child *from, nexus_mask to,
	       uint64_t lba, uint64_t blocks, void *buf, nexus_mask *ret_failed)
{
	uint64_t end = lba + blocks, length;
	nexus_mask failed = 0;
	int first = 0;

	must(!nexus_has(to, from->index));
	*ret_failed = 0;
	for (; lba < end && (to & (nexus_mask)~failed); lba += length) {
		enum bio_op op = BIO_WRITE;
		int r = copy_in(f, from, lba, end, buf, &length, &op);

		if (r < 0)
			return r;
		r = copy_out(f, n, to & (nexus_mask)~failed, op, lba, length,
			     op == BIO_WRITE ? buf : NULL, &failed);
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
