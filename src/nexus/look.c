// SPDX-License-Identifier: Apache-2.0
/*
 * look - an owner that was deposed learns so by itself, and those who wait for it learn that it knows (LEASE).
 *
 *	lease renewed --> the record of every volume is read --> another owner in it: deposed
 *	                              | all could be read
 *	                              v
 *	              lease: "I have looked since revision R" (LE4) --> who took a volume before R goes on
 *
 * So an idle owner does not call its paths good for longer than a renewal takes, and nobody waits for the end of
 * the lease of a process that lives, and has let the volume go.
 *
 * LK1. A look counts from a revision that the store had before it began.
 * LK2. Who does not serve - it opens, or is stopped - is not read: it promises to read its record before it
 *	serves (TO5). Two that each open what the other had, and wait for it, would wait for ever.
 * LK3. A look that did not see every record says nothing.
 * LK4. A record that names our process names this nexus: there is one for a volume. Epochs are not compared:
 *	ours may be raised, and not be recorded yet (ME5).
 */
#include <errno.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"

static bool look_serves(const struct nexus *n)
{
	return n->state == NEXUS_SERVING || n->state == NEXUS_FROZEN;
}

/* Without a rule nobody learns by it, either: it looks as if all were ours. */
static bool look_is_off(const struct nexus *n)
{
	return nexus_is_off(n, NEXUS_RULE_SEAL) || nexus_is_off(n, NEXUS_RULE_LEASE);
}

static int look_read(struct fiber *f, struct nexus *n, struct volume_record *rec)
{
	uint64_t revision;

	event_clear(&n->unseen);
	int r = volume_get(f, n->table->store, &n->rec.volume, rec, &revision);
	event_set(&n->unseen);
	return r;
}

/* True: seen, or promised. */
static bool look_at(struct fiber *f, struct nexus *n, struct volume_record *rec, bool *deposed)
{
	int r = 0;

	if (look_is_off(n))
		return true;
	if (look_serves(n)) {
		r = look_read(f, n, rec);
		fiber_clear(f);
	} else {
		n->must_look = true; /* LK2 */
	}
	if (!look_serves(n)) {
		n->must_look = true;
	} else if (r == -ENOENT ||
		   (r == 0 && !uuid_equal(&rec->owner, &n->table->instance))) { /* LK4 */
		owner_deposed(n);
		*deposed = true;
	}
	return r == 0 || r == -ENOENT;
}

static void look_at_all(struct fiber *f, struct nexus_table *table)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_alloc(table->io->mem, sizeof(*rec));
	uint64_t since = table->lease.revision; /* LK1 */
	bool all = true, deposed = false;
	struct nexus *n;

	if (!rec)
		return;
	list_for_each(n, &table->nexuses, link) /* which stay while they are looked at */
		all = look_at(f, n, rec, &deposed) && all;
	if (all) /* LK3 */
		lease_looked(&table->lease, since, deposed);
}

int look_main(struct fiber *f, void *arg)
{
	struct nexus_table *table = arg;
	struct lease *lease = &table->lease;

	while (event_wait(f, &lease->renewed) == 0) {
		event_clear(&lease->renewed);
		look_at_all(f, table);
		well_ask(table);
	}
	return 0;
}

void look_leave(struct fiber *f, struct nexus *n)
{
	event_wait_always(f, &n->unseen);
}

/* LK2. */
int look_before_serving(struct fiber *f, struct nexus *n)
{
	int r = 0;

	while (r == 0 && n->must_look) {
		n->must_look = false;
		r = owner_look(f, n);
		if (r == 0 || r == -ESTALE)
			continue;
		n->must_look = true;
		fiber_clear(f);
		r = fiber_sleep(f, NEXUS_RETRY_NS);
	}
	return r;
}
