// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_discovery - the discovery log page, as tables.
 */
#include <errno.h>
#include <string.h>

#include "wire/field.h"
#include "wire/nvme_discovery.h"

#define H struct nvme_discovery_head

static const struct wire_field head_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 8, H, generation),
	F_LE(8, 8, H, records),
	F_LE(16, 2, H, format),
};

#undef H
#define E struct nvme_discovery_entry

static const struct wire_field entry_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 1, E, trtype),	     F_LE(1, 1, E, adrfam),	  F_LE(2, 1, E, subtype),
	F_LE(3, 1, E, treq),	     F_LE(4, 2, E, portid),	  F_LE(6, 2, E, cntlid),
	F_LE(8, 2, E, asqsz),	     F_LE(10, 2, E, eflags),	  F_TEXT(32, 32, E, trsvcid),
	F_NAME(256, 256, E, subnqn), F_TEXT(512, 256, E, traddr), F_LE(768, 1, E, sectype),
};

#undef E

void nvme_discovery_head_encode(const struct nvme_discovery_head *head,
				uint8_t ret[NVME_DISCOVERY_BYTES])
{
	memset(ret, 0, NVME_DISCOVERY_BYTES);
	wire_encode(head_fields, ARRAY_LEN(head_fields), head, ret);
}

int nvme_discovery_head_decode(const uint8_t *data, size_t size, struct nvme_discovery_head *ret)
{
	struct nvme_discovery_head head;

	if (size < NVME_DISCOVERY_BYTES ||
	    wire_decode(head_fields, ARRAY_LEN(head_fields), data, &head) < 0 || head.format != 0 ||
	    head.records > NVME_DISCOVERY_RECORDS_MAX)
		return -EBADMSG;
	*ret = head;
	return 0;
}

void nvme_discovery_entry_encode(const struct nvme_discovery_entry *entry,
				 uint8_t ret[NVME_DISCOVERY_BYTES])
{
	memset(ret, 0, NVME_DISCOVERY_BYTES);
	wire_encode(entry_fields, ARRAY_LEN(entry_fields), entry, ret);
}

int nvme_discovery_entry_decode(const uint8_t *data, size_t size, size_t i,
				struct nvme_discovery_entry *ret)
{
	struct nvme_discovery_entry entry;

	if (size / NVME_DISCOVERY_BYTES < 2 || size / NVME_DISCOVERY_BYTES - 1 <= i)
		return -EBADMSG;
	if (wire_decode(entry_fields, ARRAY_LEN(entry_fields),
			data + (i + 1) * NVME_DISCOVERY_BYTES, &entry) < 0)
		return -EBADMSG;
	*ret = entry;
	return 0;
}
