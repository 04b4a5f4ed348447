/* SPDX-License-Identifier: Apache-2.0 */
/* timer - call me at a time. Starting, stopping and expiry are O(1)-ish with thousands armed. */
#ifndef REACTOR_TIMER_H
#define REACTOR_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct reactor;

struct timer {
	struct list_link link;
	uint64_t due_ns; /* monotonic */
	void (*fired)(struct timer *timer);
	struct reactor *reactor;
	uint8_t level, slot;
};

/* Ready to be started or asked timer_is_armed(). */
void timer_init(struct timer *timer);

/* Call `fired` once, not before after_ns from now. Needs no timer_init(); must not be armed. */
void timer_start(struct reactor *r, struct timer *timer, uint64_t after_ns,
		 void (*fired)(struct timer *timer));

/* The same for a point of monotonic time. */
void timer_start_at(struct reactor *r, struct timer *timer, uint64_t due_ns,
		    void (*fired)(struct timer *timer));

/* Stopping one that is not armed does nothing (after timer_init() or a start). */
void timer_stop(struct timer *timer);

bool timer_is_armed(const struct timer *timer);

#endif
