// SPDX-License-Identifier: Apache-2.0
/*
 * shower - runs a fuzz target on random bytes, for one whose inputs take too long for libFuzzer, in
 * any build.
 *
 *	shower FIRST COUNT BYTES	inputs of the seeds from FIRST on, of 1 to BYTES bytes
 *	shower --show SEED BYTES	that input, on standard output: for the corpus
 *
 * Small numbers are likelier than others. Should the target die, the seed is the last line.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "fuzz.h"

static size_t rain(uint64_t seed, uint8_t *buf, size_t bytes_max)
{
	struct prng prng;
	size_t size;

	prng_init(&prng, seed, 17);
	size = prng_range(&prng, 1, bytes_max);
	prng_fill(&prng, buf, size);
	for (size_t i = 0; i < size; i++)
		if (prng_below(&prng, 3) == 0)
			buf[i] = (uint8_t)prng_below(&prng, 3);
	return size;
}

int main(int argc, char **argv)
{
	bool show = argc == 4 && strcmp(argv[1], "--show") == 0;
	uint64_t first = argc == 4 ? strtoull(argv[show ? 2 : 1], NULL, 0) : 0;
	uint64_t count = argc == 4 ? strtoull(argv[2], NULL, 0) : 0;
	size_t bytes_max = argc == 4 ? strtoull(argv[3], NULL, 0) : 0;
	uint8_t *buf = malloc(bytes_max + 1);

	if (!bytes_max || !buf) {
		fprintf(stderr, "usage: shower FIRST COUNT BYTES | shower --show SEED BYTES\n");
		return 2;
	}
	if (show)
		return fwrite(buf, 1, rain(first, buf, bytes_max), stdout) == 0;
	for (uint64_t seed = first; seed < first + count; seed++) {
		size_t size = rain(seed, buf, bytes_max);

		fprintf(stderr, "\rseed %llu ", (unsigned long long)seed);
		FUZZ_TARGET(buf, size);
	}
	printf("\n1..1\nok 1 - target_bears_%llu_inputs\n", (unsigned long long)count);
	free(buf);
	return 0;
}
