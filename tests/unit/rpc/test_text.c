// SPDX-License-Identifier: Apache-2.0
/* Statuses, percent encoding, UTF-8, time-outs, rates, messages out of bytes, arenas. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "base/mem.h"
#include "rpc/arena_priv.h"
#include "rpc/code_priv.h"
#include "rpc/rate_priv.h"
#include "rpc/text_priv.h"
#include "rpc/unframe_priv.h"

static void every_code_comes_back_from_its_errno(void **state)
{
	for (unsigned code = 0; code < RPC_CODES; code++) {
		int error = rpc_errno_of_code((enum rpc_code)code);

		if (code == RPC_UNKNOWN)
			assert_int_equal(error, -EIO);
		else
			assert_int_equal(rpc_code_of_errno(error), code);
		assert_true(error <= 0);
		assert_string_not_equal(rpc_code_name((enum rpc_code)code), "");
	}
	assert_string_equal(rpc_code_name((enum rpc_code)99), "UNKNOWN");
}

static void errno_says_what_the_table_says(void **state)
{
	static const struct {
		int error;
		enum rpc_code code;
	} rows[] = {
		{ 0, RPC_OK },
		{ -ENOENT, RPC_NOT_FOUND },
		{ -EEXIST, RPC_ALREADY_EXISTS },
		{ -EINVAL, RPC_INVALID_ARGUMENT },
		{ -ENOSPC, RPC_RESOURCE_EXHAUSTED },
		{ -EBUSY, RPC_FAILED_PRECONDITION },
		{ -EPERM, RPC_FAILED_PRECONDITION },
		{ -ENOTSUP, RPC_UNIMPLEMENTED },
		{ -ETIMEDOUT, RPC_DEADLINE_EXCEEDED },
		{ -ECANCELED, RPC_CANCELLED },
		{ -ECONNREFUSED, RPC_UNAVAILABLE },
		{ -EUCLEAN, RPC_DATA_LOSS },
		{ -EIO, RPC_INTERNAL },
		{ -EXDEV, RPC_INTERNAL },
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(rpc_code_of_errno(rows[i].error), rows[i].code);
}

static void http_and_resets_have_a_code(void **state)
{
	assert_int_equal(rpc_code_of_http(400), RPC_INTERNAL);
	assert_int_equal(rpc_code_of_http(401), RPC_UNAUTHENTICATED);
	assert_int_equal(rpc_code_of_http(403), RPC_PERMISSION_DENIED);
	assert_int_equal(rpc_code_of_http(404), RPC_UNIMPLEMENTED);
	assert_int_equal(rpc_code_of_http(503), RPC_UNAVAILABLE);
	assert_int_equal(rpc_code_of_http(418), RPC_UNKNOWN);
	assert_int_equal(rpc_code_of_reset(0x7), RPC_UNAVAILABLE);
	assert_int_equal(rpc_code_of_reset(0x8), RPC_CANCELLED);
	assert_int_equal(rpc_code_of_reset(0xb), RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(rpc_code_of_reset(0x1), RPC_INTERNAL);
}

static void utf8_is_told_from_what_looks_like_it(void **state)
{
	static const struct {
		const char *text;
		size_t good;
	} rows[] = {
		{ "plain", 5 },
		{ "\xc3\xbc", 2 },
		{ "\xe2\x82\xac", 3 },
		{ "\xf0\x9f\x98\x80", 4 },
		{ "a\xff", 1 },
		{ "\xc0\x80", 0 },	   /* a NUL in disguise */
		{ "\xe0\x80\x80", 0 },	   /* the same, longer */
		{ "\xed\xa0\x80", 0 },	   /* half a pair */
		{ "\xf4\x90\x80\x80", 0 }, /* beyond the last */
		{ "\xf0\x80\x80\x80", 0 },
		{ "a\xe2\x82", 1 }, /* cut */
		{ "\x80", 0 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(rpc_utf8_len(rows[i].text, strlen(rows[i].text)), rows[i].good);
}

static void a_message_survives_percent_encoding(void **state)
{
	static const char text[] = "100% of \xc3\xbc\n\"x\"";
	char wire[100], back[100];

	rpc_percent_encode(text, wire, sizeof(wire));
	assert_string_equal(wire, "100%25 of %C3%BC%0A\"x\"");
	rpc_percent_decode(wire, strlen(wire), back, sizeof(back));
	assert_string_equal(back, text);
	rpc_percent_encode("bad \xff byte", wire, sizeof(wire));
	assert_string_equal(wire, "bad ? byte");
	rpc_percent_decode("%zz%4", 5, back, sizeof(back));
	assert_string_equal(back, "%zz%4");
	rpc_percent_decode("a%00b%FFc", 9, back, sizeof(back));
	assert_string_equal(back, "a?b?c");
}

static void a_long_message_is_cut_between_characters(void **state)
{
	char wire[9], back[4];

	assert_int_equal(rpc_percent_encode("ab\xc3\xbc", wire, sizeof(wire)), 8);
	assert_string_equal(wire, "ab%C3%BC");
	assert_int_equal(rpc_percent_encode("abc\xc3\xbc", wire, sizeof(wire)), 3);
	assert_string_equal(wire, "abc");
	assert_int_equal(rpc_percent_decode("abcdef", 6, back, sizeof(back)), 3);
	assert_int_equal(rpc_percent_encode("x", wire, 1), 0);
}

static void timeouts_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "1n", 1 },
		{ "20u", 20000 },
		{ "300m", 300000000 },
		{ "5S", UINT64_C(5000000000) },
		{ "2M", UINT64_C(120000000000) },
		{ "1H", UINT64_C(3600000000000) },
		{ "99999999H", UINT64_MAX },
		{ "0m", 0 },
	};
	static const char *const bad[] = { "", "5", "S", "5s", "-5S", "123456789S", "5 S", "1.5S" };
	char text[RPC_TIMEOUT_TEXT];
	uint64_t ns;

	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(rpc_timeout_parse(good[i].text, strlen(good[i].text), &ns), 0);
		assert_true(ns == good[i].ns);
	}
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(rpc_timeout_parse(bad[i], strlen(bad[i]), &ns), -EINVAL);
	for (uint64_t want = 1; want < UINT64_MAX / 7; want *= 7) {
		rpc_timeout_print(want, text);
		assert_true(strlen(text) <= 9);
		assert_int_equal(rpc_timeout_parse(text, strlen(text), &ns), 0);
		assert_true(ns >= want && ns - want <= want / 10000);
	}
}

static void a_rate_lets_a_burst_through_and_then_one_each_period(void **state)
{
	struct rpc_rate rate;
	unsigned passed = 0;

	rpc_rate_init(&rate, 5, 100);
	for (unsigned i = 0; i < 20; i++)
		passed += rpc_rate_pass(&rate, 1000);
	assert_int_equal(passed, 5);
	assert_false(rpc_rate_pass(&rate, 1099));
	assert_true(rpc_rate_pass(&rate, 1100));
	assert_false(rpc_rate_pass(&rate, 1101));
	for (unsigned i = 0; i < 20; i++)
		passed += rpc_rate_pass(&rate, 100000);
	assert_int_equal(passed, 10);
}

/* ---- messages out of bytes -------------------------------------------------------------- */

static void messages_come_out_of_any_pieces(void **state)
{
	struct mem_heap heap;
	struct rpc_unframe u;
	uint8_t stream[3 * RPC_FRAME_HEAD + 3000];
	size_t len = 0;

	mem_heap_init(&heap);
	for (uint32_t want = 0; want <= 3000; want += 1500) {
		rpc_frame_head(stream + len, want);
		memset(stream + len + RPC_FRAME_HEAD, (int)want / 1500, want);
		len += RPC_FRAME_HEAD + want;
		if (want == 1500)
			break;
	}
	for (size_t piece = 1; piece < 40; piece++) {
		unsigned count = 0;
		size_t at = 0, taken;
		uint32_t got;

		rpc_unframe_init(&u, &heap.mem, 2000);
		while (at < len) {
			int r = rpc_unframe_take(&u, stream + at, min_size(piece, len - at),
						 &taken);

			assert_true(r >= 0 && taken > 0);
			at += taken;
			if (r == 1) {
				uint8_t *message = rpc_unframe_pop(&u, &got);

				assert_int_equal(got, count * 1500);
				assert_true(!got ||
					    (message[0] == count && message[got - 1] == count));
				mem_free(message);
				count++;
			}
		}
		assert_int_equal(count, 2);
		assert_true(rpc_unframe_is_empty(&u));
		rpc_unframe_fini(&u);
	}
	mem_heap_fini(&heap);
}

static void a_head_that_lies_is_refused_and_costs_nothing(void **state)
{
	const uint8_t zipped[] = { 1, 0, 0, 0, 1, 'x' }, odd[] = { 2, 0, 0, 0, 1, 'x' };
	const uint8_t large[] = { 0, 0, 0, 8, 0 }, allowed[] = { 0, 0, 0, 7, 0xff, 'x' };
	struct mem_heap heap;
	struct rpc_unframe u;
	size_t taken;

	mem_heap_init(&heap);
	rpc_unframe_init(&u, &heap.mem, 2047);
	assert_int_equal(rpc_unframe_take(&u, zipped, 6, &taken), -ENOTSUP);
	rpc_unframe_init(&u, &heap.mem, 2047);
	assert_int_equal(rpc_unframe_take(&u, odd, 6, &taken), -EBADMSG);
	rpc_unframe_init(&u, &heap.mem, 2047);
	assert_int_equal(rpc_unframe_take(&u, large, 5, &taken), -E2BIG);
	rpc_unframe_init(&u, &heap.mem, 2047);
	assert_int_equal(rpc_unframe_take(&u, allowed, 6, &taken), 0);
	assert_int_equal(u.room, UNFRAME_ROOM_MIN); /* UF1 */
	assert_false(rpc_unframe_is_empty(&u));
	rpc_unframe_fini(&u);
	mem_heap_fini(&heap);
}

static void the_nth_allocation_may_fail(void **state)
{
	struct mem_heap heap;
	struct rpc_unframe u;
	uint8_t bytes[RPC_FRAME_HEAD + 5000];
	size_t taken, at;
	int r;

	for (uint64_t n = 1; n < 10; n++) {
		mem_heap_init(&heap);
		heap.fail_at = n;
		rpc_frame_head(bytes, 5000);
		rpc_unframe_init(&u, &heap.mem, 5000);
		for (at = 0, r = 0; at < sizeof(bytes) && r == 0; at += taken)
			r = rpc_unframe_take(&u, bytes + at, min_size(700, sizeof(bytes) - at),
					     &taken);
		assert_int_equal(r, heap.failures ? -ENOMEM : 1);
		rpc_unframe_fini(&u);
		mem_heap_fini(&heap);
	}
}

/* ---- memory of a call --------------------------------------------------------------------- */

static void an_arena_ends_as_a_whole_and_has_a_bound(void **state)
{
	struct mem_heap heap;
	struct rpc_arena arena;
	unsigned count = 0;

	mem_heap_init(&heap);
	rpc_arena_init(&arena, &heap.mem, 100000);
	for (size_t size = 1; mem_alloc(&arena.mem, size); size = size * 3 % 5000 + 1)
		count++;
	assert_true(count > 10);
	assert_true(arena.bytes <= 100000); /* AR2 */
	assert_null(mem_alloc(&arena.mem, 100001));
	assert_null(mem_alloc(&arena.mem, SIZE_MAX - 100));
	rpc_arena_drop(&arena);
	assert_int_equal(arena.bytes, 0);
	mem_free(mem_alloc(&arena.mem, 10)); /* AR1 */
	rpc_arena_drop(&arena);
	mem_heap_fini(&heap);
}

static void bound_memory_is_given_back(void **state)
{
	struct mem_heap heap;
	struct rpc_bound bound;
	void *p;

	mem_heap_init(&heap);
	rpc_bound_init(&bound, &heap.mem, 1000);
	p = mem_alloc(&bound.mem, 900);
	assert_non_null(p);
	assert_null(mem_alloc(&bound.mem, 100));
	mem_free(p);
	assert_int_equal(bound.bytes, 0);
	p = mem_alloc(&bound.mem, 900);
	assert_non_null(p);
	mem_free(p);
	mem_heap_fini(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_comes_back_from_its_errno),
		cmocka_unit_test(errno_says_what_the_table_says),
		cmocka_unit_test(http_and_resets_have_a_code),
		cmocka_unit_test(utf8_is_told_from_what_looks_like_it),
		cmocka_unit_test(a_message_survives_percent_encoding),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(timeouts_are_read_and_written),
		cmocka_unit_test(a_rate_lets_a_burst_through_and_then_one_each_period),
		cmocka_unit_test(messages_come_out_of_any_pieces),
		cmocka_unit_test(a_head_that_lies_is_refused_and_costs_nothing),
		cmocka_unit_test(the_nth_allocation_may_fail),
		cmocka_unit_test(an_arena_ends_as_a_whole_and_has_a_bound),
		cmocka_unit_test(bound_memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
