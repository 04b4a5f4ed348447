// SPDX-License-Identifier: Apache-2.0
/* Owners that take a volume from one another: who is waited for, and who learns that it is none (TO4, TO5, LK). */
#include "nexus_rig.h"

#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#define MS     UINT64_C(1000000)
#define TTL    600u
#define AWHILE (50 * MS)

/* A second process, as far as the store can tell. */
static struct nexus_table *other_table(struct fiber *f, struct nexus_rig *nr, uint32_t ttl_ms)
{
	const struct nexus_table_opts opts = { .store = nr->store,
					       .instance = { { 2 } },
					       .lease_ttl_ms = ttl_ms };
	struct nexus_table *table;

	nr_ok(f, nexus_table_new(f, &opts, &table));
	return table;
}

/* ... that died with this lease, and is seen to have it for a while. */
static void dead_lease(struct fiber *f, struct nexus_rig *nr, uint8_t who, const char *value)
{
	const struct uuid holder = { { who } };
	char key[STORE_KEY_MAX + 1], text[UUID_TEXT_SIZE];
	uint64_t revision;

	snprintf(key, sizeof(key), "lease/%s", uuid_print(&holder, text));
	nr_ok(f, store_put(f, nr->store, key, STORE_ABSENT, value, (uint32_t)strlen(value),
			   &revision));
}

static struct volume_record *record_get(struct fiber *f, struct nexus_rig *nr, uint64_t *revision)
{
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));

	nr_ok(f, volume_get(f, nr->store, &nr->volume, rec, revision));
	return rec;
}

static unsigned earlier_count(struct fiber *f, struct nexus_rig *nr)
{
	uint64_t revision;
	struct volume_record *rec = record_get(f, nr, &revision);
	unsigned count = rec->earlier_count;

	mem_free(rec);
	return count;
}

/*
 * What a chain leaves: owner 1 served members 0 and 1, owner 9 sealed, could not fence member 1, and died
 * before it had waited for anybody.
 */
static void leave_chain(struct fiber *f, struct nexus_rig *nr, unsigned earlier)
{
	uint64_t revision;
	struct volume_record *rec = record_get(f, nr, &revision);

	rec->epoch++;
	rec->owner = (struct uuid){ { 9 } };
	rec->clean = false;
	rec->members[1].state = VOLUME_OUT;
	rec->gen_epoch = rec->epoch;
	rec->gen_n++;
	rec->earlier_count = earlier;
	for (unsigned i = 0; i < earlier; i++)
		rec->earlier[i] = (struct uuid){ { (uint8_t)(20 + i) } };
	nr_ok(f, volume_put(f, nr->store, rec, &revision));
	mem_free(rec);
}

static void chain_start(struct fiber *f, struct rig *rig, struct nexus_rig *nr)
{
	nr_start(f, rig, nr, 2);
	nexus_close(f, nr->nexus);
	nr->nexus = NULL;
}

/* TO4: the one before the one before may read from a member that the last one could not fence. */
RIG_TEST(an_earlier_owner_is_waited_for_though_all_members_can_be_fenced)
{
	struct nexus_rig nr;

	chain_start(f, rig, &nr);
	leave_chain(f, &nr, 1);
	dead_lease(f, &nr, 20, "600 5 0");
	uint64_t begin = io_now(fiber_io(f));
	nr_open(f, &nr);
	assert_true(io_now(fiber_io(f)) - begin >= TTL * MS);
	assert_int_equal(earlier_count(f, &nr), 0);
	nr_stop(f, &nr);
}

struct opener {
	struct nexus_rig *nr;
	struct nexus_table *table;
	struct nexus *nexus;
	bool is_over;
};

static int opener_main(struct fiber *f, void *arg)
{
	struct opener *o = arg;
	int r = nexus_open(f, o->table, &o->nr->volume, false, &o->nexus);

	o->is_over = true;
	fiber_clear(f);
	return r;
}

/* SEAL tells of the owner that was, before anything of it is known; and who waits has not dropped the others. */
RIG_TEST(the_record_keeps_owners_that_were_until_they_are_waited_for)
{
	struct opener o;
	struct fiber *fiber;
	struct nexus_rig nr;
	uint64_t revision;

	chain_start(f, rig, &nr);
	leave_chain(f, &nr, 1);
	dead_lease(f, &nr, 20, "600000 5 0");
	o = (struct opener){ .nr = &nr, .table = nr.table };
	assert_int_equal(fiber_start(fiber_reactor(f), "open", opener_main, &o, &fiber), 0);
	nr_ok(f, fiber_sleep(f, 4 * AWHILE));
	assert_false(o.is_over);
	struct volume_record *rec = record_get(f, &nr, &revision);
	assert_int_equal(rec->owner.bytes[0], 1);
	assert_int_equal(rec->earlier_count, 2);
	assert_int_equal(rec->earlier[0].bytes[0], 20);
	assert_int_equal(rec->earlier[1].bytes[0], 9);
	mem_free(rec);
	fiber_cancel(fiber);
	assert_int_equal(fiber_join(f, fiber), -ECANCELED);
	nr_stop(f, &nr);
}

/* The owner that the record names is not, if all that it read from could be fenced. */
RIG_TEST(who_left_no_member_unfenced_is_not_waited_for)
{
	struct nexus_rig nr;

	chain_start(f, rig, &nr);
	leave_chain(f, &nr, 0);
	dead_lease(f, &nr, 9, "600000 5 0");
	nr_open(f, &nr);
	assert_int_equal(earlier_count(f, &nr), 0);
	nr_stop(f, &nr);
}

/* The limit: they are waited for before the record is written. */
RIG_TEST(with_no_room_for_one_more_the_earlier_ones_are_waited_for_first)
{
	struct opener o;
	struct fiber *fiber;
	struct nexus_rig nr;
	uint64_t revision, before;

	chain_start(f, rig, &nr);
	leave_chain(f, &nr, VOLUME_EARLIER_MAX);
	mem_free(record_get(f, &nr, &before));
	dead_lease(f, &nr, 20, "600 5 0");
	o = (struct opener){ .nr = &nr, .table = nr.table };
	assert_int_equal(fiber_start(fiber_reactor(f), "open", opener_main, &o, &fiber), 0);
	nr_ok(f, fiber_sleep(f, AWHILE));
	mem_free(record_get(f, &nr, &revision));
	assert_int_equal(revision, before);
	assert_int_equal(fiber_join(f, fiber), 0);
	nr.nexus = o.nexus;
	nr_stop(f, &nr);
}

/* ---- those who live ------------------------------------------------------------------------ */

/* LK, LE4, TO5: an owner that lives lets go, says so, and is waited for no longer. */
RIG_TEST(an_owner_that_lives_and_is_idle_learns_that_it_is_none_and_is_not_waited_for)
{
	struct opener o;
	struct fiber *fiber;
	struct nexus_table *old;
	struct nexus *idle;
	struct nexus_rig nr;

	chain_start(f, rig, &nr);
	old = other_table(f, &nr, TTL);
	nr_ok(f, nexus_open(f, old, &nr.volume, false, &idle));
	nr_break(&nr, 1); /* it cannot be fenced */
	o = (struct opener){ .nr = &nr, .table = nr.table };
	assert_int_equal(fiber_start(fiber_reactor(f), "open", opener_main, &o, &fiber), 0);
	assert_int_equal(fiber_join(f, fiber), 0); /* it ends */
	assert_int_equal(idle->state, NEXUS_DEPOSED);
	assert_true(lease_holds(nexus_table_lease(old), io_now(fiber_io(f))));
	assert_true(nexus_table_lease(old)->looked > 0);
	nr.nexus = o.nexus;
	nexus_abandon(f, idle);
	nexus_table_free(f, old);
	nexus_close(f, nr.nexus);
	nr.nexus = NULL;
	nr_repair(f, &nr, 1);
	nr_stop(f, &nr);
}

static bool is_deposed(struct fiber *f, struct nexus *n)
{
	for (unsigned i = 0; i < 200 && n->state != NEXUS_DEPOSED; i++)
		nr_ok(f, fiber_sleep(f, AWHILE));
	return n->state == NEXUS_DEPOSED;
}

/* It shows hosts what it is, though nobody asks it for anything. */
RIG_TEST(an_idle_owner_whose_volume_is_gone_or_taken_shows_it)
{
	struct nexus_table *old;
	struct nexus_rig nr;
	struct nexus *idle;
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;

	chain_start(f, rig, &nr);
	old = other_table(f, &nr, TTL);
	nr_ok(f, nexus_open(f, old, &nr.volume, false, &idle));
	nr_ok(f, fiber_sleep(f, TTL * MS));
	assert_int_equal(idle->state, NEXUS_SERVING);
	leave_chain(f, &nr, 0);
	idle->rec.epoch += 100; /* LK4: it is about to be raised */
	assert_true(is_deposed(f, idle));
	nexus_abandon(f, idle);
	nr_ok(f, nexus_open(f, old, &nr.volume, false, &idle));
	nr_ok(f, nexus_settle(f, idle)); /* nothing is written any more that could find out */
	volume_key(&nr.volume, key);
	mem_free(record_get(f, &nr, &revision));
	nr_ok(f, store_del(f, nr.store, key, revision));
	assert_true(is_deposed(f, idle));
	nexus_abandon(f, idle);
	nexus_table_free(f, old);
	nr_stop(f, &nr);
}

/* LK4: the record does not say so yet. */
RIG_TEST(an_epoch_that_was_raised_a_moment_ago_deposes_nobody)
{
	struct nexus_table *table;
	struct nexus_rig nr;
	struct nexus *n;

	chain_start(f, rig, &nr);
	table = other_table(f, &nr, TTL);
	nr_ok(f, nexus_open(f, table, &nr.volume, false, &n));
	nr_ok(f, nexus_settle(f, n));
	n->rec.epoch++;
	uint64_t renewals = nexus_table_lease(table)->renewals;
	while (nexus_table_lease(table)->renewals < renewals + 3)
		nr_ok(f, fiber_sleep(f, AWHILE));
	assert_int_equal(n->state, NEXUS_SERVING);
	n->rec.epoch--;
	nexus_close(f, n);
	nexus_table_free(f, table);
	nr_stop(f, &nr);
}

/* LK3. */
RIG_TEST(who_cannot_see_its_records_does_not_say_that_it_looked)
{
	struct nexus_table *old;
	struct nexus_rig nr;
	struct nexus *idle;
	uint64_t looked;

	chain_start(f, rig, &nr);
	old = other_table(f, &nr, TTL);
	nr_ok(f, nexus_open(f, old, &nr.volume, false, &idle));
	while (nexus_table_lease(old)->looked == 0)
		nr_ok(f, fiber_sleep(f, AWHILE));
	for (unsigned i = 0; i < RAM_RECORDS; i++) /* a record that cannot be read */
		if (strncmp(nr.ram->record[i].key, "volume/", 7) == 0)
			nr.ram->record[i].value[0] = 'x';
	nr_ok(f, fiber_sleep(f, AWHILE)); /* a look under way */
	looked = nexus_table_lease(old)->looked;
	nr_ok(f, fiber_sleep(f, TTL * MS));
	assert_int_equal(nexus_table_lease(old)->looked, looked);
	assert_int_equal(idle->state, NEXUS_SERVING);
	for (unsigned i = 0; i < RAM_RECORDS; i++)
		if (strncmp(nr.ram->record[i].key, "volume/", 7) == 0)
			nr.ram->record[i].value[0] = '{';
	nexus_close(f, idle);
	nexus_table_free(f, old);
	nr_stop(f, &nr);
}

static void lease_gone(struct nexus_rig *nr, uint8_t who)
{
	const struct uuid holder = { { who } };
	char key[STORE_KEY_MAX + 1], text[UUID_TEXT_SIZE];

	snprintf(key, sizeof(key), "lease/%s", uuid_print(&holder, text));
	for (unsigned i = 0; i < RAM_RECORDS; i++)
		if (strcmp(nr->ram->record[i].key, key) == 0)
			nr->ram->record[i].revision = 0;
}

/* LK2: two that open, and wait for one another, would not look for ever. */
RIG_TEST(who_opens_has_looked_and_looks_again_before_it_serves)
{
	struct opener o;
	struct fiber *fiber;
	struct nexus_rig nr;
	struct lease *lease;
	struct nexus *n;

	chain_start(f, rig, &nr);
	leave_chain(f, &nr, 1);
	dead_lease(f, &nr, 20, "60000 5 0");
	o = (struct opener){ .nr = &nr, .table = other_table(f, &nr, TTL) };
	lease = nexus_table_lease(o.table);
	assert_int_equal(fiber_start(fiber_reactor(f), "open", opener_main, &o, &fiber), 0);
	while (!(n = nexus_find(o.table, "v")) || n->gen.epoch == 0 || lease->looked < n->revision)
		nr_ok(f, fiber_sleep(f, AWHILE));
	assert_true(n->must_look && !o.is_over);
	lease_gone(&nr, 20);
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_false(n->must_look);
	n->must_look = true;
	leave_chain(f, &nr, 0);
	assert_int_equal(look_before_serving(f, n), -ESTALE);
	fiber_clear(f);
	assert_int_equal(n->state, NEXUS_DEPOSED);
	nexus_abandon(f, n);
	nexus_table_free(f, o.table);
	nr_stop(f, &nr);
}

static int close_main(struct fiber *f, void *arg)
{
	nexus_close(f, arg);
	return 0;
}

/* What a closing nexus waits for may find another owner: it is none that closed it clean. */
RIG_TEST(who_is_deposed_while_it_closes_ends_all_the_same)
{
	struct volume_record *rec;
	struct fiber *fiber;
	struct nexus_rig nr;
	uint64_t revision;

	nr_start(f, rig, &nr, 2);
	event_clear(&nr.nexus->resumed); /* it has to wait */
	assert_int_equal(fiber_start(fiber_reactor(f), "close", close_main, nr.nexus, &fiber), 0);
	while (nr.nexus->state != NEXUS_CLOSING)
		nr_ok(f, fiber_sleep(f, MS));
	leave_chain(f, &nr, 0);
	owner_deposed(nr.nexus);
	event_set(&nr.nexus->resumed);
	assert_int_equal(fiber_join(f, fiber), 0);
	nr.nexus = NULL;
	rec = record_get(f, &nr, &revision);
	assert_int_equal(rec->owner.bytes[0], 9);
	assert_false(rec->clean);
	mem_free(rec);
	nr_stop(f, &nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_earlier_owner_is_waited_for_though_all_members_can_be_fenced),
		cmocka_unit_test(the_record_keeps_owners_that_were_until_they_are_waited_for),
		cmocka_unit_test(who_left_no_member_unfenced_is_not_waited_for),
		cmocka_unit_test(with_no_room_for_one_more_the_earlier_ones_are_waited_for_first),
		cmocka_unit_test(
			an_owner_that_lives_and_is_idle_learns_that_it_is_none_and_is_not_waited_for),
		cmocka_unit_test(an_idle_owner_whose_volume_is_gone_or_taken_shows_it),
		cmocka_unit_test(an_epoch_that_was_raised_a_moment_ago_deposes_nobody),
		cmocka_unit_test(who_cannot_see_its_records_does_not_say_that_it_looked),
		cmocka_unit_test(who_opens_has_looked_and_looks_again_before_it_serves),
		cmocka_unit_test(who_is_deposed_while_it_closes_ends_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
