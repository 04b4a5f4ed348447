// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_option - the handshake of NBD. The layouts stand in nbd_option.h.
 */
#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/must.h"
#include "wire/nbd_option.h"

#define OLDSTYLE_MAGIC UINT64_C(0x00420281861253)

void nbd_greeting_encode(uint16_t flags, uint8_t ret[NBD_GREETING_BYTES])
{
	be64_put(ret, NBD_GREETING_MAGIC);
	be64_put(ret + 8, NBD_OPTION_MAGIC);
	be16_put(ret + 16, flags);
}

int nbd_greeting_decode(const uint8_t *bytes, size_t size, uint16_t *ret_flags)
{
	if (size < NBD_GREETING_BYTES || be64_get(bytes) != NBD_GREETING_MAGIC)
		return -EBADMSG;
	if (be64_get(bytes + 8) == OLDSTYLE_MAGIC)
		return -EPROTONOSUPPORT;
	if (be64_get(bytes + 8) != NBD_OPTION_MAGIC)
		return -EBADMSG;
	if (!(be16_get(bytes + 16) & NBD_FIXED_NEWSTYLE))
		return -EPROTONOSUPPORT;
	*ret_flags = be16_get(bytes + 16);
	return 0;
}

int nbd_client_flags_decode(const uint8_t *bytes, size_t size, uint16_t offered,
			    uint16_t *ret_flags)
{
	if (size < NBD_CLIENT_FLAGS_BYTES || be32_get(bytes) & ~(uint32_t)offered)
		return -EPROTO;
	*ret_flags = (uint16_t)be32_get(bytes);
	return 0;
}

void nbd_option_encode(const struct nbd_option *option, uint8_t ret[NBD_OPTION_BYTES])
{
	be64_put(ret, NBD_OPTION_MAGIC);
	be32_put(ret + 8, option->type);
	be32_put(ret + 12, option->length);
}

int nbd_option_decode(const uint8_t *bytes, size_t size, struct nbd_option *ret)
{
	if (size < NBD_OPTION_BYTES || be64_get(bytes) != NBD_OPTION_MAGIC)
		return -EBADMSG;
	*ret = (struct nbd_option){ .type = be32_get(bytes + 8), .length = be32_get(bytes + 12) };
	return 0;
}

void nbd_reply_encode(const struct nbd_reply *reply, uint8_t ret[NBD_REPLY_BYTES])
{
	be64_put(ret, NBD_REPLY_MAGIC);
	be32_put(ret + 8, reply->option);
	be32_put(ret + 12, reply->type);
	be32_put(ret + 16, reply->length);
}

int nbd_reply_decode(const uint8_t *bytes, size_t size, struct nbd_reply *ret)
{
	if (size < NBD_REPLY_BYTES || be64_get(bytes) != NBD_REPLY_MAGIC ||
	    be32_get(bytes + 16) > NBD_REPLY_DATA_MAX)
		return -EBADMSG;
	*ret = (struct nbd_reply){
		.option = be32_get(bytes + 8),
		.type = be32_get(bytes + 12),
		.length = be32_get(bytes + 16),
	};
	return 0;
}

uint32_t nbd_option_check(const struct nbd_option *option)
{
	switch (option->type) {
	case NBD_OPT_ABORT:
		return NBD_REP_NONE; /* whatever it brings, it is obeyed */
	case NBD_OPT_LIST:
	case NBD_OPT_STARTTLS:
	case NBD_OPT_STRUCTURED_REPLY:
		return option->length ? NBD_REP_ERR_INVALID : NBD_REP_NONE;
	case NBD_OPT_EXPORT_NAME:
		return option->length > NBD_NAME_MAX ? NBD_REP_ERR_TOO_BIG : NBD_REP_NONE;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		if (option->length > NBD_OPTION_DATA_MAX)
			return NBD_REP_ERR_TOO_BIG;
		return option->length < 6 ? NBD_REP_ERR_INVALID : NBD_REP_NONE;
	default:
		return NBD_REP_ERR_UNSUP;
	}
}

static uint32_t text_check(const uint8_t *bytes, size_t size, struct nbd_text *ret)
{
	if (size > NBD_NAME_MAX)
		return NBD_REP_ERR_TOO_BIG;
	if (size && memchr(bytes, 0, size))
		return NBD_REP_ERR_INVALID;
	*ret = (struct nbd_text){ .text = (const char *)bytes, .length = (uint32_t)size };
	return NBD_REP_NONE;
}

/* A length of 4 bytes, and the text. */
static uint32_t text_get(struct cursor *cursor, struct nbd_text *ret)
{
	const uint8_t *bytes;
	uint32_t length;

	if (cursor_get_be32(cursor, &length) < 0)
		return NBD_REP_ERR_INVALID;
	if (length > NBD_NAME_MAX)
		return NBD_REP_ERR_TOO_BIG;
	if (cursor_get_bytes(cursor, &bytes, length) < 0)
		return NBD_REP_ERR_INVALID;
	return text_check(bytes, length, ret);
}

static int text_put(struct builder *builder, const struct nbd_text *text)
{
	TRY(builder_put_be32(builder, text->length));
	return builder_put_bytes(builder, text->text, text->length);
}

uint32_t nbd_export_name_decode(const uint8_t *data, size_t size, struct nbd_text *ret)
{
	return text_check(data, size, ret);
}

uint32_t nbd_info_request_decode(const uint8_t *data, size_t size, struct nbd_info_request *ret)
{
	struct nbd_info_request request = { .wanted = 0 };
	struct cursor cursor;
	uint16_t count = 0, info = 0;
	uint32_t refused;

	cursor_init(&cursor, data, size);
	refused = text_get(&cursor, &request.name);
	if (refused)
		return refused;
	if (cursor_get_be16(&cursor, &count) < 0)
		return NBD_REP_ERR_INVALID;
	if (count > NBD_INFO_WANTS_MAX)
		return NBD_REP_ERR_TOO_BIG;
	for (uint16_t i = 0; i < count; i++) {
		if (cursor_get_be16(&cursor, &info) < 0)
			return NBD_REP_ERR_INVALID;
		if (info <= NBD_INFO_BLOCK_SIZE)
			request.wanted |= UINT32_C(1) << info;
	}
	if (cursor_done(&cursor) < 0)
		return NBD_REP_ERR_INVALID;
	*ret = request;
	return NBD_REP_NONE;
}

int nbd_info_request_put(struct builder *builder, const struct nbd_info_request *request)
{
	uint16_t count = (uint16_t)__builtin_popcount(request->wanted);

	TRY(text_put(builder, &request->name));
	TRY(builder_put_be16(builder, count));
	for (uint16_t info = 0; info < 32; info++)
		if (request->wanted >> info & 1)
			TRY(builder_put_be16(builder, info));
	return 0;
}

uint32_t nbd_meta_request_decode(const uint8_t *data, size_t size, struct nbd_meta_request *ret)
{
	struct nbd_meta_request request;
	struct nbd_text query;
	struct cursor cursor;
	uint32_t refused;

	cursor_init(&cursor, data, size);
	refused = text_get(&cursor, &request.name);
	if (refused)
		return refused;
	if (cursor_get_be32(&cursor, &request.query_count) < 0)
		return NBD_REP_ERR_INVALID;
	if (request.query_count > NBD_QUERIES_MAX)
		return NBD_REP_ERR_TOO_BIG;
	request.queries = cursor;
	for (uint32_t i = 0; i < request.query_count; i++) {
		refused = text_get(&cursor, &query);
		if (refused)
			return refused;
	}
	if (cursor_done(&cursor) < 0)
		return NBD_REP_ERR_INVALID;
	*ret = request;
	return NBD_REP_NONE;
}

bool nbd_meta_query_next(struct nbd_meta_request *request, struct nbd_text *ret)
{
	return cursor_remaining(&request->queries) > 0 && text_get(&request->queries, ret) == 0;
}

int nbd_meta_request_put(struct builder *builder, const struct nbd_text *name,
			 const struct nbd_text *queries, uint32_t count)
{
	TRY(text_put(builder, name));
	TRY(builder_put_be32(builder, count));
	for (uint32_t i = 0; i < count; i++)
		TRY(text_put(builder, &queries[i]));
	return 0;
}

void nbd_export_encode(const struct nbd_export *export, uint8_t ret[NBD_EXPORT_BYTES])
{
	be64_put(ret, export->size_bytes);
	be16_put(ret + 8, export->flags);
}

int nbd_export_decode(const uint8_t *bytes, size_t size, struct nbd_export *ret)
{
	if (size < NBD_EXPORT_BYTES || !(be16_get(bytes + 8) & NBD_FLAG_HAS_FLAGS))
		return -EBADMSG;
	*ret = (struct nbd_export){ .size_bytes = be64_get(bytes), .flags = be16_get(bytes + 8) };
	return 0;
}

int nbd_info_put(struct builder *builder, const struct nbd_info *info)
{
	uint8_t *to;

	TRY(builder_put_be16(builder, info->type));
	switch (info->type) {
	case NBD_INFO_EXPORT:
		TRY(builder_reserve(builder, &to, NBD_EXPORT_BYTES));
		nbd_export_encode(&info->export, to);
		return 0;
	case NBD_INFO_BLOCK_SIZE:
		TRY(builder_put_be32(builder, info->block_size.min));
		TRY(builder_put_be32(builder, info->block_size.preferred));
		return builder_put_be32(builder, info->block_size.max);
	default:
		must(info->type == NBD_INFO_NAME || info->type == NBD_INFO_DESCRIPTION);
		return builder_put_bytes(builder, info->text.text, info->text.length);
	}
}

static bool block_size_good(const struct nbd_block_size *size)
{
	return is_pow2_u64(size->min) && size->min <= 65536 && is_pow2_u64(size->preferred) &&
	       size->preferred >= size->min && size->max >= size->min &&
	       (size->max == UINT32_MAX || size->max % size->min == 0);
}

static int block_size_decode(const uint8_t *data, size_t size, struct nbd_block_size *ret)
{
	if (size != 12)
		return -EBADMSG;
	*ret = (struct nbd_block_size){
		.min = be32_get(data),
		.preferred = be32_get(data + 4),
		.max = be32_get(data + 8),
	};
	return block_size_good(ret) ? 0 : -EBADMSG;
}

int nbd_info_decode(const uint8_t *data, size_t size, struct nbd_info *ret)
{
	struct nbd_info info = { .type = 0 };
	int r = 0;

	if (size < 2)
		return -EBADMSG;
	info.type = be16_get(data);
	data += 2;
	size -= 2;
	switch (info.type) {
	case NBD_INFO_EXPORT:
		r = size == NBD_EXPORT_BYTES ? nbd_export_decode(data, size, &info.export) :
					       -EBADMSG;
		break;
	case NBD_INFO_BLOCK_SIZE:
		r = block_size_decode(data, size, &info.block_size);
		break;
	case NBD_INFO_NAME:
	case NBD_INFO_DESCRIPTION:
		r = text_check(data, size, &info.text) ? -EBADMSG : 0;
		break;
	default:
		break;
	}
	if (r == 0)
		*ret = info;
	return r;
}

int nbd_server_put(struct builder *builder, const struct nbd_text *name,
		   const struct nbd_text *description)
{
	TRY(text_put(builder, name));
	return builder_put_bytes(builder, description->text, description->length);
}

int nbd_server_decode(const uint8_t *data, size_t size, struct nbd_text *ret_name,
		      struct nbd_text *ret_description)
{
	struct nbd_text name, description;
	struct cursor cursor;

	cursor_init(&cursor, data, size);
	if (text_get(&cursor, &name) ||
	    text_check(data + cursor.pos, cursor_remaining(&cursor), &description))
		return -EBADMSG;
	*ret_name = name;
	*ret_description = description;
	return 0;
}

int nbd_meta_context_put(struct builder *builder, uint32_t id, const struct nbd_text *name)
{
	TRY(builder_put_be32(builder, id));
	return builder_put_bytes(builder, name->text, name->length);
}

int nbd_meta_context_decode(const uint8_t *data, size_t size, uint32_t *ret_id,
			    struct nbd_text *ret_name)
{
	if (size < 4 || text_check(data + 4, size - 4, ret_name))
		return -EBADMSG;
	*ret_id = be32_get(data);
	return 0;
}
