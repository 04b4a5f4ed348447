// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild_copy - the copying of a rebuild: a cursor over the volume, and workers that take segments from it.
 *
 *	cursor --segment--> worker: pay, LOCK, copy, unlock --> next
 *
 * Where the source has nothing a segment is long, so that holes cost little: what the cursor
 * sees is only a hint, the worker looks again when it holds the range.
 *
 * RC1. Segments in flight do not overlap, and are at most NEXUS_REBUILD_DEPTH.
 * RC2. A worker holds no range while it waits for anything but a child: not when paused, not when it pays.
 * RC3. The first failure ends all workers; no range is held when the copying returns.
 * RC4. The limit counts what is written to children, over all rebuilds of the volume.
 */
#include <errno.h>

#include "nexus/copy_priv.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "bdev/status.h"

#define EXTENTS	      32u
#define LOOK_BYTES    (UINT64_C(1) << 30)  /* how far ahead the cursor looks */
#define HOLE_BYTES    (UINT64_C(64) << 20) /* of a segment without data */
#define RATE_LOOK_NS  UINT64_C(50000000)
#define RATE_SLACK_NS UINT64_C(10000000) /* not used in time, it may be used later */

struct segment {
	uint64_t lba, blocks;
	bool is_hole; /* so it seemed */
};

struct copying {
	struct nexus_child *child;
	bool verify;
	struct latch turn; /* of the cursor */
	uint64_t cursor, end;
	struct bdev_extent extent[EXTENTS]; /* what is at the cursor, in blocks of the volume */
	unsigned extents, at;
	unsigned workers;
	struct event ended; /* no workers */
	int error;
};

static int copying_goes_on(const struct copying *c)
{
	return c->error < 0 ? c->error : rebuild_goes_on(c->child);
}

static struct nexus_child *copying_source(struct nexus *n)
{
	struct nexus_child *best = NULL;

	nexus_each_child(n, child)
		if (nexus_has(n->readable, child->index) && !child->failed_write &&
		    (!best || child_is_closer(child, best)))
			best = child;
	return best;
}

/* ---- the cursor --------------------------------------------------------------------------- */

/* Hints; on failure there are none. */
static void cursor_look(struct fiber *f, struct copying *c)
{
	struct nexus *n = c->child->nexus;
	struct nexus_child *source = copying_source(n);
	uint64_t blocks = min_u64(c->end - c->cursor, LOOK_BYTES >> n->block_shift);
	uint32_t shift;

	c->at = c->extents = 0;
	if (!source)
		return;
	shift = source->block_shift;
	child_hold(source);
	if (bdev_status_get(f, source->chan, source->data_lba + (c->cursor << shift),
			    blocks << shift, c->extent, EXTENTS, &c->extents) < 0)
		c->extents = 0;
	child_let_go(source);
	for (unsigned i = 0; i < c->extents; i++) {
		struct bdev_extent *e = &c->extent[i];
		uint64_t lba = e->lba - source->data_lba;
		uint64_t first = (lba + (1u << shift) - 1) >> shift;

		e->blocks = max_u64((lba + e->blocks) >> shift, first) - first;
		e->lba = first;
	}
}

/* How far it goes on as it is at the cursor. */
static uint64_t cursor_run(struct fiber *f, struct copying *c, bool *ret_is_hole)
{
	*ret_is_hole = false;
	if (c->verify)
		return c->end - c->cursor;
	for (unsigned look = 0; look < 2; look++) {
		for (; c->at < c->extents; c->at++) {
			const struct bdev_extent *e = &c->extent[c->at];

			if (e->lba > c->cursor || c->cursor >= e->lba + e->blocks)
				continue;
			*ret_is_hole = e->flags & BDEV_ZERO;
			return e->lba + e->blocks - c->cursor;
		}
		if (look == 0)
			cursor_look(f, c);
	}
	return c->end - c->cursor;
}

/* A partial one goes on with the next region it has to do, and no further than its end. */
static uint64_t cursor_skip(struct copying *c)
{
	struct nexus *n = c->child->nexus;
	const struct nexus_rebuild *rb = &c->child->rebuild;
	uint64_t step = NEXUS_REGION_BYTES >> n->block_shift, region = c->cursor / step;

	if (!rb->todo || c->verify)
		return c->end;
	while (region < rb->todo_regions && !(rb->todo[region / 64] >> (region % 64) & 1))
		region++;
	if (region >= rb->todo_regions)
		c->cursor = c->end;
	else
		c->cursor = min_u64(max_u64(c->cursor, region * step), c->end);
	return min_u64((region + 1) * step, c->end);
}

/* The next segment; false: there is none. */
static bool cursor_next(struct fiber *f, struct copying *c, struct segment *ret)
{
	struct nexus *n = c->child->nexus;
	uint64_t run, max;

	if (latch_lock(f, &c->turn) < 0)
		return false;
	*ret = (struct segment){ 0 };
	uint64_t stop = cursor_skip(c);
	if (c->cursor < c->end) {
		run = cursor_run(f, c, &ret->is_hole);
		max = (ret->is_hole ? HOLE_BYTES : NEXUS_COPY_BYTES) >> n->block_shift;
		ret->lba = c->cursor;
		ret->blocks = min_u64(min_u64(run, max), stop - c->cursor);
		c->cursor += ret->blocks;
	}
	latch_unlock(f, &c->turn);
	return ret->blocks > 0;
}

/* ---- paying (RC4) -------------------------------------------------------------------------- */

static uint64_t rate_ns(const struct nexus *n, uint64_t bytes)
{
	return bytes * UINT64_C(1000000000) / n->rate.bytes_per_s;
}

/* Until something is said, or so long. */
static void rate_wait(struct fiber *f, struct copying *c, uint64_t deadline_ns)
{
	must(event_wait_until(f, &c->child->rebuild.changed, deadline_ns) != -ECANCELED);
}

/* Wait until it may be written, or the copying ends. Returns the time it has cost. */
static uint64_t rate_pay(struct fiber *f, struct copying *c, uint64_t bytes)
{
	struct nexus *n = c->child->nexus;
	struct nexus_rate *rate = &n->rate;

	while (copying_goes_on(c) == 0) {
		uint64_t now = io_now(n->io), cost;

		if (c->child->rebuild.is_paused) {
			rate_wait(f, c, now + RATE_LOOK_NS);
		} else if (rate->bytes_per_s == 0 || bytes == 0) {
			return 0;
		} else if (rate->paid_ns > now) {
			rate_wait(f, c, min_u64(rate->paid_ns, now + RATE_LOOK_NS));
		} else {
			cost = rate_ns(n, bytes);
			rate->paid_ns = max_u64(rate->paid_ns, now - RATE_SLACK_NS) + cost;
			return cost;
		}
	}
	return 0;
}

/* ---- segments ------------------------------------------------------------------------------- */

/* One try; `to` is what could not be written. */
static int segment_step(struct fiber *f, struct copying *c, struct nexus_child *source,
			const struct segment *seg, void *buf, nexus_mask *failed)
{
	struct nexus *n = c->child->nexus;
	int r;

	*failed = 0;
	if (!c->verify)
		return copy_range(f, source, nexus_bit(c->child), seg->lba, seg->blocks, buf,
				  failed);
	r = copy_compare(f, n, source, c->child, seg->lba, seg->blocks, buf, failed);
	if (r == -EILSEQ)
		*failed = nexus_bit(c->child);
	return r;
}

/* RB3. */
static int segment_copy(struct fiber *f, struct copying *c, const struct segment *seg, void *buf)
{
	struct nexus *n = c->child->nexus;
	struct nexus_range range;
	nexus_mask failed = 0;
	int r;

	range_hold(f, n, &range, seg->lba, seg->blocks);
	do {
		struct nexus_child *source = copying_source(n);

		fiber_clear(f);
		r = source ? copying_goes_on(c) : -EHOSTDOWN;
		if (r < 0)
			break;
		r = segment_step(f, c, source, seg, buf, &failed);
		if (r < 0 && !failed && r != -ESTALE)
			retire(source, r);
	} while (r < 0 && !failed && r != -ESTALE);
	range_release(n, &range);
	if (r == -ESTALE)
		owner_deposed(n);
	return r;
}

static int segment_do(struct fiber *f, struct copying *c, const struct segment *seg, void *buf)
{
	struct nexus *n = c->child->nexus;
	struct nexus_rebuild *rb = &c->child->rebuild;
	uint64_t bytes = seg->blocks << n->block_shift;
	uint64_t paid = rate_pay(f, c, seg->is_hole || c->verify ? 0 : bytes);
	uint64_t copied = c->child->copied;
	int r = copying_goes_on(c);

	if (r == 0)
		r = segment_copy(f, c, seg, buf);
	if (r < 0)
		return r;
	if (c->verify) {
		rb->verified += bytes;
		return 0;
	}
	rb->recovered += bytes;
	if (paid && c->child->copied == copied && n->rate.bytes_per_s)
		n->rate.paid_ns -= min_u64(paid, n->rate.paid_ns); /* it was a hole after all */
	return 0;
}

/* ---- workers ---------------------------------------------------------------------------------- */

static int worker_main(struct fiber *f, void *arg)
{
	struct copying *c = arg;
	struct nexus *n = c->child->nexus;
	CLEANUP(cleanup_mem)
	void *buf = mem_alloc_aligned(n->mem, 4096, (c->verify ? 2 : 1) * NEXUS_COPY_BYTES);
	struct segment seg;
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && copying_goes_on(c) == 0 && cursor_next(f, c, &seg))
		r = segment_do(f, c, &seg, buf);
	if (r < 0 && c->error == 0)
		c->error = r;
	fiber_clear(f);
	if (--c->workers == 0)
		event_set(&c->ended);
	return 0;
}

static int copying_run(struct fiber *f, struct nexus_child *child, bool verify)
{
	struct nexus *n = child->nexus;
	CLEANUP(cleanup_mem) struct copying *c = mem_new(n->io, sizeof(*c));
	int r = 0;

	if (!c)
		return fiber_fail(f, -ENOMEM, "no memory to rebuild");
	c->child = child;
	c->verify = verify;
	c->end = n->rec.size_bytes >> n->block_shift;
	latch_init(&c->turn);
	event_init(&c->ended);
	while (c->workers < NEXUS_REBUILD_DEPTH && r == 0) {
		r = fiber_start(n->home, "rebuild-copy", worker_main, c, NULL);
		c->workers += r == 0;
	}
	if (c->workers == 0)
		return r;
	event_wait_always(f, &c->ended); /* RC3 */
	return copying_goes_on(c);
}

static uint64_t copying_total(const struct nexus_child *child)
{
	const struct nexus_rebuild *rb = &child->rebuild;
	uint64_t size = child->nexus->rec.size_bytes, total = 0;

	if (!rb->todo)
		return size;
	for (uint64_t i = 0; i < rb->todo_regions; i++)
		if (rb->todo[i / 64] >> (i % 64) & 1)
			total += min_u64(NEXUS_REGION_BYTES, size - i * NEXUS_REGION_BYTES);
	return total;
}

int rebuild_copy(struct fiber *f, struct nexus_child *child)
{
	child->rebuild.total = copying_total(child);
	return copying_run(f, child, false);
}

int rebuild_verify(struct fiber *f, struct nexus_child *child)
{
	return copying_run(f, child, true);
}
