/* SPDX-License-Identifier: Apache-2.0 */
/* tls_ctx_priv - certificates and keys, for tls.c. */
#ifndef RPC_TLS_CTX_PRIV_H
#define RPC_TLS_CTX_PRIV_H

#include <stdbool.h>

struct mem;
struct ssl_ctx_st;

struct rpc_tls {
	struct ssl_ctx_st *ctx; /* owned */
	bool is_server;
};

#endif
