/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - machines: clocks and power.
 *
 * HO1. The monotonic clock of a host never goes back while it is up; it may run faster or
 *      slower than the world's. The wall clock is the world's plus an offset that may jump.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "sim/sim_priv.h"

#define HOST_BOOT_MONO_MAX (100 * SIM_S)
#define PPM		   1000000

struct sim_host *sim_host_add(struct sim *sim, const char *name)
{
	struct sim_host *host = arena_zalloc(&sim->arena, sizeof(*host));

	must(sim->host_count < SIM_HOSTS_MAX);
	host->sim = sim;
	host->index = sim->host_count;
	sim->hosts[sim->host_count++] = host;
	snprintf(host->name, sizeof(host->name), "%s", name);
	host->up = true;
	host->base_ns = sim->now_ns;
	host->base_mono = prng_range(&sim->prng[SIM_STREAM_LOOP], SIM_S, HOST_BOOT_MONO_MAX);
	host->next_port = 32768;
	list_init(&host->listeners);
	fs_init_host(host);
	if (sim_fault(sim, SIM_CLOCK_DRIFT, host->name))
		sim_host_drift(host,
			       (int32_t)prng_below(&sim->prng[SIM_STREAM_FAULTS], 20001) - 10000);
	return host;
}

/* Images outlive the world: their pages get back the references that disks on them had. */
void sim_host_fini(struct sim_host *host)
{
	struct sim_disk *disk;

	list_for_each(disk, &host->disks, link)
		if (disk->opts.image)
			media_fini(&disk->media);
}

const char *sim_host_name(const struct sim_host *host)
{
	return host->name;
}

bool sim_host_is_up(const struct sim_host *host)
{
	return host->up;
}

void sim_host_addr(const struct sim_host *host, uint16_t port, struct io_addr *ret)
{
	*ret = (struct io_addr){ .family = AF_INET, .port = port };
	ret->ip[0] = 10;
	ret->ip[3] = (uint8_t)(host->index + 1);
}

/* ---- clocks (HO1) ------------------------------------------------------------------- */

uint64_t sim_host_mono(const struct sim_host *host)
{
	uint64_t gone = host->sim->now_ns - host->base_ns;

	if (host->drift_ppm)
		gone = (uint64_t)((unsigned __int128)gone * (uint64_t)(PPM + host->drift_ppm) /
				  PPM);
	return host->base_mono + gone;
}

uint64_t sim_host_mono_to_world(const struct sim_host *host, uint64_t mono_ns)
{
	uint64_t gone = mono_ns > host->base_mono ? mono_ns - host->base_mono : 0;

	if (gone >= UINT64_MAX / 4)
		return UINT64_MAX;
	if (host->drift_ppm)
		gone = (uint64_t)(((unsigned __int128)gone * PPM +
				   (uint64_t)(PPM + host->drift_ppm) - 1) /
				  (uint64_t)(PPM + host->drift_ppm));
	return host->base_ns + gone;
}

uint64_t sim_host_wall(const struct sim_host *host)
{
	return SIM_WALL_START + host->sim->now_ns + (uint64_t)host->wall_off_ns;
}

void sim_host_drift(struct sim_host *host, int32_t ppm)
{
	struct sim_proc *proc;

	must(ppm > -PPM / 2 && ppm < PPM);
	host->base_mono = sim_host_mono(host);
	host->base_ns = host->sim->now_ns;
	host->drift_ppm = ppm;
	sim_trace(host->sim, "%s: clock drifts by %d ppm", host->name, ppm);
	/* timers were set by the old rate: let the loops look again */
	list_for_each(proc, &host->sim->procs, link)
		if (proc->host == host && proc->state == SIM_PROC_RUNNING)
			for (unsigned i = 0; i < proc->opts.reactors; i++)
				sim_io_rouse(proc->ios[i]);
}

void sim_host_wall_jump(struct sim_host *host, int64_t ns)
{
	host->wall_off_ns += ns;
	sim_trace(host->sim, "%s: wall clock jumps by %lld ms", host->name,
		  (long long)(ns / 1000000));
}

/* ---- power ---------------------------------------------------------------------------- */

void sim_host_power_cut(struct sim_host *host)
{
	struct sim *sim = host->sim;
	struct sim_disk *disk, *after;
	struct sim_proc *proc;

	if (!host->up)
		return;
	sim_trace(sim, "%s: power cut", host->name);
	sim_fault_count(sim, SIM_HOST_POWER_CUT);
	host->up = false;
	list_for_each(proc, &sim->procs, link)
		if (proc->host == host)
			sim_proc_end_crash(proc, true);
	list_for_each_safe(disk, after, &host->disks, link)
		sim_disk_power_cut(disk);
	fs_power_cut(host);
	net_probe(sim);
}

void sim_host_power_on(struct sim_host *host)
{
	struct sim *sim = host->sim;

	if (host->up)
		return;
	sim_trace(sim, "%s: power on", host->name);
	host->up = true;
	host->base_ns = sim->now_ns;
	host->base_mono = prng_range(&sim->prng[SIM_STREAM_LOOP], SIM_S, HOST_BOOT_MONO_MAX);
	net_probe(sim);
}
