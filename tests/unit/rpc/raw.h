/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw - an HTTP/2 client that says whatever frames it is told to, and notes what comes back.
 */
#ifndef TESTS_RPC_RAW_H
#define TESTS_RPC_RAW_H

#include <nghttp2/nghttp2.h>

#include "world.h"

#define RAW_STREAMS 1024u /* noted: ids below twice as much */
#define RAW_BYTES   65536u

enum {
	RAW_DATA,
	RAW_HEADERS,
	RAW_PRIORITY,
	RAW_RST,
	RAW_SETTINGS,
	RAW_PUSH,
	RAW_PING,
	RAW_GOAWAY,
	RAW_WINDOW,
	RAW_CONTINUATION
};
enum { RAW_END_STREAM = 1, RAW_ACK = 1, RAW_END_HEADERS = 4 };

struct raw_stream {
	int http, grpc, reset; /* -1: none came */
	char words[256], encoding[32];
	size_t bytes;
	bool ended;
};

struct raw {
	struct fiber *f;
	struct io_sock *sock;
	nghttp2_hd_inflater *inflater;
	uint8_t in[RAW_BYTES];
	size_t have;
	struct raw_stream streams[RAW_STREAMS];
	int goaway; /* its error, -1: none came */
	unsigned goaways, pings, frames;
	int32_t goaway_last; /* of the first */
	bool closed, is_server;
};

/* Connects. */
struct raw *raw_new(struct fiber *f, struct world *w);
/* And says the preface and SETTINGS. */
struct raw *raw_open(struct fiber *f, struct world *w);
/* The other side: of a connection that was accepted. */
struct raw *raw_of(struct fiber *f, struct io_sock *take_sock);
void raw_free(struct raw *raw);

void raw_send(struct raw *raw, const void *bytes, size_t len);
void raw_frame(struct raw *raw, unsigned type, unsigned flags, uint32_t stream, const void *payload,
	       size_t len);
/* Names and values in turn, NULL at the end. */
void raw_head(struct raw *raw, unsigned flags, uint32_t stream, const char *const *pairs);
/* A decent request for `path`, but for what `pairs` says instead or besides ("(none)" takes one away). */
void raw_ask(struct raw *raw, unsigned flags, uint32_t stream, const char *path,
	     const char *const *pairs);
/* A message, framed. */
void raw_message(struct raw *raw, unsigned flags, uint32_t stream, unsigned compressed,
		 const void *bytes, size_t len);
void raw_wait(struct raw *raw, uint64_t ms);
/* A whole request to raw.Raw/Same; waits a little. */
struct raw_stream *raw_same(struct raw *raw, uint32_t stream, const char *const *pairs);
struct raw_stream *raw_stream(struct raw *raw, uint32_t stream);

#endif
