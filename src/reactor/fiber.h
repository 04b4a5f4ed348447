/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber - sequential code on a reactor. What may suspend takes a struct fiber * first.
 *
 *   fiber_start --> READY --> RUNNING <--> WAITING --> DONE --> joined or released
 *
 * FI1. A fiber runs on its reactor's thread only, and only when resumed by the loop.
 * FI2. It suspends only in calls that take it as an argument.
 * FI3. A cancelled fiber gets -ECANCELED from its present and every later cancellable
 *      wait, until it ends or calls fiber_uncancel(); waits in `..._always()` forms and
 *      for I/O in flight cannot be cancelled: the memory is the kernel's until done (IO2).
 * FI4. The words of the first error stay with the fiber until cleared.
 */
#ifndef REACTOR_FIBER_H
#define REACTOR_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lang.h"
#include "base/list.h"
#include "io/io.h"

struct fiber;
struct reactor;

#define FIBER_STACK_DEFAULT (64u << 10) /* ASan builds use four times as much */
#define FIBERS_DEFAULT	    4096u
#define FIBER_NAME_MAX	    32

typedef int (*fiber_fn)(struct fiber *f, void *arg);

/*
 * Start fn(f, arg) in the next turn. With ret NULL it is released when it ends, and if it
 * ended with an error nobody took, that is logged; else the caller must fiber_join() it.
 * -EAGAIN: fibers_max are running; -ENOMEM.
 */
MUST_USE int fiber_start(struct reactor *r, const char *name, fiber_fn fn, void *arg,
			 struct fiber **ret);

/* Wait for its end, release it, return its result; on failure its words become ours. Not cancellable. */
int fiber_join(struct fiber *f, struct fiber *child);

/* Ask it to end (FI3). */
void fiber_cancel(struct fiber *child);
bool fiber_is_cancelled(const struct fiber *f);
void fiber_uncancel(struct fiber *f);

/* Run fn on a new fiber of another reactor (or this one) and wait for its result and words. */
int fiber_call_on(struct fiber *f, struct reactor *to, const char *name, fiber_fn fn, void *arg);

MUST_USE int fiber_sleep(struct fiber *f, uint64_t ns); /* 0 or -ECANCELED */
void fiber_yield(struct fiber *f);			/* let the loop turn once */

/* Nothing else in this process: the waits of wait.h and bios are made of these two. */
void fiber_suspend(struct fiber *f); /* until fiber_resume(); must be the running one */
void fiber_resume(struct fiber *f);  /* from its reactor; makes it READY; once per suspend */

/* Submit an op and wait for it; returns op->res. Its `done` is set by this. Not cancellable. */
int64_t fiber_io_wait(struct fiber *f, struct io_op *op);

struct reactor *fiber_reactor(const struct fiber *f);
struct io *fiber_io(const struct fiber *f);
const char *fiber_name(const struct fiber *f);

/* ---- the words of an error (FI4) ------------------------------------------ */

struct err *fiber_err(struct fiber *f);
const char *fiber_words(struct fiber *f); /* "" if none */
void fiber_clear(struct fiber *f);

/* Where the words of a new failure go: NULL while those of an earlier one stay (FI4). */
struct err *fiber_fail_err(struct fiber *f);

/*
 * return fiber_fail(f, -EEXIST, "pool '%s' exists", name);
 * Who handles an error and goes on says fiber_clear(f), so that the next one has its words.
 */
#define fiber_fail(f, code, ...) err_fail(fiber_fail_err(f), (code), __VA_ARGS__)

#endif
