// SPDX-License-Identifier: Apache-2.0
/* The last member whose disk failed: kept, in doubt, and copied anew when another is in sync (doubt.c). */
#include "nexus_rig.h"

#include "drivers/fault.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"

#define MS	  UINT64_C(1000000)
#define LABEL	  2048u /* blocks in front of the data */
#define FAULTY(i) "fault:///f" #i "?on=malloc:///m" #i "?size_mb=20"

static const char *const uris[] = { FAULTY(0), FAULTY(1) };

struct doubtful {
	struct nexus_rig nr;
	struct bdev *disk[2], *bdev;
	struct bdev_chan *chan;
};

static void begin(struct fiber *f, struct rig *rig, struct doubtful *x, unsigned count)
{
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = count };
	uint8_t buf[512];

	nr_start(f, rig, &x->nr, 0);
	for (unsigned i = 0; i < count; i++)
		x->disk[i] = rig_open(f, uris[i]);
	nr_ok(f, nexus_create(f, x->nr.table, &args, &x->nr.volume));
	nr_open(f, &x->nr);
	nr_ok(f, nexus_settle(f, x->nr.nexus));
	x->nr.table->retry_ms = 10;
	x->bdev = rig_open(f, "nexus:///v");
	x->chan = rig_chan(f, x->bdev);
	memset(buf, 7, sizeof(buf));
	nr_ok(f, bdev_write(f, x->chan, 500, 1, buf, 0));
}

static void end(struct fiber *f, struct doubtful *x, unsigned count)
{
	bdev_chan_close(f, x->chan);
	bdev_close(f, x->bdev);
	nexus_close(f, x->nr.nexus);
	x->nr.nexus = NULL;
	for (unsigned i = 0; i < count; i++)
		bdev_close(f, x->disk[i]);
	nr_stop(f, &x->nr);
}

/* In the record. */
static bool is_doubted(struct fiber *f, struct doubtful *x, unsigned i)
{
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	uint64_t revision;
	bool is;

	nr_ok(f, volume_get(f, x->nr.store, &x->nr.volume, rec, &revision));
	is = rec->members[i].state == VOLUME_IN_SYNC && rec->members[i].reason[0];
	mem_free(rec);
	return is;
}

/* RB6: the other one joins as the first one leaves. Records are slow, so that one between would be seen. */
static void until_changed_places(struct fiber *f, struct doubtful *x)
{
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	uint64_t revision;

	x->nr.ram->delay_ns = 10 * MS;
	do {
		nr_ok(f, volume_get(f, x->nr.store, &x->nr.volume, rec, &revision));
		assert_int_not_equal(rec->members[0].state == VOLUME_IN_SYNC,
				     rec->members[1].state == VOLUME_IN_SYNC);
	} while (rec->members[0].state == VOLUME_IN_SYNC);
	x->nr.ram->delay_ns = 0;
	mem_free(rec);
}

static int writer_main(struct fiber *f, void *arg)
{
	struct doubtful *x = arg;
	uint8_t buf[512] = { 9 };

	return bdev_write(f, x->chan, 600, 1, buf, 0);
}

/* A write to the one that is left fails, and is done when the volume has come back by itself. */
static void write_fails(struct fiber *f, struct doubtful *x, int status)
{
	const struct fault_rule rule = {
		.ops = 1u << BIO_WRITE, .first = LABEL + 600, .last = LABEL + 600, .status = status
	};
	struct fiber *writer;

	nr_ok(f, fault_set_rules(f, x->disk[0], &rule, 1));
	nr_ok(f, fiber_start(fiber_reactor(f), "writer", writer_main, x, &writer));
	while (x->nr.nexus->state != NEXUS_STOPPED)
		nr_ok(f, fiber_sleep(f, MS));
	nr_ok(f, fault_set_rules(f, x->disk[0], NULL, 0));
	assert_int_equal(fiber_join(f, writer), 0);
	nr_ok(f, nexus_settle(f, x->nr.nexus));
}

/* The last rebuild was of this one, and whole. */
static bool is_copied(struct doubtful *x, unsigned i)
{
	struct nexus_rebuild_record last;

	return nexus_history(x->nr.nexus, &last, 1) == 1 && strcmp(last.uri, uris[i]) == 0 &&
	       last.result == 0 && !last.is_partial;
}

static void until_in_sync(struct fiber *f, struct doubtful *x, unsigned count)
{
	struct nexus_info info;
	unsigned in_sync;

	do {
		nr_ok(f, fiber_sleep(f, MS));
		nexus_info(x->nr.nexus, &info);
		in_sync = 0;
		for (unsigned i = 0; i < count; i++)
			in_sync += info.children[i].state == NEXUS_CHILD_IN_SYNC;
	} while (in_sync < count || info.state != NEXUS_SERVING);
}

/* Of two, one is away. */
static void fails_alone(struct fiber *f, struct rig *rig, struct doubtful *x, int status)
{
	begin(f, rig, x, 2);
	nr_ok(f, nexus_offline_child(f, x->nr.nexus, uris[1]));
	write_fails(f, x, status);
}

/* The other one comes back: DB2. */
static void ends_copied(struct fiber *f, struct doubtful *x)
{
	nr_ok(f, nexus_online_child(f, x->nr.nexus, uris[1]));
	until_changed_places(f, x);
	nr_ok(f, fault_set_rules(f, x->disk[0], NULL, 0));
	while (!is_copied(x, 0))
		nr_ok(f, fiber_sleep(f, MS));
	until_in_sync(f, x, 2);
	assert_false(is_doubted(f, x, 0));
	end(f, x, 2);
}

/* DB1, DB2. */
RIG_TEST(the_last_one_whose_disk_failed_is_copied_when_another_is_in_sync)
{
	struct doubtful x;

	fails_alone(f, rig, &x, -EIO);
	assert_true(is_doubted(f, &x, 0));
	ends_copied(f, &x);
}

/* DB1: the next owner knows it, too. */
RIG_TEST(a_doubt_survives_its_owner)
{
	struct doubtful x;

	fails_alone(f, rig, &x, -EIO);
	bdev_chan_close(f, x.chan);
	bdev_close(f, x.bdev);
	nexus_close(f, x.nr.nexus);
	nr_open(f, &x.nr);
	assert_true(is_doubted(f, &x, 0));
	x.bdev = rig_open(f, "nexus:///v");
	x.chan = rig_chan(f, x.bdev);
	ends_copied(f, &x);
}

/* RB6: what it was asked to flush before the other one joins. */
RIG_TEST(a_source_that_cannot_flush_gives_way)
{
	const struct fault_rule rule = {
		.ops = 1u << BIO_FLUSH, .last = UINT64_MAX, .status = -EIO
	};
	struct doubtful x;

	begin(f, rig, &x, 2);
	nr_ok(f, nexus_offline_child(f, x.nr.nexus, uris[1]));
	nr_ok(f, fault_set_rules(f, x.disk[0], &rule, 1));
	ends_copied(f, &x);
}

/* DB3. */
RIG_TEST(who_could_not_be_reached_is_not_in_doubt)
{
	struct doubtful x;

	fails_alone(f, rig, &x, -ENOTCONN);
	assert_false(is_doubted(f, &x, 0));
	nr_ok(f, nexus_online_child(f, x.nr.nexus, uris[1]));
	nr_ok(f, nexus_settle(f, x.nr.nexus));
	until_in_sync(f, &x, 2);
	assert_false(is_copied(&x, 0));
	end(f, &x, 2);
}

/* DB4: both say EIO; what the one that is read from holds is written to the other, and it is copied in turn. */
RIG_TEST(of_two_in_doubt_the_one_that_was_written_again_is_believed)
{
	struct nexus_rebuild_record last;
	struct doubtful x;
	struct nexus_rig *nr = &x.nr;

	nr_start(f, rig, nr, 2);
	nr->table->retry_ms = 10;
	nr_put(f, "nexus:///v", 5, 1, 1);
	for (unsigned i = 0; i < 2; i++)
		retire(&nr->nexus->child[i], -EIO);
	while (nr->nexus->state != NEXUS_STOPPED)
		nr_ok(f, fiber_sleep(f, MS));
	for (unsigned i = 0; i < 2; i++)
		assert_true(is_doubted(f, &x, i));
	for (unsigned ms = 0; nexus_history(nr->nexus, &last, 1) == 0; ms++) {
		assert_in_range(ms, 0, 20000);
		nr_ok(f, fiber_sleep(f, MS));
	}
	nr_ok(f, nexus_settle(f, nr->nexus));
	assert_string_equal(last.uri, nr_uris[0]);
	assert_int_equal(last.result, 0);
	assert_false(last.is_partial);
	for (unsigned i = 0; i < 2; i++)
		assert_false(is_doubted(f, &x, i));
	nr_check_equal(f, nr);
	nr_stop(f, nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_one_whose_disk_failed_is_copied_when_another_is_in_sync),
		cmocka_unit_test(a_doubt_survives_its_owner),
		cmocka_unit_test(a_source_that_cannot_flush_gives_way),
		cmocka_unit_test(of_two_in_doubt_the_one_that_was_written_again_is_believed),
		cmocka_unit_test(who_could_not_be_reached_is_not_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
