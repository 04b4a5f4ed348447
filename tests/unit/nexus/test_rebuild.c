// SPDX-License-Identifier: Apache-2.0
/* Children come, go, fail and come back while the volume is written to. */
#include "nexus_rig.h"

#include "base/prng.h"
#include "nexus/nexus_priv.h"

static enum nexus_child_state state_of(struct nexus_rig *nr, const char *uri)
{
	struct nexus_info info;

	nexus_info(nr->nexus, &info);
	for (unsigned i = 0; i < info.count; i++)
		if (strcmp(info.children[i].uri, uri) == 0)
			return info.children[i].state;
	return NEXUS_CHILD_OUT;
}

RIG_TEST(a_child_that_was_away_is_rebuilt)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr_put(f, "nexus:///v", 0, 4000, 1);
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[1]));
	assert_int_equal(state_of(&nr, nr_uris[1]), NEXUS_CHILD_OUT);
	nr_put(f, "nexus:///v", 1000, 5000, 2);
	nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, nr_uris[1]), NEXUS_CHILD_IN_SYNC);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(holes_are_not_copied)
{
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_put(f, "nexus:///v", 8192, 128, 1); /* 64 KiB of 32 MiB */
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[2]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	nexus_info(nr.nexus, &info);
	assert_in_range(info.children[2].copied_bytes, 65536, 131072);
	nr_stop(f, &nr);
}

static void fence(struct fiber *f, unsigned i, uint64_t token)
{
	struct bdev *bdev = rig_open(f, nr_uris[i]);
	struct bdev_chan *chan = rig_chan(f, bdev);

	nr_ok(f, bdev_replica_ops(chan)->fence(f, chan, token));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* ME5. */
RIG_TEST(a_child_that_an_older_volume_has_fenced_joins)
{
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_put(f, "nexus:///v", 100, 3000, 7);
	fence(f, 2, replica_token(40, 7));
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[2]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, nr_uris[2]), NEXUS_CHILD_IN_SYNC);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.epoch, 41);
	nr_put(f, "nexus:///v", 200, 300, 8);
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	nr_check_equal(f, &nr);
	nexus_close(f, nr.nexus);
	nr_open(f, &nr);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.epoch, 42);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(children_are_added_and_removed)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_put(f, "nexus:///v", 100, 3000, 7);
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[2]));
	nr_refused(f, nexus_add_child(f, nr.nexus, nr_uris[2]), -EEXIST, "already");
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, nr_uris[2]), NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_remove_child(f, nr.nexus, nr_uris[0]));
	nr_ok(f, nexus_remove_child(f, nr.nexus, nr_uris[1]));
	nr_refused(f, nexus_remove_child(f, nr.nexus, nr_uris[2]), -EBUSY, "last one in sync");
	nr_refused(f, nexus_remove_child(f, nr.nexus, nr_uris[0]), -ENOENT, "has no child");
	nr_refused(f, nexus_add_child(f, nr.nexus, "pool:///p3/none"), -ENOENT, "none");
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[3]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	nr_put(f, "nexus:///v", 100, 3000, 8);
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	uint64_t revision;
	nr_ok(f, volume_get(f, nr.store, &nr.volume, rec, &revision));
	assert_int_equal(rec->member_count, 2);
	assert_string_equal(rec->members[0].uri, nr_uris[2]);
	assert_string_equal(rec->members[1].uri, nr_uris[3]);
	mem_free(rec);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* ---- under load ------------------------------------------------------------------------ */

struct load {
	struct nexus_rig *nr;
	uint64_t seed;
	bool stop;
	unsigned writes, failures;
};

static int load_main(struct fiber *f, void *arg)
{
	struct load *load = arg;
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *buf = mem_new(fiber_io(f), 64 * 512);
	struct prng prng;

	prng_init(&prng, load->seed, 0);
	while (!load->stop) {
		uint64_t blocks = prng_range(&prng, 1, 64);
		uint64_t lba = prng_below(&prng, NR_BLOCKS - blocks);
		int r;

		memset(buf, (int)prng_below(&prng, 256), blocks * 512);
		if (prng_chance_permille(&prng, 100))
			r = bdev_unmap(f, chan, lba, blocks);
		else
			r = bdev_write(f, chan, lba, blocks, buf, 0);
		load->writes++;
		load->failures += r < 0;
		fiber_clear(f);
	}
	mem_free(buf);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return 0;
}

RIG_TEST(a_rebuild_under_writes_ends_with_equal_members)
{
	enum { WRITERS = 4 };
	struct fiber *fiber[WRITERS];
	struct load load[WRITERS];
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_put(f, "nexus:///v", 0, 8000, 1);
	for (unsigned i = 0; i < WRITERS; i++) {
		load[i] = (struct load){ .nr = &nr, .seed = i };
		assert_int_equal(
			fiber_start(fiber_reactor(f), "load", load_main, &load[i], &fiber[i]), 0);
	}
	for (unsigned round = 0; round < 6; round++) {
		nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[2]));
		nr_ok(f, nexus_settle(f, nr.nexus));
		assert_int_equal(state_of(&nr, nr_uris[2]), NEXUS_CHILD_IN_SYNC);
		nr_ok(f, nexus_remove_child(f, nr.nexus, nr_uris[2]));
		nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[round % 2]));
		nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[round % 2]));
		nr_ok(f, nexus_settle(f, nr.nexus));
		assert_int_equal(state_of(&nr, nr_uris[round % 2]), NEXUS_CHILD_IN_SYNC);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		load[i].stop = true;
		assert_int_equal(fiber_join(f, fiber[i]), 0);
		assert_int_equal(load[i].failures, 0);
		assert_true(load[i].writes > 0);
	}
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(the_source_may_fail_while_it_is_copied_from)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr_put(f, "nexus:///v", 0, 8000, 1);
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[2]));
	nr_put(f, "nexus:///v", 4000, 8000, 2);
	nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[2]));
	nr_ok(f, fiber_sleep(f, 1000000));
	nr_break(&nr, 0);
	nr_put(f, "nexus:///v", 9000, 8, 3); /* finds out */
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, nr_uris[0]), NEXUS_CHILD_OUT);
	assert_int_equal(state_of(&nr, nr_uris[2]), NEXUS_CHILD_IN_SYNC);
	nr_check_equal(f, &nr);
	/* and back after its repair, while which nobody tries to open it */
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[0]));
	nr_repair(f, &nr, 0);
	nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[0]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, nr_uris[0]), NEXUS_CHILD_IN_SYNC);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(a_target_that_fails_again_is_out_again)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_put(f, "nexus:///v", 0, 8000, 1);
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[1]));
	nr_break(&nr, 1);
	nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	assert_int_equal(state_of(&nr, nr_uris[1]), NEXUS_CHILD_OUT);
	nr_put(f, "nexus:///v", 0, 8000, 2);
	nr_stop(f, &nr);
}

/* ---- the activity log (B.2) ---------------------------------------------------------- */

#define BIG_REGIONS (NEXUS_AL_MAX + 70)

static void big_start(struct fiber *f, struct nexus_rig *nr)
{
	const char *uris[] = { "pool:///p2/big", "pool:///p3/big" };
	const struct replica_create_args replica = {
		.name = "big", .size_bytes = BIG_REGIONS * (uint64_t)NEXUS_REGION_BYTES
	};
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = 2 };

	nr_ok(f, replica_create(f, nr->pool[2], &replica));
	nr_ok(f, replica_create(f, nr->pool[3], &replica));
	nr_ok(f, nexus_create(f, nr->table, &args, &nr->volume));
	nr_open(f, nr);
}

RIG_TEST(the_activity_log_makes_room)
{
	const uint64_t step = NEXUS_REGION_BYTES / 512;
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 0);
	big_start(f, &nr);
	for (unsigned round = 0; round < 3; round++)
		for (uint64_t region = 0; region < 8; region++)
			nr_put(f, "nexus:///v", region * step + round, 1, (uint8_t)round);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.al_active, 8);
	assert_int_equal(info.al_updates, 2 * 8); /* each once on each member */
	for (uint64_t region = 0; region < BIG_REGIONS; region++)
		nr_put(f, "nexus:///v", region * step, 1, 7);
	nexus_info(nr.nexus, &info);
	assert_in_range(info.al_active, NEXUS_AL_MAX - NEXUS_AL_BATCH, NEXUS_AL_MAX);
	/* a crash: not more is copied than the log holds */
	nexus_abandon(f, nr.nexus);
	nr_open(f, &nr);
	nexus_info(nr.nexus, &info);
	assert_in_range(info.resync_bytes, 1, (uint64_t)NEXUS_AL_MAX * NEXUS_REGION_BYTES);
	nr_stop(f, &nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_that_was_away_is_rebuilt),
		cmocka_unit_test(holes_are_not_copied),
		cmocka_unit_test(a_child_that_an_older_volume_has_fenced_joins),
		cmocka_unit_test(children_are_added_and_removed),
		cmocka_unit_test(a_rebuild_under_writes_ends_with_equal_members),
		cmocka_unit_test(the_source_may_fail_while_it_is_copied_from),
		cmocka_unit_test(a_target_that_fails_again_is_out_again),
		cmocka_unit_test(the_activity_log_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
