// SPDX-License-Identifier: Apache-2.0
/* Fibers: FI1-FI4 of fiber.h, F1-F3 of fiber.c. */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reactor/fiber_io.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "unit/dies.h"
#include "unit/fault.h"
#include "unit/reactor/one.h"

#define MS 1000000ull

struct trace {
	char text[256];
};

static void trace_add(struct trace *t, const char *what)
{
	strncat(t->text, what, sizeof(t->text) - strlen(t->text) - 1);
}

static int says_a_b(struct fiber *f, void *arg)
{
	trace_add(arg, "a");
	fiber_yield(f);
	trace_add(arg, "b");
	return 0;
}

static void starts_in_the_next_turn_and_yields_for_one(void **state)
{
	struct one one;
	struct trace t = { 0 };

	one_init(&one);
	assert_int_equal(fiber_start(one.r, "one", says_a_b, &t, NULL), 0);
	assert_int_equal(fiber_start(one.r, "two", says_a_b, &t, NULL), 0);
	assert_string_equal(t.text, ""); /* RE2 */
	assert_int_equal(reactor_turn(one.r), 0);
	assert_string_equal(t.text, "aa");
	assert_int_equal(reactor_turn(one.r), IO_FOREVER);
	assert_string_equal(t.text, "aabb");
	one_fini(&one);
}

static int fails_with_words(struct fiber *f, void *arg)
{
	return fiber_fail(f, -EEXIST, "pool '%s' exists", (const char *)arg);
}

static int fails_bare(struct fiber *f, void *arg)
{
	return -EIO;
}

static int joins(struct fiber *f, void *arg)
{
	struct fiber *child;

	assert_int_equal(fiber_start(fiber_reactor(f), "child", fails_with_words, arg, &child), 0);
	return fiber_join(f, child);
}

static int joins_late(struct fiber *f, void *arg)
{
	struct fiber *child;

	assert_int_equal(fiber_start(fiber_reactor(f), "child", fails_with_words, arg, &child), 0);
	assert_int_equal(fiber_sleep(f, MS), 0);
	return fiber_join(f, child);
}

static int joins_bare(struct fiber *f, void *arg)
{
	struct fiber *child;

	assert_int_equal(fiber_start(fiber_reactor(f), "child", fails_bare, arg, &child), 0);
	return fiber_join(f, child);
}

static int joins_with_words_of_its_own(struct fiber *f, void *arg)
{
	assert_int_equal(fiber_fail(f, -EINVAL, "first"), -EINVAL);
	assert_int_equal(joins(f, arg), -EEXIST);
	return -EINVAL;
}

static void join_returns_the_result_and_moves_the_words(void **state)
{
	struct one one;
	char words[ERR_WORDS_SIZE], pool[] = "p1";

	one_init(&one);
	assert_int_equal(one_fiber(&one, joins, pool, words), -EEXIST);
	assert_string_equal(words, "pool 'p1' exists");
	assert_int_equal(one_fiber(&one, joins_late, pool, words), -EEXIST);
	assert_string_equal(words, "pool 'p1' exists");
	assert_int_equal(one_fiber(&one, joins_bare, pool, words), -EIO);
	assert_string_equal(words, "");
	assert_int_equal(one_fiber(&one, joins_with_words_of_its_own, pool, words), -EINVAL);
	assert_string_equal(words, "first"); /* FI4 */
	assert_string_equal(one.lines, "");
	one_fini(&one);
}

static int keeps_first_words(struct fiber *f, void *arg)
{
	assert_string_equal(fiber_words(f), "");
	assert_int_equal(fiber_fail(f, -EIO, "the disk"), -EIO);
	assert_int_equal(fiber_fail(f, -ENOENT, "the clean-up"), -ENOENT);
	assert_string_equal(fiber_words(f), "the disk");
	assert_int_equal(fiber_err(f)->code, -EIO);
	fiber_clear(f);
	assert_string_equal(fiber_words(f), "");
	return fiber_fail(f, -ENOENT, "later");
}

static void the_first_words_stay_until_cleared(void **state)
{
	struct one one;
	char words[ERR_WORDS_SIZE];

	one_init(&one);
	assert_int_equal(one_fiber(&one, keeps_first_words, NULL, words), -ENOENT);
	assert_string_equal(words, "later");
	one_fini(&one);
}

static void an_error_nobody_takes_is_logged_once(void **state)
{
	struct one one;
	char pool[] = "p2";

	one_init(&one);
	assert_int_equal(fiber_start(one.r, "lonely", fails_with_words, pool, NULL), 0);
	one_run(&one, 10);
	assert_non_null(strstr(one.lines, "fiber=lonely"));
	assert_non_null(strstr(one.lines, "EEXIST"));
	assert_non_null(strstr(one.lines, "pool 'p2' exists"));
	one_fini(&one);
}

/* ---- cancellation --------------------------------------------------------- */

struct patient {
	struct trace t;
	struct event event;
	struct latch latch;
	struct sema sema;
	bool is_set_later;
};

static int waits_for_everything(struct fiber *f, void *arg)
{
	struct patient *p = arg;

	assert_int_equal(event_wait(f, &p->event), -ECANCELED); /* the present one */
	assert_true(fiber_is_cancelled(f));
	assert_int_equal(event_wait(f, &p->event), -ECANCELED); /* and every later one */
	assert_int_equal(event_wait_until(f, &p->event, 0), -ECANCELED);
	assert_int_equal(latch_lock(f, &p->latch), -ECANCELED); /* even if it could be had */
	assert_int_equal(sema_down(f, &p->sema), -ECANCELED);
	assert_int_equal(fiber_sleep(f, MS), -ECANCELED);
	assert_null(p->latch.holder);
	assert_int_equal(p->sema.count, 1);
	event_wait_always(f, &p->event); /* but this waits */
	trace_add(&p->t, "set");
	fiber_uncancel(f);
	assert_false(fiber_is_cancelled(f));
	assert_int_equal(event_wait(f, &p->event), 0);
	assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(sema_down(f, &p->sema), 0);
	return 7;
}

static int cancels(struct fiber *f, void *arg)
{
	struct patient *p = arg;
	struct fiber *child;

	assert_int_equal(fiber_start(fiber_reactor(f), "patient", waits_for_everything, p, &child),
			 0);
	fiber_yield(f);
	fiber_cancel(child);
	fiber_cancel(child);
	fiber_yield(f);
	fiber_yield(f);
	assert_string_equal(p->t.text, "");
	event_set(&p->event);
	return fiber_join(f, child);
}

static void a_cancelled_fiber_gets_it_from_each_wait_until_it_says_otherwise(void **state)
{
	struct one one;
	struct patient p = { 0 };

	one_init(&one);
	event_init(&p.event);
	latch_init(&p.latch);
	sema_init(&p.sema, 1);
	assert_int_equal(one_fiber(&one, cancels, &p, NULL), 7);
	assert_string_equal(p.t.text, "set");
	one_fini(&one);
}

static int sleeps_long(struct fiber *f, void *arg)
{
	return fiber_sleep(f, IO_FOREVER);
}

static int cancels_sleepers(struct fiber *f, void *arg)
{
	struct fiber *child[3];

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			fiber_start(fiber_reactor(f), "sleeper", sleeps_long, NULL, &child[i]), 0);
	fiber_cancel(child[0]); /* before it has begun */
	fiber_yield(f);
	fiber_cancel(child[1]);
	fiber_cancel(child[2]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fiber_join(f, child[i]), -ECANCELED);
	return 0;
}

static void a_cancelled_fiber_ends_and_leaves_nothing(void **state)
{
	struct one one;
	struct reactor_stats stats;

	one_init(&one);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(one_fiber(&one, cancels_sleepers, NULL, NULL), 0);
	reactor_stats(one.r, &stats);
	assert_int_equal(stats.fibers, 0);
	assert_int_equal(stats.timers_armed, 0);
	assert_int_equal(stats.fibers_high_water, 4);
	one_fini(&one);
}

static int waits_for_io(struct fiber *f, void *arg)
{
	struct io_op op = { 0 };

	io_prep(&op, IO_NOP, NULL);
	int64_t res = fiber_io_wait(f, &op);
	assert_true(fiber_is_cancelled(f));
	return (int)res;
}

static void io_in_flight_is_waited_for_though_cancelled(void **state)
{
	struct one one;
	struct fiber *f;
	struct one_call call = { .fn = waits_for_io };

	one_init(&one);
	assert_int_equal(fiber_start(one.r, "io", one_call_main, &call, NULL), 0);
	reactor_turn(one.r);
	f = fake_first_op(&one.fake)->owner;
	fiber_cancel(f);
	one_run(&one, 10);
	assert_false(call.is_done);
	fake_complete(&one.fake, fake_first_op(&one.fake), 42);
	io_turn(&one.fake.io, 0);
	assert_false(call.is_done); /* FI1: resumed by the loop */
	one_run(&one, 10);
	assert_int_equal(call.result, 42);
	one_fini(&one);
}

static int cancelled_after_grant(struct fiber *f, void *arg)
{
	struct latch *l = arg;

	assert_int_equal(latch_lock(f, l), 0); /* handed over before the cancellation: had */
	latch_unlock(f, l);
	assert_int_equal(fiber_sleep(f, 1), -ECANCELED); /* the next wait tells */
	return 0;
}

static int grants_then_cancels(struct fiber *f, void *arg)
{
	struct latch *l = arg;
	struct fiber *child;

	assert_true(latch_try(f, l));
	assert_int_equal(fiber_start(fiber_reactor(f), "c", cancelled_after_grant, l, &child), 0);
	fiber_yield(f);
	latch_unlock(f, l);
	fiber_cancel(child);
	return fiber_join(f, child);
}

static void a_thing_handed_over_is_kept_though_cancelled(void **state)
{
	struct one one;
	struct latch l;

	one_init(&one);
	latch_init(&l);
	assert_int_equal(one_fiber(&one, grants_then_cancels, &l, NULL), 0);
	assert_null(l.holder);
	one_fini(&one);
}

/* ---- limits and memory ---------------------------------------------------- */

static int sleeps_ms(struct fiber *f, void *arg)
{
	return fiber_sleep(f, MS);
}

static void there_are_at_most_fibers_max(void **state)
{
	struct one one;
	struct reactor_stats stats;

	one_init_opts(&one, (struct reactor_opts){ .fibers_max = 10 });
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(fiber_start(one.r, "f", sleeps_ms, NULL, NULL), 0);
		assert_int_equal(fiber_start(one.r, "f", sleeps_ms, NULL, NULL), -EAGAIN);
		one_run(&one, 100);
	}
	reactor_stats(one.r, &stats);
	assert_int_equal(stats.fibers, 0);
	assert_int_equal(stats.fibers_high_water, 10);
	one_fini(&one);
}

static void many_fibers_come_and_go(void **state)
{
	struct one one;

	one_init(&one);
	for (unsigned round = 0; round < 3; round++) { /* more than are pooled */
		for (unsigned i = 0; i < 1000; i++)
			assert_int_equal(fiber_start(one.r, "f", sleeps_ms, NULL, NULL), 0);
		one_run(&one, 100);
	}
	one_fini(&one);
}

static int fault_body(struct mem *mem, void *arg)
{
	struct fake_io fake;
	struct reactor *r;
	struct one_call call = { .fn = cancels_sleepers };
	struct reactor_opts opts = { 0 };

	fake_init(&fake);
	fake.io.mem = mem;
	int res = reactor_new(&fake.io, &opts, &r, NULL);
	if (res < 0)
		return res;
	call.fn = says_a_b;
	call.arg = &(struct trace){ 0 };
	for (unsigned i = 0; i < 3 && res == 0; i++)
		res = fiber_start(r, "test", one_call_main, &call, NULL);
	while (reactor_turn(r) != IO_FOREVER)
		;
	reactor_free(r);
	fake_fini(&fake);
	return res;
}

static void every_failed_allocation_is_an_error_and_no_leak(void **state)
{
	assert_int_equal(fault_loop(fault_body, NULL), 4);
}

static void a_stack_beyond_the_limits_is_refused(void **state)
{
	struct one one;

	one_init_opts(&one, (struct reactor_opts){ .fiber_stack_bytes = 1ull << 40 });
	assert_int_equal(fiber_start(one.r, "f", sleeps_ms, NULL, NULL), -EINVAL);
	assert_int_equal(fiber_start(one.r, "f", sleeps_ms, NULL, NULL), -EINVAL);
	one_fini(&one);
}

/* ---- stacks --------------------------------------------------------------- */

static int uses_stack(struct fiber *f, void *arg)
{
	fiber_fn volatile deeper = uses_stack; /* no tail call */
	char block[1000];
	size_t left = *(size_t *)arg;

	memset(block, 1, sizeof(block));
	__asm__ volatile("" : : "r"(block) : "memory"); /* all of it, please */
	if (left > sizeof(block)) {
		left -= sizeof(block);
		return deeper(f, &left) + block[0];
	}
	fiber_yield(f);
	return block[1];
}

static void the_deepest_use_of_a_stack_is_known(void **state)
{
	struct one one;
	struct reactor_stats before, after, later;
	size_t bytes = 30000;

	one_init(&one);
	one_fiber(&one, sleeps_ms, NULL, NULL);
	reactor_stats(one.r, &before);
	assert_in_range(before.stack_high_water_bytes, 1, 16384);
	one_fiber(&one, uses_stack, &bytes, NULL);
	reactor_stats(one.r, &after);
	assert_in_range(after.stack_high_water_bytes, 30000, 2 * FIBER_STACK_DEFAULT);
	bytes = 1000;
	one_fiber(&one, uses_stack, &bytes, NULL);
	reactor_stats(one.r, &later);
	assert_int_equal(later.stack_high_water_bytes, after.stack_high_water_bytes);
	one_fini(&one);
}

static void overflow_child(void)
{
	struct one one;
	size_t bytes = 100 << 20;

	close(STDERR_FILENO);
	one_init(&one);
	one_fiber(&one, uses_stack, &bytes, NULL);
}

static void a_stack_overflow_hits_the_guard(void **state)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		overflow_child();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	/* The kernel's signal, or what a sanitizer makes of it. */
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

/* ---- crashes and misuse --------------------------------------------------- */

/* Memory that is dropped as a whole, like that of a simulated process. */
struct arena {
	struct mem mem;
	size_t used;
	_Alignas(64) uint8_t bytes[256 << 10];
};

static void *arena_alloc(struct mem *mem, size_t size, size_t align)
{
	struct arena *arena = container_of(mem, struct arena, mem);
	size_t at = align_up_u64(arena->used, align);

	arena->used = at + size;
	return arena->used <= sizeof(arena->bytes) ? arena->bytes + at : NULL;
}

static void arena_free(struct mem *mem, void *p, size_t size, size_t align)
{
}

static const struct mem_ops arena_ops = { .alloc = arena_alloc, .free = arena_free };

static void an_abandoned_reactor_gives_its_stacks_back(void **state)
{
	for (unsigned life = 0; life < 20; life++) {
		struct arena *arena = aligned_alloc(64, sizeof(*arena));
		struct fake_io fake;
		struct reactor *r;
		memset(arena, 0, sizeof(*arena));
		arena->mem.ops = &arena_ops;
		fake_init(&fake);
		fake.io.mem = &arena->mem;
		assert_int_equal(reactor_new(&fake.io, &(struct reactor_opts){ 0 }, &r, NULL), 0);
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(fiber_start(r, "a", sleeps_ms, NULL, NULL), 0);
			assert_int_equal(fiber_start(r, "b", sleeps_long, NULL, NULL), 0);
		}
		io_turn(&fake.io, reactor_turn(r));
		reactor_turn(r);
		reactor_abandon(r); /* five in the pool, five asleep */
		free(arena);
		fake_fini(&fake);
	}
}

static int suspends_another(struct fiber *f, void *arg)
{
	fiber_suspend(*(struct fiber **)arg);
	return 0;
}

static void misuse_dies(void **state)
{
	struct one one;
	struct fiber *f;

	one_init(&one);
	assert_int_equal(fiber_start(one.r, "f", sleeps_ms, NULL, NULL), 0);
	assert_dies(reactor_free(one.r));
	one_run(&one, 10);
	assert_int_equal(fiber_start(one.r, "g", sleeps_ms, NULL, &f), 0);
	assert_dies(fiber_resume(f));
	assert_dies(one_fiber(&one, suspends_another, &f, NULL)); /* FI2 */
	reactor_turn(one.r);
	assert_dies((fiber_resume(f), fiber_resume(f)));
	one_run(&one, 10);
	assert_int_equal(one_fiber(&one, (fiber_fn)fiber_join, f, NULL), 0);
	one_fini(&one);
}

static int knows_itself(struct fiber *f, void *arg)
{
	struct one *one = arg;

	assert_ptr_equal(fiber_reactor(f), one->r);
	assert_ptr_equal(fiber_io(f), &one->fake.io);
	assert_string_equal(fiber_name(f), "a-name-that-is-longer-than-it-m");
	return 0;
}

static void a_fiber_knows_where_it_runs(void **state)
{
	struct one one;

	one_init(&one);
	assert_int_equal(fiber_start(one.r, "a-name-that-is-longer-than-it-may-be", knows_itself,
				     &one, NULL),
			 0);
	one_run(&one, 10);
	one_fini(&one);
}

static int calls_itself(struct fiber *f, void *arg)
{
	return fiber_call_on(f, fiber_reactor(f), "call", fails_with_words, arg);
}

static void a_call_on_ones_own_reactor_is_a_fiber(void **state)
{
	struct one one;
	char words[ERR_WORDS_SIZE], pool[] = "p3";

	one_init(&one);
	assert_int_equal(one_fiber(&one, calls_itself, pool, words), -EEXIST);
	assert_string_equal(words, "pool 'p3' exists");
	one_fini(&one);
	one_init_opts(&one, (struct reactor_opts){ .fibers_max = 1 });
	assert_int_equal(one_fiber(&one, calls_itself, pool, words), -EAGAIN);
	assert_string_equal(words, "call: no fiber on reactor0: EAGAIN");
	one_fini(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_in_the_next_turn_and_yields_for_one),
		cmocka_unit_test(join_returns_the_result_and_moves_the_words),
		cmocka_unit_test(the_first_words_stay_until_cleared),
		cmocka_unit_test(an_error_nobody_takes_is_logged_once),
		cmocka_unit_test(a_cancelled_fiber_gets_it_from_each_wait_until_it_says_otherwise),
		cmocka_unit_test(a_cancelled_fiber_ends_and_leaves_nothing),
		cmocka_unit_test(io_in_flight_is_waited_for_though_cancelled),
		cmocka_unit_test(a_thing_handed_over_is_kept_though_cancelled),
		cmocka_unit_test(there_are_at_most_fibers_max),
		cmocka_unit_test(many_fibers_come_and_go),
		cmocka_unit_test(every_failed_allocation_is_an_error_and_no_leak),
		cmocka_unit_test(a_stack_beyond_the_limits_is_refused),
		cmocka_unit_test(the_deepest_use_of_a_stack_is_known),
		cmocka_unit_test(a_stack_overflow_hits_the_guard),
		cmocka_unit_test(an_abandoned_reactor_gives_its_stacks_back),
		cmocka_unit_test(misuse_dies),
		cmocka_unit_test(a_fiber_knows_where_it_runs),
		cmocka_unit_test(a_call_on_ones_own_reactor_is_a_fiber),
	};

	return cmocka_run_group_tests_name("fiber", tests, NULL, NULL);
}
