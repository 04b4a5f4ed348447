// SPDX-License-Identifier: Apache-2.0
/*
 * rio_flush - FLUSH, and FUA on disks with volatile caches: rounds.
 *
 *	take the delta's unlogged entries --> flush the disks --> tell the log --> done
 *	                                            cut meanwhile: the commit makes them durable
 *
 * Whoever comes while a round is under way shares the next one. A round runs on a worker.
 *
 * FL1. What is told to the log is what the delta said when the round began; its data were on the
 *      disks then, and the flush that follows makes them durable first (RI2). Blocks that became
 *      valid later wait for the next round: their data may not be durable.
 * FL2. Rounds follow each other, so a later record never says less than an earlier one.
 * FL3. What was taken and is not written when the delta is cut must not be told any more: it would
 *      stand in the log behind what the commit knows better. The commit makes it durable.
 * FL4. A failed flush is final: the pool is faulted; nobody can tell what was lost.
 * FL5. A request in a round is PARKED: a round may wait for a commit (RI7).
 */
#include <errno.h>

#include "base/err.h"
#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

static unsigned flush_fill(struct intent_item *item, uint8_t *at, unsigned room, bool *ret_more)
{
	struct rio_flush *flush = container_of(item, struct rio_flush, item);
	unsigned count = 0;

	for (; count < room && flush->at < flush->count; count++) {
		const struct delta_entry *taken = &flush->taken[flush->at++];
		const struct intent_entry entry = {
			.kind = taken->cluster ? INTENT_MAP : INTENT_HOLE,
			.valid = taken->valid,
			.object = taken->object,
			.first = taken->lcluster,
			.second = taken->cluster ? taken->cluster : 1,
		};

		intent_entry_put(at + (size_t)count * INTENT_ENTRY_SIZE, &entry);
	}
	*ret_more = flush->at < flush->count;
	return count;
}

static void flush_told(struct intent_item *item, int status)
{
	struct rio_flush *flush = container_of(item, struct rio_flush, item);

	flush->status = status;
	event_set(&flush->ended);
}

void rio_flush_cut(struct pool *pool)
{
	struct rio_flush *flush = &pool->rio.flush;

	if (!list_is_linked(&flush->item.link) || flush->at == flush->count)
		return;
	intent_cancel(&flush->item); /* FL3 */
	flush->cancelled = true;
	event_set(&flush->ended);
}

/* 0; -ECANCELED: a cut came first. */
static int flush_tell(struct fiber *f, struct pool *pool)
{
	struct rio_flush *flush = &pool->rio.flush;

	flush->item = (struct intent_item){ .fill = flush_fill, .done = flush_told };
	flush->at = 0;
	flush->status = 0;
	flush->cancelled = false;
	event_clear(&flush->ended);
	intent_add(pool, &flush->item);
	event_wait_always(f, &flush->ended);
	return flush->cancelled ? -ECANCELED : flush->status;
}

static int flush_disks(struct fiber *f, struct pool *pool)
{
	int r = disk_flush_all(f, pool);

	if (r < 0) {
		pool_fault(pool, "flushing a disk failed"); /* FL4 */
		rio_fail(pool);
	}
	return r;
}

/* No memory for a list of them: a commit does without. */
static int flush_by_commit(struct fiber *f, struct pool *pool)
{
	pool->commit.forced = true;
	commit_request(pool);
	return rio_durable_wait(f, pool, pool->delta.cuts + 1);
}

static int flush_round(struct fiber *f, struct pool *pool)
{
	struct rio_flush *flush = &pool->rio.flush;
	uint64_t cuts;
	int r;

	while (pool->rio.cut_unlogged) {
		r = rio_durable_wait(f, pool, pool->delta.cuts);
		if (r < 0)
			return r;
	}
	flush->count = delta_unlogged(pool);
	mem_free(flush->taken);
	flush->taken = mem_alloc_array(pool->mem, flush->count, sizeof(*flush->taken));
	if (!flush->taken)
		return flush_by_commit(f, pool);
	flush->count = delta_take_unlogged(pool, flush->taken, flush->count); /* FL1 */
	cuts = pool->delta.cuts;
	r = flush_disks(f, pool);
	if (r < 0 || flush->count == 0)
		return r;
	r = pool->delta.cuts == cuts ? flush_tell(f, pool) : -ECANCELED;
	return r == -ECANCELED ? rio_durable_wait(f, pool, cuts + 1) : r;
}

static void flush_work(struct fiber *f, struct rio_work *work)
{
	struct rio_flush *flush = container_of(work, struct rio_flush, work);
	struct pool *pool = container_of(flush, struct pool, rio.flush);
	struct rio_req *req;

	while (!list_empty(&flush->waiting)) {
		int r;

		list_splice_tail(&flush->joined, &flush->waiting);
		r = pool->state == POOL_FAULTED ? -EIO : flush_round(f, pool);
		fiber_clear(f);
		while ((req = list_pop_front(&flush->joined, struct rio_req, link))) {
			req->rep->rio.busy++;
			rio_end(req, r < 0 ? -EIO : 0);
		}
	}
	mem_free(flush->taken);
	flush->taken = NULL;
	flush->active = false;
}

void rio_flush(struct rio_req *req)
{
	struct pool *pool = req->rep->pool;
	struct rio_flush *flush = &pool->rio.flush;

	if (!pool->rio.is_volatile) {
		rio_end(req, 0);
		return;
	}
	rio_park(req, &flush->waiting); /* FL5 */
	if (flush->active)
		return;
	flush->active = true;
	rio_work_add(pool, &flush->work, flush_work);
}
