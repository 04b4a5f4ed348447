// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_nexus_label - any 512 bytes as the label of a foreign disk: refused, or values that fit each
 * other (LB1), and the same after they were written anew. The same bytes as both ends of a disk: a
 * name or none.
 *
 *	input:	1: magic and checksum are put right, 0: they stay; then the bytes
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "base/must.h"
#include "bdev/bdev.h"
#include "fuzz.h"
#include "nexus/label.h"

static void check_label(const struct nexus_label *label)
{
	struct nexus_label back;
	uint8_t again[LABEL_BYTES];

	must(label->data_bytes > 0 && label->data_bytes % LABEL_UNIT == 0);
	must(is_pow2_u64(label->block_size) && label->block_size >= BDEV_BLOCK_MIN &&
	     label->block_size <= BDEV_BLOCK_MAX);
	must(!uuid_is_nil(&label->volume) && !uuid_is_nil(&label->member));
	must(strlen(label->name) <= VOLUME_NAME_MAX && strlen(label->store) <= LABEL_STORE_MAX);
	nexus_label_encode(label, again);
	must(nexus_label_decode(again, &back) == 0);
	must(back.serial == label->serial && back.data_bytes == label->data_bytes);
	must(back.gen_epoch == label->gen_epoch && back.gen_n == label->gen_n);
	must(strcmp(back.name, label->name) == 0 && strcmp(back.store, label->store) == 0);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct nexus_label label;
	uint8_t bytes[LABEL_BYTES] = { 0 };

	if (size == 0)
		return 0;
	memcpy(bytes, data + 1, min_u64(size - 1, sizeof(bytes)));
	if (data[0] & 1) {
		memcpy(bytes, "MAYALABL", 8);
		le32_put(bytes + 12, 0);
		le32_put(bytes + 12, crc32c(0, bytes, sizeof(bytes)));
	}
	if (nexus_label_decode(bytes, &label) == 0)
		check_label(&label);
	(void)foreign_name(data, size, data, size);
	return 0;
}
