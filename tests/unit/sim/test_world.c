/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "unit/sim/bare.h"

struct stamp {
	struct sim_event event;
	unsigned number;
	unsigned *order;
	unsigned *count;
};

static void stamp_fire(struct sim *sim, struct sim_event *event)
{
	struct stamp *stamp = container_of(event, struct stamp, event);

	(void)sim;
	stamp->order[(*stamp->count)++] = stamp->number;
}

static void events_fire_by_time_then_by_scheduling(void **state)
{
	struct bare b;
	unsigned order[200], count = 0;
	struct stamp stamps[200];

	bare_start(&b, 1);
	uint64_t now = sim_now(b.sim);
	for (unsigned i = 0; i < 200; i++) {
		stamps[i] = (struct stamp){ .number = i, .order = order, .count = &count };
		sim_at(b.sim, &stamps[i].event, now + 1000 - (i / 10) * 10, stamp_fire);
	}
	for (unsigned i = 0; i < 200; i += 7)
		sim_unschedule(b.sim, &stamps[i].event);
	sim_run_for(b.sim, SIM_MS);
	assert_int_equal(count, 200 - 29);
	for (unsigned i = 1; i < count; i++) {
		unsigned a = order[i - 1], c = order[i];
		assert_true(a / 10 > c / 10 || (a / 10 == c / 10 && a < c));
		assert_true(c % 7 != 0);
	}
	bare_stop(&b);
}

static void time_goes_to_the_end_of_a_run(void **state)
{
	struct bare b;

	bare_start(&b, 1);
	uint64_t now = sim_now(b.sim);
	sim_run_for(b.sim, 5 * SIM_S);
	assert_int_equal(sim_now(b.sim), now + 5 * SIM_S);
	bare_stop(&b);
}

static bool never(void *ctx)
{
	return false;
}

static void a_failed_run_stops_and_keeps_its_first_words(void **state)
{
	struct bare b;

	bare_start(&b, 1);
	sim_fail(b.sim, "first %d", 1);
	sim_fail(b.sim, "second");
	assert_true(sim_failed(b.sim));
	assert_string_equal(sim_words(b.sim), "first 1");
	assert_false(sim_run_until(b.sim, never, NULL, SIM_S));
	sim_free(b.sim);
	mem_heap_fini(&b.heap);
}

static void clocks_drift_and_jump(void **state)
{
	struct bare b;

	bare_start(&b, 3);
	uint64_t mono = sim_host_mono(b.host), wall = sim_host_wall(b.host);
	sim_host_drift(b.host, 10000);
	sim_run_for(b.sim, 100 * SIM_S);
	assert_int_equal(sim_host_mono(b.host), mono + 101 * SIM_S);
	assert_int_equal(io_now(b.io), mono + 101 * SIM_S);
	sim_host_wall_jump(b.host, -(int64_t)(3600 * SIM_S));
	assert_int_equal(io_wall(b.io), wall + 100 * SIM_S - 3600 * SIM_S);
	bare_stop(&b);
}

static void a_reboot_begins_a_new_monotonic_clock(void **state)
{
	struct bare b;

	bare_start(&b, 3);
	sim_run_for(b.sim, 1000 * SIM_S);
	uint64_t before = sim_host_mono(b.host);
	bare_reboot(&b);
	assert_true(sim_host_mono(b.host) < before);
	assert_true(sim_host_mono(b.host) > 0);
	bare_stop(&b);
}

static int64_t forty_two(void *ctx)
{
	(void)ctx;
	return 42;
}

static void small_ops_complete(void **state)
{
	struct io_op op = { 0 };
	struct io_addr addr;
	struct bare b;

	bare_start(&b, 1);
	sim_host_add(b.sim, "other");
	io_prep(&op, IO_NOP, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 0);
	io_prep_work(&op, forty_two, NULL, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 42);
	io_prep_resolve(&op, "other", 80, &addr, 1, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 1);
	assert_int_equal(addr.family, AF_INET);
	assert_int_equal(addr.ip[3], 2);
	assert_int_equal(addr.port, 80);
	io_prep_resolve(&op, "10.0.0.1", 81, &addr, 1, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 1);
	assert_int_equal(addr.ip[3], 1);
	io_prep_resolve(&op, "nobody", 80, &addr, 1, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), -ENOENT);
	io_prep_spawn(&op, &(struct io_spawn){ 0 }, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), -ENOENT);
	bare_stop(&b);
}

static void on_signal(void *ctx, int signo)
{
	*(int *)ctx = signo;
}

static void signals_reach_who_watches(void **state)
{
	struct io_signal *s;
	struct bare b;
	int got = 0;

	bare_start(&b, 1);
	assert_int_equal(io_signal_watch(b.io, 15, on_signal, &got, &s), 0);
	sim_proc_signal(b.proc, 10);
	sim_run_for(b.sim, SIM_MS);
	assert_int_equal(got, 0);
	sim_proc_signal(b.proc, 15);
	sim_run_for(b.sim, SIM_MS);
	assert_int_equal(got, 15);
	io_signal_free(s);
	bare_stop(&b);
}

static void memory_is_dropped_by_a_crash(void **state)
{
	struct bare b;

	bare_start(&b, 1);
	void *small = mem_new(b.io, 100), *big = mem_new(b.io, 1 << 20);
	void *buf = io_buf_new(b.io, 8192);
	assert_non_null(small);
	assert_non_null(big);
	assert_int_equal((uintptr_t)buf % 4096, 0);
	mem_free(small);
	sim_proc_crash(b.proc);
	sim_proc_start(b.proc);
	assert_int_equal(sim_proc_starts(b.proc), 2);
	bare_stop(&b);
}

static void the_nth_allocation_fails(void **state)
{
	struct bare b;

	bare_start(&b, 1);
	sim_proc_fail_alloc(b.proc, 2);
	void *first = mem_new(b.io, 10), *second = mem_new(b.io, 10), *third = mem_new(b.io, 10);
	assert_non_null(first);
	assert_null(second);
	assert_non_null(third);
	bare_stop(&b);
}

static void a_process_has_a_memory_limit(void **state)
{
	struct bare b;

	bare_start(&b, 1);
	struct sim_proc *proc = sim_proc_add(
		b.host,
		&(struct sim_proc_opts){ .name = "small", .bare = true, .mem_max_bytes = 10000 });
	struct io *io = sim_proc_io(proc, 0);
	assert_non_null(mem_new(io, 8000));
	assert_null(mem_new(io, 8000));
	bare_stop(&b);
}

static void memory_faults_strike(void **state)
{
	struct bare b;
	unsigned failed = 0;

	bare_start(&b, 1);
	sim_fault_set(b.sim, SIM_MEM_FAIL, 500000);
	for (unsigned i = 0; i < 100; i++) {
		void *p = mem_new(b.io, 32);
		failed += p == NULL;
		mem_free(p);
	}
	assert_in_range(failed, 20, 80);
	assert_int_equal(sim_fault_fired(b.sim, SIM_MEM_FAIL), failed);
	bare_stop(&b);
}

static void work_is_refused_when_no_worker_is_free(void **state)
{
	struct io_op op = { 0 };
	struct bare b;

	bare_start(&b, 1);
	sim_fault_set(b.sim, SIM_WORK_BUSY, PRNG_PPM);
	io_prep_work(&op, forty_two, NULL, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), -EBUSY);
	assert_int_equal(sim_fault_fired(b.sim, SIM_WORK_BUSY), 1);
	bare_stop(&b);
}

static void a_paused_process_does_nothing_until_it_goes_on(void **state)
{
	struct io_op op = { 0 };
	struct bare b;

	bare_start(&b, 1);
	uint64_t now = sim_now(b.sim);
	sim_proc_pause(b.proc, 5 * SIM_S);
	io_prep(&op, IO_NOP, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 0);
	assert_true(sim_now(b.sim) >= now + 5 * SIM_S);
	sim_proc_pause(b.proc, 3600 * SIM_S);
	sim_heal(b.sim);
	now = sim_now(b.sim);
	assert_int_equal(bare_do(&b, b.io, &op), 0);
	assert_true(sim_now(b.sim) < now + SIM_S);
	sim_fault_set(b.sim, SIM_PROC_PAUSE, PRNG_PPM / 2);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(bare_do(&b, b.io, &op), 0);
	assert_true(sim_fault_fired(b.sim, SIM_PROC_PAUSE) > 0);
	bare_stop(&b);
}

static void swarms_differ_by_seed_and_every_fault_has_a_name(void **state)
{
	unsigned on[SIM_FAULTS] = { 0 };
	struct bare b;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		bare_start(&b, seed);
		sim_swarm(b.sim, SIM_GROUP_ALL);
		for (unsigned i = 0; i < SIM_FAULTS; i++)
			on[i] += sim_fault_get(b.sim, i) > 0;
		sim_faults_off(b.sim, SIM_GROUP_ALL);
		assert_int_equal(sim_fault_get(b.sim, SIM_DISK_EIO_READ), 0);
		bare_stop(&b);
	}
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		assert_non_null(sim_fault_name(i));
		assert_non_null(sim_fault_help(i));
		if (sim_fault_group(i))
			assert_in_range(on[i], 5, 40);
	}
}

static void drift_is_drawn_for_new_hosts(void **state)
{
	struct bare b;

	bare_start(&b, 1);
	sim_fault_set(b.sim, SIM_CLOCK_DRIFT, PRNG_PPM);
	struct sim_host *host = sim_host_add(b.sim, "drifter");
	uint64_t mono = sim_host_mono(host);
	sim_run_for(b.sim, 1000 * SIM_S);
	assert_int_not_equal(sim_host_mono(host) - mono, 1000 * SIM_S);
	assert_int_equal(sim_fault_fired(b.sim, SIM_CLOCK_DRIFT), 1);
	bare_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_fire_by_time_then_by_scheduling),
		cmocka_unit_test(time_goes_to_the_end_of_a_run),
		cmocka_unit_test(a_failed_run_stops_and_keeps_its_first_words),
		cmocka_unit_test(clocks_drift_and_jump),
		cmocka_unit_test(a_reboot_begins_a_new_monotonic_clock),
		cmocka_unit_test(small_ops_complete),
		cmocka_unit_test(signals_reach_who_watches),
		cmocka_unit_test(memory_is_dropped_by_a_crash),
		cmocka_unit_test(the_nth_allocation_fails),
		cmocka_unit_test(a_process_has_a_memory_limit),
		cmocka_unit_test(memory_faults_strike),
		cmocka_unit_test(work_is_refused_when_no_worker_is_free),
		cmocka_unit_test(a_paused_process_does_nothing_until_it_goes_on),
		cmocka_unit_test(swarms_differ_by_seed_and_every_fault_has_a_name),
		cmocka_unit_test(drift_is_drawn_for_new_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
