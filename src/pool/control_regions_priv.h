// SPDX-License-Identifier: Apache-2.0
/*
 * control_regions - a sparse set of regions of a replica: the activity log, a missed-write map.
 *
 * In memory: chunks of REGION_CHUNK_BITS regions, only those that hold any. In the attribute
 * tree (attr_priv.h): a value a chunk, under base + number of the chunk.
 *
 * CR1. A chunk that differs from its value is in `dirty`; region_set_settle() writes it.
 * CR2. Adding may fail half-way: a region too many costs time, one too few costs data.
 */
#ifndef POOL_CONTROL_REGIONS_PRIV_H
#define POOL_CONTROL_REGIONS_PRIV_H

#include "base/bitmap.h"
#include "base/list.h"
#include "base/map.h"
#include "pool/attr_priv.h"

#define REGION_CHUNK_WORDS 28u
#define REGION_CHUNK_BITS  (REGION_CHUNK_WORDS * 64)

struct region_chunk {
	uint64_t number;
	struct list_link link; /* region_set.dirty */
	struct bitmap bits;
	uint64_t words[REGION_CHUNK_WORDS];
};

struct region_set {
	struct mem *mem;       /* borrowed */
	struct map_u64 chunks; /* number -> struct region_chunk, owned */
	struct list dirty;
	uint64_t count; /* regions */
};

void region_set_init(struct region_set *set, struct mem *mem);
void region_set_fini(struct region_set *set);

/* 0 or -ENOMEM (CR2). */
MUST_USE int region_set_add(struct region_set *set, uint64_t first, uint64_t count);
void region_set_remove(struct region_set *set, uint64_t first, uint64_t count);
void region_set_clear(struct region_set *set);
bool region_set_has(const struct region_set *set, uint64_t region);
/* Region i is bit i % 64 of word i / 64; all have room. */
void region_set_words(const struct region_set *set, uint64_t *ret_words, uint64_t count);

/* What is in the tree. -EILSEQ: regions that are not there; -ENOMEM. */
MUST_USE int region_set_load(struct region_set *set, uint64_t number, uint64_t regions,
			     const uint8_t value[ATTR_VALUE_SIZE]);
/* By the commit fiber: the tree agrees with the set as it was at some time during the call. */
MUST_USE int region_set_settle(struct fiber *f, struct replica *rep, enum attr_kind kind,
			       uint64_t base, struct region_set *set);

#endif
