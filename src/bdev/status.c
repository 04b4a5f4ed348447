/* SPDX-License-Identifier: Apache-2.0 */
/* status - block status of any disk: the driver's, or all data. See status.h. */
#include <errno.h>
#include <inttypes.h>

#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "bdev/status.h"
#include "reactor/fiber.h"

int bdev_status_get(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		    struct bdev_extent *ret, unsigned max, unsigned *ret_count)
{
	const struct bdev_status_ops *ops = chan->bdev->driver->status;

	if (max == 0 || blocks == 0 || lba > chan->blocks || blocks > chan->blocks - lba)
		return fiber_fail(f, -EINVAL,
				  "%s: no block status of %" PRIu64 " blocks at %" PRIu64,
				  chan->bdev->name, blocks, lba);
	if (ops)
		return ops->get(f, chan, lba, blocks, ret, max, ret_count);
	ret[0] = (struct bdev_extent){ .lba = lba, .blocks = blocks, .flags = BDEV_DATA };
	*ret_count = 1;
	return 0;
}
