/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lend - ask the driver for a loan, where a READ would be plain (bio.c). See lend.h.
 */
#include "bdev/bdev_priv.h"
#include "bdev/lend.h"

/* It took no time, and counts like any other. */
static void lend_count(struct bdev_chan_core *cc, uint64_t blocks)
{
	struct bdev_op_stats *stats = &cc->stats.op[BIO_READ];
	struct hist *hist = cc->hist[BIO_READ];

	stats->ops++;
	stats->blocks += blocks;
	if (likely(hist))
		hist_add(hist, 0);
	else
		stats_hist_first(cc->io, &cc->hist[BIO_READ], 0);
}

bool bdev_lend(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, struct bdev_loan *loan)
{
	const struct bdev_lend_ops *ops = chan->bdev->driver->lend;
	struct bdev_chan_core *cc = chan->core;

	must(loan->count == 0);
	if (!ops || !(cc->plain_ops >> BIO_READ & 1) || blocks - 1 >= cc->max_blocks ||
	    lba > chan->blocks || blocks > chan->blocks - lba)
		return false;
	if (!ops->lend(chan, lba, blocks, loan))
		return false;
	lend_count(cc, blocks);
	return true;
}
