/* SPDX-License-Identifier: Apache-2.0 */
/* service_priv - what the services share: replies in the memory of a call. */
#ifndef ENGINE_SERVICE_PRIV_H
#define ENGINE_SERVICE_PRIV_H

#include "base/mem.h"
#include "base/uuid.h"
#include "engine/engine.h"
#include "engine/services.h"
#include "rpc/rpc.h"

struct _ProtobufCMessage;
struct Google__Protobuf__StringValue;
struct Mayastor__V1__Nexus;
struct Mayastor__V1__Pool;
struct Mayastor__V1__RegisterRequest;
struct Mayastor__V1__Replica;
struct Mayastor__V1__SnapshotInfo;

/* A method of package P (as protobuf-c writes it), its types, its function; and one that only looks. */
#define METHOD(name_, in_, out_, fn)                                                   \
	{                                                                              \
		.name = (name_), .in = &in_##__descriptor, .out = &out_##__descriptor, \
		.handle = (fn), .shielded = true                                       \
	}
#define METHOD_LOOK(name_, in_, out_, fn)                                              \
	{                                                                              \
		.name = (name_), .in = &in_##__descriptor, .out = &out_##__descriptor, \
		.handle = (fn)                                                         \
	}
#define METHOD_LATER(name_, in_, out_)                                                \
	{                                                                             \
		.name = (name_), .in = &in_##__descriptor, .out = &out_##__descriptor \
	}

/* A list of messages that grows; its end of memory is -ENOMEM in the end. */
struct reply {
	struct mem *mem;
	void **list;
	size_t count;
	int r;
};

/* Text and uuid in the reply's memory; NULL sets r. */
char *reply_text(struct reply *reply, const char *text);
char *reply_uuid(struct reply *reply, const struct uuid *uuid);
char **reply_texts(struct reply *reply, const char *const *texts, unsigned count);
void *reply_new(struct reply *reply, size_t size);
/* message: NULL sets r. */
int reply_add(struct reply *reply, void *message);

/* NULL: not given. */
const char *value_of(const struct Google__Protobuf__StringValue *wrapped);

/* Messages that several services give; NULL: no memory. */
struct Mayastor__V1__Pool *message_of_pool(struct reply *reply,
					   const struct engine_pool_info *info);
struct Mayastor__V1__Replica *message_of_replica(struct reply *reply,
						 const struct engine_replica_info *info);
struct Mayastor__V1__Nexus *message_of_nexus(struct reply *reply,
					     const struct engine_nexus_info *info);

/* Share protocols: 0 NONE, 1 NVMF; iSCSI is refused with words. */
MUST_USE int share_protocol(struct fiber *f, int protocol, bool *ret_share);

#endif
