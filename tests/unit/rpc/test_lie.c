// SPDX-License-Identifier: Apache-2.0
/* What servers say that no decent server says: our client makes a status of it. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "raw.h"

#define LIAR_PORT 7000
#define LIAR	  "10.0.0.2:7000" /* the client's own host */
#define CALLS_MAX 4u

#define PAIRS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define GOOD	   ":status", "200", "content-type", "application/grpc"

/* A server that says what it is told to, once for each connection or for each call. */
struct liar {
	struct fiber *f;
	struct io_listener *listener;
	void (*says)(struct raw *raw, unsigned number);
	struct io_sock *socks[CALLS_MAX];
	unsigned accepted, ended;
};

static int liar_talk(struct fiber *f, void *arg)
{
	struct liar *liar = arg;
	unsigned number = liar->accepted - 1;
	struct raw *raw = raw_of(f, liar->socks[number]);

	raw_frame(raw, RAW_SETTINGS, 0, 0, NULL, 0);
	raw_wait(raw, 50); /* the request is here by then */
	liar->says(raw, number);
	raw_wait(raw, 500);
	raw_free(raw);
	liar->ended++;
	return 0;
}

static void liar_accept(void *ctx, int res, struct io_sock *sock)
{
	struct liar *liar = ctx;

	assert_true(res == 0 && liar->accepted < CALLS_MAX);
	liar->socks[liar->accepted++] = sock;
	assert_int_equal(fiber_start(fiber_reactor(liar->f), "liar", liar_talk, liar, NULL), 0);
}

static unsigned ask(struct fiber *f, void (*says)(struct raw *raw, unsigned number),
		    enum rpc_code code, const char *words)
{
	const struct rpc_channel_opts opts = { .message_bytes_max = 1000 };
	const struct rpc_ask how = { .timeout_ns = 3 * SIM_S };
	struct liar liar = { .f = f, .says = says };
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
	struct io_addr addr;
	struct rpc_channel *channel;

	sim_host_addr(sim_proc_host(sim_proc_of(fiber_io(f))), LIAR_PORT, &addr);
	assert_int_equal(
		io_listen(fiber_io(f), &addr, NULL, liar_accept, &liar, &liar.listener, NULL), 0);
	channel = world_channel(f, LIAR, &opts);
	in.text = (char[]){ "truth" };
	world_say(f, channel, &how, &in, code, words);
	rpc_channel_free(f, channel);
	io_listener_close(liar.listener);
	while (liar.ended < liar.accepted)
		assert_int_equal(fiber_sleep(f, 10 * SIM_MS), 0);
	return liar.accepted;
}

static void message(struct raw *raw, uint32_t stream)
{
	raw_message(raw, 0, stream, 0, "\x0a\x05truth", 7);
}

static void status(struct raw *raw, uint32_t stream, const char *text)
{
	raw_head(raw, RAW_END_STREAM, stream, PAIRS("grpc-status", text));
}

static void all_good(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(GOOD));
	message(raw, 1);
	status(raw, 1, "0");
}

static void only_trailers(struct raw *raw, unsigned number)
{
	raw_head(raw, RAW_END_STREAM, 1,
		 PAIRS(GOOD, "grpc-status", "5", "grpc-message", "n%C3%B6"));
}

static void http_503(struct raw *raw, unsigned number)
{
	raw_head(raw, RAW_END_STREAM, 1, PAIRS(":status", "503"));
}

static void no_type(struct raw *raw, unsigned number)
{
	raw_head(raw, RAW_END_STREAM, 1, PAIRS(":status", "200", "content-type", "text/html"));
}

static void no_status(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(GOOD));
	message(raw, 1);
	raw_frame(raw, RAW_DATA, RAW_END_STREAM, 1, NULL, 0);
}

static void odd_status(struct raw *raw, unsigned number)
{
	raw_head(raw, RAW_END_STREAM, 1, PAIRS(GOOD, "grpc-status", "77", "grpc-message", "?"));
}

static void informed(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(":status", "100"));
	all_good(raw, number);
}

static void nothing_said(struct raw *raw, unsigned number)
{
	raw_head(raw, RAW_END_STREAM, 1, PAIRS(GOOD, "grpc-status", "0"));
}

static void said_twice(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(GOOD));
	message(raw, 1);
	message(raw, 1);
	status(raw, 1, "0");
}

static void too_large(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(GOOD));
	raw_frame(raw, RAW_DATA, 0, 1, "\0\0\0\7\xd0xxx", 8);
}

static void compressed(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(GOOD, "grpc-encoding", "gzip"));
	raw_message(raw, 0, 1, 1, "zzz", 3);
}

static void half_said(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(GOOD));
	raw_frame(raw, RAW_DATA, 0, 1, "\0\0\0\0\5ab", 7);
	status(raw, 1, "0");
}

static void not_utf8(struct raw *raw, unsigned number)
{
	raw_head(raw, 0, 1, PAIRS(GOOD));
	raw_message(raw, 0, 1, 0, "\x0a\x01\xff", 3);
	status(raw, 1, "0");
}

static void bad_header(struct raw *raw, unsigned number)
{
	raw_head(raw, RAW_END_STREAM, 1, PAIRS(GOOD, "UPPER", "x"));
}

static void long_header(struct raw *raw, unsigned number)
{
	static char text[40000];

	memset(text, 'x', sizeof(text) - 1);
	raw_head(raw, RAW_END_STREAM, 1, PAIRS(GOOD, "x-long", text));
}

static void reset_by_error(struct raw *raw, unsigned number)
{
	raw_frame(raw, RAW_RST, 0, 1, "\0\0\0\x02", 4);
}

static void reset_calm(struct raw *raw, unsigned number)
{
	raw_frame(raw, RAW_RST, 0, 1, "\0\0\0\x0b", 4);
}

static void rubbish(struct raw *raw, unsigned number)
{
	raw_send(raw, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void hangup(struct raw *raw, unsigned number)
{
	io_sock_shutdown(raw->sock);
}

static void silence(struct raw *raw, unsigned number)
{
	raw_wait(raw, 4000);
}

WORLD_TEST(every_answer_makes_a_status)
{
	assert_int_equal(ask(f, all_good, RPC_OK, NULL), 1);
	ask(f, informed, RPC_OK, NULL);
	ask(f, only_trailers, RPC_NOT_FOUND, "n\xc3\xb6");
	ask(f, http_503, RPC_UNAVAILABLE, "HTTP 503");
	ask(f, no_type, RPC_UNKNOWN, "does not speak gRPC");
	ask(f, no_status, RPC_UNKNOWN, "no grpc-status");
	ask(f, odd_status, RPC_UNKNOWN, "?");
	ask(f, nothing_said, RPC_INTERNAL, "said OK, and nothing else");
	ask(f, said_twice, RPC_INTERNAL, "answered more than once");
	ask(f, too_large, RPC_RESOURCE_EXHAUSTED, "at most 1000 are accepted");
	ask(f, compressed, RPC_INTERNAL, "no gRPC message");
	ask(f, half_said, RPC_INTERNAL, "ended within a message");
	ask(f, not_utf8, RPC_INTERNAL, "not UTF-8");
	ask(f, bad_header, RPC_INTERNAL, "no HTTP/2");
	ask(f, long_header, RPC_INTERNAL, "too long");
	ask(f, reset_by_error, RPC_INTERNAL, "reset the stream");
	ask(f, reset_calm, RPC_RESOURCE_EXHAUSTED, "reset the stream");
	ask(f, rubbish, RPC_UNAVAILABLE, "lost");
	ask(f, hangup, RPC_UNAVAILABLE, "lost");
	ask(f, silence, RPC_DEADLINE_EXCEEDED, "time-out");
}

/* ---- what was not processed is sent again, once (CL2) ---------------------------------------- */

static void refused_once(struct raw *raw, unsigned number)
{
	raw_frame(raw, RAW_RST, 0, 1, "\0\0\0\x07", 4);
	raw_wait(raw, 50);
	raw_head(raw, 0, 3, PAIRS(GOOD));
	message(raw, 3);
	status(raw, 3, "0");
}

static void refused_twice(struct raw *raw, unsigned number)
{
	raw_frame(raw, RAW_RST, 0, 1, "\0\0\0\x07", 4);
	raw_wait(raw, 50);
	raw_frame(raw, RAW_RST, 0, 3, "\0\0\0\x07", 4);
}

static void goaway_then_good(struct raw *raw, unsigned number)
{
	if (number == 0)
		raw_frame(raw, RAW_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	else
		all_good(raw, number);
}

static void goaway_but_good(struct raw *raw, unsigned number)
{
	raw_frame(raw, RAW_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
	raw_wait(raw, 50);
	all_good(raw, number);
}

WORLD_TEST(what_was_not_processed_is_sent_again_once)
{
	assert_int_equal(ask(f, refused_once, RPC_OK, NULL), 1);
	assert_int_equal(ask(f, refused_twice, RPC_UNAVAILABLE, "REFUSED_STREAM"), 1);
	assert_int_equal(ask(f, goaway_then_good, RPC_OK, NULL), 2);
	assert_int_equal(ask(f, goaway_but_good, RPC_OK, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_answer_makes_a_status),
		cmocka_unit_test(what_was_not_processed_is_sent_again_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
