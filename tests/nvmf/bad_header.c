// SPDX-License-Identifier: Apache-2.0
/*
 * bad_header - headers and digests of capsules (TCP Transport 1.0, sections 3.3.1, 3.6.1,
 * 3.6.2.6).
 */
#include "nvmf/bad.h"

#define BOTH (RAW_HDGST | RAW_DDGST)

/* A row is a line. */
/* clang-format off */
static const struct bad_row rows[] = {
	{ "reserved_flags_are_ignored", IO, 0, B_READ, { P8(1, 0xf0) }, FINE },
	{ "last_pdu_of_a_capsule_is_ignored", IO, 0, B_READ, { P8(1, NVMETCP_LAST) }, FINE },
	{ "pdo_without_data_is_ignored", IO, 0, B_READ, { P8(3, 0xff) }, FINE },
	{ "capsule_byte_by_byte", IO, BOTH, B_CAPSULE, { { 0 } }, FINE, T_SLOW },

	{ "capsule_of_type_icresp", IO, 0, B_READ, { P8(0, 0x01) }, TERM2(FIELD, SEQUENCE) },
	{ "capsule_of_type_c2h_term", IO, 0, B_READ, { P8(0, 0x03) }, TERM2(FIELD, SEQUENCE) },
	{ "capsule_of_type_resp", IO, 0, B_READ, { P8(0, 0x05) }, TERM2(FIELD, SEQUENCE) },
	{ "capsule_of_type_c2h_data", IO, 0, B_READ, { P8(0, 0x07) }, TERM2(FIELD, SEQUENCE) },
	{ "capsule_of_reserved_type_08", IO, 0, B_READ, { P8(0, 0x08) }, TERM(FIELD, 0) },
	{ "capsule_of_type_r2t", IO, 0, B_READ, { P8(0, 0x09) }, TERM2(FIELD, SEQUENCE) },
	{ "capsule_of_reserved_type_0a", IO, 0, B_READ, { P8(0, 0x0a) }, TERM(FIELD, 0) },
	{ "capsule_of_type_7f", IO, 0, B_READ, { P8(0, 0x7f) }, TERM(FIELD, 0) },
	{ "capsule_of_type_ff", IO, 0, B_READ, { P8(0, 0xff) }, TERM(FIELD, 0) },
	{ "reserved_type_with_digests", IO, BOTH, B_READ, { P8(0, 0x0b) }, TERM(FIELD, 0) },
	{ "reserved_type_on_an_admin_queue", ADMIN, 0, B_ADMIN, { P8(0, 0x0c) }, TERM(FIELD, 0) },

	{ "hlen_0", IO, 0, B_READ, { P8(2, 0) }, TERM(FIELD, 2) },
	{ "hlen_7", IO, 0, B_READ, { P8(2, 7) }, TERM(FIELD, 2) },
	{ "hlen_8", IO, 0, B_READ, { P8(2, 8) }, TERM(FIELD, 2) },
	{ "hlen_64", IO, 0, B_READ, { P8(2, 64) }, TERM(FIELD, 2) },
	{ "hlen_71", IO, 0, B_READ, { P8(2, 71) }, TERM(FIELD, 2) },
	{ "hlen_73", IO, 0, B_READ, { P8(2, 73) }, TERM(FIELD, 2) },
	{ "hlen_128", IO, 0, B_READ, { P8(2, 128) }, TERM(FIELD, 2) },
	{ "hlen_255", IO, 0, B_READ, { P8(2, 255) }, TERM(FIELD, 2) },
	/* CVE-2025-21927: the place of the digest follows from a length not looked at */
	{ "hlen_255_with_digest", IO, RAW_HDGST, B_READ, { P8(2, 255) }, TERM(FIELD, 2) },
	{ "hlen_0_with_digest", IO, RAW_HDGST, B_READ, { P8(2, 0) }, TERM(FIELD, 2) },
	{ "hlen_68_with_digest", IO, RAW_HDGST, B_READ, { P8(2, 68) }, TERM(FIELD, 2) },
	{ "hlen_76_with_digest", IO, RAW_HDGST, B_READ, { P8(2, 76) }, TERM(FIELD, 2) },
	{ "hlen_255_of_h2c_data_with_digest", R2T, RAW_HDGST, B_H2C, { P8(2, 255) },
	  TERM(FIELD, 2) },
	{ "hlen_255_on_an_admin_queue", ADMIN, RAW_HDGST, B_ADMIN, { P8(2, 255) },
	  TERM(FIELD, 2) },

	{ "plen_0", IO, 0, B_READ, { P32(4, 0) }, TERM(FIELD, 4) },
	{ "plen_8", IO, 0, B_READ, { P32(4, 8) }, TERM(FIELD, 4) },
	{ "plen_71", IO, 0, B_READ, { P32(4, 71) }, TERM(FIELD, 4) },
	{ "plen_without_the_digest", IO, RAW_HDGST, B_READ, { P32(4, 72) }, TERM(FIELD, 4) },
	{ "plen_with_data_that_have_no_offset", IO, 0, B_READ, { P32(4, 73) },
	  TERM(FIELD, ANY_FEI) },
	{ "plen_ffffffff", IO, 0, B_CAPSULE, { P32(4, UINT32_MAX) }, TERM(FIELD, 4) },
	{ "plen_80000000", IO, 0, B_CAPSULE, { P32(4, 0x80000000u) }, TERM(FIELD, 4) },
	{ "plen_of_more_data_than_ioccsz", IO, 0, B_CAPSULE, { P32(4, 72 + (1u << 20) + 4) },
	  TERM(FIELD, 4) },
	{ "plen_of_more_data_than_8_kib_on_an_admin_queue", ADMIN, 0, B_IDENTIFY,
	  { P32(4, 72 + 8192 + 4), P8(3, 72) }, TERM(FIELD, 4) },
	{ "plen_of_a_digest_only", IO, RAW_DDGST, B_CAPSULE, { P32(4, 76) }, TERM(FIELD, 4) },
	{ "plen_shorter_than_a_data_digest", IO, RAW_DDGST, B_CAPSULE, { P32(4, 75) },
	  TERM(FIELD, 4) },

	{ "pdo_0", IO, 0, B_CAPSULE, { P8(3, 0) }, TERM(FIELD, 3) },
	{ "pdo_inside_the_header", IO, 0, B_CAPSULE, { P8(3, 68) }, TERM(FIELD, 3) },
	{ "pdo_not_of_dwords", IO, 0, B_CAPSULE, { P8(3, 73) }, TERM(FIELD, 3) },
	{ "pdo_beyond_any_padding", IO, 0, B_CAPSULE, { P8(3, 252) }, TERM(FIELD, 3) },
	{ "pdo_255", IO, 0, B_CAPSULE, { P8(3, 255) }, TERM(FIELD, 3) },
	{ "pdo_on_the_header_digest", IO, RAW_HDGST, B_CAPSULE, { P8(3, 72) }, TERM(FIELD, 3) },

	{ "header_digest_flag_without_agreement", IO, 0, B_READ, { P8(1, NVMETCP_HDGSTF) },
	  TERM(FIELD, 1) },
	{ "data_digest_flag_without_agreement", IO, 0, B_CAPSULE, { P8(1, NVMETCP_DDGSTF) },
	  TERM(FIELD, 1) },
	{ "both_digest_flags_without_agreement", IO, 0, B_CAPSULE,
	  { P8(1, NVMETCP_HDGSTF | NVMETCP_DDGSTF) }, TERM(FIELD, 1) },
	{ "no_header_digest_flag", IO, RAW_HDGST, B_READ, { P8(1, 0) }, TERM(FIELD, 1) },
	{ "no_data_digest_flag", IO, RAW_DDGST, B_CAPSULE, { P8(1, 0) }, TERM(FIELD, 1) },
	{ "no_header_digest_flag_of_two", IO, BOTH, B_CAPSULE, { P8(1, NVMETCP_DDGSTF) },
	  TERM(FIELD, 1) },
	{ "no_data_digest_flag_of_two", IO, BOTH, B_CAPSULE, { P8(1, NVMETCP_HDGSTF) },
	  TERM(FIELD, 1) },
	{ "no_header_digest_flag_on_an_admin_queue", ADMIN, RAW_HDGST, B_ADMIN, { P8(1, 0) },
	  TERM(FIELD, 1) },

	{ "wrong_header_digest", IO, RAW_HDGST, B_READ, { { 0 } }, TERM(HDGST, ANY_FEI), T_HDGST },
	{ "wrong_header_digest_before_data", IO, BOTH, B_CAPSULE, { { 0 } }, TERM(HDGST, ANY_FEI),
	  T_HDGST },
	{ "wrong_header_digest_on_an_admin_queue", ADMIN, RAW_HDGST, B_ADMIN, { { 0 } },
	  TERM(HDGST, ANY_FEI), T_HDGST },
	{ "wrong_header_digest_of_connect", HELLO, RAW_HDGST, B_CONNECT, { { 0 } },
	  TERM(HDGST, ANY_FEI), T_HDGST },
	{ "wrong_header_digest_of_h2c_data", R2T, RAW_HDGST, B_H2C, { { 0 } }, TERM(HDGST, ANY_FEI),
	  T_HDGST },
	/* section 3.3.1.2: not fatal, the command fails */
	{ "wrong_data_digest_of_a_capsule", IO, RAW_DDGST, B_CAPSULE, { { 0 } },
	  STATUS(TRANSIENT_TRANSPORT_ERROR), T_DDGST },
	{ "wrong_data_digest_of_two", IO, BOTH, B_CAPSULE, { { 0 } },
	  STATUS(TRANSIENT_TRANSPORT_ERROR), T_DDGST },
	{ "wrong_data_digest_of_h2c_data", R2T, RAW_DDGST, B_H2C, { { 0 } },
	  STATUS(TRANSIENT_TRANSPORT_ERROR), T_DDGST },
	{ "wrong_data_digest_of_connect", HELLO, RAW_DDGST, B_CONNECT, { { 0 } },
	  STATUS(TRANSIENT_TRANSPORT_ERROR), T_DDGST },
};
/* clang-format on */

const struct bad_table bad_header = { "header", rows, ARRAY_LEN(rows) };
