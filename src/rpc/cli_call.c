// SPDX-License-Identifier: Apache-2.0
/*
 * cli_call - a request, and what comes of it: headers, messages, a status.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "rpc/cli_priv.h"
#include "rpc/code_priv.h"
#include "rpc/text_priv.h"

#define ARENA_MAX  (1u << 20)
#define NVS_OWN	   8u
#define GRPC_TYPE  "application/grpc"
#define USER_AGENT "grpc-c-mayastor/1"

/* ---- life ------------------------------------------------------------------------ */

static int call_add_metadata(struct fiber *f, struct cli_call *call, const struct rpc_ask *ask)
{
	int r = 0;

	if (ask->metadata_count > RPC_METADATA_MAX)
		return fiber_fail(f, -ENOSPC, "a request has at most %u pairs of metadata",
				  RPC_METADATA_MAX);
	for (unsigned i = 0; i < ask->metadata_count && r == 0; i++) {
		const struct rpc_pair *pair = &ask->metadata[i];

		r = meta_check(pair->name, pair->value, f);
		if (r == 0)
			r = meta_add(&call->asked, &call->arena.mem, pair->name, strlen(pair->name),
				     pair->value, strlen(pair->value));
	}
	return r;
}

int cli_call_new(struct fiber *f, struct rpc_channel *channel, const char *path,
		 const struct rpc_ask *ask, struct cli_call **ret)
{
	const struct rpc_ask none = { 0 };
	struct cli_call *call;
	int r;

	ask = ask ? ask : &none;
	if (channel->asks >= channel->opts.asks_max)
		return fiber_fail(f, -ENOSPC, "more than %u calls at a time to %s",
				  channel->opts.asks_max, channel->authority);
	call = mem_new(channel->io, sizeof(*call));
	if (!call)
		return -ENOMEM;
	channel->asks++;
	call->channel = channel;
	call->code = RPC_UNKNOWN;
	call->timeout_ns = ask->timeout_ns;
	call->deadline_ns = ask->timeout_ns ? io_now(channel->io) + ask->timeout_ns : IO_FOREVER;
	call->wait_for_ready = ask->wait_for_ready;
	rpc_arena_init(&call->arena, channel->io->mem, ARENA_MAX);
	rpc_unframe_init(&call->unframe, channel->io->mem, channel->opts.message_bytes_max);
	meta_init(&call->asked);
	meta_init(&call->meta);
	queue_init(&call->in);
	event_init(&call->changed);
	timer_init(&call->timer);
	call->path = mem_strdup(&call->arena.mem, path);
	r = call->path ? call_add_metadata(f, call, ask) : -ENOMEM;
	if (r < 0) {
		cli_call_free(call);
		return r;
	}
	*ret = call;
	return 0;
}

static void in_free(struct cli_in *in)
{
	if (in)
		mem_free(in->bytes);
	mem_free(in);
}

/* CL1 */
static void call_forget(struct cli_call *call)
{
	struct cli_conn *conn = steal(call->conn);

	if (!conn)
		return;
	nghttp2_session_set_stream_user_data(conn->h2.session, call->stream_id, NULL);
	list_del(&call->link);
	if (call->held_bytes)
		nghttp2_session_consume_stream(conn->h2.session, call->stream_id,
					       (size_t)call->held_bytes);
	call->held_bytes = 0;
	cli_conn_settle(conn);
}

void cli_call_free(struct cli_call *call)
{
	struct cli_in *in;

	if (!call)
		return;
	cli_call_cancel(call);
	timer_stop(&call->timer);
	while ((in = queue_pop_entry(&call->in, struct cli_in, link)))
		in_free(in);
	rpc_unframe_fini(&call->unframe);
	mem_free(call->request);
	rpc_arena_drop(&call->arena);
	call->channel->asks--;
	mem_free(call);
}

void cli_call_end(struct cli_call *call, enum rpc_code code, const char *fmt, ...)
{
	va_list args;

	if (call->is_ended)
		return;
	call->is_ended = true;
	call->code = code;
	va_start(args, fmt);
	vsnprintf(call->words, sizeof(call->words), fmt, args);
	va_end(args);
	timer_stop(&call->timer);
	event_set(&call->changed);
}

void cli_call_cancel(struct cli_call *call)
{
	struct cli_conn *conn = call->conn;

	if (!conn)
		return;
	if (nghttp2_submit_rst_stream(conn->h2.session, NGHTTP2_FLAG_NONE, call->stream_id,
				      NGHTTP2_CANCEL) != 0)
		h2_terminate(&conn->h2, NGHTTP2_INTERNAL_ERROR);
	link_kick(&conn->h2.link);
	call_forget(call);
}

/* ---- the request ----------------------------------------------------------------- */

int cli_call_request(struct fiber *f, struct cli_call *call, size_t len, uint8_t **ret)
{
	if (len > RPC_MESSAGE_MAX)
		return fiber_fail(f, -E2BIG, "a request of %zu bytes; at most %u can be sent", len,
				  RPC_MESSAGE_MAX);
	call->request_len = len + RPC_FRAME_HEAD;
	call->request = mem_new(call->channel->io, call->request_len);
	if (!call->request)
		return -ENOMEM;
	rpc_frame_head(call->request, (uint32_t)len);
	*ret = call->request + RPC_FRAME_HEAD;
	return 0;
}

ssize_t cli_call_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t room,
		      uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct cli_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
	size_t some;

	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	some = min_size(room, call->request_len - call->request_at);
	memcpy(buf, call->request + call->request_at, some);
	call->request_at += some;
	if (call->request_at == call->request_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)some;
}

static void call_timed_out(struct timer *timer)
{
	struct cli_call *call = container_of(timer, struct cli_call, timer);

	cli_call_end(call, RPC_DEADLINE_EXCEEDED, "no answer within the time-out");
	cli_call_cancel(call);
}

/* What is left of the time-out goes with the request. */
static size_t call_nvs(const struct cli_call *call, char text[RPC_TIMEOUT_TEXT], nghttp2_nv *nvs)
{
	const struct rpc_channel *channel = call->channel;
	const uint64_t now_ns = io_now(channel->io);
	size_t count = 0;

	nvs[count++] = meta_nv(":method", "POST");
	nvs[count++] = meta_nv(":scheme", channel->opts.tls ? "https" : "http");
	nvs[count++] = meta_nv(":path", call->path);
	nvs[count++] = meta_nv(":authority", channel->authority);
	nvs[count++] = meta_nv("te", "trailers");
	nvs[count++] = meta_nv("content-type", GRPC_TYPE);
	nvs[count++] = meta_nv("user-agent", USER_AGENT);
	if (call->deadline_ns != IO_FOREVER) {
		rpc_timeout_print(call->deadline_ns > now_ns ? call->deadline_ns - now_ns : 1,
				  text);
		nvs[count++] = meta_nv("grpc-timeout", text);
	}
	return meta_nvs(&call->asked, nvs, count);
}

int cli_call_send(struct cli_call *call, struct cli_conn *conn)
{
	nghttp2_data_provider provider = { .read_callback = cli_call_read };
	nghttp2_nv *nvs =
		mem_alloc_array(&call->arena.mem, NVS_OWN + call->asked.count, sizeof(*nvs));
	char text[RPC_TIMEOUT_TEXT];
	int32_t id;

	if (!nvs)
		return -ENOMEM;
	id = nghttp2_submit_request(conn->h2.session, NULL, nvs, call_nvs(call, text, nvs),
				    &provider, call);
	if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE)
		cli_conn_retire(conn); /* 2^30 calls: the next one has a new connection */
	if (id < 0)
		return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : -ENOTCONN;
	call->stream_id = id;
	call->conn = conn;
	list_add_tail(&conn->calls, &call->link);
	if (call->deadline_ns != IO_FOREVER && !timer_is_armed(&call->timer))
		timer_start_at(call->channel->reactor, &call->timer, call->deadline_ns,
			       call_timed_out);
	link_kick(&conn->h2.link);
	cli_conn_watch(conn);
	return 0;
}

/* ---- headers of the answer ------------------------------------------------------- */

static bool is_name(const uint8_t *name, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(name, text, len) == 0;
}

static void call_status(struct cli_call *call, const char *value, size_t len)
{
	unsigned code = RPC_UNKNOWN;

	if (rpc_number_parse(value, len, UINT16_MAX, &code) < 0 || code >= RPC_CODES)
		code = RPC_UNKNOWN;
	call->has_status = true;
	call->code = code;
}

/* True: it was ours. */
static bool call_known(struct cli_call *call, const uint8_t *name, size_t name_len,
		       const char *value, size_t len)
{
	if (is_name(name, name_len, "grpc-status"))
		call_status(call, value, len);
	else if (is_name(name, name_len, "grpc-message"))
		rpc_percent_decode(value, len, call->words, sizeof(call->words));
	else if (is_name(name, name_len, "content-type"))
		call->has_type = len >= strlen(GRPC_TYPE) &&
				 memcmp(value, GRPC_TYPE, strlen(GRPC_TYPE)) == 0;
	else
		return false;
	return true;
}

int cli_call_header(struct cli_call *call, const uint8_t *name, size_t name_len,
		    const uint8_t *value, size_t value_len)
{
	const char *text = (const char *)value;

	if (call->is_ended)
		return 0;
	if (!nghttp2_check_header_name(name, name_len) ||
	    !nghttp2_check_header_value(value, value_len))
		return -EPROTO;
	call->header_bytes += name_len + value_len + META_PAIR_BYTES;
	if (call->header_bytes > CLI_HEADER_MAX)
		return -EMSGSIZE;
	if (name_len && name[0] == ':') {
		if (call->is_trailer || !is_name(name, name_len, ":status"))
			return -EPROTO;
		return rpc_number_parse(text, value_len, 999, &call->http) < 0 ? -EPROTO : 0;
	}
	if (call_known(call, name, name_len, text, value_len))
		return 0;
	return meta_add(&call->meta, &call->arena.mem, (const char *)name, name_len, text,
			value_len);
}

void cli_call_header_end(struct cli_call *call)
{
	if (call->is_trailer || call->http / 100 != 1) /* not "100 Continue" and its like */
		call->is_trailer = true;
}

/* ---- messages of the answer ------------------------------------------------------ */

static int call_push(struct cli_call *call)
{
	struct cli_in *in = mem_new(call->channel->io, sizeof(*in));

	if (!in)
		return -ENOMEM;
	in->bytes = rpc_unframe_pop(&call->unframe, &in->len);
	call->in_bytes += in->len + sizeof(*in);
	queue_push(&call->in, &in->link);
	event_set(&call->changed);
	return 0;
}

static void call_bad_message(struct cli_call *call, int error)
{
	const struct rpc_unframe *u = &call->unframe;

	if (error == -E2BIG)
		cli_call_end(call, RPC_RESOURCE_EXHAUSTED,
			     "the reply has %u bytes; at most %u are accepted", u->want,
			     u->bytes_max);
	else if (error == -ENOMEM)
		cli_call_end(call, RPC_RESOURCE_EXHAUSTED, "no memory for the reply");
	else
		cli_call_end(call, RPC_INTERNAL, "the server sent no gRPC message");
	cli_call_cancel(call);
}

/* The server may send more of this stream when what came was taken. */
static void call_hold(struct cli_call *call, size_t len)
{
	call->held_bytes += len;
	if (call->in_bytes > RPC_STREAM_AHEAD)
		return;
	nghttp2_session_consume_stream(call->conn->h2.session, call->stream_id,
				       (size_t)call->held_bytes);
	call->held_bytes = 0;
	link_kick(&call->conn->h2.link);
}

void cli_call_data(struct cli_call *call, const uint8_t *data, size_t len)
{
	const size_t all = len;
	size_t taken;

	while (len && !call->is_ended) {
		int r = rpc_unframe_take(&call->unframe, data, len, &taken);

		if (r == 1)
			r = call_push(call);
		if (r < 0) {
			call_bad_message(call, r);
			return;
		}
		data += taken;
		len -= taken;
	}
	if (call->conn)
		call_hold(call, all);
}

struct cli_in *cli_call_pop(struct cli_call *call)
{
	struct cli_in *in = queue_pop_entry(&call->in, struct cli_in, link);

	if (!in)
		return NULL;
	call->in_bytes -= in->len + sizeof(*in);
	if (call->conn)
		call_hold(call, 0);
	return in;
}

/* ---- the end --------------------------------------------------------------------- */

/* The stream ended as it should: what does the server say? */
static void call_ended_clean(struct cli_call *call)
{
	if (call->has_status) {
		char words[CLI_WORDS];

		if (call->code == RPC_OK && !rpc_unframe_is_empty(&call->unframe)) {
			cli_call_end(call, RPC_INTERNAL, "the server ended within a message");
			return;
		}
		snprintf(words, sizeof(words), "%s", call->words);
		cli_call_end(call, call->code, "%s", words);
	} else if (call->http == 200) {
		cli_call_end(call, RPC_UNKNOWN,
			     call->has_type ? "the server gave no grpc-status" :
					      "the server does not speak gRPC");
	} else {
		cli_call_end(call, rpc_code_of_http(call->http), "the server answered HTTP %u",
			     call->http);
	}
}

void cli_call_closed(struct cli_call *call, uint32_t error)
{
	if (error == NGHTTP2_REFUSED_STREAM)
		call->is_unprocessed = true; /* CL2 */
	if (error == NGHTTP2_NO_ERROR || call->has_status)
		call_ended_clean(call);
	else
		cli_call_end(call, rpc_code_of_reset(error), "the server reset the stream: %s",
			     nghttp2_http2_strerror(error));
	call_forget(call);
}
