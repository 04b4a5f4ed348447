/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_priv - how the layer keeps an open disk.
 *
 *   bdev_table      of the node, at home (reactor 0): who is open, by name
 *     bdev_core     a disk, at home: users, claims, range locks
 *       bdev_side   its part on one reactor: channels, watches, writes in flight, locked ranges
 *         bdev_chan_core   a channel: queues, counters, requests of the slow path
 *   bdev_local      of a reactor: bios whose callback was put off
 *
 * The files, from the bottom: hop.c (messages between home and sides), iovs.c,
 * stats.c, bio.c (hot path), lane.c, range_lock.c, layer_step.c and layer.c (making every bio
 * fit), chan.c, reset.c, claim.c, event.c, open.c, bdev.c.
 *
 * V1. Whatever belongs to a reactor is touched on that reactor only; home tells
 *     sides by hops, in order, and never looks into them.
 * V2. A side exists from the first channel or watch of its reactor to the end of the bdev.
 * V3. inflight counts the bios of users from bio_submit() to done, busy what the
 *     driver has (also the layer's own children). busy <= depth, but for a RESET.
 * V4. No callback of a user runs while any bio_submit() of the reactor is on the
 *     stack (B1): bdev_local.submitting is then > 0.
 */
#ifndef BDEV_BDEV_PRIV_H
#define BDEV_BDEV_PRIV_H

#include "base/map.h"
#include "bdev/bdev_driver.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"

struct bdev_core;
struct bdev_local;
struct bdev_side;
struct uri;

#define BDEV_OPS_DEFAULT (1u << BIO_READ | 1u << BIO_WRITE | 1u << BIO_FLUSH)
#define LAYER_REQS_MAX 16	     /* slow-path bios of a channel at a time; the rest wait */
#define LAYER_CHILDREN 4	     /* in flight for one of them */
#define LAYER_CHILD_IOV 32
#define LAYER_BOUNCE_BYTES (128u << 10)
#define RANGE_LOCKS 16		     /* held of one bdev at a time; the rest wait */

_Static_assert(LAYER_BOUNCE_BYTES >= BDEV_BLOCK_MAX, "a block can be bounced");

/* ---- hop.c ------------------------------------------------------------ */

/* A message; run() is called on the other reactor, in order (also if that is this one). */
struct hop {
	struct mail mail;
	struct task task;
	void (*run)(struct hop *hop);
};

void hop_go(struct hop *hop, struct reactor *from, struct reactor *to,
	    void (*run)(struct hop *hop));

/*
 * Run fn(arg) at home, then back(arg) here (NULL: nothing), and wait for both. Not
 * cancellable. What home sends to this reactor afterwards arrives after back().
 */
void home_call(struct fiber *f, struct reactor *home, void (*fn)(void *arg),
	       void (*back)(void *arg), void *arg);

/* The same for an fn that may suspend: on a fiber of home. Tries until a fiber could be had. */
int home_run(struct fiber *f, struct reactor *home, fiber_fn fn, void *arg);

/*
 * A visit to every side in turn. visit() calls tour_leave() once, then or later, on its
 * reactor; end() runs at home.
 */
struct tour {
	struct hop hop;
	struct bdev_core *core;
	unsigned at;
	void (*visit)(struct tour *tour, struct bdev_side *side);
	void (*end)(struct tour *tour);
	struct tour_wait *wait; /* tour_run() */
};

void tour_start(struct tour *tour, struct bdev_core *core,
		void (*visit)(struct tour *tour, struct bdev_side *side),
		void (*end)(struct tour *tour)); /* at home */
void tour_leave(struct tour *tour);

/* From any reactor; waits for the end. Not cancellable. */
void tour_run(struct fiber *f, struct bdev_core *core, struct tour *tour,
	      void (*visit)(struct tour *tour, struct bdev_side *side));

/* ---- range_lock.c ----------------------------------------------------- */

/* Keeps all writers but its holder out of a range of blocks. */
struct range_lock {
	uint64_t lba, blocks;
	void (*granted)(struct range_lock *lock);
	void (*released)(struct range_lock *lock); /* it may be reused or freed */

	struct list_link link;	/* core->locks, in order of arrival */
	struct list_link drain; /* side->drain_*: waits for older writes */
	struct tour tour;
	struct reactor *asker;
	int slot;		/* -1: waits */
};

struct lock_range {
	uint64_t lba, end;
};

struct lock_set {
	uint32_t mask;
	struct lock_range range[RANGE_LOCKS];
};

/* Both from the reactor that asks; callbacks run there, later. */
void range_lock(struct range_lock *lock, struct bdev_core *core, struct reactor *asker);
void range_unlock(struct range_lock *lock);

bool lock_set_overlaps(const struct lock_set *set, uint64_t lba, uint64_t blocks);
void side_drain(struct bdev_side *side);

/* ---- the disk --------------------------------------------------------- */

struct bdev_table {
	struct io *io;
	struct map by_name; /* of bdev_core; its key, and its name if that is another */
	struct list opening;
	uint32_t count;
	struct bdev_local *local[REACTORS_MAX]; /* each its reactor's */
};

struct bdev_local {
	struct task task;
	struct reactor *reactor;
	unsigned submitting;	/* V4 */
	struct list completed;	/* bio.link: done is due */
	struct list kicked;	/* bdev_chan_core.kick: queue to be looked at */
};

struct bdev_side {
	struct bdev_core *core;
	struct reactor *reactor;
	struct list chans;	/* bdev_chan_core.link */
	struct list watches;
	uint64_t blocks;
	bool removed;

	/* Writers admitted, by epoch; a lock waits for the older epoch to end. */
	uint64_t writes[2];
	uint8_t epoch;
	bool draining;
	struct list drain_now, drain_next; /* range_lock.drain */
	struct lock_set locked;
	struct list held;	/* bio.link: writes kept out by a lock */
	struct list held_reqs;	/* layer_req.link: the same */
};

enum core_state { CORE_OPENING, CORE_OPEN, CORE_CLOSING, CORE_DEAD };

struct bdev_core {
	struct bdev *bdev;
	struct bdev_table *table;
	struct reactor *home;
	char key[BDEV_NAME_MAX]; /* the name made of the URI */
	struct uri *uri;	 /* owned; as opened */
	enum core_state state;
	struct event settled;	 /* not opening nor closing */
	unsigned refs;		 /* the table's and those who wait for settled */
	unsigned users;
	unsigned depth;		 /* bdevs of the longest stack, with this one */

	struct list_link opening; /* table->opening */
	struct fiber *opener;
	struct bdev_core *waits_for;

	struct list claims;
	struct list locks;
	uint32_t slots;		 /* of locks; a bit is one in use */
	struct lock_set locked;	 /* what sides have been or are being told */
	bool removed;
	unsigned tours;		 /* removals under way */
	struct event quiet;	 /* no tours */
	struct tour removal;
	struct latch resize;

	unsigned chans;
	struct bdev_stats past;	 /* of closed channels */
	struct hist *past_hist[BIO_OPS];

	unsigned side_count;
	struct {
		struct bdev_side *side; /* made by its reactor */
		uint32_t present;	/* home's count of its channels and watches */
	} at[];
};

struct bdev_chan_core {
	/* hot */
	void (*submit)(struct bio *bio);
	struct io *io;
	struct bdev_local *local;
	struct bdev_side *side;
	uint32_t plain_ops;	/* 1 << BIO_x: what the hot path may pass on */
	uint16_t slow_flags;	/* ... without one of these */
	uint8_t block_shift;
	uint32_t unit_mask;	/* a plain write is of whole units: their blocks, minus 1 */
	uint32_t busy, depth;	/* V3 */
	uint32_t inflight;
	uint32_t iov_max;
	uint32_t base_mask, len_mask; /* alignment of iovecs, minus 1 */
	uint64_t max_blocks;
	uint64_t boundary;
	struct list waiting;	/* bio.link: for room in the driver */
	struct bio *reset;	/* being done */
	struct bdev_stats stats;
	struct hist *hist[BIO_OPS];

	/* slow */
	struct bdev_chan *chan;
	struct reactor *reactor;
	struct list_link link;	/* side->chans */
	struct list_link kick;	/* local->kicked */
	bool pumping;
	uint64_t max_zeroes_blocks;
	uint32_t unit;		/* write_unit_blocks, at least 1 */
	uint32_t ops, no_fua;

	struct list reqs_free;	/* layer_req.link */
	unsigned req_count, req_used;
	bool req_pumping;
	struct list req_waiting; /* bio.link */
	struct event reqs_idle;	/* none is used */

	struct list lanes_down, lanes_up; /* bdev_lane_core.down, .up: to others, from others */

	struct list frozen;	/* bio.link: came after a reset */
	unsigned frozen_count;
	struct bio *reset_bio;	/* owned; for a driver that knows RESET */
	bool reset_sent;
};

/* What has passed a lane is counted here, for both of its channels. */
struct bdev_lane_core {
	struct bdev_lane lane;
	struct bdev_chan_core *to;
	struct bdev_op_stats op[2]; /* READ, WRITE */
	struct hist *hist[2];	    /* owned */
	struct list_link down, up;
};

/* bio.layer */
enum {
	LAYER_EPOCH = 1,	/* of a writer */
	LAYER_WRITER = 2,	/* counted in side->writes */
	LAYER_CHILD = 4,	/* the layer's own */
	LAYER_IN_DRIVER = 8,
	LAYER_PASSED = 16,	/* by a lane: it belongs to a disk above */
};

/* ---- bio.c ------------------------------------------------------------ */

/* To the driver, now or when it has room. */
void chan_dispatch(struct bdev_chan_core *cc, struct bio *bio);
void chan_send(struct bdev_chan_core *cc, struct bio *bio); /* now */
/* A bio ends; never calls done from inside a bio_submit(). Not for bios that the driver has. */
void bio_finish(struct bdev_chan_core *cc, struct bio *bio, int status);
/* An op that nobody knows ends uncounted, from inside bio_submit(). */
void bio_refuse(struct bdev_chan_core *cc, struct bio *bio);
int local_get(struct bdev_table *table, struct reactor *reactor, struct bdev_local **ret);
void local_free(struct bdev_local *local);
bool bio_iov_fits(const struct bdev_chan_core *cc, const struct bio *bio, uint64_t bytes);

/* ---- stats.c ---------------------------------------------------------- */

void stats_hist_first(struct io *io, struct hist **hist, uint64_t ns);
void stats_merge(struct bdev_stats *to, const struct bdev_stats *from);

/* ---- lane.c ----------------------------------------------------------- */

/* What its lanes have counted is the channel's from now on. */
void lanes_settle(struct bdev_chan_core *cc);
/* The channel's plain_ops have changed: so does what may come by its lanes. */
void lanes_replan(struct bdev_chan_core *cc);

/* ---- layer.c: bios that the hot path does not take -------------------- */

void layer_submit(struct bdev_chan_core *cc, struct bio *bio); /* also once more, after a reset */
void layer_unheld(struct bdev_side *side); /* a range was unlocked */
/* End what waits of a channel, with this status. */
void layer_cancel(struct bdev_chan_core *cc, int status);
void layer_reqs_free(struct bdev_chan_core *cc);

/* ---- chan.c ----------------------------------------------------------- */

/* plain_ops anew: removed, reset or locked. */
void chan_replan(struct bdev_chan_core *cc);
void side_replan(struct bdev_side *side);
int side_get(struct bdev_core *core, struct reactor *reactor, struct bdev_side **ret);

/* A channel or watch comes to a side or leaves; join: -ENODEV if removed. */
int side_join(struct fiber *f, struct bdev_side *side);
void side_leave(struct fiber *f, struct bdev_side *side, struct bdev_chan_core *cc);

/* ---- reset.c ---------------------------------------------------------- */

void reset_start(struct bdev_chan_core *cc, struct bio *bio);
void reset_check(struct bdev_chan_core *cc); /* something ended */

/* ---- bdev.c ----------------------------------------------------------- */

const struct bdev_env *env_of(struct fiber *f);
/* By scheme or alias, and every parameter is known; worded. */
int driver_for(struct fiber *f, const struct bdev_env *env, const struct uri *uri,
	       const struct bdev_driver **ret);

#endif
