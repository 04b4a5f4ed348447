// SPDX-License-Identifier: Apache-2.0
/*
 * rio_copy - clusters of one's own: claimed, or claimed and filled.
 *
 * A cluster that is shared is read (from its first valid block to its last), the new data are
 * laid over it, and the whole goes to a new cluster in one write. A hole of a cluster that has
 * more blocks than there are valid bits is filled with zeros in the same way (P4).
 *
 * CP1. The change is busy all the time: nobody else changes the mapping, and nobody sees the
 *      new cluster before its write is over.
 * CP2. The old cluster is read within the request's generation: it is not reused (P3).
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

#define COPY_RETRY_NS 1000000u
#define COPY_RETRY_MAX 1000u

/* ---- claiming --------------------------------------------------------------------------------- */

enum space_use rio_space_use(const struct replica *rep)
{
	return rep->rec.flags & RECORD_THICK ? SPACE_THICK : SPACE_DATA;
}

int rio_claim(struct rio_change *change)
{
	struct pool *pool = change->rep->pool;
	bool thick = !change->mapped && rio_space_use(change->rep) == SPACE_THICK;
	uint64_t cluster;
	int r = -ENOSPC;

	if (thick)
		r = space_claim(pool, SPACE_THICK, &cluster);
	if (r == -ENOSPC) {
		thick = false;
		r = space_claim(pool, SPACE_DATA, &cluster);
	}
	if (r < 0)
		return r;
	pool->stats.first_writes++;
	change->cluster = cluster;
	change->valid = 0;
	change->fresh = true;
	change->thick = thick;
	change->replaces = change->mapped;
	return 0;
}

static int claim_slow(struct fiber *f, struct rio_change *change)
{
	int r = rio_claim(change);

	while (r == -EAGAIN) {
		r = space_find(f, change->rep->pool);
		if (r == 0)
			r = rio_claim(change);
	}
	return r;
}

/* ---- copying ------------------------------------------------------------------------------------- */

struct span {
	uint32_t in, len; /* bytes in a cluster */
};

/* From the first valid block to the last. */
static struct span span_of_valid(const struct pool *pool, uint32_t valid)
{
	uint32_t first, last;

	if (valid == 0)
		return (struct span){ 0 };
	if (pool->blocks_per_cluster > POOL_VALID_BITS)
		return (struct span){ 0, pool->super.cluster_bytes };
	first = (uint32_t)__builtin_ctz(valid);
	last = 31 - (uint32_t)__builtin_clz(valid);
	return (struct span){ first * POOL_BLOCK, (last - first + 1) * POOL_BLOCK };
}

static struct span span_join(struct span a, struct span b)
{
	uint32_t in = min_u32(a.in, b.in), end = max_u32(a.in + a.len, b.in + b.len);

	return a.len ? (struct span){ in, end - in } : b;
}

static int cluster_read(struct fiber *f, struct pool *pool, uint64_t cluster, struct span span,
			uint8_t *buf)
{
	struct pool_disk *disk = cluster_pool_disk(pool, cluster);

	if (span.len == 0)
		return 0;
	return bdev_read(f, disk->chan, cluster_lba(pool, disk, cluster, span.in),
			 span.len >> disk->block_shift, buf + span.in);
}

static int cluster_write(struct fiber *f, struct pool *pool, uint64_t cluster, struct span span,
			 const uint8_t *buf)
{
	struct pool_disk *disk = cluster_pool_disk(pool, cluster);
	int r = bdev_write(f, disk->chan, cluster_lba(pool, disk, cluster, span.in),
			   span.len >> disk->block_shift, buf + span.in, 0);

	disk->unflushed = true;
	return r;
}

/* Workers are few, so are these buffers: there will be memory again. */
static uint8_t *buf_get(struct fiber *f, const struct pool *pool)
{
	uint8_t *buf = io_buf_new(fiber_io(f), pool->super.cluster_bytes);

	for (unsigned i = 0; !buf && i < COPY_RETRY_MAX; i++) {
		if (fiber_sleep(f, COPY_RETRY_NS) < 0)
			break;
		buf = io_buf_new(fiber_io(f), pool->super.cluster_bytes);
	}
	return buf;
}

static int copy_through(struct fiber *f, struct rio_change *change, const struct map_place *from,
			struct iov_pos *data, struct span over, uint8_t *buf)
{
	struct pool *pool = change->rep->pool;
	struct span old = span_of_valid(pool, from->cluster ? from->valid : 0);
	struct span all = span_join(old, over);
	int r;

	if (pool->blocks_per_cluster > POOL_VALID_BITS)
		all = (struct span){ 0, pool->super.cluster_bytes };
	memset(buf, 0, pool->super.cluster_bytes);
	r = cluster_read(f, pool, from->cluster, old, buf); /* CP2 */
	if (r < 0)
		return r;
	if (data)
		iov_copy_from(data, buf + over.in, over.len);
	else
		memset(buf + over.in, 0, over.len);
	if (old.len) {
		pool->stats.copies++;
		pool->stats.copied_bytes += old.len;
	}
	return cluster_write(f, pool, change->cluster, all, buf);
}

int rio_copy(struct fiber *f, struct rio_change *change, const struct map_place *from,
	     struct iov_pos *data, uint32_t in, uint32_t len, uint32_t *ret_valid)
{
	struct pool *pool = change->rep->pool;
	uint8_t *buf;
	int r = claim_slow(f, change);

	must(change->busy); /* CP1 */
	if (r < 0)
		return r;
	buf = buf_get(f, pool);
	if (!buf)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory to copy a cluster",
				  pool->super.name);
	r = copy_through(f, change, from, data, (struct span){ in, len }, buf);
	io_buf_free(fiber_io(f), buf, pool->super.cluster_bytes);
	if (r < 0)
		return r;
	*ret_valid = (from->cluster ? from->valid : 0) | valid_bits(pool, in, len);
	return 0;
}

static void copy_work(struct fiber *f, struct rio_work *work)
{
	struct rio_req *req = container_of(work, struct rio_req, work);
	struct rio_piece *piece = &req->piece[0];
	struct rio_change *change = piece->change;
	const struct map_place from = { .cluster = change->cluster, .valid = change->valid };
	int r = rio_copy(f, change, &from, &req->data, piece->in, piece->len, &piece->bits);

	if (r < 0 && r != -ENOSPC)
		rio_log(f, req->rep, "copying a cluster failed");
	fiber_clear(f);
	rio_copied(req, r);
}

void rio_copy_slow(struct rio_req *req)
{
	rio_device_begin(req);
	rio_work_add(req->rep->pool, &req->work, copy_work);
}
