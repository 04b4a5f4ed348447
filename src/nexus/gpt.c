// SPDX-License-Identifier: Apache-2.0
/*
 * gpt - see gpt.h. Everything is little-endian; of a uuid the first three fields are, too.
 *
 *	MBR:	446 partition 1: 0, 00 02 00, ee, ff ff ff, first block (4) 1, blocks (4)
 *		510 55 aa
 *
 *	header:	OFFSET SIZE FIELD			entry:	OFFSET SIZE FIELD
 *		0      8    "EFI PART"				0      16   type
 *		8      4    revision 1.0			16     16   partition
 *		12     4    size, 92				32     8    first block
 *		16     4    crc32 of the header			40     8    last block
 *		24     8    this block				48     8    attributes
 *		32     8    the other header's block		56     72   name, UTF-16
 *		40     8    first usable block
 *		48     8    last usable block
 *		56     16   disk
 *		72     8    block of the entries
 *		80     4    number of entries, 128
 *		84     4    size of an entry, 128
 *		88     4    crc32 of the entries
 */
#include "nexus/gpt.h"

#include <string.h>

#include "base/le.h"
#include "base/must.h"

/* IEEE 802.3, reflected; four bits at a time. */
static uint32_t gpt_crc32(const uint8_t *bytes, size_t size)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc = table[(crc ^ bytes[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ bytes[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

static void gpt_put_uuid(uint8_t *at, const struct uuid *uuid)
{
	static const uint8_t from[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (unsigned i = 0; i < sizeof(from); i++)
		at[i] = uuid->bytes[from[i]];
}

uint64_t gpt_entries_blocks(uint32_t block_size)
{
	return div_up_u64(GPT_ENTRIES_BYTES, block_size);
}

void gpt_encode_mbr(const struct gpt *gpt, uint8_t block[512])
{
	static const uint8_t chs[] = { 0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff };

	memset(block, 0, 512);
	memcpy(block + 446, chs, sizeof(chs));
	le32_put(block + 454, 1);
	le32_put(block + 458, (uint32_t)min_u64(gpt->blocks - 1, UINT32_MAX));
	block[510] = 0x55;
	block[511] = 0xaa;
}

void gpt_encode_entries(const struct gpt *gpt, uint8_t entries[GPT_ENTRIES_BYTES])
{
	static const char name[] = GPT_PARTITION_NAME;
	struct uuid type;

	must(uuid_parse(GPT_TYPE_MAYASTOR, &type) == 0);
	memset(entries, 0, GPT_ENTRIES_BYTES);
	gpt_put_uuid(entries, &type);
	gpt_put_uuid(entries + 16, &gpt->partition);
	le64_put(entries + 32, gpt->first);
	le64_put(entries + 40, gpt->last);
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		le16_put(entries + 56 + 2 * i, (uint8_t)name[i]);
}

void gpt_encode_header(const struct gpt *gpt, const uint8_t entries[GPT_ENTRIES_BYTES],
		       bool is_backup, uint8_t header[GPT_HEADER_BYTES])
{
	uint64_t end = gpt->blocks - 1, entries_blocks = gpt_entries_blocks(gpt->block_size);

	memset(header, 0, GPT_HEADER_BYTES);
	memcpy(header, "EFI PART", 8);
	le32_put(header + 8, 0x00010000);
	le32_put(header + 12, GPT_HEADER_BYTES);
	le64_put(header + 24, is_backup ? end : GPT_HEADER_BLOCK);
	le64_put(header + 32, is_backup ? GPT_HEADER_BLOCK : end);
	le64_put(header + 40, gpt->first);
	le64_put(header + 48, end - entries_blocks - 1);
	gpt_put_uuid(header + 56, &gpt->disk);
	le64_put(header + 72, is_backup ? end - entries_blocks : GPT_ENTRIES_BLOCK);
	le32_put(header + 80, GPT_ENTRIES);
	le32_put(header + 84, GPT_ENTRY_BYTES);
	le32_put(header + 88, gpt_crc32(entries, GPT_ENTRIES_BYTES));
	le32_put(header + 16, gpt_crc32(header, GPT_HEADER_BYTES));
}
