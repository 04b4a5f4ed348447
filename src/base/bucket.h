/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket - a token bucket: so many a second, and a burst of so many after a pause.
 *
 * Times are of any clock that does not go back, in nanoseconds. Nothing runs: what time has
 * brought is counted when somebody asks.
 *
 * BU1. In any span of t seconds at most burst + rate * t are taken.
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include "base/lang.h"
#include "base/must.h"

struct bucket {
	uint64_t step_ns, burst; /* one every step_ns */
	uint64_t tokens, at_ns;	 /* tokens there were at at_ns */
};

/* Full. rate: 1 .. 10^9 a second. */
static inline void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t burst,
			       uint64_t now_ns)
{
	must(rate > 0 && rate <= UINT64_C(1000000000) && burst > 0);
	*bucket = (struct bucket){ .step_ns = UINT64_C(1000000000) / rate,
				   .burst = burst,
				   .tokens = burst,
				   .at_ns = now_ns };
}

static inline bool bucket_take(struct bucket *bucket, uint64_t now_ns)
{
	uint64_t more = (now_ns - bucket->at_ns) / bucket->step_ns;

	bucket->at_ns += more * bucket->step_ns; /* what is left of a step is kept */
	bucket->tokens = more >= bucket->burst - bucket->tokens ? bucket->burst :
								  bucket->tokens + more;
	if (bucket->tokens == 0)
		return false;
	bucket->tokens--;
	return true;
}

#endif
