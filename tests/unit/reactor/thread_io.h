/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_io - a struct io that really sleeps and can really be woken, and nothing else:
 * for tests of reactors on threads, also under ThreadSanitizer, where the kernel's side
 * of a ring would not be seen.
 */
#ifndef TESTS_REACTOR_THREAD_IO_H
#define TESTS_REACTOR_THREAD_IO_H

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/list.h"
#include "base/must.h"
#include "io/io.h"

struct thread_io {
	struct io io;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool is_woken;
	struct list submitted;
	uint64_t sleeps;
};

static inline struct thread_io *thread_io_of(struct io *io)
{
	return container_of(io, struct thread_io, io);
}

static uint64_t thread_io_now(struct io *io)
{
	struct timespec now;

	(void)io;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void thread_io_submit(struct io *io, struct io_op *op)
{
	list_link_init(&op->link);
	list_add_tail(&thread_io_of(io)->submitted, &op->link);
}

static void thread_io_sleep(struct thread_io *t, uint64_t until_ns)
{
	struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000),
				  .tv_nsec = (long)(until_ns % 1000000000) };

	pthread_mutex_lock(&t->lock);
	t->sleeps++;
	while (!t->is_woken) {
		if (until_ns == IO_FOREVER)
			pthread_cond_wait(&t->woken, &t->lock);
		else if (pthread_cond_clockwait(&t->woken, &t->lock, CLOCK_MONOTONIC, &until) != 0)
			break;
	}
	t->is_woken = false;
	pthread_mutex_unlock(&t->lock);
}

static unsigned thread_io_turn(struct io *io, uint64_t until_ns)
{
	struct thread_io *t = thread_io_of(io);
	struct list done;
	struct io_op *op;
	unsigned count = 0;

	io->turn_ns = thread_io_now(io);
	list_init(&done);
	list_splice_tail(&done, &t->submitted);
	while ((op = list_pop_front(&done, struct io_op, link))) {
		op->res = 0;
		op->done(op);
		count++;
	}
	if (count == 0 && until_ns != 0)
		thread_io_sleep(t, until_ns);
	return count;
}

static void thread_io_wake(struct io *io)
{
	struct thread_io *t = thread_io_of(io);

	pthread_mutex_lock(&t->lock);
	t->is_woken = true;
	pthread_cond_signal(&t->woken);
	pthread_mutex_unlock(&t->lock);
}

static void thread_io_close(struct io *io)
{
	struct thread_io *t = thread_io_of(io);

	must(list_empty(&t->submitted));
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->woken);
	free(t);
}

static const struct io_ops thread_io_ops = {
	.name = "thread",
	.now_ns = thread_io_now,
	.submit = thread_io_submit,
	.turn = thread_io_turn,
	.wake = thread_io_wake,
	.close = thread_io_close,
};

static inline struct io *thread_io_new(struct mem *mem)
{
	struct thread_io *t = calloc(1, sizeof(*t));

	t->io.ops = &thread_io_ops;
	t->io.mem = mem;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->woken, NULL);
	list_init(&t->submitted);
	return &t->io;
}

#endif
