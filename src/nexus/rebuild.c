// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild - a member comes back, or a new one joins, while the volume is written to (safety B.4).
 *
 *	close, pause, open, new token, fence   SESSION: what it got before cannot land any more
 *	record: rebuilding
 *	gate closed: ATTACH              it joins the write set; no acknowledgement needs it
 *	segments: LOCK, copy             rebuild_copy.c
 *	gate closed: FINAL               no write of it has failed; flushed; record: in sync
 *	then it is needed, and read from
 *
 * A child has one fiber for all of that, from the time it failed (or was added) until it is in
 * sync, or is not wanted.
 *
 * RB1. A write that fails on it, or is missed by it, ends the try: it is out again.
 * RB2. The gate is closed only for moments: no copy is made behind it.
 * RB3. The source is any readable member; if it fails, the segment is copied again from another.
 * RB4. The gate is never closed with the admin latch held: a member that fails then must be
 *	retired for the drain to end.
 * RB5. A child that failed is tried again after a pause that doubles, but not one that is offline
 *	by wish, was stopped by somebody, or was let go for good.
 */
#include <errno.h>
#include <stdio.h>

#include "nexus/nexus_priv.h"

#include "base/err.h"
#include "base/must.h"

#define RETRY_MAX_NS (NEXUS_RETRY_MS_MAX * UINT64_C(1000000))

int rebuild_goes_on(const struct nexus_child *child)
{
	const struct nexus *n = child->nexus;

	if (n->state == NEXUS_DEPOSED || n->state == NEXUS_CLOSING || child->is_stopping)
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
	r = rebuild_goes_on(child);
	if (r == 0)
		r = child_flush(f, child);
	if (r == 0)
		r = child_tell(f, child, REPLICA_IN_SYNC, true);
	if (r == 0)
		r = rebuild_goes_on(child);
	if (r == 0) {
		child_become(child, NEXUS_CHILD_IN_SYNC);
		n->needed |= nexus_bit(child);
	}
	io_gate_open(n);
	if (r < 0)
		return r;
	r = rebuild_record(f, child, VOLUME_IN_SYNC, 0);
	if (r < 0 && child_member(child)->state == VOLUME_IN_SYNC)
		retire(child, -ECANCELED); /* perhaps it is in the record (N1) */
	if (r == 0 && child->state == NEXUS_CHILD_IN_SYNC)
		n->readable |= nexus_bit(child);
	return r;
}

/* It takes no part any more. The record may call it rebuilding still: that is as good as out. */
static void rebuild_give_up(struct fiber *f, struct nexus_child *child, int error)
{
	struct nexus *n = child->nexus;
	struct volume_member *member = child_member(child);

	if ((n->writable | n->needed) & nexus_bit(child)) {
		io_gate_close(f, n);
		n->writable &= (nexus_mask)~nexus_bit(child);
		n->needed &= (nexus_mask)~nexus_bit(child);
		active_switch(n);
		io_gate_open(n);
	}
	if (member->state == VOLUME_REBUILDING) {
		member->state = VOLUME_OUT;
		if (!fiber_is_cancelled(f) && n->state != NEXUS_DEPOSED)
			(void)rebuild_record(f, child, VOLUME_OUT, error);
	}
	if (child->bdev)
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

static void rebuild_count(struct nexus_child *child)
{
	struct nexus_rebuild *rb = &child->rebuild;
	struct io *io = child->nexus->io;

	rb->is_paused = false;
	rb->start_ns = io_now(io);
	rb->start_wall_ns = io_wall(io);
	rb->total = rb->recovered = rb->verified = 0;
	rb->tries++;
	child->copied = 0;
}

static int rebuild_try(struct fiber *f, struct nexus_child *child)
{
	struct nexus_rebuild *rb = &child->rebuild;
	bool has_begun = false;
	int r;

	rebuild_count(child);
	r = rebuild_begin(f, child);
	if (r == 0) {
		has_begun = true;
		rebuild_attach(f, child);
		r = rebuild_copy(f, child);
	}
	if (r == 0 && child->nexus->table->verify)
		r = rebuild_verify(f, child);
	if (r == 0)
		r = rebuild_admit(f, child);
	if (r < 0 && child->state != NEXUS_CHILD_DROPPING)
		rebuild_give_up(f, child, r);
	rb->elapsed_ns = io_now(child->nexus->io) - rb->start_ns;
	if (has_begun)
		history_add(child, r);
	fiber_clear(f);
	return r;
}

/* ---- when -------------------------------------------------------------------------------------- */

static void rebuild_due(struct nexus_child *child)
{
	struct nexus *n = child->nexus;

	if (child->is_rebuilding)
		return;
	child->is_rebuilding = true;
	n->rebuilds++;
	event_clear(&n->rebuilt);
}

static void rebuild_over(struct nexus_child *child)
{
	struct nexus *n = child->nexus;

	if (!child->is_rebuilding)
		return;
	child->is_rebuilding = false;
	if (--n->rebuilds == 0)
		event_set(&n->rebuilt);
}

/* RB5. */
static bool rebuild_is_wanted(const struct nexus_child *child)
{
	const struct nexus *n = child->nexus;

	return !child->is_stopping && !child->rebuild.is_stopped && !child->rebuild.is_let_go &&
	       !child->bdev && n->state != NEXUS_CLOSING && n->state != NEXUS_DEPOSED &&
	       !n->rec.members[child->member].is_offline;
}

/* 0: the time has come; -ECANCELED. */
static int rebuild_pause(struct fiber *f, struct nexus_child *child)
{
	struct nexus_rebuild *rb = &child->rebuild;
	int r = 0;

	rb->due_ns = io_now(child->nexus->io) + rb->delay_ns;
	event_clear(&rb->poked);
	if (!child->is_rebuilding && !child->is_stopping)
		r = event_wait_until(f, &rb->poked, rb->due_ns);
	rb->delay_ns = rb->delay_ns ? min_u64(2 * rb->delay_ns, RETRY_MAX_NS) :
				      child->nexus->table->retry_ms * UINT64_C(1000000);
	return r == -ETIMEDOUT ? 0 : r;
}

/* Retired: closed when all that it was asked has come back. */
static void rebuild_close(struct fiber *f, struct nexus_child *child)
{
	if (child->bdev && child->state == NEXUS_CHILD_OUT)
		child_close(f, child);
}

static int rebuild_main(struct fiber *f, void *arg)
{
	struct nexus_child *child = arg;
	struct nexus_rebuild *rb = &child->rebuild;
	int r = -EAGAIN;

	rb->fiber = f;
	rebuild_close(f, child);
	while (r < 0 && rebuild_is_wanted(child)) {
		if (rebuild_pause(f, child) < 0 || !rebuild_is_wanted(child))
			break;
		rebuild_due(child);
		r = rebuild_try(f, child);
		rebuild_over(child);
		rebuild_close(f, child); /* it was retired while it was admitted */
		if (r == 0)
			rb->tries = 0;
		if (!child->bdev)
			r = -EAGAIN;
	}
	rebuild_over(child);
	rb->fiber = NULL;
	rb->has_fiber = false;
	event_set(&child->rebuild_ended);
	return 0;
}

static int rebuild_fiber(struct nexus_child *child, uint64_t delay_ns)
{
	struct nexus_rebuild *rb = &child->rebuild;
	int r;

	if (rb->has_fiber)
		return 0;
	r = fiber_start(child->nexus->home, "rebuild", rebuild_main, child, NULL);
	if (r < 0)
		return r;
	rb->has_fiber = true;
	rb->delay_ns = delay_ns;
	event_clear(&child->rebuild_ended);
	return 0;
}

void rebuild_init(struct nexus_child *child)
{
	event_init(&child->rebuild_ended);
	event_set(&child->rebuild_ended);
	event_init(&child->rebuild.poked);
	event_init(&child->rebuild.changed);
}

int rebuild_start(struct nexus_child *child)
{
	int r = child->is_stopping ? -EAGAIN : rebuild_fiber(child, 0);

	if (r < 0)
		return r;
	child->rebuild.is_stopped = child->rebuild.is_let_go = false;
	rebuild_due(child);
	event_set(&child->rebuild.poked);
	return 0;
}

void rebuild_later(struct nexus_child *child)
{
	const struct nexus *n = child->nexus;

	child->rebuild.tries = 0;
	child->rebuild.is_let_go = child->error == -ECANCELED;
	(void)rebuild_fiber(child, n->table->retry_ms * UINT64_C(1000000));
}

void rebuild_stop(struct fiber *f, struct nexus_child *child)
{
	struct nexus_rebuild *rb = &child->rebuild;

	child->is_stopping = true;
	if (rb->fiber)
		fiber_cancel(rb->fiber);
	event_set(&rb->poked);
	event_set(&rb->changed);
	event_clear(&rb->changed);
	event_wait_always(f, &child->rebuild_ended);
	child->is_stopping = false;
}
