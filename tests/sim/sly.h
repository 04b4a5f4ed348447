/* SPDX-License-Identifier: Apache-2.0 */
/* sly - a disk with a planted bug: sly:///x?plant=NAME&on=URI; no plant, no bug. */
#ifndef SIM_SLY_H
#define SIM_SLY_H

#include "bdev/bdev_driver.h"

/* plant: "own-flush" a flush covers only what came through its own channel; "no-fua" FUA is forgotten. */
extern const struct bdev_driver sly_driver;

#endif
