// SPDX-License-Identifier: Apache-2.0
/* rio - the I/O path's part of a replica and of a pool. (Draft: owned by the I/O path.) */
#ifndef POOL_RIO_PRIV_H
#define POOL_RIO_PRIV_H

#include <stdint.h>

#include "base/lang.h"
#include "base/list.h"

struct bio;
struct fiber;
struct pool;
struct replica;

struct rio {
	struct list held; /* bios that wait at the gate */
	unsigned gate;	  /* > 0: new bios are held */
	uint64_t inflight;
	/* the I/O path adds what it needs: TLB, write queues per cluster, ... */
};

#endif
