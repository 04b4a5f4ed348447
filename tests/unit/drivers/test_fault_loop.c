// SPDX-License-Identifier: Apache-2.0
/*
 * Every nth allocation and every nth I/O fails, in open, submit and close of each driver:
 * a clean error or success, and nothing left (rig_run() looks).
 */
#include <stdlib.h>
#include <unistd.h>

#include "rig.h"

#define LOOP_MAX 3000

/* %s: the directory with the file "a". */
static const char *const loop_uris[] = {
	"null:///n?size_mb=1",
	"malloc:///m?size_mb=1",
	"file://%s/a",
	"file://%s/a?fua=flush&direct=off",
	"file://%s/new?size=64k",
	"delay:///d?ns=1000&jitter_ns=10&on=file://%s/a",
	"rate:///r?iops=1000000&mb_s=1000&on=file://%s/a",
	"fault:///f?rule=corrupt,nth:1000&rule=hang,nth:1000&on=file://%s/a",
	"part:///p?offset_blocks=8&num_blocks=512&on=file://%s/a",
	"concat:///c?on=malloc%%3A///m0?num_blocks=5&on=null%%3A///n0?num_blocks=3&on=file://%s/a",
	("part:///p?offset_blocks=1&on=concat:///c?on=malloc%%3A///m0?num_blocks=5&"
	 "on=delay:///d?on=rate:///r?iops=1000000&on=fault:///f?on=file://%s/a"),
};

struct loop {
	const char *uri;
	int failed;		/* the first error */
	struct bdev *bdev;
};

static void loop_note(struct fiber *f, struct loop *loop, int r)
{
	if (r < 0 && loop->failed == 0)
		loop->failed = r;
	fiber_clear(f);
}

static int loop_use(struct fiber *f, void *arg)
{
	struct loop *loop = arg;
	struct bdev_chan *chan;
	struct bdev_extent extent[3];
	uint8_t buf[16 * 512] = {0};
	unsigned count;
	int r = bdev_chan_open(f, loop->bdev, &chan);

	if (r < 0) {
		loop_note(f, loop, r);
		return 0;
	}
	loop_note(f, loop, bdev_write(f, chan, 0, 16, buf, 0));
	loop_note(f, loop, bdev_write(f, chan, 3, 1, buf + 1, BIO_FUA));
	loop_note(f, loop, bdev_read(f, chan, 0, 16, buf));
	loop_note(f, loop, bdev_zeroes(f, chan, 2, 9, BIO_FUA));
	if (loop->bdev->can_unmap)
		loop_note(f, loop, bdev_unmap(f, chan, 0, 16));
	loop_note(f, loop, bdev_flush(f, chan));
	loop_note(f, loop, bdev_status_get(f, chan, 0, 16, extent, 3, &count));
	bdev_chan_close(f, chan);
	return 0;
}

static int loop_pass(struct fiber *f, struct rig *rig, struct loop *loop)
{
	int r;

	loop->failed = 0;
	r = bdev_open(f, loop->uri, &loop->bdev);
	if (r < 0) {
		fiber_clear(f);
		return r;
	}
	loop_use(f, loop);
	if (rig->reactors > 1)
		loop_note(f, loop, fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "peer",
						 loop_use, loop));
	loop_note(f, loop, bdev_rescan(f, loop->bdev));
	bdev_close(f, loop->bdev);
	return loop->failed;
}

static bool loop_is_clean(int r)
{
	return r == 0 || r == -ENOMEM || r == -ENOSPC || r == -EIO || r == -EAGAIN || r == -ENODEV;
}

static void loop_allocations(struct fiber *f, struct rig *rig, struct loop *loop)
{
	for (uint64_t n = 1; n < LOOP_MAX; n++) {
		uint64_t failures = rig->heap.failures;
		int r;

		rig->heap.fail_at = rig->heap.allocs + n;
		r = loop_pass(f, rig, loop);
		rig->heap.fail_at = 0;
		if (!loop_is_clean(r))
			fail_msg("%s: allocation %" PRIu64 " fails: %s", loop->uri, n, err_name(r));
		if (rig->heap.failures == failures) {
			assert_int_equal(r, 0);
			return;
		}
	}
	fail_msg("%s never gets through", loop->uri);
}

static void loop_ios(struct fiber *f, struct rig *rig, struct loop *loop, unsigned reactor)
{
	struct fail_io *fail = &rig->fail[reactor];

	fail->status = -EIO;
	for (uint64_t n = 1; n < LOOP_MAX; n++) {
		uint64_t failed = fail->failed;
		int r;

		fail->fail_at = fail->count + n;
		r = loop_pass(f, rig, loop);
		fail->fail_at = 0;
		if (fail->failed == failed) {
			assert_int_equal(r, 0);
			return;
		}
		if (r != -EIO)
			fail_msg("%s: I/O %" PRIu64 " of reactor %u fails: %s", loop->uri, n, reactor,
				 err_name(r));
	}
	fail_msg("%s never gets through", loop->uri);
}

static int loop_count(void *ctx, struct bdev *bdev)
{
	(void)bdev;
	++*(unsigned *)ctx;
	return 0;
}

static void loop_body(struct fiber *f, struct rig *rig)
{
	rig_file(rig, "a", 1 << 20);
	for (unsigned i = 0; i < ARRAY_LEN(loop_uris); i++) {
		unsigned count = 0;
		char uri[1024];
		struct loop loop = {.uri = uri};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(uri, sizeof(uri), loop_uris[i], rig->dir);
#pragma GCC diagnostic pop
		assert_int_equal(loop_pass(f, rig, &loop), 0);
		loop_allocations(f, rig, &loop);
		for (unsigned r = 0; r < rig->reactors; r++)
			loop_ios(f, rig, &loop, r);
		assert_int_equal(bdev_each(f, loop_count, &count), 0);
		assert_int_equal(count, 0); /* nothing is open */
	}
}

static void every_failure_is_clean_on_one_reactor(void **state)
{
	(void)state;
	rig_run(1, loop_body, NULL);
}

static void every_failure_is_clean_on_two_reactors(void **state)
{
	(void)state;
	rig_run(2, loop_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_is_clean_on_one_reactor),
		cmocka_unit_test(every_failure_is_clean_on_two_reactors),
	};

	/* Thousands of flushes: in memory where there is such a place. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
