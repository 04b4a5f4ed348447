/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim - who may write to a disk, and who relies on it not changing.
 *
 * CL1. A WRITE claim is the only claim of its blocks; READ claims stand beside each other, and so do
 *	DOOR claims.
 * CL2. Claims live at home; the claim's memory is the claimant's until bdev_unclaim().
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/must.h"
#include "bdev/bdev_priv.h"

struct claim_call {
	struct bdev_claim *claim;
	struct bdev_claim other; /* a copy of what stands in the way */
	bool is_busy;
};

/* The block after the last; UINT64_MAX: to the end. */
static uint64_t claim_end(const struct bdev_claim *claim)
{
	return claim->blocks > UINT64_MAX - claim->first ? UINT64_MAX :
							   claim->first + claim->blocks;
}

/* CL1. */
static bool claims_clash(const struct bdev_claim *a, const struct bdev_claim *b)
{
	return (a->kind != b->kind || a->kind == BDEV_CLAIM_WRITE) && a->first < claim_end(b) &&
	       b->first < claim_end(a);
}

static void claim_home(void *arg)
{
	struct claim_call *call = arg;
	struct bdev_core *core = call->claim->bdev->core;
	const struct bdev_claim *other;

	list_for_each(other, &core->claims, link) {
		if (!claims_clash(call->claim, other))
			continue;
		call->is_busy = true;
		call->other = *other;
		return;
	}
	list_add_tail(&core->claims, &call->claim->link);
}

static int claim_failed(struct fiber *f, const struct bdev *bdev, const struct bdev_claim *other)
{
	const char *what = other->kind == BDEV_CLAIM_READ ? "reading" : "writing";
	uint64_t end = claim_end(other);

	if (other->first == 0 && end == UINT64_MAX)
		return fiber_fail(f, -EBUSY, "%s is claimed for %s by %s", bdev->name, what,
				  other->who);
	if (end == UINT64_MAX)
		return fiber_fail(f, -EBUSY,
				  "%s: block %" PRIu64 " to the end is claimed for %s by %s",
				  bdev->name, other->first, what, other->who);
	return fiber_fail(f, -EBUSY, "%s: blocks %" PRIu64 "..%" PRIu64 " are claimed for %s by %s",
			  bdev->name, other->first, end - 1, what, other->who);
}

int bdev_claim_range(struct fiber *f, struct bdev *bdev, enum bdev_claim_kind kind, const char *who,
		     uint64_t first, uint64_t blocks, struct bdev_claim *claim)
{
	struct claim_call call = { .claim = claim };

	must(blocks > 0);
	*claim = (struct bdev_claim){
		.bdev = bdev,
		.kind = kind,
		.first = first,
		.blocks = blocks,
	};
	snprintf(claim->who, sizeof(claim->who), "%s", who);
	home_call(f, bdev->core->home, claim_home, NULL, &call);
	if (!call.is_busy)
		return 0;
	claim->bdev = NULL;
	return claim_failed(f, bdev, &call.other);
}

int bdev_claim(struct fiber *f, struct bdev *bdev, enum bdev_claim_kind kind, const char *who,
	       struct bdev_claim *claim)
{
	return bdev_claim_range(f, bdev, kind, who, 0, BDEV_CLAIM_TO_END, claim);
}

static void unclaim_home(void *arg)
{
	struct bdev_claim *claim = arg;

	list_del(&claim->link);
}

void bdev_unclaim(struct fiber *f, struct bdev_claim *claim)
{
	must(claim->bdev);
	home_call(f, claim->bdev->core->home, unclaim_home, NULL, claim);
	claim->bdev = NULL;
}
