/* SPDX-License-Identifier: Apache-2.0 */
/* engine_priv - what the files of a node's engine share. The theory is in engine.h and state.c. */
#ifndef ENGINE_ENGINE_PRIV_H
#define ENGINE_ENGINE_PRIV_H

#include "base/cleanup.h"
#include "base/list.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/publish.h"
#include "reactor/wait.h"

/* A list of texts that belongs to us. */
struct texts {
	char **at; /* owned, and each of them */
	unsigned count;
};

struct share {
	struct list_link link; /* engine.shares */
	char nqn[PUBLISH_NQN_MAX + 1];
	struct tgt_subsys *subsys;
	struct tgt_ns *ns;
};

/* A pool of this node, imported or away. */
struct engine_pool {
	struct list_link link; /* engine.pools */
	char name[POOL_NAME_LEN_MAX + 1];
	struct uuid uuid;
	struct texts disks;
	uint32_t cluster_bytes; /* as it was asked for; 0: default */
	struct pool *pool;	/* NULL: away */
	char why[128];		/* away: the reason */
	unsigned pins;		/* EN3 */
	struct event unpinned;
};

struct engine_disk {
	struct list_link link; /* engine.disks */
	char *uri;	       /* owned; as it was told */
	struct bdev *bdev;     /* open; NULL: away */
	bool is_shared;
	struct texts hosts;
};

struct engine_nexus {
	struct list_link link; /* engine.nexuses */
	char *name;	       /* owned */
	struct uuid uuid;
	uint64_t size_bytes;
	struct engine_nexus_keys keys;
	char *info_key;		 /* owned; "" if none */
	struct texts children;	 /* URIs as they were told ... */
	struct texts opened;	 /* ... and as the volume's record has them */
	bool is_shut, is_shared; /* what was asked for */
	struct texts hosts;
	struct nexus *nexus;	 /* NULL: not open */
	struct publish *publish; /* NULL: not published */
	char why[128];		 /* not open: the reason */
	struct latch turn;	 /* one change at a time */
	unsigned users;
	bool is_gone, is_shutting, is_making, is_leaving; /* leaving: US1 */
	struct event unused;
	uint64_t tend_round; /* of the crew, in which it was tried last */
	bool is_tended;	     /* by one of them, now */
};

/* What is being made or taken down: undone at the start (EN1). */
enum making_what { MAKING_POOL, MAKING_REPLICA, MAKING_NEXUS, MAKING_DISK };

struct making {
	struct list_link link; /* engine.makings */
	enum making_what what;
	struct uuid uuid, pool; /* pool: of a replica, a disk */
	char name[POOL_NAME_LEN_MAX + 1];
	struct texts disks; /* of a pool; the one that joins */
	uint64_t pass;	    /* of the tender, that has tried it */
	bool is_left,
		is_told; /* nobody is at it any more: to be undone; that it cannot be is told */
};

struct engine {
	struct engine_opts opts; /* its texts are ours */
	struct uuid instance;
	struct io *io;
	struct log *log;
	struct list pools, disks, nexuses, makings, shares, doors;
	struct latch door_turn; /* of the doors */
	struct nbd_server *nbd; /* NULL: no door yet */
	struct latch change;	/* of pools, replicas, snapshots, disks, and their shares */
	struct latch saving;
	uint64_t save_wanted, save_done; /* versions of the state */
	struct tgt *tgt;
	struct tgt_port *ports[2];
	struct io_addr replica_addr, nexus_addr; /* with the ports that were chosen */
	struct store *store;
	struct io_file *identity;	 /* owned; NULL: not taken */
	struct nexus_table *nexus_table; /* NULL: no store */
	struct events *events;		 /* what happens; NULL: not open */
	struct events_source *sources;
	struct fiber *tender; /* brings back what was away */
	struct event tender_wake;
	struct {
		struct fiber *fibers[ENGINE_CREW_MAX]; /* those that have begun */
		unsigned count;
		uint64_t round; /* of the tender */
		struct event ended; /* one of them has */
	} crew;		    /* open nexuses that are away (nexuses.c) */
	uint64_t busy_until_ns; /* at the start: who held our disks before may not be gone yet */
	uint64_t undo_pass;
	bool is_closing;
};

/* ---- state.c: what is kept over restarts ------------------------------------------------------ */

/* It holds what the lists hold when this returns. */
MUST_USE int state_save(struct fiber *f, struct engine *e);
/* Fills the lists in; an absent file is an empty state. -EUCLEAN: it is damaged, or newer. */
MUST_USE int state_load(struct fiber *f, struct engine *e);

/* ---- state_json.c: its text ---------------------------------------------------------------------- */

MUST_USE int state_encode(struct engine *e, char **ret_text, size_t *ret_len);
MUST_USE int state_decode(struct fiber *f, struct engine *e, const char *text, size_t len);

/* ---- texts.c --------------------------------------------------------------------------------------- */

MUST_USE int texts_copy(struct mem *mem, const char *const *from, unsigned count,
			struct texts *ret);
MUST_USE int texts_add(struct mem *mem, struct texts *texts, const char *text);
void texts_remove(struct texts *texts, unsigned i);
void texts_free(struct texts *texts);
/* In any order. */
bool texts_are(const struct texts *texts, const char *const *other, unsigned count);
const char *const *texts_list(const struct texts *texts);

/* ---- making.c ------------------------------------------------------------------------------------------ */

MUST_USE int making_start(struct fiber *f, struct engine *e, const struct making *what,
			  struct making **ret);
/* It is whole, or gone: the next save says so. */
void making_end(struct making *making);
/* Something of that uuid waits to be undone: -EAGAIN for who wants to make it (MK3). */
bool making_is_left(struct engine *e, const struct uuid *uuid);
/* It failed: undone at once, or (if even that fails) at the next start. The words stay. */
void making_fail(struct fiber *f, struct engine *e, struct making *making);
/* At the start: what is noted of this kind is undone. What cannot be looked at stays noted. */
bool making_undo(struct fiber *f, struct engine *e, enum making_what what); /* anything was? */

/* ---- share.c: NVMe/TCP doors ----------------------------------------------------------------------------- */

#define SHARE_NAME_SIZE PUBLISH_NQN_MAX

struct share_args {
	const char *name; /* of the thing: the NQN is made of it */
	const char *uri;
	const struct uuid *uuid; /* NULL: the disk's own */
	const char *const *hosts;
	unsigned host_count;
	bool is_replica; /* offers replica control */
	bool is_door;	 /* others may write to it as well */
	bool read_only;
};

MUST_USE int share_open(struct fiber *f, struct engine *e, const struct share_args *args);
struct share *share_find(struct engine *e, const char *name);
void share_close(struct fiber *f, struct share *share);
/* The disk has grown. */
MUST_USE int share_rescan(struct fiber *f, struct share *share);
/* Who else may come, and who not any more. */
MUST_USE int share_hosts(struct fiber *f, struct engine *e, const struct share_args *args);
/* nvmf://HOST:PORT/NQN[?uuid=] */
void share_uri(const struct engine *e, const char *name, const struct uuid *uuid,
	       char ret[ENGINE_URI_MAX]);
MUST_USE int share_check_hosts(struct fiber *f, const char *const *hosts, unsigned count);

/* ---- pools.c ------------------------------------------------------------------------------------------------ */

/* The next one that is imported, pinned; prev (NULL: begin) is unpinned. */
struct engine_pool *pools_next(struct engine *e, struct engine_pool *prev);
/* Pinned; by name or uuid. -ENOENT, -EAGAIN if it is away. */
MUST_USE int pools_get(struct fiber *f, struct engine *e, const char *name_or_uuid,
		       struct engine_pool **ret);
void pools_put(struct engine_pool *ep);
/* Its entry, also while it is away; uuid (or NULL) must fit. */
MUST_USE int pools_pick(struct fiber *f, struct engine *e, const char *name_or_uuid,
			const char *uuid, struct engine_pool **ret);
MUST_USE int pool_is_here(struct fiber *f, const struct engine_pool *ep); /* -EAGAIN */
int pool_tell(struct engine_pool *ep, engine_pool_fn fn, void *ctx);
MUST_USE int pools_restore(struct fiber *f, struct engine *e, struct engine_pool *ep);
void pools_close(struct fiber *f, struct engine *e);
void engine_pool_free(struct engine_pool *ep);

/* ---- pool_disks.c -------------------------------------------------------------------------------------------- */

/* What they are opened by. */
MUST_USE int pool_uris(struct fiber *f, struct engine *e, const struct texts *disks,
		       struct texts *ret);
/* One that was noted has joined before a crash: it is listed now (PD1). */
bool pool_disk_joined(struct fiber *f, struct engine *e, struct engine_pool *ep);
/* One that was noted and has not joined bears nothing of the pool. */
MUST_USE int pool_disk_undo(struct fiber *f, struct engine *e, const struct making *making);

/* ---- replicas.c, replica_make.c ------------------------------------------------------------------------------------------------ */

struct replica_at {
	struct engine_pool *ep; /* pinned: pools_put() */
	struct pool_info pool;
	struct replica_stat stat;
};

/* By name or uuid, in that pool or (NULL) any. -ENOENT. */
MUST_USE int replicas_find(struct fiber *f, struct engine *e, const char *name_or_uuid,
			   const char *pool, struct replica_at *ret);
/* Tell fn of it, as it is now. */
MUST_USE int replicas_show(struct fiber *f, struct engine *e, struct replica_at *at,
			   engine_replica_fn fn, void *ctx);
MUST_USE int replicas_share_all(struct fiber *f, struct engine *e, struct engine_pool *ep);
void replicas_unshare_all(struct fiber *f, struct engine *e, struct engine_pool *ep);
/* The latch held, a replica or clone (no snapshot) found and its pool pinned ... */
MUST_USE int replica_change_begin(struct fiber *f, struct engine *e, const char *name_or_uuid,
				  const char *pool, struct replica_at *at);
/* ... and let go. r is passed on; if it is 0, fn (or NULL) is told of it. */
int replica_change_end(struct fiber *f, struct engine *e, struct replica_at *at, int r,
		       engine_replica_fn fn, void *ctx);
/* Its door, as its pool says. */
MUST_USE int replica_share(struct fiber *f, struct engine *e, const struct replica_at *at);
/* The same, said to its pool first. */
MUST_USE int replica_share_set(struct fiber *f, struct engine *e, struct replica_at *at,
			       const char *const *hosts, unsigned count);
/* It is shared with these. */
bool replica_share_is(struct fiber *f, struct engine *e, const struct replica_at *at,
		      const char *const *hosts, unsigned count);
void replica_event(struct engine *e, const struct replica_at *at, const char *what);
/* pool:///POOL/NAME */
void replica_local_uri(const struct replica_at *at, char ret[ENGINE_URI_MAX]);

/* ---- disks.c, nexuses.c, nexus_make.c ------------------------------------------------------------------------------------------ */

MUST_USE int disks_restore(struct fiber *f, struct engine *e, struct engine_disk *disk);
void disks_close(struct fiber *f, struct engine *e);
void engine_disk_free(struct engine_disk *disk);

/* Of all but what is being made. *ret is owned. */
MUST_USE int nexuses_uuids(struct fiber *f, struct engine *e, struct uuid **ret,
			   unsigned *ret_count);
/* The record of one that is not open here goes; also if there is none. */
MUST_USE int nexus_remove(struct fiber *f, struct engine *e, const struct uuid *uuid);
/* Out of the list, if it is there, not open and used by nobody. */
void nexuses_forget(struct engine *e, const struct uuid *uuid);
/* Open and publish those that are not; who takes long is not waited for. */
void nexuses_tend(struct fiber *f, struct engine *e);
/* Closing: nobody is at it any more when it returns. */
void nexuses_tend_no_more(struct fiber *f, struct engine *e);
void nexuses_close(struct fiber *f, struct engine *e);

/* By name or uuid, also one that is being made; or NULL. */
struct engine_nexus *nexus_entry(struct engine *e, const char *name_or_uuid);
void engine_nexus_free(struct engine_nexus *en);
/* Its turn. -ENOENT: it went meanwhile. */
MUST_USE int nexus_enter(struct fiber *f, struct engine_nexus *en);
/* Within reach of hosts, as en->hosts says. */
MUST_USE int nexus_door(struct fiber *f, struct engine *e, struct engine_nexus *en);
/* Doors closed, unpublished, closed; it stays in the list. */
void nexus_shut(struct fiber *f, struct engine *e, struct engine_nexus *en);

/* One change at a time: found, not gone, its turn held. */
MUST_USE int nexus_begin(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 struct engine_nexus **ret);
/* r is passed on; if it is 0, fn (or NULL) is told of it. */
int nexus_end(struct fiber *f, struct engine *e, struct engine_nexus *en, int r, engine_nexus_fn fn,
	      void *ctx);
MUST_USE int nexus_is_open(struct fiber *f, const struct engine_nexus *en);
MUST_USE int nexus_bring(struct fiber *f, struct engine *e, struct engine_nexus *en);
/* nexus:///UUID, if it is one of ours. */
bool nexus_local_uri(struct engine *e, const char *name_or_uuid, char ret[ENGINE_URI_MAX]);
/* The URI of a disk that was created, by name. */
bool disk_local_uri(struct engine *e, const char *name, char ret[ENGINE_URI_MAX]);
/*
 * It was opened after a restart: names of children that a crash left without a child go, and it is as
 * large as its record says (NX2). The next save keeps that.
 */
void children_settle(struct engine *e, struct engine_nexus *en);
/* What the disk of a child is opened by: a replica of this node by its local URI. *ret is owned. */
MUST_USE int child_open_uri(struct fiber *f, struct engine *e, const char *uri, char **ret);

/* ---- engine.c ------------------------------------------------------------------------------------------------------ */

/* What failed and is gone on without: into the log, with its words; the fiber is clear again. */
void engine_note(struct fiber *f, struct engine *e, const char *what, const char *name);
/* At the start: r says that disk or port are taken, and it is worth trying again now. */
bool engine_wait_busy(struct fiber *f, struct engine *e, int r);
void engine_uuid_new(struct fiber *f, struct uuid *ret);
/* -EINVAL names the field. */
MUST_USE int engine_uuid_of(struct fiber *f, const char *what, const char *text, struct uuid *ret);

#endif
