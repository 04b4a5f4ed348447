// SPDX-License-Identifier: Apache-2.0
/*
 * metrics - the node's figures for Prometheus. See metrics.h.
 *
 * Each list is walked once; metrics_text.c sorts the samples by family.
 */
#include "engine/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/engine_priv.h"
#include "engine/metrics_text.h"
#include "engine/version.h"
#include "http/http.h"
#include "reactor/fiber.h"
#include "rpc/rpc.h"

#define US 1000u

/* The families of requests of one kind of thing, in the order of io_add(). */
enum { READ_OPS, READ_BYTES, READ_US, WRITE_OPS, WRITE_BYTES, WRITE_US, IO_FAMILIES };

enum family {
	NODE_ONLINE,
	BUILD_INFO,
	POOL_STATUS,
	POOL_TOTAL,
	POOL_USED,
	POOL_COMMITTED,
	POOL_DISKS,
	POOL_ERRORS,
	POOL_IO,
	REPLICA_IO = POOL_IO + IO_FAMILIES,
	VOLUME_IO = REPLICA_IO + IO_FAMILIES,
	POOL_METADATA = VOLUME_IO + IO_FAMILIES,
	POOL_RESERVED,
	POOL_REPLICAS,
	POOL_SNAPSHOTS,
	POOL_COMMITS,
	REPLICA_SIZE,
	REPLICA_ALLOCATED,
	NEXUS_STATE,
	NEXUS_SIZE,
	NEXUS_EPOCH,
	NEXUS_CHANGES,
	NEXUS_REBUILDS,
	NEXUS_ACTIVE,
	CHILD_STATE,
	CHILD_ERRORS,
	CHILD_COPIED,
	CHILD_REMAINING,
	CHILD_MISSED,
	IO_LATENCY,
	IO_ERRORS,
	EVENTS_TOTAL,
	EVENTS_WATCHERS,
	GRPC_CONNS,
	GRPC_CALLS,
	GRPC_NOW,
	GRPC_MEMORY,
	FAMILIES
};

#define IO_FAMILY(base, prefix)                                                                   \
	[(base) + READ_OPS] = { prefix "_num_read_ops", "Reads that have ended", METRICS_GAUGE }, \
		  [(base) + READ_BYTES] = { prefix "_bytes_read", "Bytes read", METRICS_GAUGE },  \
		  [(base) + READ_US] = { prefix "_read_latency_us",                               \
					 "Time that reads took, together", METRICS_GAUGE },       \
		  [(base) + WRITE_OPS] = { prefix "_num_write_ops", "Writes that have ended",     \
					   METRICS_GAUGE },                                       \
		  [(base) + WRITE_BYTES] = { prefix "_bytes_written", "Bytes written",            \
					     METRICS_GAUGE },                                     \
		  [(base) + WRITE_US] = { prefix "_write_latency_us",                             \
					  "Time that writes took, together", METRICS_GAUGE }

/* ME2: the published ones are gauges, counters included. Ours are mayastor_..., in base units. */
static const struct metrics_family families[FAMILIES] = {
	[NODE_ONLINE] = { "mayastor_node_online", "1: the node answers", METRICS_GAUGE },
	[BUILD_INFO] = { "mayastor_build_info", "What runs here", METRICS_GAUGE },
	[POOL_STATUS] = { "diskpool_status", "0 unknown, 1 online, 2 degraded, 3 faulted",
			  METRICS_GAUGE },
	[POOL_TOTAL] = { "diskpool_total_size_bytes", "Bytes of the pool", METRICS_GAUGE },
	[POOL_USED] = { "diskpool_used_size_bytes", "Bytes of it that are used", METRICS_GAUGE },
	[POOL_COMMITTED] = { "diskpool_committed_size_bytes", "Bytes that replicas may grow to",
			     METRICS_GAUGE },
	[POOL_DISKS] = { "diskpool_disk_capacity_bytes", "Bytes of its disks", METRICS_GAUGE },
	[POOL_ERRORS] = { "diskpool_io_error_count", "Requests to its disks that failed",
			  METRICS_GAUGE },
	IO_FAMILY(POOL_IO, "diskpool"),
	IO_FAMILY(REPLICA_IO, "replica"),
	IO_FAMILY(VOLUME_IO, "volume"),
	[POOL_METADATA] = { "mayastor_pool_metadata_bytes", "Bytes of metadata", METRICS_GAUGE },
	[POOL_RESERVED] = { "mayastor_pool_reserved_bytes",
			    "Bytes kept for metadata and thick replicas", METRICS_GAUGE },
	[POOL_REPLICAS] = { "mayastor_pool_replicas", "Replicas and clones", METRICS_GAUGE },
	[POOL_SNAPSHOTS] = { "mayastor_pool_snapshots", "Snapshots", METRICS_GAUGE },
	[POOL_COMMITS] = { "mayastor_pool_commits_total", "Transactions, since the pool was made",
			   METRICS_COUNTER },
	[REPLICA_SIZE] = { "mayastor_replica_size_bytes", "Bytes of the replica", METRICS_GAUGE },
	[REPLICA_ALLOCATED] = { "mayastor_replica_allocated_bytes", "Bytes that have space",
				METRICS_GAUGE },
	[NEXUS_STATE] = { "mayastor_nexus_state", "1: the nexus is in this state", METRICS_GAUGE },
	[NEXUS_SIZE] = { "mayastor_nexus_size_bytes", "Bytes of the nexus", METRICS_GAUGE },
	[NEXUS_EPOCH] = { "mayastor_nexus_epoch", "Number of the ownership", METRICS_GAUGE },
	[NEXUS_CHANGES] = { "mayastor_nexus_record_changes_total",
			    "Changes of the volume's record, since it was opened",
			    METRICS_COUNTER },
	[NEXUS_REBUILDS] = { "mayastor_nexus_rebuilds", "Rebuilds under way", METRICS_GAUGE },
	[NEXUS_ACTIVE] = { "mayastor_nexus_active_regions", "Regions of the activity log in use",
			   METRICS_GAUGE },
	[CHILD_STATE] = { "mayastor_child_state", "1: the child is in this state", METRICS_GAUGE },
	[CHILD_ERRORS] = { "mayastor_child_errors_total", "Requests to the child that failed",
			   METRICS_COUNTER },
	[CHILD_COPIED] = { "mayastor_child_copied_bytes_total", "Bytes that rebuilds wrote to it",
			   METRICS_COUNTER },
	[CHILD_REMAINING] = { "mayastor_child_rebuild_remaining_bytes",
			      "Bytes that its rebuild has yet to look at", METRICS_GAUGE },
	[CHILD_MISSED] = { "mayastor_child_missed_bytes", "Bytes it missed while it was away",
			   METRICS_GAUGE },
	[IO_LATENCY] = { "mayastor_io_latency_seconds", "Time that requests took, at each hop",
			 METRICS_HISTOGRAM },
	[IO_ERRORS] = { "mayastor_io_errors_total", "Requests that failed, at each hop",
			METRICS_COUNTER },
	[EVENTS_TOTAL] = { "mayastor_events_total", "Events since the node started",
			   METRICS_COUNTER },
	[EVENTS_WATCHERS] = { "mayastor_event_watchers", "Watchers of events", METRICS_GAUGE },
	[GRPC_CONNS] = { "mayastor_grpc_connections", "Connections of gRPC clients",
			 METRICS_GAUGE },
	[GRPC_CALLS] = { "mayastor_grpc_calls_total", "Calls answered, by status",
			 METRICS_COUNTER },
	[GRPC_NOW] = { "mayastor_grpc_calls_in_flight", "Calls under way", METRICS_GAUGE },
	[GRPC_MEMORY] = { "mayastor_grpc_memory_bytes", "Bytes of requests and replies",
			  METRICS_GAUGE },
};

struct metrics_server {
	struct engine *e;
	const struct rpc_server *rpc;
	struct http_server *http;
};

struct scrape {
	struct engine *e;
	struct metrics *m;
	const char *node;
	enum engine_kind kind; /* whose figures are being told */
};

/* ---- pools -------------------------------------------------------------------------------------- */

static int pool_status(enum pool_state state)
{
	return state == POOL_ONLINE ? 1 : state == POOL_READ_ONLY ? 2 : 3;
}

static int pool_add(void *ctx, const struct engine_pool_info *info)
{
	struct scrape *scrape = ctx;
	const struct pool_info *pool = &info->pool;
	struct metrics *m = scrape->m;

	metrics_labels(m, "node", scrape->node, "name", pool->name);
	metrics_add(m, POOL_STATUS, (uint64_t)pool_status(pool->state));
	if (pool->state == POOL_FAULTED && !pool->capacity_bytes)
		return 0; /* away: nothing else is known */
	metrics_add(m, POOL_TOTAL, pool->capacity_bytes);
	metrics_add(m, POOL_USED, pool->used_bytes);
	metrics_add(m, POOL_COMMITTED, pool->committed_bytes);
	metrics_add(m, POOL_DISKS, info->disk_bytes);
	metrics_add(m, POOL_METADATA, pool->metadata_bytes);
	metrics_add(m, POOL_RESERVED, pool->reserved_bytes);
	metrics_add(m, POOL_REPLICAS, pool->replicas);
	metrics_add(m, POOL_SNAPSHOTS, pool->snapshots);
	metrics_add(m, POOL_COMMITS, pool->txg);
	return 0;
}

/* ---- nexuses --------------------------------------------------------------------------------------- */

static void child_add(struct scrape *scrape, const struct engine_nexus_info *info, unsigned i)
{
	const struct nexus_child_info *child = &info->nexus.children[i];
	const char *uri = info->child_uris[i];
	struct metrics *m = scrape->m;

	metrics_labels(m, "node", scrape->node, "nexus", info->name, "name", uri, "state",
		       nexus_child_state_name(child->state));
	metrics_add(m, CHILD_STATE, 1);
	metrics_labels(m, "node", scrape->node, "nexus", info->name, "name", uri);
	metrics_add(m, CHILD_ERRORS, child->errors);
	metrics_add(m, CHILD_COPIED, child->copied_bytes);
	metrics_add(m, CHILD_REMAINING, child->rebuild.remaining_bytes);
	metrics_add(m, CHILD_MISSED, child->missed_bytes);
}

static int nexus_add(void *ctx, const struct engine_nexus_info *info)
{
	static const char *const states[] = {
		[ENGINE_NEXUS_UNKNOWN] = "unknown",
		[ENGINE_NEXUS_ONLINE] = "online",
		[ENGINE_NEXUS_DEGRADED] = "degraded",
		[ENGINE_NEXUS_FAULTED] = "faulted",
		[ENGINE_NEXUS_SHUTTING_DOWN] = "shutting-down",
		[ENGINE_NEXUS_SHUTDOWN] = "shutdown",
	};
	struct scrape *scrape = ctx;
	struct metrics *m = scrape->m;

	metrics_labels(m, "node", scrape->node, "name", info->name, "state", states[info->state]);
	metrics_add(m, NEXUS_STATE, 1);
	metrics_labels(m, "node", scrape->node, "name", info->name);
	metrics_add(m, NEXUS_SIZE, info->size_bytes);
	metrics_add(m, NEXUS_REBUILDS, info->rebuilds);
	if (!info->nexus.count)
		return 0; /* not open */
	metrics_add(m, NEXUS_EPOCH, info->nexus.epoch);
	metrics_add(m, NEXUS_CHANGES, info->nexus.changes);
	metrics_add(m, NEXUS_ACTIVE, info->nexus.al_active);
	for (unsigned i = 0; i < info->nexus.count; i++)
		child_add(scrape, info, i);
	return 0;
}

/* ---- requests ----------------------------------------------------------------------------------------- */

static void io_add(struct metrics *m, unsigned base, const struct engine_figures *figures)
{
	const struct bdev_op_stats *read = &figures->stats.op[BIO_READ],
				   *write = &figures->stats.op[BIO_WRITE];

	metrics_add(m, base + READ_OPS, read->ops);
	metrics_add(m, base + READ_BYTES, read->blocks * figures->block_size);
	metrics_add(m, base + READ_US, read->busy_ns / US);
	metrics_add(m, base + WRITE_OPS, write->ops);
	metrics_add(m, base + WRITE_BYTES, write->blocks * figures->block_size);
	metrics_add(m, base + WRITE_US, write->busy_ns / US);
}

static void replica_add(struct scrape *scrape, const struct engine_figures *figures)
{
	const struct engine_replica_info *info = figures->replica;
	char uuid[UUID_TEXT_SIZE], pv[sizeof("pvc-") + sizeof(info->entity)] = "";

	if (info->entity[0])
		snprintf(pv, sizeof(pv), "pvc-%s", info->entity);
	metrics_labels(scrape->m, "node", scrape->node, "name", figures->name, "pv_name", pv,
		       "pool_name", figures->of, "pool_uuid", uuid_print(&info->pool->uuid, uuid));
	io_add(scrape->m, REPLICA_IO, figures);
	metrics_add(scrape->m, REPLICA_SIZE, info->stat.size_bytes);
	metrics_add(scrape->m, REPLICA_ALLOCATED, info->stat.allocated_bytes);
}

static void published_add(struct scrape *scrape, const struct engine_figures *figures)
{
	char pv[sizeof("pvc-") + VOLUME_NAME_MAX];
	uint64_t errors = 0;

	switch (scrape->kind) {
	case ENGINE_POOLS:
		metrics_labels(scrape->m, "node", scrape->node, "name", figures->name);
		io_add(scrape->m, POOL_IO, figures);
		for (unsigned op = 0; op < BIO_OPS; op++)
			errors += figures->stats.op[op].errors;
		metrics_add(scrape->m, POOL_ERRORS, errors);
		return;
	case ENGINE_REPLICAS:
		replica_add(scrape, figures);
		return;
	case ENGINE_NEXUSES:
		snprintf(pv, sizeof(pv), "pvc-%s", figures->name);
		metrics_labels(scrape->m, "node", scrape->node, "pv_name", pv);
		io_add(scrape->m, VOLUME_IO, figures);
		return;
	case ENGINE_CHILDREN:
		return;
	}
}

/* Operations that never came are not told: most disks see few kinds of them. */
static int figures_add(void *ctx, const struct engine_figures *figures)
{
	static const char *const hops[] = { "disk", "replica", "nexus", "child" };
	struct scrape *scrape = ctx;
	const char *of = figures->of ? figures->of : "";

	published_add(scrape, figures);
	for (unsigned op = 0; figures->hist && op < BIO_OPS; op++) {
		if (!figures->hist[op].count)
			continue;
		metrics_labels(scrape->m, "node", scrape->node, "hop", hops[scrape->kind], "name",
			       figures->name, "of", of, "op", bio_op_name((enum bio_op)op));
		metrics_add_hist(scrape->m, IO_LATENCY, &figures->hist[op]);
		metrics_add(scrape->m, IO_ERRORS, figures->stats.op[op].errors);
	}
	return 0;
}

/* ---- the node itself ----------------------------------------------------------------------------------- */

static void rpc_add(struct scrape *scrape, const struct rpc_server *rpc)
{
	struct rpc_server_stats stats;

	if (!rpc)
		return;
	rpc_server_stats(rpc, &stats);
	metrics_labels(scrape->m, "node", scrape->node);
	metrics_add(scrape->m, GRPC_CONNS, stats.conns_now);
	metrics_add(scrape->m, GRPC_NOW, stats.calls_now);
	metrics_add(scrape->m, GRPC_MEMORY, stats.memory_bytes);
	for (unsigned code = 0; code < RPC_CODES; code++) {
		metrics_labels(scrape->m, "node", scrape->node, "code",
			       rpc_code_name((enum rpc_code)code));
		metrics_add(scrape->m, GRPC_CALLS, stats.codes[code]);
	}
}

static void node_add(struct scrape *scrape)
{
	struct events_stats events;

	metrics_labels(scrape->m, "node_id", scrape->node);
	metrics_add(scrape->m, NODE_ONLINE, 1);
	metrics_labels(scrape->m, "node", scrape->node, "version", MAYASTOR_VERSION);
	metrics_add(scrape->m, BUILD_INFO, 1);
	events_stats(scrape->e->events, &events);
	metrics_labels(scrape->m, "node", scrape->node);
	metrics_add(scrape->m, EVENTS_WATCHERS, events.watchers);
	for (unsigned kind = 0; kind < EVENTS_KINDS; kind++) {
		metrics_labels(scrape->m, "node", scrape->node, "kind",
			       events_kind_name((enum events_kind)kind));
		metrics_add(scrape->m, EVENTS_TOTAL, events.added[kind]);
	}
}

/* ---- a scrape ----------------------------------------------------------------------------------------------- */

static int scrape_all(struct fiber *f, struct scrape *scrape, const struct rpc_server *rpc)
{
	int r;

	node_add(scrape);
	rpc_add(scrape, rpc);
	r = engine_pool_each(scrape->e, pool_add, scrape);
	if (r == 0)
		r = engine_nexus_each(f, scrape->e, NULL, nexus_add, scrape);
	for (int kind = ENGINE_POOLS; kind <= ENGINE_CHILDREN && r == 0; kind++) {
		scrape->kind = (enum engine_kind)kind;
		r = engine_figures_now(f, scrape->e, scrape->kind, figures_add, scrape);
	}
	return r;
}

static int scrape_answer(struct fiber *f, void *ctx, char **ret_text, size_t *ret_len)
{
	const struct metrics_server *server = ctx;
	struct scrape scrape = { .e = server->e,
				 .node = engine_opts_of(server->e)->node_name,
				 .m = metrics_new(server->e->io->mem, families, FAMILIES) };
	int r;

	if (!scrape.m)
		return fiber_fail(f, -ENOMEM, "no memory for the metrics");
	r = scrape_all(f, &scrape, server->rpc);
	if (r == 0)
		r = metrics_finish(f, scrape.m, ret_text, ret_len);
	metrics_free(scrape.m);
	return r;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static const struct http_route routes[] = { { "/metrics", METRICS_TYPE, scrape_answer } };

int metrics_start(struct fiber *f, struct engine *e, const struct rpc_server *rpc,
		  const struct io_addr *addr, struct io_addr *ret_addr, struct metrics_server **ret)
{
	struct metrics_server *server = mem_new(fiber_io(f), sizeof(*server));
	int r;

	if (!server)
		return fiber_fail(f, -ENOMEM, "no memory");
	server->e = e;
	server->rpc = rpc;
	r = http_server_new(f, routes, ARRAY_LEN(routes), server, &server->http);
	if (r == 0) {
		r = http_server_listen(f, server->http, addr, ret_addr);
		if (r < 0)
			http_server_free(f, server->http);
	}
	if (r < 0)
		mem_free(server);
	else
		*ret = server;
	return r;
}

void metrics_stop(struct fiber *f, struct metrics_server *server)
{
	http_server_free(f, server->http);
	mem_free(server);
}
