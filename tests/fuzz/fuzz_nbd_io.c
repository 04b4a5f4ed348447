// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_nbd_io - any bytes as a request to a server of any rules, and as the answer to that
 * request (Q1, Q2 of wire/nbd_io.h).
 *
 *	input:	transmission flags (2), log2 of the block size (1), size of the disk (4),
 *		other rules (1), request (28), answer
 */
#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/must.h"
#include "fuzz.h"
#include "wire/nbd_io.h"
#include "wire/nbd_option.h"

#define CONFIG_BYTES 8u

static struct nbd_rules make_rules(const uint8_t *config)
{
	return (struct nbd_rules){
		.flags = be16_get(config),
		.block_min = UINT32_C(1) << config[2] % 17,
		.size_bytes = be32_get(config + 3),
		.payload_max = NBD_PAYLOAD_MAX,
		.structured = config[7] & 1,
		.meta = config[7] & 2,
	};
}

static void try_request(const struct nbd_request *request, const struct nbd_rules *rules)
{
	uint32_t error = nbd_request_check(request, rules);

	must(error == NBD_OK || error == NBD_EPERM || error == NBD_EINVAL || error == NBD_ENOSPC);
	must(nbd_error_to(nbd_error_of(nbd_error_to(error))) == nbd_error_to(error));
	if (error != NBD_OK)
		return;
	must(nbd_request_payload(request) <= rules->payload_max);
	must(request->type <= NBD_CMD_BLOCK_STATUS && request->type != NBD_CMD_DISC);
	must(request->offset <= rules->size_bytes &&
	     request->length <= rules->size_bytes - request->offset);
	must((request->offset | request->length) % rules->block_min == 0);
}

static void try_range(const struct nbd_chunk *chunk, const uint8_t *body, size_t size,
		      const struct nbd_request *request)
{
	struct nbd_range range;

	if (nbd_range_decode(chunk, body, size, request, &range) < 0)
		return;
	must(range.length > 0 && range.offset >= request->offset);
	must(range.offset - request->offset + range.length <= request->length);
}

static void try_status(const uint8_t *body, size_t size)
{
	uint8_t again[NBD_EXTENT_BYTES];
	struct nbd_extent extent;
	uint32_t context;
	size_t extents;

	if (nbd_status_decode(body, size, &context, &extents) < 0)
		return;
	must(extents >= 1 && NBD_STATUS_BYTES + extents * NBD_EXTENT_BYTES == size);
	for (size_t i = 0; i < extents; i++) {
		if (nbd_extent_decode(body, i, &extent) < 0)
			continue;
		nbd_extent_encode(&extent, again);
		must(memcmp(again, body + NBD_STATUS_BYTES + i * NBD_EXTENT_BYTES, sizeof(again)) ==
		     0);
	}
}

static void try_failure(const struct nbd_chunk *chunk, const uint8_t *body, size_t size)
{
	uint8_t again[NBD_ERROR_MAX];
	struct nbd_failure failure;

	if (nbd_failure_decode(chunk, body, size, &failure) < 0)
		return;
	must(failure.error && (size_t)6 + failure.text_length <= size);
	must(failure.text_length <= NBD_ERROR_TEXT_MAX);
	must(nbd_failure_encode(&failure, again) <= size);
	must(memcmp(again, body, 6u + failure.text_length) == 0);
}

static void try_answer(const uint8_t *data, size_t size, const struct nbd_request *request,
		       bool structured)
{
	uint8_t again[NBD_CHUNK_BYTES];
	struct nbd_answer answer;
	int r = nbd_answer_decode(data, size, structured, &answer);

	must(r <= 0 || (r > (int)size && r <= (int)NBD_CHUNK_BYTES));
	must(r >= 0 || r == -EBADMSG);
	if (r != 0)
		return;
	if (answer.simple) {
		struct nbd_simple simple = { answer.error, answer.chunk.cookie };

		nbd_simple_encode(&simple, again);
		must(memcmp(again, data, NBD_SIMPLE_BYTES) == 0);
		return;
	}
	nbd_chunk_encode(&answer.chunk, again);
	must(memcmp(again, data, NBD_CHUNK_BYTES) == 0);
	if (nbd_answer_check(&answer, request, structured) < 0)
		return;
	must(answer.chunk.cookie == request->cookie);
	if (request->length <= NBD_PAYLOAD_MAX)
		must(answer.chunk.length <= NBD_PAYLOAD_MAX + NBD_DATA_BYTES);
	data += NBD_CHUNK_BYTES;
	size = min_size(size - NBD_CHUNK_BYTES, answer.chunk.length);
	try_range(&answer.chunk, data, size, request);
	try_status(data, size);
	try_failure(&answer.chunk, data, size);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	uint8_t again[NBD_REQUEST_BYTES];
	struct nbd_request request;
	struct nbd_rules rules;

	if (size < CONFIG_BYTES + NBD_REQUEST_BYTES)
		return 0;
	rules = make_rules(data);
	data += CONFIG_BYTES;
	size -= CONFIG_BYTES;
	if (nbd_request_decode(data, size, &request) < 0)
		return 0;
	nbd_request_encode(&request, again);
	must(memcmp(again, data, sizeof(again)) == 0);
	try_request(&request, &rules);
	try_answer(data + NBD_REQUEST_BYTES, size - NBD_REQUEST_BYTES, &request, rules.structured);
	return 0;
}
