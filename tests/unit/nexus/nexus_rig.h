/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexus_rig - a volume "v" of three replicas, each in a pool of its own, and a record store in memory.
 */
#ifndef TESTS_NEXUS_RIG_H
#define TESTS_NEXUS_RIG_H

#include "bdev/replica.h"
#include "nexus/nexus.h"
#include "pool/pool.h"
#include "rig.h"
#include "unit/store/ram_store.h"

#define NR_CHILDREN 3u
#define NR_SIZE	    (32u << 20)
#define NR_BLOCKS   (NR_SIZE / 512u)

struct nexus_rig {
	struct rig *rig;
	struct store *store;
	struct ram_store *ram;
	struct nexus_table *table; /* also the one of nexus:/// */
	struct nexus *nexus;	   /* "v", open; or NULL */
	struct uuid volume;
	struct pool *pool[NR_CHILDREN + 1]; /* one more than the volume has */
	struct bdev *disk[NR_CHILDREN + 1]; /* kept: they are of memory */
};

extern const char *const nr_uris[NR_CHILDREN + 1];

/* Pools, store and table; the volume is created with so many children, and opened. */
void nr_start(struct fiber *f, struct rig *rig, struct nexus_rig *nr, unsigned children);
/* Closed if it is open. */
void nr_stop(struct fiber *f, struct nexus_rig *nr);
void nr_open(struct fiber *f, struct nexus_rig *nr);

/* All writes to the pool's disk fail from now on; and it is well again, as after a restart. */
void nr_break(struct nexus_rig *nr, unsigned i);
void nr_repair(struct fiber *f, struct nexus_rig *nr, unsigned i);
/* Its pool ends as it is, and comes back; nobody has it open. */
void nr_crash(struct fiber *f, struct nexus_rig *nr, unsigned i);
void nr_import(struct fiber *f, struct nexus_rig *nr, unsigned i);

/* What member i holds, straight from its replica. */
void nr_read_member(struct fiber *f, struct nexus_rig *nr, unsigned i, uint64_t lba,
		    uint64_t blocks, void *buf);
/* The volume's members in this range are alike, those that are in sync. */
void nr_check_equal(struct fiber *f, struct nexus_rig *nr);

/* Blocks of any disk, all of one byte. */
void nr_put(struct fiber *f, const char *uri, uint64_t lba, uint64_t blocks, uint8_t byte);
/* The first byte of a block. */
uint8_t nr_get(struct fiber *f, const char *uri, uint64_t lba);
/* Of a replica, also one that is fenced. */
struct replica_info nr_replica(struct fiber *f, unsigned i);

/* The volume, and who has it open as a disk. */
struct nexus_user {
	struct nexus_rig nr;
	struct bdev *bdev;
	struct bdev_chan *chan;
};

void nr_user_start(struct fiber *f, struct rig *rig, struct nexus_user *u, unsigned children);
void nr_user_let_go(struct fiber *f, struct nexus_user *u);
/* Let go, and nr_stop(). */
void nr_user_stop(struct fiber *f, struct nexus_user *u);
/* One block. */
int nr_user_write(struct fiber *f, struct nexus_user *u, uint64_t lba, uint8_t byte);

/* 0, or the words are shown. */
#define nr_ok(f, call)                                                    \
	do {                                                              \
		int r_ = (call);                                          \
		if (r_ < 0)                                               \
			print_message("%s: %s\n", #call, fiber_words(f)); \
		assert_int_equal(r_, 0);                                  \
	} while (0)

/* Refused with this code and words that hold `part`. */
#define nr_refused(f, call, code, part)                                       \
	do {                                                                  \
		assert_int_equal(call, code);                                 \
		if (!strstr(fiber_words(f), part))                            \
			fail_msg("'%s' is not in: %s", part, fiber_words(f)); \
		fiber_clear(f);                                               \
	} while (0)

#endif
