// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_list - lists that Identify and log pages give. The layouts stand in nvme_list.h.
 */
#include <errno.h>

#include "base/le.h"
#include "base/must.h"
#include "wire/nvme_list.h"

void nvme_nsids_encode(const uint32_t *nsids, size_t count, uint8_t ret[NVME_LIST_BYTES])
{
	must(count <= NVME_NSIDS_MAX);
	memset(ret, 0, NVME_LIST_BYTES);
	for (size_t i = 0; i < count; i++)
		le32_put(ret + 4 * i, nsids[i]);
}

uint32_t nvme_nsids_get(const uint8_t *data, size_t size, size_t i)
{
	size = min_size(size, NVME_LIST_BYTES);
	return i < size / 4 ? le32_get(data + 4 * i) : 0;
}

void nvme_cntlids_encode(const uint16_t *cntlids, size_t count, uint8_t ret[NVME_LIST_BYTES])
{
	must(count <= NVME_CNTLIDS_MAX);
	memset(ret, 0, NVME_LIST_BYTES);
	le16_put(ret, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		le16_put(ret + 2 + 2 * i, cntlids[i]);
}

int nvme_cntlids_count(const uint8_t *data, size_t size, size_t *ret_count)
{
	size_t count;

	if (size < 2)
		return -EBADMSG;
	count = le16_get(data);
	if (count > NVME_CNTLIDS_MAX || count > (size - 2) / 2)
		return -EBADMSG;
	*ret_count = count;
	return 0;
}

uint16_t nvme_cntlids_get(const uint8_t *data, size_t i)
{
	return le16_get(data + 2 + 2 * i);
}

/* 0: not a type we know. */
static uint8_t ns_name_length(unsigned type)
{
	switch (type) {
	case NVME_NIDT_EUI64:
		return 8;
	case NVME_NIDT_NGUID:
	case NVME_NIDT_UUID:
		return 16;
	case NVME_NIDT_CSI:
		return 1;
	default:
		return 0;
	}
}

int nvme_ns_name_next(struct cursor *cursor, struct nvme_ns_name *ret)
{
	struct nvme_ns_name name;
	uint8_t wanted;

	if (cursor->status == 0 && cursor_remaining(cursor) < 2)
		return 0;
	TRY(cursor_get_u8(cursor, &name.type));
	TRY(cursor_get_u8(cursor, &name.length));
	if (name.length == 0)
		return 0;
	TRY(cursor_skip(cursor, 2));
	TRY(cursor_get_bytes(cursor, &name.bytes, name.length));
	wanted = ns_name_length(name.type);
	if (wanted && wanted != name.length)
		return -EBADMSG;
	*ret = name;
	return 1;
}

int nvme_ns_name_put(struct builder *builder, enum nvme_nidt type, const uint8_t *bytes)
{
	uint8_t length = ns_name_length(type);
	uint8_t *to;

	must(length > 0);
	TRY(builder_reserve(builder, &to, 4u + length));
	to[0] = (uint8_t)type;
	to[1] = length;
	le16_put(to + 2, 0);
	memcpy(to + 4, bytes, length);
	return 0;
}

void nvme_command_sets_encode(const uint64_t *sets, size_t count, uint8_t ret[NVME_LIST_BYTES])
{
	must(count <= NVME_LIST_BYTES / 8);
	memset(ret, 0, NVME_LIST_BYTES);
	for (size_t i = 0; i < count; i++)
		le64_put(ret + 8 * i, sets[i]);
}
