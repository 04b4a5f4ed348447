// SPDX-License-Identifier: Apache-2.0
/*
 * admin_rig - see admin_rig.h. What stands under "core" are the stubs of the data side.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/must.h"
#include "nvmf/tgt_fabrics_priv.h"
#include "unit/nvmf/admin_rig.h"
#include "wire/nvme_feature.h"

static struct admin_rig *rig_of(const struct tgt *tgt)
{
	return container_of(tgt, struct admin_rig, tgt);
}

/* ---- core ----------------------------------------------------------------------------------- */

void tgt_cmd_done(struct tgt_cmd *cmd)
{
	struct admin_cmd *ac = container_of(cmd, struct admin_cmd, cmd);

	must(!ac->is_done); /* N2 */
	ac->is_done = true;
}

void tgt_cmd_fail(struct tgt_cmd *cmd, uint16_t status)
{
	cmd->status = status;
	tgt_cmd_done(cmd);
}

struct tgt_subsys *tgt_subsys_new(struct tgt *tgt, const char *nqn)
{
	struct tgt_subsys *subsys = mem_new(tgt->io, sizeof(*subsys));

	if (!subsys)
		return NULL;
	subsys->tgt = tgt;
	snprintf(subsys->nqn, sizeof(subsys->nqn), "%s", nqn);
	list_init(&subsys->hosts);
	list_init(&subsys->ctrls);
	return subsys;
}

void tgt_subsys_free(struct tgt_subsys *subsys)
{
	assert_int_equal(subsys->ns_count, 0);
	mem_free(subsys);
}

int tgt_view_tables(struct fiber *f, struct tgt_subsys *subsys)
{
	return 0;
}

void tgt_view_tables_free(struct tgt_subsys *subsys)
{
}

int tgt_view_open(struct fiber *f, struct tgt_ns *ns)
{
	struct admin_counts *counts = &rig_of(ns->subsys->tgt)->counts;

	for (unsigned i = 0; i < 10; i++)
		fiber_yield(f);
	if (counts->views_fail)
		return fiber_fail(f, -ENOMEM, "no memory for a view");
	counts->opened++;
	return 0;
}

void tgt_view_publish(struct fiber *f, struct tgt_ns *ns)
{
	struct admin_counts *counts = &rig_of(ns->subsys->tgt)->counts;

	assert_non_null(ns->chan);
	fiber_yield(f);
	counts->published++;
	counts->rules = ns->rules;
}

void tgt_view_drain(struct fiber *f, struct tgt_ns *ns)
{
	fiber_yield(f);
	rig_of(ns->subsys->tgt)->counts.drained++;
}

void tgt_view_close(struct fiber *f, struct tgt_ns *ns)
{
	fiber_yield(f);
	rig_of(ns->subsys->tgt)->counts.closed++;
}

void tgt_view_stats(struct fiber *f, struct tgt_ns *ns, struct tgt_view_stats *ret)
{
	fiber_yield(f);
	*ret = (struct tgt_view_stats){
		.reads = 3, .writes = 2, .read_blocks = 1001, .written_blocks = 1000, .errors = 1
	};
}

void tgt_ctrl_close_all(struct fiber *f, struct tgt_subsys *subsys,
			bool (*match)(const struct tgt_ctrl *ctrl, const void *arg),
			const void *arg, const char *why)
{
	struct tgt_ctrl *ctrl;

	list_for_each(ctrl, &subsys->ctrls, link)
		if (!match || match(ctrl, arg))
			rig_of(subsys->tgt)->counts.ctrls_closed++;
}

void tgt_cmd_wait_begin(struct tgt *tgt)
{
	rig_of(tgt)->counts.waits++;
}

void tgt_cmd_wait_end(struct tgt *tgt)
{
	rig_of(tgt)->counts.waits--;
}

void tgt_ctrl_close(struct tgt_ctrl *ctrl, const char *why)
{
	rig_of(ctrl->subsys->tgt)->counts.ctrls_closed++;
}

void tgt_ctrl_set_token(struct fiber *f, struct tgt_ctrl *ctrl, uint64_t token)
{
	fiber_yield(f);
	ctrl->token = token;
	rig_of(ctrl->subsys->tgt)->counts.token = token;
}

void tgt_ctrl_keep_alive(struct tgt_ctrl *ctrl)
{
	rig_of(ctrl->subsys->tgt)->counts.keep_alives++;
}

void tgt_ctrl_set_kato(struct tgt_ctrl *ctrl, uint32_t kato_ms)
{
	ctrl->kato_ms = kato_ms;
	rig_of(ctrl->subsys->tgt)->counts.kato_ms = kato_ms;
}

uint64_t tgt_ctrl_cap(const struct tgt_ctrl *ctrl)
{
	return nvme_cap_encode(&(struct nvme_cap){ .mqes = 127 });
}

void tgt_abort_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	rig_of(cmd->ctrl->subsys->tgt)->counts.aborts++;
	tgt_cmd_done(cmd);
}

/* ---- the rig -------------------------------------------------------------------------------- */

struct tgt_ctrl *admin_ctrl(struct admin_rig *ar, struct tgt_subsys *subsys, const char *hostnqn,
			    uint16_t cntlid)
{
	struct tgt_ctrl *ctrl = mem_new(ar->tgt.io, sizeof(*ctrl));

	assert_non_null(ctrl);
	ctrl->subsys = subsys;
	ctrl->port = &ar->port;
	ctrl->cntlid = cntlid;
	snprintf(ctrl->hostnqn, sizeof(ctrl->hostnqn), "%s", hostnqn);
	memcpy(ctrl->host_id.bytes, hostnqn + strlen(hostnqn) - 6, 6);
	ctrl->connected_ns = reactor_now(ar->tgt.home);
	tgt_ctrl_admin_init(ctrl);
	list_add_tail(&subsys->ctrls, &ctrl->link);
	return ctrl;
}

void admin_ctrl_free(struct tgt_ctrl *ctrl)
{
	tgt_ctrl_admin_abort(ctrl, NVME_ABORTED_SQ_DELETION);
	tgt_ctrl_admin_fini(ctrl);
	list_del(&ctrl->link);
	mem_free(ctrl);
}

static void port_set(struct admin_rig *ar, struct tgt_port *port, uint16_t id, int family)
{
	port->tgt = &ar->tgt;
	port->id = id;
	port->addr.family = (uint16_t)family;
	port->addr.port = (uint16_t)(4419 + id);
	inet_pton(family, family == AF_INET ? "127.0.0.1" : "::1", port->addr.ip);
	list_add_tail(&ar->tgt.ports, &port->link);
}

void admin_rig_start(struct fiber *f, struct rig *rig, struct admin_rig *ar,
		     const struct tgt_subsys_args *args)
{
	struct tgt_subsys_args usual = { .nqn = ADMIN_SUBNQN, .allow_any_host = true };

	memset(ar, 0, sizeof(*ar));
	ar->f = f;
	ar->rig = rig;
	ar->tgt.home = fiber_reactor(f);
	ar->tgt.io = fiber_io(f);
	list_init(&ar->tgt.ports);
	list_init(&ar->tgt.subsystems);
	port_set(ar, &ar->port, 1, AF_INET);
	port_set(ar, &ar->port2, 2, AF_INET6);
	ar->tgt.discovery = tgt_subsys_new(&ar->tgt, NVME_DISCOVERY_NQN);
	assert_non_null(ar->tgt.discovery);
	ar->tgt.discovery->is_discovery = true;
	assert_int_equal(tgt_subsys_add(f, &ar->tgt, args ? args : &usual, &ar->subsys), 0);
	ar->a = admin_ctrl(ar, ar->subsys, ADMIN_HOST_A, 1);
	ar->b = admin_ctrl(ar, ar->subsys, ADMIN_HOST_B, 2);
	ar->disc = admin_ctrl(ar, ar->tgt.discovery, ADMIN_HOST_A, 1);
}

void admin_rig_stop(struct admin_rig *ar)
{
	admin_ctrl_free(ar->a);
	admin_ctrl_free(ar->b);
	tgt_subsys_remove_all(ar->f, &ar->tgt);
	admin_ctrl_free(ar->disc);
	tgt_subsys_free(ar->tgt.discovery);
	assert_int_equal(ar->counts.opened, ar->counts.closed);
}

struct tgt_ns *admin_ns(struct admin_rig *ar, uint32_t nsid, const char *uri)
{
	struct tgt_ns_args args = { .nsid = nsid, .uri = uri };
	struct tgt_ns *ns = NULL;
	int r = tgt_ns_add(ar->f, ar->subsys, &args, &ns);

	if (r < 0)
		print_message("%s: %s\n", uri, fiber_words(ar->f));
	assert_int_equal(r, 0);
	return ns;
}

static bool is_resv(const struct nvme_sqe *sqe)
{
	return sqe->opcode == NVME_IO_RESV_REGISTER || sqe->opcode == NVME_IO_RESV_REPORT ||
	       sqe->opcode == NVME_IO_RESV_ACQUIRE || sqe->opcode == NVME_IO_RESV_RELEASE;
}

uint16_t admin_run(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
		   uint32_t bytes)
{
	must(bytes <= sizeof(cmd->data));
	cmd->is_done = false;
	cmd->cmd.ctrl = ctrl;
	cmd->cmd.data = bytes ? cmd->data : NULL;
	cmd->cmd.data_bytes = bytes;
	cmd->cmd.ret_bytes = bytes;
	cmd->cmd.result = 0;
	cmd->cmd.status = 0;
	list_link_init(&cmd->cmd.link);
	if (nvme_sqe_dir(&cmd->cmd.sqe) == NVME_DIR_TO_HOST)
		memset(cmd->data, 0, sizeof(cmd->data));
	/* 0Dh and its like are other commands on the admin queue */
	if (is_resv(&cmd->cmd.sqe) && cmd->cmd.sqe.flags == NVME_PSDT_SGL)
		tgt_resv_execute(ar->f, &cmd->cmd);
	else
		tgt_admin_execute(ar->f, &cmd->cmd);
	return cmd->is_done ? cmd->cmd.status : 0xffff;
}

uint32_t admin_aer(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd)
{
	memset(&cmd->cmd, 0, sizeof(cmd->cmd));
	cmd->cmd.sqe.opcode = NVME_ADMIN_ASYNC_EVENT;
	return admin_run(ar, ctrl, cmd, 0) == 0 ? (uint32_t)cmd->cmd.result : 0;
}
