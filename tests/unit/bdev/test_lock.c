/* SPDX-License-Identifier: Apache-2.0 */
/*
 * B7: compare-and-write and read-modify-write are atomic against each other and all other
 * writes through the layer, from any reactor.
 */
#include "unit/unit.h"

#include <errno.h>

#include "unit/bdev/rig.h"

#define ROUNDS 60

struct counting {
	struct rig_disk *d;
	unsigned tries, id;
};

/* One more in the first word of block 5, as often as ROUNDS, by compare-and-write alone. */
static int count_fn(struct fiber *f, void *arg)
{
	struct counting *c = arg;
	struct bdev_chan *chan = c->d->chan[reactor_index(fiber_reactor(f))];
	uint8_t halves[1024] = { 0 };
	struct iovec iov = { halves, sizeof(halves) };
	struct bio *bio = bio_new(chan);

	for (unsigned done = 0; done < ROUNDS;) {
		uint32_t value;
		int r;

		c->tries++;
		memcpy(halves + 512, halves, 512);
		memcpy(&value, halves, sizeof(value));
		value++;
		memcpy(halves + 512, &value, sizeof(value));
		bio_prep(bio, chan, BIO_COMPARE_WRITE, 5, 1, &iov, 1, NULL);
		r = bio_wait(f, bio);
		if (r == 0) {
			done++;
			continue;
		}
		assert_int_equal(r, -EILSEQ);
		assert_true(bio->miscompare_bytes < 512);
		fiber_clear(f);
		assert_int_equal(bdev_read(f, chan, 5, 1, halves), 0);
	}
	mem_free(bio);
	return 0;
}

/* Blocks of one's own beside it, in the same write unit. */
static int neighbour_fn(struct fiber *f, void *arg)
{
	struct counting *c = arg;
	struct bdev_chan *chan = c->d->chan[reactor_index(fiber_reactor(f))];
	uint8_t out[512], in[512];

	for (unsigned i = 0; i < ROUNDS; i++) {
		memset(out, (int)(i + c->id), sizeof(out));
		assert_int_equal(bdev_write(f, chan, c->id, 1, out, 0), 0);
		assert_int_equal(bdev_read(f, chan, c->id, 1, in), 0);
		assert_memory_equal(in, out, sizeof(in));
	}
	return 0;
}

static void count(const char *uri)
{
	struct rig rig;
	struct rig_disk d;
	struct counting c[9];
	struct rig_call call[9];
	uint32_t value;

	rig_init(&rig, 3);
	rig_disk_open(&rig, &d, uri);
	for (unsigned i = 0; i < 9; i++) {
		c[i] = (struct counting){ .d = &d, .id = i == 5 ? 4 : i };
		rig_start(&rig, i % 3, &call[i], i < 5 ? count_fn : neighbour_fn, &c[i]);
	}
	rig_run(&rig);
	for (unsigned i = 0; i < 9; i++)
		assert_true(call[i].is_done && call[i].result == 0);
	memcpy(&value, rig_ram(&d)->mem + 5 * 512, sizeof(value));
	assert_int_equal(value, 5 * ROUNDS);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* Nobody else writes to block 5: blocks 4, 6, 7 and 8 are the neighbours'. */
static void compare_and_write_is_atomic(void **state)
{
	static const char *const uris[] = {
		"ram:///a?mode=0",
		"ram:///a?mode=2",
		"ram:///a?mode=3&depth=1",
		"ram:///a?mode=2&unit=8",
		"ram:///a?mode=3&unit=2&depth=2&seed=9",
		"ram:///a?mode=2&unit=8&ops=0xff",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uris); i++)
		count(uris[i]);
}

/* ---- writes that meet a lock ------------------------------------------ */

struct flip {
	struct rig_disk *d;
	unsigned flips, mixed;
	bool stop;
};

/* Both blocks are compared and written as one; plain writes change both as one bio, too. */
static int flip_fn(struct fiber *f, void *arg)
{
	struct flip *flip = arg;
	struct bdev_chan *chan = flip->d->chan[reactor_index(fiber_reactor(f))];
	uint8_t halves[4096];
	struct iovec iov = { halves, sizeof(halves) };
	struct bio *bio = bio_new(chan);

	for (unsigned i = 0; i < 200; i++) {
		int r;

		assert_int_equal(bdev_read(f, chan, 0, 4, halves), 0);
		memset(halves + 2048, 0xc0 + (int)(i % 7), 2048);
		bio_prep(bio, chan, BIO_COMPARE_WRITE, 0, 4, &iov, 1, NULL);
		r = bio_wait(f, bio);
		assert_true(r == 0 || r == -EILSEQ);
		fiber_clear(f);
		flip->flips += r == 0;
	}
	mem_free(bio);
	flip->stop = true;
	return 0;
}

static int plain_fn(struct fiber *f, void *arg)
{
	struct flip *flip = arg;
	struct bdev_chan *chan = flip->d->chan[reactor_index(fiber_reactor(f))];
	uint8_t block[512];

	for (unsigned i = 0; !flip->stop; i++) {
		memset(block, (int)(i % 64), sizeof(block));
		assert_int_equal(bdev_write(f, chan, i % 4, 1, block, 0), 0);
		assert_int_equal(fiber_sleep(f, 5000), 0);
	}
	return 0;
}

/*
 * The ram driver writes at the end of a bio. If a plain write slipped in between the compare
 * and the write, its acknowledged data would be lost: the driver's own counter of versions
 * and the plain writers' next reads would not see it. Here: it must at least not hang, and
 * both sides must get on.
 */
static void writers_and_locks_both_get_on(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct flip flip = { .d = &d };
	struct rig_call call[4];

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a?mode=2&max=1&depth=3");
	rig_start(&rig, 0, &call[0], flip_fn, &flip);
	rig_start(&rig, 0, &call[1], plain_fn, &flip);
	rig_start(&rig, 1, &call[2], plain_fn, &flip);
	rig_start(&rig, 1, &call[3], plain_fn, &flip);
	rig_run(&rig);
	for (unsigned i = 0; i < 4; i++)
		assert_true(call[i].is_done && call[i].result == 0);
	assert_true(flip.flips > 0);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- step by step ----------------------------------------------------- */

struct step {
	struct bio *bio;
	struct iovec iov;
	uint8_t data[8192];
	bool is_done;
};

static void step_done(struct bio *bio)
{
	((struct step *)bio->layer_priv)->is_done = true;
}

static void step_start(struct step *s, struct bdev_chan *chan, enum bio_op op, uint64_t lba,
		       uint64_t blocks)
{
	memset(s, 0, sizeof(*s));
	s->bio = bio_new(chan);
	s->iov = (struct iovec){ s->data, blocks * 512 * (op == BIO_COMPARE_WRITE ? 2 : 1) };
	bio_prep(s->bio, chan, op, lba, blocks, &s->iov, 1, step_done);
	s->bio->layer_priv = s;
	bio_submit(s->bio);
}

static void a_lock_waits_for_older_writes_and_keeps_newer_ones_out(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct step older, locker, elsewhere, newer, large;

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a?mode=4&max=4");
	step_start(&older, d.chan[1], BIO_WRITE, 100, 1); /* anywhere: epochs know no places */
	rig_run(&rig);
	step_start(&locker, d.chan[0], BIO_COMPARE_WRITE, 0, 2);
	rig_run(&rig);
	assert_int_equal(rig_ram(&d)->seen[BIO_READ], 0); /* waits for the older one */
	step_start(&newer, d.chan[1], BIO_WRITE, 1, 1);
	step_start(&large, d.chan[1], BIO_WRITE, 1, 8);
	step_start(&elsewhere, d.chan[1], BIO_WRITE, 2, 1);
	rig_run(&rig);
	assert_int_equal(rig_ram(&d)->seen[BIO_WRITE], 2); /* older, elsewhere */
	ram_release(rig_ram(&d), 0);
	rig_run(&rig);
	assert_true(older.is_done && elsewhere.is_done && !newer.is_done);
	assert_int_equal(rig_ram(&d)->seen[BIO_READ], 1);
	ram_release(rig_ram(&d), 0); /* compared */
	rig_run(&rig);
	assert_false(newer.is_done || locker.is_done || large.is_done);
	assert_int_equal(rig_ram(&d)->seen[BIO_WRITE], 3);
	ram_release(rig_ram(&d), 0); /* written */
	rig_run(&rig);
	assert_true(locker.is_done && !newer.is_done);
	assert_int_equal(rig_ram(&d)->seen[BIO_WRITE], 6); /* newer, large in two */
	ram_release(rig_ram(&d), 0);
	rig_run(&rig);
	assert_true(newer.is_done && large.is_done);
	mem_free(older.bio);
	mem_free(locker.bio);
	mem_free(elsewhere.bio);
	mem_free(newer.bio);
	mem_free(large.bio);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* More locks than there are slots, apart from each other and on top of each other. */
static void locks_beyond_the_limit_wait(void **state)
{
	struct step *step = calloc(40, sizeof(*step));
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a?mode=4&blocks=1024");
	for (unsigned i = 0; i < 40; i++)
		step_start(&step[i], d.chan[i % 2], BIO_COMPARE_WRITE, i < 36 ? 8 * i : 0, 1);
	rig_run(&rig);
	assert_int_equal(rig_ram(&d)->seen[BIO_READ], 16); /* RANGE_LOCKS */
	while (ram_release(rig_ram(&d), 0))
		rig_run(&rig);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(step[i].is_done);
		assert_int_equal(step[i].bio->status, 0);
		mem_free(step[i].bio);
	}
	rig_disk_close(&d);
	rig_fini(&rig);
	free(step);
}

/* A channel that opens while a range is locked keeps it. */
static void a_new_channel_knows_the_locks(void **state)
{
	struct rig rig;
	struct rig_disk d, e;
	struct step locker, newer;

	(void)state;
	rig_init(&rig, 2);
	d = (struct rig_disk){ .rig = &rig, .uri = "ram:///a?mode=4" };
	assert_int_equal(rig_fiber(&rig, 0, rig_disk_open_fn, &d, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 0, rig_chan_open_fn, &d, NULL), 0);
	step_start(&locker, d.chan[0], BIO_COMPARE_WRITE, 0, 2);
	rig_run(&rig);
	rig_disk_open(&rig, &e, "ram:///a?mode=4");
	step_start(&newer, e.chan[1], BIO_WRITE, 0, 1);
	rig_run(&rig);
	assert_int_equal(rig_ram(&d)->seen[BIO_WRITE], 0);
	while (ram_release(rig_ram(&d), 0))
		rig_run(&rig);
	assert_true(locker.is_done && newer.is_done);
	mem_free(locker.bio);
	mem_free(newer.bio);
	rig_disk_close(&e);
	rig_disk_close(&d);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compare_and_write_is_atomic),
		cmocka_unit_test(writers_and_locks_both_get_on),
		cmocka_unit_test(a_lock_waits_for_older_writes_and_keeps_newer_ones_out),
		cmocka_unit_test(locks_beyond_the_limit_wait),
		cmocka_unit_test(a_new_channel_knows_the_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
