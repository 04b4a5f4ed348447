// SPDX-License-Identifier: Apache-2.0
/*
 * resync - after an owner that did not close its volume: members are made equal where they may differ (rule RESYNC).
 *
 *	union of the activity logs --segment--> worker: copy, from the first member to all --> next
 *	all copied -> all flush -> the logs are cleared
 *
 * RY1. Nothing is served before it has ended: nobody else writes, so no range is held.
 * RY2. Segments under way do not overlap, and are at most NEXUS_REBUILD_DEPTH.
 * RY3. Who fails is no member from then on, source or target; the last one fails the resync (LASTONE).
 *	Which source a segment came from does not matter: what was acknowledged all of them have.
 * RY4. No log is cleared before all segments are copied and flushed: who dies before that finds it whole.
 * RY5. The source's own blocks are written again, too, also where it is alone, if its disk has a volatile
 *	cache: a flush that failed may have left it reading what it will forget with the power, and no
 *	later flush alone makes that good.
 * RY6. What the only member cannot read is left as it is: there is nobody to be equal to.
 */
#include <errno.h>
#include <stdio.h>

#include "nexus/copy_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/must.h"

struct resync {
	struct nexus *n;
	nexus_mask members, lost;
	uint64_t *log; /* owned: regions of the union */
	uint64_t regions;
	uint64_t cursor, end; /* blocks */
	unsigned workers;
	struct event ended; /* no workers */
	int error;
	char words[128]; /* of that */
};

/* ---- the logs -------------------------------------------------------------------------- */

/* A replica may have more regions than the volume. */
static int log_add(struct fiber *f, struct nexus_child *child, uint64_t *words, uint64_t count)
{
	struct nexus *n = child->nexus;
	CLEANUP(cleanup_mem) struct replica_info *info = mem_alloc(n->mem, sizeof(*info));
	int r = info ? child->ops->info(f, child->chan, info) : -ENOMEM;

	if (r < 0)
		return r;
	uint64_t own = max_u64(div_up_u64(info->regions, 64), count);
	CLEANUP(cleanup_mem) uint64_t *one = mem_alloc_array(n->mem, own, sizeof(*one));
	if (!one)
		return fiber_fail(f, -ENOMEM, "no memory to resync");
	r = child->ops->al_get(f, child->chan, one, div_up_u64(info->regions, 64));
	for (uint64_t i = 0; r == 0 && i < count; i++)
		words[i] |= one[i];
	return r;
}

static bool log_has(const struct resync *rs, uint64_t region)
{
	return rs->log[region / 64] >> (region % 64) & 1;
}

/* RY4. All flush, then all marks go. */
static int log_clear(struct fiber *f, struct resync *rs)
{
	struct nexus *n = rs->n;
	uint64_t numbers[NEXUS_AL_BATCH];
	unsigned count = 0;
	int r = 0;

	nexus_each_in(n, rs->members, child)
		if (r == 0)
			r = child_flush(f, child);
	for (uint64_t i = 0; r == 0 && i <= rs->regions; i++) {
		if (i < rs->regions && log_has(rs, i))
			numbers[count++] = i;
		if (count == 0 || (count < NEXUS_AL_BATCH && i < rs->regions))
			continue;
		nexus_each_in(n, rs->members, child)
			if (r == 0)
				r = child->ops->al_update(f, child->chan, child->token,
							  REPLICA_AL_CLEAR, numbers, count);
		count = 0;
	}
	return r;
}

/* ---- segments ---------------------------------------------------------------------------- */

/* RY2. False: there is none. */
static bool segment_next(struct resync *rs, uint64_t *ret_lba, uint64_t *ret_blocks)
{
	uint64_t region = NEXUS_REGION_BYTES >> rs->n->block_shift;

	while (rs->cursor < rs->end && !log_has(rs, rs->cursor / region))
		rs->cursor = (rs->cursor / region + 1) * region;
	if (rs->cursor >= rs->end)
		return false;
	*ret_lba = rs->cursor;
	*ret_blocks = min_u64(NEXUS_COPY_BYTES >> rs->n->block_shift, rs->end - rs->cursor);
	rs->cursor += *ret_blocks;
	return true;
}

/* RY3. */
static int segment_lose(struct resync *rs, nexus_mask whom, int error)
{
	if (error == -ENOMEM || (rs->members & (nexus_mask)~whom) == 0)
		return error;
	nexus_each_in(rs->n, rs->members & whom, child)
		child->error = error;
	rs->lost |= whom;
	rs->members &= (nexus_mask)~whom;
	return 0;
}

static bool is_alone(nexus_mask mask)
{
	return (mask & (mask - 1)) == 0;
}

/* RY5. */
static nexus_mask segment_targets(const struct resync *rs, const struct nexus_child *source)
{
	return source->bdev->volatile_cache ? rs->members :
					      rs->members & (nexus_mask)~nexus_bit(source);
}

static int segment_copy(struct fiber *f, struct resync *rs, uint64_t lba, uint64_t blocks,
			void *buf)
{
	nexus_mask failed = 0;
	bool again = true;
	int r = 0;

	while (again) {
		struct nexus_child *source = nexus_child_from(rs->n, rs->members, 0);

		r = copy_range(f, source, segment_targets(rs, source), lba, blocks, buf, &failed);
		if (r == -EIO && failed == 0 && is_alone(rs->members)) { /* RY6 */
			fiber_clear(f);
			r = 0;
		}
		if (r == 0 || r == -ESTALE)
			break;
		r = segment_lose(rs, failed ? failed : nexus_bit(source), r);
		if (r < 0)
			break;
		fiber_clear(f);
		again = failed == 0; /* with another source */
	}
	rs->n->resync_bytes += r == 0 ? blocks << rs->n->block_shift : 0;
	return r;
}

/* ---- workers ------------------------------------------------------------------------------- */

static int resync_worker(struct fiber *f, void *arg)
{
	struct resync *rs = arg;
	CLEANUP(cleanup_mem)
	void *buf = mem_alloc_aligned(rs->n->mem, 4096, NEXUS_COPY_BYTES);
	int r = buf ? 0 : fiber_fail(f, -ENOMEM, "no memory to resync");
	uint64_t lba, blocks;

	while (r == 0 && rs->error == 0 && segment_next(rs, &lba, &blocks))
		r = segment_copy(f, rs, lba, blocks, buf);
	if (r < 0 && rs->error == 0) {
		rs->error = r;
		snprintf(rs->words, sizeof(rs->words), "%s", fiber_words(f));
	}
	fiber_clear(f);
	if (--rs->workers == 0)
		event_set(&rs->ended);
	return 0;
}

static int resync_copy(struct fiber *f, struct resync *rs)
{
	int r = 0;

	while (rs->workers < NEXUS_REBUILD_DEPTH && r == 0) {
		r = fiber_start(rs->n->home, "resync", resync_worker, rs, NULL);
		rs->workers += r == 0;
	}
	if (rs->workers == 0)
		return r;
	event_wait_always(f, &rs->ended);
	if (rs->error < 0 && rs->words[0])
		return fiber_fail(f, rs->error, "%s", rs->words);
	return rs->error;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int resync_run(struct fiber *f, struct resync *rs)
{
	struct nexus *n = rs->n;
	uint64_t count = div_up_u64(rs->regions, 64);
	int r = 0;

	rs->log = mem_alloc_array(n->mem, count, sizeof(*rs->log));
	if (!rs->log)
		return fiber_fail(f, -ENOMEM, "no memory to resync");
	nexus_each_in(n, rs->members, child)
		if (r == 0)
			r = log_add(f, child, rs->log, count);
	if (r == 0)
		r = resync_copy(f, rs);
	if (r == 0)
		r = log_clear(f, rs);
	return r;
}

int resync(struct fiber *f, struct nexus *n, nexus_mask members, nexus_mask *ret_lost)
{
	CLEANUP(cleanup_mem) struct resync *rs = mem_new(n->io, sizeof(*rs));
	int r;

	*ret_lost = 0;
	if (!rs)
		return fiber_fail(f, -ENOMEM, "no memory to resync");
	rs->n = n;
	rs->members = members;
	rs->regions = nexus_regions(n->rec.size_bytes);
	rs->end = n->rec.size_bytes >> n->block_shift;
	event_init(&rs->ended);
	r = resync_run(f, rs);
	mem_free(rs->log);
	*ret_lost = rs->lost;
	must(r < 0 || rs->members);
	return r;
}
