// SPDX-License-Identifier: Apache-2.0
/* Our client and our server, between two hosts of a simulated world. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "world.h"

#define MS(n) ((uint64_t)(n)*SIM_MS)

static Test__EchoRequest say(const char *text)
{
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;

	in.text = (char *)(uintptr_t)text;
	return in;
}

WORLD_TEST(a_request_is_answered)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("hello");

	in.size = 3;
	assert_int_equal(world_say(f, channel, NULL, &in, RPC_OK, NULL), 3);
	assert_int_equal(w->echo.finished, 1);
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_failure_has_its_code_and_words)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("pool 'p\xc3\xbc' is 100% gone\n");

	for (unsigned code = 1; code < RPC_CODES; code++) {
		in.code = code;
		world_say(f, channel, NULL, &in, (enum rpc_code)code, in.text);
	}
	in.code = 0;
	in.error = -EEXIST;
	world_say(f, channel, NULL, &in, RPC_ALREADY_EXISTS, in.text);
	rpc_channel_free(f, channel);
}

static void expect(struct fiber *f, struct rpc_channel *channel, const char *path,
		   enum rpc_code code, const char *words)
{
	struct rpc_reply reply;

	assert_int_equal(rpc_ask_raw(f, channel, path, NULL, (struct rpc_bytes){ 0 }, &reply),
			 rpc_errno_of_code(code));
	assert_int_equal(reply.code, code);
	if (!strstr(fiber_words(f), words))
		fail_msg("'%s' does not tell '%s'", fiber_words(f), words);
	rpc_reply_free(&reply);
	fiber_clear(f);
}

WORLD_TEST(what_is_not_served_is_unimplemented_and_named)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);

	expect(f, channel, "/test.Echo/Later", RPC_UNIMPLEMENTED,
	       "'/test.Echo/Later' is not served yet");
	expect(f, channel, "/test.Echo/Never", RPC_UNIMPLEMENTED, "no method '/test.Echo/Never'");
	expect(f, channel, "/test.Nobody/Say", RPC_UNIMPLEMENTED, "service of '/test.Nobody/Say'");
	expect(f, channel, "/Say", RPC_UNIMPLEMENTED, "is not served");
	expect(f, channel, "/", RPC_UNIMPLEMENTED, "is not served");
	expect(f, channel, "//", RPC_UNIMPLEMENTED, "is not served");
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_deadline_ends_the_call_on_both_sides)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("slow");

	in.sleep_ms = 10000;
	world_say(f, channel, &(struct rpc_ask){ .timeout_ns = MS(100) }, &in,
		  RPC_DEADLINE_EXCEEDED, "time-out");
	assert_int_equal(fiber_sleep(f, MS(50)), 0);
	assert_int_equal(w->echo.cancelled, 1);
	assert_int_equal(w->echo.running, 0);
	assert_int_equal(w->server ? 0 : 1, 0);
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_shielded_handler_goes_on)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("slow");

	in.sleep_ms = 1000;
	in.shield = true;
	world_say(f, channel, &(struct rpc_ask){ .timeout_ns = MS(100) }, &in,
		  RPC_DEADLINE_EXCEEDED, NULL);
	assert_int_equal(fiber_sleep(f, MS(500)), 0);
	assert_int_equal(w->echo.running, 1);
	assert_int_equal(fiber_sleep(f, MS(1000)), 0);
	assert_int_equal(w->echo.finished, 1);
	assert_int_equal(w->echo.cancelled, 0);
	rpc_channel_free(f, channel);
}

struct one {
	struct rpc_channel *channel;
	Test__EchoRequest in;
	struct rpc_ask ask;
	enum rpc_code code;
};

static int ask_one(struct fiber *f, void *arg)
{
	struct one *one = arg;
	struct rpc_reply reply;
	int r = rpc_ask_message(f, one->channel, "/test.Echo/Say", &one->ask, &one->in.base,
				&test__echo_reply__descriptor, &reply);

	one->code = reply.code;
	rpc_reply_free(&reply);
	return r;
}

WORLD_TEST(a_fiber_that_is_cancelled_cancels_its_call)
{
	struct one one = { .channel = world_channel(f, NULL, NULL), .in = say("slow") };
	struct fiber *child;

	one.in.sleep_ms = 10000;
	assert_int_equal(fiber_start(fiber_reactor(f), "ask", ask_one, &one, &child), 0);
	assert_int_equal(fiber_sleep(f, MS(100)), 0);
	assert_int_equal(w->echo.running, 1);
	fiber_cancel(child);
	assert_int_equal(fiber_join(f, child), -ECANCELED);
	assert_int_equal(one.code, RPC_CANCELLED);
	assert_int_equal(fiber_sleep(f, MS(50)), 0);
	assert_int_equal(w->echo.running, 0);
	assert_int_equal(w->echo.cancelled, 1);
	rpc_channel_free(f, one.channel);
}

WORLD_TEST_WITH(calls_beyond_the_limit_are_refused_busy, .calls_max = 3)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	struct one ones[5];
	struct fiber *fibers[5];
	unsigned busy = 0;

	for (unsigned i = 0; i < 5; i++) {
		ones[i] = (struct one){ .channel = channel, .in = say("many") };
		ones[i].in.sleep_ms = 1000;
		assert_int_equal(
			fiber_start(fiber_reactor(f), "ask", ask_one, &ones[i], &fibers[i]), 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		if (fiber_join(f, fibers[i]) < 0)
			assert_non_null(strstr(fiber_words(f), "the server is busy"));
		busy += ones[i].code == RPC_RESOURCE_EXHAUSTED;
		fiber_clear(f);
	}
	assert_int_equal(busy, 2);
	assert_int_equal(w->echo.finished, 3);
	rpc_channel_free(f, channel);
}

WORLD_TEST_WITH(streams_beyond_the_limit_wait_at_the_client, .streams_max = 2)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	struct one ones[6];
	struct fiber *fibers[6];

	for (unsigned i = 0; i < 6; i++) {
		ones[i] = (struct one){ .channel = channel, .in = say("many") };
		ones[i].in.sleep_ms = 100;
		assert_int_equal(
			fiber_start(fiber_reactor(f), "ask", ask_one, &ones[i], &fibers[i]), 0);
	}
	assert_int_equal(fiber_sleep(f, MS(50)), 0);
	assert_int_equal(w->echo.running, 2);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(fiber_join(f, fibers[i]), 0);
	rpc_channel_free(f, channel);
}

WORLD_TEST_WITH(large_messages_pass_and_larger_ones_are_refused, .message_bytes_max = 100000)
{
	const struct rpc_channel_opts small = { .message_bytes_max = 50000 };
	struct rpc_channel *channel = world_channel(f, NULL, NULL),
			   *tiny = world_channel(f, NULL, &small);
	Test__Item item = TEST__ITEM__INIT, *items[] = { &item };
	Test__EchoRequest in = say("large");
	static uint8_t blob[100000];

	in.size = 3000000;
	assert_int_equal(world_say(f, channel, NULL, &in, RPC_OK, NULL), 3000000);
	in.size = 60000;
	world_say(f, tiny, NULL, &in, RPC_RESOURCE_EXHAUSTED, "at most 50000 are accepted");
	in.size = 49000;
	assert_int_equal(world_say(f, tiny, NULL, &in, RPC_OK, NULL), 49000);
	in.size = 0;
	in.n_items = 1;
	in.items = items;
	item.blob = (ProtobufCBinaryData){ .len = 99900, .data = blob };
	world_say(f, channel, NULL, &in, RPC_OK, NULL);
	item.blob.len = 100000;
	world_say(f, channel, NULL, &in, RPC_RESOURCE_EXHAUSTED, "at most 100000 are accepted");
	rpc_channel_free(f, channel);
	rpc_channel_free(f, tiny);
}

WORLD_TEST_WITH(a_reply_that_no_memory_is_granted_for_fails, .conn_memory_bytes = 10000)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("large");

	in.size = 20000;
	world_say(f, channel, NULL, &in, RPC_RESOURCE_EXHAUSTED, "more than may wait for clients");
	in.size = 9000;
	world_say(f, channel, NULL, &in, RPC_OK, NULL);
	rpc_channel_free(f, channel);
}

WORLD_TEST_WITH(the_memory_of_a_handler_is_bounded, .call_memory_bytes = 50000)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("large");

	in.size = 60000;
	world_say(f, channel, NULL, &in, RPC_RESOURCE_EXHAUSTED, NULL);
	rpc_channel_free(f, channel);
}

WORLD_TEST(bad_strings_are_refused_with_the_name_of_the_field)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	struct rpc_reply reply;

	assert_int_equal(rpc_ask_raw(f, channel, "/test.Echo/Say", NULL,
				     (struct rpc_bytes){ "\x0a\x01\xff", 3 }, &reply),
			 -EINVAL);
	assert_int_equal(reply.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(fiber_words(f), "field 'text' of 'EchoRequest' is not UTF-8");
	rpc_reply_free(&reply);
	fiber_clear(f);
	assert_int_equal(rpc_ask_raw(f, channel, "/test.Echo/Say", NULL,
				     (struct rpc_bytes){ "\x0a\x03"
							 "a\0b",
							 5 },
				     &reply),
			 -EINVAL);
	assert_string_equal(fiber_words(f),
			    "field 'text' of 'EchoRequest' contains a NUL character");
	rpc_reply_free(&reply);
	fiber_clear(f);
	assert_int_equal(w->echo.finished, 0);
	rpc_channel_free(f, channel);
}

WORLD_TEST(metadata_goes_both_ways)
{
	const struct rpc_pair pairs[] = { { "x-extra", " and more" }, { "x-b", "2" } };
	const struct rpc_ask ask = { .metadata = pairs, .metadata_count = 2 };
	const struct rpc_ask bad = { .metadata = &(struct rpc_pair){ "Upper", "x" },
				     .metadata_count = 1 };
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("text");
	struct rpc_stream *stream;
	struct rpc_reply reply;

	world_say(f, channel, &ask, &in, RPC_OK, "text and more");
	world_say(f, channel, &bad, &in, RPC_INVALID_ARGUMENT, "'Upper' is no name for metadata");
	in.count = 1;
	assert_int_equal(rpc_open_message(f, channel, "/test.Echo/Many", NULL, &in.base,
					  &test__echo_reply__descriptor, &stream),
			 0);
	assert_int_equal(rpc_next(f, stream, &reply), 1);
	assert_string_equal(rpc_stream_metadata(stream, "x-count"), "many");
	rpc_reply_free(&reply);
	assert_int_equal(rpc_next(f, stream, &reply), 0);
	assert_string_equal(rpc_stream_metadata(stream, "x-end"), "yes");
	assert_null(rpc_stream_metadata(stream, "x-none"));
	rpc_close(f, stream);
	rpc_channel_free(f, channel);
}

static struct rpc_stream *many(struct fiber *f, struct rpc_channel *channel, Test__EchoRequest *in)
{
	struct rpc_stream *stream = NULL;

	assert_int_equal(rpc_open_message(f, channel, "/test.Echo/Many", NULL, &in->base,
					  &test__echo_reply__descriptor, &stream),
			 0);
	return stream;
}

WORLD_TEST(a_stream_has_all_its_messages_in_order_and_its_status)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("the end");
	struct rpc_stream *stream;
	struct rpc_reply reply;

	in.count = 50;
	in.size = 100000;
	in.code = RPC_ABORTED;
	stream = many(f, channel, &in);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(rpc_next(f, stream, &reply), 1);
		assert_int_equal(((Test__EchoReply *)reply.message)->index, i);
		rpc_reply_free(&reply);
	}
	assert_int_equal(rpc_next(f, stream, &reply), rpc_errno_of_code(RPC_ABORTED));
	assert_int_equal(reply.code, RPC_ABORTED);
	assert_string_equal(fiber_words(f), "the end");
	fiber_clear(f);
	rpc_close(f, stream);
	rpc_channel_free(f, channel);
}

/* Back-pressure: who does not read holds up the handler, not the server's memory. */
WORLD_TEST_WITH(a_stream_that_is_not_read_waits, .send_ns = 3600 * SIM_S)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("long"), other = say("other");
	struct rpc_server_stats stats;
	struct rpc_stream *stream;
	struct rpc_reply reply;
	unsigned got = 0;

	in.count = 1000;
	in.size = 50000;
	stream = many(f, channel, &in);
	assert_int_equal(fiber_sleep(f, 10 * SIM_S), 0);
	assert_int_equal(w->echo.running, 1);
	rpc_server_stats(w->server, &stats);
	assert_true(stats.memory_bytes <= RPC_STREAM_AHEAD + 2 * 50100);
	world_say(f, channel, NULL, &other, RPC_OK, NULL); /* the connection is not held up */
	while (rpc_next(f, stream, &reply) == 1) {
		got++;
		rpc_reply_free(&reply);
	}
	assert_int_equal(got, 1000);
	rpc_close(f, stream);
	rpc_channel_free(f, channel);
}

WORLD_TEST_WITH(a_stream_that_is_never_read_is_cut_off, .send_ns = 5 * SIM_S)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("long");
	struct rpc_stream *stream;

	in.count = 1000;
	in.size = 50000;
	stream = many(f, channel, &in);
	assert_int_equal(fiber_sleep(f, 20 * SIM_S), 0);
	assert_int_equal(w->echo.running, 0);
	assert_int_equal(w->echo.cancelled, 1);
	rpc_close(f, stream);
	rpc_channel_free(f, channel);
}

WORLD_TEST(a_stream_that_is_closed_early_cancels_its_handler)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	Test__EchoRequest in = say("long");
	struct rpc_stream *stream;
	struct rpc_reply reply;

	in.count = 1000;
	in.size = 10;
	in.sleep_ms = 100;
	stream = many(f, channel, &in);
	assert_int_equal(rpc_next(f, stream, &reply), 1);
	rpc_reply_free(&reply);
	rpc_close(f, stream);
	assert_int_equal(fiber_sleep(f, MS(300)), 0);
	assert_int_equal(w->echo.running, 0);
	assert_int_equal(w->echo.cancelled, 1);
	rpc_channel_free(f, channel);
}

WORLD_TEST_WITH(a_thousand_calls_at_a_time_are_all_answered, .calls_max = 1000)
{
	const struct rpc_channel_opts opts = { .asks_max = 1000 };
	struct rpc_channel *channel = world_channel(f, NULL, &opts);
	struct one *ones = mem_new(fiber_io(f), 1000 * sizeof(*ones));
	struct fiber **fibers = mem_new(fiber_io(f), 1000 * sizeof(*fibers));
	Test__EchoRequest in = say("one too many");

	for (unsigned i = 0; i < 1000; i++) {
		ones[i] = (struct one){ .channel = channel, .in = say("one of many") };
		ones[i].in.sleep_ms = 100;
		assert_int_equal(
			fiber_start(fiber_reactor(f), "ask", ask_one, &ones[i], &fibers[i]), 0);
	}
	fiber_yield(f);
	world_say(f, channel, NULL, &in, RPC_RESOURCE_EXHAUSTED, "more than 1000 calls at a time");
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(fiber_join(f, fibers[i]), 0);
	assert_int_equal(w->echo.finished, 1000);
	mem_free(ones);
	mem_free(fibers);
	rpc_channel_free(f, channel);
}

/* ---- health ------------------------------------------------------------------------------ */

static int health(struct fiber *f, struct rpc_channel *channel, const char *bytes, size_t len)
{
	struct rpc_reply reply;
	int r = rpc_ask_raw(f, channel, "/grpc.health.v1.Health/Check", NULL,
			    (struct rpc_bytes){ bytes, len }, &reply);

	if (r == 0) {
		assert_int_equal(reply.bytes.len, 2);
		r = ((const uint8_t *)reply.bytes.data)[1];
	}
	rpc_reply_free(&reply);
	fiber_clear(f);
	return r;
}

WORLD_TEST(health_tells_who_serves)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);

	assert_int_equal(health(f, channel, "", 0), 1);
	assert_int_equal(health(f, channel, "\x0a\x09test.Echo", 11), 1);
	assert_int_equal(health(f, channel, "\x0a\x08test.Ech", 10), -ENOENT);
	assert_int_equal(health(f, channel, "\x0a\x08test", 6), -EINVAL);
	w->ill = true;
	assert_int_equal(fiber_sleep(f, MS(20)), 0);
	assert_int_equal(health(f, channel, "", 0), 2);
	rpc_channel_free(f, channel);
}

WORLD_TEST(health_watch_tells_changes_and_the_end)
{
	struct rpc_channel *channel = world_channel(f, NULL, NULL);
	static const uint8_t told[] = { 1, 2, 1, 2 };
	struct rpc_stream *stream;
	struct rpc_reply reply;
	uint64_t began = 0;

	assert_int_equal(rpc_open_raw(f, channel, "/grpc.health.v1.Health/Watch", NULL,
				      (struct rpc_bytes){ 0 }, &stream),
			 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rpc_next(f, stream, &reply), 1);
		assert_int_equal(((const uint8_t *)reply.bytes.data)[1], told[i]);
		rpc_reply_free(&reply);
		if (i == 2) {
			w->stop = true;
			began = io_now(fiber_io(f));
		}
		w->ill = i == 0;
	}
	assert_int_equal(rpc_next(f, stream, &reply), rpc_errno_of_code(RPC_UNAVAILABLE));
	assert_string_equal(fiber_words(f), "the server ends");
	assert_true(io_now(fiber_io(f)) - began < SIM_S); /* the drain waits for no stream that has no end */
	fiber_clear(f);
	rpc_close(f, stream);
	rpc_channel_free(f, channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered),
		cmocka_unit_test(a_failure_has_its_code_and_words),
		cmocka_unit_test(what_is_not_served_is_unimplemented_and_named),
		cmocka_unit_test(a_deadline_ends_the_call_on_both_sides),
		cmocka_unit_test(a_shielded_handler_goes_on),
		cmocka_unit_test(a_fiber_that_is_cancelled_cancels_its_call),
		cmocka_unit_test(calls_beyond_the_limit_are_refused_busy),
		cmocka_unit_test(streams_beyond_the_limit_wait_at_the_client),
		cmocka_unit_test(large_messages_pass_and_larger_ones_are_refused),
		cmocka_unit_test(a_reply_that_no_memory_is_granted_for_fails),
		cmocka_unit_test(the_memory_of_a_handler_is_bounded),
		cmocka_unit_test(bad_strings_are_refused_with_the_name_of_the_field),
		cmocka_unit_test(metadata_goes_both_ways),
		cmocka_unit_test(a_stream_has_all_its_messages_in_order_and_its_status),
		cmocka_unit_test(a_stream_that_is_not_read_waits),
		cmocka_unit_test(a_stream_that_is_never_read_is_cut_off),
		cmocka_unit_test(a_stream_that_is_closed_early_cancels_its_handler),
		cmocka_unit_test(a_thousand_calls_at_a_time_are_all_answered),
		cmocka_unit_test(health_tells_who_serves),
		cmocka_unit_test(health_watch_tells_changes_and_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
