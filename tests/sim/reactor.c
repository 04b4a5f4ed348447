/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor - mail, timers and fibers over several reactors of processes that pause and crash.
 *
 * RS1. Mail from one reactor to another arrives in order, once each.
 * RS2. A timer fires once, not before its time, and not after it was stopped.
 * RS3. fiber_call_on() runs on the reactor asked for; its result comes back.
 * RS4. A wait with a deadline ends; one that is cancelled ends at once.
 * RS5. Everything ends, and nothing leaks, also when allocations fail now and then.
 */
#include <errno.h>

#include "base/must.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "scenario.h"

#define MAILS  60u
#define TIMERS 20u
#define CALLS  15u
#define END_NS (3600 * SIM_S)

struct world {
	struct sim *sim;
	struct sim_proc *proc;
	unsigned reactors;
};

/* ---- RS1 -------------------------------------------------------------------------- */

struct lane {
	struct world *w;
	unsigned from, to;
	unsigned expected;
	struct event done;
	struct reactor *home; /* of `done` */
	struct mail back;
};

struct letter {
	struct mail mail;
	struct lane *lane;
	unsigned number;
};

static void lane_done(struct mail *mail, struct reactor *at)
{
	struct lane *lane = container_of(mail, struct lane, back);

	must(at == lane->home);
	event_set(&lane->done);
}

static void letter_read(struct mail *mail, struct reactor *at)
{
	struct letter *letter = container_of(mail, struct letter, mail);
	struct lane *lane = letter->lane;

	if (letter->number != lane->expected || reactor_index(at) != lane->to)
		sim_fail(lane->w->sim, "lane %u -> %u: letter %u came, %u was expected", lane->from,
			 lane->to, letter->number, lane->expected);
	lane->expected++;
	if (lane->expected == MAILS) {
		lane->back.run = lane_done;
		reactor_send(at, lane->home, &lane->back);
	}
}

static int lane_main(struct fiber *f, void *arg)
{
	struct lane *lane = arg;
	struct reactor *own = fiber_reactor(f), *to = reactor_peer(own, lane->to);
	struct letter *letters = mem_alloc_array(fiber_io(f)->mem, MAILS, sizeof(*letters));
	struct prng *prng = sim_prng(lane->w->sim);

	if (!letters)
		return -ENOMEM;
	lane->home = own;
	event_init(&lane->done);
	for (unsigned i = 0; i < MAILS; i++) {
		letters[i].mail.run = letter_read;
		letters[i].lane = lane;
		letters[i].number = i;
		reactor_send(own, to, &letters[i].mail);
		if (prng_below(prng, 8) == 0)
			fiber_yield(f);
	}
	event_wait_always(f, &lane->done);
	mem_free(letters);
	return 0;
}

/* ---- RS2 --------------------------------------------------------------------------- */

struct alarm {
	struct timer timer;
	struct world *w;
	struct reactor *reactor;
	uint64_t due_ns;
	unsigned fired;
	bool stopped;
	unsigned *left;
	struct event *done;
};

static void alarm_fired(struct timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	alarm->fired++;
	if (alarm->stopped || alarm->fired > 1 ||
	    io_now(reactor_io(alarm->reactor)) < alarm->due_ns)
		sim_fail(alarm->w->sim, "a timer fired %u times, %s", alarm->fired,
			 alarm->stopped ? "stopped" : "or early");
	if (--*alarm->left == 0)
		event_set(alarm->done);
}

static int alarms_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct prng *prng = sim_prng(w->sim);
	struct alarm *alarms = mem_alloc_array(fiber_io(f)->mem, TIMERS, sizeof(*alarms));
	struct event done;
	unsigned left = TIMERS;

	if (!alarms)
		return -ENOMEM;
	event_init(&done);
	for (unsigned i = 0; i < TIMERS; i++) {
		uint64_t ns = SIM_US << prng_below(prng, 24);
		alarms[i] = (struct alarm){
			.w = w, .reactor = fiber_reactor(f), .left = &left, .done = &done
		};
		ns += prng_below(prng, ns);
		alarms[i].due_ns = reactor_now(fiber_reactor(f)) + ns;
		timer_start(fiber_reactor(f), &alarms[i].timer, ns, alarm_fired);
	}
	for (unsigned i = 0; i < TIMERS; i += 3) {
		if (!timer_is_armed(&alarms[i].timer))
			continue;
		timer_stop(&alarms[i].timer);
		alarms[i].stopped = true;
		left--;
	}
	if (left)
		event_wait_always(f, &done);
	mem_free(alarms);
	return 0;
}

/* ---- RS3, RS4 ------------------------------------------------------------------------ */

struct call {
	unsigned to;
	int value;
	unsigned ran_on;
};

static int call_fn(struct fiber *f, void *arg)
{
	struct call *call = arg;

	call->ran_on = reactor_index(fiber_reactor(f));
	if (call->value % 3 == 0)
		fiber_yield(f);
	if (call->value % 5 == 0)
		return fiber_fail(f, -EDOM, "value %d", call->value);
	return call->value;
}

static int calls_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct prng *prng = sim_prng(w->sim);

	for (int i = 1; i <= (int)CALLS; i++) {
		struct call call = { .to = (unsigned)prng_below(prng, w->reactors), .value = i };
		int want = i % 5 == 0 ? -EDOM : i;
		int r = fiber_call_on(f, reactor_peer(fiber_reactor(f), call.to), "call", call_fn,
				      &call);
		fiber_clear(f);
		if (r == -ENOMEM && sim_fault_get(w->sim, SIM_MEM_FAIL))
			continue;
		if (r != want || call.ran_on != call.to)
			sim_fail(w->sim, "call %d on reactor %u returned %d from reactor %u", i,
				 call.to, r, call.ran_on);
	}
	return 0;
}

static int sleeper_main(struct fiber *f, void *arg)
{
	struct event never;

	(void)arg;
	event_init(&never);
	return event_wait(f, &never);
}

static int waits_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct fiber *sleeper;
	struct event never;
	uint64_t deadline = reactor_now(fiber_reactor(f)) + 50 * SIM_MS;

	event_init(&never);
	int r = event_wait_until(f, &never, deadline);
	if (r != -ETIMEDOUT || io_now(fiber_io(f)) < deadline)
		sim_fail(w->sim, "a wait with a deadline returned %d", r);
	r = fiber_start(fiber_reactor(f), "sleeper", sleeper_main, NULL, &sleeper);
	if (r < 0)
		return r;
	fiber_yield(f);
	fiber_cancel(sleeper);
	r = fiber_join(f, sleeper);
	fiber_clear(f);
	if (r != -ECANCELED)
		sim_fail(w->sim, "a cancelled wait returned %d", r);
	return 0;
}

/* ---- the story ----------------------------------------------------------------------- */

#define JOBS_MAX (3 + SIM_REACTORS_MAX * SIM_REACTORS_MAX)

struct job {
	struct reactor *on;
	fiber_fn fn;
	void *arg;
};

static int job_main(struct fiber *f, void *arg)
{
	struct job *job = arg;

	return fiber_call_on(f, job->on, "job", job->fn, job->arg);
}

/* All at once, over all reactors. RS5: -ENOMEM only where memory fails. */
static int run_jobs(struct fiber *f, struct world *w, struct job *jobs, unsigned count)
{
	struct fiber *fibers[JOBS_MAX];

	for (unsigned i = 0; i < count; i++)
		if (fiber_start(fiber_reactor(f), "job", job_main, &jobs[i], &fibers[i]) < 0)
			fibers[i] = NULL;
	for (unsigned i = 0; i < count; i++) {
		int r = fibers[i] ? fiber_join(f, fibers[i]) : -ENOMEM;
		fiber_clear(f);
		if (r < 0 && (r != -ENOMEM || !sim_fault_fired(w->sim, SIM_MEM_FAIL)))
			sim_fail(w->sim, "job %u: %d", i, r);
	}
	return 0;
}

static int reactor_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct prng *prng = sim_prng(w->sim);
	struct job *jobs = mem_alloc_array(fiber_io(f)->mem, JOBS_MAX, sizeof(*jobs));
	struct lane *lanes = mem_alloc_array(fiber_io(f)->mem, JOBS_MAX, sizeof(*lanes));
	unsigned count = 0;

	for (uint64_t rounds = prng_range(prng, 1, 8); jobs && lanes && rounds > 0; rounds--) {
		count = 0;
		fiber_fn fns[] = { alarms_main, calls_main, waits_main };
		for (unsigned i = 0; i < ARRAY_LEN(fns); i++)
			jobs[count++] =
				(struct job){ reactor_peer(fiber_reactor(f),
							   (unsigned)prng_below(prng, w->reactors)),
					      fns[i], w };
		for (unsigned from = 0; from < w->reactors; from++)
			for (unsigned to = 0; to < w->reactors; to++) {
				lanes[count] = (struct lane){ .w = w, .from = from, .to = to };
				jobs[count] = (struct job){ reactor_peer(fiber_reactor(f), from),
							    lane_main, &lanes[count] };
				count++;
			}
		run_jobs(f, w, jobs, count);
	}
	mem_free(jobs);
	mem_free(lanes);
	return 0;
}

static bool proc_has_ended(void *ctx)
{
	struct world *w = ctx;

	return sim_proc_state(w->proc) != SIM_PROC_RUNNING;
}

static void reactor_play(struct sim *sim, const char *plant)
{
	struct prng *prng = sim_prng(sim);
	struct world w = { .sim = sim, .reactors = (unsigned)prng_range(prng, 1, 4) };

	(void)plant;
	sim_swarm(sim, SIM_GROUP_PROC | SIM_GROUP_CLOCK | SIM_GROUP_MEM);
	struct sim_host *host = sim_host_add(sim, "a");
	w.proc = sim_proc_add(host, &(struct sim_proc_opts){ .name = "r",
							     .main = reactor_main,
							     .arg = &w,
							     .reactors = w.reactors });
	sim_nemesis_start(sim, SIM_MS);
	sim_run_for(sim, prng_below(prng, SIM_MS << prng_below(prng, 8)));
	sim_heal(sim);
	sim_nemesis_stop(sim);
	if (!sim_run_until(sim, proc_has_ended, &w, END_NS))
		sim_fail(sim, "it does not end after the heal");
}

const struct scenario scenario_reactor = {
	.name = "reactor",
	.help = "mail, timers and fibers over several reactors",
	.run = reactor_play,
};
