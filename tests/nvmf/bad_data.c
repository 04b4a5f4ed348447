// SPDX-License-Identifier: Apache-2.0
/*
 * bad_data - H2CData against its R2T (TCP Transport 1.0, sections 3.3.2.2, 3.6.2.8).
 *
 * Among them CVE-2026-22998, -2023-6356, -2023-6535, -2023-6536: data for a command that was
 * not set up, of a length not held against the command, and after it had ended.
 */
#include "nvmf/bad.h"

#define NO_CID 0xfffe

/* A row is a line. */
/* clang-format off */
static const struct bad_row rows[] = {
	{ "h2c_data_of_an_r2t", R2T, 0, B_H2C, { { 0 } }, FINE },
	{ "h2c_data_with_both_digests", R2T, RAW_HDGST | RAW_DDGST, B_H2C, { { 0 } }, FINE },
	{ "h2c_data_byte_by_byte", R2T, RAW_HDGST | RAW_DDGST, B_H2C, { { 0 } }, FINE, T_SLOW },
	{ "success_flag_of_h2c_data_is_ignored", R2T, 0, B_H2C,
	  { P8(1, NVMETCP_LAST | NVMETCP_SUCCESS) }, FINE },
	{ "reserved_bytes_of_h2c_data_are_ignored", R2T, 0, B_H2C, { P32(20, UINT32_MAX) }, FINE },

	{ "h2c_data_before_connect", HELLO, 0, B_H2C, { { 0 } }, TERM2(FIELD, SEQUENCE) },
	{ "h2c_data_before_connect_with_digests", HELLO, RAW_HDGST | RAW_DDGST, B_H2C, { { 0 } },
	  TERM2(FIELD, SEQUENCE) },
	{ "h2c_data_on_an_idle_admin_queue", ADMIN, 0, B_H2C, { { 0 } }, TERM2(FIELD, SEQUENCE) },
	{ "h2c_data_on_an_idle_io_queue", IO, 0, B_H2C, { { 0 } }, TERM2(FIELD, SEQUENCE) },
	{ "h2c_data_of_one_dword_on_an_idle_queue", IO, 0, B_H2C, { { 0 } },
	  TERM2(FIELD, SEQUENCE), 0, 0, 4 },
	{ "h2c_data_far_out_on_an_idle_queue", IO, 0, B_H2C, { P32(12, 0x10000000) },
	  TERM2(FIELD, SEQUENCE) },
	{ "h2c_data_after_all_was_sent", R2T, 0, B_H2C, { { 0 } }, TERM2(FIELD, SEQUENCE),
	  T_TWICE },
	{ "h2c_data_after_all_was_sent_with_digests", R2T, RAW_HDGST | RAW_DDGST, B_H2C, { { 0 } },
	  TERM2(FIELD, SEQUENCE), T_TWICE },
	{ "first_half_twice", R2T, 0, B_H2C, { { 0 } }, TERM2(SEQUENCE, FIELD), T_TWICE, 0, 4096 },

	{ "another_ttag", R2T, 0, B_H2C, { P16(10, 0x7777) }, TERM2(FIELD, SEQUENCE) },
	{ "ttag_ffff", R2T, 0, B_H2C, { P16(10, 0xffff) }, TERM2(FIELD, SEQUENCE) },
	{ "another_command", R2T, 0, B_H2C, { P16(8, NO_CID) }, TERM(FIELD, 8) },
	{ "command_0", R2T, 0, B_H2C, { P16(8, 0) }, TERM(FIELD, 8) },
	{ "command_ffff", R2T, 0, B_H2C, { P16(8, 0xffff) }, TERM(FIELD, 8) },

	{ "a_gap_before_the_data", R2T, 0, B_H2C, { { 0 } }, TERM2(SEQUENCE, RANGE), 0, 4096,
	  4096 },
	{ "offset_4", R2T, 0, B_H2C, { { 0 } }, TERM2(SEQUENCE, RANGE), 0, 4, 8188 },
	{ "offset_at_the_end", R2T, 0, B_H2C, { P32(12, 8192) }, TERM(RANGE, ANY_FEI) },
	{ "offset_beyond_the_end", R2T, 0, B_H2C, { P32(12, 12288) }, TERM(RANGE, ANY_FEI) },
	{ "offset_7ffffffc", R2T, 0, B_H2C, { P32(12, 0x7ffffffc) }, TERM(RANGE, ANY_FEI) },
	{ "offset_that_wraps", R2T, 0, B_H2C, { P32(12, 0xfffffffc) }, TERM(RANGE, ANY_FEI) },
	{ "offset_not_of_dwords", R2T, 0, B_H2C, { P32(12, 2) }, TERM(FIELD, 12) },
	{ "half_before_its_beginning", R2T, 0, B_H2C, { P32(12, 0xfffff000) },
	  TERM(RANGE, ANY_FEI), 0, 0, 4096 },
	{ "more_data_than_the_r2t", R2T, 0, B_H2C, { { 0 } }, TERM(RANGE, ANY_FEI), 0, 0, 8704 },
	{ "twice_the_data_of_the_r2t", R2T, 0, B_H2C, { { 0 } }, TERM(RANGE, ANY_FEI), 0, 0,
	  16384 },
	{ "one_dword_too_much", R2T, 0, B_H2C, { { 0 } }, TERM(RANGE, ANY_FEI), 0, 0, 8196 },
	{ "length_0", R2T, 0, B_H2C, { P32(16, 0) }, TERM(FIELD, ANY_FEI) },
	{ "length_0_and_no_data", R2T, 0, B_H2C, { P32(16, 0), P32(4, 24) }, TERM(FIELD, ANY_FEI) },
	{ "length_not_of_dwords", R2T, 0, B_H2C, { P32(16, 4098), P32(4, 24 + 4098) },
	  TERM(FIELD, ANY_FEI) },
	{ "length_of_less_than_came", R2T, 0, B_H2C, { P32(16, 4096) }, TERM(FIELD, ANY_FEI) },
	{ "length_of_more_than_came", R2T, 0, B_H2C, { P32(16, 8196) }, TERM(FIELD, ANY_FEI) },
	{ "length_ffffffff", R2T, 0, B_H2C, { P32(16, UINT32_MAX) }, TERM(FIELD, ANY_FEI) },
	{ "plen_0_of_h2c_data", R2T, 0, B_H2C, { P32(4, 0) }, TERM(FIELD, 4) },
	{ "plen_23_of_h2c_data", R2T, 0, B_H2C, { P32(4, 23) }, TERM(FIELD, 4) },
	{ "plen_24_of_h2c_data", R2T, 0, B_H2C, { P32(4, 24) }, TERM(FIELD, 4) },
	{ "plen_ffffffff_of_h2c_data", R2T, 0, B_H2C, { P32(4, UINT32_MAX) }, TERM(FIELD, 4) },
	{ "plen_and_length_of_2_gib", R2T, 0, B_H2C,
	  { P32(4, 0x80000000u + 24), P32(16, 0x80000000u) }, TERM2(LIMIT, RANGE) },
	{ "hlen_23_of_h2c_data", R2T, 0, B_H2C, { P8(2, 23) }, TERM(FIELD, 2) },
	{ "hlen_72_of_h2c_data", R2T, 0, B_H2C, { P8(2, 72) }, TERM(FIELD, 2) },
	{ "hlen_255_of_h2c_data", R2T, 0, B_H2C, { P8(2, 255) }, TERM(FIELD, 2) },
	{ "pdo_0_of_h2c_data", R2T, 0, B_H2C, { P8(3, 0) }, TERM(FIELD, 3) },
	{ "pdo_20_of_h2c_data", R2T, 0, B_H2C, { P8(3, 20) }, TERM(FIELD, 3) },
	{ "pdo_25_of_h2c_data", R2T, 0, B_H2C, { P8(3, 25) }, TERM(FIELD, 3) },
	{ "pdo_255_of_h2c_data", R2T, 0, B_H2C, { P8(3, 255) }, TERM(FIELD, 3) },
	{ "no_last_pdu_on_the_last", R2T, 0, B_H2C, { { 0 } }, TERM2(FIELD, SEQUENCE), T_NO_LAST },
	{ "last_pdu_on_the_first_half", R2T, 0, B_H2C, { { 0 } }, TERM2(FIELD, SEQUENCE),
	  T_NO_LAST, 0, 4096 },
	{ "header_digest_flag_of_h2c_data", R2T, 0, B_H2C, { P8(1, NVMETCP_LAST | NVMETCP_HDGSTF) },
	  TERM(FIELD, 1) },
	{ "data_digest_flag_of_h2c_data", R2T, 0, B_H2C, { P8(1, NVMETCP_LAST | NVMETCP_DDGSTF) },
	  TERM(FIELD, 1) },
	{ "no_header_digest_flag_of_h2c_data", R2T, RAW_HDGST, B_H2C, { P8(1, NVMETCP_LAST) },
	  TERM(FIELD, 1) },
	{ "no_data_digest_flag_of_h2c_data", R2T, RAW_DDGST, B_H2C, { P8(1, NVMETCP_LAST) },
	  TERM(FIELD, 1) },

	/* proper: between an R2T and its data other commands go on */
	{ "read_while_data_are_awaited", R2T, 0, B_READ, { { 0 } }, FINE },
	{ "in_capsule_write_while_data_are_awaited", R2T, RAW_HDGST | RAW_DDGST, B_CAPSULE,
	  { { 0 } }, FINE },
	{ "command_identifier_in_use", R2T, 0, B_READ, { P16(SQ(2), 0x0055) }, WHATEVER },
	{ "write_with_an_identifier_in_use", R2T, 0, B_WRITE, { P16(SQ(2), 0x0055) }, WHATEVER },
};
/* clang-format on */

const struct bad_table bad_data = { "data", rows, ARRAY_LEN(rows) };
