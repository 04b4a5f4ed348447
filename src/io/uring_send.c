// SPDX-License-Identifier: Apache-2.0
/*
 * uring_send - gathered sends: all bytes or an error, one op at a time per socket.
 *
 * Zero copy, where asked for: the kernel sends from the caller's pages and says later, in
 * a CQE of its own, that it needs them no more. If it says that it copied after all (the
 * peer is on this machine, or the device cannot), the socket goes back to plain sends.
 *
 * US1. An op is told when its bytes are all sent, or it failed, and no notification is due.
 */
#include "io/uring_priv.h"

#include <errno.h>

#include "io/linux_priv.h"

enum { SEND_SETTLED = OP_FN }; /* op->priv: only notifications are awaited */

static bool send_is_zerocopy(const struct io_sock *sock, const struct io_op *op)
{
	return !sock->no_zerocopy &&
	       (op->flags & IO_ZEROCOPY ||
		(sock->opts.zerocopy_min_bytes && op_total(op) >= sock->opts.zerocopy_min_bytes));
}

static void send_queue(struct uring *u, struct io_op *op)
{
	struct io_sock *sock = op->net.sock;
	bool zerocopy = send_is_zerocopy(sock, op);
	struct uring_rest rest = uring_iov_rest(op->net.iov, op->net.iov_count, op->progress);
	struct io_uring_sqe *sqe = uring_sqe(u);

	uring_sqe_fd(sqe, &sock->fd);
	sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
	if (zerocopy && u->has_zc_report)
		sqe->ioprio = LINUX_IORING_SEND_ZC_REPORT_USAGE;
	if (rest.iov) {
		sock->send_msg = (struct msghdr){ .msg_iov = (struct iovec *)(uintptr_t)rest.iov,
						  .msg_iovlen = rest.count };
		sqe->opcode = zerocopy ? IORING_OP_SENDMSG_ZC : IORING_OP_SENDMSG;
		sqe->addr = (uintptr_t)&sock->send_msg;
		sqe->len = 1;
	} else {
		sqe->opcode = zerocopy ? IORING_OP_SEND_ZC : IORING_OP_SEND;
		sqe->addr = (uintptr_t)rest.first.iov_base;
		sqe->len = (uint32_t)rest.first.iov_len;
	}
	uring_sqe_op(u, sqe, op);
	u->in_socks++;
	uring_sock_pin(sock);
}

void uring_send(struct uring *u, struct io_op *op)
{
	struct io_sock *sock = op->net.sock;
	uint64_t total;
	int r = uring_iov_total(op->net.iov, op->net.iov_count, &total);

	must(!sock->send_op && !sock->is_closed);
	if (r < 0 || total == 0) {
		uring_finish_later(u, op, r);
		return;
	}
	op->progress = 0;
	op->priv[OP_TOTAL] = (void *)(uintptr_t)total;
	op->priv[SEND_SETTLED] = NULL;
	sock->send_op = op;
	send_queue(u, op);
}

/* Bytes went out or not. True: this op sends no more; its res is set. */
static bool send_settle(struct uring *u, struct io_op *op, int res)
{
	struct io_sock *sock = op->net.sock;

	if (res > 0)
		op->progress += (uint64_t)res;
	if (op->progress == op_total(op)) {
		op->res = (int64_t)op_total(op);
		return true;
	}
	if (op_is_cancelled(op)) {
		op->res = -ECANCELED;
		return true;
	}
	if (res == -EOPNOTSUPP && send_is_zerocopy(sock, op)) {
		sock->no_zerocopy = true;
		res = -EAGAIN;
	}
	if (res > 0 || res == -EAGAIN || res == -EINTR) {
		send_queue(u, op);
		return false;
	}
	op->res = res ? res : -EPIPE;
	return true;
}

void uring_send_cqe(struct uring *u, struct io_op *op, int res, unsigned flags)
{
	struct io_sock *sock = op->net.sock;

	if (flags & IORING_CQE_F_NOTIF) {
		sock->send_notifs--;
		if (u->has_zc_report && (unsigned)res & LINUX_IORING_NOTIF_USAGE_ZC_COPIED)
			sock->no_zerocopy = true;
	} else {
		sock->send_notifs += !!(flags & IORING_CQE_F_MORE);
		if (send_settle(u, op, res))
			op->priv[SEND_SETTLED] = op;
	}
	if (op->priv[SEND_SETTLED] && sock->send_notifs == 0) { /* US1 */
		sock->send_op = NULL;
		uring_finish(u, op, op->res);
	}
	if (!(flags & IORING_CQE_F_MORE)) {
		u->in_ring--;
		u->in_socks--;
		uring_sock_unpin(sock);
	}
}
