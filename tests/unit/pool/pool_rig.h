/* SPDX-License-Identifier: Apache-2.0 */
/* pool_rig - pools under test: a node's rig with a table of pools, and disks that outlive them. */
#ifndef TESTS_POOL_RIG_H
#define TESTS_POOL_RIG_H

#include "base/err.h"
#include "pool/pool.h"
#include "rig.h"

#define POOL_RIG_DISKS_MAX 8

struct pool_rig {
	struct rig *rig;
	struct pool *pool;
	struct bdev *keep[POOL_RIG_DISKS_MAX]; /* memory disks live while they are open */
	const char *uris[POOL_RIG_DISKS_MAX];
	unsigned disks;
};

/* Open the disks and create a pool "p" on them. */
void pool_rig_start(struct fiber *f, struct rig *rig, struct pool_rig *pr, const char *const *uris,
		    unsigned count, uint32_t cluster_bytes);
void pool_rig_stop(struct fiber *f, struct pool_rig *pr);

/* The process stops without a word (no export), and the pool is imported again. */
void pool_rig_crash(struct fiber *f, struct pool_rig *pr);
/* Export and import. */
void pool_rig_remount(struct fiber *f, struct pool_rig *pr);

/* Everything agrees with everything (check_walk), after a commit. */
void pool_rig_check(struct fiber *f, struct pool_rig *pr);

/* It must be 0, or the words are shown. */
#define pool_ok(f, call)                                                  \
	do {                                                              \
		int r_ = (call);                                          \
		if (r_ < 0)                                               \
			print_message("%s: %s\n", #call, fiber_words(f)); \
		assert_int_equal(r_, 0);                                  \
	} while (0)

/* It fails with this code and with words that hold `part`. */
#define fails(f, code, part, call)                                                           \
	do {                                                                                 \
		int r_ = (call);                                                             \
		if (r_ != (code) || !strstr(fiber_words(f), (part)))                         \
			print_message("%s: %s '%s'\n", #call, err_name(r_), fiber_words(f)); \
		assert_int_equal(r_, (code));                                                \
		assert_non_null(strstr(fiber_words(f), (part)));                             \
		fiber_clear(f);                                                              \
	} while (0)

#endif
