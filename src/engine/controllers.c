// SPDX-License-Identifier: Apache-2.0
/*
 * controllers - NVMe controllers elsewhere that this node uses: children and disks at nvmf://.
 *
 * A controller is called HOST:PORT/NQN, as its URI has it. Whoever has the disk open shares it, so
 * what a controller has read and written is that of all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bdev/bdev_driver.h"
#include "engine/engine_priv.h"
#include "nvmf/ini.h"
#include "reactor/fiber.h"

#define URI_HEAD "nvmf://"

/* "nvmf://HOST:PORT/NQN" without its head; the same with it, and with a query, is found too. */
static const char *name_of(const char *bdev)
{
	return strncmp(bdev, URI_HEAD, strlen(URI_HEAD)) == 0 ? bdev + strlen(URI_HEAD) : bdev;
}

struct gather {
	struct mem *mem;
	struct texts names; /* of bdevs: looking at one suspends, the walk must not */
	const char *only;
};

static int gather_one(void *ctx, struct bdev *bdev)
{
	struct gather *gather = ctx;

	if (strcmp(bdev->driver->scheme, "nvmf") != 0 ||
	    (gather->only && strcmp(name_of(bdev->name), name_of(gather->only)) != 0))
		return 0;
	return texts_add(gather->mem, &gather->names, bdev->name);
}

static enum engine_controller_state state_of(struct bdev *bdev)
{
	switch (ini_link_of(bdev)) {
	case INI_LINK_UP:
		return ENGINE_CONTROLLER_RUNNING;
	case INI_LINK_DOWN:
		return ENGINE_CONTROLLER_CONNECTING;
	default:
		return ENGINE_CONTROLLER_FAULTED;
	}
}

static int tell_one(struct fiber *f, const char *name, struct bdev_stats *room,
		    engine_controller_fn fn, void *ctx)
{
	struct engine_controller_info info = { .stats = room };
	struct bdev *bdev;
	int r = bdev_find(f, name, &bdev);

	if (r < 0) { /* gone meanwhile */
		fiber_clear(f);
		return 0;
	}
	r = bdev_stats_get(f, bdev, room, NULL);
	info.name = name_of(bdev->name);
	info.state = state_of(bdev);
	info.size_bytes = bdev->blocks * bdev->block_size;
	info.block_size = bdev->block_size;
	if (r == 0)
		r = fn(ctx, &info);
	bdev_close(f, bdev);
	return r;
}

int engine_controller_each(struct fiber *f, struct engine *e, const char *name,
			   engine_controller_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct bdev_stats *room = mem_new(e->io, sizeof(*room));
	struct gather gather = { .mem = e->io->mem, .only = name };
	int r = room ? bdev_each(f, gather_one, &gather) : -ENOMEM;

	if (r == -ENOMEM)
		r = fiber_fail(f, r, "no memory");
	else if (r == 0 && name && gather.names.count == 0)
		r = fiber_fail(f, -ENOENT, "there is no NVMe controller '%.200s' in use", name);
	for (unsigned i = 0; i < gather.names.count && r == 0; i++)
		r = tell_one(f, gather.names.at[i], room, fn, ctx);
	texts_free(&gather.names);
	return r;
}
