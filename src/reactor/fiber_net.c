// SPDX-License-Identifier: Apache-2.0
/*
 * fiber_net - streams and names for fibers; the failures name the peer.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "io/addr.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"

int fiber_connect(struct fiber *f, const struct io_addr *addr, const struct io_sock_opts *opts,
		  struct io_sock **ret)
{
	char text[IO_ADDR_TEXT_MAX];
	struct io_op op = { 0 };

	io_prep_connect(&op, addr, opts, ret, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? fiber_fail(f, (int)res, "connect to %s: %s", io_addr_print(addr, text),
				    strerrordesc_np((int)-res)) :
			 0;
}

static int stream_failed(struct fiber *f, const char *verb, struct io_sock *sock, int64_t res)
{
	char text[IO_ADDR_TEXT_MAX];
	struct io_addr peer;

	if (res == -ECANCELED) /* it may have been closed meanwhile: it is not looked at */
		return fiber_fail(f, (int)res, "%s a closed stream", verb);
	io_sock_peer(sock, &peer);
	return fiber_fail(f, (int)res, "%s %s: %s", verb, io_addr_print(&peer, text),
			  strerrordesc_np((int)-res));
}

int fiber_send(struct fiber *f, struct io_sock *sock, const void *buf, size_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct io_op op = { 0 };

	io_prep_send(&op, sock, &iov, 1, 0, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? stream_failed(f, "send to", sock, res) : 0;
}

int64_t fiber_recv(struct fiber *f, struct io_sock *sock, void *buf, size_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct io_op op = { 0 };

	io_prep_recv(&op, sock, &iov, 1, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? stream_failed(f, "receive from", sock, res) : res;
}

int fiber_resolve(struct fiber *f, const char *host, uint16_t port, struct io_addr *ret,
		  uint32_t max, uint32_t *ret_count)
{
	struct io_op op = { 0 };

	io_prep_resolve(&op, host, port, ret, max, NULL);
	int64_t res = fiber_io_wait(f, &op);
	if (res < 0)
		return fiber_fail(f, (int)res, "resolve '%s': %s", host,
				  strerrordesc_np((int)-res));
	*ret_count = (uint32_t)res;
	return 0;
}
