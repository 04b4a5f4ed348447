/* SPDX-License-Identifier: Apache-2.0 */
/* prep - io_prep_*(): an op is made ready for one-shot work; its previous contents are lost. Part of io.h. */
#ifndef IO_PREP_H
#define IO_PREP_H

#include "io/op.h"

static inline void io_prep(struct io_op *op, enum io_code code, void (*done)(struct io_op *))
{
	op->code = code;
	op->flags = 0;
	op->done = done;
}

static inline void io_prep_rw(struct io_op *op, enum io_code code, struct io_file *file,
			      const struct iovec *iov, uint32_t iov_count, uint64_t off,
			      uint32_t flags, void (*done)(struct io_op *))
{
	io_prep(op, code, done);
	op->flags = flags;
	op->file.file = file;
	op->file.iov = iov;
	op->file.iov_count = iov_count;
	op->file.off = off;
}

/* FSYNC (off and len unused), DISCARD, ZERO, TRUNCATE (len is the new size). */
static inline void io_prep_file(struct io_op *op, enum io_code code, struct io_file *file,
				uint64_t off, uint64_t len, uint32_t flags,
				void (*done)(struct io_op *))
{
	io_prep(op, code, done);
	op->flags = flags;
	op->file.file = file;
	op->file.off = off;
	op->file.len = len;
}

static inline void io_prep_open(struct io_op *op, const char *path, uint32_t open_flags,
				uint32_t mode, struct io_file **ret, void (*done)(struct io_op *))
{
	io_prep(op, IO_OPEN, done);
	op->flags = open_flags;
	op->fs.path = path;
	op->fs.mode = mode;
	op->fs.ret = ret;
}

/*
 * A handle of the same open file, with its rights and its lock (IO7), for this io. `file` may be
 * of any io of this process, whose thread keeps it open until this is done; then either
 * handle may be closed first. Opening a path again would give another file, and no lock.
 */
static inline void io_prep_share(struct io_op *op, struct io_file *file, struct io_file **ret,
				 void (*done)(struct io_op *))
{
	io_prep(op, IO_SHARE, done);
	op->fs.path = NULL;
	op->fs.file = file;
	op->fs.ret = ret;
}

/* The file is gone for the caller at once, whatever the result says. */
static inline void io_prep_close(struct io_op *op, struct io_file *file,
				 void (*done)(struct io_op *))
{
	io_prep(op, IO_CLOSE, done);
	op->file.file = file;
}

/* Of a path, or of an open file (path NULL). */
static inline void io_prep_stat(struct io_op *op, const char *path, struct io_file *file,
				struct io_stat *ret, void (*done)(struct io_op *))
{
	io_prep(op, IO_STAT, done);
	op->fs.path = path;
	op->fs.file = file;
	op->fs.ret = ret;
}

static inline void io_prep_list(struct io_op *op, const char *path, io_list_fn fn, void *ctx,
				void (*done)(struct io_op *))
{
	io_prep(op, IO_LIST, done);
	op->fs.path = path;
	op->fs.list_fn = fn;
	op->fs.list_ctx = ctx;
}

/* RENAME (path -> path2, replacing), UNLINK (file or empty directory), MKDIR. */
static inline void io_prep_path(struct io_op *op, enum io_code code, const char *path,
				const char *path2, uint32_t mode, void (*done)(struct io_op *))
{
	io_prep(op, code, done);
	op->fs.path = path;
	op->fs.path2 = path2;
	op->fs.mode = mode;
}

static inline void io_prep_connect(struct io_op *op, const struct io_addr *addr,
				   const struct io_sock_opts *opts, struct io_sock **ret,
				   void (*done)(struct io_op *))
{
	io_prep(op, IO_CONNECT, done);
	op->net.addr = addr;
	op->net.opts = opts;
	op->net.ret_sock = ret;
}

/* Gathered send of all bytes; at most one SEND in flight per socket. */
static inline void io_prep_send(struct io_op *op, struct io_sock *sock, const struct iovec *iov,
				uint32_t iov_count, uint32_t flags, void (*done)(struct io_op *))
{
	io_prep(op, IO_SEND, done);
	op->flags = flags;
	op->net.sock = sock;
	op->net.iov = iov;
	op->net.iov_count = iov_count;
}

/*
 * The next bytes of the stream straight into the caller's memory, until it is full (res:
 * fewer only at end of stream). Allowed also while io_recv_start() is on and from inside
 * its function: the function then sees nothing until this completes, and the bytes after.
 */
static inline void io_prep_recv(struct io_op *op, struct io_sock *sock, const struct iovec *iov,
				uint32_t iov_count, void (*done)(struct io_op *))
{
	io_prep(op, IO_RECV, done);
	op->net.sock = sock;
	op->net.iov = iov;
	op->net.iov_count = iov_count;
}

static inline void io_prep_resolve(struct io_op *op, const char *host, uint16_t port,
				   struct io_addr *ret, uint32_t max, void (*done)(struct io_op *))
{
	io_prep(op, IO_RESOLVE, done);
	op->name.host = host;
	op->name.port = port;
	op->name.ret_addrs = ret;
	op->name.addrs_max = max;
}

/* For blocking libraries. -EBUSY when the bounded worker queue is full. */
static inline void io_prep_work(struct io_op *op, int64_t (*fn)(void *ctx), void *ctx,
				void (*done)(struct io_op *))
{
	io_prep(op, IO_WORK, done);
	op->work.fn = fn;
	op->work.ctx = ctx;
}

static inline void io_prep_spawn(struct io_op *op, const struct io_spawn *spawn,
				 void (*done)(struct io_op *))
{
	io_prep(op, IO_SPAWN, done);
	op->spawn = *spawn;
}

#endif
