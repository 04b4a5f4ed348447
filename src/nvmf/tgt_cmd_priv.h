/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_cmd - a command between the two sides: fabrics, admin and reservations run at home.
 *
 *	data side: decoded, data received --mail--> home: waits --> runs on a fiber (or is
 *	parked, as an AER) --tgt_cmd_done--> mail --> data side: answered
 *
 * The data side owns it but between the two mails. Its connection, and so its controller,
 * cannot go while home has it (N3).
 */
#ifndef NVMF_TGT_CMD_PRIV_H
#define NVMF_TGT_CMD_PRIV_H

#include "base/list.h"
#include "reactor/reactor.h"
#include "wire/nvme.h"
#include "wire/nvme_status.h"

struct fiber;
struct tgt;
struct tgt_conn;
struct tgt_ctrl;

struct tgt_cmd {
	struct mail mail;
	struct list_link link; /* home: of tgt.cmds, of ctrl.aers, or whoever parked it */
	struct tgt_conn *conn; /* in_ borrowed */
	struct tgt_ctrl *ctrl; /* in_ borrowed; NULL before Connect; set by Connect */
	struct nvme_sqe sqe;   /* in_ */
	/*
	 * in_ borrowed: what the SGL says, checked (0..TGT_DATA_MAX). To the controller: it has
	 * been received. To the host: room, all zeros; NULL if data_bytes is 0.
	 */
	uint8_t *data;
	uint32_t data_bytes;

	uint32_t ret_bytes; /* of data, to be sent to the host: data_bytes unless set to less */
	uint64_t result;    /* dwords 0 and 1 of the completion; zero */
	uint16_t status;    /* nvme_status.h, with NVME_DNR where it belongs; zero */
};

/* Home, once a command, maybe later than the call that got it: gives it back to the data side (N2). */
void tgt_cmd_done(struct tgt_cmd *cmd);

/* cmd->status = status; tgt_cmd_done(cmd). */
void tgt_cmd_fail(struct tgt_cmd *cmd, uint16_t status);

/* Home: takes it in and runs it when a fiber is to be had. */
void tgt_cmd_arrived(struct mail *mail, struct reactor *at);

#endif
