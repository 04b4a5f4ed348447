// SPDX-License-Identifier: Apache-2.0
/*
 * rio_write - writing, in steps.
 *
 *	collect   up to RIO_PIECES clusters from pos on: in place, joined to a change, or a
 *	          new change with a claimed cluster
 *	data      children for runs of pieces that are neighbours on the disk
 *	mapping   each piece's blocks become valid, safely (rio_change.c)
 *
 * Then the next step begins, or the request is done. What must be copied or filled first is a
 * step of its own, by a worker (rio_copy.c). What has to wait parks before it holds anything:
 * so nobody waits for somebody who waits.
 *
 * RW1. A new cluster that all of the write's blocks depend on (a shared one written as a whole, or
 *      one of more blocks than there are valid bits) is busy until the data are there: nobody
 *      else can make it valid without them.
 */
#include <errno.h>

#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

/* ---- the end of a step -------------------------------------------------------------------------- */

static void write_end(struct rio_req *req)
{
	if ((req->bio->flags & BIO_FUA) && req->rep->pool->rio.is_volatile)
		rio_flush(req); /* RI2 */
	else
		rio_end(req, 0);
}

static void step_end(struct rio_req *req)
{
	req->piece_count = 0;
	req->pos = req->sent;
	if (req->status < 0)
		rio_end(req, req->status);
	else if (req->pos == req->end)
		write_end(req);
	else
		rio_run(req);
}

static void step_check(struct rio_req *req)
{
	if (req->pieces_open == 0) {
		if (req->rides)
			req->rep->rio.busy++;
		req->rides = false;
		step_end(req);
	} else if (req->pieces_open == req->pieces_riding && !req->rides) {
		req->rides = true;
		rio_idle(req->rep); /* RI7 */
	}
}

void rio_piece_done(struct rio_piece *piece, int status)
{
	struct rio_req *req = piece->req;
	struct rio_change *change = piece->change;

	if (status < 0 && req->status == 0)
		req->status = status; /* RI1 */
	piece->change = NULL;
	req->pieces_open--;
	step_check(req);
	if (change)
		rio_change_put(change);
}

void rio_piece_rides(struct rio_piece *piece)
{
	struct rio_req *req = piece->req;
	struct rio_change *change = piece->change;

	piece->change = NULL;
	list_add_tail(&req->rep->pool->rio.riders, &piece->link);
	req->rep->rio.riders++;
	req->pieces_riding++;
	step_check(req);
	if (change)
		rio_change_put(change);
}

/* ---- mapping --------------------------------------------------------------------------------------- */

/* All data of the step are on the disk, or failed. */
static void write_map(struct rio_req *req)
{
	struct rio_piece *piece = req->piece;
	int status = req->status;

	rio_device_end(req);
	/* The pieces that will be looked at again are counted in pieces_open: the request stays until the last. */
	for (unsigned i = req->piece_count; i > 0; i--, piece++) {
		if (status < 0 || !piece->change)
			rio_piece_done(piece, status);
		else
			rio_change_ready(piece);
	}
}

/* ---- data -------------------------------------------------------------------------------------------- */

/* Bytes from piece_at on that lie together on a disk. */
static uint64_t data_run(const struct rio_req *req)
{
	const struct rio_piece *piece = &req->piece[req->piece_at];
	uint32_t cluster_bytes = req->rep->pool->super.cluster_bytes;
	uint64_t len = piece->len - req->piece_sent;

	for (unsigned i = req->piece_at; i + 1u < req->piece_count; i++, piece++) {
		if (piece->in + piece->len < cluster_bytes || piece[1].cluster != piece->cluster + 1)
			break;
		len += piece[1].len;
	}
	return len;
}

static void data_sent(struct rio_req *req, uint64_t len)
{
	while (len) {
		const struct rio_piece *piece = &req->piece[req->piece_at];
		uint32_t left = piece->len - req->piece_sent;

		if (len < left) {
			req->piece_sent += (uint32_t)len;
			return;
		}
		len -= left;
		req->piece_at++;
		req->piece_sent = 0;
	}
}

static void write_data(struct rio_req *req)
{
	while (req->status == 0 && req->piece_at < req->piece_count) {
		const struct rio_piece *piece = &req->piece[req->piece_at];
		struct rio_child *child = rio_child_get(req);

		if (!child)
			break;
		data_sent(req, rio_child_send(req, child, BIO_WRITE, piece->cluster,
					      piece->in + req->piece_sent, data_run(req)));
	}
	if (req->children == 0)
		write_map(req);
}

/* ---- collect -------------------------------------------------------------------------------------------- */

#define COPY_FIRST 1 /* this piece is a step of its own */
#define QUEUED	   2 /* the request waits for a change of another */

static void piece_take(struct rio_req *req, const struct rio_piece *piece)
{
	req->piece[req->piece_count] = *piece;
	list_link_init(&req->piece[req->piece_count].link);
	req->piece_count++;
}

static int piece_join(struct rio_req *req, struct rio_piece *piece, struct rio_change *change)
{
	if (change->busy) {
		if (req->piece_count)
			return QUEUED;
		rio_park(req, &change->waiting); /* RI3 */
		return QUEUED;
	}
	piece->cluster = change->cluster;
	if ((change->valid & piece->bits) != piece->bits || !change->mapped) {
		piece->change = change;
		change->users++;
	}
	piece_take(req, piece);
	return 0;
}

/* A cluster of its own for what is a hole, or shared. */
static int piece_claim(struct rio_req *req, struct rio_piece *piece, struct rio_change *change)
{
	const struct pool *pool = req->rep->pool;
	bool whole = piece->len == pool->super.cluster_bytes;
	bool alone = change->mapped || pool->blocks_per_cluster > POOL_VALID_BITS;
	int r;

	if (alone && !whole) {
		if (req->piece_count) {
			rio_change_put(change);
			return COPY_FIRST;
		}
		change->busy = true;
		piece->change = change;
		piece_take(req, piece);
		return COPY_FIRST;
	}
	r = rio_claim(change);
	if (r < 0) {
		rio_change_put(change);
		return r;
	}
	change->busy = alone; /* RW1 */
	piece->cluster = change->cluster;
	piece->change = change;
	piece_take(req, piece);
	return 0;
}

static int piece_new(struct rio_req *req, struct rio_piece *piece, uint64_t lcluster)
{
	struct rio_change *change;
	struct map_place place;
	int r = map_peek(req->rep, lcluster, true, &place);

	if (r < 0)
		return r;
	if (place.cluster && place.exclusive && (place.valid & piece->bits) == piece->bits) {
		piece->cluster = place.cluster;
		piece_take(req, piece);
		return 0;
	}
	change = rio_change_new(req->rep, lcluster, &place, &r);
	if (!change)
		return r;
	if (!place.cluster || !place.exclusive)
		return piece_claim(req, piece, change);
	piece->cluster = place.cluster;
	piece->change = change;
	piece_take(req, piece);
	req->rep->pool->stats.block_writes++;
	return 0;
}

/* The next piece: 0, COPY_FIRST, QUEUED, or -errno. */
static int collect_one(struct rio_req *req, uint64_t at, uint32_t *ret_len)
{
	struct pool *pool = req->rep->pool;
	uint32_t in = (uint32_t)at & cluster_mask(pool);
	struct rio_piece piece = { .req = req, .in = in };
	uint64_t lcluster = at >> pool->cluster_shift;
	struct rio_change *change = rio_change_find(req->rep, lcluster);

	piece.len = (uint32_t)min_u64(req->end - at, pool->super.cluster_bytes - in);
	piece.bits = valid_bits(pool, in, piece.len);
	*ret_len = piece.len;
	return change ? piece_join(req, &piece, change) : piece_new(req, &piece, lcluster);
}

/* ---- slow ------------------------------------------------------------------------------------------------- */

static void write_load(struct fiber *f, struct rio_work *work);

/* Nothing was collected: why? */
static void write_wait(struct rio_req *req, int r)
{
	struct pool *pool = req->rep->pool;

	if (r == -EAGAIN) {
		rio_work_add(pool, &req->work, write_load);
	} else if (r == -ENOBUFS) {
		rio_starve(req);
	} else if (r == -EINPROGRESS) {
		rio_park(req, &pool->rio.commit_wait); /* MP2 */
	} else if (r == -ENOSPC) {
		r = rio_space_wait(req);
		if (r < 0)
			rio_end(req, r);
	} else {
		rio_end(req, r);
	}
}

static void write_load(struct fiber *f, struct rio_work *work)
{
	struct rio_req *req = container_of(work, struct rio_req, work);
	struct pool *pool = req->rep->pool;
	int r = map_load(f, req->rep, req->pos >> pool->cluster_shift, true);

	if (r == 0 && space_free(pool, rio_space_use(req->rep)))
		r = space_find(f, pool);
	if (r == 0) {
		rio_run(req);
	} else if (r == -ENOSPC) {
		write_wait(req, r);
	} else {
		rio_log(f, req->rep, "looking for a place to write to failed");
		rio_end(req, -EIO);
	}
}

void rio_copied(struct rio_req *req, int status)
{
	struct rio_piece *piece = &req->piece[0];

	if (status == 0) {
		req->pos += piece->len;
		req->sent = req->pos;
		rio_device_end(req);
		rio_change_ready(piece);
		return;
	}
	rio_device_end(req);
	req->piece_count = req->pieces_open = 0;
	rio_change_put(piece->change);
	write_wait(req, status);
}

void rio_write(struct rio_req *req)
{
	uint64_t at = req->pos;
	uint32_t len;
	int r = 0;

	req->child_ended = write_data;
	req->piece_at = 0;
	req->piece_sent = 0;
	if (req->pos == req->end) { /* held at a gate before the end */
		write_end(req);
		return;
	}
	while (r == 0 && req->piece_count < RIO_PIECES && at < req->end) {
		r = collect_one(req, at, &len);
		at += len;
	}
	req->pieces_open = req->piece_count;
	if (r == COPY_FIRST && req->piece_count == 1 && req->piece[0].change &&
	    req->piece[0].change->busy && !req->piece[0].cluster)
		rio_copy_slow(req);
	else if (req->piece_count)
		write_data(req);
	else if (r < 0)
		write_wait(req, r);
}
