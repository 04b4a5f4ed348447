// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_vendor - replica control on the wire. docs/nvme-vendor.md has the same tables.
 */
#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "wire/field.h"
#include "wire/nvme_vendor.h"

#define OFFER_AT      3072u
#define OFFER	      "MAYASTOR"
#define OFFER_BYTES   8u
#define IDENTIFY_SIZE 4096u
#define STATE_MAX     3u

void nvme_vendor_advertise(uint8_t identify[4096])
{
	memcpy(identify + OFFER_AT, OFFER, OFFER_BYTES);
	le32_put(identify + OFFER_AT + OFFER_BYTES, NVME_VENDOR_VERSION);
}

uint32_t nvme_vendor_offered(const uint8_t *identify, size_t size)
{
	if (size < IDENTIFY_SIZE || memcmp(identify + OFFER_AT, OFFER, OFFER_BYTES) != 0)
		return 0;
	return le32_get(identify + OFFER_AT + OFFER_BYTES);
}

struct nvme_vendor_cmd nvme_vendor_decode(const struct nvme_sqe *sqe)
{
	return (struct nvme_vendor_cmd){
		.opcode = sqe->opcode,
		.function = (uint8_t)sqe->cdw10,
		.arg = sqe->cdw11,
		.value = (uint64_t)sqe->cdw13 << 32 | sqe->cdw12,
	};
}

void nvme_vendor_encode(const struct nvme_vendor_cmd *cmd, struct nvme_sqe *ret_sqe)
{
	ret_sqe->opcode = cmd->opcode;
	ret_sqe->cdw10 = cmd->function;
	ret_sqe->cdw11 = cmd->arg;
	ret_sqe->cdw12 = (uint32_t)cmd->value;
	ret_sqe->cdw13 = (uint32_t)(cmd->value >> 32);
}

#define R struct nvme_replica

static const struct wire_field replica_fields[] = {
	/*	OFFSET SIZE  FIELD */
	F_BYTES(0, 16, R, volume),	 F_BYTES(16, 16, R, replica),
	F_LE(32, 8, R, fence),		 F_LE(40, 8, R, incarnation),
	F_LE(48, 8, R, gen_epoch),	 F_LE(56, 8, R, gen_n),
	F_LE(64, 1, R, state),		 F_LE(65, 1, R, unclean),
	F_LE(66, 1, R, member_count),	 F_LE(67, 1, R, faulted),
	F_LE(68, 4, R, region_bytes),	 F_LE(72, 8, R, regions),
	F_BYTES(80, 256, R, members),	 F_BYTES(336, 32, R, miss_peer),
	F_LES(368, 8, R, miss_epoch, 2), F_LES(384, 8, R, miss_n, 2),
	F_LES(400, 8, R, miss_dirty, 2),
};

#undef R

void nvme_replica_encode(const struct nvme_replica *replica, uint8_t ret[NVME_REPLICA_BYTES])
{
	memset(ret, 0, NVME_REPLICA_BYTES);
	wire_encode(replica_fields, ARRAY_LEN(replica_fields), replica, ret);
}

int nvme_replica_decode(const uint8_t *data, size_t size, struct nvme_replica *ret)
{
	struct nvme_replica replica;

	if (size < NVME_REPLICA_BYTES)
		return -EBADMSG;
	if (wire_decode(replica_fields, ARRAY_LEN(replica_fields), data, &replica) < 0)
		return -EBADMSG;
	if (replica.state > STATE_MAX || replica.member_count > NVME_REPLICA_MEMBERS_MAX)
		return -EBADMSG;
	*ret = replica;
	return 0;
}

void nvme_miss_open_encode(const struct nvme_miss_open *open, uint8_t ret[NVME_MISS_OPEN_BYTES])
{
	memcpy(ret, open->peer, 16);
	le64_put(ret + 16, open->gen_epoch);
	le64_put(ret + 24, open->gen_n);
}

int nvme_miss_open_decode(const uint8_t *data, size_t size, struct nvme_miss_open *ret)
{
	if (size < NVME_MISS_OPEN_BYTES)
		return -EBADMSG;
	memcpy(ret->peer, data, 16);
	ret->gen_epoch = le64_get(data + 16);
	ret->gen_n = le64_get(data + 24);
	return 0;
}

void nvme_extent_encode(const struct nvme_extent *extent, uint8_t ret[NVME_EXTENT_BYTES])
{
	le64_put(ret, extent->blocks);
	le32_put(ret + 8, extent->flags);
	le32_put(ret + 12, 0);
}

int nvme_extent_decode(const uint8_t *data, size_t size, struct nvme_extent *ret)
{
	struct nvme_extent extent;

	if (size < NVME_EXTENT_BYTES)
		return -EBADMSG;
	extent = (struct nvme_extent){ .blocks = le64_get(data), .flags = le32_get(data + 8) };
	if (extent.blocks == 0 || extent.flags & ~(uint32_t)NVME_EXTENT_MASK)
		return -EBADMSG;
	*ret = extent;
	return 0;
}

void nvme_snap_encode(const struct nvme_snap *snap, uint8_t ret[NVME_SNAP_BYTES])
{
	memset(ret, 0, NVME_SNAP_BYTES);
	memcpy(ret, snap->uuid, 16);
	memcpy(ret + 16, snap->name, strnlen(snap->name, NVME_SNAP_NAME_MAX));
}

int nvme_snap_decode(const uint8_t *data, size_t size, struct nvme_snap *ret)
{
	size_t len;

	if (size < NVME_SNAP_BYTES)
		return -EBADMSG;
	len = strnlen((const char *)data + 16, NVME_SNAP_BYTES - 16);
	if (len > NVME_SNAP_NAME_MAX)
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->uuid, data, 16);
	memcpy(ret->name, data + 16, len);
	return 0;
}
