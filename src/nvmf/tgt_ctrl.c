// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_ctrl - a controller: one association of a host with a subsystem.
 *
 *	LIVE --close: keep-alive expired, admin queue lost, replaced, removed--> CLOSING
 *	CLOSING --last connection drained--> freed; subsys.ctrls_changed
 *
 * CL1. A CLOSING controller takes no connection and executes no command; all its connections
 *	have been told to close.
 * CL2. It is freed when the last of its connections is drained, so that a command, which
 *	holds its connection, holds its controller.
 */
#include <stdio.h>

#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"
#include "nvmf/tgt_fabrics_priv.h"

#define MS_NS (1000ull * 1000)

/* ---- connections ------------------------------------------------------------------- */

void tgt_ctrl_add_conn(struct tgt_ctrl *ctrl, struct tgt_conn *conn)
{
	must(ctrl->state == TGT_CTRL_LIVE && !conn->ctrl);
	conn->ctrl = ctrl;
	list_add_tail(&ctrl->conns, &conn->ctrl_link);
	if (conn->qid)
		ctrl->io_conn_count++;
	else
		ctrl->admin_conn = conn;
}

static void ctrl_free(struct tgt_ctrl *ctrl)
{
	struct tgt_subsys *subsys = ctrl->subsys;

	must(ctrl->state == TGT_CTRL_CLOSING);
	log_info(subsys->tgt->log, "nvmf: association ended", LOG_STR("subsystem", subsys->nqn),
		 LOG_U64("controller", ctrl->cntlid));
	tgt_ctrl_admin_fini(ctrl);
	list_del(&ctrl->link);
	subsys->ctrl_count--;
	event_set(&subsys->ctrls_changed);
	mem_free(ctrl);
}

void tgt_ctrl_del_conn(struct tgt_ctrl *ctrl, struct tgt_conn *conn)
{
	list_del(&conn->ctrl_link);
	if (conn->qid)
		ctrl->io_conn_count--;
	event_set(&ctrl->conns_changed);
	if (ctrl->state == TGT_CTRL_CLOSING && list_empty(&ctrl->conns))
		ctrl_free(ctrl);
}

/* ---- the end -------------------------------------------------------------------------- */

void tgt_ctrl_close(struct tgt_ctrl *ctrl, const char *why)
{
	struct tgt_conn *conn;

	if (ctrl->state == TGT_CTRL_CLOSING)
		return;
	ctrl->state = TGT_CTRL_CLOSING; /* CL1 */
	log_info(ctrl->subsys->tgt->log, "nvmf: association is closed",
		 LOG_STR("subsystem", ctrl->subsys->nqn), LOG_STR("host", ctrl->hostnqn),
		 LOG_U64("controller", ctrl->cntlid), LOG_STR("reason", why));
	timer_stop(&ctrl->kato_timer);
	list_for_each(conn, &ctrl->conns, ctrl_link)
		tgt_conn_home_close(conn);
	tgt_ctrl_admin_abort(ctrl, NVME_ABORTED_SQ_DELETION);
}

void tgt_ctrl_conn_gone(struct tgt_ctrl *ctrl, struct tgt_conn *conn)
{
	if (conn != ctrl->admin_conn)
		return;
	ctrl->admin_conn = NULL;
	tgt_ctrl_admin_abort(ctrl, NVME_ABORTED_SQ_DELETION);
	tgt_ctrl_close(ctrl, "connection lost");
}

static struct tgt_ctrl *ctrl_first(struct tgt_subsys *subsys,
				   bool (*match)(const struct tgt_ctrl *ctrl, const void *arg),
				   const void *arg)
{
	struct tgt_ctrl *ctrl;

	list_for_each(ctrl, &subsys->ctrls, link)
		if (!match || match(ctrl, arg))
			return ctrl;
	return NULL;
}

void tgt_ctrl_close_all(struct fiber *f, struct tgt_subsys *subsys,
			bool (*match)(const struct tgt_ctrl *ctrl, const void *arg),
			const void *arg, const char *why)
{
	struct tgt_ctrl *ctrl, *after;

	for (;;) {
		list_for_each_safe(ctrl, after, &subsys->ctrls, link)
			if (!match || match(ctrl, arg))
				tgt_ctrl_close(ctrl, why);
		/* who ends all wants nobody left who still looks at the subsystem */
		if (!ctrl_first(subsys, match, arg) && (match || !subsys->connecting))
			return;
		event_clear(&subsys->ctrls_changed);
		event_wait_always(f, &subsys->ctrls_changed);
	}
}

void tgt_ctrl_drain_io(struct fiber *f, struct tgt_ctrl *ctrl)
{
	struct tgt_conn *conn;

	while (ctrl->io_conn_count > 0) {
		list_for_each(conn, &ctrl->conns, ctrl_link)
			if (conn->qid)
				tgt_conn_home_close(conn);
		event_clear(&ctrl->conns_changed);
		event_wait_always(f, &ctrl->conns_changed);
	}
}

/* ---- keep-alive ------------------------------------------------------------------------ */

static void kato_fired(struct timer *timer)
{
	struct tgt_ctrl *ctrl = container_of(timer, struct tgt_ctrl, kato_timer);
	struct tgt *tgt = ctrl->subsys->tgt;
	uint64_t now = reactor_now(tgt->home);

	if (now >= ctrl->kato_due_ns)
		tgt_ctrl_close(ctrl, "keep-alive expired");
	else
		timer_start_at(tgt->home, timer, ctrl->kato_due_ns, kato_fired);
}

void tgt_ctrl_keep_alive(struct tgt_ctrl *ctrl)
{
	ctrl->kato_due_ns =
		reactor_now(ctrl->subsys->tgt->home) + (ctrl->kato_ms + TGT_KAS_MS) * MS_NS;
}

void tgt_ctrl_set_kato(struct tgt_ctrl *ctrl, uint32_t kato_ms)
{
	timer_stop(&ctrl->kato_timer);
	if (kato_ms) {
		kato_ms = max_u32(kato_ms, TGT_KATO_MIN_MS);
		kato_ms = min_u32(kato_ms, TGT_KATO_MAX_MS);
		kato_ms = (kato_ms + TGT_KAS_MS - 1) / TGT_KAS_MS * TGT_KAS_MS;
	}
	ctrl->kato_ms = kato_ms;
	if (!kato_ms || ctrl->state != TGT_CTRL_LIVE)
		return;
	tgt_ctrl_keep_alive(ctrl);
	timer_start_at(ctrl->subsys->tgt->home, &ctrl->kato_timer, ctrl->kato_due_ns, kato_fired);
}

/* ---- the beginning ----------------------------------------------------------------------- */

static bool cntlid_is_free(const struct tgt_subsys *subsys, uint16_t cntlid)
{
	const struct tgt_ctrl *ctrl;

	list_for_each(ctrl, &subsys->ctrls, link)
		if (ctrl->cntlid == cntlid)
			return false;
	return true;
}

/* The next one in the range, so that one is not reused at once. 0: none is free. */
static uint16_t cntlid_next(struct tgt_subsys *subsys)
{
	uint32_t count = subsys->cntlid_max - subsys->cntlid_min + 1u;

	for (uint32_t i = 0; i < count && i <= subsys->ctrl_count; i++) {
		uint16_t cntlid = subsys->cntlid_next;

		if (cntlid < subsys->cntlid_min || cntlid > subsys->cntlid_max)
			cntlid = subsys->cntlid_min;
		subsys->cntlid_next = (uint16_t)(cntlid + 1);
		if (cntlid_is_free(subsys, cntlid))
			return cntlid;
	}
	return 0;
}

struct tgt_ctrl *tgt_ctrl_new(const struct tgt_ctrl_args *args)
{
	struct tgt_subsys *subsys = args->subsys;
	uint16_t cntlid = subsys->ctrl_count < TGT_CONTROLLERS_MAX ? cntlid_next(subsys) : 0;
	struct tgt_ctrl *ctrl = cntlid ? mem_new(subsys->tgt->io, sizeof(*ctrl)) : NULL;

	if (!ctrl)
		return NULL;
	ctrl->subsys = subsys;
	ctrl->port = args->conn->port;
	ctrl->cntlid = cntlid;
	snprintf(ctrl->hostnqn, sizeof(ctrl->hostnqn), "%s", args->hostnqn);
	ctrl->host_id = args->host_id;
	list_init(&ctrl->conns);
	event_init(&ctrl->conns_changed);
	timer_init(&ctrl->kato_timer);
	ctrl->connected_ns = reactor_now(subsys->tgt->home);
	list_add_tail(&subsys->ctrls, &ctrl->link);
	subsys->ctrl_count++;
	tgt_ctrl_admin_init(ctrl);
	tgt_ctrl_set_kato(ctrl, args->kato_ms);
	tgt_ctrl_add_conn(ctrl, args->conn);
	log_info(subsys->tgt->log, "nvmf: association", LOG_STR("subsystem", subsys->nqn),
		 LOG_STR("host", ctrl->hostnqn), LOG_U64("controller", cntlid));
	return ctrl;
}

uint64_t tgt_ctrl_cap(const struct tgt_ctrl *ctrl)
{
	const struct nvme_cap cap = {
		.mqes = TGT_QUEUE_ENTRIES_MAX - 1,
		.cqr = true,
		.to = 30, /* 15 s: a reset waits for the bios in flight */
		.css = 1, /* the NVM command set */
	};

	return nvme_cap_encode(&cap);
}

/* ---- tokens -------------------------------------------------------------------------------- */

struct token_call {
	struct tgt_ctrl *ctrl;
	uint64_t token;
};

static int token_set_here(struct fiber *f, void *arg)
{
	const struct token_call *call = arg;
	struct tgt *tgt = call->ctrl->subsys->tgt;
	struct tgt_shard *shard = tgt->shard[reactor_index(fiber_reactor(f))];
	struct tgt_conn *conn;

	list_for_each(conn, &shard->conns, shard_link)
		if (conn->is.ctrl == call->ctrl)
			conn->is.token = call->token;
	return 0;
}

void tgt_ctrl_set_token(struct fiber *f, struct tgt_ctrl *ctrl, uint64_t token)
{
	struct token_call call = { .ctrl = ctrl, .token = token };
	struct tgt *tgt = ctrl->subsys->tgt;

	ctrl->token = token;
	for (unsigned i = 0; i < tgt->shard_count; i++)
		tgt_call_always(f, tgt->shard[i]->reactor, "nvmf-token", token_set_here, &call);
}

/* ---- abort ----------------------------------------------------------------------------------- */

struct abort_call {
	struct tgt_conn *conn;
	uint16_t cid;
	bool is_aborted;
};

/* Only one that has not begun can be taken back: it waits for memory or for a resume. */
static int abort_here(struct fiber *f, void *arg)
{
	struct abort_call *call = arg;
	struct tgt_req *req = tgt_conn_is_open(call->conn) ? tgt_req_by_cid(call->conn, call->cid) :
							     NULL;

	if (!req || (req->state != TGT_REQ_MEMORY && req->state != TGT_REQ_PAUSED))
		return 0;
	list_del(&req->link);
	tgt_req_done(req, NVME_ABORT_REQUESTED);
	call->is_aborted = true;
	return 0;
}

static struct tgt_conn *ctrl_queue(struct tgt_ctrl *ctrl, uint16_t qid)
{
	struct tgt_conn *conn;

	list_for_each(conn, &ctrl->conns, ctrl_link)
		if (conn->qid == qid)
			return conn;
	return NULL;
}

/*
 * The connection may drain while we are on its reactor, but its memory is freed there, by a
 * mail that comes after our fiber.
 */
void tgt_abort_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	struct abort_call call = {
		.conn = ctrl_queue(cmd->ctrl, (uint16_t)cmd->sqe.cdw10),
		.cid = (uint16_t)(cmd->sqe.cdw10 >> 16),
	};

	if (call.conn && call.conn->qid == 0 && tgt_aer_abort(cmd->ctrl, call.cid))
		call.is_aborted = true;
	else if (call.conn &&
		 fiber_call_on(f, call.conn->shard->reactor, "nvmf-abort", abort_here, &call) < 0)
		call.is_aborted = false;
	cmd->result = !call.is_aborted; /* bit 0: not aborted */
	tgt_cmd_done(cmd);
}
