// SPDX-License-Identifier: Apache-2.0
/*
 * ini_recv - PDUs in, each held against the command it names.
 *
 *   head --> ICResp: the queue is READY
 *        --> CapsuleResp: the command ends
 *        --> R2T: its data may go
 *        --> C2HData --> data --> DDGST --> (SUCCESS: the command ends)
 *        --> C2HTermReq, or anything else: the connection ends
 *
 * Data that lie in the receive buffer are copied once, to where the bio wants them. When much
 * is still to come (INI_DIRECT_MIN) the kernel puts it there itself.
 *
 * IR1. Data are stored only within a command that reads, in order, never twice, and not after
 *      its answer (nvmetcp_flow_step()).
 * IR2. A read that succeeds has had all its data.
 * IR3. A wrong data digest fails the command, not the connection (TCP Transport 1.0, 3.3.1.2).
 * IR4. After the connection began to end nothing more is looked at.
 */
#include <errno.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"

/* pdu: NULL if its head is gone by now. */
static void ini_recv_refuse(struct ini_queue *q, const struct nvmetcp_pdu *pdu,
			    const struct nvmetcp_fault *fault)
{
	ini_queue_fault(q, fault, pdu ? q->rx_head : NULL, pdu ? pdu->hlen : 0);
}

static void ini_recv_fault(struct ini_queue *q, const struct nvmetcp_pdu *pdu, enum nvmetcp_fes fes,
			   uint32_t fei)
{
	struct nvmetcp_fault fault = { .fes = (uint16_t)fes, .fei = fei };

	ini_recv_refuse(q, pdu, &fault);
}

/* ---- answers ----------------------------------------------------------------------------- */

/* The answer is in cmd->cqe. */
static void ini_recv_answered(struct ini_queue *q, struct ini_cmd *cmd)
{
	if (cmd->sending) {
		cmd->ended = true; /* Q3: ini_send_free_batch() ends it */
		return;
	}
	ini_cmd_end(q, cmd, cmd->bad_data ? -EBADMSG : 0);
}

static bool ini_recv_is_short(const struct ini_cmd *cmd)
{
	return cmd->dir == NVME_DIR_TO_HOST && cmd->cqe.status == NVME_SUCCESS &&
	       cmd->flow.next != cmd->bytes;
}

static void ini_recv_resp(struct ini_queue *q, const struct nvmetcp_pdu *pdu)
{
	struct nvme_cqe cqe;
	struct ini_cmd *cmd;

	nvme_cqe_decode(pdu->cqe, &cqe);
	cmd = ini_cmd_find(q, cqe.cid);
	if (!cmd || !cmd->sent) {
		ini_recv_fault(q, pdu, NVMETCP_FES_FIELD, NVMETCP_AT_CQE + 12);
		return;
	}
	cmd->cqe = cqe;
	if (ini_recv_is_short(cmd)) { /* IR2 */
		ini_recv_fault(q, pdu, NVMETCP_FES_SEQUENCE, 0);
		return;
	}
	ini_recv_answered(q, cmd);
}

/* ---- requests to transfer ------------------------------------------------------------------ */

static void ini_recv_r2t(struct ini_queue *q, const struct nvmetcp_pdu *pdu)
{
	struct ini_cmd *cmd = ini_cmd_find(q, pdu->data.cccid);
	struct nvmetcp_fault fault;

	if (!cmd || !cmd->sent || cmd->dir != NVME_DIR_TO_CONTROLLER || cmd->capsule_bytes) {
		ini_recv_fault(q, pdu, NVMETCP_FES_FIELD, NVMETCP_AT_CCCID);
		return;
	}
	if (cmd->r2t.length) {
		ini_recv_fault(q, pdu, NVMETCP_FES_LIMIT, 0); /* we said one at a time */
		return;
	}
	if (nvmetcp_flow_step(&cmd->flow, pdu, &fault) < 0) {
		ini_recv_refuse(q, pdu, &fault);
		return;
	}
	cmd->r2t = pdu->data;
	if (!cmd->sending)
		ini_send_want(q, cmd);
}

/* ---- data --------------------------------------------------------------------------------- */

static void ini_recv_data(struct ini_queue *q, const struct nvmetcp_pdu *pdu)
{
	struct ini_cmd *cmd = ini_cmd_find(q, pdu->data.cccid);
	struct nvmetcp_fault fault;

	if (!cmd || !cmd->sent || cmd->dir != NVME_DIR_TO_HOST) {
		ini_recv_fault(q, pdu, NVMETCP_FES_FIELD, NVMETCP_AT_CCCID);
		return;
	}
	if (nvmetcp_flow_step(&cmd->flow, pdu, &fault) < 0) { /* IR1 */
		ini_recv_refuse(q, pdu, &fault);
		return;
	}
	q->rx_cmd = cmd;
	q->rx_left = pdu->data_bytes;
	q->rx_crc = 0;
	q->rx_flags = pdu->flags;
	q->rx_digest_left = pdu->ddgst ? NVMETCP_DIGEST_BYTES : 0;
}

/* The last byte of the PDU is here. */
static void ini_recv_data_end(struct ini_queue *q)
{
	struct ini_cmd *cmd = q->rx_cmd;

	q->rx_cmd = NULL;
	if (!(q->rx_flags & NVMETCP_SUCCESS))
		return;
	cmd->cqe = (struct nvme_cqe){ .cid = cmd->cid, .status = NVME_SUCCESS };
	if (ini_recv_is_short(cmd))
		ini_recv_fault(q, NULL, NVMETCP_FES_SEQUENCE, 0); /* IR2 */
	else
		ini_recv_answered(q, cmd);
}

static size_t ini_recv_digest(struct ini_queue *q, const uint8_t *data, size_t len)
{
	size_t n = min_size(len, q->rx_digest_left);

	memcpy(q->rx_digest + NVMETCP_DIGEST_BYTES - q->rx_digest_left, data, n);
	q->rx_digest_left = (uint8_t)(q->rx_digest_left - n);
	if (q->rx_digest_left)
		return n;
	if (!nvmetcp_digest_is(q->rx_digest, q->rx_crc))
		q->rx_cmd->bad_data = true; /* IR3 */
	ini_recv_data_end(q);
	return n;
}

static size_t ini_recv_copy(struct ini_queue *q, const uint8_t *data, size_t len)
{
	uint32_t n = (uint32_t)min_size(len, q->rx_left);

	iov_copy_to(&q->rx_cmd->pos, data, n);
	if (q->rules.ddgst)
		q->rx_crc = crc32c(q->rx_crc, data, n);
	q->rx_left -= n;
	if (q->rx_left == 0 && q->rx_digest_left == 0)
		ini_recv_data_end(q);
	return n;
}

/* ---- much data ----------------------------------------------------------------------------- */

static void ini_recv_direct_done(struct io_op *op)
{
	struct ini_queue *q = container_of(op, struct ini_queue, recv_op);
	uint64_t left;

	q->receiving = false;
	if (q->state == INI_ENDING) {
		ini_queue_settle(q);
		return;
	}
	left = iov_bytes(op->net.iov, op->net.iov_count);
	if (op->res != (int64_t)left) {
		ini_queue_lost(q, op->res < 0 ? (int)op->res : -ECONNRESET,
			       "the controller closed the connection");
		return;
	}
	for (uint32_t i = 0; q->rules.ddgst && i < op->net.iov_count; i++)
		q->rx_crc = crc32c(q->rx_crc, op->net.iov[i].iov_base, op->net.iov[i].iov_len);
	q->rx_left -= (uint32_t)left;
	if (q->rx_left == 0 && q->rx_digest_left == 0)
		ini_recv_data_end(q);
}

static void ini_recv_direct(struct ini_queue *q)
{
	const struct iov_rule rule = { .iov_max = INI_IOV_MAX, .granule = 1 };
	uint32_t count;

	iov_take(&q->rx_cmd->pos, q->rx_left, &rule, q->rx_iov, &count);
	q->receiving = true;
	io_prep_recv(&q->recv_op, q->sock, q->rx_iov, count, ini_recv_direct_done);
	io_submit(reactor_io(q->reactor), &q->recv_op);
}

/* ---- PDUs ------------------------------------------------------------------------------------- */

static void ini_recv_icresp(struct ini_queue *q, const struct nvmetcp_pdu *pdu)
{
	struct nvmetcp_ic ic = { .align = NVMETCP_ALIGN_MIN,
				 .hdgst = q->rules.hdgst,
				 .ddgst = q->rules.ddgst };

	nvmetcp_rules_agree(&q->rules, &ic, &pdu->ic);
	q->state = INI_READY;
	event_set(&q->changed);
}

static void ini_recv_term(struct ini_queue *q, const struct nvmetcp_pdu *pdu)
{
	char why[INI_WHY_BYTES];

	snprintf(why, sizeof(why), "the controller ended the connection: %s (%u, %08xh)",
		 nvmetcp_fes_text(pdu->term.fes, true), pdu->term.fes, pdu->term.fei);
	ini_queue_lost(q, -EPROTO, why);
}

static void ini_recv_pdu(struct ini_queue *q, const struct nvmetcp_pdu *pdu)
{
	switch (pdu->type) {
	case NVMETCP_RESP:
		ini_recv_resp(q, pdu);
		return;
	case NVMETCP_C2H_DATA:
		ini_recv_data(q, pdu);
		return;
	case NVMETCP_R2T:
		ini_recv_r2t(q, pdu);
		return;
	case NVMETCP_ICRESP:
		ini_recv_icresp(q, pdu);
		return;
	default:
		ini_recv_term(q, pdu); /* the decoder lets nothing else through */
	}
}

static size_t ini_recv_head(struct ini_queue *q, const uint8_t *data, size_t len)
{
	struct nvmetcp_fault fault;
	struct nvmetcp_pdu pdu;
	size_t used = 0;
	int r;

	q->rx_head = nvmetcp_parser_idle(&q->parser) ? data : q->parser.head;
	r = nvmetcp_parser_feed(&q->parser, &q->rules, data, len, &used, &pdu, &fault);

	if (r < 0)
		ini_queue_fault(q, &fault, q->parser.head, q->parser.have);
	else if (r == 0)
		ini_recv_pdu(q, &pdu);
	return used;
}

void ini_recv(void *ctx, const uint8_t *data, ssize_t len)
{
	struct ini_queue *q = ctx;

	if (len <= 0) {
		ini_queue_lost(q, len < 0 ? (int)len : -ECONNRESET,
			       len < 0 ? "receiving from the controller failed" :
					 "the controller closed the connection");
		return;
	}
	while (len > 0 && q->state != INI_ENDING) { /* IR4 */
		size_t n;

		if (q->rx_cmd && q->rx_left)
			n = ini_recv_copy(q, data, (size_t)len);
		else if (q->rx_cmd)
			n = ini_recv_digest(q, data, (size_t)len);
		else
			n = ini_recv_head(q, data, (size_t)len);
		data += n;
		len -= (ssize_t)n;
	}
	if (q->state != INI_ENDING && q->rx_cmd && q->rx_left >= INI_DIRECT_MIN)
		ini_recv_direct(q);
}
