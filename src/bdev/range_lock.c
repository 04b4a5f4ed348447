/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range_lock - keeps other writers out of some blocks while a read-modify-write or a
 * compare-and-write is done (B7), at no cost for those who write while there is none.
 *
 *   asker      home                    each side
 *   range_lock --> WAITING (a slot, and no older overlapping lock)
 *                  CLOSING  ---------> newer overlapping writes are held back
 *                  DRAINING ---------> writes admitted before have ended
 *   granted  <---- HELD
 *   range_unlock -> OPENING ---------> held writes go on
 *   released <---- gone
 *
 * A writer costs a counter (side->writes[epoch]) and, while any range is locked, a look at
 * at most RANGE_LOCKS ranges. Draining turns the epoch: older writers are counted
 * apart from newer ones, so that a stream of writes elsewhere cannot hold it up.
 *
 * RL1. Two locks that overlap are never both beyond WAITING; the older goes first.
 * RL2. While a lock is HELD no writer that overlaps it is admitted anywhere.
 * RL3. The epochs do not turn before the older one has ended: writes[!epoch] counts the
 *      older one only.
 * RL4. A write that was held back is let in before a younger lock of the same blocks: a
 *      side is told of the unlock first, and drains for the younger one afterwards.
 */
#include "base/must.h"
#include "bdev/bdev_priv.h"

static bool ranges_overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

bool lock_set_overlaps(const struct lock_set *set, uint64_t lba, uint64_t blocks)
{
	for (uint32_t mask = set->mask; mask; mask &= mask - 1) {
		const struct lock_range *range = &set->range[__builtin_ctz(mask)];

		if (ranges_overlap(lba, lba + blocks, range->lba, range->end))
			return true;
	}
	return false;
}

static struct range_lock *lock_of(struct tour *tour)
{
	return container_of(tour, struct range_lock, tour);
}

static struct range_lock *lock_of_hop(struct hop *hop)
{
	return lock_of(container_of(hop, struct tour, hop));
}

/* ---- unlocking -------------------------------------------------------- */

static void locks_try(struct bdev_core *core);

static void lock_released(struct hop *hop)
{
	struct range_lock *lock = lock_of_hop(hop);

	lock->released(lock);
}

static void lock_gone(struct tour *tour)
{
	struct range_lock *lock = lock_of(tour);
	struct bdev_core *core = tour->core;

	core->slots &= ~(1u << lock->slot);
	list_del(&lock->link);
	locks_try(core);
	hop_go(&tour->hop, core->home, lock->asker, lock_released);
}

static void lock_open_side(struct tour *tour, struct bdev_side *side)
{
	side->locked.mask &= ~(1u << lock_of(tour)->slot);
	side_replan(side);
	layer_unheld(side);
	tour_leave(tour);
}

static void lock_unlock_there(struct hop *hop)
{
	struct range_lock *lock = lock_of_hop(hop);
	struct bdev_core *core = lock->tour.core;

	core->locked.mask &= ~(1u << lock->slot);
	tour_start(&lock->tour, core, lock_open_side, lock_gone);
}

void range_unlock(struct range_lock *lock)
{
	hop_go(&lock->tour.hop, lock->asker, lock->tour.core->home, lock_unlock_there);
}

/* ---- locking ---------------------------------------------------------- */

static void lock_granted(struct hop *hop)
{
	struct range_lock *lock = lock_of_hop(hop);

	lock->granted(lock);
}

static void lock_drained(struct tour *tour)
{
	hop_go(&tour->hop, tour->core->home, lock_of(tour)->asker, lock_granted);
}

static void side_drained(struct bdev_side *side)
{
	struct range_lock *lock;

	side->draining = false;
	while ((lock = list_pop_front(&side->drain_now, struct range_lock, drain)))
		tour_leave(&lock->tour);
}

void side_drain(struct bdev_side *side)
{
	for (;;) {
		if (side->draining) {
			if (side->writes[!side->epoch])
				return;
			side_drained(side);
		}
		if (list_empty(&side->drain_next))
			return;
		must(side->writes[!side->epoch] == 0); /* RL3 */
		side->epoch = !side->epoch;
		side->draining = true;
		list_splice_tail(&side->drain_now, &side->drain_next);
	}
}

static void lock_drain_side(struct tour *tour, struct bdev_side *side)
{
	list_add_tail(&side->drain_next, &lock_of(tour)->drain);
	side_drain(side);
}

static void lock_closed(struct tour *tour)
{
	tour_start(tour, tour->core, lock_drain_side, lock_drained);
}

static void lock_close_side(struct tour *tour, struct bdev_side *side)
{
	const struct range_lock *lock = lock_of(tour);

	side->locked.range[lock->slot] =
		(struct lock_range){ .lba = lock->lba, .end = lock->lba + lock->blocks };
	side->locked.mask |= 1u << lock->slot;
	side_replan(side);
	tour_leave(tour);
}

/* Does an older one, held or waiting, overlap? (RL1) */
static bool lock_must_wait(const struct bdev_core *core, const struct range_lock *lock)
{
	const struct range_lock *older;

	list_for_each(older, &core->locks, link) {
		if (older == lock)
			return false;
		if (ranges_overlap(lock->lba, lock->lba + lock->blocks, older->lba,
				   older->lba + older->blocks))
			return true;
	}
	return false;
}

static void lock_start(struct bdev_core *core, struct range_lock *lock)
{
	lock->slot = __builtin_ctz(~core->slots);
	core->slots |= 1u << lock->slot;
	core->locked.range[lock->slot] =
		(struct lock_range){ .lba = lock->lba, .end = lock->lba + lock->blocks };
	core->locked.mask |= 1u << lock->slot;
	tour_start(&lock->tour, core, lock_close_side, lock_closed);
}

static void locks_try(struct bdev_core *core)
{
	struct range_lock *lock;

	list_for_each(lock, &core->locks, link) {
		if (core->slots == (1u << RANGE_LOCKS) - 1)
			return;
		if (lock->slot < 0 && !lock_must_wait(core, lock))
			lock_start(core, lock);
	}
}

static void lock_there(struct hop *hop)
{
	struct range_lock *lock = lock_of_hop(hop);
	struct bdev_core *core = lock->tour.core;

	list_add_tail(&core->locks, &lock->link);
	locks_try(core);
}

void range_lock(struct range_lock *lock, struct bdev_core *core, struct reactor *asker)
{
	lock->tour.core = core;
	lock->asker = asker;
	lock->slot = -1;
	list_link_init(&lock->link);
	list_link_init(&lock->drain);
	hop_go(&lock->tour.hop, asker, core->home, lock_there);
}
