// SPDX-License-Identifier: Apache-2.0
/* nexus_sim - see nexus_sim.h. */
#include "nexus_sim.h"

#include "engine/drivers.h"

struct ns_start {
	struct nexus_sim *ns;
	struct nexus_table_opts opts;
};

static int ns_main(struct fiber *f, void *arg)
{
	struct ns_start *start = arg;
	struct nexus_sim *ns = start->ns;

	nr_ok(f, store_open(f, ram_drivers, "ram:///", &ns->store));
	start->opts.store = ns->store;
	start->opts.instance = (struct uuid){ { 1 } };
	nr_ok(f, nexus_table_new(f, &start->opts, &ns->table));
	sim_proc_set_nexuses(ns->proc, ns->table);
	ns->body(f, ns);
	sim_proc_set_nexuses(ns->proc, NULL);
	nexus_table_free(f, ns->table);
	store_close(f, ns->store);
	return 0;
}

void ns_run(const struct nexus_table_opts *opts,
	    void (*body)(struct fiber *f, struct nexus_sim *ns), void *arg)
{
	struct nexus_sim ns = { .body = body, .arg = arg };
	struct ns_start start = { .ns = &ns, .opts = *opts };

	mem_heap_init(&ns.heap);
	ns.sim = sim_new(&(struct sim_opts){ .seed = 1, .mem = &ns.heap.mem });
	ns.proc = sim_proc_add(sim_host_add(ns.sim, "a"),
			       &(struct sim_proc_opts){ .name = "nexus",
							.main = ns_main,
							.arg = &start,
							.drivers = engine_drivers });
	sim_run_for(ns.sim, 3600 * SIM_S);
	if (sim_failed(ns.sim))
		fail_msg("%s", sim_words(ns.sim));
	assert_int_equal(sim_proc_state(ns.proc), SIM_PROC_STOPPED);
	sim_free(ns.sim);
	mem_heap_fini(&ns.heap);
}
