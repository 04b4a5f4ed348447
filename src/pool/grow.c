// SPDX-License-Identifier: Apache-2.0
/*
 * grow - more space: a disk that became larger, or one more disk.
 *
 * Both are an operation of the commit. Labels are written before its superblock: a crash in
 * between leaves the old pool, with a label that knows a larger end than is used.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/catalog_priv.h"
#include "pool/label_priv.h"
#include "reactor/fiber.h"

static int nothing_to_check(struct fiber *f, struct pool *pool, void *arg)
{
	return 0;
}

/* ---- disks that grew ----------------------------------------------------------------------- */

static int disk_grow(struct fiber *f, struct pool *pool, unsigned i, bool *ret_grew)
{
	struct pool_disk *disk = &pool->disks[i];
	uint64_t size = disk->bdev->blocks << disk->block_shift;
	uint64_t clusters = disk_clusters(size, pool->super.cluster_bytes);
	int r;

	if (clusters <= disk->clusters)
		return 0;
	r = label_grow(f, pool->mem, disk, size);
	if (r < 0)
		return r;
	disk->size_bytes = size;
	disk->clusters = clusters;
	pool->super.disks[i].clusters = clusters;
	*ret_grew = true;
	return 0;
}

static int grow_run(struct fiber *f, struct pool *pool, void *arg)
{
	bool *grew = arg;

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		int r = pool->disks[i].bdev ? disk_grow(f, pool, i, grew) : 0;

		if (r < 0)
			return r;
	}
	if (*grew) {
		pool->super.config_epoch++;
		space_size(pool);
	}
	return 0;
}

int pool_grow(struct fiber *f, struct pool *pool)
{
	bool grew = false;
	struct commit_op op = { .check = nothing_to_check, .run = grow_run, .arg = &grew };

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		int r = pool->disks[i].bdev ? bdev_rescan(f, pool->disks[i].bdev) : 0;

		if (r < 0)
			return r;
	}
	return commit_op(f, pool, &op);
}

/* ---- one more disk ----------------------------------------------------------------------------- */

struct add {
	const char *uri;
	bool force;
	unsigned number;
};

static int add_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct add *add = arg;
	struct pool_disk *disk;
	int r;

	for (add->number = 0; add->number < POOL_DISKS_MAX; add->number++)
		if (!pool->disks[add->number].bdev)
			break;
	if (add->number == POOL_DISKS_MAX)
		return fiber_fail(f, -ENOSPC, "pool '%s' has %u disks, the most there can be",
				  pool->super.name, POOL_DISKS_MAX);
	disk = &pool->disks[add->number];
	r = disk_open(f, add->uri, false, disk);
	if (r < 0)
		return r;
	if (disk->bdev->read_only)
		r = fiber_fail(f, -EROFS, "disk '%s' is read-only", add->uri);
	else if (disk->size_bytes < POOL_DISK_MIN)
		r = fiber_fail(f, -ENOSPC, "disk '%s' has %" PRIu64 " bytes, a pool needs %llu",
			       add->uri, disk->size_bytes, (unsigned long long)POOL_DISK_MIN);
	else if (!add->force)
		r = label_check_blank(f, pool->mem, disk);
	if (r == 0)
		r = rio_check_disk(f, pool, disk);
	if (r < 0)
		disk_close(f, disk);
	return r;
}

/* A pool of one disk gets a mirror for its log, at the start of the new one. */
static void add_mirror(struct pool *pool, unsigned number)
{
	struct super *super = &pool->super;

	if (super->log_mirror != SUPER_NO_MIRROR ||
	    pool->disks[number].clusters < 4ull * super->log_half_clusters)
		return;
	super->log_mirror = (uint8_t)number;
	super->log_mirror_first = 0;
}

static int add_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct add *add = arg;
	struct pool_disk *disk = &pool->disks[add->number];
	struct label label = { .version_read = POOL_VERSION,
			       .version_write = POOL_VERSION,
			       .pool = pool->super.pool,
			       .disk_number = add->number,
			       .cluster_bytes = pool->super.cluster_bytes,
			       .size_bytes = disk->size_bytes,
			       .wall_ns = io_wall(fiber_io(f)) };
	uint8_t bytes[16];
	int r;

	io_random(fiber_io(f), bytes, sizeof(bytes));
	disk->uuid = uuid_v4(bytes);
	label.disk = disk->uuid;
	memcpy(label.name, pool->super.name, sizeof(label.name));
	r = label_write(f, pool->mem, disk, &label);
	if (r < 0)
		return r;
	disk->clusters = disk_clusters(disk->size_bytes, pool->super.cluster_bytes);
	pool->super.disks[add->number] =
		(struct super_disk){ disk->uuid, disk->clusters, DISK_IN_USE };
	pool->super.config_epoch++;
	add_mirror(pool, add->number);
	space_size(pool);
	return 0;
}

int pool_add_disk(struct fiber *f, struct pool *pool, const char *uri, bool force)
{
	struct add add = { .uri = uri, .force = force };
	struct commit_op op = { .check = add_check, .run = add_run, .arg = &add };

	return commit_op(f, pool, &op);
}
