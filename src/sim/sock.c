/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock - an end of a connection as its owner sees it: receiving, and the ops of io.h.
 *
 * SK1. While an op receives, the function sees nothing; bytes behind it are the function's (IO6).
 * SK2. A function may stop, close or detach its own socket: nothing is touched afterwards (IO5).
 */
#include "sim/conn.h"

#include <errno.h>
#include <string.h>

#include "base/must.h"

static uint64_t conn_op_bytes(const struct io_op *op)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < op->net.iov_count; i++)
		len += op->net.iov[i].iov_len;
	return len;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static bool sock_has_news(const struct io_sock *sock)
{
	const struct pipe *pipe = conn_inbound(sock);

	if (!sock->recv_op && (!sock->fn || sock->final))
		return false;
	return !list_empty(&pipe->here) || pipe->ended || sock->error;
}

static void sock_late(struct sim *sim, struct sim_event *event)
{
	struct io_sock *sock = container_of(event, struct io_sock, late);

	if (sock->io && sock_has_news(sock))
		sim_io_ready(sock_io(sock), &sock->ready);
}

void conn_wake_reader(struct io_sock *sock)
{
	struct sim *sim = sock->conn->sim;

	if (!sock->io || sock->late.pos || !sock_has_news(sock))
		return;
	if (sim_fault(sim, SIM_NET_SLOW_READER, sock->conn->host[sock->side]->name))
		sim_after(sim, &sock->late,
			  prng_range(&sim->prng[SIM_STREAM_NET], SIM_MS, 500 * SIM_MS), sock_late);
	else
		sim_io_ready(sock_io(sock), &sock->ready);
}

/* There is room again. */
static void sock_was_read(struct io_sock *sock)
{
	struct io_sock *peer = sock->conn ? sock->conn->end[!sock->side] : NULL;

	if (peer && peer->send_op)
		conn_pump(peer);
}

static void conn_scatter(const struct io_op *op, uint64_t off, const uint8_t *from, uint64_t len)
{
	for (uint32_t i = 0; i < op->net.iov_count && len > 0; i++) {
		const struct iovec *iov = &op->net.iov[i];
		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		size_t n = min_size(len, iov->iov_len - off);
		memcpy((uint8_t *)iov->iov_base + off, from, n);
		from += n;
		len -= n;
		off = 0;
	}
}

/* Fills the op from what is here; true: it is done. */
static bool sock_fill(struct io_sock *sock)
{
	struct io_op *op = sock->recv_op;
	struct pipe *pipe = conn_inbound(sock);
	uint64_t want = conn_op_bytes(op);
	struct piece *piece;

	while (op->progress < want && (piece = list_first(&pipe->here, struct piece, link))) {
		uint32_t n = (uint32_t)min_u64(want - op->progress, piece->len - piece->off);
		conn_scatter(op, op->progress, piece->data + piece->off, n);
		op->progress += n;
		piece->off += n;
		pipe->bytes -= n;
		if (piece->off == piece->len)
			piece_free(sock->conn->sim, pipe, piece);
	}
	if (op->progress < want && !sock->error && !pipe->ended)
		return false;
	sock->recv_op = NULL;
	sim_io_complete(sock_io(sock), op,
			op->progress < want && sock->error ? sock->error : (int64_t)op->progress);
	return true;
}

/* One call of the receiver's function; false: there was nothing to say. */
static bool sock_tell(struct io_sock *sock)
{
	struct pipe *pipe = conn_inbound(sock);
	struct piece *piece = list_first(&pipe->here, struct piece, link);
	struct sim *sim = sock->conn->sim;

	if (!sock->fn || sock->final)
		return false;
	if (piece) {
		list_del(&piece->link);
		pipe->bytes -= piece->len - piece->off;
		sock->fn(sock->ctx, piece->data + piece->off, piece->len - piece->off);
		arena_put(&sim->arena, piece, sizeof(*piece) + piece->len);
		return true;
	}
	if (!sock->error && !pipe->ended)
		return false;
	sock->final = true;
	sock->fn(sock->ctx, NULL, sock->error);
	return true;
}

/*
 * IO5, IO6: what the function does to its socket counts at once. Behind an op it is told more only
 * when the op's `done` has run: in a turn to come.
 */
void sock_ready_run(struct sim_io *io, struct sim_ready *ready)
{
	struct io_sock *sock = container_of(ready, struct io_sock, ready);
	struct sim *sim = io->sim;

	sock->in_fn = true;
	for (unsigned i = 0; i < CONN_DELIVER_MAX; i++) {
		bool is_op = sock->recv_op;

		if (!(is_op ? sock_fill(sock) : sock_tell(sock)))
			break;
		if (sock->dead)
			break;
		sock_was_read(sock);
		if (is_op)
			break;
	}
	sock->in_fn = false;
	if (sock->dead)
		arena_put(&sim->arena, sock, sizeof(*sock));
	else if (sock_has_news(sock) && !sock->recv_op)
		sim_io_ready(io, &sock->ready);
	else
		sock_was_read(sock);
}

/* ---- ops on a socket ------------------------------------------------------------------------------ */

void net_send(struct sim_io *io, struct io_op *op)
{
	struct io_sock *sock = op->net.sock;
	uint64_t len = conn_op_bytes(op);

	must(!sock->send_op && sock->io == &io->io);
	if (sock->error || sock->shut || len == 0) {
		sim_io_complete(io, op, sock->error ? sock->error : sock->shut ? -EPIPE : 0);
		return;
	}
	op->progress = len; /* all of it; send_off counts */
	sock->send_op = op;
	sock->send_off = 0;
	conn_pump(sock);
}

void net_recv(struct sim_io *io, struct io_op *op)
{
	struct io_sock *sock = op->net.sock;

	must(!sock->recv_op && sock->io == &io->io);
	op->progress = 0;
	sock->recv_op = op;
	if (conn_op_bytes(op) == 0) {
		sock->recv_op = NULL;
		sim_io_complete(io, op, 0);
	} else if (!sock->in_fn) {
		conn_wake_reader(sock);
	}
}

void net_recv_start(struct io_sock *sock, io_recv_fn fn, void *ctx)
{
	sock->fn = fn;
	sock->ctx = ctx;
	if (!sock->in_fn)
		conn_wake_reader(sock);
}

void net_recv_stop(struct io_sock *sock)
{
	sock->fn = NULL;
}

void net_peer(struct io_sock *sock, struct io_addr *ret)
{
	*ret = sock->conn->addr[!sock->side];
}

void net_local(struct io_sock *sock, struct io_addr *ret)
{
	*ret = sock->conn->addr[sock->side];
}

void net_shutdown(struct io_sock *sock)
{
	if (sock->send_op)
		sock->fin_wanted = true; /* what is being sent goes first */
	else
		conn_send_fin(sock);
}

static void sock_cancel_ops(struct io_sock *sock)
{
	struct io_op *ops[2] = { sock->send_op, sock->recv_op };

	sock->send_op = NULL;
	sock->recv_op = NULL;
	for (unsigned i = 0; i < 2; i++)
		if (ops[i])
			sim_io_complete(sock_io(sock), ops[i], -ECANCELED);
}

void net_close(struct io_sock *sock)
{
	sock->fn = NULL;
	sock_cancel_ops(sock);
	conn_close_end(sock);
}

bool conn_cancel(struct io_sock *sock, struct io_op *op)
{
	if (sock->send_op == op)
		sock->send_op = NULL;
	else if (sock->recv_op == op)
		sock->recv_op = NULL;
	else
		return false;
	sim_io_complete(sock_io(sock), op, -ECANCELED);
	return true;
}

int net_detach(struct io_sock *sock, struct io_sock_token *ret)
{
	if (sock->send_op || sock->recv_op || sock->fn || !list_empty(&conn_inbound(sock)->here))
		return -EBUSY;
	sim_io_unready(sock_io(sock), &sock->ready);
	sim_unschedule(sock->conn->sim, &sock->late);
	sock->io = NULL;
	*ret = (struct io_sock_token){ .handle = (uintptr_t)sock, .opts = sock->opts };
	ret->peer = sock->conn->addr[!sock->side];
	return 0;
}

int net_adopt(struct io *io, const struct io_sock_token *token, struct io_sock **ret)
{
	struct io_sock *sock = (struct io_sock *)token->handle;

	must(!sock->io && sock->proc == sim_proc_of(io));
	sock->io = io;
	*ret = sock;
	return 0;
}
