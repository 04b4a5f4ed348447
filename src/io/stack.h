/* SPDX-License-Identifier: Apache-2.0 */
/* stack - memory for a fiber to run on, with an untouchable page below it. */
#ifndef IO_STACK_H
#define IO_STACK_H

#include <stddef.h>

#include "base/lang.h"
#include "io/io.h"

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

/* The same from a backend, which may hand out its own. */
MUST_USE static inline int io_stack_new(struct io *io, size_t bytes, void **ret_low,
					size_t *ret_bytes)
{
	if (!io->ops->stack_map)
		return io_stack_map(bytes, ret_low, ret_bytes);
	return io->ops->stack_map(io, bytes, ret_low, ret_bytes);
}

static inline void io_stack_free(struct io *io, void *low, size_t bytes)
{
	if (!io->ops->stack_unmap)
		io_stack_unmap(low, bytes);
	else
		io->ops->stack_unmap(io, low, bytes);
}

#endif
