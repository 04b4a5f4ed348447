// SPDX-License-Identifier: Apache-2.0
/*
 * null - a disk that forgets: reads give zeros, writes go nowhere.
 *
 * What is left is the cost of the way to the disk, which is what it is for.
 *
 * NU1. A read fills all its memory: nothing old shines through.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "bdev/status.h"
#include "drivers/null.h"
#include "drivers/shape.h"
#include "reactor/fiber.h"

struct null {
	struct bdev bdev;
};

static void null_submit(struct bio *bio)
{
	if (bio->op == BIO_READ)
		for (uint32_t i = 0; i < bio->iov_count; i++)
			memset(bio->iov[i].iov_base, 0, bio->iov[i].iov_len); /* NU1 */
	bio_complete(bio, 0);
}

static int null_status_get(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
			   struct bdev_extent *ret, unsigned max, unsigned *ret_count)
{
	(void)f;
	(void)chan;
	(void)max; /* at least one */
	ret[0] = (struct bdev_extent){lba, blocks, BDEV_HOLE | BDEV_ZERO};
	*ret_count = 1;
	return 0;
}

static int null_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct null *null = mem_new(fiber_io(f), sizeof(*null));

	if (!null)
		return -ENOMEM;
	TRY(shape_get(f, uri, NULL_SIZE_MAX, &null->bdev));
	null->bdev.driver = &null_driver;
	null->bdev.unmap_zeroes = true;
	null->bdev.can_unmap = true;
	null->bdev.can_zeroes = true;
	bdev_set_limits(&null->bdev, &(struct bdev_limits){
		.ops = 1u << BIO_READ | 1u << BIO_WRITE | 1u << BIO_FLUSH | 1u << BIO_ZEROES |
		       1u << BIO_UNMAP,
	});
	*ret = &steal(null)->bdev;
	return 0;
}

static void null_close(struct fiber *f, struct bdev *bdev)
{
	(void)f;
	mem_free(container_of(bdev, struct null, bdev));
}

static const struct bdev_status_ops null_status = {
	.get = null_status_get,
};

static const struct bdev_param null_params[] = {SHAPE_PARAMS, {0}};

const struct bdev_driver null_driver = {
	.scheme = "null",
	.help = "reads zeros, forgets what is written",
	.params = null_params,
	.open = null_open,
	.close = null_close,
	.submit = null_submit,
	.status = &null_status,
};
