// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_log - Get Log Page and its pages. What is not a table here stands in nvme_log.h.
 */
#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "base/must.h"
#include "wire/field.h"
#include "wire/nvme_log.h"
#include "wire/nvme_status.h"

#define E struct nvme_error_entry

/* Section 5.16.1.2. */
static const struct wire_field error_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 8, E, count),	F_LE(8, 2, E, sqid),	  F_LE(10, 2, E, cid),
	F_LE(12, 2, E, status), /* as in a completion: above the phase, see below */
	F_LE(14, 2, E, at),	F_LE(16, 8, E, lba),	  F_LE(24, 4, E, nsid),
	F_LE(29, 1, E, trtype), F_LE(32, 8, E, specific),
};

#undef E
#define S struct nvme_smart

/* Section 5.16.1.3. */
static const struct wire_field smart_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 1, S, critical_warning),  F_LE(1, 2, S, temperature),
	F_LE(3, 1, S, spare_percent),	  F_LE(4, 1, S, spare_threshold),
	F_LE(5, 1, S, used_percent),	  F_LE(6, 1, S, group_warning),
	F_LE(32, 16, S, data_read),	  F_LE(48, 16, S, data_written),
	F_LE(64, 16, S, host_reads),	  F_LE(80, 16, S, host_writes),
	F_LE(96, 16, S, busy_minutes),	  F_LE(112, 16, S, power_cycles),
	F_LE(128, 16, S, power_on_hours), F_LE(144, 16, S, unsafe_shutdowns),
	F_LE(160, 16, S, media_errors),	  F_LE(176, 16, S, error_entries),
};

#undef S
#define W struct nvme_firmware

/* Section 5.16.1.4. */
static const struct wire_field firmware_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 1, W, active),	       F_TEXT(8, 8, W, revision[0]),  F_TEXT(16, 8, W, revision[1]),
	F_TEXT(24, 8, W, revision[2]), F_TEXT(32, 8, W, revision[3]), F_TEXT(40, 8, W, revision[4]),
	F_TEXT(48, 8, W, revision[5]), F_TEXT(56, 8, W, revision[6]),
};

#undef W
#define R struct nvme_resv_log

/* Section 5.16.1.20. */
static const struct wire_field resv_log_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 8, R, count),
	F_LE(8, 1, R, event),
	F_LE(9, 1, R, more),
	F_LE(12, 4, R, nsid),
};

#undef R

uint16_t nvme_get_log_decode(const struct nvme_sqe *sqe, struct nvme_get_log *ret)
{
	struct nvme_get_log log = {
		.lid = (uint8_t)sqe->cdw10,
		.lsp = sqe->cdw10 >> 8 & 0x7f,
		.retain = sqe->cdw10 >> 15 & 1,
		.lsi = (uint16_t)(sqe->cdw11 >> 16),
		.length = (((uint64_t)(sqe->cdw11 & 0xffff) << 16 | sqe->cdw10 >> 16) + 1) * 4,
		.offset = (uint64_t)sqe->cdw13 << 32 | sqe->cdw12,
		.offset_is_index = sqe->cdw14 >> 23 & 1,
		.uuid_index = sqe->cdw14 & 0x7f,
		.csi = (uint8_t)(sqe->cdw14 >> 24),
	};

	if (!log.offset_is_index && log.offset % 4)
		return NVME_INVALID_FIELD | NVME_DNR;
	*ret = log;
	return NVME_SUCCESS;
}

void nvme_get_log_encode(const struct nvme_get_log *log, struct nvme_sqe *ret_sqe)
{
	uint32_t numd = (uint32_t)(log->length / 4 - 1);

	must(log->length >= 4 && log->length % 4 == 0 && log->length / 4 <= UINT64_C(1) << 32);
	ret_sqe->opcode = NVME_ADMIN_GET_LOG_PAGE;
	ret_sqe->cdw10 = log->lid | (log->lsp & 0x7fu) << 8 | (uint32_t)log->retain << 15 |
			 numd << 16;
	ret_sqe->cdw11 = numd >> 16 | (uint32_t)log->lsi << 16;
	ret_sqe->cdw12 = (uint32_t)log->offset;
	ret_sqe->cdw13 = (uint32_t)(log->offset >> 32);
	ret_sqe->cdw14 = (log->uuid_index & 0x7fu) | (uint32_t)log->offset_is_index << 23 |
			 (uint32_t)log->csi << 24;
}

void nvme_supported_put(uint8_t page[NVME_SUPPORTED_BYTES], uint8_t id, uint32_t flags)
{
	le32_put(page + 4 * id, flags);
}

uint32_t nvme_supported_get(const uint8_t *data, size_t size, uint8_t id)
{
	return size / 4 > id ? le32_get(data + 4 * id) : 0;
}

void nvme_error_entry_encode(const struct nvme_error_entry *entry,
			     uint8_t ret[NVME_ERROR_ENTRY_BYTES])
{
	memset(ret, 0, NVME_ERROR_ENTRY_BYTES);
	wire_encode(error_fields, ARRAY_LEN(error_fields), entry, ret);
	le16_put(ret + 12, (uint16_t)(entry->status << 1));
}

int nvme_error_entry_decode(const uint8_t *data, size_t size, size_t i,
			    struct nvme_error_entry *ret)
{
	if (size / NVME_ERROR_ENTRY_BYTES <= i)
		return -EBADMSG;
	TRY(wire_decode(error_fields, ARRAY_LEN(error_fields), data + i * NVME_ERROR_ENTRY_BYTES,
			ret));
	ret->status >>= 1;
	return 0;
}

void nvme_smart_encode(const struct nvme_smart *smart, uint8_t ret[NVME_SMART_BYTES])
{
	memset(ret, 0, NVME_SMART_BYTES);
	wire_encode(smart_fields, ARRAY_LEN(smart_fields), smart, ret);
}

int nvme_smart_decode(const uint8_t *data, size_t size, struct nvme_smart *ret)
{
	if (size < NVME_SMART_BYTES)
		return -EBADMSG;
	return wire_decode(smart_fields, ARRAY_LEN(smart_fields), data, ret);
}

void nvme_firmware_encode(const struct nvme_firmware *firmware, uint8_t ret[NVME_FIRMWARE_BYTES])
{
	memset(ret, 0, NVME_FIRMWARE_BYTES);
	wire_encode(firmware_fields, ARRAY_LEN(firmware_fields), firmware, ret);
	for (unsigned i = 0; i < NVME_FIRMWARE_SLOTS; i++)
		if (!firmware->revision[i][0]) /* a slot without firmware is zeros */
			memset(ret + 8 + 8 * i, 0, 8);
}

int nvme_firmware_decode(const uint8_t *data, size_t size, struct nvme_firmware *ret)
{
	if (size < NVME_FIRMWARE_BYTES)
		return -EBADMSG;
	return wire_decode(firmware_fields, ARRAY_LEN(firmware_fields), data, ret);
}

void nvme_effects_put(uint8_t page[NVME_EFFECTS_BYTES], bool admin, uint8_t opcode,
		      uint32_t effects)
{
	le32_put(page + (admin ? 0 : 1024) + 4 * opcode, effects);
}

uint32_t nvme_effects_get(const uint8_t *data, size_t size, bool admin, uint8_t opcode)
{
	size_t at = (admin ? 0 : 1024) + 4 * (size_t)opcode;

	return size >= at + 4 ? le32_get(data + at) : 0;
}

int nvme_ana_head_put(struct builder *builder, uint64_t change_count, uint16_t groups)
{
	uint8_t *to;

	TRY(builder_reserve(builder, &to, NVME_ANA_HEAD_BYTES));
	memset(to, 0, NVME_ANA_HEAD_BYTES);
	le64_put(to, change_count);
	le16_put(to + 8, groups);
	return 0;
}

int nvme_ana_head_get(struct cursor *cursor, uint64_t *ret_change_count, uint16_t *ret_groups)
{
	const uint8_t *from;

	TRY(cursor_get_bytes(cursor, &from, NVME_ANA_HEAD_BYTES));
	*ret_change_count = le64_get(from);
	*ret_groups = le16_get(from + 8);
	return 0;
}

int nvme_ana_group_put(struct builder *builder, const struct nvme_ana_group *group)
{
	uint8_t *to;

	TRY(builder_reserve(builder, &to, NVME_ANA_GROUP_BYTES));
	memset(to, 0, NVME_ANA_GROUP_BYTES);
	le32_put(to, group->id);
	le32_put(to + 4, group->nsid_count);
	le64_put(to + 8, group->change_count);
	to[16] = group->state & 0xf;
	return 0;
}

static bool ana_state_good(uint8_t state)
{
	return (state >= NVME_ANA_OPTIMIZED && state <= NVME_ANA_STATE_PERSISTENT_LOSS) ||
	       state == NVME_ANA_STATE_CHANGE;
}

int nvme_ana_group_get(struct cursor *cursor, struct nvme_ana_group *ret)
{
	struct nvme_ana_group group;
	const uint8_t *from;

	TRY(cursor_get_bytes(cursor, &from, NVME_ANA_GROUP_BYTES));
	group = (struct nvme_ana_group){
		.id = le32_get(from),
		.nsid_count = le32_get(from + 4),
		.change_count = le64_get(from + 8),
		.state = from[16] & 0xf,
	};
	if (!ana_state_good(group.state))
		return -EBADMSG;
	TRY(cursor_get_bytes(cursor, &group.nsids, (size_t)group.nsid_count * 4));
	*ret = group;
	return 0;
}

void nvme_resv_log_encode(const struct nvme_resv_log *log, uint8_t ret[NVME_RESV_LOG_BYTES])
{
	memset(ret, 0, NVME_RESV_LOG_BYTES);
	wire_encode(resv_log_fields, ARRAY_LEN(resv_log_fields), log, ret);
}

int nvme_resv_log_decode(const uint8_t *data, size_t size, struct nvme_resv_log *ret)
{
	if (size < NVME_RESV_LOG_BYTES)
		return -EBADMSG;
	return wire_decode(resv_log_fields, ARRAY_LEN(resv_log_fields), data, ret);
}
