/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexus_priv - a nexus, and the table of them: what the files of the nexus share.
 *
 *	nexus.c     table, life           state.c    lifecycles         driver.c   the bdev
 *	create.c    the record made and gone   members.c  children come and go
 *	resize.c    the volume grows
 *	label.c, label_disk.c, gpt.c, foreign.c   a disk that is no replica
 *
 * and, each with a header of its own for its noun:
 *
 *	child_priv.h	child.c    a member: open, fence, close     ask.c  all members at once
 *	belong_priv.h	belong.c   whose a disk is
 *	request_priv.h	io.c       requests: fan-out, reads and their retries
 *			order.c    writes that overlap        choose.c   whom a read goes to
 *			mend.c     a write that failed everywhere
 *	active_priv.h	active.c   activity log
 *	missed_priv.h	missed.c   what members missed        missed_load.c  found in their metadata
 *	copy_priv.h	copy.c     from one member to others  range.c    ranges held for a copy
 *	rebuild_priv.h	rebuild.c  a member comes back        rebuild_copy.c  its segments
 *			rebuild_wish.c  what people say to it     history.c  rebuilds that ended
 *	failure_priv.h	retire.c   a member failed: PERSIST   hang.c     those that do not answer
 *			doubt.c    the last one failed        revive.c   the last one came back
 *			well.c     could they be written to?
 *	owner_priv.h	owner.c    record and epoch           look.c     whether we own it still
 *			takeover.c seal, fence, lease         resync.c   after a crash: what may differ
 *
 *	OPENING -> SERVING <-> FROZEN -> STOPPED        any -> DEPOSED, CLOSING
 *
 * (as tables: state.c.) All of a nexus belongs to its home reactor: no locks.
 *
 * The invariants of all of it are N1 to N6: N1, N2, N3 in failure_priv.h, N4 in child_priv.h, N5 in
 * active_priv.h, N6 in copy_priv.h.
 */
#ifndef NEXUS_NEXUS_PRIV_H
#define NEXUS_NEXUS_PRIV_H

#include "base/list.h"
#include "base/mem.h"
#include "base/slab.h"
#include "bdev/bdev.h"
#include "bdev/bdev_driver.h"
#include "bdev/replica.h"
#include "nexus/active_priv.h"
#include "nexus/child_priv.h"
#include "nexus/mask_priv.h"
#include "nexus/missed_priv.h"
#include "nexus/nexus.h"
#include "nexus/rebuild_priv.h"
#include "nexus/request_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "store/lease.h"

#define NEXUS_REGION_BYTES REPLICA_REGION_BYTES_DEFAULT

struct nexus {
	struct list_link link; /* table->nexuses */
	struct nexus_table *table;
	struct reactor *home;
	struct io *io;
	struct mem *mem;
	struct volume_record rec;
	uint64_t revision;
	uint64_t size_bytes;	/* as users see it: that of the record, once that is written */
	struct list bdevs;	/* of it, open */
	struct replica_gen gen; /* as the record has it: what members are told */
	uint16_t session;	/* of the last token given */
	uint64_t epoch_was;	/* before it was raised for a new member (ME5); 0: it was not */
	enum nexus_state state;
	struct latch admin; /* one change of the record, or of the children, at a time */
	unsigned opens;	    /* bdevs */
	uint32_t block_shift;
	struct nexus_child child[NEXUS_CHILDREN_MAX];
	nexus_mask readable, writable, needed;
	nexus_mask near; /* open, and of this node */
	struct nexus_choice choice;
	unsigned gate;	     /* > 0: no request begins */
	uint64_t busy;	     /* requests that have begun and not ended */
	struct event idle;   /* busy has become 0 */
	struct list gated;   /* requests at the gate */
	struct list starved; /* ... that wait for child requests */
	struct list held;    /* writes that are done, and wait for the record */
	struct list writes;  /* begun */
	struct list ranges;
	struct nexus_order order;
	struct event range_released; /* a pulse */
	uint64_t serial;
	struct slab ios;
	struct nexus_active active;
	struct nexus_missed missed;
	struct timer hang_clock;
	struct event answered;	    /* a pulse */
	uint64_t split;		    /* IO3: reads wait for overlapping writes up to this serial */
	struct list split_reads;    /* those that do */
	struct event retire_needed; /* of the fiber of retire.c */
	struct fiber *retirer;
	struct event stopped; /* of the fiber of revive.c */
	struct fiber *reviver;
	uint64_t term;	     /* of the lease, in which the record was seen to be ours */
	bool must_look;	     /* LK2 */
	struct event unseen; /* look.c does not use it now */
	struct {
		uint64_t asked_ns, serial; /* when members were asked last (well.c) */
	} well;
	bool is_resuming;
	struct event resumed;
	bool unmap_zeroes, can_zeroes; /* all children */
	unsigned rebuilds;
	struct event rebuilt; /* no rebuild runs */
	struct nexus_rate rate;
	struct nexus_history history;
	uint32_t child_timeout_ms;
	uint64_t resync_bytes, changes;
};

struct nexus_table {
	struct io *io;
	struct reactor *home;
	struct store *store;
	struct uuid instance;
	struct lease lease;
	struct fiber *looker;
	uint32_t child_timeout_ms, retry_ms, log_rest_ms;
	unsigned rules_off;
	bool verify;
	struct list nexuses;
	struct list watches;
	unsigned count;
};

/* What driver.c opens. */
struct nexus_bdev {
	struct bdev bdev;
	struct nexus *nexus;   /* owned use */
	struct list_link link; /* nexus->bdevs */
	uint64_t told_blocks;  /* of its size */
};

static inline struct nexus *nexus_of(const struct bdev *bdev)
{
	return container_of(bdev, const struct nexus_bdev, bdev)->nexus;
}

#define nexus_each_child(n, c)                                                             \
	for (struct nexus_child *c = (n)->child; c < (n)->child + NEXUS_CHILDREN_MAX; c++) \
		if (!c->is_used) {                                                         \
		} else

/* The first of these from that index on, or NULL. */
static inline struct nexus_child *nexus_child_from(struct nexus *n, nexus_mask mask, unsigned from)
{
	unsigned left = (unsigned)mask >> from << from;

	return left ? &n->child[__builtin_ctz(left)] : NULL;
}

/* Hot: those that are not meant are not looked at. */
#define nexus_each_in(n, mask, c)                                             \
	for (struct nexus_child *c = nexus_child_from(n, mask, 0); c != NULL; \
	     c = nexus_child_from(n, mask, c->index + 1))

/* Not asked on the way of a request that all is well with. */
static inline bool nexus_is_off(const struct nexus *n, enum nexus_rule rule)
{
	return unlikely(n->table->rules_off & rule);
}

static inline struct volume_member *child_member(struct nexus_child *child)
{
	return &child->nexus->rec.members[child->member];
}

static inline uint64_t nexus_regions(uint64_t size_bytes)
{
	return (size_bytes + NEXUS_REGION_BYTES - 1) / NEXUS_REGION_BYTES;
}

/* state.c */

void nexus_become(struct nexus *n, enum nexus_state state);

/* members.c */

/* Members change, or grow, only while it serves. */
MUST_USE int members_ready(struct fiber *f, struct nexus *n);

/* nexus.c */

/* Closing: what waits ends with -ENODEV, and what comes. */
void nexus_refuse_all(struct nexus *n);
void nexus_tell_members(struct fiber *f, struct nexus *n);
/* After a takeover. */
void nexus_serve(struct fiber *f, struct nexus *n);

#endif
