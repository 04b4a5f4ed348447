// SPDX-License-Identifier: Apache-2.0
/*
 * nvmetcp_decode - what a peer sends, checked field by field.
 *
 *	common header --> digest --> flags, PDO, PLEN --> fields of the type
 *
 * T1..T5 stand in nvmetcp.h.
 */
#include <errno.h>

#include "base/crc32c.h"
#include "wire/nvmetcp.h"

/* What there is to know of a type before its fields. */
struct pdu_kind {
	uint8_t hlen; /* 0: no such type */
	uint8_t flags;
};

static const struct pdu_kind pdu_kinds[] = {
	[NVMETCP_ICREQ] = { NVMETCP_IC_BYTES, 0 },
	[NVMETCP_ICRESP] = { NVMETCP_IC_BYTES, 0 },
	[NVMETCP_H2C_TERM] = { NVMETCP_TERM_BYTES, 0 },
	[NVMETCP_C2H_TERM] = { NVMETCP_TERM_BYTES, 0 },
	[NVMETCP_CMD] = { NVMETCP_CMD_BYTES, NVMETCP_HDGSTF | NVMETCP_DDGSTF },
	[NVMETCP_RESP] = { NVMETCP_RESP_BYTES, NVMETCP_HDGSTF },
	[NVMETCP_H2C_DATA] = { NVMETCP_DATA_BYTES, NVMETCP_HDGSTF | NVMETCP_DDGSTF | NVMETCP_LAST },
	[NVMETCP_C2H_DATA] = { NVMETCP_DATA_BYTES,
			       NVMETCP_HDGSTF | NVMETCP_DDGSTF | NVMETCP_LAST | NVMETCP_SUCCESS },
	[NVMETCP_R2T] = { NVMETCP_R2T_BYTES, NVMETCP_HDGSTF },
};

static int pdu_fault(struct nvmetcp_fault *ret_fault, enum nvmetcp_fes fes, uint32_t fei)
{
	*ret_fault = (struct nvmetcp_fault){ .fes = (uint16_t)fes, .fei = fei };
	return -EPROTO;
}

static int pdu_field(struct nvmetcp_fault *ret_fault, enum nvmetcp_offset offset)
{
	return pdu_fault(ret_fault, NVMETCP_FES_FIELD, (uint32_t)offset);
}

/* T3 */
static int pdu_quiet(struct nvmetcp_fault *ret_fault, enum nvmetcp_offset offset)
{
	*ret_fault = (struct nvmetcp_fault){
		.fes = NVMETCP_FES_FIELD,
		.fei = (uint32_t)offset,
		.quiet = true,
	};
	return -EPROTO;
}

static bool pdu_is_ic(uint8_t type)
{
	return type == NVMETCP_ICREQ || type == NVMETCP_ICRESP;
}

static bool pdu_is_term(uint8_t type)
{
	return type == NVMETCP_H2C_TERM || type == NVMETCP_C2H_TERM;
}

static bool pdu_is_data(uint8_t type)
{
	return type == NVMETCP_H2C_DATA || type == NVMETCP_C2H_DATA;
}

/* Is a header digest due? ICReq, ICResp and terminate requests never have one. */
static bool pdu_wants_hdgst(const struct nvmetcp_rules *rules, uint8_t type)
{
	return rules->connected && rules->hdgst && pdu_kinds[type].flags & NVMETCP_HDGSTF;
}

/* As much of the common header as is believed before the digest (T1). */
static int pdu_check_common(const struct nvmetcp_rules *rules, const uint8_t *ch,
			    struct nvmetcp_fault *ret_fault)
{
	uint8_t type = ch[NVMETCP_AT_TYPE];

	if (type >= ARRAY_LEN(pdu_kinds) || !pdu_kinds[type].hlen)
		return pdu_field(ret_fault, NVMETCP_AT_TYPE);
	if ((type & 1) == rules->controller) /* it goes the other way */
		return pdu_field(ret_fault, NVMETCP_AT_TYPE);
	if (pdu_is_term(type)) {
		if (ch[NVMETCP_AT_HLEN] != NVMETCP_TERM_BYTES)
			return pdu_quiet(ret_fault, NVMETCP_AT_HLEN);
		return 0;
	}
	if (pdu_is_ic(type) == rules->connected)
		return pdu_fault(ret_fault, NVMETCP_FES_SEQUENCE, 0);
	if (pdu_kinds[type].flags & NVMETCP_HDGSTF &&
	    !!(ch[NVMETCP_AT_FLAGS] & NVMETCP_HDGSTF) != rules->hdgst)
		return pdu_field(ret_fault, NVMETCP_AT_FLAGS);
	if (ch[NVMETCP_AT_HLEN] != pdu_kinds[type].hlen)
		return pdu_field(ret_fault, NVMETCP_AT_HLEN);
	return 0;
}

static int pdu_check_digest(const uint8_t *bytes, uint8_t hlen, struct nvmetcp_fault *ret_fault)
{
	if (nvmetcp_digest_is(bytes + hlen, crc32c(0, bytes, hlen)))
		return 0;
	return pdu_fault(ret_fault, NVMETCP_FES_HDGST, le32_get(bytes + hlen));
}

/* Where data may be: PDO, PLEN, and so head_bytes and data_bytes. */
static int pdu_place_data(const struct nvmetcp_rules *rules, const uint8_t *bytes,
			  struct nvmetcp_pdu *pdu, struct nvmetcp_fault *ret_fault)
{
	uint8_t pdo = bytes[NVMETCP_AT_PDO];
	uint32_t plen = le32_get(bytes + NVMETCP_AT_PLEN);
	uint32_t digest = rules->ddgst ? NVMETCP_DIGEST_BYTES : 0;

	if (pdo < pdu->head_bytes || pdo > NVMETCP_HEAD_MAX || pdo % rules->rx_align)
		return pdu_field(ret_fault, NVMETCP_AT_PDO);
	if (plen <= pdo + digest)
		return pdu_field(ret_fault, NVMETCP_AT_PLEN);
	pdu->head_bytes = pdo;
	pdu->data_bytes = plen - pdo - digest;
	pdu->ddgst = rules->ddgst;
	return 0;
}

static int pdu_check_cmd(const struct nvmetcp_rules *rules, const uint8_t *bytes,
			 struct nvmetcp_pdu *pdu, struct nvmetcp_fault *ret_fault)
{
	bool ddgst = bytes[NVMETCP_AT_FLAGS] & NVMETCP_DDGSTF;
	uint32_t plen = le32_get(bytes + NVMETCP_AT_PLEN);
	bool has_data = plen > pdu->head_bytes;

	/* without data the flag means nothing, but it must not be set where it was not agreed on */
	if (ddgst != rules->ddgst && (ddgst || has_data))
		return pdu_field(ret_fault, NVMETCP_AT_FLAGS);
	if (plen < pdu->head_bytes)
		return pdu_field(ret_fault, NVMETCP_AT_PLEN);
	pdu->sqe = bytes + NVMETCP_AT_SQE;
	if (!has_data)
		return 0;
	if (pdu_place_data(rules, bytes, pdu, ret_fault) < 0)
		return -EPROTO;
	if (pdu->data_bytes > rules->capsule_data_max) /* T4 */
		return pdu_field(ret_fault, NVMETCP_AT_PLEN);
	return 0;
}

/* The fields that data PDUs and R2T share. */
static int pdu_check_extent(const uint8_t *bytes, struct nvmetcp_pdu *pdu,
			    struct nvmetcp_fault *ret_fault)
{
	pdu->data = (struct nvmetcp_data){
		.cccid = le16_get(bytes + NVMETCP_AT_CCCID),
		.ttag = pdu->type == NVMETCP_C2H_DATA ? 0 : le16_get(bytes + NVMETCP_AT_TTAG),
		.offset = le32_get(bytes + NVMETCP_AT_DATAO),
		.length = le32_get(bytes + NVMETCP_AT_DATAL),
	};
	if (pdu->data.offset % 4)
		return pdu_field(ret_fault, NVMETCP_AT_DATAO);
	if (pdu->data.length % 4 || pdu->data.length == 0)
		return pdu_field(ret_fault, NVMETCP_AT_DATAL);
	if (pdu->data.length > UINT32_MAX - pdu->data.offset)
		return pdu_fault(ret_fault, NVMETCP_FES_RANGE, 0);
	return 0;
}

static int pdu_check_data(const struct nvmetcp_rules *rules, const uint8_t *bytes,
			  struct nvmetcp_pdu *pdu, struct nvmetcp_fault *ret_fault)
{
	if (!!(pdu->flags & NVMETCP_DDGSTF) != rules->ddgst)
		return pdu_field(ret_fault, NVMETCP_AT_FLAGS);
	if (pdu->flags & NVMETCP_SUCCESS && !(pdu->flags & NVMETCP_LAST))
		return pdu_field(ret_fault, NVMETCP_AT_FLAGS);
	if (pdu_place_data(rules, bytes, pdu, ret_fault) < 0)
		return -EPROTO;
	if (pdu->data_bytes != le32_get(bytes + NVMETCP_AT_DATAL))
		return pdu_field(ret_fault, NVMETCP_AT_PLEN);
	if (pdu_check_extent(bytes, pdu, ret_fault) < 0)
		return -EPROTO;
	if (rules->controller && pdu->data_bytes > rules->h2c_data_max) /* T4 */
		return pdu_fault(ret_fault, NVMETCP_FES_LIMIT, 0);
	return 0;
}

static int pdu_check_ic(const struct nvmetcp_rules *rules, const uint8_t *bytes,
			struct nvmetcp_pdu *pdu, struct nvmetcp_fault *ret_fault)
{
	uint8_t digests = bytes[NVMETCP_AT_DGST];
	uint32_t last = le32_get(bytes + NVMETCP_AT_MAXR2T);

	if (le32_get(bytes + NVMETCP_AT_PLEN) != NVMETCP_IC_BYTES)
		return pdu_field(ret_fault, NVMETCP_AT_PLEN);
	if (le16_get(bytes + NVMETCP_AT_PFV) != NVMETCP_PFV)
		return pdu_fault(ret_fault, NVMETCP_FES_UNSUPPORTED, NVMETCP_AT_PFV);
	if (bytes[NVMETCP_AT_PDA] >= NVMETCP_ALIGN_MAX / 4)
		return pdu_field(ret_fault, NVMETCP_AT_PDA);
	pdu->ic = (struct nvmetcp_ic){
		.align = (uint8_t)((bytes[NVMETCP_AT_PDA] + 1) * 4),
		.hdgst = digests & 1,
		.ddgst = digests & 2,
	};
	if (rules->controller) {
		pdu->ic.maxr2t = last;
		return 0;
	}
	if ((pdu->ic.hdgst && !rules->hdgst) || (pdu->ic.ddgst && !rules->ddgst))
		return pdu_field(ret_fault, NVMETCP_AT_DGST); /* not asked for */
	if (last < NVMETCP_MAXH2CDATA_MIN || last % 4)
		return pdu_field(ret_fault, NVMETCP_AT_MAXH2CDATA);
	pdu->ic.maxh2cdata = last;
	return 0;
}

static int pdu_check_term(const uint8_t *bytes, struct nvmetcp_pdu *pdu,
			  struct nvmetcp_fault *ret_fault)
{
	uint32_t plen = le32_get(bytes + NVMETCP_AT_PLEN);

	if (plen < NVMETCP_TERM_BYTES || plen > NVMETCP_TERM_MAX)
		return pdu_quiet(ret_fault, NVMETCP_AT_PLEN);
	pdu->data_bytes = plen - NVMETCP_TERM_BYTES;
	pdu->term.fes = le16_get(bytes + NVMETCP_AT_FES);
	pdu->term.fei = le32_get(bytes + NVMETCP_AT_FEI);
	return 0;
}

/* All that follows the digest; pdu->head_bytes is header and digest so far. */
static int pdu_check_rest(const struct nvmetcp_rules *rules, const uint8_t *bytes,
			  struct nvmetcp_pdu *pdu, struct nvmetcp_fault *ret_fault)
{
	if (pdu_is_ic(pdu->type))
		return pdu_check_ic(rules, bytes, pdu, ret_fault);
	if (pdu_is_term(pdu->type))
		return pdu_check_term(bytes, pdu, ret_fault);
	if (pdu_is_data(pdu->type))
		return pdu_check_data(rules, bytes, pdu, ret_fault);
	if (pdu->type == NVMETCP_CMD)
		return pdu_check_cmd(rules, bytes, pdu, ret_fault);
	if (le32_get(bytes + NVMETCP_AT_PLEN) != pdu->head_bytes)
		return pdu_field(ret_fault, NVMETCP_AT_PLEN);
	if (pdu->type == NVMETCP_R2T)
		return pdu_check_extent(bytes, pdu, ret_fault);
	pdu->cqe = bytes + NVMETCP_AT_CQE;
	return 0;
}

int nvmetcp_decode(const struct nvmetcp_rules *rules, const uint8_t *bytes, size_t size,
		   struct nvmetcp_pdu *ret, struct nvmetcp_fault *ret_fault)
{
	struct nvmetcp_pdu pdu;
	bool hdgst;

	if (size < NVMETCP_CH_BYTES)
		return NVMETCP_CH_BYTES;
	if (pdu_check_common(rules, bytes, ret_fault) < 0)
		return -EPROTO;
	hdgst = pdu_wants_hdgst(rules, bytes[NVMETCP_AT_TYPE]);
	pdu = (struct nvmetcp_pdu){
		.type = bytes[NVMETCP_AT_TYPE],
		.flags = bytes[NVMETCP_AT_FLAGS] & pdu_kinds[bytes[NVMETCP_AT_TYPE]].flags,
		.hlen = bytes[NVMETCP_AT_HLEN],
		.head_bytes =
			(uint8_t)(bytes[NVMETCP_AT_HLEN] + (hdgst ? NVMETCP_DIGEST_BYTES : 0)),
	};
	if (size < pdu.head_bytes)
		return pdu.head_bytes;
	if (hdgst && pdu_check_digest(bytes, pdu.hlen, ret_fault) < 0)
		return -EPROTO;
	if (pdu_check_rest(rules, bytes, &pdu, ret_fault) < 0)
		return -EPROTO;
	if (size < pdu.head_bytes)
		return pdu.head_bytes;
	*ret = pdu;
	return 0;
}

int nvmetcp_flow_step(struct nvmetcp_flow *flow, const struct nvmetcp_pdu *pdu,
		      struct nvmetcp_fault *ret_fault)
{
	const struct nvmetcp_data *data = &pdu->data;
	bool last = pdu->flags & NVMETCP_LAST;
	bool at_end;

	if (nvmetcp_flow_done(flow))
		return pdu_fault(ret_fault, NVMETCP_FES_SEQUENCE, 0);
	if (data->offset < flow->begin || data->offset > flow->end ||
	    data->length > flow->end - data->offset)
		return pdu_fault(ret_fault, NVMETCP_FES_RANGE, 0);
	if (data->offset != flow->next)
		return pdu_fault(ret_fault, NVMETCP_FES_SEQUENCE, 0);
	at_end = data->offset + data->length == flow->end;
	if (pdu->type == NVMETCP_H2C_DATA ? last != at_end :
					    pdu->type == NVMETCP_C2H_DATA && at_end && !last)
		return pdu_field(ret_fault, NVMETCP_AT_FLAGS);
	flow->next = data->offset + data->length;
	if (last)
		flow->end = flow->next;
	return 0;
}

const char *nvmetcp_fes_text(uint16_t fes, bool of_controller)
{
	switch (fes) {
	case NVMETCP_FES_FIELD:
		return "Invalid PDU Header Field";
	case NVMETCP_FES_SEQUENCE:
		return "PDU Sequence Error";
	case NVMETCP_FES_HDGST:
		return "Header Digest Error";
	case NVMETCP_FES_RANGE:
		return "Data Transfer Out of Range";
	case NVMETCP_FES_LIMIT:
		return of_controller ? "Data Transfer Limit Exceeded" : "R2T Limit Exceeded";
	case NVMETCP_FES_UNSUPPORTED:
		return "Unsupported Parameter";
	default:
		return "";
	}
}
