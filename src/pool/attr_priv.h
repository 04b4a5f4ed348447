// SPDX-License-Identifier: Apache-2.0
/* attr_priv - the attribute tree of a replica. Changed by the commit fiber only. */
#ifndef POOL_ATTR_PRIV_H
#define POOL_ATTR_PRIV_H

#include "pool/catalog_priv.h"

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
/* -ENOENT. */
MUST_USE int attr_get(struct fiber *f, struct replica *rep, enum attr_kind kind, uint64_t index,
		      uint8_t value[ATTR_VALUE_SIZE]);
/* All of a kind. */
MUST_USE int attr_drop(struct fiber *f, struct replica *rep, enum attr_kind kind);

#endif
