/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lend - optional: a disk that is memory lends its blocks to a reader, who need not copy them, and
 * takes what a writer has received from where it lies.
 *
 * LE1. Lent bytes stay as they were, and where they are, until they are given back, whatever
 *	happens to the disk meanwhile: overwritten, unmapped, closed.
 * LE2. They are given back on the reactor they were lent on.
 * LE3. Nobody lends who need not: without a loan, the blocks are read like any others.
 */
#ifndef BDEV_LEND_H
#define BDEV_LEND_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"

struct bdev_chan;

#define BDEV_LOAN_PIECES 3u /* 128 KiB anywhere, of a disk of 64 KiB pieces */

struct bdev_loan_piece {
	struct iovec iov; /* what is lent; not to be written to */

	/* the driver's */
	struct list_link link;
	void *owner, *memory;
};

/* The borrower's memory. count 0: nothing is lent. It stays in its place until it is given back. */
struct bdev_loan {
	void (*give_back)(struct bdev_loan *loan);
	uint32_t count; /* of pieces, in order */
	struct bdev_loan_piece piece[BDEV_LOAN_PIECES];
};

struct bdev_lend_ops {
	/* Hot. The range lies on the disk. False: not this, or not now. */
	bool (*lend)(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, struct bdev_loan *loan);

	/* Hot. The same for a WRITE, which is done when this returns true; its status. */
	bool (*put)(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, const void *data,
		    int *ret_status);
};

/* Hot. A READ that is done at once, and counted as such; false: nothing was done. */
bool bdev_lend(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, struct bdev_loan *loan);

/* Hot. A WRITE (with FUA) from memory of any alignment, the same way. */
bool bdev_put(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, const void *data,
	      int *ret_status);

/* Hot. The channel and the disk may be closed already (LE1). */
static inline void bdev_give_back(struct bdev_loan *loan)
{
	if (loan->count)
		loan->give_back(loan);
}

#endif
