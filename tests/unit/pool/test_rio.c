// SPDX-License-Identifier: Apache-2.0
/*
 * The I/O path over real pools: many bios at a time against an array of bytes, on disks that
 * write through and on volatile ones, while snapshots are taken and dropped, from one reactor
 * and from another, with small logs; space that runs out and comes back; tokens; gates.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "pool/catalog_priv.h"
#include "pool_rig.h"

#define MIB (UINT64_C(1) << 20)

static void make(struct fiber *f, struct pool_rig *pr, const char *name, uint64_t bytes)
{
	const struct replica_create_args args = { .name = name, .size_bytes = bytes };

	pool_ok(f, replica_create(f, pr->pool, &args));
}

/* ---- disturbers ------------------------------------------------------------------------------ */

struct disturb {
	struct pool_rig *pr;
	struct prng prng;
	bool stop;
	unsigned snapshots;
};

/* Snapshots of "v" come and go, so do commits. */
static int disturb_main(struct fiber *f, void *arg)
{
	struct disturb *d = arg;
	unsigned first = 0, next = 0;
	char name[32];

	while (!d->stop) {
		uint64_t dice = prng_below(&d->prng, 4);

		if (dice < 2) {
			snprintf(name, sizeof(name), "s%u", next++);
			pool_ok(f, snapshot_create(f, d->pr->pool, "v", name, NULL));
			d->snapshots++;
		} else if (dice == 2 && first < next) {
			snprintf(name, sizeof(name), "s%u", first++);
			pool_ok(f, snapshot_destroy(f, d->pr->pool, name));
		} else {
			pool_ok(f, pool_sync(f, d->pr->pool));
		}
		assert_int_equal(fiber_sleep(f, prng_below(&d->prng, 300000)), 0);
	}
	while (first < next) {
		snprintf(name, sizeof(name), "s%u", first++);
		pool_ok(f, snapshot_destroy(f, d->pr->pool, name));
	}
	return 0;
}

static void integrity(struct fiber *f, struct rig *rig, const char *const *uris, unsigned count,
		      uint32_t cluster_bytes, unsigned rounds, bool disturbed)
{
	struct disturb disturb = { 0 };
	struct fiber *other = NULL;
	struct pool_rig pr;

	pool_rig_start(f, rig, &pr, uris, count, cluster_bytes);
	make(f, &pr, "v", 8 * MIB);
	disturb.pr = &pr;
	prng_init(&disturb.prng, cluster_bytes, 3);
	if (disturbed)
		assert_int_equal(fiber_start(fiber_reactor(f), "disturb", disturb_main, &disturb, &other), 0);
	rig_integrity(f, rig, "pool:///p/v", rounds, cluster_bytes);
	disturb.stop = true;
	if (other)
		assert_int_equal(fiber_join(f, other), 0);
	pool_rig_check(f, &pr);
	pool_rig_remount(f, &pr);
	pool_rig_check(f, &pr);
	pool_rig_stop(f, &pr);
}

static const char *const one_disk[] = { "malloc:///d0?size_mb=256" };
static const char *const two_disks[] = { "malloc:///d0?size_mb=256", "malloc:///d1?size_mb=128" };

RIG_TEST(what_is_written_is_read)
{
	for (uint32_t cluster = POOL_CLUSTER_MIN; cluster <= POOL_CLUSTER_MAX; cluster *= 4)
		integrity(f, rig, one_disk, 1, cluster, 300, false);
	integrity(f, rig, two_disks, 2, 65536, 300, false);
}

RIG_TEST(what_is_written_is_read_while_snapshots_come_and_go)
{
	for (uint32_t cluster = POOL_CLUSTER_MIN; cluster <= POOL_CLUSTER_MAX; cluster *= 2)
		integrity(f, rig, one_disk, 1, cluster, 300, true);
}

RIG_TEST(volatile_disks_too)
{
	char uri0[256], uri1[256];
	const char *uris[] = { uri0, uri1 };

	rig_file(rig, "a", 256 * MIB);
	rig_file(rig, "b", 128 * MIB);
	snprintf(uri0, sizeof(uri0), "file://%s/a", rig->dir);
	snprintf(uri1, sizeof(uri1), "file://%s/b", rig->dir);
	integrity(f, rig, uris, 1, 65536, 200, false);
	for (uint32_t cluster = POOL_CLUSTER_MIN; cluster <= POOL_CLUSTER_MAX; cluster *= 4) {
		rig_file(rig, "a", 0);
		rig_file(rig, "b", 0);
		rig_file(rig, "a", 256 * MIB);
		rig_file(rig, "b", 128 * MIB);
		integrity(f, rig, uris, 2, cluster, 200, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_written_is_read_while_snapshots_come_and_go),
		cmocka_unit_test(volatile_disks_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
