// SPDX-License-Identifier: Apache-2.0
/*
 * group - the reactors of a process, one thread each, and their watcher.
 *
 *	thread i:  pin -> io_open -> reactor_new -> [all opened] -> run -> [all stopped] -> free
 *	thread 0:  the same; connects them in between, and its first fiber stops all
 *	watcher:   looks once a second, and sleeps in between
 *
 * G1. Reactors are connected after all exist and before any runs; none is freed before
 *     all have stopped: mail and wake-ups never meet memory that is gone.
 * G2. The group's state is under its lock; a member's reactor is its own thread's. The
 *     watcher reads what struct doing offers, and has a log of its own.
 *     A reactor between turns may be asleep or in a callback of its io; it is woken now
 *     and then (every few seconds) to tell the one from the other.
 * G3. If any member fails to open, none runs, and the first by index says why.
 */
#include "reactor/group.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "reactor/reactor_priv.h"

#define NS_PER_S     1000000000ull
#define NS_PER_MS    1000000ull
#define WATCH_STALLS 10 /* a look each so many stall_ns (1 s by default), but */
#define WATCH_NS_MIN (10 * NS_PER_MS)
#define WATCH_NS_MAX NS_PER_S
#define WATCH_LOOKS  5 /* without a turn in between: then it is woken */

enum group_phase { GROUP_OPENING, GROUP_RUNNING, GROUP_GIVEN_UP, GROUP_STOPPED };

struct member {
	struct group *group;
	unsigned index;
	pthread_t thread;
	struct io *io;
	struct reactor *reactor;
	struct log log; /* a copy for this thread: lines are built in it */
	struct err err;
	uint64_t told_turn_ns; /* the watcher's: the turn it has reported, */
	uint64_t seen_turns;   /* turns there were, */
	unsigned looks;	       /* and looks since it last saw a new one */
};

struct group {
	const struct group_opts *opts;
	fiber_fn main_fn;
	void *main_arg;
	int result;
	struct err main_err;
	struct log watch_log;
	bool is_pinned;
	cpu_set_t allowed; /* CPUs, before any member was pinned */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum group_phase phase;
	unsigned opened;  /* members that are through with opening, well or not */
	unsigned stopped; /* that run no more */

	unsigned count;
	struct member members[];
};

/* ---- members -------------------------------------------------------------- */

/* The index-th CPU of those allowed, counted round and round. */
static void member_pin(struct member *m, const cpu_set_t *allowed)
{
	unsigned skip = m->index % (unsigned)CPU_COUNT(allowed);
	cpu_set_t one;

	CPU_ZERO(&one);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, allowed) || skip-- > 0)
			continue;
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
		return;
	}
}

static int member_open(struct member *m)
{
	const struct group_opts *opts = m->group->opts;
	struct reactor_opts reactor_opts = opts->reactor;

	reactor_opts.index = m->index;
	reactor_opts.name = NULL;
	if (opts->reactor.log) {
		m->log = *opts->reactor.log;
		reactor_opts.log = &m->log;
	}
	int res = opts->io_open(opts->io_ctx, m->index, &m->io, &m->err);
	if (res < 0) {
		m->io = NULL;
		if (!m->err.code)
			err_fail(&m->err, res, "reactor %u: no io: %s", m->index, err_name(res));
		return res;
	}
	return reactor_new(m->io, &reactor_opts, &m->reactor, &m->err);
}

static void member_close(struct member *m)
{
	if (m->reactor)
		reactor_free(m->reactor);
	if (m->io)
		io_close(m->io);
}

/* Says that it is through with opening and waits for what the others, and thread 0, make of it. */
static enum group_phase member_opened(struct member *m)
{
	struct group *g = m->group;

	pthread_mutex_lock(&g->lock);
	g->opened++;
	pthread_cond_broadcast(&g->changed);
	while (g->phase == GROUP_OPENING)
		pthread_cond_wait(&g->changed, &g->lock);
	enum group_phase phase = g->phase;
	pthread_mutex_unlock(&g->lock);
	return phase;
}

/* G1: also the watcher has gone. */
static void member_stopped(struct member *m)
{
	struct group *g = m->group;

	pthread_mutex_lock(&g->lock);
	g->stopped++;
	pthread_cond_broadcast(&g->changed);
	while (g->phase != GROUP_STOPPED)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void *member_main(void *arg)
{
	struct member *m = arg;

	if (m->group->is_pinned)
		member_pin(m, &m->group->allowed);
	int ignored = member_open(m); /* m->err tells */
	(void)ignored;
	if (member_opened(m) == GROUP_RUNNING) {
		reactor_run(m->reactor);
		member_stopped(m);
	}
	member_close(m);
	return NULL;
}

/* ---- the watcher ---------------------------------------------------------- */

/* In one turn for too long: its fiber or task is known. */
static void watch_turn(struct group *g, struct member *m, const struct stall *now, uint64_t now_ns)
{
	if (now->began_ns == m->told_turn_ns || now_ns < now->began_ns ||
	    now_ns - now->began_ns <= m->reactor->opts.stall_ns)
		return;
	m->told_turn_ns = now->began_ns;
	log_error(&g->watch_log, "reactor is stalled", LOG_STR("reactor", m->reactor->name),
		  LOG_U64("ms", (now_ns - now->began_ns) / NS_PER_MS),
		  now->fiber[0] ? LOG_STR("fiber", now->fiber) : LOG_HEX("task", now->task));
}

/* Between turns for long: asleep, or in a callback of its io? One that is asleep can be woken. */
static void watch_pause(struct group *g, struct member *m)
{
	m->looks++;
	if (m->looks == WATCH_LOOKS)
		reactor_wake(m->reactor);
	else if (m->looks == WATCH_LOOKS + 1)
		log_error(&g->watch_log, "reactor is stalled by a callback of its io",
			  LOG_STR("reactor", m->reactor->name));
}

static void watch_member(struct group *g, struct member *m, uint64_t now_ns)
{
	struct stall stall;

	reactor_doing(m->reactor, &stall);
	if (stall.turns != m->seen_turns) {
		m->seen_turns = stall.turns;
		m->looks = 0;
	}
	if (stall.began_ns)
		watch_turn(g, m, &stall, now_ns);
	else
		watch_pause(g, m);
}

static void *watch_main(void *arg)
{
	struct group *g = arg;
	uint64_t period_ns = WATCH_STALLS * g->members[0].reactor->opts.stall_ns;

	period_ns = min_u64(max_u64(period_ns, WATCH_NS_MIN), WATCH_NS_MAX);
	pthread_mutex_lock(&g->lock);
	while (g->stopped == 0) {
		uint64_t now_ns = io_now(g->members[0].io);
		for (unsigned i = 0; i < g->count; i++)
			watch_member(g, &g->members[i], now_ns);
		now_ns += period_ns;
		struct timespec until = { .tv_sec = (time_t)(now_ns / NS_PER_S),
					  .tv_nsec = (long)(now_ns % NS_PER_S) };
		pthread_cond_clockwait(&g->changed, &g->lock, CLOCK_MONOTONIC, &until);
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* ---- the group ------------------------------------------------------------ */

/* The first fiber of reactor 0. */
static int group_main(struct fiber *f, void *arg)
{
	struct group *g = arg;

	g->result = g->main_fn(f, g->main_arg);
	g->main_err = *fiber_err(f);
	for (unsigned i = 0; i < g->count; i++)
		reactor_stop(g->members[i].reactor);
	return 0;
}

static void group_set_phase(struct group *g, enum group_phase phase)
{
	pthread_mutex_lock(&g->lock);
	g->phase = phase;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

/* Waits until a counter of members, under the lock, has reached a value. */
static void group_await(struct group *g, const unsigned *counter, unsigned value)
{
	pthread_mutex_lock(&g->lock);
	while (*counter < value)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* All are open: connect them and prepare the first fiber. Or the first error (G3). */
static int group_connect(struct group *g, struct err *err)
{
	struct reactor *reactors[REACTORS_MAX];
	int res = 0;

	for (unsigned i = 0; i < g->count; i++) {
		if (g->members[i].err.code) {
			if (err)
				*err = g->members[i].err;
			return g->members[i].err.code;
		}
		reactors[i] = g->members[i].reactor;
	}
	res = reactors_connect(reactors, g->count);
	if (res == 0)
		res = fiber_start(reactors[0], "main", group_main, g, NULL);
	return res < 0 ? err_fail(err, res, "reactors: %s", err_name(res)) : 0;
}

/* Member 0, which is this thread, from run to stop; all others have stopped, too. */
static void group_run_first(struct group *g)
{
	pthread_t watcher;
	bool is_watched = pthread_create(&watcher, NULL, watch_main, g) == 0;

	reactor_run(g->members[0].reactor);
	pthread_mutex_lock(&g->lock);
	g->stopped++;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	group_await(g, &g->stopped, g->count);
	if (is_watched)
		pthread_join(watcher, NULL);
}

/* Threads 1.. of the members. Returns how many members there are, this thread's included. */
static unsigned group_start_threads(struct group *g)
{
	unsigned started = 1;

	while (started < g->count) {
		struct member *m = &g->members[started];
		if (pthread_create(&m->thread, NULL, member_main, m) != 0)
			break;
		started++;
	}
	return started;
}

static int group_run_all(struct group *g, struct err *err)
{
	unsigned started = group_start_threads(g);
	struct member *first = &g->members[0];
	int res = 0;

	if (started < g->count)
		res = err_fail(err, -EAGAIN, "reactor %u: no thread", started);
	int ignored = member_open(first); /* first->err tells */
	(void)ignored;
	group_await(g, &g->opened, started - 1);
	if (res == 0)
		res = group_connect(g, err);
	group_set_phase(g, res == 0 ? GROUP_RUNNING : GROUP_GIVEN_UP);
	if (res == 0) {
		group_run_first(g);
		group_set_phase(g, GROUP_STOPPED);
		res = g->result;
		if (res < 0 && err)
			*err = g->main_err;
	}
	for (unsigned i = 1; i < started; i++)
		pthread_join(g->members[i].thread, NULL);
	member_close(first);
	return res;
}

static void group_init(struct group *g, const struct group_opts *opts, unsigned count)
{
	g->opts = opts;
	g->count = count;
	if (opts->reactor.log)
		g->watch_log = *opts->reactor.log;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	for (unsigned i = 0; i < count; i++) {
		g->members[i].group = g;
		g->members[i].index = i;
	}
}

int group_run(const struct group_opts *opts, fiber_fn main_fn, void *arg, struct err *err)
{
	unsigned count = opts->count ? opts->count : 1;

	if (count > REACTORS_MAX)
		return err_fail(err, -EINVAL, "%u reactors: at most %d", count, REACTORS_MAX);
	CLEANUP(cleanup_mem)
	struct group *g = mem_alloc(opts->mem, sizeof(*g) + count * sizeof(g->members[0]));
	if (!g)
		return err_fail(err, -ENOMEM, "reactors: out of memory");
	group_init(g, opts, count);
	g->main_fn = main_fn;
	g->main_arg = arg;

	g->is_pinned = opts->pin &&
		       pthread_getaffinity_np(pthread_self(), sizeof(g->allowed), &g->allowed) == 0;
	if (g->is_pinned)
		member_pin(&g->members[0], &g->allowed);
	int res = group_run_all(g, err);
	if (g->is_pinned)
		pthread_setaffinity_np(pthread_self(), sizeof(g->allowed), &g->allowed);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	return res;
}
