// SPDX-License-Identifier: Apache-2.0
/*
 * rate under a loop that is late: in the simulated world, where the process is paused again
 * and again for longer than its requests are due ahead. Virtual time only.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/must.h"
#include "base/prng.h"
#include "bdev/bdev.h"
#include "engine/drivers.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"
#include "sim/sim.h"

#define IOPS	    100000u
#define COST_NS	    (SIM_S / IOPS)
#define PAUSE_NS    (3 * SIM_MS) /* at most; the deepest queue here is due within 640 us */
#define RUN_NS	    SIM_MS	 /* between two of them, at least: enough to catch up */
#define DEPTH_MAX   64u
#define SLACK_NS    (50 * SIM_US) /* turns of this world take time, too */

struct load {
	const char *uri;
	unsigned depth, count;
	uint64_t idle_ns; /* before it begins */

	unsigned todo, pending;
	struct bdev_chan *chan;
	struct event done;
	uint64_t took_ns;
};

struct slot {
	struct load *load;
	struct bio bio; /* last: the room of its drivers follows */
};

static void load_next(struct slot *slot);

static void load_done(struct bio *bio)
{
	struct slot *slot = container_of(bio, struct slot, bio);
	struct load *load = slot->load;

	must(bio->status == 0);
	if (--load->pending == 0 && load->todo == 0)
		event_set(&load->done);
	load_next(slot);
}

static void load_next(struct slot *slot)
{
	struct load *load = slot->load;

	if (load->todo == 0)
		return;
	load->todo--;
	load->pending++;
	bio_prep(&slot->bio, load->chan, BIO_ZEROES, 0, 1, NULL, 0, load_done);
	bio_submit(&slot->bio);
}

static int load_main(struct fiber *f, void *arg)
{
	struct load *load = arg;
	struct slot *slots[DEPTH_MAX];
	struct bdev *bdev;

	must(bdev_open(f, load->uri, &bdev) == 0);
	must(bdev_chan_open(f, bdev, &load->chan) == 0);
	must(fiber_sleep(f, load->idle_ns) == 0);
	event_init(&load->done);
	load->todo = load->count;
	uint64_t start_ns = io_now(fiber_io(f));
	for (unsigned i = 0; i < load->depth; i++) {
		slots[i] = mem_new(fiber_io(f), offsetof(struct slot, bio) + bio_size(bdev));
		slots[i]->load = load;
		load_next(slots[i]);
	}
	event_wait_always(f, &load->done);
	load->took_ns = io_now(fiber_io(f)) - start_ns;
	for (unsigned i = 0; i < load->depth; i++)
		mem_free(slots[i]);
	bdev_chan_close(f, load->chan);
	bdev_close(f, bdev);
	return 0;
}

static bool load_has_ended(void *ctx)
{
	return sim_proc_state(ctx) == SIM_PROC_STOPPED;
}

/* Time is late and irregular if `pauses`. */
static void load_run(struct load *load, uint64_t seed, bool pauses)
{
	struct mem_heap heap;
	struct prng prng;

	mem_heap_init(&heap);
	prng_init(&prng, seed, 1);
	struct sim *sim = sim_new(&(struct sim_opts){ .seed = seed, .mem = &heap.mem });
	struct sim_proc *proc = sim_proc_add(sim_host_add(sim, "a"),
					     &(struct sim_proc_opts){ .name = "load",
								      .main = load_main,
								      .arg = load,
								      .drivers = engine_drivers });
	uint64_t pause_ns = 0;
	while (!sim_run_until(sim, load_has_ended, proc,
			      pause_ns + prng_range(&prng, RUN_NS, 3 * RUN_NS))) {
		pause_ns = pauses ? prng_below(&prng, PAUSE_NS) : 0;
		sim_proc_pause(proc, pause_ns);
	}
	assert_false(sim_failed(sim));
	sim_free(sim);
	mem_heap_fini(&heap);
}

/* N requests are done within N / rate and one lateness, and not sooner. */
static void check_rate(const char *uri, unsigned depth, uint64_t late_ns)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct load load = { .uri = uri, .depth = depth, .count = 10000 };

		load_run(&load, seed, true);
		assert_in_range(load.took_ns, load.count * COST_NS,
				load.count * COST_NS + late_ns + SLACK_NS);
	}
}

static void lateness_costs_nothing_of_the_rate(void **state)
{
	static const unsigned depths[] = { 1, 4, 32, 64 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(depths); i++)
		check_rate("rate:///r?iops=100000&on=null:///n?size_mb=8", depths[i], PAUSE_NS);
}

/* The disk below is late as well, and fast enough to catch up: 640 K a second. */
static void lateness_costs_nothing_where_the_disk_below_takes_its_time(void **state)
{
	(void)state;
	check_rate("rate:///r?iops=100000&on=delay:///d?ns=100000&on=null:///n?size_mb=8", 64,
		   PAUSE_NS);
}

static void latency_and_rate_hold_together(void **state)
{
	(void)state;
	check_rate("rate:///r?iops=100000&latency_ns=200000&on=null:///n?size_mb=8", 32, PAUSE_NS);
}

/* Also when the pauses come while nobody asks. */
static void idle_time_gives_no_burst(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct load load = { .uri = "rate:///r?iops=100000&on=null:///n?size_mb=8",
				     .depth = 32,
				     .count = 500,
				     .idle_ns = 50 * SIM_MS };

		load_run(&load, seed, true);
		assert_true(load.took_ns >= load.count * COST_NS);
	}
}

/* Depth 4 on a disk of 100 us is 40 K a second: what it leaves of the rate is not saved up. */
static void a_slower_disk_sets_the_pace(void **state)
{
	struct load load = { .uri = "rate:///r?iops=100000&on=delay:///d?ns=100000&on=null:///n?size_mb=8",
			     .depth = 4,
			     .count = 4000 };

	(void)state;
	load_run(&load, 1, false);
	assert_in_range(load.took_ns, 100 * SIM_MS, 110 * SIM_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lateness_costs_nothing_of_the_rate),
		cmocka_unit_test(lateness_costs_nothing_where_the_disk_below_takes_its_time),
		cmocka_unit_test(latency_and_rate_hold_together),
		cmocka_unit_test(idle_time_gives_no_burst),
		cmocka_unit_test(a_slower_disk_sets_the_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
