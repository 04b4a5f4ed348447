// SPDX-License-Identifier: Apache-2.0
/*
 * Limits of the NBD server, and peers that go away, dawdle or do not listen. Deadlines are short
 * here; that they pass is waited for, how fast is not asked.
 */
#include "nbd_peer.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "bdev/bdev.h"
#include "drivers/fault.h"
#include "reactor/fiber_io.h"

#define MIB (1u << 20)
#define MS  1000000ull

static const char *const ram[] = { "ram=malloc:///a?size_mb=8", NULL };
static const char *const slow[] = { "slow=delay:///s?ns=30000000&on=malloc:///a?size_mb=8", NULL };
static const char *const hung[] = { "hung=fault:///h?rule=read,hang&on=malloc:///a?size_mb=8",
				    NULL };
static const struct nbd_opts defaults;

/* ---- how many ----------------------------------------------------------------------------- */

RIG_TEST(connections_have_a_limit)
{
	const struct nbd_opts opts = { .conns_max = 3 };
	struct peer peers[3], more;
	struct bench bench;

	bench_start(f, rig, &bench, &opts, ram);
	for (unsigned i = 0; i < 3; i++)
		peers[i] = peer_open(&bench);
	more = peer_connect(&bench);
	peer_expect_end(&more);
	assert_int_equal(bench_stats(&bench).conns_refused, 1);
	for (unsigned i = 0; i < 3; i++)
		peer_close(&peers[i]);
	while (bench_stats(&bench).conns_now)
		assert_int_equal(fiber_sleep(f, MS), 0);
	more = peer_open(&bench);
	peer_close(&more);
	bench_stop(&bench);
}

RIG_TEST(connections_of_one_address_have_a_limit)
{
	const struct nbd_opts opts = { .conns_peer_max = 2 };
	const struct io_addr any = { .family = AF_INET, .ip = { 127, 0, 0, 1 } };
	struct peer peers[3], local;
	struct bench bench;

	bench_start(f, rig, &bench, &opts, ram);
	struct bench tcp = bench;
	assert_int_equal(nbd_server_listen(f, bench.server, &any, &tcp.addr), 0);
	peers[0] = peer_open(&tcp);
	peers[1] = peer_open(&tcp);
	peers[2] = peer_connect(&tcp);
	peer_expect_end(&peers[2]);
	for (unsigned i = 0; i < 3; i++) { /* these have no address */
		local = peer_open(&bench);
		peer_close(&local);
	}
	peer_close(&peers[0]);
	peer_close(&peers[1]);
	bench_stop(&bench);
}

/* Heads of reads of so many bytes each, all at once. */
static void many_reads(struct peer *peer, unsigned count, uint32_t length)
{
	uint8_t *heads = malloc((size_t)count * NBD_REQUEST_BYTES);

	for (unsigned i = 0; i < count; i++) {
		const struct nbd_request ask = { 0, NBD_CMD_READ, i, i % 64 * 512, length };

		nbd_request_encode(&ask, heads + (size_t)i * NBD_REQUEST_BYTES);
	}
	peer_send(peer, heads, (size_t)count * NBD_REQUEST_BYTES);
	free(heads);
}

static void many_answers(struct peer *peer, unsigned count, uint32_t length)
{
	uint8_t *seen = calloc(1, count), *data = malloc(length), head[NBD_SIMPLE_BYTES];
	struct nbd_answer answer;

	for (unsigned i = 0; i < count; i++) {
		peer_recv(peer, head, sizeof(head));
		assert_int_equal(nbd_answer_decode(head, sizeof(head), false, &answer), 0);
		assert_int_equal(answer.error, 0);
		assert_in_range(answer.chunk.cookie, 0, count - 1);
		assert_int_equal(seen[answer.chunk.cookie]++, 0); /* NB1 */
		peer_recv(peer, data, length);
	}
	free(data);
	free(seen);
}

RIG_TEST(requests_beyond_the_limit_wait_and_are_answered)
{
	for (uint32_t most = 1; most <= 100; most = most * 3 + 1) {
		const struct nbd_opts opts = { .inflight_max = most };
		struct bench bench;

		bench_start(f, rig, &bench, &opts, ram);
		struct peer peer = peer_go(&bench, "ram", false, false);
		for (unsigned i = 0; i < 3; i++) {
			many_reads(&peer, 1000, 512);
			many_answers(&peer, 1000, 512);
		}
		peer_close(&peer);
		bench_stop(&bench);
	}
}

/* 32 MiB are all there is; five connections each want 16 and 32 at a time. */
struct hungry {
	struct bench *bench;
	unsigned number;
};

static int hungry_main(struct fiber *f, void *arg)
{
	const struct hungry *hungry = arg;
	struct bench bench = *hungry->bench;
	uint8_t *buf = malloc(NBD_PAYLOAD_MAX);

	bench.f = f;
	struct peer peer = peer_go(&bench, "null", false, false);
	for (unsigned i = 0; i < 6; i++) {
		uint32_t length = (hungry->number + i) % 2 ? NBD_PAYLOAD_MAX :
							     NBD_PAYLOAD_MAX / 2 + 512;
		uint16_t type = i % 3 ? NBD_CMD_READ : NBD_CMD_WRITE;

		assert_int_equal(peer_do(&peer, type, 0, 0, length, buf), NBD_OK);
	}
	peer_close(&peer);
	free(buf);
	return 0;
}

RIG_TEST(memory_has_a_limit_and_everyone_has_a_turn)
{
	static const char *const null[] = { "null=null:///n?size_mb=64", NULL };
	const struct nbd_opts opts = { .memory_bytes = 1 };
	struct hungry hungry[5];
	struct fiber *fibers[5];
	struct bench bench;

	bench_start(f, rig, &bench, &opts, null);
	for (unsigned i = 0; i < 5; i++) {
		hungry[i] = (struct hungry){ &bench, i };
		assert_int_equal(fiber_start(fiber_reactor(f), "hungry", hungry_main, &hungry[i],
					     &fibers[i]),
				 0);
	}
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(fiber_join(f, fibers[i]), 0);
	assert_true(bench_stats(&bench).starved > 0);
	while (bench_stats(&bench).conns_now)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(bench_stats(&bench).memory_bytes, 0);
	bench_stop(&bench);
}

RIG_TEST(listeners_have_a_limit)
{
	struct bench bench;
	int r = 0;

	bench_start(f, rig, &bench, &defaults, ram);
	for (unsigned i = 1; i <= NBD_LISTENERS_MAX; i++) {
		const struct io_addr any = { .family = AF_INET, .ip = { 127, 0, 0, 1 } };

		r = nbd_server_listen(f, bench.server, &any, NULL);
		assert_int_equal(r, i < NBD_LISTENERS_MAX ? 0 : -ENOSPC);
	}
	fiber_clear(f);
	bench_stop(&bench);
}

RIG_TEST(connections_have_a_rate)
{
	struct peer peer;
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, ram);
	for (unsigned i = 0; i < NBD_ACCEPTS_BURST + NBD_ACCEPTS_PER_S; i++) {
		peer = peer_connect(&bench);
		io_sock_close(peer.sock);
		if (i % 100 == 99) /* the queue of the listener is short */
			assert_int_equal(fiber_sleep(f, MS), 0);
	}
	while (bench_stats(&bench).conns_now)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_in_range(bench_stats(&bench).conns, NBD_ACCEPTS_BURST,
			NBD_ACCEPTS_BURST + NBD_ACCEPTS_PER_S);
	assert_int_equal(bench_stats(&bench).conns + bench_stats(&bench).conns_refused,
			 NBD_ACCEPTS_BURST + NBD_ACCEPTS_PER_S);
	bench_stop(&bench);
}

/* The reads of `hung` that hang go on. */
static void let_go(struct fiber *f)
{
	struct bdev *bdev;

	assert_int_equal(bdev_find(f, "fault:///h", &bdev), 0);
	assert_int_equal(fault_set_rules(f, bdev, NULL, 0), 0);
	bdev_close(f, bdev);
}

RIG_TEST(requests_of_a_share_have_a_limit)
{
	const struct nbd_opts opts = { .inflight_max = NBD_REQS_MAX * 2 };
	struct bench bench;

	bench_start(f, rig, &bench, &opts, hung);
	struct peer peer = peer_go(&bench, "hung", false, false);
	many_reads(&peer, NBD_REQS_MAX + 100, 512);
	while (bench_stats(&bench).starved == 0)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(bench_stats(&bench).requests, NBD_REQS_MAX); /* the rest is not read */
	let_go(f);
	many_answers(&peer, NBD_REQS_MAX + 100, 512);
	peer_close(&peer);
	bench_stop(&bench);
}

RIG_TEST(memory_that_is_kept_for_the_next_has_a_limit)
{
	const unsigned count = NBD_BUF_KEPT_MAX / MIB + 8;
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, hung);
	struct peer peer = peer_go(&bench, "hung", false, false);
	many_reads(&peer, count, MIB);
	while (bench_stats(&bench).memory_bytes < (uint64_t)count * MIB)
		assert_int_equal(fiber_sleep(f, MS), 0);
	let_go(f);
	many_answers(&peer, count, MIB);
	while (bench_stats(&bench).memory_bytes)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_in_range(bench_stats(&bench).kept_bytes, MIB, NBD_BUF_KEPT_MAX);
	peer_close(&peer);
	bench_stop(&bench);
}

RIG_TEST(fibers_that_look_for_holes_have_a_limit)
{
	uint8_t heads[64 * NBD_REQUEST_BYTES];
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", true, true);
	for (unsigned i = 0; i < 64; i++) {
		const struct nbd_request ask = { 0, NBD_CMD_BLOCK_STATUS, i, 0, MIB };

		nbd_request_encode(&ask, heads + (size_t)i * NBD_REQUEST_BYTES);
	}
	peer_send(&peer, heads, sizeof(heads));
	while (bench_stats(&bench).requests < 64)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(bench_stats(&bench).slow_fibers_most, NBD_SLOW_FIBERS_MAX);
	peer_close(&peer);
	bench_stop(&bench);
}

/* ---- those who go away -------------------------------------------------------------------------- */

RIG_TEST(peers_may_go_at_any_byte)
{
	uint8_t head[NBD_REQUEST_BYTES], data[4096] = { 0 };
	const struct nbd_request ask = { 0, NBD_CMD_WRITE, 1, 0, sizeof(data) };
	struct bench bench;

	nbd_request_encode(&ask, head);
	bench_start(f, rig, &bench, &defaults, slow);
	for (size_t cut = 0; cut <= sizeof(head) + sizeof(data); cut += cut < 32 ? 3 : 700) {
		struct peer peer = peer_go(&bench, "slow", false, false);

		peer_send(&peer, head, min_size(cut, sizeof(head)));
		if (cut > sizeof(head))
			peer_send(&peer, data, cut - sizeof(head));
		peer_close(&peer);
	}
	while (bench_stats(&bench).conns_now)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(bench_stats(&bench).memory_bytes, 0);
	bench_stop(&bench);
}

RIG_TEST(what_was_asked_before_a_goodbye_is_answered)
{
	for (unsigned half_closed = 0; half_closed < 2; half_closed++) {
		struct bench bench;

		bench_start(f, rig, &bench, &defaults, slow);
		struct peer peer = peer_go(&bench, "slow", false, false);
		many_reads(&peer, 20, 512);
		if (half_closed)
			io_sock_shutdown(peer.sock);
		else
			peer_request(&peer, NBD_CMD_DISC, 0, 0, 0);
		many_answers(&peer, 20, 512);
		peer_expect_end(&peer);
		bench_expect_drops(&bench, NBD_DROP_BYE, 1);
		bench_stop(&bench);
	}
}

RIG_TEST(a_server_that_ends_answers_what_is_in_flight)
{
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, slow);
	struct peer peer = peer_go(&bench, "slow", false, false);
	many_reads(&peer, 20, 512);
	while (bench_stats(&bench).requests < 20)
		assert_int_equal(fiber_sleep(f, MS), 0);
	bench_stop(&bench);
	many_answers(&peer, 20, 512);
	peer_expect_end(&peer);
}

RIG_TEST(a_share_that_goes_leaves_the_others_alone)
{
	static const char *const both[] = { "slow=delay:///s?ns=30000000&on=malloc:///a?size_mb=8",
					    "ram=malloc:///b?size_mb=8", NULL };
	uint8_t data[512];
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, both);
	struct peer peer = peer_go(&bench, "slow", false, false);
	struct peer other = peer_go(&bench, "ram", false, false);
	many_reads(&peer, 20, 512);
	while (bench_stats(&bench).requests < 20)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(nbd_server_remove(f, bench.server, "slow"), 0);
	assert_int_equal(nbd_server_remove(f, bench.server, "slow"), -ENOENT);
	fiber_clear(f);
	many_answers(&peer, 20, 512);
	peer_expect_end(&peer);
	assert_int_equal(peer_do(&other, NBD_CMD_READ, 0, 0, 512, data), NBD_OK);
	peer_close(&other);
	peer = peer_open(&bench);
	assert_int_equal(peer_go_option(&peer, NBD_OPT_GO, "slow", 0), NBD_REP_ERR_UNKNOWN);
	assert_int_equal(peer_go_option(&peer, NBD_OPT_GO, "", 0),
			 NBD_REP_ACK); /* the other one now */
	peer_close(&peer);
	bench_stop(&bench);
}

/* ---- those who dawdle ----------------------------------------------------------------------------- */

RIG_TEST(a_handshake_that_does_not_end_is_ended)
{
	const struct nbd_opts opts = { .shake_ns = 50 * MS };
	static const uint8_t byte[1];
	struct bench bench;

	bench_start(f, rig, &bench, &opts, ram);
	struct peer silent = peer_connect(&bench), polite = peer_open(&bench);
	for (unsigned i = 0; i < 4; i++) { /* a byte at a time does not help */
		peer_send(&silent, byte, 1);
		assert_int_equal(fiber_sleep(f, 20 * MS), 0);
	}
	peer_expect_end(&silent);
	peer_expect_end(&polite);
	bench_expect_drops(&bench, NBD_DROP_SLOW, 2);
	bench_stop(&bench);
}

RIG_TEST(a_message_that_does_not_end_is_ended_but_idling_is_fine)
{
	const struct nbd_opts opts = { .message_ns = 50 * MS };
	uint8_t head[NBD_REQUEST_BYTES], data[512];
	const struct nbd_request ask = { 0, NBD_CMD_WRITE, 1, 0, 4096 };
	struct bench bench;

	nbd_request_encode(&ask, head);
	bench_start(f, rig, &bench, &opts, ram);
	struct peer idle = peer_go(&bench, "ram", false, false);
	struct peer in_head = peer_go(&bench, "ram", false, false);
	struct peer in_data = peer_go(&bench, "ram", false, false);
	peer_send(&in_head, head, 5);
	peer_send(&in_data, head, sizeof(head));
	peer_expect_end(&in_head);
	peer_expect_end(&in_data);
	assert_int_equal(fiber_sleep(f, 120 * MS), 0);
	assert_int_equal(peer_do(&idle, NBD_CMD_READ, 0, 0, 512, data), NBD_OK);
	peer_close(&idle);
	bench_expect_drops(&bench, NBD_DROP_SLOW, 2);
	bench_stop(&bench);
}

RIG_TEST(who_does_not_read_his_answers_is_dropped)
{
	const struct nbd_opts opts = { .send_ns = 50 * MS };
	struct bench bench;

	bench_start(f, rig, &bench, &opts, ram);
	struct peer peer = peer_go(&bench, "ram", false, false);
	for (unsigned i = 0; i < 20; i++)
		peer_request(&peer, NBD_CMD_READ, 0, 0, 512 * 1024);
	bench_expect_drops(&bench, NBD_DROP_SLOW, 1);
	peer_expect_end(&peer);
	bench_stop(&bench);
}

/* ---- no memory ---------------------------------------------------------------------------------------- */

/* A session of all kinds; the server may fail at anything but must stay whole. */
static void session(struct fiber *f, struct bench *bench, const struct nbd_opts *opts)
{
	static const uint8_t flags[] = { 0, 0, 0, 3 };
	struct io_sock *sock = NULL;
	uint8_t bytes[512], *data = calloc(1, 200000), sink[4096];
	size_t at = 0;

	if (nbd_server_new(f, opts, &bench->server) < 0)
		goto out;
	if (nbd_server_add(f, bench->server,
			   &(struct nbd_share_args){ .name = "ram",
						     .uri = "malloc:///a?size_mb=8" }) < 0 ||
	    nbd_server_listen(f, bench->server, &bench->addr, NULL) < 0 ||
	    fiber_connect(f, &bench->addr, NULL, &sock) < 0)
		goto stop;
	const struct nbd_option options[] = { { NBD_OPT_STRUCTURED_REPLY, 0 }, { NBD_OPT_GO, 9 } };
	const struct nbd_request asks[] = { { 0, NBD_CMD_WRITE, 1, 0, 200000 & ~511u },
					    { 0, NBD_CMD_READ, 2, 0, 1 << 20 },
					    { 0, NBD_CMD_DISC, 3, 0, 0 } };
	memcpy(bytes, flags, at = sizeof(flags));
	for (unsigned i = 0; i < 2; i++, at += NBD_OPTION_BYTES)
		nbd_option_encode(&options[i], bytes + at);
	memcpy(bytes + at, "\0\0\0\3ram\0\0", 9);
	at += 9;
	nbd_request_encode(&asks[0], bytes + at);
	at += NBD_REQUEST_BYTES;
	if (fiber_send(f, sock, bytes, at) == 0 && fiber_send(f, sock, data, asks[0].length) == 0) {
		nbd_request_encode(&asks[1], bytes);
		nbd_request_encode(&asks[2], bytes + NBD_REQUEST_BYTES);
		if (fiber_send(f, sock, bytes, 2 * NBD_REQUEST_BYTES) == 0)
			while (fiber_recv(f, sock, sink, sizeof(sink)) > 0)
				;
	}
stop:
	if (sock)
		io_sock_close(sock);
	nbd_server_free(f, bench->server);
out:
	fiber_clear(f);
	free(data);
}

RIG_TEST(every_nth_allocation_may_fail)
{
	const struct nbd_opts opts = { .drain_ns = 20 * MS, .shake_ns = 200 * MS };
	struct bench bench = { .rig = rig, .f = f, .addr = { .family = AF_UNIX } };
	uint64_t failures = rig->heap.failures;
	unsigned n;

	snprintf(bench.addr.path, sizeof(bench.addr.path), "%.90s/nbd", rig->dir);
	for (n = 1; n < 2000; n++) {
		rig->heap.fail_at = rig->heap.allocs + n;
		session(f, &bench, &opts);
		if (rig->heap.failures == failures)
			break;
		failures = rig->heap.failures;
	}
	rig->heap.fail_at = 0;
	assert_in_range(n, 20, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_have_a_limit),
		cmocka_unit_test(connections_of_one_address_have_a_limit),
		cmocka_unit_test(requests_beyond_the_limit_wait_and_are_answered),
		cmocka_unit_test(memory_has_a_limit_and_everyone_has_a_turn),
		cmocka_unit_test(listeners_have_a_limit),
		cmocka_unit_test(connections_have_a_rate),
		cmocka_unit_test(requests_of_a_share_have_a_limit),
		cmocka_unit_test(memory_that_is_kept_for_the_next_has_a_limit),
		cmocka_unit_test(fibers_that_look_for_holes_have_a_limit),
		cmocka_unit_test(peers_may_go_at_any_byte),
		cmocka_unit_test(what_was_asked_before_a_goodbye_is_answered),
		cmocka_unit_test(a_server_that_ends_answers_what_is_in_flight),
		cmocka_unit_test(a_share_that_goes_leaves_the_others_alone),
		cmocka_unit_test(a_handshake_that_does_not_end_is_ended),
		cmocka_unit_test(a_message_that_does_not_end_is_ended_but_idling_is_fine),
		cmocka_unit_test(who_does_not_read_his_answers_is_dropped),
		cmocka_unit_test(every_nth_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
