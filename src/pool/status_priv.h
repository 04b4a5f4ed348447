/* SPDX-License-Identifier: Apache-2.0 */
/* status - block status of a replica, from its map. */
#ifndef POOL_STATUS_PRIV_H
#define POOL_STATUS_PRIV_H

struct bdev_status_ops;

extern const struct bdev_status_ops status_ops;

#endif
