/* SPDX-License-Identifier: Apache-2.0 */
/* uring - struct io on Linux io_uring (kernel 6.1 or later). */
#ifndef IO_URING_H
#define IO_URING_H

#include "io/io.h"

struct err;

/* 0 in any field: the default. */
struct uring_opts {
	unsigned entries;	   /* submission queue; default 1024 (completion queue 4x) */
	uint64_t spin_max_ns;	   /* default 50 us; the tuner decides below it */
	bool no_spin;		   /* always sleep */
	size_t buf_bytes;	   /* registered region for io_buf_new(), made when first used; default 16 MiB */
	unsigned recv_buf_count;   /* provided buffers, power of two; default 128 */
	unsigned recv_buf_bytes;   /* default 32 KiB */
	unsigned workers_max;	   /* worker threads, started when first needed; default 4 */
	unsigned work_queue_max;   /* default 256 */
	uint64_t work_idle_ns;	   /* a worker without work ends after this; default 5 s */
};

/*
 * Make a ring on the calling thread, which alone may use it (IO1). Fails, worded, when
 * io_uring is denied (what to allow is said) or the kernel is too old.
 */
MUST_USE int uring_open(struct mem *mem, const struct uring_opts *opts, struct io **ret,
			struct err *err);

/* Block these signals in the calling thread and all it will start, so that io_signal_watch() sees them. Terminated by 0. */
void io_block_signals(const int *signos);

#endif
