// SPDX-License-Identifier: Apache-2.0
/* service - what the services share. See service_priv.h. */
#include "engine/service_priv.h"

#include <errno.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <mayastor/v1/common.pb-c.h>
#include <string.h>

#include "reactor/fiber.h"

void *reply_new(struct reply *reply, size_t size)
{
	void *p = mem_alloc(reply->mem, size);

	if (!p)
		reply->r = -ENOMEM;
	return p;
}

char *reply_text(struct reply *reply, const char *text)
{
	char *copy = mem_strdup(reply->mem, text);

	if (!copy)
		reply->r = -ENOMEM;
	return copy;
}

char *reply_uuid(struct reply *reply, const struct uuid *uuid)
{
	char text[UUID_TEXT_SIZE];

	return reply_text(reply, uuid_print(uuid, text));
}

char **reply_texts(struct reply *reply, const char *const *texts, unsigned count)
{
	char **list = reply_new(reply, (count + 1) * sizeof(*list));

	for (unsigned i = 0; list && i < count; i++)
		list[i] = reply_text(reply, texts[i]);
	return list;
}

/* Room doubles whenever the count is a power of two. */
int reply_add(struct reply *reply, void *message)
{
	if (!message || reply->r < 0)
		return reply->r = -ENOMEM;
	if ((reply->count & (reply->count - 1)) == 0) {
		void **list =
			reply_new(reply, (reply->count ? 2 * reply->count : 1) * sizeof(*list));

		if (!list)
			return reply->r;
		if (reply->count)
			memcpy(list, reply->list, reply->count * sizeof(*list));
		reply->list = list;
	}
	reply->list[reply->count++] = message;
	return 0;
}

const char *value_of(const struct Google__Protobuf__StringValue *wrapped)
{
	return wrapped ? wrapped->value : NULL;
}

int share_protocol(struct fiber *f, int protocol, bool *ret_share)
{
	if (protocol != MAYASTOR__V1__SHARE_PROTOCOL__NONE &&
	    protocol != MAYASTOR__V1__SHARE_PROTOCOL__NVMF)
		return fiber_fail(f, -EINVAL, "share protocol %d: only NONE and NVMF are offered",
				  protocol);
	*ret_share = protocol == MAYASTOR__V1__SHARE_PROTOCOL__NVMF;
	return 0;
}

int services_add(struct fiber *f, struct rpc_server *server, struct engine *e)
{
	static const struct rpc_service *const all[] = {
		&service_pool,	     &service_replica,
		&service_nexus,	     &service_bdev,
		&service_snapshot,   &service_stats,
		&service_host,	     &service_test,
		&service_json,	     &service_snapshot_rebuild,
		&service_share,	     &service_nexus_extra,
		&service_pool_extra, &service_latency,
		&service_volume,     &service_event,
	};

	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		int r = rpc_server_add(f, server, all[i], e);

		if (r < 0)
			return r;
	}
	return rpc_server_add_health(f, server);
}
