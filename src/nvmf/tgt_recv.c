// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_recv - the bytes of a connection, cut into PDUs and put where they belong.
 *
 *	HEAD --command--> tgt_req --> DATA (copied, or received in place) --> DIGEST --> HEAD
 *	     --H2CData--> flow ------/                  ^
 *	                          STALLED (no memory) --/     DROP: after a terminate request
 *
 * Copies of data to the controller: in-capsule data and small H2CData once, from what was
 * received into the memory of the command (or, where the disk is memory, into that); H2CData of which TGT_DIRECT_MIN and more are still
 * missing at the end of what was received: not at all, the kernel puts them there.
 *
 * RV1. A PDU once begun is whole within TGT_PDU_NS, unless we stopped reading.
 * RV2. Data goes to memory only of a request whose transfer it is, within its bounds.
 */
#include "base/crc32c.h"
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"

static void recv_pdu_done(struct tgt_conn *conn)
{
	conn->rx.state = TGT_RX_HEAD;
	conn->rx.req = NULL;
	conn->rx.is_term = false;
	conn->pdu_due_ns = 0; /* RV1 */
}

/* ---- heads ------------------------------------------------------------------------- */

static void recv_icreq(struct tgt_conn *conn, const struct nvmetcp_ic *icreq)
{
	const struct tgt_opts *opts = &conn->shard->tgt->opts;
	const struct nvmetcp_ic icresp = {
		.align = NVMETCP_ALIGN_MIN,
		.hdgst = icreq->hdgst && opts->hdgst != TGT_DIGEST_OFF,
		.ddgst = icreq->ddgst && opts->ddgst != TGT_DIGEST_OFF,
		.maxh2cdata = TGT_H2C_DATA_MAX,
	};

	if ((opts->hdgst == TGT_DIGEST_REQUIRE && !icreq->hdgst) ||
	    (opts->ddgst == TGT_DIGEST_REQUIRE && !icreq->ddgst)) {
		tgt_conn_fault_fes(conn, NVMETCP_FES_UNSUPPORTED, NVMETCP_AT_DGST);
		return;
	}
	conn->first_bytes = nvmetcp_icresp_encode(&icresp, conn->first);
	nvmetcp_rules_agree(&conn->rules, icreq, &icresp);
	conn->state = TGT_CONN_STRANGER;
	conn->admit_due_ns += TGT_CONNECT_NS - TGT_ICREQ_NS;
	tgt_send_first(conn);
	recv_pdu_done(conn);
}

static void recv_h2c_data(struct tgt_conn *conn, const struct nvmetcp_pdu *pdu)
{
	struct tgt_req *req = tgt_req_at(conn, pdu->data.ttag);
	struct nvmetcp_fault fault;

	if (!req || req->state != TGT_REQ_R2T || req->wants_r2t) {
		tgt_conn_fault_fes(conn, NVMETCP_FES_FIELD, NVMETCP_AT_TTAG);
		return;
	}
	if (req->cmd.sqe.cid != pdu->data.cccid) {
		tgt_conn_fault_fes(conn, NVMETCP_FES_FIELD, NVMETCP_AT_CCCID);
		return;
	}
	if (nvmetcp_flow_step(&req->flow, pdu, &fault) < 0) {
		tgt_conn_fault(conn, &fault);
		return;
	}
	conn->rx.req = req;
	conn->rx.to = req->cmd.data + pdu->data.offset; /* RV2 */
	conn->rx.left = pdu->data_bytes;
	conn->rx.has_digest = pdu->ddgst;
	conn->rx.state = TGT_RX_DATA;
	conn->h2c_due_ns = reactor_now(conn->shard->reactor) + TGT_H2C_NS;
}

static void recv_term(struct tgt_conn *conn, const struct nvmetcp_pdu *pdu)
{
	log_warn(conn->shard->log, "nvmf: host ends a connection",
		 LOG_STR("reason", nvmetcp_fes_text(pdu->term.fes, false)),
		 LOG_U64("fes", pdu->term.fes), LOG_U64("fei", pdu->term.fei));
	tgt_conn_close(conn);
}

static void recv_pdu(struct tgt_conn *conn, const struct nvmetcp_pdu *pdu)
{
	switch (pdu->type) {
	case NVMETCP_ICREQ:
		recv_icreq(conn, &pdu->ic);
		return;
	case NVMETCP_CMD:
		conn->rx.crc = 0;
		conn->rx.digest_have = 0;
		tgt_req_arrived(conn, pdu);
		if (conn->rx.state == TGT_RX_HEAD)
			recv_pdu_done(conn);
		return;
	case NVMETCP_H2C_DATA:
		conn->rx.crc = 0;
		conn->rx.digest_have = 0;
		recv_h2c_data(conn, pdu);
		return;
	case NVMETCP_H2C_TERM:
		recv_term(conn, pdu);
		return;
	default:
		tgt_conn_fault_fes(conn, NVMETCP_FES_FIELD, NVMETCP_AT_TYPE);
	}
}

static size_t recv_head(struct tgt_conn *conn, const uint8_t *data, size_t len)
{
	struct nvmetcp_fault fault;
	struct nvmetcp_pdu pdu;
	size_t used;
	int r = nvmetcp_parser_feed(&conn->parser, &conn->rules, data, len, &used, &pdu, &fault);

	if (r < 0) {
		tgt_conn_fault(conn, &fault);
		return len;
	}
	if (r > 0)
		return len;
	/* one that was cut has been gathered, and stays there (V1 of the parser) */
	conn->rx.head = used == pdu.head_bytes ? data : conn->parser.head;
	conn->rx.head_bytes = pdu.hlen;
	conn->rx.behind = data + used;
	conn->rx.behind_bytes = (uint32_t)(len - used);
	conn->rx.taken = 0;
	recv_pdu(conn, &pdu);
	return used + conn->rx.taken;
}

/* ---- data ---------------------------------------------------------------------------- */

static void recv_data_done(struct tgt_conn *conn)
{
	struct tgt_req *req = conn->rx.req;

	recv_pdu_done(conn);
	tgt_req_received(req);
}

static void recv_data_end(struct tgt_conn *conn)
{
	if (conn->rx.has_digest)
		conn->rx.state = TGT_RX_DIGEST;
	else
		recv_data_done(conn);
}

static size_t recv_data(struct tgt_conn *conn, const uint8_t *data, size_t len)
{
	size_t n = min_size(len, conn->rx.left);

	if (conn->rx.has_digest)
		conn->rx.crc = crc32c(conn->rx.crc, data, n);
	if (conn->rx.to) {
		memcpy(conn->rx.to, data, n);
		conn->rx.to += n;
	}
	conn->rx.left -= (uint32_t)n;
	if (conn->rx.left == 0)
		recv_data_end(conn);
	return n;
}

/* A wrong data digest fails the command, not the connection (TCP 1.0, 3.3.1.1). */
static size_t recv_digest(struct tgt_conn *conn, const uint8_t *data, size_t len)
{
	size_t n = min_size(len, NVMETCP_DIGEST_BYTES - conn->rx.digest_have);

	memcpy(conn->rx.digest + conn->rx.digest_have, data, n);
	conn->rx.digest_have = (uint8_t)(conn->rx.digest_have + n);
	if (conn->rx.digest_have == NVMETCP_DIGEST_BYTES) {
		if (!nvmetcp_digest_is(conn->rx.digest, conn->rx.crc) && !conn->rx.req->status)
			conn->rx.req->status = NVME_TRANSIENT_TRANSPORT_ERROR;
		recv_data_done(conn);
	}
	return n;
}

/* ---- holding back ---------------------------------------------------------------------- */

/* Stalled amid bytes that we must take: they are kept, and no more are received. */
static void recv_hold(struct tgt_conn *conn, const uint8_t *data, size_t len)
{
	must(!conn->held);
	conn->held = mem_new(conn->shard->io, len);
	if (!conn->held) {
		tgt_conn_close(conn);
		return;
	}
	memcpy(conn->held, data, len);
	conn->held_bytes = (uint32_t)len;
}

static void recv_bytes(struct tgt_conn *conn, const uint8_t *data, size_t len)
{
	while (len > 0 && conn->sock) {
		size_t n;

		switch ((enum tgt_rx)conn->rx.state) {
		case TGT_RX_HEAD:
			n = recv_head(conn, data, len);
			break;
		case TGT_RX_DATA:
			n = recv_data(conn, data, len);
			break;
		case TGT_RX_DIGEST:
			n = recv_digest(conn, data, len);
			break;
		case TGT_RX_STALLED:
			recv_hold(conn, data, len);
			return;
		case TGT_RX_DROP:
		default:
			return;
		}
		data += n;
		len -= n;
	}
}

/* ---- in place --------------------------------------------------------------------------- */

static void recv_direct_done(struct io_op *op)
{
	struct tgt_conn *conn = container_of(op, struct tgt_conn, recv_op);
	struct tgt_req *req = conn->rx.req;

	conn->is_receiving = false;
	conn->pending--;
	if (!conn->sock) { /* closed meanwhile: the last one that held the request */
		tgt_req_forget(req);
		tgt_req_release(req);
	} else if (op->res != (int64_t)conn->recv_iov.iov_len) {
		tgt_conn_close(conn);
	} else {
		if (conn->rx.has_digest)
			conn->rx.crc = crc32c(conn->rx.crc, conn->recv_iov.iov_base,
					      conn->recv_iov.iov_len);
		conn->rx.left = 0;
		recv_data_end(conn);
	}
	tgt_conn_settle(conn);
}

static void recv_direct(struct tgt_conn *conn)
{
	conn->recv_iov = (struct iovec){ .iov_base = conn->rx.to, .iov_len = conn->rx.left };
	conn->is_receiving = true;
	conn->pending++;
	io_prep_recv(&conn->recv_op, conn->sock, &conn->recv_iov, 1, recv_direct_done);
	io_submit(conn->shard->io, &conn->recv_op);
}

/* All bytes there are have been used. */
static void recv_wait(struct tgt_conn *conn)
{
	if (!conn->sock)
		return;
	if (conn->rx.state == TGT_RX_STALLED) {
		conn->pdu_due_ns = 0; /* RV1 */
		if (!conn->is_held_back)
			io_recv_stop(conn->sock);
		conn->is_held_back = true;
		return;
	}
	if (conn->is_held_back) {
		conn->is_held_back = false;
		io_recv_start(conn->sock, tgt_recv, conn);
	}
	if (!conn->pdu_due_ns &&
	    (conn->rx.state != TGT_RX_HEAD || !nvmetcp_parser_idle(&conn->parser)))
		conn->pdu_due_ns = reactor_now(conn->shard->reactor) + TGT_PDU_NS;
	if (conn->rx.state == TGT_RX_DATA && conn->rx.to && conn->rx.left >= TGT_DIRECT_MIN)
		recv_direct(conn);
}

void tgt_recv(void *ctx, const uint8_t *data, ssize_t len)
{
	struct tgt_conn *conn = ctx;

	if (len <= 0) {
		tgt_conn_close(conn);
		return;
	}
	recv_bytes(conn, data, (size_t)len);
	recv_wait(conn);
}

void tgt_recv_resume(struct tgt_conn *conn)
{
	uint8_t *held = conn->held;
	uint32_t bytes = conn->held_bytes;

	if (!tgt_req_take_capsule(conn->rx.req))
		return;
	conn->held = NULL;
	if (held)
		recv_bytes(conn, held, bytes);
	mem_free(held);
	recv_wait(conn);
}
