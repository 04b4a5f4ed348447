// SPDX-License-Identifier: Apache-2.0
/* Connections that are lost, controllers that are away, come back, or are another. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../drivers/rig.h"
#include "ini_fake.h"
#include "nvmf/ini.h"
#include "reactor/fiber_io.h"
#include "wire/nvme_io.h"
#include "wire/nvme_status.h"

#define MS 1000000u

/* However slow the machine is. */
#define PATIENT "timeout_ms=86400000&connect_ms=86400000&wait_ms=86400000&loss_ms=86400000&kato_ms=0"

/* ---- under load -------------------------------------------------------------------------- */

struct chaos {
	struct fake *fake;
	unsigned times;
	bool stop;
};

static int chaos_main(struct fiber *f, void *arg)
{
	struct chaos *chaos = arg;

	while (!chaos->stop) {
		assert_int_equal(fiber_sleep(f, 3 * MS), 0);
		fake_close_all(chaos->fake);
		chaos->times++;
		if (chaos->fake->conn_count > FAKE_CONNS - 8)
			break;
	}
	return 0;
}

RIG_TEST(data_survive_connections_that_are_lost_all_the_time)
{
	struct chaos chaos = {.fake = fake_new(f)};
	struct fiber *fiber;
	struct bdev *bdev;
	char uri[512];

	bdev = rig_open(f, fake_uri(chaos.fake, PATIENT, uri)); /* an open does not try again */
	assert_int_equal(fiber_start(fiber_reactor(f), "chaos", chaos_main, &chaos, &fiber), 0);
	rig_integrity(f, rig, uri, 150, 1);
	chaos.stop = true;
	assert_int_equal(fiber_join(f, fiber), 0);
	bdev_close(f, bdev);
	assert_true(chaos.fake->connects > 1);
	assert_int_equal(chaos.fake->terms, 0);
	fake_free(f, chaos.fake);
}

/* ---- one disk and a channel --------------------------------------------------------------------- */

struct one {
	struct fake *fake;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct bdev_watch watch;
	unsigned resized, removed;
	uint8_t buf[4096];
};

static void one_event(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct one *one = container_of(watch, struct one, watch);

	(void)bdev;
	if (event == BDEV_RESIZED)
		one->resized++;
	else
		one->removed++;
}

static struct one *one_new(struct fiber *f, const char *params)
{
	struct one *one = calloc(1, sizeof(*one));
	char uri[512];

	one->fake = fake_new(f);
	one->bdev = rig_open(f, fake_uri(one->fake, params, uri));
	one->chan = rig_chan(f, one->bdev);
	one->watch.fn = one_event;
	assert_int_equal(bdev_watch_add(f, one->bdev, &one->watch), 0);
	return one;
}

static void one_free(struct fiber *f, struct one *one)
{
	bdev_chan_close(f, one->chan);
	bdev_watch_del(f, &one->watch);
	bdev_close(f, one->bdev);
	fake_free(f, one->fake);
	free(one);
}

static int one_read(struct fiber *f, struct one *one)
{
	int r = bdev_read(f, one->chan, 0, 8, one->buf);

	fiber_clear(f);
	return r;
}

/* Wait for a thing that must come; the test's own timeout is the limit. */
#define UNTIL(cond)                                         \
	while (!(cond))                                     \
	assert_int_equal(fiber_sleep(f, MS), 0)

struct mute {
	uint8_t opcode;
	unsigned times;
	bool admin;
};

static bool mute_script(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	struct mute *mute = ctx;

	if (mute->times == 0 || sqe->opcode != mute->opcode || (conn->qid == 0) != mute->admin)
		return false;
	mute->times--;
	return true;
}

RIG_TEST(requests_wait_for_the_controller_up_to_a_limit_and_then_fail_at_once)
{
	struct one *one = one_new(f, "wait_ms=20");

	(void)rig;
	one->fake->refuse = true;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ETIMEDOUT);
	assert_int_equal(one_read(f, one), -ETIMEDOUT);
	one->fake->refuse = false;
	UNTIL(one_read(f, one) == 0);
	assert_int_equal(one->removed, 0);
	one_free(f, one);
}

RIG_TEST(requests_do_not_wait_where_they_shall_not)
{
	struct one *one = one_new(f, "wait_ms=0");

	(void)rig;
	one->fake->refuse = true;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ETIMEDOUT);
	one->fake->refuse = false;
	UNTIL(one_read(f, one) == 0);
	one_free(f, one);
}

RIG_TEST(requests_do_not_wait_for_a_controller_that_refuses_us)
{
	struct one *one = one_new(f, "wait_ms=86400000");

	(void)rig;
	one->fake->connect_status = NVME_CONNECT_INVALID_HOST | NVME_DNR;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ETIMEDOUT);
	one->fake->connect_status = 0;
	UNTIL(one_read(f, one) == 0);
	one_free(f, one);
}

RIG_TEST(a_controller_that_is_away_too_long_is_given_up)
{
	struct one *one = one_new(f, "loss_ms=30&wait_ms=86400000");

	one->fake->refuse = true;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ENODEV);
	UNTIL(one->removed == 1);
	assert_int_equal(one_read(f, one), -ENODEV);
	assert_non_null(strstr(rig->log_text, "given up"));
	one_free(f, one);
}

RIG_TEST(a_disk_closes_while_its_controller_is_away)
{
	struct one *one = one_new(f, "wait_ms=1");
	struct bdev_chan *late;

	(void)rig;
	one->fake->refuse = true;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ETIMEDOUT);
	late = rig_chan(f, one->bdev); /* a channel can come, too */
	assert_int_equal(bdev_read(f, late, 0, 8, one->buf), -ETIMEDOUT);
	fiber_clear(f);
	bdev_chan_close(f, late);
	one_free(f, one);
}

RIG_TEST(a_disk_closes_while_its_controller_says_nothing)
{
	struct one *one = one_new(f, "wait_ms=1&timeout_ms=86400000&connect_ms=86400000&kato_ms=0");
	struct mute mute = {NVME_ADMIN_IDENTIFY, UINT32_MAX, true};

	(void)rig;
	one->fake->script = mute_script;
	one->fake->script_ctx = &mute;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ETIMEDOUT);
	UNTIL(mute.times < UINT32_MAX);
	one_free(f, one); /* does not wait for an answer */
}

RIG_TEST(a_stranger_is_not_written_to)
{
	struct one *one = one_new(f, "");

	one->fake->uuid[0] ^= 1;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ENODEV);
	UNTIL(one->removed == 1);
	assert_non_null(strstr(rig->log_text, "its names differ"));
	one_free(f, one);
}

RIG_TEST(a_controller_that_takes_less_than_before_is_a_stranger)
{
	struct one *one = one_new(f, "");

	one->fake->mqes = 15;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ENODEV);
	UNTIL(one->removed == 1);
	assert_non_null(strstr(rig->log_text, "takes less"));
	one_free(f, one);
}

RIG_TEST(a_namespace_that_shrank_is_removed_and_one_that_grew_is_resized)
{
	struct one *one = one_new(f, "");

	one->fake->told_blocks = 5000;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), 0);
	UNTIL(one->resized == 1);
	assert_int_equal(one->bdev->blocks, 5000);
	one->fake->told_blocks = 4999;
	fake_close_all(one->fake);
	assert_int_equal(one_read(f, one), -ENODEV);
	UNTIL(one->removed == 1);
	assert_non_null(strstr(rig->log_text, "shrank"));
	one_free(f, one);
}

RIG_TEST(an_event_tells_of_growth_and_of_removal)
{
	struct one *one = one_new(f, "");

	(void)rig;
	for (unsigned i = 1; i < 4; i++) {
		UNTIL(one->fake->aer);
		one->fake->told_blocks += 10;
		assert_true(fake_event(one->fake));
		UNTIL(one->resized == i);
		assert_int_equal(one->bdev->blocks, 4096 + 10 * i);
	}
	UNTIL(one->fake->aer);
	one->fake->told_blocks = 0;
	assert_true(fake_event(one->fake));
	UNTIL(one->removed == 1);
	assert_int_equal(one_read(f, one), -ENODEV);
	assert_int_equal(one->fake->connects, 1);
	one_free(f, one);
}

RIG_TEST(rescan_looks_at_the_size)
{
	struct one *one = one_new(f, "");

	(void)rig;
	one->fake->told_blocks = 8192;
	assert_int_equal(bdev_rescan(f, one->bdev), 0);
	assert_int_equal(one->bdev->blocks, 8192);
	assert_int_equal(one->resized, 1);
	one->fake->told_blocks = 1;
	assert_int_equal(bdev_rescan(f, one->bdev), -ESTALE);
	fiber_clear(f);
	assert_int_equal(one->bdev->blocks, 8192);
	one_free(f, one);
}

static int rescan_main(struct fiber *f, void *bdev)
{
	return bdev_rescan(f, bdev);
}

/* The other one waits for an answer that does not come. */
RIG_TEST(rescan_sleeps_while_somebody_else_looks)
{
	struct one *one = one_new(f, "timeout_ms=250");
	struct mute mute = { NVME_ADMIN_IDENTIFY, 1, true };
	struct reactor_stats before, after;
	struct fiber *other;

	(void)rig;
	one->fake->script = mute_script;
	one->fake->script_ctx = &mute;
	assert_int_equal(fiber_start(fiber_reactor(f), "other", rescan_main, one->bdev, &other), 0);
	UNTIL(mute.times == 0);
	reactor_stats(fiber_reactor(f), &before);
	int r = bdev_rescan(f, one->bdev);
	reactor_stats(fiber_reactor(f), &after);
	assert_true(after.turns - before.turns < 500);
	assert_int_equal(r, -ENOTCONN);
	assert_int_equal(fiber_join(f, other), -ETIMEDOUT);
	fiber_clear(f);
	UNTIL(one_read(f, one) == 0);
	one_free(f, one);
}

/* ---- time ------------------------------------------------------------------------------------------ */

RIG_TEST(a_request_without_an_answer_ends_the_connection_and_is_done_again)
{
	struct one *one = one_new(f, "timeout_ms=250");
	struct mute mute = {NVME_IO_READ, 1, false};

	one->fake->script = mute_script;
	one->fake->script_ctx = &mute;
	assert_int_equal(one_read(f, one), 0);
	assert_int_equal(mute.times, 0);
	assert_true(one->fake->connects >= 2);
	assert_non_null(strstr(rig->log_text, "not answered in time"));
	one_free(f, one);
}

RIG_TEST(a_request_that_is_never_answered_ends)
{
	struct one *one = one_new(f, "timeout_ms=250&wait_ms=250");
	struct mute mute = {NVME_IO_READ, UINT32_MAX, false};

	(void)rig;
	one->fake->script = mute_script;
	one->fake->script_ctx = &mute;
	assert_int_equal(one_read(f, one), -ETIMEDOUT);
	assert_true(one->fake->connects >= 2);
	mute.times = 0;
	UNTIL(one_read(f, one) == 0);
	one_free(f, one);
}

RIG_TEST(a_controller_that_does_not_answer_keep_alives_is_left)
{
	struct one *one = one_new(f, "kato_ms=250");

	UNTIL(one->fake->keep_alives >= 2);
	one->fake->no_keep_alive = true;
	UNTIL(one->fake->connects >= 2);
	assert_non_null(strstr(rig->log_text, "queue 0: a command was not answered"));
	one_free(f, one);
}

RIG_TEST(an_open_is_not_longer_than_its_limits)
{
	static const struct {
		uint8_t opcode;
		const char *words;
	} cases[] = {
		{NVME_FABRICS, "connect: a command was not answered"},
		{NVME_ADMIN_IDENTIFY, "identify controller: a command was not answered"},
		{NVME_ADMIN_SET_FEATURES, "asking for queues: a command was not answered"},
	};
	struct fake *fake = fake_new(f);
	struct mute mute = {0, 1000, true};
	char uri[512];

	(void)rig;
	fake->script = mute_script;
	fake->script_ctx = &mute;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		mute.opcode = cases[i].opcode;
		rig_refused(f, fake_uri(fake, "timeout_ms=250", uri), -ETIMEDOUT, cases[i].words);
	}
	fake->connect_status = NVME_CONNECT_INVALID_HOST | NVME_DNR;
	mute.times = 0;
	rig_refused(f, fake_uri(fake, "", uri), -EACCES, "Connect Invalid Host");
	fake->connect_status = 0;
	fake->told_blocks = 0;
	rig_refused(f, fake_uri(fake, "", uri), -ENODEV, "no namespace");
	rig_refused(f, fake_uri(fake, "nsid=7", uri), -ENODEV, "namespace 7 is not there");
	fake->refuse = true;
	rig_refused(f, fake_uri(fake, "", uri), -ECONNRESET, "closed the connection");
	fake_free(f, fake);
}

static void accept_and_be_silent(void *ctx, int res, struct io_sock *sock)
{
	*(struct io_sock **)ctx = res == 0 ? sock : NULL;
}

RIG_TEST(who_does_not_answer_icreq_is_left)
{
	struct io_addr addr = {.family = 2, .ip = {127, 0, 0, 1}};
	struct io_sock_opts opts = {0};
	struct io_listener *listener;
	struct io_sock *sock = NULL;
	char uri[512];

	(void)rig;
	assert_int_equal(io_listen(fiber_io(f), &addr, &opts, accept_and_be_silent, &sock,
				   &listener, fiber_err(f)), 0);
	io_listener_addr(listener, &addr);
	snprintf(uri, sizeof(uri), "nvmf://127.0.0.1:%u/nqn.2026-11.test:x?connect_ms=20", addr.port);
	rig_refused(f, uri, -ETIMEDOUT, "ICReq");
	io_sock_close(sock);
	io_listener_close(listener);
	for (int i = 0; i < 8; i++)
		fiber_yield(f);
}

/* ---- reservations ----------------------------------------------------------------------------------- */

/* No write before the key is known to the new association. */
static bool keyed_script(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	if (conn->qid && sqe->opcode == NVME_IO_WRITE)
		assert_int_equal(conn->fake->registers, *(unsigned *)ctx);
	return false;
}

RIG_TEST(a_key_is_registered_again_before_anything_is_written)
{
	struct one *one = one_new(f, "");
	unsigned want = 1;

	(void)rig;
	assert_int_equal(ini_resv_register(f, one->chan, 0x70001), 0);
	one->fake->script = keyed_script;
	one->fake->script_ctx = &want;
	assert_int_equal(bdev_write(f, one->chan, 0, 8, one->buf, 0), 0);
	for (want = 2; want < 5; want++) {
		fake_close_all(one->fake);
		assert_int_equal(bdev_write(f, one->chan, 0, 8, one->buf, 0), 0);
		assert_int_equal(one->fake->key, 0x70001);
	}
	assert_int_equal(ini_resv_unregister(f, one->chan, 0x70001), 0);
	fake_close_all(one->fake);
	want--;
	assert_int_equal(bdev_write(f, one->chan, 0, 8, one->buf, 0), 0);
	one_free(f, one);
}

/* ---- several reactors ------------------------------------------------------------------------------- */

struct crowd {
	struct bdev *bdev;
	unsigned index;
	int status;
};

static int crowd_main(struct fiber *f, void *arg)
{
	struct crowd *crowd = arg;
	struct bdev_chan *chan = rig_chan(f, crowd->bdev);
	uint64_t lba = crowd->index * 512;
	uint8_t *out = malloc(65536), *in = malloc(65536);

	for (unsigned i = 0; i < 40; i++) {
		uint64_t blocks = 1 + i * 3;

		rig_fill(out, blocks * 512, crowd->index * 1000 + i);
		assert_int_equal(bdev_write(f, chan, lba + i, blocks, out, 0), 0);
		assert_int_equal(bdev_read(f, chan, lba + i, blocks, in), 0);
		assert_memory_equal(in, out, blocks * 512);
	}
	bdev_chan_close(f, chan);
	free(in);
	free(out);
	return 0;
}

static void several_reactors_body(struct fiber *f, struct rig *rig)
{
	struct chaos chaos = {.fake = fake_new(f)};
	struct crowd crowd[4];
	struct fiber *fiber[4], *breaker;
	struct bdev *bdev;
	char uri[512];

	bdev = rig_open(f, fake_uri(chaos.fake, PATIENT, uri));
	assert_int_equal(fiber_start(fiber_reactor(f), "chaos", chaos_main, &chaos, &breaker), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < rig->reactors; i++)
			crowd[i] = (struct crowd){.bdev = bdev, .index = i};
		assert_int_equal(fiber_start(fiber_reactor(f), "crowd", crowd_main, &crowd[0],
					     &fiber[0]), 0);
		for (unsigned i = 1; i < rig->reactors; i++)
			assert_int_equal(fiber_call_on(f, reactor_peer(fiber_reactor(f), i), "crowd",
						       crowd_main, &crowd[i]), 0);
		assert_int_equal(fiber_join(f, fiber[0]), 0);
	}
	chaos.stop = true;
	assert_int_equal(fiber_join(f, breaker), 0);
	bdev_close(f, bdev);
	fake_free(f, chaos.fake);
}

static void queues_of_several_reactors_come_back_together(void **state)
{
	(void)state;
	rig_run(3, several_reactors_body, NULL);
}

/* ---- one who accepts and says nothing ------------------------------------------------------------- */

struct silent {
	struct io_sock *socks[4];
	unsigned count;
	char uri[512];
};

static void silent_accept(void *ctx, int res, struct io_sock *sock)
{
	struct silent *mute = ctx;

	if (res == 0 && mute->count < 4)
		mute->socks[mute->count++] = sock;
}

static int silent_open(struct fiber *f, void *arg)
{
	struct silent *mute = arg;
	struct bdev *bdev;

	return bdev_open(f, mute->uri, &bdev);
}

/* A fiber that is cancelled waits no more: it must not ask again and again either. */
RIG_TEST(an_open_that_is_cancelled_ends)
{
	const struct io_addr any = { .family = AF_INET, .ip = { 127, 0, 0, 1 } };
	struct silent mute = { 0 };
	struct io_listener *listener;
	struct io_addr addr;
	struct fiber *fiber;

	(void)rig;
	assert_int_equal(io_listen(fiber_io(f), &any, &(struct io_sock_opts){ 0 }, silent_accept,
				   &mute, &listener, fiber_err(f)),
			 0);
	io_listener_addr(listener, &addr);
	snprintf(mute.uri, sizeof(mute.uri), "nvmf://127.0.0.1:%u/nqn.2026-11.test:mute?" PATIENT,
		 addr.port);
	assert_int_equal(fiber_start(fiber_reactor(f), "open", silent_open, &mute, &fiber), 0);
	while (mute.count == 0)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(fiber_sleep(f, 20 * MS), 0); /* it waits for an answer */
	fiber_cancel(fiber);
	assert_int_equal(fiber_join(f, fiber), -ECANCELED);
	for (unsigned i = 0; i < mute.count; i++)
		io_sock_close(mute.socks[i]);
	io_listener_close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_survive_connections_that_are_lost_all_the_time),
		cmocka_unit_test(an_open_that_is_cancelled_ends),
		cmocka_unit_test(requests_wait_for_the_controller_up_to_a_limit_and_then_fail_at_once),
		cmocka_unit_test(requests_do_not_wait_where_they_shall_not),
		cmocka_unit_test(requests_do_not_wait_for_a_controller_that_refuses_us),
		cmocka_unit_test(a_controller_that_is_away_too_long_is_given_up),
		cmocka_unit_test(a_disk_closes_while_its_controller_is_away),
		cmocka_unit_test(a_disk_closes_while_its_controller_says_nothing),
		cmocka_unit_test(a_stranger_is_not_written_to),
		cmocka_unit_test(a_controller_that_takes_less_than_before_is_a_stranger),
		cmocka_unit_test(a_namespace_that_shrank_is_removed_and_one_that_grew_is_resized),
		cmocka_unit_test(an_event_tells_of_growth_and_of_removal),
		cmocka_unit_test(rescan_looks_at_the_size),
		cmocka_unit_test(rescan_sleeps_while_somebody_else_looks),
		cmocka_unit_test(a_request_without_an_answer_ends_the_connection_and_is_done_again),
		cmocka_unit_test(a_request_that_is_never_answered_ends),
		cmocka_unit_test(a_controller_that_does_not_answer_keep_alives_is_left),
		cmocka_unit_test(an_open_is_not_longer_than_its_limits),
		cmocka_unit_test(who_does_not_answer_icreq_is_left),
		cmocka_unit_test(a_key_is_registered_again_before_anything_is_written),
		cmocka_unit_test(queues_of_several_reactors_come_back_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
