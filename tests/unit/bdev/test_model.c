/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any disk behind the layer is an array of bytes: all ops and flags, odd memory, all kinds of
 * limits, several bios in flight from two reactors, against a model.
 *
 * Bios in flight do not overlap in blocks (B7 would let them do anything), but share write
 * units and boundaries.
 */
#include "unit/unit.h"

#include <errno.h>
#include <inttypes.h>

#include "unit/bdev/rig.h"

#define SLOTS	       8
#define OPS_PER_RUN    400
#define BLOCKS	       192
#define BLOCKS_PER_BIO 48
#define IOV_MAX_TEST   40
#define ARENA	       (3 * BLOCKS_PER_BIO * 4096 + 64 * IOV_MAX_TEST)

struct slot {
	struct model *m;
	bool busy;
	struct bio *bio;
	struct iovec iov[IOV_MAX_TEST];
	uint8_t *arena;
	int expected;
	uint32_t miscompare;
	uint8_t *flushed;	 /* FLUSH: what must be durable */
	bool may_change[BLOCKS]; /* FLUSH: was written since */
};

struct model {
	struct rig rig;
	struct rig_disk d;
	struct prng prng;
	struct slot slot[SLOTS];
	uint8_t *bytes;
	bool locked[BLOCKS];
	uint32_t bs;
	unsigned done;
	uint64_t token;
	bool has_errors; /* the driver fails some: contents are unknown then */
	bool unknown[BLOCKS];
	bool undurable[BLOCKS]; /* a flush failed, or none came */
};

/* ---- a request's memory ----------------------------------------------- */

static void slot_memory(struct slot *s, uint64_t bytes)
{
	struct prng *p = &s->m->prng;
	unsigned style = (unsigned)prng_below(p, 4), count = 0;
	uint8_t *at = s->arena;

	while (bytes) {
		uint64_t len = bytes;

		if (count < IOV_MAX_TEST - 2 && style == 1)
			len = min_u64(bytes, prng_range(p, 0, 3 * s->m->bs));
		if (count < IOV_MAX_TEST - 2 && style == 2)
			len = min_u64(bytes, prng_range(p, 1, 4) * s->m->bs);
		if (count < IOV_MAX_TEST - 2 && style == 3)
			len = min_u64(bytes, prng_range(p, 1, 8) * 128);
		if (style == 1)
			at += prng_below(p, 33);
		if (style == 3)
			at += prng_below(p, 3) * 16;
		s->iov[count++] = (struct iovec){ .iov_base = at, .iov_len = len };
		at += len;
		bytes -= len;
	}
	must(at <= s->arena + ARENA);
	s->bio->iov = s->iov;
	s->bio->iov_count = count;
}

static void slot_fill(struct slot *s, uint64_t from, uint64_t len, const uint8_t *with)
{
	for (uint32_t i = 0; i < s->bio->iov_count; i++) {
		uint8_t *base = s->iov[i].iov_base;

		for (size_t j = 0; j < s->iov[i].iov_len; j++) {
			if (from) {
				from--;
				continue;
			}
			if (len-- == 0)
				return;
			base[j] = with ? *with++ : (uint8_t)prng_u64(&s->m->prng);
		}
	}
}

static void slot_get(struct slot *s, uint64_t from, uint64_t len, uint8_t *ret)
{
	for (uint32_t i = 0; i < s->bio->iov_count; i++) {
		const uint8_t *base = s->iov[i].iov_base;

		for (size_t j = 0; j < s->iov[i].iov_len; j++) {
			if (from) {
				from--;
				continue;
			}
			if (len-- == 0)
				return;
			*ret++ = base[j];
		}
	}
}

/* ---- ends ------------------------------------------------------------- */

static void model_next(struct slot *s);

static void check_flush(struct slot *s)
{
	struct model *m = s->m;
	struct ram *ram = rig_ram(&m->d);

	for (uint64_t b = 0; b < BLOCKS; b++)
		if (!s->may_change[b] && !m->unknown[b])
			assert_memory_equal(ram->stable + b * m->bs, s->flushed + b * m->bs, m->bs);
}

static bool range_unknown(const struct model *m, const struct bio *bio)
{
	for (uint64_t b = bio->lba; b < bio->lba + bio->blocks; b++)
		if (m->unknown[b])
			return true;
	return false;
}

static void model_write(struct slot *s, uint64_t from)
{
	struct model *m = s->m;
	const struct bio *bio = s->bio;
	uint64_t len = bio->blocks * m->bs;
	uint8_t *to = m->bytes + bio->lba * m->bs;

	if (bio_op_has_data((enum bio_op)bio->op))
		slot_get(s, from, len, to);
	else
		memset(to, 0, len);
	if ((bio->flags & BIO_FUA) && m->d.bdev->volatile_cache)
		assert_memory_equal(rig_ram(&m->d)->stable + bio->lba * m->bs, to, len);
}

static void slot_failed(struct slot *s)
{
	struct model *m = s->m;
	const struct bio *bio = s->bio;

	assert_true(m->has_errors);
	assert_true(bio->status == -EIO || bio->status == -EILSEQ);
	if (bio_op_writes((enum bio_op)bio->op))
		for (uint64_t b = bio->lba; b < bio->lba + bio->blocks; b++)
			m->unknown[b] = true; /* B4 */
}

static void slot_ended(struct slot *s)
{
	struct model *m = s->m;
	struct bio *bio = s->bio;
	uint64_t len = bio->blocks * m->bs;

	if (bio->status < 0 && bio->status != s->expected) {
		slot_failed(s);
		return;
	}
	if (!(m->has_errors && (bio->op == BIO_FLUSH || range_unknown(m, bio))))
		assert_int_equal(bio->status, s->expected);
	if (bio->status == -EILSEQ) {
		if (!range_unknown(m, bio))
			assert_int_equal(bio->miscompare_bytes, s->miscompare);
		return;
	}
	if (bio->op == BIO_FLUSH)
		check_flush(s);
	if (bio->op == BIO_READ && !range_unknown(m, bio)) {
		uint8_t *got = s->arena + ARENA;

		slot_get(s, 0, len, got);
		assert_memory_equal(got, m->bytes + bio->lba * m->bs, len);
	}
	if (bio->op == BIO_WRITE || bio->op == BIO_ZEROES ||
	    (bio->op == BIO_UNMAP && m->d.bdev->unmap_zeroes)) {
		model_write(s, 0);
		for (uint64_t b = bio->lba; b < bio->lba + bio->blocks; b++)
			m->unknown[b] = false;
	}
	if (bio->op == BIO_COMPARE_WRITE)
		model_write(s, len);
}

static void slot_done(struct bio *bio)
{
	struct slot *s = NULL;
	struct model *m = bio->layer_priv;

	for (unsigned i = 0; i < SLOTS; i++)
		if (m->slot[i].bio == bio)
			s = &m->slot[i];
	assert_non_null(s);
	assert_true(s->busy);
	s->busy = false;
	slot_ended(s);
	if (bio->op != BIO_FLUSH)
		for (uint64_t b = bio->lba; b < bio->lba + bio->blocks; b++)
			m->locked[b] = false;
	m->done++;
	model_next(s);
}

/* ---- begins ----------------------------------------------------------- */

static bool pick_range(struct model *m, uint64_t *ret_lba, uint64_t *ret_blocks)
{
	uint64_t blocks = prng_range(&m->prng, 1, prng_below(&m->prng, 2) ? 4 : BLOCKS_PER_BIO);
	uint64_t lba = prng_range(&m->prng, 0, BLOCKS - blocks);

	for (uint64_t b = lba; b < lba + blocks; b++)
		if (m->locked[b])
			return false;
	for (uint64_t b = lba; b < lba + blocks; b++)
		m->locked[b] = true;
	*ret_lba = lba;
	*ret_blocks = blocks;
	return true;
}

static void expect_compare(struct slot *s)
{
	struct model *m = s->m;
	struct bio *bio = s->bio;
	uint64_t len = bio->blocks * m->bs;

	slot_fill(s, 0, len, m->bytes + bio->lba * m->bs);
	if (prng_below(&m->prng, 3) == 0) {
		uint64_t at = prng_below(&m->prng, len);
		uint8_t other = m->bytes[bio->lba * m->bs + at] ^ 0x10;

		slot_fill(s, at, 1, &other);
		s->expected = -EILSEQ;
		s->miscompare = (uint32_t)at;
	}
}

static void slot_flush(struct slot *s)
{
	struct model *m = s->m;

	memcpy(s->flushed, m->bytes, (size_t)BLOCKS * m->bs);
	memcpy(s->may_change, m->locked, sizeof(m->locked));
	for (unsigned i = 0; i < SLOTS; i++)
		must(&m->slot[i] == s || !m->slot[i].busy || m->slot[i].bio->op != BIO_FLUSH);
}

static bool flush_in_flight(const struct model *m)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (m->slot[i].busy && m->slot[i].bio->op == BIO_FLUSH)
			return true;
	return false;
}

static void model_touch(struct model *m, const struct bio *bio)
{
	for (unsigned i = 0; i < SLOTS; i++)
		for (uint64_t b = bio->lba; m->slot[i].busy && b < bio->lba + bio->blocks; b++)
			m->slot[i].may_change[b] = true;
}

static void model_next(struct slot *s)
{
	static const enum bio_op ops[] = { BIO_READ,	      BIO_READ,	  BIO_WRITE, BIO_WRITE,
					   BIO_WRITE,	      BIO_ZEROES, BIO_UNMAP, BIO_COMPARE,
					   BIO_COMPARE_WRITE, BIO_FLUSH };
	struct model *m = s->m;
	enum bio_op op = ops[prng_below(&m->prng, ARRAY_LEN(ops))];
	uint64_t lba = 0, blocks = 0, halves = op == BIO_COMPARE_WRITE ? 2 : 1;
	struct bio *bio = s->bio;

	if (m->done >= OPS_PER_RUN)
		return;
	if (op == BIO_FLUSH && flush_in_flight(m))
		op = BIO_READ;
	for (unsigned tries = 0; op != BIO_FLUSH && !pick_range(m, &lba, &blocks); tries++)
		if (tries > 50)
			return; /* others go on */
	bio_prep(bio, bio->chan, op, lba, blocks, NULL, 0, slot_done);
	bio->layer_priv = m;
	bio->token = ++m->token;
	if (bio_op_writes(op) && op != BIO_UNMAP && prng_below(&m->prng, 4) == 0)
		bio->flags |= BIO_FUA;
	if (op == BIO_ZEROES && prng_below(&m->prng, 3) == 0)
		bio->flags |= BIO_KEEP;
	s->expected = 0;
	if (bio_op_has_data(op)) {
		slot_memory(s, blocks * m->bs * halves);
		slot_fill(s, 0, blocks * m->bs * halves, NULL);
	}
	if (op == BIO_COMPARE || op == BIO_COMPARE_WRITE)
		expect_compare(s);
	if (op == BIO_FLUSH)
		slot_flush(s);
	if (bio_op_writes(op))
		model_touch(m, bio);
	s->busy = true;
	bio_submit(bio);
}

/* ---- runs ------------------------------------------------------------- */

static int model_begin_fn(struct fiber *f, void *arg)
{
	struct model *m = arg;
	unsigned reactor = reactor_index(fiber_reactor(f));

	for (unsigned i = reactor; i < SLOTS; i += m->rig.count)
		model_next(&m->slot[i]);
	return 0;
}

static void model_slots(struct model *m)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *s = &m->slot[i];

		s->m = m;
		s->bio = bio_new(m->d.chan[i % m->rig.count]);
		s->bio->chan = m->d.chan[i % m->rig.count];
		s->arena = mem_alloc_aligned(&m->rig.heap.mem, 4096,
					     ARENA + (size_t)BLOCKS_PER_BIO * m->bs);
		s->flushed = mem_alloc(&m->rig.heap.mem, (size_t)BLOCKS * m->bs);
	}
}

static void model_run(const char *uri, uint64_t seed, uint64_t fail_every)
{
	struct model *m = calloc(1, sizeof(*m));

	prng_init(&m->prng, seed, 7);
	rig_init(&m->rig, 2);
	rig_disk_open(&m->rig, &m->d, uri);
	m->bs = m->d.bdev->block_size;
	m->bytes = mem_alloc(&m->rig.heap.mem, (size_t)BLOCKS * m->bs);
	m->has_errors = fail_every > 0;
	rig_ram(&m->d)->fail_at = fail_every;
	model_slots(m);
	for (unsigned round = 0; round < 40 && m->done < OPS_PER_RUN; round++) {
		if (fail_every)
			rig_ram(&m->d)->fail_at = rig_ram(&m->d)->submits + fail_every;
		for (unsigned i = 0; i < m->rig.count; i++) {
			struct rig_call call;

			rig_start(&m->rig, i, &call, model_begin_fn, m);
			rig_run(&m->rig);
		}
	}
	assert_true(m->done >= OPS_PER_RUN);
	for (uint64_t b = 0; b < BLOCKS; b++)
		if (!m->unknown[b])
			assert_memory_equal(rig_ram(&m->d)->mem + b * m->bs, m->bytes + b * m->bs,
					    m->bs);
	for (unsigned i = 0; i < SLOTS; i++) {
		mem_free(m->slot[i].bio);
		mem_free(m->slot[i].arena);
		mem_free(m->slot[i].flushed);
	}
	mem_free(m->bytes);
	rig_disk_close(&m->d);
	rig_fini(&m->rig);
	free(m);
}

/* Limits of all kinds, drawn from a seed. */
static void random_uri(struct prng *p, char *uri, size_t size)
{
	static const unsigned units[] = { 0, 0, 0, 2, 8 };
	static const unsigned aligns[] = { 0, 4, 16, 512, 4096 };
	static const unsigned bss[] = { 512, 512, 4096 };
	unsigned unit = units[prng_below(p, ARRAY_LEN(units))], grain = unit ? unit : 1;
	unsigned max = prng_below(p, 2) ? (unsigned)prng_range(p, 1, 3) * grain : 0;
	unsigned boundary = prng_below(p, 2) ? (unsigned)prng_range(p, 1, 5) * grain : 0;
	unsigned maxz = prng_below(p, 2) ? (unsigned)prng_range(p, 8, 20) : 0;
	unsigned ops = (unsigned)prng_below(p, 128) | 7;
	unsigned bs = bss[prng_below(p, ARRAY_LEN(bss))], iov = (unsigned)prng_below(p, 5);
	unsigned align = aligns[prng_below(p, ARRAY_LEN(aligns))], depth = (unsigned)prng_below(p, 4);
	unsigned nofua = (unsigned)prng_below(p, 128), mode = (unsigned)prng_below(p, 4);
	unsigned seed = (unsigned)prng_below(p, 1000);
	bool vc = prng_below(p, 2), uz = prng_below(p, 2);

	snprintf(uri, size,
		 "ram:///m?blocks=%d&bs=%u&max=%u&maxz=%u&boundary=%u&iov=%u&align=%u&depth=%u"
		 "&unit=%u&ops=%u&nofua=%u&vc=%d&uz=%d&mode=%u&seed=%u",
		 BLOCKS, bs, max, maxz, boundary, iov, align, depth, unit, ops, nofua, vc, uz, mode, seed);
}

static void model_seeds(uint64_t first, uint64_t count, bool errors)
{
	for (uint64_t seed = first; seed < first + count; seed++) {
		char uri[256];
		struct prng p;

		prng_init(&p, seed, 1);
		random_uri(&p, uri, sizeof(uri));
		if (getenv("MODEL_VERBOSE"))
			fprintf(stderr, "# seed %" PRIu64 " %s\n", seed, uri);
		model_run(uri, seed, errors ? 3 + prng_below(&p, 40) : 0);
	}
}

static uint64_t seeds(uint64_t dflt)
{
	const char *text = getenv("MODEL_SEEDS");

	return text ? strtoull(text, NULL, 0) : dflt;
}

static uint64_t first_seed(void)
{
	const char *text = getenv("MODEL_FIRST");

	return text ? strtoull(text, NULL, 0) : 1;
}

static void a_plain_disk_is_its_bytes(void **state)
{
	(void)state;
	for (unsigned mode = RAM_NOW; mode <= RAM_MIXED; mode++) {
		char uri[128];

		snprintf(uri, sizeof(uri), "ram:///m?blocks=%d&vc=1&mode=%u", BLOCKS, mode);
		model_run(uri, mode, 0);
	}
}

static void a_disk_of_any_limits_is_its_bytes(void **state)
{
	(void)state;
	model_seeds(first_seed(), seeds(60), false);
}

static void failed_bios_spoil_only_their_own_blocks(void **state)
{
	(void)state;
	model_seeds(first_seed() + 1000000, seeds(40), true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_disk_is_its_bytes),
		cmocka_unit_test(a_disk_of_any_limits_is_its_bytes),
		cmocka_unit_test(failed_bios_spoil_only_their_own_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
