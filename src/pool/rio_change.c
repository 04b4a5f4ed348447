// SPDX-License-Identifier: Apache-2.0
/*
 * rio_change - the mappings being changed. See rio_req_priv.h.
 *
 *	piece --ready--> want -+- volatile disks: into the delta at once, done
 *	                       +- else: told to the log; durable: into the delta, done
 *
 * While one telling is in flight, further pieces gather for the next.
 *
 * RC1. A change is in the table as long as it is used; there is one for a cluster at most (RI3).
 * RC2. The bits told to the log are those of pieces whose data are on the disk, and what was
 *      valid before (RI4).
 * RC3. A fresh cluster that never got into the delta is given back: nobody has seen it.
 */
#include <errno.h>

#include "pool/rio_req_priv.h"

static struct list *bucket_of(struct pool *pool, uint64_t object, uint64_t lcluster)
{
	uint64_t x = (lcluster ^ object * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;

	return &pool->rio.buckets[(x >> 40) % RIO_BUCKETS];
}

struct rio_change *rio_change_find(struct replica *rep, uint64_t lcluster)
{
	struct list *bucket = bucket_of(rep->pool, rep->object, lcluster);
	struct rio_change *change;

	list_for_each(change, bucket, link)
		if (change->lcluster == lcluster && change->rep == rep)
			return change;
	return NULL;
}

/* ---- as seen by all ---------------------------------------------------------------------------- */

static uint32_t change_flags(const struct rio_change *change)
{
	uint32_t flags = change->shared ? DELTA_SHARED : 0;

	if (change->fresh)
		flags |= change->thick ? DELTA_FRESH | DELTA_THICK : DELTA_FRESH;
	if (change->rep->pool->rio.is_volatile)
		flags |= DELTA_UNLOGGED;
	return flags;
}

void rio_change_apply(struct rio_change *change, uint64_t cluster, uint32_t valid)
{
	struct replica *rep = change->rep;
	bool is_volatile = rep->pool->rio.is_volatile;
	const struct delta_put put = {
		.rep = rep,
		.object = rep->object,
		.lcluster = change->lcluster,
		.cluster = cluster,
		.valid = valid,
		.flags = change_flags(change),
		.was_mapped = change->mapped,
		.frees = change->replaces || (change->mapped && cluster == 0),
	};
	const struct map_place place = { .cluster = cluster, .valid = valid,
					 .exclusive = !change->shared, .durable = !is_volatile };

	delta_put(rep->pool, &put);
	tlb_set(&rep->rio.tlb, change->lcluster, &place); /* MP1 */
	change->cluster = cluster;
	change->valid = valid;
	change->mapped = cluster != 0;
	change->fresh = change->replaces = false;
}

/* ---- the log --------------------------------------------------------------------------------------- */

static void change_tell(struct rio_change *change)
{
	if (change->queued || change->writing || list_empty(&change->ready))
		return;
	change->queued = true;
	intent_add(change->rep->pool, &change->item);
}

static unsigned change_fill(struct intent_item *item, uint8_t *at, unsigned room, bool *ret_more)
{
	struct rio_change *change = container_of(item, struct rio_change, item);
	const struct intent_entry entry = { .kind = INTENT_MAP,
					    .valid = change->valid | change->want, /* RC2 */
					    .object = change->rep->object,
					    .first = change->lcluster,
					    .second = change->cluster };

	(void)room;
	intent_entry_put(at, &entry);
	*ret_more = false;
	change->queued = false;
	change->writing = true;
	change->in_log = change->want;
	change->want = 0;
	list_splice_tail(&change->logging, &change->ready);
	return 1;
}

static void pieces_done(struct rio_change *change, struct list *pieces, int status)
{
	struct rio_piece *piece;
	struct list batch;

	list_init(&batch);
	list_splice_tail(&batch, pieces);
	change->users++; /* it stays until the last of them is done */
	while ((piece = list_pop_front(&batch, struct rio_piece, link)))
		rio_piece_done(piece, status);
	rio_change_put(change);
}

static void change_logged(struct intent_item *item, int status)
{
	struct rio_change *change = container_of(item, struct rio_change, item);

	if (change->queued) { /* failed before it was told */
		change->queued = false;
		change->want = 0;
		list_splice_tail(&change->logging, &change->ready);
	}
	change->writing = false;
	if (status == 0)
		rio_change_apply(change, change->cluster, change->valid | change->in_log);
	change->in_log = 0;
	change_tell(change);
	pieces_done(change, &change->logging, status < 0 ? -EIO : 0);
}

static bool change_rides(struct intent_item *item)
{
	struct rio_change *change = container_of(item, struct rio_change, item);
	struct rio_piece *piece;
	struct list batch;

	if (!change->rep->rio.gate)
		return false;
	list_init(&batch);
	list_splice_tail(&batch, &change->ready);
	change->queued = false;
	rio_change_apply(change, change->cluster, change->valid | change->want);
	change->want = 0;
	change->users++;
	while ((piece = list_pop_front(&batch, struct rio_piece, link)))
		rio_piece_rides(piece);
	rio_change_put(change);
	return true;
}

void rio_change_ready(struct rio_piece *piece)
{
	struct rio_change *change = piece->change;

	if (change->rep->pool->rio.is_volatile) {
		rio_change_apply(change, change->cluster, change->valid | piece->bits);
		rio_change_open(change);
		rio_piece_done(piece, 0);
		return;
	}
	change->want |= piece->bits;
	list_add_tail(&change->ready, &piece->link);
	change_tell(change);
	rio_change_open(change);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct rio_change *rio_change_new(struct replica *rep, uint64_t lcluster,
				  const struct map_place *place, int *ret_status)
{
	struct pool *pool = rep->pool;
	struct rio_change *change;

	*ret_status = -ENOBUFS;
	if ((!list_empty(&pool->rio.starved) && !pool->rio.feeding) || !delta_promise(pool))
		return NULL;
	change = slab_get(&pool->rio.changes);
	if (!change) {
		delta_unpromise(pool);
		if (pool->rio.changes.in_use == 0)
			*ret_status = -ENOMEM;
		return NULL;
	}
	*change = (struct rio_change){ .rep = rep, .lcluster = lcluster, .cluster = place->cluster,
				       .valid = place->valid, .mapped = place->cluster != 0,
				       .users = 1,
				       .item = { .fill = change_fill, .done = change_logged,
						 .ride = change_rides } };
	list_init(&change->ready);
	list_init(&change->logging);
	list_init(&change->waiting);
	list_add_tail(bucket_of(pool, rep->object, lcluster), &change->link); /* RC1 */
	return change;
}

void rio_change_open(struct rio_change *change)
{
	if (!change->busy)
		return;
	change->busy = false;
	rio_unpark_all(&change->waiting);
}

void rio_change_put(struct rio_change *change)
{
	struct pool *pool = change->rep->pool;
	struct list waiting;

	must(change->users > 0);
	if (--change->users)
		return;
	must(!change->queued && !change->writing && list_empty(&change->ready));
	if (change->fresh) {
		space_unclaim(pool, change->cluster); /* RC3 */
		if (change->thick)
			pool->super.thick_clusters++;
	}
	list_del(&change->link);
	list_init(&waiting);
	list_splice_tail(&waiting, &change->waiting);
	slab_put(&pool->rio.changes, change);
	delta_unpromise(pool);
	rio_unpark_all(&waiting);
	rio_feed(pool);
}
