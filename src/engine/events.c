// SPDX-License-Identifier: Apache-2.0
/* events - what happened on a node: a ring, and those who read it. See events.h. */
#include "engine/events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "io/io.h"
#include "reactor/fiber.h"
#include "reactor/wait.h"

struct events {
	struct io *io;
	struct event more; /* set by each one that is added */
	uint64_t last;	   /* the number of the latest; 0: none */
	struct events_stats stats;
	struct events_entry ring[EVENTS_MAX]; /* number N lies at N % EVENTS_MAX */
};

const char *events_kind_name(enum events_kind kind)
{
	static const char *const names[EVENTS_KINDS] = {
		[EVENTS_NODE] = "node",	      [EVENTS_POOL] = "pool",
		[EVENTS_REPLICA] = "replica", [EVENTS_SNAPSHOT] = "snapshot",
		[EVENTS_BDEV] = "bdev",	      [EVENTS_SHARE] = "share",
		[EVENTS_NEXUS] = "nexus",     [EVENTS_CHILD] = "child",
		[EVENTS_REBUILD] = "rebuild",
	};

	return names[kind];
}

int events_new(struct io *io, struct events **ret)
{
	struct events *events = mem_new(io, sizeof(*events));

	if (!events)
		return -ENOMEM;
	events->io = io;
	event_init(&events->more);
	*ret = events;
	return 0;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	must(events->stats.watchers == 0);
	mem_free(events);
}

/* How many bytes the UTF-8 character at `at` has; 0: it is none. */
static unsigned utf8_len(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	const unsigned len = at[0] < 0x80 ? 1 :
			     at[0] < 0xc2 ? 0 :
			     at[0] < 0xe0 ? 2 :
			     at[0] < 0xf0 ? 3 :
			     at[0] < 0xf5 ? 4 :
					    0;

	for (unsigned i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* longer than it need be, a surrogate, or beyond U+10FFFF */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90))
		return 0;
	return len;
}

/* What was cut in the middle of a character, or came from a disk, can be sent none the less. */
static void utf8_mend(char *text)
{
	while (*text) {
		const unsigned len = utf8_len(text);

		if (len == 0)
			*text = '?';
		text += len ? len : 1;
	}
}

void events_add(struct events *events, enum events_kind kind, const char *what, const char *name,
		const struct uuid *uuid, const char *format, ...)
{
	struct events_entry *entry;
	va_list args;

	if (!events)
		return;
	entry = &events->ring[++events->last % EVENTS_MAX]; /* EV1 */
	memset(entry, 0, sizeof(*entry));
	entry->number = events->last;
	entry->wall_ns = io_wall(events->io);
	entry->kind = kind;
	entry->what = what;
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	if (uuid)
		entry->uuid = *uuid;
	va_start(args, format);
	vsnprintf(entry->text, sizeof(entry->text), format, args);
	va_end(args);
	utf8_mend(entry->name);
	utf8_mend(entry->text);
	events->stats.added[kind]++;
	event_set(&events->more);
}

/* ---- watching ------------------------------------------------------------------------------- */

int events_watch_start(struct fiber *f, struct events *events, uint64_t since,
		       struct events_watch *ret)
{
	if (events->stats.watchers >= EVENTS_WATCHERS_MAX)
		return fiber_fail(f, -EMFILE, "%u watch the events already, the most there can be",
				  events->stats.watchers);
	events->stats.watchers++;
	*ret = (struct events_watch){ events, since > events->last ? 0 : since };
	return 0;
}

void events_watch_stop(struct events_watch *watch)
{
	must(watch->events->stats.watchers > 0);
	watch->events->stats.watchers--;
}

int events_next(struct events_watch *watch, const struct events_entry **ret, uint64_t *ret_missed)
{
	struct events *events = watch->events;
	const uint64_t oldest = events->last > EVENTS_MAX ? events->last - EVENTS_MAX + 1 : 1;
	uint64_t next = watch->seen + 1, missed = 0;

	if (next > events->last)
		return 0;
	if (next < oldest) { /* EV2 */
		missed = oldest - next;
		next = oldest;
	}
	events->stats.lost += missed;
	watch->seen = next;
	*ret = &events->ring[next % EVENTS_MAX];
	must((*ret)->number == next);
	*ret_missed = missed;
	return 1;
}

int events_wait(struct fiber *f, struct events_watch *watch)
{
	if (watch->seen < watch->events->last)
		return 0;
	event_clear(&watch->events->more);
	return event_wait(f, &watch->events->more);
}

void events_stats(const struct events *events, struct events_stats *ret)
{
	*ret = events->stats;
}
