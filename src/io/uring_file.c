// SPDX-License-Identifier: Apache-2.0
/*
 * uring_file - reading, writing and shaping open files.
 *
 * Reads, writes and fsync are ring operations; one iovec within the registered region is a
 * fixed-buffer operation. What the kernel cut short goes on from op->progress (IO4), and
 * nothing is allocated for that: the rest of a cut iovec is an operation of its own.
 *
 * Giving space back or zeroing it is fallocate() for regular files; where the filesystem
 * cannot, and for block devices, a worker does it (ioctl, ftruncate, writing zeros).
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ZERO_CHUNK ((size_t)256 << 10)

/* ---- read and write ---------------------------------------------------------- */

/* The SQE for all that is left. */
static void uring_file_rw_queue(struct uring *u, struct io_op *op)
{
	const struct io_file *file = op->file.file;
	struct io_uring_sqe *sqe = uring_sqe(u);
	bool is_write = op->code == IO_WRITE;
	struct uring_rest rest;

	if (likely(op->file.iov_count == 1 && op->progress == 0))
		rest = (struct uring_rest){ .first = *op->file.iov };
	else
		rest = uring_iov_rest(op->file.iov, op->file.iov_count, op->progress);
	uring_sqe_fd(sqe, &file->fd);
	sqe->off = op->file.off + op->progress;
	if (is_write && op->flags & IO_DSYNC)
		sqe->rw_flags = RWF_DSYNC;
	if (likely(!rest.iov)) {
		int index = uring_buf_index(u, rest.first.iov_base, rest.first.iov_len);

		sqe->addr = (uintptr_t)rest.first.iov_base;
		sqe->len = (uint32_t)rest.first.iov_len;
		if (index >= 0) {
			sqe->opcode = is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
			sqe->buf_index = (uint16_t)index;
		} else {
			sqe->opcode = is_write ? IORING_OP_WRITE : IORING_OP_READ;
		}
	} else {
		sqe->opcode = is_write ? IORING_OP_WRITEV : IORING_OP_READV;
		sqe->addr = (uintptr_t)rest.iov;
		sqe->len = rest.count;
	}
	uring_sqe_op(u, sqe, op);
	uring_wait_feed(u);
}

void uring_file_rw(struct uring *u, struct io_op *op)
{
	uint64_t total;
	int r = uring_iov_total(op->file.iov, op->file.iov_count, &total);

	if (unlikely(r < 0 || total == 0 || op->file.off > (uint64_t)INT64_MAX - total)) {
		uring_finish_later(u, op, r == 0 && total > 0 ? -EINVAL : r);
		return;
	}
	op->progress = 0;
	op->priv[OP_TOTAL] = (void *)(uintptr_t)total;
	op->priv[OP_RETRIES] = NULL;
	uring_file_rw_queue(u, op);
}

/* Direct I/O cannot go on from where a sector ended early: that was the end of the file. */
static bool uring_file_at_end(const struct io_op *op, int res)
{
	return res == -EINVAL && op->code == IO_READ && op->progress > 0 &&
	       op->file.file->is_direct;
}

static __attribute__((noinline)) void uring_file_rw_odd(struct uring *u, struct io_op *op, int res)
{
	uintptr_t retries = (uintptr_t)op->priv[OP_RETRIES] + 1;

	if (op_is_cancelled(op)) {
		res = res == -EINTR || res > 0 ? -ECANCELED : res;
	} else if (res == -EAGAIN || res == -EINTR) {
		op->priv[OP_RETRIES] = (void *)retries;
		if (retries <= URING_RW_RETRIES_MAX) {
			uring_file_rw_queue(u, op);
			return;
		}
	} else if (res > 0) {
		op->progress += (uint64_t)res;
		op->priv[OP_RETRIES] = NULL;
		if (op->progress < op_total(op)) {
			uring_file_rw_queue(u, op);
			return;
		}
	}
	if (res == 0 && op->code == IO_WRITE)
		res = -EIO;
	if (uring_file_at_end(op, res))
		res = 0;
	uring_finish(u, op, res < 0 ? res : (int64_t)op->progress);
}

void uring_file_rw_cqe(struct uring *u, struct io_op *op, int res)
{
	if (likely(res > 0 && op->progress + (uint64_t)res == op_total(op)))
		uring_finish(u, op, (int64_t)op_total(op));
	else
		uring_file_rw_odd(u, op, res);
}

void uring_file_fsync(struct uring *u, struct io_op *op)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	sqe->opcode = IORING_OP_FSYNC;
	uring_sqe_fd(sqe, &op->file.file->fd);
	sqe->fsync_flags = op->flags & IO_DATASYNC ? IORING_FSYNC_DATASYNC : 0;
	uring_sqe_op(u, sqe, op);
}

/* ---- space ------------------------------------------------------------------- */

static int uring_space_mode(const struct io_op *op)
{
	bool punches = op->code == IO_DISCARD || !(op->flags & IO_KEEP_ALLOC);

	return FALLOC_FL_KEEP_SIZE | (punches ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

/* Worker. Only up to the end of the file: zeroing does not extend it. */
static int64_t uring_space_write_zeros(struct io_op *op)
{
	int fd = op->file.file->fd.fd;
	off_t size = lseek(fd, 0, SEEK_END);
	uint64_t at = op->file.off;
	uint64_t end = min_u64(at + op->file.len, size < 0 ? 0 : (uint64_t)size);
	void *zeros;

	if (posix_memalign(&zeros, URING_BUF_PAGE, ZERO_CHUNK) != 0)
		return -ENOMEM;
	memset(zeros, 0, ZERO_CHUNK);
	int64_t res = 0;
	while (at < end && res == 0) {
		ssize_t n = pwrite(fd, zeros, min_u64(ZERO_CHUNK, end - at), (off_t)at);

		if (n > 0)
			at += (uint64_t)n;
		else if (n == 0 || errno != EINTR)
			res = n == 0 ? -EIO : -errno;
	}
	free(zeros);
	return res;
}

static bool is_unsupported(int code)
{
	return code == EOPNOTSUPP || code == ENOTTY || code == EINVAL || code == ENOSYS;
}

/* Worker: a block device, or a filesystem without the fallocate() we asked for first. */
static int64_t uring_space_slow(struct io_op *op)
{
	const struct io_file *file = op->file.file;
	uint64_t range[2] = { op->file.off, op->file.len };

	if (op->code == IO_DISCARD) {
		if (file->kind == IO_KIND_BLOCK && ioctl(file->fd.fd, BLKDISCARD, range) < 0)
			return errno == EOPNOTSUPP ? 0 : -errno;
		return 0; /* best effort */
	}
	if (fallocate(file->fd.fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE, (off_t)range[0],
		      (off_t)range[1]) == 0)
		return 0;
	if (!is_unsupported(errno))
		return -errno;
	return uring_space_write_zeros(op);
}

static int64_t uring_space_truncate(struct io_op *op)
{
	return ftruncate(op->file.file->fd.fd, (off_t)op->file.len) < 0 ? -errno : 0;
}

void uring_file_space(struct uring *u, struct io_op *op)
{
	const struct io_file *file = op->file.file;
	bool is_truncate = op->code == IO_TRUNCATE;

	if ((is_truncate && (file->kind != IO_KIND_FILE || op->file.len > INT64_MAX)) ||
	    (!is_truncate &&
	     (op->file.off > INT64_MAX || op->file.len > INT64_MAX - op->file.off))) {
		uring_finish_later(u, op, -EINVAL);
		return;
	}
	if (is_truncate) {
		uring_work(u, op, uring_space_truncate, NULL, false);
		return;
	}
	if (op->file.len == 0) {
		uring_finish_later(u, op, 0);
		return;
	}
	if (op->code == IO_DISCARD && file->kind == IO_KIND_BLOCK) {
		uring_work(u, op, uring_space_slow, NULL, false);
		return;
	}
	struct io_uring_sqe *sqe = uring_sqe(u);
	sqe->opcode = IORING_OP_FALLOCATE;
	uring_sqe_fd(sqe, &file->fd);
	sqe->off = op->file.off;
	sqe->addr = op->file.len;
	sqe->len = (uint32_t)uring_space_mode(op);
	uring_sqe_op(u, sqe, op);
}

void uring_file_space_cqe(struct uring *u, struct io_op *op, int res)
{
	if (op_is_cancelled(op) && (res == -EINTR || res == -ECANCELED))
		uring_finish(u, op, -ECANCELED);
	else if (res < 0 && (is_unsupported(-res) || res == -EINTR))
		uring_work(u, op, uring_space_slow, NULL, false);
	else
		uring_finish(u, op, res);
}
