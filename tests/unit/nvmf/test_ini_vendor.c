// SPDX-License-Identifier: Apache-2.0
/* Replica control with a controller that does as it is told: refuses, hangs, lies, starts anew. */
#include <stdlib.h>

#include "../drivers/rig.h"
#include "base/le.h"
#include "bdev/replica.h"
#include "ini_fake.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_io.h"
#include "wire/nvme_status.h"

#define MS 1000000u

/* However slow the machine is. */
#define PATIENT "timeout_ms=86400000&connect_ms=86400000&wait_ms=86400000&loss_ms=86400000&kato_ms=0"
#define TOKEN	0x50001u

struct one {
	struct fake *fake;
	struct bdev *bdev;
	struct bdev_chan *chan;
	const struct bdev_replica_ops *ops;
};

static struct fake *replica_new(struct fiber *f)
{
	struct fake *fake = fake_new(f);

	fake->vendor = true;
	fake->replica = (struct nvme_replica){
		.replica = { 7 }, .incarnation = 3, .region_bytes = 4 << 20, .regions = 8
	};
	return fake;
}

static struct one one_new(struct fiber *f, const char *params)
{
	struct one one = { .fake = replica_new(f) };
	char uri[512];

	one.bdev = rig_open(f, fake_uri(one.fake, params, uri));
	one.chan = rig_chan(f, one.bdev);
	one.ops = bdev_replica_ops(one.chan);
	assert_non_null(one.ops);
	return one;
}

static void one_free(struct fiber *f, struct one *one)
{
	bdev_chan_close(f, one->chan);
	bdev_close(f, one->bdev);
	fake_free(f, one->fake);
}

/* With words. */
static int failed(struct fiber *f, int r)
{
	if (r < 0)
		assert_string_not_equal(fiber_words(f), "");
	fiber_clear(f);
	return r;
}

static int one_write(struct fiber *f, struct one *one)
{
	uint8_t buf[512] = { 1 };
	struct bio *bio = bio_new(one->chan);
	const struct iovec iov = { buf, sizeof(buf) };
	int r;

	bio_prep(bio, one->chan, BIO_WRITE, 0, 1, &iov, 1, NULL);
	bio->token = UINT64_MAX;
	r = bio_wait(f, bio);
	fiber_clear(f);
	mem_free(bio);
	return r;
}

/* ---- offer ------------------------------------------------------------------------------- */

static bool refuse_feature(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	(void)ctx;
	if (sqe->opcode != NVME_ADMIN_SET_FEATURES || (sqe->cdw10 & 0xff) != NVME_VENDOR_FID)
		return false;
	fake_respond(conn, sqe->cid, NVME_INVALID_FIELD | NVME_DNR, 0);
	return true;
}

static bool has_ops(struct fiber *f, struct fake *fake)
{
	char uri[512];
	struct bdev *bdev = rig_open(f, fake_uri(fake, PATIENT, uri));
	struct bdev_chan *chan = rig_chan(f, bdev);
	bool has = bdev_replica_ops(chan) != NULL;

	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return has;
}

RIG_TEST(replica_control_is_taken_where_it_is_offered_and_works)
{
	struct fake *fake = replica_new(f);

	(void)rig;
	assert_true(has_ops(f, fake));
	assert_int_equal(fake->vendor_negotiated, 1);
	fake->vendor_refused = 1; /* Info: the disk is no replica */
	fake->vendor_status = NVME_INVALID_OPCODE | NVME_DNR;
	assert_false(has_ops(f, fake));
	fake->script = refuse_feature; /* offered, and not given */
	assert_false(has_ops(f, fake));
	fake->script = NULL;
	fake->vendor = false;
	fake->vendor_negotiated = 0;
	assert_false(has_ops(f, fake));
	assert_int_equal(fake->vendor_negotiated, 0); /* nobody was asked for it */
	fake_free(f, fake);
}

RIG_TEST(who_makes_no_sense_is_not_opened)
{
	struct fake *fake = replica_new(f);
	char uri[512];

	(void)rig;
	fake->replica.state = 9;
	rig_refused(f, fake_uri(fake, PATIENT, uri), -EPROTO, "makes no sense");
	fake->replica.state = 0;
	fake->replica.member_count = NVME_REPLICA_MEMBERS_MAX + 1;
	rig_refused(f, fake_uri(fake, PATIENT, uri), -EPROTO, "makes no sense");
	fake_free(f, fake);
}

/* ---- calls --------------------------------------------------------------------------------- */

static void is_call(const struct one *one, uint8_t opcode, uint8_t function, uint32_t arg,
		    uint64_t value)
{
	const struct nvme_vendor_cmd *cmd = &one->fake->vendor_cmd;

	assert_int_equal(cmd->opcode, opcode);
	assert_int_equal(cmd->function, function);
	assert_int_equal(cmd->arg, arg);
	assert_int_equal(cmd->value, value);
}

RIG_TEST(a_call_is_the_command_of_the_table)
{
	const uint64_t regions[] = { 5, 0x0102030405060708 };
	const struct uuid peer = { { 4, 5 } };
	struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));
	struct one one = one_new(f, PATIENT);
	uint64_t words[3];
	unsigned slot = 99;

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	is_call(&one, NVME_VENDOR_CALL, NVME_VENDOR_FENCE, 0, 0);
	assert_int_equal(one.fake->key, TOKEN);
	assert_int_equal(one.ops->al_update(f, one.chan, TOKEN, REPLICA_AL_SET, regions, 2), 0);
	is_call(&one, NVME_VENDOR_SEND, NVME_VENDOR_AL_SET, 0, 0);
	assert_int_equal(le64_get(one.fake->vendor_sent), 5);
	assert_int_equal(le64_get(one.fake->vendor_sent + 8), 0x0102030405060708);
	assert_int_equal(one.ops->al_update(f, one.chan, TOKEN, REPLICA_AL_CLEAR, regions, 1), 0);
	is_call(&one, NVME_VENDOR_SEND, NVME_VENDOR_AL_CLEAR, 0, 0);
	le64_put(one.fake->vendor_data + 16, 77);
	assert_int_equal(one.ops->al_get(f, one.chan, words, 3), 0);
	is_call(&one, NVME_VENDOR_RECV, NVME_VENDOR_AL_GET, 0, 0);
	assert_int_equal(words[2], 77);
	assert_int_equal(one.ops->miss_get(f, one.chan, 1, words, 3), 0);
	is_call(&one, NVME_VENDOR_RECV, NVME_VENDOR_MISS_GET, 1, 0);
	one.fake->vendor_result = 1;
	assert_int_equal(one.ops->miss_open(f, one.chan, TOKEN, &peer, (struct replica_gen){ 1, 2 },
					    &slot),
			 0);
	is_call(&one, NVME_VENDOR_SEND, NVME_VENDOR_MISS_OPEN, 0, 0);
	assert_int_equal(slot, 1);
	assert_int_equal(one.ops->miss_add(f, one.chan, TOKEN, 1, regions, 2), 0);
	is_call(&one, NVME_VENDOR_SEND, NVME_VENDOR_MISS_ADD, 1, 0);
	assert_int_equal(one.ops->miss_drop(f, one.chan, TOKEN, 1), 0);
	is_call(&one, NVME_VENDOR_CALL, NVME_VENDOR_MISS_DROP, 1, 0);
	assert_int_equal(one.ops->set(f, one.chan, TOKEN, REPLICA_SET_STATE, info), 0);
	is_call(&one, NVME_VENDOR_SEND, NVME_VENDOR_SET, REPLICA_SET_STATE, 0);
	assert_int_equal(one.ops->snap_abort(f, one.chan, TOKEN, &peer), 0);
	is_call(&one, NVME_VENDOR_SEND, NVME_VENDOR_SNAP_ABORT, 0, 0);
	assert_int_equal(one.ops->resize(f, one.chan, TOKEN, UINT64_C(1) << 40), 0);
	is_call(&one, NVME_VENDOR_CALL, NVME_VENDOR_RESIZE, 0, UINT64_C(1) << 40);
	one_free(f, &one);
	mem_free(info);
}

RIG_TEST(what_a_controller_refuses_has_an_errno)
{
	static const struct {
		uint16_t status;
		int error;
	} refusals[] = {
		{ NVME_RESERVATION_CONFLICT | NVME_DNR, -ESTALE },
		{ NVME_CAPACITY_EXCEEDED | NVME_DNR, -ENOSPC },
		{ NVME_INVALID_FIELD | NVME_DNR, -EINVAL },
		{ NVME_INVALID_OPCODE | NVME_DNR, -ENOTSUP },
		{ NVME_INTERNAL_ERROR, -EIO },
		{ NVME_INVALID_NAMESPACE | NVME_DNR, -ENODEV },
	};
	struct one one = one_new(f, PATIENT);
	const uint64_t region = 1;

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	for (unsigned i = 0; i < ARRAY_LEN(refusals); i++) {
		one.fake->vendor_status = refusals[i].status;
		one.fake->vendor_refused = 1;
		assert_int_equal(failed(f, one.ops->al_update(f, one.chan, TOKEN, REPLICA_AL_SET,
							      &region, 1)),
				 refusals[i].error);
	}
	one.fake->vendor_status = NVME_COMMAND_INTERRUPTED; /* it could not now */
	one.fake->vendor_refused = 2;
	assert_int_equal(one.ops->al_update(f, one.chan, TOKEN, REPLICA_AL_SET, &region, 1), 0);
	assert_int_equal(one.fake->vendor_refused, 0);
	one_free(f, &one);
}

RIG_TEST(answers_that_make_no_sense_are_refused)
{
	struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));
	struct one one = one_new(f, PATIENT);
	const struct uuid peer = { { 1 } };
	struct bdev_extent extents[4];
	unsigned n = 99;

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	one.fake->replica.state = 4;
	assert_int_equal(failed(f, one.ops->info(f, one.chan, info)), -EPROTO);
	one.fake->replica.state = 1;
	for (one.fake->vendor_result = 2; one.fake->vendor_result < 1u << 31;
	     one.fake->vendor_result *= 8)
		assert_int_equal(failed(f, one.ops->miss_open(f, one.chan, TOKEN, &peer,
							      (struct replica_gen){ 1, 2 }, &n)),
				 -EPROTO);
	assert_int_equal(n, 99);

	/* extents: none; too many; of no blocks; of unknown flags; more than asked for */
	static const struct {
		uint32_t count;
		uint64_t blocks;
		uint32_t flags;
	} bad[] = { { 0, 8, 0 }, { 5, 8, 0 }, { UINT32_MAX, 8, 0 }, { 1, 0, 0 },
		    { 1, 8, 8 }, { 1, 65, 0 }, { 1, UINT64_MAX, 0 } };
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		memset(one.fake->vendor_data, 0, sizeof(one.fake->vendor_data));
		one.fake->vendor_result = bad[i].count;
		le64_put(one.fake->vendor_data, bad[i].blocks);
		le32_put(one.fake->vendor_data + 8, bad[i].flags);
		assert_int_equal(failed(f, bdev_status_get(f, one.chan, 4, 64, extents, 4, &n)),
				 -EPROTO);
	}
	one.fake->vendor_result = 2;
	le64_put(one.fake->vendor_data, 60);
	le32_put(one.fake->vendor_data + 8, 0);
	le64_put(one.fake->vendor_data + 16, 4);
	le32_put(one.fake->vendor_data + 24, BDEV_HOLE);
	assert_int_equal(bdev_status_get(f, one.chan, 4, 64, extents, 4, &n), 0);
	is_call(&one, NVME_VENDOR_RECV, NVME_VENDOR_BLOCK_STATUS, 64, 4);
	assert_int_equal(n, 2);
	assert_int_equal(extents[1].lba, 64);
	assert_int_equal(extents[1].flags, BDEV_HOLE);
	assert_int_equal(one_write(f, &one), 0); /* the connection has lived through it */
	assert_int_equal(one.fake->connects, 2);
	one_free(f, &one);
	mem_free(info);
}

/* ---- a fence that fails -------------------------------------------------------------------- */

static bool refuse_register(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	(void)ctx;
	if (!conn->qid || sqe->opcode != NVME_IO_RESV_REGISTER)
		return false;
	fake_respond(conn, sqe->cid, NVME_RESERVATION_CONFLICT | NVME_DNR, 0);
	return true;
}

static bool refuse_fence(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	(void)ctx;
	if (conn->qid || sqe->opcode != NVME_VENDOR_CALL)
		return false;
	fake_respond(conn, sqe->cid, NVME_INTERNAL_ERROR | NVME_DNR, 0);
	return true;
}

RIG_TEST(a_fence_that_fails_changes_nothing)
{
	struct one one = one_new(f, PATIENT);

	(void)rig;
	one.fake->script = refuse_register;
	assert_int_equal(failed(f, one.ops->fence(f, one.chan, TOKEN)), -ESTALE);
	one.fake->script = NULL;
	assert_int_equal(one_write(f, &one), 0);
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	one.fake->script = refuse_fence;
	assert_int_equal(failed(f, one.ops->fence(f, one.chan, TOKEN + 1)), -EIO);
	one.fake->script = NULL;
	assert_int_equal(one_write(f, &one), 0); /* S3 */
	one.fake->connect_status = NVME_CONNECT_INVALID_HOST | NVME_DNR;
	assert_int_equal(failed(f, one.ops->fence(f, one.chan, TOKEN + 2)), -EACCES);
	one.fake->connect_status = 0;
	assert_int_equal(one_write(f, &one), 0);
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN + 3), 0);
	assert_int_equal(one_write(f, &one), 0);
	one_free(f, &one);
}

/* ---- losses -------------------------------------------------------------------------------- */

struct caller {
	struct one *one;
	int result;
	bool ended;
};

static int caller_main(struct fiber *f, void *arg)
{
	struct caller *caller = arg;
	const uint64_t region = 1;

	caller->result = failed(f, caller->one->ops->al_update(f, caller->one->chan, TOKEN,
							       REPLICA_AL_SET, &region, 1));
	caller->ended = true;
	return 0;
}

/* Limit: so many at a time, the others wait; what a lost connection has not answered goes again (IV2). */
RIG_TEST(calls_wait_their_turn_and_survive_a_lost_connection)
{
	enum { CALLS = 40, AT_A_TIME = 16 };
	struct one one = one_new(f, PATIENT);
	struct caller callers[CALLS];
	struct fiber *fibers[CALLS];

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	one.fake->vendor_hangs = true;
	for (unsigned i = 0; i < CALLS; i++) {
		callers[i] = (struct caller){ .one = &one };
		assert_int_equal(fiber_start(fiber_reactor(f), "call", caller_main, &callers[i],
					     &fibers[i]),
				 0);
	}
	while (one.fake->vendor_waiting < AT_A_TIME)
		fiber_yield(f);
	for (unsigned i = 0; i < 200; i++)
		fiber_yield(f);
	assert_int_equal(one.fake->vendor_waiting, AT_A_TIME);
	one.fake->vendor_hangs = false;
	fake_close_all(one.fake);
	for (unsigned i = 0; i < CALLS; i++) {
		assert_int_equal(fiber_join(f, fibers[i]), 0);
		assert_int_equal(callers[i].result, 0);
	}
	one_free(f, &one);
}

/* From now on its session waits no longer than this for an answer, and then for the connection. */
static void hurry(struct one *one)
{
	struct ini_chan *ic = ini_chan_of(one->chan);

	ic->q->timeout_ns = ic->session->admin->timeout_ns = ic->session->opts.timeout_ns = 50 * MS;
	ic->session->opts.wait_ns = 50 * MS;
	timer_stop(&ic->q->timer); /* of the next command then */
	timer_stop(&ic->session->admin->timer);
}

/* B.10: calls and bios of a controller that answers nothing end by themselves. */
RIG_TEST(a_controller_that_hangs_is_given_up)
{
	struct one one = one_new(f, PATIENT);
	struct caller caller = { .one = &one };

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	hurry(&one);
	one.fake->vendor_hangs = true;
	caller_main(f, &caller);
	assert_int_equal(caller.result, -ETIMEDOUT);
	one.fake->vendor_hangs = false;
	while (caller_main(f, &caller), caller.result != 0)
		assert_int_equal(caller.result, -ETIMEDOUT);
	one_free(f, &one);
}

/* I5, with all that a session may come back to. */
static void lost_and(struct fiber *f, struct one *one, int expect)
{
	unsigned writes, registers = one->fake->registers;

	assert_int_equal(one_write(f, one), 0);
	writes = one->fake->writes;
	fake_close_all(one->fake);
	assert_int_equal(one_write(f, one), expect);
	assert_int_equal(one->fake->writes, writes + (expect == 0));
	assert_int_equal(one->fake->registers, registers + (expect == 0));
}

RIG_TEST(a_session_ends_when_the_replica_is_not_what_it_was)
{
	struct one one = one_new(f, PATIENT);

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	lost_and(f, &one, 0);
	one.fake->replica.gen_n++; /* that may change */
	lost_and(f, &one, 0);
	one.fake->replica.incarnation++;
	lost_and(f, &one, -ENODEV);
	assert_int_equal(one_write(f, &one), -ENODEV);
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN + 1), 0);
	lost_and(f, &one, 0);
	one.fake->replica.incarnation = 0; /* any other */
	lost_and(f, &one, -ENODEV);
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN + 2), 0);
	one_free(f, &one);
}

static bool no_replica(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	(void)ctx;
	if (conn->qid || sqe->opcode != NVME_VENDOR_RECV)
		return false;
	fake_respond(conn, sqe->cid, NVME_INVALID_OPCODE | NVME_DNR, 0);
	return true;
}

RIG_TEST(a_session_ends_when_it_is_no_replica_any_more)
{
	struct one one = one_new(f, PATIENT);

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	one.fake->script = no_replica;
	lost_and(f, &one, -ENODEV);
	one_free(f, &one);
}

RIG_TEST(a_session_whose_key_is_refused_is_deposed)
{
	struct one one = one_new(f, PATIENT);

	(void)rig;
	assert_int_equal(one.ops->fence(f, one.chan, TOKEN), 0);
	one.fake->script = refuse_register;
	lost_and(f, &one, -ESTALE);
	assert_int_equal(one_write(f, &one), -ESTALE);
	one_free(f, &one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replica_control_is_taken_where_it_is_offered_and_works),
		cmocka_unit_test(who_makes_no_sense_is_not_opened),
		cmocka_unit_test(a_call_is_the_command_of_the_table),
		cmocka_unit_test(what_a_controller_refuses_has_an_errno),
		cmocka_unit_test(answers_that_make_no_sense_are_refused),
		cmocka_unit_test(a_fence_that_fails_changes_nothing),
		cmocka_unit_test(calls_wait_their_turn_and_survive_a_lost_connection),
		cmocka_unit_test(a_controller_that_hangs_is_given_up),
		cmocka_unit_test(a_session_ends_when_the_replica_is_not_what_it_was),
		cmocka_unit_test(a_session_ends_when_it_is_no_replica_any_more),
		cmocka_unit_test(a_session_whose_key_is_refused_is_deposed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
