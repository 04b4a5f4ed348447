// SPDX-License-Identifier: Apache-2.0
/*
 * nvme - commands and completions of NVM Express. W1..W3 and the layouts stand in nvme.h.
 */
#include "base/le.h"
#include "wire/nvme.h"

void nvme_sqe_encode(const struct nvme_sqe *sqe, uint8_t ret_bytes[NVME_SQE_BYTES])
{
	ret_bytes[0] = sqe->opcode;
	ret_bytes[1] = sqe->flags;
	le16_put(ret_bytes + 2, sqe->cid);
	le32_put(ret_bytes + 4, sqe->nsid);
	le32_put(ret_bytes + 8, sqe->cdw2);
	le32_put(ret_bytes + 12, sqe->cdw3);
	le64_put(ret_bytes + 16, sqe->mptr);
	memcpy(ret_bytes + 24, sqe->dptr, sizeof(sqe->dptr));
	le32_put(ret_bytes + 40, sqe->cdw10);
	le32_put(ret_bytes + 44, sqe->cdw11);
	le32_put(ret_bytes + 48, sqe->cdw12);
	le32_put(ret_bytes + 52, sqe->cdw13);
	le32_put(ret_bytes + 56, sqe->cdw14);
	le32_put(ret_bytes + 60, sqe->cdw15);
}

void nvme_sqe_decode(const uint8_t bytes[NVME_SQE_BYTES], struct nvme_sqe *ret)
{
	ret->opcode = bytes[0];
	ret->flags = bytes[1];
	ret->cid = le16_get(bytes + 2);
	ret->nsid = le32_get(bytes + 4);
	ret->cdw2 = le32_get(bytes + 8);
	ret->cdw3 = le32_get(bytes + 12);
	ret->mptr = le64_get(bytes + 16);
	memcpy(ret->dptr, bytes + 24, sizeof(ret->dptr));
	ret->cdw10 = le32_get(bytes + 40);
	ret->cdw11 = le32_get(bytes + 44);
	ret->cdw12 = le32_get(bytes + 48);
	ret->cdw13 = le32_get(bytes + 52);
	ret->cdw14 = le32_get(bytes + 56);
	ret->cdw15 = le32_get(bytes + 60);
}

void nvme_cqe_encode(const struct nvme_cqe *cqe, uint8_t ret_bytes[NVME_CQE_BYTES])
{
	le64_put(ret_bytes, cqe->result);
	le16_put(ret_bytes + 8, cqe->sqhd);
	le16_put(ret_bytes + 10, cqe->sqid);
	le16_put(ret_bytes + 12, cqe->cid);
	le16_put(ret_bytes + 14, (uint16_t)(cqe->status << 1));
}

void nvme_cqe_decode(const uint8_t bytes[NVME_CQE_BYTES], struct nvme_cqe *ret)
{
	ret->result = le64_get(bytes);
	ret->sqhd = le16_get(bytes + 8);
	ret->sqid = le16_get(bytes + 10);
	ret->cid = le16_get(bytes + 12);
	ret->status = le16_get(bytes + 14) >> 1;
}
