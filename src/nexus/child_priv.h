/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child_priv - a child: a disk that is open, the member of the record that it is, what is asked of
 * it. See child.c, ask.c.
 *
 * N4. Every request to a child bears the child's token, which its fence has seen (FENCE, SESSION).
 */
#ifndef NEXUS_CHILD_PRIV_H
#define NEXUS_CHILD_PRIV_H

#include "base/list.h"
#include "bdev/bdev.h"
#include "bdev/replica.h"
#include "nexus/label.h"
#include "nexus/mask_priv.h"
#include "nexus/nexus.h"
#include "nexus/rebuild_priv.h"
#include "reactor/wait.h"

struct fiber;

#define NEXUS_CHILD_ROOM  2048u /* behind a child's bio, for its drivers */
#define NEXUS_SESSION_MAX 0xffffu

/* Something a child was asked. */
struct nexus_pending {
	struct list_link link; /* child->pending */
	uint64_t start_ns;
};

struct nexus_child {
	struct nexus *nexus;
	unsigned index;	 /* in nexus->child */
	unsigned member; /* in record.members */
	bool is_used;
	enum nexus_child_state state;
	struct bdev *bdev; /* owned; NULL: closed */
	struct bdev_claim claim;
	bool is_claimed;
	bool force;			    /* it may be taken whatever it bears */
	struct bdev_chan *chan;		    /* owned */
	const struct bdev_replica_ops *ops; /* NULL: no replica */
	uint64_t token;			    /* 0: it has no fence */
	uint64_t fence;			    /* its fence when it was looked at */
	uint64_t inflight;
	struct event idle;	  /* inflight has become 0 */
	uint32_t block_shift;	  /* its blocks in one of the volume, as a power of two */
	uint64_t data_lba;	  /* the volume's block 0, in its own blocks: behind a label */
	struct nexus_label label; /* of one that is no replica, as it is on the disk */
	bool has_label;		  /* it is there; else it is written when the child is told */
	struct list pending;	  /* oldest first */
	bool is_reset;		  /* since it was opened */
	struct replica_gen gen;	  /* it was told last; 0.0: none */
	bool left_in_doubt;	  /* since it was opened: no map for it (DB2) */
	uint64_t regions;	  /* of its logs and maps */
	enum replica_state said;  /* when it was opened */
	uint64_t left_serial;	  /* of the writes, when it failed; it missed what came later */
	uint64_t flushed;	  /* writes that ended before this serial are durable on it */
	bool has_maps;		  /* missed-write maps of others: those of missed.c */
	uint8_t miss_has;	  /* bit i: of nexus_missed.peer[i] */
	uint8_t miss_slot[REPLICA_MISS_SLOTS]; /* where */
	int error;			       /* why it is dropped */
	uint64_t reads, writes, errors;
	uint64_t copied;    /* bytes written by rebuilds */
	bool failed_write;  /* REBUILDING: since it was attached */
	bool is_rebuilding; /* a try is under way, or about to be */
	bool is_stopping;
	struct event rebuild_ended; /* it has no fiber */
	struct nexus_rebuild rebuild;
};

static inline nexus_mask nexus_bit(const struct nexus_child *child)
{
	return (nexus_mask)(1u << child->index);
}

/* state.c */

void child_become(struct nexus_child *child, enum nexus_child_state state);

/* child.c */

/* A free place, for that member of the record; NULL: there is none. */
struct nexus_child *child_new(struct nexus *n, unsigned member);
/* Open the disk, look what it is, claim it. On failure it is closed again. */
MUST_USE int child_open(struct fiber *f, struct nexus_child *child, bool in_sync);
/* What it is now: it may have grown, and nobody else changes it any more. */
MUST_USE int child_look_again(struct fiber *f, struct nexus_child *child);
/* A new token, which its fence has seen (rules FENCE, SESSION). */
MUST_USE int child_fence(struct fiber *f, struct nexus_child *child);
/* When nothing of it is in flight any more. */
void child_close(struct fiber *f, struct nexus_child *child);
MUST_USE int child_flush(struct fiber *f, struct nexus_child *child);
/* Say on a replica what it is now: volume, generation, members, state. */
MUST_USE int child_tell(struct fiber *f, struct nexus_child *child, enum replica_state state,
			bool is_unclean);
/* The same with another generation than the record's; NULL: it keeps its own. */
MUST_USE int child_tell_gen(struct fiber *f, struct nexus_child *child, enum replica_state state,
			    bool is_unclean, const struct replica_gen *gen);
/* Make it as large as the volume is, or is to be; it has a token if it is a replica. Idempotent. */
MUST_USE int child_grow(struct fiber *f, struct nexus_child *child, uint64_t size_bytes);
/* So much of the volume it has room for. */
uint64_t child_bytes(const struct nexus_child *child);
/* While it is held it is not closed: for who looks at it without the latch, or at one that rebuilds. */
void child_hold(struct nexus_child *child);
void child_let_go(struct nexus_child *child);
bool child_is_local(const struct nexus_child *child);
bool child_is_closer(const struct nexus_child *child, const struct nexus_child *than);

/* ask.c */

typedef int (*ask_fn)(struct fiber *f, struct nexus_child *child, const void *what);

/*
 * Ask each of these members, on a fiber of its own, with a copy of `what`. Back when all have
 * answered or are retired, as those are who failed. Returns who said -ENOSPC or -ENOTSUP,
 * or failed and is the last one.
 */
nexus_mask ask_members(struct fiber *f, struct nexus *n, nexus_mask whom, ask_fn fn,
		       const void *what, size_t bytes);
/* The same without waiting for answers; who cannot be asked now is not. */
void ask_around(struct nexus *n, nexus_mask whom, ask_fn fn);

#endif
