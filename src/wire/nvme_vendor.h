/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_vendor - replica control: our vendor specific admin commands. docs/nvme-vendor.md is
 * their specification.
 */
#ifndef WIRE_NVME_VENDOR_H
#define WIRE_NVME_VENDOR_H

#include "base/uuid.h"
#include "wire/nvme.h"

#define NVME_VENDOR_VERSION 1u
#define NVME_VENDOR_FID	    0xc0u /* the feature that negotiates */

/* Identify controller, bytes 3072 and on: "MAYASTOR", version (4 bytes). */
void nvme_vendor_advertise(uint8_t identify[4096]);
/* 0: offers nothing. */
uint32_t nvme_vendor_offered(const uint8_t *identify, size_t size);

enum nvme_vendor_opcode {
	NVME_VENDOR_CALL = 0xc0, /* no data */
	NVME_VENDOR_SEND = 0xc1, /* to the controller */
	NVME_VENDOR_RECV = 0xc2, /* to the host */
};

/* Dword 10, bits 7:0. */
enum nvme_vendor_function {
	/* receive */
	NVME_VENDOR_INFO = 0x01,
	NVME_VENDOR_AL_GET = 0x02,
	NVME_VENDOR_MISS_GET = 0x03,
	NVME_VENDOR_BLOCK_STATUS = 0x04,
	/* call */
	NVME_VENDOR_FENCE = 0x10,
	NVME_VENDOR_MISS_DROP = 0x11,
	NVME_VENDOR_RESIZE = 0x12,
	/* send */
	NVME_VENDOR_SET = 0x20,
	NVME_VENDOR_AL_SET = 0x21,
	NVME_VENDOR_AL_CLEAR = 0x22,
	NVME_VENDOR_MISS_OPEN = 0x23,
	NVME_VENDOR_MISS_ADD = 0x24,
	NVME_VENDOR_SNAP_PREPARE = 0x25,
	NVME_VENDOR_SNAP_COMMIT = 0x26,
	NVME_VENDOR_SNAP_ABORT = 0x27,
};

/* Dword 10: function (7:0). Dword 11: arg. Dwords 12, 13: value. */
struct nvme_vendor_cmd {
	uint8_t opcode;
	uint8_t function;
	uint32_t arg;
	uint64_t value;
};

struct nvme_vendor_cmd nvme_vendor_decode(const struct nvme_sqe *sqe);
/* NSID is the caller's. */
void nvme_vendor_encode(const struct nvme_vendor_cmd *cmd, struct nvme_sqe *ret_sqe);

/* Data of Info and Set; the table of fields is in nvme_vendor.c. */
#define NVME_REPLICA_BYTES	 1024u
#define NVME_REPLICA_MEMBERS_MAX 16u
#define NVME_REPLICA_MISS_MAX	 2u

struct nvme_replica {
	uint8_t volume[16], replica[16];
	uint64_t fence;
	uint64_t incarnation;
	uint64_t gen_epoch, gen_n;
	uint8_t state; /* 0 new, 1 in sync, 2 inconsistent, 3 outdated */
	uint8_t unclean;
	uint8_t member_count;
	uint8_t faulted;
	uint32_t region_bytes;
	uint64_t regions;
	uint8_t members[NVME_REPLICA_MEMBERS_MAX][16];
	uint8_t miss_peer[NVME_REPLICA_MISS_MAX][16]; /* all zero: free */
	uint64_t miss_epoch[NVME_REPLICA_MISS_MAX], miss_n[NVME_REPLICA_MISS_MAX];
	uint64_t miss_dirty[NVME_REPLICA_MISS_MAX];
};

void nvme_replica_encode(const struct nvme_replica *replica, uint8_t ret[NVME_REPLICA_BYTES]);
/* -EBADMSG: cut, a state there is not, too many members. */
MUST_USE int nvme_replica_decode(const uint8_t *data, size_t size, struct nvme_replica *ret);

/* Data of Miss Open. */
#define NVME_MISS_OPEN_BYTES 32u

struct nvme_miss_open {
	uint8_t peer[16];
	uint64_t gen_epoch, gen_n;
};

void nvme_miss_open_encode(const struct nvme_miss_open *open, uint8_t ret[NVME_MISS_OPEN_BYTES]);
MUST_USE int nvme_miss_open_decode(const uint8_t *data, size_t size, struct nvme_miss_open *ret);

/* Data of Block Status: extents one after the other, as many as dword 0 of the completion says. */
#define NVME_EXTENT_BYTES 16u

enum nvme_extent_flag {
	NVME_EXTENT_HOLE = 1 << 0,   /* no space is allocated */
	NVME_EXTENT_ZERO = 1 << 1,   /* reads as zeros */
	NVME_EXTENT_SHARED = 1 << 2, /* also of a snapshot or a clone */
	NVME_EXTENT_MASK = 7,
};

struct nvme_extent {
	uint64_t blocks; /* not 0 */
	uint32_t flags;
};

void nvme_extent_encode(const struct nvme_extent *extent, uint8_t ret[NVME_EXTENT_BYTES]);
/* -EBADMSG: cut, no blocks, or flags that there are not. */
MUST_USE int nvme_extent_decode(const uint8_t *data, size_t size, struct nvme_extent *ret);

/* Data of Snap Prepare, Commit and Abort: the last two have the identifier only. */
#define NVME_SNAP_BYTES	   256u
#define NVME_SNAP_NAME_MAX 239u

struct nvme_snap {
	uint8_t uuid[16];
	char name[NVME_SNAP_NAME_MAX + 1];
};

void nvme_snap_encode(const struct nvme_snap *snap, uint8_t ret[NVME_SNAP_BYTES]);
/* -EBADMSG: cut, or a name without end. */
MUST_USE int nvme_snap_decode(const uint8_t *data, size_t size, struct nvme_snap *ret);

#endif
