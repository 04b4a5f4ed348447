// SPDX-License-Identifier: Apache-2.0
/*
 * delay - make a slow disk out of a fast one, for the simulator and for tests.
 *
 *   submit --> HELD (timer runs) --> SENT (child bio in flight) --> complete
 *                |
 *                +-- RESET --> complete with -ECANCELED
 *
 * D1. A parent bio completes exactly once, with its child bio's status.
 * D2. The child outlives every bio: the layer closes all channels before close().
 * D3. A bio is on its channel's held list exactly while its timer runs.
 *
 * Nothing is allocated per request. A bio is born with room behind it for the
 * whole stack of drivers below (bdev.scratch_bytes); we use the first part.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/prng.h"
#include "base/uri.h"
#include "drivers/below.h"
#include "drivers/delay.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"

struct delay {
	struct bdev bdev;		/* what we offer */
	struct below below;
	uint64_t hold_ns, jitter_ns;
};

struct delay_chan {
	struct below_chan below;
	struct list held;		/* bios by their link (D3) */
	struct prng prng;
};

struct delay_req {
	struct bio *parent;		/* borrowed until it completes */
	struct timer timer;
	struct bio child;		/* last: its own scratch follows it */
};

/* SENT -> complete (D1). */
static void delay_child_done(struct bio *child)
{
	struct delay_req *req = container_of(child, struct delay_req, child);

	below_complete(req->parent, child);
}

static void delay_send(struct delay_req *req)
{
	struct delay_chan *chan = bdev_chan_priv(req->parent->chan);

	bio_clone(&req->child, req->parent, chan->below.chan, delay_child_done);
	bio_submit(&req->child);
}

/* HELD -> SENT. */
static void delay_timer_fired(struct timer *timer)
{
	struct delay_req *req = container_of(timer, struct delay_req, timer);

	list_del(&req->parent->link); /* D3 */
	delay_send(req);
}

static void delay_reset(struct delay_chan *chan)
{
	struct bio *bio;

	while ((bio = list_pop_front(&chan->held, struct bio, link))) {
		struct delay_req *req = bio_scratch(bio);

		timer_stop(&req->timer); /* D3 */
		bio_complete(bio, -ECANCELED);
	}
}

/* Hot path: no fiber in the signature, so it cannot suspend. */
static void delay_submit(struct bio *bio)
{
	struct delay *delay = container_of(bio->chan->bdev, struct delay, bdev);
	struct delay_chan *chan = bdev_chan_priv(bio->chan);
	struct delay_req *req = bio_scratch(bio);
	uint64_t hold_ns = delay->hold_ns;

	req->parent = bio;
	if (bio->op == BIO_RESET) {
		delay_reset(chan);
		delay_send(req);
		return;
	}
	if (delay->jitter_ns)
		hold_ns += prng_below(&chan->prng, delay->jitter_ns + 1);
	list_link_init(&bio->link);
	list_add_tail(&chan->held, &bio->link);
	timer_start(bio->chan->reactor, &req->timer, hold_ns, delay_timer_fired);
}

static int delay_chan_open(struct fiber *f, struct bdev_chan *base)
{
	struct delay *delay = container_of(base->bdev, struct delay, bdev);
	struct delay_chan *chan = bdev_chan_priv(base);
	uint64_t seed;

	io_random(fiber_io(f), &seed, sizeof(seed));
	prng_init(&chan->prng, seed, 0);
	list_init(&chan->held);
	return below_chan_open(f, base, &delay->below);
}

static uint64_t delay_blocks(const struct bdev *bdev)
{
	return container_of(bdev, const struct delay, bdev)->below.bdev->blocks;
}

static int delay_rescan(struct fiber *f, struct bdev *bdev)
{
	return below_rescan(f, &container_of(bdev, struct delay, bdev)->below);
}

static void delay_close(struct fiber *f, struct bdev *bdev)
{
	struct delay *delay = container_of(bdev, struct delay, bdev);

	below_close(f, &delay->below);
	mem_free(delay);
}

/* Slow path: takes a fiber, so it may suspend, and the fiber carries the reason of a failure. */
static int delay_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct delay *delay = mem_new(fiber_io(f), sizeof(*delay));
	const struct uri *on;

	if (!delay)
		return -ENOMEM;
	TRY(uri_get_u64(uri, "ns", 0, DELAY_NS_MAX, 0, &delay->hold_ns, fiber_err(f)));
	TRY(uri_get_u64(uri, "jitter_ns", 0, DELAY_NS_MAX, 0, &delay->jitter_ns, fiber_err(f)));
	TRY(uri_get_child(uri, "on", &on, fiber_err(f)));
	TRY(below_open(f, uri, on, &delay->bdev, delay_blocks, &delay->below));
	below_inherit(&delay->below, sizeof(struct delay_req));
	delay->bdev.driver = &delay_driver;
	delay->bdev.uuid = delay->below.bdev->uuid;
	delay->bdev.blocks = delay->below.bdev->blocks;
	bdev_set_limits(&delay->bdev, &(struct bdev_limits){.ops = below_ops(&delay->bdev)});
	*ret = &steal(delay)->bdev;	/* ownership moves to the caller; freed in delay_close */
	return 0;
}

static const struct bdev_param delay_params[] = {
	{"ns", "how long a request is held, in ns: 0..60000000000; default 0"},
	{"jitter_ns", "up to this much longer, by chance; default 0"},
	{"on", "URI of the disk below; the last parameter"},
	{0},
};

const struct bdev_driver delay_driver = {
	.scheme = "delay",
	.help = "holds every request for a while",
	.params = delay_params,
	.open = delay_open,
	.close = delay_close,
	.rescan = delay_rescan,
	.chan_bytes = sizeof(struct delay_chan),
	.chan_open = delay_chan_open,
	.chan_close = below_chan_close,
	.submit = delay_submit,
	.status = &below_status_ops,
};
