/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - thin volumes, snapshots and clones on any set of disks, safe against power cuts.
 *
 * This folder, from the bottom: format (bytes), disk, cache (pages), refs (counts of
 * pages), space (counts of clusters), tree (copy-on-write B+trees), log (intent log), delta
 * (mappings not yet in a tree), txn (the commit), map (where a block is), replica, snapshot,
 * attr (the catalog), reap (taking down), io (the disk a replica is), pool, import, check.
 *
 * A pool lives on one reactor, its home: the one it was created or imported on. Calls
 * here are made there, by fibers; the bdevs `pool:///POOL/REPLICA` may be used from any.
 *
 * P1.  What was flushed, or written with FUA, or written to disks without a volatile cache,
 *      is there after any crash; what was not is old or new, block by block, never foreign.
 * P2.  Nothing that the newest durable superblock reaches is written in place but data of
 *      clusters that one replica alone owns.
 * P3.  A cluster or page is reused only two transactions after it was freed, and after every
 *      bio that could still use it has completed.
 * P4.  A block never written reads as zeros: nobody sees what a former owner left.
 * P5.  Only the commit fiber changes trees and counts; everyone else reads or uses the delta.
 * P6.  Bytes from a disk are never asserted: what is wrong is reported, and costs what it holds.
 * P7.  Freeing never needs space that is not reserved for it.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/uuid.h"

struct bdev_driver;
struct err;
struct fiber;
struct io;
struct pool;
struct pool_table;
struct replica;

#define POOL_NAME_LEN_MAX      64u
#define POOL_POOLS_MAX	       256u
#define POOL_REPLICAS_MAX      (1u << 20)
#define POOL_REPLICA_BYTES_MAX (1ull << 50)
#define POOL_CACHE_DEFAULT     (64ull << 20)

/* ---- pools ------------------------------------------------------------------- */

struct pool_create_args {
	const char *name;	  /* 1..64 of [A-Za-z0-9._-], not starting with '.' or '-' */
	const struct uuid *uuid;  /* NULL: a new one */
	const char *const *disks; /* URIs */
	unsigned disk_count;
	uint32_t cluster_bytes;	     /* 0: default 64 KiB; power of two, 16 KiB..1 MiB */
	uint64_t cache_bytes;	     /* 0: default */
	uint32_t overcommit_percent; /* 0: default 200 */
	bool force;		     /* take disks that bear something else */
};

/* Errors: -EINVAL, -EEXIST (name in use), -EBUSY (disk in use), -EMEDIUMTYPE (disk bears something: what is said), -ENOSPC (too small). */
MUST_USE int pool_create(struct fiber *f, const struct pool_create_args *args, struct pool **ret);

/* What a disk says of the pool that it belongs to. */
struct pool_label {
	char name[POOL_NAME_LEN_MAX + 1]; /* of the pool, when the disk joined */
	struct uuid pool, disk;
	unsigned disk_number;
	uint32_t cluster_bytes;
	uint64_t size_bytes; /* so much of the disk is used */
};

/* Only looks. -ENOMSG: the disk bears no pool; -EILSEQ: a damaged label; -EPROTO: a later version. */
MUST_USE int pool_look(struct fiber *f, const char *uri, struct pool_label *ret);

/* Rules of the safety protocol that it has a part in; without them data are lost. For tests. */
enum pool_rule {
	POOL_RULE_INCARN = 1 << 0,
};

struct pool_import_args {
	const char *const *disks; /* URIs, in any order */
	unsigned disk_count;
	const char *name; /* NULL: whatever it is called */
	uint64_t cache_bytes;
	bool read_only;	    /* nothing is written; also what a damaged pool falls back to */
	unsigned rules_off; /* enum pool_rule; 0 but in tests of the tests */
};

/* -ENODEV names a missing disk; -ENOENT: no pool there; -EILSEQ: damaged beyond use, with what is wrong. */
MUST_USE int pool_import(struct fiber *f, const struct pool_import_args *args, struct pool **ret);

/* Everything durable, marked clean, disks closed. -EBUSY while a replica is open. */
MUST_USE int pool_export(struct fiber *f, struct pool *pool);

/* Labels and superblocks wiped. -EBUSY while a replica is open; -ENOTEMPTY with replicas unless forced. */
MUST_USE int pool_destroy(struct fiber *f, struct pool *pool, bool force);

/* Look at the sizes of the disks again and use what they grew by. */
MUST_USE int pool_grow(struct fiber *f, struct pool *pool);
MUST_USE int pool_add_disk(struct fiber *f, struct pool *pool, const char *uri, bool force);

enum pool_state { POOL_ONLINE, POOL_READ_ONLY, POOL_FAULTED };

struct pool_info {
	char name[POOL_NAME_LEN_MAX + 1];
	struct uuid uuid;
	enum pool_state state;
	char why[128]; /* READ_ONLY, FAULTED: the reason */
	uint32_t cluster_bytes, disks;
	uint64_t capacity_bytes;  /* usable for data and metadata */
	uint64_t used_bytes;	  /* data, exact */
	uint64_t metadata_bytes;  /* metadata clusters */
	uint64_t reserved_bytes;  /* metadata reserve and thick replicas, not yet used */
	uint64_t committed_bytes; /* sum of the sizes of all replicas */
	bool reaping;		  /* space of what was destroyed is still coming back */
	uint32_t overcommit_percent;
	uint64_t replicas, snapshots;
	uint64_t txg, incarnation;
};

void pool_info(struct pool *pool, struct pool_info *ret);
struct pool *pool_find(struct fiber *f, const char *name_or_uuid); /* NULL, worded */
int pool_each(struct fiber *f, int (*fn)(void *ctx, struct pool *pool), void *ctx);

/* Everything acknowledged so far is in the trees and durable. */
MUST_USE int pool_sync(struct fiber *f, struct pool *pool);

/* Wait until nothing is left to take down (tests, `pool export --wait`). */
MUST_USE int pool_reap_wait(struct fiber *f, struct pool *pool);

enum pool_event {
	POOL_EVENT_WATERMARK_80,
	POOL_EVENT_WATERMARK_90,
	POOL_EVENT_FULL,
	POOL_EVENT_RELIEVED,
	POOL_EVENT_STATE
};
/*
 * WATERMARK_80, _90: so much of what data can have is used or promised; FULL: nothing is left, or a
 * write failed for want of space; RELIEVED: it went down again, 2 % below a mark; STATE: faulted.
 * Told once each time, from the pool's reactor; the function does not suspend. Whoever asks is
 * told at once of marks that are passed already.
 */
typedef void (*pool_event_fn)(void *ctx, struct pool *pool, enum pool_event event);
void pool_on_event(struct pool *pool, pool_event_fn fn, void *ctx);

/* Counters since import: what each operation costs. */
struct pool_io_stats {
	uint64_t commits, commit_pages, commit_ns;
	uint64_t log_writes, log_pages, log_entries, log_replayed;
	uint64_t disk_flushes;
	uint64_t first_writes, block_writes, copies, copied_bytes;
	uint64_t reads_zero, lookups_hit, lookups_miss;
	uint64_t pages_read, cache_bytes, cache_evicted;
};

void pool_io_stats(struct pool *pool, struct pool_io_stats *ret);

/* ---- replicas, snapshots, clones ------------------------------------------------ */

enum replica_kind { REPLICA_PLAIN, REPLICA_SNAPSHOT, REPLICA_CLONE };

struct replica_create_args {
	const char *name;
	const struct uuid *uuid; /* NULL: a new one */
	uint64_t size_bytes;	 /* > 0; rounded up to whole clusters */
	bool thick;
	const char *entity_id; /* NULL: none */
};

struct replica_stat {
	char name[POOL_NAME_LEN_MAX + 1];
	struct uuid uuid;
	enum replica_kind kind;
	char parent[POOL_NAME_LEN_MAX + 1]; /* of a snapshot: its source; of a clone: its snapshot */
	struct uuid parent_uuid;
	char entity_id[64];
	uint64_t size_bytes;
	uint64_t allocated_bytes;      /* mapped clusters, shared ones included; exact */
	bool thick, shared, discarded; /* discarded: a snapshot that goes with its last clone */
	uint32_t clones, snapshots;
	uint64_t txg, wall_ns; /* created */
};

MUST_USE int replica_create(struct fiber *f, struct pool *pool,
			    const struct replica_create_args *args);
MUST_USE int replica_destroy(struct fiber *f, struct pool *pool,
			     const char *name); /* also a clone; a snapshot: see snapshot_destroy */
MUST_USE int replica_resize(struct fiber *f, struct pool *pool, const char *name,
			    uint64_t size_bytes);
MUST_USE int replica_rename(struct fiber *f, struct pool *pool, const char *name, const char *to);
MUST_USE int replica_stat(struct fiber *f, struct pool *pool, const char *name_or_uuid,
			  struct replica_stat *ret);
int replica_each(struct fiber *f, struct pool *pool,
		 int (*fn)(void *ctx, const struct replica_stat *stat), void *ctx);

/* Attributes: what others keep with a replica. */
MUST_USE int replica_set_shared(struct fiber *f, struct pool *pool, const char *name, bool shared);
MUST_USE int replica_set_entity(struct fiber *f, struct pool *pool, const char *name,
				const char *entity_id);
#define REPLICA_HOSTS_MAX    64u
#define REPLICA_HOST_LEN_MAX 223u
MUST_USE int replica_set_hosts(struct fiber *f, struct pool *pool, const char *name,
			       const char *const *hosts, unsigned count);
MUST_USE int replica_get_hosts(struct fiber *f, struct pool *pool, const char *name,
			       int (*fn)(void *ctx, const char *host), void *ctx);

MUST_USE int snapshot_create(struct fiber *f, struct pool *pool, const char *replica,
			     const char *name, const struct uuid *uuid);
MUST_USE int snapshot_destroy(struct fiber *f, struct pool *pool,
			      const char *name); /* with clones: remembered */
MUST_USE int clone_create(struct fiber *f, struct pool *pool, const char *snapshot,
			  const char *name, const struct uuid *uuid);

/* By a walk of its map; cancel the fiber to stop it. exclusive: freed if it were destroyed now. */
struct replica_usage {
	uint64_t referenced_bytes, exclusive_bytes;
};
MUST_USE int replica_usage(struct fiber *f, struct pool *pool, const char *name,
			   struct replica_usage *ret);

/* ---- check ------------------------------------------------------------------------ */

struct pool_check_result {
	uint64_t pages, clusters, objects, log_records;
	uint64_t errors; /* inconsistencies */
	uint64_t leaked_clusters, leaked_pages;
	uint64_t lost_bytes; /* data no longer reachable */
};

typedef void (*pool_check_say_fn)(void *ctx, const char *line);

/* Offline: opens the disks read-only, changes nothing. 0 also when errors were found: see the result. */
MUST_USE int pool_check(struct fiber *f, const char *const *disks, unsigned count,
			pool_check_say_fn say, void *ctx, struct pool_check_result *ret);
MUST_USE int pool_dump(struct fiber *f, const char *const *disks, unsigned count,
		       pool_check_say_fn say, void *ctx);

/* ---- the node's table, and the driver ------------------------------------------------ */

MUST_USE int pool_table_new(struct io *io, struct pool_table **ret);
void pool_table_free(struct pool_table *table); /* all exported */

extern const struct bdev_driver pool_driver; /* pool:///POOL/REPLICA */

#endif
