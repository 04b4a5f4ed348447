/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2 - one HTTP/2 session: nghttp2 on a link, in our memory, and within what a peer may do.
 *
 * H1. nghttp2 reads and writes only from the loop, never from inside a call of a fiber (RP5).
 * H2. It never holds more than H2_MEMORY_MAX; what would need more ends the connection.
 * H3. Its own checks of headers are off (an `:authority` of "/csi/csi.sock" is one that clients
 *     send); ours are in srv_head.c and cli_call.c.
 * H4. Whoever does not read what we answer is not listened to: input pauses while more than
 *     H2_QUEUE_MAX frames wait.
 * H5. It never hears that there is no memory (1.52 frees twice then): what is missing comes out of a
 *     reserve, and the session is not used again but to end it.
 */
#ifndef RPC_H2_PRIV_H
#define RPC_H2_PRIV_H

#include <nghttp2/nghttp2.h>

#include "rpc/arena_priv.h"
#include "rpc/link_priv.h"
#include "rpc/rate_priv.h"

#define H2_MEMORY_MAX	  (8u << 20)
#define H2_RESERVE	  32768u
#define H2_QUEUE_MAX	  512u
#define H2_WINDOW_BYTES	  (1 << 20) /* of a stream, and of a connection */
#define H2_SETTINGS_MAX	  32u
#define H2_CALM_BURST	  500u	      /* resets, SETTINGS, PRIORITY, empty frames, at once ... */
#define H2_CALM_PERIOD_NS 20000000ull /* ... and one more each so often */
#define H2_PING_BURST	  20u	      /* pings of the peer */
#define H2_PING_PERIOD_NS 1000000000ull

struct h2_ops;

struct h2 {
	struct link link;
	const struct h2_ops *ops; /* set by the connection, before h2_link_start() */
	struct rpc_bound mem;	  /* the session's */
	nghttp2_session *session; /* owned; NULL before h2_start() and after h2_fini() */
	const uint8_t *chunk;	  /* nghttp2's: what did not fit into the last output */
	size_t chunk_len;
	struct rpc_rate calm, pings;
	uint64_t ping_ns; /* when we asked whether it lives; 0: it said so */
	uint8_t *reserve; /* owned; H2_RESERVE bytes */
	uint32_t reserve_used;
	bool is_starved; /* H5 */
	bool is_ended;	 /* nghttp2 has nothing to do any more, or was told a lie */
};

struct h2_opts {
	bool is_server;
	uint32_t streams_max, header_bytes_max; /* of a server; else 0 */
	/* Sets what it wants to hear. nghttp2 keeps a copy. */
	void (*listen)(nghttp2_session_callbacks *callbacks);
};

/* What the connection of a client or of a server does its own way (h2_link.c). */
struct h2_ops {
	void (*describe)(struct h2 *h2, struct h2_opts *ret); /* *ret is all zero */
	void (*drop)(struct h2 *h2, const char *why);
	void (*heard)(struct h2 *h2); /* bytes came */
	void (*done)(struct h2 *h2);  /* h2_is_done() */
	void (*lost)(struct h2 *h2, int error);
	void (*gone)(struct h2 *h2);
};

/* As link_start(): the session starts when the link is open. */
MUST_USE int h2_link_start(struct h2 *h2, struct reactor *r, struct io_sock *take_sock,
			   struct rpc_tls *tls, const char *name);

/* user_data of callbacks: h2. -ENOMEM. */
MUST_USE int h2_start(struct h2 *h2, const struct h2_opts *opts);
void h2_fini(struct h2 *h2);

/* Plain bytes of the link. False: the peer broke HTTP/2, or there is no memory; words in link.err. */
MUST_USE bool h2_input(struct h2 *h2, const uint8_t *data, size_t len);
size_t h2_output(struct h2 *h2, uint8_t *buf, size_t room);

/* Neither side wants anything any more, and all is sent. */
bool h2_is_done(const struct h2 *h2);

/*
 * Each frame of a client goes here first: false: too often (rate); the peer is told to calm down
 * and the session ends. (Servers may send as many as they like: some reset each stream at its end.)
 */
MUST_USE bool h2_frame_is_fair(struct h2 *h2, const nghttp2_frame *frame);

/* Ask whether the peer lives. */
void h2_ping(struct h2 *h2);

/* GOAWAY with this error; the session ends when it is sent. */
void h2_terminate(struct h2 *h2, uint32_t error);

#endif
