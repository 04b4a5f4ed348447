// SPDX-License-Identifier: Apache-2.0
/*
 * mem - the allocator interface; all memory of the product comes through it.
 *
 *	        raw block from ops->alloc
 *	|<------ lead_size ------>|<--- size --->|
 *	| poisoned  | mem_header  | user's bytes |
 *	                          ^ aligned, what the caller holds
 *
 * M1. A block knows its owner: mem_free() needs no allocator.
 * M2. A block's bytes are zero when it is handed out.
 * M3. Each block is one block of the allocator below, so that the sanitizer sees
 *     its ends; the lead is poisoned under ASan.
 * M4. Every failure is NULL, never an abort: the caller turns it into -ENOMEM.
 *
 * The interface has two users: struct mem_heap (malloc below, here) and the
 * simulator's arenas, which drop all memory of a crashed process at once.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/lang.h"

#define MEM_ALIGN_MIN 16
#define MEM_ALIGN_MAX (UINT32_C(1) << 21)

struct mem;

struct mem_ops {
	/* size > 0, align a power of two >= MEM_ALIGN_MIN; NULL: no memory. Need not be zeroed. */
	void *(*alloc)(struct mem *mem, size_t size, size_t align);
	/* With the size and align of its alloc. */
	void (*free)(struct mem *mem, void *p, size_t size, size_t align);
};

struct mem {
	const struct mem_ops *ops;
};

/* Zeroed (M2); size 0 gives a block of its own that must be freed too. */
MUST_USE void *mem_alloc(struct mem *mem, size_t size);

/* align: a power of two up to MEM_ALIGN_MAX. Costs max(align, 32) bytes besides. */
MUST_USE void *mem_alloc_aligned(struct mem *mem, size_t align, size_t size);

/* count * size bytes, NULL when the product overflows. */
MUST_USE void *mem_alloc_array(struct mem *mem, size_t count, size_t size);

/* p: NULL or from any of the functions here (M1). */
void mem_free(void *p);

/* CLEANUP(cleanup_mem) struct thing *t = ... */
void cleanup_mem(void *variable);

MUST_USE char *mem_strdup(struct mem *mem, const char *text);
MUST_USE char *mem_strndup(struct mem *mem, const char *text, size_t len);
MUST_USE void *mem_dup(struct mem *mem, const void *bytes, size_t size);
MUST_USE char *mem_printf(struct mem *mem, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * The default allocator. Fields may be read at any time; the knobs may be set at
 * any time by the owner. A block may be freed on another thread than it came
 * from: the counters are relaxed atomics, the only ones in base/.
 */
struct mem_heap {
	struct mem mem; /* hand out &heap.mem */

	/* knobs */
	uint64_t bytes_limit; /* 0: none */
	uint64_t fail_at;     /* this allocation (1 = first ever) fails; 0: none */

	/* figures */
	uint64_t allocs;    /* allocations ever asked for */
	uint64_t failures;  /* of them refused, for whatever reason */
	uint64_t blocks;    /* in use */
	uint64_t bytes;	    /* in use, with leads */
	uint64_t bytes_max; /* high-water mark (of a single thread) */
};

void mem_heap_init(struct mem_heap *heap);

/* Everything was freed. */
void mem_heap_fini(struct mem_heap *heap);

#endif
