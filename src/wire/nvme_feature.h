/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_feature - Get and Set Features, Abort, and asynchronous events (Base 2.0, sections 5.1,
 * 5.2, 5.15, 5.27).
 */
#ifndef WIRE_NVME_FEATURE_H
#define WIRE_NVME_FEATURE_H

#include "wire/nvme.h"

enum nvme_fid {
	NVME_FID_ARBITRATION = 0x01,
	NVME_FID_POWER = 0x02,
	NVME_FID_LBA_RANGE = 0x03,
	NVME_FID_TEMPERATURE = 0x04,
	NVME_FID_ERROR_RECOVERY = 0x05,
	NVME_FID_VOLATILE_CACHE = 0x06, /* bit 0: enabled */
	NVME_FID_QUEUES = 0x07,
	NVME_FID_COALESCING = 0x08,
	NVME_FID_VECTOR = 0x09,
	NVME_FID_WRITE_ATOMICITY = 0x0a, /* bit 0: disable normal */
	NVME_FID_ASYNC_EVENT = 0x0b,	 /* enum nvme_async_config */
	NVME_FID_AUTO_POWER = 0x0c,
	NVME_FID_HOST_MEMORY = 0x0d,
	NVME_FID_TIMESTAMP = 0x0e,
	NVME_FID_KEEP_ALIVE = 0x0f, /* ms */
	NVME_FID_HOST_BEHAVIOR = 0x16,
	NVME_FID_SANITIZE = 0x17,
	NVME_FID_COMMAND_SET = 0x19,
	NVME_FID_HOST_ID = 0x81,
	NVME_FID_RESV_MASK = 0x82,    /* enum nvme_resv_mask */
	NVME_FID_RESV_PERSIST = 0x83, /* bit 0: PTPL */
	NVME_FID_WRITE_PROTECT = 0x84,
};

/* Which value Get Features is asked for. */
enum nvme_feature_select {
	NVME_SELECT_CURRENT = 0,
	NVME_SELECT_DEFAULT = 1,
	NVME_SELECT_SAVED = 2,
	NVME_SELECT_CAPABILITIES = 3, /* enum nvme_feature_cap */
};

enum nvme_feature_cap {
	NVME_FEATURE_SAVEABLE = 1 << 0,
	NVME_FEATURE_PER_NS = 1 << 1,
	NVME_FEATURE_CHANGEABLE = 1 << 2,
};

/* Dword 10: FID (7:0), select (10:8; get), save (31; set). Dword 11: the value. */
struct nvme_feature {
	uint8_t fid;
	uint8_t select;
	bool save;
	uint32_t value;
};

/* Of Get and Set Features; NVMe status: Invalid Field for a reserved select. */
MUST_USE uint16_t nvme_feature_decode(const struct nvme_sqe *sqe, struct nvme_feature *ret);
/* sqe->opcode is set already. */
void nvme_feature_encode(const struct nvme_feature *feature, struct nvme_sqe *ret_sqe);

/*
 * Number of queues: submission (15:0), completion (31:16), each less one; what is asked for in
 * the value, what was given in the result. NVMe status: Invalid Field for 65536 of them.
 */
MUST_USE uint16_t nvme_queues_decode(uint32_t value, uint32_t *ret_submission,
				     uint32_t *ret_completion);
/* 1 to 65535 of each. */
uint32_t nvme_queues_encode(uint32_t submission, uint32_t completion);

enum nvme_async_config {
	NVME_AEC_SMART_MASK = 0xff,
	NVME_AEC_NS_ATTRIBUTE = 1 << 8,
	NVME_AEC_FIRMWARE = 1 << 9,
	NVME_AEC_TELEMETRY = 1 << 10,
	NVME_AEC_ANA = 1 << 11,
	NVME_AEC_DISCOVERY = (int)(1u << 31),
};

enum nvme_resv_mask {
	NVME_RESV_MASK_PREEMPTED = 1 << 1, /* registration preempted */
	NVME_RESV_MASK_RELEASED = 1 << 2,
	NVME_RESV_MASK_RESV_PREEMPTED = 1 << 3,
};

/* Timestamp, 8 bytes: ms since 1970 (47:0), synch (48), origin (51:49). */
#define NVME_TIMESTAMP_BYTES 8u

struct nvme_timestamp {
	uint64_t ms;
	bool was_stopped; /* the controller's clock did not run all the time */
	bool set_by_host;
};

void nvme_timestamp_encode(const struct nvme_timestamp *stamp, uint8_t ret[NVME_TIMESTAMP_BYTES]);
MUST_USE int nvme_timestamp_decode(const uint8_t *data, size_t size, struct nvme_timestamp *ret);

/* Host identifier: 8 or, with bit 0 of the value (EXHID), 16 bytes; over fabrics always 16. */
static inline bool nvme_host_id_extended(uint32_t value)
{
	return value & 1;
}

/* Host behavior support, 512 bytes: byte 0 advanced command retry, byte 2 extended LBA formats. */
#define NVME_HOST_BEHAVIOR_BYTES 512u

struct nvme_host_behavior {
	bool command_retry; /* delays (CRD) are obeyed */
	bool extended_lbaf;
};

void nvme_host_behavior_encode(const struct nvme_host_behavior *behavior,
			       uint8_t ret[NVME_HOST_BEHAVIOR_BYTES]);
MUST_USE int nvme_host_behavior_decode(const uint8_t *data, size_t size,
				       struct nvme_host_behavior *ret);

/* Abort: dword 10: queue (15:0), command (31:16). Result: bit 0 set if it was not aborted. */
static inline uint16_t nvme_abort_sqid(const struct nvme_sqe *sqe)
{
	return (uint16_t)sqe->cdw10;
}

static inline uint16_t nvme_abort_cid(const struct nvme_sqe *sqe)
{
	return (uint16_t)(sqe->cdw10 >> 16);
}

#define NVME_ABORT_NOT_DONE 1u

/* Asynchronous event: dword 0 of the completion: type (2:0), what (15:8), its log page (23:16). */
enum nvme_event_type {
	NVME_EVENT_ERROR = 0,
	NVME_EVENT_SMART = 1,
	NVME_EVENT_NOTICE = 2,
	NVME_EVENT_IMMEDIATE = 3,
	NVME_EVENT_IO = 6,
	NVME_EVENT_VENDOR = 7,
};

/* Type and what, in one number: type << 8 | what. */
enum nvme_event {
	NVME_EVENT_NS_ATTRIBUTE = NVME_EVENT_NOTICE << 8 | 0x00,
	NVME_EVENT_FIRMWARE = NVME_EVENT_NOTICE << 8 | 0x01,
	NVME_EVENT_TELEMETRY = NVME_EVENT_NOTICE << 8 | 0x02,
	NVME_EVENT_ANA = NVME_EVENT_NOTICE << 8 | 0x03,
	NVME_EVENT_DISCOVERY = NVME_EVENT_NOTICE << 8 | 0xf0,
	NVME_EVENT_RESERVATION = NVME_EVENT_IO << 8 | 0x00,
};

static inline uint32_t nvme_event_encode(uint16_t event, uint8_t lid)
{
	return (uint32_t)(event >> 8 & 7) | (uint32_t)(event & 0xff) << 8 | (uint32_t)lid << 16;
}

/* *ret_event: type << 8 | what. */
static inline void nvme_event_decode(uint32_t result, uint16_t *ret_event, uint8_t *ret_lid)
{
	*ret_event = (uint16_t)((result & 7) << 8 | (result >> 8 & 0xff));
	*ret_lid = (uint8_t)(result >> 16);
}

#endif
