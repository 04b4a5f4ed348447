// SPDX-License-Identifier: Apache-2.0
/* world - see world.h. */
#include "world.h"

#include <sys/resource.h>

#include "base/must.h"
#include "engine/drivers.h"
#include "pool/pool.h"

static int world_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct world *world = ctx;

	return uring_open(&world->heap.mem, &world->uring, ret, err);
}

static int world_main(struct fiber *f, void *arg)
{
	struct world *world = arg;
	int r = bdev_table_new(fiber_io(f), &world->env.table);

	if (r < 0)
		return r;
	world->env.home = fiber_reactor(f);
	r = pool_table_new(fiber_io(f), &world->env.pools);
	if (r == 0) {
		r = world->main_fn(f, world->main_arg);
		pool_table_free(world->env.pools);
	}
	bdev_table_free(world->env.table);
	return r;
}

int world_run(struct world *world, fiber_fn fn, void *arg, struct err *err)
{
	struct group_opts opts = {
		.count = world->reactors,
		.pin = world->pin,
		.reactor = { .bdev_env = &world->env },
		.io_open = world_io_open,
		.io_ctx = world,
		.mem = &world->heap.mem,
	};
	int r;

	mem_heap_init(&world->heap);
	world->env.drivers = engine_drivers;
	world->main_fn = fn;
	world->main_arg = arg;
	r = group_run(&opts, world_main, world, err);
	mem_heap_fini(&world->heap);
	return r;
}

struct reactor *world_reactor(struct fiber *f, unsigned index)
{
	struct reactor *r = fiber_reactor(f);

	if (reactor_index(r) != index)
		r = reactor_peer(r, index);
	must(r);
	return r;
}

struct world_cpu world_cpu(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_SELF, &usage) == 0);
	return (struct world_cpu){
		(double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
		(double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
	};
}
