/* SPDX-License-Identifier: Apache-2.0 */
/*
 * below - the disk beneath a stacking driver: opened, claimed, watched.
 *
 * A stacking driver keeps a struct below for each disk under it, and has a struct
 * below_chan as the first thing in the room of its channels.
 */
#ifndef DRIVERS_BELOW_H
#define DRIVERS_BELOW_H

#include "bdev/bdev.h"
#include "bdev/bdev_driver.h"
#include "reactor/wait.h"

/* The size of the disk above follows from that of the disk below. Home reactor. */
typedef uint64_t (*below_blocks_fn)(const struct bdev *above);

struct below {
	struct bdev *bdev;    /* owned: one use of it */
	struct bdev *above;   /* borrowed: whoever is stacked on it */
	below_blocks_fn blocks;
	struct bdev_claim claim;
	struct bdev_watch watch;
	struct reactor *home; /* borrowed */
	struct event idle;    /* set: no follower runs */
	bool grown, gone;     /* the disk below has, the one above not yet */
	bool closing;
};

struct below_chan {
	struct bdev_chan *chan; /* owned: a channel of the disk below */
};

/* Open `on` for `above` and claim it whole (to write, unless it is read-only). uri names the claimant. */
MUST_USE int below_open(struct fiber *f, const struct uri *uri, const struct uri *on,
			struct bdev *above, below_blocks_fn blocks, struct below *below);

/* The two halves of it, for who takes some of the blocks: after a failure of the second, close. */
MUST_USE int below_open_unclaimed(struct fiber *f, const struct uri *on, struct bdev *above,
				  below_blocks_fn blocks, struct below *below);
MUST_USE int below_claim(struct fiber *f, const struct uri *uri, uint64_t first, uint64_t blocks,
			 struct below *below);
void below_close(struct fiber *f, struct below *below);

/* Let the disk below look at its size, then take over what it says. */
MUST_USE int below_rescan(struct fiber *f, struct below *below);

/*
 * The disk above looks like the one below: block sizes, caches, abilities; room for a
 * request of req_bytes, which ends with the child's struct bio.
 */
void below_inherit(const struct below *below, size_t req_bytes);

/* All ops that can be passed on unchanged. */
uint32_t below_ops(const struct bdev *bdev);

/* The channel's end of it; the driver's room begins with a struct below_chan. */
MUST_USE int below_chan_open(struct fiber *f, struct bdev_chan *above, const struct below *below);
void below_chan_close(struct fiber *f, struct bdev_chan *above);

/* The child's results become the parent's, which completes. Hot. */
void below_complete(struct bio *parent, const struct bio *child);

/* Block status at the same addresses. */
extern const struct bdev_status_ops below_status_ops;

#endif
