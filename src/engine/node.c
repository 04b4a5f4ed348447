// SPDX-License-Identifier: Apache-2.0
/* node - reactors, drivers and tables of one storage node. See node.h. */
#include "engine/node.h"

#include "engine/drivers.h"
#include "pool/pool.h"

static int node_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct node *node = ctx;

	return uring_open(&node->heap.mem, &node->opts.uring, ret, err);
}

static int node_main(struct fiber *f, void *arg)
{
	struct node *node = arg;
	int r = bdev_table_new(fiber_io(f), &node->env.table);

	if (r < 0)
		return fiber_fail(f, r, "no memory to start");
	node->env.home = fiber_reactor(f);
	r = pool_table_new(fiber_io(f), &node->env.pools);
	if (r == 0) {
		r = node->main_fn(f, node->main_arg);
		pool_table_free(node->env.pools);
	}
	bdev_table_free(node->env.table);
	return r;
}

int node_run(struct node *node, const struct node_opts *opts, fiber_fn fn, void *arg,
	     struct err *err)
{
	const struct group_opts group = {
		.count = opts->reactors,
		.pin = opts->pin,
		.reactor = { .bdev_env = &node->env, .log = opts->log },
		.io_open = node_io_open,
		.io_ctx = node,
		.mem = &node->heap.mem,
	};
	int r;

	*node = (struct node){ .opts = *opts, .main_fn = fn, .main_arg = arg };
	mem_heap_init(&node->heap);
	node->env.drivers = engine_drivers;
	r = group_run(&group, node_main, node, err);
	mem_heap_fini(&node->heap);
	return r;
}
