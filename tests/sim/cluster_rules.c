/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_rules - the scenario `cluster`: rules that can be switched off, and strikes made for one of them.
 *
 * READDROP: the owner takes out the member that it reads from; the record says so, the answer is
 *           lost, and somebody else takes the volume, who need not fence that member.
 * INCARN:   a node that is not the owner's loses power for a moment only.
 * SESSION:  disks keep some requests for long, and members come back before those are done.
 */
#include "cluster_world.h"

#include <string.h>

#include "base/must.h"
#include "nexus/nexus.h"

#define LATE_PPM 20000u

static const struct {
	const char *name;
	struct cw_rules off;
} plants[] = {
	{ "persist", { .nexus = NEXUS_RULE_PERSIST } },
	{ "seal", { .nexus = NEXUS_RULE_SEAL } },
	{ "fence", { .nexus = NEXUS_RULE_FENCE } },
	{ "resync", { .nexus = NEXUS_RULE_RESYNC } },
	{ "lastone", { .nexus = NEXUS_RULE_LASTONE } },
	{ "lease", { .nexus = NEXUS_RULE_LEASE } },
	{ "readdrop", { .nexus = NEXUS_RULE_READDROP } },
	{ "lock", { .nexus = NEXUS_RULE_LOCK } },
	{ "attach", { .nexus = NEXUS_RULE_ATTACH } },
	{ "final", { .nexus = NEXUS_RULE_FINAL } },
	{ "order", { .nexus = NEXUS_RULE_ORDER } },
	{ "session", { .nexus = NEXUS_RULE_SESSION, .tgt = TGT_RULE_SESSION } },
	{ "fanout", { .nexus = NEXUS_RULE_FANOUT } },
	{ "incarn", { .pool = POOL_RULE_INCARN } },
};

struct cw_rules cw_rules_of(const char *plant)
{
	for (unsigned i = 0; plant && i < ARRAY_LEN(plants); i++)
		if (strcmp(plant, plants[i].name) == 0)
			return plants[i].off;
	must(!plant);
	return (struct cw_rules){ 0 };
}

/* READDROP. */
static void strike_dropped(struct cluster *c)
{
	struct prng *prng = sim_prng(c->sim);
	struct cw_cand *owner = &c->cands[c->wish];
	struct cw_cand *other = &c->cands[(c->wish + 1) % c->cand_count];
	bool is_apart = owner->place != other->place;

	sim_trace(c->sim, "cand %u: drops a member, and is not told", owner->number);
	owner->shall_read = true; /* what writes waits for the record */
	sim_run_for(c->sim, prng_below(prng, 50 * SIM_MS));
	if (is_apart) {
		sim_net_cut(owner->place->host, other->place->host);
		sim_net_cut(other->place->host, owner->place->host);
	}
	sim_store_cut(c->ss, owner->store_name, false, true);
	owner->shall_drop = true;
	sim_run_for(c->sim, prng_below(prng, c->lease_ms * SIM_MS / 4));
	c->wish = other->number;
	sim_run_for(c->sim, prng_below(prng, 2 * c->lease_ms * SIM_MS));
	sim_store_cut(c->ss, owner->store_name, false, false);
	owner->shall_read = false;
	if (is_apart) {
		sim_net_heal(owner->place->host, other->place->host);
		sim_net_heal(other->place->host, owner->place->host);
	}
	sim_run_for(c->sim, prng_below(prng, 3 * SIM_S));
}

/* SESSION. */
static void strike_late(struct cluster *c)
{
	struct prng *prng = sim_prng(c->sim);
	uint32_t ppm = sim_fault_get(c->sim, SIM_DISK_HANG);

	c->is_quiet = prng_below(prng, 2);
	sim_fault_set(c->sim, SIM_DISK_HANG, LATE_PPM);
	sim_run_for(c->sim, prng_below(prng, 500 * SIM_MS));
	sim_fault_set(c->sim, SIM_DISK_HANG, ppm);
	sim_run_for(c->sim, prng_below(prng, 12 * SIM_S));
}

/* INCARN. */
static void strike_blink(struct cluster *c)
{
	struct prng *prng = sim_prng(c->sim);
	uint64_t by = prng_range(prng, 1, c->place_count - 1);
	const struct cw_cand *owner = &c->cands[c->wish];

	cw_place_reboot(&c->places[(owner->place->number + by) % c->place_count],
			prng_below(prng, 300 * SIM_MS));
	sim_run_for(c->sim, prng_below(prng, 6 * SIM_S));
}

void cw_strike_rule(struct cluster *c)
{
	uint64_t which = prng_below(sim_prng(c->sim), c->is_remote && c->is_volatile ? 3 : 2);

	if (which == 0)
		strike_dropped(c);
	else if (which == 1)
		strike_late(c);
	else
		strike_blink(c);
}
