// SPDX-License-Identifier: Apache-2.0
/* service_pool - mayastor.v1.PoolRpc. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <mayastor/v1/pool.pb-c.h>
#include <string.h>

#include "engine/service_priv.h"
#include "reactor/fiber.h"

static int state_of(const struct pool_info *info)
{
	switch (info->state) {
	case POOL_ONLINE:
		return MAYASTOR__V1__POOL_STATE__POOL_ONLINE;
	case POOL_READ_ONLY:
		return MAYASTOR__V1__POOL_STATE__POOL_DEGRADED;
	default:
		return MAYASTOR__V1__POOL_STATE__POOL_FAULTED;
	}
}

static void fill(struct reply *reply, Mayastor__V1__Pool *out, const struct engine_pool_info *info)
{
	const struct pool_info *pool = &info->pool;
	Mayastor__V1__PoolMetadataInfo *md = reply_new(reply, sizeof(*md));

	out->uuid = reply_uuid(reply, &pool->uuid);
	out->name = reply_text(reply, pool->name);
	out->disks = reply_texts(reply, info->disks, info->disk_count);
	out->n_disks = info->disk_count;
	out->state = state_of(pool);
	out->capacity = pool->capacity_bytes;
	out->used = pool->used_bytes;
	out->committed = pool->committed_bytes;
	out->cluster_size = pool->cluster_bytes;
	out->disk_capacity = info->disk_bytes;
	if (!md || !pool->cluster_bytes)
		return;
	mayastor__v1__pool_metadata_info__init(md);
	md->md_page_size = pool->cluster_bytes;
	md->md_used_pages = pool->metadata_bytes / pool->cluster_bytes;
	md->md_pages = (pool->metadata_bytes + pool->reserved_bytes) / pool->cluster_bytes;
	out->md_info = md;
	out->opt_md_info_case = MAYASTOR__V1__POOL__OPT_MD_INFO_MD_INFO;
}

struct Mayastor__V1__Pool *message_of_pool(struct reply *reply, const struct engine_pool_info *info)
{
	Mayastor__V1__Pool *out = reply_new(reply, sizeof(*out));

	if (out) {
		mayastor__v1__pool__init(out);
		fill(reply, out, info);
	}
	return reply->r < 0 ? NULL : out;
}

static int list_one(void *ctx, const struct engine_pool_info *info)
{
	struct reply *reply = ctx;

	return reply_add(reply, message_of_pool(reply, info));
}

/* The one pool that a function told of: the last. */
static int one(struct reply *reply, int r, Mayastor__V1__Pool *out)
{
	if (r == 0 && reply->count > 0)
		*out = *(Mayastor__V1__Pool *)reply->list[reply->count - 1];
	return r;
}

static int check_type(struct fiber *f, int type)
{
	return type == MAYASTOR__V1__POOL_TYPE__Lvs ?
		       0 :
		       fiber_fail(f, -EINVAL, "pool type %d: only Lvs (0) is offered", type);
}

/* NULL or "": any. */
static int uuid_given(struct fiber *f, const char *text, struct uuid *room, const struct uuid **ret)
{
	*ret = NULL;
	if (!text || !text[0])
		return 0;
	if (uuid_parse(text, room) < 0)
		return fiber_fail(f, -EINVAL, "uuid is '%.64s', expected a uuid", text);
	*ret = room;
	return 0;
}

static int create(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__CreatePoolRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	struct engine_pool_args args = { .name = ask->name,
					 .disks = (const char *const *)ask->disks,
					 .disk_count = (unsigned)ask->n_disks };
	struct uuid uuid;
	int r = check_type(f, (int)ask->pooltype);

	if (ask->opt_cluster_size_case)
		args.cluster_bytes = ask->cluster_size;
	if (r == 0)
		r = uuid_given(f, value_of(ask->uuid), &uuid, &args.uuid);
	if (r == 0)
		r = engine_pool_create(f, rpc_call_ctx(call), &args, list_one, &reply);
	return one(&reply, r, (void *)out);
}

static int import(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__ImportPoolRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	struct engine_pool_args args = { .name = ask->name,
					 .disks = (const char *const *)ask->disks,
					 .disk_count = (unsigned)ask->n_disks };
	struct uuid uuid;
	int r = check_type(f, (int)ask->pooltype);

	if (r == 0)
		r = uuid_given(f, value_of(ask->uuid), &uuid, &args.uuid);
	if (r == 0)
		r = engine_pool_import(f, rpc_call_ctx(call), &args, list_one, &reply);
	return one(&reply, r, (void *)out);
}

static int destroy(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__DestroyPoolRequest *ask = (const void *)in;

	(void)out;
	return engine_pool_destroy(f, rpc_call_ctx(call), ask->name, value_of(ask->uuid));
}

static int export(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__ExportPoolRequest *ask = (const void *)in;

	(void)out;
	return engine_pool_export(f, rpc_call_ctx(call), ask->name, value_of(ask->uuid));
}

struct listing {
	struct reply reply;
	const char *name, *uuid;
};

static int list_wanted(void *ctx, const struct engine_pool_info *info)
{
	struct listing *list = ctx;
	char uuid[UUID_TEXT_SIZE];

	if (list->name && strcmp(list->name, info->pool.name) != 0)
		return 0;
	if (list->uuid && strcasecmp(list->uuid, uuid_print(&info->pool.uuid, uuid)) != 0)
		return 0;
	return list_one(&list->reply, info);
}

static int list(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListPoolOptions *ask = (const void *)in;
	Mayastor__V1__ListPoolsResponse *answer = (void *)out;
	struct listing list = { .reply.mem = rpc_call_mem(call),
				.name = value_of(ask->name),
				.uuid = value_of(ask->uuid) };
	int r = 0;

	(void)f;
	if (!ask->pooltype || ask->pooltype->value == MAYASTOR__V1__POOL_TYPE__Lvs)
		r = engine_pool_each(rpc_call_ctx(call), list_wanted, &list);
	answer->pools = (Mayastor__V1__Pool **)list.reply.list;
	answer->n_pools = list.reply.count;
	return r;
}

static int grow(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	const Mayastor__V1__GrowPoolRequest *ask = (const void *)in;
	Mayastor__V1__GrowPoolResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_pool_grow(f, rpc_call_ctx(call), ask->name, value_of(ask->uuid), list_one,
				 &reply);

	if (r == 0) {
		answer->previous_pool = reply.list[0];
		answer->current_pool = reply.list[1];
	}
	return r;
}

static const struct rpc_method methods[] = {
	METHOD("CreatePool", mayastor__v1__create_pool_request, mayastor__v1__pool, create),
	METHOD("DestroyPool", mayastor__v1__destroy_pool_request, google__protobuf__empty, destroy),
	METHOD("ExportPool", mayastor__v1__export_pool_request, google__protobuf__empty, export),
	METHOD("ImportPool", mayastor__v1__import_pool_request, mayastor__v1__pool, import),
	METHOD_LOOK("ListPools", mayastor__v1__list_pool_options, mayastor__v1__list_pools_response,
		    list),
	METHOD("GrowPool", mayastor__v1__grow_pool_request, mayastor__v1__grow_pool_response, grow),
};

const struct rpc_service service_pool = {
	.name = "mayastor.v1.PoolRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
