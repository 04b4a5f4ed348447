// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_sgl - where a command's data is.
 */
#include "base/le.h"
#include "wire/nvme_sgl.h"
#include "wire/nvme_status.h"

static uint16_t sgl_in_capsule(uint64_t offset, uint32_t length, uint32_t capsule_bytes,
			       struct nvme_sgl *ret)
{
	if (offset > capsule_bytes)
		return NVME_SGL_OFFSET_INVALID | NVME_DNR;
	if (length > capsule_bytes - offset)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	*ret = (struct nvme_sgl){
		.in_capsule = true,
		.offset = (uint32_t)offset,
		.length = length,
	};
	return NVME_SUCCESS;
}

uint16_t nvme_sgl_decode(const struct nvme_sqe *sqe, uint32_t capsule_bytes, struct nvme_sgl *ret)
{
	uint32_t length = le32_get(sqe->dptr + 8);

	if (sqe->opcode != NVME_FABRICS && (sqe->flags & NVME_PSDT_MASK) != NVME_PSDT_SGL)
		return NVME_INVALID_FIELD | NVME_DNR;
	switch (sqe->dptr[15]) {
	case NVME_SGL_IN_CAPSULE:
		return sgl_in_capsule(le64_get(sqe->dptr), length, capsule_bytes, ret);
	case NVME_SGL_TRANSPORT:
		if (capsule_bytes)
			return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
		*ret = (struct nvme_sgl){ .length = length };
		return NVME_SUCCESS;
	default:
		return NVME_SGL_TYPE_INVALID | NVME_DNR;
	}
}

void nvme_sgl_encode(const struct nvme_sgl *sgl, struct nvme_sqe *ret_sqe)
{
	memset(ret_sqe->dptr, 0, sizeof(ret_sqe->dptr));
	le64_put(ret_sqe->dptr, sgl->in_capsule ? sgl->offset : 0);
	le32_put(ret_sqe->dptr + 8, sgl->length);
	ret_sqe->dptr[15] = sgl->in_capsule ? NVME_SGL_IN_CAPSULE : NVME_SGL_TRANSPORT;
	ret_sqe->flags = (uint8_t)((ret_sqe->flags & ~NVME_PSDT_MASK) | NVME_PSDT_SGL);
}
