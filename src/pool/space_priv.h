// SPDX-License-Identifier: Apache-2.0
/*
 * space - how many leaves name each cluster, and which clusters are free.
 *
 * The counts are in PAGE_SPACE pages under TREE_SPACE, changed by the commit only. Who
 * allocates works on groups in memory: one bit a cluster that is not to be had, because it
 *   - has a count (as of the last applied transaction),
 *   - is claimed: handed out, its mapping not applied yet, or
 *   - is in quarantine: freed within the last two transactions (P3).
 *
 * SP1. A cluster is handed out only if all three are false.
 * SP2. claimed = sum of the groups' claims; a group with claims stays in memory.
 * SP3. total = counted + claimed + quarantined + free.
 * SP4. Data stops short of the metadata reserve and of what is promised to thick replicas; where
 *      the reserve is in use, of a quarter of it.
 * SP5. What makes metadata for good (replicas, snapshots, clones) stops when metadata can have but
 *      half of the reserve: the rest is for unmap and delete, which copy pages before they free any.
 */
#ifndef POOL_SPACE_PRIV_H
#define POOL_SPACE_PRIV_H

#include "base/bitmap.h"
#include "base/map.h"
#include "pool/format.h"
#include "pool/names_priv.h"

struct fiber;
struct pool;

struct space_group {
	uint64_t key; /* disk << 40 | group */
	uint32_t busy_count;
	uint32_t claims;
	struct bitmap busy;
	uint64_t words[BITMAP_WORDS(SPACE_GROUP)];
};

#define SPACE_GROUPS_MAX  (1u << 22)
#define SPACE_GROUPS_IDLE 64u /* groups without claims kept in memory */
#define SPACE_META_RUN	  16u /* metadata clusters taken at a time, when there are enough */

enum space_use { SPACE_DATA, SPACE_THICK, SPACE_META };

struct space {
	struct map_u64 groups;	  /* key -> struct space_group, owned */
	struct space_group *here; /* where the next cluster comes from; NULL: none chosen */
	uint64_t cursor;	  /* bit in it */
	uint64_t total;		  /* clusters of all disks, the log's left out */
	uint64_t claimed, quarantined;
	struct names freed; /* by the open transaction */
	struct names quarantine[2];
	struct names counts; /* changes to be applied: cluster << 1 | is minus */
};

void space_init(struct space *space, struct pool *pool);
void space_fini(struct space *space);

/* After the disks are known or have grown. */
void space_size(struct pool *pool);

/* Clusters that may be handed out for this use now. */
uint64_t space_free(const struct pool *pool, enum space_use use);
uint64_t space_meta_reserve(const struct pool *pool);
/* What data must leave to metadata now (SP4). */
uint64_t space_meta_keep(const struct pool *pool);
/* May there be more objects (SP5)? */
bool space_meta_is_low(const struct pool *pool);

/*
 * Claim one cluster. Never suspends: -EAGAIN: call space_find() and try again;
 * -ENOSPC: there is none for this use (SP4); `use` SPACE_THICK takes from what was promised.
 */
MUST_USE int space_claim(struct pool *pool, enum space_use use, uint64_t *ret_cluster);
/* Choose a group with free clusters for the next claims. 0 or -ENOSPC. */
MUST_USE int space_find(struct fiber *f, struct pool *pool);
/* Claimed, but not used after all. */
void space_unclaim(struct pool *pool, uint64_t cluster);
/* Within a transaction: claimed and never counted, but a log record may name it: to quarantine. */
MUST_USE int space_drop(struct pool *pool, uint64_t cluster);
/* Claim a certain cluster (replay of the log). -EILSEQ if it is not free. */
MUST_USE int space_claim_this(struct fiber *f, struct pool *pool, uint64_t cluster);

/* The count as of the last applied transaction. */
MUST_USE int space_count(struct fiber *f, struct pool *pool, uint64_t cluster, uint32_t *ret);
/* The same from cached pages: -EAGAIN if one is missing. */
MUST_USE int space_count_peek(struct pool *pool, uint64_t cluster, uint32_t *ret);

/* Commit fiber: apply space.counts to the trees; a cluster that gets its first count must be claimed. */
MUST_USE int space_apply(struct fiber *f, struct pool *pool);

/* A transaction is durable: the oldest quarantine is over. */
void space_release(struct pool *pool);

#endif
