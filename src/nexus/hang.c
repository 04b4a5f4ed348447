// SPDX-License-Identifier: Apache-2.0
/*
 * hang - a child that does not answer in time has failed (safety B.10); one that is slow has not.
 *
 *	request sent --> pending, oldest first --> answered
 *	                    | nexus.child_timeout_ms
 *	                    v
 *	               retired; its channel is reset
 *
 * The clock runs only while something is pending, and looks four times in the time it allows: a child is
 * failed between one and one and a quarter of it.
 *
 * HG1. From the moment it is failed no acknowledgement waits for it; it is fenced out by the larger
 *	token it comes back with (SESSION), so what it does late cannot matter.
 * HG2. The memory of a request is the user's, and its driver's until that gives it back (B2). So a
 *	request that the child had is answered when the reset has brought it back, not before. Drivers
 *	that own their buffers (a network) give it at once; a kernel that hangs keeps those requests,
 *	and only those: all others go on without the child.
 * HG3. The last member is not failed for silence: its requests wait, as they would without it (LASTONE).
 */
#include <errno.h>
#include <stddef.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"

#include "base/must.h"

#define LOOKS 4u

struct hang_reset {
	struct nexus_child *child;
	struct bio bio; /* last */
};

static void hang_reset_done(struct bio *bio)
{
	struct hang_reset *reset = container_of(bio, struct hang_reset, bio);

	child_let_go(reset->child);
	mem_free(reset);
}

/* HG2. Once, since it was opened. */
static void hang_reset(struct nexus_child *child)
{
	size_t bytes = offsetof(struct hang_reset, bio) + bio_size(child->bdev);
	struct hang_reset *reset;

	if (child->is_reset)
		return;
	reset = mem_alloc_aligned(child->nexus->mem, BIO_SCRATCH_ALIGN, bytes);
	if (!reset)
		return; /* at the next look */
	child->is_reset = true;
	reset->child = child;
	bio_prep(&reset->bio, child->chan, BIO_RESET, 0, 0, NULL, 0, hang_reset_done);
	child_hold(child);
	bio_submit(&reset->bio);
}

/* HG3. */
bool hang_is_last(const struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	nexus_mask others = n->needed & (nexus_mask)~nexus_bit(child);

	nexus_each_child(n, other)
		if (other->state == NEXUS_CHILD_DROPPING)
			others &= (nexus_mask)~nexus_bit(other);
	return nexus_has(n->needed, child->index) && others == 0;
}

static void hang_look(struct nexus_child *child, uint64_t now)
{
	struct nexus *n = child->nexus;
	const struct nexus_pending *oldest;

	if (list_empty(&child->pending) || !child->chan)
		return;
	oldest = list_first(&child->pending, struct nexus_pending, link);
	if (now - oldest->start_ns < n->child_timeout_ms * UINT64_C(1000000) || hang_is_last(child))
		return;
	retire(child, -ETIMEDOUT); /* HG1 */
	hang_reset(child);
}

static void hang_fired(struct timer *timer)
{
	struct nexus *n = container_of(timer, struct nexus, hang_clock);
	uint64_t now = reactor_now(n->home);
	bool more = false;

	nexus_each_child(n, child) {
		hang_look(child, now);
		more = more || !list_empty(&child->pending);
	}
	if (more)
		hang_arm(n);
}

void hang_arm(struct nexus *n)
{
	timer_start(n->home, &n->hang_clock, n->child_timeout_ms * UINT64_C(1000000) / LOOKS,
		    hang_fired);
}
