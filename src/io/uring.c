// SPDX-License-Identifier: Apache-2.0
/*
 * uring - struct io on Linux io_uring: the ring, its turn, and the table of operations.
 *
 * One ring per reactor, made on its thread with SINGLE_ISSUER and DEFER_TASKRUN: nobody
 * else touches it, and the kernel completes work only when we ask. A turn is
 *
 *	one io_uring_enter: submit what was queued, wait if allowed, fetch
 *	-> each CQE to its op or event -> ops told later -> sockets with held bytes
 *
 * io_submit() only fills an SQE; what the callbacks of a turn submit goes out together
 * with the next. Blocking calls (opening, directories, names, spawning) run on workers.
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- submission ------------------------------------------------------------ */

struct io_uring_sqe *uring_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe;

	while (unlikely(!(sqe = io_uring_get_sqe(&u->ring)))) {
		u->stats.enters++;
		int r = io_uring_submit(&u->ring); /* fails only while the kernel has no memory */
		must(r >= 0 || r == -EAGAIN || r == -EBUSY || r == -EINTR);
	}
	memset(sqe, 0, sizeof(*sqe));
	u->stats.submits++;
	return sqe;
}

void uring_finish_later(struct uring *u, struct io_op *op, int64_t res)
{
	op->res = res;
	op->priv[OP_STATE] = (void *)STATE_NONE;
	list_link_init(&op->link);
	list_add_tail(&u->done, &op->link);
}

static void uring_cancel_send(struct uring *u, uintptr_t target, uintptr_t tag)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = target;
	sqe->user_data = (target & ~(uintptr_t)TAG_MASK) | tag;
}

void uring_cancel_event(struct uring *u, struct uring_event *ev)
{
	if (!ev->is_armed || ev->is_cancelling)
		return;
	ev->is_cancelling = ev->is_cancel_out = true;
	uring_cancel_send(u, (uintptr_t)ev | TAG_EVENT, TAG_CANCEL_EVENT);
}

static void uring_work_told(struct uring *u, struct io_op *op)
{
	uring_finish(u, op, op->res);
}

/* Told in the next turn, by its own finish function, which undoes what was prepared. */
static void uring_work_fail(struct uring *u, struct io_op *op, int res)
{
	op->res = res;
	op->priv[OP_STATE] = (void *)STATE_NONE;
	list_link_init(&op->link);
	list_add_tail(&u->work_failed, &op->link);
}

void uring_work(struct uring *u, struct io_op *op, work_fn fn, uring_finish_fn finish,
		bool is_bounded)
{
	op->priv[OP_STATE] = (void *)STATE_WORK;
	op->priv[OP_TOTAL] = (void *)(finish ? finish : uring_work_told);
	int r = work_push(&u->work, op, fn, is_bounded);
	if (r == 0) {
		u->in_work++;
		return;
	}
	uring_work_fail(u, op, r);
}

static int64_t uring_work_fn(struct io_op *op)
{
	return op->work.fn(op->work.ctx);
}

int uring_iov_total(const struct iovec *iov, uint32_t count, uint64_t *ret)
{
	uint64_t total = 0;

	if (count > IO_IOV_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		if (iov[i].iov_len > IO_XFER_MAX - total)
			return -EINVAL;
		total += iov[i].iov_len;
	}
	*ret = total;
	return 0;
}

struct uring_rest uring_iov_rest(const struct iovec *iov, uint32_t count, uint64_t progress)
{
	uint32_t i = 0;

	while (i < count && progress >= iov[i].iov_len)
		progress -= iov[i++].iov_len;
	must(i < count);
	if (progress > 0 || i + 1 == count)
		return (struct uring_rest){ .first = { (uint8_t *)iov[i].iov_base + progress,
						       iov[i].iov_len - progress } };
	return (struct uring_rest){ .iov = iov + i, .count = count - i };
}

static void uring_submit(struct io *io, struct io_op *op)
{
	struct uring *u = uring_of(io);

	op->priv[OP_STATE] = (void *)STATE_NONE;
	switch (op->code) {
	case IO_READ:
	case IO_WRITE:
		uring_file_rw(u, op);
		return;
	case IO_FSYNC:
		uring_file_fsync(u, op);
		return;
	case IO_SEND:
		uring_send(u, op);
		return;
	case IO_RECV:
		uring_recv(u, op);
		return;
	case IO_DISCARD:
	case IO_ZERO:
	case IO_TRUNCATE:
		uring_file_space(u, op);
		return;
	case IO_CONNECT:
		uring_connect(u, op);
		return;
	case IO_WORK:
		uring_work(u, op, uring_work_fn, NULL, true);
		return;
	case IO_SPAWN:
		uring_spawn(u, op);
		return;
	case IO_OPEN:
	case IO_SHARE:
	case IO_CLOSE:
	case IO_STAT:
	case IO_LIST:
	case IO_RENAME:
	case IO_UNLINK:
	case IO_MKDIR:
	case IO_RESOLVE:
		uring_fs_submit(u, op);
		return;
	case IO_NOP:
		uring_finish_later(u, op, 0);
		return;
	case IO_CODES:
		break;
	}
	must(!"a code of enum io_code");
}

static void uring_cancel(struct io *io, struct io_op *op)
{
	struct uring *u = uring_of(io);

	switch (op_state(op) & STATE_MASK) {
	case STATE_RING:
		if (!op_is_cancelled(op)) {
			op->priv[OP_STATE] =
				(void *)(STATE_RING | STATE_CANCELLED | STATE_CANCEL_OUT);
			uring_cancel_send(u, (uintptr_t)op | TAG_OP, TAG_CANCEL_OP);
		}
		break;
	case STATE_WORK:
		if (work_remove(&u->work, op)) {
			u->in_work--;
			uring_work_fail(u, op, -ECANCELED);
		}
		break;
	case STATE_RECV:
		uring_recv_cancel(u, op);
		break;
	default: /* told in the next turn, or not in flight */
		break;
	}
}

/* ---- completion ------------------------------------------------------------ */

static void uring_op_cqe(struct uring *u, struct io_op *op, int res, unsigned flags)
{
	switch (op->code) {
	case IO_READ:
	case IO_WRITE:
		u->in_ring--;
		uring_file_rw_cqe(u, op, res);
		return;
	case IO_SEND:
		uring_send_cqe(u, op, res, flags);
		return;
	case IO_RECV:
		uring_recv_cqe(u, op, res);
		return;
	case IO_CONNECT:
		uring_connect_cqe(u, op, res);
		return;
	case IO_DISCARD:
	case IO_ZERO:
		u->in_ring--;
		uring_file_space_cqe(u, op, res);
		return;
	default: /* FSYNC */
		u->in_ring--;
		uring_finish(u, op, res == -EINTR && op_is_cancelled(op) ? -ECANCELED : res);
		return;
	}
}

/* U4 */
static __attribute__((noinline)) void uring_op_cancel_cqe(struct uring *u, struct io_op *op,
							  int res)
{
	bool is_sock = op->code == IO_SEND || op->code == IO_RECV || op->code == IO_CONNECT;

	if (op_state(op) & STATE_ENDED) {
		op->priv[OP_STATE] = (void *)(STATE_RING | STATE_CANCELLED);
		uring_op_cqe(u, op, (int)op->res, (unsigned)op->submit_ns);
	} else if (res == -ENOENT && is_sock) {
		uring_cancel_send(u, (uintptr_t)op | TAG_OP, TAG_CANCEL_OP);
	} else { /* found; or a file's, which the kernel ends when it can */
		op->priv[OP_STATE] = (void *)(STATE_RING | STATE_CANCELLED);
	}
}

/* True: kept until the cancel's CQE comes (U4). */
static bool uring_op_hold(struct io_op *op, int res, unsigned flags)
{
	if (likely(!(op_state(op) & STATE_CANCEL_OUT)) || flags & IORING_CQE_F_MORE)
		return false;
	op->priv[OP_STATE] = (void *)(op_state(op) | STATE_ENDED);
	op->res = res;
	op->submit_ns = flags;
	return true;
}

static void uring_event_cqe(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	if (!(flags & IORING_CQE_F_MORE)) {
		if (ev->is_cancel_out) { /* U4 */
			ev->has_ended = true;
			ev->end_res = res;
			ev->end_flags = flags;
			return;
		}
		ev->is_armed = false;
	}
	ev->fn(u, ev, res, flags);
}

static void uring_event_cancel_cqe(struct uring *u, struct uring_event *ev, int res)
{
	if (ev->has_ended) {
		ev->is_cancel_out = ev->has_ended = false;
		uring_event_cqe(u, ev, ev->end_res, ev->end_flags);
	} else if (res == -ENOENT) {
		uring_cancel_send(u, (uintptr_t)ev | TAG_EVENT, TAG_CANCEL_EVENT);
	} else {
		ev->is_cancel_out = false;
	}
}

static void uring_reap(struct uring *u)
{
	struct io_uring_cq *cq = &u->ring.cq;
	unsigned head = *cq->khead;
	unsigned tail = io_uring_smp_load_acquire(cq->ktail);
	unsigned mask = *cq->kring_mask;
	unsigned count = tail - head;

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &cq->cqes[head & mask];
		uintptr_t data = cqe->user_data;
		void *target = (void *)(data & ~(uintptr_t)TAG_MASK);

		switch (data & TAG_MASK) {
		case TAG_OP:
			if (!uring_op_hold(target, cqe->res, cqe->flags))
				uring_op_cqe(u, target, cqe->res, cqe->flags);
			break;
		case TAG_EVENT:
			uring_event_cqe(u, target, cqe->res, cqe->flags);
			break;
		case TAG_CANCEL_OP:
			uring_op_cancel_cqe(u, target, cqe->res);
			break;
		default:
			uring_event_cancel_cqe(u, target, cqe->res);
			break;
		}
	}
	if (count)
		io_uring_cq_advance(&u->ring, count);
}

/* Ops that ended on a worker, or never got to one. */
static void uring_reap_work(struct uring *u)
{
	struct list ended;
	struct io_op *op;

	list_init(&ended);
	if (u->in_work)
		work_take_done(&u->work, &ended);
	list_for_each(op, &ended, link)
		u->in_work--;
	list_splice_tail(&ended, &u->work_failed);
	while ((op = list_pop_front(&ended, struct io_op, link))) {
		op->priv[OP_STATE] = (void *)STATE_NONE;
		((uring_finish_fn)op->priv[OP_TOTAL])(u, op);
	}
}

static void uring_reap_later(struct uring *u)
{
	struct list ended;
	struct io_op *op;

	list_init(&ended);
	list_splice_tail(&ended, &u->done);
	while ((op = list_pop_front(&ended, struct io_op, link)))
		uring_finish(u, op, op->res);
}

unsigned uring_turn(struct io *io, uint64_t until_ns)
{
	struct uring *u = uring_of(io);

	must(pthread_equal(u->thread, pthread_self())); /* IO1 */
	u->stats.turns++;
	u->told = 0;
	if (until_ns == 0 || io_uring_cq_ready(&u->ring) || !list_empty(&u->done) ||
	    !list_empty(&u->work_failed) || !list_empty(&u->ready)) {
		uring_wait_fetch(u);
		io->turn_ns = uring_clock();
	} else {
		uring_wait_until(u, until_ns); /* reads the clock itself */
	}
	uring_reap(u);
	if (u->in_work || !list_empty(&u->work_failed))
		uring_reap_work(u);
	if (!list_empty(&u->done))
		uring_reap_later(u);
	if (!list_empty(&u->ready))
		uring_recv_ready(u);
	uring_rbufs_give(u);
	return u->told;
}

/* ---- waking ---------------------------------------------------------------- */

void uring_wake(struct io *io)
{
	struct uring *u = uring_of(io);
	uint64_t one = 1;

	if (atomic_exchange_explicit(&u->woken, 1, memory_order_seq_cst))
		return; /* whoever set it sees to the rest */
	if (atomic_load_explicit(&u->is_asleep, memory_order_seq_cst))
		must(write(u->wake_fd, &one, sizeof(one)) == sizeof(one));
}

/* The eventfd is never read: its poll is told of each write. */
void uring_wake_arm(struct uring *u)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	io_uring_prep_poll_multishot(sqe, u->wake_fd, POLLIN);
	uring_sqe_event(sqe, &u->wake_event);
}

void uring_wake_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	if (!ev->is_armed)
		uring_wake_arm(u);
}

/* ---- the rest of the table ------------------------------------------------- */

static uint64_t uring_now_ns(struct io *io)
{
	return uring_clock();
}

static uint64_t uring_wall_ns(struct io *io)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void uring_random(struct io *io, void *buf, size_t len)
{
	uint8_t *at = buf;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		must(n > 0 || errno == EINTR);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

static void uring_stats(struct io *io, struct io_stats *ret)
{
	const struct uring *u = uring_of(io);

	*ret = u->stats;
	ret->inflight = u->in_ring;
	ret->spin_budget_ns = uring_wait_budget(u);
}

const struct io_ops uring_ops = {
	.name = "io_uring",
	.now_ns = uring_now_ns,
	.wall_ns = uring_wall_ns,
	.random = uring_random,
	.submit = uring_submit,
	.cancel = uring_cancel,
	.turn = uring_turn,
	.wake = uring_wake,
	.buf_new = uring_buf_new,
	.buf_free = uring_buf_free,
	.listen = uring_listen,
	.listener_addr = uring_listener_addr,
	.listener_close = uring_listener_close,
	.recv_start = uring_recv_start,
	.recv_stop = uring_recv_stop,
	.sock_peer = uring_sock_peer,
	.sock_local = uring_sock_local,
	.sock_shutdown = uring_sock_shutdown,
	.sock_close = uring_sock_close,
	.sock_detach = uring_sock_detach,
	.sock_adopt = uring_sock_adopt,
	.watch = uring_watch,
	.watch_set = uring_watch_set,
	.watch_free = uring_watch_free,
	.signal = uring_signal,
	.signal_free = uring_signal_free,
	.child_wait = uring_child_wait,
	.child_kill = uring_child_kill,
	.child_free = uring_child_free,
	.stats = uring_stats,
	.close = uring_close,
};
