/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait - what fibers of one reactor wait for: event, latch, semaphore.
 *
 * All are plain structs without allocation, used by fibers of one reactor only.
 * Waiters are served first come, first served. Deadlines are monotonic
 * (IO_FOREVER: none); -ETIMEDOUT and -ECANCELED leave the object untouched.
 */
#ifndef REACTOR_WAIT_H
#define REACTOR_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/list.h"

struct fiber;

/* A condition that becomes true: all waiters go on; stays set until cleared. */
struct event {
	bool is_set;
	struct list waiters;
};

void event_init(struct event *e);
void event_set(struct event *e);
void event_clear(struct event *e);
MUST_USE int event_wait_until(struct fiber *f, struct event *e, uint64_t deadline_ns);
MUST_USE int event_wait(struct fiber *f, struct event *e);
void event_wait_always(struct fiber *f, struct event *e); /* not cancellable */

/* One holder at a time. */
struct latch {
	struct fiber *holder;
	struct list waiters;
};

void latch_init(struct latch *l);
MUST_USE int latch_lock(struct fiber *f, struct latch *l); /* 0 or -ECANCELED */
MUST_USE int latch_lock_until(struct fiber *f, struct latch *l, uint64_t deadline_ns);
bool latch_try(struct fiber *f, struct latch *l);
void latch_unlock(struct fiber *f, struct latch *l); /* must be the holder */

/* A count of things to be had. */
struct sema {
	uint64_t count;
	struct list waiters;
};

void sema_init(struct sema *s, uint64_t count);
MUST_USE int sema_down(struct fiber *f, struct sema *s);
MUST_USE int sema_down_until(struct fiber *f, struct sema *s, uint64_t deadline_ns);
bool sema_try(struct sema *s);
void sema_up(struct sema *s);

#endif
