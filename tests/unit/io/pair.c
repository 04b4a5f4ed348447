// SPDX-License-Identifier: Apache-2.0
/* pair - see pair.h. */
#include "pair.h"

static void pair_accept(void *ctx, int res, struct io_sock *sock)
{
	struct pair *p = ctx;

	p->accepted = true;
	p->accept_res = res;
	p->b = sock;
}

void pair_open(struct world *w, struct pair *p, const char *address,
	       const struct io_sock_opts *opts)
{
	struct io_addr addr;
	struct err err = { 0 };
	struct io_op op;

	*p = (struct pair){ 0 };
	assert_int_equal(io_addr_parse(address, &addr, &err), 0);
	int r = io_listen(w->io, &addr, opts, pair_accept, p, &p->listener, &err);
	if (r < 0)
		fail_msg("%s", err_words(&err));
	io_listener_addr(p->listener, &addr);
	io_prep_connect(&op, &addr, opts, &p->a, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	world_turn_until(w, &p->accepted);
	assert_int_equal(p->accept_res, 0);
}

void pair_close(struct pair *p)
{
	if (p->a)
		io_sock_close(p->a);
	if (p->b)
		io_sock_close(p->b);
	io_listener_close(p->listener);
}

void sink_fn(void *ctx, const uint8_t *data, ssize_t len)
{
	struct sink *s = ctx;

	assert_false(s->ended);
	s->calls++;
	if (len <= 0) {
		s->ended = true;
		s->end = len;
		return;
	}
	if (s->len + (size_t)len > s->room) {
		s->room = 2 * (s->len + (size_t)len);
		s->bytes = realloc(s->bytes, s->room);
		assert_non_null(s->bytes);
	}
	memcpy(s->bytes + s->len, data, (size_t)len);
	s->len += (size_t)len;
}

void sink_free(struct sink *s)
{
	free(s->bytes);
	*s = (struct sink){ 0 };
}

void sink_wait(struct world *w, struct sink *s, size_t len)
{
	uint64_t deadline = io_now(w->io) + WORLD_PATIENCE_NS;

	while (s->len < len && !s->ended) {
		io_turn(w->io, deadline);
		assert_true(io_now(w->io) < deadline);
	}
}

int64_t sock_send(struct world *w, struct io_sock *sock, const void *buf, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct io_op op;

	io_prep_send(&op, sock, &iov, 1, 0, op_done);
	return op_wait(w, &op);
}

int64_t sock_recv(struct world *w, struct io_sock *sock, void *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct io_op op;

	io_prep_recv(&op, sock, &iov, 1, op_done);
	return op_wait(w, &op);
}
