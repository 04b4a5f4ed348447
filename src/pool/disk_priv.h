// SPDX-License-Identifier: Apache-2.0
/* disk - the disks of a pool: bdevs with a label, and the ways to read and write pages on them. */
#ifndef POOL_DISK_PRIV_H
#define POOL_DISK_PRIV_H

#include "bdev/bdev.h"
#include "pool/format.h"
#include "reactor/wait.h"

struct pool;
struct page;

struct pool_disk {
	char *uri;		/* owned */
	struct bdev *bdev;	/* owned use; NULL: no such disk */
	struct bdev_chan *chan; /* owned, on the home reactor */
	struct bdev_claim claim;
	bool claimed;
	bool unflushed;	   /* took data or pages since its last flush was begun */
	unsigned flushing; /* flushes in flight: not over, so of no use to others yet */
	uint32_t block_shift;
	uint64_t size_bytes;
	uint64_t clusters; /* as the newest superblock has it */
	struct uuid uuid;
};

/* As many as a pool can have, and none twice (under one name): -EINVAL, worded. */
MUST_USE int disk_check_uris(struct fiber *f, const char *const *uris, unsigned count);

/* Open, claim (unless only to look) and open a channel. Words name the URI. */
MUST_USE int disk_open(struct fiber *f, const char *uri, bool look_only, struct pool_disk *ret);
void disk_close(struct fiber *f, struct pool_disk *disk);

/* Bytes at a byte offset; both whole pages. */
MUST_USE int disk_read(struct fiber *f, struct pool_disk *disk, uint64_t offset, void *buf,
		       size_t len);
MUST_USE int disk_write(struct fiber *f, struct pool_disk *disk, uint64_t offset, const void *buf,
			size_t len, uint16_t flags);

/* Byte offset of a page or cluster on its disk. */
uint64_t disk_offset_of_cluster(const struct pool *pool, uint64_t cluster);
uint64_t disk_offset_of_page(const struct pool *pool, uint64_t name);

/* The cluster exists on a disk of this pool, and does not belong to the log. */
bool disk_has_cluster(const struct pool *pool, uint64_t cluster);

MUST_USE int disk_read_page(struct fiber *f, struct pool *pool, uint64_t name, uint8_t *bytes);

/*
 * Write many dirty pages, sorted by name: neighbours go in one bio, several bios are in
 * flight. First error wins; all have ended when it returns.
 */
MUST_USE int disk_write_pages(struct fiber *f, struct pool *pool, struct page *const *pages,
			      size_t count);

/*
 * Superblocks, durable when it returns: one page for each disk that is there, in order of their
 * numbers, into its first ring or its tail's.
 */
MUST_USE int disk_write_rings(struct fiber *f, struct pool *pool, bool tail, uint64_t txg,
			      uint8_t *pages);

/* Flush every disk that took anything (each once, side by side). A failure is final for the pool. */
MUST_USE int disk_flush_all(struct fiber *f, struct pool *pool);

#endif
