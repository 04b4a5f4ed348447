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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/lang.h"
#include "base/list.h"
#include "base/mem.h"

struct err;
struct io;
struct io_op;
struct io_file;
struct io_sock;
struct io_listener;
struct io_watch;
struct io_signal;
struct io_child;

#define IO_FOREVER UINT64_MAX
#define IO_PATH_MAX 4096	/* with its NUL */
#define IO_IOV_MAX 1024		/* iovecs of one op */
#define IO_XFER_MAX (1u << 30)	/* bytes of one read, write, send or receive */

/* ---- one-shot work ------------------------------------------------------ */

enum io_code {
	IO_NOP,		/* completes in the next turn */
	IO_READ,
	IO_WRITE,
	IO_FSYNC,	/* covers the writes completed before it was submitted */
	IO_DISCARD,	/* contents become undefined or zero; best effort */
	IO_ZERO,	/* reads as zeros afterwards */
	IO_TRUNCATE,	/* sets the size of a regular file */
	IO_OPEN,
	IO_SHARE,	/* one more handle of an open file */
	IO_CLOSE,
	IO_STAT,
	IO_LIST,
	IO_RENAME,
	IO_UNLINK,
	IO_MKDIR,
	IO_CONNECT,
	IO_SEND,
	IO_RECV,
	IO_RESOLVE,
	IO_WORK,
	IO_SPAWN,
	IO_CODES
};

enum io_op_flag {
	IO_DSYNC = 1 << 0,	/* WRITE: durable when done (FUA) */
	IO_DATASYNC = 1 << 1,	/* FSYNC: data and what is needed to read it back */
	IO_KEEP_ALLOC = 1 << 2, /* ZERO: do not give the space back */
	IO_ZEROCOPY = 1 << 3,	/* SEND: ask for zero copy; may be ignored */
};

enum io_open_flag {
	IO_OPEN_READ = 1 << 0,
	IO_OPEN_WRITE = 1 << 1,
	IO_OPEN_CREATE = 1 << 2,
	IO_OPEN_EXCL = 1 << 3,	 /* with CREATE: must not exist; on a block device: nobody else may have it mounted or claimed */
	IO_OPEN_DIRECT = 1 << 4, /* O_DIRECT */
	IO_OPEN_LOCK = 1 << 5,	 /* -EBUSY if another open holds the file for writing (flock): see IO7 */
	IO_OPEN_TRUNC = 1 << 6,
	IO_OPEN_DIR = 1 << 7,	 /* a directory, for IO_FSYNC */
};

enum io_kind { IO_KIND_NONE, IO_KIND_FILE, IO_KIND_DIR, IO_KIND_BLOCK, IO_KIND_OTHER };

/* What IO_STAT tells. Limits are 0 where unknown; for regular files they are the filesystem's. */
struct io_stat {
	enum io_kind kind;
	uint64_t size_bytes;
	uint64_t dev, ino;	 /* identity: of the device node's target for block devices */
	uint32_t logical_block;	 /* block devices: logical sector size; files: smallest O_DIRECT unit, or 1 */
	uint32_t physical_block;
	uint32_t mem_align;	 /* O_DIRECT alignment of memory */
	uint32_t max_io_bytes;
	uint32_t discard_bytes;	 /* granularity; 0: no discard */
	uint32_t mode;
	uint64_t mtime_ns;
	bool volatile_cache;	 /* a completed write may be lost with the power until IO_FSYNC */
	bool rotational;
	bool read_only;
};

/* IO_LIST calls this once an entry, from io_turn(), before `done`; order: by name. Return != 0 ends the listing with it. */
typedef int (*io_list_fn)(void *ctx, const char *name, enum io_kind kind);

#define IO_ADDR_TEXT_MAX 128

/* A numeric address: TCP over IPv4 or IPv6, or a Unix path. */
struct io_addr {
	uint16_t family; /* AF_INET, AF_INET6, AF_UNIX */
	uint16_t port;	 /* host order */
	uint8_t ip[16];
	char path[108];
};

struct io_sock_opts {
	bool nagle;		  /* leave Nagle's algorithm on; default off */
	uint32_t keepalive_s;	  /* 0: none */
	uint32_t user_timeout_ms; /* TCP_USER_TIMEOUT; 0: the kernel's */
	uint32_t rcvbuf_bytes, sndbuf_bytes;
	uint32_t zerocopy_min_bytes; /* sends of at least this use zero copy; 0: never (default) */
};

struct io_spawn {
	const char *const *argv; /* argv[0] is the path; NULL-terminated */
	const char *const *envp; /* NULL: empty environment */
	struct io_sock **ret_stdin, **ret_stdout, **ret_stderr; /* NULL: /dev/null */
	struct io_child **ret_child;
};

struct io_op {
	/* in */
	void (*done)(struct io_op *op);
	enum io_code code;
	uint32_t flags;
	union {
		struct {
			struct io_file *file;
			const struct iovec *iov; /* READ, WRITE; stays until done */
			uint32_t iov_count;
			uint64_t off;
			uint64_t len; /* DISCARD, ZERO; TRUNCATE: the size */
		} file;
		struct {
			const char *path, *path2; /* stay until done */
			struct io_file *file;	  /* STAT of an open file: path NULL; SHARE */
			uint32_t mode;
			void *ret; /* struct io_file ** or struct io_stat * */
			io_list_fn list_fn;
			void *list_ctx;
		} fs;
		struct {
			struct io_sock *sock;
			const struct iovec *iov;
			uint32_t iov_count;
			const struct io_addr *addr; /* CONNECT */
			const struct io_sock_opts *opts;
			struct io_sock **ret_sock;
		} net;
		struct {
			const char *host; /* RESOLVE: a name or a numeric address */
			uint16_t port;
			struct io_addr *ret_addrs;
			uint32_t addrs_max; /* res: how many were found */
		} name;
		struct {
			int64_t (*fn)(void *ctx); /* WORK: runs on a worker thread; its value is res */
			void *ctx;
		} work;
		struct io_spawn spawn;
	};

	/* out */
	int64_t res;

	/* the submitter's, for its `done`; backends and io_prep_*() leave it alone */
	void *owner;

	/* the backend's, between submit and done */
	struct list_link link;
	uint64_t submit_ns;
	uint64_t progress; /* bytes done so far (IO4) */
	void *priv[4];
};

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

#include "io/prep.h" /* io_prep_*(), which everybody who asks for work needs */

#endif
