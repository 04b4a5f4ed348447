/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io - the one door to the kernel.
 *
 * A struct io is what a reactor has in place of an operating system: clocks,
 * randomness, memory, files, sockets, child processes, worker threads. There
 * are two of them: io_uring (uring.h) and the simulated world (sim/). Nothing
 * else in this tree calls the kernel.
 *
 * Work is asked for with a struct io_op that the caller owns: fill it with one
 * of the io_prep_*() functions, hand it to io_submit(), and `done` is called
 * once, from io_turn(), never from inside io_submit(). What comes many times
 * (connections, bytes of a stream, readiness, signals) has a function of its
 * own, which is called until it is stopped.
 *
 * IO1. A struct io belongs to one thread; only io_wake() and io_now() may be called by others.
 * IO2. An op submitted is completed exactly once, also when it is cancelled,
 *      and until then its op, iovecs and buffers belong to the backend.
 * IO3. Callbacks run only inside io_turn().
 * IO4. A read is short only at the end of the file; a write or a send is whole
 *      or an error. Backends continue what the kernel cut short.
 * IO5. After io_recv_stop(), io_listener_close(), io_sock_close(),
 *      io_watch_free() return, their function is not called again.
 * IO6. Bytes of a stream are delivered once, in order, also across a change
 *      between io_recv_start() and IO_RECV.
 * IO7. A lock belongs to what IO_OPEN opened: it ends when the last handle of it is closed (that of
 *      IO_OPEN, those of IO_SHARE), or with the process, but never before the last request
 *      in flight through one of them has ended, also if the process is killed.
 *
 * Times are nanoseconds; sizes and offsets bytes; results 0, a count, or a
 * negative errno.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include "io/op.h"
#include "io/prep.h"

/* ---- things that happen many times -------------------------------------- */

/* A connection came (res 0; sock is the callee's), or accepting failed for good (res < 0, sock NULL). */
typedef void (*io_accept_fn)(void *ctx, int res, struct io_sock *sock);

/* len > 0: bytes, valid during the call only, all consumed by it; 0: end of stream; < 0: error. The last two come once and are final. */
typedef void (*io_recv_fn)(void *ctx, const uint8_t *data, ssize_t len);

enum { IO_READABLE = 1, IO_WRITABLE = 2 };
typedef void (*io_watch_fn)(void *ctx, unsigned events);
typedef void (*io_signal_fn)(void *ctx, int signo);
typedef void (*io_child_fn)(void *ctx, int exit_code, int term_signal);

/* What a connection leaves behind when it moves to another reactor. */
struct io_sock_token {
	uintptr_t handle;
	struct io_sock_opts opts;
	struct io_addr peer;
};

struct io_stats {
	uint64_t turns;		/* calls of io_turn */
	uint64_t sleeps;	/* of them, that slept in the kernel */
	uint64_t spins;		/* that spun */
	uint64_t spin_hits;	/* spins that ended with an event */
	uint64_t spin_ns;	/* time spent spinning without an event */
	uint64_t submits;	/* ops given to the kernel */
	uint64_t enters;	/* system calls of the ring */
	uint64_t inflight;	/* one-shot ops now in the kernel */
	uint64_t spin_budget_ns; /* what a spin may now last; 0: does not pay */
};

struct io_ops {
	const char *name;
	uint64_t (*now_ns)(struct io *io);
	uint64_t (*wall_ns)(struct io *io);
	void (*random)(struct io *io, void *buf, size_t len);

	void (*submit)(struct io *io, struct io_op *op);
	void (*cancel)(struct io *io, struct io_op *op);
	unsigned (*turn)(struct io *io, uint64_t until_ns);
	void (*wake)(struct io *io);

	void *(*buf_new)(struct io *io, size_t len);
	void (*buf_free)(struct io *io, void *buf, size_t len);

	/* Stacks of fibers (io/stack.h). Optional, both or none: NULL maps pages of the machine. */
	int (*stack_map)(struct io *io, size_t bytes, void **ret_low, size_t *ret_bytes);
	void (*stack_unmap)(struct io *io, void *low, size_t bytes);

	int (*listen)(struct io *io, const struct io_addr *addr, const struct io_sock_opts *opts,
		      io_accept_fn fn, void *ctx, struct io_listener **ret, struct err *err);
	void (*listener_addr)(struct io_listener *l, struct io_addr *ret);
	void (*listener_close)(struct io_listener *l);
	void (*recv_start)(struct io_sock *sock, io_recv_fn fn, void *ctx);
	void (*recv_stop)(struct io_sock *sock);
	void (*sock_peer)(struct io_sock *sock, struct io_addr *ret);
	void (*sock_local)(struct io_sock *sock, struct io_addr *ret);
	void (*sock_shutdown)(struct io_sock *sock);
	void (*sock_close)(struct io_sock *sock);
	int (*sock_detach)(struct io_sock *sock, struct io_sock_token *ret);
	int (*sock_adopt)(struct io *io, const struct io_sock_token *token, struct io_sock **ret);

	int (*watch)(struct io *io, int fd, unsigned events, io_watch_fn fn, void *ctx,
		     struct io_watch **ret);
	void (*watch_set)(struct io_watch *w, unsigned events);
	void (*watch_free)(struct io_watch *w);
	int (*signal)(struct io *io, int signo, io_signal_fn fn, void *ctx, struct io_signal **ret);
	void (*signal_free)(struct io_signal *s);
	void (*child_wait)(struct io_child *c, io_child_fn fn, void *ctx);
	int (*child_kill)(struct io_child *c, int signo);
	void (*child_free)(struct io_child *c);

	void (*stats)(struct io *io, struct io_stats *ret);
	void (*close)(struct io *io);
};

struct io {
	const struct io_ops *ops;
	struct mem *mem;	/* borrowed */
	uint64_t turn_ns;	/* the clock when this turn's events were fetched: cheap and good enough for deadlines and statistics */
};

/* Monotonic time now; never 0. */
static inline uint64_t io_now(struct io *io)
{
	return io->ops->now_ns(io);
}

/* Nanoseconds since 1970. May jump either way. */
static inline uint64_t io_wall(struct io *io)
{
	return io->ops->wall_ns(io);
}

static inline void io_random(struct io *io, void *buf, size_t len)
{
	io->ops->random(io, buf, len);
}

/* Hand an op over; its `done` will run in a turn to come (IO2, IO3). Never fails here. */
static inline void io_submit(struct io *io, struct io_op *op)
{
	io->ops->submit(io, op);
}

/* Ask that an op in flight ends early, with -ECANCELED if that was possible. */
static inline void io_cancel(struct io *io, struct io_op *op)
{
	io->ops->cancel(io, op);
}

/*
 * Submit what is pending, run the callbacks of what has completed and, if there was
 * nothing, wait for something until `until_ns` (monotonic; 0: do not wait). Returns how
 * many callbacks ran. The simulator never waits.
 */
static inline unsigned io_turn(struct io *io, uint64_t until_ns)
{
	return io->ops->turn(io, until_ns);
}

/* Any thread: a waiting io_turn() returns, or the next one does not wait. */
static inline void io_wake(struct io *io)
{
	io->ops->wake(io);
}

static inline void io_stats(struct io *io, struct io_stats *ret)
{
	io->ops->stats(io, ret);
}

/* End of the backend: nothing may be in flight. */
static inline void io_close(struct io *io)
{
	io->ops->close(io);
}

/* Zeroed memory that belongs to this process (in the simulator: dropped by its crash). NULL: out of memory. */
static inline void *mem_new(struct io *io, size_t size)
{
	return mem_alloc(io->mem, size);
}

/*
 * Memory for device I/O: aligned to 4096, from the registered region while there is room
 * (one iovec in it becomes a fixed-buffer operation), else ordinary. Not zeroed.
 */
static inline void *io_buf_new(struct io *io, size_t len)
{
	return io->ops->buf_new(io, len);
}

static inline void io_buf_free(struct io *io, void *buf, size_t len)
{
	io->ops->buf_free(io, buf, len);
}

/* ---- streams, watches, signals, children --------------------------------- */

/* Words its own error. The address may have port 0; ask io_listener_addr() for the real one. */
MUST_USE static inline int io_listen(struct io *io, const struct io_addr *addr,
				     const struct io_sock_opts *opts, io_accept_fn fn, void *ctx,
				     struct io_listener **ret, struct err *err)
{
	return io->ops->listen(io, addr, opts, fn, ctx, ret, err);
}

/* The rest takes its io from the object, which starts with a struct io * (struct io_handle). */
struct io_handle {
	struct io *io;
};

static inline const struct io_ops *io_ops_of(const void *object)
{
	return ((const struct io_handle *)object)->io->ops;
}

static inline void io_listener_addr(struct io_listener *l, struct io_addr *ret)
{
	io_ops_of(l)->listener_addr(l, ret);
}

static inline void io_listener_close(struct io_listener *l)
{
	io_ops_of(l)->listener_close(l);
}

static inline void io_recv_start(struct io_sock *sock, io_recv_fn fn, void *ctx)
{
	io_ops_of(sock)->recv_start(sock, fn, ctx);
}

/* Back-pressure: bytes that came meanwhile wait for the next start or IO_RECV (IO5, IO6). */
static inline void io_recv_stop(struct io_sock *sock)
{
	io_ops_of(sock)->recv_stop(sock);
}

static inline void io_sock_peer(struct io_sock *sock, struct io_addr *ret)
{
	io_ops_of(sock)->sock_peer(sock, ret);
}

/* Its own end: of a listener on all addresses, the one that was connected to. */
static inline void io_sock_local(struct io_sock *sock, struct io_addr *ret)
{
	io_ops_of(sock)->sock_local(sock, ret);
}

/* No more is sent; the peer reads an end of stream. */
static inline void io_sock_shutdown(struct io_sock *sock)
{
	io_ops_of(sock)->sock_shutdown(sock);
}

/* At once for the caller. Ops in flight still complete, with -ECANCELED (IO2). */
static inline void io_sock_close(struct io_sock *sock)
{
	io_ops_of(sock)->sock_close(sock);
}

/* Move a connection to another io: nothing in flight, receiving stopped, no unread bytes (-EBUSY otherwise). On success `sock` is gone. */
MUST_USE static inline int io_sock_detach(struct io_sock *sock, struct io_sock_token *ret)
{
	return io_ops_of(sock)->sock_detach(sock, ret);
}

/* On failure the connection is closed. */
MUST_USE static inline int io_sock_adopt(struct io *io, const struct io_sock_token *token,
					 struct io_sock **ret)
{
	return io->ops->sock_adopt(io, token, ret);
}

/* A foreign library's fd: fn is called while it is ready (level). The fd is not closed by us. */
MUST_USE static inline int io_watch_fd(struct io *io, int fd, unsigned events, io_watch_fn fn,
				       void *ctx, struct io_watch **ret)
{
	return io->ops->watch(io, fd, events, fn, ctx, ret);
}

static inline void io_watch_set(struct io_watch *w, unsigned events)
{
	io_ops_of(w)->watch_set(w, events);
}

static inline void io_watch_free(struct io_watch *w)
{
	io_ops_of(w)->watch_free(w);
}

/* The signal must be blocked in every thread (io_block_signals() before any is started). */
MUST_USE static inline int io_signal_watch(struct io *io, int signo, io_signal_fn fn, void *ctx,
					   struct io_signal **ret)
{
	return io->ops->signal(io, signo, fn, ctx, ret);
}

static inline void io_signal_free(struct io_signal *s)
{
	io_ops_of(s)->signal_free(s);
}

/* fn is called once, when the child has ended; if it has already, in the next turn. */
static inline void io_child_wait(struct io_child *c, io_child_fn fn, void *ctx)
{
	io_ops_of(c)->child_wait(c, fn, ctx);
}

MUST_USE static inline int io_child_kill(struct io_child *c, int signo)
{
	return io_ops_of(c)->child_kill(c, signo);
}

/* A child that still runs is left alone, and reaped by nobody but the kernel. */
static inline void io_child_free(struct io_child *c)
{
	io_ops_of(c)->child_free(c);
}

#endif
