// SPDX-License-Identifier: Apache-2.0
/*
 * concat - several disks as one, end to end.
 *
 *   |-- member 0 --|---- member 1 ----|- member 2 -|
 *   0          start[1]           start[2]       blocks
 *
 * A request within one member goes down as it is. One across seams (rare) goes down in
 * pieces, one after the other; the first failure ends it. FLUSH and RESET go to all members
 * at once, by bios that each channel keeps for them; flushes that come while one is under
 * way share the next.
 *
 * CO1. The pieces of a request are its blocks, each once, in order.
 * CO2. A flush that is answered began on every member after it was submitted.
 * CO3. Members do not move: only the last one can make the disk grow.
 * CO4. One round of a fan is in flight at a time; a channel has a fan for FLUSH and one
 *      for RESET, which does not wait for the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/uri.h"
#include "bdev/status.h"
#include "drivers/below.h"
#include "drivers/concat.h"
#include "reactor/fiber.h"

struct concat_member {
	struct below below;
	uint64_t start;		/* first block, as seen from above */
	uint64_t end;		/* one past its last; of the last member: no end (CO3) */
};

struct concat {
	struct bdev bdev;
	unsigned count;
	struct concat_member members[CONCAT_MEMBERS_MAX];
};

struct concat_fan_bio {
	struct concat_fan *fan;
	struct bio bio;		/* last */
};

/* FLUSH or RESET of all members, round after round (CO4). */
struct concat_fan {
	enum bio_op op;
	unsigned count;
	struct concat_fan_bio *bios[CONCAT_MEMBERS_MAX]; /* owned */
	struct list waiting;	/* parents that came too late for this round */
	struct list served;	/* parents of this round */
	unsigned pending;	/* members that have not answered; 0: no round */
	int status;		/* the first failure */
};

struct concat_chan {
	unsigned count;
	struct bdev_chan *members[CONCAT_MEMBERS_MAX]; /* owned */
	struct concat_fan flush, reset;
};

struct concat_req {
	struct bio *parent;	/* borrowed until it completes */
	uint64_t done;		/* blocks of the pieces before this one */
	struct iovec iov[CONCAT_IOV_MAX]; /* of a piece; a whole request keeps its own */
	struct bio child;	/* last */
};

/* ---- FLUSH and RESET --------------------------------------------------------- */

/* Ends with `pending` members to answer; none of them has when this returns. */
static void concat_fan_round(struct concat_fan *fan)
{
	list_splice_tail(&fan->served, &fan->waiting);
	fan->pending = fan->count;
	fan->status = 0;
	for (unsigned i = 0; i < fan->count; i++) {
		struct bio *bio = &fan->bios[i]->bio;

		bio_prep(bio, bio->chan, fan->op, 0, 0, NULL, 0, bio->done);
		bio_submit(bio);
	}
}

static void concat_fan_done(struct bio *bio)
{
	struct concat_fan *fan = container_of(bio, struct concat_fan_bio, bio)->fan;
	struct bio *parent;
	struct list served;
	int status;

	if (bio->status < 0 && fan->status == 0)
		fan->status = bio->status;
	if (--fan->pending > 0)
		return;
	status = fan->status;
	list_init(&served);
	list_splice_tail(&served, &fan->served);
	if (!list_empty(&fan->waiting))
		concat_fan_round(fan); /* CO2 */
	while ((parent = list_pop_front(&served, struct bio, link)))
		bio_complete(parent, status); /* its callback may submit again */
}

static void concat_fan_submit(struct concat_fan *fan, struct bio *parent)
{
	list_link_init(&parent->link);
	list_add_tail(&fan->waiting, &parent->link);
	if (fan->pending == 0)
		concat_fan_round(fan); /* CO4 */
}

static void concat_fan_fini(struct concat_fan *fan)
{
	for (unsigned i = 0; i < fan->count; i++)
		mem_free(fan->bios[i]);
}

static int concat_fan_init(struct io *io, struct concat_chan *chan, enum bio_op op,
			   struct concat_fan *fan)
{
	fan->op = op;
	list_init(&fan->waiting);
	list_init(&fan->served);
	for (unsigned i = 0; i < chan->count; i++) {
		size_t room_bytes = chan->members[i]->bdev->scratch_bytes;
		struct concat_fan_bio *one = mem_new(io, sizeof(*one) + room_bytes);

		if (!one)
			return -ENOMEM;
		one->fan = fan;
		one->bio.chan = chan->members[i];
		one->bio.done = concat_fan_done;
		fan->bios[fan->count++] = one;
	}
	return 0;
}

/* ---- requests with a place -------------------------------------------------- */

static const struct concat_member *concat_find(const struct concat *concat, uint64_t lba,
					       unsigned *ret_index)
{
	unsigned low = 0, high = concat->count - 1;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (lba < concat->members[mid].end)
			high = mid;
		else
			low = mid + 1;
	}
	*ret_index = low;
	return &concat->members[low];
}

/* The iovecs of [off, off + len) of a bio's data; returns how many. */
static uint32_t concat_cut(const struct bio *bio, uint64_t off, uint64_t len, struct iovec *ret)
{
	uint32_t count = 0;

	for (uint32_t i = 0; len > 0; i++) {
		const struct iovec *iov = &bio->iov[i];

		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		ret[count].iov_base = (uint8_t *)iov->iov_base + off;
		ret[count].iov_len = min_u64(iov->iov_len - off, len);
		len -= ret[count++].iov_len;
		off = 0;
	}
	return count;
}

/* The next piece (CO1). */
static void concat_send(struct concat_req *req)
{
	const struct bio *parent = req->parent;
	struct concat *concat = container_of(parent->chan->bdev, struct concat, bdev);
	struct concat_chan *chan = bdev_chan_priv(parent->chan);
	uint64_t lba = parent->lba + req->done;
	struct bio *child = &req->child;
	unsigned index;
	const struct concat_member *member = concat_find(concat, lba, &index);

	bio_clone(child, parent, chan->members[index], child->done);
	child->lba = lba - member->start;
	child->blocks = min_u64(parent->blocks - req->done, member->end - lba);
	if (parent->iov && child->blocks < parent->blocks) {
		uint32_t block_size = concat->bdev.block_size;

		child->iov_count = concat_cut(parent, req->done * block_size,
					      child->blocks * block_size, req->iov);
		child->iov = req->iov;
	}
	bio_submit(child);
}

static void concat_child_done(struct bio *child)
{
	struct concat_req *req = container_of(child, struct concat_req, child);

	req->done += child->blocks;
	if (child->status < 0 || req->done == req->parent->blocks)
		below_complete(req->parent, child);
	else
		concat_send(req);
}

static void concat_submit(struct bio *bio)
{
	struct concat_chan *chan = bdev_chan_priv(bio->chan);
	struct concat_req *req = bio_scratch(bio);

	if (bio->op == BIO_FLUSH || bio->op == BIO_RESET) {
		concat_fan_submit(bio->op == BIO_FLUSH ? &chan->flush : &chan->reset, bio);
		return;
	}
	req->parent = bio;
	req->done = 0;
	req->child.done = concat_child_done;
	concat_send(req);
}

/* ---- status ------------------------------------------------------------------- */

/* Extents of one member, put behind those that are there; the first may continue the last. */
static void concat_append(struct bdev_extent *ret, unsigned *count, unsigned fresh, uint64_t start)
{
	unsigned to = *count;

	for (unsigned i = *count; i < *count + fresh; i++) {
		struct bdev_extent extent = ret[i];

		extent.lba += start;
		if (to > 0 && ret[to - 1].flags == extent.flags)
			ret[to - 1].blocks += extent.blocks;
		else
			ret[to++] = extent;
	}
	*count = to;
}

static int concat_status_get(struct fiber *f, struct bdev_chan *base, uint64_t lba,
			     uint64_t blocks, struct bdev_extent *ret, unsigned max,
			     unsigned *ret_count)
{
	struct concat *concat = container_of(base->bdev, struct concat, bdev);
	struct concat_chan *chan = bdev_chan_priv(base);
	uint64_t end = lba + blocks;
	unsigned count = 0;

	while (lba < end && count < max) {
		unsigned index, fresh;
		const struct concat_member *member = concat_find(concat, lba, &index);
		uint64_t len = min_u64(end, member->end) - lba;

		TRY(bdev_status_get(f, chan->members[index], lba - member->start, len, ret + count,
				    max - count, &fresh));
		concat_append(ret, &count, fresh, member->start);
		lba = ret[count - 1].lba + ret[count - 1].blocks;
	}
	*ret_count = count;
	return 0;
}

/* ---- slow path ------------------------------------------------------------------ */

static void concat_chan_close(struct fiber *f, struct bdev_chan *base)
{
	struct concat_chan *chan = bdev_chan_priv(base);

	concat_fan_fini(&chan->flush);
	concat_fan_fini(&chan->reset);
	while (chan->count > 0)
		bdev_chan_close(f, chan->members[--chan->count]);
}

static int concat_chan_open(struct fiber *f, struct bdev_chan *base)
{
	struct concat *concat = container_of(base->bdev, struct concat, bdev);
	struct concat_chan *chan = bdev_chan_priv(base);
	int r = 0;

	*chan = (struct concat_chan){0};
	while (r == 0 && chan->count < concat->count) {
		r = bdev_chan_open(f, concat->members[chan->count].below.bdev,
				   &chan->members[chan->count]);
		if (r == 0)
			chan->count++;
	}
	if (r == 0)
		r = concat_fan_init(fiber_io(f), chan, BIO_FLUSH, &chan->flush);
	if (r == 0)
		r = concat_fan_init(fiber_io(f), chan, BIO_RESET, &chan->reset);
	if (r < 0)
		concat_chan_close(f, base);
	return r;
}

static uint64_t concat_last_blocks(const struct bdev *bdev)
{
	const struct concat *concat = container_of(bdev, const struct concat, bdev);
	const struct concat_member *last = &concat->members[concat->count - 1];

	return last->start + last->below.bdev->blocks; /* CO3 */
}

static uint64_t concat_fixed_blocks(const struct bdev *bdev)
{
	return bdev->blocks; /* CO3 */
}

static int concat_rescan(struct fiber *f, struct bdev *bdev)
{
	struct concat *concat = container_of(bdev, struct concat, bdev);

	return below_rescan(f, &concat->members[concat->count - 1].below);
}

static void concat_close(struct fiber *f, struct bdev *bdev)
{
	struct concat *concat = container_of(bdev, struct concat, bdev);

	for (; concat->count > 0; concat->count--)
		below_close(f, &concat->members[concat->count - 1].below);
	mem_free(concat);
}

/* The disk is as good as the worst of its members. */
static void concat_join(struct bdev *to, const struct bdev *from, bool first)
{
	to->block_size = from->block_size;
	to->physical_block_size = max_u32(to->physical_block_size, from->physical_block_size);
	to->optimal_io_blocks = max_u32(to->optimal_io_blocks, from->optimal_io_blocks);
	to->read_only |= from->read_only;
	to->volatile_cache |= from->volatile_cache;
	to->rotational |= from->rotational;
	to->unmap_zeroes = from->unmap_zeroes && (first || to->unmap_zeroes);
	to->can_unmap = from->can_unmap && (first || to->can_unmap);
	to->can_zeroes = from->can_zeroes && (first || to->can_zeroes);
	to->scratch_bytes = max_u32(to->scratch_bytes,
				    (uint32_t)sizeof(struct concat_req) + from->scratch_bytes);
}

/* Member i, opened, becomes part of the disk. */
static int concat_check(struct fiber *f, struct concat *concat, unsigned i)
{
	struct concat_member *member = &concat->members[i];
	const struct bdev *disk = member->below.bdev;
	struct bdev *bdev = &concat->bdev;

	if (i > 0 && disk->block_size != bdev->block_size)
		return fiber_fail(f, -EINVAL,
				  "concat: member %u, %s, has blocks of %" PRIu32
				  ", those before it of %" PRIu32,
				  i + 1, disk->name, disk->block_size, bdev->block_size);
	if (disk->blocks > INT64_MAX / disk->block_size - bdev->blocks)
		return fiber_fail(f, -EINVAL, "concat: with member %u, %s, it is too large", i + 1,
				  disk->name);
	concat_join(bdev, disk, i == 0);
	member->start = bdev->blocks;
	bdev->blocks += disk->blocks;
	if (i > 0)
		concat->members[i - 1].end = member->start;
	member->end = UINT64_MAX;
	return 0;
}

static int concat_add(struct fiber *f, const struct uri *uri, struct concat *concat, unsigned i)
{
	const struct uri *on = uri_child_at(uri, "on", i);
	bool last = i + 1 == uri_name_count(uri, "on");

	if (!on)
		return fiber_fail(f, -EINVAL,
				  "concat: parameter 'on' number %u is not a URI; in all but the "
				  "last write %%3A for ':' and %%26 for '&'", i + 1);
	for (unsigned j = 0; j < i; j++)
		if (strcmp(uri_print(uri_child_at(uri, "on", j)), uri_print(on)) == 0)
			return fiber_fail(f, -EINVAL, "concat: members %u and %u are both %.120s",
					  j + 1, i + 1, uri_print(on));
	TRY(below_open(f, uri, on, &concat->bdev, last ? concat_last_blocks : concat_fixed_blocks,
		       &concat->members[i].below));
	concat->count++;
	return concat_check(f, concat, i);
}

static int concat_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	uint32_t count = uri_name_count(uri, "on");
	struct concat *concat;

	if (uri_segment_count(uri) == 0)
		return fiber_fail(f, -EINVAL, "concat: no name, expected concat:///name?on=...");
	if (count == 0 || count > CONCAT_MEMBERS_MAX)
		return fiber_fail(f, -EINVAL, "concat: %" PRIu32 " parameters 'on', expected 1..%u",
				  count, CONCAT_MEMBERS_MAX);
	concat = mem_new(fiber_io(f), sizeof(*concat));
	if (!concat)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		int r = concat_add(f, uri, concat, i);

		if (r < 0) {
			concat_close(f, &concat->bdev);
			return r;
		}
	}
	concat->bdev.driver = &concat_driver;
	bdev_set_limits(&concat->bdev, &(struct bdev_limits){
		.iov_max = CONCAT_IOV_MAX,
		.ops = below_ops(&concat->bdev) & ~(1u << BIO_COMPARE | 1u << BIO_COMPARE_WRITE),
	});
	*ret = &concat->bdev;
	return 0;
}

static const struct bdev_status_ops concat_status = {
	.get = concat_status_get,
};

static const struct bdev_param concat_params[] = {
	{"on*", "URI of a member, 1..64 times, in their order; %3A for ':' and %26 for '&' but in the last"},
	{0},
};

const struct bdev_driver concat_driver = {
	.scheme = "concat",
	.help = "several disks as one, end to end",
	.params = concat_params,
	.open = concat_open,
	.close = concat_close,
	.rescan = concat_rescan,
	.chan_bytes = sizeof(struct concat_chan),
	.chan_open = concat_chan_open,
	.chan_close = concat_chan_close,
	.submit = concat_submit,
	.status = &concat_status,
};
