// SPDX-License-Identifier: Apache-2.0
/*
 * fiber - sequential code on a reactor.
 *
 *	FREE --start--> READY --task--> RUNNING --suspend--> WAITING --resume--> READY
 *	  ^                                |
 *	  +---- released, or joined ---- DONE
 *
 * A fiber is a task of its reactor: to be READY is to be posted, so fibers and tasks
 * run in one order. The stack outlives the fiber: its main loop takes the next fn
 * when the structure is used again, so a start is as cheap as a switch.
 *
 * F1. RUNNING is exactly reactor->running, and only from within its task.
 * F2. A fiber is released from the loop, never from its own stack.
 * F3. Memory of fibers is kept until reactor_free(), stacks of FIBERS_POOLED_MAX; a
 *     reactor never has more than fibers_max.
 */
#include "reactor/fiber.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "io/stack.h"
#include "reactor/fiber_priv.h"
#include "reactor/reactor_priv.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FIBER_STACK_FACTOR 4
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FIBER_STACK_FACTOR 4
#endif
#endif
#ifndef FIBER_STACK_FACTOR
#define FIBER_STACK_FACTOR 1
#endif

/* ---- the pool ------------------------------------------------------------- */

void fiber_pool_init(struct fiber_pool *pool)
{
	list_init(&pool->live);
	list_init(&pool->idle);
	list_init(&pool->bare);
}

static void fiber_measure(struct fiber_pool *pool, const struct fiber *f)
{
	pool->stack_high_water_bytes = fiber_ctx_depth(&f->ctx, pool->stack_high_water_bytes);
}

static void fiber_drop_stack(struct fiber *f)
{
	fiber_ctx_fini(&f->ctx);
	io_stack_free(f->reactor->io, f->stack, f->stack_bytes);
	f->stack = NULL;
}

void fiber_pool_fini(struct fiber_pool *pool)
{
	struct fiber *f;

	must(list_empty(&pool->live));
	while ((f = list_pop_front(&pool->idle, struct fiber, link))) {
		fiber_drop_stack(f);
		mem_free(f);
	}
	while ((f = list_pop_front(&pool->bare, struct fiber, link)))
		mem_free(f);
}

void fiber_pool_abandon(struct fiber_pool *pool)
{
	struct fiber *f;

	list_for_each(f, &pool->live, link)
		fiber_drop_stack(f);
	list_for_each(f, &pool->idle, link)
		fiber_drop_stack(f);
}

size_t fiber_pool_stack_high_water(struct fiber_pool *pool)
{
	struct fiber *f;

	list_for_each(f, &pool->live, link)
		fiber_measure(pool, f);
	return pool->stack_high_water_bytes;
}

/* ---- running -------------------------------------------------------------- */

/* Back to the loop (F1). */
static void fiber_leave(struct fiber *f)
{
	fiber_ctx_switch(&f->ctx, &f->reactor->loop);
}

/* The bottom of every stack: one fiber after another. */
static void fiber_main(void *arg)
{
	struct fiber *f = arg;

	for (;;) {
		f->result = f->fn(f, f->arg);
		f->state = FIBER_DONE;
		fiber_leave(f);
	}
}

/* Its stack, if it has no more, is kept while the pool is small. F2, F3. */
static void fiber_release(struct fiber *f)
{
	struct fiber_pool *pool = &f->reactor->fibers;

	list_del(&f->link);
	pool->count--;
	f->state = FIBER_FREE;
	fiber_measure(pool, f);
	if (pool->idle_count < FIBERS_POOLED_MAX) {
		pool->idle_count++;
		list_add(&pool->idle, &f->link);
	} else {
		fiber_drop_stack(f);
		list_add(&pool->bare, &f->link);
	}
}

/* On the loop, after its fn has returned. */
static void fiber_ended(struct fiber *f)
{
	if (f->is_joined) {
		if (f->joiner)
			fiber_resume(f->joiner);
		return;
	}
	if (f->result < 0 && !(f->is_cancelled && f->result == -ECANCELED))
		log_warn(f->reactor->opts.log, "fiber failed", LOG_STR("fiber", fiber_name(f)),
			 LOG_ERR("error", f->result), LOG_STR("why", fiber_words(f)));
	fiber_release(f);
}

static void fiber_run(struct task *task)
{
	struct fiber *f = container_of(task, struct fiber, task);
	struct reactor *r = f->reactor;

	must(f->state == FIBER_READY && !r->running);
	atomic_store_explicit(&r->doing.fiber, f, memory_order_release);
	f->state = FIBER_RUNNING;
	r->running = f;
	fiber_ctx_switch(&r->loop, &f->ctx);
	r->running = NULL;
	if (f->state == FIBER_DONE)
		fiber_ended(f);
}

void fiber_suspend(struct fiber *f)
{
	must(f->reactor->running == f && f->state == FIBER_RUNNING); /* FI2 */
	f->state = FIBER_WAITING;
	fiber_leave(f);
}

void fiber_resume(struct fiber *f)
{
	must(f->state == FIBER_WAITING);
	f->state = FIBER_READY;
	reactor_post(f->reactor, &f->task);
}

void fiber_yield(struct fiber *f)
{
	must(f->reactor->running == f && f->state == FIBER_RUNNING);
	f->state = FIBER_READY;
	list_add_tail(&f->reactor->tasks_next, &f->task.link);
	fiber_leave(f);
}

/* ---- starting ------------------------------------------------------------- */

/* A stack whose main waits for its first fn. */
static int fiber_new_stack(struct reactor *r, struct fiber *f)
{
	size_t bytes = r->opts.fiber_stack_bytes ? r->opts.fiber_stack_bytes : FIBER_STACK_DEFAULT;
	int res = io_stack_new(r->io, bytes * FIBER_STACK_FACTOR, &f->stack, &f->stack_bytes);

	if (res < 0)
		return res;
	fiber_ctx_init(&f->ctx, f->stack, f->stack_bytes, fiber_main, f);
	return 0;
}

/* Out of the pool, or new. On no list. */
static int fiber_get(struct reactor *r, struct fiber **ret)
{
	struct fiber_pool *pool = &r->fibers;
	struct fiber *f = list_pop_front(&pool->idle, struct fiber, link);

	if (f) {
		pool->idle_count--;
		*ret = f;
		return 0;
	}
	f = list_pop_front(&pool->bare, struct fiber, link);
	if (!f)
		f = mem_new(r->io, sizeof(*f));
	if (!f)
		return -ENOMEM;
	int res = fiber_new_stack(r, f);
	if (res < 0) {
		list_add(&pool->bare, &f->link);
		return res;
	}
	*ret = f;
	return 0;
}

static void fiber_set_name(struct fiber *f, const char *name)
{
	uint64_t words[FIBER_NAME_MAX / 8] = { 0 };

	memcpy(words, name, strnlen(name, FIBER_NAME_MAX - 1));
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		atomic_store_explicit(&f->name[i], words[i], memory_order_relaxed);
}

int fiber_start(struct reactor *r, const char *name, fiber_fn fn, void *arg, struct fiber **ret)
{
	struct fiber_pool *pool = &r->fibers;
	struct fiber *f;

	if (pool->count >= r->opts.fibers_max)
		return -EAGAIN;
	int res = fiber_get(r, &f);
	if (res < 0)
		return res;
	task_init(&f->task, fiber_run);
	f->reactor = r;
	f->state = FIBER_READY;
	f->is_joined = ret;
	f->is_cancelled = false;
	f->fn = fn;
	f->arg = arg;
	f->joiner = NULL;
	f->waiter = NULL;
	err_clear(&f->err);
	fiber_set_name(f, name);
	list_add_tail(&pool->live, &f->link);
	pool->count++;
	if (pool->count > pool->high_water)
		pool->high_water = pool->count;
	reactor_post(r, &f->task);
	if (ret)
		*ret = f;
	return 0;
}

/* ---- ending --------------------------------------------------------------- */

int fiber_join(struct fiber *f, struct fiber *child)
{
	must(child->is_joined && !child->joiner && child->reactor == f->reactor && child != f);
	if (child->state != FIBER_DONE) {
		child->joiner = f;
		fiber_suspend(f);
	}
	must(child->state == FIBER_DONE);
	int result = child->result;
	if (result < 0 && child->err.code && !f->err.code)
		f->err = child->err;
	fiber_release(child);
	return result;
}

void fiber_cancel(struct fiber *child)
{
	must(child->state != FIBER_FREE);
	child->is_cancelled = true;
	if (child->waiter)
		waiter_end(child->waiter, -ECANCELED); /* FI3 */
}

bool fiber_is_cancelled(const struct fiber *f)
{
	return f->is_cancelled;
}

void fiber_uncancel(struct fiber *f)
{
	f->is_cancelled = false;
}

/* ---- calls to other reactors ---------------------------------------------- */

/* On the caller's stack; `to` works on it until the mail is on its way back. */
struct fiber_call {
	struct mail mail;
	struct fiber *caller;
	const char *name;
	fiber_fn fn;
	void *arg;
	int result;
	struct err err;
};

static void call_returned(struct mail *mail, struct reactor *at)
{
	struct fiber_call *call = container_of(mail, struct fiber_call, mail);

	(void)at;
	fiber_resume(call->caller);
}

static void call_return(struct fiber_call *call, struct reactor *at, int result)
{
	call->result = result;
	call->mail.run = call_returned;
	reactor_send(at, call->caller->reactor, &call->mail);
}

static int call_main(struct fiber *f, void *arg)
{
	struct fiber_call *call = arg;
	int result = call->fn(f, call->arg);

	call->err = f->err;
	call_return(call, f->reactor, result);
	return 0; /* the caller has the error */
}

static void call_arrived(struct mail *mail, struct reactor *at)
{
	struct fiber_call *call = container_of(mail, struct fiber_call, mail);
	int res = fiber_start(at, call->name, call_main, call, NULL);

	if (res < 0)
		call_return(call, at,
			    err_fail(&call->err, res, "%s: no fiber on %s: %s", call->name,
				     at->name, err_name(res)));
}

int fiber_call_on(struct fiber *f, struct reactor *to, const char *name, fiber_fn fn, void *arg)
{
	struct fiber_call call = {
		.mail.run = call_arrived,
		.caller = f,
		.name = name,
		.fn = fn,
		.arg = arg,
	};

	reactor_send(f->reactor, to, &call.mail);
	fiber_suspend(f);
	if (call.result < 0 && call.err.code && !f->err.code)
		f->err = call.err;
	return call.result;
}

/* ---- I/O ------------------------------------------------------------------ */

static void fiber_io_done(struct io_op *op)
{
	fiber_resume(op->owner);
}

int64_t fiber_io_wait(struct fiber *f, struct io_op *op)
{
	op->done = fiber_io_done;
	op->owner = f;
	io_submit(f->reactor->io, op);
	fiber_suspend(f);
	return op->res;
}

/* ---- what it knows -------------------------------------------------------- */

struct reactor *fiber_reactor(const struct fiber *f)
{
	return f->reactor;
}

struct io *fiber_io(const struct fiber *f)
{
	return f->reactor->io;
}

const char *fiber_name(const struct fiber *f)
{
	return (const char *)f->name;
}

void fiber_copy_name(const struct fiber *f, char ret_name[FIBER_NAME_MAX])
{
	for (unsigned i = 0; i < ARRAY_LEN(f->name); i++) {
		uint64_t word = atomic_load_explicit(&f->name[i], memory_order_relaxed);
		memcpy(ret_name + i * sizeof(word), &word, sizeof(word));
	}
	ret_name[FIBER_NAME_MAX - 1] = '\0';
}

struct err *fiber_err(struct fiber *f)
{
	return &f->err;
}

struct err *fiber_fail_err(struct fiber *f)
{
	return f->err.code ? NULL : &f->err;
}

const char *fiber_words(struct fiber *f)
{
	return f->err.words;
}

void fiber_clear(struct fiber *f)
{
	err_clear(&f->err);
}
