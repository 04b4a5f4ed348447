/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - memory that ends all at once, with the call it belongs to.
 *
 * AR1. Blocks are never given back one by one; mem_free() of one does nothing.
 * AR2. Never more than bytes_max at a time, leads and chunks counted.
 */
#ifndef RPC_ARENA_PRIV_H
#define RPC_ARENA_PRIV_H

#include "base/mem.h"

struct arena_chunk;

struct rpc_arena {
	struct mem mem; /* hand out &arena.mem */
	struct mem *parent;
	struct arena_chunk *chunks; /* the newest has the room [at, end) */
	uint8_t *at, *end;
	uint64_t bytes, bytes_max;
};

/* Allocates nothing yet. */
void rpc_arena_init(struct rpc_arena *arena, struct mem *parent, uint64_t bytes_max);
void rpc_arena_drop(struct rpc_arena *arena);

/* ---- and memory with a bound, which is given back block by block ----------------- */

struct rpc_bound {
	struct mem mem; /* hand out &bound.mem */
	struct mem *parent;
	uint64_t bytes, bytes_max;
};

void rpc_bound_init(struct rpc_bound *bound, struct mem *parent, uint64_t bytes_max);

#endif
