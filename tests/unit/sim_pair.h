/* SPDX-License-Identifier: Apache-2.0 */
/* sim_pair - two processes of a simulated world, a server and its client, run until both have ended well. */
#ifndef TESTS_SIM_PAIR_H
#define TESTS_SIM_PAIR_H

#include "unit.h"

#include "sim/sim.h"

struct sim_pair {
	struct sim_proc *server, *client;
};

static inline bool sim_pair_ended(void *ctx)
{
	const struct sim_pair *pair = ctx;

	return sim_proc_state(pair->client) != SIM_PROC_RUNNING &&
	       sim_proc_state(pair->server) != SIM_PROC_RUNNING;
}

static inline void sim_pair_run(struct sim *sim, struct sim_proc *server, struct sim_proc *client,
				uint64_t end_ns)
{
	struct sim_pair pair = { server, client };

	if (!sim_run_until(sim, sim_pair_ended, &pair, end_ns) || sim_failed(sim))
		fail_msg("the world does not end: %s", sim_words(sim));
	assert_true(sim_proc_state(client) == SIM_PROC_STOPPED);
	assert_true(sim_proc_state(server) == SIM_PROC_STOPPED);
}

#endif
