// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild - a member comes back, or a new one joins, while the volume is written to (safety B.4).
 *
 *	close, pause, open, new token, fence   SESSION: what it got before cannot land any more
 *	record: rebuilding
 *	all, or what it missed?          missed.c
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
 * RB6. The record that takes it in is without those who have failed or are in doubt: what they got when they
 *	were alone, and have not flushed, is in no log (I4).
 */
#include <errno.h>
#include <stdio.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/err.h"

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
	struct volume_member *member;
	int r = latch_lock(f, &n->admin);

	if (r < 0)
		return r;
	member = child_member(child); /* members move when one is removed */
	if (state == VOLUME_IN_SYNC && child->state != NEXUS_CHILD_IN_SYNC &&
	    !nexus_is_off(n, NEXUS_RULE_FINAL)) {
		latch_unlock(f, &n->admin);
		return -EIO; /* it failed meanwhile, and may be recorded as out already (N1) */
	}
	member->state = state;
	member->reason[0] = 0;
	if (reason < 0)
		snprintf(member->reason, sizeof(member->reason), "rebuild: %s", err_name(reason));
	if (state == VOLUME_IN_SYNC) {
		doubt_settle(n);
		retire_with(child); /* RB6 */
	}
	r = owner_put_surely(f, n);
	latch_unlock(f, &n->admin);
	event_set(&n->retire_needed); /* N3: perhaps somebody waits for this one */
	return r;
}

/* What is to be copied; with the gate closed, so that what comes later reaches it. */
static int rebuild_todo(struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	struct nexus_rebuild *rb = &child->rebuild;
	const struct nexus_peer *peer = missed_of(child);
	size_t bytes = (n->missed.regions + 63) / 64 * sizeof(uint64_t);

	if (!rb->is_partial)
		return 0;
	rb->todo = peer ? mem_dup(n->mem, peer->words, bytes) : NULL;
	rb->todo_regions = n->missed.regions;
	return rb->todo ? 0 : -ENOMEM;
}

static void rebuild_attach(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;

	io_gate_close(f, n); /* writes without it have ended */
	child->failed_write = false;
	if (rebuild_todo(child) < 0 || active_copy_to(f, child) < 0)
		child->failed_write = true;
	else if (!nexus_is_off(n, NEXUS_RULE_ATTACH))
		n->writable |= nexus_bit(child);
	active_switch(n);
	io_gate_open(n);
}

static int answer_flush(struct fiber *f, struct nexus_child *child, const void *what)
{
	(void)what;
	return child_flush(f, child);
}

/*
 * Of the one that is to be admitted: the generation makes no old map match it (MS3), and the state says
 * that it has all: if the record says so, too, it is in sync, whatever happens before it is told (CH4).
 */
static int answer_admit(struct fiber *f, struct nexus_child *child, const void *what)
{
	int r = child_flush(f, child);

	return r < 0 ? r : child_tell_gen(f, child, REPLICA_OUTDATED, true, what);
}

/* It does, or it is in vain. */
static int rebuild_ask(struct fiber *f, struct nexus_child *child, const struct replica_gen *gen)
{
	nexus_mask whom = nexus_bit(child);

	if (ask_members(f, child->nexus, whom, answer_admit, gen, sizeof(*gen)) != 0)
		return -EIO;
	return rebuild_goes_on(child);
}

/*
 * Others' maps, and all that may take long: of a source that was alone what it had not flushed is not in
 * any log.
 */
static int rebuild_prepare(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	int r = missed_copy_to(f, child);

	if (r < 0)
		return r;
	nexus_mask no = ask_members(f, n, n->readable | nexus_bit(child), answer_flush, NULL, 0);
	nexus_each_in(n, no & n->needed, source)
		retire(source, -EIO); /* also the last one (RB6) */
	return nexus_has(no, child->index) ? -EIO : rebuild_goes_on(child);
}

/*
 * FINAL. From the end of the drain on acknowledgements need it; it is read from when the record
 * says that it is in sync. If it fails in between it is retired like any member, before or after
 * the record: who has the latch first.
 */
static int rebuild_admit(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	struct replica_gen gen = { n->rec.epoch, n->rec.gen_n + 1 };
	int r = rebuild_prepare(f, child);

	if (r < 0)
		return r;
	if (nexus_is_off(n, NEXUS_RULE_FINAL)) /* in sync before it is needed */
		r = rebuild_record(f, child, VOLUME_IN_SYNC, 0);
	if (r < 0)
		return r;
	io_gate_close(f, n);
	r = rebuild_goes_on(child);
	if (nexus_is_off(n, NEXUS_RULE_ATTACH))
		n->writable |= nexus_bit(child);
	if (r == 0)
		r = rebuild_ask(f, child, &gen);
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
	if (r == 0 && child->state == NEXUS_CHILD_IN_SYNC) {
		n->readable |= nexus_bit(child);
		n->split = n->serial; /* IO3 */
		nexus_tell_members(f, n);
	}
	if (r == 0 && child->state == NEXUS_CHILD_IN_SYNC)
		r = missed_forget(f, n, &child_member(child)->replica);
	return r == -ECANCELED ? 0 : r;
}

/* It takes no part any more. The record may call it rebuilding still: that is as good as out. */
static void rebuild_give_up(struct fiber *f, struct nexus_child *child, int error)
{
	struct nexus *n = child->nexus;

	if ((n->writable | n->needed) & nexus_bit(child)) {
		io_gate_close(f, n);
		n->writable &= (nexus_mask)~nexus_bit(child);
		n->needed &= (nexus_mask)~nexus_bit(child);
		active_switch(n);
		io_gate_open(n);
	}
	if (child_member(child)->state == VOLUME_REBUILDING) {
		child_member(child)->state = VOLUME_OUT;
		if (!fiber_is_cancelled(f) && n->state != NEXUS_DEPOSED)
			(void)rebuild_record(f, child, VOLUME_OUT, error);
	}
	if (child->bdev)
		child_close(f, child);
	fiber_clear(f);
}

/*
 * Marks that it has from before go. If it may have left in a takeover they are added to what it missed:
 * until it was fenced the old owner could write to it, where its log says so.
 */
static int rebuild_own_log(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	const struct nexus_peer *peer = missed_of(child);
	uint64_t numbers[NEXUS_AL_BATCH], count = (child->regions + 63) / 64;
	CLEANUP(cleanup_mem) uint64_t *words = mem_alloc_array(n->mem, count, sizeof(*words));
	unsigned batch = 0;
	int r = words ? child->ops->al_get(f, child->chan, words, count) : -ENOMEM;

	if (r == 0 && child->rebuild.is_partial && peer && peer->is_loaded)
		missed_add(f, child, words, child->regions);
	for (uint64_t i = 0; r == 0 && i < count * 64; i++) {
		if (words[i / 64] >> (i % 64) & 1)
			numbers[batch++] = i;
		if (batch == 0 || (batch < NEXUS_AL_BATCH && i + 1 < count * 64))
			continue;
		r = child->ops->al_update(f, child->chan, child->token, REPLICA_AL_CLEAR, numbers,
					  batch);
		batch = 0;
	}
	return r;
}

/* Partial, if what it missed since it had its generation is known (MS3); else it gets none. */
static int rebuild_kind(struct fiber *f, struct nexus_child *child)
{
	struct nexus_rebuild *rb = &child->rebuild;
	const struct nexus_peer *peer = missed_of(child);
	const struct replica_gen none = { 0 };
	int r;

	rb->is_partial = peer && child->ops && child->said != REPLICA_NEW &&
			 child->gen.epoch == peer->gen.epoch && child->gen.n == peer->gen.n;
	r = child_tell_gen(f, child, REPLICA_INCONSISTENT, true, rb->is_partial ? NULL : &none);
	if (r == 0 && !rb->is_partial)
		r = missed_forget(f, child->nexus, &child_member(child)->replica);
	return r < 0 || !child->ops ? r : rebuild_own_log(f, child);
}

/* Open, and under a new token. The replica may be another one than it was. */
static int rebuild_open(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	struct uuid was = child_member(child)->replica;
	int r = child_open(f, child, false);

	if (r == 0)
		r = child_fence(f, child); /* SESSION */
	if (r == 0 && !uuid_equal(&was, &child_member(child)->replica))
		r = missed_forget(f, n, &was);
	if (r == 0)
		r = child_look_again(f, child);
	return r;
}

static int rebuild_begin(struct fiber *f, struct nexus_child *child)
{
	const struct nexus *n = child->nexus;
	int r = rebuild_open(f, child);

	if (r == 0)
		r = rebuild_kind(f, child);
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

	rb->is_paused = rb->is_partial = false;
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
	if (r == -EILSEQ && missed_forget(f, child->nexus, &child_member(child)->replica) == 0)
		rb->is_partial = false; /* the next one copies all */
	if (r < 0 && child->state != NEXUS_CHILD_DROPPING)
		rebuild_give_up(f, child, r);
	mem_free(rb->todo);
	rb->todo = NULL;
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
	       !child->bdev && (n->state == NEXUS_SERVING || n->state == NEXUS_FROZEN) &&
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
