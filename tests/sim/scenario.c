/* SPDX-License-Identifier: Apache-2.0 */
/* scenario - see scenario.h. */
#include "scenario.h"

#include <stdio.h>
#include <string.h>

static void idle_run(struct sim *sim, const char *plant)
{
	(void)plant;
	sim_host_add(sim, "a");
	sim_run_for(sim, SIM_S);
}

const struct scenario scenario_idle = {
	.name = "idle",
	.help = "an empty world: what a seed costs at least",
	.run = idle_run,
};

const struct scenario *const scenarios[] = {
	&scenario_cluster,
	&scenario_cluster_remote,
	&scenario_disk,
	&scenario_nbd,
	&scenario_nbd_hostile,
	&scenario_net,
	&scenario_nvmf,
	&scenario_pool,
	&scenario_reactor,
	&scenario_idle,
	NULL,
};

const struct scenario *scenario_find(const char *name)
{
	for (unsigned i = 0; scenarios[i]; i++)
		if (strcmp(scenarios[i]->name, name) == 0)
			return scenarios[i];
	return NULL;
}

bool scenario_has_fault(const struct scenario *scenario, enum sim_fault fault)
{
	const char *name = sim_fault_name(fault);

	for (const char *word = scenario->faults; word && *word;) {
		size_t len = strcspn(word, " ");
		bool is_prefix = word[len - 1] == '*';

		if (is_prefix ? strncmp(word, name, len - 1) == 0 :
				strlen(name) == len && strncmp(word, name, len) == 0)
			return true;
		word += len + (word[len] == ' ');
	}
	return false;
}

void scenario_run(const struct scenario *scenario, struct mem *mem,
		  const struct scenario_opts *opts, struct scenario_result *ret)
{
	struct sim *sim = sim_new(&(struct sim_opts){
		.seed = opts->seed,
		.mem = mem,
		.trace = opts->trace,
		.trace_ctx = opts->trace_ctx,
		.stacks = opts->stacks,
		.without = opts->without == SIM_FAULTS ? 0 : UINT64_C(1) << opts->without,
	});

	scenario->run(sim, opts->plant);
	memset(ret, 0, sizeof(*ret));
	ret->failed = sim_failed(sim);
	snprintf(ret->words, sizeof(ret->words), "%s", sim_words(sim));
	ret->hash = sim_hash(sim);
	ret->events = sim_event_count(sim);
	ret->sim_ns = sim_now(sim);
	for (unsigned i = 0; i < SIM_FAULTS; i++)
		ret->fired[i] = sim_fault_fired(sim, i);
	sim_free(sim);
}
