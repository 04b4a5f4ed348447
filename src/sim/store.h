/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - a record store of the world, and the driver that brings its calls there.
 *
 *	struct sim_store *ss = sim_store_add(sim, host, 500 * SIM_MS);
 *	store_open(f, sim_store_drivers, "sim:///n1", &store)        in a process; n1: who asks
 *
 * A call is a request and an answer, each with its delay. Either can be lost, the request can come
 * when its caller has long given up, the store can be away. What it once said is never forgotten, and
 * never stale.
 *
 * SS1. A request is carried out at most once, at one point of time between the call and its answer,
 *      or later if the caller was told -ETIMEDOUT; also when the caller has crashed meanwhile (W5).
 * SS2. Lost for good is only what was told -ETIMEDOUT or -EIO.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "sim/sim.h"
#include "store/store.h"

#define SIM_STORE_RECORDS_MAX 256u
#define SIM_STORE_CALLERS_MAX 16u
#define SIM_STORE_NAME_MAX    31u

struct sim_store;

extern const struct store_driver *const sim_store_drivers[];

/*
 * One to a world. Of a host: calls from others feel what is cut between them, and when its power is
 * off. NULL: it is everywhere. A call that has no answer by then ends with -ETIMEDOUT.
 */
struct sim_store *sim_store_add(struct sim *sim, struct sim_host *host, uint64_t timeout_ns);

/* Whoever calls himself so: his requests are held back, or the answers to him are lost. */
void sim_store_cut(struct sim_store *ss, const char *name, bool requests, bool answers);
void sim_store_heal(struct sim_store *ss);

/* Called after each change of a record. */
void sim_store_on_change(struct sim_store *ss, void (*fn)(void *ctx, const char *key), void *ctx);

/* What is there now, beyond time and faults; NULL: nothing. */
const struct store_record *sim_store_look(const struct sim_store *ss, const char *key);

#endif
