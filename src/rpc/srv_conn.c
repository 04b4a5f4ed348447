// SPDX-License-Identifier: Apache-2.0
/*
 * srv_conn - a client's connection: its session, its deadlines, its end.
 *
 *	OPEN --drain--> NOTICED --its answer to our PING, or a second--> LAST --no calls left--> DEAD
 *
 * SC1. One timer, due no later than the first deadline; it looks again when it fires.
 * SC2. A call belongs to its stream's user data; a stream without one was refused.
 * SC3. A connection is freed from the loop only (LK3), never inside of nghttp2.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "io/addr.h"
#include "rpc/srv_priv.h"

#define NOTICE_NS 1000000000ull /* between the two GOAWAY, if the peer answers no PING */

static struct srv_conn *conn_of(void *h2)
{
	return container_of(h2, struct srv_conn, h2);
}

static struct rpc_call *conn_call(nghttp2_session *session, int32_t stream_id)
{
	return nghttp2_session_get_stream_user_data(session, stream_id);
}

void srv_conn_reset(struct srv_conn *conn, int32_t stream_id, uint32_t error)
{
	if (nghttp2_submit_rst_stream(conn->h2.session, NGHTTP2_FLAG_NONE, stream_id, error) != 0)
		h2_terminate(&conn->h2, NGHTTP2_INTERNAL_ERROR);
	link_kick(&conn->h2.link);
}

/* ---- the end --------------------------------------------------------------------- */

static void conn_gone(struct h2 *h2)
{
	struct srv_conn *conn = conn_of(h2);
	struct rpc_server *server = conn->server;
	struct rpc_call *call;

	while ((call = list_first(&conn->calls, struct rpc_call, link)))
		srv_call_orphan(call);
	must(conn->call_count == 0 && conn->memory_bytes == 0);
	timer_stop(&conn->timer);
	h2_fini(&conn->h2);
	list_del(&conn->link);
	server->conn_count--;
	server->stats.conns_now--;
	mem_free(conn);
	srv_settle(server);
}

static void conn_close(struct srv_conn *conn)
{
	conn->state = CONN_DEAD;
	timer_stop(&conn->timer);
	link_close(&conn->h2.link);
}

void srv_conn_drop(struct srv_conn *conn, const char *why)
{
	struct rpc_server *server = conn->server;
	char text[IO_ADDR_TEXT_MAX];

	if (conn->state == CONN_DEAD)
		return;
	if (why) {
		server->stats.conns_dropped++;
		log_at_rate(reactor_log(server->reactor), &server->log_rate, LOG_LEVEL_INFO,
			    "gRPC connection dropped",
			    LOG_STR("peer", io_addr_print(&conn->peer, text)), LOG_STR("why", why));
	}
	conn_close(conn);
}

/* ---- deadlines (SC1) ------------------------------------------------------------- */

static uint64_t conn_due(const struct srv_conn *conn)
{
	const struct rpc_server_opts *opts = &conn->server->opts;
	const struct h2 *h2 = &conn->h2;
	uint64_t due;

	if (!conn->has_preface)
		return conn->begun_ns + opts->shake_ns;
	due = h2->ping_ns ? h2->ping_ns + opts->ping_wait_ns : h2->link.recv_ns + opts->ping_ns;
	if (h2->link.send_ns)
		due = min_u64(due, h2->link.send_ns + opts->send_ns);
	if (opts->age_ns && conn->state == CONN_OPEN)
		due = min_u64(due, conn->begun_ns + opts->age_ns);
	if (conn->state == CONN_NOTICED)
		due = min_u64(due, conn->noticed_ns + NOTICE_NS);
	return due;
}

static void conn_watch(struct srv_conn *conn);

void srv_conn_last(struct srv_conn *conn)
{
	nghttp2_session *session = conn->h2.session;

	if (conn->state != CONN_NOTICED)
		return;
	conn->state = CONN_LAST;
	if (nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
				  nghttp2_session_get_last_proc_stream_id(session),
				  NGHTTP2_NO_ERROR, NULL, 0) != 0)
		h2_terminate(&conn->h2, NGHTTP2_INTERNAL_ERROR);
	link_kick(&conn->h2.link);
}

static void conn_timer_fired(struct timer *timer)
{
	struct srv_conn *conn = container_of(timer, struct srv_conn, timer);
	const struct rpc_server_opts *opts = &conn->server->opts;
	const uint64_t now_ns = reactor_now(conn->server->reactor);
	struct h2 *h2 = &conn->h2;

	if (!conn->has_preface && conn->begun_ns + opts->shake_ns <= now_ns)
		srv_conn_drop(conn, "it does not begin to speak HTTP/2");
	else if (h2->link.send_ns && h2->link.send_ns + opts->send_ns <= now_ns)
		srv_conn_drop(conn, "it does not read");
	else if (h2->ping_ns && h2->ping_ns + opts->ping_wait_ns <= now_ns)
		srv_conn_drop(conn, "it does not answer a PING");
	else if (opts->age_ns && conn->state == CONN_OPEN &&
		 conn->begun_ns + opts->age_ns <= now_ns)
		srv_conn_drain(conn);
	else if (conn->state == CONN_NOTICED && conn->noticed_ns + NOTICE_NS <= now_ns)
		srv_conn_last(conn);
	else if (!h2->ping_ns && h2->link.recv_ns + opts->ping_ns <= now_ns)
		h2_ping(h2);
	conn_watch(conn);
}

static void conn_watch(struct srv_conn *conn)
{
	uint64_t due;

	if (conn->state == CONN_DEAD)
		return;
	due = conn_due(conn);
	if (timer_is_armed(&conn->timer)) {
		if (conn->timer.due_ns <= due)
			return;
		timer_stop(&conn->timer);
	}
	timer_start_at(conn->server->reactor, &conn->timer, due, conn_timer_fired);
}

void srv_conn_drain(struct srv_conn *conn)
{
	if (conn->state != CONN_OPEN)
		return;
	if (!conn->has_preface) {
		conn_close(conn);
		return;
	}
	conn->state = CONN_NOTICED;
	conn->noticed_ns = reactor_now(conn->server->reactor);
	if (nghttp2_submit_shutdown_notice(conn->h2.session) != 0)
		h2_terminate(&conn->h2, NGHTTP2_INTERNAL_ERROR);
	h2_ping(&conn->h2);
	conn_watch(conn);
}

/* ---- what nghttp2 tells ---------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct srv_conn *conn = conn_of(ctx);

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (srv_call_new(conn, frame->hd.stream_id) == 0)
		return 0;
	srv_conn_reset(conn, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *ctx)
{
	struct srv_conn *conn = conn_of(ctx);
	struct rpc_call *call = conn_call(session, frame->hd.stream_id);
	int r;

	if (!call)
		return 0;
	r = srv_call_header(call, name, name_len, value, value_len);
	if (r == 0)
		return 0;
	if (r == -EMSGSIZE)
		h2_terminate(&conn->h2, NGHTTP2_ENHANCE_YOUR_CALM);
	else
		srv_conn_reset(conn, frame->hd.stream_id,
			       r == -EPROTO ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void conn_stream_frame(struct srv_conn *conn, const nghttp2_frame *frame)
{
	struct rpc_call *call = conn_call(conn->h2.session, frame->hd.stream_id);

	if (!call)
		return;
	if (frame->hd.type == NGHTTP2_HEADERS && srv_call_head_end(call) < 0) {
		srv_conn_reset(conn, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		srv_call_request_end(call);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct srv_conn *conn = conn_of(ctx);

	if (!h2_frame_is_fair(&conn->h2, frame))
		return 0;
	if (frame->hd.type == NGHTTP2_SETTINGS)
		conn->has_preface = true;
	else if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
		srv_conn_last(conn);
	else if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)
		conn_stream_frame(conn, frame);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
		   size_t len, void *ctx)
{
	struct rpc_call *call = conn_call(session, stream_id);

	if (call)
		srv_call_data(call, data, len);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *ctx)
{
	struct rpc_call *call = conn_call(session, stream_id);

	if (call)
		srv_call_lost(call);
	return 0;
}

/* SA2 */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct srv_conn *conn = conn_of(ctx);

	if (frame->hd.type == NGHTTP2_HEADERS && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
	    nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
		srv_conn_reset(conn, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_bad_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *ctx)
{
	struct srv_conn *conn = conn_of(ctx);

	if (!rpc_rate_pass(&conn->h2.calm, reactor_now(conn->server->reactor)))
		h2_terminate(&conn->h2, NGHTTP2_ENHANCE_YOUR_CALM);
	return 0;
}

static void conn_listen(nghttp2_session_callbacks *cbs)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_sent);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cbs, on_bad_frame);
}

/* ---- what the session tells --------------------------------------------------------- */

static void conn_describe(struct h2 *h2, struct h2_opts *ret)
{
	const struct rpc_server_opts *opts = &conn_of(h2)->server->opts;

	ret->is_server = true;
	ret->streams_max = opts->streams_max;
	ret->header_bytes_max = opts->header_bytes_max;
	ret->listen = conn_listen;
}

static void conn_drop(struct h2 *h2, const char *why)
{
	srv_conn_drop(conn_of(h2), why);
}

static void conn_heard(struct h2 *h2)
{
	conn_watch(conn_of(h2));
}

static void conn_done(struct h2 *h2)
{
	conn_close(conn_of(h2));
}

static void conn_lost(struct h2 *h2, int error)
{
	srv_conn_drop(conn_of(h2), error == -EPROTO ? h2->link.err.words : NULL);
}

static const struct h2_ops conn_ops = {
	.describe = conn_describe,
	.drop = conn_drop,
	.heard = conn_heard,
	.done = conn_done,
	.lost = conn_lost,
	.gone = conn_gone,
};

void srv_conn_start(struct rpc_server *server, struct io_sock *take_sock, bool is_unix)
{
	struct srv_conn *conn = mem_new(server->io, sizeof(*conn));

	if (!conn) {
		io_sock_close(take_sock);
		server->stats.conns_refused++;
		return;
	}
	conn->server = server;
	conn->begun_ns = reactor_now(server->reactor);
	list_init(&conn->calls);
	timer_init(&conn->timer);
	io_sock_peer(take_sock, &conn->peer);
	if (is_unix)
		conn->peer.family = AF_UNIX;
	list_add_tail(&server->conns, &conn->link);
	server->conn_count++;
	server->stats.conns++;
	server->stats.conns_now++;
	event_clear(&server->idle);
	conn->h2.ops = &conn_ops;
	if (h2_link_start(&conn->h2, server->reactor, take_sock, is_unix ? NULL : server->opts.tls,
			  NULL) < 0)
		conn_gone(&conn->h2);
	else
		conn_watch(conn);
}
