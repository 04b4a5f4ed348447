// SPDX-License-Identifier: Apache-2.0
/* The loop: RE1-RE4 of reactor.h, R1-R3 of reactor.c. */
#include "unit/unit.h"

#include <errno.h>

#include "reactor/timer.h"
#include "unit/dies.h"
#include "unit/reactor/one.h"

#define MS 1000000ull

struct job {
	struct task task;
	struct one *one;
	char name;
	char *log;
	unsigned again; /* posts itself so often */
	uint64_t lasts_ns;
	struct job *unposts;
};

static void job_run(struct task *task)
{
	struct job *job = container_of(task, struct job, task);

	if (job->log)
		job->log[strlen(job->log)] = job->name;
	job->one->fake.now_ns += job->lasts_ns;
	if (job->unposts)
		reactor_unpost(&job->unposts->task);
	if (job->again) {
		job->again--;
		reactor_post(job->one->r, task);
	}
}

static struct job job(struct one *one, char name, char *log)
{
	struct job j = { .one = one, .name = name, .log = log };

	task_init(&j.task, job_run);
	return j;
}

static void tasks_run_in_order_each_once(void **state)
{
	struct one one;
	char log[64] = "";

	one_init(&one);
	struct job a = job(&one, 'a', log), b = job(&one, 'b', log), c = job(&one, 'c', log);
	struct job d = job(&one, 'd', log);
	task_init(&a.task, job_run);
	task_init(&b.task, job_run);
	task_init(&c.task, job_run);
	task_init(&d.task, job_run);
	reactor_post(one.r, &a.task);
	reactor_post(one.r, &b.task);
	reactor_post(one.r, &a.task); /* already posted */
	reactor_post(one.r, &c.task);
	reactor_post(one.r, &d.task);
	reactor_unpost(&c.task);
	reactor_unpost(&c.task);
	b.unposts = &d;
	assert_string_equal(log, ""); /* RE2 */
	assert_int_equal(reactor_turn(one.r), IO_FOREVER);
	assert_string_equal(log, "ab"); /* RE3 */
	one_fini(&one);
}

static void timer_counts(struct timer *timer)
{
	struct one *one = container_of(reactor_io(timer->reactor), struct one, fake.io);

	strcat(one->lines, "t");
}

static void a_task_that_posts_itself_does_not_starve_the_rest(void **state)
{
	struct one one;
	struct timer timer;
	unsigned turns = 0;

	one_init(&one);
	struct job a = job(&one, 'a', NULL);
	task_init(&a.task, job_run);
	a.again = 100000;
	reactor_post(one.r, &a.task);
	timer_start(one.r, &timer, 0, timer_counts);
	assert_int_equal(reactor_turn(one.r), 0); /* R1: it ends, and does not wait */
	assert_string_equal(one.lines, "t");
	assert_true(a.again > 90000);
	while (reactor_turn(one.r) == 0)
		assert_true(turns++ < 1000);
	assert_int_equal(a.again, 0);
	one_fini(&one);
}

static void an_idle_reactor_waits_for_events_only(void **state)
{
	struct one one;
	struct timer timer;

	one_init(&one);
	assert_int_equal(reactor_turn(one.r), IO_FOREVER); /* RE4 */
	timer_start(one.r, &timer, 5 * MS, timer_counts);
	assert_int_equal(reactor_turn(one.r), one.fake.now_ns + 5 * MS);
	timer_stop(&timer);
	assert_int_equal(reactor_turn(one.r), IO_FOREVER);
	one_fini(&one);
}

static void the_turn_knows_the_time(void **state)
{
	struct one one;

	one_init(&one);
	one.fake.now_ns += 12345;
	assert_int_not_equal(reactor_now(one.r), one.fake.now_ns);
	reactor_turn(one.r);
	assert_int_equal(reactor_now(one.r), one.fake.now_ns);
	one_fini(&one);
}

static void stops(struct task *task)
{
	struct job *job = container_of(task, struct job, task);

	reactor_stop(job->one->r);
	job->task.run = job_run;
	job->again = 2;
	reactor_post(job->one->r, &job->task); /* still runs */
}

static void runs_until_stopped_and_finishes_what_was_posted(void **state)
{
	struct one one;
	char log[64] = "";

	one_init(&one);
	for (unsigned i = 0; i < 2; i++) {
		struct job a = job(&one, 'a', log);
		task_init(&a.task, stops);
		memset(log, 0, sizeof(log));
		reactor_post(one.r, &a.task);
		reactor_run(one.r);
		assert_string_equal(log, "aaa");
	}
	one.fake.wakes = 0;
	reactor_wake(one.r);
	assert_int_equal(one.fake.wakes, 1);
	one_fini(&one);
}

static void posts_for_ever(struct task *task)
{
	struct job *job = container_of(task, struct job, task);

	reactor_stop(job->one->r);
	reactor_post(job->one->r, task);
}

static void who_never_ends_does_not_hold_up_a_stop(void **state)
{
	struct one one;

	one_init(&one);
	struct job a = job(&one, 'a', NULL);
	task_init(&a.task, posts_for_ever);
	reactor_post(one.r, &a.task);
	reactor_run(one.r);
	reactor_unpost(&a.task);
	one_fini(&one);
}

static int stalls_fiber(struct fiber *f, void *arg)
{
	struct one *one = arg;

	one->fake.now_ns += 400 * MS;
	return 0;
}

static void a_stall_is_counted_and_named(void **state)
{
	struct one one;
	struct reactor_stats stats;

	one_init(&one);
	assert_int_equal(fiber_start(one.r, "slowpoke", stalls_fiber, &one, NULL), 0);
	reactor_turn(one.r);
	assert_non_null(strstr(one.lines, "fiber=slowpoke"));
	assert_non_null(strstr(one.lines, "ms=400"));
	reactor_stats(one.r, &stats);
	assert_int_equal(stats.stalls, 1);
	assert_int_equal(stats.stall_max_ns, 400 * MS);

	/* Among others: on the alert after the first, it is named though it did not run last. */
	struct job quick = job(&one, 'q', NULL);
	one.lines[0] = '\0';
	task_init(&quick.task, job_run);
	assert_int_equal(fiber_start(one.r, "slowpoke", stalls_fiber, &one, NULL), 0);
	reactor_post(one.r, &quick.task);
	reactor_turn(one.r);
	assert_non_null(strstr(one.lines, "fiber=slowpoke"));
	assert_null(strstr(one.lines, "ran last"));

	/* Long after, the alert is over. */
	one.lines[0] = '\0';
	one.fake.now_ns += 60000 * MS;
	reactor_turn(one.r);
	assert_int_equal(fiber_start(one.r, "slowpoke", stalls_fiber, &one, NULL), 0);
	reactor_post(one.r, &quick.task);
	reactor_turn(one.r);
	assert_non_null(strstr(one.lines, "ran last"));
	reactor_stats(one.r, &stats);
	assert_int_equal(stats.stalls, 3);
	one_fini(&one);
}

static void a_stalling_task_is_told_by_its_address(void **state)
{
	struct one one;
	char address[32];

	one_init_opts(&one, (struct reactor_opts){ .stall_ns = 5 * MS });
	struct job slow = job(&one, 's', NULL);
	task_init(&slow.task, job_run);
	slow.lasts_ns = 6 * MS;
	reactor_post(one.r, &slow.task);
	reactor_turn(one.r);
	snprintf(address, sizeof(address), "%llx", (unsigned long long)(uintptr_t)job_run);
	assert_non_null(strstr(one.lines, address));
	slow.lasts_ns = 4 * MS;
	one.lines[0] = '\0';
	reactor_post(one.r, &slow.task);
	reactor_turn(one.r);
	assert_string_equal(one.lines, "");
	one_fini(&one);
}

static void op_stalls(struct io_op *op)
{
	struct one *one = op->owner;

	one->fake.now_ns += 300 * MS;
	reactor_stop(one->r);
}

static void a_stall_in_a_callback_of_the_io_is_counted(void **state)
{
	struct one one;
	struct io_op op = { .owner = &one };
	struct reactor_stats stats;

	one_init(&one);
	one.fake.completes_all = true;
	io_prep(&op, IO_NOP, op_stalls);
	io_submit(&one.fake.io, &op);
	reactor_run(one.r);
	reactor_stats(one.r, &stats);
	assert_int_equal(stats.stalls, 1);
	assert_int_equal(stats.stall_max_ns, 300 * MS);
	assert_non_null(strstr(one.lines, "callbacks of its io"));
	one_fini(&one);
}

static void bad_options_are_refused_with_words(void **state)
{
	struct fake_io fake;
	struct reactor *r;
	struct err err = { 0 };

	fake_init(&fake);
	assert_int_equal(reactor_new(&fake.io, &(struct reactor_opts){ .index = REACTORS_MAX }, &r,
				     &err),
			 -EINVAL);
	assert_non_null(strstr(err.words, "at most 64"));
	assert_int_equal(reactor_new(&fake.io, &(struct reactor_opts){ .fibers_max = UINT32_MAX },
				     &r, &err),
			 -EINVAL);
	assert_non_null(strstr(err.words, "fibers"));
	fake_fini(&fake);
}

static void it_knows_itself(void **state)
{
	struct one one, named;
	const struct bdev_env *env = (const void *)&one;

	one_init_opts(&one, (struct reactor_opts){ .index = 63, .bdev_env = env });
	one_init_opts(&named, (struct reactor_opts){ .index = 2, .name = "two" });
	assert_string_equal(reactor_name(one.r), "reactor63");
	assert_string_equal(reactor_name(named.r), "two");
	assert_int_equal(reactor_index(named.r), 2);
	assert_ptr_equal(reactor_io(one.r), &one.fake.io);
	assert_ptr_equal(reactor_log(one.r), &one.log);
	assert_ptr_equal(reactor_bdev_env(one.r), env);
	assert_ptr_equal(reactor_peer(one.r, 63), one.r);
	assert_null(reactor_peer(one.r, 2));
	one_fini(&one);
	one_fini(&named);
}

static void freeing_what_is_in_use_dies(void **state)
{
	struct one one;
	struct timer timer;

	one_init(&one);
	struct job a = job(&one, 'a', NULL);
	task_init(&a.task, job_run);
	reactor_post(one.r, &a.task);
	assert_dies(reactor_free(one.r));
	reactor_turn(one.r);
	timer_start(one.r, &timer, MS, timer_counts);
	assert_dies(reactor_free(one.r));
	timer_stop(&timer);
	one_fini(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_run_in_order_each_once),
		cmocka_unit_test(a_task_that_posts_itself_does_not_starve_the_rest),
		cmocka_unit_test(an_idle_reactor_waits_for_events_only),
		cmocka_unit_test(the_turn_knows_the_time),
		cmocka_unit_test(runs_until_stopped_and_finishes_what_was_posted),
		cmocka_unit_test(who_never_ends_does_not_hold_up_a_stop),
		cmocka_unit_test(a_stall_is_counted_and_named),
		cmocka_unit_test(a_stalling_task_is_told_by_its_address),
		cmocka_unit_test(a_stall_in_a_callback_of_the_io_is_counted),
		cmocka_unit_test(bad_options_are_refused_with_words),
		cmocka_unit_test(it_knows_itself),
		cmocka_unit_test(freeing_what_is_in_use_dies),
	};

	return cmocka_run_group_tests_name("reactor", tests, NULL, NULL);
}
