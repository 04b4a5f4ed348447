// SPDX-License-Identifier: Apache-2.0
/* malloc - a disk in memory that costs what is written on it. */
#include <stdlib.h>

#include "drivers/malloc.h"
#include "rig.h"

RIG_TEST(what_is_written_is_read)
{
	rig_integrity(f, rig, "malloc:///m?size_mb=2", 300, 1);
	rig_integrity(f, rig, "malloc:///m?num_blocks=777&blk_size=4096", 300, 2);
}

RIG_TEST(only_what_is_written_costs_memory)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size=16t");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint64_t before, chunk_blocks = MALLOC_CHUNK_BYTES / 512;
	uint8_t buf[512];

	rig_fill(buf, sizeof(buf), 7);
	assert_int_equal(bdev_read(f, chan, bdev->blocks - 1, 1, buf), 0);
	before = rig->heap.bytes;
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(bdev_write(f, chan, i * (bdev->blocks / 10), 1, buf, 0), 0);
	assert_true(rig->heap.bytes - before < 10 * (MALLOC_CHUNK_BYTES + 40000));
	assert_int_equal(bdev_unmap(f, chan, 0, chunk_blocks), 0);
	assert_int_equal(bdev_unmap(f, chan, bdev->blocks / 10 / chunk_blocks * chunk_blocks,
				    bdev->blocks / 2), 0);
	assert_true(rig->heap.bytes - before < 5 * (MALLOC_CHUNK_BYTES + 40000));
	assert_int_equal(bdev_zeroes(f, chan, 0, bdev->blocks, 0), 0);
	assert_true(rig->heap.bytes < before + (1 << 20)); /* the layer's own */
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(zeroes_that_keep_allocate)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint64_t before = rig->heap.bytes;

	assert_int_equal(bdev_zeroes(f, chan, 0, bdev->blocks, BIO_KEEP), 0);
	assert_true(rig->heap.bytes - before >= 1 << 20);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(holes_and_data_are_told)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size=1g");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint64_t chunk = MALLOC_CHUNK_BYTES / 512;
	uint8_t *buf = calloc(3, MALLOC_CHUNK_BYTES);
	struct bdev_extent e[8];
	unsigned count = 0;

	(void)rig;
	assert_int_equal(bdev_write(f, chan, 2 * chunk, 3 * chunk, buf, 0), 0);
	assert_int_equal(bdev_unmap(f, chan, 3 * chunk, chunk), 0);
	assert_int_equal(bdev_status_get(f, chan, 5, bdev->blocks - 5, e, 8, &count), 0);
	assert_int_equal(count, 5);
	assert_int_equal(e[0].lba, 5);
	assert_int_equal(e[0].blocks, 2 * chunk - 5);
	assert_int_equal(e[0].flags, BDEV_HOLE | BDEV_ZERO);
	assert_int_equal(e[1].lba, 2 * chunk);
	assert_int_equal(e[1].blocks, chunk);
	assert_int_equal(e[1].flags, BDEV_DATA);
	assert_int_equal(e[2].flags, BDEV_HOLE | BDEV_ZERO);
	assert_int_equal(e[3].flags, BDEV_DATA);
	assert_int_equal(e[4].lba, 5 * chunk);
	assert_int_equal(e[4].blocks, bdev->blocks - 5 * chunk);
	assert_int_equal(bdev_status_get(f, chan, 0, bdev->blocks, e, 2, &count), 0);
	assert_int_equal(count, 2); /* no more than asked for */
	free(buf);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(no_memory_is_no_space)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=64");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512] = {1}, back[512];

	assert_int_equal(bdev_write(f, chan, 0, 1, buf, 0), 0);
	rig->heap.bytes_limit = rig->heap.bytes + 4096;
	assert_int_equal(bdev_write(f, chan, bdev->blocks / 2, 1, buf, 0), -ENOSPC);
	fiber_clear(f);
	assert_int_equal(bdev_write(f, chan, 1, 1, buf, 0), 0); /* where there is memory */
	rig->heap.bytes_limit = 0;
	assert_int_equal(bdev_read(f, chan, bdev->blocks / 2, 1, back), 0);
	assert_int_equal(back[0], 0);
	assert_int_equal(bdev_write(f, chan, bdev->blocks / 2, 1, buf, 0), 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* ---- several reactors ------------------------------------------------------------ */

struct malloc_part {
	struct bdev *bdev;
	uint64_t first, blocks, seed;
};

static int malloc_part_write(struct fiber *f, void *arg)
{
	struct malloc_part *part = arg;
	struct bdev_chan *chan = rig_chan(f, part->bdev);
	uint8_t buf[4096];

	for (uint64_t lba = part->first; lba < part->first + part->blocks; lba += 8) {
		rig_fill(buf, sizeof(buf), part->seed + lba);
		assert_int_equal(bdev_write(f, chan, lba, 8, buf, 0), 0);
	}
	assert_int_equal(bdev_flush(f, chan), 0);
	bdev_chan_close(f, chan);
	return 0;
}

static void several_reactors_body(struct fiber *f, struct rig *rig)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=4");
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct fiber *fibers[RIG_REACTORS_MAX];
	struct malloc_part parts[RIG_REACTORS_MAX];
	uint64_t share = bdev->blocks / rig->reactors;
	uint8_t buf[4096], want[4096];

	for (unsigned i = 0; i < rig->reactors; i++) {
		parts[i] = (struct malloc_part){bdev, i * share, share, 1000 * i};
		if (i > 0)
			assert_int_equal(fiber_call_on(f, reactor_peer(fiber_reactor(f), i), "part",
						       malloc_part_write, &parts[i]), 0);
		else
			assert_int_equal(fiber_start(fiber_reactor(f), "part", malloc_part_write,
						     &parts[i], &fibers[i]), 0);
	}
	assert_int_equal(fiber_join(f, fibers[0]), 0);
	for (uint64_t lba = 0; lba < bdev->blocks; lba += 8) {
		assert_int_equal(bdev_read(f, chan, lba, 8, buf), 0);
		rig_fill(want, sizeof(want), 1000 * (lba / share) + lba);
		assert_memory_equal(buf, want, sizeof(buf));
	}
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void reactors_share_one_disk(void **state)
{
	(void)state;
	rig_run(4, several_reactors_body, NULL);
}

/* ---- views (MA2) ------------------------------------------------------------------- */

static int malloc_view(struct fiber *f, void *arg)
{
	struct rig *rig = arg;
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=2");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512], back[512];
	uint64_t before;

	rig_fill(buf, sizeof(buf), 4);
	for (uint64_t lba = 0; lba < bdev->blocks; lba += 100)
		assert_int_equal(bdev_write(f, chan, lba, 1, buf, 0), 0);
	before = rig->heap.bytes;
	assert_int_equal(bdev_unmap(f, chan, 0, bdev->blocks), 0);
	assert_true(rig->heap.bytes >= before); /* somebody may hold a view */
	assert_int_equal(bdev_read(f, chan, 100, 1, back), 0);
	for (unsigned i = 0; i < sizeof(back); i++)
		assert_int_equal(back[i], 0);
	assert_int_equal(bdev_write(f, chan, 100, 1, buf, 0), 0); /* through the view */
	assert_int_equal(bdev_read(f, chan, 100, 1, back), 0);
	assert_memory_equal(buf, back, sizeof(buf));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return 0;
}

static int malloc_far_integrity(struct fiber *f, void *arg)
{
	rig_integrity(f, arg, "malloc:///m?size_mb=2", 200, 8);
	return 0;
}

static void views_body(struct fiber *f, struct rig *rig)
{
	struct reactor *peer = reactor_peer(fiber_reactor(f), 1);
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=2");
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512], want[512];
	uint64_t before;

	assert_int_equal(fiber_call_on(f, peer, "far", malloc_far_integrity, rig), 0);
	assert_int_equal(fiber_call_on(f, peer, "view", malloc_view, rig), 0);
	rig_fill(want, sizeof(want), 4);
	assert_int_equal(bdev_read(f, chan, 100, 1, buf), 0);
	assert_memory_equal(buf, want, sizeof(buf));
	before = rig->heap.bytes;
	assert_int_equal(bdev_unmap(f, chan, 0, bdev->blocks), 0);
	assert_true(rig->heap.bytes + (2 << 20) < before + 65536); /* no view is left */
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void what_a_view_holds_is_not_given_back(void **state)
{
	(void)state;
	rig_run(2, views_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(only_what_is_written_costs_memory),
		cmocka_unit_test(zeroes_that_keep_allocate),
		cmocka_unit_test(holes_and_data_are_told),
		cmocka_unit_test(no_memory_is_no_space),
		cmocka_unit_test(reactors_share_one_disk),
		cmocka_unit_test(what_a_view_holds_is_not_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
