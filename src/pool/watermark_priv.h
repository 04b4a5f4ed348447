// SPDX-License-Identifier: Apache-2.0
/*
 * watermark - telling how full a pool is: 80 %, 90 %, full, and relieved (pool_on_event()).
 *
 * Of what data can have: all clusters but the metadata reserve; what is promised to thick
 * replicas counts as used. Looked at after every commit, and when a write finds no space.
 *
 *	LOW --80 %--> 80 --90 %--> 90 --nothing left, or a write fails--> FULL
 *	 ^-------------------relieved, to any lower one--------------------'
 *
 * WM1. Each mark that is passed on the way up is told once, in order.
 * WM2. On the way down a mark is left WATERMARK_SLACK percent below it, and that is told once
 *      for all marks left together; so a pool that hovers at a mark does not chatter.
 */
#ifndef POOL_WATERMARK_PRIV_H
#define POOL_WATERMARK_PRIV_H

struct pool;

#define WATERMARK_SLACK 2u

enum watermark { WATERMARK_LOW, WATERMARK_80, WATERMARK_90, WATERMARK_FULL };

/* How full is it now? Tells what has changed. Never suspends. */
void watermark_look(struct pool *pool);
/* A write has failed for want of space. */
void watermark_full(struct pool *pool);
void watermark_state_changed(struct pool *pool);

#endif
