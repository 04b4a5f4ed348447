// SPDX-License-Identifier: Apache-2.0
/*
 * driver - a replica or snapshot as a bdev: pool:///POOL/REPLICA, by name or uuid.
 *
 * Opening, closing and channels only; the way of a bio is rio*.c. What belongs to the pool
 * is done on the pool's home reactor.
 */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/must.h"
#include "base/uri.h"
#include "bdev/bdev_driver.h"
#include "pool/control_priv.h"
#include "pool/import_priv.h"
#include "pool/status_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

struct pool_bdev {
	struct bdev bdev;
	struct replica *rep; /* owned use */
};

struct open_args {
	struct pool *pool;
	const char *name;
	struct replica *rep;
};

static int driver_open_home(struct fiber *f, void *arg)
{
	struct open_args *args = arg;
	int r = replica_find(f, args->pool, args->name, &args->rep);

	if (r == 0)
		rio_open(args->rep);
	return r;
}

static int driver_close_home(struct fiber *f, void *arg)
{
	struct replica *rep = arg;

	rio_close(rep);
	replica_put(rep);
	return 0;
}

/* What the disks are, the replica is. */
static void driver_shape(struct pool_bdev *pb)
{
	const struct replica *rep = pb->rep;
	const struct pool *pool = rep->pool;
	struct bdev *bdev = &pb->bdev;

	bdev->driver = &pool_driver;
	bdev->uuid = rep->rec.uuid;
	bdev->block_size = BDEV_BLOCK_MIN;
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		const struct bdev *disk = pool->disks[i].bdev;

		if (!disk)
			continue;
		bdev->block_size = max_u32(bdev->block_size, disk->block_size);
		bdev->rotational |= disk->rotational;
	}
	bdev->blocks = rep->rec.size_bytes / bdev->block_size;
	bdev->physical_block_size = POOL_BLOCK;
	bdev->optimal_io_blocks = pool->super.cluster_bytes / bdev->block_size;
	bdev->read_only = replica_is_read_only(rep) || pool->state != POOL_ONLINE;
	bdev->unmap_zeroes = bdev->can_unmap = bdev->can_zeroes = true;
	rio_describe(rep->pool, bdev);
}

static int driver_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct open_args args = { .name = uri_segment(uri, 1) };
	struct pool_bdev *pb;
	int r;

	if (uri_segment_count(uri) != 2 || uri_host(uri)[0])
		return fiber_fail(f, -EINVAL, "%s: pool:///POOL/REPLICA is wanted", uri_print(uri));
	args.pool = pool_find(f, uri_segment(uri, 0));
	if (!args.pool)
		return -ENOENT;
	if (args.pool->is_shut)
		return fiber_fail(f, -ENODEV, "%s: the pool is being opened or closed",
				  uri_print(uri));
	pb = mem_new(fiber_io(f), sizeof(*pb));
	if (!pb)
		return fiber_fail(f, -ENOMEM, "%s: no memory", uri_print(uri));
	args.pool->opening++;
	r = fiber_call_on(f, args.pool->home, "pool-open", driver_open_home, &args);
	args.pool->opening--;
	if (r < 0) {
		mem_free(pb);
		return r;
	}
	pb->rep = args.rep;
	driver_shape(pb);
	*ret = &pb->bdev;
	return 0;
}

static void driver_close(struct fiber *f, struct bdev *bdev)
{
	struct pool_bdev *pb = container_of(bdev, struct pool_bdev, bdev);

	(void)fiber_call_on(f, pb->rep->pool->home, "pool-close", driver_close_home, pb->rep);
	mem_free(pb);
}

static int driver_rescan(struct fiber *f, struct bdev *bdev)
{
	const struct pool_bdev *pb = container_of(bdev, struct pool_bdev, bdev);

	bdev_resized(f, bdev, pb->rep->rec.size_bytes / bdev->block_size);
	return 0;
}

static struct replica *driver_replica(struct bdev *bdev)
{
	return container_of(bdev, struct pool_bdev, bdev)->rep;
}

static int driver_chan_open(struct fiber *f, struct bdev_chan *chan)
{
	rio_chan_init(chan, driver_replica(chan->bdev));
	return 0;
}

static void driver_chan_close(struct fiber *f, struct bdev_chan *chan)
{
	(void)f;
	rio_chan_fini(chan);
}

static const struct bdev_param driver_params[] = { { NULL, NULL } };

const struct bdev_driver pool_driver = {
	.scheme = "pool",
	.help = "a replica, clone or snapshot of an imported pool: pool:///POOL/REPLICA",
	.params = driver_params,
	.open = driver_open,
	.close = driver_close,
	.rescan = driver_rescan,
	.chan_bytes = sizeof(struct rio_chan),
	.chan_open = driver_chan_open,
	.chan_close = driver_chan_close,
	.submit = rio_submit,
	.replica = &control_ops,
	.resv = &resv_ops,
	.status = &status_ops,
};
