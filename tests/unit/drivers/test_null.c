// SPDX-License-Identifier: Apache-2.0
/* null - reads zeros, forgets writes. */
#include "rig.h"

RIG_TEST(reads_are_zeros_whatever_was_written)
{
	struct bdev *bdev = rig_open(f, "null:///n?size_mb=8");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[4096], zeros[4096] = {0};

	(void)rig;
	assert_int_equal(bdev->blocks, (8 << 20) / 512);
	assert_int_equal(bdev->block_size, 512);
	assert_false(bdev->volatile_cache);
	rig_fill(buf, sizeof(buf), 1);
	assert_int_equal(bdev_write(f, chan, 8, 8, buf, BIO_FUA), 0);
	assert_int_equal(bdev_read(f, chan, 8, 8, buf), 0);
	assert_memory_equal(buf, zeros, sizeof(buf));
	assert_int_equal(bdev_zeroes(f, chan, 0, bdev->blocks, 0), 0);
	assert_int_equal(bdev_unmap(f, chan, 0, bdev->blocks), 0);
	assert_int_equal(bdev_flush(f, chan), 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(an_exabyte_costs_nothing)
{
	struct bdev *bdev = rig_open(f, "null:///big?size=1048576t&blk_size=4096");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[4096];

	assert_true(bdev->blocks == UINT64_C(1) << 48);
	assert_int_equal(bdev_read(f, chan, bdev->blocks - 1, 1, buf), 0);
	assert_int_equal(bdev_read(f, chan, bdev->blocks, 1, buf), -EINVAL);
	assert_true(rig->heap.bytes < 32u << 20);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(all_of_it_is_a_hole)
{
	struct bdev *bdev = rig_open(f, "null:///?num_blocks=100");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bdev_extent extent[4];
	unsigned count = 0;

	(void)rig;
	assert_int_equal(bdev_status_get(f, chan, 10, 80, extent, 4, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(extent[0].lba, 10);
	assert_int_equal(extent[0].blocks, 80);
	assert_int_equal(extent[0].flags, BDEV_HOLE | BDEV_ZERO);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_are_zeros_whatever_was_written),
		cmocka_unit_test(an_exabyte_costs_nothing),
		cmocka_unit_test(all_of_it_is_a_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
