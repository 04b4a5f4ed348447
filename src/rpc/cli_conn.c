// SPDX-License-Identifier: Apache-2.0
/*
 * cli_conn - a channel's connection: its session, its calls, its end.
 *
 * CC1. While calls wait and nothing comes, the server is asked whether it lives (PING).
 * CC2. A call that loses its connection ends UNAVAILABLE.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "rpc/cli_priv.h"

static struct cli_conn *conn_of(void *h2)
{
	return container_of(h2, struct cli_conn, h2);
}

/* ---- the end --------------------------------------------------------------------- */

static void conn_gone(struct h2 *h2)
{
	struct cli_conn *conn = conn_of(h2);
	struct rpc_channel *channel = conn->channel;

	must(list_empty(&conn->calls));
	timer_stop(&conn->timer);
	h2_fini(&conn->h2);
	list_del(&conn->link);
	mem_free(conn);
	if (list_empty(&channel->conns))
		event_set(&channel->gone);
}

static void conn_close(struct cli_conn *conn)
{
	conn->is_dead = true;
	conn->is_retired = true;
	timer_stop(&conn->timer);
	event_set(&conn->shaken);
	cli_left(conn->channel, conn);
	link_close(&conn->h2.link);
}

void cli_conn_drop(struct cli_conn *conn, const char *why)
{
	struct cli_call *call;

	if (conn->is_dead)
		return;
	conn_close(conn);
	if (!conn->h2.link.err.code)
		err_fail(&conn->h2.link.err, -ENOTCONN, "%s", why);
	while ((call = list_first(&conn->calls, struct cli_call, link))) {
		list_del(&call->link);
		call->conn = NULL;
		call->held_bytes = 0;
		cli_call_end(call, RPC_UNAVAILABLE, "connection to %s lost: %s",
			     conn->channel->authority, conn->h2.link.err.words);
	}
}

void cli_conn_settle(struct cli_conn *conn)
{
	if (conn->is_retired && !conn->is_dead && list_empty(&conn->calls))
		h2_terminate(&conn->h2, NGHTTP2_NO_ERROR); /* when all is sent: conn_done() */
}

void cli_conn_retire(struct cli_conn *conn)
{
	if (conn->is_dead || conn->is_retired)
		return;
	conn->is_retired = true;
	cli_left(conn->channel, conn);
	cli_conn_settle(conn);
}

/* ---- deadlines (CC1) ------------------------------------------------------------- */

static uint64_t conn_due(const struct cli_conn *conn)
{
	const struct rpc_channel_opts *opts = &conn->channel->opts;
	const struct h2 *h2 = &conn->h2;

	if (h2->ping_ns)
		return h2->ping_ns + opts->ping_wait_ns;
	return list_empty(&conn->calls) ? IO_FOREVER : h2->link.recv_ns + opts->ping_ns;
}

static void conn_timer_fired(struct timer *timer)
{
	struct cli_conn *conn = container_of(timer, struct cli_conn, timer);
	const uint64_t now_ns = reactor_now(conn->channel->reactor);

	if (conn_due(conn) <= now_ns) {
		if (conn->h2.ping_ns)
			cli_conn_drop(conn, "it does not answer a PING");
		else
			h2_ping(&conn->h2);
	}
	cli_conn_watch(conn);
}

void cli_conn_watch(struct cli_conn *conn)
{
	uint64_t due = conn_due(conn);

	if (conn->is_dead || due == IO_FOREVER || !conn->is_ready)
		return;
	if (timer_is_armed(&conn->timer)) {
		if (conn->timer.due_ns <= due)
			return;
		timer_stop(&conn->timer);
	}
	timer_start_at(conn->channel->reactor, &conn->timer, due, conn_timer_fired);
}

/* ---- what nghttp2 tells ---------------------------------------------------------- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *ctx)
{
	struct cli_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	int r;

	if (!call)
		return 0;
	r = cli_call_header(call, name, name_len, value, value_len);
	if (r == 0)
		return 0;
	cli_call_end(call, RPC_INTERNAL, "the server's headers are %s",
		     r == -EPROTO ? "no HTTP/2" : "too long");
	cli_call_cancel(call);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct cli_conn *conn = conn_of(ctx);
	struct cli_call *call;

	switch (frame->hd.type) {
	case NGHTTP2_SETTINGS:
		conn->is_ready = true;
		event_set(&conn->shaken);
		break;
	case NGHTTP2_GOAWAY:
		cli_conn_retire(conn); /* later calls are closed by nghttp2: REFUSED_STREAM */
		break;
	case NGHTTP2_HEADERS:
		call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (call)
			cli_call_header_end(call);
		break;
	default:
		break;
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
		   size_t len, void *ctx)
{
	struct cli_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	nghttp2_session_consume_connection(session, len);
	if (call)
		cli_call_data(call, data, len);
	else
		nghttp2_session_consume_stream(session, stream_id, len);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *ctx)
{
	struct cli_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	if (call)
		cli_call_closed(call, error);
	return 0;
}

static void conn_listen(nghttp2_session_callbacks *cbs)
{
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
}

/* ---- what the session tells --------------------------------------------------------- */

static void conn_describe(struct h2 *h2, struct h2_opts *ret)
{
	ret->listen = conn_listen;
}

static void conn_drop(struct h2 *h2, const char *why)
{
	cli_conn_drop(conn_of(h2), why);
}

static void conn_heard(struct h2 *h2)
{
	cli_conn_watch(conn_of(h2));
}

static void conn_done(struct h2 *h2)
{
	cli_conn_drop(conn_of(h2), "the server said goodbye");
}

static void conn_lost(struct h2 *h2, int error)
{
	cli_conn_drop(conn_of(h2), "the server closed it");
}

static const struct h2_ops conn_ops = {
	.describe = conn_describe,
	.drop = conn_drop,
	.heard = conn_heard,
	.done = conn_done,
	.lost = conn_lost,
	.gone = conn_gone,
};

int cli_conn_new(struct rpc_channel *channel, struct io_sock *take_sock, struct cli_conn **ret)
{
	struct cli_conn *conn = mem_new(channel->io, sizeof(*conn));
	int r;

	if (!conn) {
		io_sock_close(take_sock);
		return -ENOMEM;
	}
	conn->channel = channel;
	list_init(&conn->calls);
	timer_init(&conn->timer);
	event_init(&conn->shaken);
	conn->h2.ops = &conn_ops;
	r = h2_link_start(&conn->h2, channel->reactor, take_sock, channel->opts.tls, channel->name);
	if (r < 0) {
		mem_free(conn);
		return r;
	}
	list_add_tail(&channel->conns, &conn->link);
	event_clear(&channel->gone);
	*ret = conn;
	return 0;
}
