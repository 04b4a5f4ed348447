// SPDX-License-Identifier: Apache-2.0
/*
 * map - hash maps that remember the order of insertion.
 *
 *	entries:  0 "a"   1 hole   2 "c"   3 (room)
 *	index:    free  2  free  gone  free  free  4  free	(entry number + 2)
 *
 * H1..H3 stand in map.h. Here besides:
 * H4. Each used or gone slot of the index belongs to one entry or hole, and the
 *     index has twice as many slots as there is room for entries: a search always
 *     meets a free slot.
 */
#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

#define MAP_ROOM_MIN 8

enum map_slot {
	MAP_SLOT_FREE,
	MAP_SLOT_GONE,
	MAP_SLOT_FIRST, /* entry 0 */
};

struct map_entry {
	uint64_t hash;
	union {
		char *str; /* owned */
		uint64_t u64;
	} key;
	void *value; /* NULL: a hole */
};

struct map_key {
	uint64_t hash;
	const char *str; /* NULL: a number */
	uint64_t u64;
};

/* The finalizer of splitmix64. */
static uint64_t map_mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* FNV-1a, mixed. */
static struct map_key map_key_str(const char *key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *p = key; *p; p++)
		hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	return (struct map_key){ .hash = map_mix(hash), .str = key };
}

static struct map_key map_key_u64(uint64_t key)
{
	return (struct map_key){ .hash = map_mix(key + UINT64_C(0x9e3779b97f4a7c15)), .u64 = key };
}

static bool map_entry_has_key(const struct map_entry *entry, const struct map_key *key)
{
	if (entry->hash != key->hash)
		return false;
	return key->str ? strcmp(entry->key.str, key->str) == 0 : entry->key.u64 == key->u64;
}

/* The index slot of a key, or NULL. */
static uint32_t *map_find(const struct map_core *core, const struct map_key *key)
{
	if (!core->index)
		return NULL;
	for (uint64_t i = key->hash;; i++) { /* ends by H4 */
		uint32_t *slot = &core->index[i & core->index_mask];

		if (*slot == MAP_SLOT_FREE)
			return NULL;
		if (*slot >= MAP_SLOT_FIRST &&
		    map_entry_has_key(&core->entries[*slot - MAP_SLOT_FIRST], key))
			return slot;
	}
}

static void map_index_entry(struct map_core *core, uint32_t number)
{
	uint64_t i = core->entries[number].hash;

	while (core->index[i & core->index_mask] != MAP_SLOT_FREE)
		i++;
	core->index[i & core->index_mask] = number + MAP_SLOT_FIRST;
}

/* Entries and index anew, without holes, with room for one more. */
static int map_grow(struct map_core *core)
{
	struct map_core grown = *core;

	grown.entry_room = max_u32(core->entry_room, MAP_ROOM_MIN);
	if (core->live_count >= grown.entry_room / 2)
		grown.entry_room *= 2;
	grown.entries = mem_alloc_array(core->mem, grown.entry_room, sizeof(*grown.entries));
	if (!grown.entries)
		return -ENOMEM;
	grown.index =
		mem_alloc_array(core->mem, 2 * (size_t)grown.entry_room, sizeof(*grown.index));
	if (!grown.index) {
		mem_free(grown.entries);
		return -ENOMEM;
	}
	grown.index_mask = 2 * grown.entry_room - 1;
	grown.entry_count = 0;
	for (uint32_t i = 0; i < core->entry_count; i++) {
		if (!core->entries[i].value)
			continue;
		grown.entries[grown.entry_count] = core->entries[i];
		map_index_entry(&grown, grown.entry_count++);
	}
	mem_free(core->entries);
	mem_free(core->index);
	*core = grown;
	return 0;
}

static int map_core_put(struct map_core *core, const struct map_key *key, void *value)
{
	struct map_entry entry = { .hash = key->hash, .key.u64 = key->u64, .value = value };
	int r;

	must(value);
	if (map_find(core, key))
		return -EEXIST;
	if (core->live_count == core->live_max)
		return -ENOSPC; /* H3 */
	if (core->entry_count == core->entry_room) {
		r = map_grow(core);
		if (r < 0)
			return r;
	}
	if (key->str) {
		entry.key.str = mem_strdup(core->mem, key->str);
		if (!entry.key.str)
			return -ENOMEM;
	}
	core->entries[core->entry_count] = entry;
	map_index_entry(core, core->entry_count++);
	core->live_count++;
	core->put_count++;
	return 0;
}

static void *map_core_get(const struct map_core *core, const struct map_key *key)
{
	uint32_t *slot = map_find(core, key);

	return slot ? core->entries[*slot - MAP_SLOT_FIRST].value : NULL;
}

static void *map_core_del(struct map_core *core, const struct map_key *key)
{
	uint32_t *slot = map_find(core, key);
	struct map_entry *entry;
	void *value;

	if (!slot)
		return NULL;
	entry = &core->entries[*slot - MAP_SLOT_FIRST];
	value = entry->value;
	if (key->str)
		mem_free(entry->key.str);
	*entry = (struct map_entry){ 0 };
	*slot = MAP_SLOT_GONE;
	core->live_count--;
	return value;
}

/* The next entry that is not a hole, or NULL. */
static const struct map_entry *map_core_next(const struct map_core *core, struct map_iter *iter)
{
	must(!iter->started || iter->put_count == core->put_count); /* H2 */
	iter->started = true;
	iter->put_count = core->put_count;
	while (iter->at < core->entry_count) {
		const struct map_entry *entry = &core->entries[iter->at++];

		if (entry->value) {
			iter->value = entry->value;
			return entry;
		}
	}
	return NULL;
}

static void map_core_init(struct map_core *core, struct mem *mem, uint32_t max)
{
	must(max > 0 && max <= MAP_ENTRIES_MAX);
	*core = (struct map_core){ .mem = mem, .live_max = max };
}

static void map_core_fini(struct map_core *core)
{
	mem_free(core->entries);
	mem_free(core->index);
	*core = (struct map_core){ .mem = core->mem, .live_max = core->live_max };
}

void map_init(struct map *map, struct mem *mem, uint32_t max)
{
	map_core_init(&map->core, mem, max);
}

void map_fini(struct map *map)
{
	for (uint32_t i = 0; i < map->core.entry_count; i++)
		mem_free(map->core.entries[i].key.str); /* NULL in a hole */
	map_core_fini(&map->core);
}

int map_put(struct map *map, const char *key, void *value)
{
	struct map_key map_key;

	if (strnlen(key, MAP_KEY_LEN_MAX + 1) > MAP_KEY_LEN_MAX)
		return -ENAMETOOLONG;
	map_key = map_key_str(key);
	return map_core_put(&map->core, &map_key, value);
}

void *map_get(const struct map *map, const char *key)
{
	struct map_key map_key = map_key_str(key);

	return map_core_get(&map->core, &map_key);
}

void *map_del(struct map *map, const char *key)
{
	struct map_key map_key = map_key_str(key);

	return map_core_del(&map->core, &map_key);
}

bool map_next(const struct map *map, struct map_iter *iter)
{
	const struct map_entry *entry = map_core_next(&map->core, iter);

	iter->key = entry ? entry->key.str : NULL;
	return entry;
}

void map_u64_init(struct map_u64 *map, struct mem *mem, uint32_t max)
{
	map_core_init(&map->core, mem, max);
}

void map_u64_fini(struct map_u64 *map)
{
	map_core_fini(&map->core);
}

int map_u64_put(struct map_u64 *map, uint64_t key, void *value)
{
	struct map_key map_key = map_key_u64(key);

	return map_core_put(&map->core, &map_key, value);
}

void *map_u64_get(const struct map_u64 *map, uint64_t key)
{
	struct map_key map_key = map_key_u64(key);

	return map_core_get(&map->core, &map_key);
}

void *map_u64_del(struct map_u64 *map, uint64_t key)
{
	struct map_key map_key = map_key_u64(key);

	return map_core_del(&map->core, &map_key);
}

bool map_u64_next(const struct map_u64 *map, struct map_iter *iter)
{
	const struct map_entry *entry = map_core_next(&map->core, iter);

	iter->key_u64 = entry ? entry->key.u64 : 0;
	return entry;
}
