// SPDX-License-Identifier: Apache-2.0
/*
 * The I/O path over real pools: many bios at a time against an array of bytes, on disks that
 * write through and on volatile ones, while snapshots are taken and dropped, from one reactor
 * and from another, with small logs; space that runs out and comes back; tokens; gates.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "drivers/fault.h"
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

		if (dice < 2 && next - first < 3) {
			snprintf(name, sizeof(name), "s%u", next++);
			pool_ok(f, snapshot_create(f, d->pr->pool, "v", name, NULL));
			d->snapshots++;
		} else if (dice < 3 && first < next) {
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

/* ---- slow disks, other reactors, small logs ------------------------------------------------------ */

RIG_TEST(slow_disks_make_everything_overlap)
{
	static const char *const uris[] = {
		"delay:///s0?ns=20000&jitter_ns=300000&on=malloc:///d0?size_mb=256",
		"delay:///s1?ns=0&jitter_ns=100000&on=malloc:///d1?size_mb=128",
	};

	for (uint32_t cluster = POOL_CLUSTER_MIN; cluster <= POOL_CLUSTER_MAX; cluster *= 4)
		integrity(f, rig, uris, 2, cluster, 150, true);
}

RIG_TEST(small_log_is_full_all_the_time)
{
	static const char *const uris[] = { "delay:///s0?ns=0&jitter_ns=50000&on=malloc:///d0?size_mb=64" };

	integrity(f, rig, uris, 1, POOL_CLUSTER_MIN, 1500, true);
}

struct away {
	struct rig *rig;
	uint64_t seed;
};

static int away_main(struct fiber *f, void *arg)
{
	const struct away *away = arg;

	rig_integrity(f, away->rig, "pool:///p/v", 300, away->seed);
	return 0;
}

static void away_body(struct fiber *f, struct rig *rig)
{
	struct away away = { rig, 9 };
	struct disturb disturb = { 0 };
	struct fiber *other;
	struct pool_rig pr;

	pool_rig_start(f, rig, &pr, two_disks, 2, 65536);
	make(f, &pr, "v", 8 * MIB);
	disturb.pr = &pr;
	prng_init(&disturb.prng, 1, 3);
	assert_int_equal(fiber_start(fiber_reactor(f), "disturb", disturb_main, &disturb, &other), 0);
	assert_int_equal(fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "away", away_main, &away), 0);
	disturb.stop = true;
	assert_int_equal(fiber_join(f, other), 0);
	pool_rig_check(f, &pr);
	pool_rig_stop(f, &pr);
}

static void bios_of_other_reactors_are_done_at_home(void **state)
{
	(void)state;
	rig_run(2, away_body, NULL);
}

/* ---- one replica by hand ------------------------------------------------------------------------- */

struct hand {
	struct pool_rig pr;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct replica *rep;
	uint8_t *buf;
	size_t size;
};

static void hand_open(struct fiber *f, struct hand *h)
{
	h->bdev = rig_open(f, "pool:///p/v");
	h->chan = rig_chan(f, h->bdev);
	pool_ok(f, replica_find(f, h->pr.pool, "v", &h->rep));
}

static void hand_close(struct fiber *f, struct hand *h)
{
	replica_put(h->rep);
	bdev_chan_close(f, h->chan);
	bdev_close(f, h->bdev);
}

static void hand_start(struct fiber *f, struct rig *rig, struct hand *h, const char *const *uris,
		       unsigned count, uint32_t cluster, uint64_t bytes)
{
	*h = (struct hand){ .size = 1 << 20 };
	pool_rig_start(f, rig, &h->pr, uris, count, cluster);
	make(f, &h->pr, "v", bytes);
	h->buf = aligned_alloc(4096, h->size);
	hand_open(f, h);
}

static void hand_stop(struct fiber *f, struct hand *h)
{
	hand_close(f, h);
	pool_rig_check(f, &h->pr);
	pool_rig_stop(f, &h->pr);
	free(h->buf);
}

static int hand_write(struct fiber *f, struct hand *h, uint64_t at, size_t len, uint8_t value,
		      uint16_t flags)
{
	uint32_t bs = h->bdev->block_size;

	memset(h->buf, value, len);
	return bdev_write(f, h->chan, at / bs, len / bs, h->buf, flags);
}

static bool hand_holds(struct fiber *f, struct hand *h, uint64_t at, size_t len, uint8_t value)
{
	uint32_t bs = h->bdev->block_size;

	pool_ok(f, bdev_read(f, h->chan, at / bs, len / bs, h->buf));
	for (size_t i = 0; i < len; i++)
		if (h->buf[i] != value)
			return false;
	return true;
}

/* ---- space --------------------------------------------------------------------------------------- */

RIG_TEST(full_pool_refuses_writes_and_nothing_else)
{
	static const char *const uris[] = { "malloc:///d0?size_mb=64" };
	uint64_t at = 0, again = 0;
	struct pool_info info;
	struct hand h;
	int r;

	hand_start(f, rig, &h, uris, 1, 65536, 128 * MIB);
	while ((r = hand_write(f, &h, at, 65536, 0x11, 0)) == 0)
		at += 65536;
	assert_int_equal(r, -ENOSPC);
	fiber_clear(f);
	assert_true(at > 32 * MIB);
	pool_info(h.pr.pool, &info);
	assert_int_equal(info.used_bytes, at);
	assert_true(hand_holds(f, &h, at - 65536, 65536, 0x11));
	assert_true(hand_holds(f, &h, at, 65536, 0));
	pool_ok(f, hand_write(f, &h, 0, 65536, 0x22, 0)); /* in place */
	pool_ok(f, bdev_flush(f, h.chan));
	pool_ok(f, pool_sync(f, h.pr.pool));
	assert_int_equal(hand_write(f, &h, at, 4096, 0x33, 0), -ENOSPC);
	fiber_clear(f);
	/* What is unmapped can be written again, elsewhere, at once. */
	pool_ok(f, bdev_unmap(f, h.chan, 0, 16 * MIB / h.bdev->block_size));
	while (again < 16 * MIB && (r = hand_write(f, &h, 64 * MIB + again, 65536, 0x44, 0)) == 0)
		again += 65536;
	assert_int_equal(again, 16 * MIB);
	assert_true(hand_holds(f, &h, 0, 65536, 0));
	assert_true(hand_holds(f, &h, 64 * MIB, 65536, 0x44));
	assert_true(hand_holds(f, &h, 64 * MIB + again - 65536, 65536, 0x44));
	/* A snapshot of a full pool: what would have to be copied cannot be written. */
	pool_ok(f, snapshot_create(f, h.pr.pool, "v", "s", NULL));
	assert_int_equal(hand_write(f, &h, 64 * MIB, 65536, 0x55, 0), -ENOSPC);
	fiber_clear(f);
	assert_int_equal(hand_write(f, &h, 64 * MIB, 4096, 0x55, 0), -ENOSPC);
	fiber_clear(f);
	assert_true(hand_holds(f, &h, 64 * MIB, 65536, 0x44));
	pool_ok(f, snapshot_destroy(f, h.pr.pool, "s"));
	pool_ok(f, hand_write(f, &h, 64 * MIB, 65536, 0x66, 0));
	assert_true(hand_holds(f, &h, 64 * MIB, 65536, 0x66));
	hand_stop(f, &h);
}

RIG_TEST(blocks_never_written_are_zeros_in_used_clusters)
{
	static const char *const uris[] = { "malloc:///d0?size_mb=64" };

	for (uint32_t cluster = POOL_CLUSTER_MIN; cluster <= POOL_CLUSTER_MAX; cluster *= 2) {
		struct hand h;

		hand_start(f, rig, &h, uris, 1, cluster, 32 * MIB);
		for (uint64_t at = 0; at < 24 * MIB; at += cluster)
			pool_ok(f, hand_write(f, &h, at, cluster, 0x5e, 0));
		pool_ok(f, bdev_unmap(f, h.chan, 0, h.bdev->blocks));
		for (unsigned i = 0; i < 4; i++)
			pool_ok(f, pool_sync(f, h.pr.pool)); /* all is out of quarantine */
		for (uint64_t at = 0; at < 24 * MIB; at += cluster)
			pool_ok(f, hand_write(f, &h, at + cluster / 2, 4096, 0x01, 0));
		for (uint64_t at = 0; at < 24 * MIB; at += cluster) {
			assert_true(hand_holds(f, &h, at, cluster / 2, 0)); /* P4 */
			assert_true(hand_holds(f, &h, at + cluster / 2, 4096, 1));
			if (cluster > 8192)
				assert_true(hand_holds(f, &h, at + cluster / 2 + 4096, cluster / 2 - 4096, 0));
		}
		hand_stop(f, &h);
	}
}

RIG_TEST(kept_zeroes_keep_their_space)
{
	static const char *const uris[] = { "malloc:///d0?size_mb=64" };
	struct replica_stat stat;
	struct hand h;

	hand_start(f, rig, &h, uris, 1, 65536, 32 * MIB);
	pool_ok(f, hand_write(f, &h, 0, 4 * 65536, 0x11, 0));
	pool_ok(f, bdev_zeroes(f, h.chan, 0, 65536 / h.bdev->block_size, BIO_KEEP));
	pool_ok(f, bdev_zeroes(f, h.chan, 65536 / h.bdev->block_size, 65536 / h.bdev->block_size, 0));
	pool_ok(f, replica_stat(f, h.pr.pool, "v", &stat));
	assert_int_equal(stat.allocated_bytes, 3 * 65536);
	pool_ok(f, pool_sync(f, h.pr.pool));
	pool_ok(f, replica_stat(f, h.pr.pool, "v", &stat));
	assert_int_equal(stat.allocated_bytes, 3 * 65536);
	assert_true(hand_holds(f, &h, 0, 2 * 65536, 0));
	assert_true(hand_holds(f, &h, 2 * 65536, 2 * 65536, 0x11));
	hand_stop(f, &h);
}

/* ---- order, tokens, gates -------------------------------------------------------------------------- */

RIG_TEST(older_tokens_are_refused)
{
	struct iovec iov = { .iov_len = 4096 };
	struct bio *bio;
	struct hand h;

	hand_start(f, rig, &h, one_disk, 1, 65536, 32 * MIB);
	iov.iov_base = h.buf;
	bio = bio_new(h.chan);
	for (unsigned round = 0; round < 2; round++) { /* unmapped, and mapped in the TLB */
		h.rep->rec.fence = 10;
		rio_gate_close(f, h.rep);
		rio_gate_open(h.rep);
		for (uint64_t token = 9; token <= 10; token++)
			for (enum bio_op op = BIO_READ; op <= BIO_WRITE; op++) {
				bio_prep(bio, h.chan, op, 0, 4096 / h.bdev->block_size, &iov, 1, NULL);
				bio->token = token;
				assert_int_equal(bio_wait(f, bio), token < 10 ? -ESTALE : 0);
				fiber_clear(f);
			}
	}
	mem_free(bio);
	h.rep->rec.fence = 0; /* so that it may be checked without a token */
	rio_gate_close(f, h.rep);
	rio_gate_open(h.rep);
	hand_stop(f, &h);
}

RIG_TEST(gate_lets_nothing_through)
{
	static const char *const uris[] = { "delay:///s0?ns=500000&on=malloc:///d0?size_mb=128" };
	struct iovec iov = { .iov_len = 4096 };
	struct rig_wait wait = { 0 };
	struct bio *bios[16];
	struct hand h;

	hand_start(f, rig, &h, uris, 1, 65536, 32 * MIB);
	memset(h.buf, 0x77, 4096);
	iov.iov_base = h.buf;
	for (unsigned i = 0; i < 16; i++) {
		bios[i] = rig_bio_new(&wait, h.bdev);
		bio_prep(bios[i], h.chan, BIO_WRITE, i * 65536 / h.bdev->block_size,
			 4096 / h.bdev->block_size, &iov, 1, rig_bio_done);
	}
	for (unsigned i = 0; i < 8; i++)
		rig_bio_submit(bios[i]);
	rio_gate_close(f, h.rep);
	assert_int_equal(wait.pending, 0); /* drained: those that ran are over */
	for (unsigned i = 8; i < 16; i++)
		rig_bio_submit(bios[i]);
	assert_int_equal(fiber_sleep(f, 5000000), 0);
	assert_int_equal(wait.pending, 8); /* held */
	rio_gate_open(h.rep);
	rig_bios_wait(f, &wait);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(bios[i]->status, 0);
		rig_bio_free(bios[i]);
	}
	for (unsigned i = 0; i < 16; i++)
		assert_true(hand_holds(f, &h, i * 65536, 4096, 0x77));
	hand_stop(f, &h);
}

/* ---- errors ------------------------------------------------------------------------------------------- */

/* Write, copy on write, unmap; each may fail; what succeeded must be there. Returns the blocks that are sure. */
static void script(struct fiber *f, struct hand *h, uint8_t *ret_value, bool *ret_sure)
{
	for (unsigned i = 0; i < 24; i++) {
		unsigned block = i * 7 % 24;
		bool unmaps = i % 5 == 4;
		int r;

		if (i == 12 && snapshot_create(f, h->pr.pool, "v", "s", NULL) < 0)
			fiber_clear(f);
		if (unmaps)
			r = bdev_unmap(f, h->chan, block * 16384 / h->bdev->block_size,
				       16384 / h->bdev->block_size);
		else
			r = hand_write(f, h, block * 16384 + 4096, 4096, (uint8_t)(i + 1), 0);
		if (r < 0)
			fiber_clear(f);
		ret_value[block] = unmaps ? 0 : (uint8_t)(i + 1);
		ret_sure[block] = r == 0;
	}
}

RIG_TEST(every_nth_write_may_fail)
{
	static const char *const uris[] = { "fault:///x?on=malloc:///d0?size_mb=64" };
	bool ended = false;

	for (unsigned nth = 1; !ended; nth++) {
		struct fault_rule rule = { .ops = 1u << BIO_WRITE, .last = UINT64_MAX, .nth = nth,
					   .status = -EIO };
		uint8_t value[24] = { 0 };
		bool sure[24] = { 0 };
		uint64_t fired[FAULT_RULES_MAX];
		struct hand h;

		hand_start(f, rig, &h, uris, 1, 16384, 8 * MIB);
		pool_ok(f, fault_set_rules(f, h.pr.keep[0], &rule, 1));
		script(f, &h, value, sure);
		pool_ok(f, fault_get_fired(f, h.pr.keep[0], fired));
		ended = fired[0] == 0;
		pool_ok(f, fault_set_rules(f, h.pr.keep[0], NULL, 0));
		hand_close(f, &h);
		pool_rig_crash(f, &h.pr);
		hand_open(f, &h);
		for (unsigned i = 0; i < 24; i++)
			assert_true(!sure[i] || hand_holds(f, &h, i * 16384 + 4096, 4096, value[i]));
		hand_stop(f, &h);
		assert_true(!ended || nth > 24);
	}
}

/* The log has no room, and the commit that would make some waits for the gate. */
RIG_TEST(gate_is_drained_with_a_full_log)
{
	struct iovec iov = { .iov_len = 4096 };
	struct rig_wait wait = { 0 };
	struct bio *bios[10];
	struct hand h;

	hand_start(f, rig, &h, one_disk, 1, 16384, 32 * MIB);
	pool_ok(f, hand_write(f, &h, 20 * 16384, 2 * 16384, 0x11, 0));
	memset(h.buf, 0x77, 4096);
	iov.iov_base = h.buf;
	h.pr.pool->intent.used = h.pr.pool->intent.room;
	for (unsigned i = 0; i < 10; i++) {
		bios[i] = rig_bio_new(&wait, h.bdev);
		bio_prep(bios[i], h.chan, i < 8 ? BIO_WRITE : BIO_UNMAP,
			 (i < 8 ? i : i + 12) * 16384 / h.bdev->block_size,
			 (i < 8 ? 4096 : 16384) / h.bdev->block_size, i < 8 ? &iov : NULL, i < 8, rig_bio_done);
		rig_bio_submit(bios[i]);
	}
	rio_gate_close(f, h.rep);
	assert_int_equal(h.rep->rio.busy, 0);
	assert_int_equal(h.rep->rio.riders, 10);
	assert_int_equal(wait.pending, 10); /* RI2: not acknowledged before the commit is durable */
	rio_gate_open(h.rep);
	assert_int_equal(h.rep->rio.gate, 1); /* nor seen */
	rig_bios_wait(f, &wait);
	assert_int_equal(h.rep->rio.gate, 0);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(bios[i]->status, 0);
		rig_bio_free(bios[i]);
	}
	hand_close(f, &h);
	pool_rig_crash(f, &h.pr);
	hand_open(f, &h);
	for (unsigned i = 0; i < 8; i++)
		assert_true(hand_holds(f, &h, i * 16384, 4096, 0x77));
	assert_true(hand_holds(f, &h, 20 * 16384, 2 * 16384, 0));
	hand_stop(f, &h);
}

/* More new clusters at a time than there are changes. */
static void many_writes(struct fiber *f, struct rig *rig, const char *uri, unsigned count)
{
	struct iovec iov = { .iov_len = 4096 };
	struct rig_wait wait = { 0 };
	struct bio **bios = calloc(count, sizeof(*bios));
	struct hand h;

	hand_start(f, rig, &h, &uri, 1, 16384, count * UINT64_C(16384));
	memset(h.buf, 0x77, 4096);
	iov.iov_base = h.buf;
	for (unsigned i = 0; i < count; i++) {
		bios[i] = rig_bio_new(&wait, h.bdev);
		bio_prep(bios[i], h.chan, BIO_WRITE, (uint64_t)i * 16384 / h.bdev->block_size,
			 4096 / h.bdev->block_size, &iov, 1, rig_bio_done);
		rig_bio_submit(bios[i]);
	}
	assert_false(list_empty(&h.pr.pool->rio.starved));
	rig_bios_wait(f, &wait);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(bios[i]->status, 0);
		rig_bio_free(bios[i]);
	}
	free(bios);
	assert_int_equal(h.pr.pool->rio.changes.in_use, 0);
	assert_int_equal(h.pr.pool->delta.promised, 0);
	for (unsigned i = 0; i < count; i += 37)
		assert_true(hand_holds(f, &h, (uint64_t)i * 16384, 4096, 0x77));
	hand_stop(f, &h);
}

RIG_TEST(writes_wait_for_changes_in_order)
{
	many_writes(f, rig, "delay:///s0?ns=100000&on=malloc:///d0?size_mb=512", RIO_CHANGES_MAX + 1500);
	many_writes(f, rig, "malloc:///d0?size_mb=512", RIO_CHANGES_MAX + 1500);
}

RIG_TEST(every_nth_allocation_may_fail)
{
	bool ended = false;

	for (unsigned nth = 1; !ended; nth += nth < 200 ? 1 : 37) {
		uint8_t value[24] = { 0 };
		bool sure[24] = { 0 };
		uint64_t failures;
		struct hand h;

		hand_start(f, rig, &h, one_disk, 1, 16384, 8 * MIB);
		failures = rig->heap.failures;
		rig->heap.fail_at = rig->heap.allocs + nth;
		script(f, &h, value, sure);
		ended = rig->heap.failures == failures;
		rig->heap.fail_at = 0;
		hand_close(f, &h);
		pool_rig_crash(f, &h.pr);
		hand_open(f, &h);
		for (unsigned i = 0; i < 24; i++)
			assert_true(!sure[i] || hand_holds(f, &h, i * 16384 + 4096, 4096, value[i]));
		hand_stop(f, &h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_written_is_read_while_snapshots_come_and_go),
		cmocka_unit_test(volatile_disks_too),
		cmocka_unit_test(slow_disks_make_everything_overlap),
		cmocka_unit_test(small_log_is_full_all_the_time),
		cmocka_unit_test(bios_of_other_reactors_are_done_at_home),
		cmocka_unit_test(full_pool_refuses_writes_and_nothing_else),
		cmocka_unit_test(blocks_never_written_are_zeros_in_used_clusters),
		cmocka_unit_test(kept_zeroes_keep_their_space),
		cmocka_unit_test(older_tokens_are_refused),
		cmocka_unit_test(gate_lets_nothing_through),
		cmocka_unit_test(gate_is_drained_with_a_full_log),
		cmocka_unit_test(writes_wait_for_changes_in_order),
		cmocka_unit_test(every_nth_write_may_fail),
		cmocka_unit_test(every_nth_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
