// SPDX-License-Identifier: Apache-2.0
/*
 * mail - how long a message takes to another reactor and back.
 *
 *	spinning   both reactors have something to do in each turn and never sleep
 *	sleeping   both sleep between the messages: the cost of waking, twice
 *	call       fiber_call_on() of an empty function, between spinning reactors
 *	batch      messages per second, many on the way at once
 *
 * Prints the median of the rounds and the best one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "io/uring.h"
#include "reactor/fiber.h"
#include "reactor/group.h"
#include "reactor/reactor.h"

#define ROUNDS	     11
#define TRIPS	     50000u
#define SLEEPY_TRIPS 2000u
#define FLYING	     256u

struct letter {
	struct mail mail;
	struct bench *bench;
};

/* A fiber that yields: each turn of its reactor has work for the next. */
struct spinner {
	bool is_on;
};

struct bench {
	struct mem_heap heap;
	struct reactor *near, *far;
	struct fiber *waiter;
	struct letter letters[FLYING];
	unsigned left, back;
	struct spinner spinners[2];
	double ns[ROUNDS];
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sort(struct bench *b)
{
	qsort(b->ns, ROUNDS, sizeof(b->ns[0]), by_value);
}

/* ---- spinning ------------------------------------------------------------- */

static int spin_main(struct fiber *f, void *arg)
{
	struct spinner *s = arg;

	while (s->is_on)
		fiber_yield(f);
	return 0;
}

static int spin_start(struct fiber *f, void *arg)
{
	struct spinner *s = arg;

	s->is_on = true;
	return fiber_start(fiber_reactor(f), "spin", spin_main, s, NULL);
}

static int spin_stop(struct fiber *f, void *arg)
{
	struct spinner *s = arg;

	s->is_on = false;
	fiber_yield(f);
	fiber_yield(f);
	return 0;
}

static void spin_all(struct fiber *f, struct bench *b, fiber_fn fn)
{
	must(fiber_call_on(f, b->near, "spin", fn, &b->spinners[0]) == 0);
	must(fiber_call_on(f, b->far, "spin", fn, &b->spinners[1]) == 0);
}

/* ---- trips ---------------------------------------------------------------- */

static void letter_run(struct mail *mail, struct reactor *at)
{
	struct letter *letter = container_of(mail, struct letter, mail);
	struct bench *b = letter->bench;

	if (at == b->far) {
		reactor_send(at, b->near, mail);
		return;
	}
	b->back++;
	if (b->left) {
		b->left--;
		reactor_send(at, b->far, mail);
	} else if (b->waiter) {
		fiber_resume(b->waiter);
		b->waiter = NULL;
	}
}

/* `trips` round trips, so many letters at once; ns for all. */
static uint64_t travel(struct fiber *f, struct bench *b, unsigned trips, unsigned flying)
{
	uint64_t began_ns = io_now(fiber_io(f));

	b->left = trips - flying;
	b->back = 0;
	for (unsigned i = 0; i < flying; i++) {
		b->letters[i].bench = b;
		b->letters[i].mail.run = letter_run;
		reactor_send(b->near, b->far, &b->letters[i].mail);
	}
	while (b->back < trips) {
		b->waiter = f;
		fiber_suspend(f);
	}
	return io_now(fiber_io(f)) - began_ns;
}

static int does_nothing(struct fiber *f, void *arg)
{
	return 0;
}

static int measure_all(struct fiber *f, void *arg)
{
	struct bench *b = arg;

	b->near = fiber_reactor(f);
	b->far = reactor_peer(b->near, 1);
	spin_all(f, b, spin_start);
	for (unsigned i = 0; i < ROUNDS; i++)
		b->ns[i] = (double)travel(f, b, TRIPS, 1) / TRIPS;
	sort(b);
	printf("spinning round trip %8.0f ns   (best %.0f)\n", b->ns[ROUNDS / 2], b->ns[0]);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t began_ns = io_now(fiber_io(f));
		for (unsigned j = 0; j < TRIPS / 10; j++)
			must(fiber_call_on(f, b->far, "call", does_nothing, NULL) == 0);
		b->ns[i] = (double)(io_now(fiber_io(f)) - began_ns) / (TRIPS / 10.0);
	}
	sort(b);
	printf("spinning call       %8.0f ns   (best %.0f)\n", b->ns[ROUNDS / 2], b->ns[0]);
	for (unsigned i = 0; i < ROUNDS; i++)
		b->ns[i] = (double)travel(f, b, 20 * TRIPS, FLYING) / (20 * TRIPS);
	sort(b);
	printf("batches of %u      %8.1f ns   a round trip (best %.1f)\n", FLYING,
	       b->ns[ROUNDS / 2], b->ns[0]);
	spin_all(f, b, spin_stop);
	for (unsigned i = 0; i < ROUNDS; i++)
		b->ns[i] = (double)travel(f, b, SLEEPY_TRIPS, 1) / SLEEPY_TRIPS;
	sort(b);
	printf("sleeping round trip %8.0f ns   (best %.0f)\n", b->ns[ROUNDS / 2], b->ns[0]);
	return 0;
}

static int ring_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct bench *b = ctx;

	return uring_open(&b->heap.mem, NULL, ret, err);
}

int main(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err = { 0 };

	mem_heap_init(&b->heap);
	struct group_opts opts = {
		.count = 2, .pin = true, .io_open = ring_open, .io_ctx = b, .mem = &b->heap.mem
	};
	int res = group_run(&opts, measure_all, b, &err);
	if (res < 0)
		fprintf(stderr, "mail: %s\n", err.words);
	free(b);
	return res < 0;
}
