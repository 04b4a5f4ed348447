// SPDX-License-Identifier: Apache-2.0
/*
 * reactor - the loop.
 *
 *	io_turn(): callbacks of what the kernel has done
 *	reactor_turn(): clock -> tasks -> due timers -> mail -> tasks -> send mail
 *
 * R1. Each of tasks, timers and mail does a bounded part of its work in a turn (*_PER_TURN);
 *     if something is left, the turn returns 0 and the next one, after the kernel's events,
 *     goes on with it. So nobody starves: tasks that post tasks, timers started for at once.
 * R2. A turn that returns other than 0 leaves nothing to run: tasks, mail and due timers
 *     are none, and a peer that sends from now on wakes the io (MA3).
 * R3. No thread-local state: many reactors may take turns on one thread (the simulator).
 *
 * Stalls. A turn that lasted longer than stall_ns is logged and counted when it ends. Who
 * it was is known if it ran one thing only; else from now on each item is timed for
 * STALL_ALERT_NS (a clock reading each), so that the next one is named. The same for the
 * callbacks of io_turn(), which have no name. While a turn lasts, the group's watcher
 * (group.c) names what it sees running.
 */
#include "reactor/reactor.h"

#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "reactor/reactor_priv.h"

#define NS_PER_MS 1000000ull

int reactor_new(struct io *io, const struct reactor_opts *opts, struct reactor **ret,
		struct err *err)
{
	if (opts->index >= REACTORS_MAX)
		return err_fail(err, -EINVAL, "reactor %u: there are at most %d", opts->index,
				REACTORS_MAX);
	if (opts->fibers_max > FIBERS_LIMIT)
		return err_fail(err, -EINVAL, "reactor %u: at most %u fibers", opts->index,
				FIBERS_LIMIT);
	struct reactor *r = mem_alloc_aligned(io->mem, 64, sizeof(*r));
	if (!r)
		return err_fail(err, -ENOMEM, "reactor %u: out of memory", opts->index);

	r->io = io;
	r->opts = *opts;
	if (!r->opts.stall_ns)
		r->opts.stall_ns = STALL_NS_DEFAULT;
	if (!r->opts.fibers_max)
		r->opts.fibers_max = FIBERS_DEFAULT;
	if (opts->name)
		snprintf(r->name, sizeof(r->name), "%s", opts->name);
	else
		snprintf(r->name, sizeof(r->name), "reactor%u", opts->index);
	r->opts.name = r->name;
	io->turn_ns = io_now(io);
	list_init(&r->tasks);
	list_init(&r->tasks_next);
	wheel_init(&r->wheel, io->turn_ns);
	post_init(&r->post);
	fiber_pool_init(&r->fibers);
	*ret = r;
	return 0;
}

void reactor_free(struct reactor *r)
{
	must(!r->running);
	must(list_empty(&r->tasks) && list_empty(&r->tasks_next));
	must(r->wheel.armed == 0);
	fiber_pool_fini(&r->fibers);
	post_fini(&r->post);
	mem_free(r);
}

void reactor_abandon(struct reactor *r)
{
	fiber_pool_abandon(&r->fibers);
}

/* ---- tasks ---------------------------------------------------------------- */

void reactor_post(struct reactor *r, struct task *task)
{
	if (!list_is_linked(&task->link))
		list_add_tail(&r->tasks, &task->link);
}

void reactor_unpost(struct task *task)
{
	list_del(&task->link);
}

static void reactor_run_tasks(struct reactor *r)
{
	unsigned count = 0;
	struct task *task;

	while (count < TASKS_PER_TURN && (task = list_pop_front(&r->tasks, struct task, link))) {
		count++;
		reactor_item(r, NULL, task->run);
		task->run(task);
		reactor_item_done(r);
	}
	r->stats.tasks += count;
}

/* ---- stalls --------------------------------------------------------------- */

void reactor_doing(const struct reactor *r, struct stall *ret)
{
	const struct fiber *f = atomic_load_explicit(&r->doing.fiber, memory_order_acquire);
	void (*task)(struct task *) = atomic_load_explicit(&r->doing.task, memory_order_relaxed);

	*ret = (struct stall){ 0 };
	ret->began_ns = atomic_load_explicit(&r->doing.turn_began_ns, memory_order_relaxed);
	ret->turns = atomic_load_explicit(&r->doing.turns, memory_order_relaxed);
	ret->task = (uint64_t)(uintptr_t)task;
	if (f)
		fiber_copy_name(f, ret->fiber);
}

static void reactor_log_stall(struct reactor *r, const char *message, uint64_t ns)
{
	struct stall stall;

	reactor_doing(r, &stall);
	log_warn(r->opts.log, message, LOG_STR("reactor", r->name), LOG_U64("ms", ns / NS_PER_MS),
		 LOG_U64("items", r->items),
		 stall.fiber[0] ? LOG_STR("fiber", stall.fiber) : LOG_HEX("task", stall.task));
}

/* On the alert: the item that just ended is known by name. */
void reactor_item_done_slow(struct reactor *r)
{
	uint64_t now_ns = io_now(r->io);
	uint64_t ns = now_ns - r->item_began_ns;

	if (ns > r->opts.stall_ns) {
		reactor_log_stall(r, "reactor was stalled by this", ns);
		r->stall_is_told = true;
	}
	r->item_began_ns = now_ns;
}

static void reactor_stalled(struct reactor *r, uint64_t ns, uint64_t now_ns)
{
	r->stats.stalls++;
	r->stats.stall_max_ns = max_u64(r->stats.stall_max_ns, ns);
	r->alert_until_ns = now_ns + STALL_ALERT_NS;
}

/* The callbacks that io_turn() has just run began when it fetched their events. */
static void reactor_check_events(struct reactor *r, uint64_t now_ns)
{
	uint64_t ns = now_ns - r->io->turn_ns;

	if (likely(ns <= r->opts.stall_ns))
		return;
	reactor_stalled(r, ns, now_ns);
	log_warn(r->opts.log, "reactor was stalled by callbacks of its io",
		 LOG_STR("reactor", r->name), LOG_U64("ms", ns / NS_PER_MS),
		 LOG_U64("items", r->events));
}

static void reactor_turn_begin(struct reactor *r)
{
	uint64_t now_ns = io_now(r->io);

	if (r->events)
		reactor_check_events(r, now_ns);
	r->events = 0;
	r->io->turn_ns = now_ns;
	atomic_store_explicit(&r->doing.turn_began_ns, now_ns, memory_order_relaxed);
	r->items = 0;
	atomic_store_explicit(&r->doing.turns, ++r->stats.turns, memory_order_relaxed);
	if (unlikely(r->alert_until_ns)) {
		r->item_began_ns = now_ns;
		if (now_ns > r->alert_until_ns)
			r->alert_until_ns = 0;
	}
}

static void reactor_turn_end(struct reactor *r)
{
	atomic_store_explicit(&r->doing.turn_began_ns, 0, memory_order_relaxed);
	if (!r->items)
		return;
	uint64_t now_ns = io_now(r->io);
	uint64_t ns = now_ns - r->io->turn_ns;
	if (likely(ns <= r->opts.stall_ns))
		return;
	reactor_stalled(r, ns, now_ns);
	if (!r->stall_is_told)
		reactor_log_stall(r,
				  r->items == 1 ? "reactor was stalled by this" :
						  "reactor was stalled, this ran last",
				  ns);
	r->stall_is_told = false;
}

/* ---- turns ---------------------------------------------------------------- */

/* R2. */
static uint64_t reactor_wait_until(struct reactor *r)
{
	if (!list_empty(&r->tasks) || !list_empty(&r->tasks_next))
		return 0;
	uint64_t until_ns = wheel_next(&r->wheel);
	if (until_ns == 0 || !post_may_sleep(r))
		return 0;
	return until_ns;
}

uint64_t reactor_turn(struct reactor *r)
{
	must(!r->running);
	post_awake(r);
	reactor_turn_begin(r);
	list_splice_tail(&r->tasks, &r->tasks_next);
	reactor_run_tasks(r);
	r->stats.timers_fired += wheel_fire(r, r->io->turn_ns);
	post_receive(r);
	reactor_run_tasks(r);
	post_flush(r);
	reactor_turn_end(r);
	return reactor_wait_until(r);
}

void reactor_run(struct reactor *r)
{
	while (!atomic_load_explicit(&r->stop, memory_order_acquire))
		r->events = io_turn(r->io, reactor_turn(r));
	/* What was posted or sent before still runs. */
	for (unsigned i = 0; i < STOP_TURNS_MAX && reactor_turn(r) == 0; i++)
		io_turn(r->io, 0);
	atomic_store_explicit(&r->stop, false, memory_order_relaxed);
}

void reactor_stop(struct reactor *r)
{
	atomic_store_explicit(&r->stop, true, memory_order_release);
	io_wake(r->io);
}

void reactor_wake(struct reactor *r)
{
	io_wake(r->io);
}

/* ---- what it knows -------------------------------------------------------- */

struct io *reactor_io(struct reactor *r)
{
	return r->io;
}

struct log *reactor_log(struct reactor *r)
{
	return r->opts.log;
}

unsigned reactor_index(const struct reactor *r)
{
	return r->opts.index;
}

const char *reactor_name(const struct reactor *r)
{
	return r->name;
}

const struct bdev_env *reactor_bdev_env(struct reactor *r)
{
	return r->opts.bdev_env;
}

uint64_t reactor_now(struct reactor *r)
{
	return r->io->turn_ns;
}

void reactor_stats(struct reactor *r, struct reactor_stats *ret)
{
	*ret = r->stats;
	ret->timers_armed = r->wheel.armed;
	ret->fibers = r->fibers.count;
	ret->fibers_high_water = r->fibers.high_water;
	ret->stack_high_water_bytes = fiber_pool_stack_high_water(&r->fibers);
}
