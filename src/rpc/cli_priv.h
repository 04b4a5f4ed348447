/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_priv - channels, their connections and calls, for the files of the client.
 *
 *	channel:  IDLE --a call--> CONNECTING (a fiber) --> READY --lost, GOAWAY--> IDLE
 *	              ^                |
 *	              +-- back-off <---+ failed: WAITING
 *
 * CL1. A call lives on its fiber's stack side: it is freed by the call that made it, never by the
 *      connection, which forgets it.
 * CL2. A call that the server says it did not process (GOAWAY, REFUSED_STREAM) is sent again once.
 * CL3. A connection that was told to go away takes no new calls and ends with its last one.
 * CL4. One fiber at a time connects; nothing is tried while a back-off lasts.
 */
#ifndef RPC_CLI_PRIV_H
#define RPC_CLI_PRIV_H

#include "base/prng.h"
#include "reactor/fiber.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "rpc/arena_priv.h"
#include "rpc/h2_priv.h"
#include "rpc/meta_priv.h"
#include "rpc/unframe_priv.h"

#define CLI_ADDRS_MAX  8u
#define CLI_HOST_MAX   256u
#define CLI_WORDS      512u	   /* of a status */
#define CLI_HEADER_MAX (32u << 10) /* bytes of an answer's header lists */

struct cli_conn;
struct cli_call;

enum channel_state { CHANNEL_IDLE, CHANNEL_CONNECTING, CHANNEL_READY, CHANNEL_WAITING };

struct rpc_channel {
	struct reactor *reactor;
	struct io *io;
	struct rpc_channel_opts opts;
	char *host, *authority, *name; /* owned */
	uint16_t port;		       /* 0: host is the path of a Unix socket */
	enum channel_state state;
	struct cli_conn *conn; /* READY, or CONNECTING: the one that shakes hands */
	struct list conns;     /* all, those that go away too */
	struct io_addr addrs[CLI_ADDRS_MAX];
	struct io_op *connect_op; /* CONNECTING: the one in flight; NULL: none */
	struct event changed;	  /* the state */
	struct timer timer;	  /* WAITING: the end of the back-off */
	uint64_t backoff_ns;	  /* of the next failure */
	struct prng prng;
	struct err err; /* why the last attempt failed */
	uint32_t asks;	/* calls now */
	bool is_closing;
	struct event gone; /* no connections */
};

struct cli_conn {
	struct h2 h2;
	struct rpc_channel *channel;
	struct list_link link; /* channel->conns */
	struct list calls;
	struct timer timer;
	bool is_ready;	 /* the server's SETTINGS came */
	bool is_retired; /* CL3 */
	bool is_dead;
	struct event shaken; /* ready, or dead */
};

struct cli_in {
	struct queue_link link;
	uint8_t *bytes; /* owned */
	uint32_t len;
};

/* A request and what came of it. */
struct cli_call {
	struct list_link link; /* conn->calls */
	struct rpc_channel *channel;
	struct cli_conn *conn; /* NULL: no stream (any more) */
	int32_t stream_id;
	const char *path; /* owned, in the arena */
	const struct ProtobufCMessageDescriptor *out;
	struct rpc_arena arena; /* metadata */
	struct meta asked;	/* what the user says */
	uint64_t deadline_ns;
	uint64_t timeout_ns;
	bool wait_for_ready;
	struct timer timer;

	uint8_t *request; /* owned, framed */
	size_t request_len, request_at;

	struct rpc_unframe unframe;
	struct queue in;
	uint64_t in_bytes;   /* whole messages that wait */
	uint64_t held_bytes; /* received, not told the server yet (back-pressure) */
	struct event changed;

	/* the answer */
	unsigned http;
	bool has_type, has_status, is_trailer, is_ended;
	bool is_unprocessed, was_again; /* CL2 */
	uint64_t header_bytes;
	enum rpc_code code;
	struct meta meta;
	char words[CLI_WORDS];
};

/* ---- cli_call.c: what comes of a request ----------------------------------------- */

MUST_USE int cli_call_new(struct fiber *f, struct rpc_channel *channel, const char *path,
			  const struct rpc_ask *ask, struct cli_call **ret);
void cli_call_free(struct cli_call *call);

/* The memory for the request, to be filled in. */
MUST_USE int cli_call_request(struct fiber *f, struct cli_call *call, size_t len, uint8_t **ret);

/* Sent on a connection that is READY. */
MUST_USE int cli_call_send(struct cli_call *call, struct cli_conn *conn);

/* Its status is known. Once; the connection forgets it. */
void cli_call_end(struct cli_call *call, enum rpc_code code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/* Nobody wants the answer: the server is told. */
void cli_call_cancel(struct cli_call *call);

/* From the session. */
MUST_USE int cli_call_header(struct cli_call *call, const uint8_t *name, size_t name_len,
			     const uint8_t *value, size_t value_len);
void cli_call_header_end(struct cli_call *call);
void cli_call_data(struct cli_call *call, const uint8_t *data, size_t len);
/* The server has ended the stream (clean), or it was reset. */
void cli_call_closed(struct cli_call *call, uint32_t error);
ssize_t cli_call_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t room,
		      uint32_t *flags, nghttp2_data_source *source, void *ctx);

/* The next whole message, or NULL; with back-pressure given back. */
struct cli_in *cli_call_pop(struct cli_call *call);

/* ---- cli_conn.c ------------------------------------------------------------------ */

MUST_USE int cli_conn_new(struct rpc_channel *channel, struct io_sock *take_sock,
			  struct cli_conn **ret);
void cli_conn_drop(struct cli_conn *conn, const char *why);
/* CL3; closes it if it has no calls. */
void cli_conn_retire(struct cli_conn *conn);
void cli_conn_settle(struct cli_conn *conn);
void cli_conn_watch(struct cli_conn *conn);

/* ---- cli.c ----------------------------------------------------------------------- */

/* A connection is no longer the channel's. */
void cli_left(struct rpc_channel *channel, struct cli_conn *conn);

/* ---- cli_connect.c: how a channel gets a connection ------------------------------ */

/* Until there is one that is ready. -ENOTCONN, -ETIMEDOUT, -ECANCELED, worded. */
MUST_USE int cli_connect(struct fiber *f, struct cli_call *call, struct cli_conn **ret);
void cli_connect_stop(struct fiber *f, struct rpc_channel *channel);

#endif
