/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme - commands and completions of NVM Express (Base specification 2.0, section 3.3.3).
 *
 * The folder, lowest first; each header names the sections it is written from:
 *
 *	field            structures as tables
 *	nvme_status      what a completion says        nvme           commands, completions
 *	nvme_sgl         where a command's data is     nvme_io        fields of I/O commands
 *	nvme_identify    identify data                 nvme_list      lists of numbers and names
 *	nvme_log         log pages                     nvme_feature   features, events
 *	nvme_fabrics     connect, properties           nvme_discovery the discovery log page
 *	nvme_resv        reservations                  nvme_vendor      replica control
 *	nvmetcp          PDUs of the TCP transport     nvmetcp_parser a stream into PDUs
 *	nbd_option       NBD handshake                 nbd_io         NBD transmission
 *
 * W1. A decoder is a pure function: it reads no byte beyond the size it is told, and
 *     leaves its output untouched when it refuses.
 * W2. A command is refused with the NVMe status that its completion carries; a structure
 *     that came as data, with -EBADMSG.
 * W3. Reserved bytes are written as zeros and ignored when read.
 */
#ifndef WIRE_NVME_H
#define WIRE_NVME_H

#include "base/lang.h"

#define NVME_SQE_BYTES 64u
#define NVME_CQE_BYTES 16u
#define NVME_NQN_MAX   223u /* bytes, without the NUL */
#define NVME_NSID_ALL  UINT32_C(0xffffffff)
#define NVME_NSID_MAX  UINT32_C(0xfffffffe)

/* Base 2.0, section 5. */
enum nvme_admin_opcode {
	NVME_ADMIN_DELETE_SQ = 0x00,
	NVME_ADMIN_CREATE_SQ = 0x01,
	NVME_ADMIN_GET_LOG_PAGE = 0x02,
	NVME_ADMIN_DELETE_CQ = 0x04,
	NVME_ADMIN_CREATE_CQ = 0x05,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_GET_FEATURES = 0x0a,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_NS_MANAGEMENT = 0x0d,
	NVME_ADMIN_FW_COMMIT = 0x10,
	NVME_ADMIN_FW_DOWNLOAD = 0x11,
	NVME_ADMIN_SELF_TEST = 0x14,
	NVME_ADMIN_NS_ATTACHMENT = 0x15,
	NVME_ADMIN_KEEP_ALIVE = 0x18,
	NVME_ADMIN_DIRECTIVE_SEND = 0x19,
	NVME_ADMIN_DIRECTIVE_RECV = 0x1a,
	NVME_ADMIN_VIRTUALIZATION = 0x1c,
	NVME_ADMIN_MI_SEND = 0x1d,
	NVME_ADMIN_MI_RECV = 0x1e,
	NVME_ADMIN_CAPACITY = 0x20,
	NVME_ADMIN_LOCKDOWN = 0x24,
	NVME_ADMIN_DOORBELL_BUFFER = 0x7c,
	NVME_FABRICS = 0x7f, /* on every queue: byte 4 says which, see nvme_fabrics.h */
	NVME_ADMIN_FORMAT = 0x80,
	NVME_ADMIN_SECURITY_SEND = 0x81,
	NVME_ADMIN_SECURITY_RECV = 0x82,
	NVME_ADMIN_SANITIZE = 0x84,
	NVME_ADMIN_GET_LBA_STATUS = 0x86,
	NVME_ADMIN_VENDOR = 0xc0, /* and above */
};

/* Base 2.0, section 7; NVM Command Set 1.0, section 3.2. */
enum nvme_io_opcode {
	NVME_IO_FLUSH = 0x00,
	NVME_IO_WRITE = 0x01,
	NVME_IO_READ = 0x02,
	NVME_IO_WRITE_UNCORRECTABLE = 0x04,
	NVME_IO_COMPARE = 0x05,
	NVME_IO_WRITE_ZEROES = 0x08,
	NVME_IO_DATASET_MANAGEMENT = 0x09,
	NVME_IO_VERIFY = 0x0c,
	NVME_IO_RESV_REGISTER = 0x0d,
	NVME_IO_RESV_REPORT = 0x0e,
	NVME_IO_RESV_ACQUIRE = 0x11,
	NVME_IO_MANAGEMENT_RECV = 0x12,
	NVME_IO_RESV_RELEASE = 0x15,
	NVME_IO_CANCEL = 0x18,
	NVME_IO_COPY = 0x19,
	NVME_IO_MANAGEMENT_SEND = 0x1d,
	NVME_IO_VENDOR = 0x80, /* and above */
};

/* Bits 1:0 of an opcode (of FCTYPE, for a fabrics command): which way its data goes. */
enum nvme_dir {
	NVME_DIR_NONE = 0,
	NVME_DIR_TO_CONTROLLER = 1,
	NVME_DIR_TO_HOST = 2,
	NVME_DIR_BOTH = 3,
};

/* Byte 1 of a command. */
enum nvme_sqe_flag {
	NVME_FUSE_MASK = 0x03,
	NVME_FUSE_FIRST = 0x01,
	NVME_FUSE_SECOND = 0x02,
	NVME_PSDT_MASK = 0xc0,
	NVME_PSDT_SGL = 0x40, /* SGL1 is an SGL; MPTR, if used, a plain address */
};

/*
 * Submission queue entry (Base 2.0, section 3.3.3):
 *	OFFSET SIZE FIELD
 *	0      1    opcode (OPC)
 *	1      1    FUSE (bits 1:0), PSDT (bits 7:6)
 *	2      2    command identifier (CID)
 *	4      4    namespace identifier (NSID); byte 4 of a fabrics command is FCTYPE
 *	8      8    command dwords 2 and 3
 *	16     8    metadata pointer (MPTR)
 *	24     16   data pointer (DPTR): SGL1, see nvme_sgl.h
 *	40     24   command dwords 10 to 15
 */
struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t mptr;
	uint8_t dptr[16];
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
};

void nvme_sqe_encode(const struct nvme_sqe *sqe, uint8_t ret_bytes[NVME_SQE_BYTES]);
void nvme_sqe_decode(const uint8_t bytes[NVME_SQE_BYTES], struct nvme_sqe *ret);

/* Only where opcode is NVME_FABRICS. */
static inline uint8_t nvme_sqe_fctype(const struct nvme_sqe *sqe)
{
	return (uint8_t)sqe->nsid;
}

static inline enum nvme_dir nvme_sqe_dir(const struct nvme_sqe *sqe)
{
	uint8_t code = sqe->opcode == NVME_FABRICS ? nvme_sqe_fctype(sqe) : sqe->opcode;

	return (enum nvme_dir)(code & 3);
}

static inline uint64_t nvme_sqe_cdw10_11(const struct nvme_sqe *sqe)
{
	return (uint64_t)sqe->cdw11 << 32 | sqe->cdw10;
}

/*
 * Completion queue entry (Base 2.0, section 3.3.3):
 *	OFFSET SIZE FIELD
 *	0      8    command specific result (dwords 0 and 1)
 *	8      2    submission queue head (SQHD)
 *	10     2    submission queue (SQID); reserved over fabrics
 *	12     2    command identifier (CID)
 *	14     2    phase (bit 0; reserved over fabrics), status (bits 15:1)
 */
struct nvme_cqe {
	uint64_t result;
	uint16_t sqhd;
	uint16_t sqid;
	uint16_t cid;
	uint16_t status; /* nvme_status.h; without the phase */
};

void nvme_cqe_encode(const struct nvme_cqe *cqe, uint8_t ret_bytes[NVME_CQE_BYTES]);
void nvme_cqe_decode(const uint8_t bytes[NVME_CQE_BYTES], struct nvme_cqe *ret);

#endif
