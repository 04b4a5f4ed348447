// SPDX-License-Identifier: Apache-2.0
/* label_disk - labels and their partition table on a disk: read, written, grown, wiped. See label.h. */
#include <errno.h>
#include <string.h>

#include "nexus/gpt.h"
#include "nexus/label.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/must.h"
#include "bdev/bdev.h"
#include "io/io.h"
#include "reactor/fiber.h"

#define ALIGN	   4096u
#define ROOM_BYTES BDEV_BLOCK_MAX /* a block, or the entries */

_Static_assert(GPT_ENTRIES_BYTES <= ROOM_BYTES, "the entries fit in the buffer");

static uint8_t *room_new(struct fiber *f)
{
	return mem_alloc_aligned(fiber_io(f)->mem, ALIGN, ROOM_BYTES);
}

/* ---- reading ----------------------------------------------------------------------------- */

static int copy_read(struct fiber *f, struct bdev_chan *chan, uint64_t offset, uint8_t *room,
		     struct nexus_label *ret)
{
	uint32_t block_size = chan->bdev->block_size;
	int r;

	if (nexus_label_room(chan->blocks, block_size) == 0)
		return -ENOMSG;
	r = bdev_read(f, chan, offset / block_size, 1, room);
	if (r == 0)
		r = nexus_label_decode(room, ret);
	if (r == 0 && ret->block_size != block_size)
		r = -EILSEQ;
	return r;
}

int nexus_label_read(struct fiber *f, struct bdev_chan *chan, struct nexus_label *ret)
{
	CLEANUP(cleanup_mem) uint8_t *room = room_new(f);
	struct nexus_label other;
	int a, b;

	if (!room)
		return fiber_fail(f, -ENOMEM, "no memory to read a label");
	a = copy_read(f, chan, LABEL_A, room, ret);
	if (a == -EPROTO)
		return a;
	fiber_clear(f); /* what can be read of B counts */
	b = copy_read(f, chan, LABEL_B, room, &other);
	if (b == -EPROTO)
		return b;
	if (b == 0 && (a < 0 || other.serial > ret->serial))
		*ret = other;
	if (a == 0 || b == 0) {
		fiber_clear(f);
		return 0;
	}
	return a == -ENOMSG ? b : a;
}

/* ---- writing ----------------------------------------------------------------------------- */

static int blocks_write(struct fiber *f, struct bdev_chan *chan, uint64_t block, uint8_t *room,
			uint32_t used, uint32_t size)
{
	memset(room + used, 0, size - used);
	return bdev_write(f, chan, block, size / chan->bdev->block_size, room, 0);
}

static int copy_write(struct fiber *f, struct bdev_chan *chan, uint64_t offset, uint8_t *room,
		      const struct nexus_label *label)
{
	uint32_t block_size = chan->bdev->block_size;
	int r;

	nexus_label_encode(label, room);
	r = blocks_write(f, chan, offset / block_size, room, LABEL_BYTES, block_size);
	return r < 0 ? r : bdev_flush(f, chan);
}

int nexus_label_write(struct fiber *f, struct bdev_chan *chan, struct nexus_label *label)
{
	CLEANUP(cleanup_mem) uint8_t *room = room_new(f);
	int r;

	if (!room)
		return fiber_fail(f, -ENOMEM, "no memory to write a label");
	label->serial++;
	r = copy_write(f, chan, LABEL_A, room, label); /* LB2 */
	return r < 0 ? r : copy_write(f, chan, LABEL_B, room, label);
}

static void table_of(const struct bdev_chan *chan, const struct nexus_label *label, struct gpt *ret)
{
	uint32_t block_size = chan->bdev->block_size;
	uint64_t first = LABEL_DATA / block_size;

	*ret = (struct gpt){
		.blocks = chan->blocks,
		.block_size = block_size,
		.first = first,
		.last = first + label->data_bytes / block_size - 1,
		.disk = label->member,
		.partition = label->member,
	};
	ret->partition.bytes[15] ^= 0xff; /* another, and always the same */
}

/* One end: entries, then the header that vouches for them. */
static int table_write_end(struct fiber *f, struct bdev_chan *chan, const struct gpt *gpt,
			   bool is_backup, uint8_t *room)
{
	uint64_t entries_blocks = gpt_entries_blocks(gpt->block_size), end = gpt->blocks - 1;
	uint32_t entries_bytes = (uint32_t)entries_blocks * gpt->block_size;
	uint8_t header[GPT_HEADER_BYTES];
	int r;

	gpt_encode_entries(gpt, room);
	gpt_encode_header(gpt, room, is_backup, header);
	r = blocks_write(f, chan, is_backup ? end - entries_blocks : GPT_ENTRIES_BLOCK, room,
			 GPT_ENTRIES_BYTES, entries_bytes);
	memcpy(room, header, sizeof(header));
	if (r == 0)
		r = blocks_write(f, chan, is_backup ? end : GPT_HEADER_BLOCK, room, sizeof(header),
				 gpt->block_size);
	return r < 0 ? r : bdev_flush(f, chan);
}

static int table_write(struct fiber *f, struct bdev_chan *chan, const struct nexus_label *label)
{
	CLEANUP(cleanup_mem) uint8_t *room = room_new(f);
	struct gpt gpt;
	int r;

	if (!room)
		return fiber_fail(f, -ENOMEM, "no memory to write a partition table");
	table_of(chan, label, &gpt);
	r = table_write_end(f, chan, &gpt, true, room);
	if (r == 0)
		r = table_write_end(f, chan, &gpt, false, room);
	gpt_encode_mbr(&gpt, room);
	if (r == 0)
		r = blocks_write(f, chan, 0, room, 512, gpt.block_size);
	return r < 0 ? r : bdev_flush(f, chan);
}

/* All but the volume and the label copies. */
static int ends_zero(struct fiber *f, struct bdev_chan *chan, uint64_t data_bytes)
{
	uint32_t block_size = chan->bdev->block_size;
	uint64_t a = LABEL_A / block_size, b = LABEL_B / block_size;
	uint64_t data = LABEL_DATA / block_size, behind = data + data_bytes / block_size;
	int r = bdev_zeroes(f, chan, 0, a, 0);

	if (r == 0)
		r = bdev_zeroes(f, chan, a + 1, b - a - 1, 0);
	if (r == 0)
		r = bdev_zeroes(f, chan, b + 1, data - b - 1, 0);
	if (r == 0 && behind < chan->blocks)
		r = bdev_zeroes(f, chan, behind, chan->blocks - behind, 0);
	return r < 0 ? r : bdev_flush(f, chan);
}

int nexus_label_make(struct fiber *f, struct bdev_chan *chan, struct nexus_label *label)
{
	int r = nexus_label_write(f, chan, label); /* LB3 */

	if (r == 0)
		r = ends_zero(f, chan, label->data_bytes);
	return r < 0 ? r : table_write(f, chan, label);
}

/* The labels last: until they say so the old table at the old end is as good. */
int nexus_label_grow(struct fiber *f, struct bdev_chan *chan, struct nexus_label *label)
{
	uint64_t room = nexus_label_room(chan->blocks, chan->bdev->block_size);
	int r;

	if (room <= label->data_bytes)
		return 0;
	label->data_bytes = room;
	r = table_write(f, chan, label);
	return r < 0 ? r : nexus_label_write(f, chan, label);
}

/* The label last: what is only begun is known as ours. */
int nexus_label_wipe(struct fiber *f, struct bdev_chan *chan, const struct nexus_label *label)
{
	uint32_t block_size = chan->bdev->block_size;
	int r = ends_zero(f, chan, label->data_bytes);

	if (r == 0)
		r = bdev_zeroes(f, chan, LABEL_A / block_size, 1, 0);
	if (r == 0)
		r = bdev_zeroes(f, chan, LABEL_B / block_size, 1, 0);
	return r < 0 ? r : bdev_flush(f, chan);
}
