/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring_priv - what the files of the io_uring backend share.
 *
 * Ladder: uring_wait, uring_fd, uring_buf (parts of the ring) < uring_file, uring_fs,
 * uring_send, uring_recv, uring_sock, uring_listen, uring_watch, uring_child (kinds of
 * work) < uring (the table of operations, the turn).
 *
 * A CQE's user_data is a pointer whose three low bits say what it points to:
 *
 *	TAG_OP		  struct io_op, one-shot work: uring.c switches on its code
 *	TAG_EVENT	  struct uring_event in a stream object: its function is called
 *	TAG_CANCEL_OP	  the same structs; how cancelling them went
 *	TAG_CANCEL_EVENT
 *
 * U1. An object with an SQE out lives until its last CQE came, whatever its owner did:
 *     it counts them, and the closed one frees itself at zero.
 * U2. fds are closed only when no SQE names them any more: one that is queued but not yet
 *     submitted would hit whoever got the number next.
 * U3. uring_sqe() never fails: a full ring is submitted first.
 * U4. A cancel can miss what is just between two states in the kernel (-ENOENT): then it is
 *     sent again. So that this is known while the object still lives, the last CQE of what
 *     is being cancelled is held back until that of the cancel has come.
 */
#ifndef IO_URING_PRIV_H
#define IO_URING_PRIV_H

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/bitmap.h"
#include "base/must.h"
#include "io/uring.h"
#include "io/work_priv.h"

#define URING_ENTRIES_DEFAULT	     1024u
#define URING_ENTRIES_MAX	     32768u
#define URING_CQ_TIMES		     4u
#define URING_FEED		     4u /* reads and writes that are queued before they are submitted */
#define URING_FILES_MAX		     4096u /* registered file slots */
#define URING_BUF_BYTES_DEFAULT	     ((size_t)16 << 20)
#define URING_BUF_BYTES_MAX	     ((size_t)1 << 30)
#define URING_BUF_CHUNK		     ((size_t)2 << 20)
#define URING_BUF_PAGE		     ((size_t)4096)
#define URING_RECV_BUFS_DEFAULT	     128u
#define URING_RECV_BUFS_MAX	     32768u
#define URING_RECV_BUF_BYTES_DEFAULT (32u << 10)
#define URING_RECV_BUF_BYTES_MAX     (1u << 20)
#define URING_WORKERS_DEFAULT	     4u
#define URING_WORK_QUEUE_DEFAULT     256u
#define URING_RW_RETRIES_MAX	     64u /* of one -EAGAIN or -EINTR after another */
#define URING_SLOT_NONE		     (-1)

enum { TAG_OP, TAG_EVENT, TAG_CANCEL_OP, TAG_CANCEL_EVENT, TAG_MASK = 7 };

/* op->priv: [0] of all ops; the others are of their kind. */
enum { OP_STATE, OP_TOTAL, OP_FN, OP_RETRIES };

enum {
	STATE_NONE, /* not ours, or on the list of those to be told */
	STATE_RING, /* the kernel has it */
	STATE_WORK, /* a worker has it */
	STATE_RECV, /* an IO_RECV fed from provided buffers */
	STATE_MASK = 7,
	STATE_CANCELLED = 8,   /* asked for */
	STATE_CANCEL_OUT = 16, /* and the CQE of the cancel has not come */
	STATE_ENDED = 32,      /* but the op's own last one has: res and flags are kept */
};

struct uring;
struct uring_event;

typedef void (*uring_event_fn)(struct uring *u, struct uring_event *ev, int res, unsigned flags);

struct uring_event {
	uring_event_fn fn;
	bool is_armed; /* an SQE is out whose last CQE has not come */
	bool is_cancelling;
	bool is_cancel_out; /* the CQE of the cancel has not come */
	bool has_ended;	    /* but the last of its own: these */
	int end_res;
	unsigned end_flags;
};

/* A file as SQEs name it: by slot when it is registered. */
struct uring_fd {
	int fd;
	int slot; /* or URING_SLOT_NONE */
	int sqe_fd;
	uint8_t sqe_flags;
};

/* Of the handles of one open file: they may be on several threads. */
struct uring_lock {
	atomic_uint handles;
};

struct io_file {
	struct io *io;
	struct uring_fd fd;
	enum io_kind kind;
	bool is_direct;
	struct uring_lock *lock; /* NULL: not locked; the last handle's */
};

/* See uring_wait.c. */
enum uring_wait_kind { WAIT_FILE, WAIT_PEER, WAIT_KINDS };

struct uring_wait {
	uint64_t spin_max_ns;		      /* the user's bound; 0: never spin */
	uint64_t wake_ns;		      /* what a sleep adds to a wait */
	uint64_t sleep_cpu_ns;		      /* processor time it costs */
	uint64_t predicted_ns[WAIT_KINDS];    /* how long the next wait will be */
	struct uring_event alarm, alarm_move; /* the timeout op; bringing it forward */
	uint64_t alarm_ns;		      /* it goes off then, if armed */
	struct __kernel_timespec alarm_at;    /* the kernel reads it on submission */
	uint64_t stream_ns; /* when a stream, a wake or a signal last brought something */
};

/* The region of registered buffers: see uring_buf.c. */
struct uring_bufs {
	uint8_t *base;	    /* of the reserved addresses; NULL: none */
	size_t bytes;	    /* wanted */
	unsigned chunks;    /* registered so far, from base on */
	bool is_refused;    /* the kernel will register no more */
	bool is_table;	    /* the sparse table exists */
	struct bitmap used; /* pages */
	uint64_t *words;
};

/* Provided buffers: see uring_recv.c. */
struct uring_rbufs {
	struct io_uring_buf_ring *ring; /* NULL: not made yet */
	uint8_t *base;
	unsigned count, bytes;
	unsigned added; /* given back in this turn, not yet told to the kernel */
};

struct uring {
	struct io io; /* first: a struct io * is a struct uring * */

	/* written by other threads */
	_Alignas(64) atomic_uint woken;
	atomic_uint is_asleep;
	int wake_fd;

	/* the owner's */
	_Alignas(64) struct io_uring ring;
	struct list done;	 /* ops to be told in the next turn, by op->link */
	struct list work_failed; /* ops that no worker took; told in the next turn */
	struct list ready;	 /* sockets to be looked at after the batch, by sock->ready_link */
	uint64_t in_ring;	 /* one-shot ops in the kernel */
	uint64_t in_socks;	 /* of them, receives, sends and connects */
	uint64_t in_work;	 /* with workers */
	uint64_t in_recv;	 /* STATE_RECV */
	uint64_t closing;	 /* closed objects whose last CQE has not come (U1) */
	unsigned told;		 /* callbacks of this turn */
	struct uring_wait wait;
	struct io_stats stats;
	struct uring_bufs bufs;
	struct uring_rbufs rbufs;
	struct bitmap slots; /* registered files in use; bits 0: none registered */
	uint64_t slot_words[BITMAP_WORDS(URING_FILES_MAX)];
	bool has_zc_report;
	struct uring_event wake_event;
	struct list children; /* alive and unowned ones too */
	pthread_t thread;
	struct work_pool work;
};

static inline struct uring *uring_of(struct io *io)
{
	return (struct uring *)io;
}

/* ---- uring.c --------------------------------------------------------------- */

extern const struct io_ops uring_ops;

/* A cleared SQE (U3). */
struct io_uring_sqe *uring_sqe(struct uring *u);

/* Tell the submitter in the next turn. */
void uring_finish_later(struct uring *u, struct io_op *op, int64_t res);

/* Tell it now; only from inside the turn, as the last thing done with the op. */
static inline void uring_finish(struct uring *u, struct io_op *op, int64_t res)
{
	op->res = res;
	op->priv[OP_STATE] = (void *)STATE_NONE;
	u->told++;
	op->done(op);
}

static inline uintptr_t op_state(const struct io_op *op)
{
	return (uintptr_t)op->priv[OP_STATE];
}

static inline bool op_is_cancelled(const struct io_op *op)
{
	return op_state(op) & STATE_CANCELLED;
}

static inline uint64_t op_total(const struct io_op *op)
{
	return (uintptr_t)op->priv[OP_TOTAL];
}

/* The SQE's op is in the kernel from now on. One that was cancelled does not come here again. */
static inline void uring_sqe_op(struct uring *u, struct io_uring_sqe *sqe, struct io_op *op)
{
	sqe->user_data = (uintptr_t)op | TAG_OP;
	op->priv[OP_STATE] = (void *)STATE_RING;
	u->in_ring++;
}

static inline void uring_sqe_event(struct io_uring_sqe *sqe, struct uring_event *ev)
{
	must(!ev->is_armed);
	sqe->user_data = (uintptr_t)ev | TAG_EVENT;
	ev->is_armed = true;
	ev->is_cancelling = false;
}

/* Ask the kernel to end it, if it is armed and not being cancelled yet; its last CQE comes all the same. */
void uring_cancel_event(struct uring *u, struct uring_event *ev);

/* Run fn on a worker, then finish(u, op) in a turn (default: tell the submitter). */
typedef void (*uring_finish_fn)(struct uring *u, struct io_op *op);
void uring_work(struct uring *u, struct io_op *op, work_fn fn, uring_finish_fn finish,
		bool is_bounded);

/* Bytes of the iovecs; -EINVAL: more than a limit of io.h. */
MUST_USE int uring_iov_total(const struct iovec *iov, uint32_t count, uint64_t *ret);

/* What is left after `progress` bytes: a single iovec cut at its start, or whole ones. */
struct uring_rest {
	struct iovec first;
	const struct iovec *iov; /* first.iov_len 0: these */
	uint32_t count;
};
struct uring_rest uring_iov_rest(const struct iovec *iov, uint32_t count, uint64_t progress);

unsigned uring_turn(struct io *io, uint64_t until_ns);
void uring_wake(struct io *io);
void uring_wake_arm(struct uring *u);
void uring_wake_event(struct uring *u, struct uring_event *ev, int res, unsigned flags);

/* ---- uring_open.c ---------------------------------------------------------- */

void uring_close(struct io *io);

/* ---- uring_wait.c ---------------------------------------------------------- */

void uring_wait_init(struct uring *u, const struct uring_opts *opts);

/* Submit, and fetch what is there. */
void uring_wait_fetch(struct uring *u);

/* The same, and wait until something comes or the time has. */
void uring_wait_until(struct uring *u, uint64_t until_ns);

/* A device works while we go on queueing: give it the first few at once. */
static inline void uring_wait_feed(struct uring *u)
{
	if (io_uring_sq_ready(&u->ring) >= URING_FEED) {
		u->stats.enters++;
		int r = io_uring_submit(&u->ring);
		must(r >= 0 || r == -EAGAIN || r == -EBUSY || r == -EINTR);
	}
}

/* How long a spin may last now; 0: sleep. */
uint64_t uring_wait_budget(const struct uring *u);

/* Something outside of the one-shot ops has happened: more may follow soon. */
static inline void uring_wait_stream(struct uring *u)
{
	u->wait.stream_ns = u->io.turn_ns;
}

uint64_t uring_clock(void);

/* ---- uring_fd.c ------------------------------------------------------------ */

void uring_fd_table_init(struct uring *u);
void uring_fd_init(struct uring *u, struct uring_fd *fd, int number);
void uring_fd_release(struct uring *u, struct uring_fd *fd); /* the slot only */

static inline void uring_sqe_fd(struct io_uring_sqe *sqe, const struct uring_fd *fd)
{
	sqe->fd = fd->sqe_fd;
	sqe->flags = fd->sqe_flags;
}

/* ---- uring_buf.c ----------------------------------------------------------- */

void *uring_buf_new(struct io *io, size_t len);
void uring_buf_free(struct io *io, void *buf, size_t len);
void uring_bufs_fini(struct uring *u);

/* The index of the registered buffer that holds all of it, or -1. */
static inline int uring_buf_index(const struct uring *u, const void *p, size_t len)
{
	size_t at = (size_t)((uintptr_t)p - (uintptr_t)u->bufs.base);

	if (at >= u->bufs.chunks * URING_BUF_CHUNK || len > URING_BUF_CHUNK - at % URING_BUF_CHUNK)
		return -1;
	return (int)(at / URING_BUF_CHUNK);
}

/* ---- uring_file.c, uring_fs.c ---------------------------------------------- */

void uring_file_rw(struct uring *u, struct io_op *op);
void uring_file_rw_cqe(struct uring *u, struct io_op *op, int res);
void uring_file_fsync(struct uring *u, struct io_op *op);
void uring_file_space(struct uring *u, struct io_op *op); /* DISCARD, ZERO, TRUNCATE */
void uring_file_space_cqe(struct uring *u, struct io_op *op, int res);
void uring_fs_submit(struct uring *u, struct io_op *op); /* OPEN .. MKDIR, RESOLVE */

/* ---- uring_sock.c and what stands on it ------------------------------------- */

struct io_sock {
	struct io *io;
	struct uring_fd fd;
	unsigned pins; /* SQEs out, and calls on the stack; 0 and closed: freed */
	bool is_closed;
	bool is_delivering; /* bytes are being handed over further up the stack */
	bool no_zerocopy;
	struct io_sock_opts opts;
	struct sockaddr_storage addr; /* for the connect in flight */

	/* receiving: uring_recv.c */
	io_recv_fn fn; /* NULL: stopped */
	void *fn_ctx;
	struct uring_event recv; /* the multishot receive */
	struct io_op *recv_op;	 /* an IO_RECV, in the kernel or fed */
	struct queue held;	 /* bytes that nobody wanted yet */
	int end;		 /* what comes after them: 1: more, 0: end of stream, < 0: error */
	struct list_link ready_link;
	struct msghdr recv_msg;

	/* sending: uring_send.c */
	struct io_op *send_op;
	unsigned send_notifs; /* zero-copy notifications to come */
	struct msghdr send_msg;
};

/* Takes the number; closes it on failure. */
MUST_USE int uring_sock_new(struct uring *u, int number, const struct io_sock_opts *opts,
			    struct io_sock **ret);
void uring_sock_pin(struct io_sock *sock);
void uring_sock_unpin(struct io_sock *sock);
MUST_USE int uring_sock_set(int number, int family, const struct io_sock_opts *opts);
/* Its length; 0: not an address. */
socklen_t uring_addr_to_kernel(const struct io_addr *addr, struct sockaddr_storage *ret);
void uring_addr_from_kernel(const struct sockaddr_storage *from, socklen_t len,
			    struct io_addr *ret);
void uring_sock_peer(struct io_sock *sock, struct io_addr *ret);
void uring_sock_local(struct io_sock *sock, struct io_addr *ret);
void uring_sock_shutdown(struct io_sock *sock);
void uring_sock_close(struct io_sock *sock);
int uring_sock_detach(struct io_sock *sock, struct io_sock_token *ret);
int uring_sock_adopt(struct io *io, const struct io_sock_token *token, struct io_sock **ret);
void uring_connect(struct uring *u, struct io_op *op);
void uring_connect_cqe(struct uring *u, struct io_op *op, int res);

void uring_recv_event(struct uring *u, struct uring_event *ev, int res, unsigned flags);
void uring_recv_fini(struct io_sock *sock);
void uring_recv_close(struct io_sock *sock);
void uring_recv_start(struct io_sock *sock, io_recv_fn fn, void *ctx);
void uring_recv_stop(struct io_sock *sock);
MUST_USE int uring_recv_detach(struct io_sock *sock); /* -EBUSY: bytes or work left */
void uring_recv(struct uring *u, struct io_op *op);
void uring_recv_cqe(struct uring *u, struct io_op *op, int res);
void uring_recv_cancel(struct uring *u, struct io_op *op);
void uring_recv_ready(struct uring *u);
void uring_rbufs_give(struct uring *u);
void uring_rbufs_fini(struct uring *u);

void uring_send(struct uring *u, struct io_op *op);
void uring_send_cqe(struct uring *u, struct io_op *op, int res, unsigned flags);

int uring_listen(struct io *io, const struct io_addr *addr, const struct io_sock_opts *opts,
		 io_accept_fn fn, void *ctx, struct io_listener **ret, struct err *err);
void uring_listener_addr(struct io_listener *l, struct io_addr *ret);
void uring_listener_close(struct io_listener *l);

/* ---- uring_watch.c, uring_child.c ------------------------------------------- */

int uring_watch(struct io *io, int fd, unsigned events, io_watch_fn fn, void *ctx,
		struct io_watch **ret);
void uring_watch_set(struct io_watch *w, unsigned events);
void uring_watch_free(struct io_watch *w);
int uring_signal(struct io *io, int signo, io_signal_fn fn, void *ctx, struct io_signal **ret);
void uring_signal_free(struct io_signal *s);
void uring_spawn(struct uring *u, struct io_op *op);
void uring_child_wait(struct io_child *c, io_child_fn fn, void *ctx);
int uring_child_kill(struct io_child *c, int signo);
void uring_child_free(struct io_child *c);
void uring_children_forget(struct uring *u);

#endif
