/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn - one connection: two ends, and a pipe each way.
 *
 *   send --> flight (pieces, each with a time of arrival) --> here (arrived, unread) --> receiver
 *
 * CO1. Bytes of a pipe arrive in order, each once, or not at all; pieces of different
 *      connections have no order.
 * CO2. A pipe never has more than its room in flight and unread: then the sender waits.
 * CO3. What has arrived is read before the end of stream or the error behind it.
 * CO4. An end that is closed sends what it was given, then a FIN; with unread bytes a RST. What an
 *      end has sent that gives up may still be under way. One that vanished (power, half-open)
 *      sends nothing, and answers with a RST when its host is up.
 */
#ifndef SIM_CONN_H
#define SIM_CONN_H

#include "sim/sim_priv.h"

#define CONN_PIECE_MAX	 65536u
#define CONN_ROOM_MIN	 8192u
#define CONN_DELIVER_MAX 32u /* pieces a turn */
#define CONN_LOCAL_NS	 (3 * SIM_US)
#define CONN_RETRY_NS	 (400 * SIM_MS) /* of bytes that were held for a moment */
#define LISTENER_BACKLOG 128u

enum piece_kind { PIECE_DATA, PIECE_FIN, PIECE_RST };

struct piece {
	struct list_link link;
	enum piece_kind kind;
	uint64_t at_ns;
	uint32_t len, off; /* off: read already */
	uint8_t data[];
};

struct pipe {
	struct conn *conn;
	unsigned from;		    /* the end that sends */
	struct list flight, here;   /* struct piece */
	uint64_t bytes;		    /* in both */
	uint64_t room;		    /* CO2 */
	uint64_t last_ns;	    /* the latest time of arrival given out */
	struct sim_event arrive;    /* of the first in flight */
	struct sim_event give_up;   /* the sender looks whether it was heard */
	struct sim_event keepalive; /* the sender looks whether the other end is there */
	uint64_t unheard_ns;	    /* since when there are bytes without an answer; 0: none */
	uint64_t held_ns;	    /* held: since when */
	bool held;		    /* the first in flight came to a cut */
	bool ended;		    /* a FIN is here */
};

struct conn {
	struct list_link link; /* of the world */
	struct sim *sim;
	uint64_t id;
	bool local;		  /* within a host: no cuts */
	struct sim_host *host[2]; /* of the ends: 0 connected, 1 accepted */
	struct io_addr addr[2];
	struct io_sock *end[2]; /* NULL: closed or vanished */
	struct pipe pipe[2];	/* from end 0, from end 1 */
};

struct io_sock {
	struct io *io; /* NULL: between detach and adopt */
	struct sim_proc *proc;
	struct list_link link; /* of the process */
	struct conn *conn;
	unsigned side;
	struct io_sock_opts opts;
	struct sim_ready ready;
	struct sim_event late; /* a slow reader looks later */
	io_recv_fn fn;
	void *ctx;
	struct io_op *recv_op, *send_op;
	uint64_t send_off;
	int error;	       /* behind what is here (CO3) */
	bool final;	       /* fn has been told the end */
	bool shut, fin_wanted; /* a FIN was sent; goes after this send */
	bool in_fn, dead;
};

struct io_listener {
	struct io *io;
	struct sim_proc *proc;
	struct list_link link;	    /* of the process */
	struct list_link host_link; /* of the host */
	struct io_addr addr;
	struct io_sock_opts opts;
	io_accept_fn fn;
	void *ctx;
	struct sim_ready ready;
	struct io_sock *waiting[LISTENER_BACKLOG];
	unsigned waiting_count;
	bool in_fn, dead;
};

/* Both ends made; belongs to the world. */
struct conn *conn_new(struct sim_io *client, const struct io_addr *client_addr,
		      const struct io_sock_opts *client_opts, struct sim_io *server,
		      const struct io_addr *server_addr, const struct io_sock_opts *server_opts);

static inline struct sim_io *sock_io(const struct io_sock *sock)
{
	return container_of(sock->io, struct sim_io, io);
}

static inline struct pipe *conn_inbound(const struct io_sock *sock)
{
	return &sock->conn->pipe[!sock->side];
}

void sock_ready_run(struct sim_io *io, struct sim_ready *ready);
void piece_free(struct sim *sim, struct pipe *pipe, struct piece *piece);

bool conn_path_ok(const struct conn *conn, unsigned from); /* from this end to the other, now */
void conn_pump(struct io_sock *sock);
bool conn_cancel(struct io_sock *sock, struct io_op *op);
void conn_wake_reader(struct io_sock *sock);
void conn_send_fin(struct io_sock *sock);
/* The kernel's close of an end; the sock is gone. */
void conn_close_end(struct io_sock *sock);
void conn_vanish_end(struct io_sock *sock);
/* After a heal of the way from this end to the other. */
void conn_heal(struct conn *conn, unsigned from);
void conn_probe(struct conn *conn);
void net_cut_for_a_while(struct sim_host *from, struct sim_host *to);

#endif
