/* SPDX-License-Identifier: Apache-2.0 */
/* rate - a disk of a given speed. */
#ifndef DRIVERS_RATE_H
#define DRIVERS_RATE_H

#include "bdev/bdev_driver.h"

#define RATE_IOPS_MAX UINT64_C(1000000000)
#define RATE_MB_S_MAX UINT64_C(1000000)
#define RATE_LATENCY_NS_MAX UINT64_C(10000000000)

extern const struct bdev_driver rate_driver;

#endif
