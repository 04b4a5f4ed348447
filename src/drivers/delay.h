/* SPDX-License-Identifier: Apache-2.0 */
/* delay - make a slow disk out of a fast one. */
#ifndef DRIVERS_DELAY_H
#define DRIVERS_DELAY_H

#include "bdev/bdev_driver.h"

#define DELAY_NS_MAX UINT64_C(60000000000)

extern const struct bdev_driver delay_driver;

#endif
