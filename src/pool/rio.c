// SPDX-License-Identifier: Apache-2.0
/*
 * rio - the way of a bio in and out, and the direct one. See rio_priv.h.
 *
 * Direct: a bio of the home reactor that lies in one cluster whose entry in the TLB says all that
 * is needed is handed on to the disk as it is, by a lane (bdev_driver.h), and so is one in several
 * clusters that are neighbours there. Nothing is looked up, allocated or queued.
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

_Static_assert(BIO_READ == 0 && BIO_WRITE == 1 && BIO_FUA == 1, "bio_kind(), TLB_KINDS");

/* Valid bits of blocks of a cluster; clusters of more blocks are valid as a whole. */
static inline uint32_t direct_bits(const struct rio_chan *chan, uint64_t in, uint64_t blocks)
{
	uint32_t first = (uint32_t)(in >> chan->valid_shift);
	uint32_t last = (uint32_t)((in + blocks - 1) >> chan->valid_shift);

	return ((2u << last) - (1u << first)) | chan->valid_all;
}

/* All the blocks are there: the entry's `where`, else 0. */
static inline uint64_t direct_where(const struct rio *rio, const struct rio_chan *chan,
				    uint64_t lcluster, uint64_t in, uint64_t blocks)
{
	const struct tlb_entry *entry = tlb_slot(&rio->tlb, lcluster);

	if (!tlb_hits(&rio->tlb, entry, lcluster) ||
	    (~entry->valid & direct_bits(chan, in, blocks)))
		return 0;
	return entry->where;
}

/* in: blocks of the disk, behind the start of the cluster that `where` names. */
static inline void direct_pass(struct bio *bio, const struct rio_chan *chan, struct bdev_lane *lane,
			       uint64_t where, uint64_t in)
{
	struct rio_pool *rio = &chan->pool->rio;
	struct rio_tally *tally =
		&chan->rep->rio.direct[rio->generation % RIO_GENERATIONS]; /* RI5 */

	rio->hits++;
	bio_pass(bio, lane, &tally->base,
		 chan->data_lba + (cluster_index(where & TLB_CLUSTER) << chan->cluster_shift) + in);
}

/* Nothing stands still, it is not deposed (RI8), and the pool takes writes. */
static inline bool direct_may_be(const struct bio *bio, const struct rio_chan *chan)
{
	return bio->op <= BIO_WRITE && !(bio->flags & ~BIO_FUA) && !chan->rep->rio.gate &&
	       bio->token >= chan->rep->rec.fence &&
	       (bio->op == BIO_READ || chan->pool->state == POOL_ONLINE);
}

/* May it go there as it is (RI4)? */
static inline bool direct_is_ready(const struct bio *bio, const struct bdev_lane *lane,
				   uint64_t where)
{
	return lane && (where >> TLB_KINDS & lane->ready) >> bio_kind(bio) & 1;
}

/* Several clusters: where the first is, if they are neighbours on the disk. */
static uint64_t direct_run(const struct bio *bio, const struct rio_chan *chan)
{
	const struct rio *rio = &chan->rep->rio;
	uint64_t lba = bio->lba, end = bio->lba + bio->blocks, first = 0;

	for (uint64_t step = 0; lba < end; step++) {
		uint64_t in = lba & chan->cluster_mask;
		uint64_t blocks = min_u64(end - lba, chan->cluster_mask + 1 - in);
		uint64_t where = direct_where(rio, chan, lba >> chan->cluster_shift, in, blocks);

		if (step == 0)
			first = where;
		if (!where || where != first + step) /* the flags, too */
			return 0;
		lba += blocks;
	}
	return first;
}

/* One whose disk has come later than the channel is made now. */
static struct bdev_lane *rio_lane(struct bdev_chan *base, unsigned disk)
{
	struct rio_chan *chan = bdev_chan_rio(base);
	struct pool_disk *to = &chan->pool->disks[disk];

	if (!(chan->lanes_tried >> disk & 1) && to->chan &&
	    bdev_lane_open(base, to->chan, &to->unflushed, &chan->lane[disk]) == 0)
		chan->lanes_tried |= UINT64_C(1) << disk;
	return chan->lane[disk];
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

/* It is not as simple as that. */
static __attribute__((noinline)) void rio_submit_other(struct bio *bio)
{
	struct rio_chan *chan = bdev_chan_rio(bio->chan);
	struct bdev_lane *lane;
	struct rio_req *req;
	uint64_t where;

	if (chan->away) {
		req = bio_scratch(bio);
		req->bio = bio;
		req->rep = chan->rep;
		req->mail.run = rio_mail_home;
		reactor_send(bio->chan->reactor, chan->pool->home, &req->mail);
		return;
	}
	where = direct_may_be(bio, chan) ? direct_run(bio, chan) : 0;
	lane = where ? rio_lane(bio->chan, cluster_disk(where & TLB_CLUSTER)) : NULL;
	if (where && tlb_run_missed(&chan->rep->rio.tlb, bio->lba >> chan->cluster_shift))
		tlb_run_try(&chan->rep->rio.tlb, bio->lba >> chan->cluster_shift,
			    chan->valid_whole);
	if (direct_is_ready(bio, lane, where))
		direct_pass(bio, chan, lane, where, bio->lba & chan->cluster_mask);
	else
		rio_req_begin(bio, chan->rep);
}

/* Hot: nothing but tail calls. Within one cluster. */
static __attribute__((noinline)) void rio_submit_cluster(struct bio *bio)
{
	const struct rio_chan *chan = bdev_chan_rio(bio->chan);
	uint64_t lcluster = bio->lba >> chan->cluster_shift, in = bio->lba & chan->cluster_mask,
		 where;
	struct bdev_lane *lane;

	if (likely(in + bio->blocks <= chan->cluster_mask + 1 &&
		   (tlb_run_slot(&chan->rep->rio.tlb, lcluster)->misses + 1) % TLB_RUN_TRIES)) {
		where = direct_where(&chan->rep->rio, chan, lcluster, in, bio->blocks);
		lane = chan->lane[cluster_disk(where & TLB_CLUSTER)];
		if (likely(direct_is_ready(bio, lane, where))) {
			(void)tlb_run_missed(&chan->rep->rio.tlb, lcluster);
			direct_pass(bio, chan, lane, where, in);
			return;
		}
	}
	rio_submit_other(bio);
}

/* Hot: the same, within a run. */
void rio_submit(struct bio *bio)
{
	const struct rio_chan *chan = bdev_chan_rio(bio->chan);
	const struct rio *rio = &chan->rep->rio;
	uint64_t lcluster = bio->lba >> chan->cluster_shift, in = bio->lba & chan->run_mask;
	const struct tlb_run *run = tlb_run_slot(&rio->tlb, lcluster);
	struct bdev_lane *lane;

	if (unlikely(chan->away || !direct_may_be(bio, chan))) {
		rio_submit_other(bio);
		return;
	}
	lane = chan->lane[cluster_disk(run->where & TLB_CLUSTER)];
	if (likely(tlb_run_hits(&rio->tlb, run, lcluster) &&
		   in + bio->blocks <= chan->run_mask + 1 &&
		   direct_is_ready(bio, lane, run->where)))
		direct_pass(bio, chan, lane, run->where, in);
	else
		rio_submit_cluster(bio);
}

void rio_chan_init(struct bdev_chan *base, struct replica *rep)
{
	struct rio_chan *chan = bdev_chan_rio(base);
	const struct pool *pool = rep->pool;
	uint32_t bits = min_u32(pool->blocks_per_cluster, POOL_VALID_BITS);

	*chan = (struct rio_chan){
		.rep = rep,
		.pool = rep->pool,
		.block_shift = (uint32_t)__builtin_ctz(base->bdev->block_size),
		.away = base->reactor != rep->pool->home,
		.valid_all = pool->blocks_per_cluster > POOL_VALID_BITS ? UINT32_MAX : 0,
	};
	chan->cluster_shift = (uint8_t)(pool->cluster_shift - chan->block_shift);
	chan->valid_shift = (uint8_t)(chan->cluster_shift - (uint32_t)__builtin_ctz(bits));
	chan->cluster_mask = (UINT64_C(1) << chan->cluster_shift) - 1;
	chan->run_mask = ((chan->cluster_mask + 1) << TLB_RUN_SHIFT) - 1;
	chan->valid_whole = bits == POOL_VALID_BITS ? UINT32_MAX : (1u << bits) - 1;
	chan->data_lba = POOL_DATA_START >> chan->block_shift;
	for (unsigned i = 0; !chan->away && i < POOL_DISKS_MAX; i++)
		(void)rio_lane(base, i);
}

void rio_chan_fini(struct bdev_chan *base)
{
	struct rio_chan *chan = bdev_chan_rio(base);

	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		bdev_lane_close(chan->lane[i]);
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
	bio_prep(bio, disk->chan, op, cluster_lba(pool, disk, cluster, in),
		 len >> disk->block_shift, bio->iov, bio->iov_count, rio_child_done);
	req->sent += len;
	req->children++;
	bio_submit(bio);
	return len;
}
