// SPDX-License-Identifier: Apache-2.0
/*
 * uring_sock - stream sockets: making, connecting, naming, moving and closing them.
 *
 *	connect ->		 accept (uring_listen.c) ->	adopt ->
 *		\			|		       /
 *		  open: uring_recv.c, uring_send.c, detach -> another ring
 *			|
 *		  closed: ops cancelled, freed when no SQE names it any more (U1, U2)
 *
 * The ends of a child's standard streams are sockets too (uring_child.c).
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define ABSTRACT_MARK '@'

/* ---- addresses ---------------------------------------------------------------- */

static socklen_t addr_to_unix(const struct io_addr *addr, struct sockaddr_un *ret)
{
	size_t len = strnlen(addr->path, sizeof(addr->path));

	if (len == 0 || len >= sizeof(ret->sun_path))
		return 0;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, addr->path, len);
	if (addr->path[0] != ABSTRACT_MARK)
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

socklen_t uring_addr_to_kernel(const struct io_addr *addr, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	switch (addr->family) {
	case AF_INET:
		in->sin_family = AF_INET;
		in->sin_port = htons(addr->port);
		memcpy(&in->sin_addr, addr->ip, 4);
		return sizeof(*in);
	case AF_INET6:
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(addr->port);
		memcpy(&in6->sin6_addr, addr->ip, 16);
		return sizeof(*in6);
	case AF_UNIX:
		return addr_to_unix(addr, (struct sockaddr_un *)ret);
	default:
		return 0;
	}
}

void uring_addr_from_kernel(const struct sockaddr_storage *from, socklen_t len, struct io_addr *ret)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	const struct sockaddr_un *un = (const struct sockaddr_un *)from;
	size_t path = len > offsetof(struct sockaddr_un, sun_path) ?
			      len - offsetof(struct sockaddr_un, sun_path) :
			      0;

	*ret = (struct io_addr){ .family = from->ss_family };
	switch (from->ss_family) {
	case AF_INET:
		ret->port = ntohs(in->sin_port);
		memcpy(ret->ip, &in->sin_addr, 4);
		break;
	case AF_INET6:
		ret->port = ntohs(in6->sin6_port);
		memcpy(ret->ip, &in6->sin6_addr, 16);
		break;
	case AF_UNIX:
		memcpy(ret->path, un->sun_path, min_size(path, sizeof(ret->path) - 1));
		if (path > 0 && ret->path[0] == '\0')
			ret->path[0] = path > 1 ? ABSTRACT_MARK : '\0';
		break;
	default:
		break;
	}
}

/* ---- options ------------------------------------------------------------------ */

static int sock_set(int number, int level, int name, uint32_t value)
{
	int v = (int)min_u32(value, INT32_MAX);

	return setsockopt(number, level, name, &v, sizeof(v)) < 0 ? -errno : 0;
}

/* Accepted connections inherit all of these from their listener. */
int uring_sock_set(int number, int family, const struct io_sock_opts *opts)
{
	int r = 0;

	if (opts->rcvbuf_bytes)
		r = sock_set(number, SOL_SOCKET, SO_RCVBUF, opts->rcvbuf_bytes);
	if (r == 0 && opts->sndbuf_bytes)
		r = sock_set(number, SOL_SOCKET, SO_SNDBUF, opts->sndbuf_bytes);
	if (family == AF_UNIX)
		return r;
	if (r == 0 && !opts->nagle)
		r = sock_set(number, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && opts->keepalive_s) {
		r = sock_set(number, SOL_SOCKET, SO_KEEPALIVE, 1);
		if (r == 0)
			r = sock_set(number, IPPROTO_TCP, TCP_KEEPIDLE, opts->keepalive_s);
		if (r == 0)
			r = sock_set(number, IPPROTO_TCP, TCP_KEEPINTVL, opts->keepalive_s);
	}
	if (r == 0 && opts->user_timeout_ms)
		r = sock_set(number, IPPROTO_TCP, TCP_USER_TIMEOUT, opts->user_timeout_ms);
	return r;
}

/* ---- life --------------------------------------------------------------------- */

int uring_sock_new(struct uring *u, int number, const struct io_sock_opts *opts,
		   struct io_sock **ret)
{
	struct io_sock *sock = mem_alloc(u->io.mem, sizeof(*sock));

	if (!sock) {
		close(number);
		return -ENOMEM;
	}
	sock->io = &u->io;
	sock->opts = *opts;
	sock->end = 1;
	sock->recv.fn = uring_recv_event;
	uring_fd_init(u, &sock->fd, number);
	*ret = sock;
	return 0;
}

static void uring_sock_free(struct io_sock *sock)
{
	struct uring *u = uring_of(sock->io);

	uring_recv_fini(sock);
	uring_fd_release(u, &sock->fd);
	if (sock->fd.fd >= 0)
		close(sock->fd.fd); /* U2 */
	mem_free(sock);
}

void uring_sock_pin(struct io_sock *sock)
{
	sock->pins++;
}

void uring_sock_unpin(struct io_sock *sock)
{
	must(sock->pins > 0);
	if (--sock->pins == 0 && sock->is_closed) {
		uring_of(sock->io)->closing--;
		uring_sock_free(sock);
	}
}

void uring_sock_close(struct io_sock *sock)
{
	struct uring *u = uring_of(sock->io);

	must(!sock->is_closed);
	sock->is_closed = true;
	u->closing++;
	uring_sock_pin(sock);
	uring_recv_close(sock);
	if (sock->send_op)
		u->io.ops->cancel(&u->io, sock->send_op);
	uring_sock_unpin(sock);
}

void uring_sock_shutdown(struct io_sock *sock)
{
	(void)shutdown(sock->fd.fd, SHUT_WR); /* fails only when the peer has gone already */
}

void uring_sock_peer(struct io_sock *sock, struct io_addr *ret)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t len = sizeof(storage);

	if (getpeername(sock->fd.fd, (struct sockaddr *)&storage, &len) < 0)
		*ret = (struct io_addr){ 0 };
	else
		uring_addr_from_kernel(&storage, len, ret);
}

void uring_sock_local(struct io_sock *sock, struct io_addr *ret)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t len = sizeof(storage);

	if (getsockname(sock->fd.fd, (struct sockaddr *)&storage, &len) < 0)
		*ret = (struct io_addr){ 0 };
	else
		uring_addr_from_kernel(&storage, len, ret);
}

/* ---- connecting --------------------------------------------------------------- */

static int uring_connect_sock(struct uring *u, struct io_op *op, socklen_t *ret_len)
{
	static const struct io_sock_opts defaults;
	const struct io_sock_opts *opts = op->net.opts ? op->net.opts : &defaults;
	struct sockaddr_storage storage;
	socklen_t len = uring_addr_to_kernel(op->net.addr, &storage);

	if (len == 0)
		return -EINVAL;
	int number = socket(op->net.addr->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (number < 0)
		return -errno;
	int r = uring_sock_set(number, op->net.addr->family, opts);
	if (r < 0) {
		close(number);
		return r;
	}
	r = uring_sock_new(u, number, opts, &op->net.sock);
	if (r < 0)
		return r;
	op->net.sock->addr = storage;
	*ret_len = len;
	return 0;
}

void uring_connect(struct uring *u, struct io_op *op)
{
	socklen_t len;
	int r = uring_connect_sock(u, op, &len);

	if (r < 0) {
		uring_finish_later(u, op, r);
		return;
	}
	struct io_uring_sqe *sqe = uring_sqe(u);
	sqe->opcode = IORING_OP_CONNECT;
	uring_sqe_fd(sqe, &op->net.sock->fd);
	sqe->addr = (uintptr_t)&op->net.sock->addr;
	sqe->off = len;
	uring_sqe_op(u, sqe, op);
	u->in_socks++;
	uring_sock_pin(op->net.sock);
}

void uring_connect_cqe(struct uring *u, struct io_op *op, int res)
{
	struct io_sock *sock = op->net.sock;

	u->in_ring--;
	u->in_socks--;
	uring_wait_stream(u);
	if (res == 0)
		*op->net.ret_sock = sock;
	else
		uring_sock_close(sock);
	uring_sock_unpin(sock);
	uring_finish(u, op, res < 0 && op_is_cancelled(op) ? -ECANCELED : res);
}

/* ---- moving ------------------------------------------------------------------- */

int uring_sock_detach(struct io_sock *sock, struct io_sock_token *ret)
{
	struct uring *u = uring_of(sock->io);

	if (sock->send_op || sock->is_delivering)
		return -EBUSY;
	int r = uring_recv_detach(sock);
	if (r < 0)
		return r;
	*ret = (struct io_sock_token){ .handle = (uintptr_t)sock->fd.fd, .opts = sock->opts };
	uring_sock_peer(sock, &ret->peer);
	uring_fd_release(u, &sock->fd);
	sock->fd.fd = -1;
	uring_sock_close(sock);
	return 0;
}

int uring_sock_adopt(struct io *io, const struct io_sock_token *token, struct io_sock **ret)
{
	return uring_sock_new(uring_of(io), (int)token->handle, &token->opts, ret);
}
