// SPDX-License-Identifier: Apache-2.0
/*
 * tgt - the target as a whole: its shards, its beginning and its end. N1..N6 stand in tgt.h.
 */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"

#define REFUSED_LOG_BURST 5
#define REFUSED_LOG_NS	  (10ull * 1000 * 1000 * 1000)

/* ---- shards -------------------------------------------------------------------------- */

static int shard_open(struct fiber *f, void *arg)
{
	struct tgt *tgt = arg;
	struct reactor *reactor = fiber_reactor(f);
	struct tgt_shard *shard = mem_new(fiber_io(f), sizeof(*shard));

	if (!shard)
		return fiber_fail(f, -ENOMEM, "no memory for the target");
	shard->tgt = tgt;
	shard->reactor = reactor;
	shard->io = reactor_io(reactor);
	shard->log = reactor_log(reactor);
	shard->index = reactor_index(reactor);
	tgt_shard_init(shard);
	tgt->shard[shard->index] = shard;
	return 0;
}

static int shard_close(struct fiber *f, void *arg)
{
	struct tgt *tgt = arg;
	struct tgt_shard *shard = tgt->shard[reactor_index(fiber_reactor(f))];

	must(list_empty(&shard->conns) && list_empty(&shard->waiting));
	must(shard->data.held_bytes == 0 && shard->capsule.held_bytes == 0);
	reactor_unpost(&shard->wake);
	timer_stop(&shard->sweep);
	tgt_bufs_trim(&shard->data);
	tgt_bufs_trim(&shard->capsule);
	mem_free(shard);
	return 0;
}

static void shards_close(struct fiber *f, struct tgt *tgt)
{
	for (unsigned i = 0; i < REACTORS_MAX; i++)
		if (tgt->shard[i])
			tgt_call_always(f, tgt->shard[i]->reactor, "nvmf-shard", shard_close, tgt);
}

static int shards_open(struct fiber *f, struct tgt *tgt)
{
	int r = 0;

	for (unsigned i = 0; i < tgt->shard_count && r == 0; i++) {
		struct reactor *reactor = reactor_peer(tgt->home, i);

		if (!reactor)
			return fiber_fail(f, -EINVAL, "there is no reactor %u", i);
		r = fiber_call_on(f, reactor, "nvmf-shard", shard_open, tgt);
	}
	return r;
}

/* ---- subsystems: what the core has of them ------------------------------------------------- */

struct tgt_subsys *tgt_subsys_new(struct tgt *tgt, const char *nqn)
{
	struct tgt_subsys *subsys = mem_new(tgt->io, sizeof(*subsys));

	if (!subsys)
		return NULL;
	subsys->tgt = tgt;
	snprintf(subsys->nqn, sizeof(subsys->nqn), "%s", nqn);
	subsys->cntlid_min = subsys->cntlid_next = 1;
	subsys->cntlid_max = NVME_CNTLID_MAX;
	list_init(&subsys->hosts);
	list_init(&subsys->ctrls);
	event_init(&subsys->ctrls_changed);
	return subsys;
}

void tgt_subsys_free(struct tgt_subsys *subsys)
{
	must(list_empty(&subsys->ctrls) && !subsys->connecting && !subsys->ns_count);
	tgt_view_tables_free(subsys);
	mem_free(subsys);
}

/* ---- beginning and end ----------------------------------------------------------------- */

static void tgt_init(struct fiber *f, struct tgt *tgt, const struct tgt_opts *opts)
{
	tgt->home = fiber_reactor(f);
	tgt->io = fiber_io(f);
	tgt->log = reactor_log(tgt->home);
	tgt->opts = *opts;
	if (!tgt->opts.connections_max)
		tgt->opts.connections_max = TGT_CONNECTIONS_MAX;
	if (!tgt->opts.data_max)
		tgt->opts.data_max = TGT_REACTOR_DATA_MAX;
	tgt->shard_count = max_u32(opts->reactors, 1);
	list_init(&tgt->ports);
	list_init(&tgt->subsystems);
	list_init(&tgt->strangers);
	for (unsigned i = 0; i < TGT_LANES; i++)
		list_init(&tgt->lane[i].cmds);
	event_init(&tgt->conns_gone);
	event_init(&tgt->cmds_idle);
	bucket_init(&tgt->accepts, TGT_ACCEPTS_PER_S, TGT_ACCEPTS_BURST, reactor_now(tgt->home));
	log_rate_init(&tgt->refuse_rate, REFUSED_LOG_BURST, REFUSED_LOG_NS);
}

static void tgt_free(struct fiber *f, struct tgt *tgt)
{
	if (tgt->discovery)
		tgt_subsys_free(tgt->discovery);
	shards_close(f, tgt);
	mem_free(tgt);
}

int tgt_open(struct fiber *f, const struct tgt_opts *opts, struct tgt **ret)
{
	struct tgt *tgt = mem_new(fiber_io(f), sizeof(*tgt));
	int r;

	if (!tgt)
		return fiber_fail(f, -ENOMEM, "no memory for the target");
	must(reactor_index(fiber_reactor(f)) == 0 && opts->reactors <= REACTORS_MAX);
	tgt_init(f, tgt, opts);
	r = shards_open(f, tgt);
	if (r == 0) {
		tgt->discovery = tgt_subsys_new(tgt, NVME_DISCOVERY_NQN);
		if (tgt->discovery)
			tgt->discovery->is_discovery = true;
		else
			r = fiber_fail(f, -ENOMEM, "no memory for the target");
	}
	if (r < 0) {
		tgt_free(f, tgt);
		return r;
	}
	*ret = tgt;
	return 0;
}

void tgt_close(struct fiber *f, struct tgt *tgt)
{
	struct tgt_port *port;

	tgt->is_closing = true;
	while ((port = list_first(&tgt->ports, struct tgt_port, link)))
		tgt_port_remove(f, port);
	tgt_subsys_remove_all(f, tgt);
	must(tgt->conn_count == 0);
	while (tgt->lane[TGT_LANE_ADMIN].fibers || tgt->lane[TGT_LANE_RESV].fibers)
		event_wait_always(f, &tgt->cmds_idle);
	tgt_free(f, tgt);
}

/* ---- figures ----------------------------------------------------------------------------- */

struct stats_call {
	struct tgt *tgt;
	struct tgt_stats *ret;
};

static int shard_stats(struct fiber *f, void *arg)
{
	const struct stats_call *call = arg;
	const struct tgt_shard *shard = call->tgt->shard[reactor_index(fiber_reactor(f))];
	struct tgt_stats *ret = call->ret;

	ret->faults += shard->faults;
	ret->timeouts += shard->timeouts;
	ret->commands += shard->commands;
	ret->data_waits += shard->data_waits;
	ret->data_bytes += shard->data.held_bytes + shard->capsule.held_bytes;
	ret->data_bytes_high += shard->data.held_high + shard->capsule.held_high;
	return 0;
}

int tgt_stats(struct fiber *f, struct tgt *tgt, struct tgt_stats *ret)
{
	struct tgt_stats stats = {
		.connections = tgt->conn_count,
		.accepted = tgt->accepted,
		.refused = tgt->refused,
		.controllers = tgt->discovery->ctrl_count,
	};
	struct stats_call call = { .tgt = tgt, .ret = &stats };
	const struct tgt_subsys *subsys;
	int r = 0;

	list_for_each(subsys, &tgt->subsystems, link)
		stats.controllers += subsys->ctrl_count;
	for (unsigned i = 0; i < tgt->shard_count && r == 0; i++)
		r = fiber_call_on(f, tgt->shard[i]->reactor, "nvmf-stats", shard_stats, &call);
	if (r == 0)
		*ret = stats;
	return r;
}
