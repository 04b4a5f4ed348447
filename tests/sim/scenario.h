/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario - a story played in a simulated world, from a seed.
 *
 * A scenario builds its world, lets it run, and says sim_fail() if something is wrong. It draws
 * all its choices from sim_prng(). A plant is a bug put into the world (never into the product)
 * that the scenario must find.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim/sim.h"

struct scenario {
	const char *name;
	const char *help;
	const char *plants; /* names, separated by spaces; NULL: none */
	const char *rules;  /* more of them, that take more seeds; NULL: none */
	/* kinds of faults that it is there for; "net.*": all that begin so; NULL: none is missed */
	const char *faults;
	void (*run)(struct sim *sim, const char *plant);
};

#define SCENARIO_SEEDS_ALL_FAULTS 500u /* in so many, each of its kinds strikes at least once */

extern const struct scenario scenario_cluster;
extern const struct scenario scenario_cluster_remote;
extern const struct scenario scenario_disk;
extern const struct scenario scenario_idle;
extern const struct scenario scenario_nbd;
extern const struct scenario scenario_nbd_hostile;
extern const struct scenario scenario_net;
extern const struct scenario scenario_nvmf;
extern const struct scenario scenario_pool;
extern const struct scenario scenario_reactor;

/* NULL-terminated. */
extern const struct scenario *const scenarios[];
const struct scenario *scenario_find(const char *name);
bool scenario_has_fault(const struct scenario *scenario, enum sim_fault fault);

struct scenario_result {
	bool failed;
	char words[256];
	uint64_t hash, events, sim_ns;
	uint64_t fired[SIM_FAULTS];
};

struct scenario_opts {
	uint64_t seed;
	const char *plant;
	enum sim_fault without; /* a kind that does not happen; SIM_FAULTS: none */
	sim_trace_fn trace;
	void *trace_ctx;
	struct sim_stacks *stacks; /* NULL: its own */
};

/* One seed. All memory is given back to mem. */
void scenario_run(const struct scenario *scenario, struct mem *mem,
		  const struct scenario_opts *opts, struct scenario_result *ret);

#endif
