// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_buf - memory for the data of commands: five sizes, bounded in all.
 *
 * What is given back is kept for the next one of its size; when the bound is reached, what is
 * kept of other sizes goes first. There are two of these a shard, since what waits must
 * never wait for itself (N6): in-capsule data (`capsule`) is given back when its bio has
 * ended, whatever the peer does, so that a connection that stopped reading for it goes on. Memory
 * of reads and of R2T (`data`) is given back only if the peer reads or sends, so it is asked
 * for by requests that stand in line, while their connection goes on reading.
 *
 * BF1. held_bytes + kept_bytes <= max_bytes, but for what was forced.
 */
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"

static unsigned buf_class(uint32_t bytes)
{
	unsigned class = 0;

	must(bytes > 0 && bytes <= TGT_DATA_MAX);
	while (TGT_BUF_MIN << 2 * class < bytes)
		class ++;
	return class;
}

static uint32_t class_bytes(unsigned class)
{
	return TGT_BUF_MIN << 2 * class;
}

uint32_t tgt_buf_room(uint32_t bytes)
{
	return class_bytes(buf_class(bytes));
}

void tgt_bufs_init(struct tgt_bufs *bufs, struct io *io, uint64_t max_bytes)
{
	*bufs = (struct tgt_bufs){ .io = io, .max_bytes = max_bytes };
}

static void *kept_pop(struct tgt_bufs *bufs, unsigned class)
{
	void *buf = bufs->free[class];

	if (buf) {
		bufs->free[class] = *(void **)buf;
		bufs->kept_bytes -= class_bytes(class);
	}
	return buf;
}

/* Of what is kept, until there is room for `bytes` more. */
static void bufs_make_room(struct tgt_bufs *bufs, uint64_t bytes)
{
	for (unsigned class = 0; class < TGT_BUF_CLASSES; class ++) {
		while (bufs->held_bytes + bufs->kept_bytes + bytes > bufs->max_bytes) {
			void *buf = kept_pop(bufs, class);

			if (!buf)
				break;
			io_buf_free(bufs->io, buf, class_bytes(class));
		}
	}
}

void tgt_bufs_trim(struct tgt_bufs *bufs)
{
	for (unsigned class = 0; class < TGT_BUF_CLASSES; class ++) {
		void *buf;

		while ((buf = kept_pop(bufs, class)))
			io_buf_free(bufs->io, buf, class_bytes(class));
	}
}

void *tgt_buf_get(struct tgt_bufs *bufs, uint32_t bytes, bool force)
{
	unsigned class = buf_class(bytes);
	uint32_t room = class_bytes(class);
	void *buf;

	if (!force && bufs->held_bytes + room > bufs->max_bytes)
		return NULL;
	buf = kept_pop(bufs, class);
	if (!buf) {
		bufs_make_room(bufs, room); /* BF1 */
		buf = io_buf_new(bufs->io, room);
	}
	if (!buf)
		return NULL;
	bufs->held_bytes += room;
	bufs->held_high = max_u64(bufs->held_high, bufs->held_bytes);
	return buf;
}

void tgt_buf_put(struct tgt_bufs *bufs, void *buf, uint32_t bytes)
{
	unsigned class = buf_class(bytes);
	uint32_t room = class_bytes(class);

	must(bufs->held_bytes >= room);
	bufs->held_bytes -= room;
	if (bufs->held_bytes + bufs->kept_bytes + room > bufs->max_bytes) {
		io_buf_free(bufs->io, buf, room); /* it was forced */
		return;
	}
	*(void **)buf = bufs->free[class];
	bufs->free[class] = buf;
	bufs->kept_bytes += room;
}
