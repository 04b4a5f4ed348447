// SPDX-License-Identifier: Apache-2.0
/*
 * uring_buf - memory for device I/O, registered with the ring so that the kernel need not pin it each time.
 *
 *	base  | chunk 0: registered | chunk 1: registered | reserved addresses ... |
 *
 * Addresses for the whole region are reserved at the first use, but pages are taken and
 * registered chunk by chunk as they are needed: an idle reactor pins nothing. Chunk i is
 * registered buffer i. An allocation is a run of pages within one chunk, first fit.
 *
 * Where the kernel refuses (RLIMIT_MEMLOCK), and when the region is full, memory is
 * ordinary; io_stats counts neither, I/O just costs a little more.
 */
#include "io/uring_priv.h"

#include <sys/mman.h>

#define CHUNK_PAGES (URING_BUF_CHUNK / URING_BUF_PAGE)

static int uring_bufs_reserve(struct uring *u)
{
	struct uring_bufs *b = &u->bufs;
	uint64_t pages = b->bytes / URING_BUF_PAGE;

	b->words = mem_alloc_array(u->io.mem, BITMAP_WORDS(pages), sizeof(*b->words));
	if (!b->words)
		return -1;
	/* One chunk more, so that chunks can begin at a multiple of their size: huge pages fit. */
	size_t all = b->bytes + URING_BUF_CHUNK;
	uint8_t *at =
		mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return -1;
	uint8_t *base = at + (align_up_u64((uintptr_t)at, URING_BUF_CHUNK) - (uintptr_t)at);
	if (base > at)
		munmap(at, (size_t)(base - at));
	if (base < at + URING_BUF_CHUNK)
		munmap(base + b->bytes, (size_t)(at + URING_BUF_CHUNK - base));
	b->base = base;
	bitmap_init(&b->used, b->words, pages);
	return io_uring_register_buffers_sparse(&u->ring, (unsigned)(b->bytes / URING_BUF_CHUNK));
}

/* One chunk more, or never again. */
static bool uring_bufs_grow(struct uring *u)
{
	struct uring_bufs *b = &u->bufs;

	if (b->is_refused || (!b->base && uring_bufs_reserve(u) < 0) ||
	    b->chunks == b->bytes / URING_BUF_CHUNK) {
		b->is_refused = true;
		return false;
	}
	struct iovec chunk = { b->base + b->chunks * URING_BUF_CHUNK, URING_BUF_CHUNK };
	__u64 tag = 0;
	if (mprotect(chunk.iov_base, chunk.iov_len, PROT_READ | PROT_WRITE) < 0 ||
	    io_uring_register_buffers_update_tag(&u->ring, b->chunks, &chunk, &tag, 1) != 1) {
		b->is_refused = true;
		return false;
	}
	b->chunks++;
	return true;
}

/* The first run of free pages within a chunk; false: none. */
static bool uring_bufs_find(const struct uring_bufs *b, uint64_t pages, uint64_t *ret_page)
{
	uint64_t end = b->chunks * CHUNK_PAGES;
	uint64_t page = 0;

	while (page < end && (page = bitmap_find_clear(&b->used, page)) < end) {
		uint64_t chunk_end = (page / CHUNK_PAGES + 1) * CHUNK_PAGES;
		uint64_t run_end = min_u64(bitmap_find_set(&b->used, page), chunk_end);

		if (run_end - page >= pages) {
			*ret_page = page;
			return true;
		}
		page = run_end;
	}
	return false;
}

void *uring_buf_new(struct io *io, size_t len)
{
	struct uring *u = uring_of(io);
	struct uring_bufs *b = &u->bufs;
	uint64_t pages = div_up_u64(len, URING_BUF_PAGE);
	uint64_t page;

	if (len == 0 || len > URING_BUF_CHUNK)
		return mem_alloc_aligned(io->mem, URING_BUF_PAGE, len);
	while (!uring_bufs_find(b, pages, &page))
		if (!uring_bufs_grow(u))
			return mem_alloc_aligned(io->mem, URING_BUF_PAGE, len);
	bitmap_set_range(&b->used, page, pages);
	return b->base + page * URING_BUF_PAGE;
}

void uring_buf_free(struct io *io, void *buf, size_t len)
{
	struct uring_bufs *b = &uring_of(io)->bufs;
	size_t at = (size_t)((uintptr_t)buf - (uintptr_t)b->base);

	if (!buf)
		return;
	if (!b->base || at >= b->chunks * URING_BUF_CHUNK) {
		mem_free(buf);
		return;
	}
	bitmap_clear_range(&b->used, at / URING_BUF_PAGE, div_up_u64(len, URING_BUF_PAGE));
}

void uring_bufs_fini(struct uring *u)
{
	struct uring_bufs *b = &u->bufs;

	if (b->base)
		munmap(b->base, b->bytes);
	mem_free(b->words);
}
