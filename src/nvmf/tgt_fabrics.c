// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_fabrics - properties and Disconnect; Connect is in tgt_connect.c.
 *
 * FA1. Disabling or shutting down is answered (CSTS tells) when the I/O queues are drained.
 */
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"
#include "nvmf/tgt_fabrics_priv.h"

#define CC_IOSQES 6 /* log2 of the entries' bytes */
#define CC_IOCQES 4

static bool cc_is_sound(const struct nvme_cc *cc)
{
	return cc->css == 0 && cc->mps == 0 && cc->ams == 0 && cc->iosqes == CC_IOSQES &&
	       cc->iocqes == CC_IOCQES;
}

static void ctrl_enable(struct tgt_ctrl *ctrl, const struct nvme_cc *cc)
{
	/* a discovery controller has no I/O queues, and hosts leave their entries' sizes out */
	if (ctrl->subsys->is_discovery || cc_is_sound(cc))
		ctrl->csts = NVME_CSTS_READY;
	else
		ctrl->csts = NVME_CSTS_FATAL;
}

/* It does not count among the commands that run: a disk that hangs must not stop others'. */
static void ctrl_drain(struct fiber *f, struct tgt_ctrl *ctrl)
{
	struct tgt *tgt = ctrl->subsys->tgt;

	tgt_cmd_wait_begin(tgt);
	tgt_ctrl_drain_io(f, ctrl);
	tgt_cmd_wait_end(tgt);
}

/* Controller reset: queues and their commands end, features are as at first. */
static void ctrl_disable(struct fiber *f, struct tgt_ctrl *ctrl)
{
	ctrl_drain(f, ctrl);
	tgt_ctrl_admin_reset(ctrl);
	ctrl->csts = 0;
}

static void ctrl_shutdown(struct fiber *f, struct tgt_ctrl *ctrl)
{
	ctrl->csts = (ctrl->csts & ~(uint32_t)NVME_CSTS_SHUTDOWN_MASK) | NVME_CSTS_SHUTDOWN_RUNS;
	ctrl_drain(f, ctrl);
	ctrl->csts = (ctrl->csts & ~(uint32_t)NVME_CSTS_SHUTDOWN_MASK) | NVME_CSTS_SHUTDOWN_DONE;
}

static uint16_t cc_set(struct fiber *f, struct tgt_ctrl *ctrl, uint32_t value)
{
	struct nvme_cc old = nvme_cc_decode(ctrl->cc), cc = nvme_cc_decode(value);

	if (ctrl->is_changing)
		return NVME_COMMAND_SEQUENCE_ERROR;
	ctrl->cc = value;
	ctrl->is_changing = true;
	if (cc.enable && !old.enable)
		ctrl_enable(ctrl, &cc);
	if (cc.shn && !old.shn)
		ctrl_shutdown(f, ctrl);
	if (!cc.enable && old.enable)
		ctrl_disable(f, ctrl); /* FA1 */
	ctrl->is_changing = false;
	return 0;
}

static void property_set(struct fiber *f, struct tgt_cmd *cmd)
{
	struct nvme_property prop;

	cmd->status = nvme_property_decode(&cmd->sqe, &prop);
	if (!cmd->status && prop.offset == NVME_PROP_CC && prop.bytes == 4)
		cmd->status = cc_set(f, cmd->ctrl, (uint32_t)prop.value);
	else if (!cmd->status)
		cmd->status = NVME_INVALID_FIELD | NVME_DNR; /* read-only, or not here */
	tgt_cmd_done(cmd);
}

static void property_get(struct tgt_cmd *cmd)
{
	struct nvme_property prop;

	cmd->status = nvme_property_decode(&cmd->sqe, &prop);
	if (!cmd->status && prop.offset == NVME_PROP_CAP && prop.bytes == 8)
		cmd->result = tgt_ctrl_cap(cmd->ctrl);
	else if (!cmd->status && prop.offset == NVME_PROP_VS && prop.bytes == 4)
		cmd->result = TGT_VERSION;
	else if (!cmd->status && prop.offset == NVME_PROP_CC && prop.bytes == 4)
		cmd->result = cmd->ctrl->cc;
	else if (!cmd->status && prop.offset == NVME_PROP_CSTS && prop.bytes == 4)
		cmd->result = cmd->ctrl->csts;
	else if (!cmd->status)
		cmd->status = NVME_INVALID_FIELD | NVME_DNR;
	tgt_cmd_done(cmd);
}

/* An I/O queue ends; the data side closes it behind the answer. */
static void disconnect(struct tgt_cmd *cmd)
{
	cmd->status = nvme_disconnect_decode(&cmd->sqe);
	if (!cmd->status && cmd->conn->qid == 0)
		cmd->status = NVME_INVALID_QUEUE_TYPE | NVME_DNR;
	tgt_cmd_done(cmd);
}

void tgt_fabrics_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	uint8_t type = nvme_sqe_fctype(&cmd->sqe);

	if (type == NVME_FABRICS_CONNECT)
		tgt_connect_execute(f, cmd);
	else if (!cmd->ctrl)
		tgt_cmd_fail(cmd, NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR);
	else if (type == NVME_FABRICS_DISCONNECT)
		disconnect(cmd);
	else if (cmd->conn->qid != 0)
		tgt_cmd_fail(cmd, NVME_INVALID_FIELD | NVME_DNR); /* of admin queues */
	else if (type == NVME_FABRICS_PROPERTY_SET)
		property_set(f, cmd);
	else if (type == NVME_FABRICS_PROPERTY_GET)
		property_get(cmd);
	else
		tgt_cmd_fail(cmd, NVME_INVALID_OPCODE | NVME_DNR);
}
