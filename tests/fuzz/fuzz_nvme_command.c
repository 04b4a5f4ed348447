// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_nvme_command - any 64 bytes as a command, any bytes as its data, through all decoders
 * of commands: refused with a status that exists, or understood, and then the same after it
 * was encoded anew (W1, W2 of wire/nvme.h).
 *
 *	input:	command (64 bytes), data
 */
#include <string.h>

#include "base/must.h"
#include "fuzz.h"
#include "wire/nvme_fabrics.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_io.h"
#include "wire/nvme_log.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_sgl.h"
#include "wire/nvme_status.h"

/* True: understood. */
static bool good(uint16_t status)
{
	must(*nvme_status_text(status));
	must(status == NVME_SUCCESS || nvme_status_to_error(status) < 0);
	return status == NVME_SUCCESS;
}

static void try_sgl(const struct nvme_sqe *sqe, uint32_t capsule_bytes)
{
	struct nvme_sqe again = *sqe;
	struct nvme_sgl sgl, back;

	if (!good(nvme_sgl_decode(sqe, capsule_bytes, &sgl)))
		return;
	must(!sgl.in_capsule || (uint64_t)sgl.offset + sgl.length <= capsule_bytes);
	nvme_sgl_encode(&sgl, &again);
	must(good(nvme_sgl_decode(&again, capsule_bytes, &back)));
	must(back.in_capsule == sgl.in_capsule && back.offset == sgl.offset &&
	     back.length == sgl.length);
}

static void try_rw(const struct nvme_sqe *sqe)
{
	uint64_t nsze = (uint64_t)sqe->cdw15 << 32 | sqe->cdw14;
	struct nvme_sqe again = { .opcode = sqe->opcode };
	struct nvme_rw rw, back;

	if (!good(nvme_rw_decode(sqe, nsze, &rw)))
		return;
	must(rw.blocks >= 1 && rw.blocks <= NVME_RW_BLOCKS_MAX);
	must(rw.lba < nsze && rw.blocks <= nsze - rw.lba);
	nvme_rw_encode(&rw, &again);
	must(good(nvme_rw_decode(&again, nsze, &back)));
	must(back.lba == rw.lba && back.blocks == rw.blocks && back.flags == rw.flags &&
	     back.prinfo == rw.prinfo);
}

static void try_dsm(const struct nvme_sqe *sqe, const uint8_t *data, size_t size)
{
	uint8_t bytes[NVME_DSM_RANGE_BYTES];
	struct nvme_dsm_range range, back;

	for (unsigned i = 0; i < nvme_dsm_ranges(sqe); i++) {
		if (!good(nvme_dsm_range_decode(data, size, i, sqe->nsid, &range)))
			continue;
		must(range.lba <= sqe->nsid && range.blocks <= sqe->nsid - range.lba);
		nvme_dsm_range_encode(&range, bytes);
		must(good(nvme_dsm_range_decode(bytes, sizeof(bytes), 0, sqe->nsid, &back)));
		must(back.lba == range.lba && back.blocks == range.blocks);
	}
}

static void try_resv(const struct nvme_sqe *sqe, const uint8_t *data, size_t size)
{
	struct nvme_sqe again = { .opcode = sqe->opcode };
	struct nvme_resv_cmd cmd, back;
	uint8_t bytes[16];

	if (!good(nvme_resv_decode(sqe, data, size, &cmd)))
		return;
	nvme_resv_encode(&cmd, &again, bytes);
	must(good(nvme_resv_decode(&again, bytes, nvme_resv_data_bytes(sqe->opcode), &back)));
	must(back.action == cmd.action && back.iekey == cmd.iekey && back.type == cmd.type);
	must(back.cptpl == cmd.cptpl && back.key == cmd.key && back.new_key == cmd.new_key);
}

static void try_connect(const struct nvme_sqe *sqe, const uint8_t *data, size_t size)
{
	uint8_t bytes[NVME_CONNECT_DATA_BYTES], again_bytes[NVME_CONNECT_DATA_BYTES];
	struct nvme_connect connect, connect_back;
	struct nvme_sqe again = { 0 };
	uint32_t bad;

	if (!good(nvme_connect_decode(sqe, data, size, &connect, &bad)))
		return;
	nvme_connect_encode(&connect, &again, bytes);
	must(good(nvme_connect_decode(&again, bytes, sizeof(bytes), &connect_back, &bad)));
	nvme_connect_encode(&connect_back, &again, again_bytes);
	must(memcmp(bytes, again_bytes, sizeof(bytes)) == 0);
}

static void try_fabrics(const struct nvme_sqe *sqe, const uint8_t *data, size_t size)
{
	uint8_t filled[NVME_CONNECT_DATA_BYTES] = { 0 };
	struct nvme_property property, property_back;
	struct nvme_sqe again = { 0 };

	(void)good(nvme_disconnect_decode(sqe));
	if (good(nvme_property_decode(sqe, &property))) {
		nvme_property_encode(&property, NVME_FABRICS_PROPERTY_SET, &again);
		must(good(nvme_property_decode(&again, &property_back)));
		must(property_back.value == property.value);
	}
	try_connect(sqe, data, size);
	memcpy(filled, data, min_size(size, sizeof(filled)));
	try_connect(sqe, filled, sizeof(filled));
}

static void try_admin(const struct nvme_sqe *sqe)
{
	struct nvme_identify identify = nvme_identify_decode(sqe), identify_back;
	struct nvme_sqe again = { .opcode = sqe->opcode };
	struct nvme_feature feature, feature_back;
	struct nvme_get_log log, log_back;
	uint32_t submission, completion;
	uint16_t event;
	uint8_t lid;

	nvme_identify_encode(&identify, &again);
	identify_back = nvme_identify_decode(&again);
	must(identify_back.cns == identify.cns && identify_back.csi == identify.csi &&
	     identify_back.cntid == identify.cntid);
	if (good(nvme_get_log_decode(sqe, &log))) {
		must(log.length >= 4 && log.length % 4 == 0);
		nvme_get_log_encode(&log, &again);
		must(good(nvme_get_log_decode(&again, &log_back)));
		must(log_back.length == log.length && log_back.offset == log.offset);
	}
	again.opcode = sqe->opcode;
	if (good(nvme_feature_decode(sqe, &feature))) {
		nvme_feature_encode(&feature, &again);
		must(good(nvme_feature_decode(&again, &feature_back)));
		must(feature_back.fid == feature.fid && feature_back.select == feature.select &&
		     feature_back.value == feature.value);
	}
	if (good(nvme_queues_decode(sqe->cdw11, &submission, &completion)))
		must(nvme_queues_encode(submission, completion) == sqe->cdw11);
	nvme_event_decode(sqe->cdw10, &event, &lid);
	must(nvme_event_encode(event, lid) == (sqe->cdw10 & 0xffff07));
}

static void try_registers(const struct nvme_sqe *sqe)
{
	struct nvme_cap cap = nvme_cap_decode(sqe->mptr);
	struct nvme_cc cc = nvme_cc_decode(sqe->cdw2);
	uint64_t cap_value = nvme_cap_encode(&cap);
	uint32_t cc_value = nvme_cc_encode(&cc);

	must((cap_value & ~sqe->mptr) == 0 && (cc_value & ~sqe->cdw2) == 0);
	cap = nvme_cap_decode(cap_value);
	cc = nvme_cc_decode(cc_value);
	must(nvme_cap_encode(&cap) == cap_value && nvme_cc_encode(&cc) == cc_value);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	uint8_t again[NVME_SQE_BYTES];
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	if (size < NVME_SQE_BYTES)
		return 0;
	nvme_sqe_decode(data, &sqe);
	nvme_sqe_encode(&sqe, again);
	must(memcmp(again, data, sizeof(again)) == 0);
	nvme_cqe_decode(data, &cqe);
	nvme_cqe_encode(&cqe, again);
	must(memcmp(again, data, 14) == 0 && again[14] == (data[14] & 0xfe));
	data += NVME_SQE_BYTES;
	size -= NVME_SQE_BYTES;
	try_sgl(&sqe, (uint32_t)size);
	try_rw(&sqe);
	try_dsm(&sqe, data, size);
	try_resv(&sqe, data, size);
	try_fabrics(&sqe, data, size);
	try_admin(&sqe);
	try_registers(&sqe);
	return 0;
}
