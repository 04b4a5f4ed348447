// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_req - a request: its memory, its bio, its end.
 *
 *	new -> (payload received) -> go -> bio, or a fiber (nbd_sparse.c) -> done -> sent -> free
 *
 * NR1. Memory is had before a byte of the payload is read: who has none is not read from (NB3).
 * NR2. Whoever waits for memory is served first come, first served: nobody overtakes.
 */
#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "export/nbd_priv.h"

static struct nbd_req *req_of(struct bio *bio)
{
	return container_of(bio, struct nbd_req, bio);
}

static bool req_has_turn(const struct nbd_conn *conn)
{
	const struct list *starved = &conn->side->starved;

	return list_empty(starved) ||
	       list_first(starved, struct nbd_conn, starved_link) == conn; /* NR2 */
}

static struct nbd_req *req_starve(struct nbd_conn *conn)
{
	nbd_side_starve(conn->side, conn);
	return NULL;
}

struct nbd_req *nbd_req_new(struct nbd_conn *conn, const struct nbd_request *ask, uint32_t bytes)
{
	struct nbd_side *side = conn->side;
	struct nbd_req *req;

	if (conn->inflight >= conn->server->opts.inflight_max) {
		conn->blocked = conn->full = true;
		list_del(&conn->starved_link);
		return NULL;
	}
	req = req_has_turn(conn) ? slab_get(&conn->view->reqs) : NULL;
	if (!req)
		return req_starve(conn);
	*req = (struct nbd_req){ .conn = conn, .ask = *ask };
	if (bytes) {
		req->buf = nbd_buf_get(&side->bufs, bytes, &req->buf_bytes);
		if (!req->buf) {
			slab_put(&conn->view->reqs, req);
			return req_starve(conn);
		}
	}
	list_del(&conn->starved_link);
	conn->inflight++;
	side->stats.requests++;
	return req;
}

void nbd_req_free(struct nbd_req *req)
{
	struct nbd_conn *conn = req->conn;
	struct nbd_side *side = conn->side;

	must(!list_is_linked(&req->link));
	if (req->buf)
		nbd_buf_put(&side->bufs, req->buf, req->buf_bytes);
	mem_free(req->parts);
	bdev_give_back(&req->loan);
	slab_put(&conn->view->reqs, req);
	conn->inflight--;
	if (conn->full && conn->inflight <= conn->server->opts.inflight_max / 2) {
		conn->full = false;
		reactor_post(side->reactor, &conn->wake_task);
	}
	nbd_side_feed(side);
}

void nbd_req_done(struct nbd_req *req, uint32_t error)
{
	struct nbd_conn *conn = req->conn;

	req->error = error;
	if (error)
		conn->side->stats.errors++;
	if (conn->state == NBD_CONN_DEAD) {
		nbd_req_free(req);
		nbd_conn_settle(conn);
		return;
	}
	list_add_tail(&conn->out, &req->link);
	if (!conn->send_busy)
		reactor_post(conn->side->reactor, &conn->send_task);
}

static void req_bio_done(struct bio *bio)
{
	struct nbd_req *req = req_of(bio);

	nbd_req_done(req, nbd_error_of(bio->status));
}

/* A trim with FUA: nothing promises that it is durable but a flush. */
static void req_trim_done(struct bio *bio)
{
	struct nbd_req *req = req_of(bio);

	if (bio->status < 0 || !(req->ask.flags & NBD_CMD_FUA)) {
		req_bio_done(bio);
		return;
	}
	bio_prep(bio, bio->chan, BIO_FLUSH, 0, 0, NULL, 0, req_bio_done);
	bio_submit(bio);
}

static void req_submit(struct nbd_req *req, enum bio_op op, uint16_t flags, bio_fn done)
{
	struct bdev_chan *chan = req->conn->view->chan;
	const unsigned shift = (unsigned)__builtin_ctz(chan->bdev->block_size);
	const bool has_data = op == BIO_READ || op == BIO_WRITE;

	req->iov = (struct iovec){ req->buf, req->ask.length };
	bio_prep(&req->bio, chan, op, req->ask.offset >> shift, req->ask.length >> shift,
		 has_data ? &req->iov : NULL, has_data, done);
	req->bio.flags = flags;
	bio_submit(&req->bio);
}

static void req_write_zeroes(struct nbd_req *req, uint16_t fua)
{
	uint16_t flags = fua;

	if (req->ask.flags & NBD_CMD_NO_HOLE)
		flags |= BIO_KEEP;
	if (req->ask.flags & NBD_CMD_FAST_ZERO)
		flags |= BIO_FAST;
	nbd_sparse_forget(req->conn->view, req->ask.offset, req->ask.length);
	req_submit(req, BIO_ZEROES, flags, req_bio_done);
}

static uint64_t req_blocks(const struct nbd_conn *conn, uint64_t bytes)
{
	return bytes >> __builtin_ctz(conn->view->chan->bdev->block_size);
}

/* What is lent is sent from where it lies. */
void nbd_req_read(struct nbd_req *req)
{
	struct nbd_conn *conn = req->conn;

	if (!req->parts && bdev_lend(conn->view->chan, req_blocks(conn, req->ask.offset),
				     req_blocks(conn, req->ask.length), &req->loan))
		nbd_req_done(req, NBD_OK);
	else
		req_submit(req, BIO_READ, 0, req_bio_done);
}

bool nbd_req_put(struct nbd_conn *conn, const struct nbd_request *ask, const uint8_t *payload)
{
	struct bdev_chan *chan = conn->view->chan;
	struct nbd_req *req;
	int status;

	if (!chan->bdev->driver->lend || !(req = nbd_req_new(conn, ask, 0)))
		return false;
	if (!bdev_put(chan, req_blocks(conn, ask->offset), req_blocks(conn, ask->length), payload,
		      &status)) {
		nbd_req_free(req);
		return false;
	}
	conn->side->stats.written_bytes += ask->length;
	nbd_req_done(req, nbd_error_of(status));
	return true;
}

void nbd_req_go(struct nbd_req *req)
{
	const uint16_t fua = req->ask.flags & NBD_CMD_FUA ? BIO_FUA : 0;
	struct nbd_stats *stats = &req->conn->side->stats;

	switch (req->ask.type) {
	case NBD_CMD_READ:
		stats->read_bytes += req->ask.length;
		if (nbd_sparse_wants(req))
			nbd_slow_add(req);
		else
			nbd_req_read(req);
		return;
	case NBD_CMD_WRITE:
		stats->written_bytes += req->ask.length;
		req_submit(req, BIO_WRITE, fua, req_bio_done);
		return;
	case NBD_CMD_FLUSH:
		req_submit(req, BIO_FLUSH, 0, req_bio_done);
		return;
	case NBD_CMD_TRIM:
		nbd_sparse_forget(req->conn->view, req->ask.offset, req->ask.length);
		req_submit(req, BIO_UNMAP, 0, req_trim_done);
		return;
	case NBD_CMD_WRITE_ZEROES:
		req_write_zeroes(req, fua);
		return;
	case NBD_CMD_CACHE: /* a hint: there is no cache between client and disk */
		nbd_req_done(req, NBD_OK);
		return;
	default:
		must(req->ask.type == NBD_CMD_BLOCK_STATUS); /* nbd_request_check() */
		nbd_slow_add(req);
		return;
	}
}
