// SPDX-License-Identifier: Apache-2.0
/*
 * srv_answer - status and messages of a call go out.
 *
 *	HEADERS, messages as the peer takes them, HEADERS with the status	or
 *	HEADERS with the status ("trailers only"), if there was no message
 *
 * SA1. A status is given once. Messages that are queued go before it.
 * SA2. After the end of an answer the peer is told to stop sending, if it has not ended (srv_conn.c).
 */
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "rpc/srv_priv.h"
#include "rpc/text_priv.h"

#define HEADER_OWN  3u /* :status, content-type, grpc-accept-encoding */
#define TRAILER_OWN 2u /* grpc-status, grpc-message */

/* ---- what goes out --------------------------------------------------------------- */

static size_t header_nvs(const struct rpc_call *call, nghttp2_nv *nvs)
{
	nvs[0] = meta_nv(":status", "200");
	nvs[1] = meta_nv("content-type", "application/grpc");
	nvs[2] = meta_nv("grpc-accept-encoding", "identity");
	return meta_nvs(&call->header, nvs, HEADER_OWN);
}

static size_t trailer_nvs(const struct rpc_call *call, char text[4], nghttp2_nv *nvs, size_t count)
{
	snprintf(text, 4, "%u", (unsigned)call->code % 100);
	nvs[count++] = meta_nv("grpc-status", text);
	if (call->words[0])
		nvs[count++] = meta_nv("grpc-message", call->words);
	return meta_nvs(&call->trailer, nvs, count);
}

static void answer_failed(struct rpc_call *call, int error)
{
	if (error != 0 && call->stream_id)
		srv_conn_reset(call->conn, call->stream_id, NGHTTP2_INTERNAL_ERROR);
}

/* ---- messages, when nghttp2 asks for them ---------------------------------------- */

/* The first message is gone. */
static void out_sent(struct rpc_call *call)
{
	struct call_out *out = queue_pop_entry(&call->out, struct call_out, link);

	call->out_at = 0;
	call->out_bytes -= out->len;
	srv_call_uncount(call, out->len);
	mem_free(out);
	if (call->out_bytes <= RPC_STREAM_AHEAD)
		event_set(&call->room);
}

static ssize_t out_end(struct rpc_call *call, uint32_t *flags)
{
	nghttp2_nv nvs[TRAILER_OWN + RPC_METADATA_MAX];
	char text[4];

	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	if (nghttp2_submit_trailer(call->conn->h2.session, call->stream_id, nvs,
				   trailer_nvs(call, text, nvs, 0)) != 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return 0;
}

ssize_t srv_answer_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t room,
			uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct rpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
	struct call_out *out;
	size_t have = 0, some;

	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	while (have < room && (out = queue_first(&call->out, struct call_out, link))) {
		some = min_size(room - have, out->len - call->out_at);
		memcpy(buf + have, out->bytes + call->out_at, some);
		call->out_at += some;
		have += some;
		if (call->out_at == out->len)
			out_sent(call);
	}
	call->progress_ns = queue_empty(&call->out) ? IO_FOREVER :
						      reactor_now(call->server->reactor);
	if (queue_empty(&call->out) && call->out_end)
		return out_end(call, flags) < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE :
						  (ssize_t)have;
	call->out_waits = have == 0;
	return have ? (ssize_t)have : NGHTTP2_ERR_DEFERRED;
}

/* ---- what a call says ------------------------------------------------------------ */

/* The answer begins, or goes on. */
static void answer_go(struct rpc_call *call)
{
	nghttp2_session *session = call->conn->h2.session;
	nghttp2_data_provider provider = { .read_callback = srv_answer_read };
	nghttp2_nv nvs[HEADER_OWN + RPC_METADATA_MAX];

	if (!call->has_header) {
		call->has_header = true;
		answer_failed(call, nghttp2_submit_response(session, call->stream_id, nvs,
							    header_nvs(call, nvs), &provider));
	} else if (call->out_waits) {
		call->out_waits = false;
		answer_failed(call, nghttp2_session_resume_data(session, call->stream_id));
	}
	link_kick(&call->conn->h2.link);
}

void srv_answer_push(struct rpc_call *call, struct call_out *out)
{
	must(!call->out_end && call->stream_id);
	call->out_bytes += out->len;
	queue_push(&call->out, &out->link);
	if (call->progress_ns == IO_FOREVER) {
		call->progress_ns = reactor_now(call->server->reactor);
		srv_call_watch(call);
	}
	answer_go(call);
}

void srv_answer_drop(struct rpc_call *call, bool begun)
{
	struct call_out *keep = NULL, *out;

	if (!begun && call->out_at) /* half a message would be no message */
		keep = queue_pop_entry(&call->out, struct call_out, link);
	while ((out = queue_pop_entry(&call->out, struct call_out, link))) {
		call->out_bytes -= out->len;
		srv_call_uncount(call, out->len);
		mem_free(out);
	}
	if (keep)
		queue_push(&call->out, &keep->link);
	else
		call->out_at = 0;
	if (!keep)
		call->progress_ns = IO_FOREVER;
}

/* No message was said. The status goes out also if there is no memory for metadata. */
static void answer_only_status(struct rpc_call *call)
{
	const size_t pairs = call->header.count + call->trailer.count;
	nghttp2_nv own[HEADER_OWN + TRAILER_OWN], *nvs = own;
	char text[4];
	size_t count;

	if (pairs)
		nvs = mem_alloc_array(&call->arena.mem, ARRAY_LEN(own) + pairs, sizeof(*nvs));
	if (!nvs) {
		nvs = own;
		meta_init(&call->header);
		meta_init(&call->trailer);
	}
	count = trailer_nvs(call, text, nvs, header_nvs(call, nvs));
	call->has_header = true;
	answer_failed(call, nghttp2_submit_response(call->conn->h2.session, call->stream_id, nvs,
						    count, NULL));
	link_kick(&call->conn->h2.link);
}

void srv_answer(struct rpc_call *call, enum rpc_code code, const char *words)
{
	if (!call->stream_id || call->out_end)
		return; /* SA1 */
	call->out_end = true;
	call->code = code;
	rpc_percent_encode(words, call->words, sizeof(call->words));
	call->server->stats.codes[code]++;
	if (call->has_header || !queue_empty(&call->out))
		answer_go(call);
	else
		answer_only_status(call);
}

void srv_answer_http(struct rpc_call *call)
{
	char status[12];
	nghttp2_nv nvs[2];

	must(!call->has_header);
	call->out_end = true;
	call->has_header = true;
	snprintf(status, sizeof(status), "%u", call->head.http);
	nvs[0] = meta_nv(":status", status);
	nvs[1] = meta_nv("content-length", "0");
	answer_failed(call, nghttp2_submit_response(call->conn->h2.session, call->stream_id, nvs, 2,
						    NULL));
	link_kick(&call->conn->h2.link);
}
