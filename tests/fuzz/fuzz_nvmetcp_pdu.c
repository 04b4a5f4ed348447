// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_nvmetcp_pdu - any bytes as the head of a PDU, to a host or a controller: refused with
 * a fault that a terminate request can carry, or understood within what was offered, and then
 * the same after the peer has encoded it anew (T1..T5 of wire/nvmetcp.h).
 *
 *	input:	who we are, what was agreed on (1 byte), alignment (1 byte), PDU
 */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "fuzz.h"
#include "wire/nvmetcp.h"

#define CAPSULE_MAX 16384u
#define H2C_MAX	    65536u

/* Ours, and those of the peer that sends to us. */
static void make_rules(const uint8_t *config, struct nvmetcp_rules *ret, struct nvmetcp_rules *peer)
{
	bool connected = config[0] & 2;
	struct nvmetcp_ic ic = {
		.align = (uint8_t)((config[1] % 32 + 1) * 4),
		.hdgst = config[0] & 4,
		.ddgst = config[0] & 8,
		.maxh2cdata = H2C_MAX,
	};

	nvmetcp_rules_init(ret, config[0] & 1);
	nvmetcp_rules_init(peer, !(config[0] & 1));
	nvmetcp_rules_agree(ret, &ic, &ic);
	nvmetcp_rules_agree(peer, &ic, &ic);
	ret->connected = peer->connected = connected;
	ret->capsule_data_max = CAPSULE_MAX;
}

/* Otherwise no header with a digest would pass. */
static void mend_digest(uint8_t *bytes, size_t size)
{
	uint8_t hlen = size > NVMETCP_AT_HLEN ? bytes[NVMETCP_AT_HLEN] : 0;

	if (hlen + NVMETCP_DIGEST_BYTES <= size)
		nvmetcp_digest_put(bytes + hlen, crc32c(0, bytes, hlen));
}

static void check_fault(const struct nvmetcp_fault *fault, const uint8_t *bytes,
			const struct nvmetcp_rules *rules)
{
	uint8_t type = bytes[NVMETCP_AT_TYPE];

	must(fault->fes >= NVMETCP_FES_FIELD && fault->fes <= NVMETCP_FES_UNSUPPORTED);
	must(*nvmetcp_fes_text(fault->fes, true));
	if (fault->fes == NVMETCP_FES_FIELD || fault->fes == NVMETCP_FES_UNSUPPORTED)
		must(fault->fei < NVMETCP_DATA_BYTES);
	else
		must(fault->fei == 0 || fault->fes == NVMETCP_FES_HDGST);
	must(!fault->quiet || type == (rules->controller ? NVMETCP_H2C_TERM : NVMETCP_C2H_TERM));
}

static unsigned encode_again(const struct nvmetcp_pdu *pdu, const struct nvmetcp_rules *peer,
			     uint8_t *ret)
{
	struct nvmetcp_fault fault = { 0 };
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	switch (pdu->type) {
	case NVMETCP_ICREQ:
		return nvmetcp_icreq_encode(&pdu->ic, ret);
	case NVMETCP_ICRESP:
		return nvmetcp_icresp_encode(&pdu->ic, ret);
	case NVMETCP_CMD:
		nvme_sqe_decode(pdu->sqe, &sqe);
		return nvmetcp_cmd_encode(peer, &sqe, pdu->data_bytes, ret);
	case NVMETCP_RESP:
		nvme_cqe_decode(pdu->cqe, &cqe);
		return nvmetcp_resp_encode(peer, &cqe, ret);
	case NVMETCP_R2T:
		return nvmetcp_r2t_encode(peer, &pdu->data, ret);
	case NVMETCP_H2C_DATA:
	case NVMETCP_C2H_DATA:
		return nvmetcp_data_encode(peer, &pdu->data,
					   pdu->flags & (NVMETCP_LAST | NVMETCP_SUCCESS), ret);
	default:
		fault.fes = pdu->term.fes;
		fault.fei = pdu->term.fei;
		nvmetcp_term_encode(peer, &fault, NULL, 0, ret);
		le32_put(ret + NVMETCP_AT_PLEN, NVMETCP_TERM_BYTES + pdu->data_bytes);
		return NVMETCP_TERM_BYTES;
	}
}

static void check_pdu(const struct nvmetcp_pdu *pdu, const struct nvmetcp_rules *rules,
		      const struct nvmetcp_rules *peer)
{
	uint8_t bytes[NVMETCP_TERM_MAX], again[NVMETCP_TERM_MAX];
	struct nvmetcp_pdu back;
	struct nvmetcp_fault fault;
	unsigned head = encode_again(pdu, peer, bytes);

	if (pdu->type == NVMETCP_CMD)
		must(pdu->data_bytes <= CAPSULE_MAX); /* T4 */
	if (pdu->type == NVMETCP_H2C_DATA)
		must(pdu->data_bytes <= H2C_MAX);
	if (pdu->type == NVMETCP_H2C_TERM || pdu->type == NVMETCP_C2H_TERM)
		must(pdu->data_bytes <= NVMETCP_TERM_DATA_MAX);
	must(head <= NVMETCP_HEAD_MAX);
	must(nvmetcp_decode(rules, bytes, head, &back, &fault) == 0);
	must(back.type == pdu->type && back.data_bytes == pdu->data_bytes);
	must(back.head_bytes == head && back.ddgst == pdu->ddgst);
	must(encode_again(&back, peer, again) == head);
	must(memcmp(bytes, again, head) == 0);
}

/* The PDU as the only one of a transfer that fits it, or does not. */
static void check_flow(const struct nvmetcp_pdu *pdu)
{
	struct nvmetcp_flow flow = {
		.begin = pdu->data.offset & 0xffff0000,
		.next = pdu->data.offset & 0xffffff00,
		.end = pdu->data.offset + (pdu->data.length & 0xfffffff0),
	};
	struct nvmetcp_flow before = flow;
	struct nvmetcp_fault fault;

	if (nvmetcp_flow_step(&flow, pdu, &fault) < 0) {
		must(flow.next == before.next && flow.end == before.end);
		must(fault.fes >= NVMETCP_FES_FIELD && fault.fes <= NVMETCP_FES_RANGE);
	} else {
		must(flow.next > before.next && flow.next <= flow.end && flow.end <= before.end);
	}
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct nvmetcp_rules rules, peer;
	struct nvmetcp_fault fault;
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_pdu pdu;
	int r;

	if (size < 2)
		return 0;
	make_rules(data, &rules, &peer);
	size = min_size(size - 2, sizeof(bytes));
	memcpy(bytes, data + 2, size);
	if (data[0] & 16)
		mend_digest(bytes, size);
	r = nvmetcp_decode(&rules, bytes, size, &pdu, &fault);
	must(r <= 0 || (r > (int)size && r <= (int)NVMETCP_HEAD_MAX));
	must(r >= 0 || r == -EPROTO);
	if (r < 0)
		check_fault(&fault, bytes, &rules);
	if (r != 0)
		return 0;
	must(pdu.head_bytes <= size);
	check_pdu(&pdu, &rules, &peer);
	if (pdu.type >= NVMETCP_H2C_DATA)
		check_flow(&pdu);
	return 0;
}
