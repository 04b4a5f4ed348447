// SPDX-License-Identifier: Apache-2.0
/*
 * control_log - the activity log and the missed-write maps of a replica. See control_priv.h.
 *
 * A call's regions are told to the log as runs: neighbours that stand beside each other in
 * the call make one entry.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "pool/control_priv.h"
#include "pool/rio_priv.h"
#include "reactor/fiber.h"

/* ---- regions of a call ----------------------------------------------------------------------- */

struct regions_call {
	struct control_call call;
	enum intent_kind kind;
	unsigned slot;
	const uint64_t *regions;
	unsigned count;
};

static int regions_check(struct fiber *f, const struct regions_call *rc)
{
	uint64_t regions = control_regions(rc->call.rep);

	for (unsigned i = 0; i < rc->count; i++)
		if (rc->regions[i] >= regions)
			return fiber_fail(f, -EINVAL,
					  "replica '%s': region %" PRIu64 ", it has %" PRIu64,
					  rc->call.rep->rec.name, rc->regions[i], regions);
	return 0;
}

static unsigned runs_make(const struct regions_call *rc, struct intent_entry *entries)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rc->count; i++) {
		if (n && entries[n - 1].first + entries[n - 1].second == rc->regions[i]) {
			entries[n - 1].second++;
			continue;
		}
		entries[n++] = (struct intent_entry){ .kind = rc->kind,
						      .slot = (uint8_t)rc->slot,
						      .object = rc->call.rep->object,
						      .first = rc->regions[i],
						      .second = 1 };
	}
	return n;
}

static struct region_set *entry_set(struct control *control, const struct intent_entry *entry)
{
	return entry->kind == INTENT_MISS_ADD ? &control->miss[entry->slot].regions : &control->al;
}

static int entry_apply(struct control *control, const struct intent_entry *entry)
{
	struct region_set *set = entry_set(control, entry);

	if (entry->kind != INTENT_AL_CLEAR)
		return region_set_add(set, entry->first, entry->second);
	region_set_remove(set, entry->first, entry->second);
	return 0;
}

static int regions_run(struct fiber *f, struct regions_call *rc)
{
	struct pool *pool = rc->call.rep->pool;
	CLEANUP(cleanup_mem)
	struct intent_entry *entries = mem_alloc_array(pool->mem, rc->count, sizeof(*entries));
	unsigned n;
	int r = 0;

	if (!entries)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory", pool->super.name);
	n = runs_make(rc, entries);
	control_mark(rc->call.control);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = entry_apply(rc->call.control, &entries[i]);
	if (r < 0)
		return fiber_fail(f, r, "pool '%s': no memory", pool->super.name);
	return n ? intent_write(f, pool, entries, n) : 0; /* CT1 */
}

static int count_check(struct fiber *f, unsigned count)
{
	if (count > CONTROL_REGIONS_MAX)
		return fiber_fail(f, -EINVAL, "%u regions in one call, at most %u can be", count,
				  CONTROL_REGIONS_MAX);
	return 0;
}

int control_log_replay(struct fiber *f, struct control *control, const struct intent_entry *entry)
{
	uint64_t regions = control_regions(control->rep);

	if (entry->first > regions || entry->second > regions - entry->first ||
	    entry->slot >= REPLICA_MISS_SLOTS)
		return fiber_fail(f, -EILSEQ, "pool '%s': log: regions that '%s' does not have",
				  control->rep->pool->super.name, control->rep->rec.name);
	if (entry->kind == INTENT_MISS_ADD && uuid_is_nil(&control->miss[entry->slot].peer))
		return 0; /* dropped meanwhile */
	if (entry_apply(control, entry) < 0)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory to replay the log",
				  control->rep->pool->super.name);
	control_mark(control);
	return 0;
}

/* ---- as words -------------------------------------------------------------------------------- */

struct words_call {
	struct control_call call;
	bool miss;
	unsigned slot;
	uint64_t *ret_words;
	uint64_t count;
};

static int slot_check(struct fiber *f, const struct control_call *call, unsigned slot)
{
	if (slot >= REPLICA_MISS_SLOTS)
		return fiber_fail(f, -EINVAL, "replica '%s': slot %u, it has %u",
				  call->rep->rec.name, slot, REPLICA_MISS_SLOTS);
	if (uuid_is_nil(&call->control->miss[slot].peer))
		return fiber_fail(f, -ENOENT, "replica '%s': slot %u is free", call->rep->rec.name,
				  slot);
	return 0;
}

static int words_run(struct fiber *f, struct control_call *call)
{
	struct words_call *words = container_of(call, struct words_call, call);
	uint64_t want = div_up_u64(control_regions(call->rep), 64);
	int r = words->miss ? slot_check(f, call, words->slot) : 0;

	if (r < 0)
		return r;
	if (words->count != want)
		return fiber_fail(f, -EINVAL,
				  "replica '%s': its map has %" PRIu64 " words, not %" PRIu64,
				  call->rep->rec.name, want, words->count);
	region_set_words(words->miss ? &call->control->miss[words->slot].regions :
				       &call->control->al,
			 words->ret_words, words->count);
	return 0;
}

int control_al_get(struct fiber *f, struct bdev_chan *chan, uint64_t *ret_words, uint64_t count)
{
	struct words_call words = { .call = { .run = words_run },
				    .ret_words = ret_words,
				    .count = count };

	return control_call(f, chan, &words.call);
}

int control_miss_get(struct fiber *f, struct bdev_chan *chan, unsigned slot, uint64_t *ret_words,
		     uint64_t count)
{
	struct words_call words = { .call = { .run = words_run },
				    .miss = true,
				    .slot = slot,
				    .ret_words = ret_words,
				    .count = count };

	return control_call(f, chan, &words.call);
}

/* ---- the activity log ------------------------------------------------------------------------ */

/* At most: one that stands in the call twice is counted twice. */
static uint64_t al_more(const struct regions_call *rc)
{
	uint64_t more = 0;

	for (unsigned i = 0; i < rc->count; i++)
		more += !region_set_has(&rc->call.control->al, rc->regions[i]);
	return more;
}

static int al_run(struct fiber *f, struct control_call *call)
{
	struct regions_call *rc = container_of(call, struct regions_call, call);
	int r = control_check(f, call);

	if (r == 0)
		r = regions_check(f, rc);
	if (r == 0 && rc->kind == INTENT_AL_SET &&
	    call->control->al.count + al_more(rc) > CONTROL_AL_MAX)
		r = fiber_fail(f, -ENOSPC, "replica '%s': more than %u active regions",
			       call->rep->rec.name, CONTROL_AL_MAX);
	return r < 0 ? r : regions_run(f, rc);
}

int control_al_update(struct fiber *f, struct bdev_chan *chan, uint64_t token,
		      enum replica_al_op op, const uint64_t *regions, unsigned count)
{
	struct regions_call rc = { .call = { .run = al_run, .token = token },
				   .kind = op == REPLICA_AL_SET ? INTENT_AL_SET : INTENT_AL_CLEAR,
				   .regions = regions,
				   .count = count };
	int r = count_check(f, count);

	return r < 0 ? r : control_call(f, chan, &rc.call);
}

/* ---- missed-write maps ----------------------------------------------------------------------- */

int control_miss_load(struct control *control, uint64_t slot, const uint8_t *value)
{
	if (slot >= REPLICA_MISS_SLOTS)
		return -EILSEQ;
	memcpy(control->miss[slot].peer.bytes, value, 16);
	control->miss[slot].gen =
		(struct replica_gen){ le64_get(value + 16), le64_get(value + 24) };
	return 0;
}

static int miss_put(struct fiber *f, struct control *control, unsigned slot)
{
	const struct control_miss *miss = &control->miss[slot];
	uint8_t value[ATTR_VALUE_SIZE] = { 0 };

	memcpy(value, miss->peer.bytes, 16);
	le64_put(value + 16, miss->gen.epoch);
	le64_put(value + 24, miss->gen.n);
	return attr_put(f, control->rep, ATTR_MISS, slot, value);
}

struct miss_call {
	struct control_call call;
	struct uuid peer;
	struct replica_gen gen;
	unsigned slot;
};

/* The slot of this peer; REPLICA_MISS_SLOTS: none has it. */
static unsigned miss_slot(const struct control *control, const struct uuid *peer)
{
	unsigned slot = 0;

	while (slot < REPLICA_MISS_SLOTS && !uuid_equal(&control->miss[slot].peer, peer))
		slot++;
	return slot;
}

static int miss_open_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct miss_call *mc = container_of(arg, struct miss_call, call);
	const struct uuid nil = { 0 };
	int r = control_check(f, &mc->call);

	(void)pool;
	if (r < 0)
		return r;
	mc->slot = miss_slot(mc->call.control, &mc->peer);
	if (mc->slot == REPLICA_MISS_SLOTS)
		mc->slot = miss_slot(mc->call.control, &nil);
	if (mc->slot == REPLICA_MISS_SLOTS)
		return fiber_fail(f, -ENOSPC, "replica '%s': %u peers are missing already",
				  mc->call.rep->rec.name, REPLICA_MISS_SLOTS);
	return 0;
}

/* A peer that left at another generation had everything up to it: its map begins anew. */
static int miss_open_commit(struct fiber *f, struct pool *pool, void *arg)
{
	const struct miss_call *mc = container_of(arg, struct miss_call, call);
	struct control_miss *miss = &mc->call.control->miss[mc->slot];

	(void)pool;
	if (uuid_equal(&miss->peer, &mc->peer) && miss->gen.epoch == mc->gen.epoch &&
	    miss->gen.n == mc->gen.n)
		return 0;
	miss->peer = mc->peer;
	miss->gen = mc->gen;
	region_set_clear(&miss->regions);
	control_mark(mc->call.control);
	return miss_put(f, mc->call.control, mc->slot);
}

static int miss_open_run(struct fiber *f, struct control_call *call)
{
	return control_change(f, call, false, miss_open_check, miss_open_commit);
}

int control_miss_open(struct fiber *f, struct bdev_chan *chan, uint64_t token,
		      const struct uuid *peer, struct replica_gen peer_gen, unsigned *ret_slot)
{
	struct miss_call mc = { .call = { .run = miss_open_run, .token = token },
				.peer = *peer,
				.gen = peer_gen };
	int r;

	if (uuid_is_nil(peer))
		return fiber_fail(f, -EINVAL, "a missed-write map needs a peer");
	r = control_call(f, chan, &mc.call);
	if (r == 0)
		*ret_slot = mc.slot;
	return r;
}

static int miss_add_run(struct fiber *f, struct control_call *call)
{
	struct regions_call *rc = container_of(call, struct regions_call, call);
	int r = control_check(f, call);

	if (r == 0)
		r = slot_check(f, call, rc->slot);
	if (r == 0)
		r = regions_check(f, rc);
	return r < 0 ? r : regions_run(f, rc);
}

int control_miss_add(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot,
		     const uint64_t *regions, unsigned count)
{
	struct regions_call rc = { .call = { .run = miss_add_run, .token = token },
				   .kind = INTENT_MISS_ADD,
				   .slot = slot,
				   .regions = regions,
				   .count = count };
	int r = count_check(f, count);

	return r < 0 ? r : control_call(f, chan, &rc.call);
}

static int miss_drop_commit(struct fiber *f, struct pool *pool, void *arg)
{
	const struct miss_call *mc = container_of(arg, struct miss_call, call);
	struct control_miss *miss = &mc->call.control->miss[mc->slot];

	(void)pool;
	if (uuid_is_nil(&miss->peer))
		return 0;
	miss->peer = (struct uuid){ 0 };
	miss->gen = (struct replica_gen){ 0 };
	region_set_clear(&miss->regions);
	control_mark(mc->call.control);
	replica_dirty(mc->call.rep);
	return attr_del(f, mc->call.rep, ATTR_MISS, mc->slot);
}

static int miss_drop_run(struct fiber *f, struct control_call *call)
{
	return control_change(f, call, false, NULL, miss_drop_commit);
}

int control_miss_drop(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot)
{
	struct miss_call mc = { .call = { .run = miss_drop_run, .token = token }, .slot = slot };

	if (slot >= REPLICA_MISS_SLOTS)
		return fiber_fail(f, -EINVAL, "missed-write map %u, there are %u", slot,
				  REPLICA_MISS_SLOTS);
	return control_call(f, chan, &mc.call);
}
