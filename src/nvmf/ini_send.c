// SPDX-License-Identifier: Apache-2.0
/*
 * ini_send - PDUs out.
 *
 *   something to send --> sendq --> (end of the turn) --> batch: one gathered send --> done
 *
 * What the commands of a turn have to say goes out in one send: heads and digests from their
 * slots, data from the memory of the bios. Of a command's R2T one H2CData is in a batch, as long
 * as MAXH2CDATA allows; the next waits for its turn.
 *
 * IS1. A command is in sendq or in batch, or in neither; `sending` says that it is in batch.
 * IS2. While a send is in flight nothing that its iovecs name is changed or given back (Q3).
 */
#include <errno.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"

#define INI_CMD_IOVS (INI_IOV_MAX + 2) /* head, data, digest */

void ini_send_want(struct ini_queue *q, struct ini_cmd *cmd)
{
	must(!cmd->sending && !list_is_linked(&cmd->link)); /* IS1 */
	list_add_tail(&q->sendq, &cmd->link);
	if (!q->sending)
		reactor_post(q->reactor, &q->send_task);
}

static void ini_send_add(struct ini_queue *q, const void *bytes, size_t len)
{
	q->iov[q->iov_count++] = (struct iovec){ (void *)(uintptr_t)bytes, len };
}

/* The next `bytes` of the command's data, and their digest. Fewer if it takes too many iovecs: returns how many. */
static uint32_t ini_send_data(struct ini_queue *q, struct ini_cmd *cmd, uint32_t bytes)
{
	const struct iov_rule rule = { .iov_max = INI_IOV_MAX, .granule = 4 };
	struct iovec *first = &q->iov[q->iov_count];
	uint32_t count, crc = 0;

	bytes = (uint32_t)iov_take(&cmd->pos, bytes, &rule, first, &count);
	q->iov_count += count;
	if (!q->rules.ddgst)
		return bytes;
	for (uint32_t i = 0; i < count; i++)
		crc = crc32c(crc, first[i].iov_base, first[i].iov_len);
	nvmetcp_digest_put(cmd->digest, crc);
	ini_send_add(q, cmd->digest, sizeof(cmd->digest));
	return bytes;
}

static uint32_t ini_send_capsule(struct ini_queue *q, struct ini_cmd *cmd)
{
	ini_send_add(q, cmd->head, cmd->head_bytes);
	if (cmd->capsule_bytes)
		must(ini_send_data(q, cmd, cmd->capsule_bytes) == cmd->capsule_bytes);
	cmd->sent = true;
	return cmd->head_bytes + cmd->capsule_bytes;
}

/* One H2CData of the R2T. Its head says how long the data are, so they are taken first. */
static uint32_t ini_send_h2c(struct ini_queue *q, struct ini_cmd *cmd)
{
	struct nvmetcp_data data = cmd->r2t;
	uint32_t head = q->iov_count++;

	data.length = min_u32(data.length, q->rules.h2c_data_max);
	data.length = ini_send_data(q, cmd, data.length);
	cmd->r2t.offset += data.length;
	cmd->r2t.length -= data.length;
	cmd->head_bytes = (uint16_t)nvmetcp_data_encode(
		&q->rules, &data, cmd->r2t.length ? 0 : NVMETCP_LAST, cmd->head);
	q->iov[head] = (struct iovec){ cmd->head, cmd->head_bytes };
	return cmd->head_bytes + data.length;
}

static void ini_send_batch(struct ini_queue *q)
{
	uint32_t bytes = 0;

	q->iov_count = 0;
	while (bytes < INI_BATCH_BYTES && q->iov_count + INI_CMD_IOVS <= INI_BATCH_IOVS) {
		struct ini_cmd *cmd = list_pop_front(&q->sendq, struct ini_cmd, link);

		if (!cmd)
			break;
		bytes += cmd->sent ? ini_send_h2c(q, cmd) : ini_send_capsule(q, cmd);
		cmd->sending = true;
		list_add_tail(&q->batch, &cmd->link);
	}
	if (q->iov_count == 0)
		return;
	q->sending = true;
	io_prep_send(&q->send_op, q->sock, q->iov, q->iov_count, 0, q->send_op.done);
	io_submit(reactor_io(q->reactor), &q->send_op);
}

static void ini_send_run(struct task *task)
{
	struct ini_queue *q = container_of(task, struct ini_queue, send_task);

	if (!q->sending && q->state != INI_ENDING && q->state != INI_IDLE)
		ini_send_batch(q);
}

void ini_send_term(struct ini_queue *q)
{
	q->term_iov = (struct iovec){ q->term, q->term_bytes };
	q->term_bytes = 0;
	q->sending = true;
	io_prep_send(&q->send_op, q->sock, &q->term_iov, 1, 0, q->send_op.done);
	io_submit(reactor_io(q->reactor), &q->send_op);
}

/* They may be answered already; then they were only waiting for this. */
static void ini_send_free_batch(struct ini_queue *q)
{
	struct ini_cmd *cmd;
	struct list batch;

	list_init(&batch);
	list_splice_tail(&batch, &q->batch);
	while ((cmd = list_pop_front(&batch, struct ini_cmd, link))) {
		cmd->sending = false;
		if (cmd->ended)
			ini_cmd_end(q, cmd, cmd->bad_data ? -EBADMSG : 0);
		else if (cmd->r2t.length && q->state != INI_ENDING)
			list_add_tail(&q->sendq, &cmd->link);
	}
}

static void ini_send_done(struct io_op *op)
{
	struct ini_queue *q = container_of(op, struct ini_queue, send_op);

	q->sending = false;
	if (op->res < 0)
		ini_queue_lost(q, (int)op->res, "sending to the controller failed");
	ini_send_free_batch(q);
	if (q->state != INI_ENDING) {
		if (!list_empty(&q->sendq))
			reactor_post(q->reactor, &q->send_task);
	} else if (q->sock && q->term_bytes) {
		ini_send_term(q);
	} else if (q->sock) {
		io_sock_shutdown(q->sock); /* it reads our last words, then closes */
	} else {
		ini_queue_settle(q);
	}
}

void ini_send_init(struct ini_queue *q)
{
	task_init(&q->send_task, ini_send_run);
	q->send_op.done = ini_send_done;
}
