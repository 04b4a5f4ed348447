/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_conn_priv - the data side: shards, connections, requests, memory, views.
 *
 * A shard is the target on one reactor. It and all below belong to that reactor, but for the
 * home part of a connection.
 */
#ifndef NVMF_TGT_CONN_PRIV_H
#define NVMF_TGT_CONN_PRIV_H

#include "bdev/lend.h"
#include "nvmf/tgt_priv.h"
#include "wire/nvme_io.h"
#include "wire/nvmetcp_parser.h"

struct tgt_req;

/* ---- tgt_buf: memory for data, by size classes ---------------------------------- */

#define TGT_BUF_CLASSES 5u
#define TGT_BUF_MIN	4096u /* << 2 * class: 4, 16, 64, 256 KiB, 1 MiB */

struct tgt_bufs {
	struct io *io;
	uint64_t max_bytes;  /* held and kept */
	uint64_t held_bytes; /* by requests */
	uint64_t held_high;
	uint64_t kept_bytes;	     /* free, for the next one */
	void *free[TGT_BUF_CLASSES]; /* LIFO through their first word */
};

void tgt_bufs_init(struct tgt_bufs *bufs, struct io *io, uint64_t max_bytes);
/* Give back what is kept; nothing is held at the end. */
void tgt_bufs_trim(struct tgt_bufs *bufs);
/* bytes: 1..TGT_DATA_MAX. force: also beyond max_bytes. NULL: not now. */
void *tgt_buf_get(struct tgt_bufs *bufs, uint32_t bytes, bool force);
void tgt_buf_put(struct tgt_bufs *bufs, void *buf, uint32_t bytes);
/* What `bytes` really takes. */
uint32_t tgt_buf_room(uint32_t bytes);

/* ---- tgt_shard (tgt_conn.c) ------------------------------------------------------- */

/* What the connections of one association hold of a reactor's memory, together. */
struct tgt_share {
	struct list_link link; /* of tgt_shard.shares */
	const struct tgt_ctrl *ctrl;
	unsigned conn_count;
	uint64_t data_bytes; /* of shard.data */
};

#define TGT_SWEEP_NS (250ull * 1000 * 1000) /* deadlines are looked at this often */

struct tgt_shard {
	struct tgt *tgt;
	struct reactor *reactor;
	struct io *io;
	struct log *log;
	unsigned index;
	struct list shares; /* tgt_share.link */
	struct list conns;  /* tgt_conn.shard_link */
	struct tgt_bufs data, capsule;
	struct list waiting; /* tgt_conn.wait_link: for memory, or with a request that does */
	struct task wake;    /* memory came back: serve them */
	struct timer sweep;  /* runs while there are connections */
	uint64_t faults, timeouts, commands, data_waits;
};

/* ---- views: a namespace as one reactor sees it ------------------------------------- */

#define TGT_BIOS_KEPT 512u

/* A bio for a namespace, and whose it is. */
struct tgt_bio {
	struct tgt_req *req;
	struct tgt_bio *next; /* free */
	struct iovec iov;
	struct bio bio; /* last: room of the drivers behind it */
};

struct tgt_view {
	struct bdev_chan *chan;
	struct tgt_ns_rules rules;
	uint32_t nsid;
	uint8_t shift;	      /* of a block */
	uint8_t epoch;	      /* of requests that go out now */
	unsigned inflight[2]; /* by epoch */
	struct tgt_bio *bios; /* free */
	unsigned bio_count;   /* free */
	struct tgt_view_stats stats;
	struct list parked;   /* tgt_req.link: paused */
	struct event drained; /* an epoch has ended */
	struct latch drain_lock;
	struct tgt_shard *shard;
};

struct tgt_view_table {
	uint32_t room;
	struct tgt_view **at; /* [nsid - 1] */
};

static inline struct tgt_view *tgt_view_find(const struct tgt_view_table *table, uint32_t nsid)
{
	return nsid - 1 < table->room ? table->at[nsid - 1] : NULL;
}

/* fn on another reactor, which never fails: waits until there is a fiber for it. */
void tgt_call_always(struct fiber *f, struct reactor *to, const char *name, fiber_fn fn, void *arg);
struct tgt_bio *tgt_view_bio(struct tgt_view *view); /* NULL: no memory */
void tgt_view_bio_put(struct tgt_view *view, struct tgt_bio *bio);

/* ---- requests ----------------------------------------------------------------------- */

enum tgt_req_state {
	TGT_REQ_FREE,
	TGT_REQ_CAPSULE, /* its in-capsule data is being received */
	TGT_REQ_MEMORY,	 /* waits for memory: conn.waiting */
	TGT_REQ_R2T,	 /* R2T is queued or sent; data is being received */
	TGT_REQ_PAUSED,	 /* view.parked */
	TGT_REQ_BIO,	 /* counted in conn.pending */
	TGT_REQ_HOME,	 /* counted in conn.pending */
	TGT_REQ_SEND,	 /* conn.send_queue */
	TGT_REQ_SENT,	 /* conn.batch: answered; its data is still being sent */
};

struct tgt_req {
	struct tgt_cmd cmd;
	struct list_link link; /* waiting, view.parked, or conn.send_queue, or conn.batch */
	struct tgt_conn *conn;
	struct tgt_view *view;	  /* BIO, PAUSED */
	struct tgt_bio *bio;	  /* BIO */
	uint8_t *buf;		  /* owned: what cmd.data points into; NULL: none */
	uint32_t buf_bytes;	  /* as asked for */
	struct tgt_bufs *bufs;	  /* where it is from */
	struct nvme_rw rw;	  /* as checked */
	struct nvmetcp_flow flow; /* R2T */
	struct bdev_loan loan;	  /* SEND, SENT: of a READ, instead of buf */
	uint16_t index;		  /* in the connection: its transfer tag */
	uint16_t cid_next;	  /* index + 1 of the next with this hash; 0: none */
	uint16_t status;	  /* of data received: digest errors */
	uint8_t state;		  /* enum tgt_req_state */
	uint8_t epoch;		  /* of view, BIO */
	uint8_t dir;		  /* enum nvme_dir */
	uint16_t step;		  /* of commands made of several bios */
	bool in_capsule;
	bool is_checked; /* tgt_io_check() was right, and nothing was waited for since */
	bool wants_r2t;	 /* SEND: an R2T, not an answer */
};

/* ---- connections --------------------------------------------------------------------- */

#define TGT_HEADS_BYTES 3584u /* of a send: heads and answers */
#define TGT_IOVS_MAX	128u  /* of a send */
#define TGT_REQ_CHUNK	8u
#define TGT_REQS_MAX	(TGT_QUEUE_ENTRIES_MAX + TGT_IOVS_MAX) /* SENT ones come on top */
#define TGT_REQ_CHUNKS	(TGT_REQS_MAX / TGT_REQ_CHUNK)
#define TGT_DIRECT_MIN	16384u /* what is left of H2CData that is received in place */

enum tgt_conn_state {
	TGT_CONN_NEW,	   /* waits for ICReq */
	TGT_CONN_STRANGER, /* waits for Connect, or for its answer */
	TGT_CONN_LIVE,
	TGT_CONN_TERM,	  /* a terminate request is under way: bytes are dropped until the end */
	TGT_CONN_CLOSING, /* the socket is closed; what was dispatched ends (N3) */
	TGT_CONN_DRAINED, /* home knows */
};

enum tgt_rx {
	TGT_RX_HEAD,
	TGT_RX_DATA,
	TGT_RX_DIGEST,
	TGT_RX_STALLED, /* no memory for in-capsule data: not reading */
	TGT_RX_DROP,	/* TERM */
};

/* What a Connect that succeeded tells the data side. */
struct tgt_admission {
	struct tgt_ctrl *ctrl;
	struct tgt_view_table *table; /* NULL: discovery */
	struct uuid host_id;
	uint64_t token;
	uint16_t qid;
	uint16_t entries;
	bool no_flow_control;
	bool vendor; /* replica control may be negotiated */
};

struct tgt_conn {
	/* data side */
	struct tgt_shard *shard;
	struct io_sock *sock; /* NULL: closed */
	struct list_link shard_link, wait_link;
	uint8_t state;	   /* enum tgt_conn_state */
	bool is_leaving;   /* a Disconnect will be answered last */
	bool is_held_back; /* receiving is stopped (STALLED) */
	unsigned pending;  /* bios, commands at home, send, receive in place */
	uint64_t admit_due_ns, pdu_due_ns, h2c_due_ns, term_due_ns; /* 0: none */

	struct tgt_admission is; /* LIVE */

	struct nvmetcp_rules rules;
	struct nvmetcp_parser parser;
	struct {
		uint8_t state; /* enum tgt_rx */
		uint8_t digest_have;
		uint8_t digest[NVMETCP_DIGEST_BYTES];
		bool has_digest;
		bool is_last;	     /* of its R2T */
		bool is_term;	     /* data of a terminate request */
		struct tgt_req *req; /* whose data comes */
		uint8_t *to;	     /* NULL: dropped */
		uint32_t left;
		uint32_t crc;
		uint32_t offset;     /* CAPSULE: of the data that counts */
		const uint8_t *head; /* of the PDU being looked at; borrowed for the call */
		uint8_t head_bytes;
		const uint8_t *behind; /* received already, and how much of it was taken */
		uint32_t behind_bytes, taken;
	} rx;
	uint8_t *held; /* bytes that came before we could stop; owned */
	uint32_t held_bytes;
	struct io_op recv_op; /* receive in place */
	struct iovec recv_iov;
	bool is_receiving;

	struct tgt_req *chunk[TGT_REQ_CHUNKS];
	unsigned chunk_count;
	struct list free;     /* tgt_req.link */
	unsigned outstanding; /* commands not yet answered */
	uint16_t sqhd;
	uint16_t *cids; /* hash of CIDs to index + 1; owned; NULL before Connect */
	uint16_t cid_mask;
	unsigned r2ts;		 /* open */
	struct tgt_share *share; /* LIVE; NULL: there was no memory for it */
	uint64_t data_bytes;	 /* of memory held from shard->data */
	struct list waiting;	 /* tgt_req.link */

	struct list send_queue, batch;
	struct task send_task;
	struct io_op send_op;
	struct iovec iov[TGT_IOVS_MAX];
	unsigned iov_count;
	bool is_sending, is_flushed_shut;
	uint8_t first[NVMETCP_IC_BYTES +
		      NVMETCP_TERM_MAX]; /* ICResp, terminate request: to be sent first */
	unsigned first_bytes;
	uint8_t heads[TGT_HEADS_BYTES];

	/* mails */
	struct mail start_mail;	  /* home -> data: begin */
	struct mail close_mail;	  /* home -> data: close it */
	struct mail gone_mail;	  /* data -> home: closed */
	struct mail drained_mail; /* data -> home -> data: drained, free it */

	/* home */
	struct tgt *tgt;
	struct tgt_port *port;	    /* borrowed; waits for us */
	struct tgt_ctrl *ctrl;	    /* NULL: not admitted */
	struct list_link home_link; /* tgt.strangers */
	struct list_link port_link; /* tgt_port.conns */
	struct list_link ctrl_link; /* tgt_ctrl.conns */
	uint16_t qid;
	bool home_closing; /* close_mail was sent, or gone_mail has come */
	bool home_gone;
	struct event *waits; /* a Connect that waits here is told when the connection is gone */
	struct tgt_admission admission; /* written before Connect is answered; then the data side's */
	struct io_addr peer, local;
	struct io_sock_token token;
	bool is_moved; /* token is to be adopted */
};

_Static_assert(sizeof(struct tgt_conn) + TGT_REQ_CHUNK * sizeof(struct tgt_req) + TGT_BUF_MIN <=
		       TGT_STRANGER_BYTES_MAX,
	       "a stranger: itself, its first requests, the data of its Connect");

/* tgt_conn.c, data side */
void tgt_conn_start(struct mail *mail, struct reactor *at);
void tgt_conn_close(struct tgt_conn *conn);
/* A terminate request, then the end. */
void tgt_conn_fault(struct tgt_conn *conn, const struct nvmetcp_fault *fault);
void tgt_conn_fault_fes(struct tgt_conn *conn, enum nvmetcp_fes fes, uint32_t fei);
/* pending has sunk. */
void tgt_conn_settle(struct tgt_conn *conn);
void tgt_conn_admitted(struct tgt_conn *conn);
void tgt_conn_close_wanted(struct mail *mail, struct reactor *at);
void tgt_conn_free(struct mail *mail, struct reactor *at);
bool tgt_conn_is_open(const struct tgt_conn *conn); /* commands are answered */
void tgt_shard_init(struct tgt_shard *shard);
void tgt_shard_sweep(struct tgt_shard *shard);	/* starts the timer */
void tgt_shard_memory(struct tgt_shard *shard); /* some came back */

/* tgt_conn_home.c, home side */
struct tgt_conn *tgt_conn_new(struct tgt *tgt, struct tgt_port *port, struct tgt_shard *shard);
void tgt_conn_home_close(struct tgt_conn *conn);
void tgt_conn_no_stranger(struct tgt_conn *conn);
void tgt_conn_gone(struct mail *mail, struct reactor *at);
void tgt_conn_drained(struct mail *mail, struct reactor *at);

/* tgt_recv.c: io_recv_fn; ctx is the connection */
void tgt_recv(void *ctx, const uint8_t *data, ssize_t len);
/* A stalled one may go on, if there is memory now. */
void tgt_recv_resume(struct tgt_conn *conn);

/* tgt_req.c */
struct tgt_req *tgt_req_get(struct tgt_conn *conn); /* NULL: no memory, or more than allowed */
struct tgt_req *tgt_req_at(struct tgt_conn *conn, uint16_t index); /* NULL: none */
void tgt_req_release(struct tgt_req *req);			   /* to free; its memory too */
void tgt_req_arrived(struct tgt_conn *conn, const struct nvmetcp_pdu *pdu);
void tgt_req_received(struct tgt_req *req);		 /* all its data is there */
void tgt_req_done(struct tgt_req *req, uint16_t status); /* N2 */
bool tgt_req_take_memory(struct tgt_req *req);		 /* it waits no more */
bool tgt_req_take_capsule(struct tgt_req *req);		 /* its data may come */
void tgt_req_forget(struct tgt_req *req);		 /* it is being answered: its CID is free */
void tgt_req_drop_all(struct tgt_conn *conn);		 /* N3: those not dispatched */
struct tgt_req *tgt_req_by_cid(struct tgt_conn *conn, uint16_t cid);
void tgt_cmd_returned(struct mail *mail, struct reactor *at);

/* tgt_io.c */
/* What can be said before its data comes; NVMe status. ret_bytes: what its data must be. */
uint16_t tgt_io_check(struct tgt_req *req);
void tgt_io_execute(struct tgt_req *req);
/* A READ whose data need not be copied is done; false: nothing was. */
bool tgt_io_lend(struct tgt_req *req);
/* The same for a WRITE, whose data is here. */
bool tgt_io_put(struct tgt_req *req, const uint8_t *data);

/* tgt_send.c */
void tgt_send(struct tgt_req *req); /* answer, or R2T, at the end of this turn */
void tgt_send_first(struct tgt_conn *conn);
void tgt_send_run(struct task *task);

#endif
