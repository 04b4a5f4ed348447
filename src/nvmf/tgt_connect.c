// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_connect - Connect: an admin queue makes an association, an I/O queue joins one.
 *
 * CO1. An admin Connect is answered only when no older association of the host with the subsystem
 *	through this port is left, drained ones included (N4, B.5). So what a host sent before it
 *	connected anew has been executed or never will be.
 * CO2. Through another port, while an older one lives: refused, unless the subsystem is multipath.
 */
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"
#include "nvmf/tgt_fabrics_priv.h"

static void connect_refuse(struct tgt_cmd *cmd, uint32_t bad)
{
	cmd->result = bad;
	tgt_cmd_fail(cmd, NVME_CONNECT_INVALID_PARAMS | NVME_DNR);
}

static void connect_admit(struct tgt_cmd *cmd, struct tgt_ctrl *ctrl,
			  const struct nvme_connect *connect)
{
	struct tgt_conn *conn = cmd->conn;

	tgt_conn_no_stranger(conn);
	conn->admission = (struct tgt_admission){
		.ctrl = ctrl,
		.table = ctrl->subsys->table[conn->shard->index],
		.host_id = ctrl->host_id,
		.token = ctrl->token,
		.qid = connect->qid,
		.entries = (uint16_t)(connect->sqsize + 1),
		.no_flow_control = connect->cattr & NVME_CATTR_NO_FLOW_CONTROL,
		.vendor = ctrl->subsys->vendor,
	};
	cmd->result = ctrl->cntlid;
	tgt_cmd_done(cmd);
}

/* ---- the association rule ------------------------------------------------------------ */

struct same {
	const struct nvme_connect *connect;
	const struct tgt_port *port;
};

static bool same_host(const struct tgt_ctrl *ctrl, const struct nvme_connect *connect)
{
	return memcmp(ctrl->host_id.bytes, connect->host_id, NVME_HOST_ID_BYTES) == 0 &&
	       strcmp(ctrl->hostnqn, connect->hostnqn) == 0;
}

static bool same_association(const struct tgt_ctrl *ctrl, const struct same *same)
{
	return ctrl->port == same->port && same_host(ctrl, same->connect);
}

/* CO2: a live one through another port. */
static bool lives_elsewhere(const struct tgt_subsys *subsys, const struct same *same)
{
	const struct tgt_ctrl *ctrl;

	list_for_each(ctrl, &subsys->ctrls, link)
		if (ctrl->port != same->port && same_host(ctrl, same->connect))
			return true;
	return false;
}

/*
 * A disk that hangs can make this last. It ends when the host has given up the connection, and
 * does not count among the commands that run, so that others go on.
 */
static void association_replace(struct fiber *f, struct tgt_cmd *cmd, struct tgt_subsys *subsys,
				const struct same *same)
{
	struct tgt *tgt = subsys->tgt;
	struct tgt_ctrl *ctrl, *after;

	cmd->conn->waits = &subsys->ctrls_changed;
	tgt_cmd_wait_begin(tgt);
	while (!cmd->conn->home_gone) {
		bool any = false;

		list_for_each_safe(ctrl, after, &subsys->ctrls, link) {
			if (!same_association(ctrl, same))
				continue;
			any = true;
			tgt_ctrl_close(ctrl, "replaced");
		}
		if (!any)
			break;
		event_clear(&subsys->ctrls_changed);
		event_wait_always(f, &subsys->ctrls_changed);
	}
	tgt_cmd_wait_end(tgt);
	cmd->conn->waits = NULL;
}

static void connect_admin(struct fiber *f, struct tgt_cmd *cmd, struct tgt_subsys *subsys,
			  const struct nvme_connect *connect)
{
	const struct same same = { .connect = connect, .port = cmd->conn->port };
	struct tgt_ctrl_args args = {
		.subsys = subsys,
		.conn = cmd->conn,
		.hostnqn = connect->hostnqn,
		.kato_ms = connect->kato_ms,
	};
	struct tgt_ctrl *ctrl;

	if (connect->cntlid != NVME_CNTLID_ANY) {
		connect_refuse(cmd, nvme_connect_bad(true, NVME_CONNECT_AT_CNTLID));
		return;
	}
	if (!subsys->is_discovery) {
		if (!subsys->multipath && lives_elsewhere(subsys, &same)) {
			log_warn(subsys->tgt->log,
				 "nvmf: the host has an association through another port",
				 LOG_STR("subsystem", subsys->nqn),
				 LOG_STR("host", connect->hostnqn));
			tgt_cmd_fail(cmd, NVME_CONNECT_BUSY);
			return;
		}
		association_replace(f, cmd, subsys, &same); /* CO1 */
	}
	if (cmd->conn->home_gone || subsys->is_removing) {
		tgt_cmd_fail(cmd, NVME_CONNECT_BUSY);
		return;
	}
	memcpy(args.host_id.bytes, connect->host_id, NVME_HOST_ID_BYTES);
	cmd->conn->qid = 0;
	ctrl = tgt_ctrl_new(&args);
	if (!ctrl)
		tgt_cmd_fail(cmd, NVME_CONNECT_BUSY);
	else
		connect_admit(cmd, ctrl, connect);
}

/* ---- I/O queues -------------------------------------------------------------------------- */

static struct tgt_ctrl *ctrl_by_id(struct tgt_subsys *subsys, uint16_t cntlid)
{
	struct tgt_ctrl *ctrl;

	list_for_each(ctrl, &subsys->ctrls, link)
		if (ctrl->cntlid == cntlid)
			return ctrl;
	return NULL;
}

static bool queue_exists(const struct tgt_ctrl *ctrl, uint16_t qid)
{
	const struct tgt_conn *conn;

	list_for_each(conn, &ctrl->conns, ctrl_link)
		if (conn->qid == qid)
			return true;
	return false;
}

static unsigned queues_allowed(const struct tgt_ctrl *ctrl)
{
	uint16_t granted = ctrl->admin.queues_granted;

	return granted ? granted : TGT_QUEUES_MAX;
}

static void connect_io(struct tgt_cmd *cmd, struct tgt_subsys *subsys,
		       const struct nvme_connect *connect)
{
	struct tgt_ctrl *ctrl = ctrl_by_id(subsys, connect->cntlid);

	if (!ctrl || ctrl->state != TGT_CTRL_LIVE || ctrl->port != cmd->conn->port) {
		connect_refuse(cmd, nvme_connect_bad(true, NVME_CONNECT_AT_CNTLID));
	} else if (strcmp(ctrl->hostnqn, connect->hostnqn) != 0) {
		connect_refuse(cmd, nvme_connect_bad(true, NVME_CONNECT_AT_HOSTNQN));
	} else if (!same_host(ctrl, connect)) {
		connect_refuse(cmd, nvme_connect_bad(true, NVME_CONNECT_AT_HOST_ID));
	} else if (subsys->is_discovery || connect->qid > queues_allowed(ctrl)) {
		connect_refuse(cmd, nvme_connect_bad(false, NVME_CONNECT_AT_QID));
	} else if (ctrl->csts != NVME_CSTS_READY || ctrl->is_changing ||
		   queue_exists(ctrl, connect->qid)) {
		tgt_cmd_fail(cmd, NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR);
	} else {
		cmd->conn->qid = connect->qid;
		tgt_ctrl_add_conn(ctrl, cmd->conn);
		connect_admit(cmd, ctrl, connect);
	}
}

/* ---- both ---------------------------------------------------------------------------------- */

static void connect_to(struct fiber *f, struct tgt_cmd *cmd, const struct nvme_connect *connect)
{
	struct tgt *tgt = cmd->conn->tgt;
	struct tgt_subsys *subsys = tgt_subsys_find(tgt, connect->subnqn);

	if (!subsys || subsys->is_removing || tgt->is_closing ||
	    !tgt_subsys_is_on(subsys, cmd->conn->port)) {
		log_warn(tgt->log, "nvmf: no such subsystem", LOG_STR("subsystem", connect->subnqn),
			 LOG_STR("host", connect->hostnqn));
		connect_refuse(cmd, nvme_connect_bad(true, NVME_CONNECT_AT_SUBNQN));
	} else if (!subsys->is_discovery && !tgt_host_may_connect(subsys, connect->hostnqn)) {
		log_warn(tgt->log, "nvmf: host is not allowed", LOG_STR("subsystem", subsys->nqn),
			 LOG_STR("host", connect->hostnqn));
		tgt_cmd_fail(cmd, NVME_CONNECT_INVALID_HOST | NVME_DNR);
	} else if (connect->sqsize >= TGT_QUEUE_ENTRIES_MAX) {
		connect_refuse(cmd, nvme_connect_bad(false, NVME_CONNECT_AT_SQSIZE));
	} else if (connect->qid == 0) {
		subsys->connecting++;
		connect_admin(f, cmd, subsys, connect);
		subsys->connecting--;
		event_set(&subsys->ctrls_changed);
	} else {
		connect_io(cmd, subsys, connect);
	}
}

void tgt_connect_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	struct nvme_connect connect;
	uint32_t bad = 0;

	if (cmd->ctrl) {
		tgt_cmd_fail(cmd, NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR);
		return;
	}
	cmd->status = nvme_connect_decode(&cmd->sqe, cmd->data, cmd->data_bytes, &connect, &bad);
	if (cmd->status) {
		cmd->result = bad;
		tgt_cmd_done(cmd);
		return;
	}
	connect_to(f, cmd, &connect);
}
