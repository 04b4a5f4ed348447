// SPDX-License-Identifier: Apache-2.0
/*
 * lease - kept by a fiber, waited out by another. See lease.h.
 *
 * The value is "<ttl in ms> <renewals> <looked>" in decimal (LE4); a program that did not look wrote two.
 *
 * LC1. A renewal is tried four times in a ttl; while it fails, eight times.
 * LC2. After a put whose outcome is unknown (ST4) the record is read: if it says what we wanted
 *	to write, that was ours. It may have been written by the first try already, so it counts
 *	from there: others have seen it since (LE2). All tries of a renewal write the same.
 */
#include "store/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/must.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define NS_PER_MS	 UINT64_C(1000000)
#define LEASE_VALUE_MAX	 64
#define LEASE_KEY_PREFIX "lease/"

static void lease_key(const struct uuid *holder, char key[STORE_KEY_MAX + 1])
{
	char text[UUID_TEXT_SIZE];

	snprintf(key, STORE_KEY_MAX + 1, LEASE_KEY_PREFIX "%s", uuid_print(holder, text));
}

static uint64_t lease_ttl_ns(const struct lease *lease)
{
	return lease->ttl_ms * NS_PER_MS;
}

/* LE1, LE3. */
static void lease_renewed(struct fiber *f, struct lease *lease, uint64_t began_ns)
{
	if (!lease_holds(lease, io_now(fiber_io(f))))
		lease->term++;
	lease->renewals++;
	lease->asked_ns = 0;
	event_set(&lease->renewed);
	lease->good_until_ns = began_ns + lease_ttl_ns(lease) / 3 * 2;
}

/* LC2. */
static int lease_settle(struct fiber *f, struct lease *lease, const char *key, const char *value)
{
	CLEANUP(cleanup_mem)
	struct store_record *now = mem_new(fiber_io(f), sizeof(*now));
	int r = now ? store_get(f, lease->store, key, now) : -ENOMEM;

	if (r < 0)
		return r;
	if (strcmp(now->value, value) == 0)
		lease->revision = now->revision;
	else if (now->revision != lease->revision)
		return fiber_fail(f, -ESTALE, "lease '%s' was written by somebody else", key);
	else
		return -EIO; /* it was not done, as yet */
	return 0;
}

/* One renewal, or the first. */
static int lease_renew(struct fiber *f, struct lease *lease)
{
	char key[STORE_KEY_MAX + 1], value[LEASE_VALUE_MAX];
	uint64_t began_ns = io_now(fiber_io(f));

	if (lease->asked_ns == 0) {
		lease->asked_ns = began_ns;
		lease->said = lease->looked;
	}
	lease_key(&lease->holder, key);
	int len = snprintf(value, sizeof(value), "%" PRIu32 " %" PRIu64 " %" PRIu64, lease->ttl_ms,
			   lease->renewals + 1, lease->said);
	int r = store_put(f, lease->store, key, lease->revision, value, (uint32_t)len,
			  &lease->revision);
	if (r < 0 && r != -ECANCELED) {
		fiber_clear(f);
		r = lease_settle(f, lease, key, value);
		began_ns = lease->asked_ns; /* LC2 */
	}
	if (r == 0)
		lease_renewed(f, lease, began_ns);
	return r;
}

/* The next renewal is due (LC1), or wanted (LE4). */
static int lease_pause(struct fiber *f, struct lease *lease, uint64_t wait_ns)
{
	int r = event_wait_until(f, &lease->due, io_now(fiber_io(f)) + wait_ns);

	event_clear(&lease->due);
	return r == -ETIMEDOUT ? 0 : r;
}

static int lease_keep(struct fiber *f, void *arg)
{
	struct lease *lease = arg;
	uint64_t wait_ns = lease_ttl_ns(lease) / 4;

	while (lease_pause(f, lease, wait_ns) == 0 && !lease->is_usurped) {
		int r = lease_renew(f, lease);

		lease->failures += r < 0;
		lease->is_usurped = r == -ESTALE || r == -ENOENT;
		if (lease->is_usurped)
			lease->good_until_ns = 0;
		wait_ns = lease_ttl_ns(lease) /
			  (r < 0 || !lease_holds(lease, io_now(fiber_io(f))) ? 8 : 4);
		fiber_clear(f);
	}
	return 0;
}

int lease_start(struct fiber *f, struct store *store, const struct uuid *holder, uint32_t ttl_ms,
		struct lease *lease)
{
	if (ttl_ms < LEASE_TTL_MS_MIN || ttl_ms > LEASE_TTL_MS_MAX)
		return fiber_fail(f, -EINVAL, "lease: a ttl is %u to %u ms, not %u",
				  LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX, ttl_ms);
	*lease = (struct lease){ .store = store, .holder = *holder, .ttl_ms = ttl_ms };
	event_init(&lease->renewed);
	event_init(&lease->due);
	int r = lease_renew(f, lease);
	if (r == 0)
		r = fiber_start(fiber_reactor(f), "lease", lease_keep, lease, &lease->keeper);
	return r;
}

void lease_stop(struct fiber *f, struct lease *lease)
{
	char key[STORE_KEY_MAX + 1];

	fiber_cancel(lease->keeper);
	(void)fiber_join(f, lease->keeper);
	lease->good_until_ns = 0;
	lease_key(&lease->holder, key);
	if (!lease->is_usurped && store_del(f, lease->store, key, lease->revision) < 0)
		fiber_clear(f); /* others will have to wait it out */
}

int lease_end(struct fiber *f, struct store *store, const struct uuid *holder)
{
	CLEANUP(cleanup_mem)
	struct store_record *record = mem_new(fiber_io(f), sizeof(*record));
	char key[STORE_KEY_MAX + 1];
	int r = record ? 0 : fiber_fail(f, -ENOMEM, "no memory to end a lease");

	lease_key(holder, key);
	if (r == 0)
		r = store_get(f, store, key, record);
	if (r == 0)
		r = store_del(f, store, key, record->revision);
	if (r == -ENOENT) {
		fiber_clear(f);
		return 0;
	}
	if (r != -ESTALE)
		return r;
	fiber_clear(f);
	return fiber_fail(f, -EBUSY, "'%s' is renewed: who holds it lives", key);
}

void lease_looked(struct lease *lease, uint64_t revision, bool now)
{
	lease->looked = revision;
	if (now)
		event_set(&lease->due);
}

/* ---- waiting one out ----------------------------------------------------------- */

static int lease_parse(struct fiber *f, const struct store_record *record, uint64_t *ret_ttl_ns,
		       uint64_t *ret_looked)
{
	uint64_t renewals, looked = 0;
	uint32_t ttl_ms;

	if (sscanf(record->value, "%" SCNu32 " %" SCNu64 " %" SCNu64, &ttl_ms, &renewals, &looked) <
		    2 ||
	    ttl_ms < LEASE_TTL_MS_MIN || ttl_ms > LEASE_TTL_MS_MAX)
		return fiber_fail(f, -EUCLEAN, "'%s' is no lease: \"%.40s\"", record->key,
				  record->value);
	*ret_ttl_ns = ttl_ms * NS_PER_MS;
	*ret_looked = looked;
	return 0;
}

void lease_see(struct fiber *f, struct store *store, const struct uuid *holder,
	       struct lease_sight *ret)
{
	CLEANUP(cleanup_mem)
	struct store_record *record = mem_new(fiber_io(f), sizeof(*record));
	char key[STORE_KEY_MAX + 1];

	*ret = (struct lease_sight){ STORE_ABSENT, 0, 0 };
	lease_key(holder, key);
	if (record && store_get(f, store, key, record) == 0)
		*ret = (struct lease_sight){ record->revision, io_now(fiber_io(f)), 0 };
	fiber_clear(f);
}

int lease_wait_out(struct fiber *f, struct store *store, const struct uuid *holder,
		   int (*goes_on)(struct fiber *f, void *ctx), void *ctx)
{
	static const struct lease_sight none = { STORE_ABSENT, 0, 0 };

	return lease_wait_out_since(f, store, holder, &none, goes_on, ctx);
}

int lease_wait_out_since(struct fiber *f, struct store *store, const struct uuid *holder,
			 const struct lease_sight *sight,
			 int (*goes_on)(struct fiber *f, void *ctx), void *ctx)
{
	CLEANUP(cleanup_mem)
	struct store_record *record = mem_new(fiber_io(f), sizeof(*record));
	char key[STORE_KEY_MAX + 1];
	uint64_t seen = sight->revision, since_ns = sight->since_ns;
	uint64_t ttl_ns = LEASE_TTL_MS_MIN * NS_PER_MS, looked = 0;
	int r;

	if (!record)
		return fiber_fail(f, -ENOMEM, "no memory to wait for a lease");
	lease_key(holder, key);
	for (;;) {
		r = goes_on ? goes_on(f, ctx) : 0;
		if (r < 0)
			return r;
		uint64_t asked_ns = io_now(fiber_io(f));
		r = store_get(f, store, key, record);
		if (r == -ENOENT || r == -ECANCELED)
			break;
		if (r == 0 && lease_parse(f, record, &ttl_ns, &looked) < 0)
			return -EUCLEAN;
		if (r == 0 && sight->taken && looked > sight->taken)
			return 0; /* LE4 */
		if (r == 0 && record->revision != seen) {
			seen = record->revision;
			since_ns = io_now(fiber_io(f));
		} else if (r == 0 && asked_ns >= since_ns + ttl_ns) {
			return 0; /* LE2 */
		}
		fiber_clear(f);
		r = fiber_sleep(f, ttl_ns / 16);
		if (r < 0)
			return r;
	}
	if (r == -ENOENT) {
		fiber_clear(f);
		r = 0;
	}
	return r;
}
