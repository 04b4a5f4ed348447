// SPDX-License-Identifier: Apache-2.0
/*
 * file - a regular file or a block device, through struct io. Opening: file_open.c.
 *
 *   READ, WRITE    submit --> io_op on the channel's file --> complete
 *   FUA            the same with IO_DSYNC; or, with fua=flush, the layer flushes after it
 *   ZEROES, UNMAP  the same with IO_ZERO or IO_DISCARD; for FUA the layer flushes after it
 *   FLUSH          --> home reactor: waiting --> served (one IO_FSYNC) --> complete
 *
 * The home reactor opens the file, locks it, and does all flushes. Every channel has a handle
 * of this same open file on its reactor's ring.
 *
 * What a failed flush means: the kernel reports a lost write once, then forgets it, and
 * so does a disk. The next fsync succeeds although the data never arrived. So after the
 * first failure of a flush (or of a FUA write, which contains one) this disk has *lost its
 * flush*: every later FLUSH fails with -EIO, until it is closed and opened again by
 * somebody who knows that what was not durable may be gone. Reads and writes go on.
 *
 * FI1. One IO_FSYNC is in flight at a time; FLUSHes that come meanwhile share the next.
 *      So none is answered by an fsync that began before it, or beside one that failed.
 * FI2. Once flush_lost is set no FLUSH succeeds. It is set before the bio that met the
 *      failure completes.
 * FI3. All requests go through what home opened and locked, so the lock outlives every request in
 *      flight: after we are killed nobody opens the disk while it still works for us. And a
 *      path that came to mean another file does not matter.
 * FI4. A transfer is whole or it failed: the file shrank beneath us is -EIO.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cursor.h"
#include "base/log.h"
#include "drivers/file_priv.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/reactor.h"

struct file_chan {
	struct io *io;		/* borrowed */
	struct io_file *file;	/* owned */
	uint32_t block_size;
};

static struct file *file_of(const struct bio *bio)
{
	return container_of(bio->chan->bdev, struct file, bdev);
}

/* Errors of the kernel in the words of bdev.h. */
static int file_status(int64_t res)
{
	switch (res) {
	case -ENODEV:
	case -ENXIO:
	case -ENOMEDIUM:
		return -ENODEV;
	case -EDQUOT:
	case -EFBIG:
	case -ENOSPC:
		return -ENOSPC;
	case -EROFS:
	case -EPERM:
	case -EBADF:
		return -EROFS;
	case -ENODATA:
	case -ENOMEM:
	case -ENOTSUP:
	case -ETIMEDOUT:
	case -ECANCELED:
		return (int)res;
	default:
		return -EIO;
	}
}

/* ---- at home: flushes, and failures that concern all channels ------------------ */

static void file_mail_back(struct mail *mail, struct reactor *at)
{
	struct file_req *req = container_of(mail, struct file_req, mail);

	(void)at;
	bio_complete(req->bio, req->status);
}

/* Complete a bio, from home. */
static void file_answer(struct file *file, struct bio *bio, int status)
{
	struct file_req *req = bio_scratch(bio);

	if (bio->chan->reactor == file->home) {
		bio_complete(bio, status);
		return;
	}
	req->status = status;
	req->mail.run = file_mail_back;
	reactor_send(file->home, bio->chan->reactor, &req->mail);
}

/* Their callbacks may submit again: `bios` is the caller's own list. */
static void file_answer_all(struct file *file, struct list *bios, int status)
{
	struct bio *bio;

	while ((bio = list_pop_front(bios, struct bio, link)))
		file_answer(file, bio, status);
}

static void file_lose_flush(struct file *file, int64_t res)
{
	if (!file->flush_lost)
		log_error(reactor_log(file->home),
			  "a flush failed: what was not yet durable may be lost; no flush will "
			  "succeed until the disk is opened again",
			  LOG_STR("disk", file->bdev.name), LOG_ERR("error", res));
	file->flush_lost = true;
}

static void file_gone(struct file *file)
{
	if (!file->removed)
		bdev_removed(&file->bdev);
	file->removed = true;
}

/* One for all that wait (FI1). `done` of flush_op is set once, in open. */
static void file_flush_start(struct file *file)
{
	list_splice_tail(&file->served, &file->waiting);
	file->flushing = true;
	io_prep_file(&file->flush_op, IO_FSYNC, file->file, 0, 0, IO_DATASYNC,
		     file->flush_op.done);
	io_submit(reactor_io(file->home), &file->flush_op);
}

static void file_flush_done(struct io_op *op)
{
	struct file *file = container_of(op, struct file, flush_op);
	int status = op->res < 0 ? file_status(op->res) : 0;
	struct list served, late;

	list_init(&served);
	list_init(&late);
	list_splice_tail(&served, &file->served);
	file->flushing = false;
	if (status < 0)
		file_lose_flush(file, op->res);
	if (status == -ENODEV)
		file_gone(file);
	if (file->flush_lost)
		list_splice_tail(&late, &file->waiting);
	else if (!list_empty(&file->waiting))
		file_flush_start(file);
	file_answer_all(file, &served, status == 0 && file->flush_lost ? -EIO : status);
	file_answer_all(file, &late, -EIO); /* FI2 */
}

/* A bio that needs home: req->status < 0 is its failure, else it wants a flush. */
static void file_at_home(struct file *file, struct bio *bio)
{
	struct file_req *req = bio_scratch(bio);

	if (req->status < 0) {
		if (req->status == -ENODEV)
			file_gone(file);
		if (bio->flags & BIO_FUA)
			file_lose_flush(file, req->status);
		file_answer(file, bio, req->status);
		return;
	}
	if (file->flush_lost) {
		file_answer(file, bio, -EIO); /* FI2 */
		return;
	}
	list_link_init(&bio->link);
	list_add_tail(&file->waiting, &bio->link);
	if (!file->flushing)
		file_flush_start(file);
}

static void file_mail_home(struct mail *mail, struct reactor *at)
{
	struct bio *bio = container_of(mail, struct file_req, mail)->bio;

	(void)at;
	file_at_home(file_of(bio), bio);
}

static void file_go_home(struct bio *bio, int status)
{
	struct file *file = file_of(bio);
	struct file_req *req = bio_scratch(bio);

	req->status = status;
	if (bio->chan->reactor == file->home) {
		file_at_home(file, bio);
		return;
	}
	req->mail.run = file_mail_home;
	reactor_send(bio->chan->reactor, file->home, &req->mail);
}

/* ---- hot path ---------------------------------------------------------------------- */

/* Did the failure tell about more than this bio? */
static void file_failed(struct bio *bio, int64_t res)
{
	int status = file_status(res);

	if (status == -ENODEV || (status == -EIO && bio->flags & BIO_FUA))
		file_go_home(bio, status);
	else
		bio_complete(bio, status);
}

static void file_rw_done(struct io_op *op)
{
	struct file_req *req = container_of(op, struct file_req, op);
	struct bio *bio = req->bio;
	struct file_chan *chan = bdev_chan_priv(bio->chan);

	if (unlikely(op->res != (int64_t)(bio->blocks * chan->block_size)))
		file_failed(bio, op->res < 0 ? op->res : -EIO); /* FI4 */
	else
		bio_complete(bio, 0);
}

static void file_range_done(struct io_op *op)
{
	struct bio *bio = container_of(op, struct file_req, op)->bio;

	if (op->res < 0)
		file_failed(bio, op->res);
	else
		bio_complete(bio, 0);
}

/* ZEROES and UNMAP. A file unmaps by a hole, which reads as zeros; a device by a discard. */
static void file_submit_range(struct bio *bio)
{
	struct file *file = file_of(bio);
	struct file_chan *chan = bdev_chan_priv(bio->chan);
	struct file_req *req = bio_scratch(bio);
	bool is_block = file->stat.kind == IO_KIND_BLOCK;
	enum io_code code = bio->op == BIO_UNMAP && is_block ? IO_DISCARD : IO_ZERO;
	uint32_t flags = bio->op == BIO_ZEROES && bio->flags & BIO_KEEP ? IO_KEEP_ALLOC : 0;

	if (bio->op == BIO_ZEROES && bio->flags & BIO_FAST && is_block) {
		bio_complete(bio, -ENOTSUP); /* the kernel may write them out, and does not say */
		return;
	}
	io_prep_file(&req->op, code, chan->file, bio->lba * chan->block_size,
		     bio->blocks * chan->block_size, flags, file_range_done);
	io_submit(chan->io, &req->op);
}

static void file_submit(struct bio *bio)
{
	struct file_chan *chan = bdev_chan_priv(bio->chan);
	struct file_req *req = bio_scratch(bio);
	enum io_code code = IO_READ;
	uint32_t flags = 0;

	req->bio = bio;
	switch ((enum bio_op)bio->op) {
	case BIO_WRITE:
		code = IO_WRITE;
		if (unlikely(bio->flags & BIO_FUA))
			flags = IO_DSYNC;
		__attribute__((fallthrough));
	case BIO_READ:
		io_prep_rw(&req->op, code, chan->file, bio->iov, bio->iov_count,
			   bio->lba * chan->block_size, flags, file_rw_done);
		io_submit(chan->io, &req->op);
		return;
	case BIO_ZEROES:
	case BIO_UNMAP:
		file_submit_range(bio);
		return;
	case BIO_FLUSH:
		file_go_home(bio, 0);
		return;
	default:
		bio_complete(bio, -ENOTSUP);
	}
}

/* ---- the disk and its channels ---------------------------------------------------------------------- */

static int file_chan_open(struct fiber *f, struct bdev_chan *base)
{
	struct file *file = container_of(base->bdev, struct file, bdev);
	struct file_chan *chan = bdev_chan_priv(base);

	chan->io = fiber_io(f);
	chan->block_size = file->bdev.block_size;
	return fiber_share(f, file->file, &chan->file); /* FI3 */
}

static void file_chan_close(struct fiber *f, struct bdev_chan *base)
{
	struct file_chan *chan = bdev_chan_priv(base);

	fiber_close(f, chan->file);
}

static void file_close(struct fiber *f, struct bdev *bdev)
{
	struct file *file = container_of(bdev, struct file, bdev);

	if (file->file)
		fiber_close(f, file->file);
	mem_free(file->path);
	mem_free(file);
}

static int file_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct file *file = mem_new(fiber_io(f), sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	file->home = fiber_reactor(f);
	file->flush_op.done = file_flush_done;
	list_init(&file->waiting);
	list_init(&file->served);
	r = file_open_uri(f, uri, file);
	if (r < 0) {
		file_close(f, &file->bdev);
		return r;
	}
	*ret = &file->bdev;
	return 0;
}

static int file_rescan(struct fiber *f, struct bdev *bdev)
{
	struct file *file = container_of(bdev, struct file, bdev);
	struct io_stat stat;
	uint64_t blocks;

	TRY(fiber_fstat(f, file->file, &stat));
	blocks = stat.size_bytes / bdev->block_size;
	if (blocks < bdev->blocks)
		return fiber_fail(f, -EINVAL, "%s: shrank to %" PRIu64 " bytes; a disk must not",
				  file->path, stat.size_bytes);
	if (blocks > bdev->blocks)
		bdev_resized(f, bdev, blocks);
	return 0;
}

static const char *const file_aliases[] = {"aio", "uring", "bdev", NULL};

static const struct bdev_param file_params[] = {
	{"blk_size", "bytes of a block: a power of two 512..65536; default: 512, or what the disk needs"},
	{"direct", "auto, on or off: past the page cache; auto falls back with a warning; default auto"},
	{"fua", "dsync or flush: how a write is made durable at once; default dsync"},
	{"size", "bytes, or with a suffix (10g): create the file, or make it at least as large"},
	{"read_only", "do not write; default: only if the file cannot be written"},
	{0},
};

const struct bdev_driver file_driver = {
	.scheme = "file",
	.aliases = file_aliases,
	.help = "a regular file or a block device",
	.params = file_params,
	.open = file_open,
	.close = file_close,
	.rescan = file_rescan,
	.chan_bytes = sizeof(struct file_chan),
	.chan_open = file_chan_open,
	.chan_close = file_chan_close,
	.submit = file_submit,
};
