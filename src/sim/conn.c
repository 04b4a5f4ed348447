/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn - bytes on their way; see conn.h for CO1..CO4.
 */
#include "sim/conn.h"

#include <errno.h>
#include <string.h>

#include "base/must.h"

static void conn_arrive(struct sim *sim, struct sim_event *event);
static void conn_give_up(struct sim *sim, struct sim_event *event);

void piece_free(struct sim *sim, struct pipe *pipe, struct piece *piece)
{
	list_del(&piece->link);
	pipe->bytes -= piece->len - piece->off;
	arena_put(&sim->arena, piece, sizeof(*piece) + piece->len);
}

static void pieces_drop(struct sim *sim, struct pipe *pipe, struct list *pieces)
{
	struct piece *piece;

	while ((piece = list_first(pieces, struct piece, link)))
		piece_free(sim, pipe, piece);
}

static void pipe_stop(struct sim *sim, struct pipe *pipe)
{
	if (pipe->arrive.pos)
		sim->busy--;
	sim_unschedule(sim, &pipe->arrive);
	pieces_drop(sim, pipe, &pipe->flight);
	pipe->held = false;
}

/* ---- making and freeing ---------------------------------------------------------------- */

static void conn_end_init(struct conn *conn, unsigned side, struct sim_io *io,
			  const struct io_addr *addr, const struct io_sock_opts *opts)
{
	struct sim *sim = conn->sim;
	struct io_sock *sock = arena_zalloc(&sim->arena, sizeof(*sock));
	struct pipe *pipe = &conn->pipe[side];

	sock->io = &io->io;
	sock->proc = io->proc;
	sock->conn = conn;
	sock->side = side;
	if (opts)
		sock->opts = *opts;
	sock->ready.run = sock_ready_run;
	list_add_tail(&io->proc->socks, &sock->link);
	conn->end[side] = sock;
	conn->host[side] = io->proc->host;
	conn->addr[side] = *addr;
	pipe->conn = conn;
	pipe->from = side;
	list_init(&pipe->flight);
	list_init(&pipe->here);
	pipe->room = (uint64_t)CONN_ROOM_MIN << prng_below(&sim->prng[SIM_STREAM_NET], 7);
	if (sock->opts.sndbuf_bytes)
		pipe->room = max_u64(CONN_ROOM_MIN, sock->opts.sndbuf_bytes);
}

struct conn *conn_new(struct sim_io *client, const struct io_addr *client_addr,
		      const struct io_sock_opts *client_opts, struct sim_io *server,
		      const struct io_addr *server_addr, const struct io_sock_opts *server_opts)
{
	struct sim *sim = client->sim;
	struct conn *conn = arena_zalloc(&sim->arena, sizeof(*conn));

	conn->sim = sim;
	conn->id = ++sim->next_id;
	conn_end_init(conn, 0, client, client_addr, client_opts);
	conn_end_init(conn, 1, server, server_addr, server_opts);
	conn->local = conn->host[0] == conn->host[1];
	list_add_tail(&sim->conns, &conn->link);
	return conn;
}

static void conn_maybe_free(struct conn *conn)
{
	struct sim *sim = conn->sim;

	if (conn->end[0] || conn->end[1])
		return;
	for (unsigned side = 0; side < 2; side++) {
		pipe_stop(sim, &conn->pipe[side]);
		pieces_drop(sim, &conn->pipe[side], &conn->pipe[side].here);
		sim_unschedule(sim, &conn->pipe[side].give_up);
		sim_unschedule(sim, &conn->pipe[side].keepalive);
	}
	list_del(&conn->link);
	arena_put(&sim->arena, conn, sizeof(*conn));
}

/* The end is off its connection; memory goes when its function has returned. */
static void sock_free(struct io_sock *sock)
{
	struct sim *sim = sock->proc->host->sim;

	if (sock->io)
		sim_io_unready(sock_io(sock), &sock->ready);
	sim_unschedule(sim, &sock->late);
	list_del(&sock->link);
	sock->conn = NULL;
	sock->dead = true;
	if (!sock->in_fn)
		arena_put(&sim->arena, sock, sizeof(*sock));
}

bool conn_path_ok(const struct conn *conn, unsigned from)
{
	return conn->host[!from]->up &&
	       (conn->local || !sim_net_is_cut(conn->host[from], conn->host[!from]));
}

/* ---- sending ------------------------------------------------------------------------------ */

static uint64_t conn_latency(struct conn *conn, unsigned from)
{
	struct sim *sim = conn->sim;
	struct prng *prng = &sim->prng[SIM_STREAM_NET];
	const char *where = conn->host[from]->name;

	if (conn->local)
		return sim_delay(prng, CONN_LOCAL_NS);
	uint64_t ns = sim_delay(prng, sim->net_median_ns);
	ns += prng_below(prng, sim->net_jitter_ns + 1);
	if (sim_fault(sim, SIM_NET_SLOW, where))
		ns += prng_range(prng, SIM_MS, 200 * SIM_MS);
	if (sim_fault(sim, SIM_NET_STALL, where))
		ns += prng_range(prng, SIM_S, 60 * SIM_S);
	return ns;
}

static uint64_t conn_patience(const struct io_sock *sock)
{
	return sock->opts.user_timeout_ms ? sock->opts.user_timeout_ms * SIM_MS :
					    SIM_TCP_GIVE_UP_NS;
}

static void pipe_schedule(struct sim *sim, struct pipe *pipe)
{
	struct piece *first = list_first(&pipe->flight, struct piece, link);

	if (!first || pipe->held || pipe->arrive.pos)
		return;
	sim->busy++;
	sim_at(sim, &pipe->arrive, first->at_ns, conn_arrive);
}

static struct piece *conn_push(struct conn *conn, unsigned from, enum piece_kind kind, uint32_t len)
{
	struct sim *sim = conn->sim;
	struct pipe *pipe = &conn->pipe[from];
	struct io_sock *sock = conn->end[from];
	struct piece *piece = arena_get(&sim->arena, sizeof(*piece) + len);

	*piece = (struct piece){ .kind = kind, .len = len };
	piece->at_ns = max_u64(pipe->last_ns, sim->now_ns + conn_latency(conn, from));
	pipe->last_ns = piece->at_ns;
	pipe->bytes += len;
	list_add_tail(&pipe->flight, &piece->link);
	pipe_schedule(sim, pipe);
	if (sock && len && !pipe->unheard_ns) {
		pipe->unheard_ns = sim->now_ns;
		if (!pipe->give_up.pos)
			sim_after(sim, &pipe->give_up, conn_patience(sock), conn_give_up);
	}
	return piece;
}

void conn_send_fin(struct io_sock *sock)
{
	if (sock->shut || sock->error)
		return;
	sock->shut = true;
	conn_push(sock->conn, sock->side, PIECE_FIN, 0);
}

static void sock_break(struct io_sock *sock, int error)
{
	if (sock->error)
		return;
	sock->error = error;
	if (sock->send_op) {
		struct io_op *op = sock->send_op;
		sock->send_op = NULL;
		sim_io_complete(sock_io(sock), op, error);
	}
	conn_wake_reader(sock);
}

/* The connection breaks while `sock` sends; what is under way is lost or not. */
static void conn_break(struct io_sock *sock)
{
	struct conn *conn = sock->conn;
	struct prng *prng = &conn->sim->prng[SIM_STREAM_NET];

	sim_trace(conn->sim, "conn %llu: reset", (unsigned long long)conn->id);
	for (unsigned side = 0; side < 2; side++)
		if (prng_below(prng, 2))
			pipe_stop(conn->sim, &conn->pipe[side]);
	conn_push(conn, sock->side, PIECE_RST, 0);
	sock_break(sock, -ECONNRESET);
}

/* The bytes of an op from `off` on. */
static void conn_gather(const struct io_op *op, uint64_t off, uint8_t *to, uint32_t len)
{
	for (uint32_t i = 0; i < op->net.iov_count && len > 0; i++) {
		const struct iovec *iov = &op->net.iov[i];
		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		uint32_t n = (uint32_t)min_size(len, iov->iov_len - off);
		memcpy(to, (const uint8_t *)iov->iov_base + off, n);
		to += n;
		len -= n;
		off = 0;
	}
}

void conn_pump(struct io_sock *sock)
{
	struct conn *conn = sock->conn;
	struct sim *sim = conn->sim;
	struct pipe *pipe = &conn->pipe[sock->side];
	struct io_op *op;

	while ((op = sock->send_op) && pipe->bytes < pipe->room) {
		uint64_t left = op->progress - sock->send_off;
		uint32_t n =
			(uint32_t)min_u64(min_u64(left, pipe->room - pipe->bytes), CONN_PIECE_MAX);
		if (!conn->local && sim_fault(sim, SIM_NET_RESET, conn->host[sock->side]->name)) {
			conn_break(sock);
			return;
		}
		if (!conn->local && sim_fault(sim, SIM_NET_CUT, conn->host[sock->side]->name))
			net_cut_for_a_while(conn->host[sock->side], conn->host[!sock->side]);
		if (n > 1 && sim_fault(sim, SIM_NET_CHUNKS, conn->host[sock->side]->name))
			n = (uint32_t)prng_range(&sim->prng[SIM_STREAM_NET], 1, min_u64(n, 1500));
		struct piece *piece = conn_push(conn, sock->side, PIECE_DATA, n);
		conn_gather(op, sock->send_off, piece->data, n);
		sock->send_off += n;
		if (sock->send_off == op->progress) {
			sock->send_op = NULL;
			sim_io_complete(sock_io(sock), op, (int64_t)sock->send_off);
			if (sock->fin_wanted)
				conn_send_fin(sock);
		}
	}
}

/* ---- arriving ------------------------------------------------------------------------------ */

static void conn_heard(struct conn *conn, unsigned from)
{
	struct pipe *pipe = &conn->pipe[from];

	if (conn_path_ok(conn, !from))
		pipe->unheard_ns = list_empty(&pipe->flight) ? 0 : conn->sim->now_ns;
}

static void conn_arrived(struct conn *conn, unsigned from, struct piece *piece)
{
	struct sim *sim = conn->sim;
	struct pipe *pipe = &conn->pipe[from];
	struct io_sock *to = conn->end[!from];

	if (!to) { /* CO4: nobody there any more */
		bool data = piece->kind == PIECE_DATA;
		piece_free(sim, pipe, piece);
		if (data && conn->end[from])
			conn_push(conn, !from, PIECE_RST, 0);
		return;
	}
	if (to->error) { /* CO1: there may be a gap before these */
		piece_free(sim, pipe, piece);
		return;
	}
	if (piece->kind == PIECE_DATA) {
		list_del(&piece->link);
		list_add_tail(&pipe->here, &piece->link);
		conn_heard(conn, from);
	} else if (piece->kind == PIECE_FIN) {
		pipe->ended = true;
		piece_free(sim, pipe, piece);
	} else {
		piece_free(sim, pipe, piece);
		sock_break(to, -ECONNRESET);
	}
	conn_wake_reader(to);
}

static void conn_arrive(struct sim *sim, struct sim_event *event)
{
	struct pipe *pipe = container_of(event, struct pipe, arrive);
	struct conn *conn = pipe->conn;
	unsigned from = pipe->from;
	struct piece *first;

	sim->busy--;
	while ((first = list_first(&pipe->flight, struct piece, link)) &&
	       first->at_ns <= sim->now_ns) {
		if (!conn->host[!from]->up) {
			piece_free(sim, pipe, first); /* no one hears it, no one answers */
			continue;
		}
		if (!conn_path_ok(conn, from)) {
			pipe->held = true;
			pipe->held_ns = sim->now_ns;
			return;
		}
		conn_arrived(conn, from, first);
	}
	pipe_schedule(sim, pipe);
}

void conn_heal(struct conn *conn, unsigned from)
{
	struct sim *sim = conn->sim;
	struct pipe *pipe = &conn->pipe[from], *back = &conn->pipe[!from];
	struct piece *piece;

	if (back->unheard_ns && list_empty(&back->flight))
		back->unheard_ns = 0; /* the answers come through now */
	if (!pipe->held)
		return;
	/* retransmitted, in order: pauses between tries double, so after as long again at most */
	uint64_t wait = max_u64(sim->now_ns - pipe->held_ns, CONN_RETRY_NS);
	uint64_t at = sim->now_ns + prng_below(&sim->prng[SIM_STREAM_NET], wait);
	list_for_each(piece, &pipe->flight, link)
		piece->at_ns = max_u64(piece->at_ns, at);
	pipe->last_ns = max_u64(pipe->last_ns, at);
	pipe->held = false;
	pipe_schedule(sim, pipe);
}

/* Has the sender been heard within its patience? */
static void conn_give_up(struct sim *sim, struct sim_event *event)
{
	struct pipe *pipe = container_of(event, struct pipe, give_up);
	struct conn *conn = pipe->conn;
	unsigned side = pipe->from;
	struct io_sock *sock = conn->end[side];

	if (!sock || !pipe->unheard_ns)
		return;
	uint64_t end = pipe->unheard_ns + conn_patience(sock);
	if (end > sim->now_ns) {
		sim_at(sim, event, end, conn_give_up);
		return;
	}
	sim_trace(sim, "conn %llu: %s gives up", (unsigned long long)conn->id,
		  conn->host[side]->name);
	if (prng_below(&sim->prng[SIM_STREAM_NET], 2)) /* or the net has it still */
		pipe_stop(sim, pipe);
	sock_break(sock, -ETIMEDOUT);
}

/* ---- keepalive ------------------------------------------------------------------------------- */

/* The other end does not answer, or not for this connection. */
static bool conn_is_fine(const struct conn *conn, unsigned side)
{
	return conn->end[!side] && conn_path_ok(conn, side) && conn_path_ok(conn, !side);
}

static void conn_keepalive(struct sim *sim, struct sim_event *event)
{
	struct pipe *pipe = container_of(event, struct pipe, keepalive);
	struct conn *conn = pipe->conn;
	struct io_sock *sock = conn->end[pipe->from];

	if (!sock || conn_is_fine(conn, pipe->from))
		return;
	bool answered = conn_path_ok(conn, pipe->from) && conn_path_ok(conn, !pipe->from);
	sim_trace(sim, "conn %llu: keepalive of %s", (unsigned long long)conn->id,
		  conn->host[pipe->from]->name);
	sock_break(sock, answered ? -ECONNRESET : -ETIMEDOUT);
}

void conn_probe(struct conn *conn)
{
	for (unsigned side = 0; side < 2; side++) {
		struct io_sock *sock = conn->end[side];
		struct pipe *pipe = &conn->pipe[side];
		if (sock && sock->opts.keepalive_s && !pipe->keepalive.pos &&
		    !conn_is_fine(conn, side))
			sim_after(conn->sim, &pipe->keepalive, sock->opts.keepalive_s * SIM_S,
				  conn_keepalive);
	}
}

/* ---- the end of an end (CO4) ------------------------------------------------------------------- */

static void conn_leave(struct io_sock *sock)
{
	struct conn *conn = sock->conn;
	struct sim *sim = conn->sim;
	struct pipe *in = conn_inbound(sock);

	conn->end[sock->side] = NULL;
	pieces_drop(sim, in, &in->here);
	sim_unschedule(sim, &conn->pipe[sock->side].give_up);
	sim_unschedule(sim, &conn->pipe[sock->side].keepalive);
	struct io_sock *peer = conn->end[!sock->side];
	sock_free(sock);
	if (peer && peer->send_op)
		conn_pump(peer);
	conn_maybe_free(conn);
}

void conn_vanish_end(struct io_sock *sock)
{
	struct conn *conn = sock->conn;
	bool last = !conn->end[!sock->side];

	conn_leave(sock);
	if (!last)
		conn_probe(conn);
}

/* A broken end has nothing more to tell: its peer finds out, or not. */
void conn_close_end(struct io_sock *sock)
{
	struct conn *conn = sock->conn;

	if (sock->error) {
		conn_vanish_end(sock);
		return;
	}
	if (!list_empty(&conn_inbound(sock)->here))
		conn_push(conn, sock->side, PIECE_RST, 0);
	else
		conn_send_fin(sock);
	conn_leave(sock);
}
