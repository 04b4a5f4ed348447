// SPDX-License-Identifier: Apache-2.0
/*
 * srv_run - the handler of a call, on its fiber, and what it may say.
 */
#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "reactor/fiber.h"
#include "rpc/proto_priv.h"
#include "rpc/srv_priv.h"

/* ---- what it was asked ----------------------------------------------------------- */

void *rpc_call_ctx(const struct rpc_call *call)
{
	return call->ctx;
}

struct mem *rpc_call_mem(struct rpc_call *call)
{
	return &call->arena.mem;
}

const char *rpc_call_metadata(const struct rpc_call *call, const char *name)
{
	const struct meta_pair *pair = meta_find(&call->head.meta, name);

	return pair ? pair->value : NULL;
}

void rpc_call_peer(const struct rpc_call *call, struct io_addr *ret)
{
	*ret = call->peer;
}

uint64_t rpc_call_deadline_ns(const struct rpc_call *call)
{
	return call->deadline_ns;
}

void rpc_call_shield(struct rpc_call *call)
{
	call->is_shielded = true;
	if (call->fiber)
		fiber_uncancel(call->fiber);
}

bool rpc_call_is_over(const struct rpc_call *call)
{
	return call->is_over;
}

int rpc_call_code(struct rpc_call *call, enum rpc_code code)
{
	must(code > RPC_OK && code < RPC_CODES);
	call->fail_code = code;
	return rpc_errno_of_code(code);
}

/* ---- messages -------------------------------------------------------------------- */

/* Memory for a message of so many bytes, counted. */
static int out_new(struct fiber *f, struct rpc_call *call, size_t len, struct call_out **ret)
{
	const size_t bytes = len + RPC_FRAME_HEAD;
	struct call_out *out;

	if (len > UINT32_MAX - RPC_FRAME_HEAD || !srv_call_count(call, bytes))
		return fiber_fail(f, -ENOSPC,
				  "the reply of %zu bytes is more than may wait for clients now",
				  len);
	out = mem_new(call->server->io, sizeof(*out) + bytes);
	if (!out) {
		srv_call_uncount(call, bytes);
		return fiber_fail(f, -ENOMEM, "no memory for a reply of %zu bytes", len);
	}
	out->len = bytes;
	rpc_frame_head(out->bytes, (uint32_t)len);
	*ret = out;
	return 0;
}

static int call_push_raw(struct fiber *f, struct rpc_call *call, struct rpc_bytes message)
{
	struct call_out *out;
	int r = out_new(f, call, message.len, &out);

	if (r < 0)
		return r;
	if (message.len)
		/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
		memcpy(out->bytes + RPC_FRAME_HEAD, message.data, message.len);
	srv_answer_push(call, out);
	return 0;
}

static int call_push(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *message)
{
	struct call_out *out;
	size_t len;
	int r = rpc_proto_size(message, &len, fiber_fail_err(f));

	if (r == 0)
		r = out_new(f, call, len, &out);
	if (r < 0)
		return r;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
	r = rpc_proto_pack(message, out->bytes + RPC_FRAME_HEAD, len, fiber_fail_err(f));
	if (r < 0) {
		srv_call_uncount(call, out->len);
		mem_free(out);
		return r;
	}
	srv_answer_push(call, out);
	return 0;
}

/* Until there is room for one more. */
static int call_wait_room(struct fiber *f, struct rpc_call *call)
{
	while (!call->is_over && call->out_bytes > RPC_STREAM_AHEAD) {
		event_clear(&call->room);
		if (event_wait(f, &call->room) < 0 && !call->is_over)
			return fiber_fail(f, -ECANCELED, "cancelled");
	}
	if (call->is_over)
		return fiber_fail(f, call->over_error, "the call is over");
	return 0;
}

int rpc_call_send(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *message)
{
	int r;

	must(call->method->streams && message->descriptor == call->method->out);
	r = call_wait_room(f, call);
	return r < 0 ? r : call_push(f, call, message);
}

int rpc_call_send_raw(struct fiber *f, struct rpc_call *call, struct rpc_bytes message)
{
	int r;

	must(call->method->streams && call->method->raw);
	r = call_wait_room(f, call);
	return r < 0 ? r : call_push_raw(f, call, message);
}

static int call_add(struct fiber *f, struct rpc_call *call, struct meta *meta, const char *name,
		    const char *value)
{
	int r = meta_check(name, value, f);

	if (r < 0)
		return r;
	if (meta->count == RPC_METADATA_MAX)
		return fiber_fail(f, -ENOSPC, "a reply has at most %u pairs of metadata",
				  RPC_METADATA_MAX);
	return meta_add(meta, &call->arena.mem, name, strlen(name), value, strlen(value));
}

int rpc_call_add_header(struct fiber *f, struct rpc_call *call, const char *name, const char *value)
{
	must(!call->has_header || call->is_over);
	return call_add(f, call, &call->header, name, value);
}

int rpc_call_add_trailer(struct fiber *f, struct rpc_call *call, const char *name,
			 const char *value)
{
	return call_add(f, call, &call->trailer, name, value);
}

/* ---- the handler ----------------------------------------------------------------- */

static int run_raw(struct fiber *f, struct rpc_call *call)
{
	struct rpc_bytes reply = { 0 };
	int r = call->method->raw(f, call, call->in, &reply);

	if (r < 0 || call->is_over || call->method->streams)
		return r;
	return call_push_raw(f, call, reply);
}

static int run_message(struct fiber *f, struct rpc_call *call)
{
	const struct rpc_method *method = call->method;
	struct ProtobufCMessage *in, *out = NULL;
	int r = rpc_proto_unpack(&call->arena.mem, method->in, call->in, &in, fiber_fail_err(f));

	if (r == 0 && !method->streams)
		r = rpc_proto_new(&call->arena.mem, method->out, &out);
	if (r < 0)
		return r;
	r = method->handle(f, call, in, out);
	if (r < 0 || call->is_over || method->streams)
		return r;
	r = call_push(f, call, out);
	if (r == -EINVAL)
		return rpc_call_code(call, RPC_INTERNAL); /* our own fault, not the client's */
	return r;
}

/* RP1: what it returned is the status, if nobody gave one before. */
static void run_ended(struct rpc_call *call, struct fiber *f, int r)
{
	enum rpc_code code = r == 0 ? RPC_OK : rpc_code_of_errno(r);
	const char *words = r == 0 ? "" : fiber_words(f);

	must(r <= 0);
	if (call->is_over)
		return;
	if (r != 0 && call->fail_code)
		code = call->fail_code;
	if (r != 0 && !words[0])
		words = strerrordesc_np(-r);
	call->is_over = true;
	srv_answer(call, code,
		   words ? words : err_name(r)); /* the kernel has errors without a text */
}

static int run_main(struct fiber *f, void *arg)
{
	struct rpc_call *call = arg;
	struct rpc_server *server = call->server;
	int r = 0;

	call->fiber = f;
	if (!call->is_over)
		r = call->method->raw ? run_raw(f, call) : run_message(f, call);
	call->fiber = NULL;
	call->has_handler = false;
	call->state = CALL_ENDED;
	run_ended(call, f, r);
	srv_call_settle(call);
	server->handlers--;
	srv_settle(server);
	return 0;
}

void srv_run(struct rpc_call *call)
{
	struct rpc_server *server = call->server;
	int r = -EAGAIN;

	if (server->handlers < server->opts.calls_max)
		r = fiber_start(server->reactor, call->method->name, run_main, call, NULL);
	if (r < 0) {
		server->stats.calls_refused++;
		srv_call_end(call, RPC_RESOURCE_EXHAUSTED, r,
			     "the server is busy: too many calls at a time");
		return;
	}
	server->handlers++;
	call->state = CALL_RUN;
	call->has_handler = true;
	call->is_shielded = call->method->shielded;
}
