// SPDX-License-Identifier: Apache-2.0
/* sly - a disk with a planted bug. Never part of the product. */
#include "sly.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/uri.h"
#include "drivers/below.h"
#include "reactor/fiber.h"

struct sly {
	struct bdev bdev;
	struct below below;
	bool own_flush, no_fua;
};

struct sly_chan {
	struct below_chan below; /* first */
	bool written;		 /* since the last flush */
};

struct sly_req {
	struct bio *parent;
	struct bio child; /* last */
};

static void sly_child_done(struct bio *child)
{
	struct sly_req *req = container_of(child, struct sly_req, child);

	below_complete(req->parent, child);
}

static void sly_submit(struct bio *bio)
{
	struct sly *sly = container_of(bio->chan->bdev, struct sly, bdev);
	struct sly_chan *chan = bdev_chan_priv(bio->chan);
	struct sly_req *req = bio_scratch(bio);

	chan->written |= bio_op_writes(bio->op);
	if (bio->op == BIO_FLUSH && sly->own_flush && !chan->written) {
		bio_complete(bio, 0);
		return;
	}
	if (bio->op == BIO_FLUSH)
		chan->written = false;
	req->parent = bio;
	bio_clone(&req->child, bio, chan->below.chan, sly_child_done);
	if (sly->no_fua)
		req->child.flags &= (uint16_t)~BIO_FUA;
	bio_submit(&req->child);
}

static int sly_chan_open(struct fiber *f, struct bdev_chan *chan)
{
	return below_chan_open(f, chan, &container_of(chan->bdev, struct sly, bdev)->below);
}

static uint64_t sly_blocks(const struct bdev *bdev)
{
	return container_of(bdev, const struct sly, bdev)->below.bdev->blocks;
}

static void sly_close(struct fiber *f, struct bdev *bdev)
{
	struct sly *sly = container_of(bdev, struct sly, bdev);

	below_close(f, &sly->below);
	mem_free(sly);
}

static int sly_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct sly *sly = mem_new(fiber_io(f), sizeof(*sly));
	const struct uri *on;
	const char *plant;

	if (!sly)
		return -ENOMEM;
	TRY(uri_get_str(uri, "plant", "", &plant, fiber_err(f)));
	sly->own_flush = strcmp(plant, "own-flush") == 0;
	sly->no_fua = strcmp(plant, "no-fua") == 0;
	TRY(uri_get_child(uri, "on", &on, fiber_err(f)));
	TRY(below_open(f, uri, on, &sly->bdev, sly_blocks, &sly->below));
	below_inherit(&sly->below, sizeof(struct sly_req));
	sly->bdev.driver = &sly_driver;
	sly->bdev.blocks = sly->below.bdev->blocks;
	bdev_set_limits(&sly->bdev, &(struct bdev_limits){ .ops = below_ops(&sly->bdev) });
	*ret = &steal(sly)->bdev;
	return 0;
}

static const struct bdev_param sly_params[] = {
	{ "plant", "the bug" },
	{ "on", "URI of the disk below" },
	{ 0 },
};

const struct bdev_driver sly_driver = {
	.scheme = "sly",
	.help = "a disk with a planted bug",
	.params = sly_params,
	.open = sly_open,
	.close = sly_close,
	.chan_bytes = sizeof(struct sly_chan),
	.chan_open = sly_chan_open,
	.chan_close = below_chan_close,
	.submit = sly_submit,
	.status = &below_status_ops,
};
