// SPDX-License-Identifier: Apache-2.0
/* Bytes of streams: order and wholeness whatever the receiver does (IO4, IO6), back-pressure, large sends. */
#include "pair.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/prng.h"

static uint8_t byte_at(uint64_t pos)
{
	return (uint8_t)((pos * 0x9e3779b97f4a7c15u) >> 56);
}

static void check_bytes(const uint8_t *data, size_t len, uint64_t pos)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != byte_at(pos + i))
			fail_msg("byte %lu is wrong", pos + i);
}

static void make_bytes(uint8_t *data, size_t len, uint64_t pos)
{
	for (size_t i = 0; i < len; i++)
		data[i] = byte_at(pos + i);
}

static void received_in_the_callers_memory(void **state)
{
	static const size_t sizes[] = { 1, 100, 16383, 16384, 100000, 3000000 };
	struct world *w = *state;
	static uint8_t out[3000000], in[3000000];
	struct pair p;

	make_bytes(out, sizeof(out), 0);
	pair_open(w, &p, "127.0.0.1:0", NULL);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct iovec iov[3] = { { out, sizes[i] / 3 },
					{ out + sizes[i] / 3, 0 },
					{ out + sizes[i] / 3, sizes[i] - sizes[i] / 3 } };
		struct io_op send, recv;
		bool sent = false, received = false;
		struct iovec to[2] = { { in, sizes[i] / 2 },
				       { in + sizes[i] / 2, sizes[i] - sizes[i] / 2 } };

		memset(in, 0, sizeof(in));
		io_prep_send(&send, p.a, iov, 3, 0, op_done);
		send.owner = &sent;
		io_submit(w->io, &send);
		io_prep_recv(&recv, p.b, to, 2, op_done);
		recv.owner = &received;
		io_submit(w->io, &recv);
		world_turn_until(w, &sent);
		world_turn_until(w, &received);
		assert_int_equal(send.res, sizes[i]);
		assert_int_equal(recv.res, sizes[i]);
		check_bytes(in, sizes[i], 0);
	}
	pair_close(&p);
}

static void a_thousand_iovecs_through_small_buffers(void **state)
{
	struct io_sock_opts opts = { .sndbuf_bytes = 4096, .rcvbuf_bytes = 4096 };
	struct world *w = *state;
	static uint8_t out[IO_IOV_MAX * 777];
	static struct iovec iov[IO_IOV_MAX + 1];
	struct sink sink = { 0 };
	struct io_op op;
	bool done = false;
	struct pair p;

	make_bytes(out, sizeof(out), 0);
	for (int i = 0; i <= IO_IOV_MAX; i++)
		iov[i] = (struct iovec){ out + (size_t)(i % IO_IOV_MAX) * 777, 777 };
	pair_open(w, &p, "127.0.0.1:0", &opts);
	io_recv_start(p.b, sink_fn, &sink);
	io_prep_send(&op, p.a, iov, IO_IOV_MAX, 0, op_done);
	op.owner = &done;
	io_submit(w->io, &op);
	world_turn_until(w, &done);
	assert_int_equal(op.res, sizeof(out));
	sink_wait(w, &sink, sizeof(out));
	check_bytes(sink.bytes, sizeof(out), 0);
	io_prep_send(&op, p.a, iov, IO_IOV_MAX + 1, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_prep_recv(&op, p.a, iov, IO_IOV_MAX + 1, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_prep_send(&op, p.a, iov, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	io_prep_recv(&op, p.a, iov, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	sink_free(&sink);
	pair_close(&p);
}

/* A stopped receiver stops the sender; nothing is lost, and others go on. */
static void stopping_is_back_pressure(void **state)
{
	struct uring_opts opts = { .recv_buf_count = 4, .recv_buf_bytes = 4096 };
	static uint8_t out[16 << 20];
	struct sink sink = { 0 }, other_sink = { 0 };
	struct pair p, other;
	struct world w;
	struct io_op op;
	struct iovec iov = { out, sizeof(out) };
	bool done = false;

	world_init(&w, &opts);
	make_bytes(out, sizeof(out), 0);
	pair_open(&w, &p, "127.0.0.1:0", NULL);
	pair_open(&w, &other, "127.0.0.1:0", NULL);
	io_recv_start(p.b, sink_fn, &sink);
	io_recv_start(other.b, sink_fn, &other_sink);
	world_turn_for(&w, 1000000);
	io_recv_stop(p.b);
	uint64_t before = w.heap.bytes;
	io_prep_send(&op, p.a, &iov, 1, 0, op_done);
	op.owner = &done;
	io_submit(w.io, &op);
	world_turn_for(&w, 50000000);
	assert_false(done);
	assert_int_equal(sink.len, 0);
	assert_true(w.heap.bytes - before < 4 * 4096 + 1024); /* UR3: what it holds is bounded */
	for (int i = 0; i < 100; i++)
		assert_int_equal(sock_send(&w, other.a, out + i * 100, 100), 100);
	sink_wait(&w, &other_sink, 10000);
	check_bytes(other_sink.bytes, 10000, 0);
	io_recv_start(p.b, sink_fn, &sink);
	sink_wait(&w, &sink, sizeof(out));
	world_turn_until(&w, &done);
	assert_int_equal(op.res, sizeof(out));
	assert_int_equal(sink.len, sizeof(out));
	check_bytes(sink.bytes, sink.len, 0);
	sink_free(&sink);
	sink_free(&other_sink);
	pair_close(&p);
	pair_close(&other);
	world_fini(&w);
	(void)state;
}

/* ---- everything at once ------------------------------------------------------------ */

enum { STREAM_BYTES = 24 << 20, CHUNK_MAX = 150000 };

struct mix {
	struct world *w;
	struct pair *p;
	struct prng prng;
	uint64_t got;
	bool is_on, ended;
	/* the IO_RECV in flight */
	struct io_op op;
	struct iovec iov[3];
	uint8_t *buf;
	bool in_flight;
	unsigned fn_calls, ops, cancels, stops;
};

static uint64_t mix_below(struct mix *m, uint64_t n)
{
	return prng_below(&m->prng, n);
}

static void mix_recv(struct mix *m);

static void mix_recv_done(struct io_op *op)
{
	struct mix *m = op->owner;

	m->in_flight = false;
	m->ops++;
	if (op->res == -ECANCELED) {
		m->cancels++;
	} else {
		assert_true(op->res >= 0);
		check_bytes(m->buf, (size_t)op->res, m->got);
		m->got += (uint64_t)op->res;
		if (op->res < (int64_t)(m->iov[0].iov_len + m->iov[1].iov_len + m->iov[2].iov_len))
			m->ended = true;
	}
	if (!m->ended && mix_below(m, 4) == 0)
		mix_recv(m);
}

static void mix_recv(struct mix *m)
{
	uint64_t max = mix_below(m, 3) ? 3000 : CHUNK_MAX;
	size_t len = 1 + mix_below(m, max);
	size_t a = mix_below(m, len + 1), b = a + mix_below(m, len - a + 1);

	m->iov[0] = (struct iovec){ m->buf, a };
	m->iov[1] = (struct iovec){ m->buf + a, b - a };
	m->iov[2] = (struct iovec){ m->buf + b, len - b };
	bool single = mix_below(m, 2);
	if (single) {
		m->iov[0].iov_len = len;
		m->iov[1].iov_len = m->iov[2].iov_len = 0;
	}
	io_prep_recv(&m->op, m->p->b, m->iov, single ? 1 : 3, mix_recv_done);
	m->op.owner = m;
	m->in_flight = true;
	io_submit(m->w->io, &m->op);
	assert_true(m->in_flight); /* IO3 */
}

static void mix_fn(void *ctx, const uint8_t *data, ssize_t len)
{
	struct mix *m = ctx;

	assert_true(m->is_on &&
		    !m->in_flight); /* IO5, and the function sees nothing while an op wants it */
	m->fn_calls++;
	assert_true(len >= 0);
	if (len == 0) {
		m->ended = true;
		m->is_on = false;
		return;
	}
	check_bytes(data, (size_t)len, m->got);
	m->got += (uint64_t)len;
	if (mix_below(m, 3) == 0) {
		io_recv_stop(m->p->b);
		m->is_on = false;
		m->stops++;
	}
	if (mix_below(m, 3) == 0)
		mix_recv(m);
}

/* From outside: start, stop, receive, cancel, or leave it. */
static void mix_act(struct mix *m)
{
	switch (mix_below(m, 6)) {
	case 0:
	case 1:
		if (!m->is_on) {
			m->is_on = true;
			io_recv_start(m->p->b, mix_fn, m);
		}
		break;
	case 2:
		if (m->is_on) {
			m->is_on = false;
			io_recv_stop(m->p->b);
			m->stops++;
		}
		break;
	case 3:
		if (!m->in_flight)
			mix_recv(m);
		break;
	case 4:
		if (m->in_flight)
			io_cancel(m->w->io, &m->op);
		break;
	default:
		break;
	}
}

struct feeder {
	struct world *w;
	struct io_op op;
	struct iovec iov;
	uint8_t *bytes;
	struct io_sock *sock;
	uint64_t sent;
	struct prng prng;
	bool done, paused;
};

static void feed(struct io_op *op)
{
	struct feeder *f = op->owner;

	if (op->res > 0)
		f->sent += (uint64_t)op->res;
	if (f->sent == STREAM_BYTES) {
		io_sock_shutdown(f->sock);
		f->done = true;
		return;
	}
	if (op->res > 0 && prng_below(&f->prng, 3) == 0) {
		f->paused = true;
		op->res = 0;
		return;
	}
	uint64_t len = min_u64(STREAM_BYTES - f->sent,
			       1 + prng_below(&f->prng, prng_below(&f->prng, 2) ? 5000 : 300000));
	f->iov = (struct iovec){ f->bytes + f->sent, len };
	io_prep_send(&f->op, f->sock, &f->iov, 1, 0, feed);
	io_submit(f->w->io, &f->op);
}

static unsigned mix_run(const struct uring_opts *opts, const char *address, uint64_t seed)
{
	struct world w;
	struct pair p;
	struct feeder f = { .w = &w };
	struct mix m = { .w = &w, .p = &p };

	world_init(&w, opts);
	pair_open(&w, &p, address, NULL);
	prng_init(&m.prng, seed, 0);
	prng_init(&f.prng, seed, 1);
	m.buf = malloc(CHUNK_MAX);
	f.bytes = malloc(STREAM_BYTES);
	make_bytes(f.bytes, STREAM_BYTES, 0);
	f.sock = p.a;
	f.op.owner = &f;
	f.op.res = 0;
	feed(&f.op);
	uint64_t deadline = io_now(w.io) + 3 * WORLD_PATIENCE_NS;
	while (!m.ended) {
		io_turn(w.io, io_now(w.io) + 20000);
		mix_act(&m);
		if (f.paused && mix_below(&m, 3) == 0) {
			f.paused = false;
			feed(&f.op);
		}
		assert_true(io_now(w.io) < deadline);
	}
	while (m.in_flight) {
		io_cancel(w.io, &m.op);
		io_turn(w.io, 0);
	}
	assert_true(f.done && m.stops > 0 && m.fn_calls > 0);
	assert_int_equal(m.got, STREAM_BYTES);
	print_message("# %s: %u calls, %u ops (%u cancelled), %u stops\n", address, m.fn_calls,
		      m.ops, m.cancels, m.stops);
	free(m.buf);
	free(f.bytes);
	pair_close(&p);
	world_fini(&w);
	return m.cancels;
}

static void bytes_come_once_in_order_however_received(void **state)
{
	struct uring_opts tiny = { .recv_buf_count = 2, .recv_buf_bytes = 1000, .entries = 4 };

	/* IO_MIX_SEED=n: others than in every run */
	uint64_t seed = getenv("IO_MIX_SEED") ? strtoull(getenv("IO_MIX_SEED"), NULL, 10) : 1;

	unsigned cancels = mix_run(NULL, "127.0.0.1:0", seed);
	cancels += mix_run(NULL, "unix:@test_io_mix", seed + 1);
	cancels += mix_run(&tiny, "127.0.0.1:0", seed + 2);
	assert_true(cancels > 0);
	(void)state;
}

/* ---- sends ------------------------------------------------------------------------- */

static void a_cancelled_send_is_told_once(void **state)
{
	struct world *w = *state;
	static uint8_t out[16 << 20];
	struct iovec iov[2] = { { out, 8 << 20 }, { out + (8 << 20), 8 << 20 } };
	struct io_op op;
	struct pair p;

	for (uint32_t flags = 0; flags <= IO_ZEROCOPY; flags += IO_ZEROCOPY) {
		bool done = false;

		pair_open(w, &p, "127.0.0.1:0", NULL);
		io_prep_send(&op, p.a, iov, 2, flags, op_done);
		op.owner = &done;
		io_submit(w->io, &op);
		world_turn_for(w, 2000000);
		assert_false(done);
		io_cancel(w->io, &op);
		io_cancel(w->io, &op);
		if (flags) { /* the pages are the network's until the peer has read or is gone */
			io_sock_close(p.b);
			p.b = NULL;
		}
		world_turn_until(w, &done);
		assert_int_equal(op.res, -ECANCELED);
		pair_close(&p);
	}
}

static void zero_copy_sends_all_bytes(void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", "unix:@test_io_zc" };
	struct io_sock_opts opts = { .zerocopy_min_bytes = 10000 };
	struct world *w = *state;
	static uint8_t out[1 << 20];
	struct iovec iov[2] = { { out, 70000 }, { out + 70000, sizeof(out) - 70000 } };

	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct sink sink = { 0 };
		struct pair p;
		struct io_op op;

		pair_open(w, &p, addresses[i], &opts);
		io_recv_start(p.b, sink_fn, &sink);
		for (int round = 0; round < 3; round++) {
			make_bytes(out, sizeof(out), (uint64_t)round * (sizeof(out) + 5));
			io_prep_send(&op, p.a, iov, 2, 0, op_done);
			assert_int_equal(op_wait(w, &op), sizeof(out));
			/* US1: the memory is ours again */
			make_bytes(out, 5, (uint64_t)round * (sizeof(out) + 5) + sizeof(out));
			io_prep_send(&op, p.a, iov, 1, IO_ZEROCOPY, op_done);
			iov[0].iov_len = 5;
			assert_int_equal(op_wait(w, &op), 5);
			iov[0].iov_len = 70000;
		}
		sink_wait(w, &sink, 3 * (sizeof(out) + 5));
		check_bytes(sink.bytes, sink.len, 0);
		sink_free(&sink);
		pair_close(&p);
	}
}

static void an_end_within_a_receive_is_a_short_one(void **state)
{
	struct world *w = *state;
	struct sink sink = { 0 };
	uint8_t buf[50000];
	struct iovec iov = { buf, sizeof(buf) };
	struct pair p;

	for (int fed = 0; fed < 3; fed++) {
		struct io_op op;
		bool done = false;

		pair_open(w, &p, "127.0.0.1:0", NULL);
		sink = (struct sink){ 0 };
		if (fed) {
			io_recv_start(p.b, sink_fn, &sink);
			world_turn_for(w, 1000000);
		}
		iov.iov_len = fed == 2 ? 1000 : sizeof(buf);
		io_prep_recv(&op, p.b, &iov, 1, op_done);
		op.owner = &done;
		io_submit(w->io, &op);
		assert_int_equal(sock_send(w, p.a, buf, 300), 300);
		world_turn_for(w, 2000000);
		assert_false(done);
		io_sock_shutdown(p.a);
		world_turn_until(w, &done);
		assert_int_equal(op.res, 300);
		assert_int_equal(sink.len, 0);
		if (fed)
			world_turn_until(w, &sink.ended);
		pair_close(&p);
	}
}

/* Bytes that cannot be held for want of memory end the stream, after those before them. */
static void held_bytes_without_memory_end_the_stream(void **state)
{
	struct world *w = *state;
	struct sink sink = { 0 };
	uint8_t out[3000];
	struct pair p;

	make_bytes(out, sizeof(out), 0);
	pair_open(w, &p, "127.0.0.1:0", NULL);
	io_recv_start(p.b, sink_fn, &sink);
	world_turn_for(w, 1000000);
	io_recv_stop(p.b);
	w->heap.fail_at = w->heap.allocs + 1;
	assert_int_equal(sock_send(w, p.a, out, sizeof(out)), sizeof(out));
	world_turn_for(w, 2000000);
	w->heap.fail_at = 0;
	io_recv_start(p.b, sink_fn, &sink);
	world_turn_until(w, &sink.ended);
	assert_int_equal(sink.end, -ENOMEM);
	assert_int_equal(sink.len, 0);
	pair_close(&p);
}

/* Also printed: what a loopback round trip at depth 1 costs between two sockets of one ring. */
static void ping_pong(void **state)
{
	enum { ROUNDS = 20000 };
	struct world *w = *state;
	struct pair p;
	char buf[64] = { 0 };
	struct sink sink = { 0 };

	pair_open(w, &p, "127.0.0.1:0", NULL);
	io_recv_start(p.b, sink_fn, &sink);
	uint64_t start = io_now(w->io);
	for (int i = 0; i < ROUNDS; i++) {
		sink.len = 0;
		assert_int_equal(sock_send(w, p.a, buf, 64), 64);
		sink_wait(w, &sink, 64);
	}
	print_message("# one way %lu ns\n", (io_now(w->io) - start) / ROUNDS);
	sink_free(&sink);
	pair_close(&p);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
	const struct CMUnitTest tests[] = {
		T(received_in_the_callers_memory),
		T(a_thousand_iovecs_through_small_buffers),
		cmocka_unit_test(stopping_is_back_pressure),
		cmocka_unit_test(bytes_come_once_in_order_however_received),
		T(a_cancelled_send_is_told_once),
		T(zero_copy_sends_all_bytes),
		T(an_end_within_a_receive_is_a_short_one),
		T(held_bytes_without_memory_end_the_stream),
		T(ping_pong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
