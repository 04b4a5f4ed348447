/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hop - messages between a bdev's home and its sides.
 *
 *   tour:   home -> side 0 -> home -> side 1 -> home ... -> end
 *
 * HO1. Everything a side hears comes from home, so it hears it in the order home said it.
 * HO2. A hop is asynchronous also when it stays on its reactor: nobody is surprised
 *      by an answer from inside the call that asked.
 */
#include <errno.h>

#include "bdev/bdev_priv.h"

#define HOME_RETRY_NS 1000000u

static void hop_by_mail(struct mail *mail, struct reactor *at)
{
	struct hop *hop = container_of(mail, struct hop, mail);

	hop->run(hop);
}

static void hop_by_task(struct task *task)
{
	struct hop *hop = container_of(task, struct hop, task);

	hop->run(hop);
}

void hop_go(struct hop *hop, struct reactor *from, struct reactor *to, void (*run)(struct hop *hop))
{
	hop->run = run;
	if (from == to) {
		task_init(&hop->task, hop_by_task);
		reactor_post(from, &hop->task); /* HO2 */
	} else {
		hop->mail.run = hop_by_mail;
		reactor_send(from, to, &hop->mail);
	}
}

/* ---- a call ----------------------------------------------------------- */

struct home_call {
	struct hop hop;
	struct reactor *home, *from;
	void (*fn)(void *arg);
	void (*back)(void *arg);
	void *arg;
	struct event done;
};

static void home_call_back(struct hop *hop)
{
	struct home_call *call = container_of(hop, struct home_call, hop);

	if (call->back)
		call->back(call->arg);
	event_set(&call->done);
}

static void home_call_there(struct hop *hop)
{
	struct home_call *call = container_of(hop, struct home_call, hop);

	call->fn(call->arg);
	hop_go(hop, call->home, call->from, home_call_back);
}

void home_call(struct fiber *f, struct reactor *home, void (*fn)(void *arg),
	       void (*back)(void *arg), void *arg)
{
	struct home_call call = {
		.home = home, .from = fiber_reactor(f), .fn = fn, .back = back, .arg = arg
	};

	if (call.from == home) {
		fn(arg);
		if (back)
			back(arg);
		return;
	}
	event_init(&call.done);
	hop_go(&call.hop, call.from, home, home_call_there);
	event_wait_always(f, &call.done);
}

struct home_run {
	fiber_fn fn;
	void *arg;
	bool ran;
};

static int home_run_there(struct fiber *f, void *arg)
{
	struct home_run *run = arg;

	run->ran = true;
	return run->fn(f, run->arg);
}

int home_run(struct fiber *f, struct reactor *home, fiber_fn fn, void *arg)
{
	struct home_run run = { .fn = fn, .arg = arg };
	int r;

	if (fiber_reactor(f) == home)
		return fn(f, arg);
	for (;;) {
		r = fiber_call_on(f, home, "bdev", home_run_there, &run);
		if (run.ran)
			return r;
		fiber_clear(f); /* home is out of fibers: not our caller's concern */
		if (fiber_sleep(f, HOME_RETRY_NS) < 0)
			fiber_yield(f);
	}
}

/* ---- a tour ----------------------------------------------------------- */

static void tour_next(struct tour *tour);

static struct reactor *tour_reactor(const struct tour *tour)
{
	return tour->core->at[tour->at].side->reactor;
}

static void tour_visit(struct hop *hop)
{
	struct tour *tour = container_of(hop, struct tour, hop);

	tour->visit(tour, tour->core->at[tour->at].side);
}

static void tour_home_again(struct hop *hop)
{
	struct tour *tour = container_of(hop, struct tour, hop);

	tour->at++;
	tour_next(tour);
}

void tour_leave(struct tour *tour)
{
	hop_go(&tour->hop, tour_reactor(tour), tour->core->home, tour_home_again);
}

static void tour_next(struct tour *tour)
{
	struct bdev_core *core = tour->core;

	while (tour->at < core->side_count && core->at[tour->at].present == 0)
		tour->at++;
	if (tour->at < core->side_count)
		hop_go(&tour->hop, core->home, tour_reactor(tour), tour_visit);
	else
		tour->end(tour);
}

void tour_start(struct tour *tour, struct bdev_core *core,
		void (*visit)(struct tour *tour, struct bdev_side *side),
		void (*end)(struct tour *tour))
{
	tour->core = core;
	tour->at = 0;
	tour->visit = visit;
	tour->end = end;
	tour_next(tour);
}

/* Waiting for one: the fiber's part lies behind the tour while it runs. */
struct tour_wait {
	struct hop hop;
	struct tour *tour;
	struct reactor *from;
	struct event done;
};

static void tour_wait_done(struct hop *hop)
{
	event_set(&container_of(hop, struct tour_wait, hop)->done);
}

static void tour_wait_end(struct tour *tour)
{
	struct tour_wait *wait = tour->wait;

	hop_go(&wait->hop, tour->core->home, wait->from, tour_wait_done);
}

static void tour_wait_there(struct hop *hop)
{
	struct tour_wait *wait = container_of(hop, struct tour_wait, hop);

	tour_start(wait->tour, wait->tour->core, wait->tour->visit, tour_wait_end);
}

void tour_run(struct fiber *f, struct bdev_core *core, struct tour *tour,
	      void (*visit)(struct tour *tour, struct bdev_side *side))
{
	struct tour_wait wait = { .tour = tour, .from = fiber_reactor(f) };

	tour->core = core;
	tour->visit = visit;
	tour->wait = &wait;
	event_init(&wait.done);
	hop_go(&wait.hop, wait.from, core->home, tour_wait_there);
	event_wait_always(f, &wait.done);
}
