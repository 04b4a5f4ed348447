// SPDX-License-Identifier: Apache-2.0
/*
 * Replica control over NVMe/TCP: our initiator on our target on a pool, over the loopback. What a
 * nexus has of a replica of another node (replica.h R1..R4, ini_session.c S1..S4).
 */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "bdev/replica.h"
#include "bdev/status.h"
#include "nvmf/ini.h"
#include "nvmf/tgt.h"
#include "nvmf/tgt_page_priv.h"
#include "unit/pool/pool_rig.h"

#define NQN	 "nqn.2024-01.io.test:replica"
#define INSTANCE "01020304-0506-0708-090a-0b0c0d0e0f10"
#define BYTES	 4096u
#define REGION	 (4u << 20)

/* However slow the machine is. */
#define PATIENT "timeout_ms=86400000&connect_ms=86400000&wait_ms=86400000&kato_ms=0"

struct far {
	struct pool_rig pr;
	struct tgt *tgt;
	struct tgt_subsys *subsys;
	struct tgt_ns *ns;
	uint16_t port;
	bool any; /* listens on all addresses */
};

static void far_serve(struct fiber *f, struct far *far, bool vendor, const char *uri)
{
	struct tgt_opts opts = { .reactors = far->pr.rig->reactors };
	const struct tgt_subsys_args args = {
		.nqn = NQN, .allow_any_host = true, .fence = vendor, .vendor = vendor
	};
	struct tgt_port_args port_args = { .addr = { .family = AF_INET, .port = far->port } };
	const struct tgt_ns_args ns = { .uri = uri };
	struct tgt_port *port;
	struct io_addr addr;

	if (!far->any)
		inet_pton(AF_INET, "127.0.0.1", port_args.addr.ip);
	pool_ok(f, tgt_open(f, &opts, &far->tgt));
	pool_ok(f, tgt_port_add(f, far->tgt, &port_args, &port));
	tgt_port_addr(port, &addr);
	far->port = addr.port;
	pool_ok(f, tgt_subsys_add(f, far->tgt, &args, &far->subsys));
	pool_ok(f, tgt_ns_add(f, far->subsys, &ns, &far->ns));
}

static void far_start(struct fiber *f, struct rig *rig, struct far *far)
{
	static const char *const disks[] = { "malloc:///d0?size_mb=96" };
	const struct replica_create_args replica = { .name = "r", .size_bytes = 32 << 20 };

	*far = (struct far){ 0 };
	pool_rig_start(f, rig, &far->pr, disks, 1, 0);
	pool_ok(f, replica_create(f, far->pr.pool, &replica));
	far_serve(f, far, true, "pool:///p/r");
}

static void far_stop(struct fiber *f, struct far *far)
{
	tgt_close(f, far->tgt);
	pool_rig_stop(f, &far->pr);
}

/* One nexus's way to the replica. */
struct way {
	struct bdev *bdev;
	struct bdev_chan *chan;
	const struct bdev_replica_ops *ops;
};

static void way_open(struct fiber *f, const struct far *far, const char *name, const char *params,
		     struct way *way)
{
	char uri[256];

	snprintf(uri, sizeof(uri), "nvmf://127.0.0.1:%u/" NQN "%s?%s", far->port, name, params);
	pool_ok(f, bdev_open(f, uri, &way->bdev));
	pool_ok(f, bdev_chan_open(f, way->bdev, &way->chan));
	way->ops = bdev_replica_ops(way->chan);
}

static void way_close(struct fiber *f, struct way *way)
{
	bdev_chan_close(f, way->chan);
	bdev_close(f, way->bdev);
}

static int way_do(struct fiber *f, struct way *way, enum bio_op op, uint64_t token, void *buf)
{
	struct bio *bio = bio_new(way->chan);
	const struct iovec iov = { buf, BYTES };
	int r;

	bio_prep(bio, way->chan, op, 0, BYTES / way->bdev->block_size, &iov, 1, NULL);
	bio->token = token;
	r = bio_wait(f, bio);
	fiber_clear(f);
	mem_free(bio);
	return r;
}

static int way_write(struct fiber *f, struct way *way, uint64_t token, uint8_t byte)
{
	uint8_t *buf = mem_new(fiber_io(f), BYTES);
	int r;

	memset(buf, byte, BYTES);
	r = way_do(f, way, BIO_WRITE, token, buf);
	mem_free(buf);
	return r;
}

/* The byte, or an error. */
static int way_read(struct fiber *f, struct way *way, uint64_t token)
{
	uint8_t *buf = mem_new(fiber_io(f), BYTES);
	int r = way_do(f, way, BIO_READ, token, buf);

	r = r < 0 ? r : buf[0];
	mem_free(buf);
	return r;
}

static int failed(struct fiber *f, int r)
{
	fiber_clear(f);
	return r;
}

/* ---- what is offered ---------------------------------------------------------------------- */

RIG_TEST(only_a_replica_whose_target_offers_it_has_replica_control)
{
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	assert_non_null(way.ops);
	way_close(f, &way);
	tgt_close(f, far.tgt);
	far_serve(f, &far, false, "pool:///p/r");
	way_open(f, &far, "", PATIENT, &way);
	assert_null(way.ops);
	assert_int_equal(way_write(f, &way, 0, 1), 0);
	way_close(f, &way);
	tgt_close(f, far.tgt);
	far_serve(f, &far, true, "malloc:///m?size_mb=8"); /* offered, but it is no replica */
	way_open(f, &far, "", PATIENT, &way);
	assert_null(way.ops);
	way_close(f, &way);
	far_stop(f, &far);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void told_body(struct fiber *f, struct far *far, struct way *way, uint64_t token)
{
	struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));
	const unsigned all = REPLICA_SET_VOLUME | REPLICA_SET_GEN | REPLICA_SET_STATE |
			     REPLICA_SET_UNCLEAN;

	(void)far;
	pool_ok(f, way->ops->info(f, way->chan, info));
	assert_int_equal(info->state, REPLICA_NEW);
	assert_int_equal(info->fence, token);
	assert_int_equal(info->region_bytes, REGION);
	assert_int_equal(info->regions, 8);
	assert_false(uuid_is_nil(&info->replica));
	info->volume.bytes[3] = 7;
	info->gen = (struct replica_gen){ 5, 9 };
	info->state = REPLICA_IN_SYNC;
	info->unclean = true;
	info->members[0] = info->replica;
	info->members[1].bytes[0] = 0xee;
	info->member_count = 2;
	pool_ok(f, way->ops->set(f, way->chan, token, all, info));
	*info = (struct replica_info){ 0 };
	pool_ok(f, way->ops->info(f, way->chan, info));
	assert_int_equal(info->volume.bytes[3], 7);
	assert_int_equal(info->gen.epoch, 5);
	assert_int_equal(info->gen.n, 9);
	assert_int_equal(info->state, REPLICA_IN_SYNC);
	assert_true(info->unclean);
	assert_int_equal(info->member_count, 2);
	assert_true(uuid_equal(&info->members[0], &info->replica));
	assert_int_equal(info->members[1].bytes[0], 0xee);
	info->member_count = REPLICA_MEMBERS_MAX + 1;
	assert_int_equal(failed(f, way->ops->set(f, way->chan, token, all, info)), -EINVAL);
	mem_free(info);
}

static void regions_body(struct fiber *f, struct way *way, uint64_t token)
{
	const uint64_t some[] = { 1, 7, 4 }, four = 4, beyond = 8;
	const struct uuid peer = { { 9 } };
	struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));
	uint64_t word = 0;
	unsigned slot = 99;

	pool_ok(f, way->ops->al_update(f, way->chan, token, REPLICA_AL_SET, some, 3));
	pool_ok(f, way->ops->al_get(f, way->chan, &word, 1));
	assert_int_equal(word, 1 << 1 | 1 << 7 | 1 << 4);
	pool_ok(f, way->ops->al_update(f, way->chan, token, REPLICA_AL_CLEAR, &four, 1));
	pool_ok(f, way->ops->al_get(f, way->chan, &word, 1));
	assert_int_equal(word, 1 << 1 | 1 << 7);
	assert_int_equal(
		failed(f, way->ops->al_update(f, way->chan, token, REPLICA_AL_SET, &beyond, 1)),
		-EINVAL);

	pool_ok(f, way->ops->miss_open(f, way->chan, token, &peer, (struct replica_gen){ 3, 4 },
				       &slot));
	assert_true(slot < REPLICA_MISS_SLOTS);
	pool_ok(f, way->ops->miss_add(f, way->chan, token, slot, some, 2));
	pool_ok(f, way->ops->miss_get(f, way->chan, slot, &word, 1));
	assert_int_equal(word, 1 << 1 | 1 << 7);
	pool_ok(f, way->ops->info(f, way->chan, info));
	assert_true(uuid_equal(&info->miss[slot].peer, &peer));
	assert_int_equal(info->miss[slot].peer_gen.epoch, 3);
	assert_int_equal(info->miss[slot].peer_gen.n, 4);
	assert_int_equal(info->miss[slot].dirty_regions, 2);
	pool_ok(f, way->ops->miss_drop(f, way->chan, token, slot));
	pool_ok(f, way->ops->info(f, way->chan, info));
	assert_true(uuid_is_nil(&info->miss[slot].peer));
	mem_free(info);
}

static void snaps_body(struct fiber *f, struct way *way, uint64_t token)
{
	const struct uuid kept = { { 1, 2 } }, dropped = { { 3, 4 } };
	char name[300];
	struct way snap;

	pool_ok(f, way->ops->snap_prepare(f, way->chan, token, &kept, "s1"));
	pool_ok(f, way->ops->snap_prepare(f, way->chan, token, &dropped, "s2"));
	pool_ok(f, way->ops->snap_commit(f, way->chan, token, &kept));
	pool_ok(f, way->ops->snap_abort(f, way->chan, token, &dropped));
	pool_ok(f, bdev_open(f, "pool:///p/s1", &snap.bdev)); /* there it is */
	bdev_close(f, snap.bdev);
	assert_int_not_equal(failed(f, bdev_open(f, "pool:///p/s2", &snap.bdev)), 0);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(failed(f, way->ops->snap_prepare(f, way->chan, token, &kept, name)),
			 -ENAMETOOLONG);
}

RIG_TEST(what_is_said_to_a_replica_over_the_wire_it_knows)
{
	const uint64_t token = replica_token(5, 1);
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	pool_ok(f, way.ops->fence(f, way.chan, token));
	told_body(f, &far, &way, token);
	regions_body(f, &way, token);
	snaps_body(f, &way, token);
	way_close(f, &way);
	far_stop(f, &far);
}

/* More than one command holds: the maps of a large replica, and many regions at once. */
RIG_TEST(calls_go_in_pieces_where_they_must)
{
	enum { REGIONS = 700000, MARKS = 1024 };
	const uint64_t token = replica_token(5, 1), words_count = (REGIONS + 63) / 64;
	static const char *const disk = "malloc:///vast?size_mb=32768";
	const struct pool_create_args vast = {
		.name = "vast", .disks = &disk, .disk_count = 1, .overcommit_percent = 10000
	};
	struct replica_create_args large = { .name = "large" };
	struct pool *pool;
	uint64_t *regions = mem_new(fiber_io(f), MARKS * 8);
	uint64_t *words = mem_new(fiber_io(f), words_count * 8);
	unsigned count = 0;
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	large.size_bytes = (uint64_t)REGIONS * REGION;
	pool_ok(f, pool_create(f, &vast, &pool));
	pool_ok(f, replica_create(f, pool, &large));
	tgt_close(f, far.tgt);
	far_serve(f, &far, true, "pool:///vast/large");
	way_open(f, &far, "", PATIENT, &way);
	pool_ok(f, way.ops->fence(f, way.chan, token));
	for (unsigned i = 0; i < MARKS; i++)
		regions[i] = (uint64_t)i * (REGIONS - 1) / (MARKS - 1);
	pool_ok(f, way.ops->al_update(f, way.chan, token, REPLICA_AL_SET, regions, MARKS));
	pool_ok(f, way.ops->al_get(f, way.chan, words, words_count));
	for (unsigned i = 0; i < MARKS; i++)
		assert_true(words[regions[i] / 64] >> regions[i] % 64 & 1);
	for (uint64_t i = 0; i < words_count; i++)
		count += (unsigned)__builtin_popcountll(words[i]);
	assert_int_equal(count, MARKS);
	way_close(f, &way);
	tgt_close(f, far.tgt);
	pool_ok(f, pool_export(f, pool));
	pool_rig_stop(f, &far.pr);
	mem_free(words);
	mem_free(regions);
}

/* ---- block status, size ------------------------------------------------------------------- */

static void extents_body(struct fiber *f, struct way *way, uint64_t blocks)
{
	struct bdev_extent extents[4], pool[4];
	struct bdev_chan *chan;
	struct bdev *bdev;
	unsigned count, pool_count;

	pool_ok(f, bdev_open(f, "pool:///p/r", &bdev));
	pool_ok(f, bdev_chan_open(f, bdev, &chan));
	for (uint64_t lba = 0; lba < blocks; lba += extents[count - 1].blocks) {
		pool_ok(f, bdev_status_get(f, way->chan, lba, blocks - lba, extents, 4, &count));
		pool_ok(f, bdev_status_get(f, chan, lba, blocks - lba, pool, 4, &pool_count));
		assert_int_equal(count, pool_count);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(extents[i].lba, pool[i].lba);
			assert_int_equal(extents[i].blocks, pool[i].blocks);
			assert_int_equal(extents[i].flags, pool[i].flags);
			lba += i ? extents[i - 1].blocks : 0;
		}
	}
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(what_is_allocated_is_known_over_the_wire)
{
	const uint64_t token = replica_token(5, 1);
	struct bdev_extent extent;
	unsigned count;
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	assert_true(way.bdev->unmap_zeroes);
	pool_ok(f, bdev_status_get(f, way.chan, 0, way.bdev->blocks, &extent, 1, &count));
	assert_int_equal(extent.flags, BDEV_HOLE | BDEV_ZERO);
	pool_ok(f, way.ops->fence(f, way.chan, token));
	for (unsigned i = 0; i < 20; i++) {
		struct bio *bio = bio_new(way.chan);

		bio_prep(bio, way.chan, i % 5 == 4 ? BIO_UNMAP : BIO_ZEROES, i * 3000, 1024, NULL, 0,
			 NULL);
		bio->flags = i % 5 == 4 ? 0 : BIO_KEEP;
		bio->token = token;
		pool_ok(f, bio_wait(f, bio));
		mem_free(bio);
	}
	extents_body(f, &way, way.bdev->blocks);
	assert_int_equal(failed(f, bdev_status_get(f, way.chan, way.bdev->blocks, 1, &extent, 1,
						   &count)),
			 -EINVAL);
	way_close(f, &way);
	far_stop(f, &far);
}

struct seen {
	struct bdev_watch watch;
	unsigned resized;
};

static void seen_event(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	(void)bdev;
	container_of(watch, struct seen, watch)->resized += event == BDEV_RESIZED;
}

RIG_TEST(a_replica_grows_over_the_wire)
{
	const uint64_t token = replica_token(5, 1);
	struct seen seen = { .watch = { .fn = seen_event } };
	struct way way, plain;
	struct far far;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	way_open(f, &far, "/1", PATIENT, &plain); /* hears of it by an event */
	pool_ok(f, bdev_watch_add(f, plain.bdev, &seen.watch));
	pool_ok(f, way.ops->fence(f, way.chan, token));
	pool_ok(f, way.ops->resize(f, way.chan, token, (64u << 20) / 512));
	assert_int_equal(way.bdev->blocks, (64u << 20) / 512);
	assert_int_equal(way.chan->blocks, (64u << 20) / 512);
	pool_ok(f, way.ops->resize(f, way.chan, token, (64u << 20) / 512)); /* again */
	assert_int_equal(failed(f, way.ops->resize(f, way.chan, token, (16u << 20) / 512)),
			 -EINVAL);
	while (!seen.resized)
		fiber_yield(f);
	assert_int_equal(plain.bdev->blocks, (64u << 20) / 512);
	bdev_watch_del(f, &seen.watch);
	way_close(f, &plain);
	way_close(f, &way);
	far_stop(f, &far);
}

/* ---- our own target ------------------------------------------------------------------------- */

RIG_TEST(a_replica_of_our_own_target_is_used_directly)
{
	static const char *const elsewhere[] = {
		"nvmf://127.0.0.1:%u/nqn.2024-01.io.test:other", "nvmf://127.0.0.1:%u/" NQN "/2",
		"nvmf://127.0.0.1:1%u/" NQN, "nvmf://name.invalid:%u/" NQN,
	};
	struct bdev *bdev, *pool;
	struct bdev_claim claim;
	struct far far;
	struct way way;
	char uri[256];

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	assert_string_equal(way.bdev->driver->scheme, "nvmf"); /* nobody said that it is ours */
	way_close(f, &way);
	rig->env.target = far.tgt;
	way_open(f, &far, "", PATIENT, &way);
	assert_string_equal(way.bdev->name, "pool:///p/r");
	assert_string_equal(way.bdev->driver->scheme, "pool");
	pool_ok(f, bdev_open(f, "pool:///p/r", &pool));
	assert_ptr_equal(pool, way.bdev);
	bdev_close(f, pool);
	pool_ok(f, way.ops->fence(f, way.chan, 77));
	assert_int_equal(way_write(f, &way, 76, 1), -ESTALE); /* R1: the same check */
	assert_int_equal(way_write(f, &way, 77, 1), 0);
	pool_ok(f, bdev_claim(f, way.bdev, BDEV_CLAIM_READ, "a nexus", &claim));
	bdev_unclaim(f, &claim);
	assert_int_equal(failed(f, bdev_claim(f, way.bdev, BDEV_CLAIM_WRITE, "a user", &claim)),
			 -EBUSY);
	way_close(f, &way);
	for (unsigned i = 0; i < ARRAY_LEN(elsewhere); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(uri, sizeof(uri), elsewhere[i], far.port % 10000);
#pragma GCC diagnostic pop
		assert_int_not_equal(failed(f, bdev_open(f, uri, &bdev)), 0);
	}
	tgt_close(f, far.tgt);
	far.any = true;
	far_serve(f, &far, true, "pool:///p/r");
	rig->env.target = far.tgt;
	way_open(f, &far, "", PATIENT, &way); /* one of all our addresses */
	assert_string_equal(way.bdev->driver->scheme, "pool");
	way_close(f, &way);
	rig->env.target = NULL;
	far_stop(f, &far);
}

/* ---- FENCE, SESSION -------------------------------------------------------------------------- */

static void fence_body(struct fiber *f, struct rig *rig)
{
	const uint64_t five = replica_token(5, 1), six = replica_token(6, 1);
	const uint64_t one = 1;
	struct way old, new, plain;
	struct far far;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &old);
	way_open(f, &far, "/1", PATIENT, &new);
	way_open(f, &far, "", PATIENT, &plain); /* another channel of the first disk */
	assert_int_equal(way_write(f, &old, 0, 0x11), 0); /* no fence yet */
	assert_int_equal(failed(f, old.ops->al_update(f, old.chan, five, REPLICA_AL_SET, &one, 1)),
			 -ESTALE);
	pool_ok(f, old.ops->fence(f, old.chan, five));
	assert_int_equal(way_write(f, &old, five, 0x55), 0);
	assert_int_equal(way_read(f, &old, five), 0x55);
	assert_int_equal(way_read(f, &old, 0), -ESTALE);	/* R1 */
	assert_int_equal(way_read(f, &old, five - 1), -ESTALE);
	assert_int_equal(way_write(f, &plain, 0, 0x12), -ESTALE); /* it has no session */
	assert_int_equal(way_write(f, &new, six, 0x13), -ESTALE); /* nor has that */
	assert_int_equal(failed(f, old.ops->fence(f, old.chan, five - 1)), -ESTALE);
	assert_int_equal(failed(f, new.ops->fence(f, new.chan, five - 1)), -ESTALE);
	assert_int_equal(way_write(f, &old, five, 0x56), 0); /* S3 */

	pool_ok(f, new.ops->fence(f, new.chan, six));
	assert_int_equal(way_write(f, &old, five, 0x57), -ESTALE);
	assert_int_equal(way_read(f, &old, five), -ESTALE);
	assert_int_equal(failed(f, old.ops->al_update(f, old.chan, five, REPLICA_AL_SET, &one, 1)),
			 -ESTALE);
	assert_int_equal(failed(f, old.ops->fence(f, old.chan, five + 1)), -ESTALE); /* R3 */
	assert_int_equal(way_read(f, &new, six), 0x56);
	pool_ok(f, new.ops->fence(f, new.chan, six + 1)); /* SESSION: the same one, anew */
	assert_int_equal(way_read(f, &new, six), -ESTALE);
	assert_int_equal(way_read(f, &new, six + 1), 0x56);
	pool_ok(f, new.ops->fence(f, new.chan, six + 1)); /* again: no harm */
	assert_int_equal(way_write(f, &new, six + 1, 0x66), 0);
	pool_ok(f, old.ops->fence(f, old.chan, replica_token(7, 0)));
	assert_int_equal(way_read(f, &old, replica_token(7, 0)), 0x66);
	assert_int_equal(way_read(f, &new, six + 1), -ESTALE);
	way_close(f, &plain);
	way_close(f, &old);
	way_close(f, &new);
	far_stop(f, &far);
}

static void older_sessions_neither_write_nor_read(void **state)
{
	rig_run(1, fence_body, NULL);
}

static void sessions_over_several_reactors(void **state)
{
	rig_run(3, fence_body, NULL);
}

/* Write after write, until the first that fails. */
struct writer {
	struct way *way;
	uint64_t token;
	unsigned done;
	int result;
	bool stop;
};

static int writer_run(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	while (!w->stop && w->result == 0) {
		w->result = way_write(f, w->way, w->token, 0x77);
		w->done += w->result == 0;
	}
	return 0;
}

/* R2, S1, S2: with writes in flight by the same channel and by another. */
static void drained_body(struct fiber *f, struct rig *rig)
{
	const uint64_t first = replica_token(5, 1), second = replica_token(5, 2);
	struct fiber *fibers[8];
	struct writer w[8];
	struct way one, two;
	struct far far;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &one);
	way_open(f, &far, "/1", PATIENT, &two);
	for (unsigned round = 0; round < 4; round++) {
		struct way *next = round % 2 ? &two : &one;
		uint64_t token = first + 2 * round;

		pool_ok(f, one.ops->fence(f, one.chan, token));
		for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
			w[i] = (struct writer){ .way = &one, .token = token };
			pool_ok(f, fiber_start(fiber_reactor(f), "writer", writer_run, &w[i],
					       &fibers[i]));
		}
		while (w[0].done < 10)
			fiber_yield(f);
		token = second + 2 * round;
		pool_ok(f, next->ops->fence(f, next->chan, token));
		assert_int_equal(way_write(f, next, token, 0x99), 0);
		for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
			assert_int_equal(fiber_join(f, fibers[i]), 0);
			assert_int_equal(w[i].result, -ESTALE);
		}
		assert_int_equal(way_read(f, next, token), 0x99);
	}
	way_close(f, &one);
	way_close(f, &two);
	far_stop(f, &far);
}

static void nothing_lands_after_the_fence(void **state)
{
	rig_run(2, drained_body, NULL);
}

/* The channel, its session and its calls on a reactor that is not the disk's home. */
static int elsewhere_main(struct fiber *f, void *arg)
{
	const uint64_t token = replica_token(2, 1);
	struct way *way = arg;
	struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));

	pool_ok(f, bdev_chan_open(f, way->bdev, &way->chan));
	way->ops = bdev_replica_ops(way->chan);
	pool_ok(f, way->ops->info(f, way->chan, info));
	pool_ok(f, way->ops->fence(f, way->chan, token));
	pool_ok(f, way->ops->info(f, way->chan, info));
	assert_int_equal(info->fence, token);
	assert_int_equal(way_write(f, way, token, 0x21), 0);
	assert_int_equal(way_read(f, way, token), 0x21);
	pool_ok(f, way->ops->resize(f, way->chan, token, (48u << 20) / 512));
	bdev_chan_close(f, way->chan);
	mem_free(info);
	return 0;
}

static void elsewhere_body(struct fiber *f, struct rig *rig)
{
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	bdev_chan_close(f, way.chan);
	pool_ok(f, fiber_call_on(f, reactor_peer(fiber_reactor(f), 1), "elsewhere", elsewhere_main,
				 &way));
	assert_int_equal(way.bdev->blocks, (48u << 20) / 512);
	bdev_close(f, way.bdev);
	far_stop(f, &far);
}

static void a_session_lives_where_its_channel_does(void **state)
{
	rig_run(2, elsewhere_body, NULL);
}

/* Sessions come and go: what each of them registered makes room. */
RIG_TEST(more_sessions_than_registrations)
{
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT "&instance=" INSTANCE "&token=1", &way);
	for (uint64_t token = 2; token < 2 + 70; token++) {
		pool_ok(f, way.ops->fence(f, way.chan, token));
		assert_int_equal(way_write(f, &way, token, (uint8_t)token), 0);
	}
	way_close(f, &way);
	far_stop(f, &far);
}

/* ---- losses, INCARN ------------------------------------------------------------------------------ */

RIG_TEST(a_session_comes_back_to_the_replica_as_it_was)
{
	const uint64_t token = replica_token(5, 1), one = 1;
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	pool_ok(f, way.ops->fence(f, way.chan, token));
	assert_int_equal(way_write(f, &way, token, 0x55), 0);
	for (unsigned i = 0; i < 3; i++) {
		tgt_close(f, far.tgt);
		far_serve(f, &far, true, "pool:///p/r");
		assert_int_equal(way_write(f, &way, token, (uint8_t)(0x60 + i)), 0);
		tgt_close(f, far.tgt);
		pool_rig_remount(f, &far.pr); /* cleanly */
		far_serve(f, &far, true, "pool:///p/r");
		pool_ok(f, way.ops->al_update(f, way.chan, token, REPLICA_AL_SET, &one, 1));
		assert_int_equal(way_read(f, &way, token), 0x60 + i);
	}
	way_close(f, &way);
	far_stop(f, &far);
}

/* I5: no request fails on the way, and yet what was acknowledged may be gone. */
RIG_TEST(a_replica_that_started_anew_ends_the_session)
{
	const uint64_t token = replica_token(5, 1), one = 1;
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	pool_ok(f, way.ops->fence(f, way.chan, token));
	assert_int_equal(way_write(f, &way, token, 0x55), 0);
	tgt_close(f, far.tgt);
	pool_rig_crash(f, &far.pr);
	far_serve(f, &far, true, "pool:///p/r");
	assert_int_equal(way_read(f, &way, token), -ENODEV);
	assert_int_equal(way_write(f, &way, token, 0x56), -ENODEV);
	assert_int_equal(failed(f, way.ops->al_update(f, way.chan, token, REPLICA_AL_SET, &one, 1)),
			 -ENODEV);
	pool_ok(f, way.ops->fence(f, way.chan, token + 1)); /* S4 */
	assert_int_equal(way_write(f, &way, token + 1, 0x57), 0);
	assert_false(way.bdev->is_removed);
	way_close(f, &way);
	far_stop(f, &far);
}

/* The same with a target that lives on: the association would have gone on, and its token. */
RIG_TEST(a_replica_that_goes_and_comes_ends_its_associations)
{
	const uint64_t token = replica_token(5, 1);
	const struct tgt_ns_args ns = { .uri = "pool:///p/r" };
	struct far far;
	struct way way;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &way);
	pool_ok(f, way.ops->fence(f, way.chan, token));
	assert_int_equal(way_write(f, &way, token, 0x55), 0);
	tgt_ns_remove(f, far.ns);
	pool_rig_remount(f, &far.pr);
	pool_ok(f, tgt_ns_add(f, far.subsys, &ns, &far.ns));
	while (way_write(f, &way, token, 0x56) == -ETIMEDOUT) /* it refuses while there is none */
		pool_ok(f, fiber_sleep(f, 1000000));
	assert_int_equal(way_read(f, &way, token), 0x56);
	tgt_ns_remove(f, far.ns);
	pool_rig_crash(f, &far.pr);
	pool_ok(f, tgt_ns_add(f, far.subsys, &ns, &far.ns));
	while (way_write(f, &way, token, 0x57) == -ETIMEDOUT)
		pool_ok(f, fiber_sleep(f, 1000000));
	assert_int_equal(way_write(f, &way, token, 0x57), -ENODEV);
	assert_false(way.bdev->is_removed);
	pool_ok(f, way.ops->fence(f, way.chan, token + 1));
	assert_int_equal(way_write(f, &way, token + 1, 0x58), 0);
	way_close(f, &way);
	far_stop(f, &far);
}

/* ---- a replica that hangs -------------------------------------------------------------------- */

struct looker {
	struct way *way;
	int result;
};

static int looker_run(struct fiber *f, void *arg)
{
	struct looker *looker = arg;
	struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));

	looker->result = looker->way->ops->info(f, looker->way->chan, info);
	fiber_clear(f);
	mem_free(info);
	return 0;
}

/* Y4: more calls than the target has fibers for commands, and another replica's host is served. */
RIG_TEST(a_replica_that_hangs_holds_up_no_other)
{
	enum { HOSTS = 5, CALLS = 16 };
	const struct tgt_subsys_args args = {
		.nqn = NQN "2", .allow_any_host = true, .fence = true, .vendor = true
	};
	const struct tgt_ns_args ns_args = { .uri = "pool:///p/r2" };
	const struct replica_create_args replica = { .name = "r2", .size_bytes = 32 << 20 };
	struct looker lookers[HOSTS * CALLS];
	struct fiber *fibers[HOSTS * CALLS];
	struct way ways[HOSTS], other;
	struct tgt_subsys *subsys;
	struct tgt_ns *ns;
	struct far far;
	char name[8], uri[256];

	far_start(f, rig, &far);
	pool_ok(f, replica_create(f, far.pr.pool, &replica));
	pool_ok(f, tgt_subsys_add(f, far.tgt, &args, &subsys));
	pool_ok(f, tgt_ns_add(f, subsys, &ns_args, &ns));
	for (unsigned i = 0; i < HOSTS; i++) {
		snprintf(name, sizeof(name), i ? "/1" : "");
		way_open(f, &far, name, PATIENT, &ways[i]);
		pool_ok(f, ways[i].ops->fence(f, ways[i].chan, 5 + i)); /* a host of its own */
	}
	assert_true(tgt_ns_hold(f, far.ns)); /* as a call does that does not end */
	for (unsigned i = 0; i < HOSTS * CALLS; i++) {
		lookers[i] = (struct looker){ .way = &ways[i / CALLS], .result = 1 };
		pool_ok(f, fiber_start(fiber_reactor(f), "look", looker_run, &lookers[i],
				       &fibers[i]));
	}
	for (unsigned i = 0; i < 500; i++)
		fiber_yield(f);
	snprintf(uri, sizeof(uri), "nvmf://127.0.0.1:%u/" NQN "2?connect_ms=86400000", far.port);
	pool_ok(f, bdev_open(f, uri, &other.bdev));
	pool_ok(f, bdev_chan_open(f, other.bdev, &other.chan));
	other.ops = bdev_replica_ops(other.chan);
	pool_ok(f, other.ops->fence(f, other.chan, 9));
	assert_int_equal(way_write(f, &other, 9, 1), 0);
	way_close(f, &other);
	for (unsigned i = 0; i < HOSTS * CALLS; i++)
		assert_int_equal(lookers[i].result, 1);
	tgt_ns_drop(f, far.ns);
	for (unsigned i = 0; i < HOSTS * CALLS; i++) {
		assert_int_equal(fiber_join(f, fibers[i]), 0);
		assert_int_equal(lookers[i].result, 0);
	}
	for (unsigned i = 0; i < HOSTS; i++)
		way_close(f, &ways[i]);
	far_stop(f, &far);
}

/* Somebody newer came while the connection was down. */
RIG_TEST(a_session_that_was_fenced_meanwhile_is_stale)
{
	const uint64_t five = replica_token(5, 1), six = replica_token(6, 1);
	struct way old, new;
	struct far far;

	far_start(f, rig, &far);
	way_open(f, &far, "", PATIENT, &old);
	pool_ok(f, old.ops->fence(f, old.chan, five));
	tgt_close(f, far.tgt);
	{
		struct bdev *bdev;
		struct bdev_chan *chan;

		pool_ok(f, bdev_open(f, "pool:///p/r", &bdev)); /* where it lives */
		pool_ok(f, bdev_chan_open(f, bdev, &chan));
		pool_ok(f, bdev_replica_ops(chan)->fence(f, chan, six));
		bdev_chan_close(f, chan);
		bdev_close(f, bdev);
	}
	far_serve(f, &far, true, "pool:///p/r");
	assert_int_equal(way_write(f, &old, five, 0x57), -ESTALE);
	way_open(f, &far, "/1", PATIENT, &new);
	pool_ok(f, new.ops->fence(f, new.chan, six));
	assert_int_equal(way_write(f, &new, six, 0x66), 0);
	way_close(f, &old);
	way_close(f, &new);
	far_stop(f, &far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_replica_whose_target_offers_it_has_replica_control),
		cmocka_unit_test(what_is_said_to_a_replica_over_the_wire_it_knows),
		cmocka_unit_test(calls_go_in_pieces_where_they_must),
		cmocka_unit_test(what_is_allocated_is_known_over_the_wire),
		cmocka_unit_test(a_replica_grows_over_the_wire),
		cmocka_unit_test(a_replica_of_our_own_target_is_used_directly),
		cmocka_unit_test(older_sessions_neither_write_nor_read),
		cmocka_unit_test(sessions_over_several_reactors),
		cmocka_unit_test(nothing_lands_after_the_fence),
		cmocka_unit_test(a_session_lives_where_its_channel_does),
		cmocka_unit_test(more_sessions_than_registrations),
		cmocka_unit_test(a_session_comes_back_to_the_replica_as_it_was),
		cmocka_unit_test(a_replica_that_started_anew_ends_the_session),
		cmocka_unit_test(a_replica_that_goes_and_comes_ends_its_associations),
		cmocka_unit_test(a_session_that_was_fenced_meanwhile_is_stale),
		cmocka_unit_test(a_replica_that_hangs_holds_up_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
