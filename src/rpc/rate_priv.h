/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate - how often a peer may do what costs us and brings it nothing. Pure.
 *
 * `burst` times at once, and once more each period_ns.
 */
#ifndef RPC_RATE_PRIV_H
#define RPC_RATE_PRIV_H

#include <stdbool.h>

#include "base/lang.h"

struct rpc_rate {
	uint64_t burst, period_ns;
	uint64_t full_ns; /* when all of the burst may be had again */
};

static inline void rpc_rate_init(struct rpc_rate *rate, uint64_t burst, uint64_t period_ns)
{
	*rate = (struct rpc_rate){ .burst = burst, .period_ns = period_ns };
}

/* One more; false: too often. */
MUST_USE static inline bool rpc_rate_pass(struct rpc_rate *rate, uint64_t now_ns)
{
	uint64_t full_ns = max_u64(rate->full_ns, now_ns) + rate->period_ns;

	if (full_ns - now_ns > rate->burst * rate->period_ns)
		return false;
	rate->full_ns = full_ns;
	return true;
}

#endif
