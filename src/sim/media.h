/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media - the bytes of a disk or a file, and what of them a power cut may take back.
 *
 *   media_write() --> STAGED --apply--> CACHED --flush, eviction--> STABLE --> forgotten
 *                                         |  \--failed flush--> ORPHAN (no flush helps it any more)
 *                                         \--power cut--> sector by sector kept or taken back
 *
 * ME1. A read sees the newest of what has been applied.
 * ME2. After a power cut a sector holds its last stable content or that of any later write.
 * ME3. A flush makes stable what was done (media_done) before it began, nothing else.
 */
#ifndef SIM_MEDIA_H
#define SIM_MEDIA_H

#include <sys/uio.h>

#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"
#include "sim/pages.h"

struct disk_log;

struct media_item {
	uint64_t no;
	struct page *page; /* STAGED: what will be there; then: what was there (NULL: zeros) */
};

struct media_write {
	struct list_link link;
	uint64_t off, len;
	uint64_t done_seq;   /* 0: not done */
	uint64_t size_after; /* the file's size with it; UINT64_MAX: as it was */
	bool applied, stable, orphan, lied, zeros;
	uint32_t count, room;
	uint64_t log_index; /* the recorder's */
	struct media_item *items;
};

struct media {
	struct arena *arena;
	struct pages pages;
	uint64_t size, stable_size;
	bool grows;	      /* a file: writes beyond the end extend it */
	bool loses;	      /* completed writes are volatile until flushed */
	uint64_t cache_bytes; /* unflushed at most */
	uint64_t unflushed;
	uint32_t atomic_bytes;
	uint64_t done_seq;
	struct list log;       /* applied writes, oldest first, from the first that is not stable */
	struct map_u64 taints; /* page -> mask of silent faults */
	struct disk_log *recorder; /* borrowed; NULL: nobody listens */
};

void media_init(struct media *media, struct arena *arena, struct pages *base);
void media_fini(struct media *media);

void media_read(struct media *media, uint64_t off, const struct iovec *iov, uint32_t iov_count,
		uint64_t len);

/* Copies the bytes; nothing is seen of it until media_apply(). */
struct media_write *media_write(struct media *media, uint64_t off, const struct iovec *iov,
				uint32_t iov_count, uint64_t len);
struct media_write *media_zeros(struct media *media, uint64_t off, uint64_t len);
struct media_write *media_truncate(struct media *media, uint64_t size);
void media_trim(struct media *media, struct media_write *w,
		uint64_t len); /* STAGED: keep the first bytes */
void media_move(struct media_write *w,
		uint64_t off); /* STAGED: elsewhere; same place in the page */
void media_drop(struct media *media, struct media_write *w); /* STAGED: never happens */
void media_apply(struct media *media, struct media_write *w);
/* The writer is told so; durable: FUA, or no volatile cache. w may be gone afterwards. */
void media_done(struct media *media, struct media_write *w, bool durable);

/* A flush that begins now covers what is done until now. */
static inline uint64_t media_flush_begin(const struct media *media)
{
	return media->done_seq;
}
enum media_flush { MEDIA_FLUSH_OK, MEDIA_FLUSH_LIES, MEDIA_FLUSH_FAILS };
void media_flush_end(struct media *media, uint64_t seq, enum media_flush how);

struct media_cut {
	bool loses;	   /* anything at all */
	bool tears;	   /* sector by sector, not write by write */
	uint32_t keep_ppm; /* chance of each unit to have been written out */
	uint64_t lost_sectors, torn_writes, lied_sectors; /* out */
};
/* STAGED writes must have been applied or dropped. `lied_taint`: the mark of what a lie lost. */
void media_power_cut(struct media *media, struct prng *prng, struct media_cut *cut,
		     uint32_t lied_taint);

/* Which sectors of a page the write is about, as a mask. */
uint32_t media_sectors(const struct media_write *w, uint64_t no);

void media_taint(struct media *media, uint64_t off, uint64_t len, uint32_t mask);
uint32_t media_taints(struct media *media, uint64_t off, uint64_t len);

#endif
