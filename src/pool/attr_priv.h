// SPDX-License-Identifier: Apache-2.0
/* attr_priv - the attribute tree of a replica: changed by the commit fiber only. */
#ifndef POOL_ATTR_PRIV_H
#define POOL_ATTR_PRIV_H

#include "pool/catalog_priv.h"

/*
 * The attribute tree of a replica, TREE_ATTR: values of 232 bytes under kind << 56 | index.
 *
 *	KIND           INDEX               VALUE
 *	1 host         i                   0 1 length   1 223 NQN
 *	2 reservation  0                   0 4 generation   4 1 type   5 1 ptpl   6 2 reserved
 *	                                   8 4 holder: index of a registrant, -1: none or all
 *	                                   12 4 how many registrants there are
 *	2 reservation  1 + i               0 9 x 24 registrants from 9 i on: 8 key, 16 host id
 *	3 activity     chunk               regions that may differ between members
 *	4 miss         slot                0 16 peer uuid   16 8 epoch, 24 8 n of its generation
 *	5 miss map     slot << 48 | chunk  regions the peer of the slot has missed
 *	6 members      i                   0 4 how many there are in all   4 4 reserved
 *	                                   8 14 x 16 uuids from 14 i on
 *
 * A region is 4 MiB of the replica, a chunk 1792 of them: 0 224 region chunk * 1792 + i is bit
 * i % 8 of byte i / 8, 224 8 reserved. What is not said of a value is zeros.
 */
enum attr_kind {
	ATTR_HOST = 1,
	ATTR_RESERVATION,
	ATTR_ACTIVITY,
	ATTR_MISS,
	ATTR_MISS_MAP,
	ATTR_MEMBERS
};

static inline uint64_t attr_key(enum attr_kind kind, uint64_t index)
{
	return (uint64_t)kind << 56 | index;
}

MUST_USE int attr_put(struct fiber *f, struct replica *rep, enum attr_kind kind, uint64_t index,
		      const uint8_t value[ATTR_VALUE_SIZE]);
/* It need not be there. */
MUST_USE int attr_del(struct fiber *f, struct replica *rep, enum attr_kind kind, uint64_t index);
/* All of a kind. */
MUST_USE int attr_drop(struct fiber *f, struct replica *rep, enum attr_kind kind);

/* By any fiber: the first with a key >= from, as readers see it. -ENOENT. */
MUST_USE int attr_seen_next(struct fiber *f, struct replica *rep, uint64_t from, uint64_t *ret_key,
			    uint8_t value[ATTR_VALUE_SIZE]);

#endif
