// SPDX-License-Identifier: Apache-2.0
/* Connections: making, naming, moving, closing, limits. The bytes are test_stream.c's. */
#include "pair.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>

static void echo(struct world *w, const char *address)
{
	struct pair p;
	struct io_addr peer;
	char buf[16] = { 0 };

	pair_open(w, &p, address, NULL);
	assert_int_equal(sock_send(w, p.a, "hello", 5), 5);
	assert_int_equal(sock_recv(w, p.b, buf, 5), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(sock_send(w, p.b, "world!", 6), 6);
	assert_int_equal(sock_recv(w, p.a, buf, 6), 6);
	assert_string_equal(buf, "world!");
	io_sock_peer(p.a, &peer);
	struct io_addr own;
	io_listener_addr(p.listener, &own);
	if (own.family != AF_UNIX)
		assert_true(io_addr_equal(&peer, &own));
	io_sock_peer(p.b, &peer);
	io_sock_local(p.a, &own);
	if (own.family != AF_UNIX)
		assert_true(io_addr_equal(&peer, &own));
	pair_close(&p);
}

static void bytes_go_both_ways_over_every_family(void **state)
{
	struct world *w = *state;
	char path[128], address[140];

	echo(w, "127.0.0.1:0");
	snprintf(address, sizeof(address), "unix:%s", world_path(w, "sock", path));
	echo(w, address);
	assert_int_equal(access(path, F_OK), -1); /* removed by its listener */
	echo(w, "unix:@test_io_abstract");
}

static void bytes_go_over_ipv6(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 lo = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	if (fd < 0 || bind(fd, (struct sockaddr *)&lo, sizeof(lo)) < 0) {
		print_message("skip: no IPv6 loopback here\n");
		skip();
	}
	close(fd);
	echo(*state, "[::1]:0");
}

static void options_reach_the_sockets(void **state)
{
	struct world *w = *state;
	struct io_sock_opts opts = { .keepalive_s = 33,
				     .user_timeout_ms = 4444,
				     .rcvbuf_bytes = 100000,
				     .sndbuf_bytes = 90000,
				     .nagle = true };
	struct pair p;
	struct io_sock_token token;
	int v;
	socklen_t len = sizeof(v);

	for (int i = 0; i < 4; i++) {
		opts.nagle = i & 1;
		pair_open(w, &p, "127.0.0.1:0", &opts);
		struct io_sock **end = i < 2 ? &p.a : &p.b;
		assert_int_equal(io_sock_detach(*end, &token), 0);
		int fd = (int)token.handle;
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
		assert_int_equal(!v, opts.nagle);
		getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len);
		assert_int_equal(v, 33);
		getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &len);
		assert_int_equal(v, 4444);
		getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, &len);
		assert_int_equal(v, 200000);
		getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, &len);
		assert_int_equal(v, 180000);
		assert_int_equal(io_sock_adopt(w->io, &token, end), 0);
		pair_close(&p);
	}
}

static void accept_none(void *ctx, int res, struct io_sock *sock)
{
	fail();
}

static int try_listen(struct world *w, const char *text, const struct io_sock_opts *opts,
		      struct err *err)
{
	struct io_listener *l;
	struct io_addr addr = { .family = 77 };

	if (text)
		assert_int_equal(io_addr_parse(text, &addr, err), 0);
	int r = io_listen(w->io, &addr, opts, accept_none, NULL, &l, err);
	if (r == 0)
		io_listener_close(l);
	return r;
}

static void listening_where_it_cannot_be_says_why(void **state)
{
	struct world *w = *state;
	struct io_sock_opts bad = { .keepalive_s = 1000000 };
	struct err err = { 0 };
	struct pair p;
	struct io_addr addr;
	char text[IO_ADDR_TEXT_MAX];

	pair_open(w, &p, "127.0.0.1:0", NULL);
	io_listener_addr(p.listener, &addr);
	assert_int_equal(try_listen(w, io_addr_print(&addr, text), NULL, &err), -EADDRINUSE);
	assert_non_null(strstr(err_words(&err), text));
	pair_close(&p);
	assert_int_equal(try_listen(w, text, NULL, &err), 0); /* free at once */
	assert_int_equal(try_listen(w, "192.0.2.1:1", NULL, &err), -EADDRNOTAVAIL);
	assert_int_equal(try_listen(w, "unix:/nowhere/at/all", NULL, &err), -ENOENT);
	assert_int_equal(try_listen(w, NULL, NULL, &err), -EAFNOSUPPORT);
	assert_int_equal(try_listen(w, "127.0.0.1:0", &bad, &err), -EINVAL);
}

static void a_stale_unix_path_is_replaced_a_live_one_is_not(void **state)
{
	struct world *w = *state;
	char path[128], text[140];
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct err err = { 0 };

	snprintf(text, sizeof(text), "unix:%s", world_path(w, "s", path));
	strcpy(un.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(try_listen(w, text, NULL, &err), -EADDRINUSE);
	close(fd);
	assert_int_equal(try_listen(w, text, NULL, &err), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600); /* a file of somebody */
	close(fd);
	assert_int_equal(try_listen(w, text, NULL, &err), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
}

static int64_t try_connect(struct world *w, const struct io_addr *addr,
			   const struct io_sock_opts *opts)
{
	struct io_sock *sock = NULL;
	struct io_op op;

	io_prep_connect(&op, addr, opts, &sock, op_done);
	int64_t res = op_wait(w, &op);
	assert_true(res < 0);
	assert_null(sock);
	return res;
}

static void connecting_where_nobody_listens_is_refused(void **state)
{
	struct world *w = *state;
	struct io_sock_opts bad = { .keepalive_s = 1000000 };
	struct io_addr addr = { .family = AF_INET, .port = 1, .ip = { 127, 0, 0, 1 } };

	assert_int_equal(try_connect(w, &addr, NULL), -ECONNREFUSED);
	assert_int_equal(try_connect(w, &addr, &bad), -EINVAL);
	addr.family = 0;
	assert_int_equal(try_connect(w, &addr, NULL), -EINVAL);
	addr = (struct io_addr){ .family = AF_UNIX };
	assert_int_equal(try_connect(w, &addr, NULL), -EINVAL);
	strcpy(addr.path, "/nowhere/at/all");
	assert_int_equal(try_connect(w, &addr, NULL), -ENOENT);
}

static void a_connect_in_flight_can_be_cancelled(void **state)
{
	struct world *w = *state;
	struct io_addr addr = { .family = AF_UNIX };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct io_sock *socks[4] = { NULL };
	struct io_op ops[4];
	bool done[4] = { false };
	char path[128];
	unsigned cancelled = 0;

	strcpy(addr.path, world_path(w, "s", path));
	strcpy(un.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0); /* never accepts: its backlog fills */
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 0), 0);
	for (int i = 0; i < 4; i++) {
		io_prep_connect(&ops[i], &addr, NULL, &socks[i], op_done);
		ops[i].owner = &done[i];
		io_submit(w->io, &ops[i]);
	}
	world_turn_for(w, 20000000);
	for (int i = 0; i < 4; i++) {
		io_cancel(w->io, &ops[i]);
		world_turn_until(w, &done[i]);
		cancelled += ops[i].res == -ECANCELED;
		assert_int_equal(ops[i].res == 0, socks[i] != NULL);
		if (socks[i])
			io_sock_close(socks[i]);
	}
	assert_true(cancelled >= 1);
	close(fd);
}

/* ---- ends -------------------------------------------------------------------- */

static void shutdown_is_an_end_of_stream_for_the_peer(void **state)
{
	struct world *w = *state;
	struct pair p;
	struct sink sink = { 0 };
	char buf[8];

	pair_open(w, &p, "127.0.0.1:0", NULL);
	assert_int_equal(sock_send(w, p.a, "abc", 3), 3);
	io_sock_shutdown(p.a);
	io_recv_start(p.b, sink_fn, &sink);
	world_turn_until(w, &sink.ended);
	assert_int_equal(sink.end, 0);
	assert_int_equal(sink.len, 3);
	assert_int_equal(sock_recv(w, p.b, buf, 8), 0);	    /* and stays so */
	assert_int_equal(sock_send(w, p.b, "still", 5), 5); /* the other way is open */
	assert_int_equal(sock_recv(w, p.a, buf, 5), 5);
	assert_int_equal(sock_send(w, p.a, "x", 1), -EPIPE);
	sink_free(&sink);
	pair_close(&p);
}

static void a_reset_is_an_error_for_the_peer(void **state)
{
	struct world *w = *state;
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct io_sock_token token;
	struct sink sink = { 0 };
	struct pair p;
	char buf[8];

	pair_open(w, &p, "127.0.0.1:0", NULL);
	io_recv_start(p.b, sink_fn, &sink);
	world_turn_for(w, 1000000);
	assert_int_equal(io_sock_detach(p.a, &token), 0);
	p.a = NULL;
	setsockopt((int)token.handle, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close((int)token.handle);
	world_turn_until(w, &sink.ended);
	assert_int_equal(sink.end, -ECONNRESET);
	assert_int_equal(sock_recv(w, p.b, buf, 8), -ECONNRESET);
	assert_int_equal(sock_send(w, p.b, "x", 1), -EPIPE);
	sink_free(&sink);
	pair_close(&p);
}

static void closing_completes_what_is_in_flight(void **state)
{
	struct world *w = *state;
	static uint8_t big[8 << 20];
	struct iovec big_iov = { big, sizeof(big) }, small_iov = { big, 100 };
	struct io_op send, recv;
	struct sink sink = { 0 };

	for (int fed = 0; fed < 2; fed++) {
		struct pair p;
		bool sent = false, received = false;

		pair_open(w, &p, "127.0.0.1:0", NULL);
		if (fed) {
			io_recv_start(p.a, sink_fn, &sink);
			world_turn_for(w, 1000000);
		}
		io_prep_send(&send, p.a, &big_iov, 1, 0, op_done);
		send.owner = &sent;
		io_submit(w->io, &send);
		io_prep_recv(&recv, p.a, &small_iov, 1, op_done);
		recv.owner = &received;
		io_submit(w->io, &recv);
		world_turn_for(w, 5000000);
		assert_false(sent || received);
		io_sock_close(p.a);
		p.a = NULL;
		assert_false(sent || received);
		world_turn_until(w, &sent);
		world_turn_until(w, &received);
		assert_int_equal(send.res, -ECANCELED);
		assert_int_equal(recv.res, -ECANCELED);
		assert_int_equal(sink.calls, 0);
		pair_close(&p);
	}
}

/* IO5: bytes are there already when the socket is closed or stopped, in the same turn. */
static void nothing_is_called_after_close(void **state)
{
	struct world *w = *state;
	struct sink sink = { 0 };
	struct pair p;

	for (int stop = 0; stop < 2; stop++) {
		pair_open(w, &p, "127.0.0.1:0", NULL);
		io_recv_start(p.b, sink_fn, &sink);
		world_turn_for(w, 1000000);
		assert_int_equal(sock_send(w, p.a, "abc", 3), 3);
		usleep(10000);
		sink.calls = 0;
		if (stop) {
			io_recv_stop(p.b);
		} else {
			io_sock_close(p.b);
			p.b = NULL;
		}
		world_turn_for(w, 10000000);
		assert_int_equal(sink.calls, 0);
		pair_close(&p);
	}
	sink_free(&sink);
}

struct closer {
	struct io_sock *sock;
	unsigned calls;
};

static void close_fn(void *ctx, const uint8_t *data, ssize_t len)
{
	struct closer *c = ctx;

	c->calls++;
	io_sock_close(c->sock);
}

static void a_socket_may_be_closed_from_its_own_function(void **state)
{
	struct world *w = *state;
	struct pair p;

	for (int at_end = 0; at_end < 2; at_end++) {
		pair_open(w, &p, "127.0.0.1:0", NULL);
		struct closer c = { .sock = p.b };
		io_recv_start(p.b, close_fn, &c);
		if (!at_end)
			assert_int_equal(sock_send(w, p.a, "abc", 3), 3);
		io_sock_shutdown(p.a);
		world_turn_for(w, 10000000);
		assert_int_equal(c.calls, 1);
		p.b = NULL;
		pair_close(&p);
	}
}

/* ---- many --------------------------------------------------------------------- */

struct crowd {
	struct io_sock *socks[1000];
	unsigned count;
};

static void crowd_accept(void *ctx, int res, struct io_sock *sock)
{
	struct crowd *c = ctx;

	assert_int_equal(res, 0);
	assert_true(c->count < ARRAY_LEN(c->socks));
	c->socks[c->count++] = sock;
}

static void ten_thousand_connections_leave_nothing_behind(void **state)
{
	enum { BATCH = 1000, BATCHES = 10 };
	static struct crowd c;
	static struct io_sock *mine[BATCH];
	static struct io_op ops[BATCH];
	static bool done[BATCH];
	struct world *w = *state;
	struct io_listener *l;
	struct io_addr addr;
	struct err err = { 0 };
	struct rlimit limit;
	struct sink sink = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * BATCH + 100) {
		limit.rlim_cur = min_u64(limit.rlim_max, 2 * BATCH + 100);
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < 2 * BATCH + 100) {
			print_message("skip: RLIMIT_NOFILE is too low\n");
			skip();
		}
	}
	assert_int_equal(io_addr_parse("127.0.0.1:0", &addr, &err), 0);
	assert_int_equal(io_listen(w->io, &addr, NULL, crowd_accept, &c, &l, &err), 0);
	io_listener_addr(l, &addr);
	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t blocks = w->heap.blocks;

		c.count = 0;
		memset(done, 0, sizeof(done));
		for (int i = 0; i < BATCH; i++) {
			io_prep_connect(&ops[i], &addr, NULL, &mine[i], op_done);
			ops[i].owner = &done[i];
			io_submit(w->io, &ops[i]);
		}
		for (int i = 0; i < BATCH; i++) {
			world_turn_until(w, &done[i]);
			assert_int_equal(ops[i].res, 0);
		}
		while (c.count < BATCH)
			io_turn(w->io, io_now(w->io) + WORLD_PATIENCE_NS);
		for (int i = 0; i < BATCH; i++) {
			if (i % 2)
				io_recv_start(c.socks[i], sink_fn, &sink);
			if (i % 50 == 0)
				io_turn(w->io, 0);
		}
		for (int i = 0; i < BATCH; i++) {
			io_sock_close(c.socks[i]);
			io_sock_close(mine[i]);
		}
		for (int i = 0; w->heap.blocks > blocks && i < 1000; i++)
			io_turn(w->io, io_now(w->io) + 10000000);
		assert_int_equal(w->heap.blocks, blocks);
	}
	io_listener_close(l);
	sink_free(&sink);
}

static unsigned accepted;

static void accept_and_close(void *ctx, int res, struct io_sock *sock)
{
	assert_int_equal(res, 0);
	accepted++;
	io_sock_close(sock);
}

/* Without free descriptors connections wait in the backlog, and the loop does not spin. */
static void accepting_pauses_without_files(void **state)
{
	struct world *w = *state;
	struct io_listener *l;
	struct io_addr addr;
	struct err err = { 0 };
	struct io_stats before, after;
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct rlimit limit, low;

	assert_int_equal(io_addr_parse("127.0.0.1:0", &addr, &err), 0);
	assert_int_equal(io_listen(w->io, &addr, NULL, accept_and_close, NULL, &l, &err), 0);
	io_listener_addr(l, &addr);
	in.sin_port = htons(addr.port);
	memcpy(&in.sin_addr, addr.ip, 4);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = (rlim_t)fd + 1;
	accepted = 0;
	setrlimit(RLIMIT_NOFILE, &low);
	io_turn(w->io, 0); /* the kernel takes the limit when the accept is armed */
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	io_stats(w->io, &before);
	world_turn_for(w, 100000000);
	io_stats(w->io, &after);
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(accepted, 0);
	assert_true(after.turns - before.turns < 50);
	for (int i = 0; i < 100 && !accepted; i++)
		io_turn(w->io, io_now(w->io) + 100000000);
	assert_int_equal(accepted, 1);
	/* closed while it pauses */
	io_listener_close(l);
	world_turn_for(w, 2000000);
	close(fd);
	assert_int_equal(io_listen(w->io, &addr, NULL, accept_and_close, NULL, &l, &err), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	low.rlim_cur = (rlim_t)fd + 1;
	setrlimit(RLIMIT_NOFILE, &low);
	io_turn(w->io, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	world_turn_for(w, 2000000);
	io_listener_close(l);
	setrlimit(RLIMIT_NOFILE, &limit);
	world_turn_for(w, 2000000);
	close(fd);
	assert_int_equal(accepted, 1);
}

/* The peer sees a closed connection; the next one is accepted. */
static void a_connection_without_memory_is_closed(void **state)
{
	struct world *w = *state;
	struct io_listener *l;
	struct io_addr addr;
	struct err err = { 0 };
	struct io_sock *sock;
	struct io_op op;
	char byte;

	assert_int_equal(io_addr_parse("127.0.0.1:0", &addr, &err), 0);
	w->heap.fail_at = w->heap.allocs + 1;
	assert_int_equal(io_listen(w->io, &addr, NULL, accept_and_close, NULL, &l, &err), -ENOMEM);
	assert_int_equal(io_listen(w->io, &addr, NULL, accept_and_close, NULL, &l, &err), 0);
	io_listener_addr(l, &addr);
	accepted = 0;
	w->heap.fail_at = w->heap.allocs + 2; /* ours is the first */
	for (unsigned i = 0; i < 2; i++) {
		io_prep_connect(&op, &addr, NULL, &sock, op_done);
		assert_int_equal(op_wait(w, &op), 0);
		assert_true(sock_recv(w, sock, &byte, 1) <= 0);
		io_sock_close(sock);
		assert_int_equal(accepted, i);
	}
	io_listener_close(l);
}

/* ---- moving -------------------------------------------------------------------- */

static void a_connection_moves_to_another_ring(void **state)
{
	struct world *w = *state;
	struct world other;
	struct io_sock_token token;
	struct pair p;
	struct sink sink = { 0 };
	char buf[8] = { 0 };

	world_init(&other, NULL);
	for (int armed = 0; armed < 3; armed++) {
		pair_open(w, &p, "127.0.0.1:0", NULL);
		if (armed) {
			io_recv_start(p.b, sink_fn, &sink);
			assert_int_equal(io_sock_detach(p.b, &token), -EBUSY); /* receiving */
			if (armed == 2)
				world_turn_for(w, 1000000);
			io_recv_stop(p.b);
		}
		if (armed != 1)
			assert_int_equal(sock_send(w, p.a, "abc", 3), 3);
		usleep(1000);
		int r = io_sock_detach(p.b, &token);
		if (armed == 2 &&
		    r == -EBUSY) { /* the bytes are here already: they must be read here */
			assert_int_equal(sock_recv(w, p.b, buf, 3), 3);
			for (int i = 0; r == -EBUSY && i < 100; i++) {
				io_turn(w->io, io_now(w->io) + 1000000);
				r = io_sock_detach(p.b, &token);
			}
		} else if (armed == 1) {
			assert_int_equal(sock_send(w, p.a, "abc", 3), 3);
		}
		assert_int_equal(r, 0);
		assert_int_equal(token.peer.family, AF_INET);
		assert_int_equal(io_sock_adopt(other.io, &token, &p.b), 0);
		if (armed != 2)
			assert_int_equal(sock_recv(&other, p.b, buf, 3), 3);
		assert_string_equal(buf, "abc");
		assert_int_equal(sock_send(&other, p.b, "xyz", 3), 3);
		assert_int_equal(sock_recv(w, p.a, buf, 3), 3);
		assert_string_equal(buf, "xyz");
		assert_int_equal(sink.calls, 0);
		pair_close(&p);
	}
	world_fini(&other);
}

static void a_busy_connection_stays(void **state)
{
	struct world *w = *state;
	static uint8_t big[8 << 20];
	struct iovec iov = { big, sizeof(big) };
	struct io_sock_token token;
	struct io_op op;
	struct pair p;
	bool done = false;

	pair_open(w, &p, "127.0.0.1:0", NULL);
	io_prep_send(&op, p.a, &iov, 1, 0, op_done);
	op.owner = &done;
	io_submit(w->io, &op);
	assert_int_equal(io_sock_detach(p.a, &token), -EBUSY);
	io_cancel(w->io, &op);
	world_turn_until(w, &done);
	assert_int_equal(op.res, -ECANCELED);
	done = false;
	io_prep_recv(&op, p.a, &iov, 1, op_done);
	io_submit(w->io, &op);
	assert_int_equal(io_sock_detach(p.a, &token), -EBUSY);
	io_cancel(w->io, &op);
	world_turn_until(w, &done);
	pair_close(&p);
}

/* ---- names --------------------------------------------------------------------- */

static void names_are_resolved_off_the_loop(void **state)
{
	struct world *w = *state;
	struct io_addr addrs[8];
	struct io_op op;
	char text[IO_ADDR_TEXT_MAX];
	struct addrinfo *found = NULL;
	bool is_known = getaddrinfo("localhost", NULL, NULL, &found) == 0; /* not without /etc/hosts */

	if (is_known)
		freeaddrinfo(found);
	io_prep_resolve(&op, "127.0.0.1", 80, addrs, 8, op_done);
	assert_int_equal(op_wait(w, &op), 1);
	assert_string_equal(io_addr_print(&addrs[0], text), "127.0.0.1:80");
	io_prep_resolve(&op, "::1", 8420, addrs, 8, op_done);
	assert_int_equal(op_wait(w, &op), 1);
	assert_string_equal(io_addr_print(&addrs[0], text), "[::1]:8420");
	io_prep_resolve(&op, "localhost", 1, addrs, 1, op_done);
	assert_int_equal(op_wait(w, &op) == 1, is_known);
	io_prep_resolve(&op, "no such host", 1, addrs, 8, op_done);
	assert_true(op_wait(w, &op) < 0);
	io_prep_resolve(&op, "", 1, addrs, 8, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_prep_resolve(&op, "127.0.0.1", 1, addrs, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
	const struct CMUnitTest tests[] = {
		T(bytes_go_both_ways_over_every_family),
		T(bytes_go_over_ipv6),
		T(options_reach_the_sockets),
		T(listening_where_it_cannot_be_says_why),
		T(a_stale_unix_path_is_replaced_a_live_one_is_not),
		T(connecting_where_nobody_listens_is_refused),
		T(a_connect_in_flight_can_be_cancelled),
		T(shutdown_is_an_end_of_stream_for_the_peer),
		T(a_reset_is_an_error_for_the_peer),
		T(closing_completes_what_is_in_flight),
		T(nothing_is_called_after_close),
		T(a_socket_may_be_closed_from_its_own_function),
		T(ten_thousand_connections_leave_nothing_behind),
		T(accepting_pauses_without_files),
		T(a_connection_without_memory_is_closed),
		T(a_connection_moves_to_another_ring),
		T(a_busy_connection_stays),
		T(names_are_resolved_off_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
