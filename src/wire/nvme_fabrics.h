/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_fabrics - fabrics commands and controller properties (Base 2.0, sections 6 and 3.1.3).
 *
 * A fabrics command is a submission entry of opcode 7Fh; byte 4 is its type.
 */
#ifndef WIRE_NVME_FABRICS_H
#define WIRE_NVME_FABRICS_H

#include "wire/nvme.h"

#define NVME_CONNECT_DATA_BYTES 1024u
#define NVME_CNTLID_ANY		0xffffu /* Connect: the controller chooses */
#define NVME_CNTLID_MAX		0xffefu
#define NVME_HOST_ID_BYTES	16u
#define NVME_DISCOVERY_NQN	"nqn.2014-08.org.nvmexpress.discovery"

/* Section 6. */
enum nvme_fctype {
	NVME_FABRICS_PROPERTY_SET = 0x00,
	NVME_FABRICS_CONNECT = 0x01,
	NVME_FABRICS_PROPERTY_GET = 0x04,
	NVME_FABRICS_AUTH_SEND = 0x05, /* not offered: refused as an invalid opcode */
	NVME_FABRICS_AUTH_RECV = 0x06,
	NVME_FABRICS_DISCONNECT = 0x08,
};

enum nvme_cattr {
	NVME_CATTR_PRIORITY_MASK = 0x03,
	NVME_CATTR_NO_FLOW_CONTROL = 1 << 2, /* SQHD is not used */
	NVME_CATTR_DELETE_QUEUES = 1 << 3,   /* Disconnect of single queues */
};

/*
 * Connect (section 6.3):
 *	OFFSET SIZE FIELD of the command
 *	40     2    record format: 0
 *	42     2    queue
 *	44     2    entries of the queue, less one
 *	46     1    attributes
 *	48     4    keep alive timeout, ms (admin queue)
 *
 *	OFFSET SIZE FIELD of the data, 1024 bytes
 *	0      16   host identifier
 *	16     2    controller; FFFFh: any
 *	256    256  NQN of the subsystem
 *	512    256  NQN of the host
 */
struct nvme_connect {
	uint16_t qid;
	uint16_t sqsize; /* less one, as sent; >= 1 */
	uint8_t cattr;
	uint32_t kato_ms;
	uint8_t host_id[NVME_HOST_ID_BYTES];
	uint16_t cntlid;
	char subnqn[NVME_NQN_MAX + 1];
	char hostnqn[NVME_NQN_MAX + 1];
};

/* Connect Invalid Parameters: what is wrong, in dword 0 of the completion. */
static inline uint32_t nvme_connect_bad(bool in_data, uint16_t offset)
{
	return (uint32_t)in_data << 16 | offset;
}

#define NVME_CONNECT_AT_QID	42u
#define NVME_CONNECT_AT_SQSIZE	44u
#define NVME_CONNECT_AT_KATO	48u
#define NVME_CONNECT_AT_HOST_ID 0u /* in the data, as those that follow */
#define NVME_CONNECT_AT_CNTLID	16u
#define NVME_CONNECT_AT_SUBNQN	256u
#define NVME_CONNECT_AT_HOSTNQN 512u

/*
 * NVMe status; on Connect Invalid Parameters *ret_bad is for dword 0 of the completion:
 *	Incompatible Format         record format is not 0
 *	Data SGL Length Invalid     not 1024 bytes of data
 *	Connect Invalid Parameters  a queue of one entry; an NQN empty, too long or without end
 */
MUST_USE uint16_t nvme_connect_decode(const struct nvme_sqe *sqe, const uint8_t *data, size_t size,
				      struct nvme_connect *ret, uint32_t *ret_bad);
/* Sets opcode, type and dwords 10 to 15. */
void nvme_connect_encode(const struct nvme_connect *connect, struct nvme_sqe *ret_sqe,
			 uint8_t ret_data[NVME_CONNECT_DATA_BYTES]);

/* Dword 0 of a Connect that succeeded: controller (15:0), authentication wanted (31:16). */
static inline uint16_t nvme_connect_result_cntlid(uint64_t result)
{
	return (uint16_t)result;
}

static inline uint16_t nvme_connect_result_auth(uint64_t result)
{
	return (uint16_t)(result >> 16);
}

/*
 * Property Set and Get (sections 6.5, 6.6):
 *	OFFSET SIZE FIELD
 *	40     1    size: 0 is 4 bytes, 1 is 8
 *	44     4    offset of the property
 *	48     8    value (set); of get it is dwords 0 and 1 of the completion
 */
struct nvme_property {
	uint32_t offset;
	uint8_t bytes; /* 4 or 8 */
	uint64_t value;
};

/* Offsets of properties. */
enum nvme_property_offset {
	NVME_PROP_CAP = 0x00,
	NVME_PROP_VS = 0x08,
	NVME_PROP_CC = 0x14,
	NVME_PROP_CSTS = 0x1c,
	NVME_PROP_NSSR = 0x20,
	NVME_PROP_CRTO = 0x68,
};

/* NVMe status: Invalid Field for a property there is not over fabrics, or of another size. */
MUST_USE uint16_t nvme_property_decode(const struct nvme_sqe *sqe, struct nvme_property *ret);
/* Sets opcode, type and dwords 10 to 13. */
void nvme_property_encode(const struct nvme_property *property, enum nvme_fctype type,
			  struct nvme_sqe *ret_sqe);

/* Disconnect: record format at 40. NVMe status: Incompatible Format. */
MUST_USE uint16_t nvme_disconnect_decode(const struct nvme_sqe *sqe);
void nvme_disconnect_encode(struct nvme_sqe *ret_sqe);

/* CAP. */
struct nvme_cap {
	uint16_t mqes;	/* bits 15:0; entries of a queue, less one */
	bool cqr;	/* 16 */
	uint8_t ams;	/* 18:17 */
	uint8_t to;	/* 31:24; units of 500 ms until ready */
	uint8_t dstrd;	/* 35:32 */
	bool nssrs;	/* 36; subsystem reset */
	uint8_t css;	/* 44:37; bit 0: NVM, 6: one or more, 7: admin only */
	uint8_t mpsmin; /* 51:48; 2^(12 + n) */
	uint8_t mpsmax; /* 55:52 */
	uint8_t crms;	/* 60:59; how readiness is told */
};

uint64_t nvme_cap_encode(const struct nvme_cap *cap);
struct nvme_cap nvme_cap_decode(uint64_t value);

/* VS: major (31:16), minor (15:8), tertiary (7:0). */
static inline uint32_t nvme_version(uint32_t major, uint32_t minor, uint32_t tertiary)
{
	return major << 16 | minor << 8 | tertiary;
}

/* CC. */
struct nvme_cc {
	bool enable;	/* bit 0 */
	uint8_t css;	/* 6:4 */
	uint8_t mps;	/* 10:7 */
	uint8_t ams;	/* 13:11 */
	uint8_t shn;	/* 15:14; 1: normal shutdown, 2: abrupt */
	uint8_t iosqes; /* 19:16; log2 of an entry: 6 */
	uint8_t iocqes; /* 23:20; 4 */
	bool crime;	/* 24 */
};

uint32_t nvme_cc_encode(const struct nvme_cc *cc);
struct nvme_cc nvme_cc_decode(uint32_t value);

/* CSTS. */
enum nvme_csts {
	NVME_CSTS_READY = 1 << 0,
	NVME_CSTS_FATAL = 1 << 1,
	NVME_CSTS_SHUTDOWN_MASK = 3 << 2,
	NVME_CSTS_SHUTDOWN_RUNS = 1 << 2,
	NVME_CSTS_SHUTDOWN_DONE = 2 << 2,
	NVME_CSTS_NSS_RESET = 1 << 4,
	NVME_CSTS_PAUSED = 1 << 5,
};

#endif
