// SPDX-License-Identifier: Apache-2.0
/*
 * ini_queue - one connection to a controller: its commands, its start and its end.
 *
 *   IDLE -> STARTING -> READY -> LIVE
 *    ^         |          |       |     lost, refused, faulty, stopped
 *    |         v          v       v
 *    +------ ENDING: socket closed, maybe after a terminate request; what the kernel had is back;
 *            then every command ends with an error
 *
 * Q1. A command ends exactly once: answered, or by the end of its connection.
 * Q2. At most `slots` commands are out: one less than the entries of the queue, so it is never
 *     full, with flow control or without.
 * Q3. A slot and the memory its command names are free only when no send or receive in flight
 *     refers to them.
 * Q4. A command identifier is that of a slot and a count of its uses: an answer to a command
 *     that ended is not taken for one to the next.
 * Q5. Nothing of a connection outlives it: IDLE means no socket, no operation, no command.
 * Q6. Every command but an event request ends within the timeout, or its connection does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "io/addr.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_sgl.h"

#define INI_CID_MASK ((1u << INI_CID_BITS) - 1)

static void ini_queue_end_run(struct task *task);

/* ---- commands -------------------------------------------------------------------------- */

static uint32_t ini_cmd_index(const struct ini_cmd *cmd)
{
	return cmd->cid & INI_CID_MASK;
}

struct ini_queue *ini_cmd_queue(struct ini_cmd *cmd)
{
	return container_of(cmd - ini_cmd_index(cmd), struct ini_queue, cmds[0]);
}

struct ini_cmd *ini_cmd_get(struct ini_queue *q)
{
	struct ini_cmd *cmd = list_pop_front(&q->free, struct ini_cmd, link);

	if (cmd)
		q->active++;
	return cmd;
}

struct ini_cmd *ini_cmd_find(struct ini_queue *q, uint16_t cid)
{
	uint32_t index = cid & INI_CID_MASK;
	struct ini_cmd *cmd = &q->cmds[index];

	if (index >= q->slots || !cmd->done || cmd->cid != cid || cmd->ended)
		return NULL;
	return cmd;
}

static void ini_queue_expired(struct timer *timer)
{
	struct ini_queue *q = container_of(timer, struct ini_queue, timer);
	struct ini_cmd *oldest = list_first(&q->age, struct ini_cmd, age);
	uint64_t now = reactor_now(q->reactor);

	if (!oldest)
		return;
	if (now - oldest->start_ns < q->timeout_ns) {
		timer_start_at(q->reactor, &q->timer, oldest->start_ns + q->timeout_ns,
			       ini_queue_expired);
		return;
	}
	ini_queue_lost(q, -ETIMEDOUT, "a command was not answered in time"); /* Q6 */
}

void ini_cmd_start(struct ini_cmd *cmd, struct nvme_sqe *sqe, const struct ini_data *data,
		   bool forever, ini_done_fn done, void *owner)
{
	struct ini_queue *q = ini_cmd_queue(cmd);
	struct nvme_sgl sgl = { .length = data->bytes };

	must(!cmd->done && done);
	cmd->done = done;
	cmd->owner = owner;
	cmd->dir = (uint8_t)nvme_sqe_dir(sqe);
	cmd->sent = cmd->sending = cmd->ended = cmd->bad_data = false;
	cmd->pos = iov_pos(data->iov, data->iov_count);
	cmd->bytes = data->bytes;
	cmd->capsule_bytes = 0;
	cmd->flow = (struct nvmetcp_flow){ .end = data->bytes };
	cmd->r2t.length = 0;
	if (cmd->dir == NVME_DIR_TO_CONTROLLER && data->bytes <= q->capsule_max) {
		cmd->capsule_bytes = data->bytes;
		sgl.in_capsule = data->bytes > 0;
	}
	sqe->cid = cmd->cid;
	nvme_sgl_encode(&sgl, sqe);
	cmd->head_bytes =
		(uint16_t)nvmetcp_cmd_encode(&q->rules, sqe, cmd->capsule_bytes, cmd->head);
	if (!forever) {
		cmd->start_ns = reactor_now(q->reactor);
		list_add_tail(&q->age, &cmd->age);
		if (!timer_is_armed(&q->timer))
			timer_start(q->reactor, &q->timer, q->timeout_ns, ini_queue_expired);
	}
	ini_send_want(q, cmd);
}

void ini_cmd_end(struct ini_queue *q, struct ini_cmd *cmd, int error)
{
	struct nvme_cqe cqe = cmd->cqe;
	ini_done_fn done = cmd->done;
	void *owner = cmd->owner;

	must(done && !cmd->sending); /* Q1, Q3 */
	list_del(&cmd->link);
	list_del(&cmd->age);
	cmd->done = NULL;
	cmd->cid = (uint16_t)(cmd->cid + (1u << INI_CID_BITS)); /* Q4 */
	list_add_tail(&q->free, &cmd->link);
	q->active--;
	done(q, owner, error, &cqe);
}

/* ---- commands of slow paths -------------------------------------------------------------- */

struct ini_call {
	struct event done;
	int error;
	struct nvme_cqe cqe;
};

static void ini_call_done(struct ini_queue *q, void *owner, int error, const struct nvme_cqe *cqe)
{
	struct ini_call *call = owner;

	(void)q;
	call->error = error;
	call->cqe = *cqe;
	event_set(&call->done);
}

int ini_call(struct fiber *f, struct ini_queue *q, struct nvme_sqe *sqe, void *data, uint32_t bytes,
	     const char *doing, struct nvme_cqe *ret)
{
	struct iovec iov = { .iov_base = data, .iov_len = bytes };
	struct ini_data d = { .iov = &iov, .iov_count = bytes ? 1 : 0, .bytes = bytes };
	struct ini_call call = { 0 };
	struct ini_cmd *cmd;

	must(fiber_reactor(f) == q->reactor);
	if (q->state != INI_READY && q->state != INI_LIVE)
		return fiber_fail(f, -ENOTCONN, "%s: the connection is down: %s", doing, q->why);
	cmd = ini_cmd_get(q);
	if (!cmd)
		return fiber_fail(f, -EBUSY, "%s: all %u commands of the queue are in use", doing,
				  q->slots);
	event_init(&call.done);
	ini_cmd_start(cmd, sqe, &d, false, ini_call_done, &call);
	event_wait_always(f, &call.done);
	if (call.error == -EBADMSG)
		return fiber_fail(f, -EIO, "%s: the digest of the data was wrong", doing);
	if (call.error < 0)
		return fiber_fail(f, call.error, "%s: %s", doing, q->why);
	*ret = call.cqe;
	return 0;
}

int ini_call_ok(struct fiber *f, struct ini_queue *q, struct nvme_sqe *sqe, void *data,
		uint32_t bytes, const char *doing, struct nvme_cqe *ret)
{
	struct nvme_cqe cqe;

	TRY(ini_call(f, q, sqe, data, bytes, doing, &cqe));
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
	if (cqe.status != NVME_SUCCESS)
		return fiber_fail(f, nvme_status_to_error(cqe.status), "%s: %s (status %03xh%s)",
				  doing, nvme_status_text(cqe.status), cqe.status & NVME_SC_MASK,
				  cqe.status & NVME_DNR ? ", do not retry" : "");
	*ret = cqe;
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* All that could refer to a command's memory is back: they end, the oldest first. */
static void ini_queue_end_run(struct task *task)
{
	struct ini_queue *q = container_of(task, struct ini_queue, end_task);
	struct ini_cmd *cmd;

	must(q->state == INI_ENDING && !q->sending && !q->receiving && !q->sock);
	q->state = INI_IDLE; /* before the callbacks: what they submit waits */
	q->rx_cmd = NULL;
	ini_bio_down(q);
	while ((cmd = list_first(&q->age, struct ini_cmd, age)))
		ini_cmd_end(q, cmd, q->error);
	for (uint32_t i = 0; i < q->slots; i++)
		if (q->cmds[i].done)
			ini_cmd_end(q, &q->cmds[i], q->error);
	must(q->active == 0 && list_empty(&q->sendq)); /* Q5 */
	event_set(&q->changed);
}

void ini_queue_settle(struct ini_queue *q)
{
	if (q->state != INI_ENDING || q->sending || q->receiving || q->sock)
		return;
	reactor_post(q->reactor, &q->end_task);
}

static void ini_queue_close_sock(struct ini_queue *q)
{
	timer_stop(&q->timer);
	q->term_bytes = 0;
	if (q->sock)
		io_sock_close(steal(q->sock));
	ini_queue_settle(q);
}

static void ini_queue_term_late(struct timer *timer)
{
	ini_queue_close_sock(container_of(timer, struct ini_queue, timer));
}

static bool ini_queue_begin_end(struct ini_queue *q, int error, const char *why)
{
	if (q->state == INI_IDLE || q->state == INI_ENDING)
		return false;
	q->state = INI_ENDING;
	q->error = error;
	snprintf(q->why, sizeof(q->why), "%s", why);
	timer_stop(&q->timer);
	reactor_unpost(&q->send_task);
	event_set(&q->changed);
	ini_assoc_lost(q);
	return true;
}

void ini_queue_lost(struct ini_queue *q, int error, const char *why)
{
	if (ini_queue_begin_end(q, error, why))
		ini_queue_close_sock(q);
	else if (q->state == INI_ENDING && q->sock)
		ini_queue_close_sock(q); /* it hears no terminate request any more */
}

void ini_queue_fault(struct ini_queue *q, const struct nvmetcp_fault *fault, const uint8_t *header,
		     size_t size)
{
	char why[INI_WHY_BYTES];

	snprintf(why, sizeof(why), "the controller broke the protocol: %s (%u, %08xh)",
		 nvmetcp_fes_text(fault->fes, true), fault->fes, fault->fei);
	if (!ini_queue_begin_end(q, -EPROTO, why))
		return;
	if (fault->quiet) {
		ini_queue_close_sock(q);
		return;
	}
	q->term_bytes = nvmetcp_term_encode(&q->rules, fault, header, size, q->term);
	timer_start(q->reactor, &q->timer, INI_TERM_NS, ini_queue_term_late);
	if (!q->sending)
		ini_send_term(q);
}

void ini_queue_stop(struct fiber *f, struct ini_queue *q)
{
	ini_queue_lost(q, -ECANCELED, "the connection was closed");
	while (q->state != INI_IDLE) {
		event_clear(&q->changed);
		event_wait_always(f, &q->changed);
	}
}

/* ---- the start ------------------------------------------------------------------------------- */

struct ini_connect {
	struct io_op op;
	struct event done;
	struct timer timer;
	bool late;
};

static void ini_connect_done(struct io_op *op)
{
	event_set(&container_of(op, struct ini_connect, op)->done);
}

static void ini_connect_late(struct timer *timer)
{
	struct ini_connect *c = container_of(timer, struct ini_connect, timer);

	c->late = true;
	io_cancel(reactor_io(timer->reactor), &c->op);
}

static int ini_queue_connect(struct fiber *f, struct ini_queue *q, const struct io_addr *addr,
			     uint64_t limit_ns)
{
	struct io_sock_opts opts = { .user_timeout_ms = (uint32_t)(q->timeout_ns / 1000000) };
	struct ini_connect c = { 0 };
	char text[IO_ADDR_TEXT_MAX];

	event_init(&c.done);
	timer_init(&c.timer);
	io_prep_connect(&c.op, addr, &opts, &q->sock, ini_connect_done);
	io_submit(fiber_io(f), &c.op);
	timer_start(q->reactor, &c.timer, limit_ns, ini_connect_late);
	event_wait_always(f, &c.done);
	timer_stop(&c.timer);
	if (c.op.res == 0)
		return 0;
	if (c.late)
		c.op.res = -ETIMEDOUT;
	return fiber_fail(f, (int)c.op.res, "connect to %s: %s", io_addr_print(addr, text),
			  strerrordesc_np((int)-c.op.res));
}

/* The first 128 bytes; the send is the queue's, so that its end waits for it. */
static void ini_queue_icreq(struct ini_queue *q, const struct ini_opts *opts)
{
	struct nvmetcp_ic ic = { .align = NVMETCP_ALIGN_MIN,
				 .hdgst = opts->hdgst,
				 .ddgst = opts->ddgst };

	q->iov[0].iov_base = q->icreq;
	q->iov[0].iov_len = nvmetcp_icreq_encode(&ic, q->icreq);
	q->sending = true;
	io_prep_send(&q->send_op, q->sock, q->iov, 1, 0, q->send_op.done);
	io_submit(reactor_io(q->reactor), &q->send_op);
}

static void ini_queue_prepare(struct ini_queue *q, const struct ini_opts *opts)
{
	q->state = INI_STARTING;
	q->error = 0;
	q->why[0] = '\0';
	q->term_bytes = 0;
	q->rx_cmd = NULL;
	q->rx_left = 0;
	q->rx_digest_left = 0;
	q->lost_sent = false;
	q->capsule_max = NVMETCP_ADMIN_CAPSULE_DATA; /* Connect has 1024 bytes in its capsule */
	nvmetcp_parser_init(&q->parser);
	nvmetcp_rules_init(&q->rules, false);
	q->rules.hdgst = opts->hdgst;
	q->rules.ddgst = opts->ddgst;
}

int ini_queue_start(struct fiber *f, struct ini_queue *q, const struct io_addr *addr,
		    const struct ini_opts *opts)
{
	uint64_t deadline = reactor_now(q->reactor) + opts->connect_ns;

	must(q->state == INI_IDLE && fiber_reactor(f) == q->reactor);
	TRY(ini_queue_connect(f, q, addr, opts->connect_ns));
	ini_queue_prepare(q, opts);
	ini_queue_icreq(q, opts);
	io_recv_start(q->sock, ini_recv, q);
	while (q->state == INI_STARTING) {
		event_clear(&q->changed);
		int r = event_wait_until(f, &q->changed, deadline);

		if (r == -ETIMEDOUT)
			ini_queue_lost(q, r, "no answer to ICReq in time");
		else if (r < 0)
			ini_queue_lost(q, r, "given up before ICResp");
	}
	if (q->state == INI_READY)
		return 0;
	ini_queue_stop(f, q);
	return fiber_fail(f, q->error, "%s", q->why);
}

/* ---- making and freeing ------------------------------------------------------------------------ */

static void ini_queue_init(struct ini_queue *q, struct reactor *reactor, struct ini *ini,
			   uint32_t slots)
{
	q->reactor = reactor;
	q->ini = ini;
	q->slots = slots;
	list_init(&q->free);
	list_init(&q->age);
	list_init(&q->sendq);
	list_init(&q->batch);
	timer_init(&q->timer);
	task_init(&q->end_task, ini_queue_end_run);
	event_init(&q->changed);
	ini_send_init(q);
	ini_bio_init(q);
	for (uint32_t i = 0; i < slots; i++) {
		q->cmds[i].cid = (uint16_t)i;
		list_add_tail(&q->free, &q->cmds[i].link);
	}
}

int ini_queue_new(struct reactor *reactor, struct ini *ini, uint32_t slots, struct ini_queue **ret)
{
	struct io *io = reactor_io(reactor);
	CLEANUP(cleanup_mem)
	struct ini_queue *q = mem_new(io, sizeof(*q) + slots * sizeof(q->cmds[0]));

	must(slots > 0 && slots <= INI_SLOTS_MAX);
	if (!q)
		return -ENOMEM;
	q->iov = mem_alloc_array(io->mem, INI_BATCH_IOVS, sizeof(q->iov[0]));
	q->rx_iov = mem_alloc_array(io->mem, INI_IOV_MAX, sizeof(q->rx_iov[0]));
	if (!q->iov || !q->rx_iov) {
		mem_free(q->iov);
		mem_free(q->rx_iov);
		return -ENOMEM;
	}
	ini_queue_init(q, reactor, ini, slots);
	*ret = steal(q);
	return 0;
}

void ini_queue_free(struct ini_queue *q)
{
	if (!q)
		return;
	must(q->state == INI_IDLE && q->active == 0); /* Q5 */
	timer_stop(&q->wait_timer);
	timer_stop(&q->later_timer);
	mem_free(q->iov);
	mem_free(q->rx_iov);
	mem_free(q);
}
