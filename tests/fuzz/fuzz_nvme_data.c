// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_nvme_data - any bytes as what a controller gives us to read: identify data, lists,
 * log pages. Refused, or understood, and then the same after it was encoded anew.
 *
 *	input:	structure (1 byte), its bytes (filled up to their size with zeros if the
 *		highest bit of the first is set; entries of a log then follow a header)
 */
#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "base/must.h"
#include "fuzz.h"
#include "wire/nvme_discovery.h"
#include "wire/nvme_fabrics.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_list.h"
#include "wire/nvme_log.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_vendor.h"

#define BYTES_MAX 4096u

/* decode, encode, decode, encode: the second encoding is the first. */
#define TRY_STABLE(type, bytes)                                 \
	do {                                                    \
		uint8_t one_[BYTES_MAX], two_[BYTES_MAX];       \
		struct type thing_;                             \
                                                                \
		if (type##_decode(data, size, &thing_) < 0)     \
			break;                                  \
		must(size >= (bytes));                          \
		type##_encode(&thing_, one_);                   \
		must(type##_decode(one_, bytes, &thing_) == 0); \
		type##_encode(&thing_, two_);                   \
		must(memcmp(one_, two_, bytes) == 0);           \
	} while (0)

static void try_lists(const uint8_t *data, size_t size)
{
	struct nvme_ns_name name;
	struct cursor cursor;
	size_t count = 0;
	uint32_t sum = 0;
	int r;

	for (size_t i = 0; nvme_nsids_get(data, size, i); i++)
		must((i + 1) * 4 <= size && i < NVME_NSIDS_MAX);
	if (nvme_cntlids_count(data, size, &count) == 0)
		for (size_t i = 0; i < count; i++)
			sum += nvme_cntlids_get(data, i);
	must(count <= NVME_CNTLIDS_MAX && sum <= count * UINT16_MAX);
	cursor_init(&cursor, data, size);
	while ((r = nvme_ns_name_next(&cursor, &name)) > 0)
		must(name.bytes > data && name.bytes + name.length <= data + size);
	must(r == 0 || r == -EBADMSG);
}

static void try_ana(const uint8_t *data, size_t size)
{
	struct nvme_ana_group group;
	uint64_t change_count;
	struct cursor cursor;
	uint16_t groups = 0;
	uint32_t nsids = 0;

	cursor_init(&cursor, data, size);
	if (nvme_ana_head_get(&cursor, &change_count, &groups) < 0)
		return;
	for (uint16_t i = 0; i < groups && nvme_ana_group_get(&cursor, &group) == 0; i++)
		for (uint32_t n = 0; n < group.nsid_count; n++)
			nsids += le32_get(group.nsids + 4 * (size_t)n) != 0;
	must(nsids <= size / 4);
}

static void try_resv_report(const uint8_t *data, size_t size, bool extended)
{
	struct nvme_resv_report report;
	struct nvme_resv_host host, back;
	uint8_t bytes[NVME_RESV_REPORT_EXT_BYTES + NVME_RESV_HOST_EXT_BYTES];

	if (nvme_resv_report_decode(data, size, extended, &report) < 0)
		return;
	for (unsigned i = 0; nvme_resv_host_decode(data, size, extended, i, &host) == 0; i++) {
		size_t at = nvme_resv_report_encode(&report, extended, bytes);

		must((i + 1) * (extended ? 64 : 24) < size);
		at += nvme_resv_host_encode(&host, extended, bytes + at);
		must(nvme_resv_host_decode(bytes, at, extended, 0, &back) == 0);
		must(back.cntlid == host.cntlid && back.key == host.key);
		must(back.holder == host.holder);
		must(memcmp(back.host_id, host.host_id, sizeof(back.host_id)) == 0);
	}
}

static void try_entries(const uint8_t *data, size_t size)
{
	struct nvme_discovery_entry entry;
	struct nvme_error_entry error;
	uint8_t bytes[2 * NVME_DISCOVERY_BYTES];

	for (size_t i = 0; i <= size / NVME_DISCOVERY_BYTES; i++) {
		if (nvme_discovery_entry_decode(data, size, i, &entry) < 0)
			continue;
		nvme_discovery_entry_encode(&entry, bytes + NVME_DISCOVERY_BYTES);
		must(nvme_discovery_entry_decode(bytes, sizeof(bytes), 0, &entry) == 0);
	}
	for (size_t i = 0; nvme_error_entry_decode(data, size, i, &error) == 0; i++) {
		nvme_error_entry_encode(&error, bytes);
		must(nvme_error_entry_decode(bytes, NVME_ERROR_ENTRY_BYTES, 0, &error) == 0);
	}
}

static void try_pages(const uint8_t *data, size_t size)
{
	TRY_STABLE(nvme_discovery_head, NVME_DISCOVERY_BYTES);
	TRY_STABLE(nvme_smart, NVME_SMART_BYTES);
	TRY_STABLE(nvme_firmware, NVME_FIRMWARE_BYTES);
	TRY_STABLE(nvme_resv_log, NVME_RESV_LOG_BYTES);
	TRY_STABLE(nvme_replica, NVME_REPLICA_BYTES);
	TRY_STABLE(nvme_miss_open, NVME_MISS_OPEN_BYTES);
	TRY_STABLE(nvme_snap, NVME_SNAP_BYTES);
	TRY_STABLE(nvme_extent, NVME_EXTENT_BYTES);
	TRY_STABLE(nvme_timestamp, NVME_TIMESTAMP_BYTES);
	TRY_STABLE(nvme_host_behavior, NVME_HOST_BEHAVIOR_BYTES);
	for (unsigned id = 0; id < 256; id += 51) {
		(void)nvme_supported_get(data, size, (uint8_t)id);
		(void)nvme_effects_get(data, size, id & 1, (uint8_t)id);
	}
}

static void try_structure(uint8_t which, const uint8_t *data, size_t size)
{
	switch (which) {
	case 0:
		TRY_STABLE(nvme_id_ctrl, NVME_IDENTIFY_BYTES);
		break;
	case 1:
		TRY_STABLE(nvme_id_ns, NVME_IDENTIFY_BYTES);
		break;
	case 2:
		TRY_STABLE(nvme_id_ns_independent, NVME_IDENTIFY_BYTES);
		TRY_STABLE(nvme_id_ns_nvm, NVME_IDENTIFY_BYTES);
		TRY_STABLE(nvme_id_ctrl_nvm, NVME_IDENTIFY_BYTES);
		break;
	case 3:
		try_lists(data, size);
		break;
	case 4:
		try_ana(data, size);
		break;
	case 5:
		try_resv_report(data, size, false);
		try_resv_report(data, size, true);
		break;
	case 6:
		try_entries(data, size);
		break;
	default:
		try_pages(data, size);
	}
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	uint8_t filled[BYTES_MAX] = { 0 };
	uint8_t which;
	size_t at;

	if (size < 1)
		return 0;
	which = *data++;
	size--;
	at = (which & 7) == 6 ? NVME_DISCOVERY_BYTES : 0;
	if (which & 0x80) {
		memcpy(filled + at, data, min_size(size, BYTES_MAX - at));
		try_structure(which & 7, filled, BYTES_MAX);
	} else {
		try_structure(which & 7, data, size);
	}
	return 0;
}
