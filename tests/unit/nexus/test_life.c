// SPDX-License-Identifier: Apache-2.0
/* A volume is created, served, closed, taken over; what cannot be is named. */
#include "nexus_rig.h"

#include "nexus/nexus_priv.h"

RIG_TEST(it_is_a_disk_as_good_as_any)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	rig_integrity(f, rig, "nexus:///v", 300, 1);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

static void from_two_reactors_body(struct fiber *f, struct rig *rig)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	rig_integrity(f, rig, "nexus:///v", 200, 2);
	nr_check_equal(f, &nr);
	nr_stop(f, &nr);
}

static void it_may_be_used_from_any_reactor(void **state)
{
	(void)state;
	rig_run(2, from_two_reactors_body, NULL);
}

static void write_block(struct fiber *f, uint64_t lba, uint8_t byte, int expected)
{
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512];

	memset(buf, byte, sizeof(buf));
	assert_int_equal(bdev_write(f, chan, lba, 1, buf, 0), expected);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static uint8_t read_block(struct fiber *f, uint64_t lba)
{
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512];

	nr_ok(f, bdev_read(f, chan, lba, 1, buf));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return buf[17];
}

RIG_TEST(closed_and_opened_it_needs_no_resync)
{
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	write_block(f, 7, 0x55, 0);
	nexus_close(f, nr.nexus);
	nr_open(f, &nr);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.resync_bytes, 0);
	assert_int_equal(info.epoch, 2);
	assert_int_equal(info.state, NEXUS_SERVING);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(info.children[i].state, NEXUS_CHILD_IN_SYNC);
		assert_true(info.children[i].is_fenced && info.children[i].is_local);
	}
	assert_int_equal(read_block(f, 7), 0x55);
	nr_stop(f, &nr);
}

/* RESYNC: what a crash left different is made equal, and no more is copied than the log says. */
RIG_TEST(after_a_crash_the_marked_regions_are_made_equal)
{
	struct nexus_info info;
	struct nexus_rig nr;
	uint8_t buf[512];

	nr_start(f, rig, &nr, 3);
	write_block(f, 7, 0x11, 0);
	write_block(f, 40000, 0x22, 0);
	/* one member got a write that the others did not: nobody was told it is done */
	struct bdev *bdev = rig_open(f, nr_uris[2]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bio *bio = bio_new(chan);
	const struct iovec iov = { buf, sizeof(buf) };

	memset(buf, 0x99, sizeof(buf));
	bio_prep(bio, chan, BIO_WRITE, 9, 1, &iov, 1, NULL);
	bio->token = UINT64_MAX;
	nr_ok(f, bio_wait(f, bio));
	mem_free(bio);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nexus_abandon(f, nr.nexus);
	nr_open(f, &nr);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.resync_bytes, 2 * NEXUS_REGION_BYTES);
	nr_check_equal(f, &nr);
	assert_int_equal(read_block(f, 7), 0x11);
	assert_int_equal(read_block(f, 40000), 0x22);
	nr_stop(f, &nr);
}

/* SEAL, FENCE: the old owner never acknowledges again, nor reads. */
RIG_TEST(another_owner_deposes_the_first)
{
	struct nexus_table_opts opts = { .instance = { { 2 } } };
	struct nexus_table *other;
	struct nexus *taken;
	struct nexus_info info;
	struct nexus_rig nr;
	uint8_t buf[512];

	nr_start(f, rig, &nr, 3);
	write_block(f, 7, 0x11, 0);
	opts.store = nr.store;
	nr_ok(f, nexus_table_new(f, &opts, &other));
	nr_ok(f, nexus_open(f, other, &nr.volume, false, &taken));
	nexus_info(taken, &info);
	assert_int_equal(info.epoch, 2);
	write_block(f, 7, 0x12, -ESTALE);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.state, NEXUS_DEPOSED);
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	assert_int_equal(bdev_read(f, chan, 7, 1, buf), -ESTALE);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nexus_close(f, nr.nexus);
	nr.nexus = NULL;
	rig->env.nexuses = other;
	assert_int_equal(read_block(f, 7), 0x11);
	nexus_close(f, taken);
	nexus_table_free(f, other);
	rig->env.nexuses = nr.table;
	nr_stop(f, &nr);
}

RIG_TEST(what_cannot_be_a_volume_is_named)
{
	const char *twice[] = { nr_uris[0], nr_uris[0] };
	const char *gone[] = { "pool:///p0/none" };
	const char *claimed[] = { "malloc:///m?size_mb=64" };
	struct nexus_create_args args = { .name = "w", .uris = nr_uris, .count = 2 };
	struct bdev_claim claim;
	struct nexus *nexus;
	struct nexus_rig nr;
	struct uuid volume;

	nr_start(f, rig, &nr, 2);
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EBUSY, "is a replica of volume");
	args.name = "v";
	args.uris = &nr_uris[2];
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EEXIST, "volume 'v' exists");
	args.name = "w";
	args.uris = twice;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EINVAL, "twice");
	args.uris = gone;
	args.count = 1;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -ENOENT, "none");
	args.count = 0;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EINVAL, "1 to 8 children");
	args.uris = &nr_uris[2];
	args.count = 2;
	args.size_bytes = NR_SIZE + 512;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EINVAL,
		   "has room for 33554432 bytes, expected 33554944");
	args.size_bytes = 1000;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EINVAL, "not a number of blocks");
	args.size_bytes = 0;
	args.name = "a/b";
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EINVAL, "name");
	args.name = "w";
	args.uris = claimed;
	args.count = 1;
	struct bdev *bdev = rig_open(f, claimed[0]);
	nr_ok(f, bdev_claim(f, bdev, BDEV_CLAIM_WRITE, "somebody", &claim));
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EBUSY, "somebody");
	bdev_unclaim(f, &claim);
	bdev_close(f, bdev);
	nr_refused(f, nexus_open(f, nr.table, &nr.volume, false, &nexus), -EEXIST, "is open here");
	nr_refused(f, nexus_destroy(f, nr.table, &nr.volume), -EBUSY, "is open here");
	volume = (struct uuid){ { 9 } };
	nr_refused(f, nexus_open(f, nr.table, &volume, false, &nexus), -ENOENT,
		   "there is no volume");
	nr_stop(f, &nr);
}

RIG_TEST(a_closed_volume_may_go)
{
	struct nexus *nexus;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nexus_close(f, nr.nexus);
	nr.nexus = NULL;
	nr_ok(f, nexus_destroy(f, nr.table, &nr.volume));
	nr_refused(f, nexus_open(f, nr.table, &nr.volume, false, &nexus), -ENOENT, "no volume");
	nr_stop(f, &nr);
}

/* UNFENCEABLE. */
RIG_TEST(who_cannot_be_fenced_is_taken_only_by_force)
{
	const char *plain[] = { "malloc:///m0?size_mb=16", "malloc:///m1?size_mb=16" };
	struct nexus_create_args args = { .name = "w", .uris = plain, .count = 2 };
	struct bdev *keep[2] = { rig_open(f, plain[0]), rig_open(f, plain[1]) };
	struct nexus_table_opts opts = { .instance = { { 2 } } };
	struct nexus_table *other;
	struct nexus *nexus;
	struct nexus_rig nr;
	struct uuid volume;

	nr_start(f, rig, &nr, 0);
	nr_ok(f, nexus_create(f, nr.table, &args, &volume));
	nr_ok(f, nexus_open(f, nr.table, &volume, false, &nexus));
	nr_ok(f, nexus_settle(f, nexus));
	rig_integrity(f, rig, "nexus:///w", 100, 3);
	nexus_abandon(f, nexus);
	opts.store = nr.store;
	nr_ok(f, nexus_table_new(f, &opts, &other));
	nr_refused(f, nexus_open(f, other, &volume, false, &nexus), -EPERM, "cannot be fenced");
	nr_ok(f, nexus_open(f, other, &volume, true, &nexus));
	/* one survives, the other is rebuilt */
	struct nexus_info info;
	nexus_info(nexus, &info);
	assert_int_equal(info.children[0].state, NEXUS_CHILD_IN_SYNC);
	nr_ok(f, nexus_settle(f, nexus));
	nexus_info(nexus, &info);
	assert_int_equal(info.children[1].state, NEXUS_CHILD_IN_SYNC);
	assert_false(info.children[1].is_fenced);
	nexus_close(f, nexus);
	nexus_table_free(f, other);
	nr_stop(f, &nr);
	bdev_close(f, keep[0]);
	bdev_close(f, keep[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_a_disk_as_good_as_any),
		cmocka_unit_test(it_may_be_used_from_any_reactor),
		cmocka_unit_test(closed_and_opened_it_needs_no_resync),
		cmocka_unit_test(after_a_crash_the_marked_regions_are_made_equal),
		cmocka_unit_test(another_owner_deposes_the_first),
		cmocka_unit_test(what_cannot_be_a_volume_is_named),
		cmocka_unit_test(a_closed_volume_may_go),
		cmocka_unit_test(who_cannot_be_fenced_is_taken_only_by_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
