// SPDX-License-Identifier: Apache-2.0
/*
 * cursor - bounds-checked parsing and building.
 *
 * C1..C4 stand in cursor.h. All bounds are checked in two places: cursor_take()
 * and builder_take().
 */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"

void cursor_init(struct cursor *cursor, const void *data, size_t size)
{
	*cursor = (struct cursor){ .data = data, .size = size };
}

/* The next count bytes (C1), or the failure that sticks (C2). */
static int cursor_take(struct cursor *cursor, const uint8_t **ret, size_t count)
{
	if (cursor->status < 0)
		return cursor->status;
	if (count > cursor_remaining(cursor))
		return cursor->status = -EBADMSG; /* C3 */
	*ret = cursor->data + cursor->pos;
	cursor->pos += count;
	return 0;
}

int cursor_done(const struct cursor *cursor)
{
	if (cursor->status < 0)
		return cursor->status;
	return cursor_remaining(cursor) ? -EBADMSG : 0;
}

static int cursor_get_le(struct cursor *cursor, uint64_t *ret, size_t count)
{
	const uint8_t *bytes;

	TRY(cursor_take(cursor, &bytes, count));
	*ret = 0;
	for (size_t i = count; i-- > 0;)
		*ret = *ret << 8 | bytes[i];
	return 0;
}

static int cursor_get_be(struct cursor *cursor, uint64_t *ret, size_t count)
{
	const uint8_t *bytes;

	TRY(cursor_take(cursor, &bytes, count));
	*ret = 0;
	for (size_t i = 0; i < count; i++)
		*ret = *ret << 8 | bytes[i];
	return 0;
}

int cursor_get_u8(struct cursor *cursor, uint8_t *ret)
{
	const uint8_t *bytes;

	TRY(cursor_take(cursor, &bytes, 1));
	*ret = bytes[0];
	return 0;
}

int cursor_get_le16(struct cursor *cursor, uint16_t *ret)
{
	uint64_t value;

	TRY(cursor_get_le(cursor, &value, 2));
	*ret = (uint16_t)value;
	return 0;
}

int cursor_get_le32(struct cursor *cursor, uint32_t *ret)
{
	uint64_t value;

	TRY(cursor_get_le(cursor, &value, 4));
	*ret = (uint32_t)value;
	return 0;
}

int cursor_get_le64(struct cursor *cursor, uint64_t *ret)
{
	return cursor_get_le(cursor, ret, 8);
}

int cursor_get_be16(struct cursor *cursor, uint16_t *ret)
{
	uint64_t value;

	TRY(cursor_get_be(cursor, &value, 2));
	*ret = (uint16_t)value;
	return 0;
}

int cursor_get_be32(struct cursor *cursor, uint32_t *ret)
{
	uint64_t value;

	TRY(cursor_get_be(cursor, &value, 4));
	*ret = (uint32_t)value;
	return 0;
}

int cursor_get_be64(struct cursor *cursor, uint64_t *ret)
{
	return cursor_get_be(cursor, ret, 8);
}

int cursor_skip(struct cursor *cursor, size_t count)
{
	const uint8_t *bytes;

	return cursor_take(cursor, &bytes, count);
}

int cursor_seek(struct cursor *cursor, size_t pos)
{
	if (cursor->status < 0)
		return cursor->status;
	if (pos > cursor->size)
		return cursor->status = -EBADMSG; /* C3 */
	cursor->pos = pos;
	return 0;
}

int cursor_get_bytes(struct cursor *cursor, const uint8_t **ret, size_t count)
{
	return cursor_take(cursor, ret, count);
}

int cursor_copy_bytes(struct cursor *cursor, void *ret, size_t count)
{
	const uint8_t *bytes;

	TRY(cursor_take(cursor, &bytes, count));
	if (count)
		memcpy(ret, bytes, count);
	return 0;
}

int cursor_get_sub(struct cursor *cursor, struct cursor *ret, size_t count)
{
	const uint8_t *bytes;

	TRY(cursor_take(cursor, &bytes, count));
	cursor_init(ret, bytes, count);
	return 0;
}

int cursor_get_text(struct cursor *cursor, char *ret, size_t count)
{
	const uint8_t *bytes;
	size_t len = 0;

	TRY(cursor_take(cursor, &bytes, count));
	while (len < count && bytes[len])
		len++;
	while (len > 0 && bytes[len - 1] == ' ')
		len--;
	if (len)
		memcpy(ret, bytes, len);
	ret[len] = '\0';
	return 0;
}

int cursor_get_cstr(struct cursor *cursor, const char **ret)
{
	const uint8_t *bytes = cursor->data + cursor->pos;
	size_t len = 0;

	if (cursor->status < 0)
		return cursor->status;
	while (len < cursor_remaining(cursor) && bytes[len])
		len++;
	TRY(cursor_take(cursor, &bytes, len + 1)); /* fails where there was no NUL */
	*ret = (const char *)bytes;
	return 0;
}

void builder_init(struct builder *builder, void *data, size_t size)
{
	*builder = (struct builder){ .data = data, .size = size };
}

/* Room for count bytes (C1), or the failure that sticks (C2). */
static int builder_take(struct builder *builder, uint8_t **ret, size_t count)
{
	if (builder->status < 0)
		return builder->status;
	if (count > builder_room(builder))
		return builder->status = -ENOBUFS; /* C3 */
	*ret = builder->data + builder->pos;
	builder->pos += count;
	return 0;
}

static int builder_put_le(struct builder *builder, uint64_t value, size_t count)
{
	uint8_t *bytes;

	TRY(builder_take(builder, &bytes, count));
	for (size_t i = 0; i < count; i++, value >>= 8)
		bytes[i] = (uint8_t)value;
	return 0;
}

static int builder_put_be(struct builder *builder, uint64_t value, size_t count)
{
	uint8_t *bytes;

	TRY(builder_take(builder, &bytes, count));
	for (size_t i = count; i-- > 0; value >>= 8)
		bytes[i] = (uint8_t)value;
	return 0;
}

int builder_put_u8(struct builder *builder, uint8_t value)
{
	return builder_put_le(builder, value, 1);
}

int builder_put_le16(struct builder *builder, uint16_t value)
{
	return builder_put_le(builder, value, 2);
}

int builder_put_le32(struct builder *builder, uint32_t value)
{
	return builder_put_le(builder, value, 4);
}

int builder_put_le64(struct builder *builder, uint64_t value)
{
	return builder_put_le(builder, value, 8);
}

int builder_put_be16(struct builder *builder, uint16_t value)
{
	return builder_put_be(builder, value, 2);
}

int builder_put_be32(struct builder *builder, uint32_t value)
{
	return builder_put_be(builder, value, 4);
}

int builder_put_be64(struct builder *builder, uint64_t value)
{
	return builder_put_be(builder, value, 8);
}

int builder_put_bytes(struct builder *builder, const void *bytes, size_t count)
{
	uint8_t *to;

	TRY(builder_take(builder, &to, count));
	if (count)
		memcpy(to, bytes, count);
	return 0;
}

int builder_put_zeroes(struct builder *builder, size_t count)
{
	uint8_t *to;

	TRY(builder_take(builder, &to, count));
	if (count)
		memset(to, 0, count);
	return 0;
}

int builder_reserve(struct builder *builder, uint8_t **ret, size_t count)
{
	return builder_take(builder, ret, count);
}

int builder_put_text(struct builder *builder, const char *text, size_t count, char pad)
{
	size_t len = strlen(text);
	uint8_t *to;

	if (builder->status == 0 && len > count)
		builder->status = -EMSGSIZE;
	TRY(builder_take(builder, &to, count));
	memcpy(to, text, len);
	memset(to + len, pad, count - len);
	return 0;
}

int builder_put_cstr(struct builder *builder, const char *text)
{
	return builder_put_bytes(builder, text, strlen(text) + 1);
}
