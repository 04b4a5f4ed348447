// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_resv - reservation commands: rules applied, kept, made to hold everywhere, told.
 *
 *	hold the namespace -> rules (tgt_resv_rules.c) on a copy -> the disk keeps it ->
 *	it is the state -> rights hold on every reactor -> what they took has drained ->
 *	other hosts are told -> answered
 *
 * X1. A command is answered only when its state is kept (if it persists) and holds on every
 *     reactor; preempt and abort, and every fence, only when the bios of those it took the
 *     namespace from have ended.
 * X2. What failed to be kept did not happen.
 * X3. (fence) An association has no token until it registers.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "bdev/replica.h"
#include "nvmf/tgt_page_priv.h"
#include "nvmf/tgt_resv_priv.h"
#include "reactor/fiber.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_status.h"

#define NO_NS (NVME_INVALID_NAMESPACE | NVME_DNR)

/* ---- what the disk keeps -------------------------------------------------------------------- */

bool tgt_resv_can_persist(const struct tgt_ns *ns)
{
	return ns->chan && bdev_resv_ops(ns->chan);
}

/* Without PTPL a start of ours is a loss of power: nothing is left. */
int tgt_resv_load(struct fiber *f, struct tgt_ns *ns)
{
	const struct bdev_resv_ops *ops = bdev_resv_ops(ns->chan);
	int r = 0;

	ns->resv = (struct resv_state){ .holder = -1 };
	if (!ops || ns->subsys->no_reservations)
		return 0;
	r = ops->load(f, ns->chan, &ns->resv);
	if (r == 0 && !ns->resv.ptpl)
		ns->resv = (struct resv_state){ .holder = -1 };
	return r;
}

void tgt_resv_rules_set(struct tgt_ns *ns)
{
	struct tgt_ns_rules *rules = &ns->rules;

	rules->resv_type = ns->resv.type;
	rules->resv_holder = ns->resv.holder >= 0 ? ns->resv.registrant[ns->resv.holder].host_id :
						    (struct uuid){ { 0 } };
}

/* Durable when it returns, if it is to be; the disk's fence goes up to the token. */
static int state_keep(struct fiber *f, struct tgt_ns *ns, const struct resv_state *state,
		      uint64_t token)
{
	const struct bdev_resv_ops *ops = bdev_resv_ops(ns->chan);
	const struct bdev_replica_ops *replica = bdev_replica_ops(ns->chan);

	if (ops && (state->ptpl || ns->resv.ptpl || token))
		return ops->store(f, ns->chan, state, token);
	if (replica && token)
		return replica->fence(f, ns->chan, token);
	return 0;
}

static int fence_get(struct fiber *f, struct tgt_ns *ns, uint64_t *ret)
{
	const struct bdev_replica_ops *replica = bdev_replica_ops(ns->chan);
	struct replica_info info = { 0 };
	int r = 0;

	if (replica)
		r = replica->info(f, ns->chan, &info);
	*ret = max_u64(info.fence, ns->fence);
	return r;
}

uint16_t tgt_resv_persist(struct fiber *f, struct tgt_ns *ns, bool on)
{
	CLEANUP(cleanup_mem) struct resv_state *state = mem_new(fiber_io(f), sizeof(*state));
	int r = -ENODEV;

	if (!state)
		return NVME_INTERNAL_ERROR;
	if (!tgt_ns_hold(f, ns))
		return NO_NS;
	if (on && !tgt_resv_can_persist(ns)) {
		tgt_ns_drop(f, ns);
		return NVME_INVALID_FIELD | NVME_DNR;
	}
	if (ns->chan) {
		*state = ns->resv;
		state->ptpl = on;
		r = state_keep(f, ns, state, 0);
	}
	if (r == 0)
		ns->resv.ptpl = on;
	tgt_ns_drop(f, ns);
	return nvme_status_of_error(r);
}

/* ---- what others are told ------------------------------------------------------------------- */

static void ctrl_tell(struct tgt_ctrl *ctrl, uint32_t nsid, enum nvme_resv_event event)
{
	struct tgt_ctrl_admin *admin = &ctrl->admin;
	unsigned at;

	if (admin->resv_mask[nsid - 1] >> event & 1)
		return;
	admin->resv_log_count++;
	if (admin->resv_log_waiting == TGT_RESV_LOGS_MAX) { /* a gap in the counts tells (A2) */
		admin->resv_log_first = (admin->resv_log_first + 1) % TGT_RESV_LOGS_MAX;
		admin->resv_log_waiting--;
	}
	at = (admin->resv_log_first + admin->resv_log_waiting++) % TGT_RESV_LOGS_MAX;
	admin->resv_logs[at] = (struct nvme_resv_log){
		.count = admin->resv_log_count,
		.event = (uint8_t)event,
		.nsid = nsid,
	};
	tgt_aer_raise(ctrl, TGT_EVENT_RESV);
}

/* Every controller of the hosts in the set. */
static void hosts_tell(const struct tgt_ns *ns, const struct resv_state *before, uint64_t set,
		       enum nvme_resv_event event)
{
	struct tgt_ctrl *ctrl;
	int i;

	list_for_each(ctrl, &ns->subsys->ctrls, link) {
		i = tgt_resv_find(before, &ctrl->host_id);
		if (i >= 0 && set >> i & 1)
			ctrl_tell(ctrl, ns->nsid, event);
	}
}

static void effect_tell(const struct tgt_ns *ns, const struct resv_state *before,
			const struct tgt_resv_effect *effect)
{
	hosts_tell(ns, before, effect->tell_preempted, NVME_RESV_EVENT_PREEMPTED);
	hosts_tell(ns, before, effect->tell_released, NVME_RESV_EVENT_RELEASED);
	hosts_tell(ns, before, effect->tell_resv_preempted, NVME_RESV_EVENT_RESV_PREEMPTED);
}

/* ---- register, acquire, release ------------------------------------------------------------- */

struct resv_change {
	struct tgt_resv_ask ask;
	struct tgt_resv_effect effect;
	struct resv_state before, after;
};

/* Held. The state as the rules changed it is kept, holds, and is told (X1, X2). */
static int change_commit(struct fiber *f, struct tgt_cmd *cmd, struct tgt_ns *ns,
			 struct resv_change *change)
{
	const struct tgt_resv_effect *effect = &change->effect;
	uint64_t token = effect->fences ? change->ask.cmd.key : 0;
	int r = state_keep(f, ns, &change->after, token);

	if (r < 0)
		return r;
	ns->resv = change->after;
	ns->fence = max_u64(ns->fence, token);
	tgt_resv_rules_set(ns);
	tgt_view_publish(f, ns);
	if (effect->drains || effect->fences)
		tgt_view_drain(f, ns);
	if (effect->binds)
		tgt_ctrl_set_token(f, cmd->ctrl, change->ask.cmd.new_key); /* X3 */
	effect_tell(ns, &change->before, effect);
	return 0;
}

static uint16_t change_run(struct fiber *f, struct tgt_cmd *cmd, struct tgt_ns *ns,
			   struct resv_change *change)
{
	uint16_t status;
	int r = fence_get(f, ns, &change->ask.fence_token);

	if (r < 0)
		return nvme_status_of_error(r);
	change->ask.can_persist = tgt_resv_can_persist(ns);
	change->ask.is_fence = ns->subsys->fence;
	change->ask.may_repeat = ns->subsys->tgt->opts.rules_off & TGT_RULE_SESSION;
	change->before = change->after = ns->resv;
	status = tgt_resv_apply(&change->after, &change->ask, &change->effect);
	if (status || !change->effect.changed)
		return status;
	return nvme_status_of_error(change_commit(f, cmd, ns, change));
}

static uint16_t resv_change(struct fiber *f, struct tgt_cmd *cmd, struct tgt_ns *ns)
{
	CLEANUP(cleanup_mem) struct resv_change *change = mem_new(fiber_io(f), sizeof(*change));
	uint16_t status;

	if (!change)
		return NVME_INTERNAL_ERROR;
	change->ask.opcode = cmd->sqe.opcode;
	change->ask.host_id = cmd->ctrl->host_id;
	status = nvme_resv_decode(&cmd->sqe, cmd->data, cmd->data_bytes, &change->ask.cmd);
	if (status)
		return status;
	if (!tgt_ns_hold(f, ns))
		return NO_NS;
	status = ns->chan ? change_run(f, cmd, ns, change) : NO_NS;
	tgt_ns_drop(f, ns);
	return status;
}

/* ---- report --------------------------------------------------------------------------------- */

struct report {
	struct tgt_window window;
	uint64_t at;
	uint16_t hosts;
};

static void host_put(struct report *report, const struct resv_state *state, unsigned i,
		     uint16_t cntlid)
{
	struct nvme_resv_host host = {
		.cntlid = cntlid,
		.holder = state->holder == (int32_t)i,
		.key = state->registrant[i].key,
	};
	uint8_t bytes[NVME_RESV_HOST_EXT_BYTES] = { 0 };
	size_t size;

	memcpy(host.host_id, state->registrant[i].host_id.bytes, sizeof(host.host_id));
	size = nvme_resv_host_encode(&host, true, bytes);
	tgt_window_put(&report->window, report->at, bytes, size);
	report->at += size;
	report->hosts++;
}

/* Each controller of a registrant; who has none now is still told, without its number. */
static void registrant_put(struct report *report, const struct tgt_ns *ns, unsigned i)
{
	const struct tgt_ctrl *ctrl;
	bool found = false;

	list_for_each(ctrl, &ns->subsys->ctrls, link) {
		if (ctrl->state != TGT_CTRL_LIVE ||
		    !uuid_equal(&ctrl->host_id, &ns->resv.registrant[i].host_id))
			continue;
		host_put(report, &ns->resv, i, ctrl->cntlid);
		found = true;
	}
	if (!found)
		host_put(report, &ns->resv, i, NVME_CNTLID_ANY);
}

/* Host identifiers have 16 bytes here: only the extended form can tell them. */
static uint16_t resv_report(struct tgt_cmd *cmd, const struct tgt_ns *ns)
{
	uint64_t length = 4 * ((uint64_t)cmd->sqe.cdw10 + 1);
	struct report report = { .window = { .out = cmd->data, .length = length } };
	uint8_t bytes[NVME_RESV_REPORT_EXT_BYTES] = { 0 };
	struct nvme_resv_report head;

	if (!nvme_resv_report_extended(&cmd->sqe))
		return NVME_HOST_ID_INCONSISTENT | NVME_DNR;
	if (cmd->data_bytes < length)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	report.at = sizeof(bytes);
	for (unsigned i = 0; i < ns->resv.count; i++)
		registrant_put(&report, ns, i);
	head = (struct nvme_resv_report){
		.generation = ns->resv.generation,
		.type = ns->resv.type,
		.registrants = report.hosts,
		.ptpl = ns->resv.ptpl,
	};
	nvme_resv_report_encode(&head, true, bytes);
	tgt_window_put(&report.window, 0, bytes, sizeof(bytes));
	cmd->ret_bytes = (uint32_t)length;
	return NVME_SUCCESS;
}

/* ---- all ------------------------------------------------------------------------------------ */

static uint16_t resv_command(struct fiber *f, struct tgt_cmd *cmd)
{
	struct tgt_ns *ns = tgt_ns_active(cmd->ctrl->subsys, cmd->sqe.nsid);

	if (cmd->ctrl->subsys->no_reservations)
		return NVME_INVALID_OPCODE | NVME_DNR;
	if (!ns)
		return NO_NS;
	switch (ns->rules.ana) {
	case TGT_ANA_INACCESSIBLE:
		return NVME_ANA_INACCESSIBLE;
	case TGT_ANA_PERSISTENT_LOSS:
		return NVME_ANA_PERSISTENT_LOSS;
	case TGT_ANA_CHANGE:
		return NVME_ANA_TRANSITION;
	default:
		break;
	}
	if (cmd->sqe.opcode == NVME_IO_RESV_REPORT)
		return resv_report(cmd, ns);
	if (uuid_is_nil(&cmd->ctrl->host_id))
		return NVME_HOST_ID_INCONSISTENT | NVME_DNR;
	return resv_change(f, cmd, ns);
}

void tgt_resv_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	uint16_t status = resv_command(f, cmd);

	if (status)
		cmd->ret_bytes = 0;
	cmd->status = status;
	tgt_cmd_done(cmd);
}
