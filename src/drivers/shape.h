/* SPDX-License-Identifier: Apache-2.0 */
/* shape - size and block size of a disk, as parameters of its URI. */
#ifndef DRIVERS_SHAPE_H
#define DRIVERS_SHAPE_H

#include "base/lang.h"

struct bdev;
struct fiber;
struct uri;

#define SHAPE_BLOCK_SIZE_DEFAULT 512u

/* Lines for a driver's table of parameters. */
#define SHAPE_PARAM_BLK_SIZE {"blk_size", "bytes of a block: a power of two 512..65536; default 512"}
#define SHAPE_PARAMS                                                                               \
	{"size_mb", "size in MiB"}, {"size", "size in bytes, or with a suffix: 64m, 1g, 2t"},      \
		{"num_blocks", "size in blocks; give just one of the three"}, SHAPE_PARAM_BLK_SIZE

/* blk_size; dflt where it is absent. */
MUST_USE int shape_block_size(struct fiber *f, const struct uri *uri, uint32_t dflt,
			      uint32_t *ret);

/* Sets bdev->block_size, physical_block_size and blocks; size_max in bytes. */
MUST_USE int shape_get(struct fiber *f, const struct uri *uri, uint64_t size_max,
		       struct bdev *bdev);

#endif
