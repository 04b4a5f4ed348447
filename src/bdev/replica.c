/* SPDX-License-Identifier: Apache-2.0 */
/* replica - does this disk offer it? See replica.h. */
#include "bdev/bdev_driver.h"
#include "bdev/replica.h"

const struct bdev_replica_ops *bdev_replica_ops(const struct bdev_chan *chan)
{
	return chan->bdev->driver->replica;
}
