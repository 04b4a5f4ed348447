/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_io - fields of NVM I/O commands (NVM Command Set 1.0, section 3.2).
 */
#ifndef WIRE_NVME_IO_H
#define WIRE_NVME_IO_H

#include "wire/nvme.h"

#define NVME_RW_BLOCKS_MAX   65536u
#define NVME_DSM_RANGES_MAX  256u
#define NVME_DSM_RANGE_BYTES 16u

enum nvme_rw_flag {
	NVME_RW_DEALLOCATE = 1 << 9, /* WRITE ZEROES: DEAC */
	NVME_RW_FUA = 1 << 14,
	NVME_RW_LIMITED_RETRY = 1 << 15,
};

/*
 * Read, write, compare, write zeroes, write uncorrectable, verify:
 *	DWORD BITS  FIELD
 *	10,11 63:0  first block (SLBA)
 *	12    15:0  number of blocks, less one (NLB)
 *	      23:20 directive type (DTYPE; write)
 *	      25    deallocate (DEAC; write zeroes)
 *	      29:26 protection information (PRINFO)
 *	      30    force unit access (FUA)
 *	      31    limited retry (LR)
 *	13    7:0   dataset management hints, ignored
 *	      31:16 directive specific (DSPEC; write)
 */
struct nvme_rw {
	uint64_t lba;
	uint32_t blocks; /* 1..65536 */
	uint16_t flags;	 /* NVME_RW_x */
	uint8_t prinfo;	 /* 0: no protection information asked for */
	uint8_t dtype;
	uint16_t dspec;
};

/*
 * NVMe status, of a namespace of nsze blocks that has neither protection information nor
 * directives (PRINFO is then ignored, as the specification says):
 *	LBA Out of Range  some block is not in the namespace
 *	Invalid Field     a directive
 */
MUST_USE uint16_t nvme_rw_decode(const struct nvme_sqe *sqe, uint64_t nsze, struct nvme_rw *ret);

/* Sets dwords 10 to 13. blocks: 1..65536. */
void nvme_rw_encode(const struct nvme_rw *rw, struct nvme_sqe *ret_sqe);

/*
 * Dataset management: dword 10 bits 7:0 ranges less one (NR); dword 11 attributes. Its data,
 * for each range:
 *	OFFSET SIZE FIELD
 *	0      4    context attributes, hints
 *	4      4    blocks; 0: none
 *	8      8    first block
 */
enum nvme_dsm_flag {
	NVME_DSM_READ = 1 << 0, /* hints: will be read, written as a whole */
	NVME_DSM_WRITE = 1 << 1,
	NVME_DSM_DEALLOCATE = 1 << 2,
};

struct nvme_dsm_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t lba;
};

static inline unsigned nvme_dsm_ranges(const struct nvme_sqe *sqe)
{
	return (sqe->cdw10 & 0xff) + 1;
}

void nvme_dsm_encode(unsigned ranges, uint32_t flags, struct nvme_sqe *ret_sqe);

/*
 * Range i of the data. NVMe status: LBA Out of Range; Data SGL Length Invalid, if the data
 * end before it.
 */
MUST_USE uint16_t nvme_dsm_range_decode(const uint8_t *data, size_t size, unsigned i, uint64_t nsze,
					struct nvme_dsm_range *ret);
void nvme_dsm_range_encode(const struct nvme_dsm_range *range,
			   uint8_t ret_bytes[NVME_DSM_RANGE_BYTES]);

#endif
