/* SPDX-License-Identifier: Apache-2.0 */
/* part - a window on a disk. */
#ifndef DRIVERS_PART_H
#define DRIVERS_PART_H

#include "bdev/bdev_driver.h"

extern const struct bdev_driver part_driver;

#endif
