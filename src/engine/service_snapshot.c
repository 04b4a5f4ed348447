// SPDX-License-Identifier: Apache-2.0
/* service_snapshot - mayastor.v1.SnapshotRpc. Snapshots across a nexus are not served yet. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <mayastor/v1/snapshot.pb-c.h>
#include <string.h>

#include "engine/service_priv.h"
#include "reactor/fiber.h"

#define NS_PER_S UINT64_C(1000000000)

static Google__Protobuf__Timestamp *time_of(struct reply *reply, uint64_t ns)
{
	Google__Protobuf__Timestamp *out = reply_new(reply, sizeof(*out));

	if (out) {
		google__protobuf__timestamp__init(out);
		out->seconds = (int64_t)(ns / NS_PER_S);
		out->nanos = (int32_t)(ns % NS_PER_S);
	}
	return out;
}

static Mayastor__V1__SnapshotInfo *info_of(struct reply *reply,
					   const struct engine_replica_info *info)
{
	Mayastor__V1__SnapshotInfo *out = reply_new(reply, sizeof(*out));

	if (!out)
		return NULL;
	mayastor__v1__snapshot_info__init(out);
	out->snapshot_uuid = reply_uuid(reply, &info->stat.uuid);
	out->snapshot_name = reply_text(reply, info->stat.name);
	out->snapshot_size = info->stat.allocated_bytes;
	out->num_clones = info->stat.clones;
	out->timestamp = time_of(reply, info->stat.wall_ns);
	out->source_uuid = reply_uuid(reply, &info->stat.parent_uuid);
	out->source_size = info->stat.size_bytes;
	out->pool_uuid = reply_uuid(reply, &info->pool->uuid);
	out->pool_name = reply_text(reply, info->pool->name);
	out->entity_id = reply_text(reply, info->entity);
	out->txn_id = reply_text(reply, info->txn);
	out->valid_snapshot = true;
	out->ready_as_source = !info->stat.discarded;
	out->referenced_bytes = info->stat.allocated_bytes;
	out->discarded_snapshot = info->stat.discarded;
	return reply->r < 0 ? NULL : out;
}

static int list_snapshot(void *ctx, const struct engine_replica_info *info)
{
	struct reply *reply = ctx;

	return reply_add(reply, info_of(reply, info));
}

static int create(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__CreateReplicaSnapshotRequest *ask = (const void *)in;
	Mayastor__V1__CreateReplicaSnapshotResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	const struct engine_snapshot_args args = { .replica = ask->replica_uuid,
						   .name = ask->snapshot_name,
						   .uuid = ask->snapshot_uuid,
						   .entity_id = ask->entity_id,
						   .txn_id = ask->txn_id };
	int r = engine_snapshot_create(f, rpc_call_ctx(call), &args, list_snapshot, &reply);

	answer->replica_uuid = ask->replica_uuid;
	if (r == 0)
		answer->snapshot = reply.list[0];
	return r;
}

struct listing {
	struct reply reply;
	const char *source, *snapshot;
	const Mayastor__V1__ListSnapshotsRequest__Query *query;
};

static int list_wanted(void *ctx, const struct engine_replica_info *info)
{
	struct listing *list = ctx;
	char text[UUID_TEXT_SIZE];

	if (info->stat.kind != REPLICA_SNAPSHOT)
		return 0;
	if (list->source &&
	    strcasecmp(list->source, uuid_print(&info->stat.parent_uuid, text)) != 0)
		return 0;
	if (list->snapshot && strcasecmp(list->snapshot, uuid_print(&info->stat.uuid, text)) != 0)
		return 0;
	if (list->query && list->query->opt_discarded_case &&
	    (list->query->discarded != 0) != info->stat.discarded)
		return 0;
	if (list->query && list->query->opt_invalid_case && list->query->invalid)
		return 0; /* ours are whole, or not there */
	return list_snapshot(&list->reply, info);
}

static int list(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListSnapshotsRequest *ask = (const void *)in;
	Mayastor__V1__ListSnapshotsResponse *answer = (void *)out;
	struct listing list = { .reply.mem = rpc_call_mem(call),
				.source = ask->opt_source_uuid_case ? ask->source_uuid : NULL,
				.snapshot = ask->opt_snapshot_uuid_case ? ask->snapshot_uuid : NULL,
				.query = ask->query };
	int r = engine_replica_each(f, rpc_call_ctx(call), NULL, list_wanted, &list);

	answer->snapshots = (Mayastor__V1__SnapshotInfo **)list.reply.list;
	answer->n_snapshots = list.reply.count;
	return r;
}

static int destroy(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__DestroySnapshotRequest *ask = (const void *)in;
	const char *pool = NULL;

	(void)out;
	if (ask->pool_case == MAYASTOR__V1__DESTROY_SNAPSHOT_REQUEST__POOL_POOL_NAME)
		pool = ask->pool_name;
	else if (ask->pool_case == MAYASTOR__V1__DESTROY_SNAPSHOT_REQUEST__POOL_POOL_UUID)
		pool = ask->pool_uuid;
	return engine_snapshot_destroy(f, rpc_call_ctx(call), ask->snapshot_uuid, pool);
}

/* ---- clones ------------------------------------------------------------------------------------------- */

static int list_replica(void *ctx, const struct engine_replica_info *info)
{
	struct reply *reply = ctx;

	return reply_add(reply, message_of_replica(reply, info));
}

static int create_clone(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			struct ProtobufCMessage *out)
{
	const Mayastor__V1__CreateSnapshotCloneRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_clone_create(f, rpc_call_ctx(call), ask->snapshot_uuid, ask->clone_name,
				    ask->clone_uuid, list_replica, &reply);

	if (r == 0)
		*(Mayastor__V1__Replica *)(void *)out = *(Mayastor__V1__Replica *)reply.list[0];
	return r;
}

static int list_clone(void *ctx, const struct engine_replica_info *info)
{
	struct listing *list = ctx;
	char text[UUID_TEXT_SIZE];

	if (info->stat.kind != REPLICA_CLONE)
		return 0;
	if (list->snapshot &&
	    strcasecmp(list->snapshot, uuid_print(&info->stat.parent_uuid, text)) != 0)
		return 0;
	return list_replica(&list->reply, info);
}

static int list_clones(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		       struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListSnapshotCloneRequest *ask = (const void *)in;
	Mayastor__V1__ListSnapshotCloneResponse *answer = (void *)out;
	struct listing list = { .reply.mem = rpc_call_mem(call),
				.snapshot = ask->opt_snapshot_uuid_case ? ask->snapshot_uuid :
									  NULL };
	int r = engine_replica_each(f, rpc_call_ctx(call), NULL, list_clone, &list);

	answer->replicas = (Mayastor__V1__Replica **)list.reply.list;
	answer->n_replicas = list.reply.count;
	return r;
}

static const struct rpc_method methods[] = {
	METHOD("CreateReplicaSnapshot", mayastor__v1__create_replica_snapshot_request,
	       mayastor__v1__create_replica_snapshot_response, create),
	METHOD_LATER("CreateNexusSnapshot", mayastor__v1__nexus_create_snapshot_request,
		     mayastor__v1__nexus_create_snapshot_response),
	METHOD_LOOK("ListSnapshot", mayastor__v1__list_snapshots_request,
		    mayastor__v1__list_snapshots_response, list),
	METHOD("DestroySnapshot", mayastor__v1__destroy_snapshot_request, google__protobuf__empty,
	       destroy),
	METHOD("CreateSnapshotClone", mayastor__v1__create_snapshot_clone_request,
	       mayastor__v1__replica, create_clone),
	METHOD_LOOK("ListSnapshotClone", mayastor__v1__list_snapshot_clone_request,
		    mayastor__v1__list_snapshot_clone_response, list_clones),
};

const struct rpc_service service_snapshot = {
	.name = "mayastor.v1.SnapshotRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
