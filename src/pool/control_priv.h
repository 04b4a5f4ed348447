// SPDX-License-Identifier: Apache-2.0
/*
 * control - what a nexus keeps with a replica: fence, generation, activity log, missed-write
 * maps, prepared snapshots (bdev/replica.h), and the target's reservations (bdev/resv.h).
 *
 *	control.c	  life, info, fence, set       control_log.c   activity log, missed maps
 *	control_regions.c sets of regions	       control_snap.c  snapshots, resize
 *	resv.c		  reservations
 *
 * The state is loaded from the attribute tree when it is first asked for and stays with the
 * open replica. Seldom things change by an operation of the commit. What is on the way of
 * writes (activity, missed regions) and the fence is changed in memory, told to the intent
 * log, and brought to the tree by the next commit (control_settle).
 *
 * CT1. Memory is changed before the log is told, without suspending in between: so the log has
 *      the changes in their order, and the commit that cuts the log has in memory all that the
 *      records before the cut tell (IN4).
 * CT2. A commit may bring to the tree more than that; replaying the records once more on top
 *      of it comes to the same: the last word on a region is the same.
 * CT3. The token is looked at when a change is made: what waits for the commit is checked there.
 * CT4. fence() answers when the token is durable, no bio with an older one is on its way, and
 *      no change with an older one is undecided.
 * CT5. incarnation = the pool's + the replica's own: both only grow, and the pool's does at
 *      every import after an unclean stop.
 *
 * What it is in the attribute tree: attr_priv.h.
 */
#ifndef POOL_CONTROL_PRIV_H
#define POOL_CONTROL_PRIV_H

#include "bdev/resv.h"
#include "pool/control_regions_priv.h"

struct bdev_chan;

#define CONTROL_AL_MAX	    (4 * REPLICA_AL_REGIONS_DEFAULT) /* regions active at a time */
#define CONTROL_REGIONS_MAX 4096u			     /* of one call */

struct control_miss {
	struct uuid peer; /* nil: free */
	struct replica_gen gen;
	struct region_set regions;
};

struct control {
	struct replica *rep;
	struct list_link link; /* pool.controls: the tree is to be brought up to date */
	struct region_set al;
	struct control_miss miss[REPLICA_MISS_SLOTS];
	struct uuid members[REPLICA_MEMBERS_MAX];
	uint32_t member_count;
	struct resv_state resv;
	unsigned changes; /* operations queued or at work in the commit */
};

/* ---- for the commit, the catalog and the import ---------------------------------------------- */

/* Import: an entry of the intent log that is no mapping. */
MUST_USE int control_replay(struct fiber *f, struct pool *pool, const struct intent_entry *entry);
/* In a transaction, after the cut: what changed goes to the attribute trees. */
MUST_USE int control_settle(struct fiber *f, struct pool *pool);
/* Check: the attributes of every object can be read; what is damaged is told to bad. */
MUST_USE int control_verify(struct fiber *f, struct pool *pool,
			    void (*bad)(void *ctx, const char *words), void *ctx);
/* The replica may not be forgotten. */
bool control_is_dirty(const struct replica *rep);
void control_fini(struct replica *rep);

/* ---- for the files named above --------------------------------------------------------------- */

/* A call on its way to the pool's reactor; part of the arguments of each. */
struct control_call {
	struct replica *rep;
	struct control *control;
	uint64_t token;
	int (*run)(struct fiber *f, struct control_call *call);
};

/* Run call->run(), which must be set, on the pool's reactor, with the state loaded. */
MUST_USE int control_call(struct fiber *f, struct bdev_chan *chan, struct control_call *call);
/* May it change anything, with this token (CT3)? -ESTALE, -EROFS, -ENOENT: worded. */
MUST_USE int control_check(struct fiber *f, const struct control_call *call);
/* By the commit; check (which may be NULL) and run get the call. */
MUST_USE int control_change(struct fiber *f, struct control_call *call, bool gate,
			    int (*check)(struct fiber *, struct pool *, void *),
			    int (*run)(struct fiber *, struct pool *, void *));
/* Something is to be brought to the tree. */
void control_mark(struct control *control);

static inline uint64_t control_regions(const struct replica *rep)
{
	return div_up_u64(rep->rec.size_bytes, REPLICA_REGION_BYTES_DEFAULT);
}

/* control_log.c */
int control_al_get(struct fiber *f, struct bdev_chan *chan, uint64_t *ret_words, uint64_t count);
int control_al_update(struct fiber *f, struct bdev_chan *chan, uint64_t token,
		      enum replica_al_op op, const uint64_t *regions, unsigned count);
int control_miss_open(struct fiber *f, struct bdev_chan *chan, uint64_t token,
		      const struct uuid *peer, struct replica_gen peer_gen, unsigned *ret_slot);
int control_miss_add(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot,
		     const uint64_t *regions, unsigned count);
int control_miss_get(struct fiber *f, struct bdev_chan *chan, unsigned slot, uint64_t *ret_words,
		     uint64_t count);
int control_miss_drop(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot);
int control_miss_load(struct control *control, uint64_t slot, const uint8_t *value);
int control_log_replay(struct fiber *f, struct control *control, const struct intent_entry *entry);

/* control_snap.c */
int control_snap_prepare(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			 const struct uuid *snap, const char *name);
int control_snap_commit(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			const struct uuid *snap);
int control_snap_abort(struct fiber *f, struct bdev_chan *chan, uint64_t token,
		       const struct uuid *snap);
int control_resize(struct fiber *f, struct bdev_chan *chan, uint64_t token, uint64_t blocks);

/* resv.c: a value of the tree; -EILSEQ. */
void resv_init(struct resv_state *state);
int resv_load_value(struct resv_state *state, uint64_t index, const uint8_t *value);

/* For the table of drivers' abilities. */
extern const struct bdev_replica_ops control_ops;
extern const struct bdev_resv_ops resv_ops;

#endif
