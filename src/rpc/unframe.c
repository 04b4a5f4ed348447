// SPDX-License-Identifier: Apache-2.0
/*
 * unframe - gRPC's messages out of a stream of bytes.
 */
#include "rpc/unframe_priv.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/must.h"

void rpc_frame_head(uint8_t ret[RPC_FRAME_HEAD], uint32_t len)
{
	ret[0] = 0;
	be32_put(ret + 1, len);
}

void rpc_unframe_init(struct rpc_unframe *u, struct mem *mem, uint32_t bytes_max)
{
	*u = (struct rpc_unframe){ .mem = mem, .bytes_max = bytes_max };
}

void rpc_unframe_fini(struct rpc_unframe *u)
{
	mem_free(steal(u->buf));
}

bool rpc_unframe_is_empty(const struct rpc_unframe *u)
{
	return u->head_have == 0;
}

/* Room for `more` bytes behind those that are here (UF1). */
static int unframe_grow(struct rpc_unframe *u, uint32_t more)
{
	uint32_t room = u->have + more;
	uint8_t *buf;

	if (u->buf && room <= u->room)
		return 0;
	room = min_u32(max_u32(max_u32(room, 2 * u->have), UNFRAME_ROOM_MIN), u->want);
	buf = mem_alloc(u->mem, room);
	if (!buf)
		return -ENOMEM;
	if (u->have)
		memcpy(buf, u->buf, u->have);
	mem_free(u->buf);
	u->buf = buf;
	u->room = room;
	return 0;
}

static int unframe_head(struct rpc_unframe *u)
{
	if (u->head[0] > 1)
		return -EBADMSG;
	if (u->head[0] == 1)
		return -ENOTSUP;
	u->want = be32_get(u->head + 1);
	u->have = 0;
	return u->want > u->bytes_max ? -E2BIG : 0;
}

int rpc_unframe_take(struct rpc_unframe *u, const uint8_t *data, size_t len, size_t *ret_taken)
{
	size_t at = 0;
	int r;

	if (u->head_have < RPC_FRAME_HEAD) {
		at = min_size(len, RPC_FRAME_HEAD - u->head_have);
		if (at)
			memcpy(u->head + u->head_have, data, at);
		u->head_have += (uint8_t)at;
		*ret_taken = at;
		if (u->head_have < RPC_FRAME_HEAD)
			return 0;
		r = unframe_head(u);
		if (r < 0)
			return r;
	}
	const uint32_t some = (uint32_t)min_size(len - at, u->want - u->have);

	r = unframe_grow(u, some);
	if (r < 0)
		return r;
	if (some)
		memcpy(u->buf + u->have, data + at, some);
	u->have += some;
	*ret_taken = at + some;
	return u->have == u->want;
}

uint8_t *rpc_unframe_pop(struct rpc_unframe *u, uint32_t *ret_len)
{
	must(u->head_have == RPC_FRAME_HEAD && u->have == u->want);
	*ret_len = u->want;
	u->head_have = 0;
	u->want = 0;
	u->have = 0;
	u->room = 0;
	return steal(u->buf);
}
