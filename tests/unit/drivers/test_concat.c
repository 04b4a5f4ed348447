// SPDX-License-Identifier: Apache-2.0
/* concat - several disks as one, end to end. */
#include "drivers/concat.h"
#include "drivers/fault.h"
#include "rig.h"

RIG_TEST(what_is_written_is_read)
{
	rig_integrity(f, rig, "concat:///c?on=malloc%3A///m0?size_mb=1&on=malloc:///m1?size_mb=1",
		      200, 1);
}

RIG_TEST(members_of_a_few_blocks_make_many_seams)
{
	rig_integrity(f, rig, "concat:///c?on=malloc%3A///m0?num_blocks=1&"
			      "on=malloc%3A///m1?num_blocks=7&on=malloc%3A///m2?num_blocks=2&"
			      "on=delay%3A///d?ns=1000%26on=malloc%3A///m3?num_blocks=31&"
			      "on=malloc%3A///m4?num_blocks=3&on=malloc:///m5?num_blocks=90",
		      400, 2);
}

RIG_TEST(members_stand_in_order)
{
	struct bdev *bdev = rig_open(f, "concat:///c?on=malloc%3A///m0?num_blocks=10&"
					"on=malloc:///m1?num_blocks=5");
	struct bdev_chan *chan = rig_chan(f, bdev), *chan1;
	struct bdev *m1;
	uint8_t buf[512], back[512];

	(void)rig;
	assert_int_equal(bdev->blocks, 15);
	rig_fill(buf, sizeof(buf), 1);
	assert_int_equal(bdev_write(f, chan, 12, 1, buf, 0), 0);
	assert_int_equal(bdev_find(f, "malloc:///m1", &m1), 0);
	chan1 = rig_chan(f, m1);
	assert_int_equal(bdev_read(f, chan1, 2, 1, back), 0);
	assert_memory_equal(buf, back, 512);
	bdev_chan_close(f, chan1);
	bdev_close(f, m1);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(flush_reaches_every_member_and_tells_the_first_failure)
{
	struct bdev *bdev = rig_open(f, "concat:///c?on=fault%3A///f0?on=null%3A///n0?size_mb=1&"
					"on=fault%3A///f1?rule=flush,nth:2%26on=null%3A///n1?size_mb=1&"
					"on=fault:///f2?rule=flush,count:1,nth:3,status:ENODATA&"
					"on=null:///n2?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);

	(void)rig;
	assert_int_equal(bdev_flush(f, chan), 0);
	assert_int_equal(bdev_flush(f, chan), -EIO);
	assert_int_equal(bdev_flush(f, chan), -ENODATA);
	assert_int_equal(bdev_flush(f, chan), 0);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(flushes_that_come_together_share_rounds)
{
	struct bdev *bdev = rig_open(f, "concat:///c?on=null%3A///n0?size_mb=1&"
					"on=delay:///d?ns=2000000&on=null:///n1?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct rig_wait wait = {0};
	struct bio *bios[20];
	struct bdev_stats stats;
	struct bdev *below;

	(void)rig;
	for (unsigned i = 0; i < 20; i++) {
		bios[i] = rig_bio_new(&wait, bdev);
		bio_prep(bios[i], chan, BIO_FLUSH, 0, 0, NULL, 0, rig_bio_done);
		rig_bio_submit(bios[i]);
	}
	rig_bios_wait(f, &wait);
	assert_int_equal(bdev_find(f, "null:///n1", &below), 0);
	assert_int_equal(bdev_stats_get(f, below, &stats, NULL), 0);
	assert_int_equal(stats.op[BIO_FLUSH].ops, 2); /* not twenty */
	bdev_close(f, below);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(bios[i]->status, 0);
		rig_bio_free(bios[i]);
	}
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(reset_passes_a_flush_that_hangs)
{
	struct bdev *bdev = rig_open(f, "concat:///c?on=null%3A///n0?size_mb=1&"
					"on=fault:///f?rule=flush,hang&on=null:///n1?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct rig_wait wait = {0};
	struct bio *flush = rig_bio_new(&wait, bdev), *reset = rig_bio_new(&wait, bdev);

	(void)rig;
	bio_prep(flush, chan, BIO_FLUSH, 0, 0, NULL, 0, rig_bio_done);
	bio_prep(reset, chan, BIO_RESET, 0, 0, NULL, 0, rig_bio_done);
	rig_bio_submit(flush);
	rig_bio_submit(reset);
	rig_bios_wait(f, &wait);
	assert_int_equal(flush->status, -ECANCELED);
	assert_int_equal(reset->status, 0);
	rig_bio_free(flush);
	rig_bio_free(reset);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(status_goes_across_seams)
{
	struct bdev *bdev = rig_open(f, "concat:///c?on=malloc%3A///m0?num_blocks=256&"
					"on=malloc:///m1?num_blocks=256");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bdev_extent e[4];
	uint8_t buf[1024] = {1};
	unsigned count = 0;

	(void)rig;
	assert_int_equal(bdev_write(f, chan, 255, 2, buf, 0), 0);
	assert_int_equal(bdev_status_get(f, chan, 0, 512, e, 4, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(e[1].lba, 128);
	assert_int_equal(e[1].blocks, 256);
	assert_int_equal(e[1].flags, BDEV_DATA);
	assert_int_equal(e[2].lba, 384);
	assert_int_equal(bdev_status_get(f, chan, 200, 312, e, 1, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(e[0].lba, 200);
	assert_in_range(e[0].blocks, 56, 184);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void concat_uri(char *text, size_t size, unsigned members)
{
	size_t len = (size_t)snprintf(text, size, "concat:///c?");

	for (unsigned i = 0; i < members; i++)
		len += (size_t)snprintf(text + len, size - len, "%son=malloc%s///m%u?num_blocks=9",
					i ? "&" : "", i + 1 < members ? "%3A" : ":", i);
}

RIG_TEST(sixty_four_members_and_no_more)
{
	char uri[4096];

	concat_uri(uri, sizeof(uri), CONCAT_MEMBERS_MAX);
	rig_integrity(f, rig, uri, 100, 3);
	concat_uri(uri, sizeof(uri), CONCAT_MEMBERS_MAX + 1);
	rig_refused(f, uri, -EINVAL, "65 parameters 'on', expected 1..64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(members_of_a_few_blocks_make_many_seams),
		cmocka_unit_test(members_stand_in_order),
		cmocka_unit_test(flush_reaches_every_member_and_tells_the_first_failure),
		cmocka_unit_test(flushes_that_come_together_share_rounds),
		cmocka_unit_test(reset_passes_a_flush_that_hangs),
		cmocka_unit_test(status_goes_across_seams),
		cmocka_unit_test(sixty_four_members_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
