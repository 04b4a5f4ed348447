// SPDX-License-Identifier: Apache-2.0
/* Disks on disks: what is written at the top is read at the top, whatever is between. */
#include "rig.h"

/* %s: the directory with the files "a" (1 MiB) and "b" (300 KiB). */
static const char *const stack_uris[] = {
	"part:///p?offset_blocks=3&on=part:///q?offset_blocks=5&num_blocks=999&on=malloc:///m?size_mb=1",
	"delay:///d?ns=500&jitter_ns=5000&on=rate:///r?iops=2000000&on=fault:///f?on=file://%1$s/a",
	("concat:///c?on=part%%3A///p?num_blocks=77%%26on=file://%1$s/b&on=malloc%%3A///m?num_blocks=13&"
	 "on=delay:///d?ns=3000&on=file://%1$s/a"),
	("part:///p?offset_blocks=1&num_blocks=190&on=concat:///c?on=malloc%%3A///m0?num_blocks=64&"
	 "on=malloc%%3A///m1?num_blocks=64&on=malloc:///m2?num_blocks=64"),
	("fault:///f?on=delay:///d?jitter_ns=2000&on=concat:///c?on=malloc%%3A///a?size=64k%%26blk_size=4096&"
	 "on=malloc:///b?size=256k&blk_size=4096"),
	("fault:///1?on=fault:///2?on=fault:///3?on=fault:///4?on=fault:///5?on=fault:///6?on=fault:///7?"
	 "on=malloc:///m?size=64k"),
};

RIG_TEST(what_is_written_is_read)
{
	rig_file(rig, "a", 1 << 20);
	rig_file(rig, "b", 300 << 10);
	for (unsigned i = 0; i < ARRAY_LEN(stack_uris); i++) {
		char uri[1024];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(uri, sizeof(uri), stack_uris[i], rig->dir);
#pragma GCC diagnostic pop
		rig_integrity(f, rig, uri, 100, 10 + i);
	}
}

RIG_TEST(compare_goes_down_and_tells_where)
{
	struct bdev *bdev = rig_open(f, "part:///p?offset_blocks=8&on=concat:///c?"
					"on=malloc%3A///m0?num_blocks=10&on=malloc:///m1?num_blocks=90");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bio *bio = bio_new(chan);
	uint8_t buf[8 * 512];
	struct iovec iov = {buf, sizeof(buf)};

	(void)rig;
	rig_fill(buf, sizeof(buf), 1);
	assert_int_equal(bdev_write(f, chan, 0, 8, buf, 0), 0);
	bio_prep(bio, chan, BIO_COMPARE, 0, 8, &iov, 1, NULL);
	assert_int_equal(bio_wait(f, bio), 0);
	buf[5 * 512 + 7] ^= 1;
	bio_prep(bio, chan, BIO_COMPARE, 0, 8, &iov, 1, NULL);
	assert_int_equal(bio_wait(f, bio), -EILSEQ);
	assert_int_equal(bio->miscompare_bytes, 5 * 512 + 7);
	fiber_clear(f);
	mem_free(bio);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(the_token_reaches_the_bottom)
{
	/* Nothing below has a fence yet: it is enough that a token does no harm on the way. */
	struct bdev *bdev = rig_open(f, "part:///p?on=delay:///d?on=rate:///r?iops=100000&"
					"on=fault:///f?on=concat:///c?on=malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bio *bio = bio_new(chan);
	uint8_t buf[512] = {0};
	struct iovec iov = {buf, sizeof(buf)};

	(void)rig;
	bio_prep(bio, chan, BIO_READ, 0, 1, &iov, 1, NULL);
	bio->token = UINT64_MAX;
	assert_int_equal(bio_wait(f, bio), 0);
	mem_free(bio);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(compare_goes_down_and_tells_where),
		cmocka_unit_test(the_token_reaches_the_bottom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
