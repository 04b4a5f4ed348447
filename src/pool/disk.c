// SPDX-License-Identifier: Apache-2.0
/*
 * disk - the disks of a pool: opening, pages in and out, flushes. See disk_priv.h.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

#define DISK_RUN_PAGES	64u /* pages of one write */
#define DISK_WRITES_MAX 32u /* writes in flight during a commit */

int disk_check_uris(struct fiber *f, const char *const *uris, unsigned count)
{
	if (count == 0 || count > POOL_DISKS_MAX)
		return fiber_fail(f, -EINVAL, "1 to %u disks are wanted, not %u", POOL_DISKS_MAX,
				  count);
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			if (strcmp(uris[i], uris[j]) == 0)
				return fiber_fail(f, -EINVAL, "disk '%s' is named twice", uris[i]);
	return 0;
}

int disk_open(struct fiber *f, const char *uri, bool look_only, struct pool_disk *ret)
{
	struct pool_disk disk = { .unflushed = true }; /* by whoever had it before us */
	int r = bdev_open(f, uri, &disk.bdev);

	if (r < 0)
		return r;
	if (disk.bdev->block_size > POOL_PAGE) {
		r = fiber_fail(f, -EINVAL, "disk '%s': block size %u, a pool needs 512 to 4096",
			       uri, disk.bdev->block_size);
		goto fail;
	}
	disk.block_shift = (uint32_t)__builtin_ctz(disk.bdev->block_size);
	disk.size_bytes = disk.bdev->blocks << disk.block_shift;
	disk.uri = mem_strdup(fiber_io(f)->mem, uri);
	if (!disk.uri) {
		r = fiber_fail(f, -ENOMEM, "disk '%s': no memory", uri);
		goto fail;
	}
	if (!look_only) {
		/* The claim is linked into the bdev: it must stand where it stays. */
		*ret = disk;
		r = bdev_claim(f, disk.bdev, BDEV_CLAIM_WRITE, "pool", &ret->claim);
		if (r < 0)
			goto fail;
		ret->claimed = true;
	} else {
		*ret = disk;
	}
	r = bdev_chan_open(f, ret->bdev, &ret->chan);
	if (r == 0)
		return 0;
	disk_close(f, ret);
	return r;
fail:
	mem_free(disk.uri);
	bdev_close(f, disk.bdev);
	*ret = (struct pool_disk){ 0 };
	return r;
}

void disk_close(struct fiber *f, struct pool_disk *disk)
{
	if (!disk->bdev)
		return;
	if (disk->chan)
		bdev_chan_close(f, disk->chan);
	if (disk->claimed)
		bdev_unclaim(f, &disk->claim);
	bdev_close(f, disk->bdev);
	mem_free(disk->uri);
	*disk = (struct pool_disk){ 0 };
}

int disk_read(struct fiber *f, struct pool_disk *disk, uint64_t offset, void *buf, size_t len)
{
	return bdev_read(f, disk->chan, offset >> disk->block_shift, len >> disk->block_shift, buf);
}

int disk_write(struct fiber *f, struct pool_disk *disk, uint64_t offset, const void *buf,
	       size_t len, uint16_t flags)
{
	int r = bdev_write(f, disk->chan, offset >> disk->block_shift, len >> disk->block_shift, buf,
			   flags);

	if (!(flags & BIO_FUA))
		disk->unflushed = true; /* a flush begun before now does not cover it */
	return r;
}

uint64_t disk_offset_of_cluster(const struct pool *pool, uint64_t cluster)
{
	return POOL_DATA_START + (cluster_index(cluster) << pool->cluster_shift);
}

uint64_t disk_offset_of_page(const struct pool *pool, uint64_t name)
{
	return disk_offset_of_cluster(pool, page_cluster(name)) +
	       (uint64_t)page_place(name) * POOL_PAGE;
}

static bool log_has(const struct pool *pool, unsigned disk, uint64_t first, uint64_t cluster)
{
	return cluster_disk(cluster) == disk && cluster_index(cluster) >= first &&
	       cluster_index(cluster) - first < 2ull * pool->super.log_half_clusters;
}

bool disk_has_cluster(const struct pool *pool, uint64_t cluster)
{
	const struct super *super = &pool->super;
	uint64_t disk = cluster >> POOL_DISK_SHIFT;

	return disk < POOL_DISKS_MAX && cluster_index(cluster) < pool->disks[disk].clusters &&
	       !log_has(pool, super->log_disk, super->log_first, cluster) &&
	       !log_has(pool, super->log_mirror, super->log_mirror_first, cluster);
}

int disk_read_page(struct fiber *f, struct pool *pool, uint64_t name, uint8_t *bytes)
{
	struct pool_disk *disk = &pool->disks[cluster_disk(page_cluster(name))];

	pool->stats.pages_read++;
	return disk_read(f, disk, disk_offset_of_page(pool, name), bytes, POOL_PAGE);
}

/* ---- many pages, side by side --------------------------------------------------------------- */

struct batch {
	struct event idle; /* fewer than DISK_WRITES_MAX are in flight, or all have ended */
	unsigned inflight, wake_at;
	int status; /* first error */
};

struct batch_write {
	struct batch *batch;
	struct pool_disk *flushes; /* NULL: it is a write */
	struct pool_disk *wrote;   /* NULL: it is a flush */
	struct iovec iov[DISK_RUN_PAGES];
	struct bio bio; /* last: room of the drivers follows */
};

static void batch_begin(struct batch *batch)
{
	*batch = (struct batch){ 0 };
	event_init(&batch->idle);
}

static void batch_write_done(struct bio *bio)
{
	struct batch_write *write = container_of(bio, struct batch_write, bio);
	struct batch *batch = write->batch;

	if (bio->status < 0 && batch->status == 0)
		batch->status = bio->status;
	if (write->flushes)
		write->flushes->flushing--;
	if (write->wrote)
		write->wrote->unflushed = true; /* a flush begun before now does not cover it */
	mem_free(write);
	if (--batch->inflight <= batch->wake_at)
		event_set(&batch->idle);
}

static void batch_wait(struct fiber *f, struct batch *batch, unsigned until)
{
	batch->wake_at = until;
	while (batch->inflight > until) {
		event_clear(&batch->idle);
		event_wait_always(f, &batch->idle);
	}
}

static struct batch_write *batch_write_new(struct batch *batch, struct pool *pool,
					   struct pool_disk *disk)
{
	struct batch_write *write =
		mem_alloc(pool->mem, sizeof(*write) - sizeof(struct bio) + bio_size(disk->bdev));

	if (!write) {
		batch->status = -ENOMEM;
		return NULL;
	}
	write->batch = batch;
	batch->inflight++;
	return write;
}

/* How many of these pages are neighbours on the disk, in one cluster. */
static size_t run_length(struct page *const *pages, size_t count)
{
	size_t n = 1;

	while (n < count && n < DISK_RUN_PAGES && pages[n]->name == pages[0]->name + n &&
	       page_cluster(pages[n]->name) == page_cluster(pages[0]->name))
		n++;
	return n;
}

static void run_submit(struct batch *batch, struct pool *pool, struct page *const *pages, size_t n)
{
	struct pool_disk *disk = &pool->disks[cluster_disk(page_cluster(pages[0]->name))];
	struct batch_write *write = batch_write_new(batch, pool, disk);

	if (!write)
		return;
	for (size_t i = 0; i < n; i++)
		write->iov[i] = (struct iovec){ pages[i]->bytes, POOL_PAGE };
	bio_prep(&write->bio, disk->chan, BIO_WRITE,
		 disk_offset_of_page(pool, pages[0]->name) >> disk->block_shift,
		 (n * POOL_PAGE) >> disk->block_shift, write->iov, (uint32_t)n, batch_write_done);
	write->wrote = disk;
	bio_submit(&write->bio);
}

int disk_write_pages(struct fiber *f, struct pool *pool, struct page *const *pages, size_t count)
{
	struct batch batch;

	batch_begin(&batch);
	for (size_t i = 0, n; i < count && batch.status == 0; i += n) {
		n = run_length(pages + i, count - i);
		batch_wait(f, &batch, DISK_WRITES_MAX - 1);
		run_submit(&batch, pool, pages + i, n);
	}
	batch_wait(f, &batch, 0);
	if (batch.status < 0)
		return fiber_fail(f, batch.status, "pool '%s': writing metadata failed: %s",
				  pool->super.name, err_name(batch.status));
	return 0;
}

int disk_write_rings(struct fiber *f, struct pool *pool, bool tail, uint64_t txg, uint8_t *pages)
{
	struct batch batch;
	unsigned n = 0;

	batch_begin(&batch);
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		struct pool_disk *disk = &pool->disks[i];
		struct batch_write *write;

		if (!disk->bdev)
			continue;
		write = batch_write_new(&batch, pool, disk);
		if (!write)
			break;
		write->iov[0] = (struct iovec){ pages + (size_t)n++ * POOL_PAGE, POOL_PAGE };
		bio_prep(&write->bio, disk->chan, BIO_WRITE,
			 disk_ring(disk->size_bytes, tail, txg) >> disk->block_shift,
			 POOL_PAGE >> disk->block_shift, write->iov, 1, batch_write_done);
		write->bio.flags = BIO_FUA;
		disk->unflushed = true;
		bio_submit(&write->bio);
	}
	batch_wait(f, &batch, 0);
	if (batch.status < 0)
		return fiber_fail(f, batch.status, "pool '%s': writing a superblock failed: %s",
				  pool->super.name, err_name(batch.status));
	return 0;
}

int disk_flush_all(struct fiber *f, struct pool *pool)
{
	struct batch batch;

	batch_begin(&batch);
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		struct pool_disk *disk = &pool->disks[i];
		struct batch_write *flush;

		if (!disk->bdev || !disk->bdev->volatile_cache)
			continue;
		if (!disk->unflushed && !disk->flushing)
			continue;
		flush = batch_write_new(&batch, pool, disk);
		if (!flush)
			break;
		disk->unflushed = false;
		disk->flushing++;
		flush->flushes = disk;
		pool->stats.disk_flushes++;
		bio_prep(&flush->bio, disk->chan, BIO_FLUSH, 0, 0, NULL, 0, batch_write_done);
		bio_submit(&flush->bio);
	}
	batch_wait(f, &batch, 0);
	if (batch.status < 0)
		return fiber_fail(f, batch.status, "pool '%s': a flush failed: %s",
				  pool->super.name, err_name(batch.status));
	return 0;
}
