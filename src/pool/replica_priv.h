// SPDX-License-Identifier: Apache-2.0
/*
 * replica - an open replica, clone or snapshot, and its record in the catalog.
 *
 * Objects are opened when somebody uses or changes them (pool->open, by number) and
 * forgotten when nobody does and the record is in the catalog as it is here.
 */
#ifndef POOL_REPLICA_PRIV_H
#define POOL_REPLICA_PRIV_H

#include "bdev/replica.h"
#include "pool/pool_priv.h"
#include "pool/rio_priv.h"

enum record_flag {
	RECORD_THICK = 1 << 0,
	RECORD_SHARED = 1 << 1,
	RECORD_DISCARDED = 1 << 2, /* a snapshot that goes with its last clone */
	RECORD_UNCLEAN = 1 << 3,
	RECORD_PREPARED = 1 << 4, /* a snapshot that is not committed yet */
};

#define ENTITY_ID_MAX 63u

/*
 * Catalog value, TREE_CATALOG (480 bytes):
 *	0    1   kind          1   1  replica state     2 2 reserved   4 4 flags
 *	8    16  uuid          24  8  parent object (snapshot: its source, clone: its snapshot; 0: none)
 *	32   8   size, bytes   40  8  mapped clusters
 *	48   8   txg created   56  8  wall clock created, ns
 *	64   4   snapshots     68  4  clones
 *	72   40  map tree      112 40 attr tree
 *	152  8   fence         160 8  incarnation bump      168 16 generation
 *	184  16  volume uuid
 *	200  1+64 name         265 1+63 entity id
 *	329  3   reserved      332 4 how many of the snapshots are prepared, not committed
 *	336  ... reserved
 *
 * Kind: 0 replica, 1 snapshot, 2 clone. State: 0 new, 1 in sync, 2 inconsistent, 3 outdated.
 * Flags: 1 thick, 2 shared, 4 discarded (goes with its last clone), 8 unclean, 16 prepared (a
 * snapshot that is not seen until it is committed).
 */
struct record {
	enum replica_kind kind;
	uint8_t state; /* enum replica_state */
	uint32_t flags;
	struct uuid uuid, volume;
	uint64_t parent, size_bytes, mapped, txg, wall_ns;
	uint32_t snapshots, clones;
	uint32_t prepared; /* of the snapshots */
	struct tree_root map, attr;
	uint64_t fence, incarnation;
	struct replica_gen gen;
	char name[POOL_NAME_MAX + 1];
	char entity_id[ENTITY_ID_MAX + 1];
};

void record_encode(const struct record *record, uint8_t value[CATALOG_VALUE_SIZE]);
/* -EILSEQ: a field is out of its limits. */
MUST_USE int record_decode(const uint8_t value[CATALOG_VALUE_SIZE], struct record *ret);

struct replica {
	struct pool *pool;
	uint64_t object;
	struct record rec;     /* as the open transaction has it */
	struct tree_root seen; /* map tree for readers (TX2) */
	struct tree_root seen_attr;
	struct control *control; /* owned; NULL: nobody has asked for it */
	unsigned uses;		 /* bdevs open on it, and calls at work */
	bool dirty;		 /* rec is to be put into the catalog */
	bool gone;		 /* destroyed: forget it when unused */
	struct list_link dirty_link;
	struct rio rio; /* the I/O path's part */
};

static inline bool replica_is_read_only(const struct replica *rep)
{
	return rep->rec.kind == REPLICA_SNAPSHOT;
}

#endif
