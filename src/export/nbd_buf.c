// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_buf - memory for payloads: sizes of powers of two, the last used first.
 *
 * What is given back lies in a list of its size, its link in its first bytes, up to
 * NBD_BUF_KEPT_MAX in all. Only what is in use counts against the limit.
 */
#include "base/must.h"
#include "export/nbd_priv.h"

static unsigned buf_class(uint32_t bytes)
{
	unsigned class = 0;

	while (bytes > NBD_BUF_MIN << class)
		class ++;
	return class;
}

void nbd_bufs_init(struct nbd_bufs *bufs, struct io *io, uint64_t limit_bytes)
{
	*bufs = (struct nbd_bufs){ .io = io, .limit_bytes = limit_bytes };
}

void nbd_bufs_fini(struct nbd_bufs *bufs)
{
	struct queue_link *buf;

	must(bufs->used_bytes == 0);
	for (unsigned class = 0; class < NBD_BUF_CLASSES; class ++)
		while ((buf = queue_pop(&bufs->kept[class])))
			io_buf_free(bufs->io, buf, (size_t)NBD_BUF_MIN << class);
}

void *nbd_buf_get(struct nbd_bufs *bufs, uint32_t bytes, uint32_t *ret_bytes)
{
	unsigned class = buf_class(bytes);
	uint32_t room = NBD_BUF_MIN << class;
	void *buf = NULL;

	if (bufs->used_bytes + room > bufs->limit_bytes)
		return NULL;
	if (class < NBD_BUF_CLASSES)
		buf = queue_pop(&bufs->kept[class]);
	if (buf)
		bufs->kept_bytes -= room;
	else
		buf = io_buf_new(bufs->io, room);
	if (!buf)
		return NULL;
	bufs->used_bytes += room;
	*ret_bytes = room;
	return buf;
}

void nbd_buf_put(struct nbd_bufs *bufs, void *buf, uint32_t bytes)
{
	unsigned class = buf_class(bytes);

	bufs->used_bytes -= bytes;
	if (class < NBD_BUF_CLASSES && bufs->kept_bytes + bytes <= NBD_BUF_KEPT_MAX) {
		queue_push_front(&bufs->kept[class], buf);
		bufs->kept_bytes += bytes;
	} else {
		io_buf_free(bufs->io, buf, bytes);
	}
}
