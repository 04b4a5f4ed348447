// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_pool - mayactl pool ...
 */
#include <mayastor/v1/pool.pb-c.h>
#include <mayastor/x1/pool.pb-c.h>
#include <string.h>

#include "base/cursor.h"
#include "base/uuid.h"
#include "bin/mayactl/ctl.h"

static const ProtobufCServiceDescriptor *const service = &mayastor__v1__pool_rpc__descriptor;
static const ProtobufCServiceDescriptor *const extra = &mayastor__x1__pool_extra_rpc__descriptor;

static const struct ctl_column columns[] = {
	{ .head = "NAME", .path = "name" },
	{ .head = "STATE", .path = "state", .kind = CTL_WORD, .strip = "POOL_" },
	{ .head = "CAPACITY", .path = "capacity", .kind = CTL_BYTES },
	{ .head = "USED", .path = "used", .kind = CTL_BYTES },
	{ .head = "USED %", .path = "used", .kind = CTL_SHARE_OF, .of = "capacity" },
	{ .head = "COMMITTED", .path = "committed", .kind = CTL_BYTES },
	{ .head = "CLUSTER", .path = "cluster_size", .kind = CTL_BYTES, .is_wide = true },
	{ .head = "ON DISKS", .path = "disk_capacity", .kind = CTL_BYTES, .is_wide = true },
	{ .head = "UUID", .path = "uuid", .is_wide = true },
	{ .head = "DISKS", .path = "disks" },
};

static const struct ctl_table pools = { columns, ARRAY_LEN(columns), NULL, "no pools" };

static const struct ctl_column detail_columns[] = {
	{ .head = "name", .path = "name" },
	{ .head = "uuid", .path = "uuid" },
	{ .head = "state", .path = "state" },
	{ .head = "why", .path = "why" },
	{ .head = "disks", .path = "disks" },
	{ .head = "capacity", .path = "capacity_bytes", .kind = CTL_BYTES },
	{ .head = "used", .path = "used_bytes", .kind = CTL_BYTES },
	{ .head = "metadata", .path = "metadata_bytes", .kind = CTL_BYTES },
	{ .head = "reserved", .path = "reserved_bytes", .kind = CTL_BYTES },
	{ .head = "committed", .path = "committed_bytes", .kind = CTL_BYTES },
	{ .head = "may commit", .path = "overcommit_percent" },
	{ .head = "replicas", .path = "replicas" },
	{ .head = "snapshots", .path = "snapshots" },
	{ .head = "reaping", .path = "reaping", .kind = CTL_YES },
	{ .head = "commits", .path = "commits" },
	{ .head = "incarnation", .path = "incarnation" },
};

static const struct ctl_table detail = { detail_columns, ARRAY_LEN(detail_columns), NULL, "" };

/* By name or UUID. */
static void set_pool(struct ctl_call *call, const char *text)
{
	struct uuid uuid;

	ctl_set_text(call, uuid_parse(text, &uuid) == 0 ? "uuid" : "name", text);
}

static int list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "ListPools");

	if (ctl->operand_count)
		set_pool(&call, ctl->operands[0]);
	return ctl_list(f, &call, "pools", &pools);
}

static int show(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, extra, "GetPoolDetail");

	ctl_set_text(&call, "pool", ctl->operands[0]);
	return ctl_show(f, &call, "", &detail);
}

static void set_new(struct ctl_call *call)
{
	struct ctl *ctl = call->ctl;

	ctl_set_text(call, "name", ctl->operands[0]);
	ctl_set_text(call, "uuid", ctl_value(ctl, CTL_UUID));
	ctl_set_texts(call, "disks", ctl->operands + 1, ctl->operand_count - 1);
}

static int create(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "CreatePool");
	uint64_t cluster;

	set_new(&call);
	if (ctl_given(ctl, CTL_CLUSTER)) {
		TRY(ctl_size(f, "--cluster", ctl_value(ctl, CTL_CLUSTER), &cluster));
		ctl_set(&call, "cluster_size", cluster > INT32_MAX ? INT32_MAX : cluster);
	}
	return ctl_do(f, &call, "pool '%s' created", ctl->operands[0]);
}

static int import(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "ImportPool");

	set_new(&call);
	return ctl_do(f, &call, "pool '%s' imported", ctl->operands[0]);
}

static int on_pool(struct fiber *f, struct ctl *ctl, const char *method, const char *done)
{
	struct ctl_call call = ctl_call(ctl, service, method);

	ctl_set_text(&call, "name", ctl->operands[0]);
	ctl_set_text(&call, "uuid", ctl_value(ctl, CTL_UUID));
	return ctl_do(f, &call, "pool '%s' %s", ctl->operands[0], done);
}

static int destroy(struct fiber *f, struct ctl *ctl)
{
	return on_pool(f, ctl, "DestroyPool", "destroyed");
}

static int export(struct fiber *f, struct ctl *ctl)
{
	return on_pool(f, ctl, "ExportPool", "exported");
}

static int grow(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "GrowPool");

	ctl_set_text(&call, "name", ctl->operands[0]);
	ctl_set_text(&call, "uuid", ctl_value(ctl, CTL_UUID));
	return ctl_show(f, &call, "current_pool", &pools);
}

static int add_disk(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, extra, "AddDisk");

	ctl_set_text(&call, "pool", ctl->operands[0]);
	ctl_set_text(&call, "disk", ctl->operands[1]);
	ctl_set(&call, "force", ctl_given(ctl, CTL_FORCE));
	return ctl_show(f, &call, "", &detail);
}

/* ---- check ------------------------------------------------------------------------------- */

static int check_line(struct ctl *ctl, struct json_object *message)
{
	const char *line = ctl_json_text(message, "line");

	if (ctl_json_u64(message, "errors"))
		ctl->exit = CTL_FOUND;
	if (ctl->format == CTL_JSON)
		ctl_json_line(message);
	else if (*line)
		puts(line);
	if (ctl->format != CTL_JSON && ctl_json_u64(message, "done"))
		snprintf(ctl->line, sizeof(ctl->line),
			 "%llu objects, %llu pages, %llu clusters: %llu errors",
			 (unsigned long long)ctl_json_u64(message, "objects"),
			 (unsigned long long)ctl_json_u64(message, "pages"),
			 (unsigned long long)ctl_json_u64(message, "clusters"),
			 (unsigned long long)ctl_json_u64(message, "errors"));
	return 0;
}

static int check(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, extra, "CheckPool");

	ctl_set_texts(&call, "disks", ctl->operands, ctl->operand_count);
	TRY(ctl_follow(f, &call, check_line));
	ctl->shape = ctl->format == CTL_JSON ? CTL_NOTHING : CTL_LINE;
	return 0;
}

const struct ctl_verb ctl_pool_verbs[] = {
	{ "pool", "list", "[POOL]", 0, 0, true, "pools and how full they are", list },
	{ "pool", "show", "POOL", 0, 0, false, "all that is known of one", show },
	{ "pool", "create", "NAME DISK...", CTL_BIT(CTL_UUID) | CTL_BIT(CTL_CLUSTER), 0, false,
	  "of blank disks: paths or URIs", create },
	{ "pool", "import", "NAME DISK...", CTL_BIT(CTL_UUID), 0, false,
	  "that the disks bear already", import },
	{ "pool", "export", "NAME", CTL_BIT(CTL_UUID), 0, false,
	  "let it go; its data stay on the disks", export },
	{ "pool", "grow", "NAME", CTL_BIT(CTL_UUID), 0, false, "by what its disks have grown",
	  grow },
	{ "pool", "add-disk", "POOL DISK", CTL_BIT(CTL_FORCE), 0, false, "one more disk for it",
	  add_disk },
	{ "pool", "check", "DISK...", 0, 0, false,
	  "verify every page of a pool that is not imported", check },
	{ "pool", "destroy", "NAME", CTL_BIT(CTL_UUID), 0, false, "an empty one; its disks are blank then",
	  destroy },
	{ 0 },
};
