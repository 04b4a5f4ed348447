// SPDX-License-Identifier: Apache-2.0
/*
 * watermark - how full a pool is, told. See watermark_priv.h.
 */
#include "pool/watermark_priv.h"

#include "pool/pool_priv.h"

/* Each is passed with this many percent in use. */
static const unsigned mark_percent[] = {
	[WATERMARK_LOW] = 0,
	[WATERMARK_80] = 80,
	[WATERMARK_90] = 90,
	[WATERMARK_FULL] = 100,
};

static const enum pool_event mark_event[] = {
	[WATERMARK_LOW] = POOL_EVENT_RELIEVED,
	[WATERMARK_80] = POOL_EVENT_WATERMARK_80,
	[WATERMARK_90] = POOL_EVENT_WATERMARK_90,
	[WATERMARK_FULL] = POOL_EVENT_FULL,
};

static void tell(struct pool *pool, enum pool_event event)
{
	if (pool->event_fn)
		pool->event_fn(pool->event_ctx, pool, event);
}

/* In hundredths of a percent, rounded down, so that 100 % is nothing left. */
static uint64_t used_of_10000(const struct pool *pool)
{
	uint64_t reserve = pool->super.meta_clusters + space_meta_keep(pool);
	uint64_t total = pool->space.total > reserve ? pool->space.total - reserve : 0;
	uint64_t free = min_u64(space_free(pool, SPACE_DATA), total);

	return total ? (total - free) * 10000 / total : 10000;
}

static void rise(struct pool *pool, enum watermark to)
{
	while (pool->watermark < to)
		tell(pool, mark_event[++pool->watermark]); /* WM1 */
}

void watermark_look(struct pool *pool)
{
	uint64_t used = used_of_10000(pool);
	enum watermark up = WATERMARK_FULL, down;

	while (used < mark_percent[up] * 100u)
		up--;
	rise(pool, up);
	down = pool->watermark;
	while (down > up && used < (mark_percent[down] - WATERMARK_SLACK) * 100u)
		down--;
	if (down == pool->watermark)
		return;
	pool->watermark = down;
	tell(pool, POOL_EVENT_RELIEVED); /* WM2 */
}

void watermark_full(struct pool *pool)
{
	rise(pool, WATERMARK_FULL);
}

void watermark_state_changed(struct pool *pool)
{
	tell(pool, POOL_EVENT_STATE);
}

void pool_on_event(struct pool *pool, pool_event_fn fn, void *ctx)
{
	pool->event_fn = fn;
	pool->event_ctx = ctx;
	pool->watermark = WATERMARK_LOW; /* who asks now is told where it stands */
	watermark_look(pool);
}
