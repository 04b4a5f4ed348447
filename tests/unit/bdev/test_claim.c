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
		cmocka_unit_test(a_long_claimant_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
