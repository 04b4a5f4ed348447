/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmetcp_parser - cuts a stream that arrives in pieces of any size into PDUs.
 *
 *	feed() until it says PDU --> take data_bytes (and DDGST) yourself --> feed() ...
 *
 * A head that lies whole in the piece fed is decoded where it lies; only one that is cut by
 * the end of a piece is gathered here, in 144 bytes. The data never passes through.
 *
 * V1. Feeding a stream in any pieces gives the same PDUs and faults as feeding it whole.
 * V2. Never takes a byte that does not belong to the head.
 */
#ifndef WIRE_NVMETCP_PARSER_H
#define WIRE_NVMETCP_PARSER_H

#include "wire/nvmetcp.h"

struct nvmetcp_parser {
	uint8_t have; /* bytes gathered */
	uint8_t head[NVMETCP_HEAD_MAX];
};

static inline void nvmetcp_parser_init(struct nvmetcp_parser *parser)
{
	parser->have = 0;
}

/* Between two PDUs? (A stream that ends elsewhere was cut.) */
static inline bool nvmetcp_parser_idle(const struct nvmetcp_parser *parser)
{
	return parser->have == 0;
}

/*
 *	> 0	all bytes are used; at least so many more are needed
 *	0	*ret is the next PDU, *ret_used bytes were its head. What it points to stays
 *		while the bytes fed and the parser are as they are: until the next feed().
 *	-EPROTO	refused, see *ret_fault; the header received so far is in parser->head,
 *		parser->have bytes, for nvmetcp_term_encode(). The parser is of no more use.
 */
MUST_USE int nvmetcp_parser_feed(struct nvmetcp_parser *parser, const struct nvmetcp_rules *rules,
				 const uint8_t *bytes, size_t size, size_t *ret_used,
				 struct nvmetcp_pdu *ret, struct nvmetcp_fault *ret_fault);

#endif
