// SPDX-License-Identifier: Apache-2.0
/* Transmission of the NBD server: commands right and wrong, data, holes, errors of the disk. */
#include "nbd_peer.h"

#include <stdlib.h>

#include "base/be.h"

#define MIB (1u << 20)

static const char *const ram[] = { "ram=malloc:///a?size_mb=8", NULL };
static const struct nbd_opts defaults;

/* ---- what is refused, and with what --------------------------------------------------- */

static const struct wrong {
	uint16_t type, flags;
	uint64_t offset;
	uint32_t length, error;
} wrongs[] = {
	{ NBD_CMD_READ, 0, 0, 0, NBD_EINVAL },
	{ NBD_CMD_READ, 0, 1, 512, NBD_EINVAL },
	{ NBD_CMD_READ, 0, 0, 511, NBD_EINVAL },
	{ NBD_CMD_READ, 0, 8 * MIB, 512, NBD_EINVAL },
	{ NBD_CMD_READ, 0, UINT64_MAX - 511, 512, NBD_EINVAL },
	{ NBD_CMD_READ, 0, 8 * MIB - 512, 1024, NBD_EINVAL },
	{ NBD_CMD_READ, 0, 0, NBD_PAYLOAD_MAX + 512, NBD_EINVAL },
	{ NBD_CMD_READ, NBD_CMD_REQ_ONE, 0, 512, NBD_EINVAL },
	{ NBD_CMD_READ, 0x8000, 0, 512, NBD_EINVAL },
	{ NBD_CMD_WRITE, 0, 8 * MIB, 512, NBD_ENOSPC },
	{ NBD_CMD_WRITE, 0, 8 * MIB - 512, 1024, NBD_ENOSPC },
	{ NBD_CMD_WRITE, 0, 5, 512, NBD_EINVAL },
	{ NBD_CMD_WRITE, 0, 0, 513, NBD_EINVAL },
	{ NBD_CMD_WRITE, NBD_CMD_DF, 0, 512, NBD_EINVAL },
	{ NBD_CMD_WRITE, NBD_CMD_PAYLOAD_LEN, 0, 512, NBD_EINVAL },
	{ NBD_CMD_WRITE, 0, 0, 0, NBD_EINVAL },
	{ NBD_CMD_FLUSH, 0, 512, 0, NBD_EINVAL },
	{ NBD_CMD_FLUSH, 0, 0, 512, NBD_EINVAL },
	{ NBD_CMD_FLUSH, NBD_CMD_NO_HOLE, 0, 0, NBD_EINVAL },
	{ NBD_CMD_TRIM, 0, 0, 0, NBD_EINVAL },
	{ NBD_CMD_TRIM, 0, 8 * MIB, 512, NBD_EINVAL },
	{ NBD_CMD_TRIM, NBD_CMD_FAST_ZERO, 0, 512, NBD_EINVAL },
	{ NBD_CMD_CACHE, 0, 8 * MIB, 512, NBD_EINVAL },
	{ NBD_CMD_WRITE_ZEROES, 0, 8 * MIB - 512, 1024, NBD_ENOSPC },
	{ NBD_CMD_WRITE_ZEROES, 0, 0, UINT32_MAX & ~511u, NBD_ENOSPC },
	{ NBD_CMD_WRITE_ZEROES, NBD_CMD_REQ_ONE, 0, 512, NBD_EINVAL },
	{ NBD_CMD_BLOCK_STATUS, 0, 0, 0, NBD_EINVAL },
	{ NBD_CMD_BLOCK_STATUS, 0, 8 * MIB, 512, NBD_EINVAL },
	{ NBD_CMD_BLOCK_STATUS, NBD_CMD_DF, 0, 512, NBD_EINVAL },
	{ NBD_CMD_RESIZE, 0, 0, 512, NBD_EINVAL },
	{ 9, 0, 0, 512, NBD_EINVAL },
	{ 0xffff, 0xffff, UINT64_MAX, UINT32_MAX, NBD_EINVAL },
};

static void wrongs_in_step(struct bench *bench, bool structured)
{
	struct peer peer = peer_go(bench, "ram", structured, structured);
	uint8_t *buf = calloc(1, 2048);

	for (unsigned i = 0; i < ARRAY_LEN(wrongs); i++) {
		const struct wrong *w = &wrongs[i];

		assert_int_equal(peer_do(&peer, w->type, w->flags, w->offset, w->length, buf),
				 w->error);
		assert_int_equal(peer_do(&peer, NBD_CMD_READ, 0, 0, 512, buf), NBD_OK);
	}
	free(buf);
	peer_close(&peer);
}

RIG_TEST(what_is_wrong_is_refused_and_the_next_is_done)
{
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, ram);
	wrongs_in_step(&bench, false);
	wrongs_in_step(&bench, true);
	bench_stop(&bench);
}

/* Any type, any flags: one answer each, by its cookie. */
RIG_TEST(each_command_with_each_flag_has_one_answer)
{
	struct bench bench;
	uint8_t *buf = calloc(1, 4096);

	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", true, true);
	for (uint16_t type = 0; type < 12; type++) {
		if (type == NBD_CMD_DISC)
			continue;
		for (unsigned bit = 0; bit < 16; bit++)
			for (uint32_t length = 0; length <= 1024; length += 512)
				(void)peer_do(&peer, type, (uint16_t)(1u << bit), 4096, length,
					      buf);
	}
	free(buf);
	peer_close(&peer);
	bench_stop(&bench);
}

RIG_TEST(too_long_payloads_are_read_and_refused_longer_ones_end_it)
{
	const uint32_t most = 64u << 20; /* what is read only to be refused */
	uint8_t *buf = calloc(1, most);
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", false, false);
	assert_int_equal(peer_do(&peer, NBD_CMD_WRITE, 0, 0, NBD_PAYLOAD_MAX + 512, buf),
			 NBD_EINVAL);
	assert_int_equal(peer_do(&peer, NBD_CMD_WRITE, 0, 0, most, buf), NBD_EINVAL);
	assert_int_equal(peer_do(&peer, NBD_CMD_WRITE, 0, 0, 8 * MIB, buf), NBD_OK);
	peer_request(&peer, NBD_CMD_WRITE, 0, 0, most + 512);
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_LIMIT, 1);
	bench_stop(&bench);
	free(buf);
}

RIG_TEST(what_is_no_request_ends_it)
{
	uint8_t junk[NBD_REQUEST_BYTES] = { 0x25, 0x60, 0x95, 0x14 };
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", false, false);
	peer_send(&peer, junk, sizeof(junk));
	peer_expect_end(&peer);
	bench_expect_drops(&bench, NBD_DROP_PROTOCOL, 1);
	bench_stop(&bench);
}

/* ---- data ---------------------------------------------------------------------------------- */

/* Random commands against an array of bytes, in one piece or in many. */
static void data_round(struct peer *peer, struct prng *prng, uint8_t *model, uint8_t *buf)
{
	static const uint32_t most[] = { 1, 8, 300, 4000 };
	uint32_t kind = (uint32_t)prng_below(prng, 6);
	uint64_t lba = prng_below(prng, 8 * MIB / 512);
	uint64_t top = min_u64(most[prng_below(prng, 4)], 8 * MIB / 512 - lba);
	uint32_t length = (uint32_t)(1 + prng_below(prng, top)) * 512;
	uint64_t at = lba * 512;
	uint16_t fua = prng_below(prng, 2) ? NBD_CMD_FUA : 0;

	if (kind < 2) {
		rig_fill(model + at, length, prng_u64(prng));
		assert_int_equal(peer_do(peer, NBD_CMD_WRITE, fua, at, length, model + at), NBD_OK);
	} else if (kind == 2) {
		memset(model + at, 0, length);
		assert_int_equal(peer_do(peer, NBD_CMD_WRITE_ZEROES, fua, at, length, NULL),
				 NBD_OK);
	} else if (kind == 3) {
		memset(model + at, 0, length); /* malloc:// reads trimmed blocks as zeros */
		assert_int_equal(peer_do(peer, NBD_CMD_TRIM, fua, at, length, NULL), NBD_OK);
	} else {
		memset(buf, 0xee, length);
		assert_int_equal(peer_do(peer, NBD_CMD_READ, 0, at, length, buf), NBD_OK);
		assert_memory_equal(buf, model + at, length);
	}
}

static void data_are_right(struct fiber *f, struct rig *rig, bool structured)
{
	uint8_t *model = calloc(1, 8 * MIB), *buf = malloc(8 * MIB);
	struct bench bench;
	struct prng prng;

	prng_init(&prng, structured, 2);
	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", structured, false);
	for (unsigned i = 0; i < 400; i++)
		data_round(&peer, &prng, model, buf);
	peer_close(&peer);
	bench_stop(&bench);
	free(model);
	free(buf);
}

#define PIECES 40u

/* Heads and payloads behind one another, so that many come whole and some are cut. */
RIG_TEST(writes_that_come_in_one_piece_are_right)
{
	uint8_t *model = calloc(1, MIB), *bytes = malloc(2 * MIB), *buf = malloc(MIB);
	struct nbd_request asks[PIECES];
	struct bench bench;
	struct prng prng;
	size_t have = 0;

	prng_init(&prng, 1, 2);
	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", true, false);
	for (unsigned i = 0; i < PIECES; i++) {
		struct nbd_request *ask = &asks[i];
		uint64_t lba = prng_below(&prng, 1024);

		*ask = (struct nbd_request){ .type = NBD_CMD_WRITE, .cookie = 1000 + i };
		ask->flags = prng_below(&prng, 2) ? NBD_CMD_FUA : 0;
		ask->length = 512 * (1 + (uint32_t)prng_below(&prng, 16));
		ask->offset = i % 8 == 7 ? UINT32_MAX / 512 * 512 : lba * 512; /* refused */
		nbd_request_encode(ask, bytes + have);
		have += NBD_REQUEST_BYTES;
		rig_fill(bytes + have, ask->length, prng_u64(&prng));
		if (i % 8 != 7)
			memcpy(model + ask->offset, bytes + have, ask->length);
		have += ask->length;
	}
	peer_send(&peer, bytes, have);
	for (unsigned i = 0; i < PIECES; i++) { /* in any order */
		uint8_t head[NBD_SIMPLE_BYTES];
		uint64_t cookie;

		peer_recv(&peer, head, sizeof(head));
		cookie = be64_get(head + 8);
		assert_in_range(cookie, 1000, 1000 + PIECES - 1);
		assert_int_equal(be32_get(head + 4),
				 (cookie - 1000) % 8 == 7 ? NBD_ENOSPC : NBD_OK);
	}
	assert_int_equal(peer_do(&peer, NBD_CMD_READ, 0, 0, MIB, buf), NBD_OK);
	assert_memory_equal(buf, model, MIB);
	peer_close(&peer);
	bench_stop(&bench);
	free(model);
	free(bytes);
	free(buf);
}

RIG_TEST(data_are_right_in_simple_replies)
{
	data_are_right(f, rig, false);
}

RIG_TEST(data_and_holes_are_right_in_structured_replies)
{
	data_are_right(f, rig, true);
}

RIG_TEST(holes_are_told_and_not_sent)
{
	const struct nbd_request ask = { 0, NBD_CMD_READ, 0, 0, 2 * MIB };
	const struct nbd_request whole = { NBD_CMD_DF, NBD_CMD_READ, 0, 0, 2 * MIB };
	uint8_t *buf = malloc(2 * MIB), *data = malloc(MIB / 4);
	unsigned holes = 0;
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", true, true);
	rig_fill(data, MIB / 4, 3);
	assert_int_equal(peer_do(&peer, NBD_CMD_WRITE, 0, MIB, MIB / 4, data), NBD_OK);
	uint64_t cookie = peer_request(&peer, NBD_CMD_READ, 0, 0, 2 * MIB);
	assert_int_equal(peer_answer(&peer, cookie, &ask, buf, &holes), NBD_OK);
	assert_int_equal(holes, 2);
	assert_memory_equal(buf + MIB, data, MIB / 4);
	assert_int_equal(bench_stats(&bench).hole_bytes, 2 * MIB - MIB / 4);
	holes = 0;
	cookie = peer_request(&peer, NBD_CMD_READ, NBD_CMD_DF, 0, 2 * MIB);
	assert_int_equal(peer_answer(&peer, cookie, &whole, buf, &holes), NBD_OK);
	assert_int_equal(holes, 0);
	peer_close(&peer);
	bench_stop(&bench);
	free(buf);
	free(data);
}

/* A comb: more extents than an answer has room for, and more holes than a read may have. */
RIG_TEST(answers_about_many_extents_are_cut_not_wrong)
{
	const uint32_t chunk = 65536, teeth = 8 * MIB / chunk / 2;
	const struct nbd_request status = { 0, NBD_CMD_BLOCK_STATUS, 0, 0, 8 * MIB };
	const struct nbd_request one = { NBD_CMD_REQ_ONE, NBD_CMD_BLOCK_STATUS, 0, 0, 8 * MIB };
	uint8_t *model = calloc(1, 8 * MIB), *buf = malloc(8 * MIB);
	unsigned extents = 0;
	struct nbd_extent e;
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, ram);
	struct peer peer = peer_go(&bench, "ram", true, true);
	for (uint32_t i = 0; i < teeth; i++) {
		rig_fill(model + 2 * i * chunk, chunk, i);
		assert_int_equal(peer_do(&peer, NBD_CMD_WRITE, 0, 2 * i * chunk, chunk,
					 model + 2 * i * chunk),
				 NBD_OK);
	}
	assert_int_equal(peer_do(&peer, NBD_CMD_READ, 0, 0, 8 * MIB, buf), NBD_OK);
	assert_memory_equal(buf, model, 8 * MIB);
	uint64_t cookie = peer_request(&peer, NBD_CMD_BLOCK_STATUS, 0, 0, 8 * MIB);
	assert_int_equal(peer_answer(&peer, cookie, &status, buf, &extents), NBD_OK);
	assert_int_equal(extents, 2 * teeth);
	for (unsigned i = 0; i < extents; i++) {
		assert_int_equal(nbd_extent_decode(buf, i, &e), 0);
		assert_int_equal(e.length, chunk);
		assert_int_equal(e.flags, i % 2 ? NBD_STATE_HOLE | NBD_STATE_ZERO : 0);
	}
	cookie = peer_request(&peer, NBD_CMD_BLOCK_STATUS, NBD_CMD_REQ_ONE, 0, 8 * MIB);
	assert_int_equal(peer_answer(&peer, cookie, &one, buf, &extents), NBD_OK);
	assert_int_equal(extents, 1);
	peer_close(&peer);
	bench_stop(&bench);
	free(model);
	free(buf);
}

/* ---- errors of the disk ------------------------------------------------------------------------ */

RIG_TEST(errors_of_the_disk_are_told_without_data)
{
	static const char *const bad[] = {
		"bad=fault:///f?rule=read,status:EIO&on=malloc:///a?size_mb=8",
		"full=fault:///g?rule=write,status:ENOSPC&on=malloc:///b?size_mb=8", NULL
	};
	uint8_t buf[512];
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, bad);
	for (unsigned structured = 0; structured < 2; structured++) {
		struct peer peer = peer_go(&bench, "bad", structured, false);

		assert_int_equal(peer_do(&peer, NBD_CMD_READ, 0, 0, 512, buf), NBD_EIO);
		assert_int_equal(peer_do(&peer, NBD_CMD_WRITE, 0, 0, 512, buf), NBD_OK);
		peer_close(&peer);
		peer = peer_go(&bench, "full", structured, false);
		assert_int_equal(peer_do(&peer, NBD_CMD_WRITE, 0, 0, 512, buf), NBD_ENOSPC);
		peer_close(&peer);
	}
	bench_stop(&bench);
}

RIG_TEST(zeroes_that_would_be_slow_are_refused_at_once)
{
	static const char *const shares[] = {
		"ram=malloc:///a?size_mb=8",
		"slow=fault:///f?rule=write-zeroes,status:EOPNOTSUPP&on=malloc:///b?size_mb=8", NULL
	};
	const uint16_t fast = NBD_CMD_FAST_ZERO;
	struct bench bench;

	bench_start(f, rig, &bench, &defaults, shares);
	struct peer peer = peer_go(&bench, "ram", false, false);
	assert_int_equal(peer_do(&peer, NBD_CMD_WRITE_ZEROES, fast, 0, MIB, NULL), NBD_OK);
	peer_close(&peer);
	peer = peer_go(&bench, "slow", false, false);
	assert_int_equal(peer_do(&peer, NBD_CMD_WRITE_ZEROES, fast, 0, MIB, NULL), NBD_ENOTSUP);
	peer_close(&peer);
	bench_stop(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_is_refused_and_the_next_is_done),
		cmocka_unit_test(each_command_with_each_flag_has_one_answer),
		cmocka_unit_test(too_long_payloads_are_read_and_refused_longer_ones_end_it),
		cmocka_unit_test(what_is_no_request_ends_it),
		cmocka_unit_test(writes_that_come_in_one_piece_are_right),
		cmocka_unit_test(data_are_right_in_simple_replies),
		cmocka_unit_test(data_and_holes_are_right_in_structured_replies),
		cmocka_unit_test(holes_are_told_and_not_sent),
		cmocka_unit_test(answers_about_many_extents_are_cut_not_wrong),
		cmocka_unit_test(errors_of_the_disk_are_told_without_data),
		cmocka_unit_test(zeroes_that_would_be_slow_are_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
