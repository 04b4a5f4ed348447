// SPDX-License-Identifier: Apache-2.0
/*
 * create - a pool on blank disks: labels, then the first superblock by a normal commit.
 *
 * A crash before that leaves labels without a superblock: import says that the pool was
 * never finished, and creating it again needs force.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/catalog_priv.h"
#include "pool/import_priv.h"
#include "pool/label_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define LOG_HALF_MAX	   (8u << 20)
#define LOG_HALF_SHARE	   64 /* at most this part of the disk */
#define OVERCOMMIT_DEFAULT 200u
#define OVERCOMMIT_MAX	   10000u

static int create_check_args(struct fiber *f, const struct pool_create_args *args)
{
	int r = catalog_check_name(f, "pool", args->name);

	if (r < 0)
		return r;
	r = disk_check_uris(f, args->disks, args->disk_count);
	if (r < 0)
		return r;
	if (args->cluster_bytes &&
	    (args->cluster_bytes < POOL_CLUSTER_MIN || args->cluster_bytes > POOL_CLUSTER_MAX ||
	     !is_pow2_u64(args->cluster_bytes)))
		return fiber_fail(
			f, -EINVAL,
			"pool '%s': a cluster has 16384 to 1048576 bytes, a power of two, not %u",
			args->name, args->cluster_bytes);
	if (args->overcommit_percent > OVERCOMMIT_MAX)
		return fiber_fail(f, -EINVAL, "pool '%s': over-commit is 1 to %u percent, not %u",
				  args->name, OVERCOMMIT_MAX, args->overcommit_percent);
	return 0;
}

static int create_check_disk(struct fiber *f, struct pool *pool, unsigned i, bool force)
{
	struct pool_disk *disk = &pool->disks[i];

	if (disk->bdev->read_only)
		return fiber_fail(f, -EROFS, "disk '%s' is read-only", disk->uri);
	if (disk->size_bytes < POOL_DISK_MIN)
		return fiber_fail(f, -ENOSPC, "disk '%s' has %" PRIu64 " bytes, a pool needs %llu",
				  disk->uri, disk->size_bytes, (unsigned long long)POOL_DISK_MIN);
	return force ? 0 : label_check_blank(f, pool->mem, disk);
}

static void uuid_random(struct fiber *f, struct uuid *ret)
{
	uint8_t bytes[16];

	io_random(fiber_io(f), bytes, sizeof(bytes));
	*ret = uuid_v4(bytes);
}

/* Two halves at the start of disk 0, mirrored at the start of disk 1 if there is one. */
static void create_place_log(struct pool *pool)
{
	struct super *super = &pool->super;
	uint64_t smallest = pool->disks[0].size_bytes;

	if (pool->disks[1].bdev)
		smallest = min_u64(smallest, pool->disks[1].size_bytes);
	super->log_half_clusters = (uint32_t)max_u64(
		1, min_u64(LOG_HALF_MAX, smallest / LOG_HALF_SHARE) >> pool->cluster_shift);
	super->log_disk = 0;
	super->log_mirror = pool->disks[1].bdev ? 1 : SUPER_NO_MIRROR;
	super->log_seq = 1;
}

static void create_super(struct fiber *f, struct pool *pool, const struct pool_create_args *args)
{
	struct super *super = &pool->super;

	super->version_read = POOL_VERSION;
	super->version_write = POOL_VERSION;
	super->config_epoch = 1;
	super->incarnation = 1;
	super->cluster_bytes = args->cluster_bytes ? args->cluster_bytes : POOL_CLUSTER_DEFAULT;
	super->overcommit_percent = args->overcommit_percent ? args->overcommit_percent :
							       OVERCOMMIT_DEFAULT;
	super->next_object = 1;
	super->next_dead = UINT64_C(1) << 62;
	memcpy(super->name, args->name, strlen(args->name) + 1);
	if (args->uuid)
		super->pool = *args->uuid;
	else
		uuid_random(f, &super->pool);
}

static int create_disk(struct fiber *f, struct pool *pool, unsigned i)
{
	struct pool_disk *disk = &pool->disks[i];
	struct super *super = &pool->super;
	struct label label = { .version_read = POOL_VERSION,
			       .version_write = POOL_VERSION,
			       .pool = super->pool,
			       .disk_number = i,
			       .cluster_bytes = super->cluster_bytes,
			       .size_bytes = disk->size_bytes,
			       .wall_ns = io_wall(fiber_io(f)) };

	uuid_random(f, &disk->uuid);
	label.disk = disk->uuid;
	memcpy(label.name, super->name, sizeof(label.name));
	disk->clusters = disk_clusters(disk->size_bytes, super->cluster_bytes);
	super->disks[i] = (struct super_disk){ disk->uuid, disk->clusters, DISK_IN_USE };
	return label_write(f, pool->mem, disk, &label);
}

static int create_fill(struct fiber *f, struct pool *pool, const struct pool_create_args *args)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < args->disk_count; i++)
		r = disk_open(f, args->disks[i], false, &pool->disks[i]);
	for (unsigned i = 0; r == 0 && i < args->disk_count; i++)
		r = create_check_disk(f, pool, i, args->force);
	if (r < 0)
		return r;
	create_super(f, pool, args);
	pool_engine_init(pool, args->cache_bytes);
	for (unsigned i = 0; r == 0 && i < args->disk_count; i++)
		r = create_disk(f, pool, i);
	if (r < 0)
		return r;
	create_place_log(pool);
	space_size(pool);
	return pool_start(f, pool);
}

int pool_create(struct fiber *f, const struct pool_create_args *args, struct pool **ret)
{
	struct pool *pool;
	int r = create_check_args(f, args);

	if (r < 0)
		return r;
	r = pool_new(f, args->name, &pool);
	if (r < 0)
		return r;
	pool->is_shut = true;
	r = create_fill(f, pool, args);
	if (r < 0) {
		pool_close(f, pool);
		return r;
	}
	pool->is_shut = false;
	*ret = pool;
	return 0;
}
