// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_cmd - commands at home: they wait for a fiber, run, and go back.
 *
 * Admin and fabrics commands have a lane, reservations another. In each at most
 * TGT_CMD_FIBERS_MAX run, besides those that wait for a drain; what waits is bounded by the queues it came from. A command of
 * a connection that is gone goes back unexecuted if it has not begun (N2).
 */
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"
#include "nvmf/tgt_fabrics_priv.h"

void tgt_cmd_done(struct tgt_cmd *cmd)
{
	struct tgt *tgt = cmd->conn->tgt;

	cmd->mail.run = tgt_cmd_returned;
	reactor_send(tgt->home, cmd->conn->shard->reactor, &cmd->mail);
}

void tgt_cmd_fail(struct tgt_cmd *cmd, uint16_t status)
{
	cmd->status = status;
	tgt_cmd_done(cmd);
}

static void cmd_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	if (cmd->conn->home_gone || (cmd->ctrl && cmd->ctrl->state != TGT_CTRL_LIVE))
		tgt_cmd_fail(cmd, NVME_ABORTED_SQ_DELETION);
	else if (cmd->sqe.opcode == NVME_FABRICS)
		tgt_fabrics_execute(f, cmd);
	else if (cmd->conn->qid == 0)
		tgt_admin_execute(f, cmd);
	else
		tgt_resv_execute(f, cmd);
}

static struct tgt_cmd *lane_next(struct tgt_lane *lane)
{
	return list_pop_front(&lane->cmds, struct tgt_cmd, link);
}

static int lane_main(struct fiber *f, struct tgt *tgt, struct tgt_lane *lane)
{
	struct tgt_cmd *cmd;

	while ((cmd = lane_next(lane))) {
		cmd_execute(f, cmd);
		fiber_clear(f);
	}
	lane->fibers--;
	if (!tgt->lane[TGT_LANE_ADMIN].fibers && !tgt->lane[TGT_LANE_RESV].fibers)
		event_set(&tgt->cmds_idle);
	return 0;
}

static int admin_main(struct fiber *f, void *arg)
{
	struct tgt *tgt = arg;

	return lane_main(f, tgt, &tgt->lane[TGT_LANE_ADMIN]);
}

static int resv_main(struct fiber *f, void *arg)
{
	struct tgt *tgt = arg;

	return lane_main(f, tgt, &tgt->lane[TGT_LANE_RESV]);
}

static void lane_kick(struct tgt *tgt, struct tgt_lane *lane)
{
	bool is_resv = lane == &tgt->lane[TGT_LANE_RESV];
	struct tgt_cmd *cmd;

	if (list_empty(&lane->cmds) || lane->fibers - lane->waits >= TGT_CMD_FIBERS_MAX)
		return;
	if (fiber_start(tgt->home, "nvmf-command", is_resv ? resv_main : admin_main, tgt, NULL) ==
	    0) {
		lane->fibers++;
		event_clear(&tgt->cmds_idle);
		return;
	}
	while (lane->fibers == 0 && (cmd = lane_next(lane))) /* nobody would ever come by */
		tgt_cmd_fail(cmd, NVME_COMMAND_INTERRUPTED);
}

void tgt_cmd_wait_begin(struct tgt *tgt)
{
	tgt->lane[TGT_LANE_ADMIN].waits++;
	lane_kick(tgt, &tgt->lane[TGT_LANE_ADMIN]);
}

void tgt_cmd_wait_end(struct tgt *tgt)
{
	tgt->lane[TGT_LANE_ADMIN].waits--;
}

static struct tgt_lane *lane_of(const struct tgt_cmd *cmd)
{
	bool is_resv = cmd->conn->qid && cmd->sqe.opcode != NVME_FABRICS;

	return &cmd->conn->tgt->lane[is_resv ? TGT_LANE_RESV : TGT_LANE_ADMIN];
}

/* Whatever else is stuck, it must not cost a host its association. */
static bool is_keep_alive(const struct tgt_cmd *cmd)
{
	return cmd->sqe.opcode == NVME_ADMIN_KEEP_ALIVE && cmd->conn->qid == 0 && cmd->ctrl &&
	       cmd->ctrl->state == TGT_CTRL_LIVE && !cmd->conn->home_gone;
}

void tgt_cmd_arrived(struct mail *mail, struct reactor *at)
{
	struct tgt_cmd *cmd = container_of(mail, struct tgt_cmd, mail);

	if (is_keep_alive(cmd)) {
		tgt_ctrl_keep_alive(cmd->ctrl);
		tgt_cmd_done(cmd);
		return;
	}
	list_add_tail(&lane_of(cmd)->cmds, &cmd->link);
	lane_kick(cmd->conn->tgt, lane_of(cmd));
}

static void lane_drop(struct tgt_lane *lane, const struct tgt_conn *conn)
{
	struct tgt_cmd *cmd, *after;

	list_for_each_safe(cmd, after, &lane->cmds, link) {
		if (cmd->conn != conn)
			continue;
		list_del(&cmd->link);
		tgt_cmd_fail(cmd, NVME_ABORTED_SQ_DELETION);
	}
}

void tgt_cmd_drop(struct tgt_conn *conn)
{
	for (unsigned i = 0; i < TGT_LANES; i++)
		lane_drop(&conn->tgt->lane[i], conn);
}
