/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexus_bed - a new volume for the load to run on: `nexus:///n`.
 *
 * Its children are replicas, each in a new pool on a disk of its own (`disks`), or disks that are there
 * already (`members`). Its record is in a file of its own.
 */
#ifndef BENCH_NEXUS_BED_H
#define BENCH_NEXUS_BED_H

#include "bdev/bdev_driver.h"
#include "nexus/nexus.h"

#define NEXUS_BED_URI	  "nexus:///n"
#define NEXUS_BED_ONE_URI "nexus:///one"

struct nexus_bed {
	/* in */
	const char *disks[NEXUS_CHILDREN_MAX];	 /* borrowed; what they bear is lost */
	const char *members[NEXUS_CHILDREN_MAX]; /* borrowed */
	unsigned disk_count, member_count;	 /* none of either: no nexus */
	uint64_t replica_bytes;
	bool prewrite;	 /* every block of the disks, one disk after the other */
	bool last_alone; /* the last disk is all of a second volume, nexus:///one */
	struct bdev_env *env; /* borrowed: of the world */

	/* inside */
	char uris[NEXUS_CHILDREN_MAX][32]; /* of the replicas */
	char dir[32], store_uri[64];
	struct bdev *kept[NEXUS_CHILDREN_MAX];	/* owned; so that disks in memory stay */
	struct pool *pools[NEXUS_CHILDREN_MAX]; /* owned */
	struct store *store;			/* owned */
	struct nexus_table *table;		/* owned */
	struct nexus *nexus, *one;		/* owned */
};

MUST_USE int nexus_bed_open(struct fiber *f, struct nexus_bed *bed);
void nexus_bed_close(struct fiber *f, struct nexus_bed *bed);
/* Under which the first child serves. */
uint64_t nexus_bed_token(struct fiber *f, const struct nexus_bed *bed);
/* What the nexus has done beside requests. */
void nexus_bed_json(const struct nexus_bed *bed);

#endif
