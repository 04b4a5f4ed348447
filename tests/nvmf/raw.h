/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw - an NVMe/TCP host of one connection that may send anything, right or wrong.
 *
 *	raw_open --> raw_hello (ICReq, ICResp) --> raw_join (Connect) --> raw_do ... --> raw_close
 *
 * Blocking, on a plain socket, without the product's reactor: written from the NVMe
 * specifications to judge the target. Each step can be left out, and between them raw_send()
 * sends any bytes. What the target sends is held against the specification as it comes.
 *
 * Q1. Every PDU received is decoded by the rules of a host; what is refused is -EPROTO, a
 *     C2HTermReq is -ECONNABORTED and in raw->term, an end or reset -ENOTCONN.
 * Q2. raw_do() ends only when the command has its completion and every byte that was due
 *     moved exactly once, in order; else -EPROTO.
 * Q3. raw->why has the words of the last failure.
 */
#ifndef TESTS_NVMF_RAW_H
#define TESTS_NVMF_RAW_H

#include "wire/nvme_fabrics.h"
#include "wire/nvme_sgl.h"
#include "wire/nvme_status.h"
#include "wire/nvmetcp.h"

#define RAW_DATA_MAX	 (2u << 20)
#define RAW_COMMANDS_MAX 1024u
#define RAW_WAIT_MS	 20000 /* for anything: longer is a hang */

enum raw_digest {
	RAW_HDGST = 1,
	RAW_DDGST = 2,
};

/* How data go to the controller. */
enum raw_way {
	RAW_TRANSPORT, /* by R2T */
	RAW_CAPSULE,   /* in the capsule, from capsule_offset on */
	RAW_AS_IS,     /* DPTR is set already; no data in the capsule */
};

struct raw_command {
	struct nvme_sqe sqe; /* CID is set by raw_post() */
	enum raw_way way;
	uint32_t bytes;
	uint32_t capsule_offset;
	const uint8_t *out;
	uint8_t *in;

	struct nvme_cqe cqe;
	bool done;
	bool by_flag;	/* C2HData said it all: no CapsuleResp came */
	uint32_t moved; /* bytes */
	uint32_t r2ts;
};

struct raw {
	int fd;
	const char *source; /* address to come from; NULL: the kernel's choice */
	uint16_t port;
	uint8_t align; /* 4, ..., 128: HPDA */
	uint8_t digests;
	uint32_t maxr2t;
	int wait_ms;
	struct nvmetcp_rules rules;
	struct nvmetcp_ic icresp;
	struct nvmetcp_fault term;
	uint16_t qid;
	uint16_t cntlid;
	uint16_t entries; /* of the queue */
	uint16_t next_cid;
	struct raw_command *commands[RAW_COMMANDS_MAX];
	uint8_t head[NVMETCP_HEAD_MAX]; /* of the last PDU received */
	uint8_t *data;			/* owned; of the last PDU received */
	char why[160];
};

/* What Connect says. */
struct raw_join {
	const char *subnqn;
	const char *hostnqn;
	uint8_t host_id[NVME_HOST_ID_BYTES];
	uint16_t qid;
	uint16_t entries;
	uint16_t cntlid; /* of an I/O queue; else NVME_CNTLID_ANY */
	uint32_t kato_ms;
	uint8_t cattr;
};

/* With the values of a plain host: no digests, alignment 4. */
void raw_init(struct raw *raw, uint16_t port);
MUST_USE int raw_open(struct raw *raw);
MUST_USE int raw_hello(struct raw *raw);
/* NVMe status in *ret_cqe. */
MUST_USE int raw_join(struct raw *raw, const struct raw_join *join, struct nvme_cqe *ret_cqe);
void raw_close(struct raw *raw);

MUST_USE int raw_send(struct raw *raw, const void *bytes, size_t size);
/* One PDU; its data are in raw->data. */
MUST_USE int raw_recv(struct raw *raw, struct nvmetcp_pdu *ret);
/* Reads on until the target closes: 0, or -ETIMEDOUT. What comes until then is dropped. */
MUST_USE int raw_wait_closed(struct raw *raw);

/* Sends the capsule; the completion comes by raw_pump(). */
MUST_USE int raw_post(struct raw *raw, struct raw_command *command);
/* Receives one PDU and does what it asks for. */
MUST_USE int raw_pump(struct raw *raw);
MUST_USE int raw_wait(struct raw *raw, struct raw_command *command);
MUST_USE int raw_do(struct raw *raw, struct raw_command *command);

/* Type and code of the command's completion. */
static inline uint16_t raw_status(const struct raw_command *command)
{
	return command->cqe.status & NVME_SC_MASK;
}

/* Encodes a capsule with its data and digests into ret; returns its bytes. */
size_t raw_capsule(const struct raw *raw, const struct nvme_sqe *sqe, const void *data,
		   uint32_t bytes, uint8_t *ret);
/* H2CData of an R2T, as raw_capsule(). */
size_t raw_h2c(const struct raw *raw, const struct nvmetcp_data *extent, bool last,
	       const void *data, uint8_t *ret);

#endif
