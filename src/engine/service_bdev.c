// SPDX-License-Identifier: Apache-2.0
/* service_bdev - mayastor.v1.BdevRpc. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <mayastor/v1/bdev.pb-c.h>
#include <string.h>

#include "engine/service_priv.h"
#include "reactor/fiber.h"

static void fill(struct reply *reply, Mayastor__V1__Bdev *out, const struct engine_bdev_info *info)
{
	out->name = reply_text(reply, info->name);
	out->uuid = reply_uuid(reply, &info->uuid);
	out->num_blocks = info->blocks;
	out->blk_size = info->block_size;
	out->claimed = info->claimed_by[0] != '\0';
	out->claimed_by = reply_text(reply, info->claimed_by);
	out->uri = reply_text(reply, info->uri);
	out->product_name = reply_text(reply, info->product);
	out->share_uri = reply_text(reply, info->share_uri);
}

static int list_one(void *ctx, const struct engine_bdev_info *info)
{
	struct reply *reply = ctx;
	Mayastor__V1__Bdev *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__v1__bdev__init(out);
	fill(reply, out, info);
	return reply_add(reply, out);
}

static int create(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__V1__CreateBdevRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_bdev_create(f, rpc_call_ctx(call), ask->uri, list_one, &reply);

	if (r == 0)
		((Mayastor__V1__CreateBdevResponse *)(void *)out)->bdev = reply.list[0];
	return r;
}

static int destroy(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__DestroyBdevRequest *ask = (const void *)in;

	(void)out;
	return engine_bdev_destroy(f, rpc_call_ctx(call), ask->uri);
}

static int list(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListBdevOptions *ask = (const void *)in;
	Mayastor__V1__ListBdevResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_bdev_each(f, rpc_call_ctx(call), value_of(ask->name), list_one, &reply);

	answer->bdevs = (Mayastor__V1__Bdev **)reply.list;
	answer->n_bdevs = reply.count;
	return r;
}

static int share(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		 struct ProtobufCMessage *out)
{
	const Mayastor__V1__BdevShareRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	bool is_share;
	int r = share_protocol(f, (int)ask->protocol, &is_share);

	if (r == 0 && !is_share)
		r = fiber_fail(f, -EINVAL, "share protocol NONE: Unshare ends a share");
	if (r == 0)
		r = engine_bdev_share(f, rpc_call_ctx(call), ask->name,
				      (const char *const *)ask->allowed_hosts,
				      (unsigned)ask->n_allowed_hosts, list_one, &reply);
	if (r == 0)
		((Mayastor__V1__BdevShareResponse *)(void *)out)->bdev = reply.list[0];
	return r;
}

static int unshare(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__BdevUnshareRequest *ask = (const void *)in;

	(void)out;
	return engine_bdev_unshare(f, rpc_call_ctx(call), ask->name);
}

static const struct rpc_method methods[] = {
	METHOD("Create", mayastor__v1__create_bdev_request, mayastor__v1__create_bdev_response,
	       create),
	METHOD("Destroy", mayastor__v1__destroy_bdev_request, google__protobuf__empty, destroy),
	METHOD_LOOK("List", mayastor__v1__list_bdev_options, mayastor__v1__list_bdev_response,
		    list),
	METHOD("Share", mayastor__v1__bdev_share_request, mayastor__v1__bdev_share_response, share),
	METHOD("Unshare", mayastor__v1__bdev_unshare_request, google__protobuf__empty, unshare),
};

const struct rpc_service service_bdev = {
	.name = "mayastor.v1.BdevRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
