// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_io - fields of NVM I/O commands.
 */
#include "base/le.h"
#include "base/must.h"
#include "wire/nvme_io.h"
#include "wire/nvme_status.h"

#define RW_FLAGS (NVME_RW_DEALLOCATE | NVME_RW_FUA | NVME_RW_LIMITED_RETRY)

static bool blocks_fit(uint64_t lba, uint32_t blocks, uint64_t nsze)
{
	return lba <= nsze && blocks <= nsze - lba;
}

uint16_t nvme_rw_decode(const struct nvme_sqe *sqe, uint64_t nsze, struct nvme_rw *ret)
{
	struct nvme_rw rw = {
		.lba = nvme_sqe_cdw10_11(sqe),
		.blocks = (sqe->cdw12 & 0xffff) + 1,
		.flags = (uint16_t)(sqe->cdw12 >> 16 & RW_FLAGS),
		.prinfo = sqe->cdw12 >> 26 & 0xf,
		.dtype = sqe->opcode == NVME_IO_WRITE ? sqe->cdw12 >> 20 & 0xf : 0,
		.dspec = (uint16_t)(sqe->cdw13 >> 16),
	};

	if (sqe->opcode != NVME_IO_WRITE_ZEROES)
		rw.flags &= (uint16_t)~NVME_RW_DEALLOCATE;
	if (rw.dtype)
		return NVME_INVALID_FIELD | NVME_DNR;
	if (!blocks_fit(rw.lba, rw.blocks, nsze))
		return NVME_LBA_OUT_OF_RANGE | NVME_DNR;
	*ret = rw;
	return NVME_SUCCESS;
}

void nvme_rw_encode(const struct nvme_rw *rw, struct nvme_sqe *ret_sqe)
{
	must(rw->blocks >= 1 && rw->blocks <= NVME_RW_BLOCKS_MAX);
	ret_sqe->cdw10 = (uint32_t)rw->lba;
	ret_sqe->cdw11 = (uint32_t)(rw->lba >> 32);
	ret_sqe->cdw12 = (rw->blocks - 1) | (uint32_t)rw->flags << 16 |
			 (uint32_t)(rw->prinfo & 0xf) << 26 | (uint32_t)(rw->dtype & 0xf) << 20;
	ret_sqe->cdw13 = (uint32_t)rw->dspec << 16;
}

void nvme_dsm_encode(unsigned ranges, uint32_t flags, struct nvme_sqe *ret_sqe)
{
	must(ranges >= 1 && ranges <= NVME_DSM_RANGES_MAX);
	ret_sqe->cdw10 = ranges - 1;
	ret_sqe->cdw11 = flags;
}

uint16_t nvme_dsm_range_decode(const uint8_t *data, size_t size, unsigned i, uint64_t nsze,
			       struct nvme_dsm_range *ret)
{
	struct nvme_dsm_range range;
	const uint8_t *at;

	if (size / NVME_DSM_RANGE_BYTES <= i)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	at = data + (size_t)i * NVME_DSM_RANGE_BYTES;
	range = (struct nvme_dsm_range){
		.attributes = le32_get(at),
		.blocks = le32_get(at + 4),
		.lba = le64_get(at + 8),
	};
	if (!blocks_fit(range.lba, range.blocks, nsze))
		return NVME_LBA_OUT_OF_RANGE | NVME_DNR;
	*ret = range;
	return NVME_SUCCESS;
}

void nvme_dsm_range_encode(const struct nvme_dsm_range *range,
			   uint8_t ret_bytes[NVME_DSM_RANGE_BYTES])
{
	le32_put(ret_bytes, range->attributes);
	le32_put(ret_bytes + 4, range->blocks);
	le64_put(ret_bytes + 8, range->lba);
}
