/* SPDX-License-Identifier: Apache-2.0 */
/* echo - the service test.Echo: says, sleeps, fails and streams what it is asked to. */
#ifndef TESTS_RPC_ECHO_H
#define TESTS_RPC_ECHO_H

#include "echo.pb-c.h"
#include "rpc/rpc.h"

struct fiber;

/* Its ctx. */
struct echo {
	unsigned running, cancelled, finished;
};

extern const struct rpc_service echo_service;

/* Keeps out of the way of main: the same by raw bytes, "raw.Raw": Same, Header. */
extern const struct rpc_service raw_service;

#endif
