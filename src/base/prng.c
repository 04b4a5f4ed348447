// SPDX-License-Identifier: Apache-2.0
/*
 * prng - xoshiro256** by Blackman and Vigna, seeded by splitmix64.
 */
#include <string.h>

#include "base/must.h"
#include "base/prng.h"

__extension__ typedef unsigned __int128 prng_u128;

static uint64_t prng_splitmix(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* The stream is mixed twice, so that (1, 2) and (2, 1) have nothing in common. */
void prng_init(struct prng *prng, uint64_t seed, uint64_t stream)
{
	uint64_t state = stream;

	state = prng_splitmix(&state) ^ seed;
	for (size_t i = 0; i < ARRAY_LEN(prng->s); i++)
		prng->s[i] = prng_splitmix(&state);
}

static uint64_t prng_rotl(uint64_t x, int count)
{
	return x << count | x >> (64 - count);
}

uint64_t prng_u64(struct prng *prng)
{
	uint64_t *s = prng->s;
	uint64_t result = prng_rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = prng_rotl(s[3], 45);
	return result;
}

/* Lemire's method: the high half of x * n, draws that would favour some are repeated. */
uint64_t prng_below(struct prng *prng, uint64_t n)
{
	prng_u128 product;

	must(n > 0);
	product = (prng_u128)prng_u64(prng) * n;
	if ((uint64_t)product < n) {
		uint64_t unfair = -n % n;

		while ((uint64_t)product < unfair)
			product = (prng_u128)prng_u64(prng) * n;
	}
	return (uint64_t)(product >> 64);
}

uint64_t prng_range(struct prng *prng, uint64_t first, uint64_t last)
{
	must(first <= last);
	if (last - first == UINT64_MAX)
		return prng_u64(prng);
	return first + prng_below(prng, last - first + 1);
}

bool prng_chance_ppm(struct prng *prng, uint32_t ppm)
{
	return prng_below(prng, PRNG_PPM) < ppm;
}

double prng_double(struct prng *prng)
{
	return (double)(prng_u64(prng) >> 11) * 0x1p-53;
}

static void prng_swap(uint8_t *a, uint8_t *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

void prng_shuffle(struct prng *prng, void *items, size_t count, size_t item_size)
{
	uint8_t *bytes = items;

	for (size_t i = count; i > 1; i--)
		prng_swap(bytes + (i - 1) * item_size, bytes + prng_below(prng, i) * item_size,
			  item_size);
}

void prng_fill(struct prng *prng, void *bytes, size_t size)
{
	uint8_t *p = bytes;

	while (size > 0) {
		uint64_t word = prng_u64(prng);
		size_t piece = min_size(size, sizeof(word));

		for (size_t i = 0; i < piece; i++, word >>= 8)
			*p++ = (uint8_t)word; /* the same bytes on any machine */
		size -= piece;
	}
}
