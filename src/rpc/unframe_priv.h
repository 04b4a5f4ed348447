/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unframe - gRPC's messages out of a stream of bytes. Pure.
 *
 *	OFFSET SIZE FIELD
 *	0      1    0, or 1: compressed
 *	1      4    length of the message, big-endian
 *	5      n    the message
 *
 * UF1. No more memory is held than twice what has come of a message (and UNFRAME_ROOM_MIN),
 *      whatever length its head tells.
 */
#ifndef RPC_UNFRAME_PRIV_H
#define RPC_UNFRAME_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

#define RPC_FRAME_HEAD	 5u
#define UNFRAME_ROOM_MIN 1024u

struct mem;

struct rpc_unframe {
	struct mem *mem;
	uint32_t bytes_max; /* of one message */
	uint32_t want, have, room;
	uint8_t head[RPC_FRAME_HEAD];
	uint8_t head_have;
	uint8_t *buf; /* owned; room bytes */
};

void rpc_unframe_init(struct rpc_unframe *u, struct mem *mem, uint32_t bytes_max);
void rpc_unframe_fini(struct rpc_unframe *u);

/*
 * Take bytes up to the end of a message: 1: it is here as a whole (buf, want), 0: all were taken.
 * -E2BIG: over bytes_max; -ENOTSUP: compressed; -EBADMSG: no head of a message; -ENOMEM.
 */
MUST_USE int rpc_unframe_take(struct rpc_unframe *u, const uint8_t *data, size_t len,
			      size_t *ret_taken);

/* The message, with its memory, to be given to mem_free(); the next one can come. */
uint8_t *rpc_unframe_pop(struct rpc_unframe *u, uint32_t *ret_len);

/* Is it between two messages? */
bool rpc_unframe_is_empty(const struct rpc_unframe *u);

void rpc_frame_head(uint8_t ret[RPC_FRAME_HEAD], uint32_t len);

#endif
