// SPDX-License-Identifier: Apache-2.0
/* A volume grows: members, record, disk; after failures and crashes at each step. */
#include "nexus_rig.h"

#include <unistd.h>

#include "drivers/fault.h"
#include "nexus/nexus_priv.h"

#define MORE (40u << 20) /* a whole number of clusters */

struct told {
	struct bdev_watch watch;
	unsigned count;
	uint64_t blocks;
};

static void told_fn(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct told *told = container_of(watch, struct told, watch);

	assert_int_equal(event, BDEV_RESIZED);
	told->count++;
	told->blocks = bdev->blocks;
}

static uint64_t record_bytes(struct fiber *f, struct nexus_rig *nr)
{
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	uint64_t revision, bytes;

	nr_ok(f, volume_get(f, nr->store, &nr->volume, rec, &revision));
	bytes = rec->size_bytes;
	mem_free(rec);
	return bytes;
}

static uint64_t disk_bytes(struct fiber *f, const char *uri)
{
	struct bdev *bdev = rig_open(f, uri);
	uint64_t bytes = bdev->blocks * bdev->block_size;

	bdev_close(f, bdev);
	return bytes;
}

static void write_all(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		      uint64_t seed)
{
	uint8_t *bytes = mem_new(fiber_io(f), blocks * 512);

	rig_fill(bytes, blocks * 512, seed);
	nr_ok(f, bdev_write(f, chan, lba, blocks, bytes, 0));
	mem_free(bytes);
}

/* Of all members, each for itself: these blocks are alike, and what they are. */
static void members_hold(struct fiber *f, struct nexus_rig *nr, unsigned count, uint64_t lba,
			 uint64_t blocks, uint64_t seed)
{
	uint8_t *bytes = mem_new(fiber_io(f), blocks * 1024), *want = bytes + blocks * 512;

	if (seed)
		rig_fill(want, blocks * 512, seed);
	for (unsigned i = 0; i < count; i++) {
		nr_read_member(f, nr, i, lba, blocks, bytes);
		assert_memory_equal(bytes, want, blocks * 512);
	}
	mem_free(bytes);
}

RIG_TEST(members_then_the_record_then_the_disk)
{
	struct told told = { .watch = { .fn = told_fn } };
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	nr_ok(f, bdev_watch_add(f, bdev, &told.watch));
	write_all(f, chan, NR_BLOCKS - 8, 8, 3);
	nr_ok(f, nexus_resize(f, nr.nexus, MORE));
	assert_int_equal(told.count, 1);
	assert_int_equal(told.blocks, MORE / 512);
	assert_int_equal(chan->blocks, MORE / 512);
	assert_int_equal(record_bytes(f, &nr), MORE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(disk_bytes(f, nr_uris[i]), MORE);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.size_bytes, MORE);
	members_hold(f, &nr, 3, NR_BLOCKS - 8, 8, 3);
	members_hold(f, &nr, 3, NR_BLOCKS, 2048, 0);
	write_all(f, chan, MORE / 512 - 8, 8, 4);
	members_hold(f, &nr, 3, MORE / 512 - 8, 8, 4);
	/* the same again is nothing */
	nr_ok(f, nexus_resize(f, nr.nexus, MORE));
	assert_int_equal(told.count, 1);
	bdev_watch_del(f, &told.watch);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nexus_close(f, nr.nexus);
	nr_open(f, &nr);
	assert_int_equal(disk_bytes(f, "nexus:///v"), MORE);
	nr_stop(f, &nr);
}

/* Each refused with a line, and the record is as it was. */
RIG_TEST(what_cannot_be_its_size_is_refused)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_refused(f, nexus_resize(f, nr.nexus, NR_SIZE - 512), -EINVAL,
		   "volume 'v' has 33554432 bytes: it does not shrink to 33553920");
	nr_refused(f, nexus_resize(f, nr.nexus, 0), -EINVAL, "not a number of");
	nr_refused(f, nexus_resize(f, nr.nexus, MORE + 1), -EINVAL, "not a number of");
	nr_refused(f, nexus_resize(f, nr.nexus, UINT64_C(1) << 63), -EINVAL, "not a number of");
	assert_int_equal(record_bytes(f, &nr), NR_SIZE);
	nr_stop(f, &nr);
}

/* RS1. */
RIG_TEST(after_a_member_that_failed_the_same_call_goes_on)
{
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr_break(&nr, 1);
	assert_true(nexus_resize(f, nr.nexus, MORE) < 0);
	assert_non_null(strstr(fiber_words(f), "pool 'p1'"));
	fiber_clear(f);
	assert_int_equal(record_bytes(f, &nr), NR_SIZE);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.size_bytes, NR_SIZE);
	assert_int_equal(disk_bytes(f, "nexus:///v"), NR_SIZE);
	/* a crash: two members are larger than the record says */
	nexus_abandon(f, nr.nexus);
	nr_repair(f, &nr, 1);
	nr_open(f, &nr);
	assert_int_equal(disk_bytes(f, "nexus:///v"), NR_SIZE);
	nr_ok(f, nexus_settle(f, nr.nexus));
	nr_ok(f, nexus_resize(f, nr.nexus, MORE));
	assert_int_equal(record_bytes(f, &nr), MORE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(disk_bytes(f, nr_uris[i]), MORE);
	nr_stop(f, &nr);
}

struct resizer {
	struct nexus_rig *nr;
	int result;
	bool is_done;
};

static int resizer_main(struct fiber *f, void *arg)
{
	struct resizer *r = arg;

	r->result = nexus_resize(f, r->nr->nexus, MORE);
	r->is_done = true;
	fiber_clear(f);
	return 0;
}

/* Users see nothing of it before the record says so. */
RIG_TEST(without_the_record_nobody_is_told)
{
	struct nexus_rig nr;
	struct resizer resizer = { .nr = &nr };
	struct fiber *fiber;

	nr_start(f, rig, &nr, 2);
	struct bdev *bdev = rig_open(f, "nexus:///v");
	nr.ram->fail_before = -ETIMEDOUT;
	assert_int_equal(fiber_start(fiber_reactor(f), "resize", resizer_main, &resizer, &fiber),
			 0);
	nr_ok(f, fiber_sleep(f, 250000000));
	assert_false(resizer.is_done);
	assert_int_equal(bdev->blocks, NR_BLOCKS);
	bdev_close(f, bdev);
	assert_int_equal(disk_bytes(f, "nexus:///v"), NR_SIZE); /* opened now, too */
	nr.ram->fail_before = 0;
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(resizer.result, 0);
	assert_int_equal(disk_bytes(f, "nexus:///v"), MORE);
	nr_stop(f, &nr);
}

/* RS2: what a larger member held beyond the old end is not seen. */
RIG_TEST(what_is_new_reads_as_zeros_on_all)
{
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_break(&nr, 1);
	assert_true(nexus_resize(f, nr.nexus, MORE) < 0); /* p0 has grown */
	fiber_clear(f);
	nexus_close(f, nr.nexus);
	nr_repair(f, &nr, 1);
	struct bdev *bdev = rig_open(f, nr_uris[0]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bio *bio = bio_new(chan);
	uint8_t junk[4096];
	const struct iovec iov = { junk, sizeof(junk) };
	memset(junk, 0x77, sizeof(junk));
	bio_prep(bio, chan, BIO_WRITE, NR_BLOCKS + 8, 8, &iov, 1, NULL);
	bio->token = UINT64_MAX;
	nr_ok(f, bio_wait(f, bio));
	mem_free(bio);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nr_open(f, &nr);
	nr_ok(f, nexus_settle(f, nr.nexus));
	nr_ok(f, nexus_resize(f, nr.nexus, MORE));
	members_hold(f, &nr, 2, NR_BLOCKS, 64, 0);
	nr_stop(f, &nr);
}

RIG_TEST(a_member_that_was_away_grows_before_it_joins)
{
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 3);
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[2]));
	nr_ok(f, nexus_resize(f, nr.nexus, MORE));
	assert_int_equal(disk_bytes(f, nr_uris[2]), NR_SIZE);
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	write_all(f, chan, MORE / 512 - 8, 8, 9);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nr_ok(f, nexus_online_child(f, nr.nexus, nr_uris[2]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.children[2].state, NEXUS_CHILD_IN_SYNC);
	assert_int_equal(disk_bytes(f, nr_uris[2]), MORE);
	members_hold(f, &nr, 3, MORE / 512 - 8, 8, 9);
	nr_stop(f, &nr);
}

/* RESYNC, when a member has more regions than the volume. */
RIG_TEST(a_larger_member_can_be_resynced)
{
	const uint64_t large = UINT64_C(1) << 30; /* 256 regions, the volume has 8: other words */
	struct nexus_info info;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	nr_break(&nr, 1);
	assert_true(nexus_resize(f, nr.nexus, large) < 0);
	fiber_clear(f);
	nexus_abandon(f, nr.nexus);
	nr_repair(f, &nr, 1);
	nr_open(f, &nr);
	nr_ok(f, nexus_settle(f, nr.nexus));
	struct bdev *bdev = rig_open(f, "nexus:///v");
	struct bdev_chan *chan = rig_chan(f, bdev);
	write_all(f, chan, 8, 8, 5);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nexus_abandon(f, nr.nexus);
	nr_open(f, &nr);
	nexus_info(nr.nexus, &info);
	assert_int_equal(info.resync_bytes, NEXUS_REGION_BYTES);
	members_hold(f, &nr, 2, 8, 8, 5);
	nr_stop(f, &nr);
}

/* ---- foreign members: when their disks have grown ----------------------------------------- */

RIG_TEST(a_labelled_disk_grows_when_there_is_more_of_it)
{
	char path[2][200], uri[2][sizeof("file://") + sizeof(path)];
	const char *uris[] = { uri[0], uri[1] };
	struct nexus_create_args args = { .name = "v", .uris = uris, .count = 2 };
	struct nexus_rig nr;
	uint8_t junk[4096], got[4096];

	nr_start(f, rig, &nr, 0);
	for (unsigned i = 0; i < 2; i++) {
		const char *const names[] = { "g0", "g1" };

		rig_file(rig, names[i], 16 << 20);
		rig_path(rig, names[i], path[i], sizeof(path[i]));
		snprintf(uri[i], sizeof(uri[i]), "file://%s", path[i]);
	}
	nr_ok(f, nexus_create(f, nr.table, &args, &nr.volume));
	nr_open(f, &nr);
	nr_ok(f, nexus_settle(f, nr.nexus));
	nr_refused(f, nexus_resize(f, nr.nexus, 30 << 20), -EINVAL,
		   "14680064 bytes, the volume needs 31457280");
	assert_int_equal(record_bytes(f, &nr), 14 << 20);
	/* one of them is not enough, and nothing has changed; the disk had other bytes there */
	assert_int_equal(truncate(path[0], 40 << 20), 0);
	nr_refused(f, nexus_resize(f, nr.nexus, 30 << 20), -EINVAL, uri[1]);
	assert_int_equal(record_bytes(f, &nr), 14 << 20);
	assert_int_equal(truncate(path[1], 40 << 20), 0);
	FILE *file = fopen(path[1], "r+");
	memset(junk, 0x77, sizeof(junk));
	assert_int_equal(fseek(file, 20 << 20, SEEK_SET), 0);
	assert_int_equal(fwrite(junk, 1, sizeof(junk), file), sizeof(junk));
	fclose(file);
	nr_ok(f, nexus_resize(f, nr.nexus, 30 << 20));
	assert_int_equal(record_bytes(f, &nr), 30 << 20);
	for (unsigned i = 0; i < 2; i++) {
		file = fopen(path[i], "r");
		assert_int_equal(fseek(file, 20 << 20, SEEK_SET), 0);
		assert_int_equal(fread(got, 1, sizeof(got), file), sizeof(got));
		fclose(file);
		memset(junk, 0, sizeof(junk));
		assert_memory_equal(got, junk, sizeof(got));
	}
	rig_integrity(f, rig, "nexus:///v", 100, 8);
	nexus_close(f, nr.nexus);
	nr_open(f, &nr);
	nr_stop(f, &nr);
	unlink(path[0]);
	unlink(path[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_then_the_record_then_the_disk),
		cmocka_unit_test(what_cannot_be_its_size_is_refused),
		cmocka_unit_test(after_a_member_that_failed_the_same_call_goes_on),
		cmocka_unit_test(without_the_record_nobody_is_told),
		cmocka_unit_test(what_is_new_reads_as_zeros_on_all),
		cmocka_unit_test(a_member_that_was_away_grows_before_it_joins),
		cmocka_unit_test(a_larger_member_can_be_resynced),
		cmocka_unit_test(a_labelled_disk_grows_when_there_is_more_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
