/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net - addresses, listeners, connects, cuts; the bytes are conn.c's.
 *
 *   connect: SYN under way --arrives--> end made, waits at the listener --answer--> connected
 *                 \--cut, host down--> again after 1, 2, 4 ... s, until the time is out
 *
 * NE1. A cut from a to b holds everything on that way, also connects and answers, until it heals.
 * NE2. Within a host nothing is cut and nothing is lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "io/addr.h"
#include "sim/conn.h"

#define NET_SYN_RETRY_NS SIM_S
#define NET_EPHEMERAL	 32768u

enum dial_state { DIAL_SYN, DIAL_ANSWER, DIAL_FAIL };

struct net_dial {
	struct sim_event event;
	struct list_link link; /* of the process */
	struct sim_io *io;
	struct io_op *op;
	struct sim_host *to;
	struct io_addr addr;
	uint64_t deadline_ns, retry_ns;
	enum dial_state state;
	int error;
	struct io_sock *sock; /* DIAL_ANSWER */
};

/* ---- addresses ----------------------------------------------------------------------------- */

static bool net_is_any(const struct io_addr *addr)
{
	static const uint8_t zeros[16];

	return memcmp(addr->ip, zeros, addr->family == AF_INET ? 4 : 16) == 0;
}

/* The host an address belongs to, seen from `from`; NULL: no route. */
static struct sim_host *net_host_of(struct sim_host *from, const struct io_addr *addr)
{
	struct sim *sim = from->sim;
	const uint8_t *ip = addr->ip;
	unsigned n = 0;

	if (addr->family == AF_UNIX || net_is_any(addr))
		return from;
	if (addr->family == AF_INET) {
		if (ip[0] == 127)
			return from;
		if (ip[0] == 10 && ip[1] == 0 && ip[2] == 0)
			n = ip[3];
	} else {
		static const uint8_t loopback[16] = { [15] = 1 };
		static const uint8_t prefix[15] = { 0xfd };
		if (memcmp(ip, loopback, 16) == 0)
			return from;
		if (memcmp(ip, prefix, 15) == 0)
			n = ip[15];
	}
	return n >= 1 && n <= sim->host_count ? sim->hosts[n - 1] : NULL;
}

static bool net_matches(const struct io_listener *l, const struct io_addr *addr)
{
	if (l->addr.family != addr->family)
		return false;
	if (addr->family == AF_UNIX)
		return strcmp(l->addr.path, addr->path) == 0;
	if (l->addr.port != addr->port)
		return false;
	return net_is_any(&l->addr) || net_is_any(addr) ||
	       memcmp(l->addr.ip, addr->ip, sizeof(addr->ip)) == 0;
}

static struct io_listener *net_find_listener(struct sim_host *host, const struct io_addr *addr)
{
	struct io_listener *l;

	list_for_each(l, &host->listeners, host_link)
		if (net_matches(l, addr))
			return l;
	return NULL;
}

static uint16_t net_new_port(struct sim_host *host)
{
	if (host->next_port < NET_EPHEMERAL || host->next_port == UINT16_MAX)
		host->next_port = NET_EPHEMERAL;
	return host->next_port++;
}

/* ---- listening ------------------------------------------------------------------------------- */

static void listener_free(struct io_listener *l)
{
	arena_put(&l->proc->host->sim->arena, l, sizeof(*l));
}

static void listener_run(struct sim_io *io, struct sim_ready *ready)
{
	struct io_listener *l = container_of(ready, struct io_listener, ready);

	l->in_fn = true;
	while (!l->dead && l->waiting_count) {
		struct io_sock *sock = l->waiting[0];
		memmove(l->waiting, l->waiting + 1, --l->waiting_count * sizeof(l->waiting[0]));
		l->fn(l->ctx, 0, sock);
	}
	l->in_fn = false;
	if (l->dead)
		listener_free(l);
}

int net_listen(struct io *base, const struct io_addr *addr, const struct io_sock_opts *opts,
	       io_accept_fn fn, void *ctx, struct io_listener **ret, struct err *err)
{
	struct sim_io *io = container_of(base, struct sim_io, io);
	struct sim_host *host = io->proc->host;
	struct io_addr at = *addr;
	char text[IO_ADDR_TEXT_MAX];

	if (net_host_of(host, addr) != host)
		return err_fail(err, -EADDRNOTAVAIL, "listen on %s: not an address of this host",
				io_addr_print(addr, text));
	if (at.family != AF_UNIX && !at.port)
		at.port = net_new_port(host);
	if (net_find_listener(host, &at))
		return err_fail(err, -EADDRINUSE, "listen on %s: in use",
				io_addr_print(addr, text));
	struct io_listener *l = arena_zalloc(&io->sim->arena, sizeof(*l));
	l->io = base;
	l->proc = io->proc;
	l->addr = at;
	if (opts)
		l->opts = *opts;
	l->fn = fn;
	l->ctx = ctx;
	l->ready.run = listener_run;
	list_add_tail(&io->proc->listeners, &l->link);
	list_add_tail(&host->listeners, &l->host_link);
	*ret = l;
	return 0;
}

void net_listener_addr(struct io_listener *l, struct io_addr *ret)
{
	*ret = l->addr;
}

/* NE2: within a host a peer is always told, while there is power. */
static void net_end_sock(struct io_sock *sock, bool silent)
{
	if (silent && !(sock->conn->local && sock->conn->host[0]->up))
		conn_vanish_end(sock);
	else
		conn_close_end(sock);
}

static void listener_close(struct io_listener *l, bool silent)
{
	sim_io_unready(container_of(l->io, struct sim_io, io), &l->ready);
	list_del(&l->link);
	list_del(&l->host_link);
	while (l->waiting_count)
		net_end_sock(l->waiting[--l->waiting_count], silent);
	l->dead = true;
	if (!l->in_fn)
		listener_free(l);
}

void net_listener_close(struct io_listener *l)
{
	listener_close(l, false);
}

/* ---- connecting -------------------------------------------------------------------------------- */

static void dial_fire(struct sim *sim, struct sim_event *event);

static void dial_free(struct net_dial *dial)
{
	struct sim *sim = dial->io->sim;

	sim_unschedule(sim, &dial->event);
	list_del(&dial->link);
	sim->busy--;
	arena_put(&sim->arena, dial, sizeof(*dial));
}

static void dial_end(struct net_dial *dial, int res)
{
	struct sim_io *io = dial->io;
	struct io_op *op = dial->op;

	sim_trace(io->sim, "%s: connect to %s res=%d", io->proc->name,
		  dial->to ? dial->to->name : "?", res);
	sim_mix(io->sim, (uint64_t)res);
	if (res == 0)
		*op->net.ret_sock = dial->sock;
	dial_free(dial);
	sim_io_complete(io, op, res);
}

static uint64_t dial_latency(struct net_dial *dial)
{
	struct sim *sim = dial->io->sim;
	struct prng *prng = &sim->prng[SIM_STREAM_NET];

	if (dial->to == dial->io->proc->host)
		return sim_delay(prng, CONN_LOCAL_NS);
	uint64_t ns = sim_delay(prng, sim->net_median_ns);
	return ns + prng_below(prng, sim->net_jitter_ns + 1);
}

static void dial_fail_later(struct net_dial *dial, int error, uint64_t ns)
{
	dial->state = DIAL_FAIL;
	dial->error = error;
	sim_after(dial->io->sim, &dial->event, ns, dial_fire);
}

static void dial_retry(struct net_dial *dial)
{
	struct sim *sim = dial->io->sim;

	if (sim->now_ns >= dial->deadline_ns) {
		if (dial->sock)
			conn_vanish_end(dial->sock);
		dial_end(dial, -ETIMEDOUT);
		return;
	}
	sim_at(sim, &dial->event, min_u64(sim->now_ns + dial->retry_ns, dial->deadline_ns),
	       dial_fire);
	dial->retry_ns *= 2;
}

static bool dial_path_ok(const struct net_dial *dial, bool back)
{
	struct sim_host *own = dial->io->proc->host;

	if (dial->to == own)
		return true;
	return dial->to->up &&
	       !(back ? sim_net_is_cut(dial->to, own) : sim_net_is_cut(own, dial->to));
}

static void dial_syn(struct net_dial *dial)
{
	struct sim *sim = dial->io->sim;

	if (!dial_path_ok(dial, false)) {
		dial_retry(dial);
		return;
	}
	struct io_listener *l = net_find_listener(dial->to, &dial->addr);
	if (!l || l->waiting_count == LISTENER_BACKLOG) {
		dial_fail_later(dial, -ECONNREFUSED, dial_latency(dial));
		return;
	}
	struct sim_host *own = dial->io->proc->host;
	struct io_addr client = { .family = dial->addr.family };
	if (dial->addr.family != AF_UNIX) {
		sim_host_addr(own, net_new_port(own), &client);
		if (dial->addr.family == AF_INET6)
			client.family = AF_INET6;
	}
	struct conn *conn = conn_new(dial->io, &client, dial->op->net.opts,
				     container_of(l->io, struct sim_io, io), &dial->addr, &l->opts);
	sim_trace(sim, "conn %llu: %s -> %s", (unsigned long long)conn->id, own->name,
		  dial->to->name);
	l->waiting[l->waiting_count++] = conn->end[1];
	sim_io_ready(container_of(l->io, struct sim_io, io), &l->ready);
	dial->sock = conn->end[0];
	dial->state = DIAL_ANSWER;
	sim_after(sim, &dial->event, dial_latency(dial), dial_fire);
}

static void dial_fire(struct sim *sim, struct sim_event *event)
{
	struct net_dial *dial = container_of(event, struct net_dial, event);

	if (dial->state == DIAL_SYN)
		dial_syn(dial);
	else if (dial->state == DIAL_FAIL)
		dial_end(dial, dial->error);
	else if (dial_path_ok(dial, true))
		dial_end(dial, 0);
	else
		dial_retry(dial);
}

void net_connect(struct sim_io *io, struct io_op *op)
{
	struct sim *sim = io->sim;
	struct net_dial *dial = arena_zalloc(&sim->arena, sizeof(*dial));
	const struct io_sock_opts *opts = op->net.opts;
	const char *where = io->proc->host->name;
	uint64_t give_up_ns = opts && opts->user_timeout_ms ? opts->user_timeout_ms * SIM_MS :
							      SIM_SYN_GIVE_UP_NS;

	dial->io = io;
	dial->op = op;
	dial->addr = *op->net.addr;
	dial->to = net_host_of(io->proc->host, &dial->addr);
	dial->deadline_ns = sim->now_ns + give_up_ns;
	dial->retry_ns = NET_SYN_RETRY_NS;
	list_add_tail(&io->proc->dials, &dial->link);
	sim->busy++;
	if (!dial->to)
		dial_fail_later(dial, -EHOSTUNREACH, SIM_MS);
	else if (sim_fault(sim, SIM_NET_REFUSE, where))
		dial_fail_later(dial, -ECONNREFUSED, dial_latency(dial));
	else if (dial->to != io->proc->host && sim_fault(sim, SIM_NET_CONNECT_TIMEOUT, where))
		dial_fail_later(dial, -ETIMEDOUT, give_up_ns);
	else
		sim_after(sim, &dial->event, dial_latency(dial), dial_fire);
}

void net_cancel(struct sim_io *io, struct io_op *op)
{
	struct net_dial *dial;

	if (op->code != IO_CONNECT) {
		struct io_sock *sock;
		list_for_each(sock, &io->proc->socks, link)
			if (conn_cancel(sock, op))
				return;
		return;
	}
	list_for_each(dial, &io->proc->dials, link)
		if (dial->op == op)
			break;
	if (!dial)
		return;
	if (dial->sock)
		conn_close_end(dial->sock);
	dial_free(dial);
	sim_io_complete(io, op, -ECANCELED);
}

/* ---- cuts --------------------------------------------------------------------------------------- */

struct net_mend {
	struct sim_event event;
	struct sim_host *from, *to;
};

bool sim_net_is_cut(const struct sim_host *from, const struct sim_host *to)
{
	return from != to && (from->cut_to >> to->index & 1);
}

void net_probe(struct sim *sim)
{
	struct conn *conn;

	list_for_each(conn, &sim->conns, link)
		conn_probe(conn);
}

void sim_net_cut(struct sim_host *from, struct sim_host *to)
{
	struct sim *sim = from->sim;

	if (from == to || sim_net_is_cut(from, to))
		return;
	sim_trace(sim, "net: cut %s -> %s", from->name, to->name);
	sim_fault_count(sim, SIM_NET_CUT);
	from->cut_to |= UINT64_C(1) << to->index;
	net_probe(sim);
}

void sim_net_heal(struct sim_host *from, struct sim_host *to)
{
	struct sim *sim = from->sim;
	struct conn *conn;

	if (!sim_net_is_cut(from, to))
		return;
	sim_trace(sim, "net: heal %s -> %s", from->name, to->name);
	from->cut_to &= ~(UINT64_C(1) << to->index);
	list_for_each(conn, &sim->conns, link)
		for (unsigned side = 0; side < 2; side++)
			if (conn->host[side] == from && conn->host[!side] == to)
				conn_heal(conn, side);
}

static void net_mend(struct sim *sim, struct sim_event *event)
{
	struct net_mend *mend = container_of(event, struct net_mend, event);

	sim_net_heal(mend->from, mend->to);
	arena_put(&sim->arena, mend, sizeof(*mend));
}

void net_cut_for_a_while(struct sim_host *from, struct sim_host *to)
{
	struct sim *sim = from->sim;
	struct net_mend *mend = arena_zalloc(&sim->arena, sizeof(*mend));

	mend->from = from;
	mend->to = to;
	sim_net_cut(from, to);
	sim_after(sim, &mend->event,
		  prng_range(&sim->prng[SIM_STREAM_NET], 10 * SIM_MS, 30 * SIM_S), net_mend);
}

void sim_net_delay(struct sim *sim, uint64_t median_ns, uint64_t jitter_ns)
{
	sim->net_median_ns = median_ns;
	sim->net_jitter_ns = jitter_ns;
}

/* ---- a process is gone -------------------------------------------------------------------------- */

void net_proc_gone(struct sim_proc *proc, bool silent)
{
	struct sim *sim = proc->host->sim;
	struct net_dial *dial;
	struct io_sock *sock;

	if (!silent && !list_empty(&proc->socks) && proc->state == SIM_PROC_DOWN)
		silent = sim_fault(sim, SIM_NET_HALF_OPEN, proc->name);
	while ((dial = list_first(&proc->dials, struct net_dial, link)))
		dial_free(dial);
	while (!list_empty(&proc->listeners))
		listener_close(list_first(&proc->listeners, struct io_listener, link), silent);
	while ((sock = list_first(&proc->socks, struct io_sock, link))) {
		sock->send_op = NULL;
		sock->recv_op = NULL;
		net_end_sock(sock, silent);
	}
}
