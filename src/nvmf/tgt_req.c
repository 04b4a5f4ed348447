// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_req - one command, from its capsule to its answer.
 *
 *	arrived --> CAPSULE (in-capsule data comes) -----------------+
 *	   |   \--> MEMORY (waits) --> R2T (data comes) --------------+--> execute: BIO or HOME
 *	   |           \----------- to the host, or no data ---------/         |      (PAUSED)
 *	   +---- refused: what came with it is dropped -----------------------> SEND --> SENT
 *
 * RQ1. A command is checked before it costs memory or an R2T, and again when it is executed,
 *	since the rules may have changed meanwhile.
 * RQ2. A request that waits for memory holds none.
 * RQ3. Outstanding commands are at most the entries of the queue; more is a fault.
 */
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"
#include "wire/nvme_sgl.h"

/* ---- the pool --------------------------------------------------------------------- */

struct tgt_req *tgt_req_at(struct tgt_conn *conn, uint16_t index)
{
	unsigned chunk = index / TGT_REQ_CHUNK;

	return chunk < conn->chunk_count ? &conn->chunk[chunk][index % TGT_REQ_CHUNK] : NULL;
}

static void req_chunk_new(struct tgt_conn *conn)
{
	struct tgt_req *reqs;

	if (conn->chunk_count == TGT_REQ_CHUNKS)
		return;
	reqs = mem_new(conn->shard->io, TGT_REQ_CHUNK * sizeof(*reqs));
	if (!reqs)
		return;
	for (unsigned i = 0; i < TGT_REQ_CHUNK; i++) {
		reqs[i].conn = conn;
		reqs[i].cmd.conn = conn;
		reqs[i].index = (uint16_t)(conn->chunk_count * TGT_REQ_CHUNK + i);
		list_add_tail(&conn->free, &reqs[i].link);
	}
	conn->chunk[conn->chunk_count++] = reqs;
}

struct tgt_req *tgt_req_get(struct tgt_conn *conn)
{
	if (conn->outstanding >= (conn->state == TGT_CONN_LIVE ? conn->is.entries : 1u)) /* RQ3 */
		return NULL;
	if (list_empty(&conn->free))
		req_chunk_new(conn);
	return list_pop_front(&conn->free, struct tgt_req, link);
}

static void req_free_memory(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;
	struct tgt_shard *shard = conn->shard;

	if (!req->buf)
		return;
	if (req->bufs == &shard->data) {
		conn->data_bytes -= tgt_buf_room(req->buf_bytes);
		if (conn->share)
			conn->share->data_bytes -= tgt_buf_room(req->buf_bytes);
	}
	tgt_buf_put(req->bufs, req->buf, req->buf_bytes);
	req->buf = NULL;
	if (!list_empty(&shard->waiting))
		tgt_shard_memory(shard);
}

void tgt_req_release(struct tgt_req *req)
{
	req_free_memory(req);
	bdev_give_back(&req->loan);
	req->state = TGT_REQ_FREE;
	list_add(&req->conn->free, &req->link);
}

/* ---- command identifiers ------------------------------------------------------------ */

static uint16_t *cid_slot(struct tgt_conn *conn, uint16_t cid)
{
	return &conn->cids[cid & conn->cid_mask];
}

struct tgt_req *tgt_req_by_cid(struct tgt_conn *conn, uint16_t cid)
{
	uint16_t at = conn->cids ? *cid_slot(conn, cid) : 0;

	while (at) {
		struct tgt_req *req = tgt_req_at(conn, (uint16_t)(at - 1));

		if (req->cmd.sqe.cid == cid)
			return req;
		at = req->cid_next;
	}
	return NULL;
}

static void cid_add(struct tgt_req *req)
{
	uint16_t *slot;

	req->conn->outstanding++;
	if (!req->conn->cids)
		return;
	slot = cid_slot(req->conn, req->cmd.sqe.cid);
	req->cid_next = *slot;
	*slot = (uint16_t)(req->index + 1);
}

void tgt_req_forget(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;
	uint16_t *at;

	must(conn->outstanding > 0);
	conn->outstanding--;
	if (!conn->cids)
		return;
	for (at = cid_slot(conn, req->cmd.sqe.cid); *at;
	     at = &tgt_req_at(conn, (uint16_t)(*at - 1))->cid_next) {
		if (*at == req->index + 1) {
			*at = req->cid_next;
			return;
		}
	}
}

/* ---- memory --------------------------------------------------------------------------- */

static void req_own(struct tgt_req *req, struct tgt_bufs *bufs, void *buf, uint32_t bytes)
{
	req->buf = buf;
	req->buf_bytes = bytes;
	req->bufs = bufs;
	req->cmd.data = buf;
}

/*
 * From the memory of reads and R2Ts. A connection may hold so much of it, or one command; and so may
 * all of a host on this reactor, so that one that lets its commands lie stops nobody else.
 */
static bool req_get_data(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;
	struct tgt_share *share = conn->share;
	uint32_t bytes = req->cmd.data_bytes, room = tgt_buf_room(bytes);
	void *buf;

	if (conn->data_bytes && conn->data_bytes + room > TGT_CONN_DATA_MAX)
		return false;
	if (share && share->data_bytes &&
	    share->data_bytes + room > conn->shard->data.max_bytes / TGT_HOST_DATA_PART)
		return false;
	buf = tgt_buf_get(&conn->shard->data, bytes, false);
	if (!buf)
		return false;
	conn->data_bytes += room;
	if (share)
		share->data_bytes += room;
	req_own(req, &conn->shard->data, buf, bytes);
	return true;
}

static void req_wait_memory(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;

	req->state = TGT_REQ_MEMORY;
	req->is_checked = false;
	conn->shard->data_waits++;
	list_add_tail(&conn->waiting, &req->link);
	if (!list_is_linked(&conn->wait_link))
		list_add_tail(&conn->shard->waiting, &conn->wait_link);
}

static void req_go_home(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;
	struct tgt_shard *shard = conn->shard;

	req->state = TGT_REQ_HOME;
	conn->pending++;
	req->cmd.ctrl = conn->is.ctrl;
	req->cmd.mail.run = tgt_cmd_arrived;
	reactor_send(shard->reactor, shard->tgt->home, &req->cmd.mail);
}

/* Its data, if any, is there. */
static void req_execute(struct tgt_req *req)
{
	uint8_t opcode = req->cmd.sqe.opcode;

	if (req->dir == NVME_DIR_TO_HOST)
		req->cmd.ret_bytes = req->cmd.data_bytes;
	if (req->conn->state != TGT_CONN_LIVE || req->conn->is.qid == 0 || opcode == NVME_FABRICS ||
	    opcode == NVME_IO_RESV_REGISTER || opcode == NVME_IO_RESV_REPORT ||
	    opcode == NVME_IO_RESV_ACQUIRE || opcode == NVME_IO_RESV_RELEASE) {
		if (req->dir == NVME_DIR_TO_HOST && req->cmd.data_bytes)
			memset(req->cmd.data, 0, req->cmd.data_bytes);
		req_go_home(req);
		return;
	}
	tgt_io_execute(req);
}

static void req_ask(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;

	req->flow = (struct nvmetcp_flow){ .end = req->cmd.data_bytes };
	req->wants_r2t = true;
	req->is_checked = false;
	req->state = TGT_REQ_R2T;
	if (conn->r2ts++ == 0)
		conn->h2c_due_ns = reactor_now(conn->shard->reactor) + TGT_H2C_NS;
	tgt_send(req);
}

bool tgt_req_take_memory(struct tgt_req *req)
{
	if (!req_get_data(req))
		return false;
	if (req->dir == NVME_DIR_TO_CONTROLLER)
		req_ask(req);
	else
		req_execute(req);
	return true;
}

/* ---- arrival ---------------------------------------------------------------------------- */

/* No data is asked for that an unknown command would bring. The rest home sees (tgt_admin.c). */
static uint16_t admin_check(const struct tgt_req *req)
{
	uint8_t opcode = req->cmd.sqe.opcode;

	if (req->dir != NVME_DIR_TO_CONTROLLER || opcode == NVME_ADMIN_SET_FEATURES ||
	    (opcode >= NVME_ADMIN_VENDOR && req->conn->is.vendor))
		return 0;
	return NVME_INVALID_OPCODE | NVME_DNR;
}

/* Nothing but Connect, with its data in the capsule, and that in little memory. */
static uint16_t stranger_check(const struct tgt_req *req, uint32_t capsule_bytes,
			       const struct nvme_sgl *sgl)
{
	if (req->cmd.sqe.opcode != NVME_FABRICS ||
	    nvme_sqe_fctype(&req->cmd.sqe) != NVME_FABRICS_CONNECT)
		return NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR;
	if (!sgl->in_capsule || sgl->length != NVME_CONNECT_DATA_BYTES ||
	    capsule_bytes > TGT_BUF_MIN)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	return 0;
}

/* Where its data is, and whether it may be executed at all. */
static uint16_t req_decode(struct tgt_req *req, uint32_t capsule_bytes, struct nvme_sgl *sgl)
{
	struct tgt_conn *conn = req->conn;
	uint16_t status = 0;

	if (req->cmd.sqe.flags & NVME_FUSE_MASK && req->cmd.sqe.opcode != NVME_FABRICS)
		return NVME_INVALID_FIELD | NVME_DNR;
	if (req->dir != NVME_DIR_NONE || capsule_bytes)
		status = nvme_sgl_decode(&req->cmd.sqe, capsule_bytes, sgl);
	if (status)
		return status;
	if (sgl->length > TGT_DATA_MAX)
		return NVME_INVALID_FIELD | NVME_DNR;
	if (!sgl->in_capsule && sgl->length % 4) /* data PDUs are of dwords */
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	if (sgl->in_capsule && sgl->length && req->dir != NVME_DIR_TO_CONTROLLER)
		return NVME_SGL_TYPE_INVALID |
		       NVME_DNR; /* to the host there is only the transport's */
	req->cmd.data_bytes = req->dir == NVME_DIR_NONE ? 0 : sgl->length;
	if (conn->state != TGT_CONN_LIVE)
		return stranger_check(req, capsule_bytes, sgl);
	if (req->cmd.sqe.opcode == NVME_FABRICS)
		return 0;
	if (conn->is.qid == 0)
		return admin_check(req);
	if (sgl->in_capsule && req->cmd.sqe.opcode == NVME_IO_WRITE)
		return 0;	  /* its data is already coming: one look will do */
	return tgt_io_check(req); /* RQ1 */
}

/* In-capsule data comes into `buf` (NULL: is dropped). */
static void req_expect_capsule(struct tgt_conn *conn, uint8_t *buf)
{
	conn->rx.to = buf;
	conn->rx.state = TGT_RX_DATA;
}

bool tgt_req_take_capsule(struct tgt_req *req)
{
	struct tgt_conn *conn = req->conn;
	struct tgt_bufs *bufs = &conn->shard->capsule;
	uint8_t *buf = tgt_buf_get(bufs, conn->rx.left, conn->is.qid == 0);

	if (!buf)
		return false;
	req_own(req, bufs, buf, conn->rx.left);
	req->cmd.data = buf + conn->rx.offset;
	req_expect_capsule(conn, buf);
	return true;
}

static void req_stall(struct tgt_conn *conn)
{
	struct tgt_shard *shard = conn->shard;

	conn->rx.state = TGT_RX_STALLED;
	shard->data_waits++;
	if (!list_is_linked(&conn->wait_link))
		list_add_tail(&shard->waiting, &conn->wait_link);
}

/* No data comes with it, or none that it wants. */
static void req_begin(struct tgt_req *req)
{
	if (req->status)
		tgt_req_done(req, req->status);
	else if (req->cmd.data_bytes == 0)
		req_execute(req);
	else if (!tgt_io_lend(req) &&
		 (!list_empty(&req->conn->waiting) || !tgt_req_take_memory(req)))
		req_wait_memory(req);
}

static void req_reset(struct tgt_req *req, const uint8_t *sqe)
{
	req->cmd.data = NULL;
	req->cmd.data_bytes = 0;
	req->cmd.ret_bytes = 0;
	req->cmd.result = 0;
	req->cmd.status = 0;
	req->status = 0;
	req->step = 0;
	req->in_capsule = false;
	req->is_checked = false;
	req->rw = (struct nvme_rw){ 0 };
	req->wants_r2t = false;
	nvme_sqe_decode(sqe, &req->cmd.sqe);
	req->dir = (uint8_t)nvme_sqe_dir(&req->cmd.sqe);
	if (req->dir == NVME_DIR_BOTH)
		req->dir = NVME_DIR_NONE; /* there is no such command */
}

/* All of its data has come with it, and the disk has taken it. */
static bool req_put(struct tgt_req *req, const struct nvmetcp_pdu *pdu, const struct nvme_sgl *sgl)
{
	struct tgt_conn *conn = req->conn;

	if (req->status || !sgl->in_capsule || pdu->ddgst ||
	    conn->rx.behind_bytes < pdu->data_bytes ||
	    !tgt_io_put(req, conn->rx.behind + sgl->offset))
		return false;
	conn->rx.taken = pdu->data_bytes;
	return true;
}

void tgt_req_arrived(struct tgt_conn *conn, const struct nvmetcp_pdu *pdu)
{
	struct tgt_req *req = conn->is_leaving ? NULL : tgt_req_get(conn);
	struct nvme_sgl sgl = { 0 };

	if (!req) {
		tgt_conn_fault_fes(conn, NVMETCP_FES_SEQUENCE, 0);
		return;
	}
	req_reset(req, pdu->sqe);
	if (++conn->sqhd == conn->is.entries)
		conn->sqhd = 0;
	if (tgt_req_by_cid(conn, req->cmd.sqe.cid))
		req->status = NVME_CID_CONFLICT | NVME_DNR;
	else
		req->status = req_decode(req, pdu->data_bytes, &sgl);
	cid_add(req);
	if (!pdu->data_bytes) {
		req_begin(req);
		return;
	}
	if (req_put(req, pdu, &sgl))
		return;
	req->state = TGT_REQ_CAPSULE;
	req->is_checked = false;
	req->in_capsule = sgl.in_capsule;
	conn->rx.req = req;
	conn->rx.left = pdu->data_bytes;
	conn->rx.has_digest = pdu->ddgst;
	conn->rx.offset = sgl.offset;
	if (req->status || !sgl.length)
		req_expect_capsule(conn, NULL);
	else if (!tgt_req_take_capsule(req))
		req_stall(conn);
}

void tgt_req_received(struct tgt_req *req)
{
	if (req->state == TGT_REQ_R2T) {
		if (!nvmetcp_flow_done(&req->flow))
			return;
		req->conn->r2ts--;
	}
	if (req->status)
		tgt_req_done(req, req->status);
	else if (req->state == TGT_REQ_CAPSULE && !req->buf)
		req_begin(req);
	else
		req_execute(req);
}

/* ---- the end ------------------------------------------------------------------------------ */

void tgt_req_done(struct tgt_req *req, uint16_t status)
{
	struct tgt_conn *conn = req->conn;

	if (!tgt_conn_is_open(conn)) {
		tgt_req_forget(req);
		tgt_req_release(req);
		return;
	}
	req->cmd.status = status;
	if (status || req->dir != NVME_DIR_TO_HOST)
		req_free_memory(req);
	req->state = TGT_REQ_SEND;
	tgt_send(req);
}

void tgt_cmd_returned(struct mail *mail, struct reactor *at)
{
	struct tgt_cmd *cmd = container_of(mail, struct tgt_cmd, mail);
	struct tgt_req *req = container_of(cmd, struct tgt_req, cmd);
	struct tgt_conn *conn = req->conn;

	conn->pending--;
	must(cmd->ret_bytes <= cmd->data_bytes);
	if (cmd->sqe.opcode == NVME_FABRICS && cmd->status == 0 && tgt_conn_is_open(conn)) {
		if (nvme_sqe_fctype(&cmd->sqe) == NVME_FABRICS_CONNECT)
			tgt_conn_admitted(conn);
		else if (nvme_sqe_fctype(&cmd->sqe) == NVME_FABRICS_DISCONNECT)
			conn->is_leaving = true;
	}
	tgt_req_done(req, cmd->status);
	tgt_conn_settle(conn);
}

/* Those that nobody else has: they end here, without an answer (N3). */
void tgt_req_drop_all(struct tgt_conn *conn)
{
	for (unsigned i = 0; i < conn->chunk_count * TGT_REQ_CHUNK; i++) {
		struct tgt_req *req = tgt_req_at(conn, (uint16_t)i);

		switch ((enum tgt_req_state)req->state) {
		case TGT_REQ_CAPSULE:
			if (conn->is_receiving && conn->rx.req == req)
				break;
			tgt_req_forget(req);
			tgt_req_release(req);
			break;
		case TGT_REQ_R2T:
			if (conn->is_receiving && conn->rx.req == req)
				break;
			__attribute__((fallthrough));
		case TGT_REQ_MEMORY:
		case TGT_REQ_PAUSED:
		case TGT_REQ_SEND:
			list_del(&req->link);
			tgt_req_forget(req);
			tgt_req_release(req);
			break;
		case TGT_REQ_FREE:
		case TGT_REQ_BIO:
		case TGT_REQ_HOME:
		case TGT_REQ_SENT:
			break;
		}
	}
}
