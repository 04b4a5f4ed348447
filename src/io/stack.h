/* SPDX-License-Identifier: Apache-2.0 */
/* stack - memory for a fiber to run on, with an untouchable page below it. */
#ifndef IO_STACK_H
#define IO_STACK_H

#include <stddef.h>

#include "base/lang.h"

#define IO_STACK_BYTES_MIN (16u << 10)
#define IO_STACK_BYTES_MAX (64u << 20)

/*
 * Zeroed memory of at least `bytes` (rounded up to pages, *ret_bytes), which grows down from
 * *ret_low + *ret_bytes; a touch just below *ret_low is a SIGSEGV. Pages cost nothing until
 * they are used. -EINVAL: not within the limits; -ENOMEM.
 */
MUST_USE int io_stack_map(size_t bytes, void **ret_low, size_t *ret_bytes);

/* What io_stack_map() returned. */
void io_stack_unmap(void *low, size_t bytes);

#endif
