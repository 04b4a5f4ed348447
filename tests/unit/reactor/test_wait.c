// SPDX-License-Identifier: Apache-2.0
/* Event, latch, semaphore: wait.h, W1-W3 of wait.c. */
#include "unit/unit.h"

#include <errno.h>

#include "reactor/wait.h"
#include "unit/dies.h"
#include "unit/reactor/one.h"

#define MS 1000000ull

struct room {
	struct one one;
	struct event event;
	struct latch latch;
	struct sema sema;
	char log[256];
	unsigned inside, inside_max;
};

static void room_init(struct room *room)
{
	memset(room, 0, sizeof(*room));
	one_init(&room->one);
	event_init(&room->event);
	latch_init(&room->latch);
	sema_init(&room->sema, 2);
}

static void say(struct room *room, const char *name)
{
	size_t len = strlen(room->log);

	room->log[len] = name[0];
	room->log[len + 1] = '\0';
}

static void start(struct room *room, const char *name, fiber_fn fn)
{
	assert_int_equal(fiber_start(room->one.r, name, fn, room, NULL), 0);
}

static int waits_event(struct fiber *f, void *arg)
{
	struct room *room = arg;

	assert_int_equal(event_wait(f, &room->event), 0);
	say(room, fiber_name(f));
	return 0;
}

static int sets_event(struct fiber *f, void *arg)
{
	struct room *room = arg;

	assert_int_equal(fiber_sleep(f, MS), 0);
	event_set(&room->event);
	event_set(&room->event);
	say(room, "S");
	return 0;
}

static void an_event_lets_all_go_on_in_order(void **state)
{
	struct room room;

	room_init(&room);
	start(&room, "a", waits_event);
	start(&room, "b", waits_event);
	start(&room, "c", waits_event);
	start(&room, "s", sets_event);
	one_run(&room.one, 100);
	assert_string_equal(room.log, "Sabc");
	start(&room, "d", waits_event); /* stays set */
	one_run(&room.one, 100);
	assert_string_equal(room.log, "Sabcd");
	event_clear(&room.event);
	start(&room, "e", waits_event);
	one_run(&room.one, 100);
	assert_string_equal(room.log, "Sabcd");
	event_set(&room.event);
	one_run(&room.one, 100);
	assert_string_equal(room.log, "Sabcde");
	one_fini(&room.one);
}

static int deadlines(struct fiber *f, void *arg)
{
	struct room *room = arg;
	struct reactor *r = fiber_reactor(f);
	uint64_t now = reactor_now(r);

	assert_int_equal(event_wait_until(f, &room->event, now), -ETIMEDOUT);
	assert_int_equal(reactor_now(r), now);
	assert_int_equal(event_wait_until(f, &room->event, now + 3 * MS), -ETIMEDOUT);
	assert_int_equal(reactor_now(r), now + 3 * MS);
	assert_int_equal(latch_lock_until(f, &room->latch, 0), -ETIMEDOUT);
	assert_int_equal(latch_lock_until(f, &room->latch, now + 4 * MS), -ETIMEDOUT);
	assert_int_equal(sema_down_until(f, &room->sema, 0), 0); /* it could be had */
	assert_int_equal(sema_down_until(f, &room->sema, 0), 0);
	assert_int_equal(sema_down_until(f, &room->sema, now), -ETIMEDOUT);
	assert_int_equal(sema_down_until(f, &room->sema, now + 5 * MS), -ETIMEDOUT);
	assert_int_equal(reactor_now(r), now + 5 * MS);
	sema_up(&room->sema);
	assert_int_equal(room->sema.count, 1);
	event_set(&room->event);
	assert_int_equal(event_wait_until(f, &room->event, 0), 0);
	return 0;
}

static int holds_long(struct fiber *f, void *arg)
{
	struct room *room = arg;

	assert_int_equal(latch_lock(f, &room->latch), 0);
	assert_int_equal(fiber_sleep(f, 50 * MS), 0);
	latch_unlock(f, &room->latch);
	return 0;
}

static void deadlines_hold_and_leave_the_object_untouched(void **state)
{
	struct room room;

	room_init(&room);
	start(&room, "holder", holds_long);
	assert_int_equal(one_fiber(&room.one, deadlines, &room, NULL), 0);
	assert_null(room.latch.holder);
	one_fini(&room.one);
}

static int enters_by_latch(struct fiber *f, void *arg)
{
	struct room *room = arg;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(latch_lock(f, &room->latch), 0);
		assert_int_equal(++room->inside, 1);
		say(room, fiber_name(f));
		fiber_yield(f);
		assert_false(latch_try(f, &room->latch));
		room->inside--;
		latch_unlock(f, &room->latch);
	}
	return 0;
}

static void a_latch_has_one_holder_first_come_first_served(void **state)
{
	struct room room;

	room_init(&room);
	start(&room, "a", enters_by_latch);
	start(&room, "b", enters_by_latch);
	start(&room, "c", enters_by_latch);
	one_run(&room.one, 100);
	assert_string_equal(room.log, "abcabc");
	assert_null(room.latch.holder);
	one_fini(&room.one);
}

static int unlocks(struct fiber *f, void *arg)
{
	struct room *room = arg;

	latch_unlock(f, &room->latch);
	return 0;
}

static int locks_twice(struct fiber *f, void *arg)
{
	struct room *room = arg;

	assert_int_equal(latch_lock(f, &room->latch), 0);
	return latch_lock(f, &room->latch);
}

static void misuse_of_a_latch_dies(void **state)
{
	struct room room;

	room_init(&room);
	assert_dies(one_fiber(&room.one, unlocks, &room, NULL));
	assert_dies(one_fiber(&room.one, locks_twice, &room, NULL));
	one_fini(&room.one);
}

static int enters_by_sema(struct fiber *f, void *arg)
{
	struct room *room = arg;

	assert_int_equal(sema_down(f, &room->sema), 0);
	if (++room->inside > room->inside_max)
		room->inside_max = room->inside;
	say(room, fiber_name(f));
	assert_int_equal(fiber_sleep(f, MS), 0);
	room->inside--;
	sema_up(&room->sema);
	return 0;
}

static void a_semaphore_lets_so_many_in_first_come_first_served(void **state)
{
	struct room room;

	room_init(&room);
	for (const char *name = "a\0b\0c\0d\0e\0f\0"; *name; name += 2)
		start(&room, name, enters_by_sema);
	one_run(&room.one, 100);
	assert_string_equal(room.log, "abcdef");
	assert_int_equal(room.inside_max, 2);
	assert_int_equal(room.sema.count, 2);
	assert_true(sema_try(&room.sema));
	assert_true(sema_try(&room.sema));
	assert_false(sema_try(&room.sema));
	one_fini(&room.one);
}

static int gives_up(struct fiber *f, void *arg)
{
	struct room *room = arg;

	assert_int_equal(latch_lock_until(f, &room->latch, reactor_now(fiber_reactor(f)) + MS),
			 -ETIMEDOUT);
	say(room, fiber_name(f));
	return 0;
}

static int enters_after(struct fiber *f, void *arg)
{
	struct room *room = arg;

	assert_int_equal(latch_lock(f, &room->latch), 0);
	say(room, fiber_name(f));
	latch_unlock(f, &room->latch);
	return 0;
}

static void who_gives_up_does_not_block_the_queue(void **state)
{
	struct room room;

	room_init(&room);
	start(&room, "h", holds_long);
	start(&room, "g", gives_up);
	start(&room, "e", enters_after);
	one_run(&room.one, 100);
	assert_string_equal(room.log, "ge");
	assert_null(room.latch.holder);
	one_fini(&room.one);
}

static int sleeps(struct fiber *f, void *arg)
{
	uint64_t now = reactor_now(fiber_reactor(f));

	assert_int_equal(fiber_sleep(f, 0), 0);
	assert_int_equal(fiber_sleep(f, 7 * MS + 1), 0);
	assert_int_equal(reactor_now(fiber_reactor(f)), now + 7 * MS + 1);
	return 0;
}

static void sleep_lasts_as_long_as_said(void **state)
{
	struct room room;

	room_init(&room);
	assert_int_equal(one_fiber(&room.one, sleeps, &room, NULL), 0);
	one_fini(&room.one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_lets_all_go_on_in_order),
		cmocka_unit_test(deadlines_hold_and_leave_the_object_untouched),
		cmocka_unit_test(a_latch_has_one_holder_first_come_first_served),
		cmocka_unit_test(misuse_of_a_latch_dies),
		cmocka_unit_test(a_semaphore_lets_so_many_in_first_come_first_served),
		cmocka_unit_test(who_gives_up_does_not_block_the_queue),
		cmocka_unit_test(sleep_lasts_as_long_as_said),
	};

	return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
