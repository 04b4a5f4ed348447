// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_window - the part of a page that a host asked for.
 */
#include <string.h>

#include "nvmf/tgt_page_priv.h"

void tgt_window_put(const struct tgt_window *window, uint64_t at, const void *bytes, size_t size)
{
	uint64_t end = window->offset + window->length;
	uint64_t from = max_u64(at, window->offset);
	uint64_t to = min_u64(at + size, end < window->offset ? UINT64_MAX : end);

	if (from < to)
		memcpy(window->out + (from - window->offset), (const uint8_t *)bytes + (from - at),
		       to - from);
}
