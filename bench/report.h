/* SPDX-License-Identifier: Apache-2.0 */
/* report - the figures of bench/bdev, as a table or as JSON. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "options.h"

struct report {
	double seconds;
	struct world_cpu cpu; /* spent in them */
	bool interrupted;
};

/* On reactor 0; the load is idle. -ENOMEM. */
MUST_USE int report_print(struct io *io, const struct options *o, const struct report *report);

#endif
