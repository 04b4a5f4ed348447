// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_aer - asynchronous events (Base 2.0, section 5.2).
 *
 *	       raise                    a request waits
 *	quiet ------> PENDING ----------------------------> told, MASKED
 *	  ^             ^  (raise while MASKED: PENDING too)    |
 *	  |             +------- something is left -------------+ page read, RAE cleared
 *	  +-------------------------- nothing is left ----------+
 */
#include "nvmf/tgt_page_priv.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_status.h"

/* Indexed by enum tgt_event. */
static const struct {
	uint16_t event;
	uint8_t lid;
	uint32_t wanted; /* by this bit of feature 0Bh; 0: always */
} kinds[TGT_EVENTS] = {
	[TGT_EVENT_NS] = { NVME_EVENT_NS_ATTRIBUTE, NVME_LID_CHANGED_NS, NVME_AEC_NS_ATTRIBUTE },
	[TGT_EVENT_ANA] = { NVME_EVENT_ANA, NVME_LID_ANA, NVME_AEC_ANA },
	[TGT_EVENT_DISCOVERY] = { NVME_EVENT_DISCOVERY, NVME_LID_DISCOVERY,
				  (uint32_t)NVME_AEC_DISCOVERY },
	[TGT_EVENT_RESV] = { NVME_EVENT_RESERVATION, NVME_LID_RESERVATION, 0 },
};

static void events_tell(struct tgt_ctrl *ctrl)
{
	struct tgt_ctrl_admin *admin = &ctrl->admin;
	unsigned ready;

	while (admin->aer_count && (ready = admin->pending & ~(unsigned)admin->masked)) {
		unsigned event = (unsigned)__builtin_ctz(ready);
		struct tgt_cmd *cmd = list_pop_front(&admin->aers, struct tgt_cmd, link);

		admin->aer_count--;
		admin->pending &= (uint8_t) ~(1u << event);
		admin->masked |= (uint8_t)(1u << event); /* A1 */
		cmd->result = nvme_event_encode(kinds[event].event, kinds[event].lid);
		tgt_cmd_done(cmd);
	}
}

void tgt_aer_execute(struct tgt_cmd *cmd)
{
	struct tgt_ctrl *ctrl = cmd->ctrl;

	if (ctrl->admin.aer_count >= TGT_AERS_MAX) {
		tgt_cmd_fail(cmd, NVME_ASYNC_EVENT_LIMIT_EXCEEDED | NVME_DNR);
		return;
	}
	list_add_tail(&ctrl->admin.aers, &cmd->link);
	ctrl->admin.aer_count++;
	events_tell(ctrl);
}

void tgt_aer_raise(struct tgt_ctrl *ctrl, enum tgt_event event)
{
	uint32_t wanted = kinds[event].wanted;

	if (ctrl->state != TGT_CTRL_LIVE || (wanted && !(ctrl->admin.event_config & wanted)))
		return;
	ctrl->admin.pending |= (uint8_t)(1u << event);
	events_tell(ctrl);
}

void tgt_aer_read(struct tgt_ctrl *ctrl, enum tgt_event event, bool again)
{
	uint8_t bit = (uint8_t)(1u << event);

	ctrl->admin.masked &= (uint8_t)~bit;
	if (!again)
		ctrl->admin.pending &= (uint8_t)~bit;
	events_tell(ctrl);
}

void tgt_ctrl_admin_abort(struct tgt_ctrl *ctrl, uint16_t status)
{
	struct tgt_cmd *cmd;

	while ((cmd = list_pop_front(&ctrl->admin.aers, struct tgt_cmd, link))) {
		ctrl->admin.aer_count--;
		tgt_cmd_fail(cmd, status);
	}
}

bool tgt_aer_abort(struct tgt_ctrl *ctrl, uint16_t cid)
{
	struct tgt_cmd *cmd;

	list_for_each(cmd, &ctrl->admin.aers, link) {
		if (cmd->sqe.cid != cid)
			continue;
		list_del(&cmd->link);
		ctrl->admin.aer_count--;
		tgt_cmd_fail(cmd, NVME_ABORT_REQUESTED);
		return true;
	}
	return false;
}

/* ---- what is told --------------------------------------------------------------------------- */

void tgt_event_ns(struct tgt_subsys *subsys, uint32_t nsid)
{
	struct tgt_ctrl *ctrl;

	list_for_each(ctrl, &subsys->ctrls, link) {
		ctrl->admin.changed[(nsid - 1) / 32] |= UINT32_C(1) << (nsid - 1) % 32;
		tgt_aer_raise(ctrl, TGT_EVENT_NS);
	}
}

void tgt_event_ana(struct tgt_subsys *subsys)
{
	struct tgt_ctrl *ctrl;

	list_for_each(ctrl, &subsys->ctrls, link)
		tgt_aer_raise(ctrl, TGT_EVENT_ANA);
}

void tgt_discovery_changed(struct tgt *tgt)
{
	struct tgt_ctrl *ctrl;

	tgt->discovery_genctr++;
	if (!tgt->discovery)
		return;
	list_for_each(ctrl, &tgt->discovery->ctrls, link)
		tgt_aer_raise(ctrl, TGT_EVENT_DISCOVERY);
}
