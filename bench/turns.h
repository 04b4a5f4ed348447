/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns - a pool or a volume and what it is compared with, in one process, slice by slice: A B B A, ...
 *
 * A slice is --ios I/Os, some milliseconds: what a neighbour on the machine does lasts longer than
 * a few of them and touches both sides. Each A B B A gives one ratio of IOPS, A (the pool) to
 * B (the disk beneath, a replica, or a volume of one child); told are the median of the
 * ratios and the 95 % interval of that median (order statistics).
 *
 * But for a volume of one child, B uses the same blocks of the disk as A, and in any case the same
 * buffers, for what lies elsewhere in memory is not as fast to the percent. The disk's slices overwrite
 * metadata of the pool, too, which has them in its cache: nothing of the pool is worth anything afterwards.
 */
#ifndef BENCH_TURNS_H
#define BENCH_TURNS_H

#include "options.h"

struct turns {
	struct load beneath; /* owned */
	double *ratios;	     /* owned; sorted */
	double *ns[2];	     /* owned; of an I/O; sorted */
	unsigned count;
};

/* The other side, once the pool and its load are open. */
MUST_USE int turns_open(struct fiber *f, const struct options *o, struct turns *turns);
MUST_USE int turns_run(struct fiber *f, struct options *o, struct turns *turns);
void turns_close(struct fiber *f, struct turns *turns);
void turns_print(const struct options *o, const struct turns *turns);

#endif
