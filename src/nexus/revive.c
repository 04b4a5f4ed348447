// SPDX-License-Identifier: Apache-2.0
/*
 * revive - a volume whose last member failed comes back by itself, when a member does.
 *
 *	STOPPED --pause--> all closed, the record read, takeover once more --> SERVING, requests go on
 *	           ^------------- nobody can be had ------------'
 *
 * RV1. It is a takeover from ourselves: a new epoch, fences, a resync, and only then requests. What was
 *	in flight when it stopped was acknowledged to nobody, and is done again.
 * RV2. Nothing of the old session is left when it begins: no request to a child, no rebuild, no region
 *	or map in memory.
 * RV3. A record that is not ours any more deposes us.
 * RV4. Tries come with pauses that double; they are short again when it has served for a while.
 */
#include <errno.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"

#define REVIVE_MAX_NS  UINT64_C(5000000000)
#define REVIVE_GOOD_NS UINT64_C(60000000000)

/* RV3. What we had in memory may never have been written. */
static int revive_record(struct fiber *f, struct nexus *n)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_alloc(n->mem, sizeof(*rec));
	uint64_t revision;
	int r = rec ? volume_get(f, n->table->store, &n->rec.volume, rec, &revision) : -ENOMEM;

	if (r == -ENOENT || (r == 0 && (!uuid_equal(&rec->owner, &n->table->instance) ||
					rec->member_count != n->rec.member_count)))
		owner_deposed(n);
	if (r == 0 && n->state == NEXUS_STOPPED) {
		n->rec = *rec;
		n->revision = revision;
		n->gen = (struct replica_gen){ rec->gen_epoch, rec->gen_n };
	}
	return r;
}

/* RV2. Under the admin latch. */
static int revive_reset(struct fiber *f, struct nexus *n)
{
	nexus_each_child(n, child)
		if (child->bdev)
			child_close(f, child);
	n->readable = n->writable = n->needed = 0;
	n->session = 0;
	return missed_reset(f, n) < 0 ? -ECANCELED : active_reset(f, n);
}

static int revive_take(struct fiber *f, struct nexus *n)
{
	int r = revive_reset(f, n);

	if (r == 0)
		r = revive_record(f, n);
	if (r == 0 && n->state == NEXUS_STOPPED)
		r = takeover(f, n, false);
	if (r == -EAGAIN)
		owner_deposed(n);
	if (r == 0 && n->state == NEXUS_STOPPED) {
		nexus_serve(f, n);
		return 0;
	}
	nexus_each_child(n, child)
		if (child->bdev)
			child_close(f, child);
	return r;
}

static void revive_try(struct fiber *f, struct nexus *n)
{
	nexus_each_child(n, child)
		rebuild_stop(f, child);
	if (latch_lock(f, &n->admin) < 0)
		return;
	if (n->state == NEXUS_STOPPED)
		(void)revive_take(f, n);
	latch_unlock(f, &n->admin);
	if (n->state != NEXUS_STOPPED) {
		io_run_all(&n->gated);
		io_run_all(&n->starved);
		event_set(&n->active.needed);
		event_set(&n->missed.needed);
	}
}

int revive_main(struct fiber *f, void *arg)
{
	struct nexus *n = arg;
	uint64_t first = n->table->retry_ms * UINT64_C(1000000), delay = first, since = 0;

	while (event_wait(f, &n->stopped) == 0) {
		event_clear(&n->stopped);
		if (io_now(n->io) - since > REVIVE_GOOD_NS) /* RV4 */
			delay = first;
		while (n->state == NEXUS_STOPPED && fiber_sleep(f, delay) == 0) {
			revive_try(f, n);
			delay = min_u64(2 * delay, REVIVE_MAX_NS);
			fiber_clear(f);
		}
		since = io_now(n->io);
	}
	return 0;
}
