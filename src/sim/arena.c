/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - blocks cut from chunks; see arena.h.
 *
 *	chunk: | link | block | block | ...  at -> free room <- end |
 *
 * AR1. Which addresses are given out never decides anything: only counts do (W2).
 */
#include "sim/arena.h"

#include <string.h>

#include "base/must.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_DIRECT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_DIRECT 1
#endif
#endif
#ifndef ARENA_DIRECT
#define ARENA_DIRECT 0
#endif

#define ARENA_PAGE 4096u

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
};

/* Stands before a block of the parent. */
struct arena_direct {
	struct list_link link;
	void *raw;
	size_t raw_size, raw_align;
};

/* The list a block of this size lives in when free, and its true size; NULL: the parent's. */
static void **arena_class(struct arena *arena, size_t *size, size_t align)
{
	if (ARENA_DIRECT)
		return NULL;
	if (align > 16) {
		size_t pages = div_up_u64(*size, ARENA_PAGE);
		if (align > ARENA_PAGE || pages > 1u << (ARENA_ALIGNED - 1))
			return NULL;
		unsigned order = pages <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(pages - 1);
		*size = (size_t)ARENA_PAGE << order;
		return &arena->free_aligned[order];
	}
	if (*size <= ARENA_FINE_MAX) {
		*size = align_up_u64(*size, 16);
		return &arena->free[*size / 16];
	}
	if (*size > ARENA_CLASS_MAX)
		return NULL;
	*size = align_up_u64(*size, 512);
	return &arena->free[ARENA_FINE_MAX / 16 + *size / 512];
}

static void *arena_direct_get(struct arena *arena, size_t size, size_t align)
{
	size_t lead = max_size(align, align_up_u64(sizeof(struct arena_direct), 16));
	uint8_t *raw = arena->parent->ops->alloc(arena->parent, lead + size, max_size(align, 16));
	if (!raw)
		return NULL;

	struct arena_direct *direct = (void *)(raw + lead - sizeof(*direct));
	list_link_init(&direct->link);
	direct->raw = raw;
	direct->raw_size = lead + size;
	direct->raw_align = max_size(align, 16);
	list_add_tail(&arena->direct, &direct->link);
	return raw + lead;
}

static void arena_direct_put(struct arena *arena, struct arena_direct *direct)
{
	list_del(&direct->link);
	arena->parent->ops->free(arena->parent, direct->raw, direct->raw_size, direct->raw_align);
}

static bool arena_grow(struct arena *arena)
{
	struct arena_chunk *chunk =
		arena->parent->ops->alloc(arena->parent, ARENA_CHUNK_BYTES, ARENA_PAGE);

	if (!chunk)
		return false;
	chunk->next = arena->chunks;
	chunk->size = ARENA_CHUNK_BYTES;
	arena->chunks = chunk;
	arena->at = (uint8_t *)chunk + align_up_u64(sizeof(*chunk), 16);
	arena->end = (uint8_t *)chunk + ARENA_CHUNK_BYTES;
	return true;
}

static void *arena_cut(struct arena *arena, size_t size, size_t align)
{
	for (;;) {
		uint8_t *p = (uint8_t *)align_up_u64((uintptr_t)arena->at, max_size(align, 16));
		if (arena->at && p + size <= arena->end) {
			arena->at = p + size;
			return p;
		}
		if (!arena_grow(arena))
			return NULL;
	}
}

static void *arena_take(struct arena *arena, size_t size, size_t align)
{
	size_t room = size;
	void **class = arena_class(arena, &room, align);
	void *p;

	if (!class) {
		p = arena_direct_get(arena, size, align);
	} else if (*class) {
		p = *class;
		*class = *(void **)p;
	} else {
		p = arena_cut(arena, room, align > 16 ? ARENA_PAGE : 16);
	}
	if (p) {
		arena->blocks++;
		arena->bytes += size;
	}
	return p;
}

static void arena_give(struct arena *arena, void *p, size_t size, size_t align)
{
	size_t room = size;
	void **class = arena_class(arena, &room, align);

	must(arena->blocks > 0 && arena->bytes >= size);
	arena->blocks--;
	arena->bytes -= size;
	if (!class) {
		arena_direct_put(arena, (void *)((uint8_t *)p - sizeof(struct arena_direct)));
		return;
	}
	*(void **)p = *class;
	*class = p;
}

static void *arena_mem_alloc(struct mem *mem, size_t size, size_t align)
{
	struct arena *arena = container_of(mem, struct arena, mem);

	arena->allocs++;
	if (arena->allocs == arena->fail_at ||
	    (arena->refuse && arena->refuse(arena->refuse_ctx)) ||
	    (arena->bytes_max && arena->bytes + size > arena->bytes_max)) {
		arena->failures++;
		return NULL;
	}
	return arena_take(arena, size, align);
}

static void arena_mem_free(struct mem *mem, void *p, size_t size, size_t align)
{
	arena_give(container_of(mem, struct arena, mem), p, size, align);
}

static const struct mem_ops arena_mem_ops = {
	.alloc = arena_mem_alloc,
	.free = arena_mem_free,
};

void arena_init(struct arena *arena, struct mem *parent)
{
	memset(arena, 0, sizeof(*arena));
	arena->mem.ops = &arena_mem_ops;
	arena->parent = parent;
	list_init(&arena->direct);
}

void arena_drop(struct arena *arena)
{
	struct arena_direct *direct;

	while ((direct = list_first(&arena->direct, struct arena_direct, link)))
		arena_direct_put(arena, direct);
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;
		arena->chunks = chunk->next;
		arena->parent->ops->free(arena->parent, chunk, chunk->size, ARENA_PAGE);
	}
	memset(arena->free, 0, sizeof(arena->free));
	memset(arena->free_aligned, 0, sizeof(arena->free_aligned));
	arena->at = NULL;
	arena->end = NULL;
	arena->blocks = 0;
	arena->bytes = 0;
}

void *arena_get(struct arena *arena, size_t size)
{
	void *p = arena_take(arena, size, 16);

	must(p);
	return p;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
	return memset(arena_get(arena, size), 0, size);
}

void arena_put(struct arena *arena, void *p, size_t size)
{
	if (p)
		arena_give(arena, p, size, 16);
}
