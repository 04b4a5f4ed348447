// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_replica - mayactl replica ..., mayactl snapshot ...
 */
#include <errno.h>
#include <mayastor/v1/replica.pb-c.h>
#include <mayastor/v1/snapshot.pb-c.h>
#include <string.h>

#include "base/cursor.h"
#include "base/uuid.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

static const ProtobufCServiceDescriptor *const service = &mayastor__v1__replica_rpc__descriptor;
static const ProtobufCServiceDescriptor *const snaps = &mayastor__v1__snapshot_rpc__descriptor;

static const struct ctl_column replica_columns[] = {
	{ .head = "NAME", .path = "name" },
	{ .head = "POOL", .path = "poolname" },
	{ .head = "SIZE", .path = "size", .kind = CTL_BYTES },
	{ .head = "ALLOCATED", .path = "usage.allocated_bytes", .kind = CTL_BYTES },
	{ .head = "THIN", .path = "thin", .kind = CTL_YES },
	{ .head = "SHARE", .path = "share", .kind = CTL_WORD },
	{ .head = "CLONE", .path = "is_clone", .kind = CTL_YES, .is_wide = true },
	{ .head = "SNAPSHOT", .path = "is_snapshot", .kind = CTL_YES, .is_wide = true },
	{ .head = "ENTITY", .path = "entity_id", .is_wide = true },
	{ .head = "HOSTS", .path = "allowed_hosts", .is_wide = true },
	{ .head = "UUID", .path = "uuid" },
	{ .head = "URI", .path = "uri" },
};

static const struct ctl_table replicas = { replica_columns, ARRAY_LEN(replica_columns), NULL,
					   "no replicas" };

static const struct ctl_column snapshot_columns[] = {
	{ .head = "NAME", .path = "snapshot_name" },
	{ .head = "POOL", .path = "pool_name" },
	{ .head = "SIZE", .path = "snapshot_size", .kind = CTL_BYTES },
	{ .head = "REFERENCED", .path = "referenced_bytes", .kind = CTL_BYTES },
	{ .head = "CLONES", .path = "num_clones", .kind = CTL_COUNT },
	{ .head = "TAKEN", .path = "timestamp" },
	{ .head = "DISCARDED", .path = "discarded_snapshot", .kind = CTL_YES, .is_wide = true },
	{ .head = "ENTITY", .path = "entity_id", .is_wide = true },
	{ .head = "UUID", .path = "snapshot_uuid" },
	{ .head = "OF", .path = "source_uuid" },
};

static const struct ctl_table snapshots = { snapshot_columns, ARRAY_LEN(snapshot_columns), NULL,
					    "no snapshots" };

/* --share nvmf|none: as in enum ShareProtocol. */
static int share_value(struct fiber *f, const struct ctl *ctl, uint64_t *ret)
{
	const char *text = ctl_value(ctl, CTL_SHARE);

	*ret = MAYASTOR__V1__SHARE_PROTOCOL__NONE;
	if (!text || strcmp(text, "none") == 0)
		return 0;
	*ret = MAYASTOR__V1__SHARE_PROTOCOL__NVMF;
	if (strcmp(text, "nvmf") == 0)
		return 0;
	return fiber_fail(f, -EINVAL, "--share is '%s', expected nvmf or none", text);
}

static void set_pool(struct ctl_call *call)
{
	const char *pool = ctl_value(call->ctl, CTL_POOL);
	struct uuid uuid;

	if (pool)
		ctl_set_text(call, uuid_parse(pool, &uuid) == 0 ? "pool_uuid" : "pool_name", pool);
}

/* ---- replicas ------------------------------------------------------------------------------ */

static int list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "ListReplicas");
	const char *name = ctl->operand_count ? ctl->operands[0] : NULL;
	const char *pool = ctl_value(ctl, CTL_POOL);
	struct uuid uuid;

	if (name)
		ctl_set_text(&call, uuid_parse(name, &uuid) == 0 ? "uuid" : "name", name);
	if (pool)
		ctl_set_text(&call, uuid_parse(pool, &uuid) == 0 ? "pooluuid" : "poolname", pool);
	return ctl_list(f, &call, "replicas", &replicas);
}

static int create(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "CreateReplica");
	const char *uuid = ctl_value(ctl, CTL_UUID);
	uint64_t size, share;

	TRY(ctl_size(f, "--size", ctl_value(ctl, CTL_SIZE), &size));
	TRY(share_value(f, ctl, &share));
	ctl_set_text(&call, "name", ctl->operands[0]);
	ctl_set_text(&call, "uuid", uuid ? uuid : ctl_new_uuid(f, ctl));
	ctl_set_text(&call, "pooluuid", ctl_value(ctl, CTL_POOL));
	ctl_set(&call, "size", size);
	ctl_set(&call, "thin", !ctl_given(ctl, CTL_THICK));
	ctl_set(&call, "share", share);
	ctl_set_values(&call, "allowed_hosts", CTL_ALLOW);
	ctl_set_text(&call, "entity_id", ctl_value(ctl, CTL_ENTITY));
	return ctl_show(f, &call, "", &replicas);
}

static int destroy(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "DestroyReplica");

	ctl_set_text(&call, "uuid", ctl->operands[0]);
	set_pool(&call);
	return ctl_do(f, &call, "replica '%s' destroyed", ctl->operands[0]);
}

static int share(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "ShareReplica");

	ctl_set_text(&call, "uuid", ctl->operands[0]);
	ctl_set(&call, "share", MAYASTOR__V1__SHARE_PROTOCOL__NVMF);
	ctl_set_values(&call, "allowed_hosts", CTL_ALLOW);
	return ctl_show(f, &call, "", &replicas);
}

static int unshare(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "UnshareReplica");

	ctl_set_text(&call, "uuid", ctl->operands[0]);
	return ctl_do(f, &call, "replica '%s' is not shared any more", ctl->operands[0]);
}

static int resize(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "ResizeReplica");
	uint64_t size;

	TRY(ctl_size(f, "SIZE", ctl->operands[1], &size));
	ctl_set_text(&call, "uuid", ctl->operands[0]);
	ctl_set(&call, "requested_size", size);
	return ctl_show(f, &call, "", &replicas);
}

static int entity(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "SetReplicaEntityId");

	ctl_set_text(&call, "uuid", ctl->operands[0]);
	ctl_set_text(&call, "entity_id", ctl->operands[1]);
	return ctl_show(f, &call, "", &replicas);
}

const struct ctl_verb ctl_replica_verbs[] = {
	{ "replica", "list", "[REPLICA]", CTL_BIT(CTL_POOL), 0, true,
	  "replicas, and how to reach them", list },
	{ "replica", "create", "NAME",
	  CTL_BIT(CTL_POOL) | CTL_BIT(CTL_SIZE) | CTL_BIT(CTL_UUID) | CTL_BIT(CTL_THICK) |
		  CTL_BIT(CTL_SHARE) | CTL_BIT(CTL_ALLOW) | CTL_BIT(CTL_ENTITY),
	  CTL_BIT(CTL_POOL) | CTL_BIT(CTL_SIZE), false, "thin, if nothing else is said", create },
	{ "replica", "share", "REPLICA", CTL_BIT(CTL_ALLOW), 0, false, "over NVMe/TCP", share },
	{ "replica", "unshare", "REPLICA", 0, 0, false, "its hosts are disconnected", unshare },
	{ "replica", "resize", "REPLICA SIZE", 0, 0, false, "grow it", resize },
	{ "replica", "entity", "REPLICA ID", 0, 0, false, "say whose it is", entity },
	{ "replica", "destroy", "REPLICA", CTL_BIT(CTL_POOL), 0, false,
	  "its data are gone, its snapshots stay", destroy },
	{ 0 },
};

/* ---- snapshots ------------------------------------------------------------------------------- */

static int snapshot_list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, snaps, "ListSnapshot");

	ctl_set_text(&call, "source_uuid", ctl_value(ctl, CTL_REPLICA));
	if (ctl->operand_count)
		ctl_set_text(&call, "snapshot_uuid", ctl->operands[0]);
	return ctl_list(f, &call, "snapshots", &snapshots);
}

static int snapshot_create(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, snaps, "CreateReplicaSnapshot");
	const char *uuid = ctl_value(ctl, CTL_UUID);

	uuid = uuid ? uuid : ctl_new_uuid(f, ctl);
	ctl_set_text(&call, "replica_uuid", ctl->operands[0]);
	ctl_set_text(&call, "snapshot_name", ctl->operands[1]);
	ctl_set_text(&call, "snapshot_uuid", uuid);
	ctl_set_text(&call, "entity_id", ctl_value(ctl, CTL_ENTITY));
	ctl_set_text(&call, "txn_id", uuid ? uuid + 24 : NULL); /* its last part: a few bytes */
	return ctl_show(f, &call, "snapshot", &snapshots);
}

static int snapshot_destroy(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, snaps, "DestroySnapshot");

	ctl_set_text(&call, "snapshot_uuid", ctl->operands[0]);
	set_pool(&call);
	return ctl_do(f, &call, "snapshot '%s' destroyed", ctl->operands[0]);
}

static int snapshot_clone(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, snaps, "CreateSnapshotClone");
	const char *uuid = ctl_value(ctl, CTL_UUID);

	ctl_set_text(&call, "snapshot_uuid", ctl->operands[0]);
	ctl_set_text(&call, "clone_name", ctl->operands[1]);
	ctl_set_text(&call, "clone_uuid", uuid ? uuid : ctl_new_uuid(f, ctl));
	return ctl_show(f, &call, "", &replicas);
}

static int snapshot_clones(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, snaps, "ListSnapshotClone");

	if (ctl->operand_count)
		ctl_set_text(&call, "snapshot_uuid", ctl->operands[0]);
	return ctl_list(f, &call, "replicas", &replicas);
}

const struct ctl_verb ctl_snapshot_verbs[] = {
	{ "snapshot", "list", "[SNAPSHOT]", CTL_BIT(CTL_REPLICA), 0, true,
	  "snapshots and what they hold", snapshot_list },
	{ "snapshot", "create", "REPLICA NAME", CTL_BIT(CTL_UUID) | CTL_BIT(CTL_ENTITY), 0, false,
	  "of a replica as it is now", snapshot_create },
	{ "snapshot", "clone", "SNAPSHOT NAME", CTL_BIT(CTL_UUID), 0, false,
	  "a replica that begins as the snapshot", snapshot_clone },
	{ "snapshot", "clones", "[SNAPSHOT]", 0, 0, true, "replicas that began as snapshots",
	  snapshot_clones },
	{ "snapshot", "destroy", "SNAPSHOT", CTL_BIT(CTL_POOL), 0, false,
	  "when its last clone is gone, if it has any", snapshot_destroy },
	{ 0 },
};
