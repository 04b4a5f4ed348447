// SPDX-License-Identifier: Apache-2.0
/*
 * state - the lives of a nexus and of a child, as tables: what may follow what.
 *
 * SM1. A state is changed here only, and only along the tables. That a state stays is no change.
 * SM2. Every change is told to who watches the table.
 */
#include "nexus/nexus_priv.h"

#include "base/must.h"

#define TO(state) (1u << (state))

static const uint8_t nexus_next[] = {
	[NEXUS_OPENING] = TO(NEXUS_SERVING) | TO(NEXUS_DEPOSED) | TO(NEXUS_CLOSING),
	[NEXUS_SERVING] = TO(NEXUS_FROZEN) | TO(NEXUS_STOPPED) | TO(NEXUS_DEPOSED) |
			  TO(NEXUS_CLOSING),
	[NEXUS_FROZEN] = TO(NEXUS_SERVING) | TO(NEXUS_STOPPED) | TO(NEXUS_DEPOSED) |
			 TO(NEXUS_CLOSING),
	/* revive.c: a takeover from ourselves */
	[NEXUS_STOPPED] = TO(NEXUS_FROZEN) | TO(NEXUS_SERVING) | TO(NEXUS_DEPOSED) |
			  TO(NEXUS_CLOSING),
	[NEXUS_DEPOSED] = TO(NEXUS_CLOSING),
	/* drained, and nobody is let in: the log is put away as if it served */
	[NEXUS_CLOSING] = TO(NEXUS_SERVING) | TO(NEXUS_DEPOSED),
};

static const uint8_t child_next[] = {
	[NEXUS_CHILD_OUT] = TO(NEXUS_CHILD_OPENING),
	[NEXUS_CHILD_OPENING] = TO(NEXUS_CHILD_IN_SYNC) | TO(NEXUS_CHILD_REBUILDING) |
				TO(NEXUS_CHILD_OUT),
	[NEXUS_CHILD_IN_SYNC] = TO(NEXUS_CHILD_DROPPING) | TO(NEXUS_CHILD_OUT),
	[NEXUS_CHILD_REBUILDING] = TO(NEXUS_CHILD_IN_SYNC) | TO(NEXUS_CHILD_OUT),
	[NEXUS_CHILD_DROPPING] = TO(NEXUS_CHILD_OUT),
};

const char *nexus_state_name(enum nexus_state state)
{
	static const char *const names[] = { "opening", "serving", "frozen",
					     "stopped", "deposed", "closing" };

	return names[state];
}

const char *nexus_child_state_name(enum nexus_child_state state)
{
	static const char *const names[] = { "out", "opening", "in-sync", "rebuilding",
					     "dropping" };

	return names[state];
}

bool nexus_may_become(enum nexus_state from, enum nexus_state to)
{
	return nexus_next[from] & TO(to);
}

bool nexus_child_may_become(enum nexus_child_state from, enum nexus_child_state to)
{
	return child_next[from] & TO(to);
}

/* ---- who is told ------------------------------------------------------------------------- */

void nexus_watch_add(struct nexus_table *table, struct nexus_watch *watch)
{
	list_add_tail(&table->watches, &watch->link);
}

void nexus_watch_del(struct nexus_watch *watch)
{
	list_del(&watch->link);
}

static void state_tell(struct nexus *n, const struct nexus_event *event)
{
	struct nexus_watch *watch, *after;

	list_for_each_safe(watch, after, &n->table->watches, link)
		watch->fn(watch, event);
}

/* ---- changes ----------------------------------------------------------------------------- */

void nexus_become(struct nexus *n, enum nexus_state state)
{
	must(n->state == state || nexus_may_become(n->state, state)); /* SM1 */
	if (n->state == state)
		return;
	const struct nexus_event event = { .nexus = n,
					   .name = n->rec.name,
					   .was = nexus_state_name(n->state),
					   .is = nexus_state_name(state),
					   .reason = "" };
	n->state = state;
	state_tell(n, &event);
}

void child_become(struct nexus_child *child, enum nexus_child_state state)
{
	must(child->state == state || nexus_child_may_become(child->state, state)); /* SM1 */
	if (child->state == state)
		return;
	const struct nexus_event event = { .nexus = child->nexus,
					   .name = child->nexus->rec.name,
					   .uri = child_member(child)->uri,
					   .was = nexus_child_state_name(child->state),
					   .is = nexus_child_state_name(state),
					   .reason = child_member(child)->reason };
	child->state = state;
	state_tell(child->nexus, &event);
}
