/* SPDX-License-Identifier: Apache-2.0 */
/*
 * missed_priv - members that are away, and the maps of what they have missed since. See missed.c,
 * missed_load.c.
 */
#ifndef NEXUS_MISSED_PRIV_H
#define NEXUS_MISSED_PRIV_H

#include "base/list.h"
#include "base/uuid.h"
#include "bdev/replica.h"
#include "nexus/mask_priv.h"
#include "reactor/wait.h"

struct fiber;
struct nexus;
struct nexus_child;
struct nexus_child_info;
struct nexus_req;

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

#endif
