// SPDX-License-Identifier: Apache-2.0
/* fault - fails, corrupts or hangs requests by rules. */
#include "drivers/fault.h"
#include "rig.h"

static int fault_write(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks)
{
	uint8_t buf[8192] = {0};
	int r = bdev_write(f, chan, lba, blocks, buf, 0);

	fiber_clear(f);
	return r;
}

static int fault_read(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks)
{
	uint8_t buf[8192];
	int r = bdev_read(f, chan, lba, blocks, buf);

	fiber_clear(f);
	return r;
}

RIG_TEST(without_rules_it_is_the_disk_below)
{
	rig_integrity(f, rig, "fault:///f?on=malloc:///m?size_mb=1", 100, 1);
}

RIG_TEST(only_the_op_and_the_blocks_named_fail)
{
	struct bdev *bdev = rig_open(f, "fault:///f?rule=write,lba:10-19,status:ENOSPC&rule=flush&"
					"on=malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);

	(void)rig;
	assert_int_equal(fault_write(f, chan, 9, 1), 0);
	assert_int_equal(fault_write(f, chan, 9, 2), -ENOSPC);
	assert_int_equal(fault_write(f, chan, 19, 1), -ENOSPC);
	assert_int_equal(fault_write(f, chan, 20, 1), 0);
	assert_int_equal(fault_read(f, chan, 10, 10), 0);
	assert_int_equal(bdev_flush(f, chan), -EIO);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(nth_every_and_count_count)
{
	struct bdev *bdev = rig_open(f, "fault:///f?rule=read,nth:2&"
					"rule=read,every:2,count:2,status:ENODATA&"
					"on=malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint64_t fired[FAULT_RULES_MAX];

	(void)rig;
	/* The second rule sees what the first let pass: reads 1, 3, 4, 5, 6 ... */
	assert_int_equal(fault_read(f, chan, 0, 1), 0);
	assert_int_equal(fault_read(f, chan, 0, 1), -EIO);
	assert_int_equal(fault_read(f, chan, 0, 1), -ENODATA);
	assert_int_equal(fault_read(f, chan, 0, 1), 0);
	assert_int_equal(fault_read(f, chan, 0, 1), -ENODATA);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(fault_read(f, chan, 0, 1), 0);
	assert_int_equal(fault_get_fired(f, bdev, fired), 0);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 2);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(chance_follows_from_the_seed)
{
	uint64_t marks[2] = {0};
	unsigned hits = 0;

	(void)rig;
	for (unsigned run = 0; run < 2; run++) {
		struct bdev *bdev = rig_open(f, "fault:///f?seed=7&rule=read,ppm:300000&"
						"on=malloc:///m?size_mb=1");
		struct bdev_chan *chan = rig_chan(f, bdev);

		for (unsigned i = 0; i < 64; i++)
			marks[run] |= (uint64_t)(fault_read(f, chan, 0, 1) < 0) << i;
		bdev_chan_close(f, chan);
		bdev_close(f, bdev);
	}
	assert_true(marks[0] == marks[1]);
	hits = (unsigned)__builtin_popcountll(marks[0]);
	assert_in_range(hits, 5, 40);
}

RIG_TEST(corruption_flips_bits_of_the_blocks_named)
{
	struct bdev *bdev = rig_open(f, "fault:///f?rule=corrupt:3,lba:5&on=malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t want[16 * 512], got[16 * 512];
	unsigned flipped = 0;

	(void)rig;
	rig_fill(want, sizeof(want), 3);
	assert_int_equal(bdev_write(f, chan, 0, 16, want, 0), 0);
	assert_int_equal(bdev_read(f, chan, 0, 16, got), 0);
	for (unsigned i = 0; i < sizeof(got); i++) {
		flipped += (unsigned)__builtin_popcount(want[i] ^ got[i]);
		if (i / 512 != 5)
			assert_int_equal(want[i], got[i]);
	}
	assert_true(flipped == 1 || flipped == 3); /* a bit may be flipped back */
	assert_int_equal(bdev_read(f, chan, 6, 10, got), 0);
	assert_memory_equal(got, want + 6 * 512, 10 * 512);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(what_hangs_goes_on_when_the_rules_change)
{
	struct bdev *bdev = rig_open(f, "fault:///f?rule=write,hang&on=malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct rig_wait wait = {0};
	struct bio *bio = rig_bio_new(&wait, bdev);
	uint8_t buf[512], back[512];
	struct iovec iov = {buf, sizeof(buf)};

	(void)rig;
	rig_fill(buf, sizeof(buf), 9);
	bio_prep(bio, chan, BIO_WRITE, 3, 1, &iov, 1, rig_bio_done);
	rig_bio_submit(bio);
	assert_int_equal(fiber_sleep(f, 5000000), 0);
	assert_int_equal(wait.pending, 1);
	assert_int_equal(fault_set_rules(f, bdev, NULL, 0), 0);
	rig_bios_wait(f, &wait);
	assert_int_equal(bio->status, 0);
	assert_int_equal(bdev_read(f, chan, 3, 1, back), 0);
	assert_memory_equal(buf, back, 512);
	rig_bio_free(bio);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(reset_ends_what_hangs)
{
	struct bdev *bdev = rig_open(f, "fault:///f?rule=hang&on=malloc:///m?size_mb=1");
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

static int fault_peer(struct fiber *f, void *arg)
{
	struct bdev_chan *chan = rig_chan(f, arg);
	struct fault_rule rule;

	assert_int_equal(fault_read(f, chan, 0, 1), 0);
	assert_int_equal(fault_rule_parse("read,status:ETIMEDOUT", &rule, fiber_err(f)), 0);
	assert_int_equal(fault_set_rules(f, arg, &rule, 1), 0);
	assert_int_equal(fault_read(f, chan, 0, 1), -ETIMEDOUT);
	bdev_chan_close(f, chan);
	return 0;
}

static void fault_reactors_body(struct fiber *f, struct rig *rig)
{
	struct bdev *bdev = rig_open(f, "fault:///f?on=malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint64_t fired[FAULT_RULES_MAX];

	(void)rig;
	assert_int_equal(fault_read(f, chan, 0, 1), 0);
	assert_int_equal(fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "peer", fault_peer,
				       bdev), 0);
	assert_int_equal(fault_read(f, chan, 0, 1), -ETIMEDOUT);
	assert_int_equal(fault_get_fired(f, bdev, fired), 0);
	assert_int_equal(fired[0], 1); /* the other channel is closed */
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void rules_change_on_all_reactors(void **state)
{
	(void)state;
	rig_run(2, fault_reactors_body, NULL);
}

static void rules_are_read_or_refused(void **state)
{
	static const char *const bad[] = {
		"", "wirte", "read,nth", "read,nth:0", "read,nth:x", "lba:5-4", "lba:", "ppm:0",
		"ppm:1000001", "status:EFOO", "status:", "corrupt,write", "corrupt:0",
		"corrupt:5000", "hang:1", "reset", "nth:18446744073709551616", "nth:-1", "nth: 1",
	};
	struct fault_rule rule;
	struct err err;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		err = (struct err){0};
		if (fault_rule_parse(bad[i], &rule, &err) != -EINVAL || !strstr(err.words, "rule"))
			fail_msg("'%s' is taken: %s", bad[i], err_words(&err));
	}
	assert_int_equal(fault_rule_parse("write,read,lba:7-9,every:3,status:ENOSPC", &rule, &err), 0);
	assert_int_equal(rule.ops, 1 << BIO_READ | 1 << BIO_WRITE);
	assert_int_equal(rule.first, 7);
	assert_int_equal(rule.last, 9);
	assert_int_equal(rule.every, 3);
	assert_int_equal(rule.status, -ENOSPC);
}

RIG_TEST(sixteen_rules_and_no_more)
{
	struct bdev *bdev = rig_open(f, "fault:///f?on=null:///n?size_mb=1"), *null;
	struct fault_rule rules[FAULT_RULES_MAX + 1];
	char uri[1024] = "fault:///g?";

	(void)rig;
	for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
		assert_int_equal(fault_rule_parse("read,nth:9", &rules[i], fiber_err(f)), 0);
		strcat(uri, "rule=read&");
	}
	assert_int_equal(fault_set_rules(f, bdev, rules, FAULT_RULES_MAX), 0);
	assert_int_equal(fault_set_rules(f, bdev, rules, FAULT_RULES_MAX + 1), -EINVAL);
	fiber_clear(f);
	assert_int_equal(bdev_find(f, "null:///n", &null), 0);
	assert_int_equal(fault_set_rules(f, null, rules, 1), -EINVAL);
	assert_non_null(strstr(fiber_words(f), "is not a fault disk"));
	fiber_clear(f);
	bdev_close(f, null);
	bdev_close(f, bdev);
	strcat(uri, "on=null:///n?size_mb=1");
	rig_refused(f, uri, -EINVAL, "more than 16 parameters 'rule'");
}

RIG_TEST(a_rescan_goes_through)
{
	struct bdev *bdev = rig_open(f, "fault:///f?on=delay:///d?on=rate:///r?iops=9&"
					"on=part:///p?on=null:///n?size_mb=1");

	(void)rig;
	assert_int_equal(bdev_rescan(f, bdev), 0);
	assert_int_equal(bdev->blocks, 2048);
	bdev_close(f, bdev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_it_is_the_disk_below),
		cmocka_unit_test(only_the_op_and_the_blocks_named_fail),
		cmocka_unit_test(nth_every_and_count_count),
		cmocka_unit_test(chance_follows_from_the_seed),
		cmocka_unit_test(corruption_flips_bits_of_the_blocks_named),
		cmocka_unit_test(what_hangs_goes_on_when_the_rules_change),
		cmocka_unit_test(reset_ends_what_hangs),
		cmocka_unit_test(rules_change_on_all_reactors),
		cmocka_unit_test(rules_are_read_or_refused),
		cmocka_unit_test(sixteen_rules_and_no_more),
		cmocka_unit_test(a_rescan_goes_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
