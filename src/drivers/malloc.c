// SPDX-License-Identifier: Apache-2.0
/*
 * malloc - a disk in memory that costs what is written on it (malloc_tree.h).
 *
 *   submit at home ---------------------------------> done at once
 *   submit elsewhere --all chunks in the view-------> done at once
 *                    \--else--> home, by mail: done --> back: the view learns the chunks
 *
 * The home reactor alone makes and drops chunks, in the disk's tree. A channel of another
 * reactor keeps a view: a tree of its own with the chunks it has met.
 *
 * MA1. Only the home reactor touches the disk's tree, only a channel's reactor its view.
 * MA2. A chunk that a view may hold lives until the disk is closed: while channels of
 *      other reactors are open, nothing is given back.
 * MA3. Otherwise zeroed and unmapped whole chunks are given back.
 * MA4. Out of memory is -ENOSPC; what was written before in the same bio stays (B4).
 * MA5. Chunks are lent at home only, and only while there is no view: what a view writes asks
 *      nobody. Before the first one is opened, all that are lent are replaced by copies.
 * MA6. Requests of one reactor are done one after the other. Two of different reactors
 *      that overlap while both are in flight have no order, and may mix.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "base/uri.h"
#include "bdev/lend.h"
#include "bdev/status.h"
#include "drivers/malloc.h"
#include "drivers/malloc_loan.h"
#include "drivers/shape.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define MALLOC_MET_MAX 3 /* chunks that a view learns from one bio: 128 KiB anywhere */

struct malloc_disk {
	struct bdev bdev;
	struct malloc_tree tree; /* home only; owns the chunks */
	struct malloc_loans *loans; /* home only; owned until it is closed */
	struct reactor *home;	 /* borrowed */
	unsigned views;		 /* home only: channels of other reactors (MA2) */
};

struct malloc_chan {
	struct malloc_tree view; /* chunks are the disk's; at home: not made */
};

struct malloc_req {
	struct bio *bio; /* borrowed until it completes */
	struct mail mail;
	int status;
	uint8_t *met[MALLOC_MET_MAX]; /* chunks of the bio, from its first on */
};

static struct malloc_disk *malloc_of(const struct bdev_chan *chan)
{
	return container_of(chan->bdev, struct malloc_disk, bdev);
}

/* ---- hot path ---------------------------------------------------------------------- */

static int malloc_rw(struct malloc_tree *tree, const struct bio *bio, uint64_t off)
{
	for (uint32_t i = 0; i < bio->iov_count; off += bio->iov[i].iov_len, i++) {
		const struct iovec *iov = &bio->iov[i];

		if (bio->op == BIO_READ)
			malloc_tree_read(tree, off, iov->iov_base, iov->iov_len);
		else
			TRY(malloc_tree_write(tree, off, iov->iov_base, iov->iov_len));
	}
	return 0;
}

/* All of a bio, at home. */
static int malloc_do(struct malloc_disk *disk, const struct bio *bio)
{
	uint64_t off = bio->lba * disk->bdev.block_size;
	enum malloc_zero how = disk->views ? MALLOC_ZERO_RETAIN : MALLOC_ZERO_DROP; /* MA2 */

	switch ((enum bio_op)bio->op) {
	case BIO_READ:
	case BIO_WRITE:
		return malloc_rw(&disk->tree, bio, off);
	case BIO_ZEROES:
	case BIO_UNMAP:
		if (bio->op == BIO_ZEROES && bio->flags & BIO_KEEP)
			how = MALLOC_ZERO_PROVIDE;
		return malloc_tree_zero(&disk->tree, off, bio->blocks * disk->bdev.block_size, how);
	case BIO_FLUSH:
		return 0;
	default:
		return -ENOTSUP;
	}
}

/* The chunks of a range, as the tree has them. False: more than `met` holds, or some are missing. */
static bool malloc_meet(const struct malloc_tree *tree, uint64_t off, uint64_t end,
			uint8_t *met[MALLOC_MET_MAX])
{
	bool all = true;
	unsigned i;

	for (i = 0; i < MALLOC_MET_MAX && off < end; i++) {
		met[i] = malloc_span_at(tree, off, 1).data;
		all &= met[i] != NULL;
		off = (off / MALLOC_CHUNK_BYTES + 1) * MALLOC_CHUNK_BYTES;
	}
	for (; i < MALLOC_MET_MAX; i++)
		met[i] = NULL;
	return all && off >= end;
}

static bool malloc_meet_bio(const struct malloc_tree *tree, const struct bio *bio,
			    uint32_t block_size, uint8_t *met[MALLOC_MET_MAX])
{
	uint64_t off = bio->lba * block_size;

	return malloc_meet(tree, off, off + bio->blocks * block_size, met);
}

/* Back from home. */
static void malloc_mail_back(struct mail *mail, struct reactor *at)
{
	struct malloc_req *req = container_of(mail, struct malloc_req, mail);
	struct bio *bio = req->bio;
	struct malloc_chan *chan = bdev_chan_priv(bio->chan);
	uint64_t chunk = bio->lba * bio->chan->bdev->block_size / MALLOC_CHUNK_BYTES;

	(void)at;
	for (unsigned i = 0; i < MALLOC_MET_MAX; i++)
		if (req->met[i])
			malloc_tree_learn(&chan->view, chunk + i, req->met[i]);
	bio_complete(bio, req->status);
}

static void malloc_mail_home(struct mail *mail, struct reactor *at)
{
	struct malloc_req *req = container_of(mail, struct malloc_req, mail);
	struct malloc_disk *disk = malloc_of(req->bio->chan);

	req->status = malloc_do(disk, req->bio);
	malloc_meet_bio(&disk->tree, req->bio, disk->bdev.block_size, req->met);
	mail->run = malloc_mail_back;
	reactor_send(at, req->bio->chan->reactor, mail);
}

/* On another reactor than home. */
static void malloc_submit_away(struct malloc_disk *disk, struct bio *bio)
{
	struct malloc_chan *chan = bdev_chan_priv(bio->chan);
	struct malloc_req *req = bio_scratch(bio);
	uint32_t block_size = disk->bdev.block_size;

	if (bio->op == BIO_FLUSH) {
		bio_complete(bio, 0);
	} else if (bio_op_has_data((enum bio_op)bio->op) &&
		   malloc_meet_bio(&chan->view, bio, block_size, req->met)) {
		bio_complete(bio, malloc_rw(&chan->view, bio, bio->lba * block_size));
	} else {
		req->bio = bio;
		req->mail.run = malloc_mail_home;
		reactor_send(bio->chan->reactor, disk->home, &req->mail); /* MA1 */
	}
}

static void malloc_submit(struct bio *bio)
{
	struct malloc_disk *disk = malloc_of(bio->chan);

	if (likely(bio->chan->reactor == disk->home))
		bio_complete(bio, malloc_do(disk, bio));
	else
		malloc_submit_away(disk, bio);
}

/* ---- loans --------------------------------------------------------------------------- */

static void malloc_give_back(struct bdev_loan *loan)
{
	for (uint32_t i = 0; i < loan->count; i++)
		malloc_loan_give_back(&loan->piece[i]);
	loan->count = 0;
}

/* All of the range is there, in no more pieces than a loan has. */
static bool malloc_lend_pieces(const struct malloc_tree *tree, uint64_t off, uint64_t end,
			       struct bdev_loan *loan, uint32_t *ret_count)
{
	uint32_t count = 0;

	while (off < end) {
		struct malloc_span span = malloc_span_at(tree, off, end - off);

		if (!span.data || count == BDEV_LOAN_PIECES)
			return false;
		loan->piece[count++].iov = (struct iovec){ span.data + span.off, span.len };
		off += span.len;
	}
	*ret_count = count;
	return true;
}

static bool malloc_lend(struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
			struct bdev_loan *loan)
{
	struct malloc_disk *disk = malloc_of(chan);
	uint64_t off = lba * disk->bdev.block_size;
	uint64_t end = off + blocks * disk->bdev.block_size;
	uint32_t count;

	if (chan->reactor != disk->home || disk->views > 0 || /* MA5 */
	    disk->loans->count + BDEV_LOAN_PIECES > MALLOC_LOANS_MAX ||
	    !malloc_lend_pieces(&disk->tree, off, end, loan, &count))
		return false;
	for (uint32_t i = 0; i < count; i++)
		malloc_loan_add(disk->loans, off / MALLOC_CHUNK_BYTES + i, &loan->piece[i]);
	loan->count = count;
	loan->give_back = malloc_give_back;
	return true;
}

static bool malloc_put(struct bdev_chan *chan, uint64_t lba, uint64_t blocks, const void *data,
		       int *ret_status)
{
	struct malloc_disk *disk = malloc_of(chan);
	struct malloc_chan *away = bdev_chan_priv(chan);
	uint64_t off = lba * disk->bdev.block_size, bytes = blocks * disk->bdev.block_size;
	struct malloc_tree *tree = &disk->tree;
	uint8_t *met[MALLOC_MET_MAX];

	if (chan->reactor != disk->home) {
		if (!malloc_meet(&away->view, off, off + bytes, met))
			return false;
		tree = &away->view;
	}
	*ret_status = malloc_tree_write(tree, off, data, bytes);
	return true;
}

static const struct bdev_lend_ops malloc_lend_ops = {
	.lend = malloc_lend,
	.put = malloc_put,
};

/* ---- channels ------------------------------------------------------------------------ */

static int malloc_view_added(struct fiber *f, void *arg)
{
	struct malloc_disk *disk = arg;

	(void)f;
	TRY(malloc_tree_unlend(&disk->tree)); /* MA5 */
	disk->views++;
	return 0;
}

static int malloc_view_removed(struct fiber *f, void *arg)
{
	(void)f;
	((struct malloc_disk *)arg)->views--;
	return 0;
}

static int malloc_chan_open(struct fiber *f, struct bdev_chan *base)
{
	struct malloc_disk *disk = malloc_of(base);
	struct malloc_chan *chan = bdev_chan_priv(base);
	int r;

	*chan = (struct malloc_chan){0};
	if (base->reactor == disk->home)
		return 0;
	TRY(malloc_tree_init(&chan->view, fiber_io(f)->mem,
			     disk->bdev.blocks * disk->bdev.block_size));
	r = fiber_call_on(f, disk->home, "malloc-view", malloc_view_added, disk);
	if (r < 0)
		malloc_tree_fini(&chan->view, false);
	return r;
}

static void malloc_chan_close(struct fiber *f, struct bdev_chan *base)
{
	struct malloc_disk *disk = malloc_of(base);
	struct malloc_chan *chan = bdev_chan_priv(base);

	if (base->reactor == disk->home)
		return;
	malloc_tree_fini(&chan->view, false);
	while (fiber_call_on(f, disk->home, "malloc-view", malloc_view_removed, disk) < 0)
		fiber_yield(f); /* no fiber to be had: again */
}

/* ---- status ---------------------------------------------------------------------------- */

struct malloc_status_args {
	struct malloc_disk *disk;
	uint64_t lba, blocks;
	struct bdev_extent *ret;
	unsigned max;
	unsigned *ret_count;
};

static int malloc_status_home(struct fiber *f, void *arg)
{
	struct malloc_status_args *args = arg;
	uint32_t block_size = args->disk->bdev.block_size;
	uint64_t off = args->lba * block_size;
	uint64_t end = off + args->blocks * block_size;
	unsigned count = 0;

	(void)f;
	while (off < end) {
		struct malloc_span span = malloc_span_at(&args->disk->tree, off, end - off);
		uint32_t flags = span.data ? BDEV_DATA : BDEV_HOLE | BDEV_ZERO;

		if (count == 0 || args->ret[count - 1].flags != flags) {
			if (count == args->max)
				break;
			args->ret[count++] = (struct bdev_extent){off / block_size, 0, flags};
		}
		args->ret[count - 1].blocks += span.len / block_size;
		off += span.len;
	}
	*args->ret_count = count;
	return 0;
}

static int malloc_status_get(struct fiber *f, struct bdev_chan *chan, uint64_t lba,
			     uint64_t blocks, struct bdev_extent *ret, unsigned max,
			     unsigned *ret_count)
{
	struct malloc_disk *disk = malloc_of(chan);
	struct malloc_status_args args = {disk, lba, blocks, ret, max, ret_count};

	return fiber_call_on(f, disk->home, "malloc-status", malloc_status_home, &args);
}

/* ---- the disk --------------------------------------------------------------------------- */

static void malloc_close(struct fiber *f, struct bdev *bdev)
{
	struct malloc_disk *disk = container_of(bdev, struct malloc_disk, bdev);

	must(fiber_reactor(f) == disk->home && disk->views == 0); /* MA1, MA2 */
	malloc_tree_fini(&disk->tree, true);
	malloc_loans_close(disk->loans);
	mem_free(disk);
}

static int malloc_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct malloc_disk *disk = mem_new(fiber_io(f), sizeof(*disk));
	struct bdev *bdev;

	if (!disk)
		return -ENOMEM;
	bdev = &disk->bdev;
	if (uri_segment_count(uri) == 0)
		return fiber_fail(f, -EINVAL, "malloc: no name, expected malloc:///name");
	TRY(shape_get(f, uri, MALLOC_SIZE_MAX, bdev));
	TRY(malloc_tree_init(&disk->tree, fiber_io(f)->mem, bdev->blocks * bdev->block_size));
	if (malloc_loans_new(fiber_io(f)->mem, &disk->loans) < 0) {
		malloc_tree_fini(&disk->tree, true);
		return -ENOMEM;
	}
	disk->tree.loans = disk->loans;
	disk->home = fiber_reactor(f);
	bdev->driver = &malloc_driver;
	bdev->unmap_zeroes = true;
	bdev->can_unmap = true;
	bdev->can_zeroes = true;
	bdev->scratch_bytes = sizeof(struct malloc_req);
	bdev_set_limits(bdev, &(struct bdev_limits){
		.max_zeroes_blocks = BIO_BYTES_MAX / bdev->block_size, /* in one turn */
		.ops = 1u << BIO_READ | 1u << BIO_WRITE | 1u << BIO_FLUSH | 1u << BIO_ZEROES |
		       1u << BIO_UNMAP,
	});
	*ret = &steal(disk)->bdev;
	return 0;
}

static const struct bdev_status_ops malloc_status = {
	.get = malloc_status_get,
};

static const struct bdev_param malloc_params[] = {SHAPE_PARAMS, {0}};

const struct bdev_driver malloc_driver = {
	.scheme = "malloc",
	.help = "a disk in memory",
	.params = malloc_params,
	.open = malloc_open,
	.close = malloc_close,
	.chan_bytes = sizeof(struct malloc_chan),
	.chan_open = malloc_chan_open,
	.chan_close = malloc_chan_close,
	.submit = malloc_submit,
	.status = &malloc_status,
	.lend = &malloc_lend_ops,
};
