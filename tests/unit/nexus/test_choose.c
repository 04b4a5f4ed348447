// SPDX-License-Identifier: Apache-2.0
/* Which member a read goes to. */
#include "nexus_rig.h"

#include "drivers/fault.h"
#include "nexus/nexus_priv.h"

#define REGION_BLOCKS (NEXUS_REGION_BYTES / 512u)
#define READERS	      32u
#define SLACK	      4u
#define GOOD	      "malloc:///good?size_mb=96"
#define SLOW	      "fault:///slow?on=malloc:///below?size_mb=96"

static const struct fault_rule hang_reads = { .ops = 1u << BIO_READ,
					      .last = UINT64_MAX,
					      .action = FAULT_HANG };

struct user {
	struct nexus_rig nr;
	struct bdev *bdev;
	struct bdev_chan *chan;
};

static void user_open(struct fiber *f, struct user *u)
{
	nr_ok(f, nexus_settle(f, u->nr.nexus));
	u->bdev = rig_open(f, "nexus:///v");
	u->chan = rig_chan(f, u->bdev);
}

static void user_close(struct fiber *f, struct user *u)
{
	bdev_chan_close(f, u->chan);
	bdev_close(f, u->bdev);
}

static void read_at(struct fiber *f, struct user *u, uint64_t lba)
{
	uint8_t buf[512];

	nr_ok(f, bdev_read(f, u->chan, lba, 1, buf));
}

/* Who has answered more reads than these counts say; they are brought up to date. */
static nexus_mask who_read(struct user *u, uint64_t counts[NR_CHILDREN])
{
	nexus_mask who = 0;

	for (unsigned i = 0; i < NR_CHILDREN; i++) {
		who |= (nexus_mask)((u->nr.nexus->child[i].reads > counts[i]) << i);
		counts[i] = u->nr.nexus->child[i].reads;
	}
	return who;
}

RIG_TEST(a_place_is_read_from_one_member_and_all_members_have_places)
{
	uint64_t counts[NR_CHILDREN] = { 0 };
	nexus_mask all = 0;
	struct user u;

	nr_start(f, rig, &u.nr, NR_CHILDREN);
	user_open(f, &u);
	(void)who_read(&u, counts);
	for (uint64_t region = 0; region < NR_SIZE / NEXUS_REGION_BYTES; region++) {
		nexus_mask who;

		for (unsigned i = 0; i < 8; i++)
			read_at(f, &u, region * REGION_BLOCKS + 700 * i);
		who = who_read(&u, counts);
		assert_int_equal(__builtin_popcount(who), 1);
		all |= who;
	}
	assert_int_equal(all, (1u << NR_CHILDREN) - 1);
	user_close(f, &u);
	nr_stop(f, &u.nr);
}

/* Its places go to the others, and come back with it. */
RIG_TEST(a_member_that_left_has_no_places)
{
	uint64_t counts[NR_CHILDREN] = { 0 };
	struct user u;

	nr_start(f, rig, &u.nr, NR_CHILDREN);
	user_open(f, &u);
	nr_ok(f, nexus_offline_child(f, u.nr.nexus, nr_uris[1]));
	(void)who_read(&u, counts);
	for (uint64_t region = 0; region < 6; region++)
		read_at(f, &u, region * REGION_BLOCKS);
	assert_int_equal(who_read(&u, counts), 1 << 0 | 1 << 2);
	user_close(f, &u);
	nr_stop(f, &u.nr);
}

struct reader {
	struct user *u;
	uint64_t lba;
	unsigned *open;
};

static int reader_main(struct fiber *f, void *arg)
{
	struct reader *r = arg;

	read_at(f, r->u, r->lba);
	--*r->open;
	return 0;
}

/* CO2: all want the slow one's place, and it keeps only its share of what is under way. */
RIG_TEST(a_slow_member_does_not_collect_all_reads)
{
	const char *uris[] = { GOOD, SLOW };
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = 2 };
	struct reader readers[READERS];
	unsigned open = READERS;
	struct user u;

	nr_start(f, rig, &u.nr, 0);
	struct bdev *good = rig_open(f, GOOD), *slow = rig_open(f, SLOW);
	nr_ok(f, nexus_create(f, u.nr.table, &args, &u.nr.volume));
	nr_open(f, &u.nr);
	user_open(f, &u);
	struct nexus_child *child = &u.nr.nexus->child[1];
	uint64_t before = child->reads, place = REGION_BLOCKS;
	read_at(f, &u, place);
	assert_int_equal(child->reads, before + 1); /* it is the slow one's */
	nr_ok(f, fault_set_rules(f, slow, &hang_reads, 1));
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ &u, place + i, &open };
		nr_ok(f, fiber_start(fiber_reactor(f), "reader", reader_main, &readers[i], NULL));
	}
	while (open > child->inflight)
		fiber_yield(f);
	assert_in_range(child->inflight, SLACK, (READERS + SLACK) / 2 + 1);
	nr_ok(f, fault_set_rules(f, slow, NULL, 0));
	while (open > 0)
		fiber_yield(f);
	user_close(f, &u);
	nexus_close(f, u.nr.nexus);
	u.nr.nexus = NULL;
	bdev_close(f, slow);
	bdev_close(f, good);
	nr_stop(f, &u.nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_is_read_from_one_member_and_all_members_have_places),
		cmocka_unit_test(a_member_that_left_has_no_places),
		cmocka_unit_test(a_slow_member_does_not_collect_all_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
