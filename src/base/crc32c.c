// SPDX-License-Identifier: Apache-2.0
/*
 * crc32c - by libisal, which picks the fastest code for the processor.
 *
 * libisal's function neither inverts before nor after, and counts in int.
 */
#include <isa-l/crc.h>

#include "base/crc32c.h"

#define CRC32C_PIECE_BYTES (UINT32_C(1) << 30)

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	crc = ~crc;
	while (size > 0) {
		size_t piece = min_size(size, CRC32C_PIECE_BYTES);

		crc = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)piece, crc);
		p += piece;
		size -= piece;
	}
	return ~crc;
}
