/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmetcp - the PDUs of NVMe/TCP (NVM Express TCP Transport 1.0, section 3.6.2).
 *
 * A PDU is a head and maybe data:
 *
 *	| header (HLEN)           | HDGST  | PAD      | data       | DDGST  |
 *	| common header | the rest| if any | up to PDO| data_bytes | if any |
 *	|<------------- head, at most 144 bytes ----->|
 *
 * Common header (figure 19), in all of them:
 *	OFFSET SIZE FIELD
 *	0      1    type
 *	1      1    FLAGS: HDGSTF (bit 0), DDGSTF (1), LAST_PDU (2), SUCCESS (3)
 *	2      1    HLEN, bytes of the header
 *	3      1    PDO, offset of the data
 *	4      4    PLEN, bytes of the PDU
 *
 * Target and initiator decode with the same function: struct nvmetcp_rules says who we
 * are and what the two sides agreed on.
 *
 * T1. Before its header digest is verified, nothing of a header is believed but its type,
 *     HLEN and HDGSTF, which say where the digest is.
 * T2. A refusal names the lowest wrong field (FEI, 3.6.2.4): fields are checked in order.
 * T3. A terminate request is never answered with one, whatever is wrong with it.
 * T4. The length of data is bounded before a byte of it is read: by what we offered
 *     (capsule_data_max, h2c_data_max), or by 128 bytes (terminate requests); what a
 *     controller sends is held against the command by nvmetcp_flow_step().
 * T5. Reserved flags and fields are ignored; so is PDO where there is no data.
 * Beyond W1..W3 of nvme.h.
 */
#ifndef WIRE_NVMETCP_H
#define WIRE_NVMETCP_H

#include "base/lang.h"
#include "base/le.h"
#include "wire/nvme.h"

#define NVMETCP_CH_BYTES	   8u
#define NVMETCP_IC_BYTES	   128u /* ICReq, ICResp */
#define NVMETCP_TERM_BYTES	   24u
#define NVMETCP_CMD_BYTES	   72u
#define NVMETCP_RESP_BYTES	   24u
#define NVMETCP_DATA_BYTES	   24u
#define NVMETCP_R2T_BYTES	   24u
#define NVMETCP_DIGEST_BYTES	   4u
#define NVMETCP_HEAD_MAX	   144u /* a capsule's 76, rounded up to 72 x 2 */
#define NVMETCP_HEADER_MAX	   128u /* HLEN */
#define NVMETCP_TERM_DATA_MAX	   128u
#define NVMETCP_TERM_MAX	   (NVMETCP_TERM_BYTES + NVMETCP_TERM_DATA_MAX)
#define NVMETCP_ALIGN_MIN	   4u
#define NVMETCP_ALIGN_MAX	   128u
#define NVMETCP_PFV		   0u
#define NVMETCP_MAXH2CDATA_MIN	   4096u /* the least a controller may offer */
#define NVMETCP_ADMIN_CAPSULE_DATA 8192u /* of admin and fabrics commands (3.3) */
#define NVMETCP_DISCOVERY_PORT	   8009u

/* Figure 10; even: to the controller, odd: to the host. */
enum nvmetcp_type {
	NVMETCP_ICREQ = 0x00,
	NVMETCP_ICRESP = 0x01,
	NVMETCP_H2C_TERM = 0x02,
	NVMETCP_C2H_TERM = 0x03,
	NVMETCP_CMD = 0x04,
	NVMETCP_RESP = 0x05,
	NVMETCP_H2C_DATA = 0x06,
	NVMETCP_C2H_DATA = 0x07,
	NVMETCP_R2T = 0x09,
};

enum nvmetcp_flag {
	NVMETCP_HDGSTF = 1 << 0,
	NVMETCP_DDGSTF = 1 << 1,
	NVMETCP_LAST = 1 << 2,	  /* H2CData: of its R2T; C2HData: of its command */
	NVMETCP_SUCCESS = 1 << 3, /* C2HData: no CapsuleResp will follow */
};

/* Fatal error status (figures 22, 23). */
enum nvmetcp_fes {
	NVMETCP_FES_FIELD = 1,	  /* invalid header field; FEI: its offset */
	NVMETCP_FES_SEQUENCE = 2, /* PDU sequence error */
	NVMETCP_FES_HDGST = 3,	  /* header digest error; FEI: the digest received */
	NVMETCP_FES_RANGE = 4,	  /* data out of the range of its R2T or command */
	NVMETCP_FES_LIMIT = 5,	  /* from a controller: MAXH2CDATA; from a host: MAXR2T exceeded */
	NVMETCP_FES_UNSUPPORTED = 6, /* unsupported parameter; FEI: its offset */
};

/* The words of the specification; LIMIT differs by who says it. */
const char *nvmetcp_fes_text(uint16_t fes, bool of_controller);

/* Offsets of fields, as FEI names them. */
enum nvmetcp_offset {
	NVMETCP_AT_TYPE = 0,
	NVMETCP_AT_FLAGS = 1,
	NVMETCP_AT_HLEN = 2,
	NVMETCP_AT_PDO = 3,
	NVMETCP_AT_PLEN = 4,
	NVMETCP_AT_PFV = 8,  /* ICReq, ICResp */
	NVMETCP_AT_PDA = 10, /* HPDA, CPDA */
	NVMETCP_AT_DGST = 11,
	NVMETCP_AT_MAXR2T = 12,	    /* ICReq */
	NVMETCP_AT_MAXH2CDATA = 12, /* ICResp */
	NVMETCP_AT_FES = 8,	    /* terminate requests */
	NVMETCP_AT_FEI = 10,
	NVMETCP_AT_SQE = 8,
	NVMETCP_AT_CQE = 8,
	NVMETCP_AT_CCCID = 8,  /* data, R2T */
	NVMETCP_AT_TTAG = 10,  /* H2CData, R2T */
	NVMETCP_AT_DATAO = 12, /* data; R2TO */
	NVMETCP_AT_DATAL = 16, /* data; R2TL */
};

/* Why a connection must end: what the terminate request says. */
struct nvmetcp_fault {
	uint16_t fes;
	uint32_t fei;
	bool quiet; /* T3: just close */
};

/*
 * ICReq and ICResp (figures 20, 21), 128 bytes:
 *	OFFSET SIZE FIELD
 *	8      2    PFV, version of the format: 0
 *	10     1    HPDA, CPDA: alignment of data we receive, dwords less one
 *	11     1    DGST: header digest (bit 0), data digest (bit 1)
 *	12     4    ICReq: MAXR2T, less one; ICResp: MAXH2CDATA, bytes
 *	16     112  reserved
 */
struct nvmetcp_ic {
	uint8_t align; /* bytes, 4..128, a multiple of 4 (not always a power of two) */
	bool hdgst;
	bool ddgst;
	uint32_t maxr2t;     /* ICReq: R2Ts open per command, less one (as sent) */
	uint32_t maxh2cdata; /* ICResp */
};

/*
 * H2CData, C2HData, R2T (figures 26 to 28), 24 bytes:
 *	OFFSET SIZE FIELD
 *	8      2    CCCID, the command
 *	10     2    TTAG, the R2T (reserved in C2HData)
 *	12     4    DATAO, R2TO: offset in the command's data
 *	16     4    DATAL, R2TL: bytes
 *	20     4    reserved
 */
struct nvmetcp_data {
	uint16_t cccid;
	uint16_t ttag;
	uint32_t offset;
	uint32_t length;
};

/*
 * Terminate requests (figures 22, 23), 24 bytes and up to 128 of the refused header:
 *	OFFSET SIZE FIELD
 *	8      2    FES
 *	10     4    FEI
 *	14     10   reserved
 */
struct nvmetcp_term {
	uint16_t fes;
	uint32_t fei;
};

/* CapsuleCmd (figure 24): SQE at 8, 64 bytes. CapsuleResp (figure 25): CQE at 8, 16 bytes. */
struct nvmetcp_pdu {
	uint8_t type;
	uint8_t flags; /* without the reserved ones */
	uint8_t hlen;
	uint8_t head_bytes;  /* header, its digest, padding */
	bool ddgst;	     /* a data digest follows the data */
	uint32_t data_bytes; /* without the digest */
	union {
		struct nvmetcp_ic ic;
		struct nvmetcp_term term;
		struct nvmetcp_data data; /* also of R2T */
		const uint8_t *sqe;	  /* into the bytes decoded */
		const uint8_t *cqe;
	};
};

/*
 * What holds on a connection. Before ICReq and ICResp: who we are, and as a host which
 * digests we ask for; nvmetcp_rules_agree() sets the rest.
 */
struct nvmetcp_rules {
	bool controller; /* what we receive comes from a host */
	bool connected;
	bool hdgst;
	bool ddgst;
	uint8_t rx_align;	   /* of data sent to us */
	uint8_t tx_align;	   /* of data we send */
	uint32_t capsule_data_max; /* controller: data we take in a capsule; the caller's to set */
	uint32_t h2c_data_max;	   /* data of an H2CData PDU */
};

void nvmetcp_rules_init(struct nvmetcp_rules *rules, bool controller);

/* Both sides call it with the same two. */
void nvmetcp_rules_agree(struct nvmetcp_rules *rules, const struct nvmetcp_ic *icreq,
			 const struct nvmetcp_ic *icresp);

/*
 * Decodes the head of a PDU from the first `size` bytes received of it.
 *	> 0	so many bytes of it are needed, more than size; at most NVMETCP_HEAD_MAX
 *	0	it is all there: data follows at bytes + ret->head_bytes
 *	-EPROTO	refused: ret_fault says why; the connection must end
 */
MUST_USE int nvmetcp_decode(const struct nvmetcp_rules *rules, const uint8_t *bytes, size_t size,
			    struct nvmetcp_pdu *ret, struct nvmetcp_fault *ret_fault);

/*
 * One transfer: an R2T as its controller sees it, the data of a command as its host sees it,
 * the R2Ts of a command (3.3.2.1, 3.3.2.2).
 */
struct nvmetcp_flow {
	uint32_t begin; /* offsets in the command's data */
	uint32_t next;
	uint32_t end;
};

static inline bool nvmetcp_flow_done(const struct nvmetcp_flow *flow)
{
	return flow->next == flow->end;
}

/*
 * The next H2CData, C2HData or R2T of a transfer: in order, within it, LAST_PDU on the last
 * and nowhere else. LAST_PDU on a C2HData ends the transfer early: then flow->end is where it
 * ended, for the caller to compare. -EPROTO: ret_fault, the flow is unchanged.
 */
MUST_USE int nvmetcp_flow_step(struct nvmetcp_flow *flow, const struct nvmetcp_pdu *pdu,
			       struct nvmetcp_fault *ret_fault);

/*
 * Encoders write the head and return its bytes; what they say of lengths counts the digest
 * that the caller sends behind the data, if rules->ddgst. ret has room for NVMETCP_HEAD_MAX.
 */
unsigned nvmetcp_icreq_encode(const struct nvmetcp_ic *ic, uint8_t *ret);
unsigned nvmetcp_icresp_encode(const struct nvmetcp_ic *ic, uint8_t *ret);
unsigned nvmetcp_cmd_encode(const struct nvmetcp_rules *rules, const struct nvme_sqe *sqe,
			    uint32_t data_bytes, uint8_t *ret);
unsigned nvmetcp_resp_encode(const struct nvmetcp_rules *rules, const struct nvme_cqe *cqe,
			     uint8_t *ret);
/* H2CData of a host, C2HData of a controller. flags: NVMETCP_LAST, NVMETCP_SUCCESS. */
unsigned nvmetcp_data_encode(const struct nvmetcp_rules *rules, const struct nvmetcp_data *data,
			     uint8_t flags, uint8_t *ret);
unsigned nvmetcp_r2t_encode(const struct nvmetcp_rules *rules, const struct nvmetcp_data *data,
			    uint8_t *ret);
/*
 * The whole terminate request: ret has room for NVMETCP_TERM_MAX. `header` is that of the PDU
 * refused, cut at 128 bytes.
 */
unsigned nvmetcp_term_encode(const struct nvmetcp_rules *rules, const struct nvmetcp_fault *fault,
			     const uint8_t *header, size_t size, uint8_t *ret);

/* A digest is sent as a little-endian number; `crc` is crc32c() over header or data (3.3.1.1). */
static inline void nvmetcp_digest_put(uint8_t *at, uint32_t crc)
{
	le32_put(at, crc);
}

static inline bool nvmetcp_digest_is(const uint8_t *at, uint32_t crc)
{
	return le32_get(at) == crc;
}

#endif
