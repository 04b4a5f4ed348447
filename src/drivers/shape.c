// SPDX-License-Identifier: Apache-2.0
/*
 * shape - size and block size of a disk, as parameters of its URI.
 *
 * SH1. A shape has at least one block, whole blocks only, and ends within size_max.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cursor.h"
#include "base/uri.h"
#include "bdev/bdev.h"
#include "drivers/shape.h"
#include "reactor/fiber.h"

int shape_block_size(struct fiber *f, const struct uri *uri, uint32_t dflt, uint32_t *ret)
{
	uint64_t size = 0;

	TRY(uri_get_u64(uri, "blk_size", BDEV_BLOCK_MIN, BDEV_BLOCK_MAX, dflt, &size,
			fiber_err(f)));
	if (!is_pow2_u64(size))
		return fiber_fail(f, -EINVAL,
				  "%s: parameter 'blk_size' is %" PRIu64 ", expected a power of two",
				  uri_scheme(uri), size);
	*ret = (uint32_t)size;
	return 0;
}

/* The one of the three that is given, in bytes. */
static int shape_size(struct fiber *f, const struct uri *uri, uint64_t max, uint32_t block_size,
		      uint64_t *ret)
{
	struct err *err = fiber_err(f);
	uint64_t mb = 0, bytes = 0, blocks = 0;
	uint32_t given = uri_name_count(uri, "size_mb") + uri_name_count(uri, "size") +
			 uri_name_count(uri, "num_blocks");

	if (given != 1)
		return fiber_fail(f, -EINVAL,
				  "%s: %s of 'size_mb', 'size' and 'num_blocks', expected just one",
				  uri_scheme(uri), given ? "more than one" : "none");
	TRY(uri_get_u64(uri, "size_mb", 1, max >> 20, 0, &mb, err));
	TRY(uri_get_size(uri, "size", block_size, max, 0, &bytes, err));
	TRY(uri_get_u64(uri, "num_blocks", 1, max / block_size, 0, &blocks, err));
	*ret = mb << 20 | bytes | blocks * block_size;
	return 0;
}

int shape_get(struct fiber *f, const struct uri *uri, uint64_t size_max, struct bdev *bdev)
{
	uint64_t size = 0;
	uint32_t block_size = 0;

	TRY(shape_block_size(f, uri, SHAPE_BLOCK_SIZE_DEFAULT, &block_size));
	TRY(shape_size(f, uri, size_max, block_size, &size));
	if (size % block_size)
		return fiber_fail(f, -EINVAL,
				  "%s: parameter 'size' is %" PRIu64
				  ", expected a multiple of blk_size %" PRIu32,
				  uri_scheme(uri), size, block_size);
	bdev->block_size = block_size;
	bdev->physical_block_size = block_size;
	bdev->blocks = size / block_size; /* SH1 */
	return 0;
}
