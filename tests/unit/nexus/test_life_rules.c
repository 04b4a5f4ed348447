// SPDX-License-Identifier: Apache-2.0
/* One rule each, seen by itself: what planted faults showed the other tests do not notice. */
#include "nexus_rig.h"

#include "nexus/nexus_priv.h"

struct user {
	struct nexus_rig nr;
	struct bdev *bdev;
	struct bdev_chan *chan;
};

static void user_start(struct fiber *f, struct rig *rig, struct user *u, unsigned children)
{
	nr_start(f, rig, &u->nr, children);
	u->bdev = rig_open(f, "nexus:///v");
	u->chan = rig_chan(f, u->bdev);
}

static void user_let_go(struct fiber *f, struct user *u)
{
	bdev_chan_close(f, u->chan);
	bdev_close(f, u->bdev);
}

static int user_write(struct fiber *f, struct user *u, uint64_t lba, uint8_t byte)
{
	uint8_t buf[512];

	memset(buf, byte, sizeof(buf));
	return bdev_write(f, u->chan, lba, 1, buf, 0);
}

struct writer {
	struct user *u;
	uint64_t lba;
	bool is_done;
};

static int writer_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	nr_ok(f, user_write(f, w->u, w->lba, 1));
	w->is_done = true;
	return 0;
}

/* LOCK. */
RIG_TEST(who_writes_in_a_held_range_waits_and_nobody_else)
{
	struct user u;
	struct writer in = { .u = &u, .lba = 107 }, out = { .u = &u, .lba = 108 };
	struct fiber *fibers[2];
	struct nexus_range range;

	user_start(f, rig, &u, 2);
	range_hold(f, u.nr.nexus, &range, 100, 8);
	assert_int_equal(fiber_start(fiber_reactor(f), "in", writer_main, &in, &fibers[0]), 0);
	assert_int_equal(fiber_start(fiber_reactor(f), "out", writer_main, &out, &fibers[1]), 0);
	assert_int_equal(fiber_join(f, fibers[1]), 0);
	nr_ok(f, fiber_sleep(f, 20000000));
	assert_true(out.is_done && !in.is_done);
	range_release(u.nr.nexus, &range);
	assert_int_equal(fiber_join(f, fibers[0]), 0);
	user_let_go(f, &u);
	nr_stop(f, &u.nr);
}

static uint64_t flushes(struct fiber *f, struct bdev *bdev)
{
	struct bdev_stats stats;

	nr_ok(f, bdev_stats_get(f, bdev, &stats, NULL));
	return stats.op[BIO_FLUSH].ops;
}

/* TO2: what was copied is durable before the marks go; AC3, NX2: what was written, too. */
RIG_TEST(marks_go_only_after_a_flush)
{
	struct bdev *replicas[2];
	uint64_t before[2];
	struct user u;

	user_start(f, rig, &u, 2);
	nr_ok(f, user_write(f, &u, 7, 1));
	user_let_go(f, &u);
	for (unsigned i = 0; i < 2; i++)
		replicas[i] = rig_open(f, nr_uris[i]);
	nexus_abandon(f, u.nr.nexus);
	for (unsigned i = 0; i < 2; i++)
		before[i] = flushes(f, replicas[i]);
	nr_open(f, &u.nr);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(flushes(f, replicas[i]) > before[i]);
		before[i] = flushes(f, replicas[i]);
	}
	/* closed with nothing marked: for what is on it */
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(flushes(f, replicas[i]) > before[i]);
		bdev_close(f, replicas[i]);
	}
	nr_stop(f, &u.nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_writes_in_a_held_range_waits_and_nobody_else),
		cmocka_unit_test(marks_go_only_after_a_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
