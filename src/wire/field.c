// SPDX-License-Identifier: Apache-2.0
/*
 * field - structures of the wire as tables. F1 and F2 stand in field.h.
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "wire/field.h"

static uint64_t member_get(const uint8_t *member, size_t size)
{
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 1:
		memcpy(&u8, member, 1);
		return u8;
	case 2:
		memcpy(&u16, member, 2);
		return u16;
	case 4:
		memcpy(&u32, member, 4);
		return u32;
	default:
		must(size == 8);
		memcpy(&u64, member, 8);
		return u64;
	}
}

static void member_put(uint8_t *member, size_t size, uint64_t value)
{
	uint8_t u8 = (uint8_t)value;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (size) {
	case 1:
		memcpy(member, &u8, 1);
		return;
	case 2:
		memcpy(member, &u16, 2);
		return;
	case 4:
		memcpy(member, &u32, 4);
		return;
	default:
		must(size == 8);
		memcpy(member, &value, 8);
	}
}

static void le_encode(const struct wire_field *field, const uint8_t *member, uint8_t *to)
{
	for (size_t n = 0; n < field->count; n++) {
		uint64_t value = member_get(member + n * field->member_size, field->member_size);

		for (size_t i = 0; i < field->size; i++, value >>= 8)
			to[n * field->size + i] = (uint8_t)value;
	}
}

static void le_decode(const struct wire_field *field, const uint8_t *from, uint8_t *member)
{
	for (size_t n = 0; n < field->count; n++) {
		uint64_t value = 0;
		uint8_t beyond = 0;

		for (size_t i = field->size; i-- > 0;) {
			uint8_t byte = from[n * field->size + i];

			if (i < field->member_size)
				value = value << 8 | byte;
			else
				beyond |= byte;
		}
		if (beyond)
			value = UINT64_MAX; /* F2 */
		member_put(member + n * field->member_size, field->member_size, value);
	}
}

static void text_encode(const struct wire_field *field, const uint8_t *member, uint8_t *to)
{
	size_t len = strnlen((const char *)member, min_size(field->member_size, field->size));

	memset(to, field->kind == WIRE_TEXT ? ' ' : 0, field->size);
	memcpy(to, member, len);
}

/* Ends at a NUL or at the end of the field; trailing spaces are padding. */
static void text_decode(const struct wire_field *field, const uint8_t *from, uint8_t *member)
{
	size_t len = strnlen((const char *)from, field->size);

	must(field->member_size > field->size);
	while (len > 0 && from[len - 1] == ' ')
		len--;
	memset(member, 0, field->member_size);
	memcpy(member, from, len);
}

static int name_decode(const struct wire_field *field, const uint8_t *from, uint8_t *member)
{
	size_t len = strnlen((const char *)from, field->size);

	if (len == field->size || len >= field->member_size)
		return -EBADMSG;
	memset(member, 0, field->member_size);
	memcpy(member, from, len);
	return 0;
}

void wire_encode(const struct wire_field *fields, size_t count, const void *from, uint8_t *ret)
{
	for (size_t i = 0; i < count; i++) {
		const uint8_t *member = (const uint8_t *)from + fields[i].member;
		uint8_t *to = ret + fields[i].at;

		switch (fields[i].kind) {
		case WIRE_LE:
			le_encode(&fields[i], member, to);
			break;
		case WIRE_BYTES:
			memcpy(to, member, fields[i].size);
			break;
		default:
			text_encode(&fields[i], member, to);
		}
	}
}

int wire_decode(const struct wire_field *fields, size_t count, const uint8_t *bytes, void *ret)
{
	for (size_t i = 0; i < count; i++) {
		const uint8_t *from = bytes + fields[i].at;
		uint8_t *member = (uint8_t *)ret + fields[i].member;

		switch (fields[i].kind) {
		case WIRE_LE:
			le_decode(&fields[i], from, member);
			break;
		case WIRE_BYTES:
			memcpy(member, from, fields[i].size);
			break;
		case WIRE_TEXT:
			text_decode(&fields[i], from, member);
			break;
		default:
			if (name_decode(&fields[i], from, member) < 0)
				return -EBADMSG;
		}
	}
	return 0;
}
