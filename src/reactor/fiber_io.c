// SPDX-License-Identifier: Apache-2.0
/*
 * fiber_io - files for fibers.
 *
 * Each call prepares an op on the fiber's stack, waits for it and words its failure
 * with the operation and the path, or the range where only the open file is known.
 */
#include "reactor/fiber_io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "reactor/fiber.h"

/* "open '/x': No such file or directory" */
static int file_failed(struct fiber *f, const char *verb, const char *path, int64_t res)
{
	return fiber_fail(f, (int)res, "%s '%s': %s", verb, path, strerrordesc_np((int)-res));
}

static int range_failed(struct fiber *f, const char *verb, uint64_t len, uint64_t off, int64_t res)
{
	return fiber_fail(f, (int)res, "%s of %" PRIu64 " bytes at %" PRIu64 ": %s", verb, len, off,
			  strerrordesc_np((int)-res));
}

/* ---- open files ----------------------------------------------------------- */

int fiber_open(struct fiber *f, const char *path, uint32_t open_flags, uint32_t mode,
	       struct io_file **ret)
{
	struct io_op op = { 0 };

	io_prep_open(&op, path, open_flags, mode, ret, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? file_failed(f, "open", path, res) : 0;
}

int fiber_share(struct fiber *f, struct io_file *file, struct io_file **ret)
{
	struct io_op op = { 0 };

	io_prep_share(&op, file, ret, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? fiber_fail(f, (int)res, "share an open file: %s",
				    strerrordesc_np((int)-res)) :
			 0;
}

void fiber_close(struct fiber *f, struct io_file *file)
{
	struct io_op op = { 0 };

	io_prep_close(&op, file, NULL);
	fiber_io_wait(f, &op);
}

int64_t fiber_read(struct fiber *f, struct io_file *file, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct io_op op = { 0 };

	io_prep_rw(&op, IO_READ, file, &iov, 1, off, 0, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? range_failed(f, "read", len, off, res) : res;
}

int fiber_read_full(struct fiber *f, struct io_file *file, void *buf, size_t len, uint64_t off)
{
	int64_t res = fiber_read(f, file, buf, len, off);

	if (res < 0)
		return (int)res;
	if ((uint64_t)res < len)
		return fiber_fail(f, -ENODATA,
				  "read of %zu bytes at %" PRIu64 ": the file ends after %" PRId64,
				  len, off, res);
	return 0;
}

int fiber_write(struct fiber *f, struct io_file *file, const void *buf, size_t len, uint64_t off,
		uint32_t flags)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct io_op op = { 0 };

	io_prep_rw(&op, IO_WRITE, file, &iov, 1, off, flags, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? range_failed(f, "write", len, off, res) : 0;
}

int fiber_fsync(struct fiber *f, struct io_file *file, uint32_t flags)
{
	struct io_op op = { 0 };

	io_prep_file(&op, IO_FSYNC, file, 0, 0, flags, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? fiber_fail(f, (int)res, "fsync: %s", strerrordesc_np((int)-res)) : 0;
}

int fiber_truncate(struct fiber *f, struct io_file *file, uint64_t size)
{
	struct io_op op = { 0 };

	io_prep_file(&op, IO_TRUNCATE, file, 0, size, 0, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? fiber_fail(f, (int)res, "truncate to %" PRIu64 " bytes: %s", size,
				    strerrordesc_np((int)-res)) :
			 0;
}

int fiber_fstat(struct fiber *f, struct io_file *file, struct io_stat *ret)
{
	struct io_op op = { 0 };

	io_prep_stat(&op, NULL, file, ret, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? fiber_fail(f, (int)res, "stat of an open file: %s",
				    strerrordesc_np((int)-res)) :
			 0;
}

/* ---- paths ---------------------------------------------------------------- */

int fiber_stat(struct fiber *f, const char *path, struct io_stat *ret)
{
	struct io_op op = { 0 };

	io_prep_stat(&op, path, NULL, ret, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? file_failed(f, "stat", path, res) : 0;
}

int fiber_list(struct fiber *f, const char *path, io_list_fn fn, void *ctx)
{
	struct io_op op = { 0 };

	io_prep_list(&op, path, fn, ctx, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? file_failed(f, "list", path, res) : (int)res;
}

int fiber_rename(struct fiber *f, const char *from, const char *to)
{
	struct io_op op = { 0 };

	io_prep_path(&op, IO_RENAME, from, to, 0, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? fiber_fail(f, (int)res, "rename '%s' to '%s': %s", from, to,
				    strerrordesc_np((int)-res)) :
			 0;
}

int fiber_unlink(struct fiber *f, const char *path)
{
	struct io_op op = { 0 };

	io_prep_path(&op, IO_UNLINK, path, NULL, 0, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? file_failed(f, "unlink", path, res) : 0;
}

int fiber_mkdir(struct fiber *f, const char *path, uint32_t mode)
{
	struct io_op op = { 0 };

	io_prep_path(&op, IO_MKDIR, path, NULL, mode, NULL);
	int64_t res = fiber_io_wait(f, &op);
	return res < 0 ? file_failed(f, "mkdir", path, res) : 0;
}

int fiber_sync_dir(struct fiber *f, const char *path)
{
	struct io_file *dir;
	int res = fiber_open(f, path, IO_OPEN_READ | IO_OPEN_DIR, 0, &dir);

	if (res < 0)
		return res;
	res = fiber_fsync(f, dir, 0);
	fiber_close(f, dir);
	return res;
}

/* ---- whole files ---------------------------------------------------------- */

static int file_fill(struct fiber *f, const char *path, const void *buf, size_t len, uint32_t mode)
{
	struct io_file *file;
	int res = fiber_open(f, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, mode, &file);

	if (res < 0)
		return res;
	if (len)
		res = fiber_write(f, file, buf, len, 0, 0);
	if (res == 0)
		res = fiber_fsync(f, file, 0);
	fiber_close(f, file);
	return res;
}

/* The directory of a path, as it is written there. */
static char *path_dir(struct mem *mem, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strdup(mem, ".");
	return mem_strndup(mem, path, slash == path ? 1 : (size_t)(slash - path));
}

int fiber_write_file(struct fiber *f, const char *path, const void *buf, size_t len, uint32_t mode)
{
	CLEANUP(cleanup_mem) char *beside = mem_printf(fiber_io(f)->mem, "%s.new", path);
	CLEANUP(cleanup_mem) char *dir = path_dir(fiber_io(f)->mem, path);

	if (!beside || !dir)
		return fiber_fail(f, -ENOMEM, "write '%s': out of memory", path);
	int res = file_fill(f, beside, buf, len, mode);
	if (res == 0)
		res = fiber_rename(f, beside, path);
	if (res < 0) {
		int ignored = fiber_unlink(
			f, beside); /* it may not even be there; the words stay (FI4) */
		(void)ignored;
		return res;
	}
	return fiber_sync_dir(f, dir);
}

/* Reads an open file to its end. Files that do not tell their size (/proc) tell 0. */
static int file_slurp(struct fiber *f, struct io_file *file, const char *path, size_t max,
		      char **ret, size_t *ret_len)
{
	struct io_stat st = { 0 };
	int res = fiber_fstat(f, file, &st);

	if (res < 0)
		return res;
	if (st.size_bytes > max)
		return fiber_fail(f, -EFBIG, "read '%s': %" PRIu64 " bytes, expected at most %zu",
				  path, st.size_bytes, max);
	size_t room = (st.size_bytes ? st.size_bytes : max) + 1; /* one more shows what is longer */
	CLEANUP(cleanup_mem) char *text = mem_new(fiber_io(f), room + 1);
	if (!text)
		return fiber_fail(f, -ENOMEM, "read '%s': out of memory", path);
	int64_t len = fiber_read(f, file, text, room, 0);
	if (len < 0)
		return (int)len;
	if ((size_t)len == room)
		return fiber_fail(f, -EFBIG, "read '%s': longer than %zu bytes", path, room - 1);
	*ret_len = (size_t)len;
	*ret = steal(text);
	return 0;
}

int fiber_read_file(struct fiber *f, const char *path, size_t max, char **ret, size_t *ret_len)
{
	struct io_file *file;
	int res = fiber_open(f, path, IO_OPEN_READ, 0, &file);

	if (res < 0)
		return res;
	res = file_slurp(f, file, path, max, ret, ret_len);
	fiber_close(f, file);
	return res;
}

/* ---- blocking libraries --------------------------------------------------- */

int64_t fiber_work(struct fiber *f, int64_t (*fn)(void *ctx), void *ctx)
{
	struct io_op op = { 0 };

	io_prep_work(&op, fn, ctx, NULL);
	return fiber_io_wait(f, &op);
}
