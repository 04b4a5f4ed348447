/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "unit/sim/bare.h"

/* A world with one process that has reactors. */
struct fix {
	struct mem_heap heap;
	struct sim *sim;
	struct sim_host *host;
	struct sim_proc *proc;
	void *kept; /* what a leaking main leaves */
	unsigned mains, seen;
	bool stop;
};

static void start(struct fix *x, fiber_fn main_fn, unsigned reactors)
{
	memset(x, 0, sizeof(*x));
	mem_heap_init(&x->heap);
	x->sim = sim_new(&(struct sim_opts){ .seed = 1, .mem = &x->heap.mem });
	x->host = sim_host_add(x->sim, "a");
	x->proc = sim_proc_add(
		x->host, &(struct sim_proc_opts){
				 .name = "p", .main = main_fn, .arg = x, .reactors = reactors });
}

static void stop(struct fix *x)
{
	sim_free(x->sim);
	mem_heap_fini(&x->heap);
}

static int main_returns(struct fiber *f, void *arg)
{
	struct fix *x = arg;

	x->mains++;
	return fiber_sleep(f, SIM_S) ? -1 : 7;
}

static void an_end_of_main_is_a_clean_stop(void **state)
{
	struct fix x;

	start(&x, main_returns, 3);
	assert_int_equal(sim_proc_state(x.proc), SIM_PROC_RUNNING);
	sim_run_for(x.sim, 2 * SIM_S);
	assert_int_equal(sim_proc_state(x.proc), SIM_PROC_STOPPED);
	assert_int_equal(sim_proc_result(x.proc), 7);
	sim_proc_start(x.proc);
	sim_run_for(x.sim, 2 * SIM_S);
	assert_int_equal(x.mains, 2);
	assert_false(sim_failed(x.sim));
	stop(&x);
}

static int main_leaks_memory(struct fiber *f, void *arg)
{
	((struct fix *)arg)->kept = mem_new(fiber_io(f), 100);
	return 0;
}

static int main_leaks_a_file(struct fiber *f, void *arg)
{
	struct io_file *file;

	return fiber_open(f, "/left", IO_OPEN_WRITE | IO_OPEN_CREATE, 0600, &file);
}

static int main_leaks_a_listener(struct fiber *f, void *arg)
{
	struct io_listener *l;
	struct io_addr addr;

	sim_host_addr(((struct fix *)arg)->host, 80, &addr);
	return io_listen(fiber_io(f), &addr, NULL, NULL, NULL, &l, NULL);
}

static int sleeps_for_ever(struct fiber *f, void *arg)
{
	return fiber_sleep(f, IO_FOREVER / 2);
}

static int main_leaks_a_fiber(struct fiber *f, void *arg)
{
	return fiber_start(fiber_reactor(f), "left", sleeps_for_ever, NULL, NULL);
}

static void what_is_left_behind_fails_the_run(void **state)
{
	static const struct {
		fiber_fn main_fn;
		const char *words;
	} kinds[] = {
		{ main_leaks_memory, "memory" },
		{ main_leaks_a_file, "/left" },
		{ main_leaks_a_listener, "socket" },
		{ main_leaks_a_fiber, "fibers" },
	};
	struct fix x;

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		start(&x, kinds[i].main_fn, 1);
		sim_run_for(x.sim, 100 * SIM_S);
		assert_true(sim_failed(x.sim));
		assert_non_null(strstr(sim_words(x.sim), kinds[i].words));
		stop(&x);
	}
}

static int main_is_busy(struct fiber *f, void *arg)
{
	struct fix *x = arg;
	struct fiber *other;

	x->mains++;
	for (unsigned i = 0; i < 20; i++)
		if (fiber_start(fiber_reactor(f), "sleeper", sleeps_for_ever, NULL, &other) < 0)
			return -1;
	x->kept = mem_new(fiber_io(f), 100000);
	while (fiber_sleep(f, SIM_MS) == 0)
		x->seen++;
	return 0;
}

static void a_crash_stops_everything_at_once(void **state)
{
	struct fix x;

	start(&x, main_is_busy, 2);
	for (unsigned i = 0; i < 50; i++) {
		sim_run_for(x.sim, 20 * SIM_MS);
		sim_proc_crash(x.proc);
		unsigned seen = x.seen;
		assert_true(seen > 0);
		sim_run_for(x.sim, 100 * SIM_MS);
		assert_int_equal(x.seen, seen);
		sim_proc_start(x.proc);
	}
	assert_int_equal(sim_proc_starts(x.proc), 51);
	assert_false(sim_failed(x.sim));
	assert_true(x.heap.bytes < 8 << 20); /* dropped, not kept */
	stop(&x);
}

static void the_nemesis_brings_back_what_it_took(void **state)
{
	struct fix x;

	start(&x, main_is_busy, 1);
	sim_fault_set(x.sim, SIM_PROC_CRASH, 300000);
	sim_fault_set(x.sim, SIM_HOST_POWER_CUT, 300000);
	sim_fault_set(x.sim, SIM_CLOCK_JUMP, 300000);
	sim_fault_set(x.sim, SIM_CLOCK_DRIFT, 300000);
	sim_nemesis_start(x.sim, SIM_S);
	sim_run_for(x.sim, 200 * SIM_S);
	assert_true(sim_fault_fired(x.sim, SIM_PROC_CRASH) > 3);
	assert_true(sim_fault_fired(x.sim, SIM_HOST_POWER_CUT) > 3);
	assert_true(sim_fault_fired(x.sim, SIM_CLOCK_JUMP) > 3);
	assert_true(sim_fault_fired(x.sim, SIM_CLOCK_DRIFT) > 3);
	sim_nemesis_stop(x.sim);
	assert_true(sim_host_is_up(x.host));
	assert_int_equal(sim_proc_state(x.proc), SIM_PROC_RUNNING);
	unsigned starts = sim_proc_starts(x.proc);
	sim_run_for(x.sim, 100 * SIM_S);
	assert_int_equal(sim_proc_starts(x.proc), starts);
	stop(&x);
}

static int main_waits_idle(struct fiber *f, void *arg)
{
	return fiber_sleep(f, 1000 * SIM_S);
}

static void an_idle_process_costs_no_events(void **state)
{
	struct fix x;

	start(&x, main_waits_idle, 4);
	sim_run_for(x.sim, SIM_S);
	uint64_t events = sim_event_count(x.sim);
	sim_run_for(x.sim, 900 * SIM_S);
	assert_true(sim_event_count(x.sim) - events < 20);
	assert_true(sim_run_quiet(x.sim, SIM_S));
	stop(&x);
}

static void sleeps_are_as_long_on_a_drifting_host(void **state)
{
	struct fix x;

	start(&x, main_returns, 1);
	sim_run_for(x.sim, 10 * SIM_MS);
	sim_host_drift(x.host, -10000); /* a second lasts longer here */
	sim_run_for(x.sim, SIM_S);
	assert_int_equal(sim_proc_state(x.proc), SIM_PROC_RUNNING);
	sim_run_for(x.sim, 20 * SIM_MS);
	assert_int_equal(sim_proc_state(x.proc), SIM_PROC_STOPPED);
	stop(&x);
}

/* ---- a socket closed under its receiver -------------------------------------------- */

struct stream {
	struct fix *x;
	struct io_sock *accepted, *sock;
	int64_t res;
};

static void stream_accept(void *ctx, int res, struct io_sock *sock)
{
	((struct stream *)ctx)->accepted = sock;
}

static int stream_recv(struct fiber *f, void *arg)
{
	struct stream *s = arg;
	char buf[10];

	s->res = fiber_recv(f, s->sock, buf, sizeof(buf));
	fiber_clear(f);
	return 0;
}

static int main_closes_under_a_receiver(struct fiber *f, void *arg)
{
	struct stream s = { .x = arg };
	struct io_listener *l;
	struct fiber *receiver;
	struct io_addr addr;

	sim_host_addr(s.x->host, 80, &addr);
	int r = io_listen(fiber_io(f), &addr, NULL, stream_accept, &s, &l, NULL);
	assert_int_equal(r, 0);
	assert_int_equal(fiber_connect(f, &addr, NULL, &s.sock), 0);
	assert_int_equal(fiber_start(fiber_reactor(f), "receiver", stream_recv, &s, &receiver), 0);
	assert_int_equal(fiber_sleep(f, SIM_MS), 0);
	io_sock_close(s.sock);
	fiber_join(f, receiver);
	assert_int_equal(s.res, -ECANCELED);
	io_sock_close(s.accepted);
	io_listener_close(l);
	return 0;
}

static void a_receiver_outlives_its_socket(void **state)
{
	struct fix x;

	start(&x, main_closes_under_a_receiver, 1);
	sim_run_for(x.sim, SIM_S);
	assert_int_equal(sim_proc_state(x.proc), SIM_PROC_STOPPED);
	assert_string_equal(sim_words(x.sim), "");
	stop(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_of_main_is_a_clean_stop),
		cmocka_unit_test(what_is_left_behind_fails_the_run),
		cmocka_unit_test(a_crash_stops_everything_at_once),
		cmocka_unit_test(the_nemesis_brings_back_what_it_took),
		cmocka_unit_test(an_idle_process_costs_no_events),
		cmocka_unit_test(sleeps_are_as_long_on_a_drifting_host),
		cmocka_unit_test(a_receiver_outlives_its_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
