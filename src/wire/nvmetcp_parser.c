// SPDX-License-Identifier: Apache-2.0
/*
 * nvmetcp_parser - cuts a stream into PDUs. V1 and V2 stand in nvmetcp_parser.h.
 */
#include <errno.h>

#include "base/must.h"
#include "wire/nvmetcp_parser.h"

/* As much of a refused header as came: HLEN bytes, if HLEN can be believed. */
static void parser_keep_refused(struct nvmetcp_parser *parser, const uint8_t *bytes, size_t size)
{
	uint8_t hlen = bytes[NVMETCP_AT_HLEN];

	if (hlen < NVMETCP_CH_BYTES || hlen > NVMETCP_HEADER_MAX)
		hlen = NVMETCP_CH_BYTES;
	parser->have = (uint8_t)min_size(size, hlen);
	memmove(parser->head, bytes, parser->have);
}

/* The head is cut: gather until decode wants no more, or there is no more. */
static int parser_gather(struct nvmetcp_parser *parser, const struct nvmetcp_rules *rules,
			 const uint8_t *bytes, size_t size, size_t *ret_used,
			 struct nvmetcp_pdu *ret, struct nvmetcp_fault *ret_fault)
{
	size_t used = 0;

	for (;;) {
		int r = nvmetcp_decode(rules, parser->head, parser->have, ret, ret_fault);
		size_t step;

		if (r < 0)
			parser_keep_refused(parser, parser->head, parser->have);
		if (r <= 0) {
			if (r == 0)
				parser->have = 0; /* the bytes stay until the next feed */
			*ret_used = used;
			return r;
		}
		must(r > parser->have && r <= (int)NVMETCP_HEAD_MAX);
		step = min_size((size_t)r - parser->have, size - used);
		if (step)
			memcpy(parser->head + parser->have, bytes + used, step);
		parser->have = (uint8_t)(parser->have + step);
		used += step;
		if (parser->have < r) {
			*ret_used = used;
			return r - parser->have;
		}
	}
}

int nvmetcp_parser_feed(struct nvmetcp_parser *parser, const struct nvmetcp_rules *rules,
			const uint8_t *bytes, size_t size, size_t *ret_used,
			struct nvmetcp_pdu *ret, struct nvmetcp_fault *ret_fault)
{
	int r;

	if (parser->have)
		return parser_gather(parser, rules, bytes, size, ret_used, ret, ret_fault);
	r = nvmetcp_decode(rules, bytes, size, ret, ret_fault);
	if (r > 0)
		return parser_gather(parser, rules, bytes, size, ret_used, ret, ret_fault);
	if (r < 0) {
		parser_keep_refused(parser, bytes, size);
		*ret_used = 0;
	} else {
		*ret_used = ret->head_bytes;
	}
	return r;
}
