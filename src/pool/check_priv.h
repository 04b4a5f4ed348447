// SPDX-License-Identifier: Apache-2.0
/* check_priv - verifying a pool whose superblock and counts are loaded. */
#ifndef POOL_CHECK_PRIV_H
#define POOL_CHECK_PRIV_H

#include "pool/pool_priv.h"

#define CHECK_LINES_MAX 1000u /* said in full; the rest is counted */

/*
 * Walk all that the superblock reaches and compare with the counts. The pool must be at
 * rest: no transaction open, nothing in the delta or the log that is not in the trees.
 * extra: roots of map trees that no record holds (tests). Finding errors is not failing.
 */
MUST_USE int check_walk(struct fiber *f, struct pool *pool, const struct tree_root *extra,
			unsigned extra_count, pool_check_say_fn say, void *ctx,
			struct pool_check_result *ret);

#endif
