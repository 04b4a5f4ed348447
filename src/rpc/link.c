// SPDX-License-Identifier: Apache-2.0
/*
 * link - a socket, with or without TLS.
 */
#include "rpc/link_priv.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/must.h"
#include "rpc/tls_priv.h"

/* ---- the end --------------------------------------------------------------------- */

static void link_end(struct task *task)
{
	struct link *link = container_of(task, struct link, end_task);

	tls_conn_free(steal(link->tls));
	mem_free(steal(link->out));
	mem_free(steal(link->plain));
	link->ops->gone(link);
}

static void link_settle(struct link *link)
{
	if (link->is_closed && !link->is_sending)
		reactor_post(link->reactor, &link->end_task); /* LK3 */
}

void link_close(struct link *link)
{
	if (link->is_closed)
		return;
	link->is_closed = true;
	reactor_unpost(&link->flush_task);
	if (link->sock)
		io_sock_close(steal(link->sock));
	link_settle(link);
}

static void link_lost(struct link *link, int error)
{
	if (!link->is_closed)
		link->ops->lost(link, error);
}

/* ---- out ------------------------------------------------------------------------- */

/* Plain bytes through TLS, until there are no more or the records make up a buffer. */
static size_t out_tls(struct link *link)
{
	size_t have = tls_take(link->tls, link->out, LINK_OUT_BYTES), len;

	while (have < LINK_OUT_BYTES && link->is_open && !link->is_refused) {
		len = link->ops->output(link, link->plain, LINK_PLAIN_BYTES);
		if (len == 0)
			break;
		if (tls_write(link->tls, link->plain, len, &link->err) < 0) {
			link->is_refused = true;
			break;
		}
		have += tls_take(link->tls, link->out + have, LINK_OUT_BYTES - have);
	}
	return have;
}

static void send_done(struct io_op *op);

static void link_flush(struct task *task)
{
	struct link *link = container_of(task, struct link, flush_task);
	size_t len;

	if (link->is_closed || link->is_sending)
		return;
	if (link->tls)
		len = out_tls(link);
	else
		len = link->ops->output(link, link->out, LINK_OUT_BYTES);
	if (link->is_closed)
		return;
	if (len == 0) {
		if (link->is_refused)
			link_lost(link, link->err.code);
		return;
	}
	link->is_sending = true; /* LK4 */
	link->send_ns = reactor_now(link->reactor);
	link->send_iov = (struct iovec){ link->out, len };
	io_prep_send(&link->send_op, link->sock, &link->send_iov, 1, 0, send_done);
	io_submit(link->io, &link->send_op);
}

static void send_done(struct io_op *op)
{
	struct link *link = container_of(op, struct link, send_op);

	link->is_sending = false;
	link->send_ns = 0;
	if (link->is_closed) {
		link_settle(link);
		return;
	}
	if (op->res < 0) {
		err_fail(&link->err, (int)op->res, "send: %s", strerrordesc_np((int)-op->res));
		link_lost(link, (int)op->res);
		return;
	}
	link_flush(&link->flush_task);
}

void link_kick(struct link *link)
{
	if (!link->is_closed && !link->is_sending)
		reactor_post(link->reactor, &link->flush_task);
}

/* ---- in -------------------------------------------------------------------------- */

void link_pause(struct link *link)
{
	if (link->is_closed || link->is_paused)
		return;
	link->is_paused = true;
	io_recv_stop(link->sock);
}

/* The handshake goes on, or plain bytes come out. */
static void in_plain(struct link *link)
{
	int64_t got;

	do {
		got = tls_read(link->tls, link->plain, LINK_PLAIN_BYTES, &link->err);
		if (!link->is_open && tls_is_open(link->tls)) {
			link->is_open = true;
			link->ops->opened(link);
		}
		if (got > 0 && !link->is_closed)
			link->ops->input(link, link->plain, (size_t)got);
	} while (got > 0 && !link->is_closed);
	link_kick(link); /* records of its own */
	if (got == -EPIPE) {
		link_lost(link, 0);
	} else if (got < 0 && !link->is_closed) {
		link->is_refused = true; /* the alert that says why goes out first */
		link_pause(link);
	}
}

static void in_tls(struct link *link, const uint8_t *data, size_t len)
{
	if (tls_feed(link->tls, data, len) < 0)
		link_lost(link, -ENOMEM);
	else
		in_plain(link);
}

static void link_received(void *ctx, const uint8_t *data, ssize_t len)
{
	struct link *link = ctx;

	link->recv_ns = reactor_now(link->reactor);
	if (len < 0)
		err_fail(&link->err, (int)len, "receive: %s", strerrordesc_np((int)-len));
	if (len <= 0)
		link_lost(link, (int)len);
	else if (link->tls)
		in_tls(link, data, (size_t)len);
	else
		link->ops->input(link, data, (size_t)len);
}

void link_resume(struct link *link)
{
	if (link->is_closed || !link->is_paused)
		return;
	link->is_paused = false;
	io_recv_start(link->sock, link_received, link);
}

/* ---- the start ------------------------------------------------------------------- */

int link_start(struct link *link, const struct link_ops *ops, struct reactor *r,
	       struct io_sock *take_sock, struct rpc_tls *tls, const char *name)
{
	struct mem *mem = reactor_io(r)->mem;
	int res = 0;

	*link = (struct link){ .ops = ops, .reactor = r, .io = reactor_io(r), .sock = take_sock };
	task_init(&link->flush_task, link_flush);
	task_init(&link->end_task, link_end);
	link->recv_ns = reactor_now(r);
	link->out = mem_alloc(mem, LINK_OUT_BYTES);
	link->plain = tls ? mem_alloc(mem, LINK_PLAIN_BYTES) : NULL;
	if (!link->out || (tls && !link->plain))
		res = -ENOMEM;
	if (res == 0 && tls)
		res = tls_conn_new(tls, mem, name, io_wall(link->io), &link->tls);
	if (res < 0) {
		mem_free(steal(link->out));
		mem_free(steal(link->plain));
		io_sock_close(steal(link->sock));
		return res;
	}
	if (!tls) {
		link->is_open = true;
		ops->opened(link);
	}
	if (!link->is_closed)
		io_recv_start(link->sock, link_received, link);
	if (tls)
		in_plain(link); /* a client speaks first */
	return 0;
}
