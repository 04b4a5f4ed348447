/* SPDX-License-Identifier: Apache-2.0 */
/*
 * player - random operations on a pool of a simulated process, told to a history; and the judge
 * who compares a pool with it.
 *
 * Bytes are patterns of sim/check.h: a sector of 512 bytes tells its number and the serial of
 * the write. The steps follow from a seed and the kinds that are asked for.
 */
#ifndef TESTS_POOL_PLAYER_H
#define TESTS_POOL_PLAYER_H

#include "base/prng.h"
#include "history.h"
#include "sim/disk_crash.h"
#include "sim/sim.h"

struct fiber;
struct pool;

enum step {
	STEP_CREATE,
	STEP_WRITE,
	STEP_FUA,
	STEP_FLUSH,
	STEP_SNAPSHOT,
	STEP_CLONE,
	STEP_DELETE,
	STEP_UNMAP,
	STEP_RESIZE,
	STEP_GROW,
	STEPS_ASKED, /* those above are the ten of the enumeration */
	STEP_SYNC = STEPS_ASKED,
	STEP_BURST,
	STEP_REMOUNT,
	STEP_READ,
	STEPS
};

const char *step_name(enum step step);

#define PLAYER_URI  "file:///dev/sda"
#define PLAYER_SEED 77u /* of the patterns */

struct player {
	struct sim *sim;
	struct sim_disk *disk;
	struct disk_log *log;	/* NULL: nobody records */
	struct history *h;
	unsigned life;
	struct prng prng;
	struct pool *pool;
	uint32_t cluster_bytes;
	uint64_t disk_bytes;	/* it is grown to this */
	uint64_t grown_at;	/* event; NEVER */
	unsigned replicas_max;	/* alive objects at most */
	uint32_t spare;		/* clusters left free of a full pool; 0: it is not full */
	uint32_t ballast;	/* clusters it is full of */
	uint8_t *buf;		/* PLAYER_BUF */
	struct found found[HISTORY_OBJECTS]; /* by the last judge */
};

#define PLAYER_BUF ((size_t)HISTORY_SECTORS * HISTORY_SECTOR)
#define PLAYER_GROW (8u << 20)

/* The pool is created, or imported: fails the world if that fails. */
int player_create(struct fiber *f, struct player *p);
int player_import(struct fiber *f, struct player *p);
/* Fill it up to `spare` clusters: what is freed is soon used again. Sets ballast. */
void player_fill(struct fiber *f, struct player *p);
/* One step; the world fails if it does. */
void player_step(struct fiber *f, struct player *p, enum step step);
int player_export(struct fiber *f, struct player *p);

/*
 * HI1, HI2 of everything in the pool, and every count of it recounted, which takes a commit.
 * after_commit: the bytes are read after that.
 */
void player_judge(struct fiber *f, struct player *p, const struct crash_at *at, bool after_commit);

#endif
