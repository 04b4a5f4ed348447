/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field - large structures of the wire as tables: one line says where a field is, how
 * long, and which member of our struct it is; both directions follow from it.
 *
 *	static const struct wire_field smart_fields[] = {
 *		// OFFSET SIZE FIELD
 *		F_LE(   0,    1, struct nvme_smart, critical_warning),
 *
 * For what is built or read once in a while (identify data, log pages). Hot structures
 * (commands, completions, PDU heads) are coded by hand.
 *
 * F1. Bytes no line names are written as zeros and ignored when read.
 * F2. A number too big for its member is read as the member's greatest value.
 */
#ifndef WIRE_FIELD_H
#define WIRE_FIELD_H

#include "base/lang.h"

enum wire_kind {
	WIRE_LE,    /* little-endian number of any size into an unsigned member */
	WIRE_BYTES, /* bytes as they are; an array of the same size */
	WIRE_TEXT,  /* ASCII padded with spaces; char[size + 1] */
	WIRE_NAME,  /* text that ends with a NUL; char[], shorter than its field */
};

struct wire_field {
	uint16_t at;   /* offset on the wire */
	uint16_t size; /* bytes there */
	uint16_t member;
	uint16_t member_size;
	uint16_t count; /* numbers side by side: 1, or an array's length */
	uint8_t kind;
};

#define F_FIELD_(at, size, type, member, count, kind)                                           \
	{                                                                                       \
		at, size, offsetof(type, member), sizeof(((type *)0)->member) / (count), count, \
			kind                                                                    \
	}
#define F_LE(at, size, type, member)	     F_FIELD_(at, size, type, member, 1, WIRE_LE)
#define F_LES(at, size, type, member, count) F_FIELD_(at, size, type, member, count, WIRE_LE)
#define F_BYTES(at, size, type, member)	     F_FIELD_(at, size, type, member, 1, WIRE_BYTES)
#define F_TEXT(at, size, type, member)	     F_FIELD_(at, size, type, member, 1, WIRE_TEXT)
#define F_NAME(at, size, type, member)	     F_FIELD_(at, size, type, member, 1, WIRE_NAME)

/* Writes the fields into ret; the caller has zeroed it (F1). Text too long is cut. */
void wire_encode(const struct wire_field *fields, size_t count, const void *from, uint8_t *ret);

/*
 * Reads the fields of bytes; -EBADMSG if a WIRE_NAME does not end, or is too long for its
 * member: then some members may be set, and the caller drops the lot.
 */
MUST_USE int wire_decode(const struct wire_field *fields, size_t count, const uint8_t *bytes,
			 void *ret);

#endif
