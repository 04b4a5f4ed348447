// SPDX-License-Identifier: Apache-2.0
/*
 * uuid - RFC 9562 identifiers.
 */
#include <errno.h>
#include <string.h>

#include "base/uuid.h"

__extension__ typedef unsigned __int128 uuid_u128;

static bool uuid_dash_at(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

/* 0..15, or -1. */
static int uuid_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int uuid_parse(const char *text, struct uuid *ret)
{
	struct uuid uuid = { { 0 } };
	size_t digits = 0;

	for (size_t i = 0; i < UUID_TEXT_SIZE - 1; i++) {
		int digit = uuid_digit(text[i]);

		if (uuid_dash_at(i) ? text[i] != '-' : digit < 0)
			return -EINVAL; /* also at an early end */
		if (uuid_dash_at(i))
			continue;
		uuid.bytes[digits / 2] = (uint8_t)(uuid.bytes[digits / 2] << 4 | digit);
		digits++;
	}
	if (text[UUID_TEXT_SIZE - 1] != '\0')
		return -EINVAL;
	*ret = uuid;
	return 0;
}

char *uuid_print(const struct uuid *uuid, char text[UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *p = text;

	for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
		if (uuid_dash_at((size_t)(p - text)))
			*p++ = '-';
		*p++ = digits[uuid->bytes[i] >> 4];
		*p++ = digits[uuid->bytes[i] & 15];
	}
	*p = '\0';
	return text;
}

int uuid_compare(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return uuid_compare(a, b) == 0;
}

bool uuid_is_nil(const struct uuid *uuid)
{
	static const struct uuid nil;

	return uuid_equal(uuid, &nil);
}

static struct uuid uuid_stamp(struct uuid uuid, uint8_t version)
{
	uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | version << 4);
	uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80); /* variant of the RFC */
	return uuid;
}

struct uuid uuid_v4(const uint8_t random[16])
{
	struct uuid uuid;

	memcpy(uuid.bytes, random, sizeof(uuid.bytes));
	return uuid_stamp(uuid, 4);
}

static uuid_u128 uuid_fnv1a(uuid_u128 sum, const void *bytes, size_t size)
{
	const uuid_u128 prime = (uuid_u128)1 << 88 | 0x13b;
	const uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ p[i]) * prime;
	return sum;
}

/* The finalizer of splitmix64. */
static uint64_t uuid_mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct uuid uuid_from_name(const struct uuid *space, const void *name, size_t size)
{
	uuid_u128 sum = (uuid_u128)UINT64_C(0x6c62272e07bb0142) << 64 |
			UINT64_C(0x62b821756295c58d);
	uint64_t high, low;
	struct uuid uuid;

	sum = uuid_fnv1a(sum, space->bytes, sizeof(space->bytes));
	sum = uuid_fnv1a(sum, name, size);
	high = uuid_mix((uint64_t)(sum >> 64) + (uint64_t)sum);
	low = uuid_mix((uint64_t)sum ^ high);
	for (size_t i = 8; i-- > 0; high >>= 8, low >>= 8) {
		uuid.bytes[i] = (uint8_t)high;
		uuid.bytes[8 + i] = (uint8_t)low;
	}
	return uuid_stamp(uuid, 8);
}
