/* SPDX-License-Identifier: Apache-2.0 */
/* addr - text forms of struct io_addr: "127.0.0.1:8420", "[::1]:8420", "unix:/path". */
#ifndef IO_ADDR_H
#define IO_ADDR_H

#include "io/io.h"

struct err;

/* Numeric only: names go through IO_RESOLVE. -EINVAL, worded. */
MUST_USE int io_addr_parse(const char *text, struct io_addr *ret, struct err *err);

/* Writes at most IO_ADDR_TEXT_MAX bytes; returns `text`. */
const char *io_addr_print(const struct io_addr *addr, char text[IO_ADDR_TEXT_MAX]);

bool io_addr_equal(const struct io_addr *a, const struct io_addr *b);

#endif
