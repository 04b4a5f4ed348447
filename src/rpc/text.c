// SPDX-License-Identifier: Apache-2.0
/*
 * text - the small texts of gRPC's headers, and UTF-8.
 */
#include "rpc/text_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- UTF-8 ----------------------------------------------------------------------- */

/* Bytes of the character at p, or 0: none. */
static size_t utf8_one(const uint8_t *p, size_t len)
{
	size_t more = p[0] < 0x80 ? 0 :
		      p[0] < 0xc2 ? 9 :
		      p[0] < 0xe0 ? 1 :
		      p[0] < 0xf0 ? 2 :
		      p[0] < 0xf5 ? 3 :
				    9;

	if (more >= len)
		return 0;
	for (size_t i = 1; i <= more; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) ||  /* longer than it need be */
	    (p[0] == 0xed && p[1] >= 0xa0) || /* surrogates */
	    (p[0] == 0xf0 && p[1] < 0x90) ||  /* longer than it need be */
	    (p[0] == 0xf4 && p[1] >= 0x90))   /* beyond U+10FFFF */
		return 0;
	return more + 1;
}

size_t rpc_utf8_len(const void *text, size_t len)
{
	const uint8_t *p = text;
	size_t at = 0, one;

	while (at < len && (one = utf8_one(p + at, len - at)))
		at += one;
	return at;
}

/* ---- percent encoding ------------------------------------------------------------ */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte; false: no room. */
static bool percent_put(uint8_t byte, char *ret, size_t size, size_t *at)
{
	static const char digits[] = "0123456789ABCDEF";
	const bool plain = byte >= 0x20 && byte < 0x7f && byte != '%';

	if (*at + (plain ? 1 : 3) >= size)
		return false;
	if (plain) {
		ret[(*at)++] = (char)byte;
		return true;
	}
	ret[(*at)++] = '%';
	ret[(*at)++] = digits[byte >> 4];
	ret[(*at)++] = digits[byte & 15];
	return true;
}

size_t rpc_percent_encode(const char *text, char *ret, size_t size)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len = strlen(text), at = 0;

	while (len) {
		size_t one = utf8_one(p, len), before = at;
		const uint8_t *from = one ? p : (const uint8_t *)"?";
		bool fits = true;

		one = one ? one : 1;
		for (size_t i = 0; i < one && fits; i++)
			fits = percent_put(from[i], ret, size, &at);
		if (!fits) {
			at = before; /* no half a character */
			break;
		}
		p += one;
		len -= one;
	}
	ret[at] = '\0';
	return at;
}

size_t rpc_percent_decode(const char *text, size_t len, char *ret, size_t size)
{
	size_t at = 0, good;

	for (size_t i = 0; i < len && at + 1 < size; i++) {
		if (text[i] == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 &&
		    hex_value(text[i + 2]) >= 0) {
			ret[at++] = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
			i += 2;
		} else {
			ret[at++] = text[i];
		}
	}
	for (good = rpc_utf8_len(ret, at); good < at; good += rpc_utf8_len(ret + good, at - good))
		ret[good++] = '?';
	for (size_t i = 0; i < at; i++)
		if (ret[i] == '\0')
			ret[i] = '?';
	ret[at] = '\0';
	return at;
}

/* ---- numbers --------------------------------------------------------------------- */

int rpc_number_parse(const char *text, size_t len, unsigned max, unsigned *ret)
{
	uint64_t value = 0;

	if (len == 0 || len > 9)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	if (value > max)
		return -EINVAL;
	*ret = (unsigned)value;
	return 0;
}

/* ---- time-outs ------------------------------------------------------------------- */

#define TIMEOUT_DIGITS_MAX 99999999u

static const struct {
	char letter;
	uint64_t ns;
} units[] = {
	{ 'n', 1 },	     { 'u', 1000 },	   { 'm', 1000000 },
	{ 'S', 1000000000 }, { 'M', 60000000000 }, { 'H', 3600000000000 },
};

int rpc_timeout_parse(const char *text, size_t len, uint64_t *ret_ns)
{
	unsigned value;

	if (len < 2 || len > 9 || rpc_number_parse(text, len - 1, TIMEOUT_DIGITS_MAX, &value) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_LEN(units); i++)
		if (units[i].letter == text[len - 1]) {
			if (__builtin_mul_overflow((uint64_t)value, units[i].ns, ret_ns))
				*ret_ns = UINT64_MAX;
			return 0;
		}
	return -EINVAL;
}

void rpc_timeout_print(uint64_t ns, char ret[RPC_TIMEOUT_TEXT])
{
	unsigned i = 0;

	while (i + 1 < ARRAY_LEN(units) && div_up_u64(ns, units[i].ns) > TIMEOUT_DIGITS_MAX)
		i++;
	snprintf(ret, RPC_TIMEOUT_TEXT, "%" PRIu64 "%c", div_up_u64(ns, units[i].ns),
		 units[i].letter);
}
