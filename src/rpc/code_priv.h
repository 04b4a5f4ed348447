/* SPDX-License-Identifier: Apache-2.0 */
/* code_priv - statuses where the peer gave none (gRPC's "HTTP to gRPC status mapping"). */
#ifndef RPC_CODE_PRIV_H
#define RPC_CODE_PRIV_H

#include "rpc/rpc.h"

/* Of an answer without grpc-status. */
enum rpc_code rpc_code_of_http(unsigned status);

/* Of RST_STREAM's error code. */
enum rpc_code rpc_code_of_reset(uint32_t error);

#endif
