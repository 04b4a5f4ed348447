/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - the node's figures for Prometheus, at http://ADDR/metrics. What they are called: docs/metrics.md.
 *
 * ME1. A scrape changes nothing, and waits for nobody's turn: a nexus that is being changed is left
 *      out of the figures of requests.
 * ME2. Names and labels that the published exporter has are as they are there.
 */
#ifndef ENGINE_METRICS_H
#define ENGINE_METRICS_H

#include <stddef.h>

#include "base/lang.h"

#define METRICS_PORT 9502u

struct engine;
struct fiber;
struct io_addr;
struct metrics_server;
struct rpc_server;

/* rpc NULL: without its figures. Both are borrowed until metrics_stop(). */
MUST_USE int metrics_start(struct fiber *f, struct engine *e, const struct rpc_server *rpc,
			   const struct io_addr *addr, struct io_addr *ret_addr,
			   struct metrics_server **ret);
void metrics_stop(struct fiber *f, struct metrics_server *server);

#endif
