/* SPDX-License-Identifier: Apache-2.0 */
/* op - one-shot work: what a reactor asks for and is told once when it is done. Part of io.h, which has the rules. */
#ifndef IO_OP_H
#define IO_OP_H

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

#endif
