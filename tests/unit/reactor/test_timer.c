// SPDX-License-Identifier: Apache-2.0
/* Timers: T1-T5 of timer.c, RE2 and RE3 of reactor.h, on a clock that the test moves. */
#include "unit/unit.h"

#include <stdlib.h>

#include "base/prng.h"
#include "reactor/timer.h"
#include "unit/reactor/one.h"

#define MS     1000000ull
#define S      1000000000ull
#define TIMERS 5000

struct shot {
	struct timer timer;
	struct world *world;
	unsigned id;
	uint64_t fired_ns;
	unsigned fired;
	unsigned again; /* restart from the callback so often */
	uint64_t again_ns;
	struct shot *victim; /* stopped by the callback */
};

struct world {
	struct one one;
	unsigned fired;
	uint64_t last_due;
	unsigned last_id;
	struct shot shots[TIMERS];
};

static void shot_fired(struct timer *timer)
{
	struct shot *shot = container_of(timer, struct shot, timer);
	struct world *w = shot->world;

	assert_false(timer_is_armed(timer));
	assert_true(w->one.fake.now_ns >= timer->due_ns);
	assert_true(timer->due_ns >= w->last_due); /* RE3 */
	w->last_due = timer->due_ns;
	w->last_id = shot->id;
	w->fired++;
	shot->fired++;
	shot->fired_ns = w->one.fake.now_ns;
	if (shot->victim)
		timer_stop(&shot->victim->timer);
	if (shot->again) {
		shot->again--;
		timer_start(w->one.r, timer, shot->again_ns, shot_fired);
	}
}

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	one_init(&w->one);
	for (unsigned i = 0; i < TIMERS; i++) {
		w->shots[i].world = w;
		w->shots[i].id = i;
		timer_init(&w->shots[i].timer);
	}
	return w;
}

static void world_free(struct world *w)
{
	one_fini(&w->one);
	free(w);
}

static void start(struct world *w, unsigned id, uint64_t after_ns)
{
	timer_start(w->one.r, &w->shots[id].timer, after_ns, shot_fired);
}

static void fires_at_its_time_and_not_before(void **state)
{
	struct world *w = world_new();
	uint64_t began = w->one.fake.now_ns;

	start(w, 0, 123456789);
	assert_true(timer_is_armed(&w->shots[0].timer));
	assert_int_equal(reactor_turn(w->one.r), began + 123456789);
	w->one.fake.now_ns = began + 123456788;
	assert_int_equal(reactor_turn(w->one.r), began + 123456789);
	assert_int_equal(w->fired, 0);
	w->one.fake.now_ns++;
	assert_int_equal(reactor_turn(w->one.r), IO_FOREVER);
	assert_int_equal(w->fired, 1);
	world_free(w);
}

static void thousands_fire_in_order_each_at_its_time(void **state)
{
	struct world *w = world_new();
	struct prng prng;

	prng_init(&prng, 1, 0);
	for (unsigned i = 0; i < TIMERS; i++)
		start(w, i, prng_below(&prng, 1ull << (10 + i % 30)));
	one_run(&w->one, 2 * TIMERS);
	assert_int_equal(w->fired, TIMERS);
	for (unsigned i = 0; i < TIMERS; i++)
		assert_int_equal(w->shots[i].fired_ns, w->shots[i].timer.due_ns);
	world_free(w);
}

static void a_late_turn_fires_all_that_is_due_in_order(void **state)
{
	struct world *w = world_new();
	struct prng prng;
	struct reactor_stats stats;

	prng_init(&prng, 2, 0);
	for (unsigned i = 0; i < TIMERS; i++)
		start(w, i, prng_below(&prng, 100 * S));
	w->one.fake.now_ns += 50 * S;
	while (reactor_turn(w->one.r) == 0)
		;
	for (unsigned i = 0; i < TIMERS; i++)
		assert_int_equal(w->shots[i].fired, w->shots[i].timer.due_ns <= w->one.fake.now_ns);
	reactor_stats(w->one.r, &stats);
	assert_int_equal(stats.timers_armed, TIMERS - w->fired);
	assert_int_equal(stats.timers_fired, w->fired);
	one_run(&w->one, 2 * TIMERS);
	assert_int_equal(w->fired, TIMERS);
	world_free(w);
}

static void equal_deadlines_fire_as_started(void **state)
{
	struct world *w = world_new();
	uint64_t due = w->one.fake.now_ns + 7 * S + 77;

	for (unsigned i = 0; i < 100; i++) {
		timer_start_at(w->one.r, &w->shots[i].timer, due, shot_fired);
		if (i == 50) { /* the wheel's base moves between two of them */
			start(w, 200, 6 * S);
			io_turn(&w->one.fake.io, reactor_turn(w->one.r));
			reactor_turn(w->one.r);
			assert_int_equal(w->fired, 1);
		}
	}
	for (unsigned i = 0; i < 100; i++)
		w->shots[i].again = 0;
	one_run(&w->one, 1000);
	assert_int_equal(w->fired, 101);
	assert_int_equal(w->last_id, 99);
	world_free(w);
}

static void an_idle_reactor_wakes_only_for_deadlines(void **state)
{
	struct world *w = world_new();
	struct prng prng;

	prng_init(&prng, 3, 0);
	for (unsigned i = 0; i < 1000; i++)
		start(w, i, 5 * S + prng_below(&prng, 60 * S));
	w->shots[0].again = 200; /* a short one that starts itself again, among the others */
	w->shots[0].again_ns = 100 * MS;
	unsigned turns = one_run(&w->one, 5000);
	assert_int_equal(w->fired, 1200);
	assert_true(turns <= 1201); /* one a deadline, and the first */
	world_free(w);
}

static void stopping_the_first_of_many_costs_one_wake_up_at_most(void **state)
{
	struct world *w = world_new();

	start(w, 0, 5 * S);
	for (unsigned i = 1; i < 1000; i++)
		start(w, i, 5 * S + 500 * MS + i * MS / 4);
	reactor_turn(w->one.r);
	timer_stop(&w->shots[0].timer);
	timer_stop(&w->shots[0].timer);
	unsigned turns = one_run(&w->one, 5000);
	assert_int_equal(w->fired, 999);
	assert_int_equal(w->shots[0].fired, 0);
	assert_true(turns <= 999 + 2);
	world_free(w);
}

static void a_stopped_timer_does_not_fire_wherever_it_was(void **state)
{
	struct world *w = world_new();
	struct prng prng;

	prng_init(&prng, 4, 0);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 200; i++)
			if (!timer_is_armed(&w->shots[i].timer))
				start(w, i, prng_below(&prng, 1ull << prng_below(&prng, 40)));
		for (unsigned i = 0; i < 200; i += 2) {
			timer_stop(&w->shots[i].timer);
			assert_false(timer_is_armed(&w->shots[i].timer));
		}
		w->one.fake.now_ns += prng_below(&prng, S);
		reactor_turn(w->one.r);
	}
	w->last_due = 0;
	one_run(&w->one, 10000);
	for (unsigned i = 0; i < 200; i += 2)
		assert_int_equal(w->shots[i].fired, 0);
	world_free(w);
}

static void a_callback_may_stop_its_neighbour(void **state)
{
	struct world *w = world_new();

	for (unsigned i = 0; i < 10; i++)
		start(w, i, MS);
	w->shots[2].victim = &w->shots[3]; /* due in the same turn */
	w->shots[4].victim = &w->shots[4]; /* itself: no longer armed */
	one_run(&w->one, 100);
	assert_int_equal(w->fired, 9);
	assert_int_equal(w->shots[3].fired, 0);
	world_free(w);
}

static void a_callback_may_start_itself_again_but_not_in_its_turn(void **state)
{
	struct world *w = world_new();

	w->shots[0].again = 3;
	start(w, 0, 0);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(reactor_turn(w->one.r), i < 4 ? 0 : IO_FOREVER);
		assert_int_equal(w->fired, i); /* RE2 */
	}
	w->shots[1].again = 1000;
	w->shots[1].again_ns = 10 * MS;
	uint64_t began = w->one.fake.now_ns;
	start(w, 1, 10 * MS);
	one_run(&w->one, 2000);
	assert_int_equal(w->shots[1].fired, 1001);
	assert_int_equal(w->one.fake.now_ns - began, 1001 * 10 * MS);
	world_free(w);
}

static void a_point_in_the_past_is_due_at_once_in_order_of_deadlines(void **state)
{
	struct world *w = world_new();
	uint64_t now = w->one.fake.now_ns;

	for (unsigned i = 0; i < 10; i++)
		timer_start_at(w->one.r, &w->shots[i].timer, now - 100 * (i + 1), shot_fired);
	timer_start_at(w->one.r, &w->shots[10].timer, 0, shot_fired);
	timer_stop(&w->shots[5].timer);
	assert_int_equal(w->fired, 0); /* RE2 */
	assert_int_equal(reactor_turn(w->one.r), IO_FOREVER);
	assert_int_equal(w->fired, 10);
	assert_int_equal(w->last_id, 0);
	world_free(w);
}

static void the_far_future_and_never_are_possible(void **state)
{
	struct world *w = world_new();
	uint64_t century = 100ull * 365 * 86400 * S;

	start(w, 0, IO_FOREVER);
	start(w, 1, IO_FOREVER - 5);
	assert_int_equal(reactor_turn(w->one.r), IO_FOREVER);
	start(w, 2, century);
	timer_start_at(w->one.r, &w->shots[3].timer, 1ull << 63, shot_fired);
	assert_int_equal(reactor_turn(w->one.r), w->one.fake.now_ns + century);
	io_turn(&w->one.fake.io, reactor_turn(w->one.r));
	assert_int_equal(reactor_turn(w->one.r), 1ull << 63);
	assert_int_equal(w->fired, 1);
	io_turn(&w->one.fake.io, reactor_turn(w->one.r));
	reactor_turn(w->one.r);
	assert_int_equal(w->fired, 2);
	timer_stop(&w->shots[0].timer);
	timer_stop(&w->shots[1].timer);
	world_free(w);
}

static void a_turn_fires_a_bounded_number(void **state)
{
	struct world *w = world_new();

	for (unsigned i = 0; i < TIMERS; i++)
		start(w, i, MS);
	w->shots[0].again = 1; /* started for the past while others are left over */
	w->one.fake.now_ns += 2 * MS;
	assert_int_equal(reactor_turn(w->one.r), 0);
	assert_in_range(w->fired, 1, TIMERS - 1);
	w->shots[0].again = 0;
	while (reactor_turn(w->one.r) == 0)
		;
	assert_int_equal(w->fired, TIMERS + 1);
	world_free(w);
}

static void time_counts_from_the_call_not_from_the_turn(void **state)
{
	struct world *w = world_new();

	reactor_turn(w->one.r);
	w->one.fake.now_ns += 30 * MS; /* a callback that takes long */
	start(w, 0, 10 * MS);
	assert_int_equal(reactor_turn(w->one.r), w->one.fake.now_ns + 10 * MS);
	one_run(&w->one, 10);
	world_free(w);
}

/* The wheel against the simplest thing that could be right. */
static void agrees_with_a_sorted_list(void **state)
{
	struct world *w = world_new();
	struct prng prng;
	uint64_t first;

	prng_init(&prng, 5, 0);
	for (unsigned step = 0; step < 20000; step++) {
		struct shot *shot = &w->shots[prng_below(&prng, 300)];
		uint64_t what = prng_below(&prng, 10);
		w->last_due = 0;
		if (what < 5 && !timer_is_armed(&shot->timer))
			start(w, shot->id, prng_below(&prng, 1ull << prng_below(&prng, 45)));
		else if (what < 7)
			timer_stop(&shot->timer);
		else
			w->one.fake.now_ns += prng_below(&prng, 1ull << prng_below(&prng, 35));
		uint64_t until = reactor_turn(w->one.r);
		first = IO_FOREVER;
		for (unsigned i = 0; i < 300; i++) {
			if (!timer_is_armed(&w->shots[i].timer))
				continue;
			assert_true(w->shots[i].timer.due_ns > w->one.fake.now_ns);
			first = w->shots[i].timer.due_ns < first ? w->shots[i].timer.due_ns : first;
		}
		assert_true(until <= first);
	}
	for (unsigned i = 0; i < 300; i++)
		timer_stop(&w->shots[i].timer);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fires_at_its_time_and_not_before),
		cmocka_unit_test(thousands_fire_in_order_each_at_its_time),
		cmocka_unit_test(a_late_turn_fires_all_that_is_due_in_order),
		cmocka_unit_test(equal_deadlines_fire_as_started),
		cmocka_unit_test(an_idle_reactor_wakes_only_for_deadlines),
		cmocka_unit_test(stopping_the_first_of_many_costs_one_wake_up_at_most),
		cmocka_unit_test(a_stopped_timer_does_not_fire_wherever_it_was),
		cmocka_unit_test(a_callback_may_stop_its_neighbour),
		cmocka_unit_test(a_callback_may_start_itself_again_but_not_in_its_turn),
		cmocka_unit_test(a_point_in_the_past_is_due_at_once_in_order_of_deadlines),
		cmocka_unit_test(the_far_future_and_never_are_possible),
		cmocka_unit_test(a_turn_fires_a_bounded_number),
		cmocka_unit_test(time_counts_from_the_call_not_from_the_turn),
		cmocka_unit_test(agrees_with_a_sorted_list),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
