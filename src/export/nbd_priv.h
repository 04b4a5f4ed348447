/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_priv - what the files of the NBD server share.
 *
 *	FLAGS -> OPTION -> DATA ---> answered, next OPTION
 *	            \----> SKIP --/
 *	GO, EXPORT_NAME -> REQUEST -> PAYLOAD -> REQUEST     all ways: DRAIN -> DEAD
 *	                        \---> DISCARD ---/
 *
 * NP1. A connection and all it has belong to its side's reactor from nbd_conn_start() until it
 *      has ended; then its memory goes home by mail.
 * NP2. A connection that is DEAD is freed when nothing of it is in flight: requests, its send, its
 *      receive.
 * NP3. Bytes that were handed over but cannot be taken now are held, once: while a connection is
 *      blocked nothing is received.
 * NP4. Requests in flight on a view keep its connection, which keeps the view.
 */
#ifndef EXPORT_NBD_PRIV_H
#define EXPORT_NBD_PRIV_H

#include "base/bucket.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/slab.h"
#include "bdev/bdev.h"
#include "bdev/lend.h"
#include "export/nbd.h"
#include "io/io.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "wire/nbd_io.h"
#include "wire/nbd_option.h"

struct nbd_conn;
struct nbd_req;
struct nbd_side;

/* ---- memory ------------------------------------------------------------------------ */

#define NBD_BUF_MIN	4096u
#define NBD_BUF_CLASSES 9u /* 4 KiB .. 1 MiB are kept for the next; larger ones go back */

struct nbd_bufs {
	struct io *io;
	struct queue kept[NBD_BUF_CLASSES];
	uint64_t kept_bytes, used_bytes, limit_bytes;
};

void nbd_bufs_init(struct nbd_bufs *bufs, struct io *io, uint64_t limit_bytes);
void nbd_bufs_fini(struct nbd_bufs *bufs);
/* NULL: not now. *ret_bytes: how many it really has, for nbd_buf_put(). */
void *nbd_buf_get(struct nbd_bufs *bufs, uint32_t bytes, uint32_t *ret_bytes);
void nbd_buf_put(struct nbd_bufs *bufs, void *buf, uint32_t bytes);

/* ---- shares and views ----------------------------------------------------------------- */

struct nbd_share {
	struct list_link link; /* server->shares */
	uint64_t id;	       /* 1, 2, ... */
	struct bdev *bdev;     /* owned */
	struct bdev_claim claim;
	bool read_only;
	char name[NBD_SHARE_NAME_MAX + 1];
	char description[NBD_DESCRIPTION_MAX + 1];
};

#define NBD_REGION_SHIFT 22 /* 4 MiB, of which is known whether they are all data */
#define NBD_REGIONS	 256u

struct nbd_view {
	struct list_link link; /* side->views */
	struct nbd_share *share;
	struct bdev_chan *chan; /* owned */
	struct slab reqs;
	unsigned conns; /* in transmission */
	struct event idle;
	bool going;
	/* Region number + 1: no holes when it was looked at. Wrong only to the safe side: data is read. */
	uint64_t regions[NBD_REGIONS];
};

/* ---- a request ---------------------------------------------------------------------------- */

#define NBD_SPARSE_MIN	   65536u /* reads of less are not asked for holes */
#define NBD_SPARSE_PARTS   16u	  /* of one read; what is behind is data */
#define NBD_STATUS_EXTENTS 511u	  /* of an answer: with its head a buffer of NBD_BUF_MIN */

struct nbd_part {
	uint32_t at, length; /* of the request */
	bool is_hole;
};

struct nbd_req {
	struct list_link link; /* side->slow, conn->out or conn->sending */
	struct nbd_conn *conn;
	struct nbd_request ask;
	uint32_t error;		/* enum nbd_error */
	uint32_t received;	/* bytes of a write's payload */
	uint32_t buf_bytes;	/* of buf */
	uint32_t reply_bytes;	/* block status: of the answer in buf */
	uint8_t *buf;		/* owned; NULL: none */
	struct nbd_part *parts; /* owned; a read with holes */
	unsigned part_count;
	struct bdev_loan loan; /* of a read: instead of buf */
	struct iovec iov;
	struct bio bio; /* last */
};

/* nbd_req.c. NULL: blocked, and on the side's list of those who wait. */
struct nbd_req *nbd_req_new(struct nbd_conn *conn, const struct nbd_request *ask, uint32_t bytes);
void nbd_req_free(struct nbd_req *req);
/* A write whose payload is here, from where it lies; false: nothing was done. */
bool nbd_req_put(struct nbd_conn *conn, const struct nbd_request *ask, const uint8_t *payload);
/* All of it is here: do it. */
void nbd_req_go(struct nbd_req *req);
/* A read as it is, of all that was asked for. */
void nbd_req_read(struct nbd_req *req);
void nbd_req_done(struct nbd_req *req, uint32_t error);

/* nbd_sparse.c */
void nbd_slow_add(struct nbd_req *req);
/* Is it worth to ask for holes? */
bool nbd_sparse_wants(const struct nbd_req *req);
void nbd_sparse_forget(struct nbd_view *view, uint64_t offset, uint32_t length);

/* ---- a connection ---------------------------------------------------------------------------- */

#define NBD_SHAKE_IN   8192u /* data of one option */
#define NBD_SHAKE_OUT  4096u /* one piece of an answer */
#define NBD_SEND_IOVS  128u
#define NBD_SEND_HEADS 4096u
#define NBD_SKIP_MAX   (64u << 20) /* payload that is read only to be refused */
#define NBD_DIRECT_MIN 49152u	   /* payload still to come that is received in its place */

enum nbd_conn_state {
	NBD_CONN_FLAGS,
	NBD_CONN_OPTION,
	NBD_CONN_DATA,
	NBD_CONN_SKIP,
	NBD_CONN_REQUEST,
	NBD_CONN_PAYLOAD,
	NBD_CONN_DISCARD,
	NBD_CONN_DRAIN,
	NBD_CONN_DEAD
};

/* What the handshake needs and transmission does not. */
struct nbd_shake {
	struct nbd_option option;
	uint32_t refused;		/* NBD_REP_ERR_x, when the data are skipped */
	uint32_t have;			/* bytes of `in` */
	uint32_t options;		/* so far */
	bool no_zeroes, listing, going; /* going: transmission follows the answer; */
	bool leaving;			/* ... or the end */
	uint64_t listed;		/* LIST: id of the last that was told */
	uint64_t meta;			/* id of the share whose context was set; 0: none */
	uint32_t out_bytes;
	struct iovec iov;
	uint8_t in[NBD_SHAKE_IN];
	uint8_t out[NBD_SHAKE_OUT];
};

/* What is being sent. */
struct nbd_gather {
	unsigned iov_count;
	uint32_t head_bytes;
	uint64_t bytes;
	struct iovec iov[NBD_SEND_IOVS];
	uint8_t heads[NBD_SEND_HEADS];
};

struct nbd_conn {
	struct list_link home_link; /* server->conns: home's */
	struct nbd_server *server;
	struct io_addr peer;
	struct io_sock_token token;
	struct mail mail;

	struct nbd_side *side;
	struct list_link link;	       /* side->conns */
	struct list_link starved_link; /* side->starved */
	struct io_sock *sock;	       /* owned; NULL: closed */
	enum nbd_conn_state state;
	enum nbd_drop why;
	bool taking;  /* nbd_conn_take() is on the stack */
	bool blocked; /* NP3 */
	bool full;    /* ... because so many requests are in flight */
	bool structured;
	bool ending;
	uint8_t *held; /* owned */
	uint32_t held_at, held_bytes;
	uint32_t head_have;
	uint8_t head[NBD_REQUEST_BYTES];
	uint64_t skip;		   /* SKIP, DISCARD: bytes to go */
	struct nbd_shake *shake;   /* owned; until transmission */
	struct nbd_gather *gather; /* owned; from then on */
	struct nbd_view *view;	   /* counted in its conns */
	struct nbd_rules rules;
	struct nbd_req *filling; /* PAYLOAD, DISCARD */
	unsigned inflight;
	struct list out, sending;
	struct task send_task, wake_task, end_task;
	struct io_op send_op, recv_op;
	struct iovec recv_iov;
	bool send_busy, recv_busy;
	struct timer timer;
	uint64_t shake_due_ns;
	uint64_t message_ns, send_ns; /* since when; 0: none has begun */
	uint64_t message_bytes;
};

/* nbd_conn.c */
void nbd_conn_start(struct nbd_conn *conn);
/* Bytes of the stream, or those that are held. */
void nbd_conn_take(struct nbd_conn *conn, const uint8_t *data, size_t len);
size_t nbd_conn_collect(struct nbd_conn *conn, const uint8_t *data, size_t len, uint32_t want);
void nbd_conn_unblock(struct nbd_conn *conn);
/* Nothing more is received; what is in flight is answered. */
void nbd_conn_drain(struct nbd_conn *conn, enum nbd_drop why);
/* Over at once. */
void nbd_conn_drop(struct nbd_conn *conn, enum nbd_drop why);
/* Something of it has ended (NP2). */
void nbd_conn_settle(struct nbd_conn *conn);
/* A deadline has come into being. */
void nbd_conn_watch(struct nbd_conn *conn);

/* nbd_shake.c, nbd_recv.c: how many bytes they took. */
void nbd_shake_start(struct nbd_conn *conn);
size_t nbd_shake_flags(struct nbd_conn *conn, const uint8_t *data, size_t len);
size_t nbd_shake_option(struct nbd_conn *conn, const uint8_t *data, size_t len);
size_t nbd_shake_data(struct nbd_conn *conn, const uint8_t *data, size_t len);
size_t nbd_shake_skip(struct nbd_conn *conn, const uint8_t *data, size_t len);
size_t nbd_recv_request(struct nbd_conn *conn, const uint8_t *data, size_t len);
size_t nbd_recv_payload(struct nbd_conn *conn, const uint8_t *data, size_t len);
size_t nbd_recv_discard(struct nbd_conn *conn, const uint8_t *data, size_t len);
/* What is left of a payload, straight to its place, if that pays. */
void nbd_recv_direct(struct nbd_conn *conn);

/* nbd_send.c */
void nbd_send_task(struct task *task);
void nbd_send_bytes(struct nbd_conn *conn, const struct iovec *iov, unsigned iov_count,
		    uint64_t bytes, void (*done)(struct io_op *op));
/* True: it is dead now. */
bool nbd_send_ended(struct nbd_conn *conn, int64_t res);

/* ---- sides and server -------------------------------------------------------------------------- */

struct nbd_side {
	struct nbd_server *server;
	struct reactor *reactor;
	struct io *io;
	struct list views, conns;
	struct list starved; /* connections that wait for memory, first come */
	struct task feed;
	struct timer retry;
	struct list slow; /* requests for a fiber */
	unsigned slow_fibers;
	struct event slow_idle, conns_idle;
	struct nbd_bufs bufs;
	struct nbd_stats stats;
	bool stopping;
};

MUST_USE int nbd_side_new(struct fiber *f, struct nbd_server *server, struct nbd_side **ret);
/* Drained first. */
void nbd_side_free(struct fiber *f, struct nbd_side *side);
void nbd_side_starve(struct nbd_side *side, struct nbd_conn *conn);
/* Memory has come back. */
void nbd_side_feed(struct nbd_side *side);
/* "": the default. NULL: none, or it is going. */
struct nbd_view *nbd_side_find(struct nbd_side *side, const char *name, size_t length);
void nbd_side_conn_ended(struct nbd_conn *conn);

MUST_USE int nbd_view_open(struct fiber *f, struct nbd_side *side, struct nbd_share *share);
void nbd_view_close(struct fiber *f, struct nbd_side *side, struct nbd_share *share);

struct nbd_server {
	struct reactor *home;
	struct mem *mem;
	struct nbd_opts opts;
	struct list shares;
	unsigned share_count;
	struct io_listener *listeners[NBD_LISTENERS_MAX];
	unsigned listener_count;
	struct list conns; /* home_link */
	unsigned conn_count;
	struct bucket accepts;
	struct event conns_idle;
	unsigned side_count, turn;
	uint64_t conns_total, conns_refused, next_id;
	struct nbd_side *sides[REACTORS_MAX]; /* owned */
};

/* From an ended connection; on the side's reactor. */
void nbd_server_conn_ended(struct nbd_conn *conn);

MUST_USE int nbd_share_new(struct fiber *f, struct nbd_server *server,
			   const struct nbd_share_args *args, struct nbd_share **ret);
void nbd_share_free(struct fiber *f, struct nbd_share *share);

#endif
