// SPDX-License-Identifier: Apache-2.0
/*
 * rio_unmap - UNMAP and ZEROES: the same, but that ZEROES may keep the space (BIO_KEEP).
 *
 *	worker: look for what is mapped, slice by slice
 *	          whole cluster      --> a hole
 *	          some of its blocks --> not valid any more (a hole if none is left)
 *	          of a cluster without valid bits --> zeros are written
 *	slice --> told to the log --> into the delta, next slice
 *
 * RU1. All changes of a slice are busy until they are in the delta: no write gets between.
 * RU2. A slice is told as a whole before it is acknowledged; cluster after cluster makes one
 *      entry. On volatile disks a flush tells what the delta says.
 */
#include <errno.h>

#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

#define SLICE_CHANGES 256u /* clusters */

/* What a busy change will be: kept in `in_log` (valid) and `want` (0: a hole). */
static void change_aim(struct rio_change *change, bool mapped, uint32_t valid)
{
	change->want = mapped;
	change->in_log = mapped ? valid : 0;
}

/* ---- telling the log ------------------------------------------------------------------------------- */

static struct rio_change *change_after(const struct rio_req *req, struct rio_change *change)
{
	return list_next(change, &req->changes, peer);
}

/* One entry from change_at on: a mapping, or a run of holes. */
static struct intent_entry slice_entry(struct rio_req *req)
{
	struct rio_change *change = req->change_at;
	struct intent_entry entry = { .kind = change->want ? INTENT_MAP : INTENT_HOLE,
				      .object = req->rep->object, .first = change->lcluster };

	req->change_at = change_after(req, change);
	if (change->want) {
		entry.valid = change->in_log;
		entry.second = change->cluster;
		return entry;
	}
	for (entry.second = 1; req->change_at && !req->change_at->want &&
			       req->change_at->lcluster == entry.first + entry.second;
	     entry.second++)
		req->change_at = change_after(req, req->change_at);
	return entry;
}

static unsigned slice_fill(struct intent_item *item, uint8_t *at, unsigned room, bool *ret_more)
{
	struct rio_req *req = container_of(item, struct rio_req, item);
	unsigned count = 0;

	for (; count < room && req->change_at; count++) {
		const struct intent_entry entry = slice_entry(req);

		intent_entry_put(at + (size_t)count * INTENT_ENTRY_SIZE, &entry);
	}
	*ret_more = req->change_at != NULL;
	return count;
}

/* ---- the end of a slice ------------------------------------------------------------------------------ */

static void slice_apply(struct rio_req *req)
{
	struct rio_change *change;

	list_for_each(change, &req->changes, peer)
		rio_change_apply(change, change->want ? change->cluster : 0, change->in_log);
}

static void slice_end(struct rio_req *req)
{
	struct rio_change *change;

	while ((change = list_pop_front(&req->changes, struct rio_change, peer))) {
		change->want = change->in_log = 0;
		rio_change_put(change); /* busy to its end: nobody has joined */
	}
}

static void slice_told(struct intent_item *item, int status)
{
	struct rio_req *req = container_of(item, struct rio_req, item);

	if (status == 0)
		slice_apply(req);
	slice_end(req);
	if (status < 0) {
		rio_end(req, -EIO);
		return;
	}
	req->pos = req->slice_end;
	rio_run(req);
}

/* Like a piece that rides: durable with the next commit. */
static bool slice_rides(struct intent_item *item)
{
	struct rio_req *req = container_of(item, struct rio_req, item);

	if (!req->rep->rio.gate)
		return false;
	if (req->change_at != list_first(&req->changes, struct rio_change, peer))
		return false; /* a part of it is in the log: the rest follows */
	slice_apply(req);
	slice_end(req);
	req->pos = req->slice_end;
	req->piece[0] = (struct rio_piece){ .req = req };
	req->pieces_open = 1;
	req->sent = req->pos;
	rio_piece_rides(&req->piece[0]);
	return true;
}

/* ---- one cluster ----------------------------------------------------------------------------------------- */

struct part {
	uint64_t lcluster;
	uint32_t in, len;
	bool whole;
};

static struct part part_at(const struct rio_req *req, uint64_t lcluster)
{
	const struct pool *pool = req->rep->pool;
	uint64_t start = lcluster << pool->cluster_shift, cluster_end = start + pool->super.cluster_bytes;
	uint64_t from = max_u64(req->pos, start), end = min_u64(req->end, cluster_end);

	return (struct part){ lcluster, (uint32_t)(from - start), (uint32_t)(end - from),
			      end - from == pool->super.cluster_bytes };
}

/* Zeros into a part of a cluster that is valid as a whole. */
static int part_zero(struct fiber *f, struct rio_req *req, struct rio_change *change,
		     const struct map_place *place, const struct part *part)
{
	struct pool *pool = req->rep->pool;
	struct pool_disk *disk = cluster_pool_disk(pool, place->cluster);
	uint32_t valid;
	int r;

	rio_device_begin(req);
	if (place->exclusive) {
		r = bdev_zeroes(f, disk->chan, cluster_lba(pool, disk, place->cluster, part->in),
				part->len >> disk->block_shift, BIO_KEEP);
		disk->unflushed = true;
		valid = place->valid;
	} else {
		r = rio_copy(f, change, place, NULL, part->in, part->len, &valid);
	}
	rio_device_end(req);
	if (r == 0)
		change_aim(change, true, valid);
	return r;
}

/* What the mapping will be; 0, or what went wrong on the way. */
static int part_change(struct fiber *f, struct rio_req *req, struct rio_change *change,
		       const struct map_place *place, const struct part *part)
{
	const struct pool *pool = req->rep->pool;
	bool keep = req->bio->op == BIO_ZEROES && (req->bio->flags & BIO_KEEP);
	uint32_t valid;

	if (part->whole && !keep) {
		change_aim(change, false, 0);
		return 0;
	}
	if (pool->blocks_per_cluster > POOL_VALID_BITS)
		return part_zero(f, req, change, place, part);
	valid = place->valid & ~valid_bits(pool, part->in, part->len);
	change_aim(change, valid != 0 || keep, valid);
	return 0;
}

#define PART_WAITS 1

/* The part of the request in one cluster; 0, PART_WAITS (parked or to be), -errno. */
static int part_do(struct fiber *f, struct rio_req *req, const struct part *part)
{
	struct rio_change *change = rio_change_find(req->rep, part->lcluster);
	struct map_place place;
	int r;

	if (change) {
		if (list_empty(&req->changes))
			rio_park(req, &change->waiting);
		return PART_WAITS;
	}
	r = map_peek(req->rep, part->lcluster, true, &place);
	if (r < 0 || place.cluster == 0)
		return r;
	if (!part->whole && (place.valid & valid_bits(req->rep->pool, part->in, part->len)) == 0)
		return 0;
	change = rio_change_new(req->rep, part->lcluster, &place, &r);
	if (!change)
		return r;
	change->busy = true;
	change->shared = !place.exclusive;
	r = part_change(f, req, change, &place, part);
	if (r < 0) {
		rio_change_put(change);
		return r;
	}
	if (change->fresh)
		change->shared = false;
	list_add_tail(&req->changes, &change->peer); /* RU1 */
	return 0;
}

/* ---- the worker ----------------------------------------------------------------------------------------------- */

/* From req->pos on; *ret_pos: how far it went. */
static int slice_collect(struct fiber *f, struct rio_req *req, uint64_t *ret_pos)
{
	struct pool *pool = req->rep->pool;
	uint64_t at = req->pos >> pool->cluster_shift;
	uint64_t end = (req->end + pool->super.cluster_bytes - 1) >> pool->cluster_shift;
	int r = 0;

	for (unsigned n = 0; r == 0 && n < SLICE_CHANGES;) {
		struct part part;

		r = map_seek(f, req->rep, at, end, &at);
		if (r < 0)
			break;
		*ret_pos = min_u64(req->end, max_u64(req->pos, at << pool->cluster_shift));
		if (at == end)
			break;
		part = part_at(req, at);
		r = part_do(f, req, &part);
		if (r == -EAGAIN) { /* MP4 */
			r = map_load(f, req->rep, at, true);
			continue;
		}
		if (r == 0) {
			at++;
			n++;
			*ret_pos = min_u64(req->end, at << pool->cluster_shift);
		}
	}
	return r;
}

/* What stood in the way of the first of a slice. */
static void slice_wait(struct fiber *f, struct rio_req *req, int r)
{
	struct pool *pool = req->rep->pool;

	if (r == PART_WAITS)
		return;
	if (r == -ENOBUFS) {
		rio_starve(req);
	} else if (r == -EINPROGRESS) {
		rio_park(req, &pool->rio.commit_wait);
	} else if (r == -ENOSPC) {
		r = rio_space_wait(req);
		if (r < 0)
			rio_end(req, r);
	} else {
		rio_log(f, req->rep, "unmapping failed");
		rio_end(req, r == -ENOMEM ? r : -EIO);
	}
}

static void unmap_end(struct rio_req *req)
{
	if ((req->bio->flags & BIO_FUA) && req->rep->pool->rio.is_volatile)
		rio_flush(req); /* RI2 */
	else
		rio_end(req, 0);
}

static void unmap_work(struct fiber *f, struct rio_work *work)
{
	struct rio_req *req = container_of(work, struct rio_req, work);
	struct pool *pool = req->rep->pool;
	int r = 0;

	list_init(&req->changes);
	req->slice_end = req->pos;
	if (req->pos < req->end)
		r = slice_collect(f, req, &req->slice_end);
	req->sent = req->pos;
	if (!list_empty(&req->changes) && !pool->rio.is_volatile) {
		req->change_at = list_first(&req->changes, struct rio_change, peer);
		req->item = (struct intent_item){ .fill = slice_fill, .done = slice_told,
						  .ride = slice_rides };
		intent_add(pool, &req->item); /* RU2 */
		return;
	}
	if (r != 0 && list_empty(&req->changes)) {
		slice_wait(f, req, r);
		return;
	}
	slice_apply(req);
	slice_end(req);
	req->pos = req->slice_end;
	fiber_clear(f);
	rio_run(req);
}

void rio_unmap(struct rio_req *req)
{
	if (req->pos == req->end)
		unmap_end(req);
	else
		rio_work_add(req->rep->pool, &req->work, unmap_work);
}
