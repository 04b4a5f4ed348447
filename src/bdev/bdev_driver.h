/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_driver - how to make a disk. One const table a driver, named in engine/drivers.c.
 *
 * DR1. open() fills struct bdev but for name (if it leaves it empty: the URI's scheme and
 *      path), core, and driver (unless another table of the scheme has its abilities). It has
 *      checked and worded everything: a driver never asserts on input. What it is made of it
 *      opens with the same fiber, so that loops and depth are noticed.
 * DR2. submit() runs on the channel's reactor and sees only what the table's and the bdev's
 *      limits allow: whole, in range, aligned, within max_blocks and iov_max, not across a
 *      boundary, an op it said it can do. It may complete at once: from inside submit()
 *      bio_complete() puts the callback off. Elsewhere the callback runs before it returns,
 *      and may submit again: a driver's own lists are in order before it completes a bio.
 * DR3. close() is called with no channel open, chan_close() with no bio in flight.
 * DR4. A driver calls others only through bdev.h.
 */
#ifndef BDEV_BDEV_DRIVER_H
#define BDEV_BDEV_DRIVER_H

#include "bdev/bdev.h"

struct bdev_env;
struct bdev_lend_ops;
struct io;
struct nexus_table;
struct pool_table;
struct tgt;
struct bdev_replica_ops;
struct bdev_resv_ops;
struct bdev_status_ops;
struct uri;

/*
 * A parameter of a driver's URI: for unknown-parameter errors, help texts and manual pages.
 * A name that ends in "*" may be given several times. Every disk takes uuid=, which
 * becomes bdev.uuid if the driver leaves that nil.
 */
struct bdev_param {
	const char *name;
	const char *help; /* one line: meaning, unit, range, default */
};

struct bdev_driver {
	const char *scheme;
	const char *const *aliases;	 /* NULL-terminated, or NULL */
	const char *help;		 /* one line */
	const struct bdev_param *params; /* ends with an empty name */

	int (*open)(struct fiber *f, const struct uri *uri, struct bdev **ret);
	void (*close)(struct fiber *f, struct bdev *bdev);
	int (*rescan)(struct fiber *f, struct bdev *bdev); /* NULL: the size never changes */
	/*
	 * NULL: never. Asked before open(): does this URI only lead back to a disk that is open
	 * here? > 0: that one is shared, by the name given; 0: no; < 0: an error.
	 */
	int (*is_here)(struct fiber *f, const struct uri *uri, char ret_name[BDEV_NAME_MAX]);

	size_t chan_bytes;
	int (*chan_open)(struct fiber *f, struct bdev_chan *chan);
	void (*chan_close)(struct fiber *f, struct bdev_chan *chan);

	void (*submit)(struct bio *bio);

	/* Optional abilities, each in a header of its own. NULL: has it not. */
	const struct bdev_status_ops *status;	/* bdev/status.h */
	const struct bdev_replica_ops *replica; /* bdev/replica.h */
	const struct bdev_resv_ops *resv;	/* bdev/resv.h */
	const struct bdev_lend_ops *lend;	/* bdev/lend.h */
};

/* In open(), before it returns; a value out of range is the programmer's error. */
void bdev_set_limits(struct bdev *bdev, const struct bdev_limits *limits);

/*
 * Driver's end of a bio, from its reactor, outside or inside submit() (DR2). bio->link is
 * no longer on a list of the driver's.
 */
void bio_complete(struct bio *bio, int status);

/*
 * A lane: the short way of READs and WRITEs from a channel to one of a disk beneath, for a driver
 * that only finds another place for them. The bio itself goes on, there is one for both disks:
 * while it is below, the drivers there have its scratch (as much as their disk wants), link, lba and
 * chan; lba and chan are given back before it completes.
 *
 * It is opened once (the disk beneath must take all that the one above takes) and looked at for
 * each bio: what is not in `ready` is to be sent as a bio of the driver's own.
 */
struct bdev_lane {
	struct bdev_chan *from, *to; /* borrowed */
	uint32_t ready;		     /* 1 << bio_kind() of what may pass now */
	bool *wrote; /* borrowed; set when a WRITE has ended, before it is counted out */
	struct bdev_lane_core *core; /* the layer's */
};

/* Bios on their way below. */
struct bio_tally {
	uint64_t inflight;
	void (*empty)(struct bio_tally *tally); /* NULL: nobody waits for that; for the books only */
};

/* Bit of a READ or WRITE without any flag but FUA in bdev_lane.ready. */
static inline unsigned bio_kind(const struct bio *bio)
{
	return bio->op | (bio->flags & BIO_FUA) << 1;
}

/*
 * Both channels are of this reactor; *ret is NULL if the disk beneath is stricter than the one above,
 * or bios come to that or go on from there by a lane already: they pass one at most. -ENOMEM.
 * Close: none of its bios is in flight.
 */
MUST_USE int bdev_lane_open(struct bdev_chan *from, struct bdev_chan *to, bool *wrote,
			    struct bdev_lane **ret);
void bdev_lane_close(struct bdev_lane *lane);

/*
 * Inside submit(): lane->ready has the bio's kind, and the place lies within the disk beneath. It is
 * counted in the tally until it has ended, and completes by itself.
 */
void bio_pass(struct bio *bio, struct bdev_lane *lane, struct bio_tally *tally, uint64_t lba);

/* The driver's room in this bio (bdev.scratch_bytes as set in open). */
static inline void *bio_scratch(struct bio *bio)
{
	return bio->scratch;
}

/* The driver's part of a channel. */
static inline void *bdev_chan_priv(struct bdev_chan *chan)
{
	return chan->priv;
}

/* The driver says that the disk grew, or is gone. On the home reactor. */
void bdev_resized(struct fiber *f, struct bdev *bdev, uint64_t blocks);
void bdev_removed(struct bdev *bdev);

/* ---- the node's table: what main hands to every reactor (reactor_opts.bdev_env) ---- */

struct bdev_env {
	const struct bdev_driver *const *drivers; /* NULL-terminated */
	struct bdev_table *table;		  /* open bdevs of this node */
	struct reactor *home;			  /* reactor 0: where tables and claims live */
	struct pool_table *pools; /* pools of this node, for the driver that knows them; NULL: none */
	struct nexus_table *nexuses; /* the same, of nexuses */
	struct tgt *target;	     /* what this node serves over NVMe/TCP; NULL: nothing */
};

MUST_USE int bdev_table_new(struct io *io, struct bdev_table **ret);
void bdev_table_free(struct bdev_table *table); /* nothing may be open */

#endif
