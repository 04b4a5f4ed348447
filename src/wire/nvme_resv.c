// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_resv - reservations: commands and their data. The layouts stand in nvme_resv.h.
 */
#include <errno.h>

#include "base/le.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_status.h"

size_t nvme_resv_data_bytes(uint8_t opcode)
{
	switch (opcode) {
	case NVME_IO_RESV_REGISTER:
		return NVME_RESV_REGISTER_BYTES;
	case NVME_IO_RESV_ACQUIRE:
		return NVME_RESV_ACQUIRE_BYTES;
	case NVME_IO_RESV_RELEASE:
		return NVME_RESV_RELEASE_BYTES;
	default:
		return 0;
	}
}

/* Are action, type and CPTPL what the command may have? */
static bool resv_fields_good(uint8_t opcode, const struct nvme_resv_cmd *cmd)
{
	switch (opcode) {
	case NVME_IO_RESV_REGISTER:
		return cmd->action <= NVME_RESV_REPLACE && cmd->cptpl != 1;
	case NVME_IO_RESV_ACQUIRE:
		return cmd->action <= NVME_RESV_PREEMPT_ABORT && cmd->type != NVME_RESV_NONE &&
		       cmd->type <= NVME_RESV_EXCLUSIVE_ACCESS_ALL;
	default:
		/* the type means nothing to a clear */
		return cmd->action == NVME_RESV_CLEAR ||
		       (cmd->action == NVME_RESV_RELEASE && cmd->type != NVME_RESV_NONE &&
			cmd->type <= NVME_RESV_EXCLUSIVE_ACCESS_ALL);
	}
}

uint16_t nvme_resv_decode(const struct nvme_sqe *sqe, const uint8_t *data, size_t size,
			  struct nvme_resv_cmd *ret)
{
	bool registers = sqe->opcode == NVME_IO_RESV_REGISTER;
	size_t wanted = nvme_resv_data_bytes(sqe->opcode);
	struct nvme_resv_cmd cmd = {
		.action = sqe->cdw10 & 7,
		.iekey = sqe->cdw10 & 8,
		.type = registers ? 0 : (uint8_t)(sqe->cdw10 >> 8),
		.cptpl = registers ? (uint8_t)(sqe->cdw10 >> 30) : 0,
	};

	if (!wanted)
		return NVME_INVALID_OPCODE | NVME_DNR;
	if (!resv_fields_good(sqe->opcode, &cmd))
		return NVME_INVALID_FIELD | NVME_DNR;
	if (size < wanted)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	cmd.key = le64_get(data);
	if (wanted == NVME_RESV_REGISTER_BYTES)
		cmd.new_key = le64_get(data + 8);
	*ret = cmd;
	return NVME_SUCCESS;
}

void nvme_resv_encode(const struct nvme_resv_cmd *cmd, struct nvme_sqe *ret_sqe, uint8_t *ret_data)
{
	ret_sqe->cdw10 = (cmd->action & 7u) | (uint32_t)cmd->iekey << 3;
	if (ret_sqe->opcode == NVME_IO_RESV_REGISTER)
		ret_sqe->cdw10 |= (uint32_t)cmd->cptpl << 30;
	else
		ret_sqe->cdw10 |= (uint32_t)cmd->type << 8;
	le64_put(ret_data, cmd->key);
	if (nvme_resv_data_bytes(ret_sqe->opcode) == NVME_RESV_REGISTER_BYTES)
		le64_put(ret_data + 8, cmd->new_key);
}

size_t nvme_resv_report_encode(const struct nvme_resv_report *report, bool extended, uint8_t *ret)
{
	size_t bytes = extended ? NVME_RESV_REPORT_EXT_BYTES : NVME_RESV_REPORT_BYTES;

	memset(ret, 0, bytes);
	le32_put(ret, report->generation);
	ret[4] = report->type;
	le16_put(ret + 5, report->registrants);
	ret[9] = report->ptpl;
	return bytes;
}

int nvme_resv_report_decode(const uint8_t *data, size_t size, bool extended,
			    struct nvme_resv_report *ret)
{
	if (size < (extended ? NVME_RESV_REPORT_EXT_BYTES : NVME_RESV_REPORT_BYTES))
		return -EBADMSG;
	*ret = (struct nvme_resv_report){
		.generation = le32_get(data),
		.type = data[4],
		.registrants = le16_get(data + 5),
		.ptpl = data[9] & 1,
	};
	return 0;
}

size_t nvme_resv_host_encode(const struct nvme_resv_host *host, bool extended, uint8_t *ret)
{
	size_t bytes = extended ? NVME_RESV_HOST_EXT_BYTES : NVME_RESV_HOST_BYTES;

	memset(ret, 0, bytes);
	le16_put(ret, host->cntlid);
	ret[2] = host->holder;
	le64_put(ret + (extended ? 8 : 16), host->key);
	memcpy(ret + (extended ? 16 : 8), host->host_id, extended ? 16 : 8);
	return bytes;
}

int nvme_resv_host_decode(const uint8_t *data, size_t size, bool extended, unsigned i,
			  struct nvme_resv_host *ret)
{
	size_t head = extended ? NVME_RESV_REPORT_EXT_BYTES : NVME_RESV_REPORT_BYTES;
	size_t bytes = extended ? NVME_RESV_HOST_EXT_BYTES : NVME_RESV_HOST_BYTES;

	if (size < head || (size - head) / bytes <= i)
		return -EBADMSG;
	data += head + i * bytes;
	*ret = (struct nvme_resv_host){
		.cntlid = le16_get(data),
		.holder = data[2] & 1,
		.key = le64_get(data + (extended ? 8 : 16)),
	};
	memcpy(ret->host_id, data + (extended ? 16 : 8), extended ? 16 : 8);
	return 0;
}
