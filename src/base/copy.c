// SPDX-License-Identifier: Apache-2.0
/*
 * copy - non-temporal stores on x86-64; elsewhere memcpy().
 */
#include <string.h>

#include "base/copy.h"
#include "base/lang.h"

#ifdef __x86_64__
#include <emmintrin.h>

#define COPY_LINE 64u

static void copy_line(uint8_t *to, const uint8_t *from)
{
	const __m128i *in = (const __m128i *)(const void *)from;
	__m128i *out = (__m128i *)(void *)to;
	__m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1);
	__m128i c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);

	_mm_stream_si128(out, a);
	_mm_stream_si128(out + 1, b);
	_mm_stream_si128(out + 2, c);
	_mm_stream_si128(out + 3, d);
}

void copy_cold(void *to_bytes, const void *from_bytes, size_t size)
{
	uint8_t *to = to_bytes;
	const uint8_t *from = from_bytes;
	size_t head = min_size(-(uintptr_t)to % COPY_LINE, size);

	memcpy(to, from, head);
	for (to += head, from += head, size -= head; size >= COPY_LINE; size -= COPY_LINE) {
		copy_line(to, from);
		to += COPY_LINE;
		from += COPY_LINE;
	}
	_mm_sfence(); /* these stores are not ordered by themselves */
	memcpy(to, from, size);
}
#else
void copy_cold(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
}
#endif
