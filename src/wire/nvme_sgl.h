/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_sgl - where a command's data is (Base 2.0, section 4.1.2; TCP Transport 1.0, 3.3.2).
 *
 *	OFFSET SIZE FIELD
 *	0      8    address; for in-capsule data the offset into it
 *	8      4    length
 *	12     3    reserved
 *	15     1    type (bits 7:4) and subtype (bits 3:0)
 *
 * Of all descriptors the TCP transport has two: a data block with an offset (01h, data is in
 * the capsule) and a transport data block (5Ah, data moves in PDUs of its own).
 */
#ifndef WIRE_NVME_SGL_H
#define WIRE_NVME_SGL_H

#include "wire/nvme.h"

#define NVME_SGL_BYTES	    16u
#define NVME_SGL_IN_CAPSULE 0x01 /* data block, offset */
#define NVME_SGL_TRANSPORT  0x5a /* transport data block, transport specific */
#define NVME_SGL_KEYED	    0x40 /* keyed data block, address: refused, as are all others */

struct nvme_sgl {
	bool in_capsule;
	uint32_t offset; /* of the data in the capsule's data; else 0 */
	uint32_t length; /* 0: no data */
};

/*
 * `capsule_bytes`: data that came in the capsule. NVMe status:
 *	Invalid Field                PSDT does not say SGL (fabrics commands have no PSDT)
 *	SGL Descriptor Type Invalid  neither of the two
 *	SGL Offset Invalid           begins beyond the capsule's data
 *	Data SGL Length Invalid      ends beyond it, or the capsule has data no one asked for
 */
MUST_USE uint16_t nvme_sgl_decode(const struct nvme_sqe *sqe, uint32_t capsule_bytes,
				  struct nvme_sgl *ret);

/* Sets DPTR and PSDT. */
void nvme_sgl_encode(const struct nvme_sgl *sgl, struct nvme_sqe *ret_sqe);

#endif
