/* SPDX-License-Identifier: Apache-2.0 */
/* Bios: callbacks, checks, queue depth, statistics, emulation, faults. */
#include "unit/unit.h"

#include <errno.h>

#include "unit/bdev/rig.h"
#include "unit/dies.h"

static int write_read_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	struct bdev_chan *chan = d->chan[reactor_index(fiber_reactor(f))];
	uint8_t out[1024], in[1024];

	memset(out, 0x5a, sizeof(out));
	assert_int_equal(bdev_write(f, chan, 3, 2, out, 0), 0);
	assert_int_equal(bdev_read(f, chan, 3, 2, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(bdev_zeroes(f, chan, 4, 1, 0), 0);
	assert_int_equal(bdev_read(f, chan, 3, 2, in), 0);
	memset(out + 512, 0, 512);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(bdev_unmap(f, chan, 0, 256), 0);
	assert_int_equal(bdev_flush(f, chan), 0);
	return 0;
}

static void what_is_written_is_read(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 0, write_read_fn, &d, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 1, write_read_fn, &d, NULL), 0);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- bios by hand ----------------------------------------------------- */

struct hand {
	struct bio *bio;
	struct iovec iov[4];
	uint8_t *buf;
	unsigned done;
	unsigned again; /* submit it again so often, from done */
	bool inside;	/* a submit is on the stack */
};

static void hand_submit(struct hand *h)
{
	bool was = h->inside;

	h->inside = true;
	bio_submit(h->bio);
	h->inside = was;
}

static void hand_done(struct bio *bio)
{
	struct hand *h = bio->layer_priv;

	assert_false(h->inside); /* B1 */
	h->done++;
	if (h->again) {
		h->again--;
		hand_submit(h);
	}
}

static void hand_init(struct hand *h, struct bdev_chan *chan)
{
	memset(h, 0, sizeof(*h));
	h->bio = bio_new(chan);
	h->buf = mem_alloc_aligned(reactor_io(chan->reactor)->mem, 4096, 1 << 20);
	memset(h->buf, 0xa5, 1 << 20);
}

static void hand_prep(struct hand *h, struct bdev_chan *chan, enum bio_op op, uint64_t lba,
		      uint64_t blocks)
{
	h->iov[0] = (struct iovec){ h->buf, blocks * chan->bdev->block_size *
						    (op == BIO_COMPARE_WRITE ? 2 : 1) };
	bio_prep(h->bio, chan, op, lba, blocks, bio_op_has_data(op) ? h->iov : NULL,
		 bio_op_has_data(op) ? 1 : 0, hand_done);
	h->bio->layer_priv = h;
	h->done = 0;
}

static void hand_fini(struct hand *h)
{
	mem_free(h->bio);
	mem_free(h->buf);
}

static int hand_run(struct rig *rig, struct hand *h)
{
	hand_submit(h);
	assert_int_equal(h->done, 0);
	rig_run(rig);
	assert_int_equal(h->done, 1);
	return h->bio->status;
}

static int do_op(struct rig *rig, struct hand *h, struct bdev_chan *chan, enum bio_op op,
		 uint64_t lba, uint64_t blocks)
{
	hand_prep(h, chan, op, lba, blocks);
	return hand_run(rig, h);
}

static void begin(struct rig *rig, struct rig_disk *d, struct hand *h, const char *uri)
{
	rig_init(rig, 1);
	rig_disk_open(rig, d, uri);
	hand_init(h, d->chan[0]);
}

static void end(struct rig *rig, struct rig_disk *d, struct hand *h)
{
	hand_fini(h);
	rig_disk_close(d);
	rig_fini(rig);
}

static void done_may_submit_again(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	(void)state;
	for (unsigned mode = RAM_NOW; mode <= RAM_MIXED; mode++) {
		char uri[64];

		snprintf(uri, sizeof(uri), "ram:///a?mode=%u", mode);
		rig_init(&rig, 1);
		rig_disk_open(&rig, &d, uri);
		hand_init(&h, d.chan[0]);
		hand_prep(&h, d.chan[0], BIO_WRITE, 0, 8);
		h.again = 10000;
		hand_submit(&h);
		rig_run(&rig);
		assert_int_equal(h.done, 10001);
		hand_fini(&h);
		rig_disk_close(&d);
		rig_fini(&rig);
	}
}

static void wrong_bios_are_refused_before_anything_is_done(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	(void)state;
	begin(&rig, &d, &h, "ram:///a?blocks=256&max=8");
	for (unsigned op = 0; op < BIO_OPS; op++) {
		if (op == BIO_FLUSH || op == BIO_RESET)
			continue;
		assert_int_equal(do_op(&rig, &h, d.chan[0], op, 0, 0), -EINVAL);
		assert_int_equal(do_op(&rig, &h, d.chan[0], op, 256, 1), -EINVAL);
		assert_int_equal(do_op(&rig, &h, d.chan[0], op, 255, 2), -EINVAL);
		assert_int_equal(do_op(&rig, &h, d.chan[0], op, UINT64_MAX, 2), -EINVAL);
		assert_int_equal(do_op(&rig, &h, d.chan[0], op, 1, UINT64_MAX), -EINVAL);
		if (!bio_op_has_data(op))
			continue;
		hand_prep(&h, d.chan[0], op, 0, 2);
		h.iov[0].iov_len--;
		assert_int_equal(hand_run(&rig, &h), -EINVAL);
		hand_prep(&h, d.chan[0], op, 0, 2);
		h.bio->iov_count = 0;
		assert_int_equal(hand_run(&rig, &h), -EINVAL);
		hand_prep(&h, d.chan[0], op, 0, 2);
		h.iov[0].iov_len = SIZE_MAX;
		h.iov[1] = h.iov[0];
		h.bio->iov_count = 2;
		assert_int_equal(hand_run(&rig, &h), -EINVAL);
		hand_prep(&h, d.chan[0], op, 0, 2);
		h.bio->iov_count = BIO_IOV_MAX + 1;
		assert_int_equal(hand_run(&rig, &h), -EINVAL);
	}
	hand_prep(&h, d.chan[0], BIO_OPS, 0, 1);
	assert_int_equal(hand_run(&rig, &h), -EINVAL);
	assert_int_equal(rig_ram(&d)->submits, 0);
	end(&rig, &d, &h);
}

static void a_bio_has_at_most_so_many_bytes_and_iovecs(void **state)
{
	static struct iovec iov[BIO_IOV_MAX];
	struct rig rig;
	struct rig_disk d;
	struct hand h;
	uint64_t max = BIO_BYTES_MAX / 4096;

	(void)state;
	begin(&rig, &d, &h, "ram:///a?bs=4096&blocks=20000&mode=1");
	uint8_t *buf = mem_alloc_aligned(&rig.heap.mem, 4096, BIO_BYTES_MAX + 4096);

	hand_prep(&h, d.chan[0], BIO_WRITE, 0, max);
	h.iov[0] = (struct iovec){ buf, BIO_BYTES_MAX };
	assert_int_equal(hand_run(&rig, &h), 0);
	hand_prep(&h, d.chan[0], BIO_WRITE, 0, max + 1);
	h.iov[0] = (struct iovec){ buf, BIO_BYTES_MAX + 4096 };
	assert_int_equal(hand_run(&rig, &h), -EINVAL);
	hand_prep(&h, d.chan[0], BIO_WRITE, 0, BIO_IOV_MAX);
	for (unsigned i = 0; i < BIO_IOV_MAX; i++)
		iov[i] = (struct iovec){ buf + i * 4096, 4096 };
	h.bio->iov = iov;
	h.bio->iov_count = BIO_IOV_MAX;
	assert_int_equal(hand_run(&rig, &h), 0);
	mem_free(buf);
	end(&rig, &d, &h);
}

static int big_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	size_t bytes = 20000ul * 4096;
	uint8_t *out = mem_new(fiber_io(f), bytes), *in = mem_new(fiber_io(f), bytes);
	struct prng p;
	int r;

	prng_init(&p, 1, 1);
	prng_fill(&p, out, bytes);
	r = bdev_write(f, d->chan[0], 0, 20000, out, BIO_FUA);
	if (r == 0)
		r = bdev_read(f, d->chan[0], 0, 20000, in);
	assert_memory_equal(in, out, bytes);
	mem_free(out);
	mem_free(in);
	return r;
}

static void the_calls_of_fibers_take_any_length(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a?bs=4096&blocks=20000");
	assert_int_equal(rig_fiber(&rig, 0, big_fn, &d, NULL), 0);
	assert_int_equal(rig_ram(&d)->seen[BIO_WRITE], 2);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- abilities -------------------------------------------------------- */

static void a_read_only_disk_refuses_writes(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	(void)state;
	begin(&rig, &d, &h, "ram:///a?ro=1");
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_READ, 0, 1), 0);
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_WRITE, 0, 1), -EROFS);
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_ZEROES, 0, 1), -EROFS);
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_UNMAP, 0, 1), -EROFS);
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_COMPARE_WRITE, 0, 1), -EROFS);
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_FLUSH, 0, 0), 0);
	end(&rig, &d, &h);
}

static void fast_zeroes_are_not_written_out(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	(void)state;
	begin(&rig, &d, &h, "ram:///a");
	hand_prep(&h, d.chan[0], BIO_ZEROES, 0, 8);
	h.bio->flags = BIO_FAST;
	assert_int_equal(hand_run(&rig, &h), -ENOTSUP);
	rig_disk_close(&d);
	rig_disk_open(&rig, &d, "ram:///a?ops=0x17&uz=1"); /* unmap that zeroes */
	hand_prep(&h, d.chan[0], BIO_ZEROES, 0, 8);
	h.bio->flags = BIO_FAST;
	assert_int_equal(hand_run(&rig, &h), 0);
	assert_int_equal(rig_ram(&d)->seen[BIO_UNMAP], 1);
	hand_prep(&h, d.chan[0], BIO_ZEROES, 0, 8);
	h.bio->flags = BIO_KEEP;
	assert_int_equal(hand_run(&rig, &h), 0);
	assert_int_equal(rig_ram(&d)->seen[BIO_WRITE], 1);
	end(&rig, &d, &h);
}

static void unmap_on_a_disk_that_cannot_is_a_hint(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	(void)state;
	begin(&rig, &d, &h, "ram:///a?ops=3");
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_UNMAP, 0, 8), 0);
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_FLUSH, 0, 0), 0); /* nothing is volatile */
	assert_int_equal(rig_ram(&d)->submits, 0);
	rig_disk_close(&d);
	rig_disk_open(&rig, &d, "ram:///a?uz=1");
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_UNMAP, 0, 8), 0);
	assert_int_equal(rig_ram(&d)->seen[BIO_WRITE], 1); /* it promised zeros */
	rig_disk_close(&d);
	rig_disk_open(&rig, &d, "ram:///a?unit=8&ops=0x17");
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_UNMAP, 4, 16), 0);
	assert_int_equal(rig_ram(&d)->seen[BIO_UNMAP], 1); /* whole units of it */
	assert_int_equal(do_op(&rig, &h, d.chan[0], BIO_UNMAP, 4, 8), 0);
	assert_int_equal(rig_ram(&d)->seen[BIO_UNMAP], 1);
	end(&rig, &d, &h);
}

static void tokens_and_fua_reach_every_piece(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	(void)state;
	begin(&rig, &d, &h, "ram:///a?max=2&vc=1");
	hand_prep(&h, d.chan[0], BIO_WRITE, 1, 8);
	h.bio->flags = BIO_FUA;
	h.bio->token = 0x50001;
	assert_int_equal(hand_run(&rig, &h), 0);
	assert_int_equal(rig_ram(&d)->seen_fua, 4);
	assert_int_equal(rig_ram(&d)->token, 0x50001);
	assert_int_equal(rig_ram(&d)->seen[BIO_FLUSH], 0);
	rig_disk_close(&d);
	rig_disk_open(&rig, &d, "ram:///a?vc=1&nofua=2"); /* write, then flush */
	hand_prep(&h, d.chan[0], BIO_WRITE, 1, 8);
	h.bio->flags = BIO_FUA;
	assert_int_equal(hand_run(&rig, &h), 0);
	assert_int_equal(rig_ram(&d)->seen[BIO_FLUSH], 1);
	assert_memory_equal(rig_ram(&d)->stable + 512, h.buf, 4096);
	rig_ram(&d)->fail_op = 1 << BIO_FLUSH;
	h.done = 0;
	assert_int_equal(hand_run(&rig, &h), -EIO);
	end(&rig, &d, &h);
}

/* ---- depth and statistics --------------------------------------------- */

static void bios_beyond_the_depth_wait_in_order(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h[40];
	struct bdev_chan *chan;

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a?depth=3&mode=4");
	chan = d.chan[0];
	for (unsigned i = 0; i < 40; i++) {
		hand_init(&h[i], chan);
		hand_prep(&h[i], chan, BIO_READ, i, 1);
		hand_submit(&h[i]);
	}
	rig_run(&rig);
	assert_int_equal(rig_ram(&d)->submits, 3);
	for (unsigned round = 1; round <= 14; round++) {
		ram_release(rig_ram(&d), 0);
		rig_run(&rig);
		for (unsigned i = 0; i < 40; i++)
			assert_int_equal(h[i].done, i < 3 * round);
	}
	assert_int_equal(rig_ram(&d)->inflight_max, 3);
	for (unsigned i = 0; i < 40; i++)
		hand_fini(&h[i]);
	rig_disk_close(&d);
	rig_fini(&rig);
}

struct stats {
	struct rig_disk *d;
	struct bdev_stats stats;
	struct hist hist[BIO_OPS];
	bool with_hist;
};

static int stats_fn(struct fiber *f, void *arg)
{
	struct stats *s = arg;

	return bdev_stats_get(f, s->d->bdev, &s->stats, s->with_hist ? s->hist : NULL);
}

static int stats_reset_fn(struct fiber *f, void *arg)
{
	return bdev_stats_reset(f, ((struct stats *)arg)->d->bdev);
}

static void statistics_cover_all_channels_past_and_present(void **state)
{
	struct rig rig;
	struct rig_disk d, e;
	struct hand h;
	struct stats *s = calloc(1, sizeof(*s));

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a?mode=2&max=4&align=4");
	rig_disk_open(&rig, &e, "ram:///a?mode=2&max=4&align=4");
	s->d = &d;
	s->with_hist = true;
	hand_init(&h, d.chan[0]);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(
			do_op(&rig, &h, i % 2 ? d.chan[i % 3 % 2] : e.chan[1], BIO_WRITE, i, 4), 0);
	assert_int_equal(do_op(&rig, &h, d.chan[1], BIO_READ, 0, 9), 0);
	assert_int_equal(do_op(&rig, &h, d.chan[1], BIO_READ, 300, 1), -EINVAL);
	hand_prep(&h, d.chan[1], BIO_READ, 0, 4);
	h.iov[0].iov_base = h.buf + 1;
	assert_int_equal(hand_run(&rig, &h), 0);
	assert_int_equal(do_op(&rig, &h, d.chan[1], BIO_COMPARE, 0, 4), 0);
	rig_disk_close(&e); /* its channels are past now */
	assert_int_equal(rig_fiber(&rig, 1, stats_fn, s, NULL), 0);
	assert_int_equal(s->stats.op[BIO_WRITE].ops, 10);
	assert_int_equal(s->stats.op[BIO_WRITE].blocks, 40);
	assert_int_equal(s->stats.op[BIO_READ].ops, 3);
	assert_int_equal(s->stats.op[BIO_READ].errors, 1);
	assert_int_equal(s->stats.split, 1);
	assert_int_equal(s->stats.bounced, 1);
	assert_int_equal(s->stats.emulated, 1);
	assert_int_equal(s->stats.inflight, 0);
	assert_int_equal(s->hist[BIO_WRITE].count, 10);
	assert_int_equal(s->hist[BIO_WRITE].sum, s->stats.op[BIO_WRITE].busy_ns);
	assert_true(hist_max(&s->hist[BIO_WRITE]) <= 20000 && s->hist[BIO_WRITE].sum > 0);
	assert_int_equal(rig_fiber(&rig, 1, stats_reset_fn, s, NULL), 0);
	s->with_hist = false;
	assert_int_equal(rig_fiber(&rig, 0, stats_fn, s, NULL), 0);
	assert_int_equal(s->stats.op[BIO_WRITE].ops, 0);
	end(&rig, &d, &h);
	free(s);
}

/* ---- words ------------------------------------------------------------ */

static int failing_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	uint8_t block[512];

	return bdev_read(f, d->chan[0], 7, 1, block);
}

static int failing_flush_fn(struct fiber *f, void *arg)
{
	return bdev_flush(f, ((struct rig_disk *)arg)->chan[0]);
}

static void a_failed_bio_says_what_and_where(void **state)
{
	char words[ERR_WORDS_SIZE];
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a");
	rig_ram(&d)->fail_op = ~0u;
	assert_int_equal(rig_fiber(&rig, 0, failing_fn, &d, words), -EIO);
	assert_string_equal(words, "ram:///a: read of 1 blocks at 7 failed: EIO");
	assert_int_equal(rig_fiber(&rig, 0, failing_flush_fn, &d, words), -EIO);
	assert_string_equal(words, "ram:///a: flush failed: EIO");
	assert_string_equal(bio_op_name(BIO_COMPARE_WRITE), "compare-and-write");
	assert_string_equal(bio_op_name(99), "unknown op");
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- faults ----------------------------------------------------------- */

/* Every op in pieces, with all that may be allocated for them; -ENOMEM or success, and no leak. */
static void every_allocation_on_the_way_may_fail(void **state)
{
	static const char *const uris[] = {
		"ram:///a?unit=8&align=512&max=8",
		"ram:///a?ops=3&max=3&align=16",
	};
	bool failed = true;

	(void)state;
	for (unsigned u = 0; u < ARRAY_LEN(uris); u++)
		for (uint64_t n = 1; failed || n == 1; n++) {
			struct rig rig;
			struct rig_disk d;
			struct hand h;

			rig_init(&rig, 1);
			rig_disk_open(&rig, &d, uris[u]);
			hand_init(&h, d.chan[0]);
			rig.heap.fail_at = rig.heap.allocs + n;
			for (unsigned op = 0; op < BIO_OPS; op++) {
				int r;

				hand_prep(&h, d.chan[0], op, 3, 20);
				h.iov[0].iov_base = h.buf + 1;
				r = hand_run(&rig, &h);
				if (r == -EILSEQ)
					continue;
				assert_true(r == 0 || (rig.heap.failures && r == -ENOMEM) ||
					    (rig.heap.failures && r == -EIO));
			}
			failed = rig.heap.failures > 0;
			hand_fini(&h);
			rig_disk_close(&d);
			rig_fini(&rig);
			assert_true(n < 100);
		}
}

static void every_bio_of_the_driver_may_fail(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct rig rig;
		struct rig_disk d;
		struct hand h;
		bool failed;

		rig_init(&rig, 1);
		rig_disk_open(&rig, &d,
			      "ram:///a?unit=8&align=512&max=8&depth=2&mode=3&nofua=2&vc=1");
		hand_init(&h, d.chan[0]);
		rig_ram(&d)->fail_at = n;
		for (unsigned op = 0; op < BIO_OPS; op++) {
			int r;

			failed = rig_ram(&d)->submits >= n;
			hand_prep(&h, d.chan[0], op, 3, 20);
			h.bio->flags = BIO_FUA;
			h.iov[0].iov_base = h.buf + 1;
			r = hand_run(&rig, &h);
			if (r != -EILSEQ)
				assert_int_equal(r,
						 !failed && rig_ram(&d)->submits >= n ? -EIO : 0);
		}
		failed = rig_ram(&d)->submits >= n;
		hand_fini(&h);
		rig_disk_close(&d);
		rig_fini(&rig);
		if (!failed)
			return;
		assert_true(n < 1000);
	}
}

/* More bios in pieces than there are requests. */
static void bios_in_pieces_wait_for_each_other(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h[50];

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a?max=1&mode=4");
	for (unsigned i = 0; i < 50; i++) {
		hand_init(&h[i], d.chan[0]);
		hand_prep(&h[i], d.chan[0], BIO_WRITE, 2 * i, 2);
		hand_submit(&h[i]);
	}
	rig_run(&rig);
	assert_int_equal(rig_ram(&d)->submits, 32); /* LAYER_REQS_MAX of two pieces */
	while (ram_release(rig_ram(&d), 0))
		rig_run(&rig);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(h[i].done, 1);
		assert_int_equal(h[i].bio->status, 0);
		hand_fini(&h[i]);
	}
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- mistakes of programmers ------------------------------------------ */

static void complete_twice(void)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	begin(&rig, &d, &h, "ram:///a");
	do_op(&rig, &h, d.chan[0], BIO_READ, 0, 1);
	bio_complete(h.bio, 0);
}

static void close_in_flight(void)
{
	struct rig rig;
	struct rig_disk d;
	struct hand h;

	begin(&rig, &d, &h, "ram:///a?mode=4");
	hand_prep(&h, d.chan[0], BIO_READ, 0, 1);
	hand_submit(&h);
	rig_disk_close(&d);
}

static void mistakes_are_noticed(void **state)
{
	(void)state;
	assert_dies(complete_twice());
	assert_dies(close_in_flight());
}

static int chan_fail_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	struct bdev_chan *chan;

	return bdev_chan_open(f, d->bdev, &chan);
}

static void a_driver_may_refuse_a_channel(void **state)
{
	char words[ERR_WORDS_SIZE];
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a");
	rig_ram(&d)->chan_error = -ENOSPC;
	assert_int_equal(rig_fiber(&rig, 0, chan_fail_fn, &d, words), -ENOSPC);
	assert_string_equal(words, "ram: no channel today");
	rig_disk_close(&d);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(done_may_submit_again),
		cmocka_unit_test(wrong_bios_are_refused_before_anything_is_done),
		cmocka_unit_test(a_bio_has_at_most_so_many_bytes_and_iovecs),
		cmocka_unit_test(the_calls_of_fibers_take_any_length),
		cmocka_unit_test(a_read_only_disk_refuses_writes),
		cmocka_unit_test(fast_zeroes_are_not_written_out),
		cmocka_unit_test(unmap_on_a_disk_that_cannot_is_a_hint),
		cmocka_unit_test(tokens_and_fua_reach_every_piece),
		cmocka_unit_test(bios_beyond_the_depth_wait_in_order),
		cmocka_unit_test(statistics_cover_all_channels_past_and_present),
		cmocka_unit_test(a_failed_bio_says_what_and_where),
		cmocka_unit_test(every_allocation_on_the_way_may_fail),
		cmocka_unit_test(every_bio_of_the_driver_may_fail),
		cmocka_unit_test(bios_in_pieces_wait_for_each_other),
		cmocka_unit_test(mistakes_are_noticed),
		cmocka_unit_test(a_driver_may_refuse_a_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
