/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster - a volume of three replicas, served by one nexus after the other, under every fault.
 *
 * Three nodes have a pool each; two candidates take the volume from one another, in good order and
 * in bad: the record store loses requests and answers or is away, leases end, processes are killed
 * or stand still, hosts lose power, disks fail and hang, children are taken out and in. Clients read
 * and write all the while, also those of an owner that does not know yet that it is none.
 *
 * CL1. The volume's cells are registers that any history of all clients explains (check.h).
 * CL2. I1: at any moment each member that the record calls in sync holds all that was acknowledged.
 * CL3. I4: such members differ only in regions that are marked active.
 * CL4. The last member stays in the record (LASTONE); pools count right after every crash.
 * CL5. After the heal the volume is served, all its children come back in sync, everything ends;
 *      at rest they are the same to the byte.
 *
 * CL2 to CL4 are looked at now and then: everybody is killed, and the replicas are read from their
 * own side.
 *
 * In `cluster-remote` each node is a host of its own, and a member of another node is reached over
 * NVMe/TCP; the net is cut and lossy. A process that lost the volume lives on, with its lease: who could
 * not fence a member waits until it says that it has let go.
 *
 * Plants are rules of models/README.md, switched off in the product.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "cluster_world.h"
#include "engine/drivers.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "scenario.h"

#define DISK_BYTES (64u << 20)
#define END_NS	   (3600 * SIM_S)
#define CLOCK_NS   (2 * SIM_S) /* between two looks at the hosts' clocks */

/* That a run of many seeds must have seen. */
#define FAULTS                                                                              \
	"disk.eio_read disk.eio_write disk.eio_flush disk.short_write disk.slow disk.hang " \
	"disk.lost_cache disk.torn disk.corrupt_read disk.pull store.* clock.* proc.pause " \
	"proc.crash host.power_cut story.takeover story.rebuild story.resize"

/* ---- a process ------------------------------------------------------------------------------- */

static bool has(unsigned mask, unsigned i)
{
	return mask >> i & 1;
}

static int place_pools(struct fiber *f, struct cw_place *place)
{
	struct cluster *c = place->c;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < CW_NODES; i++)
		if (has(place->nodes, i))
			r = cw_node_begin(f, &c->nodes[i]);
	return r;
}

/* Its nodes and candidates, until the story ends. */
static void place_live(struct fiber *f, struct cw_place *place)
{
	struct cluster *c = place->c;
	struct fiber *keepers[CW_NODES] = { NULL }, *cands[CW_CANDS_MAX] = { NULL };
	struct fiber *host = NULL;

	if (place == c->host.place)
		must(fiber_start(fiber_reactor(f), "host", cw_host_main, &c->host, &host) == 0);

	for (unsigned i = 0; i < CW_NODES; i++)
		if (has(place->nodes, i))
			must(fiber_start(fiber_reactor(f), "keeper", cw_node_keeper, &c->nodes[i],
					 &keepers[i]) == 0);
	for (unsigned i = 0; i < c->cand_count; i++)
		if (has(place->cands, i))
			must(fiber_start(fiber_reactor(f), "cand", cw_cand_main, &c->cands[i],
					 &cands[i]) == 0);
	while (!c->must_stop)
		if (fiber_sleep(f, 100 * SIM_MS) < 0)
			break;
	for (unsigned i = 0; i < c->cand_count; i++)
		if (cands[i])
			(void)fiber_join(f, cands[i]);
	if (host)
		(void)fiber_join(f, host);
	for (unsigned i = 0; i < CW_NODES; i++)
		if (keepers[i]) {
			fiber_cancel(keepers[i]);
			(void)fiber_join(f, keepers[i]);
		}
}

/* What it had was the process's that is gone. */
static void place_forget(struct cw_place *place)
{
	place->tgt = NULL;
	for (unsigned i = 0; i < CW_NODES; i++)
		if (has(place->nodes, i))
			memset(place->c->nodes[i].subsys, 0, sizeof(place->c->nodes[i].subsys));
}

static int place_serve(struct fiber *f, struct cw_place *place)
{
	const struct tgt_opts opts = { .reactors = place->reactors,
				       .rules_off = place->c->rules_off.tgt };
	struct tgt_port_args args = { 0 };
	struct tgt_port *port;
	int r = tgt_open(f, &opts, &place->tgt);

	sim_host_addr(place->host, CW_PORT, &args.addr);
	if (r == 0)
		r = tgt_port_add(f, place->tgt, &args, &port);
	if (r < 0) {
		sim_fail(place->c->sim, "no target: %d %s", r, fiber_words(f));
		return r;
	}
	sim_proc_set_target(place->proc, place->tgt);
	for (unsigned i = 0; i < CW_NODES; i++)
		if (has(place->nodes, i))
			(void)cw_node_serve(f, &place->c->nodes[i]);
	return 0;
}

static void place_unserve(struct fiber *f, struct cw_place *place)
{
	sim_proc_set_target(place->proc, NULL);
	for (unsigned i = 0; i < CW_NODES; i++)
		if (has(place->nodes, i))
			cw_node_unserve(f, &place->c->nodes[i]);
	if (place->tgt)
		tgt_close(f, place->tgt);
	place->tgt = NULL;
}

/* When all nodes can be had. */
static int place_make(struct fiber *f, struct cluster *c)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && c->is_remote && i < CW_NODES; i++)
		while (r == 0 && !c->nodes[i].is_served)
			r = fiber_sleep(f, 20 * SIM_MS);
	return r < 0 ? r : cw_make_volume(f, &c->cands[0]);
}

static int place_main(struct fiber *f, void *arg)
{
	struct cw_place *place = arg;
	struct cluster *c = place->c;
	int r;

	latch_init(&place->env);
	place_forget(place);
	r = place_pools(f, place);
	if (r == 0 && c->is_inspecting) {
		for (unsigned i = 0; i < CW_NODES; i++)
			if (has(place->nodes, i))
				cw_node_inspect(f, &c->nodes[i]);
	} else if (r == 0) {
		if (c->is_remote && place->nodes)
			r = place_serve(f, place);
		if (r == 0 && has(place->cands, 0) && !c->is_made)
			r = place_make(f, c);
		if (r == 0)
			place_live(f, place);
		place_unserve(f, place);
	}
	for (unsigned i = 0; i < CW_NODES; i++)
		if (has(place->nodes, i))
			cw_node_end(f, &c->nodes[i]);
	sim_proc_set_nexuses(place->proc, NULL);
	return 0;
}

/* ---- processes, from outside --------------------------------------------------------------------- */

static void place_start(struct cw_place *place)
{
	if (place->proc) {
		sim_proc_start(place->proc);
		return;
	}
	place->proc = sim_proc_add(place->host,
				   &(struct sim_proc_opts){ .name = sim_host_name(place->host),
							    .main = place_main,
							    .arg = place,
							    .drivers = engine_drivers,
							    .reactors = place->reactors });
}

static bool place_runs(const struct cw_place *place)
{
	return place->proc && sim_proc_state(place->proc) == SIM_PROC_RUNNING;
}

static void place_gone(struct cw_place *place)
{
	cw_place_gone(place);
	for (unsigned i = 0; i < CW_NODES; i++)
		if (has(place->nodes, i))
			cw_cache_lost(place->c, i);
}

static void place_kill(struct cw_place *place)
{
	if (!place_runs(place))
		return;
	sim_proc_crash(place->proc);
	place_gone(place);
}

static void place_power_off(struct cw_place *place)
{
	sim_host_power_cut(place->host);
	place_gone(place);
}

void cw_place_reboot(struct cw_place *place, uint64_t off_ns)
{
	place_power_off(place);
	sim_run_for(place->c->sim, off_ns);
	sim_host_power_on(place->host);
	place_start(place);
}

static bool all_have_ended(void *ctx)
{
	struct cluster *c = ctx;

	for (unsigned i = 0; i < c->place_count; i++)
		if (place_runs(&c->places[i]))
			return false;
	return true;
}

static bool is_made(void *ctx)
{
	return ((struct cluster *)ctx)->is_made;
}

static bool is_good(void *ctx)
{
	return ((struct cluster *)ctx)->is_good;
}

/* ---- inspections ------------------------------------------------------------------------------------ */

struct rates {
	uint32_t ppm[SIM_FAULTS];
};

static void rates_off(struct sim *sim, struct rates *rates)
{
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		rates->ppm[i] = sim_fault_get(sim, i);
		sim_fault_set(sim, i, 0);
	}
}

static void rates_on(struct sim *sim, const struct rates *rates)
{
	for (unsigned i = 0; i < SIM_FAULTS; i++)
		sim_fault_set(sim, i, rates->ppm[i]);
}

/* CL2, CL3, CL4: nobody lives but those who look. */
static void inspect(struct cluster *c)
{
	struct sim *sim = c->sim;
	bool all_lose_power = c->is_volatile && prng_below(sim_prng(sim), 2);
	struct rates rates;

	for (unsigned i = 0; i < c->place_count; i++) {
		if (all_lose_power)
			place_power_off(&c->places[i]);
		else
			place_kill(&c->places[i]);
		sim_host_power_on(c->places[i].host);
	}
	rates_off(sim, &rates);
	sim_trace(sim, "inspection");
	memset(c->looks, 0, sizeof(c->looks));
	c->is_inspecting = true;
	for (unsigned i = 0; i < c->place_count; i++)
		place_start(&c->places[i]);
	if (!sim_run_until(sim, all_have_ended, c, END_NS) && !sim_failed(sim))
		sim_fail(sim, "an inspection does not end");
	if (!sim_failed(sim))
		cw_compare(c);
	c->is_inspecting = false;
	rates_on(sim, &rates);
}

void cw_inspect(struct cluster *c)
{
	inspect(c);
	for (unsigned i = 0; i < c->place_count && !sim_failed(c->sim); i++)
		place_start(&c->places[i]);
}

/* ---- the story ------------------------------------------------------------------------------------------ */

static void cut_store(struct cluster *c)
{
	struct prng *prng = sim_prng(c->sim);
	struct cw_cand *cand = &c->cands[prng_below(prng, c->cand_count)];
	uint64_t way = prng_below(prng, 3);

	sim_store_cut(c->ss, cand->store_name, way != 0, way != 1);
	if (prng_below(prng, 2)) /* somebody else shall have it meanwhile */
		c->wish = (cand->number + 1) % c->cand_count;
	sim_run_for(c->sim, prng_below(prng, 3 * c->lease_ms * SIM_MS));
	sim_store_cut(c->ss, cand->store_name, false, false);
}

/* Between two of its hosts: one way, or both. */
static void cut_net(struct cluster *c)
{
	struct prng *prng = sim_prng(c->sim);
	uint64_t a = prng_below(prng, c->place_count), by = prng_range(prng, 1, c->place_count - 1);
	struct sim_host *from = c->places[a].host;
	struct sim_host *to = c->places[(a + by) % c->place_count].host;
	bool both = prng_below(prng, 2);

	sim_net_cut(from, to);
	if (both)
		sim_net_cut(to, from);
	else
		sim_fault_count(c->sim, SIM_STORY_ONE_WAY);
	if (prng_below(prng, 2))
		c->wish = (c->wish + 1) % c->cand_count;
	sim_run_for(c->sim, prng_below(prng, 12 * SIM_S));
	sim_net_heal(from, to);
	sim_net_heal(to, from);
	sim_run_for(c->sim, prng_below(prng, 3 * SIM_S));
}

/* The other one shall have it; this one closes, or stops, or goes on. */
static void take_over(struct cluster *c)
{
	struct prng *prng = sim_prng(c->sim);
	struct cw_cand *from = &c->cands[c->wish];
	uint64_t how = prng_below(prng, 4);

	c->wish = (c->wish + 1) % c->cand_count;
	if (from->nexus && how < 2)
		from->leave = how ? LEAVE_CLEAN : LEAVE_ABANDON;
	sim_trace(c->sim, "wish: %u", c->wish);
}

/* One node's; all others, and its own nexus, live on. */
static void pull_disk(struct cluster *c)
{
	unsigned node = (unsigned)prng_below(sim_prng(c->sim), CW_NODES);

	sim_disk_pull(c->nodes[node].disk);
	c->nodes[node].is_pulled = true;
	cw_cache_lost(c, node);
}

static void strike(struct cluster *c)
{
	struct sim *sim = c->sim;
	struct prng *prng = sim_prng(sim);
	struct cw_place *place = &c->places[prng_below(prng, c->place_count)];

	if (c->is_remote && prng_below(prng, 3) == 0) {
		cut_net(c);
		return;
	}
	if (prng_below(prng, c->is_remote ? 3 : 6) == 0) {
		cw_strike_rule(c);
		return;
	}
	switch (prng_below(prng, 9)) {
	case 8:
		pull_disk(c);
		break;
	case 0:
		place_kill(place);
		sim_run_for(sim, prng_below(prng, SIM_S));
		place_start(place);
		break;
	case 1:
		cw_place_reboot(place, prng_below(prng, 2 * SIM_S));
		break;
	case 2:
	case 3:
		cut_store(c);
		break;
	case 4:
		cw_inspect(c);
		break;
	case 5:
		if (place_runs(place)) {
			sim_fault_count(sim, SIM_PROC_PAUSE);
			sim_proc_pause(place->proc, prng_below(prng, 2 * c->lease_ms * SIM_MS));
		}
		break;
	default:
		take_over(c);
	}
	sim_run_for(sim, prng_below(prng, 3 * SIM_S));
}

static void build_node(struct cluster *c, unsigned i, struct cw_place *place)
{
	struct prng *prng = sim_prng(c->sim);
	struct cw_node *node = &c->nodes[i];
	uint64_t discard = prng_below(prng, 2), blocks = prng_below(prng, 4);

	node->is_volatile = c->is_volatile && prng_below(prng, 4);

	node->c = c;
	node->number = i;
	node->place = place;
	place->nodes |= 1u << i;
	snprintf(node->disk_path, sizeof(node->disk_path), "/dev/sd%c", 'a' + i);
	snprintf(node->disk_uri, sizeof(node->disk_uri), "file:///dev/sd%c%s", 'a' + i,
		 blocks ? "" : "?blk_size=4096");
	snprintf(node->pool_name, sizeof(node->pool_name), "p%u", i);
	for (unsigned j = 0; j < CW_REPLICAS; j++) {
		uint8_t bytes[16];

		prng_fill(prng, bytes, sizeof(bytes));
		node->replica[j] = uuid_v4(bytes);
	}
	node->disk = sim_disk_add(place->host, node->disk_path,
				  &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
							   .discard_bytes = discard ? 4096 : 0,
							   .volatile_cache = node->is_volatile });
	sim_disk_lie_about(node->disk, cw_node_may_lie, node);
}

static void build_cand(struct cluster *c, unsigned i, struct cw_place *place)
{
	struct cw_cand *cand = &c->cands[i];

	cand->c = c;
	cand->number = i;
	cand->place = place;
	place->cands |= 1u << i;
	snprintf(cand->store_name, sizeof(cand->store_name), "n%u", i);
	snprintf(cand->store_uri, sizeof(cand->store_uri), "sim:///n%u", i);
}

static struct cw_place *build_place(struct cluster *c, const char *name)
{
	struct cw_place *place = &c->places[c->place_count];

	place->c = c;
	place->number = c->place_count++;
	place->host = sim_host_add(c->sim, name);
	place->reactors = (unsigned)prng_range(sim_prng(c->sim), 1, 2);
	return place;
}

static void build_host(struct cluster *c, struct cw_place *place)
{
	struct cw_host *h = &c->host;

	h->c = c;
	h->place = place;
	h->workers = (unsigned)prng_range(sim_prng(c->sim), 1, CW_WORKERS_MAX);
	for (unsigned i = 0; i < h->workers; i++)
		h->requests[i].host = h;
}

static void record_changed(void *ctx, const char *key)
{
	if (strncmp(key, "volume/", 7) == 0)
		cw_record_changed(ctx);
}

/* All in one process; or a host for each node, and candidates on the first ones. */
static void build_places(struct cluster *c)
{
	struct cw_place *place = NULL;

	for (unsigned i = 0; i < CW_NODES; i++) {
		char name[2] = { (char)('a' + i), 0 };

		if (!place || c->is_remote)
			place = build_place(c, name);
		build_node(c, i, place);
	}
	for (unsigned i = 0; i < c->cand_count; i++)
		build_cand(c, i, &c->places[c->is_remote ? i : 0]);
	cw_name_members(c);
	if (c->is_remote && prng_below(sim_prng(c->sim), 2))
		build_host(c, build_place(c, "h"));
}

static struct cluster *build(struct sim *sim, bool is_remote)
{
	struct prng *prng = sim_prng(sim);
	struct cluster *c = mem_alloc(sim_mem(sim), sizeof(*c));
	static const uint32_t katos_ms[] = { 2000, 5000, 15000, 60000 };
	uint64_t timeout_ns;

	must(c);
	c->sim = sim;
	c->check = check_new(sim_mem(sim), CW_CELLS_MAX);
	c->is_strict = prng_below(prng, 2);
	c->is_volatile = prng_below(prng, 2);
	c->members = prng_below(prng, 4) ? 3 : 2;
	c->workers = (unsigned)prng_range(prng, 1, CW_WORKERS_MAX);
	c->lease_ms = (uint32_t)prng_range(prng, 500, 3000);
	timeout_ns = prng_range(prng, 100, 1000) * SIM_MS;
	c->ss = sim_store_add(sim, NULL, timeout_ns);
	sim_store_on_change(c->ss, record_changed, c);
	c->kato_ms = katos_ms[prng_below(prng, ARRAY_LEN(katos_ms))];
	c->cand_count = 2;
	c->is_remote = is_remote;
	build_places(c);
	return c;
}

static void heal(struct cluster *c)
{
	struct sim *sim = c->sim;

	sim_heal(sim);
	sim_nemesis_stop(sim);
	c->wish = (unsigned)prng_below(sim_prng(sim), c->cand_count);
	c->is_healed = true;
	c->is_still = c->is_calm = false;
	for (unsigned i = 0; i < c->cand_count; i++)
		if (i != c->wish)
			c->cands[i].leave = LEAVE_ABANDON;
	if (!sim_run_until(sim, is_good, c, END_NS) && !sim_failed(sim)) /* CL5 */
		sim_fail(sim, "after the heal the volume does not become whole");
	c->must_stop = true;
	if (!sim_run_until(sim, all_have_ended, c, END_NS) && !sim_failed(sim))
		sim_fail(sim, "after the heal it does not end");
	c->is_final = true;
	if (!sim_failed(sim))
		inspect(c);
}

static void cluster_play(struct sim *sim, bool is_remote, const char *plant)
{
	struct cluster *c = build(sim, is_remote);
	struct prng *prng = sim_prng(sim);
	unsigned strikes = (unsigned)prng_range(prng, 2, 10);

	if (plant && strcmp(plant, "skip-flush") == 0)
		sim_disk_plant_skipped_flush(c->nodes[0].disk, true);
	else
		c->rules_off = cw_rules_of(plant);
	for (unsigned i = 0; i < c->place_count; i++)
		place_start(&c->places[i]);
	if (!sim_run_until(sim, is_made, c, END_NS) && !sim_failed(sim))
		sim_fail(sim, "the volume is not made");
	sim_swarm(sim, SIM_GROUP_DISK | SIM_GROUP_STORE | SIM_GROUP_CLOCK |
			       (is_remote ? SIM_GROUP_NET : 0));
	if (prng_below(prng, 3))
		sim_faults_off(sim, SIM_GROUP_DISK);
	if (prng_below(prng, 4) == 0)
		sim_fault_set(sim, SIM_DISK_CORRUPT_READ, 2000u << prng_below(prng, 8));
	sim_nemesis_start(sim, CLOCK_NS);
	sim_run_for(sim, prng_below(prng, 2 * SIM_S));
	for (unsigned i = 0; i < strikes && !sim_failed(sim); i++)
		strike(c);
	if (!sim_failed(sim))
		heal(c);
	check_free(c->check);
	mem_free(c);
}

static void cluster_run(struct sim *sim, const char *plant)
{
	cluster_play(sim, false, plant);
}

static void cluster_remote_run(struct sim *sim, const char *plant)
{
	cluster_play(sim, true, plant);
}

const struct scenario scenario_cluster_remote = {
	.name = "cluster-remote",
	.help = "the same over three hosts: members behind NVMe/TCP, and faults of the net",
	.rules =
		"persist seal fence resync lastone lease readdrop lock attach final order session incarn",
	.faults = FAULTS " net.reset net.refuse net.connect_timeout net.slow net.stall net.chunks "
			 "net.slow_reader net.cut net.half_open story.one_way story.switch",
	.run = cluster_remote_run,
};

const struct scenario scenario_cluster = {
	.name = "cluster",
	.help = "a volume of three replicas: takeovers, crashes, faults of disks and record store",
	.plants = "persist fence skip-flush",
	.rules = "seal resync lastone lock attach final order fanout",
	.faults = FAULTS,
	.run = cluster_run,
};
