/* SPDX-License-Identifier: Apache-2.0 */
/* resv - does this disk offer it? See resv.h. */
#include "bdev/bdev_driver.h"
#include "bdev/resv.h"

const struct bdev_resv_ops *bdev_resv_ops(const struct bdev_chan *chan)
{
	return chan->bdev->driver->resv;
}
