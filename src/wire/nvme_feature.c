// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_feature - Get and Set Features, and asynchronous events. The layouts stand in
 * nvme_feature.h.
 */
#include <errno.h>

#include "base/le.h"
#include "base/must.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_status.h"

#define QUEUES_MAX 65535u

uint16_t nvme_feature_decode(const struct nvme_sqe *sqe, struct nvme_feature *ret)
{
	bool get = sqe->opcode == NVME_ADMIN_GET_FEATURES;
	struct nvme_feature feature = {
		.fid = (uint8_t)sqe->cdw10,
		.select = get ? sqe->cdw10 >> 8 & 7 : 0,
		.save = !get && sqe->cdw10 >> 31,
		.value = sqe->cdw11,
	};

	if (feature.select > NVME_SELECT_CAPABILITIES)
		return NVME_INVALID_FIELD | NVME_DNR;
	*ret = feature;
	return NVME_SUCCESS;
}

void nvme_feature_encode(const struct nvme_feature *feature, struct nvme_sqe *ret_sqe)
{
	ret_sqe->cdw10 = feature->fid;
	if (ret_sqe->opcode == NVME_ADMIN_GET_FEATURES)
		ret_sqe->cdw10 |= (feature->select & 7u) << 8;
	else
		ret_sqe->cdw10 |= (uint32_t)feature->save << 31;
	ret_sqe->cdw11 = feature->value;
}

uint16_t nvme_queues_decode(uint32_t value, uint32_t *ret_submission, uint32_t *ret_completion)
{
	uint32_t submission = (value & 0xffff) + 1, completion = (value >> 16) + 1;

	if (submission > QUEUES_MAX || completion > QUEUES_MAX)
		return NVME_INVALID_FIELD | NVME_DNR;
	*ret_submission = submission;
	*ret_completion = completion;
	return NVME_SUCCESS;
}

uint32_t nvme_queues_encode(uint32_t submission, uint32_t completion)
{
	must(submission >= 1 && submission <= QUEUES_MAX);
	must(completion >= 1 && completion <= QUEUES_MAX);
	return (submission - 1) | (completion - 1) << 16;
}

void nvme_timestamp_encode(const struct nvme_timestamp *stamp, uint8_t ret[NVME_TIMESTAMP_BYTES])
{
	le64_put(ret, (stamp->ms & ((UINT64_C(1) << 48) - 1)) | (uint64_t)stamp->was_stopped << 48 |
			      (uint64_t)stamp->set_by_host << 49);
}

int nvme_timestamp_decode(const uint8_t *data, size_t size, struct nvme_timestamp *ret)
{
	uint64_t value;

	if (size < NVME_TIMESTAMP_BYTES)
		return -EBADMSG;
	value = le64_get(data);
	*ret = (struct nvme_timestamp){
		.ms = value & ((UINT64_C(1) << 48) - 1),
		.was_stopped = value >> 48 & 1,
		.set_by_host = (value >> 49 & 7) == 1,
	};
	return 0;
}

void nvme_host_behavior_encode(const struct nvme_host_behavior *behavior,
			       uint8_t ret[NVME_HOST_BEHAVIOR_BYTES])
{
	memset(ret, 0, NVME_HOST_BEHAVIOR_BYTES);
	ret[0] = behavior->command_retry;
	ret[2] = behavior->extended_lbaf;
}

int nvme_host_behavior_decode(const uint8_t *data, size_t size, struct nvme_host_behavior *ret)
{
	if (size < NVME_HOST_BEHAVIOR_BYTES)
		return -EBADMSG;
	*ret = (struct nvme_host_behavior){
		.command_retry = data[0] == 1,
		.extended_lbaf = data[2] == 1,
	};
	return 0;
}
