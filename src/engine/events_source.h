/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events_source - what pools and nexuses tell of themselves, as events of the node.
 *
 * ES1. A rebuild has one begin and one end, however it ends; between them at most nine of progress.
 */
#ifndef ENGINE_EVENTS_SOURCE_H
#define ENGINE_EVENTS_SOURCE_H

#include "base/lang.h"
#include "engine/events.h"

struct engine;
struct engine_nexus;
struct engine_pool;
struct events_source;
struct fiber;

#define EVENTS_REBUILDS_MAX 64u /* at a time, whose progress is told */

/* The ring, and what follows the nexuses of the table that is there already: e->events, e->sources. */
MUST_USE int events_open(struct fiber *f, struct engine *e);
/* No more of nexuses; before their table ends. */
void events_detach(struct fiber *f, struct engine *e);
/* All of it is over. */
void events_close(struct engine *e);

/* "created", "published" ... */
void events_nexus(struct engine *e, const struct engine_nexus *en, const char *what);

/* An event of a pool that is here now, and from now on its own ones. what: "created", "imported". */
void events_pool_here(struct engine *e, const struct engine_pool *ep, const char *what);

#endif
