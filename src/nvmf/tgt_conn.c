// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_conn - the life of a connection on its reactor, and the shard it belongs to.
 *
 *	NEW --ICReq--> STRANGER --Connect--> LIVE
 *	  \______________|___________________/ | fault: TERM (terminate request, then the end)
 *	                 |                     v
 *	                 +--------------> CLOSING --nothing pending--> DRAINED --home--> freed
 *
 * CN1. Closing closes the socket first, then drops what was not dispatched; a bio or command that
 *	is under way keeps the connection (pending), and home hears "drained" after the last (N3).
 * CN2. Home hears "gone" when the socket is closed, so that it gives back what it has parked.
 * CN3. The memory is freed here, when home has answered "drained": no mail of it is under way then.
 */
#include "base/cleanup.h"
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"

bool tgt_conn_is_open(const struct tgt_conn *conn)
{
	return conn->state <= TGT_CONN_LIVE;
}

/* ---- the end --------------------------------------------------------------------------- */

static void conn_free(struct task *task)
{
	mem_free(container_of(task, struct tgt_conn, send_task));
}

/* Behind the fibers that earlier mails of home have started (Abort). */
void tgt_conn_free(struct mail *mail, struct reactor *at)
{
	struct tgt_conn *conn = container_of(mail, struct tgt_conn, drained_mail);

	task_init(&conn->send_task, conn_free);
	reactor_post(at, &conn->send_task);
}

/* The association's on this reactor. */
static struct tgt_share *share_join(struct tgt_shard *shard, const struct tgt_ctrl *ctrl)
{
	struct tgt_share *share;

	list_for_each(share, &shard->shares, link)
		if (share->ctrl == ctrl)
			break;
	if (!share) {
		share = mem_new(shard->io, sizeof(*share));
		if (!share)
			return NULL;
		share->ctrl = ctrl;
		list_add_tail(&shard->shares, &share->link);
	}
	share->conn_count++;
	return share;
}

static void share_leave(struct tgt_share *share)
{
	if (!share || --share->conn_count > 0)
		return;
	must(share->data_bytes == 0);
	list_del(&share->link);
	mem_free(share);
}

static void conn_free_requests(struct tgt_conn *conn)
{
	struct tgt_req *req;

	while ((req = list_pop_front(&conn->free, struct tgt_req, link)))
		must(!req->buf);
	for (unsigned i = 0; i < conn->chunk_count; i++)
		mem_free(conn->chunk[i]);
	mem_free(conn->cids);
	mem_free(conn->held);
	conn->chunk_count = 0;
	conn->cids = NULL;
	conn->held = NULL;
}

void tgt_conn_settle(struct tgt_conn *conn)
{
	struct tgt_shard *shard = conn->shard;

	if (conn->state != TGT_CONN_CLOSING || conn->pending)
		return;
	must(conn->outstanding == 0 && list_empty(&conn->batch));
	conn->state = TGT_CONN_DRAINED;
	list_del(&conn->shard_link);
	reactor_unpost(&conn->send_task);
	conn_free_requests(conn);
	share_leave(steal(conn->share));
	if (list_empty(&shard->conns))
		timer_stop(&shard->sweep);
	conn->drained_mail.run = tgt_conn_drained;
	reactor_send(shard->reactor, shard->tgt->home, &conn->drained_mail);
}

/* Nothing more is answered (CN1). */
static void conn_drop(struct tgt_conn *conn)
{
	tgt_req_drop_all(conn);
	list_del(&conn->wait_link);
}

void tgt_conn_close(struct tgt_conn *conn)
{
	struct tgt_shard *shard = conn->shard;

	if (conn->state >= TGT_CONN_CLOSING)
		return;
	conn->state = TGT_CONN_CLOSING;
	if (conn->sock)
		io_sock_close(conn->sock);
	conn->sock = NULL;
	conn_drop(conn);
	conn->gone_mail.run = tgt_conn_gone;
	reactor_send(shard->reactor, shard->tgt->home, &conn->gone_mail); /* CN2 */
	tgt_conn_settle(conn);
}

void tgt_conn_close_wanted(struct mail *mail, struct reactor *at)
{
	tgt_conn_close(container_of(mail, struct tgt_conn, close_mail));
}

/* ---- faults ------------------------------------------------------------------------------ */

static void conn_refuse(struct tgt_conn *conn, const struct nvmetcp_fault *fault,
			const uint8_t *header, size_t size)
{
	conn->first_bytes += nvmetcp_term_encode(&conn->rules, fault, header, size,
						 conn->first + conn->first_bytes);
	tgt_send_first(conn);
}

void tgt_conn_fault(struct tgt_conn *conn, const struct nvmetcp_fault *fault)
{
	struct tgt_shard *shard = conn->shard;

	if (!tgt_conn_is_open(conn))
		return;
	shard->faults++;
	log_warn(shard->log, "nvmf: connection terminated",
		 LOG_STR("reason", nvmetcp_fes_text(fault->fes, true)), LOG_U64("fes", fault->fes),
		 LOG_U64("fei", fault->fei), LOG_U64("queue", conn->is.qid));
	if (fault->quiet) {
		tgt_conn_close(conn);
		return;
	}
	conn->state = TGT_CONN_TERM;
	conn->rx.state = TGT_RX_DROP;
	conn->pdu_due_ns = 0;
	conn_drop(conn);
	conn->term_due_ns = reactor_now(shard->reactor) + TGT_TERM_NS;
	if (conn->parser.have) /* the decoder's refusal; else ours */
		conn_refuse(conn, fault, conn->parser.head, conn->parser.have);
	else
		conn_refuse(conn, fault, conn->rx.head, conn->rx.head_bytes);
}

void tgt_conn_fault_fes(struct tgt_conn *conn, enum nvmetcp_fes fes, uint32_t fei)
{
	const struct nvmetcp_fault fault = { .fes = (uint16_t)fes, .fei = fei };

	tgt_conn_fault(conn, &fault);
}

/* ---- the beginning ------------------------------------------------------------------------ */

static void conn_init(struct tgt_conn *conn)
{
	struct tgt_shard *shard = conn->shard;

	conn->admit_due_ns = reactor_now(shard->reactor) + TGT_ICREQ_NS;
	nvmetcp_rules_init(&conn->rules, true);
	nvmetcp_parser_init(&conn->parser);
	list_init(&conn->free);
	list_init(&conn->waiting);
	list_init(&conn->send_queue);
	list_init(&conn->batch);
	task_init(&conn->send_task, tgt_send_run);
	if (list_empty(&shard->conns))
		tgt_shard_sweep(shard);
	list_add_tail(&shard->conns, &conn->shard_link);
}

void tgt_conn_start(struct mail *mail, struct reactor *at)
{
	struct tgt_conn *conn = container_of(mail, struct tgt_conn, start_mail);
	int r = 0;

	conn_init(conn);
	if (conn->is_moved)
		r = io_sock_adopt(conn->shard->io, &conn->token, &conn->sock);
	if (r < 0)
		conn->sock = NULL;
	if (!conn->sock) { /* lost on the way here */
		tgt_conn_close(conn);
		return;
	}
	io_recv_start(conn->sock, tgt_recv, conn);
}

/* A power of two, as many as there can be commands. */
static void conn_make_cids(struct tgt_conn *conn)
{
	uint32_t count = 16;

	while (count < conn->is.entries)
		count *= 2;
	conn->cids = mem_new(conn->shard->io, count * sizeof(*conn->cids));
	conn->cid_mask = (uint16_t)(count - 1);
}

/* Connect has succeeded: its answer goes out after this. */
void tgt_conn_admitted(struct tgt_conn *conn)
{
	conn->is = conn->admission;
	conn->state = TGT_CONN_LIVE;
	conn->admit_due_ns = 0;
	conn->sqhd = 1; /* Connect itself */
	conn->share = share_join(conn->shard, conn->is.ctrl);
	if (conn->is.qid)
		conn->rules.capsule_data_max = TGT_CAPSULE_DATA;
	conn_make_cids(conn); /* without: duplicates of CIDs go unnoticed, and Abort finds none */
}

/* ---- the shard ------------------------------------------------------------------------------ */

static bool conn_is_late(const struct tgt_conn *conn, uint64_t now)
{
	/* a Connect that is being executed may wait for an older association to drain */
	return (conn->admit_due_ns && now >= conn->admit_due_ns && conn->outstanding == 0) ||
	       (conn->pdu_due_ns && now >= conn->pdu_due_ns) ||
	       (conn->r2ts && now >= conn->h2c_due_ns);
}

static void conn_look(struct tgt_conn *conn, uint64_t now)
{
	struct tgt_shard *shard = conn->shard;

	if (conn->state == TGT_CONN_TERM) {
		if (now >= conn->term_due_ns)
			tgt_conn_close(conn);
	} else if (tgt_conn_is_open(conn) && conn_is_late(conn, now)) {
		shard->timeouts++;
		log_warn(shard->log, "nvmf: connection timed out", LOG_U64("queue", conn->is.qid));
		tgt_conn_close(conn);
	}
}

static void shard_swept(struct timer *timer)
{
	struct tgt_shard *shard = container_of(timer, struct tgt_shard, sweep);
	uint64_t now = reactor_now(shard->reactor);
	struct tgt_conn *conn, *after;

	list_for_each_safe(conn, after, &shard->conns, shard_link)
		conn_look(conn, now);
	if (!list_empty(&shard->waiting))
		tgt_shard_memory(shard);
	if (shard->data.held_bytes == 0)
		tgt_bufs_trim(&shard->data);
	if (shard->capsule.held_bytes == 0)
		tgt_bufs_trim(&shard->capsule);
	if (!list_empty(&shard->conns))
		tgt_shard_sweep(shard);
}

void tgt_shard_sweep(struct tgt_shard *shard)
{
	timer_start(shard->reactor, &shard->sweep, TGT_SWEEP_NS, shard_swept);
}

/* One connection that waits: as much as goes. */
static void conn_serve(struct tgt_conn *conn)
{
	struct tgt_req *req;

	if (conn->rx.state == TGT_RX_STALLED)
		tgt_recv_resume(conn);
	while ((req = list_pop_front(&conn->waiting, struct tgt_req, link))) {
		if (!tgt_req_take_memory(req)) {
			list_add(&conn->waiting, &req->link);
			break;
		}
	}
	if (conn->sock && (conn->rx.state == TGT_RX_STALLED || !list_empty(&conn->waiting)) &&
	    !list_is_linked(&conn->wait_link))
		list_add_tail(&conn->shard->waiting, &conn->wait_link);
}

static void shard_wake(struct task *task)
{
	struct tgt_shard *shard = container_of(task, struct tgt_shard, wake);
	struct list all;
	struct tgt_conn *conn;

	list_init(&all);
	list_splice_tail(&all, &shard->waiting);
	while ((conn = list_pop_front(&all, struct tgt_conn, wait_link)))
		conn_serve(conn);
}

void tgt_shard_memory(struct tgt_shard *shard)
{
	reactor_post(shard->reactor, &shard->wake);
}

void tgt_shard_init(struct tgt_shard *shard)
{
	list_init(&shard->shares);
	list_init(&shard->conns);
	list_init(&shard->waiting);
	task_init(&shard->wake, shard_wake);
	timer_init(&shard->sweep);
	tgt_bufs_init(&shard->data, shard->io, shard->tgt->opts.data_max);
	tgt_bufs_init(&shard->capsule, shard->io, TGT_REACTOR_CAPSULE_MAX);
}
