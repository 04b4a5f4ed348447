// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_feature - Get and Set Features (Base 2.0, sections 5.15, 5.27), one table line each.
 *
 * Nothing is saveable: the saved value is the default. Features of a namespace are those of
 * its reservations; the others are the controller's own.
 */
#include "base/le.h"
#include "nvmf/tgt_page_priv.h"
#include "nvmf/tgt_vendor_priv.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_status.h"

#define BAD	       (NVME_INVALID_FIELD | NVME_DNR)
#define NOT_CHANGEABLE (NVME_FEATURE_NOT_CHANGEABLE | NVME_DNR)

enum feature_kind {
	OF_IO = 1 << 0,	       /* controllers with namespaces have it, */
	OF_DISCOVERY = 1 << 1, /* discovery controllers */
	CHANGES = 1 << 2,
	PER_NS = 1 << 3,
};

struct feature {
	uint8_t fid;
	uint8_t kind;
	uint32_t value; /* default */
	/* A status. NULL get: always the default. Data and result go to cmd. */
	uint16_t (*get)(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret);
	uint16_t (*set)(struct fiber *f, struct tgt_cmd *cmd, uint32_t value);
};

/* ---- of the controller: a number ------------------------------------------------------------ */

static uint16_t arbitration_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	*ret = cmd->ctrl->admin.arbitration;
	return NVME_SUCCESS;
}

static uint16_t arbitration_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	cmd->ctrl->admin.arbitration = value;
	return NVME_SUCCESS;
}

/* One power state. */
static uint16_t power_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	return value & 0x1f ? BAD : NVME_SUCCESS;
}

/* Dword 11: threshold (15:0), which sensor (19:16; 0 composite, Fh all), under (20). */
static bool temperature_select(struct tgt_cmd *cmd, uint32_t value, bool setting, uint16_t **ret)
{
	uint32_t sensor = value >> 16 & 0xf, type = value >> 20 & 3;

	if (type > 1 || (sensor != 0 && !(setting && sensor == 0xf)))
		return false;
	*ret = type ? &cmd->ctrl->admin.kelvin_under : &cmd->ctrl->admin.kelvin_over;
	return true;
}

static uint16_t temperature_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	uint16_t *kelvin;

	if (!temperature_select(cmd, cmd->sqe.cdw11, false, &kelvin))
		return BAD;
	*ret = *kelvin;
	return NVME_SUCCESS;
}

static uint16_t temperature_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	uint16_t *kelvin;

	if (!temperature_select(cmd, value, true, &kelvin))
		return BAD;
	*kelvin = (uint16_t)value;
	return NVME_SUCCESS;
}

static uint16_t error_recovery_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	*ret = cmd->ctrl->admin.error_recovery;
	return NVME_SUCCESS;
}

/* Time limit (15:0) is taken and not heeded; errors for deallocated blocks (16) there are none. */
static uint16_t error_recovery_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	if (value >> 16 & 1)
		return BAD;
	cmd->ctrl->admin.error_recovery = value & 0xffff;
	return NVME_SUCCESS;
}

/* The cache is the disk's: it cannot be switched off from here. */
static uint16_t volatile_cache_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	return value & 1 ? NVME_SUCCESS : NOT_CHANGEABLE;
}

static uint16_t queues_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	uint32_t queues = cmd->ctrl->admin.queues_granted;

	if (!queues)
		queues = TGT_QUEUES_MAX;
	*ret = nvme_queues_encode(queues, queues);
	return NVME_SUCCESS;
}

/* Not once there are queues (section 5.27.1.5). */
static uint16_t queues_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	uint32_t submission, completion, queues;
	uint16_t status = nvme_queues_decode(value, &submission, &completion);

	if (status)
		return status;
	if (cmd->ctrl->io_conn_count)
		return NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR;
	queues = min_u32(min_u32(submission, completion), TGT_QUEUES_MAX);
	cmd->ctrl->admin.queues_granted = (uint16_t)queues;
	cmd->result = nvme_queues_encode(queues, queues);
	return NVME_SUCCESS;
}

static uint16_t write_atomicity_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	*ret = cmd->ctrl->admin.write_atomicity;
	return NVME_SUCCESS;
}

static uint16_t write_atomicity_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	cmd->ctrl->admin.write_atomicity = value & 1;
	return NVME_SUCCESS;
}

static uint16_t async_event_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	*ret = cmd->ctrl->admin.event_config;
	return NVME_SUCCESS;
}

/* Only what identify data offers (OAES), and warnings of health, which never come. */
static uint16_t async_event_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	uint32_t offered = NVME_AEC_SMART_MASK;

	if (cmd->ctrl->subsys->is_discovery)
		offered |= (uint32_t)NVME_AEC_DISCOVERY;
	else
		offered |= NVME_AEC_NS_ATTRIBUTE | NVME_AEC_ANA;
	if (value & ~offered)
		return BAD;
	cmd->ctrl->admin.event_config = value;
	return NVME_SUCCESS;
}

static uint16_t keep_alive_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	*ret = cmd->ctrl->kato_ms;
	return NVME_SUCCESS;
}

static uint16_t keep_alive_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	tgt_ctrl_set_kato(cmd->ctrl, value);
	return NVME_SUCCESS;
}

/* ---- of the controller: data ---------------------------------------------------------------- */

static uint64_t now_ms(const struct tgt_cmd *cmd)
{
	return reactor_now(cmd->ctrl->subsys->tgt->home) / 1000000;
}

/* What the host set, and the time since; else since the controller came to be. */
static uint16_t timestamp_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	const struct tgt_ctrl_admin *admin = &cmd->ctrl->admin;
	struct nvme_timestamp stamp = { .set_by_host = admin->timestamp_is_set };

	if (cmd->data_bytes < NVME_TIMESTAMP_BYTES)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	stamp.ms = (admin->timestamp_ms + now_ms(cmd) - admin->timestamp_at_ms) &
		   UINT64_C(0xffffffffffff);
	nvme_timestamp_encode(&stamp, cmd->data);
	cmd->ret_bytes = NVME_TIMESTAMP_BYTES;
	return NVME_SUCCESS;
}

static uint16_t timestamp_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	struct tgt_ctrl_admin *admin = &cmd->ctrl->admin;
	struct nvme_timestamp stamp;

	if (nvme_timestamp_decode(cmd->data, cmd->data_bytes, &stamp) < 0)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	admin->timestamp_is_set = true;
	admin->timestamp_ms = stamp.ms;
	admin->timestamp_at_ms = now_ms(cmd);
	return NVME_SUCCESS;
}

static uint16_t host_behavior_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	struct nvme_host_behavior behavior = {
		.command_retry = cmd->ctrl->admin.command_retry,
		.extended_lbaf = cmd->ctrl->admin.extended_lbaf,
	};

	if (cmd->data_bytes < NVME_HOST_BEHAVIOR_BYTES)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	nvme_host_behavior_encode(&behavior, cmd->data);
	cmd->ret_bytes = NVME_HOST_BEHAVIOR_BYTES;
	return NVME_SUCCESS;
}

static uint16_t host_behavior_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	struct nvme_host_behavior behavior;

	if (nvme_host_behavior_decode(cmd->data, cmd->data_bytes, &behavior) < 0)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	cmd->ctrl->admin.command_retry = behavior.command_retry;
	cmd->ctrl->admin.extended_lbaf = behavior.extended_lbaf;
	return NVME_SUCCESS;
}

/* It came with Connect, has 16 bytes and does not change (section 5.27.1.25). */
static uint16_t host_id_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	if (!nvme_host_id_extended(cmd->sqe.cdw11))
		return BAD;
	if (cmd->data_bytes < NVME_HOST_ID_BYTES)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	memcpy(cmd->data, cmd->ctrl->host_id.bytes, NVME_HOST_ID_BYTES);
	cmd->ret_bytes = NVME_HOST_ID_BYTES;
	*ret = 1;
	return NVME_SUCCESS;
}

static uint16_t host_id_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	return NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR;
}

/* ---- of a namespace: reservations ----------------------------------------------------------- */

/* NULL: *ret_status says why not. */
static struct tgt_ns *resv_ns(const struct tgt_cmd *cmd, uint32_t nsid, uint16_t *ret_status)
{
	struct tgt_ns *ns = tgt_ns_active(cmd->ctrl->subsys, nsid);

	if (!ns)
		*ret_status = NVME_INVALID_NAMESPACE | NVME_DNR;
	else if (ns->subsys->no_reservations)
		*ret_status = BAD;
	else
		return ns;
	return NULL;
}

static uint16_t resv_mask_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	uint16_t status;

	if (!resv_ns(cmd, cmd->sqe.nsid, &status))
		return status;
	*ret = cmd->ctrl->admin.resv_mask[cmd->sqe.nsid - 1];
	return NVME_SUCCESS;
}

static uint16_t resv_mask_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	uint8_t mask = value & (NVME_RESV_MASK_PREEMPTED | NVME_RESV_MASK_RELEASED |
				NVME_RESV_MASK_RESV_PREEMPTED);
	uint16_t status;

	if (cmd->sqe.nsid == NVME_NSID_ALL) {
		memset(cmd->ctrl->admin.resv_mask, mask, sizeof(cmd->ctrl->admin.resv_mask));
		return NVME_SUCCESS;
	}
	if (!resv_ns(cmd, cmd->sqe.nsid, &status))
		return status;
	cmd->ctrl->admin.resv_mask[cmd->sqe.nsid - 1] = mask;
	return NVME_SUCCESS;
}

static uint16_t resv_persist_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	uint16_t status;
	struct tgt_ns *ns = resv_ns(cmd, cmd->sqe.nsid, &status);

	if (!ns)
		return status;
	*ret = ns->resv.ptpl;
	return NVME_SUCCESS;
}

static uint16_t resv_persist_all(struct fiber *f, struct tgt_cmd *cmd, bool on)
{
	const struct tgt_subsys *subsys = cmd->ctrl->subsys;
	uint16_t status = NVME_SUCCESS;

	for (uint32_t nsid = 1; nsid <= TGT_NAMESPACES_MAX && !status; nsid++) {
		struct tgt_ns *ns = tgt_ns_active(subsys, nsid);

		if (ns && (!on || tgt_resv_can_persist(ns)))
			status = tgt_resv_persist(f, ns, on);
	}
	return status;
}

static uint16_t resv_persist_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	uint16_t status;
	struct tgt_ns *ns;

	if (cmd->sqe.nsid == NVME_NSID_ALL)
		return resv_persist_all(f, cmd, value & 1);
	ns = resv_ns(cmd, cmd->sqe.nsid, &status);
	return ns ? tgt_resv_persist(f, ns, value & 1) : status;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct feature features[] = {
	{ NVME_FID_ARBITRATION, OF_IO | CHANGES, 0, arbitration_get, arbitration_set },
	{ NVME_FID_POWER, OF_IO | CHANGES, 0, NULL, power_set },
	{ NVME_FID_TEMPERATURE, OF_IO | CHANGES, TGT_KELVIN_WARN, temperature_get,
	  temperature_set },
	{ NVME_FID_ERROR_RECOVERY, OF_IO | CHANGES, 0, error_recovery_get, error_recovery_set },
	{ NVME_FID_VOLATILE_CACHE, OF_IO, 1, NULL, volatile_cache_set },
	{ NVME_FID_QUEUES, OF_IO | CHANGES, (TGT_QUEUES_MAX - 1) << 16 | (TGT_QUEUES_MAX - 1),
	  queues_get, queues_set },
	{ NVME_FID_WRITE_ATOMICITY, OF_IO | CHANGES, 0, write_atomicity_get, write_atomicity_set },
	{ NVME_FID_ASYNC_EVENT, OF_IO | OF_DISCOVERY | CHANGES, 0, async_event_get,
	  async_event_set },
	{ NVME_FID_TIMESTAMP, OF_IO | CHANGES, 0, timestamp_get, timestamp_set },
	{ NVME_FID_KEEP_ALIVE, OF_IO | OF_DISCOVERY | CHANGES, 0, keep_alive_get, keep_alive_set },
	{ NVME_FID_HOST_BEHAVIOR, OF_IO | CHANGES, 0, host_behavior_get, host_behavior_set },
	{ NVME_FID_HOST_ID, OF_IO | OF_DISCOVERY, 0, host_id_get, host_id_set },
	{ NVME_FID_RESV_MASK, OF_IO | CHANGES | PER_NS, 0, resv_mask_get, resv_mask_set },
	{ NVME_FID_RESV_PERSIST, OF_IO | CHANGES | PER_NS, 0, resv_persist_get, resv_persist_set },
	{ NVME_VENDOR_FID, OF_IO | CHANGES, 0, tgt_vendor_feature_get, tgt_vendor_feature_set },
};

static const struct feature *feature_find(const struct tgt_subsys *subsys, uint8_t fid)
{
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		const struct feature *feature = &features[i];

		if (feature->fid != fid)
			continue;
		if (fid == NVME_VENDOR_FID && !subsys->vendor)
			return NULL;
		if ((feature->kind & PER_NS) && subsys->no_reservations)
			return NULL;
		return feature->kind & (subsys->is_discovery ? OF_DISCOVERY : OF_IO) ? feature :
										       NULL;
	}
	return NULL;
}

uint32_t tgt_feature_supported(const struct tgt_subsys *subsys, uint8_t fid)
{
	const struct feature *feature = feature_find(subsys, fid);

	if (!feature)
		return 0;
	return NVME_SUPPORTED |
	       (feature->kind & PER_NS ? NVME_SUPPORTED_SCOPE_NS : NVME_SUPPORTED_SCOPE_CTRL);
}

static uint32_t capabilities(const struct feature *feature)
{
	return (feature->kind & PER_NS ? NVME_FEATURE_PER_NS : 0) |
	       (feature->kind & CHANGES ? NVME_FEATURE_CHANGEABLE : 0);
}

uint16_t tgt_feature_get(struct fiber *f, struct tgt_cmd *cmd)
{
	const struct feature *feature;
	struct nvme_feature asked;
	uint32_t value;
	uint16_t status = nvme_feature_decode(&cmd->sqe, &asked);

	cmd->ret_bytes = 0;
	if (status)
		return status;
	feature = feature_find(cmd->ctrl->subsys, asked.fid);
	if (!feature)
		return BAD;
	value = feature->value;
	if (asked.select == NVME_SELECT_CAPABILITIES)
		value = capabilities(feature);
	else if (asked.select == NVME_SELECT_CURRENT && feature->get)
		status = feature->get(f, cmd, &value);
	else if (feature->get && cmd->data_bytes)
		cmd->ret_bytes = cmd->data_bytes; /* defaults of data are zeros */
	cmd->result = value;
	return status;
}

uint16_t tgt_feature_set(struct fiber *f, struct tgt_cmd *cmd)
{
	const struct feature *feature;
	struct nvme_feature asked;
	uint16_t status = nvme_feature_decode(&cmd->sqe, &asked);

	if (status)
		return status;
	feature = feature_find(cmd->ctrl->subsys, asked.fid);
	if (!feature)
		return BAD;
	if (asked.save)
		return NVME_FEATURE_NOT_SAVEABLE | NVME_DNR;
	if (!(feature->kind & PER_NS) && cmd->sqe.nsid != 0 && cmd->sqe.nsid != NVME_NSID_ALL)
		return NVME_FEATURE_NOT_PER_NAMESPACE | NVME_DNR;
	return feature->set(f, cmd, asked.value);
}

void tgt_feature_reset(struct tgt_ctrl_admin *admin)
{
	admin->kelvin_over = TGT_KELVIN_WARN;
	admin->kelvin_under = 0;
}
