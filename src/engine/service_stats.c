// SPDX-License-Identifier: Apache-2.0
/* service_stats - mayastor.v1.StatsRpc. Ticks are nanoseconds. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <mayastor/v1/stats.pb-c.h>
#include <string.h>

#include "base/hist.h"
#include "engine/service_priv.h"
#include "reactor/fiber.h"

#define TICK_RATE UINT64_C(1000000000)

static void latency(const struct engine_figures *figures, enum bio_op op, uint64_t *sum,
		    uint64_t *min, uint64_t *max)
{
	*sum = figures->stats.op[op].busy_ns;
	if (!figures->hist || figures->stats.op[op].ops == 0)
		return;
	*min = hist_min(&figures->hist[op]);
	*max = hist_max(&figures->hist[op]);
}

static void fill(struct reply *reply, Mayastor__V1__IoStats *out,
		 const struct engine_figures *figures)
{
	const struct bdev_op_stats *op = figures->stats.op;
	uint64_t block = figures->block_size;

	out->name = reply_text(reply, figures->name);
	out->uuid = reply_uuid(reply, &figures->uuid);
	out->num_read_ops = op[BIO_READ].ops;
	out->bytes_read = op[BIO_READ].blocks * block;
	out->num_write_ops = op[BIO_WRITE].ops;
	out->bytes_written = op[BIO_WRITE].blocks * block;
	out->num_unmap_ops = op[BIO_UNMAP].ops;
	out->bytes_unmapped = op[BIO_UNMAP].blocks * block;
	out->tick_rate = TICK_RATE;
	latency(figures, BIO_READ, &out->read_latency_ticks, &out->min_read_latency_ticks,
		&out->max_read_latency_ticks);
	latency(figures, BIO_WRITE, &out->write_latency_ticks, &out->min_write_latency_ticks,
		&out->max_write_latency_ticks);
	latency(figures, BIO_UNMAP, &out->unmap_latency_ticks, &out->min_unmap_latency_ticks,
		&out->max_unmap_latency_ticks);
}

static Mayastor__V1__IoStats *stats_of(struct reply *reply, const struct engine_figures *figures)
{
	Mayastor__V1__IoStats *out = reply_new(reply, sizeof(*out));

	if (out) {
		mayastor__v1__io_stats__init(out);
		fill(reply, out, figures);
	}
	return reply->r < 0 ? NULL : out;
}

static int list_one(void *ctx, const struct engine_figures *figures)
{
	struct reply *reply = ctx;

	return reply_add(reply, stats_of(reply, figures));
}

static int list_replica(void *ctx, const struct engine_figures *figures)
{
	struct reply *reply = ctx;
	Mayastor__V1__ReplicaIoStats *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__v1__replica_io_stats__init(out);
	out->stats = stats_of(reply, figures);
	if (figures->entity_id && figures->entity_id[0]) {
		out->entity_id = reply_text(reply, figures->entity_id);
		out->opt_entity_id_case = MAYASTOR__V1__REPLICA_IO_STATS__OPT_ENTITY_ID_ENTITY_ID;
	}
	return reply_add(reply, out);
}

static int stats(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		 enum engine_kind kind, struct reply *reply)
{
	const Mayastor__V1__ListStatsOption *ask = (const void *)in;

	*reply = (struct reply){ .mem = rpc_call_mem(call) };
	return engine_figures_each(f, rpc_call_ctx(call), kind,
				   ask->opt_name_case ? ask->name : NULL,
				   kind == ENGINE_REPLICAS ? list_replica : list_one, reply);
}

static int pools(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		 struct ProtobufCMessage *out)
{
	Mayastor__V1__PoolIoStatsResponse *answer = (void *)out;
	struct reply reply;
	int r = stats(f, call, in, ENGINE_POOLS, &reply);

	answer->stats = (Mayastor__V1__IoStats **)reply.list;
	answer->n_stats = reply.count;
	return r;
}

static int nexuses(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	Mayastor__V1__NexusIoStatsResponse *answer = (void *)out;
	struct reply reply;
	int r = stats(f, call, in, ENGINE_NEXUSES, &reply);

	answer->stats = (Mayastor__V1__IoStats **)reply.list;
	answer->n_stats = reply.count;
	return r;
}

static int replicas(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		    struct ProtobufCMessage *out)
{
	Mayastor__V1__ReplicaIoStatsResponse *answer = (void *)out;
	struct reply reply;
	int r = stats(f, call, in, ENGINE_REPLICAS, &reply);

	answer->stats = (Mayastor__V1__ReplicaIoStats **)reply.list;
	answer->n_stats = reply.count;
	return r;
}

static int reset(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		 struct ProtobufCMessage *out)
{
	(void)in;
	(void)out;
	return engine_figures_reset(f, rpc_call_ctx(call));
}

static const struct rpc_method methods[] = {
	METHOD_LOOK("GetPoolIoStats", mayastor__v1__list_stats_option,
		    mayastor__v1__pool_io_stats_response, pools),
	METHOD_LOOK("GetNexusIoStats", mayastor__v1__list_stats_option,
		    mayastor__v1__nexus_io_stats_response, nexuses),
	METHOD_LOOK("GetReplicaIoStats", mayastor__v1__list_stats_option,
		    mayastor__v1__replica_io_stats_response, replicas),
	METHOD("ResetIoStats", google__protobuf__empty, google__protobuf__empty, reset),
};

const struct rpc_service service_stats = {
	.name = "mayastor.v1.StatsRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
