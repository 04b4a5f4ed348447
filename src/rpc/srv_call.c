// SPDX-License-Identifier: Apache-2.0
/*
 * srv_call - a request comes in: headers, one message, its end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "reactor/fiber.h"
#include "rpc/srv_priv.h"

/* ---- what it holds (SV3) --------------------------------------------------------- */

bool srv_call_count(struct rpc_call *call, uint64_t bytes)
{
	struct rpc_server *server = call->server;

	if (call->conn && call->conn->memory_bytes + bytes > server->opts.conn_memory_bytes)
		return false;
	if (server->memory_bytes + bytes > server->opts.memory_bytes)
		return false;
	if (call->conn)
		call->conn->memory_bytes += bytes;
	server->memory_bytes += bytes;
	call->memory_bytes += bytes;
	return true;
}

void srv_call_uncount(struct rpc_call *call, uint64_t bytes)
{
	must(call->memory_bytes >= bytes && call->server->memory_bytes >= bytes);
	if (call->conn)
		call->conn->memory_bytes -= bytes;
	call->server->memory_bytes -= bytes;
	call->memory_bytes -= bytes;
}

/* ---- life ------------------------------------------------------------------------ */

int srv_call_new(struct srv_conn *conn, int32_t stream_id)
{
	struct rpc_server *server = conn->server;
	struct rpc_call *call;

	if (conn->call_count >= 2 * server->opts.streams_max) /* SV4 */
		return -ENOSPC;
	call = mem_new(server->io, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->server = server;
	call->conn = conn;
	call->stream_id = stream_id;
	call->peer = conn->peer;
	call->deadline_ns = IO_FOREVER;
	call->request_due_ns = reactor_now(server->reactor) + server->opts.request_ns;
	call->progress_ns = IO_FOREVER;
	rpc_arena_init(&call->arena, &server->calls_mem.mem, server->opts.call_memory_bytes);
	srv_head_init(&call->head, &call->arena.mem, server->opts.header_bytes_max);
	rpc_unframe_init(&call->unframe, server->io->mem, server->opts.message_bytes_max);
	meta_init(&call->header);
	meta_init(&call->trailer);
	queue_init(&call->out);
	event_init(&call->room);
	timer_init(&call->timer);
	list_add_tail(&conn->calls, &call->link);
	conn->call_count++;
	server->stats.calls++;
	server->stats.calls_now++;
	if (nghttp2_session_set_stream_user_data(conn->h2.session, stream_id, call) != 0) {
		srv_call_lost(call);
		return -EINVAL;
	}
	srv_call_watch(call);
	return 0;
}

static void call_leave_conn(struct rpc_call *call)
{
	struct srv_conn *conn = steal(call->conn);

	if (!conn)
		return;
	list_del(&call->link);
	conn->call_count--;
	conn->memory_bytes -= call->memory_bytes; /* SV3 */
}

void srv_call_settle(struct rpc_call *call)
{
	if (call->stream_id || call->has_handler)
		return; /* SV1 */
	timer_stop(&call->timer);
	srv_answer_drop(call, true);
	rpc_unframe_fini(&call->unframe);
	mem_free(call->in_owned);
	srv_call_uncount(call, call->memory_bytes);
	call_leave_conn(call);
	rpc_arena_drop(&call->arena);
	call->server->stats.calls_now--;
	mem_free(call);
}

/* What the handler is told, if it asks or waits (RP2). */
static void call_over(struct rpc_call *call, int error)
{
	if (call->is_over)
		return;
	call->is_over = true;
	call->over_error = error;
	event_set(&call->room);
	if (call->fiber && !call->is_shielded)
		fiber_cancel(call->fiber);
}

void srv_call_lost(struct rpc_call *call)
{
	call_over(call, -ECANCELED);
	timer_stop(&call->timer);
	srv_answer_drop(call, true);
	call->stream_id = 0;
	srv_call_settle(call);
}

void srv_call_orphan(struct rpc_call *call)
{
	call_leave_conn(call);
	srv_call_lost(call);
}

void srv_call_end(struct rpc_call *call, enum rpc_code code, int error, const char *words)
{
	if (call->is_over)
		return;
	call_over(call, error);
	if (call->state != CALL_RUN)
		call->state = CALL_ENDED;
	srv_answer_drop(call, false);
	srv_answer(call, code, words);
}

/* ---- deadlines ------------------------------------------------------------------- */

static uint64_t call_due(const struct rpc_call *call)
{
	uint64_t due = IO_FOREVER;

	if (!call->is_over)
		due = call->deadline_ns;
	if (call->state < CALL_READY)
		due = min_u64(due, call->request_due_ns);
	if (call->progress_ns != IO_FOREVER)
		due = min_u64(due, call->progress_ns + call->server->opts.send_ns);
	return due;
}

static void call_timer_fired(struct timer *timer)
{
	struct rpc_call *call = container_of(timer, struct rpc_call, timer);
	const uint64_t now_ns = reactor_now(call->server->reactor);

	if (call->progress_ns != IO_FOREVER &&
	    call->progress_ns + call->server->opts.send_ns <= now_ns)
		srv_conn_reset(call->conn, call->stream_id, NGHTTP2_CANCEL); /* it does not read */
	else if (!call->is_over && call->deadline_ns <= now_ns)
		srv_call_end(call, RPC_DEADLINE_EXCEEDED, -ETIMEDOUT,
			     "the deadline of the call has passed");
	else if (call->state < CALL_READY && call->request_due_ns <= now_ns)
		srv_call_end(call, RPC_DEADLINE_EXCEEDED, -ETIMEDOUT,
			     "the request took too long to arrive");
	else
		srv_call_watch(call);
}

/* As NC2 of the NBD server: a timer due later than needed is no harm, one due earlier looks again. */
void srv_call_watch(struct rpc_call *call)
{
	uint64_t due = call_due(call);

	if (due == IO_FOREVER || !call->stream_id)
		return;
	if (timer_is_armed(&call->timer)) {
		if (call->timer.due_ns <= due)
			return;
		timer_stop(&call->timer);
	}
	timer_start_at(call->server->reactor, &call->timer, due, call_timer_fired);
}

/* ---- headers --------------------------------------------------------------------- */

int srv_call_header(struct rpc_call *call, const uint8_t *name, size_t name_len,
		    const uint8_t *value, size_t value_len)
{
	if (call->state == CALL_HEAD)
		return srv_head_add(&call->head, name, name_len, value, value_len);
	return srv_head_trailer(&call->head, name, name_len, value, value_len);
}

static void call_find(struct rpc_call *call)
{
	struct srv_head *head = &call->head;
	const struct srv_service *service;

	head->code = srv_find(call->server, head->path, &service, &call->method, head->words,
			      sizeof(head->words));
	if (head->code == RPC_OK)
		call->ctx = service->ctx;
}

int srv_call_head_end(struct rpc_call *call)
{
	struct srv_head *head = &call->head;
	int r;

	if (call->state != CALL_HEAD)
		return 0;
	call->state = CALL_BODY;
	r = srv_head_end(head);
	if (r < 0)
		return r;
	if (head->code == RPC_OK)
		call_find(call);
	if (head->http != 200) {
		call_over(call, -ECANCELED);
		srv_answer_http(call);
	} else if (head->code != RPC_OK) {
		srv_call_end(call, head->code, -ECANCELED, head->words);
	} else if (head->timeout_ns < IO_FOREVER - reactor_now(call->server->reactor)) {
		call->deadline_ns = reactor_now(call->server->reactor) + head->timeout_ns;
		srv_call_watch(call);
	}
	return 0;
}

/* ---- the message ----------------------------------------------------------------- */

static void call_bad_message(struct rpc_call *call, int error)
{
	const struct rpc_unframe *u = &call->unframe;
	char words[HEAD_WORDS];

	switch (error) {
	case -E2BIG:
		snprintf(words, sizeof(words),
			 "the request has %" PRIu32 " bytes; at most %" PRIu32 " are accepted",
			 u->want, u->bytes_max);
		srv_call_end(call, RPC_RESOURCE_EXHAUSTED, error, words);
		break;
	case -ENOTSUP:
		if (!call->head.encoding || strcmp(call->head.encoding, "identity") == 0)
			srv_call_end(
				call, RPC_INTERNAL, error,
				"a message says it is compressed, but grpc-encoding names no way");
		else
			srv_call_end(
				call, RPC_UNIMPLEMENTED, error,
				"compressed messages are not accepted: grpc-encoding 'identity'");
		break;
	case -ENOMEM:
		srv_call_end(call, RPC_RESOURCE_EXHAUSTED, error,
			     "no memory for the request now: too many large ones at a time");
		break;
	default:
		srv_call_end(call, RPC_INTERNAL, error, "the bytes are no gRPC message");
	}
}

/* The memory of the message that comes grew. */
static bool call_count_in(struct rpc_call *call)
{
	const uint32_t room = call->unframe.room;

	if (room <= call->unframe_room)
		return true;
	if (!srv_call_count(call, room - call->unframe_room))
		return false;
	call->unframe_room = room;
	return true;
}

void srv_call_data(struct rpc_call *call, const uint8_t *data, size_t len)
{
	size_t taken = 0;
	uint32_t bytes;

	while (len && !call->is_over && call->state == CALL_BODY) {
		int r;

		if (call->in_owned) {
			srv_call_end(
				call, RPC_UNIMPLEMENTED, -ECANCELED,
				"more than one message in a request: no method here takes streams");
			return;
		}
		r = rpc_unframe_take(&call->unframe, data, len, &taken);
		if (r >= 0 && !call_count_in(call))
			r = -ENOMEM;
		if (r < 0) {
			call_bad_message(call, r);
			return;
		}
		data += taken;
		len -= taken;
		if (r == 1) {
			call->in_owned = rpc_unframe_pop(&call->unframe, &bytes);
			call->in = (struct rpc_bytes){ call->in_owned, bytes };
		}
	}
}

void srv_call_request_end(struct rpc_call *call)
{
	if (call->is_over || call->state != CALL_BODY)
		return;
	if (!rpc_unframe_is_empty(&call->unframe) || !call->in_owned) {
		srv_call_end(call, RPC_INTERNAL, -ECANCELED,
			     "the request ended without a whole message");
		return;
	}
	call->state = CALL_READY;
	srv_run(call);
}
