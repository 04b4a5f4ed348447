/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - time, the heap of events, streams of chance, the trace.
 *
 * W1. (sim.h) The heap orders by (time, sequence): equal times fire in the order of scheduling.
 */
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "sim/sim_priv.h"

#define SIM_HEAP_FIRST 64u
#define SIM_START_NS   SIM_S
#define SIM_QUIET_NS   (100 * SIM_US) /* a turn later than this is a timer's */

struct sim *sim_new(const struct sim_opts *opts)
{
	struct arena arena;

	arena_init(&arena, opts->mem);
	struct sim *sim = arena_zalloc(&arena, sizeof(*sim));
	sim->arena = arena;
	/* the list of the arena's direct blocks has moved with it */
	list_init(&sim->arena.direct);
	list_splice_tail(&sim->arena.direct, &arena.direct);
	sim->opts = *opts;
	sim->parent = opts->mem;
	sim->now_ns = SIM_START_NS;
	sim->hash = opts->seed ^ 0x9e3779b97f4a7c15;
	sim->heap_room = SIM_HEAP_FIRST;
	sim->heap = arena_get(&sim->arena, sim->heap_room * sizeof(*sim->heap));
	for (unsigned i = 0; i < SIM_STREAMS; i++)
		prng_init(&sim->prng[i], opts->seed, i);
	list_init(&sim->procs);
	list_init(&sim->conns);
	list_init(&sim->hung);
	sim->net_median_ns = 50 * SIM_US;
	sim->net_jitter_ns = 20 * SIM_US;
	sim->stacks_own = !opts->stacks;
	sim->stacks = opts->stacks ? opts->stacks : sim_stacks_new(opts->mem);
	sim_fault_set(sim, SIM_DISK_LOST_CACHE, PRNG_PPM);
	sim_fault_set(sim, SIM_DISK_TORN, PRNG_PPM / 2);
	return sim;
}

void sim_free(struct sim *sim)
{
	struct sim_proc *proc;
	struct arena arena;

	list_for_each(proc, &sim->procs, link) {
		sim_proc_crash(proc);
		arena_drop(&proc->arena);
	}
	for (unsigned i = 0; i < sim->host_count; i++)
		sim_host_fini(sim->hosts[i]);
	if (sim->stacks_own)
		sim_stacks_free(sim->stacks);
	arena = sim->arena;
	list_init(&arena.direct);
	list_splice_tail(&arena.direct, &sim->arena.direct);
	arena_drop(&arena);
}

uint64_t sim_now(const struct sim *sim)
{
	return sim->now_ns;
}

uint64_t sim_seed(const struct sim *sim)
{
	return sim->opts.seed;
}

uint64_t sim_hash(const struct sim *sim)
{
	return sim->hash;
}

uint64_t sim_event_count(const struct sim *sim)
{
	return sim->events;
}

struct mem *sim_mem(struct sim *sim)
{
	return &sim->arena.mem;
}

struct prng *sim_prng(struct sim *sim)
{
	return &sim->prng[SIM_STREAM_SCENARIO];
}

/* ---- trace and verdict ---------------------------------------------------------- */

void sim_mix(struct sim *sim, uint64_t value)
{
	uint64_t hash = (sim->hash ^ value) * 0xff51afd7ed558ccd;

	sim->hash = hash ^ hash >> 32;
}

void sim_trace(struct sim *sim, const char *fmt, ...)
{
	char line[SIM_LINE_MAX];
	va_list args;
	int n;

	if (!sim_traces(sim))
		return;
	n = snprintf(line, sizeof(line), "[%4llu.%09llu] ",
		     (unsigned long long)(sim->now_ns / SIM_S),
		     (unsigned long long)(sim->now_ns % SIM_S));
	va_start(args, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, args);
	va_end(args);
	sim->opts.trace(sim->opts.trace_ctx, line);
}

void sim_fail(struct sim *sim, const char *fmt, ...)
{
	va_list args;

	if (sim->failed)
		return;
	sim->failed = true;
	va_start(args, fmt);
	vsnprintf(sim->words, sizeof(sim->words), fmt, args);
	va_end(args);
	sim_trace(sim, "FAILED: %s", sim->words);
}

bool sim_failed(const struct sim *sim)
{
	return sim->failed;
}

const char *sim_words(const struct sim *sim)
{
	return sim->words;
}

/* ---- the heap (W1) ---------------------------------------------------------------- */

static bool sim_before(const struct sim_heap_slot *a, const struct sim_heap_slot *b)
{
	return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->seq < b->seq);
}

static void sim_heap_place(struct sim *sim, uint32_t at, struct sim_heap_slot slot)
{
	sim->heap[at] = slot;
	slot.event->pos = at + 1;
}

static void sim_heap_up(struct sim *sim, uint32_t at, struct sim_heap_slot slot)
{
	while (at > 0 && sim_before(&slot, &sim->heap[(at - 1) / 2])) {
		sim_heap_place(sim, at, sim->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	sim_heap_place(sim, at, slot);
}

static void sim_heap_down(struct sim *sim, uint32_t at, struct sim_heap_slot slot)
{
	for (uint32_t child; (child = 2 * at + 1) < sim->heap_len; at = child) {
		if (child + 1 < sim->heap_len &&
		    sim_before(&sim->heap[child + 1], &sim->heap[child]))
			child++;
		if (!sim_before(&sim->heap[child], &slot))
			break;
		sim_heap_place(sim, at, sim->heap[child]);
	}
	sim_heap_place(sim, at, slot);
}

static void sim_heap_grow(struct sim *sim)
{
	size_t size = sim->heap_room * sizeof(*sim->heap);
	struct sim_heap_slot *heap = arena_get(&sim->arena, 2 * size);

	memcpy(heap, sim->heap, size);
	arena_put(&sim->arena, sim->heap, size);
	sim->heap = heap;
	sim->heap_room *= 2;
}

void sim_at(struct sim *sim, struct sim_event *event, uint64_t at_ns,
	    void (*fire)(struct sim *sim, struct sim_event *event))
{
	must(!event->pos);
	event->at_ns = max_u64(at_ns, sim->now_ns);
	event->seq = ++sim->seq;
	event->fire = fire;
	if (sim->heap_len == sim->heap_room)
		sim_heap_grow(sim);
	sim_heap_up(sim, sim->heap_len++,
		    (struct sim_heap_slot){ event->at_ns, event->seq, event });
}

void sim_after(struct sim *sim, struct sim_event *event, uint64_t ns,
	       void (*fire)(struct sim *sim, struct sim_event *event))
{
	sim_at(sim, event, sim->now_ns + min_u64(ns, UINT64_MAX - sim->now_ns), fire);
}

void sim_unschedule(struct sim *sim, struct sim_event *event)
{
	if (!event->pos)
		return;
	uint32_t at = event->pos - 1;
	struct sim_heap_slot last = sim->heap[--sim->heap_len];
	event->pos = 0;
	if (at == sim->heap_len)
		return;
	if (at > 0 && sim_before(&last, &sim->heap[(at - 1) / 2]))
		sim_heap_up(sim, at, last);
	else
		sim_heap_down(sim, at, last);
}

/* ---- running --------------------------------------------------------------------- */

bool sim_step(struct sim *sim)
{
	if (!sim->heap_len)
		return false;
	struct sim_event *event = sim->heap[0].event;
	sim->now_ns = event->at_ns;
	sim_mix(sim, event->at_ns);
	sim_unschedule(sim, event);
	must(++sim->events < SIM_EVENTS_MAX);
	event->fire(sim, event);
	return true;
}

/* One event, if it comes before `end`; else the time is `end`. */
static bool sim_step_before(struct sim *sim, uint64_t end)
{
	if (sim->failed)
		return false;
	if (!sim->heap_len || sim->heap[0].at_ns > end) {
		sim->now_ns = end;
		return false;
	}
	return sim_step(sim);
}

void sim_run_for(struct sim *sim, uint64_t ns)
{
	uint64_t end = sim->now_ns + ns;

	while (sim_step_before(sim, end))
		;
}

bool sim_run_until(struct sim *sim, sim_cond_fn cond, void *ctx, uint64_t within_ns)
{
	uint64_t end = sim->now_ns + within_ns;

	do {
		if (!sim->failed && cond(ctx))
			return true;
	} while (sim_step_before(sim, end));
	return false;
}

/* No I/O, no bytes on the way, and no loop about to turn. */
static bool sim_is_quiet(struct sim *sim)
{
	struct sim_proc *proc;

	if (sim->busy)
		return false;
	list_for_each(proc, &sim->procs, link)
		if (proc->state == SIM_PROC_RUNNING)
			for (unsigned i = 0; i < proc->opts.reactors; i++)
				if (proc->ios[i]->run.pos &&
				    proc->ios[i]->run.at_ns < sim->now_ns + SIM_QUIET_NS)
					return false;
	return true;
}

bool sim_run_quiet(struct sim *sim, uint64_t within_ns)
{
	uint64_t end = sim->now_ns + within_ns;

	do {
		if (!sim->failed && sim_is_quiet(sim))
			return true;
	} while (sim_step_before(sim, end));
	return false;
}
