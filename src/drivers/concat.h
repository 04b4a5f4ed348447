/* SPDX-License-Identifier: Apache-2.0 */
/* concat - several disks as one, end to end. */
#ifndef DRIVERS_CONCAT_H
#define DRIVERS_CONCAT_H

#include "bdev/bdev_driver.h"

#define CONCAT_MEMBERS_MAX 64u
#define CONCAT_IOV_MAX 64u /* iovecs of a request; the layer splits longer ones */

extern const struct bdev_driver concat_driver;

#endif
