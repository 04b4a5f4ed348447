/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine - one storage node: its pools, replicas, snapshots, disks, shares and nexuses, and what of
 * them is kept over restarts. The gRPC services (service_*.c) are thin skins of what is here.
 *
 * This folder, from the bottom: drivers, stores, node (reactors), publish (a nexus's doors), state
 * and state_json (what is kept), engine (life), making (what is half made), share (NVMe/TCP doors
 * of replicas and disks), uses (who stands on what), pools, pool_disks, replicas, replica_make,
 * snapshots, disks, nexuses, nexus_make, nexus_serve, children, doors (of x1), figures, controllers,
 * host, events, metrics; then the services, and the daemon.
 *
 * EN1. What was acknowledged is there after a restart; what was begun and not acknowledged is either
 *      whole or gone: it is noted in the state (making) before the first byte, and undone at the start.
 * EN2. Creating what is there, with the same arguments, gives the same answer; with others -EEXIST.
 * EN3. Whatever suspends with a pool in hand has pinned it: a pool that is pinned is not given away.
 * EN4. Nothing here destroys data that it was not told to destroy: a pool with replicas, a disk that
 *      bears something, a snapshot with clones.
 *
 * Everything is called on the home reactor, by fibers. Names and uuids are interchangeable where
 * an argument is called name_or_uuid. Errors are worded: -ENOENT, -EEXIST, -EINVAL, -ENOSPC,
 * -EBUSY (in use: a precondition), -EAGAIN.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "bdev/bdev.h"
#include "nexus/nexus.h"
#include "nvmf/tgt.h"
#include "pool/pool.h"

struct bdev_env;
struct engine;
struct fiber;
struct log;
struct mem;
struct nbd_server;
struct publish;
struct store;

#define ENGINE_NODE_NAME_MAX 63u
#define ENGINE_NQN_PREFIX    "nqn.2019-05.io.openebs:"
#define ENGINE_URI_MAX	     1024u /* of a disk, a child, a share */
#define ENGINE_DISKS_MAX     32u   /* of a pool, as told to us */
#define ENGINE_BDEVS_MAX     1024u
#define ENGINE_NEXUSES_MAX   1024u
#define ENGINE_CREW_MAX	     16u /* nexuses that come back at the same time */
#define ENGINE_STATE_BYTES   (16u << 20)
#define ENGINE_TXN_MAX	     26u /* bytes of a snapshot's transaction id, with its entity id in 63 */

/* ---- the node ------------------------------------------------------------------------------- */

struct engine_opts {
	const char *node_name;
	const char *state_dir;	 /* made if it is not there */
	const char *store_uri;	 /* of volume records; NULL: a SQLite file in state_dir */
	const char *endpoint;	 /* HOST:PORT of its services, for others to call */
	const char *host;	 /* what clients find us by: goes into URIs */
	struct io_addr replicas; /* where the target listens; port 0: any */
	struct io_addr nexuses;	 /* may be the same */
	const char *sys_dir;	 /* "" : where sys, proc and run are */
	unsigned reactors;
	struct bdev_env *env; /* the node's: it learns of the target and the nexuses */
	struct log *log;      /* NULL: silent */
};

/*
 * Read the state, undo what was half made, import pools, share what was shared, open nexuses. What
 * cannot be had (a disk is away) is kept in the state, told in the log, and tried again.
 */
MUST_USE int engine_open(struct fiber *f, const struct engine_opts *opts, struct engine **ret);

/* Shares drained, nexuses left clean, pools exported and marked clean. */
void engine_close(struct fiber *f, struct engine *e);

/* ---- pools ---------------------------------------------------------------------------------- */

struct engine_pool_args {
	const char *name;
	const struct uuid *uuid;  /* NULL: any */
	const char *const *disks; /* URIs, or paths */
	unsigned disk_count;
	uint32_t cluster_bytes; /* 0: default */
};

struct engine_pool_info {
	struct pool_info pool;	  /* of one that is away: name, uuid, state FAULTED and why */
	const char *const *disks; /* as they were told; valid during the call */
	unsigned disk_count;
	uint64_t disk_bytes; /* of all disks */
};

typedef int (*engine_pool_fn)(void *ctx, const struct engine_pool_info *info);

/* On disks that bear this very pool it is imported. -EBUSY: they bear something else. fn sees it. */
MUST_USE int engine_pool_create(struct fiber *f, struct engine *e,
				const struct engine_pool_args *args, engine_pool_fn fn, void *ctx);
MUST_USE int engine_pool_import(struct fiber *f, struct engine *e,
				const struct engine_pool_args *args, engine_pool_fn fn, void *ctx);
/* uuid (or NULL) must be its, too. -EBUSY: a replica is in use by other than shares of ours. */
MUST_USE int engine_pool_export(struct fiber *f, struct engine *e, const char *name_or_uuid,
				const char *uuid);
/* -ENOTEMPTY: it has replicas. */
MUST_USE int engine_pool_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid,
				 const char *uuid);
/* fn sees it before and after. */
MUST_USE int engine_pool_grow(struct fiber *f, struct engine *e, const char *name_or_uuid,
			      const char *uuid, engine_pool_fn fn, void *ctx);
/* One more disk, as it is told: URI or path; one that it has already is the same answer. force: though it bears something. */
MUST_USE int engine_pool_add_disk(struct fiber *f, struct engine *e, const char *name_or_uuid,
				  const char *disk, bool force, engine_pool_fn fn, void *ctx);
/* fn does not suspend. */
int engine_pool_each(struct engine *e, engine_pool_fn fn, void *ctx);
/* -ENOENT. */
MUST_USE int engine_pool_show(struct fiber *f, struct engine *e, const char *name_or_uuid,
			      engine_pool_fn fn, void *ctx);

/* ---- replicas --------------------------------------------------------------------------------- */

struct engine_replica_args {
	const char *name, *uuid;
	const char *pool; /* name or uuid */
	uint64_t size_bytes;
	bool thin, share;
	const char *const *hosts; /* NQNs that may connect; none: all may */
	unsigned host_count;
	const char *entity_id; /* NULL or "": none */
};

struct engine_replica_info {
	struct replica_stat stat;
	const struct pool_info *pool;
	char uri[ENGINE_URI_MAX];
	char entity[64], txn[ENGINE_TXN_MAX + 1]; /* as they were told */
	const char *const *hosts;
	unsigned host_count;
};

typedef int (*engine_replica_fn)(void *ctx, const struct engine_replica_info *info);

MUST_USE int engine_replica_create(struct fiber *f, struct engine *e,
				   const struct engine_replica_args *args, engine_replica_fn fn,
				   void *ctx);
/* pool: NULL, or where it must be. -EBUSY: a nexus here uses it, or it has snapshots that need it. */
MUST_USE int engine_replica_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid,
				    const char *pool);
MUST_USE int engine_replica_share(struct fiber *f, struct engine *e, const char *name_or_uuid,
				  const char *const *hosts, unsigned host_count,
				  engine_replica_fn fn, void *ctx);
MUST_USE int engine_replica_unshare(struct fiber *f, struct engine *e, const char *name_or_uuid,
				    engine_replica_fn fn, void *ctx);
MUST_USE int engine_replica_resize(struct fiber *f, struct engine *e, const char *name_or_uuid,
				   uint64_t size_bytes, engine_replica_fn fn, void *ctx);
MUST_USE int engine_replica_set_entity(struct fiber *f, struct engine *e, const char *name_or_uuid,
				       const char *entity_id, engine_replica_fn fn, void *ctx);
/* Replicas, snapshots and clones of every pool (that is called so, if pool is not NULL). */
MUST_USE int engine_replica_each(struct fiber *f, struct engine *e, const char *pool,
				 engine_replica_fn fn, void *ctx);

/* ---- snapshots ---------------------------------------------------------------------------------- */

struct engine_snapshot_args {
	const char *replica; /* uuid or name */
	const char *name, *uuid;
	const char *entity_id, *txn_id;
};

MUST_USE int engine_snapshot_create(struct fiber *f, struct engine *e,
				    const struct engine_snapshot_args *args, engine_replica_fn fn,
				    void *ctx);
/* With clones: it goes with the last of them, and is listed as discarded until then. */
MUST_USE int engine_snapshot_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid,
				     const char *pool);
MUST_USE int engine_clone_create(struct fiber *f, struct engine *e, const char *snapshot,
				 const char *name, const char *uuid, engine_replica_fn fn,
				 void *ctx);

/* ---- disks (bdevs) --------------------------------------------------------------------------------- */

struct engine_bdev_info {
	const char *name, *uri, *share_uri; /* share_uri: "" if it is not shared */
	const char *product, *claimed_by;   /* claimed_by: "" if nobody has */
	struct uuid uuid;
	uint64_t blocks;
	uint32_t block_size;
};

typedef int (*engine_bdev_fn)(void *ctx, const struct engine_bdev_info *info);

MUST_USE int engine_bdev_create(struct fiber *f, struct engine *e, const char *uri,
				engine_bdev_fn fn, void *ctx);
/* By its URI or name. -EBUSY: it is shared or in use. */
MUST_USE int engine_bdev_destroy(struct fiber *f, struct engine *e, const char *uri);
MUST_USE int engine_bdev_share(struct fiber *f, struct engine *e, const char *name,
			       const char *const *hosts, unsigned host_count, engine_bdev_fn fn,
			       void *ctx);
MUST_USE int engine_bdev_unshare(struct fiber *f, struct engine *e, const char *name);
/* Those created here, replicas and nexuses; of that name or uuid only (-ENOENT), if it is given. */
MUST_USE int engine_bdev_each(struct fiber *f, struct engine *e, const char *name,
			      engine_bdev_fn fn, void *ctx);

/* ---- nexuses ------------------------------------------------------------------------------------------ */

/* What we keep for whoever created it and tell again; the owner's token decides (rule FENCE). */
struct engine_nexus_keys {
	uint32_t cntlid_min, cntlid_max;
	uint64_t resv_key, preempt_key;
	uint32_t resv_type, preempt_policy;
	bool has_resv_type;
};

struct engine_nexus_args {
	const char *name, *uuid;
	uint64_t size_bytes;
	const char *const *children; /* URIs */
	unsigned child_count;
	struct engine_nexus_keys keys;
	const char *info_key; /* NULL: none */
};

enum engine_nexus_state {
	ENGINE_NEXUS_UNKNOWN, /* not open yet */
	ENGINE_NEXUS_ONLINE,
	ENGINE_NEXUS_DEGRADED,
	ENGINE_NEXUS_FAULTED,
	ENGINE_NEXUS_SHUTTING_DOWN,
	ENGINE_NEXUS_SHUTDOWN,
};

struct engine_nexus_info {
	const char *name, *device_uri; /* "" if it is not published */
	struct uuid uuid;
	uint64_t size_bytes;
	enum engine_nexus_state state;
	enum tgt_ana_state ana;	 /* 0: not published over NVMe/TCP */
	struct nexus_info nexus; /* count 0 if it is not open */
	const char
		*child_uris[VOLUME_MEMBERS_MAX]; /* as they were told; of nexus.children, if open */
	unsigned child_count;
	const char *why; /* not open: the reason */
	struct engine_nexus_keys keys;
	const char *const *hosts;
	unsigned host_count;
	unsigned rebuilds; /* under way */
};

typedef int (*engine_nexus_fn)(void *ctx, const struct engine_nexus_info *info);

MUST_USE int engine_nexus_create(struct fiber *f, struct engine *e,
				 const struct engine_nexus_args *args, engine_nexus_fn fn,
				 void *ctx);
MUST_USE int engine_nexus_destroy(struct fiber *f, struct engine *e, const char *name_or_uuid);
MUST_USE int engine_nexus_shutdown(struct fiber *f, struct engine *e, const char *name_or_uuid,
				   engine_nexus_fn fn, void *ctx);
MUST_USE int engine_nexus_publish(struct fiber *f, struct engine *e, const char *name_or_uuid,
				  const char *const *hosts, unsigned host_count, engine_nexus_fn fn,
				  void *ctx);
MUST_USE int engine_nexus_unpublish(struct fiber *f, struct engine *e, const char *name_or_uuid,
				    engine_nexus_fn fn, void *ctx);
MUST_USE int engine_nexus_resize(struct fiber *f, struct engine *e, const char *name_or_uuid,
				 uint64_t size_bytes, engine_nexus_fn fn, void *ctx);
MUST_USE int engine_nexus_set_ana(struct fiber *f, struct engine *e, const char *name_or_uuid,
				  enum tgt_ana_state state, engine_nexus_fn fn, void *ctx);

enum engine_child_verb {
	ENGINE_CHILD_ADD,
	ENGINE_CHILD_REMOVE,
	ENGINE_CHILD_OFFLINE,
	ENGINE_CHILD_ONLINE,
	ENGINE_CHILD_REBUILD,
	ENGINE_CHILD_REBUILD_STOP,
	ENGINE_CHILD_REBUILD_PAUSE,
	ENGINE_CHILD_REBUILD_RESUME,
};

MUST_USE int engine_nexus_child(struct fiber *f, struct engine *e, const char *name_or_uuid,
				const char *uri, enum engine_child_verb verb, engine_nexus_fn fn,
				void *ctx);
/* The child's place in info.nexus.children. -ENOENT. */
MUST_USE int engine_nexus_child_index(struct fiber *f, const struct engine_nexus_info *info,
				      const char *uri, unsigned *ret);
MUST_USE int engine_nexus_limit(struct fiber *f, struct engine *e, const char *name_or_uuid,
				uint64_t bytes_per_s, engine_nexus_fn fn, void *ctx);
/* The latest rebuilds that ended, at most `max`. -EAGAIN: it is not open. */
MUST_USE int engine_nexus_history(struct fiber *f, struct engine *e, const char *name_or_uuid,
				  struct nexus_rebuild_record *ret, unsigned max,
				  unsigned *ret_count);
/* fn does not suspend; -ENOENT if a name is given and there is none. */
int engine_nexus_each(struct fiber *f, struct engine *e, const char *name_or_uuid,
		      engine_nexus_fn fn, void *ctx);

/* ---- figures -------------------------------------------------------------------------------------- */

struct engine_figures {
	const char *name;
	struct uuid uuid;
	const char *of;	       /* the pool of a replica, the nexus of a child; else NULL */
	const char *entity_id; /* of a replica */
	const struct engine_replica_info *replica; /* of a replica */
	struct bdev_stats stats;
	const struct hist *hist; /* BIO_OPS latencies; NULL: not open */
	uint32_t block_size;
};

typedef int (*engine_figures_fn)(void *ctx, const struct engine_figures *figures);
enum engine_kind {
	ENGINE_POOLS, /* their disks together */
	ENGINE_REPLICAS,
	ENGINE_NEXUSES,
	ENGINE_CHILDREN, /* their name is their URI; as this node sees them, the way there included */
};

/* Of all, or (name not NULL) of that one: -ENOENT. */
MUST_USE int engine_figures_each(struct fiber *f, struct engine *e, enum engine_kind kind,
				 const char *name, engine_figures_fn fn, void *ctx);
/* Of all but nexuses that are being changed: waits for nobody's turn. */
MUST_USE int engine_figures_now(struct fiber *f, struct engine *e, enum engine_kind kind,
				engine_figures_fn fn, void *ctx);
MUST_USE int engine_figures_reset(struct fiber *f, struct engine *e);

/* ---- NVMe controllers elsewhere --------------------------------------------------------------------- */

enum engine_controller_state {
	ENGINE_CONTROLLER_CONNECTING, /* it was there, and will be again */
	ENGINE_CONTROLLER_RUNNING,
	ENGINE_CONTROLLER_FAULTED,
};

struct engine_controller_info {
	const char *name; /* HOST:PORT/NQN */
	enum engine_controller_state state;
	uint64_t size_bytes;
	uint32_t block_size;
	const struct bdev_stats *stats;
};

typedef int (*engine_controller_fn)(void *ctx, const struct engine_controller_info *info);

/* Those that disks and children of nexuses are at; of that name (or URI) only: -ENOENT. */
MUST_USE int engine_controller_each(struct fiber *f, struct engine *e, const char *name,
				    engine_controller_fn fn, void *ctx);

/* Where the target listens, with the ports that were chosen. */
void engine_addrs(const struct engine *e, struct io_addr *ret_replicas,
		  struct io_addr *ret_nexuses);
/* HOST:PORT of the node's own services, for others to call; borrowed. */
void engine_set_endpoint(struct engine *e, const char *endpoint);
const struct engine_opts *engine_opts_of(const struct engine *e);
/* Of volume records. */
struct store *engine_store(struct engine *e);
/* The text of a disk as bdev_open() takes it: a path becomes file://. NULL: no memory. */
MUST_USE char *engine_disk_uri(struct mem *mem, const char *text);
const struct uuid *engine_instance(const struct engine *e); /* of this process */

#endif
