// SPDX-License-Identifier: Apache-2.0
/*
 * server - connections of HTTP clients, a fiber each. See http.h.
 *
 *	IDLE (no byte) -> READING (up to HTTP_HEAD_MAX, HTTP_REQUEST_NS) -> BUSY (made, sent) -> IDLE
 *	a refusal: sent, our side shut, what still comes is dropped for HTTP_LINGER_NS, closed
 *
 * SE1. Bytes are received only while the fiber waits for a request, or lingers.
 * SE2. The fiber owns the connection: socket and memory end when it does.
 */
#include "http/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "base/must.h"
#include "http/request.h"
#include "io/io.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"

#define IN_BYTES  (2u * HTTP_HEAD_MAX) /* a request, and what of the next came with it */
#define HEAD_SIZE 512u
#define LINE_SIZE 320u

struct http_server {
	struct io *io;
	struct reactor *reactor;
	const struct http_route *routes;
	unsigned route_count;
	void *ctx;
	struct io_listener *listener;
	struct list conns; /* the one that was busy latest is the last */
	struct event idle; /* no connection */
	struct http_stats stats;
	bool is_ending;
};

struct conn {
	struct list_link link; /* server->conns */
	struct http_server *server;
	struct io_sock *sock; /* owned; NULL: closed */
	struct fiber *fiber;  /* NULL: not begun yet */
	struct event change;
	bool is_over, is_idle, is_evicted, is_full, is_lingering, is_sending;
	size_t have;
	struct io_op send_op;
	struct iovec iov[2];
	char head[HEAD_SIZE], line[LINE_SIZE];
	char in[IN_BYTES];
};

struct answer {
	unsigned status;
	const char *type;
	char *text; /* owned, if it is not the connection's line */
	size_t len;
	bool is_head, closes;
};

/* ---- sending ---------------------------------------------------------------------------------- */

static const char *status_name(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

static void sent(struct io_op *op)
{
	struct conn *conn = container_of(op, struct conn, send_op);

	conn->is_sending = false;
	event_set(&conn->change);
}

/* Whole, or the connection is closed (HT2). */
static int conn_send(struct fiber *f, struct conn *conn, const struct answer *answer,
		     size_t head_len)
{
	const uint64_t end_ns = reactor_now(conn->server->reactor) + HTTP_SEND_NS;
	int r = 0;

	conn->iov[0] = (struct iovec){ conn->head, head_len };
	conn->iov[1] = (struct iovec){ answer->text, answer->len };
	conn->is_sending = true;
	io_prep_send(&conn->send_op, conn->sock, conn->iov,
		     answer->is_head || answer->len == 0 ? 1 : 2, 0, sent);
	io_submit(conn->server->io, &conn->send_op);
	while (conn->is_sending && r == 0) {
		event_clear(&conn->change);
		r = event_wait_until(f, &conn->change, end_ns);
	}
	if (r < 0)
		io_sock_close(steal(conn->sock));
	while (conn->is_sending) { /* its buffers are the kernel's until then (IO2) */
		event_clear(&conn->change);
		event_wait_always(f, &conn->change);
	}
	return r < 0 ? r : conn->send_op.res < 0 ? (int)conn->send_op.res : 0;
}

static int conn_answer(struct fiber *f, struct conn *conn, const struct answer *answer)
{
	int len =
		snprintf(conn->head, sizeof(conn->head),
			 "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s%s\r\n",
			 answer->status, status_name(answer->status), answer->type, answer->len,
			 answer->status == 405 ? "Allow: GET, HEAD\r\n" : "",
			 answer->status == 503 ? "Retry-After: 1\r\n" : "",
			 answer->closes ? "Connection: close\r\n" : "");

	must(len > 0 && (size_t)len < sizeof(conn->head));
	conn->server->stats.requests++;
	conn->server->stats.refused += answer->status != 200;
	return conn_send(f, conn, answer, (size_t)len);
}

/* With a line of words; path NULL: none. */
static int conn_refuse(struct fiber *f, struct conn *conn, unsigned status, bool is_head,
		       bool closes, const char *words)
{
	struct answer answer = { .status = status,
				 .type = "text/plain; charset=utf-8",
				 .text = conn->line,
				 .is_head = is_head,
				 .closes = closes };

	answer.len = (size_t)snprintf(conn->line, sizeof(conn->line), "%u %s: %.200s\n", status,
				      status_name(status), words);
	return conn_answer(f, conn, &answer);
}

/* ---- answering -------------------------------------------------------------------------------------- */

static const struct http_route *route_find(const struct http_server *server, const char *path)
{
	for (unsigned i = 0; i < server->route_count; i++)
		if (strcmp(server->routes[i].path, path) == 0)
			return &server->routes[i];
	return NULL;
}

static int conn_make(struct fiber *f, struct conn *conn, const struct http_request *request,
		     const struct http_route *route)
{
	struct answer answer = { .status = 200,
				 .type = route->type,
				 .is_head = request->is_head,
				 .closes = !request->keeps_alive || request->has_body };
	int r = route->answer(f, conn->server->ctx, &answer.text, &answer.len);

	if (r < 0) {
		r = conn_refuse(f, conn, 500, request->is_head, answer.closes, fiber_words(f));
		fiber_clear(f);
		return r;
	}
	r = conn_answer(f, conn, &answer);
	mem_free(answer.text);
	return r;
}

static int conn_serve(struct fiber *f, struct conn *conn, const struct http_request *request)
{
	struct http_server *server = conn->server;
	const bool closes = !request->keeps_alive || request->has_body;
	const struct http_route *route = route_find(server, request->path);
	int r;

	if (request->is_long)
		return conn_refuse(f, conn, 414, request->is_head, closes, "the path");
	if (!route)
		return conn_refuse(f, conn, 404, request->is_head, closes, "try /metrics");
	if (!request->is_get && !request->is_head)
		return conn_refuse(f, conn, 405, false, closes, "GET and HEAD are served");
	if (server->stats.busy_now >= HTTP_BUSY_MAX)
		return conn_refuse(f, conn, 503, request->is_head, closes,
				   "others are being answered");
	server->stats.busy_now++;
	r = conn_make(f, conn, request, route);
	server->stats.busy_now--;
	return r;
}

/* ---- receiving -------------------------------------------------------------------------------------- */

static void received(void *ctx, const uint8_t *data, ssize_t len)
{
	struct conn *conn = ctx;

	if (len <= 0) {
		conn->is_over = true;
	} else if (!conn->is_lingering) {
		const size_t take = (size_t)len < IN_BYTES - conn->have ? (size_t)len :
									  IN_BYTES - conn->have;

		memcpy(conn->in + conn->have, data, take);
		conn->have += take;
		conn->is_full = take < (size_t)len;
	}
	event_set(&conn->change);
}

/* > 0: so many bytes are a request; or a status to refuse with, negative; 0: the connection is over. */
static int conn_look(const struct conn *conn, struct http_request *request)
{
	int used = conn->have ? http_request_parse(conn->in, conn->have, request) : 0;

	if (used > (int)HTTP_HEAD_MAX || (used == 0 && conn->have > HTTP_HEAD_MAX) || conn->is_full)
		return -431;
	return used == -EPROTO ? -505 : used < 0 ? -400 : used;
}

static int conn_read(struct fiber *f, struct conn *conn, struct http_request *request)
{
	struct reactor *reactor = conn->server->reactor;
	uint64_t end_ns = reactor_now(reactor) + (conn->have ? HTTP_REQUEST_NS : HTTP_IDLE_NS);
	int found = conn_look(conn, request), r = 0;

	if (found)
		return found;
	conn->is_idle = conn->have == 0;
	if (!conn->is_over)
		io_recv_start(conn->sock, received, conn);
	while (!found && !conn->is_over && !conn->is_evicted && r == 0) {
		event_clear(&conn->change);
		r = event_wait_until(f, &conn->change, end_ns);
		if (conn->is_idle && conn->have) {
			conn->is_idle = false;
			end_ns = reactor_now(reactor) + HTTP_REQUEST_NS;
		}
		found = conn_look(conn, request);
	}
	if (!conn->is_over)
		io_recv_stop(conn->sock);
	if (!found && r == -ETIMEDOUT && !conn->is_idle)
		found = -408;
	conn->is_idle = false;
	fiber_clear(f);
	return found;
}

/* The client reads why, before the bytes that nobody reads make the kernel reset the connection. */
static void conn_linger(struct fiber *f, struct conn *conn)
{
	const uint64_t end_ns = reactor_now(conn->server->reactor) + HTTP_LINGER_NS;
	int r = 0;

	io_sock_shutdown(conn->sock);
	if (conn->is_over)
		return;
	conn->is_lingering = true;
	io_recv_start(conn->sock, received, conn);
	while (!conn->is_over && r == 0) {
		event_clear(&conn->change);
		r = event_wait_until(f, &conn->change, end_ns);
	}
	if (!conn->is_over)
		io_recv_stop(conn->sock);
}

/* ---- a connection --------------------------------------------------------------------------------------- */

static const char *why(int status)
{
	switch (status) {
	case -408:
		return "the request did not come in time";
	case -431:
		return "the request is longer than 8192 bytes";
	case -505:
		return "HTTP/1.0 and HTTP/1.1 are spoken";
	default:
		return "this is no HTTP request";
	}
}

/* One request and its answer. false: the connection ends. */
static bool conn_turn(struct fiber *f, struct conn *conn)
{
	struct http_request request;
	int used = conn_read(f, conn, &request);
	bool goes_on = false;

	if (used == 0)
		return false;
	list_del(&conn->link);
	list_add_tail(&conn->server->conns, &conn->link); /* HT3 */
	if (used < 0) {
		if (conn_refuse(f, conn, (unsigned)-used, false, true, why(used)) == 0)
			conn_linger(f, conn);
		return false;
	}
	conn->have -= (size_t)used;
	memmove(conn->in, conn->in + used, conn->have);
	if (conn_serve(f, conn, &request) == 0) {
		goes_on = request.keeps_alive && !request.has_body;
		if (!goes_on)
			conn_linger(f, conn);
	}
	return goes_on;
}

static void conn_end(struct conn *conn)
{
	struct http_server *server = conn->server;

	if (conn->sock)
		io_sock_close(steal(conn->sock));
	list_del(&conn->link);
	mem_free(conn);
	if (--server->stats.conns_now == 0)
		event_set(&server->idle);
}

static int conn_main(struct fiber *f, void *arg)
{
	struct conn *conn = arg;

	conn->fiber = f;
	while (!conn->server->is_ending && !fiber_is_cancelled(f) && conn_turn(f, conn))
		fiber_clear(f);
	fiber_clear(f);
	conn_end(conn);
	return 0;
}

/* HT3: whoever waits longest for nothing. */
static bool make_room(struct http_server *server)
{
	struct conn *conn;

	list_for_each(conn, &server->conns, link) {
		if (!conn->is_idle || conn->is_evicted)
			continue;
		conn->is_evicted = true;
		event_set(&conn->change);
		return true;
	}
	return false;
}

static bool conn_start(struct http_server *server, struct io_sock *sock)
{
	struct conn *conn;

	if (server->stats.conns_now >= HTTP_CONNS_MAX && !make_room(server))
		return false;
	conn = mem_new(server->io, sizeof(*conn));
	if (!conn)
		return false;
	conn->server = server;
	event_init(&conn->change);
	if (fiber_start(server->reactor, "http", conn_main, conn, NULL) < 0) {
		mem_free(conn);
		return false;
	}
	conn->sock = sock;
	list_add_tail(&server->conns, &conn->link);
	server->stats.conns++;
	server->stats.conns_now++;
	event_clear(&server->idle);
	return true;
}

static void accepted(void *ctx, int res, struct io_sock *sock)
{
	struct http_server *server = ctx;

	if (res < 0) {
		log_error(reactor_log(server->reactor), "HTTP: nobody can connect any more",
			  LOG_ERR("error", res));
	} else if (server->is_ending || !conn_start(server, sock)) {
		server->stats.conns_refused++;
		io_sock_close(sock);
	}
}

/* ---- life --------------------------------------------------------------------------------------------------- */

int http_server_new(struct fiber *f, const struct http_route *routes, unsigned count, void *ctx,
		    struct http_server **ret)
{
	struct http_server *server;

	must(count <= HTTP_ROUTES_MAX);
	server = mem_new(fiber_io(f), sizeof(*server));
	if (!server)
		return fiber_fail(f, -ENOMEM, "no memory for an HTTP server");
	server->io = fiber_io(f);
	server->reactor = fiber_reactor(f);
	server->routes = routes;
	server->route_count = count;
	server->ctx = ctx;
	list_init(&server->conns);
	event_init(&server->idle);
	event_set(&server->idle);
	*ret = server;
	return 0;
}

int http_server_listen(struct fiber *f, struct http_server *server, const struct io_addr *addr,
		       struct io_addr *ret_addr)
{
	int r;

	must(!server->listener);
	r = io_listen(server->io, addr, &(struct io_sock_opts){ .keepalive_s = 30 }, accepted,
		      server, &server->listener, fiber_fail_err(f));
	if (r == 0 && ret_addr)
		io_listener_addr(server->listener, ret_addr);
	return r;
}

void http_server_free(struct fiber *f, struct http_server *server)
{
	struct conn *conn;

	server->is_ending = true;
	if (server->listener)
		io_listener_close(steal(server->listener));
	list_for_each(conn, &server->conns, link)
		if (conn->fiber)
			fiber_cancel(conn->fiber);
	event_wait_always(f, &server->idle);
	mem_free(server);
}

void http_server_stats(const struct http_server *server, struct http_stats *ret)
{
	*ret = server->stats;
}
