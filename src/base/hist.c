// SPDX-License-Identifier: Apache-2.0
/*
 * hist - merging and asking a histogram.
 *
 * X1 and X2 stand in hist.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hist.h"
#include "base/must.h"

void hist_reset(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
	hist->min = UINT64_MAX;
}

static uint64_t hist_bucket_count(const struct hist *hist, uint32_t bucket)
{
	return (uint64_t)hist->high[bucket] << 32 | hist->low[bucket];
}

/* The middle of a bucket; the inverse of hist_bucket(). */
static uint64_t hist_bucket_value(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < 2 * HIST_SUB)
		return bucket; /* one value each */
	shift = bucket / HIST_SUB - 1;
	return ((uint64_t)(bucket % HIST_SUB + HIST_SUB) << shift) + (UINT64_C(1) << shift) / 2;
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		uint64_t count = hist_bucket_count(to, i) + hist_bucket_count(from, i);

		to->low[i] = (uint32_t)count;
		to->high[i] = (uint16_t)(count >> 32);
	}
	to->count += from->count;
	to->sum += from->sum;
	to->min = min_u64(to->min, from->min);
	to->max = max_u64(to->max, from->max);
}

uint64_t hist_quantile(const struct hist *hist, double q)
{
	uint64_t rank, seen = 0;

	must(q >= 0 && q <= 1);
	if (hist->count == 0)
		return 0;
	if (q >= 1)
		return hist->max;
	rank = (uint64_t)(q * (double)hist->count); /* from 0 */
	for (uint32_t i = 0; i < HIST_BUCKETS - 1; i++) {
		seen += hist_bucket_count(hist, i);
		if (seen > rank) /* X2 */
			return max_u64(hist->min, min_u64(hist->max, hist_bucket_value(i)));
	}
	return hist->max; /* X1: only the last bucket is left, and it has no middle */
}

double hist_mean(const struct hist *hist)
{
	return hist->count ? (double)hist->sum / (double)hist->count : 0;
}

uint64_t hist_min(const struct hist *hist)
{
	return hist->count ? hist->min : 0;
}

uint64_t hist_max(const struct hist *hist)
{
	return hist->max;
}

char *hist_print(const struct hist *hist, char text[HIST_TEXT_SIZE])
{
	snprintf(text, HIST_TEXT_SIZE,
		 "count %" PRIu64 " mean %.1f min %" PRIu64 " p50 %" PRIu64 " p99 %" PRIu64
		 " p99.9 %" PRIu64 " max %" PRIu64,
		 hist->count, hist_mean(hist), hist_min(hist), hist_quantile(hist, 0.5),
		 hist_quantile(hist, 0.99), hist_quantile(hist, 0.999), hist_max(hist));
	return text;
}
