// SPDX-License-Identifier: Apache-2.0
/*
 * echo - the service test.Echo.
 */
#include "echo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "reactor/fiber.h"

static int echo_fill(struct rpc_call *call, const Test__EchoRequest *in, uint32_t index,
		     Test__EchoReply *out)
{
	const char *extra = rpc_call_metadata(call, "x-extra");

	out->text = in->text;
	if (extra)
		out->text = mem_printf(rpc_call_mem(call), "%s%s", in->text, extra);
	out->index = index;
	out->n_items = in->n_items;
	out->items = in->items;
	out->blob.len = in->size;
	out->blob.data = mem_alloc(rpc_call_mem(call), in->size);
	if (!out->blob.data || !out->text)
		return -ENOMEM;
	memset(out->blob.data, (int)('a' + index % 26), in->size);
	return 0;
}

static int echo_sleep(struct fiber *f, const Test__EchoRequest *in)
{
	return in->sleep_ms ? fiber_sleep(f, in->sleep_ms * UINT64_C(1000000)) : 0;
}

static int echo_end(struct fiber *f, struct rpc_call *call, const Test__EchoRequest *in)
{
	if (in->error < 0 && in->error > -4096)
		return fiber_fail(f, in->error, "%s", in->text);
	if (in->code)
		return rpc_fail(f, call,
				in->code < RPC_CODES ? (enum rpc_code)in->code : RPC_UNKNOWN, "%s",
				in->text);
	return 0;
}

static int echo_say(struct fiber *f, struct rpc_call *call, const ProtobufCMessage *message,
		    ProtobufCMessage *ret)
{
	const Test__EchoRequest *in = (const void *)message;
	struct echo *echo = rpc_call_ctx(call);
	int r;

	echo->running++;
	if (in->shield)
		rpc_call_shield(call);
	r = echo_sleep(f, in);
	echo->running--;
	if (r < 0)
		echo->cancelled++;
	else
		echo->finished++;
	if (r == 0)
		r = echo_end(f, call, in);
	return r < 0 ? r : echo_fill(call, in, 0, (Test__EchoReply *)ret);
}

static int echo_many(struct fiber *f, struct rpc_call *call, const ProtobufCMessage *message,
		     ProtobufCMessage *ret)
{
	const Test__EchoRequest *in = (const void *)message;
	struct echo *echo = rpc_call_ctx(call);
	Test__EchoReply reply = TEST__ECHO_REPLY__INIT;
	int r = rpc_call_add_header(f, call, "x-count", "many");

	echo->running++;
	for (uint32_t i = 0; i < in->count && r == 0; i++) {
		r = echo_sleep(f, in);
		if (r == 0 && i == 0)
			r = echo_fill(call, in, i, &reply);
		reply.index = i;
		if (r == 0)
			r = rpc_call_send(f, call, &reply.base);
	}
	echo->running--;
	if (r < 0)
		echo->cancelled++;
	else
		echo->finished++;
	if (r == 0)
		r = rpc_call_add_trailer(f, call, "x-end", "yes");
	return r < 0 ? r : echo_end(f, call, in);
}

static int echo_ask(struct fiber *f, struct rpc_call *call, const ProtobufCMessage *message,
		    ProtobufCMessage *ret)
{
	const struct echo *echo = rpc_call_ctx(call);
	Test__Figures *out = (Test__Figures *)ret;

	out->running = echo->running;
	out->cancelled = echo->cancelled;
	out->finished = echo->finished;
	return 0;
}

static const struct rpc_method echo_methods[] = {
	{ .name = "Say",
	  .in = &test__echo_request__descriptor,
	  .out = &test__echo_reply__descriptor,
	  .handle = echo_say },
	{ .name = "Many",
	  .in = &test__echo_request__descriptor,
	  .out = &test__echo_reply__descriptor,
	  .handle = echo_many,
	  .streams = true },
	{ .name = "Ask",
	  .in = &test__empty__descriptor,
	  .out = &test__figures__descriptor,
	  .handle = echo_ask },
	{ .name = "Later" },
};

const struct rpc_service echo_service = {
	.name = "test.Echo",
	.methods = echo_methods,
	.method_count = ARRAY_LEN(echo_methods),
};

/* ---- bytes ----------------------------------------------------------------------- */

static int raw_same(struct fiber *f, struct rpc_call *call, struct rpc_bytes in,
		    struct rpc_bytes *ret)
{
	*ret = in;
	return 0;
}

/* The value of the header that is named by the request. */
static int raw_header(struct fiber *f, struct rpc_call *call, struct rpc_bytes in,
		      struct rpc_bytes *ret)
{
	char name[64];
	const char *value;

	snprintf(name, sizeof(name), "%.*s", (int)in.len, (const char *)in.data);
	value = rpc_call_metadata(call, name);
	if (!value)
		return fiber_fail(f, -ENOENT, "no header '%s'", name);
	*ret = (struct rpc_bytes){ value, strlen(value) };
	return 0;
}

static const struct rpc_method raw_methods[] = {
	{ .name = "Same", .raw = raw_same },
	{ .name = "Header", .raw = raw_header },
};

const struct rpc_service raw_service = {
	.name = "raw.Raw",
	.methods = raw_methods,
	.method_count = ARRAY_LEN(raw_methods),
};
