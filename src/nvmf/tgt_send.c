// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_send - answers and R2Ts leave in one gathered send a turn.
 *
 *	tgt_send --> send_queue --task, at the end of the turn--> batch --IO_SEND--> done
 *
 * Heads and answers are built one behind the other in conn->heads; data goes from the memory
 * it was read into, or from where the disk has lent it. What does not fit waits for the end of this send: one is under way at a time.
 *
 * SE1. A command is answered, its CID free and its place in the queue given back, when its
 *	answer has been built: the host may use them before we hear that it was sent.
 * SE2. Its memory, or what was lent to it, stays until the send has ended.
 */
#include "base/crc32c.h"
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"

#define ANSWER_ROOM                                                     \
	(NVMETCP_HEAD_MAX + NVMETCP_DIGEST_BYTES + NVMETCP_RESP_BYTES + \
	 NVMETCP_DIGEST_BYTES) /* of heads, at most */
#define ANSWER_IOVS (2u + BDEV_LOAN_PIECES)

struct batch {
	struct tgt_conn *conn;
	unsigned used; /* of heads */
};

static void batch_add(struct batch *b, const void *base, size_t len)
{
	struct tgt_conn *conn = b->conn;
	struct iovec *last = conn->iov_count ? &conn->iov[conn->iov_count - 1] : NULL;

	if (last && (const uint8_t *)last->iov_base + last->iov_len == base) {
		last->iov_len += len;
		return;
	}
	must(conn->iov_count < TGT_IOVS_MAX);
	conn->iov[conn->iov_count++] =
		(struct iovec){ .iov_base = (void *)(uintptr_t)base, .iov_len = len };
}

/* `bytes` were built at the end of heads. */
static void batch_built(struct batch *b, unsigned bytes)
{
	batch_add(b, b->conn->heads + b->used, bytes);
	b->used += bytes;
	must(b->used <= TGT_HEADS_BYTES);
}

static uint8_t *batch_at(struct batch *b)
{
	return b->conn->heads + b->used;
}

static void answer_r2t(struct batch *b, struct tgt_req *req)
{
	const struct nvmetcp_data r2t = {
		.cccid = req->cmd.sqe.cid,
		.ttag = req->index,
		.offset = req->flow.begin,
		.length = req->flow.end - req->flow.begin,
	};

	batch_built(b, nvmetcp_r2t_encode(&b->conn->rules, &r2t, batch_at(b)));
	req->wants_r2t = false;
	req->state = TGT_REQ_R2T;
}

/* The data of a read, from where it lies; its digest. */
static uint32_t answer_bytes(struct batch *b, const struct tgt_req *req)
{
	const struct bdev_loan *loan = &req->loan;
	struct iovec own = { .iov_base = req->cmd.data, .iov_len = req->cmd.ret_bytes };
	uint32_t crc = 0;

	for (uint32_t i = 0; i < max_u64(loan->count, 1); i++) {
		const struct iovec *iov = loan->count ? &loan->piece[i].iov : &own;

		batch_add(b, iov->iov_base, iov->iov_len);
		if (b->conn->rules.ddgst)
			crc = crc32c(crc, iov->iov_base, iov->iov_len);
	}
	return crc;
}

static void answer_data(struct batch *b, struct tgt_req *req, bool is_all)
{
	const struct nvmetcp_rules *rules = &b->conn->rules;
	const struct nvmetcp_data data = {
		.cccid = req->cmd.sqe.cid,
		.length = req->cmd.ret_bytes,
	};
	uint8_t flags = NVMETCP_LAST | (is_all ? NVMETCP_SUCCESS : 0);
	uint32_t crc;

	batch_built(b, nvmetcp_data_encode(rules, &data, flags, batch_at(b)));
	crc = answer_bytes(b, req);
	if (rules->ddgst) {
		nvmetcp_digest_put(batch_at(b), crc);
		batch_built(b, NVMETCP_DIGEST_BYTES);
	}
}

static void answer_status(struct batch *b, const struct tgt_req *req)
{
	const struct nvme_cqe cqe = {
		.result = req->cmd.result,
		.sqhd = b->conn->is.no_flow_control ? 0 : b->conn->sqhd,
		.cid = req->cmd.sqe.cid,
		.status = req->cmd.status,
	};

	batch_built(b, nvmetcp_resp_encode(&b->conn->rules, &cqe, batch_at(b)));
}

static void answer(struct batch *b, struct tgt_req *req)
{
	struct tgt_conn *conn = b->conn;
	bool has_data = req->dir == NVME_DIR_TO_HOST && req->cmd.status == 0 && req->cmd.ret_bytes;
	/* the success flag cannot carry what a completion would tell (TCP 1.0, 3.3.2.2) */
	bool is_all = has_data && conn->is.no_flow_control && req->cmd.result == 0;

	if (has_data)
		answer_data(b, req, is_all);
	if (!is_all)
		answer_status(b, req);
	tgt_req_forget(req); /* SE1 */
	if (has_data) {
		req->state = TGT_REQ_SENT;
		list_add_tail(&conn->batch, &req->link); /* SE2 */
	} else {
		tgt_req_release(req);
	}
}

static void batch_fill(struct batch *b)
{
	struct tgt_conn *conn = b->conn;
	struct tgt_req *req;

	conn->iov_count = 0;
	if (conn->first_bytes) {
		memcpy(conn->heads, conn->first, conn->first_bytes);
		batch_built(b, conn->first_bytes);
		conn->first_bytes = 0;
	}
	while (b->used + ANSWER_ROOM <= TGT_HEADS_BYTES &&
	       conn->iov_count + ANSWER_IOVS <= TGT_IOVS_MAX &&
	       (req = list_pop_front(&conn->send_queue, struct tgt_req, link))) {
		if (req->wants_r2t)
			answer_r2t(b, req);
		else
			answer(b, req);
	}
}

static void send_done(struct io_op *op)
{
	struct tgt_conn *conn = container_of(op, struct tgt_conn, send_op);
	struct tgt_req *req;

	conn->is_sending = false;
	conn->pending--;
	while ((req = list_pop_front(&conn->batch, struct tgt_req, link)))
		tgt_req_release(req);
	if (op->res < 0 && conn->sock)
		tgt_conn_close(conn);
	else if (conn->sock)
		reactor_post(conn->shard->reactor, &conn->send_task);
	tgt_conn_settle(conn);
}

void tgt_send_run(struct task *task)
{
	struct tgt_conn *conn = container_of(task, struct tgt_conn, send_task);
	struct batch b = { .conn = conn };

	if (conn->is_sending || !conn->sock)
		return;
	batch_fill(&b);
	if (conn->iov_count == 0) {
		if (conn->state == TGT_CONN_TERM && !conn->is_flushed_shut) {
			conn->is_flushed_shut = true;
			io_sock_shutdown(conn->sock);
		} else if (conn->is_leaving && conn->outstanding == 0) {
			tgt_conn_close(conn);
		}
		return;
	}
	conn->is_sending = true;
	conn->pending++;
	io_prep_send(&conn->send_op, conn->sock, conn->iov, conn->iov_count, 0, send_done);
	io_submit(conn->shard->io, &conn->send_op);
}

void tgt_send(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;

	list_add_tail(&conn->send_queue, &req->link);
	reactor_post(conn->shard->reactor, &conn->send_task);
}

void tgt_send_first(struct tgt_conn *conn)
{
	reactor_post(conn->shard->reactor, &conn->send_task);
}
