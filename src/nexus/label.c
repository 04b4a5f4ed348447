// SPDX-License-Identifier: Apache-2.0
/* label - the bytes of a label. See label.h; how they come to a disk: label_disk.c. */
#include "nexus/label.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "bdev/bdev.h"
#include "nexus/gpt.h"

#define MAGIC "MAYALABL"

static uint32_t label_crc(const uint8_t bytes[LABEL_BYTES])
{
	static const uint8_t zeros[4];
	uint32_t crc = crc32c(0, bytes, 12);

	crc = crc32c(crc, zeros, sizeof(zeros));
	return crc32c(crc, bytes + 16, LABEL_BYTES - 16);
}

void nexus_label_encode(const struct nexus_label *label, uint8_t bytes[LABEL_BYTES])
{
	memset(bytes, 0, LABEL_BYTES);
	memcpy(bytes, MAGIC, 8);
	le32_put(bytes + 8, LABEL_VERSION);
	le64_put(bytes + 16, label->serial);
	memcpy(bytes + 24, label->volume.bytes, 16);
	memcpy(bytes + 40, label->member.bytes, 16);
	le64_put(bytes + 56, LABEL_DATA);
	le64_put(bytes + 64, label->data_bytes);
	le32_put(bytes + 72, label->block_size);
	le64_put(bytes + 80, label->gen_epoch);
	le64_put(bytes + 88, label->gen_n);
	memcpy(bytes + 96, label->name, strnlen(label->name, VOLUME_NAME_MAX));
	memcpy(bytes + 160, label->store, strnlen(label->store, LABEL_STORE_MAX));
	le32_put(bytes + 12, label_crc(bytes));
}

/* LB1. */
static bool label_fits(const uint8_t bytes[LABEL_BYTES], const struct nexus_label *label)
{
	return is_pow2_u64(label->block_size) && label->block_size >= BDEV_BLOCK_MIN &&
	       label->block_size <= BDEV_BLOCK_MAX && le64_get(bytes + 56) == LABEL_DATA &&
	       label->data_bytes > 0 && label->data_bytes % LABEL_UNIT == 0 &&
	       label->data_bytes <= INT64_MAX && !uuid_is_nil(&label->volume) &&
	       !uuid_is_nil(&label->member) && bytes[96 + VOLUME_NAME_MAX] == 0 &&
	       bytes[160 + LABEL_STORE_MAX] == 0;
}

int nexus_label_decode(const uint8_t bytes[LABEL_BYTES], struct nexus_label *ret)
{
	struct nexus_label label = { 0 };

	if (memcmp(bytes, MAGIC, 8) != 0)
		return -ENOMSG;
	if (le32_get(bytes + 12) != label_crc(bytes))
		return -EILSEQ;
	if (le32_get(bytes + 8) != LABEL_VERSION)
		return -EPROTO; /* LB4 */
	label.serial = le64_get(bytes + 16);
	memcpy(label.volume.bytes, bytes + 24, 16);
	memcpy(label.member.bytes, bytes + 40, 16);
	label.data_bytes = le64_get(bytes + 64);
	label.block_size = le32_get(bytes + 72);
	label.gen_epoch = le64_get(bytes + 80);
	label.gen_n = le64_get(bytes + 88);
	memcpy(label.name, bytes + 96, VOLUME_NAME_MAX);
	memcpy(label.store, bytes + 160, LABEL_STORE_MAX);
	if (!label_fits(bytes, &label))
		return -EILSEQ;
	*ret = label;
	return 0;
}

uint64_t nexus_label_room(uint64_t blocks, uint32_t block_size)
{
	uint64_t behind = 1 + gpt_entries_blocks(block_size); /* the backup */
	uint64_t head = LABEL_DATA / block_size;

	if (blocks <= head + behind)
		return 0;
	return align_down_u64((blocks - head - behind) * block_size, LABEL_UNIT);
}
