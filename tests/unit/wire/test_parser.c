// SPDX-License-Identifier: Apache-2.0
/*
 * A stream cut into PDUs (V1, V2).
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"
#include "unit/wire/link.h"

#include "base/prng.h"
#include "wire/nvmetcp_parser.h"

#define STREAM_MAX 4096

/* A stream of capsules and data, each with its data; returns its bytes. */
static size_t make_stream(const struct link *link, uint8_t *stream, unsigned *ret_pdus)
{
	size_t at = 0;

	*ret_pdus = 0;
	for (uint32_t i = 0; i < 12; i++) {
		struct nvmetcp_data data = { .cccid = (uint16_t)i, .length = 4 * (i + 1) };
		struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE, .cid = (uint16_t)i };
		uint32_t length = i % 3 == 0 ? 0 : 4 * (i + 1);

		if (i % 2)
			at += nvmetcp_cmd_encode(&link->host, &sqe, length, stream + at);
		else
			at += nvmetcp_data_encode(&link->host, &data, NVMETCP_LAST, stream + at);
		length = i % 2 ? length : data.length;
		memset(stream + at, 0xee, length + 4);
		at += length + (length && link->host.ddgst ? 4 : 0);
		++*ret_pdus;
	}
	assert_true(at < STREAM_MAX);
	return at;
}

struct reader {
	struct nvmetcp_parser parser;
	uint32_t data_left;
	unsigned pdus;
	uint32_t data_bytes;
	uint32_t cids;
};

/* Takes one piece of a stream, which lies in a block of its own for the sanitizer. */
static int reader_take(struct reader *r, const struct link *link, const uint8_t *bytes, size_t size)
{
	uint8_t *piece = test_malloc(size + 1);
	struct nvmetcp_fault fault;
	struct nvmetcp_pdu pdu;
	size_t at = 0;
	int status = 0;

	memcpy(piece + 1, bytes, size);
	while (at < size) {
		size_t used = min_size(size - at, r->data_left);

		at += used;
		r->data_left -= (uint32_t)used;
		if (at == size)
			break;
		status = nvmetcp_parser_feed(&r->parser, &link->ctrl, piece + 1 + at, size - at,
					     &used, &pdu, &fault);
		assert_true(used <= size - at);
		at += used;
		if (status < 0)
			break;
		if (status > 0) {
			assert_int_equal(at, size);
			assert_false(nvmetcp_parser_idle(&r->parser));
			break;
		}
		assert_true(nvmetcp_parser_idle(&r->parser));
		r->pdus++;
		r->data_bytes += pdu.data_bytes;
		r->data_left = pdu.data_bytes + (pdu.ddgst ? 4 : 0);
		r->cids += pdu.type == NVMETCP_CMD ? le16_get(pdu.sqe + 2) : pdu.data.cccid;
	}
	test_free(piece);
	return status;
}

static void assert_read_in_pieces(const struct link *link, struct prng *prng, size_t piece_max)
{
	uint8_t stream[STREAM_MAX];
	struct reader reader = { 0 };
	unsigned pdus;
	size_t size = make_stream(link, stream, &pdus);
	size_t at = 0;

	nvmetcp_parser_init(&reader.parser);
	while (at < size) {
		size_t piece = min_size(1 + prng_below(prng, piece_max), size - at);

		assert_true(reader_take(&reader, link, stream + at, piece) >= 0);
		at += piece;
	}
	assert_true(nvmetcp_parser_idle(&reader.parser));
	assert_int_equal(reader.data_left, 0);
	assert_int_equal(reader.pdus, pdus);
	assert_int_equal(reader.cids, 66);
	assert_int_equal(reader.data_bytes, (8 + 24 + 32 + 48) + (4 + 12 + 20 + 28 + 36 + 44));
}

static void a_stream_in_pieces_of_any_size_gives_the_same_pdus(void **state)
{
	static const uint8_t aligns[] = { 4, 12, 72, 128 };
	struct prng prng;
	struct link link;

	prng_init(&prng, 1, 1);
	for (unsigned digests = 0; digests < 4; digests++)
		for (size_t i = 0; i < ARRAY_LEN(aligns); i++) {
			link_init(&link, digests & 1, digests & 2, 4, aligns[i]);
			for (size_t piece_max = 1; piece_max < 300; piece_max += 7)
				assert_read_in_pieces(&link, &prng, piece_max);
			assert_read_in_pieces(&link, &prng, 2 * STREAM_MAX);
		}
}

static void it_says_how_much_more_it_needs(void **state)
{
	struct nvme_sqe sqe = { 0 };
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_parser parser;
	struct nvmetcp_fault fault;
	struct nvmetcp_pdu pdu;
	struct link link;
	size_t used;

	link_init(&link, true, true, 4, 128);
	assert_int_equal(nvmetcp_cmd_encode(&link.host, &sqe, 4, bytes), 128);
	nvmetcp_parser_init(&parser);
	assert_int_equal(nvmetcp_parser_feed(&parser, &link.ctrl, bytes, 0, &used, &pdu, &fault),
			 8);
	assert_int_equal(used, 0);
	assert_int_equal(nvmetcp_parser_feed(&parser, &link.ctrl, bytes, 3, &used, &pdu, &fault),
			 5);
	assert_int_equal(used, 3);
	assert_int_equal(
		nvmetcp_parser_feed(&parser, &link.ctrl, bytes + 3, 5, &used, &pdu, &fault), 68);
	assert_int_equal(
		nvmetcp_parser_feed(&parser, &link.ctrl, bytes + 8, 68, &used, &pdu, &fault), 52);
	assert_int_equal(
		nvmetcp_parser_feed(&parser, &link.ctrl, bytes + 76, 52, &used, &pdu, &fault), 0);
	assert_int_equal(used, 52);
	assert_int_equal(pdu.data_bytes, 4);
}

/* The head is wrong at its HLEN: all that is echoed is the common header. */
static void what_was_refused_is_kept_for_the_terminate_request(void **state)
{
	struct nvme_sqe sqe = { .cid = 0x7777 };
	uint8_t bytes[NVMETCP_HEAD_MAX] = { 0 };
	struct nvmetcp_fault fault;
	struct nvmetcp_pdu pdu;
	struct link link;

	link_init(&link, true, false, 4, 4);
	for (size_t piece = 1; piece <= 76; piece++)
		for (int bad_hlen = 0; bad_hlen < 2; bad_hlen++) {
			struct nvmetcp_parser parser;
			size_t at = 0, used;
			int r = 1;

			nvmetcp_cmd_encode(&link.host, &sqe, 0, bytes);
			bytes[bad_hlen ? 2 : 75] ^= 0xff;
			nvmetcp_parser_init(&parser);
			while (r > 0) {
				r = nvmetcp_parser_feed(&parser, &link.ctrl, bytes + at,
							min_size(piece, 76 - at), &used, &pdu,
							&fault);
				at += used;
			}
			assert_int_equal(r, -EPROTO);
			assert_int_equal(fault.fes,
					 bad_hlen ? NVMETCP_FES_FIELD : NVMETCP_FES_HDGST);
			assert_int_equal(parser.have, bad_hlen ? 8 : 72);
			assert_memory_equal(parser.head, bytes, parser.have);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_in_pieces_of_any_size_gives_the_same_pdus),
		cmocka_unit_test(it_says_how_much_more_it_needs),
		cmocka_unit_test(what_was_refused_is_kept_for_the_terminate_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
