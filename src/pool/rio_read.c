// SPDX-License-Identifier: Apache-2.0
/*
 * rio_read - reading: children for runs that lie together on a disk, zeros for the rest.
 *
 * A run goes on over the end of a cluster if the next one is its neighbour on the disk too,
 * which allocation in sequence makes usual. Several children are in flight if there are
 * enough; the request's own is always there.
 */
#include <errno.h>
#include <string.h>

#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

static void iov_zero(struct iov_pos *pos, uint64_t bytes)
{
	while (bytes) {
		size_t len = (size_t)min_u64(bytes, pos->iov->iov_len - pos->off);

		memset((uint8_t *)pos->iov->iov_base + pos->off, 0, len);
		pos->off += len;
		bytes -= len;
		if (pos->off == pos->iov->iov_len && pos->left > 1) {
			pos->iov++;
			pos->left--;
			pos->off = 0;
		}
	}
}

/* Bytes from `in` on, at most `most`, that are valid as the first is, or are not. */
static uint32_t run_length(const struct pool *pool, const struct map_place *place, uint32_t in,
			   uint32_t most, bool *ret_valid)
{
	uint32_t block = in / POOL_BLOCK, same;

	*ret_valid = place->cluster != 0;
	if (!*ret_valid || pool->blocks_per_cluster > POOL_VALID_BITS)
		return most;
	*ret_valid = place->valid >> block & 1;
	same = (*ret_valid ? ~place->valid : place->valid) >> block;
	if (same == 0)
		return most;
	return min_u32(most, (block + (uint32_t)__builtin_ctz(same)) * POOL_BLOCK - in);
}

/* What comes behind `len` bytes that reach to the end of their cluster, and is its neighbour. */
static uint64_t run_more(struct rio_req *req, uint64_t cluster, uint64_t len)
{
	struct pool *pool = req->rep->pool;
	uint64_t at = req->sent + len;

	while (at < req->end) {
		uint32_t most = (uint32_t)min_u64(req->end - at, pool->super.cluster_bytes), n;
		struct map_place place;
		bool valid;

		if (map_peek(req->rep, at >> pool->cluster_shift, false, &place) < 0 ||
		    place.cluster != ++cluster)
			break;
		n = run_length(pool, &place, 0, most, &valid);
		if (!valid)
			break;
		at += n;
		if (n < pool->super.cluster_bytes)
			break;
	}
	return at - req->sent;
}

/* 0, -EAGAIN: not in the cache, -ENOBUFS: no child, or an error. */
static int read_next(struct rio_req *req)
{
	struct pool *pool = req->rep->pool;
	uint32_t in = (uint32_t)req->sent & cluster_mask(pool);
	uint64_t len = min_u64(req->end - req->sent, pool->super.cluster_bytes - in);
	struct rio_child *child;
	struct map_place place;
	bool valid;
	int r = map_peek(req->rep, req->sent >> pool->cluster_shift, false, &place);

	if (r < 0)
		return r;
	len = run_length(pool, &place, in, (uint32_t)len, &valid);
	if (!valid) {
		iov_zero(&req->data, len); /* P4 */
		req->sent += len;
		pool->stats.reads_zero++;
		return 0;
	}
	child = rio_child_get(req);
	if (!child)
		return -ENOBUFS;
	if (in + len == pool->super.cluster_bytes)
		len = run_more(req, place.cluster, len);
	rio_child_send(req, child, BIO_READ, place.cluster, in, len);
	return 0;
}

static void read_load(struct fiber *f, struct rio_work *work)
{
	struct rio_req *req = container_of(work, struct rio_req, work);
	int r = map_load(f, req->rep, req->sent >> req->rep->pool->cluster_shift, false);

	if (r < 0) {
		rio_log(f, req->rep, "reading the map failed");
		rio_end(req, -EIO);
		return;
	}
	rio_run(req);
}

void rio_read(struct rio_req *req)
{
	int r = 0;

	req->child_ended = rio_read;
	while (req->status == 0 && req->sent < req->end) {
		r = read_next(req);
		if (r == -EAGAIN || r == -ENOBUFS)
			break;
		if (r < 0)
			req->status = r;
	}
	if (req->children)
		return; /* the last of them comes back here */
	rio_device_end(req);
	if (req->status < 0 || req->sent == req->end)
		rio_end(req, req->status);
	else
		rio_work_add(req->rep->pool, &req->work, read_load);
}
