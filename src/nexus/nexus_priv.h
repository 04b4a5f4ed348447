/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexus_priv - what the files of the nexus share.
 *
 *	nexus.c     table, life           child.c    a member: open, fence, close
 *	owner.c     record and epoch      takeover.c seal, fence, lease, resync
 *	driver.c    the bdev              io.c       requests: fan-out, reads and their retries
 *	active.c    activity log          retire.c   a member failed: PERSIST
 *	range.c     ranges held for a copy     rebuild.c  a member comes back
 *	order.c     writes that overlap        choose.c   whom a read goes to
 *	resync.c    after a crash: what may differ
 *	copy.c      from one member to others  mend.c     a write that failed everywhere
 *	members.c   children come and go       resize.c   the volume grows
 *	create.c    the record made and gone   state.c    lifecycles
 *	rebuild_copy.c  its segments           rebuild_wish.c  what people say to it
 *	belong.c    whose a disk is            label.c, label_disk.c, gpt.c, foreign.c
 *	missed.c    what members missed        missed_load.c  found in their metadata
 *	history.c   rebuilds that ended        ask.c      all members at once
 *	hang.c      those that do not answer   revive.c   the last one came back
 *	look.c      whether we own it still
 *
 *	OPENING -> SERVING <-> FROZEN -> STOPPED        any -> DEPOSED, CLOSING
 *
 * (as tables: state.c.) All of a nexus belongs to its home reactor: no locks.
 *
 * N1. No write is acknowledged while a member that failed it is in the record (PERSIST).
 * N2. A member that failed is not read from, from that moment on (READDROP).
 * N3. The last member is never taken out of the record (LASTONE).
 * N4. Every request to a child bears the child's token, which its fence has seen (FENCE, SESSION).
 * N5. A write reaches a member only when its regions are marked in the activity logs of all
 *     members (B.2), unless there is but one.
 * N6. Whoever copies a range holds it: writes in it wait, and those begun before have ended (LOCK).
 */
#ifndef NEXUS_NEXUS_PRIV_H
#define NEXUS_NEXUS_PRIV_H

#include "base/list.h"
#include "base/mem.h"
#include "base/slab.h"
#include "bdev/bdev.h"
#include "bdev/bdev_driver.h"
#include "bdev/replica.h"
#include "nexus/label.h"
#include "nexus/nexus.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "store/lease.h"

#define NEXUS_REQS_MAX	    4096u /* child requests of a nexus; beyond, requests wait */
#define NEXUS_CHILD_ROOM    2048u /* behind a child's bio, for its drivers */
#define NEXUS_REGION_BYTES  REPLICA_REGION_BYTES_DEFAULT
#define NEXUS_AL_MAX	    REPLICA_AL_REGIONS_DEFAULT
#define NEXUS_AL_BATCH	    64u /* regions cleared at once */
#define NEXUS_COPY_BYTES    (256u << 10)
#define NEXUS_REBUILD_DEPTH 8u /* segments of a rebuild in flight */
#define NEXUS_ORDER_PIECES  1024u
#define NEXUS_RETRY_NS	    UINT64_C(100000000) /* between tries of the record */
#define NEXUS_SESSION_MAX   0xffffu

typedef uint8_t nexus_mask; /* bit i: child i */

/* The rebuild of a child, or what became of the last one. */
struct nexus_rebuild {
	bool has_fiber;			       /* it runs, or waits for the next try */
	struct fiber *fiber;		       /* to be cancelled */
	bool is_paused, is_stopped, is_let_go; /* by somebody's wish */
	bool is_partial;
	uint64_t *todo; /* owned: regions to copy; NULL: all */
	uint64_t todo_regions;
	struct event poked;   /* the pause before a try is over */
	struct event changed; /* a pulse: workers look again */
	uint64_t delay_ns;    /* before the next try; 0: none */
	uint64_t due_ns;      /* when that is over */
	uint32_t tries;
	uint64_t start_ns, start_wall_ns, elapsed_ns;
	uint64_t total, recovered, verified; /* bytes */
};

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

/* Writes in flight, by the piece of the volume. */
struct nexus_order {
	uint16_t count[NEXUS_ORDER_PIECES]; /* at most NEXUS_REQS_MAX are under way */
	struct list waiting;
};

/* A range that nobody else writes to. */
struct nexus_range {
	struct list_link link; /* nexus->ranges */
	uint64_t lba, end, serial;
	unsigned waits_for; /* writes begun before it */
	struct event free_of_writes;
	struct list parked; /* requests that want to write in it */
};

/* What rebuilds may write: a debt in time, paid by waiting. */
struct nexus_rate {
	uint64_t bytes_per_s; /* 0: no limit */
	uint64_t paid_ns;     /* the time up to which the bytes are paid for */
};

struct nexus_history {
	struct nexus_rebuild_record *records; /* owned: NEXUS_HISTORY_MAX, a ring */
	uint64_t count;			      /* ever */
};

/* A region with writes, or marked in the members' logs. */
struct nexus_region {
	struct list_link link; /* active.idle: least recently used first; active.wanted; or none */
	uint64_t number;
	uint64_t stamp;	 /* serial when the last write in it ended */
	uint32_t writes; /* in flight in it, or waiting for its mark */
	bool is_marked, is_clearing;
	struct nexus_region *next; /* of its bucket */
};

struct nexus_active {
	bool is_on;		      /* more than one member */
	struct nexus_region *region;  /* owned: NEXUS_AL_MAX of them */
	struct nexus_region **bucket; /* owned: NEXUS_AL_MAX */
	struct list free, idle, wanted;
	struct list waiting; /* requests: for marks or for a free region */
	struct event needed; /* of its fiber */
	struct event rests;  /* it waits for that */
	struct fiber *fiber;
	struct timer clock; /* while something is marked */
	bool is_due;	    /* it has fired */
	uint64_t looked_at; /* the serial when it did so last */
	uint64_t writes; /* that are counted in regions */
	unsigned marked;
	uint64_t updates;
};

/* A member that is away, and what it has missed since. */
struct nexus_peer {
	bool is_used;
	bool is_open;	/* the map is on all members: writes may go on */
	bool is_loaded; /* found there: it left another owner, or us before a restart */
	struct uuid replica;
	struct replica_gen gen; /* it left with this */
	uint64_t serial;	/* tells this use from the next */
	uint64_t *words;	/* owned: regions, durable on all members */
};

struct nexus_missed {
	struct nexus_peer peer[REPLICA_MISS_SLOTS];
	unsigned count;	  /* used */
	uint64_t regions; /* room of a map */
	uint64_t serial;
	struct latch latch;  /* who changes maps */
	struct list waiting; /* requests: for their regions */
	struct event needed; /* of its fiber */
	struct fiber *fiber;
};

struct nexus_req {
	struct list_link link; /* nexus->writes, or where it is parked */
	struct bio *bio;
	struct nexus *nexus;
	struct mail mail;
	int status;
	uint8_t open; /* child requests under way */
	nexus_mask sent, failed, tried;
	bool is_counted; /* in regions and in nexus->writes */
	bool is_ordered; /* in nexus->order */
	uint64_t serial; /* of a write that began */
};

/* One child request. */
struct nexus_io {
	struct nexus_pending pending;
	struct nexus_req *req;
	struct nexus_child *child;
	struct bio bio; /* last */
};

/* Members that a read may go to, of this mask. */
struct nexus_choice {
	nexus_mask mask;
	uint8_t count, index[NEXUS_CHILDREN_MAX];
};

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
	uint64_t term; /* of the lease, in which the record was seen to be ours */
	bool must_look;	     /* LK2 */
	struct event unseen; /* look.c does not use it now */
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

static inline bool nexus_has(nexus_mask mask, unsigned i)
{
	return mask >> i & 1;
}

static inline nexus_mask nexus_bit(const struct nexus_child *child)
{
	return (nexus_mask)(1u << child->index);
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
#define nexus_each_in(n, mask, c)                                    \
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

/* ---- state.c ---------------------------------------------------------------------------- */

void nexus_become(struct nexus *n, enum nexus_state state);
void child_become(struct nexus_child *child, enum nexus_child_state state);

/* ---- owner.c ---------------------------------------------------------------------------- */

/* Write n->rec under our epoch. -ESTALE: deposed. Any other error: not known, try again. */
MUST_USE int owner_put(struct fiber *f, struct nexus *n);
/* The same until it is known (N1). -ESTALE, or -ECANCELED: closing. */
MUST_USE int owner_put_surely(struct fiber *f, struct nexus *n);
/* Is the record ours still? -ESTALE: deposed; else the store's. */
MUST_USE int owner_look(struct fiber *f, struct nexus *n);
void owner_deposed(struct nexus *n);
/* Hot: does the lease hold (rule LEASE)? If not, a fiber waits for it and runs what is gated. */
bool owner_may_serve(struct nexus *n);

/* ---- look.c ------------------------------------------------------------------------------- */

int look_main(struct fiber *f, void *table);
/* Before it is freed. */
void look_leave(struct fiber *f, struct nexus *n);
/* At the end of a takeover. -ESTALE: deposed. */
MUST_USE int look_before_serving(struct fiber *f, struct nexus *n);

/* ---- child.c ------------------------------------------------------------------------------ */

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

/* ---- belong.c ------------------------------------------------------------------------------- */

/* Whose a disk is, and what of it the nexus must know. */
struct belong {
	const struct bdev_replica_ops *ops; /* NULL: no replica */
	struct uuid member; /* the replica, or of the label; nil: it bears no label of this volume */
	uint64_t fence, regions;
	struct replica_gen gen;
	enum replica_state state;
	uint8_t miss;		  /* bit i: slot i is taken */
	struct nexus_label label; /* no replica: as it is, or is to be but for the member */
};

/* The disk on this channel, seen from the volume of that record: it is its own, or free. Worded. */
MUST_USE int belong_look(struct fiber *f, struct nexus_table *table,
			 const struct volume_record *rec, struct bdev_chan *chan, const char *uri,
			 bool force, struct belong *ret);
/* It is this volume's from now on. A label is made; belong->member is set. */
MUST_USE int belong_take(struct fiber *f, const struct volume_record *rec, struct bdev_chan *chan,
			 struct belong *belong);
/* It is nobody's from now on, and as good as new. */
MUST_USE int belong_give_back(struct fiber *f, struct bdev_chan *chan, struct belong *belong);
/* The same for a member that is not open; who cannot be reached is only logged. -ENOMEM: try again. */
MUST_USE int belong_let_go(struct fiber *f, struct nexus_table *table,
			   const struct volume_record *rec, const struct volume_member *member);
struct uuid belong_new_uuid(struct io *io);

/* ---- takeover.c ----------------------------------------------------------------------------- */

MUST_USE int takeover(struct fiber *f, struct nexus *n, bool force);

/* ---- resync.c ------------------------------------------------------------------------------- */

/*
 * These members, who all have activity logs, are made equal where the logs say that they may not be. Who failed
 * is in *ret_lost, and why in its `error`; one is left if this succeeds.
 */
MUST_USE int resync(struct fiber *f, struct nexus *n, nexus_mask members, nexus_mask *ret_lost);

/* ---- active.c --------------------------------------------------------------------------------- */

MUST_USE int active_init(struct nexus *n);
void active_fini(struct nexus *n);
int active_main(struct fiber *f, void *arg);
/* Before the nexus serves, or with its gate closed: is the log needed now? */
void active_switch(struct nexus *n);
/* True: the request may go on; else it waits and is run again. */
bool active_enter(struct nexus_req *req);
void active_leave(struct nexus_req *req);
/* What this member may lack, who failed: regions with writes it may not have, or may lose. */
void active_of_lost(const struct nexus_child *child, uint64_t *words, uint64_t regions);
bool active_is_busy(struct nexus *n, uint64_t lba, uint64_t blocks);
MUST_USE int active_copy_to(struct fiber *f, struct nexus_child *child);
/* With no write begun: nothing is known of any region. -ECANCELED. */
MUST_USE int active_reset(struct fiber *f, struct nexus *n);
/* With no write in flight: nothing is marked any more. */
void active_clear_all(struct fiber *f, struct nexus *n);

/* ---- range.c ------------------------------------------------------------------------------------ */

/* Hold [lba, lba + blocks): returns when no other write is in it (N6). */
void range_hold(struct fiber *f, struct nexus *n, struct nexus_range *range, uint64_t lba,
		uint64_t blocks);
void range_release(struct nexus *n, struct nexus_range *range);
/* True: parked. */
bool range_parks(struct nexus_req *req);
void range_write_ended(struct nexus_req *req);

/* ---- choose.c ------------------------------------------------------------------------------------ */

/* Whom to read from; NULL: nobody is left. */
struct nexus_child *choose(const struct nexus_req *req);

/* ---- order.c ------------------------------------------------------------------------------------ */

/* True: it waits for a write that overlaps it. */
bool order_parks(struct nexus_req *req);
void order_begin(struct nexus_req *req);
void order_end(struct nexus_req *req);

/* ---- io.c ------------------------------------------------------------------------------------------ */

void nexus_submit(struct bio *bio);
void io_run(struct nexus_req *req); /* from the beginning */
void io_run_all(struct list *list);
void io_park(struct nexus_req *req, struct list *where);
void io_finish(struct nexus_req *req, int status);
/* STOPPED: what is held has to be done again. */
void io_unhold_all(struct nexus *n);
void io_gate_close(struct fiber *f, struct nexus *n); /* and drained */
void io_gate_open(struct nexus *n);

/* ---- ask.c ------------------------------------------------------------------------------------------- */

typedef int (*ask_fn)(struct fiber *f, struct nexus_child *child, const void *what);

/*
 * Ask each of these members, on a fiber of its own, with a copy of `what`. Back when all have
 * answered or are retired, as those are who failed. Returns who said -ENOSPC or -ENOTSUP,
 * or failed and is the last one.
 */
nexus_mask ask_members(struct fiber *f, struct nexus *n, nexus_mask whom, ask_fn fn,
		       const void *what, size_t bytes);

/* ---- hang.c ------------------------------------------------------------------------------------------ */

void hang_arm(struct nexus *n);
/* The only one that is needed and has not failed. */
bool hang_is_last(const struct nexus_child *child);

/* Hot: the child was asked something, and has answered. */
static inline void hang_begin(struct nexus_child *child, struct nexus_pending *pending)
{
	struct nexus *n = child->nexus;

	pending->start_ns = reactor_now(n->home);
	list_link_init(&pending->link);
	list_add_tail(&child->pending, &pending->link);
	if (!timer_is_armed(&n->hang_clock))
		hang_arm(n);
}

static inline void hang_end(struct nexus_pending *pending)
{
	list_del(&pending->link);
}

/* ---- missed.c ---------------------------------------------------------------------------------------- */

void missed_init(struct nexus *n);
void missed_fini(struct nexus *n);
int missed_main(struct fiber *f, void *arg);
/* No maps in memory. -ECANCELED. */
MUST_USE int missed_reset(struct fiber *f, struct nexus *n);
/* Hot: true: the request may go on; else it waits and is run again. */
bool missed_enter(struct nexus_req *req);
/*
 * These are out of the record as of now: what they may lack is written down, before this suspends. The
 * maps are on all members when it returns.
 */
void missed_begin(struct fiber *f, struct nexus *n, nexus_mask left);
/* Its map, or NULL. */
struct nexus_peer *missed_of(struct nexus_child *child);
/* Add regions to the map of a member that is away. */
void missed_add(struct fiber *f, struct nexus_child *child, const uint64_t *words,
		uint64_t regions);
/* The maps of a member that joins become ours. */
MUST_USE int missed_copy_to(struct fiber *f, struct nexus_child *child);
/* Its map is not needed, or not good, any more. -ECANCELED. */
MUST_USE int missed_forget(struct fiber *f, struct nexus *n, const struct uuid *replica);
void missed_info(struct nexus_child *child, struct nexus_child_info *ret);
/* An empty map for a member that is out, which left with `gen`; NULL: it is not to be had (MS5, MS6). */
struct nexus_peer *missed_new(struct nexus_child *child, const struct replica_gen *gen);
/* The volume grows: what is new was missed by all who are away. */
MUST_USE int missed_grow(struct fiber *f, struct nexus *n, uint64_t size_bytes);
/*
 * Before a new owner serves, and before activity logs are cleared: the maps that its members have, and
 * new ones for those of `lost` that left it just now with generation `gen` or what they say. Who
 * could not be given them is in *ret_failed.
 */
MUST_USE int missed_load(struct fiber *f, struct nexus *n, nexus_mask lost, struct replica_gen gen,
			 nexus_mask *ret_failed);

static inline uint64_t nexus_regions(uint64_t size_bytes)
{
	return (size_bytes + NEXUS_REGION_BYTES - 1) / NEXUS_REGION_BYTES;
}

/* ---- revive.c ----------------------------------------------------------------------------------------- */

int revive_main(struct fiber *f, void *arg);

/* ---- mend.c ------------------------------------------------------------------------------------------ */

/* A write that no member could do: members are made equal before it fails. */
void io_mend(struct nexus_req *req);

/* ---- retire.c ---------------------------------------------------------------------------------------- */

/* Hot: this child failed. N2 holds when it returns; the rest is done by a fiber. */
void retire(struct nexus_child *child, int error);
int retire_main(struct fiber *f, void *arg);

/* ---- doubt.c ----------------------------------------------------------------------------------------- */

/* Under the latch: these failed, and are all that is left. As owner_put_surely(). */
MUST_USE int doubt_record(struct fiber *f, struct nexus *n, nexus_mask last);
/* Before the record says that it is out. True: it was in doubt, and is to have no map. */
bool doubt_leaves(struct nexus_child *child);
/* In a takeover: the others have what the source has, flushed. */
void doubt_resynced(struct nexus *n, const struct nexus_child *source);
/* A member is in sync: those in doubt leave. */
void doubt_settle(struct nexus *n);

/* ---- copy.c ------------------------------------------------------------------------------------------ */

/*
 * Blocks of the volume from one child to others; holes are unmapped. The buffer has
 * NEXUS_COPY_BYTES. On failure *ret_failed are those that could not be written, the others have all of it;
 * none: the source could not be read. -ESTALE: one of them knows somebody newer.
 */
MUST_USE int copy_range(struct fiber *f, struct nexus *n, struct nexus_child *from, nexus_mask to,
			uint64_t lba, uint64_t blocks, void *buf, nexus_mask *ret_failed);
/* At most NEXUS_COPY_BYTES of both; the buffer has twice that. -EILSEQ: they differ. */
MUST_USE int copy_compare(struct fiber *f, struct nexus *n, struct nexus_child *from,
			  struct nexus_child *with, uint64_t lba, uint64_t blocks, void *buf,
			  nexus_mask *ret_failed);

/* ---- rebuild.c, rebuild_copy.c, rebuild_wish.c, history.c --------------------------------------------- */

void rebuild_init(struct nexus_child *child);
/* Now. -EAGAIN: no fiber to be had, or it is being stopped. */
MUST_USE int rebuild_start(struct nexus_child *child);
/* After a pause; first it is closed, when all it was asked has come back. */
void rebuild_later(struct nexus_child *child);
/* None runs or waits when it returns, and the child is closed unless it is in sync. */
void rebuild_stop(struct fiber *f, struct nexus_child *child);
/* 0, or why the one under way has to end. */
int rebuild_goes_on(const struct nexus_child *child);

MUST_USE int rebuild_copy(struct fiber *f, struct nexus_child *child);
MUST_USE int rebuild_verify(struct fiber *f, struct nexus_child *child);

void rebuild_info(const struct nexus_child *child, struct nexus_rebuild_info *ret);

MUST_USE int history_init(struct nexus *n);
void history_fini(struct nexus *n);
void history_add(struct nexus_child *child, int result);

/* ---- members.c ----------------------------------------------------------------------------------------- */

/* Members change, or grow, only while it serves. */
MUST_USE int members_ready(struct fiber *f, struct nexus *n);

/* ---- nexus.c ------------------------------------------------------------------------------------------- */

/* Closing: what waits ends with -ENODEV, and what comes. */
void nexus_refuse_all(struct nexus *n);
void nexus_tell_members(struct fiber *f, struct nexus *n);
/* After a takeover. */
void nexus_serve(struct fiber *f, struct nexus *n);

#endif
