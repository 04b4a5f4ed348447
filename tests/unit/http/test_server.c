// SPDX-License-Identifier: Apache-2.0
/* The HTTP server in a simulated world: HT1-HT3. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "http/http.h"
#include "io/io.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "sim/sim.h"
#include "unit/sim_pair.h"

#define PORT		9502
#define BIG		(8u << 20)
#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: a\r\n" more "\r\n"
#define CLOSE		"Connection: close\r\n"

struct world {
	struct mem_heap heap;
	struct sim_host *server_host;
	struct sim_proc *procs[2];
	struct http_server *server;
	struct http_stats stats; /* when it ended */
	void (*body)(struct fiber *f, struct world *w);
	unsigned made;
	bool stop, hold;
	char reply[65536];
};

/* ---- the server ------------------------------------------------------------------------------- */

static int says(struct fiber *f, char **ret_text, size_t *ret_len, size_t len)
{
	*ret_text = mem_new(fiber_io(f), len);
	*ret_len = len;
	if (!*ret_text)
		return -ENOMEM;
	memset(*ret_text, 'x', len);
	return 0;
}

static int small(struct fiber *f, void *ctx, char **ret_text, size_t *ret_len)
{
	((struct world *)ctx)->made++;
	return says(f, ret_text, ret_len, 10);
}

static int big(struct fiber *f, void *ctx, char **ret_text, size_t *ret_len)
{
	(void)ctx;
	return says(f, ret_text, ret_len, BIG);
}

static int slow(struct fiber *f, void *ctx, char **ret_text, size_t *ret_len)
{
	int r = fiber_sleep(f, 3 * SIM_S);

	(void)ctx;
	return r < 0 ? r : says(f, ret_text, ret_len, 10);
}

static int fails(struct fiber *f, void *ctx, char **ret_text, size_t *ret_len)
{
	(void)ctx;
	(void)ret_text;
	(void)ret_len;
	return fiber_fail(f, -EIO, "the disk is wet");
}

static const struct http_route routes[] = {
	{ "/small", "text/x", small },
	{ "/big", "text/x", big },
	{ "/slow", "text/x", slow },
	{ "/fails", "text/x", fails },
};

static int server_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct io_addr addr;

	sim_host_addr(w->server_host, PORT, &addr);
	must(http_server_new(f, routes, ARRAY_LEN(routes), w, &w->server) == 0);
	must(http_server_listen(f, w->server, &addr, NULL) == 0);
	while (!w->stop)
		must(fiber_sleep(f, 5 * SIM_MS) == 0);
	http_server_stats(w->server, &w->stats);
	http_server_free(f, w->server);
	return 0;
}

/* ---- the client ----------------------------------------------------------------------------------- */

static int client_main(struct fiber *f, void *arg)
{
	struct world *w = arg;

	must(fiber_sleep(f, 10 * SIM_MS) == 0);
	w->body(f, w);
	w->stop = true;
	return 0;
}

static struct io_sock *dial(struct fiber *f, struct world *w)
{
	struct io_sock *sock;
	struct io_addr addr;

	sim_host_addr(w->server_host, PORT, &addr);
	assert_int_equal(fiber_connect(f, &addr, NULL, &sock), 0);
	return sock;
}

static void say(struct fiber *f, struct io_sock *sock, const char *text)
{
	assert_int_equal(fiber_send(f, sock, text, strlen(text)), 0);
}

/* Until the server closes; returns the first status, 0 if nothing came. */
static int hear(struct fiber *f, struct world *w, struct io_sock *sock)
{
	int64_t got = fiber_recv(f, sock, w->reply, sizeof(w->reply) - 1);

	fiber_clear(f);
	w->reply[got > 0 ? got : 0] = 0;
	io_sock_close(sock);
	return got > 0 ? atoi(w->reply + sizeof("HTTP/1.1 ") - 1) : 0;
}

static int ask(struct fiber *f, struct world *w, const char *text)
{
	struct io_sock *sock = dial(f, w);

	say(f, sock, text);
	return hear(f, w, sock);
}

static struct http_stats run(void (*body)(struct fiber *f, struct world *w))
{
	static struct world world;
	struct world *w = &world;
	struct sim_proc_opts server = { .name = "server", .main = server_main, .arg = w },
			     client = { .name = "client", .main = client_main, .arg = w };
	struct sim *sim;

	memset(w, 0, sizeof(*w));
	mem_heap_init(&w->heap);
	w->body = body;
	sim = sim_new(&(struct sim_opts){ .seed = 1, .mem = &w->heap.mem });
	w->server_host = sim_host_add(sim, "server");
	w->procs[0] = sim_proc_add(w->server_host, &server);
	w->procs[1] = sim_proc_add(sim_host_add(sim, "client"), &client);
	sim_pair_run(sim, w->procs[0], w->procs[1], 3600 * SIM_S);
	sim_free(sim);
	mem_heap_fini(&w->heap);
	return w->stats;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void answers(struct fiber *f, struct world *w)
{
	assert_int_equal(ask(f, w, GET("/small", CLOSE)), 200);
	assert_string_equal(w->reply,
			    "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 10\r\n"
			    "Connection: close\r\n\r\nxxxxxxxxxx");
	assert_int_equal(ask(f, w, "HEAD /small HTTP/1.0\r\n\r\n"), 200);
	assert_string_equal(w->reply,
			    "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 10\r\n"
			    "Connection: close\r\n\r\n");
	assert_int_equal(ask(f, w, GET("/small", "") GET("/nobody", "") GET("/small", CLOSE)), 200);
	assert_non_null(strstr(w->reply, "xHTTP/1.1 404 Not Found\r\n"));
	assert_non_null(strstr(w->reply, "\nHTTP/1.1 200 OK\r\n"));
	assert_int_equal(w->made, 4);
}

static void requests_are_answered_in_order(void **state)
{
	struct http_stats stats = run(answers);

	(void)state;
	assert_int_equal(stats.requests, 5);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.conns_now + stats.busy_now, 0);
}

static void refuses(struct fiber *f, struct world *w)
{
	static char lengthy[HTTP_HEAD_MAX + 200];

	assert_int_equal(ask(f, w, "GRUESS GOTT\r\n\r\n"), 400);
	assert_int_equal(ask(f, w, GET("/", CLOSE)), 404);
	assert_int_equal(ask(f, w, "PUT /small HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n"), 405);
	assert_non_null(strstr(w->reply, "\r\nAllow: GET, HEAD\r\n"));
	assert_int_equal(ask(f, w,
			     "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"),
			 405); /* and closed: its body is not read */
	assert_int_equal(ask(f, w, "GET /small HTTP/3.0\r\nHost: a\r\n\r\n"), 505);
	assert_int_equal(ask(f, w, GET("/fails", CLOSE)), 500);
	assert_non_null(strstr(w->reply, "the disk is wet"));
	snprintf(lengthy, sizeof(lengthy), "GET /small HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n",
		 (int)HTTP_HEAD_MAX, 1);
	assert_int_equal(ask(f, w, lengthy), 431);
	snprintf(lengthy, sizeof(lengthy), "GET /%0*d HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n",
		 (int)HTTP_PATH_MAX, 1);
	assert_int_equal(ask(f, w, lengthy), 414);
	snprintf(lengthy, sizeof(lengthy),
		 "GET /small HTTP/1.1\r\nHost: a\r\n" CLOSE "X: %0*d\r\n\r\n",
		 (int)HTTP_HEAD_MAX - 70, 1);
	assert_int_equal(ask(f, w, lengthy), 200);
}

static void what_is_wrong_is_said(void **state)
{
	struct http_stats stats = run(refuses);

	(void)state;
	assert_int_equal(stats.refused, 8);
}

static void dawdles(struct fiber *f, struct world *w)
{
	const uint64_t start_ns = io_now(fiber_io(f));
	struct io_sock *sock = dial(f, w);

	for (const char *at = GET("/small", CLOSE); *at; at++) {
		assert_int_equal(fiber_send(f, sock, at, 1), 0);
		assert_int_equal(fiber_sleep(f, 20 * SIM_MS), 0);
	}
	assert_int_equal(hear(f, w, sock), 200); /* slow, but in time */
	sock = dial(f, w);
	say(f, sock, "GET /sma");
	assert_int_equal(hear(f, w, sock), 408);
	assert_true(io_now(fiber_io(f)) - start_ns < HTTP_REQUEST_NS + 5 * SIM_S);
	sock = dial(f, w);
	assert_int_equal(hear(f, w, sock), 0); /* nothing was asked: nothing is said */
	assert_true(io_now(fiber_io(f)) - start_ns > HTTP_IDLE_NS);
}

static void a_request_must_come_in_time(void **state)
{
	struct http_stats stats = run(dawdles);

	(void)state;
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.conns_now, 0);
}

static void crowds(struct fiber *f, struct world *w)
{
	struct io_sock *socks[HTTP_CONNS_MAX], *more;

	for (unsigned i = 0; i < HTTP_CONNS_MAX; i++) {
		socks[i] = dial(f, w);
		say(f, socks[i], i < 2 ? GET("/small", "") : "GET");
		assert_int_equal(fiber_sleep(f, 20 * SIM_MS), 0);
	}
	say(f, socks[0], GET("/small", "")); /* so that the second is idle longer */
	assert_int_equal(fiber_sleep(f, 20 * SIM_MS), 0);
	assert_int_equal(ask(f, w, GET("/small", CLOSE)), 200);
	assert_int_equal(hear(f, w, socks[1]), 200); /* and closed */
	more = dial(f, w);
	say(f, more, "GET");
	assert_int_equal(fiber_sleep(f, 20 * SIM_MS), 0);
	assert_int_equal(ask(f, w, GET("/small", CLOSE)), 200); /* the first made room */
	assert_int_equal(hear(f, w, socks[0]), 200);
	socks[1] = dial(f, w);
	say(f, socks[1], "GET");
	assert_int_equal(fiber_sleep(f, 20 * SIM_MS), 0);
	assert_int_equal(ask(f, w, GET("/small", CLOSE)), 0); /* nobody is idle */
	io_sock_close(more);
	for (unsigned i = 1; i < HTTP_CONNS_MAX; i++)
		io_sock_close(socks[i]);
}

static void at_the_limit_the_idle_make_room(void **state)
{
	struct http_stats stats = run(crowds);

	(void)state;
	assert_int_equal(stats.conns_refused, 1);
}

static void presses(struct fiber *f, struct world *w)
{
	struct io_sock *socks[HTTP_BUSY_MAX];

	for (unsigned i = 0; i < HTTP_BUSY_MAX; i++) {
		socks[i] = dial(f, w);
		say(f, socks[i], GET("/slow", CLOSE));
	}
	assert_int_equal(fiber_sleep(f, 20 * SIM_MS), 0);
	assert_int_equal(ask(f, w, GET("/small", CLOSE)), 503);
	for (unsigned i = 0; i < HTTP_BUSY_MAX; i++)
		assert_int_equal(hear(f, w, socks[i]), 200);
	assert_int_equal(ask(f, w, GET("/small", CLOSE)), 200);
}

static void so_many_are_answered_at_a_time(void **state)
{
	struct http_stats stats = run(presses);

	(void)state;
	assert_int_equal(stats.busy_now, 0);
}

static void does_not_read(struct fiber *f, struct world *w)
{
	struct io_sock *sock = dial(f, w);

	say(f, sock, GET("/big", ""));
	assert_int_equal(fiber_sleep(f, HTTP_SEND_NS - 5 * SIM_S), 0);
	http_server_stats(w->server, &w->stats);
	assert_int_equal(w->stats.busy_now, 1);
	assert_int_equal(fiber_sleep(f, 10 * SIM_S), 0);
	http_server_stats(w->server, &w->stats);
	assert_int_equal(w->stats.conns_now + w->stats.busy_now, 0);
	io_sock_close(sock);
}

static void who_does_not_read_is_dropped(void **state)
{
	struct http_stats stats = run(does_not_read);

	(void)state;
	assert_int_equal(stats.conns, 1);
	assert_int_equal(stats.conns_now + stats.busy_now, 0);
}

/* Of an answer, or 0: the connection ended without. */
static int ask_starving(struct fiber *f, struct world *w)
{
	struct io_sock *sock = dial(f, w);
	const char *text = GET("/small", CLOSE);
	int r = fiber_send(f, sock, text, strlen(text));

	fiber_clear(f);
	if (r == 0)
		return hear(f, w, sock);
	io_sock_close(sock);
	return 0;
}

static void starves(struct fiber *f, struct world *w)
{
	unsigned failed = 0, good = 0;

	for (uint64_t n = 1; n < 100 && good < 5; n++) {
		int status;

		sim_proc_fail_alloc(w->procs[0], n);
		status = ask_starving(f, w);
		sim_proc_fail_alloc(w->procs[0], 0);
		assert_true(status == 0 || status == 200 || status == 500);
		good = status == 200 ? good + 1 : 0;
		failed += status != 200;
	}
	assert_true(failed >= 2 && good == 5);
	assert_int_equal(ask(f, w, GET("/small", CLOSE)), 200);
}

static void the_failure_of_any_allocation_is_borne(void **state)
{
	struct http_stats stats = run(starves);

	(void)state;
	assert_int_equal(stats.conns_now + stats.busy_now, 0);
}

/* The server ends amid all of them; its memory is looked at by the simulator. */
static void leaves(struct fiber *f, struct world *w)
{
	struct io_sock *idle = dial(f, w), *part = dial(f, w), *slow_one = dial(f, w),
		       *full = dial(f, w), *refused = dial(f, w);

	say(f, part, "GET");
	say(f, slow_one, GET("/slow", ""));
	say(f, full, GET("/big", ""));
	say(f, refused, "GRUESS GOTT\r\n\r\n");
	assert_int_equal(fiber_sleep(f, 50 * SIM_MS), 0);
	w->stop = true;
	assert_int_equal(hear(f, w, idle), 0);
	assert_int_equal(hear(f, w, part), 0);
	io_sock_close(slow_one);
	io_sock_close(full);
	io_sock_close(refused);
}

static void a_server_ends_amid_its_connections(void **state)
{
	struct http_stats stats = run(leaves);

	(void)state;
	assert_int_equal(stats.conns, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_answered_in_order),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_request_must_come_in_time),
		cmocka_unit_test(at_the_limit_the_idle_make_room),
		cmocka_unit_test(so_many_are_answered_at_a_time),
		cmocka_unit_test(who_does_not_read_is_dropped),
		cmocka_unit_test(the_failure_of_any_allocation_is_borne),
		cmocka_unit_test(a_server_ends_amid_its_connections),
	};

	return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
