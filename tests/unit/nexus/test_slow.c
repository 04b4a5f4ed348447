// SPDX-License-Identifier: Apache-2.0
/*
 * Children that are slow, in simulated time, with the time-out as it is by default: one that answers within
 * it stays in, however slow it is; one that does not has failed between one and one and a quarter of it.
 */
#include "nexus_sim.h"

#define TIMEOUT_NS (NEXUS_CHILD_TIMEOUT_MS_DEFAULT * SIM_MS)
#define WRITERS	   3u
#define GOOD	   "malloc:///m0?size_mb=16"

/* A volume of a good disk and of one that holds every request for so long. */
struct slow {
	uint64_t hold_ns;
	void (*body)(struct fiber *f, struct slow *s);
	struct nexus_sim *ns;
	struct nexus *nexus;
	struct bdev *good, *held, *bdev;
	struct bdev_chan *chan;
	char uri[96];
};

static enum nexus_child_state state_of(struct slow *s)
{
	struct nexus_info info;

	nexus_info(s->nexus, &info);
	return info.children[1].state;
}

static uint64_t changes_of(struct slow *s)
{
	struct nexus_info info;

	nexus_info(s->nexus, &info);
	return info.changes;
}

/* How long it took. */
static uint64_t put(struct fiber *f, struct slow *s, uint64_t lba)
{
	uint64_t start = ns_now(s->ns);
	uint8_t buf[512] = { 1 };

	nr_ok(f, bdev_write(f, s->chan, lba, 1, buf, 0));
	return ns_now(s->ns) - start;
}

static void slow_main(struct fiber *f, struct nexus_sim *ns)
{
	struct slow *s = ns->arg;
	const char *uris[] = { GOOD, s->uri };
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = 2 };
	struct uuid volume;

	s->ns = ns;
	s->good = rig_open(f, GOOD);
	s->held = rig_open(f, s->uri);
	nr_ok(f, nexus_create(f, ns->table, &args, &volume));
	nr_ok(f, nexus_open(f, ns->table, &volume, false, &s->nexus));
	nr_ok(f, nexus_settle(f, s->nexus));
	assert_int_equal(state_of(s), NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_set_child_timeout(f, s->nexus, NEXUS_CHILD_TIMEOUT_MS_DEFAULT));
	s->bdev = rig_open(f, "nexus:///v");
	s->chan = rig_chan(f, s->bdev);
	s->body(f, s);
	bdev_chan_close(f, s->chan);
	bdev_close(f, s->bdev);
	nexus_close(f, s->nexus);
	bdev_close(f, s->held);
	bdev_close(f, s->good);
}

static void slow_run(uint64_t hold_ns, void (*body)(struct fiber *f, struct slow *s))
{
	const struct nexus_table_opts opts = { .child_timeout_ms = NEXUS_CHILD_TIMEOUT_MS_MAX };
	struct slow s = { .hold_ns = hold_ns, .body = body };

	snprintf(s.uri, sizeof(s.uri), "delay:///slow?ns=%" PRIu64 "&on=malloc:///m1?size_mb=16",
		 hold_ns);
	ns_run(&opts, slow_main, &s);
}

/* ---- in time ------------------------------------------------------------------------------ */

struct writer {
	struct slow *s;
	uint64_t lba;
	struct fiber *fiber;
	struct prng prng;
};

/* Pauses of chance, so that a request may have any age when it is looked at. */
static int writer_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < 100; i++) {
		nr_ok(f, fiber_sleep(f, prng_below(&w->prng, TIMEOUT_NS / 4)));
		assert_in_range(put(f, w->s, w->lba), w->s->hold_ns, TIMEOUT_NS);
	}
	return 0;
}

static void writers_at_any_time(struct fiber *f, struct slow *s)
{
	uint64_t changes = changes_of(s);
	struct writer writers[WRITERS];

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .s = s, .lba = i };
		prng_init(&writers[i].prng, i, 0);
		assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &writers[i],
					     &writers[i].fiber),
				 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(fiber_join(f, writers[i].fiber), 0);
	assert_int_equal(state_of(s), NEXUS_CHILD_IN_SYNC);
	assert_int_equal(changes_of(s), changes);
}

static void a_child_slower_than_usual_but_in_time_stays_in(void **state)
{
	(void)state;
	slow_run(TIMEOUT_NS / 100, writers_at_any_time);
	slow_run(TIMEOUT_NS / 2, writers_at_any_time);
	slow_run(TIMEOUT_NS - SIM_MS, writers_at_any_time);
}

/* ---- and not ------------------------------------------------------------------------------ */

struct late {
	struct slow *s;
	uint64_t lba;
	struct fiber *fiber;
};

static int late_main(struct fiber *f, void *arg)
{
	const struct late *late = arg;

	(void)put(f, late->s, late->lba);
	return 0;
}

/* Another one every quarter of the time-out: that the last ones are young does not help the first. */
static void a_write_that_is_late(struct fiber *f, struct slow *s)
{
	uint64_t start = ns_now(s->ns), elapsed = 0;
	struct nexus_info info;
	struct late late[8];
	unsigned count = 0;

	while (state_of(s) == NEXUS_CHILD_IN_SYNC) {
		assert_in_range(count, 0, ARRAY_LEN(late) - 1);
		late[count] = (struct late){ .s = s, .lba = count };
		assert_int_equal(fiber_start(fiber_reactor(f), "late", late_main, &late[count],
					     &late[count].fiber),
				 0);
		count++;
		for (unsigned i = 0; i < 200 && state_of(s) == NEXUS_CHILD_IN_SYNC; i++)
			nr_ok(f, fiber_sleep(f, TIMEOUT_NS / 800));
		elapsed = ns_now(s->ns) - start;
	}
	assert_in_range(elapsed, TIMEOUT_NS, TIMEOUT_NS / 4 * 5 + TIMEOUT_NS / 400);
	nexus_info(s->nexus, &info);
	assert_int_equal(info.state, NEXUS_SERVING);
	assert_string_equal(info.children[1].reason, "failed: ETIMEDOUT");
	assert_in_range(put(f, s, 8), 0, SIM_MS); /* nobody waits for it any more */
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(fiber_join(f, late[i].fiber), 0);
}

static void a_child_that_answers_too_late_has_failed(void **state)
{
	(void)state;
	slow_run(TIMEOUT_NS / 4 * 5 + 100 * SIM_MS, a_write_that_is_late);
	slow_run(3 * TIMEOUT_NS, a_write_that_is_late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_slower_than_usual_but_in_time_stays_in),
		cmocka_unit_test(a_child_that_answers_too_late_has_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
