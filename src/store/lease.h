/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease - one per process that serves volumes: says that it lives, for as long as it can say so.
 *
 * A record of its own under "lease/<uuid>" whose revision grows with every renewal. No time is
 * written: who waits a lease out measures on its own monotonic clock how long the record
 * stays the same, so clocks of machines need not agree, only run at about the same speed.
 *
 * LE1. The holder may serve until 2/3 of the ttl after it *began* the last renewal that succeeded.
 * LE2. A waiter takes it for ended when it has seen the same revision for a whole ttl (or no record).
 *      By LE1 the holder has stopped by then, unless one clock runs half again as fast.
 * LE3. A lease that ended begins a new term when it is renewed again. What was decided about
 *	volumes meanwhile is in their records: who finds that `term` changed reads them again.
 * LE4. The record says, too, how far the holder has looked: a revision of the store since which it has
 *	read the record of every volume that it serves, and let go those it does not own any more.
 *	Who took a volume from it before that need not wait for the lease to end, which may be never.
 * LE5. Who knows for certain that the holder's process has ended may end its lease: a dead one serves nothing.
 */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "base/uuid.h"
#include "store/store.h"

#define LEASE_TTL_MS_DEFAULT 10000u
#define LEASE_TTL_MS_MIN     100u
#define LEASE_TTL_MS_MAX     600000u

struct lease {
	struct store *store; /* borrowed until lease_stop() */
	struct uuid holder;
	uint32_t ttl_ms;
	uint64_t revision;	/* of the record */
	uint64_t good_until_ns; /* LE1, on the reactor's clock */
	uint64_t asked_ns;	/* when the renewal under way was first tried; 0: none is */
	uint64_t term;		/* LE3; from 1 */
	uint64_t renewals, failures;
	bool is_usurped; /* somebody else wrote the record: it never comes back */
	uint64_t looked; /* LE4 */
	uint64_t said;	 /* the same, as the renewal under way says it */
	struct event renewed; /* set with each renewal; for who looks */
	struct event due;     /* the next renewal shall be now */
	struct fiber *keeper;
};

/* Write the record and keep it fresh, on a fiber of this reactor. -EINVAL: ttl; or the store's. */
MUST_USE int lease_start(struct fiber *f, struct store *store, const struct uuid *holder,
			 uint32_t ttl_ms, struct lease *lease);
/* Nothing is served any more: end it and delete the record, so that nobody waits. */
void lease_stop(struct fiber *f, struct lease *lease);

/*
 * LE5: it is deleted, if it is there. -EBUSY: it was renewed just now, by somebody who lives; or the
 * store's: then it ends by itself.
 */
MUST_USE int lease_end(struct fiber *f, struct store *store, const struct uuid *holder);

/* Hot path: may we serve at this time of the reactor's clock? */
static inline bool lease_holds(const struct lease *lease, uint64_t now_ns)
{
	return now_ns < lease->good_until_ns;
}

/*
 * LE4: all volumes' records were read, later than the store had this revision. `now`: somebody waits for
 * that, so it is said at once; else with the next renewal.
 */
void lease_looked(struct lease *lease, uint64_t revision, bool now);

/*
 * Wait until the lease of `holder` has ended (LE2). While the store does not answer nothing
 * can be told, so that does not end it. goes_on (or NULL) is asked before each look: is it still worth
 * waiting? Its error, -ECANCELED, or -EUCLEAN for a record that is no lease.
 */
MUST_USE int lease_wait_out(struct fiber *f, struct store *store, const struct uuid *holder,
			    int (*goes_on)(struct fiber *f, void *ctx), void *ctx);

/*
 * The same for who looked before: a revision that is still there has been there since (ST3). What
 * could not be seen is no sight.
 */
struct lease_sight {
	uint64_t revision; /* STORE_ABSENT: none */
	uint64_t since_ns;
	uint64_t taken; /* revision of the record by which its volume was taken (LE4); 0: wait for its end */
};

void lease_see(struct fiber *f, struct store *store, const struct uuid *holder,
	       struct lease_sight *ret);
MUST_USE int lease_wait_out_since(struct fiber *f, struct store *store, const struct uuid *holder,
				  const struct lease_sight *sight,
				  int (*goes_on)(struct fiber *f, void *ctx), void *ctx);

#endif
