/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset - BIO_RESET: every bio of a channel ends soon.
 *
 *   RESET -> what waits in the layer ends with -ECANCELED
 *         -> the driver, if it knows RESET, hurries what it has
 *         -> all earlier bios have ended: done; what came meanwhile goes on
 *
 * RS1. No bio submitted before a reset ends after it; none submitted after it ends before.
 * RS2. Resets of a channel are done one after another.
 */
#include <errno.h>

#include "bdev/bdev_priv.h"

static void reset_thaw(struct bdev_chan_core *cc)
{
	struct list batch;
	struct bio *bio;

	list_init(&batch);
	list_splice_tail(&batch, &cc->frozen);
	cc->frozen_count = 0;
	while ((bio = list_pop_front(&batch, struct bio, link)))
		layer_submit(cc, bio); /* freezes again behind another reset (RS2) */
}

void reset_check(struct bdev_chan_core *cc)
{
	struct bio *bio = cc->reset;

	if (cc->reset_sent || cc->inflight - cc->frozen_count > 1)
		return; /* RS1 */
	cc->reset = NULL;
	chan_replan(cc);
	bio_finish(cc, bio, 0);
	reset_thaw(cc);
}

static void reset_driver_done(struct bio *bio)
{
	bio->chan->core->reset_sent = false; /* bio_end() looks at the rest */
}

void reset_start(struct bdev_chan_core *cc, struct bio *bio)
{
	cc->reset = bio;
	chan_replan(cc);
	layer_cancel(cc, -ECANCELED);
	if (cc->reset_bio) {
		cc->reset_sent = true;
		bio_prep(cc->reset_bio, cc->chan, BIO_RESET, 0, 0, NULL, 0, reset_driver_done);
		cc->reset_bio->layer = LAYER_CHILD;
		chan_send(cc, cc->reset_bio);
	}
	reset_check(cc);
}
