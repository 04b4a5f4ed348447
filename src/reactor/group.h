/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group - reactors 0..n-1 of a process, a thread each, and the watcher that names a stalled one.
 *
 * Reactor 0 runs on the calling thread; the others are started here. A low-rate
 * watcher (one wake-up a second, on the sleeping side: no cost when idle is the
 * aim) names a reactor that has been in one turn for longer than stall_ns.
 */
#ifndef REACTOR_GROUP_H
#define REACTOR_GROUP_H

#include "base/lang.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

struct group;

struct group_opts {
	unsigned count;		     /* reactors; 0: 1 */
	bool pin;		     /* one core each, in order of the allowed set */
	struct reactor_opts reactor; /* for each; index and name are filled in */
	/* Called on each reactor's own thread to make its io. */
	int (*io_open)(void *ctx, unsigned index, struct io **ret, struct err *err);
	void *io_ctx;
	struct mem *mem;
};

/*
 * Start the reactors, run main_fn(f, arg) as the first fiber of reactor 0, and when it
 * has returned stop and end all of them. Returns its result, or why the start failed (worded).
 * Fibers and timers it has started anywhere must have ended by then; mail that is still
 * under way is dropped. `opts->reactor.log` is copied for each thread: its sink and clock
 * must bear being called by several.
 */
MUST_USE int group_run(const struct group_opts *opts, fiber_fn main_fn, void *arg, struct err *err);

#endif
