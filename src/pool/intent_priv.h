// SPDX-License-Identifier: Apache-2.0
/*
 * intent - the intent log: what was acknowledged and is not yet in a superblock.
 *
 *	add --> QUEUED --write begins--> WRITING --durable--> done
 *	           \--cut: goes to the other half
 *	           \--ride: no room, but the commit waits for it: durable with that commit
 *
 * One write of up to INTENT_GROUP records is in flight; what comes meanwhile goes with the
 * next (group commit). The bytes of an item are asked for when a write begins, so what is added
 * to a queued item still gets in. Layout of records and entries: format.h.
 *
 * IN1. Records of transaction t are in half t % 2, from its start on, without gap; sequence
 *      numbers go on for ever, each record bears the CRC of the one before it.
 * IN2. The half of transaction t is written to only after t - 2 is durable as a superblock; the
 *      first records after an import only after the first commit.
 * IN3. When a write begins all records before it are durable, on the mirror too.
 * IN4. The effects of a record of transaction t are in the delta (or in memory otherwise) when t
 *      is cut: the cut waits for the write in flight.
 * IN5. Items are written in the order they were added.
 * IN6. A failed write is final: the pool is faulted, every item fails.
 */
#ifndef POOL_INTENT_PRIV_H
#define POOL_INTENT_PRIV_H

#include "base/list.h"
#include "pool/format.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"

struct bio;
struct fiber;
struct pool;

#define INTENT_GROUP 64u /* records of one write */
#define INTENT_COPIES 2u /* the log and its mirror */
#define INTENT_SKIP 1024u /* sequence numbers left out after a replay: no torn record has one of the new */

struct intent_item {
	struct list_link link;
	/* Put up to `room` entries from `at` on, return how many; *ret_more: there are others. */
	unsigned (*fill)(struct intent_item *item, uint8_t *at, unsigned room, bool *ret_more);
	void (*done)(struct intent_item *item, int status);
	/*
	 * May be NULL. There is no room in this half, and the commit that would change that is held
	 * up (intent_drain): true: the effects are in the delta, the commit will make them durable,
	 * forget the item; false: it can wait.
	 */
	bool (*ride)(struct intent_item *item);
};

struct intent {
	struct list queue;	/* struct intent_item.link, QUEUED */
	struct list writing;	/* ... in the write in flight */
	struct task kick;
	struct event idle;	/* no write is in flight */
	uint8_t *buf;		/* owned; INTENT_GROUP pages */
	struct iovec iov;
	struct bio *bio[INTENT_COPIES]; /* owned */
	unsigned writes;	/* bios in flight */
	int status;		/* of the write */
	uint64_t txg;		/* of the records that are written now */
	uint64_t seq;		/* of the next record */
	uint32_t crc;		/* of the last one */
	uint32_t used, room;	/* records of this half */
	unsigned draining;	/* somebody waits for items to end, and holds up the commit */
	bool open;		/* IN2 */
	bool cutting;
	bool failed;
	uint64_t replayed;	/* records */
};

MUST_USE int intent_init(struct fiber *f, struct pool *pool);
/* Nothing is queued. */
void intent_fini(struct fiber *f, struct pool *pool);

/* Never suspends, never completes at once. */
void intent_add(struct pool *pool, struct intent_item *item);
/* Take back an item whose fill() has not given its last entry yet. */
void intent_cancel(struct intent_item *item);

/* For fibers: these entries are durable. What they tell was done in memory before. */
MUST_USE int intent_write(struct fiber *f, struct pool *pool, const struct intent_entry *entries,
			  unsigned count);

/* ---- for rio_cut() and the like (rio_priv.h) ------------------------------------------------ */

/* From now on records belong to the transaction after the open one (IN4). */
void intent_cut(struct fiber *f, struct pool *pool);
void intent_durable(struct pool *pool);
void intent_fail(struct pool *pool);
/* Somebody holds up the commit until items have ended (> 0), or does so no more. */
void intent_drain(struct pool *pool, int change);

/* ---- intent_replay.c --------------------------------------------------------------------------- */

/* An entry that is no mapping. */
typedef int (*intent_fn)(struct fiber *f, struct pool *pool, const struct intent_entry *entry);

/*
 * Import: read what follows the superblock, bring mappings into the delta (and claim their
 * clusters), hand the rest to fn. -EILSEQ, worded: acknowledged records are damaged; those
 * before them are replayed.
 */
MUST_USE int intent_replay(struct fiber *f, struct pool *pool, intent_fn fn);

/* Byte offset of record i of the half of transaction txg. */
static inline uint64_t intent_offset(uint64_t first_offset, uint32_t room, uint64_t txg, uint32_t i)
{
	return first_offset + ((txg & 1) * room + i) * (uint64_t)POOL_PAGE;
}

#endif
