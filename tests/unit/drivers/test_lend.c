// SPDX-License-Identifier: Apache-2.0
/* lend - blocks of malloc that are read where they lie (bdev/lend.h). */
#include <stdlib.h>

#include "bdev/lend.h"
#include "drivers/malloc.h"
#include "drivers/malloc_loan.h"
#include "rig.h"

#define CHUNK_BLOCKS (MALLOC_CHUNK_BYTES / 512)

/* A loan, and what it shows. */
struct lent {
	struct bdev_loan loan;
	uint8_t *want;
	uint64_t bytes;
};

static bool lent_take(struct lent *lent, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		      const uint8_t *shadow)
{
	if (!bdev_lend(chan, lba, blocks, &lent->loan))
		return false;
	lent->bytes = blocks * 512;
	lent->want = malloc(lent->bytes);
	memcpy(lent->want, shadow + lba * 512, lent->bytes);
	return true;
}

/* LE1 */
static void lent_check(const struct lent *lent)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < lent->loan.count; i++) {
		const struct iovec *iov = &lent->loan.piece[i].iov;

		assert_true(at + iov->iov_len <= lent->bytes);
		assert_memory_equal(iov->iov_base, lent->want + at, iov->iov_len);
		at += iov->iov_len;
	}
	assert_int_equal(at, lent->bytes);
}

static void lent_back(struct lent *lent)
{
	lent_check(lent);
	bdev_give_back(&lent->loan);
	assert_int_equal(lent->loan.count, 0);
	free(lent->want);
	lent->want = NULL;
}

static void disk_fill(struct fiber *f, struct bdev_chan *chan, uint8_t *shadow)
{
	uint64_t blocks = chan->bdev->blocks;

	rig_fill(shadow, blocks * 512, 1);
	assert_int_equal(bdev_write(f, chan, 0, blocks, shadow, 0), 0);
}

#define MODEL_BLOCKS (8 * CHUNK_BLOCKS)
#define MODEL_LOANS  24

struct model {
	struct prng prng;
	struct bdev_chan *chan;
	uint8_t *shadow, *buf;
	struct lent lent[MODEL_LOANS];
	unsigned lent_count;
};

static void model_change(struct fiber *f, struct model *m)
{
	uint64_t lba = prng_below(&m->prng, MODEL_BLOCKS);
	uint64_t blocks = 1 + prng_below(&m->prng, min_u64(MODEL_BLOCKS - lba, 3 * CHUNK_BLOCKS));
	uint64_t seed = prng_u64(&m->prng);

	switch (prng_below(&m->prng, 6)) {
	case 0:
		assert_int_equal(bdev_unmap(f, m->chan, lba, blocks), 0);
		memset(m->shadow + lba * 512, 0, blocks * 512);
		return;
	case 1:
		assert_int_equal(bdev_zeroes(f, m->chan, lba, blocks, 0), 0);
		memset(m->shadow + lba * 512, 0, blocks * 512);
		return;
	case 2:
		assert_int_equal(bdev_zeroes(f, m->chan, lba, blocks, BIO_KEEP), 0);
		memset(m->shadow + lba * 512, 0, blocks * 512);
		return;
	default:
		rig_fill(m->shadow + lba * 512, blocks * 512, seed);
		assert_int_equal(bdev_write(f, m->chan, lba, blocks, m->shadow + lba * 512, 0), 0);
	}
}

static void model_step(struct fiber *f, struct model *m)
{
	struct lent *lent = &m->lent[prng_below(&m->prng, MODEL_LOANS)];
	uint64_t lba = prng_below(&m->prng, MODEL_BLOCKS);
	uint64_t blocks = 1 + prng_below(&m->prng, min_u64(MODEL_BLOCKS - lba, 2 * CHUNK_BLOCKS));

	if (prng_below(&m->prng, 2))
		model_change(f, m);
	else if (lent->want)
		lent_back(lent);
	else
		m->lent_count += lent_take(lent, m->chan, lba, blocks, m->shadow);
}

RIG_TEST(what_is_lent_stays_as_it_was)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct model m = { .chan = rig_chan(f, bdev) };

	(void)rig;
	assert_true(bdev->blocks >= MODEL_BLOCKS);
	prng_init(&m.prng, 5, 0);
	m.shadow = calloc(bdev->blocks, 512);
	m.buf = calloc(bdev->blocks, 512);
	disk_fill(f, m.chan, m.shadow);
	for (unsigned i = 0; i < 3000; i++)
		model_step(f, &m);
	assert_true(m.lent_count > 300);
	assert_int_equal(bdev_read(f, m.chan, 0, bdev->blocks, m.buf), 0);
	assert_memory_equal(m.buf, m.shadow, bdev->blocks * 512);
	bdev_chan_close(f, m.chan);
	bdev_close(f, bdev);
	for (unsigned i = 0; i < MODEL_LOANS; i++)
		if (m.lent[i].want)
			lent_back(&m.lent[i]); /* the disk is gone */
	free(m.shadow);
	free(m.buf);
}

RIG_TEST(a_change_beside_what_is_lent_costs_nothing)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *shadow = calloc(bdev->blocks, 512);
	struct lent lent = { 0 };
	uint64_t before;

	disk_fill(f, chan, shadow);
	assert_true(lent_take(&lent, chan, 8, 8, shadow));
	before = rig->heap.bytes;
	assert_int_equal(bdev_write(f, chan, 0, 8, shadow + 4096, 0), 0);
	assert_int_equal(bdev_write(f, chan, 16, 8, shadow, 0), 0);
	assert_int_equal(bdev_zeroes(f, chan, CHUNK_BLOCKS - 1, 1, 0), 0);
	assert_true(rig->heap.bytes < before + MALLOC_CHUNK_BYTES);
	lent_check(&lent);
	assert_int_equal(bdev_write(f, chan, 15, 1, shadow, 0), 0);
	assert_true(rig->heap.bytes >= before + MALLOC_CHUNK_BYTES);
	lent_back(&lent);
	assert_true(rig->heap.bytes < before + MALLOC_CHUNK_BYTES);
	free(shadow);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(what_cannot_be_lent_is_refused)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct bdev *part =
		rig_open(f, "part:///p?offset_mb=0&size_mb=1&on=malloc:///below?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev), *other = rig_chan(f, part);
	uint8_t *shadow = calloc(bdev->blocks, 512);
	struct lent lent = { 0 };

	(void)rig;
	assert_false(bdev_lend(chan, 0, 1, &lent.loan)); /* a hole */
	disk_fill(f, chan, shadow);
	assert_false(bdev_lend(chan, 0, 0, &lent.loan));
	assert_false(bdev_lend(chan, bdev->blocks, 1, &lent.loan));
	assert_false(bdev_lend(chan, bdev->blocks - 1, 2, &lent.loan));
	assert_false(bdev_lend(chan, UINT64_MAX, 2, &lent.loan));
	assert_false(bdev_lend(chan, 1, BDEV_LOAN_PIECES * CHUNK_BLOCKS, &lent.loan));
	assert_true(lent_take(&lent, chan, 1, (BDEV_LOAN_PIECES - 1) * CHUNK_BLOCKS, shadow));
	assert_int_equal(lent.loan.count, BDEV_LOAN_PIECES);
	lent_back(&lent);
	assert_false(bdev_lend(other, 0, 1, &lent.loan)); /* a disk that does not lend */
	free(shadow);
	bdev_chan_close(f, other);
	bdev_close(f, part);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(so_many_loans_and_no_more)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *shadow = calloc(bdev->blocks, 512);
	struct lent *lent = calloc(MALLOC_LOANS_MAX, sizeof(*lent));
	struct bdev_stats stats;
	unsigned count = 0;

	(void)rig;
	disk_fill(f, chan, shadow);
	while (count < MALLOC_LOANS_MAX && lent_take(&lent[count], chan, count % 7, 1, shadow))
		count++;
	assert_int_equal(count, MALLOC_LOANS_MAX - BDEV_LOAN_PIECES + 1);
	assert_int_equal(bdev_unmap(f, chan, 0, bdev->blocks), 0);
	disk_fill(f, chan, shadow);
	assert_false(bdev_lend(chan, 0, 1, &lent[count].loan)); /* retired ones count */
	lent_back(&lent[3]);
	assert_true(lent_take(&lent[3], chan, 9, 1, shadow));
	assert_int_equal(bdev_stats_get(f, bdev, &stats, NULL), 0);
	assert_int_equal(stats.op[BIO_READ].ops, count + 1);
	assert_int_equal(stats.op[BIO_READ].blocks, count + 1);
	for (unsigned i = 0; i < count; i++)
		lent_back(&lent[i]);
	free(lent);
	free(shadow);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(without_memory_a_write_fails_and_what_is_lent_stays)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *shadow = calloc(bdev->blocks, 512);
	struct lent lent = { 0 };

	disk_fill(f, chan, shadow);
	assert_true(lent_take(&lent, chan, 0, 8, shadow));
	rig->heap.bytes_limit = rig->heap.bytes + 4096;
	assert_int_equal(bdev_write(f, chan, 4, 1, shadow, 0), -ENOSPC);
	fiber_clear(f);
	assert_int_equal(bdev_zeroes(f, chan, 4, 1, 0), -ENOSPC);
	fiber_clear(f);
	rig->heap.bytes_limit = 0;
	assert_int_equal(bdev_unmap(f, chan, 0, CHUNK_BLOCKS), 0);
	lent_back(&lent);
	free(shadow);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(what_is_put_is_written_at_once)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1"),
		    *null = rig_open(f, "null:///n?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev), *other = rig_chan(f, null);
	uint8_t *shadow = calloc(bdev->blocks, 512), *back = calloc(bdev->blocks, 512);
	struct bdev_stats stats;
	struct lent lent = { 0 };
	int r = 1;

	rig_fill(shadow, bdev->blocks * 512, 3);
	for (uint64_t lba = 0; lba < bdev->blocks; lba += 64) {
		assert_true(bdev_put(chan, lba, 64, shadow + lba * 512, &r));
		assert_int_equal(r, 0);
	}
	assert_int_equal(bdev_read(f, chan, 0, bdev->blocks, back), 0);
	assert_memory_equal(back, shadow, bdev->blocks * 512);
	assert_true(lent_take(&lent, chan, 100, 20, shadow));
	assert_true(bdev_put(chan, 110, 1, shadow + 1, &r)); /* of any alignment */
	assert_int_equal(bdev_read(f, chan, 110, 1, back), 0);
	assert_memory_equal(back, shadow + 1, 512);
	lent_back(&lent);
	assert_int_equal(bdev_stats_get(f, bdev, &stats, NULL), 0);
	assert_int_equal(stats.op[BIO_WRITE].ops, bdev->blocks / 64 + 1);
	assert_int_equal(stats.op[BIO_WRITE].errors, 0);

	assert_false(bdev_put(chan, 0, 0, shadow, &r));
	assert_false(bdev_put(chan, bdev->blocks - 1, 2, shadow, &r));
	assert_false(bdev_put(other, 0, 1, shadow, &r)); /* a disk that does not */
	assert_int_equal(bdev_unmap(f, chan, 0, bdev->blocks), 0);
	rig->heap.bytes_limit = rig->heap.bytes + 4096;
	assert_true(bdev_put(chan, 0, 1, shadow, &r));
	assert_int_equal(r, -ENOSPC);
	rig->heap.bytes_limit = 0;
	assert_int_equal(bdev_stats_get(f, bdev, &stats, NULL), 0);
	assert_int_equal(stats.op[BIO_WRITE].errors, 1);
	free(shadow);
	free(back);
	bdev_chan_close(f, other);
	bdev_close(f, null);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* Written past the caches (MALLOC_COLD_BYTES). */
RIG_TEST(a_large_disk_reads_as_it_was_written)
{
	rig_integrity(f, rig, "malloc:///m?size_mb=64", 100, 9);
}

/* ---- several reactors (MA5) ---------------------------------------------------------- */

static int far_write(struct fiber *f, void *arg)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bdev_loan loan = { 0 };
	uint8_t buf[512] = { 0 };
	int r;

	(void)arg;
	assert_false(bdev_lend(chan, 0, 1, &loan));
	assert_false(bdev_put(chan, 0, 1, buf, &r)); /* the view knows no chunk */
	for (unsigned round = 0; round < 2; round++) /* the second through the view */
		for (uint64_t lba = 0; lba < bdev->blocks; lba += 4)
			assert_int_equal(bdev_write(f, chan, lba, 1, buf, 0), 0);
	buf[0] = 7;
	assert_true(bdev_put(chan, 100, 1, buf, &r));
	assert_int_equal(r, 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return 0;
}

static void views_body(struct fiber *f, struct rig *rig)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct reactor *peer = reactor_peer(fiber_reactor(f), 1);
	uint8_t *shadow = calloc(bdev->blocks, 512);
	struct lent lent[2] = { 0 };

	(void)rig;
	disk_fill(f, chan, shadow);
	assert_true(lent_take(&lent[0], chan, 100, 200, shadow));
	assert_true(lent_take(&lent[1], chan, 500, 8, shadow));
	assert_int_equal(fiber_call_on(f, peer, "far", far_write, NULL), 0);
	lent_back(&lent[1]);
	assert_int_equal(bdev_read(f, chan, 0, bdev->blocks, shadow), 0);
	assert_int_equal(shadow[100 * 512], 7);
	assert_true(lent_take(&lent[1], chan, 500, 8, shadow)); /* no view is left */
	lent_back(&lent[1]);
	lent_back(&lent[0]);
	free(shadow);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void what_another_reactor_writes_is_not_seen_in_a_loan(void **state)
{
	(void)state;
	rig_run(2, views_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lent_stays_as_it_was),
		cmocka_unit_test(a_change_beside_what_is_lent_costs_nothing),
		cmocka_unit_test(what_cannot_be_lent_is_refused),
		cmocka_unit_test(so_many_loans_and_no_more),
		cmocka_unit_test(without_memory_a_write_fails_and_what_is_lent_stays),
		cmocka_unit_test(what_is_put_is_written_at_once),
		cmocka_unit_test(a_large_disk_reads_as_it_was_written),
		cmocka_unit_test(what_another_reactor_writes_is_not_seen_in_a_loan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
