// SPDX-License-Identifier: Apache-2.0
/*
 * slab - many objects of one size with O(1) get and put.
 *
 * S1..S3 stand in slab.h.
 *
 *	chunk:  | slab_chunk | object gap | object gap | ...
 *	                       `- first word of a free object: the next free one
 */
#include <errno.h>

#include "base/asan_priv.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/slab.h"

struct slab_chunk {
	struct slab_chunk *next;
	size_t object_bytes; /* of all objects and gaps */
};

void slab_init(struct slab *slab, struct mem *mem, size_t object_size, size_t align,
	       uint32_t objects_max)
{
	must(object_size > 0 && object_size <= SLAB_OBJECT_BYTES_MAX && objects_max > 0);
	align = align ? max_size(align, sizeof(void *)) : MEM_ALIGN_MIN;
	must(is_pow2_u64(align) && align <= MEM_ALIGN_MAX);
	object_size = max_size(object_size, sizeof(void *));
	*slab = (struct slab){
		.mem = mem,
		.object_size = (uint32_t)object_size,
		.object_align = (uint32_t)align,
		.stride = (uint32_t)align_up_u64(object_size + ASAN_GAP_BYTES, align),
		.objects_max = objects_max,
	};
	slab->chunk_objects = max_u32(SLAB_CHUNK_BYTES / slab->stride, 1);
}

static size_t slab_chunk_lead(const struct slab *slab)
{
	return align_up_u64(sizeof(struct slab_chunk), slab->object_align);
}

void slab_fini(struct slab *slab)
{
	struct slab_chunk *chunk, *next;

	must(slab->in_use == 0);
	for (chunk = slab->chunks; chunk; chunk = next) {
		next = chunk->next;
		asan_unpoison((char *)chunk + slab_chunk_lead(slab), chunk->object_bytes);
		mem_free(chunk);
	}
	slab->chunks = NULL;
	slab->free = NULL;
	slab->objects = 0;
}

static void slab_push(struct slab *slab, void *object)
{
	*(void **)object = slab->free;
	slab->free = object;
	asan_poison(object, slab->object_size); /* S2 */
}

/* Cuts one more chunk. */
static int slab_grow(struct slab *slab)
{
	uint32_t count = min_u32(slab->chunk_objects, slab->objects_max - slab->objects);
	size_t lead = slab_chunk_lead(slab);
	size_t object_bytes = (size_t)count * slab->stride;
	struct slab_chunk *chunk;
	char *first;

	if (count == 0)
		return -ENOSPC;
	chunk = mem_alloc_aligned(slab->mem, slab->object_align, lead + object_bytes);
	if (!chunk)
		return -ENOMEM;
	chunk->next = slab->chunks;
	chunk->object_bytes = object_bytes;
	slab->chunks = chunk;
	slab->objects += count;
	first = (char *)chunk + lead;
	for (uint32_t i = count; i-- > 0;)
		slab_push(slab, first + (size_t)i * slab->stride);
	asan_poison(first, object_bytes); /* S2: the gaps too */
	return 0;
}

int slab_reserve(struct slab *slab, uint32_t count)
{
	if (count > slab->objects_max)
		return -ENOSPC;
	while (slab->objects < count) {
		int r = slab_grow(slab);

		if (r < 0)
			return r;
	}
	return 0;
}

void *slab_get(struct slab *slab)
{
	void *object;

	if (unlikely(!slab->free) && slab_grow(slab) < 0)
		return NULL;
	object = slab->free;
	asan_unpoison(object, slab->object_size);
	slab->free = *(void **)object;
	slab->high = max_u32(slab->high, ++slab->in_use); /* S1 */
	return object;
}

void slab_put(struct slab *slab, void *object)
{
	if (!object)
		return;
	must(slab->in_use > 0);
	slab->in_use--;
	slab_push(slab, object);
}
