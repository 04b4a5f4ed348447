// SPDX-License-Identifier: Apache-2.0
/* How connections come, live and end: back-off, GOAWAY, PING, cuts, drains, ages. */
#include <errno.h>
#include <string.h>

#include "world.h"

#define MS(n) ((uint64_t)(n)*SIM_MS)

static Test__EchoRequest say(const char *text, uint32_t sleep_ms)
{
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;

	in.text = (char *)(uintptr_t)text;
	in.sleep_ms = sleep_ms;
	return in;
}

/* ---- the client's way to a connection ------------------------------------------------------ */

WORLD_TEST(without_a_server_a_call_fails_at_once_and_backs_off)
{
	struct rpc_channel *channel = world_channel(f, "10.0.0.1:7", NULL);
	Test__EchoRequest in = say("x", 0);
	uint64_t begun_ns = io_now(fiber_io(f));

	world_say(f, channel, NULL, &in, RPC_UNAVAILABLE, "connect to 10.0.0.1:7");
	for (unsigned i = 0; i < 5; i++)
		world_say(f, channel, NULL, &in, RPC_UNAVAILABLE, "connect to 10.0.0.1:7");
	assert_true(io_now(fiber_io(f)) - begun_ns < MS(500)); /* CN3: nothing was tried */
	rpc_channel_free(f, channel);
}

/* CN2: how often it is tried in five minutes tells the back-off's growth. */
WORLD_TEST(back_off_grows_to_its_limit)
{
	struct rpc_channel *channel = world_channel(f, "10.0.0.1:7", NULL);
	Test__EchoRequest in = say("x", 0);
	uint64_t waits[12], last_ns = 0;
	unsigned count = 0;

	while (count < 12) {
		uint64_t before_ns = io_now(fiber_io(f));

		world_say(f, channel, NULL, &in, RPC_UNAVAILABLE, NULL);
		if (io_now(fiber_io(f)) != before_ns) { /* it was tried */
			waits[count++] = before_ns - last_ns;
			last_ns = before_ns;
		}
		assert_int_equal(fiber_sleep(f, MS(50)), 0);
	}
	for (unsigned i = 1; i < 12; i++) {
		uint64_t want = SIM_S;

		for (unsigned n = 1; n < i; n++)
			want = min_u64(want / 10 * 16, RPC_BACKOFF_MAX_NS);
		assert_in_range(waits[i], want / 10 * 8, want / 10 * 12 + MS(200));
	}
	rpc_channel_free(f, channel);
}

WORLD_TEST(who_waits_for_ready_gets_its_answer_when_there_is_a_server)
{
	const struct rpc_ask patient = { .wait_for_ready = true };
	const struct rpc_ask limited = { .wait_for_ready = true, .timeout_ns = 3 * SIM_S };
	struct rpc_channel *channel;
	Test__EchoRequest in = say("x", 0);

	sim_proc_crash(w->server_proc);
	channel = world_channel(f, NULL, NULL);
	world_say(f, channel, &limited, &in, RPC_DEADLINE_EXCEEDED,
		  "no connection to 10.0.0.1:10124 within");
	sim_proc_start(w->server_proc);
	world_say(f, channel, &patient, &in, RPC_OK, NULL);
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_lost_connection_fails_its_calls_and_the_next_call_has_a_new_one)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	const struct rpc_ask patient = { .wait_for_ready = true };
	Test__EchoRequest in = say("x", 0);
	struct rpc_stream *stream;
	struct rpc_reply reply;

	in.count = 100;
	in.sleep_ms = 100;
	assert_int_equal(rpc_open_message(f, channel, "/test.Echo/Many", NULL, &in.base,
					  &test__echo_reply__descriptor, &stream),
			 0);
	assert_int_equal(rpc_next(f, stream, &reply), 1);
	rpc_reply_free(&reply);
	sim_proc_crash(w->server_proc);
	while (rpc_next(f, stream, &reply) == 1)
		rpc_reply_free(&reply);
	assert_int_equal(reply.code, RPC_UNAVAILABLE);
	assert_non_null(strstr(fiber_words(f), "connection to 10.0.0.1:10124 lost"));
	rpc_close(f, stream);
	sim_proc_start(w->server_proc);
	in.sleep_ms = 0;
	world_say(f, channel, &patient, &in, RPC_OK, NULL);
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_server_that_is_silent_is_found_out_by_ping)
{
	const struct rpc_channel_opts opts = { .ping_ns = 10 * SIM_S, .ping_wait_ns = 5 * SIM_S };
	struct rpc_channel *channel = world_channel(f, NULL, &opts);
	Test__EchoRequest in = say("x", 60000);
	uint64_t begun_ns;

	in.sleep_ms = 0;
	world_say(f, channel, NULL, &in, RPC_OK, NULL);
	in.sleep_ms = 60000;
	world_say(f, channel, NULL, &in, RPC_OK, NULL); /* slow, but alive: it answers pings */
	sim_net_cut(w->server_host, w->client_host);
	begun_ns = io_now(fiber_io(f));
	world_say(f, channel, NULL, &in, RPC_UNAVAILABLE, "does not answer a PING");
	assert_in_range(io_now(fiber_io(f)) - begun_ns, 14 * SIM_S, 16 * SIM_S);
	sim_net_heal(w->server_host, w->client_host);
	rpc_channel_free(f, channel);
}

WORLD_TEST_WITH(a_client_that_is_silent_is_found_out_by_ping, .ping_ns = 10 * SIM_S,
		.ping_wait_ns = 5 * SIM_S)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("x", 0);
	struct rpc_server_stats stats;

	world_say(f, channel, NULL, &in, RPC_OK, NULL);
	assert_int_equal(fiber_sleep(f, 100 * SIM_S), 0);
	rpc_server_stats(w->server, &stats);
	assert_int_equal(stats.conns_now, 1); /* idle, but alive */
	sim_net_cut(w->client_host, w->server_host);
	assert_int_equal(fiber_sleep(f, 30 * SIM_S), 0);
	rpc_server_stats(w->server, &stats);
	assert_int_equal(stats.conns_now, 0);
	assert_int_equal(stats.conns_dropped, 1);
	sim_net_heal(w->client_host, w->server_host);
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_target_that_is_none_is_refused)
{
	static const char *const bad[] = {
		"",	  "host",	   "host:", "host:0", "host:65536", ":10",    "[]:10",
		"::1:10", "unix:relative", "unix:", "a:b:1",  "host:1x",    "host:-1"
	};
	struct rpc_channel *channel;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(rpc_channel_new(f, bad[i], NULL, &channel), -EINVAL);
		assert_non_null(strstr(fiber_words(f), "is no target"));
		fiber_clear(f);
	}
}

WORLD_TEST(names_are_resolved)
{
	struct rpc_channel *channel = world_channel(f, "server:10124", NULL);
	Test__EchoRequest in = say("x", 0);

	world_say(f, channel, NULL, &in, RPC_OK, NULL);
	rpc_channel_free(f, channel);
	channel = world_channel(f, "nobody:10124", NULL);
	world_say(f, channel, NULL, &in, RPC_UNAVAILABLE, "resolve 'nobody'");
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_channel_can_be_freed_while_it_connects)
{
	struct rpc_channel *channel;
	Test__EchoRequest in = say("x", 0);

	sim_net_cut(w->client_host, w->server_host);
	channel = world_channel(f, NULL, NULL);
	world_say(f, channel, &(struct rpc_ask){ .timeout_ns = MS(100) }, &in,
		  RPC_DEADLINE_EXCEEDED, NULL);
	rpc_channel_free(f, channel);
	sim_net_heal(w->client_host, w->server_host);
}

WORLD_TEST_WITH(a_connection_beyond_the_limit_is_refused, .conns_max = 1)
{
	struct rpc_channel *one = world_channel(f, NULL, NULL), *two = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("x", 0);

	world_say(f, one, NULL, &in, RPC_OK, NULL);
	world_say(f, two, NULL, &in, RPC_UNAVAILABLE, NULL);
	world_say(f, one, NULL, &in, RPC_OK, NULL);
	rpc_channel_free(f, one);
	rpc_channel_free(f, two);
}

/* ---- the end of a server ------------------------------------------------------------------------ */

struct one {
	struct rpc_channel *channel;
	Test__EchoRequest in;
	enum rpc_code code;
};

static int ask_one(struct fiber *f, void *arg)
{
	struct one *one = arg;
	struct rpc_reply reply;
	int r = rpc_ask_message(f, one->channel, "/test.Echo/Say", NULL, &one->in.base,
				&test__echo_reply__descriptor, &reply);

	one->code = reply.code;
	rpc_reply_free(&reply);
	return r;
}

static struct fiber *ask_start(struct fiber *f, struct one *one, struct rpc_channel *channel,
			       uint32_t sleep_ms)
{
	struct fiber *child;

	*one = (struct one){ .channel = channel, .in = say("last words", sleep_ms) };
	assert_int_equal(fiber_start(fiber_reactor(f), "ask", ask_one, one, &child), 0);
	return child;
}

WORLD_TEST(calls_in_flight_are_answered_while_a_server_drains)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("x", 0);
	struct one one;
	struct fiber *child = ask_start(f, &one, channel, 1000);

	assert_int_equal(fiber_sleep(f, MS(100)), 0);
	w->stop = true;
	assert_int_equal(fiber_sleep(f, MS(100)), 0);
	world_say(f, channel, NULL, &in, RPC_UNAVAILABLE, NULL); /* nobody listens any more */
	assert_false(w->drained);
	assert_int_equal(fiber_join(f, child), 0);
	assert_int_equal(one.code, RPC_OK);
	assert_int_equal(fiber_sleep(f, MS(200)), 0);
	assert_true(w->drained); /* it did not wait for its time to be over */
	rpc_channel_free(f, channel);
}

WORLD_TEST_WITH(calls_that_do_not_end_are_cancelled_when_the_drain_is_over, .drain_ns = 2 * SIM_S)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	struct one one;
	struct fiber *child = ask_start(f, &one, channel, 3600 * 1000);

	assert_int_equal(fiber_sleep(f, MS(100)), 0);
	w->stop = true;
	assert_int_equal(fiber_join(f, child), rpc_errno_of_code(RPC_UNAVAILABLE));
	assert_string_equal(fiber_words(f), "the server ends");
	assert_int_equal(w->echo.cancelled, 1);
	assert_int_equal(fiber_sleep(f, MS(1500)), 0);
	assert_true(w->drained);
	rpc_channel_free(f, channel);
}

/* The two steps: what is on its way when the server says goodbye is served yet. */
WORLD_TEST_WITH(a_connection_that_gets_old_is_replaced_without_a_failure, .age_ns = 2 * SIM_S)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("x", 1);
	struct rpc_server_stats stats;

	for (unsigned i = 0; i < 4000; i++)
		world_say(f, channel, NULL, &in, RPC_OK, NULL);
	rpc_server_stats(w->server, &stats);
	assert_true(stats.conns >= 3);
	assert_true(stats.conns_now <= 2);
	rpc_channel_free(f, channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_server_a_call_fails_at_once_and_backs_off),
		cmocka_unit_test(back_off_grows_to_its_limit),
		cmocka_unit_test(who_waits_for_ready_gets_its_answer_when_there_is_a_server),
		cmocka_unit_test(a_lost_connection_fails_its_calls_and_the_next_call_has_a_new_one),
		cmocka_unit_test(a_server_that_is_silent_is_found_out_by_ping),
		cmocka_unit_test(a_client_that_is_silent_is_found_out_by_ping),
		cmocka_unit_test(a_target_that_is_none_is_refused),
		cmocka_unit_test(names_are_resolved),
		cmocka_unit_test(a_channel_can_be_freed_while_it_connects),
		cmocka_unit_test(a_connection_beyond_the_limit_is_refused),
		cmocka_unit_test(calls_in_flight_are_answered_while_a_server_drains),
		cmocka_unit_test(calls_that_do_not_end_are_cancelled_when_the_drain_is_over),
		cmocka_unit_test(a_connection_that_gets_old_is_replaced_without_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
