// SPDX-License-Identifier: Apache-2.0
/*
 * timer - a hierarchical wheel of 11 levels of 64 slots, exact to the nanosecond.
 *
 * A deadline is a number of 11 digits of 6 bits. A timer lies at the level of the
 * first digit (from the top) in which its deadline differs from the wheel's base,
 * in the slot of that digit. So a slot of level 0 is one nanosecond, one of level 4
 * about 16.8 ms, one of level 5 about 1.07 s:
 *
 *	level 5  [ ][ ][x][ ]...     due in seconds: coarse, touched once a second
 *	level 4  [ ][x][ ][x]...         |  the base reaches the slot:
 *	...                              v  its timers move to lower levels
 *	level 0  [ ][ ][x][ ]...     due at exactly this ns --> due list --> fired
 *
 * T1. Everything at a level is due before everything at a higher one, and everything
 *     in a slot before everything in a later slot of its level. So the first slot of
 *     the lowest level holds the next deadline.
 * T2. Between base and the start of the first slot lies no timer: the base may move
 *     there without moving any of them.
 * T3. Timers of one slot stay in the order they were started: they come to a slot
 *     either all before or all after it becomes the place for new ones. With T1:
 *     timers fire in the order of their deadlines, equal ones as started (RE3).
 * T4. The due list is ordered by deadline; all in it are due at or before base.
 * T5. next_ns is never later than the first deadline in a slot, and exact at the end of
 *     a turn that fired. Stopping the first timer of many makes it a bound: an early
 *     wake-up, at most one, then finds the exact one. (A search at each stop would
 *     cost as much as there are timers, for every request with a timeout.)
 *
 * Start and stop are a list operation; a timer moves at most 10 times in its life.
 */
#include "reactor/timer.h"

#include "base/must.h"
#include "reactor/reactor_priv.h"

#define LEVEL_DUE      WHEEL_LEVELS /* not in a slot: in a list of deadlines that have passed */
#define WHEEL_SCAN_MAX 64 /* timers looked at for an exact next_ns where a bound would do */

void wheel_init(struct wheel *w, uint64_t now_ns)
{
	w->base_ns = now_ns;
	w->next_ns = IO_FOREVER;
	w->next_is_exact = true;
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
	list_init(&w->due);
}

/* T4: among equals the last; the usual place is the end. */
static void wheel_add_due(struct wheel *w, struct timer *timer)
{
	struct list_link *after = w->due.head.prev;

	while (after != &w->due.head &&
	       container_of(after, struct timer, link)->due_ns > timer->due_ns)
		after = after->prev;
	timer->level = LEVEL_DUE;
	list_insert_between(after, &timer->link, after->next);
}

/* due_ns > base_ns. */
static void wheel_add(struct wheel *w, struct timer *timer)
{
	unsigned level = (63 - (unsigned)__builtin_clzll(timer->due_ns ^ w->base_ns)) / 6;
	unsigned slot = (timer->due_ns >> (6 * level)) % WHEEL_SLOTS;

	timer->level = level;
	timer->slot = slot;
	list_add_tail(&w->slots[level][slot], &timer->link);
	w->bits[level] |= 1ull << slot;
	w->levels |= 1u << level;
}

static void wheel_slot_emptied(struct wheel *w, unsigned level, unsigned slot)
{
	w->bits[level] &= ~(1ull << slot);
	if (!w->bits[level])
		w->levels &= ~(1u << level);
}

/* The slot of the next deadlines (T1), and when it starts. NULL: none. */
static struct list *wheel_first(const struct wheel *w, unsigned *ret_level, unsigned *ret_slot,
				uint64_t *ret_start_ns)
{
	if (!w->levels)
		return NULL;
	unsigned level = (unsigned)__builtin_ctz(w->levels);
	unsigned slot = (unsigned)__builtin_ctzll(w->bits[level]);
	unsigned above = 6 * (level + 1); /* digits of the base that the slot shares */
	uint64_t shared = above < 64 ? w->base_ns >> above << above : 0;

	*ret_level = level;
	*ret_slot = slot;
	*ret_start_ns = shared | (uint64_t)slot << (6 * level);
	return (struct list *)(uintptr_t)&w->slots[level][slot];
}

/* The first slot's timers go to the due list or to lower levels; the base is at its start. */
static void wheel_open_slot(struct wheel *w, unsigned level, unsigned slot, uint64_t now_ns)
{
	struct list timers;
	struct timer *timer;

	list_init(&timers);
	list_splice_tail(&timers, &w->slots[level][slot]);
	wheel_slot_emptied(w, level, slot);
	bool is_alone = timers.head.next == timers.head.prev;
	while ((timer = list_pop_front(&timers, struct timer, link))) {
		if (timer->due_ns == w->base_ns || (is_alone && timer->due_ns <= now_ns))
			wheel_add_due(w, timer);
		else
			wheel_add(w, timer);
	}
}

/* Everything due by now_ns to the due list, in order. */
static void wheel_advance(struct wheel *w, uint64_t now_ns)
{
	unsigned level, slot;
	uint64_t start_ns;

	while (wheel_first(w, &level, &slot, &start_ns) && start_ns <= now_ns) {
		w->base_ns = start_ns;
		wheel_open_slot(w, level, slot, now_ns);
	}
	if (now_ns > w->base_ns)
		w->base_ns = now_ns; /* T2 */
	w->next_is_exact = !wheel_first(w, &level, &slot, &w->next_ns);
	if (w->next_is_exact)
		w->next_ns = IO_FOREVER;
	w->scan_max = UINT32_MAX;
}

/* T5, looking at no more than scan_max timers. */
static void wheel_find_next(struct wheel *w)
{
	unsigned level, slot, seen = 0;
	uint64_t start_ns, next_ns = IO_FOREVER;
	struct list *timers = wheel_first(w, &level, &slot, &start_ns);
	struct timer *timer;

	if (timers) {
		list_for_each(timer, timers, link) {
			if (seen++ == w->scan_max)
				return;
			next_ns = min_u64(next_ns, timer->due_ns);
			if (level == 0)
				break; /* all the same */
		}
	}
	w->next_ns = next_ns;
	w->next_is_exact = true;
}

unsigned wheel_fire(struct reactor *r, uint64_t now_ns)
{
	struct wheel *w = &r->wheel;
	unsigned count = 0;
	struct timer *timer;
	struct list firing, started;

	if (now_ns >= w->next_ns)
		wheel_advance(w, now_ns);
	if (list_empty(&w->due))
		return 0;

	/* What callbacks start is for the next turn, even if due at once. */
	list_init(&firing);
	list_splice_tail(&firing, &w->due);
	while (count < TIMERS_PER_TURN && (timer = list_pop_front(&firing, struct timer, link))) {
		w->armed--;
		count++;
		reactor_item(r, NULL, (void (*)(struct task *))(uintptr_t)timer->fired);
		timer->fired(timer);
		reactor_item_done(r);
	}
	if (!list_empty(&firing)) {
		list_init(&started);
		list_splice_tail(&started, &w->due);
		list_splice_tail(&w->due, &firing);
		while ((timer = list_pop_front(&started, struct timer, link)))
			wheel_add_due(w, timer); /* T4 */
	}
	return count;
}

uint64_t wheel_next(struct wheel *w)
{
	if (!list_empty(&w->due))
		return 0;
	if (!w->next_is_exact)
		wheel_find_next(w);
	return w->next_ns;
}

void timer_init(struct timer *timer)
{
	list_link_init(&timer->link);
	timer->reactor = NULL;
}

void timer_start_at(struct reactor *r, struct timer *timer, uint64_t due_ns,
		    void (*fired)(struct timer *timer))
{
	struct wheel *w = &r->wheel;

	list_link_init(&timer->link);
	timer->due_ns = due_ns;
	timer->fired = fired;
	timer->reactor = r;
	w->armed++;
	if (due_ns <= w->base_ns) {
		wheel_add_due(w, timer);
		return;
	}
	wheel_add(w, timer);
	if (due_ns <= w->next_ns) {
		w->next_ns = due_ns;
		w->next_is_exact = true;
	}
}

void timer_start(struct reactor *r, struct timer *timer, uint64_t after_ns,
		 void (*fired)(struct timer *timer))
{
	uint64_t now_ns = io_now(r->io); /* this turn may have lasted */

	timer_start_at(r, timer, after_ns < IO_FOREVER - now_ns ? now_ns + after_ns : IO_FOREVER,
		       fired);
}

void timer_stop(struct timer *timer)
{
	if (!timer_is_armed(timer))
		return;
	struct wheel *w = &timer->reactor->wheel;

	list_del(&timer->link);
	w->armed--;
	if (timer->level == LEVEL_DUE)
		return;
	if (list_empty(&w->slots[timer->level][timer->slot]))
		wheel_slot_emptied(w, timer->level, timer->slot);
	if (timer->due_ns == w->next_ns && w->next_is_exact) {
		w->next_is_exact = false;
		w->scan_max = WHEEL_SCAN_MAX;
	}
}

bool timer_is_armed(const struct timer *timer)
{
	return list_is_linked(&timer->link);
}
