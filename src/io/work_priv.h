/* SPDX-License-Identifier: Apache-2.0 */
/* work - a bounded pool of threads for what would block; ops go in and come out. */
#ifndef IO_WORK_PRIV_H
#define IO_WORK_PRIV_H

#include <pthread.h>

#include "io/io.h"

#define WORK_THREADS_MAX     64
#define WORK_IDLE_NS_DEFAULT UINT64_C(5000000000)
#define WORK_STACK_BYTES     (1u << 20)

struct work_thread {
	pthread_t thread;
	struct work_pool *pool;
	bool started; /* to be joined */
	bool ended;   /* it will touch the pool no more */
};

struct work_pool {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t more;
	struct list queue; /* ops not begun, by op->link */
	struct list done;  /* ops to be fetched */
	unsigned queued, queued_max;
	unsigned idle;	  /* threads waiting */
	unsigned running; /* threads not ended */
	unsigned threads_max;
	uint64_t idle_ns; /* a thread without work ends after this */
	bool stop;
	void (*notify)(void *ctx); /* from a worker: something is in done */
	void *ctx;
	struct work_thread threads[WORK_THREADS_MAX];
};

/* What a worker does for an op; its value becomes op->res. */
typedef int64_t (*work_fn)(struct io_op *op);

MUST_USE int work_init(struct work_pool *pool, unsigned threads_max, unsigned queued_max,
		       void (*notify)(void *ctx), void *ctx);

/* All ops were fetched. Waits for the threads to end. */
void work_fini(struct work_pool *pool);

/* -EBUSY: bounded and the queue is full; -EAGAIN: no thread could be started. */
MUST_USE int work_push(struct work_pool *pool, struct io_op *op, work_fn fn, bool is_bounded);

/* Take back an op that no thread has begun. */
bool work_remove(struct work_pool *pool, struct io_op *op);

/* Move the finished ops behind the last of `to`. */
void work_take_done(struct work_pool *pool, struct list *to);

#endif
