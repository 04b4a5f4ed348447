// SPDX-License-Identifier: Apache-2.0
/*
 * rio - the way of a bio in and out, and the direct one. See rio_priv.h.
 *
 * Direct: a bio of the home reactor that lies in one cluster whose entry in the TLB says all that
 * is needed is handed on to the disk as it is. Nothing is looked up, allocated or queued.
 */
#include <errno.h>

#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

/* ---- out -------------------------------------------------------------------------------------- */

static void rio_mail_back(struct mail *mail, struct reactor *at)
{
	struct rio_req *req = container_of(mail, struct rio_req, mail);

	(void)at;
	bio_complete(req->bio, req->status);
}

static void rio_complete(struct rio_req *req, int status)
{
	struct bio *bio = req->bio;
	struct reactor *home = req->rep->pool->home;

	rio_idle(req->rep);
	if (likely(bio->chan->reactor == home)) {
		bio_complete(bio, status);
		return;
	}
	req->status = status;
	req->mail.run = rio_mail_back;
	reactor_send(home, bio->chan->reactor, &req->mail);
}

void rio_end(struct rio_req *req, int status)
{
	must(req->children == 0 && req->pieces_open == 0 && !req->in_device);
	rio_complete(req, status); /* RI1 */
}

/* ---- direct -------------------------------------------------------------------------------------- */

/* Behind the room of the disks' drivers: a struct rio_req, which has more, is not there then. */
struct rio_direct {
	struct bio_remap remap;
	struct replica *rep;
	struct pool_disk *disk;
	uint8_t generation;
};

_Static_assert(sizeof(struct rio_direct) <= sizeof(struct rio_req), "there is room behind");

static void rio_direct_done(struct bio *bio, struct bio_remap *remap, int status)
{
	struct rio_direct *direct = container_of(remap, struct rio_direct, remap);
	struct rio_pool *rio = &direct->rep->pool->rio;

	(void)status;
	if (bio->op == BIO_WRITE)
		direct->disk->unflushed = true;
	if (--rio->inflight[direct->generation] == 0 && !rio->drained.is_set)
		event_set(&rio->drained);
	rio_idle(direct->rep);
}

static bool rio_direct_send(struct bio *bio, struct replica *rep, uint64_t cluster, uint32_t in)
{
	struct pool *pool = rep->pool;
	struct rio_pool *rio = &pool->rio;
	const struct rio_chan *chan = bdev_chan_rio(bio->chan);
	struct rio_direct *direct = (void *)(bio->scratch + chan->direct_at);
	struct pool_disk *disk = cluster_pool_disk(pool, cluster);
	uint8_t generation = (uint8_t)(rio->generation % RIO_GENERATIONS);

	if (unlikely(disk->block_shift != chan->block_shift))
		return false;
	direct->rep = rep;
	direct->disk = disk;
	direct->generation = generation;
	rio->inflight[generation]++; /* RI5 */
	rep->rio.busy++;
	if (likely(bio_remap(bio, &direct->remap, disk->chan, cluster_lba(pool, disk, cluster, in),
			     rio_direct_done))) {
		pool->stats.lookups_hit++;
		return true;
	}
	rio->inflight[generation]--;
	rep->rio.busy--;
	return false;
}

/* false: it is not as simple as that. */
static inline bool rio_direct(struct bio *bio, struct replica *rep)
{
	const struct rio *rio = &rep->rio;
	const struct pool *pool = rep->pool;
	uint32_t shift = bdev_chan_rio(bio->chan)->block_shift;
	uint64_t at = bio->lba << shift, len = bio->blocks << shift;
	uint64_t lcluster = at >> pool->cluster_shift, need = 0;
	uint32_t in = (uint32_t)at & cluster_mask(pool), bits;
	const struct tlb_entry *entry = tlb_slot(&rio->tlb, lcluster);

	if (bio->op > BIO_WRITE || (bio->flags & ~BIO_FUA) || !tlb_hits(&rio->tlb, entry, lcluster) ||
	    in + len > pool->super.cluster_bytes)
		return false;
	if (unlikely(rio->gate || bio->token < rep->rec.fence))
		return false; /* RI8 */
	if (bio->op == BIO_WRITE) {
		need = bio->flags & BIO_FUA ? TLB_EXCLUSIVE | TLB_DURABLE : TLB_EXCLUSIVE; /* RI4 */
		if (unlikely(pool->state != POOL_ONLINE))
			return false;
	}
	bits = valid_bits(pool, in, (uint32_t)len);
	if ((entry->where & need) != need || (entry->valid & bits) != bits)
		return false;
	return rio_direct_send(bio, rep, entry->where & ~(TLB_EXCLUSIVE | TLB_DURABLE), in);
}

/* ---- in -------------------------------------------------------------------------------------------- */

void rio_park(struct rio_req *req, struct list *where)
{
	must(req->children == 0 && req->piece_count == 0 && !req->in_device);
	list_add_tail(where, &req->link);
	rio_idle(req->rep);
}

void rio_unpark(struct rio_req *req)
{
	req->rep->rio.busy++;
	rio_run(req);
}

void rio_unpark_all(struct list *list)
{
	struct rio_req *req;
	struct list batch;

	list_init(&batch);
	list_splice_tail(&batch, list);
	while ((req = list_pop_front(&batch, struct rio_req, link)))
		rio_unpark(req);
}

static int rio_refuses(const struct rio_req *req)
{
	const struct pool *pool = req->rep->pool;
	bool changes = bio_op_writes((enum bio_op)req->bio->op) || req->bio->op == BIO_FLUSH;

	if (req->bio->token < req->rep->rec.fence)
		return -ESTALE; /* RI8 */
	if (changes && pool->state == POOL_FAULTED)
		return -EIO;
	if (changes && pool->state == POOL_READ_ONLY)
		return req->bio->op == BIO_FLUSH ? 0 : -EROFS;
	return 0;
}

void rio_run(struct rio_req *req)
{
	int r;

	if (unlikely(req->rep->rio.gate)) {
		rio_park(req, &req->rep->rio.held);
		return;
	}
	r = rio_refuses(req);
	if (unlikely(r < 0))
		rio_end(req, r);
	else if (req->bio->op == BIO_READ)
		rio_read(req);
	else if (req->bio->op == BIO_WRITE)
		rio_write(req);
	else if (req->bio->op == BIO_FLUSH)
		rio_flush(req);
	else
		rio_unmap(req);
}

static void rio_req_begin(struct bio *bio, struct replica *rep)
{
	struct rio_req *req = bio_scratch(bio);
	uint32_t shift = bdev_chan_rio(bio->chan)->block_shift;

	list_link_init(&req->link);
	req->bio = bio;
	req->rep = rep;
	req->pos = req->sent = bio->lba << shift;
	req->end = req->pos + (bio->blocks << shift);
	req->data = iov_pos(bio->iov, bio->iov_count);
	req->status = 0;
	req->children = 0;
	req->in_device = req->child_used = req->rides = false;
	req->piece_count = req->pieces_open = req->pieces_riding = 0;
	req->tries = 0;
	list_link_init(&req->work.link);
	list_link_init(&req->item.link);
	if (bio->op == BIO_FLUSH)
		req->pos = req->end = 0;
	rio_unpark(req);
}

static void rio_mail_home(struct mail *mail, struct reactor *at)
{
	struct rio_req *req = container_of(mail, struct rio_req, mail);

	(void)at;
	rio_req_begin(req->bio, req->rep);
}

void rio_submit(struct bio *bio)
{
	struct rio_chan *chan = bdev_chan_rio(bio->chan);
	struct rio_req *req;

	if (likely(!chan->away)) {
		if (!rio_direct(bio, chan->rep))
			rio_req_begin(bio, chan->rep);
		return;
	}
	req = bio_scratch(bio);
	req->bio = bio;
	req->rep = chan->rep;
	req->mail.run = rio_mail_home;
	reactor_send(bio->chan->reactor, chan->rep->pool->home, &req->mail);
}

void rio_chan_init(struct bdev_chan *chan, struct replica *rep)
{
	*bdev_chan_rio(chan) = (struct rio_chan){
		.rep = rep,
		.block_shift = (uint32_t)__builtin_ctz(chan->bdev->block_size),
		.direct_at = rep->pool->rio.room,
		.away = chan->reactor != rep->pool->home,
	};
}

/* ---- children ------------------------------------------------------------------------------------------ */

struct rio_child *rio_child_get(struct rio_req *req)
{
	struct rio_child *child = &req->child;

	if (req->child_used)
		child = slab_get(&req->rep->pool->rio.children);
	else
		req->child_used = true;
	if (child)
		child->req = req;
	return child;
}

static void rio_child_put(struct rio_child *child)
{
	struct rio_req *req = child->req;

	if (child == &req->child)
		req->child_used = false;
	else
		slab_put(&req->rep->pool->rio.children, child);
}

static void rio_child_done(struct bio *bio)
{
	struct rio_child *child = container_of(bio, struct rio_child, bio);
	struct rio_req *req = child->req;

	if (bio->op != BIO_READ)
		child->disk->unflushed = true;
	if (bio->status < 0 && req->status == 0)
		req->status = bio->status; /* RI1 */
	rio_child_put(child);
	req->children--;
	req->child_ended(req);
}

/* The whole bio, or as many of its iovecs as a child has room for. */
static uint64_t rio_child_data(struct rio_req *req, struct rio_child *child, uint64_t len)
{
	const struct bio *parent = req->bio;
	const struct iov_rule rule = { .iov_max = RIO_CHILD_IOV,
				       .granule = parent->chan->bdev->block_size };
	uint32_t count;

	if (len == parent->blocks << bdev_chan_rio(parent->chan)->block_shift) {
		child->bio.iov = parent->iov;
		child->bio.iov_count = parent->iov_count;
		iov_skip(&req->data, len);
		return len;
	}
	len = iov_take(&req->data, len, &rule, child->iov, &count);
	must(len > 0); /* RIO_BUF_ALIGN */
	child->bio.iov = child->iov;
	child->bio.iov_count = count;
	return len;
}

uint64_t rio_child_send(struct rio_req *req, struct rio_child *child, enum bio_op op,
			uint64_t cluster, uint32_t in, uint64_t len)
{
	struct pool *pool = req->rep->pool;
	struct pool_disk *disk = cluster_pool_disk(pool, cluster);
	struct bio *bio = &child->bio;

	rio_device_begin(req);
	len = rio_child_data(req, child, len);
	child->disk = disk;
	bio_prep(bio, disk->chan, op, cluster_lba(pool, disk, cluster, in), len >> disk->block_shift,
		 bio->iov, bio->iov_count, rio_child_done);
	req->sent += len;
	req->children++;
	bio_submit(bio);
	return len;
}
