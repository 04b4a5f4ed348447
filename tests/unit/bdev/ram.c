/* SPDX-License-Identifier: Apache-2.0 */
/* ram - a disk in memory with limits of all kinds, which checks what the layer sends it. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "base/uri.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "unit/bdev/ram.h"

struct ram_chan {
	struct ram *ram;
};

struct ram_req {
	struct bio *bio;
	struct timer timer;
	struct task task;
	struct list_link link;
	int status;
	uint8_t *snapshot; /* FLUSH: what it makes durable */
};

/* ---- what a bio does -------------------------------------------------- */

static uint8_t *ram_at(struct ram *ram, const struct bio *bio)
{
	return ram->mem + bio->lba * ram->bdev.block_size;
}

static size_t ram_bytes(struct ram *ram, const struct bio *bio)
{
	return bio->blocks * ram->bdev.block_size;
}

/* Bytes [from, from + len) of the data, out of or into buf. */
static void ram_data(const struct bio *bio, size_t from, size_t len, uint8_t *buf, bool out)
{
	for (uint32_t i = 0; i < bio->iov_count; i++) {
		size_t iov_len = bio->iov[i].iov_len;

		if (from >= iov_len) {
			from -= iov_len;
			continue;
		}
		size_t part = min_size(len, iov_len - from);
		uint8_t *at = (uint8_t *)bio->iov[i].iov_base + from;

		if (out)
			memcpy(buf, at, part);
		else
			memcpy(at, buf, part);
		buf += part;
		len -= part;
		from = 0;
		if (len == 0)
			return;
	}
	must(len == 0);
}

static int ram_compare(struct ram *ram, struct bio *bio)
{
	const uint8_t *disk = ram_at(ram, bio);

	for (size_t i = 0; i < ram_bytes(ram, bio); i++) {
		uint8_t byte;

		ram_data(bio, i, 1, &byte, true);
		if (byte == disk[i])
			continue;
		bio->miscompare_bytes = (uint32_t)i;
		return -EILSEQ;
	}
	return 0;
}

/* A block becomes durable, unless what is durable is newer. */
static void ram_block_durable(struct ram *ram, uint64_t block, const uint8_t *bytes,
			      uint32_t version)
{
	size_t size = ram->bdev.block_size;

	if (version < ram->stable_version[block])
		return;
	ram->stable_version[block] = version;
	memcpy(ram->stable + block * size, bytes + block * size, size);
}

static void ram_written(struct ram *ram, const struct bio *bio)
{
	for (uint64_t b = bio->lba; b < bio->lba + bio->blocks; b++) {
		ram->version[b]++;
		if (bio->flags & BIO_FUA)
			ram_block_durable(ram, b, ram->mem, ram->version[b]);
	}
}

/* The bytes and their versions, as they are now. */
static uint8_t *ram_snapshot(struct ram *ram, struct mem *mem)
{
	size_t bytes = ram->bdev.blocks * ram->bdev.block_size;
	size_t versions = ram->bdev.blocks * sizeof(*ram->version);
	uint8_t *snapshot = mem_alloc(mem, bytes + versions);

	if (snapshot) {
		memcpy(snapshot, ram->mem, bytes);
		memcpy(snapshot + bytes, ram->version, versions);
	}
	return snapshot;
}

static void ram_flush(struct ram *ram, const uint8_t *snapshot)
{
	const uint32_t *version =
		(const void *)(snapshot + ram->bdev.blocks * ram->bdev.block_size);

	for (uint64_t b = 0; b < ram->bdev.blocks; b++)
		ram_block_durable(ram, b, snapshot, version[b]);
}

static int ram_do(struct ram *ram, struct ram_req *req)
{
	struct bio *bio = req->bio;
	size_t bytes = ram_bytes(ram, bio);
	int r = 0;

	switch ((enum bio_op)bio->op) {
	case BIO_READ:
		ram_data(bio, 0, bytes, ram_at(ram, bio), false);
		return 0;
	case BIO_FLUSH:
		ram_flush(ram, req->snapshot);
		return 0;
	case BIO_COMPARE:
		return ram_compare(ram, bio);
	case BIO_COMPARE_WRITE:
		r = ram_compare(ram, bio);
		if (r == 0)
			ram_data(bio, bytes, bytes, ram_at(ram, bio), true);
		break;
	case BIO_WRITE:
		ram_data(bio, 0, bytes, ram_at(ram, bio), true);
		break;
	case BIO_UNMAP:
		if (ram->bdev.unmap_zeroes)
			memset(ram_at(ram, bio), 0, bytes);
		break;
	case BIO_ZEROES:
		memset(ram_at(ram, bio), 0, bytes);
		break;
	default:
		return 0;
	}
	if (r == 0)
		ram_written(ram, bio);
	return r;
}

/* ---- DR2 -------------------------------------------------------------- */

static void ram_check_data(const struct bdev *bdev, const struct bio *bio)
{
	const struct bdev_limits *lim = &bdev->limits;
	uint64_t halves = bio->op == BIO_COMPARE_WRITE ? 2 : 1, bytes = 0;
	uint64_t base_mask = lim->buf_align ? lim->buf_align - 1 : 0;

	must(!lim->max_blocks || bio->blocks <= lim->max_blocks);
	must(!lim->boundary_blocks || bio->lba / lim->boundary_blocks ==
					      (bio->lba + bio->blocks - 1) / lim->boundary_blocks);
	must(bio->iov_count && bio->iov_count <= (lim->iov_max ? lim->iov_max : BIO_IOV_MAX));
	for (uint32_t i = 0; i < bio->iov_count; i++) {
		must(!((uintptr_t)bio->iov[i].iov_base & base_mask));
		must(!(bio->iov[i].iov_len & base_mask & (bdev->block_size - 1)));
		must(bio->iov[i].iov_len);
		bytes += bio->iov[i].iov_len;
	}
	must(bytes == bio->blocks * halves * bdev->block_size);
}

static void ram_check(struct ram *ram, const struct bio *bio)
{
	const struct bdev *bdev = &ram->bdev;
	const struct bdev_limits *lim = &bdev->limits;

	must(lim->ops >> bio->op & 1);
	must(!(bio->flags & BIO_FUA) || !(lim->no_fua >> bio->op & 1));
	must(!lim->queue_depth || ram->chans > 1 || ram->inflight <= lim->queue_depth ||
	     bio->op == BIO_RESET);
	if (bio->op == BIO_FLUSH || bio->op == BIO_RESET)
		return;
	must(!bio_op_writes((enum bio_op)bio->op) || !bdev->read_only);
	must(bio->blocks && bio->lba + bio->blocks <= bdev->blocks);
	if (bio_op_writes((enum bio_op)bio->op) && lim->write_unit_blocks)
		must(((bio->lba | bio->blocks) & (lim->write_unit_blocks - 1)) == 0);
	if (bio_op_has_data((enum bio_op)bio->op))
		ram_check_data(bdev, bio);
	else
		must(!lim->max_zeroes_blocks || bio->blocks <= lim->max_zeroes_blocks);
}

/* ---- ends ------------------------------------------------------------- */

static struct ram *ram_of(const struct bio *bio)
{
	return container_of(bio->chan->bdev, struct ram, bdev);
}

static void ram_end(struct ram_req *req)
{
	struct ram *ram = ram_of(req->bio);
	int status = req->status;

	ram->inflight--;
	if (status == 0)
		status = ram_do(ram, req);
	mem_free(req->snapshot);
	bio_complete(req->bio, status);
}

static void ram_timer(struct timer *timer)
{
	ram_end(container_of(timer, struct ram_req, timer));
}

static void ram_task(struct task *task)
{
	ram_end(container_of(task, struct ram_req, task));
}

unsigned ram_release(struct ram *ram, int status)
{
	struct list batch;
	struct ram_req *req;
	unsigned count = 0;

	list_init(&batch);
	list_splice_tail(&batch, &ram->held);
	while ((req = list_pop_front(&batch, struct ram_req, link))) {
		count++;
		if (status < 0)
			req->status = status;
		ram_end(req);
	}
	return count;
}

static void ram_submit(struct bio *bio)
{
	struct ram *ram = ram_of(bio);
	struct ram_req *req = bio_scratch(bio);
	enum ram_mode mode = ram->mode;

	*req = (struct ram_req){ .bio = bio };
	ram->submits++;
	ram->seen[bio->op]++;
	ram->seen_fua += !!(bio->flags & BIO_FUA);
	ram->token = bio->token;
	ram->inflight++;
	if (ram->inflight > ram->inflight_max)
		ram->inflight_max = ram->inflight;
	ram_check(ram, bio);
	if (ram->submits == ram->fail_at || (ram->fail_op >> bio->op & 1))
		req->status = -EIO;
	if (bio->op == BIO_FLUSH) {
		req->snapshot = ram_snapshot(ram, reactor_io(bio->chan->reactor)->mem);
		if (!req->snapshot)
			req->status = -EIO;
	}
	if (mode == RAM_MIXED)
		mode = prng_below(&ram->prng, 2) ? RAM_NOW : RAM_LATER;
	if (mode == RAM_NOW) {
		ram_end(req);
	} else if (mode == RAM_NEXT) {
		task_init(&req->task, ram_task);
		reactor_post(bio->chan->reactor, &req->task);
	} else if (mode == RAM_HOLD) {
		if (bio->op == BIO_RESET) {
			ram_release(ram, -ECANCELED);
			ram_end(req);
		} else {
			list_add_tail(&ram->held, &req->link);
		}
	} else {
		timer_start(bio->chan->reactor, &req->timer, prng_below(&ram->prng, 20000),
			    ram_timer);
	}
}

/* ---- open ------------------------------------------------------------- */

static int ram_chan_open(struct fiber *f, struct bdev_chan *chan)
{
	struct ram *ram = container_of(chan->bdev, struct ram, bdev);
	struct ram_chan *priv = bdev_chan_priv(chan);

	if (ram->chan_error)
		return fiber_fail(f, ram->chan_error, "ram: no channel today");
	must(((uintptr_t)priv & 15) == 0 && !priv->ram);
	priv->ram = ram;
	ram->chans++;
	return 0;
}

static void ram_chan_close(struct fiber *f, struct bdev_chan *chan)
{
	(void)f;
	container_of(chan->bdev, struct ram, bdev)->chans--;
}

static void ram_close(struct fiber *f, struct bdev *bdev)
{
	struct ram *ram = container_of(bdev, struct ram, bdev);

	if (ram->child)
		bdev_close(f, ram->child);
	mem_free(ram->mem);
	mem_free(ram->stable);
	mem_free(ram->version);
	mem_free(ram->stable_version);
	mem_free(ram);
}

static int ram_u64(struct fiber *f, const struct uri *uri, const char *name, uint64_t dflt,
		   uint64_t *ret)
{
	return uri_get_u64(uri, name, 0, UINT64_MAX, dflt, ret, fiber_err(f));
}

static int ram_limits(struct fiber *f, const struct uri *uri, struct bdev *bdev)
{
	uint64_t iov, align, depth, unit, ops, no_fua;
	struct bdev_limits lim = { 0 };

	TRY(ram_u64(f, uri, "max", 0, &lim.max_blocks));
	TRY(ram_u64(f, uri, "maxz", 0, &lim.max_zeroes_blocks));
	TRY(ram_u64(f, uri, "boundary", 0, &lim.boundary_blocks));
	TRY(ram_u64(f, uri, "iov", 0, &iov));
	TRY(ram_u64(f, uri, "align", 0, &align));
	TRY(ram_u64(f, uri, "depth", 0, &depth));
	TRY(ram_u64(f, uri, "unit", 0, &unit));
	TRY(ram_u64(f, uri, "ops", 0, &ops));
	TRY(ram_u64(f, uri, "nofua", 0, &no_fua));
	lim.iov_max = (uint32_t)iov;
	lim.buf_align = (uint32_t)align;
	lim.queue_depth = (uint32_t)depth;
	lim.write_unit_blocks = (uint32_t)unit;
	lim.ops = (uint32_t)ops;
	lim.no_fua = (uint32_t)no_fua;
	bdev_set_limits(bdev, &lim);
	return 0;
}

static int ram_params(struct fiber *f, const struct uri *uri, struct ram *ram)
{
	uint64_t bs, mode, seed, sleep_ns;
	const char *name;

	TRY(uri_get_str(uri, "name", "", &name, fiber_err(f)));
	strncpy(ram->bdev.name, name, sizeof(ram->bdev.name) - 1);
	TRY(ram_u64(f, uri, "blocks", 256, &ram->bdev.blocks));
	TRY(ram_u64(f, uri, "bs", 512, &bs));
	TRY(ram_u64(f, uri, "mode", RAM_NOW, &mode));
	TRY(ram_u64(f, uri, "seed", 1, &seed));
	TRY(ram_u64(f, uri, "sleep", 0, &sleep_ns));
	TRY(uri_get_bool(uri, "vc", false, &ram->bdev.volatile_cache, fiber_err(f)));
	TRY(uri_get_bool(uri, "uz", false, &ram->bdev.unmap_zeroes, fiber_err(f)));
	TRY(uri_get_bool(uri, "ro", false, &ram->bdev.read_only, fiber_err(f)));
	ram->bdev.block_size = (uint32_t)bs;
	ram->mode = (enum ram_mode)mode;
	prng_init(&ram->prng, seed, 0);
	list_init(&ram->held);
	if (sleep_ns)
		TRY(fiber_sleep(f, sleep_ns));
	return ram_limits(f, uri, &ram->bdev);
}

static int ram_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct io *io = fiber_io(f);
	CLEANUP(cleanup_mem) struct ram *ram = mem_new(io, sizeof(*ram));
	CLEANUP(cleanup_mem) uint8_t *mem = NULL;
	CLEANUP(cleanup_mem) uint8_t *stable = NULL;
	CLEANUP(cleanup_mem) uint32_t *version = NULL;
	CLEANUP(cleanup_mem) uint32_t *stable_version = NULL;
	const char *other;

	if (!ram)
		return -ENOMEM;
	TRY(ram_params(f, uri, ram));
	mem = mem_new(io, ram->bdev.blocks * ram->bdev.block_size);
	stable = mem_new(io, ram->bdev.blocks * ram->bdev.block_size);
	version = mem_new(io, ram->bdev.blocks * sizeof(*version));
	stable_version = mem_new(io, ram->bdev.blocks * sizeof(*version));
	if (!mem || !stable || !version || !stable_version)
		return fiber_fail(f, -ENOMEM, "ram: no memory");
	if (uri_child(uri, "on"))
		TRY(bdev_open_uri(f, uri_child(uri, "on"), &ram->child));
	else if (uri_str(uri, "over", &other) == 0)
		TRY(bdev_open(f, other, &ram->child));
	else if (uri_str(uri, "find", &other) == 0)
		TRY(bdev_find(f, other, &ram->child));
	if (uri_str(uri, "early", &other) == 0 && strcmp(other, "removed") == 0)
		bdev_removed(&ram->bdev);
	else if (uri_str(uri, "early", &other) == 0)
		bdev_resized(f, &ram->bdev, ram->bdev.blocks - 1);
	ram->bdev.scratch_bytes = sizeof(struct ram_req);
	ram->mem = steal(mem);
	ram->stable = steal(stable);
	ram->version = steal(version);
	ram->stable_version = steal(stable_version);
	*ret = &steal(ram)->bdev;
	return 0;
}

static int ram_rescan(struct fiber *f, struct bdev *bdev)
{
	bdev_resized(f, bdev, bdev->blocks / 2); /* it only shrinks: its memory is what it is */
	return 0;
}

static const char *const ram_aliases[] = { "memory", "dram", NULL };

static const struct bdev_param ram_param[] = {
	{ "blocks", "" }, { "bs", "" },	   { "max", "" },   { "maxz", "" }, { "boundary", "" },
	{ "iov", "" },	  { "align", "" }, { "depth", "" }, { "unit", "" }, { "ops", "" },
	{ "nofua", "" },  { "vc", "" },	   { "uz", "" },    { "ro", "" },   { "mode", "" },
	{ "seed", "" },	  { "on", "" },	   { "over", "" },  { "find", "" }, { "name", "" },
	{ "sleep", "" },  { "tag*", "" },  { "early", "" }, { "", "" },
};

const struct bdev_driver ram_driver = {
	.scheme = "ram",
	.aliases = ram_aliases,
	.params = ram_param,
	.open = ram_open,
	.close = ram_close,
	.rescan = ram_rescan,
	.chan_bytes = sizeof(struct ram_chan),
	.chan_open = ram_chan_open,
	.chan_close = ram_chan_close,
	.submit = ram_submit,
};
