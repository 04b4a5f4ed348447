/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bio_wait - bios for fibers: submit and wait, with words for what went wrong.
 *
 * BW1. While a fiber waits, layer_priv names it: the layer does not use that of a user's bio.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "bdev/bdev_priv.h"

const char *bio_op_name(enum bio_op op)
{
	static const char *const names[BIO_OPS] = {
		[BIO_READ] = "read",
		[BIO_WRITE] = "write",
		[BIO_FLUSH] = "flush",
		[BIO_ZEROES] = "write-zeroes",
		[BIO_UNMAP] = "unmap",
		[BIO_COMPARE] = "compare",
		[BIO_COMPARE_WRITE] = "compare-and-write",
		[BIO_RESET] = "reset",
	};

	return (unsigned)op < BIO_OPS ? names[op] : "unknown op";
}

bool bio_op_has_data(enum bio_op op)
{
	return op == BIO_READ || op == BIO_WRITE || op == BIO_COMPARE || op == BIO_COMPARE_WRITE;
}

bool bio_op_writes(enum bio_op op)
{
	return op == BIO_WRITE || op == BIO_ZEROES || op == BIO_UNMAP || op == BIO_COMPARE_WRITE;
}

static void bio_wake(struct bio *bio)
{
	fiber_resume(bio->layer_priv);
}

static int bio_words(struct fiber *f, const struct bio *bio)
{
	const char *op = bio_op_name((enum bio_op)bio->op);
	const char *name = bio->chan->bdev->name;

	if (bio->op == BIO_FLUSH || bio->op == BIO_RESET)
		return fiber_fail(f, bio->status, "%s: %s failed: %s", name, op,
				  err_name(bio->status));
	return fiber_fail(f, bio->status, "%s: %s of %" PRIu64 " blocks at %" PRIu64 " failed: %s",
			  name, op, bio->blocks, bio->lba, err_name(bio->status));
}

int bio_wait(struct fiber *f, struct bio *bio)
{
	must(fiber_reactor(f) == bio->chan->reactor);
	bio->done = bio_wake;
	bio->layer_priv = f; /* BW1 */
	bio_submit(bio);
	fiber_suspend(f);
	return bio->status < 0 ? bio_words(f, bio) : 0;
}

struct bio *bio_new(struct bdev_chan *chan)
{
	return mem_new(reactor_io(chan->reactor), bio_size(chan->bdev));
}

/* One op in pieces of what a bio may carry. */
static int bdev_do(struct fiber *f, struct bdev_chan *chan, enum bio_op op, uint64_t lba,
		   uint64_t blocks, uint8_t *buf, uint16_t flags)
{
	uint32_t block_size = chan->bdev->block_size;
	CLEANUP(cleanup_mem) struct bio *bio = bio_new(chan);

	if (!bio)
		return fiber_fail(f, -ENOMEM, "%s: no memory for a request", chan->bdev->name);
	for (;;) {
		uint64_t part = buf ? min_u64(blocks, BIO_BYTES_MAX / block_size) : blocks;
		struct iovec iov = { .iov_base = buf, .iov_len = part * block_size };
		int r;

		bio_prep(bio, chan, op, lba, part, buf ? &iov : NULL, buf ? 1 : 0, NULL);
		bio->flags = flags;
		r = bio_wait(f, bio);
		if (r < 0 || part == blocks)
			return r;
		lba += part;
		blocks -= part;
		buf += iov.iov_len;
	}
}

int bdev_read(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks, void *buf)
{
	return bdev_do(f, chan, BIO_READ, lba, blocks, buf, 0);
}

int bdev_write(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
	       const void *buf, uint16_t flags)
{
	return bdev_do(f, chan, BIO_WRITE, lba, blocks, (uint8_t *)(uintptr_t)buf, flags);
}

int bdev_flush(struct fiber *f, struct bdev_chan *chan)
{
	return bdev_do(f, chan, BIO_FLUSH, 0, 0, NULL, 0);
}

int bdev_zeroes(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		uint16_t flags)
{
	return bdev_do(f, chan, BIO_ZEROES, lba, blocks, NULL, flags);
}

int bdev_unmap(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks)
{
	return bdev_do(f, chan, BIO_UNMAP, lba, blocks, NULL, 0);
}
