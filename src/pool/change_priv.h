// SPDX-License-Identifier: Apache-2.0
/*
 * change - an operation on a replica, snapshot or clone that exists: found, done by the
 * commit, let go of.
 */
#ifndef POOL_CHANGE_PRIV_H
#define POOL_CHANGE_PRIV_H

#include "pool/catalog_priv.h"

struct change {
	struct replica *rep;
	const char *name;     /* rename, snapshot, clone: the new one */
	struct record record; /* snapshot, clone */
	uint64_t size_bytes;
	uint32_t flags_set, flags_clear;
	const char *entity_id;
	bool any; /* also what is not to be seen */
};

/*
 * Find it by name or uuid, let the commit check and run it (commit_priv.h; arg is the change), let
 * go of it. gate: with its I/O at a stand.
 */
typedef int (*change_fn)(struct fiber *f, struct pool *pool, void *arg);
MUST_USE int change_do(struct fiber *f, struct pool *pool, const char *name, struct change *change,
		       bool gate, change_fn check, change_fn run);

/* -ENOENT: it was destroyed meanwhile. */
MUST_USE int change_check_there(struct fiber *f, struct replica *rep);

/* The uuid that was given, or a new one. */
void change_take_uuid(struct fiber *f, const struct uuid *given, struct uuid *ret);

/* Is there room for what metadata one more object will need (SP5)? */
MUST_USE int change_check_metadata(struct fiber *f, struct pool *pool);

/* The same; may the sum of all sizes grow by this? And is there room for a promise? */
MUST_USE int change_check_room(struct fiber *f, struct pool *pool, uint64_t more_bytes, bool thick);

static inline uint64_t change_clusters(const struct pool *pool, uint64_t bytes)
{
	return div_up_u64(bytes, pool->super.cluster_bytes);
}

/* A clone has gone: its snapshot may have waited for that. In a transaction. */
MUST_USE int snapshot_clone_gone(struct fiber *f, struct pool *pool, uint64_t snapshot);

#endif
