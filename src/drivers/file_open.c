// SPDX-License-Identifier: Apache-2.0
/*
 * file_open - from a URI to an open, locked and measured file.
 *
 *   parameters -> look (kind) -> open (lock, direct or not) -> extend -> measure -> describe
 *
 * FO1. What the disk says of itself comes from the open file, not from its path.
 * FO2. A file is never made smaller, and a block device never written to by opening it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/uri.h"
#include "drivers/file_priv.h"
#include "drivers/shape.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"

#define FILE_MODE 0600	    /* of one we create */
#define FILE_ALIGN_MAX 4096 /* of buffers */

enum file_direct { FILE_DIRECT_AUTO, FILE_DIRECT_ON, FILE_DIRECT_OFF };

struct file_opts {
	enum file_direct direct;
	bool fua_by_flush;
	uint32_t blk_size;	/* 0: whatever fits */
	uint64_t size;		/* 0: as it is */
	bool read_only;
};

/* One of the words; the first is the default. */
static int file_word(struct fiber *f, const struct uri *uri, const char *name,
		     const char *const *words, unsigned *ret)
{
	const char *text = words[0];

	TRY(uri_get_str(uri, name, words[0], &text, fiber_err(f)));
	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return fiber_fail(f, -EINVAL, "%s: parameter '%s' is '%.60s', expected %s, %s%s%s",
			  uri_scheme(uri), name, text, words[0], words[1], words[2] ? " or " : "",
			  words[2] ? words[2] : "");
}

static int file_get_opts(struct fiber *f, const struct uri *uri, struct file_opts *ret)
{
	static const char *const direct_words[] = {"auto", "on", "off", NULL};
	static const char *const fua_words[] = {"dsync", "flush", NULL};
	unsigned direct = 0, fua = 0;

	*ret = (struct file_opts){0};
	if (*uri_host(uri))
		return fiber_fail(f, -EINVAL, "%s: host '%.60s', expected none: %s:///path",
				  uri_scheme(uri), uri_host(uri), uri_scheme(uri));
	if (uri_segment_count(uri) == 0)
		return fiber_fail(f, -EINVAL, "%s: no path, expected %s:///path", uri_scheme(uri),
				  uri_scheme(uri));
	if (uri_name_count(uri, "blk_size") > 0)
		TRY(shape_block_size(f, uri, 0, &ret->blk_size));
	TRY(file_word(f, uri, "direct", direct_words, &direct));
	TRY(file_word(f, uri, "fua", fua_words, &fua));
	TRY(uri_get_size(uri, "size", BDEV_BLOCK_MIN, FILE_SIZE_MAX, 0, &ret->size, fiber_err(f)));
	TRY(uri_get_bool(uri, "read_only", false, &ret->read_only, fiber_err(f)));
	ret->direct = (enum file_direct)direct;
	ret->fua_by_flush = fua == 1;
	return 0;
}

/* What the path leads to; a file that is not there is created if a size was given. */
static int file_look(struct fiber *f, struct file *file, const struct file_opts *opts,
		     uint32_t *ret_flags)
{
	int r = fiber_stat(f, file->path, &file->stat);

	*ret_flags = 0;
	if (r == -ENOENT && opts->size && !opts->read_only) {
		fiber_clear(f);
		file->stat = (struct io_stat){.kind = IO_KIND_FILE};
		*ret_flags = IO_OPEN_CREATE;
		return 0;
	}
	if (r < 0)
		return r;
	if (file->stat.kind == IO_KIND_DIR)
		return fiber_fail(f, -EISDIR, "%s: is a directory", file->path);
	if (file->stat.kind != IO_KIND_FILE && file->stat.kind != IO_KIND_BLOCK)
		return fiber_fail(f, -EINVAL, "%s: is neither a file nor a block device",
				  file->path);
	if (file->stat.kind == IO_KIND_BLOCK && opts->size)
		return fiber_fail(f, -EINVAL,
				  "%s: is a block device; parameter 'size' is for files",
				  file->path);
	if (file->stat.kind == IO_KIND_BLOCK)
		*ret_flags = IO_OPEN_EXCL;
	return 0;
}

/* The file, with its lock; home's handle of it. */
static int file_open_home(struct fiber *f, struct file *file, const struct file_opts *opts)
{
	uint32_t flags;
	int r;

	TRY(file_look(f, file, opts, &flags));
	file->open_flags = IO_OPEN_READ;
	if (!opts->read_only && !file->stat.read_only)
		file->open_flags |= IO_OPEN_WRITE;
	if (opts->direct != FILE_DIRECT_OFF)
		file->open_flags |= IO_OPEN_DIRECT;
	flags |= IO_OPEN_LOCK;
	r = fiber_open(f, file->path, flags | file->open_flags, FILE_MODE, &file->file);
	if (r == -EINVAL && opts->direct == FILE_DIRECT_AUTO) {
		fiber_clear(f);
		log_warn(reactor_log(file->home),
			 "direct I/O is refused here: going through the page cache",
			 LOG_STR("path", file->path));
		file->open_flags &= ~(uint32_t)IO_OPEN_DIRECT;
		r = fiber_open(f, file->path, flags | file->open_flags, FILE_MODE, &file->file);
	}
	return r;
}

/* As large as asked for, durably; never smaller. */
static int file_extend(struct fiber *f, struct file *file, const struct file_opts *opts)
{
	char *dir, *slash;
	int r;

	if (opts->size <= file->stat.size_bytes)
		return 0;
	if (!(file->open_flags & IO_OPEN_WRITE))
		return fiber_fail(f, -EROFS, "%s: is read-only and smaller than parameter 'size'",
				  file->path);
	TRY(fiber_truncate(f, file->file, opts->size));
	TRY(fiber_fsync(f, file->file, 0));
	dir = mem_strdup(fiber_io(f)->mem, file->path);
	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	slash[slash == dir] = '\0';
	r = fiber_sync_dir(f, dir);
	mem_free(dir);
	if (r < 0)
		return r;
	return fiber_fstat(f, file->file, &file->stat);
}

static int file_measure(struct fiber *f, struct file *file, const struct file_opts *opts)
{
	const struct io_stat *stat = &file->stat;
	bool direct = file->open_flags & IO_OPEN_DIRECT;
	uint32_t least = stat->kind == IO_KIND_BLOCK || direct ? stat->logical_block : 1;
	uint32_t block_size = opts->blk_size ? opts->blk_size : max_u32(BDEV_BLOCK_MIN, least);
	struct bdev *bdev = &file->bdev;

	if (block_size < least)
		return fiber_fail(f, -EINVAL,
				  "%s: parameter 'blk_size' is %" PRIu32 ", less than the %" PRIu32
				  " that it takes%s",
				  file->path, block_size, least,
				  stat->kind == IO_KIND_FILE ? " (but for direct=off)" : "");
	if (stat->size_bytes == 0)
		return fiber_fail(f, -EINVAL, "%s: is empty; parameter 'size' can make it larger",
				  file->path);
	if (stat->size_bytes % block_size)
		return fiber_fail(f, -EINVAL,
				  "%s: its size, %" PRIu64 ", is not a multiple of blk_size %" PRIu32,
				  file->path, stat->size_bytes, block_size);
	bdev->block_size = block_size;
	bdev->physical_block_size = max_u32(block_size, stat->physical_block);
	bdev->blocks = stat->size_bytes / block_size;
	return 0;
}

/* Of memory; what is odd or large (some network filesystems) becomes a page. */
static uint32_t file_align(const struct io_stat *stat)
{
	bool is_plain = is_pow2_u64(stat->mem_align) && stat->mem_align <= FILE_ALIGN_MAX;

	return is_plain ? stat->mem_align : FILE_ALIGN_MAX;
}

static void file_describe(struct file *file, const struct file_opts *opts)
{
	const struct io_stat *stat = &file->stat;
	bool is_block = stat->kind == IO_KIND_BLOCK;
	bool direct = file->open_flags & IO_OPEN_DIRECT;
	struct bdev *bdev = &file->bdev;
	struct bdev_limits limits = {
		.max_zeroes_blocks = FILE_ZEROES_BYTES_MAX / bdev->block_size,
		.buf_align = direct ? file_align(stat) : 1,
		.queue_depth = FILE_QUEUE_DEPTH,
		.ops = 1u << BIO_READ | 1u << BIO_WRITE | 1u << BIO_FLUSH,
		.no_fua = 1u << BIO_ZEROES | (opts->fua_by_flush ? 1u << BIO_WRITE : 0),
	};

	bdev->driver = &file_driver;
	bdev->read_only = !(file->open_flags & IO_OPEN_WRITE);
	bdev->volatile_cache = stat->volatile_cache || !direct || !is_block;
	bdev->rotational = stat->rotational;
	bdev->can_unmap = stat->discard_bytes > 0;
	bdev->can_zeroes = is_block || stat->discard_bytes > 0;
	bdev->unmap_zeroes = bdev->can_unmap && !is_block;
	bdev->scratch_bytes = sizeof(struct file_req);
	if (bdev->can_zeroes)
		limits.ops |= 1u << BIO_ZEROES;
	if (bdev->can_unmap)
		limits.ops |= 1u << BIO_UNMAP;
	bdev_set_limits(bdev, &limits);
}

int file_open_uri(struct fiber *f, const struct uri *uri, struct file *file)
{
	struct file_opts opts;

	TRY(file_get_opts(f, uri, &opts));
	file->path = mem_strdup(fiber_io(f)->mem, uri_path(uri));
	if (!file->path)
		return -ENOMEM;
	TRY(file_open_home(f, file, &opts));
	TRY(fiber_fstat(f, file->file, &file->stat));
	TRY(file_extend(f, file, &opts));
	TRY(file_measure(f, file, &opts));
	file_describe(file, &opts);
	return 0;
}

