// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild - a member comes back, or a new one joins, while the volume is written to (safety B.4).
 *
 *	open, new token, fence           SESSION: what it got before cannot land any more
 *	record: rebuilding
 *	gate closed: ATTACH              it joins the write set; no acknowledgement needs it
 *	segment by segment: LOCK, copy
 *	gate closed: FINAL               no write of it has failed; flushed; record: in sync
 *	then it is needed, and read from
 *
 * RB1. A write that fails on it, or is missed by it, ends the rebuild: it is out again.
 * RB2. The gate is closed only for moments: no copy is made behind it.
 * RB3. The source is any readable member; if it fails, the segment is copied again from another.
 * RB4. The gate is never closed with the admin latch held: a member that fails then must be
 *	retired for the drain to end.
 */
#include <errno.h>
#include <stdio.h>

#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"

struct rebuild {
	struct nexus_child *child;
	void *buf; /* owned */
};

static int rebuild_goes_on(struct fiber *f, const struct nexus_child *child)
{
	const struct nexus *n = child->nexus;

	if (n->state == NEXUS_DEPOSED || n->state == NEXUS_CLOSING || child->is_stopping ||
	    fiber_is_cancelled(f))
		return -ECANCELED;
	return child->failed_write ? -EIO : 0; /* RB1 */
}

/* The member's state in the record, under the latch. */
static int rebuild_record(struct fiber *f, struct nexus_child *child,
			  enum volume_member_state state, int reason)
{
	struct nexus *n = child->nexus;
	struct volume_member *member = child_member(child);
	int r = latch_lock(f, &n->admin);

	if (r < 0)
		return r;
	member->state = state;
	member->reason[0] = 0;
	if (reason < 0)
		snprintf(member->reason, sizeof(member->reason), "rebuild: %s", err_name(reason));
	if (state == VOLUME_IN_SYNC) {
		n->rec.gen_epoch = n->rec.epoch;
		n->rec.gen_n++;
	}
	r = owner_put_surely(f, n);
	latch_unlock(f, &n->admin);
	return r;
}

static void rebuild_attach(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;

	io_gate_close(f, n); /* writes without it have ended */
	child->failed_write = false;
	if (active_copy_to(f, child) < 0)
		child->failed_write = true;
	else
		n->writable |= nexus_bit(child);
	active_switch(n);
	io_gate_open(n);
}

static struct nexus_child *rebuild_source(struct nexus *n)
{
	struct nexus_child *best = NULL;

	nexus_each_child(n, child)
		if (nexus_has(n->readable, child->index) && (!best || child_is_closer(child, best)))
			best = child;
	return best;
}

/* RB3. */
static int rebuild_segment(struct fiber *f, struct rebuild *rb, uint64_t lba, uint64_t blocks)
{
	struct nexus_child *child = rb->child;
	struct nexus *n = child->nexus;
	struct nexus_range range;
	nexus_mask failed = 0;
	int r;

	range_hold(f, n, &range, lba, blocks);
	do {
		struct nexus_child *source = rebuild_source(n);

		fiber_clear(f);
		r = source ? rebuild_goes_on(f, child) : -EHOSTDOWN;
		if (r < 0)
			break;
		r = copy_range(f, n, source, nexus_bit(child), lba, blocks, rb->buf, &failed);
		if (r < 0 && !failed && r != -ESTALE)
			retire(source, r);
	} while (r < 0 && !failed && r != -ESTALE);
	range_release(n, &range);
	if (r == -ESTALE)
		owner_deposed(n);
	return r;
}

static int rebuild_copy(struct fiber *f, struct rebuild *rb)
{
	struct nexus_child *child = rb->child;
	struct nexus *n = child->nexus;
	uint64_t step = NEXUS_COPY_BYTES >> n->block_shift;
	int r = rebuild_goes_on(f, child);

	child->copied = 0;
	for (uint64_t lba = 0; r == 0 && lba < n->rec.size_bytes >> n->block_shift; lba += step) {
		uint64_t blocks = min_u64(step, (n->rec.size_bytes >> n->block_shift) - lba);

		r = rebuild_segment(f, rb, lba, blocks);
		child->rebuilt = (lba + blocks) << n->block_shift;
		if (r == 0)
			r = rebuild_goes_on(f, child);
	}
	return r;
}

/*
 * FINAL. From the end of the drain on acknowledgements need it; it is read from when the record
 * says that it is in sync. If it fails in between it is retired like any member, when the
 * latch is free: after the record.
 */
static int rebuild_admit(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	int r;

	io_gate_close(f, n);
	r = rebuild_goes_on(f, child);
	if (r == 0)
		r = child_flush(f, child);
	if (r == 0)
		r = child_tell(f, child, REPLICA_IN_SYNC, true);
	if (r == 0)
		r = rebuild_goes_on(f, child);
	if (r == 0) {
		child_become(child, NEXUS_CHILD_IN_SYNC);
		n->needed |= nexus_bit(child);
	}
	io_gate_open(n);
	if (r == 0)
		r = rebuild_record(f, child, VOLUME_IN_SYNC, 0);
	if (r == 0 && child->state == NEXUS_CHILD_IN_SYNC)
		n->readable |= nexus_bit(child);
	return r;
}

static void rebuild_give_up(struct fiber *f, struct nexus_child *child, int error)
{
	struct nexus *n = child->nexus;

	io_gate_close(f, n);
	n->writable &= (nexus_mask)~nexus_bit(child);
	n->needed &= (nexus_mask)~nexus_bit(child);
	active_switch(n);
	io_gate_open(n);
	fiber_uncancel(f);
	if (child_member(child)->state == VOLUME_REBUILDING && n->state != NEXUS_DEPOSED)
		(void)rebuild_record(f, child, VOLUME_OUT, error);
	child_close(f, child);
	fiber_clear(f);
}

static int rebuild_begin(struct fiber *f, struct nexus_child *child)
{
	const struct nexus *n = child->nexus;
	int r = child_open(f, child, false);

	if (r == 0)
		r = child_fence(f, child); /* SESSION */
	if (r == 0)
		r = child_tell(f, child, REPLICA_INCONSISTENT, true);
	if (r == 0)
		r = rebuild_record(f, child, VOLUME_REBUILDING, 0);
	if (r == 0) {
		child_become(child, NEXUS_CHILD_REBUILDING);
		r = child_grow(f, child, n->rec.size_bytes); /* RS3 */
	}
	return r;
}

static int rebuild_main(struct fiber *f, void *arg)
{
	struct rebuild rb = { .child = arg };
	struct nexus_child *child = rb.child;
	struct nexus *n = child->nexus;
	int r;

	rb.buf = mem_alloc_aligned(n->mem, 4096, NEXUS_COPY_BYTES);
	r = rb.buf ? rebuild_begin(f, child) : -ENOMEM;
	if (r == 0) {
		rebuild_attach(f, child);
		r = rebuild_copy(f, &rb);
	}
	if (r == 0)
		r = rebuild_admit(f, child);
	if (r < 0)
		rebuild_give_up(f, child, r);
	else
		nexus_tell_members(f, n);
	mem_free(rb.buf);
	child->is_rebuilding = child->is_stopping = false;
	event_set(&child->rebuild_ended);
	if (--n->rebuilds == 0)
		event_set(&n->rebuilt);
	return 0;
}

int rebuild_start(struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	int r;

	must(!child->is_rebuilding && !child->bdev);
	r = fiber_start(n->home, "rebuild", rebuild_main, child, NULL);
	if (r < 0)
		return r;
	child->is_rebuilding = true;
	event_clear(&child->rebuild_ended);
	n->rebuilds++;
	event_clear(&n->rebuilt);
	return 0;
}

void rebuild_stop(struct fiber *f, struct nexus_child *child)
{
	child->is_stopping = true;
	if (child->is_rebuilding)
		event_wait_always(f, &child->rebuild_ended);
	child->is_stopping = false;
}
