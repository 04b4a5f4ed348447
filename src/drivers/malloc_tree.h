/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_tree - sparse memory by offset: chunks of 64 KiB, missing until they are needed.
 *
 *   root  [ leaf | - | leaf | ... ]	one pointer for 256 MiB
 *   leaf  [ chunk | - | ... ] x 4096	one pointer for a chunk
 *   chunk [ 64 KiB of data ]
 *
 * Belongs to one reactor. Offsets and lengths are in bytes, within the size.
 */
#ifndef DRIVERS_MALLOC_TREE_H
#define DRIVERS_MALLOC_TREE_H

#include "base/lang.h"

struct mem;
struct malloc_leaf;
struct malloc_loans;

#define MALLOC_CHUNK_BYTES 65536u
#define MALLOC_LEAF_CHUNKS 4096u
#define MALLOC_LEAF_BYTES ((uint64_t)MALLOC_LEAF_CHUNKS * MALLOC_CHUNK_BYTES)
#define MALLOC_COLD_BYTES (UINT64_C(64) << 20) /* a tree of more is written past the caches */

struct malloc_tree {
	struct mem *mem; /* borrowed */
	uint64_t leaf_count;
	bool is_cold;
	struct malloc_leaf **root; /* owned */
	struct malloc_loans *loans; /* borrowed: of its chunks; NULL: none are lent */
};

/* A piece of a range that lies within one chunk, or in the hole of a missing leaf. */
struct malloc_span {
	uint64_t chunk;
	uint64_t off; /* in the chunk */
	uint64_t len;
	uint8_t *data; /* of the chunk; NULL: there is none */
};

/* All zero is a tree that was never made: fini does nothing. */
MUST_USE int malloc_tree_init(struct malloc_tree *tree, struct mem *mem, uint64_t size_bytes);

/* The chunks are freed too, if they are the tree's own; those that are lent are retired. */
void malloc_tree_fini(struct malloc_tree *tree, bool owns_chunks);

/* The first piece of [off, off + len). Hot. */
struct malloc_span malloc_span_at(const struct malloc_tree *tree, uint64_t off, uint64_t len);

/* Enter a chunk that another tree owns; without memory it is left out. */
void malloc_tree_learn(struct malloc_tree *tree, uint64_t chunk, uint8_t *data);

void malloc_tree_read(const struct malloc_tree *tree, uint64_t off, uint8_t *to, uint64_t len);

/* No chunk is lent after this: retired ones are replaced by copies. -ENOMEM: some still are. */
MUST_USE int malloc_tree_unlend(struct malloc_tree *tree);

/* -ENOSPC: no memory for a chunk; those before it are written. */
MUST_USE int malloc_tree_write(struct malloc_tree *tree, uint64_t off, const uint8_t *from,
			       uint64_t len);

enum malloc_zero {
	MALLOC_ZERO_DROP,    /* whole chunks are given back */
	MALLOC_ZERO_RETAIN,  /* chunks that are there stay, no others are made */
	MALLOC_ZERO_PROVIDE, /* all are there afterwards; -ENOSPC */
};

MUST_USE int malloc_tree_zero(struct malloc_tree *tree, uint64_t off, uint64_t len,
			      enum malloc_zero how);

#endif
