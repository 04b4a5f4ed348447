// SPDX-License-Identifier: Apache-2.0
/* bio_remap: one bio for two disks, a driver that shifts above one of memory. */
#include "unit/unit.h"

#include <errno.h>

#include "base/uri.h"
#include "unit/bdev/rig.h"

#define SHIFT_BLOCKS 16u
#define ROOM	     256u

struct shift {
	struct bdev bdev;
	struct bdev *child;
	unsigned passed, refused;
};

struct shift_chan {
	struct bdev_chan *child;
};

static struct shift *shift_of(const struct bdev_chan *chan)
{
	return container_of(chan->bdev, struct shift, bdev);
}

static void shift_done(struct bio *bio, struct bio_remap *remap, int status)
{
	assert_ptr_equal(remap, bio->scratch + ROOM);
	assert_ptr_equal(bio->chan->bdev->driver->submit, shift_of(bio->chan)->bdev.driver->submit);
	assert_int_equal(bio->status, status);
	shift_of(bio->chan)->passed++;
}

static void shift_submit(struct bio *bio)
{
	struct shift_chan *chan = bdev_chan_priv(bio->chan);
	struct shift *shift = shift_of(bio->chan);
	uint64_t lba = bio->lba;

	if (bio_remap(bio, (void *)(bio->scratch + ROOM), chan->child, bio->lba + SHIFT_BLOCKS,
		      shift_done))
		return;
	assert_int_equal(bio->lba, lba);
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
	must(shift->child->scratch_bytes <= ROOM);
	shift->bdev = (struct bdev){ .driver = &shift_driver,
				     .block_size = shift->child->block_size,
				     .blocks = shift->child->blocks - SHIFT_BLOCKS,
				     .scratch_bytes = ROOM + sizeof(struct bio_remap) };
	*ret = &shift->bdev;
	return 0;
}

static void shift_close(struct fiber *f, struct bdev *bdev)
{
	struct shift *shift = container_of(bdev, struct shift, bdev);

	bdev_close(f, shift->child);
	mem_free(shift);
}

static int shift_chan_open(struct fiber *f, struct bdev_chan *chan)
{
	return bdev_chan_open(f, shift_of(chan)->child,
			      &((struct shift_chan *)bdev_chan_priv(chan))->child);
}

static void shift_chan_close(struct fiber *f, struct bdev_chan *chan)
{
	bdev_chan_close(f, ((struct shift_chan *)bdev_chan_priv(chan))->child);
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

static struct shift *shift_made(struct rig *rig, struct rig_disk *d, const char *uri)
{
	must(rig_init_drivers(rig, 1, drivers, 0) == 0);
	rig_disk_open(rig, d, uri);
	return container_of(d->bdev, struct shift, bdev);
}

static void shift_gone(struct rig *rig, struct rig_disk *d)
{
	rig_disk_close(d);
	rig_fini(rig);
}

static int places_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	struct shift *shift = container_of(d->bdev, struct shift, bdev);
	struct ram *ram = container_of(shift->child, struct ram, bdev);
	uint8_t out[1024], in[1024];
	struct bdev_stats stats;

	memset(out, 0x5a, sizeof(out));
	assert_int_equal(bdev_write(f, d->chan[0], 3, 2, out, 0), 0);
	assert_memory_equal(ram->mem + (3 + SHIFT_BLOCKS) * 512, out, sizeof(out));
	assert_int_equal(bdev_read(f, d->chan[0], 3, 2, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(bdev_stats_get(f, i ? shift->child : d->bdev, &stats, NULL), 0);
		assert_int_equal(stats.op[BIO_WRITE].ops, 1);
		assert_int_equal(stats.op[BIO_WRITE].blocks, 2);
		assert_int_equal(stats.op[BIO_READ].ops, 1);
		assert_int_equal(stats.inflight, 0);
	}
	assert_int_equal(shift->passed, 2);
	return 0;
}

static void a_remapped_bio_goes_to_its_place_and_both_disks_count_it(void **state)
{
	static const char *const uris[] = { "shift:///s?on=ram%3A%2F%2F%2Fa",
					    "shift:///s?on=ram%3A%2F%2F%2Fa%3Fmode%3D1",
					    "shift:///s?on=ram%3A%2F%2F%2Fa%3Fmode%3D2" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(uris); i++) {
		struct rig rig;
		struct rig_disk d;

		shift_made(&rig, &d, uris[i]);
		assert_int_equal(rig_fiber(&rig, 0, places_fn, &d, NULL), 0);
		shift_gone(&rig, &d);
	}
}

static int error_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	struct shift *shift = container_of(d->bdev, struct shift, bdev);
	struct ram *ram = container_of(shift->child, struct ram, bdev);
	uint8_t in[512];

	ram->fail_op = 1u << BIO_READ;
	assert_int_equal(bdev_read(f, d->chan[0], 0, 1, in), -EIO);
	assert_int_equal(shift->passed, 1);
	return 0;
}

static void the_error_of_a_remapped_bio_is_its_own(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	shift_made(&rig, &d, "shift:///s?on=ram%3A%2F%2F%2Fa");
	assert_int_equal(rig_fiber(&rig, 0, error_fn, &d, NULL), 0);
	shift_gone(&rig, &d);
}

static int too_large_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	struct shift *shift = container_of(d->bdev, struct shift, bdev);
	uint8_t in[512 * 9];

	assert_int_equal(bdev_read(f, d->chan[0], 0, 9, in), -EOPNOTSUPP);
	assert_int_equal(shift->refused, 1);
	assert_int_equal(bdev_read(f, d->chan[0], 0, 8, in), 0);
	assert_int_equal(shift->passed, 1);
	return 0;
}

static void what_does_not_fit_beneath_is_not_remapped(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	shift_made(&rig, &d, "shift:///s?on=ram%3A%2F%2F%2Fa%3Fmax%3D8");
	assert_int_equal(rig_fiber(&rig, 0, too_large_fn, &d, NULL), 0);
	shift_gone(&rig, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_remapped_bio_goes_to_its_place_and_both_disks_count_it),
		cmocka_unit_test(the_error_of_a_remapped_bio_is_its_own),
		cmocka_unit_test(what_does_not_fit_beneath_is_not_remapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
