// SPDX-License-Identifier: Apache-2.0
/*
 * malloc_tree - sparse memory by offset.
 *
 * MT1. A leaf exists exactly while it has a chunk.
 * MT2. A missing chunk reads as zeros; a new one is zero.
 * MT3. Bytes that are lent are not changed: another chunk takes the place of theirs (ML1).
 */
#include <errno.h>
#include <string.h>

#include "base/copy.h"
#include "base/mem.h"
#include "drivers/malloc_loan.h"
#include "drivers/malloc_tree.h"

#define MALLOC_ALIGN 64

struct malloc_leaf {
	uint32_t used;
	uint8_t *chunks[MALLOC_LEAF_CHUNKS];
};

int malloc_tree_init(struct malloc_tree *tree, struct mem *mem, uint64_t size_bytes)
{
	tree->mem = mem;
	tree->is_cold = size_bytes >= MALLOC_COLD_BYTES;
	tree->leaf_count = div_up_u64(size_bytes, MALLOC_LEAF_BYTES);
	tree->root = mem_alloc_array(mem, tree->leaf_count, sizeof(struct malloc_leaf *));
	return tree->root ? 0 : -ENOMEM;
}

/* The tree's own chunk has left it. */
static void malloc_chunk_put(struct malloc_tree *tree, uint64_t chunk, uint8_t *data)
{
	if (!data || (tree->loans &&
		      malloc_loans_retire(tree->loans, chunk, data, MALLOC_CHUNK_BYTES)))
		return; /* MT3 */
	mem_free(data);
}

void malloc_tree_fini(struct malloc_tree *tree, bool owns_chunks)
{
	for (uint64_t i = 0; tree->root && i < tree->leaf_count; i++) {
		struct malloc_leaf *leaf = tree->root[i];

		for (uint32_t j = 0; leaf && owns_chunks && j < MALLOC_LEAF_CHUNKS; j++)
			malloc_chunk_put(tree, i * MALLOC_LEAF_CHUNKS + j, leaf->chunks[j]);
		mem_free(leaf);
	}
	mem_free(tree->root);
}

struct malloc_span malloc_span_at(const struct malloc_tree *tree, uint64_t off, uint64_t len)
{
	uint64_t chunk = off / MALLOC_CHUNK_BYTES;
	const struct malloc_leaf *leaf = tree->root[chunk / MALLOC_LEAF_CHUNKS];
	uint64_t room_bytes = leaf ? MALLOC_CHUNK_BYTES : MALLOC_LEAF_BYTES;

	return (struct malloc_span){
		.chunk = chunk,
		.off = off % MALLOC_CHUNK_BYTES,
		.len = min_u64(len, room_bytes - off % room_bytes),
		.data = leaf ? leaf->chunks[chunk % MALLOC_LEAF_CHUNKS] : NULL,
	};
}

/* The place of a chunk that is missing; NULL: no memory for the leaf. */
static struct malloc_leaf *malloc_leaf_get(struct malloc_tree *tree, uint64_t chunk)
{
	struct malloc_leaf **leaf = &tree->root[chunk / MALLOC_LEAF_CHUNKS];

	if (!*leaf)
		*leaf = mem_alloc(tree->mem, sizeof(**leaf));
	return *leaf;
}

/* MT1. */
static void malloc_leaf_put(struct malloc_tree *tree, uint64_t chunk)
{
	struct malloc_leaf **leaf = &tree->root[chunk / MALLOC_LEAF_CHUNKS];

	if ((*leaf)->used > 0)
		return;
	mem_free(*leaf);
	*leaf = NULL;
}

void malloc_tree_learn(struct malloc_tree *tree, uint64_t chunk, uint8_t *data)
{
	struct malloc_leaf *leaf = malloc_leaf_get(tree, chunk);

	if (!leaf)
		return;
	leaf->used += !leaf->chunks[chunk % MALLOC_LEAF_CHUNKS];
	leaf->chunks[chunk % MALLOC_LEAF_CHUNKS] = data;
}

/* Make the span one of a chunk that exists; false: no memory. */
static bool malloc_span_fill(struct malloc_tree *tree, struct malloc_span *span)
{
	struct malloc_leaf *leaf;

	if (span->data)
		return true;
	leaf = malloc_leaf_get(tree, span->chunk);
	if (!leaf)
		return false;
	span->data = mem_alloc_aligned(tree->mem, MALLOC_ALIGN, MALLOC_CHUNK_BYTES);
	span->len = min_u64(span->len, MALLOC_CHUNK_BYTES - span->off);
	leaf->chunks[span->chunk % MALLOC_LEAF_CHUNKS] = span->data;
	leaf->used += span->data != NULL;
	malloc_leaf_put(tree, span->chunk);
	return span->data;
}

static void malloc_span_drop(struct malloc_tree *tree, const struct malloc_span *span)
{
	struct malloc_leaf *leaf = tree->root[span->chunk / MALLOC_LEAF_CHUNKS];

	malloc_chunk_put(tree, span->chunk, span->data);
	leaf->chunks[span->chunk % MALLOC_LEAF_CHUNKS] = NULL;
	leaf->used--;
	malloc_leaf_put(tree, span->chunk);
}

/* A copy takes the place of a chunk that is lent. */
static bool malloc_span_renew(struct malloc_tree *tree, struct malloc_span *span)
{
	struct malloc_leaf *leaf = tree->root[span->chunk / MALLOC_LEAF_CHUNKS];
	uint8_t *data = mem_alloc_aligned(tree->mem, MALLOC_ALIGN, MALLOC_CHUNK_BYTES);

	if (!data)
		return false;
	memcpy(data, span->data, MALLOC_CHUNK_BYTES);
	leaf->chunks[span->chunk % MALLOC_LEAF_CHUNKS] = data;
	malloc_chunk_put(tree, span->chunk, span->data);
	span->data = data;
	return true;
}

/* Of a chunk: may be changed from now on (MT3); false: no memory. */
static bool malloc_span_own(struct malloc_tree *tree, struct malloc_span *span)
{
	if (!tree->loans || likely(!malloc_loans_show(tree->loans, span->chunk,
						      span->data + span->off, span->len)))
		return true;
	return malloc_span_renew(tree, span);
}

int malloc_tree_unlend(struct malloc_tree *tree)
{
	uint64_t chunks = tree->leaf_count * MALLOC_LEAF_CHUNKS;

	if (!tree->loans || tree->loans->count == 0)
		return 0;
	for (uint64_t i = 0; i < chunks; i++) {
		uint64_t off = i * MALLOC_CHUNK_BYTES;
		struct malloc_span span = malloc_span_at(tree, off, MALLOC_CHUNK_BYTES);

		if (span.data && !malloc_span_own(tree, &span))
			return -ENOMEM;
		if (!span.data && !tree->root[i / MALLOC_LEAF_CHUNKS])
			i += MALLOC_LEAF_CHUNKS - 1; /* a leaf that is missing */
	}
	return 0;
}

void malloc_tree_read(const struct malloc_tree *tree, uint64_t off, uint8_t *to, uint64_t len)
{
	while (len) {
		struct malloc_span span = malloc_span_at(tree, off, len);

		if (span.data)
			memcpy(to, span.data + span.off, span.len);
		else
			memset(to, 0, span.len); /* MT2 */
		off += span.len;
		to += span.len;
		len -= span.len;
	}
}

int malloc_tree_write(struct malloc_tree *tree, uint64_t off, const uint8_t *from, uint64_t len)
{
	while (len) {
		struct malloc_span span = malloc_span_at(tree, off, len);

		if (!malloc_span_fill(tree, &span) || !malloc_span_own(tree, &span))
			return -ENOSPC;
		if (tree->is_cold)
			copy_cold(span.data + span.off, from, span.len);
		else
			memcpy(span.data + span.off, from, span.len);
		off += span.len;
		from += span.len;
		len -= span.len;
	}
	return 0;
}

int malloc_tree_zero(struct malloc_tree *tree, uint64_t off, uint64_t len, enum malloc_zero how)
{
	while (len) {
		struct malloc_span span = malloc_span_at(tree, off, len);

		if (how == MALLOC_ZERO_PROVIDE && !malloc_span_fill(tree, &span))
			return -ENOSPC;
		if (span.data && how == MALLOC_ZERO_DROP && span.len == MALLOC_CHUNK_BYTES)
			malloc_span_drop(tree, &span);
		else if (span.data && !malloc_span_own(tree, &span))
			return -ENOSPC;
		else if (span.data)
			memset(span.data + span.off, 0, span.len);
		off += span.len;
		len -= span.len;
	}
	return 0;
}
