// SPDX-License-Identifier: Apache-2.0
/*
 * switch - what a fiber costs.
 *
 *	hand-over  a fiber resumes another and suspends itself: out to the loop and in again
 *	switch     half of it
 *	yield      out, through one turn of the loop, and in again (one fiber alone)
 *	start      fiber_start() to its end, of a fiber whose stack is in the pool
 *	timer      start and stop of a timeout, the oldest of 1,000 armed first
 *
 * Prints the median of the rounds and the best one, in ns.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "io/uring.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"

#define ROUNDS	  11
#define STEPS	  1000000u
#define STARTS	  200000u
#define TIMERS	  1000u
#define MINUTE_NS 60000000000ull

struct bench {
	struct mem_heap heap;
	struct io *io;
	struct reactor *r;
	struct fiber *pair[2];
	unsigned steps;
	struct timer timers[TIMERS];
	double ns[ROUNDS];
};

static double since(struct bench *b, uint64_t began_ns, unsigned count)
{
	return (double)(io_now(b->io) - began_ns) / count;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(struct bench *b, const char *what, double share)
{
	qsort(b->ns, ROUNDS, sizeof(b->ns[0]), by_value);
	printf("%-10s %8.1f ns   (best %.1f)\n", what, b->ns[ROUNDS / 2] * share, b->ns[0] * share);
}

/* The other one is always suspended when we resume it, but for the very first time. */
static int hand_over(struct fiber *f, void *arg)
{
	struct bench *b = arg;
	unsigned me = b->pair[1] == f;

	if (me == 0)
		fiber_yield(f);
	while (b->steps > 0) {
		b->steps--;
		fiber_resume(b->pair[!me]);
		fiber_suspend(f);
	}
	if (b->pair[!me]) {
		b->pair[me] = NULL;
		fiber_resume(b->pair[!me]);
	}
	return 0;
}

static int second(struct fiber *f, void *arg)
{
	fiber_suspend(f);
	return hand_over(f, arg);
}

static int measure_hand_over(struct fiber *f, void *arg)
{
	struct bench *b = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct fiber *pair[2];
		b->steps = STEPS;
		must(fiber_start(b->r, "one", hand_over, b, &pair[0]) == 0);
		must(fiber_start(b->r, "two", second, b, &pair[1]) == 0);
		b->pair[0] = pair[0];
		b->pair[1] = pair[1];
		uint64_t began_ns = io_now(b->io);
		must(fiber_join(f, pair[0]) == 0);
		must(fiber_join(f, pair[1]) == 0);
		b->ns[round] = since(b, began_ns, STEPS);
	}
	return 0;
}

static int measure_yield(struct fiber *f, void *arg)
{
	struct bench *b = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t began_ns = io_now(b->io);
		for (unsigned i = 0; i < STARTS; i++)
			fiber_yield(f);
		b->ns[round] = since(b, began_ns, STARTS);
	}
	return 0;
}

static int does_nothing(struct fiber *f, void *arg)
{
	return 0;
}

static int measure_start(struct fiber *f, void *arg)
{
	struct bench *b = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t began_ns = io_now(b->io);
		for (unsigned i = 0; i < STARTS; i++) {
			struct fiber *child;
			must(fiber_start(b->r, "child", does_nothing, NULL, &child) == 0);
			must(fiber_join(f, child) == 0);
		}
		b->ns[round] = since(b, began_ns, STARTS);
	}
	return 0;
}

static void never_fires(struct timer *timer)
{
	must(!"a timeout of a minute fired");
}

static int measure_timer(struct fiber *f, void *arg)
{
	struct bench *b = arg;

	for (unsigned i = 0; i < TIMERS; i++)
		timer_start(b->r, &b->timers[i], MINUTE_NS, never_fires);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t began_ns = io_now(b->io);
		for (unsigned i = 0; i < STARTS; i++) {
			struct timer *oldest = &b->timers[i % TIMERS];
			timer_stop(oldest);
			timer_start_at(b->r, oldest, reactor_now(b->r) + MINUTE_NS + i,
				       never_fires);
			if (i % 32 == 0)
				fiber_yield(f); /* a turn looks for the next deadline */
		}
		b->ns[round] = since(b, began_ns, STARTS);
	}
	for (unsigned i = 0; i < TIMERS; i++)
		timer_stop(&b->timers[i]);
	return 0;
}

static int measure_all(struct fiber *f, void *arg)
{
	struct bench *b = arg;

	must(measure_hand_over(f, b) == 0);
	print(b, "switch", 0.5);
	print(b, "hand-over", 1);
	must(measure_yield(f, b) == 0);
	print(b, "yield", 1);
	must(measure_start(f, b) == 0);
	print(b, "start", 1);
	must(measure_timer(f, b) == 0);
	print(b, "timer", 1);
	reactor_stop(b->r);
	return 0;
}

int main(void)
{
	struct bench b = { 0 };
	struct err err = { 0 };

	mem_heap_init(&b.heap);
	if (uring_open(&b.heap.mem, NULL, &b.io, &err) < 0 ||
	    reactor_new(b.io, &(struct reactor_opts){ 0 }, &b.r, &err) < 0) {
		fprintf(stderr, "switch: %s\n", err.words);
		return 1;
	}
	must(fiber_start(b.r, "bench", measure_all, &b, NULL) == 0);
	reactor_run(b.r);
	reactor_free(b.r);
	io_close(b.io);
	return 0;
}
