/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "unit/sim/bare.h"

/* A receiver: bytes must count up from where it is. */
struct sink {
	struct io_sock *sock;
	uint64_t got;
	unsigned calls, ends;
	int error;
	bool stop_after_each;
};

struct pair {
	struct bare b;		/* host "a": the client */
	struct sim_host *there; /* host "b": the server */
	struct sim_proc *server;
	struct io *io; /* the server's */
	struct io_listener *listener;
	struct io_addr addr;
	struct sink sink; /* of the server's accepted socket */
	struct io_sock *client;
};

static void on_bytes(void *ctx, const uint8_t *data, ssize_t len)
{
	struct sink *sink = ctx;

	sink->calls++;
	assert_int_equal(sink->ends, 0); /* the end comes once and is final */
	if (len <= 0) {
		sink->ends++;
		sink->error = (int)len;
		return;
	}
	for (ssize_t i = 0; i < len; i++)
		assert_int_equal(data[i], (uint8_t)(sink->got + (uint64_t)i));
	sink->got += (uint64_t)len;
	if (sink->stop_after_each)
		io_recv_stop(sink->sock);
}

static void on_accept(void *ctx, int res, struct io_sock *sock)
{
	struct pair *p = ctx;

	assert_int_equal(res, 0);
	p->sink.sock = sock;
	io_recv_start(sock, on_bytes, &p->sink);
}

static void listen_at(struct pair *p, const struct io_addr *addr, const struct io_sock_opts *opts)
{
	struct err err = { 0 };

	assert_int_equal(io_listen(p->io, addr, opts, on_accept, p, &p->listener, &err), 0);
	io_listener_addr(p->listener, &p->addr);
}

static void start(struct pair *p, uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	bare_start(&p->b, seed);
	p->there = sim_host_add(p->b.sim, "b");
	p->server = bare_proc(p->there);
	p->io = sim_proc_io(p->server, 0);
	sim_host_addr(p->there, 8420, &p->addr);
	listen_at(p, &p->addr, NULL);
}

static int dial(struct pair *p, const struct io_sock_opts *opts)
{
	struct io_op op = { 0 };

	io_prep_connect(&op, &p->addr, opts, &p->client, NULL);
	return (int)bare_do(&p->b, p->b.io, &op);
}

static void stop(struct pair *p)
{
	bare_stop(&p->b);
}

static uint8_t *count_up(size_t len, uint64_t from)
{
	uint8_t *bytes = malloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(from + i);
	return bytes;
}

static int64_t send_bytes(struct pair *p, size_t len, uint64_t from)
{
	uint8_t *bytes = count_up(len, from);
	struct iovec iov[2] = { { bytes, len / 3 }, { bytes + len / 3, len - len / 3 } };
	struct io_op op = { 0 };

	io_prep_send(&op, p->client, iov, 2, 0, NULL);
	int64_t res = bare_do(&p->b, p->b.io, &op);
	free(bytes);
	return res;
}

static void bytes_arrive_in_order_and_then_the_end(void **state)
{
	struct io_addr peer;
	struct pair p;

	start(&p, 1);
	assert_int_equal(dial(&p, NULL), 0);
	assert_int_equal(send_bytes(&p, 1000000, 0), 1000000);
	io_sock_peer(p.client, &peer);
	assert_int_equal(peer.port, 8420);
	io_sock_peer(p.sink.sock, &peer);
	assert_int_equal(peer.ip[3], 1);
	io_sock_local(p.sink.sock, &peer);
	assert_int_equal(peer.port, 8420);
	io_sock_shutdown(p.client);
	assert_int_equal(send_bytes(&p, 10, 0), -EPIPE);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(p.sink.got, 1000000);
	assert_int_equal(p.sink.ends, 1);
	assert_int_equal(p.sink.error, 0);
	io_sock_close(p.client);
	io_sock_close(p.sink.sock);
	io_listener_close(p.listener);
	sim_run_for(p.b.sim, SIM_S);
	stop(&p);
}

static void a_receiver_that_stops_pushes_back(void **state)
{
	struct pair p;
	struct io_op op = { 0 };
	bool sent = false;

	start(&p, 2);
	assert_int_equal(dial(&p, NULL), 0);
	sim_run_for(p.b.sim, SIM_S);
	io_recv_stop(p.sink.sock);
	uint8_t *bytes = count_up(4000000, 0);
	struct iovec iov = { bytes, 4000000 };
	io_prep_send(&op, p.client, &iov, 1, 0, bare_mark);
	op.owner = &sent;
	io_submit(p.b.io, &op);
	sim_run_for(p.b.sim, 10 * SIM_S);
	assert_false(sent);
	assert_int_equal(p.sink.got, 0);
	p.sink.stop_after_each = true;
	io_recv_start(p.sink.sock, on_bytes, &p.sink);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(p.sink.calls, 1);
	p.sink.stop_after_each = false;
	io_recv_start(p.sink.sock, on_bytes, &p.sink);
	sim_run_for(p.b.sim, 10 * SIM_S);
	assert_true(sent);
	assert_int_equal(p.sink.got, 4000000);
	free(bytes);
	stop(&p);
}

static void a_receive_op_takes_its_bytes_first(void **state)
{
	uint8_t buf[100];
	struct iovec iov = { buf, sizeof(buf) };
	struct io_op op = { 0 };
	struct pair p;
	bool done = false;

	start(&p, 3);
	assert_int_equal(dial(&p, NULL), 0);
	sim_run_for(p.b.sim, SIM_S);
	io_prep_recv(&op, p.sink.sock, &iov, 1, bare_mark);
	op.owner = &done;
	io_submit(p.io, &op);
	p.sink.got = 100; /* the function sees what follows */
	assert_int_equal(send_bytes(&p, 1000, 0), 1000);
	sim_run_for(p.b.sim, SIM_S);
	assert_true(done);
	assert_int_equal(op.res, 100);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(buf[i], i);
	assert_int_equal(p.sink.got, 1000);
	/* at the end of the stream it is short */
	io_recv_stop(p.sink.sock);
	assert_int_equal(send_bytes(&p, 30, 1000), 30);
	io_sock_close(p.client);
	done = false;
	io_submit(p.io, &op);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(op.res, 30);
	stop(&p);
}

static void ops_of_a_closed_socket_are_cancelled(void **state)
{
	uint8_t buf[100];
	struct iovec iov = { buf, sizeof(buf) };
	struct io_op recv = { 0 }, op = { 0 };
	bool done = false;
	struct pair p;

	start(&p, 4);
	assert_int_equal(dial(&p, NULL), 0);
	io_prep_recv(&recv, p.client, &iov, 1, bare_mark);
	recv.owner = &done;
	io_submit(p.b.io, &recv);
	io_cancel(p.b.io, &recv);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(recv.res, -ECANCELED);
	done = false;
	io_submit(p.b.io, &recv);
	io_sock_close(p.client);
	sim_run_for(p.b.sim, SIM_S);
	assert_true(done);
	assert_int_equal(recv.res, -ECANCELED);
	assert_int_equal(p.sink.ends, 1);
	/* a connect under way too */
	io_prep_connect(&op, &p.addr, NULL, &p.client, bare_mark);
	op.owner = &done;
	done = false;
	io_submit(p.b.io, &op);
	io_cancel(p.b.io, &op);
	sim_run_for(p.b.sim, SIM_S);
	assert_true(done);
	assert_int_equal(op.res, -ECANCELED);
	stop(&p);
}

static void nobody_listening_is_refused(void **state)
{
	struct pair p;

	start(&p, 5);
	io_listener_close(p.listener);
	assert_int_equal(dial(&p, NULL), -ECONNREFUSED);
	p.addr.ip[3] = 200;
	assert_int_equal(dial(&p, NULL), -EHOSTUNREACH);
	stop(&p);
}

static void a_host_without_power_does_not_answer(void **state)
{
	struct pair p;

	start(&p, 6);
	sim_host_power_cut(p.there);
	uint64_t now = sim_now(p.b.sim);
	assert_int_equal(dial(&p, &(struct io_sock_opts){ .user_timeout_ms = 5000 }), -ETIMEDOUT);
	assert_int_equal(sim_now(p.b.sim) - now >= 5 * SIM_S, 1);
	assert_true(sim_now(p.b.sim) - now < 6 * SIM_S);
	stop(&p);
}

static void listening_twice_is_an_error_with_words(void **state)
{
	struct io_listener *l;
	struct io_addr addr;
	struct err err = { 0 };
	struct pair p;

	start(&p, 7);
	assert_int_equal(io_listen(p.io, &p.addr, NULL, on_accept, &p, &l, &err), -EADDRINUSE);
	assert_non_null(strstr(err.words, "8420"));
	sim_host_addr(p.b.host, 1, &addr);
	assert_int_equal(io_listen(p.io, &addr, NULL, on_accept, &p, &l, &err), -EADDRNOTAVAIL);
	sim_host_addr(p.there, 0, &addr);
	assert_int_equal(io_listen(p.io, &addr, NULL, on_accept, &p, &l, &err), 0);
	io_listener_addr(l, &addr);
	assert_int_not_equal(addr.port, 0);
	stop(&p);
}

static void unix_sockets_stay_within_a_host(void **state)
{
	struct io_addr addr = { .family = AF_UNIX, .path = "/run/x.sock" };
	struct pair p;

	start(&p, 8);
	p.addr = addr;
	assert_int_equal(dial(&p, NULL), -ECONNREFUSED);
	io_listener_close(p.listener);
	p.io = p.b.io;
	listen_at(&p, &addr, NULL);
	assert_int_equal(dial(&p, NULL), 0);
	assert_int_equal(send_bytes(&p, 5000, 0), 5000);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(p.sink.got, 5000);
	stop(&p);
}

static void a_connection_moves_to_another_loop(void **state)
{
	struct io_sock_token token;
	struct pair p;

	start(&p, 9);
	struct sim_proc *two = sim_proc_add(
		p.there, &(struct sim_proc_opts){ .name = "two", .bare = true, .reactors = 2 });
	io_listener_close(p.listener);
	p.io = sim_proc_io(two, 0);
	listen_at(&p, &p.addr, NULL);
	assert_int_equal(dial(&p, NULL), 0);
	assert_int_equal(send_bytes(&p, 100, 0), 100);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(io_sock_detach(p.sink.sock, &token), -EBUSY); /* it receives */
	io_recv_stop(p.sink.sock);
	assert_int_equal(io_sock_detach(p.sink.sock, &token), 0);
	assert_int_equal(send_bytes(&p, 100, 100), 100);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(io_sock_adopt(sim_proc_io(two, 1), &token, &p.sink.sock), 0);
	io_recv_start(p.sink.sock, on_bytes, &p.sink);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(p.sink.got, 200);
	stop(&p);
}

static void a_crash_is_told_to_the_peer(void **state)
{
	struct pair p;

	start(&p, 10);
	assert_int_equal(dial(&p, NULL), 0);
	assert_int_equal(send_bytes(&p, 100, 0), 100);
	sim_run_for(p.b.sim, SIM_S);
	sim_proc_crash(p.b.proc);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(p.sink.ends, 1);
	stop(&p);
}

static void a_half_open_peer_is_found_by_sending(void **state)
{
	struct pair p;

	start(&p, 11);
	sim_fault_set(p.b.sim, SIM_NET_HALF_OPEN, PRNG_PPM);
	assert_int_equal(dial(&p, NULL), 0);
	sim_run_for(p.b.sim, SIM_S);
	sim_proc_crash(p.server);
	assert_int_equal(sim_fault_fired(p.b.sim, SIM_NET_HALF_OPEN), 1);
	sim_run_for(p.b.sim, 100 * SIM_S);
	assert_int_equal(send_bytes(&p, 100, 0), 100); /* the kernel took them */
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(send_bytes(&p, 100, 0), -ECONNRESET);
	stop(&p);
}

static void power_cut_of_a_peer_is_found_by_patience(void **state)
{
	struct pair p;

	start(&p, 12);
	assert_int_equal(dial(&p, &(struct io_sock_opts){ .user_timeout_ms = 3000 }), 0);
	sim_run_for(p.b.sim, SIM_S);
	sim_host_power_cut(p.there);
	assert_int_equal(send_bytes(&p, 100, 0), 100);
	sim_run_for(p.b.sim, 2 * SIM_S);
	assert_int_equal(send_bytes(&p, 100, 0), 100);
	sim_run_for(p.b.sim, 2 * SIM_S);
	assert_int_equal(send_bytes(&p, 100, 0), -ETIMEDOUT);
	stop(&p);
}

static void keepalive_finds_a_silent_peer(void **state)
{
	struct sink sink = { 0 };
	struct pair p;

	start(&p, 13);
	assert_int_equal(dial(&p, &(struct io_sock_opts){ .keepalive_s = 5 }), 0);
	io_recv_start(p.client, on_bytes, &sink);
	sim_run_for(p.b.sim, 100 * SIM_S);
	assert_int_equal(sink.ends, 0);
	sim_host_power_cut(p.there);
	sim_run_for(p.b.sim, 4 * SIM_S);
	assert_int_equal(sink.ends, 0);
	sim_run_for(p.b.sim, 2 * SIM_S);
	assert_int_equal(sink.ends, 1);
	assert_int_equal(sink.error, -ETIMEDOUT);
	stop(&p);
}

static void a_one_way_cut_holds_bytes_and_delivers_them_late(void **state)
{
	struct sink sink = { 0 };
	struct pair p;

	start(&p, 14);
	assert_int_equal(dial(&p, NULL), 0);
	sim_run_for(p.b.sim, SIM_S);
	io_recv_start(p.client, on_bytes, &sink);
	sim_net_cut(p.b.host, p.there);
	assert_true(sim_net_is_cut(p.b.host, p.there));
	assert_false(sim_net_is_cut(p.there, p.b.host));
	assert_int_equal(send_bytes(&p, 100, 0), 100);
	sim_run_for(p.b.sim, 20 * SIM_S);
	assert_int_equal(p.sink.got, 0);
	/* the other way is open */
	uint8_t byte = 0;
	struct iovec iov = { &byte, 1 };
	struct io_op op = { 0 };
	io_prep_send(&op, p.sink.sock, &iov, 1, 0, NULL);
	assert_int_equal(bare_do(&p.b, p.io, &op), 1);
	sim_run_for(p.b.sim, SIM_S);
	assert_int_equal(sink.got, 1);
	/* ghosts: the sender is gone, its bytes still come */
	sim_proc_crash(p.b.proc);
	sim_run_for(p.b.sim, 20 * SIM_S);
	sim_net_heal(p.b.host, p.there);
	sim_run_for(p.b.sim, 42 * SIM_S); /* within as long again */
	assert_int_equal(p.sink.got, 100);
	assert_int_equal(p.sink.ends, 1);
	assert_int_equal(sim_fault_fired(p.b.sim, SIM_NET_CUT), 1);
	stop(&p);
}

static void what_a_sender_gives_up_comes_late_or_never(void **state)
{
	unsigned came = 0, count = 20;

	for (unsigned seed = 1; seed <= count; seed++) {
		struct pair p;

		start(&p, seed);
		assert_int_equal(dial(&p, &(struct io_sock_opts){ .user_timeout_ms = 3000 }), 0);
		sim_run_for(p.b.sim, SIM_S);
		sim_net_cut(p.b.host, p.there);
		assert_int_equal(send_bytes(&p, 100, 0), 100);
		sim_run_for(p.b.sim, 4 * SIM_S);
		assert_int_equal(send_bytes(&p, 100, 0), -ETIMEDOUT);
		sim_net_heal(p.b.host, p.there);
		sim_run_for(p.b.sim, 5 * SIM_S);
		came += p.sink.got == 100;
		assert_true(p.sink.got == 0 || p.sink.got == 100);
		stop(&p);
	}
	assert_in_range(came, 1, count - 1);
}

static void a_connect_goes_on_after_a_short_cut(void **state)
{
	struct io_op op = { 0 };
	bool done = false;
	struct pair p;

	start(&p, 15);
	sim_net_cut(p.b.host, p.there);
	io_prep_connect(&op, &p.addr, NULL, &p.client, bare_mark);
	op.owner = &done;
	io_submit(p.b.io, &op);
	sim_run_for(p.b.sim, 5 * SIM_S);
	assert_false(done);
	sim_net_heal(p.b.host, p.there);
	sim_run_for(p.b.sim, 10 * SIM_S);
	assert_true(done);
	assert_int_equal(op.res, 0);
	stop(&p);
}

/* Sends until the connection is gone or all is sent; whatever happens, bytes are a prefix. */
static void hammer(enum sim_fault fault, uint32_t ppm, uint64_t *ret_fired, unsigned *ret_broken)
{
	*ret_broken = 0;
	*ret_fired = 0;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct pair p;
		start(&p, seed);
		sim_fault_set(p.b.sim, fault, ppm);
		int64_t r = dial(&p, NULL);
		for (unsigned i = 0; r >= 0 && i < 20; i++)
			r = send_bytes(&p, 10000, i * 10000);
		sim_heal(p.b.sim);
		sim_run_for(p.b.sim, 100 * SIM_S);
		if (r >= 0 && !p.sink.ends)
			assert_int_equal(p.sink.got, 200000);
		else
			(*ret_broken)++;
		*ret_fired += sim_fault_fired(p.b.sim, fault);
		stop(&p);
	}
}

static void every_fault_of_the_net_fires(void **state)
{
	static const struct {
		enum sim_fault fault;
		uint32_t ppm;
		bool breaks;
	} kinds[] = {
		{ SIM_NET_RESET, 20000, true },
		{ SIM_NET_REFUSE, 500000, true },
		{ SIM_NET_CONNECT_TIMEOUT, 500000, true },
		{ SIM_NET_SLOW, 200000, false },
		{ SIM_NET_STALL, 20000, false },
		{ SIM_NET_CHUNKS, 900000, false },
		{ SIM_NET_SLOW_READER, 200000, false },
		{ SIM_NET_CUT, 20000, false },
	};
	uint64_t fired;
	unsigned broken;

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		hammer(kinds[i].fault, kinds[i].ppm, &fired, &broken);
		assert_true(fired > 3);
		if (kinds[i].breaks)
			assert_in_range(broken, 3, 19);
		else
			assert_int_equal(broken, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_in_order_and_then_the_end),
		cmocka_unit_test(a_receiver_that_stops_pushes_back),
		cmocka_unit_test(a_receive_op_takes_its_bytes_first),
		cmocka_unit_test(ops_of_a_closed_socket_are_cancelled),
		cmocka_unit_test(nobody_listening_is_refused),
		cmocka_unit_test(a_host_without_power_does_not_answer),
		cmocka_unit_test(listening_twice_is_an_error_with_words),
		cmocka_unit_test(unix_sockets_stay_within_a_host),
		cmocka_unit_test(a_connection_moves_to_another_loop),
		cmocka_unit_test(a_crash_is_told_to_the_peer),
		cmocka_unit_test(a_half_open_peer_is_found_by_sending),
		cmocka_unit_test(power_cut_of_a_peer_is_found_by_patience),
		cmocka_unit_test(keepalive_finds_a_silent_peer),
		cmocka_unit_test(a_one_way_cut_holds_bytes_and_delivers_them_late),
		cmocka_unit_test(what_a_sender_gives_up_comes_late_or_never),
		cmocka_unit_test(a_connect_goes_on_after_a_short_cut),
		cmocka_unit_test(every_fault_of_the_net_fires),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
