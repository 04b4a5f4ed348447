/* SPDX-License-Identifier: Apache-2.0 */
/* fiber_priv - a fiber, for those who make it wait. */
#ifndef REACTOR_FIBER_PRIV_H
#define REACTOR_FIBER_PRIV_H

#include <stdatomic.h>

#include "reactor/fiber.h"
#include "reactor/fiber_switch_priv.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"

enum fiber_state {
	FIBER_FREE,  /* in the pool */
	FIBER_READY, /* posted */
	FIBER_RUNNING,
	FIBER_WAITING, /* in fiber_suspend() */
	FIBER_DONE,    /* has its result, waits for fiber_join() */
};

struct waiter;

struct fiber {
	struct task task; /* posted while READY */
	struct reactor *reactor;
	struct list_link link; /* fiber_pool.live, idle or bare */
	enum fiber_state state;
	bool is_joined; /* somebody will call, or has called, fiber_join() */
	bool is_cancelled;
	fiber_fn fn;
	void *arg;
	int result;
	struct fiber *joiner;  /* suspended in fiber_join() */
	struct waiter *waiter; /* of a wait that can be cancelled; NULL: none */
	struct err err;
	_Atomic uint64_t name[FIBER_NAME_MAX / 8]; /* the watcher reads it, also while it changes */
	void *stack;				   /* owned, from io_stack_new(); NULL: none */
	size_t stack_bytes;
	struct fiber_ctx ctx;
};

/*
 * One wait of one fiber, on its stack. Whoever ends it (the awaited, the deadline, a
 * cancellation) calls waiter_end(): the first one gives the result, others find it unlinked.
 */
struct waiter {
	struct list_link link; /* in the awaited's list */
	struct fiber *fiber;
	struct timer timer;
	int result;
};

/* Suspend until waiter_end(). Not cancellable: cancellation is not looked at. */
int waiter_wait(struct fiber *f, struct list *waiters, uint64_t deadline_ns, bool is_cancellable);
void waiter_end(struct waiter *w, int result);

#endif
