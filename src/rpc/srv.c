// SPDX-License-Identifier: Apache-2.0
/*
 * srv - the server: what it serves, where it listens, how it ends.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "reactor/fiber.h"
#include "rpc/proto_priv.h"
#include "rpc/srv_priv.h"

#define DRAIN_CANCEL_NS 1000000000ull /* from the cancellation of calls to the end of connections */
#define LOG_BURST	10u
#define LOG_PERIOD_NS	10000000000ull

/* ---- what is served -------------------------------------------------------------- */

static int method_check(struct fiber *f, const struct rpc_service *service,
			const struct rpc_method *method)
{
	const bool has_types = method->in && method->out;
	int r;

	if ((method->handle && (method->raw || !has_types)) ||
	    (method->endless && !method->streams))
		return fiber_fail(f, -EINVAL, "method '%s' of '%s' is told inconsistently",
				  method->name, service->name);
	if (!method->handle)
		return 0;
	r = rpc_proto_type_check(method->in, fiber_fail_err(f));
	return r < 0 ? r : rpc_proto_type_check(method->out, fiber_fail_err(f));
}

static const struct srv_service *server_service(const struct rpc_server *server, const char *name,
						size_t len)
{
	for (unsigned i = 0; i < server->service_count; i++) {
		const char *own = server->services[i].service->name;

		if (strlen(own) == len && memcmp(own, name, len) == 0)
			return &server->services[i];
	}
	return NULL;
}

int rpc_server_add(struct fiber *f, struct rpc_server *server, const struct rpc_service *service,
		   void *ctx)
{
	must(fiber_reactor(f) == server->reactor);
	if (server_service(server, service->name, strlen(service->name)))
		return fiber_fail(f, -EEXIST, "service '%s' is served already", service->name);
	if (server->service_count == RPC_SERVICES_MAX)
		return fiber_fail(f, -ENOSPC, "a server has at most %u services", RPC_SERVICES_MAX);
	for (unsigned i = 0; i < service->method_count; i++) {
		int r = method_check(f, service, &service->methods[i]);

		if (r < 0)
			return r;
	}
	server->services[server->service_count++] = (struct srv_service){ service, ctx };
	return 0;
}

enum rpc_code srv_find(const struct rpc_server *server, const char *path,
		       const struct srv_service **ret_service, const struct rpc_method **ret_method,
		       char *words, size_t size)
{
	const char *name = path + 1, *slash = strrchr(path, '/');
	const struct srv_service *found = NULL;

	if (slash > path)
		found = server_service(server, name, (size_t)(slash - name));
	if (!found) {
		snprintf(words, size, "service of '%.60s' is not served", path);
		return RPC_UNIMPLEMENTED;
	}
	for (unsigned i = 0; i < found->service->method_count; i++) {
		const struct rpc_method *method = &found->service->methods[i];

		if (strcmp(method->name, slash + 1) != 0)
			continue;
		*ret_service = found;
		*ret_method = method;
		if (method->handle || method->raw)
			return RPC_OK;
		snprintf(words, size, "'%.80s' is not served yet", path);
		return RPC_UNIMPLEMENTED;
	}
	snprintf(words, size, "there is no method '%.80s'", path);
	return RPC_UNIMPLEMENTED;
}

/* ---- life ------------------------------------------------------------------------ */

static uint64_t or_default(uint64_t value, uint64_t by_default)
{
	return value ? value : by_default;
}

static void opts_fill(struct rpc_server_opts *o)
{
	o->conns_max = (uint32_t)or_default(o->conns_max, RPC_CONNS_DEFAULT);
	o->calls_max = (uint32_t)or_default(o->calls_max, RPC_CALLS_DEFAULT);
	o->streams_max = (uint32_t)or_default(o->streams_max, RPC_STREAMS_DEFAULT);
	o->message_bytes_max = (uint32_t)or_default(o->message_bytes_max, RPC_MESSAGE_DEFAULT);
	o->message_bytes_max = min_u32(o->message_bytes_max, RPC_MESSAGE_MAX);
	o->header_bytes_max = (uint32_t)or_default(o->header_bytes_max, RPC_HEADERS_DEFAULT);
	o->conn_memory_bytes = or_default(o->conn_memory_bytes, RPC_CONN_MEMORY_DEFAULT);
	o->memory_bytes = or_default(o->memory_bytes, RPC_MEMORY_DEFAULT);
	o->call_memory_bytes = or_default(o->call_memory_bytes, RPC_CALL_MEMORY_DEFAULT);
	o->shake_ns = or_default(o->shake_ns, RPC_SHAKE_DEFAULT_NS);
	o->request_ns = or_default(o->request_ns, RPC_REQUEST_DEFAULT_NS);
	o->send_ns = or_default(o->send_ns, RPC_SEND_DEFAULT_NS);
	o->ping_ns = or_default(o->ping_ns, RPC_PING_DEFAULT_NS);
	o->ping_wait_ns = or_default(o->ping_wait_ns, RPC_PING_WAIT_NS);
	o->drain_ns = or_default(o->drain_ns, RPC_DRAIN_DEFAULT_NS);
}

int rpc_server_new(struct fiber *f, const struct rpc_server_opts *opts, struct rpc_server **ret)
{
	struct rpc_server *server = mem_new(fiber_io(f), sizeof(*server));

	if (!server)
		return fiber_fail(f, -ENOMEM, "no memory for a gRPC server");
	server->reactor = fiber_reactor(f);
	server->io = fiber_io(f);
	if (opts)
		server->opts = *opts;
	opts_fill(&server->opts);
	rpc_bound_init(&server->calls_mem, server->io->mem,
		       server->opts.memory_bytes * CALLS_MEMORY_FACTOR);
	list_init(&server->conns);
	event_init(&server->idle);
	event_init(&server->health);
	event_set(&server->idle);
	server->is_serving = true;
	log_rate_init(&server->log_rate, LOG_BURST, LOG_PERIOD_NS);
	*ret = server;
	return 0;
}

void srv_settle(struct rpc_server *server)
{
	if (server->conn_count == 0 && server->handlers == 0)
		event_set(&server->idle);
}

void rpc_server_set_serving(struct rpc_server *server, bool is_serving)
{
	server->is_serving = is_serving;
	event_set(&server->health);
}

void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *ret)
{
	*ret = server->stats;
	ret->memory_bytes = server->memory_bytes;
}

/* ---- listening ------------------------------------------------------------------- */

static void server_accept(void *ctx, int res, struct io_sock *sock)
{
	struct srv_listener *listener = ctx;
	struct rpc_server *server = listener->server;

	if (res < 0) {
		log_error(reactor_log(server->reactor), "gRPC: nobody can connect any more",
			  LOG_ERR("error", res));
		return;
	}
	if (server->conn_count >= server->opts.conns_max) {
		server->stats.conns_refused++;
		log_at_rate(reactor_log(server->reactor), &server->log_rate, LOG_LEVEL_WARN,
			    "gRPC: a connection was closed at once, no more are taken",
			    LOG_U64("connections", server->conn_count),
			    LOG_U64("refused", server->stats.conns_refused));
		io_sock_close(sock);
		return;
	}
	srv_conn_start(server, sock, listener->is_unix);
}

int rpc_server_listen(struct fiber *f, struct rpc_server *server, const struct io_addr *addr,
		      struct io_addr *ret_addr)
{
	struct srv_listener *at = &server->listeners[server->listener_count];
	int r;

	must(fiber_reactor(f) == server->reactor);
	if (server->listener_count == RPC_LISTENERS_MAX)
		return fiber_fail(f, -ENOSPC, "a gRPC server listens on at most %u addresses",
				  RPC_LISTENERS_MAX);
	at->server = server;
	at->is_unix = addr->family == AF_UNIX;
	r = io_listen(server->io, addr, &(struct io_sock_opts){ .keepalive_s = 30 }, server_accept,
		      at, &at->listener, fiber_fail_err(f));
	if (r < 0)
		return r;
	server->listener_count++;
	if (ret_addr)
		io_listener_addr(at->listener, ret_addr);
	return 0;
}

/* ---- the end --------------------------------------------------------------------- */

/* The calls of all connections, or only those that would never end. */
static void server_end_calls(struct rpc_server *server, bool only_endless)
{
	struct srv_conn *conn;
	struct rpc_call *call;

	list_for_each(conn, &server->conns, link)
		list_for_each(call, &conn->calls, link)
			if (!only_endless || (call->method && call->method->endless))
				srv_call_end(call, RPC_UNAVAILABLE, -ECANCELED, "the server ends");
}

static void server_stop_listening(struct rpc_server *server)
{
	for (unsigned i = 0; i < server->listener_count; i++)
		if (server->listeners[i].listener)
			io_listener_close(steal(server->listeners[i].listener));
}

static bool server_wait_idle(struct fiber *f, struct rpc_server *server, uint64_t ns)
{
	return event_wait_until(f, &server->idle, io_now(server->io) + ns) == 0;
}

void rpc_server_drain(struct fiber *f, struct rpc_server *server)
{
	struct srv_conn *conn, *next;

	must(fiber_reactor(f) == server->reactor);
	server->is_draining = true;
	rpc_server_set_serving(server, false);
	server_stop_listening(server);
	list_for_each_safe(conn, next, &server->conns, link)
		srv_conn_drain(conn);
	fiber_yield(f); /* watchers of the health tell it yet */
	server_end_calls(server, true);
	if (!server_wait_idle(f, server, server->opts.drain_ns)) {
		log_warn(reactor_log(server->reactor), "gRPC: calls did not end and are cancelled",
			 LOG_U64("calls", server->handlers));
		server_end_calls(server, false);
		list_for_each(conn, &server->conns, link)
			srv_conn_last(conn);
		if (!server_wait_idle(f, server, DRAIN_CANCEL_NS)) {
			list_for_each_safe(conn, next, &server->conns, link)
				srv_conn_drop(conn, NULL);
		}
	}
	event_wait_always(f, &server->idle);
}

void rpc_server_free(struct fiber *f, struct rpc_server *server)
{
	if (!server->is_draining)
		rpc_server_drain(f, server);
	must(server->calls_mem.bytes == 0 && server->memory_bytes == 0);
	mem_free(server);
}
