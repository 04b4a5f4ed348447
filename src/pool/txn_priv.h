// SPDX-License-Identifier: Apache-2.0
/*
 * txn - the open transaction and its commit: the only way metadata gets to the disks.
 *
 *	IDLE --> CUT --> APPLY --> SETTLE --> WRITE --> FLUSH --> SUPER --> IDLE
 *	                    any failure: FAULTED, for good
 *
 *   cut      the current delta becomes the applying one, the log goes to its other half
 *   apply    admin operations, deltas, reaping change trees; counts follow (space_apply)
 *   settle   the records of changed objects, CRCs, the counts of pages (refs_settle)
 *   write    all dirty pages, then a flush of every disk that took anything
 *   super    a superblock on every disk, ring A then B, FUA
 *
 * TX1. One fiber at a time is in a transaction.
 * TX2. Readers see the trees of the last settled transaction, changed at one point
 *      without suspending in between (txn_publish).
 * TX3. Nothing is acknowledged as durable on account of a transaction before SUPER is over.
 * TX4. A failed write or flush is never tried again: the pool is faulted, what it had
 *      acknowledged is in the log and in the last superblock.
 */
#ifndef POOL_TXN_PRIV_H
#define POOL_TXN_PRIV_H

#include "base/list.h"
#include "pool/format.h"

struct fiber;
struct page;
struct pool;

struct txn {
	uint64_t txg;	   /* of the transaction that is open, or would be the next */
	struct list dirty; /* struct page.dirty_link */
	uint64_t dirty_count;
	bool open;     /* between begin and the end of commit */
	bool unshares; /* it takes pointers from what others still point to (MP2) */
};

void txn_init(struct txn *txn);

/* Begin: pages may now be allocated and changed. */
void txn_begin(struct pool *pool);

/* A new page of the transaction; its count is 1. Takes more metadata clusters if need be. */
MUST_USE int txn_page_alloc(struct fiber *f, struct pool *pool, struct page **ret);
/* A page of the transaction under a name that has been allocated. NULL: no memory. */
struct page *txn_page_new(struct pool *pool, uint64_t name);
/* Its count has fallen to 0: it need not be written. */
void txn_page_drop(struct pool *pool, struct page *page);

/* The count of a cluster changes by +1 or -1 when this transaction is settled. */
MUST_USE int txn_count(struct pool *pool, uint64_t cluster, int change);

/*
 * Settle: counts, catalog records, CRCs. Afterwards super is complete but for crc and disk,
 * and readers are switched over.
 */
MUST_USE int txn_settle(struct fiber *f, struct pool *pool);

/* The superblock as it stands, on every disk. */
MUST_USE int super_write(struct fiber *f, struct pool *pool);

/* Write, flush, superblock, release quarantine. */
MUST_USE int txn_write(struct fiber *f, struct pool *pool);

/* Give up a transaction that failed before txn_write(): the pool is faulted. */
void txn_abandon(struct pool *pool);

#endif
