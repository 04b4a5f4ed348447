// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_cmd - commands at home: they wait for a fiber, run, and go back.
 *
 * At most TGT_CMD_FIBERS_MAX run, besides those that wait for a drain; what waits is bounded by the queues it came from. A command of
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

static int cmds_main(struct fiber *f, void *arg)
{
	struct tgt *tgt = arg;
	struct tgt_cmd *cmd;

	while ((cmd = list_pop_front(&tgt->cmds, struct tgt_cmd, link))) {
		cmd_execute(f, cmd);
		fiber_clear(f);
	}
	if (--tgt->cmd_fibers == 0)
		event_set(&tgt->cmds_idle);
	return 0;
}

static void cmds_run(struct tgt *tgt)
{
	if (tgt->cmd_fibers - tgt->cmd_waits >= TGT_CMD_FIBERS_MAX)
		return;
	if (fiber_start(tgt->home, "nvmf-command", cmds_main, tgt, NULL) == 0) {
		tgt->cmd_fibers++;
		event_clear(&tgt->cmds_idle);
		return;
	}
	if (tgt->cmd_fibers == 0) { /* nobody would ever come by */
		struct tgt_cmd *cmd;

		while ((cmd = list_pop_front(&tgt->cmds, struct tgt_cmd, link)))
			tgt_cmd_fail(cmd, NVME_COMMAND_INTERRUPTED);
	}
}

void tgt_cmd_arrived(struct mail *mail, struct reactor *at)
{
	struct tgt_cmd *cmd = container_of(mail, struct tgt_cmd, mail);
	struct tgt *tgt = cmd->conn->tgt;

	list_add_tail(&tgt->cmds, &cmd->link);
	cmds_run(tgt);
}

void tgt_cmd_drop(struct tgt_conn *conn)
{
	struct tgt_cmd *cmd, *after;

	list_for_each_safe(cmd, after, &conn->tgt->cmds, link) {
		if (cmd->conn != conn)
			continue;
		list_del(&cmd->link);
		tgt_cmd_fail(cmd, NVME_ABORTED_SQ_DELETION);
	}
}
