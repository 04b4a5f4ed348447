/* SPDX-License-Identifier: Apache-2.0 */
/* service_rebuild_priv - the half of mayastor.v1.NexusRpc that is about rebuilds. */
#ifndef ENGINE_SERVICE_REBUILD_PRIV_H
#define ENGINE_SERVICE_REBUILD_PRIV_H

#include "engine/service_priv.h"

/* 0..100. */
int service_rebuild_percent(const struct nexus_rebuild_info *rebuild);

/* An engine_nexus_fn: one more message in the reply (ctx); and the last of them, or NULL. */
int nexus_list_one(void *ctx, const struct engine_nexus_info *info);
void *nexus_one(const struct reply *reply);

int service_rebuild_start(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out);
int service_rebuild_stop(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			 struct ProtobufCMessage *out);
int service_rebuild_pause(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out);
int service_rebuild_resume(struct fiber *f, struct rpc_call *call,
			   const struct ProtobufCMessage *in, struct ProtobufCMessage *out);
int service_rebuild_state(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out);
int service_rebuild_stats(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out);
int service_rebuild_history(struct fiber *f, struct rpc_call *call,
			    const struct ProtobufCMessage *in, struct ProtobufCMessage *out);
int service_rebuild_histories(struct fiber *f, struct rpc_call *call,
			      const struct ProtobufCMessage *in, struct ProtobufCMessage *out);

#endif
