// SPDX-License-Identifier: Apache-2.0
/*
 * arena - blocks cut from chunks.
 *
 *	chunk: | head | block | block | ...  at -> free room <- end |
 *
 * A block that would waste much of a chunk gets one of its own. Under ASan each does, so that the
 * sanitizer sees its ends.
 */
#include "rpc/arena_priv.h"

#include "base/must.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_CHUNK_BYTES 0u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_CHUNK_BYTES 0u
#endif
#endif
#ifndef ARENA_CHUNK_BYTES
#define ARENA_CHUNK_BYTES 4096u
#endif

#define ARENA_ALIGN 64u
#define ARENA_OWN   (ARENA_CHUNK_BYTES / 4) /* larger blocks have a chunk of their own */

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
};

#define ARENA_HEAD align_up_u64(sizeof(struct arena_chunk), ARENA_ALIGN)

/* Room for `bytes` behind its head. */
static struct arena_chunk *arena_chunk_new(struct rpc_arena *arena, size_t bytes)
{
	const size_t size = ARENA_HEAD + bytes;
	struct arena_chunk *chunk;

	if (size < bytes || size > arena->bytes_max - arena->bytes) /* AR2 */
		return NULL;
	chunk = arena->parent->ops->alloc(arena->parent, size, ARENA_ALIGN);
	if (!chunk)
		return NULL;
	chunk->size = size;
	arena->bytes += size;
	return chunk;
}

/* A block on its own goes behind the newest chunk, which keeps its room. */
static void *arena_own(struct rpc_arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena_chunk_new(arena, size);

	if (!chunk)
		return NULL;
	chunk->next = arena->chunks ? arena->chunks->next : NULL;
	if (arena->chunks)
		arena->chunks->next = chunk;
	else
		arena->chunks = chunk;
	return (uint8_t *)chunk + ARENA_HEAD;
}

static void *arena_alloc(struct mem *mem, size_t size, size_t align)
{
	struct rpc_arena *arena = container_of(mem, struct rpc_arena, mem);
	uint8_t *p = (uint8_t *)align_up_u64((uintptr_t)arena->at, align);

	must(align <= ARENA_ALIGN);
	if (size > ARENA_OWN)
		return arena_own(arena, size);
	if (!arena->at || p + size > arena->end) {
		struct arena_chunk *chunk = arena_chunk_new(arena, ARENA_CHUNK_BYTES);

		if (!chunk)
			return NULL;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		p = (uint8_t *)chunk + ARENA_HEAD;
		arena->end = (uint8_t *)chunk + chunk->size;
	}
	arena->at = p + size;
	return p;
}

/* AR1 */
static void arena_free(struct mem *mem, void *p, size_t size, size_t align)
{
}

static const struct mem_ops arena_ops = { .alloc = arena_alloc, .free = arena_free };

void rpc_arena_init(struct rpc_arena *arena, struct mem *parent, uint64_t bytes_max)
{
	*arena = (struct rpc_arena){
		.mem.ops = &arena_ops,
		.parent = parent,
		.bytes_max = bytes_max,
	};
}

void rpc_arena_drop(struct rpc_arena *arena)
{
	struct arena_chunk *chunk;

	while ((chunk = arena->chunks)) {
		arena->chunks = chunk->next;
		arena->parent->ops->free(arena->parent, chunk, chunk->size, ARENA_ALIGN);
	}
	arena->at = NULL;
	arena->end = NULL;
	arena->bytes = 0;
}

/* ---- bound ----------------------------------------------------------------------- */

static void *bound_alloc(struct mem *mem, size_t size, size_t align)
{
	struct rpc_bound *bound = container_of(mem, struct rpc_bound, mem);
	void *p;

	if (size > bound->bytes_max - bound->bytes)
		return NULL;
	p = bound->parent->ops->alloc(bound->parent, size, align);
	if (p)
		bound->bytes += size;
	return p;
}

static void bound_free(struct mem *mem, void *p, size_t size, size_t align)
{
	struct rpc_bound *bound = container_of(mem, struct rpc_bound, mem);

	must(bound->bytes >= size);
	bound->bytes -= size;
	bound->parent->ops->free(bound->parent, p, size, align);
}

static const struct mem_ops bound_ops = { .alloc = bound_alloc, .free = bound_free };

void rpc_bound_init(struct rpc_bound *bound, struct mem *parent, uint64_t bytes_max)
{
	*bound = (struct rpc_bound){
		.mem.ops = &bound_ops,
		.parent = parent,
		.bytes_max = bytes_max,
	};
}
