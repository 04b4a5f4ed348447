/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services - the node's gRPC services: thin skins of engine.h, one file each.
 *
 * SV1. A method that changes something is shielded: what it began it ends, whatever becomes of the client.
 * SV2. A reply lies in the memory of its call; nothing of the engine is pointed to by it.
 * SV3. A method that is published and not served answers UNIMPLEMENTED with words that say so.
 */
#ifndef ENGINE_SERVICES_H
#define ENGINE_SERVICES_H

#include "base/lang.h"

struct engine;
struct fiber;
struct rpc_server;
struct rpc_service;

extern const struct rpc_service service_pool, service_replica, service_nexus, service_bdev,
	service_snapshot, service_stats, service_host, service_test, service_json,
	service_snapshot_rebuild, service_share, service_nexus_extra, service_pool_extra,
	service_latency, service_volume, service_event;

/* All of them, with the engine behind. */
MUST_USE int services_add(struct fiber *f, struct rpc_server *server, struct engine *e);

#endif
