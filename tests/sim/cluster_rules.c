/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_rules - the scenario `cluster`: rules that can be switched off, and strikes made for them.
 *
 * READDROP: the owner takes out the member that it reads from; the record says so, the answer is
 *           lost, and somebody else takes the volume, who need not fence that member.
 * INCARN:   a node that is not the owner's loses power for a moment only, and nobody writes over
 *           what it has forgotten.
 * SESSION:  disks keep some requests for long, and members come back before those are done; or the
 *           net does: it is cut until a member is dropped, and what was sent to it comes beside, or
 *           behind, the connection that it comes back by.
 *
 * What a member should not have is written over soon, and reads go to the nearest one. So clients
 * stand still, but for reads, and then somebody looks: all are killed, after a clean close perhaps,
 * or the nearest member is taken out, and reads go to the others.
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

static bool has_closed(void *ctx)
{
	const struct cw_cand *cand = ctx;

	return !cand->nexus;
}

/* What members hold now, while nothing covers it up. */
static void look(struct cluster *c, struct cw_cand *owner)
{
	struct prng *prng = sim_prng(c->sim);
	uint64_t how = prng_below(prng, 3);

	if (how == 0) {
		owner->shall_drop = true;
		sim_run_for(c->sim, prng_below(prng, SIM_S));
	} else if (how == 1 && owner->nexus) {
		owner->leave = LEAVE_CLEAN;
		sim_run_until(c->sim, has_closed, owner, 5 * SIM_S);
	}
	if (how != 0 && !sim_failed(c->sim))
		cw_inspect(c);
}

/* Of a place's members those in sync. */
static unsigned in_sync_at(const struct cluster *c, const struct cw_place *place)
{
	return c->last_in_sync >> place->number * CW_REPLICAS & ((1u << CW_REPLICAS) - 1);
}

/* One that is not the owner's, has a member in sync, and is not the only one; NULL: there is none. */
static struct cw_place *other_place(struct cluster *c, const struct cw_cand *owner, unsigned by)
{
	for (unsigned i = 0; i < CW_NODES; i++) {
		struct cw_place *place = &c->places[(owner->place->number + by + i) % CW_NODES];
		unsigned own = in_sync_at(c, place) << place->number * CW_REPLICAS;

		if (place != owner->place && own && (c->last_in_sync & ~own))
			return place;
	}
	return NULL;
}

/* Who is wished for serves, and more than one node has members in sync. */
static bool is_settled(void *ctx)
{
	struct cluster *c = ctx;
	const struct cw_cand *owner = &c->cands[c->wish];

	return owner->nexus && owner->epoch == c->last_epoch && other_place(c, owner, 1);
}

/* INCARN. */
static void blink(struct cluster *c, struct cw_place *from, struct cw_place *to)
{
	struct prng *prng = sim_prng(c->sim);

	(void)from;
	c->is_still = prng_below(prng, 4);
	cw_place_reboot(to, prng_below(prng, 300 * SIM_MS));
	sim_run_for(c->sim, prng_below(prng, 3 * SIM_S));
}

struct away {
	const struct cluster *c;
	const struct cw_place *place;
};

static bool is_dropped(void *ctx)
{
	const struct away *away = ctx;

	return !in_sync_at(away->c, away->place);
}

/* SESSION. */
static void ghosts(struct cluster *c, struct cw_place *from, struct cw_place *to)
{
	struct prng *prng = sim_prng(c->sim);
	struct away away = { c, to };

	sim_net_cut(from->host, to->host);
	if (prng_below(prng, 2))
		sim_net_cut(to->host, from->host);
	else
		sim_fault_count(c->sim, SIM_STORY_ONE_WAY);
	sim_run_until(c->sim, is_dropped, &away, 10 * SIM_S);
	sim_run_for(c->sim, prng_below(prng, 2 * SIM_S));
	c->is_still = prng_below(prng, 4);
	sim_run_for(c->sim, prng_below(prng, 100 * SIM_MS));
	sim_net_heal(to->host, from->host);
	sim_net_heal(from->host, to->host);
	sim_run_for(c->sim, prng_range(prng, SIM_S, 8 * SIM_S));
}

/* Somebody serves, and goes on to, while one of the others' nodes is struck. */
static void strike_calm(struct cluster *c, void (*strike)(struct cluster *c, struct cw_place *from,
							  struct cw_place *to))
{
	struct prng *prng = sim_prng(c->sim);
	struct cw_cand *owner;

	c->is_calm = true;
	sim_run_until(c->sim, is_settled, c, 5 * SIM_S);
	sim_run_for(c->sim, prng_below(prng, SIM_S));
	owner = &c->cands[c->wish];
	if (is_settled(c)) {
		unsigned by = (unsigned)prng_range(prng, 1, CW_NODES - 1);

		strike(c, owner->place, other_place(c, owner, by));
		look(c, owner);
	}
	c->is_still = c->is_calm = false;
	sim_run_for(c->sim, prng_below(prng, 3 * SIM_S));
}

static void strike_ghosts(struct cluster *c)
{
	strike_calm(c, ghosts);
}

static void strike_blink(struct cluster *c)
{
	strike_calm(c, blink);
}

static const struct {
	const char *name;
	void (*run)(struct cluster *c);
} strikes[] = {
	{ "dropped", strike_dropped },
	{ "late", strike_late },
	{ "ghosts", strike_ghosts }, /* from here on remote members only */
	{ "blink", strike_blink },   /* and with caches */
};

void cw_strike_rule(struct cluster *c)
{
	unsigned count = !c->is_remote ? 2 : !c->is_volatile ? 3 : 4;
	uint64_t which = prng_below(sim_prng(c->sim), count);

	sim_trace(c->sim, "strike: %s", strikes[which].name);
	strikes[which].run(c);
}
