/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin_rig - the admin half of the target without connections: the data side is made of
 * stubs that count, controllers are made by the test, and a command is run by a call.
 */
#ifndef TESTS_ADMIN_RIG_H
#define TESTS_ADMIN_RIG_H

#include "nvmf/tgt_page_priv.h"
#include "unit/drivers/rig.h"
#include "wire/nvme_status.h"

#define ADMIN_SUBNQN "nqn.2024-01.io.test:sub"
#define ADMIN_HOST_A "nqn.2024-01.io.test:host-a"
#define ADMIN_HOST_B "nqn.2024-01.io.test:host-b"
#define ADMIN_BAD    (NVME_INVALID_FIELD | NVME_DNR)
#define ADMIN_NO_NS  (NVME_INVALID_NAMESPACE | NVME_DNR)

/* What the data side was asked for. */
struct admin_counts {
	unsigned opened, closed, published, drained, keep_alives, aborts, ctrls_closed, waits;
	uint64_t token; /* the last one bound */
	uint32_t kato_ms;
	bool views_fail; /* tgt_view_open() does, after a while */
	struct tgt_ns_rules rules; /* the last that were published */
};

struct admin_rig {
	struct fiber *f;
	struct rig *rig;
	struct tgt tgt;
	struct tgt_port port, port2; /* 127.0.0.1:4420 and [::1]:4421 */
	struct tgt_subsys *subsys;
	struct tgt_ctrl *a, *b; /* hosts a and b, subsystem's */
	struct tgt_ctrl *disc;	/* host a at the discovery subsystem */
	struct admin_counts counts;
};

/* A subsystem for any host, no namespaces yet. NULL: the usual args. */
void admin_rig_start(struct fiber *f, struct rig *rig, struct admin_rig *ar,
		     const struct tgt_subsys_args *args);
void admin_rig_stop(struct admin_rig *ar);

struct tgt_ctrl *admin_ctrl(struct admin_rig *ar, struct tgt_subsys *subsys, const char *hostnqn,
			    uint16_t cntlid);
void admin_ctrl_free(struct tgt_ctrl *ctrl);

/* A namespace; fails the test if it cannot be. */
struct tgt_ns *admin_ns(struct admin_rig *ar, uint32_t nsid, const char *uri);

struct admin_cmd {
	struct tgt_cmd cmd;
	bool is_done;
	uint8_t data[8192];
};

/* Runs cmd->cmd.sqe with `bytes` of cmd->data; returns the status, or 0xffff if it waits. */
uint16_t admin_run(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
		   uint32_t bytes);

/* One event request; its result, or 0 if it waits (cmd->is_done tells later). */
uint32_t admin_aer(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd);

#endif
