/* SPDX-License-Identifier: Apache-2.0 */
/* Removal, resize, reset: what happens to bios and who is told. */
#include "unit/unit.h"

#include <errno.h>

#include "unit/bdev/rig.h"

/* ---- bios that are watched -------------------------------------------- */

#define BIOS_MAX 64

struct shot {
	struct bio *bio;
	struct iovec iov;
	bool is_done;
	int status;
};

struct volley {
	struct rig_disk *d;
	unsigned count, done;
	struct shot shot[BIOS_MAX];
	uint8_t *buf;
	/* what to fire */
	enum bio_op op;
	uint64_t lba, blocks;
	unsigned chan;
	bool skewed; /* unaligned memory */
	struct bdev_chan *resubmit;
};

static void shot_done(struct bio *bio)
{
	struct volley *v = bio->layer_priv;

	for (unsigned i = 0; i < v->count; i++)
		if (v->shot[i].bio == bio) {
			assert_false(v->shot[i].is_done); /* B1 */
			v->shot[i].is_done = true;
			v->shot[i].status = bio->status;
		}
	v->done++;
}

static struct shot *fire(struct volley *v, enum bio_op op, uint64_t lba, uint64_t blocks)
{
	struct shot *shot = &v->shot[v->count++];
	struct bdev_chan *chan = v->d->chan[v->chan];
	uint64_t halves = op == BIO_COMPARE_WRITE ? 2 : 1;

	if (!v->buf)
		v->buf = mem_alloc_aligned(&v->d->rig->heap.mem, 4096, 1 << 20);
	shot->iov.iov_base = v->buf + (v->skewed ? 1 : 0);
	shot->iov.iov_len = blocks * v->d->bdev->block_size * halves;
	shot->bio = bio_new(chan);
	bio_prep(shot->bio, chan, op, lba, blocks, bio_op_has_data(op) ? &shot->iov : NULL,
		 bio_op_has_data(op) ? 1 : 0, shot_done);
	shot->bio->layer_priv = v;
	bio_submit(shot->bio);
	assert_false(shot->is_done); /* B1 */
	return shot;
}

static void volley_free(struct volley *v)
{
	assert_int_equal(v->done, v->count);
	for (unsigned i = 0; i < v->count; i++)
		mem_free(v->shot[i].bio);
	mem_free(v->buf);
}

/* ---- reset ------------------------------------------------------------ */

static void a_reset_ends_what_waits_and_waits_for_the_rest(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct volley v = { .d = &d };

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a?depth=2&mode=4");
	struct shot *first = fire(&v, BIO_READ, 0, 1);
	fire(&v, BIO_READ, 1, 1);
	struct shot *waits = fire(&v, BIO_READ, 2, 1);
	struct shot *reset = fire(&v, BIO_RESET, 0, 0);
	struct shot *later = fire(&v, BIO_READ, 3, 1);
	struct shot *reset2 = fire(&v, BIO_RESET, 0, 0);
	struct shot *last = fire(&v, BIO_READ, 4, 1);

	rig_run(&rig);
	assert_true(waits->is_done);
	assert_int_equal(waits->status, -ECANCELED);
	assert_false(first->is_done || reset->is_done || later->is_done);
	assert_int_equal(ram_release(rig_ram(&d), 0), 2);
	rig_run(&rig);
	assert_true(first->is_done && reset->is_done);
	assert_int_equal(first->status, 0);
	assert_int_equal(reset->status, 0);
	assert_false(later->is_done || reset2->is_done);
	ram_release(rig_ram(&d), 0);
	rig_run(&rig);
	assert_true(later->is_done && reset2->is_done);
	assert_int_equal(later->status, 0);
	assert_false(last->is_done);
	ram_release(rig_ram(&d), 0);
	rig_run(&rig);
	volley_free(&v);
	rig_disk_close(&d);
	rig_fini(&rig);
}

static void a_driver_that_knows_reset_is_asked(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct volley v = { .d = &d };

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a?mode=4&ops=0xff");
	struct shot *read = fire(&v, BIO_READ, 0, 1);
	struct shot *reset = fire(&v, BIO_RESET, 0, 0);
	struct shot *other = fire(&v, BIO_RESET, 0, 0);

	rig_run(&rig);
	assert_int_equal(read->status, -ECANCELED);
	assert_true(reset->is_done && other->is_done);
	assert_int_equal(rig_ram(&d)->seen[BIO_RESET], 2);
	volley_free(&v);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* Split, bounced and waiting for a request. */
static void a_reset_ends_bios_in_pieces(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct volley v = { .d = &d, .skewed = true };

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a?mode=4&max=1&align=512&depth=1");
	for (unsigned i = 0; i < 20; i++)
		fire(&v, BIO_WRITE, 4 * i, 4);
	struct shot *reset = fire(&v, BIO_RESET, 0, 0);

	rig_run(&rig);
	assert_false(reset->is_done);
	ram_release(rig_ram(&d), 0);
	rig_run(&rig);
	assert_true(reset->is_done);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(v.shot[i].status, -ECANCELED);
	volley_free(&v);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- removal ---------------------------------------------------------- */

struct watching {
	struct bdev_watch watch;
	struct rig_disk *d;
	unsigned resized, removed;
	uint64_t blocks; /* as the channel knew it when told */
	unsigned order;
};

static void watch_fn(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct watching *w = container_of(watch, struct watching, watch);

	assert_ptr_equal(bdev, w->d->bdev);
	if (event == BDEV_RESIZED)
		w->resized++;
	else
		w->removed++;
	for (unsigned i = 0; i < w->d->rig->count; i++)
		if (w->d->chan[i] && event == BDEV_RESIZED)
			assert_int_equal(w->d->chan[i]->blocks, bdev->blocks); /* EV1 */
	w->blocks = bdev->blocks;
}

static int watch_add_fn(struct fiber *f, void *arg)
{
	struct watching *w = arg;

	w->watch.fn = watch_fn;
	return bdev_watch_add(f, w->d->bdev, &w->watch);
}

static int watch_del_fn(struct fiber *f, void *arg)
{
	bdev_watch_del(f, &((struct watching *)arg)->watch);
	return 0;
}

static int remove_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	(void)f;
	bdev_removed(d->bdev);
	bdev_removed(d->bdev);
	return 0;
}

static void a_removed_disk_fails_all_and_tells(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct watching w0 = { .d = &d }, w1 = { .d = &d }, late = { .d = &d };
	struct volley v = { .d = &d }, v1 = { .d = &d, .chan = 1, .skewed = true };
	char words[ERR_WORDS_SIZE];

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a?depth=1&mode=4&unit=8&align=16");
	assert_int_equal(rig_fiber(&rig, 0, watch_add_fn, &w0, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 1, watch_add_fn, &w1, NULL), 0);
	fire(&v, BIO_READ, 0, 1);
	fire(&v, BIO_READ, 1, 1);
	fire(&v1, BIO_READ, 1, 1);
	fire(&v1, BIO_WRITE, 1, 1); /* read-modify-write: holds its lock */
	rig_run(&rig);
	fire(&v, BIO_WRITE, 0, 8); /* kept out by it */
	v.skewed = true;
	fire(&v, BIO_WRITE, 0, 8); /* kept out with a request */
	fire(&v, BIO_WRITE, 2, 1); /* waits for the lock */
	fire(&v, BIO_RESET, 0, 0);
	fire(&v, BIO_READ, 5, 1); /* frozen */
	rig_run(&rig);
	rig_fiber(&rig, 0, remove_fn, &d, NULL);
	fire(&v, BIO_READ, 3, 1);
	fire(&v, BIO_FLUSH, 0, 0);
	fire(&v, BIO_RESET, 0, 0);
	fire(&v1, BIO_UNMAP, 3, 1);
	rig_run(&rig);
	assert_int_equal(w0.removed, 1);
	assert_int_equal(w1.removed, 1);
	while (ram_release(rig_ram(&d), 0))
		rig_run(&rig);
	assert_int_equal(v.done, v.count);
	assert_int_equal(v1.done, v1.count);
	assert_int_equal(v.shot[0].status, 0); /* the driver had it */
	for (unsigned i = 7; i < v.count; i++)
		assert_int_equal(v.shot[i].status, -ENODEV);
	assert_int_equal(v1.shot[1].status, -ENODEV);
	assert_int_equal(rig_fiber(&rig, 1, watch_add_fn, &late, words), -ENODEV);
	assert_non_null(strstr(words, "gone"));
	rig_fiber(&rig, 0, watch_del_fn, &w0, NULL);
	rig_fiber(&rig, 1, watch_del_fn, &w1, NULL);
	volley_free(&v);
	volley_free(&v1);
	rig_fiber(&rig, 0, rig_chan_close_fn, &d, NULL);
	d.chan[0] = NULL;
	assert_int_equal(rig_fiber(&rig, 0, rig_chan_open_fn, &d, words), -ENODEV);
	rig_disk_close(&d);
	rig_fini(&rig);
}

static int remove_and_close_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	bdev_removed(d->bdev);
	bdev_close(f, d->bdev);
	return 0;
}

static void close_waits_until_the_removal_is_told(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 2);
	d = (struct rig_disk){ .rig = &rig, .uri = "ram:///a" };
	assert_int_equal(rig_fiber(&rig, 0, rig_disk_open_fn, &d, NULL), 0);
	rig_fiber(&rig, 0, remove_and_close_fn, &d, NULL);
	rig_fini(&rig);
}

/* ---- size ------------------------------------------------------------- */

static int rescan_fn(struct fiber *f, void *arg)
{
	return bdev_rescan(f, ((struct rig_disk *)arg)->bdev);
}

static void all_channels_know_the_size_before_watches_are_told(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct watching w0 = { .d = &d }, w1 = { .d = &d };
	struct volley v = { .d = &d, .chan = 1 };

	(void)state;
	rig_init(&rig, 3);
	rig_disk_open(&rig, &d, "ram:///a?unit=8&blocks=300");
	assert_int_equal(d.bdev->blocks, 296); /* whole units */
	assert_int_equal(rig_fiber(&rig, 0, watch_add_fn, &w0, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 2, watch_add_fn, &w1, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 2, rescan_fn, &d, NULL), 0);
	assert_int_equal(w0.resized, 1);
	assert_int_equal(w1.resized, 1);
	assert_int_equal(w1.blocks, 144);
	fire(&v, BIO_READ, 143, 1);
	fire(&v, BIO_READ, 144, 1);
	rig_run(&rig);
	assert_int_equal(v.shot[0].status, 0);
	assert_int_equal(v.shot[1].status, -EINVAL);
	rig_fiber(&rig, 0, watch_del_fn, &w0, NULL);
	assert_int_equal(rig_fiber(&rig, 2, rescan_fn, &d, NULL), 0);
	assert_int_equal(w0.resized, 1);
	assert_int_equal(w1.resized, 2);
	rig_fiber(&rig, 2, watch_del_fn, &w1, NULL);
	volley_free(&v);
	rig_disk_close(&d);
	rig_fini(&rig);
}

static int resize_same_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	bdev_resized(f, d->bdev, d->bdev->blocks);
	return 0;
}

static int resize_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	bdev_resized(f, d->bdev, d->bdev->blocks - 1);
	return 0;
}

static void resizes_come_one_after_another(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct watching w = { .d = &d };
	struct rig_call a, b, c;

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 1, watch_add_fn, &w, NULL), 0);
	rig_start(&rig, 0, &a, resize_fn, &d);
	rig_start(&rig, 0, &b, resize_fn, &d);
	rig_start(&rig, 0, &c, resize_same_fn, &d);
	rig_run(&rig);
	assert_int_equal(d.bdev->blocks, 255); /* 255, 254, 255 */
	assert_int_equal(w.resized, 3);
	rig_fiber(&rig, 1, watch_del_fn, &w, NULL);
	rig_disk_close(&d);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_ends_what_waits_and_waits_for_the_rest),
		cmocka_unit_test(a_driver_that_knows_reset_is_asked),
		cmocka_unit_test(a_reset_ends_bios_in_pieces),
		cmocka_unit_test(a_removed_disk_fails_all_and_tells),
		cmocka_unit_test(close_waits_until_the_removal_is_told),
		cmocka_unit_test(all_channels_know_the_size_before_watches_are_told),
		cmocka_unit_test(resizes_come_one_after_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
