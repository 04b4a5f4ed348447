// SPDX-License-Identifier: Apache-2.0
/*
 * slab - many objects of one size with O(1) get and put.
 *
 * Objects are cut from chunks of about SLAB_CHUNK_BYTES, allocated as they are
 * needed up to a maximum and kept until the end. Free objects form a LIFO (the
 * warmest first) through their first word.
 *
 * S1. in_use <= high <= objects <= objects_max.
 * S2. A free object is poisoned under ASan, and so is a gap behind each object.
 * S3. An object's bytes are undefined when it is handed out.
 *
 * Belongs to one reactor; not to be shared.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include "base/lang.h"

#define SLAB_CHUNK_BYTES      65536
#define SLAB_OBJECT_BYTES_MAX (UINT32_C(1) << 24)

struct mem;
struct slab_chunk;

struct slab {
	struct mem *mem; /* borrowed */
	struct slab_chunk *chunks;
	void *free; /* first free object */
	uint32_t object_size;
	uint32_t object_align;
	uint32_t stride; /* distance of two objects */
	uint32_t chunk_objects;
	uint32_t objects; /* cut so far */
	uint32_t objects_max;
	uint32_t in_use;
	uint32_t high; /* most ever in use */
};

/* Allocates nothing yet. align: power of two; 0: that of any type. */
void slab_init(struct slab *slab, struct mem *mem, size_t object_size, size_t align,
	       uint32_t objects_max);

/* All objects were put back. */
void slab_fini(struct slab *slab);

/* Cuts objects ahead until at least count exist; -ENOMEM, -ENOSPC over the maximum. */
MUST_USE int slab_reserve(struct slab *slab, uint32_t count);

/* NULL: at the maximum, or no memory. */
MUST_USE void *slab_get(struct slab *slab);

/* object: NULL or from slab_get(). */
void slab_put(struct slab *slab, void *object);

#endif
