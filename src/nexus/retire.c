// SPDX-License-Identifier: Apache-2.0
/*
 * retire - a member failed: no acknowledgement before the record says so (rules PERSIST, READDROP, LASTONE).
 *
 *	retire()                              hot: not read from, not written to any more; FROZEN
 *	fiber: record without it, a map of what it misses -> SERVING   what was held is acknowledged
 *	       deposed                        nothing is
 *	       it was the last                STOPPED: requests wait, the record keeps its members (revive.c)
 *
 * RT1. Failures that come together are recorded together.
 * RT2. What is held has reached every member that is left, or one of those failed too and the
 *      nexus is frozen still.
 * RT3. After it is recorded the member gets no old token again: it comes back by a rebuild,
 *      under a larger one (rule SESSION).
 * RT4. What it was asked may come back late, or never: that is waited for by its own fiber,
 *	which closes it and tries it again (rebuild.c), not here.
 * RT5. One that joins leaves no failed one beside it in the record. It is recorded once more by the fiber, which
 *	knows that nothing has been acknowledged since it failed.
 */
#include <errno.h>
#include <stdio.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/err.h"
#include "base/must.h"

void retire(struct nexus_child *child, int error)
{
	struct nexus *n = child->nexus;

	if (!nexus_is_off(n, NEXUS_RULE_READDROP))
		n->readable &= (nexus_mask)~nexus_bit(child); /* N2 */
	n->writable &= (nexus_mask)~nexus_bit(child);
	child->failed_write = true;
	n->split = n->serial; /* IO3, io.c */
	event_set(&n->answered);
	event_clear(&n->answered);
	if (child->state != NEXUS_CHILD_IN_SYNC)
		return; /* a rebuild sees it by itself */
	child_become(child, NEXUS_CHILD_DROPPING);
	child->error = error;
	child->left_serial = ++n->serial;
	if (n->state == NEXUS_SERVING)
		nexus_become(n, NEXUS_FROZEN);
	event_set(&n->retire_needed);
}

static nexus_mask retire_dropping(struct nexus *n)
{
	nexus_mask mask = 0;

	nexus_each_child(n, child)
		if (child->state == NEXUS_CHILD_DROPPING)
			mask |= nexus_bit(child);
	return mask;
}

static void retire_in_record(struct nexus *n, nexus_mask dropped)
{
	nexus_each_child(n, child) {
		struct volume_member *member = child_member(child);

		if (!nexus_has(dropped, child->index))
			continue;
		(void)doubt_leaves(child);
		member->state = VOLUME_OUT;
		snprintf(member->reason, sizeof(member->reason), "failed: %s",
			 err_name(child->error));
	}
	n->rec.gen_epoch = n->rec.epoch;
	n->rec.gen_n++;
}

/* RT5. */
void retire_with(struct nexus_child *joins)
{
	struct nexus *n = joins->nexus;
	nexus_mask dropped = retire_dropping(n);

	if ((n->needed & (nexus_mask) ~(dropped | nexus_bit(joins))) == 0)
		nexus_each_in(n, dropped, child)
			child->left_in_doubt = true; /* alone, it kept no log */
	retire_in_record(n, dropped);
}

/* RT2. */
static void retire_thaw(struct nexus *n)
{
	struct nexus_req *req;
	struct list batch;

	list_init(&batch);
	list_splice_tail(&batch, &n->held);
	while ((req = list_pop_front(&batch, struct nexus_req, link))) {
		must((req->failed & n->needed) == 0);
		io_finish(req, 0);
	}
	io_run_all(&n->gated);
	io_run_all(&n->starved);
}

/* RT4. */
static void retire_let_go(struct nexus *n, nexus_mask dropped)
{
	nexus_each_child(n, child)
		if (nexus_has(dropped, child->index) && child->state == NEXUS_CHILD_OUT)
			rebuild_later(child);
}

/* N3, of the record. */
static bool retire_leaves_one(struct nexus *n, nexus_mask dropped)
{
	nexus_each_child(n, child)
		if (nexus_has(n->needed & (nexus_mask)~dropped, child->index) &&
		    child_member(child)->state == VOLUME_IN_SYNC)
			return true;
	return false;
}

/* One round: those that are dropping now. True: recorded, or nothing to record. */
static bool retire_record(struct fiber *f, struct nexus *n, nexus_mask dropped)
{
	if ((n->needed & (nexus_mask)~dropped) == 0 && nexus_is_off(n, NEXUS_RULE_LASTONE)) {
		nexus_each_child(n, child) /* the record must have one: it keeps the last */
			if (nexus_has(dropped, child->index))
				child_become(child, NEXUS_CHILD_OUT);
		n->needed = n->readable = 0;
		return true;
	}
	if ((n->needed & (nexus_mask)~dropped) == 0 &&
	    (doubt_record(f, n, dropped) < 0 || n->state != NEXUS_FROZEN))
		return false;
	if ((n->needed & (nexus_mask)~dropped) == 0) { /* N3 */
		nexus_become(n, NEXUS_STOPPED);
		io_unhold_all(n);
		event_set(&n->stopped);
		return false;
	}
	if (!retire_leaves_one(n, dropped))
		return false; /* one is being admitted: again when that is recorded */
	retire_in_record(n, dropped);
	if (owner_put_surely(f, n) < 0) /* N1 */
		return false;
	nexus_each_child(n, child)
		if (nexus_has(dropped, child->index))
			child_become(child, NEXUS_CHILD_OUT);
	n->needed &= (nexus_mask)~dropped;
	n->readable &= (nexus_mask)~dropped;
	return true;
}

static void retire_all(struct fiber *f, struct nexus *n)
{
	nexus_mask now, all = 0;

	while ((now = retire_dropping(n)) && n->state == NEXUS_FROZEN) { /* RT1 */
		if (!retire_record(f, n, now))
			break;
		missed_begin(f, n, now); /* MS1: before anything is acknowledged */
		all |= now;
	}
	if (n->state == NEXUS_FROZEN && retire_dropping(n) == 0) {
		nexus_become(n, NEXUS_SERVING);
		retire_thaw(n);
		nexus_tell_members(f, n);
	}
	retire_let_go(n, all);
}

int retire_main(struct fiber *f, void *arg)
{
	struct nexus *n = arg;

	while (event_wait(f, &n->retire_needed) == 0) {
		event_clear(&n->retire_needed);
		if (latch_lock(f, &n->admin) < 0)
			break;
		retire_all(f, n);
		latch_unlock(f, &n->admin);
		fiber_clear(f);
	}
	return 0;
}
