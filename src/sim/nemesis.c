/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nemesis - crashes, power cuts, clock jumps, at random, and the restarts after them.
 *
 * It looks every now and then at its five kinds of the atlas (proc.crash, host.power_cut,
 * clock.jump, clock.drift, proc.pause); each strikes with its chance, a random victim.
 *
 * N1. What it put down comes up again, later, by itself; at its stop at once.
 */
#include "base/must.h"
#include "sim/sim_priv.h"

#define NEMESIS_DOWN_NS_MAX (10 * SIM_S)
#define NEMESIS_DAY_NS	    (86400 * SIM_S)

/* A process that will be started again; its host is switched on for it. */
struct nemesis_mend {
	struct sim_event event;
	struct sim_host *host;
	bool power; /* the host; else a look at all its processes */
};

static void nemesis_start_procs(struct sim_host *host)
{
	struct sim_proc *proc;

	list_for_each(proc, &host->sim->procs, link)
		if (proc->host == host && proc->state == SIM_PROC_DOWN)
			sim_proc_start(proc);
}

static void nemesis_mend(struct sim *sim, struct sim_event *event)
{
	struct nemesis_mend *mend = container_of(event, struct nemesis_mend, event);

	if (mend->power)
		sim_host_power_on(mend->host);
	if (mend->host->up)
		nemesis_start_procs(mend->host);
	arena_put(&sim->arena, mend, sizeof(*mend));
}

static void nemesis_mend_later(struct sim_host *host, bool power)
{
	struct sim *sim = host->sim;
	struct nemesis_mend *mend = arena_zalloc(&sim->arena, sizeof(*mend));

	mend->host = host;
	mend->power = power;
	sim_after(sim, &mend->event,
		  prng_range(&sim->prng[SIM_STREAM_NEMESIS], SIM_MS, NEMESIS_DOWN_NS_MAX),
		  nemesis_mend);
}

static bool nemesis_chance(struct sim *sim, enum sim_fault fault)
{
	return prng_chance_ppm(&sim->prng[SIM_STREAM_NEMESIS], sim->ppm[fault]);
}

static struct sim_host *nemesis_host(struct sim *sim)
{
	return sim->hosts[prng_below(&sim->prng[SIM_STREAM_NEMESIS], sim->host_count)];
}

static void nemesis_strike_proc(struct sim *sim)
{
	uint64_t count = 0, pick;
	struct sim_proc *proc;

	list_for_each(proc, &sim->procs, link)
		count++;
	pick = prng_below(&sim->prng[SIM_STREAM_NEMESIS], count ? count : 1);
	list_for_each(proc, &sim->procs, link)
		if (pick-- == 0)
			break;
	if (!proc || proc->state != SIM_PROC_RUNNING)
		return;
	sim_proc_crash(proc);
	nemesis_mend_later(proc->host, false);
}

static void nemesis_jump(struct sim *sim)
{
	sim_fault_count(sim, SIM_CLOCK_JUMP);
	int64_t ns = (int64_t)prng_below(&sim->prng[SIM_STREAM_NEMESIS], 2 * NEMESIS_DAY_NS);
	sim_host_wall_jump(nemesis_host(sim), ns - (int64_t)NEMESIS_DAY_NS);
}

static void nemesis_drift(struct sim *sim)
{
	/* drawn one by one: the order of two draws in one call is the compiler's */
	struct sim_host *host = nemesis_host(sim);
	int32_t ppm = (int32_t)prng_below(&sim->prng[SIM_STREAM_NEMESIS], 20001) - 10000;

	sim_fault_count(sim, SIM_CLOCK_DRIFT);
	sim_host_drift(host, ppm);
}

static void nemesis_look(struct sim *sim, struct sim_event *event)
{
	if (nemesis_chance(sim, SIM_PROC_CRASH))
		nemesis_strike_proc(sim);
	if (nemesis_chance(sim, SIM_HOST_POWER_CUT)) {
		struct sim_host *host = nemesis_host(sim);
		if (host->up) {
			sim_host_power_cut(host);
			nemesis_mend_later(host, true);
		}
	}
	if (nemesis_chance(sim, SIM_CLOCK_JUMP))
		nemesis_jump(sim);
	if (nemesis_chance(sim, SIM_CLOCK_DRIFT))
		nemesis_drift(sim);
	sim_after(sim, event, prng_range(&sim->prng[SIM_STREAM_NEMESIS], 1, 2 * sim->nemesis_ns),
		  nemesis_look);
}

void sim_nemesis_start(struct sim *sim, uint64_t period_ns)
{
	must(!sim->nemesis.pos && period_ns);
	sim->nemesis_ns = period_ns;
	sim_after(sim, &sim->nemesis, period_ns, nemesis_look);
}

void sim_nemesis_stop(struct sim *sim)
{
	sim_unschedule(sim, &sim->nemesis);
	for (unsigned i = 0; i < sim->host_count; i++) {
		sim_host_power_on(sim->hosts[i]);
		nemesis_start_procs(sim->hosts[i]);
	}
}
