// SPDX-License-Identifier: Apache-2.0
/*
 * cli - channels, and how a fiber asks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "io/addr.h"
#include "rpc/cli_priv.h"
#include "rpc/proto_priv.h"
#include "rpc/text_priv.h"

/* ---- channels -------------------------------------------------------------------- */

static int target_bad(struct fiber *f, const char *target)
{
	return fiber_fail(f, -EINVAL, "'%s' is no target: HOST:PORT, [IPV6]:PORT or unix:/PATH",
			  target);
}

static int target_unix(struct fiber *f, struct rpc_channel *channel, const char *target)
{
	const char *path = target + strlen("unix:");

	if (strncmp(path, "//", 2) == 0)
		path += 2; /* unix:///path */
	if (path[0] != '/' || strlen(path) >= sizeof(channel->addrs[0].path))
		return target_bad(f, target);
	channel->host = mem_strdup(channel->io->mem, path);
	channel->authority = mem_strdup(channel->io->mem, "localhost");
	return channel->host && channel->authority ? 0 : -ENOMEM;
}

static int target_parse(struct fiber *f, struct rpc_channel *channel, const char *target)
{
	const char *colon = strrchr(target, ':'), *from = target, *to = colon;
	unsigned port;

	if (strncmp(target, "unix:", 5) == 0)
		return target_unix(f, channel, target);
	if (!colon || colon == target || strlen(target) >= CLI_HOST_MAX ||
	    rpc_number_parse(colon + 1, strlen(colon + 1), UINT16_MAX, &port) < 0 || port == 0)
		return target_bad(f, target);
	if (target[0] == '[' && colon[-1] == ']') {
		from++;
		to--;
	}
	if (from == to || (from == target && memchr(from, ':', (size_t)(to - from))))
		return target_bad(f, target);
	channel->port = (uint16_t)port;
	channel->host = mem_strndup(channel->io->mem, from, (size_t)(to - from));
	channel->authority = mem_strdup(channel->io->mem, target);
	return channel->host && channel->authority ? 0 : -ENOMEM;
}

static uint64_t or_default(uint64_t value, uint64_t by_default)
{
	return value ? value : by_default;
}

static void opts_fill(struct rpc_channel_opts *o)
{
	o->message_bytes_max = (uint32_t)or_default(o->message_bytes_max, RPC_MESSAGE_DEFAULT);
	o->message_bytes_max = min_u32(o->message_bytes_max, RPC_MESSAGE_MAX);
	o->asks_max = (uint32_t)or_default(o->asks_max, RPC_ASKS_DEFAULT);
	o->connect_ns = or_default(o->connect_ns, RPC_CONNECT_DEFAULT_NS);
	o->ping_ns = or_default(o->ping_ns, RPC_PING_DEFAULT_NS);
	o->ping_wait_ns = or_default(o->ping_wait_ns, RPC_PING_WAIT_NS);
	o->backoff_min_ns = or_default(o->backoff_min_ns, RPC_BACKOFF_MIN_NS);
	o->backoff_max_ns = or_default(o->backoff_max_ns, RPC_BACKOFF_MAX_NS);
}

static int channel_names(struct fiber *f, struct rpc_channel *channel, const char *target)
{
	const char *name = channel->opts.name;
	int r = target_parse(f, channel, target);

	if (r < 0)
		return r;
	if (channel->opts.authority) {
		mem_free(channel->authority);
		channel->authority = mem_strdup(channel->io->mem, channel->opts.authority);
	}
	name = name ? name : channel->port ? channel->host : "localhost";
	channel->name = mem_strdup(channel->io->mem, name);
	return channel->authority && channel->name ? 0 : -ENOMEM;
}

static void channel_end(struct rpc_channel *channel)
{
	mem_free(channel->host);
	mem_free(channel->authority);
	mem_free(channel->name);
	mem_free(channel);
}

int rpc_channel_new(struct fiber *f, const char *target, const struct rpc_channel_opts *opts,
		    struct rpc_channel **ret)
{
	struct rpc_channel *channel = mem_new(fiber_io(f), sizeof(*channel));
	uint64_t seed;
	int r;

	if (!channel)
		return fiber_fail(f, -ENOMEM, "no memory for a channel");
	channel->reactor = fiber_reactor(f);
	channel->io = fiber_io(f);
	if (opts)
		channel->opts = *opts;
	opts_fill(&channel->opts);
	channel->backoff_ns = channel->opts.backoff_min_ns;
	list_init(&channel->conns);
	event_init(&channel->changed);
	event_init(&channel->gone);
	event_set(&channel->gone);
	timer_init(&channel->timer);
	io_random(channel->io, &seed, sizeof(seed));
	prng_init(&channel->prng, seed, 0);
	r = channel_names(f, channel, target);
	if (r < 0) {
		channel_end(channel);
		return fiber_fail(f, r, "no memory for a channel");
	}
	*ret = channel;
	return 0;
}

void rpc_channel_free(struct fiber *f, struct rpc_channel *channel)
{
	struct cli_conn *conn, *next;

	must(channel->asks == 0 && fiber_reactor(f) == channel->reactor);
	cli_connect_stop(f, channel);
	list_for_each_safe(conn, next, &channel->conns, link)
		cli_conn_drop(conn, "the channel is closed");
	event_wait_always(f, &channel->gone);
	channel_end(channel);
}

/* ---- asking ---------------------------------------------------------------------- */

static int request_raw(struct fiber *f, struct cli_call *call, struct rpc_bytes in)
{
	uint8_t *bytes;
	int r = cli_call_request(f, call, in.len, &bytes);

	if (r == 0 && in.len)
		memcpy(bytes, in.data, in.len);
	return r;
}

static int request_message(struct fiber *f, struct cli_call *call,
			   const struct ProtobufCMessage *in)
{
	uint8_t *bytes;
	size_t len;
	int r = rpc_proto_size(in, &len, fiber_fail_err(f));

	if (r < 0)
		return r;
	r = cli_call_request(f, call, len, &bytes);
	if (r < 0)
		return r;
	return rpc_proto_pack(in, bytes, len, fiber_fail_err(f));
}

/* What came of an attempt that the server did not process is forgotten (CL2). */
static void call_again(struct cli_call *call)
{
	call->request_at = 0;
	call->is_ended = false;
	call->is_unprocessed = false;
	call->was_again = true;
	call->is_trailer = false;
	call->has_status = false;
	call->code = RPC_UNKNOWN;
	call->words[0] = '\0';
	meta_init(&call->meta);
}

/* A connection is there, and the request is on its way. */
static int call_go(struct fiber *f, struct cli_call *call)
{
	struct cli_conn *conn;
	int r = cli_connect(f, call, &conn);

	if (r < 0)
		return r;
	r = cli_call_send(call, conn);
	return r < 0 ? fiber_fail(f, r, "the request cannot be sent") : 0;
}

/* Until a message is there, or the end. */
static int call_wait(struct fiber *f, struct cli_call *call)
{
	int r = 0;

	while (r == 0 && queue_empty(&call->in)) {
		if (call->is_ended && (!call->is_unprocessed || call->was_again))
			return 0;
		if (call->is_ended) {
			call_again(call);
			r = call_go(f, call);
			continue;
		}
		event_clear(&call->changed);
		r = event_wait(f, &call->changed);
		if (r < 0)
			fiber_fail(f, r, "cancelled");
	}
	return r;
}

/* Its status, as a result with words. */
static int call_result(struct fiber *f, struct cli_call *call)
{
	if (call->code == RPC_OK)
		return 0;
	return fiber_fail(f, rpc_errno_of_code(call->code), "%s",
			  call->words[0] ? call->words : rpc_code_name(call->code));
}

/* ---- replies --------------------------------------------------------------------- */

/* The owner of what a reply points to. */
struct reply_mem {
	struct rpc_arena arena;
	uint8_t *bytes; /* owned */
};

void rpc_reply_free(struct rpc_reply *reply)
{
	struct reply_mem *rm = reply->owned;

	reply->owned = NULL;
	reply->message = NULL;
	reply->bytes = (struct rpc_bytes){ 0 };
	if (!rm)
		return;
	rpc_arena_drop(&rm->arena);
	mem_free(rm->bytes);
	mem_free(rm);
}

static int reply_take(struct fiber *f, struct cli_call *call, struct rpc_reply *reply)
{
	struct mem *mem = call->channel->io->mem;
	struct cli_in *in = cli_call_pop(call);
	struct reply_mem *rm = mem_alloc(mem, sizeof(*rm));
	int r;

	if (!rm) {
		mem_free(in->bytes);
		mem_free(in);
		return fiber_fail(f, -ENOMEM, "no memory for a reply");
	}
	rpc_arena_init(&rm->arena, mem, RPC_CALL_MEMORY_DEFAULT);
	rm->bytes = in->bytes;
	reply->bytes = (struct rpc_bytes){ in->bytes, in->len };
	reply->owned = rm;
	mem_free(in);
	if (!call->out)
		return 0;
	r = rpc_proto_unpack(&rm->arena.mem, call->out, reply->bytes, &reply->message,
			     fiber_fail_err(f));
	if (r < 0) {
		rpc_reply_free(reply);
		reply->code = RPC_INTERNAL;
		return rpc_errno_of_code(RPC_INTERNAL);
	}
	return 0;
}

/* The one message of a reply, and the status behind it. */
static int reply_only(struct fiber *f, struct cli_call *call, struct rpc_reply *reply)
{
	int r = call_wait(f, call);

	if (r == 0 && !queue_empty(&call->in))
		r = reply_take(f, call, reply);
	if (r == 0)
		r = call_wait(f, call);
	if (r < 0)
		return r;
	reply->code = call->code;
	if (!queue_empty(&call->in)) {
		reply->code = RPC_INTERNAL;
		return fiber_fail(f, -EIO, "the server answered more than once");
	}
	r = call_result(f, call);
	if (r == 0 && !reply->owned) {
		reply->code = RPC_INTERNAL;
		return fiber_fail(f, -EIO, "the server said OK, and nothing else");
	}
	return r;
}

struct ask {
	const struct ProtobufCMessage *message; /* or NULL: bytes */
	struct rpc_bytes bytes;
	const struct ProtobufCMessageDescriptor *out;
};

static int ask_begin(struct fiber *f, struct rpc_channel *channel, const char *path,
		     const struct rpc_ask *how, const struct ask *what, struct cli_call **ret)
{
	struct cli_call *call;
	int r;

	must(fiber_reactor(f) == channel->reactor);
	r = cli_call_new(f, channel, path, how, &call);
	if (r < 0)
		return r;
	call->out = what->out;
	r = what->message ? request_message(f, call, what->message) :
			    request_raw(f, call, what->bytes);
	if (r == 0)
		r = call_go(f, call);
	if (r < 0) {
		cli_call_free(call);
		return r;
	}
	*ret = call;
	return 0;
}

static int ask_once(struct fiber *f, struct rpc_channel *channel, const char *path,
		    const struct rpc_ask *how, const struct ask *what, struct rpc_reply *reply)
{
	struct cli_call *call = NULL;
	int r;

	*reply = (struct rpc_reply){ 0 };
	r = ask_begin(f, channel, path, how, what, &call);
	if (r == 0)
		r = reply_only(f, call, reply);
	if (r < 0) {
		rpc_reply_free(reply);
		if (reply->code == RPC_OK)
			reply->code = rpc_code_of_errno(r);
	}
	cli_call_free(call);
	return r;
}

int rpc_ask_message(struct fiber *f, struct rpc_channel *channel, const char *path,
		    const struct rpc_ask *ask, const struct ProtobufCMessage *in,
		    const struct ProtobufCMessageDescriptor *out, struct rpc_reply *reply)
{
	return ask_once(f, channel, path, ask, &(struct ask){ .message = in, .out = out }, reply);
}

int rpc_ask_raw(struct fiber *f, struct rpc_channel *channel, const char *path,
		const struct rpc_ask *ask, struct rpc_bytes in, struct rpc_reply *reply)
{
	return ask_once(f, channel, path, ask, &(struct ask){ .bytes = in }, reply);
}

/* ---- streams --------------------------------------------------------------------- */

struct rpc_stream {
	struct cli_call call;
};

static struct cli_call *call_of(struct rpc_stream *stream)
{
	return (struct cli_call *)stream;
}

int rpc_open_message(struct fiber *f, struct rpc_channel *channel, const char *path,
		     const struct rpc_ask *ask, const struct ProtobufCMessage *in,
		     const struct ProtobufCMessageDescriptor *out, struct rpc_stream **ret)
{
	return ask_begin(f, channel, path, ask, &(struct ask){ .message = in, .out = out },
			 (struct cli_call **)ret);
}

int rpc_open_raw(struct fiber *f, struct rpc_channel *channel, const char *path,
		 const struct rpc_ask *ask, struct rpc_bytes in, struct rpc_stream **ret)
{
	return ask_begin(f, channel, path, ask, &(struct ask){ .bytes = in },
			 (struct cli_call **)ret);
}

int rpc_next(struct fiber *f, struct rpc_stream *stream, struct rpc_reply *reply)
{
	struct cli_call *call = call_of(stream);
	int r = call_wait(f, call);

	*reply = (struct rpc_reply){ 0 };
	if (r == 0 && !queue_empty(&call->in)) {
		r = reply_take(f, call, reply);
		return r < 0 ? r : 1;
	}
	if (r == 0)
		r = call_result(f, call);
	reply->code = r == 0 ? RPC_OK : call->is_ended ? call->code : rpc_code_of_errno(r);
	return r;
}

void rpc_close(struct fiber *f, struct rpc_stream *stream)
{
	cli_call_free(call_of(stream));
}

const char *rpc_stream_metadata(const struct rpc_stream *stream, const char *name)
{
	const struct meta_pair *pair = meta_find(&stream->call.meta, name);

	return pair ? pair->value : NULL;
}
