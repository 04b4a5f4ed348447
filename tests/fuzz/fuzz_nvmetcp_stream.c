// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_nvmetcp_stream - a stream fed whole and in pieces gives the same PDUs, and ends with
 * the same fault (V1, V2 of wire/nvmetcp_parser.h).
 *
 *	input:	who we are, what was agreed on (1 byte), alignment (1 byte), seed of the
 *		pieces (1 byte), stream
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/prng.h"
#include "fuzz.h"
#include "wire/nvmetcp_parser.h"

struct reader {
	struct nvmetcp_parser parser;
	struct nvmetcp_rules rules;
	uint64_t skip; /* data of the last PDU */
	uint32_t sum;  /* of all that was told */
	struct nvmetcp_fault fault;
	bool refused;
};

static void reader_init(struct reader *reader, const uint8_t *config)
{
	struct nvmetcp_ic ic = {
		.align = (uint8_t)((config[1] % 32 + 1) * 4),
		.hdgst = config[0] & 4,
		.ddgst = config[0] & 8,
		.maxh2cdata = 4096,
	};

	memset(reader, 0, sizeof(*reader));
	nvmetcp_parser_init(&reader->parser);
	nvmetcp_rules_init(&reader->rules, config[0] & 1);
	nvmetcp_rules_agree(&reader->rules, &ic, &ic);
	reader->rules.connected = config[0] & 2;
}

/* The parts of a PDU that do not point into a buffer. */
static void reader_note(struct reader *reader, const struct nvmetcp_pdu *pdu)
{
	uint32_t words[] = { pdu->type, pdu->flags, pdu->head_bytes, pdu->ddgst, pdu->data_bytes };

	reader->sum = crc32c(reader->sum, words, sizeof(words));
	if (pdu->type == NVMETCP_CMD)
		reader->sum = crc32c(reader->sum, pdu->sqe, NVME_SQE_BYTES);
	else if (pdu->type == NVMETCP_RESP)
		reader->sum = crc32c(reader->sum, pdu->cqe, NVME_CQE_BYTES);
	reader->skip = (uint64_t)pdu->data_bytes + (pdu->ddgst ? NVMETCP_DIGEST_BYTES : 0);
}

static void reader_take(struct reader *reader, const uint8_t *bytes, size_t size)
{
	while (size > 0 && !reader->refused) {
		size_t used = (size_t)min_u64(reader->skip, size);
		struct nvmetcp_pdu pdu;
		int r;

		reader->skip -= used;
		bytes += used;
		size -= used;
		if (size == 0)
			return;
		r = nvmetcp_parser_feed(&reader->parser, &reader->rules, bytes, size, &used, &pdu,
					&reader->fault);
		must(used <= size);
		must(r <= 0 || (used == size && !nvmetcp_parser_idle(&reader->parser)));
		bytes += used;
		size -= used;
		reader->refused = r < 0;
		if (r == 0)
			reader_note(reader, &pdu);
	}
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct reader whole, pieces;
	struct mem_heap heap;
	struct prng prng;

	if (size < 3)
		return 0;
	reader_init(&whole, data);
	reader_init(&pieces, data);
	prng_init(&prng, data[2], 1);
	data += 3;
	size -= 3;
	reader_take(&whole, data, size);
	mem_heap_init(&heap);
	for (size_t at = 0; at < size && !pieces.refused;) {
		size_t length = min_size(1 + prng_below(&prng, 100), size - at);
		uint8_t *piece =
			mem_dup(&heap.mem, data + at, length); /* its end is seen by ASan */

		must(piece);
		reader_take(&pieces, piece, length);
		mem_free(piece);
		at += length;
	}
	mem_heap_fini(&heap);
	must(whole.refused == pieces.refused && whole.sum == pieces.sum);
	if (whole.refused)
		must(whole.fault.fes == pieces.fault.fes && whole.fault.fei == pieces.fault.fei);
	else
		must(whole.skip == pieces.skip && whole.parser.have == pieces.parser.have);
	return 0;
}
