// SPDX-License-Identifier: Apache-2.0
/*
 * takeover - to own a volume: seal, fence, wait, make equal (rules SEAL, FENCE, LEASE, RESYNC).
 *
 *	1. open the members: what they are, and whether they can be fenced
 *	2. SEAL    record: epoch + 1, we are the owner, the old one is an earlier one; from now on
 *	           nobody else's record holds
 *	3. FENCE   every member we reach; who cannot be leaves the record
 *	4. LEASE   wait until owners who may read from a member that is not fenced have stopped serving;
 *	           then the record has no earlier ones
 *	5. RESYNC  unless it was left clean: copy the union of the members' activity logs from one
 *	           member to all; the marks go when all have flushed
 *
 * TO1. Nothing is served before all of it is done.
 * TO2. A log is cleared only at the end: who dies in between finds it whole (and begins again).
 * TO3. Members without a log cannot be made equal by it: after an unclean stop one of
 *	them survives, the others are rebuilt.
 * TO4. Earlier owners that the record names when we come are always waited for: who took over from them and died
 *	did not say whether it could fence all that they read from. The owner that it names is waited for
 *	only if a member was lost: else all that it may read from are fenced against it. One that
 *	closed the volume, and we ourselves, serve nothing. With no room for one more earlier owner
 *	those there are are waited for first.
 * TO5. An owner that lives says by its lease that it has let go (LE4). Who may have been deposed while it took
 *	over looks before it serves (LK2).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"

struct takeover {
	struct nexus *n;
	struct uuid old_owner;
	bool was_clean, lost_one;
	nexus_mask were;	/* in sync, as the record said */
	nexus_mask doubted;	/* of those, who left in doubt */
	struct replica_gen gen; /* of those */
	unsigned earlier;	/* TO4: of past, those that the record named as such */
	unsigned past_count;
	struct takeover_past {
		struct uuid who;
		struct lease_sight sight; /* of its lease, before anything else */
	} past[VOLUME_EARLIER_MAX + 1];
};

/* ---- owners that were ------------------------------------------------------------------- */

static void takeover_remember(struct fiber *f, struct takeover *t, const struct uuid *who)
{
	struct takeover_past *past = &t->past[t->past_count];

	if (uuid_is_nil(who) || uuid_equal(who, &t->n->table->instance))
		return;
	past->who = *who;
	lease_see(f, t->n->table->store, who, &past->sight);
	past->sight.taken = t->n->revision; /* somebody else had it by then, or has by the seal */
	t->past_count++;
}

/* TO4. */
static void takeover_past(struct fiber *f, struct takeover *t)
{
	const struct volume_record *rec = &t->n->rec;

	for (unsigned i = 0; i < rec->earlier_count; i++)
		takeover_remember(f, t, &rec->earlier[i]);
	t->earlier = t->past_count;
	if (!t->was_clean)
		takeover_remember(f, t, &t->old_owner);
}

static int takeover_wait(struct fiber *f, struct takeover *t, unsigned count,
			 int (*goes_on)(struct fiber *f, void *ctx))
{
	int r = 0;

	if (nexus_is_off(t->n, NEXUS_RULE_LEASE))
		return 0;
	for (unsigned i = 0; r == 0 && i < count; i++)
		r = lease_wait_out_since(f, t->n->table->store, &t->past[i].who, &t->past[i].sight,
					 goes_on, t->n);
	return r;
}

/* No room for one more: those that there are go first. */
static int takeover_make_room(struct fiber *f, struct takeover *t)
{
	int r = 0;

	if (t->past_count <= VOLUME_EARLIER_MAX)
		return 0;
	r = takeover_wait(f, t, t->earlier, NULL);
	if (r == 0) {
		t->past[0] = t->past[t->earlier];
		t->past_count = 1;
		t->earlier = 0;
	}
	return r;
}

/* ---- members ------------------------------------------------------------------------- */

/* The member is out of the record, for this reason. */
static void takeover_lose(struct fiber *f, struct takeover *t, struct nexus_child *child, int error)
{
	struct volume_member *member = child_member(child);

	child_close(f, child);
	if (doubt_leaves(child))
		t->doubted |= nexus_bit(child);
	member->state = VOLUME_OUT;
	snprintf(member->reason, sizeof(member->reason), "takeover: %s", err_name(error));
	t->lost_one = true;
	fiber_clear(f);
}

static unsigned takeover_in_sync(struct nexus *n)
{
	unsigned count = 0;

	nexus_each_child(n, child)
		count += child_member(child)->state == VOLUME_IN_SYNC && child->bdev != NULL;
	return count;
}

static int takeover_none(struct fiber *f, struct nexus *n)
{
	return fiber_fail(f, -EHOSTDOWN, "volume '%s': none of its members in sync can be had",
			  n->rec.name);
}

/* 1. Members not in sync are not needed now. */
static int takeover_open(struct fiber *f, struct takeover *t, bool force)
{
	struct nexus *n = t->n;
	bool foreign = !uuid_is_nil(&t->old_owner) && !t->was_clean &&
		       !uuid_equal(&t->old_owner, &n->table->instance);

	nexus_each_child(n, child) {
		if (child_member(child)->state != VOLUME_IN_SYNC)
			continue;
		child->error = child_open(f, child, true);
		if (child->error == -EUCLEAN)
			return child->error; /* BG4 */
		if (child->error == 0 && !child->ops && foreign && !force)
			return fiber_fail(f, -EPERM,
					  "volume '%s': child '%s' cannot be fenced against the "
					  "owner that was; take it by force if that has ended",
					  n->rec.name, child_member(child)->uri); /* UNFENCEABLE */
	}
	if (takeover_in_sync(n) == 0) /* the words are those of the first child */
		return fiber_words(f)[0] ? -EHOSTDOWN : takeover_none(f, n);
	fiber_clear(f);
	return 0;
}

/* 2. */
static int takeover_seal(struct fiber *f, struct takeover *t)
{
	struct nexus *n = t->n;

	if (n->rec.epoch == VOLUME_EPOCH_MAX)
		return fiber_fail(f, -EOVERFLOW, "volume '%s': no epochs left", n->rec.name);
	n->rec.epoch++;
	n->rec.owner = n->table->instance;
	n->rec.earlier_count = t->past_count;
	for (unsigned i = 0; i < t->past_count; i++)
		n->rec.earlier[i] = t->past[i].who;
	if (n->rec.gen_epoch == 0) { /* the first owner */
		n->rec.gen_epoch = n->rec.epoch;
		n->rec.gen_n = 1;
	}
	n->rec.clean = false;
	int r = volume_put(f, n->table->store, &n->rec, &n->revision);
	if (r == -ESTALE) {
		fiber_clear(f);
		return fiber_fail(f, -EAGAIN, "volume '%s' was taken by somebody else",
				  n->rec.name);
	}
	if (r < 0)
		return r;
	n->gen = (struct replica_gen){ n->rec.gen_epoch, n->rec.gen_n };
	n->changes++;
	if (t->past_count > t->earlier) /* the old owner */
		t->past[t->earlier].sight.taken = n->revision;
	return 0;
}

/* 3. */
static int takeover_fence(struct fiber *f, struct takeover *t)
{
	struct nexus *n = t->n;

	nexus_each_child(n, child) {
		if (child_member(child)->state != VOLUME_IN_SYNC)
			continue;
		int r = child->bdev ? child_fence(f, child) : 0;

		if (r == -ESTALE)
			return r; /* somebody newer has been there */
		if (r < 0 || !child->bdev)
			takeover_lose(f, t, child, r < 0 ? r : child->error);
	}
	return takeover_in_sync(n) ? 0 : takeover_none(f, n);
}

/* An owner that is well never ends: somebody may have taken it back, and we wait for nothing. */
static int takeover_goes_on(struct fiber *f, void *ctx)
{
	int r = owner_look(f, ctx);

	if (r == -ESTALE || r == -ECANCELED)
		return r;
	fiber_clear(f);
	return 0;
}

/* The record without those that were lost. */
static int takeover_record(struct fiber *f, struct takeover *t)
{
	struct nexus *n = t->n;

	if (!t->lost_one)
		return 0;
	n->rec.gen_epoch = n->rec.epoch;
	n->rec.gen_n++;
	return owner_put_surely(f, n);
}

/* 4. */
static int takeover_settle(struct fiber *f, struct takeover *t)
{
	struct nexus *n = t->n;
	int r = takeover_record(f, t);

	if (r == 0)
		r = takeover_wait(f, t, t->lost_one ? t->past_count : t->earlier, takeover_goes_on);
	if (r < 0 || n->rec.earlier_count == 0)
		return r;
	n->rec.earlier_count = 0;
	r = owner_put(f, n);
	if (r == -ESTALE)
		return r;
	fiber_clear(f); /* if it was not done, the next change of the record does it */
	return 0;
}

/* ---- resync (5) ------------------------------------------------------------------------ */

static nexus_mask takeover_mask(struct nexus *n)
{
	nexus_mask mask = 0;

	nexus_each_child(n, child)
		if (child_member(child)->state == VOLUME_IN_SYNC)
			mask |= nexus_bit(child);
	return mask;
}

/* TO3. */
static void takeover_survivor(struct fiber *f, struct takeover *t, struct nexus_child *source)
{
	nexus_each_child(t->n, child)
		if (child != source && child_member(child)->state == VOLUME_IN_SYNC)
			takeover_lose(f, t, child, -EUCLEAN);
}

static bool takeover_all_have_logs(struct nexus *n)
{
	nexus_each_child(n, child)
		if (child_member(child)->state == VOLUME_IN_SYNC && !child->ops)
			return false;
	return true;
}

static int takeover_resync(struct fiber *f, struct takeover *t)
{
	struct nexus *n = t->n;
	struct nexus_child *source = &n->child[__builtin_ctz(takeover_mask(n))];
	nexus_mask lost;

	if (t->was_clean || nexus_is_off(n, NEXUS_RULE_RESYNC) ||
	    (takeover_in_sync(n) == 1 && !source->bdev->volatile_cache)) /* RY5 */
		return 0;
	if (!takeover_all_have_logs(n)) {
		takeover_survivor(f, t, source);
		return 0;
	}
	int r = resync(f, n, takeover_mask(n), &lost);
	if (r == 0)
		nexus_each_in(n, lost, child)
			takeover_lose(f, t, child, child->error);
	if (r == 0)
		doubt_resynced(n, nexus_child_from(n, takeover_mask(n), 0));
	return r;
}

/* What those who are out have missed; before logs are cleared. */
static int takeover_missed(struct fiber *f, struct takeover *t)
{
	struct nexus *n = t->n;
	nexus_mask failed, lost = t->were & (nexus_mask) ~(takeover_mask(n) | t->doubted);
	int r = missed_load(f, n, lost, t->gen, &failed);

	nexus_each_child(n, child)
		if (nexus_has(failed, child->index) && child->bdev)
			takeover_lose(f, t, child, -EIO);
	return r < 0 || takeover_in_sync(n) ? r : takeover_none(f, n);
}

/* ---- all of it ---------------------------------------------------------------------------- */

int takeover(struct fiber *f, struct nexus *n, bool force)
{
	struct takeover t = { .n = n,
			      .old_owner = n->rec.owner,
			      .was_clean = n->rec.clean,
			      .were = takeover_mask(n),
			      .gen = { n->rec.gen_epoch, n->rec.gen_n } };
	int r;

	takeover_past(f, &t);
	r = takeover_open(f, &t, force);
	if (r == 0)
		r = takeover_make_room(f, &t);
	if (r == 0)
		r = takeover_seal(f, &t);
	if (r == 0)
		r = takeover_fence(f, &t);
	if (r == 0)
		r = takeover_settle(f, &t);
	t.lost_one = false;
	if (r == 0)
		r = takeover_missed(f, &t);
	if (r == 0)
		r = takeover_resync(f, &t);
	if (r == 0 && t.lost_one) { /* nobody serves yet: the record is enough */
		n->rec.gen_epoch = n->rec.epoch;
		n->rec.gen_n++;
		r = owner_put_surely(f, n);
	}
	return r < 0 ? r : look_before_serving(f, n);
}
