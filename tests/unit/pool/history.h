/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history - what was asked of a pool, when, and what may therefore be found after a crash.
 *
 * Time is counted twice: by a clock that orders the calls, and by the events of a disk_log, for a
 * crash is between two of these. A life is the time between two crashes; each has a log of its own.
 *
 * HI1. An object is there if its creation was acked, may be there if it had begun; likewise gone.
 * HI2. A sector holds what some write that had begun wrote, unless another one, begun after that
 *      one's end, is durable: FUA, flushed since, or acked by a disk without a volatile cache.
 * HI3. A snapshot or clone begins with what its source held when it was asked for; no write may
 *      be under way then, but two that overlapped may both have been the last.
 */
#ifndef TESTS_POOL_HISTORY_H
#define TESTS_POOL_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_SECTOR	512u
#define HISTORY_SECTORS 1024u /* of an object */
#define HISTORY_OBJECTS 96u
#define HISTORY_CHANGES 1024u
#define HISTORY_SIZES	6u
#define HISTORY_SAME	12u /* values a derived object's sector may begin with */
#define HISTORY_LIVES	2u
#define HISTORY_NEVER	UINT64_MAX

struct when {
	unsigned life;
	uint64_t begin, end;	    /* events; NEVER: not yet */
	uint64_t begin_at, end_at;  /* the clock */
};

enum object_kind { OBJECT_REPLICA, OBJECT_SNAPSHOT, OBJECT_CLONE };

struct object {
	char name[16];
	enum object_kind kind;
	int parent;		    /* index; -1: none */
	uint32_t clones;	    /* alive */
	struct when created, destroyed, discarded; /* begin NEVER: not asked */
	struct {
		uint32_t sectors;
		struct when when;
	} sizes[HISTORY_SIZES];
	unsigned size_count;
	uint32_t initial[HISTORY_SECTORS][HISTORY_SAME]; /* serials; 0: zeros */
	uint8_t initial_count[HISTORY_SECTORS];		 /* 0: zeros only */
};

struct change {
	unsigned object;
	uint32_t first, count, serial; /* 0: zeros */
	bool maybe;		       /* it failed; or was of an earlier life, and not durable then */
	struct when when, durable;     /* durable: begin unused */
};

struct history {
	struct object objects[HISTORY_OBJECTS];
	unsigned object_count;
	struct change changes[HISTORY_CHANGES];
	unsigned change_count;
	uint64_t clock;
	uint32_t serial;
	uint32_t next_name;
	bool is_volatile;
	uint64_t floor[HISTORY_OBJECTS][HISTORY_SECTORS];
	uint64_t floor_at[HISTORY_LIVES]; /* the crash floor[] is of */
	bool floor_valid;
};

/* The crash: how many events of each life had happened. */
struct crash_at {
	uint64_t events[HISTORY_LIVES];
};

struct when when_begin(struct history *h, unsigned life, uint64_t events);
void when_end(struct history *h, struct when *when, uint64_t events);
bool when_had_begun(const struct when *when, const struct crash_at *at);
bool when_had_ended(const struct when *when, const struct crash_at *at);

/* A new object, not there before `created` begins; NULL: no room. From: the source or -1. */
struct object *history_object(struct history *h, const char *prefix, enum object_kind kind, int parent,
			      uint32_t sectors, struct when created);
unsigned history_index(const struct history *h, const struct object *o);
struct object *history_find(struct history *h, const char *name);
bool object_is_alive(const struct object *o); /* created, and nobody asked to destroy it */
uint32_t object_sectors(const struct object *o);
void object_resize(struct object *o, uint32_t sectors, struct when when);

struct change *history_change(struct history *h, unsigned object, uint32_t first, uint32_t count,
			      bool zeros, struct when when);
/* It is acked; durable: for good. */
void history_acked(struct history *h, struct change *change, uint64_t events, bool durable);
/* It failed: it may have happened, in part. */
void history_refused(struct history *h, struct change *change, uint64_t events);
/* A flush of an object (-1: of all) that began at `flush` has ended. */
void history_flushed(struct history *h, int object, const struct when *flush);

/* Everything is on the disk and at rest: what there is becomes initial, the rest is forgotten. */
void history_freeze(struct history *h);

/* What a pool was seen to have after a crash. */
struct found {
	uint32_t sectors; /* 0: not there */
	bool discarded;
};

/* The crash was; what was found is certain now, and begins the next life (events 0 are before it). */
void history_crashed(struct history *h, const struct crash_at *at, const struct found *found);

/* HI1. */
bool history_may_be(const struct object *o, const struct crash_at *at);
bool history_must_be(const struct object *o, const struct crash_at *at);
bool history_may_have_size(const struct object *o, uint32_t sectors, const struct crash_at *at);
/* HI2. */
bool history_may_hold(struct history *h, const struct object *o, uint32_t sector, uint32_t serial,
		      const struct crash_at *at);

#endif
