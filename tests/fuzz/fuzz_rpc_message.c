// SPDX-License-Identifier: Apache-2.0
/*
 * The framing of gRPC and what is in it: messages out of a stream in pieces, protobuf that is checked
 * and then unpacked, and the texts of headers.
 *
 * What passes the check is unpacked, packs again, and passes the check again; no more memory is held
 * than twice what has come (UF1).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "echo.pb-c.h"
#include "fuzz.h"
#include "rpc/arena_priv.h"
#include "rpc/proto_priv.h"
#include "rpc/srv_head_priv.h"
#include "rpc/text_priv.h"
#include "rpc/unframe_priv.h"

#define MESSAGE_MAX 2000u
#define ARENA_BYTES (1u << 20)

static void try_message(struct mem *mem, const uint8_t *bytes, size_t len)
{
	struct ProtobufCMessage *message;
	struct rpc_arena arena;
	struct err err = { 0 };
	size_t packed;
	uint8_t *again;

	rpc_arena_init(&arena, mem, ARENA_BYTES);
	if (rpc_proto_unpack(&arena.mem, &test__echo_request__descriptor,
			     (struct rpc_bytes){ bytes, len }, &message, &err) == 0) {
		must(rpc_proto_size(message, &packed, &err) == 0);
		again = malloc(packed + 1);
		must(rpc_proto_pack(message, again, packed, &err) == 0);
		free(again);
	} else {
		must(err.code < 0 && err.words[0]);
	}
	rpc_arena_drop(&arena);
}

static void try_stream(struct mem *mem, size_t piece, const uint8_t *data, size_t size)
{
	struct rpc_unframe u;
	size_t at = 0, taken;
	uint32_t len;
	int r = 0;

	rpc_unframe_init(&u, mem, MESSAGE_MAX);
	while (at < size && r >= 0) {
		r = rpc_unframe_take(&u, data + at, min_size(piece, size - at), &taken);
		must(r < 0 || taken > 0);
		must(u.room <= 2 * size + UNFRAME_ROOM_MIN);
		at += taken;
		if (r == 1) {
			uint8_t *message = rpc_unframe_pop(&u, &len);

			must(len <= MESSAGE_MAX);
			try_message(mem, message, len);
			mem_free(message);
		}
	}
	rpc_unframe_fini(&u);
}

static void try_texts(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *copy = malloc(3 * size + 1), *back = malloc(3 * size + 1);
	uint64_t ns;
	size_t len;

	memcpy(text, data, size);
	text[size] = '\0';
	len = rpc_percent_encode(text, copy, 3 * size + 1);
	for (size_t i = 0; i < len; i++)
		must(copy[i] >= 0x20 && copy[i] <= 0x7e); /* TX1 */
	rpc_percent_decode(copy, len, back, 3 * size + 1);
	if (rpc_utf8_len(text, strlen(text)) == strlen(text))
		must(strcmp(text, back) == 0);
	len = rpc_percent_decode(text, size, back, 3 * size + 1);
	must(rpc_utf8_len(back, len) == len);
	if (rpc_timeout_parse(text, size, &ns) == 0)
		must(size >= 2 && size <= 9);
	free(text);
	free(copy);
	free(back);
}

/* Pairs: a length, a name, a length, a value. */
static void try_head(struct mem *mem, const uint8_t *data, size_t size)
{
	struct rpc_arena arena;
	struct srv_head head;
	int r = 0;

	rpc_arena_init(&arena, mem, ARENA_BYTES);
	srv_head_init(&head, &arena.mem, 500);
	while (size > 2 && r == 0) {
		size_t name = min_size(data[0], size - 2);
		size_t value = min_size(data[1 + name], size - 2 - name);

		r = srv_head_add(&head, data + 1, name, data + 2 + name, value);
		data += 2 + name + value;
		size -= 2 + name + value;
	}
	if (r == 0 && srv_head_end(&head) == 0) {
		must(head.http == 200 || head.http == 405 || head.http == 415);
		must(head.code != RPC_OK || (head.path && head.path[0] == '/'));
		must(head.meta.bytes <= 500);
	}
	rpc_arena_drop(&arena);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct mem_heap heap;

	if (!size)
		return 0;
	mem_heap_init(&heap);
	switch (data[0] & 3) {
	case 0:
		try_stream(&heap.mem, 1 + (data[0] >> 2), data + 1, size - 1);
		break;
	case 1:
		try_message(&heap.mem, data + 1, size - 1);
		break;
	case 2:
		try_texts(data + 1, size - 1);
		break;
	default:
		try_head(&heap.mem, data + 1, size - 1);
	}
	mem_heap_fini(&heap);
	return 0;
}
