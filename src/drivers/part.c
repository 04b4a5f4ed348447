// SPDX-License-Identifier: Apache-2.0
/*
 * part - a window on a disk: `blocks` blocks from block `start` on.
 *
 *   below   |........[start ........ start + blocks).....|
 *   above            [0 ................ blocks)
 *
 * PA1. start + blocks <= blocks of the disk below, at open and ever after: disks do
 *      not shrink. A window without a size reaches to the end and grows with it.
 *      Between looking at the size and being told that it grew, no time passes: the watch
 *      comes first.
 * PA2. What is submitted lies within the window (the layer checked it), so what goes
 *      down does.
 * PA3. The window is claimed and no more: windows that share a block are refused, others are not.
 *      One without a size claims all there will ever be behind its start.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/uri.h"
#include "bdev/status.h"
#include "drivers/below.h"
#include "drivers/part.h"
#include "reactor/fiber.h"

struct part {
	struct bdev bdev;
	struct below below;
	uint64_t start;	  /* in blocks */
	bool to_the_end;
};

struct part_req {
	struct bio *parent; /* borrowed until it completes */
	struct bio child;   /* last */
};

static void part_child_done(struct bio *child)
{
	struct part_req *req = container_of(child, struct part_req, child);

	below_complete(req->parent, child);
}

static void part_submit(struct bio *bio)
{
	struct part *part = container_of(bio->chan->bdev, struct part, bdev);
	struct below_chan *chan = bdev_chan_priv(bio->chan);
	struct part_req *req = bio_scratch(bio);

	req->parent = bio;
	bio_clone(&req->child, bio, chan->chan, part_child_done);
	if (bio->op != BIO_FLUSH && bio->op != BIO_RESET)
		req->child.lba += part->start; /* PA2 */
	bio_submit(&req->child);
}

static int part_status_get(struct fiber *f, struct bdev_chan *base, uint64_t lba, uint64_t blocks,
			   struct bdev_extent *ret, unsigned max, unsigned *ret_count)
{
	struct part *part = container_of(base->bdev, struct part, bdev);
	struct below_chan *chan = bdev_chan_priv(base);
	unsigned count;

	TRY(bdev_status_get(f, chan->chan, lba + part->start, blocks, ret, max, &count));
	for (unsigned i = 0; i < count; i++)
		ret[i].lba -= part->start;
	*ret_count = count;
	return 0;
}

static int part_chan_open(struct fiber *f, struct bdev_chan *base)
{
	return below_chan_open(f, base, &container_of(base->bdev, struct part, bdev)->below);
}

static uint64_t part_blocks(const struct bdev *bdev)
{
	const struct part *part = container_of(bdev, const struct part, bdev);

	return part->to_the_end ? part->below.bdev->blocks - part->start : bdev->blocks;
}

static int part_rescan(struct fiber *f, struct bdev *bdev)
{
	return below_rescan(f, &container_of(bdev, struct part, bdev)->below);
}

static void part_close(struct fiber *f, struct bdev *bdev)
{
	struct part *part = container_of(bdev, struct part, bdev);

	below_close(f, &part->below);
	mem_free(part);
}

/* A place or length in blocks, given as `mb` (MiB) or `blocks`; 0 if neither is. */
static int part_get(struct fiber *f, const struct uri *uri, const char *mb, const char *blocks,
		    uint32_t block_size, uint64_t *ret)
{
	uint64_t in_mb = 0, in_blocks = 0;

	if (uri_name_count(uri, mb) && uri_name_count(uri, blocks))
		return fiber_fail(f, -EINVAL, "part: both '%s' and '%s', expected one of them", mb,
				  blocks);
	TRY(uri_get_u64(uri, mb, 0, UINT64_MAX >> 20, 0, &in_mb, fiber_err(f)));
	TRY(uri_get_u64(uri, blocks, 0, UINT64_MAX / block_size, 0, &in_blocks, fiber_err(f)));
	*ret = in_mb ? (in_mb << 20) / block_size : in_blocks;
	return 0;
}

/* PA1. */
static int part_place(struct fiber *f, const struct uri *uri, struct part *part)
{
	const struct bdev *below = part->below.bdev;
	uint64_t start, blocks;

	TRY(part_get(f, uri, "offset_mb", "offset_blocks", below->block_size, &start));
	TRY(part_get(f, uri, "size_mb", "num_blocks", below->block_size, &blocks));
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
	if (start >= below->blocks)
		return fiber_fail(f, -EINVAL,
				  "part: offset is block %" PRIu64 ", but %s has only %" PRIu64
				  " blocks", start, below->name, below->blocks);
	part->to_the_end = !uri_name_count(uri, "size_mb") && !uri_name_count(uri, "num_blocks");
	if (part->to_the_end)
		blocks = below->blocks - start;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
	if (blocks == 0)
		return fiber_fail(f, -EINVAL, "part: size is 0");
	if (blocks > below->blocks - start)
		return fiber_fail(f, -EINVAL,
				  "part: size is %" PRIu64 " blocks from block %" PRIu64
				  " on, but %s ends at %" PRIu64,
				  blocks, start, below->name, below->blocks);
	part->start = start;
	part->bdev.blocks = blocks;
	return 0;
}

static int part_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct part *part = mem_new(fiber_io(f), sizeof(*part));
	const struct uri *on;
	int r;

	if (!part)
		return -ENOMEM;
	TRY(uri_get_child(uri, "on", &on, fiber_err(f)));
	TRY(below_open_unclaimed(f, on, &part->bdev, part_blocks, &part->below));
	r = part_place(f, uri, part);
	if (r == 0)
		r = below_claim(f, uri, part->start,
				part->to_the_end ? BDEV_CLAIM_TO_END : part->bdev.blocks,
				&part->below); /* PA3 */
	if (r < 0) {
		below_close(f, &part->below);
		return r;
	}
	below_inherit(&part->below, sizeof(struct part_req));
	part->bdev.driver = &part_driver;
	bdev_set_limits(&part->bdev, &(struct bdev_limits){.ops = below_ops(&part->bdev)});
	*ret = &steal(part)->bdev;
	return 0;
}

static const struct bdev_status_ops part_status = {
	.get = part_status_get,
};

static const struct bdev_param part_params[] = {
	{"offset_mb", "where the window begins, in MiB; default 0"},
	{"offset_blocks", "the same in blocks"},
	{"size_mb", "its size in MiB; default: to the end of the disk, growing with it"},
	{"num_blocks", "the same in blocks"},
	{"on", "URI of the disk below; the last parameter"},
	{0},
};

const struct bdev_driver part_driver = {
	.scheme = "part",
	.help = "a window on a disk",
	.params = part_params,
	.open = part_open,
	.close = part_close,
	.rescan = part_rescan,
	.chan_bytes = sizeof(struct below_chan),
	.chan_open = part_chan_open,
	.chan_close = below_chan_close,
	.submit = part_submit,
	.status = &part_status,
};
