// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_server - listeners, who is let in, and the books of all of it.
 *
 * NM1. A connection is in server->conns from its accept until its memory has come home.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/must.h"
#include "export/nbd_priv.h"
#include "io/addr.h"
#include "reactor/fiber.h"

/* ---- the end of a connection ------------------------------------------------------------ */

static void conn_home(struct nbd_conn *conn)
{
	struct nbd_server *server = conn->server;

	list_del(&conn->home_link);
	mem_free(conn);
	if (--server->conn_count == 0)
		event_set(&server->conns_idle);
}

static void conn_home_mail(struct mail *mail, struct reactor *at)
{
	conn_home(container_of(mail, struct nbd_conn, mail));
}

void nbd_server_conn_ended(struct nbd_conn *conn)
{
	struct reactor *from = conn->side->reactor;

	if (from == conn->server->home) {
		conn_home(conn);
		return;
	}
	conn->mail.run = conn_home_mail;
	reactor_send(from, conn->server->home, &conn->mail);
}

/* ---- the beginning -------------------------------------------------------------------------- */

static void conn_join(struct nbd_conn *conn)
{
	struct nbd_side *side = conn->side;

	list_add_tail(&side->conns, &conn->link);
	event_clear(&side->conns_idle);
	side->stats.conns++;
	nbd_conn_start(conn);
}

static void conn_arrives(struct mail *mail, struct reactor *at)
{
	struct nbd_conn *conn = container_of(mail, struct nbd_conn, mail);

	if (io_sock_adopt(conn->side->io, &conn->token, &conn->sock) < 0) {
		nbd_server_conn_ended(conn);
		return;
	}
	conn_join(conn);
}

static void conn_place(struct nbd_conn *conn)
{
	struct nbd_server *server = conn->server;
	struct nbd_side *side = server->sides[server->turn++ % server->side_count];

	if (side->reactor != server->home && io_sock_detach(conn->sock, &conn->token) == 0) {
		conn->sock = NULL;
		conn->side = side;
		conn->mail.run = conn_arrives;
		reactor_send(server->home, side->reactor, &conn->mail);
		return;
	}
	conn->side = server->sides[0]; /* home's */
	conn_join(conn);
}

static bool peer_is(const struct io_addr *a, const struct io_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static bool server_has_room(struct nbd_server *server, const struct io_addr *peer)
{
	const struct nbd_conn *conn;
	uint32_t same = 0;

	if (server->conn_count >= server->opts.conns_max)
		return false;
	if (!bucket_take(&server->accepts, reactor_now(server->home)))
		return false;
	if (peer->family == AF_UNIX || peer->family == AF_UNSPEC)
		return true;
	list_for_each(conn, &server->conns, home_link)
		same += peer_is(&conn->peer, peer);
	return same < server->opts.conns_peer_max;
}

static void server_accept(void *ctx, int res, struct io_sock *sock)
{
	struct nbd_server *server = ctx;
	struct nbd_conn *conn = NULL;
	struct io_addr peer;

	if (res < 0) {
		log_error(reactor_log(server->home), "NBD: nobody can connect any more",
			  LOG_ERR("error", res));
		return;
	}
	io_sock_peer(sock, &peer);
	if (server_has_room(server, &peer))
		conn = mem_alloc(server->mem, sizeof(*conn));
	if (!conn) {
		server->conns_refused++;
		io_sock_close(sock);
		return;
	}
	conn->server = server;
	conn->peer = peer;
	conn->sock = sock;
	list_add_tail(&server->conns, &conn->home_link); /* NM1 */
	server->conn_count++;
	server->conns_total++;
	event_clear(&server->conns_idle);
	conn_place(conn);
}

int nbd_server_listen(struct fiber *f, struct nbd_server *server, const struct io_addr *addr,
		      struct io_addr *ret_addr)
{
	struct io_listener **at = &server->listeners[server->listener_count];
	int r;

	must(fiber_reactor(f) == server->home);
	if (server->listener_count == NBD_LISTENERS_MAX)
		return fiber_fail(f, -ENOSPC, "an NBD server listens on at most %u addresses",
				  NBD_LISTENERS_MAX);
	r = io_listen(fiber_io(f), addr, &(struct io_sock_opts){ .keepalive_s = 30 }, server_accept,
		      server, at, fiber_fail_err(f));
	if (r < 0)
		return r;
	server->listener_count++;
	if (ret_addr)
		io_listener_addr(*at, ret_addr);
	return 0;
}

/* ---- sides ------------------------------------------------------------------------------------- */

struct side_call {
	struct nbd_server *server;
	unsigned index;
	struct nbd_share *share;
	struct nbd_stats *stats;
};

static struct reactor *side_reactor(const struct nbd_server *server, unsigned index)
{
	unsigned home = reactor_index(server->home);

	/* Home is the first. */
	return index == 0 ? server->home :
			    reactor_peer(server->home, index <= home ? index - 1 : index);
}

static int side_new(struct fiber *f, void *arg)
{
	struct side_call *call = arg;

	return nbd_side_new(f, call->server, &call->server->sides[call->index]);
}

static int side_free(struct fiber *f, void *arg)
{
	struct side_call *call = arg;

	nbd_side_free(f, call->server->sides[call->index]);
	return 0;
}

static int side_view_open(struct fiber *f, void *arg)
{
	struct side_call *call = arg;

	return nbd_view_open(f, call->server->sides[call->index], call->share);
}

static int side_view_close(struct fiber *f, void *arg)
{
	struct side_call *call = arg;

	nbd_view_close(f, call->server->sides[call->index], call->share);
	return 0;
}

static int side_stats(struct fiber *f, void *arg)
{
	struct side_call *call = arg;
	const struct nbd_side *side = call->server->sides[call->index];
	struct nbd_stats *sum = call->stats;

	for (unsigned i = 0; i < NBD_DROPS; i++)
		sum->dropped[i] += side->stats.dropped[i];
	sum->options += side->stats.options;
	sum->requests += side->stats.requests;
	sum->errors += side->stats.errors;
	sum->read_bytes += side->stats.read_bytes;
	sum->written_bytes += side->stats.written_bytes;
	sum->hole_bytes += side->stats.hole_bytes;
	sum->sends += side->stats.sends;
	sum->starved += side->stats.starved;
	sum->memory_bytes += side->bufs.used_bytes;
	sum->kept_bytes += side->bufs.kept_bytes;
	sum->slow_fibers_most = max_u64(sum->slow_fibers_most, side->stats.slow_fibers_most);
	return 0;
}

/* On each side in turn, until one fails. */
static int sides_call(struct fiber *f, struct side_call call, unsigned count, fiber_fn fn)
{
	int r = 0;

	for (call.index = 0; call.index < count && r == 0; call.index++)
		r = fiber_call_on(f, side_reactor(call.server, call.index), "nbd-side", fn, &call);
	return r;
}

/* ... which it must not, for want of a fiber either. */
static void sides_call_always(struct fiber *f, struct side_call call, fiber_fn fn)
{
	for (call.index = 0; call.index < call.server->side_count; call.index++) {
		if (!call.server->sides[call.index])
			continue;
		while (fiber_call_on(f, side_reactor(call.server, call.index), "nbd-side", fn,
				     &call) < 0) {
			fiber_clear(f);
			fiber_yield(f);
		}
	}
}

/* ---- shares -------------------------------------------------------------------------------------- */

static struct nbd_share *server_share(const struct nbd_server *server, const char *name)
{
	struct nbd_share *share;

	list_for_each(share, &server->shares, link)
		if (strcmp(share->name, name) == 0)
			return share;
	return NULL;
}

static void server_forget(struct fiber *f, struct nbd_server *server, struct nbd_share *share)
{
	struct side_call call = { .server = server, .share = share };

	sides_call_always(f, call, side_view_close);
	nbd_share_free(f, share);
}

int nbd_server_add(struct fiber *f, struct nbd_server *server, const struct nbd_share_args *args)
{
	struct side_call call = { .server = server };
	int r;

	must(fiber_reactor(f) == server->home);
	if (server_share(server, args->name))
		return fiber_fail(f, -EEXIST, "there is an export '%s' already", args->name);
	if (server->share_count == NBD_SHARES_MAX)
		return fiber_fail(f, -ENOSPC, "an NBD server has at most %u exports",
				  NBD_SHARES_MAX);
	r = nbd_share_new(f, server, args, &call.share);
	if (r < 0)
		return r;
	r = sides_call(f, call, server->side_count, side_view_open);
	if (r < 0) {
		server_forget(f, server, call.share);
		return r;
	}
	list_add_tail(&server->shares, &call.share->link);
	server->share_count++;
	return 0;
}

int nbd_server_remove(struct fiber *f, struct nbd_server *server, const char *name)
{
	struct nbd_share *share = server_share(server, name);

	must(fiber_reactor(f) == server->home);
	if (!share)
		return fiber_fail(f, -ENOENT, "there is no export '%s'", name);
	list_del(&share->link);
	server->share_count--;
	server_forget(f, server, share);
	return 0;
}

void nbd_server_rescan(struct fiber *f, struct nbd_server *server)
{
	struct nbd_share *share;

	list_for_each(share, &server->shares, link) {
		if (bdev_rescan(f, share->bdev) < 0)
			log_warn(reactor_log(server->home), "NBD: the size cannot be read again",
				 LOG_STR("share", share->name), LOG_STR("error", fiber_words(f)));
		fiber_clear(f);
	}
}

void nbd_server_stats(struct fiber *f, struct nbd_server *server, struct nbd_stats *ret)
{
	struct side_call call = { .server = server, .stats = ret };

	*ret = (struct nbd_stats){ .conns = server->conns_total,
				   .conns_now = server->conn_count,
				   .conns_refused = server->conns_refused };
	sides_call_always(f, call, side_stats);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static unsigned reactors_there(struct reactor *home)
{
	unsigned count = 0;

	while (count < REACTORS_MAX && (count == reactor_index(home) || reactor_peer(home, count)))
		count++;
	return count;
}

static void opts_fill(struct nbd_opts *opts, unsigned reactors)
{
	opts->reactors = opts->reactors ? min_u32(opts->reactors, reactors) : reactors;
	opts->conns_max = opts->conns_max ? opts->conns_max : NBD_CONNS_DEFAULT;
	opts->conns_peer_max = opts->conns_peer_max ? opts->conns_peer_max : NBD_CONNS_PEER_DEFAULT;
	opts->inflight_max = opts->inflight_max ? opts->inflight_max : NBD_INFLIGHT_DEFAULT;
	opts->memory_bytes = opts->memory_bytes ? opts->memory_bytes : NBD_MEMORY_DEFAULT;
	opts->shake_ns = opts->shake_ns ? opts->shake_ns : NBD_SHAKE_DEFAULT_NS;
	opts->message_ns = opts->message_ns ? opts->message_ns : NBD_MESSAGE_DEFAULT_NS;
	opts->send_ns = opts->send_ns ? opts->send_ns : NBD_SEND_DEFAULT_NS;
	opts->drain_ns = opts->drain_ns ? opts->drain_ns : NBD_DRAIN_DEFAULT_NS;
}

int nbd_server_new(struct fiber *f, const struct nbd_opts *opts, struct nbd_server **ret)
{
	struct nbd_server *server = mem_new(fiber_io(f), sizeof(*server));
	int r;

	if (!server)
		return fiber_fail(f, -ENOMEM, "no memory for an NBD server");
	server->home = fiber_reactor(f);
	server->mem = fiber_io(f)->mem;
	server->opts = *opts;
	opts_fill(&server->opts, reactors_there(server->home));
	server->side_count = server->opts.reactors;
	bucket_init(&server->accepts, NBD_ACCEPTS_PER_S, NBD_ACCEPTS_BURST,
		    reactor_now(server->home));
	list_init(&server->shares);
	list_init(&server->conns);
	event_init(&server->conns_idle);
	event_set(&server->conns_idle);
	r = sides_call(f, (struct side_call){ .server = server }, server->side_count, side_new);
	if (r < 0) {
		nbd_server_free(f, server);
		return r;
	}
	*ret = server;
	return 0;
}

/* Drained share by share, side by side; connections in the handshake last. */
void nbd_server_free(struct fiber *f, struct nbd_server *server)
{
	struct nbd_share *share;

	must(fiber_reactor(f) == server->home);
	for (unsigned i = 0; i < server->listener_count; i++)
		io_listener_close(server->listeners[i]);
	while ((share = list_pop_front(&server->shares, struct nbd_share, link)))
		server_forget(f, server, share);
	sides_call_always(f, (struct side_call){ .server = server }, side_free);
	event_wait_always(f, &server->conns_idle);
	mem_free(server);
}
