/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_log - Get Log Page and its pages (Base 2.0, section 5.16). The tables of fields are in
 * nvme_log.c; the discovery log page is nvme_discovery.h, that of changed namespaces a list of
 * nvme_list.h.
 */
#ifndef WIRE_NVME_LOG_H
#define WIRE_NVME_LOG_H

#include "base/cursor.h"
#include "wire/nvme.h"

enum nvme_lid {
	NVME_LID_SUPPORTED = 0x00,
	NVME_LID_ERROR = 0x01,
	NVME_LID_SMART = 0x02,
	NVME_LID_FIRMWARE = 0x03,
	NVME_LID_CHANGED_NS = 0x04,
	NVME_LID_EFFECTS = 0x05,
	NVME_LID_SELF_TEST = 0x06,
	NVME_LID_TELEMETRY_HOST = 0x07,
	NVME_LID_TELEMETRY_CTRL = 0x08,
	NVME_LID_ENDURANCE_GROUP = 0x09,
	NVME_LID_LATENCY_NVM_SET = 0x0a,
	NVME_LID_LATENCY_EVENTS = 0x0b,
	NVME_LID_ANA = 0x0c,
	NVME_LID_PERSISTENT_EVENT = 0x0d,
	NVME_LID_LBA_STATUS = 0x0e,
	NVME_LID_ENDURANCE_EVENTS = 0x0f,
	NVME_LID_FEATURES = 0x12,
	NVME_LID_DISCOVERY = 0x70,
	NVME_LID_RESERVATION = 0x80,
	NVME_LID_SANITIZE = 0x81,
};

/*
 *	DWORD BITS  FIELD
 *	10    7:0   page (LID)
 *	      14:8  specific to it (LSP)
 *	      15    retain asynchronous event (RAE)
 *	      31:16 dwords wanted less one, low half (NUMDL)
 *	11    15:0  high half (NUMDU)
 *	      31:16 specific identifier (LSI)
 *	12,13 63:0  offset; bytes, or an index if OT
 *	14    6:0   UUID index
 *	      23    offset is an index (OT)
 *	      31:24 command set (CSI)
 */
struct nvme_get_log {
	uint8_t lid;
	uint8_t lsp;
	bool retain;
	uint16_t lsi;
	uint64_t length; /* bytes, 4 to 16 GiB */
	uint64_t offset;
	bool offset_is_index;
	uint8_t uuid_index;
	uint8_t csi;
};

#define NVME_LSP_ANA_GROUPS_ONLY 1u

/* NVMe status: Invalid Field for an offset in bytes that is not of dwords. */
MUST_USE uint16_t nvme_get_log_decode(const struct nvme_sqe *sqe, struct nvme_get_log *ret);
/* Sets opcode and dwords 10 to 14. length: of dwords, 4 to 16 GiB. */
void nvme_get_log_encode(const struct nvme_get_log *log, struct nvme_sqe *ret_sqe);

/* Supported log pages (00h) and features (12h): 4 bytes for each identifier. */
#define NVME_SUPPORTED_BYTES 1024u

enum nvme_supported {
	NVME_SUPPORTED = 1 << 0,	     /* LSUPP, FSUPP */
	NVME_SUPPORTED_CHANGES_NS = 1 << 1,  /* of a feature: UDCC (data change) */
	NVME_SUPPORTED_SCOPE_NS = 1 << 20,   /* of a feature: per namespace, */
	NVME_SUPPORTED_SCOPE_CTRL = 1 << 21, /* or per controller */
};

void nvme_supported_put(uint8_t page[NVME_SUPPORTED_BYTES], uint8_t id, uint32_t flags);
/* 0 also beyond the data. */
uint32_t nvme_supported_get(const uint8_t *data, size_t size, uint8_t id);

/* Error information (01h), 64 bytes an entry, newest first. */
#define NVME_ERROR_ENTRY_BYTES 64u

struct nvme_error_entry {
	uint64_t count; /* 0: no entry */
	uint16_t sqid;
	uint16_t cid;
	uint16_t status;
	uint16_t at; /* byte (7:0) and bit (10:8) of the command; FFFFh: not one field */
	uint64_t lba;
	uint32_t nsid;
	uint8_t trtype;
	uint64_t specific;
};

void nvme_error_entry_encode(const struct nvme_error_entry *entry,
			     uint8_t ret[NVME_ERROR_ENTRY_BYTES]);
MUST_USE int nvme_error_entry_decode(const uint8_t *data, size_t size, size_t i,
				     struct nvme_error_entry *ret);

/* SMART, health (02h). 16-byte counters are kept in 64 bits. */
#define NVME_SMART_BYTES 512u

struct nvme_smart {
	uint8_t critical_warning;
	uint16_t temperature; /* kelvin */
	uint8_t spare_percent;
	uint8_t spare_threshold;
	uint8_t used_percent;
	uint8_t group_warning;
	uint64_t data_read; /* in 1000 x 512 bytes */
	uint64_t data_written;
	uint64_t host_reads;
	uint64_t host_writes;
	uint64_t busy_minutes;
	uint64_t power_cycles;
	uint64_t power_on_hours;
	uint64_t unsafe_shutdowns;
	uint64_t media_errors;
	uint64_t error_entries;
};

void nvme_smart_encode(const struct nvme_smart *smart, uint8_t ret[NVME_SMART_BYTES]);
MUST_USE int nvme_smart_decode(const uint8_t *data, size_t size, struct nvme_smart *ret);

/* Firmware slots (03h). */
#define NVME_FIRMWARE_BYTES 512u
#define NVME_FIRMWARE_SLOTS 7u

struct nvme_firmware {
	uint8_t active; /* slot running (2:0), after the next reset (6:4); 1..7 */
	char revision[NVME_FIRMWARE_SLOTS][9];
};

void nvme_firmware_encode(const struct nvme_firmware *firmware, uint8_t ret[NVME_FIRMWARE_BYTES]);
MUST_USE int nvme_firmware_decode(const uint8_t *data, size_t size, struct nvme_firmware *ret);

/* Commands supported and effects (05h): 4 bytes per opcode, admin at 0, I/O at 1024. */
#define NVME_EFFECTS_BYTES 4096u

enum nvme_effects {
	NVME_EFFECT_SUPPORTED = 1 << 0, /* CSUPP */
	NVME_EFFECT_DATA = 1 << 1,	/* LBCC: changes blocks */
	NVME_EFFECT_NS = 1 << 2,	/* NCC: changes a namespace */
	NVME_EFFECT_NS_LIST = 1 << 3,	/* NIC: changes which there are */
	NVME_EFFECT_CTRL = 1 << 4,	/* CCC */
	NVME_EFFECT_ALONE_NS = 1 << 16, /* CSE: no other command to the namespace, */
	NVME_EFFECT_ALONE = 2 << 16,	/* or to any */
};

void nvme_effects_put(uint8_t page[NVME_EFFECTS_BYTES], bool admin, uint8_t opcode,
		      uint32_t effects);
uint32_t nvme_effects_get(const uint8_t *data, size_t size, bool admin, uint8_t opcode);

/*
 * Asymmetric namespace access (0Ch): a header, then a descriptor per group with its namespaces.
 *	OFFSET SIZE FIELD of the header, 16 bytes
 *	0      8    change count
 *	8      2    groups
 *
 *	OFFSET SIZE FIELD of a group, 32 bytes and 4 per namespace
 *	0      4    group
 *	4      4    namespaces
 *	8      8    change count
 *	16     1    state (3:0)
 *	32     4 n  namespaces
 */
enum nvme_ana_state {
	NVME_ANA_OPTIMIZED = 0x1,
	NVME_ANA_NON_OPTIMIZED = 0x2,
	NVME_ANA_STATE_INACCESSIBLE = 0x3,
	NVME_ANA_STATE_PERSISTENT_LOSS = 0x4,
	NVME_ANA_STATE_CHANGE = 0xf,
};

#define NVME_ANA_HEAD_BYTES  16u
#define NVME_ANA_GROUP_BYTES 32u

struct nvme_ana_group {
	uint32_t id;
	uint32_t nsid_count;
	uint64_t change_count;
	uint8_t state;
	const uint8_t *nsids; /* decoded: nsid_count numbers of 4 bytes, borrowed from the data */
};

/* -ENOBUFS: no room. A group's namespaces are put after it by the caller (builder_put_le32). */
MUST_USE int nvme_ana_head_put(struct builder *builder, uint64_t change_count, uint16_t groups);
MUST_USE int nvme_ana_group_put(struct builder *builder, const struct nvme_ana_group *group);
/* -EBADMSG: cut; for a group also a reserved state. */
MUST_USE int nvme_ana_head_get(struct cursor *cursor, uint64_t *ret_change_count,
			       uint16_t *ret_groups);
MUST_USE int nvme_ana_group_get(struct cursor *cursor, struct nvme_ana_group *ret);

/* Reservation notification (80h). */
#define NVME_RESV_LOG_BYTES 64u

enum nvme_resv_event {
	NVME_RESV_EVENT_NONE = 0, /* an empty page */
	NVME_RESV_EVENT_PREEMPTED = 1,
	NVME_RESV_EVENT_RELEASED = 2,
	NVME_RESV_EVENT_RESV_PREEMPTED = 3,
};

struct nvme_resv_log {
	uint64_t count; /* of pages so far; 0: empty */
	uint8_t event;
	uint8_t more; /* pages waiting */
	uint32_t nsid;
};

void nvme_resv_log_encode(const struct nvme_resv_log *log, uint8_t ret[NVME_RESV_LOG_BYTES]);
MUST_USE int nvme_resv_log_decode(const uint8_t *data, size_t size, struct nvme_resv_log *ret);

#endif
