/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link - a socket, with or without TLS, for who has bytes to send when it is asked for some.
 *
 *	OPENING (TLS shakes hands) -> OPEN -> CLOSED (a send may be under way) -> gone
 *
 * LK1. input() gets plain bytes in order; output() is asked for some when the socket takes more.
 * LK2. Nothing is sent, and none of the functions called, from inside a call of this header (RP5).
 * LK3. After link_close() only gone() is called, once, from the loop; then its memory may end.
 * LK4. At most one send is in flight, of the link's own buffer.
 */
#ifndef RPC_LINK_PRIV_H
#define RPC_LINK_PRIV_H

#include "base/err.h"
#include "io/io.h"
#include "reactor/reactor.h"
#include "rpc/rpc.h"

#define LINK_OUT_BYTES	 32768u
#define LINK_PLAIN_BYTES 16384u /* with TLS: one record */

struct link;
struct tls_conn;

struct link_ops {
	void (*opened)(struct link *link); /* TLS has shaken hands; without TLS: from link_start() */
	void (*input)(struct link *link, const uint8_t *data, size_t len);
	/* Up to `room` bytes; 0: none now. Never more than it is asked for. */
	size_t (*output)(struct link *link, uint8_t *buf, size_t room);
	/* The stream ended (0) or failed (negative; words in link->err). Close it. */
	void (*lost)(struct link *link, int error);
	void (*gone)(struct link *link); /* LK3 */
};

struct link {
	const struct link_ops *ops;
	struct reactor *reactor;
	struct io *io;
	struct io_sock *sock; /* owned; NULL: closed */
	struct tls_conn *tls; /* owned; NULL: plain */
	struct task flush_task, end_task;
	struct io_op send_op;
	struct iovec send_iov;
	struct err err;
	bool is_open, is_closed, is_sending, is_paused;
	bool is_refused;      /* by TLS, on either side: an alert is sent yet */
	uint64_t send_ns;     /* when the send in flight began; 0: none */
	uint64_t recv_ns;     /* when the last bytes came */
	uint8_t *out, *plain; /* owned; plain: with TLS */
};

/*
 * Takes the socket, whatever it returns. tls NULL: plain; name: as tls_conn_new().
 */
MUST_USE int link_start(struct link *link, const struct link_ops *ops, struct reactor *r,
			struct io_sock *take_sock, struct rpc_tls *tls, const char *name);

/* There is something to send: output() will be asked, a turn later. */
void link_kick(struct link *link);

/* Back-pressure: no input() until link_resume(). */
void link_pause(struct link *link);
void link_resume(struct link *link);

void link_close(struct link *link);

#endif
