/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - a simulated world of two hosts: the server with test.Echo, raw.Raw and health on one, the test
 * on the other. Nothing may be left when both have ended: memory, streams.
 */
#ifndef TESTS_RPC_WORLD_H
#define TESTS_RPC_WORLD_H

#include "../unit.h"
#include "echo.h"
#include "reactor/fiber.h"
#include "sim/sim.h"

#define WORLD_PORT   10124
#define WORLD_TARGET "10.0.0.1:10124"

struct world {
	struct mem_heap heap;
	struct sim *sim;
	struct sim_host *server_host, *client_host;
	struct sim_proc *server_proc, *client_proc;
	void (*body)(struct fiber *f, struct world *w);
	struct rpc_server_opts opts; /* of the server */
	struct rpc_server *server;   /* while it runs; look at it only */
	struct echo echo;
	bool stop;    /* the server drains and ends */
	bool drained; /* it has */
	bool ill;     /* it does not serve well */
};

void world_run(void (*body)(struct fiber *f, struct world *w), const struct rpc_server_opts *opts);
void world_run_seed(void (*body)(struct fiber *f, struct world *w),
		    const struct rpc_server_opts *opts, uint64_t seed);

/* A channel to the server, or to `target`. */
struct rpc_channel *world_channel(struct fiber *f, const char *target,
				  const struct rpc_channel_opts *opts);

/* Ask Say for `text`; expects this code. Returns the length of the reply's blob. */
size_t world_say(struct fiber *f, struct rpc_channel *channel, const struct rpc_ask *ask,
		 const Test__EchoRequest *in, enum rpc_code code, const char *words);

#define WORLD_TEST(name)                                           \
	static void name##_body(struct fiber *f, struct world *w); \
	static void name(void **state)                             \
	{                                                          \
		world_run(name##_body, NULL);                      \
	}                                                          \
	static void name##_body(struct fiber *f, struct world *w)

/* With options of the server: WORLD_TEST_WITH(name, .calls_max = 3) */
#define WORLD_TEST_WITH(name, ...)                                                \
	static void name##_body(struct fiber *f, struct world *w);                \
	static void name(void **state)                                            \
	{                                                                         \
		world_run(name##_body, &(struct rpc_server_opts){ __VA_ARGS__ }); \
	}                                                                         \
	static void name##_body(struct fiber *f, struct world *w)

#endif
