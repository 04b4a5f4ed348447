// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_nbd_option - any bytes as a piece of the NBD handshake, to a server or a client.
 * Refused with a reply that exists, or understood, and then the same after it was encoded
 * anew.
 *
 *	input:	what it is taken for (1 byte), bytes
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/must.h"
#include "fuzz.h"
#include "wire/nbd_option.h"

static bool good(uint32_t refused)
{
	must(refused == NBD_REP_NONE ||
	     (refused > NBD_REP_ERROR && refused <= NBD_REP_ERR_EXT_HEADER_REQD));
	return refused == NBD_REP_NONE;
}

static void check_text(const struct nbd_text *text, const uint8_t *data, size_t size)
{
	const uint8_t *at = (const uint8_t *)text->text;

	must(text->length <= NBD_NAME_MAX && text->length <= size);
	if (text->length)
		must(at >= data && at + text->length <= data + size &&
		     !memchr(at, 0, text->length));
}

static bool same_text(const struct nbd_text *a, const struct nbd_text *b)
{
	return a->length == b->length && (!a->length || !memcmp(a->text, b->text, a->length));
}

static void try_heads(const uint8_t *data, size_t size)
{
	uint8_t again[NBD_REPLY_BYTES];
	struct nbd_export export;
	struct nbd_option option;
	struct nbd_reply reply;
	uint16_t flags;

	if (nbd_greeting_decode(data, size, &flags) == 0) {
		nbd_greeting_encode(flags, again);
		must(memcmp(again, data, NBD_GREETING_BYTES) == 0);
	}
	if (nbd_client_flags_decode(data, size, 3, &flags) == 0)
		must(flags <= 3);
	if (nbd_option_decode(data, size, &option) == 0) {
		nbd_option_encode(&option, again);
		must(memcmp(again, data, NBD_OPTION_BYTES) == 0);
		(void)good(nbd_option_check(&option));
	}
	if (nbd_reply_decode(data, size, &reply) == 0) {
		nbd_reply_encode(&reply, again);
		must(memcmp(again, data, NBD_REPLY_BYTES) == 0);
		must(reply.length <= NBD_REPLY_DATA_MAX);
	}
	if (nbd_export_decode(data, size, &export) == 0) {
		nbd_export_encode(&export, again);
		must(memcmp(again, data, NBD_EXPORT_BYTES) == 0);
	}
}

static void try_info_request(const uint8_t *data, size_t size, struct builder *b)
{
	struct nbd_info_request request, back;

	if (!good(nbd_info_request_decode(data, size, &request)))
		return;
	check_text(&request.name, data, size);
	must(nbd_info_request_put(b, &request) == 0 && b->pos <= size);
	must(good(nbd_info_request_decode(b->data, b->pos, &back)));
	must(same_text(&back.name, &request.name) && back.wanted == request.wanted);
}

static void try_meta_request(const uint8_t *data, size_t size, struct builder *b)
{
	struct nbd_text queries[NBD_QUERIES_MAX];
	struct nbd_meta_request request;
	uint32_t count = 0;

	if (!good(nbd_meta_request_decode(data, size, &request)))
		return;
	check_text(&request.name, data, size);
	while (count < NBD_QUERIES_MAX && nbd_meta_query_next(&request, &queries[count])) {
		check_text(&queries[count], data, size);
		count++;
	}
	must(count == request.query_count);
	must(nbd_meta_request_put(b, &request.name, queries, count) == 0);
	must(b->pos == size && memcmp(b->data, data, size) == 0);
}

static void try_info(const uint8_t *data, size_t size, struct builder *b)
{
	struct nbd_info info;

	if (nbd_info_decode(data, size, &info) < 0 || info.type > NBD_INFO_BLOCK_SIZE)
		return;
	if (info.type == NBD_INFO_NAME || info.type == NBD_INFO_DESCRIPTION)
		check_text(&info.text, data, size);
	must(nbd_info_put(b, &info) == 0);
	must(b->pos == size && memcmp(b->data, data, size) == 0);
}

static void try_names(const uint8_t *data, size_t size, struct builder *b)
{
	struct nbd_text name, description;
	uint32_t id;

	if (nbd_server_decode(data, size, &name, &description) == 0) {
		check_text(&name, data, size);
		check_text(&description, data, size);
		must(nbd_server_put(b, &name, &description) == 0);
		must(b->pos == size && memcmp(b->data, data, size) == 0);
	}
	builder_init(b, b->data, b->size);
	if (nbd_meta_context_decode(data, size, &id, &name) == 0) {
		must(nbd_meta_context_put(b, id, &name) == 0);
		must(b->pos == size && memcmp(b->data, data, size) == 0);
	}
	if (good(nbd_export_name_decode(data, size, &name)))
		must(name.length == size);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct mem_heap heap;
	struct builder b;
	uint8_t *room;

	if (size < 1)
		return 0;
	mem_heap_init(&heap);
	room = mem_alloc(&heap.mem, size);
	must(room);
	builder_init(&b, room, size);
	switch (data[0] % 5) {
	case 0:
		try_heads(data + 1, size - 1);
		break;
	case 1:
		try_info_request(data + 1, size - 1, &b);
		break;
	case 2:
		try_meta_request(data + 1, size - 1, &b);
		break;
	case 3:
		try_info(data + 1, size - 1, &b);
		break;
	default:
		try_names(data + 1, size - 1, &b);
	}
	mem_free(room);
	mem_heap_fini(&heap);
	return 0;
}
