// SPDX-License-Identifier: Apache-2.0
/*
 * malloc - a disk in memory that costs what is written on it.
 *
 *   root  [ leaf | - | leaf | ... ]	one pointer for 256 MiB of disk
 *   leaf  [ chunk | - | ... ] x 4096	one pointer for 64 KiB
 *   chunk [ 64 KiB of data ]		a missing one reads as zeros
 *
 * The tree belongs to the home reactor, which alone looks into it: a request of another
 * reactor goes there by mail, is done there in one piece, and comes back.
 *
 * MA1. Only the home reactor touches root, leaves and chunks.
 * MA2. A request is done in one go: two that overlap are done one after the other, in
 *      the order in which they reach the home reactor, never mixed.
 * MA3. Zeroed and unmapped whole chunks are given back, and leaves with the last of them.
 * MA4. Out of memory is -ENOSPC; what was written before in the same bio stays (B4).
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "base/uri.h"
#include "bdev/status.h"
#include "drivers/malloc.h"
#include "drivers/shape.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define MALLOC_LEAF_CHUNKS 4096u
#define MALLOC_LEAF_BYTES ((uint64_t)MALLOC_LEAF_CHUNKS * MALLOC_CHUNK_BYTES)
#define MALLOC_ALIGN 64

struct malloc_leaf {
	uint32_t used;
	uint8_t *chunks[MALLOC_LEAF_CHUNKS];	/* owned */
};

struct malloc_disk {
	struct bdev bdev;
	struct mem *mem;		/* borrowed */
	struct reactor *home;		/* borrowed */
	uint64_t leaf_count;
	struct malloc_leaf **root;	/* owned */
};

struct malloc_req {
	struct bio *bio;		/* borrowed until it completes */
	struct mail mail;
	int status;
};

/* A piece of a request that lies within one chunk, or in the hole of a missing leaf. */
struct malloc_span {
	uint64_t chunk;
	uint64_t off; /* in the chunk */
	uint64_t len;
	uint8_t *data; /* of the chunk; NULL: a hole */
};

static struct malloc_span malloc_span_at(const struct malloc_disk *disk, uint64_t off, uint64_t len)
{
	uint64_t chunk = off / MALLOC_CHUNK_BYTES;
	const struct malloc_leaf *leaf = disk->root[chunk / MALLOC_LEAF_CHUNKS];
	uint64_t room_bytes = leaf ? MALLOC_CHUNK_BYTES : MALLOC_LEAF_BYTES;

	return (struct malloc_span){
		.chunk = chunk,
		.off = off % MALLOC_CHUNK_BYTES,
		.len = min_u64(len, room_bytes - off % room_bytes),
		.data = leaf ? leaf->chunks[chunk % MALLOC_LEAF_CHUNKS] : NULL,
	};
}

/* Make the span one of a chunk that exists; false: no memory. */
static bool malloc_fill(struct malloc_disk *disk, struct malloc_span *span)
{
	struct malloc_leaf **leaf = &disk->root[span->chunk / MALLOC_LEAF_CHUNKS];

	if (span->data)
		return true;
	if (!*leaf)
		*leaf = mem_alloc(disk->mem, sizeof(**leaf));
	if (!*leaf)
		return false;
	span->data = mem_alloc_aligned(disk->mem, MALLOC_ALIGN, MALLOC_CHUNK_BYTES);
	span->len = min_u64(span->len, MALLOC_CHUNK_BYTES - span->off);
	(*leaf)->chunks[span->chunk % MALLOC_LEAF_CHUNKS] = span->data;
	(*leaf)->used += span->data != NULL;
	if ((*leaf)->used == 0) {
		mem_free(*leaf);
		*leaf = NULL;
	}
	return span->data;
}

/* MA3. */
static void malloc_drop(struct malloc_disk *disk, struct malloc_span *span)
{
	struct malloc_leaf **leaf = &disk->root[span->chunk / MALLOC_LEAF_CHUNKS];

	mem_free(span->data);
	(*leaf)->chunks[span->chunk % MALLOC_LEAF_CHUNKS] = NULL;
	if (--(*leaf)->used == 0) {
		mem_free(*leaf);
		*leaf = NULL;
	}
}

static void malloc_read(const struct malloc_disk *disk, uint64_t off, uint8_t *to, uint64_t len)
{
	while (len) {
		struct malloc_span span = malloc_span_at(disk, off, len);

		if (span.data)
			memcpy(to, span.data + span.off, span.len);
		else
			memset(to, 0, span.len);
		off += span.len;
		to += span.len;
		len -= span.len;
	}
}

static int malloc_write(struct malloc_disk *disk, uint64_t off, const uint8_t *from, uint64_t len)
{
	while (len) {
		struct malloc_span span = malloc_span_at(disk, off, len);

		if (!malloc_fill(disk, &span))
			return -ENOSPC; /* MA4 */
		memcpy(span.data + span.off, from, span.len);
		off += span.len;
		from += span.len;
		len -= span.len;
	}
	return 0;
}

static int malloc_zero(struct malloc_disk *disk, uint64_t off, uint64_t len, bool keep)
{
	while (len) {
		struct malloc_span span = malloc_span_at(disk, off, len);

		if (keep && !malloc_fill(disk, &span))
			return -ENOSPC;
		if (span.data && !keep && span.len == MALLOC_CHUNK_BYTES)
			malloc_drop(disk, &span); /* MA3 */
		else if (span.data)
			memset(span.data + span.off, 0, span.len);
		off += span.len;
		len -= span.len;
	}
	return 0;
}

/* All of a bio, at once (MA2). */
static int malloc_do(struct malloc_disk *disk, const struct bio *bio)
{
	uint64_t off = bio->lba * disk->bdev.block_size;

	switch ((enum bio_op)bio->op) {
	case BIO_READ:
		for (uint32_t i = 0; i < bio->iov_count; off += bio->iov[i].iov_len, i++)
			malloc_read(disk, off, bio->iov[i].iov_base, bio->iov[i].iov_len);
		return 0;
	case BIO_WRITE:
		for (uint32_t i = 0; i < bio->iov_count; off += bio->iov[i].iov_len, i++)
			TRY(malloc_write(disk, off, bio->iov[i].iov_base, bio->iov[i].iov_len));
		return 0;
	case BIO_ZEROES:
	case BIO_UNMAP:
		return malloc_zero(disk, off, bio->blocks * disk->bdev.block_size,
				   bio->op == BIO_ZEROES && bio->flags & BIO_KEEP);
	case BIO_FLUSH:
		return 0;
	default:
		return -ENOTSUP;
	}
}

static void malloc_mail_back(struct mail *mail, struct reactor *at)
{
	struct malloc_req *req = container_of(mail, struct malloc_req, mail);

	(void)at;
	bio_complete(req->bio, req->status);
}

static void malloc_mail_home(struct mail *mail, struct reactor *at)
{
	struct malloc_req *req = container_of(mail, struct malloc_req, mail);
	struct bdev_chan *chan = req->bio->chan;

	req->status = malloc_do(container_of(chan->bdev, struct malloc_disk, bdev), req->bio);
	mail->run = malloc_mail_back;
	reactor_send(at, chan->reactor, mail);
}

static void malloc_submit(struct bio *bio)
{
	struct malloc_disk *disk = container_of(bio->chan->bdev, struct malloc_disk, bdev);
	struct malloc_req *req = bio_scratch(bio);

	if (bio->chan->reactor == disk->home) {
		bio_complete(bio, malloc_do(disk, bio));
		return;
	}
	req->bio = bio;
	req->mail.run = malloc_mail_home;
	reactor_send(bio->chan->reactor, disk->home, &req->mail); /* MA1 */
}

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
		struct malloc_span span = malloc_span_at(args->disk, off, end - off);
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
	struct malloc_disk *disk = container_of(chan->bdev, struct malloc_disk, bdev);
	struct malloc_status_args args = {disk, lba, blocks, ret, max, ret_count};

	return fiber_call_on(f, disk->home, "malloc-status", malloc_status_home, &args);
}

static void malloc_close(struct fiber *f, struct bdev *bdev)
{
	struct malloc_disk *disk = container_of(bdev, struct malloc_disk, bdev);

	must(fiber_reactor(f) == disk->home); /* MA1 */
	for (uint64_t i = 0; i < disk->leaf_count; i++) {
		struct malloc_leaf *leaf = disk->root[i];

		for (uint32_t j = 0; leaf && j < MALLOC_LEAF_CHUNKS; j++)
			mem_free(leaf->chunks[j]);
		mem_free(leaf);
	}
	mem_free(disk->root);
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
	disk->mem = fiber_io(f)->mem;
	disk->home = fiber_reactor(f);
	disk->leaf_count = div_up_u64(bdev->blocks * bdev->block_size, MALLOC_LEAF_BYTES);
	disk->root = mem_alloc_array(disk->mem, disk->leaf_count, sizeof(struct malloc_leaf *));
	if (!disk->root)
		return -ENOMEM;
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
	.submit = malloc_submit,
	.status = &malloc_status,
};
