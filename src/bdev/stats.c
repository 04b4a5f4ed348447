/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats - what a disk has done: counted per channel without sharing, summed when asked for.
 *
 * ST1. A histogram is made when its op first ends on a channel; without memory for it
 *      its latencies are missing from the histograms, and counted all the same.
 * ST2. What a closed channel has counted stays with the disk.
 */
#include "base/must.h"
#include "bdev/bdev_priv.h"

void stats_hist_first(struct io *io, struct hist **at, uint64_t ns)
{
	struct hist *hist = mem_new(io, sizeof(*hist));

	if (!hist)
		return; /* ST1 */
	hist_reset(hist);
	hist_add(hist, ns);
	*at = hist;
}

void stats_merge(struct bdev_stats *to, const struct bdev_stats *from)
{
	for (unsigned op = 0; op < BIO_OPS; op++) {
		to->op[op].ops += from->op[op].ops;
		to->op[op].blocks += from->op[op].blocks;
		to->op[op].errors += from->op[op].errors;
		to->op[op].busy_ns += from->op[op].busy_ns;
	}
	to->queued += from->queued;
	to->split += from->split;
	to->bounced += from->bounced;
	to->rmw += from->rmw;
	to->emulated += from->emulated;
}

struct stats_tour {
	struct tour tour;
	struct bdev_stats *stats;
	struct hist *hist; /* NULL, or one per op */
};

static void hists_merge(struct hist *to, struct hist *const *from)
{
	for (unsigned op = 0; to && op < BIO_OPS; op++)
		if (from[op])
			hist_merge(&to[op], from[op]);
}

static void stats_get_side(struct tour *tour, struct bdev_side *side)
{
	struct stats_tour *get = container_of(tour, struct stats_tour, tour);
	struct bdev_chan_core *cc;

	list_for_each(cc, &side->chans, link) {
		lanes_settle(cc);
		stats_merge(get->stats, &cc->stats);
		get->stats->inflight += cc->inflight;
		hists_merge(get->hist, cc->hist);
	}
	tour_leave(tour);
}

/* The past is home's, and the tour begins there: it is added on the way. */
static void stats_past(void *arg)
{
	struct stats_tour *get = arg;

	stats_merge(get->stats, &get->tour.core->past);
	hists_merge(get->hist, get->tour.core->past_hist);
}

int bdev_stats_get(struct fiber *f, struct bdev *bdev, struct bdev_stats *ret,
		   struct hist *ret_hist)
{
	struct stats_tour get = { .tour.core = bdev->core, .stats = ret, .hist = ret_hist };

	*ret = (struct bdev_stats){ 0 };
	for (unsigned op = 0; ret_hist && op < BIO_OPS; op++)
		hist_reset(&ret_hist[op]);
	home_call(f, bdev->core->home, stats_past, NULL, &get);
	tour_run(f, bdev->core, &get.tour, stats_get_side);
	return 0;
}

static void hists_reset(struct hist *const *hist)
{
	for (unsigned op = 0; op < BIO_OPS; op++)
		if (hist[op])
			hist_reset(hist[op]);
}

static void stats_reset_side(struct tour *tour, struct bdev_side *side)
{
	struct bdev_chan_core *cc;

	list_for_each(cc, &side->chans, link) {
		lanes_settle(cc);
		cc->stats = (struct bdev_stats){ 0 };
		hists_reset(cc->hist);
	}
	tour_leave(tour);
}

static void stats_reset_past(void *arg)
{
	struct bdev_core *core = arg;

	core->past = (struct bdev_stats){ 0 };
	hists_reset(core->past_hist);
}

int bdev_stats_reset(struct fiber *f, struct bdev *bdev)
{
	struct tour tour;

	home_call(f, bdev->core->home, stats_reset_past, NULL, bdev->core);
	tour_run(f, bdev->core, &tour, stats_reset_side);
	return 0;
}
