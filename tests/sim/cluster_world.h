/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_world - the world of the scenario `cluster`: who is there, what was promised, who judges.
 *
 *	place     a process on a host: nodes and candidates that live and die together; one for all,
 *	          or (cluster-remote) one for each node, and its replicas are behind a target
 *	node      a pool on a disk, with two replicas
 *	candidate a nexus process's store, lease and table; it may own the volume
 *	op        a request of a client under way, or in doubt
 *
 * Some cells of the volume, about the borders of its regions, are registers of sim/check.h,
 * shared by all clients of all candidates. A write whose end nobody saw is in doubt until a nexus
 * of a later epoch serves: by the rule FENCE it cannot happen later.
 */
#ifndef TESTS_SIM_CLUSTER_WORLD_H
#define TESTS_SIM_CLUSTER_WORLD_H

#include "bdev/replica.h"
#include "nexus/nexus.h"
#include "nvmf/tgt.h"
#include "pool/pool.h"
#include "reactor/wait.h"
#include "sim/check.h"
#include "sim/sim.h"
#include "sim/store.h"

#define CW_NODES       3u
#define CW_REPLICAS    2u /* of a node */
#define CW_MEMBERS     (CW_NODES * CW_REPLICAS)
#define CW_CANDS_MAX   3u
#define CW_PLACES_MAX  6u
#define CW_OPS_MAX     256u
#define CW_WORKERS_MAX 4u

#define CW_URI_MAX 192u
#define CW_PORT	   4420u

#define CW_CELL	     4096u
#define CW_CELL_LBAS (CW_CELL / 512u)
#define CW_SECTORS   (CW_CELL / PATTERN_SECTOR)
#define CW_GROUP     8u /* cells that lie together, half on each side of a region's border */
#define CW_GROUPS    2u
#define CW_CELLS     (CW_GROUP * CW_GROUPS)
#define CW_REGION    (4u << 20)
#define CW_BYTES     ((CW_GROUPS + 1) * (uint64_t)CW_REGION)
#define CW_CHUNK     (256u << 10)
/* As large as it grows. */
#define CW_GROUPS_MAX 4u
#define CW_CELLS_MAX  (CW_GROUP * CW_GROUPS_MAX)
#define CW_BYTES_MAX  ((CW_GROUPS_MAX + 1) * (uint64_t)CW_REGION)
#define CW_CHUNKS     (CW_BYTES_MAX / CW_CHUNK)

struct cluster;

enum op_state { OP_FREE, OP_READING, OP_WRITING, OP_FLUSHING, OP_IN_DOUBT };

struct cw_op {
	enum op_state state;
	unsigned place;
	uint64_t epoch, cell, count, mark;
	bool is_fua;
	uint64_t writes[CW_GROUP];
};

struct cw_node {
	struct cluster *c;
	unsigned number;
	struct cw_place *place;
	struct sim_disk *disk;
	char disk_path[24], disk_uri[48], pool_name[8];
	struct uuid replica[CW_REPLICAS];
	struct pool *pool; /* of the process that runs; NULL */
	bool is_made, is_volatile, is_pulled;
	struct tgt_subsys *subsys[CW_REPLICAS]; /* the same; NULL: not served */
	bool is_served;				/* it was tried; all could be: is_whole */
	bool is_whole;
};

enum cand_leave { LEAVE_NOT, LEAVE_CLEAN, LEAVE_ABANDON };

struct cw_cand {
	struct cluster *c;
	unsigned number;
	struct cw_place *place;
	char store_uri[24], store_name[12];
	/* of the process that runs */
	struct store *store;
	struct nexus_table *table;
	struct nexus *nexus;
	struct bdev *bdev;
	struct publish *publish; /* NULL: not published */
	uint64_t epoch;
	enum cand_leave leave;
	bool failed;	 /* the session */
	bool shall_drop; /* its administrator takes the nearest member out */
	bool shall_read; /* its clients do nothing else */
	unsigned running;
};

/* One of the host's: kept until it is answered, by whichever path. */
struct cw_request {
	struct cw_host *host;
	struct cw_op *op; /* NULL: none */
	uint64_t serials[CW_GROUP];
};

struct cw_host {
	struct cluster *c;
	struct cw_place *place; /* NULL: there is none */
	struct bdev *bdev;	/* of the process that runs */
	unsigned path, workers; /* path: the candidate */
	struct cw_request requests[CW_WORKERS_MAX];
	uint64_t done; /* since the heal */
	bool failed, is_switching;
};

struct cw_place {
	struct cluster *c;
	unsigned number;
	struct sim_host *host;
	struct sim_proc *proc;
	unsigned nodes, cands; /* masks */
	unsigned reactors;
	struct tgt *tgt;  /* of the process that runs; NULL: members are all here */
	struct latch env; /* of the process: nexus:/// is set, then opened */
};

/* What an inspection found on a member. */
struct cw_look {
	bool is_there;
	struct replica_info info;
	uint64_t al; /* one word is enough */
	uint64_t size_bytes;
	uint64_t cell[CW_CELLS_MAX][CW_SECTORS];
	enum pattern_kind kind[CW_CELLS_MAX][CW_SECTORS];
	uint32_t crc[CW_CHUNKS];
};

/* Of the safety protocol, by who has a part in them. */
struct cw_rules {
	unsigned nexus, tgt, pool;
};

struct cluster {
	struct sim *sim;
	struct sim_store *ss;
	struct check *check;
	struct cw_node nodes[CW_NODES];
	struct cw_cand cands[CW_CANDS_MAX];
	struct cw_place places[CW_PLACES_MAX];
	struct cw_host host;
	unsigned cand_count, place_count, members, workers;
	struct uuid volume;
	uint32_t lease_ms;
	uint64_t serial, sessions, acked;
	struct cw_op ops[CW_OPS_MAX];
	struct cw_look looks[CW_MEMBERS];
	/* the record when it changed last */
	uint64_t last_epoch;
	unsigned last_in_sync; /* a mask of members */
	bool last_clean;
	/* cluster_cache.c */
	unsigned lost; /* a mask of members that lack what was not flushed */
	uint64_t lost_ns[CW_MEMBERS];
	uint64_t cut_mark;   /* of the check: when the volume may have lost it */
	uint64_t gone_epoch; /* ... by this owner's choice; 0: it has not */
	unsigned wish;	     /* the candidate that should own the volume */
	struct cw_rules rules_off;
	bool is_strict;	  /* every cell was written, and nothing is unmapped: reads never go back */
	bool is_volatile; /* a disk has a cache */
	bool is_remote;	  /* each node is a host of its own: members by nvmf:// */
	char uris[CW_MEMBERS][CW_URI_MAX];
	uint32_t kato_ms; /* of members behind NVMe/TCP */
	bool is_quiet;	  /* after the heal clients only read: what lands late is not covered up */
	bool is_still;	  /* the same, now */
	bool is_calm;	  /* nobody else wants the volume, and its children stay */
	bool is_made, is_inspecting, is_final, is_healed, is_good, must_stop;
};

/* ---- cluster_world.c ---------------------------------------------------------------------- */

const char *cw_uri(const struct cluster *c, unsigned member); /* of 0 .. CW_MEMBERS - 1 */
int cw_member(const struct cluster *c, const char *uri);      /* -1: none of ours */
void cw_name_members(struct cluster *c);		      /* when the hosts are there */
uint64_t cw_lba(uint64_t cell);
/* Takeovers and rebuilds are counted. */
void cw_record_changed(struct cluster *c);
/* As the store has it now; false: not yet. */
bool cw_record(const struct cluster *c, struct volume_record *ret);
unsigned cw_in_sync(const struct cluster *c, const struct volume_record *rec); /* a mask */

struct cw_op *cw_op_begin(struct cluster *c, const struct cw_cand *cand, enum op_state state,
			  uint64_t cell, uint64_t count); /* NULL: too many in doubt */
struct cw_op *cw_op_begin_at(struct cluster *c, const struct cw_place *place, enum op_state state,
			     uint64_t cell, uint64_t count);
void cw_op_end(struct cluster *c, struct cw_op *op, bool ok);
/* A nexus serves: writes of older epochs do not happen any more. */
void cw_serves(struct cluster *c, uint64_t epoch);
/* A process is gone, and what it had under way. */
void cw_place_gone(struct cw_place *place);
/* Of bytes of a cell that a read, begun at mark, has returned. */
void cw_judge(struct cluster *c, uint64_t cell, uint64_t mark, const uint8_t *bytes);

/* ---- cluster_cache.c ----------------------------------------------------------------------- */

/* A node's disk has lost what was not flushed. */
void cw_cache_lost(struct cluster *c, unsigned node);
/* The record has changed; c->last_... are still those before. */
void cw_cache_record(struct cluster *c, uint64_t epoch, unsigned in_sync);
void cw_cache_serves(struct cluster *c, uint64_t epoch);

/* ---- cluster_grow.c ------------------------------------------------------------------------ */

uint64_t cw_groups(uint64_t bytes); /* that a volume of so many has */
uint64_t cw_groups_of(const struct bdev *bdev);
/* The volume gets another region, if it can. */
void cw_grow(struct fiber *f, struct cw_cand *cand);

/* ---- cluster_host.c ------------------------------------------------------------------------ */

int cw_host_main(struct fiber *f, void *host);
bool cw_host_is_well(const struct cluster *c);
/* What the candidate serves, for the host. */
void cw_publish(struct fiber *f, struct cw_cand *cand);
void cw_unpublish(struct fiber *f, struct cw_cand *cand);

/* ---- cluster_node.c: pools, and the inspection of their replicas ----------------------------- */

bool cw_node_may_lie(void *node, uint64_t off, uint64_t len);
int cw_node_begin(struct fiber *f, struct cw_node *node);
void cw_node_end(struct fiber *f, struct cw_node *node);
int cw_node_keeper(struct fiber *f, void *node);
void cw_node_nqn(unsigned member, char ret[64]);
/* Its replicas behind the place's target; they go before the pool does. */
int cw_node_serve(struct fiber *f, struct cw_node *node);
void cw_node_unserve(struct fiber *f, struct cw_node *node);
void cw_node_inspect(struct fiber *f, struct cw_node *node);
/* Of all that was inspected: I1, I4, and at the end that all members in sync are the same. */
void cw_compare(struct cluster *c);

/* ---- cluster.c -------------------------------------------------------------------------------- */

/* Its host loses power for so long. */
void cw_place_reboot(struct cw_place *place, uint64_t off_ns);
/* All are killed, the replicas looked at, all started again. */
void cw_inspect(struct cluster *c);

/* ---- cluster_rules.c ------------------------------------------------------------------------- */

/* What a rule is there for, and chance seldom brings about. */
void cw_strike_rule(struct cluster *c);
/* Of a plant's name, or NULL: what is off. */
struct cw_rules cw_rules_of(const char *plant);

/* ---- cluster_cand.c --------------------------------------------------------------------------- */

int cw_cand_main(struct fiber *f, void *cand);
/* Once, before any fault. */
int cw_make_volume(struct fiber *f, struct cw_cand *cand);

#endif
