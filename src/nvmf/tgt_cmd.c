// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_cmd - commands at home: they wait for a fiber, run, and go back.
 *
 * At most TGT_CMD_FIBERS_MAX run; what waits is bounded by the queues it came from.
 */
#include "nvmf/tgt_cmd_priv.h"

void tgt_cmd_fail(struct tgt_cmd *cmd, uint16_t status)
{
	cmd->status = status;
	tgt_cmd_done(cmd);
}
