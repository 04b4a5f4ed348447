// SPDX-License-Identifier: Apache-2.0
/*
 * foreign - what a disk bears that is not ours.
 *
 * A disk is taken without being forced only if its first and last MiB are zeros: unknown data are
 * data too. What is there is named where we know it; the table is for the words, no more.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "nexus/label.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "bdev/bdev.h"
#include "io/io.h"
#include "reactor/fiber.h"

#define LOOK_BYTES (1u << 20)

/* At this offset, or from the end if that is negative. What is more specific comes first. */
static const struct mark {
	int32_t offset;
	uint32_t len;
	const char *bytes, *name;
} marks[] = {
	{ 512, 8, "EFI PART", "a GPT partition table" },
	{ 4096, 8, "EFI PART", "a GPT partition table" },
	{ -512, 8, "EFI PART", "the backup of a GPT partition table" },
	{ -4096, 8, "EFI PART", "the backup of a GPT partition table" },
	{ 0, 4, "XFSB", "an XFS filesystem" },
	{ 0x438, 2, "\x53\xef", "an ext2, ext3 or ext4 filesystem" },
	{ 0x10040, 8, "_BHRfS_M", "a btrfs filesystem" },
	{ 0x400, 4, "\x10\x20\xf5\xf2", "an F2FS filesystem" },
	{ 0x10034, 9, "ReIsEr2Fs", "a ReiserFS filesystem" },
	{ 0x10034, 9, "ReIsEr3Fs", "a ReiserFS filesystem" },
	{ 0x8000, 4, "JFS1", "a JFS filesystem" },
	{ 0x406, 2, "\x34\x34", "a NILFS2 filesystem" },
	{ 0x10000, 4, "\x01\x16\x19\x70", "a GFS2 filesystem" },
	{ 0, 4, "hsqs", "a squashfs filesystem" },
	{ 0x400, 2, "H+", "an HFS+ filesystem" },
	{ 0x400, 2, "HX", "an HFS+ filesystem" },
	{ 32, 4, "NXSB", "an APFS container" },
	{ 0, 6, "LUKS\xba\xbe", "a LUKS volume" },
	{ 0x4000, 6, "SKUL\xba\xbe", "a LUKS volume" },
	{ 0, 8, "LABELONE", "an LVM physical volume" },
	{ 512, 8, "LABELONE", "an LVM physical volume" },
	{ 1024, 8, "LABELONE", "an LVM physical volume" },
	{ 1536, 8, "LABELONE", "an LVM physical volume" },
	{ 0, 4, "\xfc\x4e\x2b\xa9", "an md raid member" },
	{ 4096, 4, "\xfc\x4e\x2b\xa9", "an md raid member" },
	{ -8192, 4, "\xfc\x4e\x2b\xa9", "an md raid member" },
	{ -65536, 4, "\xfc\x4e\x2b\xa9", "an md raid member" },
	{ 4086, 10, "SWAPSPACE2", "swap space" },
	{ 65526, 10, "SWAPSPACE2", "swap space" },
	{ 0x1018, 16, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
	  "a bcache device" },
	{ 3, 8, "NTFS    ", "an NTFS filesystem" },
	{ 3, 8, "EXFAT   ", "an exFAT filesystem" },
	{ 3, 8, "-FVE-FS-", "a BitLocker volume" },
	{ 82, 5, "FAT32", "a FAT filesystem" },
	{ 54, 5, "FAT12", "a FAT filesystem" },
	{ 54, 5, "FAT16", "a FAT filesystem" },
	{ 0x8001, 5, "CD001", "an ISO 9660 filesystem" },
	{ 0x8001, 5, "BEA01", "a UDF filesystem" },
	{ 0, 22, "bluestore block device", "a Ceph BlueStore device" },
	{ 0, 8, "SPDKBLOB", "an SPDK blobstore" },
	{ 0, 4, "QFI\xfb", "a qcow2 image" },
	{ 0, 4, "KDMV", "a VMDK image" },
	{ 4096, 4, "MSP1", "a pool of Mayastor" },
	{ LABEL_A, 8, "MAYALABL", "the label of a volume" },
	{ LABEL_B, 8, "MAYALABL", "the label of a volume" },
};

/* Uberblocks of a ZFS label, of either byte order: one in each KiB from 128 KiB on. */
static bool is_zfs(const uint8_t *head, size_t len)
{
	for (size_t at = 128 << 10; at + 1024 <= len && at < 256 << 10; at += 1024)
		if (memcmp(head + at, "\x0c\xb1\xba\0\0\0\0\0", 8) == 0 ||
		    memcmp(head + at, "\0\0\0\0\0\xba\xb1\x0c", 8) == 0)
			return true;
	return false;
}

static bool mark_is_in(const struct mark *mark, const uint8_t *bytes, size_t len, int64_t at)
{
	return at >= 0 && (uint64_t)at + mark->len <= len &&
	       memcmp(bytes + at, mark->bytes, mark->len) == 0;
}

const char *foreign_name(const uint8_t *head, size_t head_len, const uint8_t *tail, size_t tail_len)
{
	for (unsigned i = 0; i < ARRAY_LEN(marks); i++) {
		const struct mark *mark = &marks[i];
		bool is_behind = mark->offset < 0;

		if (mark_is_in(mark, is_behind ? tail : head, is_behind ? tail_len : head_len,
			       mark->offset + (is_behind ? (int64_t)tail_len : 0)))
			return mark->name;
	}
	if (is_zfs(head, head_len) || (tail_len >= 512 << 10 && /* its labels 3 and 4 */
				       (is_zfs(tail + tail_len - (512 << 10), 256 << 10) ||
					is_zfs(tail + tail_len - (256 << 10), 256 << 10))))
		return "a ZFS pool";
	if (head_len >= 512 && head[510] == 0x55 && head[511] == 0xaa)
		return "a partition table or boot sector";
	return NULL;
}

static uint64_t first_nonzero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return i;
	return UINT64_MAX;
}

int foreign_check_blank(struct fiber *f, struct bdev_chan *chan, const char *uri)
{
	uint32_t block_size = chan->bdev->block_size;
	uint64_t blocks = min_u64(LOOK_BYTES / block_size, chan->blocks);
	uint64_t behind = chan->blocks - blocks;
	size_t len = blocks * block_size;
	CLEANUP(cleanup_mem)
	uint8_t *bytes = mem_alloc_aligned(fiber_io(f)->mem, 4096, 2 * (size_t)LOOK_BYTES);
	uint8_t *tail;
	const char *name;
	int r;

	if (!bytes)
		return fiber_fail(f, -ENOMEM, "no memory to look at '%s'", uri);
	tail = bytes + LOOK_BYTES;
	r = bdev_read(f, chan, 0, blocks, bytes);
	if (r == 0)
		r = bdev_read(f, chan, behind, blocks, tail);
	if (r < 0)
		return belong_word(f, uri, r);
	name = foreign_name(bytes, len, tail, len);
	uint64_t at = first_nonzero(bytes, len), at_tail = first_nonzero(tail, len);
	if (name)
		return fiber_fail(f, -EMEDIUMTYPE,
				  "child '%s' bears %s; force to take it all the same", uri, name);
	if (at == UINT64_MAX && at_tail != UINT64_MAX)
		at = behind * block_size + at_tail;
	if (at != UINT64_MAX)
		return fiber_fail(f, -EMEDIUMTYPE,
				  "child '%s' is not blank (data at byte %" PRIu64
				  "); force to take it all the same",
				  uri, at);
	return 0;
}
