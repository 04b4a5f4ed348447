// SPDX-License-Identifier: Apache-2.0
/*
 * uring_recv - the receiving side of a stream socket.
 *
 *	multishot receive --> provided buffer --> 1. an IO_RECV being fed (small ones)
 *						  2. the function of io_recv_start()
 *						  3. held: copied, until somebody wants it
 *	receive with MSG_WAITALL --> the memory of a large IO_RECV, or any while the
 *						  multishot is not armed
 *
 * UR1. Bytes are handed over in this order: held ones, then those of the CQE at hand, then
 *	what the kernel still has. A direct receive is posted only when the multishot has
 *	ended and nothing is held (IO6).
 * UR2. A provided buffer goes back to the kernel in the turn it came, whoever got the bytes;
 *	-ENOBUFS only means that one turn's bytes filled them all.
 * UR3. io_recv_stop() costs nothing: the multishot is cancelled by the first bytes that
 *	come while nobody wants them. So a stopped socket holds at most what the kernel
 *	had delivered before the cancel: the provided buffers, once.
 * UR4. A cancelled IO_RECV gives back what it had: its bytes are held again, first.
 * UR5. sock->end is sticky; it is told when all bytes before it have been.
 * UR6. Nothing is posted or told while bytes are being handed over further up the stack.
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define RECV_GROUP	 0
#define RECV_DIRECT_MIN	 16384u /* what is left of an IO_RECV that makes a direct receive pay */
#define DETACH_CANCEL_NS 10000000

struct held {
	struct queue_link link;
	uint32_t from, len;
	uint8_t bytes[];
};

/* ---- provided buffers ----------------------------------------------------------- */

static size_t rbufs_ring_bytes(const struct uring_rbufs *rb)
{
	return align_up_u64(rb->count * sizeof(struct io_uring_buf), 4096);
}

static uint8_t *rbufs_at(const struct uring_rbufs *rb, unsigned id)
{
	return rb->base + (size_t)id * rb->bytes;
}

/* Visible to the kernel with uring_rbufs_give(). */
static void uring_rbufs_put(struct uring *u, unsigned id)
{
	struct uring_rbufs *rb = &u->rbufs;

	io_uring_buf_ring_add(rb->ring, rbufs_at(rb, id), rb->bytes, (unsigned short)id,
			      io_uring_buf_ring_mask(rb->count), (int)rb->added);
	rb->added++;
}

void uring_rbufs_give(struct uring *u)
{
	struct uring_rbufs *rb = &u->rbufs;

	if (rb->added) {
		io_uring_buf_ring_advance(rb->ring, (int)rb->added);
		rb->added = 0;
	}
}

static int uring_rbufs_make(struct uring *u)
{
	struct uring_rbufs *rb = &u->rbufs;
	size_t ring = rbufs_ring_bytes(rb);
	uint8_t *at = mmap(NULL, ring + (size_t)rb->count * rb->bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -ENOMEM;
	struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)at,
					.ring_entries = rb->count,
					.bgid = RECV_GROUP };
	int r = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (r < 0) {
		munmap(at, ring + (size_t)rb->count * rb->bytes);
		return r;
	}
	rb->ring = (struct io_uring_buf_ring *)at;
	rb->base = at + ring;
	io_uring_buf_ring_init(rb->ring);
	for (unsigned id = 0; id < rb->count; id++)
		uring_rbufs_put(u, id);
	uring_rbufs_give(u);
	return 0;
}

void uring_rbufs_fini(struct uring *u)
{
	struct uring_rbufs *rb = &u->rbufs;

	if (rb->ring)
		munmap(rb->ring, rbufs_ring_bytes(rb) + (size_t)rb->count * rb->bytes);
}

/* ---- held bytes ----------------------------------------------------------------- */

/* No memory for them: the stream ends here, in order (UR1). */
static struct held *recv_hold(struct io_sock *sock, size_t len)
{
	struct held *h = mem_alloc(sock->io->mem, sizeof(*h) + len);

	if (h)
		h->len = (uint32_t)len;
	else
		sock->end = -ENOMEM;
	return h;
}

static void recv_hold_bytes(struct io_sock *sock, const uint8_t *data, size_t len)
{
	struct held *h = sock->end < 0 ? NULL : recv_hold(sock, len);

	if (!h)
		return;
	memcpy(h->bytes, data, len);
	queue_push(&sock->held, &h->link);
}

/* UR4 */
static void recv_unget(struct io_sock *sock, const struct io_op *op)
{
	uint64_t left = op->progress;
	struct held *h = left ? recv_hold(sock, left) : NULL;

	if (!h)
		return;
	for (uint32_t i = 0, at = 0; left > 0; i++) {
		size_t n = min_u64(op->net.iov[i].iov_len, left);

		memcpy(h->bytes + at, op->net.iov[i].iov_base, n);
		at += (uint32_t)n;
		left -= n;
	}
	queue_push_front(&sock->held, &h->link);
}

/* ---- what is next --------------------------------------------------------------- */

/* False also for one that is cancelled: it gets no more bytes. */
static bool recv_is_fed(const struct io_sock *sock)
{
	return sock->recv_op && op_state(sock->recv_op) == STATE_RECV;
}

static void recv_arm(struct io_sock *sock)
{
	struct uring *u = uring_of(sock->io);
	int r = u->rbufs.ring ? 0 : uring_rbufs_make(u);

	if (r < 0) {
		sock->end = r;
		return;
	}
	struct io_uring_sqe *sqe = uring_sqe(u);
	sqe->opcode = IORING_OP_RECV;
	uring_sqe_fd(sqe, &sock->fd);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = RECV_GROUP;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	uring_sqe_event(sqe, &sock->recv);
	uring_sock_pin(sock);
}

static void recv_direct(struct io_sock *sock)
{
	struct uring *u = uring_of(sock->io);
	struct io_op *op = sock->recv_op;
	struct uring_rest rest = uring_iov_rest(op->net.iov, op->net.iov_count, op->progress);
	struct io_uring_sqe *sqe = uring_sqe(u);

	uring_sqe_fd(sqe, &sock->fd);
	sqe->msg_flags = MSG_WAITALL;
	if (rest.iov) {
		sock->recv_msg = (struct msghdr){ .msg_iov = (struct iovec *)(uintptr_t)rest.iov,
						  .msg_iovlen = rest.count };
		sqe->opcode = IORING_OP_RECVMSG;
		sqe->addr = (uintptr_t)&sock->recv_msg;
		sqe->len = 1;
	} else {
		sqe->opcode = IORING_OP_RECV;
		sqe->addr = (uintptr_t)rest.first.iov_base;
		sqe->len = (uint32_t)rest.first.iov_len;
	}
	uring_sqe_op(u, sqe, op);
	u->in_socks++;
	uring_sock_pin(sock);
}

static void recv_ready(struct io_sock *sock)
{
	if (!list_is_linked(&sock->ready_link))
		list_add_tail(&uring_of(sock->io)->ready, &sock->ready_link);
}

/* What needs no callback is done here; for the rest the turn comes by. */
static void recv_next(struct io_sock *sock)
{
	struct uring *u = uring_of(sock->io);

	if (sock->is_closed || sock->is_delivering) /* UR6 */
		return;
	if (!queue_empty(&sock->held) || sock->end != 1) {
		if (sock->fn || recv_is_fed(sock))
			recv_ready(sock);
	} else if (recv_is_fed(sock)) {
		uint64_t left = op_total(sock->recv_op) - sock->recv_op->progress;

		if (!sock->recv.is_armed) {
			u->in_recv--;
			recv_direct(sock);
		} else if (left >= RECV_DIRECT_MIN) {
			uring_cancel_event(u, &sock->recv);
		}
	} else if (sock->fn && !sock->recv_op && !sock->recv.is_armed) {
		recv_arm(sock);
		if (sock->end != 1)
			recv_ready(sock);
	}
}

/* ---- handing over --------------------------------------------------------------- */

/* The op has left the socket before its submitter is told. */
static void recv_finish(struct io_sock *sock, int64_t res)
{
	struct io_op *op = sock->recv_op;

	sock->recv_op = NULL;
	uring_finish(uring_of(sock->io), op, res);
}

/* Into the IO_RECV being fed; how many it took. */
static size_t recv_feed(struct io_sock *sock, const uint8_t *data, size_t len)
{
	struct io_op *op = sock->recv_op;
	size_t taken = 0;

	while (taken < len && op->progress < op_total(op)) {
		struct uring_rest rest =
			uring_iov_rest(op->net.iov, op->net.iov_count, op->progress);
		struct iovec to = rest.iov ? rest.iov[0] : rest.first;
		size_t n = min_size(to.iov_len, len - taken);

		memcpy(to.iov_base, data + taken, n);
		taken += n;
		op->progress += n;
	}
	if (op->progress == op_total(op)) {
		uring_of(sock->io)->in_recv--;
		recv_finish(sock, (int64_t)op_total(op));
	}
	return taken;
}

/* To an op or the function; 0: nobody wants bytes now. */
static size_t recv_give(struct io_sock *sock, const uint8_t *data, size_t len)
{
	if (recv_is_fed(sock))
		return recv_feed(sock, data, len);
	if (!sock->fn || sock->recv_op)
		return 0;
	uring_of(sock->io)->told++;
	sock->fn(sock->fn_ctx, data, (ssize_t)len);
	return len;
}

/* From a CQE. */
static void recv_bytes(struct io_sock *sock, const uint8_t *data, size_t len)
{
	while (len > 0 && !sock->is_closed) {
		size_t n = queue_empty(&sock->held) ? recv_give(sock, data, len) : 0; /* UR1 */

		if (n == 0) {
			recv_hold_bytes(sock, data, len);
			if (!sock->fn && !sock->recv_op)
				uring_cancel_event(uring_of(sock->io), &sock->recv); /* UR3 */
			return;
		}
		data += n;
		len -= n;
	}
}

static void recv_held(struct io_sock *sock)
{
	while (!sock->is_closed) {
		struct held *h = queue_first(&sock->held, struct held, link);

		if (!h || (!sock->fn && !recv_is_fed(sock)))
			break;
		/* Out of the queue while it is given: an op cancelled from within puts its bytes in front. */
		queue_pop(&sock->held);
		size_t n = recv_give(sock, h->bytes + h->from, h->len);
		h->from += (uint32_t)n;
		h->len -= (uint32_t)n;
		if (h->len == 0) {
			mem_free(h);
		} else {
			queue_push_front(&sock->held, &h->link);
			if (n == 0)
				break;
		}
	}
}

/* UR5 */
static void recv_end(struct io_sock *sock)
{
	if (sock->is_closed || sock->end == 1 || !queue_empty(&sock->held))
		return;
	if (recv_is_fed(sock)) {
		uring_of(sock->io)->in_recv--;
		recv_finish(sock, sock->end < 0 ? sock->end : (int64_t)sock->recv_op->progress);
	} else if (sock->fn && !sock->recv_op) {
		io_recv_fn fn = sock->fn;

		sock->fn = NULL;
		uring_of(sock->io)->told++;
		fn(sock->fn_ctx, NULL, sock->end);
	}
}

static void recv_cancelled(struct io_sock *sock)
{
	struct io_op *op = sock->recv_op;

	if (!op || op_state(op) != (STATE_RECV | STATE_CANCELLED))
		return;
	uring_of(sock->io)->in_recv--;
	recv_unget(sock, op);
	recv_finish(sock, -ECANCELED);
}

/* End of the batch: held bytes and ends, then what is next. */
void uring_recv_ready(struct uring *u)
{
	struct list batch;
	struct io_sock *sock;

	list_init(&batch);
	list_splice_tail(&batch, &u->ready);
	while ((sock = list_pop_front(&batch, struct io_sock, ready_link))) {
		uring_sock_pin(sock);
		sock->is_delivering = true;
		recv_cancelled(sock);
		recv_held(sock);
		recv_end(sock);
		sock->is_delivering = false;
		recv_next(sock);
		uring_sock_unpin(sock);
	}
}

/* ---- CQEs ----------------------------------------------------------------------- */

void uring_recv_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	struct io_sock *sock = container_of(ev, struct io_sock, recv);

	bool is_last = !ev->is_armed;

	uring_wait_stream(u);
	sock->is_delivering = true;
	if (res > 0) {
		unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;

		recv_bytes(sock, rbufs_at(&u->rbufs, id), (size_t)res);
		uring_rbufs_put(u, id); /* UR2 */
	} else if (res != -ENOBUFS && res != -ECANCELED && res != -EINTR && res != -EAGAIN &&
		   sock->end == 1) {
		sock->end = res;
	}
	sock->is_delivering = false;
	if (is_last || sock->end != 1 || sock->recv_op || !queue_empty(&sock->held))
		recv_next(sock);
	if (is_last)
		uring_sock_unpin(sock);
}

static void recv_direct_ended(struct io_sock *sock, struct io_op *op)
{
	if (op->progress == op_total(op))
		recv_finish(sock, (int64_t)op->progress);
	else if (sock->is_closed)
		recv_finish(sock, -ECANCELED);
	else if (op_is_cancelled(op)) {
		recv_unget(sock, op);
		recv_finish(sock, -ECANCELED);
	} else
		recv_finish(sock, sock->end < 0 ? sock->end : (int64_t)op->progress);
}

void uring_recv_cqe(struct uring *u, struct io_op *op, int res)
{
	struct io_sock *sock = op->net.sock;

	u->in_ring--;
	u->in_socks--;
	uring_wait_stream(u);
	if (res > 0)
		op->progress += (uint64_t)res;
	else if (res != -EINTR && res != -EAGAIN && res != -ECANCELED)
		sock->end = res;
	if (op->progress < op_total(op) && sock->end == 1 && !op_is_cancelled(op)) {
		recv_direct(sock);
		uring_sock_unpin(sock);
		return;
	}
	sock->is_delivering = true;
	recv_direct_ended(sock, op);
	sock->is_delivering = false;
	recv_next(sock);
	uring_sock_unpin(sock);
}

/* ---- the face ------------------------------------------------------------------- */

void uring_recv(struct uring *u, struct io_op *op)
{
	struct io_sock *sock = op->net.sock;
	uint64_t total;
	int r = uring_iov_total(op->net.iov, op->net.iov_count, &total);

	must(!sock->recv_op && !sock->is_closed);
	if (r < 0 || total == 0) {
		uring_finish_later(u, op, r);
		return;
	}
	op->progress = 0;
	op->priv[OP_TOTAL] = (void *)(uintptr_t)total;
	op->priv[OP_STATE] = (void *)STATE_RECV;
	u->in_recv++;
	sock->recv_op = op;
	recv_next(sock);
}

/* One that is fed. Until it is told, bytes that come are held: its own go before them (UR4). */
void uring_recv_cancel(struct uring *u, struct io_op *op)
{
	struct io_sock *sock = op->net.sock;

	must(sock->recv_op == op);
	if (sock->is_closed) {
		sock->recv_op = NULL;
		u->in_recv--;
		uring_finish_later(u, op, -ECANCELED);
	} else {
		op->priv[OP_STATE] = (void *)(STATE_RECV | STATE_CANCELLED);
		recv_ready(sock);
	}
}

void uring_recv_start(struct io_sock *sock, io_recv_fn fn, void *ctx)
{
	must(fn && !sock->is_closed);
	sock->fn = fn;
	sock->fn_ctx = ctx;
	recv_next(sock);
}

void uring_recv_stop(struct io_sock *sock)
{
	sock->fn = NULL;
}

void uring_recv_close(struct io_sock *sock)
{
	struct uring *u = uring_of(sock->io);

	sock->fn = NULL;
	uring_cancel_event(u, &sock->recv);
	if (sock->recv_op)
		u->io.ops->cancel(&u->io, sock->recv_op);
}

void uring_recv_fini(struct io_sock *sock)
{
	struct held *h;

	list_del(&sock->ready_link);
	while ((h = queue_pop_entry(&sock->held, struct held, link)))
		mem_free(h);
}

/* ---- detaching ------------------------------------------------------------------ */

/* What the CQ holds for it: bytes, its end, or nothing. */
enum recv_queued { QUEUED_NONE, QUEUED_END, QUEUED_BYTES };

static enum recv_queued recv_queued(struct uring *u, const struct io_sock *sock)
{
	enum recv_queued found = QUEUED_NONE;
	struct io_uring_cqe *cqe;
	unsigned head;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		if (cqe->user_data != ((uintptr_t)&sock->recv | TAG_EVENT))
			continue;
		if (cqe->res >= 0)
			return QUEUED_BYTES;
		found = QUEUED_END;
	}
	return found;
}

/*
 * The multishot may still be armed (UR3). It is ended at once, so that the other ring gets
 * every byte that has not been fetched; its last CQE finds a closed socket.
 */
int uring_recv_detach(struct io_sock *sock)
{
	struct uring *u = uring_of(sock->io);
	struct io_uring_sync_cancel_reg reg = { .addr = (uintptr_t)&sock->recv | TAG_EVENT,
						.fd = -1,
						.timeout = { 0, DETACH_CANCEL_NS } };

	if (sock->fn || sock->recv_op || !queue_empty(&sock->held) || sock->end < 0)
		return -EBUSY;
	if (!sock->recv.is_armed)
		return 0;
	u->stats.enters += 2;
	(void)io_uring_submit(&u->ring); /* the SQE itself may not have gone out yet */
	(void)io_uring_register_sync_cancel(&u->ring, &reg);
	(void)io_uring_get_events(&u->ring);
	return recv_queued(u, sock) == QUEUED_END ? 0 : -EBUSY;
}
