// SPDX-License-Identifier: Apache-2.0
/*
 * label - reading and writing labels, and recognising what is not ours.
 *
 * A disk is taken without being forced only if its first MiB and its tail are all zeros:
 * unknown data are data too. What is there is named where we know it.
 */
#include "pool/label_priv.h"

#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "reactor/fiber.h"

static const struct signature {
	uint32_t offset, len;
	const char *bytes, *name;
} signatures[] = {
	{ 512, 8, "EFI PART", "a GPT partition table" },
	{ 4096, 8, "EFI PART", "a GPT partition table" },
	{ 0, 4, "XFSB", "an XFS filesystem" },
	{ 0x438, 2, "\x53\xef", "an ext2, ext3 or ext4 filesystem" },
	{ 0x10040, 8, "_BHRfS_M", "a btrfs filesystem" },
	{ 0, 6, "LUKS\xba\xbe", "a LUKS volume" },
	{ 512, 8, "LABELONE", "an LVM physical volume" },
	{ 0, 4, "\xfc\x4e\x2b\xa9", "an md raid member" },
	{ 4096, 4, "\xfc\x4e\x2b\xa9", "an md raid member" },
	{ 4086, 10, "SWAPSPACE2", "swap space" },
	{ 3, 8, "NTFS    ", "an NTFS filesystem" },
	{ 82, 5, "FAT32", "a FAT filesystem" },
	{ 0x8001, 5, "CD001", "an ISO 9660 filesystem" },
	{ 0, 8, "BlueFS\0\0", "a BlueStore device" },
	{ 0, 22, "bluestore block device", "a Ceph BlueStore device" },
	{ 0, 8, "SPDKBLOB", "an SPDK blobstore" },
	{ 510, 2, "\x55\xaa", "a partition table or boot sector" },
};

static uint64_t first_nonzero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return i;
	return UINT64_MAX;
}

static const char *signature_name(const uint8_t *bytes, size_t len)
{
	for (unsigned i = 0; i < ARRAY_LEN(signatures); i++) {
		const struct signature *s = &signatures[i];

		if (s->offset + s->len <= len && memcmp(bytes + s->offset, s->bytes, s->len) == 0)
			return s->name;
	}
	return NULL;
}

static int page_read_label(struct fiber *f, struct mem *mem, struct pool_disk *disk,
			   uint64_t offset, struct label *ret)
{
	CLEANUP(cleanup_mem) uint8_t *page = mem_alloc_aligned(mem, POOL_PAGE, POOL_PAGE);
	int r;

	if (!page)
		return fiber_fail(f, -ENOMEM, "disk '%s': no memory", disk->uri);
	r = disk_read(f, disk, offset, page, POOL_PAGE);
	return r < 0 ? r : label_decode(page, ret);
}

int label_read(struct fiber *f, struct mem *mem, struct pool_disk *disk, struct label *ret)
{
	int r, second;

	if (disk->size_bytes < POOL_DISK_MIN)
		return fiber_fail(f, -ENOMSG, "disk '%s' bears no pool: it is too small",
				  disk->uri);
	r = page_read_label(f, mem, disk, POOL_LABEL_A, ret);
	if (r == 0)
		return 0;
	second = page_read_label(f, mem, disk, disk_label_b(disk->size_bytes), ret);
	if (second == 0)
		return 0;
	if (r == -ENOMSG)
		r = second;
	switch (r) {
	case -ENOMSG:
		return fiber_fail(f, r, "disk '%s' bears no pool", disk->uri);
	case -EILSEQ:
		return fiber_fail(f, r, "disk '%s': both copies of its label are damaged",
				  disk->uri);
	case -EPROTO:
		return fiber_fail(f, r, "disk '%s' was written by a later version", disk->uri);
	default:
		return r;
	}
}

static int head_check_blank(struct fiber *f, struct pool_disk *disk, const uint8_t *bytes,
			    size_t len)
{
	const char *name = signature_name(bytes, len);
	uint64_t at = first_nonzero(bytes, len);

	if (name)
		return fiber_fail(f, -EMEDIUMTYPE,
				  "disk '%s' bears %s; force to take it all the same", disk->uri,
				  name);
	if (at != UINT64_MAX)
		return fiber_fail(f, -EMEDIUMTYPE,
				  "disk '%s' is not blank (data at byte %" PRIu64
				  "); force to take it all the same",
				  disk->uri, at);
	return 0;
}

int label_check_blank(struct fiber *f, struct mem *mem, struct pool_disk *disk)
{
	CLEANUP(cleanup_mem) uint8_t *bytes = mem_alloc_aligned(mem, POOL_PAGE, POOL_DATA_START);
	struct label label;
	int r;

	if (!bytes)
		return fiber_fail(f, -ENOMEM, "disk '%s': no memory", disk->uri);
	r = label_read(f, mem, disk, &label);
	if (r == 0)
		return fiber_fail(f, -EMEDIUMTYPE,
				  "disk '%s' belongs to pool '%s'; force to take it all the same",
				  disk->uri, label.name);
	if (r != -ENOMSG)
		return r == -EILSEQ || r == -EPROTO ?
			       fiber_fail(
				       f, -EMEDIUMTYPE,
				       "disk '%s' bears a damaged or later pool; force to take it all the same",
				       disk->uri) :
			       r;
	fiber_clear(f);
	r = disk_read(f, disk, 0, bytes, POOL_DATA_START);
	if (r == 0)
		r = head_check_blank(f, disk, bytes, POOL_DATA_START);
	if (r == 0)
		r = disk_read(f, disk, disk_label_b(disk->size_bytes), bytes, POOL_TAIL_BYTES);
	if (r == 0 && first_nonzero(bytes, POOL_TAIL_BYTES) != UINT64_MAX)
		r = fiber_fail(
			f, -EMEDIUMTYPE,
			"disk '%s' is not blank (data in its last 64 KiB); force to take it all the same",
			disk->uri);
	return r;
}

int label_wipe(struct fiber *f, struct mem *mem, struct pool_disk *disk)
{
	CLEANUP(cleanup_mem) uint8_t *zeros = mem_alloc_aligned(mem, POOL_PAGE, POOL_DATA_START);
	int r;

	if (!zeros)
		return fiber_fail(f, -ENOMEM, "disk '%s': no memory", disk->uri);
	r = disk_write(f, disk, 0, zeros, POOL_DATA_START, 0);
	if (r == 0)
		r = disk_write(f, disk, disk_label_b(disk->size_bytes), zeros, POOL_TAIL_BYTES, 0);
	return r < 0 ? r : bdev_flush(f, disk->chan);
}

int label_write(struct fiber *f, struct mem *mem, struct pool_disk *disk, const struct label *label)
{
	CLEANUP(cleanup_mem) uint8_t *page = mem_alloc_aligned(mem, POOL_PAGE, POOL_PAGE);
	int r = label_wipe(f, mem, disk);

	if (r < 0)
		return r;
	if (!page)
		return fiber_fail(f, -ENOMEM, "disk '%s': no memory", disk->uri);
	label_encode(label, page);
	r = disk_write(f, disk, POOL_LABEL_A, page, POOL_PAGE, BIO_FUA);
	if (r == 0)
		r = disk_write(f, disk, disk_label_b(disk->size_bytes), page, POOL_PAGE, BIO_FUA);
	return r;
}

/* B first: until A is rewritten whole, A (or after a torn write B) says the old or the new size. */
int label_grow(struct fiber *f, struct mem *mem, struct pool_disk *disk, uint64_t size_bytes)
{
	CLEANUP(cleanup_mem) uint8_t *page = mem_alloc_aligned(mem, POOL_PAGE, POOL_PAGE);
	struct label label;
	int r = label_read(f, mem, disk, &label);

	if (r < 0)
		return r;
	if (!page)
		return fiber_fail(f, -ENOMEM, "disk '%s': no memory", disk->uri);
	label.size_bytes = size_bytes;
	label_encode(&label, page);
	r = disk_write(f, disk, disk_label_b(size_bytes), page, POOL_PAGE, BIO_FUA);
	if (r == 0)
		r = disk_write(f, disk, POOL_LABEL_A, page, POOL_PAGE, BIO_FUA);
	return r;
}
