// SPDX-License-Identifier: Apache-2.0
/* service_share - mayastor.x1.ShareRpc: NBD. NVMe/TCP has its own methods in mayastor.v1. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <mayastor/x1/share.pb-c.h>
#include <string.h>

#include "engine/doors.h"
#include "engine/service_priv.h"
#include "reactor/fiber.h"

struct listing {
	struct reply reply;
	const char *name; /* "": all */
};

static int list_one(void *ctx, const struct engine_door *door, const char *uri)
{
	struct listing *list = ctx;
	struct reply *reply = &list->reply;
	Mayastor__X1__Share *out;

	if (list->name[0] && strcmp(list->name, door->name) != 0)
		return 0;
	out = reply_new(reply, sizeof(*out));
	if (!out)
		return -ENOMEM;
	mayastor__x1__share__init(out);
	out->name = reply_text(reply, door->name);
	out->bdev = reply_text(reply, door->bdev);
	out->door = door->is_nvmf ? MAYASTOR__X1__SHARE_DOOR__SHARE_DOOR_NVMF :
				    MAYASTOR__X1__SHARE_DOOR__SHARE_DOOR_NBD;
	out->allowed_hosts = reply_texts(reply, texts_list(&door->hosts), door->hosts.count);
	out->n_allowed_hosts = door->hosts.count;
	out->read_only = door->read_only;
	out->description = reply_text(reply, door->description);
	out->uri = reply_text(reply, uri);
	return reply->r < 0 ? reply->r : reply_add(reply, out);
}

static int check_door(struct fiber *f, Mayastor__X1__ShareDoor door)
{
	if (door == MAYASTOR__X1__SHARE_DOOR__SHARE_DOOR_NBD ||
	    door == MAYASTOR__X1__SHARE_DOOR__SHARE_DOOR_NVMF)
		return 0;
	return fiber_fail(f, -EINVAL, "door %d: NBD and NVMF are offered", (int)door);
}

static bool is_nvmf(Mayastor__X1__ShareDoor door)
{
	return door == MAYASTOR__X1__SHARE_DOOR__SHARE_DOOR_NVMF;
}

static int create(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		  struct ProtobufCMessage *out)
{
	const Mayastor__X1__CreateShareRequest *ask = (const void *)in;
	struct listing list = { .reply.mem = rpc_call_mem(call), .name = "" };
	const struct engine_door_args args = { .name = ask->name,
					       .bdev = ask->bdev,
					       .description = ask->description,
					       .read_only = ask->read_only,
					       .is_nvmf = is_nvmf(ask->door),
					       .hosts = (const char *const *)ask->allowed_hosts,
					       .host_count = (unsigned)ask->n_allowed_hosts };
	int r = check_door(f, ask->door);

	if (r == 0)
		r = engine_door_create(f, rpc_call_ctx(call), &args, list_one, &list);
	if (r == 0)
		*(Mayastor__X1__Share *)(void *)out = *(Mayastor__X1__Share *)list.reply.list[0];
	return r;
}

static int destroy(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__X1__DestroyShareRequest *ask = (const void *)in;
	int r = check_door(f, ask->door);

	(void)out;
	return r < 0 ? r :
		       engine_door_destroy(f, rpc_call_ctx(call), ask->name, is_nvmf(ask->door));
}

static int list(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	const Mayastor__X1__ListSharesRequest *ask = (const void *)in;
	Mayastor__X1__ListSharesResponse *answer = (void *)out;
	struct listing list = { .reply.mem = rpc_call_mem(call), .name = ask->name };
	int r = engine_door_each(rpc_call_ctx(call), list_one, &list);

	(void)f;
	answer->shares = (Mayastor__X1__Share **)list.reply.list;
	answer->n_shares = list.reply.count;
	return r;
}

static const struct rpc_method methods[] = {
	METHOD("CreateShare", mayastor__x1__create_share_request, mayastor__x1__share, create),
	METHOD("DestroyShare", mayastor__x1__destroy_share_request, google__protobuf__empty,
	       destroy),
	METHOD_LOOK("ListShares", mayastor__x1__list_shares_request,
		    mayastor__x1__list_shares_response, list),
};

const struct rpc_service service_share = {
	.name = "mayastor.x1.ShareRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
