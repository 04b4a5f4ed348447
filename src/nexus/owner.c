// SPDX-License-Identifier: Apache-2.0
/*
 * owner - the volume's record, written by its owner.
 *
 * OW1. Only the owner of the epoch writes. Whoever finds another epoch or owner there is
 *      deposed: nothing is acknowledged from then on, whatever was said to the children.
 * OW2. After an answer that does not say whether it was done, the record is read: one of our
 *      epoch is ours, perhaps an earlier write that came late; then we write again on its revision.
 */
#include <errno.h>

#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/must.h"

void owner_deposed(struct nexus *n)
{
	struct nexus_req *req;

	if (n->state == NEXUS_DEPOSED)
		return;
	nexus_become(n, NEXUS_DEPOSED);
	n->readable = n->writable = 0;
	while ((req = list_pop_front(&n->held, struct nexus_req, link)))
		io_finish(req, -ESTALE);
	io_run_all(&n->gated);
	io_run_all(&n->starved);
	io_run_all(&n->split_reads);
	event_set(&n->retire_needed);
	event_set(&n->missed.needed);
	event_set(&n->active.needed);
}

/* Perhaps the epoch that we raise is not recorded yet (ME5). */
static bool owner_is_ours(const struct nexus *n, const struct volume_record *now)
{
	return uuid_equal(&now->owner, &n->table->instance) &&
	       (now->epoch == n->rec.epoch || now->epoch == n->epoch_was);
}

/* OW1, OW2. */
int owner_look(struct fiber *f, struct nexus *n)
{
	CLEANUP(cleanup_mem) struct volume_record *now = mem_alloc(n->mem, sizeof(*now));
	uint64_t revision;
	int r = now ? volume_get(f, n->table->store, &n->rec.volume, now, &revision) : -ENOMEM;

	if (r == 0 && nexus_is_off(n, NEXUS_RULE_SEAL)) {
		n->revision = revision;
		return 0;
	}
	if (r == -ENOENT || (r == 0 && !owner_is_ours(n, now))) {
		fiber_clear(f);
		owner_deposed(n);
		return fiber_fail(f, -ESTALE, "volume '%s' has another owner", n->rec.name);
	}
	if (r == 0)
		n->revision = revision;
	return r;
}

int owner_put(struct fiber *f, struct nexus *n)
{
	struct replica_gen gen = { n->rec.gen_epoch, n->rec.gen_n };
	int r = volume_put(f, n->table->store, &n->rec, &n->revision);

	if (r == 0) {
		n->gen = gen; /* BG4 */
		n->changes++;
		return 0;
	}
	fiber_clear(f);
	r = owner_look(f, n);
	return r < 0 ? r : -EIO;
}

int owner_put_surely(struct fiber *f, struct nexus *n)
{
	int r;

	while ((r = owner_put(f, n)) < 0 && r != -ESTALE) {
		fiber_clear(f);
		r = fiber_sleep(f, NEXUS_RETRY_NS);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- the lease --------------------------------------------------------------------------- */

/* The lease had ended and holds again: is the volume still ours (LE3)? */
static int owner_resume(struct fiber *f, void *arg)
{
	struct nexus *n = arg;
	struct lease *lease = &n->table->lease;
	int r = 0;

	while (r == 0 && n->term != lease->term && n->state != NEXUS_DEPOSED) {
		uint64_t term = lease->term;

		if (lease->is_usurped)
			owner_deposed(n);
		else if (lease_holds(lease, io_now(n->io)) && owner_look(f, n) == 0)
			n->term = term;
		else
			r = fiber_sleep(f, NEXUS_RETRY_NS);
		fiber_clear(f);
	}
	n->is_resuming = false;
	event_set(&n->resumed);
	io_run_all(&n->gated);
	return 0;
}

static int owner_wait_lease(struct fiber *f, void *arg)
{
	struct nexus *n = arg;
	const struct lease *lease = &n->table->lease;

	while (!lease_holds(lease, io_now(n->io)) && !lease->is_usurped &&
	       n->state != NEXUS_DEPOSED && n->state != NEXUS_CLOSING)
		if (fiber_sleep(f, NEXUS_RETRY_NS) < 0)
			break;
	return owner_resume(f, arg);
}

bool owner_may_serve(struct nexus *n)
{
	const struct lease *lease = &n->table->lease;

	/* the clock itself: a turn of the loop may be older than the lease, if we were stopped in it */
	if (likely(lease_holds(lease, io_now(n->io)) && n->term == lease->term))
		return true;
	if (nexus_is_off(n, NEXUS_RULE_LEASE))
		return true;
	if (!n->is_resuming &&
	    fiber_start(n->home, "nexus-lease", owner_wait_lease, n, NULL) == 0) {
		n->is_resuming = true;
		event_clear(&n->resumed);
	}
	return false;
}
