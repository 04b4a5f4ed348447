/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber_io - struct io for fibers: one call an operation, errors worded with the path.
 *
 * Results are those of the op (io.h), where they are an int: 0 or negative errno.
 * Reads that need all bytes say so: a short one is -ENODATA. None can be cancelled.
 */
#ifndef REACTOR_FIBER_IO_H
#define REACTOR_FIBER_IO_H

#include "io/io.h"

struct fiber;

MUST_USE int fiber_open(struct fiber *f, const char *path, uint32_t open_flags, uint32_t mode,
			struct io_file **ret);
/* One more handle of a file of any reactor of this process, which stays open meanwhile (io_prep_share). */
MUST_USE int fiber_share(struct fiber *f, struct io_file *file, struct io_file **ret);
void fiber_close(struct fiber *f, struct io_file *file);
MUST_USE int64_t fiber_read(struct fiber *f, struct io_file *file, void *buf, size_t len,
			    uint64_t off);
MUST_USE int fiber_read_full(struct fiber *f, struct io_file *file, void *buf, size_t len,
			     uint64_t off);
MUST_USE int fiber_write(struct fiber *f, struct io_file *file, const void *buf, size_t len,
			 uint64_t off, uint32_t flags);
MUST_USE int fiber_fsync(struct fiber *f, struct io_file *file, uint32_t flags);
MUST_USE int fiber_truncate(struct fiber *f, struct io_file *file, uint64_t size);
MUST_USE int fiber_stat(struct fiber *f, const char *path, struct io_stat *ret);
MUST_USE int fiber_fstat(struct fiber *f, struct io_file *file, struct io_stat *ret);
MUST_USE int fiber_list(struct fiber *f, const char *path, io_list_fn fn, void *ctx);
MUST_USE int fiber_rename(struct fiber *f, const char *from, const char *to);
MUST_USE int fiber_unlink(struct fiber *f, const char *path);
MUST_USE int fiber_mkdir(struct fiber *f, const char *path, uint32_t mode);
MUST_USE int fiber_sync_dir(struct fiber *f, const char *path);

/* A small file replaced as a whole: write beside it, fsync, rename, fsync the directory. */
MUST_USE int fiber_write_file(struct fiber *f, const char *path, const void *buf, size_t len,
			      uint32_t mode);
/* A small file read as a whole, NUL-terminated for convenience; *ret is freed with mem_free(). */
MUST_USE int fiber_read_file(struct fiber *f, const char *path, size_t max, char **ret,
			     size_t *ret_len);

MUST_USE int fiber_connect(struct fiber *f, const struct io_addr *addr,
			   const struct io_sock_opts *opts, struct io_sock **ret);
MUST_USE int fiber_send(struct fiber *f, struct io_sock *sock, const void *buf, size_t len);
MUST_USE int64_t fiber_recv(struct fiber *f, struct io_sock *sock, void *buf, size_t len);
MUST_USE int fiber_resolve(struct fiber *f, const char *host, uint16_t port, struct io_addr *ret,
			   uint32_t max, uint32_t *ret_count);
/* Run fn on a worker thread and wait. */
int64_t fiber_work(struct fiber *f, int64_t (*fn)(void *ctx), void *ctx);

#endif
