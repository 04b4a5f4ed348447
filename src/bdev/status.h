/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status - optional: which blocks are backed by data (NBD block status, NVMe, rebuild).
 *
 * A disk without it is all BDEV_DATA. Stacking drivers that keep addresses pass it on.
 */
#ifndef BDEV_STATUS_H
#define BDEV_STATUS_H

#include <stdint.h>

#include "base/lang.h"

struct bdev_chan;
struct fiber;

enum bdev_extent_flag {
	BDEV_DATA = 0,
	BDEV_HOLE = 1 << 0, /* no space is allocated here */
	BDEV_ZERO = 1 << 1, /* reads as zeros */
	BDEV_SHARED = 1 << 2, /* also belongs to a snapshot or a clone */
};

struct bdev_extent {
	uint64_t lba, blocks;
	uint32_t flags;
};

struct bdev_status_ops {
	/*
	 * Extents that cover [lba, lba + blocks) from its start, ascending and without gaps, at
	 * most `max`; neighbours differ. Fewer than asked for is allowed, none is not.
	 */
	int (*get)(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		   struct bdev_extent *ret, unsigned max, unsigned *ret_count);
};

MUST_USE int bdev_status_get(struct fiber *f, struct bdev_chan *chan, uint64_t lba,
			     uint64_t blocks, struct bdev_extent *ret, unsigned max,
			     unsigned *ret_count);

#endif
