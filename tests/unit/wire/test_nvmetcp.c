// SPDX-License-Identifier: Apache-2.0
/*
 * PDUs of NVMe/TCP: what one side encodes the other decodes, and each rule of the
 * transport's fatal errors has a PDU that breaks just it (T1..T5).
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"
#include "unit/wire/link.h"

#include "base/crc32c.h"
#include "wire/nvmetcp.h"

static const uint8_t aligns[] = { 4, 8, 12, 64, 72, 128 };

/* Decodes as bytes arrive one by one: only the head is asked for, never less than is there. */
static void decode_slowly(const struct nvmetcp_rules *rules, const uint8_t *bytes, unsigned head,
			  struct nvmetcp_pdu *ret)
{
	struct nvmetcp_fault fault;

	for (size_t size = 0; size < head; size++) {
		int r = nvmetcp_decode(rules, bytes, size, ret, &fault);

		assert_in_range(r, size + 1, head);
	}
	assert_int_equal(nvmetcp_decode(rules, bytes, head, ret, &fault), 0);
	assert_int_equal(ret->head_bytes, head);
}

static void assert_same_data(const struct nvmetcp_data *a, const struct nvmetcp_data *b)
{
	assert_int_equal(a->cccid, b->cccid);
	assert_int_equal(a->ttag, b->ttag);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->length, b->length);
}

static void capsules_pass(const struct link *link)
{
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE, .cid = 0x1234, .cdw15 = 7 }, sqe_back;
	struct nvme_cqe cqe = { .result = 5, .sqhd = 3, .cid = 0x1234, .status = 0x4002 }, cqe_back;
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_pdu pdu;
	unsigned head;

	head = nvmetcp_cmd_encode(&link->host, &sqe, 0, bytes);
	assert_int_equal(head, 72 + (link->host.hdgst ? 4 : 0));
	decode_slowly(&link->ctrl, bytes, head, &pdu);
	assert_int_equal(pdu.type, NVMETCP_CMD);
	assert_int_equal(pdu.data_bytes, 0);
	assert_false(pdu.ddgst);

	head = nvmetcp_cmd_encode(&link->host, &sqe, 8192, bytes);
	assert_int_equal(head % link->host.tx_align, 0);
	decode_slowly(&link->ctrl, bytes, head, &pdu);
	assert_int_equal(pdu.data_bytes, 8192);
	assert_int_equal(pdu.ddgst, link->host.ddgst);
	nvme_sqe_decode(pdu.sqe, &sqe_back);
	assert_int_equal(sqe_back.cid, 0x1234);
	assert_int_equal(sqe_back.cdw15, 7);

	head = nvmetcp_resp_encode(&link->ctrl, &cqe, bytes);
	decode_slowly(&link->host, bytes, head, &pdu);
	assert_int_equal(pdu.type, NVMETCP_RESP);
	nvme_cqe_decode(pdu.cqe, &cqe_back);
	assert_int_equal(cqe_back.status, 0x4002);
	assert_int_equal(pdu.data_bytes, 0);
}

static void data_passes(const struct link *link)
{
	struct nvmetcp_data data = { .cccid = 9, .ttag = 77, .offset = 4096, .length = 8192 };
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_pdu pdu;
	unsigned head;

	head = nvmetcp_r2t_encode(&link->ctrl, &data, bytes);
	decode_slowly(&link->host, bytes, head, &pdu);
	assert_int_equal(pdu.type, NVMETCP_R2T);
	assert_int_equal(pdu.data_bytes, 0);
	assert_same_data(&pdu.data, &data);

	head = nvmetcp_data_encode(&link->host, &data, NVMETCP_LAST, bytes);
	assert_int_equal(head % link->host.tx_align, 0);
	decode_slowly(&link->ctrl, bytes, head, &pdu);
	assert_int_equal(pdu.type, NVMETCP_H2C_DATA);
	assert_int_equal(pdu.flags & NVMETCP_LAST, NVMETCP_LAST);
	assert_int_equal(pdu.data_bytes, 8192);
	assert_int_equal(pdu.ddgst, link->host.ddgst);
	assert_same_data(&pdu.data, &data);

	data.ttag = 0;
	head = nvmetcp_data_encode(&link->ctrl, &data, NVMETCP_LAST | NVMETCP_SUCCESS, bytes);
	assert_int_equal(head % link->ctrl.tx_align, 0);
	decode_slowly(&link->host, bytes, head, &pdu);
	assert_int_equal(pdu.type, NVMETCP_C2H_DATA);
	assert_int_equal(pdu.flags & NVMETCP_SUCCESS, NVMETCP_SUCCESS);
	assert_same_data(&pdu.data, &data);
}

static void what_one_side_encodes_the_other_decodes(void **state)
{
	struct link link;

	for (unsigned digests = 0; digests < 4; digests++)
		for (size_t h = 0; h < ARRAY_LEN(aligns); h++)
			for (size_t c = 0; c < ARRAY_LEN(aligns); c++) {
				link_init(&link, digests & 1, digests & 2, aligns[h], aligns[c]);
				capsules_pass(&link);
				data_passes(&link);
			}
}

/* The greatest head of all: a capsule with digest, aligned to 72. */
static void no_alignment_needs_a_head_longer_than_the_greatest(void **state)
{
	struct nvme_sqe sqe = { 0 };
	uint8_t bytes[256];
	unsigned greatest = 0;
	struct link link;

	for (unsigned align = 4; align <= 128; align += 4) {
		unsigned head;

		link_init(&link, true, true, 4, (uint8_t)align);
		head = nvmetcp_cmd_encode(&link.host, &sqe, 4, bytes);
		greatest = greatest > head ? greatest : head;
	}
	assert_int_equal(greatest, NVMETCP_HEAD_MAX);
}

static void the_two_sides_agree(void **state)
{
	struct nvmetcp_ic icreq = {
		.align = 12, .hdgst = true, .ddgst = true, .maxr2t = UINT32_MAX
	};
	struct nvmetcp_ic icresp = { .align = 128, .ddgst = true, .maxh2cdata = 4096 };
	uint8_t bytes[NVMETCP_IC_BYTES];
	struct nvmetcp_rules host, ctrl;
	struct nvmetcp_pdu req, resp;

	nvmetcp_rules_init(&host, false);
	nvmetcp_rules_init(&ctrl, true);
	host.hdgst = host.ddgst = true;
	assert_int_equal(nvmetcp_icreq_encode(&icreq, bytes), NVMETCP_IC_BYTES);
	decode_slowly(&ctrl, bytes, NVMETCP_IC_BYTES, &req);
	assert_int_equal(req.type, NVMETCP_ICREQ);
	assert_int_equal(req.ic.align, 12);
	assert_true(req.ic.hdgst && req.ic.ddgst);
	assert_int_equal(req.ic.maxr2t, UINT32_MAX);

	assert_int_equal(nvmetcp_icresp_encode(&icresp, bytes), NVMETCP_IC_BYTES);
	decode_slowly(&host, bytes, NVMETCP_IC_BYTES, &resp);
	assert_int_equal(resp.type, NVMETCP_ICRESP);
	assert_int_equal(resp.ic.align, 128);
	assert_true(!resp.ic.hdgst && resp.ic.ddgst);
	assert_int_equal(resp.ic.maxh2cdata, 4096);

	nvmetcp_rules_agree(&host, &req.ic, &resp.ic);
	nvmetcp_rules_agree(&ctrl, &req.ic, &resp.ic);
	assert_true(host.connected && ctrl.connected);
	assert_true(!host.hdgst && !ctrl.hdgst && host.ddgst && ctrl.ddgst);
	assert_int_equal(host.rx_align, 12);
	assert_int_equal(ctrl.tx_align, 12);
	assert_int_equal(host.tx_align, 128);
	assert_int_equal(ctrl.rx_align, 128);
	assert_int_equal(ctrl.h2c_data_max, 4096);
	assert_int_equal(host.h2c_data_max, 4096);
}

static void terminate_requests_tell_why(void **state)
{
	struct nvmetcp_fault fault = { .fes = NVMETCP_FES_FIELD, .fei = 0x01020304 };
	uint8_t bytes[NVMETCP_TERM_MAX], refused[200];
	struct nvmetcp_pdu pdu;
	struct link link;

	memset(refused, 0xaa, sizeof(refused));
	link_init(&link, true, true, 4, 4); /* they have no digests all the same */
	assert_int_equal(nvmetcp_term_encode(&link.ctrl, &fault, refused, 8, bytes), 32);
	decode_slowly(&link.host, bytes, NVMETCP_TERM_BYTES, &pdu);
	assert_int_equal(pdu.type, NVMETCP_C2H_TERM);
	assert_int_equal(pdu.term.fes, NVMETCP_FES_FIELD);
	assert_int_equal(pdu.term.fei, 0x01020304);
	assert_int_equal(pdu.data_bytes, 8);
	assert_memory_equal(bytes + 24, refused, 8);

	assert_int_equal(nvmetcp_term_encode(&link.host, &fault, refused, 200, bytes),
			 NVMETCP_TERM_MAX);
	decode_slowly(&link.ctrl, bytes, NVMETCP_TERM_BYTES, &pdu);
	assert_int_equal(pdu.type, NVMETCP_H2C_TERM);
	assert_int_equal(pdu.data_bytes, NVMETCP_TERM_DATA_MAX);
	assert_int_equal(nvmetcp_term_encode(&link.host, &fault, NULL, 0, bytes), 24);
}

/* Also before ICReq and ICResp. */
static void a_terminate_request_is_taken_at_any_time(void **state)
{
	struct nvmetcp_fault fault = { .fes = NVMETCP_FES_UNSUPPORTED, .fei = 8 };
	uint8_t bytes[NVMETCP_TERM_MAX];
	struct nvmetcp_rules host, ctrl;
	struct nvmetcp_pdu pdu;

	nvmetcp_rules_init(&host, false);
	nvmetcp_rules_init(&ctrl, true);
	nvmetcp_term_encode(&ctrl, &fault, NULL, 0, bytes);
	assert_int_equal(nvmetcp_decode(&host, bytes, 24, &pdu, &fault), 0);
	assert_int_equal(pdu.term.fes, NVMETCP_FES_UNSUPPORTED);
}

/* What is sent, and from whom, before a byte of it is changed. */
enum sent {
	ICREQ,
	ICRESP,
	H_TERM,
	C_TERM,
	CMD,	  /* with 64 bytes of data */
	CMD_BARE, /* without */
	RESP,
	H_DATA,
	C_DATA,
	R2T,
};

static unsigned send(const struct link *link, enum sent sent, uint8_t *bytes)
{
	struct nvmetcp_ic ic = { .align = 4, .maxh2cdata = 4096 };
	struct nvmetcp_data data = { .cccid = 1, .ttag = 2, .offset = 4, .length = 64 };
	struct nvmetcp_fault fault = { .fes = 1 };
	struct nvme_sqe sqe = { 0 };
	struct nvme_cqe cqe = { 0 };

	switch (sent) {
	case ICREQ:
		return nvmetcp_icreq_encode(&ic, bytes);
	case ICRESP:
		return nvmetcp_icresp_encode(&ic, bytes);
	case H_TERM:
		return nvmetcp_term_encode(&link->host, &fault, NULL, 0, bytes);
	case C_TERM:
		return nvmetcp_term_encode(&link->ctrl, &fault, NULL, 0, bytes);
	case CMD:
		return nvmetcp_cmd_encode(&link->host, &sqe, 64, bytes);
	case CMD_BARE:
		return nvmetcp_cmd_encode(&link->host, &sqe, 0, bytes);
	case RESP:
		return nvmetcp_resp_encode(&link->ctrl, &cqe, bytes);
	case H_DATA:
		return nvmetcp_data_encode(&link->host, &data, NVMETCP_LAST, bytes);
	case C_DATA:
		return nvmetcp_data_encode(&link->ctrl, &data, NVMETCP_LAST, bytes);
	default:
		return nvmetcp_r2t_encode(&link->ctrl, &data, bytes);
	}
}

static bool sent_by_host(enum sent sent)
{
	return sent == ICREQ || sent == H_TERM || sent == CMD || sent == CMD_BARE || sent == H_DATA;
}

struct refusal {
	enum sent sent;
	uint8_t at;
	uint8_t size; /* of the field changed; 0: nothing is */
	uint32_t value;
	uint16_t fes;
	uint32_t fei;
};

/* Changes the field, and the header digest with it, so that only the field is wrong. */
static void change(const struct link *link, const struct refusal *r, uint8_t *bytes)
{
	for (unsigned i = 0; i < r->size; i++)
		bytes[r->at + i] = (uint8_t)(r->value >> 8 * i);
	if (link->host.hdgst && r->sent >= CMD && r->at != NVMETCP_AT_HLEN)
		nvmetcp_digest_put(bytes + bytes[2], crc32c(0, bytes, bytes[2]));
}

static void assert_refused(const struct link *link, const struct refusal *r, bool quiet)
{
	const struct nvmetcp_rules *rules = sent_by_host(r->sent) ? &link->ctrl : &link->host;
	struct nvmetcp_pdu untouched, pdu;
	struct nvmetcp_fault fault = { 0 };
	uint8_t bytes[512] = { 0 };
	unsigned head = send(link, r->sent, bytes);

	memset(&untouched, 0x5a, sizeof(untouched));
	pdu = untouched;
	change(link, r, bytes);
	if (nvmetcp_decode(rules, bytes, head, &pdu, &fault) != -EPROTO || fault.fes != r->fes ||
	    fault.fei != r->fei || fault.quiet != quiet)
		fail_msg("sent %d, %u bytes at %u = %#x: fes %u fei %u quiet %d", r->sent, r->size,
			 r->at, r->value, fault.fes, fault.fei, fault.quiet);
	assert_memory_equal(&pdu, &untouched, sizeof(pdu)); /* W1 */
}

#define FIELD	 NVMETCP_FES_FIELD
#define SEQUENCE NVMETCP_FES_SEQUENCE

static void a_connection_begins_with_its_initialization_and_has_no_other(void **state)
{
	static const struct refusal early[] = {
		{ CMD, 0, 0, 0, SEQUENCE, 0 },	  { CMD_BARE, 0, 0, 0, SEQUENCE, 0 },
		{ H_DATA, 0, 0, 0, SEQUENCE, 0 }, { RESP, 0, 0, 0, SEQUENCE, 0 },
		{ C_DATA, 0, 0, 0, SEQUENCE, 0 }, { R2T, 0, 0, 0, SEQUENCE, 0 },
	};
	static const struct refusal late[] = {
		{ ICREQ, 0, 0, 0, SEQUENCE, 0 },
		{ ICRESP, 0, 0, 0, SEQUENCE, 0 },
	};
	struct link link;

	link_init(&link, false, false, 4, 4);
	for (size_t i = 0; i < ARRAY_LEN(late); i++)
		assert_refused(&link, &late[i], false);
	link.host.connected = link.ctrl.connected = false;
	for (size_t i = 0; i < ARRAY_LEN(early); i++)
		assert_refused(&link, &early[i], false);
}

static void initialization_is_checked_field_by_field(void **state)
{
	static const struct refusal refusals[] = {
		{ ICREQ, 2, 1, 127, FIELD, 2 },
		{ ICREQ, 2, 1, 255, FIELD, 2 },
		{ ICREQ, 4, 4, 127, FIELD, 4 },
		{ ICREQ, 4, 4, 129, FIELD, 4 },
		{ ICREQ, 8, 2, 1, NVMETCP_FES_UNSUPPORTED, 8 },
		{ ICREQ, 10, 1, 32, FIELD, 10 },
		{ ICRESP, 2, 1, 8, FIELD, 2 },
		{ ICRESP, 4, 4, 0, FIELD, 4 },
		{ ICRESP, 8, 2, 0x100, NVMETCP_FES_UNSUPPORTED, 8 },
		{ ICRESP, 10, 1, 255, FIELD, 10 },
		{ ICRESP, 11, 1, 1, FIELD, 11 }, /* digests not asked for */
		{ ICRESP, 11, 1, 2, FIELD, 11 },
		{ ICRESP, 12, 4, 4092, FIELD, 12 },
		{ ICRESP, 12, 4, 4098, FIELD, 12 },
	};
	struct link link;

	nvmetcp_rules_init(&link.host, false);
	nvmetcp_rules_init(&link.ctrl, true);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		assert_refused(&link, &refusals[i], false);
}

/* With and without digests. */
static const struct refusal of_headers[] = {
	{ CMD, 0, 1, 0x08, FIELD, 0 },
	{ CMD, 0, 1, 0x0a, FIELD, 0 },
	{ CMD, 0, 1, 0xff, FIELD, 0 },
	{ CMD, 0, 1, 0x05, FIELD, 0 }, /* the other way */
	{ CMD, 0, 1, 0x07, FIELD, 0 },
	{ CMD, 0, 1, 0x03, FIELD, 0 },
	{ RESP, 0, 1, 0x04, FIELD, 0 },
	{ R2T, 0, 1, 0x06, FIELD, 0 },
	{ CMD, 2, 1, 71, FIELD, 2 },
	{ CMD, 2, 1, 73, FIELD, 2 },
	{ CMD, 2, 1, 255, FIELD, 2 },
	{ CMD, 2, 1, 0, FIELD, 2 },
	{ RESP, 2, 1, 28, FIELD, 2 },
	{ H_DATA, 2, 1, 255, FIELD, 2 },
	{ C_DATA, 2, 1, 20, FIELD, 2 },
	{ R2T, 2, 1, 0, FIELD, 2 },
	{ CMD, 3, 1, 0, FIELD, 3 },
	{ CMD, 3, 1, 71, FIELD, 3 },
	{ CMD, 3, 1, 78, FIELD, 3 },
	{ CMD, 3, 1, 148, FIELD, 3 },
	{ CMD, 3, 1, 255, FIELD, 3 },
	{ H_DATA, 3, 1, 20, FIELD, 3 },
	{ H_DATA, 3, 1, 29, FIELD, 3 },
	{ C_DATA, 3, 1, 0, FIELD, 3 },
	{ C_DATA, 3, 1, 255, FIELD, 3 },
	{ CMD_BARE, 4, 4, 0, FIELD, 4 },
	{ CMD_BARE, 4, 4, 71, FIELD, 4 },
	{ RESP, 4, 4, 23, FIELD, 4 },
	{ RESP, 4, 4, 40, FIELD, 4 },
	{ R2T, 4, 4, 0x80000018, FIELD, 4 },
	{ H_DATA, 4, 4, 0, FIELD, 4 },
	{ H_DATA, 4, 4, 0xffffffff, FIELD, 4 },
	{ H_DATA, 4, 4, 24, FIELD, 4 },
	{ C_DATA, 4, 4, 87, FIELD, 4 },
	{ CMD, 4, 4, 0xffffffff, FIELD, 4 },
	{ H_DATA, 12, 4, 2, FIELD, 12 },
	{ C_DATA, 12, 4, 1, FIELD, 12 },
	{ R2T, 12, 4, 3, FIELD, 12 },
	{ R2T, 16, 4, 0, FIELD, 16 },
	{ R2T, 16, 4, 6, FIELD, 16 },
	{ R2T, 16, 4, 0xfffffffc, NVMETCP_FES_RANGE, 0 },
	{ H_DATA, 12, 4, 0xfffffffc, NVMETCP_FES_RANGE, 0 },
	{ C_DATA, 12, 4, 0xfffffff0, NVMETCP_FES_RANGE, 0 },
	{ H_DATA, 16, 4, 60, FIELD, 4 },
	{ C_DATA, 16, 4, 68, FIELD, 4 },
};

static void headers_are_checked_field_by_field(void **state)
{
	struct link link;

	for (unsigned digests = 0; digests < 4; digests++) {
		link_init(&link, digests & 1, digests & 2, 4, 4);
		for (size_t i = 0; i < ARRAY_LEN(of_headers); i++)
			assert_refused(&link, &of_headers[i], false);
	}
}

static void digest_flags_are_what_was_agreed_on(void **state)
{
	static const struct refusal none[] = {
		{ CMD, 1, 1, 1, FIELD, 1 },	 { CMD, 1, 1, 2, FIELD, 1 },
		{ CMD_BARE, 1, 1, 2, FIELD, 1 }, { RESP, 1, 1, 1, FIELD, 1 },
		{ R2T, 1, 1, 1, FIELD, 1 },	 { H_DATA, 1, 1, 5, FIELD, 1 },
		{ H_DATA, 1, 1, 6, FIELD, 1 },	 { C_DATA, 1, 1, 6, FIELD, 1 },
	};
	static const struct refusal both[] = {
		{ CMD, 1, 1, 0, FIELD, 1 },    { CMD, 1, 1, 1, FIELD, 1 },
		{ CMD, 1, 1, 2, FIELD, 1 },    { CMD_BARE, 1, 1, 0, FIELD, 1 },
		{ RESP, 1, 1, 0, FIELD, 1 },   { R2T, 1, 1, 0, FIELD, 1 },
		{ H_DATA, 1, 1, 4, FIELD, 1 }, { H_DATA, 1, 1, 5, FIELD, 1 },
		{ C_DATA, 1, 1, 6, FIELD, 1 }, { C_DATA, 1, 1, 5, FIELD, 1 },
	};
	struct link link;

	link_init(&link, false, false, 4, 4);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_refused(&link, &none[i], false);
	link_init(&link, true, true, 4, 4);
	for (size_t i = 0; i < ARRAY_LEN(both); i++)
		assert_refused(&link, &both[i], false);
}

/* "Without data the flag means nothing". */
static void a_bare_capsule_may_say_there_is_a_data_digest(void **state)
{
	struct refusal set = { CMD_BARE, 1, 1, 3, 0, 0 };
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_fault fault;
	struct nvmetcp_pdu pdu;
	struct link link;
	unsigned head;

	link_init(&link, true, true, 4, 4);
	head = send(&link, CMD_BARE, bytes);
	change(&link, &set, bytes);
	assert_int_equal(nvmetcp_decode(&link.ctrl, bytes, head, &pdu, &fault), 0);
	assert_false(pdu.ddgst);
}

static void success_goes_with_the_last_data_only(void **state)
{
	static const struct refusal r = { C_DATA, 1, 1, NVMETCP_SUCCESS, FIELD, 1 };
	struct link link;

	link_init(&link, false, false, 4, 4);
	assert_refused(&link, &r, false);
}

static void data_is_aligned_as_asked(void **state)
{
	static const struct refusal refusals[] = {
		{ CMD, 3, 1, 76, FIELD, 3 },
		{ CMD, 3, 1, 72, FIELD, 3 },
		{ H_DATA, 3, 1, 32, FIELD, 3 },
		{ C_DATA, 3, 1, 28, FIELD, 3 },
	};
	struct link link;

	link_init(&link, false, false, 12, 48);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		assert_refused(&link, &refusals[i], false);
}

/* T4 */
static void data_beyond_what_was_offered_is_refused_before_it_is_read(void **state)
{
	struct nvmetcp_data data = { .length = LINK_MAXH2CDATA + 4 };
	struct nvme_sqe sqe = { 0 };
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_fault fault;
	struct nvmetcp_pdu pdu;
	struct link link;
	unsigned head;

	link_init(&link, true, true, 4, 4);
	head = nvmetcp_data_encode(&link.host, &data, NVMETCP_LAST, bytes);
	assert_int_equal(nvmetcp_decode(&link.ctrl, bytes, head, &pdu, &fault), -EPROTO);
	assert_int_equal(fault.fes, NVMETCP_FES_LIMIT);
	assert_int_equal(fault.fei, 0);
	data.length = LINK_MAXH2CDATA;
	head = nvmetcp_data_encode(&link.host, &data, NVMETCP_LAST, bytes);
	assert_int_equal(nvmetcp_decode(&link.ctrl, bytes, head, &pdu, &fault), 0);

	link.ctrl.capsule_data_max = 4096;
	head = nvmetcp_cmd_encode(&link.host, &sqe, 4097, bytes);
	assert_int_equal(nvmetcp_decode(&link.ctrl, bytes, head, &pdu, &fault), -EPROTO);
	assert_int_equal(fault.fes, NVMETCP_FES_FIELD);
	assert_int_equal(fault.fei, NVMETCP_AT_PLEN);
	head = nvmetcp_cmd_encode(&link.host, &sqe, 4096, bytes);
	assert_int_equal(nvmetcp_decode(&link.ctrl, bytes, head, &pdu, &fault), 0);

	/* what a controller sends is bounded by the command it answers */
	data.length = 1 << 20;
	head = nvmetcp_data_encode(&link.ctrl, &data, NVMETCP_LAST, bytes);
	assert_int_equal(nvmetcp_decode(&link.host, bytes, head, &pdu, &fault), 0);
}

/* T3 */
static void a_bad_terminate_request_is_not_answered(void **state)
{
	static const struct refusal refusals[] = {
		{ H_TERM, 2, 1, 23, FIELD, 2 },	 { H_TERM, 4, 4, 23, FIELD, 4 },
		{ H_TERM, 4, 4, 153, FIELD, 4 }, { C_TERM, 2, 1, 255, FIELD, 2 },
		{ C_TERM, 4, 4, 0, FIELD, 4 },	 { C_TERM, 4, 4, 0xffffffff, FIELD, 4 },
	};
	struct link link;

	link_init(&link, true, true, 4, 4);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		assert_refused(&link, &refusals[i], true);
}

/* T1: any bit of a header that its digest covers, but the few that say where the digest is. */
static void a_flipped_bit_is_a_digest_error(void **state)
{
	static const enum sent all[] = { CMD, CMD_BARE, RESP, H_DATA, C_DATA, R2T };
	struct nvmetcp_fault fault;
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_pdu pdu;
	struct link link;

	link_init(&link, true, true, 4, 4);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct nvmetcp_rules *rules = sent_by_host(all[i]) ? &link.ctrl : &link.host;
		unsigned head = send(&link, all[i], bytes);
		unsigned hlen = bytes[2];

		for (unsigned bit = 8; bit < (hlen + 4) * 8; bit++) {
			uint32_t digest;

			if (bit == 8 || bit / 8 == NVMETCP_AT_HLEN)
				continue;
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			digest = le32_get(bytes + hlen);
			assert_int_equal(nvmetcp_decode(rules, bytes, head, &pdu, &fault), -EPROTO);
			assert_int_equal(fault.fes, NVMETCP_FES_HDGST);
			assert_int_equal(fault.fei, digest);
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

/* T5 */
static void reserved_bits_are_ignored(void **state)
{
	static const struct refusal changes[] = {
		{ CMD, 1, 1, 0xfc, 0, 0 },    { RESP, 1, 1, 0xfe, 0, 0 },
		{ H_DATA, 1, 1, 0xfc, 0, 0 }, { C_DATA, 1, 1, 0xf4, 0, 0 },
		{ R2T, 1, 1, 0xfe, 0, 0 },    { CMD_BARE, 3, 1, 99, 0, 0 },
		{ RESP, 3, 1, 255, 0, 0 },    { R2T, 3, 1, 1, 0, 0 },
		{ R2T, 20, 4, 1, 0, 0 },      { H_DATA, 20, 4, 1, 0, 0 },
		{ C_DATA, 10, 2, 1, 0, 0 },   { C_TERM, 1, 1, 0xff, 0, 0 },
		{ H_TERM, 3, 1, 9, 0, 0 },    { H_TERM, 14, 4, 9, 0, 0 },
	};
	struct nvmetcp_fault fault;
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_pdu pdu;
	struct link link;

	link_init(&link, false, false, 4, 4);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		const struct nvmetcp_rules *rules = sent_by_host(changes[i].sent) ? &link.ctrl :
										    &link.host;
		unsigned head = send(&link, changes[i].sent, bytes);

		change(&link, &changes[i], bytes);
		assert_int_equal(nvmetcp_decode(rules, bytes, head, &pdu, &fault), 0);
		assert_int_equal(pdu.flags & ~0xf, 0);
		if (pdu.type == NVMETCP_C2H_DATA)
			assert_int_equal(pdu.data.ttag, 0);
	}
}

static struct nvmetcp_pdu moved(uint8_t type, uint32_t offset, uint32_t length, uint8_t flags)
{
	return (struct nvmetcp_pdu){
		.type = type,
		.flags = flags,
		.data = { .offset = offset, .length = length },
	};
}

static int step(struct nvmetcp_flow *flow, uint8_t type, uint32_t offset, uint32_t length,
		uint8_t flags, uint16_t *ret_fes)
{
	struct nvmetcp_flow before = *flow;
	struct nvmetcp_fault fault = { 0 };
	struct nvmetcp_pdu pdu = moved(type, offset, length, flags);
	int r = nvmetcp_flow_step(flow, &pdu, &fault);

	if (r < 0)
		assert_memory_equal(flow, &before, sizeof(before));
	*ret_fes = fault.fes;
	return r;
}

static void data_of_an_r2t_comes_in_order_and_within_it(void **state)
{
	struct nvmetcp_flow flow = { .begin = 4096, .next = 4096, .end = 12288 };
	uint16_t fes;

	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 8192, 4096, NVMETCP_LAST, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_SEQUENCE);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 0, 4096, 0, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_RANGE);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 12292, 4, 0, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_RANGE);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 4096, 8196, NVMETCP_LAST, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_RANGE);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 4096, 4096, NVMETCP_LAST, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_FIELD);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 4096, 8192, 0, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_FIELD);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 4096, 4096, 0, &fes), 0);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 4096, 4096, 0, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_SEQUENCE);
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 8192, 4096, NVMETCP_LAST, &fes), 0);
	assert_true(nvmetcp_flow_done(&flow));
	assert_int_equal(step(&flow, NVMETCP_H2C_DATA, 12284, 4, 0, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_SEQUENCE);
}

static void data_of_a_command_comes_in_order_and_may_end_early(void **state)
{
	struct nvmetcp_flow flow = { .end = 8192 };
	uint16_t fes;

	assert_int_equal(step(&flow, NVMETCP_C2H_DATA, 0, 4096, 0, &fes), 0);
	assert_int_equal(step(&flow, NVMETCP_C2H_DATA, 4096, 4096, 0, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_FIELD); /* it is the last */
	assert_int_equal(step(&flow, NVMETCP_C2H_DATA, 4096, 1024, NVMETCP_LAST, &fes), 0);
	assert_true(nvmetcp_flow_done(&flow));
	assert_int_equal(flow.end, 5120);
	assert_int_equal(step(&flow, NVMETCP_C2H_DATA, 5120, 4, NVMETCP_LAST, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_SEQUENCE);
}

static void r2ts_of_a_command_come_in_order(void **state)
{
	struct nvmetcp_flow flow = { .end = 8192 };
	uint16_t fes;

	assert_int_equal(step(&flow, NVMETCP_R2T, 0, 4096, 0, &fes), 0);
	assert_int_equal(step(&flow, NVMETCP_R2T, 0, 4096, 0, &fes), -EPROTO);
	assert_int_equal(fes, NVMETCP_FES_SEQUENCE);
	assert_int_equal(step(&flow, NVMETCP_R2T, 4096, 4096, 0, &fes), 0);
	assert_true(nvmetcp_flow_done(&flow));
}

static void a_fault_has_the_words_of_the_specification(void **state)
{
	assert_string_equal(nvmetcp_fes_text(NVMETCP_FES_FIELD, true), "Invalid PDU Header Field");
	assert_string_equal(nvmetcp_fes_text(NVMETCP_FES_SEQUENCE, true), "PDU Sequence Error");
	assert_string_equal(nvmetcp_fes_text(NVMETCP_FES_HDGST, true), "Header Digest Error");
	assert_string_equal(nvmetcp_fes_text(NVMETCP_FES_RANGE, true),
			    "Data Transfer Out of Range");
	assert_string_equal(nvmetcp_fes_text(NVMETCP_FES_LIMIT, true),
			    "Data Transfer Limit Exceeded");
	assert_string_equal(nvmetcp_fes_text(NVMETCP_FES_LIMIT, false), "R2T Limit Exceeded");
	assert_string_equal(nvmetcp_fes_text(NVMETCP_FES_UNSUPPORTED, true),
			    "Unsupported Parameter");
	assert_string_equal(nvmetcp_fes_text(0, true), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_side_encodes_the_other_decodes),
		cmocka_unit_test(no_alignment_needs_a_head_longer_than_the_greatest),
		cmocka_unit_test(the_two_sides_agree),
		cmocka_unit_test(terminate_requests_tell_why),
		cmocka_unit_test(a_terminate_request_is_taken_at_any_time),
		cmocka_unit_test(a_connection_begins_with_its_initialization_and_has_no_other),
		cmocka_unit_test(initialization_is_checked_field_by_field),
		cmocka_unit_test(headers_are_checked_field_by_field),
		cmocka_unit_test(digest_flags_are_what_was_agreed_on),
		cmocka_unit_test(a_bare_capsule_may_say_there_is_a_data_digest),
		cmocka_unit_test(success_goes_with_the_last_data_only),
		cmocka_unit_test(data_is_aligned_as_asked),
		cmocka_unit_test(data_beyond_what_was_offered_is_refused_before_it_is_read),
		cmocka_unit_test(a_bad_terminate_request_is_not_answered),
		cmocka_unit_test(a_flipped_bit_is_a_digest_error),
		cmocka_unit_test(reserved_bits_are_ignored),
		cmocka_unit_test(data_of_an_r2t_comes_in_order_and_within_it),
		cmocka_unit_test(data_of_a_command_comes_in_order_and_may_end_early),
		cmocka_unit_test(r2ts_of_a_command_come_in_order),
		cmocka_unit_test(a_fault_has_the_words_of_the_specification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
