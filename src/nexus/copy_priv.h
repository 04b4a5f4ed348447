/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_priv - what is copied from one member to others, and the range that is held for it. See copy.c
 * and range.c.
 *
 * N6. Whoever copies a range holds it: writes in it wait, and those begun before have ended (LOCK).
 */
#ifndef NEXUS_COPY_PRIV_H
#define NEXUS_COPY_PRIV_H

#include "base/lang.h"
#include "base/list.h"
#include "nexus/mask_priv.h"
#include "reactor/wait.h"

struct fiber;
struct nexus;
struct nexus_child;
struct nexus_req;

#define NEXUS_COPY_BYTES (256u << 10)

/* A range that nobody else writes to. */
struct nexus_range {
	struct list_link link; /* nexus->ranges */
	uint64_t lba, end, serial;
	unsigned waits_for; /* writes begun before it */
	struct event free_of_writes;
	struct list parked; /* requests that want to write in it */
};

/* range.c */

/* Hold [lba, lba + blocks): returns when no other write is in it (N6). */
void range_hold(struct fiber *f, struct nexus *n, struct nexus_range *range, uint64_t lba,
		uint64_t blocks);
void range_release(struct nexus *n, struct nexus_range *range);
/* True: parked. */
bool range_parks(struct nexus_req *req);
void range_write_ended(struct nexus_req *req);

/* copy.c */

/*
 * Blocks of the volume from one child to others; holes are unmapped. One of them may be the source itself:
 * its data are written once more. The buffer has NEXUS_COPY_BYTES. On failure *ret_failed are those that could not be written, the others have all of it;
 * none: the source could not be read. -ESTALE: one of them knows somebody newer.
 */
MUST_USE int copy_range(struct fiber *f, struct nexus_child *from, nexus_mask to, uint64_t lba,
			uint64_t blocks, void *buf, nexus_mask *ret_failed);
/* At most NEXUS_COPY_BYTES of both; the buffer has twice that. -EILSEQ: they differ. */
MUST_USE int copy_compare(struct fiber *f, struct nexus *n, struct nexus_child *from,
			  struct nexus_child *with, uint64_t lba, uint64_t blocks, void *buf,
			  nexus_mask *ret_failed);

#endif
