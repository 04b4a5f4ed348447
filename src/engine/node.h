/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node - what a storage node stands on: reactors on io_uring, the drivers, tables of open
 * disks and pools. Everything else of the node is built by the fiber it runs.
 */
#ifndef ENGINE_NODE_H
#define ENGINE_NODE_H

#include "base/mem.h"
#include "bdev/bdev_driver.h"
#include "io/uring.h"
#include "reactor/group.h"

struct node_opts {
	unsigned reactors; /* 0: 1 */
	bool pin;
	struct uring_opts uring;
	struct log *log; /* borrowed; NULL: silent */
};

struct node {
	struct mem_heap heap;
	struct bdev_env env;
	struct node_opts opts;
	fiber_fn main_fn;
	void *main_arg;
};

/*
 * Run fn(f, arg) on reactor 0, then end everything: pools are exported and disks closed by
 * then. Its result, worded.
 */
MUST_USE int node_run(struct node *node, const struct node_opts *opts, fiber_fn fn, void *arg,
		      struct err *err);

#endif
