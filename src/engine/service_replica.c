// SPDX-License-Identifier: Apache-2.0
/* service_replica - mayastor.v1.ReplicaRpc. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <mayastor/v1/replica.pb-c.h>
#include <string.h>

#include "engine/service_priv.h"
#include "reactor/fiber.h"

static Mayastor__V1__ReplicaSpaceUsage *usage_of(struct reply *reply,
						 const struct engine_replica_info *info)
{
	Mayastor__V1__ReplicaSpaceUsage *out = reply_new(reply, sizeof(*out));
	uint64_t cluster = info->pool->cluster_bytes;

	if (!out)
		return NULL;
	mayastor__v1__replica_space_usage__init(out);
	out->capacity_bytes = info->stat.size_bytes;
	out->allocated_bytes = info->stat.thick ? info->stat.size_bytes :
						  info->stat.allocated_bytes;
	out->cluster_size = cluster;
	out->num_clusters = info->stat.size_bytes / cluster;
	out->num_allocated_clusters = out->allocated_bytes / cluster;
	return out;
}

static void fill(struct reply *reply, Mayastor__V1__Replica *out,
		 const struct engine_replica_info *info)
{
	out->name = reply_text(reply, info->stat.name);
	out->uuid = reply_uuid(reply, &info->stat.uuid);
	out->pooluuid = reply_uuid(reply, &info->pool->uuid);
	out->poolname = reply_text(reply, info->pool->name);
	out->size = info->stat.size_bytes;
	out->thin = !info->stat.thick;
	out->share = info->stat.shared ? MAYASTOR__V1__SHARE_PROTOCOL__NVMF :
					 MAYASTOR__V1__SHARE_PROTOCOL__NONE;
	out->uri = reply_text(reply, info->uri);
	out->usage = usage_of(reply, info);
	out->allowed_hosts = reply_texts(reply, info->hosts, info->host_count);
	out->n_allowed_hosts = info->host_count;
	out->is_snapshot = info->stat.kind == REPLICA_SNAPSHOT;
	out->is_clone = info->stat.kind == REPLICA_CLONE;
	if (out->is_clone) {
		out->snapshot_uuid = reply_uuid(reply, &info->stat.parent_uuid);
		out->opt_snapshot_uuid_case =
			MAYASTOR__V1__REPLICA__OPT_SNAPSHOT_UUID_SNAPSHOT_UUID;
	}
	if (info->entity[0]) {
		out->entity_id = reply_text(reply, info->entity);
		out->opt_entity_id_case = MAYASTOR__V1__REPLICA__OPT_ENTITY_ID_ENTITY_ID;
	}
}

struct Mayastor__V1__Replica *message_of_replica(struct reply *reply,
						 const struct engine_replica_info *info)
{
	Mayastor__V1__Replica *out = reply_new(reply, sizeof(*out));

	if (out) {
		mayastor__v1__replica__init(out);
		fill(reply, out, info);
	}
	return reply->r < 0 ? NULL : out;
}

static int list_one(void *ctx, const struct engine_replica_info *info)
{
	struct reply *reply = ctx;

	return reply_add(reply, message_of_replica(reply, info));
}

static int one(struct reply *reply, int r, Mayastor__V1__Replica *out)
{
	if (r == 0 && reply->count > 0)
		*out = *(Mayastor__V1__Replica *)reply->list[reply->count - 1];
	return r;
}

static int create(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__CreateReplicaRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	struct engine_replica_args args = {
		.name = ask->name,
		.uuid = ask->uuid,
		.pool = ask->pooluuid,
		.size_bytes = ask->size,
		.thin = ask->thin,
		.hosts = (const char *const *)ask->allowed_hosts,
		.host_count = (unsigned)ask->n_allowed_hosts,
		.entity_id = ask->opt_entity_id_case ? ask->entity_id : NULL,
	};
	int r = share_protocol(f, (int)ask->share, &args.share);

	if (r == 0)
		r = engine_replica_create(f, rpc_call_ctx(call), &args, list_one, &reply);
	return one(&reply, r, (void *)out);
}

static int destroy(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__DestroyReplicaRequest *ask = (const void *)in;
	const char *pool = NULL;

	(void)out;
	if (ask->pool_case == MAYASTOR__V1__DESTROY_REPLICA_REQUEST__POOL_POOL_NAME)
		pool = ask->pool_name;
	else if (ask->pool_case == MAYASTOR__V1__DESTROY_REPLICA_REQUEST__POOL_POOL_UUID)
		pool = ask->pool_uuid;
	return engine_replica_destroy(f, rpc_call_ctx(call), ask->uuid, pool);
}

static int share(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		 struct ProtobufCMessage *out)
{
	const Mayastor__V1__ShareReplicaRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	bool is_share;
	int r = share_protocol(f, (int)ask->share, &is_share);

	if (r == 0 && !is_share)
		r = fiber_fail(f, -EINVAL, "share protocol NONE: UnshareReplica ends a share");
	if (r == 0)
		r = engine_replica_share(f, rpc_call_ctx(call), ask->uuid,
					 (const char *const *)ask->allowed_hosts,
					 (unsigned)ask->n_allowed_hosts, list_one, &reply);
	return one(&reply, r, (void *)out);
}

static int unshare(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__UnshareReplicaRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_replica_unshare(f, rpc_call_ctx(call), ask->uuid, list_one, &reply);

	return one(&reply, r, (void *)out);
}

static int resize(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__ResizeReplicaRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_replica_resize(f, rpc_call_ctx(call), ask->uuid, ask->requested_size,
				      list_one, &reply);

	return one(&reply, r, (void *)out);
}

static int set_entity(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		      struct ProtobufCMessage *out)
{
	const Mayastor__V1__SetReplicaEntityIdRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_replica_set_entity(f, rpc_call_ctx(call), ask->uuid, ask->entity_id,
					  list_one, &reply);

	return one(&reply, r, (void *)out);
}

struct listing {
	struct reply reply;
	const Mayastor__V1__ListReplicaOptions *ask;
};

static bool kind_is_wanted(const Mayastor__V1__ListReplicaOptions__Query *query,
			   enum replica_kind kind)
{
	bool any = query && (query->replica || query->snapshot || query->clone);

	switch (kind) {
	case REPLICA_SNAPSHOT:
		return any && query->snapshot;
	case REPLICA_CLONE:
		return !any || query->clone;
	default:
		return !any || query->replica;
	}
}

static int list_wanted(void *ctx, const struct engine_replica_info *info)
{
	struct listing *list = ctx;
	const char *name = value_of(list->ask->name), *uuid = value_of(list->ask->uuid);
	const char *pool = value_of(list->ask->pooluuid);
	char text[UUID_TEXT_SIZE];

	if (!kind_is_wanted(list->ask->query, info->stat.kind))
		return 0;
	if (name && strcmp(name, info->stat.name) != 0)
		return 0;
	if (uuid && strcasecmp(uuid, uuid_print(&info->stat.uuid, text)) != 0)
		return 0;
	if (pool && strcasecmp(pool, uuid_print(&info->pool->uuid, text)) != 0)
		return 0;
	return list_one(&list->reply, info);
}

static bool type_is_wanted(const Mayastor__V1__ListReplicaOptions *ask)
{
	for (size_t i = 0; i < ask->n_pooltypes; i++)
		if (ask->pooltypes[i] == MAYASTOR__V1__POOL_TYPE__Lvs)
			return true;
	return ask->n_pooltypes == 0;
}

static int list(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListReplicaOptions *ask = (const void *)in;
	Mayastor__V1__ListReplicasResponse *answer = (void *)out;
	struct listing list = { .reply.mem = rpc_call_mem(call), .ask = ask };
	int r = 0;

	if (type_is_wanted(ask))
		r = engine_replica_each(f, rpc_call_ctx(call), value_of(ask->poolname), list_wanted,
					&list);
	answer->replicas = (Mayastor__V1__Replica **)list.reply.list;
	answer->n_replicas = list.reply.count;
	return r;
}

static const struct rpc_method methods[] = {
	METHOD("CreateReplica", mayastor__v1__create_replica_request, mayastor__v1__replica,
	       create),
	METHOD("DestroyReplica", mayastor__v1__destroy_replica_request, google__protobuf__empty,
	       destroy),
	METHOD_LOOK("ListReplicas", mayastor__v1__list_replica_options,
		    mayastor__v1__list_replicas_response, list),
	METHOD("ShareReplica", mayastor__v1__share_replica_request, mayastor__v1__replica, share),
	METHOD("UnshareReplica", mayastor__v1__unshare_replica_request, mayastor__v1__replica,
	       unshare),
	METHOD("ResizeReplica", mayastor__v1__resize_replica_request, mayastor__v1__replica,
	       resize),
	METHOD("SetReplicaEntityId", mayastor__v1__set_replica_entity_id_request,
	       mayastor__v1__replica, set_entity),
};

const struct rpc_service service_replica = {
	.name = "mayastor.v1.ReplicaRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
