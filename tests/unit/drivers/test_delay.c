// SPDX-License-Identifier: Apache-2.0
/* delay - holds every request for a while. */
#include "rig.h"

#define MS UINT64_C(1000000)

RIG_TEST(what_is_written_is_read)
{
	rig_integrity(f, rig, "delay:///d?ns=1000&jitter_ns=20000&on=malloc:///m?size_mb=1", 100, 1);
}

RIG_TEST(requests_are_held_side_by_side)
{
	struct bdev *bdev = rig_open(f, "delay:///d?ns=100000000&on=null:///n?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint64_t start = io_now(fiber_io(f)), took;
	struct rig_wait wait = {0};
	struct bio *bios[50];

	(void)rig;
	for (unsigned i = 0; i < ARRAY_LEN(bios); i++) {
		bios[i] = rig_bio_new(&wait, bdev);
		bio_prep(bios[i], chan, BIO_ZEROES, i, 1, NULL, 0, rig_bio_done);
		rig_bio_submit(bios[i]);
	}
	rig_bios_wait(f, &wait);
	took = io_now(fiber_io(f)) - start;
	assert_in_range(took, 100 * MS, 2500 * MS); /* one after the other: 5000 */
	for (unsigned i = 0; i < ARRAY_LEN(bios); i++) {
		assert_int_equal(bios[i]->status, 0);
		rig_bio_free(bios[i]);
	}
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(reset_ends_what_is_held)
{
	struct bdev *bdev = rig_open(f, "delay:///d?ns=60000000000&on=null:///n?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct rig_wait wait = {0};
	struct bio *read = rig_bio_new(&wait, bdev), *reset = rig_bio_new(&wait, bdev);
	uint8_t buf[512];
	struct iovec iov = {buf, sizeof(buf)};

	(void)rig;
	bio_prep(read, chan, BIO_READ, 0, 1, &iov, 1, rig_bio_done);
	bio_prep(reset, chan, BIO_RESET, 0, 0, NULL, 0, rig_bio_done);
	rig_bio_submit(read);
	rig_bio_submit(reset);
	rig_bios_wait(f, &wait);
	assert_int_equal(read->status, -ECANCELED);
	assert_int_equal(reset->status, 0);
	rig_bio_free(read);
	rig_bio_free(reset);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(it_looks_like_the_disk_below)
{
	struct bdev *bdev = rig_open(f, "delay:///?on=malloc:///m?num_blocks=100&blk_size=4096");

	(void)rig;
	assert_int_equal(bdev->blocks, 100);
	assert_int_equal(bdev->block_size, 4096);
	assert_true(bdev->can_unmap && bdev->unmap_zeroes && bdev->can_zeroes);
	assert_false(bdev->volatile_cache || bdev->read_only);
	bdev_close(f, bdev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(requests_are_held_side_by_side),
		cmocka_unit_test(reset_ends_what_is_held),
		cmocka_unit_test(it_looks_like_the_disk_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
