// SPDX-License-Identifier: Apache-2.0
/*
 * hist - a histogram of times (ns) or sizes in fixed memory.
 *
 * Log-linear, as HdrHistogram: values below HIST_SUB have a bucket each, above it
 * every power of two has HIST_SUB buckets. A quantile is the middle of its bucket:
 * at most 1/32 (3.2 %) off. Values of 2^HIST_BITS ns (73 min) and more share the
 * last bucket; min, max, sum and count are exact.
 *
 * The counts have 48 bits in two arrays, for the sake of the size.
 *
 * X1. The sum of all buckets is count.
 * X2. min <= every quantile <= max.
 */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include "base/lang.h"

#define HIST_SUB_BITS 4
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_BITS     42
#define HIST_BUCKETS  ((HIST_BITS - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t count;
	uint64_t sum; /* wraps after 584 years of ns */
	uint64_t min; /* UINT64_MAX while empty */
	uint64_t max;
	uint32_t low[HIST_BUCKETS];
	uint16_t high[HIST_BUCKETS];
};

_Static_assert(sizeof(struct hist) <= 4096, "a histogram fits a page");

void hist_reset(struct hist *hist);

static inline uint32_t hist_bucket(uint64_t value)
{
	uint32_t shift;

	if (value < HIST_SUB)
		return (uint32_t)value;
	if (value >= UINT64_C(1) << HIST_BITS)
		return HIST_BUCKETS - 1;
	shift = 63 - HIST_SUB_BITS - (uint32_t)__builtin_clzll(value);
	return shift * HIST_SUB + (uint32_t)(value >> shift);
}

/* Hot. */
static inline void hist_add(struct hist *hist, uint64_t value)
{
	uint32_t bucket = hist_bucket(value);

	hist->count++;
	hist->sum += value;
	if (value < hist->min)
		hist->min = value;
	if (value > hist->max)
		hist->max = value;
	if (unlikely(++hist->low[bucket] == 0))
		hist->high[bucket]++;
}

/* to += from. */
void hist_merge(struct hist *to, const struct hist *from);

/* The value below which the share q (0..1) of all values lies; 0 if empty. */
uint64_t hist_quantile(const struct hist *hist, double q);

double hist_mean(const struct hist *hist);
uint64_t hist_min(const struct hist *hist); /* 0 if empty */
uint64_t hist_max(const struct hist *hist);

#define HIST_TEXT_SIZE 192

/* "count 10 mean 5.2 min 1 p50 5 p99 9 p99.9 9 max 10"; returns text. */
char *hist_print(const struct hist *hist, char text[HIST_TEXT_SIZE]);

#endif
