/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini_priv - the initiator's parts, lowest first:
 *
 *	ini_opts    what the URI says, and who we are
 *	ini_send    PDUs out: gathered, one send in flight
 *	ini_recv    PDUs in: checked against the commands they answer
 *	ini_queue   one connection: its commands, its start and its end
 *	ini_admin   what is said on the admin queue
 *	ini_bio     bios as commands, and commands' answers as bios' statuses
 *	ini_resv    reservations
 *	ini_vendor  vendor commands: of replicas
 *	ini_event   events and keep alive
 *	ini_visit   what home does to queues on other reactors
 *	ini_assoc   the association: all queues of one controller, up and down
 *	ini_chan    channels' queues join it and leave it
 *	ini_keeper  the fiber that notices its loss, and makes it again
 *	ini_session associations of sessions: of a channel that has fenced
 *	ini_replica replica control by vendor commands (bdev/replica.h)
 *	ini_here    URIs that lead back to our own target
 *	ini         the driver: nvmf://host:port/nqn
 *
 *   home reactor                        reactor of a channel
 *   struct ini --- admin queue          struct ini_queue (one per channel)
 *       keeper (fiber): reconnects          commands, bios that wait
 *
 * A disk has one association, which all its channels share, until one of them fences: that one has an
 * association of its own from then on, a session, whose home is the channel's reactor.
 *
 * A queue belongs to its reactor; home tells it to start and stop by fiber_call_on(), it tells
 * home of its loss by mail. The invariants I1..I5 stand in ini_assoc.c, Q1..Q6 in ini_queue.c,
 * S1..S5 in ini_session.c.
 */
#ifndef NVMF_INI_PRIV_H
#define NVMF_INI_PRIV_H

#include "base/prng.h"
#include "bdev/bdev_driver.h"
#include "bdev/iovs.h"
#include "bdev/replica.h"
#include "bdev/status.h"
#include "nvmf/ini.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "wire/nvme_fabrics.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_status.h"
#include "wire/nvme_vendor.h"
#include "wire/nvmetcp_parser.h"

#define INI_ADMIN_SLOTS 31u	    /* commands on the admin queue: one entry is never used */
#define INI_SLOTS_MAX	1000u	    /* commands of a queue */
#define INI_CID_BITS	10	    /* of a command identifier: which slot; the rest counts uses */
#define INI_IOV_MAX	256u	    /* iovecs of a command */
#define INI_BATCH_IOVS	768u	    /* of one send */
#define INI_BATCH_BYTES (1u << 20)  /* after so much a send takes no further command */
#define INI_DIRECT_MIN	(32u << 10) /* data still to come that is worth a receive of its own */
#define INI_TERM_NS	500000000u  /* for a terminate request to reach the other side */
#define INI_TRIES_MAX	5	    /* of a bio that the controller asks to try again */
#define INI_RETRY_NS	100000000u  /* until then */
#define INI_SMALL_BYTES 16u	    /* data of a command that is kept with it */
#define INI_WHY_BYTES	120
#define INI_ADDRS_MAX	8u
#define INI_VENDOR_MAX	16u /* vendor commands of an association at a time; more wait */

_Static_assert(INI_SLOTS_MAX < 1u << INI_CID_BITS, "a slot fits, and FFFFh is no command");

/* ---- ini_opts.c ---------------------------------------------------------------------- */

struct ini_opts {
	char host[256];
	uint16_t port;
	char subnqn[NVME_NQN_MAX + 1];
	char hostnqn[NVME_NQN_MAX + 1];
	struct uuid host_id;
	uint32_t nsid; /* 0: the first active one */
	bool hdgst, ddgst;
	uint32_t depth;	 /* bios in flight per channel */
	uint32_t queues; /* channels at a time */
	uint64_t max_io_bytes;
	uint32_t kato_ms;
	uint64_t timeout_ns; /* of a command */
	uint64_t connect_ns; /* of one attempt to connect a queue */
	uint64_t wait_ns;    /* bios wait so long for a lost connection */
	uint64_t loss_ns;    /* then the disk is given up */
};

/* Only where it is: host, port, names. */
MUST_USE int ini_opts_where(struct fiber *f, const struct uri *uri, struct ini_opts *ret);
MUST_USE int ini_opts_get(struct fiber *f, const struct uri *uri, struct ini_opts *ret);

extern const struct bdev_param ini_params[];

/* ---- ini_queue.c ---------------------------------------------------------------------- */

struct ini_queue;

/*
 * A command has ended. error 0: *cqe is the answer; -EBADMSG: it was answered, but the digest of
 * its data was wrong; else the connection ended and nobody knows what became of it.
 */
typedef void (*ini_done_fn)(struct ini_queue *q, void *owner, int error,
			    const struct nvme_cqe *cqe);

struct ini_cmd {
	ini_done_fn done;      /* NULL: the slot is free */
	void *owner;	       /* borrowed by done */
	struct list_link link; /* queue->free, ->sendq or ->batch */
	struct list_link age;  /* queue->age; not if it may last for ever */
	uint64_t start_ns;
	uint16_t cid;
	uint8_t dir;  /* enum nvme_dir */
	bool sent;    /* its capsule is with the kernel, or was */
	bool sending; /* in the send that is in flight (Q3) */
	bool ended;   /* answered while sending */
	bool bad_data;
	struct iov_pos pos;	  /* of the next byte to send or receive */
	uint32_t bytes;		  /* of data */
	uint32_t capsule_bytes;	  /* of them, in the capsule */
	struct nvmetcp_flow flow; /* C2HData, or R2Ts */
	struct nvmetcp_data r2t;  /* what is left of the one that is open; length 0: none */
	struct nvme_cqe cqe;
	struct iovec small_iov; /* of `small` */
	uint8_t small[INI_SMALL_BYTES];
	uint16_t head_bytes;
	uint8_t digest[NVMETCP_DIGEST_BYTES];
	uint8_t head[NVMETCP_HEAD_MAX];
};

enum ini_queue_state {
	INI_IDLE,     /* no connection */
	INI_STARTING, /* connecting, ICReq sent */
	INI_READY,    /* commands by ini_call() */
	INI_LIVE,     /* bios, too */
	INI_ENDING,   /* what is in flight ends; then IDLE */
};

struct ini_queue {
	struct ini *ini;	 /* borrowed; NULL in the tests of one queue */
	struct reactor *reactor; /* home; all below is its own but where said */
	uint16_t qid;
	uint64_t timeout_ns;
	enum ini_queue_state state;
	struct io_sock *sock; /* owned; NULL: none, or closed */
	struct nvmetcp_rules rules;
	uint32_t capsule_max; /* data in a capsule */

	struct list free;  /* ini_cmd.link */
	struct list age;   /* in order of their start */
	struct list sendq; /* something is to be sent */
	uint32_t slots, active;
	struct timer timer; /* of the oldest command; of the terminate request */

	/* out */
	struct list batch; /* in the send in flight */
	struct io_op send_op;
	bool sending;
	struct task send_task;
	uint32_t iov_count;
	struct iovec *iov; /* owned; INI_BATCH_IOVS */
	uint8_t icreq[NVMETCP_IC_BYTES];

	/* in */
	struct nvmetcp_parser parser;
	const uint8_t *rx_head; /* of the PDU at hand; borrowed while it is */
	struct ini_cmd *rx_cmd; /* whose data comes; NULL: none does */
	uint32_t rx_left;	/* bytes of data */
	uint32_t rx_crc;
	uint8_t rx_flags;
	uint8_t rx_digest_left;
	uint8_t rx_digest[NVMETCP_DIGEST_BYTES];
	struct io_op recv_op;
	bool receiving;	      /* recv_op is in flight */
	struct iovec *rx_iov; /* owned; INI_IOV_MAX */

	/* the end */
	int error;
	char why[INI_WHY_BYTES];
	uint8_t term[NVMETCP_TERM_MAX];
	struct iovec term_iov;
	uint32_t term_bytes; /* 0: none is due */
	struct task end_task;
	struct event changed; /* started, ended */

	/* bios: ini_bio.c */
	struct list waiting; /* bio.link: for the connection */
	struct list later;   /* bio.link: the controller asked us to try again */
	struct timer wait_timer, later_timer;
	int fail;	/* 0, or what bios end with at once */
	uint64_t token; /* of the session; a bio with a smaller one is refused. 0: of none */

	/* home's */
	struct list_link home_link;
	struct fiber *starter; /* of ini_start_all() */
	struct mail lost_mail;
	uint64_t generation; /* of the association it belongs to; set before it starts */
	bool lost_sent;
	char lost_why[INI_WHY_BYTES]; /* home reads it between the mail and the next start */

	struct ini_cmd cmds[];
};

MUST_USE int ini_queue_new(struct reactor *reactor, struct ini *ini, uint32_t slots,
			   struct ini_queue **ret);
void ini_queue_free(struct ini_queue *q); /* IDLE */

/* TCP and ICReq/ICResp; then it is READY. Worded. */
MUST_USE int ini_queue_start(struct fiber *f, struct ini_queue *q, const struct io_addr *addr,
			     const struct ini_opts *opts);

/* The connection ends now, whatever its state; returns when it is IDLE. */
void ini_queue_stop(struct fiber *f, struct ini_queue *q);

/* It is lost, or must be given up: commands end soon with an error. Does nothing if it is ENDING or IDLE. */
void ini_queue_lost(struct ini_queue *q, int error, const char *why);
/* The same because of what the controller sent; tells it, where the specification wants that. */
void ini_queue_fault(struct ini_queue *q, const struct nvmetcp_fault *fault, const uint8_t *header,
		     size_t size);
/* ENDING: has all that was in flight come back? */
void ini_queue_settle(struct ini_queue *q);

/* A free slot, or NULL. */
struct ini_cmd *ini_cmd_get(struct ini_queue *q);

struct ini_data {
	const struct iovec *iov; /* borrowed until done */
	uint32_t iov_count;
	uint32_t bytes;
};

/* Sets cid, SGL; *sqe need not stay. `forever`: it has no timeout. */
void ini_cmd_start(struct ini_cmd *cmd, struct nvme_sqe *sqe, const struct ini_data *data,
		   bool forever, ini_done_fn done, void *owner);

/* Slot of a cid the controller named; NULL: it has no such command. */
struct ini_cmd *ini_cmd_find(struct ini_queue *q, uint16_t cid);
struct ini_queue *ini_cmd_queue(struct ini_cmd *cmd);

/* Answered, or not (error): the slot is free, then done() is called. Q3 is the caller's. */
void ini_cmd_end(struct ini_queue *q, struct ini_cmd *cmd, int error);

/*
 * A command for a slow path; data may be NULL. 0: *ret is the answer, which may be a refusal.
 * Worded if it fails ("reading X: ..."). Not cancellable, but bounded by the timeout of the queue.
 */
MUST_USE int ini_call(struct fiber *f, struct ini_queue *q, struct nvme_sqe *sqe, void *data,
		      uint32_t bytes, const char *doing, struct nvme_cqe *ret);
/* The same, and a refusal is a failure. */
MUST_USE int ini_call_ok(struct fiber *f, struct ini_queue *q, struct nvme_sqe *sqe, void *data,
			 uint32_t bytes, const char *doing, struct nvme_cqe *ret);

/* ---- ini_send.c, ini_recv.c ------------------------------------------------------------ */

void ini_send_init(struct ini_queue *q);
void ini_send_want(struct ini_queue *q, struct ini_cmd *cmd); /* it has something to send */
void ini_send_term(struct ini_queue *q);

void ini_recv(void *ctx, const uint8_t *data, ssize_t len); /* io_recv_fn */

/* ---- ini_admin.c ------------------------------------------------------------------------ */

/* What the controller said of itself. */
struct ini_ctrl {
	uint16_t cntlid;
	uint16_t entries;      /* of a queue */
	uint32_t capsule_max;  /* data in a capsule of an I/O queue */
	uint64_t max_io_bytes; /* MDTS; UINT64_MAX: no limit */
	uint32_t queues;       /* I/O queues it gave */
	uint16_t oncs;
	uint16_t ofcs;
	bool volatile_cache;
	bool keep_alive;
	bool vendor;	     /* it offered vendor commands, and we took them */
	uint64_t page_bytes; /* unit of the limits */
	uint64_t max_zeroes_bytes, max_unmap_blocks; /* UINT64_MAX: no limit */
};

/* And of the namespace. */
struct ini_ns {
	uint32_t nsid;
	uint64_t blocks;
	uint32_t block_size, physical_block_size, optimal_io_blocks;
	uint8_t dlfeat;
	uint8_t rescap;
	bool read_only;
	struct uuid uuid, nguid; /* nil: none */
	uint8_t eui64[8];
};

/* Connect of queue q->qid. */
MUST_USE int ini_admin_connect(struct fiber *f, struct ini_queue *q, const struct ini_opts *opts,
			       uint16_t cntlid, uint32_t kato_ms, uint16_t *ret_cntlid);
/* From connected to enabled and known; ret->cntlid is set already. */
MUST_USE int ini_admin_enable(struct fiber *f, struct ini_queue *q, const struct ini_opts *opts,
			      struct ini_ctrl *ret);
/* nsid 0: the first. -ENODEV: there is none. */
MUST_USE int ini_admin_namespace(struct fiber *f, struct ini_queue *q, uint32_t nsid,
				 struct ini_ns *ret);
/* Reads, and so clears, the list of changed namespaces. */
MUST_USE int ini_admin_changed(struct fiber *f, struct ini_queue *q, uint32_t nsid, bool *ret);
void ini_admin_shutdown(struct fiber *f, struct ini_queue *q);

/* ---- ini_bio.c -------------------------------------------------------------------------- */

struct ini_req {
	uint64_t start_ns;
	uint8_t tries;
};

void ini_bio_init(struct ini_queue *q);
void ini_bio_submit(struct bio *bio);
void ini_bio_go(struct ini_queue *q);		    /* LIVE: those that waited, too */
void ini_bio_down(struct ini_queue *q);		    /* the connection is lost: the wait begins */
void ini_bio_fail(struct ini_queue *q, int status); /* those that wait, and all to come */
void ini_bio_deposed(struct ini_queue *q); /* the same with -ESTALE, also those to be tried again */

/* ---- ini_assoc.c ------------------------------------------------------------------------- */

enum ini_state { INI_DOWN, INI_UP, INI_GONE };

struct ini {
	struct bdev *bdev;	   /* borrowed: the disk */
	struct reactor *bdev_home; /* const */
	struct ini_opts opts;
	struct reactor *home; /* all below is its own */
	enum ini_state state;
	uint64_t generation;		     /* of the association */
	struct ini_queue *admin;	     /* owned */
	struct io_addr addrs[INI_ADDRS_MAX]; /* of the host */
	struct io_addr addr;		     /* of the association */
	struct ini_ctrl ctrl;
	struct ini_ns ns;   /* as first seen, but for its size */
	struct list queues; /* ini_queue.home_link */
	uint32_t queue_count;
	struct latch latch; /* who changes the association or its queues */
	struct fiber *keeper;
	struct event wake; /* of the keeper: one of these */
	bool lost, changed, stopping;
	unsigned leaving; /* channels that wait for the latch to go */
	struct timer keep_alive;
	bool keep_alive_sent;
	struct prng prng;
	uint64_t key;	 /* registered: again after each return; 0: none */
	bool is_replica; /* it has answered Info */
	bool is_session; /* of one channel, under the token that is its key */
	bool has_incarnation;
	uint64_t incarnation; /* of the replica, when the session began (I5) */
	int refused;	      /* DOWN: the controller answers, and does not want us */
	int gone;	      /* GONE: what bios end with */
	struct event moved;   /* state or `refused` has changed */
	struct sema vendor;   /* vendor commands that may begin */
	unsigned calls;	      /* of them, begun or waiting */
	uint64_t reconnects;
	char why[INI_WHY_BYTES + 16]; /* it was lost */
};

/* What is opened: the disk, and the association of all channels that have no session. */
struct ini_disk {
	struct bdev bdev;
	struct ini base;
};

struct ini_chan {
	struct ini_queue *q; /* owned; of the session, if there is one */
	struct ini *session; /* owned, at home here; NULL: it has not fenced */
};

static inline struct ini *ini_of(struct bdev *bdev)
{
	return &container_of(bdev, struct ini_disk, bdev)->base;
}

static inline struct ini_chan *ini_chan_of(struct bdev_chan *chan)
{
	return bdev_chan_priv(chan);
}

/* Entries of an I/O queue that are used. */
uint32_t ini_slots(const struct ini *ini);

/* On the queue's reactor: home must know. */
void ini_assoc_lost(struct ini_queue *q);

/* The error of a connection that went away, or never came. */
bool ini_is_loss(int r);

void ini_assoc_lock(struct fiber *f, struct ini *ini);
/* Who wants the latch for an end (ini->leaving, ->stopping) does not wait for a return to succeed. */
void ini_assoc_hurry(struct ini *ini);
/* Under the latch. All queues are there, or (failed) all are idle. */
MUST_USE int ini_assoc_up(struct fiber *f, struct ini *ini, bool first);
void ini_assoc_down(struct fiber *f, struct ini *ini);
/* Is it still there, the same, and how large? -ENODEV, -ESTALE: it is not. */
MUST_USE int ini_assoc_look_again(struct fiber *f, struct ini *ini);

/* ---- ini_visit.c ------------------------------------------------------------------------- */

typedef int (*ini_visit_fn)(struct fiber *f, struct ini_queue *q, const struct ini *ini);

/* From home; its result and words. */
int ini_visit(struct fiber *f, struct ini *ini, struct ini_queue *q, ini_visit_fn fn);
/* Every queue in turn, until one fails. */
int ini_visit_all(struct fiber *f, struct ini *ini, ini_visit_fn fn);
/* ini_at_start() of all at the same time; all have ended when it returns. */
int ini_start_all(struct fiber *f, struct ini *ini);

int ini_at_start(struct fiber *f, struct ini_queue *q, const struct ini *ini);
int ini_at_register(struct fiber *f, struct ini_queue *q, const struct ini *ini);
int ini_at_go(struct fiber *f, struct ini_queue *q, const struct ini *ini);
int ini_at_stop(struct fiber *f, struct ini_queue *q, const struct ini *ini);
/* A stop for good. */
int ini_at_leave(struct fiber *f, struct ini_queue *q, const struct ini *ini);
/* It has no connection: the wait begins. */
int ini_at_down(struct fiber *f, struct ini_queue *q, const struct ini *ini);
/* Bios do not wait any more; the disk is gone. */
int ini_at_refused(struct fiber *f, struct ini_queue *q, const struct ini *ini);
int ini_at_gone(struct fiber *f, struct ini_queue *q, const struct ini *ini);

/* ---- ini_event.c ------------------------------------------------------------------------- */

void ini_event_start(struct ini *ini);
void ini_keep_alive_start(struct ini *ini);

/* ---- ini_keeper.c ------------------------------------------------------------------------ */

/* Connects, looks at the namespace, starts the keeper. Worded. */
MUST_USE int ini_keeper_open(struct fiber *f, struct ini *ini);
/* The same for a session: what it must be is known, and its queue is listed. */
MUST_USE int ini_keeper_open_session(struct fiber *f, struct ini *ini);
void ini_keeper_close(struct fiber *f, struct ini *ini);
MUST_USE int ini_keeper_rescan(struct fiber *f, struct ini *ini);

/* ---- ini_chan.c -------------------------------------------------------------------------- */

/* On the queue's reactor; leave: it is idle afterwards. */
MUST_USE int ini_chan_join(struct fiber *f, struct ini *ini, struct ini_queue *q);
void ini_chan_leave(struct fiber *f, struct ini *ini, struct ini_queue *q);
void ini_list_queue(struct ini *ini, struct ini_queue *q);

/* ---- ini_resv.c ---------------------------------------------------------------------------- */

/* On the queue's reactor; register `key` whatever was registered before. */
MUST_USE int ini_resv_again(struct fiber *f, struct ini_queue *q, uint32_t nsid, uint64_t key);
void ini_resv_leave(struct fiber *f, struct ini_queue *q);

/* ---- ini_vendor.c -------------------------------------------------------------------------- */

struct ini_vendor {
	struct nvme_vendor_cmd cmd;
	void *data; /* borrowed; NULL: none */
	uint32_t bytes;
	const char *doing;
	uint64_t ret_result;
};

/* On the admin queue q, which is READY; worded. */
MUST_USE int ini_vendor_send(struct fiber *f, struct ini_queue *q, uint32_t nsid,
			     struct ini_vendor *v);
/*
 * From any reactor; waits for a lost connection as long as bios would, and then sends it again:
 * each of these commands may be done twice.
 */
MUST_USE int ini_vendor_call(struct fiber *f, struct ini *ini, struct ini_vendor *v);
/* Info, by the first way and by the second. */
MUST_USE int ini_vendor_look(struct fiber *f, struct ini *ini, struct replica_info *ret);
MUST_USE int ini_vendor_info(struct fiber *f, struct ini *ini, struct replica_info *ret);

/* ---- ini_session.c, ini_replica.c, ini_here.c, ini.c ----------------------------------------------------- */

/* The channel gets an association of its own under this token; its old one ends. */
MUST_USE int ini_session_begin(struct fiber *f, struct bdev_chan *chan, uint64_t token);
void ini_session_end(struct fiber *f, struct ini_chan *ic);

/* bdev_driver.is_here */
int ini_is_here(struct fiber *f, const struct uri *uri, char ret_name[BDEV_NAME_MAX]);

extern const struct bdev_replica_ops ini_replica_ops;
extern const struct bdev_status_ops ini_status_ops;
extern const struct bdev_driver ini_replica_driver;

#endif
