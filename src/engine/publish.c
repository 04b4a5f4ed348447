// SPDX-License-Identifier: Apache-2.0
/*
 * publish - a volume within reach of clients. See publish.h.
 *
 * The keeper looks at the nexus when it has changed, and once a second for the lease: nothing
 * depends on how soon, since the nexus itself acknowledges nothing it must not; the ANA state only sends
 * clients another way.
 *
 * PL1. The namespace is added with its group Inaccessible, and told Optimized after that (PB1).
 * PL2. Who changes what clients see holds the latch; after `is_dropped` there is nothing left to change.
 */
#include "engine/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bdev/bdev_driver.h"
#include "export/nbd.h"
#include "nexus/nexus.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"
#include "store/lease.h"

#define GROUP	 1u /* of the one namespace */
#define LOOK_NS	 UINT64_C(1000000000)
#define BUSY_NS	 UINT64_C(100000000)  /* the same, while it stops or something is wrong */
#define STUCK_NS UINT64_C(1000000000) /* stopping: requests that wait for a member are refused */

struct publish {
	struct nexus *nexus;	   /* borrowed */
	struct tgt *tgt;	   /* borrowed; NULL: NBD */
	struct nbd_server *nbd;	   /* borrowed */
	struct tgt_subsys *subsys; /* owned */
	struct tgt_ns *ns;	   /* of it */
	struct latch admin;	   /* PL2 */
	struct event unlocked;	   /* it was let go: for who cannot be cancelled */
	struct fiber *keeper;
	struct event wake; /* of it */
	struct nexus_watch watch;
	enum tgt_ana_state wanted, now;
	bool is_stopping, is_gone, is_dropped;
	uint64_t ill_since_ns; /* 0: it serves */
	char nqn[PUBLISH_NQN_MAX + 1];
	struct nexus_info info;
};

/* ---- names ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum tgt_ana_state state;
} ana_names[] = {
	{ "optimized", TGT_ANA_OPTIMIZED },
	{ "non-optimized", TGT_ANA_NON_OPTIMIZED },
	{ "inaccessible", TGT_ANA_INACCESSIBLE },
};

const char *publish_ana_name(enum tgt_ana_state state)
{
	for (unsigned i = 0; i < ARRAY_LEN(ana_names); i++)
		if (ana_names[i].state == state)
			return ana_names[i].name;
	return "unknown";
}

int publish_ana_parse(const char *name, enum tgt_ana_state *ret)
{
	for (unsigned i = 0; i < ARRAY_LEN(ana_names); i++) {
		if (strcmp(ana_names[i].name, name) != 0)
			continue;
		*ret = ana_names[i].state;
		return 0;
	}
	return -EINVAL;
}

/* PB2. */
void publish_ids(uint64_t epoch, uint16_t *ret_first, uint16_t *ret_last)
{
	uint32_t first = (uint32_t)(epoch % PUBLISH_RANGES) * PUBLISH_IDS + 1;

	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)(first + PUBLISH_IDS - 1);
}

/* ---- what clients see ---------------------------------------------------------------------- */

static struct nexus_table *table_here(struct fiber *f)
{
	return reactor_bdev_env(fiber_reactor(f))->nexuses;
}

static bool may_serve(struct fiber *f, const struct publish *p)
{
	const struct lease *lease = nexus_table_lease(table_here(f));

	return p->info.state == NEXUS_SERVING && lease_holds(lease, reactor_now(fiber_reactor(f)));
}

static int ana_set(struct fiber *f, struct publish *p, enum tgt_ana_state state)
{
	int r = p->subsys ? tgt_ana_set(f, p->subsys, GROUP, state) : 0;

	if (r == 0)
		p->now = state;
	return r;
}

static void admin_unlock(struct fiber *f, struct publish *p)
{
	latch_unlock(f, &p->admin);
	event_set(&p->unlocked);
}

/* Clients go, and find nothing when they come back. With the latch. */
static void drop(struct fiber *f, struct publish *p)
{
	if (p->is_dropped)
		return;
	p->is_dropped = true;
	p->now = TGT_ANA_INACCESSIBLE;
	if (p->subsys)
		tgt_subsys_remove(f, p->subsys);
	else if (p->nbd && nbd_server_remove(f, p->nbd, p->nqn) < 0)
		fiber_clear(f);
	p->subsys = NULL;
	p->ns = NULL;
}

/* What should be told now, and if that is worth anything. */
static enum tgt_ana_state judge(struct fiber *f, struct publish *p)
{
	uint64_t now = reactor_now(fiber_reactor(f));

	nexus_info(p->nexus, &p->info);
	if (may_serve(f, p)) {
		p->ill_since_ns = 0;
		return p->wanted;
	}
	if (!p->ill_since_ns)
		p->ill_since_ns = now;
	if (p->info.state == NEXUS_DEPOSED || p->info.state == NEXUS_STOPPED ||
	    now - p->ill_since_ns >= PUBLISH_PATIENCE_NS)
		return TGT_ANA_INACCESSIBLE;
	return p->now;
}

static void keep(struct fiber *f, struct publish *p)
{
	enum tgt_ana_state state = judge(f, p);

	if (p->is_stopping) { /* somebody drains it: does the nexus let what waits go? */
		if (p->ill_since_ns && p->info.state != NEXUS_DEPOSED &&
		    reactor_now(fiber_reactor(f)) - p->ill_since_ns >= STUCK_NS)
			nexus_refuse(p->nexus);
		return;
	}
	if (state == p->now && p->info.state != NEXUS_DEPOSED)
		return;
	if (!latch_try(f, &p->admin))
		return; /* later */
	if (!p->is_dropped && ana_set(f, p, state) < 0)
		fiber_clear(f);
	if (p->info.state == NEXUS_DEPOSED)
		drop(f, p);
	admin_unlock(f, p);
}

static int keeper_main(struct fiber *f, void *arg)
{
	struct publish *p = arg;

	while (!p->is_gone) {
		uint64_t hold;

		event_clear(&p->wake);
		keep(f, p);
		hold = p->is_stopping || p->ill_since_ns ? BUSY_NS : LOOK_NS;
		if (!p->is_gone &&
		    event_wait_until(f, &p->wake, reactor_now(fiber_reactor(f)) + hold) < 0)
			continue;
	}
	return 0;
}

static void nexus_changed(struct nexus_watch *watch, const struct nexus_event *event)
{
	struct publish *p = container_of(watch, struct publish, watch);

	if (event->nexus == p->nexus && !event->uri)
		event_set(&p->wake);
}

/* ---- start ------------------------------------------------------------------------------------ */

static int start_names(struct fiber *f, struct publish *p, const struct publish_args *args)
{
	char uuid[UUID_TEXT_SIZE];
	int len;

	uuid_print(&p->info.volume, uuid);
	if (args->nbd)
		len = snprintf(p->nqn, sizeof(p->nqn), "%s",
			       args->name ? args->name : p->info.name);
	else if (args->nqn)
		len = snprintf(p->nqn, sizeof(p->nqn), "%s", args->nqn);
	else
		len = snprintf(p->nqn, sizeof(p->nqn), "%s%s", PUBLISH_NQN_PREFIX, uuid);
	if (len >= (int)sizeof(p->nqn))
		return fiber_fail(f, -EINVAL, "'%.40s...' is longer than %u", p->nqn,
				  PUBLISH_NQN_MAX);
	if (!args->tgt == !args->nbd)
		return fiber_fail(f, -EINVAL, "volume '%s' is published by NVMe/TCP or by NBD",
				  p->info.name);
	if (args->host_count && args->nbd)
		return fiber_fail(f, -EINVAL, "NBD has no names of hosts to allow");
	return 0;
}

static int start_nvmf(struct fiber *f, struct publish *p, const struct publish_args *args,
		      const char *uri)
{
	struct tgt_subsys_args subsys = {
		.nqn = p->nqn,
		.allow_any_host = args->host_count == 0,
		.multipath = args->multipath,
		.no_reservations = true,	  /* PB4 */
		.ana_count = p->info.epoch << 16, /* PB2 */
	};
	const struct tgt_ns_args ns = {
		.uri = uri, .uuid = p->info.volume, .ana_group = GROUP, .is_door = true
	};
	int r;

	publish_ids(p->info.epoch, &subsys.cntlid_min, &subsys.cntlid_max);
	r = tgt_subsys_add(f, p->tgt, &subsys, &p->subsys);
	if (r < 0)
		return r;
	r = ana_set(f, p, TGT_ANA_INACCESSIBLE);
	for (unsigned i = 0; i < args->host_count && r == 0; i++)
		r = tgt_host_allow(f, p->subsys, args->hosts[i]);
	if (r == 0)
		r = tgt_ns_add(f, p->subsys, &ns, &p->ns);
	if (r == 0 && may_serve(f, p))
		r = ana_set(f, p, p->wanted); /* PL1 */
	if (r < 0)
		tgt_subsys_remove(f, p->subsys);
	return r;
}

static int start_nbd(struct fiber *f, struct publish *p, const char *uri)
{
	const struct nbd_share_args share = { .name = p->nqn, .uri = uri, .is_door = true };

	p->now = TGT_ANA_OPTIMIZED;
	return nbd_server_add(f, p->nbd, &share);
}

static int start(struct fiber *f, struct publish *p, const struct publish_args *args)
{
	char uri[sizeof("nexus:///") + UUID_TEXT_SIZE], uuid[UUID_TEXT_SIZE];
	int r;

	nexus_info(p->nexus, &p->info);
	r = start_names(f, p, args);
	if (r < 0)
		return r;
	snprintf(uri, sizeof(uri), "nexus:///%s", uuid_print(&p->info.volume, uuid));
	r = p->tgt ? start_nvmf(f, p, args, uri) : start_nbd(f, p, uri);
	if (r < 0)
		return r;
	r = fiber_start(fiber_reactor(f), "publish", keeper_main, p, &p->keeper);
	if (r < 0) {
		drop(f, p);
		return fiber_fail(f, r, "volume '%s': no fibers left", p->info.name);
	}
	return 0;
}

int publish_start(struct fiber *f, const struct publish_args *args, struct publish **ret)
{
	struct publish *p = mem_new(fiber_io(f), sizeof(*p));
	int r;

	if (!p)
		return fiber_fail(f, -ENOMEM, "no memory to publish a volume");
	p->nexus = args->nexus;
	p->tgt = args->tgt;
	p->nbd = args->nbd;
	p->wanted = TGT_ANA_OPTIMIZED;
	p->now = TGT_ANA_INACCESSIBLE;
	latch_init(&p->admin);
	event_init(&p->unlocked);
	event_init(&p->wake);
	p->watch.fn = nexus_changed;
	nexus_watch_add(table_here(f), &p->watch);
	r = start(f, p, args);
	if (r < 0) {
		nexus_watch_del(&p->watch);
		mem_free(p);
	} else {
		*ret = p;
	}
	return r;
}

/* ---- afterwards --------------------------------------------------------------------------------- */

void publish_stop(struct fiber *f, struct publish *p)
{
	p->is_stopping = true;
	event_set(&p->wake);
	while (!latch_try(f, &p->admin)) { /* PL2: who has it lets it go, whatever we are told */
		event_clear(&p->unlocked);
		event_wait_always(f, &p->unlocked);
	}
	drop(f, p);
	admin_unlock(f, p);
	p->is_gone = true;
	event_set(&p->wake);
	(void)fiber_join(f, p->keeper);
	nexus_watch_del(&p->watch);
	mem_free(p);
}

/* With the latch, and something to change. */
static int publish_lock(struct fiber *f, struct publish *p)
{
	int r = latch_lock(f, &p->admin);

	if (r < 0 || !p->is_dropped)
		return r;
	admin_unlock(f, p);
	return fiber_fail(f, -ESTALE, "volume '%s' has another owner", p->info.name);
}

int publish_ana(struct fiber *f, struct publish *p, enum tgt_ana_state wanted)
{
	int r;

	if (!p->tgt)
		return fiber_fail(f, -ENOTSUP, "NBD has no ANA states");
	r = publish_lock(f, p);
	if (r < 0)
		return r;
	p->wanted = wanted;
	r = ana_set(f, p, judge(f, p));
	admin_unlock(f, p);
	return r;
}

enum tgt_ana_state publish_ana_now(const struct publish *p)
{
	return p->now;
}

static int publish_host(struct fiber *f, struct publish *p, const char *hostnqn,
			int (*change)(struct fiber *f, struct tgt_subsys *subsys, const char *nqn))
{
	int r;

	if (!p->tgt)
		return fiber_fail(f, -ENOTSUP, "NBD has no names of hosts to allow");
	r = publish_lock(f, p);
	if (r < 0)
		return r;
	r = change(f, p->subsys, hostnqn);
	admin_unlock(f, p);
	return r;
}

int publish_allow(struct fiber *f, struct publish *p, const char *hostnqn)
{
	return publish_host(f, p, hostnqn, tgt_host_allow);
}

int publish_deny(struct fiber *f, struct publish *p, const char *hostnqn)
{
	return publish_host(f, p, hostnqn, tgt_host_deny);
}

int publish_rescan(struct fiber *f, struct publish *p)
{
	int r = publish_lock(f, p);

	if (r < 0)
		return r;
	if (p->ns)
		r = tgt_ns_rescan(f, p->ns);
	else
		nbd_server_rescan(f, p->nbd);
	admin_unlock(f, p);
	return r;
}

const char *publish_nqn(const struct publish *p)
{
	return p->nqn;
}

bool publish_is_nbd(const struct publish *p)
{
	return p->nbd != NULL;
}
