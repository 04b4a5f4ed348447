// SPDX-License-Identifier: Apache-2.0
/*
 * uuid - RFC 9562 identifiers; bytes in network order, as they are printed.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/lang.h"

#define UUID_TEXT_SIZE 37 /* with the NUL */

struct uuid {
	uint8_t bytes[16];
};

/* Strictly 8-4-4-4-12 hexadecimal digits of any case; else -EINVAL. */
MUST_USE int uuid_parse(const char *text, struct uuid *ret);

/* Lower case; returns text. */
char *uuid_print(const struct uuid *uuid, char text[UUID_TEXT_SIZE]);

/* < 0, 0, > 0 in byte order. */
int uuid_compare(const struct uuid *a, const struct uuid *b);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *uuid);

/* Version 4 from 16 random bytes of the caller. */
struct uuid uuid_v4(const uint8_t random[16]);

/*
 * Version 8, the same for the same name within a namespace: the 128-bit FNV-1a
 * sum of the namespace's bytes and the name's, its halves mixed. Good against
 * accidents, not against malice.
 */
struct uuid uuid_from_name(const struct uuid *space, const void *name, size_t size);

#endif
