// SPDX-License-Identifier: Apache-2.0
/*
 * Whole connections of a gRPC server: frames that fit more or less, in pieces, sends that are late, time
 * that goes by, the peer's end.
 *
 * However it goes: what is sent is frames of HTTP/2, on streams that the peer has opened; when the
 * connection has ended nothing is left of it: no call, no handler, no byte of memory.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/be.h"
#include "base/must.h"
#include "echo.h"
#include "fuzz.h"
#include "io/io.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define STEP_NS	    1000000u
#define ACTIONS_MAX 100
#define FRAME_HEAD  9u
#define END_NS	    (UINT64_C(5000000) * 1000000000)

struct io_sock {
	struct io *io; /* first: struct io_handle */
	io_recv_fn fn;
	void *ctx;
	struct io_op *send;
	bool closed;
};

struct io_listener {
	struct io *io;
	io_accept_fn fn;
	void *ctx;
};

struct world {
	struct io io;
	struct mem_heap heap;
	uint64_t now_ns;
	struct io_listener listener;
	struct io_sock sock;
	struct reactor *reactor;
	struct rpc_server *server;
	struct echo echo;
	bool hold_sends;
	size_t piece;
	uint32_t top_stream;

	/* what the peer hears */
	uint8_t head[FRAME_HEAD];
	size_t head_have, left;

	const uint8_t *in;
	size_t in_left;
};

static struct world *world_of(struct io *io)
{
	return container_of(io, struct world, io);
}

static unsigned take(struct world *w)
{
	if (!w->in_left)
		return 0;
	w->in_left--;
	return *w->in++;
}

/* So many of the bytes that are left. */
static size_t take_len(struct world *w, unsigned most)
{
	const unsigned want = take(w) % most;

	return min_size(want, w->in_left);
}

/* ---- a struct io of one socket --------------------------------------------------------------- */

static uint64_t fz_now(struct io *io)
{
	return world_of(io)->now_ns;
}

static void fz_random(struct io *io, void *buf, size_t len)
{
	memset(buf, 7, len);
}

static void fz_submit(struct io *io, struct io_op *op)
{
	struct world *w = world_of(io);

	must(op->code == IO_SEND && !w->sock.closed && !w->sock.send);
	w->sock.send = op;
}

static void fz_heard(struct world *w)
{
	const uint32_t len = be32_get(w->head) >> 8, stream = be32_get(w->head + 5);

	must(len <= 16384 && w->head[3] <= 9 && !(stream >> 31));
	if (w->head[3] <= 3)
		must(stream % 2 == 1 && stream <= w->top_stream);
	w->left = len;
	w->head_have = 0;
}

static void fz_hear(struct world *w, const uint8_t *bytes, size_t len)
{
	while (len) {
		size_t n = w->left ? min_size(len, w->left) :
				     min_size(len, FRAME_HEAD - w->head_have);

		if (w->left) {
			w->left -= n;
		} else {
			memcpy(w->head + w->head_have, bytes, n);
			w->head_have += n;
			if (w->head_have == FRAME_HEAD)
				fz_heard(w);
		}
		bytes += n;
		len -= n;
	}
}

static unsigned fz_turn(struct io *io, uint64_t until_ns)
{
	struct world *w = world_of(io);
	struct io_op *op = w->sock.send;

	io->turn_ns = w->now_ns;
	if (!op || (w->hold_sends && !w->sock.closed))
		return 0;
	w->sock.send = NULL;
	op->res = (int64_t)op->net.iov[0].iov_len;
	if (w->sock.closed)
		op->res = -125; /* ECANCELED */
	else
		fz_hear(w, op->net.iov[0].iov_base, op->net.iov[0].iov_len);
	op->done(op);
	return 1;
}

static void fz_wake(struct io *io)
{
}

static int fz_listen(struct io *io, const struct io_addr *addr, const struct io_sock_opts *opts,
		     io_accept_fn fn, void *ctx, struct io_listener **ret, struct err *err)
{
	struct world *w = world_of(io);

	w->listener = (struct io_listener){ io, fn, ctx };
	*ret = &w->listener;
	return 0;
}

static void fz_recv_start(struct io_sock *sock, io_recv_fn fn, void *ctx)
{
	sock->fn = fn;
	sock->ctx = ctx;
}

static void fz_recv_stop(struct io_sock *sock)
{
	sock->fn = NULL;
}

static void fz_peer(struct io_sock *sock, struct io_addr *ret)
{
	*ret = (struct io_addr){ .family = AF_INET };
}

static void fz_close(struct io_sock *sock)
{
	must(!sock->closed);
	sock->closed = true;
	sock->fn = NULL;
}

static const struct io_ops fz_ops = {
	.name = "fuzz",
	.now_ns = fz_now,
	.wall_ns = fz_now,
	.random = fz_random,
	.submit = fz_submit,
	.turn = fz_turn,
	.wake = fz_wake,
	.listen = fz_listen,
	.recv_start = fz_recv_start,
	.recv_stop = fz_recv_stop,
	.sock_peer = fz_peer,
	.sock_close = fz_close,
};

static void turn(struct world *w, uint64_t ns)
{
	w->now_ns += ns;
	fz_turn(&w->io, 0);
	reactor_turn(w->reactor);
}

/* ---- what comes --------------------------------------------------------------------------------- */

static void feed(struct world *w, const uint8_t *bytes, size_t len)
{
	while (len && !w->sock.closed) {
		size_t n = min_size(len, w->piece);
		uint8_t *copy = malloc(n); /* its end is watched */

		for (unsigned i = 0; i < 20 && !w->sock.fn && !w->sock.closed; i++)
			turn(w, STEP_NS); /* it is not listened to now */
		if (!w->sock.fn) {
			free(copy);
			return;
		}
		memcpy(copy, bytes, n);
		w->sock.fn(w->sock.ctx, copy, (ssize_t)n);
		free(copy);
		bytes += n;
		len -= n;
	}
}

static void feed_frame(struct world *w, unsigned type, unsigned flags, uint32_t stream,
		       const uint8_t *bytes, size_t len)
{
	uint8_t *frame = malloc(FRAME_HEAD + len);

	be32_put(frame, (uint32_t)len << 8 | type);
	frame[4] = (uint8_t)flags;
	be32_put(frame + 5, stream);
	if (len)
		memcpy(frame + FRAME_HEAD, bytes, len);
	if (type == 1 && stream % 2 && stream > w->top_stream)
		w->top_stream = stream;
	feed(w, frame, FRAME_HEAD + len);
	free(frame);
}

static size_t put(uint8_t *p, const char *name, const char *value, size_t len)
{
	size_t at = 0, name_len = strlen(name);

	p[at++] = 0;
	p[at++] = (uint8_t)name_len;
	memcpy(p + at, name, name_len);
	at += name_len;
	p[at++] = (uint8_t)len;
	if (len)
		memcpy(p + at, value, len);
	return at + len;
}

static void feed_request(struct world *w, uint32_t stream)
{
	static const char *const paths[] = { "/test.Echo/Say", "/test.Echo/Many", "/raw.Raw/Same",
					     "/grpc.health.v1.Health/Watch", "/test.Echo/Ask" };
	const unsigned what = take(w);
	const char *path = paths[what % ARRAY_LEN(paths)];
	uint8_t block[600];
	size_t at = put(block, ":method", "POST", 4), n;

	at += put(block + at, ":scheme", "http", 4);
	at += put(block + at, ":path", path, strlen(path));
	if (!(what & 0x80))
		at += put(block + at, "te", "trailers", 8);
	at += put(block + at, "content-type", "application/grpc", 16);
	if (what & 0x40) { /* any header more */
		n = take_len(w, 100);
		at += put(block + at, what & 0x20 ? "grpc-timeout" : "x-any", (const char *)w->in,
			  n);
		w->in += n;
		w->in_left -= n;
	}
	feed_frame(w, 1, 4 | (what & 0x10 ? 1 : 0), stream, block, at);
}

static void feed_message(struct world *w, uint32_t stream)
{
	const unsigned what = take(w);
	size_t n = take_len(w, 256);
	uint8_t bytes[5 + 255] = { what & 1 };

	if (what & 2)
		bytes[4] = (uint8_t)take(w); /* whatever length */
	else
		bytes[4] = (uint8_t)n;
	n = min_size(n, w->in_left);
	memcpy(bytes + 5, w->in, n);
	w->in += n;
	w->in_left -= n;
	feed_frame(w, 0, what & 4 ? 0 : 1, stream, bytes, 5 + n);
}

static void feed_any_frame(struct world *w, uint32_t stream)
{
	const unsigned type = take(w);
	const unsigned flags = take(w);
	size_t n = take_len(w, 256);

	feed_frame(w, type % 12, flags, type & 0x80 ? 0 : stream, w->in, n);
	w->in += n;
	w->in_left -= n;
}

static void feed_raw(struct world *w)
{
	size_t n = take_len(w, 256);

	w->top_stream = INT32_MAX; /* whatever it may be */
	feed(w, w->in, n);
	w->in += n;
	w->in_left -= n;
}

static void act(struct world *w)
{
	const unsigned what = take(w);
	const uint32_t stream = (what >> 4) * 2 + 1;

	switch (what & 15) {
	case 0:
	case 1:
	case 2:
		feed_request(w, stream);
		break;
	case 3:
	case 4:
	case 5:
		feed_message(w, stream);
		break;
	case 6:
	case 7:
		feed_any_frame(w, stream);
		break;
	case 8:
		feed_frame(w, 3, 0, stream, (const uint8_t *)"\0\0\0\x08", 4);
		break;
	case 9:
		feed_raw(w);
		break;
	case 10:
		w->hold_sends = what & 16;
		break;
	case 11:
		w->piece = 1 + (size_t)take(w) * 50;
		break;
	case 12:
		turn(w, (uint64_t)take(w) * 300 * STEP_NS);
		break;
	default:
		turn(w, STEP_NS);
	}
}

/* ---- the world, made once: a mapped stack for each input would cost more than the input ---------- */

static int setup(struct fiber *f, void *arg)
{
	struct world *w = arg;
	const struct rpc_server_opts opts = {
		.message_bytes_max = 4096,
		.header_bytes_max = 1024,
		.streams_max = 6,
		.calls_max = 8,
		.conn_memory_bytes = 65536,
		.memory_bytes = 1 << 20,
		.call_memory_bytes = 65536,
	};

	must(rpc_server_new(f, &opts, &w->server) == 0);
	must(rpc_server_add(f, w->server, &echo_service, &w->echo) == 0);
	must(rpc_server_add(f, w->server, &raw_service, NULL) == 0);
	must(rpc_server_add_health(f, w->server) == 0);
	must(rpc_server_listen(f, w->server, &(struct io_addr){ .family = AF_INET }, NULL) == 0);
	return 0;
}

static void world_start(struct world *w)
{
	struct err err = { 0 };

	mem_heap_init(&w->heap);
	w->io.ops = &fz_ops;
	w->io.mem = &w->heap.mem;
	w->now_ns = 1000000000;
	w->io.turn_ns = w->now_ns;
	must(reactor_new(&w->io, &(struct reactor_opts){ 0 }, &w->reactor, &err) == 0);
	must(fiber_start(w->reactor, "setup", setup, w, NULL) == 0);
	while (!w->listener.fn)
		turn(w, STEP_NS);
}

static void world_end_input(struct world *w)
{
	struct rpc_server_stats stats;

	w->hold_sends = false;
	if (!w->sock.closed && w->sock.fn)
		w->sock.fn(w->sock.ctx, NULL, 0);
	do { /* those that are shielded end when they have slept */
		turn(w, END_NS);
		turn(w, STEP_NS);
		rpc_server_stats(w->server, &stats);
	} while (stats.conns_now || stats.calls_now || w->sock.send);
	must(w->sock.closed && stats.memory_bytes == 0 && w->echo.running == 0);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	static struct world *w;
	uint64_t bytes;

	if (!w) {
		w = calloc(1, sizeof(*w));
		world_start(w);
	}
	bytes = w->heap.bytes;
	w->in = data;
	w->in_left = size;
	w->piece = 100000;
	w->top_stream = 0;
	w->head_have = 0;
	w->left = 0;
	w->sock = (struct io_sock){ .io = &w->io };
	w->listener.fn(w->listener.ctx, 0, &w->sock);
	if (!(take(w) & 1))
		feed(w, (const uint8_t *)preface,
		     sizeof(preface)); /* with its NUL: 9 bytes of SETTINGS */
	for (int i = 0; i < ACTIONS_MAX && w->in_left; i++)
		act(w);
	world_end_input(w);
	must(w->heap.bytes <= bytes + (1 << 20)); /* pooled fibers only */
	return 0;
}
