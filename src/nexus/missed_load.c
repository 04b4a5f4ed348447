// SPDX-License-Identifier: Apache-2.0
/*
 * missed_load - a new owner finds what members that are away have missed, in the metadata of the others.
 *
 *	look at every member in sync --> maps of peers that are out --> + active regions --> on all members
 *	members lost just now -------> a new map ------------------------^
 *
 * ML1. A map counts if it lies on at least one member in sync, with one generation on all that have it:
 *	who lacks it was not asked any more before the old owner ended (MS4).
 * ML2. Regions marked in any activity log are added to all maps: writes may have been in flight there
 *	when a peer left, and maps that were only being opened do not have them yet.
 * ML3. It is done before activity logs are cleared. Maps that match no peer go.
 */
#include <errno.h>
#include <string.h>

#include "nexus/nexus_priv.h"

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/must.h"

struct loading {
	struct nexus *n;
	nexus_mask lost;
	struct replica_gen gen;
	struct replica_info info[NEXUS_CHILDREN_MAX];
	nexus_mask seen;  /* those with info */
	uint64_t *active; /* owned: union of their logs */
};

/* Words of a member's own map into ours, which may be shorter. */
static int load_words(struct fiber *f, struct nexus_child *child, int slot, uint64_t *words,
		      uint64_t count)
{
	uint64_t has = BITMAP_WORDS(child->regions);
	CLEANUP(cleanup_mem) uint64_t *one = mem_alloc_array(child->nexus->mem, has, sizeof(*one));
	int r = one ? 0 : fiber_fail(f, -ENOMEM, "no memory for missed writes");

	if (r == 0 && slot < 0)
		r = child->ops->al_get(f, child->chan, one, has);
	else if (r == 0)
		r = child->ops->miss_get(f, child->chan, (unsigned)slot, one, has);
	for (uint64_t i = 0; r == 0 && i < min_u64(has, count); i++)
		words[i] |= one[i];
	return r;
}

static int load_look(struct fiber *f, struct loading *l, struct nexus_child *child)
{
	int r = child->ops->info(f, child->chan, &l->info[child->index]);

	if (r < 0)
		return r;
	child->regions = l->info[child->index].regions;
	l->seen |= nexus_bit(child);
	return load_words(f, child, -1, l->active, BITMAP_WORDS(l->n->missed.regions));
}

static int load_slot(const struct replica_info *info, const struct uuid *peer)
{
	for (int slot = 0; slot < REPLICA_MISS_SLOTS; slot++)
		if (uuid_equal(&info->miss[slot].peer, peer))
			return slot;
	return -1;
}

static bool gen_equal(const struct replica_gen *a, const struct replica_gen *b)
{
	return a->epoch == b->epoch && a->n == b->n;
}

/* ML1: the generation of the maps that there are of this peer; 0.0: none. */
static struct replica_gen load_gen(const struct loading *l, const struct uuid *peer)
{
	struct replica_gen gen = { 0 };

	for (unsigned i = 0; i < NEXUS_CHILDREN_MAX; i++) {
		int slot = nexus_has(l->seen, i) ? load_slot(&l->info[i], peer) : -1;

		if (slot < 0)
			continue;
		if (gen.epoch && !gen_equal(&gen, &l->info[i].miss[slot].peer_gen))
			return (struct replica_gen){ 0 };
		gen = l->info[i].miss[slot].peer_gen;
	}
	return gen;
}

/* A map that is there. */
static void load_peer(struct fiber *f, struct loading *l, struct nexus_child *away,
		      nexus_mask *failed)
{
	const struct uuid *replica = &child_member(away)->replica;
	struct replica_gen gen = load_gen(l, replica);
	struct nexus_peer *peer = missed_new(away, &gen);

	if (!peer)
		return;
	peer->is_loaded = true;
	nexus_each_child(l->n, child) {
		int slot = nexus_has(l->seen, child->index) ?
				   load_slot(&l->info[child->index], replica) :
				   -1;

		if (slot >= 0 &&
		    load_words(f, child, slot, peer->words, BITMAP_WORDS(l->n->missed.regions)) < 0)
			*failed |= nexus_bit(child);
	}
}

/* ML2. */
static void load_active(struct loading *l)
{
	struct nexus_missed *m = &l->n->missed;

	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		if (!m->peer[i].is_used)
			continue;
		for (uint64_t j = 0; j < BITMAP_WORDS(m->regions); j++)
			m->peer[i].words[j] |= l->active[j];
		m->peer[i].is_open = true; /* nobody writes yet */
	}
}

static bool load_is_in(struct nexus_child *child)
{
	return child_member(child)->state == VOLUME_IN_SYNC && child->bdev;
}

static void load_all(struct fiber *f, struct loading *l, nexus_mask *failed)
{
	struct nexus *n = l->n;

	nexus_each_child(n, child) {
		int looked = load_is_in(child) && child->ops ? load_look(f, l, child) : 0;

		if (looked < 0)
			*failed |= nexus_bit(child);
	}
	nexus_each_child(n, child)
		if (!load_is_in(child) && !nexus_has(l->lost, child->index))
			load_peer(f, l, child, failed);
	nexus_each_child(n, child) {
		const struct replica_gen *gen = child->gen.epoch ? &child->gen : &l->gen;

		if (!load_is_in(child) && nexus_has(l->lost, child->index) && !missed_of(child)) {
			struct nexus_peer *peer = missed_new(child, gen);

			if (peer)
				peer->is_loaded = true;
		}
	}
	load_active(l);
}

int missed_load(struct fiber *f, struct nexus *n, nexus_mask lost, struct replica_gen gen,
		nexus_mask *ret_failed)
{
	CLEANUP(cleanup_mem) struct loading *l = mem_new(n->io, sizeof(*l));
	uint64_t words;

	*ret_failed = 0;
	n->missed.regions = nexus_regions(n->rec.size_bytes);
	words = BITMAP_WORDS(n->missed.regions);
	CLEANUP(cleanup_mem) uint64_t *active = mem_alloc_array(n->mem, words, sizeof(*active));
	if (!l || !active)
		return fiber_fail(f, -ENOMEM, "no memory for missed writes");
	memset(active, 0, words * sizeof(*active));
	*l = (struct loading){ .n = n, .lost = lost, .gen = gen, .active = active };
	load_all(f, l, ret_failed);
	nexus_each_child(n, child) {
		if (!load_is_in(child) || nexus_has(*ret_failed, child->index))
			continue;
		if (missed_copy_to(f, child) < 0)
			*ret_failed |= nexus_bit(child);
	}
	fiber_clear(f);
	return 0;
}
