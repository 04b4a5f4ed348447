// SPDX-License-Identifier: Apache-2.0
/*
 * work - a bounded pool of threads for what would block.
 *
 *	push -> queue -> a thread runs it -> done -> take_done, on the ring's thread
 *
 * Threads start when an op finds none idle and end after a while without work.
 * The op itself is the queue element; nothing is allocated.
 *
 * W1. Between push and take_done (or a successful remove) an op belongs to the pool.
 * W2. At most threads_max threads; at most queued_max bounded ops wait. What the backend
 *     itself pushes (opening, closing, discarding) is not bounded here: its callers own
 *     the ops and so bound them.
 * W3. All signals are blocked in the threads: they belong to the signalfds.
 */
#include "io/work_priv.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/must.h"

enum { WORK_FN = 2, WORK_BEGUN = 3 }; /* op->priv */

static void work_deadline(uint64_t after_ns, struct timespec *ret)
{
	clock_gettime(CLOCK_MONOTONIC, ret);
	uint64_t ns = (uint64_t)ret->tv_nsec + after_ns;
	ret->tv_sec += (time_t)(ns / 1000000000);
	ret->tv_nsec = (long)(ns % 1000000000);
}

/* Under the lock. The next op, or NULL when the thread should end. */
static struct io_op *work_next(struct work_pool *pool)
{
	struct timespec deadline;
	int r = 0;

	work_deadline(pool->idle_ns, &deadline);
	pool->idle++;
	while (list_empty(&pool->queue) && !pool->stop && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&pool->more, &pool->lock, &deadline);
	pool->idle--;
	struct io_op *op = list_pop_front(&pool->queue, struct io_op, link);
	if (op) {
		pool->queued--;
		op->priv[WORK_BEGUN] = op;
	}
	return op;
}

static void *work_main(void *arg)
{
	struct work_thread *self = arg;
	struct work_pool *pool = self->pool;
	struct io_op *op;

	pthread_mutex_lock(&pool->lock);
	while ((op = work_next(pool))) {
		pthread_mutex_unlock(&pool->lock);
		op->res = ((work_fn)op->priv[WORK_FN])(op);
		pthread_mutex_lock(&pool->lock);
		list_add_tail(&pool->done, &op->link);
		pthread_mutex_unlock(&pool->lock);
		pool->notify(pool->ctx);
		pthread_mutex_lock(&pool->lock);
	}
	pool->running--;
	self->ended = true;
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Under the lock. */
static int work_start_thread(struct work_pool *pool)
{
	struct work_thread *free_one = NULL;
	pthread_attr_t attr;
	sigset_t all, before;

	for (unsigned i = 0; i < pool->threads_max && !free_one; i++)
		if (!pool->threads[i].started || pool->threads[i].ended)
			free_one = &pool->threads[i];
	must(free_one); /* W2 */
	if (free_one->started)
		pthread_join(free_one->thread, NULL); /* it has left the lock for good */
	*free_one = (struct work_thread){ .pool = pool };

	must(pthread_attr_init(&attr) == 0);
	pthread_attr_setstacksize(&attr, WORK_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* W3 */
	int r = pthread_create(&free_one->thread, &attr, work_main, free_one);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		return -EAGAIN;
	free_one->started = true;
	pool->running++;
	return 0;
}

int work_push(struct work_pool *pool, struct io_op *op, work_fn fn, bool is_bounded)
{
	int r = 0;

	pthread_mutex_lock(&pool->lock);
	if (is_bounded && pool->queued >= pool->queued_max)
		r = -EBUSY; /* W2 */
	else if (pool->idle <= pool->queued && pool->running < pool->threads_max &&
		 work_start_thread(pool) < 0 && pool->running == 0)
		r = -EAGAIN;
	if (r == 0) {
		op->priv[WORK_FN] = (void *)fn;
		op->priv[WORK_BEGUN] = NULL;
		list_link_init(&op->link);
		list_add_tail(&pool->queue, &op->link);
		pool->queued++;
		pthread_cond_signal(&pool->more);
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

bool work_remove(struct work_pool *pool, struct io_op *op)
{
	pthread_mutex_lock(&pool->lock);
	bool is_queued = !op->priv[WORK_BEGUN];
	if (is_queued) {
		list_del(&op->link);
		pool->queued--;
	}
	pthread_mutex_unlock(&pool->lock);
	return is_queued;
}

void work_take_done(struct work_pool *pool, struct list *to)
{
	pthread_mutex_lock(&pool->lock);
	list_splice_tail(to, &pool->done);
	pthread_mutex_unlock(&pool->lock);
}

int work_init(struct work_pool *pool, unsigned threads_max, unsigned queued_max,
	      void (*notify)(void *ctx), void *ctx)
{
	pthread_condattr_t attr;

	must(threads_max > 0 && threads_max <= WORK_THREADS_MAX);
	*pool = (struct work_pool){ .threads_max = threads_max,
				    .queued_max = queued_max,
				    .idle_ns = WORK_IDLE_NS_DEFAULT,
				    .notify = notify,
				    .ctx = ctx };
	list_init(&pool->queue);
	list_init(&pool->done);
	if (pthread_mutex_init(&pool->lock, NULL) != 0)
		return -ENOMEM;
	must(pthread_condattr_init(&attr) == 0);
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&pool->more, &attr) == 0);
	pthread_condattr_destroy(&attr);
	return 0;
}

void work_fini(struct work_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	must(list_empty(&pool->queue) && list_empty(&pool->done)); /* W1 */
	pool->stop = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads_max; i++)
		if (pool->threads[i].started)
			pthread_join(pool->threads[i].thread, NULL);
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
}
