// SPDX-License-Identifier: Apache-2.0
/*
 * mem - blocks that know their owner, and the heap.
 *
 * The invariants M1..M4 stand in mem.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/asan_priv.h"
#include "base/mem.h"
#include "base/must.h"

#define MEM_MAGIC	0x6d656d21u
#define MEM_MAGIC_FREED 0x66726565u

/* The last bytes of the lead, right before the user's. */
struct mem_header {
	struct mem *owner;
	size_t size; /* of the user's bytes */
	uint32_t align;
	uint32_t magic;
};

#define MEM_HEADER_BYTES 32

_Static_assert(sizeof(struct mem_header) <= MEM_HEADER_BYTES, "the header fits its place");

static size_t mem_lead_size(size_t align)
{
	return max_size(align, MEM_HEADER_BYTES);
}

void *mem_alloc_aligned(struct mem *mem, size_t align, size_t size)
{
	size_t lead_size, total_size;
	struct mem_header *header;
	char *raw;

	must(is_pow2_u64(align) && align <= MEM_ALIGN_MAX);
	align = max_size(align, MEM_ALIGN_MIN);
	lead_size = mem_lead_size(align);
	if (__builtin_add_overflow(lead_size, size, &total_size))
		return NULL;
	raw = mem->ops->alloc(mem, total_size, align);
	if (!raw)
		return NULL; /* M4 */
	header = (struct mem_header *)(void *)(raw + lead_size - MEM_HEADER_BYTES);
	header->owner = mem;
	header->size = size;
	header->align = (uint32_t)align;
	header->magic = MEM_MAGIC;
	asan_poison(raw, lead_size);		 /* M3 */
	return memset(raw + lead_size, 0, size); /* M2 */
}

void *mem_alloc(struct mem *mem, size_t size)
{
	return mem_alloc_aligned(mem, MEM_ALIGN_MIN, size);
}

void *mem_alloc_array(struct mem *mem, size_t count, size_t size)
{
	size_t total_size;

	if (__builtin_mul_overflow(count, size, &total_size))
		return NULL;
	return mem_alloc(mem, total_size);
}

void mem_free(void *p)
{
	struct mem_header *header;
	size_t lead_size;

	if (!p)
		return;
	header = (struct mem_header *)(void *)((char *)p - MEM_HEADER_BYTES);
	asan_unpoison(header, MEM_HEADER_BYTES);
	must(header->magic == MEM_MAGIC);
	header->magic = MEM_MAGIC_FREED;
	lead_size = mem_lead_size(header->align);
	asan_unpoison((char *)p - lead_size, lead_size);
	header->owner->ops->free(header->owner, (char *)p - lead_size, lead_size + header->size,
				 header->align);
}

void cleanup_mem(void *variable)
{
	mem_free(*(void **)variable);
}

void *mem_dup(struct mem *mem, const void *bytes, size_t size)
{
	void *copy = mem_alloc(mem, size);

	return copy ? memcpy(copy, bytes, size) : NULL;
}

char *mem_strndup(struct mem *mem, const char *text, size_t len)
{
	size_t size = strnlen(text, len);
	char *copy = mem_alloc(mem, size + 1);

	return copy ? memcpy(copy, text, size) : NULL;
}

char *mem_strdup(struct mem *mem, const char *text)
{
	return mem_dup(mem, text, strlen(text) + 1);
}

char *mem_printf(struct mem *mem, const char *fmt, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	must(len >= 0);
	text = mem_alloc(mem, (size_t)len + 1);
	if (!text)
		return NULL;
	va_start(args, fmt);
	vsnprintf(text, (size_t)len + 1, fmt, args);
	va_end(args);
	return text;
}

static uint64_t mem_heap_count(uint64_t *counter, uint64_t by)
{
	return __atomic_add_fetch(counter, by, __ATOMIC_RELAXED);
}

static void *mem_heap_alloc(struct mem *mem, size_t size, size_t align)
{
	struct mem_heap *heap = container_of(mem, struct mem_heap, mem);
	uint64_t bytes = mem_heap_count(&heap->bytes, size);
	bool refused = mem_heap_count(&heap->allocs, 1) == heap->fail_at ||
		       (heap->bytes_limit && bytes > heap->bytes_limit);
	void *p = NULL;

	if (!refused && posix_memalign(&p, align, size) != 0)
		p = NULL;
	if (!p) {
		mem_heap_count(&heap->bytes, -(uint64_t)size);
		mem_heap_count(&heap->failures, 1);
		return NULL;
	}
	mem_heap_count(&heap->blocks, 1);
	if (bytes > __atomic_load_n(&heap->bytes_max, __ATOMIC_RELAXED))
		__atomic_store_n(&heap->bytes_max, bytes, __ATOMIC_RELAXED);
	return p;
}

static void mem_heap_free(struct mem *mem, void *p, size_t size, size_t align)
{
	struct mem_heap *heap = container_of(mem, struct mem_heap, mem);

	(void)align;
	mem_heap_count(&heap->bytes, -(uint64_t)size);
	mem_heap_count(&heap->blocks, -UINT64_C(1));
	free(p);
}

static const struct mem_ops mem_heap_ops = {
	.alloc = mem_heap_alloc,
	.free = mem_heap_free,
};

void mem_heap_init(struct mem_heap *heap)
{
	*heap = (struct mem_heap){ .mem.ops = &mem_heap_ops };
}

void mem_heap_fini(struct mem_heap *heap)
{
	must(heap->blocks == 0);
}
