// SPDX-License-Identifier: Apache-2.0
/* Leases: kept, lost, usurped, waited out; on a clock of our own. */
#include "store/lease.h"
#include "unit/store/ram_store.h"

#define MS  UINT64_C(1000000)
#define TTL 1200u /* ms: serves for 800, renews every 300 */

static const struct uuid holder = { { 1, 2, 3 } };

struct place {
	struct one one;
	struct store *store;
	struct ram_store *ram;
	int (*body)(struct fiber *f, struct place *p);
};

static int place_main(struct fiber *f, void *arg)
{
	struct place *p = arg;

	assert_int_equal(store_open(f, ram_drivers, "ram:///", &p->store), 0);
	p->ram = ram_of(p->store);
	assert_int_equal(p->body(f, p), 0);
	store_close(f, p->store);
	return 0;
}

static void place_run(int (*body)(struct fiber *f, struct place *p))
{
	struct place p = { .body = body };

	one_init(&p.one);
	assert_int_equal(one_fiber(&p.one, place_main, &p, NULL), 0);
	one_fini(&p.one);
}

static void pass(struct fiber *f, uint64_t ms)
{
	assert_int_equal(fiber_sleep(f, ms * MS), 0);
}

static bool holds(struct fiber *f, const struct lease *lease)
{
	return lease_holds(lease, io_now(fiber_io(f)));
}

static int kept(struct fiber *f, struct place *p)
{
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(holds(f, &lease));
		pass(f, 77);
	}
	assert_in_range(lease.renewals, 25, 27);
	assert_int_equal(lease.term, 1);
	lease_stop(f, &lease);
	assert_false(holds(f, &lease));
	/* nobody waits for one who stopped */
	uint64_t now = io_now(fiber_io(f));
	assert_int_equal(lease_wait_out(f, p->store, &holder, NULL, NULL), 0);
	assert_int_equal(io_now(fiber_io(f)), now);
	return 0;
}

static void it_is_kept_while_the_store_answers(void **state)
{
	(void)state;
	place_run(kept);
}

/* LE1, LE3. */
static int lapses(struct fiber *f, struct place *p)
{
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	p->ram->fail_before = -ETIMEDOUT;
	pass(f, 790);
	assert_true(holds(f, &lease));
	pass(f, 20);
	assert_false(holds(f, &lease));
	assert_true(lease.failures >= 3);
	pass(f, 5000);
	assert_int_equal(lease.term, 1);
	p->ram->fail_before = 0;
	pass(f, 200);
	assert_true(holds(f, &lease));
	assert_int_equal(lease.term, 2);
	lease_stop(f, &lease);
	return 0;
}

static void it_ends_with_the_store_and_begins_a_new_term(void **state)
{
	(void)state;
	place_run(lapses);
}

/* A slow answer counts from its question. */
static int slow(struct fiber *f, struct place *p)
{
	struct lease lease;

	p->ram->delay_ns = 500 * MS;
	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	assert_true(holds(f, &lease));
	pass(f, 301); /* 801 since it was asked for */
	assert_false(holds(f, &lease));
	p->ram->delay_ns = 0;
	lease_stop(f, &lease);
	return 0;
}

static void time_runs_from_the_question(void **state)
{
	(void)state;
	place_run(slow);
}

/* LC2. */
static int unknown(struct fiber *f, struct place *p)
{
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	p->ram->fail_after = -EIO; /* written, but we are told it failed */
	pass(f, 5000);
	assert_true(holds(f, &lease));
	assert_int_equal(lease.term, 1);
	p->ram->fail_after = 0;
	lease_stop(f, &lease);
	assert_int_equal(p->ram->record[0].revision, 0);
	return 0;
}

static void an_unknown_outcome_is_settled_by_reading(void **state)
{
	(void)state;
	place_run(unknown);
}

struct wait {
	struct place *p;
	uint64_t ended_ns;
};

static int wait_main(struct fiber *f, void *arg)
{
	struct wait *wait = arg;
	int r = lease_wait_out(f, wait->p->store, &holder, NULL, NULL);

	wait->ended_ns = io_now(fiber_io(f));
	return r;
}

/*
 * LC2, LE2: the first try was done, and nobody said so for a while: others have counted from then, so
 * it does, too.
 */
static int late_news(struct fiber *f, struct place *p)
{
	for (unsigned silence = 100; silence < 2000; silence += 170) {
		struct wait wait = { .p = p };
		struct fiber *waiter;
		struct lease lease;

		assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
		assert_int_equal(fiber_start(fiber_reactor(f), "wait", wait_main, &wait, &waiter),
				 0);
		p->ram->fall_silent = -ETIMEDOUT;
		pass(f, 299 + 2); /* the renewal at 300 */
		uint64_t done_ns = io_now(fiber_io(f));
		pass(f, silence);
		p->ram->fail_before = 0;
		/* no more renewals than the one of which it hears now */
		while (lease.revision != p->ram->counter)
			pass(f, 1);
		assert_true(lease.good_until_ns <= done_ns + TTL * MS / 3 * 2);
		fiber_cancel(lease.keeper);
		assert_int_equal(fiber_join(f, lease.keeper), 0);
		assert_int_equal(fiber_join(f, waiter), 0);
		assert_true(wait.ended_ns > lease.good_until_ns);
		p->ram->record[0].revision = 0;
	}
	return 0;
}

static void late_news_of_a_renewal_do_not_make_it_younger(void **state)
{
	(void)state;
	place_run(late_news);
}

static int usurped(struct fiber *f, struct place *p)
{
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	strcpy(p->ram->record[0].value, "600 7");
	p->ram->record[0].revision = ++p->ram->counter;
	pass(f, 310);
	assert_true(lease.is_usurped);
	assert_false(holds(f, &lease));
	lease_stop(f, &lease);
	assert_int_not_equal(p->ram->record[0].revision, 0); /* not ours to delete */
	return 0;
}

static void whose_record_was_written_by_another_is_out(void **state)
{
	(void)state;
	place_run(usurped);
}

/* ---- waiting ---------------------------------------------------------------------- */

/* LE2: the waiter goes on after the holder has stopped, however they interleave. */
static int outwaited(struct fiber *f, struct place *p)
{
	for (unsigned phase = 0; phase < 300; phase += 13) {
		struct wait wait = { .p = p };
		struct fiber *waiter;
		struct lease lease;

		assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
		pass(f, phase);
		assert_int_equal(fiber_start(fiber_reactor(f), "wait", wait_main, &wait, &waiter),
				 0);
		pass(f, 3000);
		assert_int_equal(wait.ended_ns, 0);
		/* it dies: it cannot renew, nor delete */
		uint64_t dies_ns = io_now(fiber_io(f));
		uint64_t serves_until_ns = lease.good_until_ns;
		fiber_cancel(lease.keeper);
		assert_int_equal(fiber_join(f, lease.keeper), 0);
		assert_int_equal(fiber_join(f, waiter), 0);
		assert_true(wait.ended_ns > serves_until_ns);
		assert_true(wait.ended_ns <= dies_ns + 2 * TTL * MS);
		p->ram->record[0].revision = 0;
	}
	return 0;
}

/* LE2 with an early look: as long since that, and no shorter; one renewal more, and it begins anew. */
static int seen_before(struct fiber *f, struct place *p)
{
	struct lease_sight sight, none;
	struct lease lease;

	lease_see(f, p->store, &holder, &none);
	assert_int_equal(none.revision, STORE_ABSENT);
	for (unsigned i = 0; i < 2; i++) {
		bool renewed = i;
		uint64_t begin, end;

		assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
		assert_int_equal(fiber_sleep(f, TTL * MS / 8), 0);
		begin = io_now(fiber_io(f));
		lease_see(f, p->store, &holder, &sight);
		assert_int_equal(sight.revision, lease.revision);
		if (renewed)
			assert_int_equal(fiber_sleep(f, TTL * MS / 2), 0);
		fiber_cancel(lease.keeper); /* it dies */
		assert_int_equal(fiber_join(f, lease.keeper), 0);
		assert_int_equal(lease.revision != sight.revision, renewed);
		assert_int_equal(fiber_sleep(f, TTL * MS / 2), 0);
		assert_int_equal(lease_wait_out_since(f, p->store, &holder, &sight, NULL, NULL), 0);
		end = io_now(fiber_io(f));
		assert_true(end > lease.good_until_ns);
		assert_true(end >= begin + TTL * MS * (renewed ? 2 : 1));
		if (!renewed)
			assert_true(end <= begin + TTL * MS * 5 / 4);
		p->ram->record[0].revision = 0;
	}
	return 0;
}

static void an_early_look_counts(void **state)
{
	(void)state;
	place_run(seen_before);
}

static void a_dead_one_is_waited_out_after_it_stopped_serving(void **state)
{
	(void)state;
	place_run(outwaited);
}

/* A store that does not answer proves nothing. */
static int blind(struct fiber *f, struct place *p)
{
	struct wait wait = { .p = p };
	struct fiber *waiter;
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	assert_int_equal(fiber_start(fiber_reactor(f), "wait", wait_main, &wait, &waiter), 0);
	p->ram->fail_before = -EIO;
	pass(f, 20000);
	assert_int_equal(wait.ended_ns, 0);
	fiber_cancel(waiter);
	assert_int_equal(fiber_join(f, waiter), -ECANCELED);
	fiber_clear(f);
	p->ram->fail_before = 0;
	lease_stop(f, &lease);
	return 0;
}

static void a_silent_store_ends_no_lease(void **state)
{
	(void)state;
	place_run(blind);
}

static int three_looks(struct fiber *f, void *ctx)
{
	unsigned *looks = ctx;

	return ++*looks > 3 ? fiber_fail(f, -ESTALE, "no need") : 0;
}

/* The holder lives, and will; the waiter learns that it waits for nothing. */
static int needless(struct fiber *f, struct place *p)
{
	struct lease lease;
	unsigned looks = 0;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	lease_looked(&lease, 1000, true); /* LE4: not asked for by who waits for its end */
	pass(f, 100);
	assert_int_equal(lease_wait_out(f, p->store, &holder, three_looks, &looks), -ESTALE);
	assert_string_equal(fiber_words(f), "no need");
	assert_int_equal(looks, 4);
	fiber_clear(f);
	lease_stop(f, &lease);
	return 0;
}

static void who_need_not_wait_any_more_does_not(void **state)
{
	(void)state;
	place_run(needless);
}

/* LE4. */
struct taken {
	struct place *p;
	struct lease_sight sight;
	bool is_over;
};

static int taken_main(struct fiber *f, void *arg)
{
	struct taken *t = arg;

	assert_int_equal(lease_wait_out_since(f, t->p->store, &holder, &t->sight, NULL, NULL), 0);
	t->is_over = true;
	return 0;
}

static int looks(struct fiber *f, struct place *p)
{
	struct taken t = { .p = p };
	struct fiber *waiter;
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	pass(f, 1000);
	lease_see(f, p->store, &holder, &t.sight);
	t.sight.taken = lease.revision;
	assert_int_equal(fiber_start(fiber_reactor(f), "taken", taken_main, &t, &waiter), 0);
	pass(f, 5000);
	lease_looked(&lease, t.sight.taken - 1, true); /* before it was taken */
	pass(f, 1000);
	lease_looked(&lease, t.sight.taken, true); /* it may have read just before */
	pass(f, 1000);
	assert_false(t.is_over);
	uint64_t renewals = lease.renewals;
	lease_looked(&lease, t.sight.taken + 1, true);
	pass(f, 100); /* at once, and a look of the waiter later: */
	assert_int_equal(lease.renewals, renewals + 1);
	assert_true(t.is_over);
	assert_int_equal(fiber_join(f, waiter), 0);
	assert_true(holds(f, &lease));
	lease_stop(f, &lease);
	return 0;
}

static void who_has_looked_since_is_not_waited_for(void **state)
{
	(void)state;
	place_run(looks);
}

/* LC2: what it says may change between two tries; the first one may have been done. */
static int looked_between(struct fiber *f, struct place *p)
{
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	p->ram->fall_silent = -ETIMEDOUT;
	pass(f, 310); /* renewed, and nobody says so */
	lease_looked(&lease, lease.revision, false);
	p->ram->fail_before = 0;
	pass(f, 400);
	assert_false(lease.is_usurped);
	assert_true(holds(f, &lease));
	lease_stop(f, &lease);
	return 0;
}

static void a_renewal_says_the_same_with_each_try(void **state)
{
	(void)state;
	place_run(looked_between);
}

/* LE5. */
static int ended(struct fiber *f, struct place *p)
{
	struct lease lease;
	uint64_t now;

	assert_int_equal(lease_end(f, p->store, &holder), 0); /* there is none */
	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	p->ram->fail_before = -EIO;
	assert_int_equal(lease_end(f, p->store, &holder), -EIO);
	fiber_clear(f);
	p->ram->fail_before = 0;
	fiber_cancel(lease.keeper); /* it is dead */
	assert_int_equal(fiber_join(f, lease.keeper), 0);
	fiber_clear(f);
	assert_int_equal(lease_end(f, p->store, &holder), 0);
	now = io_now(fiber_io(f));
	assert_int_equal(lease_wait_out(f, p->store, &holder, NULL, NULL), 0);
	assert_int_equal(io_now(fiber_io(f)), now);
	return 0;
}

static void who_is_known_to_be_dead_is_not_waited_for(void **state)
{
	(void)state;
	place_run(ended);
}

static int renew_in_between(struct fiber *f, void *arg)
{
	struct place *p = arg;

	pass(f, 15);
	p->ram->record[0].revision = ++p->ram->counter;
	return 0;
}

/* LE5: it was read, and has been renewed before it is deleted. */
static int lives(struct fiber *f, struct place *p)
{
	struct fiber *fiber;
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
	p->ram->delay_ns = 10 * MS;
	assert_int_equal(fiber_start(fiber_reactor(f), "renew", renew_in_between, p, &fiber), 0);
	assert_int_equal(lease_end(f, p->store, &holder), -EBUSY);
	assert_non_null(strstr(fiber_words(f), "who holds it lives"));
	fiber_clear(f);
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_not_equal(p->ram->record[0].revision, 0);
	lease_stop(f, &lease);
	return 0;
}

static void the_lease_of_one_that_lives_is_not_ended(void **state)
{
	(void)state;
	place_run(lives);
}

static int bad(struct fiber *f, struct place *p)
{
	static const char *const values[] = { "", "x", "1200", "99 1", "600001 1", "{}" };
	struct lease lease;

	assert_int_equal(lease_start(f, p->store, &holder, LEASE_TTL_MS_MIN - 1, &lease), -EINVAL);
	assert_non_null(strstr(fiber_words(f), "100 to 600000 ms, not 99"));
	fiber_clear(f);
	for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
		assert_int_equal(lease_start(f, p->store, &holder, TTL, &lease), 0);
		strcpy(p->ram->record[0].value, values[i]);
		assert_int_equal(lease_wait_out(f, p->store, &holder, NULL, NULL), -EUCLEAN);
		assert_non_null(strstr(fiber_words(f), "is no lease"));
		fiber_clear(f);
		lease_stop(f, &lease);
	}
	return 0;
}

static void what_is_no_lease_is_refused(void **state)
{
	(void)state;
	place_run(bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_kept_while_the_store_answers),
		cmocka_unit_test(it_ends_with_the_store_and_begins_a_new_term),
		cmocka_unit_test(time_runs_from_the_question),
		cmocka_unit_test(an_unknown_outcome_is_settled_by_reading),
		cmocka_unit_test(late_news_of_a_renewal_do_not_make_it_younger),
		cmocka_unit_test(whose_record_was_written_by_another_is_out),
		cmocka_unit_test(a_dead_one_is_waited_out_after_it_stopped_serving),
		cmocka_unit_test(an_early_look_counts),
		cmocka_unit_test(a_silent_store_ends_no_lease),
		cmocka_unit_test(who_need_not_wait_any_more_does_not),
		cmocka_unit_test(who_has_looked_since_is_not_waited_for),
		cmocka_unit_test(a_renewal_says_the_same_with_each_try),
		cmocka_unit_test(who_is_known_to_be_dead_is_not_waited_for),
		cmocka_unit_test(the_lease_of_one_that_lives_is_not_ended),
		cmocka_unit_test(what_is_no_lease_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
