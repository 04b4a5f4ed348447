// SPDX-License-Identifier: Apache-2.0
/* Lanes: one bio for two disks, a driver that shifts above one of memory. */
#include "unit/unit.h"

#include <errno.h>

#include "base/uri.h"
#include "unit/bdev/rig.h"

#define SHIFT_BLOCKS 16u

struct shift {
	struct bdev bdev;
	struct bdev *child;
	struct bio_tally tally;
	unsigned passed, refused, emptied;
	bool wrote;
};

struct shift_chan {
	struct bdev_chan *child;
	struct bdev_lane *lane;
};

static struct shift *shift_of(const struct bdev_chan *chan)
{
	return container_of(chan->bdev, struct shift, bdev);
}

static void shift_empty(struct bio_tally *tally)
{
	container_of(tally, struct shift, tally)->emptied++;
}

static void shift_submit(struct bio *bio)
{
	struct shift_chan *chan = bdev_chan_priv(bio->chan);
	struct shift *shift = shift_of(bio->chan);

	if (bio->op <= BIO_WRITE && chan->lane && chan->lane->ready >> bio_kind(bio) & 1) {
		shift->passed++;
		bio_pass(bio, chan->lane, &shift->tally, bio->lba + SHIFT_BLOCKS);
		return;
	}
	shift->refused++;
	bio_complete(bio, -EOPNOTSUPP);
}

static const struct bdev_driver shift_driver;

static int shift_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct shift *shift = mem_new(fiber_io(f), sizeof(*shift));
	int r;

	if (!shift)
		return -ENOMEM;
	r = bdev_open_uri(f, uri_child(uri, "on"), &shift->child);
	if (r < 0) {
		mem_free(shift);
		return r;
	}
	shift->tally.empty = shift_empty;
	shift->bdev = (struct bdev){ .driver = &shift_driver,
				     .block_size = shift->child->block_size,
				     .blocks = shift->child->blocks - SHIFT_BLOCKS,
				     .scratch_bytes = shift->child->scratch_bytes };
	*ret = &shift->bdev;
	return 0;
}

static void shift_close(struct fiber *f, struct bdev *bdev)
{
	struct shift *shift = container_of(bdev, struct shift, bdev);

	bdev_close(f, shift->child);
	mem_free(shift);
}

static int shift_chan_open(struct fiber *f, struct bdev_chan *base)
{
	struct shift_chan *chan = bdev_chan_priv(base);
	int r = bdev_chan_open(f, shift_of(base)->child, &chan->child);

	if (r < 0)
		return r;
	r = bdev_lane_open(base, chan->child, &shift_of(base)->wrote, &chan->lane);
	if (r < 0)
		bdev_chan_close(f, chan->child);
	return r;
}

static void shift_chan_close(struct fiber *f, struct bdev_chan *base)
{
	struct shift_chan *chan = bdev_chan_priv(base);

	bdev_lane_close(chan->lane);
	bdev_chan_close(f, chan->child);
}

static const struct bdev_param shift_params[] = { { "on", "what is beneath" }, { NULL, NULL } };

static const struct bdev_driver shift_driver = {
	.scheme = "shift",
	.help = "16 blocks further",
	.params = shift_params,
	.open = shift_open,
	.close = shift_close,
	.chan_bytes = sizeof(struct shift_chan),
	.chan_open = shift_chan_open,
	.chan_close = shift_chan_close,
	.submit = shift_submit,
};

static const struct bdev_driver *const drivers[] = { &ram_driver, &shift_driver, NULL };

struct above {
	struct rig rig;
	struct rig_disk d;
	struct shift *shift;
	struct ram *ram;
	struct shift_chan *chan;
};

static void above_begin(struct above *a, const char *uri, fiber_fn fn)
{
	must(rig_init_drivers(&a->rig, 1, drivers, 0) == 0);
	rig_disk_open(&a->rig, &a->d, uri);
	a->shift = container_of(a->d.bdev, struct shift, bdev);
	a->ram = container_of(a->shift->child, struct ram, bdev);
	a->chan = bdev_chan_priv(a->d.chan[0]);
	assert_int_equal(rig_fiber(&a->rig, 0, fn, a, NULL), 0);
	rig_run(&a->rig);
	assert_int_equal(a->shift->tally.inflight, 0);
	rig_disk_close(&a->d);
	rig_fini(&a->rig);
}

/* ---- where it goes, and who counts it -------------------------------------------------------- */

static void stats_are(struct fiber *f, struct bdev *bdev, uint64_t reads, uint64_t writes)
{
	static struct hist hists[BIO_OPS];
	struct bdev_stats stats;

	assert_int_equal(bdev_stats_get(f, bdev, &stats, hists), 0);
	assert_int_equal(stats.op[BIO_READ].ops, reads);
	assert_int_equal(stats.op[BIO_READ].blocks, 2 * reads);
	assert_int_equal(stats.op[BIO_WRITE].ops, writes);
	assert_int_equal(stats.op[BIO_WRITE].blocks, 2 * writes);
	assert_int_equal(hists[BIO_READ].count, reads);
	assert_int_equal(hists[BIO_WRITE].count, writes);
	assert_int_equal(stats.inflight, 0);
}

static int places_fn(struct fiber *f, void *arg)
{
	struct above *a = arg;
	uint8_t out[1024], in[1024];

	memset(out, 0x5a, sizeof(out));
	assert_int_equal(bdev_write(f, a->d.chan[0], 3, 2, out, 0), 0);
	assert_true(a->shift->wrote);
	assert_memory_equal(a->ram->mem + (3 + SHIFT_BLOCKS) * 512, out, sizeof(out));
	assert_int_equal(bdev_read(f, a->d.chan[0], 3, 2, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(a->shift->passed, 2);
	assert_int_equal(a->shift->emptied, 2);
	stats_are(f, a->d.bdev, 1, 1);
	stats_are(f, a->shift->child, 1, 1);
	assert_int_equal(bdev_read(f, a->d.chan[0], 3, 2, in), 0);
	assert_int_equal(bdev_stats_reset(f, a->d.bdev), 0);
	stats_are(f, a->d.bdev, 0, 0);
	stats_are(f, a->shift->child, 2, 1);
	assert_int_equal(bdev_read(f, a->d.chan[0], 3, 2, in), 0);
	assert_int_equal(bdev_stats_reset(f, a->shift->child), 0);
	stats_are(f, a->d.bdev, 1, 0);
	stats_are(f, a->shift->child, 0, 0);
	return 0;
}

static void a_bio_goes_to_its_place_and_both_disks_count_it(void **state)
{
	static const char *const uris[] = { "shift:///s?on=ram%3A%2F%2F%2Fa",
					    "shift:///s?on=ram%3A%2F%2F%2Fa%3Fmode%3D1",
					    "shift:///s?on=ram%3A%2F%2F%2Fa%3Fmode%3D2" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(uris); i++) {
		struct above a = { 0 };

		above_begin(&a, uris[i], places_fn);
	}
}

static int error_fn(struct fiber *f, void *arg)
{
	struct above *a = arg;
	struct bdev_stats stats;
	uint8_t in[512];

	a->ram->fail_op = 1u << BIO_READ;
	assert_int_equal(bdev_read(f, a->d.chan[0], 0, 1, in), -EIO);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(bdev_stats_get(f, i ? a->shift->child : a->d.bdev, &stats, NULL),
				 0);
		assert_int_equal(stats.op[BIO_READ].errors, 1);
	}
	return 0;
}

static void an_error_is_the_bios_own(void **state)
{
	struct above a = { 0 };

	(void)state;
	above_begin(&a, "shift:///s?on=ram%3A%2F%2F%2Fa", error_fn);
}

/* ---- what may pass ------------------------------------------------------------------------------ */

static int no_lane_fn(struct fiber *f, void *arg)
{
	struct above *a = arg;
	uint8_t in[512];

	assert_null(a->chan->lane);
	assert_int_equal(bdev_read(f, a->d.chan[0], 0, 1, in), -EOPNOTSUPP);
	return 0;
}

static void there_is_no_lane_to_a_stricter_disk_nor_a_second_one(void **state)
{
	static const char *const uris[] = {
		"shift:///s?on=ram%3A%2F%2F%2Fa%3Fmax%3D8",
		"shift:///s?on=ram%3A%2F%2F%2Fa%3Fiov%3D4",
		"shift:///s?on=ram%3A%2F%2F%2Fa%3Falign%3D512",
		"shift:///s?on=ram%3A%2F%2F%2Fa%3Funit%3D8",
		"shift:///s?on=ram%3A%2F%2F%2Fa%3Fboundary%3D8",
		"shift:///s?on=shift%3A%2F%2F%2Ft%3Fon%3Dram%253A%252F%252F%252Fa" /* LN3 */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(uris); i++) {
		struct above a = { 0 };

		above_begin(&a, uris[i], no_lane_fn);
	}
}

static int fua_fn(struct fiber *f, void *arg)
{
	struct above *a = arg;
	uint8_t out[512] = { 0 };

	assert_int_equal(a->chan->lane->ready, 3);
	assert_int_equal(bdev_write(f, a->d.chan[0], 0, 1, out, BIO_FUA), -EOPNOTSUPP);
	assert_int_equal(bdev_write(f, a->d.chan[0], 0, 1, out, 0), 0);
	return 0;
}

static void fua_does_not_pass_where_it_is_ignored(void **state)
{
	struct above a = { 0 };

	(void)state;
	above_begin(&a, "shift:///s?on=ram%3A%2F%2F%2Fa%3Fnofua%3D2", fua_fn);
}

/* ---- waiting beneath ------------------------------------------------------------------------------ */

#define WAITERS 5u

struct waiters {
	struct bio *bio[WAITERS];
	struct iovec iov[WAITERS];
	uint8_t buf[WAITERS][512];
	unsigned done;
	int status[WAITERS];
};

static struct waiters *waiters_now;

static void waiter_done(struct bio *bio)
{
	for (unsigned i = 0; i < WAITERS; i++)
		if (waiters_now->bio[i] == bio)
			waiters_now->status[i] = bio->status;
	assert_ptr_equal(bio->chan->bdev->driver, &shift_driver);
	assert_true(bio->lba < WAITERS);
	waiters_now->done++;
}

static void waiters_send(struct above *a, struct waiters *w)
{
	waiters_now = w;
	for (unsigned i = 0; i < WAITERS; i++) {
		w->bio[i] = bio_new(a->d.chan[0]);
		w->iov[i] = (struct iovec){ w->buf[i], 512 };
		bio_prep(w->bio[i], a->d.chan[0], BIO_WRITE, i, 1, &w->iov[i], 1, waiter_done);
		bio_submit(w->bio[i]);
	}
}

static void waiters_free(struct waiters *w)
{
	for (unsigned i = 0; i < WAITERS; i++)
		mem_free(w->bio[i]);
}

static int depth_fn(struct fiber *f, void *arg)
{
	struct above *a = arg;
	struct waiters w = { 0 };

	waiters_send(a, &w);
	assert_int_equal(a->ram->inflight, 2);
	assert_int_equal(a->shift->tally.inflight, WAITERS);
	while (w.done < WAITERS) {
		ram_release(a->ram, 0);
		fiber_yield(f);
	}
	assert_int_equal(a->ram->inflight_max, 2);
	assert_int_equal(a->shift->emptied, 1);
	for (unsigned i = 0; i < WAITERS; i++)
		assert_int_equal(w.status[i], 0);
	waiters_free(&w);
	return 0;
}

static void the_depth_of_the_disk_beneath_is_kept(void **state)
{
	struct above a = { 0 };

	(void)state;
	above_begin(&a, "shift:///s?on=ram%3A%2F%2F%2Fa%3Fdepth%3D2%26mode%3D4", depth_fn);
}

static void reset_ended(struct bio *bio)
{
	*(bool *)bio->iov = true;
}

static int reset_beneath_fn(struct fiber *f, void *arg)
{
	struct above *a = arg;
	struct waiters w = { 0 };
	struct bio *reset = bio_new(a->chan->child);
	bool ended = false;

	waiters_send(a, &w);
	bio_prep(reset, a->chan->child, BIO_RESET, 0, 0, (void *)&ended, 0, reset_ended);
	bio_submit(reset);
	assert_int_equal(a->chan->lane->ready, 0);
	for (unsigned i = 0; i < 4; i++)
		fiber_yield(f);
	assert_false(ended); /* two are with the driver still */
	assert_int_equal(w.done, WAITERS - 2);
	ram_release(a->ram, 0);
	while (!ended || w.done < WAITERS)
		fiber_yield(f);
	for (unsigned i = 0; i < WAITERS; i++)
		assert_int_equal(w.status[i], i < 2 ? 0 : -ECANCELED);
	assert_int_equal(a->chan->lane->ready, 15);
	waiters_free(&w);
	mem_free(reset);
	return 0;
}

static void a_reset_beneath_ends_those_that_wait_there(void **state)
{
	struct above a = { 0 };

	(void)state;
	above_begin(&a, "shift:///s?on=ram%3A%2F%2F%2Fa%3Fdepth%3D2%26mode%3D4", reset_beneath_fn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bio_goes_to_its_place_and_both_disks_count_it),
		cmocka_unit_test(an_error_is_the_bios_own),
		cmocka_unit_test(there_is_no_lane_to_a_stricter_disk_nor_a_second_one),
		cmocka_unit_test(fua_does_not_pass_where_it_is_ignored),
		cmocka_unit_test(the_depth_of_the_disk_beneath_is_kept),
		cmocka_unit_test(a_reset_beneath_ends_those_that_wait_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
