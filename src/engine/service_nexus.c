// SPDX-License-Identifier: Apache-2.0
/* service_nexus - mayastor.v1.NexusRpc: nexuses and their children. Rebuilds: service_rebuild.c. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <mayastor/v1/nexus.pb-c.h>
#include <string.h>

#include "engine/service_rebuild_priv.h"
#include "reactor/fiber.h"

/* ---- a nexus as a message ------------------------------------------------------------------------ */

static int state_of(enum engine_nexus_state state)
{
	static const int states[] = {
		[ENGINE_NEXUS_UNKNOWN] = MAYASTOR__V1__NEXUS_STATE__NEXUS_UNKNOWN,
		[ENGINE_NEXUS_ONLINE] = MAYASTOR__V1__NEXUS_STATE__NEXUS_ONLINE,
		[ENGINE_NEXUS_DEGRADED] = MAYASTOR__V1__NEXUS_STATE__NEXUS_DEGRADED,
		[ENGINE_NEXUS_FAULTED] = MAYASTOR__V1__NEXUS_STATE__NEXUS_FAULTED,
		[ENGINE_NEXUS_SHUTTING_DOWN] = MAYASTOR__V1__NEXUS_STATE__NEXUS_SHUTTING_DOWN,
		[ENGINE_NEXUS_SHUTDOWN] = MAYASTOR__V1__NEXUS_STATE__NEXUS_SHUTDOWN,
	};

	return states[state];
}

static void child_state(Mayastor__V1__Child *out, const struct nexus_child_info *child)
{
	out->rebuild_progress = -1;
	switch (child->state) {
	case NEXUS_CHILD_IN_SYNC:
		out->state = MAYASTOR__V1__CHILD_STATE__CHILD_STATE_ONLINE;
		return;
	case NEXUS_CHILD_REBUILDING:
		out->state = MAYASTOR__V1__CHILD_STATE__CHILD_STATE_DEGRADED;
		out->state_reason =
			MAYASTOR__V1__CHILD_STATE_REASON__CHILD_STATE_REASON_OUT_OF_SYNC;
		out->rebuild_progress = service_rebuild_percent(&child->rebuild);
		return;
	case NEXUS_CHILD_OPENING:
		out->state = MAYASTOR__V1__CHILD_STATE__CHILD_STATE_DEGRADED;
		out->state_reason = MAYASTOR__V1__CHILD_STATE_REASON__CHILD_STATE_REASON_INIT;
		return;
	default:
		break;
	}
	out->state = child->is_offline ? MAYASTOR__V1__CHILD_STATE__CHILD_STATE_DEGRADED :
					 MAYASTOR__V1__CHILD_STATE__CHILD_STATE_FAULTED;
	out->state_reason = child->is_offline ?
				    MAYASTOR__V1__CHILD_STATE_REASON__CHILD_STATE_REASON_BY_CLIENT :
				    MAYASTOR__V1__CHILD_STATE_REASON__CHILD_STATE_REASON_IO_FAILURE;
}

static Mayastor__V1__Child *child_message(struct reply *reply, const struct engine_nexus_info *info,
					  unsigned i)
{
	Mayastor__V1__Child *out = reply_new(reply, sizeof(*out));

	if (!out)
		return NULL;
	mayastor__v1__child__init(out);
	out->uri = reply_text(reply, info->child_uris[i]);
	if (i < info->nexus.count) {
		child_state(out, &info->nexus.children[i]);
		out->has_io_log = info->nexus.children[i].is_tracked;
		return out;
	}
	out->rebuild_progress = -1;
	out->state_reason = MAYASTOR__V1__CHILD_STATE_REASON__CHILD_STATE_REASON_CLOSED;
	return out;
}

static void fill(struct reply *reply, Mayastor__V1__Nexus *out,
		 const struct engine_nexus_info *info)
{
	struct reply children = { .mem = reply->mem };

	for (unsigned i = 0; i < info->child_count; i++)
		reply_add(&children, child_message(reply, info, i));
	if (children.r < 0)
		reply->r = children.r;
	out->children = (Mayastor__V1__Child **)children.list;
	out->n_children = children.count;
	out->name = reply_text(reply, info->name);
	out->uuid = reply_uuid(reply, &info->uuid);
	out->size = info->size_bytes;
	out->state = state_of(info->state);
	out->device_uri = reply_text(reply, info->device_uri);
	out->rebuilds = info->rebuilds;
	out->ana_state = (Mayastor__V1__NvmeAnaState)info->ana; /* the numbers are NVMe's */
	out->allowed_hosts = reply_texts(reply, info->hosts, info->host_count);
	out->n_allowed_hosts = info->host_count;
}

struct Mayastor__V1__Nexus *message_of_nexus(struct reply *reply,
					     const struct engine_nexus_info *info)
{
	Mayastor__V1__Nexus *out = reply_new(reply, sizeof(*out));

	if (out) {
		mayastor__v1__nexus__init(out);
		fill(reply, out, info);
	}
	return reply->r < 0 ? NULL : out;
}

int nexus_list_one(void *ctx, const struct engine_nexus_info *info)
{
	struct reply *reply = ctx;

	return reply_add(reply, message_of_nexus(reply, info));
}

void *nexus_one(const struct reply *reply)
{
	return reply->count ? reply->list[reply->count - 1] : NULL;
}

/* ---- nexuses -------------------------------------------------------------------------------------- */

static int create(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__CreateNexusRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	const struct engine_nexus_args args = {
		.name = ask->name,
		.uuid = ask->uuid,
		.size_bytes = ask->size,
		.children = (const char *const *)ask->children,
		.child_count = (unsigned)ask->n_children,
		.info_key = ask->nexusinfokey,
		.keys = { .cntlid_min = ask->mincntlid,
			  .cntlid_max = ask->maxcntlid,
			  .resv_key = ask->resvkey,
			  .preempt_key = ask->preemptkey,
			  .has_resv_type = ask->opt_resv_type_case != 0,
			  .resv_type = ask->opt_resv_type_case ? (uint32_t)ask->resvtype : 0,
			  .preempt_policy = (uint32_t)ask->preemptpolicy },
	};
	int r = engine_nexus_create(f, rpc_call_ctx(call), &args, nexus_list_one, &reply);

	((Mayastor__V1__CreateNexusResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

static int destroy(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__DestroyNexusRequest *ask = (const void *)in;

	(void)out;
	return engine_nexus_destroy(f, rpc_call_ctx(call), ask->uuid);
}

static int resize(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__ResizeNexusRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_resize(f, rpc_call_ctx(call), ask->uuid, ask->requested_size,
				    nexus_list_one, &reply);

	((Mayastor__V1__ResizeNexusResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

static int list(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListNexusOptions *ask = (const void *)in;
	Mayastor__V1__ListNexusResponse *answer = (void *)out;
	const char *only = value_of(ask->uuid) ? value_of(ask->uuid) : value_of(ask->name);
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_each(f, rpc_call_ctx(call), only, nexus_list_one, &reply);

	if (r == -ENOENT) { /* a list without it */
		fiber_clear(f);
		r = 0;
	}
	answer->nexus_list = (Mayastor__V1__Nexus **)reply.list;
	answer->n_nexus_list = reply.count;
	return r;
}

static int shut_down(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		     struct ProtobufCMessage *out)
{
	const Mayastor__V1__ShutdownNexusRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_shutdown(f, rpc_call_ctx(call), ask->uuid, nexus_list_one, &reply);

	((Mayastor__V1__ShutdownNexusResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

/* ---- doors ------------------------------------------------------------------------------------------ */

static int publish(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__PublishNexusRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	bool is_share;
	int r = share_protocol(f, (int)ask->share, &is_share);

	if (r == 0 && !is_share)
		r = fiber_fail(f, -EINVAL, "share protocol NONE: a nexus is published by NVMF");
	if (r == 0)
		r = engine_nexus_publish(f, rpc_call_ctx(call), ask->uuid,
					 (const char *const *)ask->allowed_hosts,
					 (unsigned)ask->n_allowed_hosts, nexus_list_one, &reply);
	((Mayastor__V1__PublishNexusResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

static int unpublish(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		     struct ProtobufCMessage *out)
{
	const Mayastor__V1__UnpublishNexusRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_unpublish(f, rpc_call_ctx(call), ask->uuid, nexus_list_one, &reply);

	((Mayastor__V1__UnpublishNexusResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

static int get_ana(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__GetNvmeAnaStateRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	const Mayastor__V1__Nexus *nexus;
	int r;

	if (!ask->uuid[0])
		return fiber_fail(f, -EINVAL, "the nexus's uuid is missing");
	r = engine_nexus_each(f, rpc_call_ctx(call), ask->uuid, nexus_list_one, &reply);
	if (r < 0)
		return r;
	nexus = nexus_one(&reply);
	if (nexus->ana_state == MAYASTOR__V1__NVME_ANA_STATE__NVME_ANA_INVALID_STATE)
		return fiber_fail(f, -EPERM, "nexus '%s' is not published", nexus->name);
	((Mayastor__V1__GetNvmeAnaStateResponse *)(void *)out)->ana_state = nexus->ana_state;
	return 0;
}

static int set_ana(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__SetNvmeAnaStateRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r;

	if (ask->ana_state < MAYASTOR__V1__NVME_ANA_STATE__NVME_ANA_OPTIMIZED_STATE ||
	    ask->ana_state > MAYASTOR__V1__NVME_ANA_STATE__NVME_ANA_INACCESSIBLE_STATE)
		return fiber_fail(f, -EINVAL,
				  "ANA state %d: expected optimized (1), non-optimized (2) or "
				  "inaccessible (3)",
				  (int)ask->ana_state);
	r = engine_nexus_set_ana(f, rpc_call_ctx(call), ask->uuid,
				 (enum tgt_ana_state)ask->ana_state, nexus_list_one, &reply);
	((Mayastor__V1__SetNvmeAnaStateResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

/* ---- children ------------------------------------------------------------------------------------------ */

static int add_child(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		     struct ProtobufCMessage *out)
{
	const Mayastor__V1__AddChildNexusRequest *ask = (const void *)in;
	struct engine *e = rpc_call_ctx(call);
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_child(f, e, ask->uuid, ask->uri, ENGINE_CHILD_ADD, nexus_list_one,
				   &reply);

	if (r == 0 && ask->norebuild &&
	    engine_nexus_child(f, e, ask->uuid, ask->uri, ENGINE_CHILD_REBUILD_STOP, nexus_list_one,
			       &reply) < 0)
		fiber_clear(f); /* there was none */
	((Mayastor__V1__AddChildNexusResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

static int remove_child(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			struct ProtobufCMessage *out)
{
	const Mayastor__V1__RemoveChildNexusRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_child(f, rpc_call_ctx(call), ask->uuid, ask->uri, ENGINE_CHILD_REMOVE,
				   nexus_list_one, &reply);

	((Mayastor__V1__RemoveChildNexusResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

static int fault_child(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		       struct ProtobufCMessage *out)
{
	const Mayastor__V1__FaultNexusChildRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_child(f, rpc_call_ctx(call), ask->uuid, ask->uri, ENGINE_CHILD_OFFLINE,
				   nexus_list_one, &reply);

	((Mayastor__V1__FaultNexusChildResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

/* Offline, offline for good, and as after an I/O error: all are offline until told online. */
static int child_op(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		    struct ProtobufCMessage *out)
{
	const Mayastor__V1__ChildOperationRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	bool online = ask->action == MAYASTOR__V1__CHILD_ACTION__Online;
	int r;

	if ((int)ask->action < MAYASTOR__V1__CHILD_ACTION__Offline ||
	    ask->action > MAYASTOR__V1__CHILD_ACTION__OfflinePermanent)
		return fiber_fail(f, -EINVAL, "child action %d: expected 0 to 3", (int)ask->action);
	r = engine_nexus_child(f, rpc_call_ctx(call), ask->nexus_uuid, ask->uri,
			       online ? ENGINE_CHILD_ONLINE : ENGINE_CHILD_OFFLINE, nexus_list_one,
			       &reply);
	((Mayastor__V1__ChildOperationResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

#define NEXUS_METHOD(name, what, fn) \
	METHOD(name, mayastor__v1__##what##_request, mayastor__v1__##what##_response, fn)
#define NEXUS_LOOK(name, what, fn) \
	METHOD_LOOK(name, mayastor__v1__##what##_request, mayastor__v1__##what##_response, fn)

static const struct rpc_method methods[] = {
	NEXUS_METHOD("CreateNexus", create_nexus, create),
	METHOD("DestroyNexus", mayastor__v1__destroy_nexus_request, google__protobuf__empty,
	       destroy),
	NEXUS_METHOD("ResizeNexus", resize_nexus, resize),
	METHOD_LOOK("ListNexus", mayastor__v1__list_nexus_options,
		    mayastor__v1__list_nexus_response, list),
	NEXUS_METHOD("AddChildNexus", add_child_nexus, add_child),
	NEXUS_METHOD("RemoveChildNexus", remove_child_nexus, remove_child),
	NEXUS_METHOD("FaultNexusChild", fault_nexus_child, fault_child),
	NEXUS_METHOD("ShutdownNexus", shutdown_nexus, shut_down),
	NEXUS_METHOD("PublishNexus", publish_nexus, publish),
	NEXUS_METHOD("UnpublishNexus", unpublish_nexus, unpublish),
	NEXUS_LOOK("GetNvmeAnaState", get_nvme_ana_state, get_ana),
	NEXUS_METHOD("SetNvmeAnaState", set_nvme_ana_state, set_ana),
	NEXUS_METHOD("ChildOperation", child_operation, child_op),
	NEXUS_METHOD("StartRebuild", start_rebuild, service_rebuild_start),
	NEXUS_METHOD("StopRebuild", stop_rebuild, service_rebuild_stop),
	NEXUS_METHOD("PauseRebuild", pause_rebuild, service_rebuild_pause),
	NEXUS_METHOD("ResumeRebuild", resume_rebuild, service_rebuild_resume),
	NEXUS_LOOK("GetRebuildState", rebuild_state, service_rebuild_state),
	NEXUS_LOOK("GetRebuildStats", rebuild_stats, service_rebuild_stats),
	NEXUS_LOOK("GetRebuildHistory", rebuild_history, service_rebuild_history),
	NEXUS_LOOK("ListRebuildHistory", list_rebuild_history, service_rebuild_histories),
};

const struct rpc_service service_nexus = {
	.name = "mayastor.v1.NexusRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
