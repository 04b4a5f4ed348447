/* SPDX-License-Identifier: Apache-2.0 */
/* null - a disk that forgets: reads give zeros, writes go nowhere. */
#ifndef DRIVERS_NULL_H
#define DRIVERS_NULL_H

#include "bdev/bdev_driver.h"

#define NULL_SIZE_MAX (UINT64_C(1) << 60)

extern const struct bdev_driver null_driver;

#endif
