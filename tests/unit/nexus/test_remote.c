// SPDX-License-Identifier: Apache-2.0
/*
 * A volume whose members are replicas of other nodes, reached over NVMe/TCP: the rules of
 * members here hold for them, too. Three targets of this process, each with a pool of its own, over the loopback.
 */
#include "nexus_rig.h"

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nvmf/ini_priv.h"
#include "nvmf/tgt.h"

/* However slow the machine is. */
#define PATIENT "timeout_ms=86400000&connect_ms=86400000&wait_ms=86400000&kato_ms=0"
#define MEMBERS (NR_CHILDREN + 1)

struct far {
	struct nexus_rig nr;
	struct tgt *tgt[MEMBERS];
	struct tgt_ns *ns[MEMBERS];
	uint16_t port[MEMBERS];
	char uri[MEMBERS][256];
	struct bdev *bdev; /* of the volume */
	struct bdev_chan *chan;
};

static void far_nqn(unsigned i, char text[64])
{
	snprintf(text, 64, "nqn.2024-01.io.test:replica%u", i);
}

static void far_serve(struct fiber *f, struct far *far, unsigned i)
{
	const struct tgt_opts opts = { .reactors = far->nr.rig->reactors };
	struct tgt_port_args port = {
		.addr = { .family = 2, .ip = { 127, 0, 0, 1 }, .port = far->port[i] }
	};
	struct tgt_ns_args ns = { .uri = nr_uris[i] };
	struct tgt_subsys *subsys;
	struct tgt_port *listens;
	struct io_addr addr;
	char nqn[64];
	const struct tgt_subsys_args args = {
		.nqn = nqn, .allow_any_host = true, .fence = true, .vendor = true
	};

	far_nqn(i, nqn);
	nr_ok(f, tgt_open(f, &opts, &far->tgt[i]));
	nr_ok(f, tgt_port_add(f, far->tgt[i], &port, &listens));
	tgt_port_addr(listens, &addr);
	far->port[i] = addr.port;
	nr_ok(f, tgt_subsys_add(f, far->tgt[i], &args, &subsys));
	nr_ok(f, tgt_ns_add(f, subsys, &ns, &far->ns[i]));
}

static void far_user(struct fiber *f, struct far *far)
{
	far->bdev = rig_open(f, "nexus:///v");
	far->chan = rig_chan(f, far->bdev);
}

static void far_let_go(struct fiber *f, struct far *far)
{
	bdev_chan_close(f, far->chan);
	bdev_close(f, far->bdev);
}

static void far_start(struct fiber *f, struct rig *rig, struct far *far, const char *params)
{
	const char *uris[MEMBERS];
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = NR_CHILDREN };
	char nqn[64];

	*far = (struct far){ 0 };
	nr_start(f, rig, &far->nr, 0);
	far->nr.table->retry_ms = 10;
	for (unsigned i = 0; i < MEMBERS; i++) {
		far_serve(f, far, i);
		far_nqn(i, nqn);
		snprintf(far->uri[i], sizeof(far->uri[i]), "nvmf://127.0.0.1:%u/%s?%s",
			 far->port[i], nqn, params);
		uris[i] = far->uri[i];
	}
	nr_ok(f, nexus_create(f, far->nr.table, &args, &far->nr.volume));
	nr_open(f, &far->nr);
	far_user(f, far);
}

static void far_stop(struct fiber *f, struct far *far)
{
	if (far->nr.nexus) {
		far_let_go(f, far);
		nexus_close(f, far->nr.nexus);
		far->nr.nexus = NULL;
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		if (far->tgt[i])
			tgt_close(f, far->tgt[i]);
	nr_stop(f, &far->nr);
}

static int far_write(struct fiber *f, struct far *far, uint64_t lba, uint8_t byte)
{
	uint8_t buf[512];

	memset(buf, byte, sizeof(buf));
	int r = bdev_write(f, far->chan, lba, 1, buf, 0);
	fiber_clear(f);
	return r;
}

static void far_reads(struct fiber *f, struct far *far, uint64_t lba, uint8_t byte)
{
	uint8_t buf[512];

	for (unsigned i = 0; i < 6; i++) {
		nr_ok(f, bdev_read(f, far->chan, lba, 1, buf));
		assert_int_equal(buf[99], byte);
	}
}

static uint8_t far_holds(struct fiber *f, struct far *far, unsigned i, uint64_t lba)
{
	uint8_t buf[512];

	nr_read_member(f, &far->nr, i, lba, 1, buf);
	return buf[99];
}

static enum volume_member_state far_state(struct far *far, unsigned i)
{
	return far->nr.nexus->rec.members[i].state;
}

RIG_TEST(what_is_written_is_on_every_member)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	nexus_each_child(far.nr.nexus, child) {
		assert_non_null(child->ops);
		assert_false(child_is_local(child));
		assert_int_not_equal(child->token, 0);
	}
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(far_write(f, &far, i * 3001, (uint8_t)(i + 1)), 0);
	for (unsigned i = 0; i < 20; i++) {
		far_reads(f, &far, i * 3001, (uint8_t)(i + 1));
		for (unsigned m = 0; m < NR_CHILDREN; m++)
			assert_int_equal(far_holds(f, &far, m, i * 3001), i + 1);
	}
	nr_ok(f, bdev_unmap(f, far.chan, 0, NR_BLOCKS)); /* all of them read zeros then */
	for (unsigned m = 0; m < NR_CHILDREN; m++)
		assert_int_equal(far_holds(f, &far, m, 3001), 0);
	far_let_go(f, &far);
	nexus_close(f, far.nr.nexus);
	nr_open(f, &far.nr);
	assert_int_equal(far.nr.nexus->resync_bytes, 0); /* it was left clean */
	far_user(f, &far);
	far_stop(f, &far);
}

/* ---- takeover ----------------------------------------------------------------------------- */

struct taker {
	struct nexus_table *table;
	struct nexus *nexus;
};

/* Another instance, as another process would be; it has what the store and the members know. */
static void taker_open(struct fiber *f, struct far *far, struct taker *taker)
{
	const struct nexus_table_opts opts = { .instance = { { 2 } }, .store = far->nr.store };

	nr_ok(f, nexus_table_new(f, &opts, &taker->table));
	nr_ok(f, nexus_open(f, taker->table, &far->nr.volume, false, &taker->nexus));
}

static void taker_close(struct fiber *f, struct taker *taker)
{
	nexus_close(f, taker->nexus);
	nexus_table_free(f, taker->table);
}

RIG_TEST(a_takeover_fences_the_owner_that_was)
{
	struct taker taker;
	struct far far;
	uint8_t buf[512];

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	taker_open(f, &far, &taker);
	assert_int_equal(taker.nexus->rec.epoch, 2);
	assert_int_equal(far_write(f, &far, 5, 2), -ESTALE);
	assert_int_equal(far.nr.nexus->state, NEXUS_DEPOSED);
	assert_int_equal(bdev_read(f, far.chan, 5, 1, buf), -ESTALE);
	fiber_clear(f);
	for (unsigned m = 0; m < NR_CHILDREN; m++)
		assert_int_equal(far_holds(f, &far, m, 5), 1);
	taker_close(f, &taker);
	far_stop(f, &far);
}

/* A write that reached one member only, and its owner is gone: the log says where to look. */
RIG_TEST(a_takeover_makes_members_equal_by_their_logs)
{
	struct taker taker;
	struct far far;
	uint8_t buf[512];

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	assert_int_equal(far_write(f, &far, (9u << 20) / 512, 1), 0);
	{
		struct nexus_child *child = &far.nr.nexus->child[1];
		struct bio *bio = bio_new(child->chan);
		const struct iovec iov = { buf, sizeof(buf) };

		memset(buf, 7, sizeof(buf));
		bio_prep(bio, child->chan, BIO_WRITE, 5, 1, &iov, 1, NULL);
		bio->token = child->token;
		nr_ok(f, bio_wait(f, bio));
		mem_free(bio);
	}
	taker_open(f, &far, &taker);
	assert_int_equal(taker.nexus->resync_bytes, 2 * NEXUS_REGION_BYTES);
	for (unsigned m = 1; m < NR_CHILDREN; m++)
		assert_int_equal(far_holds(f, &far, m, 5), far_holds(f, &far, 0, 5));
	for (unsigned m = 0; m < NR_CHILDREN; m++)
		assert_int_equal(far_holds(f, &far, m, (9u << 20) / 512), 1);
	taker_close(f, &taker);
	far_stop(f, &far);
}

/* ---- members come and go --------------------------------------------------------------------- */

static void far_settle(struct fiber *f, struct far *far, unsigned member)
{
	while (far_state(far, member) != VOLUME_IN_SYNC)
		nr_ok(f, fiber_sleep(f, 1000000));
	nr_ok(f, nexus_settle(f, far->nr.nexus));
}

RIG_TEST(a_rebuild_over_the_wire_copies_what_is_allocated)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	assert_int_equal(far_write(f, &far, NR_BLOCKS - 1, 2), 0);
	nr_ok(f, nexus_add_child(f, far.nr.nexus, far.uri[3]));
	far_settle(f, &far, 3);
	assert_int_equal(far_holds(f, &far, 3, 5), 1);
	assert_int_equal(far_holds(f, &far, 3, NR_BLOCKS - 1), 2);
	assert_true(far.nr.nexus->child[3].copied > 0);
	assert_true(far.nr.nexus->child[3].copied <= 1 << 20); /* of 32 MiB */
	assert_int_equal(far_write(f, &far, 5, 3), 0);
	assert_int_equal(far_holds(f, &far, 3, 5), 3);
	far_stop(f, &far);
}

/* Its node starts again: with the replica as it was, no more than that it was slow. */
RIG_TEST(a_target_that_comes_back_is_no_failure)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	tgt_close(f, far.tgt[1]);
	far_serve(f, &far, 1);
	assert_int_equal(far_write(f, &far, 5, 2), 0);
	assert_int_equal(far_state(&far, 1), VOLUME_IN_SYNC);
	assert_int_equal(far_holds(f, &far, 1, 5), 2);
	far_stop(f, &far);
}

/* INCARN: nobody has seen an error, and yet it may have lost what was acknowledged. */
RIG_TEST(a_member_that_lost_power_is_retired_and_rebuilt)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	tgt_close(f, far.tgt[1]);
	nr_repair(f, &far.nr, 1); /* no export: a crash */
	far_serve(f, &far, 1);
	while (far.nr.nexus->changes < 3 || far_state(&far, 1) != VOLUME_IN_SYNC) {
		assert_int_equal(far_write(f, &far, 6, 2), 0);
		nr_ok(f, fiber_sleep(f, 1000000));
	}
	nr_ok(f, nexus_settle(f, far.nr.nexus));
	assert_true(far.nr.nexus->child[1].token > far.nr.nexus->child[0].token); /* SESSION */
	for (unsigned m = 0; m < NR_CHILDREN; m++) {
		assert_int_equal(far_holds(f, &far, m, 5), 1);
		assert_int_equal(far_holds(f, &far, m, 6), 2);
	}
	far_stop(f, &far);
}

/* WE1: nobody writes, so it is asked; it says so in its info. */
RIG_TEST(a_remote_member_whose_pool_takes_no_writes_leaves)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	nr_break(&far.nr, 1);
	while (far_state(&far, 1) != VOLUME_OUT) {
		far.nr.nexus->well.asked_ns = 0; /* long ago */
		well_ask(far.nr.table);
		nr_ok(f, fiber_sleep(f, 1000000));
		far_reads(f, &far, 5, 1);
	}
	assert_int_equal(far_state(&far, 0), VOLUME_IN_SYNC);
	assert_int_equal(far_state(&far, 2), VOLUME_IN_SYNC);
	tgt_close(f, far.tgt[1]);
	nr_repair(f, &far.nr, 1);
	far_serve(f, &far, 1);
	while (far_state(&far, 1) != VOLUME_IN_SYNC)
		nr_ok(f, fiber_sleep(f, 1000000));
	nr_ok(f, nexus_settle(f, far.nr.nexus));
	far_stop(f, &far);
}

/* Somebody registered it, and ended before it could fence: the fence does not tell of it. */
static void leave_token(struct fiber *f, struct far *far, unsigned i, uint64_t token)
{
	struct bdev *bdev = rig_open(f, far->uri[i]);
	struct bdev_chan *chan = rig_chan(f, bdev);

	nr_ok(f, ini_resv_register(f, chan, token));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* BG5: when a child is taken, and when it is let go. */
RIG_TEST(a_token_that_a_session_left_behind_is_stepped_over)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	leave_token(f, &far, 3, nr_replica(f, 3).fence + 1);
	nr_ok(f, nexus_add_child(f, far.nr.nexus, far.uri[3]));
	far_settle(f, &far, 3);
	leave_token(f, &far, 3, nr_replica(f, 3).fence + 1);
	nr_ok(f, nexus_remove_child(f, far.nr.nexus, far.uri[3]));
	const struct uuid volume = nr_replica(f, 3).volume;
	assert_true(uuid_is_nil(&volume));
	far_stop(f, &far);
}

static void far_check_equal(struct fiber *f, struct far *far)
{
	enum { STEP = 2048 };
	uint8_t *buf = mem_new(fiber_io(f), 2 * STEP * 512);

	for (uint64_t lba = 0; lba < NR_BLOCKS; lba += STEP) {
		nr_read_member(f, &far->nr, 0, lba, STEP, buf);
		for (unsigned m = 1; m < NR_CHILDREN; m++) {
			nr_read_member(f, &far->nr, m, lba, STEP, buf + STEP * 512);
			assert_memory_equal(buf, buf + STEP * 512, STEP * 512);
		}
	}
	mem_free(buf);
}

/* Let go, and taken again: by the same volume, and by another one. */
RIG_TEST(a_remote_member_may_leave_and_join_again)
{
	struct nexus_create_args args = { .name = "v", .count = 2 };
	const char *uris[2];
	struct far far;

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	for (unsigned i = 0; i < 3; i++) {
		nr_ok(f, nexus_remove_child(f, far.nr.nexus, far.uri[2]));
		assert_int_equal(far_write(f, &far, 5, (uint8_t)(2 + i)), 0);
		nr_ok(f, nexus_add_child(f, far.nr.nexus, far.uri[2]));
		far_settle(f, &far, 2);
		assert_int_equal(far_holds(f, &far, 2, 5), 2 + i);
	}
	far_let_go(f, &far);
	nexus_close(f, far.nr.nexus);
	nr_ok(f, nexus_destroy(f, far.nr.table, &far.nr.volume));
	uris[0] = far.uri[2];
	uris[1] = far.uri[0];
	args.uris = uris;
	nr_ok(f, nexus_create(f, far.nr.table, &args, &far.nr.volume));
	nr_open(f, &far.nr);
	far_user(f, &far);
	nr_ok(f, nexus_settle(f, far.nr.nexus));
	far_reads(f, &far, 5, 4); /* what the first one held */
	assert_int_equal(far_write(f, &far, 5, 9), 0);
	assert_int_equal(far_holds(f, &far, 0, 5), 9);
	far_stop(f, &far);
}

/* From now on its session waits no longer than this for an answer, and then for the connection. */
static void far_hurry(struct far *far, unsigned member)
{
	struct ini_chan *ic = ini_chan_of(far->nr.nexus->child[member].chan);

	ic->q->timeout_ns = ic->session->admin->timeout_ns = ic->session->opts.timeout_ns =
		100000000;
	ic->session->opts.wait_ns = 100000000;
	timer_stop(&ic->q->timer); /* of the next command then */
	timer_stop(&ic->session->admin->timer);
}

/* B.10: it holds what it was given, and says nothing. */
RIG_TEST(a_member_that_hangs_is_retired)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	far_hurry(&far, 2);
	tgt_ns_pause(f, far.ns[2]);
	while (far_state(&far, 2) == VOLUME_IN_SYNC)
		assert_int_equal(far_write(f, &far, 5, 2), 0);
	far_reads(f, &far, 5, 2);
	assert_int_equal(far_holds(f, &far, 2, 5), 1);
	tgt_ns_resume(f, far.ns[2]);
	far_settle(f, &far, 2);
	assert_int_equal(far_holds(f, &far, 2, 5), 2);
	far_stop(f, &far);
}

/* ---- data, whatever happens to their nodes --------------------------------------------------- */

struct breaker {
	struct far *far;
	bool crashes; /* else only the connections end */
	bool stop, done;
	unsigned times;
};

static bool far_all_in_sync(struct far *far)
{
	for (unsigned m = 0; m < NR_CHILDREN; m++)
		if (far_state(far, m) != VOLUME_IN_SYNC)
			return false;
	return true;
}

/* One after the other: in the next round every member is in sync again. */
static int breaker_main(struct fiber *f, void *arg)
{
	struct breaker *b = arg;

	while (!b->stop) {
		unsigned m = b->times++ % NR_CHILDREN;
		uint64_t token = b->far->nr.nexus->child[m].token;

		tgt_close(f, b->far->tgt[m]);
		if (b->crashes)
			nr_repair(f, &b->far->nr, m);
		far_serve(f, b->far, m);
		do {
			nr_ok(f, fiber_sleep(f, b->crashes ? 2000000 : 60000000));
		} while (!far_all_in_sync(b->far) ||
			 (b->crashes && b->far->nr.nexus->child[m].token == token));
	}
	b->done = true;
	return 0;
}

static void far_breaks(struct fiber *f, struct rig *rig, bool crashes)
{
	struct fiber *fiber;
	struct far far;
	struct breaker b = { .far = &far, .crashes = crashes };

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(fiber_start(fiber_reactor(f), "breaker", breaker_main, &b, &fiber), 0);
	for (unsigned seed = 0; b.times < 3; seed++)
		rig_integrity(f, rig, "nexus:///v", 10, seed);
	b.stop = true;
	while (!b.done) /* who is not there is noticed by requests */
		assert_int_equal(far_write(f, &far, 5, 7), 0);
	assert_int_equal(fiber_join(f, fiber), 0);
	for (unsigned m = 0; m < NR_CHILDREN; m++)
		far_settle(f, &far, m);
	far_check_equal(f, &far);
	far_stop(f, &far);
}

RIG_TEST(data_survive_connections_that_end)
{
	far_breaks(f, rig, false);
}

RIG_TEST(data_survive_members_that_crash_one_after_the_other)
{
	far_breaks(f, rig, true);
}

/* A volume grows: members over the wire first. */
RIG_TEST(a_volume_of_remote_members_grows)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	nr_ok(f, nexus_resize(f, far.nr.nexus, NR_SIZE + (8u << 20)));
	assert_int_equal(far.bdev->blocks, NR_BLOCKS + (8u << 20) / 512);
	assert_int_equal(far_write(f, &far, NR_BLOCKS + 5, 4), 0);
	for (unsigned m = 0; m < NR_CHILDREN; m++)
		assert_int_equal(far_holds(f, &far, m, NR_BLOCKS + 5), 4);
	far_stop(f, &far);
}

static int stopper_main(struct fiber *f, void *arg)
{
	struct far *far = arg;

	return nexus_rebuild_stop(f, far->nr.nexus, far->uri[0]);
}

/* CH5: its connection ends while the volume grows, which begins with it. */
RIG_TEST(a_member_that_is_being_closed_grows_when_it_is_back)
{
	struct fiber *fiber;
	struct far far;

	far_start(f, rig, &far, PATIENT);
	struct nexus_child *child = &far.nr.nexus->child[0];
	nr_ok(f, nexus_offline_child(f, far.nr.nexus, far.uri[0]));
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	nexus_rebuild_limit(far.nr.nexus, 1); /* it does not end */
	nr_ok(f, nexus_online_child(f, far.nr.nexus, far.uri[0]));
	while (child->state != NEXUS_CHILD_REBUILDING)
		nr_ok(f, fiber_sleep(f, 1000000));
	nr_ok(f, fiber_start(fiber_reactor(f), "stopper", stopper_main, &far, &fiber));
	while (child->chan)
		fiber_yield(f);
	assert_int_equal(child->state, NEXUS_CHILD_REBUILDING);
	assert_non_null(child->bdev);
	nr_ok(f, nexus_resize(f, far.nr.nexus, NR_SIZE + (8u << 20)));
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_int_equal(far_write(f, &far, NR_BLOCKS + 5, 4), 0);
	nexus_rebuild_limit(far.nr.nexus, 0);
	nr_ok(f, nexus_rebuild_start(f, far.nr.nexus, far.uri[0]));
	far_settle(f, &far, 0);
	assert_int_equal(far_holds(f, &far, 0, NR_BLOCKS + 5), 4);
	far_stop(f, &far);
}

/* One of three is our own node's: it is used as such, and the state shows it. */
RIG_TEST(the_member_of_our_own_target_is_local)
{
	struct far far;

	far_start(f, rig, &far, PATIENT);
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	far_let_go(f, &far);
	nexus_close(f, far.nr.nexus);
	rig->env.target = far.tgt[1];
	nr_open(f, &far.nr);
	far_user(f, &far);
	for (unsigned m = 0; m < NR_CHILDREN; m++)
		assert_int_equal(child_is_local(&far.nr.nexus->child[m]), m == 1);
	uint64_t before = far.nr.nexus->child[1].reads;
	far_reads(f, &far, 5, 1);
	assert_int_equal(far.nr.nexus->child[1].reads, before + 6); /* the near one */
	assert_int_equal(far_write(f, &far, 5, 2), 0);
	assert_int_equal(far_holds(f, &far, 1, 5), 2);
	far_stop(f, &far);
	rig->env.target = NULL;
}

/* BG3, over the wire: who tells a replica anything has to be its latest session. */
RIG_TEST(remote_members_are_given_back_and_used_anew)
{
	const char *uris[NR_CHILDREN];
	const struct nexus_create_args args = { .name = "w", .uris = uris, .count = NR_CHILDREN };
	struct nexus_info info;
	struct far far;

	far_start(f, rig, &far, PATIENT);
	for (unsigned i = 0; i < NR_CHILDREN; i++)
		uris[i] = far.uri[i];
	assert_int_equal(far_write(f, &far, 5, 1), 0);
	far_let_go(f, &far);
	nexus_close(f, far.nr.nexus);
	nr_ok(f, nexus_destroy(f, far.nr.table, &far.nr.volume));
	assert_null(strstr(rig->log_text, "does not know of it"));
	nr_ok(f, nexus_create(f, far.nr.table, &args, &far.nr.volume));
	nr_open(f, &far.nr);
	nr_ok(f, nexus_settle(f, far.nr.nexus));
	nexus_info(far.nr.nexus, &info);
	for (unsigned i = 0; i < NR_CHILDREN; i++)
		assert_int_equal(info.children[i].state, NEXUS_CHILD_IN_SYNC);
	nexus_close(f, far.nr.nexus);
	far.nr.nexus = NULL;
	far_stop(f, &far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_on_every_member),
		cmocka_unit_test(a_takeover_fences_the_owner_that_was),
		cmocka_unit_test(a_takeover_makes_members_equal_by_their_logs),
		cmocka_unit_test(a_rebuild_over_the_wire_copies_what_is_allocated),
		cmocka_unit_test(a_target_that_comes_back_is_no_failure),
		cmocka_unit_test(a_remote_member_whose_pool_takes_no_writes_leaves),
		cmocka_unit_test(a_member_that_lost_power_is_retired_and_rebuilt),
		cmocka_unit_test(a_remote_member_may_leave_and_join_again),
		cmocka_unit_test(a_member_that_hangs_is_retired),
		cmocka_unit_test(data_survive_connections_that_end),
		cmocka_unit_test(data_survive_members_that_crash_one_after_the_other),
		cmocka_unit_test(a_volume_of_remote_members_grows),
		cmocka_unit_test(a_member_that_is_being_closed_grows_when_it_is_back),
		cmocka_unit_test(a_token_that_a_session_left_behind_is_stepped_over),
		cmocka_unit_test(the_member_of_our_own_target_is_local),
		cmocka_unit_test(remote_members_are_given_back_and_used_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
