// SPDX-License-Identifier: Apache-2.0
/*
 * raw - an HTTP/2 client that says whatever frames it is told to.
 */
#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/mem.h"
#include "base/must.h"
#include "reactor/fiber_io.h"

#define HEAD 9u

struct raw_stream *raw_stream(struct raw *raw, uint32_t stream)
{
	must(stream / 2 < RAW_STREAMS);
	return &raw->streams[stream / 2];
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void raw_pair(struct raw_stream *s, const nghttp2_nv *nv)
{
	const char *name = (const char *)nv->name, *value = (const char *)nv->value;

	if (strcmp(name, ":status") == 0)
		s->http = atoi(value);
	else if (strcmp(name, "grpc-status") == 0)
		s->grpc = atoi(value);
	else if (strcmp(name, "grpc-message") == 0)
		snprintf(s->words, sizeof(s->words), "%s", value);
	else if (strcmp(name, "grpc-accept-encoding") == 0)
		snprintf(s->encoding, sizeof(s->encoding), "%s", value);
}

static void raw_headers(struct raw *raw, struct raw_stream *s, const uint8_t *p, size_t len)
{
	int flags = 0;

	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t used = nghttp2_hd_inflate_hd2(raw->inflater, &nv, &flags, p, len, 1);

		assert_true(used >= 0);
		p += used;
		len -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			raw_pair(s, &nv);
	}
	nghttp2_hd_inflate_end_headers(raw->inflater);
}

static void raw_took(struct raw *raw, const uint8_t *p, uint32_t len)
{
	uint32_t id = be32_get(p + 5) & 0x7fffffff;
	struct raw_stream *s = raw_stream(raw, id);
	const uint8_t *payload = p + HEAD;

	raw->frames++;
	switch (p[3]) {
	case RAW_DATA:
		s->bytes += len;
		break;
	case RAW_HEADERS:
		raw_headers(raw, s, payload, len);
		break;
	case RAW_RST:
		s->reset = (int)be32_get(payload);
		break;
	case RAW_PING:
		raw->pings++;
		break;
	case RAW_GOAWAY:
		if (raw->goaways++ == 0)
			raw->goaway_last = (int32_t)be32_get(payload);
		raw->goaway = (int)be32_get(payload + 4);
		break;
	default:
		break;
	}
	if ((p[3] == RAW_DATA || p[3] == RAW_HEADERS) && p[4] & RAW_END_STREAM)
		s->ended = true;
}

static void raw_received(void *ctx, const uint8_t *data, ssize_t len)
{
	struct raw *raw = ctx;
	size_t at = 0;

	if (len <= 0) {
		raw->closed = true;
		return;
	}
	if (raw->is_server)
		return; /* it does not listen */
	must(raw->have + (size_t)len <= sizeof(raw->in));
	memcpy(raw->in + raw->have, data, (size_t)len);
	raw->have += (size_t)len;
	while (raw->have - at >= HEAD) {
		uint32_t body = be32_get(raw->in + at) >> 8;

		if (raw->have - at < HEAD + body)
			break;
		raw_took(raw, raw->in + at, body);
		at += HEAD + body;
	}
	memmove(raw->in, raw->in + at, raw->have - at);
	raw->have -= at;
}

/* ---- what is said --------------------------------------------------------------------------------- */

void raw_send(struct raw *raw, const void *bytes, size_t len)
{
	if (raw->closed || fiber_send(raw->f, raw->sock, bytes, len) < 0)
		fiber_clear(raw->f); /* it was dropped: the test sees that */
}

void raw_frame(struct raw *raw, unsigned type, unsigned flags, uint32_t stream, const void *payload,
	       size_t len)
{
	uint8_t *frame = mem_new(fiber_io(raw->f), HEAD + len);

	be32_put(frame, (uint32_t)len << 8 | type);
	frame[4] = (uint8_t)flags;
	be32_put(frame + 5, stream);
	if (len)
		memcpy(frame + HEAD, payload, len);
	raw_send(raw, frame, HEAD + len);
	mem_free(frame);
}

static size_t put_text(uint8_t *p, const char *text)
{
	size_t len = strlen(text), at = 0;

	if (len < 127) {
		p[at++] = (uint8_t)len;
	} else { /* an integer of HPACK, 7 bits first */
		size_t rest = len - 127;

		p[at++] = 127;
		for (; rest >= 128; rest >>= 7)
			p[at++] = (uint8_t)(rest | 128);
		p[at++] = (uint8_t)rest;
	}
	memcpy(p + at, text, len);
	return at + len;
}

void raw_head(struct raw *raw, unsigned flags, uint32_t stream, const char *const *pairs)
{
	size_t room = 16, at = 0;
	uint8_t *block;

	for (unsigned i = 0; pairs[i]; i++)
		room += strlen(pairs[i]) + 8;
	block = mem_new(fiber_io(raw->f), room);
	for (unsigned i = 0; pairs[i]; i += 2) {
		block[at++] = 0; /* literal, not indexed, new name */
		at += put_text(block + at, pairs[i]);
		at += put_text(block + at, pairs[i + 1]);
	}
	/* longer than a frame: CONTINUATION */
	for (size_t from = 0, some; from < at || from == 0; from += some) {
		bool last;

		some = min_size(at - from, 16000);
		last = from + some == at;
		raw_frame(raw, from ? RAW_CONTINUATION : RAW_HEADERS,
			  (from ? 0 : flags) | (last ? RAW_END_HEADERS : 0), stream, block + from,
			  some);
		if (last)
			break;
	}
	mem_free(block);
}

static const char *pairs_get(const char *const *pairs, const char *name)
{
	for (unsigned i = 0; pairs && pairs[i]; i += 2)
		if (strcmp(pairs[i], name) == 0)
			return pairs[i + 1];
	return NULL;
}

void raw_ask(struct raw *raw, unsigned flags, uint32_t stream, const char *path,
	     const char *const *pairs)
{
	const char *own[] = { ":method", "POST",     ":scheme",	     "http",
			      ":path",	 path,	     ":authority",   "localhost",
			      "te",	 "trailers", "content-type", "application/grpc" };
	const char *all[64];
	unsigned count = 0;

	for (unsigned i = 0; i < ARRAY_LEN(own); i += 2) {
		const char *other = pairs_get(pairs, own[i]);

		if (other && strcmp(other, "(none)") == 0)
			continue;
		all[count++] = own[i];
		all[count++] = other ? other : own[i + 1];
	}
	for (unsigned i = 0; pairs && pairs[i]; i += 2) {
		bool is_own = false;

		for (unsigned n = 0; n < ARRAY_LEN(own); n += 2)
			is_own = is_own || strcmp(own[n], pairs[i]) == 0;
		if (is_own)
			continue;
		all[count++] = pairs[i];
		all[count++] = pairs[i + 1];
	}
	all[count] = NULL;
	raw_head(raw, flags, stream, all);
}

void raw_message(struct raw *raw, unsigned flags, uint32_t stream, unsigned compressed,
		 const void *bytes, size_t len)
{
	uint8_t *message = mem_new(fiber_io(raw->f), 5 + len);

	message[0] = (uint8_t)compressed;
	be32_put(message + 1, (uint32_t)len);
	if (len)
		memcpy(message + 5, bytes, len);
	raw_frame(raw, RAW_DATA, flags, stream, message, 5 + len);
	mem_free(message);
}

void raw_wait(struct raw *raw, uint64_t ms)
{
	must(fiber_sleep(raw->f, ms * SIM_MS) == 0);
}

struct raw_stream *raw_same(struct raw *raw, uint32_t stream, const char *const *pairs)
{
	raw_ask(raw, 0, stream, "/raw.Raw/Same", pairs);
	raw_message(raw, RAW_END_STREAM, stream, 0, "same", 4);
	raw_wait(raw, 50);
	return raw_stream(raw, stream);
}

/* ---- life ------------------------------------------------------------------------------------------- */

static struct raw *raw_make(struct fiber *f)
{
	struct raw *raw = mem_new(fiber_io(f), sizeof(*raw));

	raw->f = f;
	raw->goaway = -1;
	for (unsigned i = 0; i < RAW_STREAMS; i++)
		raw->streams[i] = (struct raw_stream){ .http = -1, .grpc = -1, .reset = -1 };
	assert_int_equal(nghttp2_hd_inflate_new(&raw->inflater), 0);
	return raw;
}

struct raw *raw_of(struct fiber *f, struct io_sock *take_sock)
{
	struct raw *raw = raw_make(f);

	raw->sock = take_sock;
	raw->is_server = true;
	io_recv_start(raw->sock, raw_received, raw);
	return raw;
}

struct raw *raw_new(struct fiber *f, struct world *w)
{
	struct raw *raw = raw_make(f);
	struct io_addr addr;

	sim_host_addr(w->server_host, WORLD_PORT, &addr);
	assert_int_equal(fiber_connect(f, &addr, NULL, &raw->sock), 0);
	io_recv_start(raw->sock, raw_received, raw);
	return raw;
}

struct raw *raw_open(struct fiber *f, struct world *w)
{
	struct raw *raw = raw_new(f, w);

	raw_send(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	raw_frame(raw, RAW_SETTINGS, 0, 0, NULL, 0);
	return raw;
}

void raw_free(struct raw *raw)
{
	io_sock_close(raw->sock);
	nghttp2_hd_inflate_del(raw->inflater);
	mem_free(raw);
}
