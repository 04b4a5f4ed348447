/* SPDX-License-Identifier: Apache-2.0 */
/*
 * srv_priv - server, connections and calls, for the files of the server.
 *
 *	call:  HEAD -> BODY -> READY -> RUN (a fiber) -> ended
 *	        \       \        \       \
 *	         +-------+--------+-------+--> over: its status is given, or nobody waits for it
 *
 * SV1. A call lives as long as its stream or its handler (fiber), whichever is longer; its
 *      connection may end before its handler.
 * SV2. A call that is over has its status given or lost its stream; what comes or is returned
 *      after that is dropped.
 * SV3. Every packed byte held is counted thrice: for the call, its connection, the server; a call
 *      that has lost its connection counts for the server only.
 * SV4. One connection never has more than twice streams_max calls, handlers of closed streams counted.
 */
#ifndef RPC_SRV_PRIV_H
#define RPC_SRV_PRIV_H

#include "base/log.h"
#include "io/io.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "rpc/arena_priv.h"
#include "rpc/h2_priv.h"
#include "rpc/srv_head_priv.h"
#include "rpc/unframe_priv.h"

#define CALL_WORDS 800u /* of a status, percent encoded */

/* Of packed requests, unpacked: how much more all calls may take than memory_bytes. */
#define CALLS_MEMORY_FACTOR 4u

struct srv_conn;
struct rpc_server;

struct srv_service {
	const struct rpc_service *service;
	void *ctx;
};

struct srv_listener {
	struct rpc_server *server;
	struct io_listener *listener; /* owned; NULL: closed */
	bool is_unix;
};

struct rpc_server {
	struct reactor *reactor;
	struct io *io;
	struct rpc_server_opts opts;
	struct srv_service services[RPC_SERVICES_MAX];
	unsigned service_count;
	struct srv_listener listeners[RPC_LISTENERS_MAX];
	unsigned listener_count;
	struct list conns;
	uint32_t conn_count;
	uint32_t handlers;	    /* fibers of calls */
	struct rpc_bound calls_mem; /* arenas */
	uint64_t memory_bytes;	    /* SV3 */
	bool is_draining, is_serving;
	struct event idle;   /* neither connections nor handlers */
	struct event health; /* set at each change of is_serving or is_draining */
	struct rpc_server_stats stats;
	struct log_rate log_rate;
};

enum conn_state {
	CONN_OPEN,
	CONN_NOTICED, /* told that it will end (first GOAWAY); calls still begin */
	CONN_LAST,    /* told which call was the last (second GOAWAY) */
	CONN_DEAD,    /* the link is closed */
};

struct srv_conn {
	struct h2 h2;
	struct rpc_server *server;
	struct list_link link; /* server->conns */
	enum conn_state state;
	struct list calls;
	uint32_t call_count; /* SV4 */
	bool has_preface;
	struct timer timer;
	uint64_t begun_ns, noticed_ns;
	uint64_t memory_bytes; /* SV3 */
	struct io_addr peer;
};

enum call_state { CALL_HEAD, CALL_BODY, CALL_READY, CALL_RUN, CALL_ENDED };

/* A packed message on its way out. */
struct call_out {
	struct queue_link link;
	size_t len;
	uint8_t bytes[]; /* with its frame head */
};

struct rpc_call {
	struct list_link link; /* conn->calls */
	struct rpc_server *server;
	struct srv_conn *conn; /* NULL: ended, and the stream with it */
	int32_t stream_id;     /* 0: has ended */
	enum call_state state;
	const struct rpc_method *method;
	void *ctx;
	struct rpc_arena arena;
	struct srv_head head;
	struct rpc_unframe unframe;
	uint32_t unframe_room; /* of it, counted */
	struct rpc_bytes in;
	uint8_t *in_owned;
	bool has_handler;    /* RUN: from srv_run() to its end */
	struct fiber *fiber; /* it, once it runs */
	struct timer timer;
	uint64_t deadline_ns, request_due_ns, progress_ns;
	uint64_t memory_bytes; /* SV3 */
	bool is_shielded, is_over;
	int over_error;		 /* what a handler is told that goes on */
	enum rpc_code fail_code; /* of rpc_fail() */
	struct io_addr peer;

	/* the answer */
	enum rpc_code code;
	struct meta header, trailer;
	struct queue out;
	uint64_t out_bytes;
	size_t out_at; /* of the first, gone already */
	bool has_header, out_end, out_waits;
	struct event room;
	char words[CALL_WORDS];
};

/* ---- srv_call.c: a request comes in ---------------------------------------------- */

MUST_USE int srv_call_new(struct srv_conn *conn, int32_t stream_id);
MUST_USE int srv_call_header(struct rpc_call *call, const uint8_t *name, size_t name_len,
			     const uint8_t *value, size_t value_len);
MUST_USE int srv_call_head_end(struct rpc_call *call);
void srv_call_data(struct rpc_call *call, const uint8_t *data, size_t len);
void srv_call_request_end(struct rpc_call *call);

/* Its stream is no more. Ends it, unless its handler runs (SV1). */
void srv_call_lost(struct rpc_call *call);
/* Nor its connection. */
void srv_call_orphan(struct rpc_call *call);

/* It ends now, with this status, whatever its handler does (SV2). */
void srv_call_end(struct rpc_call *call, enum rpc_code code, int error, const char *words);

/* Count more or less packed bytes (SV3); false: over a limit, nothing is counted. */
MUST_USE bool srv_call_count(struct rpc_call *call, uint64_t bytes);
void srv_call_uncount(struct rpc_call *call, uint64_t bytes);

void srv_call_watch(struct rpc_call *call);
/* If neither stream nor handler is left (SV1). */
void srv_call_settle(struct rpc_call *call);

/* ---- srv_run.c: the handler ------------------------------------------------------ */

void srv_run(struct rpc_call *call);

/* ---- srv_answer.c: the status and messages go out -------------------------------- */

/* The status, behind the messages that are queued. Once. */
void srv_answer(struct rpc_call *call, enum rpc_code code, const char *words);
/* A status of HTTP, which is not 200. */
void srv_answer_http(struct rpc_call *call);
/* Queue a message. It was counted. */
void srv_answer_push(struct rpc_call *call, struct call_out *out);
void srv_answer_drop(struct rpc_call *call, bool begun);
ssize_t srv_answer_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t room,
			uint32_t *flags, nghttp2_data_source *source, void *ctx);

/* ---- srv_conn.c ------------------------------------------------------------------ */

/* Takes the socket. */
void srv_conn_start(struct rpc_server *server, struct io_sock *take_sock, bool is_unix);
void srv_conn_drain(struct srv_conn *conn);
/* The second step of it: no call after this one. */
void srv_conn_last(struct srv_conn *conn);
void srv_conn_drop(struct srv_conn *conn, const char *why);
void srv_conn_reset(struct srv_conn *conn, int32_t stream_id, uint32_t error);

/* ---- srv.c ----------------------------------------------------------------------- */

/* 0, or why not, in `words`. */
MUST_USE enum rpc_code srv_find(const struct rpc_server *server, const char *path,
				const struct srv_service **ret_service,
				const struct rpc_method **ret_method, char *words, size_t size);
void srv_settle(struct rpc_server *server);

#endif
