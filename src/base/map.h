// SPDX-License-Identifier: Apache-2.0
/*
 * map - hash maps that remember the order of insertion.
 *
 * struct map has string keys (copied), struct map_u64 has numbers; values are
 * pointers, never NULL. Entries stand in an array in the order they were put,
 * beside it an open-addressed index of entry numbers; a removed entry leaves a
 * hole until the next growth.
 *
 * H1. Iteration goes in insertion order; the hash has no seed and no addresses,
 *     so two runs of a program do the same.
 * H2. While iterating, any entry may be removed (it is then not visited any
 *     more); adding is a programmer error and caught.
 * H3. A map never holds more than its max: put gives -ENOSPC.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/lang.h"

#define MAP_ENTRIES_MAX (UINT32_C(1) << 26)
#define MAP_KEY_LEN_MAX 65535

struct mem;
struct map_entry;

/* The part that both kinds share; fields are private. */
struct map_core {
	struct mem *mem; /* borrowed */
	struct map_entry *entries;
	uint32_t *index;      /* entry number + 2, MAP_SLOT_FREE or MAP_SLOT_GONE */
	uint32_t entry_count; /* with holes */
	uint32_t entry_room;
	uint32_t index_mask; /* index slots - 1, if index */
	uint32_t live_count;
	uint32_t live_max;
	uint32_t put_count; /* for H2 */
};

struct map {
	struct map_core core;
};

struct map_u64 {
	struct map_core core;
};

/* Zero-initialized, then walked by map_next(). */
struct map_iter {
	const char *key;  /* struct map */
	uint64_t key_u64; /* struct map_u64 */
	void *value;
	uint32_t at; /* private from here */
	uint32_t put_count;
	bool started;
};

/* Allocates nothing yet. max: 1..MAP_ENTRIES_MAX. */
void map_init(struct map *map, struct mem *mem, uint32_t max);
/* Forgets all entries; the values are the caller's. */
void map_fini(struct map *map);
/* 0, -EEXIST (unchanged), -ENOSPC (H3), -ENAMETOOLONG or -ENOMEM. value: not NULL. */
MUST_USE int map_put(struct map *map, const char *key, void *value);
/* NULL: none. */
void *map_get(const struct map *map, const char *key);
/* The value that was taken out, or NULL. */
void *map_del(struct map *map, const char *key);
bool map_next(const struct map *map, struct map_iter *iter);

void map_u64_init(struct map_u64 *map, struct mem *mem, uint32_t max);
void map_u64_fini(struct map_u64 *map);
MUST_USE int map_u64_put(struct map_u64 *map, uint64_t key, void *value);
void *map_u64_get(const struct map_u64 *map, uint64_t key);
void *map_u64_del(struct map_u64 *map, uint64_t key);
bool map_u64_next(const struct map_u64 *map, struct map_iter *iter);

static inline uint32_t map_count(const struct map *map)
{
	return map->core.live_count;
}

static inline uint32_t map_u64_count(const struct map_u64 *map)
{
	return map->core.live_count;
}

/* struct map_iter it; map_for_each(map, &it) use(it.key, it.value); */
#define map_for_each(map, iter)	    for (*(iter) = (struct map_iter){ 0 }; map_next(map, iter);)
#define map_u64_for_each(map, iter) for (*(iter) = (struct map_iter){ 0 }; map_u64_next(map, iter);)

#endif
