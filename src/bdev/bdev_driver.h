/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_driver - how to make a disk. One const table a driver, named in engine/drivers.c.
 *
 * DR1. open() fills struct bdev but for name (if it leaves it empty: the URI's scheme and
 *      path) and core. It has checked and worded everything: a driver never asserts on input.
 * DR2. submit() runs on the channel's reactor and sees only what the table's and the bdev's
 *      limits allow: whole, in range, aligned, within max_blocks and iov_max, not across a
 *      boundary, an op it said it can do. It may complete at once: bio_complete() puts the
 *      callback off to the next turn.
 * DR3. close() is called with no channel open, chan_close() with no bio in flight.
 * DR4. A driver calls others only through bdev.h.
 */
#ifndef BDEV_BDEV_DRIVER_H
#define BDEV_BDEV_DRIVER_H

#include "bdev/bdev.h"

struct bdev_env;
struct io;
struct bdev_replica_ops;
struct bdev_resv_ops;
struct bdev_status_ops;
struct uri;

/* A parameter of a driver's URI: for unknown-parameter errors, help texts and manual pages. */
struct bdev_param {
	const char *name;
	const char *help; /* one line: meaning, unit, range, default */
};

struct bdev_driver {
	const char *scheme;
	const char *const *aliases;	  /* NULL-terminated, or NULL */
	const char *help;		  /* one line */
	const struct bdev_param *params;  /* ends with an empty name */

	int (*open)(struct fiber *f, const struct uri *uri, struct bdev **ret);
	void (*close)(struct fiber *f, struct bdev *bdev);
	int (*rescan)(struct fiber *f, struct bdev *bdev); /* NULL: the size never changes */

	size_t chan_bytes;
	int (*chan_open)(struct fiber *f, struct bdev_chan *chan);
	void (*chan_close)(struct fiber *f, struct bdev_chan *chan);

	void (*submit)(struct bio *bio);

	/* Optional abilities, each in a header of its own. NULL: has it not. */
	const struct bdev_status_ops *status;	/* bdev/status.h */
	const struct bdev_replica_ops *replica; /* bdev/replica.h */
	const struct bdev_resv_ops *resv;	/* bdev/resv.h */
};

/* Limits a driver may set in open() with bdev_set_limits(); 0: none. */
struct bdev_limits {
	uint64_t max_blocks;	     /* of a bio with data */
	uint64_t max_zeroes_blocks;  /* of ZEROES and UNMAP */
	uint64_t boundary_blocks;    /* a bio with data does not cross a multiple of this */
	uint32_t iov_max;	     /* iovecs */
	uint32_t buf_align;	     /* of every iovec's base and length; power of two */
	uint32_t queue_depth;	     /* bios in flight per channel; the rest wait in the layer, in order */
	uint32_t write_unit_blocks;  /* smaller or unaligned writes become read-modify-write */
	uint32_t ops;		     /* 1 << BIO_x: what submit() takes; 0: READ, WRITE, FLUSH only */
};

void bdev_set_limits(struct bdev *bdev, const struct bdev_limits *limits);

/*
 * Driver's end of a bio, from its reactor: the status and, by the next turn, the callback
 * (B1). Completing at once from submit() is allowed and cheap.
 */
void bio_complete(struct bio *bio, int status);

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
};

MUST_USE int bdev_table_new(struct io *io, struct bdev_table **ret);
void bdev_table_free(struct bdev_table *table); /* nothing may be open */

#endif
