// SPDX-License-Identifier: Apache-2.0
/* The handshake of the NBD server: every option, with what is right and what is wrong about it. */
#include "nbd_peer.h"

#include <stdlib.h>

static const char *const two[] = { "ram=malloc:///a?size_mb=1", "other=null:///b?size_mb=2", NULL };
static const struct nbd_opts defaults;

static void still_in_step(struct peer *peer)
{
	peer_option(peer, NBD_OPT_LIST, NULL, 0);
	assert_int_equal(peer_replies(peer), NBD_REP_ACK);
}

RIG_TEST(flags_that_were_not_offered_end_it)
{
	static const uint8_t flags[] = { 0, 0, 0, 4 };
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, two);
	struct peer peer = peer_connect(&bench);
	peer_send(&peer, flags, sizeof(flags));
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_PROTOCOL, 1);
	bench_stop(&bench);
}

RIG_TEST(options_of_any_type_and_length_are_answered_in_step)
{
	struct bench bench;
	struct prng prng;
	uint8_t data[4200];

	prng_init(&prng, 1, 1);
	bench_start(f, rig, &bench, &defaults, two);
	for (uint32_t type = 0; type < 14; type++) {
		struct peer peer = peer_open(&bench);

		if (type == NBD_OPT_EXPORT_NAME || type == NBD_OPT_ABORT) {
			peer_close(&peer);
			continue;
		}
		for (unsigned i = 0; i < 100; i++) {
			uint32_t len = (uint32_t)prng_below(&prng, i % 10 ? 40 : sizeof(data));
			bool small = prng_below(&prng, 2);

			for (uint32_t k = 0; k < len; k++) /* small numbers come further */
				data[k] = (uint8_t)prng_below(&prng, small ? 3 : 256);
			peer_option(&peer, type, data, len);
			uint32_t answer = peer_replies(&peer);
			if (answer == NBD_REP_ACK && type == NBD_OPT_GO)
				break;
			if (type == 0 || type > NBD_OPT_SET_META_CONTEXT || type == 4)
				assert_int_equal(answer, NBD_REP_ERR_UNSUP);
			if (i % 10 == 9)
				still_in_step(&peer);
		}
		peer_close(&peer);
	}
	bench_stop(&bench);
}

RIG_TEST(what_is_no_option_ends_it)
{
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, two);
	struct peer peer = peer_open(&bench);
	peer_send(&peer, "IHAVEOPS\0\0\0\3\0\0\0\0", 16);
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_PROTOCOL, 1);
	bench_stop(&bench);
}

RIG_TEST(long_options_are_skipped_longer_ones_end_it)
{
	uint8_t *data = calloc(1, NBD_OPTION_SKIP_MAX);
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, two);
	struct peer peer = peer_open(&bench);
	peer_option(&peer, NBD_OPT_INFO, data, 9000); /* more than we keep */
	assert_int_equal(peer_replies(&peer), NBD_REP_ERR_TOO_BIG);
	peer_option(&peer, NBD_OPT_INFO, data, NBD_OPTION_DATA_MAX + 1);
	assert_int_equal(peer_replies(&peer), NBD_REP_ERR_TOO_BIG);
	peer_option(&peer, 77, data, NBD_OPTION_SKIP_MAX);
	assert_int_equal(peer_replies(&peer), NBD_REP_ERR_UNSUP);
	still_in_step(&peer);
	peer_option(&peer, 77, NULL, NBD_OPTION_SKIP_MAX + 1);
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_LIMIT, 1);
	bench_stop(&bench);
	free(data);
}

RIG_TEST(too_many_options_end_it)
{
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, two);
	struct peer peer = peer_open(&bench);
	for (unsigned i = 0; i < NBD_OPTIONS_MAX; i++)
		still_in_step(&peer);
	peer_option(&peer, NBD_OPT_LIST, NULL, 0);
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_LIMIT, 1);
	bench_stop(&bench);
}

RIG_TEST(names_have_limits)
{
	char name[NBD_NAME_MAX + 2];
	struct bench bench;

	memset(name, 'x', sizeof(name));
	bench_start(f, rig, &bench, &defaults, two);
	name[NBD_SHARE_NAME_MAX + 1] = '\0';
	assert_int_equal(nbd_server_add(f, bench.server,
					&(struct nbd_share_args){ .name = name,
								  .uri = "null:///c?size_mb=1" }),
			 -ENAMETOOLONG);
	fiber_clear(f);
	name[NBD_SHARE_NAME_MAX] = '\0';
	assert_int_equal(nbd_server_add(f, bench.server,
					&(struct nbd_share_args){ .name = name,
								  .uri = "null:///c?size_mb=1" }),
			 0);
	assert_int_equal(nbd_server_add(f, bench.server,
					&(struct nbd_share_args){ .name = "bad\n",
								  .uri = "null:///d?size_mb=1" }),
			 -EINVAL);
	fiber_clear(f);
	assert_int_equal(nbd_server_add(f, bench.server,
					&(struct nbd_share_args){ .name = "\xc3(",
								  .uri = "null:///d?size_mb=1" }),
			 -EINVAL);
	fiber_clear(f);
	struct peer peer = peer_open(&bench);
	assert_int_equal(peer_go_option(&peer, NBD_OPT_INFO, name, 15), NBD_REP_ACK);
	name[NBD_SHARE_NAME_MAX] = name[NBD_SHARE_NAME_MAX + 1] = 'x';
	name[NBD_NAME_MAX] = '\0';
	assert_int_equal(peer_go_option(&peer, NBD_OPT_INFO, name, 15), NBD_REP_ERR_UNKNOWN);
	name[NBD_NAME_MAX] = 'x';
	name[NBD_NAME_MAX + 1] = '\0';
	assert_int_equal(peer_go_option(&peer, NBD_OPT_INFO, name, 15), NBD_REP_ERR_TOO_BIG);
	assert_int_equal(peer_go_option(&peer, NBD_OPT_GO, "", 15), NBD_REP_ACK);
	peer_close(&peer);
	bench_stop(&bench);
}

RIG_TEST(as_many_shares_as_there_may_be_are_listed)
{
	static const char *const none[] = { NULL };
	char name[NBD_SHARE_NAME_MAX + 1], uri[64], words[NBD_DESCRIPTION_MAX + 1];
	struct bench bench;
	uint8_t *data = malloc(NBD_REPLY_DATA_MAX);
	struct nbd_reply reply;
	unsigned told = 0;

	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	bench_start(f, rig, &bench, &defaults, none);
	for (unsigned i = 0; i <= NBD_SHARES_MAX; i++) {
		snprintf(name, sizeof(name), "%0200u", i);
		snprintf(uri, sizeof(uri), "null:///n%u?size_mb=1", i);
		const struct nbd_share_args args = { .name = name,
						     .uri = uri,
						     .description = words };
		int r = nbd_server_add(f, bench.server, &args);
		assert_int_equal(r, i < NBD_SHARES_MAX ? 0 : -ENOSPC);
	}
	fiber_clear(f);
	struct peer peer = peer_open(&bench);
	peer_option(&peer, NBD_OPT_LIST, NULL, 0);
	while ((reply = peer_reply(&peer, data)).type == NBD_REP_SERVER) {
		struct nbd_text text, description;

		assert_int_equal(nbd_server_decode(data, reply.length, &text, &description), 0);
		snprintf(name, sizeof(name), "%0200u", told++);
		assert_int_equal(text.length, 200);
		assert_memory_equal(text.text, name, 200);
		assert_int_equal(description.length, NBD_DESCRIPTION_MAX);
	}
	assert_int_equal(reply.type, NBD_REP_ACK);
	assert_int_equal(told, NBD_SHARES_MAX);
	peer_close(&peer);
	bench_stop(&bench);
	free(data);
}

RIG_TEST(contexts_need_structured_replies_and_a_share)
{
	struct bench bench;
	uint8_t byte[512];

	bench_start(f, rig, &bench, &defaults, two);
	struct peer peer = peer_open(&bench);
	const uint32_t set = NBD_OPT_SET_META_CONTEXT, list = NBD_OPT_LIST_META_CONTEXT;
	assert_int_equal(peer_meta_option(&peer, set, "ram", "base:allocation"),
			 NBD_REP_ERR_INVALID);
	peer_option(&peer, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	assert_int_equal(peer_replies(&peer), NBD_REP_ACK);
	assert_int_equal(peer_meta_option(&peer, set, "nobody", "base:allocation"),
			 NBD_REP_ERR_UNKNOWN);
	assert_int_equal(peer_meta_option(&peer, list, "ram", NULL), NBD_REP_ACK);
	assert_int_equal(peer_meta_option(&peer, list, "ram", "base:"), NBD_REP_ACK);
	assert_int_equal(peer_meta_option(&peer, set, "ram", "base:allocation"), NBD_REP_ACK);
	/* It was for the other one. */
	assert_int_equal(peer_go_option(&peer, NBD_OPT_GO, "other", 0), NBD_REP_ACK);
	peer.structured = true;
	assert_int_equal(peer_do(&peer, NBD_CMD_BLOCK_STATUS, 0, 0, 512, NULL), NBD_EINVAL);
	assert_int_equal(peer_do(&peer, NBD_CMD_READ, 0, 0, 512, byte), NBD_OK);
	peer_close(&peer);

	/* Set, then set to nothing. */
	peer = peer_open(&bench);
	peer_option(&peer, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	assert_int_equal(peer_replies(&peer), NBD_REP_ACK);
	assert_int_equal(peer_meta_option(&peer, set, "ram", "base:allocation"), NBD_REP_ACK);
	assert_int_equal(peer_meta_option(&peer, set, "ram", "qemu:dirty"), NBD_REP_ACK);
	assert_int_equal(peer_go_option(&peer, NBD_OPT_GO, "ram", 0), NBD_REP_ACK);
	peer.structured = true;
	assert_int_equal(peer_do(&peer, NBD_CMD_BLOCK_STATUS, 0, 0, 512, NULL), NBD_EINVAL);
	peer_close(&peer);
	bench_stop(&bench);
}

/* GO with everything before it, cut anywhere. */
static size_t whole_handshake(uint8_t *to)
{
	static const uint8_t flags[] = { 0, 0, 0, 3 };
	const struct nbd_option options[] = { { NBD_OPT_STRUCTURED_REPLY, 0 },
					      { NBD_OPT_LIST, 0 },
					      { NBD_OPT_STARTTLS, 0 },
					      { NBD_OPT_GO, 9 } };
	size_t at = sizeof(flags);

	memcpy(to, flags, at);
	for (unsigned i = 0; i < ARRAY_LEN(options); i++, at += NBD_OPTION_BYTES)
		nbd_option_encode(&options[i], to + at);
	memcpy(to + at, "\0\0\0\3ram\0\0", 9);
	at += 9;
	const struct nbd_request ask = { 0, NBD_CMD_READ, 5, 0, 512 };
	nbd_request_encode(&ask, to + at);
	return at + NBD_REQUEST_BYTES;
}

RIG_TEST(a_handshake_may_come_at_once_or_byte_by_byte)
{
	uint8_t bytes[256], greeting[NBD_GREETING_BYTES], data[512];
	const struct nbd_request ask = { 0, NBD_CMD_READ, 5, 0, 512 };
	size_t len = whole_handshake(bytes);
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, two);
	for (size_t piece = 1; piece <= len; piece += piece < 40 ? 13 : len) {
		struct peer peer = peer_connect(&bench);

		for (size_t at = 0; at < len; at += piece)
			peer_send(&peer, bytes + at, min_size(piece, len - at));
		peer_recv(&peer, greeting, sizeof(greeting));
		assert_int_equal(peer_replies(&peer), NBD_REP_ACK);
		assert_int_equal(peer_replies(&peer), NBD_REP_ACK);
		assert_int_equal(peer_replies(&peer), NBD_REP_ERR_UNSUP);
		assert_int_equal(peer_replies(&peer), NBD_REP_ACK);
		peer.structured = true;
		assert_int_equal(peer_answer(&peer, 5, &ask, data, NULL), NBD_OK);
		peer_close(&peer);
	}
	bench_stop(&bench);
}

RIG_TEST(export_name_answers_with_or_without_zeroes_or_not_at_all)
{
	uint8_t told[NBD_EXPORT_BYTES + NBD_EXPORT_ZEROES], flags[4] = { 0 };
	struct nbd_export export;
	struct bench bench;
	uint8_t data[512];

	bench_start(f, rig, &bench, &defaults, two);
	for (uint8_t no_zeroes = 0; no_zeroes <= NBD_NO_ZEROES; no_zeroes += NBD_NO_ZEROES) {
		struct peer peer = peer_connect(&bench);

		peer_recv(&peer, told, NBD_GREETING_BYTES);
		flags[3] = NBD_FIXED_NEWSTYLE | no_zeroes;
		peer_send(&peer, flags, sizeof(flags));
		peer_option(&peer, NBD_OPT_EXPORT_NAME, "other", 5);
		peer_recv(&peer, told, NBD_EXPORT_BYTES + (no_zeroes ? 0 : NBD_EXPORT_ZEROES));
		assert_int_equal(nbd_export_decode(told, NBD_EXPORT_BYTES, &export), 0);
		assert_int_equal(export.size_bytes, 2 << 20);
		assert_int_equal(peer_do(&peer, NBD_CMD_READ, 0, 0, 512, data), NBD_OK);
		peer_close(&peer);
	}
	struct peer peer = peer_open(&bench);
	peer_option(&peer, NBD_OPT_EXPORT_NAME, "nobody", 6);
	peer_expect_end(&peer);
	peer = peer_open(&bench);
	peer_option(&peer, NBD_OPT_EXPORT_NAME, NULL, NBD_NAME_MAX + 1);
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_UNKNOWN, 1);
	assert_int_equal(bench_stats(&bench).dropped[NBD_DROP_LIMIT], 1);
	bench_stop(&bench);
}

RIG_TEST(abort_is_acknowledged)
{
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, two);
	struct peer peer = peer_open(&bench);
	peer_option(&peer, NBD_OPT_ABORT, "whatever", 8);
	assert_int_equal(peer_replies(&peer), NBD_REP_ACK);
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_BYE, 1);
	bench_stop(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_that_were_not_offered_end_it),
		cmocka_unit_test(options_of_any_type_and_length_are_answered_in_step),
		cmocka_unit_test(what_is_no_option_ends_it),
		cmocka_unit_test(long_options_are_skipped_longer_ones_end_it),
		cmocka_unit_test(too_many_options_end_it),
		cmocka_unit_test(names_have_limits),
		cmocka_unit_test(as_many_shares_as_there_may_be_are_listed),
		cmocka_unit_test(contexts_need_structured_replies_and_a_share),
		cmocka_unit_test(a_handshake_may_come_at_once_or_byte_by_byte),
		cmocka_unit_test(export_name_answers_with_or_without_zeroes_or_not_at_all),
		cmocka_unit_test(abort_is_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
