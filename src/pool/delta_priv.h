// SPDX-License-Identifier: Apache-2.0
/*
 * delta - changes of mappings that are not yet in a tree.
 *
 *	put --> CURRENT --cut--> APPLYING --publish--> gone: the trees have them
 *
 * Two tables (object, logical cluster) -> cluster and valid blocks, or a hole. Look-ups ask
 * the current one, then the applying one, then the tree.
 *
 * DE1. The mapping of a cluster is what the first of current, applying, tree says.
 * DE2. A put never fails: who will put has promised so (delta_promise), one new entry per
 *      promise and transaction; count + promised <= room.
 * DE3. An entry that is not DELTA_SHARED names a cluster that nobody else maps: it may be
 *      written in place. (A snapshot first brings all entries into the tree.)
 * DE4. FRESH: the cluster was claimed for this entry and has no count yet. If such an entry is
 *      replaced, its cluster stays claimed until the transaction frees it (space_drop).
 * DE5. UNLOGGED entries (disks with volatile caches) are linked, each once, in the order in
 *      which they came.
 */
#ifndef POOL_DELTA_PRIV_H
#define POOL_DELTA_PRIV_H

#include "pool/format.h"
#include "pool/names_priv.h"

struct fiber;
struct mem;
struct pool;
struct replica;

#define DELTA_ROOM_MIN 8192u	/* entries of a table: at least the promises there can be */
#define DELTA_ROOM_MAX 65536u	/* ... at most, but for replay */
#define DELTA_REPLAY_MAX (1u << 20)

enum delta_flag {
	DELTA_SHARED = 1 << 0,	 /* look no further: to be copied before it is written */
	DELTA_FRESH = 1 << 1,	 /* DE4 */
	DELTA_UNLOGGED = 1 << 2, /* DE5 */
	DELTA_THICK = 1 << 3,	 /* FRESH, from what was promised to its replica */
};

struct delta_entry {
	uint64_t object, lcluster;
	uint64_t cluster; /* 0: a hole */
	uint32_t valid;
	uint32_t flags;
	uint32_t next;	  /* DE5: index + 1 */
};

struct delta_table {
	struct delta_entry *entries; /* owned, in the order they came */
	uint32_t *index;	     /* owned; 2 * room slots: number + 1 */
	uint32_t *order;	     /* owned; 2 * room: for sorting */
	uint32_t count, room;
	uint32_t unlogged_first, unlogged_last, unlogged; /* number + 1, and how many */
	uint32_t frees;		     /* puts that will free a cluster */
	struct names dropped;	     /* DE4 */
};

struct delta {
	struct delta_table table[2];
	unsigned now;	  /* the current one */
	bool applying;
	uint32_t promised;
	uint64_t cuts;	  /* how often there was one */
};

MUST_USE int delta_init(struct pool *pool);
void delta_fini(struct pool *pool);

/* DE1: NULL if the tree has it. Valid until something is put. */
const struct delta_entry *delta_find(const struct pool *pool, uint64_t object, uint64_t lcluster);

/* DE2. false: no room now: wait for the next cut (it has been asked for). */
bool delta_promise(struct pool *pool);
void delta_unpromise(struct pool *pool);

/* A mapping to be put. */
struct delta_put {
	struct replica *rep; /* NULL: a test: nobody counts */
	uint64_t object, lcluster;
	uint64_t cluster; /* 0: a hole */
	uint32_t valid;
	uint32_t flags;
	bool was_mapped;  /* counted in what is allocated until now */
	bool frees;	  /* another cluster was mapped here: it will be free */
};

void delta_put(struct pool *pool, const struct delta_put *put);

/* Replay: room for so many more. -ENOMEM, -ENOSPC (DELTA_REPLAY_MAX). */
MUST_USE int delta_reserve(struct pool *pool, uint32_t more);

/* The lowest mapping or hole of the object in [from, end), or end. */
uint64_t delta_seek(const struct pool *pool, uint64_t object, uint64_t from, uint64_t end);

/* Take the unlogged entries of the current table: logged from now on. At most max; returns how many. */
uint32_t delta_take_unlogged(struct pool *pool, struct delta_entry *ret, uint32_t max);

static inline bool delta_none(const struct delta *delta)
{
	return delta->table[0].count == 0 && delta->table[1].count == 0;
}

/* Of the transaction to come: nothing to apply. */
bool delta_is_empty(const struct pool *pool);
/* Clusters will be free when what is here has been committed. */
bool delta_frees(const struct pool *pool);
/* Entries of the current table that no log record tells of. */
uint32_t delta_unlogged(const struct pool *pool);

/* ---- the commit ------------------------------------------------------------------------ */

/* Current becomes applying. */
void delta_cut(struct pool *pool);

typedef int (*delta_fn)(struct fiber *f, void *ctx, uint64_t object, uint64_t lcluster,
			const struct map_value *value);

/* Each applying entry in order of (object, logical cluster); value->cluster 0: a hole. */
MUST_USE int delta_apply(struct fiber *f, struct pool *pool, delta_fn fn, void *ctx);

/* The trees have it. */
void delta_publish(struct pool *pool);

#endif
