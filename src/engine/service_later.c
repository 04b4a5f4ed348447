// SPDX-License-Identifier: Apache-2.0
/* service_later - what is published and not served here: it answers UNIMPLEMENTED and says so. */
#include <google/protobuf/empty.pb-c.h>
#include <mayastor/v1/json.pb-c.h>
#include <mayastor/v1/snapshot_rebuild.pb-c.h>
#include <mayastor/v1/test.pb-c.h>

#include "engine/service_priv.h"

static const struct rpc_method test_methods[] = {
	METHOD_LATER("GetFeatures", google__protobuf__empty, mayastor__v1__test_features),
	{ .name = "WipeReplica",
	  .in = &mayastor__v1__wipe_replica_request__descriptor,
	  .out = &mayastor__v1__wipe_replica_response__descriptor,
	  .streams = true },
	METHOD_LATER("AddFaultInjection", mayastor__v1__add_fault_injection_request,
		     google__protobuf__empty),
	METHOD_LATER("RemoveFaultInjection", mayastor__v1__remove_fault_injection_request,
		     google__protobuf__empty),
	METHOD_LATER("ListFaultInjections", mayastor__v1__list_fault_injections_request,
		     mayastor__v1__list_fault_injections_reply),
};

const struct rpc_service service_test = {
	.name = "mayastor.v1.TestRpc",
	.methods = test_methods,
	.method_count = ARRAY_LEN(test_methods),
};

static const struct rpc_method json_methods[] = {
	METHOD_LATER("JsonRpcCall", mayastor__v1__json_rpc_request,
		     mayastor__v1__json_rpc_response),
};

const struct rpc_service service_json = {
	.name = "mayastor.v1.JsonRpc",
	.methods = json_methods,
	.method_count = ARRAY_LEN(json_methods),
};

static const struct rpc_method rebuild_methods[] = {
	METHOD_LATER("CreateSnapshotRebuild", mayastor__v1__create_snapshot_rebuild_request,
		     mayastor__v1__snapshot_rebuild),
	METHOD_LATER("ListSnapshotRebuild", mayastor__v1__list_snapshot_rebuild_request,
		     mayastor__v1__list_snapshot_rebuild_response),
	METHOD_LATER("DestroySnapshotRebuild", mayastor__v1__destroy_snapshot_rebuild_request,
		     google__protobuf__empty),
};

const struct rpc_service service_snapshot_rebuild = {
	.name = "mayastor.v1.SnapshotRebuildRpc",
	.methods = rebuild_methods,
	.method_count = ARRAY_LEN(rebuild_methods),
};
