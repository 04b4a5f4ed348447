/* SPDX-License-Identifier: Apache-2.0 */
/* world - what every benchmark needs under it: reactors on io_uring and the node's drivers. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "base/mem.h"
#include "bdev/bdev_driver.h"
#include "io/uring.h"
#include "reactor/group.h"

struct world {
	/* in; zero is a good default */
	unsigned reactors;
	bool pin;
	struct uring_opts uring;

	/* inside */
	struct mem_heap heap;
	struct bdev_env env;
	fiber_fn main_fn;
	void *main_arg;
};

/* Run fn(f, arg) on reactor 0, then end everything. Its result, worded. */
MUST_USE int world_run(struct world *world, fiber_fn fn, void *arg, struct err *err);

/* Reactor i, from a fiber of any of them. */
struct reactor *world_reactor(struct fiber *f, unsigned index);

/* Processor seconds of this process so far. */
struct world_cpu {
	double user_s, sys_s;
};

struct world_cpu world_cpu(void);

#endif
