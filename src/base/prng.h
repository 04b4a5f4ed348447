// SPDX-License-Identifier: Apache-2.0
/*
 * prng - seeded pseudo-random numbers (xoshiro256**), not for secrets.
 *
 * Streams of one seed are independent: give each user a number of its own, so
 * that one more draw here does not change what happens there.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include "base/lang.h"

#define PRNG_PPM 1000000

struct prng {
	uint64_t s[4];
};

void prng_init(struct prng *prng, uint64_t seed, uint64_t stream);

uint64_t prng_u64(struct prng *prng);

/* 0 .. n - 1, all alike; n > 0. */
uint64_t prng_below(struct prng *prng, uint64_t n);

/* first .. last, both included. */
uint64_t prng_range(struct prng *prng, uint64_t first, uint64_t last);

/* True ppm times in a million; 0 never, PRNG_PPM or more always. Always draws once. */
bool prng_chance_ppm(struct prng *prng, uint32_t ppm);

static inline bool prng_chance_permille(struct prng *prng, uint32_t permille)
{
	return prng_chance_ppm(prng, permille >= 1000 ? PRNG_PPM : permille * 1000);
}

/* 0 <= x < 1. */
double prng_double(struct prng *prng);

void prng_shuffle(struct prng *prng, void *items, size_t count, size_t item_size);

void prng_fill(struct prng *prng, void *bytes, size_t size);

#endif
