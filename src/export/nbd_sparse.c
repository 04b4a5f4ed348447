// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_sparse - where the holes are: block status, and reads that tell holes instead of reading them.
 *
 *	side->slow --> a few fibers, which end when there is nothing left
 *
 * A read that a fiber has found to lie in data goes on as any other. Regions without holes are
 * remembered, so that reads of what is written do not come here.
 *
 * NH1. A hole is told only if the disk said, after the read came, that it reads as zeroes. That data
 *      was there is never wrong: it is just read.
 * NH2. A status chunk begins at the offset asked for, has no gap, and lies within what was asked for.
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "bdev/status.h"
#include "export/nbd_priv.h"
#include "reactor/fiber.h"

#define STATUS_BATCH 32u /* extents, on a fiber's stack */

static unsigned block_shift(const struct nbd_view *view)
{
	return (unsigned)__builtin_ctz(view->chan->bdev->block_size);
}

/* ---- regions -------------------------------------------------------------------------- */

static uint64_t *region_slot(struct nbd_view *view, uint64_t region)
{
	return &view->regions[region % NBD_REGIONS];
}

static bool regions_are_data(struct nbd_view *view, uint64_t offset, uint32_t length)
{
	uint64_t last = (offset + length - 1) >> NBD_REGION_SHIFT;

	for (uint64_t region = offset >> NBD_REGION_SHIFT; region <= last; region++)
		if (*region_slot(view, region) != region + 1)
			return false;
	return true;
}

void nbd_sparse_forget(struct nbd_view *view, uint64_t offset, uint32_t length)
{
	uint64_t last = (offset + length - 1) >> NBD_REGION_SHIFT;
	uint64_t region = offset >> NBD_REGION_SHIFT;

	if (last - region >= NBD_REGIONS)
		last = region + NBD_REGIONS - 1; /* each slot once */
	for (; region <= last; region++)
		*region_slot(view, region) = 0;
}

bool nbd_sparse_wants(const struct nbd_req *req)
{
	struct nbd_view *view = req->conn->view;

	return req->conn->structured && req->ask.length >= NBD_SPARSE_MIN &&
	       !(req->ask.flags & NBD_CMD_DF) && view->chan->bdev->driver->status &&
	       !regions_are_data(view, req->ask.offset, req->ask.length);
}

/* Those that the request touches, if they have no holes. */
static int regions_look(struct fiber *f, struct nbd_req *req)
{
	struct nbd_view *view = req->conn->view;
	const unsigned shift = block_shift(view);
	uint64_t last = (req->ask.offset + req->ask.length - 1) >> NBD_REGION_SHIFT;

	for (uint64_t region = req->ask.offset >> NBD_REGION_SHIFT; region <= last; region++) {
		uint64_t lba = region << NBD_REGION_SHIFT >> shift;
		uint64_t blocks =
			min_u64(UINT64_C(1) << NBD_REGION_SHIFT >> shift, view->chan->blocks - lba);
		struct bdev_extent extent;
		unsigned count;
		int r = bdev_status_get(f, view->chan, lba, blocks, &extent, 1, &count);

		if (r < 0)
			return r;
		if (extent.flags & BDEV_ZERO || extent.blocks < blocks)
			return 0;
		*region_slot(view, region) = region + 1;
	}
	return 0;
}

/* ---- block status ------------------------------------------------------------------------ */

static uint32_t status_flags(const struct bdev_extent *extent)
{
	return (extent->flags & BDEV_HOLE ? NBD_STATE_HOLE : 0u) |
	       (extent->flags & BDEV_ZERO ? NBD_STATE_ZERO : 0u);
}

struct answer {
	struct nbd_req *req;
	struct nbd_extent last; /* length 0: none yet */
	unsigned count, max;
};

/* False: there is no room for it. */
static bool answer_put(struct answer *answer, const struct bdev_extent *extent, unsigned shift)
{
	const uint32_t flags = status_flags(extent);
	const uint32_t length = (uint32_t)(extent->blocks << shift);

	if (answer->last.length && answer->last.flags == flags) {
		answer->last.length += length; /* within the request: 32 bits */
	} else {
		if (answer->count == answer->max)
			return false;
		answer->count++;
		answer->last = (struct nbd_extent){ .length = length, .flags = flags };
	}
	nbd_extent_encode(&answer->last, answer->req->buf + NBD_STATUS_BYTES +
						 (size_t)(answer->count - 1) * NBD_EXTENT_BYTES);
	return true;
}

static int status_answer(struct fiber *f, struct nbd_req *req)
{
	struct nbd_view *view = req->conn->view;
	const unsigned shift = block_shift(view);
	uint64_t lba = req->ask.offset >> shift, end = lba + (req->ask.length >> shift);
	struct answer answer = {
		.req = req,
		.max = req->ask.flags & NBD_CMD_REQ_ONE ? 1 : NBD_STATUS_EXTENTS,
	};
	struct bdev_extent extents[STATUS_BATCH];
	bool has_room = true;
	unsigned count;

	nbd_status_encode(1, req->buf);
	while (lba < end && has_room) {
		int r = bdev_status_get(f, view->chan, lba, end - lba, extents, STATUS_BATCH,
					&count);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < count && has_room; i++) {
			has_room = answer_put(&answer, &extents[i], shift);
			lba += extents[i].blocks;
		}
	}
	req->reply_bytes = NBD_STATUS_BYTES + answer.count * NBD_EXTENT_BYTES;
	return 0;
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* Holes smaller than this cost more to tell than to read. */
#define HOLE_MIN 4096u

static void part_add(struct nbd_req *req, uint32_t length, bool is_hole)
{
	struct nbd_part *last = req->part_count ? &req->parts[req->part_count - 1] : NULL;

	if (req->part_count == NBD_SPARSE_PARTS || length < HOLE_MIN)
		is_hole = false;
	if (last && (last->is_hole == is_hole || req->part_count == NBD_SPARSE_PARTS)) {
		last->is_hole &= is_hole;
		last->length += length;
		return;
	}
	req->parts[req->part_count++] = (struct nbd_part){
		.at = last ? last->at + last->length : 0,
		.length = length,
		.is_hole = is_hole,
	};
}

static int parts_find(struct fiber *f, struct nbd_req *req)
{
	struct nbd_view *view = req->conn->view;
	const unsigned shift = block_shift(view);
	struct bdev_extent extents[NBD_SPARSE_PARTS];
	const uint64_t blocks = req->ask.length >> shift;
	uint64_t covered = 0;
	unsigned count;
	int r = bdev_status_get(f, view->chan, req->ask.offset >> shift, blocks, extents,
				NBD_SPARSE_PARTS, &count);

	if (r < 0)
		return r;
	req->parts = mem_new(req->conn->side->io, NBD_SPARSE_PARTS * sizeof(*req->parts));
	if (!req->parts)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		part_add(req, (uint32_t)(extents[i].blocks << shift), extents[i].flags & BDEV_ZERO);
		covered += extents[i].blocks;
	}
	if (covered < blocks)
		part_add(req, (uint32_t)((blocks - covered) << shift), false);
	return 0;
}

static int parts_read(struct fiber *f, struct nbd_req *req)
{
	struct bdev_chan *chan = req->conn->view->chan;
	const unsigned shift = block_shift(req->conn->view);

	for (unsigned i = 0; i < req->part_count; i++) {
		const struct nbd_part *part = &req->parts[i];

		if (part->is_hole) {
			req->conn->side->stats.hole_bytes += part->length;
			continue;
		}
		req->iov = (struct iovec){ req->buf + part->at, part->length };
		bio_prep(&req->bio, chan, BIO_READ, (req->ask.offset + part->at) >> shift,
			 part->length >> shift, &req->iov, 1, NULL);
		int r = bio_wait(f, &req->bio);
		if (r < 0)
			return r;
	}
	return 0;
}

/* True: it is done; false: read it as any other. */
static bool sparse_read(struct fiber *f, struct nbd_req *req)
{
	int r = regions_look(f, req);

	if (r == 0 && regions_are_data(req->conn->view, req->ask.offset, req->ask.length))
		return false;
	if (r == 0)
		r = parts_find(f, req);
	if (r < 0 || (req->part_count == 1 && !req->parts[0].is_hole)) {
		mem_free(steal(req->parts)); /* whether there are holes need not be known */
		req->part_count = 0;
		return false;
	}
	nbd_req_done(req, nbd_error_of(parts_read(f, req)));
	return true;
}

/* ---- fibers ------------------------------------------------------------------------------------ */

static void slow_run(struct fiber *f, struct nbd_req *req)
{
	if (req->conn->state == NBD_CONN_DEAD)
		nbd_req_done(req, NBD_ESHUTDOWN); /* nobody is told */
	else if (req->ask.type == NBD_CMD_BLOCK_STATUS)
		nbd_req_done(req, nbd_error_of(status_answer(f, req)));
	else if (!sparse_read(f, req))
		nbd_req_read(req);
	fiber_clear(f);
}

static int slow_main(struct fiber *f, void *arg)
{
	struct nbd_side *side = arg;
	struct nbd_req *req;

	while ((req = list_pop_front(&side->slow, struct nbd_req, link)))
		slow_run(f, req);
	if (--side->slow_fibers == 0)
		event_set(&side->slow_idle);
	return 0;
}

static void slow_without_fiber(struct nbd_req *req)
{
	if (req->ask.type == NBD_CMD_READ)
		nbd_req_read(req);
	else
		nbd_req_done(req, NBD_ENOMEM);
}

void nbd_slow_add(struct nbd_req *req)
{
	struct nbd_side *side = req->conn->side;

	if (side->slow_fibers < NBD_SLOW_FIBERS_MAX) {
		if (fiber_start(side->reactor, "nbd-holes", slow_main, side, NULL) == 0) {
			side->slow_fibers++;
			side->stats.slow_fibers_most =
				max_u64(side->stats.slow_fibers_most, side->slow_fibers);
			event_clear(&side->slow_idle);
		} else if (side->slow_fibers == 0) {
			slow_without_fiber(req);
			return;
		}
	}
	list_add_tail(&side->slow, &req->link);
}
