/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events - what happened on a node: the latest EVENTS_MAX of it, for those who watch.
 *
 *	events_add() -> ring of EVENTS_MAX -> events_next() of each watcher, at its own pace
 *
 * Nothing is kept for a watcher but the number of what it saw last: one that is slow, or comes
 * late, finds the oldest overwritten, and is told how many it missed.
 *
 * EV1. Numbers count from 1 since the ring was made, without a gap.
 * EV2. A watcher sees each event once, in order; what it does not see it is told the number of.
 * EV3. Adding never suspends, allocates nothing, and cannot fail.
 *
 * Everything is called on the home reactor.
 */
#ifndef ENGINE_EVENTS_H
#define ENGINE_EVENTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/uuid.h"

#define EVENTS_MAX	    1024u
#define EVENTS_WATCHERS_MAX 64u
#define EVENTS_NAME_SIZE    256u /* with the NUL; what is longer is cut */
#define EVENTS_TEXT_SIZE    256u

struct events;
struct fiber;
struct io;

enum events_kind {
	EVENTS_NODE,
	EVENTS_POOL,
	EVENTS_REPLICA,
	EVENTS_SNAPSHOT,
	EVENTS_BDEV,
	EVENTS_SHARE,
	EVENTS_NEXUS,
	EVENTS_CHILD, /* its name is its URI, its uuid that of the nexus */
	EVENTS_REBUILD,
	EVENTS_KINDS
};

struct events_entry {
	uint64_t number, wall_ns;
	enum events_kind kind;
	const char *what; /* a constant: "created" */
	char name[EVENTS_NAME_SIZE];
	struct uuid uuid; /* nil: it has none */
	char text[EVENTS_TEXT_SIZE];
};

struct events_stats {
	uint64_t added[EVENTS_KINDS], lost; /* lost: seen too late, by all watchers together */
	unsigned watchers;
};

const char *events_kind_name(enum events_kind kind);

MUST_USE int events_new(struct io *io, struct events **ret);
/* Nobody watches. */
void events_free(struct events *events);

/* what stays for ever: a constant. uuid NULL: none. NULL events: nothing happens. */
void events_add(struct events *events, enum events_kind kind, const char *what, const char *name,
		const struct uuid *uuid, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* ---- watching ------------------------------------------------------------------------------- */

struct events_watch {
	struct events *events;
	uint64_t seen; /* the number of the last one */
};

/*
 * From the one after `since` on; 0, or a number that was not given yet (the node has begun anew
 * meanwhile): all that is remembered. -EMFILE: EVENTS_WATCHERS_MAX watch.
 */
MUST_USE int events_watch_start(struct fiber *f, struct events *events, uint64_t since,
				struct events_watch *ret);
void events_watch_stop(struct events_watch *watch);

/*
 * 1: *ret is the next one, and so many before it were missed; 0: there is none yet. *ret is
 * good until the fiber suspends.
 */
int events_next(struct events_watch *watch, const struct events_entry **ret, uint64_t *ret_missed);
/* Until there may be one. -ECANCELED. */
MUST_USE int events_wait(struct fiber *f, struct events_watch *watch);

void events_stats(const struct events *events, struct events_stats *ret);

#endif
