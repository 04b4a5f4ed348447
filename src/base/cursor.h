// SPDX-License-Identifier: Apache-2.0
/*
 * cursor - bounds-checked parsing (struct cursor) and building (struct builder).
 *
 *	TRY(cursor_get_le16(c, &len));
 *	TRY(cursor_get_bytes(c, &payload, len));
 *
 * C1. 0 <= pos <= size; no byte outside data[0..size) is ever touched.
 * C2. A failed step moves nothing and gives no output. The failure sticks: all
 *     later steps fail alike, so a chain may check its last result only.
 * C3. Reading past the end is -EBADMSG, building past the end is -ENOBUFS.
 * C4. Nothing is copied but into scalars and named copy functions: pointers
 *     handed out point into data.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/lang.h"

struct cursor {
	const uint8_t *data; /* borrowed */
	size_t size;
	size_t pos;
	int status; /* 0, or the failure that sticks (C2) */
};

struct builder {
	uint8_t *data; /* borrowed */
	size_t size;
	size_t pos; /* bytes built so far */
	int status;
};

/* Leaves the function with the negative code of an expression. */
#define TRY(expr)                       \
	do {                            \
		int try_ = (expr);      \
		if (unlikely(try_ < 0)) \
			return try_;    \
	} while (0)

void cursor_init(struct cursor *cursor, const void *data, size_t size);

static inline size_t cursor_remaining(const struct cursor *cursor)
{
	return cursor->size - cursor->pos;
}

/* 0 if all was well so far and nothing is left; -EBADMSG else. */
MUST_USE int cursor_done(const struct cursor *cursor);

MUST_USE int cursor_get_u8(struct cursor *cursor, uint8_t *ret);
MUST_USE int cursor_get_le16(struct cursor *cursor, uint16_t *ret);
MUST_USE int cursor_get_le32(struct cursor *cursor, uint32_t *ret);
MUST_USE int cursor_get_le64(struct cursor *cursor, uint64_t *ret);
MUST_USE int cursor_get_be16(struct cursor *cursor, uint16_t *ret);
MUST_USE int cursor_get_be32(struct cursor *cursor, uint32_t *ret);
MUST_USE int cursor_get_be64(struct cursor *cursor, uint64_t *ret);

MUST_USE int cursor_skip(struct cursor *cursor, size_t count);
/* Absolute position, forward or back; <= size. */
MUST_USE int cursor_seek(struct cursor *cursor, size_t pos);
/* A pointer to the next count bytes. */
MUST_USE int cursor_get_bytes(struct cursor *cursor, const uint8_t **ret, size_t count);
/* Copies the next count bytes. */
MUST_USE int cursor_copy_bytes(struct cursor *cursor, void *ret, size_t count);
/* The next count bytes become a cursor of their own. */
MUST_USE int cursor_get_sub(struct cursor *cursor, struct cursor *ret, size_t count);
/*
 * A fixed field of text: ends at the first NUL, trailing spaces dropped. ret has
 * room for count + 1 bytes. Text is what the sender says: it may be any bytes.
 */
MUST_USE int cursor_get_text(struct cursor *cursor, char *ret, size_t count);
/* Text up to and including a NUL; the pointer goes into data. */
MUST_USE int cursor_get_cstr(struct cursor *cursor, const char **ret);

void builder_init(struct builder *builder, void *data, size_t size);

static inline size_t builder_room(const struct builder *builder)
{
	return builder->size - builder->pos;
}

MUST_USE int builder_put_u8(struct builder *builder, uint8_t value);
MUST_USE int builder_put_le16(struct builder *builder, uint16_t value);
MUST_USE int builder_put_le32(struct builder *builder, uint32_t value);
MUST_USE int builder_put_le64(struct builder *builder, uint64_t value);
MUST_USE int builder_put_be16(struct builder *builder, uint16_t value);
MUST_USE int builder_put_be32(struct builder *builder, uint32_t value);
MUST_USE int builder_put_be64(struct builder *builder, uint64_t value);

MUST_USE int builder_put_bytes(struct builder *builder, const void *bytes, size_t count);
MUST_USE int builder_put_zeroes(struct builder *builder, size_t count);
/* The next count bytes, to be filled by the caller. */
MUST_USE int builder_reserve(struct builder *builder, uint8_t **ret, size_t count);
/* A fixed field of text filled up with pad (' ' or 0); -EMSGSIZE if it is too long (C2). */
MUST_USE int builder_put_text(struct builder *builder, const char *text, size_t count, char pad);
/* Text with its NUL. */
MUST_USE int builder_put_cstr(struct builder *builder, const char *text);

#endif
