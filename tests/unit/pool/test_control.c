// SPDX-License-Identifier: Apache-2.0
/*
 * What a nexus and a target keep with a replica: fence, settings, size, reservations; every call good
 * and bad, with stale tokens, and after a crash of the process.
 */
#include "unit/unit.h"

#include "control_rig.h"

/* ---- info and fence -------------------------------------------------------------------------- */

RIG_TEST(a_new_replica_has_nothing)
{
	struct replica_info info;
	struct resv_state resv;
	struct ctl c;

	ctl_start(f, rig, &c);
	info = ctl_info(f, &c);
	assert_true(uuid_equal(&info.replica, &c.bdev->uuid));
	assert_true(uuid_is_nil(&info.volume));
	assert_int_equal(info.fence, 0);
	assert_int_equal(info.state, REPLICA_NEW);
	assert_false(info.unclean);
	assert_int_equal(info.region_bytes, 4 << 20);
	assert_int_equal(info.regions, REGIONS);
	assert_int_equal(info.member_count, 0);
	assert_true(uuid_is_nil(&info.miss[0].peer) && uuid_is_nil(&info.miss[1].peer));
	pool_ok(f, c.resv->load(f, c.chan, &resv));
	assert_int_equal(resv.count, 0);
	assert_int_equal(resv.holder, -1);
	ctl_stop(f, &c);
}

RIG_TEST(a_fence_never_goes_down)
{
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(5)));
	fails(f, -ESTALE, "older than the fence", c.ops->fence(f, c.chan, TOKEN(5) - 1));
	assert_int_equal(ctl_info(f, &c).fence, TOKEN(5));
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(5))); /* idempotent */
	ctl_crash(f, &c);
	assert_int_equal(ctl_info(f, &c).fence, TOKEN(5));
	fails(f, -ESTALE, "older", c.ops->fence(f, c.chan, 1));
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(5) + 1));
	pool_ok(f, pool_sync(f, c.pr.pool)); /* now in the tree */
	ctl_crash(f, &c);
	assert_int_equal(ctl_info(f, &c).fence, TOKEN(5) + 1);
	ctl_remount(f, &c);
	assert_int_equal(ctl_info(f, &c).fence, TOKEN(5) + 1);
	ctl_stop(f, &c);
}

RIG_TEST(older_bios_are_refused)
{
	static const enum bio_op ops[] = { BIO_READ, BIO_WRITE, BIO_FLUSH, BIO_UNMAP, BIO_ZEROES };
	struct ctl c;

	ctl_start(f, rig, &c);
	assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, TOKEN(1)),
			 0); /* mapped: the direct way, too */
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(2)));
	for (unsigned crash = 0; crash < 2; crash++) {
		for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
			assert_int_equal(ctl_bio(f, &c, ops[i], 0, TOKEN(1)), -ESTALE);
			assert_int_equal(ctl_bio(f, &c, ops[i], 4096, TOKEN(2) - 1), -ESTALE);
			assert_int_equal(ctl_bio(f, &c, ops[i], 8192, TOKEN(2)), 0);
			assert_int_equal(ctl_bio(f, &c, ops[i], 0, TOKEN(3)), 0);
		}
		ctl_crash(f, &c);
	}
	ctl_stop(f, &c);
}

RIG_TEST(older_calls_are_refused)
{
	const struct resv_state resv = { .holder = -1 };
	const struct uuid peer = ctl_uuid(7);
	const uint64_t region = 3;
	struct replica_info info;
	unsigned slot;
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->fence(f, c.chan, 100));
	info = ctl_info(f, &c);
	fails(f, -ESTALE, "older", c.ops->set(f, c.chan, 99, REPLICA_SET_UNCLEAN, &info));
	fails(f, -ESTALE, "older", c.ops->al_update(f, c.chan, 99, REPLICA_AL_SET, &region, 1));
	fails(f, -ESTALE, "older", c.ops->al_update(f, c.chan, 99, REPLICA_AL_CLEAR, &region, 1));
	fails(f, -ESTALE, "older", c.ops->miss_open(f, c.chan, 99, &peer, GEN(1, 1), &slot));
	pool_ok(f, c.ops->miss_open(f, c.chan, 100, &peer, GEN(1, 1), &slot));
	fails(f, -ESTALE, "older", c.ops->miss_add(f, c.chan, 99, slot, &region, 1));
	fails(f, -ESTALE, "older", c.ops->miss_drop(f, c.chan, 99, slot));
	fails(f, -ESTALE, "older", c.ops->snap_prepare(f, c.chan, 99, &peer, "s"));
	fails(f, -ESTALE, "older", c.ops->snap_commit(f, c.chan, 99, &peer));
	fails(f, -ESTALE, "older", c.ops->snap_abort(f, c.chan, 99, &peer));
	fails(f, -ESTALE, "older", c.ops->resize(f, c.chan, 99, c.bdev->blocks * 2));
	fails(f, -ESTALE, "older", c.resv->store(f, c.chan, &resv, 99));
	ctl_stop(f, &c);
}

struct fenced_write {
	struct ctl *c;
	int status;
	bool ended;
};

static int write_main(struct fiber *f, void *arg)
{
	struct fenced_write *w = arg;

	w->status = ctl_bio(f, w->c, BIO_WRITE, 0, TOKEN(1));
	w->ended = true;
	return 0;
}

static void fence_while_writing(struct fiber *f, struct rig *rig, bool mapped)
{
	struct ctl c;
	struct fenced_write w = { .c = &c };
	struct fiber *writer;

	ctl_start_on(f, rig, &c, "delay:///s?ns=20000000&on=" DISK);
	if (mapped)
		assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, TOKEN(1)), 0);
	pool_ok(f, fiber_start(fiber_reactor(f), "writer", write_main, &w, &writer));
	fiber_yield(f);
	fiber_yield(f);
	assert_false(w.ended);
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(2)));
	fiber_yield(f);	      /* it runs after us */
	assert_true(w.ended); /* R2: it had reached the device */
	assert_int_equal(w.status, 0);
	pool_ok(f, fiber_join(f, writer));
	assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, TOKEN(1)), -ESTALE);
	ctl_stop(f, &c);
}

RIG_TEST(a_fence_waits_for_a_first_write_at_the_device)
{
	fence_while_writing(f, rig, false);
}

RIG_TEST(a_fence_waits_for_an_overwrite_at_the_device)
{
	fence_while_writing(f, rig, true);
}

RIG_TEST(the_incarnation_changes_after_an_unclean_stop)
{
	uint64_t first;
	struct ctl c;

	ctl_start(f, rig, &c);
	first = ctl_info(f, &c).incarnation;
	ctl_remount(f, &c);
	assert_int_equal(ctl_info(f, &c).incarnation, first);
	ctl_crash(f, &c);
	assert_int_equal(ctl_info(f, &c).incarnation, first + 1);
	ctl_crash(f, &c);
	assert_int_equal(ctl_info(f, &c).incarnation, first + 2);
	ctl_remount(f, &c);
	assert_int_equal(ctl_info(f, &c).incarnation, first + 2);
	ctl_stop(f, &c);
}

/* ---- set ------------------------------------------------------------------------------------- */

static void set_members(struct replica_info *info, unsigned count)
{
	info->member_count = count;
	for (unsigned i = 0; i < count && i < REPLICA_MEMBERS_MAX; i++)
		info->members[i] = ctl_uuid((uint8_t)(i + 1));
}

RIG_TEST(what_is_set_stays)
{
	struct replica_info info = {
		.gen = { 3, 4 }, .volume = ctl_uuid(9), .state = REPLICA_OUTDATED, .unclean = true
	};
	struct replica_info got;
	struct ctl c;

	ctl_start(f, rig, &c);
	set_members(&info, REPLICA_MEMBERS_MAX);
	pool_ok(f, c.ops->set(f, c.chan, 0, REPLICA_SET_GEN, &info));
	got = ctl_info(f, &c);
	assert_true(ctl_gen_is(got.gen, 3, 4));
	assert_int_equal(got.state, REPLICA_NEW); /* its bit was not set */
	assert_false(got.unclean);
	assert_true(uuid_is_nil(&got.volume));
	pool_ok(f, c.ops->set(f, c.chan, 0,
			      REPLICA_SET_VOLUME | REPLICA_SET_STATE | REPLICA_SET_UNCLEAN, &info));
	ctl_crash(f, &c);
	got = ctl_info(f, &c);
	assert_true(ctl_gen_is(got.gen, 3, 4));
	assert_int_equal(got.state, REPLICA_OUTDATED);
	assert_true(got.unclean);
	assert_true(uuid_equal(&got.volume, &info.volume));
	assert_int_equal(got.member_count, REPLICA_MEMBERS_MAX);
	assert_memory_equal(got.members, info.members, sizeof(got.members));
	info = (struct replica_info){ .gen = { 4, 1 } };
	set_members(&info, 1);
	pool_ok(f, c.ops->set(f, c.chan, 0, REPLICA_SET_GEN | REPLICA_SET_UNCLEAN, &info));
	ctl_remount(f, &c);
	got = ctl_info(f, &c);
	assert_int_equal(got.member_count, 1);
	assert_memory_equal(got.members, info.members, sizeof(got.members));
	assert_false(got.unclean);
	ctl_stop(f, &c);
}

RIG_TEST(bad_settings_change_nothing)
{
	struct replica_info info = { .state = (enum replica_state)(REPLICA_OUTDATED + 1),
				     .member_count = REPLICA_MEMBERS_MAX + 1 };
	struct ctl c;

	ctl_start(f, rig, &c);
	fails(f, -EINVAL, "unknown", c.ops->set(f, c.chan, 0, 1u << 4, &info));
	fails(f, -EINVAL, "no state 4", c.ops->set(f, c.chan, 0, REPLICA_SET_STATE, &info));
	fails(f, -EINVAL, "17 members", c.ops->set(f, c.chan, 0, REPLICA_SET_GEN, &info));
	pool_ok(f, c.ops->set(f, c.chan, 0, 0, &info));
	assert_int_equal(ctl_info(f, &c).state, REPLICA_NEW);
	ctl_stop(f, &c);
}

/* ---- resize ---------------------------------------------------------------------------------- */

RIG_TEST(growing_is_seen_at_once_and_stays)
{
	uint64_t blocks;
	struct ctl c;

	ctl_start(f, rig, &c);
	blocks = c.bdev->blocks;
	fails(f, -EINVAL, "cannot shrink", c.ops->resize(f, c.chan, 0, blocks / 2));
	fails(f, -EINVAL, "blocks are wanted", c.ops->resize(f, c.chan, 0, 0));
	fails(f, -EINVAL, "blocks are wanted", c.ops->resize(f, c.chan, 0, UINT64_MAX));
	fails(f, -ENOSPC, "over-commit", c.ops->resize(f, c.chan, 0, blocks << 16));
	pool_ok(f, c.ops->resize(f, c.chan, 0, blocks));
	assert_int_equal(c.bdev->blocks, blocks);
	pool_ok(f, c.ops->resize(f, c.chan, 0, blocks + 1)); /* whole clusters */
	assert_int_equal(c.bdev->blocks, blocks + 128);
	assert_int_equal(ctl_bio(f, &c, BIO_WRITE, blocks + 8, 0), 0);
	pool_ok(f, c.ops->resize(f, c.chan, 0, blocks + 1)); /* idempotent */
	assert_int_equal(ctl_info(f, &c).regions, REGIONS + 1);
	ctl_crash(f, &c);
	assert_int_equal(c.bdev->blocks, blocks + 128);
	ctl_stop(f, &c);
}

/* ---- reservations ---------------------------------------------------------------------------- */

static void resv_is(struct fiber *f, struct ctl *c, const struct resv_state *want)
{
	struct resv_state got;

	pool_ok(f, c->resv->load(f, c->chan, &got));
	assert_int_equal(got.generation, want->generation);
	assert_int_equal(got.type, want->type);
	assert_int_equal(got.ptpl, want->ptpl);
	assert_int_equal(got.holder, want->holder);
	assert_int_equal(got.count, want->count);
	assert_memory_equal(got.registrant, want->registrant,
			    want->count * sizeof(got.registrant[0]));
}

RIG_TEST(reservations_survive_a_crash)
{
	static const uint32_t counts[] = { 1, 9, 10, RESV_REGISTRANTS_MAX, 2, 0 };
	struct resv_state state;
	struct ctl c;

	ctl_start(f, rig, &c);
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		state = ctl_resv(counts[i], (int32_t)counts[i] - 1);
		pool_ok(f, c.resv->store(f, c.chan, &state, 10 + i));
		resv_is(f, &c, &state);
		ctl_crash(f, &c);
		resv_is(f, &c, &state);
		assert_int_equal(ctl_info(f, &c).fence, 10 + i); /* with it */
	}
	state = ctl_resv(3, -1);
	pool_ok(f, c.resv->store(f, c.chan, &state, 0));
	assert_int_equal(ctl_info(f, &c).fence, 15);
	assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, 14), -ESTALE);
	fails(f, -ESTALE, "older", c.resv->store(f, c.chan, &state, 14));
	state.holder = 3;
	fails(f, -EINVAL, "3 registrants, holder 3", c.resv->store(f, c.chan, &state, 0));
	state.holder = -2;
	fails(f, -EINVAL, "holder -2", c.resv->store(f, c.chan, &state, 0));
	state = ctl_resv(0, -1);
	state.count = RESV_REGISTRANTS_MAX + 1;
	fails(f, -EINVAL, "65 registrants", c.resv->store(f, c.chan, &state, 0));
	state = ctl_resv(3, -1);
	resv_is(f, &c, &state);
	ctl_stop(f, &c);
}

/* ---- fences under load ------------------------------------------------------------------------- */

#define LOAD_FIBERS 6
#define LOAD_BLOCKS 48

struct load {
	struct ctl *c;
	uint64_t token; /* what the writers have */
	uint64_t seed, done, stale;
	bool stop;
};

static int load_main(struct fiber *f, void *arg)
{
	struct load *load = arg;
	struct prng prng;

	prng_init(&prng, ++load->seed, 1);
	while (!load->stop) {
		uint8_t buf[4096];
		struct iovec iov = { buf, sizeof(buf) };
		struct bio *bio = bio_new(load->c->chan);
		bool unmap = prng_below(&prng, 8) == 0;
		int r;

		memset(buf, (int)prng_below(&prng, 256), sizeof(buf));
		bio_prep(bio, load->c->chan, unmap ? BIO_UNMAP : BIO_WRITE,
			 prng_below(&prng, LOAD_BLOCKS) * 40, 8, unmap ? NULL : &iov, !unmap, NULL);
		bio->token = load->token;
		r = bio_wait(f, bio);
		fiber_clear(f);
		mem_free(bio);
		assert_true(r == 0 || r == -ESTALE);
		load->done += r == 0;
		load->stale += r == -ESTALE;
		fiber_yield(f);
	}
	return 0;
}

static void load_look(struct fiber *f, struct ctl *c, uint64_t token, uint8_t *ret)
{
	for (unsigned i = 0; i < LOAD_BLOCKS; i++) {
		struct iovec iov = { ret + (size_t)i * 4096, 4096 };
		struct bio *bio = bio_new(c->chan);

		bio_prep(bio, c->chan, BIO_READ, i * 40, 8, &iov, 1, NULL);
		bio->token = token;
		pool_ok(f, bio_wait(f, bio));
		mem_free(bio);
	}
}

/* Nothing of older tokens lands after a fence, whatever is going on (R2). */
RIG_TEST(nothing_older_lands_after_a_fence)
{
	static uint8_t before[LOAD_BLOCKS * 4096], after[LOAD_BLOCKS * 4096];
	const struct resv_state resv = ctl_resv(2, 0);
	struct fiber *fibers[LOAD_FIBERS];
	struct ctl c;
	struct load load = { .c = &c };
	char name[32];

	ctl_start_on(f, rig, &c, "delay:///s?ns=100000&on=" DISK);
	for (unsigned i = 0; i < LOAD_FIBERS; i++)
		pool_ok(f, fiber_start(fiber_reactor(f), "load", load_main, &load, &fibers[i]));
	for (uint64_t token = 1; token < 60; token++) {
		pool_ok(f, fiber_sleep(f, 500000));
		if (token % 8 == 0)
			pool_ok(f, c.resv->store(f, c.chan, &resv, token));
		else
			pool_ok(f, c.ops->fence(f, c.chan, token));
		load_look(f, &c, token, before);
		pool_ok(f, fiber_sleep(f, 500000));
		load_look(f, &c, token, after);
		assert_memory_equal(before, after, sizeof(before));
		load.token = token;
		snprintf(name, sizeof(name), "s%" PRIu64, token);
		if (token % 5 == 0) /* what is written next is copied */
			pool_ok(f, snapshot_create(f, c.pr.pool, "r", name, NULL));
	}
	load.stop = true;
	for (unsigned i = 0; i < LOAD_FIBERS; i++)
		pool_ok(f, fiber_join(f, fibers[i]));
	assert_true(load.done > 100 && load.stale > 100);
	ctl_crash(f, &c);
	load_look(f, &c, 59, before);
	ctl_stop(f, &c);
}

/* ---- from another reactor -------------------------------------------------------------------- */

static int away_main(struct fiber *f, void *arg)
{
	struct ctl c = { .bdev = arg };
	const uint64_t region = 9;
	uint64_t words[WORDS];

	c.chan = rig_chan(f, c.bdev);
	c.ops = bdev_replica_ops(c.chan);
	pool_ok(f, c.ops->fence(f, c.chan, 5));
	pool_ok(f, c.ops->al_update(f, c.chan, 5, REPLICA_AL_SET, &region, 1));
	pool_ok(f, c.ops->al_get(f, c.chan, words, WORDS));
	assert_int_equal(words[0], 1u << 9);
	assert_int_equal(ctl_info(f, &c).fence, 5);
	fails(f, -ESTALE, "older", c.ops->al_update(f, c.chan, 4, REPLICA_AL_SET, &region, 1));
	pool_ok(f, c.ops->resize(f, c.chan, 5, c.bdev->blocks + 128));
	bdev_chan_close(f, c.chan);
	return 0;
}

static void away_body(struct fiber *f, struct rig *rig)
{
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "away", away_main, c.bdev));
	assert_int_equal(ctl_info(f, &c).regions, REGIONS + 1);
	ctl_stop(f, &c);
}

static void calls_come_from_any_reactor(void **state)
{
	(void)state;
	rig_run(2, away_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_replica_has_nothing),
		cmocka_unit_test(a_fence_never_goes_down),
		cmocka_unit_test(older_bios_are_refused),
		cmocka_unit_test(older_calls_are_refused),
		cmocka_unit_test(a_fence_waits_for_a_first_write_at_the_device),
		cmocka_unit_test(a_fence_waits_for_an_overwrite_at_the_device),
		cmocka_unit_test(the_incarnation_changes_after_an_unclean_stop),
		cmocka_unit_test(what_is_set_stays),
		cmocka_unit_test(bad_settings_change_nothing),
		cmocka_unit_test(growing_is_seen_at_once_and_stays),
		cmocka_unit_test(reservations_survive_a_crash),
		cmocka_unit_test(nothing_older_lands_after_a_fence),
		cmocka_unit_test(calls_come_from_any_reactor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
