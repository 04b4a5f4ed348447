// SPDX-License-Identifier: Apache-2.0
/* service_extra - mayastor.x1.NexusExtraRpc and PoolExtraRpc: what mayastor.v1 has no words for. */
#include <errno.h>
#include <mayastor/x1/nexus.pb-c.h>
#include <mayastor/x1/pool.pb-c.h>
#include <string.h>

#include "engine/service_priv.h"
#include "reactor/fiber.h"

/* ---- nexuses ------------------------------------------------------------------------------------- */

static Mayastor__X1__ChildDetail *child_of(struct reply *reply,
					   const struct engine_nexus_info *info, unsigned i)
{
	const struct nexus_child_info *child = &info->nexus.children[i];
	Mayastor__X1__ChildDetail *out = reply_new(reply, sizeof(*out));

	if (!out)
		return NULL;
	mayastor__x1__child_detail__init(out);
	out->uri = reply_text(reply, info->child_uris[i]);
	out->state = (char *)nexus_child_state_name(child->state);
	out->reason = reply_text(reply, child->reason);
	out->is_local = child->is_local;
	out->is_fenced = child->is_fenced;
	out->is_offline = child->is_offline;
	out->token = child->token;
	out->reads = child->reads;
	out->writes = child->writes;
	out->errors = child->errors;
	out->copied_bytes = child->copied_bytes;
	out->rebuilt_bytes = child->rebuild.recovered_bytes;
	out->rebuild_bytes = child->rebuild.total_bytes;
	return out;
}

static int nexus_detail(void *ctx, const struct engine_nexus_info *info)
{
	struct reply *reply = ctx, children = { .mem = reply->mem };
	Mayastor__X1__NexusDetail *out = reply_new(reply, sizeof(*out));
	Mayastor__X1__RebuildLimits *limits = reply_new(reply, sizeof(*limits));

	if (!out || !limits)
		return reply->r;
	mayastor__x1__nexus_detail__init(out);
	mayastor__x1__rebuild_limits__init(limits);
	for (unsigned i = 0; i < info->nexus.count; i++)
		reply_add(&children, child_of(reply, info, i));
	limits->bytes_per_s = info->nexus.rebuild_limit;
	out->limits = limits;
	out->children = (Mayastor__X1__ChildDetail **)children.list;
	out->n_children = children.count;
	out->name = reply_text(reply, info->name);
	out->uuid = reply_uuid(reply, &info->uuid);
	out->state = info->nexus.count ? (char *)nexus_state_name(info->nexus.state) :
					 (char *)"closed";
	out->epoch = info->nexus.epoch;
	out->resync_bytes = info->nexus.resync_bytes;
	out->activity_regions = info->nexus.al_active;
	out->activity_updates = info->nexus.al_updates;
	out->record_changes = info->nexus.changes;
	return reply_add(reply, out);
}

static int get_nexus(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		     struct ProtobufCMessage *out)
{
	const Mayastor__X1__NexusDetailRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r;

	if (!ask->nexus[0])
		return fiber_fail(f, -EINVAL, "the nexus's name is missing");
	r = engine_nexus_each(f, rpc_call_ctx(call), ask->nexus, nexus_detail, &reply);
	if (r == 0)
		*(Mayastor__X1__NexusDetail *)(void *)out =
			*(Mayastor__X1__NexusDetail *)reply.list[0];
	return r;
}

static int set_limits(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		      struct ProtobufCMessage *out)
{
	const Mayastor__X1__SetRebuildLimitsRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r;

	if (!ask->limits)
		return fiber_fail(f, -EINVAL, "the limits are missing");
	if (ask->limits->tasks)
		return fiber_fail(f, -EINVAL, "tasks are not limited yet: only bytes_per_s is");
	r = engine_nexus_limit(f, rpc_call_ctx(call), ask->nexus, ask->limits->bytes_per_s,
			       nexus_detail, &reply);
	if (r == 0)
		*(Mayastor__X1__RebuildLimits *)(void *)out =
			*((Mayastor__X1__NexusDetail *)reply.list[0])->limits;
	return r;
}

static const struct rpc_method nexus_methods[] = {
	METHOD_LOOK("GetNexusDetail", mayastor__x1__nexus_detail_request,
		    mayastor__x1__nexus_detail, get_nexus),
	METHOD("SetRebuildLimits", mayastor__x1__set_rebuild_limits_request,
	       mayastor__x1__rebuild_limits, set_limits),
};

const struct rpc_service service_nexus_extra = {
	.name = "mayastor.x1.NexusExtraRpc",
	.methods = nexus_methods,
	.method_count = ARRAY_LEN(nexus_methods),
};

/* ---- pools ------------------------------------------------------------------------------------------ */

static int pool_detail(void *ctx, const struct engine_pool_info *info)
{
	static const char *const states[] = {
		[POOL_ONLINE] = "online", [POOL_READ_ONLY] = "read-only", [POOL_FAULTED] = "faulted"
	};
	struct reply *reply = ctx;
	const struct pool_info *pool = &info->pool;
	Mayastor__X1__PoolDetail *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__x1__pool_detail__init(out);
	out->name = reply_text(reply, pool->name);
	out->uuid = reply_uuid(reply, &pool->uuid);
	out->state = (char *)states[pool->state];
	out->why = reply_text(reply, pool->why);
	out->disks = reply_texts(reply, info->disks, info->disk_count);
	out->n_disks = info->disk_count;
	out->capacity_bytes = pool->capacity_bytes;
	out->used_bytes = pool->used_bytes;
	out->metadata_bytes = pool->metadata_bytes;
	out->reserved_bytes = pool->reserved_bytes;
	out->committed_bytes = pool->committed_bytes;
	out->overcommit_percent = pool->overcommit_percent;
	out->replicas = pool->replicas;
	out->snapshots = pool->snapshots;
	out->reaping = pool->reaping;
	out->commits = pool->txg;
	out->incarnation = pool->incarnation;
	return reply_add(reply, out);
}

static int get_pool(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		    struct ProtobufCMessage *out)
{
	const Mayastor__X1__PoolDetailRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_pool_show(f, rpc_call_ctx(call), ask->pool, pool_detail, &reply);

	if (r == 0)
		*(Mayastor__X1__PoolDetail *)(void *)out =
			*(Mayastor__X1__PoolDetail *)reply.list[0];
	return r;
}

/* Lines while it looks, in memory: saying one does not suspend. */
static void check_line(void *ctx, const char *line)
{
	struct reply *reply = ctx;
	Mayastor__X1__CheckPoolResponse *out = reply_new(reply, sizeof(*out));

	if (!out)
		return;
	mayastor__x1__check_pool_response__init(out);
	out->line = reply_text(reply, line);
	(void)reply_add(reply, out->line ? out : NULL);
}

static int check_disks(struct fiber *f, struct reply *reply,
		       const Mayastor__X1__CheckPoolRequest *ask, struct pool_check_result *result)
{
	char **uris = reply_new(reply, (ask->n_disks + 1) * sizeof(*uris));
	int r;

	if (ask->n_disks == 0 || ask->n_disks > ENGINE_DISKS_MAX)
		return fiber_fail(f, -EINVAL, "%zu disks are given, expected 1 to %u", ask->n_disks,
				  ENGINE_DISKS_MAX);
	for (size_t i = 0; uris && i < ask->n_disks; i++) {
		uris[i] = engine_disk_uri(reply->mem, ask->disks[i]);
		if (!uris[i])
			reply->r = -ENOMEM;
	}
	if (reply->r < 0)
		return fiber_fail(f, reply->r, "no memory");
	r = pool_check(f, (const char *const *)uris, (unsigned)ask->n_disks, check_line, reply,
		       result);
	return r == -ENOMSG ? -ENOENT : r; /* no pool there */
}

static int check_pool(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		      struct ProtobufCMessage *out)
{
	Mayastor__X1__CheckPoolResponse last = MAYASTOR__X1__CHECK_POOL_RESPONSE__INIT;
	struct reply reply = { .mem = rpc_call_mem(call) };
	struct pool_check_result result = { 0 };
	int r = check_disks(f, &reply, (const void *)in, &result);

	(void)out;
	for (size_t i = 0; i < reply.count && r == 0; i++)
		r = rpc_call_send(f, call, reply.list[i]);
	last.done = true;
	last.objects = result.objects;
	last.pages = result.pages;
	last.clusters = result.clusters;
	last.errors = result.errors;
	last.leaked_clusters = result.leaked_clusters;
	last.leaked_pages = result.leaked_pages;
	last.lost_bytes = result.lost_bytes;
	return r < 0 ? r : rpc_call_send(f, call, (const void *)&last);
}

static int add_disk(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		    struct ProtobufCMessage *out)
{
	const Mayastor__X1__AddDiskRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_pool_add_disk(f, rpc_call_ctx(call), ask->pool, ask->disk, ask->force,
				     pool_detail, &reply);

	if (r == 0)
		*(Mayastor__X1__PoolDetail *)(void *)out =
			*(Mayastor__X1__PoolDetail *)reply.list[0];
	return r;
}

static const struct rpc_method pool_methods[] = {
	METHOD("AddDisk", mayastor__x1__add_disk_request, mayastor__x1__pool_detail, add_disk),
	METHOD_LOOK("GetPoolDetail", mayastor__x1__pool_detail_request, mayastor__x1__pool_detail,
		    get_pool),
	{ .name = "CheckPool",
	  .in = &mayastor__x1__check_pool_request__descriptor,
	  .out = &mayastor__x1__check_pool_response__descriptor,
	  .handle = check_pool,
	  .streams = true },
};

const struct rpc_service service_pool_extra = {
	.name = "mayastor.x1.PoolExtraRpc",
	.methods = pool_methods,
	.method_count = ARRAY_LEN(pool_methods),
};
