// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_node - mayactl node ..., stats ...: the node itself, and what it has done.
 */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <mayastor/v1/host.pb-c.h>
#include <mayastor/v1/stats.pb-c.h>
#include <mayastor/x1/latency.pb-c.h>

#include "base/cursor.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

static const ProtobufCServiceDescriptor *const host = &mayastor__v1__host_rpc__descriptor;
static const ProtobufCServiceDescriptor *const stats = &mayastor__v1__stats_rpc__descriptor;
static const ProtobufCServiceDescriptor *const latency = &mayastor__x1__latency_rpc__descriptor;

/* ---- the node -------------------------------------------------------------------------------- */

static const struct ctl_column info_columns[] = {
	{ .head = "node", .path = "registration_info.id" },
	{ .head = "version", .path = "version" },
	{ .head = "endpoint", .path = "registration_info.grpc_endpoint" },
	{ .head = "instance", .path = "registration_info.instance_uuid.value" },
	{ .head = "host NQN", .path = "registration_info.hostnqn.value" },
	{ .head = "API", .path = "registration_info.api_version" },
};

static const struct ctl_table info_table = { info_columns, ARRAY_LEN(info_columns), NULL, "" };

static const struct ctl_column usage_columns[] = {
	{ .head = "soft faults", .path = "soft_faults" },
	{ .head = "hard faults", .path = "hard_faults" },
	{ .head = "blocks read", .path = "in_block_ops" },
	{ .head = "written", .path = "out_block_ops" },
	{ .head = "switches", .path = "vol_csw" },
	{ .head = "preemptions", .path = "invol_csw" },
};

static const struct ctl_table usage_table = { usage_columns, ARRAY_LEN(usage_columns), NULL, "" };

static const struct ctl_column controller_columns[] = {
	{ .head = "NAME", .path = "name" },
	{ .head = "STATE", .path = "state", .kind = CTL_WORD },
	{ .head = "SIZE", .path = "size", .kind = CTL_BYTES },
	{ .head = "BLOCK", .path = "blk_size", .kind = CTL_COUNT },
};

static const struct ctl_table controller_table = { controller_columns,
						   ARRAY_LEN(controller_columns), NULL,
						   "no controllers" };

static int node_show(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, host, "GetMayastorInfo");

	return ctl_show(f, &call, "", &info_table);
}

static int node_usage(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, host, "GetMayastorResourceUsage");

	return ctl_show(f, &call, "usage", &usage_table);
}

static int node_controllers(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, host, "ListNvmeControllers");

	return ctl_list(f, &call, "controllers", &controller_table);
}

const struct ctl_verb ctl_node_verbs[] = {
	{ "node", "show", "", 0, 0, false, "who it is, and its version", node_show },
	{ "node", "usage", "", 0, 0, false, "what it has used", node_usage },
	{ "node", "controllers", "", 0, 0, true, "NVMe controllers elsewhere that it uses",
	  node_controllers },
	{ 0 },
};

/* ---- what was read and written ----------------------------------------------------------------- */

static const struct ctl_column stats_columns[] = {
	{ .head = "NAME", .path = "name" },
	{ .head = "READS", .path = "num_read_ops", .kind = CTL_COUNT },
	{ .head = "READ", .path = "bytes_read", .kind = CTL_BYTES },
	{ .head = "EACH", .path = "read_latency_ticks", .kind = CTL_NS_EACH, .of = "num_read_ops" },
	{ .head = "WRITES", .path = "num_write_ops", .kind = CTL_COUNT },
	{ .head = "WRITTEN", .path = "bytes_written", .kind = CTL_BYTES },
	{ .head = "EACH",
	  .path = "write_latency_ticks",
	  .kind = CTL_NS_EACH,
	  .of = "num_write_ops" },
	{ .head = "UNMAPS", .path = "num_unmap_ops", .kind = CTL_COUNT, .is_wide = true },
	{ .head = "UNMAPPED", .path = "bytes_unmapped", .kind = CTL_BYTES, .is_wide = true },
	{ .head = "UUID", .path = "uuid", .is_wide = true },
};

static const struct ctl_column replica_columns[] = {
	{ .head = "NAME", .path = "stats.name" },
	{ .head = "READS", .path = "stats.num_read_ops", .kind = CTL_COUNT },
	{ .head = "READ", .path = "stats.bytes_read", .kind = CTL_BYTES },
	{ .head = "EACH",
	  .path = "stats.read_latency_ticks",
	  .kind = CTL_NS_EACH,
	  .of = "stats.num_read_ops" },
	{ .head = "WRITES", .path = "stats.num_write_ops", .kind = CTL_COUNT },
	{ .head = "WRITTEN", .path = "stats.bytes_written", .kind = CTL_BYTES },
	{ .head = "EACH",
	  .path = "stats.write_latency_ticks",
	  .kind = CTL_NS_EACH,
	  .of = "stats.num_write_ops" },
	{ .head = "UNMAPS", .path = "stats.num_unmap_ops", .kind = CTL_COUNT, .is_wide = true },
	{ .head = "UNMAPPED", .path = "stats.bytes_unmapped", .kind = CTL_BYTES, .is_wide = true },
	{ .head = "UUID", .path = "stats.uuid", .is_wide = true },
};

static const struct ctl_column latency_columns[] = {
	{ .head = "HOP", .path = "hop" },
	{ .head = "DISK", .path = "bdev" },
	{ .head = "OF", .path = "of" },
	{ .head = "OP", .path = "op" },
	{ .head = "COUNT", .path = "count", .kind = CTL_COUNT },
	{ .head = "EACH", .path = "sum_ns", .kind = CTL_NS_EACH, .of = "count" },
	{ .head = "P50", .path = "p50_ns", .kind = CTL_NS },
	{ .head = "P99", .path = "p99_ns", .kind = CTL_NS },
	{ .head = "MAX", .path = "max_ns", .kind = CTL_NS },
};

static const struct ctl_table stats_table = { stats_columns, ARRAY_LEN(stats_columns), NULL,
					      "nothing there" };
static const struct ctl_table replica_table = { replica_columns, ARRAY_LEN(replica_columns), NULL,
						"no replicas" };
static const struct ctl_table latency_table = { latency_columns, ARRAY_LEN(latency_columns), NULL,
						"no requests so far" };

static int stats_of(struct fiber *f, struct ctl *ctl, const char *method,
		    const struct ctl_table *table)
{
	struct ctl_call call = ctl_call(ctl, stats, method);

	if (ctl->operand_count)
		ctl_set_text(&call, "name", ctl->operands[0]);
	return ctl_list(f, &call, "stats", table);
}

static int stats_pool(struct fiber *f, struct ctl *ctl)
{
	return stats_of(f, ctl, "GetPoolIoStats", &stats_table);
}

static int stats_nexus(struct fiber *f, struct ctl *ctl)
{
	return stats_of(f, ctl, "GetNexusIoStats", &stats_table);
}

static int stats_replica(struct fiber *f, struct ctl *ctl)
{
	return stats_of(f, ctl, "GetReplicaIoStats", &replica_table);
}

static int stats_reset(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, stats, "ResetIoStats");

	return ctl_do(f, &call, "counters begin at 0");
}

static int stats_latency(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, latency, "GetLatency");

	if (ctl->operand_count)
		ctl_set_text(&call, "bdev", ctl->operands[0]);
	return ctl_list(f, &call, "histograms", &latency_table);
}

const struct ctl_verb ctl_stats_verbs[] = {
	{ "stats", "pool", "[POOL]", 0, 0, true, "what pools have read and written", stats_pool },
	{ "stats", "replica", "[REPLICA]", 0, 0, true, "replicas", stats_replica },
	{ "stats", "nexus", "[NEXUS]", 0, 0, true, "nexuses", stats_nexus },
	{ "stats", "latency", "[DISK]", 0, 0, true,
	  "how long requests took, at each hop on their way down", stats_latency },
	{ "stats", "reset", "", 0, 0, false, "begin at 0", stats_reset },
	{ 0 },
};
