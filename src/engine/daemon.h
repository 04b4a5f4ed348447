/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon - a storage node from start to end: engine, gRPC server, registration; then a signal.
 *
 *	engine_open -> server listens -> READY -> ... SIGTERM -> STOPPING -> goodbye to the
 *	registrar -> calls drained -> shares drained, nexuses left clean, pools marked clean
 *
 * DN1. READY is told when every pool that could be had is served and calls are answered.
 * DN2. A stop is over within DAEMON_STOP_NS; what hangs longer is left as a crash would leave it.
 */
#ifndef ENGINE_DAEMON_H
#define ENGINE_DAEMON_H

#include "engine/engine.h"

#define DAEMON_GRPC_PORT    10124u
#define DAEMON_REPLICA_PORT 8420u
#define DAEMON_NEXUS_PORT   4421u
#define DAEMON_STOP_NS	    UINT64_C(9000000000)

struct daemon_opts {
	struct engine_opts engine;
	struct io_addr grpc;
	struct io_addr metrics;		/* family 0: not told */
	const char *registrar;		/* HOST:PORT; NULL: none */
	bool registrar_tls;		/* needs tls_ca */
	const char *tls_cert, *tls_key; /* PEM files; NULL: the services are not encrypted */
	const char *
		tls_ca; /* who signs clients, who must have a certificate then, and the registrar; or NULL */
	int (*notify)(const char *text); /* the service manager; NULL: none */
	void (*give_up)(void);		 /* DN2: ends the process */
	void (*print)(const char *line); /* where it is served; NULL: nobody asks */
};

/* A fiber_fn; arg: struct daemon_opts. Ends with a signal (SIGTERM, SIGINT), or with what went wrong. */
int daemon_main(struct fiber *f, void *arg);

#endif
