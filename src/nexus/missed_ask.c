// SPDX-License-Identifier: Apache-2.0
/* missed_ask - maps of missed writes: what a member does when it is asked to have, mark or drop them. See missed.c. */
#include <errno.h>
#include <string.h>

#include "nexus/missed_ask_priv.h"

#include "base/bitmap.h"
#include "base/cleanup.h"

#define ADD_BATCH 1024u

static int add_batch(struct fiber *f, struct nexus_child *child, unsigned slot,
		     const uint64_t *numbers, unsigned count)
{
	return count ? child->ops->miss_add(f, child->chan, child->token, slot, numbers, count) : 0;
}

/* All regions of a map. */
static int add_words(struct fiber *f, struct nexus_child *child, unsigned slot,
		     const uint64_t *words, uint64_t regions)
{
	CLEANUP(cleanup_mem)
	uint64_t *numbers = mem_alloc_array(child->nexus->mem, ADD_BATCH, sizeof(*numbers));
	unsigned count = 0;
	int r = numbers ? 0 : fiber_fail(f, -ENOMEM, "no memory for missed writes");

	for (uint64_t i = 0; i < regions && r == 0; i++) {
		if (words[i / 64] >> (i % 64) & 1)
			numbers[count++] = i;
		if (count < ADD_BATCH)
			continue;
		r = add_batch(f, child, slot, numbers, count);
		count = 0;
	}
	return r < 0 ? r : add_batch(f, child, slot, numbers, count);
}

static bool ask_names(const struct missed_ask *ask, const struct uuid *replica)
{
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		if (ask->which >> i & 1 && uuid_equal(&ask->map[i].replica, replica))
			return true;
	return false;
}

/* Maps of peers that are not in the question go. */
static int drop_others(struct fiber *f, struct nexus_child *child, const struct missed_ask *ask)
{
	CLEANUP(cleanup_mem)
	struct replica_info *info = mem_alloc(child->nexus->mem, sizeof(*info));
	int r = info ? child->ops->info(f, child->chan, info) : -ENOMEM;

	for (unsigned slot = 0; slot < REPLICA_MISS_SLOTS && r == 0; slot++)
		if (!uuid_is_nil(&info->miss[slot].peer) && !ask_names(ask, &info->miss[slot].peer))
			r = child->ops->miss_drop(f, child->chan, child->token, slot);
	return r;
}

int missed_answer_open(struct fiber *f, struct nexus_child *child, const void *what)
{
	const struct missed_ask *ask = what;
	unsigned slot = 0;
	int r = 0;

	if (!child->ops)
		return 0; /* MS5 */
	if (ask->is_only)
		r = drop_others(f, child, ask);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS && r == 0; i++) {
		const struct missed_map *map = &ask->map[i];

		if (!(ask->which >> i & 1) ||
		    uuid_equal(&map->replica, &child_member(child)->replica))
			continue;
		r = child->ops->miss_open(f, child->chan, child->token, &map->replica, map->gen,
					  &slot);
		if (r < 0)
			break;
		child->miss_slot[i] = (uint8_t)slot;
		child->miss_has |= (uint8_t)(1u << i);
		if (ask->regions > 0)
			r = add_words(f, child, slot, &ask->words[map->at], ask->regions);
	}
	return r;
}

int missed_answer_mark(struct fiber *f, struct nexus_child *child, const void *what)
{
	const struct missed_ask *ask = what;
	int r = 0;

	for (unsigned i = 0; i < REPLICA_MISS_SLOTS && r == 0 && child->ops; i++)
		if (ask->which >> i & child->miss_has >> i & 1)
			r = add_batch(f, child, child->miss_slot[i], ask->numbers, ask->count);
	return r;
}

int missed_answer_drop(struct fiber *f, struct nexus_child *child, const void *what)
{
	const struct missed_ask *ask = what;
	int r = 0;

	for (unsigned i = 0; i < REPLICA_MISS_SLOTS && r == 0 && child->ops; i++)
		if (ask->which >> i & child->miss_has >> i & 1)
			r = child->ops->miss_drop(f, child->chan, child->token,
						  child->miss_slot[i]);
	return r;
}

struct missed_ask *missed_ask_new(struct nexus *n, unsigned which, size_t *ret_bytes)
{
	uint64_t words = BITMAP_WORDS(n->missed.regions);
	size_t bytes = sizeof(struct missed_ask) + REPLICA_MISS_SLOTS * words * sizeof(uint64_t);
	struct missed_ask *ask = mem_alloc(n->mem, bytes);

	if (!ask)
		return NULL;
	memset(ask, 0, sizeof(*ask));
	ask->which = which;
	ask->regions = n->missed.regions;
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		const struct nexus_peer *peer = &n->missed.peer[i];

		if (!(which >> i & 1))
			continue;
		ask->map[i] = (struct missed_map){ peer->replica, peer->gen, i * words };
		memcpy(&ask->words[i * words], peer->words, words * sizeof(uint64_t));
	}
	*ret_bytes = bytes;
	return ask;
}

nexus_mask missed_holders(struct nexus *n)
{
	nexus_mask mask = 0;

	nexus_each_child(n, child)
		if (child->has_maps && child->chan && !child->failed_write &&
		    (child->state == NEXUS_CHILD_IN_SYNC || child->state == NEXUS_CHILD_REBUILDING))
			mask |= nexus_bit(child);
	return mask;
}
