// SPDX-License-Identifier: Apache-2.0
/*
 * missed - what members that are away have missed, by regions, so that only that is copied when they are back.
 *
 *	left ---> a map for it on every member: regions it may lack from before (MS2)
 *	write --> its regions are in all maps? goes on : waits; a fiber adds them, for all that wait
 *	back ---> generation and uuid match: the marked regions are copied; in sync: the map goes
 *	          else: all is copied, and the map goes
 *
 * A map lies in the metadata of every member in sync, under the uuid of the peer and the generation it
 * left with (B.4), and in memory, where the hot path looks: a region costs once.
 *
 * MS1. A write reaches a member only when its regions are in the maps of all peers, durably, on all
 *	members; until the maps of a peer that has just left are there, writes wait.
 * MS2. A map begins with the regions that had writes in flight when the peer left, or since; and, if
 *	it may lose what it has not flushed, with those written to since its last flush. So a peer
 *	whose incarnation changed (INCARN) lacks nothing that is not marked.
 * MS3. A map is opened after the record says that the peer is out. A member in sync never has a
 *	generation with which it left before: it is told a new one before it is admitted. So a map
 *	that matches a peer that is out is of its last leaving, and has all it missed since.
 * MS4. A map on a member is whole as long as that member is in sync. Who joins is given all maps
 *	before it is admitted, and loses those it had.
 * MS5. Peers without metadata have no generation: they are always copied whole. Members without
 *	it hold no maps: a map that is only in memory ends with this owner.
 * MS6. There are REPLICA_MISS_SLOTS maps; who leaves when all are taken is copied whole.
 * MS7. A map is in use until its peer is in sync: what is written while it is rebuilt is in it, so
 *	that a rebuild that fails may begin again.
 * MS8. Who waited, for the latch or for answers, looks again: a peer may have left anew, which is
 *	another use of its slot (serial), and not the one that was asked about.
 */
#include <errno.h>
#include <string.h>

#include "nexus/failure_priv.h"
#include "nexus/missed_ask_priv.h"

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/must.h"

/* ---- peers -------------------------------------------------------------------------------- */

static bool is_gen(const struct replica_gen *gen)
{
	return gen->epoch != 0 || gen->n != 0;
}

static struct nexus_peer *peer_of(struct nexus *n, const struct uuid *replica)
{
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		struct nexus_peer *peer = &n->missed.peer[i];

		if (peer->is_used && uuid_equal(&peer->replica, replica))
			return peer;
	}
	return NULL;
}

struct nexus_peer *missed_of(struct nexus_child *child)
{
	return peer_of(child->nexus, &child_member(child)->replica);
}

static void peer_end(struct nexus *n, struct nexus_peer *peer)
{
	if (!peer->is_used)
		return;
	mem_free(peer->words);
	nexus_each_child(n, child)
		child->miss_has &= (uint8_t) ~(1u << (peer - n->missed.peer));
	*peer = (struct nexus_peer){ .serial = peer->serial };
	n->missed.count--;
	event_set(&n->missed.needed);
}

struct nexus_peer *missed_new(struct nexus_child *child, const struct replica_gen *gen)
{
	struct nexus *n = child->nexus;
	const struct uuid *replica = &child_member(child)->replica;
	struct nexus_peer *peer = missed_of(child);

	if (peer)
		peer_end(n, peer);
	if (uuid_is_nil(replica) || !is_gen(gen) || child->left_in_doubt)
		return NULL;
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS && !peer; i++)
		if (!n->missed.peer[i].is_used)
			peer = &n->missed.peer[i];
	if (!peer)
		return NULL;
	uint64_t words = BITMAP_WORDS(n->missed.regions);
	*peer = (struct nexus_peer){
		.is_used = true, .replica = *replica, .gen = *gen, .serial = ++n->missed.serial
	};
	peer->words = mem_alloc_array(n->mem, words, sizeof(uint64_t));
	n->missed.count++;
	if (!peer->words) {
		peer_end(n, peer);
		return NULL;
	}
	memset(peer->words, 0, words * sizeof(uint64_t));
	return peer;
}

/* ---- requests (MS1) --------------------------------------------------------------------------- */

static bool peer_has(const struct nexus_missed *m, const struct nexus_peer *peer, uint64_t region)
{
	return region < m->regions && peer->words[region / 64] >> (region % 64) & 1;
}

/* In the maps of all peers? Of one that is only being opened nothing is known. */
static bool missed_has(const struct nexus_missed *m, uint64_t region)
{
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		if (m->peer[i].is_used &&
		    (!m->peer[i].is_open || !peer_has(m, &m->peer[i], region)))
			return false;
	return true;
}

static void missed_span(const struct nexus_req *req, uint64_t *ret_first, uint64_t *ret_last)
{
	uint32_t shift = req->nexus->block_shift;
	const struct bio *bio = req->bio;

	*ret_first = (bio->lba << shift) / NEXUS_REGION_BYTES;
	*ret_last = (((bio->lba + bio->blocks) << shift) - 1) / NEXUS_REGION_BYTES;
}

bool missed_enter(struct nexus_req *req)
{
	struct nexus_missed *m = &req->nexus->missed;
	uint64_t first, last;

	if (likely(m->count == 0))
		return true;
	missed_span(req, &first, &last);
	for (; first <= last; first++) {
		if (!missed_has(m, first)) {
			io_park(req, &m->waiting);
			event_set(&m->needed);
			return false;
		}
	}
	return true;
}

/* ---- refused ----------------------------------------------------------------------------------- */

static unsigned missed_used(const struct nexus *n)
{
	unsigned which = 0;

	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		which |= (unsigned)n->missed.peer[i].is_used << i;
	return which;
}

static void missed_serials(const struct nexus *n, uint64_t ret[REPLICA_MISS_SLOTS])
{
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		ret[i] = n->missed.peer[i].serial;
}

/* Of these peers those that are still what they were then (MS8). */
static unsigned missed_same(const struct nexus *n, unsigned which,
			    const uint64_t serial[REPLICA_MISS_SLOTS])
{
	unsigned same = 0;

	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		const struct nexus_peer *peer = &n->missed.peer[i];

		if (which >> i & 1 && peer->is_used && peer->serial == serial[i])
			same |= 1u << i;
	}
	return same;
}

/* These peers have no maps any more, and members do not keep what they have of them (MS3). */
static void missed_refused(struct fiber *f, struct nexus *n, unsigned which,
			   const uint64_t serial[REPLICA_MISS_SLOTS])
{
	struct nexus_missed *m = &n->missed;
	struct missed_ask ask = { .which = missed_used(n) & ~which, .is_only = true };
	nexus_mask refused;

	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		if (ask.which >> i & 1)
			ask.map[i] = (struct missed_map){ m->peer[i].replica, m->peer[i].gen, 0 };
	refused = ask_members(f, n, missed_holders(n), missed_answer_open, &ask, sizeof(ask));
	nexus_each_child(n, child)
		if (nexus_has(refused, child->index))
			retire(child, -EIO);
	which = missed_same(n, which, serial);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		if (which >> i & 1)
			peer_end(n, &m->peer[i]);
}

/* ---- marks ------------------------------------------------------------------------------------ */

/* Regions that requests wait for. */
static unsigned mark_wanted(struct nexus_missed *m, uint64_t numbers[MISSED_MARK_BATCH])
{
	const struct nexus_req *req;
	unsigned count = 0;

	list_for_each(req, &m->waiting, link) {
		uint64_t first, last;

		missed_span(req, &first, &last);
		for (; first <= last && count < MISSED_MARK_BATCH; first++) {
			unsigned i = 0;

			while (i < count && numbers[i] != first)
				i++;
			if (i == count && first < m->regions && !missed_has(m, first))
				numbers[count++] = first;
		}
	}
	return count;
}

/* Under the latch, all peers open. False: nothing was wanted. */
static bool missed_mark(struct fiber *f, struct nexus *n)
{
	struct nexus_missed *m = &n->missed;
	struct missed_ask ask = { .which = missed_used(n) };
	uint64_t serial[REPLICA_MISS_SLOTS];

	ask.count = mark_wanted(m, ask.numbers);
	if (ask.count == 0)
		return false;
	missed_serials(n, serial);
	if (ask_members(f, n, missed_holders(n), missed_answer_mark, &ask, sizeof(ask)) != 0) {
		missed_refused(f, n, ask.which, serial);
		return true;
	}
	ask.which = missed_same(n, ask.which, serial);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		for (unsigned j = 0; ask.which >> i & 1 && j < ask.count; j++)
			m->peer[i].words[ask.numbers[j] / 64] |= UINT64_C(1)
								 << (ask.numbers[j] % 64);
	return true;
}

static bool missed_all_open(const struct nexus *n)
{
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		if (n->missed.peer[i].is_used && !n->missed.peer[i].is_open)
			return false;
	return true;
}

int missed_main(struct fiber *f, void *arg)
{
	struct nexus *n = arg;
	struct nexus_missed *m = &n->missed;

	while (event_wait(f, &m->needed) == 0) {
		event_clear(&m->needed);
		if (latch_lock(f, &m->latch) < 0)
			break;
		while (n->state != NEXUS_DEPOSED && missed_all_open(n) && missed_mark(f, n))
			;
		latch_unlock(f, &m->latch);
		if (n->state == NEXUS_DEPOSED || missed_all_open(n))
			io_run_all(&m->waiting);
		fiber_clear(f);
	}
	return 0;
}

/* ---- a peer leaves -------------------------------------------------------------------------------- */

/* Under the latch: the maps of these peers on all members. */
static void missed_open(struct fiber *f, struct nexus *n, unsigned which)
{
	struct nexus_missed *m = &n->missed;
	uint64_t serial[REPLICA_MISS_SLOTS];
	size_t bytes;
	CLEANUP(cleanup_mem) struct missed_ask *ask = missed_ask_new(n, which, &bytes);

	missed_serials(n, serial);
	if (!ask || ask_members(f, n, missed_holders(n), missed_answer_open, ask, bytes) != 0) {
		missed_refused(f, n, which, serial); /* MS6 */
		return;
	}
	which = missed_same(n, which, serial);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		if (which >> i & 1)
			m->peer[i].is_open = true;
}

void missed_begin(struct fiber *f, struct nexus *n, nexus_mask left)
{
	struct nexus_missed *m = &n->missed;
	uint64_t serial[REPLICA_MISS_SLOTS];
	unsigned which = 0;

	nexus_each_child(n, child) {
		struct nexus_peer *peer;

		if (!nexus_has(left, child->index))
			continue;
		child->has_maps = false;
		peer = missed_new(child, &child->gen);
		if (!peer)
			continue;
		active_of_lost(child, peer->words, m->regions); /* MS2 */
		which |= 1u << (peer - m->peer);
	}
	missed_serials(n, serial);
	if (which && latch_lock(f, &m->latch) == 0) {
		which = missed_same(n, which, serial);
		if (which)
			missed_open(f, n, which);
		latch_unlock(f, &m->latch);
	}
	event_set(&m->needed);
}

/* ---- a peer comes back -------------------------------------------------------------------------------- */

void missed_add(struct fiber *f, struct nexus_child *child, const uint64_t *words, uint64_t regions)
{
	struct nexus *n = child->nexus;
	struct nexus_missed *m = &n->missed;
	struct nexus_peer *peer;

	if (latch_lock(f, &m->latch) < 0)
		return;
	peer = missed_of(child);
	if (peer) {
		peer->is_open = false; /* MS1 */
		for (uint64_t i = 0; i < min_u64(regions, m->regions); i++)
			if (words[i / 64] >> (i % 64) & 1)
				peer->words[i / 64] |= UINT64_C(1) << (i % 64);
		missed_open(f, n, 1u << (peer - m->peer));
	}
	latch_unlock(f, &m->latch);
}

/* MS4. */
int missed_copy_to(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	struct nexus_missed *m = &n->missed;
	const struct nexus_peer *own = missed_of(child);
	size_t bytes;
	int r = latch_lock(f, &m->latch);

	if (r < 0)
		return r;
	CLEANUP(cleanup_mem)
	struct missed_ask *ask =
		missed_ask_new(n, missed_used(n) & ~(own ? 1u << (own - m->peer) : 0u), &bytes);
	r = ask ? 0 : fiber_fail(f, -ENOMEM, "no memory for missed writes");
	if (r == 0) {
		ask->is_only = true;
		child->miss_has = 0;
		r = missed_answer_open(f, child, ask);
		child->has_maps = r == 0;
	}
	latch_unlock(f, &m->latch);
	return r;
}

void missed_info(struct nexus_child *child, struct nexus_child_info *ret)
{
	const struct nexus_missed *m = &child->nexus->missed;
	const struct nexus_peer *peer = missed_of(child);

	ret->is_tracked = peer != NULL;
	for (uint64_t i = 0; peer && i < BITMAP_WORDS(m->regions); i++)
		ret->missed_bytes +=
			(uint64_t)__builtin_popcountll(peer->words[i]) * NEXUS_REGION_BYTES;
}

int missed_forget(struct fiber *f, struct nexus *n, const struct uuid *replica)
{
	struct nexus_missed *m = &n->missed;
	struct nexus_peer *peer;
	int r = latch_lock(f, &m->latch);

	if (r < 0)
		return r;
	peer = peer_of(n, replica);
	if (peer) {
		struct missed_ask ask = { .which = 1u << (peer - m->peer) };
		uint64_t serial = peer->serial;

		(void)ask_members(f, n, missed_holders(n), missed_answer_drop, &ask, sizeof(ask));
		if (peer->is_used && peer->serial == serial) /* it has not left again */
			peer_end(n, peer);
	}
	latch_unlock(f, &m->latch);
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static int missed_fit(struct fiber *f, struct nexus *n, uint64_t regions)
{
	struct nexus_missed *m = &n->missed;
	uint64_t had = BITMAP_WORDS(m->regions), words = BITMAP_WORDS(regions);

	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		struct nexus_peer *peer = &m->peer[i];
		uint64_t *more;

		if (!peer->is_used || words <= had)
			continue;
		more = mem_alloc_array(n->mem, words, sizeof(*more));
		if (!more)
			return fiber_fail(f, -ENOMEM, "no memory for missed writes");
		memset(more, 0, words * sizeof(*more));
		memcpy(more, peer->words, had * sizeof(*more));
		mem_free(peer->words);
		peer->words = more;
	}
	return 0;
}

int missed_grow(struct fiber *f, struct nexus *n, uint64_t size_bytes)
{
	struct nexus_missed *m = &n->missed;
	uint64_t first = n->rec.size_bytes / NEXUS_REGION_BYTES, end = nexus_regions(size_bytes);
	int r = latch_lock(f, &m->latch);

	if (r < 0)
		return r;
	r = missed_fit(f, n, end);
	if (r == 0) {
		m->regions = max_u64(m->regions, end);
		for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
			for (uint64_t j = first; j < end && m->peer[i].is_used; j++)
				m->peer[i].words[j / 64] |= UINT64_C(1) << (j % 64);
		if (m->count > 0)
			missed_open(f, n, missed_used(n));
	}
	latch_unlock(f, &m->latch);
	return r;
}

int missed_reset(struct fiber *f, struct nexus *n)
{
	int r = latch_lock(f, &n->missed.latch);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		peer_end(n, &n->missed.peer[i]);
	latch_unlock(f, &n->missed.latch);
	return 0;
}

void missed_init(struct nexus *n)
{
	latch_init(&n->missed.latch);
	list_init(&n->missed.waiting);
	event_init(&n->missed.needed);
}

void missed_fini(struct nexus *n)
{
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		peer_end(n, &n->missed.peer[i]);
}
