// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_send - replies, gathered: what has finished in a turn of the loop goes out in one send.
 *
 *	out: finished --gather--> sending: those whose data are being sent --> freed
 *
 * Heads are copied into one area, so a reply without data is over when it is gathered, and
 * neighbouring heads make one iovec.
 *
 * NS1. One send is in flight at most; what finishes meanwhile goes with the next.
 * NS2. What a reply may need is looked at before it is begun: it is gathered whole or not at all.
 */
#include <string.h>

#include "base/must.h"
#include "export/nbd_priv.h"

#define ERROR_TEXT "the disk could not"
#define HEAD_MAX   64u /* of a reply without parts */

_Static_assert(NBD_SPARSE_PARTS *(NBD_CHUNK_BYTES + NBD_HOLE_BYTES) <= NBD_SEND_HEADS &&
		       2 * NBD_SPARSE_PARTS <= NBD_SEND_IOVS,
	       "a read with holes fits in one send");
_Static_assert(NBD_CHUNK_BYTES + 6 + sizeof(ERROR_TEXT) <= HEAD_MAX, "so does an error");

static void gather_iov(struct nbd_gather *gather, void *base, size_t len)
{
	struct iovec *last = gather->iov_count ? &gather->iov[gather->iov_count - 1] : NULL;

	gather->bytes += len;
	if (last && (uint8_t *)last->iov_base + last->iov_len == base) {
		last->iov_len += len;
		return;
	}
	must(gather->iov_count < NBD_SEND_IOVS); /* NS2 */
	gather->iov[gather->iov_count++] = (struct iovec){ base, len };
}

/* Room for a head, which is sent next. */
static uint8_t *gather_head(struct nbd_gather *gather, uint32_t bytes)
{
	uint8_t *head = gather->heads + gather->head_bytes;

	must(gather->head_bytes + bytes <= NBD_SEND_HEADS); /* NS2 */
	gather->head_bytes += bytes;
	gather_iov(gather, head, bytes);
	return head;
}

/* Of a read, from its memory or from where the disk has lent it: then it is whole. */
static void gather_data(struct nbd_gather *gather, const struct nbd_req *req, uint32_t at,
			uint32_t length)
{
	const struct bdev_loan *loan = &req->loan;

	if (!loan->count)
		gather_iov(gather, req->buf + at, length);
	for (uint32_t i = 0; i < loan->count; i++)
		gather_iov(gather, loan->piece[i].iov.iov_base, loan->piece[i].iov.iov_len);
}

static void gather_simple(struct nbd_gather *gather, const struct nbd_req *req)
{
	const struct nbd_simple reply = { .error = req->error, .cookie = req->ask.cookie };

	nbd_simple_encode(&reply, gather_head(gather, NBD_SIMPLE_BYTES));
	if (req->ask.type == NBD_CMD_READ && req->error == NBD_OK)
		gather_data(gather, req, 0, req->ask.length);
}

static void gather_error(struct nbd_gather *gather, const struct nbd_req *req)
{
	const bool refused = req->error == NBD_EINVAL || req->error == NBD_EPERM;
	const struct nbd_failure failure = {
		.error = req->error,
		.text = refused ? "" : ERROR_TEXT,
		.text_length = refused ? 0 : sizeof(ERROR_TEXT) - 1,
	};
	const struct nbd_chunk chunk = {
		.flags = NBD_CHUNK_DONE,
		.type = NBD_CHUNK_ERROR,
		.cookie = req->ask.cookie,
		.length = 6u + failure.text_length,
	};
	uint8_t *head = gather_head(gather, NBD_CHUNK_BYTES + chunk.length);

	nbd_chunk_encode(&chunk, head);
	must(nbd_failure_encode(&failure, head + NBD_CHUNK_BYTES) == chunk.length);
}

static void gather_part(struct nbd_gather *gather, const struct nbd_req *req,
			const struct nbd_part *part, bool last)
{
	const struct nbd_range range = { req->ask.offset + part->at, part->length };
	const struct nbd_chunk chunk = {
		.flags = last ? NBD_CHUNK_DONE : 0,
		.type = part->is_hole ? NBD_CHUNK_HOLE : NBD_CHUNK_DATA,
		.cookie = req->ask.cookie,
		.length = part->is_hole ? NBD_HOLE_BYTES : NBD_DATA_BYTES + part->length,
	};
	uint8_t *head = gather_head(gather, NBD_CHUNK_BYTES + (part->is_hole ? NBD_HOLE_BYTES :
									       NBD_DATA_BYTES));

	nbd_chunk_encode(&chunk, head);
	if (part->is_hole) {
		nbd_hole_encode(&range, head + NBD_CHUNK_BYTES);
		return;
	}
	nbd_data_encode(range.offset, head + NBD_CHUNK_BYTES);
	gather_data(gather, req, part->at, part->length);
}

static void gather_read(struct nbd_gather *gather, const struct nbd_req *req)
{
	const struct nbd_part whole = { .length = req->ask.length };
	const struct nbd_part *parts = req->parts ? req->parts : &whole;
	unsigned count = req->parts ? req->part_count : 1;

	for (unsigned i = 0; i < count; i++)
		gather_part(gather, req, &parts[i], i + 1 == count);
}

static void gather_status(struct nbd_gather *gather, const struct nbd_req *req)
{
	const struct nbd_chunk chunk = {
		.flags = NBD_CHUNK_DONE,
		.type = NBD_CHUNK_BLOCK_STATUS,
		.cookie = req->ask.cookie,
		.length = req->reply_bytes,
	};

	nbd_chunk_encode(&chunk, gather_head(gather, NBD_CHUNK_BYTES));
	gather_iov(gather, req->buf, req->reply_bytes);
}

static void gather_reply(struct nbd_conn *conn, const struct nbd_req *req)
{
	struct nbd_gather *gather = conn->gather;

	if (!conn->structured ||
	    (req->ask.type != NBD_CMD_READ && req->ask.type != NBD_CMD_BLOCK_STATUS))
		gather_simple(gather, req);
	else if (req->error)
		gather_error(gather, req);
	else if (req->ask.type == NBD_CMD_READ)
		gather_read(gather, req);
	else
		gather_status(gather, req);
}

/* NS2 */
static bool gather_fits(const struct nbd_gather *gather, const struct nbd_req *req)
{
	unsigned parts = req->parts ? req->part_count : 1;
	uint32_t heads = parts > 1 ? parts * (NBD_CHUNK_BYTES + NBD_HOLE_BYTES) : HEAD_MAX;

	return gather->iov_count + max_u32(2 * parts, 1 + BDEV_LOAN_PIECES) <= NBD_SEND_IOVS &&
	       gather->head_bytes + heads <= NBD_SEND_HEADS;
}

static bool req_sends_buf(const struct nbd_req *req)
{
	return req->buf && req->error == NBD_OK &&
	       (req->ask.type == NBD_CMD_READ || req->ask.type == NBD_CMD_BLOCK_STATUS);
}

static void send_done(struct io_op *op);

static void send_next(struct nbd_conn *conn)
{
	struct nbd_gather *gather = conn->gather;
	struct nbd_req *req;

	gather->iov_count = 0;
	gather->head_bytes = 0;
	gather->bytes = 0;
	while ((req = list_first(&conn->out, struct nbd_req, link)) && gather_fits(gather, req)) {
		list_del(&req->link);
		gather_reply(conn, req);
		if (req_sends_buf(req))
			list_add_tail(&conn->sending, &req->link);
		else
			nbd_req_free(req);
	}
	nbd_send_bytes(conn, gather->iov, gather->iov_count, gather->bytes, send_done);
}

static void send_done(struct io_op *op)
{
	struct nbd_conn *conn = container_of(op, struct nbd_conn, send_op);
	struct nbd_req *req;

	conn->send_busy = false;
	while ((req = list_pop_front(&conn->sending, struct nbd_req, link)))
		nbd_req_free(req);
	if (nbd_send_ended(conn, op->res))
		return;
	if (!list_empty(&conn->out) && !conn->send_busy)
		send_next(conn);
	nbd_conn_settle(conn);
}

void nbd_send_task(struct task *task)
{
	struct nbd_conn *conn = container_of(task, struct nbd_conn, send_task);

	if (conn->state != NBD_CONN_DEAD && !conn->send_busy && !list_empty(&conn->out))
		send_next(conn);
	nbd_conn_settle(conn);
}

void nbd_send_bytes(struct nbd_conn *conn, const struct iovec *iov, unsigned iov_count,
		    uint64_t bytes, void (*done)(struct io_op *op))
{
	const uint64_t grace = bytes / NBD_BYTES_PER_S * 1000000000;

	must(!conn->send_busy); /* NS1 */
	conn->send_busy = true;
	conn->side->stats.sends++;
	conn->send_ns = reactor_now(conn->side->reactor) + grace;
	nbd_conn_watch(conn);
	io_prep_send(&conn->send_op, conn->sock, iov, iov_count, 0, done);
	io_submit(conn->side->io, &conn->send_op);
}

bool nbd_send_ended(struct nbd_conn *conn, int64_t res)
{
	conn->send_busy = false;
	conn->send_ns = 0;
	if (res < 0 && conn->state != NBD_CONN_DEAD)
		nbd_conn_drop(conn, NBD_DROP_LOST);
	if (conn->state != NBD_CONN_DEAD)
		return false;
	nbd_conn_settle(conn);
	return true;
}
