/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lend - ask the driver, where a READ or WRITE would be plain (bio.c). See lend.h.
 */
#include "bdev/bdev_priv.h"
#include "bdev/lend.h"

/* It took no time, and counts like any other. */
static void lend_count(struct bdev_chan_core *cc, enum bio_op op, uint64_t blocks, int status)
{
	struct bdev_op_stats *stats = &cc->stats.op[op];
	struct hist *hist = cc->hist[op];

	stats->ops++;
	stats->blocks += blocks;
	stats->errors += status < 0;
	if (likely(hist))
		hist_add(hist, 0);
	else
		stats_hist_first(cc->io, &cc->hist[op], 0);
}

static bool lend_is_plain(const struct bdev_chan *chan, enum bio_op op, uint64_t lba,
			  uint64_t blocks)
{
	const struct bdev_chan_core *cc = chan->core;

	return chan->bdev->driver->lend && cc->plain_ops >> op & 1 && blocks - 1 < cc->max_blocks &&
	       lba <= chan->blocks && blocks <= chan->blocks - lba;
}

bool bdev_lend(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, struct bdev_loan *loan)
{
	must(loan->count == 0);
	if (!lend_is_plain(chan, BIO_READ, lba, blocks) ||
	    !chan->bdev->driver->lend->lend(chan, lba, blocks, loan))
		return false;
	lend_count(chan->core, BIO_READ, blocks, 0);
	return true;
}

bool bdev_put(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, const void *data,
	      int *ret_status)
{
	if (!lend_is_plain(chan, BIO_WRITE, lba, blocks) ||
	    !chan->bdev->driver->lend->put(chan, lba, blocks, data, ret_status))
		return false;
	lend_count(chan->core, BIO_WRITE, blocks, *ret_status);
	return true;
}
