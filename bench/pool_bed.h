/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_bed - a new pool with one replica, `pool:///p/r`, for the load to run on.
 *
 * Its counters are read before and after the measured run, each time with everything in the
 * trees and durable: so what a run has deferred to a commit is counted as its own.
 */
#ifndef BENCH_POOL_BED_H
#define BENCH_POOL_BED_H

#include "pool/pool.h"

#define POOL_BED_URI	   "pool:///p/r"
#define POOL_BED_DISKS_MAX 16

struct pool_bed {
	/* in */
	const char *disks[POOL_BED_DISKS_MAX]; /* borrowed; what they bear is lost */
	unsigned disk_count;		       /* 0: no pool */
	uint64_t replica_bytes;
	uint32_t cluster_bytes; /* 0: the default */
	bool prewrite;		/* every block of the disks is written before the pool is made */
	unsigned snapshots;	/* taken before the measured run */

	/* inside */
	struct bdev *kept[POOL_BED_DISKS_MAX]; /* owned; so that disks in memory stay */
	struct pool *pool;		       /* owned */
	struct pool_io_stats begin, end;
	double snapshot_cpu_s, snapshot_cpu_max_s; /* all of them; the dearest */
};

MUST_USE int pool_bed_open(struct fiber *f, struct pool_bed *bed);
MUST_USE int pool_bed_snapshots(struct fiber *f, struct pool_bed *bed);
MUST_USE int pool_bed_begin(struct fiber *f, struct pool_bed *bed);
MUST_USE int pool_bed_end(struct fiber *f, struct pool_bed *bed);
void pool_bed_close(struct fiber *f, struct pool_bed *bed);

/* Figures of the measured run, which did so many I/Os. */
void pool_bed_json(const struct pool_bed *bed, uint64_t ios);
void pool_bed_table(const struct pool_bed *bed, uint64_t ios);

/* Every block of a disk is written: its memory is there then, and in one piece. */
MUST_USE int bed_prewrite(struct fiber *f, struct bdev *bdev);

#endif
