/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev - the block interface: how everything above uses a disk, whatever it is made of.
 *
 *   bdev_open(uri) -> struct bdev          one per disk and node, counted by users
 *   bdev_claim()                           who may write
 *   bdev_chan_open() -> struct bdev_chan   one per user and reactor: where bios go
 *   bio_submit()                           hot path: a callback when done
 *
 * Whoever submits a bio gives it room behind it for all drivers beneath
 * (bio_size()), so that the way down allocates nothing. The layer between
 * (bdev/layer*.c) makes every disk look alike: it splits at the driver's limits,
 * bounces unaligned memory, reads-modifies-writes where the driver asks for it,
 * and emulates write-zeroes, compare and compare-and-write. Errors are errnos:
 *
 *   -EINVAL    out of range, misaligned, zero blocks, op not understood
 *   -ENOSPC    no space left in what it is made of (capacity exceeded)
 *   -EIO       the device failed;  -ENODATA data lost (unrecovered read error)
 *   -EROFS     write to a read-only disk
 *   -ENOTSUP   the disk cannot, and nothing emulates it
 *   -EILSEQ    compare: the data differ
 *   -ESTALE    the token is older than the fence: you are deposed
 *   -ENODEV    the disk is gone;   -ETIMEDOUT no answer;   -ECANCELED reset or aborted
 *
 * B1. A bio's done runs exactly once, on the reactor of its channel, and not from
 *     inside bio_submit().
 * B2. Between submit and done the bio, its iovecs and its data belong to the layers below.
 * B3. A bio is refused (-EINVAL) before any part of it is done, if it lies outside
 *     the disk or is not a whole number of blocks.
 * B4. On failure of a write, zeroes or unmap any block it named may be old or new.
 * B5. FLUSH makes durable all writes completed before it was submitted, through any
 *     channel of the disk; FUA makes durable the write that bears it, before done.
 * B6. A channel is closed only when none of its bios is in flight; a bdev is closed
 *     only when its channels are.
 * B7. Two overlapping bios in flight have no order. compare-and-write and
 *     read-modify-write are atomic against each other and all other writes through the layer.
 */
#ifndef BDEV_BDEV_H
#define BDEV_BDEV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/hist.h"
#include "base/lang.h"
#include "base/list.h"
#include "base/uuid.h"

struct bdev;
struct bdev_chan;
struct bdev_driver;
struct bdev_lane;
struct bio;
struct bio_tally;
struct err;
struct fiber;
struct reactor;
struct uri;

#define BDEV_NAME_MAX 256
#define BDEV_BLOCK_MIN 512u
#define BDEV_BLOCK_MAX 65536u
#define BDEV_STACK_MAX 8	      /* bdevs on bdevs */
#define BDEV_OPEN_MAX 65536u	      /* bdevs of a node */
#define BIO_IOV_MAX 1024	      /* iovecs of a bio */
#define BIO_BYTES_MAX (64u << 20)     /* of a bio with data */
#define BIO_SCRATCH_ALIGN 16

enum bio_op {
	BIO_READ,
	BIO_WRITE,
	BIO_FLUSH,	   /* no lba, no data */
	BIO_ZEROES,	   /* reads as zeros afterwards; deallocates unless BIO_KEEP */
	BIO_UNMAP,	   /* a hint; reads as before, or as zeros if bdev.unmap_zeroes */
	BIO_COMPARE,	   /* -EILSEQ if different; bio.miscompare_bytes tells where */
	BIO_COMPARE_WRITE, /* the first half of the data is compared, the second half written */
	BIO_RESET,	   /* every bio of this channel ends soon, maybe with -ECANCELED */
	BIO_OPS
};

enum bio_flag {
	BIO_FUA = 1 << 0,	 /* WRITE, ZEROES, COMPARE_WRITE: durable when done */
	BIO_KEEP = 1 << 1,	 /* ZEROES: keep the space allocated */
	BIO_FAST = 1 << 2,	 /* ZEROES: -ENOTSUP rather than writing zeros out */
	BIO_ACTIVATE = 1 << 3,	 /* WRITE, ZEROES, UNMAP: first mark the regions (replica.h) */
};

typedef void (*bio_fn)(struct bio *bio);

struct bio {
	/* in */
	struct bdev_chan *chan; /* borrowed */
	bio_fn done;
	uint8_t op;		/* enum bio_op */
	uint8_t layer;		/* the layer's state */
	uint16_t flags;		/* enum bio_flag */
	uint32_t iov_count;
	uint64_t lba;		/* in blocks of the bdev */
	uint64_t blocks;	/* COMPARE_WRITE: of one half */
	const struct iovec *iov; /* whole blocks in all; READ, WRITE, COMPARE*; else NULL */
	uint64_t token;		/* of the session it came by: see bdev/replica.h; 0: none */

	/* out */
	int status;		/* 0 or -errno */
	uint32_t miscompare_bytes; /* -EILSEQ: offset of the first difference */

	/* whoever holds it: the layer's queues, then the driver's */
	struct list_link link;
	uint64_t start_ns;
	void *layer_priv;

	/* the layer's, while it has passed a lane (bdev_driver.h): what it was above */
	struct bdev_lane *lane;
	struct bio_tally *tally;
	uint64_t lba_above;
	uint8_t layer_above;

	/* room of the drivers below: bdev.scratch_bytes */
	_Alignas(BIO_SCRATCH_ALIGN) uint8_t scratch[];
};

/*
 * What a driver's submit() takes; 0: no limit. Set by the driver in open() with
 * bdev_set_limits(). Users need not care: the layer makes every bio fit. All in blocks of the
 * bdev; max_blocks and boundary_blocks are multiples of write_unit_blocks; buf_align is a
 * power of two up to 4096.
 */
struct bdev_limits {
	uint64_t max_blocks;	    /* of a bio with data */
	uint64_t max_zeroes_blocks; /* of ZEROES and UNMAP */
	uint64_t boundary_blocks;   /* a bio with data does not cross a multiple of this */
	uint32_t iov_max;	    /* iovecs */
	uint32_t buf_align;	    /* of every iovec's base; of its length, if less than a block */
	uint32_t queue_depth;	    /* bios in flight per channel; the rest wait in order */
	uint32_t write_unit_blocks; /* power of two: writes of less are read-modify-write */
	uint32_t ops;		    /* 1 << BIO_x that submit() takes; 0: READ, WRITE, FLUSH */
	uint32_t no_fua;	    /* 1 << BIO_x whose BIO_FUA it ignores: a FLUSH follows */
};

/*
 * What there is to know of a disk. Set by its driver in open; constant but for `blocks`,
 * which other reactors read through their channel (chan->blocks).
 *
 * The name is unique in its node: the driver's own, or the URI without its query (with it,
 * if it has no path to tell it from others).
 */
struct bdev {
	const struct bdev_driver *driver;
	char name[BDEV_NAME_MAX];
	struct uuid uuid;		/* stable identity if there is one, else all zero */
	uint64_t blocks;
	uint32_t block_size;		/* power of two, BDEV_BLOCK_MIN..MAX */
	uint32_t physical_block_size;	/* writes of less may cost the device a read */
	uint32_t optimal_io_blocks;	/* 0: no preference */
	bool read_only;
	bool volatile_cache;		/* until FLUSH, writes may be lost with the power */
	bool unmap_zeroes;		/* unmapped blocks read as zeros */
	bool rotational;
	bool can_unmap, can_zeroes;	/* the driver's own; zeroes are emulated where it cannot */
	bool is_removed;		/* bdev_removed() was called */

	uint32_t scratch_bytes;		/* room a bio needs behind it; use bio_size() */
	struct bdev_limits limits;	/* the driver's */

	struct bdev_core *core;		/* the layer's: users, claims, channels, statistics */
};

struct bdev_chan {
	struct bdev *bdev;		/* borrowed: outlives the channel (B6) */
	struct reactor *reactor;
	uint64_t blocks;		/* the size, as this reactor knows it */
	struct bdev_chan_core *core;
	_Alignas(16) uint8_t priv[];	/* the driver's: bdev_driver.chan_bytes */
};

/* ---- slow path: fibers ------------------------------------------------ */

/*
 * Open by URI text; the same disk opened again (same name, same parameters) is shared and
 * counted; other parameters: -EEXIST. Words name the part of the URI that is wrong.
 * From any reactor; the bdev's home is reactor 0 of the node. -EINVAL (no such driver or
 * parameter), -ELOOP (stands on itself), -E2BIG (more than BDEV_STACK_MAX), -EMFILE (more than
 * BDEV_OPEN_MAX), -ENAMETOOLONG, or the driver's error.
 */
MUST_USE int bdev_open(struct fiber *f, const char *uri, struct bdev **ret);
MUST_USE int bdev_open_uri(struct fiber *f, const struct uri *uri, struct bdev **ret);

/* Give one use back, when the caller's channels and claims are; the last one closes the driver. */
void bdev_close(struct fiber *f, struct bdev *bdev);

/* One that is open, by name; counted like bdev_open(). -ENODEV. */
MUST_USE int bdev_find(struct fiber *f, const char *name, struct bdev **ret);

/* Every open bdev, in the order they were opened; home reactor only. Return != 0 ends it. */
int bdev_each(struct fiber *f, int (*fn)(void *ctx, struct bdev *bdev), void *ctx);

/*
 * Claims, of a disk or of some of its blocks. WRITE: I alone write, and others may read only
 * through me. READ: others may read too. DOOR: I write for clients who see to their order
 * themselves; other doors may as well. -EBUSY names who has it, and what, if that is not all.
 * Opening without a claim is for looking (stat, check). That requests keep to the blocks
 * claimed is the claimant's business.
 */
enum bdev_claim_kind { BDEV_CLAIM_READ, BDEV_CLAIM_WRITE, BDEV_CLAIM_DOOR };

struct bdev_claim {
	struct list_link link;
	struct bdev *bdev;
	enum bdev_claim_kind kind;
	uint64_t first, blocks;
	char who[64];
};

MUST_USE int bdev_claim(struct fiber *f, struct bdev *bdev, enum bdev_claim_kind kind,
			const char *who, struct bdev_claim *claim);

/* To the end of the disk, also when it grows. */
#define BDEV_CLAIM_TO_END UINT64_MAX

/* `blocks` (not 0) from `first` on; they need not exist yet. */
MUST_USE int bdev_claim_range(struct fiber *f, struct bdev *bdev, enum bdev_claim_kind kind,
			      const char *who, uint64_t first, uint64_t blocks,
			      struct bdev_claim *claim);
void bdev_unclaim(struct fiber *f, struct bdev_claim *claim);

/* A place to submit from, on the fiber's reactor. */
MUST_USE int bdev_chan_open(struct fiber *f, struct bdev *bdev, struct bdev_chan **ret);
void bdev_chan_close(struct fiber *f, struct bdev_chan *chan);

/* Make the driver look at its size again; tells everybody if it grew. */
MUST_USE int bdev_rescan(struct fiber *f, struct bdev *bdev);

/* ---- events ----------------------------------------------------------- */

enum bdev_event {
	BDEV_RESIZED, /* bdev->blocks has changed */
	BDEV_REMOVED, /* every bio fails with -ENODEV from now on; close it */
};

/* Called on the reactor it was added on. */
struct bdev_watch {
	struct list_link link;
	void (*fn)(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event);
	struct bdev *bdev;
	struct reactor *reactor;
};

MUST_USE int bdev_watch_add(struct fiber *f, struct bdev *bdev, struct bdev_watch *watch);
void bdev_watch_del(struct fiber *f, struct bdev_watch *watch);

/* ---- statistics ------------------------------------------------------- */

struct bdev_op_stats {
	uint64_t ops, blocks, errors;
	uint64_t busy_ns;	/* sum of latencies */
};

struct bdev_stats {
	struct bdev_op_stats op[BIO_OPS];
	uint64_t queued;	/* bios that had to wait for queue depth */
	uint64_t split, bounced, rmw, emulated;
	uint64_t inflight;
};

/* Summed over all channels, past and present. hist (or NULL): latencies in ns, one per op. */
MUST_USE int bdev_stats_get(struct fiber *f, struct bdev *bdev, struct bdev_stats *ret,
			    struct hist *ret_hist);
MUST_USE int bdev_stats_reset(struct fiber *f, struct bdev *bdev);

/* ---- hot path: bios --------------------------------------------------- */

/* Bytes of a bio for this disk: sizeof(struct bio) and the room behind it. */
static inline size_t bio_size(const struct bdev *bdev)
{
	return align_up_u64(sizeof(struct bio) + bdev->scratch_bytes, BIO_SCRATCH_ALIGN);
}

/* Memory for one; zeroed; freed with mem_free(). */
struct bio *bio_new(struct bdev_chan *chan);

static inline void bio_prep(struct bio *bio, struct bdev_chan *chan, enum bio_op op, uint64_t lba,
			    uint64_t blocks, const struct iovec *iov, uint32_t iov_count,
			    bio_fn done)
{
	bio->chan = chan;
	bio->done = done;
	bio->op = (uint8_t)op;
	bio->flags = 0;
	bio->lba = lba;
	bio->blocks = blocks;
	bio->iov = iov;
	bio->iov_count = iov_count;
	bio->token = 0;
	list_link_init(&bio->link);
}

/* The same request for another disk beneath: op, flags, range, data and token. */
static inline void bio_clone(struct bio *child, const struct bio *parent, struct bdev_chan *chan,
			     bio_fn done)
{
	bio_prep(child, chan, (enum bio_op)parent->op, parent->lba, parent->blocks, parent->iov,
		 parent->iov_count, done);
	child->flags = parent->flags;
	child->token = parent->token;
}

void bio_submit(struct bio *bio);

/* Submit and wait; returns the status, worded with op, range and disk. Not cancellable. */
MUST_USE int bio_wait(struct fiber *f, struct bio *bio);

/* For slow paths: allocate a bio, do it, free it. buf is blocks * block_size bytes. */
MUST_USE int bdev_read(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		       void *buf);
MUST_USE int bdev_write(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
			const void *buf, uint16_t flags);
MUST_USE int bdev_flush(struct fiber *f, struct bdev_chan *chan);
MUST_USE int bdev_zeroes(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
			 uint16_t flags);
MUST_USE int bdev_unmap(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks);

const char *bio_op_name(enum bio_op op);

/* Does the op carry data, and does it change the disk? */
bool bio_op_has_data(enum bio_op op);
bool bio_op_writes(enum bio_op op);

#endif
