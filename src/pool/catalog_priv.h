// SPDX-License-Identifier: Apache-2.0
/*
 * catalog - which replicas and snapshots there are: by object, by name, by uuid.
 *
 * The names tree has two entries an object: under the hash of its name (top bit 0) and
 * under that of its uuid (top bit 1); up to 256 that collide stand beside each other.
 */
#ifndef POOL_CATALOG_PRIV_H
#define POOL_CATALOG_PRIV_H

#include "pool/replica_priv.h"

/* The open object, opened from the catalog if need be; counted: replica_put(). -ENOENT unworded. */
MUST_USE int replica_get(struct fiber *f, struct pool *pool, uint64_t object, struct replica **ret);
void replica_put(struct replica *rep);

/* By name or uuid, as readers see it. -ENOENT, worded. any: snapshots that are prepared only, too. */
MUST_USE int replica_find_any(struct fiber *f, struct pool *pool, const char *name_or_uuid,
			      struct replica **ret);
MUST_USE int replica_find(struct fiber *f, struct pool *pool, const char *name_or_uuid,
			  struct replica **ret);
/* Is a name (or uuid, if not NULL) taken? 0, -EEXIST worded. */
MUST_USE int catalog_check_free(struct fiber *f, struct pool *pool, const char *name,
				const struct uuid *uuid);
MUST_USE int catalog_check_name(struct fiber *f, const char *what, const char *name);

/* ---- by the commit fiber, in a transaction --------------------------------------------- */

/* As the open transaction has it; counted. -ENOENT unworded. */
MUST_USE int catalog_find_uuid(struct fiber *f, struct pool *pool, const struct uuid *uuid,
			       struct replica **ret);
/* A new object from this record: named, opened (counted), to be put by catalog_settle(). */
MUST_USE int catalog_add(struct fiber *f, struct pool *pool, const struct record *record,
			 struct replica **ret);
/* Out of the catalog; its trees go to the dead. The struct stays until unused. */
MUST_USE int catalog_remove(struct fiber *f, struct replica *rep);
MUST_USE int catalog_rename(struct fiber *f, struct replica *rep, const char *name);
/* Its record has changed. */
void replica_dirty(struct replica *rep);
/* Put the records of all that changed. */
MUST_USE int catalog_settle(struct fiber *f, struct pool *pool);
/* The transaction is published: readers see the new maps; unused objects are forgotten. */
void catalog_publish(struct pool *pool);

/* ---- replica.c, snapshot.c, by the commit fiber in a transaction ------------------------------------- */

/* May there be another snapshot, with this name and uuid? May the replica have this size? */
MUST_USE int snapshot_may_be(struct fiber *f, struct replica *source, const char *name,
			     const struct uuid *uuid);
MUST_USE int replica_may_grow(struct fiber *f, struct replica *rep, uint64_t size_bytes);
/* record: kind, flags, uuid, what else is given; the rest is filled in. Its gate is closed. */
MUST_USE int snapshot_make(struct fiber *f, struct replica *source, const char *name,
			   struct record *record);
MUST_USE int snapshot_remove(struct fiber *f, struct replica *snap);
void replica_grow(struct replica *rep, uint64_t size_bytes);

/* ---- reap.c ------------------------------------------------------------------------------ */

/* A tree that has lost its owner. */
MUST_USE int reap_add(struct fiber *f, struct pool *pool, enum tree_kind kind,
		      const struct tree_root *root);
/* Take down a bounded part of what is dead. */
MUST_USE int reap_step(struct fiber *f, struct pool *pool);

#endif
