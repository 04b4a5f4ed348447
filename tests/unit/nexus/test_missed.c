// SPDX-License-Identifier: Apache-2.0
/*
 * A child comes back: what it missed is copied, and nothing else; and all of it, if that is not known.
 * The rig compares the whole volume after each rebuild, before the child is used.
 */
#include "nexus_rig.h"

#include "base/prng.h"
#include "drivers/fault.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"

#define REGION_BLOCKS (NEXUS_REGION_BYTES / 512u)
#define REGIONS	      (NR_SIZE / NEXUS_REGION_BYTES)

static void put(struct fiber *f, uint64_t lba, uint64_t blocks, int byte)
{
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *buf = mem_new(fiber_io(f), blocks * 512);

	if (byte < 0) {
		nr_ok(f, bdev_unmap(f, chan, lba, blocks));
	} else {
		memset(buf, byte, blocks * 512);
		nr_ok(f, bdev_write(f, chan, lba, blocks, buf, 0));
	}
	mem_free(buf);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void fill(struct fiber *f)
{
	for (uint64_t region = 0; region < REGIONS; region++)
		put(f, region * REGION_BLOCKS, REGION_BLOCKS, (int)region + 1);
}

static struct nexus_child_info child(struct nexus_rig *nr, unsigned i)
{
	struct nexus_info info;

	nexus_info(nr->nexus, &info);
	return info.children[i];
}

static struct nexus_rebuild_record last(struct nexus_rig *nr)
{
	struct nexus_rebuild_record rec;

	assert_int_equal(nexus_history(nr->nexus, &rec, 1), 1);
	return rec;
}

static void away(struct fiber *f, struct nexus_rig *nr, unsigned i)
{
	nr_ok(f, nexus_offline_child(f, nr->nexus, nr_uris[i]));
	assert_int_equal(child(nr, i).state, NEXUS_CHILD_OUT);
}

static void back(struct fiber *f, struct nexus_rig *nr, unsigned i)
{
	nr_ok(f, nexus_online_child(f, nr->nexus, nr_uris[i]));
	nr_ok(f, nexus_settle(f, nr->nexus));
	assert_int_equal(child(nr, i).state, NEXUS_CHILD_IN_SYNC);
}

static void until(struct fiber *f, struct nexus_rig *nr, unsigned i, enum nexus_child_state state)
{
	while (child(nr, i).state != state)
		nr_ok(f, fiber_sleep(f, 1000000));
}

/* It can be had again, and is told to begin now. */
static void rejoin(struct fiber *f, struct nexus_rig *nr, unsigned i)
{
	nr_ok(f, nexus_rebuild_start(f, nr->nexus, nr_uris[i]));
	nr_ok(f, nexus_settle(f, nr->nexus));
	assert_int_equal(child(nr, i).state, NEXUS_CHILD_IN_SYNC);
}

static void reopen(struct fiber *f, struct nexus_rig *nr, bool clean)
{
	if (clean)
		nexus_close(f, nr->nexus);
	else
		nexus_abandon(f, nr->nexus);
	nr_open(f, nr);
}

/* What was rebuilt last: how, and how much. */
static void rebuilt(struct nexus_rig *nr, bool partial, uint64_t regions)
{
	struct nexus_rebuild_record rec = last(nr);

	assert_int_equal(rec.result, 0);
	assert_int_equal(rec.is_partial, partial);
	assert_int_equal(rec.total_bytes, regions * NEXUS_REGION_BYTES);
	assert_int_equal(rec.recovered_bytes, rec.total_bytes);
}

/* ---- what is copied --------------------------------------------------------------------- */

RIG_TEST(only_what_was_missed_is_copied)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	fill(f);
	away(f, &nr, 1);
	assert_true(child(&nr, 1).is_tracked);
	assert_int_equal(child(&nr, 1).missed_bytes, 0);
	put(f, REGION_BLOCKS * 2 + 7, 8, 99);
	put(f, REGION_BLOCKS * 5 - 3, 6, 98); /* of two regions */
	assert_int_equal(child(&nr, 1).missed_bytes, 3 * NEXUS_REGION_BYTES);
	back(f, &nr, 1);
	rebuilt(&nr, true, 3);
	assert_int_equal(last(&nr).transferred_bytes, 3 * NEXUS_REGION_BYTES);
	assert_false(child(&nr, 1).is_tracked);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* Acceptance: away under random writes to a tenth of the volume, it costs at most 1.2 of what differs. */
RIG_TEST(a_tenth_that_changed_costs_little_more_than_a_tenth)
{
	const uint64_t first = 3 * REGION_BLOCKS + 100, blocks = NR_BLOCKS / 10;
	uint64_t regions = (first + blocks - 1) / REGION_BLOCKS - first / REGION_BLOCKS + 1;
	struct nexus_rig nr;
	struct prng prng;

	prng_init(&prng, 4, 0);
	nr_start(f, rig, &nr, 3);
	fill(f);
	away(f, &nr, 2);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t at = first + prng_below(&prng, blocks - 8);

		put(f, at, 8, (int)prng_below(&prng, 256));
	}
	back(f, &nr, 2);
	assert_true(last(&nr).is_partial);
	assert_in_range(last(&nr).transferred_bytes, 1, regions * NEXUS_REGION_BYTES * 12 / 10);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* Known bug of others: a hole of the source was skipped, and the old data stayed. */
RIG_TEST(what_was_unmapped_meanwhile_is_unmapped_there)
{
	uint8_t *buf = mem_new(fiber_io(f), 512);
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	fill(f);
	away(f, &nr, 1);
	put(f, REGION_BLOCKS, REGION_BLOCKS, -1);
	back(f, &nr, 1);
	rebuilt(&nr, true, 1);
	assert_int_equal(last(&nr).transferred_bytes, 0);
	nr_read_member(f, &nr, 1, REGION_BLOCKS + 5, 1, buf);
	assert_int_equal(buf[0], 0);
	nr_check_equal(f, &nr);
	mem_free(buf);
	nr_stop(f, &nr);
}

RIG_TEST(each_leaving_has_a_map_of_its_own)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	fill(f);
	for (unsigned round = 0; round < 4; round++) {
		away(f, &nr, 1);
		put(f, round * REGION_BLOCKS, 3, 50);
		back(f, &nr, 1);
		rebuilt(&nr, true, 1);
		away(f, &nr, 0);
		put(f, (round + 1) * REGION_BLOCKS, 3, 51);
		back(f, &nr, 0);
		rebuilt(&nr, true, 1);
	}
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* ---- failures ----------------------------------------------------------------------------- */

/* INCARN: it was down, and was imported anew. It comes back by itself. */
RIG_TEST(a_child_that_crashed_is_rebuilt_in_part_by_itself)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr.table->retry_ms = 200;
	fill(f);
	nr_break(&nr, 1);
	put(f, REGION_BLOCKS * 6, 8, 77); /* finds out: it was in flight there */
	put(f, REGION_BLOCKS * 7, 8, 78);
	assert_true(child(&nr, 1).is_tracked);
	while (child(&nr, 1).rebuild.state != NEXUS_REBUILD_WAITING)
		nr_ok(f, fiber_sleep(f, 1000000));
	nr_repair(f, &nr, 1);
	until(f, &nr, 1, NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_settle(f, nr.nexus));
	rebuilt(&nr, true, 2);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(two_may_be_away_and_the_third_is_copied_whole)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[3]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	fill(f);
	away(f, &nr, 1);
	put(f, 0, 8, 1);
	away(f, &nr, 2);
	put(f, REGION_BLOCKS, 8, 2);
	away(f, &nr, 3);
	put(f, REGION_BLOCKS * 2, 8, 3);
	assert_true(child(&nr, 1).is_tracked && child(&nr, 2).is_tracked);
	assert_false(child(&nr, 3).is_tracked);
	assert_int_equal(child(&nr, 1).missed_bytes, 3 * NEXUS_REGION_BYTES);
	assert_int_equal(child(&nr, 2).missed_bytes, 2 * NEXUS_REGION_BYTES);
	back(f, &nr, 3);
	rebuilt(&nr, false, REGIONS);
	/* it has the others' maps now, and the source may go */
	away(f, &nr, 0);
	put(f, REGION_BLOCKS * 4, 8, 4);
	back(f, &nr, 2);
	rebuilt(&nr, true, 3);
	back(f, &nr, 1);
	rebuilt(&nr, true, 4);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(a_rebuild_that_was_stopped_begins_again_with_what_it_missed_since)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	fill(f);
	away(f, &nr, 1);
	put(f, 0, REGION_BLOCKS, 9);
	nexus_rebuild_limit(nr.nexus, 1 << 20);
	nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[1]));
	until(f, &nr, 1, NEXUS_CHILD_REBUILDING);
	put(f, REGION_BLOCKS * 3, 8, 10); /* reaches it, and is marked all the same */
	nr_ok(f, nexus_rebuild_stop(f, nr.nexus, nr_uris[1]));
	assert_int_equal(last(&nr).result, -ECANCELED);
	assert_int_equal(child(&nr, 1).rebuild.state, NEXUS_REBUILD_STOPPED);
	put(f, REGION_BLOCKS * 4, 8, 11);
	nexus_rebuild_limit(nr.nexus, 0);
	rejoin(f, &nr, 1);
	rebuilt(&nr, true, 3);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

static int remover_main(struct fiber *f, void *arg)
{
	nr_ok(f, nexus_remove_child(f, ((struct nexus_rig *)arg)->nexus, nr_uris[1]));
	return 0;
}

static int starter_main(struct fiber *f, void *arg)
{
	nr_ok(f, nexus_rebuild_start(f, ((struct nexus_rig *)arg)->nexus, nr_uris[2]));
	return 0;
}

/* Found by the simulator: what was to be recorded of the one was recorded of the one behind it. */
RIG_TEST(a_member_is_removed_while_one_behind_it_begins_to_be_rebuilt)
{
	struct fiber *remover, *starter;
	struct volume_record *rec;
	struct nexus_rig nr;
	uint64_t revision;

	nr_start(f, rig, &nr, 3);
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[3]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	away(f, &nr, 1);
	nr_break(&nr, 2);
	put(f, 0, 8, 1); /* finds out */
	until(f, &nr, 2, NEXUS_CHILD_OUT);
	while (child(&nr, 2).rebuild.state != NEXUS_REBUILD_WAITING)
		nr_ok(f, fiber_sleep(f, 1000000));
	nr_repair(f, &nr, 2);
	nr_ok(f, latch_lock(f, &nr.nexus->admin));
	assert_int_equal(fiber_start(fiber_reactor(f), "remover", remover_main, &nr, &remover), 0);
	nr_ok(f, fiber_sleep(f, 5000000));
	assert_int_equal(fiber_start(fiber_reactor(f), "starter", starter_main, &nr, &starter), 0);
	nr_ok(f, fiber_sleep(f, 20000000)); /* both wait for the record */
	latch_unlock(f, &nr.nexus->admin);
	assert_int_equal(fiber_join(f, remover), 0);
	assert_int_equal(fiber_join(f, starter), 0);
	nr_ok(f, nexus_settle(f, nr.nexus));
	rec = mem_new(fiber_io(f), sizeof(*rec));
	nr_ok(f, volume_get(f, nr.store, &nr.volume, rec, &revision));
	assert_int_equal(rec->member_count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rec->members[i].state, VOLUME_IN_SYNC);
	mem_free(rec);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* ---- another owner, or the same after a restart --------------------------------------------- */

RIG_TEST(maps_are_found_again_after_a_close_and_after_a_crash)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	fill(f);
	for (unsigned round = 0; round < 2; round++) {
		away(f, &nr, 1);
		put(f, REGION_BLOCKS * 2, 8, 20);
		reopen(f, &nr, round == 0);
		assert_true(child(&nr, 1).is_tracked);
		put(f, REGION_BLOCKS * 6, 8, 21);
		back(f, &nr, 1);
		assert_true(last(&nr).is_partial);
		nr_check_equal(f, &nr);
	}
	nr_stop(f, &nr);
}

/* And with it what it had active itself when it left: a deposed owner might have written there. */
RIG_TEST(after_a_clean_close_no_more_is_copied_than_was_missed)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	fill(f);
	reopen(f, &nr, true);
	put(f, REGION_BLOCKS, 8, 19);
	away(f, &nr, 1);
	put(f, REGION_BLOCKS * 2, 8, 20);
	reopen(f, &nr, true);
	put(f, REGION_BLOCKS * 6, 8, 21);
	back(f, &nr, 1);
	rebuilt(&nr, true, 3);
	nr_stop(f, &nr);
}

/* Lost in the takeover: it may lack what was in flight, which the logs say. */
RIG_TEST(who_is_lost_in_a_takeover_is_rebuilt_in_part)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	fill(f);
	reopen(f, &nr, true);
	put(f, REGION_BLOCKS * 3, 8, 30);
	nexus_abandon(f, nr.nexus);
	nr_crash(f, &nr, 2);
	nr_open(f, &nr);
	assert_int_equal(child(&nr, 2).state, NEXUS_CHILD_OUT);
	assert_true(child(&nr, 2).is_tracked);
	put(f, REGION_BLOCKS * 5, 8, 31);
	nr_import(f, &nr, 2);
	rejoin(f, &nr, 2);
	rebuilt(&nr, true, 2);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* MS4: a map that a member has from a time before it was away itself does not count. */
RIG_TEST(a_member_that_was_away_has_no_maps_of_its_own)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	fill(f);
	reopen(f, &nr, true); /* so that logs do not say what maps should */
	away(f, &nr, 2);      /* 0 and 1 have its map */
	put(f, 0, 8, 40);
	away(f, &nr, 1);
	put(f, REGION_BLOCKS, 8, 41); /* 1 does not know of this */
	back(f, &nr, 1);
	away(f, &nr, 0);
	put(f, REGION_BLOCKS * 2, 8, 42);
	reopen(f, &nr, true); /* the only member in sync is 1 */
	back(f, &nr, 2);
	assert_true(last(&nr).is_partial);
	back(f, &nr, 0);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* A child that is taken out for good and added again, though it says it has an old generation. */
RIG_TEST(who_was_removed_is_copied_whole)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	fill(f);
	away(f, &nr, 1);
	put(f, 0, 8, 60);
	nr_ok(f, nexus_remove_child(f, nr.nexus, nr_uris[1]));
	put(f, REGION_BLOCKS, 8, 61);
	reopen(f, &nr, true);
	nr_ok(f, nexus_add_child(f, nr.nexus, nr_uris[1]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	rebuilt(&nr, false, REGIONS);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

/* CH4: admitted and recorded, and then the owner ended before it told it so. */
RIG_TEST(who_was_admitted_is_in_sync_though_it_was_not_told)
{
	const struct replica_info said = { .state = REPLICA_OUTDATED };
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	fill(f);
	nexus_abandon(f, nr.nexus);
	struct bdev *bdev = rig_open(f, nr_uris[1]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	nr_ok(f, bdev_replica_ops(chan)->set(f, chan, UINT64_MAX, REPLICA_SET_STATE, &said));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nr_crash(f, &nr, 0);
	nr_open(f, &nr);
	assert_int_equal(child(&nr, 1).state, NEXUS_CHILD_IN_SYNC);
	nr_import(f, &nr, 0);
	rejoin(f, &nr, 0);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

RIG_TEST(what_the_volume_grew_by_is_rebuilt)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	fill(f);
	away(f, &nr, 1);
	nr_ok(f, nexus_resize(f, nr.nexus, NR_SIZE + 2 * NEXUS_REGION_BYTES));
	put(f, NR_BLOCKS + 9, 8, 70);
	back(f, &nr, 1);
	rebuilt(&nr, true, 2);
	nr_stop(f, &nr);
}

static int offline_main(struct fiber *f, void *arg)
{
	struct nexus_rig *nr = arg;

	nr_ok(f, nexus_offline_child(f, nr->nexus, nr_uris[1]));
	return 0;
}

/* DB2: nor if it is told a generation while it leaves. */
RIG_TEST(who_leaves_in_doubt_has_no_map)
{
	struct nexus_rebuild_record last_one;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr.table->retry_ms = 10;
	fill(f);
	struct nexus_child *left = &nr.nexus->child[1];
	left->error = -EIO;
	nr_ok(f, doubt_record(f, nr.nexus, nexus_bit(left)));
	retire(left, -EIO);
	while (!left->left_in_doubt)
		fiber_yield(f);
	left->gen.epoch = nr.nexus->rec.epoch; /* as it is when it is told */
	while (nexus_history(nr.nexus, &last_one, 1) == 0)
		nr_ok(f, fiber_sleep(f, 1000000));
	rebuilt(&nr, false, REGIONS);
	nr_stop(f, &nr);
}

/* MS8: its map ends while it waits for the latch to be opened; the next one is another. */
RIG_TEST(a_map_that_ends_before_it_is_opened_is_not_opened)
{
	const struct replica_gen none = { 0 };
	struct nexus_rig nr;
	struct fiber *fiber;

	nr_start(f, rig, &nr, 3);
	fill(f);
	struct nexus_child *left = &nr.nexus->child[1];
	nr_ok(f, latch_lock(f, &nr.nexus->missed.latch));
	nr_ok(f, fiber_start(fiber_reactor(f), "offline", offline_main, &nr, &fiber));
	while (!missed_of(left))
		nr_ok(f, fiber_sleep(f, 1000000));
	assert_null(missed_new(left, &none));
	latch_unlock(f, &nr.nexus->missed.latch);
	nr_ok(f, fiber_join(f, fiber));
	put(f, 3, 8, 71);
	assert_false(child(&nr, 1).is_tracked);
	back(f, &nr, 1);
	rebuilt(&nr, false, REGIONS);
	nr_stop(f, &nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_missed_is_copied),
		cmocka_unit_test(a_tenth_that_changed_costs_little_more_than_a_tenth),
		cmocka_unit_test(what_was_unmapped_meanwhile_is_unmapped_there),
		cmocka_unit_test(each_leaving_has_a_map_of_its_own),
		cmocka_unit_test(a_child_that_crashed_is_rebuilt_in_part_by_itself),
		cmocka_unit_test(two_may_be_away_and_the_third_is_copied_whole),
		cmocka_unit_test(a_rebuild_that_was_stopped_begins_again_with_what_it_missed_since),
		cmocka_unit_test(a_member_is_removed_while_one_behind_it_begins_to_be_rebuilt),
		cmocka_unit_test(maps_are_found_again_after_a_close_and_after_a_crash),
		cmocka_unit_test(after_a_clean_close_no_more_is_copied_than_was_missed),
		cmocka_unit_test(who_is_lost_in_a_takeover_is_rebuilt_in_part),
		cmocka_unit_test(a_member_that_was_away_has_no_maps_of_its_own),
		cmocka_unit_test(who_was_removed_is_copied_whole),
		cmocka_unit_test(who_was_admitted_is_in_sync_though_it_was_not_told),
		cmocka_unit_test(what_the_volume_grew_by_is_rebuilt),
		cmocka_unit_test(who_leaves_in_doubt_has_no_map),
		cmocka_unit_test(a_map_that_ends_before_it_is_opened_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
