/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta - names and values beside a message: what gRPC calls metadata, and HTTP headers.
 *
 * ME1. Names are lower case and made of [a-z0-9_.-]; values are printable ASCII where we say them.
 */
#ifndef RPC_META_PRIV_H
#define RPC_META_PRIV_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "rpc/rpc.h"

#define META_PAIR_BYTES 32u /* what HTTP/2 counts for each pair besides its bytes */

struct mem;

struct meta_pair {
	struct list_link link;
	const char *name, *value; /* NUL-terminated, behind this */
	size_t name_len, value_len;
};

/* All memory is of an arena: nothing is freed here. */
struct meta {
	struct list pairs;
	unsigned count;
	size_t bytes; /* as HTTP/2 counts a header list */
};

void meta_init(struct meta *meta);
/* Copies both. -ENOMEM. */
MUST_USE int meta_add(struct meta *meta, struct mem *mem, const char *name, size_t name_len,
		      const char *value, size_t value_len);
/* The first, or NULL. */
const struct meta_pair *meta_find(const struct meta *meta, const char *name);

/* What a user may say (ME1). -EINVAL, worded. */
MUST_USE int meta_check(const char *name, const char *value, struct fiber *f);

/* For nghttp2: texts stay until it has been called. */
nghttp2_nv meta_nv(const char *name, const char *value);
/* All pairs, behind `count` at nvs; returns the new count. There is room. */
size_t meta_nvs(const struct meta *meta, nghttp2_nv *nvs, size_t count);

#endif
