// SPDX-License-Identifier: Apache-2.0
/*
 * What a nexus and a target keep with a replica (bdev/replica.h, bdev/resv.h): every call good
 * and bad, with stale tokens, and after a crash of the process.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "base/err.h"
#include "bdev/replica.h"
#include "bdev/resv.h"
#include "drivers/fault.h"
#include "pool/control_priv.h"
#include "pool/import_priv.h"
#include "pool_rig.h"

#define SIZE_MB	   2048u
#define REGIONS	   (SIZE_MB / 4)
#define WORDS	   (REGIONS / 64)
#define DISK	   "malloc:///d0?size_mb=256"
#define TOKEN(e)   replica_token(e, 0)
#define GEN(e, n_) ((struct replica_gen){ .epoch = (e), .n = (n_) })

struct ctl {
	struct pool_rig pr;
	struct bdev *bdev;
	struct bdev_chan *chan;
	const struct bdev_replica_ops *ops;
	const struct bdev_resv_ops *resv;
};

static void ctl_open(struct fiber *f, struct ctl *c)
{
	c->bdev = rig_open(f, "pool:///p/r");
	c->chan = rig_chan(f, c->bdev);
	c->ops = bdev_replica_ops(c->chan);
	c->resv = bdev_resv_ops(c->chan);
	assert_non_null(c->ops);
	assert_non_null(c->resv);
}

static void ctl_close(struct fiber *f, struct ctl *c)
{
	bdev_chan_close(f, c->chan);
	bdev_close(f, c->bdev);
}

static void ctl_start_on(struct fiber *f, struct rig *rig, struct ctl *c, const char *disk)
{
	const struct replica_create_args args = { .name = "r",
						  .size_bytes = (uint64_t)SIZE_MB << 20 };
	const char *uris[] = { disk };

	*c = (struct ctl){ 0 };
	pool_rig_start(f, rig, &c->pr, uris, 1, 0);
	c->pr.uris[0] = disk;
	pool_ok(f, replica_create(f, c->pr.pool, &args));
	ctl_open(f, c);
}

static void ctl_start(struct fiber *f, struct rig *rig, struct ctl *c)
{
	ctl_start_on(f, rig, c, DISK);
}

static void ctl_stop(struct fiber *f, struct ctl *c)
{
	ctl_close(f, c);
	pool_rig_check(f, &c->pr);
	pool_rig_stop(f, &c->pr);
}

static void ctl_crash(struct fiber *f, struct ctl *c)
{
	ctl_close(f, c);
	pool_rig_crash(f, &c->pr);
	ctl_open(f, c);
}

static void ctl_remount(struct fiber *f, struct ctl *c)
{
	ctl_close(f, c);
	pool_rig_remount(f, &c->pr);
	ctl_open(f, c);
}

static struct replica_info info_of(struct fiber *f, struct ctl *c)
{
	struct replica_info info;

	memset(&info, 0xa5, sizeof(info));
	pool_ok(f, c->ops->info(f, c->chan, &info));
	return info;
}

/* It fails with this code and with words that hold `part`. */
#define fails(f, code, part, call)                                                           \
	do {                                                                                 \
		int r_ = (call);                                                             \
		if (r_ != (code) || !strstr(fiber_words(f), (part)))                         \
			print_message("%s: %s '%s'\n", #call, err_name(r_), fiber_words(f)); \
		assert_int_equal(r_, (code));                                                \
		assert_non_null(strstr(fiber_words(f), (part)));                             \
		fiber_clear(f);                                                              \
	} while (0)

static struct uuid uuid_of(uint8_t n)
{
	struct uuid uuid;

	memset(uuid.bytes, n, sizeof(uuid.bytes));
	return uuid;
}

static bool gen_is(struct replica_gen gen, uint64_t epoch, uint64_t n)
{
	return gen.epoch == epoch && gen.n == n;
}

static int bio_do(struct fiber *f, struct ctl *c, enum bio_op op, uint64_t lba, uint64_t token)
{
	static uint8_t buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct bio *bio = bio_new(c->chan);
	bool data = op == BIO_READ || op == BIO_WRITE;
	int r;

	if (!bio)
		return -ENOMEM;
	bio_prep(bio, c->chan, op, op == BIO_FLUSH ? 0 : lba, op == BIO_FLUSH ? 0 : 8,
		 data ? &iov : NULL, data, NULL);
	bio->token = token;
	r = bio_wait(f, bio);
	fiber_clear(f);
	mem_free(bio);
	return r;
}

/* ---- info and fence -------------------------------------------------------------------------- */

RIG_TEST(a_new_replica_has_nothing)
{
	struct replica_info info;
	struct resv_state resv;
	struct ctl c;

	ctl_start(f, rig, &c);
	info = info_of(f, &c);
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
	assert_int_equal(info_of(f, &c).fence, TOKEN(5));
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(5))); /* idempotent */
	ctl_crash(f, &c);
	assert_int_equal(info_of(f, &c).fence, TOKEN(5));
	fails(f, -ESTALE, "older", c.ops->fence(f, c.chan, 1));
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(5) + 1));
	pool_ok(f, pool_sync(f, c.pr.pool)); /* now in the tree */
	ctl_crash(f, &c);
	assert_int_equal(info_of(f, &c).fence, TOKEN(5) + 1);
	ctl_remount(f, &c);
	assert_int_equal(info_of(f, &c).fence, TOKEN(5) + 1);
	ctl_stop(f, &c);
}

RIG_TEST(older_bios_are_refused)
{
	static const enum bio_op ops[] = { BIO_READ, BIO_WRITE, BIO_FLUSH, BIO_UNMAP, BIO_ZEROES };
	struct ctl c;

	ctl_start(f, rig, &c);
	assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, TOKEN(1)),
			 0); /* mapped: the direct way, too */
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(2)));
	for (unsigned crash = 0; crash < 2; crash++) {
		for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
			assert_int_equal(bio_do(f, &c, ops[i], 0, TOKEN(1)), -ESTALE);
			assert_int_equal(bio_do(f, &c, ops[i], 4096, TOKEN(2) - 1), -ESTALE);
			assert_int_equal(bio_do(f, &c, ops[i], 8192, TOKEN(2)), 0);
			assert_int_equal(bio_do(f, &c, ops[i], 0, TOKEN(3)), 0);
		}
		ctl_crash(f, &c);
	}
	ctl_stop(f, &c);
}

RIG_TEST(older_calls_are_refused)
{
	const struct resv_state resv = { .holder = -1 };
	const struct uuid peer = uuid_of(7);
	const uint64_t region = 3;
	struct replica_info info;
	unsigned slot;
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->fence(f, c.chan, 100));
	info = info_of(f, &c);
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

	w->status = bio_do(f, w->c, BIO_WRITE, 0, TOKEN(1));
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
		assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, TOKEN(1)), 0);
	pool_ok(f, fiber_start(fiber_reactor(f), "writer", write_main, &w, &writer));
	fiber_yield(f);
	fiber_yield(f);
	assert_false(w.ended);
	pool_ok(f, c.ops->fence(f, c.chan, TOKEN(2)));
	fiber_yield(f);	      /* it runs after us */
	assert_true(w.ended); /* R2: it had reached the device */
	assert_int_equal(w.status, 0);
	pool_ok(f, fiber_join(f, writer));
	assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, TOKEN(1)), -ESTALE);
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
	first = info_of(f, &c).incarnation;
	ctl_remount(f, &c);
	assert_int_equal(info_of(f, &c).incarnation, first);
	ctl_crash(f, &c);
	assert_int_equal(info_of(f, &c).incarnation, first + 1);
	ctl_crash(f, &c);
	assert_int_equal(info_of(f, &c).incarnation, first + 2);
	ctl_remount(f, &c);
	assert_int_equal(info_of(f, &c).incarnation, first + 2);
	ctl_stop(f, &c);
}

/* ---- set ------------------------------------------------------------------------------------- */

static void set_members(struct replica_info *info, unsigned count)
{
	info->member_count = count;
	for (unsigned i = 0; i < count && i < REPLICA_MEMBERS_MAX; i++)
		info->members[i] = uuid_of((uint8_t)(i + 1));
}

RIG_TEST(what_is_set_stays)
{
	struct replica_info info = {
		.gen = { 3, 4 }, .volume = uuid_of(9), .state = REPLICA_OUTDATED, .unclean = true
	};
	struct replica_info got;
	struct ctl c;

	ctl_start(f, rig, &c);
	set_members(&info, REPLICA_MEMBERS_MAX);
	pool_ok(f, c.ops->set(f, c.chan, 0, REPLICA_SET_GEN, &info));
	got = info_of(f, &c);
	assert_true(gen_is(got.gen, 3, 4));
	assert_int_equal(got.state, REPLICA_NEW); /* its bit was not set */
	assert_false(got.unclean);
	assert_true(uuid_is_nil(&got.volume));
	pool_ok(f, c.ops->set(f, c.chan, 0,
			      REPLICA_SET_VOLUME | REPLICA_SET_STATE | REPLICA_SET_UNCLEAN, &info));
	ctl_crash(f, &c);
	got = info_of(f, &c);
	assert_true(gen_is(got.gen, 3, 4));
	assert_int_equal(got.state, REPLICA_OUTDATED);
	assert_true(got.unclean);
	assert_true(uuid_equal(&got.volume, &info.volume));
	assert_int_equal(got.member_count, REPLICA_MEMBERS_MAX);
	assert_memory_equal(got.members, info.members, sizeof(got.members));
	info = (struct replica_info){ .gen = { 4, 1 } };
	set_members(&info, 1);
	pool_ok(f, c.ops->set(f, c.chan, 0, REPLICA_SET_GEN | REPLICA_SET_UNCLEAN, &info));
	ctl_remount(f, &c);
	got = info_of(f, &c);
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
	assert_int_equal(info_of(f, &c).state, REPLICA_NEW);
	ctl_stop(f, &c);
}

/* ---- activity log ---------------------------------------------------------------------------- */

static void al_is(struct fiber *f, struct ctl *c, const uint64_t *want)
{
	uint64_t words[WORDS];

	memset(words, 0xa5, sizeof(words));
	pool_ok(f, c->ops->al_get(f, c->chan, words, WORDS));
	assert_memory_equal(words, want, sizeof(words));
}

RIG_TEST(active_regions_survive_a_crash)
{
	const uint64_t set[] = { 0, 1, 2, 63, 64, REGIONS - 1, 70, 69 }, clear[] = { 1, 64, 100 };
	uint64_t want[WORDS] = { 0 };
	struct ctl c;

	ctl_start(f, rig, &c);
	al_is(f, &c, want);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, set, ARRAY_LEN(set)));
	for (unsigned i = 0; i < ARRAY_LEN(set); i++)
		want[set[i] / 64] |= UINT64_C(1) << set[i] % 64;
	al_is(f, &c, want);
	ctl_crash(f, &c); /* from the log */
	al_is(f, &c, want);
	ctl_crash(f, &c); /* from the tree */
	al_is(f, &c, want);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_CLEAR, clear, ARRAY_LEN(clear)));
	for (unsigned i = 0; i < ARRAY_LEN(clear); i++)
		want[clear[i] / 64] &= ~(UINT64_C(1) << clear[i] % 64);
	ctl_crash(f, &c);
	al_is(f, &c, want);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_CLEAR, set, ARRAY_LEN(set)));
	ctl_remount(f, &c);
	memset(want, 0, sizeof(want));
	al_is(f, &c, want);
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
	const struct uuid a = uuid_of(1), b = uuid_of(2), other = uuid_of(3);
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
	info = info_of(f, &c);
	assert_true(uuid_equal(&info.miss[sa].peer, &a) && gen_is(info.miss[sa].peer_gen, 1, 2));
	assert_true(uuid_equal(&info.miss[sb].peer, &b) && gen_is(info.miss[sb].peer_gen, 1, 3));
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
	const struct uuid nil = { 0 }, a = uuid_of(1);
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

/* ---- snapshots in two phases ----------------------------------------------------------------- */

static int count_one(void *ctx, const struct replica_stat *stat)
{
	(void)stat;
	++*(unsigned *)ctx;
	return 0;
}

static void objects_are(struct fiber *f, struct ctl *c, unsigned want)
{
	unsigned count = 0;

	pool_ok(f, replica_each(f, c->pr.pool, count_one, &count));
	assert_int_equal(count, want);
}

static void is_hidden(struct fiber *f, struct ctl *c)
{
	struct replica_stat stat;

	objects_are(f, c, 1);
	rig_refused(f, "pool:///p/s", -ENOENT, "not committed");
	fails(f, -ENOENT, "not committed", replica_stat(f, c->pr.pool, "s", &stat));
	fails(f, -ENOENT, "not committed", clone_create(f, c->pr.pool, "s", "k", NULL));
}

RIG_TEST(a_prepared_snapshot_is_seen_when_committed)
{
	const struct uuid uuid = uuid_of(4);
	struct bdev *snap;
	struct ctl c;

	ctl_start(f, rig, &c);
	assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, 0), 0);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s"));
	is_hidden(f, &c);
	pool_rig_check(f, &c.pr);
	ctl_crash(f, &c);
	is_hidden(f, &c);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s")); /* idempotent */
	fails(f, -EEXIST, "has this uuid", c.ops->snap_prepare(f, c.chan, 0, &uuid, "t"));
	fails(f, -EBUSY, "in use", replica_destroy(f, c.pr.pool, "r"));
	pool_ok(f, c.ops->snap_commit(f, c.chan, 0, &uuid));
	pool_ok(f, c.ops->snap_commit(f, c.chan, 0, &uuid));
	ctl_crash(f, &c);
	objects_are(f, &c, 2);
	snap = rig_open(f, "pool:///p/s");
	assert_true(uuid_equal(&snap->uuid, &uuid));
	bdev_close(f, snap);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s")); /* long done */
	fails(f, -EINVAL, "is committed", c.ops->snap_abort(f, c.chan, 0, &uuid));
	pool_ok(f, snapshot_destroy(f, c.pr.pool, "s"));
	ctl_stop(f, &c);
}

RIG_TEST(an_aborted_snapshot_leaves_nothing)
{
	const struct uuid uuid = uuid_of(4);
	struct replica_stat stat;
	struct pool_info before, after;
	struct ctl c;

	ctl_start(f, rig, &c);
	assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, 0), 0);
	pool_ok(f, pool_reap_wait(f, c.pr.pool));
	pool_info(c.pr.pool, &before);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s"));
	assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, 0), 0);
	ctl_crash(f, &c);
	pool_ok(f, c.ops->snap_abort(f, c.chan, 0, &uuid));
	pool_ok(f, c.ops->snap_abort(f, c.chan, 0, &uuid));
	fails(f, -ENOENT, "was prepared", c.ops->snap_commit(f, c.chan, 0, &uuid));
	pool_ok(f, pool_reap_wait(f, c.pr.pool));
	pool_info(c.pr.pool, &after);
	assert_int_equal(after.snapshots, 0);
	assert_int_equal(after.used_bytes, before.used_bytes);
	pool_ok(f, replica_stat(f, c.pr.pool, "r", &stat));
	assert_int_equal(stat.snapshots, 0);
	ctl_stop(f, &c);
}

RIG_TEST(a_prepared_snapshot_holds_its_source)
{
	const struct uuid uuid = uuid_of(4);
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s"));
	ctl_close(f, &c);
	fails(f, -EBUSY, "is prepared", replica_destroy(f, c.pr.pool, "r"));
	pool_ok(f, snapshot_destroy(f, c.pr.pool, "s")); /* by hand: whose owner is gone */
	pool_ok(f, replica_destroy(f, c.pr.pool, "r"));
	pool_rig_check(f, &c.pr);
	pool_rig_stop(f, &c.pr);
}

RIG_TEST(bad_snapshots_are_refused)
{
	const struct replica_create_args args = { .name = "q", .size_bytes = 1 << 20 };
	const struct uuid uuid = uuid_of(4), other = uuid_of(5), nil = { 0 };
	struct replica_info info;
	struct uuid own;
	struct ctl c, s;

	ctl_start(f, rig, &c);
	own = c.bdev->uuid;
	pool_ok(f, replica_create(f, c.pr.pool, &args));
	fails(f, -EINVAL, "snapshot name", c.ops->snap_prepare(f, c.chan, 0, &uuid, "a/b"));
	fails(f, -EINVAL, "uuid", c.ops->snap_prepare(f, c.chan, 0, &nil, "s"));
	fails(f, -EEXIST, "'q' exists", c.ops->snap_prepare(f, c.chan, 0, &uuid, "q"));
	fails(f, -EEXIST, "no snapshot of", c.ops->snap_prepare(f, c.chan, 0, &own, "s"));
	fails(f, -ENOENT, "was prepared", c.ops->snap_commit(f, c.chan, 0, &uuid));
	pool_ok(f, c.ops->snap_abort(f, c.chan, 0, &uuid));
	pool_ok(f, snapshot_create(f, c.pr.pool, "r", "s", &uuid));
	s.bdev = rig_open(f, "pool:///p/s"); /* a snapshot can do nothing of this */
	s.chan = rig_chan(f, s.bdev);
	s.ops = bdev_replica_ops(s.chan);
	info = info_of(f, &s);
	assert_true(uuid_equal(&info.replica, &uuid));
	fails(f, -EROFS, "is a snapshot", s.ops->fence(f, s.chan, 7));
	fails(f, -EROFS, "is a snapshot", s.ops->snap_prepare(f, s.chan, 0, &other, "t"));
	fails(f, -EROFS, "is a snapshot", s.ops->resize(f, s.chan, 0, 1 << 22));
	bdev_chan_close(f, s.chan);
	bdev_close(f, s.bdev);
	s.bdev = rig_open(f, "pool:///p/q");
	s.chan = rig_chan(f, s.bdev);
	fails(f, -EEXIST, "no snapshot of 'q'", c.ops->snap_commit(f, s.chan, 0, &uuid));
	fails(f, -EEXIST, "no snapshot of 'q'", c.ops->snap_abort(f, s.chan, 0, &uuid));
	bdev_chan_close(f, s.chan);
	bdev_close(f, s.bdev);
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
	assert_int_equal(bio_do(f, &c, BIO_WRITE, blocks + 8, 0), 0);
	pool_ok(f, c.ops->resize(f, c.chan, 0, blocks + 1)); /* idempotent */
	assert_int_equal(info_of(f, &c).regions, REGIONS + 1);
	ctl_crash(f, &c);
	assert_int_equal(c.bdev->blocks, blocks + 128);
	ctl_stop(f, &c);
}

/* ---- reservations ---------------------------------------------------------------------------- */

static struct resv_state resv_make(uint32_t count, int32_t holder)
{
	struct resv_state state = {
		.generation = 7, .type = 2, .ptpl = true, .holder = holder, .count = count
	};

	for (uint32_t i = 0; i < count; i++)
		state.registrant[i] =
			(struct resv_registrant){ 0x1000 + i, uuid_of((uint8_t)(i + 1)) };
	return state;
}

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
		state = resv_make(counts[i], (int32_t)counts[i] - 1);
		pool_ok(f, c.resv->store(f, c.chan, &state, 10 + i));
		resv_is(f, &c, &state);
		ctl_crash(f, &c);
		resv_is(f, &c, &state);
		assert_int_equal(info_of(f, &c).fence, 10 + i); /* with it */
	}
	state = resv_make(3, -1);
	pool_ok(f, c.resv->store(f, c.chan, &state, 0));
	assert_int_equal(info_of(f, &c).fence, 15);
	assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, 14), -ESTALE);
	fails(f, -ESTALE, "older", c.resv->store(f, c.chan, &state, 14));
	state.holder = 3;
	fails(f, -EINVAL, "3 registrants, holder 3", c.resv->store(f, c.chan, &state, 0));
	state.holder = -2;
	fails(f, -EINVAL, "holder -2", c.resv->store(f, c.chan, &state, 0));
	state = resv_make(0, -1);
	state.count = RESV_REGISTRANTS_MAX + 1;
	fails(f, -EINVAL, "65 registrants", c.resv->store(f, c.chan, &state, 0));
	state = resv_make(3, -1);
	resv_is(f, &c, &state);
	ctl_stop(f, &c);
}

/* ---- all of it ------------------------------------------------------------------------------- */

#define SCRIPT_STEPS 14

/* Step i of a life; every one may be done again. */
static int script_step(struct fiber *f, struct ctl *c, unsigned i)
{
	const struct replica_info info = { .gen = { 1, 1 }, .state = REPLICA_IN_SYNC };
	const uint64_t regions[] = { 5, 6, 300 };
	const struct uuid snap = uuid_of(8), peer = uuid_of(6);
	const struct resv_state resv = resv_make(12, 1);
	const struct bdev_replica_ops *ops = c->ops;
	unsigned slot;

	switch (i) {
	case 0:
		return ops->fence(f, c->chan, 20);
	case 1:
		return bio_do(f, c, BIO_WRITE, 64, 20);
	case 2:
		return ops->al_update(f, c->chan, 20, REPLICA_AL_SET, regions, 3);
	case 3:
		return ops->set(f, c->chan, 20, REPLICA_SET_GEN | REPLICA_SET_STATE, &info);
	case 4:
		return ops->miss_open(f, c->chan, 20, &peer, GEN(1, 1), &slot);
	case 5:
		return ops->miss_add(f, c->chan, 20, 0, regions, 3);
	case 6:
		return ops->snap_prepare(f, c->chan, 20, &snap, "s");
	case 7:
		return bio_do(f, c, BIO_WRITE, 64, 20);
	case 8:
		return ops->snap_commit(f, c->chan, 20, &snap);
	case 9:
		return ops->al_update(f, c->chan, 20, REPLICA_AL_CLEAR, regions, 1);
	case 10:
		return ops->resize(f, c->chan, 20, ((uint64_t)SIZE_MB << 11) + 8192);
	case 11:
		return c->resv->store(f, c->chan, &resv, 21);
	case 12:
		return pool_sync(f, c->pr.pool);
	default:
		return ops->fence(f, c->chan, 22);
	}
}

/* What the first `done` steps have left; what comes after may be there or not. */
static void script_verify(struct fiber *f, struct ctl *c, unsigned done)
{
	struct replica_info info = info_of(f, c);
	uint64_t words[WORDS + 1] = { 0 };
	struct resv_state resv;

	assert_true(info.fence >= (done > 13 ? 22u : done > 11 ? 21u : done > 0 ? 20u : 0u));
	pool_ok(f, c->ops->al_get(f, c->chan, words, div_up_u64(info.regions, 64)));
	if (done > 2)
		assert_true((words[0] & 1u << 6) && (words[4] & UINT64_C(1) << 44));
	if (done > 2 && done < 9)
		assert_true(words[0] & 1u << 5);
	if (done > 9)
		assert_false(words[0] & 1u << 5);
	if (done > 3)
		assert_true(gen_is(info.gen, 1, 1) && info.state == REPLICA_IN_SYNC);
	if (done > 5)
		assert_int_equal(info.miss[0].dirty_regions, 3);
	if (done < 6)
		objects_are(f, c, 1);
	if (done > 8)
		objects_are(f, c, 2);
	if (done > 10)
		assert_int_equal(info.regions, REGIONS + 1);
	pool_ok(f, c->resv->load(f, c->chan, &resv));
	if (done > 11)
		assert_int_equal(resv.count, 12);
}

RIG_TEST(each_step_survives_a_crash)
{
	for (unsigned steps = 0; steps <= SCRIPT_STEPS; steps++) {
		struct ctl c;

		ctl_start(f, rig, &c);
		for (unsigned i = 0; i < steps; i++)
			pool_ok(f, script_step(f, &c, i));
		ctl_crash(f, &c);
		script_verify(f, &c, steps);
		for (unsigned i = 0; steps < 11 && i < SCRIPT_STEPS; i++)
			pool_ok(f, script_step(f, &c, i)); /* from anywhere to the end */
		script_verify(f, &c, steps < 11 ? SCRIPT_STEPS : steps);
		ctl_stop(f, &c);
	}
}

/* The nth write or flush fails; true: it was never reached. */
static bool script_with_fault(struct fiber *f, struct rig *rig, uint32_t ops, uint64_t nth)
{
	const struct fault_rule rule = {
		.ops = ops, .last = UINT64_MAX, .nth = nth, .status = -EIO
	};
	uint64_t fired[FAULT_RULES_MAX];
	unsigned done = 0;
	struct ctl c;
	int r = 0;

	ctl_start_on(f, rig, &c, "fault:///f?on=" DISK);
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], &rule, 1));
	while (done < SCRIPT_STEPS && (r = script_step(f, &c, done)) == 0)
		done++;
	pool_ok(f, fault_get_fired(f, c.pr.keep[0], fired));
	fiber_clear(f);
	if (r < 0 && r != -EIO && r != -EROFS)
		fail_msg("I/O %" PRIu64 ", step %u: %s", nth, done, err_name(r));
	assert_true(fired[0] || r == 0);
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], NULL, 0));
	ctl_crash(f, &c);
	script_verify(f, &c, done);
	ctl_stop(f, &c);
	return !fired[0];
}

RIG_TEST(failing_any_write_loses_nothing_acknowledged)
{
	uint64_t nth = 1;

	while (!script_with_fault(f, rig, 1u << BIO_WRITE, nth))
		nth++;
	assert_true(nth > 10);
}

RIG_TEST(failing_any_read_is_reported)
{
	uint64_t nth = 1;

	while (!script_with_fault(f, rig, 1u << BIO_READ, nth))
		nth++;
}

/* The nth allocation fails; true: it was never reached. */
static bool script_without_memory(struct fiber *f, struct rig *rig, uint64_t nth)
{
	uint64_t failures = rig->heap.failures;
	unsigned done = 0;
	struct ctl c;
	int r = 0;

	ctl_start(f, rig, &c);
	rig->heap.fail_at = rig->heap.allocs + nth;
	while (done < SCRIPT_STEPS && (r = script_step(f, &c, done)) == 0)
		done++;
	rig->heap.fail_at = 0;
	fiber_clear(f);
	/* ENOSPC: the memory disk has none for what is written */
	if (r < 0 && r != -ENOMEM && r != -EIO && r != -EROFS && r != -EAGAIN && r != -ENOSPC)
		fail_msg("allocation %" PRIu64 ", step %u: %s", nth, done, err_name(r));
	failures = rig->heap.failures - failures;
	assert_true(failures || r == 0);
	ctl_crash(f, &c);
	script_verify(f, &c, done);
	ctl_stop(f, &c);
	return failures == 0;
}

RIG_TEST(failing_any_allocation_loses_nothing_acknowledged)
{
	uint64_t nth = 1;

	while (!script_without_memory(f, rig, nth))
		nth++;
	assert_true(nth > 20);
}

/* ---- what is read ---------------------------------------------------------------------------- */

RIG_TEST(a_pool_that_is_looked_at_tells_what_the_log_has)
{
	const uint64_t region = 77;
	struct pool_import_args args = { .disk_count = 1, .read_only = true };
	uint64_t want[WORDS] = { 0 };
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, &region, 1));
	pool_ok(f, c.ops->fence(f, c.chan, 3));
	want[1] = 1u << 13;
	ctl_close(f, &c);
	pool_fault(c.pr.pool, "crash");
	pool_close(f, c.pr.pool);
	args.disks = c.pr.uris;
	pool_ok(f, pool_import(f, &args, &c.pr.pool));
	ctl_open(f, &c);
	al_is(f, &c, want);
	assert_int_equal(info_of(f, &c).fence, 3);
	fails(f, -EROFS, "read-only", c.ops->fence(f, c.chan, 4));
	fails(f, -EROFS, "read-only", c.ops->al_update(f, c.chan, 3, REPLICA_AL_SET, &region, 1));
	fails(f, -EROFS, "read-only", c.ops->miss_drop(f, c.chan, 3, 0));
	ctl_crash(f, &c); /* nothing was changed */
	al_is(f, &c, want);
	ctl_stop(f, &c);
}

struct damage {
	struct replica *rep;
	enum attr_kind kind;
	uint64_t index;
	unsigned at;
	uint8_t byte;
};

static int damage_check(struct fiber *f, struct pool *pool, void *arg)
{
	(void)f;
	(void)pool;
	(void)arg;
	return 0;
}

static int damage_run(struct fiber *f, struct pool *pool, void *arg)
{
	const struct damage *damage = arg;
	uint8_t value[ATTR_VALUE_SIZE] = { 0 };

	(void)pool;
	value[damage->at] = damage->byte;
	return attr_put(f, damage->rep, damage->kind, damage->index, value);
}

static void say_once(void *ctx, const char *line)
{
	++*(unsigned *)ctx;
	assert_non_null(strstr(line, "of 'r' is damaged"));
}

/* The offline check finds it, too. */
static void damage_is_checked(struct fiber *f, struct ctl *c)
{
	const struct pool_import_args args = { .disks = c->pr.uris, .disk_count = 1 };
	struct pool_check_result result;
	unsigned lines = 0;

	ctl_close(f, c);
	pool_ok(f, pool_export(f, c->pr.pool));
	pool_ok(f, pool_check(f, c->pr.uris, 1, say_once, &lines, &result));
	assert_int_equal(result.errors, 1);
	assert_int_equal(lines, 1);
	pool_ok(f, pool_import(f, &args, &c->pr.pool));
	ctl_open(f, c);
}

RIG_TEST(damaged_attributes_are_reported)
{
	static const struct damage damages[] = {
		{ .kind = ATTR_ACTIVITY, .index = 1 }, /* past the end of the replica */
		{ .kind = ATTR_ACTIVITY, .index = 0, .at = REGIONS / 8, .byte = 1 },
		{ .kind = ATTR_ACTIVITY, .index = (UINT64_C(1) << 56) - 1 },
		{ .kind = ATTR_MISS, .index = REPLICA_MISS_SLOTS },
		{ .kind = ATTR_MISS_MAP, .index = (uint64_t)REPLICA_MISS_SLOTS << 48 },
		{ .kind = ATTR_MISS_MAP, .index = UINT64_C(1) << 48 | 1 },
		{ .kind = ATTR_MEMBERS, .index = 0, .at = 0, .byte = REPLICA_MEMBERS_MAX + 1 },
		{ .kind = ATTR_MEMBERS, .index = 1, .at = 0, .byte = 14 },
		{ .kind = ATTR_RESERVATION, .index = 0, .at = 12, .byte = RESV_REGISTRANTS_MAX + 1 },
		{ .kind = ATTR_RESERVATION, .index = 0, .at = 8, .byte = 1 },
		{ .kind = ATTR_RESERVATION, .index = 1 }, /* registrants of nobody */
	};

	for (unsigned i = 0; i < ARRAY_LEN(damages); i++) {
		struct damage damage = damages[i];
		struct commit_op op = { .check = damage_check, .run = damage_run, .arg = &damage };
		struct replica_info info;
		struct ctl c;

		ctl_start(f, rig, &c);
		pool_ok(f, replica_find(f, c.pr.pool, "r", &damage.rep));
		pool_ok(f, commit_op(f, c.pr.pool, &op));
		replica_put(damage.rep);
		ctl_remount(f, &c);
		if (c.ops->info(f, c.chan, &info) != -EILSEQ)
			fail_msg("damage %u is not seen", i);
		assert_non_null(strstr(fiber_words(f), "of 'r' is damaged"));
		fiber_clear(f);
		assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, 0), 0); /* the data are well */
		damage_is_checked(f, &c);
		ctl_stop(f, &c);
	}
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
	const struct resv_state resv = resv_make(2, 0);
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

	al_is(f, &m->c, m->al);
	pool_ok(f, m->c.ops->miss_get(f, m->c.chan, 0, words, WORDS));
	assert_memory_equal(words, m->miss, sizeof(words));
	assert_int_equal(info_of(f, &m->c).fence, m->fence);
}

RIG_TEST(random_calls_agree_with_arrays)
{
	const struct uuid peer = uuid_of(6);
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
	al_is(f, &c, want);
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
	assert_int_equal(info_of(f, &c).fence, 5);
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
	assert_int_equal(info_of(f, &c).regions, REGIONS + 1);
	ctl_stop(f, &c);
}

static void calls_come_from_any_reactor(void **state)
{
	(void)state;
	rig_run(2, away_body, NULL);
}

/* ---- watermarks ------------------------------------------------------------------------------ */

struct told {
	enum pool_event events[16];
	unsigned count;
};

static void on_event(void *ctx, struct pool *pool, enum pool_event event)
{
	struct told *told = ctx;

	(void)pool;
	assert_true(told->count < ARRAY_LEN(told->events));
	told->events[told->count++] = event;
}

/* Write cluster after cluster from *lba on until `want` events were told or space is out. */
static void fill_until(struct fiber *f, struct ctl *c, struct told *told, unsigned want,
		       uint64_t *lba)
{
	while (told->count < want && bio_do(f, c, BIO_WRITE, *lba, 0) == 0) {
		*lba += 128;
		if (*lba % (128 * 16) == 0)
			pool_ok(f, pool_sync(f, c->pr.pool));
	}
}

static void free_down(struct fiber *f, struct ctl *c, uint64_t from, uint64_t to)
{
	for (uint64_t lba = from; lba < to; lba += 128)
		pool_ok(f, bdev_unmap(f, c->chan, lba, 128));
	pool_ok(f, pool_reap_wait(f, c->pr.pool));
}

RIG_TEST(watermarks_are_told_once_each_way)
{
	struct told told = { 0 };
	uint64_t lba = 0, at80, full;
	struct ctl c;

	ctl_start_on(f, rig, &c, "malloc:///w?size_mb=64");
	pool_on_event(c.pr.pool, on_event, &told);
	assert_int_equal(told.count, 0);
	fill_until(f, &c, &told, 1, &lba);
	assert_int_equal(told.events[0], POOL_EVENT_WATERMARK_80);
	at80 = lba;
	/* hovering about the mark tells nothing */
	for (unsigned i = 0; i < 4; i++) {
		free_down(f, &c, 0, 128);
		assert_int_equal(bio_do(f, &c, BIO_WRITE, 0, 0), 0);
		pool_ok(f, pool_sync(f, c.pr.pool));
	}
	assert_int_equal(told.count, 1);
	fill_until(f, &c, &told, 2, &lba);
	assert_int_equal(told.events[1], POOL_EVENT_WATERMARK_90);
	assert_in_range(lba * 80, at80 * 88, at80 * 92); /* 90 of 80 */
	fill_until(f, &c, &told, UINT32_MAX, &lba);
	assert_int_equal(told.count, 3);
	assert_int_equal(told.events[2], POOL_EVENT_FULL);
	full = lba;
	for (unsigned i = 0; i < 5; i++) /* once */
		assert_int_equal(bio_do(f, &c, BIO_WRITE, full + 128 * i, 0), -ENOSPC);
	assert_int_equal(told.count, 3);
	free_down(f, &c, 0, lba);
	assert_true(told.count >= 4);
	assert_int_equal(told.events[told.count - 1], POOL_EVENT_RELIEVED);
	told.count = 0;
	lba = 0;
	fill_until(f, &c, &told, 1, &lba);
	assert_int_equal(told.events[0], POOL_EVENT_WATERMARK_80);
	told.count = 0;
	pool_on_event(c.pr.pool, on_event, &told); /* who comes late is told, too */
	assert_int_equal(told.count, 1);
	pool_on_event(c.pr.pool, NULL, NULL);
	ctl_stop(f, &c);
}

RIG_TEST(a_fault_is_told)
{
	const struct fault_rule rule = { .ops = 1u << BIO_WRITE,
					 .last = UINT64_MAX,
					 .status = -EIO };
	struct told told = { 0 };
	struct pool_info info;
	struct ctl c;

	ctl_start_on(f, rig, &c, "fault:///f?on=" DISK);
	pool_on_event(c.pr.pool, on_event, &told);
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], &rule, 1));
	fails(f, -EIO, "log", c.ops->fence(f, c.chan, 7));
	assert_int_equal(told.count, 1);
	assert_int_equal(told.events[0], POOL_EVENT_STATE);
	pool_info(c.pr.pool, &info);
	assert_int_equal(info.state, POOL_FAULTED);
	fails(f, -EROFS, "read-only", c.ops->fence(f, c.chan, 8));
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], NULL, 0));
	ctl_crash(f, &c);
	ctl_stop(f, &c);
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
		cmocka_unit_test(active_regions_survive_a_crash),
		cmocka_unit_test(regions_have_limits),
		cmocka_unit_test(missed_regions_survive_a_crash),
		cmocka_unit_test(missed_regions_have_limits),
		cmocka_unit_test(a_prepared_snapshot_is_seen_when_committed),
		cmocka_unit_test(an_aborted_snapshot_leaves_nothing),
		cmocka_unit_test(a_prepared_snapshot_holds_its_source),
		cmocka_unit_test(bad_snapshots_are_refused),
		cmocka_unit_test(growing_is_seen_at_once_and_stays),
		cmocka_unit_test(reservations_survive_a_crash),
		cmocka_unit_test(each_step_survives_a_crash),
		cmocka_unit_test(failing_any_write_loses_nothing_acknowledged),
		cmocka_unit_test(failing_any_read_is_reported),
		cmocka_unit_test(failing_any_allocation_loses_nothing_acknowledged),
		cmocka_unit_test(a_pool_that_is_looked_at_tells_what_the_log_has),
		cmocka_unit_test(damaged_attributes_are_reported),
		cmocka_unit_test(nothing_older_lands_after_a_fence),
		cmocka_unit_test(random_calls_agree_with_arrays),
		cmocka_unit_test(the_log_is_never_too_small),
		cmocka_unit_test(calls_come_from_any_reactor),
		cmocka_unit_test(watermarks_are_told_once_each_way),
		cmocka_unit_test(a_fault_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
