/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event - a disk has another size, or is gone.
 *
 * EV1. Every channel knows before the first watch is told.
 * EV2. A removed disk has no bios in the layer: they ended with -ENODEV, and so do later ones.
 * EV3. A watch is told on the reactor it was added on, in the order of what happened.
 */
#include <errno.h>

#include "base/must.h"
#include "bdev/bdev_priv.h"

static void watches_tell(struct bdev_side *side, enum bdev_event event)
{
	struct bdev_watch *watch;

	list_for_each(watch, &side->watches, link)
		watch->fn(watch, side->core->bdev, event);
}

/* ---- removal ---------------------------------------------------------- */

static void removal_told(struct tour *tour)
{
	if (--tour->core->tours == 0)
		event_set(&tour->core->quiet);
}

static void removal_tell(struct tour *tour, struct bdev_side *side)
{
	watches_tell(side, BDEV_REMOVED);
	tour_leave(tour);
}

static void removal_known(struct tour *tour)
{
	tour_start(tour, tour->core, removal_tell, removal_told); /* EV1 */
}

static void chan_thaw_removed(struct bdev_chan_core *cc)
{
	struct bio *bio;

	cc->local->submitting++; /* callbacks later */
	while ((bio = list_pop_front(&cc->frozen, struct bio, link))) {
		cc->frozen_count--;
		bio_finish(cc, bio, -ENODEV);
	}
	cc->local->submitting--;
}

static void removal_side(struct tour *tour, struct bdev_side *side)
{
	struct bdev_chan_core *cc;

	side->removed = true;
	list_for_each(cc, &side->chans, link) {
		chan_replan(cc);
		layer_cancel(cc, -ENODEV); /* EV2 */
		chan_thaw_removed(cc);
	}
	tour_leave(tour);
}

void bdev_removed(struct bdev *bdev)
{
	struct bdev_core *core = bdev->core;

	bdev->is_removed = true;
	if (!core || core->removed)
		return; /* within open(): core_adopt() sees it */
	core->removed = true;
	if (core->tours++ == 0)
		event_clear(&core->quiet);
	tour_start(&core->removal, core, removal_side, removal_known);
}

/* ---- size ------------------------------------------------------------- */

struct resize_tour {
	struct tour tour;
	uint64_t blocks;
};

static void resize_side(struct tour *tour, struct bdev_side *side)
{
	struct bdev_chan_core *cc;

	side->blocks = container_of(tour, struct resize_tour, tour)->blocks;
	list_for_each(cc, &side->chans, link)
		cc->chan->blocks = side->blocks;
	tour_leave(tour);
}

static void resize_tell(struct tour *tour, struct bdev_side *side)
{
	watches_tell(side, BDEV_RESIZED);
	tour_leave(tour);
}

/* latch_lock() would fail for a cancelled fiber, and a disk's size is what it is. */
static void resize_lock(struct fiber *f, struct latch *latch)
{
	while (!latch_try(f, latch))
		fiber_yield(f);
}

void bdev_resized(struct fiber *f, struct bdev *bdev, uint64_t blocks)
{
	struct bdev_core *core = bdev->core;
	struct resize_tour resize;

	if (!core) {
		bdev->blocks = blocks; /* within open() */
		return;
	}
	must(fiber_reactor(f) == core->home);
	blocks = align_down_u64(blocks, max_u64(bdev->limits.write_unit_blocks, 1));
	resize_lock(f, &core->resize);
	if (blocks != bdev->blocks) {
		bdev->blocks = blocks;
		resize.blocks = blocks;
		tour_run(f, core, &resize.tour, resize_side);
		tour_run(f, core, &resize.tour, resize_tell); /* EV1 */
	}
	latch_unlock(f, &core->resize);
}

static int rescan_home(struct fiber *f, void *arg)
{
	struct bdev *bdev = arg;

	return bdev->driver->rescan(f, bdev);
}

int bdev_rescan(struct fiber *f, struct bdev *bdev)
{
	if (!bdev->driver->rescan)
		return 0;
	return home_run(f, bdev->core->home, rescan_home, bdev);
}

/* ---- watches ---------------------------------------------------------- */

int bdev_watch_add(struct fiber *f, struct bdev *bdev, struct bdev_watch *watch)
{
	struct bdev_side *side;
	int r = side_get(bdev->core, fiber_reactor(f), &side);

	if (r < 0)
		return fiber_fail(f, r, "%s: no memory for a watch", bdev->name);
	watch->bdev = bdev;
	watch->reactor = fiber_reactor(f);
	list_link_init(&watch->link);
	list_add_tail(&side->watches, &watch->link);
	r = side_join(f, side);
	if (r < 0) {
		bdev_watch_del(f, watch);
		return fiber_fail(f, r, "%s: the disk is gone", bdev->name);
	}
	return 0;
}

void bdev_watch_del(struct fiber *f, struct bdev_watch *watch)
{
	struct bdev_side *side = watch->bdev->core->at[reactor_index(watch->reactor)].side;

	must(fiber_reactor(f) == watch->reactor);
	list_del(&watch->link);
	side_leave(f, side, NULL);
}
