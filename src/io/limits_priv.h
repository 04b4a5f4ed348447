/* SPDX-License-Identifier: Apache-2.0 */
/* limits - what a file or block device can do: statx and sysfs. Blocking: for workers. */
#ifndef IO_LIMITS_PRIV_H
#define IO_LIMITS_PRIV_H

#include "io/io.h"

/* Of a path, or (path NULL) of an open file. 0 or -errno. */
MUST_USE int limits_stat(const char *path, int fd, struct io_stat *ret);

#endif
