// SPDX-License-Identifier: Apache-2.0
/* part - a window on a disk. */
#include "rig.h"

RIG_TEST(what_is_written_is_read)
{
	rig_integrity(f, rig, "part:///p?offset_blocks=13&num_blocks=1000&on=malloc:///m?size_mb=1",
		      200, 1);
}

RIG_TEST(nothing_outside_the_window_changes)
{
	struct bdev *below = rig_open(f, "malloc:///m?size_mb=3");
	struct bdev_chan *chan = rig_chan(f, below);
	uint8_t *want = mem_new(fiber_io(f), 3 << 20), *got = mem_new(fiber_io(f), 3 << 20);

	rig_fill(want, 3 << 20, 1);
	assert_int_equal(bdev_write(f, chan, 0, below->blocks, want, 0), 0);
	rig_integrity(f, rig, "part:///p?offset_mb=1&size_mb=1&on=malloc:///m?size_mb=3", 100, 2);
	assert_int_equal(bdev_read(f, chan, 0, below->blocks, got), 0);
	assert_memory_equal(got, want, 1 << 20);
	assert_memory_equal(got + (2 << 20), want + (2 << 20), 1 << 20);
	mem_free(want);
	mem_free(got);
	bdev_chan_close(f, chan);
	bdev_close(f, below);
}

RIG_TEST(its_end_is_the_end)
{
	struct bdev *bdev = rig_open(f, "part:///p?offset_blocks=10&num_blocks=20&"
					"on=malloc:///m?num_blocks=100");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512 * 20];

	(void)rig;
	assert_int_equal(bdev->blocks, 20);
	assert_int_equal(bdev_read(f, chan, 0, 20, buf), 0);
	assert_int_equal(bdev_read(f, chan, 1, 20, buf), -EINVAL);
	assert_int_equal(bdev_zeroes(f, chan, 19, 2, 0), -EINVAL);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(status_is_told_at_shifted_addresses)
{
	struct bdev *bdev = rig_open(f, "part:///p?offset_blocks=64&on=malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bdev_extent e[4];
	uint8_t buf[512] = {1};
	unsigned count = 0;

	(void)rig;
	assert_int_equal(bdev_write(f, chan, 64, 1, buf, 0), 0); /* the second chunk below */
	assert_int_equal(bdev_status_get(f, chan, 0, bdev->blocks, e, 4, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(e[0].lba, 0);
	assert_int_equal(e[0].blocks, 64);
	assert_int_equal(e[0].flags, BDEV_HOLE | BDEV_ZERO);
	assert_int_equal(e[1].lba, 64);
	assert_int_equal(e[1].blocks, 128);
	assert_int_equal(e[1].flags, BDEV_DATA);
	assert_int_equal(e[2].lba + e[2].blocks, bdev->blocks);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(nobody_else_writes_below)
{
	struct bdev *bdev = rig_open(f, "part:///p?on=malloc:///m?size_mb=1"), *below;
	struct bdev_claim claim;

	(void)rig;
	assert_int_equal(bdev_find(f, "malloc:///m", &below), 0);
	assert_int_equal(bdev_claim(f, below, BDEV_CLAIM_READ, "test", &claim), -EBUSY);
	assert_non_null(strstr(fiber_words(f), "part:///p"));
	fiber_clear(f);
	bdev_close(f, bdev);
	assert_int_equal(bdev_claim(f, below, BDEV_CLAIM_WRITE, "test", &claim), 0);
	bdev_unclaim(f, &claim);
	bdev_close(f, below);
}

RIG_TEST(windows_that_do_not_overlap_are_open_together)
{
	struct bdev *a = rig_open(f, "part:///a?num_blocks=1000&on=malloc:///m?size_mb=1");
	struct bdev *b = rig_open(f, "part:///b?offset_blocks=1000&num_blocks=24&on=malloc:///m?size_mb=1");
	struct bdev *c = rig_open(f, "part:///c?offset_blocks=1024&on=malloc:///m?size_mb=1");
	struct bdev *all[] = {a, b, c}, *below;
	uint8_t buf[512], got[3 * 512];
	struct bdev_claim claim;

	(void)rig;
	for (unsigned i = 0; i < 3; i++) {
		struct bdev_chan *chan = rig_chan(f, all[i]);

		memset(buf, (int)i + 1, sizeof(buf));
		assert_int_equal(bdev_write(f, chan, 0, 1, buf, 0), 0);
		bdev_chan_close(f, chan);
	}
	assert_int_equal(bdev_find(f, "malloc:///m", &below), 0);
	struct bdev_chan *chan = rig_chan(f, below);
	assert_int_equal(bdev_read(f, chan, 0, 1, got), 0);
	assert_int_equal(bdev_read(f, chan, 1000, 1, got + 512), 0);
	assert_int_equal(bdev_read(f, chan, 1024, 1, got + 1024), 0);
	assert_int_equal(got[0], 1);
	assert_int_equal(got[512], 2);
	assert_int_equal(got[1024], 3);
	bdev_chan_close(f, chan);
	bdev_close(f, b);
	assert_int_equal(bdev_claim(f, below, BDEV_CLAIM_WRITE, "test", &claim), -EBUSY);
	fiber_clear(f);
	assert_int_equal(bdev_claim_range(f, below, BDEV_CLAIM_WRITE, "test", 1000, 24, &claim), 0);
	bdev_unclaim(f, &claim);
	bdev_close(f, below);
	bdev_close(f, a);
	bdev_close(f, c);
}

RIG_TEST(a_window_that_overlaps_another_is_refused)
{
	struct bdev *a = rig_open(f, "part:///a?offset_blocks=8&num_blocks=8&on=malloc:///m?size_mb=1");
	struct bdev *b = rig_open(f, "part:///b?offset_blocks=100&on=malloc:///m?size_mb=1");

	(void)rig;
	rig_refused(f, "part:///c?offset_blocks=15&num_blocks=2&on=malloc:///m?size_mb=1", -EBUSY,
		    "malloc:///m: blocks 8..15 are claimed for writing by part:///a?");
	rig_refused(f, "part:///c?num_blocks=9&on=malloc:///m?size_mb=1", -EBUSY,
		    "malloc:///m: blocks 8..15 are claimed for writing by part:///a?");
	rig_refused(f, "part:///c?offset_blocks=16&on=malloc:///m?size_mb=1", -EBUSY,
		    "malloc:///m: block 100 to the end is claimed for writing by part:///b?");
	rig_refused(f, "delay:///d?on=malloc:///m?size_mb=1", -EBUSY, "blocks 8..15");
	bdev_close(f, rig_open(f, "part:///c?offset_blocks=16&num_blocks=84&on=malloc:///m?size_mb=1"));
	bdev_close(f, a);
	bdev_close(f, b);
	bdev_close(f, rig_open(f, "delay:///d?on=malloc:///m?size_mb=1")); /* nothing is left */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(nothing_outside_the_window_changes),
		cmocka_unit_test(its_end_is_the_end),
		cmocka_unit_test(status_is_told_at_shifted_addresses),
		cmocka_unit_test(nobody_else_writes_below),
		cmocka_unit_test(windows_that_do_not_overlap_are_open_together),
		cmocka_unit_test(a_window_that_overlaps_another_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
