// SPDX-License-Identifier: Apache-2.0
/*
 * rio_pool - the I/O path and its surroundings: life, gates, commits, workers.
 */
#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

#define WORK_RETRY_NS 1000000u

/* ---- workers ----------------------------------------------------------------------------------- */

static int worker_main(struct fiber *f, void *arg)
{
	struct pool *pool = arg;
	struct rio_work *work;

	while ((work = list_pop_front(&pool->rio.work, struct rio_work, link))) {
		work->run(f, work);
		fiber_clear(f);
		fiber_yield(f);
	}
	pool->rio.workers--;
	event_set(&pool->rio.drained);
	return 0;
}

static void workers_hire(struct pool *pool);

static void retry_fired(struct timer *timer)
{
	workers_hire(container_of(timer, struct pool, rio.retry));
}

/* Without any fiber the work waits for one. */
static void workers_hire(struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	if (list_empty(&rio->work) || rio->workers == RIO_WORKERS_MAX)
		return;
	if (fiber_start(pool->home, "pool-io", worker_main, pool, NULL) == 0)
		rio->workers++;
	else if (rio->workers == 0 && !timer_is_armed(&rio->retry))
		timer_start(pool->home, &rio->retry, WORK_RETRY_NS, retry_fired);
}

void rio_work_add(struct pool *pool, struct rio_work *work,
		  void (*run)(struct fiber *f, struct rio_work *work))
{
	work->run = run;
	list_add_tail(&pool->rio.work, &work->link);
	workers_hire(pool);
}

void rio_log(struct fiber *f, const struct replica *rep, const char *what)
{
	log_error(reactor_log(fiber_reactor(f)), what, LOG_STR("pool", rep->pool->super.name),
		  LOG_STR("replica", rep->rec.name), LOG_STR("why", fiber_words(f)));
	fiber_clear(f);
}

/* ---- waiting for room ----------------------------------------------------------------------------- */

void rio_starve(struct rio_req *req)
{
	rio_park(req, &req->rep->pool->rio.starved);
}

void rio_feed(struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	if (rio->feeding || list_empty(&rio->starved))
		return;
	rio->feeding = true;
	while (!list_empty(&rio->starved) && rio->changes.in_use < RIO_CHANGES_MAX) {
		struct rio_req *req = list_pop_front(&rio->starved, struct rio_req, link);

		rio_unpark(req);
		if (list_last(&rio->starved, struct rio_req, link) == req)
			break; /* still none: no use in asking for the others */
	}
	rio->feeding = false;
}

int rio_space_wait(struct rio_req *req)
{
	struct pool *pool = req->rep->pool;
	bool may_be = pool->space.quarantined || pool->super.dead.entries || delta_frees(pool) ||
		      pool->space.counts.count || pool->txn.open;

	if (!may_be || req->tries == RIO_TRIES_MAX) {
		watermark_full(pool);
		return -ENOSPC;
	}
	req->tries++;
	pool->commit.forced = true;
	commit_request(pool);
	rio_park(req, &pool->rio.commit_wait);
	return 0;
}

/* ---- the commit -------------------------------------------------------------------------------------- */

void rio_cut(struct fiber *f, struct pool *pool)
{
	intent_cut(f, pool);
	rio_flush_cut(pool);
	pool->rio.cut_unlogged = delta_unlogged(pool) > 0;
	delta_cut(pool);
	list_splice_tail(&pool->rio.riders_cut, &pool->rio.riders);
	rio_feed(pool);
}

void rio_publish(struct pool *pool)
{
	pool->rio.publishing = true;
	delta_publish(pool);
}

static void riders_end(struct pool *pool, struct list *riders, int status)
{
	struct rio_piece *piece;

	while ((piece = list_pop_front(riders, struct rio_piece, link))) {
		piece->req->rep->rio.riders--;
		piece->req->pieces_riding--;
		rio_piece_done(piece, status);
	}
}

static void gate_open(struct replica *rep, unsigned count)
{
	struct rio *rio = &rep->rio;

	must(rio->gate >= count);
	rio->gate -= count;
	if (rio->gate == 0)
		rio_unpark_all(&rio->held);
}

static void gates_open_later(struct pool *pool)
{
	struct map_iter iter = { 0 };

	while (map_u64_next(&pool->open, &iter)) {
		struct replica *rep = iter.value;
		unsigned count = rep->rio.gate_later;

		if (!count || rep->rio.riders)
			continue;
		rep->rio.gate_later = 0;
		gate_open(rep, count);
	}
}

void rio_durable(struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	rio->publishing = false;
	rio->cut_unlogged = false;
	rio->durables = pool->delta.cuts;
	intent_durable(pool);
	riders_end(pool, &rio->riders_cut, 0);
	gates_open_later(pool);
	event_set(&rio->durable);
	event_clear(&rio->durable);
	rio_unpark_all(&rio->commit_wait);
	rio_feed(pool);
}

void rio_fail(struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	must(pool->state == POOL_FAULTED);
	intent_fail(pool);
	riders_end(pool, &rio->riders_cut, -EIO);
	riders_end(pool, &rio->riders, -EIO);
	gates_open_later(pool);
	event_set(&rio->durable);
	event_clear(&rio->durable);
	rio_unpark_all(&rio->commit_wait);
	rio_unpark_all(&rio->starved);
}

int rio_durable_wait(struct fiber *f, struct pool *pool, uint64_t cuts)
{
	while (pool->rio.durables < cuts) {
		if (pool->state == POOL_FAULTED)
			return fiber_fail(f, -EIO, "pool '%s': %s", pool->super.name, pool->why);
		event_wait_always(f, &pool->rio.durable);
	}
	return 0;
}

/* ---- generations (RI5) ---------------------------------------------------------------------------------- */

static void tally_empty(struct bio_tally *base)
{
	struct rio_tally *tally = container_of(base, struct rio_tally, base);

	base->empty = NULL;
	event_set(&tally->rep->rio.idle);
	event_set(&tally->rep->pool->rio.drained);
}

/* Are there direct bios? The end of the last of them will be told. */
static bool tally_waits(struct rio_tally *tally)
{
	if (tally->base.inflight)
		tally->base.empty = tally_empty;
	return tally->base.inflight;
}

static bool generation_waits(struct pool *pool, uint64_t generation)
{
	unsigned slot = generation % RIO_GENERATIONS;
	bool waits = pool->rio.inflight[slot];
	struct map_iter iter = { 0 };

	while (map_u64_next(&pool->open, &iter)) {
		struct replica *rep = iter.value;

		waits |= tally_waits(&rep->rio.direct[slot]);
	}
	return waits;
}

uint64_t rio_generation_next(struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	must(!generation_waits(pool, rio->generation + 1));
	return rio->generation++;
}

/* Those before it have been waited for. */
void rio_generation_wait(struct fiber *f, struct pool *pool, uint64_t generation)
{
	struct rio_pool *rio = &pool->rio;

	must(rio->generation - generation < RIO_GENERATIONS);
	while (generation_waits(pool, generation)) {
		event_clear(&rio->drained);
		event_wait_always(f, &rio->drained);
	}
}

/* ---- gates ----------------------------------------------------------------------------------------------- */

static bool replica_runs(struct replica *rep)
{
	bool runs = rep->rio.busy;

	for (unsigned i = 0; i < RIO_GENERATIONS; i++)
		runs |= tally_waits(&rep->rio.direct[i]);
	return runs;
}

void rio_gate_close(struct fiber *f, struct replica *rep)
{
	rep->rio.gate++;
	intent_drain(rep->pool, 1);
	while (replica_runs(rep)) {
		event_clear(&rep->rio.idle);
		event_wait_always(f, &rep->rio.idle);
	}
	intent_drain(rep->pool, -1);
}

void rio_gate_open(struct replica *rep)
{
	if (rep->rio.riders) /* what they wrote may be seen when it is durable */
		rep->rio.gate_later++;
	else
		gate_open(rep, 1);
}

void rio_flush_tlb(struct replica *rep)
{
	tlb_flush(&rep->rio.tlb);
}

/* ---- replicas ---------------------------------------------------------------------------------------------- */

void rio_init(struct replica *rep)
{
	struct rio *rio = &rep->rio;

	*rio = (struct rio){ 0 };
	list_init(&rio->held);
	event_init(&rio->idle);
	for (unsigned i = 0; i < RIO_GENERATIONS; i++)
		rio->direct[i].rep = rep;
	tlb_init(&rio->tlb, rio->few);
}

void rio_fini(struct replica *rep)
{
	must(!replica_runs(rep) && list_empty(&rep->rio.held));
	tlb_shrink(&rep->rio.tlb, rep->pool);
}

void rio_open(struct replica *rep)
{
	if (rep->rio.opens++ == 0)
		tlb_grow(&rep->rio.tlb, rep->pool, rep->rec.size_bytes);
}

void rio_close(struct replica *rep)
{
	if (--rep->rio.opens == 0)
		tlb_shrink(&rep->rio.tlb, rep->pool);
}

int64_t rio_unapplied(const struct replica *rep)
{
	return rep->rio.delta[0].mapped + rep->rio.delta[1].mapped;
}

bool rio_is_open(const struct replica *rep)
{
	return rep->rio.opens > 0;
}

bool rio_is_busy(const struct replica *rep)
{
	const struct rio *rio = &rep->rio;

	return rio->busy || rio->gate || rio->riders || rio->opens || !list_empty(&rio->held) ||
	       rio->delta[0].entries || rio->delta[1].entries;
}

/* ---- the driver's bdev --------------------------------------------------------------------------------------- */

void rio_describe(struct pool *pool, struct bdev *bdev)
{
	const struct bdev_limits limits = {
		.buf_align = RIO_BUF_ALIGN,
		.write_unit_blocks = POOL_BLOCK / bdev->block_size,
		.ops = 1u << BIO_READ | 1u << BIO_WRITE | 1u << BIO_FLUSH | 1u << BIO_ZEROES |
		       1u << BIO_UNMAP,
	};

	bdev_set_limits(bdev, &limits);
	bdev->volatile_cache = pool->rio.is_volatile;
	bdev->unmap_zeroes = true;
	bdev->can_unmap = bdev->can_zeroes = true;
	bdev->scratch_bytes = (uint32_t)sizeof(struct rio_req) + pool->rio.room;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void rio_look_at_disks(struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		const struct bdev *bdev = pool->disks[i].bdev;

		if (!bdev)
			continue;
		rio->is_volatile |= bdev->volatile_cache;
		rio->room = max_u32(rio->room, bdev->scratch_bytes);
	}
	rio->room = (uint32_t)align_up_u64(rio->room, BIO_SCRATCH_ALIGN);
}

static uint32_t block_size_besides(const struct pool *pool, const struct pool_disk *disk)
{
	uint32_t size = BDEV_BLOCK_MIN;

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		if (pool->disks[i].bdev && &pool->disks[i] != disk)
			size = max_u32(size, pool->disks[i].bdev->block_size);
	return size;
}

int rio_check_disk(struct fiber *f, struct pool *pool, const struct pool_disk *disk)
{
	const struct bdev *bdev = disk->bdev;
	bool differs = (bdev->volatile_cache && !pool->rio.is_volatile) ||
		       bdev->block_size > block_size_besides(pool, disk);
	struct map_iter iter = { 0 };

	if (bdev->scratch_bytes > pool->rio.room)
		return fiber_fail(f, -EINVAL,
				  "disk '%s' needs %u bytes for each I/O, in this pool there are %u",
				  disk->uri, bdev->scratch_bytes, pool->rio.room);
	while (differs && map_u64_next(&pool->open, &iter)) {
		const struct replica *rep = iter.value;

		if (rep->rio.opens)
			return fiber_fail(f, -EBUSY,
					  "disk '%s' has a volatile cache or larger blocks: not while replica '%s' is in use",
					  disk->uri, rep->rec.name);
	}
	pool->rio.is_volatile |= bdev->volatile_cache;
	return 0;
}

static int rio_pool_init(struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	*rio = (struct rio_pool){ 0 };
	rio->room = RIO_ROOM_MIN;
	rio_look_at_disks(pool);
	list_init(&rio->starved);
	list_init(&rio->commit_wait);
	list_init(&rio->riders);
	list_init(&rio->riders_cut);
	list_init(&rio->work);
	list_init(&rio->flush.waiting);
	list_init(&rio->flush.joined);
	event_init(&rio->flush.ended);
	event_init(&rio->drained);
	event_init(&rio->durable);
	timer_init(&rio->retry);
	slab_init(&rio->changes, pool->mem, sizeof(struct rio_change), 0, RIO_CHANGES_MAX);
	slab_init(&rio->children, pool->mem, sizeof(struct rio_child) + rio->room,
		  BIO_SCRATCH_ALIGN, RIO_CHILDREN_MAX);
	rio->buckets = mem_alloc_array(pool->mem, RIO_BUCKETS, sizeof(*rio->buckets));
	if (!rio->buckets)
		return -ENOMEM;
	for (unsigned i = 0; i < RIO_BUCKETS; i++)
		list_init(&rio->buckets[i]);
	return delta_init(pool);
}

int rio_start(struct fiber *f, struct pool *pool)
{
	int r = rio_pool_init(pool);

	if (r < 0)
		return fiber_fail(f, r, "pool '%s': no memory", pool->super.name);
	return intent_init(f, pool);
}

void rio_stop(struct fiber *f, struct pool *pool)
{
	struct rio_pool *rio = &pool->rio;

	if (!rio->buckets)
		return;
	while (rio->workers) {
		event_clear(&rio->drained);
		event_wait_always(f, &rio->drained);
	}
	timer_stop(&rio->retry);
	must(list_empty(&rio->starved) && list_empty(&rio->commit_wait));
	if (pool->intent.room)
		intent_fini(f, pool);
	delta_fini(pool);
	slab_fini(&rio->changes);
	slab_fini(&rio->children);
	mem_free(rio->buckets);
	rio->buckets = NULL;
}
