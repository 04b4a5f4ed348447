// SPDX-License-Identifier: Apache-2.0
/*
 * The intent log of real pools: records as bytes, replay after a crash of the process, what
 * is torn and what is damaged, the mirror, halves that fill up.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "pool/catalog_priv.h"
#include "pool/import_priv.h"
#include "pool_rig.h"

#define MIB (UINT64_C(1) << 20)

struct log_rig {
	struct pool_rig pr;
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t *buf; /* a cluster */
	uint32_t cluster;
};

static const char *const one_disk[] = { "malloc:///d0?size_mb=128" };
static const char *const two_disks[] = { "malloc:///d0?size_mb=128", "malloc:///d1?size_mb=128" };

static void open_replica(struct fiber *f, struct log_rig *lr)
{
	lr->bdev = rig_open(f, "pool:///p/v");
	lr->chan = rig_chan(f, lr->bdev);
}

static void close_replica(struct fiber *f, struct log_rig *lr)
{
	bdev_chan_close(f, lr->chan);
	bdev_close(f, lr->bdev);
}

static void start(struct fiber *f, struct rig *rig, struct log_rig *lr, unsigned disks)
{
	const struct replica_create_args args = { .name = "v", .size_bytes = 32 * MIB };

	*lr = (struct log_rig){ .cluster = 16384 };
	pool_rig_start(f, rig, &lr->pr, disks == 1 ? one_disk : two_disks, disks, lr->cluster);
	pool_ok(f, replica_create(f, lr->pr.pool, &args));
	lr->buf = malloc(lr->cluster);
	open_replica(f, lr);
}

static void stop(struct fiber *f, struct log_rig *lr)
{
	close_replica(f, lr);
	pool_rig_check(f, &lr->pr);
	pool_rig_stop(f, &lr->pr);
	free(lr->buf);
}

static uint64_t lba_of(const struct log_rig *lr, uint64_t block)
{
	return block * POOL_BLOCK / lr->bdev->block_size;
}

static void write_block(struct fiber *f, struct log_rig *lr, uint64_t block, uint8_t value)
{
	memset(lr->buf, value, POOL_BLOCK);
	pool_ok(f, bdev_write(f, lr->chan, lba_of(lr, block), lba_of(lr, 1), lr->buf, 0));
}

static void expect_block(struct fiber *f, struct log_rig *lr, uint64_t block, uint8_t value)
{
	uint8_t want[POOL_BLOCK];

	memset(want, value, sizeof(want));
	pool_ok(f, bdev_read(f, lr->chan, lba_of(lr, block), lba_of(lr, 1), lr->buf));
	assert_memory_equal(lr->buf, want, sizeof(want));
}

/* Where record i of the half that is written now lies, on the copy's disk. */
static uint64_t record_offset(const struct pool *pool, unsigned copy, uint32_t i)
{
	uint64_t first = copy ? pool->super.log_mirror_first : pool->super.log_first;

	return intent_offset(POOL_DATA_START + (first << pool->cluster_shift), pool->intent.room,
			     pool->intent.txg, i);
}

/* The process ends; bytes at these offsets become zeros; the import says what it says. */
static int crash_with(struct fiber *f, struct log_rig *lr, const uint64_t *offsets,
		      const unsigned *disks, unsigned count, enum pool_state *ret_state)
{
	const struct pool_import_args args = { .disks = lr->pr.uris, .disk_count = lr->pr.disks,
					       .cache_bytes = 1 << 20 };
	uint8_t page[POOL_PAGE] = { 0 };
	int r;

	close_replica(f, lr);
	pool_fault(lr->pr.pool, "crash");
	pool_close(f, lr->pr.pool);
	for (unsigned i = 0; i < count; i++) {
		struct bdev_chan *chan = rig_chan(f, lr->pr.keep[disks[i]]);
		uint32_t bs = chan->bdev->block_size;

		pool_ok(f, bdev_write(f, chan, offsets[i] / bs, POOL_PAGE / bs, page, 0));
		bdev_chan_close(f, chan);
	}
	r = pool_import(f, &args, &lr->pr.pool);
	if (r == 0) {
		*ret_state = lr->pr.pool->state;
		open_replica(f, lr);
	}
	return r;
}

RIG_TEST(record_is_as_the_format_says)
{
	struct pool_disk *disk;
	struct intent_entry entry;
	struct page_head head;
	struct log_rig lr;
	struct pool *pool;
	uint32_t i;

	start(f, rig, &lr, 1);
	pool = lr.pr.pool;
	disk = &pool->disks[0];
	i = pool->intent.used;
	write_block(f, &lr, 5, 0x77);
	assert_int_equal(pool->intent.used, i + 1);
	pool_ok(f, disk_read(f, disk, record_offset(pool, 0, i), lr.buf, POOL_PAGE));
	assert_true(page_is_sealed(lr.buf));
	page_head_get(lr.buf, &head);
	assert_int_equal(head.type, PAGE_LOG);
	assert_int_equal(head.count, 1);
	assert_int_equal(head.txg, pool->super.txg + 1);
	assert_int_equal(head.name, pool->intent.seq - 1);
	assert_int_equal(head.owner, head.name); /* the first of its write */
	assert_true(uuid_equal(&head.pool, &pool->super.pool));
	assert_true(intent_entry_get(lr.buf + PAGE_HEAD, &entry));
	assert_int_equal(entry.kind, INTENT_MAP);
	assert_int_equal(entry.first, 1); /* block 5 of 4 a cluster */
	assert_int_equal(entry.valid, 1 << 1);
	assert_true(disk_has_cluster(pool, entry.second));
	for (uint32_t n = PAGE_HEAD + INTENT_ENTRY_SIZE; n < POOL_PAGE; n++)
		assert_int_equal(lr.buf[n], 0);
	stop(f, &lr);
}

RIG_TEST(what_was_acknowledged_is_there_after_a_crash)
{
	enum pool_state state;
	struct log_rig lr;

	start(f, rig, &lr, 1);
	for (unsigned i = 0; i < 100; i++)
		write_block(f, &lr, i * 3, (uint8_t)(i + 1));
	pool_ok(f, bdev_unmap(f, lr.chan, lba_of(&lr, 0), lba_of(&lr, 8)));
	write_block(f, &lr, 1, 0xee);
	pool_ok(f, crash_with(f, &lr, NULL, NULL, 0, &state));
	assert_int_equal(state, POOL_ONLINE);
	assert_true(lr.pr.pool->intent.replayed > 100);
	expect_block(f, &lr, 0, 0);
	expect_block(f, &lr, 1, 0xee);
	expect_block(f, &lr, 3, 0);
	for (unsigned i = 3; i < 100; i++)
		expect_block(f, &lr, i * 3, (uint8_t)(i + 1));
	/* Once more, with what came after the first commit. */
	write_block(f, &lr, 0, 0x11);
	pool_ok(f, crash_with(f, &lr, NULL, NULL, 0, &state));
	expect_block(f, &lr, 0, 0x11);
	expect_block(f, &lr, 1, 0xee);
	expect_block(f, &lr, 99, 34);
	stop(f, &lr);
}

RIG_TEST(torn_tail_is_the_end_of_the_log)
{
	const unsigned disks[] = { 0 };
	enum pool_state state;
	uint64_t offset;
	struct log_rig lr;

	start(f, rig, &lr, 1);
	for (unsigned i = 0; i < 10; i++)
		write_block(f, &lr, i * 4, (uint8_t)(i + 1));
	offset = record_offset(lr.pr.pool, 0, lr.pr.pool->intent.used - 1);
	pool_ok(f, crash_with(f, &lr, &offset, disks, 1, &state));
	assert_int_equal(state, POOL_ONLINE);
	for (unsigned i = 0; i < 9; i++)
		expect_block(f, &lr, i * 4, (uint8_t)(i + 1));
	expect_block(f, &lr, 36, 0); /* a device that loses what it had taken: we cannot know */
	write_block(f, &lr, 36, 0x44);
	pool_ok(f, crash_with(f, &lr, NULL, NULL, 0, &state));
	expect_block(f, &lr, 36, 0x44);
	expect_block(f, &lr, 32, 9);
	stop(f, &lr);
}

RIG_TEST(hole_in_the_log_is_reported)
{
	const unsigned disks[] = { 0 };
	enum pool_state state;
	uint64_t offset;
	struct log_rig lr;
	int r;

	start(f, rig, &lr, 1);
	for (unsigned i = 0; i < 10; i++)
		write_block(f, &lr, i * 4, (uint8_t)(i + 1));
	offset = record_offset(lr.pr.pool, 0, lr.pr.pool->intent.used - 4);
	r = crash_with(f, &lr, &offset, disks, 1, &state);
	if (r == 0) { /* read-only, with a report; what came before is there */
		assert_int_equal(state, POOL_READ_ONLY);
		assert_non_null(strstr(lr.pr.pool->why, "log record"));
		expect_block(f, &lr, 0, 1);
		close_replica(f, &lr);
		pool_rig_stop(f, &lr.pr);
	} else {
		assert_int_equal(r, -EILSEQ);
		assert_non_null(strstr(fiber_words(f), "log record"));
		fiber_clear(f);
		bdev_close(f, lr.pr.keep[0]);
		pool_table_free(rig->env.pools);
		rig->env.pools = NULL;
	}
	free(lr.buf);
}

RIG_TEST(mirror_has_what_the_log_has_lost)
{
	enum pool_state state;
	uint64_t offsets[10];
	unsigned disks[10];
	struct log_rig lr;

	start(f, rig, &lr, 2);
	for (unsigned i = 0; i < 10; i++)
		write_block(f, &lr, i * 4, (uint8_t)(i + 1));
	for (unsigned i = 0; i < 10; i++) { /* every record is on one of the two */
		disks[i] = i & 1;
		offsets[i] = record_offset(lr.pr.pool, i & 1, lr.pr.pool->intent.used - 10 + i);
	}
	pool_ok(f, crash_with(f, &lr, offsets, disks, 10, &state));
	assert_int_equal(state, POOL_ONLINE);
	for (unsigned i = 0; i < 10; i++)
		expect_block(f, &lr, i * 4, (uint8_t)(i + 1));
	stop(f, &lr);
}

RIG_TEST(full_halves_make_commits_and_lose_nothing)
{
	struct pool_io_stats before, after;
	enum pool_state state;
	struct log_rig lr;
	unsigned count;

	start(f, rig, &lr, 1);
	count = 3 * lr.pr.pool->intent.room;
	pool_io_stats(lr.pr.pool, &before);
	for (unsigned i = 0; i < count; i++)
		write_block(f, &lr, i % 8192, (uint8_t)(i % 8192 % 251 + 1));
	pool_io_stats(lr.pr.pool, &after);
	assert_true(count < 8192);
	assert_true(after.commits >= before.commits + 3);
	pool_ok(f, crash_with(f, &lr, NULL, NULL, 0, &state));
	for (unsigned i = 0; i < count; i++)
		expect_block(f, &lr, i, (uint8_t)(i % 251 + 1));
	stop(f, &lr);
}

RIG_TEST(entries_of_fibers_are_durable_when_it_returns)
{
	struct intent_entry entries[3 * INTENT_RECORD_ENTRIES / 2];
	struct page_head head;
	struct log_rig lr;
	struct pool *pool;
	uint32_t used;

	start(f, rig, &lr, 1);
	pool = lr.pr.pool;
	used = pool->intent.used;
	for (unsigned i = 0; i < ARRAY_LEN(entries); i++)
		entries[i] = (struct intent_entry){ .kind = INTENT_AL_SET, .object = 1, .first = i,
						    .second = 1 };
	pool_ok(f, intent_write(f, pool, entries, ARRAY_LEN(entries)));
	assert_int_equal(pool->intent.used, used + 2); /* more than a record holds */
	pool_ok(f, disk_read(f, &pool->disks[0], record_offset(pool, 0, used + 1), lr.buf, POOL_PAGE));
	page_head_get(lr.buf, &head);
	assert_int_equal(head.count, INTENT_RECORD_ENTRIES / 2);
	assert_int_equal(head.owner, head.name - 1); /* one write */
	stop(f, &lr);
}

RIG_TEST(failed_log_write_fails_the_pool_and_its_writers)
{
	static const char *const uris[] = { "fault:///x?on=malloc:///d0?size_mb=128" };
	const struct replica_create_args args = { .name = "v", .size_bytes = 32 * MIB };
	struct log_rig lr = { .cluster = 16384 };
	struct pool *pool;

	pool_rig_start(f, rig, &lr.pr, uris, 1, lr.cluster);
	pool_ok(f, replica_create(f, lr.pr.pool, &args));
	lr.buf = malloc(lr.cluster);
	open_replica(f, &lr);
	pool = lr.pr.pool;
	write_block(f, &lr, 0, 1);
	pool->intent.failed = true; /* as after a failed write: nothing more is told to the log */
	memset(lr.buf, 2, POOL_BLOCK);
	assert_int_equal(bdev_write(f, lr.chan, lba_of(&lr, 8), lba_of(&lr, 1), lr.buf, 0), -EIO);
	fiber_clear(f);
	expect_block(f, &lr, 8, 0); /* IN6: not seen either */
	expect_block(f, &lr, 0, 1);
	pool_fault(pool, "as the log has told");
	rio_fail(pool);
	assert_int_equal(bdev_write(f, lr.chan, lba_of(&lr, 0), lba_of(&lr, 1), lr.buf, 0), -EIO);
	fiber_clear(f);
	expect_block(f, &lr, 0, 1);
	close_replica(f, &lr);
	pool_rig_stop(f, &lr.pr);
	free(lr.buf);
}

static void entries_are_their_own_bytes(void **state)
{
	const struct intent_entry entry = { INTENT_MAP, 7, 0x11223344, 0x0102030405060708u,
					    0x1112131415161718u, 0x2122232425262728u };
	const uint8_t bytes[INTENT_ENTRY_SIZE] = {
		1,    7,    0,	  0,	0x44, 0x33, 0x22, 0x11, 8,    7,    6,	  5,	4,    3,    2,	  1,
		0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21,
	};
	struct intent_entry back;
	uint8_t at[INTENT_ENTRY_SIZE];

	(void)state;
	intent_entry_put(at, &entry);
	assert_memory_equal(at, bytes, sizeof(at));
	assert_true(intent_entry_get(at, &back));
	intent_entry_put(at, &back);
	assert_memory_equal(at, bytes, sizeof(at));
	at[0] = INTENT_NONE;
	assert_false(intent_entry_get(at, &back));
	at[0] = INTENT_KINDS;
	assert_false(intent_entry_get(at, &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_their_own_bytes),
		cmocka_unit_test(record_is_as_the_format_says),
		cmocka_unit_test(what_was_acknowledged_is_there_after_a_crash),
		cmocka_unit_test(torn_tail_is_the_end_of_the_log),
		cmocka_unit_test(hole_in_the_log_is_reported),
		cmocka_unit_test(mirror_has_what_the_log_has_lost),
		cmocka_unit_test(full_halves_make_commits_and_lose_nothing),
		cmocka_unit_test(entries_of_fibers_are_durable_when_it_returns),
		cmocka_unit_test(failed_log_write_fails_the_pool_and_its_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
