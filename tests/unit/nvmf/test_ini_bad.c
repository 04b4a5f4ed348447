// SPDX-License-Identifier: Apache-2.0
/*
 * What a controller may do wrong: the connection ends, with the terminate request the transport
 * wants, the request is done on the next connection, and nothing is left behind.
 */
#include <stdlib.h>

#include "../drivers/rig.h"
#include "base/crc32c.h"
#include "ini_fake.h"
#include "wire/nvme_io.h"
#include "wire/nvme_status.h"

#define QUIET 0 /* no terminate request */

struct bad {
	const char *name;
	uint8_t opcode;	 /* of the command it is done to, once */
	void (*act)(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data);
	uint16_t fes;
	uint32_t fei;
};

static const uint8_t *read_data(struct fake_conn *conn, const struct nvme_sqe *sqe)
{
	return conn->fake->data + nvme_sqe_cdw10_11(sqe) * conn->fake->block_size;
}

/* A head with one byte changed, its digest right again if `mend`. */
static void send_changed(struct fake_conn *conn, uint8_t *head, unsigned len, unsigned at,
			 uint8_t value, bool mend)
{
	unsigned hlen = head[NVMETCP_AT_HLEN];

	head[at] = value;
	if (mend && conn->rules.hdgst)
		nvmetcp_digest_put(head + hlen, crc32c(0, head, hlen));
	fake_send(conn, head, len);
}

static void send_resp_changed(struct fake_conn *conn, const struct nvme_sqe *sqe, unsigned at,
			      uint8_t value, bool mend)
{
	struct nvme_cqe cqe = {.cid = sqe->cid};
	uint8_t head[NVMETCP_HEAD_MAX];
	unsigned len = nvmetcp_resp_encode(&conn->rules, &cqe, head);

	send_changed(conn, head, len, at, value, mend);
}

static void send_data_changed(struct fake_conn *conn, const struct nvme_sqe *sqe, unsigned at,
			      uint8_t value)
{
	struct nvmetcp_data d = {.cccid = sqe->cid, .length = 4096};
	uint8_t head[NVMETCP_HEAD_MAX];
	unsigned len = nvmetcp_data_encode(&conn->rules, &d, NVMETCP_LAST, head);

	send_changed(conn, head, len, at, value, true);
}

#define ACT(name)                                                                               \
	static void name(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data)

ACT(resp_of_no_command) { fake_respond(conn, sqe->cid ^ 0x400, 0, 0); }
ACT(resp_of_no_slot) { fake_respond(conn, 0x3ff, 0, 0); }
ACT(resp_of_free_slot) { fake_respond(conn, (sqe->cid & 0x3ff) + 5, 0, 0); }
ACT(resp_without_data) { fake_respond(conn, sqe->cid, 0, 0); }
ACT(data_of_no_command) { fake_c2h(conn, sqe->cid ^ 0x800, 0, data, 4096, NVMETCP_LAST, false); }
ACT(data_beyond) { fake_c2h(conn, sqe->cid, 0, data, 8192, NVMETCP_LAST, false); }
ACT(data_at_end) { fake_c2h(conn, sqe->cid, 4096, data, 512, 0, false); }
ACT(data_far_off) { fake_c2h(conn, sqe->cid, 0xfffffe00, data, 256, 0, false); }
ACT(data_with_gap) { fake_c2h(conn, sqe->cid, 512, data, 512, 0, false); }

ACT(data_twice)
{
	fake_c2h(conn, sqe->cid, 0, data, 512, 0, false);
	fake_c2h(conn, sqe->cid, 0, data, 512, 0, false);
}

ACT(data_without_last) { fake_c2h(conn, sqe->cid, 0, data, 4096, 0, false); }

ACT(data_cut_by_last)
{
	fake_c2h(conn, sqe->cid, 0, data, 512, NVMETCP_LAST, false);
	fake_respond(conn, sqe->cid, 0, 0);
}

ACT(data_cut_by_success)
{
	fake_c2h(conn, sqe->cid, 0, data, 512, NVMETCP_LAST | NVMETCP_SUCCESS, false);
}

ACT(data_after_last)
{
	fake_c2h(conn, sqe->cid, 0, data, 4096, NVMETCP_LAST, false);
	fake_c2h(conn, sqe->cid, 0, data, 4096, NVMETCP_LAST, false);
}

ACT(data_after_answer)
{
	fake_c2h(conn, sqe->cid, 0, data, 4096, NVMETCP_LAST, false);
	fake_respond(conn, sqe->cid, 0, 0);
	fake_respond(conn, sqe->cid, 0, 0);
}

ACT(data_for_a_write) { fake_c2h(conn, sqe->cid, 0, data, 512, 0, false); }
ACT(r2t_for_a_read) { fake_r2t(conn, sqe->cid, 1, 0, 4096); }
ACT(r2t_of_no_command) { fake_r2t(conn, sqe->cid ^ 0x400, 1, 0, 4096); }
ACT(r2t_for_a_capsule) { fake_r2t(conn, sqe->cid, 1, 0, 4096); }
ACT(r2t_beyond) { fake_r2t(conn, sqe->cid, 1, 0, 65536 + 4); }
ACT(r2t_with_gap) { fake_r2t(conn, sqe->cid, 1, 4096, 4096); }
ACT(r2t_of_nothing) { fake_r2t(conn, sqe->cid, 1, 0, 0); }

ACT(r2t_second)
{
	struct nvmetcp_data one = {.cccid = sqe->cid, .ttag = 1, .length = 32768};
	struct nvmetcp_data two = {.cccid = sqe->cid, .ttag = 2, .offset = 32768, .length = 32768};
	uint8_t both[2 * NVMETCP_HEAD_MAX];
	unsigned len = nvmetcp_r2t_encode(&conn->rules, &one, both);

	len += nvmetcp_r2t_encode(&conn->rules, &two, both + len);
	fake_send(conn, both, len); /* at once: later it would be allowed */
}

ACT(digest_wrong) { send_resp_changed(conn, sqe, NVMETCP_AT_CQE, 1, false); }
ACT(digest_missing) { send_resp_changed(conn, sqe, NVMETCP_AT_FLAGS, 0, true); }
ACT(type_unknown) { send_resp_changed(conn, sqe, NVMETCP_AT_TYPE, 0x40, true); }
ACT(type_of_a_host) { send_resp_changed(conn, sqe, NVMETCP_AT_TYPE, NVMETCP_CMD, true); }
ACT(hlen_wrong) { send_resp_changed(conn, sqe, NVMETCP_AT_HLEN, 255, false); }
ACT(plen_wrong) { send_resp_changed(conn, sqe, NVMETCP_AT_PLEN, 99, true); }
ACT(data_pdo_wrong) { send_data_changed(conn, sqe, NVMETCP_AT_PDO, 200); }
ACT(data_plen_huge) { send_data_changed(conn, sqe, NVMETCP_AT_PLEN + 3, 0x7f); }

ACT(icresp_again)
{
	struct nvmetcp_ic ic = {.align = 4, .maxh2cdata = 4096};
	uint8_t out[NVMETCP_IC_BYTES];

	fake_send(conn, out, nvmetcp_icresp_encode(&ic, out));
}

ACT(terminate)
{
	struct nvmetcp_fault fault = {.fes = NVMETCP_FES_RANGE};
	uint8_t out[NVMETCP_TERM_MAX];

	fake_send(conn, out, nvmetcp_term_encode(&conn->rules, &fault, data, 8, out));
}

ACT(terminate_badly)
{
	struct nvmetcp_fault fault = {.fes = NVMETCP_FES_RANGE};
	uint8_t out[NVMETCP_TERM_MAX];
	unsigned len = nvmetcp_term_encode(&conn->rules, &fault, data, 8, out);

	out[NVMETCP_AT_HLEN] = 8;
	fake_send(conn, out, len);
}

ACT(close_now) { fake_close(conn); }

ACT(close_in_a_head)
{
	fake_send(conn, "\5\1\30", 3);
	conn->close_after = true;
}

ACT(close_in_data)
{
	struct nvmetcp_data d = {.cccid = sqe->cid, .length = 4096};
	uint8_t head[NVMETCP_HEAD_MAX];

	fake_send(conn, head, nvmetcp_data_encode(&conn->rules, &d, NVMETCP_LAST, head));
	fake_send(conn, data, 1000);
	conn->close_after = true;
}

static const struct bad bads[] = {
	{"a response of no command", NVME_IO_READ, resp_of_no_command, 1, 20},
	{"a response of no slot", NVME_IO_READ, resp_of_no_slot, 1, 20},
	{"a response of a free slot", NVME_IO_READ, resp_of_free_slot, 1, 20},
	{"success without data", NVME_IO_READ, resp_without_data, 2, 0},
	{"data of no command", NVME_IO_READ, data_of_no_command, 1, 8},
	{"data beyond the command", NVME_IO_READ, data_beyond, 4, 0},
	{"data at its end", NVME_IO_READ, data_at_end, 4, 0},
	{"data far off", NVME_IO_READ, data_far_off, 4, 0},
	{"data with a gap", NVME_IO_READ, data_with_gap, 2, 0},
	{"data twice", NVME_IO_READ, data_twice, 2, 0},
	{"the end of data without LAST", NVME_IO_READ, data_without_last, 1, 1},
	{"data cut by LAST", NVME_IO_READ, data_cut_by_last, 2, 0},
	{"data cut by SUCCESS", NVME_IO_READ, data_cut_by_success, 2, 0},
	{"data after LAST", NVME_IO_READ, data_after_last, 2, 0},
	{"a second answer", NVME_IO_READ, data_after_answer, 1, 20},
	{"data for a write", NVME_IO_WRITE, data_for_a_write, 1, 8},
	{"R2T for a read", NVME_IO_READ, r2t_for_a_read, 1, 8},
	{"R2T for a flush", NVME_IO_FLUSH, r2t_for_a_read, 1, 8},
	{"R2T of no command", NVME_IO_WRITE, r2t_of_no_command, 1, 8},
	{"R2T for data of the capsule", NVME_IO_COMPARE, r2t_for_a_capsule, 1, 8},
	{"R2T beyond the command", NVME_IO_WRITE, r2t_beyond, 4, 0},
	{"R2T with a gap", NVME_IO_WRITE, r2t_with_gap, 2, 0},
	{"R2T of nothing", NVME_IO_WRITE, r2t_of_nothing, 1, 16},
	{"a second R2T", NVME_IO_WRITE, r2t_second, 5, 0},
	{"a wrong header digest", NVME_IO_READ, digest_wrong, 3, UINT32_MAX},
	{"no header digest", NVME_IO_READ, digest_missing, 1, 1},
	{"an unknown type", NVME_IO_READ, type_unknown, 1, 0},
	{"what hosts send", NVME_IO_READ, type_of_a_host, 1, 0},
	{"a wrong HLEN", NVME_IO_READ, hlen_wrong, 1, 2},
	{"a wrong PLEN", NVME_IO_READ, plen_wrong, 1, 4},
	{"a wrong PDO", NVME_IO_READ, data_pdo_wrong, 1, 3},
	{"a huge PLEN", NVME_IO_READ, data_plen_huge, 1, 4},
	{"ICResp again", NVME_IO_READ, icresp_again, 2, 0},
	{"a terminate request", NVME_IO_READ, terminate, QUIET, 0},
	{"a bad terminate request", NVME_IO_READ, terminate_badly, QUIET, 0},
	{"the end", NVME_IO_READ, close_now, QUIET, 0},
	{"the end within a head", NVME_IO_READ, close_in_a_head, QUIET, 0},
	{"the end within data", NVME_IO_READ, close_in_data, QUIET, 0},
};

struct bad_run {
	const struct bad *bad;
	bool done;
};

static bool bad_script(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	struct bad_run *run = ctx;

	if (run->done || conn->qid == 0 || sqe->opcode != run->bad->opcode)
		return false;
	run->done = true;
	run->bad->act(conn, sqe, read_data(conn, sqe));
	return true;
}

static int bad_request(struct fiber *f, struct bdev_chan *chan, uint8_t opcode, uint8_t *buf)
{
	struct iovec iov = {buf, 4096};
	struct bio *bio;
	int r;

	switch (opcode) {
	case NVME_IO_READ:
		return bdev_read(f, chan, 16, 8, buf);
	case NVME_IO_WRITE:
		return bdev_write(f, chan, 16, 128, buf, 0);
	case NVME_IO_FLUSH:
		return bdev_flush(f, chan);
	default:
		bio = bio_new(chan);
		bio_prep(bio, chan, BIO_COMPARE, 16, 8, &iov, 1, NULL);
		r = bio_wait(f, bio);
		mem_free(bio);
		return r;
	}
}

static void bad_once(struct fiber *f, const struct bad *bad)
{
	struct fake *fake = fake_new(f);
	struct bad_run run = {.bad = bad};
	uint8_t *buf = calloc(1, 65536), first[512];
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[512];

	rig_fill(fake->data, fake->blocks * 512, 5);
	memcpy(buf, fake->data + 16 * 512, 4096); /* for compare */
	fake->script = bad_script;
	fake->script_ctx = &run;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(bad_request(f, chan, bad->opcode, buf), 0);
	assert_true(run.done);
	assert_int_equal(bdev_read(f, chan, 0, 1, first), 0); /* some are noticed after the answer */
	assert_int_equal(fake->terms, bad->fes == QUIET ? 0 : 1);
	assert_int_equal(fake->term.fes, bad->fes);
	if (bad->fei != UINT32_MAX)
		assert_int_equal(fake->term.fei, bad->fei);
	assert_int_equal(fake->connects, 2);
	assert_int_equal(fake->io_connects, 2);
	if (bad->opcode == NVME_IO_READ || bad->opcode == NVME_IO_WRITE)
		assert_memory_equal(buf, fake->data + 16 * 512, 4096);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	free(buf);
	fake_free(f, fake);
}

RIG_TEST(a_controller_that_breaks_the_protocol_is_left_and_the_request_done_again)
{
	(void)rig;
	for (unsigned i = 0; i < ARRAY_LEN(bads); i++) {
		print_message("# %s\n", bads[i].name);
		bad_once(f, &bads[i]);
	}
}

/* ---- data digests ------------------------------------------------------------------------- */

struct corrupt {
	unsigned times, seen;
	bool success;
};

static bool corrupt_script(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	struct corrupt *c = ctx;

	if (conn->qid == 0 || sqe->opcode != NVME_IO_READ || c->seen >= c->times)
		return false;
	c->seen++;
	fake_c2h(conn, sqe->cid, 0, read_data(conn, sqe), 4096,
		 NVMETCP_LAST | (c->success ? NVMETCP_SUCCESS : 0), true);
	if (!c->success)
		fake_respond(conn, sqe->cid, 0, 0);
	return true;
}

RIG_TEST(data_whose_digest_is_wrong_are_asked_for_again_on_the_same_connection)
{
	struct fake *fake = fake_new(f);
	struct corrupt corrupt = {.times = 2};
	struct bdev_chan *chan;
	struct bdev *bdev;
	uint8_t buf[4096];
	char uri[512];

	(void)rig;
	rig_fill(fake->data, fake->blocks * 512, 5);
	fake->script = corrupt_script;
	fake->script_ctx = &corrupt;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan = rig_chan(f, bdev);
	for (unsigned i = 0; i < 2; i++) {
		corrupt.success = i;
		corrupt.seen = 0;
		assert_int_equal(bdev_read(f, chan, 16, 8, buf), 0);
		assert_memory_equal(buf, fake->data + 16 * 512, 4096);
	}
	corrupt.times = 1000;
	assert_int_equal(bdev_read(f, chan, 16, 8, buf), -EIO);
	fiber_clear(f);
	corrupt.times = 0;
	assert_int_equal(bdev_read(f, chan, 16, 8, buf), 0);
	assert_int_equal(fake->connects, 1);
	assert_int_equal(fake->terms, 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	fake_free(f, fake);
}

/* ---- statuses -------------------------------------------------------------------------------- */

struct refuse {
	uint16_t status;
	unsigned times, seen;
};

static bool refuse_script(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	struct refuse *r = ctx;

	if (conn->qid == 0 || sqe->opcode != NVME_IO_READ || r->seen == r->times)
		return false;
	r->seen++;
	fake_respond(conn, sqe->cid, r->status, 0);
	return true;
}

RIG_TEST(a_status_becomes_an_error_or_another_try)
{
	static const struct {
		uint16_t status;
		unsigned times, seen;
		int error;
	} cases[] = {
		{NVME_UNRECOVERED_READ | NVME_DNR, 9, 1, -ENODATA},
		{NVME_LBA_OUT_OF_RANGE | NVME_DNR, 9, 1, -EINVAL},
		{NVME_RESERVATION_CONFLICT, 9, 1, -ESTALE},
		{NVME_INTERNAL_ERROR, 9, 1, -EIO},
		{NVME_COMMAND_INTERRUPTED, 2, 2, 0},
		{NVME_COMMAND_INTERRUPTED, 9, 5, -EAGAIN},
		{NVME_COMMAND_INTERRUPTED | NVME_DNR, 9, 1, -EAGAIN},
	};
	struct fake *fake = fake_new(f);
	struct refuse refuse;
	struct bdev_chan *chan;
	struct bdev *bdev;
	uint8_t buf[4096];
	char uri[512];

	(void)rig;
	fake->script = refuse_script;
	fake->script_ctx = &refuse;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan = rig_chan(f, bdev);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		refuse = (struct refuse){cases[i].status, cases[i].times, 0};
		assert_int_equal(bdev_read(f, chan, 0, 8, buf), cases[i].error);
		assert_int_equal(refuse.seen, cases[i].seen);
		fiber_clear(f);
	}
	assert_int_equal(fake->connects, 1);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	fake_free(f, fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_controller_that_breaks_the_protocol_is_left_and_the_request_done_again),
		cmocka_unit_test(data_whose_digest_is_wrong_are_asked_for_again_on_the_same_connection),
		cmocka_unit_test(a_status_becomes_an_error_or_another_try),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
