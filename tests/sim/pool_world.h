/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_world - the world of the scenario `pool`: what a pool must hold, and who judges it.
 *
 * A thing is a replica, snapshot or clone; each of its sectors is a register of sim/check.h. A
 * snapshot or clone begins with what somebody who read its source between the begin and the end of
 * its making might have read. After a crash, what was under way may be, or not be.
 */
#ifndef TESTS_SIM_POOL_WORLD_H
#define TESTS_SIM_POOL_WORLD_H

#include "base/uuid.h"
#include "pool/pool.h"
#include "sim/check.h"
#include "sim/sim.h"

#define PW_DISKS_MAX  3u
#define PW_THINGS_MAX 32u /* ever */
#define PW_ALIVE_MAX  8u
#define PW_CELLS_MAX  2048u
#define PW_ADMINS_MAX 2u
#define PW_VALUES_MAX 512u

enum thing_state { THING_ABSENT, THING_THERE, THING_MAYBE };

struct thing {
	char name[24], other_name[24]; /* other: of a rename that may have happened; "" */
	struct uuid uuid;
	enum replica_kind kind;
	enum thing_state state;
	int parent; /* -1: none */
	bool discarded, maybe_discarded;
	uint32_t cells, other_cells; /* other: of a resize that may have happened; 0 */
	struct check *check;
	unsigned users; /* opens, and operations that need it */
	bool leaving;	/* nobody may begin to use it */
	bool seen;
};

enum admin_op { ADMIN_NONE, ADMIN_CREATE, ADMIN_DESTROY, ADMIN_DERIVE, ADMIN_RESIZE, ADMIN_RENAME };

/* What an administrator has under way: it may have happened if there is a crash. */
struct admin {
	enum admin_op op;
	struct thing *thing; /* of DERIVE: the new one */
	uint64_t mark;	     /* of DERIVE: of a read of the source */
};

struct pool_world {
	struct sim *sim;
	struct sim_host *host;
	struct sim_proc *proc;
	unsigned disk_count;
	struct sim_disk *disks[PW_DISKS_MAX];
	char uris[PW_DISKS_MAX][48];
	uint32_t cluster_bytes;
	enum thing_state pool_state;
	bool is_volatile; /* acked is not durable; the pool's mapping is lost with its process */
	bool silent;	  /* silent faults may be on */
	bool last;	  /* the cycle after the heal */
	bool broken;	  /* a loud fault has stopped the pool: end, and start again */
	bool over;	  /* a silent fault has been found: nothing can be said any more */
	bool clean;	  /* it was exported */
	uint64_t failed_flushes; /* known to the things */
	struct thing things[PW_THINGS_MAX];
	unsigned thing_count;
	struct admin admins[PW_ADMINS_MAX];
	uint64_t serial;
	unsigned workers, reactors, ops;
	struct pool *pool; /* of the process that runs */
};

/* Has a loud fault struck, so that an operation may fail? */
bool pw_loud(const struct pool_world *w);
/* Something is wrong. A silent fault that has struck explains it; else the run has failed. */
void pw_wrong(struct pool_world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An operation failed: may it? What stops the pool sets broken. */
void pw_error(struct pool_world *w, const char *what, const char *name, int status,
	      const char *words);
bool pw_goes_on(const struct pool_world *w);

/* ---- things ------------------------------------------------------------------------------- */

/* NULL: there are enough. */
struct thing *pw_thing_new(struct pool_world *w, enum replica_kind kind, struct thing *parent,
			   uint32_t cells);
unsigned pw_alive(const struct pool_world *w);
/* A random one that is there and stays; NULL: none. mask: 1 << kind. */
struct thing *pw_pick(struct pool_world *w, unsigned kinds, bool unused);
/* What was under way when everything stopped. */
void pw_admin_stopped(struct pool_world *w, struct admin *admin);
/* The derived thing is what a read of its source since the mark might have returned. */
void pw_derived(struct pool_world *w, struct thing *thing, uint64_t mark);
/* Everything acked so far, of all things, is durable; began: marks of check_flush_begin(), by thing. */
void pw_flush_begin(struct pool_world *w, uint64_t marks[PW_THINGS_MAX]);
void pw_flush_end(struct pool_world *w, const uint64_t marks[PW_THINGS_MAX], bool ok);
/* A device may have failed a flush of the pool's own: no later one helps what it should have covered. */
void pw_flush_look(struct pool_world *w);

/* The process has ended (clean: after an export), or the power has gone. */
void pw_stopped(struct pool_world *w, bool clean, bool power);

/* ---- judging, in the process ------------------------------------------------------------------ */

void pw_judge_cell(struct pool_world *w, struct thing *thing, uint32_t cell, uint64_t mark,
		   const uint8_t *bytes);
/* After an import, alone: what is there, what is in it, and all counts. */
int pw_verify(struct fiber *f, struct pool_world *w);

/* ---- pool_work.c ----------------------------------------------------------------------------------- */

/* Workers and administrators, until each has done its share. */
int pw_work(struct fiber *f, struct pool_world *w);

#endif
