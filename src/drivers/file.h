/* SPDX-License-Identifier: Apache-2.0 */
/* file - a regular file or a block device. */
#ifndef DRIVERS_FILE_H
#define DRIVERS_FILE_H

#include "bdev/bdev_driver.h"

#define FILE_QUEUE_DEPTH 1024u		   /* bios in the kernel per channel */
#define FILE_ZEROES_BYTES_MAX (1u << 30)   /* of one ZEROES or UNMAP */
#define FILE_SIZE_MAX (UINT64_C(1) << 62)

extern const struct bdev_driver file_driver;

#endif
