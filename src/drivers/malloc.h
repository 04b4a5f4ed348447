/* SPDX-License-Identifier: Apache-2.0 */
/* malloc - a disk in memory. */
#ifndef DRIVERS_MALLOC_H
#define DRIVERS_MALLOC_H

#include "bdev/bdev_driver.h"
#include "drivers/malloc_tree.h"

#define MALLOC_SIZE_MAX (UINT64_C(1) << 44) /* 16 TiB; only what is written costs memory */

extern const struct bdev_driver malloc_driver;

#endif
