/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - an allocator whose blocks can all be dropped at once.
 *
 * Small blocks are cut from chunks and kept in lists by size; big ones are the parent's. In an
 * ASan build each block is the parent's, so that the sanitizer sees its ends and its end.
 */
#ifndef SIM_ARENA_H
#define SIM_ARENA_H

#include "base/lang.h"
#include "base/list.h"
#include "base/mem.h"

#define ARENA_CHUNK_BYTES (256u << 10)
#define ARENA_FINE_MAX	  1024u	 /* classes of 16 bytes up to here */
#define ARENA_CLASS_MAX	  16384u /* of 512 bytes up to here */
#define ARENA_CLASSES	  (ARENA_FINE_MAX / 16 + ARENA_CLASS_MAX / 512 + 1)
#define ARENA_ALIGNED	  6 /* 4096-aligned blocks of 1, 2, 4 ... pages */

struct arena {
	struct mem mem;
	struct mem *parent; /* borrowed */
	struct arena_chunk *chunks;
	uint8_t *at, *end;  /* of the newest chunk */
	struct list direct; /* blocks of the parent */
	void *free[ARENA_CLASSES];
	void *free_aligned[ARENA_ALIGNED];
	uint64_t allocs;  /* ever */
	uint64_t fail_at; /* this one fails, once; 0: none */
	uint64_t failures;
	uint64_t blocks, bytes; /* in use */
	uint64_t bytes_max;	/* limit; 0: none */
	/* Asked before each allocation; true: refuse it. */
	bool (*refuse)(void *ctx);
	void *refuse_ctx;
};

void arena_init(struct arena *arena, struct mem *parent);
/* Gives everything back to the parent. The arena may be used again. */
void arena_drop(struct arena *arena);

/* Raw: not zeroed, no header, freed with the same size. Never fails: the world has memory. */
void *arena_get(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
void arena_put(struct arena *arena, void *p, size_t size);

#endif
