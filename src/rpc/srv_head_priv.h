/* SPDX-License-Identifier: Apache-2.0 */
/*
 * srv_head - the headers of a request, one by one, and what they ask for. Pure.
 *
 * HD1. What is no HTTP/2 request ends the stream (RST_STREAM); what is one, but no gRPC request, is
 *      answered with a status of HTTP; a gRPC request that we do not serve with a status of gRPC.
 * HD2. `:authority` may be anything or absent: clients on Unix sockets send paths, or nothing.
 * HD3. No more than bytes_max of a header list are kept; at four times as much the peer is cut off.
 */
#ifndef RPC_SRV_HEAD_PRIV_H
#define RPC_SRV_HEAD_PRIV_H

#include "rpc/meta_priv.h"
#include "rpc/rpc.h"

#define HEAD_WORDS 128u

struct srv_head {
	struct mem *mem; /* an arena */
	uint32_t bytes_max;
	uint64_t bytes; /* all that came, kept or not */
	unsigned seen;	/* bits of pseudo headers */
	bool has_regular, is_over;
	bool is_post, has_type, has_te;
	const char *path;     /* NUL-terminated; NULL: none */
	const char *encoding; /* NULL: none */
	uint64_t timeout_ns;  /* UINT64_MAX: none */
	struct meta meta;     /* what else came */

	/* the verdict of srv_head_end() */
	unsigned http; /* 200, or what HTTP answers */
	enum rpc_code code;
	char words[HEAD_WORDS];
};

void srv_head_init(struct srv_head *head, struct mem *mem, uint32_t bytes_max);

/* 0; -EPROTO: no HTTP/2 (HD1); -EMSGSIZE: cut off (HD3); -ENOMEM. */
MUST_USE int srv_head_add(struct srv_head *head, const uint8_t *name, size_t name_len,
			  const uint8_t *value, size_t value_len);
/* All were told. -EPROTO: no HTTP/2 request; else the verdict stands in head. */
MUST_USE int srv_head_end(struct srv_head *head);

/* Trailers of a request: checked and forgotten. */
MUST_USE int srv_head_trailer(struct srv_head *head, const uint8_t *name, size_t name_len,
			      const uint8_t *value, size_t value_len);

#endif
