// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_recv - transmission: requests out of the stream.
 *
 * A head is decoded where it lies, if it lies whole. A payload is copied into the request's buffer,
 * which is aligned for the disk; what has not come yet of a long one is received there. If it is
 * all there, and the disk is memory, it goes to the disk from where it lies.
 *
 * NV1. A request that is refused is answered after its payload was read (Q1 of wire/nbd_io.h).
 */
#include <string.h>

#include "base/must.h"
#include "export/nbd_priv.h"

/* Bytes of memory it needs. */
static uint32_t request_memory(const struct nbd_request *ask)
{
	switch (ask->type) {
	case NBD_CMD_READ:
	case NBD_CMD_WRITE:
		return ask->length;
	case NBD_CMD_BLOCK_STATUS:
		return NBD_BUF_MIN;
	default:
		return 0;
	}
}

/* False: there is no memory now; nothing has happened. */
static bool request_begin(struct nbd_conn *conn, const struct nbd_request *ask)
{
	const uint32_t error = nbd_request_check(ask, &conn->rules);
	const uint32_t payload = nbd_request_payload(ask);
	struct nbd_req *req;

	if (error && payload > NBD_SKIP_MAX) {
		nbd_conn_drop(conn, NBD_DROP_LIMIT);
		return true;
	}
	req = nbd_req_new(conn, ask, error ? 0 : request_memory(ask));
	if (!req)
		return false;
	if (payload) {
		req->error = error;
		conn->filling = req;
		conn->skip = payload;
		conn->message_bytes = payload;
		conn->state = error ? NBD_CONN_DISCARD : NBD_CONN_PAYLOAD;
		return true;
	}
	conn->message_ns = 0;
	if (error)
		nbd_req_done(req, error);
	else
		nbd_req_go(req);
	return true;
}

/* A write whose payload has come with it goes to a disk in memory at once: how much was taken. */
static size_t request_put(struct nbd_conn *conn, const struct nbd_request *ask,
			  const uint8_t *behind, size_t len)
{
	if (ask->type != NBD_CMD_WRITE || len < ask->length ||
	    nbd_request_check(ask, &conn->rules) || !nbd_req_put(conn, ask, behind))
		return 0;
	conn->message_ns = 0;
	return ask->length;
}

size_t nbd_recv_request(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	struct nbd_request ask;
	const uint8_t *head = data;
	size_t taken = NBD_REQUEST_BYTES;
	bool collected = conn->head_have || len < NBD_REQUEST_BYTES;
	size_t put;

	if (collected) {
		taken = nbd_conn_collect(conn, data, len, NBD_REQUEST_BYTES);
		if (conn->head_have < NBD_REQUEST_BYTES)
			return taken;
		head = conn->head;
	}
	if (nbd_request_decode(head, NBD_REQUEST_BYTES, &ask) < 0) {
		nbd_conn_drop(conn, NBD_DROP_PROTOCOL);
	} else if (ask.type == NBD_CMD_DISC) {
		nbd_conn_drain(conn, NBD_DROP_BYE);
	} else if ((put = request_put(conn, &ask, data + taken, len - taken))) {
		taken += put;
	} else if (!request_begin(conn, &ask)) {
		return collected ? taken : 0;
	}
	conn->head_have = 0;
	return taken;
}

static void payload_ended(struct nbd_conn *conn)
{
	struct nbd_req *req = steal(conn->filling);

	conn->state = NBD_CONN_REQUEST;
	conn->message_ns = 0;
	nbd_req_go(req);
}

size_t nbd_recv_payload(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	struct nbd_req *req = conn->filling;
	size_t taken = min_size(len, req->ask.length - req->received);

	memcpy(req->buf + req->received, data, taken);
	req->received += (uint32_t)taken;
	if (req->received == req->ask.length)
		payload_ended(conn);
	return taken;
}

size_t nbd_recv_discard(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	size_t taken = min_size(len, conn->skip);

	conn->skip -= taken;
	if (conn->skip == 0) {
		struct nbd_req *req = steal(conn->filling);

		conn->state = NBD_CONN_REQUEST;
		conn->message_ns = 0;
		nbd_req_done(req, req->error);
	}
	return taken;
}

static void direct_done(struct io_op *op)
{
	struct nbd_conn *conn = container_of(op, struct nbd_conn, recv_op);
	struct nbd_req *req = conn->filling;

	conn->recv_busy = false;
	if (conn->state == NBD_CONN_DEAD) {
		nbd_req_free(steal(conn->filling));
		nbd_conn_settle(conn);
	} else if (op->res < (int64_t)conn->recv_iov.iov_len) {
		nbd_conn_drop(conn, NBD_DROP_LOST);
	} else {
		req->received = req->ask.length;
		payload_ended(conn);
	}
}

void nbd_recv_direct(struct nbd_conn *conn)
{
	struct nbd_req *req = conn->filling;

	if (conn->state != NBD_CONN_PAYLOAD || conn->recv_busy ||
	    req->ask.length - req->received < NBD_DIRECT_MIN)
		return;
	conn->recv_iov =
		(struct iovec){ req->buf + req->received, req->ask.length - req->received };
	conn->recv_busy = true;
	io_prep_recv(&conn->recv_op, conn->sock, &conn->recv_iov, 1, direct_done);
	io_submit(conn->side->io, &conn->recv_op);
}
