// SPDX-License-Identifier: Apache-2.0
/*
 * What a pool tells: watermarks, each way once, and faults.
 */
#include "unit/unit.h"

#include "drivers/fault.h"
#include "control_rig.h"

/* ---- watermarks ------------------------------------------------------------------------------ */

struct told {
	enum pool_event events[16];
	unsigned count;
};

static void on_event(void *ctx, struct pool *pool, enum pool_event event)
{
	struct told *told = ctx;

	(void)pool;
	assert_true(told->count < ARRAY_LEN(told->events));
	told->events[told->count++] = event;
}

/* Write cluster after cluster from *lba on until `want` events were told or space is out. */
static void fill_until(struct fiber *f, struct ctl *c, struct told *told, unsigned want,
		       uint64_t *lba)
{
	while (told->count < want && ctl_bio(f, c, BIO_WRITE, *lba, 0) == 0) {
		*lba += 128;
		if (*lba % (128 * 16) == 0)
			pool_ok(f, pool_sync(f, c->pr.pool));
	}
}

static void free_down(struct fiber *f, struct ctl *c, uint64_t from, uint64_t to)
{
	for (uint64_t lba = from; lba < to; lba += 128)
		pool_ok(f, bdev_unmap(f, c->chan, lba, 128));
	pool_ok(f, pool_reap_wait(f, c->pr.pool));
}

RIG_TEST(watermarks_are_told_once_each_way)
{
	struct told told = { 0 };
	uint64_t lba = 0, at80, full;
	struct ctl c;

	ctl_start_on(f, rig, &c, "malloc:///w?size_mb=64");
	pool_on_event(c.pr.pool, on_event, &told);
	assert_int_equal(told.count, 0);
	fill_until(f, &c, &told, 1, &lba);
	assert_int_equal(told.events[0], POOL_EVENT_WATERMARK_80);
	at80 = lba;
	/* hovering about the mark tells nothing */
	for (unsigned i = 0; i < 4; i++) {
		free_down(f, &c, 0, 128);
		assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, 0), 0);
		pool_ok(f, pool_sync(f, c.pr.pool));
	}
	assert_int_equal(told.count, 1);
	fill_until(f, &c, &told, 2, &lba);
	assert_int_equal(told.events[1], POOL_EVENT_WATERMARK_90);
	assert_in_range(lba * 80, at80 * 88, at80 * 92); /* 90 of 80 */
	fill_until(f, &c, &told, UINT32_MAX, &lba);
	assert_int_equal(told.count, 3);
	assert_int_equal(told.events[2], POOL_EVENT_FULL);
	full = lba;
	for (unsigned i = 0; i < 5; i++) /* once */
		assert_int_equal(ctl_bio(f, &c, BIO_WRITE, full + 128 * i, 0), -ENOSPC);
	assert_int_equal(told.count, 3);
	free_down(f, &c, 0, lba);
	assert_true(told.count >= 4);
	assert_int_equal(told.events[told.count - 1], POOL_EVENT_RELIEVED);
	told.count = 0;
	lba = 0;
	fill_until(f, &c, &told, 1, &lba);
	assert_int_equal(told.events[0], POOL_EVENT_WATERMARK_80);
	told.count = 0;
	pool_on_event(c.pr.pool, on_event, &told); /* who comes late is told, too */
	assert_int_equal(told.count, 1);
	pool_on_event(c.pr.pool, NULL, NULL);
	ctl_stop(f, &c);
}

RIG_TEST(a_fault_is_told)
{
	const struct fault_rule rule = { .ops = 1u << BIO_WRITE,
					 .last = UINT64_MAX,
					 .status = -EIO };
	struct told told = { 0 };
	struct pool_info info;
	struct ctl c;

	ctl_start_on(f, rig, &c, "fault:///f?on=" DISK);
	pool_on_event(c.pr.pool, on_event, &told);
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], &rule, 1));
	fails(f, -EIO, "log", c.ops->fence(f, c.chan, 7));
	assert_int_equal(told.count, 1);
	assert_int_equal(told.events[0], POOL_EVENT_STATE);
	pool_info(c.pr.pool, &info);
	assert_int_equal(info.state, POOL_FAULTED);
	fails(f, -EROFS, "read-only", c.ops->fence(f, c.chan, 8));
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], NULL, 0));
	ctl_crash(f, &c);
	ctl_stop(f, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watermarks_are_told_once_each_way),
		cmocka_unit_test(a_fault_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
