/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc - processes: an arena, n loops, and what the kernel holds for them.
 *
 *   DOWN --start--> RUNNING --main returns--> STOPPED
 *                      \------crash, power cut--> DOWN     (start again from both)
 *
 * W4. (sim.h) A crash runs nothing of the process: loops end, device I/O goes on without it, its
 *     sockets are closed by its kernel or vanish with its host, its memory is dropped.
 * PR1. A clean stop leaves nothing: no memory, no open files, no sockets. Else the run fails.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "io/stack.h"
#include "pool/pool.h"
#include "reactor/reactor.h"
#include "sim/sim_priv.h"

#define PROC_STOP_TURNS_MAX 1000u /* for what still runs when main has returned */

/* ---- stacks, kept for the next process ----------------------------------------------- */

struct sim_stack {
	struct sim_stack *next; /* at the low end of a free stack */
	size_t bytes;
};

struct sim_stacks {
	struct mem *mem;
	struct sim_stack *free;
};

struct sim_stacks *sim_stacks_new(struct mem *mem)
{
	struct sim_stacks *stacks = mem_alloc(mem, sizeof(*stacks));

	must(stacks);
	stacks->mem = mem;
	return stacks;
}

void sim_stacks_free(struct sim_stacks *stacks)
{
	while (stacks->free) {
		struct sim_stack *stack = stacks->free;
		stacks->free = stack->next;
		io_stack_unmap(stack, stack->bytes);
	}
	mem_free(stacks);
}

int sim_stack_map(struct sim_stacks *stacks, size_t bytes, void **ret_low, size_t *ret_bytes)
{
	for (struct sim_stack **at = &stacks->free; *at; at = &(*at)->next) {
		struct sim_stack *stack = *at;
		if (stack->bytes < bytes || stack->bytes > 2 * bytes)
			continue;
		*at = stack->next;
		*ret_bytes = stack->bytes;
		*ret_low = stack;
		memset(stack, 0, sizeof(*stack));
		return 0;
	}
	return io_stack_map(bytes, ret_low, ret_bytes);
}

void sim_stack_unmap(struct sim_stacks *stacks, void *low, size_t bytes)
{
	struct sim_stack *stack = low;

	stack->bytes = bytes;
	stack->next = stacks->free;
	stacks->free = stack;
}

/* ---- start ---------------------------------------------------------------------------- */

struct sim_proc *sim_proc_add(struct sim_host *host, const struct sim_proc_opts *opts)
{
	struct sim *sim = host->sim;
	struct sim_proc *proc = arena_zalloc(&sim->arena, sizeof(*proc));

	proc->host = host;
	proc->opts = *opts;
	if (!proc->opts.reactors)
		proc->opts.reactors = 1;
	must(proc->opts.reactors <= SIM_REACTORS_MAX);
	must(opts->bare || opts->main);
	snprintf(proc->name, sizeof(proc->name), "%.15s/%.15s", host->name,
		 opts->name ? opts->name : "main");
	list_init(&proc->files);
	list_init(&proc->socks);
	list_init(&proc->listeners);
	list_init(&proc->signals);
	list_init(&proc->dials);
	arena_init(&proc->arena, sim->parent);
	list_add_tail(&sim->procs, &proc->link);
	sim_proc_start(proc);
	return proc;
}

/* The first fiber of reactor 0. */
static int proc_main(struct fiber *f, void *arg)
{
	struct sim_proc *proc = arg;

	proc->result = proc->opts.main(f, proc->opts.arg);
	if (proc->result < 0)
		sim_trace(proc->host->sim, "%s: main: %d %s", proc->name, proc->result,
			  fiber_words(f));
	fiber_clear(f);
	proc->ended = true;
	return 0;
}

static bool proc_refuse_alloc(void *ctx)
{
	struct sim_proc *proc = ctx;

	return sim_fault(proc->host->sim, SIM_MEM_FAIL, proc->name);
}

static void proc_start_reactors(struct sim_proc *proc)
{
	struct reactor *reactors[SIM_REACTORS_MAX];
	struct err err = { 0 };

	for (unsigned i = 0; i < proc->opts.reactors; i++) {
		struct reactor_opts opts = {
			.index = i,
			.fibers_max = proc->opts.fibers_max,
			.bdev_env = proc->opts.drivers ? &proc->env : NULL,
		};
		must(reactor_new(&proc->ios[i]->io, &opts, &reactors[i], &err) == 0);
		proc->ios[i]->reactor = reactors[i];
	}
	must(reactors_connect(reactors, proc->opts.reactors) == 0);
	if (proc->opts.drivers) {
		proc->env.drivers = proc->opts.drivers;
		proc->env.home = reactors[0];
		proc->env.nexuses = NULL;
		proc->env.target = NULL;
		must(bdev_table_new(&proc->ios[0]->io, &proc->env.table) == 0);
		must(pool_table_new(&proc->ios[0]->io, &proc->env.pools) == 0);
	}
	must(fiber_start(reactors[0], "main", proc_main, proc, NULL) == 0);
}

void sim_proc_start(struct sim_proc *proc)
{
	struct sim *sim = proc->host->sim;

	must(proc->state != SIM_PROC_RUNNING && proc->host->up);
	sim_trace(sim, "%s: start", proc->name);
	proc->state = SIM_PROC_RUNNING;
	proc->starts++;
	proc->ended = false;
	proc->stop_turns = 0;
	proc->paused_until_ns = 0;
	proc->works = 0;
	proc->result = 0;
	proc->arena.refuse = NULL;
	proc->arena.bytes_max = 0;
	for (unsigned i = 0; i < proc->opts.reactors; i++) {
		proc->ios[i] = arena_zalloc(&sim->arena, sizeof(*proc->ios[i]));
		sim_io_init(proc->ios[i], proc, i);
	}
	if (!proc->opts.bare)
		proc_start_reactors(proc);
	proc->arena.refuse = proc_refuse_alloc;
	proc->arena.refuse_ctx = proc;
	proc->arena.bytes_max = proc->opts.mem_max_bytes;
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		sim_io_rouse(proc->ios[i]);
}

/* ---- end -------------------------------------------------------------------------------- */

static void proc_stop_loops(struct sim_proc *proc)
{
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		sim_io_stop(proc->ios[i]);
}

/* What the kernel does for a process that is gone, however it went. */
static void proc_close_handles(struct sim_proc *proc, bool silent)
{
	struct sim_disk *disk;

	net_proc_gone(proc, silent);
	list_for_each(disk, &proc->host->disks, link)
		disk_forget_proc(disk, proc);
	while (!list_empty(&proc->files))
		file_close(list_first(&proc->files, struct io_file, link));
	sim_signals_drop(proc);
}

void sim_proc_end_crash(struct sim_proc *proc, bool silent)
{
	struct sim *sim = proc->host->sim;

	if (proc->state != SIM_PROC_RUNNING)
		return;
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		must(!proc->ios[i]->in_turn); /* it cannot kill itself */
	sim_trace(sim, "%s: crash", proc->name);
	sim_fault_count(sim, SIM_PROC_CRASH);
	proc->state = SIM_PROC_DOWN;
	proc_stop_loops(proc);
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		if (proc->ios[i]->reactor)
			reactor_abandon(proc->ios[i]->reactor);
	proc_close_handles(proc, silent);
	arena_drop(&proc->arena);
}

void sim_proc_crash(struct sim_proc *proc)
{
	sim_proc_end_crash(proc, false);
}

static bool proc_is_idle(struct sim_proc *proc)
{
	for (unsigned i = 0; i < proc->opts.reactors; i++) {
		struct reactor_stats stats;
		reactor_stats(proc->ios[i]->reactor, &stats);
		if (stats.fibers || stats.timers_armed || proc->ios[i]->stats.inflight)
			return false;
	}
	return true;
}

/* PR1. */
static void proc_check_leaks(struct sim_proc *proc)
{
	struct sim *sim = proc->host->sim;

	if (!list_empty(&proc->files))
		sim_fail(sim, "%s: a file was left open: %s", proc->name,
			 list_first(&proc->files, struct io_file, link)->disk->path);
	if (!list_empty(&proc->socks) || !list_empty(&proc->listeners))
		sim_fail(sim, "%s: a socket was left open", proc->name);
	if (!list_empty(&proc->signals))
		sim_fail(sim, "%s: a signal is still watched", proc->name);
	if (proc->arena.blocks)
		sim_fail(sim, "%s: %llu blocks of memory were left, %llu bytes", proc->name,
			 (unsigned long long)proc->arena.blocks,
			 (unsigned long long)proc->arena.bytes);
}

static void proc_stop(struct sim_proc *proc)
{
	struct sim *sim = proc->host->sim;

	sim_trace(sim, "%s: stop, result %d", proc->name, proc->result);
	if (proc->opts.drivers) {
		pool_table_free(proc->env.pools);
		bdev_table_free(proc->env.table);
	}
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		reactor_free(proc->ios[i]->reactor);
	proc_stop_loops(proc);
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		io_close(&proc->ios[i]->io);
	proc->state = SIM_PROC_STOPPED;
	proc_check_leaks(proc);
	proc_close_handles(proc, false);
	arena_drop(&proc->arena);
}

void sim_proc_turned(struct sim_proc *proc)
{
	if (!proc->ended || proc->state != SIM_PROC_RUNNING)
		return;
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		if (proc->ios[i]->in_turn)
			return;
	if (proc_is_idle(proc)) {
		proc_stop(proc);
		return;
	}
	if (++proc->stop_turns > PROC_STOP_TURNS_MAX) {
		sim_fail(proc->host->sim,
			 "%s: main has returned, but fibers, timers or I/O are left", proc->name);
		return;
	}
	for (unsigned i = 0; i < proc->opts.reactors; i++)
		sim_io_kick(proc->ios[i], proc->host->sim->now_ns + SIM_MS);
}

void sim_proc_pause(struct sim_proc *proc, uint64_t ns)
{
	struct sim *sim = proc->host->sim;

	if (proc->state != SIM_PROC_RUNNING || (!ns && proc->paused_until_ns <= sim->now_ns))
		return;
	proc->paused_until_ns = sim->now_ns + ns;
	sim_trace(sim, "%s: paused for %llu ms", proc->name, (unsigned long long)(ns / SIM_MS));
	for (unsigned i = 0; i < proc->opts.reactors; i++) {
		struct sim_io *io = proc->ios[i];
		if (!io->run.pos)
			continue;
		sim_unschedule(sim, &io->run);
		sim_io_kick(io, sim->now_ns);
	}
}

/* ---- questions ---------------------------------------------------------------------------- */

void sim_proc_fail_alloc(struct sim_proc *proc, uint64_t n)
{
	proc->arena.fail_at = n ? proc->arena.allocs + n : 0;
}

enum sim_proc_state sim_proc_state(const struct sim_proc *proc)
{
	return proc->state;
}

int sim_proc_result(const struct sim_proc *proc)
{
	return proc->result;
}

uint64_t sim_proc_allocs(const struct sim_proc *proc)
{
	return proc->arena.allocs;
}

unsigned sim_proc_starts(const struct sim_proc *proc)
{
	return proc->starts;
}

struct io *sim_proc_io(struct sim_proc *proc, unsigned index)
{
	must(index < proc->opts.reactors);
	return &proc->ios[index]->io;
}

struct reactor *sim_proc_reactor(struct sim_proc *proc, unsigned index)
{
	must(index < proc->opts.reactors);
	return proc->ios[index]->reactor;
}

struct sim_host *sim_proc_host(struct sim_proc *proc)
{
	return proc->host;
}

struct sim *sim_proc_sim(struct sim_proc *proc)
{
	return proc->host->sim;
}

void sim_proc_set_nexuses(struct sim_proc *proc, struct nexus_table *table)
{
	proc->env.nexuses = table;
}

void sim_proc_set_target(struct sim_proc *proc, struct tgt *tgt)
{
	proc->env.target = tgt;
}
