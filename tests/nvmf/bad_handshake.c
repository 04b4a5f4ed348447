// SPDX-License-Identifier: Apache-2.0
/*
 * bad_handshake - before and about ICReq, and terminate requests (TCP Transport 1.0, sections
 * 3.2, 3.6.2.1 to 3.6.2.5).
 */
#include "nvmf/bad.h"

/* A row is a line. */
/* clang-format off */
static const struct bad_row rows[] = {
	{ "icreq_is_answered", FRESH, 0, B_ICREQ, { { 0 } }, FINE },
	{ "icreq_byte_by_byte_is_answered", FRESH, 0, B_ICREQ, { { 0 } }, FINE, T_SLOW },
	{ "reserved_flags_of_icreq_are_ignored", FRESH, 0, B_ICREQ, { P8(1, 0xff) }, FINE },
	{ "pdo_of_icreq_is_ignored", FRESH, 0, B_ICREQ, { P8(3, 0xff) }, FINE },
	{ "reserved_digest_bits_are_ignored", FRESH, 0, B_ICREQ, { P8(11, 0xfc) }, FINE },
	{ "reserved_bytes_of_icreq_are_ignored", FRESH, 0, B_ICREQ,
	  { P64(16, UINT64_MAX), P64(64, UINT64_MAX), P64(120, UINT64_MAX) }, FINE },
	{ "any_maxr2t_is_fine", FRESH, 0, B_ICREQ, { P32(12, UINT32_MAX) }, FINE },
	{ "greatest_alignment_is_fine", FRESH, 0, B_ICREQ, { P8(10, 31) }, FINE },
	{ "odd_alignment_is_fine", FRESH, 0, B_ICREQ, { P8(10, 2) }, FINE },

	{ "first_pdu_of_reserved_type_08", FRESH, 0, B_ICREQ, { P8(0, 0x08) }, TERM(FIELD, 0) },
	{ "first_pdu_of_reserved_type_0a", FRESH, 0, B_ICREQ, { P8(0, 0x0a) }, TERM(FIELD, 0) },
	{ "first_pdu_of_type_ff", FRESH, 0, B_ICREQ, { P8(0, 0xff) }, TERM(FIELD, 0) },
	{ "icresp_of_a_host", FRESH, 0, B_ICREQ, { P8(0, 0x01) }, TERM2(FIELD, SEQUENCE) },
	{ "capsule_resp_first", FRESH, 0, B_ICREQ, { P8(0, 0x05) }, TERM2(FIELD, SEQUENCE) },
	{ "c2h_data_first", FRESH, 0, B_ICREQ, { P8(0, 0x07) }, TERM2(FIELD, SEQUENCE) },
	{ "r2t_first", FRESH, 0, B_ICREQ, { P8(0, 0x09) }, TERM2(FIELD, SEQUENCE) },
	{ "text_of_another_protocol", FRESH, 0, B_NOTHING,
	  { P64(0, UINT64_C(0x4854545020544547)), P64(8, UINT64_C(0x0a0d0a0d302e312f)) },
	  TERM(FIELD, 0), 0, 0, 16 },
	{ "tls_hello", FRESH, 0, B_NOTHING, { P64(0, UINT64_C(0x0001f80100010316)) },
	  TERM(FIELD, 0), 0, 0, 16 },
	{ "zeros", FRESH, 0, B_NOTHING, { P8(0, 0) }, TERM(FIELD, 2), 0, 0, 128 },

	{ "capsule_before_icreq", FRESH, 0, B_READ, { { 0 } }, TERM(SEQUENCE, ANY_FEI) },
	{ "connect_before_icreq", FRESH, 0, B_CONNECT, { { 0 } }, TERM(SEQUENCE, ANY_FEI) },
	{ "h2c_data_before_icreq", FRESH, 0, B_H2C, { { 0 } }, TERM(SEQUENCE, ANY_FEI) },

	{ "hlen_0_of_icreq", FRESH, 0, B_ICREQ, { P8(2, 0) }, TERM(FIELD, 2) },
	{ "hlen_7_of_icreq", FRESH, 0, B_ICREQ, { P8(2, 7) }, TERM(FIELD, 2) },
	{ "hlen_8_of_icreq", FRESH, 0, B_ICREQ, { P8(2, 8) }, TERM(FIELD, 2) },
	{ "hlen_72_of_icreq", FRESH, 0, B_ICREQ, { P8(2, 72) }, TERM(FIELD, 2) },
	{ "hlen_127_of_icreq", FRESH, 0, B_ICREQ, { P8(2, 127) }, TERM(FIELD, 2) },
	{ "hlen_129_of_icreq", FRESH, 0, B_ICREQ, { P8(2, 129) }, TERM(FIELD, 2) },
	{ "hlen_255_of_icreq", FRESH, 0, B_ICREQ, { P8(2, 255) }, TERM(FIELD, 2) },
	{ "plen_0_of_icreq", FRESH, 0, B_ICREQ, { P32(4, 0) }, TERM(FIELD, 4) },
	{ "plen_8_of_icreq", FRESH, 0, B_ICREQ, { P32(4, 8) }, TERM(FIELD, 4) },
	{ "plen_127_of_icreq", FRESH, 0, B_ICREQ, { P32(4, 127) }, TERM(FIELD, 4) },
	{ "plen_129_of_icreq", FRESH, 0, B_ICREQ, { P32(4, 129) }, TERM(FIELD, 4) },
	{ "plen_ffffffff_of_icreq", FRESH, 0, B_ICREQ, { P32(4, UINT32_MAX) }, TERM(FIELD, 4) },
	{ "format_version_1", FRESH, 0, B_ICREQ, { P16(8, 1) }, TERM(UNSUPPORTED, 8) },
	{ "format_version_ffff", FRESH, 0, B_ICREQ, { P16(8, 0xffff) }, TERM(UNSUPPORTED, 8) },
	/* CVE-2023-5178: an ICReq that is refused after digests were set up */
	{ "format_version_1_with_digests", FRESH, RAW_HDGST | RAW_DDGST, B_ICREQ, { P16(8, 1) },
	  TERM(UNSUPPORTED, 8) },
	{ "alignment_of_33_dwords", FRESH, 0, B_ICREQ, { P8(10, 32) }, TERM(FIELD, 10) },
	{ "alignment_of_256_dwords", FRESH, 0, B_ICREQ, { P8(10, 255) }, TERM(FIELD, 10) },

	{ "second_icreq", HELLO, 0, B_ICREQ, { { 0 } }, TERM(SEQUENCE, ANY_FEI) },
	{ "second_icreq_with_digests", HELLO, RAW_HDGST | RAW_DDGST, B_ICREQ, { { 0 } },
	  TERM(SEQUENCE, ANY_FEI) },
	{ "icreq_on_an_admin_queue", ADMIN, 0, B_ICREQ, { { 0 } }, TERM(SEQUENCE, ANY_FEI) },
	{ "icreq_on_an_io_queue", IO, 0, B_ICREQ, { { 0 } }, TERM(SEQUENCE, ANY_FEI) },
	{ "icreq_while_data_are_awaited", R2T, 0, B_ICREQ, { { 0 } }, TERM(SEQUENCE, ANY_FEI) },

	{ "nothing_then_end", FRESH, 0, B_NOTHING, { { 0 } }, CLOSED, T_CUT, 0, 0 },
	{ "7_bytes_then_end", FRESH, 0, B_ICREQ, { { 0 } }, CLOSED, T_CUT, 0, 7 },
	{ "127_bytes_then_end", FRESH, 0, B_ICREQ, { { 0 } }, CLOSED, T_CUT, 0, 127 },
	{ "icreq_then_end", FRESH, 0, B_ICREQ, { { 0 } }, CLOSED, T_CUT, 0, 128 },
	{ "capsule_cut_in_its_header", IO, 0, B_READ, { { 0 } }, CLOSED, T_CUT, 0, 40 },
	{ "capsule_cut_in_its_data", IO, 0, B_CAPSULE, { { 0 } }, CLOSED, T_CUT, 0, 1000 },
	{ "capsule_cut_in_its_digest", IO, RAW_DDGST, B_CAPSULE, { { 0 } }, CLOSED, T_CUT, 0, 4170 },
	{ "h2c_data_cut_in_its_header", R2T, 0, B_H2C, { { 0 } }, CLOSED, T_CUT, 0, 20 },
	{ "h2c_data_cut_in_its_data", R2T, 0, B_H2C, { { 0 } }, CLOSED, T_CUT, 0, 5000 },
	{ "end_instead_of_h2c_data", R2T, 0, B_H2C, { { 0 } }, CLOSED, T_CUT, 0, 0 },

	/* T3: no answer, whatever is wrong with it */
	{ "terminate_request_first", FRESH, 0, B_TERM, { { 0 } }, CLOSED },
	{ "terminate_request_after_icresp", HELLO, 0, B_TERM, { { 0 } }, CLOSED },
	{ "terminate_request_on_an_admin_queue", ADMIN, 0, B_TERM, { { 0 } }, CLOSED },
	{ "terminate_request_on_an_io_queue", IO, 0, B_TERM, { { 0 } }, CLOSED },
	{ "terminate_request_with_digests", IO, RAW_HDGST | RAW_DDGST, B_TERM, { { 0 } }, CLOSED },
	{ "terminate_request_while_data_are_awaited", R2T, 0, B_TERM, { { 0 } }, CLOSED },
	{ "terminate_request_of_unknown_fes", IO, 0, B_TERM, { P16(8, 0xffff) }, CLOSED },
	{ "terminate_request_of_hlen_0", IO, 0, B_TERM, { P8(2, 0) }, CLOSED },
	{ "terminate_request_of_hlen_255", IO, 0, B_TERM, { P8(2, 255) }, CLOSED },
	{ "terminate_request_of_plen_0", IO, 0, B_TERM, { P32(4, 0) }, CLOSED },
	{ "terminate_request_of_plen_153", IO, 0, B_TERM, { P32(4, 153) }, CLOSED },
	{ "terminate_request_of_plen_ffffffff", IO, 0, B_TERM, { P32(4, UINT32_MAX) }, CLOSED },
	{ "terminate_request_of_a_controller", IO, 0, B_TERM, { P8(0, 0x03) },
	  TERM2(FIELD, SEQUENCE) },
};
/* clang-format on */

const struct bad_table bad_handshake = { "handshake", rows, ARRAY_LEN(rows) };
