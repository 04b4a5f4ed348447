/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern - blocks that say what they are: what was written, where and when.
 *
 *	OFFSET SIZE FIELD
 *	     0    8 magic
 *	     8    8 seed     of the run
 *	    16    8 lba
 *	    24    8 serial   of the write
 *	    32    4 crc32c   of the block with this field zero
 *	    36    4 zero
 *	    40      body     64-bit words that follow from the fields above
 *
 * So a stale, lost, misplaced or torn write is told from a good one, and named.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include "base/lang.h"

#define PATTERN_WORDS_SIZE 160

/* size: a multiple of 8, at least 512. */
void pattern_fill(void *block, uint32_t size, uint64_t seed, uint64_t lba, uint64_t serial);

/* True if the block is what pattern_fill() made of the same arguments. */
bool pattern_is(const void *block, uint32_t size, uint64_t seed, uint64_t lba, uint64_t serial);

bool pattern_is_zero(const void *block, uint32_t size);

/* What a block is, in words: "zeros", "lba 8 serial 3 (intact)", ... */
const char *pattern_words(const void *block, uint32_t size, uint64_t seed,
			  char words[PATTERN_WORDS_SIZE]);

#endif
