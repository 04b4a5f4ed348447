// SPDX-License-Identifier: Apache-2.0
/* rate - a disk of a given speed. */
#include "rig.h"

#define MS UINT64_C(1000000)

/* So many reads, `depth` at a time; the time all took. */
static uint64_t rate_run(struct fiber *f, struct bdev *bdev, unsigned count, unsigned depth,
			 uint64_t blocks)
{
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct rig_wait wait = {0};
	struct bio *bios[64];
	struct iovec iov = {mem_new(fiber_io(f), blocks * bdev->block_size),
			    blocks * bdev->block_size};
	uint64_t start = io_now(fiber_io(f)), took;

	for (unsigned i = 0; i < depth; i++)
		bios[i] = rig_bio_new(&wait, bdev);
	for (unsigned done = 0; done < count; done += depth) {
		for (unsigned i = 0; i < depth; i++) {
			bio_prep(bios[i], chan, BIO_READ, 0, blocks, &iov, 1, rig_bio_done);
			rig_bio_submit(bios[i]);
		}
		rig_bios_wait(f, &wait);
		for (unsigned i = 0; i < depth; i++)
			assert_int_equal(bios[i]->status, 0);
	}
	took = io_now(fiber_io(f)) - start;
	for (unsigned i = 0; i < depth; i++)
		rig_bio_free(bios[i]);
	mem_free(iov.iov_base);
	bdev_chan_close(f, chan);
	return took;
}

RIG_TEST(what_is_written_is_read)
{
	rig_integrity(f, rig, "rate:///r?iops=1000000&mb_s=10000&on=malloc:///m?size_mb=1", 100, 1);
}

RIG_TEST(iops_are_kept_at_any_depth)
{
	struct bdev *bdev = rig_open(f, "rate:///r?iops=2000&on=null:///n?size_mb=8");
	uint64_t deep = rate_run(f, bdev, 320, 64, 1), shallow = rate_run(f, bdev, 100, 1, 1);

	(void)rig;
	/* 160 ms and 50 ms; late timers make it longer, nothing makes it shorter. */
	assert_in_range(deep, 159 * MS, 3000 * MS);
	assert_in_range(shallow, 50 * MS, 3000 * MS);
	bdev_close(f, bdev);
}

RIG_TEST(bandwidth_is_kept)
{
	struct bdev *bdev = rig_open(f, "rate:///r?mb_s=100&iops=100000&on=null:///n?size_mb=8");
	uint64_t took = rate_run(f, bdev, 16, 4, (1 << 20) / 512);

	(void)rig;
	assert_in_range(took, 159 * MS, 3000 * MS);
	bdev_close(f, bdev);
}

RIG_TEST(latency_limits_a_shallow_queue_only)
{
	struct bdev *bdev = rig_open(f, "rate:///r?iops=100000&latency_ns=5000000&"
					"on=null:///n?size_mb=8");
	uint64_t shallow = rate_run(f, bdev, 10, 1, 1), deep = rate_run(f, bdev, 640, 64, 1);

	(void)rig;
	assert_in_range(shallow, 50 * MS, 3000 * MS);
	assert_in_range(deep, 50 * MS, 3000 * MS); /* one after the other: 3200 */
	bdev_close(f, bdev);
}

RIG_TEST(idle_time_is_not_saved_up)
{
	struct bdev *bdev = rig_open(f, "rate:///r?iops=1000&on=null:///n?size_mb=8");

	(void)rig;
	assert_int_equal(fiber_sleep(f, 50 * MS), 0);
	assert_true(rate_run(f, bdev, 40, 40, 1) >= 40 * MS);
	bdev_close(f, bdev);
}

static int rate_peer(struct fiber *f, void *arg)
{
	rate_run(f, arg, 128, 64, 1);
	return 0;
}

static void rate_reactors_body(struct fiber *f, struct rig *rig)
{
	struct bdev *bdev = rig_open(f, "rate:///r?iops=2000&on=null:///n?size_mb=8");
	uint64_t start = io_now(fiber_io(f));
	struct fiber *here;

	(void)rig;
	assert_int_equal(fiber_start(fiber_reactor(f), "here", rate_peer, bdev, &here), 0);
	assert_int_equal(fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "there", rate_peer,
				       bdev), 0);
	assert_int_equal(fiber_join(f, here), 0);
	assert_true(io_now(fiber_io(f)) - start >= 128 * MS); /* 256 at 2000 a second */
	bdev_close(f, bdev);
}

static void the_rate_is_the_disks_not_the_reactors(void **state)
{
	(void)state;
	rig_run(2, rate_reactors_body, NULL);
}

RIG_TEST(reset_ends_what_waits)
{
	struct bdev *bdev = rig_open(f, "rate:///r?iops=9&latency_ns=10000000000&on=null:///n?size_mb=8");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct rig_wait wait = {0};
	struct bio *flush = rig_bio_new(&wait, bdev), *reset = rig_bio_new(&wait, bdev);
	uint64_t start = io_now(fiber_io(f));

	(void)rig;
	bio_prep(flush, chan, BIO_ZEROES, 0, 1, NULL, 0, rig_bio_done);
	bio_prep(reset, chan, BIO_RESET, 0, 0, NULL, 0, rig_bio_done);
	rig_bio_submit(flush);
	rig_bio_submit(reset);
	rig_bios_wait(f, &wait);
	assert_true(io_now(fiber_io(f)) - start < 5000 * MS);
	assert_int_equal(reset->status, 0);
	rig_bio_free(flush);
	rig_bio_free(reset);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(iops_are_kept_at_any_depth),
		cmocka_unit_test(bandwidth_is_kept),
		cmocka_unit_test(latency_limits_a_shallow_queue_only),
		cmocka_unit_test(idle_time_is_not_saved_up),
		cmocka_unit_test(the_rate_is_the_disks_not_the_reactors),
		cmocka_unit_test(reset_ends_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
