// SPDX-License-Identifier: Apache-2.0
/*
 * uring_open - a ring's beginning and end: what the kernel must have, what it is denied for, in words.
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "io/linux_priv.h"

static void uring_free(struct uring *u)
{
	if (u->wake_fd >= 0)
		close(u->wake_fd);
	mem_free(u);
}

/* Closed objects are still waiting for their last CQEs (U1). */
void uring_close(struct io *io)
{
	struct uring *u = uring_of(io);

	must(u->in_work == 0 && u->in_recv == 0 && list_empty(&u->done));
	uring_children_forget(u);
	while (u->closing > 0)
		uring_turn(io, IO_FOREVER);
	must(u->in_ring == 0); /* nothing was in flight */
	work_fini(&u->work);
	io_uring_queue_exit(&u->ring);
	uring_rbufs_fini(u);
	uring_bufs_fini(u);
	uring_free(u);
}

/* Opcodes of 6.1 that nothing here can do without. */
static const uint8_t uring_needs[] = {
	IORING_OP_READ,	      IORING_OP_WRITE,	     IORING_OP_READV,	   IORING_OP_WRITEV,
	IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED, IORING_OP_FSYNC,	   IORING_OP_FALLOCATE,
	IORING_OP_SEND,	      IORING_OP_RECV,	     IORING_OP_SENDMSG,	   IORING_OP_RECVMSG,
	IORING_OP_ACCEPT,     IORING_OP_CONNECT,     IORING_OP_POLL_ADD,   IORING_OP_ASYNC_CANCEL,
	IORING_OP_TIMEOUT,    IORING_OP_SEND_ZC,     IORING_OP_SENDMSG_ZC,
};

static int uring_why(struct err *err, int code)
{
	switch (code) {
	case -EPERM:
	case -EACCES:
		return err_fail(
			err, code,
			"io_uring is denied: allow the system calls io_uring_setup, "
			"io_uring_enter and io_uring_register (seccomp profile of the container) "
			"and set sysctl kernel.io_uring_disabled=0");
	case -ENOSYS:
	case -EINVAL:
		return err_fail(err, code,
				"io_uring is missing or too old: Linux 6.1 or later is needed "
				"(or the seccomp profile hides io_uring_setup)");
	case -ENOMEM:
		return err_fail(err, code, "no memory for the io_uring (RLIMIT_MEMLOCK?)");
	default:
		return err_fail(err, code, "io_uring_setup failed: %s", err_name(code));
	}
}

static int uring_probe(struct uring *u, struct err *err)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);

	if (!probe)
		return uring_why(err, -EPERM);
	for (size_t i = 0; i < ARRAY_LEN(uring_needs); i++)
		if (!io_uring_opcode_supported(probe, uring_needs[i])) {
			io_uring_free_probe(probe);
			return uring_why(err, -ENOSYS);
		}
	io_uring_free_probe(probe);
	return 0;
}

static int uring_ring_open(struct uring *u, unsigned entries, struct err *err)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
			 IORING_SETUP_CLAMP,
		.cq_entries = entries * URING_CQ_TIMES,
	};
	int r = io_uring_queue_init_params(entries, &u->ring, &params);

	if (r < 0)
		return uring_why(err, r);
	r = uring_probe(u, err);
	if (r == 0 && io_uring_register_ring_fd(&u->ring) < 0)
		r = uring_why(err, -EPERM);
	if (r < 0)
		io_uring_queue_exit(&u->ring);
	return r;
}

static void uring_wake_work(void *ctx)
{
	uring_wake(ctx);
}

static unsigned or_default(unsigned value, unsigned fallback)
{
	return value ? value : fallback;
}

static int uring_opts_check(const struct uring_opts *o, struct err *err)
{
	if (o->entries > URING_ENTRIES_MAX)
		return err_fail(err, -EINVAL, "entries: at most %u", URING_ENTRIES_MAX);
	if (o->buf_bytes > URING_BUF_BYTES_MAX)
		return err_fail(err, -EINVAL, "buf_bytes: at most %zu", URING_BUF_BYTES_MAX);
	if (o->recv_buf_count > URING_RECV_BUFS_MAX ||
	    (o->recv_buf_count && !is_pow2_u64(o->recv_buf_count)))
		return err_fail(err, -EINVAL, "recv_buf_count: a power of two up to %u",
				URING_RECV_BUFS_MAX);
	if (o->recv_buf_bytes > URING_RECV_BUF_BYTES_MAX)
		return err_fail(err, -EINVAL, "recv_buf_bytes: at most %u",
				URING_RECV_BUF_BYTES_MAX);
	if (o->workers_max > WORK_THREADS_MAX)
		return err_fail(err, -EINVAL, "workers_max: at most %u", WORK_THREADS_MAX);
	return 0;
}

static int uring_parts_open(struct uring *u, const struct uring_opts *o, struct err *err)
{
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd < 0)
		return err_fail(err, -errno, "eventfd: %s", err_name(errno));
	int r = work_init(&u->work, or_default(o->workers_max, URING_WORKERS_DEFAULT),
			  or_default(o->work_queue_max, URING_WORK_QUEUE_DEFAULT), uring_wake_work,
			  u);
	if (r < 0)
		return err_fail(err, r, "worker pool: %s", err_name(r));
	if (o->work_idle_ns)
		u->work.idle_ns = o->work_idle_ns;
	r = uring_ring_open(u, or_default(o->entries, URING_ENTRIES_DEFAULT), err);
	if (r < 0) {
		work_fini(&u->work);
		return r;
	}
	uring_wake_arm(u);
	r = io_uring_submit(&u->ring); /* the first io_uring_enter: is that allowed too? */
	if (r < 0) {
		io_uring_queue_exit(&u->ring);
		work_fini(&u->work);
		return uring_why(err, r);
	}
	return 0;
}

int uring_open(struct mem *mem, const struct uring_opts *opts, struct io **ret, struct err *err)
{
	static const struct uring_opts defaults;
	const struct uring_opts *o = opts ? opts : &defaults;
	int r = uring_opts_check(o, err);

	if (r < 0)
		return r;
	struct uring *u = mem_alloc_aligned(mem, _Alignof(struct uring), sizeof(*u));
	if (!u)
		return err_fail(err, -ENOMEM, "no memory for a ring");
	u->io = (struct io){ .ops = &uring_ops, .mem = mem, .turn_ns = uring_clock() };
	u->thread = pthread_self();
	list_init(&u->done);
	list_init(&u->work_failed);
	list_init(&u->ready);
	list_init(&u->children);
	u->bufs.bytes = align_up_u64(o->buf_bytes ? o->buf_bytes : URING_BUF_BYTES_DEFAULT,
				     URING_BUF_CHUNK);
	u->rbufs.count = or_default(o->recv_buf_count, URING_RECV_BUFS_DEFAULT);
	u->rbufs.bytes = or_default(o->recv_buf_bytes, URING_RECV_BUF_BYTES_DEFAULT);
	u->wake_fd = -1;
	u->wake_event.fn = uring_wake_event;
	r = uring_parts_open(u, o, err);
	if (r < 0) {
		uring_free(u);
		return r;
	}
	u->has_zc_report = u->ring.features & LINUX_IORING_FEAT_RW_ATTR;
	uring_fd_table_init(u);
	uring_wait_init(u, o);
	*ret = &u->io;
	return 0;
}

void io_block_signals(const int *signos)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signos; signos++)
		sigaddset(&set, *signos);
	must(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}
