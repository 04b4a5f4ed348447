/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc - gRPC over HTTP/2: a server whose handlers are fibers, and a client for fibers.
 *
 *	peer --bytes--> link (socket, TLS) --> HTTP/2 session --> call --fiber--> handler
 *	fiber --rpc_ask()--> channel --> connection (link, HTTP/2 session) --bytes--> peer
 *
 * Files, from the bottom: code (statuses), text (percent encoding, UTF-8, time-outs), arena
 * (memory of a call), unframe (messages out of a stream of bytes), proto (protobuf-c: check,
 * pack, unpack), meta (headers), rate (what a peer may do how often), tls (bytes in, bytes
 * out), link (a socket with or without TLS), h2 and h2_link (a session of nghttp2 on a link), then
 * the server: srv_head, srv_call, srv_conn, srv, srv_health; and the client: cli_call, cli_conn, cli.
 *
 * RP1. A handler is called at most once for a request, and a request gets exactly one status,
 *      unless its connection is lost.
 * RP2. A call whose deadline has passed is answered DEADLINE_EXCEEDED by the server itself, and its
 *      handler is cancelled (fiber_cancel), unless it is shielded. So is that of a client who
 *      gave up or went away. What a handler returns then is dropped.
 * RP3. What a peer can make us hold is bounded: connections, calls, bytes of requests and replies,
 *      headers, unpacked messages. What is beyond a bound is refused with words, or waits.
 * RP4. A handler sees only messages that its schema allows: strings are UTF-8 without NUL, no type
 *      contains itself, so that depth is bounded by the schema.
 * RP5. No byte is sent from inside a call of this header: sockets are written a turn later, so
 *      nothing the caller holds ends while it looks.
 *
 * A server and a channel belong to the reactor of the fiber that made them; every call here is made
 * there. protobuf-c's types are named by their struct tags, so who needs no message
 * needs no protobuf-c header.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;
struct fiber;
struct io_addr;
struct mem;
struct rpc_call;
struct rpc_channel;
struct rpc_server;
struct rpc_stream;
struct rpc_tls;

/* ---- statuses -------------------------------------------------------------------- */

enum rpc_code {
	RPC_OK = 0,
	RPC_CANCELLED = 1,
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_DEADLINE_EXCEEDED = 4,
	RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6,
	RPC_PERMISSION_DENIED = 7,
	RPC_RESOURCE_EXHAUSTED = 8,
	RPC_FAILED_PRECONDITION = 9,
	RPC_ABORTED = 10,
	RPC_OUT_OF_RANGE = 11,
	RPC_UNIMPLEMENTED = 12,
	RPC_INTERNAL = 13,
	RPC_UNAVAILABLE = 14,
	RPC_DATA_LOSS = 15,
	RPC_UNAUTHENTICATED = 16,
	RPC_CODES
};

/*
 * What a negative errno is for a client:
 *
 *	ENOENT ENODEV ENXIO			NOT_FOUND
 *	EEXIST					ALREADY_EXISTS
 *	EINVAL E2BIG ENAMETOOLONG EISDIR ENOTDIR EILSEQ	INVALID_ARGUMENT
 *	ERANGE EOVERFLOW EFBIG			OUT_OF_RANGE
 *	ENOSPC ENOMEM EDQUOT EMFILE ENFILE	RESOURCE_EXHAUSTED
 *	EBUSY EPERM EROFS ENOTEMPTY ESTALE	FAILED_PRECONDITION
 *	EALREADY EINPROGRESS EDEADLK		ABORTED
 *	EACCES					PERMISSION_DENIED
 *	EKEYREJECTED				UNAUTHENTICATED
 *	ENOTSUP ENOSYS				UNIMPLEMENTED
 *	ETIMEDOUT ETIME				DEADLINE_EXCEEDED
 *	ECANCELED				CANCELLED
 *	EAGAIN, ENOTCONN and other network errors	UNAVAILABLE
 *	EBADMSG EUCLEAN				DATA_LOSS
 *	0					OK
 *	others					INTERNAL
 */
enum rpc_code rpc_code_of_errno(int error);

/* The way back: rpc_code_of_errno() of it is the code again, but for UNKNOWN (-EIO). */
int rpc_errno_of_code(enum rpc_code code);

/* "NOT_FOUND"; "UNKNOWN" for what is no code. */
const char *rpc_code_name(enum rpc_code code);

/* ---- TLS ------------------------------------------------------------------------- */

/* PEM files. */
struct rpc_tls_files {
	const char *ca;	  /* who signs our peers. Server: NULL asks clients for no certificate */
	const char *cert; /* ours, with its chain. Client: NULL shows none */
	const char *key;
};

/* TLS 1.2 or newer, ALPN "h2" on both sides or nothing. Words its error with the file's name. */
MUST_USE int rpc_tls_new(struct fiber *f, const struct rpc_tls_files *files, bool is_server,
			 struct rpc_tls **ret);
/* No server or channel uses it any more. */
void rpc_tls_free(struct rpc_tls *tls);

/* ---- what is served -------------------------------------------------------------- */

struct rpc_bytes {
	const void *data;
	size_t len;
};

/*
 * A handler of protobuf-c messages, on a fiber of its own, and with all that fibers may do.
 *
 * in: the request, checked (RP4); it stays until the handler returns. out: the reply, initialised
 * as by its __init(); the handler fills it in, with pointers to constants, into `in`, or to
 * memory of rpc_call_mem(), which all stay until the reply is packed. A method that streams has
 * out NULL and says rpc_call_send() as often as it likes.
 *
 * Returns 0, or a negative errno with the fiber's words (fiber_fail): the words are the status'
 * message and rpc_code_of_errno() its code, unless rpc_fail() has set another.
 *
 *	static int pool_destroy(struct fiber *f, struct rpc_call *call,
 *				const struct ProtobufCMessage *in, struct ProtobufCMessage *out)
 *	{
 *		const DestroyPoolRequest *ask = (const void *)in;
 *		struct node *node = rpc_call_ctx(call);
 *
 *		return node_pool_destroy(f, node, ask->name);
 *	}
 */
typedef int (*rpc_handler_fn)(struct fiber *f, struct rpc_call *call,
			      const struct ProtobufCMessage *in, struct ProtobufCMessage *out);

/* The floor below: bytes. *ret: memory of rpc_call_mem(), or constants. */
typedef int (*rpc_raw_fn)(struct fiber *f, struct rpc_call *call, struct rpc_bytes in,
			  struct rpc_bytes *ret);

struct rpc_method {
	const char *name; /* "CreatePool" */
	/* With `handle`: the types. */
	const struct ProtobufCMessageDescriptor *in, *out;
	rpc_handler_fn handle;
	rpc_raw_fn raw; /* instead of `handle`; both NULL: UNIMPLEMENTED, with words that say so */
	bool streams;	/* the server answers with any number of messages (or none) */
	bool endless; /* a stream that ends only by its client: cancelled at once when the server drains */
	bool shielded; /* once begun it goes on to its end, whatever becomes of the client */
};

struct rpc_service {
	const char *name; /* with its package: "mayastor.v1.pool.PoolRpc" */
	const struct rpc_method *methods;
	unsigned method_count;
};

/* ---- the server ------------------------------------------------------------------ */

#define RPC_SERVICES_MAX	64u
#define RPC_LISTENERS_MAX	16u
#define RPC_METADATA_MAX	16u /* of each of header and trailer of a reply */
#define RPC_TYPE_DEPTH_MAX	16u /* messages within messages */
#define RPC_CONNS_DEFAULT	256u
#define RPC_CALLS_DEFAULT	512u	    /* handlers at a time */
#define RPC_STREAMS_DEFAULT	128u	    /* calls of one connection; a client queues the rest */
#define RPC_MESSAGE_DEFAULT	(4u << 20)  /* bytes of one message, as gRPC's own default */
#define RPC_MESSAGE_MAX		(64u << 20) /* the most that may be asked for */
#define RPC_HEADERS_DEFAULT	(16u << 10) /* bytes of a request's header list */
#define RPC_CONN_MEMORY_DEFAULT (16u << 20) /* requests and replies of a connection, packed */
#define RPC_MEMORY_DEFAULT	(64ull << 20)  /* of all connections */
#define RPC_CALL_MEMORY_DEFAULT (64u << 20)    /* of a call, unpacked: rpc_call_mem() */
#define RPC_STREAM_AHEAD	(256u << 10)   /* packed bytes of a stream that wait for the peer */
#define RPC_SHAKE_DEFAULT_NS	10000000000ull /* from the accept to the client's preface */
#define RPC_REQUEST_DEFAULT_NS	60000000000ull /* from a request's header to its last byte */
#define RPC_SEND_DEFAULT_NS	60000000000ull /* bytes that the peer's socket does not take */
#define RPC_PING_DEFAULT_NS	60000000000ull /* silence before we ask whether the peer lives */
#define RPC_PING_WAIT_NS	20000000000ull /* and how long it has to say so */
#define RPC_AGE_DEFAULT_NS	0ull	       /* connections may get old */
#define RPC_DRAIN_DEFAULT_NS	5000000000ull  /* for calls in flight, when the server ends */

/* 0 or NULL in any field: the default. */
struct rpc_server_opts {
	struct rpc_tls *tls; /* borrowed; NULL: plain. For all listeners but Unix sockets */
	uint32_t conns_max, calls_max, streams_max;
	uint32_t message_bytes_max; /* of a request; replies are bounded by the connection's memory */
	uint32_t header_bytes_max;
	uint64_t conn_memory_bytes, memory_bytes, call_memory_bytes;
	uint64_t shake_ns, request_ns, send_ns, ping_ns, ping_wait_ns, drain_ns;
	uint64_t age_ns; /* a connection that is older is drained (GOAWAY): clients spread anew */
};

MUST_USE int rpc_server_new(struct fiber *f, const struct rpc_server_opts *opts,
			    struct rpc_server **ret);

/*
 * Serve these methods; `service` stays until rpc_server_free(), ctx is what rpc_call_ctx() tells.
 * -EEXIST (the name), -ENOSPC, -EINVAL: a type contains itself, is deeper than
 * RPC_TYPE_DEPTH_MAX, or the method is told inconsistently.
 */
MUST_USE int rpc_server_add(struct fiber *f, struct rpc_server *server,
			    const struct rpc_service *service, void *ctx);

/* grpc.health.v1.Health: SERVING for "" and for every service added, now and later. */
MUST_USE int rpc_server_add_health(struct fiber *f, struct rpc_server *server);
void rpc_server_set_serving(struct rpc_server *server, bool is_serving);

/* *ret_addr (or NULL): where, with the port that was chosen. */
MUST_USE int rpc_server_listen(struct fiber *f, struct rpc_server *server,
			       const struct io_addr *addr, struct io_addr *ret_addr);

/*
 * Nobody is accepted any more; clients are told (GOAWAY in two steps); calls in flight are answered
 * until drain_ns has passed, then cancelled; when no handler runs any more, this returns.
 */
void rpc_server_drain(struct fiber *f, struct rpc_server *server);

/* Drains first, if nobody did. */
void rpc_server_free(struct fiber *f, struct rpc_server *server);

struct rpc_server_stats {
	uint64_t conns, conns_now, conns_refused, conns_dropped;
	uint64_t calls, calls_now, calls_refused;
	uint64_t codes[RPC_CODES]; /* answers by status */
	uint64_t memory_bytes;	   /* of requests and replies now */
};

void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *ret);

/* ---- within a handler ------------------------------------------------------------ */

void *rpc_call_ctx(const struct rpc_call *call);

/*
 * Memory that ends with the call: whatever takes a struct mem fits (mem_alloc, mem_printf ...).
 * NULL, hence -ENOMEM, beyond call_memory_bytes. mem_free() of it is allowed and frees nothing.
 */
struct mem *rpc_call_mem(struct rpc_call *call);

/* Of the request: the first header of that (lower case) name, or NULL; "-bin": as it was sent. */
const char *rpc_call_metadata(const struct rpc_call *call, const char *name);

/* "unix:/run/x.sock", "127.0.0.1:4711". */
void rpc_call_peer(const struct rpc_call *call, struct io_addr *ret);

/* Monotonic; IO_FOREVER: none. */
uint64_t rpc_call_deadline_ns(const struct rpc_call *call);

/* From here on the handler is not cancelled (RP2): what it has begun it ends. */
void rpc_call_shield(struct rpc_call *call);

/* Nobody waits for the answer any more. */
bool rpc_call_is_over(const struct rpc_call *call);

/*
 * One more message of a stream; waits while more than RPC_STREAM_AHEAD bytes wait for the client.
 * -ECANCELED, -ETIMEDOUT: the call is over.
 */
MUST_USE int rpc_call_send(struct fiber *f, struct rpc_call *call,
			   const struct ProtobufCMessage *message);
MUST_USE int rpc_call_send_raw(struct fiber *f, struct rpc_call *call, struct rpc_bytes message);

/*
 * More of the answer's metadata; both texts are copied. -EINVAL: a name that is not of [a-z0-9_.-]
 * or is HTTP's or gRPC's own, a value that is not printable ASCII; -ENOSPC: RPC_METADATA_MAX.
 */
MUST_USE int rpc_call_add_header(struct fiber *f, struct rpc_call *call, const char *name,
				 const char *value); /* before the first message */
MUST_USE int rpc_call_add_trailer(struct fiber *f, struct rpc_call *call, const char *name,
				  const char *value);

/* return rpc_fail(f, call, RPC_ABORTED, "..."): a status that errno has no word for. */
#define rpc_fail(f, call, code, ...) fiber_fail(f, rpc_call_code(call, code), __VA_ARGS__)
int rpc_call_code(struct rpc_call *call, enum rpc_code code); /* the errno that goes with it */

/* ---- the client ------------------------------------------------------------------ */

#define RPC_CONNECT_DEFAULT_NS 20000000000ull
#define RPC_BACKOFF_MIN_NS     1000000000ull   /* after a failure; then 1.6 times as much ... */
#define RPC_BACKOFF_MAX_NS     120000000000ull /* ... up to this; +- 20 % */
#define RPC_ASKS_DEFAULT       1024u /* calls of a channel at a time; further ones are refused */

/* 0 or NULL in any field: the default. */
struct rpc_channel_opts {
	struct rpc_tls *tls; /* borrowed; NULL: plain */
	const char *name;    /* whom the server's certificate must name; NULL: the target's host */
	const char *authority; /* NULL: the target's host and port; "localhost" for a Unix socket */
	uint32_t message_bytes_max; /* of a reply */
	uint32_t asks_max;
	uint64_t connect_ns, ping_ns, ping_wait_ns;
	uint64_t backoff_min_ns, backoff_max_ns;
};

/*
 * "host:port", "[::1]:port" or "unix:/path". Connects with the first call, again when the
 * connection is lost and there is another call, and after a failure not before a back-off.
 */
MUST_USE int rpc_channel_new(struct fiber *f, const char *target,
			     const struct rpc_channel_opts *opts, struct rpc_channel **ret);

/* No call or stream uses it any more. */
void rpc_channel_free(struct fiber *f, struct rpc_channel *channel);

struct rpc_pair {
	const char *name, *value;
};

/* How to ask. NULL for any of the functions below: all zero. */
struct rpc_ask {
	uint64_t timeout_ns; /* 0: none */
	bool wait_for_ready; /* while there is no connection, wait instead of failing UNAVAILABLE */
	const struct rpc_pair *metadata;
	unsigned metadata_count;
};

struct rpc_reply {
	enum rpc_code code;		  /* also set on failure */
	struct ProtobufCMessage *message; /* of rpc_ask_message(); NULL on failure */
	struct rpc_bytes bytes;		  /* of rpc_ask_raw() */
	void *owned;			  /* private */
};

/*
 * One request, one reply. `path`: "/package.Service/Method". Returns 0 or rpc_errno_of_code(), with
 * the words of the server (or ours, if it gave none, or was not reached). A fiber that is cancelled
 * meanwhile gets -ECANCELED, and the server is told. *reply is filled in either way and must be
 * given to rpc_reply_free().
 */
MUST_USE int rpc_ask_message(struct fiber *f, struct rpc_channel *channel, const char *path,
			     const struct rpc_ask *ask, const struct ProtobufCMessage *in,
			     const struct ProtobufCMessageDescriptor *out, struct rpc_reply *reply);
MUST_USE int rpc_ask_raw(struct fiber *f, struct rpc_channel *channel, const char *path,
			 const struct rpc_ask *ask, struct rpc_bytes in, struct rpc_reply *reply);
void rpc_reply_free(struct rpc_reply *reply);

/* One request, any number of replies. The stream must be closed, whatever rpc_next() said. */
MUST_USE int rpc_open_message(struct fiber *f, struct rpc_channel *channel, const char *path,
			      const struct rpc_ask *ask, const struct ProtobufCMessage *in,
			      const struct ProtobufCMessageDescriptor *out,
			      struct rpc_stream **ret);
MUST_USE int rpc_open_raw(struct fiber *f, struct rpc_channel *channel, const char *path,
			  const struct rpc_ask *ask, struct rpc_bytes in, struct rpc_stream **ret);

/* 1: a message, in *reply as above; 0: the end, with status OK; negative: as rpc_ask_message(). */
MUST_USE int rpc_next(struct fiber *f, struct rpc_stream *stream, struct rpc_reply *reply);

/* The server is told, if it has not ended. */
void rpc_close(struct fiber *f, struct rpc_stream *stream);

/* Of the answer so far; valid until rpc_close(). NULL: none such. */
const char *rpc_stream_metadata(const struct rpc_stream *stream, const char *name);

#endif
