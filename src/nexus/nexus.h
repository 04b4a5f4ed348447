/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexus - one volume out of several members: written to all, read from one, as a disk `nexus:///NAME`.
 *
 *	nexus_table_new()	a record store and a lease: this process may own volumes
 *	nexus_create()		the volume's record; its members are empty
 *	nexus_open()		own it: seal, fence, resync, serve
 *	nexus_close()		leave it clean
 *
 * A member is any disk, by URI. What the nexus must know over failures is in the volume's record
 * (store/volume.h) and, with members that are replicas, in their metadata (bdev/replica.h). Any
 * other disk is foreign: it gets a small label of ours (docs/nexus-label.md), and has neither a
 * fence nor an activity log.
 *
 * Everything here is called on the table's home reactor, on a fiber. The disk may be used
 * from any reactor.
 */
#ifndef NEXUS_NEXUS_H
#define NEXUS_NEXUS_H

#include "base/list.h"
#include "base/uuid.h"
#include "store/volume.h"

#define NEXUS_CHILDREN_MAX 8u
#define NEXUS_VOLUMES_MAX  4096u
#define NEXUS_HISTORY_MAX  32u /* rebuilds that ended and are remembered */

#define NEXUS_CHILD_TIMEOUT_MS_DEFAULT 8000u /* a host gives up after 30 s */
#define NEXUS_CHILD_TIMEOUT_MS_MIN     10u
#define NEXUS_CHILD_TIMEOUT_MS_MAX     600000u
#define NEXUS_RETRY_MS_DEFAULT	       1000u /* before a child that failed is tried; doubles */
#define NEXUS_RETRY_MS_MAX	       60000u
#define NEXUS_LOG_REST_MS_DEFAULT      5000u /* without a write a region leaves the activity log */

struct bdev_driver;
struct fiber;
struct lease;
struct nexus;
struct nexus_table;

extern const struct bdev_driver nexus_driver;

/* Rules of the safety protocol (models/README.md); without one of them data are lost. For tests. */
enum nexus_rule {
	NEXUS_RULE_PERSIST = 1 << 0,
	NEXUS_RULE_SEAL = 1 << 1,
	NEXUS_RULE_FENCE = 1 << 2,
	NEXUS_RULE_RESYNC = 1 << 3,
	NEXUS_RULE_LASTONE = 1 << 4,
	NEXUS_RULE_LEASE = 1 << 5,
	NEXUS_RULE_READDROP = 1 << 6,
	NEXUS_RULE_LOCK = 1 << 7,
	NEXUS_RULE_ATTACH = 1 << 8,
	NEXUS_RULE_FINAL = 1 << 9,
	NEXUS_RULE_ORDER = 1 << 10, /* ours: overlapping writes one after the other (order.c) */
	NEXUS_RULE_SESSION = 1 << 11,
	NEXUS_RULE_FANOUT = 1 << 12,
};

/* ---- the table of a node ---------------------------------------------------------------- */

struct nexus_table_opts {
	struct store *store;	   /* borrowed until nexus_table_free() */
	struct uuid instance;	   /* of this process: a new one each time it starts */
	uint32_t lease_ttl_ms;	   /* 0: LEASE_TTL_MS_DEFAULT */
	uint32_t child_timeout_ms; /* of a request to a child; 0: ..._DEFAULT */
	uint32_t retry_ms;	   /* 0: NEXUS_RETRY_MS_DEFAULT */
	uint32_t log_rest_ms;	   /* 0: NEXUS_LOG_REST_MS_DEFAULT */
	unsigned rules_off;	   /* enum nexus_rule; 0 but in tests of the tests */
	bool verify; /* compare what was rebuilt, all of the volume, before it is used */
};

/* Takes the lease. The store's error. */
MUST_USE int nexus_table_new(struct fiber *f, const struct nexus_table_opts *opts,
			     struct nexus_table **ret);
/* No nexus is open. Gives the lease back. */
void nexus_table_free(struct fiber *f, struct nexus_table *table);
struct lease *nexus_table_lease(struct nexus_table *table);

/* ---- volumes ------------------------------------------------------------------------------ */

struct nexus_create_args {
	const char *name;
	struct uuid volume;	 /* nil: a new one */
	uint64_t size_bytes;	 /* 0: that of the children, which is the same */
	const char *const *uris; /* of the children: they hold nothing, or the same */
	unsigned count;
	bool force; /* take a child whatever it bears, but not one of a volume of this store */
};

/*
 * Write the volume's record with these members, then tell them whose they are: replicas in their
 * metadata, others by a label. Nothing is written to any child if something is wrong, each with a
 * line that names it: -EINVAL sizes, names, a device twice; -EBUSY claimed, or of another volume;
 * -EMEDIUMTYPE a disk that bears something; -EEXIST the volume; or what a child's driver or the
 * store say. If a child fails later the members are given back and the record goes.
 */
MUST_USE int nexus_create(struct fiber *f, struct nexus_table *table,
			  const struct nexus_create_args *args, struct uuid *ret_volume);

/*
 * Own the volume and serve it. -ENOENT no record; -EAGAIN somebody else took it meanwhile;
 * -EHOSTDOWN no member can be had; -EPERM a member that cannot be fenced is in the hands of
 * another owner, and `force` is off (rule UNFENCEABLE); -EUCLEAN a member knows a newer
 * generation: the record is an old one.
 */
MUST_USE int nexus_open(struct fiber *f, struct nexus_table *table, const struct uuid *volume,
			bool force, struct nexus **ret);
/* Drain, flush, and say in the record that it is clean. Never fails to close. */
void nexus_close(struct fiber *f, struct nexus *nexus);
/* Stop as a crash would: nothing is flushed, nothing said. */
void nexus_abandon(struct fiber *f, struct nexus *nexus);
/*
 * It cannot serve, and shall end: what waits ends with -ENODEV, and what comes. For who has its
 * disk open and must wait for requests before nexus_close(). It will not be left clean.
 */
void nexus_refuse(struct nexus *nexus);
/*
 * Members are given back, to be used anew; then the record goes. It is closed. Who cannot be reached is
 * logged, and can be taken by force. After a failure the same call goes on.
 */
MUST_USE int nexus_destroy(struct fiber *f, struct nexus_table *table, const struct uuid *volume);

/*
 * Grow: first the members, then the record, then the disk that users see. After a failure, or a
 * crash, the same call goes on where it ended. -EINVAL: smaller than it is, not a number of
 * blocks, or a member that cannot be as large. Members that are away grow before they join.
 */
MUST_USE int nexus_resize(struct fiber *f, struct nexus *nexus, uint64_t size_bytes);

struct nexus *nexus_find(struct nexus_table *table, const char *name_or_uuid); /* or NULL */
int nexus_each(struct fiber *f, struct nexus_table *table,
	       int (*fn)(void *ctx, struct nexus *nexus), void *ctx);

/* ---- children, online ---------------------------------------------------------------------- */

/* A new member, to be rebuilt. */
MUST_USE int nexus_add_child(struct fiber *f, struct nexus *nexus, const char *uri);
/* The same, whatever the disk bears (nexus_create_args.force). */
MUST_USE int nexus_force_child(struct fiber *f, struct nexus *nexus, const char *uri);
/* Out of the record for good. -EBUSY: it is the last one in sync. */
MUST_USE int nexus_remove_child(struct fiber *f, struct nexus *nexus, const char *uri);
/* Not to be used until it is told online again; then it is rebuilt. -EBUSY as above. */
MUST_USE int nexus_offline_child(struct fiber *f, struct nexus *nexus, const char *uri);
MUST_USE int nexus_online_child(struct fiber *f, struct nexus *nexus, const char *uri);

/* ---- rebuilds --------------------------------------------------------------------------------- */

/*
 * They begin by themselves: of a child that is added, and of one that failed or could not be had,
 * again and again with growing pauses, unless it is offline by wish or was stopped here. -ENOENT: no
 * such child.
 */

/* Now, not after the pause. Nothing if it is in sync; -EPERM if it is offline by wish. */
MUST_USE int nexus_rebuild_start(struct fiber *f, struct nexus *nexus, const char *uri);
/* It ends, and does not begin by itself until it is started. -EALREADY: none runs or waits. */
MUST_USE int nexus_rebuild_stop(struct fiber *f, struct nexus *nexus, const char *uri);
/* Between two segments; the child goes on being written to. -EALREADY: none runs, or it is so. */
MUST_USE int nexus_rebuild_pause(struct fiber *f, struct nexus *nexus, const char *uri);
MUST_USE int nexus_rebuild_resume(struct fiber *f, struct nexus *nexus, const char *uri);
/* Bytes a second that the rebuilds of a volume together may write, from now on; 0: no limit. */
void nexus_rebuild_limit(struct nexus *nexus, uint64_t bytes_per_s);

enum nexus_rebuild_state {
	NEXUS_REBUILD_NONE,
	NEXUS_REBUILD_WAITING, /* it failed: tried again after a pause */
	NEXUS_REBUILD_RUNNING,
	NEXUS_REBUILD_PAUSED,
	NEXUS_REBUILD_STOPPED, /* by nexus_rebuild_stop() */
};

struct nexus_rebuild_info {
	enum nexus_rebuild_state state;
	bool is_partial;	    /* only what it missed */
	uint64_t total_bytes;	    /* to go through: of the volume, or of what it missed */
	uint64_t recovered_bytes;   /* gone through: copied, or found to be a hole */
	uint64_t remaining_bytes;   /* the rest */
	uint64_t transferred_bytes; /* written to the child */
	uint64_t verified_bytes;
	uint64_t elapsed_ns;
	uint64_t retry_ns; /* WAITING: until the next try */
	uint32_t tries;	   /* since it was in sync */
};

/* A rebuild that ended. */
struct nexus_rebuild_record {
	char uri[VOLUME_URI_MAX + 1];
	uint64_t start_ns, end_ns; /* on the wall clock, since 1970 */
	bool is_partial;
	int result; /* 0 or -errno; -ECANCELED: stopped */
	uint64_t total_bytes, recovered_bytes, transferred_bytes;
};

/* The latest, at most `max`, in the order they ended. Returns how many. */
unsigned nexus_history(struct nexus *nexus, struct nexus_rebuild_record *ret, unsigned max);

/* The time a child has to answer a request before it counts as failed. -EINVAL: not MIN..MAX. */
MUST_USE int nexus_set_child_timeout(struct fiber *f, struct nexus *nexus, uint32_t ms);

/* ---- what it is like ------------------------------------------------------------------------ */

enum nexus_state {
	NEXUS_OPENING, /* sealed; fencing, resync */
	NEXUS_SERVING,
	NEXUS_FROZEN,  /* a member failed: acknowledgements wait for the record */
	NEXUS_STOPPED, /* no member left that could serve (rule LASTONE): requests wait */
	NEXUS_DEPOSED, /* another owner: everything is refused with -ESTALE */
	NEXUS_CLOSING,
};

/* What may follow what: the tables of state.c, which every change of a state goes by. */
bool nexus_may_become(enum nexus_state from, enum nexus_state to);

enum nexus_child_state {
	NEXUS_CHILD_OUT, /* not used */
	NEXUS_CHILD_OPENING,
	NEXUS_CHILD_IN_SYNC,
	NEXUS_CHILD_REBUILDING, /* written to, copied to, not read from */
	NEXUS_CHILD_DROPPING,	/* failed: not read from, still in the record */
};

bool nexus_child_may_become(enum nexus_child_state from, enum nexus_child_state to);

/*
 * A state has changed, of a nexus of the table or of a child. Told at once, also from hot
 * paths: fn does not suspend, and asks nothing of the nexus; it may wake who does. Words are
 * borrowed for the call.
 */
struct nexus_event {
	struct nexus *nexus;
	const char *name; /* of the volume */
	const char *uri;  /* of the child; NULL: it is the nexus */
	const char *was, *is, *reason;
};

struct nexus_watch {
	struct list_link link;
	void (*fn)(struct nexus_watch *watch, const struct nexus_event *event);
};

void nexus_watch_add(struct nexus_table *table, struct nexus_watch *watch);
void nexus_watch_del(struct nexus_watch *watch);

struct nexus_child_info {
	char uri[VOLUME_URI_MAX + 1];
	enum nexus_child_state state;
	bool is_local, is_fenced, is_offline;
	bool is_foreign; /* open, and no replica: it has no fence and no activity log */
	char reason[64];
	uint64_t token;
	uint64_t reads, writes, errors;
	uint64_t copied_bytes;		       /* by rebuilds, since it was opened */
	uint64_t rebuilt_bytes, rebuild_bytes; /* of the rebuild under way; 0: none */
	bool is_tracked;       /* it is away, and what it misses is known: a rebuild is partial */
	uint64_t missed_bytes; /* so much, regions counted whole */
	struct nexus_rebuild_info rebuild;
};

struct nexus_info {
	struct uuid volume;
	char name[VOLUME_NAME_MAX + 1];
	uint64_t size_bytes;
	uint32_t block_size;
	enum nexus_state state;
	bool has_log; /* off: after a crash one member survives, and the others are rebuilt */
	uint64_t epoch;
	unsigned count;
	struct nexus_child_info children[NEXUS_CHILDREN_MAX];
	uint64_t resync_bytes;		/* copied when it was opened */
	uint64_t al_active, al_updates; /* activity log: regions, writes to it */
	uint64_t changes;		/* of the record */
	uint64_t rebuild_limit;		/* bytes a second; 0: none */
	uint32_t child_timeout_ms;
};

void nexus_info(struct nexus *nexus, struct nexus_info *ret);
/* The name of the disk that a child is open as, until the fiber suspends; NULL: it is not open. */
const char *nexus_child_disk(struct nexus *nexus, const char *uri);
const char *nexus_state_name(enum nexus_state state);
const char *nexus_child_state_name(enum nexus_child_state state);
const char *nexus_rebuild_state_name(enum nexus_rebuild_state state);

/* Wait until every child that can be is in sync, or the nexus cannot go on. */
MUST_USE int nexus_settle(struct fiber *f, struct nexus *nexus);

#endif
