/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atlas - every fault there is: name, group, how often it may be drawn to happen, and a counter.
 *
 * A kind is asked for where it would strike (sim_fault()), once an occasion. It strikes with its
 * chance in a million; at 0 nothing is drawn.
 *
 * A1. A kind that is not in this table cannot happen.
 * A2. What happened was counted (sim_fault_fired) and traced.
 */
#include <string.h>

#include "base/must.h"
#include "sim/sim_priv.h"
#include "sim/store.h"

struct sim_fault_info {
	const char *name;
	enum sim_group group;
	uint32_t ppm_min, ppm_max; /* of a swarm */
	const char *help;
};

static const struct sim_fault_info sim_fault_infos[SIM_FAULTS] = {
	[SIM_DISK_EIO_READ] = { "disk.eio_read", SIM_GROUP_DISK, 500, 50000,
				"a read fails with EIO" },
	[SIM_DISK_EIO_WRITE] = { "disk.eio_write", SIM_GROUP_DISK, 500, 50000,
				 "a write fails with EIO; none, some or all of it has happened" },
	[SIM_DISK_EIO_FLUSH] = { "disk.eio_flush", SIM_GROUP_DISK, 2000, 100000,
				 "a flush fails; what it covered may be beyond help" },
	[SIM_DISK_SHORT_WRITE] = { "disk.short_write", SIM_GROUP_DISK, 500, 50000,
				   "the first sectors of a write happen, then it fails" },
	[SIM_DISK_ENOSPC] = { "disk.enospc", SIM_GROUP_DISK, 500, 50000,
			      "no space left for a write to a sparse file" },
	[SIM_DISK_SLOW] = { "disk.slow", SIM_GROUP_DISK, 2000, 200000,
			    "a request takes 1 ms to 2 s" },
	[SIM_DISK_HANG] = { "disk.hang", SIM_GROUP_DISK, 200, 10000,
			    "a request takes 30 s to 5 min" },
	[SIM_DISK_LOST_WRITE] = { "disk.lost_write", SIM_GROUP_SILENT, 1000, 50000,
				  "a write is told done and never happened" },
	[SIM_DISK_MISDIRECT] = { "disk.misdirect", SIM_GROUP_SILENT, 1000, 50000,
				 "a write happens at another place of the disk" },
	[SIM_DISK_CORRUPT_READ] = { "disk.corrupt_read", SIM_GROUP_SILENT, 1000, 50000,
				    "a read returns a sector with wrong bits, this time" },
	[SIM_DISK_ROT] = { "disk.rot", SIM_GROUP_SILENT, 1000, 50000,
			   "bits of a written sector are wrong on the medium" },
	[SIM_DISK_LYING_FLUSH] = { "disk.lying_flush", SIM_GROUP_SILENT, 5000, 500000,
				   "a flush is told done and never happened" },
	[SIM_DISK_LOST_CACHE] = { "disk.lost_cache", 0, 0, 0,
				  "a power cut takes writes that were not flushed" },
	[SIM_DISK_TORN] = { "disk.torn", 0, 0, 0, "a power cut takes single sectors of a write" },
	[SIM_NET_RESET] = { "net.reset", SIM_GROUP_NET, 20, 3000,
			    "a connection breaks while sending" },
	[SIM_NET_REFUSE] = { "net.refuse", SIM_GROUP_NET, 1000, 100000, "a connect is refused" },
	[SIM_NET_CONNECT_TIMEOUT] = { "net.connect_timeout", SIM_GROUP_NET, 1000, 50000,
				      "a connect gets no answer" },
	[SIM_NET_SLOW] = { "net.slow", SIM_GROUP_NET, 1000, 50000, "bytes take 1 to 200 ms" },
	[SIM_NET_STALL] = { "net.stall", SIM_GROUP_NET, 20, 2000, "bytes take 1 to 60 s" },
	[SIM_NET_CHUNKS] = { "net.chunks", SIM_GROUP_NET, 10000, 500000,
			     "bytes arrive in small pieces of any size" },
	[SIM_NET_SLOW_READER] = { "net.slow_reader", SIM_GROUP_NET, 1000, 50000,
				  "a receiver looks at its socket later" },
	[SIM_NET_CUT] = { "net.cut", SIM_GROUP_NET, 20, 2000,
			  "nothing goes from one host to another for a while" },
	[SIM_NET_HALF_OPEN] = { "net.half_open", SIM_GROUP_NET, 50000, 500000,
				"a process dies and its peers are not told" },
	[SIM_PROC_PAUSE] = { "proc.pause", SIM_GROUP_PROC, 100, 5000,
			     "a process stands still for 10 ms to 20 s" },
	[SIM_PROC_CRASH] = { "proc.crash", SIM_GROUP_PROC, 10000, 300000, "kill -9" },
	[SIM_HOST_POWER_CUT] = { "host.power_cut", SIM_GROUP_PROC, 10000, 300000,
				 "a host loses power" },
	[SIM_CLOCK_DRIFT] = { "clock.drift", SIM_GROUP_CLOCK, 10000, 300000,
			      "a host's clocks run up to 1 % faster or slower" },
	[SIM_CLOCK_JUMP] = { "clock.jump", SIM_GROUP_CLOCK, 10000, 300000,
			     "a host's wall clock jumps by up to a day" },
	[SIM_MEM_FAIL] = { "mem.fail", SIM_GROUP_MEM, 100, 20000, "an allocation is refused" },
	[SIM_WORK_BUSY] = { "work.busy", SIM_GROUP_MEM, 1000, 50000, "no worker is free: -EBUSY" },
	[SIM_STORE_LOST_REQUEST] = { "store.lost_request", SIM_GROUP_STORE, 2000, 100000,
				     "a call never comes to the record store" },
	[SIM_STORE_LOST_ANSWER] = { "store.lost_answer", SIM_GROUP_STORE, 2000, 100000,
				    "a call is carried out, and the caller is not told" },
	[SIM_STORE_LATE] = { "store.late", SIM_GROUP_STORE, 2000, 100000,
			     "a call is carried out when its caller may have given up" },
	[SIM_STORE_SLOW] = { "store.slow", SIM_GROUP_STORE, 2000, 200000,
			     "a call takes up to its time-out" },
	[SIM_STORE_EIO] = { "store.eio", SIM_GROUP_STORE, 2000, 100000,
			    "a call fails; it was carried out or will be, or not" },
	[SIM_STORE_DOWN] = { "store.down", SIM_GROUP_STORE, 1000, 20000,
			     "the record store answers nobody for up to 20 s" },
	[SIM_STORE_CUT] = { "store.cut", 0, 0, 0,
			    "one caller's requests are held back, or the answers to it lost" },
	[SIM_STORY_ONE_WAY] = { "story.one_way", 0, 0, 0, "a path is cut in one direction only" },
	[SIM_STORY_TAKEOVER] = { "story.takeover", 0, 0, 0,
				 "an owner follows one that did not close" },
	[SIM_STORY_REBUILD] = { "story.rebuild", 0, 0, 0, "a member was rebuilt" },
	[SIM_STORY_RESIZE] = { "story.resize", 0, 0, 0, "a volume was grown" },
	[SIM_STORY_SWITCH] = { "story.switch", 0, 0, 0, "a host sends its requests another way" },
	[SIM_DISK_PULL] = { "disk.pull", 0, 0, 0, "a disk is unplugged, and plugged in again" },
};

const char *sim_fault_name(enum sim_fault fault)
{
	return sim_fault_infos[fault].name;
}

const char *sim_fault_help(enum sim_fault fault)
{
	return sim_fault_infos[fault].help;
}

enum sim_group sim_fault_group(enum sim_fault fault)
{
	return sim_fault_infos[fault].group;
}

enum sim_fault sim_fault_find(const char *name)
{
	unsigned i = 0;

	while (i < SIM_FAULTS && strcmp(sim_fault_infos[i].name, name) != 0)
		i++;
	return i;
}

void sim_fault_set(struct sim *sim, enum sim_fault fault, uint32_t ppm)
{
	_Static_assert(SIM_FAULTS <= 64, "sim_opts.without");
	sim->ppm[fault] = sim->opts.without >> fault & 1 ? 0 : ppm;
}

uint32_t sim_fault_get(const struct sim *sim, enum sim_fault fault)
{
	return sim->ppm[fault];
}

uint64_t sim_fault_fired(const struct sim *sim, enum sim_fault fault)
{
	return sim->fired[fault];
}

void sim_fault_count(struct sim *sim, enum sim_fault fault)
{
	sim->fired[fault]++;
	sim_mix(sim, fault);
}

bool sim_fault_slow(struct sim *sim, enum sim_fault fault, const char *where)
{
	if (!prng_chance_ppm(&sim->prng[SIM_STREAM_FAULTS], sim->ppm[fault]))
		return false;
	sim_fault_count(sim, fault);
	sim_trace(sim, "%s: fault %s", where, sim_fault_infos[fault].name);
	return true;
}

/* Each kind is on in one run of three, at a rate whose logarithm is drawn: a swarm is not a mixture. */
void sim_swarm(struct sim *sim, unsigned groups)
{
	struct prng *prng = &sim->prng[SIM_STREAM_SWARM];

	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		const struct sim_fault_info *info = &sim_fault_infos[i];
		bool on = prng_below(prng, 3) == 0;
		unsigned doublings = 0;
		while (info->ppm_min && (uint64_t)info->ppm_min << (doublings + 1) <= info->ppm_max)
			doublings++;
		uint32_t ppm = info->ppm_min << prng_below(prng, (uint64_t)doublings + 1);
		if (!(info->group & groups))
			continue;
		sim_fault_set(sim, i, on ? ppm : 0);
		if (on)
			sim_trace(sim, "swarm: %s %u ppm", info->name, ppm);
	}
}

void sim_faults_off(struct sim *sim, unsigned groups)
{
	for (unsigned i = 0; i < SIM_FAULTS; i++)
		if (sim_fault_infos[i].group & groups)
			sim->ppm[i] = 0;
}

void sim_heal(struct sim *sim)
{
	struct sim_proc *proc;

	sim_trace(sim, "heal");
	sim_faults_off(sim, SIM_GROUP_ALL);
	for (unsigned i = 0; i < sim->host_count; i++)
		for (unsigned j = 0; j < sim->host_count; j++)
			sim_net_heal(sim->hosts[i], sim->hosts[j]);
	disk_let_go(sim);
	if (sim->store)
		sim_store_heal(sim->store);
	list_for_each(proc, &sim->procs, link)
		sim_proc_pause(proc, 0);
}

uint64_t sim_delay(struct prng *prng, uint64_t median_ns)
{
	uint64_t draw = prng_u64(prng);
	uint64_t ns = median_ns / 2 + median_ns * (draw & 1023) / 1024;

	if ((draw >> 10 & 63) == 0)
		ns += median_ns * (draw >> 16 & 15);
	return ns;
}
