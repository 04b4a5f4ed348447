/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpt - the partition table of a labelled disk: one partition, that holds the volume (UEFI 2.10, 5.3).
 *
 *	block 0             protective MBR
 *	block 1             primary header
 *	block 2 ...         128 entries of 128 bytes: 16 KiB
 *	...
 *	end - 1 - 16 KiB    the entries again
 *	end - 1             backup header
 */
#ifndef NEXUS_GPT_H
#define NEXUS_GPT_H

#include "base/uuid.h"

#define GPT_ENTRIES	   128u
#define GPT_ENTRY_BYTES	   128u
#define GPT_ENTRIES_BYTES  16384u
#define GPT_HEADER_BYTES   92u
#define GPT_HEADER_BLOCK   1u
#define GPT_ENTRIES_BLOCK  2u
#define GPT_TYPE_MAYASTOR  "4d415941-5354-4f52-9e58-4d454d424552"
#define GPT_PARTITION_NAME "mayastor volume"

struct gpt {
	uint64_t blocks; /* of the disk */
	uint32_t block_size;
	uint64_t first, last; /* blocks of the partition */
	struct uuid disk, partition;
};

/* Blocks that the entries take. */
uint64_t gpt_entries_blocks(uint32_t block_size);

void gpt_encode_mbr(const struct gpt *gpt, uint8_t block[512]);
/* All of them; the same at both ends. */
void gpt_encode_entries(const struct gpt *gpt, uint8_t entries[GPT_ENTRIES_BYTES]);
/* The header of this end; the rest of its block is zeros. */
void gpt_encode_header(const struct gpt *gpt, const uint8_t entries[GPT_ENTRIES_BYTES],
		       bool is_backup, uint8_t header[GPT_HEADER_BYTES]);

#endif
