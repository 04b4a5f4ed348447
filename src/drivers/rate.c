// SPDX-License-Identifier: Apache-2.0
/*
 * rate - a disk of a given speed: so many requests a second, so many bytes a second.
 *
 * The model is one gate in front of many hands. A request passes the gate when the one
 * before it has; the gate is then shut for as long as the request costs:
 *
 *   cost   = max(1 / iops, bytes / bandwidth)
 *   passed = max(asked, shut until) + cost
 *   due    = max(passed, asked + latency)
 *
 * The request is done at the later of `due` and the moment the disk below has done it:
 * that disk's own time is hidden, not added. So with nothing else in flight a request
 * takes max(cost, latency); with many in flight they are done at exactly the given rate;
 * in between the depth decides, by Little's law: throughput = depth / latency. Time in
 * which the gate stood open is not saved up: there are no bursts.
 *
 * All of this is in ideal time, that of a loop which is never late (RA5): who waits for a
 * request and then asks for the next has asked when the first was due, also if the loop
 * told him later. So a late turn ends all that is due, what is asked for in it gets its
 * slots in the past, as far as they were free, and nothing of the rate is lost. Only real idleness
 * is: of whoever asks, or of a disk below that is slower than the rate.
 *
 *   submit --> at the home reactor: due --> timer at the channel --> both? --> complete
 *          \-> child bio --------------------------------------------/
 *
 * RA1. The gate is the disk's, not a channel's: its home reactor owns it. Requests from
 *      other reactors learn their time by mail (about 1 us, hidden in `due`).
 * RA2. A request completes when its parts are 0: child done, and due time passed.
 * RA3. The gate's time has the 2^-10 ns as its unit, so rounding loses < 0.01 % at 10^7 IOPS.
 * RA4. A request waits in `waiting` exactly while its timer runs. RESET ends those waits.
 * RA5. A request was asked for when, in ideal time, the one ended that ended last in this
 *      turn; if none did in this turn, now. The difference is its lag. It ends in ideal
 *      time at the later of `due` and the end of its child; of the latter the lag is taken
 *      away, and what the loop is late by now (the child may have ended that much earlier).
 * RA6. A slot never begins before the end of the one before it: no lag makes it faster than
 *      the rate, but when it catches up.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/uri.h"
#include "drivers/below.h"
#include "drivers/rate.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"

#define RATE_UNIT_SHIFT 10 /* RA3 */
#define RATE_NS_PER_S UINT64_C(1000000000)

struct rate {
	struct bdev bdev;
	struct below below;
	struct reactor *home;	/* borrowed */
	uint64_t op_cost;	/* RA3 units */
	uint64_t block_cost;	/* RA3 units */
	uint64_t latency_ns;
	uint64_t shut_ns;	/* home only: until when the gate is shut ... */
	uint64_t shut_part;	/* ... and RA3 units more, less than 1 ns */
};

struct rate_chan {
	struct below_chan below;
	struct list waiting;	/* bios by their link, by and large in the order they are due (RA4) */
	uint64_t ended_ns;	/* RA5: the ideal end of the last request ... */
	uint64_t turn_ns;	/* ... in the turn of this time */
};

struct rate_req {
	struct bio *parent;	/* borrowed until it completes */
	struct timer timer;
	struct mail mail;
	uint64_t asked_ns, lag_ns, child_ns; /* RA5: when, how much before now, the child's end */
	uint64_t due_ns;
	unsigned parts;		/* RA2 */
	struct bio child;	/* last */
};

static void rate_part_done(struct rate_req *req)
{
	struct rate_chan *chan = bdev_chan_priv(req->parent->chan);

	if (--req->parts > 0)
		return;
	chan->ended_ns = max_u64(req->due_ns, req->child_ns);
	chan->turn_ns = reactor_io(req->parent->chan->reactor)->turn_ns;
	below_complete(req->parent, &req->child); /* RA2 */
}

/* How late this turn is, by the first timer that should have fired before it. */
static uint64_t rate_late_ns(const struct rate_chan *chan, uint64_t turn_ns)
{
	struct bio *first = list_first(&chan->waiting, struct bio, link);
	const struct rate_req *req = first ? bio_scratch(first) : NULL;

	return req && req->due_ns < turn_ns ? turn_ns - req->due_ns : 0;
}

static void rate_child_done(struct bio *child)
{
	struct rate_req *req = container_of(child, struct rate_req, child);
	const struct rate_chan *chan = bdev_chan_priv(req->parent->chan);
	uint64_t turn_ns = reactor_io(req->parent->chan->reactor)->turn_ns;
	uint64_t behind_ns = req->lag_ns + rate_late_ns(chan, turn_ns);

	req->child_ns = turn_ns > behind_ns ? turn_ns - behind_ns : 0; /* RA5 */
	rate_part_done(req);
}

static void rate_timer_fired(struct timer *timer)
{
	struct rate_req *req = container_of(timer, struct rate_req, timer);

	list_del(&req->parent->link);
	rate_part_done(req);
}

/* The time is known; we are back at the channel. */
static void rate_wait(struct rate_req *req)
{
	struct rate_chan *chan = bdev_chan_priv(req->parent->chan);

	list_link_init(&req->parent->link);
	list_add_tail(&chan->waiting, &req->parent->link);
	timer_start_at(req->parent->chan->reactor, &req->timer, req->due_ns, rate_timer_fired);
}

/* Through the gate. Home reactor. */
static void rate_pass(struct rate *rate, struct rate_req *req)
{
	uint64_t cost = rate->op_cost;

	if (bio_op_has_data((enum bio_op)req->parent->op))
		cost = max_u64(cost, rate->block_cost * req->parent->blocks);
	if (rate->shut_ns < req->asked_ns) {
		rate->shut_ns = req->asked_ns;
		rate->shut_part = 0;
	}
	cost += rate->shut_part;
	rate->shut_ns += cost >> RATE_UNIT_SHIFT;
	rate->shut_part = cost & ((1u << RATE_UNIT_SHIFT) - 1);
	req->due_ns = max_u64(rate->shut_ns, req->asked_ns + rate->latency_ns);
}

static void rate_mail_back(struct mail *mail, struct reactor *at)
{
	(void)at;
	rate_wait(container_of(mail, struct rate_req, mail));
}

static void rate_mail_home(struct mail *mail, struct reactor *at)
{
	struct rate_req *req = container_of(mail, struct rate_req, mail);
	struct bdev_chan *chan = req->parent->chan;

	rate_pass(container_of(chan->bdev, struct rate, bdev), req);
	mail->run = rate_mail_back;
	reactor_send(at, chan->reactor, mail);
}

/* Whoever waits at the gate is let through; the disk below gets its own RESET. */
static void rate_reset(struct rate_chan *chan)
{
	struct bio *bio;

	while ((bio = list_pop_front(&chan->waiting, struct bio, link))) {
		struct rate_req *req = bio_scratch(bio);

		timer_stop(&req->timer); /* RA4 */
		rate_part_done(req);
	}
}

/* RA5. A request that RESET ended has ended before it was due. */
static void rate_ask(struct rate_chan *chan, struct io *io, struct rate_req *req)
{
	uint64_t now_ns = io_now(io);

	req->asked_ns = chan->turn_ns == io->turn_ns ? min_u64(chan->ended_ns, now_ns) : now_ns;
	req->lag_ns = now_ns - req->asked_ns;
	req->due_ns = req->asked_ns;
}

static void rate_submit(struct bio *bio)
{
	struct rate *rate = container_of(bio->chan->bdev, struct rate, bdev);
	struct rate_chan *chan = bdev_chan_priv(bio->chan);
	struct rate_req *req = bio_scratch(bio);

	req->parent = bio;
	req->parts = bio->op == BIO_RESET ? 1 : 2;
	rate_ask(chan, reactor_io(bio->chan->reactor), req);
	if (bio->op == BIO_RESET) {
		rate_reset(chan);
	} else if (bio->chan->reactor == rate->home) {
		rate_pass(rate, req);
		rate_wait(req);
	} else {
		req->mail.run = rate_mail_home;
		reactor_send(bio->chan->reactor, rate->home, &req->mail); /* RA1 */
	}
	bio_clone(&req->child, bio, chan->below.chan, rate_child_done);
	bio_submit(&req->child);
}

static int rate_chan_open(struct fiber *f, struct bdev_chan *base)
{
	struct rate_chan *chan = bdev_chan_priv(base);

	list_init(&chan->waiting);
	return below_chan_open(f, base, &container_of(base->bdev, struct rate, bdev)->below);
}

static uint64_t rate_blocks(const struct bdev *bdev)
{
	return container_of(bdev, const struct rate, bdev)->below.bdev->blocks;
}

static int rate_rescan(struct fiber *f, struct bdev *bdev)
{
	return below_rescan(f, &container_of(bdev, struct rate, bdev)->below);
}

static void rate_close(struct fiber *f, struct bdev *bdev)
{
	struct rate *rate = container_of(bdev, struct rate, bdev);

	below_close(f, &rate->below);
	mem_free(rate);
}

/* What a request and a block cost, in RA3 units. */
static int rate_get(struct fiber *f, const struct uri *uri, struct rate *rate, uint64_t *ret_bytes_s)
{
	uint64_t iops = 0, mb_s = 0;

	TRY(uri_get_u64(uri, "iops", 1, RATE_IOPS_MAX, 0, &iops, fiber_err(f)));
	TRY(uri_get_u64(uri, "mb_s", 1, RATE_MB_S_MAX, 0, &mb_s, fiber_err(f)));
	TRY(uri_get_u64(uri, "latency_ns", 0, RATE_LATENCY_NS_MAX, 0, &rate->latency_ns,
			fiber_err(f)));
	if (!iops && !mb_s)
		return fiber_fail(f, -EINVAL, "rate: neither 'iops' nor 'mb_s', expected one or both");
	if (iops)
		rate->op_cost = (RATE_NS_PER_S << RATE_UNIT_SHIFT) / iops;
	*ret_bytes_s = mb_s << 20;
	return 0;
}

static int rate_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct rate *rate = mem_new(fiber_io(f), sizeof(*rate));
	const struct uri *on;
	uint64_t bytes_s = 0;

	if (!rate)
		return -ENOMEM;
	TRY(rate_get(f, uri, rate, &bytes_s));
	TRY(uri_get_child(uri, "on", &on, fiber_err(f)));
	TRY(below_open(f, uri, on, &rate->bdev, rate_blocks, &rate->below));
	below_inherit(&rate->below, sizeof(struct rate_req));
	if (bytes_s)
		rate->block_cost = (RATE_NS_PER_S << RATE_UNIT_SHIFT) * rate->bdev.block_size /
				   bytes_s;
	rate->home = fiber_reactor(f);
	rate->bdev.driver = &rate_driver;
	rate->bdev.uuid = rate->below.bdev->uuid;
	rate->bdev.blocks = rate->below.bdev->blocks;
	bdev_set_limits(&rate->bdev, &(struct bdev_limits){.ops = below_ops(&rate->bdev)});
	*ret = &steal(rate)->bdev;
	return 0;
}

static const struct bdev_param rate_params[] = {
	{"iops", "requests a second: 1..1000000000; default: no limit"},
	{"mb_s", "MiB a second: 1..1000000; default: no limit"},
	{"latency_ns", "the least time a request takes, in ns; default 0"},
	{"on", "URI of the disk below; the last parameter"},
	{0},
};

const struct bdev_driver rate_driver = {
	.scheme = "rate",
	.help = "a disk of a given speed",
	.params = rate_params,
	.open = rate_open,
	.close = rate_close,
	.rescan = rate_rescan,
	.chan_bytes = sizeof(struct rate_chan),
	.chan_open = rate_chan_open,
	.chan_close = below_chan_close,
	.submit = rate_submit,
	.status = &below_status_ops,
};
