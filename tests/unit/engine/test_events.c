// SPDX-License-Identifier: Apache-2.0
/* The events of a node: the ring and its watchers, EV1-EV3. */
#include "unit/unit.h"

#include <errno.h>

#include "engine/events.h"
#include "unit/reactor/one.h"

struct room {
	struct one one;
	struct events *events;
	unsigned seen;
	uint64_t last, missed;
};

static void room_init(struct room *room)
{
	memset(room, 0, sizeof(*room));
	one_init(&room->one);
	assert_int_equal(events_new(&room->one.fake.io, &room->events), 0);
}

static void room_fini(struct room *room)
{
	events_free(room->events);
	one_fini(&room->one);
}

static void happen(struct room *room, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		events_add(room->events, EVENTS_POOL, "created", "p", NULL, "the %u.", i);
}

static void in_fiber(struct room *room, fiber_fn fn)
{
	assert_int_equal(fiber_start(room->one.r, "watch", fn, room, NULL), 0);
	one_run(&room->one, 10000);
}

/* All there is, from what is seen on; never two of a number, never backwards. */
static unsigned take(struct room *room, struct events_watch *watch)
{
	const struct events_entry *entry;
	uint64_t missed;
	unsigned count = 0;

	while (events_next(watch, &entry, &missed)) {
		assert_int_equal(entry->number, room->last + missed + 1); /* EV2 */
		room->last = entry->number;
		room->missed += missed;
		count++;
	}
	return count;
}

static int watches_since(struct fiber *f, void *arg)
{
	struct room *room = arg;
	struct events_watch watch;

	for (unsigned since = 0; since <= 3; since++) {
		assert_int_equal(events_watch_start(f, room->events, since, &watch), 0);
		room->last = since;
		assert_int_equal(take(room, &watch), 3 - since);
		events_watch_stop(&watch);
	}
	assert_int_equal(events_watch_start(f, room->events, 4, &watch), 0);
	room->last = 0; /* the node has begun anew: all of it */
	assert_int_equal(take(room, &watch), 3);
	events_watch_stop(&watch);
	assert_int_equal(room->missed, 0);
	return 0;
}

static void a_late_watcher_gets_what_came_after_its_number(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	happen(&room, 3);
	in_fiber(&room, watches_since);
	room_fini(&room);
}

static int is_slow(struct fiber *f, void *arg)
{
	struct room *room = arg;
	struct events_watch watch;

	assert_int_equal(events_watch_start(f, room->events, 0, &watch), 0);
	happen(room, 2);
	assert_int_equal(take(room, &watch), 2);
	happen(room, EVENTS_MAX);
	assert_int_equal(take(room, &watch), EVENTS_MAX);
	assert_int_equal(room->missed, 0);
	happen(room, EVENTS_MAX + 7);
	assert_int_equal(take(room, &watch), EVENTS_MAX);
	assert_int_equal(room->missed, 7);
	events_watch_stop(&watch);
	return 0;
}

static void a_slow_watcher_loses_the_oldest_and_is_told_how_many(void **state)
{
	struct events_stats stats;
	struct room room;

	(void)state;
	room_init(&room);
	in_fiber(&room, is_slow);
	assert_int_equal(room.last, 2 * EVENTS_MAX + 9);
	events_stats(room.events, &stats);
	assert_int_equal(stats.lost, 7);
	assert_int_equal(stats.added[EVENTS_POOL], 2 * EVENTS_MAX + 9);
	room_fini(&room);
}

static int crowds(struct fiber *f, void *arg)
{
	struct room *room = arg;
	struct events_watch watches[EVENTS_WATCHERS_MAX], more;

	for (unsigned i = 0; i < EVENTS_WATCHERS_MAX; i++)
		assert_int_equal(events_watch_start(f, room->events, 0, &watches[i]), 0);
	assert_int_equal(events_watch_start(f, room->events, 0, &more), -EMFILE);
	assert_non_null(strstr(fiber_words(f), "watch the events already"));
	fiber_clear(f);
	events_watch_stop(&watches[0]);
	assert_int_equal(events_watch_start(f, room->events, 0, &watches[0]), 0);
	for (unsigned i = 0; i < EVENTS_WATCHERS_MAX; i++)
		events_watch_stop(&watches[i]);
	return 0;
}

static void so_many_may_watch_and_no_more(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	in_fiber(&room, crowds);
	room_fini(&room);
}

static int follows(struct fiber *f, void *arg)
{
	struct room *room = arg;
	struct events_watch watch;
	uint64_t last = 0;

	assert_int_equal(events_watch_start(f, room->events, 0, &watch), 0);
	while (last < 20) {
		const struct events_entry *entry;
		uint64_t missed;

		assert_int_equal(events_wait(f, &watch), 0);
		while (events_next(&watch, &entry, &missed)) {
			assert_int_equal(entry->number, ++last);
			room->seen++;
		}
	}
	events_watch_stop(&watch);
	return 0;
}

static int acts(struct fiber *f, void *arg)
{
	struct room *room = arg;

	for (unsigned i = 0; i < 10; i++) {
		happen(room, 2);
		if (i % 2)
			assert_int_equal(fiber_sleep(f, 1000), 0);
	}
	return 0;
}

static void watchers_that_wait_are_woken_each(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fiber_start(room.one.r, "follow", follows, &room, NULL), 0);
	in_fiber(&room, acts);
	assert_int_equal(room.seen, 60);
	room_fini(&room);
}

/* What is sent must be UTF-8, whatever a cut or a disk left of it. */
static int reads_odd(struct fiber *f, void *arg)
{
	struct room *room = arg;
	const struct events_entry *entry;
	struct events_watch watch;
	char name[EVENTS_NAME_SIZE + 9];
	uint64_t missed;

	memset(name, 'x', sizeof(name));
	memcpy(name + EVENTS_NAME_SIZE - 2, "\xc3\xa9", 3); /* its second byte is cut off */
	events_add(room->events, EVENTS_BDEV, "created", name, NULL,
		   "a \xff, \xc3\xa9 and \xc0\x80");
	assert_int_equal(events_watch_start(f, room->events, 0, &watch), 0);
	assert_int_equal(events_next(&watch, &entry, &missed), 1);
	assert_int_equal(strlen(entry->name), EVENTS_NAME_SIZE - 1);
	assert_int_equal(entry->name[EVENTS_NAME_SIZE - 2], '?');
	assert_string_equal(entry->text, "a ?, \xc3\xa9 and ??");
	events_watch_stop(&watch);
	return 0;
}

static void texts_are_always_characters(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	in_fiber(&room, reads_odd);
	room_fini(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_late_watcher_gets_what_came_after_its_number),
		cmocka_unit_test(a_slow_watcher_loses_the_oldest_and_is_told_how_many),
		cmocka_unit_test(so_many_may_watch_and_no_more),
		cmocka_unit_test(watchers_that_wait_are_woken_each),
		cmocka_unit_test(texts_are_always_characters),
	};

	return cmocka_run_group_tests_name("engine_events", tests, NULL, NULL);
}
