// SPDX-License-Identifier: Apache-2.0
/*
 * stack - stacks of fibers: private pages with a guard page below.
 *
 *	| guard, PROT_NONE | <- low ...... stack grows down ...... low + bytes |
 *
 * One page is guard enough: frames stay below 1 KiB (see the build) and code that needs
 * more touches every page on its way (-fstack-clash-protection).
 */
#include "io/stack.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"

static size_t stack_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int io_stack_map(size_t bytes, void **ret_low, size_t *ret_bytes)
{
	size_t page = stack_page_bytes();

	if (bytes < IO_STACK_BYTES_MIN || bytes > IO_STACK_BYTES_MAX)
		return -EINVAL;
	bytes = align_up_u64(bytes, page);
	uint8_t *all = mmap(NULL, page + bytes, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (all == MAP_FAILED)
		return -ENOMEM;
	if (mprotect(all + page, bytes, PROT_READ | PROT_WRITE) < 0) {
		munmap(all, page + bytes);
		return -ENOMEM;
	}
	*ret_low = all + page;
	*ret_bytes = bytes;
	return 0;
}

void io_stack_unmap(void *low, size_t bytes)
{
	size_t page = stack_page_bytes();

	must(munmap((uint8_t *)low - page, page + bytes) == 0);
}
