/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim - who may write to a disk, and who relies on it not changing.
 *
 * CL1. A WRITE claim is the only claim of its disk; READ claims stand beside each other.
 * CL2. Claims live at home; the claim's memory is the claimant's until bdev_unclaim().
 */
#include <errno.h>
#include <stdio.h>

#include "base/must.h"
#include "bdev/bdev_priv.h"

struct claim_call {
	struct bdev_claim *claim;
	struct bdev_claim other; /* a copy of what stands in the way */
	bool is_busy;
};

static void claim_home(void *arg)
{
	struct claim_call *call = arg;
	struct bdev_core *core = call->claim->bdev->core;
	const struct bdev_claim *first = list_first(&core->claims, struct bdev_claim, link);

	if (first && (first->kind == BDEV_CLAIM_WRITE || call->claim->kind == BDEV_CLAIM_WRITE)) {
		call->is_busy = true; /* CL1 */
		call->other = *first;
		return;
	}
	list_add_tail(&core->claims, &call->claim->link);
}

int bdev_claim(struct fiber *f, struct bdev *bdev, enum bdev_claim_kind kind, const char *who,
	       struct bdev_claim *claim)
{
	struct claim_call call = { .claim = claim };

	*claim = (struct bdev_claim){ .bdev = bdev, .kind = kind };
	snprintf(claim->who, sizeof(claim->who), "%s", who);
	home_call(f, bdev->core->home, claim_home, NULL, &call);
	if (!call.is_busy)
		return 0;
	claim->bdev = NULL;
	return fiber_fail(f, -EBUSY, "%s is claimed for %s by %s", bdev->name,
			  call.other.kind == BDEV_CLAIM_WRITE ? "writing" : "reading",
			  call.other.who);
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
