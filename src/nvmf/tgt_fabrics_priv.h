/* SPDX-License-Identifier: Apache-2.0 */
/* tgt_fabrics_priv - fabrics commands and controllers, between the core's files on the control side. */
#ifndef NVMF_TGT_FABRICS_PRIV_H
#define NVMF_TGT_FABRICS_PRIV_H

#include "nvmf/tgt_priv.h"

/* tgt_cmd.c: those of a connection that is gone and that have not begun. */
void tgt_cmd_drop(struct tgt_conn *conn);
/* Around what waits for a drain in an admin or fabrics command: it does not count as running. */
void tgt_cmd_wait_begin(struct tgt *tgt);
void tgt_cmd_wait_end(struct tgt *tgt);

/* tgt_fabrics.c, tgt_connect.c: end in tgt_cmd_done(). */
void tgt_fabrics_execute(struct fiber *f, struct tgt_cmd *cmd);
void tgt_connect_execute(struct fiber *f, struct tgt_cmd *cmd);

/* tgt_ctrl.c */
struct tgt_ctrl_args {
	struct tgt_subsys *subsys;
	struct tgt_conn *conn; /* the admin queue's */
	const char *hostnqn;
	struct uuid host_id;
	uint32_t kato_ms;
};

struct tgt_ctrl *tgt_ctrl_new(
	const struct tgt_ctrl_args *args); /* NULL: no memory, or no identifier */
void tgt_ctrl_add_conn(struct tgt_ctrl *ctrl, struct tgt_conn *conn);
/* Its connection was drained; frees the controller after the last. */
void tgt_ctrl_del_conn(struct tgt_ctrl *ctrl, struct tgt_conn *conn);
/* Its connection is closed (not yet drained). */
void tgt_ctrl_conn_gone(struct tgt_ctrl *ctrl, struct tgt_conn *conn);
/* Closes the I/O queues and waits until they are drained. */
void tgt_ctrl_drain_io(struct fiber *f, struct tgt_ctrl *ctrl);

#endif
