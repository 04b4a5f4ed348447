// SPDX-License-Identifier: Apache-2.0
/*
 * map - where a cluster of a replica is: TLB, delta, tree.
 *
 * The TLB is a direct-mapped table of a replica: logical cluster -> cluster, valid blocks, and
 * what may be done with it; a hit is one probe. It is only a copy: what is put into the delta
 * is put into it, too; a snapshot empties it.
 *
 * Beside it a smaller table has runs: TLB_RUN clusters whose entries were all there, fully valid,
 * alike in what may be done, and neighbours on a disk, as sequential allocation makes most of them.
 * They take so little memory that they are in the processor's cache when an entry is not. A run is
 * found by the entries, when several bios have missed it, and ends with any change of one of them.
 *
 * MP1. An entry of the TLB, and a run, say what the delta says, or the tree if that says nothing.
 * MP2. TLB_EXCLUSIVE: no other replica or snapshot maps the cluster, as of what is durable: it may
 *      be written in place. A cluster stops being shared for good only when the transaction in
 *      which the other let go of it is durable; until then it counts as shared (-EINPROGRESS).
 * MP3. TLB_DURABLE: the mapping is there after a crash, so a write in place with FUA is durable.
 * MP4. A look-up that has suspended is good for nothing but filling the cache: what it found
 *      may be old. The answer is made without suspending.
 */
#ifndef POOL_MAP_PRIV_H
#define POOL_MAP_PRIV_H

#include "pool/format.h"

struct fiber;
struct pool;
struct replica;

#define TLB_ENTRIES_MIN 64u /* of one that nobody has open */
#define TLB_ENTRIES_MAX (1u << 18)
#define TLB_SHARE	16u /* of the cache's limit: what the TLB of one replica may take ... */
#define TLB_SHARE_ALL	2u  /* ... and those of all of them */

#define TLB_DURABLE (UINT64_C(1) << 59)
#define TLB_KINDS   60u /* 1 << bio_kind() of what may be done in place, from this bit on */
#define TLB_EXCLUSIVE (UINT64_C(1) << (TLB_KINDS + 1)) /* a WRITE */
#define TLB_CLUSTER (TLB_DURABLE - 1)

struct tlb_entry {
	uint64_t where; /* cluster, 0: a hole; and flags */
	uint32_t valid;
	uint32_t tag; /* lcluster >> bits, + 1; 0: empty */
};

#define TLB_RUN_SHIFT 6u
#define TLB_RUN	      (1u << TLB_RUN_SHIFT) /* clusters of a run; it begins at a multiple of that */
#define TLB_RUN_TRIES 64u /* misses until a run is looked for (again); a power of two */

struct tlb_run {
	uint64_t where; /* of its first cluster */
	uint32_t tag;	/* as of an entry; 0: none */
	uint32_t misses;
};

struct tlb {
	struct tlb_entry *at; /* owned, unless it is `few` */
	uint32_t mask;
	uint32_t bits;
	struct tlb_run *runs;  /* behind the entries, or none_run */
	uint32_t run_mask;
	uint32_t run_bits;
	struct tlb_entry *few; /* borrowed; TLB_ENTRIES_MIN */
	struct tlb_run none_run;
};

struct map_place {
	uint64_t cluster; /* 0: a hole */
	uint32_t valid;
	bool exclusive, durable;
	bool in_tree_only; /* not in the delta */
};

void tlb_init(struct tlb *tlb, struct tlb_entry few[TLB_ENTRIES_MIN]);
/* Somebody opens it: empty, and as large as may be. Back again: it holds nothing that is owned. */
void tlb_grow(struct tlb *tlb, struct pool *pool, uint64_t size_bytes);
void tlb_shrink(struct tlb *tlb, struct pool *pool);
void tlb_flush(struct tlb *tlb);

static inline struct tlb_entry *tlb_slot(const struct tlb *tlb, uint64_t lcluster)
{
	return &tlb->at[lcluster & tlb->mask];
}

static inline bool tlb_hits(const struct tlb *tlb, const struct tlb_entry *entry, uint64_t lcluster)
{
	return entry->tag == (uint32_t)(lcluster >> tlb->bits) + 1;
}

static inline struct tlb_run *tlb_run_slot(const struct tlb *tlb, uint64_t lcluster)
{
	return &tlb->runs[lcluster >> TLB_RUN_SHIFT & tlb->run_mask];
}

static inline bool tlb_run_hits(const struct tlb *tlb, const struct tlb_run *run, uint64_t lcluster)
{
	return run->tag == (uint32_t)(lcluster >> TLB_RUN_SHIFT >> tlb->run_bits) + 1;
}

/* A bio has missed the run it would be in: is it time to look for it? */
static inline bool tlb_run_missed(struct tlb *tlb, uint64_t lcluster)
{
	return ++tlb_run_slot(tlb, lcluster)->misses % TLB_RUN_TRIES == 0;
}

/* Look for a run around this cluster; valid: bits of a cluster that is valid all over. */
void tlb_run_try(struct tlb *tlb, uint64_t lcluster, uint32_t valid);

/* READs may, WRITEs if MP2 lets them, with FUA if MP3 does. */
static inline uint64_t tlb_kinds(const struct map_place *place)
{
	uint64_t write = place->exclusive ? 2 : 0, fua = place->exclusive && place->durable ? 8 : 0;

	return (5 | write | fua) << TLB_KINDS;
}

static inline void tlb_set(struct tlb *tlb, uint64_t lcluster, const struct map_place *place)
{
	struct tlb_run *run = tlb_run_slot(tlb, lcluster);

	if (tlb_run_hits(tlb, run, lcluster))
		run->tag = 0; /* MP1 */
	*tlb_slot(tlb, lcluster) = (struct tlb_entry){
		.where = place->cluster | tlb_kinds(place) | (place->durable ? TLB_DURABLE : 0),
		.valid = place->valid,
		.tag = (uint32_t)(lcluster >> tlb->bits) + 1,
	};
}

/*
 * Where it is, never suspends. to_write: the answer to place->exclusive is needed, too; without it
 * false may mean "not known". -EAGAIN: map_load() and ask again; -EINPROGRESS (to_write): not
 * before the commit under way is durable (MP2); -EIO: the mapping makes no sense.
 */
MUST_USE int map_peek(struct replica *rep, uint64_t lcluster, bool to_write, struct map_place *ret);

/* Bring into the cache what map_peek() needs. */
MUST_USE int map_load(struct fiber *f, struct replica *rep, uint64_t lcluster, bool to_write);

/* The lowest in [from, end) that may be mapped, or end. */
MUST_USE int map_seek(struct fiber *f, struct replica *rep, uint64_t from, uint64_t end,
		      uint64_t *ret);
/* The same of a tree that nobody changes meanwhile. */
MUST_USE int map_seek_root(struct fiber *f, struct pool *pool, uint64_t object,
			   struct tree_root *root, uint64_t from, uint64_t end, uint64_t *ret);

/* Does a mapping from a disk lead to a place where data can be (P6)? */
bool map_value_ok(const struct pool *pool, const struct map_value *value);

#endif
