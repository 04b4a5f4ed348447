// SPDX-License-Identifier: Apache-2.0
/*
 * uring_listen - listening sockets: one multishot accept each.
 *
 * Options are set on the listener; accepted connections inherit them, so that accepting
 * one costs no further system call. A lack of files or memory pauses accepting for a
 * moment instead of trying again and again; the connections wait in the backlog.
 *
 * A Unix path left behind by a process that is gone (nobody accepts there) is replaced;
 * the path is removed when the listener is closed.
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "io/addr.h"

#define LISTEN_BACKLOG	1024
#define LISTEN_PAUSE_NS 10000000

struct io_listener {
	struct io *io;
	int fd;
	unsigned pins; /* SQEs out, and the call on the stack */
	bool is_closed;
	struct uring_event accept;
	struct uring_event pause;
	struct __kernel_timespec pause_time;
	io_accept_fn fn;
	void *ctx;
	struct io_sock_opts opts;
	struct io_addr addr; /* as asked for: its path is removed at the end */
};

static void listener_unpin(struct io_listener *l)
{
	if (--l->pins > 0 || !l->is_closed)
		return;
	uring_of(l->io)->closing--;
	close(l->fd); /* U2 */
	mem_free(l);
}

static void listener_arm(struct io_listener *l)
{
	struct io_uring_sqe *sqe = uring_sqe(uring_of(l->io));

	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = l->fd;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->accept_flags = SOCK_CLOEXEC;
	uring_sqe_event(sqe, &l->accept);
	l->pins++;
}

static void listener_pause(struct io_listener *l)
{
	struct io_uring_sqe *sqe = uring_sqe(uring_of(l->io));

	l->pause_time.tv_nsec = LISTEN_PAUSE_NS;
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->fd = -1;
	sqe->addr = (uintptr_t)&l->pause_time;
	sqe->len = 1;
	uring_sqe_event(sqe, &l->pause);
	l->pins++;
}

static void listener_pause_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	struct io_listener *l = container_of(ev, struct io_listener, pause);

	if (!l->is_closed)
		listener_arm(l);
	listener_unpin(l);
}

static void listener_tell(struct uring *u, struct io_listener *l, int number)
{
	struct io_sock *sock;

	if (l->is_closed) {
		close(number);
		return;
	}
	if (uring_sock_new(u, number, &l->opts, &sock) < 0)
		return; /* no memory: the peer sees a closed connection */
	u->told++;
	l->fn(l->ctx, 0, sock);
}

static bool accept_is_over(int res)
{
	return res == -EBADF || res == -EINVAL || res == -ENOTSOCK || res == -EOPNOTSUPP;
}

static bool accept_lacks(int res)
{
	return res == -EMFILE || res == -ENFILE || res == -ENOBUFS || res == -ENOMEM;
}

static void listener_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	struct io_listener *l = container_of(ev, struct io_listener, accept);

	uring_wait_stream(u);
	l->pins++;
	if (res >= 0) {
		listener_tell(u, l, res);
	} else if (accept_is_over(res) && !l->is_closed) {
		u->told++;
		l->fn(l->ctx, res, NULL);
	}
	if (!ev->is_armed) {
		if (!l->is_closed && !accept_is_over(res)) {
			if (accept_lacks(res))
				listener_pause(l);
			else
				listener_arm(l);
		}
		l->pins--; /* the multishot's */
	}
	listener_unpin(l);
}

/* A path nobody accepts at any more. */
static bool listen_remove_stale(const struct io_addr *addr, const struct sockaddr_storage *at,
				socklen_t len)
{
	struct stat st;
	int probe = addr->family == AF_UNIX ?
			    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) :
			    -1;

	if (probe < 0)
		return false;
	bool is_stale = connect(probe, (const struct sockaddr *)at, len) < 0 &&
			errno == ECONNREFUSED && lstat(addr->path, &st) == 0 &&
			S_ISSOCK(st.st_mode);
	close(probe);
	return is_stale && unlink(addr->path) == 0;
}

static int listen_bind(int fd, const struct io_addr *addr, const struct io_sock_opts *opts)
{
	struct sockaddr_storage storage;
	socklen_t len = uring_addr_to_kernel(addr, &storage);
	const struct sockaddr *at = (const struct sockaddr *)&storage;
	int one = 1;

	if (len == 0)
		return -EINVAL;
	if (addr->family != AF_UNIX &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	if (addr->family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return -errno;
	int r = uring_sock_set(fd, addr->family, opts);
	if (r < 0)
		return r;
	r = bind(fd, at, len) < 0 ? -errno : 0;
	if (r == -EADDRINUSE && listen_remove_stale(addr, &storage, len))
		r = bind(fd, at, len) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	return listen(fd, LISTEN_BACKLOG) < 0 ? -errno : 0;
}

static int listen_fail(struct err *err, int code, const struct io_addr *addr)
{
	char text[IO_ADDR_TEXT_MAX];

	return err_fail(err, code, "cannot listen on %s: %s", io_addr_print(addr, text),
			strerrordesc_np(-code));
}

int uring_listen(struct io *io, const struct io_addr *addr, const struct io_sock_opts *opts,
		 io_accept_fn fn, void *ctx, struct io_listener **ret, struct err *err)
{
	static const struct io_sock_opts defaults;
	struct io_listener *l;
	int fd = socket(addr->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return listen_fail(err, -errno, addr);
	int r = listen_bind(fd, addr, opts ? opts : &defaults);
	l = r < 0 ? NULL : mem_alloc(io->mem, sizeof(*l));
	if (!l) {
		close(fd);
		return listen_fail(err, r < 0 ? r : -ENOMEM, addr);
	}
	l->io = io;
	l->fd = fd;
	l->fn = fn;
	l->ctx = ctx;
	l->opts = opts ? *opts : defaults;
	l->addr = *addr;
	l->accept.fn = listener_event;
	l->pause.fn = listener_pause_event;
	listener_arm(l);
	*ret = l;
	return 0;
}

void uring_listener_addr(struct io_listener *l, struct io_addr *ret)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t len = sizeof(storage);

	must(getsockname(l->fd, (struct sockaddr *)&storage, &len) == 0);
	uring_addr_from_kernel(&storage, len, ret);
}

/* The address is free at once: shutting a listener down ends its listening. */
void uring_listener_close(struct io_listener *l)
{
	struct uring *u = uring_of(l->io);

	must(!l->is_closed);
	l->is_closed = true;
	u->closing++;
	(void)shutdown(l->fd, SHUT_RDWR);
	if (l->addr.family == AF_UNIX && l->addr.path[0] != '@')
		(void)unlink(l->addr.path);
	l->pins++;
	uring_cancel_event(u, &l->accept);
	uring_cancel_event(u, &l->pause);
	listener_unpin(l);
}
