/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexus_sim - a process in simulated time, for what a nexus does by the clock; with a store in memory.
 */
#ifndef TESTS_NEXUS_SIM_H
#define TESTS_NEXUS_SIM_H

#include "nexus_rig.h"
#include "sim/sim.h"

struct nexus_sim {
	void (*body)(struct fiber *f, struct nexus_sim *ns);
	void *arg;
	struct sim *sim;
	struct sim_proc *proc;
	struct store *store;
	struct nexus_table *table;
	struct mem_heap heap;
};

/* The body on a fiber, with the store and a table of these options; it must end, and leave nothing. */
void ns_run(const struct nexus_table_opts *opts,
	    void (*body)(struct fiber *f, struct nexus_sim *ns), void *arg);

static inline uint64_t ns_now(struct nexus_sim *ns)
{
	return sim_now(ns->sim);
}

#endif
