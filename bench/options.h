/* SPDX-License-Identifier: Apache-2.0 */
/* options - the command line of bench/bdev. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "load.h"
#include "nexus_bed.h"
#include "pool_bed.h"
#include "world.h"

/* What turns are taken with: the disk beneath, the volume's first replica, a volume of one child. */
enum against { AGAINST_DISK, AGAINST_REPLICA, AGAINST_ONE };

struct options {
	struct load load; /* opts, disks' URIs, reactors */
	struct world world;
	struct pool_bed bed;
	struct nexus_bed nexus;
	uint64_t run_ns, ramp_ns;
	bool fill, refill, json;
	unsigned turns; /* rounds against something else; 0: none */
	enum against against;
	const char *rw;
};

/* 0: go on; else the program ends with ret_status: help was printed, or what is wrong was said. */
MUST_USE bool options_parse(struct options *o, int argc, char **argv, int *ret_status);

#endif
