// SPDX-License-Identifier: Apache-2.0
/*
 * The activity log and the missed-write maps of a replica: limits, crashes, and against plain arrays.
 */
#include "unit/unit.h"

#include "pool/control_priv.h"
#include "control_rig.h"

/* ---- activity log ---------------------------------------------------------------------------- */

RIG_TEST(active_regions_survive_a_crash)
{
	const uint64_t set[] = { 0, 1, 2, 63, 64, REGIONS - 1, 70, 69 }, clear[] = { 1, 64, 100 };
	uint64_t want[WORDS] = { 0 };
	struct ctl c;

	ctl_start(f, rig, &c);
	ctl_active_is(f, &c, want);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, set, ARRAY_LEN(set)));
	for (unsigned i = 0; i < ARRAY_LEN(set); i++)
		want[set[i] / 64] |= UINT64_C(1) << set[i] % 64;
	ctl_active_is(f, &c, want);
	ctl_crash(f, &c); /* from the log */
	ctl_active_is(f, &c, want);
	ctl_crash(f, &c); /* from the tree */
	ctl_active_is(f, &c, want);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_CLEAR, clear, ARRAY_LEN(clear)));
	for (unsigned i = 0; i < ARRAY_LEN(clear); i++)
		want[clear[i] / 64] &= ~(UINT64_C(1) << clear[i] % 64);
	ctl_crash(f, &c);
	ctl_active_is(f, &c, want);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_CLEAR, set, ARRAY_LEN(set)));
	ctl_remount(f, &c);
	memset(want, 0, sizeof(want));
	ctl_active_is(f, &c, want);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, set, 0)); /* nothing */
	ctl_stop(f, &c);
}

RIG_TEST(regions_have_limits)
{
	static uint64_t regions[CONTROL_AL_MAX + 2], words[1 << 10];
	const uint64_t past = REGIONS;
	struct ctl c;

	ctl_start_on(f, rig, &c, "malloc:///big?size_mb=1024");
	for (uint64_t i = 0; i < ARRAY_LEN(regions); i++)
		regions[i] = 2 * i;
	fails(f, -EINVAL, "region 512, it has 512",
	      c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, &past, 1));
	fails(f, -EINVAL, "in one call",
	      c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, regions, CONTROL_REGIONS_MAX + 1));
	fails(f, -EINVAL, "8 words, not 9", c.ops->al_get(f, c.chan, words, WORDS + 1));
	fails(f, -EINVAL, "8 words, not 7", c.ops->al_get(f, c.chan, words, WORDS - 1));
	/* 10,000 regions */
	pool_ok(f, c.ops->resize(f, c.chan, 0, 10000ull * 8192));
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, regions, CONTROL_AL_MAX));
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, regions, CONTROL_AL_MAX));
	fails(f, -ENOSPC, "more than 4096 active",
	      c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, regions + CONTROL_AL_MAX, 1));
	ctl_crash(f, &c);
	pool_ok(f, c.ops->al_get(f, c.chan, words, div_up_u64(10000, 64)));
	assert_int_equal(words[0], 0x5555555555555555);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_CLEAR, regions, 1));
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, regions + CONTROL_AL_MAX, 1));
	ctl_stop(f, &c);
}

/* ---- missed writes --------------------------------------------------------------------------- */

static void miss_is(struct fiber *f, struct ctl *c, unsigned slot, uint64_t word0, uint64_t word7)
{
	uint64_t words[WORDS];

	pool_ok(f, c->ops->miss_get(f, c->chan, slot, words, WORDS));
	assert_int_equal(words[0], word0);
	assert_int_equal(words[7], word7);
}

RIG_TEST(missed_regions_survive_a_crash)
{
	const struct uuid a = ctl_uuid(1), b = ctl_uuid(2), other = ctl_uuid(3);
	const uint64_t regions[] = { 1, 2, REGIONS - 1 };
	struct replica_info info;
	unsigned sa, sb, again;
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->miss_open(f, c.chan, 0, &a, GEN(1, 2), &sa));
	pool_ok(f, c.ops->miss_add(f, c.chan, 0, sa, regions, 3));
	pool_ok(f, c.ops->miss_open(f, c.chan, 0, &b, GEN(1, 3), &sb));
	assert_int_not_equal(sa, sb);
	pool_ok(f, c.ops->miss_add(f, c.chan, 0, sb, regions, 1));
	fails(f, -ENOSPC, "2 peers", c.ops->miss_open(f, c.chan, 0, &other, GEN(9, 9), &again));
	pool_ok(f, c.ops->miss_open(f, c.chan, 0, &a, GEN(1, 2), &again)); /* idempotent */
	assert_int_equal(again, sa);
	ctl_crash(f, &c);
	info = ctl_info(f, &c);
	assert_true(uuid_equal(&info.miss[sa].peer, &a) &&
		    ctl_gen_is(info.miss[sa].peer_gen, 1, 2));
	assert_true(uuid_equal(&info.miss[sb].peer, &b) &&
		    ctl_gen_is(info.miss[sb].peer_gen, 1, 3));
	assert_int_equal(info.miss[sa].dirty_regions, 3);
	assert_int_equal(info.miss[sb].dirty_regions, 1);
	miss_is(f, &c, sa, 6, UINT64_C(1) << 63);
	miss_is(f, &c, sb, 2, 0);
	ctl_crash(f, &c);
	miss_is(f, &c, sa, 6, UINT64_C(1) << 63);
	pool_ok(f, c.ops->miss_drop(f, c.chan, 0, sa));
	pool_ok(f, c.ops->miss_drop(f, c.chan, 0, sa)); /* idempotent */
	ctl_crash(f, &c);
	fails(f, -ENOENT, "is free", c.ops->miss_add(f, c.chan, 0, sa, regions, 1));
	miss_is(f, &c, sb, 2, 0);
	pool_ok(f, c.ops->miss_open(f, c.chan, 0, &other, GEN(9, 9), &again));
	assert_int_equal(again, sa);
	miss_is(f, &c, sa, 0, 0); /* nothing of the former peer */
	pool_ok(f,
		c.ops->miss_open(f, c.chan, 0, &b, GEN(1, 4), &again)); /* it was back meanwhile */
	assert_int_equal(again, sb);
	miss_is(f, &c, sb, 0, 0);
	ctl_stop(f, &c);
}

RIG_TEST(missed_regions_have_limits)
{
	const struct uuid nil = { 0 }, a = ctl_uuid(1);
	const uint64_t past = REGIONS;
	uint64_t words[WORDS];
	unsigned slot;
	struct ctl c;

	ctl_start(f, rig, &c);
	fails(f, -EINVAL, "peer", c.ops->miss_open(f, c.chan, 0, &nil, GEN(1, 1), &slot));
	fails(f, -ENOENT, "is free", c.ops->miss_get(f, c.chan, 0, words, WORDS));
	fails(f, -EINVAL, "slot 2", c.ops->miss_get(f, c.chan, REPLICA_MISS_SLOTS, words, WORDS));
	fails(f, -EINVAL, "slot 2", c.ops->miss_add(f, c.chan, 0, REPLICA_MISS_SLOTS, &past, 1));
	fails(f, -EINVAL, "map 2", c.ops->miss_drop(f, c.chan, 0, REPLICA_MISS_SLOTS));
	pool_ok(f, c.ops->miss_open(f, c.chan, 0, &a, GEN(1, 1), &slot));
	fails(f, -EINVAL, "region 512", c.ops->miss_add(f, c.chan, 0, slot, &past, 1));
	ctl_stop(f, &c);
}

/* ---- many calls ------------------------------------------------------------------------------ */

/* Random calls against arrays, through many commits and halves of the log, with crashes. */
struct al_model {
	struct ctl c;
	uint64_t al[WORDS], miss[WORDS], fence;
};

static void al_model_step(struct fiber *f, struct al_model *m, struct prng *prng)
{
	uint64_t regions[64], first = prng_below(prng, REGIONS), which = prng_below(prng, 8);
	unsigned count = 1 + (unsigned)prng_below(prng, ARRAY_LEN(regions));
	const struct bdev_replica_ops *ops = m->c.ops;

	for (unsigned i = 0; i < count; i++) {
		regions[i] = prng_below(prng, 4) ? (first + i) % REGIONS :
						   prng_below(prng, REGIONS);
		if (which < 3)
			m->al[regions[i] / 64] |= UINT64_C(1) << regions[i] % 64;
		else if (which < 6)
			m->al[regions[i] / 64] &= ~(UINT64_C(1) << regions[i] % 64);
		else if (which == 6)
			m->miss[regions[i] / 64] |= UINT64_C(1) << regions[i] % 64;
	}
	if (which < 6)
		pool_ok(f, ops->al_update(f, m->c.chan, m->fence,
					  which < 3 ? REPLICA_AL_SET : REPLICA_AL_CLEAR, regions,
					  count));
	else if (which == 6)
		pool_ok(f, ops->miss_add(f, m->c.chan, m->fence, 0, regions, count));
	else
		pool_ok(f, ops->fence(f, m->c.chan, ++m->fence));
}

static void al_model_verify(struct fiber *f, struct al_model *m)
{
	uint64_t words[WORDS];

	ctl_active_is(f, &m->c, m->al);
	pool_ok(f, m->c.ops->miss_get(f, m->c.chan, 0, words, WORDS));
	assert_memory_equal(words, m->miss, sizeof(words));
	assert_int_equal(ctl_info(f, &m->c).fence, m->fence);
}

RIG_TEST(random_calls_agree_with_arrays)
{
	const struct uuid peer = ctl_uuid(6);
	struct al_model m = { 0 };
	struct prng prng;
	unsigned slot;

	prng_init(&prng, 3, 3);
	ctl_start(f, rig, &m.c);
	pool_ok(f, m.c.ops->miss_open(f, m.c.chan, 0, &peer, GEN(1, 1), &slot));
	for (unsigned i = 0; i < 4000; i++) {
		al_model_step(f, &m, &prng);
		if (i % 97 == 0)
			pool_ok(f, pool_sync(f, m.c.pr.pool));
		if (i % 500 == 499)
			ctl_crash(f, &m.c);
		if (i % 250 == 249)
			al_model_verify(f, &m);
	}
	ctl_stop(f, &m.c);
}

struct busy {
	struct ctl *c;
	uint64_t region;
	unsigned rounds;
};

static int busy_main(struct fiber *f, void *arg)
{
	struct busy *busy = arg;

	for (unsigned i = 0; i < busy->rounds; i++)
		pool_ok(f, busy->c->ops->al_update(f, busy->c->chan, 0,
						   i % 2 ? REPLICA_AL_CLEAR : REPLICA_AL_SET,
						   &busy->region, 1));
	return 0;
}

/* More records than both halves of the log hold, while commits are made. */
RIG_TEST(the_log_is_never_too_small)
{
	enum { FIBERS = 16 };
	struct fiber *fibers[FIBERS];
	struct busy busy[FIBERS];
	uint64_t want[WORDS] = { 0 };
	struct pool_io_stats stats;
	struct ctl c;

	ctl_start(f, rig, &c);
	for (unsigned i = 0; i < FIBERS; i++) {
		busy[i] = (struct busy){ &c, i, 1001 };
		pool_ok(f, fiber_start(fiber_reactor(f), "busy", busy_main, &busy[i], &fibers[i]));
		want[0] |= 1u << i;
	}
	for (unsigned i = 0; i < FIBERS; i++)
		pool_ok(f, fiber_join(f, fibers[i]));
	pool_io_stats(c.pr.pool, &stats);
	print_message("%u updates: %" PRIu64 " writes of the log, %" PRIu64 " pages, %" PRIu64
		      " commits\n",
		      FIBERS * 1001, stats.log_writes, stats.log_pages, stats.commits);
	assert_true(stats.commits > 2);
	ctl_crash(f, &c);
	ctl_active_is(f, &c, want);
	ctl_stop(f, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(active_regions_survive_a_crash),
		cmocka_unit_test(regions_have_limits),
		cmocka_unit_test(missed_regions_survive_a_crash),
		cmocka_unit_test(missed_regions_have_limits),
		cmocka_unit_test(random_calls_agree_with_arrays),
		cmocka_unit_test(the_log_is_never_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
