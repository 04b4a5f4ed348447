// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_port - an address where hosts come in, and how many strangers may stand there.
 *
 * A connection is accepted at home and moves to the reactor that will serve it before a byte of
 * it is read. Until a Connect has admitted it, it is a stranger:
 *
 * PO1. No more than TGT_STRANGERS_PER_IP_MAX of one source address; the next one is closed at once.
 * PO2. No more than TGT_STRANGERS_MAX in all; the next one takes the place of the oldest, so that a
 *	host that knows what it wants gets in also while others only stand there.
 * PO3. No more than TGT_ACCEPTS_PER_S, after a burst.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "io/addr.h"
#include "nvmf/tgt_conn_priv.h"
#include "nvmf/tgt_fabrics_priv.h"

/* ---- strangers ------------------------------------------------------------------------ */

static unsigned strangers_from(const struct tgt *tgt, const struct io_addr *peer)
{
	const struct tgt_conn *conn;
	unsigned count = 0;

	list_for_each(conn, &tgt->strangers, home_link)
		if (conn->peer.family == peer->family &&
		    memcmp(conn->peer.ip, peer->ip, sizeof(peer->ip)) == 0)
			count++;
	return count;
}

static bool may_come_in(struct tgt *tgt, const struct io_addr *peer)
{
	if (tgt->is_closing || tgt->conn_count >= tgt->opts.connections_max)
		return false;
	if (!bucket_take(&tgt->accepts, reactor_now(tgt->home))) /* PO3 */
		return false;
	if (strangers_from(tgt, peer) >= TGT_STRANGERS_PER_IP_MAX) /* PO1 */
		return false;
	if (tgt->stranger_count >= TGT_STRANGERS_MAX) { /* PO2 */
		struct tgt_conn *oldest = list_first(&tgt->strangers, struct tgt_conn, home_link);

		tgt->refused++;
		tgt_conn_home_close(oldest);
		tgt_conn_no_stranger(oldest);
	}
	return true;
}

/* ---- accepting -------------------------------------------------------------------------- */

/* To its reactor. False: it is lost. */
static bool conn_move(struct tgt_conn *conn, struct io_sock *sock)
{
	if (conn->shard->reactor == conn->tgt->home) {
		conn->sock = sock;
		return true;
	}
	conn->is_moved = true;
	return io_sock_detach(sock, &conn->token) == 0;
}

static void port_refuse(struct tgt_port *port, struct io_sock *sock, const struct io_addr *peer)
{
	struct tgt *tgt = port->tgt;
	char text[IO_ADDR_TEXT_MAX];

	tgt->refused++;
	log_at_rate(tgt->log, &tgt->refuse_rate, LOG_LEVEL_WARN, "nvmf: connection refused",
		    LOG_STR("peer", io_addr_print(peer, text)));
	io_sock_close(sock);
}

static void port_accepted(void *ctx, int res, struct io_sock *sock)
{
	struct tgt_port *port = ctx;
	struct tgt *tgt = port->tgt;
	struct tgt_shard *shard;
	struct tgt_conn *conn;
	struct io_addr peer;

	if (res < 0) {
		log_error(tgt->log, "nvmf: port no longer accepts", LOG_U64("port", port->id),
			  LOG_ERR("error", res));
		return;
	}
	io_sock_peer(sock, &peer);
	if (!may_come_in(tgt, &peer)) {
		port_refuse(port, sock, &peer);
		return;
	}
	shard = tgt->shard[tgt->shard_next++ % tgt->shard_count];
	conn = tgt_conn_new(tgt, port, shard);
	if (!conn) {
		port_refuse(port, sock, &peer);
		return;
	}
	tgt->accepted++;
	conn->peer = peer;
	io_sock_local(sock, &conn->local);
	if (!conn_move(conn, sock)) {
		io_sock_close(sock);
		conn->is_moved = false;
	}
	conn->start_mail.run = tgt_conn_start;
	reactor_send(tgt->home, shard->reactor, &conn->start_mail);
}

/* ---- ports -------------------------------------------------------------------------------- */

static struct tgt_port *port_by_id(const struct tgt *tgt, uint16_t id)
{
	struct tgt_port *port;

	list_for_each(port, &tgt->ports, link)
		if (port->id == id)
			return port;
	return NULL;
}

static int port_id(struct fiber *f, const struct tgt *tgt, uint16_t wanted, uint16_t *ret)
{
	if (wanted > TGT_PORTS_MAX)
		return fiber_fail(f, -EINVAL, "port id %u is not in 1..%u", wanted, TGT_PORTS_MAX);
	if (wanted && port_by_id(tgt, wanted))
		return fiber_fail(f, -EEXIST, "port id %u is in use", wanted);
	for (uint16_t id = 1; !wanted && id <= TGT_PORTS_MAX; id++)
		if (!port_by_id(tgt, id))
			wanted = id;
	if (!wanted)
		return fiber_fail(f, -EMFILE, "there are %u ports", TGT_PORTS_MAX);
	*ret = wanted;
	return 0;
}

int tgt_port_add(struct fiber *f, struct tgt *tgt, const struct tgt_port_args *args,
		 struct tgt_port **ret)
{
	const struct io_sock_opts opts = {
		.keepalive_s = TGT_TCP_KEEPALIVE_S,
		.user_timeout_ms = TGT_USER_TIMEOUT_MS,
	};
	CLEANUP(cleanup_mem) struct tgt_port *port = mem_new(tgt->io, sizeof(*port));
	int r = port ? port_id(f, tgt, args->id, &port->id) :
		       fiber_fail(f, -ENOMEM, "no memory for a port");

	if (r < 0)
		return r;
	port->tgt = tgt;
	list_init(&port->conns);
	event_init(&port->conns_gone);
	r = io_listen(tgt->io, &args->addr, &opts, port_accepted, port, &port->listener,
		      fiber_fail_err(f));
	if (r < 0)
		return r;
	io_listener_addr(port->listener, &port->addr);
	list_add_tail(&tgt->ports, &port->link);
	*ret = steal(port);
	tgt_discovery_changed(tgt);
	return 0;
}

void tgt_port_remove(struct fiber *f, struct tgt_port *port)
{
	struct tgt *tgt = port->tgt;
	struct tgt_conn *conn;

	io_listener_close(port->listener);
	list_del(&port->link);
	list_for_each(conn, &port->conns, port_link)
		tgt_conn_home_close(conn);
	while (!list_empty(&port->conns)) {
		event_clear(&port->conns_gone);
		event_wait_always(f, &port->conns_gone);
	}
	tgt_discovery_changed(tgt);
	mem_free(port);
}

void tgt_port_addr(const struct tgt_port *port, struct io_addr *ret)
{
	*ret = port->addr;
}
