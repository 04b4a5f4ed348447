// SPDX-License-Identifier: Apache-2.0
/*
 * crc32c - the Castagnoli checksum of iSCSI, NVMe/TCP and our disk formats.
 *
 * Standard convention: initial value and final inversion all ones, reflected.
 * So crc32c(0, "123456789", 9) == 0xE3069283, crc32c(x, p, 0) == x, and a sum is
 * continued by passing the previous result:
 *
 *	crc32c(crc32c(0, a, n), b, m) == crc32c of a followed by b
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/lang.h"

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
