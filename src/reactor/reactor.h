/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor - one loop per core; everything the product does runs in a turn of one.
 *
 *   turn: fetched events -> tasks -> due timers -> mail -> tasks; then wait in io_turn()
 *
 * This folder, from the bottom: timer.h (the wheel), mail.h (between reactors),
 * reactor.h (the loop), fiber.h (sequential code), wait.h (event, latch,
 * semaphore), fiber_io.h (files for fibers), group.h (one thread a reactor).
 *
 * RE1. A reactor and all that is started on it belong to one thread, its io's.
 *      Only reactor_send(), reactor_wake() and reactor_stop() may be called by others.
 * RE2. Callbacks run from reactor_turn() or io_turn(), never from inside the call
 *      that arranged them.
 * RE3. Order: tasks run in the order they were posted, mail from one sender in the
 *      order it was sent, timers in the order of their deadlines.
 * RE4. With nothing to do and no timer due the thread sleeps in the kernel.
 */
#ifndef REACTOR_REACTOR_H
#define REACTOR_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/list.h"
#include "io/io.h"

struct bdev_env;
struct err;
struct log;
struct reactor;

#define REACTORS_MAX 64

struct reactor_opts {
	unsigned index;			 /* 0..REACTORS_MAX-1, unique among peers */
	const char *name;		 /* for logs; NULL: "reactor<index>" */
	struct log *log;		 /* borrowed; NULL: silent */
	const struct bdev_env *bdev_env; /* borrowed; carried for bdev_open() */
	size_t fiber_stack_bytes;	 /* 0: default */
	unsigned fibers_max;		 /* 0: default */
	uint64_t stall_ns; /* a turn longer than this is logged and counted; 0: default 100 ms */
};

struct reactor_stats {
	uint64_t turns, tasks, timers_fired, mails_in, mails_out,
		mails_held; /* held: the ring was full for a while */
	uint64_t stalls, stall_max_ns;
	unsigned timers_armed, fibers, fibers_high_water;
	size_t stack_high_water_bytes; /* deepest use seen of a fiber's stack */
};

/* On the thread of `io`, which it borrows. Words its error. */
MUST_USE int reactor_new(struct io *io, const struct reactor_opts *opts, struct reactor **ret,
			 struct err *err);

/* No fibers, timers, tasks left (must). */
void reactor_free(struct reactor *r);

/*
 * A crash, as the simulator plays it: give back what does not lie in the io's memory (fibers'
 * stacks), run nothing more, free nothing. The reactor is gone; its memory may be dropped.
 */
void reactor_abandon(struct reactor *r);

/* Let reactors of one process send to each other; before any of them runs. -ENOMEM. */
MUST_USE int reactors_connect(struct reactor *const *reactors, unsigned count);

/*
 * One turn without waiting. Returns until when the caller may wait in io_turn():
 * 0: do not wait, IO_FOREVER: until an event.
 */
uint64_t reactor_turn(struct reactor *r);

/* Turn and wait until reactor_stop(). */
void reactor_run(struct reactor *r);

/* Any thread. */
void reactor_stop(struct reactor *r);
void reactor_wake(struct reactor *r);

struct io *reactor_io(struct reactor *r);
struct log *reactor_log(struct reactor *r);
unsigned reactor_index(const struct reactor *r);
const char *reactor_name(const struct reactor *r);
const struct bdev_env *reactor_bdev_env(struct reactor *r);
struct reactor *reactor_peer(struct reactor *r, unsigned index); /* NULL: none */
void reactor_stats(struct reactor *r, struct reactor_stats *ret);

/* The clock as of this turn (io->turn_ns): for deadlines and statistics. */
uint64_t reactor_now(struct reactor *r);

/* ---- tasks: run later in this loop --------------------------------------- */

struct task {
	struct list_link link;
	void (*run)(struct task *task);
};

static inline void task_init(struct task *task, void (*run)(struct task *))
{
	list_link_init(&task->link);
	task->run = run;
}

/* Posting one that is already posted does nothing. */
void reactor_post(struct reactor *r, struct task *task);

/* If posted, it will not run. */
void reactor_unpost(struct task *task);

/* ---- mail: run on another reactor ---------------------------------------- */

struct mail {
	struct mail *next; /* the sender's outbox, while the ring is full */
	void (*run)(struct mail *mail, struct reactor *at);
};

/*
 * Run mail->run on `to`; the mail belongs to it until then. Bounded ring per pair, batched:
 * a sleeping peer is woken once a turn. A full ring holds mail back on the sender's side in
 * order, and counts it; nothing is lost and nothing is allocated.
 */
void reactor_send(struct reactor *from, struct reactor *to, struct mail *mail);

#endif
