// SPDX-License-Identifier: Apache-2.0
/* The turn: waiting, waking, deadlines, one-shot bookkeeping, workers. */
#include "world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void nop_completes_in_the_next_turn(void **state)
{
	struct world *w = *state;
	struct io_op op;
	bool done = false;

	io_prep(&op, IO_NOP, op_done);
	op.owner = &done;
	io_submit(w->io, &op);
	assert_false(done);
	assert_int_equal(io_turn(w->io, IO_FOREVER), 1);
	assert_true(done);
	assert_int_equal(op.res, 0);
}

static void a_turn_without_events_returns_none(void **state)
{
	struct world *w = *state;

	assert_int_equal(io_turn(w->io, 0), 0);
	assert_int_equal(io_turn(w->io, 1), 0); /* a deadline long gone */
}

static void sleep_ends_at_its_deadline(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 20; i++) {
		uint64_t until = io_now(w->io) + 1000000;

		while (io_now(w->io) < until)
			io_turn(w->io, until);
		assert_true(world_is_slow() || io_now(w->io) - until < 1000000000);
	}
}

static void an_idle_ring_uses_no_cpu(void **state)
{
	struct world *w = *state;
	struct io_stats before, after;
	uint64_t cpu = cpu_ns();

	io_stats(w->io, &before);
	world_turn_for(w, 200000000);
	io_stats(w->io, &after);
	assert_true(world_is_slow() || cpu_ns() - cpu < 20000000);
	assert_true(after.turns - before.turns < 10);
}

static void turn_ns_follows_the_clock(void **state)
{
	struct world *w = *state;
	uint64_t before = io_now(w->io);

	io_turn(w->io, 0);
	assert_true(w->io->turn_ns >= before && w->io->turn_ns <= io_now(w->io));
	io_turn(w->io, io_now(w->io) + 1000000);
	assert_true(w->io->turn_ns > before && w->io->turn_ns <= io_now(w->io));
	assert_true(io_wall(w->io) > UINT64_C(1600000000000000000));
}

static void random_fills_all_of_it(void **state)
{
	struct world *w = *state;
	uint8_t a[512] = { 0 }, b[512] = { 0 };

	io_random(w->io, a, sizeof(a));
	io_random(w->io, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 256, b + 256, 256);
}

/* ---- waking ----------------------------------------------------------------- */

struct waker {
	struct io *io;
	pthread_t thread;
	uint64_t delay_ns;
	unsigned count;
	atomic_uint *posted;
};

static void *waker_main(void *arg)
{
	struct waker *k = arg;

	for (unsigned i = 0; i < k->count; i++) {
		if (k->delay_ns) {
			struct timespec t = { 0, (long)k->delay_ns };

			nanosleep(&t, NULL);
		}
		if (k->posted)
			atomic_fetch_add(k->posted, 1);
		io_wake(k->io);
	}
	return NULL;
}

static void wake_ends_a_sleep(void **state)
{
	struct world *w = *state;
	struct waker k = { .io = w->io, .delay_ns = 20000000, .count = 1 };
	uint64_t start = io_now(w->io);

	assert_int_equal(pthread_create(&k.thread, NULL, waker_main, &k), 0);
	io_turn(w->io, start + WORLD_PATIENCE_NS);
	assert_true(io_now(w->io) - start < WORLD_PATIENCE_NS / 2);
	pthread_join(k.thread, NULL);
}

static void wake_before_a_turn_is_kept(void **state)
{
	struct world *w = *state;
	uint64_t start = io_now(w->io);

	io_wake(w->io);
	io_wake(w->io);
	io_turn(w->io, start + WORLD_PATIENCE_NS);
	assert_true(io_now(w->io) - start < WORLD_PATIENCE_NS / 2);
	/* and only once */
	start = io_now(w->io);
	while (io_now(w->io) < start + 5000000)
		io_turn(w->io, start + 5000000);
}

static void no_wake_is_lost_in_a_storm(void **state)
{
	struct world *w = *state;
	enum { THREADS = 4, WAKES = 20000 };
	struct waker k[THREADS];
	atomic_uint posted = 0;
	unsigned seen = 0;

	for (int i = 0; i < THREADS; i++) {
		k[i] = (struct waker){ .io = w->io, .count = WAKES, .posted = &posted };
		assert_int_equal(pthread_create(&k[i].thread, NULL, waker_main, &k[i]), 0);
	}
	/* If a wake were lost after the last post, this would sleep for WORLD_PATIENCE_NS. */
	while (seen < THREADS * WAKES) {
		uint64_t deadline = io_now(w->io) + WORLD_PATIENCE_NS;

		io_turn(w->io, deadline);
		assert_true(io_now(w->io) < deadline);
		seen = atomic_load(&posted);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(k[i].thread, NULL);
}

struct pong {
	struct io *a, *b;
	atomic_uint ping, pong;
	unsigned rounds;
	atomic_bool ready, stop;
};

static void *pong_main(void *arg)
{
	struct pong *p = arg;
	struct mem_heap heap;
	struct err err;
	unsigned seen = 0;

	mem_heap_init(&heap);
	must(uring_open(&heap.mem, NULL, &p->b, &err) == 0);
	atomic_store(&p->ready, true);
	while (seen < p->rounds) {
		while (atomic_load(&p->ping) == seen)
			io_turn(p->b, io_now(p->b) + WORLD_PATIENCE_NS);
		seen++;
		atomic_store(&p->pong, seen);
		io_wake(p->a);
	}
	while (!atomic_load(&p->stop))
		io_turn(p->b, io_now(p->b) + 10000000);
	io_close(p->b);
	mem_heap_fini(&heap);
	return NULL;
}

/* Also printed: what a round costs; with two free cores both rings converge to spinning. */
static void two_rings_wake_each_other(void **state)
{
	struct world *w = *state;
	struct pong p = { .a = w->io, .rounds = 5000 };
	struct io_stats stats;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, pong_main, &p), 0);
	while (!atomic_load(&p.ready))
		usleep(100);
	uint64_t start = io_now(w->io);
	for (unsigned i = 1; i <= p.rounds; i++) {
		atomic_store(&p.ping, i);
		io_wake(p.b);
		while (atomic_load(&p.pong) != i) {
			uint64_t deadline = io_now(w->io) + WORLD_PATIENCE_NS;

			io_turn(w->io, deadline);
			assert_true(io_now(w->io) < deadline);
		}
	}
	uint64_t ns = io_now(w->io) - start;
	io_stats(w->io, &stats);
	print_message("# round trip %lu ns; spins %lu, hits %lu, sleeps %lu\n", ns / p.rounds,
		      stats.spins, stats.spin_hits, stats.sleeps);
	atomic_store(&p.stop, true);
	pthread_join(thread, NULL);
}

/* ---- workers ---------------------------------------------------------------- */

static int64_t work_thread_id(void *ctx)
{
	*(pthread_t *)ctx = pthread_self();
	return 42;
}

static void work_runs_on_another_thread(void **state)
{
	struct world *w = *state;
	pthread_t id = pthread_self();
	struct io_op op;

	io_prep_work(&op, work_thread_id, &id, op_done);
	assert_int_equal(op_wait(w, &op), 42);
	assert_false(pthread_equal(id, pthread_self()));
}

static int64_t work_wait_for(void *ctx)
{
	atomic_bool *go = ctx;

	while (!atomic_load(go))
		usleep(100);
	return 0;
}

static void work_beyond_the_queue_is_busy(void **state)
{
	enum { WORKERS = 2, QUEUE = 3, OPS = WORKERS + QUEUE + 1 };
	struct uring_opts opts = { .workers_max = WORKERS, .work_queue_max = QUEUE };
	struct world w;
	struct io_op ops[OPS];
	bool done[OPS] = { false };
	atomic_bool go = false;

	world_init(&w, &opts);
	for (int i = 0; i < OPS; i++) {
		io_prep_work(&ops[i], work_wait_for, &go, op_done);
		ops[i].owner = &done[i];
		io_submit(w.io, &ops[i]);
		if (i < WORKERS)
			usleep(50000); /* it has been begun */
	}
	world_turn_until(&w, &done[OPS - 1]);
	assert_int_equal(ops[OPS - 1].res, -EBUSY);
	assert_false(done[0]);
	io_cancel(w.io, &ops[OPS - 2]); /* waits: can be cancelled */
	io_cancel(w.io, &ops[OPS - 2]);
	io_cancel(w.io, &ops[0]); /* runs: cannot */
	world_turn_until(&w, &done[OPS - 2]);
	assert_int_equal(ops[OPS - 2].res, -ECANCELED);
	assert_false(done[0]);
	atomic_store(&go, true);
	for (int i = 0; i < OPS - 2; i++) {
		world_turn_until(&w, &done[i]);
		assert_int_equal(ops[i].res, 0);
	}
	world_fini(&w);
	(void)state;
}

static unsigned count_threads(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)!sscanf(line, "Threads: %u", &n);
	fclose(f);
	return n;
}

static void idle_workers_end_and_come_back(void **state)
{
	struct uring_opts opts = { .work_idle_ns = 1000000, .workers_max = 2 };
	unsigned before = count_threads();
	pthread_t id;
	struct io_op op;
	struct world w;

	world_init(&w, &opts);
	for (int round = 0; round < 3; round++) {
		io_prep_work(&op, work_thread_id, &id, op_done);
		assert_int_equal(op_wait(&w, &op), 42);
		for (int i = 0; i < 1000 && count_threads() > before; i++)
			usleep(1000);
		assert_int_equal(count_threads(), before);
	}
	world_fini(&w);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nop_completes_in_the_next_turn, world_open,
						world_close),
		cmocka_unit_test_setup_teardown(a_turn_without_events_returns_none, world_open,
						world_close),
		cmocka_unit_test_setup_teardown(sleep_ends_at_its_deadline, world_open,
						world_close),
		cmocka_unit_test_setup_teardown(an_idle_ring_uses_no_cpu, world_open, world_close),
		cmocka_unit_test_setup_teardown(turn_ns_follows_the_clock, world_open, world_close),
		cmocka_unit_test_setup_teardown(random_fills_all_of_it, world_open, world_close),
		cmocka_unit_test_setup_teardown(wake_ends_a_sleep, world_open, world_close),
		cmocka_unit_test_setup_teardown(wake_before_a_turn_is_kept, world_open,
						world_close),
		cmocka_unit_test_setup_teardown(no_wake_is_lost_in_a_storm, world_open,
						world_close),
		cmocka_unit_test_setup_teardown(two_rings_wake_each_other, world_open, world_close),
		cmocka_unit_test_setup_teardown(work_runs_on_another_thread, world_open,
						world_close),
		cmocka_unit_test(work_beyond_the_queue_is_busy),
		cmocka_unit_test(idle_workers_end_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
