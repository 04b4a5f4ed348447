/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replica - optional: what a nexus needs of a replica beyond reading and writing.
 *
 * Implemented by pool replicas, carried by our NVMe/TCP target and initiator as vendor
 * commands. Everything here is durable when the call returns, unless said otherwise. The
 * rules are those of the safety protocol: FENCE, SESSION, INCARN, RESYNC, ATTACH.
 *
 * R1. tok = epoch << 16 | session. A bio (bio.token) or call with a token below the fence
 *     is refused with -ESTALE at the time it is executed, reads included.
 * R2. fence() returns only after every bio with an older token that had reached the device
 *     has completed; afterwards none will land.
 * R3. The fence never goes down.
 * R4. The incarnation changes at every import after an unclean stop.
 */
#ifndef BDEV_REPLICA_H
#define BDEV_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/uuid.h"

struct bdev_chan;
struct fiber;

#define REPLICA_REGION_BYTES_DEFAULT (4u << 20)
#define REPLICA_AL_REGIONS_DEFAULT 1024u
#define REPLICA_MISS_SLOTS 2
#define REPLICA_MEMBERS_MAX 16

enum replica_state { REPLICA_NEW, REPLICA_IN_SYNC, REPLICA_INCONSISTENT, REPLICA_OUTDATED };

/* Generation: minted by the owner of `epoch`; ordered by (epoch, n). */
struct replica_gen {
	uint64_t epoch, n;
};

struct replica_info {
	struct uuid volume, replica;
	uint64_t fence;
	uint64_t incarnation;
	struct replica_gen gen;
	enum replica_state state;
	bool unclean; /* writes may be in flight: cleared by a clean close */
	bool faulted; /* writes fail, though reads may go on, until it is opened anew */
	uint32_t region_bytes;
	uint64_t regions;
	struct uuid members[REPLICA_MEMBERS_MAX]; /* the member list that goes with gen */
	unsigned member_count;
	struct {
		struct uuid peer; /* all zero: free */
		struct replica_gen peer_gen;
		uint64_t dirty_regions;
	} miss[REPLICA_MISS_SLOTS];
};

/* What set() changes; every field but `token` and `which` only if its bit is set. */
enum replica_set_bit {
	REPLICA_SET_VOLUME = 1 << 0,
	REPLICA_SET_GEN = 1 << 1, /* with the member list */
	REPLICA_SET_STATE = 1 << 2,
	REPLICA_SET_UNCLEAN = 1 << 3,
};

enum replica_al_op { REPLICA_AL_SET, REPLICA_AL_CLEAR };

struct bdev_replica_ops {
	int (*info)(struct fiber *f, struct bdev_chan *chan, struct replica_info *ret);
	int (*fence)(struct fiber *f, struct bdev_chan *chan, uint64_t token);
	int (*set)(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned which,
		   const struct replica_info *info);

	/* Activity log: regions that may differ between members; ceil(regions / 64) words. */
	int (*al_get)(struct fiber *f, struct bdev_chan *chan, uint64_t *ret_words, uint64_t count);
	int (*al_update)(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			 enum replica_al_op op, const uint64_t *regions, unsigned count);

	/* Missed-write maps, one per absent peer. -ENOSPC: both slots are taken by others. */
	int (*miss_open)(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			 const struct uuid *peer, struct replica_gen peer_gen, unsigned *ret_slot);
	int (*miss_add)(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot,
			const uint64_t *regions, unsigned count);
	int (*miss_get)(struct fiber *f, struct bdev_chan *chan, unsigned slot,
			uint64_t *ret_words, uint64_t count);
	int (*miss_drop)(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot);

	/* Snapshots in two phases: prepared is durable but not visible until commit. Idempotent. */
	int (*snap_prepare)(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			    const struct uuid *snap, const char *name);
	int (*snap_commit)(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			   const struct uuid *snap);
	int (*snap_abort)(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			  const struct uuid *snap);

	/* Grow; idempotent; a smaller size is refused. */
	int (*resize)(struct fiber *f, struct bdev_chan *chan, uint64_t token, uint64_t blocks);
};

/* NULL: the disk is no replica (nor a stack on one that passes it on). */
const struct bdev_replica_ops *bdev_replica_ops(const struct bdev_chan *chan);

static inline uint64_t replica_token(uint64_t epoch, uint16_t session)
{
	return epoch << 16 | session;
}

#endif
