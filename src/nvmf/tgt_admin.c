// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_admin - admin commands but fabrics: what there is, who may send it, who answers.
 *
 * A command that is not in the table, or not for this kind of controller, is an invalid
 * opcode. Discovery controllers have few (Base 2.0, section 3.1.2.3).
 */
#include <string.h>

#include "base/must.h"
#include "nvmf/tgt_page_priv.h"
#include "nvmf/tgt_vendor_priv.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_status.h"

enum command_kind {
	OF_IO = 1 << 0,
	OF_DISCOVERY = 1 << 1,
	OF_VENDOR = 1 << 2,	 /* where replica control is offered */
	ENDS_ELSEWHERE = 1 << 3, /* run() is NULL: see admin_elsewhere() */
};

struct command {
	uint8_t opcode;
	uint8_t kind;
	uint32_t effects;
	uint16_t (*run)(struct fiber *f, struct tgt_cmd *cmd);
};

static uint16_t keep_alive(struct fiber *f, struct tgt_cmd *cmd)
{
	tgt_ctrl_keep_alive(cmd->ctrl);
	return NVME_SUCCESS;
}

static const struct command commands[] = {
	{ NVME_ADMIN_IDENTIFY, OF_IO | OF_DISCOVERY, 0, tgt_identify },
	{ NVME_ADMIN_GET_LOG_PAGE, OF_IO | OF_DISCOVERY, 0, tgt_log_get },
	{ NVME_ADMIN_GET_FEATURES, OF_IO | OF_DISCOVERY, 0, tgt_feature_get },
	{ NVME_ADMIN_SET_FEATURES, OF_IO | OF_DISCOVERY, NVME_EFFECT_CTRL, tgt_feature_set },
	{ NVME_ADMIN_KEEP_ALIVE, OF_IO | OF_DISCOVERY, 0, keep_alive },
	{ NVME_ADMIN_ABORT, OF_IO | OF_DISCOVERY | ENDS_ELSEWHERE, 0, NULL },
	{ NVME_ADMIN_ASYNC_EVENT, OF_IO | OF_DISCOVERY | ENDS_ELSEWHERE, 0, NULL },
	{ NVME_VENDOR_CALL, OF_IO | OF_VENDOR, 0, tgt_vendor_execute },
	{ NVME_VENDOR_SEND, OF_IO | OF_VENDOR, 0, tgt_vendor_execute },
	{ NVME_VENDOR_RECV, OF_IO | OF_VENDOR, 0, tgt_vendor_execute },
};

static const struct command *command_find(const struct tgt_subsys *subsys, uint8_t opcode)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *command = &commands[i];

		if (command->opcode != opcode)
			continue;
		if ((command->kind & OF_VENDOR) && !subsys->vendor)
			return NULL;
		return command->kind & (subsys->is_discovery ? OF_DISCOVERY : OF_IO) ? command :
										       NULL;
	}
	return NULL;
}

uint32_t tgt_admin_effects(const struct tgt_subsys *subsys, uint8_t opcode)
{
	const struct command *command = command_find(subsys, opcode);

	return command ? NVME_EFFECT_SUPPORTED | command->effects : 0;
}

void tgt_ctrl_admin_error(struct tgt_ctrl *ctrl, const struct nvme_error_entry *error)
{
	struct tgt_ctrl_admin *admin = &ctrl->admin;
	struct nvme_error_entry *entry = &admin->errors[admin->error_count % TGT_ERRORS_MAX];

	*entry = *error;
	entry->count = ++admin->error_count;
}

static void failure_note(const struct tgt_cmd *cmd, uint16_t status)
{
	tgt_ctrl_admin_error(cmd->ctrl, &(struct nvme_error_entry){
						.cid = cmd->sqe.cid,
						.status = status,
						.at = 0xffff,
						.nsid = cmd->sqe.nsid,
					});
}

static void admin_elsewhere(struct fiber *f, struct tgt_cmd *cmd)
{
	if (cmd->sqe.opcode == NVME_ADMIN_ABORT)
		tgt_abort_execute(f, cmd);
	else
		tgt_aer_execute(cmd);
}

void tgt_admin_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	const struct command *command = command_find(cmd->ctrl->subsys, cmd->sqe.opcode);
	uint16_t status = NVME_INVALID_OPCODE | NVME_DNR;

	if (command && command->kind & ENDS_ELSEWHERE) {
		admin_elsewhere(f, cmd);
		return;
	}
	if (cmd->sqe.flags & NVME_FUSE_MASK)
		status = NVME_INVALID_FIELD | NVME_DNR;
	else if (command)
		status = command->run(f, cmd);
	if (status) {
		cmd->ret_bytes = 0;
		failure_note(cmd, status);
	}
	cmd->status = status;
	tgt_cmd_done(cmd);
}

/* ---- a controller's life -------------------------------------------------------------------- */

void tgt_ctrl_admin_init(struct tgt_ctrl *ctrl)
{
	list_init(&ctrl->admin.aers);
	tgt_feature_reset(&ctrl->admin);
}

void tgt_ctrl_admin_reset(struct tgt_ctrl *ctrl)
{
	struct tgt_ctrl_admin *admin = &ctrl->admin;

	tgt_ctrl_admin_abort(ctrl, NVME_ABORTED_SQ_DELETION);
	memset(admin, 0, offsetof(struct tgt_ctrl_admin, error_count));
	list_init(&admin->aers);
	admin->resv_log_waiting = 0;
	memset(admin->resv_mask, 0, sizeof(admin->resv_mask));
	tgt_feature_reset(admin);
}

void tgt_ctrl_admin_fini(struct tgt_ctrl *ctrl)
{
	must(list_empty(&ctrl->admin.aers));
}
