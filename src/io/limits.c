// SPDX-License-Identifier: Apache-2.0
/*
 * limits - what a file or block device can do: statx and sysfs.
 *
 * Block devices tell all in /sys/dev/block/MAJOR:MINOR/ (a partition: in its parent's
 * queue/). For regular files the kernel says how direct I/O must be aligned since 6.1
 * (STATX_DIOALIGN); before, or where a filesystem does not fill it in, the logical block
 * of the disk beneath is taken, or else the filesystem's block.
 *
 * LI1. A regular file counts as volatile: only fsync makes its writes durable.
 */
#include "io/limits_priv.h"
#include "io/linux_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SYSFS_SECTOR   512u
#define SYSFS_TEXT_MAX 64

/* The first line of an attribute of a device's directory, or of the queue of its disk. */
static bool limits_text(dev_t dev, const char *name, char text[SYSFS_TEXT_MAX])
{
	static const char *const places[] = { "", "queue/", "../queue/", "../" };
	char path[128];

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s%s", major(dev), minor(dev),
			 places[i], name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ssize_t n = read(fd, text, SYSFS_TEXT_MAX - 1);
		close(fd);
		if (n > 0) {
			text[n] = '\0';
			text[strcspn(text, "\n")] = '\0';
			return true;
		}
	}
	return false;
}

static uint64_t limits_number(dev_t dev, const char *name, uint64_t fallback)
{
	char text[SYSFS_TEXT_MAX];
	uint64_t value;

	return limits_text(dev, name, text) && sscanf(text, "%" SCNu64, &value) == 1 ? value :
										       fallback;
}

static uint32_t limits_u32(uint64_t value)
{
	return (uint32_t)min_u64(value, UINT32_MAX);
}

/* What a disk says of itself; also of the one beneath a filesystem. */
static void limits_disk(dev_t dev, struct io_stat *ret)
{
	ret->logical_block = limits_u32(limits_number(dev, "logical_block_size", 512));
	ret->physical_block =
		limits_u32(limits_number(dev, "physical_block_size", ret->logical_block));
	ret->mem_align = limits_u32(limits_number(dev, "dma_alignment", 511) + 1);
	ret->max_io_bytes = limits_u32(limits_number(dev, "max_sectors_kb", 0) * 1024);
	ret->rotational = limits_number(dev, "rotational", 0) != 0;
}

static void limits_block(dev_t dev, int fd, struct io_stat *ret)
{
	char text[SYSFS_TEXT_MAX];

	limits_disk(dev, ret);
	ret->dev = dev;
	ret->ino = 0;
	ret->size_bytes = limits_number(dev, "size", 0) * SYSFS_SECTOR;
	if (fd >= 0)
		(void)ioctl(fd, BLKGETSIZE64, &ret->size_bytes);
	if (limits_number(dev, "discard_max_bytes", 0) > 0)
		ret->discard_bytes =
			limits_u32(limits_number(dev, "discard_granularity", ret->logical_block));
	ret->read_only = limits_number(dev, "ro", 0) != 0;
	/* Silence is taken for a cache: an unneeded flush is cheap, a missing one loses data. */
	ret->volatile_cache = !limits_text(dev, "write_cache", text) ||
			      strcmp(text, "write through") != 0;
}

static void limits_file(const struct statx *sx, const struct statfs *fs, struct io_stat *ret)
{
	dev_t dev = makedev(sx->stx_dev_major, sx->stx_dev_minor);
	uint32_t dio_mem, dio_offset;

	ret->volatile_cache = true; /* LI1 */
	ret->discard_bytes = sx->stx_blksize;
	ret->read_only = fs->f_flags & ST_RDONLY;
	if (limits_number(dev, "size", 0) > 0)
		limits_disk(dev, ret);
	else
		ret->logical_block = ret->physical_block = ret->mem_align = sx->stx_blksize;
	if (fs->f_type == LINUX_TMPFS_MAGIC || fs->f_type == LINUX_RAMFS_MAGIC)
		ret->logical_block = ret->mem_align = 1;

	memcpy(&dio_mem, (const char *)sx + LINUX_STATX_DIO_MEM_ALIGN_OFFSET, sizeof(dio_mem));
	memcpy(&dio_offset, (const char *)sx + LINUX_STATX_DIO_OFFSET_ALIGN_OFFSET,
	       sizeof(dio_offset));
	if (sx->stx_mask & LINUX_STATX_DIOALIGN && dio_mem && dio_offset) {
		ret->mem_align = dio_mem;
		ret->logical_block = dio_offset;
	}
}

static enum io_kind limits_kind(mode_t mode)
{
	return S_ISREG(mode) ? IO_KIND_FILE :
	       S_ISDIR(mode) ? IO_KIND_DIR :
	       S_ISBLK(mode) ? IO_KIND_BLOCK :
			       IO_KIND_OTHER;
}

int limits_stat(const char *path, int fd, struct io_stat *ret)
{
	struct io_stat stat = { 0 };
	struct statfs fs = { 0 };
	struct statx sx = { 0 };

	if (statx(path ? AT_FDCWD : fd, path ? path : "", path ? 0 : AT_EMPTY_PATH,
		  STATX_BASIC_STATS | LINUX_STATX_DIOALIGN, &sx) < 0)
		return -errno;
	(void)!(path ? statfs(path, &fs) : fstatfs(fd, &fs));
	stat.kind = limits_kind(sx.stx_mode);
	stat.size_bytes = sx.stx_size;
	stat.dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	stat.ino = sx.stx_ino;
	stat.mode = sx.stx_mode;
	stat.mtime_ns = (uint64_t)sx.stx_mtime.tv_sec * 1000000000 + sx.stx_mtime.tv_nsec;
	if (stat.kind == IO_KIND_BLOCK)
		limits_block(makedev(sx.stx_rdev_major, sx.stx_rdev_minor), path ? -1 : fd, &stat);
	else if (stat.kind == IO_KIND_FILE)
		limits_file(&sx, &fs, &stat);
	*ret = stat;
	return 0;
}
