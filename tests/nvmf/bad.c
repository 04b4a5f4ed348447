// SPDX-License-Identifier: Apache-2.0
/*
 * bad - runs one row of the tables of what a host must not send.
 *
 *	reach the state --> build the PDU, spoil it --> send it --> look at the answer
 *
 * K1..K3 stand in bad.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "nvmf/bad.h"

#define BAD_HOST      1
#define BAD_CID	      0x0155
#define BAD_WRITE_CID 0x0055
#define BAD_WRITE     8192u
#define BAD_BLOCKS    8u
#define BAD_PDU_MAX   (NVMETCP_HEAD_MAX + 2 * BAD_WRITE + 64)

struct bad {
	const struct bad_row *row;
	struct host host;
	struct raw *raw; /* the connection it is about */
	struct nvmetcp_data r2t;
	uint8_t pdu[BAD_PDU_MAX];
	size_t size;
	unsigned head;
	uint32_t data_bytes;
	uint8_t data[2 * BAD_WRITE];
	char *why;
};

#define bad_fail(bad, ...) (snprintf((bad)->why, 256, __VA_ARGS__) < 0)

/* --- the state --- */

/* A write of 8 KiB whose R2T was received. */
static int bad_await_r2t(struct bad *bad)
{
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE, .cid = BAD_WRITE_CID, .nsid = 1 };
	struct nvme_rw rw = { .blocks = BAD_WRITE / TARGET_NS1_BLOCK };
	struct nvme_sgl sgl = { .length = BAD_WRITE };
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_pdu pdu;
	int r;

	nvme_rw_encode(&rw, &sqe);
	nvme_sgl_encode(&sgl, &sqe);
	r = raw_send(bad->raw, bytes, nvmetcp_cmd_encode(&bad->raw->rules, &sqe, 0, bytes));
	if (r == 0)
		r = raw_recv(bad->raw, &pdu);
	if (r < 0)
		return r;
	if (pdu.type != NVMETCP_R2T || pdu.data.length != BAD_WRITE || pdu.data.offset)
		return -EPROTO;
	bad->r2t = pdu.data;
	return 0;
}

static int bad_reach(struct bad *bad, const struct target *target)
{
	struct host_opts opts = {
		.port = target->port,
		.subnqn = target->nqn,
		.number = BAD_HOST,
		.digests = bad->row->digests,
		.queues = bad->row->at >= IO,
	};
	int r;

	bad->raw = &bad->host.admin;
	if (bad->row->at >= IO) {
		r = host_open(&bad->host, &opts);
		bad->raw = bad->host.io;
		return r == 0 && bad->row->at == R2T ? bad_await_r2t(bad) : r;
	}
	host_init(&bad->host, &opts);
	if (bad->row->at == ADMIN) {
		r = host_open_admin(&bad->host);
		return r < 0 ? r : host_enable(&bad->host);
	}
	r = raw_open(bad->raw);
	return r == 0 && bad->row->at == HELLO ? raw_hello(bad->raw) : r;
}

/* --- the PDU --- */

static void bad_build_term(struct bad *bad)
{
	struct nvmetcp_fault fault = { .fes = NVMETCP_FES_FIELD, .fei = 4 };
	uint8_t header[NVMETCP_RESP_BYTES] = { NVMETCP_RESP, 0, NVMETCP_RESP_BYTES };

	bad->head = nvmetcp_term_encode(&bad->raw->rules, &fault, header, sizeof(header), bad->pdu);
	bad->size = bad->head;
}

static void bad_build_icreq(struct bad *bad)
{
	struct nvmetcp_ic ic = {
		.align = NVMETCP_ALIGN_MIN,
		.hdgst = bad->row->digests & RAW_HDGST,
		.ddgst = bad->row->digests & RAW_DDGST,
	};

	bad->head = nvmetcp_icreq_encode(&ic, bad->pdu);
	bad->size = bad->head;
}

static void bad_build_h2c(struct bad *bad)
{
	struct nvmetcp_data extent = {
		.cccid = bad->r2t.cccid,
		.ttag = bad->r2t.ttag,
		.offset = bad->row->off,
		.length = bad->row->len && !(bad->row->tricks & T_CUT) ? bad->row->len : BAD_WRITE,
	};
	bool last = extent.offset + extent.length >= BAD_WRITE;

	if (bad->row->tricks & T_NO_LAST)
		last = !last;
	bad->data_bytes = extent.length;
	bad->head =
		nvmetcp_data_encode(&bad->raw->rules, &extent, last ? NVMETCP_LAST : 0, bad->pdu);
}

static void bad_sqe_rw(struct bad *bad, enum nvme_io_opcode opcode, struct nvme_sqe *sqe)
{
	struct nvme_rw rw = { .lba = 16, .blocks = BAD_BLOCKS };

	sqe->opcode = (uint8_t)opcode;
	sqe->nsid = 1;
	nvme_rw_encode(&rw, sqe);
	(void)bad;
}

static void bad_sqe_connect(struct bad *bad, uint16_t qid, struct nvme_sqe *sqe)
{
	struct nvme_connect connect = {
		.qid = qid,
		.sqsize = 31,
		.cntlid = qid ? bad->host.admin.cntlid : NVME_CNTLID_ANY,
	};

	memcpy(connect.host_id, bad->host.join.host_id, sizeof(connect.host_id));
	snprintf(connect.subnqn, sizeof(connect.subnqn), "%s", bad->host.join.subnqn);
	snprintf(connect.hostnqn, sizeof(connect.hostnqn), "%s", bad->host.join.hostnqn);
	nvme_connect_encode(&connect, sqe, bad->data);
	if (bad->row->tricks & T_NUL)
		memset(bad->data + NVME_CONNECT_AT_SUBNQN, 'a', 512);
	bad->data_bytes = NVME_CONNECT_DATA_BYTES;
}

static void bad_sqe_property(enum nvme_fctype type, struct nvme_sqe *sqe)
{
	struct nvme_cc cc = { .enable = true, .iosqes = 6, .iocqes = 4 };
	struct nvme_property get = { .offset = NVME_PROP_CAP, .bytes = 8 };
	struct nvme_property set = { NVME_PROP_CC, 4, nvme_cc_encode(&cc) };

	nvme_property_encode(type == NVME_FABRICS_PROPERTY_GET ? &get : &set, type, sqe);
}

static void bad_sqe_log(struct nvme_sqe *sqe)
{
	struct nvme_get_log log = { .lid = NVME_LID_SMART, .length = NVME_SMART_BYTES };

	nvme_get_log_encode(&log, sqe);
	sqe->nsid = NVME_NSID_ALL;
}

/* Returns how much data the command moves by the transport. */
static uint32_t bad_sqe(struct bad *bad, struct nvme_sqe *sqe)
{
	struct nvme_identify identify = { .cns = NVME_CNS_CTRL };

	switch (bad->row->base) {
	case B_READ:
		bad_sqe_rw(bad, NVME_IO_READ, sqe);
		return BAD_BLOCKS * TARGET_NS1_BLOCK;
	case B_WRITE:
		bad_sqe_rw(bad, NVME_IO_WRITE, sqe);
		return BAD_BLOCKS * TARGET_NS1_BLOCK;
	case B_CAPSULE:
		bad_sqe_rw(bad, NVME_IO_WRITE, sqe);
		bad->data_bytes = BAD_BLOCKS * TARGET_NS1_BLOCK;
		memset(bad->data, 0x33, bad->data_bytes);
		return bad->data_bytes;
	case B_FLUSH:
		sqe->opcode = NVME_IO_FLUSH;
		sqe->nsid = 1;
		return 0;
	case B_CONNECT:
	case B_QUEUE:
		bad_sqe_connect(bad, bad->row->base == B_QUEUE ? 2 : 0, sqe);
		return bad->data_bytes;
	case B_GET:
	case B_SET:
		bad_sqe_property(bad->row->base == B_GET ? NVME_FABRICS_PROPERTY_GET :
							   NVME_FABRICS_PROPERTY_SET,
				 sqe);
		return 0;
	case B_IDENTIFY:
		nvme_identify_encode(&identify, sqe);
		return NVME_IDENTIFY_BYTES;
	case B_LOG:
		bad_sqe_log(sqe);
		return NVME_SMART_BYTES;
	case B_FEATURE:
		sqe->opcode = NVME_ADMIN_GET_FEATURES;
		sqe->cdw10 = NVME_FID_QUEUES;
		return 0;
	default:
		sqe->opcode = NVME_ADMIN_KEEP_ALIVE;
		return 0;
	}
}

static void bad_build_capsule(struct bad *bad)
{
	struct nvme_sqe sqe = { .cid = BAD_CID };
	struct nvme_sgl sgl = { 0 };

	sgl.length = bad_sqe(bad, &sqe);
	sgl.in_capsule = bad->data_bytes > 0;
	nvme_sgl_encode(&sgl, &sqe);
	bad->head = nvmetcp_cmd_encode(&bad->raw->rules, &sqe, bad->data_bytes, bad->pdu);
}

static void bad_put(uint8_t *at, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Behind the head: data, spoilt or not, and their digest. */
static void bad_add_data(struct bad *bad)
{
	uint32_t crc;

	for (unsigned i = 0; i < BAD_PATCHES; i++)
		if (bad->row->patch[i].at >= BAD_DATA)
			bad_put(bad->data + bad->row->patch[i].at - BAD_DATA,
				bad->row->patch[i].size, bad->row->patch[i].value);
	memcpy(bad->pdu + bad->head, bad->data, bad->data_bytes);
	bad->size = bad->head + bad->data_bytes;
	if (!bad->data_bytes || !bad->raw->rules.ddgst)
		return;
	crc = crc32c(0, bad->data, bad->data_bytes);
	nvmetcp_digest_put(bad->pdu + bad->size, bad->row->tricks & T_DDGST ? ~crc : crc);
	bad->size += NVMETCP_DIGEST_BYTES;
}

static void bad_spoil(struct bad *bad)
{
	unsigned hlen = bad->pdu[NVMETCP_AT_HLEN];

	for (unsigned i = 0; i < BAD_PATCHES; i++)
		if (bad->row->patch[i].at < BAD_DATA)
			bad_put(bad->pdu + bad->row->patch[i].at, bad->row->patch[i].size,
				bad->row->patch[i].value);
	if (bad->row->base > B_TERM && bad->raw->rules.connected && bad->raw->rules.hdgst) {
		uint32_t crc = crc32c(0, bad->pdu, hlen);

		nvmetcp_digest_put(bad->pdu + hlen, bad->row->tricks & T_HDGST ? ~crc : crc);
	}
}

static void bad_build(struct bad *bad)
{
	for (uint32_t i = 0; i < sizeof(bad->data); i++)
		bad->data[i] = (uint8_t)(i * 7 + i / 512);
	switch (bad->row->base) {
	case B_NOTHING:
		bad->size = bad->row->len;
		break;
	case B_ICREQ:
		bad_build_icreq(bad);
		break;
	case B_TERM:
		bad_build_term(bad);
		break;
	case B_H2C:
		bad_build_h2c(bad);
		bad_add_data(bad);
		break;
	default:
		bad_build_capsule(bad);
		bad_add_data(bad);
	}
	bad_spoil(bad);
}

static int bad_send(struct bad *bad)
{
	int r = 0;

	if (bad->row->tricks & T_SLOW) {
		for (size_t i = 0; r == 0 && i < bad->size; i++)
			r = raw_send(bad->raw, bad->pdu + i, 1);
		return r;
	}
	if (bad->row->tricks & T_CUT) {
		r = raw_send(bad->raw, bad->pdu, bad->row->len);
		shutdown(bad->raw->fd, SHUT_WR);
		return r;
	}
	for (int i = 0; r == 0 && i < (bad->row->tricks & T_TWICE ? 2 : 1); i++)
		r = raw_send(bad->raw, bad->pdu, bad->size);
	return r;
}

/* --- the answer --- */

/* K1 */
static bool bad_expect_term(struct bad *bad)
{
	const struct bad_want *want = &bad->row->want;
	struct nvmetcp_pdu pdu;
	int r;

	do {
		r = raw_recv(bad->raw, &pdu);
		if (r < 0)
			return bad_fail(bad, "no C2HTermReq: %s", bad->raw->why);
	} while (pdu.type != NVMETCP_C2H_TERM && bad->row->tricks & T_TWICE);
	if (pdu.type != NVMETCP_C2H_TERM)
		return bad_fail(bad, "a PDU of type %u instead of C2HTermReq", pdu.type);
	if (pdu.term.fes != want->a && pdu.term.fes != want->b)
		return bad_fail(bad, "FES %u (FEI %u), not %u", pdu.term.fes, pdu.term.fei,
				want->a);
	if (want->fei != ANY_FEI && pdu.term.fei != want->fei)
		return bad_fail(bad, "FEI %u, not %u", pdu.term.fei, want->fei);
	if (pdu.data_bytes < NVMETCP_CH_BYTES ||
	    memcmp(bad->raw->data, bad->pdu, pdu.data_bytes) != 0)
		return bad_fail(bad, "C2HTermReq repeats %u bytes, not those sent", pdu.data_bytes);
	shutdown(bad->raw->fd, SHUT_WR);
	r = raw_wait_closed(bad->raw);
	return r == 0 || bad_fail(bad, "%s", bad->raw->why);
}

/* The CID that was sent, whatever was patched. */
static uint16_t bad_cid(const struct bad *bad)
{
	return bad->row->base == B_H2C ? BAD_WRITE_CID : le16_get(bad->pdu + NVMETCP_AT_SQE + 2);
}

/* Until the command has its completion. */
static bool bad_take_completion(struct bad *bad, struct nvme_cqe *ret)
{
	struct nvmetcp_pdu pdu;

	for (;;) {
		if (raw_recv(bad->raw, &pdu) < 0)
			return bad_fail(bad, "no completion: %s", bad->raw->why);
		if (pdu.type == NVMETCP_RESP) {
			nvme_cqe_decode(pdu.cqe, ret);
			break;
		}
		if (pdu.type != NVMETCP_C2H_DATA)
			return bad_fail(bad,
					"PDU of type %u instead of a completion (FES %u, FEI %u)",
					pdu.type, pdu.type == NVMETCP_C2H_TERM ? pdu.term.fes : 0,
					pdu.type == NVMETCP_C2H_TERM ? pdu.term.fei : 0);
		if (pdu.flags & NVMETCP_SUCCESS) {
			*ret = (struct nvme_cqe){ .cid = pdu.data.cccid };
			break;
		}
	}
	if (ret->cid != bad_cid(bad))
		return bad_fail(bad, "completion of command %u, not %u", ret->cid, bad_cid(bad));
	return true;
}

static bool bad_expect_status(struct bad *bad)
{
	const struct bad_want *want = &bad->row->want;
	struct nvme_cqe cqe;
	uint16_t status;

	if (!bad_take_completion(bad, &cqe))
		return false;
	status = cqe.status & NVME_SC_MASK;
	if (want->kind == W_REFUSED)
		return status != 0 || bad_fail(bad, "it was taken");
	if (want->kind == W_FINE)
		return status == 0 ||
		       bad_fail(bad, "status %03xh, %s", status, nvme_status_text(status));
	return status == want->a || status == want->b ||
	       bad_fail(bad, "status %03xh (%s), not %03xh (%s)", status, nvme_status_text(status),
			want->a, nvme_status_text(want->a));
}

/* The ICResp, after which the connection has what was agreed on. */
static bool bad_expect_icresp(struct bad *bad)
{
	struct nvmetcp_ic icreq = {
		.align = (uint8_t)((bad->pdu[NVMETCP_AT_PDA] + 1) * 4),
		.hdgst = bad->pdu[NVMETCP_AT_DGST] & 1,
		.ddgst = bad->pdu[NVMETCP_AT_DGST] & 2,
	};
	struct nvmetcp_pdu pdu;

	if (raw_recv(bad->raw, &pdu) < 0)
		return bad_fail(bad, "no ICResp: %s", bad->raw->why);
	if (pdu.type != NVMETCP_ICRESP)
		return bad_fail(bad, "PDU of type %u instead of ICResp", pdu.type);
	bad->raw->icresp = pdu.ic;
	nvmetcp_rules_agree(&bad->raw->rules, &icreq, &pdu.ic);
	return true;
}

/* The write of state R2T ends well; if a row did not send its data, they go now. */
static bool bad_end_write(struct bad *bad)
{
	uint8_t bytes[BAD_PDU_MAX], back[BAD_WRITE];
	struct nvmetcp_pdu pdu;
	struct nvme_cqe cqe = { .status = NVME_INTERNAL_ERROR };
	size_t size;

	if (bad->row->base != B_H2C) {
		size = raw_h2c(bad->raw, &bad->r2t, true, bad->data, bytes);
		if (raw_send(bad->raw, bytes, size) < 0 || raw_recv(bad->raw, &pdu) < 0)
			return bad_fail(bad, "afterwards: %s", bad->raw->why);
		if (pdu.type == NVMETCP_RESP)
			nvme_cqe_decode(pdu.cqe, &cqe);
		if (cqe.status || cqe.cid != BAD_WRITE_CID)
			return bad_fail(bad, "the write did not end well");
	}
	if (host_read(&bad->host, 0, 1, 0, BAD_WRITE / TARGET_NS1_BLOCK, TARGET_NS1_BLOCK, back) <
	    0)
		return bad_fail(bad, "afterwards: %s", bad->host.why);
	if (bad->row->want.kind == W_FINE && memcmp(back, bad->data, BAD_WRITE) != 0)
		return bad_fail(bad, "other data were written");
	return true;
}

/* K2 */
static bool bad_expect_alive(struct bad *bad)
{
	uint8_t block[TARGET_NS1_BLOCK];
	struct nvme_cqe cqe;
	uint64_t value;
	int r;

	switch (bad->row->at) {
	case FRESH:
	case HELLO:
		r = raw_join(bad->raw, &bad->host.join, &cqe);
		if (r == 0 && cqe.status)
			return bad_fail(bad, "afterwards: connect has status %03xh",
					cqe.status & NVME_SC_MASK);
		break;
	case ADMIN:
		r = host_property_get(&bad->host, NVME_PROP_CSTS, 4, &value);
		break;
	case IO:
		r = host_read(&bad->host, 0, 1, 0, 1, TARGET_NS1_BLOCK, block);
		break;
	default:
		return bad_end_write(bad);
	}
	return r == 0 || bad_fail(bad, "afterwards: %s", bad->raw->why);
}

static bool bad_expect(struct bad *bad)
{
	switch (bad->row->want.kind) {
	case W_TERM:
		return bad_expect_term(bad);
	case W_CLOSED:
		while (raw_recv(bad->raw, &(struct nvmetcp_pdu){ 0 }) == 0)
			if (bad->raw->head[0] == NVMETCP_C2H_TERM)
				return bad_fail(bad, "it was answered with C2HTermReq");
		return raw_wait_closed(bad->raw) == 0 || bad_fail(bad, "%s", bad->raw->why);
	case W_ANY:
		return true;
	default:
		if (bad->row->base == B_ICREQ && bad->row->at == FRESH)
			return bad_expect_icresp(bad) && bad_expect_alive(bad);
		return bad_expect_status(bad) && bad_expect_alive(bad);
	}
}

bool bad_run(const struct target *target, const struct bad_row *row, char ret_why[256])
{
	struct bad *bad = calloc(1, sizeof(*bad));
	bool good = false;

	if (!bad)
		return false;
	bad->row = row;
	bad->why = ret_why;
	if (bad_reach(bad, target) < 0) {
		good = bad_fail(bad, "the state was not reached: %s", bad->host.why);
	} else {
		bad_build(bad);
		if (bad_send(bad) < 0 && row->want.kind == W_FINE)
			good = bad_fail(bad, "%s", bad->raw->why);
		else
			good = bad_expect(bad);
	}
	host_close(&bad->host);
	free(bad);
	return good;
}
