/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: who may write. */
#include "unit/unit.h"

#include <errno.h>

#include "unit/bdev/rig.h"

struct claiming {
	struct rig_disk *d;
	enum bdev_claim_kind kind;
	const char *who;
	struct bdev_claim claim;
};

static int claim_fn(struct fiber *f, void *arg)
{
	struct claiming *c = arg;

	return bdev_claim(f, c->d->bdev, c->kind, c->who, &c->claim);
}

static int unclaim_fn(struct fiber *f, void *arg)
{
	bdev_unclaim(f, &((struct claiming *)arg)->claim);
	return 0;
}

static void writers_are_alone_and_readers_together(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct claiming w1 = { &d, BDEV_CLAIM_WRITE, "pool p1", { { 0 } } };
	struct claiming w2 = { &d, BDEV_CLAIM_WRITE, "pool p2", { { 0 } } };
	struct claiming r1 = { &d, BDEV_CLAIM_READ, "nbd", { { 0 } } };
	struct claiming r2 = { &d, BDEV_CLAIM_READ, "check", { { 0 } } };
	char words[ERR_WORDS_SIZE];

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 1, claim_fn, &w1, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &w2, words), -EBUSY);
	assert_string_equal(words, "ram:///a is claimed for writing by pool p1");
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &r1, NULL), -EBUSY);
	rig_fiber(&rig, 1, unclaim_fn, &w1, NULL);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &r1, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 1, claim_fn, &r2, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 1, claim_fn, &w2, words), -EBUSY);
	assert_string_equal(words, "ram:///a is claimed for reading by nbd");
	rig_fiber(&rig, 0, unclaim_fn, &r1, NULL);
	rig_fiber(&rig, 0, unclaim_fn, &r2, NULL);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &w2, NULL), 0);
	rig_fiber(&rig, 0, unclaim_fn, &w2, NULL);
	rig_disk_close(&d);
	rig_fini(&rig);
}

static void doors_stand_beside_each_other_only(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct claiming one = { &d, BDEV_CLAIM_DOOR, "nbd", { { 0 } } };
	struct claiming two = { &d, BDEV_CLAIM_DOOR, "nvmf", { { 0 } } };
	struct claiming reader = { &d, BDEV_CLAIM_READ, "check", { { 0 } } };
	struct claiming writer = { &d, BDEV_CLAIM_WRITE, "pool p1", { { 0 } } };
	char words[ERR_WORDS_SIZE];

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 1, claim_fn, &one, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &two, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &reader, words), -EBUSY);
	assert_string_equal(words, "ram:///a is claimed for writing by nbd");
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &writer, NULL), -EBUSY);
	rig_fiber(&rig, 1, unclaim_fn, &one, NULL);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &writer, NULL), -EBUSY);
	rig_fiber(&rig, 0, unclaim_fn, &two, NULL);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &reader, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &one, NULL), -EBUSY);
	rig_fiber(&rig, 0, unclaim_fn, &reader, NULL);
	rig_disk_close(&d);
	rig_fini(&rig);
}

struct ranged {
	struct rig_disk *d;
	enum bdev_claim_kind kind;
	uint64_t first, blocks;
	struct bdev_claim claim;
};

static int ranged_fn(struct fiber *f, void *arg)
{
	struct ranged *c = arg;

	return bdev_claim_range(f, c->d->bdev, c->kind, "me", c->first, c->blocks, &c->claim);
}

static int ranged_end_fn(struct fiber *f, void *arg)
{
	bdev_unclaim(f, &((struct ranged *)arg)->claim);
	return 0;
}

/* CL1: each beside blocks 10..19 and 40 to the end, both being written. */
static void ranges_clash_where_they_share_a_block(void **state)
{
	static const struct {
		uint64_t first, blocks;
		const char *words; /* NULL: no clash */
	} cases[] = {
		{ 0, 10, NULL },
		{ 0, 11, "ram:///a: blocks 10..19 are claimed for writing by me" },
		{ 19, 1, "ram:///a: blocks 10..19 are claimed for writing by me" },
		{ 12, 3, "ram:///a: blocks 10..19 are claimed for writing by me" },
		{ 20, 20, NULL },
		{ 20, 21, "ram:///a: block 40 to the end is claimed for writing by me" },
		{ 20, BDEV_CLAIM_TO_END, "ram:///a: block 40 to the end is claimed for writing by me" },
		{ UINT64_MAX - 1, 1, "ram:///a: block 40 to the end is claimed for writing by me" },
		{ 0, BDEV_CLAIM_TO_END, "ram:///a: blocks 10..19 are claimed for writing by me" },
	};
	struct rig rig;
	struct rig_disk d;
	struct ranged low = { &d, BDEV_CLAIM_WRITE, 10, 10, { { 0 } } };
	struct ranged high = { &d, BDEV_CLAIM_WRITE, 40, BDEV_CLAIM_TO_END, { { 0 } } };
	char words[ERR_WORDS_SIZE];

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 1, ranged_fn, &low, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 0, ranged_fn, &high, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int kind = BDEV_CLAIM_READ; kind <= BDEV_CLAIM_WRITE; kind++) {
			struct ranged c = { &d, (enum bdev_claim_kind)kind, cases[i].first,
					    cases[i].blocks, { { 0 } } };
			int r = rig_fiber(&rig, 0, ranged_fn, &c, words);

			assert_int_equal(r, cases[i].words ? -EBUSY : 0);
			if (cases[i].words)
				assert_string_equal(words, cases[i].words);
			else
				rig_fiber(&rig, 0, ranged_end_fn, &c, NULL);
		}
	}
	rig_fiber(&rig, 0, ranged_end_fn, &low, NULL);
	rig_fiber(&rig, 0, ranged_end_fn, &high, NULL);
	low.kind = high.kind = BDEV_CLAIM_READ;
	high.first = 0;
	assert_int_equal(rig_fiber(&rig, 0, ranged_fn, &low, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 0, ranged_fn, &high, NULL), 0); /* readers share */
	rig_fiber(&rig, 0, ranged_end_fn, &low, NULL);
	rig_fiber(&rig, 0, ranged_end_fn, &high, NULL);
	rig_disk_close(&d);
	rig_fini(&rig);
}

static void a_long_claimant_is_cut(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct claiming c = {
		&d,
		BDEV_CLAIM_WRITE,
		"a claimant whose name has many more letters than a claim has room for",
		{ { 0 } }
	};

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 0, claim_fn, &c, NULL), 0);
	assert_int_equal(strlen(c.claim.who), sizeof(c.claim.who) - 1);
	rig_fiber(&rig, 0, unclaim_fn, &c, NULL);
	rig_disk_close(&d);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writers_are_alone_and_readers_together),
		cmocka_unit_test(doors_stand_beside_each_other_only),
		cmocka_unit_test(ranges_clash_where_they_share_a_block),
		cmocka_unit_test(a_long_claimant_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
