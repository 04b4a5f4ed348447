// SPDX-License-Identifier: Apache-2.0
/* What clients send that no decent client sends, and what some decent ones do. */
#include <string.h>

#include "base/mem.h"
#include "raw.h"

#define PAIRS(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum { H2_PROTOCOL = 1, H2_REFUSED = 7, H2_CALM = 11 };

static void answered(const struct raw_stream *s, int grpc, const char *words)
{
	assert_int_equal(s->http, 200);
	assert_int_equal(s->grpc, grpc);
	assert_true(s->ended);
	if (words && !strstr(s->words, words))
		fail_msg("'%s' does not tell '%s'", s->words, words);
}

/* Go's clients on Unix sockets say paths, or nothing (HD2). */
WORLD_TEST(any_authority_is_served)
{
	static const char *const forms[] = {
		"localhost",	     "",     "/csi/csi.sock", "(none)",
		"%2Fcsi%2Fcsi.sock", "[::]", "a b",	      "unix:/x"
	};
	struct raw *raw = raw_open(f, w);

	for (unsigned i = 0; i < ARRAY_LEN(forms); i++)
		answered(raw_same(raw, 2 * i + 1, PAIRS(":authority", forms[i])), 0, NULL);
	raw_free(raw);
}

WORLD_TEST(what_is_no_grpc_is_answered_in_http)
{
	struct raw *raw = raw_open(f, w);

	assert_int_equal(raw_same(raw, 1, PAIRS(":method", "GET"))->http, 405);
	assert_int_equal(raw_same(raw, 3, PAIRS("content-type", "text/html"))->http, 415);
	assert_int_equal(raw_same(raw, 5, PAIRS("content-type", "(none)"))->http, 415);
	assert_int_equal(raw_same(raw, 7, PAIRS("content-type", "application/grpc-web"))->http,
			 415);
	assert_int_equal(raw_stream(raw, 1)->grpc, -1);
	answered(raw_same(raw, 9, PAIRS("content-type", "application/grpc+proto")), 0, NULL);
	answered(raw_same(raw, 11, PAIRS("content-type", "application/grpc;x=y")), 0, NULL);
	answered(raw_same(raw, 13, PAIRS("te", "(none)")), RPC_INTERNAL, "te is not trailers");
	answered(raw_same(raw, 15, PAIRS(":path", "raw.Raw/Same")), RPC_UNIMPLEMENTED, "the path");
	raw_free(raw);
}

static void reset(struct raw *raw, uint32_t stream, const char *const *pairs)
{
	raw_head(raw, RAW_END_STREAM, stream, pairs);
	raw_wait(raw, 50);
	assert_int_equal(raw_stream(raw, stream)->reset, H2_PROTOCOL);
	assert_int_equal(raw_stream(raw, stream)->http, -1);
}

#define DECENT ":method", "POST", ":scheme", "http", ":path", "/raw.Raw/Same"

WORLD_TEST(what_is_no_http2_request_is_reset)
{
	struct raw *raw = raw_open(f, w);

	reset(raw, 1, PAIRS(":method", "POST", ":scheme", "http"));
	reset(raw, 3, PAIRS(DECENT, ":path", "/twice"));
	reset(raw, 5, PAIRS(DECENT, ":status", "200"));
	reset(raw, 7, PAIRS(":method", "POST", "te", "trailers", ":scheme", "http", ":path", "/x"));
	reset(raw, 9, PAIRS(DECENT, "Upper", "x"));
	reset(raw, 11, PAIRS(DECENT, "connection", "close"));
	reset(raw, 13, PAIRS(DECENT, "transfer-encoding", "chunked"));
	reset(raw, 15, PAIRS(DECENT, "x", "line\nbreak"));
	reset(raw, 17, PAIRS(DECENT, "", "nameless"));
	answered(raw_same(raw, 19, NULL), 0, NULL); /* the connection is none the worse */
	raw_free(raw);
}

WORLD_TEST(compressed_messages_are_unimplemented_and_identity_is_offered)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, 0, 1, "/raw.Raw/Same", PAIRS("grpc-encoding", "gzip"));
	raw_message(raw, RAW_END_STREAM, 1, 1, "zzzz", 4);
	raw_wait(raw, 50);
	answered(raw_stream(raw, 1), RPC_UNIMPLEMENTED, "compressed");
	assert_string_equal(raw_stream(raw, 1)->encoding, "identity");
	raw_ask(raw, 0, 3, "/raw.Raw/Same", NULL);
	raw_message(raw, RAW_END_STREAM, 3, 1, "zzzz", 4);
	raw_wait(raw, 50);
	answered(raw_stream(raw, 3), RPC_INTERNAL, "grpc-encoding names no way");
	/* may be compressed, but is not */
	answered(raw_same(raw, 5, PAIRS("grpc-encoding", "gzip")), 0, NULL);
	raw_free(raw);
}

WORLD_TEST(a_request_is_one_whole_message)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, RAW_END_STREAM, 1, "/raw.Raw/Same", NULL);
	raw_ask(raw, 0, 3, "/raw.Raw/Same", NULL);
	raw_frame(raw, RAW_DATA, RAW_END_STREAM, 3, "\0\0\0\0\5ab", 7);
	raw_ask(raw, 0, 5, "/raw.Raw/Same", NULL);
	raw_message(raw, 0, 5, 0, "one", 3);
	raw_message(raw, RAW_END_STREAM, 5, 0, "two", 3);
	raw_ask(raw, 0, 7, "/raw.Raw/Same", NULL);
	raw_frame(raw, RAW_DATA, RAW_END_STREAM, 7, "\7\0\0\0\1a", 6);
	raw_wait(raw, 100);
	answered(raw_stream(raw, 1), RPC_INTERNAL, "without a whole message");
	answered(raw_stream(raw, 3), RPC_INTERNAL, "without a whole message");
	answered(raw_stream(raw, 5), RPC_UNIMPLEMENTED, "more than one message");
	answered(raw_stream(raw, 7), RPC_INTERNAL, "no gRPC message");
	raw_free(raw);
}

/* SA2: a client that goes on sending is told that nobody wants it. */
WORLD_TEST(an_early_answer_stops_the_request)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, 0, 1, "/nobody/here", NULL);
	raw_wait(raw, 50);
	answered(raw_stream(raw, 1), RPC_UNIMPLEMENTED, NULL);
	assert_int_equal(raw_stream(raw, 1)->reset, 0); /* NO_ERROR */
	raw_free(raw);
}

WORLD_TEST(trailers_of_a_request_are_read_over)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, 0, 1, "/raw.Raw/Same", NULL);
	raw_message(raw, 0, 1, 0, "same", 4);
	raw_head(raw, RAW_END_STREAM, 1, PAIRS("x-late", "1"));
	raw_wait(raw, 50);
	answered(raw_stream(raw, 1), 0, NULL);
	raw_free(raw);
}

WORLD_TEST(a_deadline_is_kept_by_the_server_itself)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, 0, 1, "/test.Echo/Say", PAIRS("grpc-timeout", "200m"));
	raw_message(raw, RAW_END_STREAM, 1, 0, "\x0a\x01x\x20\xff\x7f", 6); /* sleeps 16 s */
	raw_wait(raw, 150);
	assert_int_equal(raw_stream(raw, 1)->grpc, -1);
	assert_int_equal(w->echo.running, 1);
	raw_wait(raw, 100);
	answered(raw_stream(raw, 1), RPC_DEADLINE_EXCEEDED, "deadline");
	assert_int_equal(w->echo.running, 0);
	answered(raw_same(raw, 3, PAIRS("grpc-timeout", "soon")), RPC_INVALID_ARGUMENT,
		 "grpc-timeout");
	answered(raw_same(raw, 5, PAIRS("grpc-timeout", "123456789S")), RPC_INVALID_ARGUMENT, NULL);
	answered(raw_same(raw, 7, PAIRS("grpc-timeout", "99999999H")), 0, NULL);
	raw_free(raw);
}

WORLD_TEST(a_reset_cancels_the_handler)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, 0, 1, "/test.Echo/Say", NULL);
	raw_message(raw, RAW_END_STREAM, 1, 0, "\x0a\x01x\x20\xff\x7f", 6);
	raw_wait(raw, 50);
	assert_int_equal(w->echo.running, 1);
	raw_frame(raw, RAW_RST, 0, 1, "\0\0\0\x08", 4);
	raw_wait(raw, 50);
	assert_int_equal(w->echo.running, 0);
	assert_int_equal(w->echo.cancelled, 1);
	raw_free(raw);
}

WORLD_TEST(a_client_that_goes_away_cancels_its_handlers)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, 0, 1, "/test.Echo/Say", NULL);
	raw_message(raw, RAW_END_STREAM, 1, 0, "\x0a\x01x\x20\xff\x7f", 6);
	raw_wait(raw, 50);
	assert_int_equal(w->echo.running, 1);
	raw_free(raw);
	assert_int_equal(fiber_sleep(f, 50 * SIM_MS), 0);
	assert_int_equal(w->echo.running, 0);
}

/* ---- limits ------------------------------------------------------------------------------------------ */

static char *long_text(struct fiber *f, size_t len)
{
	char *text = mem_new(fiber_io(f), len + 1);

	memset(text, 'x', len);
	return text;
}

WORLD_TEST_WITH(headers_beyond_the_limit_are_refused, .header_bytes_max = 2000)
{
	struct raw *raw = raw_open(f, w);
	char *text = long_text(f, 1500), *longer = long_text(f, 1800);

	answered(raw_same(raw, 1, PAIRS("x-long", text)), 0, NULL);
	answered(raw_same(raw, 3, PAIRS("x-long", longer)), RPC_RESOURCE_EXHAUSTED,
		 "more than 2000 bytes");
	answered(raw_same(raw, 5, NULL), 0, NULL);
	mem_free(text);
	mem_free(longer);
	raw_free(raw);
}

WORLD_TEST_WITH(headers_far_beyond_the_limit_end_the_connection, .header_bytes_max = 2000)
{
	struct raw *raw = raw_open(f, w);
	char *text = long_text(f, 9000);

	raw_same(raw, 1, PAIRS("x-long", text));
	assert_int_equal(raw->goaway, H2_CALM);
	assert_true(raw->closed);
	mem_free(text);
	raw_free(raw);
}

WORLD_TEST_WITH(streams_beyond_the_limit_are_refused, .streams_max = 3)
{
	struct raw *raw = raw_open(f, w);

	raw_wait(raw, 20);
	raw_frame(raw, RAW_SETTINGS, RAW_ACK, 0, NULL, 0); /* it knows now */
	for (uint32_t id = 1; id <= 9; id += 2)
		raw_ask(raw, 0, id, "/raw.Raw/Same", NULL);
	raw_wait(raw, 50);
	/* REFUSED, or the whole connection for a client that was told the limit */
	assert_true(raw_stream(raw, 7)->reset == H2_REFUSED || raw->goaway >= 0);
	raw_free(raw);
}

WORLD_TEST(rapid_resets_end_the_connection)
{
	struct raw *raw = raw_open(f, w);
	unsigned count = 0;

	for (uint32_t id = 1; id < 2000 && !raw->closed; id += 2, count++) {
		raw_ask(raw, 0, id, "/test.Echo/Say", NULL);
		raw_message(raw, RAW_END_STREAM, id, 0, "\x0a\x01x\x20\xff\x7f", 6);
		raw_frame(raw, RAW_RST, 0, id, "\0\0\0\x08", 4);
	}
	raw_wait(raw, 50);
	assert_true(raw->closed);
	assert_int_equal(raw->goaway, H2_CALM);
	assert_in_range(count, 400, 900);
	raw_free(raw);
	assert_int_equal(w->echo.running, 0);
}

static void flood(struct fiber *f, struct world *w, unsigned type, const void *payload, size_t len,
		  uint32_t stream, unsigned most)
{
	struct raw *raw = raw_open(f, w);
	unsigned count = 0;

	if (stream)
		raw_ask(raw, 0, stream, "/raw.Raw/Same", NULL);
	while (count < 3000 && !raw->closed) {
		raw_frame(raw, type, 0, stream, payload, len);
		if (++count % 20 == 0)
			raw_wait(raw, 1);
	}
	raw_wait(raw, 50);
	assert_true(raw->closed);
	assert_int_equal(raw->goaway, H2_CALM);
	assert_true(count <= most);
	raw_free(raw);
}

WORLD_TEST(floods_of_what_costs_only_us_end_the_connection)
{
	flood(f, w, RAW_PING, "12345678", 8, 0, 60);
	flood(f, w, RAW_SETTINGS, NULL, 0, 0, 700);
	flood(f, w, RAW_DATA, NULL, 0, 1, 700);
}

WORLD_TEST(decent_pings_are_answered)
{
	struct raw *raw = raw_open(f, w);

	for (unsigned i = 0; i < 200; i++) {
		raw_frame(raw, RAW_PING, 0, 0, "12345678", 8);
		raw_wait(raw, 1100);
	}
	assert_false(raw->closed);
	assert_true(raw->pings >= 200);
	raw_free(raw);
}

/* H4: answers that are not read are not made without end. */
WORLD_TEST(a_client_that_does_not_read_is_dropped)
{
	struct raw *raw = raw_open(f, w);
	struct rpc_server_stats stats;

	io_recv_stop(raw->sock);
	raw_frame(raw, RAW_SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff",
		  6); /* windows as large as can be */
	raw_frame(raw, RAW_WINDOW, 0, 0, "\x7f\0\0\0", 4);
	for (uint32_t id = 1; id < 200; id += 2) {
		raw_ask(raw, 0, id, "/test.Echo/Say", NULL);
		raw_message(raw, RAW_END_STREAM, id, 0, "\x0a\x01x\x10\xa0\x8d\x06",
			    7); /* 100000 bytes */
	}
	raw_wait(raw, 1000);
	rpc_server_stats(w->server, &stats);
	assert_true(stats.memory_bytes > 0 && stats.memory_bytes <= RPC_CONN_MEMORY_DEFAULT);
	raw_wait(raw, 130000);
	rpc_server_stats(w->server, &stats);
	assert_int_equal(stats.memory_bytes, 0);
	assert_int_equal(stats.conns_now, 0);
	raw_free(raw);
}

WORLD_TEST_WITH(who_does_not_begin_is_dropped, .shake_ns = 3 * SIM_S)
{
	struct raw *silent = raw_new(f, w), *half = raw_new(f, w), *rubbish = raw_new(f, w);
	struct raw *early = raw_new(f, w);

	raw_send(half, "PRI * HTTP/2.0\r\n", 16);
	raw_send(rubbish, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
	raw_send(early, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	raw_frame(early, RAW_PING, 0, 0, "12345678", 8); /* before SETTINGS */
	raw_wait(rubbish, 100);
	assert_true(rubbish->closed);
	assert_true(early->closed);
	assert_false(silent->closed || half->closed);
	raw_wait(silent, 3000);
	assert_true(silent->closed && half->closed);
	raw_free(silent);
	raw_free(half);
	raw_free(rubbish);
	raw_free(early);
}

WORLD_TEST_WITH(a_request_that_does_not_end_is_ended, .request_ns = 3 * SIM_S)
{
	struct raw *raw = raw_open(f, w);

	raw_ask(raw, 0, 1, "/raw.Raw/Same", NULL);
	raw_frame(raw, RAW_DATA, 0, 1, "\0\0\0\1\0abc", 8);
	raw_wait(raw, 3100);
	answered(raw_stream(raw, 1), RPC_DEADLINE_EXCEEDED, "too long to arrive");
	raw_free(raw);
}

/* UF1: a length that is only told costs nothing; bytes that come are bounded for all together. */
WORLD_TEST_WITH(requests_share_the_memory_of_their_connection, .conn_memory_bytes = 100000)
{
	struct raw *raw = raw_open(f, w);
	static uint8_t bytes[15000] = { 0, 0, 1, 0, 0 }; /* of 65536 */
	struct rpc_server_stats stats;
	unsigned refused = 0;

	for (uint32_t id = 1; id <= 19; id += 2) {
		raw_ask(raw, 0, id, "/raw.Raw/Same", NULL);
		raw_frame(raw, RAW_DATA, 0, id, bytes, sizeof(bytes));
	}
	raw_wait(raw, 100);
	for (uint32_t id = 1; id <= 19; id += 2)
		refused += raw_stream(raw, id)->grpc == RPC_RESOURCE_EXHAUSTED;
	assert_in_range(refused, 3, 5);
	rpc_server_stats(w->server, &stats);
	assert_true(stats.memory_bytes <= 100000);
	raw_free(raw);
	assert_int_equal(fiber_sleep(f, 50 * SIM_MS), 0);
	rpc_server_stats(w->server, &stats);
	assert_int_equal(stats.memory_bytes, 0);
}

/* The two steps of goodbye, as a client sees them. */
WORLD_TEST(goaway_comes_in_two_steps)
{
	struct raw *raw = raw_open(f, w);

	answered(raw_same(raw, 1, NULL), 0, NULL);
	raw_ask(raw, 0, 3, "/raw.Raw/Same", NULL); /* in flight: its message is not here yet */
	raw_wait(raw, 50);
	w->stop = true;
	raw_wait(raw, 100);
	assert_int_equal(raw->goaways, 1);
	assert_int_equal(raw->goaway_last, 0x7fffffff);
	raw_ask(raw, 0, 5, "/raw.Raw/Same", NULL); /* it was on its way */
	raw_message(raw, RAW_END_STREAM, 5, 0, "same", 4);
	raw_wait(raw, 1500); /* the PING is not answered: a second is waited for */
	answered(raw_stream(raw, 5), 0, NULL);
	assert_int_equal(raw->goaways, 2);
	raw_ask(raw, 0, 7, "/raw.Raw/Same", NULL);
	raw_message(raw, RAW_END_STREAM, 3, 0, "same", 4);
	raw_wait(raw, 100);
	answered(raw_stream(raw, 3), 0, NULL);
	assert_int_equal(raw_stream(raw, 7)->http, -1);
	assert_true(raw->closed);
	raw_free(raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_authority_is_served),
		cmocka_unit_test(what_is_no_grpc_is_answered_in_http),
		cmocka_unit_test(what_is_no_http2_request_is_reset),
		cmocka_unit_test(compressed_messages_are_unimplemented_and_identity_is_offered),
		cmocka_unit_test(a_request_is_one_whole_message),
		cmocka_unit_test(an_early_answer_stops_the_request),
		cmocka_unit_test(trailers_of_a_request_are_read_over),
		cmocka_unit_test(a_deadline_is_kept_by_the_server_itself),
		cmocka_unit_test(a_reset_cancels_the_handler),
		cmocka_unit_test(a_client_that_goes_away_cancels_its_handlers),
		cmocka_unit_test(headers_beyond_the_limit_are_refused),
		cmocka_unit_test(headers_far_beyond_the_limit_end_the_connection),
		cmocka_unit_test(streams_beyond_the_limit_are_refused),
		cmocka_unit_test(rapid_resets_end_the_connection),
		cmocka_unit_test(floods_of_what_costs_only_us_end_the_connection),
		cmocka_unit_test(decent_pings_are_answered),
		cmocka_unit_test(a_client_that_does_not_read_is_dropped),
		cmocka_unit_test(who_does_not_begin_is_dropped),
		cmocka_unit_test(a_request_that_does_not_end_is_ended),
		cmocka_unit_test(requests_share_the_memory_of_their_connection),
		cmocka_unit_test(goaway_comes_in_two_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
