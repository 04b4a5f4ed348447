/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto - protobuf-c with what it leaves to its callers: UTF-8, NUL, depth, memory.
 *
 * The check walks the packed bytes, not the unpacked message: there a NUL in a string has already
 * cut it, and a type that contains itself has already eaten the stack.
 *
 * PR1. Depth is that of the type, at most RPC_TYPE_DEPTH_MAX: no type that contains itself is
 *      accepted, so nothing here and in protobuf-c recurses further.
 * PR2. Nothing is unpacked that did not pass the check, and nothing is sent.
 */
#ifndef RPC_PROTO_PRIV_H
#define RPC_PROTO_PRIV_H

#include "rpc/rpc.h"

struct err;

/* -EINVAL with words that name the types: it contains itself, or is too deep (PR1). */
MUST_USE int rpc_proto_type_check(const struct ProtobufCMessageDescriptor *type, struct err *err);

/* -EINVAL with words that name the field. The type has passed its check. */
MUST_USE int rpc_proto_check(const struct ProtobufCMessageDescriptor *type, struct rpc_bytes bytes,
			     struct err *err);

/* Checked, unpacked into memory of `mem`, which ends as a whole. -EINVAL, -ENOMEM. */
MUST_USE int rpc_proto_unpack(struct mem *mem, const struct ProtobufCMessageDescriptor *type,
			      struct rpc_bytes bytes, struct ProtobufCMessage **ret,
			      struct err *err);

/* A message as by its __init(). -ENOMEM. */
MUST_USE int rpc_proto_new(struct mem *mem, const struct ProtobufCMessageDescriptor *type,
			   struct ProtobufCMessage **ret);

/* How many bytes it will take; -EINVAL if a required part is missing. */
MUST_USE int rpc_proto_size(const struct ProtobufCMessage *message, size_t *ret_len,
			    struct err *err);
/* To exactly so many bytes; checked (PR2). */
MUST_USE int rpc_proto_pack(const struct ProtobufCMessage *message, uint8_t *ret, size_t len,
			    struct err *err);

#endif
