// SPDX-License-Identifier: Apache-2.0
/*
 * wait - event, latch, semaphore.
 *
 * All three are a condition and a list of waiters. Who makes the condition true hands
 * it to the first waiter (an event: to all) there and then, so nobody who comes between
 * the hand-over and the waiter's next turn can take it away.
 *
 * W1. A latch with waiters has a holder; a semaphore with waiters has count 0; an event
 *     with waiters is not set.
 * W2. A wait ends once: whoever ends it unlinks it, stops its timer and resumes its fiber.
 * W3. A result of 0 means the thing was had, also if a cancellation came after it was
 *     handed over; the next cancellable wait tells of that (FI3).
 */
#include "reactor/wait.h"

#include <errno.h>

#include "base/must.h"
#include "reactor/fiber_priv.h"
#include "reactor/reactor_priv.h"

/* W2. */
void waiter_end(struct waiter *w, int result)
{
	list_del(&w->link);
	timer_stop(&w->timer);
	w->fiber->waiter = NULL;
	w->result = result;
	fiber_resume(w->fiber);
}

static void waiter_timed_out(struct timer *timer)
{
	waiter_end(container_of(timer, struct waiter, timer), -ETIMEDOUT);
}

int waiter_wait(struct fiber *f, struct list *waiters, uint64_t deadline_ns, bool is_cancellable)
{
	struct waiter w = { .fiber = f };

	if (is_cancellable && f->is_cancelled)
		return -ECANCELED;
	timer_init(&w.timer);
	if (deadline_ns != IO_FOREVER)
		timer_start_at(f->reactor, &w.timer, deadline_ns, waiter_timed_out);
	list_add_tail(waiters, &w.link);
	if (is_cancellable)
		f->waiter = &w;
	fiber_suspend(f);
	return w.result;
}

static void waiters_end_first(struct list *waiters)
{
	waiter_end(list_first(waiters, struct waiter, link), 0);
}

/* A deadline that has passed is not waited for. */
static bool wait_is_late(struct fiber *f, uint64_t deadline_ns)
{
	return deadline_ns <= f->reactor->io->turn_ns;
}

int fiber_sleep(struct fiber *f, uint64_t ns)
{
	uint64_t now_ns = io_now(f->reactor->io);
	struct list nobody;

	list_init(&nobody);
	int res =
		waiter_wait(f, &nobody, ns < IO_FOREVER - now_ns ? now_ns + ns : IO_FOREVER, true);
	return res == -ETIMEDOUT ? 0 : res;
}

/* ---- event ---------------------------------------------------------------- */

void event_init(struct event *e)
{
	e->is_set = false;
	list_init(&e->waiters);
}

void event_set(struct event *e)
{
	e->is_set = true;
	while (!list_empty(&e->waiters))
		waiters_end_first(&e->waiters);
}

void event_clear(struct event *e)
{
	e->is_set = false;
}

int event_wait_until(struct fiber *f, struct event *e, uint64_t deadline_ns)
{
	if (f->is_cancelled)
		return -ECANCELED;
	if (e->is_set)
		return 0;
	if (wait_is_late(f, deadline_ns))
		return -ETIMEDOUT;
	return waiter_wait(f, &e->waiters, deadline_ns, true);
}

int event_wait(struct fiber *f, struct event *e)
{
	return event_wait_until(f, e, IO_FOREVER);
}

void event_wait_always(struct fiber *f, struct event *e)
{
	if (!e->is_set)
		waiter_wait(f, &e->waiters, IO_FOREVER, false);
}

/* ---- latch ---------------------------------------------------------------- */

void latch_init(struct latch *l)
{
	l->holder = NULL;
	list_init(&l->waiters);
}

bool latch_try(struct fiber *f, struct latch *l)
{
	if (l->holder)
		return false;
	l->holder = f;
	return true;
}

int latch_lock_until(struct fiber *f, struct latch *l, uint64_t deadline_ns)
{
	must(l->holder != f);
	if (f->is_cancelled)
		return -ECANCELED;
	if (latch_try(f, l))
		return 0;
	if (wait_is_late(f, deadline_ns))
		return -ETIMEDOUT;
	return waiter_wait(f, &l->waiters, deadline_ns, true);
}

int latch_lock(struct fiber *f, struct latch *l)
{
	return latch_lock_until(f, l, IO_FOREVER);
}

void latch_unlock(struct fiber *f, struct latch *l)
{
	struct waiter *next = list_first(&l->waiters, struct waiter, link);

	must(l->holder == f);
	l->holder = next ? next->fiber : NULL;
	if (next)
		waiter_end(next, 0);
}

/* ---- semaphore ------------------------------------------------------------ */

void sema_init(struct sema *s, uint64_t count)
{
	s->count = count;
	list_init(&s->waiters);
}

bool sema_try(struct sema *s)
{
	if (!s->count)
		return false;
	s->count--;
	return true;
}

int sema_down_until(struct fiber *f, struct sema *s, uint64_t deadline_ns)
{
	if (f->is_cancelled)
		return -ECANCELED;
	if (sema_try(s))
		return 0;
	if (wait_is_late(f, deadline_ns))
		return -ETIMEDOUT;
	return waiter_wait(f, &s->waiters, deadline_ns, true);
}

int sema_down(struct fiber *f, struct sema *s)
{
	return sema_down_until(f, s, IO_FOREVER);
}

void sema_up(struct sema *s)
{
	if (list_empty(&s->waiters))
		s->count++;
	else
		waiters_end_first(&s->waiters);
}
