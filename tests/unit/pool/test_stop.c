// SPDX-License-Identifier: Apache-2.0
/*
 * Pools that stop: a disk fails a write at any moment, alone or while much is under way. Nothing
 * but errors comes of it, and after an import everything acknowledged is there.
 */
#include "unit/unit.h"

#include <errno.h>

#include "drivers/fault.h"
#include "pool/import_priv.h"
#include "pool_rig.h"

#define CLUSTER 16384u
#define WRITES	6u

static const char *const direct[] = { "fault:///x?on=malloc:///d0?size_mb=64" };
static const char *const slow[] = {
	"fault:///x?on=delay:///s0?ns=50000&on=malloc:///d0?size_mb=64"
};

struct stop {
	struct pool_rig pr;
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t *buf;
};

static void stop_open(struct fiber *f, struct stop *s)
{
	s->bdev = rig_open(f, "pool:///p/v");
	s->chan = rig_chan(f, s->bdev);
}

static void stop_close(struct fiber *f, struct stop *s)
{
	bdev_chan_close(f, s->chan);
	bdev_close(f, s->bdev);
}

static void stop_start(struct fiber *f, struct rig *rig, struct stop *s, const char *const *uris,
		       unsigned disks)
{
	const struct replica_create_args args = { .name = "v", .size_bytes = 2 * WRITES * CLUSTER };

	pool_rig_start(f, rig, &s->pr, uris, disks, CLUSTER);
	pool_ok(f, replica_create(f, s->pr.pool, &args));
	s->buf = io_buf_new(fiber_io(f), CLUSTER);
	assert_non_null(s->buf);
	stop_open(f, s);
}

static void stop_end(struct fiber *f, struct stop *s)
{
	io_buf_free(fiber_io(f), s->buf, CLUSTER);
	pool_rig_stop(f, &s->pr);
}

static void fail_writes(struct fiber *f, struct stop *s, uint64_t nth)
{
	struct fault_rule rule = {
		.ops = 1u << BIO_WRITE, .last = UINT64_MAX, .nth = nth, .status = -EIO
	};

	pool_ok(f, fault_set_rules(f, s->pr.keep[0], &rule, 1));
}

static uint64_t failures(struct fiber *f, struct stop *s, unsigned disk)
{
	uint64_t fired[FAULT_RULES_MAX];

	pool_ok(f, fault_get_fired(f, s->pr.keep[disk], fired));
	return fired[0];
}

/* ---- the last commit fails ------------------------------------------------------------------------ */

RIG_TEST(export_tells_that_the_last_commit_failed)
{
	const struct pool_import_args args = { .disks = direct, .disk_count = 1 };
	struct stop s;
	int r;

	stop_start(f, rig, &s, direct, 1);
	memset(s.buf, 0x5a, CLUSTER);
	pool_ok(f, bdev_write(f, s.chan, 0, CLUSTER / s.bdev->block_size, s.buf, 0));
	stop_close(f, &s);
	fail_writes(f, &s, 0);
	r = pool_export(f, s.pr.pool);
	assert_int_equal(r, -EIO);
	assert_non_null(strstr(fiber_words(f), "stopped while it was exported"));
	fiber_clear(f);
	pool_ok(f, fault_set_rules(f, s.pr.keep[0], NULL, 0));
	pool_ok(f, pool_import(f, &args, &s.pr.pool));
	stop_open(f, &s);
	pool_ok(f, bdev_read(f, s.chan, 0, CLUSTER / s.bdev->block_size, s.buf));
	assert_int_equal(s.buf[0], 0x5a);
	stop_close(f, &s);
	stop_end(f, &s);
}

/* ---- a write fails while a snapshot waits for others ------------------------------------------------- */

static void write_beside_snapshot(struct fiber *f, struct stop *s, bool *ret_sure)
{
	struct iovec iov = { .iov_base = s->buf, .iov_len = 4096 };
	struct rig_wait wait = { 0 };
	struct bio *bios[WRITES];

	for (unsigned i = 0; i < WRITES; i++) {
		bios[i] = rig_bio_new(&wait, s->bdev);
		bio_prep(bios[i], s->chan, BIO_WRITE, (uint64_t)i * CLUSTER / s->bdev->block_size,
			 4096 / s->bdev->block_size, &iov, 1, rig_bio_done);
		rig_bio_submit(bios[i]);
	}
	if (snapshot_create(f, s->pr.pool, "v", "s", NULL) < 0)
		fiber_clear(f);
	rig_bios_wait(f, &wait);
	for (unsigned i = 0; i < WRITES; i++) {
		ret_sure[i] = bios[i]->status == 0;
		rig_bio_free(bios[i]);
	}
}

static bool fail_beside_snapshot(struct fiber *f, struct rig *rig, const char *const *uris,
				 unsigned nth)
{
	bool sure[WRITES], fired;
	struct stop s;

	stop_start(f, rig, &s, uris, 1);
	fail_writes(f, &s, nth);
	memset(s.buf, (int)nth, CLUSTER);
	write_beside_snapshot(f, &s, sure);
	fired = failures(f, &s, 0);
	pool_ok(f, fault_set_rules(f, s.pr.keep[0], NULL, 0));
	stop_close(f, &s);
	pool_rig_crash(f, &s.pr);
	stop_open(f, &s);
	for (unsigned i = 0; i < WRITES; i++) {
		pool_ok(f, bdev_read(f, s.chan, (uint64_t)i * CLUSTER / s.bdev->block_size,
				     4096 / s.bdev->block_size, s.buf));
		assert_true(!sure[i] || s.buf[4095] == (uint8_t)nth);
	}
	stop_close(f, &s);
	pool_rig_check(f, &s.pr);
	stop_end(f, &s);
	return fired;
}

RIG_TEST(any_write_may_fail_while_a_snapshot_waits)
{
	unsigned direct_nth = 1, slow_nth = 1;

	while (fail_beside_snapshot(f, rig, direct, direct_nth))
		direct_nth++;
	while (fail_beside_snapshot(f, rig, slow, slow_nth))
		slow_nth++;
	assert_true(direct_nth > WRITES && slow_nth > WRITES);
}

/* ---- what a process before us has written ---------------------------------------------------------- */

/* The import, with one disk that does not flush: 0, or what it ends with. */
static int import_without_flush(struct fiber *f, struct stop *s, unsigned disk)
{
	const struct pool_import_args args = { .disks = s->pr.uris, .disk_count = s->pr.disks };
	struct fault_rule rule = { .ops = 1u << BIO_FLUSH, .last = UINT64_MAX, .status = -EIO };
	int r;

	pool_fault(s->pr.pool, "crash");
	pool_close(f, s->pr.pool);
	pool_ok(f, fault_set_rules(f, s->pr.keep[disk], &rule, 1));
	r = pool_import(f, &args, &s->pr.pool);
	fiber_clear(f);
	pool_ok(f, fault_set_rules(f, s->pr.keep[disk], NULL, 0));
	if (r < 0)
		pool_ok(f, pool_import(f, &args, &s->pr.pool));
	return r;
}

RIG_TEST(import_flushes_what_a_process_before_it_left)
{
	char uris[2][256];
	const char *const disks[] = { uris[0], uris[1] };
	struct stop s;

	for (unsigned i = 0; i < ARRAY_LEN(disks); i++) {
		rig_file(rig, i ? "b" : "a", 64 << 20);
		snprintf(uris[i], sizeof(uris[i]), "fault:///x%u?on=file://%s/%c", i, rig->dir,
			 "ab"[i]);
	}
	pool_rig_start(f, rig, &s.pr, disks, 2, CLUSTER);
	for (unsigned i = 0; i < ARRAY_LEN(disks); i++)
		assert_int_not_equal(import_without_flush(f, &s, i), 0);
	pool_rig_stop(f, &s.pr);
}

/* ---- a log that cannot be read ------------------------------------------------------------------------ */

static const char *const mirrored[] = { "fault:///x?on=malloc:///d0?size_mb=64",
					"fault:///y?on=malloc:///d1?size_mb=64" };

/* The import while nothing of the log can be read on one of its disks. */
static int import_without_log(struct fiber *f, struct stop *s, bool mirror)
{
	const struct pool_import_args args = { .disks = s->pr.uris, .disk_count = s->pr.disks };
	const struct super *super = &s->pr.pool->super;
	unsigned disk = mirror ? super->log_mirror : super->log_disk;
	uint64_t first = mirror ? super->log_mirror_first : super->log_first;
	uint64_t lba = (POOL_DATA_START + first * CLUSTER) / s->pr.keep[disk]->block_size;
	struct fault_rule rule = {
		.ops = 1u << BIO_READ, .first = lba, .last = lba + 2000, .status = -EIO
	};
	int r;

	pool_fault(s->pr.pool, "crash");
	pool_close(f, s->pr.pool);
	pool_ok(f, fault_set_rules(f, s->pr.keep[disk], &rule, 1));
	r = pool_import(f, &args, &s->pr.pool);
	if (r == 0)
		assert_true(failures(f, s, disk) > 0 || mirror);
	fiber_clear(f);
	pool_ok(f, fault_set_rules(f, s->pr.keep[disk], NULL, 0));
	return r;
}

static void acked_is_there(struct fiber *f, struct stop *s, uint8_t value)
{
	stop_open(f, s);
	pool_ok(f, bdev_read(f, s->chan, 0, CLUSTER / s->bdev->block_size, s->buf));
	assert_int_equal(s->buf[0], value);
	stop_close(f, s);
}

RIG_TEST(log_that_cannot_be_read_is_not_taken_for_empty) /* IR3 */
{
	const struct pool_import_args args = { .disks = direct, .disk_count = 1 };
	struct stop s;

	stop_start(f, rig, &s, direct, 1);
	memset(s.buf, 0x5a, CLUSTER);
	pool_ok(f, bdev_write(f, s.chan, 0, CLUSTER / s.bdev->block_size, s.buf, 0));
	stop_close(f, &s);
	assert_int_equal(import_without_log(f, &s, false), -EIO);
	pool_ok(f, pool_import(f, &args, &s.pr.pool));
	acked_is_there(f, &s, 0x5a);
	stop_end(f, &s);
}

RIG_TEST(one_copy_of_the_log_is_enough)
{
	struct stop s;

	for (unsigned mirror = 0; mirror < 2; mirror++) {
		stop_start(f, rig, &s, mirrored, 2);
		memset(s.buf, 0x5b, CLUSTER);
		pool_ok(f, bdev_write(f, s.chan, 0, CLUSTER / s.bdev->block_size, s.buf, 0));
		stop_close(f, &s);
		assert_int_equal(import_without_log(f, &s, mirror), 0);
		acked_is_there(f, &s, 0x5b);
		stop_end(f, &s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(export_tells_that_the_last_commit_failed),
		cmocka_unit_test(any_write_may_fail_while_a_snapshot_waits),
		cmocka_unit_test(import_flushes_what_a_process_before_it_left),
		cmocka_unit_test(log_that_cannot_be_read_is_not_taken_for_empty),
		cmocka_unit_test(one_copy_of_the_log_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
