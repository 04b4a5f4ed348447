// SPDX-License-Identifier: Apache-2.0
/* pool_priv - struct pool: what the files of this folder share. */
#ifndef POOL_POOL_PRIV_H
#define POOL_POOL_PRIV_H

#include "base/map.h"
#include "io/io.h"
#include "pool/cache_priv.h"
#include "pool/commit_priv.h"
#include "pool/disk_priv.h"
#include "pool/format.h"
#include "pool/pool.h"
#include "pool/refs_priv.h"
#include "pool/rio_priv.h"
#include "pool/space_priv.h"
#include "pool/tree_priv.h"
#include "pool/txn_priv.h"
#include "pool/watermark_priv.h"
#include "reactor/wait.h"

/* The trees as readers may use them (TX2). */
struct pool_roots {
	struct tree_root catalog, names, space, many;
};

struct pool {
	struct reactor *home;
	struct mem *mem;
	enum pool_state state;
	char why[128];
	uint64_t txg_skip; /* transactions left out by the first commit (import.c) */
	bool damaged; /* imported from an older transaction */
	bool is_shut;	  /* imported or created as yet, or about to go: nobody opens a replica */
	unsigned opening; /* replicas that somebody is looking for, to open them */

	uint32_t cluster_shift;	     /* log2 of its bytes */
	uint32_t blocks_per_cluster; /* of POOL_BLOCK */
	uint32_t pages_per_cluster;

	struct super super; /* as the open transaction has it */
	struct pool_roots seen;
	struct pool_disk disks[POOL_DISKS_MAX];

	struct cache cache;
	struct refs refs;
	struct space space;
	struct txn txn;
	struct commit commit;
	struct delta delta;
	struct intent intent;
	struct rio_pool rio;
	struct map_u64 open;	    /* object -> struct replica, owned */
	struct list dirty_replicas; /* struct replica.dirty_link */
	struct list controls;	    /* struct control.link */
	struct pool_table *table;   /* borrowed; where it is listed */
	struct list_link link;	    /* in the table */
	enum watermark watermark; /* the highest that was told */
	pool_event_fn event_fn;
	void *event_ctx;
	struct pool_io_stats stats;
};

/* Sizes derived from super.cluster_bytes; empty cache, counts and space. */
void pool_engine_init(struct pool *pool, uint64_t cache_bytes);
void pool_engine_fini(struct pool *pool);

/* For good: nothing is written any more. Reads go on. */
void pool_fault(struct pool *pool, const char *why);

#endif
