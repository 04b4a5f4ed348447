// SPDX-License-Identifier: Apache-2.0
/*
 * rio - replica I/O: what happens to a bio of `pool:///POOL/REPLICA`.
 *
 *	rio_submit -+- mapped, valid, ours: handed on to the disk          rio.c
 *	            +- read: children for what is valid, zeros for the rest   rio_read.c
 *	            +- write: steps of up to RIO_PIECES clusters              rio_write.c
 *	            |     collect -> data -> mapping safe -> next step or done
 *	            |     a cluster that must be copied first                 rio_copy.c
 *	            +- unmap, zeroes: slices of clusters                      rio_unmap.c
 *	            +- flush, and FUA on volatile disks: rounds               rio_flush.c
 *	changes: the mapping of a cluster being changed                       rio_change.c
 *	life, gates, commit, slow work                                        rio_pool.c
 *	what these files share                                                rio_req_priv.h
 *
 * A request lies in the scratch of its bio. It is RUNNING (counted in rio.busy), or PARKED in
 * one list: at a gate, for a change of another, for room, for a commit. It parks only between
 * steps, when it holds nothing.
 *
 * RI1. A bio is completed once, with the first error of its parts.
 * RI2. No write is acknowledged before the mapping that leads to its data is as safe as the
 *      data: in the log (disks write through), or in memory (volatile caches: FLUSH and FUA
 *      make both durable, data first).
 * RI3. The mapping of a cluster is changed by one change at a time; whoever needs another one
 *      joins it or waits for it.
 * RI4. Data go only to blocks of clusters that this replica alone maps, or that are claimed and
 *      not mapped. A block gets valid only after its data are on the disk.
 * RI5. A look-up and the device I/O that follows from it are counted in one generation (P3).
 * RI6. While a gate is closed and drained, no mapping and no data of the replica change, and
 *      no change exists.
 * RI7. What waits for a commit does not hold one up.
 * RI8. Token and gate are looked at when a step begins: after a fence nothing older lands.
 */
#ifndef POOL_RIO_PRIV_H
#define POOL_RIO_PRIV_H

#include <stdint.h>

#include "base/lang.h"
#include "base/list.h"
#include "base/slab.h"
#include "bdev/bdev_driver.h"
#include "bdev/iovs.h"
#include "pool/delta_priv.h"
#include "pool/intent_priv.h"
#include "pool/map_priv.h"
#include "reactor/timer.h"
#include "reactor/wait.h"

struct fiber;
struct pool;
struct pool_disk;
struct replica;
struct rio_change;

#define RIO_PIECES 8u	       /* clusters of a step */
#define RIO_CHILD_IOV 8u       /* iovecs of a child, unless it takes all of its parent's */
#define RIO_BUF_ALIGN 512u     /* of a replica's bdev: so RIO_CHILD_IOV hold a block */
#define RIO_ROOM_MIN 256u      /* in a bio, for drivers of disks that may be added later */
#define RIO_CHILDREN_MAX 1024u /* beside those in the requests */
#define RIO_CHANGES_MAX 4096u
#define RIO_BUCKETS 4096u
#define RIO_WORKERS_MAX 16u    /* fibers for slow work */
#define RIO_GENERATIONS 4u
#define RIO_TRIES_MAX 64u      /* commits waited for until a write fails for want of space */

_Static_assert(RIO_CHANGES_MAX <= DELTA_ROOM_MIN, "every change has a promise");
_Static_assert(RIO_CHILD_IOV * RIO_BUF_ALIGN >= POOL_BLOCK, "a child has at least a block");

/* Slow work: run by one of the pool's workers. */
struct rio_work {
	struct list_link link;
	void (*run)(struct fiber *f, struct rio_work *work);
};

/* Bios on the direct way. */
struct rio_tally {
	struct bio_tally base;
	struct replica *rep;
};

/* ---- of a replica ---------------------------------------------------------------------- */

struct rio {
	struct tlb tlb;
	unsigned gate;	       /* > 0: nothing begins */
	unsigned gate_later;   /* of it: to be opened when nothing rides any more */
	uint64_t busy;	       /* requests that run, beside those on the direct way */
	struct rio_tally direct[RIO_GENERATIONS]; /* ... those (RI5) */
	uint64_t riders;       /* pieces */
	struct list held;      /* struct rio_req.link */
	struct event idle;     /* busy has become 0 */
	unsigned opens;	       /* bdevs */
	struct {
		uint64_t entries; /* of this replica in the delta's tables */
		int64_t mapped;	  /* clusters they map, less those they unmap */
	} delta[2];
	struct tlb_entry few[TLB_ENTRIES_MIN];
};

/* ---- of a pool --------------------------------------------------------------------------- */

struct rio_flush {
	struct list waiting;   /* requests for the next round */
	struct list joined;    /* ... of the one under way */
	bool active;
	struct rio_work work;
	/* writing what was taken from the delta */
	struct intent_item item;
	struct delta_entry *taken; /* owned */
	uint32_t count, at;
	bool cancelled;
	int status;
	struct event ended;
};

struct rio_pool {
	uint64_t generation;
	uint64_t hits;	       /* of the TLB, on the direct way */
	bool is_volatile;      /* some disk has a volatile cache */
	bool publishing;       /* trees are published, their superblock is not durable */
	bool cut_unlogged;     /* the commit under way makes durable what no log record tells */
	bool feeding;
	uint64_t tlb_bytes;    /* of all replicas */
	uint32_t room;	       /* scratch of the disks' drivers */
	uint64_t inflight[RIO_GENERATIONS]; /* RI5; beside the direct ones */
	struct event drained;  /* a generation has ended */
	struct list starved;   /* requests that wait for a change, or room in the delta */
	struct list commit_wait; /* ... for the next commit to be durable */
	struct list riders;    /* struct rio_piece.link: durable with the next commit (intent_priv.h) */
	struct list riders_cut; /* ... with the one under way */
	struct list work;
	unsigned workers;
	struct timer retry;    /* no fiber was to be had */
	struct slab changes, children;
	struct list *buckets;  /* owned; struct rio_change.link */
	uint64_t durables;     /* cuts whose commit is durable */
	struct event durable;
	struct rio_flush flush;
};

/* Before the log is replayed; disks and superblock are known. */
MUST_USE int rio_start(struct fiber *f, struct pool *pool);
/* May it be added? Open bdevs have told what they are, and bios have the room they have. */
MUST_USE int rio_check_disk(struct fiber *f, struct pool *pool, const struct pool_disk *disk);
/* No bdev is open. */
void rio_stop(struct fiber *f, struct pool *pool);

/* ---- the commit (one at a time): cut .. publish .. durable, or fail -------------------------- */

/* In an open transaction: what is in the delta now is to be applied; the log goes on in its other half. */
void rio_cut(struct fiber *f, struct pool *pool);
/* The trees are the published ones: the applied delta is dropped. */
void rio_publish(struct pool *pool);
void rio_durable(struct pool *pool);
/* The pool is faulted: what waits fails. */
void rio_fail(struct pool *pool);

/* Everything in the delta now is durable. -EIO if the pool is faulted. */
MUST_USE int rio_durable_wait(struct fiber *f, struct pool *pool, uint64_t cuts);

/*
 * P3. Bios that begin from now on belong to another generation; returns that of those that began
 * before. It must have been waited for when next() is called twice more.
 */
uint64_t rio_generation_next(struct pool *pool);
void rio_generation_wait(struct fiber *f, struct pool *pool, uint64_t generation);

/* ---- replicas ------------------------------------------------------------------------------------ */

void rio_init(struct replica *rep);
void rio_fini(struct replica *rep);
/* A bdev of it. */
void rio_open(struct replica *rep);
void rio_close(struct replica *rep);

/* Hold new bios, wait for those that run. Nests. What waits for a commit is held, too (RI7). */
void rio_gate_close(struct fiber *f, struct replica *rep);
void rio_gate_open(struct replica *rep);

/* Something was shared with a snapshot: nothing may be written in place any more. */
void rio_flush_tlb(struct replica *rep);

/* Clusters mapped by what is not applied yet, less those unmapped. */
int64_t rio_unapplied(const struct replica *rep);

/* A bdev is open on it. */
bool rio_is_open(const struct replica *rep);
/* It may not be forgotten. */
bool rio_is_busy(const struct replica *rep);

/* ---- the driver -------------------------------------------------------------------------------------- */

/* Driver's part of a channel. */
struct rio_chan {
	struct replica *rep;
	struct pool *pool;
	uint64_t cluster_mask; /* blocks of a cluster, minus 1 */
	uint64_t run_mask;     /* ... of a run of the TLB */
	uint64_t data_lba;     /* of the first cluster on a disk */
	uint32_t block_shift;
	uint32_t valid_whole;  /* bits of a cluster that is valid all over */
	uint32_t valid_all;    /* bits that must be there whatever is asked for */
	uint8_t cluster_shift; /* log2 of a cluster's blocks */
	uint8_t valid_shift;   /* ... of the blocks that one valid bit stands for */
	bool away; /* not on the pool's reactor */
	struct bdev_lane *lane[POOL_DISKS_MAX]; /* owned; NULL: none (yet) */
	uint64_t lanes_tried; /* bits of disks */
};

/* On the channel's reactor. */
void rio_chan_init(struct bdev_chan *chan, struct replica *rep);
void rio_chan_fini(struct bdev_chan *chan);
/* bdev.scratch_bytes, limits and volatile_cache of a replica's bdev. */
void rio_describe(struct pool *pool, struct bdev *bdev);
void rio_submit(struct bio *bio);

#endif
