/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_resv - reservations: commands and their data (Base 2.0, sections 7.2 to 7.5, 8.19).
 *
 *	register  dword 10: action (bits 2:0), IEKEY (3), CPTPL (31:30); data: CRKEY 0, NRKEY 8
 *	acquire   dword 10: action (bits 2:0), IEKEY (3), type (15:8); data: CRKEY 0, PRKEY 8
 *	release   dword 10: action (bits 2:0), IEKEY (3), type (15:8); data: CRKEY 0
 *	report    dword 10: dwords wanted less one; dword 11: extended (bit 0)
 *
 * Keys are 8 bytes, little-endian.
 */
#ifndef WIRE_NVME_RESV_H
#define WIRE_NVME_RESV_H

#include "wire/nvme.h"

#define NVME_RESV_REGISTER_BYTES 16u
#define NVME_RESV_ACQUIRE_BYTES	 16u
#define NVME_RESV_RELEASE_BYTES	 8u

enum nvme_resv_register_action {
	NVME_RESV_REGISTER = 0,
	NVME_RESV_UNREGISTER = 1,
	NVME_RESV_REPLACE = 2,
};

enum nvme_resv_acquire_action {
	NVME_RESV_ACQUIRE = 0,
	NVME_RESV_PREEMPT = 1,
	NVME_RESV_PREEMPT_ABORT = 2,
};

enum nvme_resv_release_action {
	NVME_RESV_RELEASE = 0,
	NVME_RESV_CLEAR = 1,
};

enum nvme_resv_type {
	NVME_RESV_NONE = 0,
	NVME_RESV_WRITE_EXCLUSIVE = 1,
	NVME_RESV_EXCLUSIVE_ACCESS = 2,
	NVME_RESV_WRITE_EXCLUSIVE_REG = 3, /* registrants only */
	NVME_RESV_EXCLUSIVE_ACCESS_REG = 4,
	NVME_RESV_WRITE_EXCLUSIVE_ALL = 5, /* all registrants */
	NVME_RESV_EXCLUSIVE_ACCESS_ALL = 6,
};

/* CPTPL: change persist through power loss. */
enum nvme_resv_cptpl {
	NVME_RESV_PTPL_KEEP = 0,
	NVME_RESV_PTPL_OFF = 2,
	NVME_RESV_PTPL_ON = 3,
};

/* RESCAP of a namespace's identify data. */
enum nvme_rescap {
	NVME_RESCAP_PTPL = 1 << 0,
	NVME_RESCAP_WRITE_EXCLUSIVE = 1 << 1,
	NVME_RESCAP_EXCLUSIVE_ACCESS = 1 << 2,
	NVME_RESCAP_WRITE_EXCLUSIVE_REG = 1 << 3,
	NVME_RESCAP_EXCLUSIVE_ACCESS_REG = 1 << 4,
	NVME_RESCAP_WRITE_EXCLUSIVE_ALL = 1 << 5,
	NVME_RESCAP_EXCLUSIVE_ACCESS_ALL = 1 << 6,
	NVME_RESCAP_IEKEY_13 = 1 << 7, /* IEKEY as of revision 1.3 */
};

struct nvme_resv_cmd {
	uint8_t action;
	bool iekey;	  /* ignore the existing key */
	uint8_t type;	  /* acquire, release: enum nvme_resv_type */
	uint8_t cptpl;	  /* register */
	uint64_t key;	  /* CRKEY */
	uint64_t new_key; /* NRKEY of register, PRKEY of acquire */
};

/*
 * Register, acquire and release with their data. NVMe status: Invalid Field for a reserved
 * action, type or CPTPL; Data SGL Length Invalid for data too short; Invalid Opcode else.
 */
MUST_USE uint16_t nvme_resv_decode(const struct nvme_sqe *sqe, const uint8_t *data, size_t size,
				   struct nvme_resv_cmd *ret);

/* How much data the command has by its opcode. */
size_t nvme_resv_data_bytes(uint8_t opcode);

/* Sets dword 10; ret_data has room for nvme_resv_data_bytes(). sqe->opcode is set already. */
void nvme_resv_encode(const struct nvme_resv_cmd *cmd, struct nvme_sqe *ret_sqe, uint8_t *ret_data);

/*
 * The report: a header (24 bytes; extended: 64), then one structure per registrant.
 *	OFFSET SIZE FIELD of the header
 *	0      4    generation
 *	4      1    reservation type
 *	5      2    registrants (REGCTL)
 *	9      1    persist through power loss (PTPLS)
 *
 *	OFFSET SIZE FIELD of a registrant, 24 bytes
 *	0      2    controller
 *	2      1    bit 0: holds the reservation
 *	8      8    host identifier
 *	16     8    key
 *
 *	OFFSET SIZE FIELD of a registrant, extended, 64 bytes
 *	0      2    controller
 *	2      1    bit 0: holds the reservation
 *	8      8    key
 *	16     16   host identifier
 */
#define NVME_RESV_REPORT_BYTES	   24u
#define NVME_RESV_REPORT_EXT_BYTES 64u
#define NVME_RESV_HOST_BYTES	   24u
#define NVME_RESV_HOST_EXT_BYTES   64u

struct nvme_resv_report {
	uint32_t generation;
	uint8_t type;
	uint16_t registrants;
	bool ptpl;
};

struct nvme_resv_host {
	uint16_t cntlid;
	bool holder;
	uint64_t key;
	uint8_t host_id[16]; /* not extended: the first 8 bytes */
};

static inline bool nvme_resv_report_extended(const struct nvme_sqe *sqe)
{
	return sqe->cdw11 & 1;
}

/* Each writes exactly its structure and returns its bytes. */
size_t nvme_resv_report_encode(const struct nvme_resv_report *report, bool extended, uint8_t *ret);
size_t nvme_resv_host_encode(const struct nvme_resv_host *host, bool extended, uint8_t *ret);

/* -EBADMSG: the data end before it. Host i is the one after i others. */
MUST_USE int nvme_resv_report_decode(const uint8_t *data, size_t size, bool extended,
				     struct nvme_resv_report *ret);
MUST_USE int nvme_resv_host_decode(const uint8_t *data, size_t size, bool extended, unsigned i,
				   struct nvme_resv_host *ret);

#endif
