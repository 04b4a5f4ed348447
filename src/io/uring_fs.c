// SPDX-License-Identifier: Apache-2.0
/*
 * uring_fs - opening, directories and names: all on workers, told on the ring's thread.
 *
 * A worker sees the op and nothing else of the ring: what it makes (a file's number, names
 * of a directory, addresses) it leaves in the op or in memory prepared for it.
 *
 * UF1. What a lock or a truncation needs happens in this order: open, flock, truncate; a
 *      file that is locked by somebody is not changed.
 * UF2. The last handle that is closed gives the lock back itself: the kernel would keep it
 *      until the last reference has gone, which workers of its own may hold a little longer.
 *      No other handle does: the lock is that of all.
 */
#include "io/uring_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "io/addr.h"
#include "io/limits_priv.h"
#include "io/linux_priv.h"

#define LIST_BYTES_MAX	 ((size_t)4 << 20) /* of names in one directory */
#define LIST_BYTES_FIRST ((size_t)4096)

/* ---- open -------------------------------------------------------------------- */

static int open_flags(uint32_t flags)
{
	/* O_NONBLOCK: opening a FIFO must not hold a worker. */
	int o = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	if (flags & IO_OPEN_DIR)
		return o | O_RDONLY | O_DIRECTORY;
	if (flags & IO_OPEN_WRITE)
		o |= flags & IO_OPEN_READ ? O_RDWR : O_WRONLY;
	if (flags & IO_OPEN_CREATE)
		o |= O_CREAT;
	if (flags & IO_OPEN_EXCL)
		o |= O_EXCL;
	if (flags & IO_OPEN_DIRECT)
		o |= O_DIRECT;
	return o;
}

/* Lock, look at, truncate (UF1). */
static int open_settle(int fd, uint32_t flags, struct io_file *file)
{
	struct statfs fs;
	struct stat st;

	if (flags & IO_OPEN_LOCK) {
		if (flock(fd, (flags & IO_OPEN_WRITE ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	file->kind = S_ISREG(st.st_mode) ? IO_KIND_FILE :
		     S_ISDIR(st.st_mode) ? IO_KIND_DIR :
		     S_ISBLK(st.st_mode) ? IO_KIND_BLOCK :
					   IO_KIND_OTHER;
	file->is_direct = flags & IO_OPEN_DIRECT;
	if (file->kind == IO_KIND_DIR && !(flags & IO_OPEN_DIR))
		return -EISDIR;
	if (flags & IO_OPEN_TRUNC && file->kind == IO_KIND_FILE && ftruncate(fd, 0) < 0)
		return -errno;
	/*
	 * A file in memory keeps O_NONBLOCK: to io_uring that is the word that it may be read
	 * and written at once, without a worker of the kernel (tmpfs does not say so itself).
	 */
	if (file->kind == IO_KIND_FILE && fstatfs(fd, &fs) == 0 &&
	    (fs.f_type == LINUX_TMPFS_MAGIC || fs.f_type == LINUX_RAMFS_MAGIC))
		return 0;
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 ? -errno : 0;
}

/* Worker. The file object, prepared by the ring's thread, is in op->progress. */
static int64_t uring_open_fn(struct io_op *op)
{
	struct io_file *file = (struct io_file *)(uintptr_t)op->progress;
	int fd = open(op->fs.path, open_flags(op->flags), op->fs.mode);

	if (fd < 0)
		return -errno;
	int r = open_settle(fd, op->flags, file);
	if (r < 0) {
		close(fd);
		return r;
	}
	file->fd.fd = fd;
	return 0;
}

static void uring_open_told(struct uring *u, struct io_op *op)
{
	struct io_file *file = (struct io_file *)(uintptr_t)op->progress;

	if (op->res < 0) {
		mem_free(file->lock);
		mem_free(file);
	} else {
		uring_fd_init(u, &file->fd, file->fd.fd);
		*(struct io_file **)op->fs.ret = file;
	}
	uring_finish(u, op, op->res);
}

static void uring_fs_open(struct uring *u, struct io_op *op)
{
	struct io_file *file = mem_alloc(u->io.mem, sizeof(*file));
	struct uring_lock *lock = NULL;

	if (op->flags & IO_OPEN_LOCK)
		lock = mem_alloc(u->io.mem, sizeof(*lock));
	if (!file || (op->flags & IO_OPEN_LOCK && !lock)) {
		mem_free(file);
		mem_free(lock);
		uring_finish_later(u, op, -ENOMEM);
		return;
	}
	if (lock)
		atomic_init(&lock->handles, 1);
	file->io = &u->io;
	file->lock = lock;
	op->progress = (uintptr_t)file;
	uring_work(u, op, uring_open_fn, uring_open_told, false);
}

/* ---- share ------------------------------------------------------------------- */

/* What is read of `from`, its owner does not change while it is open. */
static int share_make(struct uring *u, const struct io_file *from, struct io_file **ret)
{
	struct io_file *file = mem_alloc(u->io.mem, sizeof(*file));

	if (!file)
		return -ENOMEM;
	int fd = fcntl(from->fd.fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		int r = -errno;
		mem_free(file);
		return r;
	}
	file->io = &u->io;
	file->kind = from->kind;
	file->is_direct = from->is_direct;
	file->lock = from->lock;
	if (file->lock)
		atomic_fetch_add(&file->lock->handles, 1);
	uring_fd_init(u, &file->fd, fd);
	*ret = file;
	return 0;
}

static void uring_fs_share(struct uring *u, struct io_op *op)
{
	uring_finish_later(u, op, share_make(u, op->fs.file, op->fs.ret));
}

/* ---- close ------------------------------------------------------------------- */

/* Worker: the last close of a block device flushes it. */
static int64_t uring_close_fn(struct io_op *op)
{
	return close((int)op->progress) < 0 ? -errno : 0;
}

/* No worker could be had: then here. */
static void uring_close_told(struct uring *u, struct io_op *op)
{
	if (op->res == -EAGAIN || op->res == -ECANCELED)
		op->res = uring_close_fn(op);
	uring_finish(u, op, op->res);
}

static void uring_fs_close(struct uring *u, struct io_op *op)
{
	struct io_file *file = op->file.file;
	int fd = file->fd.fd;

	uring_fd_release(u, &file->fd);
	if (file->lock && atomic_fetch_sub(&file->lock->handles, 1) == 1) { /* UF2 */
		flock(fd, LOCK_UN);
		mem_free(file->lock);
	}
	mem_free(file);
	op->progress = (uint64_t)fd;
	uring_work(u, op, uring_close_fn, uring_close_told, false);
}

/* ---- stat, rename, unlink, mkdir --------------------------------------------- */

static int64_t uring_stat_fn(struct io_op *op)
{
	return limits_stat(op->fs.path, op->fs.path ? -1 : op->fs.file->fd.fd, op->fs.ret);
}

static int64_t uring_path_fn(struct io_op *op)
{
	const char *path = op->fs.path;
	int r;

	switch (op->code) {
	case IO_RENAME:
		r = rename(path, op->fs.path2);
		break;
	case IO_MKDIR:
		r = mkdir(path, op->fs.mode);
		break;
	default: /* UNLINK */
		r = unlink(path);
		if (r < 0 && (errno == EISDIR || errno == EPERM))
			r = rmdir(path);
		break;
	}
	return r < 0 ? -errno : 0;
}

/* ---- list -------------------------------------------------------------------- */

/* Names as a worker found them: kind, name, NUL; one after another. */
struct listing {
	char *bytes;
	size_t len, room;
	uint32_t *order; /* where each begins, by name */
	uint32_t count;
};

static int listing_add(struct listing *l, const char *name, enum io_kind kind)
{
	size_t len = strlen(name) + 2;

	if (l->len + len > LIST_BYTES_MAX)
		return -E2BIG;
	if (l->len + len > l->room) {
		size_t room = max_size(2 * l->room, LIST_BYTES_FIRST);
		char *bytes = realloc(l->bytes, room);

		if (!bytes)
			return -ENOMEM;
		l->bytes = bytes;
		l->room = room;
	}
	l->bytes[l->len] = (char)kind;
	memcpy(l->bytes + l->len + 1, name, len - 1);
	l->len += len;
	l->count++;
	return 0;
}

static int listing_compare(const void *a, const void *b, void *bytes)
{
	return strcmp((char *)bytes + *(const uint32_t *)a + 1,
		      (char *)bytes + *(const uint32_t *)b + 1);
}

static int listing_sort(struct listing *l)
{
	size_t at = 0;

	l->order = malloc(((size_t)l->count + 1) * sizeof(*l->order));
	if (!l->order)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->count; i++) {
		l->order[i] = (uint32_t)at;
		at += strlen(l->bytes + at + 1) + 2;
	}
	qsort_r(l->order, l->count, sizeof(*l->order), listing_compare, l->bytes);
	return 0;
}

static enum io_kind dirent_kind(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	switch (entry->d_type) {
	case DT_REG:
		return IO_KIND_FILE;
	case DT_DIR:
		return IO_KIND_DIR;
	case DT_BLK:
		return IO_KIND_BLOCK;
	case DT_LNK: /* what it leads to */
	case DT_UNKNOWN:
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
			return IO_KIND_OTHER;
		return S_ISREG(st.st_mode) ? IO_KIND_FILE :
		       S_ISDIR(st.st_mode) ? IO_KIND_DIR :
		       S_ISBLK(st.st_mode) ? IO_KIND_BLOCK :
					     IO_KIND_OTHER;
	default:
		return IO_KIND_OTHER;
	}
}

/* Worker. */
static int64_t uring_list_fn(struct io_op *op)
{
	struct listing *l = (struct listing *)(uintptr_t)op->progress;
	DIR *dir = opendir(op->fs.path);
	int r = 0;

	if (!dir)
		return -errno;
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);

		if (!entry)
			r = -errno;
		else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = listing_add(l, entry->d_name, dirent_kind(dir, entry));
		if (!entry || r < 0)
			break;
	}
	closedir(dir);
	return r < 0 ? r : listing_sort(l);
}

static void uring_list_told(struct uring *u, struct io_op *op)
{
	struct listing *l = (struct listing *)(uintptr_t)op->progress;
	int64_t res = op->res;

	for (uint32_t i = 0; res == 0 && i < l->count; i++) {
		const char *at = l->bytes + l->order[i];

		res = op->fs.list_fn(op->fs.list_ctx, at + 1, (enum io_kind)at[0]);
	}
	free(l->bytes);
	free(l->order);
	mem_free(l);
	uring_finish(u, op, res);
}

static void uring_fs_list(struct uring *u, struct io_op *op)
{
	struct listing *l = mem_alloc(u->io.mem, sizeof(*l));

	if (!l) {
		uring_finish_later(u, op, -ENOMEM);
		return;
	}
	op->progress = (uintptr_t)l;
	uring_work(u, op, uring_list_fn, uring_list_told, false);
}

/* ---- names ------------------------------------------------------------------- */

static int resolve_errno(int code)
{
	switch (code) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	default:
		return -ENOENT;
	}
}

/* Worker. */
static int64_t uring_resolve_fn(struct io_op *op)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	uint32_t count = 0;
	int r = getaddrinfo(op->name.host, NULL, &hints, &found);

	if (r != 0)
		return resolve_errno(r);
	for (struct addrinfo *at = found; at && count < op->name.addrs_max; at = at->ai_next) {
		struct sockaddr_storage storage = { 0 };
		struct io_addr *ret = &op->name.ret_addrs[count];

		memcpy(&storage, at->ai_addr, min_size(at->ai_addrlen, sizeof(storage)));
		uring_addr_from_kernel(&storage, at->ai_addrlen, ret);
		ret->port = op->name.port;
		count += ret->family == AF_INET || ret->family == AF_INET6;
	}
	freeaddrinfo(found);
	return count > 0 ? (int64_t)count : -ENOENT;
}

/* ------------------------------------------------------------------------------ */

static bool path_is_fine(const char *path)
{
	return path && path[0] && strnlen(path, IO_PATH_MAX) < IO_PATH_MAX;
}

static bool uring_fs_is_fine(const struct io_op *op)
{
	switch (op->code) {
	case IO_CLOSE:
		return true;
	case IO_SHARE:
		return op->fs.file != NULL;
	case IO_STAT:
		return op->fs.path ? path_is_fine(op->fs.path) : op->fs.file != NULL;
	case IO_RENAME:
		return path_is_fine(op->fs.path) && path_is_fine(op->fs.path2);
	case IO_RESOLVE:
		return op->name.host && op->name.host[0] && op->name.addrs_max > 0;
	default:
		return path_is_fine(op->fs.path);
	}
}

void uring_fs_submit(struct uring *u, struct io_op *op)
{
	if (!uring_fs_is_fine(op)) {
		uring_finish_later(u, op, -EINVAL);
		return;
	}
	switch (op->code) {
	case IO_OPEN:
		uring_fs_open(u, op);
		return;
	case IO_SHARE:
		uring_fs_share(u, op);
		return;
	case IO_CLOSE:
		uring_fs_close(u, op);
		return;
	case IO_STAT:
		uring_work(u, op, uring_stat_fn, NULL, false);
		return;
	case IO_LIST:
		uring_fs_list(u, op);
		return;
	case IO_RESOLVE:
		uring_work(u, op, uring_resolve_fn, NULL, true);
		return;
	default: /* RENAME, UNLINK, MKDIR */
		uring_work(u, op, uring_path_fn, NULL, false);
		return;
	}
}
