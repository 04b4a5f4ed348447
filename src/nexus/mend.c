// SPDX-License-Identifier: Apache-2.0
/*
 * mend - a write that every member refused: it fails, and leaves them equal.
 *
 * Refused as such (-EINVAL, -ENOTSUP) it changed nothing. Without space (-ENOSPC) each member may
 * have done another part of it (B4), so the first one's blocks are copied to the others, held
 * meanwhile; a member that cannot take them is retired. Only then the request fails.
 *
 * ME1. The regions stay counted until then: after a crash a resync does the same.
 * ME2. Without memory for that one member stays, and the others are rebuilt.
 */
#include <errno.h>

#include "nexus/copy_priv.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"

static int mend_range(struct fiber *f, struct nexus *n, const struct bio *bio, void *buf)
{
	uint64_t step = NEXUS_COPY_BYTES >> n->block_shift;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < bio->blocks && n->readable; done += step) {
		struct nexus_child *source = &n->child[__builtin_ctz(n->readable)];
		nexus_mask to = n->writable & (nexus_mask)~nexus_bit(source), failed;
		int copied = copy_range(f, source, to, bio->lba + done,
					min_u64(step, bio->blocks - done), buf, &failed);

		if (copied == -ESTALE)
			owner_deposed(n);
		nexus_each_child(n, child)
			if (copied < 0 &&
			    (failed ? nexus_bit(child) & failed : nexus_bit(child) & to))
				retire(child, copied);
		if (n->state == NEXUS_DEPOSED)
			r = -ESTALE;
		fiber_clear(f);
	}
	return r;
}

/* ME2. */
static void mend_without(struct nexus *n)
{
	nexus_mask first = n->readable & (nexus_mask)-n->readable;

	nexus_each_child(n, child)
		if (first && nexus_has(n->writable & (nexus_mask)~first, child->index))
			retire(child, -ENOMEM);
}

static int mend_main(struct fiber *f, void *arg)
{
	struct nexus_req *req = arg;
	struct nexus *n = req->nexus;
	CLEANUP(cleanup_mem) void *buf = mem_alloc_aligned(n->mem, 4096, NEXUS_COPY_BYTES);
	struct nexus_range range;
	int status = req->status;

	range_hold(f, n, &range, req->bio->lba, req->bio->blocks);
	if (buf)
		(void)mend_range(f, n, req->bio, buf);
	else
		mend_without(n);
	range_release(n, &range);
	io_finish(req, n->state == NEXUS_DEPOSED ? -ESTALE : status);
	return 0;
}

void io_mend(struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	bool alone = (n->writable & (n->writable - 1)) == 0;

	if (req->status == -ENOSPC && !alone && req->bio->op != BIO_FLUSH) {
		if (fiber_start(n->home, "mend", mend_main, req, NULL) == 0)
			return;
		mend_without(n);
	}
	io_finish(req, req->status);
}
