// SPDX-License-Identifier: Apache-2.0
/* pattern - see pattern.h. */
#include "pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"

#define PATTERN_MAGIC UINT64_C(0x6b6c6f4265727553)
#define GOLDEN	      UINT64_C(0x9e3779b97f4a7c15)

struct pattern_head {
	uint64_t magic, seed, lba, serial;
	uint32_t crc, zero;
};

static uint32_t pattern_crc(const void *block, uint32_t size)
{
	struct pattern_head head;

	memcpy(&head, block, sizeof(head));
	head.crc = 0;
	return crc32c(crc32c(0, &head, sizeof(head)), (const char *)block + sizeof(head),
		      size - sizeof(head));
}

void pattern_fill(void *block, uint32_t size, uint64_t seed, uint64_t lba, uint64_t serial)
{
	struct pattern_head *head = block;
	uint64_t *body = (uint64_t *)(head + 1);
	uint64_t word = (seed ^ lba * GOLDEN) + serial;

	*head = (struct pattern_head){ PATTERN_MAGIC, seed, lba, serial, 0, 0 };
	for (uint32_t i = 0; i < (size - sizeof(*head)) / 8; i++)
		body[i] = word += GOLDEN;
	head->crc = pattern_crc(block, size);
}

bool pattern_is(const void *block, uint32_t size, uint64_t seed, uint64_t lba, uint64_t serial)
{
	struct pattern_head head;

	memcpy(&head, block, sizeof(head));
	return head.magic == PATTERN_MAGIC && head.seed == seed && head.lba == lba &&
	       head.serial == serial && head.crc == pattern_crc(block, size);
}

bool pattern_is_zero(const void *block, uint32_t size)
{
	const char *bytes = block;

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

const char *pattern_words(const void *block, uint32_t size, uint64_t seed,
			  char words[PATTERN_WORDS_SIZE])
{
	struct pattern_head head;

	memcpy(&head, block, sizeof(head));
	if (pattern_is_zero(block, size))
		snprintf(words, PATTERN_WORDS_SIZE, "zeros");
	else if (head.magic != PATTERN_MAGIC)
		snprintf(words, PATTERN_WORDS_SIZE,
			 "foreign data (%016" PRIx64 " %016" PRIx64 " ...)", head.magic, head.seed);
	else
		snprintf(words, PATTERN_WORDS_SIZE, "lba %" PRIu64 " serial %" PRIu64 "%s, %s",
			 head.lba, head.serial, head.seed == seed ? "" : " of another run",
			 head.crc == pattern_crc(block, size) ? "intact" : "torn or corrupt");
	return words;
}
