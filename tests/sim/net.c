/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net - streams between hosts under every fault of the net, of processes and of clocks.
 *
 * A server on host 0 echoes messages, on several reactors: half of its connections move to
 * another one. Clients on other hosts (and one on its own, by a Unix socket) connect, send a
 * number of messages, shut down, and read the echo meanwhile. Messages know their connection
 * and their number and have a checksum.
 *
 * NS1. What arrives on a connection is a prefix of what was sent on it, in order.
 * NS2. It is all of it if nothing has failed.
 * NS3. After the heal each client completes an exchange, everything ends, and nothing leaks.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"
#include "scenario.h"

#define NET_MAGIC	 UINT64_C(0x6f68636574656e)
#define NET_PORT	 8420
#define NET_PAYLOAD_MAX	 20000u
#define NET_MESSAGES_MAX 12u
#define NET_FIBERS_MAX	 3u
#define NET_CLIENTS_MAX	 3u
#define NET_END_NS	 (7200 * SIM_S)

static const struct io_sock_opts net_opts = { .keepalive_s = 5, .user_timeout_ms = 10000 };

struct world {
	struct sim *sim;
	struct sim_proc *server, *clients[NET_CLIENTS_MAX + 1];
	unsigned client_count, fibers, server_reactors;
	uint64_t conns; /* serials given out */
	bool healed, stop;
	unsigned good; /* exchanges completed after the heal */
};

struct message {
	uint64_t magic, conn, number;
	uint32_t len, crc; /* of the payload */
	uint8_t payload[NET_PAYLOAD_MAX];
};

#define HEAD_BYTES offsetof(struct message, payload)

static void message_fill(struct message *m, uint64_t conn, uint64_t number, uint32_t len)
{
	m->magic = NET_MAGIC;
	m->conn = conn;
	m->number = number;
	m->len = len;
	for (uint32_t i = 0; i < len; i++)
		m->payload[i] = (uint8_t)(conn * 31 + number * 7 + i);
	m->crc = crc32c(0, m->payload, len);
}

/* The next message: 1; 0: the stream has ended, also within one; < 0: an error. NS1. */
static int message_recv(struct fiber *f, struct world *w, struct io_sock *sock, struct message *m,
			uint64_t *conn, uint64_t number)
{
	int64_t r = fiber_recv(f, sock, m, HEAD_BYTES);

	if (r < (int64_t)HEAD_BYTES)
		return r < 0 ? (int)r : 0;
	*conn = *conn ? *conn : m->conn;
	if (m->magic != NET_MAGIC || m->conn != *conn || m->number != number ||
	    m->len > NET_PAYLOAD_MAX) {
		sim_fail(w->sim, "connection %llu: message %llu came where %llu was expected",
			 (unsigned long long)*conn, (unsigned long long)m->number,
			 (unsigned long long)number);
		return -EBADMSG;
	}
	r = fiber_recv(f, sock, m->payload, m->len);
	if (r < (int64_t)m->len)
		return r < 0 ? (int)r : 0;
	if (crc32c(0, m->payload, m->len) != m->crc) {
		sim_fail(w->sim, "connection %llu: message %llu is damaged",
			 (unsigned long long)*conn, (unsigned long long)number);
		return -EBADMSG;
	}
	return 1;
}

/* ---- the server ---------------------------------------------------------------------- */

struct server {
	struct world *w;
	struct reactor *reactor;
	struct sema done; /* connections that have ended */
	unsigned conns, turn;
};

struct server_conn {
	struct server *server;
	struct io_sock *sock;
	struct io_sock_token token;
	bool moved;
};

static int server_echo(struct fiber *f, void *arg)
{
	struct server_conn *conn = arg;
	struct world *w = conn->server->w;
	struct message *m = mem_new(fiber_io(f), sizeof(*m));
	uint64_t serial = 0, number = 0;

	must(m);
	int r = conn->moved ? io_sock_adopt(fiber_io(f), &conn->token, &conn->sock) : 0;
	while (r == 0) {
		r = message_recv(f, w, conn->sock, m, &serial, number++);
		if (r == 1)
			r = fiber_send(f, conn->sock, m, HEAD_BYTES + m->len);
		else
			r = r < 0 ? r : -ESHUTDOWN;
	}
	io_sock_close(conn->sock);
	mem_free(m);
	fiber_clear(f);
	return 0;
}

static int server_conn_main(struct fiber *f, void *arg)
{
	struct server_conn *conn = arg;
	struct server *server = conn->server;
	unsigned to = server->turn++ % server->w->server_reactors;

	if (to && io_sock_detach(conn->sock, &conn->token) == 0) {
		conn->moved = true;
		fiber_call_on(f, reactor_peer(server->reactor, to), "echo", server_echo, conn);
	} else {
		server_echo(f, conn);
	}
	mem_free(conn);
	sema_up(&server->done);
	return 0;
}

static void server_accept(void *ctx, int res, struct io_sock *sock)
{
	struct server *server = ctx;

	must(res == 0);
	struct server_conn *conn = mem_new(reactor_io(server->reactor), sizeof(*conn));
	must(conn);
	conn->server = server;
	conn->sock = sock;
	server->conns++;
	must(fiber_start(server->reactor, "conn", server_conn_main, conn, NULL) == 0);
}

static int server_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct server server = { .w = w, .reactor = fiber_reactor(f) };
	struct io_addr tcp, local = { .family = AF_UNIX, .path = "/run/echo.sock" };
	struct io_listener *listeners[2];
	struct err err = { 0 };

	sema_init(&server.done, 0);
	sim_host_addr(sim_proc_host(sim_proc_of(fiber_io(f))), NET_PORT, &tcp);
	if (io_listen(fiber_io(f), &tcp, &net_opts, server_accept, &server, &listeners[0], &err) <
		    0 ||
	    io_listen(fiber_io(f), &local, NULL, server_accept, &server, &listeners[1], &err) < 0) {
		sim_fail(w->sim, "server: %s", err.words);
		return err.code;
	}
	while (!w->stop)
		if (fiber_sleep(f, SIM_S) < 0)
			break;
	io_listener_close(listeners[0]);
	io_listener_close(listeners[1]);
	for (unsigned i = 0; i < server.conns; i++)
		if (sema_down(f, &server.done) < 0)
			break;
	return 0;
}

/* ---- a client ------------------------------------------------------------------------- */

struct exchange {
	struct world *w;
	struct io_sock *sock;
	uint64_t conn, sent, got;
	bool failed; /* somebody was told of an error */
};

static int exchange_read(struct fiber *f, void *arg)
{
	struct exchange *x = arg;
	struct message *m = mem_new(fiber_io(f), sizeof(*m));
	int r;

	must(m);
	while ((r = message_recv(f, x->w, x->sock, m, &x->conn, x->got)) == 1)
		x->got++;
	if (x->got > x->sent + 1)
		sim_fail(x->w->sim, "connection %llu: more came back than was sent",
			 (unsigned long long)x->conn);
	x->failed |= r < 0;
	mem_free(m);
	fiber_clear(f);
	return 0;
}

static void exchange_write(struct fiber *f, struct exchange *x)
{
	struct prng *prng = sim_prng(x->w->sim);
	struct message *m = mem_new(fiber_io(f), sizeof(*m));
	uint64_t count = prng_range(prng, 1, NET_MESSAGES_MAX);

	must(m);
	for (uint64_t i = 0; i < count && !x->failed; i++) {
		uint32_t len =
			(uint32_t)prng_below(prng, prng_below(prng, 4) ? 600 : NET_PAYLOAD_MAX + 1);
		message_fill(m, x->conn, x->sent, len);
		if (fiber_send(f, x->sock, m, HEAD_BYTES + len) < 0)
			x->failed = true;
		else
			x->sent++;
		if (prng_below(prng, 4) == 0 && fiber_sleep(f, prng_below(prng, SIM_S)) < 0)
			break;
	}
	mem_free(m);
	fiber_clear(f);
}

static bool nobody_died(const struct world *w)
{
	return !sim_fault_fired(w->sim, SIM_PROC_CRASH) &&
	       !sim_fault_fired(w->sim, SIM_HOST_POWER_CUT);
}

static int exchange_run(struct fiber *f, struct world *w, struct io_sock *sock)
{
	struct exchange x = { .w = w, .sock = sock, .conn = ++w->conns };
	bool was_healed = w->healed;
	struct fiber *reader;

	must(fiber_start(fiber_reactor(f), "reader", exchange_read, &x, &reader) == 0);
	exchange_write(f, &x);
	io_sock_shutdown(sock);
	fiber_join(f, reader);
	io_sock_close(sock);
	bool whole = !x.failed && x.got == x.sent;
	if (!x.failed && !whole && nobody_died(w)) /* NS2 */
		sim_fail(w->sim, "connection %llu: %llu sent, %llu echoed, and no error",
			 (unsigned long long)x.conn, (unsigned long long)x.sent,
			 (unsigned long long)x.got);
	sim_trace(w->sim, "connection %llu: %llu sent, %llu echoed%s", (unsigned long long)x.conn,
		  (unsigned long long)x.sent, (unsigned long long)x.got,
		  x.failed ? ", failed" : "");
	return was_healed && whole ? 1 : 0;
}

static int client_fiber(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct sim_proc *proc = sim_proc_of(fiber_io(f));
	bool local = sim_proc_host(proc) == sim_proc_host(w->server);
	struct io_addr addr = { .family = AF_UNIX, .path = "/run/echo.sock" };
	bool good = false;

	if (!local)
		sim_host_addr(sim_proc_host(w->server), NET_PORT, &addr);
	while (!good) {
		struct io_sock *sock;
		int r = fiber_connect(f, &addr, &net_opts, &sock);
		fiber_clear(f);
		if (r == 0)
			good = exchange_run(f, w, sock) == 1;
		if (fiber_sleep(f, prng_below(sim_prng(w->sim), 2 * SIM_S)) < 0)
			break;
	}
	return 0;
}

static int client_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct fiber *fibers[NET_FIBERS_MAX];

	for (unsigned i = 0; i < w->fibers; i++)
		must(fiber_start(fiber_reactor(f), "client", client_fiber, w, &fibers[i]) == 0);
	for (unsigned i = 0; i < w->fibers; i++)
		fiber_join(f, fibers[i]);
	return 0;
}

/* ---- the story --------------------------------------------------------------------------- */

static bool clients_have_ended(void *ctx)
{
	struct world *w = ctx;

	for (unsigned i = 0; i < w->client_count; i++)
		if (sim_proc_state(w->clients[i]) == SIM_PROC_RUNNING)
			return false;
	return true;
}

static bool server_has_ended(void *ctx)
{
	struct world *w = ctx;

	return sim_proc_state(w->server) != SIM_PROC_RUNNING;
}

static void net_run(struct sim *sim, const char *plant)
{
	struct prng *prng = sim_prng(sim);
	struct world w = { .sim = sim };
	unsigned remote = (unsigned)prng_range(prng, 1, NET_CLIENTS_MAX);
	static const char *const names[] = { "b", "c", "d" };

	(void)plant;
	sim_swarm(sim, SIM_GROUP_NET | SIM_GROUP_PROC | SIM_GROUP_CLOCK);
	w.fibers = (unsigned)prng_range(prng, 1, NET_FIBERS_MAX);
	w.server_reactors = (unsigned)prng_range(prng, 1, 3);
	struct sim_host *home = sim_host_add(sim, "a");
	w.server = sim_proc_add(home, &(struct sim_proc_opts){ .name = "server",
							       .main = server_main,
							       .arg = &w,
							       .reactors = w.server_reactors });
	for (unsigned i = 0; i < remote; i++)
		w.clients[w.client_count++] =
			sim_proc_add(sim_host_add(sim, names[i]),
				     &(struct sim_proc_opts){
					     .name = "client", .main = client_main, .arg = &w });
	if (prng_below(prng, 2))
		w.clients[w.client_count++] = sim_proc_add(
			home,
			&(struct sim_proc_opts){ .name = "local", .main = client_main, .arg = &w });
	sim_nemesis_start(sim, SIM_S);
	sim_run_for(sim, prng_range(prng, SIM_S, 20 * SIM_S));
	sim_heal(sim);
	sim_nemesis_stop(sim);
	w.healed = true;
	if (!sim_run_until(sim, clients_have_ended, &w, NET_END_NS)) /* NS3 */
		sim_fail(sim, "a client completes nothing after the heal");
	w.stop = true;
	if (!sim_run_until(sim, server_has_ended, &w, NET_END_NS))
		sim_fail(sim, "the server does not end after the heal");
}

const struct scenario scenario_net = {
	.name = "net",
	.help = "streams between hosts: echo under every fault of net, processes and clocks",
	.run = net_run,
};
